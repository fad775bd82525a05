/* Requests over several shards, many at once, freed in the middle, with receipts, at the limits (client/heraclius.h; spec/operations.md 5.2 to
 * 5.9). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "ring/clock.h"
#include "tests/client/fake.h"

enum { RESEND_MS = 80, LONG_MS = 8000, SHARDS = 3 };

static struct fake *fake;
static struct heraclius *db;

static int set_up(void **state) {
    (void)state;
    fake = fake_start(&(struct fake_options){.shards = SHARDS, .number_window = 64});
    db = fake_open(fake, RESEND_MS);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    heraclius_close(db);
    fake_stop(fake);
    return 0;
}

/* A key of this shard: "<prefix><n>" with the lowest n. */
static const char *key_in(uint32_t shard, char prefix, char out[16]) {
    for (int i = 0;; i++) {
        snprintf(out, 16, "%c%d", prefix, i);
        if (heraclius_shard_of(db, out, strlen(out)) == shard) return out;
    }
}

static void done(struct heraclius_request *request) {
    enum heraclius_status status = heraclius_call(request, LONG_MS);
    if (status != HERACLIUS_DONE) fail_msg("%s: %s", heraclius_status_name(status), heraclius_why(request));
}

static void code_is(const struct heraclius_request *request, size_t index, enum heraclius_code code) {
    const struct heraclius_result *result = heraclius_result_at(request, index);
    assert_non_null(result);
    if (result->code != code) fail_msg("operation %zu: %s, not %s", index, heraclius_code_name(result->code), heraclius_code_name(code));
}

static void value_is(const struct heraclius_request *request, size_t index, const char *value) {
    const struct heraclius_result *result = heraclius_result_at(request, index);
    code_is(request, index, HERACLIUS_CODE_OK);
    assert_true(result->has_value);
    assert_int_equal(result->value_bytes, strlen(value));
    assert_memory_equal(result->value, value, strlen(value));
}

static void results_come_in_the_order_of_the_operations_whatever_their_shards(void **state) {
    (void)state;
    static const enum fake_act acts[] = {FAKE_HONEST, FAKE_APART, FAKE_FIRST_ONLY, FAKE_TWICE};
    for (size_t a = 0; a < sizeof acts / sizeof acts[0]; a++) {
        fake_play(fake, -1, (struct fake_script){.act = acts[a], .times = acts[a] == FAKE_FIRST_ONLY ? 1 : 0});
        struct heraclius_request *request = heraclius_request_new(db);
        char key[16], value[16];
        for (uint32_t i = 0; i < 3 * SHARDS; i++) { /* shards 2, 1, 0, 2, ... */
            snprintf(value, sizeof value, "v%u", i);
            key_in(SHARDS - 1 - i % SHARDS, (char)('a' + i), key);
            heraclius_put(request, key, strlen(key), value, strlen(value));
        }
        done(request);
        for (uint32_t i = 0; i < 3 * SHARDS; i++) {
            code_is(request, i, HERACLIUS_CODE_OK);
            assert_int_equal(heraclius_result_at(request, i)->shard, SHARDS - 1 - i % SHARDS);
            assert_false(heraclius_result_at(request, i)->has_value); /* a put answers a version, no value */
            assert_true(heraclius_result_at(request, i)->has_version);
        }
        heraclius_request_reset(request);
        for (uint32_t i = 0; i < 3 * SHARDS; i++) { /* reads of shards 0 and 2, reads and a write at shard 1 */
            key_in(SHARDS - 1 - i % SHARDS, (char)('a' + i), key);
            heraclius_get(request, key, strlen(key), 100, false);
        }
        key_in(1, 'z', key);
        heraclius_put(request, key, strlen(key), "", 0);
        heraclius_get(request, key, strlen(key), 100, true);
        done(request);
        for (uint32_t i = 0; i < 3 * SHARDS; i++) {
            snprintf(value, sizeof value, "v%u", i);
            value_is(request, i, value);
        }
        value_is(request, 3 * SHARDS + 1, ""); /* an empty value is a value */
        assert_non_null(heraclius_result_at(request, 3 * SHARDS + 1)->value);
        heraclius_request_free(request);
    }
    fake_play(fake, -1, (struct fake_script){0});
    assert_int_equal(fake_floors_too_high(fake), 0);
    assert_int_equal(heraclius_unsettled_count(db), 0);
}

