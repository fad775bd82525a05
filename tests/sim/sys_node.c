/*
 * A node: the loop of appliance/node/node_fused.c with another machine under it (tests/sim/sys.h). Opening is core_open() of node.c there, recovery
 * is the product's node_restore() itself.
 */
#include "appliance/node/node.h"
#include "appliance/replica/replica_private.h"
#include "tests/sim/sys.h"

enum { LINK_US = 5000, AGAIN_US = 20000 };

/* node_restore.o wants these two, and nothing else of node.c: nobody asks how far a node here is. */
void node_note(const struct replica_output *output) {
    (void)output;
}

void node_progress(struct node *node, uint32_t pieces) {
    (void)node, (void)pieces;
}

struct replica *sys_replica(const struct sys_node *node) {
    return node->shell->replica;
}

void sys_node_status(const struct sys_world *world, uint32_t node, struct status_replica *status) {
    replica_status(world->nodes[node].shell->replica, status);
}

/* ---- clock ---- */

uint64_t sys_node_local_us(const struct sys_world *world, const struct sys_node *node) {
    uint64_t passed = world->now_us - node->clock_at_us;
    return node->clock_base_us + passed + (uint64_t)((int64_t)passed * node->drift_ppm / 1000000);
}

static uint64_t world_us(const struct sys_node *node, uint64_t local_us) {
    if (local_us <= node->clock_base_us) return node->clock_at_us;
    uint64_t passed = local_us - node->clock_base_us;
    return node->clock_at_us + passed * 1000000 / (uint64_t)(1000000 + node->drift_ppm) + 1;
}

void sys_node_clock(struct sys_world *world, uint32_t index, int64_t drift_ppm, uint64_t jump_us) {
    struct sys_node *node = &world->nodes[index];
    node->clock_base_us = sys_node_local_us(world, node) + jump_us;
    node->clock_at_us = world->now_us;
    node->drift_ppm = drift_ppm;
    if (node->up) sys_node_step(world, index);
}

/* ---- peers ---- */

struct replica_peer sys_node_peer(const struct sys_world *world, uint32_t of, uint32_t other) {
    return world->nodes[of].peers[other];
}

/* ---- outputs ---- */

/* The frame as one blob: the same one where it may be shared, for others may keep it longer than the sender lives. */
static struct blob *frame_of(const struct replica_output *output) {
    const struct blob_piece *first = &output->pieces[0];
    if (output->piece_count == 1 && first->offset == 0 && first->count == first->blob->count && first->blob->release == NULL)
        return blob_hold(first->blob);
    size_t count = 0, at = 0;
    for (unsigned i = 0; i < output->piece_count; i++) count += output->pieces[i].count;
    struct blob *blob = blob_make(count);
    for (unsigned i = 0; i < output->piece_count; i++) {
        if (output->pieces[i].count > 0) memcpy(blob->bytes + at, blob_piece_bytes(&output->pieces[i]), output->pieces[i].count);
        at += output->pieces[i].count;
    }
    return blob;
}

static void stopped(struct sys_world *world, uint32_t index, const char *text) {
    struct sys_node *node = &world->nodes[index];
    char name[SYS_NAME_BYTES];
    sys_trace(world, "%s stops: %s", sys_end_name(world, index, name), text);
    if (!node->liar && !node->doubtful) sys_fail(world, SYS_CHECK_STOPPED, "%s stopped: %s", name, text);
    node->shell->stop = true;
}

static void frame_send(struct sys_world *world, uint32_t index, const struct replica_output *output) {
    if (!world->nodes[index].liar) sys_check_send(world, index, output);
    uint32_t end = sys_peer_end(world, index, output->peer);
    if (end != SYS_ENDS_MAX) sys_transmit(world, index, end, output->type, frame_of(output));
}

