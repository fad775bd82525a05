#include "appliance/base/cost.h"

#include <string.h>

#include "merkle/check.h"

const char *cost_name(enum cost_component component) {
#define COST_NAME(identifier, name) name,
    static const char *const names[] = {COST_COMPONENTS(COST_NAME)};
#undef COST_NAME
    CHECK(component < COST_COUNT);
    return names[component];
}

static bool measures(const struct cost_meter *meter) {
    return meter != NULL && meter->now != NULL;
}

static void add(_Atomic uint64_t *sum, uint64_t value) {
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + value, memory_order_relaxed);
}

void cost_start(struct cost_meter *meter, uint64_t (*now)(void), uint64_t (*cpu)(void)) {
    if (meter == NULL) return;
    meter->now = now;
    meter->cpu = cpu;
    meter->current = COST_LOOP;
    meter->since = meter->settled_at = now();
    meter->cpu_at = cpu();
}

/* What the current component has had up to now. */
static void current_end(struct cost_meter *meter) {
    uint64_t now = meter->now();
    meter->pending[meter->current] += now - meter->since;
    meter->since = now;
}

enum cost_component cost_enter(struct cost_meter *meter, enum cost_component component) {
    if (!measures(meter)) return component;
    enum cost_component before = meter->current;
    current_end(meter);
    meter->current = component;
    return before;
}

void cost_leave(struct cost_meter *meter, enum cost_component before, uint64_t bytes) {
    if (!measures(meter)) return;
    cost_count(meter, meter->current, 1, bytes);
    current_end(meter);
    meter->current = before;
}

void cost_count(struct cost_meter *meter, enum cost_component component, uint64_t events, uint64_t bytes) {
    if (!measures(meter)) return;
    add(&meter->sums[component].events, events);
    add(&meter->sums[component].bytes, bytes);
}

void cost_move(struct cost_meter *meter, enum cost_component from, enum cost_component to, uint64_t ns) {
    if (!measures(meter)) return;
    if (from == meter->current) current_end(meter);
    uint64_t moved = ns < meter->pending[from] ? ns : meter->pending[from];
    meter->pending[from] -= moved;
    meter->pending[to] += moved;
}

/* Brings what is pending to the CPU time that was used, less what the waits cost that nobody looked at. */
static void settle(struct cost_meter *meter) {
    uint64_t cpu = meter->cpu(), used = cpu - meter->cpu_at, sum = 0, given = 0;
    uint64_t waited = (uint64_t)meter->waits * meter->wait_ns;
    if (waited > used) waited = used;
    for (int i = 0; i < COST_COUNT; i++) sum += meter->pending[i];
    if (sum == 0) waited = used;
    double share = sum > 0 ? (double)(used - waited) / (double)sum : 0;
    for (int i = 0; i < COST_COUNT; i++) {
        uint64_t part = (uint64_t)((double)meter->pending[i] * share);
        if (part > used - waited - given) part = used - waited - given;
        add(&meter->sums[i].ns, part);
        given += part;
        meter->pending[i] = 0;
    }
    add(&meter->sums[COST_SYSTEM_CALLS].ns, waited);
    add(&meter->sums[COST_LOOP].ns, used - waited - given); /* what rounding left */
    meter->cpu_at = cpu;
    meter->settled_at = meter->since;
    meter->waits = 0;
}

void cost_wait_begin(struct cost_meter *meter, bool sleeps) {
    if (!measures(meter)) return;
    current_end(meter);
    meter->sleeps = sleeps;
    meter->looks = sleeps && meter->turn++ % COST_WAITS_LOOK == 0;
    if (meter->looks || meter->since - meter->settled_at > COST_SETTLE_NS) settle(meter);
}

void cost_wait_end(struct cost_meter *meter) {
    if (!measures(meter)) return;
    uint64_t now = meter->now();
    add(&meter->sums[COST_SYSTEM_CALLS].events, 1);
    if (!meter->sleeps) {
        meter->pending[COST_SYSTEM_CALLS] += now - meter->since;
    } else if (meter->looks) {
        uint64_t cpu = meter->cpu(), cost = cpu - meter->cpu_at;
        add(&meter->sums[COST_SYSTEM_CALLS].ns, cost);
        meter->wait_ns = meter->wait_ns == 0 ? cost : (7 * meter->wait_ns + cost) / 8;
        meter->cpu_at = cpu;
        meter->settled_at = now;
    } else {
        meter->waits++;
    }
    meter->since = now;
}

uint64_t cost_now_us(const struct cost_meter *meter) {
    return measures(meter) ? meter->now() / 1000 : 0;
}

void cost_read(const struct cost_meter *meter, enum cost_component component, struct cost_figures *figures) {
    const struct cost_sum *sum = &meter->sums[component];
    figures->ns = atomic_load_explicit(&sum->ns, memory_order_relaxed);
    figures->events = atomic_load_explicit(&sum->events, memory_order_relaxed);
    figures->bytes = atomic_load_explicit(&sum->bytes, memory_order_relaxed);
}
