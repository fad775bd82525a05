/* The transfer machine alone (transfer_world.h): states large enough for many pieces, pieces that are too large, crashes between any two, checkpoints
 * that move on, frames that are bent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "merkle/trie.h"
#include "protocol/checkpoint.h"
#include "tests/appliance/transfer_world.h"

static void many_pieces_from_three_members(void **state) {
    (void)state;
    tw_world_open();
    tw_state_fill(&tw.states[0], 8000, 200);
    tw_state_certify(0);
    tw_state_serve(0);
    tw_node_open(TW_TAKER);
    tw_run_until_done(4000);
    tw_taken_is(0);
    assert_int_equal(tw.bad_count, 0);
    assert_int_equal(tw.pieces, 256);
    struct transfer_status served[TW_TAKER];
    for (uint8_t i = 0; i < TW_TAKER; i++) {
        transfer_status(tw.nodes[i], &served[i]);
        assert_true(served[i].served_pieces > 40); /* each gave its part */
    }
    tw_world_close();
}

static void small_and_empty_states_are_one_piece(void **state) {
    (void)state;
    for (uint32_t keys = 0; keys < 3; keys++) {
        tw_world_open();
        tw_state_fill(&tw.states[0], keys, 10);
        tw_state_certify(0);
        tw_state_serve(0);
        tw_node_open(TW_TAKER);
        tw_run_until_done(2000);
        tw_taken_is(0);
        assert_int_equal(tw.pieces, 1);
        tw_world_close();
    }
}

static void after_a_crash_only_what_was_not_durable_is_fetched_again(void **state) {
    (void)state;
    tw_world_open();
    tw_state_fill(&tw.states[0], 8000, 200);
    tw_state_certify(0);
    tw_state_serve(0);
    uint32_t crashes = 0;
    for (; crashes < 200; crashes++) {
        tw_node_open(TW_TAKER);
        uint32_t commits = tw.commits;
        for (uint32_t i = 0; i < 500 && !tw.done && tw.commits < commits + 1 + tw_dice(2); i++) tw_step();
        for (uint32_t i = 0; i < tw_dice(4) && !tw.done; i++) tw_step();
        if (tw.done) break;
        transfer_destroy(tw.nodes[TW_TAKER]);
        tw.nodes[TW_TAKER] = NULL;
    }
    assert_true(tw.done);
    tw_taken_is(0);
    assert_int_equal(tw.bad_count, 0);
    print_message("%u pieces came for 256, %u crashes, %u commits\n", tw.pieces, crashes, tw.commits);
    assert_true(crashes > 3);
    assert_true(tw.pieces <= 256 + crashes * 5 * 3 * TRANSFER_OUTSTANDING_MAX); /* what five steps bring is lost with each */
    tw_world_close();
}

/* Keys whose paths begin with these bytes. */
static uint32_t ground_put(struct tw_state *state, const uint8_t *prefix, unsigned prefix_bytes, uint32_t count, uint32_t value_bytes,
                           uint32_t from) {
    uint8_t path[32];
    for (uint32_t put = 0; put < count; from++) {
        trie_path(TRIE_SPACE_USER, &from, sizeof from, path);
        if (memcmp(path, prefix, prefix_bytes) != 0) continue;
        tw_key_put(state, &from, sizeof from, value_bytes, 1);
        put++;
    }
    return from;
}

static void pieces_that_are_too_large_are_cut_deeper(void **state) {
    (void)state;
    static const uint8_t prefix[2] = {0xAB, 0xCD};
    tw_world_open();
    tw_state_fill(&tw.states[0], 3000, 300);
    (void)ground_put(&tw.states[0], prefix, 1, 60, 60000, 1 << 20);
    (void)ground_put(&tw.states[0], prefix, 2, 24, 65000, 2 << 20);
    tw_state_certify(0);
    tw_state_serve(0);
    tw_node_open(TW_TAKER);
    tw_run_until_done(6000);
    tw_taken_is(0);
    assert_int_equal(tw.bad_count, 0);
    assert_true(tw.pieces > 256 + 2 * 255 - 3);
    tw_world_close();
}

