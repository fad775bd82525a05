/*
 * What pairs, slices and parts cost one node, measured on the product's own executor and verification, in one thread: the costs that a system of one
 * or two clusters a side does not show. Prints one JSON object a line: what was done, how many pairs, slices, parts and operations, and the
 * microseconds of CPU (the median of some rounds). calibrate fits the model's costs to them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "appliance/replica/replica_private.h"
#include "bft/ed25519.h"
#include "merkle/check.h"
#include "tests/appliance/exec_world.h"
#include "tests/protocol/decided.h"

enum { PAIRS_MAX = 1024, ROUNDS = 9, SLICE_MAX = 1 << 16, BATCH_ROOM = 1 << 20, LAST_BYTES = 1 << 16, VALUE_BYTES = 32 };

/* One cluster and its pairs. */
struct one {
    struct world *world;
    struct executor *ex;
    uint64_t ticket, time;
    struct exec_result result;
    struct exec_ref refs[2 * PAIRS_MAX];
    struct world_message messages[2 * PAIRS_MAX];
    uint32_t ref_count;
};

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void row(const char *what, uint32_t pairs, uint32_t slices, uint32_t parts, uint32_t ops, double times[ROUNDS]) {
    qsort(times, ROUNDS, sizeof times[0], compare);
    printf("{\"what\": \"%s\", \"pairs\": %u, \"slices\": %u, \"parts\": %u, \"ops\": %u, \"us\": %.3f}\n", what, pairs, slices, parts, ops,
           times[ROUNDS / 2]);
    fflush(stdout);
}

static struct one *one_make(bool shard, uint32_t pairs) {
    struct one *one = calloc(1, sizeof *one);
    struct system_cluster *clusters = calloc(pairs + 1, sizeof *clusters);
    CHECK(one && clusters && (one->world = malloc(sizeof *one->world)) != NULL);
    world_system(one->world, 1, 1);
    struct system *system = &one->world->system;
    system->coordinators_count = shard ? pairs : 1;
    system->shards_count = shard ? 1 : pairs;
    for (uint32_t i = 0; i <= pairs; i++) {
        bool is_shard = i >= system->coordinators_count;
        clusters[i] = system->clusters[is_shard];
        clusters[i].cluster = is_shard ? (uint32_t)SHARD_CLUSTER_BASE + i - system->coordinators_count : (uint32_t)COORDINATOR_CLUSTER_BASE + i;
    }
    system->clusters = clusters;
    uint8_t root[32];
    one->ex = world_executor(one->world, shard ? (uint32_t)SHARD_CLUSTER_BASE : (uint32_t)COORDINATOR_CLUSTER_BASE, root);
    return one;
}

/* The memory of the world goes with the process. */
static void one_free(struct one *one) {
    executor_destroy(one->ex);
    free(one);
}

/* One block of what was put, executed, settled, made final, released: all that a node's executor does for it. */
static double block_us(struct one *one) {
    struct exec_block block = {.ticket = one->ticket + 1, .parent = one->ticket, .height = one->ticket + 1, .time = one->time + 20};
    block.refs = one->refs;
    block.ref_count = one->ref_count;
    uint8_t root[32];
    double start = now_us();
    CHECK(executor_execute(one->ex, &block, &one->result) == EXEC_VALID);
    executor_state_root(one->ex, root);
    uint32_t changed[PAIRS_MAX], count = 0;
    for (uint32_t i = 0; (i = executor_pair_changed(one->ex, i)) < executor_pairs(one->ex); i++) changed[count++] = i;
    CHECK(executor_finalize(one->ex, block.ticket, NULL) == EXEC_VALID && executor_release_block(one->ex, block.ticket) == EXEC_VALID);
    for (uint32_t i = 0; i < count; i++) {
        struct exec_pair pair;
        executor_pair_at(one->ex, changed[i], true, &pair);
        if (pair.acked_dseq > 0) executor_release_slices(one->ex, pair.cluster, pair.acked_dseq);
    }
    double spent = now_us() - start;
    for (uint32_t i = 0; i < one->ref_count; i++) free(one->messages[i].bytes);
    one->ref_count = 0;
    one->ticket++;
    one->time += 20;
    return spent;
}

