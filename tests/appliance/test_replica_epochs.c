/* CONFIG in whole clusters of replicas (B-40 to B-45, S-100 to S-105): epochs begin under load, over crashes, view changes and lost messages; what
 * is not signed well, or is not the next, begins none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/replica/replica_private.h"
#include "tests/appliance/replica_world.h"

enum { DONE = 2, NUMBER = 3, INVALID = 4 }; /* O-53 */

static uint8_t signed_bytes[ADMIN_OP_BYTES_MAX];
static struct admin_op op;

static uint64_t seed_of_run(const char *name, uint64_t fallback) {
    const char *given = getenv("SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : fallback;
    print_message("%s: SEED=%llu\n", name, (unsigned long long)seed);
    return seed;
}

static struct rw_script *begin_seeded(uint64_t seed) {
    static struct rw_script script;
    rw_script_begin(&script, rw_create(seed));
    return &script;
}

static struct rw_script *begin(const char *name, uint64_t seed) {
    return begin_seeded(seed_of_run(name, seed));
}

static void adds(struct rw_script *script, uint32_t count) {
    assert_true(rw_adds(script, count));
}

/* What was written counted once, nobody stopped. */
static void end(struct rw_script *script, bool sum) {
    if (sum) assert_true(rw_sum_is_right(script));
    assert_true(rw_nobody_stopped(script->rw));
    rw_destroy(script->rw);
}

static void epoch_is(struct rw_script *script, uint32_t cluster, uint64_t epoch, uint64_t ms) {
    assert_true(rw_epoch_wait(script->rw, cluster, epoch, ms));
}

/* Of the shard. */
static struct rw_script *begin_in_later_epoch(const char *name, uint64_t seed) {
    struct rw_script *script = begin(name, seed);
    rw_config_send(script, 5, SHARD_CLUSTER_BASE);
    epoch_is(script, SHARD_CLUSTER_BASE, 1, 20000);
    return script;
}

static void a_config_of_each_cluster_takes_effect_and_clients_and_the_other_half_follow(void **state) {
    (void)state;
    struct rw_script *s = begin("follow", 1);
    struct replica_world *rw = s->rw;
    adds(s, 2);
    assert_int_equal(rw->answer_epoch, 0);
    rw_config_send(s, 5, SHARD_CLUSTER_BASE);
    epoch_is(s, SHARD_CLUSTER_BASE, 1, 20000);
    adds(s, 3); /* coordinators of epoch 0 take slices of the shard's epoch 1 */
    rw_config_send(s, 2, COORDINATOR_CLUSTER_BASE);
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 20000);
    adds(s, 3);
    assert_int_equal(rw->answer_epoch, 1);
    assert_int_equal(rw->epoch_count, 2);
    for (uint32_t round = 2; round <= 4; round++) { /* and once more each */
        rw_config_send(s, round % 4, COORDINATOR_CLUSTER_BASE);
        rw_config_send(s, 4 + round % 4, SHARD_CLUSTER_BASE);
        epoch_is(s, COORDINATOR_CLUSTER_BASE, round, 20000);
        epoch_is(s, SHARD_CLUSTER_BASE, round, 20000);
        adds(s, 2);
    }
    rw_run(rw, 300);
    assert_true(rw_compare(rw) >= 6);
    assert_int_equal(rw->answers_bad, 0);
    end(s, true);
}

static void all_nodes_restart_in_a_later_epoch(void **state) {
    (void)state;
    struct rw_script *s = begin("restart", 2);
    struct replica_world *rw = s->rw;
    adds(s, 2);
    for (uint32_t epoch = 1; epoch <= 2; epoch++) {
        rw_config_send(s, 0, COORDINATOR_CLUSTER_BASE);
        rw_config_send(s, 6, SHARD_CLUSTER_BASE);
        epoch_is(s, COORDINATOR_CLUSTER_BASE, epoch, 20000);
        epoch_is(s, SHARD_CLUSTER_BASE, epoch, 20000);
        adds(s, 2);
        for (uint32_t i = 0; i < RW_NODES; i++) rw_crash(rw, i);
        for (uint32_t i = 0; i < RW_NODES; i++) rw_restart(rw, i);
        epoch_is(s, COORDINATOR_CLUSTER_BASE, epoch, 20000);
        epoch_is(s, SHARD_CLUSTER_BASE, epoch, 20000);
        adds(s, 1);
    }
    end(s, true);
}

