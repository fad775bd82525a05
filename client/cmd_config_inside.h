/* What cmd_config.c (the commands) and cmd_config_view.c (files, chains, what changes) share. */
#ifndef CLIENT_CMD_CONFIG_INSIDE_H
#define CLIENT_CMD_CONFIG_INSIDE_H

#include "client/cmd_system_inside.h"
#include "client/command.h"
#include "protocol/admin_op.h"
#include "protocol/config_chain.h"

enum { VIEW_CARDS_MAX = 4096 };

/* A cluster as a chain shows it: the CONFIG in force, and the names of all nodes that ever were in it. */
struct config_view {
    struct system *system;
    uint32_t cluster;
    struct config_chain *chain;
    struct config *before;      /* of the epoch before the newest; NULL at genesis */
    struct card *cards;         /* that CONFIG operations carried */
    uint32_t card_count;
};

/* "c0", "s12" to a cluster's number; false after a message. */
bool cmd_config_cluster(const char *word, const struct system *system, uint32_t *cluster);
void cmd_config_cluster_name(uint32_t cluster, char out[16]);

/* From a CONFIG_CHAIN payload (NULL, 0: genesis), every step verified; false after a message that begins with `path`. Free it also then. The system
 * stays the caller's. */
bool cmd_config_view_open(struct config_view *view, struct system *system, uint32_t cluster, const char *path, const uint8_t *payload, size_t bytes);
void cmd_config_view_close(struct config_view *view);
/* The name of a node that the view knows, or the first half of its id in hex. */
const char *cmd_config_node_name(const struct config_view *view, const struct admin_op *operation, const uint8_t node_id[32], char out[40]);
/* Index among the members of the CONFIG in force, by name or id in hex; -1 after a message. */
int cmd_config_member(const struct config_view *view, const char *word);

/* What the operation would change, against the view's CONFIG in force, for those who sign it: warnings last. */
void cmd_config_print(const struct config_view *view, const struct admin_op *operation);
/* What no CONFIG may change or raise (D-32): nodes would give it no effect. False after a message. */
bool cmd_config_limits_fit(const struct config_view *view, const struct config *config);

#endif
