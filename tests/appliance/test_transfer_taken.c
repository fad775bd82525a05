/* A checkpoint that somebody takes stays, beside the two newest, for a bounded time and at a bounded cost (P-49). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "protocol/checkpoint.h"
#include "tests/appliance/transfer_world.h"

enum { MEMBER = 1, CLIENT = TRANSFER_CLIENT + 1, CHECKPOINT_QUERY = 0x010D, PIECE_QUERY = 0x010F, TAKEN_MS_MAX = 300000, IDLE_MS = 30000 };

static void states_make(uint32_t count, uint32_t keys) {
    tw_world_open();
    tw_state_fill(&tw.states[0], keys, 40);
    tw_state_certify(0);
    for (uint32_t i = 1; i < count; i++) {
        uint32_t key = i;
        tw_state_copy(i - 1, i);
        tw_key_put(&tw.states[i], &key, sizeof key, 40, 1 + i);
        tw_state_certify(i);
    }
}

static struct blob *answer_of(uint8_t asker, uint16_t type, const uint8_t *bytes, size_t count) {
    struct transfer_output output;
    struct blob *answer = NULL;
    (void)transfer_frame(tw.nodes[0], asker, type, bytes, count, true);
    while (transfer_next(tw.nodes[0], &output)) {
        if (output.kind == TRANSFER_SEND && answer == NULL) answer = output.blob;
        else blob_drop(output.blob);
    }
    assert_non_null(answer);
    return answer;
}

/* How many node 0 shows, newest first. */
static uint16_t shown_to(uint8_t asker, uint64_t heights[CHECKPOINT_SHOWN_MAX], uint8_t hashes[CHECKPOINT_SHOWN_MAX][32]) {
    static struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    struct checkpoint_query query = {.nonce = 3};
    uint8_t bytes[CHECKPOINT_QUERY_BYTES];
    uint64_t nonce;
    uint16_t count;
    checkpoint_query_encode(&query, bytes);
    struct blob *answer = answer_of(asker, CHECKPOINT_QUERY, bytes, sizeof bytes);
    assert_int_equal(checkpoint_message_decode(answer->bytes, answer->count, &nonce, shown, &count), CHECKPOINT_OK);
    for (uint16_t i = 0; i < count; i++) {
        heights[i] = shown[i].manifest.height;
        checkpoint_shown_hash(&shown[i], hashes[i]);
    }
    blob_drop(answer);
    return count;
}

/* As one who takes it asks: whether a piece of it comes. */
static bool is_there(uint8_t asker, const uint8_t hash[32]) {
    struct checkpoint_piece_query query = {.nonce = 5, .prefix_bits = 1};
    struct checkpoint_piece piece;
    uint8_t bytes[CHECKPOINT_PIECE_QUERY_BYTES];
    memcpy(query.manifest_hash, hash, 32);
    checkpoint_piece_query_encode(&query, bytes);
    struct blob *answer = answer_of(asker, PIECE_QUERY, bytes, sizeof bytes);
    assert_int_equal(checkpoint_piece_decode(answer->bytes, answer->count, &piece), CHECKPOINT_OK);
    uint8_t code = piece.code;
    blob_drop(answer);
    assert_true(code == CHECKPOINT_PIECE_UNKNOWN || code == CHECKPOINT_PIECE_OK);
    return code == CHECKPOINT_PIECE_OK;
}

static void time_goes(uint64_t ms) {
    tw.now_ms += ms;
    transfer_tick(tw.nodes[0], tw.now_ms);
}

/* The newest is asked for, indexed and shown. */
static uint64_t newest_shown(uint8_t asker, uint8_t hash[32]) {
    uint64_t heights[CHECKPOINT_SHOWN_MAX];
    uint8_t hashes[CHECKPOINT_SHOWN_MAX][32];
    (void)shown_to(asker, heights, hashes);
    while (transfer_work(tw.nodes[0])) {}
    assert_true(shown_to(asker, heights, hashes) > 0);
    memcpy(hash, hashes[0], 32);
    return heights[0];
}

static uint64_t held(void) {
    struct transfer_status status;
    transfer_status(tw.nodes[0], &status);
    return status.hold_height;
}

