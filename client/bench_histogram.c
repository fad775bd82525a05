#include "client/bench.h"

/* Values below 64 have a bucket each; above, each power of two is cut into 64 (of which the upper 32 are used past the first). */
static uint32_t bucket_of(uint64_t value) {
    if (value < BENCH_SUB_BUCKETS) return (uint32_t)value;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(value);
    uint32_t shift = power - 5;
    uint32_t bucket = shift * BENCH_SUB_BUCKETS + (uint32_t)(value >> shift);
    return bucket < BENCH_BUCKETS ? bucket : BENCH_BUCKETS - 1;
}

static uint64_t bucket_top(uint32_t bucket) {
    if (bucket < BENCH_SUB_BUCKETS) return bucket;
    uint32_t shift = bucket / BENCH_SUB_BUCKETS;
    uint64_t low = bucket % BENCH_SUB_BUCKETS;
    return ((low + 1) << shift) - 1;
}

void bench_histogram_add(struct bench_histogram *histogram, uint64_t value) {
    histogram->counts[bucket_of(value)]++;
    histogram->total++;
    if (value > histogram->highest) histogram->highest = value;
}

uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, uint32_t per_million) {
    uint64_t wanted = (histogram->total * per_million + 999999) / 1000000;
    uint64_t seen = 0;
    for (uint32_t bucket = 0; bucket < BENCH_BUCKETS && histogram->total > 0; bucket++) {
        seen += histogram->counts[bucket];
        if (seen < wanted || histogram->counts[bucket] == 0) continue;
        uint64_t top = bucket_top(bucket);
        return top < histogram->highest ? top : histogram->highest;
    }
    return histogram->highest;
}