static void output_do(struct sys_world *world, uint32_t index, struct replica_output *output) {
    struct sys_node *node = &world->nodes[index];
    switch (output->kind) {
    case REPLICA_SEND: frame_send(world, index, output); break;
    case REPLICA_PERSIST:
        prepared_put(&node->prepared, output->batch);
        sys_disk_submit(world, index, output->sequence, output->batch);
        break;
    case REPLICA_PREPARE: prepared_add(&node->prepared, output); break;
    case REPLICA_FORGET: (void)prepared_take(&node->prepared, output->cookie); break;
    case REPLICA_JOB:
        if (execution_begin(node->shell->execution, output->job)) replica_job_done(node->shell->replica, output->job);
        break;
    case REPLICA_READ: {
        const struct sys_record *record = sys_disk_find(&node->wal, output->db, output->key);
        bool good = record != NULL && !record->damaged && record->count > 0;
        replica_read_done(node->shell->replica, output->cookie, good ? blob_copy(record->bytes, record->count) : NULL);
        break;
    }
    case REPLICA_NOTE:
        sys_reached(world->stats, output->event, 1);
        if (world->trace != NULL) {
            char name[SYS_NAME_BYTES];
            sys_trace(world, "%s %s %s", sys_end_name(world, index, name), output->event, output->text);
        }
        break;
    case REPLICA_EVIDENCE:
        if (!node->liar) sys_check_evidence(world, index, &output->pieces[0]);
        break;
    case REPLICA_PEER_ADD: sys_peer_add(world, index, output); break;
    case REPLICA_PEER_REMOVE: sys_peer_remove(world, index, output); break;
    case REPLICA_TRANSFER:
    case REPLICA_LACKING:
    case REPLICA_EPOCH: sys_transfer_output(world, index, output); break;
    case REPLICA_AGAIN: node->shell->again = node->shell->stop = true; break;
    case REPLICA_STOP: stopped(world, index, output->text); break;
    }
}

static void tick_schedule(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    uint64_t at = world_us(node, replica_deadline_ms(node->shell->replica) * 1000);
    if (at <= world->now_us || execution_is_under_way(node->shell->execution)) at = world->now_us + 500;
    if (at < node->busy_until_us) at = node->busy_until_us;
    if (node->tick_us > world->now_us && node->tick_us <= at) return;
    node->tick_us = at;
    sys_schedule(world, (struct sys_event){.at_us = at, .kind = SYS_TICK, .to = (uint8_t)index, .generation = node->generation});
}

void sys_node_step(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    struct replica_output output;
    uint64_t local_us = sys_node_local_us(world, node);
    world->current = (uint8_t)index;
    replica_tick(node->shell->replica, local_us / 1000, local_us);
    struct execution_job *job = execution_go_on(node->shell->execution);
    if (job != NULL) replica_job_done(node->shell->replica, job);
    while (!node->shell->stop && replica_next(node->shell->replica, &output)) output_do(world, index, &output);
    if (node->shell->again) {
        sys_node_again(world, index);
        return;
    }
    if (node->shell->stop) {
        node->broken = true;
        sys_node_crash(world, index);
        return;
    }
    if (node->slow_us > 0) node->busy_until_us = world->now_us + node->slow_us;
    if (!node->liar) sys_check_step(world, index);
    if (!node->liar) sys_enrol_check(world, index); /* here, where all outputs are carried out */
    if (!node->liar) sys_place_check(world, index);
    tick_schedule(world, index);
}

void sys_node_event(struct sys_world *world, const struct sys_event *event) {
    struct sys_node *node = &world->nodes[event->to];
    if (event->kind == SYS_START) {
        world->stats->events++;
        if (node->spare && node->generation == 0 && !sys_admin_chain(world, event->to)) {
            sys_schedule(world, (struct sys_event){.at_us = world->now_us + AGAIN_US, .kind = SYS_START, .to = event->to});
            return;
        }
        if (!node->up && !node->broken) sys_node_start(world, event->to);
        return;
    }
    if (!node->up || node->generation != event->generation) return;
    if (event->kind == SYS_TRANSFER) {
        sys_transfer_event(world, event);
        return;
    }
    if (event->kind == SYS_TICK && node->tick_us != event->at_us) return; /* an earlier one came */
    world->stats->events++;
    if (event->kind == SYS_TICK) world->stats->ticks++;
    if (event->kind == SYS_DISK) {
        world->stats->disk++;
        replica_durable(node->shell->replica, sys_disk_commit(world, event->to));
        sys_disk_begin(world, event->to);
    }
    if (event->kind == SYS_CHECKPOINT) {
        sys_state_commit(world, event->to);
        uint64_t height = execution_reap(node->shell->execution);
        if (height > node->checkpoint_told) {
            node->checkpoint_told = height;
            replica_checkpointed(node->shell->replica, height);
            sys_transfer_checkpointed(world, event->to);
        }
    }
    sys_node_step(world, event->to);
}

