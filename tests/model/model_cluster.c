/* A cluster: what comes in, what a block does in numbers, when the next one is proposed, what leaves. */
#include <math.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/batch.h"
#include "protocol/body.h"
#include "protocol/leaf.h"
#include "protocol/operation.h"
#include "protocol/slice.h"
#include "tests/model/model.h"

enum {
    KEY_BYTES = 32,
    NONCE_VALUE_BYTES = 32,   /* of the value with which costs were measured */
    QC_BYTES = 156 + 4,       /* preimage, count */
    QC_SIGNATURE_BYTES = 65,  /* index, signature */
    VOTE_BYTES = 156 + 1 + 64,
    HEADER_BYTES = 320,       /* of a PROPOSE, with the leader's own PREPARE */
    PATH_BYTES = 32,
};

static double ops_us(const struct model *model, bool shard, double ops) {
    const struct model_costs *costs = &model->setup.costs;
    double more = (double)model->setup.value_bytes - NONCE_VALUE_BYTES;
    return ops * (shard ? costs->shard_op + more * costs->shard_byte : costs->coordinator_op + more * costs->coordinator_byte);
}

static double levels(double leaves) {
    return leaves > 1 ? ceil(log2(leaves)) : 0;
}

static uint32_t quorum(const struct model *model) {
    return model->setup.nodes - (model->setup.nodes - 1) / 3;
}

/* A compact decision before its slice. */
static double head_bytes(const struct model *model, double leaves) {
    return QC_BYTES + QC_SIGNATURE_BYTES * quorum(model) + 16 + LEAF_BYTES + PATH_BYTES * levels(leaves);
}

static uint32_t request_bytes(uint32_t ops) {
    return SLICE_ITEM_HEAD_BYTES + SLICE_READ_HEAD_BYTES + ops * (OPERATION_HEAD_BYTES + KEY_BYTES);
}

static uint32_t answer_bytes(const struct model *model, uint32_t parts, uint32_t ops) {
    return SLICE_ITEM_HEAD_BYTES + SLICE_ANSWER_HEAD_BYTES + parts * SLICE_PART_HEAD_BYTES + ops * (RESULT_HEAD_BYTES + model->setup.value_bytes);
}

static void count(struct model *model, double *what, double much) {
    if (model->measuring) *what += much;
}

/* The leaves of one block of this kind of cluster: to other clusters and to clients. */
static double leaves_of(const struct model *model, bool shard) {
    return (double)model->setup.side + (shard ? 0 : model_keys(&model->setup) * model->setup.clients);
}

/* ---- what comes in */

static double slice_in_us(struct model *model, const struct model_slice *slice, bool shard) {
    const struct model_costs *costs = &model->setup.costs;
    double verify = model->setup.aggregate_ms > 0 ? costs->path_hash * levels((double)model->cluster_count) : costs->slice_verify;
    double us = verify + (shard ? costs->shard_slice_in : costs->coordinator_slice_in) + costs->path_hash * levels(leaves_of(model, !shard));
    count(model, &model->result.by_slice_us, us * model->setup.nodes);
    double ops = 0.25 * ops_us(model, shard, slice->ops);
    count(model, &model->result.by_op_us, ops * model->setup.nodes);
    return us + ops;
}

static void intake(struct model *model, uint32_t cluster, double us) {
    model_task_add(model, model_leader(cluster), TASK_INTAKE, 0, us);
    model_task_add(model, model_others(cluster), TASK_INTAKE, 0, us);
}

void cluster_slice_arrives(struct model *model, uint32_t index) {
    struct model_slice *slice = &model->slices[index];
    struct model_cluster *cluster = &model->clusters[slice->destination];
    struct model_end *end = &cluster->ends[slice->source % model->setup.side];
    uint64_t now = (uint64_t)model->now_ms;
    end->heard_ms = now;
    double us = slice_in_us(model, slice, cluster->shard);
    CHECK(flow_serves(slice->dseq, end->subscribed_from, SOURCE_WINDOW, 0)); /* otherwise it would have to wait: README */
    if (flow_subscribe_again(slice->dseq + 1, end->subscribed_from)) {
        end->subscribed_from = slice->dseq + 1;
        us += model->setup.costs.subscribe;
        count(model, &model->result.subscribes, 1);
        count(model, &model->result.bytes, 16.0 * model->setup.nodes);
    }
    model_list_add(model, &cluster->arriving, index);
    intake(model, slice->destination, us);
}