static void a_node_two_epochs_behind_catches_up_and_votes(void **state) {
    (void)state;
    struct rw_script *s = begin("behind", 3);
    struct replica_world *rw = s->rw;
    adds(s, 1);
    rw_crash(rw, 3);
    rw_crash(rw, 7);
    for (uint32_t epoch = 1; epoch <= 2; epoch++) {
        rw_config_send(s, 0, COORDINATOR_CLUSTER_BASE);
        rw_config_send(s, 4, SHARD_CLUSTER_BASE);
        epoch_is(s, COORDINATOR_CLUSTER_BASE, epoch, 60000);
        epoch_is(s, SHARD_CLUSTER_BASE, epoch, 60000);
        adds(s, 2);
    }
    rw_restart(rw, 3);
    rw_restart(rw, 7);
    rw_crash(rw, 0); /* now nothing goes without them */
    rw_crash(rw, 4);
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 2, 60000);
    epoch_is(s, SHARD_CLUSTER_BASE, 2, 60000);
    adds(s, 2);
    end(s, true);
}

/* The next CONFIG: members that stay change places. */
static void places_turn(struct rw_script *s, uint32_t node, struct config *config, uint32_t a, uint32_t b) {
    rw_config_next(config, &op);
    struct config_member moved = op.config.members.members[a];
    op.config.members.members[a] = op.config.members.members[b];
    op.config.members.members[b] = moved;
    (void)rw_admin_send(s->rw, node, &op, 1, signed_bytes);
    *config = op.config;
}

static void members_that_stay_may_change_places(void **state) {
    (void)state;
    struct rw_script *s = begin("places", 10);
    struct replica_world *rw = s->rw;
    adds(s, 2);
    static const uint32_t turns[3][2] = {{0, 1}, {1, 3}, {0, 2}}; /* the leader's place among them */
    for (uint32_t turn = 0; turn < 3; turn++) {
        places_turn(s, turn, &s->coordinator, turns[turn][0], turns[turn][1]);
        places_turn(s, 4 + turn, &s->shard, turns[turn][1], turns[turn][0]);
        epoch_is(s, COORDINATOR_CLUSTER_BASE, turn + 1, 20000);
        epoch_is(s, SHARD_CLUSTER_BASE, turn + 1, 20000);
        adds(s, 3);
        /* Before anybody was down. */
        for (uint32_t i = 0; i < RW_NODES && turn == 0; i++) assert_int_equal(rw_status(rw, i)->attacker_count, 0);
        uint32_t down = turn, other = 4 + turn; /* they come back to where they are now */
        rw_crash(rw, down);
        rw_crash(rw, other);
        adds(s, 2);
        rw_restart(rw, down);
        rw_restart(rw, other);
        rw_crash(rw, (down + 1) % 4); /* nothing goes without them */
        rw_crash(rw, 4 + (other + 1) % 4);
        adds(s, 2);
        rw_restart(rw, (down + 1) % 4);
        rw_restart(rw, 4 + (other + 1) % 4);
        epoch_is(s, COORDINATOR_CLUSTER_BASE, turn + 1, 20000);
        epoch_is(s, SHARD_CLUSTER_BASE, turn + 1, 20000);
    }
    /* The newest signatures of each lie where its key is: who was rolled back is found. */
    adds(s, 2);
    rw_crash(rw, 5);
    for (size_t i = 0; i < rw->nodes[5].record_count; i++) rw->nodes[5].records[i].used &= rw->nodes[5].records[i].db == WAL_CHAIN;
    rw_restart(rw, 5);
    rw_run(rw, 5000);
    assert_int_equal(rw_status(rw, 5)->phase, PHASE_RETIRED);
    end(s, true);
}

/* config-at-view-change: the leader dies at every moment of a CONFIG's way. */
static void a_config_survives_the_death_of_its_leader_at_any_moment(void **state) {
    (void)state;
    uint64_t seed = seed_of_run("view change", 100);
    uint32_t views = 0;
    for (uint32_t moment = 0; moment < 8; moment++) {
        struct rw_script *s = begin_seeded(seed + moment);
        struct replica_world *rw = s->rw;
        adds(s, 1);
        uint32_t leader = rw_status(rw, 1)->leader;
        rw_config_send(s, (leader + 1) % RW_CLUSTER, COORDINATOR_CLUSTER_BASE);
        rw_run(rw, 1 + moment);
        rw_crash(rw, leader);
        epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 60000);
        views += rw_status(rw, (leader + 1) % RW_CLUSTER)->view_changes > 0;
        adds(s, 2);
        rw_restart(rw, leader);
        epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 60000);
        adds(s, 1);
        end(s, true);
    }
    assert_true(views > 0);
}

