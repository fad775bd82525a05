/* State transfer between whole replicas: a node that is behind what its peers still have comes back, whoever lies, crashes or moves on meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "protocol/body.h"
#include "protocol/checkpoint.h"
#include "tests/appliance/replica_world.h"

enum { K = 16, KEYS = RW_KEYS };
enum {
    MESSAGE_CHECKPOINT_QUERY = 0x010D,
    MESSAGE_CHECKPOINT = 0x010E,
    MESSAGE_PIECE_QUERY = 0x010F,
    MESSAGE_PIECE = 0x0110,
    MESSAGE_INPUT = 0x0111,
    MESSAGE_BATCH = 0x0301
};

static struct replica_world *world(uint64_t seed) {
    const char *given = getenv("SEED");
    if (given != NULL) seed = strtoull(given, NULL, 10);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    struct replica_world *rw = rw_create_stored(seed, K);
    rw_run(rw, 200);
    return rw;
}

static void puts_done(struct replica_world *rw, uint32_t count) {
    assert_true(rw_puts(rw, count));
}

static uint64_t height(struct replica_world *rw, uint32_t node) {
    return rw_status(rw, node)->final_height;
}

/* Goes on until the blocks that `down` lacks lie nowhere any more. */
static void leave_behind(struct replica_world *rw, uint32_t down, uint64_t at) {
    uint32_t other = down < RW_CLUSTER ? 0 : RW_CLUSTER;
    if (other == down) other++;
    for (uint32_t i = 0; rw_status(rw, other)->checkpoint_height < at + 3 * K; i++) {
        assert_true(i < 200);
        puts_done(rw, 1);
    }
    puts_done(rw, 2); /* the child of the checkpoint, and time to prune */
    rw_run(rw, 500);
    for (uint32_t node = other / RW_CLUSTER * RW_CLUSTER; node < other / RW_CLUSTER * RW_CLUSTER + RW_CLUSTER; node++) {
        if (node != down) assert_true(rw_blocks_stored(rw, node) <= 3 * K);
    }
}

static bool back(struct replica_world *rw, uint32_t node, uint64_t above, uint64_t limit_ms) {
    for (uint64_t passed = 0; passed < limit_ms; passed += 100) {
        rw_run(rw, 100);
        if (!rw->nodes[node].up) continue;
        const struct status_replica *status = rw_status(rw, node);
        if (status->phase == PHASE_VOTING && status->final_height > above) return true;
    }
    return false;
}

static void votes_are_needed(struct replica_world *rw, uint32_t node) {
    assert_true(rw_votes(rw, node));
}

static void behind_beyond_pruning(uint64_t seed, uint32_t down, bool lose_state) {
    struct replica_world *rw = world(seed);
    puts_done(rw, KEYS / 2);
    uint64_t at = height(rw, down);
    rw_crash(rw, down);
    leave_behind(rw, down, at);
    if (lose_state) rw_lose_state(rw, down);
    rw_restart(rw, down);
    assert_true(back(rw, down, at, 30000));
    assert_int_equal(rw->nodes[down].transfers, 1);
    assert_int_equal(rw->nodes[down].bad_pieces, 0);
    votes_are_needed(rw, down);
    rw_destroy(rw);
}

static void a_shard_node_behind_beyond_pruning_comes_back(void **state) {
    (void)state;
    behind_beyond_pruning(1, 7, false);
}

static void a_coordinator_node_behind_beyond_pruning_comes_back(void **state) {
    (void)state;
    behind_beyond_pruning(2, 2, false);
}

/* A client that waits for an answer gives its read to one node after the other. Who came by a checkpoint cannot know that it was decided below that
 * one, and those who know decide it no more: it is held against nobody, and forgotten, whoever handed it over first. */
