/* The prepare rule, B-20 and B-21, clause by clause: member 3 of 4, played against by the other three. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/bft/script.h"

static bool prepared(const struct script *script, const struct bft_header *header) {
    return script_sent(script, BFT_MESSAGE_PREPARE, header) > 0;
}

static void a_chain_of_a_view_is_prepared_block_by_block(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header parent = s->genesis;
    for (int i = 0; i < 4; i++) {
        struct bft_header block = script_block(s, &parent, 0, (uint8_t)(i + 1));
        assert_int_equal(script_give_propose(s, &block, NULL), BFT_VERIFY_OK);
        assert_true(prepared(s, &block));
        parent = block;
    }
    struct bft_header beyond = script_block(s, &parent, 0, 9); /* B-21 d: above committed + W */
    assert_int_equal(script_give_propose(s, &beyond, NULL), BFT_VERIFY_OK);
    assert_false(prepared(s, &beyond));
    script_free(s);
}

static void proposals_out_of_order_wait_for_their_parents(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    (void)script_give_propose(s, &two, NULL);
    assert_false(prepared(s, &two));
    (void)script_give_propose(s, &one, NULL);
    assert_true(prepared(s, &one));
    assert_true(prepared(s, &two));
    script_free(s);
}

static void nothing_is_prepared_before_its_inputs_are_held(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->keep_inputs = true;
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    assert_int_equal(s->executed_count, 0);
    assert_false(prepared(s, &one));
    struct bft_event event = {.type = BFT_EVENT_INPUTS_HELD, .block_id = bft_header_id(&one)};
    script_step(s, &event);
    assert_true(prepared(s, &one));
    script_free(s);
}

static void another_result_of_execution_is_not_prepared_and_names_the_leader(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->execute_wrong = true;
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    assert_false(prepared(s, &one));
    assert_int_equal(script_noted(s, BFT_NOTE_WRONG_RESULT), 1);
    script_free(s);
}

/* So many have lied that a view goes on whose leader does: it is the rules of voting that are to hold here. */
static void liars_lead_on(struct script *s) {
    for (uint32_t i = 0; i <= s->members.f; i++) s->core.lied[i] = true;
}

static void two_blocks_of_one_place_are_not_both_prepared(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header other = script_block(s, &s->genesis, 0, 2);
    liars_lead_on(s);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_propose(s, &other, NULL);
    assert_true(prepared(s, &one));
    assert_false(prepared(s, &other));
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    assert_int_equal(script_noted(s, BFT_NOTE_EQUIVOCATION), 1);
    assert_false(bft_hash_equal(&s->update.evidence[0].ballot.block_id, &s->update.evidence[1].ballot.block_id));
    script_free(s);
}

/* Rule (a): the first of a view stands on Q*. */
static void a_first_proposal_beside_q_star_is_refused(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_propose(s, &two, NULL);
    struct bft_qc qc = script_qc(s, &two, BFT_PREPARE, 7);
    struct bft_tc tc = script_tc(s, 0, 7, &qc, NULL);
    (void)script_give_tc(s, &tc);
    assert_int_equal(bft_core_view(&s->core), 1);
    struct bft_header beside = script_block(s, &one, 1, 0); /* old height 2 proposed again, and on a parent that is not Q* */
    assert_int_equal(script_give_propose(s, &beside, NULL), BFT_VERIFY_OK);
    assert_false(prepared(s, &beside));
    assert_int_equal(script_give_propose(s, &beside, &tc), BFT_VERIFY_TC);
    struct bft_header good = script_block(s, &two, 1, 0);
    struct bft_header late = script_block(s, &good, 1, 1);
    (void)script_give_propose(s, &late, NULL);
    assert_false(prepared(s, &late));
    script_free(s);
}

static void a_first_proposal_on_q_star_is_prepared(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    struct bft_tc tc = script_tc(s, 0, 7, &qc, NULL);
    struct bft_header two = script_block(s, &one, 1, 0);
    assert_int_equal(script_give_propose(s, &two, &tc), BFT_VERIFY_OK);
    assert_int_equal(bft_core_view(&s->core), 1);
    assert_true(prepared(s, &two));
    script_free(s);
}

