/* What the generators of spec/decisions.md and spec/operations.md share: blocks of executors told as vectors. */
#ifndef TESTS_VECTORS_GEN_GEN_EXEC_H
#define TESTS_VECTORS_GEN_GEN_EXEC_H

#include <jansson.h>
#include <stdint.h>

#include "tests/appliance/exec_world.h"
#include "tests/vectors_gen/gen_json.h"

/* Every entry of the executor's newest state, in order of space and key: {space, key, height, index, value}. */
void gen_state(json_t *out, const struct executor *ex);
/* Executes what waits at the cluster as its next block (final at once), delivers, and tells it: height, time, parent_time, inputs, state_root
 * (after the
 * parent), outbox_root, cursors_hash, outputs, state and state_root_after. */
void gen_block(json_t *list, const char *name, struct world *world, struct world_cluster *cluster, uint64_t ms);

#endif
