/* Whether an image on trial is kept: by what is seen of its node, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/slots/slots_trial.h"

static struct trial trial;
static struct slots_was was; /* of the image before */
static uint64_t now_ms;

static int begin(void **state) {
    (void)state;
    memset(&trial, 0, sizeof trial);
    memset(&was, 0, sizeof was);
    now_ms = 9000; /* the node was started some seconds after the machine */
    return 0;
}

/* Looks for so many seconds, as long as the verdict is this one; how many looks that were. */
static unsigned looked(struct trial_seen seen, unsigned seconds, enum trial_verdict wanted) {
    unsigned looks = 0;
    for (uint64_t end = now_ms + (uint64_t)seconds * 1000; now_ms < end; now_ms += TRIAL_LOOK_MS, looks++) {
        if (trial_step(&trial, &was, &seen, now_ms) != wanted) break;
    }
    return looks;
}

static void a_node_that_voted_has_its_image_kept(void **state) {
    (void)state;
    struct trial_seen seen = {.answered = true, .members = 4, .faults = 1, .up = 2};
    assert_int_equal(trial_step(&trial, &was, &seen, now_ms), TRIAL_RUNS);
    seen.voted = true;
    assert_int_equal(trial_step(&trial, &was, &seen, now_ms + 2000), TRIAL_BLESS);
}

static void a_node_that_does_not_vote_though_it_could_is_given_up(void **state) {
    (void)state;
    const struct trial_seen seen = {.answered = true, .members = 4, .faults = 1, .up = 2};
    unsigned looks = looked(seen, 3600, TRIAL_RUNS);
    assert_in_range(9000 + looks * TRIAL_LOOK_MS, TRIAL_MS, TRIAL_MS + TRIAL_LOOK_MS); /* the time since the machine was started */
    assert_int_equal(trial_step(&trial, &was, &seen, now_ms), TRIAL_FAIL);
}

static void a_node_that_does_not_answer_is_given_up(void **state) {
    (void)state;
    assert_true(looked((struct trial_seen){0}, 3600, TRIAL_RUNS) <= TRIAL_MS / TRIAL_LOOK_MS);
    assert_int_equal(trial_step(&trial, &was, &(struct trial_seen){0}, now_ms), TRIAL_FAIL);
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
    assert_int_equal(trial_step(&trial, &was, &five_of_seven, now_ms), TRIAL_RUNS);
    assert_int_equal(trial_step(&trial, &was, &four, now_ms + 1), TRIAL_WAITS);
}

/* Certificates show a quorum; an image that reaches one of three, or reads all as mute, must not wait for ever beside it. */
static void without_a_quorum_by_its_own_word_it_does_not_wait_while_decisions_come(void **state) {
    (void)state;
    struct trial_seen alone = {.answered = true, .members = 4, .faults = 1, .up = 1, .height = 100};
    alone.height = 0;
    assert_int_equal(looked(alone, 60, TRIAL_WAITS), 30); /* none is told yet */
    alone.height = 100;
    assert_int_equal(looked(alone, 600, TRIAL_WAITS), 300); /* 100 may be from before */
    unsigned looks = 0;
    for (; looks < 1000; looks++, now_ms += TRIAL_LOOK_MS) {
        alone.height++;
        if (trial_step(&trial, &was, &alone, now_ms) != TRIAL_RUNS) break;
    }
    assert_in_range(looks, (TRIAL_MS - 12000) / TRIAL_LOOK_MS, TRIAL_MS / TRIAL_LOOK_MS);
    assert_int_equal(trial_step(&trial, &was, &alone, now_ms), TRIAL_WAITS); /* nothing new: nothing is shown */
    alone.height++;
    assert_int_equal(trial_step(&trial, &was, &alone, now_ms), TRIAL_FAIL);
}

