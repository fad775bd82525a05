/* Logs on the data disk: what is kept, what earlier starts wrote, records of crashes, and the process that keeps them. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance/logs/logs.h"
#include "tests/init/files.h"

static struct logs logs;
static char out[2 * LOGS_FILE_BYTES], root[200];

/* A machine of its own; its folders are made by a file in each. */
static void machine(const char *name) {
    static const char *const folders[] = {"data/log", "run/log", "sys/fs/pstore"};
    char path[128];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        (void)snprintf(path, sizeof path, "%s/%s/.here", name, folders[i]);
        (void)files_text(path, "");
    }
    (void)snprintf(root, sizeof root, "%s", files_path(name));
}

/* It is started anew. */
static void starts(const char *name) {
    for (unsigned i = 0; i < logs.count; i++) {
        if (logs.files[i].fd >= 0) (void)close(logs.files[i].fd);
    }
    logs.count = 0;
    (void)snprintf(root, sizeof root, "%s", files_path(name));
    (void)snprintf(logs.folder, sizeof logs.folder, "%s/data/log", root);
}

static const char *take(const char *name, const char *text) {
    static char packet[LOGS_RECORD_BYTES];
    int count = snprintf(packet, sizeof packet, "%s\n%s", name, text);
    return logs_take(&logs, packet, (size_t)count);
}

/* "": there is none. */
static const char *in(const char *path) {
    char whole[400];
    (void)snprintf(whole, sizeof whole, "%s/%s", root, path);
    long count = files_get(whole, out, sizeof out);
    out[count > 0 ? count : 0] = '\0';
    return out;
}

static void files_take_turns_and_nothing_is_lost_between(void **unused) {
    (void)unused;
    machine("turns");
    starts("turns");
    char line[128];
    int last = -1;
    for (int i = 0; i < 30000; i++) {
        (void)snprintf(line, sizeof line, "line %d of a program that has a lot to say about the state that it is in\n", i);
        assert_null(take("node", line));
    }
    for (int turn = 1; turn >= 0; turn--) {
        const char *text = in(turn ? "data/log/node.1" : "data/log/node");
        assert_true(text[0] && strlen(text) <= LOGS_FILE_BYTES);
        for (const char *at = text; (at = strstr(at, "line ")); at += 5) {
            int number = (int)strtol(at + 5, NULL, 10);
            assert_true(last < 0 || number == last + 1);
            last = number;
        }
    }
    assert_int_equal(last, 29999);
    assert_string_equal(in("data/log/node.2"), "");
}