static void slice_put(struct one *one, uint32_t source, const uint8_t *slice, uint32_t bytes) {
    struct exec_pair pair;
    CHECK(executor_pair(one->ex, source, false, &pair) == EXEC_VALID);
    struct world_message *m = &one->messages[one->ref_count];
    uint32_t own = source >= (uint32_t)SHARD_CLUSTER_BASE ? (uint32_t)COORDINATOR_CLUSTER_BASE : (uint32_t)SHARD_CLUSTER_BASE;
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .source = source, .destination = own, .height = one->ticket + 1, .dseq = pair.consumed_dseq + 1,
                        .slice_bytes = bytes};
    memcpy(leaf.system_id, one->world->system.system_id, 16);
    memcpy(leaf.previous, pair.consumed_leaf, 32);
    slice_hash(slice, bytes, leaf.slice_hash);
    leaf_encode(&leaf, m->leaf);
    leaf_hash(m->leaf, m->hash);
    CHECK((m->bytes = malloc(bytes)) != NULL);
    memcpy(m->bytes, slice, bytes);
    one->refs[one->ref_count++] = (struct exec_ref){.kind = 1, .source = source, .dseq = leaf.dseq, .hash = m->hash, .leaf = m->leaf,
                                                    .bytes = m->bytes, .byte_count = bytes};
}

static void key_make(char key[33]) {
    static uint64_t seed = 11;
    snprintf(key, 33, "key-%028llu", (unsigned long long)world_random(&seed));
}

/* A batch with so many operations for each of the first shards. */
static void batch_put(struct one *one, uint32_t shards, uint32_t ops) {
    struct world_message *m = &one->messages[one->ref_count];
    CHECK((m->bytes = malloc(BATCH_ROOM)) != NULL);
    struct bytes_writer writer = bytes_writer_of(m->bytes, BATCH_ROOM);
    uint8_t nonce[BATCH_NONCE_BYTES] = {0};
    bytes_put_le64(nonce, one->ticket * 64 + one->ref_count + 1);
    struct batch_builder builder;
    struct signer signer = {0};
    batch_build_begin(&builder, &writer, BATCH_READ, one->world->clients[0].card.id, nonce, 0);
    for (uint32_t s = 0; s < shards; s++) {
        batch_build_part_begin(&builder, (uint32_t)SHARD_CLUSTER_BASE + s, 0, 0, 0);
        for (uint32_t i = 0; i < ops; i++) {
            char key[33];
            key_make(key);
            struct operation op = op_get(key, VALUE_BYTES);
            operation_encode(&writer, &op);
        }
        batch_build_part_end(&builder, ops);
    }
    CHECK(batch_build_end(&builder, one->world->system.system_id, &signer));
    m->byte_count = (uint32_t)writer.used;
    one->refs[one->ref_count++] = (struct exec_ref){.kind = 2, .hash = m->hash, .bytes = m->bytes, .byte_count = m->byte_count};
}

