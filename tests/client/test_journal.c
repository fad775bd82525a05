/* The journal beside a client's key: what survives a kill, what damage is found, what is never given up (client/journal.c, numbers.c, settle.c;
 * spec/operations.md 5.6, O-43). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/client/fake.h"

enum { RESEND_MS = 60, LONG_MS = 8000, HEAD_BYTES = 56, FILE_MAX = 1 << 20 };

static struct fake *fake;

static int set_up(void **state) {
    (void)state;
    fake = fake_start(&(struct fake_options){.number_window = 16});
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fake_stop(fake);
    return 0;
}

static void play(enum fake_act act) {
    fake_play(fake, -1, (struct fake_script){.act = act});
}

static void file_write(const uint8_t *bytes, size_t count) {
    FILE *file = fopen(fake->journal_path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static enum heraclius_status opens(struct heraclius **db, char *why) {
    struct heraclius_options options = {.system_path = fake->system_path, .via = "c0-n0", .resend_ms = RESEND_MS};
    return heraclius_open(db, &options, why);
}

static enum heraclius_code last_code;
static uint32_t settled_count;

static void settled(const struct heraclius_unsettled *write, enum heraclius_code code, void *argument) {
    (void)argument;
    assert_true(strlen(write->summary) > 0);
    last_code = code;
    settled_count++;
}

static void settle_all(enum heraclius_settle how) {
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius *db = fake_open(fake, RESEND_MS);
    settled_count = 0;
    if (heraclius_settle(db, how, LONG_MS, settled, NULL, why) != HERACLIUS_DONE) fail_msg("%s", why);
    assert_int_equal(heraclius_unsettled_count(db), 0);
    heraclius_close(db);
}

/* A child that submits one write, polls so many times, and is gone without a word. */
static void killed_after(int polls, const char *value) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct heraclius *db = fake_open(fake, RESEND_MS);
        struct heraclius_request *request = heraclius_request_new(db);
        heraclius_put(request, "{k}", 3, value, strlen(value));
        if (heraclius_submit(request, LONG_MS, NULL, NULL) != HERACLIUS_OK) _exit(9);
        for (int i = 0; i < polls && heraclius_request_status(request) == HERACLIUS_PENDING; i++) (void)heraclius_poll(db, 5);
        (void)kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Killed between submit, sync, send and answer: afterwards the write either never was, or is listed and takes effect exactly once. */
static void a_kill_at_any_point_loses_nothing_and_doubles_nothing(void **state) {
    (void)state;
    static const enum fake_act acts[] = {FAKE_HONEST, FAKE_FORGET, FAKE_SILENT};
    char value[32], held[32];
    for (size_t a = 0; a < sizeof acts / sizeof acts[0]; a++) {
        for (int polls = 0; polls < 8; polls += 1 + (polls > 3)) {
            play(acts[a]);
            uint32_t executed = fake_executed(fake);
            snprintf(value, sizeof value, "v%zu-%d", a, polls);
            killed_after(polls, value);
            struct timespec pause = {.tv_nsec = 20 * 1000 * 1000}; /* what is under way arrives */
            nanosleep(&pause, NULL);
            play(FAKE_HONEST);
            struct heraclius *db = fake_open(fake, RESEND_MS);
            size_t listed = heraclius_unsettled_count(db);
            bool took = fake_executed(fake) > executed;
            heraclius_close(db);
            assert_true(listed <= 1);
            settle_all(HERACLIUS_SETTLE_RETRY);
            assert_int_equal(fake_executed(fake) - executed, listed || took ? 1 : 0);
            if (listed || took) {
                assert_true(fake_value(fake, "{k}", held, sizeof held));
                assert_string_equal(held, value);
            }
        }
    }
    assert_int_equal(fake_floors_too_high(fake), 0);
}

