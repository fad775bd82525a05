/*
 * What a shard's operations do, said again in the simplest way, from spec/operations.md alone: an array of keys, a copy for undo.
 */
#ifndef TESTS_APPLIANCE_EXEC_MODEL_H
#define TESTS_APPLIANCE_EXEC_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/operation.h"

enum { MODEL_KEYS_MAX = 64, MODEL_VALUE_BYTES_MAX = 64 };

struct model_entry {
    bool present;
    uint8_t key[32];
    uint32_t key_bytes;
    uint8_t value[MODEL_VALUE_BYTES_MAX];
    uint32_t value_bytes;
    struct version version;
};

struct model {
    struct model_entry entries[MODEL_KEYS_MAX];
    uint32_t count;
};

struct model_result {
    uint8_t code;
    bool versioned;
    bool left_out;
    struct version version;
    uint8_t value[MODEL_VALUE_BYTES_MAX];
    uint32_t value_bytes;
};

/* A list at (height, index of the first operation). */
void model_run(struct model *model, const struct operation *ops, uint32_t count, bool atomic, uint64_t height, uint32_t index,
    struct model_result *results);

#endif
