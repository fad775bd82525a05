/* Time, machines, tasks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "tests/model/model.h"

uint64_t model_random(struct model *model) {
    uint64_t z = (model->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

double model_uniform(struct model *model) {
    return ((double)(model_random(model) >> 11) + 0.5) / 9007199254740992.0;
}

static double jittered(struct model *model, double ms) {
    double jitter = model->setup.costs.jitter;
    return jitter > 0 ? ms * (1 - jitter - jitter * log(model_uniform(model))) : ms;
}

double model_hop_ms(struct model *model) {
    return jittered(model, model->setup.costs.hop_ms);
}

void *model_grown(void *memory, uint32_t *room, size_t each) {
    uint32_t wanted = *room == 0 ? 1024 : *room + *room / 2;
    CHECK(wanted > *room);
    memory = realloc(memory, wanted * each);
    CHECK(memory != NULL);
    *room = wanted;
    return memory;
}

/* ---- events: a heap by time, then by order of coming */

static bool before(const struct model_event *a, const struct model_event *b) {
    return a->ms < b->ms || (a->ms == b->ms && a->order < b->order);
}

void model_event_add(struct model *model, double ms, enum model_event_kind kind, uint32_t a, uint32_t b) {
    CHECK(ms >= model->now_ms);
    if (model->event_count == model->event_room) model->events = model_grown(model->events, &model->event_room, sizeof *model->events);
    struct model_event event = {.ms = ms, .order = model->order++, .kind = kind, .a = a, .b = b};
    uint32_t at = model->event_count++;
    for (uint32_t up; at > 0 && before(&event, &model->events[up = (at - 1) / 2]); at = up) model->events[at] = model->events[up];
    model->events[at] = event;
}

static struct model_event event_take(struct model *model) {
    struct model_event first = model->events[0], last = model->events[--model->event_count];
    uint32_t at = 0;
    for (uint32_t down; (down = 2 * at + 1) < model->event_count; at = down) {
        if (down + 1 < model->event_count && before(&model->events[down + 1], &model->events[down])) down++;
        if (!before(&model->events[down], &last)) break;
        model->events[at] = model->events[down];
    }
    if (model->event_count > 0) model->events[at] = last;
    return first;
}

/* ---- slices */

uint32_t model_slice_take(struct model *model) {
    uint32_t index = model->slice_free;
    if (index != MODEL_NONE) {
        model->slice_free = model->slices[index].next;
    } else {
        if (model->slice_used == model->slice_room) model->slices = model_grown(model->slices, &model->slice_room, sizeof *model->slices);
        index = model->slice_used++;
    }
    model->slices[index] = (struct model_slice){.next = MODEL_NONE};
    return index;
}

void model_slice_give(struct model *model, uint32_t slice) {
    model->slices[slice].next = model->slice_free;
    model->slice_free = slice;
}

void model_list_add(struct model *model, struct model_list *list, uint32_t slice) {
    model->slices[slice].next = MODEL_NONE;
    if (list->first == MODEL_NONE) list->first = slice;
    else model->slices[list->last].next = slice;
    list->last = slice;
}

/* ---- tasks: a node does one after the other; a site serves its nodes in the order in which they came to have something to do */

static double task_us(struct model *model, struct model_node *node, struct model_task *task) {
    if (task->kind == TASK_INTAKE) {
        double us = node->inbox_us;
        node->inbox_us = 0;
        node->intake_waits = false;
        if (node == &model->nodes[model_leader(node->owner)]) cluster_intake_begins(model, node->owner);
        return us;
    }
    if (task->kind == TASK_PROPOSE) return cluster_propose_begins(model, node->owner, &task->at);
    return task->us;
}