/* ---- life ---- */

static void replica_open(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    struct node *shell = node->shell;
    if (!shell->inherits) executor_genesis(shell->executor, shell->genesis_root); /* else node_restore() makes it */
    shell->execution = execution_create(shell->executor, shell->state);
    uint64_t local_ms = sys_node_local_us(world, node) / 1000;
    struct replica_config replica = {.system = world->system,
                                     .cluster = node->cluster,
                                     .member = node->member,
                                     .signer = sys_signer(world, &node->key),
                                     .now_ms = local_ms,
                                     .ahead_bytes = index % 2 == 0 && !world->config.quiet_faults ? 1 : 0, /* slices of walks are short */
                                     .scrub_records_s = 20, /* no walk may find its memory damaged */
                                     .wall_ms = (uint64_t)(INT64_C(1700000000000) + (int64_t)(world->now_us / 1000) + node->wall_offset_ms)};
    for (size_t i = 0; i < sizeof replica.nonce; i++) replica.nonce[i] = (uint8_t)sys_random(world, 256);
    memcpy(replica.signing_key, node->card->signing_key, sizeof replica.signing_key);
    memcpy(replica.noise_key, node->card->noise_key, sizeof replica.noise_key);
    memcpy(replica.genesis_root, shell->genesis_root, 32);
    shell->replica = replica_create(&replica);
    CHECK(shell->execution != NULL && shell->replica != NULL);
    execution_part(shell->execution, 1 + (index + node->generation) % 8); /* a checkpoint takes many parts */
}

static void shell_open(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    struct node *shell = calloc(1, sizeof *shell);
    CHECK(shell != NULL);
    node->shell = shell;
    shell->system = world->system;
    shell->cluster = node->cluster;
    shell->member = node->member;
    shell->wal = &node->wal;
    shell->state = &node->state;
    char name[SYS_NAME_BYTES];
    snprintf(shell->config.data, sizeof shell->config.data, "%s", sys_end_name(world, index, name));
    sys_succession_open(world, shell);
    struct executor_config executor = {
        .system = world->system, .cluster = node->cluster, .blocks_kept_max = EXEC_KEPT_MAX, .open_max = EXEC_OPEN_MAX};
    for (size_t i = 0; i < sizeof executor.hash_key; i++) executor.hash_key[i] = (uint8_t)sys_random(world, 256);
    CHECK(executor_create(&executor, &shell->executor) == EXEC_VALID);
    replica_open(world, index);
}

static void shell_close(struct sys_node *node) {
    prepared_end(&node->prepared);
    replica_destroy(node->shell->replica);
    execution_destroy(node->shell->execution);
    executor_destroy(node->shell->executor);
    free(node->shell);
    node->shell = NULL;
}

/* As state_restore() of appliance/node/node.c: a damaged checkpoint spoils executor and replica, which begin anew; what lacks comes from peers. */
static enum node_restored restore(struct sys_world *world, uint32_t index, char text[NODE_TEXT_BYTES]) {
    struct sys_node *node = &world->nodes[index];
    char name[SYS_NAME_BYTES];
    enum node_restored restored = node_restore(node->shell, text);
    if (restored != NODE_STATE_LOST) return restored;
    sys_trace(world, "%s has lost its state: %s", sys_end_name(world, index, name), text);
    sys_reached(world->stats, "state_lost", 1);
    replica_destroy(node->shell->replica);
    execution_destroy(node->shell->execution);
    sys_state_clear(&node->state);
    replica_open(world, index);
    return node_restore(node->shell, text);
}

