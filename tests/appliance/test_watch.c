/* What a node tells its operator of its calendar and of a store that fills up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/status/watch.h"

enum { YEAR_S = 365 * 86400, FRESH_MS = 3000 };

static struct status_replica status;
static struct watch_clock watch;
static uint64_t now_ms;
static const uint64_t cluster_ms = UINT64_C(1790000000000); /* at now_ms 0 */

/* Member 1 of four; the others' clocks are off by so much. */
static void members(int64_t a, int64_t b, int64_t c) {
    const int64_t off[] = {a, 0, b, c};
    status.members = 4;
    status.member = 1;
    for (uint32_t i = 0; i < 4; i++)
        status.peers[i] = (struct status_member){.status_ms = now_ms - 100 * i, .time_ms = cluster_ms + now_ms - 100 * i + (uint64_t)off[i]};
}

static int begin(void **state) {
    (void)state;
    memset(&status, 0, sizeof status);
    memset(&watch, 0, sizeof watch);
    now_ms = 10000;
    members(0, 0, 0);
    return 0;
}

/* So many seconds at this difference of the own calendar; how often `wanted` came. Every other verdict but QUIET fails. */
static unsigned told(int64_t mine, unsigned seconds, enum watch_verdict wanted) {
    unsigned count = 0;
    for (uint64_t end = now_ms + 1000 * seconds; now_ms < end; now_ms += 200) {
        for (uint32_t i = 0; i < 4; i++) {
            if (status.peers[i].time_ms == 0) continue;
            status.peers[i].status_ms += 200;
            status.peers[i].time_ms += 200;
        }
        enum watch_verdict verdict = watch_clock(&watch, &status, now_ms, cluster_ms + now_ms + (uint64_t)mine, FRESH_MS);
        if (verdict == WATCH_QUIET) continue;
        assert_int_equal(verdict, wanted);
        count++;
    }
    return count;
}

static void a_wrong_calendar_is_told_once(void **state) {
    (void)state;
    members(0, 0, 0);
    assert_int_equal(told(INT64_C(1000) * 9 * YEAR_S, 4, WATCH_DIFFERS), 0); /* not at once */
    assert_int_equal(told(INT64_C(1000) * 9 * YEAR_S, 600, WATCH_DIFFERS), 1);
    assert_true(watch.difference_ms > INT64_C(1000) * 9 * YEAR_S - 500 && watch.difference_ms < INT64_C(1000) * 9 * YEAR_S + 500);
    assert_int_equal(watch.differs, 1);
    assert_int_equal(told(-INT64_C(1000) * 20 * YEAR_S, 60, WATCH_DIFFERS), 1); /* it changed by much */
    assert_int_equal(watch.differs, 2);
    assert_int_equal(told(0, 60, WATCH_AGREES), 1);
    assert_int_equal(watch.differs, 2);
}

static void a_second_is_no_difference(void **state) {
    (void)state;
    members(0, 0, 0);
    assert_int_equal(told(700, 60, WATCH_QUIET), 0);
    assert_int_equal(told(-700, 60, WATCH_QUIET), 0);
    assert_int_equal(told(1600, 60, WATCH_DIFFERS), 1);
}

static void what_passes_is_not_told(void **state) {
    (void)state;
    members(0, 0, 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(told(60000, 4, WATCH_QUIET), 0);
        assert_int_equal(told(0, 1, WATCH_QUIET), 0);
    }
}

static void others_with_wrong_clocks_do_not_matter(void **state) {
    (void)state;
    members(INT64_C(1000) * YEAR_S, 0, 0);
    assert_int_equal(told(0, 60, WATCH_QUIET), 0);
    members(INT64_C(1000) * YEAR_S, 0, -INT64_C(1000) * YEAR_S);
    assert_int_equal(told(0, 60, WATCH_QUIET), 0);
    status.peers[0].time_ms = UINT64_MAX; /* a liar's */
    assert_int_equal(told(0, 60, WATCH_QUIET), 0);
}