/* A full disk, as a limit of files' sizes: what is lost takes nothing along that was kept. */
static void what_does_not_fit_takes_no_place_of_what_was_kept(void **unused) {
    (void)unused;
    machine("full");
    (void)files_text("full/data/log/node.1", "the oldest line\n");
    starts("full");
    char line[1024];
    (void)memset(line, 'x', sizeof line);
    (void)snprintf(line + sizeof line - 2, 2, "\n");
    assert_null(take("node", "the first line\n"));
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = (struct rlimit){.rlim_cur = 16 << 10, .rlim_max = before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    unsigned lost = 0;
    for (size_t sent = 0; sent < 4 * (size_t)LOGS_FILE_BYTES; sent += sizeof line) lost += take("node", line) != NULL;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(lost > 3000);
    assert_string_equal(in("data/log/node.1"), "the oldest line\n");
    assert_null(take("node", "the last line\n"));
    const char *text = in("data/log/node"), *last = "\n(here something is missing)\nthe last line\n";
    assert_true(strncmp(text, "the first line\n", 15) == 0 && strcmp(text + strlen(text) - strlen(last), last) == 0);
}

static void a_name_that_is_none_is_no_file(void **unused) {
    (void)unused;
    static const char *const bad[] = {"", "../node", "Node", "no de", "node.1", "sixteenletterslo"};
    machine("names");
    starts("names");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_non_null(take(bad[i], "text\n"));
    assert_non_null(logs_take(&logs, "node", 4));
    char name[8] = "a";
    for (int i = 0; i < LOGS_MAX; i++, name[0]++) assert_null(take(name, "text\n"));
    assert_non_null(take(name, "one more\n"));
}

static void lines_that_were_lost_are_said_where_they_are_missing(void **unused) {
    (void)unused;
    machine("lost");
    starts("lost");
    char at[300], away[300];
    (void)snprintf(at, sizeof at, "%s/data/log", root);
    (void)snprintf(away, sizeof away, "%s/data/away", root);
    assert_int_equal(rename(at, away), 0); /* no folder: no file */
    assert_string_equal(take("node", "lost\n"), "No such file or directory");
    assert_string_equal(take("node", "lost\n"), "No such file or directory");
    assert_int_equal(rename(away, at), 0);
    assert_null(take("node", "kept\n"));
    assert_null(take("node", "too\n"));
    assert_string_equal(in("data/log/node"), "\n(here something is missing)\nkept\ntoo\n");
    assert_null(logs_sync(&logs));
}

static void a_link_in_the_place_of_a_file_is_not_followed(void **unused) {
    (void)unused;
    machine("links");
    starts("links");
    char at[300];
    const char *other = files_text("links/data/other", "other\n");
    (void)snprintf(at, sizeof at, "%s/data/log/node", root);
    assert_int_equal(symlink(other, at), 0);
    assert_false(logs_begin(root, "node"));
    assert_null(take("node", "line\n"));
    assert_string_equal(in("data/other"), "other\n");
    assert_string_equal(in("data/log/node"), "line\n");
}

/* ---- what earlier starts wrote ---- */

static const char *before(void) {
    return in("run/log/trial.before");
}

static void begin(const char *name) {
    char path[300];
    starts(name);
    (void)snprintf(path, sizeof path, "%s/run/log/trial.before", root);
    (void)unlink(path); /* memory is empty then */
    (void)logs_begin(root, "trial");
}

static void what_the_start_before_wrote_is_there_and_nothing_of_this_one(void **unused) {
    (void)unused;
    machine("starts");
    begin("starts");
    assert_string_equal(before(), "");
    assert_null(take("trial", "it lacked members\n"));
    assert_string_equal(before(), "");
    begin("starts");
    assert_string_equal(before(), "it lacked members\n");
    assert_null(take("trial", "of this start\n"));
    assert_string_equal(before(), "it lacked members\n");
    begin("starts");
    assert_string_equal(before(), "it lacked members\n\n(here the machine was started anew)\nof this start\n");
}

static void the_file_that_was_begun_anew_and_the_one_before_it_are_read_as_one(void **unused) {
    (void)unused;
    char line[128];
    machine("turned");
    begin("turned");
    for (int i = 0; i < LOGS_FILE_BYTES / 100; i++) {
        (void)snprintf(line, sizeof line, "first %092d\n", i);
        assert_null(take("trial", line));
    }
    assert_null(take("trial", "last\n"));
    begin("turned");
    const char *text = before();
    assert_int_equal(strlen(text), LOGS_BEFORE_BYTES);
    assert_non_null(strstr(text, "first "));
    assert_string_equal(strrchr(text, '\n') - 5, "\nlast\n");
}

static void what_a_cut_of_power_left_reaches_no_terminal(void **unused) {
    (void)unused;
    machine("cut");
    (void)files_put("cut/data/log/trial", "a\n\0\0\x1b[2J\xff\tb\n", 12);
    begin("cut");
    assert_string_equal(before(), "a\n???[2J?\tb\n");
}

/* ---- crashes ---- */

static unsigned records(void) {
    char path[300];
    unsigned count = 0;
    (void)snprintf(path, sizeof path, "%s/sys/fs/pstore", root);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) count += entry->d_name[0] != '.';
    (void)closedir(folder);
    return count;
}

static void records_of_a_crash_are_one_log_in_the_order_of_time(void **unused) {
    (void)unused;
    const char *fault;
    machine("crash");
    assert_int_equal(logs_crashes(root, &fault), 0);
    assert_null(fault);
    (void)files_text("crash/sys/fs/pstore/dmesg-efi-17000000002", "Panic#1 Part2\n<6>[    1.0] older\x1b\n");
    (void)files_text("crash/sys/fs/pstore/dmesg-efi-17000000001", "Panic#1 Part1\n<0>[    2.0] Kernel panic\n");
    assert_int_equal(logs_crashes(root, &fault), 2);
    assert_null(fault);
    assert_int_equal(records(), 0);
    static const char wanted[] = "dmesg-efi-17000000002:\nPanic#1 Part2\n<6>[    1.0] older?\n\n"
                                 "dmesg-efi-17000000001:\nPanic#1 Part1\n<0>[    2.0] Kernel panic\n\n";
    assert_string_equal(in("data/log/crash"), wanted);
    assert_string_equal(in("run/log/crash"), wanted);
    assert_int_equal(logs_crashes(root, &fault), 0);
}

