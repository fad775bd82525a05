/* Lies about inputs: batches kept back and brought later, floods of them, one client's ignored, wrong references. */
#include <stdlib.h>
#include <string.h>

#include "ring/entropy.h"
#include "tests/liar/liar.h"

enum {
    INPUT_HEAD = 4,
    FLOOD_MS = 20,
    FLOOD_BURST_MS = 3000,
    FLOOD_BURST = 40,        /* batches of nearly 1 MiB: more than relay_bytes_max of 32 MiB at its default */
    FLOOD_OPS = 3600,
    FLOOD_KEY_BYTES = 256,
    FLOOD_GARBAGE_BYTES = 64,
    TINY_MS = 40,
    TINY_AT_ONCE = 1500,
};

static struct blob *input_of(struct liar *liar, const uint8_t *bytes, size_t count) {
    struct blob *blob = blob_make(INPUT_HEAD + count);
    memset(blob->bytes, 0, INPUT_HEAD);
    blob->bytes[0] = BODY_BATCH;
    blob->bytes[1] = liar->r->me;
    memcpy(blob->bytes + INPUT_HEAD, bytes, count);
    return blob;
}

static void send_to_all(struct liar *liar, struct blob *blob) {
    for (uint32_t member = 0; member < liar->r->members.n; member++) {
        if (member != liar->r->me) liar_send(liar, peer_member(member), MESSAGE_INPUT, blob_hold(blob));
    }
    blob_drop(blob);
}

static bool decode(struct liar *liar, const uint8_t *bytes, size_t count, struct batch *batch) {
    const struct system_limits *limits = &liar->r->config.limits;
    struct batch_limits most = {.shards = liar->r->system->shards_count,
                                .batch_bytes_max = limits->batch_bytes_max,
                                .batch_parts_max = limits->batch_parts_max,
                                .batch_ops_max = limits->batch_ops_max};
    return batch_decode(bytes, count, &most, batch) == BATCH_OK;
}

/* Is this batch the starved client's? A block that names it is another matter: who lacks it then only falls behind. */
static bool starved(struct liar *liar, const uint8_t *bytes, size_t count) {
    struct batch batch;
    uint8_t id[32];
    if (!decode(liar, bytes, count, &batch) || client_find(liar->r, batch.client_id) != strtoul(liar->option, NULL, 10)) return false;
    batch_id(&batch, id);
    uint32_t index = input_find(liar->r, id);
    return index == NONE || liar->r->inputs[index].state != INPUT_WANTED;
}

bool liar_frame_inputs(struct liar *liar, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)from;
    const uint8_t *bytes = blob_piece_bytes(&payload);
    struct batch batch;
    bool is_batch = type == MESSAGE_BATCH, is_input = type == MESSAGE_INPUT && payload.count > INPUT_HEAD && bytes[0] == BODY_BATCH;
    switch (liar->kind) {
    case LIAR_CENSOR:
        if (!is_batch && !is_input) return true;
        if (!starved(liar, is_batch ? bytes : bytes + INPUT_HEAD, is_batch ? payload.count : payload.count - INPUT_HEAD)) return true;
        liar_counted(liar);
        return false;
    case LIAR_KEEP:
        if (!is_batch || !decode(liar, bytes, payload.count, &batch) || batch.kind != BATCH_WRITE || liar->kept_count == LIAR_KEPT_MAX) return true;
        liar->kept[liar->kept_count++].blob = blob_copy(bytes, payload.count);
        return false;
    default: /* FLOOD keeps one signed batch to send it with a bad signature */
        if (is_batch && liar->kept_count == 0 && decode(liar, bytes, payload.count, &batch) && batch.kind == BATCH_WRITE)
            liar->kept[liar->kept_count++].blob = blob_copy(bytes, payload.count);
        return true;
    }
}

/* Now they come: to the others, and into the own pool, from which the liar proposes them when it leads. */
void liar_keep_tick(struct liar *liar) {
    for (; liar->kept_count > 0; liar->kept_count--) {
        struct blob *blob = liar->kept[liar->kept_count - 1].blob;
        uint32_t index;
        send_to_all(liar, input_of(liar, blob->bytes, blob->count));
        (void)input_take(liar->r, BODY_BATCH, liar->r->me, (struct blob_piece){.blob = blob, .count = blob->count}, peer_member(liar->r->me), &index);
        blob_drop(blob);
        liar_counted(liar);
    }
}