/* Power goes at every moment around a CONFIG, on a network that loses a twentieth; what was acknowledged stays. */
static void power_loss_of_all_around_a_config(void **state) {
    (void)state;
    uint64_t seed = seed_of_run("power", 200);
    for (uint32_t moment = 0; moment < 10; moment++) {
        struct rw_script *s = begin_seeded(seed + moment);
        struct replica_world *rw = s->rw;
        rw->drop_percent = 5;
        rw_run(rw, 500);
        adds(s, 1);
        rw_config_send(s, 1, COORDINATOR_CLUSTER_BASE);
        rw_config_send(s, 5, SHARD_CLUSTER_BASE);
        rw_run(rw, 2 + 2 * moment);
        for (uint32_t i = 0; i < RW_NODES; i++) rw_crash(rw, i);
        for (uint32_t i = 0; i < RW_NODES; i++) rw_restart(rw, i);
        rw_run(rw, 500);
        /* It may have been lost with the power: the administrator gives it again, to another node. */
        for (uint32_t tries = 0; tries < 40; tries++) {
            if (rw_epoch_wait(rw, COORDINATOR_CLUSTER_BASE, 1, 500) && rw_epoch_wait(rw, SHARD_CLUSTER_BASE, 1, 500)) break;
            rw_script_genesis(s);
            rw_config_send(s, tries % 4, COORDINATOR_CLUSTER_BASE);
            rw_config_send(s, 4 + tries % 4, SHARD_CLUSTER_BASE);
        }
        epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 20000);
        epoch_is(s, SHARD_CLUSTER_BASE, 1, 20000);
        adds(s, 2);
        end(s, true);
    }
}

static bool is_certificate_of(const struct rw_record *record, uint64_t at) {
    uint64_t epoch = 0, height = 0;
    const uint8_t *id;
    uint8_t part = 0;
    if (!record->used || record->db != WAL_BLOCKS) return false;
    wal_key_block_read(record->key, &epoch, &height, &id, &part);
    return epoch == 0 && height == at && part == WAL_PART_CERTIFICATE;
}

/* S-100: certificates are written lazily, the chain at once. All lose power in between: the CONFIG's block is shown by the chain, or nobody could
 * come to the epoch of its own votes. */
static void the_block_that_ended_an_epoch_is_proved_by_the_chain(void **state) {
    (void)state;
    struct rw_script *s = begin("lazy", 400);
    struct replica_world *rw = s->rw;
    adds(s, 2);
    rw_config_send(s, 1, COORDINATOR_CLUSTER_BASE);
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 20000);
    uint64_t ended = rw->nodes[0].replica->members.start.height;
    for (uint32_t i = 0; i < RW_CLUSTER; i++) {
        rw_crash(rw, i);
        for (size_t k = 0; k < rw->nodes[i].record_count; k++) {
            if (is_certificate_of(&rw->nodes[i].records[k], ended)) rw->nodes[i].records[k].used = false;
        }
    }
    for (uint32_t i = 0; i < RW_CLUSTER; i++) rw_restart(rw, i);
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 20000);
    adds(s, 2);
    end(s, true);
}

static bool no_commits(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *piece_count) {
    (void)context;
    (void)to;
    (void)pieces;
    (void)piece_count;
    return type != BFT_MESSAGE_COMMIT;
}

/* P-1, B-41: the first block of a view after CONFIG has nothing to be executed, and is prepared in the step in which it comes. All lose power when q
 * have prepared it; whoever made it does not come back. The others must build on it, so they must have it. */
static void a_suffix_block_is_durable_before_it_is_voted_for(void **state) {
    (void)state;
    struct rw_script *s = begin("suffix", 300);
    struct replica_world *rw = s->rw;
    uint64_t view = 0;
    adds(s, 1);
    rw_run(rw, 500);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) rw->nodes[i].hooks.send = no_commits;
    rw_config_send(s, 1, COORDINATOR_CLUSTER_BASE);
    for (uint32_t i = 0; view == 0; i++) {
        assert_true(i < 20000);
        rw_run(rw, 1);
        uint32_t have = 0;
        for (uint32_t node = 0; node < RW_CLUSTER; node++) have += rw->nodes[node].replica->core->memory.high_qc.ballot.view == 1;
        if (have == RW_CLUSTER) view = 1;
    }
    for (uint32_t i = 0; i < RW_CLUSTER; i++) {
        assert_int_equal(rw_status(rw, i)->epoch, 0);
        rw_crash(rw, i);
        rw->nodes[i].hooks.send = NULL;
    }
    for (uint32_t i = 0; i < RW_CLUSTER; i++) {
        if (i != view % RW_CLUSTER) rw_restart(rw, i);
    }
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 60000);
    adds(s, 2);
    end(s, true);
}

