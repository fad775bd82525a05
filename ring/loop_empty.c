/* A loop that is used again by another owner: see loop.h. A process whose door is closed (door.h) makes no second ring. */
#include <string.h>
#include <unistd.h>

#include "ring/clock.h"
#include "ring/loop_private.h"

#define WAIT_MS 20u

static bool is_empty(const struct loop *loop) {
    bool empty = true;
    for (uint32_t i = 0; empty && i < loop->config.connections_max; i++) {
        empty = !loop->connections[i].used;
    }
    for (uint32_t i = 0; empty && i < LOOP_LISTENERS_MAX; i++) {
        empty = !loop->listeners[i].armed;
    }
    return empty;
}

bool loop_empty(struct loop *loop) {
    struct loop_event event;
    loop_listen_stop(loop);
    for (uint32_t i = 0; i < loop->config.connections_max; i++) {
        if (loop->connections[i].used && !loop->connections[i].closed) {
            loop_close(loop, i);
        }
    }
    for (uint32_t i = 0; i < loop->buffers_made; i++) {
        if (loop->buffers[i].taken) {
            loop_buffer_give(loop, &loop->buffers[i]);
        }
    }
    for (uint64_t begin_ms = ring_clock_ms(); !is_empty(loop);) {
        if (ring_clock_ms() - begin_ms >= LOOP_EMPTY_MS) {
            return false;
        }
        loop_wait(loop, WAIT_MS);
        while (loop_next(loop, &event)) { /* all that has events is closed, but for loop_wake() */
        }
    }
    for (uint32_t i = 0; i < LOOP_LISTENERS_MAX; i++) {
        if (loop->listeners[i].fd >= 0) {
            close(loop->listeners[i].fd);
        }
        loop->listeners[i] = (struct loop_listener){.fd = -1};
    }
    loop->rearm = false;
    loop->rearm_count = 0;
    loop->counters = (struct loop_counters){.buffers_extra_now = loop->counters.buffers_extra_now};
    return true;
}
