/*
 * The inside of `heraclius bench`: virtual users in a closed loop over one or more client keys, one thread.
 *
 *   cmd_bench.c        options, files, summary
 *   bench_run.c        users, requests, checks of what comes back
 *   bench_histogram.c  latencies
 *
 * Each user has one operation under way. Users that are ready at the same time share a request: reads as many as fit, writes --ops-per-signature.
 * A value says which key and which write it is, and the rest of its bytes follow from that and the seed, so that every value read is checked.
 */
#ifndef CLIENT_BENCH_H
#define CLIENT_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/heraclius.h"

enum {
    BENCH_KEY_BYTES = 32,
    BENCH_CLIENT_KEYS_MAX = 4096,
    BENCH_USERS_MAX = 1 << 21,
    BENCH_SUB_BUCKETS = 64, /* per power of two: 1.6 % wide */
    BENCH_BUCKETS = 40 * BENCH_SUB_BUCKETS,
};

struct bench_histogram {
    uint64_t counts[BENCH_BUCKETS];
    uint64_t total;
    uint64_t highest;
};

void bench_histogram_add(struct bench_histogram *histogram, uint64_t value);
/* The value that `per_million` of a million lie at or below; 0 if empty. */
uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, uint32_t per_million);

struct bench_options {
    const char *system_path;
    uint32_t users;
    uint32_t seconds;
    uint32_t reads, writes; /* the mix, as parts */
    uint64_t keys;
    uint32_t value_bytes;
    uint32_t ops_per_signature;
    uint32_t client_keys;
    const char *client_path; /* for client_keys 1; NULL: bench-0.key beside the system file */
    bool load;
    uint64_t seed;
    uint32_t warmup_ms;
    FILE *history; /* NULL: none */
};

struct bench_totals {
    uint64_t reads, writes; /* verified, not BUSY, in the measured time */
    uint64_t hits, absent;
    uint64_t busy;
    uint64_t errors; /* wrong or impossible values, refused or unanswered operations */
    uint64_t verification_failures;
    uint64_t resends;
    double seconds;
    struct bench_histogram latency_us;
};

/* Runs it. False after a line on stderr: *exit_code says why. */
bool bench_run(const struct bench_options *options, struct bench_totals *totals, int *exit_code);

#endif
