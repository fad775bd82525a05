/*
 * LD_PRELOAD: a wrong clock for one process. CLOCK_OFFSET_S is added to the calendar (CLOCK_REALTIME, time(), gettimeofday()); CLOCK_RATE_PPM makes
 * all clocks run so much faster (or, below zero, slower) from the start of the process on. The kernel's own time-outs stay right.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

static int64_t offset_s, rate_ppm, began_ns[16];

static int64_t real_ns(clockid_t clock) {
    struct timespec now = {0};
    (void)syscall(SYS_clock_gettime, clock, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

__attribute__((constructor)) static void begin(void) {
    const char *offset = getenv("CLOCK_OFFSET_S"), *rate = getenv("CLOCK_RATE_PPM");
    if (offset != NULL) offset_s = strtoll(offset, NULL, 10);
    if (rate != NULL) rate_ppm = strtoll(rate, NULL, 10);
    for (clockid_t clock = 0; clock < 16; clock++) began_ns[clock] = real_ns(clock);
}

int clock_gettime(clockid_t clock, struct timespec *out) {
    if (clock < 0 || clock >= 16) return (int)syscall(SYS_clock_gettime, clock, out);
    int64_t real = real_ns(clock);
    int64_t wrong = real + (real - began_ns[clock]) / 1000000 * rate_ppm;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) wrong += offset_s * NS_PER_S;
    out->tv_sec = wrong / NS_PER_S;
    out->tv_nsec = wrong % NS_PER_S;
    return 0;
}

time_t time(time_t *out) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    struct timespec now;
    (void)zone;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
