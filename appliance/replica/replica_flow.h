/*
 * How fast a replica asks, serves and proposes, as numbers alone: decision queues (D-23, D-24) and what fits into a block (D-1, D-4). The replica
 * decides by it (replica_source.c, replica_queue.c, replica_propose.c), and so does the model of many clusters (tests/model).
 *
 * Times are milliseconds of the node's own clock. Nothing here fails.
 */
#ifndef APPLIANCE_REPLICA_REPLICA_FLOW_H
#define APPLIANCE_REPLICA_REPLICA_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/system_limits.h"

enum {
    SOURCE_WINDOW = 64,        /* D-23 */
    AHEAD_BYTES = 1 << 20,     /* of a slice: below that a sync of its own costs more than what is gained */
    SOURCE_RENEW_EVERY = 16,   /* slices, until SUBSCRIBE is sent anew */
    SERVE_AT_ONCE_MAX = 16,    /* slices to one subscriber in one turn */
    PROPOSE_OPS_MAX = 32768,   /* of client batches in one block: larger decisions only add latency (SPEED-NOTES) */
};

/* `wanted`: the first dseq that is neither consumed nor held; `from`: the newest SUBSCRIBE's. */
static inline bool flow_subscribe_again(uint64_t wanted, uint64_t from) {
    return wanted >= from + SOURCE_RENEW_EVERY;
}

/* D-24: nothing came for t_idle, nor was that asked about: is the newest dseq asked for? */
static inline bool flow_newest_due(uint64_t now, uint64_t heard, uint64_t asked, const struct system_timeouts *timeouts) {
    return now - heard >= timeouts->t_idle_ms && now - asked >= timeouts->t_idle_ms;
}

/* D-23: may `next` be served to who subscribed from `from`, when `sent` went out in this turn? */
static inline bool flow_serves(uint64_t next, uint64_t from, uint32_t window, uint32_t sent) {
    return next < from + window && sent < SERVE_AT_ONCE_MAX;
}

/* D-1, D-4.5: does a block with so many references (`empty` of them NOOPs) and bytes behind them take one more? */
static inline bool flow_block_takes(const struct system_limits *limits, uint32_t count, uint32_t empty, uint64_t bytes, uint64_t more) {
    if (count == limits->block_refs_max) return false;
    return count == empty || bytes + more <= limits->block_input_bytes_max;
}

/* What a batch takes of a block, for its relay's share: an operation costs about what 64 bytes do, and a reference as many operations as there are
 * for each reference of a full block, or tiny batches of one relay would take all references before others' larger ones had a turn. */
static inline uint64_t flow_batch_cost(const struct system_limits *limits, uint32_t ops, uint64_t bytes) {
    return 64 * (uint64_t)ops + bytes + 64 * (PROPOSE_OPS_MAX / limits->block_refs_max) + 1;
}

/* Does a block with so many operations take more client batches? */
static inline bool flow_block_hungry(uint32_t ops) {
    return ops < PROPOSE_OPS_MAX;
}

#endif
