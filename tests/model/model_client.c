/* A client as `heraclius bench` is one: a few keys (handles), each with a few flights under way, each flight of many users' operations, each of whose
 * users goes on when the whole flight is answered. */
#include <math.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/batch.h"
#include "protocol/operation.h"
#include "protocol/slice.h"
#include "tests/model/model.h"

/* The middle of each of so many equal shares of the normal distribution, by bisection of its error function. */
void client_quantiles_make(struct model *model) {
    for (uint32_t i = 0; i < MODEL_QUANTILES; i++) {
        double share = (i + 0.5) / MODEL_QUANTILES, low = -6, high = 6;
        for (int turn = 0; turn < 40; turn++) {
            double middle = (low + high) / 2;
            if (0.5 * erfc(-middle / sqrt(2)) < share) low = middle;
            else high = middle;
        }
        model->quantiles[i] = low;
    }
}

/* How many of `count` fall into a share p: by inversion for a small mean, else by the normal distribution. */
static uint32_t binomial(struct model *model, uint32_t count, double p) {
    if (count == 0 || p <= 0) return 0;
    if (p >= 1) return count;
    double mean = count * p;
    if (mean > 6 && count - mean > 6) {
        double drawn = floor(mean + model->quantiles[model_random(model) % MODEL_QUANTILES] * sqrt(mean * (1 - p)) + 0.5);
        return drawn < 0 ? 0 : drawn > count ? count : (uint32_t)drawn;
    }
    double odds = p / (1 - p), chance = pow(1 - p, count), left = model_uniform(model);
    uint32_t drawn = 0;
    while (left > chance && drawn < count) {
        left -= chance;
        chance *= odds * (count - drawn) / (drawn + 1);
        drawn++;
    }
    return drawn;
}

/* So many operations for each shard; keys are random. By group all are for this coordinator cluster's shard: with as many clusters a side, a group is
 * one of each. */
static void parts_draw(struct model *model, struct model_flight *flight, uint32_t group, bool grouped) {
    uint32_t shards = model->setup.side, left = flight->ops;
    flight->parts = 0;
    for (uint32_t s = 0; s < shards; s++) {
        flight->shard_ops[s] = !grouped ? binomial(model, left, 1.0 / (shards - s)) : s == group ? left : 0;
        left -= flight->shard_ops[s];
        flight->parts += flight->shard_ops[s] > 0;
    }
    CHECK(left == 0);
    flight->parts_left = flight->parts;
}

/* ---- users that wait */

static uint32_t wait_take(struct model *model) {
    uint32_t index = model->wait_free;
    if (index != MODEL_NONE) {
        model->wait_free = model->waits[index].next;
        return index;
    }
    if (model->wait_used == model->wait_room) model->waits = model_grown(model->waits, &model->wait_room, sizeof *model->waits);
    return model->wait_used++;
}

static void wait_give(struct model *model, uint32_t index) {
    model->waits[index].next = model->wait_free;
    model->wait_free = index;
}

static void wait_add(struct model *model, struct model_list *list, double ms, uint32_t users) {
    uint32_t index = wait_take(model);
    model->waits[index] = (struct model_wait){.ms = ms, .users = users, .next = MODEL_NONE};
    if (list->first == MODEL_NONE) list->first = index;
    else model->waits[list->last].next = index;
    list->last = index;
}

static void users_wait(struct model *model, uint32_t client, uint32_t handle, uint32_t users) {
    if (users == 0) return;
    struct model_list *list = &model->clients[client].waits[handle];
    struct model_wait *last = list->first == MODEL_NONE ? NULL : &model->waits[list->last];
    model->clients[client].ready[handle] += users;
    if (last == NULL || floor(last->ms * 4) < floor(model->now_ms * 4)) {
        wait_add(model, list, model->now_ms, users);
        return;
    }
    last->users += users;
    last->ms += (model->now_ms - last->ms) * users / last->users;
}

/* Who has waited longest goes first. */
static struct model_list users_take(struct model *model, struct model_client *client, uint32_t handle, uint32_t users) {
    struct model_list taken = {MODEL_NONE, MODEL_NONE}, *list = &client->waits[handle];
    client->ready[handle] -= users;
    while (users > 0) {
        uint32_t index = list->first, some = model->waits[index].users < users ? model->waits[index].users : users;
        wait_add(model, &taken, model->waits[index].ms, some);
        users -= some;
        model->waits[index].users -= some;
        if (model->waits[index].users > 0) continue;
        list->first = model->waits[index].next;
        wait_give(model, index);
    }
    return taken;
}

/* ---- flights */

static uint32_t flight_free(const struct model *model, const struct model_client *client, uint32_t handle) {
    uint32_t first = handle * model->setup.flights;
    for (uint32_t i = first; i < first + model->setup.flights; i++)
        if (!client->flights[i].used) return i;
    CHECK(false);
    return 0;
}