/* N18: links that stay up, as of members that are retired, or that a power cut of the site left asking. */
static void without_a_quorum_of_voters_it_waits_though_all_are_linked(void **state) {
    (void)state;
    const struct trial_seen mute = {.answered = true, .members = 4, .faults = 1, .up = 3, .mute = 2},
                            enough = {.answered = true, .members = 4, .faults = 1, .up = 3, .mute = 1},
                            few = {.answered = true, .members = 4, .faults = 1, .up = 2, .mute = 1};
    assert_int_equal(looked(mute, 36000, TRIAL_WAITS), 18000);
    assert_int_equal(looked(few, 600, TRIAL_WAITS), 300);
    (void)looked(enough, 3600, TRIAL_RUNS);
    assert_int_equal(trial_step(&trial, &was, &enough, now_ms), TRIAL_FAIL);
}

static struct trial_seen working(const char *phase, uint64_t progress) {
    struct trial_seen seen = {.answered = true, .members = 4, .faults = 1, .progress = progress};
    (void)snprintf(seen.phase, sizeof seen.phase, "%s", phase);
    return seen;
}

/* Looks for so long while the progress grows by `step` a look, until the verdict is FAIL; how long that was, in seconds. */
static uint64_t given_up_after(const char *phase, uint64_t progress, uint64_t step, uint64_t rises) {
    uint64_t from_ms = now_ms;
    for (uint64_t looks = 0;; looks++, now_ms += TRIAL_LOOK_MS) {
        const struct trial_seen seen = working(phase, progress + step * (looks < rises ? looks : rises));
        if (trial_step(&trial, &was, &seen, now_ms) == TRIAL_FAIL) return (now_ms - from_ms) / 1000;
    }
}

static void a_node_that_gets_further_with_its_data_is_given_time(void **state) {
    (void)state;
    static const char *const phases[] = {"restoring", "asking_last_signed", "catching_up", "a_word_of_another_program"};
    for (size_t i = 0; i < sizeof phases / sizeof *phases; i++) {
        begin(NULL);
        assert_in_range(given_up_after(phases[i], 1, 1000, 1800), 3600 + 300 - 4, 3600 + 300 + 4); /* an hour of work, then 300 s */
    }
    begin(NULL); /* no work is none, in the first answer too */
    assert_in_range(given_up_after("restoring", 0, 0, 0), 300 - 9 - 2, 300 - 9 + 2);
    begin(NULL); /* as long as it grows now and then */
    for (unsigned k = 1; k < 20; k++) {
        struct trial_seen seen = working("restoring", k);
        assert_int_equal(trial_step(&trial, &was, &seen, now_ms), TRIAL_WORKS);
        now_ms += TRIAL_LOOK_MS;
        (void)looked(seen, 290, TRIAL_RUNS);
    }
    struct trial_seen seen = working("voting", 20);
    seen.voted = true;
    assert_int_equal(trial_step(&trial, &was, &seen, now_ms), TRIAL_BLESS);
}

static void but_not_without_an_end(void **state) {
    (void)state;
    assert_in_range(given_up_after("catching_up", 1, 1, UINT64_MAX), TRIAL_WORK_MS / 1000, TRIAL_WORK_MS / 1000 + 304);
    begin(NULL); /* it never gets further than it was: it ends and begins again, each time from nothing */
    uint64_t looks = 0;
    for (enum trial_verdict verdict = TRIAL_RUNS; verdict != TRIAL_FAIL && looks < 100000; looks++, now_ms += TRIAL_LOOK_MS) {
        const struct trial_seen seen = looks % 10 == 9 ? (struct trial_seen){0} : working("restoring", 1 + looks % 10);
        verdict = trial_step(&trial, &was, &seen, now_ms);
    }
    assert_in_range(looks, 0, (TRIAL_MS + 40000) / TRIAL_LOOK_MS);
    static const char *const others[] = {"voting", "retired", ""}; /* which have nothing to do before they may vote, or do not say that they have */
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        begin(NULL);
        assert_in_range(given_up_after(others[i], 1, 1000, UINT64_MAX), 280, 300);
    }
}