/* Neighbours whose keys have one length, or not; with a tag, or not: of however many operations a request has, each goes where its key alone goes. */
static void each_key_goes_to_its_own_shard_whatever_stands_beside_it(void **state) {
    (void)state;
    struct heraclius_request *request = heraclius_request_new(db), *one = heraclius_request_new(db);
    for (uint32_t count = 1; count <= 40; count += 3) {
        static const char *const forms[] = {"%u", "key%08u", "{t%u}of", "%08u of some more bytes", "of a {tag%u}", "%08ukey"};
        char keys[40][48];
        heraclius_request_reset(request);
        for (uint32_t i = 0; i < count; i++) { /* of each form as many neighbours as `count` says: 1 to 14 */
            snprintf(keys[i], sizeof keys[i], forms[i / (1 + count / 3) % 6], 1000 * count + i);
            i % 2 ? heraclius_put(request, keys[i], strlen(keys[i]), keys[i], strlen(keys[i]))
                  : heraclius_get(request, keys[i], strlen(keys[i]), 100, false);
        }
        done(request);
        for (uint32_t i = 0; i < count; i++) {
            code_is(request, i, i % 2 ? HERACLIUS_CODE_OK : HERACLIUS_CODE_ABSENT);
            assert_int_equal(heraclius_result_at(request, i)->shard, heraclius_shard_of(db, keys[i], strlen(keys[i])));
            if (i % 2 == 0) continue;
            heraclius_request_reset(one);
            heraclius_get(one, keys[i], strlen(keys[i]), 100, false);
            done(one);
            value_is(one, 0, keys[i]);
        }
    }
    heraclius_request_free(request);
    heraclius_request_free(one);
}

/* And one whose shard the caller says goes there, right or wrong, and its neighbours where their keys go. */
static void an_operation_whose_shard_was_given_goes_there(void **state) {
    (void)state;
    struct heraclius_request *request = heraclius_request_new(db);
    char key[16];
    for (uint32_t i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "placed%02u", i);
        heraclius_get(request, key, strlen(key), 100, false);
        if (i % 3 > 0) client_request_placed(request, i % SHARDS);
    }
    done(request);
    for (uint32_t i = 0; i < 20; i++) {
        snprintf(key, sizeof key, "placed%02u", i);
        assert_int_equal(heraclius_result_at(request, i)->shard, i % 3 > 0 ? i % SHARDS : heraclius_shard_of(db, key, strlen(key)));
    }
    heraclius_request_reset(request);
    heraclius_get(request, key, 0, 100, false); /* was not appended */
    client_request_placed(request, 1);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_BAD_ARGUMENT);
    heraclius_request_free(request);
}

static void each_operation_does_what_its_name_says(void **state) {
    (void)state;
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_put_if_absent(request, "{t}n", 4, "5", 1);
    heraclius_put_if_absent(request, "{t}n", 4, "6", 1);
    heraclius_add(request, "{t}n", 4, -3, &(int64_t){0});
    heraclius_add(request, "{t}n", 4, -3, &(int64_t){0});
    heraclius_add(request, "{t}n", 4, INT64_MAX, NULL);
    heraclius_cas(request, "{t}n", 4, "2", 1, "x", 1);
    heraclius_cas(request, "{t}n", 4, "2", 1, "y", 1);
    heraclius_add(request, "{t}n", 4, 1, NULL);
    heraclius_check(request, "{t}none", 7, NULL);
    heraclius_check(request, "{t}n", 4, NULL);
    heraclius_delete(request, "{t}n", 4);
    heraclius_delete(request, "{t}n", 4);
    done(request);
    static const enum heraclius_code expected[] = {HERACLIUS_CODE_OK,           HERACLIUS_CODE_EXISTS,     HERACLIUS_CODE_OK,
                                                   HERACLIUS_CODE_BELOW_FLOOR,  HERACLIUS_CODE_OVERFLOW,   HERACLIUS_CODE_OK,
                                                   HERACLIUS_CODE_MISMATCH,     HERACLIUS_CODE_WRONG_TYPE, HERACLIUS_CODE_OK,
                                                   HERACLIUS_CODE_CHECK_FAILED, HERACLIUS_CODE_OK,         HERACLIUS_CODE_ABSENT};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) code_is(request, i, expected[i]);
    value_is(request, 2, "2");
    assert_true(heraclius_result_at(request, 3)->has_value);
    heraclius_request_free(request);
}

