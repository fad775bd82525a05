/*
 * When the items that wait for one destination become a slice (D-18, D-19), as numbers alone: no bytes, hashes or logs. The executor's queues
 * (exec_queue.c) decide by it, and so does the model of many clusters (tests/model), which links this very file: whoever changes the policy here
 * changes what the model says of it.
 *
 * Limits are those in force in the cluster that cuts. Heights and times are the headers' of that cluster. Nothing here fails.
 */
#ifndef APPLIANCE_EXEC_EXEC_TURN_H
#define APPLIANCE_EXEC_EXEC_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/system_limits.h"

enum { EXEC_UNFINISHED_MAX = 256 }; /* D-18: unanswered request slices of a pair */

/* What of a pair's 'c' and 'q' records (D-6, D-7) decides when a slice is cut. */
struct exec_turn {
    uint64_t sent_dseq;
    uint64_t acked_dseq;
    uint64_t consumed_bytes;
    uint64_t pending_bytes;
    uint64_t oldest_time;
    uint64_t oldest_height;
    uint32_t pending_items;
    uint32_t pending_ops;
    uint32_t unfinished_count; /* request slices that are not answered whole; 0 at a shard */
};

/* D-19: may an item of so many bytes and operations join the group, whose slice has so many (16 and the items with their heads)? */
static inline bool exec_turn_fits(const struct system_limits *limits, uint32_t group_items, uint64_t group_bytes, uint64_t group_ops, uint64_t bytes,
                                  uint64_t ops) {
    if (group_items == 0) return true;
    return group_bytes + bytes <= limits->slice_bytes_max && group_ops + ops <= limits->slice_ops_max;
}

/* D-19: an item enters the pending queue in a block of this time and height. */
static inline void exec_turn_enter(struct exec_turn *turn, uint64_t time, uint64_t height, uint64_t bytes, uint32_t ops) {
    if (turn->pending_items == 0) {
        turn->oldest_time = time;
        turn->oldest_height = height;
    }
    turn->pending_items++;
    turn->pending_ops += ops;
    turn->pending_bytes += bytes;
}

/* D-6, D-7: a slice of the pair was consumed: its acknowledgement, and its bytes if it has an item. */
void exec_turn_consumed(struct exec_turn *turn, uint64_t ack, uint64_t bytes, bool has_items);

/* D-18 but for the clock: would a block at this height cut a slice? */
bool exec_turn_now(const struct exec_turn *turn, const struct system_limits *limits, uint64_t height);
/* May exec_turn_now() or exec_turn_ready() say so at any height or time while neither this nor the limits change? */
bool exec_turn_busy(const struct exec_turn *turn, const struct system_limits *limits);
/* D-18: does the block of this height and time cut a slice? */
bool exec_turn_ready(const struct exec_turn *turn, const struct system_limits *limits, const struct system_timeouts *timeouts, uint64_t height,
                     uint64_t time);
/* The time from which on a block cuts one (D-21), whatever its height; UINT64_MAX: none. */
uint64_t exec_turn_due_ms(const struct exec_turn *turn, const struct system_timeouts *timeouts);

/*
 * The block of this height and time cut a slice of so many items, operations and bytes (heads of the items included, that of the slice not).
 * Returns true iff it is an acknowledgement alone.
 */
bool exec_turn_cut(struct exec_turn *turn, uint32_t items, uint32_t ops, uint64_t bytes, uint64_t height, uint64_t time);

#endif