/* Told done, then killed: nothing is left to settle. */
static void an_acknowledged_write_is_not_listed_after_a_kill(void **state) {
    (void)state;
    play(FAKE_HONEST);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct heraclius *db = fake_open(fake, RESEND_MS);
        enum heraclius_status status = fake_put(db, "ack", "v", LONG_MS);
        _exit(status == HERACLIUS_DONE ? 0 : 9);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct heraclius *db = fake_open(fake, RESEND_MS);
    assert_int_equal(heraclius_unsettled_count(db), 0);
    heraclius_close(db);
}

/* Leaves `count` unsettled writes in the file. */
static void leave_unsettled(int count, enum fake_act act) {
    struct heraclius *db = fake_open(fake, RESEND_MS);
    play(FAKE_HONEST);
    assert_int_equal(fake_put(db, "first", "v", LONG_MS), HERACLIUS_DONE);
    play(act);
    for (int i = 0; i < count; i++) assert_int_equal(fake_put(db, "left", "v", 60), HERACLIUS_UNSETTLED);
    assert_int_equal(heraclius_unsettled_count(db), count);
    heraclius_close(db);
    play(FAKE_HONEST);
}

static void retry_and_cancel_say_what_became_of_a_write(void **state) {
    (void)state;
    leave_unsettled(2, FAKE_SILENT);
    struct heraclius *db = fake_open(fake, RESEND_MS);
    struct heraclius_unsettled write;
    assert_true(heraclius_unsettled_at(db, 1, &write));
    assert_string_equal(write.summary, "put left");
    assert_int_equal(write.op_count, 1);
    assert_false(heraclius_unsettled_at(db, 2, &write));
    heraclius_close(db);
    uint32_t executed = fake_executed(fake);
    settle_all(HERACLIUS_SETTLE_CANCEL);
    assert_int_equal(settled_count, 2);
    assert_int_equal(last_code, HERACLIUS_CODE_CANCELLED);
    assert_int_equal(fake_executed(fake), executed);
    leave_unsettled(1, FAKE_SILENT);
    settle_all(HERACLIUS_SETTLE_RETRY);
    assert_int_equal(last_code, HERACLIUS_CODE_OK);
    leave_unsettled(1, FAKE_FORGET);
    settle_all(HERACLIUS_SETTLE_RETRY);
    assert_int_equal(last_code, HERACLIUS_CODE_OK);
    leave_unsettled(1, FAKE_FORGET);
    settle_all(HERACLIUS_SETTLE_CANCEL);
    assert_int_equal(last_code, HERACLIUS_CODE_RECORDED); /* it had happened */
    char why[HERACLIUS_TEXT_BYTES];
    leave_unsettled(1, FAKE_SILENT);
    play(FAKE_SILENT);
    db = fake_open(fake, RESEND_MS);
    assert_int_equal(heraclius_settle(db, HERACLIUS_SETTLE_CANCEL, 300, settled, NULL, why), HERACLIUS_UNSETTLED);
    assert_true(strlen(why) > 0);
    assert_int_equal(heraclius_unsettled_count(db), 1);
    heraclius_close(db);
    play(FAKE_HONEST);
    settle_all(HERACLIUS_SETTLE_CANCEL);
}

