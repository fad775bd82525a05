/* TIMEOUTs, TCs, timers, slow and censoring leaders, rotation: B-30 to B-37, B-50 to B-56. Member 3 of 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/bft/script.h"

static void waiting_of(struct script *s, uint32_t count, uint64_t weight, uint64_t since_ms) {
    struct bft_event event = {.type = BFT_EVENT_WAITING};
    event.waiting = (struct bft_waiting){.view = bft_core_view(&s->core), .count = count, .weight = weight, .oldest_relayed_ms = since_ms};
    event.waiting.arrived_ms = since_ms;
    script_step(s, &event);
}

static void waiting(struct script *s, uint32_t count, uint64_t since_ms) {
    waiting_of(s, count, count, since_ms);
}

static uint8_t cause(const struct script *s) {
    for (uint32_t i = s->note_count; i > 0; i--) {
        if (s->notes[i - 1].type == BFT_NOTE_TIMEOUT) return s->notes[i - 1].detail;
    }
    return 0;
}

static void one_timeout_alone_moves_nobody(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_timeout one = script_timeout(s, 0, NULL, 1);
    (void)script_give_timeout(s, &one);
    struct bft_timeout later = script_timeout(s, 7, NULL, 1);
    (void)script_give_timeout(s, &later);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    assert_int_equal(bft_core_view(&s->core), 0);
    script_free(s);
}

static void f_plus_one_timeouts_make_me_join(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    for (uint8_t i = 1; i <= 2; i++) {
        struct bft_timeout timeout = script_timeout(s, 0, NULL, i);
        (void)script_give_timeout(s, &timeout);
    }
    /* mine was the third: the view is over */
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_int_equal(cause(s), BFT_TIMEOUT_JOINED);
    assert_int_equal(bft_core_view(&s->core), 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TC, NULL), 1);
    script_free(s);
}

/* B-70: whoever is behind learns by STATUS that he is; views that end sooner than one is due put it off for ever otherwise. */
static void views_that_change_quickly_put_no_status_off(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    uint64_t base_ms = s->limits.view_base_ms;
    script_tick(s, base_ms);
    script_forget(s);
    for (uint64_t view = 0; view < 16; view++) {
        for (uint8_t i = 1; i <= 2; i++) {
            struct bft_timeout timeout = script_timeout(s, view, NULL, i);
            (void)script_give_timeout(s, &timeout);
        }
        assert_int_equal(bft_core_view(&s->core), view + 1);
        script_tick(s, base_ms / 4);
    }
    assert_true(script_sent(s, BFT_MESSAGE_STATUS, NULL) >= 4);
    script_free(s);
}

static void joining_a_later_view_keeps_the_proof_and_votes_for_nothing(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->keep_own = true;
    struct bft_header one = script_block(s, &s->genesis, 5, 1);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    for (uint8_t i = 0; i < 2; i++) {
        struct bft_timeout timeout = script_timeout(s, 5, &qc, i);
        (void)script_give_timeout(s, &timeout);
    }
    assert_int_equal(bft_core_view(&s->core), 5);
    assert_true(s->core.memory.timed_out);
    assert_int_equal(s->core.memory.joined.count, 2);
    assert_int_equal(s->core.memory.tc.count, 0);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, NULL), 0); /* without TC(4) nothing may be voted */
    assert_int_equal(script_last(s, BFT_MESSAGE_TIMEOUT)->timeout.high.view, 5);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TC, NULL), 0);
    script_free(s);
}

static void timeouts_of_different_views_do_not_add_up(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    for (uint8_t i = 0; i < 3; i++) {
        struct bft_timeout timeout = script_timeout(s, 3u + i, NULL, i);
        (void)script_give_timeout(s, &timeout);
    }
    assert_int_equal(bft_core_view(&s->core), 0);
    script_free(s);
}

static void the_tc_that_i_make_has_the_highest_q_star(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    struct bft_qc low = script_qc(s, &one, BFT_PREPARE, 7);
    struct bft_qc high = script_qc(s, &two, BFT_PREPARE, 7);
    struct bft_timeout a = script_timeout(s, 0, &low, 0);
    struct bft_timeout b = script_timeout(s, 0, &high, 1);
    struct bft_timeout c = script_timeout(s, 0, &low, 2);
    s->keep_own = true;
    (void)script_give_timeout(s, &c);
    (void)script_give_timeout(s, &b);
    (void)script_give_timeout(s, &a);
    const struct bft_message *tc = script_last(s, BFT_MESSAGE_TC);
    assert_non_null(tc);
    assert_int_equal(tc->tc.qc.ballot.height, two.height);
    assert_int_equal(bft_tc_verify(&s->members, &s->verifier, &tc->tc), BFT_VERIFY_OK);
    assert_int_equal(s->core.base.height, two.height);
    script_free(s);
}

