/* A node that runs and answers nothing (appliance/admin/admin_hang.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "appliance/admin/admin_hang.h"

/* How many looks without an answer it takes; 0: more than `most`. */
static uint32_t looks_until(struct admin_hang *hang, uint64_t pid, uint32_t most) {
    for (uint32_t look = 1; look <= most; look++) {
        if (admin_hang_look(hang, pid, false)) return look;
    }
    return 0;
}

static void silence_has_a_limit(void **state) {
    struct admin_hang hang = {0};
    (void)state;
    assert_false(admin_hang_look(&hang, 7, true));
    assert_int_equal(looks_until(&hang, 7, 1000), ADMIN_HANG_LOOKS);
}

static void one_answer_begins_it_anew(void **state) {
    struct admin_hang hang = {0};
    (void)state;
    assert_false(admin_hang_look(&hang, 7, true));
    for (int turn = 0; turn < 50; turn++) {
        assert_int_equal(looks_until(&hang, 7, ADMIN_HANG_LOOKS - 1), 0);
        assert_false(admin_hang_look(&hang, 7, true));
    }
}

static void each_process_has_the_whole_time(void **state) {
    struct admin_hang hang = {0};
    (void)state;
    for (uint64_t pid = 1; pid < 50; pid++) assert_int_equal(looks_until(&hang, pid, ADMIN_HANG_LOOKS), 0); /* the first look finds another one */
    assert_int_equal(looks_until(&hang, 0, 1000), 0); /* none runs, or init says nothing: there is nothing to restart */
    assert_int_equal(looks_until(&hang, 50, 1000), ADMIN_HANG_LOOKS + 1);
}

static void it_is_not_restarted_all_the_time(void **state) {
    struct admin_hang hang = {0};
    (void)state;
    assert_int_equal(looks_until(&hang, 7, 1000), ADMIN_HANG_LOOKS + 1);
    assert_int_equal(looks_until(&hang, 8, 1000), ADMIN_HANG_REST); /* that one hangs too */
    assert_int_equal(looks_until(&hang, 9, 1000), ADMIN_HANG_REST);
}

static void its_process_is_read_as_init_says_it(void **state) {
    (void)state;
    assert_int_equal(admin_hang_pid("ok\nprogram.admin=up pid=3 restarts=0 \nprogram.node=up pid=80 restarts=4 ended by signal 9\n"), 80);
    assert_int_equal(admin_hang_pid("ok\nprogram.node=stopping pid=80 restarts=4 \n"), 0);
    assert_int_equal(admin_hang_pid("ok\nprogram.node=up pid=-1 restarts=4 \n"), 0);
    assert_int_equal(admin_hang_pid("ok\nprogram.node=up pid= restarts=4 \n"), 0);
    assert_int_equal(admin_hang_pid("ok\nprogram.node=up pid=80\n"), 0);
    assert_int_equal(admin_hang_pid("ok\nprogram.node=\n"), 0);
    assert_int_equal(admin_hang_pid("ok\nprogram.admin=up pid=3 restarts=0 \n"), 0);
    assert_int_equal(admin_hang_pid(NULL), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_has_a_limit),
        cmocka_unit_test(one_answer_begins_it_anew),
        cmocka_unit_test(each_process_has_the_whole_time),
        cmocka_unit_test(it_is_not_restarted_all_the_time),
        cmocka_unit_test(its_process_is_read_as_init_says_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
