/* State transfer over CONFIGs (P-40): a node that was away while epochs ended and blocks were pruned takes the chain, a checkpoint of a newer epoch
 * from the members of that epoch, and votes, whoever lies, crashes or moves on meanwhile; and one whose state was lost, but not its voting memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bft/memory.h"
#include "bft/wire.h"
#include "protocol/checkpoint.h"
#include "tests/appliance/replica_world.h"

enum { K = 16, MESSAGE_CHECKPOINT = 0x010E, MESSAGE_PIECE = 0x0110, MESSAGE_CONFIG_QUERY = 0x0113, MESSAGE_CONFIG_CHAIN = 0x0114 };

static struct config configs[2]; /* in force: of the coordinator, of the shard */
static uint8_t signed_bytes[ADMIN_OP_BYTES_MAX];
static struct admin_op op;

static struct replica_world *world_of(uint64_t seed, uint32_t checkpoint_blocks) {
    const char *given = getenv("SEED");
    if (given != NULL) seed = strtoull(given, NULL, 10);
    print_message("SEED=%llu\n", (unsigned long long)seed);
    struct replica_world *rw = rw_create_stored(seed, checkpoint_blocks);
    assert_true(system_config(&rw->world->system, COORDINATOR_CLUSTER_BASE, &configs[0]));
    assert_true(system_config(&rw->world->system, SHARD_CLUSTER_BASE, &configs[1]));
    rw_run(rw, 200);
    return rw;
}

static void puts_done(struct replica_world *rw, uint32_t count) {
    assert_true(rw_puts(rw, count));
}

static uint32_t first_of(uint32_t node) {
    return node / RW_CLUSTER * RW_CLUSTER;
}

static uint32_t other_of(const struct replica_world *rw, uint32_t node) {
    uint32_t other = rw_other(rw, node);
    assert_true(other < RW_NODES);
    return other;
}

/* The next CONFIG of this node's cluster takes effect: another time-out. */
static void config_next(struct replica_world *rw, uint32_t node) {
    struct config *config = &configs[node / RW_CLUSTER];
    rw_config_next(config, &op);
    op.config.timeouts.view_base_ms = 900 + (uint32_t)op.serial;
    (void)rw_admin_send(rw, other_of(rw, node), &op, 1, signed_bytes);
    *config = op.config;
    assert_true(rw_epoch_wait(rw, rw->nodes[node].cluster, op.serial, 60000));
}

/* Goes on until the blocks up to here lie nowhere any more. */
static void prune(struct replica_world *rw, uint32_t down) {
    uint32_t other = other_of(rw, down);
    uint64_t at = rw_status(rw, other)->final_height;
    for (uint32_t i = 0; rw_status(rw, other)->checkpoint_height < at + 3 * K; i++) {
        assert_true(i < 200);
        puts_done(rw, 1);
    }
    puts_done(rw, 2); /* the child of the checkpoint, and time to prune */
    rw_run(rw, 500);
    for (uint32_t node = first_of(down); node < first_of(down) + RW_CLUSTER; node++) {
        if (node != down) assert_true(rw_status(rw, node)->pruned_height > at);
    }
}

static bool back(struct replica_world *rw, uint32_t node, uint64_t epoch, uint64_t limit_ms) {
    for (uint64_t passed = 0; passed < limit_ms; passed += 100) {
        rw_run(rw, 100);
        if (!rw->nodes[node].up) continue;
        const struct status_replica *status = rw_status(rw, node);
        if (status->phase == PHASE_VOTING && status->epoch == epoch) return true;
    }
    return false;
}

static void votes_are_needed(struct replica_world *rw, uint32_t node) {
    assert_true(rw_votes(rw, node));
}

/* Away while so many epochs ended, all of it pruned. */
static struct replica_world *away(uint64_t seed, uint32_t down, uint32_t epochs) {
    struct replica_world *rw = world_of(seed, K);
    puts_done(rw, 20);
    rw_crash(rw, down);
    for (uint32_t i = 0; i < epochs; i++) {
        puts_done(rw, 3);
        config_next(rw, down);
    }
    prune(rw, down);
    return rw;
}