/* A read batch of somebody's: needs no signature, and each has a nonce of its own. */
static struct blob *flood_batch(struct liar *liar, uint32_t ops) {
    const size_t room = (size_t)ops * (OPERATION_HEAD_BYTES + FLOOD_KEY_BYTES + 8) + 256;
    struct blob *blob = blob_make(room);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, room);
    struct batch_builder builder;
    uint8_t nonce[BATCH_NONCE_BYTES], key[FLOOD_KEY_BYTES];
    ring_entropy_fill(nonce, sizeof nonce);
    memset(key, 'f', sizeof key);
    batch_build_begin(&builder, &writer, BATCH_READ, liar->r->clients[liar->turn % liar->r->client_count].id, nonce, 0);
    batch_build_part_begin(&builder, SHARD_CLUSTER_BASE, 0, 0, 0);
    for (uint32_t i = 0; i < ops; i++) {
        struct operation operation = {.opcode = OPERATION_GET, .key_bytes = FLOOD_KEY_BYTES, .a = 16, .key = key};
        bytes_put_le32(key, i);
        operation_encode(&writer, &operation);
    }
    batch_build_part_end(&builder, ops);
    CHECK(batch_build_end(&builder, liar->r->system->system_id, &liar->r->signer));
    blob->count = writer.used;
    return blob;
}

static void flood_garbage(struct liar *liar) {
    uint8_t garbage[FLOOD_GARBAGE_BYTES];
    ring_entropy_fill(garbage, sizeof garbage);
    send_to_all(liar, input_of(liar, garbage, sizeof garbage));
    liar_counted(liar);
    if (liar->kept_count == 0) return;
    struct blob *bad = input_of(liar, liar->kept[0].blob->bytes, liar->kept[0].blob->count);
    bad->bytes[INPUT_HEAD + 40 + liar->turn % BATCH_NONCE_BYTES] ^= (uint8_t)(1 + liar->turn % 255); /* another nonce, the old signature */
    send_to_all(liar, bad);
    liar_counted(liar);
}

void liar_flood_tick(struct liar *liar) {
    if (!liar->r->is_coordinator || liar->now_ms - liar->flooded_ms < FLOOD_MS) return;
    liar->flooded_ms = liar->now_ms;
    liar->turn++;
    flood_garbage(liar);
    if (liar->now_ms - liar->burst_ms < FLOOD_BURST_MS) return;
    liar->burst_ms = liar->now_ms;
    for (uint32_t i = 0; i < FLOOD_BURST; i++) {
        struct blob *batch = flood_batch(liar, FLOOD_OPS);
        send_to_all(liar, input_of(liar, batch->bytes, batch->count));
        blob_drop(batch);
        liar_counted(liar);
    }
}

/* Each goes to one member alone, so that every one holds others; the liar itself keeps none, and answers no question for them. */
void liar_tiny_tick(struct liar *liar) {
    if (!liar->r->is_coordinator || liar->now_ms - liar->tiny_ms < TINY_MS) return;
    liar->tiny_ms = liar->now_ms;
    for (uint32_t i = 0; i < TINY_AT_ONCE; i++) {
        uint32_t to = (uint32_t)(liar->turn++ % liar->r->members.n);
        if (to == liar->r->me) continue;
        struct blob *batch = flood_batch(liar, 1);
        liar_send(liar, peer_member(to), MESSAGE_INPUT, input_of(liar, batch->bytes, batch->count));
        blob_drop(batch);
        liar_counted(liar);
    }
}

/* The body goes out as it is now: the first reference lies. */
void liar_references(struct liar *liar, struct execution_job *job) {
    if (job != liar->r->proposing || job->status != EXEC_VALID || job->block.ref_count == 0) return;
    uint8_t *at = liar->r->proposing_body->bytes + BODY_HEAD_BYTES;
    struct body_reference reference;
    CHECK(body_reference_decode(at, &reference));
    if (reference.kind == BODY_SLICE) {
        reference = (struct body_reference){.kind = BODY_BATCH};
    } else if (liar->turn++ % 2 == 0) {
        reference = (struct body_reference){.kind = BODY_SLICE, .source = SHARD_CLUSTER_BASE, .dseq = 1};
    } else {
        reference.relay = UINT8_MAX;
    }
    memcpy(reference.hash, at + 16, sizeof reference.hash);
    body_reference_encode(&reference, at);
    liar_counted(liar);
}
