/* The programs as a whole: where the console is begun, and how all are ended with the machine. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/confine.h"
#include "init/log.h"
#include "init/program.h"
#include "init/say.h"

enum { NOW_MS = 100000, PID = 1 << 29 /* no process has that */ };

static void one_that_cannot_be_killed_keeps_no_machine_up(void **unused) {
    (void)unused;
    struct program_now *node = program_now(PROGRAM_NODE);
    node->pid = PID;
    node->service.state = SERVICE_UP;
    node->output = -1;
    programs_stop(NOW_MS);
    assert_int_equal(node->service.state, SERVICE_STOPPING);
    assert_false(programs_ended(NOW_MS));
    assert_false(programs_ended(NOW_MS + PROGRAMS_END_MS - 1));
    assert_true(programs_ended(NOW_MS + PROGRAMS_END_MS));
    node->pid = 0;
    assert_true(programs_ended(NOW_MS));
}

static const char *left_behind;

void confine_end(const char *name) {
    left_behind = name;
}
void confine_prepare(void) {
}
void confine_become(const char *name, const char *const *words, int told) {
    (void)name, (void)words, (void)told;
}

/* dhcpcd's children are in sessions of their own. */
static void whoever_a_program_leaves_behind_is_killed(void **unused) {
    (void)unused;
    for (enum program p = 0; p < PROGRAMS; p++) {
        struct program_now *program = program_now(p);
        *program = (struct program_now){.pid = PID, .output = -1, .service = {.state = SERVICE_UP}};
        left_behind = NULL;
        assert_true(program_ended(PID, 0, NOW_MS));
        assert_ptr_equal(left_behind, program_name(p));
        *program = (struct program_now){.output = -1};
    }
}

/* Its end of the pipe is closed while it runs on, as the console's is from the start: it must not wake init again and again. */
static void an_output_that_is_closed_is_not_waited_for(void **unused) {
    (void)unused;
    struct program_now *console = program_now(PROGRAM_CONSOLE);
    struct pollfd polls[PROGRAMS];
    int ends[2];
    for (enum program p = 0; p < PROGRAMS; p++) program_now(p)->output = -1;
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    *console = (struct program_now){.pid = PID, .output = ends[0], .service = {.state = SERVICE_UP}};
    assert_int_equal(write(ends[1], "a", 1), 1);
    (void)close(ends[1]);
    programs_poll(polls);
    assert_int_equal(poll(polls, PROGRAMS, 0), 1);
    program_output(PROGRAM_CONSOLE);
    assert_int_equal(console->output, -1);
    assert_int_equal(console->service.state, SERVICE_UP);
    assert_int_equal(console->log.written > 0, 1);
    programs_poll(polls);
    assert_int_equal(poll(polls, PROGRAMS, 0), 0);
    *console = (struct program_now){.output = -1};
}

/* Whoever asks: what was told to end with the machine is not begun anew. */
static void nothing_is_begun_while_it_goes_down(void **unused) {
    (void)unused;
    struct program_now *node = program_now(PROGRAM_NODE), *admin = program_now(PROGRAM_ADMIN);
    node->pid = PID;
    node->service.state = SERVICE_STOPPING;
    program_again(PROGRAM_NODE, NOW_MS);
    program_again(PROGRAM_ADMIN, NOW_MS);
    assert_false(node->again);
    assert_int_equal(admin->service.state, SERVICE_DOWN);
    assert_true(program_ended(PID, 0, NOW_MS));
    assert_int_equal(node->service.state, SERVICE_DOWN);
    assert_true(programs_ended(NOW_MS));
}

/* A restart was asked for, and is not over: then its key is given up. */
static void what_is_told_to_stop_is_not_begun_anew_by_a_restart_of_before(void **unused) {
    (void)unused;
    struct program_now *node = program_now(PROGRAM_NODE);
    *node = (struct program_now){.pid = PID, .output = -1, .service = {.state = SERVICE_UP}};
    program_again(PROGRAM_NODE, NOW_MS);
    assert_true(node->again && node->service.state == SERVICE_STOPPING);
    program_event(PROGRAM_NODE, SERVICE_STOP, NOW_MS);
    assert_true(program_ended(PID, 0, NOW_MS));
    assert_int_equal(node->service.state, SERVICE_DOWN);
    assert_int_equal(node->pid, 0);
    *node = (struct program_now){.output = -1};
}

static bool is_said(const char *words) {
    static char text[LOG_BYTES + 1];
    text[log_newest(say_log(), text, LOG_BYTES)] = '\0';
    return strstr(text, words) != NULL;
}

/* As a configuration asks for it, which may name what this machine lacks. */
static void a_console_is_begun_anew_by_another_port_alone(void **unused) {
    (void)unused;
    struct program_now *console = program_now(PROGRAM_CONSOLE);
    *console = (struct program_now){.output = -1};
    program_console("", NOW_MS);
    assert_int_equal(console->service.state, SERVICE_DOWN);
    program_console("hvc7", NOW_MS);
    assert_int_equal(console->service.state, SERVICE_UP);
    assert_true(is_said("console: it goes to hvc7") && is_said("console: there is no port /dev/hvc7: it is on the kernel's"));
    pid_t first = console->pid;
    program_console("hvc7", NOW_MS);
    assert_true(console->pid == first && console->service.state == SERVICE_UP && !console->again);
    program_console("", NOW_MS);
    assert_true(console->service.state == SERVICE_STOPPING && console->again && is_said("console: it goes to the image's port"));
    assert_int_equal(waitpid(first, NULL, 0), first);
    assert_true(program_ended(first, SIGTERM, NOW_MS));
    assert_true(console->service.state == SERVICE_UP && console->pid != first);
    assert_int_equal(waitpid(console->pid, NULL, 0), console->pid);
    (void)close(console->output);
    *console = (struct program_now){.output = -1};
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_a_program_leaves_behind_is_killed),
        cmocka_unit_test(an_output_that_is_closed_is_not_waited_for),
        cmocka_unit_test(a_console_is_begun_anew_by_another_port_alone),
        cmocka_unit_test(what_is_told_to_stop_is_not_begun_anew_by_a_restart_of_before),
        cmocka_unit_test(one_that_cannot_be_killed_keeps_no_machine_up),
        cmocka_unit_test(nothing_is_begun_while_it_goes_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
