#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "bft/ed25519.h"
#include "client/bench.h"
#include "client/command.h"
#include "merkle/bytes.h"
#include "merkle/sha256.h"
#include "merkle/trie.h"
#include "protocol/system.h"
#include "ring/clock.h"

enum {
    CALL_MS = 30000,
    LOAD_MS = 600000, /* filling a table is not measured: it may take as long as the disks do */
    READS_UNDER_WAY_MAX = 2,
    WRITES_UNDER_WAY_MAX = 256,
    READ_OPS_MAX = 8192,
    LOAD_OPS = 256,
    LOCK_MS = 2000,
    DRAIN_MS = 30000,
    EVENTS = 64,
    LOAD_AHEAD = 16
};

struct user {
    uint32_t next; /* in a handle's ready list; UINT32_MAX: none */
    bool write;
    uint64_t key;
    uint64_t seq; /* of the write under way */
    uint64_t started_us;
};

/* One client key. */
struct handle {
    struct bench *bench;
    struct heraclius *db;
    uint32_t index;
    uint32_t ready_reads, ready_writes; /* heads of lists of users */
    uint32_t ready_reads_count, ready_writes_count;
    uint32_t reads_under_way;
    uint32_t requests_under_way;
};

/* A request and the users whose operations it holds, in order. Kept and used again. */
struct flight {
    struct flight *next;
    struct handle *handle;
    struct heraclius_request *request;
    uint32_t *users;
    uint32_t count, room;
    bool write;
};

struct load_key {
    uint8_t path[8]; /* its first bytes */
    uint64_t key;
};

struct bench {
    const struct bench_options *options;
    struct bench_totals *totals;
    struct handle *handles;
    struct user *users;
    uint64_t *issued; /* per key: the highest write number handed out; 0: none */
    struct flight *flights;
    uint64_t random;
    bool measuring, stopping, loading;
    uint64_t load_next; /* position in load_order */
    struct load_key *load_order;
    int epoll;
    bool failed;
};

static uint64_t mix(uint64_t value) {
    value += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
}

static uint64_t random_next(struct bench *bench) {
    bench->random += 0x9e3779b97f4a7c15;
    return mix(bench->random);
}

static void key_make(const struct bench *bench, uint64_t key, uint8_t out[BENCH_KEY_BYTES]) {
    uint8_t preimage[16];
    bytes_put_le64(preimage, bench->options->seed);
    bytes_put_le64(preimage + 8, key);
    sha256_hash(preimage, sizeof preimage, out);
}

/* Bytes 0 to 7: the write's number; then bytes that follow from seed, key and number. */
static void value_make(const struct bench *bench, uint64_t key, uint64_t seq, uint8_t *out) {
    uint32_t count = bench->options->value_bytes;
    uint64_t state = mix(bench->options->seed ^ mix(key ^ mix(seq)));
    uint8_t word[8];
    for (uint32_t at = 0; at < count; at += 8) {
        bytes_put_le64(word, at == 0 ? seq : mix(state + at));
        memcpy(out + at, word, count - at < 8 ? count - at : 8);
    }
}

/* Is it a value that this run, or an earlier one with the same seed, can have written to this key? Numbers below 2^40 are of loads and of this
 * run. */
static bool value_right(const struct bench *bench, uint64_t key, const struct heraclius_result *result, uint64_t *seq) {
    static uint8_t expected[HERACLIUS_VALUE_BYTES_MAX];
    *seq = 0;
    if (!result->has_value || result->value_bytes != bench->options->value_bytes) return false;
    if (result->value_bytes < 8) return true;
    *seq = bytes_get_le64(result->value);
    value_make(bench, key, *seq, expected);
    return memcmp(expected, result->value, result->value_bytes) == 0;
}