static void a_leader_that_gives_up_is_believed_for_its_own_view_only(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_timeout next = script_timeout(s, 1, NULL, 1);
    (void)script_give_timeout(s, &next);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    struct bft_timeout own = script_timeout(s, 0, NULL, 0);
    (void)script_give_timeout(s, &own);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_int_equal(cause(s), BFT_TIMEOUT_LEADER);
    script_free(s);
}

static void an_idle_view_lasts(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    for (int i = 0; i < 200; i++) script_tick(s, 500);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

static void a_proposal_without_commit_times_out_after_t(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    script_tick(s, 5000);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    script_tick(s, 999);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_tick(s, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_int_equal(cause(s), BFT_TIMEOUT_PROGRESS);
    script_free(s);
}

static void the_timer_doubles_per_view_and_a_commit_ends_that(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    for (uint64_t view = 0; view < 2; view++) {
        struct bft_tc tc = script_tc(s, view, 7, &qc, NULL);
        (void)script_give_tc(s, &tc);
        script_forget(s);
        script_tick(s, (1000u << (view + 1)) - 1);
        assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
        script_tick(s, 1);
        assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    }
    struct bft_qc commit = script_qc(s, &one, BFT_COMMIT, 7);
    (void)script_give_qc(s, &commit);
    assert_int_equal(s->core.doublings, 0);
    script_free(s);
}

static void a_timeout_is_sent_again_byte_for_byte_with_the_tc_before_it(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    struct bft_tc tc = script_tc(s, 0, 7, &qc, NULL);
    (void)script_give_tc(s, &tc);
    script_tick(s, 2000);
    uint8_t first[4096], again[4096];
    size_t first_bytes = bft_wire_encode(script_last(s, BFT_MESSAGE_TIMEOUT), first, sizeof first);
    struct bft_header two = script_block(s, &one, 1, 0);
    struct bft_qc newer = script_qc(s, &two, BFT_PREPARE, 7);
    (void)script_give_qc(s, &newer);
    script_forget(s);
    script_tick(s, 600);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TC, NULL), 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    size_t again_bytes = bft_wire_encode(script_last(s, BFT_MESSAGE_TIMEOUT), again, sizeof again);
    assert_int_equal(first_bytes, again_bytes);
    assert_memory_equal(first, again, first_bytes);
    script_free(s);
}

static void a_lower_view_is_answered_with_the_tc(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_tc tc = script_tc(s, 4, 7, NULL, NULL);
    (void)script_give_tc(s, &tc);
    assert_int_equal(bft_core_view(&s->core), 5);
    script_forget(s);
    struct bft_timeout old = script_timeout(s, 2, NULL, 1);
    (void)script_give_timeout(s, &old);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TC, NULL), 1);
    assert_int_equal(s->sent_to[0], 1);
    (void)script_give_timeout(s, &old); /* not at once again */
    assert_int_equal(script_sent(s, BFT_MESSAGE_TC, NULL), 1);
    assert_int_equal(bft_core_view(&s->core), 5);
    script_free(s);
}

static void a_late_tc_tells_a_joiner_where_its_view_begins(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->keep_own = true;
    for (uint8_t i = 0; i < 2; i++) {
        struct bft_timeout timeout = script_timeout(s, 5, NULL, i);
        (void)script_give_timeout(s, &timeout);
    }
    assert_int_equal(s->core.memory.tc.count, 0);
    struct bft_tc tc = script_tc(s, 4, 7, NULL, NULL);
    (void)script_give_tc(s, &tc);
    assert_int_equal(bft_core_view(&s->core), 5);
    assert_int_equal(s->core.memory.tc.count, 3);
    assert_true(s->core.memory.timed_out);
    script_free(s);
}

