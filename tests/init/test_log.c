/* Logs in memory, and what of them is handed on; on the data disk: tests/appliance/test_logs.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/log.h"

static struct log log_one;
static char out[1 << 20];

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

/* ---- handed on to heraclius-logs ---- */

static int ends[2];

static int with_reader(void **unused) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    return fresh(unused);
}
static int without_reader(void **unused) {
    (void)unused;
    return close(ends[0]) | close(ends[1]);
}

/* All that heraclius-logs has got of log NAME, one packet behind the other. */
static const char *got(const char *name) {
    static char packet[LOG_PACKET_BYTES];
    size_t head = strlen(name) + 1, all = 0;
    for (ssize_t count; (count = recv(ends[1], packet, sizeof packet, MSG_DONTWAIT)) > 0;) {
        assert_true((size_t)count >= head && memcmp(packet, name, head - 1) == 0 && packet[head - 1] == '\n');
        assert_true(all + (size_t)count < sizeof out);
        memcpy(out + all, packet + head, (size_t)count - head);
        all += (size_t)count - head;
    }
    out[all] = '\0';
    return out;
}

static void what_is_new_is_handed_on_once(void **unused) {
    (void)unused;
    say_in("first\n");
    log_hand_on(&log_one, "node", ends[0]);
    assert_string_equal(strchr(got("node"), ']'), "] first\n");
    log_hand_on(&log_one, "node", ends[0]);
    assert_string_equal(got("node"), "");
    say_in("second\n");
    log_hand_on(&log_one, "node", ends[0]);
    assert_string_equal(strchr(got("node"), ']'), "] second\n");
}

static void a_reader_that_stands_still_keeps_nobody_and_lacks_what_memory_lost(void **unused) {
    (void)unused;
    char line[64];
    for (int i = 0; i < 40000; i++) {
        (void)snprintf(line, sizeof line, "line %d\n", i);
        say_in(line);
        log_hand_on(&log_one, "node", ends[0]); /* returns, though nobody reads */
    }
    int next = 0;
    bool missing = false;
    for (unsigned turn = 0; turn < 100 && log_one.saved < log_one.written; turn++) {
        const char *text = got("node");
        for (const char *at = text; (at = strstr(at, "] line ")); at += 7) next = (int)strtol(at + 7, NULL, 10);
        missing = missing || strstr(text, "\n(here something is missing)\n");
        log_hand_on(&log_one, "node", ends[0]);
    }
    const char *text = got("node");
    for (const char *at = text; (at = strstr(at, "] line ")); at += 7) next = (int)strtol(at + 7, NULL, 10);
    assert_int_equal(next, 39999);
    assert_true(missing || strstr(text, "\n(here something is missing)\n"));
}

static void nobody_there_is_no_fault(void **unused) {
    (void)unused;
    say_in("kept\n");
    log_hand_on(&log_one, "node", -1);
    assert_int_equal(log_one.saved, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_gets_its_time_once_however_it_comes, fresh),
        cmocka_unit_test_setup(what_a_terminal_would_obey_is_not_kept, fresh),
        cmocka_unit_test_setup(memory_keeps_the_newest, fresh),
        cmocka_unit_test_setup_teardown(what_is_new_is_handed_on_once, with_reader, without_reader),
        cmocka_unit_test_setup_teardown(a_reader_that_stands_still_keeps_nobody_and_lacks_what_memory_lost, with_reader, without_reader),
        cmocka_unit_test_setup(nobody_there_is_no_fault, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
