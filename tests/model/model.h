/*
 * A discrete-event model of a whole system: up to 1,024 clusters a side, a client beside each coordinator cluster, costs instead of computation.
 *
 *   model_params.c    costs, limits and what is modelled, from JSON
 *   model_world.c     time: events, machines, the tasks of nodes and clients; begin, run, end
 *   model_cluster.c   a cluster: intake, proposal, execution in numbers, votes, finality
 *   model_client.c    a client as `heraclius bench` is one: flights of operations, blocking users
 *   model_report.c    what came of it
 *   scale_model_main.c  the program
 *
 * When a slice is cut, which items share one, what an acknowledgement alone is (exec_turn.h), when a subscription is renewed, the newest dseq asked
 * for, and what a block still takes (replica_flow.h) is decided by the node's own functions. The rest is counted, not done: README.md says what
 * each count stands for.
 *
 * The nodes of a cluster do the same things at the same times but for the leader, so a cluster is two *nodes*: the leader, and the others in step.
 * Where each node has a machine of its own, each of the two has one; where all share one, they share it by turns, and a task of the others takes as
 * many CPUs as they are.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/exec/exec_turn.h"
#include "appliance/replica/replica_flow.h"
#include "protocol/system_limits.h"

#define MODEL_NONE UINT32_MAX

enum {
    MODEL_SIDE_MAX = 1024,
    MODEL_FLIGHTS_MAX = 10, /* of one client */
    MODEL_BLOCKS_MAX = 64,  /* of one cluster whose answers the client may not have */
    MODEL_TASKS_MAX = 128,  /* waiting at one node or client */
    MODEL_BUCKETS = 2048,   /* of latencies, 1 % apart from 0.01 ms on */
    MODEL_QUANTILES = 4096, /* of the normal distribution */
};

/* Microseconds of CPU of one node (or client) unless the name says otherwise; calibrate writes them. */
#define MODEL_COSTS(X)                                                                                                                               \
    X(coordinator_decision) /* a block, whatever is in it: votes, certificates, records, syncs */                                                    \
    X(shard_decision)                                                                                                                                \
    X(coordinator_op)      /* request and answer together */                                                                                         \
    X(shard_op)                                                                                                                                      \
    X(coordinator_byte)    /* a byte of value beyond the 32 with which the above were measured */                                                    \
    X(shard_byte)                                                                                                                                    \
    X(client_byte)                                                                                                                                   \
    X(batch)               /* a client batch */                                                                                                      \
    X(coordinator_part)    /* a part of a flight, one for each shard: digest, routing, items; request and answer alike */                            \
    X(shard_part)                                                                                                                                    \
    X(slice_verify)        /* q signatures */                                                                                                        \
    X(coordinator_slice_in) /* leaf, records, handling; without the signatures */                                                                    \
    X(shard_slice_in)                                                                                                                                \
    X(coordinator_slice_out)                                                                                                                         \
    X(shard_slice_out)                                                                                                                               \
    X(path_hash)           /* a level of the Merkle proof, each end */                                                                               \
    X(pair_block)          /* a pair in a block, whether it has anything or not */                                                                   \
    X(pair_turn)           /* a pair in a turn of the node's loop */                                                                                 \
    X(newest)              /* NEWEST_QUERY asked and answered, both ends */                                                                          \
    X(subscribe)                                                                                                                                     \
    X(client_op)                                                                                                                                     \
    X(client_part)                                                                                                                                   \
    X(client_answer)       /* one answer of a block: q signatures, proof */                                                                          \
    X(idle_second)         /* a node, a second */                                                                                                    \
    X(crowding)            /* of all CPU, on a shared machine: the share that each doubling of its clusters adds */                                  \
    X(main_share)          /* of a node's CPU that its main thread has; the rest goes on beside it where there is a CPU */                           \
    X(sync_ms)             /* until something small is durable */                                                                                    \
    X(disk_ms_per_mb)      /* what a disk takes for inputs and blocks */                                                                             \
    X(hop_ms)              /* between two machines, one way, wake-up included */                                                                     \
    X(jitter)              /* 0: those three are always the same; 1: exponential, as long on average */

struct model_costs {
#define MODEL_FIELD(name) double name;
    MODEL_COSTS(MODEL_FIELD)
#undef MODEL_FIELD
};

