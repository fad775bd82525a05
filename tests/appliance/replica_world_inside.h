/* Between the files of the replica world. */
#ifndef TESTS_APPLIANCE_REPLICA_WORLD_INSIDE_H
#define TESTS_APPLIANCE_REPLICA_WORLD_INSIDE_H

#include "tests/appliance/replica_world.h"

/* replica_world_state.c: nodes with checkpoint stores (rw->stored) */
void rw_state_make(struct replica_world *rw, struct rw_node *node);
void rw_state_unmake(struct rw_node *node);
/* Opens the store, and puts a checkpoint that came whole into its place. */
void rw_state_prepare(struct rw_node *node);
void rw_checkpoint_restore(struct rw_node *node);
void rw_pairs_restore(struct rw_node *node);
void rw_epochs_tell(struct rw_node *node);
void rw_transfer_start(struct replica_world *rw, struct rw_node *node);
/* True: a whole checkpoint has come; the node is to start anew. */
bool rw_transfer_run(struct replica_world *rw, struct rw_node *node);

#endif