void cluster_batch_arrives(struct model *model, uint32_t index, uint32_t flight) {
    struct model_cluster *cluster = &model->clusters[index];
    const struct model_flight *f = &model->clients[index].flights[flight];
    double batches = ceil((double)f->parts / model->setup.limits.batch_parts_max) * model->setup.clients, ops = 0.25 * ops_us(model, false, f->ops);
    count(model, &model->result.batches, batches);
    count(model, &model->result.by_op_us, (ops + batches * model->setup.costs.batch) * model->setup.nodes);
    cluster->batches[0][cluster->batch_counts[0]++] = flight;
    intake(model, index, batches * model->setup.costs.batch + ops);
}

static void batches_move(struct model_cluster *cluster, uint32_t from) {
    for (uint32_t i = 0; i < cluster->batch_counts[from]; i++)
        cluster->batches[from + 1][cluster->batch_counts[from + 1]++] = cluster->batches[from][i];
    cluster->batch_counts[from] = 0;
}

void cluster_intake_begins(struct model *model, uint32_t index) {
    struct model_cluster *cluster = &model->clusters[index];
    cluster->taken = cluster->arriving;
    cluster->arriving = (struct model_list){MODEL_NONE, MODEL_NONE};
    batches_move(cluster, 0);
}

void cluster_intake_ends(struct model *model, uint32_t index) {
    struct model_cluster *cluster = &model->clusters[index];
    if (cluster->taken.first != MODEL_NONE) {
        if (cluster->held.first == MODEL_NONE) cluster->held.first = cluster->taken.first;
        else model->slices[cluster->held.last].next = cluster->taken.first;
        cluster->held.last = cluster->taken.last;
    }
    cluster->taken = (struct model_list){MODEL_NONE, MODEL_NONE};
    batches_move(cluster, 1);
    cluster_propose_try(model, index);
}

/* ---- execution, in numbers */

/* The newest pending group, if this still fits into it (D-19), else a new one. */
static struct model_slice *group_for(struct model *model, struct model_end *end, uint32_t bytes, uint32_t ops) {
    const struct model_slice *last = end->group_last == MODEL_NONE ? NULL : &model->slices[end->group_last];
    if (last != NULL && exec_turn_fits(&model->setup.limits, last->items, last->bytes, last->ops, bytes, ops)) return &model->slices[end->group_last];
    uint32_t fresh = model_slice_take(model);
    model->slices[fresh].bytes = SLICE_HEAD_BYTES;
    struct model_list list = {end->group_first, end->group_last};
    model_list_add(model, &list, fresh);
    end->group_first = list.first;
    end->group_last = list.last;
    return &model->slices[fresh];
}

static void item_enter(struct model *model, struct model_cluster *cluster, struct model_end *end, struct model_slice *group, uint32_t bytes,
                       uint32_t ops) {
    group->items++;
    group->ops += ops;
    group->bytes += bytes;
    exec_turn_enter(&end->turn, (uint64_t)model->now_ms, cluster->height, bytes, ops);
}

/* A client batch at its coordinator: each part joins the queue of its shard. */
static double batch_execute(struct model *model, uint32_t index, uint32_t flight_index) {
    struct model_cluster *cluster = &model->clusters[index];
    struct model_flight *flight = &model->clients[index].flights[flight_index];
    for (uint32_t shard = 0; shard < cluster->pairs; shard++) {
        uint32_t ops = flight->shard_ops[shard];
        if (ops == 0) continue;
        struct model_end *end = &cluster->ends[shard];
        struct model_slice *group = group_for(model, end, request_bytes(ops), ops);
        CHECK(group->flight_ops[flight_index] == 0);
        group->flight_ops[flight_index] = ops;
        group->parts++;
        item_enter(model, cluster, end, group, request_bytes(ops), ops);
    }
    double parts = 0.5 * model->setup.costs.coordinator_part * flight->parts;
    double us = 0.25 * ops_us(model, false, flight->ops) + parts;
    count(model, &model->result.parts, flight->parts);
    count(model, &model->result.by_op_us, us * model->setup.nodes);
    return us;
}