static void an_atomic_list_stays_in_one_shard(void **state) {
    (void)state;
    char one[16], other[16];
    key_in(0, 'p', one);
    key_in(1, 'p', other);
    struct heraclius_request *request = heraclius_request_new(db);
    uint32_t before = fake_batches(fake, -1);
    heraclius_request_flags(request, HERACLIUS_ATOMIC);
    heraclius_put(request, one, strlen(one), "1", 1);
    heraclius_put(request, other, strlen(other), "1", 1);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_BAD_ARGUMENT);
    assert_non_null(strstr(heraclius_why(request), "cannot span shards"));
    assert_int_equal(fake_batches(fake, -1), before);
    heraclius_request_reset(request);
    heraclius_request_flags(request, HERACLIUS_ATOMIC);
    heraclius_add(request, "{q}a", 4, 10, NULL);
    heraclius_add(request, "{q}b", 4, -10, &(int64_t){0});
    done(request);
    code_is(request, 0, HERACLIUS_CODE_NOT_EXECUTED);
    code_is(request, 1, HERACLIUS_CODE_BELOW_FLOOR);
    heraclius_request_reset(request);
    heraclius_get(request, "{q}a", 4, 100, false);
    done(request);
    code_is(request, 0, HERACLIUS_CODE_ABSENT);
    heraclius_request_free(request);
}

static void bad_arguments_send_nothing_and_say_what_is_wrong(void **state) {
    (void)state;
    static uint8_t big[65537], key[257];
    struct heraclius_request *request = heraclius_request_new(db);
    uint32_t before = fake_batches(fake, -1);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_BAD_ARGUMENT);
    assert_non_null(strstr(heraclius_why(request), "no operation"));
    heraclius_request_reset(request);
    heraclius_get(request, "", 0, 10, false);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_BAD_ARGUMENT);
    assert_non_null(strstr(heraclius_why(request), "1 to 256"));
    heraclius_request_reset(request);
    heraclius_get(request, key, sizeof key, 10, false);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_BAD_ARGUMENT);
    heraclius_request_reset(request);
    heraclius_put(request, "k", 1, big, sizeof big);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_BAD_ARGUMENT);
    assert_non_null(strstr(heraclius_why(request), "65536"));
    assert_int_equal(fake_batches(fake, -1), before);
    heraclius_request_reset(request); /* and the request is as good as new */
    heraclius_put(request, key, 256, big, 65536);
    done(request);
    heraclius_request_free(request);
}

static void requests_at_the_limits_are_taken_and_one_past_them_are_not(void **state) {
    (void)state;
    struct heraclius_limits limits;
    heraclius_limits_get(db, &limits);
    struct heraclius_request *request = heraclius_request_new(db);
    for (uint32_t i = 0; i < limits.request_ops_max; i++) heraclius_get(request, "k", 1, 0, false);
    done(request);
    assert_int_equal(heraclius_request_count(request), limits.request_ops_max);
    heraclius_request_reset(request);
    for (uint32_t i = 0; i <= limits.request_ops_max; i++) heraclius_get(request, "k", 1, 0, false);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_BAD_ARGUMENT);
    heraclius_request_reset(request); /* O-30.0: 4096 operations of one part that writes */
    for (uint32_t i = 0; i < 4096; i++) heraclius_add(request, "{w}", 3, 1, NULL);
    done(request);
    heraclius_request_reset(request);
    for (uint32_t i = 0; i < 4097; i++) heraclius_add(request, "{w}", 3, 1, NULL);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_BAD_ARGUMENT);
    assert_non_null(strstr(heraclius_why(request), "4096"));
    heraclius_request_reset(request);
    static uint8_t value[65536];
    size_t used = 64 + 64 + 32 * SHARDS, each = 12 + 3 + sizeof value, last = (limits.request_bytes_max - used) % each;
    for (; used + each <= limits.request_bytes_max; used += each) heraclius_put(request, "{b}", 3, value, sizeof value);
    heraclius_put(request, "{b}", 3, value, last - 15);
    done(request);
    heraclius_request_reset(request);
    heraclius_put(request, "{b}", 3, value, last - 14);
    for (used = 64 + 64 + 32 * SHARDS; used + each <= limits.request_bytes_max; used += each) heraclius_put(request, "{b}", 3, value, sizeof value);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_BAD_ARGUMENT);
    assert_non_null(strstr(heraclius_why(request), "bytes"));
    heraclius_request_free(request);
}

