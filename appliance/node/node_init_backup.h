/*
 * A node's data made from a backup (spec/durability.md P-80, P-15): heracliusd --init --from DIR --config FILE.
 *
 * The data directory gets the backup's checkpoint as its own: the node starts from it as from any, and catches up by blocks or state transfer. What a
 * backup cannot bring back is the voting memory: a key that may have signed before must not sign on from nothing. So the key of a member is retired
 * from the first moment on: mark and checkpoint are durable before the directory has its name (store.h). The node follows, and comes back by a CONFIG
 * with a new key. A key that no CONFIG has brought in yet ("join") has signed nothing, and stays as it is.
 */
#ifndef APPLIANCE_NODE_INIT_BACKUP_H
#define APPLIANCE_NODE_INIT_BACKUP_H

#include "appliance/config/node_config.h"
#include "protocol/backup_folder.h"
#include "store/store.h"

enum { NODE_INIT_TEXT_BYTES = 1024 };

/* The backup of this cluster at `from` (or at `from`/s0 and the like), checked whole, before anything is made. NULL: the text says why not. */
struct backup_folder *node_init_backup_open(const char *from, const struct system *system, uint32_t cluster, char text[NODE_INIT_TEXT_BYTES]);

/* Fills the data directory that is being made. `retire`: the key of a member. False: the text says why, and the directory is no use. */
bool node_init_backup_fill(const struct store_directory *directory, const struct node_config *config, const struct store_identity *identity,
                           const char *from, const struct system *system, bool retire, char text[NODE_INIT_TEXT_BYTES]);

#endif
