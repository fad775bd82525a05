/* What the generators of spec/decisions.md and spec/operations.md share: JSON, and blocks of executors told as vectors. */
#ifndef TESTS_VECTORS_GEN_GEN_EXEC_H
#define TESTS_VECTORS_GEN_GEN_EXEC_H

#include <jansson.h>
#include <stdint.h>

#include "tests/appliance/exec_world.h"

void gen_set(json_t *object, const char *name, json_t *value);
void gen_set_hex(json_t *object, const char *name, const void *bytes, size_t count);
void gen_set_u64(json_t *object, const char *name, uint64_t value);
void gen_set_text(json_t *object, const char *name, const char *text);
/* A new list under `name`; a new object in a list, with its "case". */
json_t *gen_group(json_t *out, const char *name);
json_t *gen_case(json_t *list, const char *name);

/* Every entry of the executor's newest state, in order of space and key: {space, key, height, index, value}. */
void gen_state(json_t *out, const struct executor *ex);
/* Executes what waits at the cluster as its next block (final at once), delivers, and tells it: height, time, parent_time, inputs, state_root
 * (after the
 * parent), outbox_root, cursors_hash, outputs, state and state_root_after. */
void gen_block(json_t *list, const char *name, struct world *world, struct world_cluster *cluster, uint64_t ms);

#endif