/* In the first epoch no input of this kind reaches who is at its places 0 and 1. */
static uint8_t kept_back;
static bool inputs_to_others(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *piece_count) {
    const struct rw_node *node = context;
    (void)piece_count;
    bool first = node->replica->members.place.epoch == 0 && to.member <= 1;
    return type != MESSAGE_INPUT || blob_piece_bytes(&pieces[0])[0] != kept_back || !first;
}

/* Of the shard: no slice reaches coordinators 0 and 1, wherever they are. */
static bool slices_to_others(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *piece_count) {
    const struct rw_node *node = context;
    (void)pieces;
    (void)piece_count;
    return type != MESSAGE_COMPACT_DECISION || (node->place_of[0] != to.member && node->place_of[1] != to.member);
}

/* Coordinators 2 and 3 alone hold what waits. Leader of view 0 is 0, and in the next epoch 1: another node, and no view is lost by it. */
static void handed_to_the_next_leader(uint8_t kind, uint64_t seed) {
    static const uint8_t node_at[RW_CLUSTER] = {1, 3, 2, 0};
    static uint8_t bytes[ADMIN_OP_BYTES_MAX];
    struct rw_script *s = begin("handed", seed);
    struct replica_world *rw = s->rw;
    adds(s, 1);
    kept_back = kind;
    for (uint32_t i = 2; i < RW_CLUSTER; i++) rw->nodes[i].hooks = (struct replica_hooks){.context = &rw->nodes[i], .send = inputs_to_others};
    for (uint32_t i = RW_CLUSTER; i < RW_NODES && kind == BODY_SLICE; i++)
        rw->nodes[i].hooks = (struct replica_hooks){.context = &rw->nodes[i], .send = slices_to_others};
    struct operation add = op_add("sum", 1);
    uint32_t batch_bytes;
    uint8_t digest[32], *batch = rw_batch(rw, BATCH_WRITE, ++s->number, &add, 1, &batch_bytes, digest);
    rw_send(rw, 3, MESSAGE_BATCH, batch, batch_bytes);
    rw_run(rw, 400); /* two hold it by now, and have told the leader in vain */
    rw_config_next(&s->coordinator, &op);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) op.config.members.members[i] = s->coordinator.members.members[node_at[i]];
    (void)rw_admin_send(rw, 0, &op, 1, bytes);
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 5000);
    for (uint32_t ms = 0; rw_answer(rw, digest) == NULL; ms += 20) {
        assert_true(ms < 5000);
        if (ms % 1000 == 500) rw_send(rw, 3, MESSAGE_BATCH, batch, batch_bytes); /* its client may not have known of the epoch yet */
        rw_run(rw, 20);
    }
    free(batch);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) assert_int_equal(rw_status(rw, i)->view, 0);
    for (uint32_t i = 0; i < RW_NODES; i++) rw->nodes[i].hooks.send = NULL;
    adds(s, 2);
    end(s, true);
}

/* B-50: what was handed to the leader of view 0 has not been handed to that of view 0 of the next epoch. It gets it, and is not deposed. */
static void a_batch_is_handed_to_the_leader_of_the_next_epoch(void **state) {
    (void)state;
    handed_to_the_next_leader(BODY_BATCH, 12); /* by whoever has it, who is at another place himself */
}
static void a_slice_is_handed_to_the_leader_of_the_next_epoch(void **state) {
    (void)state;
    handed_to_the_next_leader(BODY_SLICE, 13);
}

/* The CONFIG item waits behind others and travels in a slice that only the new epoch certifies: by a state that learns epochs from such items alone
 * it could never be consumed. */
