/*
 * Client batches (spec/operations.md O-20, O-21).
 *
 * Contract
 *   batch_decode() checks everything that O-20 lists, the operations' encodings included, and points into the source, which must outlive the struct.
 *   The signature is checked by batch_signature_valid(), apart, since it costs 60 us and is done once per batch_id.
 */
#ifndef PROTOCOL_BATCH_H
#define PROTOCOL_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bft/signer.h"
#include "merkle/bytes.h"
#include "protocol/operation.h"

enum {
    BATCH_HEAD_BYTES = 64,
    BATCH_PART_HEAD_BYTES = 32,
    BATCH_NONCE_BYTES = 16,
    BATCH_READ = 1,
    BATCH_WRITE = 2,
    PART_FLAG_ATOMIC = 1,
    PART_FLAG_RECEIPT = 2,
    BATCH_SIGNED_BYTES = 16 + 16 + 32, /* tag, system_id, batch_id */
    SHARD_CLUSTER_BASE = 0x00020000,   /* C-6 */
    COORDINATOR_CLUSTER_BASE = 0x00010000,
    CLUSTERS_OF_A_KIND_MAX = 4096,
};

/* The limits of the system that a batch is held against. */
struct batch_limits {
    uint32_t shards;
    uint32_t batch_bytes_max;
    uint32_t batch_parts_max;
    uint32_t batch_ops_max;
};

enum batch_error {
    BATCH_OK = 0,
    BATCH_TRUNCATED, /* lengths do not fit each other */
    BATCH_BAD_HEAD,  /* format, kind or a zero field */
    BATCH_TOO_LARGE, /* bytes, parts or operations beyond the limits */
    BATCH_BAD_PART,  /* shard, order, flags, number or floor */
    BATCH_BAD_OPERATION,
};

const char *batch_error_name(enum batch_error error);

struct batch_part {
    uint32_t shard; /* cluster number */
    uint8_t flags;
    uint64_t number;
    uint64_t floor;
    uint32_t op_count;
    uint32_t ops_bytes;
    const uint8_t *ops;
};

struct batch {
    uint8_t kind;
    uint16_t part_count;
    uint32_t bytes_count; /* whole, signature included */
    const uint8_t *bytes;
    const uint8_t *client_id;
    const uint8_t *nonce;
    const uint8_t *signature; /* NULL for BATCH_READ */
    uint32_t attempt;
    uint32_t op_count; /* of all parts */
};

enum batch_error batch_decode(const uint8_t *bytes, size_t bytes_count, const struct batch_limits *limits, struct batch *batch)
    __attribute__((warn_unused_result));

/* Iteration over the parts of a decoded batch:  size_t at = 0; struct batch_part part; while (batch_part_next(&batch, &at, &part)) ... */
bool batch_part_next(const struct batch *batch, size_t *at, struct batch_part *part);

/* batch_id, over the batch without its signature. */
void batch_id(const struct batch *batch, uint8_t out[32]);
void batch_signed_bytes(const uint8_t system_id[16], const uint8_t id[32], uint8_t out[BATCH_SIGNED_BYTES]);
/* Of a decoded write batch; a read batch has none and is valid. */
bool batch_signature_valid(const struct batch *batch, const uint8_t id[32], const uint8_t system_id[16], const uint8_t public_key[32],
                           const struct signer *signer) __attribute__((warn_unused_result));

/* O-21. `ops` must decode into op_count operations (batch_decode saw to that). */
void batch_part_digest(const uint8_t client_id[32], const uint8_t nonce[BATCH_NONCE_BYTES], const struct batch_part *part, uint8_t out[32]);
/* O-21 from the root of the operations (flag RECEIPT), as a receipt has it. */
void batch_part_digest_of_root(const uint8_t client_id[32], uint64_t number, const uint8_t nonce[BATCH_NONCE_BYTES], uint8_t flags, uint32_t op_count,
                               const uint8_t ops_root[32], uint8_t out[32]);

/* Writing: begin, then for each part part_begin, operations (operation_encode), part_end; then end. The writer's room is the caller's. */
struct batch_builder {
    struct bytes_writer *writer;
    size_t start;
    size_t part_start;
    uint16_t part_count;
};
void batch_build_begin(struct batch_builder *builder, struct bytes_writer *writer, uint8_t kind, const uint8_t client_id[32],
                       const uint8_t nonce[BATCH_NONCE_BYTES], uint32_t attempt);
void batch_build_part_begin(struct batch_builder *builder, uint32_t shard, uint8_t flags, uint64_t number, uint64_t floor);
void batch_build_part_end(struct batch_builder *builder, uint32_t op_count);
/* Ends the batch and, for a write batch, signs it. False if the writer overflowed. */
bool batch_build_end(struct batch_builder *builder, const uint8_t system_id[16], const struct signer *signer) __attribute__((warn_unused_result));

#endif
