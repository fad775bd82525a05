/* What init says, on a terminal beside the kernel's console: a pseudo-terminal here. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/log.h"
#include "init/say.h"

enum { FULL_MS_MAX = 2000 }; /* SAY_TRIES times SAY_PAUSE_US are 10 ms, on a host with time */

static int other; /* its other end */

static int terminal(void) {
    struct termios raw;
    other = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    assert_true(other >= 0 && grantpt(other) == 0 && unlockpt(other) == 0);
    int fd = open(ptsname(other), O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    assert_true(fd >= 0 && tcgetattr(fd, &raw) == 0);
    cfmakeraw(&raw);
    assert_int_equal(tcsetattr(fd, TCSANOW, &raw), 0);
    return fd;
}

static uint64_t now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool is_logged(const char *line) {
    static char text[LOG_BYTES + 1];
    text[log_newest(say_log(), text, LOG_BYTES)] = '\0';
    return strstr(text, line) != NULL;
}

static void a_line_is_shown_on_the_other_terminal(void **unused) {
    (void)unused;
    char seen[256] = "";
    assert_true(say_also(terminal()));
    say("one\x1b[2J %d", 7);
    assert_true(read(other, seen, sizeof seen - 1) > 0);
    assert_string_equal(seen, "heraclius: one?[2J 7\r\n");
    assert_true(say_also(-1));
    assert_int_equal(read(other, seen, sizeof seen), -1); /* init has given it up */
    assert_int_equal(errno, EIO);
    say("two");
    (void)close(other);
}

static void one_that_takes_nothing_keeps_nobody(void **unused) {
    (void)unused;
    static const char much[4096];
    int fd = terminal();
    assert_true(say_also(fd));
    while (write(fd, much, sizeof much) > 0) continue;
    assert_int_equal(errno, EAGAIN);
    uint64_t since_ms = now_ms();
    say("nobody sees this");
    assert_true(now_ms() - since_ms < FULL_MS_MAX);
    assert_true(is_logged("nobody sees this"));
    since_ms = now_ms();
    assert_true(say_also(-1));
    assert_true(now_ms() - since_ms < FULL_MS_MAX);
    (void)close(other);
}

static void one_that_was_hung_up_is_no_fault(void **unused) {
    (void)unused;
    assert_true(say_also(terminal()));
    (void)close(other);
    say("after the end");
    assert_true(is_logged("after the end"));
    assert_true(say_also(-1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_shown_on_the_other_terminal),
        cmocka_unit_test(one_that_takes_nothing_keeps_nobody),
        cmocka_unit_test(one_that_was_hung_up_is_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
