/* What bench chooses and how it counts: Zipf against its formula, arrivals against their clock, quantiles (client/bench.h). Seeds are fixed: what is
 * seen here is seen by everybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "client/bench_inside.h"

enum { DRAWS = 1000000, KEYS_MAX = 1000 };

/* How far `DRAWS` draws of exponent `drawn` are from the formula with exponent `s`: chi square over `keys`, in its standard deviations. */
static double zipf_distance(uint64_t keys, double drawn, double s, uint64_t seed) {
    static uint64_t counts[KEYS_MAX];
    struct bench_zipf zipf;
    memset(counts, 0, sizeof counts);
    bench_zipf_init(&zipf, keys, drawn);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t key = bench_zipf_next(&zipf, &seed);
        assert_true(key < keys);
        counts[key]++;
    }
    double all = 0, square = 0;
    for (uint64_t k = 0; k < keys; k++) all += pow((double)k + 1, -s);
    for (uint64_t k = 0; k < keys; k++) {
        double expected = DRAWS * pow((double)k + 1, -s) / all;
        square += ((double)counts[k] - expected) * ((double)counts[k] - expected) / expected;
    }
    double freedom = (double)keys - 1;
    return freedom > 0 ? (square - freedom) / sqrt(2 * freedom) : square;
}

static void zipf_gives_each_key_the_frequency_of_the_formula(void **state) {
    (void)state;
    static const double exponents[] = {0.01, 0.5, 0.99, 1, 1.01, 1.5, 1.99};
    for (size_t i = 0; i < sizeof exponents / sizeof exponents[0]; i++) {
        double s = exponents[i];
        uint64_t keys = s > 1.2 ? 100 : KEYS_MAX; /* so that each is expected often enough */
        double distance = zipf_distance(keys, s, s, 7 + i);
        if (fabs(distance) > 4) fail_msg("exponent %.2f: %.1f deviations from the formula", s, distance);
        if (zipf_distance(keys, s, s + 0.05, 7 + i) < 10) fail_msg("exponent %.2f cannot be told from %.2f", s, s + 0.05);
    }
    assert_true(zipf_distance(1, 0.99, 0.99, 1) == 0);
    assert_true(zipf_distance(2, 0.99, 0.99, 1) < 4);
}

static void zipf_over_all_keys_that_there_may_be_favours_the_first_as_much_as_it_should(void **state) {
    (void)state;
    struct bench_zipf zipf;
    uint64_t seed = 3, keys = UINT64_C(1) << 32, first = 0, second = 0, half = 0;
    bench_zipf_init(&zipf, keys, 0.99);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t key = bench_zipf_next(&zipf, &seed);
        assert_true(key < keys);
        first += key == 0;
        second += key == 1;
        half += key >= keys / 2;
    }
    /* The sum of k^-0.99 to 2^32, by Euler and Maclaurin: the integral to it, zeta(0.99), and half of the last. */
    double sum = pow(0x1p32, 0.01) / 0.01 + (-99.42351) + pow(0x1p32, -0.99) / 2;
    double tail = (pow(0x1p32, 0.01) - pow(0x1p31, 0.01)) / 0.01 / sum;
    assert_true(fabs((double)first / DRAWS * sum - 1) < 0.02);
    assert_true(fabs((double)second / DRAWS * sum * pow(2, 0.99) - 1) < 0.02);
    assert_true(fabs((double)half / DRAWS / tail - 1) < 0.02);
}

static void choices_follow_from_the_seed_alone(void **state) {
    (void)state;
    struct bench_options options = {.users = 1, .keys = 5000, .zipf = 0.99, .weights = {80, 10, 4, 3, 3}};
    struct bench bench[2];
    uint32_t kinds[BENCH_KINDS] = {0}, differ = 0;
    for (int i = 0; i < 2; i++) {
        bench[i] = (struct bench){.options = &options, .weights = 100, .random = 11};
        bench_zipf_init(&bench[i].zipf, options.keys, options.zipf);
    }
    struct bench other = {.options = &options, .weights = 100, .random = 12, .zipf = bench[0].zipf};
    for (int i = 0; i < 100000; i++) {
        struct user a, b, c;
        bench_choose(&bench[0], &a);
        bench_choose(&bench[1], &b);
        bench_choose(&other, &c);
        assert_int_equal(a.key, b.key);
        assert_int_equal(a.kind, b.kind);
        kinds[a.kind]++;
        differ += a.key != c.key || a.kind != c.kind;
    }
    for (int kind = 0; kind < BENCH_KINDS; kind++) assert_true(fabs(kinds[kind] / 1000.0 - options.weights[kind]) < 0.5);
    assert_true(differ > 50000);
}