static void when_the_checkpoint_moves_on_only_what_differs_is_fetched(void **state) {
    (void)state;
    static const uint8_t prefix[2] = {0xAB, 0xCD};
    tw_world_open();
    tw_state_fill(&tw.states[0], 8000, 200);
    uint32_t next = ground_put(&tw.states[0], prefix, 2, 20, 65000, 2 << 20);
    tw_state_certify(0);
    for (uint32_t i = 1; i <= 2; i++) {
        tw_state_copy(i - 1, i);
        for (uint32_t k = 0; k < 12; k++) {
            uint32_t key = (uint32_t)tw_dice(8000);
            tw_key_put(&tw.states[i], &key, sizeof key, 100, 1 + i);
        }
        next = ground_put(&tw.states[i], prefix, 2, 1, 65000, next); /* deep as well */
        uint32_t gone = (uint32_t)tw_dice(8000);
        struct state_write removed = {.key = (const uint8_t *)&gone, .key_bytes = sizeof gone, .deleted = true};
        tw_state_put(&tw.states[i], &removed);
        tw_state_certify(i);
    }
    tw_state_serve(0);
    tw_node_open(TW_TAKER);
    uint64_t kept = 0;
    struct transfer_status status = {0};
    for (uint32_t i = 0; i < 2000 && !tw.done && kept < 600; i++) { /* most of it: 256, cut deeper twice */
        tw_step();
        transfer_status(tw.nodes[TW_TAKER], &status);
        kept = status.pieces_done;
    }
    assert_true(kept > 0 && !tw.done);
    tw.cut_kept_bytes = UINT64_C(1) << 40; /* it costs too much to keep it */
    tw_state_serve(1);
    tw_state_serve(2); /* the first is gone now */
    uint32_t before = tw.pieces;
    tw_run_until_done(8000);
    tw_taken_is(2);
    assert_int_equal(tw.bad_count, 0);
    transfer_status(tw.nodes[TW_TAKER], &status);
    print_message("%llu pieces were kept, %llu of them fetched anew\n", (unsigned long long)kept, (unsigned long long)status.refetched_pieces);
    assert_true(status.refetched_pieces > 0 && status.refetched_pieces <= 2 * 14);
    assert_true(tw.pieces - before < 766 - kept + 2 * 14 + 30);
    tw_world_close();
}

/* A helper of whom nothing comes, or BUSY for ever, keeps nobody waiting for what the others no longer have, be it much or one piece. */
static void one_that_gives_nothing_does_not_hold_up_what_has_moved_on(void **state) {
    (void)state;
    for (uint32_t run = 0; run < 4; run++) {
        bool small = run >= 2;
        tw_world_open();
        *(run % 2 == 0 ? &tw.silent : &tw.busy) = true;
        tw_state_fill(&tw.states[0], small ? 3 : 8000, 200);
        tw_state_certify(0);
        tw_state_serve(0);
        tw_node_open(TW_TAKER);
        for (uint32_t i = 1; i < 7 && !tw.done; i++) {
            for (uint32_t k = 0; k < (small ? 120 : 30); k++) tw_step(); /* 600 or 150 ms */
            tw_state_copy(i - 1, i);
            tw_key_put(&tw.states[i], &i, sizeof i, 100, 1 + i);
            tw_state_certify(i);
            tw_state_serve(i);
        }
        tw_run_until_done(small ? 0 : 1000); /* 5 s */
        tw_taken_is((uint32_t)(tw.taken.about.height / TW_K) - 1);
        assert_int_equal(tw.bad_count, 0);
        tw_world_close();
    }
}

static void bent_pieces_name_their_sender_and_nobody_else(void **state) {
    (void)state;
    for (uint32_t run = 0; run < 12; run++) {
        tw_world_open();
        tw.dice += run * 977;
        tw.bend = run % 3;
        tw_state_fill(&tw.states[0], 5000, 200);
        tw_state_certify(0);
        tw_state_serve(0);
        tw_node_open(TW_TAKER);
        tw_run_until_done(8000);
        tw_taken_is(0);
        assert_int_equal(tw.bad_members & ~(1u << tw.bend), 0);
        tw_world_close();
    }
}

static void one_who_makes_up_many_manifests_takes_nobodys_room(void **state) {
    (void)state;
    tw_world_open();
    tw.makes_up = 40;
    tw_state_fill(&tw.states[0], 500, 100);
    tw_state_certify(0);
    tw_state_serve(0);
    tw_node_open(TW_TAKER);
    tw_run_until_done(1500); /* long before it would be tried alone */
    tw_taken_is(0);
    assert_true(tw.made_up >= tw.makes_up && tw.bad_count == 0);
    tw_world_close();
}

/* It alone and an honest one alone: f+1 never agree. */
static void a_manifest_of_one_that_does_not_come_is_not_tried_again_before_others(void **state) {
    (void)state;
    tw_world_open();
    tw.makes_up = 1;
    tw_state_fill(&tw.states[0], 500, 100);
    tw_state_certify(0);
    tw_state_serve(0);
    transfer_destroy(tw.nodes[2]);
    tw.nodes[2] = NULL;
    tw_node_open(TW_TAKER);
    tw_run_until_done(20000);
    tw_taken_is(0);
    assert_int_equal(tw.bad_count, 0); /* it may have been slow */
    tw_world_close();
}

