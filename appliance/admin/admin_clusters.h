/*
 * The clusters as the nodes of this admin see them: who votes, who leads, and whether one more node may be lost. Pure.
 *
 * A node that answers speaks for itself. Of a node that does not answer here (it runs elsewhere, or it is down) the nodes that vote speak; if none of
 * those that answer votes, all of them do. It counts as voting only if all of them see it vote (spec/appliance.md A-29), which a link alone does not
 * say; if one sees that it does not, it does not; of whom it is not known counts as lost, and is named so. A cluster decides with q = n - f
 * nodes: what votes beyond q may be lost.
 */
#ifndef APPLIANCE_ADMIN_CLUSTERS_H
#define APPLIANCE_ADMIN_CLUSTERS_H

#include <jansson.h>

enum { ADMIN_CLUSTERS_MAX = 64, ADMIN_MEMBERS_MAX = 16 };

/* From an array of statuses ("error" in place of what a node says is fine) an array, by name; a new reference. Each: "cluster", "members", "faults",
 * "quorum", "up" (how many vote), "may_lose", "text" (a sentence for people), "leader" (a member or null), "view", "height", "nodes": each member's
 * "member", "name" (null: not known here), "state", "up" (it votes), "leads", "needed". What does not make sense in a status leaves it out. */
json_t *admin_clusters_json(const json_t *statuses);

#endif
