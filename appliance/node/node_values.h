/*
 * Long values on their way to the write-ahead store before the records that put them (REPLICA_PREPARE in replica.h, wal_prepare in wal.h): their
 * bytes are held until the store has read them. What the store does not take, having enough of them, is put by its record from its own parts.
 */
#ifndef APPLIANCE_NODE_NODE_VALUES_H
#define APPLIANCE_NODE_NODE_VALUES_H

#include "appliance/replica/replica.h"
#include "store/wal.h"

/* All zero: none is under way. */
struct node_values {
    struct node_value {
        uint64_t ticket;
        struct blob *blobs[WAL_PREPARE_PARTS_MAX];
        uint32_t blob_count;
    } held[WAL_PREPARED_MAX]; /* a ring */
    uint32_t first, count;
};

void node_values_prepare(struct node_values *values, struct wal *wal, const struct replica_output *output);
/* Lets go what the store has read. */
void node_values_poll(struct node_values *values, const struct wal *wal);
/* The store is closed. */
void node_values_free(struct node_values *values);

#endif
