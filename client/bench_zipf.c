/*
 * Rejection-inversion (Hörmann and Derflinger, Rejection-Inversion to Generate Variates from Monotone Discrete Distributions, ACM TOMACS 6, 1996):
 * exact for each s, without a table, at one or two draws a rank. Ranks count from 1 in here. `integral` is that of x^-s.
 */
#include <math.h>

#include "client/bench.h"

/* (exp(t) - 1) / t */
static double exponential_part(double t) {
    return fabs(t) > 1e-8 ? expm1(t) / t : 1 + t / 2;
}

/* log(1 + t) / t */
static double logarithm_part(double t) {
    return fabs(t) > 1e-8 ? log1p(t) / t : 1 - t / 2;
}

static double weight(double s, double x) {
    return exp(-s * log(x));
}

static double integral(double s, double x) {
    double logarithm = log(x);
    return exponential_part((1 - s) * logarithm) * logarithm;
}

static double integral_inverse(double s, double y) {
    double t = y * (1 - s);
    if (t < -1) t = -1; /* by rounding */
    return exp(logarithm_part(t) * y);
}

void bench_zipf_init(struct bench_zipf *zipf, uint64_t count, double s) {
    *zipf = (struct bench_zipf){.count = (double)count, .s = s};
    zipf->integral_first = integral(s, 1.5) - 1;
    zipf->integral_last = integral(s, zipf->count + 0.5);
    zipf->squeeze = 2 - integral_inverse(s, integral(s, 2.5) - weight(s, 2));
}

uint64_t bench_zipf_next(const struct bench_zipf *zipf, uint64_t *random) {
    for (;;) {
        double y = zipf->integral_last + bench_random_unit(random) * (zipf->integral_first - zipf->integral_last);
        double x = integral_inverse(zipf->s, y);
        double rank = floor(x + 0.5);
        if (rank < 1) rank = 1;
        if (rank > zipf->count) rank = zipf->count;
        if (rank - x <= zipf->squeeze || y >= integral(zipf->s, rank + 0.5) - weight(zipf->s, rank)) return (uint64_t)rank - 1;
    }
}
