/*
 * The inside of `heraclius bench`: virtual users over one or more client keys, one thread.
 *
 *   cmd_bench.c        options, files, summary
 *   bench_run.c        the loop: who is ready, what is measured, when it ends
 *   bench_open.c       client keys opened, linked, closed
 *   bench_flight.c     users that are ready, into requests
 *   bench_judge.c      what comes back: is it what can be there? Counted, and told to the history
 *   bench_data.c       keys, values and choices, by the seed
 *   bench_zipf.c, bench_arrivals.c, bench_histogram.c
 *
 * Closed loop: each user has one operation under way, and begins the next when it is answered. Open loop (--rate): operations are due at times that
 * nothing delays; one that is due takes a free user, or waits for one, and its latency counts from when it was due.
 *
 * Users that are ready at the same time share a request: reads as many as fit, writes --ops-per-signature. A value says which key and which write it
 * is, and the rest of its bytes follow from that and the seed, so that every value read is checked.
 *
 * Memory: 32 bytes a user, 4 to 8 for its place in a request, up to 8 in each queue that it passes; 4 bytes a key that is written, 32 with cas in the
 * mix, 24 a number with add. What the library holds of an operation under way (client.h) comes on top, some 250 bytes; what waits in --rate for a
 * user takes none, being a time alone.
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
    BENCH_RATE_MAX = 10000000,
    BENCH_SUB_BUCKETS = 64, /* per power of two: 1.6 % wide */
    BENCH_BUCKETS = 40 * BENCH_SUB_BUCKETS,
    BENCH_SEQ_VALUE_BYTES = 8, /* a shorter value has no room for its write's number, and follows from its key alone */
    BENCH_REQUESTS_BEGIN = 4096, /* under way of all client keys together at first; of each at most: */
    BENCH_REQUESTS_BEGIN_KEY = 32,
    BENCH_REQUESTS_MAX = 256, /* of one client key, ever */
    BENCH_BUSY_MIN_MS = 20,
    BENCH_BUSY_MAX_MS = 1000,
};

enum bench_kind { BENCH_GET = 0, BENCH_PUT, BENCH_CAS, BENCH_ADD, BENCH_DEL, BENCH_KINDS };
extern const char *const bench_kind_names[BENCH_KINDS];

/* bench_histogram.c: values of microseconds. */
struct bench_histogram {
    uint64_t counts[BENCH_BUCKETS];
    uint64_t total;
    uint64_t highest;
};
void bench_histogram_add(struct bench_histogram *histogram, uint64_t value);
/* The value that `per_million` of a million lie at or below; 0 if empty. */
uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, uint32_t per_million);

/* A generator (splitmix64): its state is any number. */
uint64_t bench_random(uint64_t *state);
uint64_t bench_random_below(uint64_t *state, uint64_t bound); /* 1 to 2^32 */
double bench_random_unit(uint64_t *state);                    /* above 0, at most 1 */

/* bench_zipf.c: ranks from 0, each k with a probability in proportion to 1 / (k + 1)^s, exactly; 0 < s < 2. */
struct bench_zipf {
    double count, s, integral_first, integral_last, squeeze;
};
void bench_zipf_init(struct bench_zipf *zipf, uint64_t count, double s);
uint64_t bench_zipf_next(const struct bench_zipf *zipf, uint64_t *random);

/* bench_arrivals.c: when the operations of an open loop are due, in microseconds from its begin: evenly, or as a Poisson process. */
struct bench_arrivals {
    double gap_us;
    bool poisson;
    uint64_t random;
    uint64_t count;  /* of those before the next one */
    double next_us;
};
void bench_arrivals_init(struct bench_arrivals *arrivals, double rate, bool poisson, uint64_t seed);
void bench_arrivals_step(struct bench_arrivals *arrivals);

struct bench_options {
    const char *system_path;
    uint32_t users;
    uint32_t seconds;
    uint32_t weights[BENCH_KINDS]; /* the mix, as parts */
    uint64_t rate;                 /* operations a second that are due; 0: closed loop */
    bool poisson;
    double zipf; /* 0: all keys alike */
    uint64_t keys;
    uint32_t value_bytes;
    uint32_t ops_per_signature;
    uint32_t client_keys;
    const char *client_path; /* for client_keys 1; NULL: bench-0.key beside the system file */
    bool load;
    uint64_t seed;
    uint32_t warmup_ms;
    FILE *history; /* NULL: none */
    FILE *series;  /* NULL: none */
};

/* All in the measured time, but errors and verification failures, which count whenever they come. */
struct bench_totals {
    uint64_t ops[BENCH_KINDS]; /* verified, answered by more than BUSY */
    uint64_t hits, absent;     /* of the reads */
    uint64_t cas_failed;       /* of the cas: answered that the key had changed */
    uint64_t cas_reads;        /* for a cas of a key whose version was not known; no operations of their own */
    uint64_t busy;             /* operations answered BUSY; each is tried again, and may be so answered again */
    uint64_t due, started_late; /* open loop: due; of these: those that had to wait for a user, or still wait */
    uint64_t errors; /* wrong or impossible values, refused or unanswered operations */
    uint64_t verification_failures;
    uint64_t resends;
    double seconds;
    double cpu_user_s, cpu_system_s; /* of this process */
    uint64_t rss_bytes;              /* at the most, ever */
    struct bench_histogram latency_us;
};

/* Runs it. False after a line on stderr: *exit_code says why. */
bool bench_run(const struct bench_options *options, struct bench_totals *totals, int *exit_code);

#endif
