/*
 * A world for tests of the executor: the executors of a few clusters, wired by their slices, with invented keys and no signatures. Every block is
 * executed,
 * made final and released at once unless a test does it by hand. Failures are CHECKs: the world must not be wrong.
 */
#ifndef TESTS_APPLIANCE_EXEC_WORLD_H
#define TESTS_APPLIANCE_EXEC_WORLD_H

#include "appliance/exec/executor.h"
#include "protocol/batch.h"
#include "protocol/leaf.h"
#include "protocol/operation.h"
#include "protocol/slice.h"

enum {
    WORLD_CLIENTS = 4,
    WORLD_CLUSTERS_MAX = 4,
    WORLD_NODES = 4,
    WORLD_INBOX_MAX = 512,
    WORLD_ANSWERS_MAX = 65536,
    WORLD_OPS_MAX = 64,
};

/* A slice on its way, or a batch that waits. */
struct world_message {
    uint8_t leaf[LEAF_BYTES];
    uint8_t hash[32];
    uint32_t source;
    uint64_t dseq;
    uint8_t relay;
    uint8_t kind;  /* among batches: 0 a batch, 3 an administrative operation */
    uint8_t *bytes;
    uint32_t byte_count;
    struct slice_longs longs; /* of a slice that an executor made; every other block is told of them, the others hash them themselves */
};

struct world_cluster {
    struct executor *ex;
    uint32_t cluster;
    uint64_t height, time, ticket;
    struct world_message inbox[WORLD_INBOX_MAX]; /* slices */
    uint32_t inbox_count;
    struct world_message batches[WORLD_INBOX_MAX];
    uint32_t batch_count;
    void *spent[3 * WORLD_INBOX_MAX];            /* of the newest block's inputs: in them lie the results of its answers */
    uint32_t spent_count;
    struct exec_result result;                   /* of the newest block */
    uint8_t root[32];                            /* after it */
};

struct world_answer {
    uint32_t client;
    uint64_t height;          /* of the coordinator's block */
    struct client_item item;  /* points to bytes */
    uint8_t *bytes;
};

struct world {
    struct system system;
    struct system_cluster clusters_of_system[WORLD_CLUSTERS_MAX];
    struct card nodes[WORLD_CLUSTERS_MAX][WORLD_NODES];
    struct system_client clients[WORLD_CLIENTS];
    struct system_right rights[2];
    struct card admin;
    uint32_t coordinators, shards;
    struct world_cluster clusters[WORLD_CLUSTERS_MAX]; /* coordinators, then shards */
    struct world_answer answers[WORLD_ANSWERS_MAX];
    uint32_t answer_count;
    uint32_t nonce;
};

/* Tests that want other limits change them in here. */
void world_system(struct world *world, uint32_t coordinators, uint32_t shards);
/* Executors at genesis. */
void world_start(struct world *world);
struct world *world_create(uint32_t coordinators, uint32_t shards); /* both of the above */
void world_destroy(struct world *world);
/* An executor of its own for this cluster, at genesis. */
struct executor *world_executor(const struct world *world, uint32_t cluster, uint8_t root[32]);
struct world_cluster *world_coordinator(struct world *world, uint32_t i);
struct world_cluster *world_shard(struct world *world, uint32_t i);
uint32_t world_shard_of(const struct world *world, const char *key);

/* Operations; texts are NUL-terminated. They live in static memory until 4096 more have been made. */
struct operation op_get(const char *key, uint32_t most);
struct operation op_get_version(const char *key, uint32_t most);
struct operation op_put(const char *key, const char *value);
struct operation op_put_bytes(const char *key, const uint8_t *value, uint32_t value_bytes);
struct operation op_put_if_absent(const char *key, const char *value);
struct operation op_cas(const char *key, const char *old, const char *new);
struct operation op_cas_version(const char *key, uint64_t height, uint32_t index, const char *new);
struct operation op_delete(const char *key);
struct operation op_add(const char *key, int64_t delta);
struct operation op_add_floor(const char *key, int64_t delta, int64_t floor);
struct operation op_check(const char *key, uint64_t height, uint32_t index);
struct operation op_check_absent(const char *key);
struct operation op_cancel(void);
struct operation op_client_state(const uint8_t client_id[32]);
struct operation op_reserved(const char *key, uint8_t opcode);

/* One part to one shard. */
struct world_part {
    uint32_t client;
    uint32_t shard;       /* index */
    uint8_t kind;         /* BATCH_READ, BATCH_WRITE */
    uint8_t flags;
    uint64_t number, floor;
    uint32_t nonce;       /* 0: a fresh one */
    uint32_t op_count;
    const struct operation *ops;
};
/* A batch of one part; malloc'd. `digest` may be NULL. */
uint8_t *world_batch(struct world *world, const struct world_part *part, uint32_t *bytes, uint8_t digest[32]);
/* Puts it into a coordinator's next block. */
void world_send(struct world *world, uint32_t coordinator, uint8_t relay, const struct world_part *part, uint8_t digest[32]);

/* An administrative operation for a cluster's next block. */
void world_admin(struct world_cluster *cluster, const uint8_t *bytes, size_t count);

/* References to everything that waits at a cluster; refs has room for 2 x WORLD_INBOX_MAX. Returns the count. */
uint32_t world_refs(const struct world_cluster *cluster, struct exec_ref *refs);
/* Executes, finalizes, delivers one block with everything that waits; time goes on by `ms`. */
void world_block(struct world *world, struct world_cluster *cluster, uint64_t ms);
/* The same in two steps: between them the result's pointers hold. */
void world_block_hold(struct world *world, struct world_cluster *cluster, uint64_t ms);
void world_block_release(struct world_cluster *cluster);
/* Delivers the outputs of a result, and forgets what the block consumed. */
/* The slice of any output, laid out; malloc'd. The inputs of its block must still be there. */
uint8_t *world_slice(const struct exec_output *output);
void world_deliver(struct world *world, struct world_cluster *cluster, const struct exec_result *result);
void world_consumed(struct world_cluster *cluster);
/* Rounds of blocks of all clusters until nothing is on its way. */
void world_settle(struct world *world);
/* A slice that the source never sent, next in line at `to`: a liar's whole cluster. */
struct world_message *world_forge(struct world *world, struct world_cluster *to, uint32_t source, const uint8_t *slice, uint32_t slice_bytes);
/* The items answered to this digest, from the newest back; NULL: none. */
const struct world_answer *world_answer(const struct world *world, const uint8_t digest[32]);
/* Sends, settles, and returns the answer's item (CHECK: there is one). */
const struct client_item *world_ask(struct world *world, const struct world_part *part);
/* The result at position i of an item. CHECK: it is there. */
struct result world_result(const struct client_item *item, uint32_t i);
/* An item with the code, and no other operation result than `first` at position 0. */
uint8_t world_code(const struct client_item *item, uint32_t i);

/* A seeded generator (splitmix64). */
uint64_t world_random(uint64_t *state);

#endif
