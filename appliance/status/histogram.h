/*
 * A small log-linear histogram of times: 16 steps to each power of two, so a quantile is right within 6.25 %; no heap, one writer, any thread may
 * read (each figure by itself).
 */
#ifndef APPLIANCE_HISTOGRAM_H
#define APPLIANCE_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEP_BITS = 4, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS };

struct histogram {
    uint64_t count, sum, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
/* The time between two moments, both in one unit; if the first is 0 (not known) or later, none. */
void histogram_between(struct histogram *histogram, uint64_t from, uint64_t to);
/* The least bucket limit below which at least this share (0 to 1000 thousandths) of the values lie; 0 if there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned thousandths);
/* How many values are at most `limit` (the bucket that holds limit counted whole). */
uint64_t histogram_below(const struct histogram *histogram, uint64_t limit);

#endif