/* Every frame that goes to either side is bent: nothing wrong is ever taken, nothing falls over. */
static void any_bytes_do_no_harm(void **state) {
    (void)state;
    tw_world_open();
    tw_state_fill(&tw.states[0], 3000, 100);
    tw_state_certify(0);
    tw_state_serve(0);
    tw_node_open(TW_TAKER);
    for (uint32_t i = 0; i < 3000; i++) {
        tw_step();
        for (uint32_t k = 0; k < tw.mail_count; k++) {
            struct blob *blob = tw.mail[k].blob;
            if (blob->count == 0 || tw_dice(4) != 0) continue;
            blob->bytes[tw_dice(blob->count)] ^= (uint8_t)(1u << tw_dice(8));
            if (tw_dice(8) == 0) blob->count = tw_dice(blob->count);
        }
        if (tw.done) break;
    }
    if (tw.done) tw_taken_is(0);
    tw_world_close();
}

/* ---- clients (P-50) ---- */

/* One question at node 0, one answer; NULL: none came. */
static struct blob *asked_by(uint8_t asker, uint16_t type, const uint8_t *bytes, size_t count, bool may_serve) {
    struct transfer_output output;
    struct blob *answer = NULL;
    tw.paid = transfer_frame(tw.nodes[0], asker, type, bytes, count, may_serve);
    while (transfer_next(tw.nodes[0], &output)) {
        if (output.kind != TRANSFER_SEND) continue;
        CHECK(answer == NULL);
        assert_int_equal(output.member, asker);
        answer = output.blob;
    }
    return answer;
}

/* The code of the answer to a question for all entries under one bit; 0xFF: none came. */
static uint8_t piece_code_of(uint8_t asker, const uint8_t hash[32], bool may_serve) {
    struct checkpoint_piece_query query = {.nonce = 5, .prefix_bits = 1};
    uint8_t bytes[CHECKPOINT_PIECE_QUERY_BYTES];
    memcpy(query.manifest_hash, hash, 32);
    checkpoint_piece_query_encode(&query, bytes);
    struct blob *answer = asked_by(asker, 0x010F, bytes, sizeof bytes, may_serve);
    if (answer == NULL) return 0xFF;
    struct checkpoint_piece piece;
    struct bytes_cursor entries;
    assert_int_equal(checkpoint_piece_decode(answer->bytes, answer->count, &piece), CHECKPOINT_OK);
    uint8_t code = piece.code;
    if (code == 0 && asker < TRANSFER_CLIENT) piece.content_bytes -= CHECKPOINT_PIECE_SIGNATURE_BYTES; /* P-45: to members alone */
    if (code == 0) assert_int_equal(checkpoint_entries_verify(&piece, &query, tw.states[0].about.state_root, &entries), CHECKPOINT_OK);
    blob_drop(answer);
    assert_true(tw.paid == (code == CHECKPOINT_PIECE_OK || code == CHECKPOINT_PIECE_TOO_LARGE)); /* refusals cost nothing */
    return code;
}

static void a_client_is_served_what_members_leave_over(void **state) {
    (void)state;
    struct checkpoint_query query = {.nonce = 3};
    uint8_t bytes[CHECKPOINT_QUERY_BYTES], hash[32];
    tw_world_open();
    tw_state_fill(&tw.states[0], 500, 200);
    tw_state_certify(0);
    tw_state_serve(0);
    checkpoint_query_encode(&query, bytes);
    struct blob *answer = asked_by(TRANSFER_CLIENT + 1, 0x010D, bytes, sizeof bytes, true);
    assert_non_null(answer); /* nothing is indexed yet; this asks for it */
    blob_drop(answer);
    for (int i = 0; i < 100; i++) (void)transfer_work(tw.nodes[0]);
    struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce;
    uint16_t shown_count;
    answer = asked_by(TRANSFER_CLIENT + 1, 0x010D, bytes, sizeof bytes, true);
    assert_int_equal(checkpoint_message_decode(answer->bytes, answer->count, &nonce, shown, &shown_count), CHECKPOINT_OK);
    assert_true(nonce == 3 && shown_count == 1);
    checkpoint_manifest_hash(shown[0].manifest_bytes, shown[0].manifest_count, hash);
    blob_drop(answer);

    static const uint8_t nobodys[32] = {1};
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, nobodys, true), CHECKPOINT_PIECE_UNKNOWN);
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, hash, true), CHECKPOINT_PIECE_OK);
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, hash, false), CHECKPOINT_PIECE_BUSY); /* no time left */
    struct transfer_status status;
    transfer_status(tw.nodes[0], &status);
    assert_int_equal(status.hold_height, 0); /* nothing is kept from pruning for it */
    assert_int_equal(piece_code_of(2, hash, true), CHECKPOINT_PIECE_OK);
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, hash, true), CHECKPOINT_PIECE_BUSY); /* a member asks */
    assert_int_equal(piece_code_of(2, hash, true), CHECKPOINT_PIECE_OK);
    transfer_tick(tw.nodes[0], tw.now_ms += TRANSFER_MEMBERS_FIRST_MS - 1);
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, hash, true), CHECKPOINT_PIECE_BUSY);
    transfer_tick(tw.nodes[0], tw.now_ms += 1);
    assert_int_equal(piece_code_of(TRANSFER_CLIENT + 1, hash, true), CHECKPOINT_PIECE_OK);
    transfer_status(tw.nodes[0], &status);
    assert_int_equal(status.hold_height, TW_K); /* the member's */
    tw_world_close();
}

