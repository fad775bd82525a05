/*
 * The chain of CONFIGs, given to a node by its owner (spec/system.md S-105): heracliusd [--init] --chain FILE --config FILE.
 *
 * Who joins knows the members of the system file, and learns from them who came after. When none of those is a member any more, nobody whom it knows
 * is left to tell it: so it may be given the chain, as `heraclius config new` writes it beside the CONFIG that is to bring the node in. It is proved
 * step by step from the system file, before anything is made, and again at each start; a wrong one costs a line.
 *
 * And one that has its data may come to know nobody as well: it was brought in before it had come to the epoch, or stood still, and all whom it
 * knew have left since. Then, while it does not run, what a newer chain (`heraclius config status CLUSTER --out FILE`) has beyond its own is put
 * beside it. Nothing that lies there is touched: neither the entries that it has nor its voting memory.
 */
#ifndef APPLIANCE_NODE_INIT_CHAIN_H
#define APPLIANCE_NODE_INIT_CHAIN_H

#include "appliance/config/node_config.h"
#include "appliance/node/node_init_backup.h"
#include "protocol/system.h"
#include "store/store.h"

/* A CONFIG_CHAIN payload from serial 1 on (S-103), checked whole; malloc'd. NULL: the text says why not. */
uint8_t *node_init_chain_read(const char *path, const struct system *system, uint32_t cluster, size_t *count, char text[NODE_INIT_TEXT_BYTES]);

/* Into a data directory that is being made, or is there and open: the entries that it has not, so many of them. False: the text says why; one that is
 * being made is no use. */
bool node_init_chain_fill(const struct store_directory *directory, const struct node_config *config, const struct store_identity *identity,
                          const uint8_t *payload, size_t count, uint32_t *added, char text[NODE_INIT_TEXT_BYTES]);

#endif