static void comes_back(uint64_t seed, uint32_t down, uint32_t epochs) {
    struct replica_world *rw = away(seed, down, epochs);
    rw_restart(rw, down);
    assert_true(back(rw, down, epochs, 40000));
    assert_int_equal(rw->nodes[down].transfers, 1);
    assert_int_equal(rw->nodes[down].bad_pieces, 0);
    votes_are_needed(rw, down);
    rw_destroy(rw);
}

static void a_node_away_over_configs_and_beyond_pruning_comes_back(void **state) {
    (void)state;
    comes_back(1, 7, 2);
    comes_back(2, 2, 2);
    comes_back(3, 4, 1);
    comes_back(4, 1, 5);
}

/* The newest checkpoint is of the epoch before: its members certified it, those of the next serve it, and the CONFIG comes as a block. */
static void a_checkpoint_of_the_epoch_before_will_do(void **state) {
    (void)state;
    struct replica_world *rw = away(10, 6, 1);
    config_next(rw, 6);
    assert_true(rw_status(rw, 4)->checkpoint_height < replica_members(rw->nodes[4].replica)->start.height);
    rw_restart(rw, 6);
    assert_true(back(rw, 6, 2, 40000));
    assert_int_equal(rw->nodes[6].transfers, 1);
    votes_are_needed(rw, 6);
    rw_destroy(rw);
}

/* The checkpoint is that of a block that ended an epoch: its child is of the next, its certificate in the chain. */
static void a_checkpoint_of_a_config_block_itself_will_do(void **state) {
    (void)state;
    struct replica_world *rw = away(20, 7, 1);
    uint64_t start = 1;
    for (uint32_t tries = 0; start % K != 0; tries++) {
        assert_true(tries < 100);
        for (uint32_t i = 0; rw_status(rw, 4)->final_height % K != K - 1 && i < 40; i++) {
            rw_run(rw, 7);
            if (rw_status(rw, 4)->final_height % K != K - 1) puts_done(rw, 1);
        }
        config_next(rw, 7);
        start = replica_members(rw->nodes[4].replica)->start.height;
    }
    for (uint32_t i = 0; rw_status(rw, 4)->final_height == start; i++) {
        assert_true(i < 20);
        puts_done(rw, 1);
    }
    assert_int_equal(rw_status(rw, 4)->checkpoint_height, start);
    rw_restart(rw, 7);
    assert_true(back(rw, 7, configs[1].members.serial, 40000));
    assert_int_equal(rw->nodes[7].transfers, 1);
    votes_are_needed(rw, 7);
    /* And it starts from there again. */
    rw_crash(rw, 7);
    rw_restart(rw, 7);
    assert_true(back(rw, 7, configs[1].members.serial, 40000));
    rw_destroy(rw);
}

static void epochs_that_end_while_it_is_taking_are_followed(void **state) {
    (void)state;
    struct replica_world *rw = away(30, 5, 2);
    for (uint32_t i = 4; i < RW_NODES; i++) rw->nodes[i].never_serves = true;
    rw_restart(rw, 5);
    rw_run(rw, 4000);
    assert_int_equal(rw_status(rw, 5)->phase, PHASE_CATCHING_UP);
    rw_crash(rw, 5); /* what it learned is durable */
    rw_restart(rw, 5);
    rw_run(rw, 3000);
    for (uint32_t i = 0; i < 2; i++) {
        struct config *config = &configs[1];
        rw_config_next(config, &op);
        op.config.timeouts.view_base_ms = 800 + (uint32_t)op.serial;
        (void)rw_admin_send(rw, 4, &op, 1, signed_bytes);
        *config = op.config;
        for (uint32_t tries = 0; rw_status(rw, 4)->epoch < op.serial; tries++) {
            assert_true(tries < 200);
            rw_run(rw, 50);
        }
        puts_done(rw, 5);
    }
    for (uint32_t i = 4; i < RW_NODES; i++) rw->nodes[i].never_serves = false;
    assert_true(back(rw, 5, 4, 60000));
    assert_true(rw->nodes[5].transfers >= 1);
    assert_int_equal(rw->nodes[5].bad_members, 0);
    votes_are_needed(rw, 5);
    rw_destroy(rw);
}

