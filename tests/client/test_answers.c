/* Nodes that lie, in every way that a node can: the library never takes a wrong answer, goes on to another node, and counts what it saw
 * (spec/operations.md O-50, O-51, O-60). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "client/client.h"
#include "ring/clock.h"
#include "tests/client/fake.h"

enum { RESEND_MS = 80, LONG_MS = 8000 };

static enum heraclius_status put(struct heraclius *db, const char *key, const char *value, uint32_t timeout_ms, enum heraclius_code *code,
                                 char *why) {
    struct heraclius_request *request = heraclius_request_new(db);
    assert_non_null(request);
    heraclius_put(request, key, strlen(key), value, strlen(value));
    enum heraclius_status status = heraclius_call(request, timeout_ms);
    const struct heraclius_result *result = heraclius_result_at(request, 0);
    if (code) *code = result ? result->code : (enum heraclius_code)255;
    if (why) snprintf(why, HERACLIUS_TEXT_BYTES, "%s", heraclius_why(request));
    heraclius_request_free(request);
    return status;
}

/* The value of `key` is `expected` (NULL: absent), by a verified read. */
static void reads(struct heraclius *db, const char *key, const char *expected) {
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_get(request, key, strlen(key), 1024, true);
    enum heraclius_status status = heraclius_call(request, LONG_MS);
    if (status != HERACLIUS_DONE) fail_msg("get %s: %s: %s", key, heraclius_status_name(status), heraclius_why(request));
    assert_string_equal(heraclius_why(request), "");
    const struct heraclius_result *result = heraclius_result_at(request, 0);
    assert_non_null(result);
    if (expected) {
        assert_int_equal(result->code, HERACLIUS_CODE_OK);
        assert_true(result->has_value && result->has_version);
        assert_int_equal(result->value_bytes, strlen(expected));
        assert_memory_equal(result->value, expected, strlen(expected));
    } else {
        assert_int_equal(result->code, HERACLIUS_CODE_ABSENT);
    }
    assert_null(heraclius_result_at(request, 1));
    heraclius_request_free(request);
}

static void an_honest_system_answers_at_once(void **state) {
    (void)state;
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct heraclius *db = fake_open(fake, 1000);
    enum heraclius_code code;
    reads(db, "hello", NULL);
    assert_int_equal(put(db, "hello", "world", LONG_MS, &code, NULL), HERACLIUS_DONE);
    assert_int_equal(code, HERACLIUS_CODE_OK);
    reads(db, "hello", "world");
    struct heraclius_counters counters;
    heraclius_counters_get(db, &counters);
    assert_int_equal(counters.verification_failures, 0);
    assert_int_equal(counters.resends, 0);
    assert_int_equal(counters.links_opened, 1);
    assert_int_equal(heraclius_unsettled_count(db), 0);
    heraclius_close(db);
    fake_stop(fake);
}

static const struct lie {
    const char *name;
    enum fake_act act;
    bool counted;   /* as a verification failure */
    bool link_lost; /* the link to the liar is given up */
} lies[] = {
    {"silence", FAKE_SILENT, false, false},
    {"an answer forgotten after execution", FAKE_FORGET, false, false},
    {"a node that is down", FAKE_DOWN, false, false},
    {"a node that does not shake hands", FAKE_DEAF, false, false},
    {"a link closed on a batch", FAKE_CLOSE, false, true},
    {"a link closed in the middle of a frame", FAKE_CUT, false, true},
    {"bytes that are no record", FAKE_NOISE, false, true},
    {"an answer of random bytes", FAKE_GARBAGE, true, true},
    {"a frame of a foreign type", FAKE_TYPE, true, true},
    {"a giant frame", FAKE_GIANT, false, true},
    {"q - 1 signatures", FAKE_FEW, true, true},
    {"signatures of strangers", FAKE_STRANGERS, true, true},
    {"a prepare QC", FAKE_PREPARE, true, true},
    {"a wrong proof", FAKE_PROOF, true, true},
    {"a flipped result", FAKE_SLICE, true, true},
    {"the answer of another client", FAKE_CLIENT, true, true},
    {"a certificate of a shard", FAKE_CLUSTER, true, true},
    {"a stale answer", FAKE_STALE, false, false},
};

