/* What the node's work costs (appliance/base/cost.h): where the clocks come from, and what is measured at the shell. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "appliance/base/message_type.h"
#include "appliance/node/node.h"
#include "ring/clock.h"

struct cost_meter *node_meter(struct node *node, enum node_thread thread) {
    return &node->meters[node->plan.split ? thread : NODE_THREAD_NETWORK];
}

void node_meter_start(struct node *node, enum node_thread thread) {
    cost_start(node_meter(node, thread), ring_clock_ns, ring_clock_thread_ns);
}

/* ---- signatures ---- */

/* By whose work it is for, and by the tag that is signed: everybody's votes have one tag, so a foreign certificate is known by its slice. */
static enum cost_component verify_component(const struct cost_meter *meter, const uint8_t *bytes, size_t count) {
    if (meter->current == COST_SLICE) return COST_VERIFY_SLICE;
    bool batch = count >= SIGNER_TAG_BYTES && memcmp(bytes, signer_tag_bytes(SIGNER_TAG_BATCH), SIGNER_TAG_BYTES) == 0;
    return batch ? COST_VERIFY_CLIENT : COST_VERIFY_VOTE;
}

static bool measured_verify(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t count,
                            const uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    struct node *node = (struct node *)(uintptr_t)context;
    struct cost_meter *meter = node_meter(node, NODE_THREAD_CONSENSUS);
    enum cost_component before = cost_enter(meter, verify_component(meter, bytes, count));
    bool good = node->signing.verify(node->signing.context, public_key, bytes, count, signature);
    cost_leave(meter, before, count);
    return good;
}

static unsigned measured_verify_each(const void *context, const struct ed25519_signed *list, unsigned count) {
    struct node *node = (struct node *)(uintptr_t)context;
    struct cost_meter *meter = node_meter(node, NODE_THREAD_CONSENSUS);
    if (count == 0) return 0;
    enum cost_component component = verify_component(meter, list[0].message, list[0].message_bytes), before = cost_enter(meter, component);
    unsigned bad = signer_verify_each(&node->signing, list, count);
    cost_leave(meter, before, list[0].message_bytes);
    cost_count(meter, component, count - 1, (count - 1) * list[0].message_bytes);
    return bad;
}

static void measured_sign(void *context, const uint8_t *bytes, size_t count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    struct node *node = context;
    struct cost_meter *meter = node_meter(node, NODE_THREAD_CONSENSUS);
    enum cost_component before = cost_enter(meter, COST_SIGN);
    node->signing.sign(node->signing.context, bytes, count, signature);
    cost_leave(meter, before, count);
}

static bool key_check(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES]) {
    const struct node *node = context;
    return node->signing.key_check(node->signing.context, public_key);
}

struct signer node_signer(struct node *node, struct signer inner) {
    node->signing = inner;
    return (struct signer){.context = node, .sign = measured_sign, .verify = measured_verify, .verify_each = measured_verify_each,
                           .key_check = key_check};
}

/* ---- the network ---- */

enum cost_component node_cost_of(uint16_t type) {
    if (type >= BFT_MESSAGE_PROPOSE && type <= BFT_MESSAGE_NOOP) return COST_CONSENSUS;
    if (type == MESSAGE_BATCH || type == MESSAGE_INPUT || type == MESSAGE_INPUT_FETCH) return COST_INPUT;
    return type == MESSAGE_COMPACT_DECISION ? COST_SLICE : COST_REPLICA;
}

/* Encryption has its own figures, by the same clock, within what the network had. */
static void encryption_tell(struct node *node, struct cost_meter *meter) {
    struct net_cost cost, *told = &node->net_cost;
    net_cost(node->net, &cost);
    cost_move(meter, COST_NETWORK, COST_OPEN, cost.open_ns - told->open_ns);
    cost_move(meter, COST_NETWORK, COST_SEAL, cost.seal_ns - told->seal_ns);
    cost_count(meter, COST_OPEN, cost.opens - told->opens, cost.open_bytes - told->open_bytes);
    cost_count(meter, COST_SEAL, cost.seals - told->seals, cost.seal_bytes - told->seal_bytes);
    *told = cost;
}