/* Rule (a) is for the first that I prepare in the view: two TCs with different Q* would else start two chains. */
static void rule_a_is_used_once_in_a_view(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    struct bft_header three = script_block(s, &two, 0, 3);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_propose(s, &two, NULL);
    (void)script_give_propose(s, &three, NULL);
    struct bft_qc low = script_qc(s, &one, BFT_PREPARE, 7);
    struct bft_qc high = script_qc(s, &three, BFT_PREPARE, 7);
    struct bft_tc tc_low = script_tc(s, 0, 7, &low, NULL);
    struct bft_tc tc_high = script_tc(s, 0, 7, &high, &low);
    struct bft_header first = script_block(s, &one, 1, 0);
    struct bft_header second = script_block(s, &three, 1, 0);
    assert_int_equal(script_give_propose(s, &first, &tc_low), BFT_VERIFY_OK);
    assert_true(prepared(s, &first));
    assert_int_equal(script_give_propose(s, &second, &tc_high), BFT_VERIFY_OK);
    assert_false(prepared(s, &second));
    script_free(s);
}

/* Rule (b): after that along what I prepared. */
static void a_second_chain_in_a_view_is_refused(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header other = script_block(s, &s->genesis, 0, 2);
    struct bft_header after_other = script_block(s, &other, 0, 3);
    liars_lead_on(s);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_propose(s, &after_other, NULL);
    (void)script_give_propose(s, &other, NULL);
    assert_true(prepared(s, &one));
    assert_false(prepared(s, &after_other));
    /* Also when the other branch comes to be known and executed: by fetching. */
    struct bft_message block = {.type = BFT_MESSAGE_BLOCK, .block_id = bft_header_id(&other)};
    block.block.header = other;
    (void)script_give(s, &block, 0);
    struct bft_qc qc = script_qc(s, &other, BFT_PREPARE, 7);
    (void)script_give_qc(s, &qc);
    script_tick(s, 300);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    assert_false(prepared(s, &after_other));
    script_free(s);
}

static void above_a_commit_qc_of_this_view_one_goes_on_without_having_prepared(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header other = script_block(s, &s->genesis, 0, 2);
    struct bft_header after_other = script_block(s, &other, 0, 3);
    (void)script_give_propose(s, &one, NULL); /* the leader showed me this, the others that */
    assert_true(prepared(s, &one));
    struct bft_qc commit = script_qc(s, &other, BFT_COMMIT, 7);
    (void)script_give_qc(s, &commit);
    struct bft_message block = {.type = BFT_MESSAGE_BLOCK, .block_id = bft_header_id(&other)};
    block.block.header = other;
    assert_true(bft_core_wants(&s->core, &block, 0));
    (void)script_give(s, &block, 0);
    assert_true(script_is_final(s, &other));
    (void)script_give_propose(s, &after_other, NULL);
    assert_true(prepared(s, &after_other));
    script_free(s);
}

/* (b) with a commit QC of another view: the final block of view 0 is no foothold in view 1, whose chain begins at Q*. */
static void above_a_commit_qc_of_another_view_one_does_not(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    script_decide(s, &one, 7);
    (void)script_give_propose(s, &two, NULL);
    assert_true(script_is_final(s, &one));
    struct bft_qc qc = script_qc(s, &two, BFT_PREPARE, 7);
    struct bft_tc tc = script_tc(s, 0, 7, &qc, NULL);
    (void)script_give_tc(s, &tc);
    struct bft_header beside = script_block(s, &one, 1, 0);
    (void)script_give_propose(s, &beside, NULL);
    assert_false(prepared(s, &beside));
    script_free(s);
}

/* Deadlock: the window is full of blocks that have no commit QC; only the first, empty block of a new view may go beyond it. */
static void the_first_empty_block_of_a_view_may_exceed_the_window(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 1);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    struct bft_tc tc = script_tc(s, 0, 7, &qc, NULL);
    struct bft_header full = script_block(s, &one, 1, 2);
    (void)script_give_propose(s, &full, &tc);
    assert_false(prepared(s, &full));
    script_free(s);
    s = script_new(4, 3, 1);
    (void)script_give_propose(s, &one, NULL);
    struct bft_header empty = script_block(s, &one, 1, 0);
    struct bft_header second = script_block(s, &empty, 1, 0);
    (void)script_give_propose(s, &empty, &tc);
    assert_true(prepared(s, &empty));
    (void)script_give_propose(s, &second, NULL);
    assert_false(prepared(s, &second));
    script_free(s);
}

/* Deadlock: Q* is never compared with my own lock, which q members may never have seen. */
static void a_q_star_below_my_own_lock_is_followed(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_propose(s, &two, NULL);
    struct bft_qc mine = script_qc(s, &two, BFT_PREPARE, 7);
    (void)script_give_qc(s, &mine);
    assert_int_equal(s->core.memory.high_qc.ballot.height, two.height);
    struct bft_qc low = script_qc(s, &one, BFT_PREPARE, 7);
    struct bft_tc tc = script_tc(s, 0, 7, &low, NULL);
    struct bft_header next = script_block(s, &one, 1, 0);
    (void)script_give_propose(s, &next, &tc);
    assert_true(prepared(s, &next));
    assert_int_equal(s->core.memory.high_qc.ballot.height, two.height);
    script_free(s);
}

