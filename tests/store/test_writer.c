/* The storage thread: what it applies together, and that nothing is left over or done twice. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "store/writer.h"

enum { GROUPS_MAX = 64 };

/* Items are the addresses of these; a slow one has its number below zero. */
static int numbers[GROUPS_MAX];

struct bench {
    struct writer writer;
    struct store_error error;
    sem_t entered, go; /* of the first group: the rest is queued while it is applied */
    int groups[GROUPS_MAX][GROUPS_MAX];
    uint32_t counts[GROUPS_MAX], group_count;
    bool fails;        /* the group that begins with a slow one */
};

static bool is_slow(void *context, const void *item) {
    (void)context;
    return *(const int *)item < 0;
}

static enum store_status apply(void *context, void *const *items, uint32_t count, struct store_error *error) {
    struct bench *bench = context;
    assert_true(bench->group_count < GROUPS_MAX && count > 0);
    uint32_t group = bench->group_count++;
    bench->counts[group] = count;
    for (uint32_t i = 0; i < count; i++) bench->groups[group][i] = *(const int *)items[i];
    if (group == 0) {
        assert_int_equal(sem_post(&bench->entered), 0);
        assert_int_equal(sem_wait(&bench->go), 0);
    }
    if (!bench->fails || bench->groups[group][0] >= 0) return STORE_OK;
    *error = (struct store_error){.status = STORE_IO};
    return STORE_IO;
}

static void bench_open(struct bench *bench, uint32_t items_max, bool slow) {
    memset(bench, 0, sizeof *bench);
    assert_int_equal(sem_init(&bench->entered, 0, 0), 0);
    assert_int_equal(sem_init(&bench->go, 0, 0), 0);
    const struct writer_config config = {
        .name = "test", .slots = 64, .items_max = items_max, .cpu = -1, .apply = apply, .is_slow = slow ? is_slow : NULL, .apply_context = bench};
    assert_int_equal(writer_start(&bench->writer, &config, &bench->error), STORE_OK);
}

/* The first one alone, so that all others are queued when the second group is made. */
static void queue(struct bench *bench, const int *list, uint32_t count) {
    uint64_t number;
    for (uint32_t i = 0; i < count; i++) {
        numbers[i] = list[i];
        assert_int_equal(writer_submit(&bench->writer, &numbers[i], &number), STORE_OK);
        assert_int_equal(number, i + 1);
        if (i == 0) assert_int_equal(sem_wait(&bench->entered), 0);
    }
    assert_int_equal(sem_post(&bench->go), 0);
}

static void group_is(const struct bench *bench, uint32_t group, const int *list, uint32_t count) {
    assert_true(group < bench->group_count);
    assert_int_equal(bench->counts[group], count);
    assert_memory_equal(bench->groups[group], list, count * sizeof *list);
}

static void what_came_before_a_slow_one_does_not_wait_for_it(void **state) {
    (void)state;
    static struct bench bench;
    bench_open(&bench, 16, true);
    queue(&bench, (const int[]){1, 2, 3, -4, 5, 6, -7, -8, 9}, 9);
    assert_int_equal(writer_wait(&bench.writer, 9), STORE_OK);
    assert_int_equal(writer_stop(&bench.writer), STORE_OK);
    assert_int_equal(bench.group_count, 4);
    group_is(&bench, 0, (const int[]){1}, 1);
    group_is(&bench, 1, (const int[]){2, 3}, 2);
    group_is(&bench, 2, (const int[]){-4, 5, 6}, 3);
    group_is(&bench, 3, (const int[]){-7, -8, 9}, 3); /* slow ones side by side share what they wait for */
    assert_int_equal(writer_completed(&bench.writer), 9);
}

static void a_group_has_no_more_than_it_may(void **state) {
    (void)state;
    static struct bench bench;
    bench_open(&bench, 2, true);
    queue(&bench, (const int[]){1, 2, -3, 4, 5, 6, -7}, 7);
    assert_int_equal(writer_stop(&bench.writer), STORE_OK); /* does what is queued, what was seen and put back included */
    assert_int_equal(bench.group_count, 5);
    group_is(&bench, 1, (const int[]){2}, 1);
    group_is(&bench, 2, (const int[]){-3, 4}, 2);
    group_is(&bench, 3, (const int[]){5, 6}, 2);
    group_is(&bench, 4, (const int[]){-7}, 1);
    assert_int_equal(writer_completed(&bench.writer), 7);
}

static void where_none_is_slow_all_go_together(void **state) {
    (void)state;
    static struct bench bench;
    bench_open(&bench, 16, false);
    queue(&bench, (const int[]){1, 2, -3, 4}, 4);
    assert_int_equal(writer_stop(&bench.writer), STORE_OK);
    assert_int_equal(bench.group_count, 2);
    group_is(&bench, 1, (const int[]){2, -3, 4}, 3);
}

static void a_slow_one_that_fails_takes_nothing_back(void **state) {
    (void)state;
    static struct bench bench;
    bench_open(&bench, 16, true);
    bench.fails = true;
    queue(&bench, (const int[]){1, 2, -3, 4}, 4);
    assert_int_equal(writer_wait(&bench.writer, 2), STORE_OK);
    assert_int_equal(writer_wait(&bench.writer, 3), STORE_IO);
    assert_int_equal(writer_stop(&bench.writer), STORE_IO);
    assert_int_equal(writer_completed(&bench.writer), 2);
    assert_int_equal(bench.group_count, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_came_before_a_slow_one_does_not_wait_for_it),
        cmocka_unit_test(a_group_has_no_more_than_it_may),
        cmocka_unit_test(where_none_is_slow_all_go_together),
        cmocka_unit_test(a_slow_one_that_fails_takes_nothing_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