static void crashes_in_the_middle_cost_time_alone(void **state) {
    (void)state;
    for (uint32_t after = 1; after <= 2; after++) {
        struct replica_world *rw = away(40 + after, 6, 2);
        static const uint16_t types[] = {MESSAGE_CONFIG_CHAIN, MESSAGE_CHECKPOINT, MESSAGE_PIECE, MESSAGE_CONFIG_CHAIN, MESSAGE_PIECE};
        for (uint32_t crash = 0; crash < sizeof types / sizeof types[0]; crash++) {
            rw->crash_type = types[crash];
            rw->crash_node = 6;
            rw->crash_after = after;
            rw_restart(rw, 6);
            for (uint32_t i = 0; i < 60 && rw->crash_type != 0 && rw->nodes[6].transfers == 0; i++) rw_run(rw, 100);
            rw->crash_type = 0;
            if (rw->nodes[6].up) rw_crash(rw, 6);
        }
        rw_restart(rw, 6);
        assert_true(back(rw, 6, 2, 60000));
        assert_true(rw->nodes[6].transfers >= 1);
        votes_are_needed(rw, 6);
        rw_destroy(rw);
    }
}

/* Power goes for all of them: what they restart from can be shown at once, though nothing is decided any more. */
static void helpers_that_all_restarted_serve_although_nothing_is_decided(void **state) {
    (void)state;
    struct replica_world *rw = away(50, 7, 2);
    for (uint32_t i = 4; i < 7; i++) rw_crash(rw, i);
    for (uint32_t i = 4; i < 7; i++) rw_restart(rw, i);
    rw_restart(rw, 7);
    assert_true(back(rw, 7, 2, 40000));
    assert_int_equal(rw->nodes[7].transfers, 1);
    votes_are_needed(rw, 7);
    rw_destroy(rw);
}

/* ---- liars ---- */

static uint16_t lie_type;
static uint64_t lies_told, lie_seed;
static struct blob *lie_blob;

/* The certificate of what it shows, or an entry of the chain, is bent somewhere. */
static bool lie_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *piece_count) {
    (void)context;
    (void)to;
    size_t head = type == MESSAGE_CHECKPOINT ? 16 + 4 + 124 + 244 : CONFIG_CHAIN_HEAD_BYTES + 4;
    if (type != lie_type || *piece_count != 1 || pieces[0].count <= head) return true;
    blob_drop(lie_blob);
    lie_blob = blob_copy(blob_piece_bytes(&pieces[0]), pieces[0].count);
    size_t at = type == MESSAGE_CHECKPOINT ? pieces[0].count - 1 : head + world_random(&lie_seed) % (pieces[0].count - head);
    lie_blob->bytes[at] ^= 0x10;
    lies_told++;
    pieces[0] = (struct blob_piece){.blob = lie_blob, .count = lie_blob->count};
    return true;
}

static bool withhold_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *piece_count) {
    (void)context;
    (void)to;
    (void)pieces;
    (void)piece_count;
    return type != MESSAGE_CHECKPOINT;
}

/* The liar is the first to answer: of a chain all lie at first, of a checkpoint the others show none. */
static void one_lies(uint64_t seed, uint16_t type, enum status_attack attack) {
    struct replica_world *rw = away(seed, 5, 2);
    lie_type = type;
    lie_seed = seed;
    lies_told = 0;
    for (uint32_t i = 4; i < RW_NODES; i++) rw->nodes[i].hooks.send = i == 4 || type == MESSAGE_CONFIG_CHAIN ? lie_send : withhold_send;
    rw_restart(rw, 5);
    for (uint32_t i = 0; i < 100 && lies_told < (type == MESSAGE_CONFIG_CHAIN ? 3 : 1); i++) rw_run(rw, 100);
    if (type == MESSAGE_CONFIG_CHAIN) { /* all of them lied: it knows of nothing, and has said so of each */
        assert_true(lies_told >= 3);
        assert_int_equal(rw_status(rw, 5)->epoch, 0);
        assert_true(rw_status(rw, 5)->drops[DROP_CHAIN] >= 3);
    }
    for (uint32_t i = 5; i < RW_NODES; i++) rw->nodes[i].hooks.send = NULL;
    uint64_t named = 0, others = 0;
    for (uint32_t i = 0; i < rw_status(rw, 5)->attacker_count; i++) {
        const struct status_attacker *attacker = &rw_status(rw, 5)->attackers[i];
        named += attacker->attack == attack && strcmp(attacker->peer, "member 0") == 0;
        others += attacker->attack == attack && strcmp(attacker->peer, "member 0") != 0;
    }
    assert_true(back(rw, 5, 2, 60000));
    rw->nodes[4].hooks.send = NULL;
    blob_drop(lie_blob);
    lie_blob = NULL;
    assert_true(lies_told > 0);
    assert_true(named == 1 || type == MESSAGE_CHECKPOINT);
    assert_true(others == 0 || type == MESSAGE_CONFIG_CHAIN);
    if (type == MESSAGE_CHECKPOINT) assert_int_equal(rw->nodes[5].bad_members, 1);
    votes_are_needed(rw, 5);
    rw_destroy(rw);
}