static void a_header_older_than_its_parent_is_refused(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header later = script_block(s, &s->genesis, 0, 1);
    later.time = 500;
    script_decide(s, &later, 7);
    struct bft_header back = script_block(s, &later, 0, 2);
    back.time = 499;
    (void)script_give_propose(s, &back, NULL);
    assert_false(prepared(s, &back));
    assert_int_equal(script_noted(s, BFT_NOTE_BAD_PROPOSAL), 1);
    script_free(s);
}

/* B-24 */
static void a_header_from_the_future_waits_for_its_time(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    uint64_t estimate = bft_core_time(&s->core, s->now_ms);
    one.time = estimate + 1001;
    (void)script_give_propose(s, &one, NULL);
    assert_false(prepared(s, &one));
    assert_int_equal(s->update.deadline_ms, s->now_ms + 1);
    script_tick(s, 1);
    assert_true(prepared(s, &one));
    script_free(s);
}

static void the_estimate_moves_by_a_thousandth_toward_final_headers(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    one.time = bft_core_time(&s->core, s->now_ms);
    script_decide(s, &one, 7);
    script_tick(s, 10000);
    uint64_t before = bft_core_time(&s->core, s->now_ms);
    struct bft_header two = script_block(s, &one, 0, 2);
    two.time = before + 900;
    script_decide(s, &two, 7);
    assert_true(script_is_final(s, &two));
    assert_int_equal(bft_core_time(&s->core, s->now_ms), before + 10);
    script_free(s);
}

/* B-53: a leader's turn ends. */
static void nothing_is_prepared_beyond_the_leaders_turn(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->core.limits.rotation_blocks = 1;
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    struct bft_header three = script_block(s, &two, 0, 3);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_propose(s, &two, NULL);
    (void)script_give_propose(s, &three, NULL);
    assert_true(prepared(s, &two));
    assert_false(prepared(s, &three));
    script_free(s);
}

static void an_observer_and_a_member_not_yet_allowed_sign_nothing(void **state) {
    (void)state;
    struct script *s = script_new(4, BFT_NOBODY, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    script_decide(s, &one, 7);
    assert_true(script_is_final(s, &one));
    assert_int_equal(s->sent_count, 0);
    script_free(s);
    s = script_new(4, 3, 4);
    s->core.voting = false;
    script_decide(s, &one, 7);
    script_tick(s, 20000);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, NULL) + script_sent(s, BFT_MESSAGE_COMMIT, NULL), 0);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    assert_true(script_is_final(s, &one));
    script_free(s);
}

static void a_far_height_takes_no_room(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header far = script_block(s, &s->genesis, 0, 1);
    far.height += 1000000;
    (void)script_give_propose(s, &far, NULL);
    struct bft_hash id = bft_header_id(&far);
    assert_null(bft_core_header(&s->core, &id));
    script_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_of_a_view_is_prepared_block_by_block),
        cmocka_unit_test(proposals_out_of_order_wait_for_their_parents),
        cmocka_unit_test(nothing_is_prepared_before_its_inputs_are_held),
        cmocka_unit_test(another_result_of_execution_is_not_prepared_and_names_the_leader),
        cmocka_unit_test(two_blocks_of_one_place_are_not_both_prepared),
        cmocka_unit_test(a_first_proposal_beside_q_star_is_refused),
        cmocka_unit_test(a_first_proposal_on_q_star_is_prepared),
        cmocka_unit_test(rule_a_is_used_once_in_a_view),
        cmocka_unit_test(a_second_chain_in_a_view_is_refused),
        cmocka_unit_test(above_a_commit_qc_of_this_view_one_goes_on_without_having_prepared),
        cmocka_unit_test(above_a_commit_qc_of_another_view_one_does_not),
        cmocka_unit_test(the_first_empty_block_of_a_view_may_exceed_the_window),
        cmocka_unit_test(a_q_star_below_my_own_lock_is_followed),
        cmocka_unit_test(a_header_older_than_its_parent_is_refused),
        cmocka_unit_test(a_header_from_the_future_waits_for_its_time),
        cmocka_unit_test(the_estimate_moves_by_a_thousandth_toward_final_headers),
        cmocka_unit_test(nothing_is_prepared_beyond_the_leaders_turn),
        cmocka_unit_test(an_observer_and_a_member_not_yet_allowed_sign_nothing),
        cmocka_unit_test(a_far_height_takes_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
