/*
 * Slices: what one cluster sends another, and a coordinator cluster a client (spec/decisions.md D-8, D-13 to D-16; spec/operations.md O-22 to O-25).
 *
 * Contract
 *   Readers point into the source, which must outlive the structs. Nothing here judges more than the encoding; what execution makes of a malformed
 *   item is D-15's.
 */
#ifndef PROTOCOL_SLICE_H
#define PROTOCOL_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "merkle/bytes.h"
#include "merkle/sha256.h"
#include "merkle/tree.h"

enum {
    SLICE_HEAD_BYTES = 16,
    SLICE_ITEM_HEAD_BYTES = 8,
    SLICE_READ = 1,
    SLICE_WRITE = 2,
    SLICE_ANSWER = 3,
    SLICE_CONFIG = 4,
    SLICE_REVOKE = 5,
    SLICE_READ_HEAD_BYTES = 8,
    SLICE_WRITE_HEAD_BYTES = 88,
    SLICE_ANSWER_HEAD_BYTES = 16,
    SLICE_PART_HEAD_BYTES = 24,
    ROUTING_BYTES = 76,
    CLIENT_ITEM_HEAD_BYTES = 64,
    CLIENT_ITEM_PART = 1,
    CLIENT_ITEM_OPERATION = 2,
    SLICE_LONG_BYTES = 512, /* D-36: results, and values in results, from here on enter hashes by one of their own */
    SLICE_LONG_MEAN_BYTES = 256, /* an operation: results of so many, values are looked for in them */
};

/* D-13. */
struct slice {
    uint32_t item_count;
    uint64_t ack;
    const uint8_t *items;
    size_t items_bytes;
};

struct slice_item {
    uint8_t kind; /* SLICE_..., or any other byte: unknown; 0 if the three zero bytes are not zero */
    uint32_t body_bytes;
    const uint8_t *body;
    const uint8_t *whole; /* head and body, as they enter a pending hash */
};

/* False: the envelope does not parse; D-15 takes it as no items, ack 0. */
bool slice_decode(const uint8_t *bytes, size_t bytes_count, struct slice *slice) __attribute__((warn_unused_result));
void slice_head_encode(uint8_t out[SLICE_HEAD_BYTES], uint32_t item_count, uint64_t ack);
void slice_item_head_encode(uint8_t out[SLICE_ITEM_HEAD_BYTES], uint32_t body_bytes, uint8_t kind);
/* size_t at = 0; uint32_t index = 0; while (slice_item_next(&slice, &at, &index, &item)) ...   Stops at a head that runs past the end. */
bool slice_item_next(const struct slice *slice, size_t *at, uint32_t *index, struct slice_item *item);
/* Whether the envelope parses and its items fill it exactly: no honest member signs for another. */
bool slice_well_formed(const uint8_t *bytes, size_t bytes_count) __attribute__((warn_unused_result));

/* D-36. The results hash of the results of one part answer with so many operations. */
void slice_results_hash(const uint8_t *results, size_t results_bytes, uint32_t op_count, uint8_t out[32]);

/* Hashes of long pieces of a slice, results or values, in the order of their places. `list` is the caller's; NULL: there is none. */
struct slice_long {
    uint32_t at; /* where the piece begins, from the slice's first byte */
    uint8_t hash[32];
};
struct slice_longs {
    struct slice_long *list;
    uint32_t room; /* slice_longs_max() is enough; what comes when it is full is not noted */
    uint32_t count;
};
static inline uint32_t slice_longs_max(size_t slice_bytes) {
    return (uint32_t)(slice_bytes / (SLICE_PART_HEAD_BYTES + SLICE_LONG_BYTES));
}

/* items_hash of items that come bit by bit; a plain value, a copy goes on by itself. All but the last bytes that are added are whole items. */
struct slice_items_hash {
    struct sha256_state state;
    uint64_t bytes;
};
void slice_items_hash_init(struct slice_items_hash *hash);
/* Results that were hashed are noted in `longs`; NULL: they are not. */
void slice_items_hash_add(struct slice_items_hash *hash, const uint8_t *items, size_t items_bytes, struct slice_longs *longs);
/* The same; hashes of values in these items that the caller knows are in `values` (NULL: none), and taken from there; others are made. Returns how
 * many were taken. */
uint32_t slice_items_hash_add_known(struct slice_items_hash *hash, const uint8_t *items, size_t items_bytes, const struct slice_longs *values);
void slice_items_hash_final(const struct slice_items_hash *hash, uint8_t out[32]);