struct many {
    struct heraclius_request *requests[300];
    int left, bad;
};

static void one_done(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    struct many *many = argument;
    many->left--;
    if (status != HERACLIUS_DONE || heraclius_result_at(request, 0)->code != HERACLIUS_CODE_OK) many->bad++;
    heraclius_request_free(request); /* a callback may */
}

static void wait_all(struct many *many) {
    for (int i = 0; many->left > 0 && i < 1000; i++) (void)heraclius_poll(db, 20);
    assert_int_equal(many->left, 0);
}

/* Submitted in one go, each write's floor must give up none of the others, whatever the order in which they arrive (O-41); and no more are under way
 * than the window allows. */
static void many_writes_at_once_all_happen_once(void **state) {
    (void)state;
    static const enum fake_act acts[] = {FAKE_HONEST, FAKE_FORGET, FAKE_REFUSE, FAKE_CLOSE};
    for (size_t a = 0; a < sizeof acts / sizeof acts[0]; a++) {
        struct many many = {.left = 300};
        uint32_t executed = fake_executed(fake);
        char value[32], sum[32];
        if (!fake_value(fake, "{m}", value, sizeof value)) snprintf(value, sizeof value, "0");
        fake_play(fake, -1, (struct fake_script){.act = acts[a], .code = CODE_BUSY, .times = 7});
        for (int i = 0; i < 300; i++) {
            many.requests[i] = heraclius_request_new(db);
            heraclius_add(many.requests[i], "{m}", 3, 1, NULL);
            assert_int_equal(heraclius_submit(many.requests[i], 15000, one_done, &many), HERACLIUS_OK);
        }
        wait_all(&many);
        assert_int_equal(many.bad, 0);
        assert_int_equal(fake_floors_too_high(fake), 0);
        assert_int_equal(fake_executed(fake) - executed, 300);
        assert_true(fake_value(fake, "{m}", sum, sizeof sum));
        assert_int_equal(strtol(sum, NULL, 10) - strtol(value, NULL, 10), 300);
    }
    assert_int_equal(heraclius_unsettled_count(db), 0);
}

static void one_again(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    struct many *many = argument;
    if (status != HERACLIUS_DONE) many->bad++;
    if (--many->left <= 0) return;
    heraclius_request_reset(request); /* a callback may use the request again, and submit others */
    heraclius_put(request, "{again}", 7, "v", 1);
    assert_int_equal(heraclius_submit(request, LONG_MS, one_again, many), HERACLIUS_OK);
}

static void a_callback_may_submit_again(void **state) {
    (void)state;
    struct many many = {.left = 20};
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_put(request, "{again}", 7, "v", 1);
    assert_int_equal(heraclius_submit(request, LONG_MS, one_again, &many), HERACLIUS_OK);
    wait_all(&many);
    assert_int_equal(many.bad, 0);
    heraclius_request_free(request);
}

static struct heraclius_request *others[4];

static void frees_the_others(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    (void)status;
    (void)argument;
    for (int i = 0; i < 4; i++) {
        if (others[i] == request) continue;
        heraclius_request_free(others[i]);
        others[i] = NULL;
    }
}

static void a_callback_may_free_every_other_request(void **state) {
    (void)state;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 4; i++) {
            others[i] = heraclius_request_new(db);
            if (round % 2)
                heraclius_get(others[i], "{f}", 3, 10, false);
            else
                heraclius_put(others[i], "{f}", 3, "v", 1);
            assert_int_equal(heraclius_submit(others[i], round < 2 ? LONG_MS : 1, frees_the_others, NULL), HERACLIUS_OK);
        }
        int ended = 0;
        for (int i = 0; i < 200 && ended == 0; i++) ended += heraclius_poll(db, 20);
        for (int i = 0; i < 10; i++) ended += heraclius_poll(db, 20);
        assert_int_equal(ended, 1);
        for (int i = 0; i < 4; i++) heraclius_request_free(others[i]);
    }
    (void)heraclius_settle(db, HERACLIUS_SETTLE_RETRY, LONG_MS, NULL, NULL, (char[HERACLIUS_TEXT_BYTES]){0});
}