static void young_read(uint64_t seed, bool by_a_member) {
    enum { DOWN = 3, OTHER = 1 };
    struct replica_world *rw = world(seed);
    puts_done(rw, KEYS / 2);
    uint64_t at = height(rw, DOWN);
    rw_crash(rw, DOWN);
    leave_behind(rw, DOWN, at);
    uint32_t bytes;
    uint8_t digest[32];
    struct operation get = op_get("n", 10);
    uint8_t *batch = rw_batch(rw, BATCH_READ, 0, &get, 1, &bytes, digest);
    rw_send(rw, 0, MESSAGE_BATCH, batch, bytes);
    rw_run(rw, 1000);
    assert_non_null(rw_answer(rw, digest));
    uint64_t decided = height(rw, 0);
    for (uint32_t i = 0; rw_status(rw, 0)->checkpoint_height < decided + 2; i++) {
        assert_true(i < K);
        puts_done(rw, 1);
    }
    rw_lose_state(rw, DOWN);
    rw_restart(rw, DOWN);
    assert_true(back(rw, DOWN, decided, 20000));
    if (by_a_member) {
        uint8_t *input = malloc(4 + bytes);
        assert_non_null(input);
        memcpy(input, (const uint8_t[4]){BODY_BATCH, OTHER, 0, 0}, 4);
        memcpy(input + 4, batch, bytes);
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = OTHER}, DOWN, MESSAGE_INPUT, input, 4 + bytes);
        free(input);
    }
    rw_send(rw, DOWN, MESSAGE_BATCH, batch, bytes);
    rw_run(rw, 2000);
    assert_int_equal(rw_status(rw, DOWN)->drops[DROP_INPUT_DUPLICATE], 0); /* held here, known there */
    assert_true(rw_status(rw, 0)->drops[DROP_INPUT_DUPLICATE] > 0);
    rw_run(rw, 60000);
    assert_int_equal(rw_status(rw, DOWN)->attacks[ATTACK_SILENT_LEADER], 0);
    assert_int_equal(rw_status(rw, DOWN)->view_changes, 0);
    assert_int_equal(rw_status(rw, DOWN)->inputs_waiting, 0);
    free(batch);
    votes_are_needed(rw, DOWN);
    rw_destroy(rw);
}

static void a_read_that_was_decided_before_a_checkpoint_was_taken_ends_no_view(void **state) {
    (void)state;
    young_read(83, false);
}

static void a_read_that_was_decided_before_and_a_member_handed_over_ends_no_view(void **state) {
    (void)state;
    young_read(84, true);
}

static void a_node_that_lost_its_state_comes_back_with_its_voting_memory(void **state) {
    (void)state;
    behind_beyond_pruning(3, 5, true);
}

/* Power is lost for all of a cluster; one member has no state any more and one does not come back. Without the first nothing is decided, so no block
 * comes after the start by which the others could show their checkpoint: it is the one from before that they must still have. */
static void a_cluster_that_cannot_decide_shows_its_checkpoint_after_a_restart(void **state) {
    (void)state;
    struct replica_world *rw = world(4);
    uint32_t lost = 5, gone = 7;
    puts_done(rw, 10);
    uint64_t at = height(rw, lost);
    rw_crash(rw, lost);
    leave_behind(rw, lost, at);
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) {
        if (node != lost) rw_crash(rw, node);
    }
    rw_lose_state(rw, lost);
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) {
        if (node != gone) rw_restart(rw, node);
    }
    assert_true(back(rw, lost, at, 60000));
    assert_int_equal(rw->nodes[lost].transfers, 1);
    puts_done(rw, 3);
    rw_restart(rw, gone);
    rw_run(rw, 2000);
    assert_true(rw_compare(rw) >= 6);
    rw_destroy(rw);
}

/* So many of these stand at one height, which is that of a checkpoint; puts until it is so. */
static uint64_t stand_at_checkpoint(struct replica_world *rw, const uint32_t *nodes, uint32_t count) {
    for (uint32_t i = 0; i < 40 * K; i++) {
        char key[16];
        uint32_t bytes;
        uint8_t digest[32];
        snprintf(key, sizeof key, "key%u", i % KEYS);
        struct operation put = op_put(key, "value");
        uint8_t *batch = rw_batch(rw, BATCH_WRITE, ++rw->number, &put, 1, &bytes, digest);
        rw_send(rw, i % RW_CLUSTER, MESSAGE_BATCH, batch, bytes);
        free(batch);
        for (uint32_t ms = 0; ms < 50; ms++) {
            rw_run(rw, 1);
            uint64_t at = height(rw, nodes[0]);
            bool all = at % K == 0;
            for (uint32_t k = 1; k < count; k++) all = all && height(rw, nodes[k]) == at;
            if (all) return at;
        }
    }
    return 0;
}

