/* Logs in memory and on the data disk, and the records of crashes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/log.h"
#include "init/text.h"
#include "tests/init/files.h"

static struct log log_one;
static char out[2 * LOG_FILE_BYTES];

static int fresh(void **unused) {
    (void)unused;
    memset(&log_one, 0, sizeof log_one);
    return 0;
}

static void say_in(const char *text) {
    log_take(&log_one, text, strlen(text));
}

static void a_line_gets_its_time_once_however_it_comes(void **unused) {
    (void)unused;
    unsigned long seconds, ms;
    char word[32], end;
    say_in("on");
    say_in("e\ntwo\r\n");
    out[log_newest(&log_one, out, sizeof out)] = '\0';
    assert_int_equal(sscanf(out, "[%lu.%3lu] %31s%c", &seconds, &ms, word, &end), 4);
    assert_string_equal(word, "one");
    const char *second = strchr(out, '\n') + 1;
    assert_int_equal(sscanf(second, "[%lu.%3lu] %31s%c", &seconds, &ms, word, &end), 4);
    assert_string_equal(word, "two");
    assert_null(strchr(out, '\r'));
    assert_string_equal(strchr(second, '\n'), "\n");
}

static void what_a_terminal_would_obey_is_not_kept(void **unused) {
    (void)unused;
    log_take(&log_one, "a\x1b[2J\0\x9b\tb\n", 10);
    out[log_newest(&log_one, out, sizeof out)] = '\0';
    assert_string_equal(strchr(out, ']'), "] a?[2J??\tb\n");
}

static void memory_keeps_the_newest(void **unused) {
    (void)unused;
    char line[64];
    for (int i = 0; i < 9000; i++) {
        (void)snprintf(line, sizeof line, "line %d\n", i);
        say_in(line);
    }
    size_t count = log_newest(&log_one, out, sizeof out);
    assert_int_equal(count, LOG_BYTES);
    out[count] = '\0';
    assert_null(strstr(out, " line 0\n"));
    assert_string_equal(strstr(out, " line 8999"), " line 8999\n");
    count = log_newest(&log_one, out, 5);
    assert_int_equal(count, 5);
    assert_memory_equal(out, "8999\n", 5);
}

static void files_take_turns_and_nothing_is_lost_between(void **unused) {
    (void)unused;
    (void)files_text("logs/here", "");
    char folder[200], path[256], line[128];
    (void)snprintf(folder, sizeof folder, "%s", files_path("logs"));
    int last = -1;
    for (int i = 0; i < 30000; i++) {
        (void)snprintf(line, sizeof line, "line %d of a program that has a lot to say about the state that it is in\n", i);
        say_in(line);
        if (i % 100 == 99) assert_true(log_save(&log_one, folder, "node"));
    }
    for (int turn = 1; turn >= 0; turn--) {
        (void)snprintf(path, sizeof path, "%s/node%s", folder, turn ? ".1" : "");
        long count = files_get(path, out, sizeof out);
        assert_true(count > 0 && count <= LOG_FILE_BYTES);
        for (const char *at = out; (at = strstr(at, "] line ")); at += 7) {
            int number = (int)strtol(at + 7, NULL, 10);
            assert_true(last < 0 || number == last + 1);
            last = number;
        }
    }
    assert_int_equal(last, 29999);
    (void)snprintf(path, sizeof path, "%s/node.2", folder);
    assert_int_equal(access(path, F_OK), -1);
}

static void what_came_too_fast_is_said_to_be_missing(void **unused) {
    (void)unused;
    (void)files_text("fast/here", "");
    char folder[200], path[256];
    (void)snprintf(folder, sizeof folder, "%s", files_path("fast"));
    say_in("first\n");
    assert_true(log_save(&log_one, folder, "node"));
    for (int i = 0; i < 5000; i++) say_in("again and again\n");
    assert_true(log_save(&log_one, folder, "node"));
    (void)snprintf(path, sizeof path, "%s/node", folder);
    assert_true(files_get(path, out, sizeof out) > LOG_BYTES);
    assert_non_null(strstr(out, "first\n\n(here something is missing)\n"));
    assert_true(log_save(&log_one, folder, "node"));
    struct stat before, after;
    assert_int_equal(stat(path, &before), 0);
    assert_true(log_save(&log_one, folder, "node"));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
}

static void without_a_disk_it_waits(void **unused) {
    (void)unused;
    char folder[256];
    say_in("kept\n");
    (void)snprintf(folder, sizeof folder, "%s", files_path("no-disk"));
    assert_true(log_save(&log_one, folder, "node"));
    assert_int_equal(log_one.saved, 0);
}

/* ---- what earlier starts wrote ---- */

