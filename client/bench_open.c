#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "bft/ed25519.h"
#include "client/bench_inside.h"
#include "client/client.h"
#include "client/command.h"
#include "protocol/system.h"
#include "ring/clock.h"

enum {
    LOCK_MS = 2000,
    OTHER_FILES = 64,
    HANDLE_FILES = 4,       /* its own epoll, key, journal and that one's event, besides links */
    PROBE_MS = 10000,
    PROBE_SHARDS_MAX = 256, /* parts of a batch */
    PROBES_AT_ONCE = 32,    /* a node has room for 48 links of clients whose handshake goes on, */
    PROBES_PER_S_NODE = 150 /* and begins 200 a second (spec/links.md L-42) */
};

/* Each client has a link of its own (its batches come over no other, O-50), to one node as long as that answers. Room is made for links to all nodes
 * of a cluster; without room for one each it is of no use to begin. */
static bool files_make_room(uint32_t client_keys, int *exit_code) {
    struct rlimit limit;
    rlim_t wanted = OTHER_FILES + (rlim_t)client_keys * (HANDLE_FILES + 4), needed = OTHER_FILES + (rlim_t)client_keys * (HANDLE_FILES + 1);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return true;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed) return true;
    *exit_code = command_fail(EXIT_USAGE,
                              "bench: --client-keys %u needs %llu open files, and this process may have %llu: raise the limit (ulimit -n) or take "
                              "fewer client keys",
                              client_keys, (unsigned long long)needed, (unsigned long long)limit.rlim_cur);
    return false;
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
        .beside = bench->handles[0].db,
    };
    char why[HERACLIUS_TEXT_BYTES];
    if (heraclius_open(&handle->db, &options, why) != HERACLIUS_OK) {
        const char *hint = handle->index > 0 ? ". A system of heraclius system local has 16 such keys, or as many as --bench-keys said" : "";
        *exit_code = command_fail(EXIT_USAGE, "%s%s", why, hint);
        return false;
    }
    bench->number_strangers = bench->number_strangers || heraclius_unsettled_count(handle->db) > 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = handle};
    return epoll_ctl(bench->epoll, EPOLL_CTL_ADD, heraclius_descriptor(handle->db), &event) == 0;
}

static void probe_done(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    (void)request;
    (void)status;
    struct flight *flight = argument;
    flight->handle->requests_under_way--;
    flight->handle->probed = true;
    bench_flight_end(flight);
}

/* A key of this shard that nobody writes. */
static size_t probe_key(const struct heraclius *db, uint32_t shard, char key[BENCH_KEY_BYTES]) {
    for (uint32_t i = 0;; i++) {
        size_t bytes = (size_t)snprintf(key, BENCH_KEY_BYTES, "heraclius bench probe %u", i);
        if (heraclius_shard_of(db, key, bytes) == shard) return bytes;
    }
}

/* One such key a shard of the handle's group, asked for or, if writes are to come, deleted. What comes of it does not matter. */
static void probe(struct handle *handle) {
    const struct bench *bench = handle->bench;
    struct flight *flight = bench_flight_take(handle);
    bool writes = bench->options->load || bench->options->weights[BENCH_GET] < bench->weights;
    flight->write = true;
    uint32_t found = 0, group = bench_handle_group(handle);
    for (uint32_t shard = 0; shard < bench->shards && found < PROBE_SHARDS_MAX; shard++) {
        char key[BENCH_KEY_BYTES];
        if (client_group_of_shard(shard, bench->groups, bench->shards) != group) continue;
        size_t bytes = probe_key(handle->db, shard, key);
        if (writes)
            heraclius_delete(flight->request, key, bytes);
        else
            heraclius_get(flight->request, key, bytes, 0, false);
        found++;
    }
    bench_flight_go(flight, PROBE_MS, probe_done);
}

/* Before anything is measured each client gets its link, and the numbers of its writes, not all at once; who does not in time is left to the run. */
static void probe_all(struct bench *bench, uint32_t nodes) {
    uint64_t began_ms = ring_clock_ms();
    uint32_t count = bench->options->client_keys, begun = 0;
    while (!bench->failed && ring_clock_ms() < began_ms + PROBE_MS + count) {
        uint64_t allowed = (ring_clock_ms() - began_ms + 1) * PROBES_PER_S_NODE * nodes / 1000 + 1;
        while (begun < count && begun < allowed && bench_under_way(bench) < PROBES_AT_ONCE) {
            probe(&bench->handles[begun]);
            bench_handle_active(&bench->handles[begun++]);
        }
        if (begun == count && bench_under_way(bench) == 0) break;
        bench_turn(bench);
    }
}

bool bench_open(struct bench *bench, int *exit_code) {
    const struct bench_options *options = bench->options;
    struct system_fault fault = {0};
    struct system *system;
    if (!ed25519_start(NULL)) {
        *exit_code = command_fail(EXIT_USAGE, "the signature library failed its self-test on this machine");
        return false;
    }
    if (!files_make_room(options->client_keys, exit_code)) return false;
    if (system_load(&system, options->system_path, &fault) != SYSTEM_OK) {
        *exit_code = command_fail(EXIT_USAGE, "%s", fault.text);
        return false;
    }
    double window = (double)BENCH_REQUESTS_BEGIN / options->client_keys;
    if (window > BENCH_REQUESTS_BEGIN_KEY) window = BENCH_REQUESTS_BEGIN_KEY;
    if (window < 2) window = 2;
    for (uint32_t i = 0; i < options->client_keys; i++) bench->handles[i] = (struct handle){.bench = bench, .index = i, .window = window};
    bool good = true;
    for (uint32_t i = 0; good && i < options->client_keys; i++) good = handle_open(bench, &bench->handles[i], system, exit_code);
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < system->coordinators_count; i++) nodes += system->clusters[i].nodes_count;
    bench_groups_find(bench, system->coordinators_count, system->shards_count);
    system_free(system);
    if (good && options->load && !bench_load_order(bench)) { /* before there are links, which would not be served meanwhile */
        *exit_code = command_fail(EXIT_USAGE, "bench: no memory for the order of %" PRIu64 " keys", options->keys);
        good = false;
    }
    if (good) probe_all(bench, nodes);
    return good;
}

uint64_t bench_busy(const struct bench *bench) {
    uint64_t busy = 0;
    for (uint32_t i = 0; i < bench->options->client_keys; i++) {
        struct heraclius_counters counters;
        heraclius_counters_get(bench->handles[i].db, &counters);
        busy += counters.busy_operations;
    }
    return busy;
}

uint64_t bench_resends(const struct bench *bench) {
    uint64_t resends = 0;
    for (uint32_t i = 0; i < bench->options->client_keys; i++) {
        struct heraclius_counters counters;
        heraclius_counters_get(bench->handles[i].db, &counters);
        resends += counters.resends;
    }
    return resends;
}

void bench_close(struct bench *bench) {
    for (uint32_t i = 0; i < bench->options->client_keys; i++) {
        struct handle *handle = &bench->handles[i];
        struct heraclius_counters counters;
        if (!handle->db) continue;
        for (struct flight *flight = handle->flights; flight;) {
            struct flight *next = flight->next;
            heraclius_request_free(flight->request);
            free(flight->users);
            free(flight);
            flight = next;
        }
        free(handle->reads.users);
        free(handle->writes.users);
        heraclius_counters_get(handle->db, &counters);
        bench->totals->verification_failures += counters.verification_failures;
        heraclius_close(handle->db);
    }
}