static void an_index_is_brought_to_its_end_while_newer_checkpoints_come(void **state) {
    (void)state;
    enum { STATES = 8 };
    states_make(STATES, 20000); /* 20 parts, four in a step: two newer ones are there before it is done */
    tw_state_serve(0);
    tw_node_open(TW_TAKER);
    for (uint32_t i = 1; i < STATES; i++) {
        tw_step();
        tw_state_serve(i);
    }
    tw_run_until_done(4000);
    uint64_t height = tw.taken.about.height;
    print_message("taken: %llu, newest: %u\n", (unsigned long long)height, STATES * TW_K);
    assert_true(height <= 3 * TW_K);
    tw_taken_is((uint32_t)(height / TW_K - 1));
    assert_int_equal(tw.bad_count, 0);
    tw_world_close();
}

static void one_that_is_asked_for_stays_and_the_blocks_above_it(void **state) {
    (void)state;
    uint8_t hash[32];
    states_make(6, 300);
    tw_state_serve(0);
    assert_int_equal(newest_shown(MEMBER, hash), TW_K);
    for (uint32_t i = 1; i <= 4; i++) {
        tw_state_serve(i);
        time_goes(IDLE_MS - 1000);
        assert_true(is_there(MEMBER, hash));
        assert_int_equal(held(), TW_K);
    }
    time_goes(IDLE_MS); /* nobody asks any more */
    tw_state_serve(5);
    assert_false(is_there(MEMBER, hash));
    tw_world_close();
}

static void keeps_asking(uint8_t asker, const uint8_t hash[32], uint64_t ms) {
    for (uint64_t at = 0; at < ms; at += 1000) {
        time_goes(1000);
        assert_true(is_there(asker, hash));
    }
}

static void who_asks_anew_is_shown_the_newest_and_who_goes_on_what_he_takes(void **state) {
    (void)state;
    uint64_t heights[CHECKPOINT_SHOWN_MAX];
    uint8_t hash[32], newer[32], hashes[CHECKPOINT_SHOWN_MAX][32];
    states_make(6, 300);
    tw_state_serve(0);
    (void)newest_shown(MEMBER, hash);
    for (uint32_t i = 1; i <= 3; i++) tw_state_serve(i);
    keeps_asking(MEMBER, hash, 5000);
    assert_int_equal(shown_to(MEMBER, heights, hashes), 1);
    assert_int_equal(heights[0], TW_K);
    assert_int_equal(newest_shown(CLIENT, newer), 4 * TW_K); /* somebody else: nothing old */
    assert_int_equal(shown_to(CLIENT, heights, hashes), 1);
    assert_int_equal(shown_to(MEMBER, heights, hashes), 2); /* now that it is there */
    assert_int_equal(heights[0], 4 * TW_K);
    assert_int_equal(heights[1], TW_K);
    tw_state_serve(4);
    keeps_asking(CLIENT, newer, 5000);
    assert_true(is_there(MEMBER, hash));
    assert_int_equal(shown_to(CLIENT, heights, hashes), 1);
    assert_int_equal(heights[0], 4 * TW_K);
    time_goes(4000); /* it has what it wanted; later it makes another backup */
    assert_int_equal(newest_shown(CLIENT, newer), 5 * TW_K);
    assert_int_equal(shown_to(CLIENT, heights, hashes), 1);
    tw_world_close();
}

static void who_only_asks_for_checkpoints_keeps_nobody_out(void **state) {
    (void)state;
    uint64_t heights[CHECKPOINT_SHOWN_MAX];
    uint8_t polled[32], hash[32], other[32], hashes[CHECKPOINT_SHOWN_MAX][32];
    states_make(8, 300);
    tw_state_serve(0);
    (void)newest_shown(CLIENT, polled);
    for (int i = 0; i < 40; i++) {
        time_goes(1000);
        (void)shown_to(CLIENT, heights, hashes);
    }
    tw_state_serve(1);
    assert_int_equal(newest_shown(MEMBER, hash), 2 * TW_K);
    for (uint32_t i = 2; i < 5; i++) {
        tw_state_serve(i);
        for (int k = 0; k < 10; k++) {
            time_goes(1000);
            (void)shown_to(CLIENT, heights, hashes);
            assert_true(is_there(MEMBER, hash));
        }
    }
    assert_false(is_there(CLIENT, polled));
    /* Nor does one who takes pieces now of this one, now of that. */
    assert_int_equal(newest_shown(MEMBER + 1, polled), 5 * TW_K);
    tw_state_serve(5);
    assert_int_equal(newest_shown(CLIENT + 1, other), 6 * TW_K);
    time_goes(2000);
    for (uint32_t i = 6; i < 8; i++) {
        assert_true(is_there(MEMBER, hash) && is_there(MEMBER + 1, other) && is_there(MEMBER + 1, polled));
        tw_state_serve(i);
        time_goes(IDLE_MS - 1000);
    }
    assert_false(is_there(MEMBER + 1, other));
    assert_true(is_there(MEMBER + 1, polled));
    tw_world_close();
}