static void each_kind_of_liar_costs_time_but_never_a_wrong_answer(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct fake *fake = fake_start(&(struct fake_options){0});
        struct heraclius *db = fake_open(fake, RESEND_MS);
        enum heraclius_code code;
        assert_int_equal(put(db, "k", "before", LONG_MS, &code, NULL), HERACLIUS_DONE);
        heraclius_close(db); /* a new handle begins with node 0 again, and with a new connection */
        db = fake_open(fake, RESEND_MS);
        fake_play(fake, 0, (struct fake_script){.act = lies[i].act});
        reads(db, "k", "before");
        if (fake_acted(fake, 0) == 0) fail_msg("%s: it did not happen", lies[i].name);
        struct heraclius_counters counters;
        heraclius_counters_get(db, &counters);
        if ((counters.verification_failures > 0) != lies[i].counted)
            fail_msg("%s: %d verification failures", lies[i].name, (int)counters.verification_failures);
        if ((counters.links_lost > 0) != lies[i].link_lost) fail_msg("%s: %d links lost", lies[i].name, (int)counters.links_lost);
        heraclius_close(db);
        db = fake_open(fake, RESEND_MS);
        enum heraclius_status status = put(db, "k", "after", LONG_MS, &code, NULL);
        if (status != HERACLIUS_DONE || code != HERACLIUS_CODE_OK)
            fail_msg("%s: %s, %s", lies[i].name, heraclius_status_name(status), heraclius_code_name(code));
        char value[32];
        assert_true(fake_value(fake, "k", value, sizeof value));
        assert_string_equal(value, "after");
        assert_int_equal(fake_executed(fake), 2);
        assert_int_equal(fake_floors_too_high(fake), 0);
        assert_int_equal(heraclius_unsettled_count(db), 0);
        heraclius_close(db);
        fake_stop(fake);
    }
}

static void with_only_liars_nothing_is_answered_and_a_write_stays_unsettled(void **state) {
    (void)state;
    static const enum fake_act all[] = {FAKE_SILENT, FAKE_DOWN, FAKE_STRANGERS, FAKE_FEW, FAKE_CLIENT, FAKE_CUT, FAKE_GARBAGE, FAKE_GIANT};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct fake *fake = fake_start(&(struct fake_options){0});
        struct heraclius *db = fake_open(fake, RESEND_MS);
        char why[HERACLIUS_TEXT_BYTES];
        assert_int_equal(put(db, "k", "v", LONG_MS, NULL, NULL), HERACLIUS_DONE);
        fake_play(fake, -1, (struct fake_script){.act = all[i]});
        struct heraclius_request *request = heraclius_request_new(db);
        heraclius_get(request, "k", 1, 100, false);
        assert_int_equal(heraclius_call(request, 600), HERACLIUS_UNAVAILABLE);
        assert_null(heraclius_result_at(request, 0));
        assert_non_null(strstr(heraclius_why(request), "c0-n"));
        heraclius_request_free(request);
        enum heraclius_code code;
        assert_int_equal(put(db, "k", "w", 600, &code, why), HERACLIUS_UNSETTLED);
        assert_int_equal(code, 255);
        assert_int_equal(heraclius_unsettled_count(db), 1);
        assert_true(strlen(why) > 0 && strlen(why) < HERACLIUS_TEXT_BYTES);
        heraclius_close(db);
        fake_stop(fake);
    }
}

/* The whole cluster is corrupt: beyond what is promised, but the client must not crash nor make up results. */
static void results_that_do_not_fit_the_request_are_refused_though_certified(void **state) {
    (void)state;
    static const enum fake_act all[] = {FAKE_COUNT, FAKE_RESULT};
    for (size_t i = 0; i < 2; i++) {
        struct fake *fake = fake_start(&(struct fake_options){0});
        struct heraclius *db = fake_open(fake, RESEND_MS);
        fake_play(fake, 0, (struct fake_script){.act = all[i]});
        struct heraclius_request *request = heraclius_request_new(db);
        for (int k = 0; k < 3; k++) heraclius_get(request, &"abc"[k], 1, 100, false);
        assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_DONE);
        for (size_t k = 0; k < 3; k++) assert_int_equal(heraclius_result_at(request, k)->code, HERACLIUS_CODE_ABSENT);
        heraclius_request_reset(request);
        fake_play(fake, -1, (struct fake_script){.act = all[i]});
        for (int k = 0; k < 3; k++) heraclius_get(request, &"abc"[k], 1, 100, false);
        assert_int_equal(heraclius_call(request, 500), HERACLIUS_UNAVAILABLE);
        for (size_t k = 0; k < 3; k++) assert_null(heraclius_result_at(request, k));
        struct heraclius_counters counters;
        heraclius_counters_get(db, &counters);
        assert_true(counters.verification_failures > 0);
        heraclius_request_free(request);
        heraclius_close(db);
        fake_stop(fake);
    }
}

