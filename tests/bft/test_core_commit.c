/* The commit rule and finality, B-22 and B-26: member 3 of 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/bft/script.h"

static void three_prepares_bring_a_commit_and_three_commits_finality(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL); /* the leader's PREPARE and mine */
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, &one), 0);
    (void)script_give_vote(s, &one, BFT_PREPARE, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, &one), 1);
    (void)script_give_vote(s, &one, BFT_PREPARE, 2);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, &one), 1);
    (void)script_give_vote(s, &one, BFT_COMMIT, 0);
    assert_false(script_is_final(s, &one));
    (void)script_give_vote(s, &one, BFT_COMMIT, 1);
    assert_true(script_is_final(s, &one));
    script_free(s);
}

static void a_vote_of_mine_counts_only_when_it_is_durable(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->keep_own = true;
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_vote(s, &one, BFT_PREPARE, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, &one), 0);
    (void)script_give_vote(s, &one, BFT_PREPARE, 2);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, &one), 1);
    script_free(s);
}

static void the_same_vote_twice_counts_once(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_vote(s, &one, BFT_PREPARE, 0);
    (void)script_give_vote(s, &one, BFT_PREPARE, 0);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, &one), 0);
    script_free(s);
}

static void votes_for_another_outbox_do_not_add_up(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    struct bft_message message = {.type = BFT_MESSAGE_PREPARE};
    struct bft_hash id = bft_header_id(&one);
    bft_header_ballot(&one, &id, &message.vote.ballot);
    message.vote.ballot.outbox_root.bytes[5] ^= 1;
    message.vote.signer = 1;
    struct signer signer = keyed_signer_of(&s->keys[1]);
    bft_message_sign(&signer, &message);
    assert_int_equal(script_give(s, &message, 1), BFT_VERIFY_OK);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, NULL), 0);
    script_free(s);
}

static void after_timeout_nothing_is_voted(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    (void)script_give_propose(s, &one, NULL);
    script_tick(s, 1000);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    (void)script_give_qc(s, &qc);
    (void)script_give_propose(s, &two, NULL);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, NULL), 0);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, &two), 0);
    /* The high may still rise, but what TIMEOUT(0) states is fixed. */
    assert_true(s->core.memory.has_high);
    assert_int_equal(s->core.memory.timeout_qc.count, 0);
    script_free(s);
}

static void a_commit_is_given_without_the_block(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    for (uint8_t i = 0; i < 3; i++) (void)script_give_vote(s, &one, BFT_PREPARE, i);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, &one), 1);
    script_free(s);
}

static void no_commit_for_a_qc_of_an_earlier_view(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_tc tc = script_tc(s, 0, 7, NULL, NULL);
    (void)script_give_tc(s, &tc);
    assert_int_equal(bft_core_view(&s->core), 1);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    (void)script_give_qc(s, &qc);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, NULL), 0);
    assert_true(s->core.memory.has_high); /* but it may become my high */
    script_free(s);
}

static void a_qc_of_a_later_view_waits_for_that_view(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 1, 0);
    for (uint8_t i = 0; i < 3; i++) (void)script_give_vote(s, &one, BFT_PREPARE, i);
    assert_false(s->core.memory.has_high);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, NULL), 0);
    struct bft_tc tc = script_tc(s, 0, 7, NULL, NULL);
    (void)script_give_tc(s, &tc);
    assert_int_equal(script_sent(s, BFT_MESSAGE_COMMIT, &one), 1);
    assert_true(s->core.memory.has_high);
    script_free(s);
}

static void the_high_is_never_lowered(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_propose(s, &two, NULL);
    struct bft_qc high = script_qc(s, &two, BFT_PREPARE, 7);
    struct bft_qc low = script_qc(s, &one, BFT_PREPARE, 7);
    (void)script_give_qc(s, &high);
    (void)script_give_qc(s, &low);
    script_tick(s, 1000);
    const struct bft_message *timeout = script_last(s, BFT_MESSAGE_TIMEOUT);
    assert_non_null(timeout);
    assert_int_equal(timeout->timeout.high.block.height, two.height);
    assert_int_equal(timeout->timeout.qc.count, 3);
    script_free(s);
}

static void a_commit_qc_of_any_view_finalises_the_block_and_its_ancestors(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_propose(s, &two, NULL);
    struct bft_tc tc = script_tc(s, 0, 7, NULL, NULL);
    (void)script_give_tc(s, &tc);
    struct bft_qc commit = script_qc(s, &two, BFT_COMMIT, 7);
    (void)script_give_qc(s, &commit);
    assert_true(script_is_final(s, &one));
    assert_true(script_is_final(s, &two));
    script_free(s);
}

static void the_certificate_of_an_ancestor_has_the_headers_between(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header two = script_block(s, &one, 0, 2);
    (void)script_give_propose(s, &one, NULL);
    (void)script_give_propose(s, &two, NULL);
    struct bft_qc commit = script_qc(s, &two, BFT_COMMIT, 7);
    (void)script_give_qc(s, &commit);
    struct bft_hash id = bft_header_id(&one);
    uint8_t *bytes = malloc(BFT_CERTIFICATE_BYTES_MAX);
    size_t count = bft_core_certificate(&s->core, &id, bytes);
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct bft_certificate certificate;
    struct bft_ballot proved;
    assert_true(bft_certificate_get(&cursor, &certificate, NULL));
    assert_int_equal(certificate.header_count, 2);
    assert_int_equal(bft_certificate_verify(&s->members, &s->verifier, &certificate, &id, &proved), BFT_VERIFY_OK);
    assert_true(bft_hash_equal(&proved.outbox_root, &one.outbox_root));
    free(bytes);
    script_free(s);
}