static void a_config_item_that_only_the_new_epoch_certifies_is_consumed(void **state) {
    (void)state;
    struct rw_script *s = begin("behind others", 8);
    struct replica_world *rw = s->rw;
    uint64_t unknown = 0;
    uint8_t digest[32];
    rw_config_next(&s->coordinator, &op); /* slices are cut as late as can be */
    op.config.limits.due_blocks = 64;
    op.config.timeouts.due_ms = 800;
    (void)rw_admin_send(rw, 0, &op, 1, signed_bytes);
    s->coordinator = op.config;
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 20000);
    adds(s, 1);
    for (uint32_t i = 4; i < RW_NODES; i++) rw->nodes[i].disk_stalled = true; /* nobody acknowledges: the queue is not idle */
    struct operation add = op_add("sum", 1);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t bytes;
        uint8_t *batch = rw_batch(rw, BATCH_WRITE, ++s->number, &add, 1, &bytes, digest);
        rw_send(rw, 1, 0x0301, batch, bytes);
        free(batch);
        rw_run(rw, 100);
    }
    rw_config_send(s, 0, COORDINATOR_CLUSTER_BASE);
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 2, 20000);
    for (uint32_t i = 4; i < RW_NODES; i++) rw->nodes[i].disk_stalled = false;
    adds(s, 2);
    for (uint32_t i = 4; i < RW_NODES; i++) unknown += rw_status(rw, i)->drops[DROP_SLICE_EPOCH];
    assert_true(unknown > 0);
    end(s, true);
}

static void what_is_not_signed_well_or_not_the_next_begins_no_epoch(void **state) {
    (void)state;
    struct rw_script *s = begin("refused", 5);
    struct replica_world *rw = s->rw;
    const struct config config = s->coordinator;
    const struct {
        const char *what;
        uint32_t signatures;
        uint8_t code;
    } cases[] = {{"no signature", 0, INVALID}, {"another system", 1, INVALID}, {"serial 2", 1, NUMBER}, {"another predecessor", 1, NUMBER},
                 {"another cluster", 1, INVALID}, {"what D-32 refuses", 1, INVALID}};
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rw_config_next(&config, &op);
        op.config.timeouts.view_base_ms = 777;
        if (i == 1) op.system_id[0] ^= 1, op.config.system_id[0] ^= 1;
        if (i == 2) op.serial = op.config.members.serial = 2;
        if (i == 3) op.predecessor[0] ^= 1;
        if (i == 4) op.cluster = op.config.members.cluster = SHARD_CLUSTER_BASE;
        if (i == 5) op.config.limits.number_window -= 16;
        uint64_t answers = rw->admin_states;
        (void)rw_admin_send(rw, i % 4, &op, cases[i].signatures, signed_bytes);
        rw_run(rw, 300);
        print_message("%s\n", cases[i].what);
        assert_int_equal(rw->admin_states, answers + 1);
        assert_int_equal(rw->admin_state[8], cases[i].code);
    }
    assert_int_equal(rw->admin_state[9], SYSTEM_LIMITS_CONFLICT);
    /* Bytes that are no operation, and what a member relays without signatures. */
    rw->admin_state[8] = 0;
    rw_admin_bytes(rw, 1, signed_bytes, 100);
    rw_run(rw, 100);
    assert_int_equal(rw->admin_state[8], INVALID);
    rw_config_next(&config, &op);
    uint8_t input[4 + ADMIN_OP_BYTES_MAX] = {3, 1};
    size_t bytes = admin_op_encode(&op, input + 4);
    uint64_t drops = rw_status(rw, 0)->drops[DROP_ADMIN_INVALID];
    rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 1}, 0, 0x0111, input, 4 + bytes);
    assert_int_equal(rw_status(rw, 0)->drops[DROP_ADMIN_INVALID], drops + 1);
    adds(s, 2);
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 0, 1000);
    end(s, false);
}

static void a_config_given_twice_and_two_with_one_serial_begin_one_epoch(void **state) {
    (void)state;
    struct rw_script *s = begin("twice", 6);
    struct replica_world *rw = s->rw;
    static uint8_t other_bytes[ADMIN_OP_BYTES_MAX];
    static struct admin_op other;
    rw_config_next(&s->coordinator, &other);
    other.config.timeouts.view_base_ms = 555;
    rw_config_send(s, 0, COORDINATOR_CLUSTER_BASE);
    for (uint32_t node = 0; node < 4; node++) rw_admin_bytes(rw, node, s->config, s->config_bytes);
    (void)rw_admin_send(rw, 3, &other, 1, other_bytes);
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 20000);
    for (uint32_t node = 0; node < 4; node++) rw_admin_bytes(rw, node, s->config, s->config_bytes);
    rw_run(rw, 2000);
    assert_int_equal(rw->admin_state[8], DONE);
    adds(s, 2);
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 20000); /* and nobody accuses the leader of what can have no effect */
    for (uint32_t node = 0; node < 4; node++) assert_int_equal(rw_status(rw, node)->inputs_waiting, 0);
    for (uint32_t node = 0; node < 4; node++) assert_int_equal(rw_status(rw, node)->view_changes, 0);
    end(s, false);
}

