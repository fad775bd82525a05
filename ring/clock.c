/* The clock: see clock.h. */
#include "ring/clock.h"

#include <time.h>

#include "ring/check.h"

uint64_t ring_clock_us(void) {
    struct timespec now;
    RING_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    /* One second is added so that 0 can mean "never". */
    return ((uint64_t)now.tv_sec + 1) * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

uint64_t ring_clock_ms(void) {
    return ring_clock_us() / 1000u;
}

uint64_t ring_clock_ns(void) {
    struct timespec now;
    RING_CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t ring_clock_thread_ns(void) {
    struct timespec used;
    RING_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

uint64_t ring_clock_thread_us(void) {
    return ring_clock_thread_ns() / 1000u;
}

uint64_t ring_clock_wall_ms(void) {
    struct timespec now;
    RING_CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}