void sys_node_start(struct sys_world *world, uint32_t index) {
    static char text[NODE_TEXT_BYTES];
    struct sys_node *node = &world->nodes[index];
    char name[SYS_NAME_BYTES];
    if (node->clock_at_us == 0) {
        node->clock_at_us = world->now_us;
        node->clock_base_us = 1000000 + sys_random(world, 1000000000);
    }
    node->generation++;
    node->tick_us = node->busy_until_us = node->checkpoint_told = node->checked_height = node->checked_signature = 0;
    node->enrolled = node->places_checked = 0;
    memset(node->sent_dseq, 0, sizeof node->sent_dseq);
    memset(node->consumed, 0, sizeof node->consumed);
    sys_transfer_install(world, index);
    shell_open(world, index);
    world->current = (uint8_t)index;
    if (restore(world, index, text) != NODE_RESTORED) {
        sys_trace(world, "%s does not start: %s", sys_end_name(world, index, name), text);
        if (!node->doubtful && !node->liar) sys_fail(world, SYS_CHECK_STOPPED, "%s does not start: %s", name, text);
        shell_close(node);
        node->broken = true;
        return;
    }
    node->up = true;
    sys_peers_begin(world, index);
    sys_address_start(world, index);
    sys_transfer_start(world, index);
    uint64_t local_us = sys_node_local_us(world, node);
    sys_liar_started(world, index);
    if (node->liar) node->shell->replica->hooks = &node->hooks; /* a liar restores like anybody */
    replica_tick(node->shell->replica, local_us / 1000, local_us);
    replica_start(node->shell->replica);
    sys_trace(world, "%s starts", sys_end_name(world, index, name));
    sys_node_step(world, index);
    for (uint32_t other = 0; other < world->end_count && node->up; other++) {
        if (node->peers[other].kind != 0 && other < world->node_count) sys_link_later(world, index, other, 1 + sys_random(world, LINK_US));
    }
}

static void figures_take(struct sys_world *world, uint32_t index) {
    static struct status_replica status;
    sys_node_status(world, index, &status);
    for (int i = 0; i < STATUS_DROP_COUNT; i++) world->stats->drops[i] += status.drops[i];
    for (int i = 0; i < STATUS_ATTACK_COUNT; i++) world->stats->attacks[i] += status.attacks[i];
    if (status.phase == PHASE_RETIRED) world->stats->retired++;
    world->stats->views += status.view_changes;
    world->stats->blocks_empty += status.empty_decisions;
}

static void links_end(struct sys_world *world, uint32_t index) {
    world->nodes[index].up = false;
    for (uint32_t other = 0; other < world->end_count; other++) {
        if (other != index && sys_link_of(world, index, other)->up) sys_link_set(world, index, other, false);
    }
    shell_close(&world->nodes[index]);
}

void sys_node_crash(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    char name[SYS_NAME_BYTES];
    CHECK(node->up);
    figures_take(world, index);
    uint32_t reached = 0;
    if (world->config.faults >> SYS_REACHED & 1 && node->wal.flying_count > 0 && sys_chance(world, 500000)) {
        reached = (uint32_t)sys_random(world, node->wal.flying_count + 1);
        if (reached > 0) world->stats->faults[SYS_REACHED]++;
    }
    if (node->wal.flying_count > reached) world->stats->faults[SYS_LOST]++;
    sys_disk_crash(&node->wal, reached);
    sys_transfer_stop(world, index);
    sys_state_crash(world, &node->state, sys_chance(world, 300000));
    sys_state_crash(world, &node->taken, sys_chance(world, 300000));
    sys_trace(world, "%s is gone; %u batches had reached its disk unseen", sys_end_name(world, index, name), reached);
    links_end(world, index);
}

void sys_node_again(struct sys_world *world, uint32_t index) {
    struct sys_node *node = &world->nodes[index];
    char name[SYS_NAME_BYTES];
    sys_trace(world, "%s begins anew", sys_end_name(world, index, name));
    figures_take(world, index);
    sys_transfer_stop(world, index);
    sys_disk_crash(&node->wal, node->wal.flying_count); /* what was written is waited for */
    (void)state_close(&node->state);
    node->taken.writing_until_us = 0;
    links_end(world, index);
    sys_schedule(world, (struct sys_event){.at_us = world->now_us + AGAIN_US, .kind = SYS_START, .to = (uint8_t)index});
}