/* CONFIG or SEAL `second` is for after `first`. The leader of the coordinators lies: it believes that the first is in force, and has the second
 * decided. False: not within some seconds at all of them. */
static bool decided_before_its_turn(struct replica_world *rw, const struct admin_op *first, const struct admin_op *second,
                                    const uint8_t *second_bytes, size_t count) {
    static uint8_t input[4 + ADMIN_OP_BYTES_MAX];
    static struct config in_force;
    struct replica *leader = rw->nodes[rw_status(rw, 0)->leader].replica;
    in_force = leader->config;
    memcpy(input, (const uint8_t[4]){BODY_ADMIN, 3, 0, 0}, 4);
    memcpy(input + 4, second_bytes, count);
    leader->config = first->config;
    rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, rw_status(rw, 0)->leader, MESSAGE_INPUT, input, 4 + count);
    leader->config = in_force;
    for (uint32_t tries = 0; tries < 200; tries++) {
        uint32_t done = 0;
        for (uint32_t node = 0; node < RW_CLUSTER; node++) {
            const struct replica *replica = rw->nodes[node].replica;
            uint32_t index = input_find(replica, second->input_hash);
            done += index != NONE && replica->inputs[index].state == INPUT_DONE && replica->inputs[index].in_blocks == 0;
        }
        if (done == RW_CLUSTER) return true;
        rw_run(rw, 20);
    }
    return false;
}

static void what_was_decided_before_its_turn_takes_effect_when_it_comes_again(enum admin_op_kind kind, uint64_t seed) {
    static struct admin_op first;
    static uint8_t second_bytes[ADMIN_OP_BYTES_MAX];
    struct rw_script *s = begin_seeded(seed);
    struct replica_world *rw = s->rw;
    adds(s, 1);
    uint32_t leader = rw_status(rw, 0)->leader, other = leader == 0 ? 1 : 0;
    rw_config_next(&s->coordinator, &first);
    first.config.timeouts.view_base_ms = 777;
    rw_config_next(&first.config, &op);
    op.kind = kind;
    op.config.timeouts.view_base_ms = 888;
    (void)admin_op_encode(&op, second_bytes);
    assert_true(admin_op_sign(&op, &rw->admin));
    size_t count = admin_op_encode(&op, second_bytes);
    assert_true(decided_before_its_turn(rw, &first, &op, second_bytes, count));
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 0, 1000);
    rw_admin_bytes(rw, other, second_bytes, count); /* its turn has not come */
    rw_run(rw, 300);
    assert_int_equal(rw->admin_state[8], NUMBER);
    (void)rw_admin_send(rw, other, &first, 1, signed_bytes);
    epoch_is(s, COORDINATOR_CLUSTER_BASE, 1, 20000);
    /* The very same file, at one that has to hand it to the leader: both have it as decided. */
    leader = rw_status(rw, 0)->leader;
    rw_admin_bytes(rw, leader == 0 ? 1 : 0, second_bytes, count);
    if (kind == ADMIN_OP_CONFIG) epoch_is(s, COORDINATOR_CLUSTER_BASE, 2, 20000);
    for (uint32_t tries = 0; kind == ADMIN_OP_SEAL && tries < 400 && rw_status(rw, 0)->phase != PHASE_SEALED; tries++) rw_run(rw, 50);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) assert_int_equal(rw_status(rw, i)->view_changes, 0);
    /* A restart executes both blocks again. */
    rw_run(rw, 1000);
    for (uint32_t i = 0; i < RW_NODES; i++) rw_crash(rw, i);
    for (uint32_t i = 0; i < RW_NODES; i++) rw_restart(rw, i);
    rw_run(rw, 3000);
    if (kind == ADMIN_OP_CONFIG) adds(s, 2);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) {
        assert_int_equal(rw_status(rw, i)->epoch, kind == ADMIN_OP_CONFIG ? 2 : 1);
        assert_int_equal(rw_status(rw, i)->phase, kind == ADMIN_OP_CONFIG ? PHASE_VOTING : PHASE_SEALED);
    }
    end(s, kind == ADMIN_OP_CONFIG);
}

static void a_config_that_was_decided_before_its_turn_takes_effect_when_it_comes_again(void **state) {
    (void)state;
    what_was_decided_before_its_turn_takes_effect_when_it_comes_again(ADMIN_OP_CONFIG, seed_of_run("early CONFIG", 11));
}