/* A shard's slice at a coordinator: its parts go to the client, each with its flight. */
static double answers_execute(struct model *model, struct model_end *end, struct model_block *block, const struct model_slice *slice) {
    for (uint32_t f = 0; f < MODEL_FLIGHTS_MAX; f++) {
        block->answers[f].parts += slice->flight_ops[f] > 0;
        block->answers[f].ops += slice->flight_ops[f];
    }
    CHECK(end->turn.unfinished_count >= slice->items);
    end->turn.unfinished_count -= slice->items;
    double us = 0.25 * ops_us(model, false, slice->ops) + 0.5 * model->setup.costs.coordinator_part * slice->parts;
    count(model, &model->result.by_op_us, us * model->setup.nodes);
    return us;
}

/* A coordinator's slice at a shard: executed, its answer is one item. */
static double requests_execute(struct model *model, struct model_cluster *cluster, struct model_end *end, uint32_t index) {
    struct model_slice request = model->slices[index];
    double us = 0.75 * ops_us(model, true, request.ops) + model->setup.costs.shard_part * request.parts;
    count(model, &model->result.by_op_us, us * model->setup.nodes);
    if (request.parts == 0) return us; /* an acknowledgement alone, or an empty one */
    uint32_t bytes = answer_bytes(model, request.parts, request.ops);
    struct model_slice *group = group_for(model, end, bytes, request.ops);
    for (uint32_t f = 0; f < MODEL_FLIGHTS_MAX; f++) {
        CHECK(group->flight_ops[f] == 0 || request.flight_ops[f] == 0);
        group->flight_ops[f] += request.flight_ops[f];
    }
    group->parts += request.parts;
    item_enter(model, cluster, end, group, bytes, request.ops);
    return us;
}

static double slice_execute(struct model *model, struct model_cluster *cluster, struct model_block *block, uint32_t index) {
    struct model_slice *slice = &model->slices[index];
    struct model_end *end = &cluster->ends[slice->source % model->setup.side];
    CHECK(slice->dseq == end->consumed_dseq + 1);
    end->consumed_dseq = slice->dseq;
    if (slice->ack > end->seen_ack) end->seen_ack = slice->ack;
    exec_turn_consumed(&end->turn, slice->ack, slice->bytes, slice->items > 0);
    double us = cluster->shard ? requests_execute(model, cluster, end, index) : answers_execute(model, end, block, slice);
    model_slice_give(model, index);
    return us;
}

/* What waits goes into the block, slices first, as far as there is room (replica_propose.c). */
static double inputs_execute(struct model *model, uint32_t index, struct model_block *block) {
    struct model_cluster *cluster = &model->clusters[index];
    const struct system_limits *limits = &model->setup.limits;
    uint32_t ops = 0;
    uint64_t bytes = 0;
    double us = 0;
    while (cluster->held.first != MODEL_NONE) {
        uint32_t slice = cluster->held.first, slice_bytes = model->slices[slice].bytes;
        if (!flow_block_takes(limits, block->references, 0, bytes, slice_bytes)) return us;
        cluster->held.first = model->slices[slice].next;
        block->references++;
        block->bytes += slice_bytes;
        bytes += slice_bytes;
        ops += 1 + slice_bytes / 64;
        us += slice_execute(model, cluster, block, slice);
    }
    uint32_t done = 0;
    for (; done < cluster->batch_counts[2] && flow_block_hungry(ops); done++) {
        uint32_t flight = cluster->batches[2][done];
        const struct model_flight *f = &model->clients[index].flights[flight];
        uint32_t batch_bytes = BATCH_HEAD_BYTES + f->parts * BATCH_PART_HEAD_BYTES + f->ops * (OPERATION_HEAD_BYTES + KEY_BYTES);
        if (!flow_block_takes(limits, block->references, 0, bytes, batch_bytes)) break;
        block->references++;
        block->bytes += batch_bytes;
        bytes += batch_bytes;
        ops += f->ops;
        us += batch_execute(model, index, flight);
    }
    cluster->batch_counts[2] -= done;
    memmove(cluster->batches[2], cluster->batches[2] + done, cluster->batch_counts[2] * sizeof cluster->batches[2][0]);
    return us;
}

/* ---- dispatch */

