/* Supervision of a program: the table of init/service.h cell by cell, then what it comes to over time. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "init/service.h"

enum { NOW_MS = 1000000 };
/* Where a cell's timer is due, from now. 0: none; KEPT: as it was. */
enum { KEPT = -1 };

static const struct cell {
    enum service_state state;
    enum service_action action;
    long timer_ms;
} table[SERVICE_STATES][SERVICE_EVENTS] = {
#define SAME(s)                                                                                                                                      \
    { s, SERVICE_NOTHING, KEPT }
    [SERVICE_DOWN] = {[SERVICE_START] = {SERVICE_STARTING, SERVICE_SPAWN, 0},
                      [SERVICE_SPAWNED] = SAME(SERVICE_DOWN),
                      [SERVICE_LOST_WELL] = SAME(SERVICE_DOWN),
                      [SERVICE_LOST_CONFIG] = SAME(SERVICE_DOWN),
                      [SERVICE_LOST] = SAME(SERVICE_DOWN),
                      [SERVICE_TIMER] = SAME(SERVICE_DOWN),
                      [SERVICE_STOP] = SAME(SERVICE_DOWN)},
    [SERVICE_STARTING] = {[SERVICE_START] = SAME(SERVICE_STARTING),
                          [SERVICE_SPAWNED] = {SERVICE_UP, SERVICE_NOTHING, SERVICE_CALM_MS},
                          [SERVICE_LOST_WELL] = {SERVICE_BACKING_OFF, SERVICE_NOTHING, SERVICE_PAUSE_MIN_MS},
                          [SERVICE_LOST_CONFIG] = {SERVICE_FAILED, SERVICE_NOTHING, 0},
                          [SERVICE_LOST] = {SERVICE_BACKING_OFF, SERVICE_NOTHING, SERVICE_PAUSE_MIN_MS},
                          [SERVICE_TIMER] = {SERVICE_STARTING, SERVICE_NOTHING, 0},
                          [SERVICE_STOP] = {SERVICE_STOPPING, SERVICE_TERM, SERVICE_STOP_MS}},
    [SERVICE_UP] = {[SERVICE_START] = SAME(SERVICE_UP),
                    [SERVICE_SPAWNED] = SAME(SERVICE_UP),
                    [SERVICE_LOST_WELL] = {SERVICE_BACKING_OFF, SERVICE_NOTHING, SERVICE_PAUSE_MIN_MS},
                    [SERVICE_LOST_CONFIG] = {SERVICE_FAILED, SERVICE_NOTHING, 0},
                    [SERVICE_LOST] = {SERVICE_BACKING_OFF, SERVICE_NOTHING, SERVICE_PAUSE_MIN_MS},
                    [SERVICE_TIMER] = {SERVICE_UP, SERVICE_NOTHING, 0},
                    [SERVICE_STOP] = {SERVICE_STOPPING, SERVICE_TERM, SERVICE_STOP_MS}},
    [SERVICE_BACKING_OFF] = {[SERVICE_START] = {SERVICE_STARTING, SERVICE_SPAWN, 0},
                             [SERVICE_SPAWNED] = SAME(SERVICE_BACKING_OFF),
                             [SERVICE_LOST_WELL] = SAME(SERVICE_BACKING_OFF),
                             [SERVICE_LOST_CONFIG] = SAME(SERVICE_BACKING_OFF),
                             [SERVICE_LOST] = SAME(SERVICE_BACKING_OFF),
                             [SERVICE_TIMER] = {SERVICE_STARTING, SERVICE_SPAWN, 0},
                             [SERVICE_STOP] = {SERVICE_DOWN, SERVICE_NOTHING, 0}},
    [SERVICE_STOPPING] = {[SERVICE_START] = SAME(SERVICE_STOPPING),
                          [SERVICE_SPAWNED] = SAME(SERVICE_STOPPING),
                          [SERVICE_LOST_WELL] = {SERVICE_DOWN, SERVICE_NOTHING, 0},
                          [SERVICE_LOST_CONFIG] = {SERVICE_DOWN, SERVICE_NOTHING, 0},
                          [SERVICE_LOST] = {SERVICE_DOWN, SERVICE_NOTHING, 0},
                          [SERVICE_TIMER] = {SERVICE_STOPPING, SERVICE_KILL, SERVICE_STOP_MS},
                          [SERVICE_STOP] = SAME(SERVICE_STOPPING)},
    [SERVICE_FAILED] = {[SERVICE_START] = {SERVICE_STARTING, SERVICE_SPAWN, 0},
                        [SERVICE_SPAWNED] = SAME(SERVICE_FAILED),
                        [SERVICE_LOST_WELL] = SAME(SERVICE_FAILED),
                        [SERVICE_LOST_CONFIG] = SAME(SERVICE_FAILED),
                        [SERVICE_LOST] = SAME(SERVICE_FAILED),
                        [SERVICE_TIMER] = SAME(SERVICE_FAILED),
                        [SERVICE_STOP] = {SERVICE_DOWN, SERVICE_NOTHING, 0}},
#undef SAME
};

static void each_cell_is_the_tables(void **unused) {
    (void)unused;
    for (int s = 0; s < SERVICE_STATES; s++) {
        for (int e = 0; e < SERVICE_EVENTS; e++) {
            const struct cell *cell = &table[s][e];
            struct service service = {.state = (enum service_state)s, .timer_ms = 77};
            enum service_action action = service_step(&service, (enum service_event)e, NOW_MS);
            uint64_t timer_ms = cell->timer_ms == KEPT ? 77 : cell->timer_ms == 0 ? 0 : NOW_MS + (uint64_t)cell->timer_ms;
            if (service.state != cell->state || action != cell->action || service.timer_ms != timer_ms) {
                fail_msg("state %s event %d: became %s, action %d, timer %llu", service_state_names[s], e,
                         service_state_names[service.state], action, (unsigned long long)service.timer_ms);
            }
        }
    }
}

