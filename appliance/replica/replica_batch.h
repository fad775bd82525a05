/*
 * Private to replica*.c and ahead.c: how a batch comes.
 */
#ifndef APPLIANCE_REPLICA_BATCH_H
#define APPLIANCE_REPLICA_BATCH_H

#include "appliance/replica/replica.h"
#include "protocol/batch.h"

enum { INPUT_HEAD_BYTES = 4 }; /* of INPUT, before the input: kind, relay, 0, 0 */

enum {
    READ_STALE_MS = 10000, /* a read of another relay that waited so long: its client has asked elsewhere, or given up */
    YOUNG_MS = 5000,       /* after a start that began from a checkpoint may vote: reads that come are held against no leader */
    FLOOD_MS_MIN = 4000,   /* a flood's reads are left out so long after its end, doubled each time */
    FORGET_MS = 1000,      /* reads of a relay that floods are forgotten so often at the most */
};

/* This node's own disk or distance explains what it sees of others: it names nobody a flooder or slow for that. */
bool replica_is_late(const struct replica *r);

/* By which batches are decoded, of the epoch in which it is. */
struct batch_limits replica_batch_limits(const struct replica *r);

/* replica_input.c: would so many bytes more be too many of a relay, or of one part in `share` of what it may have? What only blocks named of it
 * (named) does not count. */
bool relay_is_full(const struct replica *r, uint32_t relay, size_t more, uint32_t share);
/* A relay's reads that waited for so long and may go; a batch that is held and waits as another relay's from now on. */
void reads_forget(struct replica *r, uint32_t relay, uint64_t age_ms);
void input_relay_change(struct replica *r, uint32_t index, uint8_t relay);

#endif