/* The prototype that README.md tells of: a thin slice waits although nothing is in flight. */
static bool too_lazy(const struct model *model, const struct exec_turn *turn) {
    return turn->pending_items > 0 && turn->pending_ops < model->setup.lazy_ops &&
           model->now_ms - (double)turn->oldest_time < model->setup.lazy_ms;
}

static double cut(struct model *model, uint32_t cluster_index, uint32_t pair, struct model_block *block) {
    struct model_cluster *cluster = &model->clusters[cluster_index];
    struct model_end *end = &cluster->ends[pair];
    uint32_t index = end->group_first;
    if (index == MODEL_NONE) {
        index = model_slice_take(model);
        model->slices[index].bytes = SLICE_HEAD_BYTES;
    } else {
        end->group_first = model->slices[index].next;
        if (end->group_first == MODEL_NONE) end->group_last = MODEL_NONE;
    }
    struct model_slice *slice = &model->slices[index];
    slice->source = cluster_index;
    slice->destination = cluster->shard ? pair : model->setup.side + pair;
    slice->dseq = end->turn.sent_dseq + 1;
    slice->ack = end->consumed_dseq;
    bool alone = exec_turn_cut(&end->turn, slice->items, slice->ops, slice->bytes - SLICE_HEAD_BYTES, cluster->height, (uint64_t)model->now_ms);
    if (!cluster->shard && slice->parts > 0) end->turn.unfinished_count++;
    if (!cluster->shard) slice->items = slice->parts > 0; /* one ANSWER item will come of it */
    count(model, &model->result.alone, alone);
    count(model, &model->result.slices[cluster->shard], 1);
    struct model_list list = {block->slice_first, block->slice_last};
    model_list_add(model, &list, index);
    block->slice_first = list.first;
    block->slice_last = list.last;
    block->slice_count++;
    const struct model_costs *costs = &model->setup.costs;
    double us = cluster->shard ? costs->shard_slice_out : costs->coordinator_slice_out;
    us += costs->path_hash * levels(leaves_of(model, cluster->shard));
    count(model, &model->result.by_slice_us, us * model->setup.nodes);
    count(model, &model->result.bytes, model->setup.nodes * (head_bytes(model, leaves_of(model, cluster->shard)) + slice->bytes));
    return us;
}

/* The paper: a slice for every pair in every block, empty or not; to one that is W behind none, else nothing would bound what lies before it. */
static bool round_due(const struct model *model, const struct model_end *end) {
    return model->setup.every_pair && end->turn.pending_items == 0 &&
           end->turn.sent_dseq - end->seen_ack < model->setup.limits.window_blocks;
}

/* The model looks at every pair; what a node does for one that has nothing is its cost pair_block. */
static double dispatch(struct model *model, uint32_t index, struct model_block *block) {
    struct model_cluster *cluster = &model->clusters[index];
    const struct model_setup *setup = &model->setup;
    uint64_t now = (uint64_t)model->now_ms;
    double us = setup->costs.pair_block * cluster->pairs;
    count(model, &model->result.by_pair_us, us * setup->nodes);
    cluster->due_now = false;
    cluster->due_ms = UINT64_MAX;
    for (uint32_t i = 0; i < cluster->pairs; i++) {
        struct exec_turn *turn = &cluster->ends[i].turn;
        bool ready = exec_turn_ready(turn, &setup->limits, &setup->timeouts, cluster->height, now) && !too_lazy(model, turn);
        if (ready || round_due(model, &cluster->ends[i])) us += cut(model, index, i, block);
        uint64_t due = exec_turn_due_ms(turn, &setup->timeouts);
        if (too_lazy(model, turn)) {
            due = turn->oldest_time + (uint64_t)ceil(setup->lazy_ms);
        } else if (exec_turn_now(turn, &setup->limits, cluster->height + 1)) {
            cluster->due_now = true;
        }
        if (due < cluster->due_ms) cluster->due_ms = due;
    }
    return us;
}

/* ---- proposing */