static void values_tell_their_key_and_write_and_nothing_else_passes(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 7, 8, 12, 32, 65536}; /* of 9, each 256th write would pass for another one */
    static uint8_t value[HERACLIUS_VALUE_BYTES_MAX];
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct bench_options options = {.seed = 5, .value_bytes = sizes[i]};
        struct bench bench = {.options = &options};
        struct heraclius_result result = {.has_value = true, .value = value, .value_bytes = sizes[i]};
        uint64_t seq;
        bench_value_make(&bench, 17, 900, value);
        assert_true(bench_value_right(&bench, 17, &result, &seq));
        assert_int_equal(seq, sizes[i] < BENCH_SEQ_VALUE_BYTES ? 0 : 900);
        for (uint32_t at = 0; at < sizes[i]; at += 1 + at / 2) {
            value[at] ^= 1;
            if (sizes[i] != 8) assert_false(bench_value_right(&bench, 17, &result, &seq)); /* 8 bytes are the number, and no more */
            value[at] ^= 1;
        }
        if (sizes[i] > 8) assert_false(bench_value_right(&bench, 18, &result, &seq));
        result.value_bytes--;
        assert_false(bench_value_right(&bench, 17, &result, &seq));
    }
}

static void keys_of_numbers_are_not_those_of_values(void **state) {
    (void)state;
    struct bench_options options = {.seed = 5};
    struct bench bench = {.options = &options};
    uint8_t value_key[BENCH_KEY_BYTES], number_key[BENCH_KEY_BYTES], next_key[BENCH_KEY_BYTES];
    for (uint64_t key = 0; key < 1000; key++) {
        bench_key_make(&bench, BENCH_GET, key, value_key);
        bench_key_make(&bench, BENCH_ADD, key, number_key);
        bench_key_make(&bench, BENCH_CAS, key + 1, next_key);
        assert_memory_not_equal(value_key, number_key, BENCH_KEY_BYTES);
        assert_memory_not_equal(value_key, next_key, BENCH_KEY_BYTES);
    }
}

static void keys_of_another_seed_are_others(void **state) {
    (void)state;
    enum { MANY = 40 };
    static uint8_t keys[MANY * MANY][BENCH_KEY_BYTES];
    for (uint32_t seed = 0; seed < MANY; seed++) {
        struct bench_options options = {.seed = seed};
        struct bench bench = {.options = &options};
        for (uint32_t key = 0; key < MANY; key++) bench_key_make(&bench, BENCH_PUT, key, keys[seed * MANY + key]);
    }
    for (uint32_t i = 0; i < MANY * MANY; i++) {
        for (uint32_t j = 0; j < i; j++) assert_memory_not_equal(keys[i], keys[j], BENCH_KEY_BYTES);
    }
}

static void arrivals_are_due_evenly_or_as_by_chance(void **state) {
    (void)state;
    enum { COUNT = 200000, RATE = 30000 };
    struct bench_arrivals even, poisson, again;
    double mean = 1e6 / RATE, last = 0;
    uint32_t above = 0;
    bench_arrivals_init(&even, RATE, false, 1);
    bench_arrivals_init(&poisson, RATE, true, 2);
    bench_arrivals_init(&again, RATE, true, 2);
    for (int i = 0; i < COUNT; i++) {
        assert_true(fabs(even.next_us - i * mean) < 1e-3);
        assert_true(poisson.next_us > last || i == 0);
        assert_true(poisson.next_us == again.next_us);
        above += poisson.next_us - last > mean;
        last = poisson.next_us;
        bench_arrivals_step(&even);
        bench_arrivals_step(&poisson);
        bench_arrivals_step(&again);
        assert_int_equal(poisson.count, i + 1);
    }
    assert_true(fabs(last / COUNT / mean - 1) < 0.01);
    assert_true(fabs((double)above / COUNT - exp(-1)) < 0.005); /* of an exponential distribution */
}

static void quantiles_are_within_a_bucket(void **state) {
    (void)state;
    static struct bench_histogram histogram;
    assert_int_equal(bench_histogram_quantile(&histogram, 500000), 0);
    for (uint64_t i = 1; i <= 100000; i++) bench_histogram_add(&histogram, i);
    for (uint32_t part = 10000; part <= 1000000; part += 10000) {
        double expected = part / 10.0, told = (double)bench_histogram_quantile(&histogram, part);
        assert_true(told >= expected && told < expected * 1.032 + 1);
    }
    assert_int_equal(histogram.highest, 100000);
}

