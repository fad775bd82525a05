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

/* Random keys: so many operations for each shard. */
static void parts_draw(struct model *model, struct model_flight *flight) {
    uint32_t shards = model->setup.side, left = flight->ops;
    flight->parts = 0;
    for (uint32_t s = 0; s < shards; s++) {
        flight->shard_ops[s] = binomial(model, left, 1.0 / (shards - s));
        left -= flight->shard_ops[s];
        flight->parts += flight->shard_ops[s] > 0;
    }
    CHECK(left == 0);
    flight->parts_left = flight->parts;
}

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
    for (uint32_t h = 0; h < setup->handles; h++) {
        while (client->ready[h] > 0 && client->under_way[h] < setup->flights && !model->draining) {
            uint32_t at = flight_free(model, client, h);
            struct model_flight *flight = &client->flights[at];
            flight->used = true;
            flight->began_ms = model->now_ms;
            flight->ops = client->ready[h] < setup->flight_ops ? client->ready[h] : setup->flight_ops;
            client->ready[h] -= flight->ops;
            client->under_way[h]++;
            model->result.issued += flight->ops;
            parts_draw(model, flight);
            const struct model_costs *costs = &setup->costs;
            double us = 0.5 * (flight->ops * costs->client_op + flight->parts * costs->client_part);
            model_task_add(model, model_client_node(model, index), TASK_SEND, at, us);
        }
    }
}

void client_begins(struct model *model, uint32_t index, uint32_t handle) {
    model->clients[index].ready[handle] = model->clients[index].later[handle];
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
    for (uint32_t h = 0; h < model->setup.handles; h++) {
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

static void latency_note(struct model *model, double ms, double ops) {
    if (!model->measuring) return;
    model->result.latency_sum_ms += ms * ops;
    double bucket = ms <= 0.01 ? 0 : log(ms / 0.01) / log(1.01);
    model->result.latency[bucket >= MODEL_BUCKETS ? MODEL_BUCKETS - 1 : (uint32_t)bucket] += ops;
}

void client_answers(struct model *model, uint32_t index, uint32_t block) {
    struct model_client *client = &model->clients[index];
    struct model_answer *answers = model->clusters[index].blocks[block].answers;
    for (uint32_t f = 0; f < model->setup.handles * model->setup.flights; f++) {
        struct model_flight *flight = &client->flights[f];
        CHECK(answers[f].parts <= flight->parts_left);
        if (answers[f].parts == 0) continue;
        flight->parts_left -= answers[f].parts;
        answers[f] = (struct model_answer){0, 0};
        if (flight->parts_left > 0) continue;
        latency_note(model, model->now_ms - flight->began_ms, flight->ops);
        model->result.answered += flight->ops;
        client->ready[f / model->setup.flights] += flight->ops;
        client->under_way[f / model->setup.flights]--;
        flight->used = false;
    }
    client_go(model, index);
}
