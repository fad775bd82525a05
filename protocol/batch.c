#include "protocol/batch.h"

#include <string.h>

#include "merkle/check.h"
#include "merkle/sha256.h"
#include "merkle/tree.h"

const char *batch_error_name(enum batch_error error) {
    switch (error) {
    case BATCH_OK: return "ok";
    case BATCH_TRUNCATED: return "truncated";
    case BATCH_BAD_HEAD: return "bad_head";
    case BATCH_TOO_LARGE: return "too_large";
    case BATCH_BAD_PART: return "bad_part";
    case BATCH_BAD_OPERATION: return "bad_operation";
    }
    return "unknown";
}

static void part_head_read(const uint8_t *at, struct batch_part *part) {
    part->shard = bytes_get_le32(at);
    part->flags = at[4];
    part->number = bytes_get_le64(at + 8);
    part->floor = bytes_get_le64(at + 16);
    part->op_count = bytes_get_le32(at + 24);
    part->ops_bytes = bytes_get_le32(at + 28);
    part->ops = at + BATCH_PART_HEAD_BYTES;
}

static bool part_head_valid(const uint8_t *at, const struct batch_part *part, uint8_t kind, uint32_t shards, uint32_t previous_shard) {
    if (part->shard < SHARD_CLUSTER_BASE || part->shard - SHARD_CLUSTER_BASE >= shards || part->shard <= previous_shard) return false;
    if (part->flags & ~(PART_FLAG_ATOMIC | PART_FLAG_RECEIPT) || at[5] || at[6] || at[7]) return false;
    if (kind == BATCH_READ) return part->number == 0 && part->floor == 0;
    return part->number >= 1 && part->floor >= 1 && part->floor <= part->number;
}

/* Every operation decodes, kinds fit the batch's: reads only, or at least one write; CANCEL stands alone. */
static bool operations_valid(const struct batch_part *part, uint8_t kind) {
    struct bytes_cursor cursor = bytes_cursor_of(part->ops, part->ops_bytes);
    uint32_t writes = 0;
    for (uint32_t i = 0; i < part->op_count; i++) {
        struct operation operation;
        if (!operation_decode(&cursor, &operation)) return false;
        if (operation_is_write(operation.opcode)) writes++;
        if (operation.opcode == OPERATION_CANCEL && part->op_count != 1) return false;
    }
    return bytes_finished(&cursor) && (kind == BATCH_READ) == (writes == 0);
}

static enum batch_error part_decode(struct bytes_cursor *cursor, const struct batch *batch, const struct batch_limits *limits,
                                    uint32_t *previous_shard, uint32_t *op_count) {
    const uint8_t *head = bytes_get_raw(cursor, BATCH_PART_HEAD_BYTES);
    if (!head) return BATCH_TRUNCATED;
    struct batch_part part;
    part_head_read(head, &part);
    if (!part_head_valid(head, &part, batch->kind, limits->shards, *previous_shard)) return BATCH_BAD_PART;
    if (part.op_count == 0) return BATCH_BAD_PART;
    if (part.op_count > limits->batch_ops_max - *op_count) return BATCH_TOO_LARGE;
    if (!bytes_get_raw(cursor, part.ops_bytes)) return BATCH_TRUNCATED;
    if (!operations_valid(&part, batch->kind)) return BATCH_BAD_OPERATION;
    *previous_shard = part.shard;
    *op_count += part.op_count;
    return BATCH_OK;
}

enum batch_error batch_decode(const uint8_t *bytes, size_t bytes_count, const struct batch_limits *limits, struct batch *batch) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, bytes_count);
    const uint8_t *head = bytes_get_raw(&cursor, BATCH_HEAD_BYTES);
    if (!head) return BATCH_TRUNCATED;
    struct batch out = {.kind = head[1], .part_count = bytes_get_le16(head + 2), .bytes_count = bytes_get_le32(head + 4), .bytes = bytes};
    out.client_id = head + 8;
    out.nonce = head + 40;
    out.attempt = bytes_get_le32(head + 56);
    if (head[0] != 1 || bytes_get_le32(head + 60) != 0 || (out.kind != BATCH_READ && out.kind != BATCH_WRITE) || out.part_count == 0)
        return BATCH_BAD_HEAD;
    if (out.bytes_count != bytes_count) return BATCH_TRUNCATED;
    if (bytes_count > limits->batch_bytes_max || out.part_count > limits->batch_parts_max) return BATCH_TOO_LARGE;
    uint32_t previous_shard = 0;
    for (uint16_t i = 0; i < out.part_count; i++) {
        enum batch_error error = part_decode(&cursor, &out, limits, &previous_shard, &out.op_count);
        if (error != BATCH_OK) return error;
    }
    if (out.kind == BATCH_WRITE) out.signature = bytes_get_raw(&cursor, SIGNER_SIGNATURE_BYTES);
    if (!bytes_finished(&cursor)) return BATCH_TRUNCATED;
    *batch = out;
    return BATCH_OK;
}

bool batch_part_next(const struct batch *batch, size_t *at, struct batch_part *part) {
    if (*at == 0) *at = BATCH_HEAD_BYTES;
    size_t end = batch->bytes_count - (batch->kind == BATCH_WRITE ? (size_t)SIGNER_SIGNATURE_BYTES : 0);
    if (*at >= end) return false;
    part_head_read(batch->bytes + *at, part);
    *at += (size_t)BATCH_PART_HEAD_BYTES + part->ops_bytes;
    return true;
}

void batch_id(const struct batch *batch, uint8_t out[32]) {
    size_t hashed = batch->bytes_count - (batch->kind == BATCH_WRITE ? (size_t)SIGNER_SIGNATURE_BYTES : 0);
    SHA256_PREFIXED(out, HASH_BATCH, {batch->bytes, hashed});
}