static void site_next(struct model *model, uint32_t site_index) {
    struct model_site *site = &model->sites[site_index];
    if (site->busy || site->count == 0) return;
    struct model_node *node = &model->nodes[site->queue[site->first]];
    uint32_t index = site->queue[site->first];
    site->first = (site->first + 1) % site->room;
    site->count--;
    site->busy = true;
    node->current = node->tasks[node->task_first];
    node->task_first = (node->task_first + 1) % MODEL_TASKS_MAX;
    node->task_count--;
    double us = task_us(model, node, &node->current);
    bool client = index >= 2 * model->cluster_count;
    if (!client) us += model->setup.costs.pair_turn * model->clusters[node->owner].pairs;
    us *= model->crowd;
    if (model->measuring) {
        if (client) model->result.client_us += us;
        else model->result.cpu_us[model->clusters[node->owner].shard] += us * node->width;
        if (!client) model->result.by_pair_us += model->setup.costs.pair_turn * model->clusters[node->owner].pairs * node->width;
    }
    double cpus = model->setup.cores, took;
    if (model->setup.shared) took = us * node->width / (cpus < node->width ? cpus : node->width);
    else took = client ? us : us * model->setup.costs.main_share / cpus;
    model_event_add(model, model->now_ms + took / 1000, EVENT_DONE, index, site_index);
}

static void node_ready(struct model *model, uint32_t index) {
    struct model_node *node = &model->nodes[index];
    if (node->running || node->task_count == 0) return;
    node->running = true;
    struct model_site *site = &model->sites[node->site];
    CHECK(site->count < site->room);
    site->queue[(site->first + site->count++) % site->room] = index;
    site_next(model, node->site);
}

void model_task_add(struct model *model, uint32_t index, enum model_task_kind kind, uint32_t at, double us) {
    struct model_node *node = &model->nodes[index];
    if (kind == TASK_INTAKE) {
        node->inbox_us += us;
        if (node->intake_waits) return;
        node->intake_waits = true;
    }
    CHECK(node->task_count < MODEL_TASKS_MAX);
    node->tasks[(node->task_first + node->task_count++) % MODEL_TASKS_MAX] = (struct model_task){.kind = kind, .at = at, .us = us};
    node_ready(model, index);
}

/* When what this node has just done is durable, and has come to the others. One disk takes one thing after the other. */
static double durable_ms(struct model *model, uint32_t index, double bytes) {
    struct model_node *node = &model->nodes[index];
    struct model_site *site = &model->sites[node->site];
    double width = model->setup.shared ? node->width : 1, begins = site->disk_free_ms > model->now_ms ? site->disk_free_ms : model->now_ms;
    site->disk_free_ms = begins + width * bytes * model->setup.costs.disk_ms_per_mb / 1e6;
    double done = site->disk_free_ms + jittered(model, model->setup.costs.sync_ms) + model_hop_ms(model);
    if (done > node->durable_ms) node->durable_ms = done;
    return node->durable_ms;
}

/* What a node of a cluster did; the others' end is when the cluster goes on, but for the proposal, which is the leader's alone. */
static void cluster_task_done(struct model *model, uint32_t index, const struct model_task *task) {
    uint32_t cluster = model->nodes[index].owner;
    bool leader = index == model_leader(cluster);
    const struct model_block *block = &model->clusters[cluster].blocks[task->at];
    switch (task->kind) {
    case TASK_INTAKE:
        if (leader) cluster_intake_ends(model, cluster);
        break;
    case TASK_PROPOSE: model_event_add(model, durable_ms(model, index, block->bytes), EVENT_PREPARE, cluster, task->at); break;
    case TASK_PREPARE: model_event_add(model, durable_ms(model, index, block->bytes), EVENT_PREPARED, cluster, task->at); break;
    case TASK_PREPARED:
        if (!leader) model_event_add(model, durable_ms(model, index, 0), EVENT_FINAL, cluster, task->at);
        else if (!model->setup.late) cluster_settled(model, cluster);
        break;
    case TASK_FINAL:
        if (!leader) cluster_publish(model, cluster, task->at);
        else if (model->setup.late) cluster_settled(model, cluster);
        break;
    default: CHECK(false);
    }
}

static void task_done(struct model *model, uint32_t index, uint32_t site) {
    struct model_node *node = &model->nodes[index];
    struct model_task task = node->current;
    node->running = false;
    model->sites[site].busy = false;
    if (task.kind == TASK_SEND) client_sent(model, node->owner, task.at);
    else if (task.kind == TASK_ANSWER) client_answers(model, node->owner, task.at);
    else cluster_task_done(model, index, &task);
    node_ready(model, index);
    site_next(model, site);
}