/* The same, and the cluster stands just at the height of a checkpoint: it has no child that would show it, and none comes without the one who lacks
 * everything. So the one before it must be what all start from, show, and still have the blocks above of. */
static void stands_at_a_checkpoint(uint64_t seed, bool lose_state) {
    struct replica_world *rw = world(seed);
    const uint32_t lost = 5, gone = 7, others[] = {4, 6, 7};
    puts_done(rw, 10);
    uint64_t at = height(rw, lost);
    rw_crash(rw, lost);
    leave_behind(rw, lost, at);
    uint64_t stands = stand_at_checkpoint(rw, others, 3);
    assert_true(stands >= at + 3 * K);
    for (uint32_t i = 0; i < 3; i++) rw_crash(rw, others[i]);
    if (lose_state) rw_lose_state(rw, lost);
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) {
        if (node != gone) rw_restart(rw, node);
    }
    rw_run(rw, 100);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(rw_status(rw, others[i])->checkpoint_height, stands - K);
        assert_true(height(rw, others[i]) >= stands - 1); /* the certificate of the newest may not have been on the disk */
    }
    assert_true(back(rw, lost, stands - 1, 60000));
    assert_int_equal(rw->nodes[lost].transfers, 1);
    puts_done(rw, 3);
    rw_restart(rw, gone);
    rw_run(rw, 2000);
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) assert_true(rw_status(rw, node)->checkpoint_height >= stands);
    assert_true(rw_compare(rw) >= 6);
    rw_destroy(rw);
}

static void a_cluster_that_stands_at_the_height_of_a_checkpoint_shows_the_one_before(void **state) {
    (void)state;
    stands_at_a_checkpoint(6, false);
    stands_at_a_checkpoint(7, true);
}

static bool all_checkpointed(struct replica_world *rw, const uint32_t *nodes, uint32_t count, uint64_t at) {
    for (uint32_t i = 0; i < count; i++) {
        if (rw_status(rw, nodes[i])->checkpoint_height < at) return false;
    }
    return true;
}

/* Power is lost for all of a cluster just when their checkpoint is durable: the certificate of its block, which goes to the other store, is not, nor
 * is its child's. From the restart on nobody has that block but in the store, and one who is behind by so little takes blocks and no checkpoint. */
static void the_block_of_a_checkpoint_is_served_after_all_lost_power(void **state) {
    (void)state;
    struct replica_world *rw = world(5);
    const uint32_t others[] = {4, 5, 7}, behind = 6;
    puts_done(rw, 3);
    uint64_t at = height(rw, behind);
    assert_true(at < K);
    rw_crash(rw, behind);
    for (uint32_t i = 0; !all_checkpointed(rw, others, 3, K); i++) {
        assert_true(i < 100);
        char key[16];
        uint32_t bytes;
        uint8_t digest[32];
        snprintf(key, sizeof key, "key%u", i);
        struct operation put = op_put(key, "value");
        uint8_t *batch = rw_batch(rw, BATCH_WRITE, ++rw->number, &put, 1, &bytes, digest);
        rw_send(rw, i % RW_CLUSTER, MESSAGE_BATCH, batch, bytes);
        free(batch);
        for (uint32_t ms = 0; ms < 100 && !all_checkpointed(rw, others, 3, K); ms++) rw_run(rw, 1);
    }
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(height(rw, others[i]), K + 1);
        rw_crash(rw, others[i]);
        rw_certificates_lose(rw, others[i], K);
    }
    rw_restart(rw, behind);
    rw_restart(rw, others[0]);
    rw_restart(rw, others[1]);
    assert_true(back(rw, behind, K - 1, 30000));
    assert_int_equal(rw->nodes[behind].transfers, 0);
    rw_restart(rw, others[2]);
    rw_run(rw, 2000);
    assert_true(rw_compare(rw) >= 6);
    rw_destroy(rw);
}

/* ---- crashes ---- */