static void a_hostile_chain_is_counted_and_its_sender_named(void **state) {
    (void)state;
    one_lies(60, MESSAGE_CONFIG_CHAIN, ATTACK_BAD_ANSWER);
    one_lies(61, MESSAGE_CONFIG_CHAIN, ATTACK_BAD_ANSWER);
}

static void a_checkpoint_that_its_epoch_did_not_certify_names_its_sender(void **state) {
    (void)state;
    one_lies(62, MESSAGE_CHECKPOINT, ATTACK_BAD_PIECE);
}

static void a_chain_that_nobody_asked_for_is_not_looked_at(void **state) {
    (void)state;
    struct replica_world *rw = world_of(63, K);
    uint8_t nonsense[200] = {0};
    struct replica_peer liar = {.kind = REPLICA_MEMBER, .member = 1};
    bytes_put_le32(nonsense, SHARD_CLUSTER_BASE);
    puts_done(rw, 1);
    rw_inject(rw, liar, 4, MESSAGE_CONFIG_CHAIN, nonsense, sizeof nonsense);
    assert_int_equal(rw_status(rw, 4)->drops[DROP_CHAIN], 1);
    assert_int_equal(rw_status(rw, 4)->attacks[ATTACK_BAD_ANSWER], 0);
    rw_destroy(rw);
}

static uint32_t questions;

static bool count_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *piece_count) {
    (void)context;
    (void)to;
    (void)pieces;
    (void)piece_count;
    questions += type == MESSAGE_CONFIG_QUERY;
    return true;
}

/* Of a member that is up to date: a claim costs a few questions of 16 bytes, and moves nothing. */
static void claims_of_later_epochs_move_nobody(void **state) {
    (void)state;
    struct replica_world *rw = world_of(64, K);
    struct bft_message *status = calloc(1, sizeof *status);
    uint8_t bytes[512];
    assert_non_null(status);
    status->type = BFT_MESSAGE_STATUS;
    status->status.place = replica_members(rw->nodes[4].replica)->place;
    status->status.place.epoch = 77;
    status->status.signer = 1;
    status->status.final.height = UINT64_MAX / 2;
    size_t count = bft_wire_encode(status, bytes, sizeof bytes);
    free(status);
    struct replica_peer liar = {.kind = REPLICA_MEMBER, .member = 1};
    rw->nodes[4].hooks.send = count_send;
    questions = 0;
    for (uint32_t i = 0; i < 100; i++) {
        rw_inject(rw, liar, 4, BFT_MESSAGE_STATUS, bytes, count);
        rw_run(rw, 100);
        if (i % 20 == 0) puts_done(rw, 3);
        struct transfer_status transfer;
        transfer_status(rw->nodes[4].transfer, &transfer);
        assert_false(transfer.taking);
        assert_int_equal(rw_status(rw, 4)->phase, PHASE_VOTING);
    }
    print_message("%u questions\n", questions);
    assert_true(questions > 0 && questions <= 60);
    assert_int_equal(rw_status(rw, 4)->view_changes, 0);
    votes_are_needed(rw, 4);
    rw_destroy(rw);
}

/* ---- the state is lost, the voting memory is not ---- */

static const struct rw_record *memory_record(const struct replica_world *rw, uint32_t node) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    size_t bytes = wal_key_vote(key, WAL_VOTE_CORE, 0, 0, 0);
    for (size_t i = 0; i < rw->nodes[node].record_count; i++) {
        const struct rw_record *record = &rw->nodes[node].records[i];
        if (record->used && record->db == WAL_VOTES && memcmp(record->key, key, bytes) == 0) return record;
    }
    fail();
    return NULL;
}

