/* appliance/base/cost.h: where a thread's CPU time goes, by clocks that the test turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/base/cost.h"

static uint64_t clock_now, clock_cpu;
static unsigned cpu_asked;

static uint64_t now(void) {
    return clock_now;
}

static uint64_t cpu(void) {
    cpu_asked++;
    return clock_cpu;
}

static void works(uint64_t ns) {
    clock_now += ns;
    clock_cpu += ns;
}

static void put_aside(uint64_t ns) {
    clock_now += ns;
}

static int begin(void **state) {
    static struct cost_meter meter;
    memset(&meter, 0, sizeof meter);
    clock_now = 1000000;
    clock_cpu = 777;
    cost_start(&meter, now, cpu);
    cpu_asked = 0;
    *state = &meter;
    return 0;
}

static uint64_t ns_of(const struct cost_meter *meter, enum cost_component component) {
    struct cost_figures figures;
    cost_read(meter, component, &figures);
    return figures.ns;
}

static uint64_t all(const struct cost_meter *meter) {
    uint64_t sum = 0;
    for (enum cost_component component = 0; component < COST_COUNT; component++) sum += ns_of(meter, component);
    return sum;
}

/* A wait that sleeps `sleep` and works `work`. */
static void waits(struct cost_meter *meter, uint64_t sleep, uint64_t work) {
    cost_wait_begin(meter, true);
    put_aside(sleep);
    works(work);
    cost_wait_end(meter);
}

static void each_component_has_what_no_other_one_within_it_has(void **state) {
    struct cost_meter *meter = *state;
    works(10);
    enum cost_component before = cost_enter(meter, COST_CONSENSUS);
    assert_int_equal(before, COST_LOOP);
    works(100);
    enum cost_component inner = cost_enter(meter, COST_VERIFY_VOTE);
    assert_int_equal(inner, COST_CONSENSUS);
    works(5000);
    cost_leave(meter, inner, 132);
    works(200);
    cost_leave(meter, before, 900);
    works(20);
    waits(meter, 1000000, 7);
    assert_int_equal(ns_of(meter, COST_CONSENSUS), 300);
    assert_int_equal(ns_of(meter, COST_VERIFY_VOTE), 5000);
    assert_int_equal(ns_of(meter, COST_LOOP), 30);
    assert_int_equal(ns_of(meter, COST_SYSTEM_CALLS), 7);
    struct cost_figures figures;
    cost_read(meter, COST_VERIFY_VOTE, &figures);
    assert_int_equal(figures.events, 1);
    assert_int_equal(figures.bytes, 132);
    cost_read(meter, COST_CONSENSUS, &figures);
    assert_int_equal(figures.events, 1);
    assert_int_equal(figures.bytes, 900);
}

static void a_thread_that_is_put_aside_has_no_more_than_it_used(void **state) {
    struct cost_meter *meter = *state;
    enum cost_component before = cost_enter(meter, COST_EXECUTE);
    works(3000);
    put_aside(3000); /* so it had twice of that by the clock */
    cost_leave(meter, before, 0);
    before = cost_enter(meter, COST_TRIE);
    works(1000);
    put_aside(1000);
    cost_leave(meter, before, 0);
    waits(meter, 5, 0);
    assert_int_equal(ns_of(meter, COST_EXECUTE), 3000);
    assert_int_equal(ns_of(meter, COST_TRIE), 1000);
    assert_int_equal(all(meter), 4000);
}

static void waits_are_looked_at_now_and_then_and_all_are_counted(void **state) {
    struct cost_meter *meter = *state;
    for (unsigned turn = 0; turn < 10 * COST_WAITS_LOOK + 1; turn++) {
        works(100);
        waits(meter, 1000000 + turn, 40);
    }
    /* The last look settled everything before it, and looked at itself. */
    assert_int_equal(all(meter), (10 * COST_WAITS_LOOK + 1) * 140);
    assert_int_equal(ns_of(meter, COST_SYSTEM_CALLS), (10 * COST_WAITS_LOOK + 1) * 40);
    assert_int_equal(ns_of(meter, COST_LOOP), (10 * COST_WAITS_LOOK + 1) * 100);
    assert_int_equal(cpu_asked, 2 * 11); /* a system call each: not at every wait */
    struct cost_figures figures;
    cost_read(meter, COST_SYSTEM_CALLS, &figures);
    assert_int_equal(figures.events, 10 * COST_WAITS_LOOK + 1);
}