static void a_node_that_crashes_again_and_again_while_it_takes_pieces_comes_back(void **state) {
    (void)state;
    for (uint32_t pieces = 1; pieces <= 3; pieces++) {
        struct replica_world *rw = world(10 + pieces);
        uint32_t down = 6;
        puts_done(rw, 20);
        uint64_t at = height(rw, down);
        rw_crash(rw, down);
        leave_behind(rw, down, at);
        for (uint32_t crash = 0; crash < 4; crash++) {
            rw->crash_type = crash % 2 == 0 ? MESSAGE_PIECE : MESSAGE_CHECKPOINT;
            rw->crash_node = down;
            rw->crash_after = pieces;
            rw_restart(rw, down);
            for (uint32_t i = 0; i < 100 && rw->crash_type != 0 && rw->nodes[down].transfers == 0; i++) rw_run(rw, 100);
            rw->crash_type = 0;
            if (rw->nodes[down].up) rw_crash(rw, down);
        }
        rw_restart(rw, down);
        assert_true(back(rw, down, at, 30000));
        assert_true(rw->nodes[down].transfers >= 1);
        votes_are_needed(rw, down);
        rw_destroy(rw);
    }
}

static void a_helper_that_dies_in_the_middle_is_replaced(void **state) {
    (void)state;
    struct replica_world *rw = world(20);
    uint32_t down = 7;
    puts_done(rw, 20);
    uint64_t at = height(rw, down);
    rw_crash(rw, down);
    leave_behind(rw, down, at);
    rw->crash_type = MESSAGE_CHECKPOINT_QUERY;
    rw->crash_node = 4;
    rw->crash_after = 1;
    rw_restart(rw, down);
    assert_true(back(rw, down, at, 30000));
    assert_false(rw->nodes[4].up);
    rw_restart(rw, 4);
    rw_run(rw, 1000);
    votes_are_needed(rw, down);
    rw_destroy(rw);
}

/* ---- liars ---- */

enum lie { LIE_ENTRY, LIE_ITEM, LIE_COUNT, LIE_TOO_LARGE, LIE_BUSY, LIE_UNKNOWN, LIE_GARBAGE, LIE_SILENT, LIES };

static enum lie lie_now;
static uint64_t lies_told;
static struct blob *lie_blob;

/* An answer with this code instead of the piece. */
static size_t code_put(uint8_t *bytes, uint8_t code, uint32_t hint) {
    bytes[41] = code;
    bytes_put_le32(bytes + 44, hint);
    bytes_put_le64(bytes + 48, 0);
    return CHECKPOINT_PIECE_HEAD_BYTES;
}

static size_t piece_bend(uint8_t *bytes, size_t count) {
    bool entries = bytes[40] == CHECKPOINT_ENTRIES;
    switch (lie_now) {
    case LIE_ENTRY:
        if (entries && count > 100) bytes[count - 1] ^= 1; /* in the value of the last entry */
        else lies_told--;
        return count;
    case LIE_ITEM:
        if (!entries && bytes[40] != CHECKPOINT_SUBROOTS_OF && count > CHECKPOINT_PIECE_HEAD_BYTES) bytes[count - 1] ^= 1;
        else lies_told--;
        return count;
    case LIE_TOO_LARGE: return entries ? code_put(bytes, CHECKPOINT_PIECE_TOO_LARGE, 16) : count;
    case LIE_BUSY: return code_put(bytes, CHECKPOINT_PIECE_BUSY, UINT32_MAX);
    case LIE_UNKNOWN: return code_put(bytes, CHECKPOINT_PIECE_UNKNOWN, 0);
    case LIE_GARBAGE: return count / 2;
    default: return count;
    }
}

static bool lie_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *piece_count) {
    (void)context;
    (void)to;
    if (type != MESSAGE_PIECE && (type != MESSAGE_CHECKPOINT || lie_now != LIE_COUNT)) return true;
    lies_told++;
    if (lie_now == LIE_SILENT) return false;
    if (*piece_count != 1) return true;
    blob_drop(lie_blob);
    lie_blob = blob_copy(blob_piece_bytes(&pieces[0]), pieces[0].count);
    size_t count = pieces[0].count;
    if (type == MESSAGE_PIECE) count = piece_bend(lie_blob->bytes, count);
    else if (count > 200) lie_blob->bytes[16 + 4 + 104] ^= 1; /* entries of the first manifest */
    else lies_told--;
    lie_blob->count = count;
    pieces[0] = (struct blob_piece){.blob = lie_blob, .count = count};
    return true;
}

