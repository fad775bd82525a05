#include "appliance/status/histogram.h"

#include <stddef.h>

/* Values below 16 have a bucket each; above, the bucket is the exponent and the 4 bits after the leading one. */
static unsigned bucket_of(uint64_t value) {
    if (value < 1u << HISTOGRAM_STEP_BITS) return (unsigned)value;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(value);
    unsigned step = (unsigned)(value >> (exponent - HISTOGRAM_STEP_BITS)) & ((1u << HISTOGRAM_STEP_BITS) - 1);
    return ((exponent - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS) + step;
}

static uint64_t bucket_limit(unsigned bucket) {
    if (bucket < 1u << HISTOGRAM_STEP_BITS) return bucket;
    unsigned exponent = (bucket >> HISTOGRAM_STEP_BITS) + HISTOGRAM_STEP_BITS - 1;
    uint64_t step = bucket & ((1u << HISTOGRAM_STEP_BITS) - 1);
    return (UINT64_C(1) << exponent) + ((step + 1) << (exponent - HISTOGRAM_STEP_BITS)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t value) {
    histogram->buckets[bucket_of(value)]++;
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max) histogram->max = value;
}

void histogram_between(struct histogram *histogram, uint64_t from, uint64_t to) {
    if (from > 0 && to >= from) histogram_add(histogram, to - from);
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned thousandths) {
    uint64_t wanted = (histogram->count * thousandths + 999) / 1000, seen = 0;
    if (histogram->count == 0) return 0;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= wanted && seen > 0) return bucket_limit(bucket) < histogram->max ? bucket_limit(bucket) : histogram->max;
    }
    return histogram->max;
}

uint64_t histogram_below(const struct histogram *histogram, uint64_t limit) {
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket <= bucket_of(limit); bucket++) seen += histogram->buckets[bucket];
    return seen;
}
