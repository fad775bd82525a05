/*
 * Exposure: which nodes of a cluster share something that could fail or be captured at once, by the claims that their owners signed (spec/system.md,
 * S-110). A claim shows who says it, not that it is so.
 *
 * Claims are the files *.claim of a folder, at most ADMIN_CLAIMS_MAX of them; of one node the highest number counts. A claim that is missing, does
 * not verify, is older than ADMIN_CLAIM_STALE_DAYS by its file's date (or from the future), or leaves a text empty, counts as shared: it might say
 * what any other says. So does a node of which two different claims have one number. What image this very machine runs is known here: a claim of its
 * node that says another does not count for it, and is named. A cluster is green if nothing is shared by more than f of its nodes.
 *
 * Its members are those of the newest epoch of which a node of the cluster tells here (`members_seen[].node_id` of its status); of a cluster of which
 * nobody tells, those of the system file. A member that came after the system file is known by its id: its card, a file *.card of the same folder, is
 * the right one if it hashes to that id. Without it nobody knows whose claims to believe, and it counts as shared in everything.
 */
#ifndef APPLIANCE_ADMIN_EXPOSURE_H
#define APPLIANCE_ADMIN_EXPOSURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/system.h"

enum { ADMIN_CLAIMS_MAX = 512, ADMIN_CLAIM_STALE_DAYS = 180, ADMIN_CLAIMS_REFUSED_SHOWN = 32 };

/* The node of this machine, and the SHA-256 of the image that runs, in hex. */
struct admin_exposure_own {
    const char *name;
    char image[65];
};

/* {"good", "text", "clusters": [...], "refused": [{"file", "why"}]}; a new reference. `statuses`: an array of what nodes say (admin_statuses()).
 * `own` NULL: not known. Without `system` or `folder` it says what is lacking, and no cluster is good. now_ms is the calendar's. */
json_t *admin_exposure_json(const struct system *system, const char *folder, const json_t *statuses, const struct admin_exposure_own *own,
                            uint64_t now_ms);
/* Is it a member of a cluster now? *card: that of the system file, or all zero: it came later. */
bool admin_exposure_member(const struct system *system, const json_t *statuses, const uint8_t node_id[32], struct card *card);

#endif
