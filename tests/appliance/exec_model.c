#include "tests/appliance/exec_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

static struct model_entry *entry_of(struct model *model, const struct operation *op) {
    for (uint32_t i = 0; i < model->count; i++)
        if (model->entries[i].key_bytes == op->key_bytes && memcmp(model->entries[i].key, op->key, op->key_bytes) == 0) return &model->entries[i];
    CHECK(model->count < MODEL_KEYS_MAX && op->key_bytes <= 32);
    struct model_entry *entry = &model->entries[model->count++];
    memset(entry, 0, sizeof *entry);
    memcpy(entry->key, op->key, op->key_bytes);
    entry->key_bytes = op->key_bytes;
    return entry;
}

static void store(struct model_entry *entry, const void *value, uint32_t bytes, struct version version, struct model_result *result) {
    CHECK(bytes <= MODEL_VALUE_BYTES_MAX);
    entry->present = true;
    memmove(entry->value, value, bytes);
    entry->value_bytes = bytes;
    entry->version = version;
    result->code = CODE_OK;
    result->versioned = true;
    result->version = version;
}

/* By long arithmetic on texts would be better still; __int128 is independent enough of the code under test. */
static bool number_of(const struct model_entry *entry, __int128 *number) {
    char text[MODEL_VALUE_BYTES_MAX + 1], again[48];
    *number = 0;
    if (!entry->present) return true;
    if (entry->value_bytes == 0 || entry->value_bytes > 20) return false;
    memcpy(text, entry->value, entry->value_bytes);
    text[entry->value_bytes] = 0;
    char *end;
    long long value = strtoll(text, &end, 10);
    snprintf(again, sizeof again, "%lld", value);
    if (*end || strcmp(text, again) != 0) return false;
    *number = value;
    return true;
}

static void add(struct model_entry *entry, const struct operation *op, struct version version, struct model_result *result) {
    __int128 number;
    int64_t delta, floor = INT64_MIN;
    memcpy(&delta, op->argument_a, 8);
    if (op->b) memcpy(&floor, op->argument_b, 8);
    if (!number_of(entry, &number)) {
        result->code = CODE_WRONG_TYPE;
        return;
    }
    __int128 sum = number + delta;
    if (sum > INT64_MAX || sum < INT64_MIN) {
        result->code = CODE_OVERFLOW;
        return;
    }
    char text[24];
    if (op->b && delta < 0 && sum < floor) {
        result->code = CODE_BELOW_FLOOR;
        result->value_bytes = (uint32_t)snprintf(text, sizeof text, "%lld", (long long)number);
        memcpy(result->value, text, result->value_bytes);
        return;
    }
    uint32_t bytes = (uint32_t)snprintf(text, sizeof text, "%lld", (long long)sum);
    store(entry, text, bytes, version, result);
    memcpy(result->value, text, bytes);
    result->value_bytes = bytes;
}

static bool version_equal(struct version a, struct version b) {
    return a.height == b.height && a.index == b.index;
}

static void carry_version(const struct model_entry *entry, bool asked, struct model_result *result) {
    if (!asked || !entry->present) return;
    result->versioned = true;
    result->version = entry->version;
}

static void cas(struct model_entry *entry, const struct operation *op, struct version version, struct model_result *result) {
    bool same = false;
    if (entry->present && op->opcode == OPERATION_CAS) same = entry->value_bytes == op->a && memcmp(entry->value, op->argument_a, op->a) == 0;
    if (entry->present && op->opcode == OPERATION_CAS_VERSION) same = version_equal(entry->version, version_get(op->argument_a));
    if (same) {
        store(entry, op->argument_b, op->b, version, result);
        return;
    }
    result->code = CODE_MISMATCH;
    carry_version(entry, true, result);
}

static void run_one(struct model *model, const struct operation *op, struct version version, struct model_result *result) {
    memset(result, 0, sizeof *result);
    struct model_entry *entry = entry_of(model, op);
    bool asked = op->flags & OPERATION_FLAG_VERSION;
    switch (op->opcode) {
    case OPERATION_GET:
        result->code = entry->present ? CODE_OK : CODE_ABSENT;
        carry_version(entry, asked, result);
        if (!entry->present) break;
        result->value_bytes = entry->value_bytes;
        result->left_out = entry->value_bytes > op->a;
        memcpy(result->value, entry->value, entry->value_bytes);
        break;
    case OPERATION_CHECK:
        result->code = CODE_CHECK_FAILED;
        if (op->a == 0 ? !entry->present : entry->present && version_equal(entry->version, version_get(op->argument_a))) result->code = CODE_OK;
        carry_version(entry, asked, result);
        break;
    case OPERATION_PUT: store(entry, op->argument_a, op->a, version, result); break;
    case OPERATION_PUT_IF_ABSENT:
        if (entry->present) result->code = CODE_EXISTS;
        else store(entry, op->argument_a, op->a, version, result);
        break;
    case OPERATION_CAS:
    case OPERATION_CAS_VERSION: cas(entry, op, version, result); break;
    case OPERATION_DELETE:
        result->code = entry->present ? CODE_OK : CODE_ABSENT;
        if (entry->present) result->versioned = true, result->version = version;
        entry->present = false;
        break;
    case OPERATION_ADD: add(entry, op, version, result); break;
    default: result->code = CODE_UNSUPPORTED;
    }
}

void model_run(struct model *model, const struct operation *ops, uint32_t count, bool atomic, uint64_t height, uint32_t index,
    struct model_result *results) {
    struct model before = *model;
    for (uint32_t i = 0; i < count; i++) {
        run_one(model, &ops[i], (struct version){.height = height, .index = index + i}, &results[i]);
        uint8_t code = results[i].code;
        bool harmless = code == CODE_OK || (code == CODE_ABSENT && (ops[i].opcode == OPERATION_GET || ops[i].opcode == OPERATION_DELETE));
        if (!atomic || harmless) continue;
        *model = before;
        struct model_result own = results[i];
        for (uint32_t k = 0; k < count; k++) results[k] = (struct model_result){.code = CODE_NOT_EXECUTED};
        results[i] = own;
        return;
    }
}
