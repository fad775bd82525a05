/* A leader that was seen to sign two things for one place loses its views at once: B-18, B-80, and what 3.12 leaves free. Member 3 of 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/bft/script.h"

static uint8_t cause(const struct script *s) {
    for (uint32_t i = s->note_count; i > 0; i--) {
        if (s->notes[i - 1].type == BFT_NOTE_TIMEOUT) return s->notes[i - 1].detail;
    }
    return 0;
}

/* Member `signer` gives two COMMITs of one view and height. */
static void two_commits(struct script *s, uint64_t view, uint8_t signer) {
    for (uint8_t salt = 1; salt <= 2; salt++) {
        struct bft_header block = script_block(s, &s->genesis, view, salt);
        assert_int_equal(script_give_vote(s, &block, BFT_COMMIT, signer), BFT_VERIFY_OK);
    }
}

/* The view ends by the others, who state the start as their high. */
static void view_over(struct script *s, uint64_t view) {
    struct bft_tc tc = script_tc(s, view, 7, NULL, NULL);
    assert_int_equal(script_give_tc(s, &tc), BFT_VERIFY_OK);
    assert_int_equal(bft_core_view(&s->core), view + 1);
}

static void a_leader_that_proposes_two_blocks_for_one_place_loses_its_view_at_once(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1), other = script_block(s, &s->genesis, 0, 2);
    (void)script_give_propose(s, &one, NULL);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    (void)script_give_propose(s, &other, NULL);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_int_equal(cause(s), BFT_TIMEOUT_LIED);
    script_free(s);
}

static void a_member_that_lied_is_passed_over_when_its_turn_comes_and_nobody_else_is(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    two_commits(s, 0, 2);
    assert_int_equal(script_noted(s, BFT_NOTE_EQUIVOCATION), 1);
    for (uint64_t view = 0; view < 8; view++) {
        script_forget(s);
        if (view > 0) view_over(s, view - 1);
        assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), view % 4 == 2);
        if (view % 4 == 2) assert_int_equal(cause(s), BFT_TIMEOUT_LIED);
    }
    script_free(s);
}

/* Who gave each of us but one of the two is seen by the first that has both. */
static void both_votes_go_to_all_once_and_the_one_that_counts_comes_first(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    two_commits(s, 0, 2);
    struct bft_header one = script_block(s, &s->genesis, 0, 1), other = script_block(s, &s->genesis, 0, 2);
    assert_int_equal(s->sent_count, 2);
    struct script *second = script_new(4, 1, 4);
    assert_int_equal(script_give_vote(second, &other, BFT_COMMIT, 2), BFT_VERIFY_OK);
    view_over(second, 0);
    view_over(second, 1);
    script_forget(second);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(s->sent[i].type, BFT_MESSAGE_COMMIT);
        assert_int_equal(s->sent_to[i], BFT_TO_ALL);
        struct bft_hash id = bft_header_id(i == 0 ? &one : &other);
        assert_true(bft_hash_equal(&s->sent[i].vote.ballot.block_id, &id));
        assert_int_equal(script_give(second, &s->sent[i], 3), BFT_VERIFY_OK); /* not on its signer's link */
    }
    assert_int_equal(script_noted(second, BFT_NOTE_EQUIVOCATION), 1);
    assert_int_equal(script_sent(second, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_int_equal(cause(second), BFT_TIMEOUT_LIED);
    script_free(second);
    script_forget(s);
    struct bft_header third = script_block(s, &s->genesis, 0, 3);
    assert_int_equal(script_give_vote(s, &third, BFT_COMMIT, 2), BFT_VERIFY_OK);
    assert_int_equal(script_noted(s, BFT_NOTE_EQUIVOCATION), 1);
    assert_int_equal(s->sent_count, 0);
    script_free(s);
}

/* The leader showed me one block and him another, and neither of us both. */
static void who_prepares_another_block_than_the_leader_is_shown_the_leaders_vote(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1), other = script_block(s, &s->genesis, 0, 2);
    (void)script_give_propose(s, &one, NULL);
    script_forget(s);
    (void)script_give_vote(s, &one, BFT_PREPARE, 2);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, NULL), 0);
    for (int i = 0; i < 2; i++) (void)script_give_vote(s, &other, BFT_PREPARE, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, NULL), 1);
    const struct bft_message *shown = script_last(s, BFT_MESSAGE_PREPARE);
    assert_int_equal(s->sent_to[shown - s->sent], 1);
    struct script *him = script_new(4, 1, 4);
    (void)script_give_propose(him, &other, NULL);
    assert_int_equal(script_give(him, shown, 3), BFT_VERIFY_OK);
    assert_int_equal(script_sent(him, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_int_equal(cause(him), BFT_TIMEOUT_LIED);
    /* He tells all, and I know as well. */
    for (uint32_t i = 0; i < him->sent_count; i++) {
        if (him->sent[i].type == BFT_MESSAGE_PREPARE && him->sent[i].vote.signer == 0) (void)script_give(s, &him->sent[i], 1);
    }
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    assert_int_equal(cause(s), BFT_TIMEOUT_LIED);
    script_free(him);
    script_free(s);
}

static void a_vote_that_comes_twice_is_no_lie(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1), two = script_block(s, &one, 0, 2), later = script_block(s, &s->genesis, 1, 3);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_propose(s, &one, NULL);
    for (int i = 0; i < 2; i++) {
        (void)script_give_vote(s, &one, BFT_COMMIT, 0);
        (void)script_give_vote(s, &two, BFT_COMMIT, 0);   /* another height */
        (void)script_give_vote(s, &later, BFT_COMMIT, 0); /* another view */
    }
    assert_int_equal(script_noted(s, BFT_NOTE_EQUIVOCATION), 0);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

/* f is 1: of two that lie nobody knows what it means. */
static void more_than_f_liars_are_not_passed_over(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    two_commits(s, 0, 1);
    two_commits(s, 0, 2);
    assert_int_equal(script_noted(s, BFT_NOTE_EQUIVOCATION), 2);
    script_forget(s);
    view_over(s, 0);
    view_over(s, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

static void an_observer_passes_nothing_on(void **state) {
    (void)state;
    struct script *s = script_new(4, BFT_NOBODY, 4);
    two_commits(s, 0, 0);
    assert_int_equal(script_noted(s, BFT_NOTE_EQUIVOCATION), 1);
    assert_int_equal(s->sent_count, 0);
    script_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_that_proposes_two_blocks_for_one_place_loses_its_view_at_once),
        cmocka_unit_test(a_member_that_lied_is_passed_over_when_its_turn_comes_and_nobody_else_is),
        cmocka_unit_test(both_votes_go_to_all_once_and_the_one_that_counts_comes_first),
        cmocka_unit_test(who_prepares_another_block_than_the_leader_is_shown_the_leaders_vote),
        cmocka_unit_test(a_vote_that_comes_twice_is_no_lie),
        cmocka_unit_test(more_than_f_liars_are_not_passed_over),
        cmocka_unit_test(an_observer_passes_nothing_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
