#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/bench_inside.h"
#include "client/client.h"
#include "merkle/sha256.h"
#include "merkle/trie.h"
#include "ring/clock.h"

enum {
    CALL_MS = 30000,
    LOAD_MS = 600000, /* filling a table is not measured: it may take as long as the disks do */
    READS_UNDER_WAY_MAX = 2,      /* what comes meanwhile goes together */
    READS_UNDER_WAY_MAX_RATE = 8, /* open loop: waiting for company counts */
    LOAD_OPS = 256,
    LOAD_AHEAD = 16,
    QUEUE_ROOM_FIRST = 64,
    AHEAD = 16 /* users */
};

static void queue_grow(struct user_queue *queue) {
    uint32_t room = queue->room > 0 ? 2 * queue->room : QUEUE_ROOM_FIRST;
    uint32_t *users = malloc(room * sizeof *users);
    if (!users) abort();
    for (uint32_t i = 0; i < queue->count; i++) users[i] = queue->users[(queue->first + i) & (queue->room - 1)];
    free(queue->users);
    *queue = (struct user_queue){.users = users, .count = queue->count, .room = room};
}

void bench_queue_push(struct user_queue *queue, uint32_t user) {
    if (queue->count == queue->room) queue_grow(queue);
    queue->users[(queue->first + queue->count++) & (queue->room - 1)] = user;
}

/* Users come in any order: each of them is one cache miss, so the one whose turn is AHEAD turns away is fetched meanwhile. */
uint32_t bench_queue_pop(const struct bench *bench, struct user_queue *queue) {
    if (queue->count == 0) return BENCH_NOBODY;
    uint32_t mask = queue->room - 1, user = queue->users[queue->first];
    if (queue->count > AHEAD) __builtin_prefetch(&bench->users[queue->users[(queue->first + AHEAD) & mask]], 1);
    queue->first = (queue->first + 1) & mask;
    queue->count--;
    return user;
}

