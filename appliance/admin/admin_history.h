/*
 * What the page plots: a bounded ring of samples a node, in memory, one every ADMIN_SAMPLE_MS. A sample of a node that does not answer has `up` false
 * and nothing else.
 */
#ifndef APPLIANCE_ADMIN_HISTORY_H
#define APPLIANCE_ADMIN_HISTORY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "appliance/admin/admin.h"

enum { ADMIN_SAMPLES_MAX = 720, ADMIN_SAMPLE_MS = 5000, ADMIN_HISTORY_NAME_BYTES = 64, ADMIN_HISTORY_SHOWN = 20000 };

/* Counters since the node's start; the reader takes differences. */
struct admin_sample {
    uint64_t at_ms; /* calendar */
    bool up;
    uint64_t height, decisions, commit_count, commit_sum_us, inputs_waiting, blocks_open, resident_bytes, wal_bytes;
};

struct admin_history {
    const struct admin_nodes *nodes;
    struct admin_series {
        char name[ADMIN_HISTORY_NAME_BYTES]; /* as this program was told */
        uint64_t count;                      /* taken in all; the newest is at (count - 1) % ADMIN_SAMPLES_MAX */
        struct admin_sample samples[ADMIN_SAMPLES_MAX];
    } * series; /* one a node */
};

/* False: no memory. */
bool admin_history_start(struct admin_history *history, const struct admin_nodes *nodes);
/* One sample from a node's status; NULL: it did not answer. */
void admin_history_add(struct admin_history *history, size_t node, const json_t *status, uint64_t at_ms);
/* [{"node", "samples": [{"at_ms", "up", "height", ...}, ...]}], oldest first; a new reference. At most `newest` samples a node, and
 * ADMIN_HISTORY_SHOWN in all. */
json_t *admin_history_json(const struct admin_history *history, size_t newest);

#endif
