/*
 * Private to replica*.c and ahead.c: how a batch comes.
 */
#ifndef APPLIANCE_REPLICA_BATCH_H
#define APPLIANCE_REPLICA_BATCH_H

#include "appliance/replica/replica.h"
#include "protocol/batch.h"

enum { INPUT_HEAD_BYTES = 4 }; /* of INPUT, before the input: kind, relay, 0, 0 */

/* By which batches are decoded, of the epoch in which it is. */
struct batch_limits replica_batch_limits(const struct replica *r);

#endif
