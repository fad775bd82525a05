/* How busy the CPUs are (appliance/status/load.h), and what a leader makes of it (appliance/replica/replica_pace.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sched.h>

#include "appliance/replica/replica_private.h"
#include "appliance/status/load.h"

static char root[64];
static struct replica *replica;

static int begin(void **state) {
    (void)state;
    char path[96];
    (void)snprintf(root, sizeof root, "/tmp/load-XXXXXX");
    assert_non_null(mkdtemp(root));
    (void)snprintf(path, sizeof path, "%s/proc", root);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/proc/thread-self", root);
    assert_int_equal(mkdir(path, 0700), 0);
    replica = calloc(1, sizeof *replica);
    assert_non_null(replica);
    return 0;
}

static int end(void **state) {
    (void)state;
    char path[96];
    (void)snprintf(path, sizeof path, "%s/proc/stat", root);
    (void)remove(path);
    (void)snprintf(path, sizeof path, "%s/proc/thread-self/schedstat", root);
    (void)remove(path);
    (void)snprintf(path, sizeof path, "%s/proc/thread-self", root);
    (void)rmdir(path);
    (void)snprintf(path, sizeof path, "%s/proc", root);
    (void)rmdir(path);
    free(replica);
    return rmdir(root);
}

static unsigned my_cpu(void) {
    cpu_set_t mine;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &mine)) return cpu;
    }
    fail();
    return 0;
}

/* One CPU of mine, one that no machine has, and before them the sum of all, in which nobody has been for longer than that CPU's number says. */
static void stat_put(unsigned long long user, unsigned long long nice, unsigned long long idle, unsigned long long steal) {
    char path[96];
    (void)snprintf(path, sizeof path, "%s/proc/stat", root);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, "cpu  %u %llu 9 %llu 9 9 9 9 0 0\n", my_cpu(), user, idle * 3);
    fprintf(file, "cpu%u %llu %llu 0 %llu 0 0 0 %llu 0 0\ncpu99999 7 7 7 7 7 7 7 7 0 0\nintr 1 2 3\n", my_cpu(), user, nice, idle, steal);
    assert_int_equal(fclose(file), 0);
}

static void thread_put(unsigned long long ran, unsigned long long waited) {
    char path[96];
    (void)snprintf(path, sizeof path, "%s/proc/thread-self/schedstat", root);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fprintf(file, "%llu %llu 17\n", ran, waited);
    assert_int_equal(fclose(file), 0);
}

static void the_first_look_says_nothing_and_the_next_what_passed(void **state) {
    (void)state;
    struct load load = {0};
    assert_int_equal(load_look(&load, root), -1); /* no file */
    stat_put(100, 50, 850, 0);
    assert_int_equal(load_look(&load, root), -1); /* nothing of the thread */
    thread_put(1000, 1000);
    assert_int_equal(load_look(&load, root), -1);
    stat_put(170, 50, 880, 0);
    thread_put(1500, 1500);
    assert_int_equal(load_look(&load, root), 700);
    assert_int_equal(load_look(&load, root), -1); /* no time has passed */
}

static void what_gives_way_is_idle_and_what_was_stolen_is_not(void **state) {
    (void)state;
    struct load load = {0};
    stat_put(0, 0, 1, 0);
    thread_put(0, 0);
    assert_int_equal(load_look(&load, root), -1);
    stat_put(0, 75, 1, 25);
    thread_put(100, 100);
    assert_int_equal(load_look(&load, root), 250);
    stat_put(0, 70, 1000, 20); /* a counter that went back */
    assert_int_equal(load_look(&load, root), -1);
}

static void who_gets_a_cpu_at_once_lacks_none_however_busy_they_are(void **state) {
    (void)state;
    struct load load = {0};
    stat_put(0, 0, 1, 0);
    thread_put(0, 0);
    assert_int_equal(load_look(&load, root), -1);
    stat_put(1000, 0, 1, 0);
    thread_put(900, 100);
    assert_int_equal(load_look(&load, root), 200);
    stat_put(1000, 0, 1001, 0);
    thread_put(950, 150); /* it waits for half of its time, and CPUs are idle */
    assert_int_equal(load_look(&load, root), 0);
}

static void replica_fresh(void) {
    memset(replica, 0, sizeof *replica);
    replica->config.timeouts.input_relay_ms = 1000;
    replica->config.timeouts.throughput_window_ms = 1000;
}

/* With a proposal of 100 operations between two looks. */
static void looks(unsigned count, uint32_t permille) {
    for (unsigned i = 0; i < count; i++) {
        replica->status.proposals++;
        replica->pace.ops += 100;
        replica_load(replica, permille);
    }
}