/* B-50 */
static void an_input_times_out_only_t_after_it_was_relayed(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    script_tick(s, 60000);
    waiting(s, 1, s->now_ms);
    script_tick(s, 999);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_tick(s, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_int_equal(cause(s), BFT_TIMEOUT_INPUT);
    script_free(s);
}

static void an_input_that_is_settled_in_time_times_nobody_out(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    for (int i = 0; i < 50; i++) {
        waiting(s, 1, s->now_ms);
        script_tick(s, 900);
        waiting(s, 0, 0);
        script_tick(s, 900);
    }
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

static void a_leader_that_decides_other_things_does_not_save_itself(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = s->genesis;
    waiting(s, 1, s->now_ms);
    for (int i = 0; i < 12 && script_sent(s, BFT_MESSAGE_TIMEOUT, NULL) == 0; i++) {
        struct bft_header block = script_block(s, &parent, 0, (uint8_t)(i + 1));
        script_decide(s, &block, 7);
        parent = block;
        script_tick(s, 100);
    }
    assert_int_equal(cause(s), BFT_TIMEOUT_INPUT);
    script_free(s);
}

/* B-52: at a fifth of the speed, while as much waits as before. `idle_ms` before the end of each of its blocks' time nothing waits any more; what
 * does is handed to the leader `held_ms` after it came. */
static struct script *slow_leader_held(uint64_t idle_ms, uint64_t held_ms, bool mine) {
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = s->genesis;
    uint64_t begun = 0;
    for (int i = 0; i < 250 && script_sent(s, BFT_MESSAGE_TIMEOUT, NULL) == 0; i++) {
        uint64_t arrived_ms = s->now_ms;
        if (i >= 100 && held_ms > 0) {
            waiting(s, 0, 0);
            script_tick(s, held_ms);
        }
        struct bft_event event = {.type = BFT_EVENT_WAITING, .waiting = {.count = 8, .weight = 8, .oldest_relayed_ms = s->now_ms}};
        event.waiting.arrived_ms = arrived_ms;
        script_step(s, &event); /* a closed loop: what is answered is asked anew */
        script_tick(s, i < 100 ? 50 : 250 - idle_ms - held_ms);
        if (i >= 100 && idle_ms > 0) {
            waiting(s, 0, 0);
            script_tick(s, idle_ms);
        }
        if (i == 100) begun = s->now_ms;
        if (i == 100 && mine) s->core.me = 0; /* from now on it looks as the leader */
        struct bft_header block = script_block(s, &parent, 0, (uint8_t)(i % 200 + 1));
        script_decide(s, &block, 7);
        parent = block;
        s->final_count = 0;
        s->executed_count = 0;
        if (script_sent(s, BFT_MESSAGE_TIMEOUT, NULL) == 0) script_forget(s);
    }
    if (script_sent(s, BFT_MESSAGE_TIMEOUT, NULL) > 0) assert_true(s->now_ms - begun <= 5000);
    return s;
}

static struct script *slow_leader(uint64_t idle_ms, bool mine) {
    return slow_leader_held(idle_ms, 0, mine);
}

static void a_slow_leader_is_replaced(void **state) {
    (void)state;
    struct script *s = slow_leader(0, false);
    assert_int_equal(cause(s), BFT_TIMEOUT_SLOW);
    script_free(s);
}

/* Its own alarm would be enough (B-35), and others judge it. */
static void a_leader_does_not_judge_its_own_pace(void **state) {
    (void)state;
    struct script *s = slow_leader(0, true);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

/* Whatever ends a period, nothing waits then: that is when a slow leader would like to take up what it was given. */
static void a_slow_leader_that_is_quick_when_the_period_ends_is_replaced(void **state) {
    (void)state;
    struct script *s = slow_leader(60, false);
    assert_int_equal(cause(s), BFT_TIMEOUT_SLOW);
    script_free(s);
}

/* As a coordinator's leader sees a slow shard: few operations, which come in one go and are decided soon. */
static void a_leader_that_has_nothing_waiting_most_of_the_time_is_not_slow(void **state) {
    (void)state;
    struct script *s = slow_leader(100, false);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

/* What a leader was handed late waited from when it came: else one that is a little quicker than that is never slow. */
static void what_is_handed_over_late_waited_before(void **state) {
    (void)state;
    struct script *s = slow_leader_held(0, 150, false);
    assert_int_equal(cause(s), BFT_TIMEOUT_SLOW);
    script_free(s);
}

static void a_fall_in_demand_is_no_fault_of_the_leader(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = s->genesis;
    for (int i = 0; i < 160; i++) {
        waiting(s, i < 100 ? 8 : 1, s->now_ms);
        script_tick(s, i < 100 ? 50 : 50);
        struct bft_header block = script_block(s, &parent, 0, (uint8_t)(i % 200 + 1));
        script_decide(s, &block, 7);
        parent = block;
        if (i >= 100) {
            waiting(s, 0, 0);
            script_tick(s, 450);
        }
        s->final_count = 0;
        s->executed_count = 0;
        assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
        script_forget(s);
    }
    script_free(s);
}

/* B-55: the next view, which decides a block and is deposed by the others after `ms`. */
static struct bft_header deposed_view(struct script *s, const struct bft_header *parent, bool decides, uint32_t ms) {
    uint64_t view = bft_core_view(&s->core);
    struct bft_header block = *parent;
    if (decides) {
        block = script_block(s, parent, view, (uint8_t)(view + 1));
        script_decide(s, &block, 7);
        s->final_count = 0;
        s->executed_count = 0;
    }
    script_tick(s, ms);
    struct bft_qc high = script_qc(s, &block, BFT_PREPARE, 7);
    struct bft_tc tc = script_tc(s, view, 7, block.height > 0 ? &high : NULL, NULL);
    assert_int_equal(script_give_tc(s, &tc), BFT_VERIFY_OK);
    script_forget(s);
    return block;
}

static void more_than_f_hasty_views_in_a_row_double_the_time_outs(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = deposed_view(s, &s->genesis, true, 900);
    assert_int_equal(bft_core_strain(&s->core), 0);
    parent = deposed_view(s, &parent, true, 900);
    assert_int_equal(bft_core_strain(&s->core), 1);
    struct bft_header block = script_block(s, &parent, 2, 9);
    script_decide(s, &block, 7); /* which ends the doubling of B-36, but not the strain */
    assert_int_equal(s->core.doublings, 0);
    script_forget(s);
    waiting(s, 1, s->now_ms);
    script_tick(s, 1999);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_tick(s, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_int_equal(cause(s), BFT_TIMEOUT_INPUT);
    script_free(s);
}

static void strain_has_an_end(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = s->genesis;
    for (int i = 0; i < 40; i++) parent = deposed_view(s, &parent, true, 100);
    assert_int_equal(bft_core_strain(&s->core), BFT_STRAIN_MAX);
    script_free(s);
}

static void f_hasty_views_between_calm_ones_raise_no_strain(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = s->genesis;
    for (int i = 0; i < 10; i++) {
        parent = deposed_view(s, &parent, true, 900);
        parent = deposed_view(s, &parent, true, 4000);
        assert_int_equal(bft_core_strain(&s->core), 0);
    }
    script_free(s);
}

/* R may be so small that an honest leader's turn is over before a calm period is: it parts the hasty views all the same. */
static void f_hasty_views_between_turns_raise_no_strain(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->core.limits.rotation_blocks = 1;
    struct bft_header parent = s->genesis;
    for (int i = 0; i < 6; i++) {
        parent = deposed_view(s, &parent, true, 900);
        struct bft_header one = script_block(s, &parent, bft_core_view(&s->core), (uint8_t)(100 + i));
        script_decide(s, &one, 7);
        parent = deposed_view(s, &one, true, 10);
        assert_int_equal(bft_core_strain(&s->core), 0);
    }
    script_free(s);
}

/* B-36 doubles for those, and ends that with the first commit. */
static void views_that_decide_nothing_raise_no_strain(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = deposed_view(s, &s->genesis, true, 900);
    for (int i = 0; i < 8; i++) parent = deposed_view(s, &parent, false, 900);
    assert_int_equal(bft_core_strain(&s->core), 0);
    script_free(s);
}

static void a_turn_that_is_over_is_not_hasty(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->core.limits.rotation_blocks = 1;
    struct bft_header parent = s->genesis;
    for (int i = 0; i < 6; i++) {
        uint64_t view = bft_core_view(&s->core);
        struct bft_header one = script_block(s, &parent, view, (uint8_t)(2 * i + 1));
        script_decide(s, &one, 7);
        parent = deposed_view(s, &one, true, 10);
    }
    assert_int_equal(bft_core_strain(&s->core), 0);
    script_free(s);
}

static void calm_takes_the_strain_back_step_by_step(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = s->genesis;
    for (int i = 0; i < 4; i++) parent = deposed_view(s, &parent, true, 100);
    struct bft_header block = script_block(s, &parent, 4, 99);
    script_decide(s, &block, 7);
    assert_int_equal(bft_core_strain(&s->core), 2);
    script_tick(s, 15999);
    assert_int_equal(bft_core_strain(&s->core), 2);
    script_tick(s, 1);
    assert_int_equal(bft_core_strain(&s->core), 1);
    script_tick(s, 8000);
    assert_int_equal(bft_core_strain(&s->core), 0);
    script_free(s);
}

/* Three requests a second and then one: chance, not the leader. */
static void few_operations_a_period_judge_nobody(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = s->genesis;
    s->weight = 4;
    for (int i = 0; i < 60; i++) {
        waiting(s, 8, s->now_ms);
        script_tick(s, i < 40 ? 100 : 900);
        struct bft_header block = script_block(s, &parent, 0, (uint8_t)(i + 1));
        script_decide(s, &block, 7);
        parent = block;
        assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
        script_forget(s);
        s->final_count = 0;
        s->executed_count = 0;
    }
    script_free(s);
}

/* As many inputs wait as before, but with fewer operations each: what is decided of those falls with them. */
static void fewer_operations_in_as_many_inputs_are_no_fault_of_the_leader(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = s->genesis;
    for (int i = 0; i < 300; i++) {
        uint64_t operations = i < 100 ? 64 : 8;
        waiting_of(s, 8, 8 * operations, s->now_ms);
        script_tick(s, 50);
        struct bft_header block = script_block(s, &parent, 0, (uint8_t)(i % 200 + 1));
        s->weight = 8 * operations;
        script_decide(s, &block, 7);
        parent = block;
        s->final_count = 0;
        s->executed_count = 0;
        assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
        script_forget(s);
    }
    script_free(s);
}

static void after_r_decisions_the_view_ends(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->core.limits.rotation_blocks = 1;
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    script_decide(s, &one, 7);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_decide(s, &two, 7);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_int_equal(cause(s), BFT_TIMEOUT_ROTATION);
    script_free(s);
}

static void others_timeout(struct script *s, uint64_t view, uint8_t signer) {
    struct bft_timeout timeout = script_timeout(s, view, NULL, signer);
    (void)script_give_timeout(s, &timeout);
}

/* B-56 */
static void a_calm_leader_ends_its_view_for_who_timed_it_out_alone(void **state) {
    (void)state;
    for (uint32_t input_ms = 1000; input_ms <= 10000; input_ms += 9000) {
        struct script *s = script_new(4, 0, 4);
        s->core.limits.input_relay_ms = input_ms;
        others_timeout(s, 0, 2);
        script_tick(s, (input_ms == 1000 ? 60000 : 80000) - 1);
        assert_true(s->core.calm);
        assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
        script_tick(s, 1);
        assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
        assert_int_equal(cause(s), BFT_TIMEOUT_ALONE);
        script_free(s);
    }
}

static void a_leader_goes_on_where_all_vote_or_it_is_not_calm(void **state) {
    (void)state;
    struct script *s = script_new(4, 0, 4);
    uint64_t input_ms = s->limits.input_relay_ms;
    others_timeout(s, 7, 2); /* of another view */
    for (int i = 0; i < 100; i++) script_tick(s, input_ms);
    assert_true(s->core.calm);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
    s = script_new(4, 0, 4);
    others_timeout(s, 0, 2);
    for (int i = 0; i < 100; i++) {
        waiting(s, 1, s->now_ms);
        script_tick(s, input_ms * 3 / 4);
    }
    assert_false(s->core.calm);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

static void who_does_not_lead_ends_no_view_for_one_alone(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    others_timeout(s, 0, 2);
    for (int i = 0; i < 100; i++) script_tick(s, s->limits.input_relay_ms);
    assert_true(s->core.calm);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

/* B-70, B-56: the leader may have missed it, and the others' decisions keep me from being stuck. */
static void who_timed_out_alone_says_so_again_while_others_decide(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    uint64_t base_ms = s->limits.view_base_ms;
    waiting(s, 1, s->now_ms);
    script_tick(s, base_ms);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    struct bft_header parent = s->genesis;
    for (uint8_t i = 1; i <= 20; i++) {
        struct bft_header block = script_block(s, &parent, 0, i);
        script_decide(s, &block, 7);
        script_tick(s, base_ms / 5);
        parent = block;
    }
    uint32_t sent = script_sent(s, BFT_MESSAGE_TIMEOUT, NULL);
    assert_true(sent >= 4 && sent <= 6);
    script_free(s);
}

static void a_timeout_with_a_bad_high_costs_only_its_sender(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->keep_own = true;
    struct bft_header ahead = script_block(s, &s->genesis, 9, 1);
    struct bft_qc later = script_qc(s, &ahead, BFT_PREPARE, 7);
    struct bft_timeout above = script_timeout(s, 3, &later, 0);
    assert_int_equal(script_give_timeout(s, &above), BFT_VERIFY_HIGH);
    struct bft_timeout forged = script_timeout(s, 3, NULL, 0);
    forged.high.block.id.bytes[0] ^= 1;
    assert_int_equal(script_give_timeout(s, &forged), BFT_VERIFY_HIGH);
    struct bft_qc short_qc = script_qc(s, &ahead, BFT_PREPARE, 3);
    struct bft_timeout few = script_timeout(s, 9, &short_qc, 0);
    assert_int_equal(script_give_timeout(s, &few), BFT_VERIFY_QUORUM);
    struct bft_qc commit = script_qc(s, &ahead, BFT_COMMIT, 7);
    struct bft_timeout kind = script_timeout(s, 9, &commit, 0);
    assert_int_equal(script_give_timeout(s, &kind), BFT_VERIFY_KIND);
    for (uint8_t i = 0; i < 3; i++) {
        struct bft_timeout good = script_timeout(s, 3, NULL, i);
        assert_int_equal(script_give_timeout(s, &good), BFT_VERIFY_OK);
    }
    assert_int_equal(bft_core_view(&s->core), 4);
    script_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_timeout_alone_moves_nobody),
        cmocka_unit_test(f_plus_one_timeouts_make_me_join),
        cmocka_unit_test(views_that_change_quickly_put_no_status_off),
        cmocka_unit_test(joining_a_later_view_keeps_the_proof_and_votes_for_nothing),
        cmocka_unit_test(timeouts_of_different_views_do_not_add_up),
        cmocka_unit_test(the_tc_that_i_make_has_the_highest_q_star),
        cmocka_unit_test(a_leader_that_gives_up_is_believed_for_its_own_view_only),
        cmocka_unit_test(an_idle_view_lasts),
        cmocka_unit_test(a_proposal_without_commit_times_out_after_t),
        cmocka_unit_test(the_timer_doubles_per_view_and_a_commit_ends_that),
        cmocka_unit_test(a_timeout_is_sent_again_byte_for_byte_with_the_tc_before_it),
        cmocka_unit_test(a_lower_view_is_answered_with_the_tc),
        cmocka_unit_test(a_late_tc_tells_a_joiner_where_its_view_begins),
        cmocka_unit_test(an_input_times_out_only_t_after_it_was_relayed),
        cmocka_unit_test(an_input_that_is_settled_in_time_times_nobody_out),
        cmocka_unit_test(a_leader_that_decides_other_things_does_not_save_itself),
        cmocka_unit_test(a_slow_leader_is_replaced),
        cmocka_unit_test(a_leader_does_not_judge_its_own_pace),
        cmocka_unit_test(a_slow_leader_that_is_quick_when_the_period_ends_is_replaced),
        cmocka_unit_test(a_leader_that_has_nothing_waiting_most_of_the_time_is_not_slow),
        cmocka_unit_test(what_is_handed_over_late_waited_before),
        cmocka_unit_test(a_fall_in_demand_is_no_fault_of_the_leader),
        cmocka_unit_test(few_operations_a_period_judge_nobody),
        cmocka_unit_test(fewer_operations_in_as_many_inputs_are_no_fault_of_the_leader),
        cmocka_unit_test(more_than_f_hasty_views_in_a_row_double_the_time_outs),
        cmocka_unit_test(strain_has_an_end),
        cmocka_unit_test(f_hasty_views_between_calm_ones_raise_no_strain),
        cmocka_unit_test(f_hasty_views_between_turns_raise_no_strain),
        cmocka_unit_test(views_that_decide_nothing_raise_no_strain),
        cmocka_unit_test(a_turn_that_is_over_is_not_hasty),
        cmocka_unit_test(calm_takes_the_strain_back_step_by_step),
        cmocka_unit_test(after_r_decisions_the_view_ends),
        cmocka_unit_test(a_calm_leader_ends_its_view_for_who_timed_it_out_alone),
        cmocka_unit_test(a_leader_goes_on_where_all_vote_or_it_is_not_calm),
        cmocka_unit_test(who_does_not_lead_ends_no_view_for_one_alone),
        cmocka_unit_test(who_timed_out_alone_says_so_again_while_others_decide),
        cmocka_unit_test(a_timeout_with_a_bad_high_costs_only_its_sender),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