static void a_network_that_reaches_nobody_counts_against_the_image(void **state) {
    (void)state;
    const struct trial_seen nobody = {.answered = true, .members = 4, .faults = 1};
    (void)looked(nobody, 3600, TRIAL_RUNS);
    assert_int_equal(trial_step(&trial, &was, &nobody, now_ms), TRIAL_FAIL);
}

static void a_machine_that_stood_still_is_not_blamed(void **state) {
    (void)state;
    const struct trial_seen seen = {.answered = true, .members = 4, .faults = 1, .up = 3};
    assert_int_equal(trial_step(&trial, &was, &seen, now_ms), TRIAL_RUNS);
    assert_int_equal(trial_step(&trial, &was, &seen, now_ms + 86400000), TRIAL_RUNS);
}

/* ---- a node that has no vote ---- */

static struct slots_was was_of(const char *phase, uint64_t height, bool linked) {
    struct slots_was made = {.number = 12, .height = height, .linked = linked};
    (void)snprintf(made.phase, sizeof made.phase, "%s", phase);
    return made;
}

static struct trial_seen seen_of(const char *phase, uint64_t height, uint32_t up) {
    struct trial_seen seen = {.answered = true, .members = 4, .faults = 1, .up = up, .height = height};
    (void)snprintf(seen.phase, sizeof seen.phase, "%s", phase);
    return seen;
}

/* Is an image that shows this, for as long as its trial lasts, kept? */
static bool kept(struct trial_seen seen) {
    memset(&trial, 0, sizeof trial);
    now_ms = 9000;
    for (unsigned looks = 0; looks < 2000; looks++, now_ms += TRIAL_LOOK_MS) {
        enum trial_verdict verdict = trial_step(&trial, &was, &seen, now_ms);
        if (verdict == TRIAL_BLESS || verdict == TRIAL_FAIL) return verdict == TRIAL_BLESS;
    }
    return false;
}

static void a_node_without_a_vote_is_kept_when_it_is_as_far_as_before(void **state) {
    (void)state;
    static const char *const phases[] = {"retired", "rolled_back", "succeeded", "observing", "removed", "sealed"};
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        was = was_of(phases[i], 640, true);
        assert_true(kept(seen_of(phases[i], 640, 1)));
        assert_in_range(now_ms, 9000 + TRIAL_PROOF_MS, 9000 + TRIAL_PROOF_MS + TRIAL_LOOK_MS); /* not a look earlier */
    }
    was = was_of("sealed", 640, false); /* of a cluster that is off for good */
    assert_true(kept(seen_of("sealed", 640, 0)));
}

static void an_image_that_wrongly_thinks_that_it_has_no_vote_is_given_up(void **state) {
    (void)state;
    was = was_of("voting", 640, true);
    assert_false(kept(seen_of("observing", 700, 3)));
    assert_false(kept(seen_of("voting", 700, 3))); /* a phase that has a vote proves nothing */
    was = was_of("observing", 640, true);
    assert_false(kept(seen_of("retired", 700, 3)));
    was = was_of("silent", 640, true);
    assert_false(kept(seen_of("observing", 700, 3)));
    memset(&was, 0, sizeof was); /* nothing was written down, or it was for another image */
    assert_false(kept(seen_of("observing", 700, 3)));
    was = was_of("observing", 640, true);
    was.number = 0;
    assert_false(kept(seen_of("observing", 700, 3)));
}

static void an_image_that_is_not_as_far_as_the_one_before_is_given_up(void **state) {
    (void)state;
    was = was_of("observing", 640, true);
    assert_false(kept(seen_of("observing", 639, 3))); /* it cannot read its store */
    assert_false(kept(seen_of("observing", 640, 0))); /* nor its network */
    struct trial_seen behind = seen_of("observing", 640, 3);
    behind.ahead = 1;
    assert_true(kept(behind)); /* one member's word is not enough */
    behind.ahead = 2;
    assert_false(kept(behind)); /* it takes no blocks */
    struct trial_seen silent = {.unconfigured = true};
    assert_false(kept(silent));
}

