/*
 * guard PATH COUNT: goes COUNT times along one hot path of the product, with everything else as it is, and prints `units N`: how often the unit of
 * which tests/guard/budgets speaks was done. tests/guard/test_budgets runs it in valgrind with two counts; their difference is what the unit costs,
 * without what comes before and after. Everything is from fixed seeds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bft/certificate.h"
#include "bft/ed25519_keys.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "tests/appliance/replica_world.h"
#include "tests/client/fake.h"
#include "tests/protocol/decided.h"
#include "tests/ring/support.h"

enum { MIB = 1 << 20, FRAME_BYTES = 100000, KEYS = 20000, BATCH_OPS = 128, ANSWER_REQUESTS = 8, WAIT_MS = 60000 };

/* ---- a certificate of three votes ---- */

static unsigned long certificate(unsigned count, bool tables) {
    static struct decider decider;
    struct bft_certificate certified;
    struct decided_how how = {.signers = 0};
    uint8_t root[32] = {1};
    decider_init(&decider, 1, SHARD_CLUSTER_BASE, 4);
    struct signer_often often = {.keys = calloc(1, ed25519_keys_bytes(1))};
    CHECK(often.keys != NULL);
    ed25519_keys_init(often.keys, 1);
    struct signer signer = tables ? signer_ed25519_often(&often) : signer_ed25519(NULL);
    decided_certificate(&decider, &how, root, &certified, NULL);
    for (unsigned i = 0; i < count; i++) CHECK(bft_certificate_verify(&decider.members, &signer, &certified, NULL, NULL) == BFT_VERIFY_OK);
    free(often.keys);
    return count;
}

/* ---- a MiB hashed ---- */

static unsigned long hash(unsigned count) {
    uint8_t *bytes = calloc(1, MIB), out[32];
    CHECK(bytes != NULL);
    for (unsigned i = 0; i < count; i++) {
        bytes[0] = (uint8_t)i;
        sha256_hash(bytes, MIB, out);
    }
    free(bytes);
    return count;
}

/* ---- a frame of 100,000 bytes, sealed and opened ---- */

static unsigned long frame(unsigned count) {
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 7);
    uint8_t *bytes = calloc(1, FRAME_BYTES);
    CHECK(bytes != NULL);
    support_pair_begin(pair, RING_SUITE_AESGCM, 0, 9);
    support_settle(pair, 0);
    pair->responder.detach = true;
    struct iovec pieces[] = {{bytes, 200}, {bytes + 200, FRAME_BYTES - 200}};
    for (unsigned i = 0; i < count; i++) {
        CHECK(support_send(&pair->initiator, 0x0123, pieces, 2, SUPPORT_WIRE_ROOM) == LINK_SEND_OK);
        support_settle(pair, 0);
    }
    CHECK(pair->responder.frames == count);
    support_pair_free(pair);
    free(bytes);
    return count;
}

/* ---- decisions of whole nodes, with hardly anything in them ---- */

static unsigned long decisions_of(struct replica_world *rw) {
    unsigned long sum = 0;
    for (uint32_t node = 0; node < RW_NODES; node++) sum += rw_status(rw, node)->decisions;
    return sum;
}

/* Eight executors must fit into the address space that valgrind has. */
static void small(struct world *small_world) {
    struct system_limits *limits = &small_world->system.limits;
    limits->batch_bytes_max = 131072;
    limits->batch_ops_max = 256;
    limits->slice_bytes_max = 1 << 20;
    limits->slice_ops_max = 1024;
    limits->block_input_bytes_max = 2 << 20;
    limits->credit_ops = 1024;
    limits->credit_bytes = 1 << 20;
    limits->clients_max = 16;
}

static unsigned long decision(unsigned count) {
    struct rw_script script;
    rw_script_begin(&script, rw_create_prepared(3, small));
    CHECK(rw_adds(&script, count));
    unsigned long units = decisions_of(script.rw);
    rw_destroy(script.rw);
    return units;
}

/* ---- operations, at the executors of coordinator and shard ---- */

static struct world *world;
static uint64_t random_state = 1, number;

static void block(struct world_cluster *cluster) {
    world_block(world, cluster, 20);
}

static void batch(bool write, uint64_t *load) {
    static struct operation list[BATCH_OPS];
    char key[33];
    for (uint32_t i = 0; i < BATCH_OPS; i++) {
        snprintf(key, sizeof key, "key-%028llu", (unsigned long long)(load != NULL ? (*load)++ : world_random(&random_state) % KEYS));
        list[i] = write ? op_put(key, "01234567890123456789012345678901") : op_get(key, 128);
    }
    struct world_part part = {.client = 0, .kind = write ? BATCH_WRITE : BATCH_READ, .op_count = BATCH_OPS, .ops = list};
    if (write) part.number = ++number, part.floor = number > 100 ? number - 100 : 1;
    world_send(world, 0, 0, &part, NULL);
}

static void answers_forget(void) {
    for (uint32_t i = 0; i < world->answer_count; i++) free(world->answers[i].bytes);
    world->answer_count = 0;
}

static unsigned long operations(bool write, unsigned count) {
    world = world_create(1, 1);
    for (uint64_t next = 0; next < KEYS;) {
        for (unsigned i = 0; i < 16; i++) batch(true, &next);
        world_settle(world);
        answers_forget();
    }
    for (unsigned i = 0; i < count; i++) {
        for (unsigned b = 0; b < 16; b++) batch(write, NULL);
        block(world_coordinator(world, 0));
        block(world_shard(world, 0));
        block(world_coordinator(world, 0));
        CHECK(world->answer_count > 0);
        answers_forget();
    }
    world_destroy(world);
    return (unsigned long)count * 16 * BATCH_OPS;
}

/* ---- answers, as the client verifies them: a request with so many operations, some times ---- */

static unsigned long answer(unsigned count) {
    struct fake *fake = fake_start(&(struct fake_options){0});
    struct heraclius *db = fake_open(fake, WAIT_MS);
    CHECK(fake_put(db, "key", "value", WAIT_MS) == HERACLIUS_DONE);
    for (unsigned i = 0; i < ANSWER_REQUESTS; i++) {
        struct heraclius_request *request = heraclius_request_new(db);
        CHECK(request != NULL);
        for (unsigned op = 0; op < count; op++) heraclius_get(request, "key", 3, 100, false);
        CHECK(heraclius_call(request, WAIT_MS) == HERACLIUS_DONE);
        CHECK(heraclius_result_at(request, count - 1)->value_bytes == 5);
        heraclius_request_free(request);
    }
    heraclius_close(db);
    fake_stop(fake);
    return (unsigned long)ANSWER_REQUESTS * count;
}

int main(int argc, char **argv) {
    unsigned count = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    unsigned long units = 0;
    if (count == 0) units = 0;
    else if (strcmp(argv[1], "certificate") == 0) units = certificate(count, false);
    else if (strcmp(argv[1], "tables") == 0) units = certificate(count, true);
    else if (strcmp(argv[1], "hash") == 0) units = hash(count);
    else if (strcmp(argv[1], "frame") == 0) units = frame(count);
    else if (strcmp(argv[1], "decision") == 0) units = decision(count);
    else if (strcmp(argv[1], "get") == 0) units = operations(false, count);
    else if (strcmp(argv[1], "put") == 0) units = operations(true, count);
    else if (strcmp(argv[1], "answer") == 0) units = answer(count);
    if (units == 0) {
        fprintf(stderr, "usage: guard certificate|tables|hash|frame|decision|get|put|answer COUNT\n");
        return 2;
    }
    printf("units %lu\n", units);
    return 0;
}
