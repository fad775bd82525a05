/* The voting memory over a restart, B-60 to B-63: each part of it, and the record itself. Member 3 of 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/bft/script.h"

static void what_was_prepared_is_not_prepared_otherwise_after_a_restart(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header other = script_block(s, &s->genesis, 0, 2);
    (void)script_give_propose(s, &one, NULL);
    script_restart(s, &one, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, &one), 1); /* sent again */
    (void)script_give_propose(s, &other, NULL);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, &other), 0);
    script_free(s);
}

static void a_timed_out_view_stays_timed_out_after_a_restart(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    script_tick(s, 1000);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    script_restart(s, &one, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    (void)script_give_qc(s, &qc);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, NULL), 0);
    script_free(s);
}

static void the_high_survives_a_restart(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    (void)script_give_qc(s, &qc);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, &one), 1);
    script_restart(s, &one, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, &one), 1);
    struct bft_tc tc = script_tc(s, 0, 7, NULL, NULL);
    (void)script_give_tc(s, &tc);
    script_tick(s, 60000);
    struct bft_timeout a = script_timeout(s, 1, NULL, 0);
    struct bft_timeout b = script_timeout(s, 1, NULL, 1);
    (void)script_give_timeout(s, &a);
    (void)script_give_timeout(s, &b);
    assert_int_equal(script_last(s, BFT_MESSAGE_TIMEOUT)->timeout.high.block.height, one.height);
    script_free(s);
}

static void the_view_survives_a_restart(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_tc tc = script_tc(s, 4, 7, NULL, NULL);
    (void)script_give_tc(s, &tc);
    script_restart(s, NULL, 0);
    assert_int_equal(bft_core_view(&s->core), 5);
    (void)script_give_propose(s, &one, NULL);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, NULL), 0);
    script_free(s);
}

/* Deadlock: members that all joined a view and forgot the TC before it cannot show each other the way. */
static void the_tc_survives_a_restart(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    struct bft_tc tc = script_tc(s, 0, 7, &qc, NULL);
    (void)script_give_tc(s, &tc);
    script_tick(s, 2000);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    script_restart(s, &one, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TC, NULL), 1);
    struct bft_timeout old = script_timeout(s, 0, NULL, 1);
    script_forget(s);
    script_tick(s, 10);
    (void)script_give_timeout(s, &old);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TC, NULL), 1);
    assert_int_equal(bft_tc_verify(&s->members, &s->verifier, &script_last(s, BFT_MESSAGE_TC)->tc), BFT_VERIFY_OK);
    script_free(s);
}

static void the_proof_of_a_joined_view_survives_a_restart(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->keep_own = true;
    for (uint8_t i = 0; i < 2; i++) {
        struct bft_timeout timeout = script_timeout(s, 5, NULL, i);
        (void)script_give_timeout(s, &timeout);
    }
    script_restart(s, NULL, 0);
    assert_int_equal(s->core.memory.joined.count, 2);
    assert_int_equal(s->core.memory.joined.view, 5);
    assert_true(s->core.memory.timed_out);
    script_free(s);
}

/* B-37 */
static void a_leader_that_was_restarted_gives_its_view_up(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_tc tc = script_tc(s, 2, 7, NULL, NULL);
    (void)script_give_tc(s, &tc);
    s->auto_propose = true;
    script_tick(s, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PROPOSE, NULL), 1);
    script_restart(s, NULL, 0);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_false(s->update.offer.may_propose);
    script_free(s);
}

static void a_memory_of_another_cluster_or_a_later_epoch_is_refused(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_start start;
    memset(&start, 0, sizeof start);
    start.members = s->members;
    start.limits = s->limits;
    start.me = 3;
    start.tip = s->genesis;
    struct bft_memory memory = s->core.memory;
    struct bft_core *core = malloc(sizeof *core);
    assert_true(bft_restore(core, &start, &memory, NULL, 0));
    memory.place.epoch++;
    assert_false(bft_restore(core, &start, &memory, NULL, 0));
    memory = s->core.memory;
    memory.place.cluster++;
    assert_false(bft_restore(core, &start, &memory, NULL, 0));
    memory = s->core.memory;
    memory.place.system_id[0] ^= 1;
    assert_false(bft_restore(core, &start, &memory, NULL, 0));
    memory = s->core.memory;
    memory.start.id.bytes[0] ^= 1;
    assert_false(bft_restore(core, &start, &memory, NULL, 0));
    free(core);
    script_free(s);
}

static void the_record_of_the_memory_is_exact(void **state) {
    (void)state;
    struct script *s = script_new(16, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 0x7FF);
    (void)script_give_qc(s, &qc);
    struct bft_tc tc = script_tc(s, 0, 0x7FF, &qc, NULL);
    (void)script_give_tc(s, &tc);
    script_tick(s, 3000);
    s->core.memory.joined = tc;
    static uint8_t bytes[BFT_MEMORY_BYTES_MAX], again[BFT_MEMORY_BYTES_MAX];
    size_t count = bft_memory_encode(&s->core.memory, bytes);
    struct bft_memory memory;
    assert_true(bft_memory_decode(bytes, count, &memory));
    assert_true(memory.timed_out && memory.has_prepared && memory.has_committed && memory.has_high);
    assert_int_equal(bft_memory_encode(&memory, again), count);
    assert_memory_equal(bytes, again, count);
    for (size_t shorter = 0; shorter < count; shorter++) assert_false(bft_memory_decode(bytes, shorter, &memory));
    bytes[count] = 0;
    assert_false(bft_memory_decode(bytes, count + 1, &memory));
    bytes[112] |= 0x80;
    assert_false(bft_memory_decode(bytes, count, &memory));
    script_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_prepared_is_not_prepared_otherwise_after_a_restart),
        cmocka_unit_test(a_timed_out_view_stays_timed_out_after_a_restart),
        cmocka_unit_test(the_high_survives_a_restart),
        cmocka_unit_test(the_view_survives_a_restart),
        cmocka_unit_test(the_tc_survives_a_restart),
        cmocka_unit_test(the_proof_of_a_joined_view_survives_a_restart),
        cmocka_unit_test(a_leader_that_was_restarted_gives_its_view_up),
        cmocka_unit_test(a_memory_of_another_cluster_or_a_later_epoch_is_refused),
        cmocka_unit_test(the_record_of_the_memory_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
