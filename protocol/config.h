/*
 * CONFIG: what one cluster runs by in one epoch, as a Merkle tree of six leaves (spec/system.md 7.5, rules S-50 to S-63).
 *
 * `config_hash`, which every vote signs, is the RFC 9162 root of the leaves' bytes in the order of `enum config_leaf`. A proof of leaf 0 alone shows
 * the members, which is all that a receipt needs. Genesis is the CONFIG of serial 0, computed from the system file (protocol/system.h); each CONFIG
 * operation (protocol/admin_op.h) carries the next one whole. The epoch that a CONFIG begins has the CONFIG's serial as its number: epoch 0 is
 * genesis.
 *
 * The struct is flat, without pointers: it may be copied and compared byte by byte when it was zeroed first (every function here zeroes it).
 */
#ifndef PROTOCOL_CONFIG_H
#define PROTOCOL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/system_error.h"
#include "protocol/system_limits.h"

/* The newest protocol version that this program knows; it knows all from 1 on (spec/README.md, editions). A build that plays the next release is told
 * another one (tests/system/neighbours.py). */
#ifndef CONFIG_PROTOCOL_VERSION_NEWEST
#define CONFIG_PROTOCOL_VERSION_NEWEST 1
#endif

enum {
    CONFIG_MEMBERS_MIN = 4,
    CONFIG_MEMBERS_MAX = 16,
    CONFIG_ADMINS_MAX = 32,
    CONFIG_CLUSTER_COORDINATOR = 0x00010000, /* + index, index < 4096 */
    CONFIG_CLUSTER_SHARD = 0x00020000,
    CONFIG_CLUSTER_INDEX_MAX = 4095,
    CONFIG_PROTOCOL_VERSION = CONFIG_PROTOCOL_VERSION_NEWEST
};

/* Order of the leaves; the first byte of each leaf is this number plus one. */
enum config_leaf {
    CONFIG_LEAF_MEMBERS = 0,
    CONFIG_LEAF_ADMINS = 1,
    CONFIG_LEAF_LIMITS = 2,
    CONFIG_LEAF_TIMEOUTS = 3,
    CONFIG_LEAF_VERSION = 4,
    CONFIG_LEAF_SYSTEM = 5,
    CONFIG_LEAVES = 6
};

enum {
    CONFIG_MEMBERS_BYTES_MAX = 14 + 96 * CONFIG_MEMBERS_MAX,
    CONFIG_ADMINS_BYTES_MAX = 4 + 64 * CONFIG_ADMINS_MAX,
    CONFIG_LIMITS_BYTES = 3 + 8 * SYSTEM_LIMITS_COUNT,
    CONFIG_TIMEOUTS_BYTES = 3 + 8 * SYSTEM_TIMEOUTS_COUNT,
    CONFIG_VERSION_BYTES = 5,
    CONFIG_SYSTEM_BYTES = 39,
    CONFIG_LEAF_BYTES_MAX = CONFIG_ADMINS_BYTES_MAX,
    CONFIG_BYTES_MAX = CONFIG_MEMBERS_BYTES_MAX + CONFIG_ADMINS_BYTES_MAX + CONFIG_LIMITS_BYTES + CONFIG_TIMEOUTS_BYTES + CONFIG_VERSION_BYTES +
                       CONFIG_SYSTEM_BYTES + 4 * CONFIG_LEAVES,
    CONFIG_PROOF_HASHES_MAX = 3 /* of one leaf among six */
};

struct config_member {
    uint8_t node_id[32];
    uint8_t signing_key[32];
    uint8_t noise_key[32];
};

struct config_admin {
    uint8_t admin_id[32];
    uint8_t key[32];
};

/* Leaf 0 alone: what a verifier of certificates needs. */
struct config_members {
    uint32_t cluster;
    uint64_t serial; /* = epoch */
    uint32_t count;  /* n, 4 to 16 */
    struct config_member members[CONFIG_MEMBERS_MAX];
};

struct config {
    struct config_members members;
    uint32_t admins_needed; /* k > m / 2 */
    uint32_t admins_count;  /* m */
    struct config_admin admins[CONFIG_ADMINS_MAX]; /* ascending by key */
    struct system_limits limits;
    struct system_timeouts timeouts;
    uint32_t protocol_version;
    uint8_t system_id[16];
    uint8_t partition_key[16];
    uint16_t succession;
    uint16_t coordinators; /* clusters of each sort in the system */
    uint16_t shards;
};

static inline uint32_t config_faults(uint32_t count) { return (count - 1) / 3; }                   /* f */
static inline uint32_t config_quorum(uint32_t count) { return count - config_faults(count); }      /* q = n - f */
static inline bool config_cluster_is_shard(uint32_t cluster) { return cluster >> 16 == 2; }
static inline bool config_cluster_is_coordinator(uint32_t cluster) { return cluster >> 16 == 1; }
static inline uint32_t config_cluster_index(uint32_t cluster) { return cluster & 0xFFFF; }
static inline bool config_cluster_valid(uint32_t cluster) {
    return (cluster >> 16 == 1 || cluster >> 16 == 2) && (cluster & 0xFFFF) <= CONFIG_CLUSTER_INDEX_MAX;
}

/* Writes the bytes of one leaf; `out` has CONFIG_LEAF_BYTES_MAX bytes. Returns the size. */
size_t config_leaf_encode(const struct config *config, enum config_leaf leaf, uint8_t *out);

/* All leaves: per leaf u32 length, bytes. `out` has CONFIG_BYTES_MAX bytes. Returns the size. */
size_t config_encode(const struct config *config, uint8_t *out);
/* Strict inverse; checks all ranges and S-52 to S-58 (keys distinct, k > m/2, limits), but not points or proofs of keys. */
enum system_error config_decode(struct config *config, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* Leaf 0 alone. */
enum system_error config_members_decode(struct config_members *members, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* The rules that a decoded or assembled CONFIG obeys. */
enum system_error config_check(const struct config *config, struct system_fault *fault) __attribute__((warn_unused_result));

void config_hash(const struct config *config, uint8_t out[32]);
/* The inclusion proof of one leaf: up to 3 hashes, leaf first (RFC 9162 2.1.3). Returns how many. */
size_t config_leaf_prove(const struct config *config, enum config_leaf leaf, uint8_t proof[CONFIG_PROOF_HASHES_MAX][32]);
/* True iff the bytes are that leaf under config_hash. */
bool config_leaf_verify(const uint8_t config_hash[32], enum config_leaf leaf, const uint8_t *bytes, size_t count, const uint8_t (*proof)[32],
                        size_t proof_hashes);

/* Index of the member, or -1. */
int config_member_by_signing_key(const struct config_members *members, const uint8_t key[32]);
int config_member_by_noise_key(const struct config_members *members, const uint8_t key[32]);
int config_member_by_node_id(const struct config_members *members, const uint8_t node_id[32]);

/* What a successor CONFIG must keep and may change (S-60 to S-62), signatures and cards apart: same system leaf and cluster, serial one higher, at
 * most min(f before, f after) members added, removed or replaced. `changed` (may be NULL) counts them. */
enum system_error config_succeeds(const struct config *before, const struct config *after, uint32_t *changed, struct system_fault *fault)
    __attribute__((warn_unused_result));

#endif
