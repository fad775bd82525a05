/* The only place of the node's network side that reads a clock: CLOCK_MONOTONIC, in milliseconds and microseconds.
 * Nobody's calendar matters to a link. Never fails. */
#ifndef RING_CLOCK_H
#define RING_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC since an arbitrary start; never 0, never decreases. */
uint64_t ring_clock_ms(void);

/* The same in microseconds, for measuring. */
uint64_t ring_clock_us(void);

/* Nanoseconds of CLOCK_MONOTONIC, for measuring what a part of the work took. */
uint64_t ring_clock_ns(void);

/* CPU time that the calling thread has used: what its work cost, whoever else ran meanwhile. A system call, unlike the others. */
uint64_t ring_clock_thread_ns(void);
uint64_t ring_clock_thread_us(void);

/* The calendar: milliseconds since 1970, whatever this machine believes. For people (logs) and for a first estimate of cluster time, for nothing
 * else. */
uint64_t ring_clock_wall_ms(void);

#endif