static void a_torn_tail_is_dropped_and_damage_before_it_is_refused(void **state) {
    (void)state;
    static uint8_t whole[FILE_MAX], bytes[FILE_MAX];
    char why[HERACLIUS_TEXT_BYTES];
    leave_unsettled(3, FAKE_SILENT);
    size_t count = fake_journal_read(fake, whole, FILE_MAX), before = 0;
    struct heraclius *db;
    for (size_t cut = HEAD_BYTES; cut <= count; cut = cut < count && cut + 29 > count ? count : cut + 29) {
        file_write(whole, cut);
        if (opens(&db, why) != HERACLIUS_OK) fail_msg("cut at %zu of %zu: %s", cut, count, why);
        size_t listed = heraclius_unsettled_count(db);
        assert_true(listed >= before || listed + 1 >= before); /* the last SETTLED of the first write may be cut off */
        before = listed;
        heraclius_close(db);
    }
    assert_int_equal(before, 3);
    for (size_t cut = 1; cut < HEAD_BYTES; cut += 18) {
        file_write(whole, cut);
        assert_int_equal(opens(&db, why), HERACLIUS_BAD_FILE);
        assert_null(db);
    }
    size_t last = count; /* where the last record begins: records are written one by one */
    for (size_t at = HEAD_BYTES; at < count; at += 13 + bytes_get_le32(whole + at)) last = at;
    for (size_t at = HEAD_BYTES; at < count; at += at < HEAD_BYTES + 12 ? 2 : 31) {
        memcpy(bytes, whole, count);
        bytes[at] ^= (uint8_t)(1u << at % 8);
        file_write(bytes, count);
        enum heraclius_status status = opens(&db, why);
        if (at < last && status != HERACLIUS_BAD_FILE) fail_msg("byte %zu of %zu may be flipped", at, count);
        if (at < last) assert_non_null(strstr(why, "damaged in the middle"));
        if (at < last) assert_non_null(strstr(why, fake->journal_path));
        heraclius_close(db);
    }
    file_write(whole, count);
    settle_all(HERACLIUS_SETTLE_CANCEL);
}

static void a_journal_of_another_system_or_key_is_refused(void **state) {
    (void)state;
    static uint8_t whole[FILE_MAX];
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius *db = fake_open(fake, RESEND_MS);
    heraclius_close(db);
    size_t count = fake_journal_read(fake, whole, FILE_MAX);
    for (size_t at = 0; at < HEAD_BYTES; at += 11) {
        whole[at] ^= 1;
        file_write(whole, count);
        assert_int_equal(opens(&db, why), HERACLIUS_BAD_FILE);
        assert_non_null(strstr(why, "another system or key"));
        whole[at] ^= 1;
    }
    file_write(whole, count);
    assert_int_equal(opens(&db, why), HERACLIUS_OK);
    heraclius_close(db);
}

/* Numbers that a forgotten run can have signed lie below its floor plus the window: the next ones begin beyond. */
static void a_lost_journal_asks_where_it_stands_and_jumps_beyond_the_window(void **state) {
    (void)state;
    play(FAKE_HONEST);
    struct heraclius *db = fake_open(fake, RESEND_MS);
    assert_int_equal(fake_put(db, "before", "v", LONG_MS), HERACLIUS_DONE);
    heraclius_close(db);
    uint64_t highest = fake->shards[0].floor;
    for (uint32_t i = 0; i < fake->shards[0].records_count; i++) {
        if (fake->shards[0].records[i].number > highest) highest = fake->shards[0].records[i].number;
    }
    assert_int_equal(unlink(fake->journal_path), 0);
    fake->shards[0].seen_count = 0; /* what the lost journal held is given up, as it should be */
    db = fake_open(fake, RESEND_MS);
    uint32_t batches = fake_batches(fake, -1);
    assert_int_equal(fake_put(db, "after", "v", LONG_MS), HERACLIUS_DONE);
    assert_int_equal(fake_batches(fake, -1) - batches, 2); /* CLIENT-STATE, then the write */
    assert_true(fake->shards[0].floor > highest + 16);
    batches = fake_batches(fake, -1);
    assert_int_equal(fake_put(db, "after", "w", LONG_MS), HERACLIUS_DONE);
    assert_int_equal(fake_batches(fake, -1) - batches, 1);
    heraclius_close(db);
}

static void one_done(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    int *left = argument;
    (*left)--;
    assert_int_equal(status, HERACLIUS_DONE);
    heraclius_request_free(request);
}

static enum heraclius_status add_one(struct heraclius *db, uint32_t timeout_ms, char *why) {
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_add(request, "sum", 3, 1, NULL);
    enum heraclius_status status = heraclius_call(request, timeout_ms);
    snprintf(why, HERACLIUS_TEXT_BYTES, "%s", heraclius_why(request));
    heraclius_request_free(request);
    return status;
}

static long sum_now(void) {
    char value[32];
    return fake_value(fake, "sum", value, sizeof value) ? strtol(value, NULL, 10) : 0;
}

