/*
 * The system file: genesis of a whole system (spec/system.md 7.3, rules S-20 to S-33).
 *
 * Canonical JSON (S-2) that carries its own id: system_id = the first 16 bytes of SHA-256(0x0E | binary form). Loading checks everything: form,
 * ranges, every key and proof of possession, that no key or name comes twice, the id, and that re-encoding gives the same bytes. A file with one
 * flipped bit is refused with a text that names the field, or line and column.
 *
 * Memory: system_load() and system_parse() make a `struct system` that owns all it points at, until system_free(); it is never written after that, so
 * threads may share it. About 500 bytes per node, 400 per client, 260 per right. A struct that a tool assembles itself points at the tool's own
 * arrays and is not for system_free().
 *
 * Addresses are not part of it: see protocol/addresses.h.
 */
#ifndef PROTOCOL_SYSTEM_H
#define PROTOCOL_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/card.h"
#include "protocol/config.h"
#include "protocol/system_error.h"
#include "protocol/system_limits.h"

enum {
    SYSTEM_FORMAT = 1,
    SYSTEM_NAME_BYTES_MAX = 32, /* as card names */
    SYSTEM_CLUSTERS_MAX = 256,  /* of each sort */
    SYSTEM_CLIENTS_MAX = 4096,  /* in the file; more by enrolment operations */
    SYSTEM_RIGHTS_MAX = 16,     /* rules per client */
    SYSTEM_RIGHT_PREFIX_MAX = 256,
    SYSTEM_FILE_BYTES_MAX = 32 * 1024 * 1024
};

enum { SYSTEM_RIGHT_READ = 1, SYSTEM_RIGHT_WRITE = 2 };

/* One rule: keys that begin with the prefix may be read, written, both. The empty prefix is every key. */
struct system_right {
    uint8_t flags; /* 1 to 3 */
    uint16_t prefix_bytes;
    uint8_t prefix[SYSTEM_RIGHT_PREFIX_MAX];
};

/* A client as enrolled; `rights` ascend by prefix bytes (the shorter first), none twice. */
struct system_client {
    struct card card; /* card.id is the client_id */
    uint32_t quota_per_second; /* operations a second, at each coordinator cluster; 0: no quota */
    uint32_t quota_burst;      /* operations saved up at most; 1 to 2^32-1, 0 iff quota_per_second is 0 */
    uint32_t rights_count; /* 0 to SYSTEM_RIGHTS_MAX */
    const struct system_right *rights;
};

struct system_cluster {
    uint32_t cluster; /* C-6 */
    uint32_t nodes_count; /* 4 to 16 */
    const struct card *nodes; /* in member order at genesis; card.id is the node_id */
    uint64_t origin_height; /* successors: the certified height and state root that this cluster starts from; zero in a first system */
    uint8_t origin_root[32];
};

struct system {
    char name[SYSTEM_NAME_BYTES_MAX + 1];
    uint8_t system_id[16];
    uint8_t file_hash[32]; /* SHA-256(0x0E | binary form), whole: genesis predecessor of enrolment operations */
    uint8_t predecessor_id[16]; /* zero in a first system */
    uint16_t succession; /* 0 for a first system */
    uint32_t protocol_version;
    uint8_t partition_key[16];
    struct system_limits limits;
    struct system_timeouts timeouts;
    uint32_t admins_needed, admins_count; /* k of m */
    const struct card *admins; /* ascending by signing key */
    uint32_t coordinators_count, shards_count;
    const struct system_cluster *clusters; /* coordinators in index order, then shards: coordinators_count + shards_count of them */
    uint32_t clients_count;
    const struct system_client *clients; /* ascending by client_id */
};

/* Reads and checks a file. On success *out is the caller's (system_free). The fault text begins with the path. */
enum system_error system_load(struct system **out, const char *path, struct system_fault *fault) __attribute__((warn_unused_result));
/* The same from bytes. */
enum system_error system_parse(struct system **out, const char *text, size_t text_bytes, struct system_fault *fault)
    __attribute__((warn_unused_result));
void system_free(struct system *system); /* NULL is fine */

/* Canonical JSON text with its id; malloc'd, the caller frees; NULL only without memory. */
char *system_encode_json(const struct system *system, size_t *text_bytes);
/* The binary form that the id hashes; malloc'd. */
uint8_t *system_encode_binary(const struct system *system, size_t *bytes);
/* Sets system_id and file_hash. False only without memory. */
bool system_identify(struct system *system);
/* Every rule of S-20 to S-33 on an assembled system but re-encoding. `verify_cards` false leaves keys and proofs unchecked (they were checked when
 * the cards were loaded). */
enum system_error system_check(const struct system *system, bool verify_cards, struct system_fault *fault) __attribute__((warn_unused_result));

/* Lookups. NULL or false when there is none. A linear or binary search over what the file holds: for set-up, not for a hot path. */
const struct system_cluster *system_cluster_by_id(const struct system *system, uint32_t cluster);
const struct card *system_node_by_noise_key(const struct system *system, const uint8_t key[32], uint32_t *cluster, uint32_t *member);
const struct card *system_node_by_signing_key(const struct system *system, const uint8_t key[32], uint32_t *cluster, uint32_t *member);
const struct card *system_node_by_id(const struct system *system, const uint8_t node_id[32], uint32_t *cluster, uint32_t *member);
const struct card *system_node_by_name(const struct system *system, const char *name, uint32_t *cluster, uint32_t *member);
const struct system_client *system_client_by_id(const struct system *system, const uint8_t client_id[32]);
const struct system_client *system_client_by_noise_key(const struct system *system, const uint8_t key[32]);

/* The genesis CONFIG (serial 0) of a cluster of this system, and its config_hash. False: no such cluster. */
bool system_config(const struct system *system, uint32_t cluster, struct config *config);
bool system_config_hash(const struct system *system, uint32_t cluster, uint8_t out[32]);

/* True iff some rule with a prefix of the key grants all of `flags` (S-31: the union of the flags of all rules whose prefix matches). */
bool system_rights_allow(const struct system_right *rights, uint32_t rights_count, uint8_t flags, const uint8_t *key, size_t key_bytes);

/* First block height of this system, C-8: succession << 48. */
static inline uint64_t system_genesis_height(const struct system *system) { return (uint64_t)system->succession << 48; }

#endif
