/*
 * Pending items as bytes: what they count, and whether they are what a pending hash names (spec/decisions.md D-7, D-19). For whoever takes a
 * checkpoint: from a peer, from a backup.
 *
 * Contract: pure. Any bytes may be passed.
 */
#ifndef PROTOCOL_PENDING_H
#define PROTOCOL_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/slice.h"
#include "protocol/system_limits.h"

/* Operations of an item as D-19 counts them; false: no item that a shard (or coordinator) queues. *routed: a routing entry belongs to it (D-8). */
bool pending_item_ops(bool shard, const struct slice_item *item, uint32_t *ops, bool *routed) __attribute__((warn_unused_result));

/* Are these pending items, with their routing entries, what a 'q' record's pending_items and pending_hash name, cut into groups as D-19 says? */
bool pending_valid(const struct system_limits *limits, bool shard, const uint8_t *items, size_t item_bytes, const uint8_t *entries,
                   size_t entry_bytes, uint32_t pending_items, const uint8_t pending_hash[32]) __attribute__((warn_unused_result));

#endif
