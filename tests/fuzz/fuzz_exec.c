/*
 * Hostile inputs into live executors of both roles: certified slices with any bytes, batches, administrative operations. Nothing may crash; what
 * was executed
 * once gives the same again; what is rolled back leaves the state as it was.
 *
 * Of an operation the bits above the low 2 say: 1 a slice without leaf and bytes, 2 a batch, 3 an operation, without bytes but not without a length.
 *
 *   byte 0      role: even coordinator, odd shard
 *   then pieces, each: u8 what (low 2 bits: 0, 3 slice; 1 batch; 2 operation; above them, of a batch: 1 bit write, 1 bit two parts, 2 bits client),
 *   u8 relay,
 *   u16 length, bytes
 *
 * A slice's bytes are taken as they are. A batch's bytes are what follows its first 64; its head is made to fit, since mere luck would seldom get
 * past it.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/leaf.h"
#include "tests/appliance/exec_world.h"

enum { PIECES_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world *world;
static uint64_t ticket = 1000;

/* Requests on their way at the coordinator, some answered by half; records, values and a pending answer at the shard. */
static void world_make(void) {
    world = world_create(1, 1);
    struct operation ops[] = {op_put("a", "1"), op_add("n", 5), op_get("a", 10)};
    struct world_part part = {.kind = BATCH_WRITE, .op_count = 3, .ops = ops, .floor = 1};
    for (part.number = 1; part.number < 20; part.number++) world_ask(world, &part);
    for (uint32_t i = 0; i < 3; i++, part.number++) {
        world_send(world, 0, (uint8_t)i, &part, NULL);
        world_block(world, world_coordinator(world, 0), 1);
        world_block(world, world_coordinator(world, 0), 20);
    }
    world_block(world, world_shard(world, 0), 1);
    world_consumed(world_coordinator(world, 0));
    world_consumed(world_shard(world, 0));
}

static uint8_t *batch_make(uint8_t what, const uint8_t *bytes, uint32_t count, uint32_t *batch_bytes) {
    *batch_bytes = 64 + count;
    uint8_t *batch = calloc(1, *batch_bytes);
    CHECK(batch);
    batch[0] = 1;
    batch[1] = 1 + (what >> 2) % 2;
    batch[2] = 1 + (what >> 3) % 2;
    bytes_put_le32(batch + 4, *batch_bytes);
    memcpy(batch + 8, world->clients[(what >> 4) % WORLD_CLIENTS].card.id, 32);
    if (count > 0) memcpy(batch + 64, bytes, count);
    return batch;
}

/* What a block that lies about the kind of an input could make of it: nothing is where something ought to be. */
static struct exec_ref piece_empty(const struct world_cluster *cluster, uint8_t what, uint8_t relay, uint16_t count) {
    static const uint8_t zeros[32];
    struct exec_pair pair;
    executor_pair_at(cluster->ex, 0, false, &pair);
    struct exec_ref ref = {.kind = (what >> 2) % 4, .relay = relay % 5, .hash = zeros, .byte_count = count};
    if (ref.kind == 1) {
        ref.source = pair.cluster;
        ref.dseq = pair.consumed_dseq + 1;
    }
    return ref;
}

static struct exec_ref piece_make(const struct world_cluster *cluster, uint8_t what, uint8_t relay, const uint8_t *bytes, uint16_t count) {
    static const uint8_t zeros[32];
    if (what % 4 == 2 && (what >> 2) % 4 != 0) return piece_empty(cluster, what, relay, count);
    struct exec_ref ref = {.kind = 3, .relay = relay % 5, .hash = zeros, .bytes = bytes, .byte_count = count};
    if (what % 4 == 1) {
        ref.kind = 2;
        ref.bytes = batch_make(what, bytes, count, &ref.byte_count);
    }
    return ref;
}

/* A chain of forged slices: each names the one before it. */
static void slice_make(struct world_cluster *cluster, const uint8_t *bytes, uint32_t count) {
    uint8_t padded[SLICE_HEAD_BYTES] = {0};
    if (count < SLICE_HEAD_BYTES) { /* D-9: a leaf's slice has 16 bytes at least */
        memcpy(padded, bytes, count);
        bytes = padded;
        count = SLICE_HEAD_BYTES;
    }
    struct exec_pair pair;
    executor_pair_at(cluster->ex, 0, false, &pair);
    struct world_message *m = world_forge(world, cluster, pair.cluster, bytes, count);
    if (cluster->inbox_count < 2) return;
    const struct world_message *before = &cluster->inbox[cluster->inbox_count - 2];
    struct leaf leaf;
    CHECK(leaf_decode(m->leaf, &leaf));
    leaf.dseq = m->dseq = before->dseq + 1;
    memcpy(leaf.previous, before->hash, 32);
    leaf_encode(&leaf, m->leaf);
    leaf_hash(m->leaf, m->hash);
}

static enum exec_status execute(struct world_cluster *cluster, const struct exec_ref *refs, uint32_t count, struct exec_result *result,
    uint8_t root[32]) {
    struct exec_block block = {.ticket = ++ticket, .parent = cluster->ticket, .height = cluster->height + 1, .time = cluster->time + 20, .refs = refs,
                               .ref_count = count};
    enum exec_status status = executor_execute(cluster->ex, &block, result);
    executor_state_root(cluster->ex, root);
    CHECK(executor_rollback(cluster->ex, cluster->ticket) == EXEC_VALID);
    uint8_t again[32];
    executor_state_root(cluster->ex, again);
    CHECK(memcmp(again, cluster->root, 32) == 0);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!world) world_make();
    if (size < 1) return 0;
    struct world_cluster *cluster = data[0] % 2 ? world_shard(world, 0) : world_coordinator(world, 0);
    struct exec_ref others[PIECES_MAX], refs[2 * WORLD_INBOX_MAX];
    uint32_t other_count = 0;
    size_t at = 1;
    for (uint32_t i = 0; i < PIECES_MAX && size - at >= 4; i++) {
        uint8_t what = data[at], relay = data[at + 1];
        uint16_t count = bytes_get_le16(data + at + 2);
        at += 4;
        if (count > size - at) count = (uint16_t)(size - at);
        if (what % 4 == 0 || what % 4 == 3) slice_make(cluster, data + at, count);
        else others[other_count++] = piece_make(cluster, what, relay, data + at, count);
        at += count;
    }
    uint32_t count = world_refs(cluster, refs);
    memcpy(refs + count, others, other_count * sizeof *others);
    struct exec_result first, second;
    uint8_t root_first[32], root_second[32];
    enum exec_status status = execute(cluster, refs, count + other_count, &first, root_first);
    CHECK(status == execute(cluster, refs, count + other_count, &second, root_second));
    CHECK(status != EXEC_CORRUPT && status != EXEC_NO_ROOM && memcmp(root_first, root_second, 32) == 0);
    if (status == EXEC_VALID) CHECK(memcmp(first.outbox_root, second.outbox_root, 32) == 0 &&
            memcmp(first.cursors_hash, second.cursors_hash, 32) == 0);
    world_consumed(cluster);
    for (uint32_t i = 0; i < other_count; i++)
        if (others[i].kind == 2) free((void *)(uintptr_t)others[i].bytes);
    return 0;
}
