/* Costs, limits and what is modelled. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/model.h"

static const struct {
    const char *name;
    size_t offset;
} fields[] = {
#define MODEL_ROW(field) {#field, offsetof(struct model_costs, field)},
    MODEL_COSTS(MODEL_ROW)
#undef MODEL_ROW
};

enum { FIELDS = sizeof fields / sizeof fields[0] };

void model_setup_default(struct model_setup *setup) {
    memset(setup, 0, sizeof *setup);
    setup->side = 1;
    setup->users = 65536;
    setup->value_bytes = 32;
    setup->nodes = 4;
    setup->cores = 1;
    setup->handles = 4;
    setup->clients = 1;
    setup->flights = 2;
    setup->flight_ops = 8192;
    setup->warm = 3;
    setup->measured = 6;
    setup->seconds_max = 600;
    setup->seed = 1;
    system_limits_default(&setup->limits);
    system_timeouts_default(&setup->timeouts);
}

static double *cost_at(struct model_costs *costs, size_t row) {
    return (double *)(void *)((uint8_t *)costs + fields[row].offset);
}

bool model_costs_load(const char *path, struct model_costs *costs, char why[256]) {
    json_error_t error;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        snprintf(why, 256, "%s: line %d: %s", path, error.line, error.text);
        return false;
    }
    const json_t *list = json_object_get(root, "costs");
    bool good = json_is_object(list);
    if (!good) snprintf(why, 256, "%s: has no object \"costs\"", path);
    for (size_t i = 0; good && i < FIELDS; i++) {
        const json_t *value = json_object_get(list, fields[i].name);
        good = json_is_number(value) && json_number_value(value) >= 0;
        if (!good) snprintf(why, 256, "%s: costs: \"%s\" must be a number, 0 or more", path, fields[i].name);
        if (good) *cost_at(costs, i) = json_number_value(value);
    }
    if (good && json_object_size(list) != FIELDS) {
        snprintf(why, 256, "%s: costs: %zu names, %d are known (tests/model/model.h)", path, json_object_size(list), FIELDS);
        good = false;
    }
    json_decref(root);
    return good;
}

static bool limit_set(void *base, const struct system_limit_row *rows, size_t count, const char *name, size_t name_bytes, double value) {
    for (size_t i = 0; i < count; i++) {
        if (strlen(rows[i].name) != name_bytes || memcmp(rows[i].name, name, name_bytes) != 0) continue;
        system_limit_set(base, &rows[i], (uint64_t)value);
        return true;
    }
    return false;
}

bool model_set(struct model_setup *setup, const char *word, char why[256]) {
    const char *equals = strchr(word, '=');
    char *end;
    double value = equals ? strtod(equals + 1, &end) : 0;
    if (!equals || equals[1] == '\0' || *end != '\0' || !(value >= 0 && value < 1e15)) {
        snprintf(why, 256, "--set %.100s: NAME=VALUE is meant, VALUE a number, 0 or more", word);
        return false;
    }
    size_t bytes = (size_t)(equals - word);
    if (limit_set(&setup->limits, system_limit_rows, SYSTEM_LIMITS_COUNT, word, bytes, value) ||
        limit_set(&setup->timeouts, system_timeout_rows, SYSTEM_TIMEOUTS_COUNT, word, bytes, value))
        return true;
    for (size_t i = 0; i < FIELDS; i++) {
        if (strlen(fields[i].name) != bytes || memcmp(fields[i].name, word, bytes) != 0) continue;
        *cost_at(&setup->costs, i) = value;
        return true;
    }
    snprintf(why, 256, "--set %.100s: no limit, time-out or cost has this name", word);
    return false;
}