static void one_liar_in_each_of_two_clusters_cannot_refuse_a_request(void **state) {
    (void)state;
    struct fake *fake = fake_start(&(struct fake_options){.coordinators = 2});
    struct heraclius *db = fake_open(fake, RESEND_MS);
    /* Nodes 0 to 3 are cluster 0, 4 to 7 cluster 1: the second to be asked is the other cluster's liar if the rest of the first is down. */
    for (int node = 0; node < 8; node++) fake_play(fake, node, (struct fake_script){.act = node % 4 == 0 || node == 5 ? FAKE_HONEST : FAKE_DOWN});
    fake_play(fake, 0, (struct fake_script){.act = FAKE_REFUSE, .code = CODE_RIGHTS});
    fake_play(fake, 5, (struct fake_script){.act = FAKE_REFUSE, .code = CODE_RIGHTS});
    fake_play(fake, 4, (struct fake_script){.act = FAKE_LATE, .delay_ms = 600, .times = 1});
    reads(db, "k", NULL);
    assert_true(fake_acted(fake, 0) > 0 && fake_acted(fake, 5) > 0);
    heraclius_close(db);
    fake_stop(fake);
}

static void a_refusal_counts_when_f_plus_1_nodes_of_a_cluster_say_it(void **state) {
    (void)state;
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct heraclius *db = fake_open(fake, RESEND_MS);
    fake_play(fake, 0, (struct fake_script){.act = FAKE_REFUSE, .code = CODE_RIGHTS});
    reads(db, "k", NULL); /* one alone does not */
    heraclius_close(db);
    db = fake_open(fake, RESEND_MS);
    fake_play(fake, 1, (struct fake_script){.act = FAKE_REFUSE, .code = CODE_RIGHTS});
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_get(request, "k", 1, 100, false);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_REFUSED);
    assert_non_null(strstr(heraclius_why(request), "RIGHTS"));
    heraclius_request_free(request);
    heraclius_close(db);
    fake_stop(fake);
}

/* A write that is refused is cancelled before it is reported as refused (O-43). */
static void a_refused_write_is_settled_by_cancel_first(void **state) {
    (void)state;
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct heraclius *db = fake_open(fake, RESEND_MS);
    char why[HERACLIUS_TEXT_BYTES];
    enum heraclius_code code;
    assert_int_equal(put(db, "a", "1", LONG_MS, NULL, NULL), HERACLIUS_DONE);
    fake_play(fake, 0, (struct fake_script){.act = FAKE_CODE, .code = CODE_RIGHTS, .times = 1});
    assert_int_equal(put(db, "k", "v", LONG_MS, &code, why), HERACLIUS_REFUSED);
    assert_int_equal(code, HERACLIUS_CODE_RIGHTS);
    assert_non_null(strstr(why, "RIGHTS"));
    assert_int_equal(heraclius_unsettled_count(db), 0);
    char value[8];
    assert_false(fake_value(fake, "k", value, sizeof value));
    assert_int_equal(fake_batches(fake, -1), 4); /* client-state, two puts, the cancel */
    assert_int_equal(put(db, "k", "w", LONG_MS, &code, NULL), HERACLIUS_DONE);
    heraclius_close(db);
    fake_stop(fake);
}