static void two_commit_qcs_that_contradict_each_other_halt_the_node(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_header other = script_block(s, &s->genesis, 1, 2);
    struct bft_header above = script_block(s, &other, 1, 3);
    script_decide(s, &one, 7);
    assert_true(script_is_final(s, &one));
    for (int i = 0; i < 2; i++) {
        struct bft_tc tc = script_tc(s, 0, 7, NULL, NULL);
        (void)script_give_propose(s, i == 0 ? &other : &above, i == 0 ? &tc : NULL);
    }
    struct bft_qc commit = script_qc(s, &above, BFT_COMMIT, 7);
    (void)script_give_qc(s, &commit);
    struct bft_message block = {.type = BFT_MESSAGE_BLOCK, .block_id = bft_header_id(&other)};
    block.block.header = other;
    (void)script_give(s, &block, 0);
    assert_true(s->core.halted);
    assert_int_equal(script_noted(s, BFT_NOTE_FORK), 1);
    script_free(s);
}

static void a_final_block_that_executes_otherwise_halts_the_node(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    s->execute_wrong = true;
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    assert_false(s->core.halted);
    struct bft_qc commit = script_qc(s, &one, BFT_COMMIT, 7);
    (void)script_give_qc(s, &commit);
    script_tick(s, 10);
    assert_int_equal(s->final_count, 0);
    assert_true(s->core.halted); /* though it was found wrong before it became final */
    assert_int_equal(script_noted(s, BFT_NOTE_DIVERGED), 1);
    script_free(s);
    s = script_new(4, 3, 4);
    s->execute_wrong = true;
    struct bft_qc qc = script_qc(s, &one, BFT_COMMIT, 7);
    (void)script_give_qc(s, &qc);
    (void)script_give_propose(s, &one, NULL);
    assert_true(s->core.halted);
    assert_int_equal(script_noted(s, BFT_NOTE_DIVERGED), 1);
    script_free(s);
}

/* q is three of four: two do not do. */
static void a_quorum_less_one_decides_nothing(void **state) {
    (void)state;
    struct script *s = script_new(4, BFT_NOBODY, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    for (uint8_t i = 0; i < 2; i++) (void)script_give_vote(s, &one, BFT_COMMIT, i);
    assert_false(script_is_final(s, &one));
    struct bft_qc qc = script_qc(s, &one, BFT_COMMIT, 3);
    assert_int_equal(script_give_qc(s, &qc), BFT_VERIFY_QUORUM);
    assert_false(script_is_final(s, &one));
    struct bft_tc tc = script_tc(s, 0, 3, NULL, NULL);
    assert_int_equal(script_give_tc(s, &tc), BFT_VERIFY_QUORUM);
    (void)script_give_vote(s, &one, BFT_COMMIT, 2);
    assert_true(script_is_final(s, &one));
    script_free(s);
}

static void quorums_of_every_size_are_n_less_f(void **state) {
    (void)state;
    static const uint8_t expected[17] = {0, 0, 0, 0, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11};
    for (uint32_t n = 4; n <= 16; n++) {
        struct script *s = script_new(n, BFT_NOBODY, 4);
        struct bft_header one = script_block(s, &s->genesis, 0, 1);
        (void)script_give_propose(s, &one, NULL);
        for (uint8_t i = 0; i < expected[n]; i++) {
            assert_false(script_is_final(s, &one));
            (void)script_give_vote(s, &one, BFT_COMMIT, i);
        }
        assert_true(script_is_final(s, &one));
        script_free(s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_prepares_bring_a_commit_and_three_commits_finality),
        cmocka_unit_test(a_vote_of_mine_counts_only_when_it_is_durable),
        cmocka_unit_test(the_same_vote_twice_counts_once),
        cmocka_unit_test(votes_for_another_outbox_do_not_add_up),
        cmocka_unit_test(after_timeout_nothing_is_voted),
        cmocka_unit_test(a_commit_is_given_without_the_block),
        cmocka_unit_test(no_commit_for_a_qc_of_an_earlier_view),
        cmocka_unit_test(a_qc_of_a_later_view_waits_for_that_view),
        cmocka_unit_test(the_high_is_never_lowered),
        cmocka_unit_test(a_commit_qc_of_any_view_finalises_the_block_and_its_ancestors),
        cmocka_unit_test(the_certificate_of_an_ancestor_has_the_headers_between),
        cmocka_unit_test(two_commit_qcs_that_contradict_each_other_halt_the_node),
        cmocka_unit_test(a_final_block_that_executes_otherwise_halts_the_node),
        cmocka_unit_test(a_quorum_less_one_decides_nothing),
        cmocka_unit_test(quorums_of_every_size_are_n_less_f),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