/* So many writes of a run of its own. */
static void run_adds(int count) {
    char why[HERACLIUS_TEXT_BYTES];
    struct heraclius *db = fake_open(fake, 1000);
    for (int i = 0; i < count; i++) {
        if (add_one(db, LONG_MS, why) != HERACLIUS_DONE) fail_msg("write %d of %d: %s", i, count, why);
    }
    heraclius_close(db);
}

/* By one write its next number is taken (REUSED), by more it is below the floor (TOO-OLD); after a lost journal far below. */
static void a_restored_journal_is_found_out_and_each_write_takes_effect_once(void **state) {
    (void)state;
    static uint8_t old[FILE_MAX];
    static const struct {
        int since;
        bool lost;
    } rounds[] = {{1, false}, {2, false}, {40, false}, {1, true}, {30, true}};
    play(FAKE_HONEST);
    for (size_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++) {
        run_adds(1);
        size_t count = fake_journal_read(fake, old, FILE_MAX);
        if (rounds[i].lost) assert_int_equal(unlink(fake->journal_path), 0);
        run_adds(rounds[i].since);
        file_write(old, count);
        long sum = sum_now();
        uint32_t executed = fake_executed(fake), batches = fake_batches(fake, -1);
        run_adds(1);
        assert_int_equal(sum_now(), sum + 1);
        assert_int_equal(fake_executed(fake) - executed, 1);
        assert_int_equal(fake_batches(fake, -1) - batches, 3); /* refused, CLIENT-STATE, again */
        batches = fake_batches(fake, -1);
        run_adds(3); /* and that is all: the next run knows its numbers */
        assert_int_equal(sum_now(), sum + 4);
        assert_int_equal(fake_batches(fake, -1) - batches, 3);
    }
}

static void many_writes_under_a_restored_journal_take_effect_once_each(void **state) {
    (void)state;
    static uint8_t old[FILE_MAX];
    play(FAKE_HONEST);
    for (int since = 1; since < 60; since += 13) {
        run_adds(1);
        size_t count = fake_journal_read(fake, old, FILE_MAX);
        run_adds(since);
        file_write(old, count);
        long sum = sum_now();
        struct heraclius *db = fake_open(fake, 2000);
        int left = 40;
        for (int i = 0; i < 40; i++) {
            struct heraclius_request *request = heraclius_request_new(db);
            heraclius_add(request, "sum", 3, 1, NULL);
            assert_int_equal(heraclius_submit(request, 20000, one_done, &left), HERACLIUS_OK);
        }
        for (int k = 0; k < 1000 && left > 0; k++) (void)heraclius_poll(db, 20);
        assert_int_equal(left, 0);
        assert_int_equal(sum_now(), sum + 40);
        assert_int_equal(heraclius_unsettled_count(db), 0);
        heraclius_close(db);
    }
}

/* Sent twice, executed once, and then the floor passed it: nobody can say any more that it did not happen, so it gets no second number. */
static void a_write_that_may_have_happened_gets_no_second_number(void **state) {
    (void)state;
    char why[HERACLIUS_TEXT_BYTES];
    run_adds(1);
    long sum = sum_now();
    struct heraclius *db = fake_open(fake, RESEND_MS);
    play(FAKE_FORGET);
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_add(request, "sum", 3, 1, NULL);
    assert_int_equal(heraclius_submit(request, LONG_MS, NULL, NULL), HERACLIUS_OK);
    while (sum_now() == sum) (void)heraclius_poll(db, 1);
    fake_floor_raise(fake, 0, fake_highest(fake, 0) + 100);
    play(FAKE_HONEST);
    while (heraclius_request_status(request) == HERACLIUS_PENDING) (void)heraclius_poll(db, 20);
    assert_int_equal(heraclius_request_status(request), HERACLIUS_REFUSED);
    assert_int_equal(heraclius_result_at(request, 0)->code, HERACLIUS_CODE_TOO_OLD);
    assert_non_null(strstr(heraclius_why(request), "not recorded"));
    heraclius_request_free(request);
    assert_int_equal(sum_now(), sum + 1);
    assert_int_equal(heraclius_unsettled_count(db), 0);
    heraclius_close(db);
    uint32_t batches = fake_batches(fake, -1);
    db = fake_open(fake, 1000); /* another run: its journal knows the numbers */
    assert_int_equal(add_one(db, LONG_MS, why), HERACLIUS_DONE);
    heraclius_close(db);
    assert_int_equal(sum_now(), sum + 2);
    assert_int_equal(fake_batches(fake, -1) - batches, 1);
}

