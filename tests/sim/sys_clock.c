/* Time and random words of a simulated machine, in the place of ring/clock.c and ring/entropy.c (tests/sim/sys.h). */
#include "ring/clock.h"
#include "ring/entropy.h"
#include "tests/sim/sys.h"

static uint64_t clock_us = 1000000;
static uint64_t entropy;

void sys_clock_set(uint64_t now_us) {
    clock_us = now_us;
}

void sys_entropy_seed(uint64_t seed) {
    entropy = seed;
}

uint64_t ring_clock_us(void) {
    return clock_us;
}

uint64_t ring_clock_ms(void) {
    return clock_us / 1000;
}

uint64_t ring_clock_wall_ms(void) {
    return UINT64_C(1700000000000) + clock_us / 1000;
}

uint64_t ring_entropy_u64(void) {
    uint64_t z = (entropy += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void ring_entropy_fill(void *out, size_t bytes) {
    uint8_t *at = out;
    for (size_t i = 0; i < bytes; i++) at[i] = (uint8_t)ring_entropy_u64();
}