static void what_only_members_may_say_is_not_heard_from_a_client(void **state) {
    (void)state;
    static const uint8_t nothing[200];
    tw_world_open();
    tw_state_fill(&tw.states[0], 10, 20);
    tw_state_certify(0);
    tw_state_serve(0);
    for (uint16_t type = 0x010C; type <= 0x0111; type++) {
        if (type == 0x010D || type == 0x010F) continue;
        assert_null(asked_by(TRANSFER_CLIENT, type, nothing, sizeof nothing, true));
    }
    assert_null(asked_by(TRANSFER_CLIENT + TRANSFER_CLIENTS, 0x010D, nothing, CHECKPOINT_QUERY_BYTES, true));
    assert_null(asked_by(TRANSFER_ASKERS, 0x010D, nothing, CHECKPOINT_QUERY_BYTES, true));
    for (size_t count = 0; count < sizeof nothing; count++) {
        struct blob *answer = asked_by(TRANSFER_CLIENT, 0x010F, nothing, count, true);
        assert_true((answer != NULL) == (count == CHECKPOINT_PIECE_QUERY_BYTES)); /* of a checkpoint that nobody has */
        blob_drop(answer);
    }
    tw_world_close();
}

static struct tw_blob *child_of(uint32_t at) {
    struct tw_state *state = &tw.states[at];
    for (uint32_t i = 0; i < state->blob_count; i++) {
        if (strcmp(state->blobs[i].name, "child") == 0) return &state->blobs[i];
    }
    fail();
    return NULL;
}

/* P-31: one that lacks what it is shown by (an older release wrote it), and two that have that of another or a bad one (their disks failed). */
static void a_checkpoint_that_nothing_proves_is_shown_to_nobody(void **state) {
    (void)state;
    tw_world_open();
    for (uint32_t at = 0; at < 4; at++) {
        if (at > 0) tw_state_copy(at - 1, at);
        tw_key_put(&tw.states[at], &at, sizeof at, 10, 1 + at);
        tw_state_certify(at);
    }
    child_of(0)->name[0] = (char)(child_of(0)->name[0] + 1);
    memcpy(child_of(1)->bytes, child_of(3)->bytes, child_of(3)->count);
    assert_int_equal(child_of(1)->count, child_of(3)->count);
    child_of(2)->count--;
    tw_state_serve(0);
    tw_node_open(TW_TAKER);
    for (uint32_t at = 0; at < 3; at++) {
        if (at > 0) tw_state_serve(at);
        for (uint32_t i = 0; i < 400; i++) tw_step();
        assert_false(tw.done);
    }
    assert_int_equal(tw.pieces, 0);
    assert_int_equal(tw.bad_count, 0);
    tw_state_serve(3); /* the next one is whole again */
    tw_run_until_done(2000);
    tw_taken_is(3);
    tw_world_close();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_pieces_from_three_members),
        cmocka_unit_test(small_and_empty_states_are_one_piece),
        cmocka_unit_test(after_a_crash_only_what_was_not_durable_is_fetched_again),
        cmocka_unit_test(pieces_that_are_too_large_are_cut_deeper),
        cmocka_unit_test(when_the_checkpoint_moves_on_only_what_differs_is_fetched),
        cmocka_unit_test(one_that_gives_nothing_does_not_hold_up_what_has_moved_on),
        cmocka_unit_test(bent_pieces_name_their_sender_and_nobody_else),
        cmocka_unit_test(one_who_makes_up_many_manifests_takes_nobodys_room),
        cmocka_unit_test(a_manifest_of_one_that_does_not_come_is_not_tried_again_before_others),
        cmocka_unit_test(a_checkpoint_that_nothing_proves_is_shown_to_nobody),
        cmocka_unit_test(any_bytes_do_no_harm),
        cmocka_unit_test(a_client_is_served_what_members_leave_over),
        cmocka_unit_test(what_only_members_may_say_is_not_heard_from_a_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