/* Users' operations on keys of one group go by handles of that group's clusters, as even as they divide; else a user's by one and the same. */
static void a_batch_of_bench_is_of_one_group_and_its_handles_are_even(void **state) {
    (void)state;
    static struct handle handles[64];
    static const uint32_t cases[][3] = {{1, 1, 4}, {1, 3, 16}, {2, 1, 4}, {2, 2, 1}, {2, 2, 2},  {2, 2, 5},  {2, 4, 16},
                                        {3, 2, 16}, {3, 2, 3}, {4, 4, 3}, {4, 4, 64}, {4, 3, 9}, {3, 8, 7}, {8, 8, 16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t coordinators = cases[i][0], shards = cases[i][1], keys = cases[i][2];
        struct bench_options options = {.client_keys = keys};
        struct bench bench = {.options = &options, .handles = handles};
        for (uint32_t h = 0; h < keys; h++) handles[h] = (struct handle){.bench = &bench, .index = h};
        bench_groups_find(&bench, coordinators, shards);
        bool grouped = coordinators > 1 && shards > 1 && keys >= coordinators;
        assert_int_equal(bench.groups, !grouped ? 1 : coordinators < shards ? coordinators : shards);
        for (uint32_t shard = 0; shard < shards; shard++) {
            uint32_t users[64] = {0}, group = grouped ? shard * bench.groups / shards : 0, most = 0, least = UINT32_MAX;
            for (uint32_t user = 0; user < 64 * 60; user++) {
                const struct handle *handle = bench_handle_of(&bench, shard, user);
                assert_true(handle >= handles && handle < handles + keys);
                assert_int_equal(bench_handle_group(handle), group);
                if (!grouped) assert_int_equal(handle->index, user % keys);
                if (grouped && coordinators <= shards) assert_int_equal(handle->index % coordinators, shard * coordinators / shards);
                users[handle->index]++;
            }
            for (uint32_t h = 0; h < keys; h++) {
                if (bench_handle_group(&handles[h]) != group) continue;
                if (users[h] > most) most = users[h];
                if (users[h] < least) least = users[h];
            }
            assert_true(least > 0 && (keys % coordinators != 0 || most <= least + coordinators));
        }
    }
}

static void users_leave_a_queue_as_they_came(void **state) {
    (void)state;
    static struct user users[300];
    struct bench bench = {.users = users};
    struct user_queue queue = {0};
    assert_int_equal(bench_queue_pop(&bench, &queue), BENCH_NOBODY);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 5; i++) bench_queue_push(&queue, (i + round) % 5);
        for (uint32_t i = 0; i < 5; i++) assert_int_equal(bench_queue_pop(&bench, &queue), (i + round) % 5);
        assert_int_equal(bench_queue_pop(&bench, &queue), BENCH_NOBODY);
    }
    uint32_t in = 0, out = 0; /* it grows with its head anywhere in it */
    for (uint32_t step = 1; step < 300; step++) {
        for (uint32_t i = 0; i < step % 11 && in < 300; i++) bench_queue_push(&queue, in++);
        for (uint32_t i = 0; i < step % 7 && out < in; i++) assert_int_equal(bench_queue_pop(&bench, &queue), out++);
    }
    assert_true(queue.room > 64);
    while (out < in) assert_int_equal(bench_queue_pop(&bench, &queue), out++);
    assert_int_equal(bench_queue_pop(&bench, &queue), BENCH_NOBODY);
    free(queue.users);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zipf_gives_each_key_the_frequency_of_the_formula),
        cmocka_unit_test(zipf_over_all_keys_that_there_may_be_favours_the_first_as_much_as_it_should),
        cmocka_unit_test(choices_follow_from_the_seed_alone),
        cmocka_unit_test(values_tell_their_key_and_write_and_nothing_else_passes),
        cmocka_unit_test(keys_of_numbers_are_not_those_of_values),
        cmocka_unit_test(keys_of_another_seed_are_others),
        cmocka_unit_test(arrivals_are_due_evenly_or_as_by_chance),
        cmocka_unit_test(quantiles_are_within_a_bucket),
        cmocka_unit_test(a_batch_of_bench_is_of_one_group_and_its_handles_are_even),
        cmocka_unit_test(users_leave_a_queue_as_they_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