/* A shard's answer to the one slice that is unanswered. */
static void answer_put(struct one *one, uint32_t shard, uint32_t parts, uint32_t ops) {
    static uint8_t slice[SLICE_MAX];
    uint32_t cluster = (uint32_t)SHARD_CLUSTER_BASE + shard, results = ops * (RESULT_HEAD_BYTES + VALUE_BYTES);
    struct exec_pair pair;
    CHECK(executor_pair(one->ex, cluster, false, &pair) == EXEC_VALID);
    uint8_t *at = slice + SLICE_HEAD_BYTES + SLICE_ITEM_HEAD_BYTES;
    slice_answer_head_encode(at, pair.sent_dseq, parts);
    at += SLICE_ANSWER_HEAD_BYTES;
    for (uint32_t p = 0; p < parts; p++) {
        struct slice_part part = {.op_count = ops, .height = 1, .results_bytes = results};
        CHECK(at + SLICE_PART_HEAD_BYTES + results <= slice + sizeof slice);
        slice_part_head_encode(at, &part);
        at += SLICE_PART_HEAD_BYTES + results;
    }
    slice_head_encode(slice, 1, pair.sent_dseq);
    slice_item_head_encode(slice + SLICE_HEAD_BYTES, (uint32_t)(at - slice) - SLICE_HEAD_BYTES - SLICE_ITEM_HEAD_BYTES, SLICE_ANSWER);
    slice_put(one, cluster, slice, (uint32_t)(at - slice));
}

/* A coordinator's request, which acknowledges all that the shard sent. */
static void request_put(struct one *one, uint32_t coordinator, uint32_t parts, uint32_t ops) {
    static uint8_t slice[SLICE_MAX];
    uint32_t cluster = (uint32_t)COORDINATOR_CLUSTER_BASE + coordinator;
    struct exec_pair pair;
    CHECK(executor_pair(one->ex, cluster, false, &pair) == EXEC_VALID);
    struct bytes_writer writer = bytes_writer_of(slice + SLICE_HEAD_BYTES, sizeof slice - SLICE_HEAD_BYTES);
    slice_head_encode(slice, parts, pair.sent_dseq);
    for (uint32_t p = 0; p < parts; p++) {
        uint8_t *head = bytes_put_space(&writer, SLICE_ITEM_HEAD_BYTES + SLICE_READ_HEAD_BYTES);
        size_t before = writer.used;
        for (uint32_t i = 0; i < ops; i++) {
            char key[33];
            key_make(key);
            struct operation op = op_get(key, VALUE_BYTES);
            operation_encode(&writer, &op);
        }
        CHECK(!writer.failed);
        slice_item_head_encode(head, (uint32_t)(writer.used - before) + SLICE_READ_HEAD_BYTES, SLICE_READ);
        slice_read_head_encode(head + SLICE_ITEM_HEAD_BYTES, ops);
    }
    slice_put(one, cluster, slice, (uint32_t)writer.used + SLICE_HEAD_BYTES);
}

static void coordinator(uint32_t pairs, uint32_t slices, uint32_t batches, uint32_t ops) {
    struct one *one = one_make(false, pairs);
    double request[ROUNDS], answer[ROUNDS], empty[ROUNDS];
    for (int round = -2; round < ROUNDS; round++) { /* the first ones touch fresh pages */
        for (uint32_t b = 0; b < batches; b++) batch_put(one, slices, ops);
        double us = block_us(one);
        CHECK(one->result.output_count == slices);
        if (round >= 0) request[round] = us;
        for (uint32_t s = 0; s < slices; s++) answer_put(one, s, batches, ops);
        us = block_us(one);
        CHECK(one->result.output_count == 1 && one->result.counts.garbage == 0);
        if (round >= 0) answer[round] = us;
        us = block_us(one);
        if (round >= 0) empty[round] = us;
    }
    row("request", pairs, slices, slices * batches, slices * batches * ops, request);
    row("answer", pairs, slices, slices * batches, slices * batches * ops, answer);
    row("coordinator_empty", pairs, 0, 0, 0, empty);
    one_free(one);
}

static void shard(uint32_t pairs, uint32_t slices, uint32_t parts, uint32_t ops) {
    struct one *one = one_make(true, pairs);
    double execute[ROUNDS], empty[ROUNDS];
    for (int round = -2; round < ROUNDS; round++) {
        for (uint32_t s = 0; s < slices; s++) request_put(one, s, parts, ops);
        double us = block_us(one);
        CHECK(one->result.output_count == slices && one->result.counts.garbage == 0);
        if (round >= 0) execute[round] = us;
        us = block_us(one);
        if (round >= 0) empty[round] = us;
    }
    row("execute", pairs, slices, slices * parts, slices * parts * ops, execute);
    row("shard_empty", pairs, 0, 0, 0, empty);
    one_free(one);
}