static struct flight *flight_take(struct bench *bench, struct handle *handle) {
    struct flight **at = &bench->flights;
    while (*at && (*at)->handle != handle) at = &(*at)->next;
    struct flight *flight = *at;
    if (flight) {
        *at = flight->next;
        heraclius_request_reset(flight->request);
        flight->count = 0;
        return flight;
    }
    flight = calloc(1, sizeof *flight);
    if (!flight) abort();
    flight->handle = handle;
    flight->request = heraclius_request_new(handle->db);
    if (!flight->request) abort();
    return flight;
}

static void flight_user(struct flight *flight, uint32_t user) {
    if (flight->count == flight->room) {
        flight->room = flight->room ? flight->room * 2 : 64;
        flight->users = realloc(flight->users, flight->room * sizeof *flight->users);
        if (!flight->users) abort();
    }
    flight->users[flight->count++] = user;
}

static void user_ready(struct bench *bench, uint32_t index) {
    struct user *user = &bench->users[index];
    const struct bench_options *options = bench->options;
    struct handle *handle = &bench->handles[index % options->client_keys];
    user->write = random_next(bench) % (options->reads + options->writes) >= options->reads;
    user->key = random_next(bench) % options->keys;
    user->started_us = ring_clock_us();
    uint32_t *head = user->write ? &handle->ready_writes : &handle->ready_reads;
    if (user->write)
        handle->ready_writes_count++;
    else
        handle->ready_reads_count++;
    user->next = *head;
    *head = index;
}

static void history_line(struct bench *bench, uint32_t index, uint64_t returned_us, const char *outcome, uint64_t seq) {
    const struct user *user = &bench->users[index];
    if (!bench->options->history) return;
    fprintf(bench->options->history,
            "{\"user\":%u,\"op\":\"%s\",\"key\":%" PRIu64 ",\"call\":%" PRIu64 ",\"return\":%" PRIu64 ",\"outcome\":\"%s\",\"value\":%" PRIu64 "}\n",
            index, user->write ? "put" : "get", user->key, user->started_us, returned_us, outcome, seq);
}

static void error_note(struct bench *bench, const char *what, uint64_t key) {
    if (bench->totals->errors++ < 10) fprintf(stderr, "heraclius bench: key %" PRIu64 ": %s\n", key, what);
}

/* One user's operation came back. */
static void user_done(struct bench *bench, struct flight *flight, uint32_t position, enum heraclius_status status, uint64_t now_us) {
    uint32_t index = flight->users[position];
    struct user *user = &bench->users[index];
    const struct heraclius_result *result = heraclius_result_at(flight->request, position);
    uint64_t seq = user->seq;
    if (status != HERACLIUS_DONE || !result) {
        error_note(bench, heraclius_why(flight->request), user->key);
        history_line(bench, index, 0, "unknown", seq);
        return;
    }
    if (user->write) {
        if (result->code != HERACLIUS_CODE_OK) error_note(bench, heraclius_code_name(result->code), user->key);
        history_line(bench, index, now_us, result->code == HERACLIUS_CODE_OK ? "ok" : "unknown", seq);
    } else if (result->code == HERACLIUS_CODE_ABSENT) {
        history_line(bench, index, now_us, "absent", 0);
        if (bench->measuring) bench->totals->absent++;
    } else {
        if (!value_right(bench, user->key, result, &seq)) error_note(bench, "a value that was never written to it", user->key);
        history_line(bench, index, now_us, "ok", seq);
        if (bench->measuring) bench->totals->hits++;
    }
    if (!bench->measuring) return;
    if (user->write)
        bench->totals->writes++;
    else
        bench->totals->reads++;
    bench_histogram_add(&bench->totals->latency_us, now_us - user->started_us);
}

static void flight_done(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    struct flight *flight = argument;
    struct handle *handle = flight->handle;
    struct bench *bench = handle->bench;
    uint64_t now_us = ring_clock_us();
    handle->requests_under_way--;
    if (!flight->write) handle->reads_under_way--;
    if (bench->loading) {
        if (status != HERACLIUS_DONE) {
            bench->failed = true;
            fprintf(stderr, "heraclius bench: loading: %s\n", heraclius_why(request));
        }
    } else {
        for (uint32_t i = 0; i < flight->count; i++) user_done(bench, flight, i, status, now_us);
        for (uint32_t i = 0; i < flight->count && !bench->stopping; i++) user_ready(bench, flight->users[i]);
    }
    flight->next = bench->flights;
    bench->flights = flight;
}

