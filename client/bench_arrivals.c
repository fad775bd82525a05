#include <math.h>

#include "client/bench.h"

static double next_of(struct bench_arrivals *arrivals) {
    if (!arrivals->poisson) return (double)arrivals->count * arrivals->gap_us; /* no sum: no error that grows */
    return arrivals->next_us - arrivals->gap_us * log(bench_random_unit(&arrivals->random));
}

void bench_arrivals_init(struct bench_arrivals *arrivals, double rate, bool poisson, uint64_t seed) {
    *arrivals = (struct bench_arrivals){.gap_us = 1e6 / rate, .poisson = poisson, .random = seed};
    arrivals->next_us = next_of(arrivals);
}

void bench_arrivals_step(struct bench_arrivals *arrivals) {
    arrivals->count++;
    arrivals->next_us = next_of(arrivals);
}
