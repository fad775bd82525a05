/*
 * bench_exec: what execution alone costs, in one thread, without links, disks and signatures: nanoseconds per operation at coordinator (request,
 * answer) and
 * shard, for GET and PUT, by operations per batch. Prints one line per case; exit 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "merkle/check.h"
#include "tests/appliance/exec_world.h"

enum { KEYS = 400000, BATCHES = 64, OPS_MAX = 512, ROUNDS = 12 };

static struct world *world;
static uint64_t seed = 1;
static uint64_t numbers[WORLD_CLIENTS];

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void key_make(uint64_t i, char key[33]) {
    snprintf(key, 33, "key-%028llu", (unsigned long long)i);
}

static void batch_send(uint32_t client, bool write, uint32_t ops, bool load, uint64_t *next) {
    static struct operation list[OPS_MAX];
    char key[33];
    for (uint32_t i = 0; i < ops; i++) {
        key_make(load ? (*next)++ : world_random(&seed) % KEYS, key);
        list[i] = write ? op_put(key, "0123456789012345678901234567890123456789012345678901234567890123") : op_get(key, 128);
    }
    struct world_part part = {.client = client, .kind = write ? BATCH_WRITE : BATCH_READ, .op_count = ops, .ops = list};
    if (write) part.number = ++numbers[client], part.floor = part.number > 100 ? part.number - 100 : 1;
    world_send(world, 0, (uint8_t)(client % 4), &part, NULL);
}

static double block_ns(struct world_cluster *cluster) {
    static struct exec_ref refs[2 * WORLD_INBOX_MAX];
    struct exec_block block = {.ticket = cluster->ticket + 1, .parent = cluster->ticket, .height = cluster->height + 1, .time = cluster->time + 20};
    block.ref_count = world_refs(cluster, refs);
    block.refs = refs;
    double start = now_ns();
    CHECK(executor_execute(cluster->ex, &block, &cluster->result) == EXEC_VALID);
    executor_state_root(cluster->ex, cluster->root);
    double spent = now_ns() - start;
    cluster->ticket++;
    cluster->height++;
    cluster->time += 20;
    world_consumed(cluster);
    world_deliver(world, cluster, &cluster->result);
    world_block_release(cluster);
    return spent;
}

static void answers_forget(void) {
    for (uint32_t i = 0; i < world->answer_count; i++) free(world->answers[i].bytes);
    world->answer_count = 0;
}

static void measure(bool write, uint32_t ops) {
    double request = 0, execution = 0, answer = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < BATCHES; i++) batch_send(i % WORLD_CLIENTS, write, ops, false, NULL);
        double a = block_ns(world_coordinator(world, 0)), b = block_ns(world_shard(world, 0)), c = block_ns(world_coordinator(world, 0));
        if (round > 1) request += a, execution += b, answer += c; /* the first ones touch fresh pages */
        world_settle(world);
        answers_forget();
    }
    double all = (double)(ROUNDS - 2) * BATCHES * ops;
    printf("%s, %u operations a batch, %u batches a block: request %.0f, execution %.0f, answer %.0f ns per operation\n", write ? "PUT" : "GET", ops,
        BATCHES,
           request / all, execution / all, answer / all);
}

static long resident_kib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

int main(void) {
    world = malloc(sizeof *world);
    CHECK(world);
    world_system(world, 1, 1);
    long before = resident_kib();
    world_start(world);
    printf("two executors at genesis: %ld KiB resident more\n", resident_kib() - before);
    for (uint32_t i = 0; i < 2000; i++) world_block(world, &world->clusters[i % 2], 1);
    printf("after 2,000 empty blocks: %ld KiB\n", resident_kib() - before);
    for (uint64_t next = 0; next < KEYS;) {
        for (uint32_t i = 0; i < 16; i++) batch_send(i % WORLD_CLIENTS, true, OPS_MAX, true, &next);
        world_settle(world);
        answers_forget();
    }
    static const uint32_t sizes[] = {1, 16, 128, 512};
    for (uint32_t i = 0; i < 4; i++) measure(false, sizes[i]);
    for (uint32_t i = 0; i < 4; i++) measure(true, sizes[i]);
    printf("resident at the end: %ld KiB more, of which values and keys about %d KiB\n", resident_kib() - before, KEYS * (32 + 64) / 1024);
    world_destroy(world);
    return 0;
}
