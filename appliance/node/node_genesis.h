/*
 * Genesis of a node: for most it follows from the system file; that of a shard of a successor is made from a backup (spec/system.md S-144).
 *
 * The root of such a genesis lies in the node's write-ahead store for good, since blocks name it; its entries are those of the backup's folder, which
 * must stay where node.conf says until the node has its first checkpoint.
 */
#ifndef APPLIANCE_NODE_GENESIS_H
#define APPLIANCE_NODE_GENESIS_H

#include "appliance/exec/executor.h"
#include "appliance/config/node_config.h"
#include "bft/signer.h"
#include "protocol/keyfile.h"
#include "store/wal.h"

enum { NODE_GENESIS_TEXT_BYTES = 600 };

/* Told each entry that was inherited; false: it cannot be. */
typedef bool node_genesis_visit(void *context, const struct table_entry *entry);

/* Statement and predecessor of the configuration make this system file a valid successor (S-142), or it is a first system. */
bool node_genesis_allowed(const struct node_config *config, const struct system *system, char text[NODE_GENESIS_TEXT_BYTES])
    __attribute__((warn_unused_result));

/* Fills an empty executor with the genesis of a cluster that has an origin, from the backup of the configuration, which is checked from end to end.
 * False: `text` names file and cause, and the executor is spoilt. */
bool node_genesis_inherit(const struct node_config *config, const struct system *system, uint32_t cluster, struct executor *executor,
                          node_genesis_visit *visit, void *context, uint8_t root[32], char text[NODE_GENESIS_TEXT_BYTES])
    __attribute__((warn_unused_result));

/* node_inherit.c: the same, of files that are read and judged already. */
struct node_origin {
    const char *backup; /* the folder of one partition */
    const struct system *predecessor, *successor;
    struct signer signer;
};
bool node_inherit(const struct node_origin *origin, uint32_t cluster, struct executor *executor, node_genesis_visit *visit, void *context,
                  uint8_t root[32], char text[NODE_GENESIS_TEXT_BYTES]) __attribute__((warn_unused_result));

/* For --init: makes the genesis in an executor of its own, to know that it can be made, and its root. */
bool node_genesis_root(const struct node_config *config, const struct system *system, uint32_t cluster, uint8_t root[32],
                       char text[NODE_GENESIS_TEXT_BYTES]) __attribute__((warn_unused_result));
/* ... and keeps the root in a data directory that is being made. */
bool node_genesis_keep(const struct store_directory *directory, const struct node_config *config, const struct store_identity *identity,
                       const uint8_t root[32], char text[NODE_GENESIS_TEXT_BYTES]) __attribute__((warn_unused_result));

#endif