static void who_lost_his_own_is_kept_the_next_that_he_is_shown(void **state) {
    (void)state;
    uint64_t heights[CHECKPOINT_SHOWN_MAX];
    uint8_t hash[32], hashes[CHECKPOINT_SHOWN_MAX][32];
    states_make(5, 300);
    tw_state_serve(0);
    (void)newest_shown(CLIENT, hash);
    for (int i = 0; i < 31; i++) { /* he never stops asking, and takes nothing */
        time_goes(1000);
        (void)shown_to(CLIENT, heights, hashes);
    }
    tw_state_serve(1);
    tw_state_serve(2);
    assert_false(is_there(CLIENT + 1, hash));
    assert_int_equal(newest_shown(MEMBER, hash), 3 * TW_K);
    time_goes(2000);
    assert_int_equal(shown_to(CLIENT, heights, hashes), 1);
    tw_state_serve(3);
    time_goes(IDLE_MS - 1000); /* the member's own time is up, his is not */
    tw_state_serve(4);
    assert_true(is_there(CLIENT, hash));
    tw_world_close();
}

static void the_one_before_is_shown_when_the_newest_cannot_be(void **state) {
    (void)state;
    uint64_t heights[CHECKPOINT_SHOWN_MAX];
    uint8_t hash[32], hashes[CHECKPOINT_SHOWN_MAX][32];
    states_make(2, 300);
    tw_state_serve(0);
    (void)newest_shown(MEMBER, hash);
    tw.states[1].about.state_root[0] ^= 1; /* nothing proves it */
    tw_state_serve(1);
    assert_int_equal(shown_to(CLIENT, heights, hashes), 1);
    assert_int_equal(heights[0], TW_K);
    tw_world_close();
}

static void one_that_costs_too_much_disk_goes(void **state) {
    (void)state;
    uint8_t hash[32];
    states_make(5, 300);
    tw_state_serve(0);
    (void)newest_shown(CLIENT, hash);
    tw.cut_kept_bytes = 2 * TW_OWN_BYTES;
    for (uint32_t i = 1; i <= 3; i++) tw_state_serve(i);
    assert_true(is_there(CLIENT, hash));
    assert_int_equal(held(), 0); /* a client needs no blocks */
    tw.cut_kept_bytes++;
    tw_state_serve(4);
    assert_false(is_there(CLIENT, hash));
    tw_world_close();
}

static void one_that_is_asked_for_without_end_goes(void **state) {
    (void)state;
    uint8_t hash[32];
    states_make(5, 300);
    tw_state_serve(0);
    (void)newest_shown(MEMBER, hash);
    for (uint32_t i = 1; i <= 3; i++) tw_state_serve(i);
    for (uint64_t ms = 0; ms < TAKEN_MS_MAX; ms += IDLE_MS / 2) {
        time_goes(IDLE_MS / 2);
        assert_true(is_there(MEMBER, hash));
    }
    tw_state_serve(4);
    assert_false(is_there(MEMBER, hash));
    tw_world_close();
}

/* One takes pieces; one takes nothing and asks anew with each checkpoint, which comes each three seconds. There is time for one thing each 300 ms: a
 * piece, or a step of an index, and as in the shell, whatever is left of the share goes to the index first. */
