/*
 * Private to the node's shell: how its threads meet. A lane is a bounded ring of pointers with one producer and one consumer; whoever takes an entry
 * owns what it points to. A consumer that is about to sleep says so in its sleeper, and a producer wakes it only then: under load nobody makes a
 * system call to hand over.
 */
#ifndef APPLIANCE_NODE_LANE_H
#define APPLIANCE_NODE_LANE_H

#include <ck_ring.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "appliance/base/cost.h"
#include "merkle/check.h"

/* The ring orders its accesses by fences of its own; `handed` says the same in terms that a race detector follows. */
struct lane {
    ck_ring_t ring;
    ck_ring_buffer_t *slots;
    atomic_uint_fast64_t handed; /* written by the producer before it enqueues */
};

struct sleeper {
    int event;          /* eventfd */
    atomic_bool asleep; /* written by the consumer; a producer that finds it set wakes it */
};

/* `slots`: a power of two. */
static inline void lane_init(struct lane *lane, unsigned slots) {
    lane->slots = calloc(slots, sizeof *lane->slots);
    CHECK(lane->slots != NULL);
    ck_ring_init(&lane->ring, slots);
}

static inline void lane_end(struct lane *lane) {
    free(lane->slots);
}

/* False: full. */
static inline bool lane_put(struct lane *lane, void *entry) {
    atomic_fetch_add_explicit(&lane->handed, 1, memory_order_release);
    return ck_ring_enqueue_spsc(&lane->ring, lane->slots, entry);
}

/* NULL: empty. */
static inline void *lane_take(struct lane *lane) {
    void *entry = NULL;
    if (!ck_ring_dequeue_spsc(&lane->ring, lane->slots, &entry)) return NULL;
    (void)atomic_load_explicit(&lane->handed, memory_order_acquire);
    return entry;
}

static inline unsigned lane_count(const struct lane *lane) {
    return ck_ring_size(&lane->ring);
}

static inline void sleeper_init(struct sleeper *sleeper) {
    sleeper->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(sleeper->event >= 0);
}

static inline void sleeper_end(struct sleeper *sleeper) {
    close(sleeper->event);
}

static inline void sleeper_wake(struct sleeper *sleeper) {
    uint64_t one = 1;
    if (!atomic_exchange(&sleeper->asleep, false)) return;
    ssize_t wrote = write(sleeper->event, &one, sizeof one);
    (void)wrote; /* an eventfd takes it */
}

/* Sleeps unless there is work, as `work` says once `asleep` is set; at most `timeout_ms`. The meter, if any, is told that its thread waits. */
static inline void sleeper_wait(struct sleeper *sleeper, bool (*work)(const void *context), const void *context, int timeout_ms,
                                struct cost_meter *meter) {
    struct pollfd polled = {.fd = sleeper->event, .events = POLLIN};
    cost_wait_begin(meter, true);
    atomic_store(&sleeper->asleep, true);
    if (!work(context)) (void)poll(&polled, 1, timeout_ms);
    atomic_store(&sleeper->asleep, false);
    uint64_t count;
    ssize_t got = read(sleeper->event, &count, sizeof count);
    (void)got; /* empty when nobody woke us */
    cost_wait_end(meter);
}

#endif