static void at_most_so_many_records_are_taken_at_a_start(void **unused) {
    (void)unused;
    static char large[LOGS_CRASH_BYTES + 1000];
    char name[64];
    const char *fault;
    machine("many");
    memset(large, 'x', sizeof large);
    for (int i = 0; i < LOGS_CRASHES_MAX + 4; i++) {
        (void)snprintf(name, sizeof name, "many/sys/fs/pstore/dmesg-%d", 100 + i);
        (void)files_text(name, "panic");
    }
    (void)files_put("many/sys/fs/pstore/dmesg-999", large, sizeof large);
    assert_int_equal(logs_crashes(root, &fault), LOGS_CRASHES_MAX);
    assert_null(fault);
    assert_int_equal(records(), 5);
    assert_int_equal(strlen(in("run/log/crash")), LOGS_BEFORE_BYTES);
    assert_int_equal(logs_crashes(root, &fault), 5);
    assert_int_equal(records(), 0);
    const char *text = in("data/log/crash");
    assert_non_null(strstr(text, "dmesg-999:\nxxx"));
    assert_non_null(strstr(text, "dmesg-100:\npanic\n"));
    assert_string_equal(in("run/log/crash"), "dmesg-104:\npanic\ndmesg-103:\npanic\ndmesg-102:\npanic\ndmesg-101:\npanic\ndmesg-100:\npanic\n");
}

static void a_record_that_cannot_be_read_keeps_no_other(void **unused) {
    (void)unused;
    const char *fault;
    machine("unreadable");
    (void)files_text("unreadable/sys/fs/pstore/dmesg-2", "Panic#2");
    (void)files_text("unreadable/sys/fs/pstore/dmesg-1", "Panic#1");
    (void)files_text("unreadable/sys/fs/pstore/dmesg-3/folder", "a record that is none");
    assert_int_equal(logs_crashes(root, &fault), 2);
    assert_string_equal(fault, strerror(EISDIR));
    assert_int_equal(records(), 1);
    assert_string_equal(in("run/log/crash"), "dmesg-2:\nPanic#2\ndmesg-1:\nPanic#1\n");
}

static void a_record_that_cannot_be_kept_stays_where_it_is(void **unused) {
    (void)unused;
    const char *fault;
    char at[300], away[300];
    machine("stays");
    (void)files_text("stays/sys/fs/pstore/dmesg-1", "panic");
    (void)snprintf(at, sizeof at, "%s/data/log", root);
    (void)snprintf(away, sizeof away, "%s/data/away", root);
    assert_int_equal(rename(at, away), 0);
    assert_int_equal(logs_crashes(root, &fault), 0);
    assert_string_equal(fault, "No such file or directory");
    assert_int_equal(records(), 1);
    assert_int_equal(rename(away, at), 0);
    assert_int_equal(logs_crashes(root, &fault), 1);
    assert_int_equal(records(), 0);
}

/* ---- the process ---- */

static void send_to(int to, const char *text) {
    assert_int_equal(send(to, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void it_keeps_what_comes_and_takes_all_there_is_before_it_ends(void **unused) {
    (void)unused;
    int ends[2], status;
    machine("keep");
    starts("keep");
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    send_to(ends[0], "init\nbefore anybody listened\n");
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) _exit(logs_keep(root, ends[1]));
    for (unsigned turn = 0; turn < 3000 && !strstr(in("data/log/init"), "listened"); turn++) (void)usleep(10000);
    assert_string_equal(in("data/log/init"), "before anybody listened\n");
    send_to(ends[0], "..\nno log\n");
    for (int i = 0; i < 40; i++) send_to(ends[0], "node\nline\n");
    assert_int_equal(kill(pid, SIGTERM), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(strlen(in("data/log/node")), 40 * strlen("line\n"));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_take_turns_and_nothing_is_lost_between),
        cmocka_unit_test(what_does_not_fit_takes_no_place_of_what_was_kept),
        cmocka_unit_test(a_name_that_is_none_is_no_file),
        cmocka_unit_test(lines_that_were_lost_are_said_where_they_are_missing),
        cmocka_unit_test(a_link_in_the_place_of_a_file_is_not_followed),
        cmocka_unit_test(what_the_start_before_wrote_is_there_and_nothing_of_this_one),
        cmocka_unit_test(the_file_that_was_begun_anew_and_the_one_before_it_are_read_as_one),
        cmocka_unit_test(what_a_cut_of_power_left_reaches_no_terminal),
        cmocka_unit_test(records_of_a_crash_are_one_log_in_the_order_of_time),
        cmocka_unit_test(at_most_so_many_records_are_taken_at_a_start),
        cmocka_unit_test(a_record_that_cannot_be_read_keeps_no_other),
        cmocka_unit_test(a_record_that_cannot_be_kept_stays_where_it_is),
        cmocka_unit_test(it_keeps_what_comes_and_takes_all_there_is_before_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