/* An earlier sending took effect after all: then that is the outcome, whatever came between. */
static void a_write_that_took_effect_before_it_was_refused_is_reported_as_done(void **state) {
    (void)state;
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct heraclius *db = fake_open(fake, RESEND_MS);
    enum heraclius_code code;
    assert_int_equal(put(db, "a", "1", LONG_MS, NULL, NULL), HERACLIUS_DONE);
    fake_play(fake, 0, (struct fake_script){.act = FAKE_FORGET, .times = 1});
    fake_play(fake, 1, (struct fake_script){.act = FAKE_CODE, .code = CODE_RIGHTS, .times = 1});
    assert_int_equal(put(db, "k", "v", LONG_MS, &code, NULL), HERACLIUS_DONE);
    assert_int_equal(code, HERACLIUS_CODE_OK);
    assert_int_equal(fake_executed(fake), 2);
    assert_int_equal(heraclius_unsettled_count(db), 0);
    assert_int_equal(fake_floors_too_high(fake), 0);
    heraclius_close(db);
    fake_stop(fake);
}

static void busy_is_tried_again_certified_or_not(void **state) {
    (void)state;
    static const uint8_t codes[] = {CODE_BUSY, CODE_QUOTA, CODE_TOO_NEW, CODE_RECORDS_FULL};
    for (int certified = 0; certified < 2; certified++) {
        for (size_t i = 0; i < sizeof codes; i++) {
            struct fake *fake = fake_start(&(struct fake_options){0});
            struct heraclius *db = fake_open(fake, 1000);
            enum heraclius_code code;
            char why[HERACLIUS_TEXT_BYTES];
            assert_int_equal(put(db, "a", "1", LONG_MS, NULL, NULL), HERACLIUS_DONE);
            fake_play(fake, -1, (struct fake_script){.act = certified ? FAKE_CODE : FAKE_REFUSE, .code = codes[i], .times = 2});
            assert_int_equal(put(db, "k", "v", LONG_MS, &code, why), HERACLIUS_DONE);
            assert_int_equal(code, HERACLIUS_CODE_OK);
            assert_string_equal(why, "");
            struct heraclius_counters counters;
            heraclius_counters_get(db, &counters);
            assert_true(counters.busy >= 2);
            if (certified) assert_true(fake->attempts >= 2); /* the same batch_id would get the same answer */
            assert_int_equal(fake_executed(fake), 2);
            heraclius_close(db);
            fake_stop(fake);
        }
    }
}

static void busy_to_the_end_is_unavailable_for_reads_and_unsettled_for_writes(void **state) {
    (void)state;
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct heraclius *db = fake_open(fake, 1000);
    char why[HERACLIUS_TEXT_BYTES];
    assert_int_equal(put(db, "a", "1", LONG_MS, NULL, NULL), HERACLIUS_DONE);
    fake_play(fake, -1, (struct fake_script){.act = FAKE_CODE, .code = CODE_BUSY});
    assert_int_equal(put(db, "k", "v", 500, NULL, why), HERACLIUS_UNSETTLED);
    assert_non_null(strstr(why, "BUSY"));
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_get(request, "a", 1, 100, false);
    assert_int_equal(heraclius_call(request, 500), HERACLIUS_UNAVAILABLE);
    assert_non_null(strstr(heraclius_why(request), "BUSY"));
    heraclius_request_free(request);
    assert_true(fake_batches(fake, -1) < 60); /* no storm */
    heraclius_close(db);
    fake_stop(fake);
}

/* One node's BUSY is one node's word: the others are asked, and soon. */
static void a_node_that_always_says_busy_does_not_hold_a_client(void **state) {
    (void)state;
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct heraclius *db = fake_open(fake, 1000);
    fake_play(fake, 0, (struct fake_script){.act = FAKE_REFUSE, .code = CODE_BUSY, .delay_ms = 100000});
    uint64_t began_ms = ring_clock_ms();
    reads(db, "k", NULL);
    assert_true(ring_clock_ms() - began_ms < 3000);
    assert_true(fake_acted(fake, 0) > 0);
    heraclius_close(db);
    fake_stop(fake);
}