/* A quarter of a decision's cost is the proposal and its preparing, the rest the two rounds of votes. */
static void votes_add(struct model *model, uint32_t cluster, enum model_task_kind kind, uint32_t block) {
    const struct model_costs *costs = &model->setup.costs;
    double us = 0.375 * (model->clusters[cluster].shard ? costs->shard_decision : costs->coordinator_decision);
    model_task_add(model, model_leader(cluster), kind, block, us);
    model_task_add(model, model_others(cluster), kind, block, us);
}

static void event_do(struct model *model, const struct model_event *event) {
    switch (event->kind) {
    case EVENT_DONE: task_done(model, event->a, event->b); break;
    case EVENT_PREPARE:
        model_task_add(model, model_others(event->a), TASK_PREPARE, event->b, model->clusters[event->a].blocks[event->b].execution_us);
        break;
    case EVENT_PREPARED: votes_add(model, event->a, TASK_PREPARED, event->b); break;
    case EVENT_FINAL: votes_add(model, event->a, TASK_FINAL, event->b); break;
    case EVENT_SLICES:
        for (uint32_t at = event->a, next; at != MODEL_NONE; at = next) {
            next = model->slices[at].next;
            cluster_slice_arrives(model, at);
        }
        break;
    case EVENT_BATCH: cluster_batch_arrives(model, event->a, event->b); break;
    case EVENT_ANSWERS:
        model_task_add(model, model_client_node(model, event->a), TASK_ANSWER, event->b, client_answers_cost(model, event->a, event->b));
        break;
    case EVENT_DUE: cluster_propose_try(model, event->a); break;
    case EVENT_IDLE: cluster_idle(model, event->a); break;
    case EVENT_BEGIN: client_begins(model, event->a, event->b); break;
    }
}

/* ---- begin and end */

static void *zeroed(size_t count, size_t each) {
    void *memory = calloc(count, each);
    CHECK(memory != NULL);
    return memory;
}

static void sites_make(struct model *model) {
    model->site_count = model->setup.shared ? 1 : model->node_count;
    model->sites = zeroed(model->site_count, sizeof *model->sites);
    for (uint32_t i = 0; i < model->site_count; i++) {
        model->sites[i].room = model->setup.shared ? model->node_count : 1;
        model->sites[i].queue = zeroed(model->sites[i].room, sizeof *model->sites[i].queue);
    }
}

static void clusters_make(struct model *model) {
    uint32_t side = model->setup.side;
    model->cluster_count = 2 * side;
    model->clusters = zeroed(model->cluster_count, sizeof *model->clusters);
    model->ends = zeroed((size_t)2 * side * side, sizeof *model->ends);
    for (uint32_t i = 0; i < model->cluster_count; i++) {
        struct model_cluster *cluster = &model->clusters[i];
        cluster->shard = i >= side;
        cluster->pairs = side;
        cluster->ends = model->ends + (size_t)i * side;
        cluster->due_ms = UINT64_MAX;
        cluster->arriving = cluster->taken = cluster->held = (struct model_list){MODEL_NONE, MODEL_NONE};
        for (uint32_t k = 0; k < side; k++) {
            cluster->ends[k].group_first = cluster->ends[k].group_last = MODEL_NONE;
            cluster->ends[k].subscribed_from = 1;
        }
        model_event_add(model, 1 + (double)(model_random(model) % 1000), EVENT_IDLE, i, 0);
    }
}

static void nodes_make(struct model *model) {
    uint32_t side = model->setup.side;
    model->node_count = 2 * model->cluster_count + side;
    model->nodes = zeroed(model->node_count, sizeof *model->nodes);
    for (uint32_t i = 0; i < model->node_count; i++) {
        bool client = i >= 2 * model->cluster_count;
        model->nodes[i].owner = client ? i - 2 * model->cluster_count : i / 2;
        model->nodes[i].site = model->setup.shared ? 0 : i;
        model->nodes[i].width = client || i % 2 == 0 ? 1 : model->setup.nodes - 1;
    }
}

/* All users begin, not at once, within so long. */
static double begins_within_ms(const struct model *model) {
    return 50 + model->setup.side;
}