/* D-9: of a slice whose items' hash is known: its first 16 bytes. */
void slice_hash_of_items(const uint8_t head[SLICE_HEAD_BYTES], const uint8_t items_hash[32], uint8_t out[32]);
/* The same of a whole one. longs may be NULL. */
void slice_hash(const uint8_t *bytes, size_t bytes_count, uint8_t out[32]);
void slice_hash_noting(const uint8_t *bytes, size_t bytes_count, struct slice_longs *longs, uint8_t out[32]);

/* O-22. */
struct slice_request {
    bool write;
    const uint8_t *client_id;   /* write */
    uint64_t number;            /* write */
    uint64_t floor;             /* write */
    const uint8_t *part_digest; /* write */
    uint8_t flags;              /* write */
    uint32_t op_count;
    const uint8_t *ops;
    size_t ops_bytes;
};
/* Decodes the body of a READ or WRITE item, every operation included (count, kinds and lengths fit, 1 <= op_count, floor and number as in O-20). */
bool slice_request_decode(const struct slice_item *item, struct slice_request *request) __attribute__((warn_unused_result));
void slice_read_head_encode(uint8_t out[SLICE_READ_HEAD_BYTES], uint32_t op_count);
void slice_write_head_encode(uint8_t out[SLICE_WRITE_HEAD_BYTES], const uint8_t client_id[32], uint64_t number, uint64_t floor,
                             const uint8_t part_digest[32], uint8_t flags, uint32_t op_count);

/* O-24. */
struct slice_answer {
    uint64_t request_dseq;
    uint32_t part_count;
    const uint8_t *parts;
    size_t parts_bytes;
};
struct slice_part {
    uint8_t code;
    uint32_t op_count;
    uint64_t height;
    uint32_t index;
    const uint8_t *results;
    uint32_t results_bytes;
};
/* Decodes an ANSWER body and checks that its parts fill it exactly; results are not looked at. */
bool slice_answer_decode(const struct slice_item *item, struct slice_answer *answer) __attribute__((warn_unused_result));
/* size_t at = 0; while (slice_part_next(&answer, &at, &part)) ... */
bool slice_part_next(const struct slice_answer *answer, size_t *at, struct slice_part *part);
void slice_answer_head_encode(uint8_t out[SLICE_ANSWER_HEAD_BYTES], uint64_t request_dseq, uint32_t part_count);
void slice_part_head_encode(uint8_t out[SLICE_PART_HEAD_BYTES], const struct slice_part *part);

/* D-8. */
struct routing {
    uint8_t client_id[32];
    uint8_t part_digest[32];
    uint8_t relay;
    uint8_t flags;
    uint32_t op_count;
    uint32_t reserved_bytes;
};
void routing_encode(const struct routing *routing, uint8_t out[ROUTING_BYTES]);
void routing_decode(const uint8_t bytes[ROUTING_BYTES], struct routing *routing);
/* SHA-256(0x10, list). */
void routing_hash(const uint8_t *list, size_t list_bytes, uint8_t out[32]);

/* O-25. */
struct client_item {
    uint8_t kind;
    uint8_t code;
    uint32_t shard;
    const uint8_t *part_digest;
    uint64_t height;
    uint32_t index;
    uint32_t first_op;
    uint32_t op_count;
    const uint8_t *results;
    uint32_t results_bytes;
    const uint8_t *whole;
    uint32_t whole_bytes;
};
bool slice_client_item_decode(const uint8_t *bytes, size_t bytes_count, struct client_item *item) __attribute__((warn_unused_result));
/* The 64 bytes before the results. */
void slice_client_item_head_encode(uint8_t out[CLIENT_ITEM_HEAD_BYTES], const struct client_item *item);

/* D-16: is an item with such results hashed with their hash in their place? */
static inline bool slice_client_condensed(uint8_t kind, size_t results_bytes) {
    return kind == CLIENT_ITEM_PART && results_bytes >= SLICE_LONG_BYTES;
}
/* Leaf hash of a condensed item. */
void slice_client_leaf_hash_condensed(const uint8_t head[CLIENT_ITEM_HEAD_BYTES], const uint8_t results_hash[32], tree_hash out);
/* Leaf hash of an item as it lies in a slice, condensed or not. False: results_bytes is not what follows the head. */
bool slice_client_item_hash(const uint8_t *item, size_t item_bytes, tree_hash out) __attribute__((warn_unused_result));
/* D-16: checks counts and lengths, gives the root of the items. False: does not parse. */
bool slice_client_root(const uint8_t *bytes, size_t bytes_count, uint32_t item_count, tree_hash out) __attribute__((warn_unused_result));
/* size_t at = 0; while (slice_client_next(bytes, bytes_count, &at, &item_bytes, &item_bytes_count)) ... of a slice that slice_client_root
 * accepted. */
bool slice_client_next(const uint8_t *bytes, size_t bytes_count, size_t *at, const uint8_t **item, size_t *item_bytes);

#endif