static void flight_go(struct bench *bench, struct flight *flight) {
    struct handle *handle = flight->handle;
    enum heraclius_status status = heraclius_submit(flight->request, handle->bench->loading ? LOAD_MS : CALL_MS, flight_done, flight);
    if (status != HERACLIUS_OK) {
        bench->failed = true;
        fprintf(stderr, "heraclius bench: %s\n", heraclius_why(flight->request));
        return;
    }
    handle->requests_under_way++;
    if (!flight->write) handle->reads_under_way++;
}

static void read_flight(struct bench *bench, struct handle *handle) {
    struct flight *flight = flight_take(bench, handle);
    flight->write = false;
    while (handle->ready_reads != UINT32_MAX && flight->count < READ_OPS_MAX) {
        uint32_t index = handle->ready_reads;
        struct user *user = &bench->users[index];
        uint8_t key[BENCH_KEY_BYTES];
        handle->ready_reads = user->next;
        handle->ready_reads_count--;
        key_make(bench, user->key, key);
        heraclius_get(flight->request, key, sizeof key, bench->options->value_bytes, false);
        flight_user(flight, index);
    }
    flight_go(bench, flight);
}

static void write_flight(struct bench *bench, struct handle *handle) {
    static uint8_t value[HERACLIUS_VALUE_BYTES_MAX];
    struct flight *flight = flight_take(bench, handle);
    flight->write = true;
    while (handle->ready_writes != UINT32_MAX && flight->count < bench->options->ops_per_signature) {
        uint32_t index = handle->ready_writes;
        struct user *user = &bench->users[index];
        uint8_t key[BENCH_KEY_BYTES];
        handle->ready_writes = user->next;
        handle->ready_writes_count--;
        user->seq = ++bench->issued[user->key];
        key_make(bench, user->key, key);
        value_make(bench, user->key, user->seq, value);
        heraclius_put(flight->request, key, sizeof key, value, bench->options->value_bytes);
        flight_user(flight, index);
    }
    flight_go(bench, flight);
}

static int load_key_compare(const void *left, const void *right) {
    const struct load_key *a = left, *b = right;
    return memcmp(a->path, b->path, sizeof a->path);
}

/* The order in which keys are loaded: of their paths in the state trie, which is the one in which nodes keep them on disk. So a table that is larger
 * than what is left of the memory for the disk's cache is written page after page. */
static bool load_order_make(struct bench *bench) {
    bench->load_order = calloc(bench->options->keys, sizeof *bench->load_order);
    if (!bench->load_order) return false;
    for (uint64_t i = 0; i < bench->options->keys; i++) {
        uint8_t key[BENCH_KEY_BYTES], path[SHA256_BYTES];
        key_make(bench, i, key);
        trie_path(TRIE_SPACE_USER, key, sizeof key, path);
        memcpy(bench->load_order[i].path, path, sizeof bench->load_order[i].path);
        bench->load_order[i].key = i;
    }
    qsort(bench->load_order, bench->options->keys, sizeof *bench->load_order, load_key_compare);
    return true;
}

static void load_flight(struct bench *bench, struct handle *handle) {
    static uint8_t value[HERACLIUS_VALUE_BYTES_MAX];
    struct flight *flight = flight_take(bench, handle);
    flight->write = true;
    uint64_t end = bench->load_next + LOAD_OPS < bench->options->keys ? bench->load_next + LOAD_OPS : bench->options->keys;
    for (; bench->load_next < end; bench->load_next++) {
        uint8_t key[BENCH_KEY_BYTES];
        uint64_t index = bench->load_order[bench->load_next].key;
        bench->issued[index] = 1;
        key_make(bench, index, key);
        value_make(bench, index, 1, value);
        heraclius_put(flight->request, key, sizeof key, value, bench->options->value_bytes);
    }
    flight_go(bench, flight);
}