static void who_asks_anew_with_each_checkpoint_is_no_reason_for_an_index_each_time(void **state) {
    (void)state;
    enum { GREEDY = 2, ROUNDS = TW_STATES_MAX - 1, STEP_MS = 300, ROUND_MS = 3300, INDEX_STEPS = 10, INDEX_MS = INDEX_STEPS * STEP_MS };
    enum { INDEXES_MAX = 3 + ROUNDS * ROUND_MS / (4 * INDEX_MS) };
    uint64_t heights[CHECKPOINT_SHOWN_MAX];
    uint8_t hash[32], hashes[CHECKPOINT_SHOWN_MAX][32];
    unsigned shown = 0, pieces = 0, steps = 0;
    states_make(TW_STATES_MAX, INDEX_STEPS * 1024);
    tw_state_serve(0);
    assert_int_equal(newest_shown(MEMBER, hash), TW_K);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        tw_state_serve(round);
        shown += shown_to(GREEDY, heights, hashes) > 0;
        for (unsigned ms = 0; ms < ROUND_MS; ms += STEP_MS) {
            time_goes(STEP_MS);
            if (transfer_work(tw.nodes[0])) steps++;
            else pieces += is_there(MEMBER, hash);
        }
    }
    print_message("answers to the greedy one: %u; steps of indexes: %u; pieces to the honest one: %u\n", shown, steps, pieces);
    assert_true(steps > 0 && steps <= INDEXES_MAX * (INDEX_STEPS + 1));
    assert_true(pieces > steps);
    assert_true(shown >= ROUNDS - INDEXES_MAX); /* he is shown what is there */
    assert_int_equal(newest_shown(CLIENT, hash), TW_STATES_MAX * TW_K); /* whoever else comes is a reason for one */
    tw_world_close();
}

static void who_waits_no_more_is_no_reason_for_an_index(void **state) {
    (void)state;
    uint64_t heights[CHECKPOINT_SHOWN_MAX];
    uint8_t hash[32], hashes[CHECKPOINT_SHOWN_MAX][32];
    states_make(2, 3000);
    tw_state_serve(0);
    (void)newest_shown(MEMBER, hash);
    tw_state_serve(1);
    time_goes(4000);
    assert_int_equal(shown_to(MEMBER, heights, hashes), 0);
    assert_true(is_there(MEMBER, hash)); /* he takes the old one after all, and would not be charged */
    assert_false(transfer_work(tw.nodes[0]));
    assert_int_equal(shown_to(MEMBER, heights, hashes), 1);
    assert_int_equal(heights[0], TW_K);
    tw_world_close();
}

static void observers_share_what_members_leave(void **state) {
    (void)state;
    enum { OBSERVERS = 6, ALL = OBSERVERS + 4 };
    uint8_t hash[OBSERVERS][32], member[32];
    states_make(ALL, 300);
    for (uint32_t i = 0; i < OBSERVERS; i++) { /* each another one: all places are theirs */
        tw_state_serve(i);
        assert_int_equal(newest_shown((uint8_t)(TRANSFER_OBSERVER + i), hash[i]), (i + 1) * TW_K);
        time_goes(1000);
    }
    tw_state_serve(OBSERVERS);
    assert_int_equal(newest_shown(MEMBER, member), (OBSERVERS + 1) * TW_K);
    for (uint32_t i = OBSERVERS + 1; i < ALL; i++) {
        for (uint32_t k = 0; k < OBSERVERS; k++) {
            bool longest = k + 1 < OBSERVERS || i < OBSERVERS + 3;
            assert_int_equal(is_there((uint8_t)(TRANSFER_OBSERVER + k), hash[k]), longest);
        }
        tw_state_serve(i);
        assert_true(is_there(MEMBER, member));
    }
    tw_world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_is_brought_to_its_end_while_newer_checkpoints_come),
        cmocka_unit_test(one_that_is_asked_for_stays_and_the_blocks_above_it),
        cmocka_unit_test(who_asks_anew_is_shown_the_newest_and_who_goes_on_what_he_takes),
        cmocka_unit_test(who_only_asks_for_checkpoints_keeps_nobody_out),
        cmocka_unit_test(who_lost_his_own_is_kept_the_next_that_he_is_shown),
        cmocka_unit_test(the_one_before_is_shown_when_the_newest_cannot_be),
        cmocka_unit_test(one_that_costs_too_much_disk_goes),
        cmocka_unit_test(one_that_is_asked_for_without_end_goes),
        cmocka_unit_test(who_asks_anew_with_each_checkpoint_is_no_reason_for_an_index_each_time),
        cmocka_unit_test(who_waits_no_more_is_no_reason_for_an_index),
        cmocka_unit_test(observers_share_what_members_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