/* The shards do not say where the numbers stand: nothing of the write is under way, so it is refused, not unsettled. Then all goes on. */
static void a_write_that_finds_no_second_number_in_time_is_refused(void **state) {
    (void)state;
    char why[HERACLIUS_TEXT_BYTES];
    run_adds(1);
    long sum = sum_now();
    struct heraclius *db = fake_open(fake, 1000);
    fake_floor_raise(fake, 0, fake_highest(fake, 0) + 100);
    uint32_t batches = fake_batches(fake, -1);
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_add(request, "sum", 3, 1, NULL);
    assert_int_equal(heraclius_submit(request, 700, NULL, NULL), HERACLIUS_OK);
    while (fake_batches(fake, -1) == batches) (void)heraclius_poll(db, 1);
    play(FAKE_SILENT);
    while (heraclius_request_status(request) == HERACLIUS_PENDING) (void)heraclius_poll(db, 20);
    assert_int_equal(heraclius_request_status(request), HERACLIUS_REFUSED);
    assert_int_equal(heraclius_unsettled_count(db), 0);
    heraclius_request_free(request);
    play(FAKE_HONEST);
    assert_int_equal(sum_now(), sum);
    assert_int_equal(add_one(db, LONG_MS, why), HERACLIUS_DONE);
    assert_int_equal(sum_now(), sum + 1);
    heraclius_close(db);
}

/* The coordinators' floor may be above the shard's (O-30.2); a second refusal stands; the next write begins further on. */
static void a_second_number_that_is_too_old_as_well_is_refused(void **state) {
    (void)state;
    char why[HERACLIUS_TEXT_BYTES];
    run_adds(1);
    long sum = sum_now();
    struct heraclius *db = fake_open(fake, 1000);
    uint64_t before = fake_highest(fake, 0);
    fake_play(fake, -1, (struct fake_script){.act = FAKE_CODE, .code = CODE_TOO_OLD, .times = 1});
    if (add_one(db, LONG_MS, why) != HERACLIUS_DONE) fail_msg("%s", why);
    assert_int_equal(sum_now(), sum + 1);
    assert_true(fake_highest(fake, 0) > before + 16);
    play(FAKE_HONEST);
    fake_play(fake, -1, (struct fake_script){.act = FAKE_CODE, .code = CODE_TOO_OLD});
    assert_int_equal(add_one(db, LONG_MS, why), HERACLIUS_REFUSED);
    assert_non_null(strstr(why, "TOO-OLD"));
    play(FAKE_HONEST);
    for (int i = 0; i < 20; i++) (void)heraclius_poll(db, 20); /* the shard is not asked again at once */
    assert_int_equal(add_one(db, LONG_MS, why), HERACLIUS_DONE);
    assert_int_equal(sum_now(), sum + 2);
    assert_int_equal(heraclius_unsettled_count(db), 0);
    heraclius_close(db);
}