void client_go(struct model *model, uint32_t index) {
    struct model_client *client = &model->clients[index];
    const struct model_setup *setup = &model->setup;
    for (uint32_t h = 0; h < model_keys(setup); h++) {
        while (client->ready[h] > 0 && client->under_way[h] < setup->flights && !model->draining) {
            uint32_t at = flight_free(model, client, h);
            struct model_flight *flight = &client->flights[at];
            flight->used = true;
            flight->ops = client->ready[h] < setup->flight_ops ? client->ready[h] : setup->flight_ops;
            flight->users = users_take(model, client, h, flight->ops);
            client->under_way[h]++;
            model->result.issued += flight->ops;
            parts_draw(model, flight, index, !setup->spread && h < setup->handles);
            const struct model_costs *costs = &setup->costs;
            double us = 0.5 * (flight->ops * costs->client_op + flight->parts * costs->client_part);
            model_task_add(model, model_client_node(model, index), TASK_SEND, at, us);
        }
    }
}

void client_begins(struct model *model, uint32_t index, uint32_t handle) {
    users_wait(model, index, handle, model->clients[index].later[handle]);
    client_go(model, index);
}

/* To the node that the client is linked to, and from there to the others. */
void client_sent(struct model *model, uint32_t index, uint32_t at) {
    const struct model_flight *flight = &model->clients[index].flights[at];
    if (model->measuring)
        model->result.bytes += model->setup.nodes * (double)(BATCH_HEAD_BYTES + flight->parts * BATCH_PART_HEAD_BYTES +
                                                             flight->ops * (OPERATION_HEAD_BYTES + 32));
    model_event_add(model, model->now_ms + model_hop_ms(model) + model_hop_ms(model), EVENT_BATCH, index, at);
}

double client_answers_cost(struct model *model, uint32_t index, uint32_t block) {
    const struct model_answer *answers = model->clusters[index].blocks[block].answers;
    const struct model_costs *costs = &model->setup.costs;
    double us = 0, more = (double)model->setup.value_bytes - 32;
    for (uint32_t h = 0; h < model_keys(&model->setup); h++) {
        double parts = 0, ops = 0;
        for (uint32_t f = h * model->setup.flights; f < (h + 1) * model->setup.flights; f++) {
            parts += answers[f].parts;
            ops += answers[f].ops;
        }
        if (parts == 0) continue;
        double clients = ops < model->setup.clients ? ops : model->setup.clients; /* each has an answer of its own */
        us += clients * costs->client_answer + ops * (0.5 * costs->client_op + more * costs->client_byte) + 0.5 * parts * costs->client_part;
        if (model->measuring)
            model->result.bytes += 500 * clients + parts * CLIENT_ITEM_HEAD_BYTES + ops * (RESULT_HEAD_BYTES + model->setup.value_bytes);
    }
    return us;
}

/* To one coordinator cluster as likely as to another: as that of a random key's group, or as any. */
static void users_move(struct model *model, uint32_t handle, uint32_t count) {
    uint32_t clients = model->setup.side;
    for (uint32_t i = 0; i < clients && count > 0; i++) {
        uint32_t moved = binomial(model, count, 1.0 / (clients - i));
        users_wait(model, i, handle, moved);
        count -= moved;
    }
    CHECK(count == 0);
}

/* Their operations were answered, so they take new keys. By group they go on where the key is, by the client's key (handle) of the same number; who
 * comes from the one for any coordinator, by one of the others. */
static void users_go_on(struct model *model, uint32_t index, uint32_t handle, uint32_t count) {
    const struct model_setup *setup = &model->setup;
    if (setup->spread) {
        users_wait(model, index, handle, count);
        return;
    }
    uint32_t any = binomial(model, count, setup->any_share);
    users_move(model, setup->handles, any);
    count -= any;
    for (uint32_t h = 0; handle == setup->handles && h < handle && count > 0; h++) {
        uint32_t some = binomial(model, count, 1.0 / (handle - h));
        users_move(model, h, some);
        count -= some;
    }
    users_move(model, handle, count);
}

/* From when a user has something to ask for, as bench counts it. */
static void latency_note(struct model *model, double ms, double ops) {
    model->result.latency_sum_ms += ms * ops;
    double bucket = ms <= 0.01 ? 0 : log(ms / 0.01) / log(1.01);
    model->result.latency[bucket >= MODEL_BUCKETS ? MODEL_BUCKETS - 1 : (uint32_t)bucket] += ops;
}

static void flight_answered(struct model *model, struct model_flight *flight) {
    for (uint32_t i = flight->users.first, next; i != MODEL_NONE; i = next) {
        next = model->waits[i].next;
        if (model->measuring) latency_note(model, model->now_ms - model->waits[i].ms, model->waits[i].users);
        wait_give(model, i);
    }
}

void client_answers(struct model *model, uint32_t index, uint32_t block) {
    struct model_client *client = &model->clients[index];
    struct model_answer *answers = model->clusters[index].blocks[block].answers;
    for (uint32_t f = 0; f < model_keys(&model->setup) * model->setup.flights; f++) {
        struct model_flight *flight = &client->flights[f];
        CHECK(answers[f].parts <= flight->parts_left);
        if (answers[f].parts == 0) continue;
        flight->parts_left -= answers[f].parts;
        answers[f] = (struct model_answer){0, 0};
        if (flight->parts_left > 0) continue;
        flight_answered(model, flight);
        model->result.answered += flight->ops;
        users_go_on(model, index, f / model->setup.flights, flight->ops);
        client->under_way[f / model->setup.flights]--;
        flight->used = false;
    }
    client_go(model, index);
    for (uint32_t i = 0; i < model->setup.side && !model->setup.spread; i++) client_go(model, i); /* where users went on */
}