static void what_a_node_without_a_vote_shows_it_must_show_on_end(void **state) {
    (void)state;
    was = was_of("observing", 640, true);
    const struct trial_seen good = seen_of("observing", 640, 2), restoring = seen_of("restoring", 0, 2);
    assert_true(looked(good, 58, TRIAL_PROVES) > 0);
    assert_int_equal(trial_step(&trial, &was, &restoring, now_ms), TRIAL_RUNS);
    now_ms += TRIAL_LOOK_MS;
    /* The time before the first look that fits proves nothing. */
    assert_int_equal(looked(good, 60, TRIAL_PROVES), 30);
    assert_int_equal(trial_step(&trial, &was, &good, now_ms), TRIAL_BLESS);
    /* A node that comes and goes is not waited for without an end. */
    begin(NULL);
    was = was_of("observing", 640, true);
    unsigned rounds = 0;
    enum trial_verdict verdict = TRIAL_RUNS;
    for (; rounds < 1000 && verdict != TRIAL_FAIL; rounds++) {
        (void)looked(good, 40, TRIAL_PROVES);
        verdict = trial_step(&trial, &was, &restoring, now_ms);
        now_ms += TRIAL_LOOK_MS;
    }
    assert_true(rounds <= TRIAL_MS / TRIAL_LOOK_MS);
}

static void a_machine_that_was_never_configured_is_kept_when_its_console_works(void **state) {
    (void)state;
    was = was_of(SLOTS_UNCONFIGURED, 0, false);
    struct trial_seen seen = {.unconfigured = true};
    assert_true(kept(seen));
    seen.unconfigured = false; /* a disk or a console that this image cannot use, or a configuration */
    assert_false(kept(seen));
    assert_false(kept(seen_of("observing", 640, 3)));
}

static void a_vote_is_enough_whatever_was_before(void **state) {
    (void)state;
    was = was_of("observing", 640, true);
    struct trial_seen seen = seen_of("voting", 10, 1);
    seen.voted = true;
    assert_int_equal(trial_step(&trial, &was, &seen, now_ms), TRIAL_BLESS);
}

static void what_init_says_is_read_by_its_lines(void **state) {
    (void)state;
    struct trial_seen seen = {0};
    trial_machine_read(&seen, &was, "ok\nstage.disk=good\nconfig_text=none yet\nprogram.console=up pid=9 restarts=0 \n"
                                    "slot_was=heraclius-was 1 12 observing 640 1\nslot.1=number 11 label x blessed\n");
    assert_true(seen.unconfigured && was.number == 12 && was.height == 640 && was.linked);
    assert_string_equal(was.phase, "observing");
    static const char *const configured[] = {"ok\nstage.disk=good\nconfig_number=0\nprogram.console=up pid=9\n",
                                             "ok\nstage.disk=cannot x\nprogram.console=up pid=9\n",
                                             "ok\nstage.disk=goodness\nprogram.console=backing-off pid=0\n", "ok\nstage.disk=good\n", ""};
    for (size_t i = 0; i < sizeof configured / sizeof configured[0]; i++) {
        trial_machine_read(&seen, &was, configured[i]);
        assert_false(seen.unconfigured);
        assert_int_equal(was.number, 0);
    }
}

