/*
 * What the replica wants on disk, on its way to the write-ahead store: in order, and what the store has no room for waits here.
 *
 * A batch, its records and their bytes are the replica's, which keeps them unchanged until it is told that they are durable (REPLICA_PERSIST in
 * replica.h). The store's thread reads them at any time until then (wal.h), so nothing is copied on the way, and nothing that is kept here is read
 * by it.
 */
#ifndef APPLIANCE_NODE_NODE_BATCHES_H
#define APPLIANCE_NODE_NODE_BATCHES_H

#include "store/wal.h"

/* All zero: nothing waits. */
struct node_batches {
    const struct wal_batch **waiting; /* a ring of `room` places */
    uint32_t first, count, room;
};

/* Behind all that wait. */
void node_batches_add(struct node_batches *batches, const struct wal_batch *batch);
/* Gives the first one to the store: STORE_OK, and its number there. STORE_ABSENT: none waits. STORE_BUSY: the store has no room now. Otherwise as
 * wal_submit(). */
enum store_status node_batches_submit(struct node_batches *batches, struct wal *wal, uint64_t *sequence) __attribute__((warn_unused_result));
void node_batches_free(struct node_batches *batches);

#endif