struct model *model_begin(const struct model_setup *setup) {
    CHECK(setup->side >= 1 && setup->side <= MODEL_SIDE_MAX && model_keys(setup) * setup->flights <= MODEL_FLIGHTS_MAX);
    struct model *model = zeroed(1, sizeof *model);
    model->setup = *setup;
    model->random = setup->seed;
    model->crowd = setup->shared ? 1 + setup->costs.crowding * log2(setup->side) : 1;
    model->slice_free = model->wait_free = MODEL_NONE;
    clusters_make(model);
    nodes_make(model);
    sites_make(model);
    model->clients = zeroed(setup->side, sizeof *model->clients);
    model->shard_ops = zeroed((size_t)setup->side * setup->side * MODEL_FLIGHTS_MAX, sizeof *model->shard_ops);
    client_quantiles_make(model);
    for (uint32_t i = 0; i < setup->side; i++) {
        for (uint32_t f = 0; f < MODEL_FLIGHTS_MAX; f++)
            model->clients[i].flights[f].shard_ops = model->shard_ops + ((size_t)i * MODEL_FLIGHTS_MAX + f) * setup->side;
        for (uint32_t h = 0; h < model_keys(setup); h++) model->clients[i].waits[h] = (struct model_list){MODEL_NONE, MODEL_NONE};
        for (uint32_t h = 0; h < setup->handles; h++) {
            model->clients[i].later[h] = setup->users / setup->handles + (h < setup->users % setup->handles);
            model_event_add(model, begins_within_ms(model) * model_uniform(model), EVENT_BEGIN, i, h);
        }
    }
    return model;
}

static void mark(struct model *model) {
    double issued = model->result.issued, answered = model->result.answered;
    memset(&model->result, 0, sizeof model->result);
    model->result.issued = issued;
    model->result.answered = answered;
    model->answered_at_mark = answered;
    model->marked_ms = model->now_ms;
    model->measuring = true;
}

static void step(struct model *model) {
    struct model_event event = event_take(model);
    model->now_ms = event.ms;
    model->trace = (model->trace ^ event.kind ^ (uint64_t)event.a << 8 ^ (uint64_t)(event.ms * 1e6)) * UINT64_C(0x100000001b3);
    event_do(model, &event);
}

static bool enough(const struct model *model) {
    const struct model_setup *setup = &model->setup;
    return model->measuring && model->result.answered - model->answered_at_mark >= setup->measured * setup->users * setup->side &&
           model->now_ms - model->marked_ms >= setup->seconds_min * 1000;
}

const struct model_result *model_run(struct model *model) {
    const struct model_setup *setup = &model->setup;
    double users = (double)setup->users * setup->side;
    while (!enough(model) && model->now_ms < setup->seconds_max * 1000) {
        if (!model->measuring && model->result.answered >= setup->warm * users && model->now_ms >= begins_within_ms(model)) mark(model);
        step(model);
    }
    struct model_result *result = &model->result;
    result->ran_out = !enough(model);
    if (!model->measuring) mark(model);
    result->seconds = (model->now_ms - model->marked_ms) / 1000;
    result->ops = result->answered - model->answered_at_mark;
    result->in_flight = result->issued - result->answered;
    double idle = setup->costs.idle_second * model->crowd * result->seconds * setup->nodes * setup->side;
    for (int i = 0; i < 2; i++) result->cpu_us[i] += idle;
    model->measuring = false;
    return result;
}

static bool all_answered(const struct model *model) {
    if (model->result.issued != model->result.answered) return false;
    if (model->setup.every_pair) return true; /* its rounds never end */
    for (uint32_t i = 0; i < model->cluster_count; i++)
        if (model->clusters[i].proposing || model->clusters[i].held.first != MODEL_NONE) return false;
    return true;
}

void model_drain(struct model *model) {
    model->draining = true;
    double until = model->now_ms + model->setup.seconds_max * 1000;
    while (!all_answered(model) && model->now_ms < until) step(model);
}

void model_end(struct model *model) {
    for (uint32_t i = 0; i < model->site_count; i++) free(model->sites[i].queue);
    free(model->sites);
    free(model->nodes);
    free(model->clients);
    free(model->clusters);
    free(model->ends);
    free(model->events);
    free(model->slices);
    free(model->waits);
    free(model->shard_ops);
    free(model);
}