struct model_setup {
    uint32_t side;        /* clusters a side */
    uint32_t users;       /* per coordinator cluster */
    uint32_t value_bytes;
    uint32_t nodes;       /* of a cluster */
    bool shared;          /* one machine for all, of `cores` CPUs; else one for each node and client */
    double cores;         /* own machines: CPUs for the main thread's work, 1 as long as it is one thread */
    bool every_pair;      /* the paper: every pair in every block, empty or not */
    bool spread;          /* clients send to any coordinator cluster; else to that of the key's group, but for ... */
    double any_share;     /* ... this share of the operations, which go to any, in requests of their own, by a key of their own */
    uint32_t handles;     /* a client's keys */
    uint32_t flights;     /* under way at most, of each */
    uint32_t flight_ops;  /* at most */
    uint32_t clients;     /* prototype: so many clients make up each flight: users of many machines meet at a coordinator cluster */
    uint32_t lazy_ops;    /* prototype: a slice below it waits although nothing is in flight ... */
    double lazy_ms;       /* ... but no longer than this */
    bool late;            /* prototype: the next block is proposed when the one before is final, not when it is prepared */
    double aggregate_ms;  /* prototype: certificates of all sources in one, that much later; 0: no */
    double warm, measured; /* in whole turns of all users; measured from when all have begun on */
    double seconds_min;   /* measured at least, of the model's time */
    double seconds_max;   /* of the model's time */
    uint64_t seed;
    struct system_limits limits;
    struct system_timeouts timeouts;
    struct model_costs costs;
};

struct model_result {
    double seconds; /* measured, of the model's time */
    double ops, decisions[2], slices[2], empty[2], alone, parts, batches, newest, subscribes; /* [0] coordinators, to shards; [1] shards */
    double cpu_us[2], client_us;                                                    /* of all nodes of a kind */
    double by_decision_us, by_slice_us, by_op_us, by_pair_us;                       /* nodes' CPU by what it goes with */
    double bytes;                                                                   /* sent by all nodes and clients */
    double latency_sum_ms;
    double latency[MODEL_BUCKETS];
    double issued, answered, in_flight; /* operations since the beginning */
    bool ran_out;                       /* seconds_max came first */
};

/*
 * A group of pending items, later a slice on its way (D-19). A flight has one part for a shard, and is used again only when all were answered: so of
 * one pair there is at most one part of it on its way, and a number for each flight says all.
 */
struct model_slice {
    uint32_t next;
    uint32_t source, destination; /* cluster: coordinators 0 ..., then shards */
    uint32_t items, ops, bytes, parts;
    uint32_t flight_ops[MODEL_FLIGHTS_MAX];
    uint64_t dseq, ack;
};

/* One half of a pair. */
struct model_end {
    struct exec_turn turn;
    uint32_t group_first, group_last;
    uint64_t consumed_dseq;
    uint64_t seen_ack;        /* the highest that came, acknowledgements alone included */
    uint64_t subscribed_from; /* of what comes in */
    uint64_t heard_ms, asked_ms;
};

enum model_task_kind { TASK_INTAKE, TASK_PROPOSE, TASK_PREPARE, TASK_PREPARED, TASK_FINAL, TASK_SEND, TASK_ANSWER };

struct model_task {
    enum model_task_kind kind;
    uint32_t at; /* block or flight */
    double us;
};

struct model_answer {
    uint32_t parts, ops;
};

struct model_block {
    uint32_t slice_first, slice_last; /* its outbox, to clusters */
    uint32_t slice_count, references;
    double execution_us;
    double bytes; /* of its inputs */
    struct model_answer answers[MODEL_FLIGHTS_MAX];
};

/* Whoever has tasks: the leader of a cluster, its other nodes, a client. */
struct model_node {
    uint32_t owner; /* cluster, or coordinator cluster of the client */
    uint32_t site;
    double width;   /* how many do each task at once */
    bool running;
    bool intake_waits;
    double durable_ms; /* of the newest thing: none is before an older one */
    double inbox_us;
    struct model_task tasks[MODEL_TASKS_MAX];
    uint32_t task_first, task_count;
    struct model_task current;
};

struct model_list {
    uint32_t first, last;
};

struct model_cluster {
    bool shard;
    uint32_t pairs;
    struct model_end *ends;
    uint64_t height;
    bool proposing; /* its newest block is not prepared */
    bool due_now;
    uint64_t due_ms;
    uint64_t due_told_ms; /* an event comes then */
    struct model_list arriving, taken, held; /* slices: come, in the leader's intake, verified */
    uint32_t batches[3][MODEL_FLIGHTS_MAX];  /* flights likewise */
    uint32_t batch_counts[3];
    struct model_block blocks[MODEL_BLOCKS_MAX];
    uint32_t block_next;
    double served_ms; /* when its newest slices arrive: links keep their order */
};

struct model_flight {
    bool used;
    uint32_t ops, parts_left, parts;
    uint32_t *shard_ops; /* of each shard */
    struct model_list users;
};

/* Users of a client's key, and since when they have had something to ask for: those of a quarter of a millisecond together. */
struct model_wait {
    double ms;
    uint32_t users, next;
};

struct model_client {
    uint32_t later[MODEL_FLIGHTS_MAX];     /* users of each handle that did not begin yet */
    uint32_t ready[MODEL_FLIGHTS_MAX];     /* users of each handle that may go on */
    struct model_list waits[MODEL_FLIGHTS_MAX]; /* the same */
    uint32_t under_way[MODEL_FLIGHTS_MAX]; /* flights of each handle */
    struct model_flight flights[MODEL_FLIGHTS_MAX];
};