/* Freed while held, while sent, while its refusal is being cancelled: the write stays unsettled, nothing is touched afterwards. */
static void a_pending_request_may_be_freed_at_any_time(void **state) {
    (void)state;
    static const struct fake_script scripts[] = {{.act = FAKE_HONEST},
                                                 {.act = FAKE_SILENT, .times = 3},
                                                 {.act = FAKE_CODE, .code = CODE_RIGHTS, .times = 1},
                                                 {.act = FAKE_REFUSE, .code = CODE_BUSY}};
    for (size_t s = 0; s < sizeof scripts / sizeof scripts[0]; s++) {
        for (int polls = 0; polls < 12; polls++) {
            fake_play(fake, -1, scripts[s]);
            struct heraclius_request *request = heraclius_request_new(db);
            heraclius_put(request, "{g}", 3, "v", 1);
            heraclius_get(request, "other", 5, 10, false);
            assert_int_equal(heraclius_submit(request, LONG_MS, NULL, NULL), HERACLIUS_OK);
            for (int i = 0; i < polls; i++) (void)heraclius_poll(db, 1);
            heraclius_request_free(request);
            for (int i = 0; i < 3; i++) (void)heraclius_poll(db, 5);
        }
    }
    fake_play(fake, -1, (struct fake_script){0});
    char why[HERACLIUS_TEXT_BYTES];
    assert_int_equal(heraclius_settle(db, HERACLIUS_SETTLE_RETRY, LONG_MS, NULL, NULL, why), HERACLIUS_DONE);
    assert_int_equal(heraclius_unsettled_count(db), 0);
}

/* The CANCEL of a refused write is not answered, or refused itself: the write is unsettled, and says so in the journal too. */
static void a_refused_write_that_cannot_be_cancelled_is_unsettled(void **state) {
    (void)state;
    for (int refused = 0; refused < 2; refused++) {
        struct heraclius_request *request = heraclius_request_new(db);
        uint32_t acted = fake_acted(fake, -1);
        fake_play(fake, -1, (struct fake_script){.act = FAKE_CODE, .code = CODE_RIGHTS});
        heraclius_put(request, "{h}", 3, "w", 1);
        assert_int_equal(heraclius_submit(request, 700, NULL, NULL), HERACLIUS_OK);
        while (!refused && fake_acted(fake, -1) == acted) (void)heraclius_poll(db, 1);
        if (!refused) fake_play(fake, -1, (struct fake_script){.act = FAKE_SILENT});
        while (heraclius_request_status(request) == HERACLIUS_PENDING) (void)heraclius_poll(db, 20);
        assert_int_equal(heraclius_request_status(request), HERACLIUS_UNSETTLED);
        assert_null(heraclius_result_at(request, 0));
        assert_int_equal(heraclius_unsettled_count(db), 1);
        heraclius_request_free(request);
        fake_play(fake, -1, (struct fake_script){0});
        char why[HERACLIUS_TEXT_BYTES];
        assert_int_equal(heraclius_settle(db, HERACLIUS_SETTLE_CANCEL, LONG_MS, NULL, NULL, why), HERACLIUS_DONE);
        assert_int_equal(heraclius_unsettled_count(db), 0);
    }
}

/* REVOKED by coordinators alone: an earlier sending may still be decided elsewhere, so it is not reported as refused for good (O-43). */
static void a_revoked_clients_write_is_unsettled_unless_the_shard_closed_it(void **state) {
    (void)state;
    struct heraclius_request *request = heraclius_request_new(db);
    fake_play(fake, -1, (struct fake_script){.act = FAKE_CODE, .code = CODE_REVOKED});
    heraclius_put(request, "{m}", 3, "w", 1);
    assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_UNSETTLED);
    assert_non_null(strstr(heraclius_why(request), "REVOKED"));
    assert_int_equal(heraclius_unsettled_count(db), 1);
    char why[HERACLIUS_TEXT_BYTES];
    assert_int_equal(heraclius_settle(db, HERACLIUS_SETTLE_CANCEL, LONG_MS, NULL, NULL, why), HERACLIUS_UNSETTLED);
    assert_non_null(strstr(why, "REVOKED"));
    fake_play(fake, -1, (struct fake_script){0});
    assert_int_equal(heraclius_settle(db, HERACLIUS_SETTLE_CANCEL, LONG_MS, NULL, NULL, why), HERACLIUS_DONE);
    heraclius_request_free(request);
}

