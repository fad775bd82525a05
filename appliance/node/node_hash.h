/*
 * Private to the node's shell: the threads that help execution to hash a large block, in the split map (executor_helpers()).
 *
 * Execution hands each helper the same work with shares of its own, does its shares itself, and waits until all are back: no share outlives the call.
 */
#ifndef APPLIANCE_NODE_HASH_H
#define APPLIANCE_NODE_HASH_H

#include "appliance/exec/executor.h"
#include "appliance/node/node_lane.h"

struct node;
struct node_hash; /* opaque */

/* As many threads as the plan has; they help this node's executor until node_hash_stop(). */
struct node_hash *node_hash_start(struct node *node);
/* When execution has ended; NULL will do. */
void node_hash_stop(struct node_hash *hash);

#endif