/* Killed anywhere between refusal and answer: it never was, or it is listed, or it happened; never twice. */
static void a_kill_while_numbers_are_renewed_doubles_nothing(void **state) {
    (void)state;
    static uint8_t old[FILE_MAX];
    char value[32], held[32];
    for (int polls = 0; polls < 24; polls++) {
        play(FAKE_HONEST);
        run_adds(1);
        size_t count = fake_journal_read(fake, old, FILE_MAX);
        run_adds(2);
        file_write(old, count);
        uint32_t executed = fake_executed(fake);
        snprintf(value, sizeof value, "r%d", polls);
        killed_after(polls, value);
        struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
        nanosleep(&pause, NULL);
        struct heraclius *db = fake_open(fake, RESEND_MS);
        size_t listed = heraclius_unsettled_count(db);
        bool took = fake_executed(fake) > executed;
        heraclius_close(db);
        assert_true(listed <= 1);
        settle_all(HERACLIUS_SETTLE_RETRY);
        assert_true(fake_executed(fake) - executed <= 1);
        if (!took) continue; /* what was listed and never left under its second number may be too old */
        assert_true(fake_value(fake, "{k}", held, sizeof held));
        assert_string_equal(held, value);
    }
}

static void a_cancel_of_what_was_answered_no_says_which_no(void **state) {
    (void)state;
    run_adds(1);
    struct heraclius *db = fake_open(fake, RESEND_MS);
    play(FAKE_FORGET);
    struct heraclius_request *request = heraclius_request_new(db);
    heraclius_add(request, "sum", 3, -1000000, &(int64_t){0});
    assert_int_equal(heraclius_call(request, 60), HERACLIUS_UNSETTLED);
    heraclius_request_free(request);
    heraclius_close(db);
    play(FAKE_HONEST);
    settle_all(HERACLIUS_SETTLE_CANCEL);
    assert_int_equal(last_code, HERACLIUS_CODE_BELOW_FLOOR);
}

static void writes_beyond_the_window_wait(void **state) {
    (void)state;
    play(FAKE_HONEST);
    struct heraclius *db = fake_open(fake, RESEND_MS);
    assert_int_equal(fake_put(db, "x", "v", LONG_MS), HERACLIUS_DONE);
    play(FAKE_SILENT);
    int left = 50;
    fake->shards[0].seen_count = 0;
    for (int i = 0; i < 50; i++) {
        struct heraclius_request *request = heraclius_request_new(db);
        heraclius_put(request, "x", 1, "v", 1);
        assert_int_equal(heraclius_submit(request, 20000, one_done, &left), HERACLIUS_OK);
    }
    for (int i = 0; i < 20; i++) (void)heraclius_poll(db, 20);
    pthread_mutex_lock(&fake->lock);
    uint32_t seen = fake->shards[0].seen_count;
    pthread_mutex_unlock(&fake->lock);
    assert_int_equal(seen, 16);
    play(FAKE_HONEST);
    for (int i = 0; i < 500 && left > 0; i++) (void)heraclius_poll(db, 20);
    assert_int_equal(left, 0);
    assert_int_equal(fake_floors_too_high(fake), 0);
    heraclius_close(db);
}