/* Sends what is ready and does what the handles have to do; waits a little when there is nothing. */
static void turn(struct bench *bench) {
    bool ready = false;
    for (uint32_t i = 0; i < bench->options->client_keys; i++) {
        struct handle *handle = &bench->handles[i];
        while (bench->loading && bench->load_next < bench->options->keys && handle->requests_under_way < LOAD_AHEAD && !bench->failed)
            load_flight(bench, handle);
        while (handle->ready_reads != UINT32_MAX && handle->reads_under_way < READS_UNDER_WAY_MAX && !bench->failed) read_flight(bench, handle);
        while (handle->ready_writes != UINT32_MAX && handle->requests_under_way < WRITES_UNDER_WAY_MAX && !bench->failed) write_flight(bench, handle);
        (void)heraclius_poll(handle->db, 0);
        /* Whose answer came just now is ready again: nothing to wait for, unless as much as may be is under way. */
        ready = ready || (handle->ready_reads != UINT32_MAX && handle->reads_under_way < READS_UNDER_WAY_MAX) ||
                (handle->ready_writes != UINT32_MAX && handle->requests_under_way < WRITES_UNDER_WAY_MAX);
    }
    struct epoll_event events[EVENTS];
    (void)epoll_wait(bench->epoll, events, EVENTS, ready ? 0 : 5);
}

static uint32_t under_way(const struct bench *bench) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < bench->options->client_keys; i++) count += bench->handles[i].requests_under_way;
    return count;
}

static bool handle_open(struct bench *bench, struct handle *handle, const struct system *system, int *exit_code) {
    char path[PATH_MAX];
    const char *system_path = bench->options->system_path;
    const char *slash = strrchr(system_path, '/');
    snprintf(path, sizeof path, "%.*sbench-%u.key", slash ? (int)(slash - system_path) + 1 : 0, system_path, handle->index);
    const struct system_cluster *cluster = &system->clusters[handle->index % system->coordinators_count];
    struct heraclius_options options = {
        .system_path = system_path,
        .key_path = bench->options->client_path && bench->options->client_keys == 1 ? bench->options->client_path : path,
        .via = cluster->nodes[handle->index / system->coordinators_count % cluster->nodes_count].name,
        .lock_wait_ms = LOCK_MS,
    };
    char why[HERACLIUS_TEXT_BYTES];
    if (heraclius_open(&handle->db, &options, why) != HERACLIUS_OK) {
        *exit_code = command_fail(EXIT_USAGE, "%s", why);
        return false;
    }
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(bench->epoll, EPOLL_CTL_ADD, heraclius_descriptor(handle->db), &event) == 0;
}

static bool handles_open(struct bench *bench, int *exit_code) {
    struct system_fault fault = {0};
    struct system *system;
    if (!ed25519_start(NULL)) {
        *exit_code = command_fail(EXIT_USAGE, "the signature library failed its self-test on this machine");
        return false;
    }
    if (system_load(&system, bench->options->system_path, &fault) != SYSTEM_OK) {
        *exit_code = command_fail(EXIT_USAGE, "%s", fault.text);
        return false;
    }
    bool good = true;
    for (uint32_t i = 0; i < bench->options->client_keys; i++)
        bench->handles[i] = (struct handle){.bench = bench, .index = i, .ready_reads = UINT32_MAX, .ready_writes = UINT32_MAX};
    for (uint32_t i = 0; good && i < bench->options->client_keys; i++) good = handle_open(bench, &bench->handles[i], system, exit_code);
    system_free(system);
    return good;
}