void node_net_poll(struct node *node, uint32_t timeout_ms) {
    struct cost_meter *meter = node_meter(node, NODE_THREAD_NETWORK);
    encryption_tell(node, meter);
    cost_wait_begin(meter, timeout_ms > 0);
    net_poll(node->net, timeout_ms);
    cost_wait_end(meter);
}

/* ---- the storage thread, as the replica sees it ---- */

void node_flight_begin(struct node *node, uint64_t sequence) {
    node->flights[sequence % NODE_FLIGHTS].sequence = sequence;
    node->flights[sequence % NODE_FLIGHTS].begun_us = ring_clock_us();
}

void node_flight_end(struct node *node, uint64_t sequence) {
    uint64_t now_us = ring_clock_us();
    for (uint64_t i = node->durable_told + 1; i <= sequence; i++) {
        if (node->flights[i % NODE_FLIGHTS].sequence != i) continue;
        histogram_between(&node->wal_us, node->flights[i % NODE_FLIGHTS].begun_us, now_us);
    }
}

/* ---- told ---- */

void node_cost_put(struct node *node, struct status_node *status) {
    struct wal_figures wal;
    wal_figures(node->wal, &wal);
    status->cost_count = 0;
    for (enum cost_component component = 0; component < COST_COUNT; component++) {
        struct status_cost *out = &status->costs[status->cost_count++];
        *out = (struct status_cost){0};
        snprintf(out->name, sizeof out->name, "%s", cost_name(component));
        for (unsigned i = 0; i < NODE_METERS; i++) {
            struct cost_figures figures;
            cost_read(&node->meters[i], component, &figures);
            out->ns += figures.ns;
            out->events += figures.events;
            out->bytes += figures.bytes;
        }
        if (component == COST_WAL_APPLY) *out = (struct status_cost){.ns = wal.apply_ns, .events = wal.batches, .bytes = wal.bytes};
        if (component == COST_WAL_APPLY) snprintf(out->name, sizeof out->name, "%s", cost_name(component));
    }
    status->wal_us = node->wal_us;
}

_Static_assert((int)COST_COUNT <= (int)STATUS_COSTS_MAX, "the snapshot has room");

/* One thread: its name, and what it used, as the scheduler counts. */
static void thread_put(struct status_node *status, const char *thread) {
    char path[64], name[32] = "";
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", thread);
    FILE *file = fopen(path, "re");
    if (file == NULL) return;
    bool named = fscanf(file, "%31[^\n]", name) == 1;
    fclose(file);
    snprintf(path, sizeof path, "/proc/self/task/%.20s/schedstat", thread);
    file = fopen(path, "re");
    if (file == NULL) return;
    bool used = fscanf(file, "%llu", &ns) == 1;
    fclose(file);
    if (!named || !used || status->cpu_count == STATUS_COSTS_MAX) return;
    for (uint32_t i = 0; i < status->cpu_count; i++) {
        if (strcmp(status->cpu[i].name, name) != 0) continue;
        status->cpu[i].ns += ns;
        return;
    }
    struct status_cost *out = &status->cpu[status->cpu_count++];
    *out = (struct status_cost){.ns = ns};
    snprintf(out->name, sizeof out->name, "%s", name);
}

void node_cpu_put(struct status_node *status) {
    struct rusage usage;
    status->cpu_count = 0;
    DIR *threads = opendir("/proc/self/task");
    for (struct dirent *entry; threads != NULL && (entry = readdir(threads)) != NULL;) {
        if (entry->d_name[0] != '.') thread_put(status, entry->d_name);
    }
    if (threads != NULL) closedir(threads);
    if (getrusage(RUSAGE_SELF, &usage) != 0) return;
    status->page_faults = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
    status->switches_voluntary = (uint64_t)usage.ru_nvcsw;
    status->switches_forced = (uint64_t)usage.ru_nivcsw;
}