static void decisions_that_are_large_already_are_not_held(void **state) {
    (void)state;
    replica_fresh();
    pace_committed(replica, 5000);
    looks(200, 1000);
    assert_int_equal(replica->pace.hold_us, 20000);
    for (unsigned i = 0; i < 100; i++) {
        replica->status.proposals += 2;
        replica->pace.ops += 65536;
        replica_load(replica, 1000);
    }
    assert_int_equal(replica->pace.hold_us, 0);
    replica->status.proposals += 2;
    replica->pace.ops += 65535;
    replica_load(replica, 1000);
    assert_true(replica->pace.hold_us > 0);
    replica->pace.hold_us = 16000;
    for (unsigned i = 0; i < 4; i++) {
        replica->status.proposals += 2;
        replica->pace.ops += 127; /* nor are those that hold next to nothing: half of it is left each time */
        replica_load(replica, 1000);
    }
    assert_int_equal(replica->pace.hold_us, 1000);
}

static void a_busy_machine_holds_proposals_up_to_some_decisions_length(void **state) {
    (void)state;
    replica_fresh();
    replica->now_us = replica->proposed_us = 1000000;
    assert_false(pace_holds(replica));
    pace_committed(replica, 5000);
    looks(200, 1000);
    assert_int_equal(replica->pace.hold_us, 20000);
    assert_true(pace_holds(replica));
    replica->offer.at_once = true;
    assert_false(pace_holds(replica));
    replica->offer.at_once = false;
    replica->now_us += 19999;
    assert_true(pace_holds(replica));
    replica->now_us++;
    assert_false(pace_holds(replica)); /* so whoever proposed nothing for a while is not held up at all */
    for (unsigned i = 0; i < 100; i++) pace_committed(replica, 1000000);
    looks(200, 1000);
    assert_int_equal(replica->pace.hold_us, 250000);
    replica->config.timeouts.throughput_window_ms = 100; /* a leader is not deposed for its own hold */
    looks(1, 1000);
    assert_int_equal(replica->pace.hold_us, 100000);
    replica->config.timeouts.input_relay_ms = 50;
    looks(1, 1000);
    assert_int_equal(replica->pace.hold_us, 12500);
    replica->now_us = replica->proposed_us + 500000;
    assert_false(pace_holds(replica));
    assert_int_equal(replica->pace.hold_us, 12500);
    replica->now_us++; /* what was half a second ago says nothing of now */
    assert_false(pace_holds(replica));
    assert_int_equal(replica->pace.hold_us, 0);
}

static void a_calm_machine_takes_the_hold_back(void **state) {
    (void)state;
    replica_fresh();
    pace_committed(replica, 5000);
    looks(200, 1000);
    looks(4, 775); /* neither busy nor calm, in the end */
    looks(40, 775);
    uint64_t kept = replica->pace.hold_us;
    looks(40, 775);
    assert_int_equal(replica->pace.hold_us, kept);
    assert_true(kept > 0);
    looks(100, 500);
    assert_int_equal(replica->pace.hold_us, 0);
}

static void who_holds_says_when_it_ends(void **state) {
    (void)state;
    memset(replica, 0, sizeof *replica);
    replica->now_ms = 70;
    replica->now_us = replica->proposed_us = 1000000;
    replica->pace.hold_us = 3500;
    assert_true(pace_deadline_ms(replica) == UINT64_MAX); /* nothing was held yet */
    assert_true(pace_holds(replica));
    assert_true(pace_deadline_ms(replica) == UINT64_MAX); /* it may not propose */
    replica->offer.may_propose = true;
    assert_int_equal(pace_deadline_ms(replica), 74);
    replica->now_us += 3501; /* it was over before anybody looked */
    assert_int_equal(pace_deadline_ms(replica), 70);
}

static void it_wants_to_be_told_while_it_proposes(void **state) {
    (void)state;
    memset(replica, 0, sizeof *replica);
    assert_false(replica_load_wanted(replica));
    replica->status.proposals = 1;
    assert_true(replica_load_wanted(replica));
    replica_load(replica, 0);
    assert_false(replica_load_wanted(replica));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_look_says_nothing_and_the_next_what_passed),
        cmocka_unit_test(what_gives_way_is_idle_and_what_was_stolen_is_not),
        cmocka_unit_test(who_gets_a_cpu_at_once_lacks_none_however_busy_they_are),
        cmocka_unit_test(a_busy_machine_holds_proposals_up_to_some_decisions_length),
        cmocka_unit_test(decisions_that_are_large_already_are_not_held),
        cmocka_unit_test(a_calm_machine_takes_the_hold_back),
        cmocka_unit_test(who_holds_says_when_it_ends),
        cmocka_unit_test(it_wants_to_be_told_while_it_proposes),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
