/* What the shards of a fake system hold and do: keys, versions, and one client's recorded outcomes (spec/operations.md O-5 to O-12, O-40 to O-44).
 * Written for tests, plainly, apart from the product's executor. */
#ifndef TESTS_CLIENT_FAKE_MODEL_H
#define TESTS_CLIENT_FAKE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/batch.h"
#include "protocol/operation.h"

enum { FAKE_SHARDS_MAX = 4, FAKE_KEYS_MAX = 4096, FAKE_RECORDS_MAX = 4096 };

struct fake_entry {
    uint8_t *key, *value;
    uint32_t key_bytes, value_bytes;
    struct version version;
};

struct fake_record {
    uint64_t number, height;
    uint32_t index, op_count;
    uint8_t digest[32];
    uint8_t *codes;
    int64_t *numbers; /* per operation: what an ADD made */
    bool cancelled;
};

struct fake_shard {
    struct fake_entry entries[FAKE_KEYS_MAX];
    uint32_t entries_count;
    struct fake_record records[FAKE_RECORDS_MAX];
    uint32_t records_count;
    uint64_t floor, height;
    uint64_t seen[FAKE_RECORDS_MAX]; /* numbers that came in any batch and were answered by nobody yet */
    uint32_t seen_count;
    uint64_t told[8 * FAKE_RECORDS_MAX]; /* numbers that were answered once */
    uint32_t told_count;
    uint32_t executed;        /* write parts that took effect */
    uint32_t floors_too_high; /* parts whose floor gives up a number of `seen` */
    uint32_t window;
};

void fake_shard_init(struct fake_shard *shard, uint32_t window);
void fake_shard_free(struct fake_shard *shard);
/* A part came, executed or not: keeps `seen` and the check of floors. */
void fake_shard_saw(struct fake_shard *shard, const struct batch_part *part);
/* Its client has been sent a certified answer that settles it. */
void fake_shard_answered(struct fake_shard *shard, uint64_t number);
/* Executes it: the part's code, results into `writer`, the height. results_at[i] (op_count + 1 of them, may be NULL) are where each result begins. */
uint8_t fake_shard_execute(struct fake_shard *shard, const struct batch_part *part, const uint8_t digest[32], struct bytes_writer *writer,
                           uint64_t *height, size_t *results_at);
/* O-41.2. */
void fake_shard_floor_raise(struct fake_shard *shard, uint64_t floor);
const struct fake_entry *fake_shard_find(const struct fake_shard *shard, const void *key, size_t key_bytes);

#endif