static struct service up(uint64_t now_ms) {
    struct service service = {.state = SERVICE_DOWN};
    assert_int_equal(service_step(&service, SERVICE_START, now_ms), SERVICE_SPAWN);
    assert_int_equal(service_step(&service, SERVICE_SPAWNED, now_ms), SERVICE_NOTHING);
    assert_int_equal(service.state, SERVICE_UP);
    return service;
}

static void the_pause_doubles_to_its_limit_and_counts(void **unused) {
    (void)unused;
    static const uint32_t pauses[] = {200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000};
    uint64_t now_ms = 5000;
    struct service service = up(now_ms);
    for (uint32_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
        assert_int_equal(service_step(&service, SERVICE_LOST, now_ms), SERVICE_NOTHING);
        assert_int_equal(service.pause_ms, pauses[i]);
        assert_int_equal(service.timer_ms, now_ms + pauses[i]);
        now_ms = service.timer_ms;
        assert_int_equal(service_step(&service, SERVICE_TIMER, now_ms), SERVICE_SPAWN);
        assert_int_equal(service.restarts, i + 1);
        (void)service_step(&service, SERVICE_SPAWNED, now_ms);
    }
}

static void a_start_that_fails_backs_off_like_an_end(void **unused) {
    (void)unused;
    struct service service = {.state = SERVICE_DOWN};
    assert_int_equal(service_step(&service, SERVICE_START, 10), SERVICE_SPAWN);
    (void)service_step(&service, SERVICE_LOST, 10);
    assert_int_equal(service.state, SERVICE_BACKING_OFF);
    assert_int_equal(service.timer_ms, 210);
}

static void calm_forgets_the_pause_and_an_early_end_does_not(void **unused) {
    (void)unused;
    struct service service = up(0);
    for (int i = 0; i < 4; i++) {
        (void)service_step(&service, SERVICE_LOST, 100);
        (void)service_step(&service, SERVICE_TIMER, 100);
        (void)service_step(&service, SERVICE_SPAWNED, 100);
    }
    assert_int_equal(service.pause_ms, 1600);
    assert_int_equal(service.timer_ms, 100 + SERVICE_CALM_MS);
    struct service early = service;
    (void)service_step(&early, SERVICE_LOST, 99 + SERVICE_CALM_MS);
    assert_int_equal(early.pause_ms, 3200);
    assert_int_equal(service_step(&service, SERVICE_TIMER, 100 + SERVICE_CALM_MS), SERVICE_NOTHING);
    assert_int_equal(service.state, SERVICE_UP);
    (void)service_step(&service, SERVICE_LOST, 200 + SERVICE_CALM_MS);
    assert_int_equal(service.pause_ms, SERVICE_PAUSE_MIN_MS);
}

static void a_stop_is_killed_again_and_again_until_it_ends(void **unused) {
    (void)unused;
    struct service service = up(0);
    assert_int_equal(service_step(&service, SERVICE_STOP, 50), SERVICE_TERM);
    for (uint64_t turn = 1; turn < 4; turn++) {
        assert_int_equal(service.timer_ms, 50 + turn * SERVICE_STOP_MS);
        assert_int_equal(service_step(&service, SERVICE_TIMER, service.timer_ms), SERVICE_KILL);
    }
    (void)service_step(&service, SERVICE_LOST, 99999);
    assert_int_equal(service.state, SERVICE_DOWN);
    assert_int_equal(service.timer_ms, 0);
}

static void a_refused_configuration_waits_for_somebody(void **unused) {
    (void)unused;
    struct service service = up(0);
    (void)service_step(&service, SERVICE_LOST_CONFIG, 10);
    assert_int_equal(service.state, SERVICE_FAILED);
    assert_int_equal(service.timer_ms, 0);
    assert_int_equal(service_step(&service, SERVICE_START, 20), SERVICE_SPAWN);
    assert_int_equal(service.restarts, 0);
    assert_int_equal(service.pause_ms, 0);
}

static void an_end_is_told_by_its_cause(void **unused) {
    (void)unused;
    assert_int_equal(service_event_of(W_EXITCODE(0, 0)), SERVICE_LOST_WELL);
    assert_int_equal(service_event_of(W_EXITCODE(2, 0)), SERVICE_LOST_CONFIG);
    for (int code = 1; code < 256; code++) {
        if (code != 2) assert_int_equal(service_event_of(W_EXITCODE(code, 0)), SERVICE_LOST);
    }
    for (int sig = 1; sig < 65; sig++) assert_int_equal(service_event_of(W_EXITCODE(0, sig)), SERVICE_LOST);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_cell_is_the_tables),
        cmocka_unit_test(the_pause_doubles_to_its_limit_and_counts),
        cmocka_unit_test(a_start_that_fails_backs_off_like_an_end),
        cmocka_unit_test(calm_forgets_the_pause_and_an_early_end_does_not),
        cmocka_unit_test(a_stop_is_killed_again_and_again_until_it_ends),
        cmocka_unit_test(a_refused_configuration_waits_for_somebody),
        cmocka_unit_test(an_end_is_told_by_its_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