static char start_folder[200];

/* The machine is started anew: what was in memory is gone. */
static void started_anew(const char *folder) {
    (void)snprintf(start_folder, sizeof start_folder, "%s", files_path(folder));
    memset(&log_one, 0, sizeof log_one);
}

static void save(void) {
    assert_true(log_save(&log_one, start_folder, "trial"));
}

static const char *before(size_t size) {
    size_t count = log_before(&log_one, start_folder, "trial", out, size);
    assert_true(count <= size);
    out[count] = '\0';
    return out;
}

static void what_the_start_before_wrote_is_had_whether_or_not_this_one_wrote(void **unused) {
    (void)unused;
    (void)files_text("starts/here", "");
    started_anew("starts");
    assert_string_equal(before(1000), "");
    say_in("it lacked members\n");
    save();
    assert_string_equal(before(1000), "");
    started_anew("starts");
    assert_string_equal(strchr(before(1000), ']'), "] it lacked members\n");
    assert_string_equal(before(8), "members\n");
    assert_string_equal(before(0), "");
    say_in("of this start\n");
    assert_string_equal(strchr(before(1000), ']'), "] it lacked members\n");
    save();
    say_in("and more\n");
    save();
    assert_string_equal(strchr(before(1000), ']'), "] it lacked members\n");
    started_anew("starts");
    const char *second = strstr(before(1000), "] it lacked members\n\n(here the machine was started anew)\n[");
    assert_non_null(second);
    assert_non_null(strstr(second, "] of this start\n"));
    assert_non_null(strstr(second, "] and more\n"));
}

static void lines_put(const char *text, size_t bytes) {
    char line[128];
    for (size_t i = 0; i < bytes / 100; i++) {
        (void)snprintf(line, sizeof line, "%s %078zu\n", text, i);
        say_in(line);
        if (i % 100 == 99) save();
    }
    save();
}

static void the_file_that_was_begun_anew_and_the_one_before_it_are_read_as_one(void **unused) {
    (void)unused;
    (void)files_text("turned/here", "");
    started_anew("turned");
    lines_put("first", LOG_FILE_BYTES - LOG_BYTES + 1000);
    say_in("last\n");
    save();
    started_anew("turned");
    const char *text = before(LOG_BYTES);
    assert_int_equal(strlen(text), LOG_BYTES);
    assert_non_null(strstr(text, "] first "));
    assert_string_equal(strrchr(text, ']'), "] last\n");
    /* this start, too, has to begin a new one */
    lines_put("second", LOG_FILE_BYTES - LOG_BYTES + 1000);
    text = before(LOG_BYTES);
    assert_null(strstr(text, "second"));
    assert_string_equal(strrchr(text, ']'), "] last\n");
    /* after the second turn in one start there is nothing left of the start before */
    lines_put("second", LOG_FILE_BYTES);
    assert_string_equal(before(LOG_BYTES), "");
}

static void what_a_cut_of_power_left_reaches_no_terminal(void **unused) {
    (void)unused;
    (void)files_put("cut/trial", "a\n\0\0\x1b[2J\xff\tb\n", 12);
    started_anew("cut");
    assert_string_equal(before(1000), "a\n???[2J?\tb\n");
}

/* ---- crashes ---- */

static bool count_one(void *context, const char *name) {
    (void)name;
    ++*(unsigned *)context;
    return true;
}

static unsigned in_folder(const char *name) {
    unsigned count = 0;
    assert_int_equal(text_folder(files_path(name), count_one, &count), 0);
    return count;
}

