/* What the files of bench share: bench.h is the map. */
#ifndef CLIENT_BENCH_INSIDE_H
#define CLIENT_BENCH_INSIDE_H

#include <assert.h>

#include "client/bench.h"
#include "protocol/system.h"

enum { BENCH_NOBODY = UINT32_MAX, BENCH_TICK_MS = 20 };

/* What a user's operation is about to do. A cas of a key of which nothing was seen reads it first. */
enum bench_step { BENCH_STEP_ONLY = 0, BENCH_STEP_READ, BENCH_STEP_CAS };

struct user {
    uint64_t started_us; /* open loop: when it was due */
    uint64_t seq;        /* of the write under way; add: the highest number known when it left */
    uint64_t expected;   /* cas: the write whose value is to be there; 0: none, the key is to be absent */
    uint32_t key;
    uint16_t shard; /* of its key, if there are groups */
    uint8_t kind, step;
};
static_assert(sizeof(struct user) == 32, "bench.h states it; half a cache line: a million of them lie in no cache");

/* First come, first served: a ring, so that who comes next is known before its turn. */
struct user_queue {
    uint32_t *users;
    uint32_t first, count, room; /* room: a power of two */
};

/* A request and the users whose operations it holds, in order. Kept and used again by its handle. */
struct flight {
    struct flight *next;
    struct handle *handle;
    struct heraclius_request *request;
    uint32_t *users;
    uint32_t count, room;
    bool write;
};

/* One client key. */
struct handle {
    struct bench *bench;
    struct heraclius *db;
    struct flight *flights; /* that are not under way */
    uint32_t index;
    struct user_queue reads, writes; /* ready to leave */
    uint32_t reads_under_way;
    uint32_t requests_under_way;
    struct handle *next_active;
    bool active; /* in bench->active */
    bool probed;
    uint64_t busy_seen, resends_seen;
    uint64_t busy_until_ms; /* back-off: no new requests before */
    uint32_t busy_wait_ms;
    /* So many requests under way at most: one more for each that is done, until too much is under way the first time; then halved each time, and one
     * more each time that so many are done. */
    double window;
    bool window_found;
};

/* The newest write that an answer showed of a key; height 0: none. */
struct seen {
    uint64_t height, seq; /* seq 0: it was deleted */
    uint32_t index;
};

/* A key of the number space. All adds are of 1. */
struct number {
    int64_t lowest, highest; /* that an answer told */
    uint32_t issued;
    bool known;
};

struct load_key {
    uint8_t path[8]; /* its first bytes */
    uint32_t key, group;
};

/* Whose handles serve a shard: those of so many coordinator clusters from `cluster` on; `handles`: how many the first of them has. */
struct shard_handles {
    uint32_t cluster, clusters, handles;
};

/* Of a group's keys: positions in load_order. */
struct load_range {
    uint64_t next, end;
};

struct bench {
    const struct bench_options *options;
    struct bench_totals *totals;
    struct handle *handles;
    struct handle *active; /* have something to do now */
    struct user *users;
    struct user_queue free; /* open loop */
    struct bench_zipf zipf;
    struct bench_arrivals starts, dues; /* the same times: begun so far, due so far */
    uint64_t began_us;                  /* that their times count from */
    uint64_t late_through;              /* those before that one which had to wait are counted */
    uint32_t *issued;                   /* per key: how many writes were handed out */
    uint64_t seq_base;                  /* their numbers are above it */
    struct seen *seen;                  /* per key; NULL: no cas in the mix */
    struct number *numbers;             /* NULL: no add in the mix */
    bool number_strangers;              /* an earlier run's adds may yet happen */
    uint32_t weights;                   /* in all */
    uint32_t shards, clusters, groups;  /* of shards, each of which is asked through its own of so many coordinator clusters; one group: any handle */
    struct shard_handles of_shard[SYSTEM_CLUSTERS_MAX];
    uint64_t random, random_busy;
    uint32_t reads_max, writes_max; /* in one request */
    struct bench_histogram second_us; /* --series: of this second */
    bool running, measuring, stopping, loading;
    uint64_t loaded; /* keys that were handed out */
    struct load_key *load_order; /* by group */
    struct load_range *load_ranges;
    uint64_t tick_at_ms;
    int epoll;
    bool failed;
};

/* bench_data.c */
void bench_key_make(const struct bench *bench, enum bench_kind kind, uint64_t key, uint8_t out[BENCH_KEY_BYTES]);
void bench_value_make(const struct bench *bench, uint64_t key, uint64_t seq, uint8_t *out);
/* Is it a value that this run, or an earlier one with the same seed, can have written to this key? *seq: by which write; 0: it has no room for it. */
bool bench_value_right(const struct bench *bench, uint64_t key, const struct heraclius_result *result, uint64_t *seq);
void bench_choose(struct bench *bench, struct user *user); /* kind and key */

/* bench_flight.c */
void bench_queue_push(struct user_queue *queue, uint32_t user);
uint32_t bench_queue_pop(const struct bench *bench, struct user_queue *queue); /* BENCH_NOBODY: it is empty */
/* Those handles serve a group whose node is of its coordinator cluster, so that a batch is of one group (client/groups.c); of these by user. */
void bench_groups_find(struct bench *bench, uint32_t coordinators, uint32_t shards);
struct handle *bench_handle_of(const struct bench *bench, uint32_t shard, uint32_t user);
uint32_t bench_handle_group(const struct handle *handle);
void bench_user_begin(struct bench *bench, uint32_t user, uint64_t started_us); /* chooses its operation; it is ready */
void bench_user_ready(struct bench *bench, uint32_t user);                      /* its operation may leave */
void bench_handle_active(struct handle *handle);
void bench_handle_serve(struct handle *handle, uint64_t now_ms); /* what may leave leaves; what came is taken */
struct flight *bench_flight_take(struct handle *handle);
void bench_flight_go(struct flight *flight, uint32_t timeout_ms, heraclius_callback *callback);
void bench_flight_end(struct flight *flight); /* back to its handle */
bool bench_load_order(struct bench *bench);   /* false: no memory */

/* bench_judge.c */
/* One user's operation came back. True: it goes on with its next step. */
bool bench_judge(struct bench *bench, struct flight *flight, uint32_t position, enum heraclius_status status, uint64_t now_us);

/* bench_open.c */
bool bench_open(struct bench *bench, int *exit_code); /* false after a line on stderr */
void bench_close(struct bench *bench);                /* counters into the totals */
uint64_t bench_busy(const struct bench *bench);       /* operations answered BUSY so far */
uint64_t bench_resends(const struct bench *bench);

/* bench_run.c */
void bench_turn(struct bench *bench);
uint32_t bench_under_way(const struct bench *bench); /* requests */

#endif