static void load(struct bench *bench) {
    uint64_t shown_ms = ring_clock_ms();
    bench->loading = true;
    while (!bench->failed && (bench->load_next < bench->options->keys || under_way(bench) > 0)) {
        turn(bench);
        if (ring_clock_ms() - shown_ms < 1000) continue;
        shown_ms = ring_clock_ms();
        fprintf(stderr, "heraclius bench: loaded %" PRIu64 " of %" PRIu64 " keys\n", bench->load_next, bench->options->keys);
    }
    bench->loading = false;
}

static void measure(struct bench *bench) {
    const struct bench_options *options = bench->options;
    struct bench_totals *totals = bench->totals;
    for (uint32_t i = 0; i < options->users; i++) user_ready(bench, i);
    uint64_t start_ms = ring_clock_ms() + options->warmup_ms;
    uint64_t end_ms = start_ms + (uint64_t)options->seconds * 1000;
    uint64_t shown_ms = start_ms;
    uint64_t shown_ops = 0;
    uint64_t began_us = 0;
    for (uint64_t now_ms = ring_clock_ms(); now_ms < end_ms && !bench->failed; now_ms = ring_clock_ms()) {
        if (!bench->measuring && now_ms >= start_ms) {
            bench->measuring = true;
            began_us = ring_clock_us();
        }
        turn(bench);
        if (now_ms < shown_ms + 1000) continue;
        uint64_t ops = totals->reads + totals->writes;
        fprintf(stderr, "heraclius bench: %" PRIu64 " ops/s, p50 %" PRIu64 " us, errors %" PRIu64 "\n",
                (ops - shown_ops) * 1000 / (now_ms - shown_ms), bench_histogram_quantile(&totals->latency_us, 500000), totals->errors);
        shown_ms = now_ms;
        shown_ops = ops;
    }
    totals->seconds = began_us ? (double)(ring_clock_us() - began_us) / 1e6 : 0;
    bench->measuring = false;
    bench->stopping = true;
    uint64_t until_ms = ring_clock_ms() + DRAIN_MS;
    while (under_way(bench) > 0 && ring_clock_ms() < until_ms) turn(bench);
}

static void close_all(struct bench *bench) {
    for (struct flight *flight = bench->flights; flight;) {
        struct flight *next = flight->next;
        heraclius_request_free(flight->request);
        free(flight->users);
        free(flight);
        flight = next;
    }
    for (uint32_t i = 0; i < bench->options->client_keys; i++) {
        struct heraclius_counters counters;
        if (!bench->handles[i].db) continue;
        heraclius_counters_get(bench->handles[i].db, &counters);
        bench->totals->verification_failures += counters.verification_failures;
        bench->totals->busy += counters.busy;
        bench->totals->resends += counters.resends;
        heraclius_close(bench->handles[i].db);
    }
}

bool bench_run(const struct bench_options *options, struct bench_totals *totals, int *exit_code) {
    struct bench bench = {.options = options, .totals = totals, .random = options->seed, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    *exit_code = EXIT_USAGE;
    bench.handles = calloc(options->client_keys, sizeof *bench.handles);
    bench.users = calloc(options->users, sizeof *bench.users);
    bench.issued = calloc(options->keys, sizeof *bench.issued);
    bool good = bench.handles && bench.users && bench.issued && bench.epoll >= 0 && (!options->load || load_order_make(&bench));
    if (!good) (void)command_fail(EXIT_USAGE, "bench: no memory for %u users and %" PRIu64 " keys", options->users, options->keys);
    if (good && handles_open(&bench, exit_code)) {
        /* Write numbers above those of an earlier run with the same seed: the clock's milliseconds above 2^40. */
        for (uint64_t i = 0; i < options->keys; i++) bench.issued[i] = options->load ? 0 : (UINT64_C(1) << 40) + (ring_clock_ms() << 16);
        if (options->load) load(&bench);
        if (!bench.failed) measure(&bench);
        if (bench.failed) *exit_code = EXIT_UNANSWERED;
        good = !bench.failed;
    } else {
        good = false;
    }
    if (bench.handles) close_all(&bench);
    free(bench.handles);
    free(bench.users);
    free(bench.issued);
    free(bench.load_order);
    return good;
}