void cluster_propose_try(struct model *model, uint32_t index) {
    struct model_cluster *cluster = &model->clusters[index];
    if (cluster->proposing) return;
    bool due = cluster->due_now || (double)cluster->due_ms <= model->now_ms;
    if (cluster->held.first == MODEL_NONE && cluster->batch_counts[2] == 0 && !due) {
        if (cluster->due_ms != UINT64_MAX && cluster->due_ms != cluster->due_told_ms)
            model_event_add(model, (double)cluster->due_ms, EVENT_DUE, index, 0);
        cluster->due_told_ms = cluster->due_ms;
        return;
    }
    cluster->proposing = true;
    model_task_add(model, model_leader(index), TASK_PROPOSE, 0, 0);
}

void cluster_settled(struct model *model, uint32_t index) {
    model->clusters[index].proposing = false;
    cluster_propose_try(model, index);
}

double cluster_propose_begins(struct model *model, uint32_t index, uint32_t *block_index) {
    struct model_cluster *cluster = &model->clusters[index];
    const struct model_costs *costs = &model->setup.costs;
    *block_index = cluster->block_next;
    cluster->block_next = (cluster->block_next + 1) % MODEL_BLOCKS_MAX;
    struct model_block *block = &cluster->blocks[*block_index];
    for (uint32_t f = 0; f < MODEL_FLIGHTS_MAX; f++) CHECK(block->answers[f].parts == 0); /* the client had them */
    *block = (struct model_block){.slice_first = MODEL_NONE, .slice_last = MODEL_NONE};
    cluster->height++;
    double decision = cluster->shard ? costs->shard_decision : costs->coordinator_decision;
    if (model->setup.aggregate_ms > 0) decision += 2 * costs->slice_verify; /* two levels of aggregators check each block once: README */
    double us = 0.25 * decision + inputs_execute(model, index, block);
    us += dispatch(model, index, block);
    block->execution_us = us;
    uint32_t nodes = model->setup.nodes;
    count(model, &model->result.decisions[cluster->shard], 1);
    count(model, &model->result.empty[cluster->shard], block->references == 0);
    count(model, &model->result.by_decision_us, decision * nodes);
    count(model, &model->result.bytes, (nodes - 1) * (HEADER_BYTES + (double)BODY_HEAD_BYTES + (double)block->references * BODY_REFERENCE_BYTES) +
                                           2.0 * nodes * (nodes - 1) * VOTE_BYTES);
    return us + (model->setup.aggregate_ms > 0 ? 1.5 * costs->slice_verify : 0);
}

/* Final and durable: every node serves its subscribers, and the one that a client is linked to answers it. */
void cluster_publish(struct model *model, uint32_t index, uint32_t block_index) {
    struct model_cluster *cluster = &model->clusters[index];
    struct model_block *block = &cluster->blocks[block_index];
    double at = model->now_ms + model_hop_ms(model);
    if (at > cluster->served_ms) cluster->served_ms = at;
    if (block->slice_first != MODEL_NONE)
        model_event_add(model, cluster->served_ms + model->setup.aggregate_ms, EVENT_SLICES, block->slice_first, 0);
    block->slice_first = block->slice_last = MODEL_NONE;
    bool answers = false;
    for (uint32_t f = 0; f < MODEL_FLIGHTS_MAX && !answers; f++) answers = block->answers[f].parts > 0;
    if (answers) model_event_add(model, at, EVENT_ANSWERS, index, block_index);
}

/* Once a second, as often as the shortest t_idle is: who heard nothing asks (D-24). */
void cluster_idle(struct model *model, uint32_t index) {
    struct model_cluster *cluster = &model->clusters[index];
    uint64_t now = (uint64_t)model->now_ms;
    uint32_t asks = (model->setup.nodes - 1) / 3 + 1;
    double us = 0;
    for (uint32_t i = 0; i < cluster->pairs; i++) {
        struct model_end *end = &cluster->ends[i];
        if (!flow_newest_due(now, end->heard_ms, end->asked_ms, &model->setup.timeouts)) continue;
        end->asked_ms = now;
        us += model->setup.costs.newest * asks;
        count(model, &model->result.newest, (double)asks * model->setup.nodes);
        count(model, &model->result.bytes, (double)(16 + 48) * asks * model->setup.nodes);
    }
    count(model, &model->result.by_pair_us, us * model->setup.nodes);
    if (us > 0) intake(model, index, us);
    model_event_add(model, model->now_ms + model->setup.timeouts.t_idle_ms, EVENT_IDLE, index, 0);
}