/* Whatever a wait is taken to cost, the sum is what was used. */
static void the_sum_is_the_threads_cpu_time_when_waits_differ(void **state) {
    struct cost_meter *meter = *state;
    uint64_t begun = clock_cpu;
    for (unsigned turn = 0; turn < 5 * COST_WAITS_LOOK + 1; turn++) {
        works(3);
        waits(meter, 500, turn % COST_WAITS_LOOK == 0 ? 90000 : 1); /* those that are looked at are the dear ones */
    }
    assert_int_equal(all(meter), clock_cpu - begun);
}

static void a_thread_that_never_sleeps_is_settled_all_the_same(void **state) {
    struct cost_meter *meter = *state;
    for (unsigned turn = 0; turn < 100; turn++) {
        enum cost_component before = cost_enter(meter, COST_EXECUTE);
        works(1000000);
        cost_leave(meter, before, 0);
        cost_wait_begin(meter, false);
        works(500000);
        cost_wait_end(meter);
    }
    assert_in_range(cpu_asked, 2, 4); /* 150 ms */
    assert_in_range(ns_of(meter, COST_EXECUTE), 65000000, 100000000);
    assert_in_range(ns_of(meter, COST_SYSTEM_CALLS), 32000000, 50000000);
}

static void what_another_clock_measured_moves_within_its_sum(void **state) {
    struct cost_meter *meter = *state;
    enum cost_component before = cost_enter(meter, COST_NETWORK);
    works(1000);
    cost_leave(meter, before, 0);
    cost_move(meter, COST_NETWORK, COST_OPEN, 300);
    cost_move(meter, COST_NETWORK, COST_SEAL, 900); /* never more than is there */
    waits(meter, 9, 1);
    assert_int_equal(ns_of(meter, COST_NETWORK), 0);
    assert_int_equal(ns_of(meter, COST_OPEN), 300);
    assert_int_equal(ns_of(meter, COST_SEAL), 700);
}

static void without_a_clock_nothing_is_measured(void **state) {
    (void)state;
    struct cost_meter none;
    memset(&none, 0, sizeof none);
    struct cost_meter *const meters[] = {NULL, &none};
    for (unsigned i = 0; i < 2; i++) {
        enum cost_component before = cost_enter(meters[i], COST_TRIE);
        cost_leave(meters[i], before, 5);
        cost_count(meters[i], COST_TRIE, 1, 1);
        cost_move(meters[i], COST_TRIE, COST_LOOP, 1);
        cost_wait_begin(meters[i], true);
        cost_wait_end(meters[i]);
        assert_int_equal(cost_now_us(meters[i]), 0);
    }
    assert_int_equal(all(&none), 0);
}

static void names_differ(void **state) {
    (void)state;
    for (enum cost_component a = 0; a < COST_COUNT; a++) {
        for (enum cost_component b = 0; b < a; b++) assert_string_not_equal(cost_name(a), cost_name(b));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_component_has_what_no_other_one_within_it_has, begin),
        cmocka_unit_test_setup(a_thread_that_is_put_aside_has_no_more_than_it_used, begin),
        cmocka_unit_test_setup(waits_are_looked_at_now_and_then_and_all_are_counted, begin),
        cmocka_unit_test_setup(the_sum_is_the_threads_cpu_time_when_waits_differ, begin),
        cmocka_unit_test_setup(a_thread_that_never_sleeps_is_settled_all_the_same, begin),
        cmocka_unit_test_setup(what_another_clock_measured_moves_within_its_sum, begin),
        cmocka_unit_test(without_a_clock_nothing_is_measured),
        cmocka_unit_test(names_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