static void memory_of(const struct replica_world *rw, uint32_t node, struct bft_memory *memory) {
    const struct rw_record *record = memory_record(rw, node);
    assert_true(bft_memory_decode(record->bytes, record->count, memory));
}

static void blocks_lose(struct rw_node *node) {
    for (size_t i = 0; i < node->record_count; i++) {
        struct rw_record *record = &node->records[i];
        if (!record->used || record->db != WAL_BLOCKS) continue;
        free(record->bytes);
        *record = (struct rw_record){0};
    }
}

/* What it signed before stays its word, through all starts. */
static void state_lost(uint64_t seed, uint32_t checkpoint_blocks, uint32_t transfers) {
    struct replica_world *rw = world_of(seed, checkpoint_blocks);
    static struct bft_memory before, after;
    puts_done(rw, 5);
    config_next(rw, 6);
    puts_done(rw, 5);
    config_next(rw, 6);
    if (transfers > 0) prune(rw, 6);
    puts_done(rw, 2);
    rw_crash(rw, 6);
    memory_of(rw, 6, &before);
    assert_int_equal(before.place.epoch, 2);
    assert_true(before.has_committed);
    rw_lose_state(rw, 6);
    if (transfers == 0) blocks_lose(&rw->nodes[6]);
    for (uint32_t i = 4; i < RW_NODES; i++) rw->nodes[i].never_serves = true;
    rw_restart(rw, 6);
    rw_run(rw, transfers > 0 ? 3000 : 20);
    assert_int_not_equal(rw_status(rw, 6)->phase, PHASE_VOTING);
    memory_of(rw, 6, &after);
    assert_memory_equal(&before, &after, sizeof before);
    for (uint32_t i = 4; i < RW_NODES; i++) rw->nodes[i].never_serves = false;
    assert_true(back(rw, 6, 2, 60000));
    assert_int_equal(rw->nodes[6].transfers, transfers);
    assert_true(transfers > 0 || rw->nodes[6].agains == 1);
    memory_of(rw, 6, &after);
    assert_int_equal(after.place.epoch, 2);
    assert_true(after.has_committed && after.committed.height >= before.committed.height);
    votes_are_needed(rw, 6);
    rw_destroy(rw);
}

static void a_state_lost_in_a_later_epoch_comes_back_by_a_checkpoint(void **state) {
    (void)state;
    state_lost(70, K, 1);
}

static void a_state_lost_in_a_later_epoch_comes_back_by_blocks_and_a_new_start(void **state) {
    (void)state;
    state_lost(71, 4096, 0);
}

/* ---- the last state ---- */

static struct blob *shown_last; /* the newest CHECKPOINT that the node sent */

static bool shown_keep(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *piece_count) {
    (void)context;
    (void)to;
    if (type != MESSAGE_CHECKPOINT || *piece_count != 1) return true;
    blob_drop(shown_last);
    shown_last = blob_copy(blob_piece_bytes(&pieces[0]), pieces[0].count);
    return true;
}

/* What node 4 shows to whoever asks, by the chain that it has. */
static void last_state_is_shown(struct replica_world *rw, uint64_t height) {
    static struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    static struct transfer_epoch epoch;
    uint8_t query[CHECKPOINT_QUERY_BYTES] = {0};
    uint64_t nonce;
    uint16_t count = 0;
    rw->nodes[4].hooks.send = shown_keep;
    for (uint32_t i = 0; i < 20 && count == 0; i++) {
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 1}, 4, 0x010D, query, sizeof query);
        rw_run(rw, 200);
        if (shown_last != NULL)
            assert_int_equal(checkpoint_message_decode(shown_last->bytes, shown_last->count, &nonce, shown, &count), CHECKPOINT_OK);
    }
    rw->nodes[4].hooks.send = NULL;
    assert_true(count > 0 && shown[0].sealed);
    assert_int_equal(shown[0].manifest.height, height);
    struct signer signer = keyed_signer_of(NULL);
    replica_epoch(rw->nodes[4].replica, 0, &epoch);
    assert_int_equal(checkpoint_shown_verify(&epoch.members, &signer, K, &shown[0]), CHECKPOINT_OK);
    blob_drop(shown_last);
    shown_last = NULL;
}

static bool all_sealed_at(struct replica_world *rw, uint64_t height) {
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) {
        const struct status_replica *status = rw_status(rw, node);
        if (status->phase != PHASE_SEALED || status->final_height != height || status->checkpoint_height != height) return false;
    }
    return true;
}