static void a_seal_that_was_decided_before_its_turn_takes_effect_when_it_comes_again(void **state) {
    (void)state;
    what_was_decided_before_its_turn_takes_effect_when_it_comes_again(ADMIN_OP_SEAL, seed_of_run("early SEAL", 12));
}

static void a_seal_ends_the_cluster_and_a_restart_finds_it_ended(void **state) {
    (void)state;
    struct rw_script *s = begin("seal", 9);
    struct replica_world *rw = s->rw;
    adds(s, 2);
    rw_config_next(&s->shard, &op);
    op.kind = ADMIN_OP_SEAL;
    static uint8_t seal_bytes[ADMIN_OP_BYTES_MAX];
    size_t bytes = rw_admin_send(rw, 5, &op, 1, seal_bytes);
    rw_run(rw, 3000);
    uint64_t height = rw_status(rw, 4)->final_height;
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 4; i < RW_NODES; i++) {
            assert_int_equal(rw_status(rw, i)->phase, PHASE_SEALED);
            assert_int_equal(rw_status(rw, i)->final_height, height);
            assert_int_equal(rw_status(rw, i)->view_changes, 0);
        }
        rw_admin_bytes(rw, 6, seal_bytes, bytes); /* once more */
        rw_run(rw, 300);
        assert_int_equal(rw->admin_state[8], DONE);
        rw_config_send(s, 5, SHARD_CLUSTER_BASE); /* and what would follow */
        rw_run(rw, 300);
        assert_int_equal(rw->admin_state[8], NUMBER);
        rw_script_genesis(s);
        for (uint32_t i = 4; i < RW_NODES; i++) rw_crash(rw, i);
        for (uint32_t i = 4; i < RW_NODES; i++) rw_restart(rw, i);
        rw_run(rw, 3000);
    }
    end(s, false);
}

/* S-103: blocks of its own cluster name slices that a later epoch of another one certified, and nobody of that one speaks to this node. */
static void a_member_is_told_of_other_clusters_by_its_own(void **state) {
    (void)state;
    struct rw_script *s = begin("told", 10);
    struct replica_world *rw = s->rw;
    adds(s, 2);
    rw_crash(rw, 7);
    for (uint64_t epoch = 1; epoch <= 3; epoch++) {
        rw_config_send(s, 1, COORDINATOR_CLUSTER_BASE);
        epoch_is(s, COORDINATOR_CLUSTER_BASE, epoch, 20000);
        adds(s, 2);
    }
    rw_run(rw, 1000);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) rw_crash(rw, node);
    rw_restart(rw, 7);
    for (uint32_t i = 0; rw_status(rw, 7)->final_height < rw_status(rw, 4)->final_height; i++) {
        assert_true(i < 200);
        rw_run(rw, 100);
    }
    for (uint32_t node = 0; node < RW_CLUSTER; node++) rw_restart(rw, node);
    adds(s, 2);
    end(s, true);
}

/* The state of a checkpoint knows an epoch of a pair that has no traffic any more: whoever starts from it asks for its chain until it is there. */
static void what_the_state_knows_of_an_idle_pair_is_asked_for_until_it_comes(void **state) {
    (void)state;
    struct rw_script *s = begin_in_later_epoch("idle pair", 12);
    struct replica_world *rw = s->rw;
    adds(s, 3);
    assert_int_equal(rw->nodes[0].replica->pairs[0].epoch_state, 1); /* told with the block that consumed its item */
    struct replica *r = rw->nodes[0].replica;
    struct pair *pair = &r->pairs[0];
    struct execution_pair cursors = {.cluster = pair->cluster, .consumed_dseq = pair->consumed_final, .sent_dseq = pair->sent_final,
                                     .acked_dseq = pair->acked, .epoch = pair->epoch_count}; /* one more than the chain shows */
    rw_run(rw, 3000);
    replica_restore_pair(r, &cursors);
    uint64_t asked_ms = pair->chain_asked_ms;
    for (uint32_t i = 0; i < 3; i++) {
        rw_run(rw, 2 * r->config.timeouts.fetch_ms);
        assert_true(pair->chain_asked_ms > asked_ms);
        assert_true(pair->epoch_needed >= pair->epoch_count); /* so members of its own cluster are asked, too */
        asked_ms = pair->chain_asked_ms;
    }
    for (uint32_t i = 0; i < BFT_MEMBERS_MAX; i++) pair->up[i] = false; /* nobody of it lets this node in */
    pair->chain_asks = pair->members.f + 1;
    pair->epoch_needed = 0;
    uint64_t own_ms = pair->chain_own_ms;
    rw_run(rw, 2 * r->config.timeouts.fetch_ms);
    assert_true(pair->chain_own_ms > own_ms);
    end(s, true);
}

