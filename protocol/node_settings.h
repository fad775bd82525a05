/*
 * The settings of a node configuration (S-111) as an appliance knows them (spec/appliance.md 9.2, rules ).
 *
 *   name              value                                                         without it
 *   admin.client.N    ROLE:SHA256, ROLE view, operate or own; N 0 to 15             only whoever pairs at the serial console
 *   admin.listen      ADDRESS:PORT                                                  the admin console is not reached from outside
 *   admin.peer.N      SHA256@HOST:PORT of another admin console; N 0 to 15          no other console is read
 *   bundle.sha256     64 hex digits: bundle_hash()                                  (needed)
 *   console.port      ttyS, ttyAMA or hvc, and 0 to 7                               the image's port, or the kernel's console
 *   join              a cluster, c0 or s12: the system file does not name the node  the system file names it
 *   listen            ADDRESS:PORT, up to 4, commas between                         the port of its link address, on all addresses
 *   log.level         debug, info, warn, error                                      info
 *   net.N.address     dhcp, or up to 4 ADDRESS/BITS, commas between; N 0 to 3       without any net: dhcp on every link
 *   net.N.gateway     up to 2 ADDRESS, commas between                               none
 *   net.N.mac         52:54:00:12:34:56                                             with neither: every link that no other N names
 *   net.N.name        eth0
 *   syslog            HOST:PORT                                                     none
 *   threads           auto, fused, split                                            auto: split with 8 CPUs or more
 *
 * An ADDRESS is a literal. A setting that is not in the table is refused: a typing error is no default.
 */
#ifndef PROTOCOL_NODE_SETTINGS_H
#define PROTOCOL_NODE_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/addresses.h"
#include "protocol/claim.h"
#include "protocol/system_error.h"

enum {
    NODE_SETTINGS_NETS_MAX = 4,
    NODE_SETTINGS_NET_ADDRESSES_MAX = 4,
    NODE_SETTINGS_GATEWAYS_MAX = 2,
    NODE_SETTINGS_LISTEN_MAX = 4,
    NODE_SETTINGS_CLIENTS_MAX = 16,
    NODE_SETTINGS_PEERS_MAX = 16,
    NODE_SETTINGS_HASH_CHARACTERS = 64,
    NODE_SETTINGS_LITERAL_BYTES = 50, /* an address with /BITS and its end */
    NODE_SETTINGS_ENDPOINT_BYTES = 64,
    NODE_SETTINGS_WHICH_BYTES = 24, /* "mac=52:54:00:12:34:56", "name=" and a link's 15 characters, "any" */
    NODE_SETTINGS_SPLIT_CPUS = 8
};

enum node_settings_threads { NODE_SETTINGS_AUTO, NODE_SETTINGS_FUSED, NODE_SETTINGS_SPLIT };

struct node_settings_net {
    bool there;
    char which[NODE_SETTINGS_WHICH_BYTES];
    bool dhcp;
    uint32_t addresses_count, gateways_count;
    char addresses[NODE_SETTINGS_NET_ADDRESSES_MAX][NODE_SETTINGS_LITERAL_BYTES];
    char gateways[NODE_SETTINGS_GATEWAYS_MAX][NODE_SETTINGS_LITERAL_BYTES];
};

struct node_settings {
    uint8_t bundle_sha256[32];
    char console_port[8]; /* "": none */
    char join[8];         /* "": the system file names the node */
    uint32_t listen_count;
    char listen[NODE_SETTINGS_LISTEN_MAX][NODE_SETTINGS_ENDPOINT_BYTES];
    enum node_settings_threads threads;
    char log_level[8];
    struct node_settings_net nets[NODE_SETTINGS_NETS_MAX]; /* by N; `there` or not */
    char admin_listen[NODE_SETTINGS_ENDPOINT_BYTES];       /* "": none */
    char admin_clients[NODE_SETTINGS_CLIENTS_MAX][80];     /* by N; "": none */
    char admin_peers[NODE_SETTINGS_PEERS_MAX][CLAIM_SETTING_VALUE_MAX + 1]; /* by N; "": none */
    char syslog[ADDRESSES_HOST_BYTES_MAX + 9];             /* "": none */
};

/* field-unknown, field-range, field-missing (bundle.sha256; net.N.address of a net with another setting), name-twice (two nets of one link). */
enum system_error node_settings_read(struct node_settings *settings, const struct claim_node_config *record, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* The number of a cluster such as "c0", "s12" (C-6). False: it is no such word. */
bool node_settings_cluster(const char *join, uint32_t *cluster);

#endif
