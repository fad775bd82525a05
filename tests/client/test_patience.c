/* How long a node that answers other requests is given (client/patience.h): expected values are counted by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/patience.h"

enum { LEAST_MS = 1000, MOST_MS = 4000, NOW_MS = 500000 };

static uint64_t patience_of(const struct patience *patience, uint64_t now_ms) {
    return patience_ms(patience, LEAST_MS, MOST_MS, now_ms);
}

static void whoever_was_never_waited_for_is_given_the_least(void **state) {
    (void)state;
    struct patience patience = {0};
    assert_int_equal(patience_of(&patience, NOW_MS), LEAST_MS);
}

static void it_is_twice_the_longest_wait_between_its_bounds(void **state) {
    (void)state;
    static const uint64_t cases[][2] = {{0, 1000},    {499, 1000},  {500, 1000},  {501, 1002},   {1500, 3000},
                                        {1999, 3998}, {2000, 4000}, {2001, 4000}, {900000, 4000}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct patience patience = {0};
        patience_saw(&patience, 20, NOW_MS);
        patience_saw(&patience, cases[i][0], NOW_MS);
        patience_saw(&patience, 10, NOW_MS);
        assert_int_equal(patience_of(&patience, NOW_MS), cases[i][1]);
    }
}

static void one_long_wait_of_a_hundred_does_not_count_and_two_do(void **state) {
    (void)state;
    for (uint32_t place = 0; place < PATIENCE_WAITS; place += 9) {
        struct patience patience = {0};
        for (uint32_t i = 0; i < PATIENCE_WAITS; i++) patience_saw(&patience, i == place ? 1800 : 50, NOW_MS);
        assert_int_equal(patience_of(&patience, NOW_MS), LEAST_MS);
        patience_saw(&patience, 1700, NOW_MS); /* in place of the oldest, which is the long one where place is 0 */
        assert_int_equal(patience_of(&patience, NOW_MS), place == 0 ? LEAST_MS : 3400);
    }
    struct patience few = {0};
    for (uint32_t i = 0; i + 1 < PATIENCE_HUNDRED; i++) patience_saw(&few, i == 7 ? 1800 : 50, NOW_MS);
    assert_int_equal(patience_of(&few, NOW_MS), 3600); /* of ninety-nine it does */
    patience_saw(&few, 50, NOW_MS);
    assert_int_equal(patience_of(&few, NOW_MS), LEAST_MS);
}

static void old_waits_are_forgotten(void **state) {
    (void)state;
    struct patience patience = {0};
    patience_saw(&patience, 1800, NOW_MS);
    assert_int_equal(patience_of(&patience, NOW_MS + PATIENCE_FORGETS_MS - 1), 3600);
    assert_int_equal(patience_of(&patience, NOW_MS + PATIENCE_FORGETS_MS), LEAST_MS);
    for (uint32_t i = 0; i < PATIENCE_WAITS; i++) patience_saw(&patience, 700, NOW_MS);
    for (uint32_t i = 0; i < PATIENCE_WAITS; i++) patience_saw(&patience, 30, NOW_MS); /* and whatever newer ones took the place of */
    assert_int_equal(patience_of(&patience, NOW_MS), LEAST_MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_was_never_waited_for_is_given_the_least),
        cmocka_unit_test(it_is_twice_the_longest_wait_between_its_bounds),
        cmocka_unit_test(one_long_wait_of_a_hundred_does_not_count_and_two_do),
        cmocka_unit_test(old_waits_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
