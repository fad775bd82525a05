/* Whether an image on trial is kept: by what is seen of its node, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/slots/slots_trial.h"

static struct trial trial;
static uint64_t now_ms;

static int begin(void **state) {
    (void)state;
    memset(&trial, 0, sizeof trial);
    now_ms = 9000; /* the node was started some seconds after the machine */
    return 0;
}

/* Looks for so many seconds, as long as the verdict is this one; how many looks that were. */
static unsigned looked(struct trial_seen seen, unsigned seconds, enum trial_verdict wanted) {
    unsigned looks = 0;
    for (uint64_t end = now_ms + (uint64_t)seconds * 1000; now_ms < end; now_ms += TRIAL_LOOK_MS, looks++) {
        if (trial_step(&trial, &seen, now_ms) != wanted) break;
    }
    return looks;
}

static void a_node_that_voted_has_its_image_kept(void **state) {
    (void)state;
    struct trial_seen seen = {.answered = true, .members = 4, .faults = 1, .up = 2};
    assert_int_equal(trial_step(&trial, &seen, now_ms), TRIAL_RUNS);
    seen.voted = true;
    assert_int_equal(trial_step(&trial, &seen, now_ms + 2000), TRIAL_BLESS);
}

static void a_node_that_does_not_vote_though_it_could_is_given_up(void **state) {
    (void)state;
    const struct trial_seen seen = {.answered = true, .members = 4, .faults = 1, .up = 2};
    unsigned looks = looked(seen, 3600, TRIAL_RUNS);
    assert_in_range(9000 + looks * TRIAL_LOOK_MS, TRIAL_MS, TRIAL_MS + TRIAL_LOOK_MS); /* the time since the machine was started */
    assert_int_equal(trial_step(&trial, &seen, now_ms), TRIAL_FAIL);
}

static void a_node_that_does_not_answer_is_given_up(void **state) {
    (void)state;
    assert_true(looked((struct trial_seen){0}, 3600, TRIAL_RUNS) <= TRIAL_MS / TRIAL_LOOK_MS);
    assert_int_equal(trial_step(&trial, &(struct trial_seen){0}, now_ms), TRIAL_FAIL);
}

static void without_a_quorum_it_waits_however_long(void **state) {
    (void)state;
    const struct trial_seen alone = {.answered = true, .members = 4, .faults = 1, .up = 1},
                            there = {.answered = true, .members = 4, .faults = 1, .up = 2};
    assert_int_equal(looked(alone, 36000, TRIAL_WAITS), 18000);
    (void)looked(there, 60, TRIAL_RUNS);
    assert_in_range(trial.counted_ms, 0, 70000); /* hours without a quorum are not counted */
    const struct trial_seen five_of_seven = {.answered = true, .members = 7, .faults = 2, .up = 4},
                            four = {.answered = true, .members = 7, .faults = 2, .up = 3};
    assert_int_equal(trial_step(&trial, &five_of_seven, now_ms), TRIAL_RUNS);
    assert_int_equal(trial_step(&trial, &four, now_ms + 1), TRIAL_WAITS);
}

static void a_network_that_reaches_nobody_counts_against_the_image(void **state) {
    (void)state;
    const struct trial_seen nobody = {.answered = true, .members = 4, .faults = 1};
    (void)looked(nobody, 3600, TRIAL_RUNS);
    assert_int_equal(trial_step(&trial, &nobody, now_ms), TRIAL_FAIL);
}

static void a_machine_that_stood_still_is_not_blamed(void **state) {
    (void)state;
    const struct trial_seen seen = {.answered = true, .members = 4, .faults = 1, .up = 3};
    assert_int_equal(trial_step(&trial, &seen, now_ms), TRIAL_RUNS);
    assert_int_equal(trial_step(&trial, &seen, now_ms + 86400000), TRIAL_RUNS);
}

static bool is_read(struct trial_seen *seen, const char *text) {
    return trial_seen_read(seen, text, strlen(text));
}

static void a_status_is_read_by_the_contract(void **state) {
    (void)state;
    struct trial_seen seen;
    assert_true(is_read(&seen, "{\"member\":1,\"members\":4,\"faults\":1,\"voted\":true,\"members_seen\":[{\"member\":0,\"up\":true},"
                               "{\"member\":1,\"up\":true},{\"member\":2,\"up\":false},{\"member\":3,\"up\":true}]}"));
    assert_true(seen.answered && seen.voted && seen.up == 2 && seen.members == 4 && seen.faults == 1);
    assert_true(is_read(&seen, "{\"member\":0,\"members\":4,\"faults\":1}")); /* a node that says nothing of votes has not voted */
    assert_true(!seen.voted && seen.up == 0);
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"member\":0,\"members\":1,\"faults\":1}",
                                      "{\"member\":0,\"members\":-4,\"faults\":1}",
                                      "{\"member\":0,\"members\":\"4\",\"faults\":1}",
                                      "{\"error\":\"busy\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(is_read(&seen, bad[i]));
        assert_false(seen.voted);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_node_that_voted_has_its_image_kept, begin),
        cmocka_unit_test_setup(a_node_that_does_not_vote_though_it_could_is_given_up, begin),
        cmocka_unit_test_setup(a_node_that_does_not_answer_is_given_up, begin),
        cmocka_unit_test_setup(without_a_quorum_it_waits_however_long, begin),
        cmocka_unit_test_setup(a_network_that_reaches_nobody_counts_against_the_image, begin),
        cmocka_unit_test_setup(a_machine_that_stood_still_is_not_blamed, begin),
        cmocka_unit_test_setup(a_status_is_read_by_the_contract, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
