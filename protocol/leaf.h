/*
 * The kinds of outbox leaf, 112 bytes each (spec/decisions.md D-9, D-10), and the one that has no slice: the state leaf (D-35).
 */
#ifndef PROTOCOL_LEAF_H
#define PROTOCOL_LEAF_H

#include <stdbool.h>
#include <stdint.h>

#include "merkle/bytes.h"

enum { LEAF_BYTES = 112, LEAF_SLICE_BYTES_MAX = 64 * 1024 * 1024, LEAF_ITEMS_MAX = 1 << 24 };
enum { LEAF_KIND_CLUSTER = 1, LEAF_KIND_CLIENT = 2, LEAF_KIND_STATE = 3 };

struct leaf {
    uint8_t kind;
    uint32_t source;
    uint32_t destination; /* LEAF_KIND_CLUSTER */
    uint32_t item_count;  /* LEAF_KIND_CLIENT */
    uint8_t system_id[16];
    uint64_t height;
    uint64_t dseq;          /* LEAF_KIND_CLUSTER */
    uint64_t time;          /* LEAF_KIND_CLIENT */
    uint8_t previous[32];   /* LEAF_KIND_CLUSTER */
    uint8_t client_id[32];  /* LEAF_KIND_CLIENT */
    uint32_t slice_bytes;
    uint8_t slice_hash[32]; /* LEAF_KIND_CLIENT: items_root */
};

/* All fields of the kind in range (those of the other kind are zero); false: invalid. */
bool leaf_decode(const uint8_t bytes[LEAF_BYTES], struct leaf *leaf) __attribute__((warn_unused_result));
void leaf_encode(const struct leaf *leaf, uint8_t out[LEAF_BYTES]);
/* The state leaf: of SEAL's block, the state root after it. No compact decision has one: leaf_decode() refuses it. */
void leaf_state_encode(const uint8_t system_id[16], uint32_t source, uint64_t height, const uint8_t state_root[32], uint8_t out[LEAF_BYTES]);
/* Leaf hash: SHA-256(0x00, leaf). */
void leaf_hash(const uint8_t bytes[LEAF_BYTES], uint8_t out[32]);

#endif
