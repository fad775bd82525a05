/*
 * heracliusd --init [--from BACKUP] [--chain FILE] --config FILE: makes a node's data directory, once (spec/system.md S-131, spec/durability.md P-3).
 *
 * `heraclius system init` runs it, since only store/ touches a store and the client does not include it.
 * Reads node.conf, the system file and the key,
 * finds the node's place, and has store_directory_create() make empty environments that carry whose they are. Refuses a directory that holds data.
 */
#ifndef APPLIANCE_NODE_INIT_H
#define APPLIANCE_NODE_INIT_H

/* from: a backup to begin from (node_init_backup.h); NULL: from genesis. chain: that of its cluster, for a node that joins (node_init_chain.h), or
 * NULL. Exit code: 0 done; 2 after one line on stderr that names the file and what
 * to do. */
int node_init_run(const char *config_path, const char *from, const char *chain);

/* heracliusd --chain FILE --config FILE: what this chain has beyond the node's own is put into its data (node_init_chain.h). Exit code likewise; 2
 * also while the node runs. */
int node_init_chain_run(const char *config_path, const char *chain);

#endif
