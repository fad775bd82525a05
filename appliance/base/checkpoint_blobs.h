/*
 * What a node keeps beside the entries of its checkpoint (blobs "tip", "child", "queues" and "work" of store/state.h), made of what P-33 lists and
 * P-42 shows: for one that came whole from peers, or from a backup.
 *
 * Contract: pure. Everything was checked before; the bytes must be there. The blobs are new references.
 */
#ifndef APPLIANCE_CHECKPOINT_BLOBS_H
#define APPLIANCE_CHECKPOINT_BLOBS_H

#include "appliance/base/blob.h"
#include "protocol/checkpoint.h"
#include "protocol/checkpoint_records.h"

/* An item, whole. */
struct checkpoint_part {
    struct checkpoint_item about;
    const uint8_t *bytes;
    size_t count;
};

/* The block's header and a certificate of it. `ended`: its certificate if it ended its epoch, since then none of its child's epoch proves it; else
 * NULL. */
struct blob *checkpoint_blob_tip(const struct checkpoint_shown *shown, const uint8_t *ended, size_t ended_bytes);
/* What it is shown by: checkpoint_proof_put(). */
struct blob *checkpoint_blob_child(const struct checkpoint_shown *shown);
/* Unacknowledged compact decisions, as replica_queue.c keeps them. */
struct blob *checkpoint_blob_queues(const struct checkpoint_part *parts, uint32_t count);
/* D-26. `records`: after checkpoint_records_items(). */
struct blob *checkpoint_blob_work(const struct checkpoint_records *records, const struct checkpoint_part *parts, uint32_t count);

#endif
