/*
 * struct transfer_store on the node's disk: its checkpoint store, and a second one beside it for what comes from peers (store/store.h). And at the
 * start of a node: a whole checkpoint that came becomes its own.
 *
 * Contract: one thread. Calls wait for the disk.
 */
#ifndef APPLIANCE_TRANSFER_DISK_H
#define APPLIANCE_TRANSFER_DISK_H

#include "appliance/transfer/transfer.h"

struct transfer_disk {
    const struct store_directory *directory;
    struct store_identity identity;
    uint64_t map_bytes;
    struct state *own;
    struct state *taken; /* open, or NULL */
    struct store_error error;
};

struct transfer_store transfer_disk_store(struct transfer_disk *disk);
/* Closes what it opened. */
void transfer_disk_close(struct transfer_disk *disk);

/* What lies there is a whole checkpoint and higher than the own one: takes its place. A crash meanwhile leaves the one or the other, or none
 * and what came, which is installed at the next start. Before anybody else uses `own`, which is closed and opened again by `config`, and is NULL when
 * that failed. STORE_OK also if there is none; *height is 0 then. */
enum store_status transfer_disk_install(struct transfer_disk *disk, const struct state_config *config, uint64_t *height)
    __attribute__((warn_unused_result));

#endif