/* q signatures and the proof of one compact decision of an outbox of so many leaves. */
static void verify(uint32_t leaves) {
    struct decider *decider = calloc(1, sizeof *decider);
    CHECK(decider && ed25519_start(NULL));
    decider_init(decider, 5, (uint32_t)SHARD_CLUSTER_BASE, 4);
    uint8_t slice[SLICE_HEAD_BYTES];
    slice_head_encode(slice, 0, 0);
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .destination = (uint32_t)COORDINATOR_CLUSTER_BASE, .dseq = 1};
    struct decided_how how = {0};
    size_t count;
    uint8_t *bytes = decided_make(decider, &how, &leaf, leaves / 2, leaves, slice, sizeof slice, &count);
    struct signer signer = signer_ed25519(NULL);
    double times[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_us();
        for (int i = 0; i < 50; i++) {
            struct decision decision;
            CHECK(decision_decode(bytes, count, &decision) == DECISION_OK);
            CHECK(decision_verify(&decision, &decider->members, &signer, NULL) == DECISION_OK);
        }
        times[round] = (now_us() - start) / 50;
    }
    row("verify", leaves, 1, 0, 0, times);
    free(bytes);
    free(decider);
}

/* What a turn of the replica's loop does for its pairs when nothing is due, and what a final block does for those that have nothing to serve. */
static void turn(uint32_t pairs) {
    struct replica *r = calloc(1, sizeof *r);
    CHECK(r && (r->pairs = calloc(pairs, sizeof *r->pairs)) != NULL);
    CHECK((r->last = calloc(1, LAST_BYTES)) != NULL); /* nobody answered LAST-SIGNED: P-70 is looked at as far as that */
    system_limits_default(&r->config.limits);
    system_timeouts_default(&r->config.timeouts);
    r->now_ms = 1000000;
    r->pair_count = pairs;
    for (uint32_t i = 0; i < pairs; i++) {
        struct pair *pair = &r->pairs[i];
        pair->members.n = 4;
        pair->members.f = 1;
        pair->up[0] = true;
        pair->subscribed_from = 1;
        pair->heard_ms = pair->chain_asked_ms = pair->chain_own_ms = r->now_ms;
        memset(pair->window, 0xFF, sizeof pair->window);
    }
    double times[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_us();
        for (int i = 0; i < 100; i++) source_tick(r);
        times[round] = (now_us() - start) / 100;
    }
    row("turn", pairs, 0, 0, 0, times);
    struct rblock block = {.ref_count = 0};
    r->publish_next = NONE;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_us();
        for (int i = 0; i < 100; i++) {
            block_publish(r); /* when it is final, and when that is durable */
            block_publish(r);
            rollback_final(r, &block);
        }
        times[round] = (now_us() - start) / 100;
    }
    row("publish", pairs, 0, 0, 0, times);
    free(r->last);
    free(r->pairs);
    free(r);
}

int main(void) {
    static const uint32_t counts[] = {1, 16, 256, PAIRS_MAX};
    verify(2);
    verify(PAIRS_MAX);
    for (uint32_t i = 0; i < 4; i++) turn(counts[i]);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t pairs = counts[i], slices = pairs < 256 ? pairs : 256; /* a batch has 256 parts at most */
        coordinator(pairs, slices, 1, 1);
        coordinator(pairs, slices, 8, 1);
        coordinator(pairs, slices, 1, 16);
        coordinator(pairs, (slices + 7) / 8, 8, 16);
        shard(pairs, slices, 1, 1);
        shard(pairs, slices, 8, 1);
        shard(pairs, slices, 1, 16);
        shard(pairs, (slices + 7) / 8, 8, 16);
    }
    return 0;
}