/* The chain is the word of nobody: what a member of another cluster sends is verified, and counted when it is bad. */
static void a_lying_chain_moves_nobody(void **state) {
    (void)state;
    struct rw_script *s = begin_in_later_epoch("liar", 7);
    struct replica_world *rw = s->rw;
    uint8_t key[WAL_KEY_BYTES_MAX];
    (void)wal_key_chain(key, 1);
    const struct rw_record *entry = NULL;
    for (uint32_t i = 0; i < rw->nodes[4].record_count; i++) {
        const struct rw_record *record = &rw->nodes[4].records[i];
        if (record->used && record->db == WAL_CHAIN && memcmp(record->key, key, 8) == 0) entry = record;
    }
    assert_non_null(entry);
    struct replica_peer liar = {.kind = REPLICA_FOREIGN, .member = 1, .index = SHARD_CLUSTER_BASE};
    uint8_t *payload = malloc(CONFIG_CHAIN_HEAD_BYTES + 4 + entry->count);
    assert_non_null(payload);
    uint64_t seed = 7;
    uint32_t bad = 0;
    for (uint32_t i = 0; i < 60; i++) {
        struct bytes_writer writer = bytes_writer_of(payload, CONFIG_CHAIN_HEAD_BYTES + 4 + entry->count);
        config_chain_head_encode(&writer, SHARD_CLUSTER_BASE, 1, 1);
        bytes_put_u32(&writer, (uint32_t)entry->count);
        bytes_put_raw(&writer, entry->bytes, entry->count);
        payload[world_random(&seed) % writer.used] ^= (uint8_t)(1 + world_random(&seed) % 255);
        /* Node 0 is made to forget: a fresh one, restored from nothing, is at epoch 0 of the shard. */
        if (i == 0) {
            rw_crash(rw, 0);
            for (size_t k = 0; k < rw->nodes[0].record_count; k++) rw->nodes[0].records[k].used &= rw->nodes[0].records[k].db != WAL_MISC;
            for (uint32_t other = 4; other < RW_NODES; other++) rw_crash(rw, other);
            rw_restart(rw, 0);
        }
        uint64_t drops = rw_status(rw, 0)->drops[DROP_CHAIN];
        rw_inject(rw, liar, 0, 0x0114, payload, writer.used);
        bad += rw_status(rw, 0)->drops[DROP_CHAIN] > drops;
    }
    free(payload);
    print_message("%u of 60 refused\n", bad);
    assert_true(bad >= 58); /* a flipped signature of an administrator beyond k is the only one that could do */
    end(s, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_of_each_cluster_takes_effect_and_clients_and_the_other_half_follow),
        cmocka_unit_test(all_nodes_restart_in_a_later_epoch),
        cmocka_unit_test(a_node_two_epochs_behind_catches_up_and_votes),
        cmocka_unit_test(members_that_stay_may_change_places),
        cmocka_unit_test(a_config_survives_the_death_of_its_leader_at_any_moment),
        cmocka_unit_test(power_loss_of_all_around_a_config),
        cmocka_unit_test(the_block_that_ended_an_epoch_is_proved_by_the_chain),
        cmocka_unit_test(a_suffix_block_is_durable_before_it_is_voted_for),
        cmocka_unit_test(a_batch_is_handed_to_the_leader_of_the_next_epoch),
        cmocka_unit_test(a_slice_is_handed_to_the_leader_of_the_next_epoch),
        cmocka_unit_test(a_config_item_that_only_the_new_epoch_certifies_is_consumed),
        cmocka_unit_test(what_is_not_signed_well_or_not_the_next_begins_no_epoch),
        cmocka_unit_test(a_config_given_twice_and_two_with_one_serial_begin_one_epoch),
        cmocka_unit_test(a_config_that_was_decided_before_its_turn_takes_effect_when_it_comes_again),
        cmocka_unit_test(a_seal_that_was_decided_before_its_turn_takes_effect_when_it_comes_again),
        cmocka_unit_test(a_seal_ends_the_cluster_and_a_restart_finds_it_ended),
        cmocka_unit_test(a_member_is_told_of_other_clusters_by_its_own),
        cmocka_unit_test(what_the_state_knows_of_an_idle_pair_is_asked_for_until_it_comes),
        cmocka_unit_test(a_lying_chain_moves_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
