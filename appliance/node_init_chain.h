/*
 * The chain of CONFIGs in the data of a node that joins (spec/system.md S-105): heracliusd --init --chain FILE --config FILE.
 *
 * Who joins knows the members of the system file, and learns from them who came after. When none of those is a member any more, nobody whom it knows
 * is left to tell it: so it may be given the chain, as `heraclius config new` writes it beside the CONFIG that is to bring the node in. It is proved
 * step by step from the system file, before anything is made, and again at each start; a wrong one costs a line.
 */
#ifndef APPLIANCE_NODE_INIT_CHAIN_H
#define APPLIANCE_NODE_INIT_CHAIN_H

#include "appliance/node_config.h"
#include "appliance/node_init_backup.h"
#include "protocol/system.h"
#include "store/store.h"

/* A CONFIG_CHAIN payload from serial 1 on (S-103), checked whole; malloc'd. NULL: the text says why not. */
uint8_t *node_init_chain_read(const char *path, const struct system *system, uint32_t cluster, size_t *count, char text[NODE_INIT_TEXT_BYTES]);

/* Into the data directory that is being made. False: the text says why, and the directory is no use. */
bool node_init_chain_fill(const struct store_directory *directory, const struct node_config *config, const struct store_identity *identity,
                          const uint8_t *payload, size_t count, char text[NODE_INIT_TEXT_BYTES]);

#endif