struct model_site {
    bool busy;
    double disk_free_ms;
    uint32_t *queue; /* nodes that wait, a ring */
    uint32_t first, count, room;
};

enum model_event_kind { EVENT_DONE, EVENT_PREPARE, EVENT_PREPARED, EVENT_FINAL, EVENT_SLICES, EVENT_BATCH, EVENT_ANSWERS, EVENT_DUE, EVENT_IDLE,
                        EVENT_BEGIN };

struct model_event {
    double ms;
    uint64_t order;
    enum model_event_kind kind;
    uint32_t a, b;
};

struct model {
    struct model_setup setup;
    struct model_result result;
    double now_ms;
    uint64_t random, order;
    struct model_cluster *clusters; /* coordinators, then shards */
    uint32_t cluster_count;
    struct model_end *ends;
    struct model_node *nodes;       /* two of each cluster, then clients */
    uint32_t node_count;
    struct model_site *sites;
    uint32_t site_count;
    struct model_client *clients;
    struct model_event *events;     /* heap */
    uint32_t event_count, event_room;
    struct model_slice *slices;
    uint32_t slice_free, slice_used, slice_room;
    struct model_wait *waits;
    uint32_t wait_free, wait_used, wait_room;
    uint32_t *shard_ops; /* of all flights */
    double quantiles[MODEL_QUANTILES];
    bool measuring, draining;
    double answered_at_mark, marked_ms;
    double crowd; /* by which CPU costs are multiplied */
    uint64_t trace;
};

/* ---- model_params.c: false: `why` (of 256 bytes) says what is wrong, and where */
void model_setup_default(struct model_setup *setup);
bool model_costs_load(const char *path, struct model_costs *costs, char why[256]) __attribute__((warn_unused_result));
/* NAME=VALUE of a limit, a time-out or a cost. */
bool model_set(struct model_setup *setup, const char *word, char why[256]) __attribute__((warn_unused_result));

/* ---- model_world.c */
void *model_grown(void *memory, uint32_t *room, size_t each);
struct model *model_begin(const struct model_setup *setup);
/* Until enough was measured; the result stays valid until model_end(). */
const struct model_result *model_run(struct model *model);
/* No user goes on; until nothing is on its way. */
void model_drain(struct model *model);
void model_end(struct model *model);
uint64_t model_random(struct model *model);
double model_uniform(struct model *model); /* above 0, below 1 */
double model_hop_ms(struct model *model);
void model_event_add(struct model *model, double ms, enum model_event_kind kind, uint32_t a, uint32_t b);
void model_task_add(struct model *model, uint32_t node, enum model_task_kind kind, uint32_t at, double us);
uint32_t model_slice_take(struct model *model);
void model_slice_give(struct model *model, uint32_t slice);
void model_list_add(struct model *model, struct model_list *list, uint32_t slice);
/* A client's keys: those of the users' numbers, and the one of what goes to any coordinator cluster. */
static inline uint32_t model_keys(const struct model_setup *setup) {
    return setup->handles + (setup->any_share > 0);
}
static inline uint32_t model_leader(uint32_t cluster) {
    return 2 * cluster;
}
static inline uint32_t model_others(uint32_t cluster) {
    return 2 * cluster + 1;
}
static inline uint32_t model_client_node(const struct model *model, uint32_t client) {
    return 2 * model->cluster_count + client;
}

/* ---- model_cluster.c */
void cluster_slice_arrives(struct model *model, uint32_t slice);
void cluster_batch_arrives(struct model *model, uint32_t cluster, uint32_t flight);
void cluster_intake_begins(struct model *model, uint32_t cluster);
void cluster_intake_ends(struct model *model, uint32_t cluster);
double cluster_propose_begins(struct model *model, uint32_t cluster, uint32_t *block); /* executes; returns the microseconds */
void cluster_propose_try(struct model *model, uint32_t cluster);
void cluster_settled(struct model *model, uint32_t cluster); /* the next block may be proposed */
void cluster_publish(struct model *model, uint32_t cluster, uint32_t block);
void cluster_idle(struct model *model, uint32_t cluster);

/* ---- model_client.c */
void client_quantiles_make(struct model *model);
void client_begins(struct model *model, uint32_t client, uint32_t handle);
void client_go(struct model *model, uint32_t client);
void client_sent(struct model *model, uint32_t client, uint32_t flight);
double client_answers_cost(struct model *model, uint32_t client, uint32_t block);
void client_answers(struct model *model, uint32_t client, uint32_t block);

/* ---- model_report.c */
double model_latency_ms(const struct model_result *result, double share);
void model_json_print(const struct model_setup *setup, const struct model_result *result);

#endif