/* O-50: all nodes decided it, and have no answer to it any more: another attempt is decided anew, and a write counts once all the same. */
static void what_nobody_answers_is_asked_for_anew(void **state) {
    (void)state;
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct heraclius *db = fake_open(fake, RESEND_MS);
    for (int kind = 0; kind < 2; kind++) {
        uint64_t begun_ms = ring_clock_ms();
        fake_play(fake, -1, (struct fake_script){.act = FAKE_FORGET});
        (void)fake_attempts_take(fake);
        struct heraclius_request *request = heraclius_request_new(db);
        if (kind == 0) heraclius_get(request, "k", 1, 10, false);
        else heraclius_add(request, "sum", 3, 5, NULL);
        assert_int_equal(heraclius_submit(request, LONG_MS, NULL, NULL), HERACLIUS_OK);
        while (fake_attempts_take(fake) == 0 && ring_clock_ms() < begun_ms + LONG_MS) (void)heraclius_poll(db, 10);
        assert_true(ring_clock_ms() - begun_ms >= CLIENT_ANEW_RESENDS * RESEND_MS); /* not before: it costs the system as much again */
        assert_int_equal(heraclius_request_status(request), HERACLIUS_PENDING);
        fake_play(fake, -1, (struct fake_script){0});
        while (heraclius_request_status(request) == HERACLIUS_PENDING && ring_clock_ms() < begun_ms + LONG_MS) (void)heraclius_poll(db, 10);
        assert_int_equal(heraclius_request_status(request), HERACLIUS_DONE);
        heraclius_request_free(request);
    }
    char sum[16];
    assert_true(fake_value(fake, "sum", sum, sizeof sum));
    assert_string_equal(sum, "5");
    heraclius_close(db);
    fake_stop(fake);
}

static void repeated_and_late_answers_are_counted_as_unasked(void **state) {
    (void)state;
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct heraclius *db = fake_open(fake, RESEND_MS);
    struct heraclius_counters counters;
    fake_play(fake, 0, (struct fake_script){.act = FAKE_TWICE});
    reads(db, "k", NULL);
    (void)heraclius_poll(db, 100);
    heraclius_counters_get(db, &counters);
    assert_int_equal(counters.unasked, 2);
    fake_play(fake, 0, (struct fake_script){.act = FAKE_LATE, .delay_ms = 400, .times = 1});
    reads(db, "k", NULL);
    heraclius_counters_get(db, &counters);
    assert_true(counters.resends >= 1);
    uint64_t before = counters.unasked;
    for (int i = 0; i < 10; i++) (void)heraclius_poll(db, 100);
    heraclius_counters_get(db, &counters);
    assert_int_equal(counters.unasked, before + 1);
    assert_int_equal(counters.verification_failures, 0);
    heraclius_close(db);
    fake_stop(fake);
}

static void the_texts_of_many_nodes_fit_their_room(void **state) {
    (void)state;
    struct fake *fake = fake_start(&(struct fake_options){.coordinators = 3, .nodes = 10});
    struct heraclius *db = fake_open(fake, 20);
    fake_play(fake, -1, (struct fake_script){.act = FAKE_GARBAGE});
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_get(request, "k", 1, 100, false);
    assert_int_equal(heraclius_call(request, 2500), HERACLIUS_UNAVAILABLE);
    assert_true(strlen(heraclius_why(request)) > 200 && strlen(heraclius_why(request)) < HERACLIUS_TEXT_BYTES);
    heraclius_request_free(request);
    heraclius_close(db);
    fake_stop(fake);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_system_answers_at_once),
        cmocka_unit_test(each_kind_of_liar_costs_time_but_never_a_wrong_answer),
        cmocka_unit_test(with_only_liars_nothing_is_answered_and_a_write_stays_unsettled),
        cmocka_unit_test(results_that_do_not_fit_the_request_are_refused_though_certified),
        cmocka_unit_test(one_liar_in_each_of_two_clusters_cannot_refuse_a_request),
        cmocka_unit_test(a_refusal_counts_when_f_plus_1_nodes_of_a_cluster_say_it),
        cmocka_unit_test(a_refused_write_is_settled_by_cancel_first),
        cmocka_unit_test(a_write_that_took_effect_before_it_was_refused_is_reported_as_done),
        cmocka_unit_test(busy_is_tried_again_certified_or_not),
        cmocka_unit_test(busy_to_the_end_is_unavailable_for_reads_and_unsettled_for_writes),
        cmocka_unit_test(a_node_that_always_says_busy_does_not_hold_a_client),
        cmocka_unit_test(what_nobody_answers_is_asked_for_anew),
        cmocka_unit_test(repeated_and_late_answers_are_counted_as_unasked),
        cmocka_unit_test(the_texts_of_many_nodes_fit_their_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
