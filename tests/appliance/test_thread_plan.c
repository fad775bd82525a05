/* Which threads a node has and where they run, by what machine and node.conf say (appliance/config/thread_plan.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/config/thread_plan.h"

enum { MIB = 1 << 20, NO = -1 };
#define GIB (UINT64_C(1) << 30)

/* `count` CPUs from `first` on. */
static struct thread_machine machine_of(uint32_t first, uint32_t count, uint64_t quota, uint64_t memory) {
    struct thread_machine machine = {.cpu_count = count, .quota_thousandths = quota, .memory_bytes = memory};
    for (uint32_t i = 0; i < count; i++) machine.cpus[i] = (uint16_t)(first + i);
    return machine;
}

static struct thread_wish wish_of(enum thread_map map, int verifiers) {
    struct thread_wish wish = {.map = map, .verifiers = verifiers, .hashers = verifiers < 0 ? NO : verifiers / 2};
    for (int i = 0; i < NODE_THREADS; i++) wish.cpus[i] = NO;
    return wish;
}

static void the_table_of_machines_gives_the_map(void **state) {
    (void)state;
    static const struct {
        uint32_t cpus;
        uint64_t quota, memory;
        enum thread_map map;
        int wanted;
        /* gives: */
        bool split;
        enum thread_reason reason;
        uint32_t usable, verifiers;
        bool pinned;
    } cases[] = {
        {1, 0, 8 * GIB, THREAD_MAP_AUTO, NO, false, THREAD_FEW_CPUS, 1, 0, false},
        {2, 0, 8 * GIB, THREAD_MAP_AUTO, NO, false, THREAD_FEW_CPUS, 2, 0, false},
        {7, 0, 8 * GIB, THREAD_MAP_AUTO, NO, false, THREAD_FEW_CPUS, 7, 0, false},
        {8, 0, 8 * GIB, THREAD_MAP_AUTO, NO, true, THREAD_MANY_CPUS, 8, 2, true},
        {9, 0, 8 * GIB, THREAD_MAP_AUTO, NO, true, THREAD_MANY_CPUS, 9, 3, true},
        {12, 0, 8 * GIB, THREAD_MAP_AUTO, NO, true, THREAD_MANY_CPUS, 12, 6, true},
        {13, 0, 8 * GIB, THREAD_MAP_AUTO, NO, true, THREAD_MANY_CPUS, 13, 6, true},
        {256, 0, 8 * GIB, THREAD_MAP_AUTO, NO, true, THREAD_MANY_CPUS, 256, 6, true},
        {8, 0, 256 * MIB, THREAD_MAP_AUTO, NO, true, THREAD_MANY_CPUS, 8, 2, true},
        {8, 0, 256 * MIB - 1, THREAD_MAP_AUTO, NO, false, THREAD_LITTLE_MEMORY, 8, 0, false},
        {8, 0, 0, THREAD_MAP_AUTO, NO, true, THREAD_MANY_CPUS, 8, 2, true},
        /* a quota counts as whole CPUs, and one below the CPUs pins nothing */
        {16, 7999, 8 * GIB, THREAD_MAP_AUTO, NO, false, THREAD_FEW_CPUS, 7, 0, false},
        {16, 8000, 8 * GIB, THREAD_MAP_AUTO, NO, true, THREAD_MANY_CPUS, 8, 2, false},
        {8, 8000, 8 * GIB, THREAD_MAP_AUTO, NO, true, THREAD_MANY_CPUS, 8, 2, true},
        {8, 64000, 8 * GIB, THREAD_MAP_AUTO, NO, true, THREAD_MANY_CPUS, 8, 2, true},
        {2, 100, 8 * GIB, THREAD_MAP_AUTO, NO, false, THREAD_FEW_CPUS, 1, 0, false},
        {0, 0, 0, THREAD_MAP_AUTO, NO, false, THREAD_FEW_CPUS, 0, 0, false},
        /* what node.conf says goes before: it is not pinned unless it says so too */
        {8, 0, 8 * GIB, THREAD_MAP_FUSED, NO, false, THREAD_BY_CONFIGURATION, 8, 0, false},
        {8, 0, 8 * GIB, THREAD_MAP_FUSED, 3, false, THREAD_BY_CONFIGURATION, 8, 0, false},
        {2, 0, 8 * GIB, THREAD_MAP_SPLIT, NO, true, THREAD_BY_CONFIGURATION, 2, 0, false},
        {2, 0, 8 * GIB, THREAD_MAP_SPLIT, 4, true, THREAD_BY_CONFIGURATION, 2, 4, false},
        {8, 0, 8 * GIB, THREAD_MAP_SPLIT, NO, true, THREAD_BY_CONFIGURATION, 8, 2, false},
        {8, 0, 8 * GIB, THREAD_MAP_SPLIT, 0, true, THREAD_BY_CONFIGURATION, 8, 0, false},
        {8, 0, 8 * GIB, THREAD_MAP_AUTO, 0, true, THREAD_MANY_CPUS, 8, 0, true},
        {8, 0, 8 * GIB, THREAD_MAP_SPLIT, 100, true, THREAD_BY_CONFIGURATION, 8, THREAD_VERIFIERS_MAX, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct thread_machine machine = machine_of(0, cases[i].cpus, cases[i].quota, cases[i].memory);
        struct thread_wish wish = wish_of(cases[i].map, cases[i].wanted);
        struct thread_plan plan;
        thread_plan_make(&machine, true, &wish, &plan);
        bool good = plan.split == cases[i].split && plan.reason == cases[i].reason && plan.usable == cases[i].usable &&
                    plan.verifiers == cases[i].verifiers && (plan.cpus[NODE_THREAD_NETWORK] >= 0) == cases[i].pinned;
        if (!good) fail_msg("case %zu: split %d reason %d usable %u verifiers %u", i, plan.split, (int)plan.reason, plan.usable, plan.verifiers);
    }
}

/* What is left beyond five threads and a spare CPU: at a coordinator verifiers alone, at a shard every second one a hasher. */
static void the_kind_of_cluster_shares_out_the_workers(void **state) {
    (void)state;
    static const struct {
        uint32_t cpus;
        bool coordinator;
        uint32_t verifiers, hashers;
    } cases[] = {{8, true, 2, 0},  {8, false, 1, 1},  {9, true, 3, 0},  {9, false, 2, 1},  {10, false, 2, 2}, {12, true, 6, 0},
                 {12, false, 3, 3}, {16, true, 6, 0}, {16, false, 5, 3}, {64, true, 6, 0}, {64, false, 6, 3}, {7, false, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct thread_machine machine = machine_of(0, cases[i].cpus, 0, GIB);
        struct thread_wish wish = wish_of(THREAD_MAP_AUTO, NO);
        struct thread_plan plan;
        thread_plan_make(&machine, cases[i].coordinator, &wish, &plan);
        if (plan.verifiers != cases[i].verifiers || plan.hashers != cases[i].hashers)
            fail_msg("case %zu: %u verifiers, %u hashers", i, plan.verifiers, plan.hashers);
    }
}

/* Whatever the machine: no CPU has two threads, each pinned one is one that the process may use, and one is left. */
static void each_thread_that_is_pinned_has_a_cpu_of_its_own(void **state) {
    (void)state;
    for (uint32_t count = THREAD_SPLIT_CPUS; count <= THREAD_CPUS_MAX; count++) {
        struct thread_machine machine = machine_of(3, count, 0, GIB);
        struct thread_wish wish = wish_of(THREAD_MAP_AUTO, NO);
        struct thread_plan plan;
        bool taken[THREAD_CPUS_MAX + 3] = {false};
        uint32_t pinned = 0;
        thread_plan_make(&machine, count % 2 == 0, &wish, &plan);
        for (int thread = 0; thread < NODE_THREADS; thread++) {
            assert_int_equal(plan.cpus[thread] >= 0, thread_plan_has(&plan, (enum node_thread)thread));
            if (plan.cpus[thread] < 0) continue;
            assert_in_range(plan.cpus[thread], 3, 3 + count - 1);
            assert_false(taken[plan.cpus[thread]]);
            taken[plan.cpus[thread]] = true;
            pinned++;
        }
        assert_in_range(pinned, NODE_THREADS_FIXED, count - THREAD_SPARE_CPUS);
    }
}

static void who_names_cpus_has_those_and_no_others(void **state) {
    (void)state;
    struct thread_machine machine = machine_of(0, 8, 0, GIB);
    for (enum thread_map map = THREAD_MAP_AUTO; map <= THREAD_MAP_SPLIT; map++) {
        struct thread_wish wish = wish_of(map, NO);
        struct thread_plan plan;
        wish.pins = true;
        wish.cpus[NODE_THREAD_WAL] = 5;
        thread_plan_make(&machine, true, &wish, &plan);
        for (int thread = 0; thread < NODE_THREADS; thread++) assert_int_equal(plan.cpus[thread], thread == NODE_THREAD_WAL ? 5 : NO);
    }
}

static void a_plan_knows_its_threads_by_name(void **state) {
    (void)state;
    struct thread_plan fused = {.split = false, .verifiers = 2, .hashers = 1}, split = {.split = true, .verifiers = 2, .hashers = 1};
    char names[2][200] = {"", ""};
    for (int thread = 0; thread < NODE_THREADS; thread++) {
        const struct thread_plan *plans[] = {&fused, &split};
        for (int i = 0; i < 2; i++) {
            if (!thread_plan_has(plans[i], (enum node_thread)thread)) continue;
            size_t used = strlen(names[i]);
            (void)snprintf(names[i] + used, sizeof names[i] - used, "%s ", node_thread_name((enum node_thread)thread));
        }
    }
    assert_string_equal(names[0], "network wal state ");
    assert_string_equal(names[1], "network consensus execution wal state verify0 verify1 hash0 ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_machines_gives_the_map),
        cmocka_unit_test(the_kind_of_cluster_shares_out_the_workers),
        cmocka_unit_test(each_thread_that_is_pinned_has_a_cpu_of_its_own),
        cmocka_unit_test(who_names_cpus_has_those_and_no_others),
        cmocka_unit_test(a_plan_knows_its_threads_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
