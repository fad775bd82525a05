/* The simulator of the whole system: each checker fires on a planted fault, a seed is a walk, and a walk without a planted fault holds. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/sim/sys.h"

enum { EVENTS = 20000, WALKS_MAX = 60 };

static struct sys_result *result;

static int set_up(void **state) {
    (void)state;
    result = mmap(NULL, sizeof *result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return result == MAP_FAILED;
}

static int tear_down(void **state) {
    (void)state;
    return munmap(result, sizeof *result);
}

/* Nothing of a walk is left where its clients kept their journals. */
static void nothing_is_left(int process) {
    const char *named = getenv("TMPDIR"), *folders[] = {"/dev/shm", "/tmp", named != NULL ? named : "/tmp"};
    char pattern[256];
    glob_t found;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf(pattern, sizeof pattern, "%.200s/heraclius-sim-%d-*", folders[i], process);
        int missing = glob(pattern, 0, NULL, &found);
        if (missing != GLOB_NOMATCH) print_message("%s\n", pattern);
        assert_int_equal(missing, GLOB_NOMATCH);
    }
}

/* The first walk that fails does so by this checker. */
static void fires(enum sys_check check) {
    struct sys_config config;
    for (uint64_t seed = 1; seed <= WALKS_MAX; seed++) {
        sys_walk_config(seed, EVENTS, check, &config);
        config.real_keys = false;
        if (sys_walk(&config, result) == 0) continue;
        if (result->check != check) print_message("seed %llu: %s: %s\n", (unsigned long long)seed, sys_check_name(result->check), result->text);
        assert_int_equal(result->check, check);
        nothing_is_left(result->process);
        return;
    }
    fail_msg("%s never fired", sys_check_name(check));
}

static void two_blocks_at_one_height_are_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_AGREEMENT);
}
static void a_certificate_of_votes_that_nobody_cast_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_VOTES);
}
static void two_votes_for_one_place_are_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_EQUIVOCATION);
}
static void a_disk_that_lies_about_what_it_wrote_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_DURABLE);
}
static void another_state_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_ROOT);
}
static void a_cursor_that_goes_back_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_QUEUE);
}
static void a_write_that_counts_twice_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_ONCE);
}
static void a_stale_read_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_ORDER);
}
static void a_lost_write_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_LOST);
}
static void money_from_nowhere_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_SUM);
}
static void a_table_without_bound_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_BOUND);
}
static void a_network_that_never_heals_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_ANSWERED);
}
static void a_node_that_does_not_start_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_STOPPED);
}

static void a_peer_at_another_place_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_PLACE);
}
static void a_node_that_moved_and_is_not_found_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_ADDRESS);
}

static void a_successor_that_begins_below_what_was_acknowledged_is_seen(void **state) {
    (void)state;
    fires(SYS_CHECK_CUT);
}

/* With backups and a succession in it. */
static void a_succession_is_in_a_walk(void **state) {
    (void)state;
    struct sys_config config;
    sys_walk_config(3, EVENTS, SYS_CHECK_NONE, &config);
    config.faults |= 1u << SYS_SEAL | 1u << SYS_BACKUP;
    uint64_t hash = 0;
    for (int again = 0; again < 2; again++) {
        int code = sys_walk(&config, result);
        if (code != 0) print_message("%s: %s\n", sys_check_name(result->check), result->text);
        assert_int_equal(code, 0);
        assert_true(again == 0 || result->trace_hash == hash);
        hash = result->trace_hash;
        assert_true(sys_reached_count(&result->stats, "succession") == 1 && sys_reached_count(&result->stats, "followed_writes") > 0);
        assert_true(sys_reached_count(&result->stats, "backup_of_sealed") >= config.coordinators + config.shards);
        nothing_is_left(result->process);
    }
}

static void a_seed_is_a_walk(void **state) {
    (void)state;
    struct sys_config config;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        sys_walk_config(seed, EVENTS, SYS_CHECK_NONE, &config);
        int first = sys_walk(&config, result);
        if (first != 0) print_message("seed %llu: %s: %s\n", (unsigned long long)seed, sys_check_name(result->check), result->text);
        assert_int_equal(first, 0);
        uint64_t hash = result->trace_hash;
        assert_int_equal(sys_walk(&config, result), 0);
        assert_int_equal(result->trace_hash, hash);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_blocks_at_one_height_are_seen),
        cmocka_unit_test(a_certificate_of_votes_that_nobody_cast_is_seen),
        cmocka_unit_test(two_votes_for_one_place_are_seen),
        cmocka_unit_test(a_disk_that_lies_about_what_it_wrote_is_seen),
        cmocka_unit_test(another_state_is_seen),
        cmocka_unit_test(a_cursor_that_goes_back_is_seen),
        cmocka_unit_test(a_write_that_counts_twice_is_seen),
        cmocka_unit_test(a_stale_read_is_seen),
        cmocka_unit_test(a_lost_write_is_seen),
        cmocka_unit_test(money_from_nowhere_is_seen),
        cmocka_unit_test(a_table_without_bound_is_seen),
        cmocka_unit_test(a_network_that_never_heals_is_seen),
        cmocka_unit_test(a_node_that_does_not_start_is_seen),
        cmocka_unit_test(a_peer_at_another_place_is_seen),
        cmocka_unit_test(a_node_that_moved_and_is_not_found_is_seen),
        cmocka_unit_test(a_successor_that_begins_below_what_was_acknowledged_is_seen),
        cmocka_unit_test(a_succession_is_in_a_walk),
        cmocka_unit_test(a_seed_is_a_walk),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