/* False: nobody asked the liar for anything. */
static bool one_helper_may_lie(uint64_t seed, enum lie lie, bool is_named) {
    struct replica_world *rw = world(seed);
    uint32_t down = 5, liar = 4;
    puts_done(rw, 30);
    uint64_t at = height(rw, down);
    rw_crash(rw, down);
    leave_behind(rw, down, at);
    lie_now = lie;
    lies_told = 0;
    rw->nodes[liar].hooks.send = lie_send;
    rw_restart(rw, down);
    assert_true(back(rw, down, at, 60000));
    rw->nodes[liar].hooks.send = NULL;
    blob_drop(lie_blob);
    lie_blob = NULL;
    assert_int_equal(rw->nodes[down].bad_members & ~(1u << (liar % RW_CLUSTER)), 0); /* nobody else is named */
    if (is_named && lies_told > 0) assert_true(rw->nodes[down].bad_members != 0);
    votes_are_needed(rw, down);
    rw_destroy(rw);
    return lies_told > 0;
}

/* Which helpers are asked for the few pieces, those who answered first, is chance. */
static void one_helper_lies(enum lie lie, bool is_named) {
    bool lied = false;
    for (uint64_t turn = 0; turn < 12 && !lied; turn++) {
        lied = one_helper_may_lie(40 + lie + 100 * turn, lie, is_named);
        if (!is_named || getenv("SEED") != NULL) return;
    }
    assert_true(lied);
}

static void a_bad_entry_names_its_sender(void **state) {
    (void)state;
    one_helper_lies(LIE_ENTRY, true);
}

static void a_bad_item_harms_nobody_but_its_sender(void **state) {
    (void)state;
    one_helper_lies(LIE_ITEM, false); /* named if it was asked for one */
}

static void a_frame_cut_in_half_names_its_sender(void **state) {
    (void)state;
    one_helper_lies(LIE_GARBAGE, true);
}

static void endless_too_large_busy_unknown_and_silence_stop_nobody(void **state) {
    (void)state;
    one_helper_lies(LIE_TOO_LARGE, true); /* another's piece shows that it was untrue */
    one_helper_lies(LIE_BUSY, false);
    one_helper_lies(LIE_UNKNOWN, false);
    one_helper_lies(LIE_SILENT, false);
}

static void a_manifest_with_a_wrong_count_is_outvoted(void **state) {
    (void)state;
    one_helper_lies(LIE_COUNT, false);
}

/* The liar is the only one that can be asked: what it made up is found at the end, from the state itself. */
static void a_manifest_with_a_wrong_count_is_found_even_when_only_a_liar_shows_one(void **state) {
    (void)state;
    struct replica_world *rw = world(60);
    uint32_t down = 5, liar = 4;
    puts_done(rw, 30);
    uint64_t at = height(rw, down);
    rw_crash(rw, down);
    leave_behind(rw, down, at);
    lie_now = LIE_SILENT; /* at first the two honest ones show nothing */
    rw->nodes[6].hooks.send = rw->nodes[7].hooks.send = lie_send;
    rw_restart(rw, down);
    rw_run(rw, 1000);
    rw->nodes[6].hooks.send = rw->nodes[7].hooks.send = NULL;
    lie_now = LIE_COUNT;
    rw->nodes[liar].hooks.send = lie_send;
    assert_true(back(rw, down, at, 90000));
    rw->nodes[liar].hooks.send = NULL;
    blob_drop(lie_blob);
    lie_blob = NULL;
    assert_int_equal(rw->nodes[down].bad_members & ~1u, 0);
    rw_destroy(rw);
}

/* ---- the checkpoint moves on ---- */

static void what_changed_meanwhile_is_fetched_anew_and_nothing_else(void **state) {
    (void)state;
    struct replica_world *rw = world(70);
    uint32_t down = 7;
    puts_done(rw, 30);
    uint64_t at = height(rw, down);
    rw_crash(rw, down);
    leave_behind(rw, down, at);
    /* Its helpers give no item, so that it cannot end before they have moved on twice. */
    lie_now = LIE_BUSY;
    for (uint32_t i = 4; i < 7; i++) rw->nodes[i].never_serves = true;
    rw_restart(rw, down);
    rw_run(rw, 4000);
    uint64_t old = rw_status(rw, 4)->checkpoint_height;
    for (uint32_t i = 0; rw_status(rw, 4)->checkpoint_height < old + 3 * K; i++) {
        assert_true(i < 200);
        puts_done(rw, 1);
    }
    for (uint32_t i = 4; i < 7; i++) rw->nodes[i].never_serves = false;
    assert_true(back(rw, down, old, 60000));
    assert_int_equal(rw->nodes[down].bad_members, 0);
    votes_are_needed(rw, down);
    rw_destroy(rw);
}