static void records_of_a_crash_are_one_log_in_the_order_of_time(void **unused) {
    (void)unused;
    char from[256], to[256], name[64];
    (void)files_text("pstore/dmesg-efi-17000000002", "Panic#1 Part2\n<6>[    1.0] older\x1b\n");
    (void)files_text("pstore/dmesg-efi-17000000001", "Panic#1 Part1\n<0>[    2.0] Kernel panic\n");
    (void)files_text("crashes/here", "");
    (void)snprintf(from, sizeof from, "%s", files_path("pstore"));
    (void)snprintf(to, sizeof to, "%s", files_path("crashes"));
    assert_int_equal(log_crashes(files_path("no-pstore"), to), 0);
    assert_int_equal(log_crashes(from, to), 2);
    assert_int_equal(in_folder("pstore"), 0);
    out[log_newest(log_crash(), out, sizeof out)] = '\0';
    const char *at = out;
    static const char *const wanted[] = {"] dmesg-efi-17000000002:\n", "Part2", "older?\n", "] dmesg-efi-17000000001:\n", "Part1", "Kernel panic\n"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        at = strstr(at, wanted[i]);
        assert_non_null(at);
    }
    (void)snprintf(name, sizeof name, "crashes/crash");
    static char kept[LOG_BYTES];
    assert_true(files_get(files_path(name), kept, sizeof kept) > 0);
    assert_string_equal(kept, out);
    assert_int_equal(log_crashes(from, to), 0);
}

static void at_most_so_many_records_are_taken_at_a_start(void **unused) {
    (void)unused;
    char name[64], from[256], to[256];
    static char large[LOG_BYTES];
    memset(large, 'x', sizeof large);
    for (int i = 0; i < LOG_CRASHES_MAX + 4; i++) {
        (void)snprintf(name, sizeof name, "many/dmesg-%d", 100 + i);
        (void)files_text(name, "panic");
    }
    (void)files_put("many/dmesg-999", large, sizeof large);
    (void)files_text("kept/here", "");
    (void)snprintf(from, sizeof from, "%s", files_path("many"));
    (void)snprintf(to, sizeof to, "%s", files_path("kept"));
    assert_int_equal(log_crashes(from, to), LOG_CRASHES_MAX);
    assert_int_equal(in_folder("many"), 5);
    assert_int_equal(log_crashes(from, to), 5);
    assert_int_equal(in_folder("many"), 0);
    assert_true(files_get(files_path("kept/crash"), out, sizeof out) > 0);
    assert_non_null(strstr(out, "dmesg-999: too large\n"));
    assert_non_null(strstr(out, "dmesg-100:\n"));
}

static void a_record_that_cannot_be_kept_stays_where_it_is(void **unused) {
    (void)unused;
    char from[256], to[256];
    (void)files_text("stays/dmesg-1", "panic");
    (void)snprintf(from, sizeof from, "%s", files_path("stays"));
    (void)snprintf(to, sizeof to, "%s", files_path("no-folder"));
    assert_int_equal(log_crashes(from, to), 0);
    assert_int_equal(in_folder("stays"), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_gets_its_time_once_however_it_comes, fresh),
        cmocka_unit_test_setup(what_a_terminal_would_obey_is_not_kept, fresh),
        cmocka_unit_test_setup(memory_keeps_the_newest, fresh),
        cmocka_unit_test_setup(files_take_turns_and_nothing_is_lost_between, fresh),
        cmocka_unit_test_setup(what_came_too_fast_is_said_to_be_missing, fresh),
        cmocka_unit_test_setup(without_a_disk_it_waits, fresh),
        cmocka_unit_test(what_the_start_before_wrote_is_had_whether_or_not_this_one_wrote),
        cmocka_unit_test(the_file_that_was_begun_anew_and_the_one_before_it_are_read_as_one),
        cmocka_unit_test(what_a_cut_of_power_left_reaches_no_terminal),
        cmocka_unit_test(records_of_a_crash_are_one_log_in_the_order_of_time),
        cmocka_unit_test(at_most_so_many_records_are_taken_at_a_start),
        cmocka_unit_test(a_record_that_cannot_be_kept_stays_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