static void receipts_verify_offline_and_fit_in_4_kib(void **state) {
    (void)state;
    struct heraclius_request *request = heraclius_request_new(db);
    char why[HERACLIUS_TEXT_BYTES];
    heraclius_request_flags(request, HERACLIUS_RECEIPT);
    char keys[9][16];
    for (uint32_t i = 0; i < 9; i++) {
        key_in(i % SHARDS, (char)('A' + i), keys[i]);
        heraclius_put(request, keys[i], strlen(keys[i]), "a value of thirty-two bytes here", 32);
    }
    done(request);
    for (uint32_t i = 0; i < 9; i++) {
        size_t count;
        const uint8_t *bytes = heraclius_receipt_at(request, i, &count);
        struct heraclius_receipt receipt;
        assert_non_null(bytes);
        assert_true(count <= 4096);
        if (heraclius_receipt_verify(fake->system_path, bytes, count, &receipt, why) != HERACLIUS_OK) fail_msg("receipt %u: %s", i, why);
        assert_int_equal(receipt.key_bytes, strlen(keys[i]));
        assert_memory_equal(receipt.key, keys[i], receipt.key_bytes);
        assert_string_equal(receipt.operation, "put");
        assert_int_equal(receipt.result.shard, i % SHARDS);
        assert_int_equal(receipt.result.code, HERACLIUS_CODE_OK);
        assert_int_equal(receipt.signers, 3);
        uint8_t *flipped = malloc(count);
        assert_non_null(flipped);
        memcpy(flipped, bytes, count);
        for (size_t bit = i; bit < 8 * count; bit += 509) {
            flipped[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(heraclius_receipt_verify(fake->system_path, flipped, count, &receipt, why), HERACLIUS_REFUSED);
            assert_true(strlen(why) > 0);
            flipped[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        free(flipped);
    }
    size_t count;
    assert_null(heraclius_receipt_at(request, 9, &count));
    heraclius_request_reset(request);
    heraclius_get(request, keys[0], strlen(keys[0]), 100, true);
    heraclius_request_flags(request, HERACLIUS_RECEIPT);
    done(request);
    struct heraclius_receipt receipt;
    const uint8_t *bytes = heraclius_receipt_at(request, 0, &count);
    assert_int_equal(heraclius_receipt_verify(fake->system_path, bytes, count, &receipt, why), HERACLIUS_OK);
    assert_string_equal(receipt.operation, "get");
    assert_int_equal(receipt.result.value_bytes, 32);
    struct fake *other = fake_start(&(struct fake_options){.seed = 77});
    assert_int_equal(heraclius_receipt_verify(other->system_path, bytes, count, &receipt, why), HERACLIUS_REFUSED);
    assert_non_null(strstr(why, "another system"));
    fake_stop(other);
    heraclius_request_reset(request);
    heraclius_get(request, keys[0], strlen(keys[0]), 100, true);
    done(request);
    assert_null(heraclius_receipt_at(request, 0, &count)); /* none was asked for */
    heraclius_request_free(request);
}

/* One request is kept back by the node that was asked, while the rest are answered as this script says (NULL: there are none). How long until it was
 * answered all the same, by another node. */
static uint64_t kept_back_ms(uint32_t resend_ms, const struct fake_script *rest) {
    heraclius_close(db);
    db = fake_open(fake, resend_ms);
    char key[16];
    key_in(0, 'q', key);
    struct heraclius_counters counters;
    struct heraclius_request *warm = heraclius_request_new(db), *lost = heraclius_request_new(db), *other = heraclius_request_new(db);
    heraclius_get(warm, key, strlen(key), 10, false);
    done(warm); /* the link is up */
    heraclius_get(lost, key, strlen(key), 10, false);
    fake_play(fake, -1, (struct fake_script){.act = FAKE_FORGET, .times = 1});
    uint64_t begun_ms = ring_clock_ms();
    uint32_t acted = fake_acted(fake, -1);
    assert_int_equal(heraclius_submit(lost, LONG_MS, NULL, NULL), HERACLIUS_OK);
    while (fake_acted(fake, -1) == acted && ring_clock_ms() < begun_ms + LONG_MS) (void)heraclius_poll(db, 5);
    fake_play(fake, -1, rest ? *rest : (struct fake_script){0});
    while (heraclius_request_status(lost) == HERACLIUS_PENDING && ring_clock_ms() < begun_ms + LONG_MS) {
        (void)heraclius_poll(db, 5);
        if (!rest || heraclius_request_status(lost) != HERACLIUS_PENDING) continue;
        heraclius_request_reset(other);
        heraclius_get(other, key, strlen(key), 10, false);
        done(other);
    }
    uint64_t took_ms = ring_clock_ms() - begun_ms;
    assert_int_equal(heraclius_request_status(lost), HERACLIUS_DONE);
    heraclius_counters_get(db, &counters);
    assert_true(counters.resends >= 1);
    fake_play(fake, -1, (struct fake_script){0});
    heraclius_request_free(warm);
    heraclius_request_free(lost);
    heraclius_request_free(other);
    return took_ms;
}

/* Whoever answers others fast has no reason to be given longer than one that says nothing; whoever answers them late has. */
static void a_node_that_answers_others_late_is_given_longer_and_one_that_answers_them_fast_is_not(void **state) {
    (void)state;
    enum { PATIENT_MS = 400, LATE_MS = 300 };
    assert_true(kept_back_ms(PATIENT_MS, NULL) >= PATIENT_MS);
    uint64_t fast_ms = kept_back_ms(PATIENT_MS, &(struct fake_script){.act = FAKE_HONEST});
    if (fast_ms < PATIENT_MS || fast_ms >= 3 * PATIENT_MS) fail_msg("kept back by one that answers fast: %u ms", (unsigned)fast_ms);
    uint64_t late_ms = kept_back_ms(PATIENT_MS, &(struct fake_script){.act = FAKE_LATE, .delay_ms = LATE_MS});
    if (late_ms < 2 * LATE_MS) fail_msg("kept back by one that answers late: %u ms", (unsigned)late_ms);
}

/* What it answers meanwhile it was asked before: it may yet come to this one. */
static void a_node_that_works_off_what_it_was_asked_before_is_given_the_longest(void **state) {
    (void)state;
    enum { PATIENT_MS = 400, LATE_MS = 250, LONGEST = 4 };
    heraclius_close(db);
    db = fake_open(fake, PATIENT_MS);
    struct heraclius_request *requests[3]; /* one so that the link is up, one that is answered late, one that is kept back */
    for (int i = 0; i < 3; i++) {
        static const struct fake_script scripts[] = {
            {.act = FAKE_HONEST}, {.act = FAKE_LATE, .delay_ms = LATE_MS, .times = 1}, {.act = FAKE_FORGET, .times = 1}};
        uint32_t batches = fake_batches(fake, -1);
        fake_play(fake, -1, scripts[i]);
        requests[i] = heraclius_request_new(db);
        heraclius_get(requests[i], "q", 1, 10, false);
        assert_int_equal(heraclius_submit(requests[i], LONG_MS, NULL, NULL), HERACLIUS_OK);
        uint64_t until_ms = ring_clock_ms() + LONG_MS;
        while (ring_clock_ms() < until_ms &&
               (i == 0 ? heraclius_request_status(requests[i]) == HERACLIUS_PENDING : fake_batches(fake, -1) == batches))
            (void)heraclius_poll(db, 1);
    }
    uint64_t begun_ms = ring_clock_ms();
    fake_play(fake, -1, (struct fake_script){0}); /* no other node forgets it */
    while (heraclius_request_status(requests[2]) == HERACLIUS_PENDING && ring_clock_ms() < begun_ms + LONG_MS) (void)heraclius_poll(db, 5);
    uint64_t took_ms = ring_clock_ms() - begun_ms;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(heraclius_request_status(requests[i]), HERACLIUS_DONE);
        heraclius_request_free(requests[i]);
    }
    /* A little went by before it began. */
    if (took_ms < LONGEST * PATIENT_MS - 50) fail_msg("another node was asked after %u ms", (unsigned)took_ms);
}

/* The parts of one request: each shard's floor is its own, and only the part that is behind goes out again. */
static void a_part_that_is_behind_goes_out_again_alone(void **state) {
    (void)state;
    char keys[SHARDS][16], why[HERACLIUS_TEXT_BYTES];
    for (uint32_t behind = 1; behind < 1u << SHARDS; behind++) {
        struct heraclius_request *request = heraclius_request_new(db);
        for (uint32_t s = 0; s < SHARDS; s++) {
            if (behind & 1u << s) fake_floor_raise(fake, s, fake_highest(fake, s) + 200);
            key_in(s, 'N', keys[s]);
            heraclius_add(request, keys[s], strlen(keys[s]), 1, NULL);
        }
        uint32_t executed = fake_executed(fake);
        heraclius_request_flags(request, HERACLIUS_RECEIPT);
        fake_play(fake, -1, (struct fake_script){.act = behind & 1 ? FAKE_HONEST : FAKE_APART});
        done(request);
        char expected[16];
        snprintf(expected, sizeof expected, "%u", behind);
        for (uint32_t s = 0; s < SHARDS; s++) {
            value_is(request, s, expected);
            assert_int_equal(heraclius_result_at(request, s)->shard, s);
            size_t count;
            const uint8_t *bytes = heraclius_receipt_at(request, s, &count);
            struct heraclius_receipt receipt;
            assert_non_null(bytes);
            if (heraclius_receipt_verify(fake->system_path, bytes, count, &receipt, why) != HERACLIUS_OK) fail_msg("receipt of %u: %s", s, why);
        }
        assert_int_equal(fake_executed(fake) - executed, SHARDS);
        assert_int_equal(heraclius_unsettled_count(db), 0);
        heraclius_request_free(request);
    }
    fake_play(fake, -1, (struct fake_script){0});
}

/* O-25: one item for the whole part, since the client's slice would be too large: done, proved, and no receipt. */
static void a_part_too_large_for_receipts_is_done_without_them(void **state) {
    (void)state;
    struct heraclius_request *request = heraclius_request_new(db);
    struct heraclius_counters before, after;
    heraclius_counters_get(db, &before);
    fake_play(fake, -1, (struct fake_script){.act = FAKE_WHOLE});
    heraclius_request_flags(request, HERACLIUS_RECEIPT);
    heraclius_put(request, "{R}a", 4, "1", 1);
    heraclius_add(request, "{R}b", 4, 7, NULL);
    done(request);
    code_is(request, 0, HERACLIUS_CODE_OK);
    value_is(request, 1, "7");
    size_t count;
    assert_null(heraclius_receipt_at(request, 0, &count));
    assert_null(heraclius_receipt_at(request, 1, &count));
    heraclius_counters_get(db, &after);
    assert_int_equal(after.verification_failures, before.verification_failures);
    assert_int_equal(heraclius_unsettled_count(db), 0);
    fake_play(fake, -1, (struct fake_script){0});
    heraclius_request_free(request);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_come_in_the_order_of_the_operations_whatever_their_shards),
        cmocka_unit_test(each_key_goes_to_its_own_shard_whatever_stands_beside_it),
        cmocka_unit_test(an_operation_whose_shard_was_given_goes_there),
        cmocka_unit_test(each_operation_does_what_its_name_says),
        cmocka_unit_test(an_atomic_list_stays_in_one_shard),
        cmocka_unit_test(bad_arguments_send_nothing_and_say_what_is_wrong),
        cmocka_unit_test(requests_at_the_limits_are_taken_and_one_past_them_are_not),
        cmocka_unit_test(many_writes_at_once_all_happen_once),
        cmocka_unit_test(a_callback_may_submit_again),
        cmocka_unit_test(a_callback_may_free_every_other_request),
        cmocka_unit_test(a_pending_request_may_be_freed_at_any_time),
        cmocka_unit_test(a_refused_write_that_cannot_be_cancelled_is_unsettled),
        cmocka_unit_test(receipts_verify_offline_and_fit_in_4_kib),
        cmocka_unit_test(a_node_that_works_off_what_it_was_asked_before_is_given_the_longest),
        cmocka_unit_test(a_node_that_answers_others_late_is_given_longer_and_one_that_answers_them_fast_is_not),
        cmocka_unit_test(a_part_that_is_behind_goes_out_again_alone),
        cmocka_unit_test(a_part_too_large_for_receipts_is_done_without_them),
        cmocka_unit_test(a_revoked_clients_write_is_unsettled_unless_the_shard_closed_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