static void limit_files(rlim_t bytes) {
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The disk is full: nothing leaves, nothing is listed as unsettled, and when there is room again all goes on. */
static void a_full_disk_sends_nothing_and_heals(void **state) {
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    play(FAKE_HONEST);
    for (rlim_t more = 0; more < 180; more += 44) {
        struct heraclius *db = fake_open(fake, RESEND_MS);
        assert_int_equal(fake_put(db, "d", "v", LONG_MS), HERACLIUS_DONE);
        struct stat stat_now;
        assert_int_equal(stat(fake->journal_path, &stat_now), 0);
        uint32_t batches = fake_batches(fake, -1);
        limit_files((rlim_t)stat_now.st_size + more);
        for (int i = 0; i < 3; i++) {
            struct heraclius_request *request = heraclius_request_new(db);
            heraclius_put(request, "d", 1, "w", 1);
            assert_int_equal(heraclius_call(request, LONG_MS), HERACLIUS_NO_RESOURCES);
            assert_non_null(strstr(heraclius_why(request), fake->journal_path));
            assert_non_null(strstr(heraclius_why(request), "nothing was sent"));
            heraclius_request_free(request);
            limit_files(50); /* a file written anew has no room either */
        }
        limit_files(RLIM_INFINITY);
        assert_int_equal(fake_batches(fake, -1), batches);
        assert_int_equal(heraclius_unsettled_count(db), 0);
        assert_int_equal(fake_put(db, "d", "x", LONG_MS), HERACLIUS_DONE);
        heraclius_close(db);
        db = fake_open(fake, RESEND_MS);
        assert_int_equal(heraclius_unsettled_count(db), 0);
        heraclius_close(db);
    }
}

static void a_long_journal_is_written_anew_while_writes_are_pending(void **state) {
    (void)state;
    static uint8_t value[65536];
    play(FAKE_HONEST);
    struct heraclius *db = fake_open(fake, 2000);
    assert_int_equal(fake_put(db, "x", "v", LONG_MS), HERACLIUS_DONE);
    struct stat stat_now = {0};
    int left = 30;
    off_t longest = 0;
    for (int i = 0; i < 30; i++) { /* two under way at a time, 900 KiB each */
        struct heraclius_request *request = heraclius_request_new(db);
        for (int k = 0; k < 14; k++) heraclius_put(request, "x", 1, value, sizeof value);
        assert_int_equal(heraclius_submit(request, 20000, one_done, &left), HERACLIUS_OK);
        for (int k = 0; k < 500 && left > 30 - i; k++) (void)heraclius_poll(db, 20);
        assert_int_equal(stat(fake->journal_path, &stat_now), 0);
        if (stat_now.st_size > longest) longest = stat_now.st_size;
    }
    for (int k = 0; k < 500 && left > 0; k++) (void)heraclius_poll(db, 20);
    assert_int_equal(left, 0);
    assert_true(longest > 10 << 20 && longest < 20 << 20);
    heraclius_close(db);
    db = fake_open(fake, RESEND_MS);
    assert_int_equal(heraclius_unsettled_count(db), 0);
    heraclius_close(db);
}

static void a_key_is_open_once(void **state) {
    (void)state;
    struct heraclius *db = fake_open(fake, RESEND_MS), *second;
    char why[HERACLIUS_TEXT_BYTES];
    assert_int_equal(opens(&second, why), HERACLIUS_KEY_IN_USE);
    assert_null(second);
    assert_non_null(strstr(why, "client.key"));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* holds an inherited descriptor of the lock for a while */
        struct timespec pause = {.tv_nsec = 300 * 1000 * 1000};
        nanosleep(&pause, NULL);
        _exit(0);
    }
    heraclius_close(db);
    struct heraclius_options options = {.system_path = fake->system_path, .lock_wait_ms = 3000};
    assert_int_equal(heraclius_open(&second, &options, why), HERACLIUS_OK);
    heraclius_close(second);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_at_any_point_loses_nothing_and_doubles_nothing),
        cmocka_unit_test(an_acknowledged_write_is_not_listed_after_a_kill),
        cmocka_unit_test(retry_and_cancel_say_what_became_of_a_write),
        cmocka_unit_test(a_torn_tail_is_dropped_and_damage_before_it_is_refused),
        cmocka_unit_test(a_journal_of_another_system_or_key_is_refused),
        cmocka_unit_test(a_lost_journal_asks_where_it_stands_and_jumps_beyond_the_window),
        cmocka_unit_test(a_restored_journal_is_found_out_and_each_write_takes_effect_once),
        cmocka_unit_test(many_writes_under_a_restored_journal_take_effect_once_each),
        cmocka_unit_test(a_write_that_may_have_happened_gets_no_second_number),
        cmocka_unit_test(a_write_that_finds_no_second_number_in_time_is_refused),
        cmocka_unit_test(a_second_number_that_is_too_old_as_well_is_refused),
        cmocka_unit_test(a_kill_while_numbers_are_renewed_doubles_nothing),
        cmocka_unit_test(a_cancel_of_what_was_answered_no_says_which_no),
        cmocka_unit_test(writes_beyond_the_window_wait),
        cmocka_unit_test(a_full_disk_sends_nothing_and_heals),
        cmocka_unit_test(a_long_journal_is_written_anew_while_writes_are_pending),
        cmocka_unit_test(a_key_is_open_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