static void what_was_written_down_has_one_form(void **state) {
    (void)state;
    struct slots_was read;
    char text[SLOTS_WAS_BYTES];
    was = was_of("observing", UINT64_MAX, true);
    size_t count = slots_was_print(&was, text);
    assert_true(slots_was_parse(&read, text, count));
    assert_memory_equal(&read.phase, &was.phase, sizeof read.phase);
    assert_true(read.number == 12 && read.height == UINT64_MAX && read.linked);
    static const char *const others[] = {"",
                                         "heraclius-was 1 12 observing 640 1",
                                         "heraclius-was 1 12 observing 640 1\n\n",
                                         "heraclius-was 1 12 observing 640 2\n",
                                         "heraclius-was 1 0 observing 640 1\n",
                                         "heraclius-was 1 012 observing 640 1\n",
                                         "heraclius-was 1 12 Observing 640 1\n",
                                         "heraclius-was 1 12  observing 640 1\n",
                                         "heraclius-was 1 12 observing 99999999999999999999 1\n",
                                         "heraclius-was 1 12 observing -1 1\n",
                                         "heraclius-was 1 12  640 1\n",
                                         "heraclius-was 2 12 observing 640 1\n"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(slots_was_parse(&read, others[i], strlen(others[i])));
        assert_int_equal(read.number, 0);
    }
    assert_false(slots_was_parse(&read, "heraclius-was 1 12 observing 640 1\n\0", 36));
}

static void what_the_trial_says_is_read_again(void **state) {
    (void)state;
    static const struct {
        enum trial_verdict verdict;
        struct trial_seen seen;
        const char *word, *text;
    } cases[] = {{TRIAL_RUNS, {0}, "node", "the node does not answer: a fault: of, 5 of 6 ms counted: x"},
                 {TRIAL_RUNS, {.answered = true, .members = 4, .faults = 1, .up = 2}, "vote", "the node has not voted yet"},
                 {TRIAL_RUNS, {.answered = true, .members = 4, .faults = 1, .up = 2, .phase = "catching_up"}, "vote",
                  "the node has not voted yet, its phase is catching_up"},
                 {TRIAL_RUNS, {.answered = true, .members = 4, .faults = 1, .up = 2, .phase = "x\ny"}, "vote", "the node has not voted yet"},
                 {TRIAL_RUNS, {.answered = true, .members = 4, .faults = 1}, "members", "no other member is reached: is it this image's network?"},
                 {TRIAL_WAITS, {.answered = true, .members = 4, .faults = 1, .up = 1}, "quorum",
                  "of 3 other members 1 are reached, 0 of them do not vote, 2 must: no image could vote now"},
                 {TRIAL_WORKS, {.answered = true, .members = 4, .faults = 1, .phase = "restoring", .progress = 5}, "work",
                  "the node is restoring and gets further (progress 5)"},
                 {TRIAL_PROVES, {.answered = true, .members = 4, .faults = 1, .up = 1}, "proof",
                  "its node has no vote, as before: for 0 of 60 s it has been as far as under the image before"},
                 {TRIAL_FAIL, {0}, "node", "given up: the node does not answer: a fault: of, 5 of 6 ms counted: x"},
                 {TRIAL_FAIL, {.answered = true, .members = 4, .faults = 1}, "members",
                  "given up: no other member is reached: is it this image's network?"},
                 {TRIAL_FAIL, {.answered = true, .members = 4, .faults = 1, .up = 3, .phase = "recovering"}, "vote",
                  "given up: the node has not voted yet, its phase is recovering"}};
    trial.counted_ms = 12000;
    trial.number = UINT64_MAX;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trial_told told, read = {.waits_for = "unknown"};
        char line[TRIAL_LINE_BYTES], log[900];
        trial_told_make(&told, cases[i].verdict, &trial, &cases[i].seen, "a fault: of, 5 of 6 ms counted: x");
        trial_told_print(&told, line);
        (void)snprintf(log, sizeof log,
                       "[    1.000] trial of 7 waits for vote, 1 of 300000 ms counted: old\n[   13.500] %s\n[   14.000] more\n"
                       "[    2.000] trial of 8 waits for node, 2 of 300000 ms counted: a later image\n",
                       line);
        trial_told_read(&read, log, UINT64_MAX);
        assert_string_equal(read.waits_for, cases[i].word);
        assert_string_equal(read.text, cases[i].text);
        assert_true(read.counted_ms == 12000 && read.limit_ms == TRIAL_MS && read.number == UINT64_MAX);
        trial_told_read(&read, log, 7);
        assert_string_equal(read.text, "old");
        trial_told_read(&read, log, 0);
        assert_string_equal(read.text, "a later image");
        trial_told_read(&read, log, 9);
        assert_string_equal(read.text, "a later image");
    }
    struct trial_told none = {.waits_for = "unknown", .counted_ms = 5};
    trial_told_read(&none, "[   1.000] trial of 1 waits for the end\ntrial of 1 waits for vote, x of 5 ms counted: y\n", 0);
    assert_true(strcmp(none.waits_for, "unknown") == 0 && none.counted_ms == 5);
}