/* ---- rates ---- */

static uint32_t rate_drops(struct replica_world *rw, uint32_t node) {
    return (uint32_t)rw_status(rw, node)->drops[DROP_RATE];
}

static void ask_times(struct replica_world *rw, uint32_t node, uint8_t member, uint16_t type, size_t count, uint32_t times) {
    static const uint8_t zeros[CHECKPOINT_PIECE_QUERY_BYTES];
    struct blob *blob = blob_copy(zeros, count);
    struct replica_peer from = {.kind = REPLICA_MEMBER, .member = member};
    for (uint32_t i = 0; i < times; i++) {
        replica_frame(rw->nodes[node].replica, from, type, (struct blob_piece){.blob = blob, .count = count});
        if (i % 64 == 63) rw_run(rw, 0);
    }
    blob_drop(blob);
}

static void a_member_that_asks_without_end_is_heard_at_a_rate(void **state) {
    (void)state;
    struct replica_world *rw = world(80);
    uint32_t node = 4, before = rate_drops(rw, node);
    ask_times(rw, node, 1, MESSAGE_CHECKPOINT_QUERY, CHECKPOINT_QUERY_BYTES, 10);
    assert_int_equal(rate_drops(rw, node) - before, 9);
    ask_times(rw, node, 2, MESSAGE_CHECKPOINT_QUERY, CHECKPOINT_QUERY_BYTES, 1); /* another has its own rate */
    assert_int_equal(rate_drops(rw, node) - before, 9);
    rw_run(rw, 150);
    ask_times(rw, node, 1, MESSAGE_CHECKPOINT_QUERY, CHECKPOINT_QUERY_BYTES, 1);
    assert_int_equal(rate_drops(rw, node) - before, 9);
    ask_times(rw, node, 1, MESSAGE_PIECE_QUERY, CHECKPOINT_PIECE_QUERY_BYTES, 12000); /* two windows at most */
    assert_true(rate_drops(rw, node) - before >= 9 + 4000);
    rw_destroy(rw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shard_node_behind_beyond_pruning_comes_back),
        cmocka_unit_test(a_coordinator_node_behind_beyond_pruning_comes_back),
        cmocka_unit_test(a_node_that_lost_its_state_comes_back_with_its_voting_memory),
        cmocka_unit_test(a_read_that_was_decided_before_a_checkpoint_was_taken_ends_no_view),
        cmocka_unit_test(a_read_that_was_decided_before_and_a_member_handed_over_ends_no_view),
        cmocka_unit_test(a_cluster_that_cannot_decide_shows_its_checkpoint_after_a_restart),
        cmocka_unit_test(a_cluster_that_stands_at_the_height_of_a_checkpoint_shows_the_one_before),
        cmocka_unit_test(the_block_of_a_checkpoint_is_served_after_all_lost_power),
        cmocka_unit_test(a_node_that_crashes_again_and_again_while_it_takes_pieces_comes_back),
        cmocka_unit_test(a_helper_that_dies_in_the_middle_is_replaced),
        cmocka_unit_test(a_bad_entry_names_its_sender),
        cmocka_unit_test(a_bad_item_harms_nobody_but_its_sender),
        cmocka_unit_test(a_frame_cut_in_half_names_its_sender),
        cmocka_unit_test(endless_too_large_busy_unknown_and_silence_stop_nobody),
        cmocka_unit_test(a_manifest_with_a_wrong_count_is_outvoted),
        cmocka_unit_test(a_manifest_with_a_wrong_count_is_found_even_when_only_a_liar_shows_one),
        cmocka_unit_test(a_member_that_asks_without_end_is_heard_at_a_rate),
        cmocka_unit_test(what_changed_meanwhile_is_fetched_anew_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
