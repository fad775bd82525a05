/* What cmd_successor.c (the commands) and cmd_successor_cut.c (what a succession cuts off) share. */
#ifndef CLIENT_CMD_SUCCESSOR_INSIDE_H
#define CLIENT_CMD_SUCCESSOR_INSIDE_H

#include "client/cmd_system_inside.h"
#include "protocol/successor.h"

/* Who succeeds whom, and by what they may be judged. */
struct succession {
    struct system *old, *new;
    char **backups; /* folders, one each for clusters of the old system; NULL at the end */
    char **seen;    /* CLUSTER=HEIGHT: the highest that anybody has seen final; NULL at the end */
    const char *chain; /* a CONFIG_CHAIN payload of a cluster of the old system, by which its administrators are known; NULL: the backups' */
};

/* Prints, before anybody signs, from where each partition goes on, what that loses as far as it can be known, and warnings last. Reads every backup
 * from end to end. False after a message: a backup is not valid, or not that of the origin in the system file. `need_all`: also if an origin has no
 * backup here. */
bool cmd_successor_cut_print(const struct succession *succession, bool need_all);

/* "c0", "s12" to a cluster of the old system; false after a message. */
bool cmd_successor_cluster(const struct succession *succession, const char *word, size_t count, uint32_t *cluster);

#endif