/* ---- what is read of a node ---- */

static bool is_read(struct trial_seen *seen, const char *text) {
    return trial_seen_read(seen, text, strlen(text));
}

static void a_status_is_read_by_the_contract(void **state) {
    (void)state;
    struct trial_seen seen;
    assert_true(is_read(&seen, "{\"member\":1,\"members\":4,\"faults\":1,\"voted\":true,\"members_seen\":[{\"member\":0,\"up\":true},"
                               "{\"member\":1,\"up\":true},{\"member\":2,\"up\":false},{\"member\":3,\"up\":true}]}"));
    assert_true(seen.answered && seen.voted && seen.up == 2 && seen.mute == 0 && seen.members == 4 && seen.faults == 1 && seen.progress == 0);
    assert_true(is_read(&seen, "{\"member\":1,\"members\":4,\"faults\":1,\"progress\":17,\"members_seen\":["
                               "{\"member\":0,\"up\":true,\"votes\":false},{\"member\":1,\"up\":true,\"votes\":false},"
                               "{\"member\":2,\"up\":false,\"votes\":false},"
                               "{\"member\":3,\"up\":true,\"votes\":null}]}"));
    assert_true(seen.up == 2 && seen.mute == 1 && seen.progress == 17); /* null: it may vote; one without a link is none that is reached */
    assert_true(is_read(&seen, "{\"member\":16,\"members\":4,\"faults\":1,\"phase\":\"observing\",\"height\":100,\"members_seen\":"
                               "[{\"member\":0,\"up\":true,\"height\":165},{\"member\":1,\"up\":true,\"height\":164},"
                               "{\"member\":2,\"up\":false,\"height\":900},{\"member\":3,\"up\":true,\"height\":-1}]}"));
    assert_true(seen.up == 3 && seen.ahead == 1 && seen.height == 100);
    assert_string_equal(seen.phase, "observing");
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
        cmocka_unit_test_setup(without_a_quorum_by_its_own_word_it_does_not_wait_while_decisions_come, begin),
        cmocka_unit_test_setup(without_a_quorum_of_voters_it_waits_though_all_are_linked, begin),
        cmocka_unit_test_setup(a_node_that_gets_further_with_its_data_is_given_time, begin),
        cmocka_unit_test_setup(but_not_without_an_end, begin),
        cmocka_unit_test_setup(a_network_that_reaches_nobody_counts_against_the_image, begin),
        cmocka_unit_test_setup(a_machine_that_stood_still_is_not_blamed, begin),
        cmocka_unit_test_setup(a_node_without_a_vote_is_kept_when_it_is_as_far_as_before, begin),
        cmocka_unit_test_setup(an_image_that_wrongly_thinks_that_it_has_no_vote_is_given_up, begin),
        cmocka_unit_test_setup(an_image_that_is_not_as_far_as_the_one_before_is_given_up, begin),
        cmocka_unit_test_setup(what_a_node_without_a_vote_shows_it_must_show_on_end, begin),
        cmocka_unit_test_setup(a_machine_that_was_never_configured_is_kept_when_its_console_works, begin),
        cmocka_unit_test_setup(a_vote_is_enough_whatever_was_before, begin),
        cmocka_unit_test_setup(what_init_says_is_read_by_its_lines, begin),
        cmocka_unit_test_setup(what_was_written_down_has_one_form, begin),
        cmocka_unit_test_setup(what_the_trial_says_is_read_again, begin),
        cmocka_unit_test_setup(a_status_is_read_by_the_contract, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
