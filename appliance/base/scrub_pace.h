/*
 * How fast a scrub goes through a store. Pure.
 *
 * `records_s` of node.conf is for a store of SCRUB_ROUND_RECORDS_MIN records or more. A smaller one is not read again and again: it has as long for a
 * round as one of that size (ten minutes at 500 a second).
 */
#ifndef APPLIANCE_SCRUB_PACE_H
#define APPLIANCE_SCRUB_PACE_H

#include <stdint.h>

#define SCRUB_ROUND_RECORDS_MIN UINT64_C(300000)

/* How many records are due for `ms` since the last ones, of a store that has so many. Below 1 time gathers: the caller comes again later. */
static inline uint64_t scrub_pace_due(uint64_t records_s, uint64_t store_records, uint64_t ms) {
    uint64_t most = records_s * ms / 1000;
    return store_records >= SCRUB_ROUND_RECORDS_MIN ? most : most * (store_records + 1) / SCRUB_ROUND_RECORDS_MIN;
}

#endif