/* Between two checkpoints, none of which there is yet: what was decided up to SEAL is in the last one all the same, also where it is made anew. */
static void the_state_after_a_seal_is_a_checkpoint_that_its_own_block_certifies(void **state) {
    (void)state;
    struct replica_world *rw = world_of(90, 4096);
    puts_done(rw, 5);
    rw_config_next(&configs[1], &op);
    op.kind = ADMIN_OP_SEAL;
    (void)rw_admin_send(rw, 5, &op, 1, signed_bytes);
    for (uint32_t i = 0; i < 200 && rw_status(rw, 4)->phase != PHASE_SEALED; i++) rw_run(rw, 50);
    uint64_t height = rw_status(rw, 4)->final_height;
    for (uint32_t i = 0; i < 200 && !all_sealed_at(rw, height); i++) rw_run(rw, 50);
    assert_true(height > 0 && height < 4096 && all_sealed_at(rw, height));
    last_state_is_shown(rw, height);
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) rw_crash(rw, node);
    rw_lose_state(rw, 4); /* a crash between the two stores: all blocks are there, and executed again */
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) rw_restart(rw, node);
    rw_run(rw, 1000);
    assert_true(all_sealed_at(rw, height));
    last_state_is_shown(rw, height);
    for (uint32_t node = 0; node < RW_NODES; node++) assert_int_equal(rw->nodes[node].stopped, 0);
    rw_destroy(rw);
}

/* All that its helpers have of it since they restarted is that last checkpoint, and what SEAL is, the chain has to tell. */
static void who_is_behind_beyond_pruning_takes_the_last_state_of_a_sealed_cluster(void **state) {
    (void)state;
    struct replica_world *rw = world_of(91, K);
    uint32_t down = 6;
    puts_done(rw, 5);
    rw_crash(rw, down);
    prune(rw, down);
    rw_config_next(&configs[1], &op);
    op.kind = ADMIN_OP_SEAL;
    (void)rw_admin_send(rw, 5, &op, 1, signed_bytes);
    for (uint32_t i = 0; i < 400 && rw_status(rw, 4)->phase != PHASE_SEALED; i++) rw_run(rw, 50);
    uint64_t height = rw_status(rw, 4)->final_height;
    rw_run(rw, 1000);
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) {
        if (node != down) rw_crash(rw, node);
    }
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) rw_restart(rw, node);
    for (uint32_t i = 0; i < 600 && !all_sealed_at(rw, height); i++) rw_run(rw, 100);
    assert_true(height > 4 * K && all_sealed_at(rw, height));
    assert_int_equal(rw->nodes[down].transfers, 1);
    for (uint32_t node = 0; node < RW_NODES; node++) assert_int_equal(rw->nodes[node].stopped + rw->nodes[node].bad_pieces, 0);
    assert_true(rw_compare(rw) >= 6);
    rw_destroy(rw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_away_over_configs_and_beyond_pruning_comes_back),
        cmocka_unit_test(a_checkpoint_of_the_epoch_before_will_do),
        cmocka_unit_test(a_checkpoint_of_a_config_block_itself_will_do),
        cmocka_unit_test(epochs_that_end_while_it_is_taking_are_followed),
        cmocka_unit_test(crashes_in_the_middle_cost_time_alone),
        cmocka_unit_test(helpers_that_all_restarted_serve_although_nothing_is_decided),
        cmocka_unit_test(a_hostile_chain_is_counted_and_its_sender_named),
        cmocka_unit_test(a_checkpoint_that_its_epoch_did_not_certify_names_its_sender),
        cmocka_unit_test(a_chain_that_nobody_asked_for_is_not_looked_at),
        cmocka_unit_test(claims_of_later_epochs_move_nobody),
        cmocka_unit_test(a_state_lost_in_a_later_epoch_comes_back_by_a_checkpoint),
        cmocka_unit_test(a_state_lost_in_a_later_epoch_comes_back_by_blocks_and_a_new_start),
        cmocka_unit_test(the_state_after_a_seal_is_a_checkpoint_that_its_own_block_certifies),
        cmocka_unit_test(who_is_behind_beyond_pruning_takes_the_last_state_of_a_sealed_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
