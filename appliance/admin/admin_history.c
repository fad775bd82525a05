#include "appliance/admin/admin_history.h"

#include <stdio.h>
#include <stdlib.h>

bool admin_history_start(struct admin_history *history, const struct admin_nodes *nodes) {
    history->nodes = nodes;
    history->series = calloc(nodes->count + 1, sizeof *history->series);
    for (size_t i = 0; history->series != NULL && i < nodes->count; i++)
        (void)snprintf(history->series[i].name, sizeof history->series[i].name, "%s", admin_nodes_name(nodes, i));
    return history->series != NULL;
}

static uint64_t number_of(const json_t *object, const char *name) {
    json_int_t value = json_integer_value(json_object_get(object, name));
    return value > 0 ? (uint64_t)value : 0;
}

void admin_history_add(struct admin_history *history, size_t node, const json_t *status, uint64_t at_ms) {
    struct admin_series *series = &history->series[node];
    const json_t *commit = json_object_get(status, "commit_us"), *queues = json_object_get(status, "queues");
    series->samples[series->count++ % ADMIN_SAMPLES_MAX] = (struct admin_sample){
        .at_ms = at_ms,
        .up = status != NULL,
        .height = number_of(status, "height"),
        .decisions = number_of(status, "decisions"),
        .commit_count = number_of(commit, "count"),
        .commit_sum_us = number_of(commit, "sum"),
        .inputs_waiting = number_of(queues, "inputs_waiting"),
        .blocks_open = number_of(queues, "blocks_open"),
        .resident_bytes = number_of(status, "resident_bytes"),
        .wal_bytes = number_of(json_object_get(status, "wal"), "bytes"),
    };
}

json_t *admin_history_json(const struct admin_history *history, size_t newest) {
    json_t *all = json_array();
    if (history->nodes->count > 0 && newest > ADMIN_HISTORY_SHOWN / history->nodes->count) newest = ADMIN_HISTORY_SHOWN / history->nodes->count;
    for (size_t node = 0; node < history->nodes->count; node++) {
        const struct admin_series *series = &history->series[node];
        json_t *samples = json_array();
        uint64_t kept = series->count < ADMIN_SAMPLES_MAX ? series->count : ADMIN_SAMPLES_MAX;
        if (kept > newest) kept = newest;
        for (uint64_t at = series->count - kept; at < series->count; at++) {
            const struct admin_sample *one = &series->samples[at % ADMIN_SAMPLES_MAX];
            json_array_append_new(samples, json_pack("{s:I,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "at_ms", (json_int_t)one->at_ms, "up", (int)one->up,
                                                     "height", (json_int_t)one->height, "decisions", (json_int_t)one->decisions, "commit_count",
                                                     (json_int_t)one->commit_count, "commit_sum_us", (json_int_t)one->commit_sum_us, "inputs_waiting",
                                                     (json_int_t)one->inputs_waiting, "blocks_open", (json_int_t)one->blocks_open, "resident_bytes",
                                                     (json_int_t)one->resident_bytes, "wal_bytes", (json_int_t)one->wal_bytes));
        }
        json_array_append_new(all, json_pack("{s:s,s:o}", "node", series->name, "samples", samples));
    }
    return all;
}