static void who_is_not_heard_says_nothing(void **state) {
    (void)state;
    members(0, 0, 0);
    for (uint32_t i = 0; i < 4; i++) status.peers[i].status_ms -= FRESH_MS + 1000; /* what they stated then stays behind */
    assert_int_equal(told(60000, 60, WATCH_QUIET), 0);
    members(0, 0, 0);
    status.peers[0] = status.peers[2] = (struct status_member){0}; /* one of three is heard */
    assert_int_equal(told(60000, 60, WATCH_QUIET), 0);
    members(0, 0, 0);
    status.peers[0] = (struct status_member){0};
    assert_int_equal(told(60000, 60, WATCH_DIFFERS), 1);
}

static void a_store_is_told_at_each_mark_once(void **state) {
    (void)state;
    unsigned mark = 0;
    assert_int_equal(watch_wal(&mark, 0, 1000), 0);
    assert_int_equal(watch_wal(&mark, 499, 1000), 0);
    assert_int_equal(watch_wal(&mark, 500, 1000), 50);
    assert_int_equal(watch_wal(&mark, 749, 1000), 0);
    assert_int_equal(watch_wal(&mark, 750, 1000), 75);
    assert_int_equal(watch_wal(&mark, 750, 1000), 0);
    assert_int_equal(watch_wal(&mark, 900, 1000), 90);
    assert_int_equal(watch_wal(&mark, 1000, 1000), 0);
    mark = 0;
    assert_int_equal(watch_wal(&mark, UINT64_C(63) << 30, UINT64_C(64) << 30), 90); /* at a start: the highest only */
    assert_int_equal(watch_wal(&mark, UINT64_C(63) << 30, UINT64_C(64) << 30), 0);
}

static void a_store_keeps_blocks_for_others_up_to_three_quarters(void **state) {
    (void)state;
    assert_true(watch_wal_holds(0, UINT64_C(64) << 30));
    assert_true(watch_wal_holds((UINT64_C(48) << 30) - 1, UINT64_C(64) << 30));
    assert_false(watch_wal_holds(UINT64_C(48) << 30, UINT64_C(64) << 30));
    assert_false(watch_wal_holds(1 << 20, 1 << 20));
}

static void who_waits_long_to_vote_says_so_once(void **state) {
    (void)state;
    uint64_t since = 0;
    assert_false(watch_asking(&since, PHASE_RESTORING, 1));
    assert_false(watch_asking(&since, PHASE_ASKING, 50000));
    assert_false(watch_asking(&since, PHASE_ASKING, 59999));
    assert_true(watch_asking(&since, PHASE_ASKING, 60000));
    assert_false(watch_asking(&since, PHASE_ASKING, 90000));
    since = 0;
    assert_false(watch_asking(&since, PHASE_ASKING, 1000));
    assert_false(watch_asking(&since, PHASE_VOTING, 20000));
}

static void the_member_that_holds_pruning_back_is_the_lowest_below_the_checkpoint(void **state) {
    (void)state;
    members(0, 0, 0);
    status.checkpoint_height = 2048;
    for (uint32_t i = 0; i < 4; i++) status.peers[i].final_height = 2050;
    status.peers[1].final_height = 0; /* itself */
    assert_int_equal(watch_prune_holder(&status), 4);
    status.peers[2].final_height = 2048;
    assert_int_equal(watch_prune_holder(&status), 4);
    status.peers[2].final_height = 2047;
    assert_int_equal(watch_prune_holder(&status), 2);
    status.peers[3].final_height = 0; /* never heard */
    assert_int_equal(watch_prune_holder(&status), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_wrong_calendar_is_told_once, begin),
        cmocka_unit_test_setup(a_second_is_no_difference, begin),
        cmocka_unit_test_setup(what_passes_is_not_told, begin),
        cmocka_unit_test_setup(others_with_wrong_clocks_do_not_matter, begin),
        cmocka_unit_test_setup(who_is_not_heard_says_nothing, begin),
        cmocka_unit_test_setup(a_store_is_told_at_each_mark_once, begin),
        cmocka_unit_test_setup(a_store_keeps_blocks_for_others_up_to_three_quarters, begin),
        cmocka_unit_test_setup(who_waits_long_to_vote_says_so_once, begin),
        cmocka_unit_test_setup(the_member_that_holds_pruning_back_is_the_lowest_below_the_checkpoint, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