void batch_signed_bytes(const uint8_t system_id[16], const uint8_t id[32], uint8_t out[BATCH_SIGNED_BYTES]) {
    memcpy(out, signer_tag_bytes(SIGNER_TAG_BATCH), SIGNER_TAG_BYTES);
    memcpy(out + 16, system_id, 16);
    memcpy(out + 32, id, 32);
}

bool batch_signature_valid(const struct batch *batch, const uint8_t id[32], const uint8_t system_id[16], const uint8_t public_key[32],
                           const struct signer *signer) {
    if (batch->kind == BATCH_READ) return true;
    uint8_t signed_bytes[BATCH_SIGNED_BYTES];
    batch_signed_bytes(system_id, id, signed_bytes);
    return signer->verify(signer->context, public_key, signed_bytes, sizeof signed_bytes, batch->signature);
}

/* O-21: the tail of the preimage is the operations' bytes, or their root. */
static void part_digest(const uint8_t client_id[32], uint64_t number, const uint8_t nonce[BATCH_NONCE_BYTES], uint8_t flags, uint32_t op_count,
                        const uint8_t *tail, size_t tail_bytes, uint8_t out[32]) {
    uint8_t head[32 + 8 + 16 + 1 + 4];
    memcpy(head, client_id, 32);
    bytes_put_le64(head + 32, number);
    memcpy(head + 40, nonce, 16);
    head[56] = flags;
    bytes_put_le32(head + 57, op_count);
    SHA256_PREFIXED(out, HASH_PART, {head, sizeof head}, {tail, tail_bytes});
}

void batch_part_digest_of_root(const uint8_t client_id[32], uint64_t number, const uint8_t nonce[BATCH_NONCE_BYTES], uint8_t flags, uint32_t op_count,
                               const uint8_t ops_root[32], uint8_t out[32]) {
    part_digest(client_id, number, nonce, flags, op_count, ops_root, 32, out);
}

void batch_part_digest(const uint8_t client_id[32], const uint8_t nonce[BATCH_NONCE_BYTES], const struct batch_part *part, uint8_t out[32]) {
    if (!(part->flags & PART_FLAG_RECEIPT)) {
        part_digest(client_id, part->number, nonce, part->flags, part->op_count, part->ops, part->ops_bytes, out);
        return;
    }
    struct bytes_cursor cursor = bytes_cursor_of(part->ops, part->ops_bytes);
    struct tree_builder builder;
    tree_builder_init(&builder);
    for (uint32_t i = 0; i < part->op_count; i++) {
        const uint8_t *start = cursor.at;
        struct operation operation;
        CHECK(operation_decode(&cursor, &operation));
        tree_hash hash;
        tree_leaf_hash(start, (size_t)(cursor.at - start), hash);
        tree_builder_add(&builder, hash);
    }
    tree_hash root;
    tree_builder_root(&builder, root);
    batch_part_digest_of_root(client_id, part->number, nonce, part->flags, part->op_count, root, out);
}

void batch_build_begin(struct batch_builder *builder, struct bytes_writer *writer, uint8_t kind, const uint8_t client_id[32],
                       const uint8_t nonce[BATCH_NONCE_BYTES], uint32_t attempt) {
    *builder = (struct batch_builder){.writer = writer, .start = writer->used};
    bytes_put_u8(writer, 1);
    bytes_put_u8(writer, kind);
    bytes_put_u16(writer, 0);
    bytes_put_u32(writer, 0);
    bytes_put_raw(writer, client_id, 32);
    bytes_put_raw(writer, nonce, BATCH_NONCE_BYTES);
    bytes_put_u32(writer, attempt);
    bytes_put_u32(writer, 0);
}

void batch_build_part_begin(struct batch_builder *builder, uint32_t shard, uint8_t flags, uint64_t number, uint64_t floor) {
    struct bytes_writer *writer = builder->writer;
    builder->part_start = writer->used;
    builder->part_count++;
    bytes_put_u32(writer, shard);
    bytes_put_u32(writer, flags);
    bytes_put_u64(writer, number);
    bytes_put_u64(writer, floor);
    bytes_put_u64(writer, 0); /* op_count, ops_bytes: batch_build_part_end */
}

void batch_build_part_end(struct batch_builder *builder, uint32_t op_count) {
    struct bytes_writer *writer = builder->writer;
    if (writer->failed) return;
    uint8_t *head = writer->base + builder->part_start;
    bytes_put_le32(head + 24, op_count);
    bytes_put_le32(head + 28, (uint32_t)(writer->used - builder->part_start - BATCH_PART_HEAD_BYTES));
}

bool batch_build_end(struct batch_builder *builder, const uint8_t system_id[16], const struct signer *signer) {
    struct bytes_writer *writer = builder->writer;
    if (writer->failed) return false;
    uint8_t *head = writer->base + builder->start;
    bool signing = head[1] == BATCH_WRITE;
    size_t unsigned_bytes = writer->used - builder->start;
    bytes_put_le16(head + 2, builder->part_count);
    bytes_put_le32(head + 4, (uint32_t)(unsigned_bytes + (signing ? (size_t)SIGNER_SIGNATURE_BYTES : 0)));
    if (!signing) return true;
    uint8_t *signature = bytes_put_space(writer, SIGNER_SIGNATURE_BYTES);
    if (!signature) return false;
    uint8_t id[32];
    SHA256_PREFIXED(id, HASH_BATCH, {head, unsigned_bytes});
    uint8_t signed_bytes[BATCH_SIGNED_BYTES];
    batch_signed_bytes(system_id, id, signed_bytes);
    signer->sign(signer->context, signed_bytes, sizeof signed_bytes, signature);
    return true;
}