struct flight *bench_flight_take(struct handle *handle) {
    struct flight *flight = handle->flights;
    if (flight) {
        handle->flights = flight->next;
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

void bench_flight_end(struct flight *flight) {
    flight->next = flight->handle->flights;
    flight->handle->flights = flight;
}

/* The operation appended last is this user's. */
static void flight_user(struct flight *flight, uint32_t user) {
    struct bench *bench = flight->handle->bench;
    if (bench->groups > 1) client_request_placed(flight->request, bench->users[user].shard);
    if (flight->count == flight->room) {
        flight->room = flight->room ? flight->room * 2 : 16;
        flight->users = realloc(flight->users, flight->room * sizeof *flight->users);
        if (!flight->users) abort();
    }
    flight->users[flight->count++] = user;
}

void bench_handle_active(struct handle *handle) {
    if (handle->active) return;
    handle->active = true;
    handle->next_active = handle->bench->active;
    handle->bench->active = handle;
}

/* So many of the client keys are of this cluster. */
static uint32_t handles_of(const struct bench *bench, uint32_t cluster) {
    return (bench->options->client_keys - cluster - 1) / bench->clusters + 1;
}

void bench_groups_find(struct bench *bench, uint32_t coordinators, uint32_t shards) {
    uint32_t groups = coordinators < shards ? coordinators : shards;
    bool each = bench->options->client_keys >= coordinators && groups > 1; /* cluster has a handle: the i-th is of cluster i mod `coordinators` */
    bench->shards = shards;
    bench->clusters = each ? coordinators : 1;
    bench->groups = each ? groups : 1;
    for (uint32_t shard = 0; shard < shards; shard++) {
        uint32_t group = bench->groups > 1 ? client_group_of_shard(shard, bench->groups, shards) : 0;
        uint32_t first = client_group_cluster(group, bench->groups, bench->clusters);
        uint32_t clusters = client_group_cluster(group + 1, bench->groups, bench->clusters) - first;
        bench->of_shard[shard] = (struct shard_handles){.cluster = first, .clusters = clusters, .handles = handles_of(bench, first)};
    }
}

uint32_t bench_handle_group(const struct handle *handle) {
    const struct bench *bench = handle->bench;
    uint32_t cluster = handle->index % bench->clusters, group = 0;
    while (client_group_cluster(group + 1, bench->groups, bench->clusters) <= cluster) group++;
    return group;
}

struct handle *bench_handle_of(const struct bench *bench, uint32_t shard, uint32_t user) {
    const struct shard_handles *of = &bench->of_shard[shard];
    if (of->clusters == 1) return &bench->handles[of->cluster + user % of->handles * bench->clusters];
    uint32_t cluster = of->cluster + user % of->clusters;
    return &bench->handles[cluster + user / of->clusters % handles_of(bench, cluster) * bench->clusters];
}

void bench_user_ready(struct bench *bench, uint32_t index) {
    struct user *user = &bench->users[index];
    struct handle *handle = bench_handle_of(bench, user->shard, index);
    bool reads = user->kind == BENCH_GET || user->step == BENCH_STEP_READ;
    bench_queue_push(reads ? &handle->reads : &handle->writes, index);
    bench_handle_active(handle);
}

/* At most SIPHASH_LANES users, 1 or more: which shard a key is of is found for as many at once. */
static void users_place(struct bench *bench, const uint32_t *users, uint32_t count) {
    uint8_t keys[SIPHASH_LANES][BENCH_KEY_BYTES];
    const uint8_t *at[SIPHASH_LANES];
    uint32_t shards[SIPHASH_LANES];
    for (uint32_t i = 0; i < SIPHASH_LANES; i++) {
        const struct user *user = &bench->users[users[i < count ? i : 0]];
        at[i] = keys[i < count ? i : 0];
        if (i < count) bench_key_make(bench, user->kind, user->key, keys[i]);
    }
    if (count == 1) shards[0] = heraclius_shard_of(bench->handles[0].db, keys[0], sizeof keys[0]);
    else client_shards_of(bench->handles[0].db, at, sizeof keys[0], shards);
    for (uint32_t i = 0; i < count; i++) bench->users[users[i]].shard = (uint16_t)shards[i];
}

static void users_begin(struct bench *bench, const uint32_t *users, uint32_t count, uint64_t started_us) {
    for (uint32_t i = 0; i < count; i++) {
        struct user *user = &bench->users[users[i]];
        user->started_us = started_us;
        bench_choose(bench, user);
        user->step = BENCH_STEP_ONLY;
        if (user->kind == BENCH_CAS) user->step = bench->seen[user->key].height ? BENCH_STEP_CAS : BENCH_STEP_READ;
    }
    if (bench->groups > 1 && count > 0) users_place(bench, users, count);
    for (uint32_t i = 0; i < count; i++) bench_user_ready(bench, users[i]);
}

void bench_user_begin(struct bench *bench, uint32_t index, uint64_t started_us) {
    users_begin(bench, &index, 1, started_us);
}

/* More is under way than the system carries if it says BUSY, or lets the library ask a second node: then half as much is. BUSY besides: the library
 * tries again by itself, and meanwhile this client begins nothing new, longer and longer, until something of it is done. */
static void busy_look(struct handle *handle, uint64_t now_ms) {
    struct heraclius_counters counters;
    heraclius_counters_get(handle->db, &counters);
    bool busy = counters.busy != handle->busy_seen, resent = counters.resends != handle->resends_seen;
    handle->busy_seen = counters.busy;
    handle->resends_seen = counters.resends;
    if ((!busy && !resent) || now_ms < handle->busy_until_ms) return; /* or told already */
    handle->window_found = true;
    handle->window = handle->requests_under_way > 2 ? handle->requests_under_way / 2.0 : 1;
    if (busy) handle->busy_wait_ms = handle->busy_wait_ms ? 2 * handle->busy_wait_ms : BENCH_BUSY_MIN_MS;
    if (handle->busy_wait_ms > BENCH_BUSY_MAX_MS) handle->busy_wait_ms = BENCH_BUSY_MAX_MS;
    uint32_t half = (busy ? handle->busy_wait_ms : BENCH_BUSY_MIN_MS) / 2;
    handle->busy_until_ms = now_ms + half + bench_random_below(&handle->bench->random_busy, half + 1);
}

static void window_grow(struct handle *handle, uint64_t now_ms) {
    if (now_ms >= handle->busy_until_ms) handle->busy_wait_ms = 0;
    handle->window += handle->window_found ? 1 / handle->window : 1;
    if (handle->window > BENCH_REQUESTS_MAX) handle->window = BENCH_REQUESTS_MAX;
}

static void flight_done(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    (void)request;
    struct flight *flight = argument;
    struct handle *handle = flight->handle;
    struct bench *bench = handle->bench;
    uint64_t now_us = ring_clock_us();
    handle->requests_under_way--;
    if (!flight->write) handle->reads_under_way--;
    if (status == HERACLIUS_DONE) window_grow(handle, now_us / 1000);
    uint32_t begin[SIPHASH_LANES], begin_count = 0;
    for (uint32_t i = 0; i < flight->count; i++) {
        uint32_t user = flight->users[i];
        if (i + AHEAD < flight->count) __builtin_prefetch(&bench->users[flight->users[i + AHEAD]], 1);
        bool goes_on = bench_judge(bench, flight, i, status, now_us);
        if (bench->stopping) continue;
        if (goes_on)
            bench_user_ready(bench, user);
        else if (bench->options->rate)
            bench_queue_push(&bench->free, user);
        else
            begin[begin_count++] = user;
        if (begin_count < SIPHASH_LANES) continue;
        users_begin(bench, begin, begin_count, now_us);
        begin_count = 0;
    }
    users_begin(bench, begin, begin_count, now_us);
    bench_handle_active(handle);
    bench_flight_end(flight);
}

static void load_done(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    struct flight *flight = argument;
    flight->handle->requests_under_way--;
    if (status == HERACLIUS_DONE) {
        window_grow(flight->handle, ring_clock_ms());
    } else {
        flight->handle->bench->failed = true;
        fprintf(stderr, "heraclius bench: loading: %s\n", heraclius_why(request));
    }
    bench_handle_active(flight->handle);
    bench_flight_end(flight);
}

void bench_flight_go(struct flight *flight, uint32_t timeout_ms, heraclius_callback *callback) {
    struct handle *handle = flight->handle;
    enum heraclius_status status = heraclius_submit(flight->request, timeout_ms, callback, flight);
    if (status != HERACLIUS_OK) {
        handle->bench->failed = true;
        fprintf(stderr, "heraclius bench: %s\n", heraclius_why(flight->request));
        bench_flight_end(flight);
        return;
    }
    handle->requests_under_way++;
    if (!flight->write) handle->reads_under_way++;
}

static void read_flight(struct handle *handle) {
    struct bench *bench = handle->bench;
    struct flight *flight = bench_flight_take(handle);
    bool versions = bench->seen || bench->options->history;
    flight->write = false;
    while (handle->reads.count > 0 && flight->count < bench->reads_max) {
        uint32_t index = bench_queue_pop(bench, &handle->reads);
        uint8_t key[BENCH_KEY_BYTES];
        bench_key_make(bench, BENCH_GET, bench->users[index].key, key);
        heraclius_get(flight->request, key, sizeof key, bench->options->value_bytes, versions);
        flight_user(flight, index);
    }
    bench_flight_go(flight, CALL_MS, flight_done);
}

/* A cas of what was seen of the key last; of one that was deleted: a put if it is still absent. */
static void cas_add(struct bench *bench, struct flight *flight, struct user *user, const uint8_t *key, const uint8_t *value) {
    const struct seen *seen = &bench->seen[user->key];
    uint32_t value_bytes = bench->options->value_bytes;
    struct heraclius_version version = {.height = seen->height, .index = seen->index};
    user->expected = seen->seq;
    if (seen->seq == 0)
        heraclius_put_if_absent(flight->request, key, BENCH_KEY_BYTES, value, value_bytes);
    else
        heraclius_cas_version(flight->request, key, BENCH_KEY_BYTES, version, value, value_bytes);
}

static void write_add(struct bench *bench, struct flight *flight, uint32_t index) {
    static uint8_t value[HERACLIUS_VALUE_BYTES_MAX];
    struct user *user = &bench->users[index];
    uint8_t key[BENCH_KEY_BYTES];
    bench_key_make(bench, user->kind, user->key, key);
    if (user->kind == BENCH_ADD) {
        struct number *number = &bench->numbers[user->key];
        number->issued++;
        user->seq = number->known ? (uint64_t)number->highest : 0;
        user->expected = number->known;
        heraclius_add(flight->request, key, sizeof key, 1, NULL);
    } else if (user->kind == BENCH_DEL) {
        user->seq = 0;
        heraclius_delete(flight->request, key, sizeof key);
    } else {
        user->seq = bench->seq_base + ++bench->issued[user->key];
        bench_value_make(bench, user->key, user->seq, value);
        if (user->kind == BENCH_CAS)
            cas_add(bench, flight, user, key, value);
        else
            heraclius_put(flight->request, key, sizeof key, value, bench->options->value_bytes);
    }
    flight_user(flight, index);
}

static void write_flight(struct handle *handle) {
    struct bench *bench = handle->bench;
    struct flight *flight = bench_flight_take(handle);
    flight->write = true;
    while (handle->writes.count > 0 && flight->count < bench->writes_max) {
        uint32_t index = bench_queue_pop(bench, &handle->writes);
        struct user *user = &bench->users[index];
        /* What it had seen may be out of date by now, and known to be: then it reads first. */
        if (user->step == BENCH_STEP_CAS && bench->seen[user->key].height == 0) {
            user->step = BENCH_STEP_READ;
            bench_queue_push(&handle->reads, index);
            continue;
        }
        write_add(bench, flight, index);
    }
    if (flight->count > 0)
        bench_flight_go(flight, CALL_MS, flight_done);
    else
        bench_flight_end(flight);
}

static int load_key_compare(const void *left, const void *right) {
    const struct load_key *a = left, *b = right;
    if (a->group != b->group) return a->group < b->group ? -1 : 1;
    return memcmp(a->path, b->path, sizeof a->path);
}

/* The order in which keys are loaded, of each group: of their paths in the state trie, which is the one in which nodes keep them on disk. So a table
 * that is larger than what is left of the memory for the disk's cache is written page after page. */
bool bench_load_order(struct bench *bench) {
    bench->load_order = calloc(bench->options->keys, sizeof *bench->load_order);
    bench->load_ranges = calloc(bench->groups, sizeof *bench->load_ranges);
    if (!bench->load_order || !bench->load_ranges) return false;
    for (uint64_t i = 0; i < bench->options->keys; i++) {
        uint8_t key[BENCH_KEY_BYTES], path[SHA256_BYTES];
        bench_key_make(bench, BENCH_PUT, i, key);
        trie_path(TRIE_SPACE_USER, key, sizeof key, path);
        memcpy(bench->load_order[i].path, path, sizeof bench->load_order[i].path);
        bench->load_order[i].key = (uint32_t)i;
        if (bench->groups == 1) continue;
        uint32_t shard = heraclius_shard_of(bench->handles[0].db, key, sizeof key);
        bench->load_order[i].group = client_group_of_shard(shard, bench->groups, bench->shards);
    }
    qsort(bench->load_order, bench->options->keys, sizeof *bench->load_order, load_key_compare);
    for (uint64_t i = 0; i < bench->options->keys; i++) bench->load_ranges[bench->load_order[i].group].end = i + 1;
    for (uint32_t i = 1; i < bench->groups; i++) {
        struct load_range *range = &bench->load_ranges[i];
        range->next = range[-1].end;
        if (range->end < range->next) range->end = range->next; /* of few keys a group may have none */
    }
    return true;
}

static void load_flight(struct handle *handle, struct load_range *range) {
    static uint8_t value[HERACLIUS_VALUE_BYTES_MAX];
    struct bench *bench = handle->bench;
    struct flight *flight = bench_flight_take(handle);
    flight->write = true;
    uint32_t most = bench->writes_max < LOAD_OPS ? bench->writes_max : LOAD_OPS;
    uint64_t end = range->next + most < range->end ? range->next + most : range->end;
    for (; range->next < end; range->next++, bench->loaded++) {
        uint8_t key[BENCH_KEY_BYTES];
        uint32_t index = bench->load_order[range->next].key;
        bench->issued[index] = 1;
        bench_key_make(bench, BENCH_PUT, index, key);
        bench_value_make(bench, index, 1, value);
        heraclius_put(flight->request, key, sizeof key, value, bench->options->value_bytes);
    }
    bench_flight_go(flight, LOAD_MS, load_done);
}

/* May it begin another request? */
static bool may_begin(const struct handle *handle, uint64_t now_ms) {
    const struct bench *bench = handle->bench;
    return !bench->stopping && !bench->failed && now_ms >= handle->busy_until_ms && handle->requests_under_way < handle->window;
}

void bench_handle_serve(struct handle *handle, uint64_t now_ms) {
    struct bench *bench = handle->bench;
    uint32_t reads = bench->options->rate ? READS_UNDER_WAY_MAX_RATE : READS_UNDER_WAY_MAX;
    struct load_range *range = bench->loading ? &bench->load_ranges[bench_handle_group(handle)] : NULL;
    while (range && range->next < range->end && handle->requests_under_way < LOAD_AHEAD && may_begin(handle, now_ms)) load_flight(handle, range);
    while (handle->writes.count > 0 && may_begin(handle, now_ms)) write_flight(handle);
    while (handle->reads.count > 0 && handle->reads_under_way < reads && may_begin(handle, now_ms)) read_flight(handle);
    (void)heraclius_poll(handle->db, 0);
    busy_look(handle, now_ms);
}
