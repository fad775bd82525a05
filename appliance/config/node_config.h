/*
 * node.conf: how one node runs on its host. Written by `heraclius system init`, read by `heracliusd --config FILE`. A JSON object; paths that are not
 * absolute are relative to the folder of the file. An unknown field is refused, so that a typing error is not a default.
 *
 *   field         default           meaning
 *   system        (needed)          the system file
 *   addresses     (needed)          addresses.json
 *   key           (needed)          the node's key file
 *   data          (needed)          the data directory, made by `heraclius system init`
 *   predecessor   (none)            of a successor's node: the system file of the system before,
 *   statement     (none)            the statement that its administrators signed,
 *   backup        (none)            and a backup of that system, for its chain of CONFIGs; at a shard the one that the shard begins from, needed
 *                                   until the node has a checkpoint
 *   control       "control.sock"    the Unix control socket
 *   listen        address of the    "host:port" (IPv4 or [IPv6] literal) or an array of up to 4
 *                 node in addresses
 *   threads       "auto"            "fused": network, consensus and execution in one thread; "split": a thread each; "auto": by the CPUs
 *                                   (thread_plan.h)
 *   verifiers     as many as fit    of the split map: threads that verify signatures before consensus wants them, 0 to 6
 *   hashers       as many as fit    of the split map: threads that help execution to hash what a large block wrote, 0 to 3
 *   cpus          {}                {"network": 0, "consensus": 1, "execution": 2, "wal": 3, "state": 4, "verify0": 5}: which to pin where; what is
 *                                   not named is not pinned. Without it "auto" pins what it splits. fused uses "network" for its one thread
 *   retired       false             its operator gave the node's key up: it signs nothing any more (P-15)
 *   log_level     "info"            "debug", "info", "warn", "error"
 *   wal_map_bytes, state_map_bytes  most that each store may grow to; default 64 GiB each (address space, not disk)
 *   send_zc_bytes 0                 sends of at least this many bytes use SEND_ZC; 0 never
 *   scrub_records_s 500             entries of the table, of the checkpoint, and records of the write-ahead store that are read and hashed again
 *                                   each second, each; 0 none. A store of fewer than 300,000 has as long for a round as one of so many
 */
#ifndef APPLIANCE_NODE_CONFIG_H
#define APPLIANCE_NODE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "appliance/config/thread_plan.h"
#include "appliance/status/log.h"

enum { NODE_CONFIG_PATH_BYTES = 4096, NODE_CONFIG_LISTEN_MAX = 4, NODE_CONFIG_FILE_BYTES_MAX = 65536, NODE_CONFIG_TEXT_BYTES = 400 };

struct node_config {
    char system[NODE_CONFIG_PATH_BYTES];
    char addresses[NODE_CONFIG_PATH_BYTES];
    char key[NODE_CONFIG_PATH_BYTES];
    char data[NODE_CONFIG_PATH_BYTES];
    char control[NODE_CONFIG_PATH_BYTES];
    char predecessor[NODE_CONFIG_PATH_BYTES], statement[NODE_CONFIG_PATH_BYTES], backup[NODE_CONFIG_PATH_BYTES]; /* "": none */
    char listen[NODE_CONFIG_LISTEN_MAX][64];
    uint32_t listen_count;
    char join[8]; /* "c0", "s12": the cluster of a node that the system file does not name; "" */
    bool retired;
    struct thread_wish threads;
    enum log_level log_level;
    uint64_t wal_map_bytes, state_map_bytes;
    uint32_t send_zc_bytes;
    uint32_t scrub_records_s;
};

/* What a file that says nothing of it has. */
void node_config_defaults(struct node_config *config);
/* False: `text` is one line that names file and field and says what to do. */
bool node_config_load(const char *path, struct node_config *config, char text[NODE_CONFIG_TEXT_BYTES]) __attribute__((warn_unused_result));

#endif
