/*
 * A job is waited for as long as it may take, and not longer, whatever it does; the watchdog is fed meanwhile. What a confined program may do is
 * test_confine.c's; here it runs as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/confine.h"
#include "init/job.h"
#include "init/machine.h"
#include "tests/init/files.h"

static unsigned fed;

void machine_feed(void) {
    fed++;
}

uint64_t machine_now_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void confine_become(const char *name, const char *const *words, int told) {
    (void)dprintf(told, "%s ", name);
    (void)execv(words[0], (char *const *)(uintptr_t)words);
}

static const char *left_behind;

void confine_end(const char *name) {
    left_behind = name;
}

static char answer[JOB_ANSWER_BYTES];

static bool work(job_work *what, unsigned limit_ms) {
    fed = 0;
    return job_do(&(struct job){.name = "vda", .work = what, .limit_ms = limit_ms}, answer);
}

static const char *says(void *context) {
    (void)context;
    (void)dprintf(1, "grown\n");
    return NULL;
}
static const char *fails(void *context) {
    (void)context;
    return "it \x1b[2J does not mount\nat all";
}
static const char *hangs(void *context) {
    (void)context;
    (void)sleep(60);
    return NULL;
}
static const char *closes_and_hangs(void *context) {
    (void)context;
    (void)close(1);
    (void)close(2);
    for (int fd = 3; fd < 100; fd++) (void)close(fd);
    (void)sleep(60);
    return NULL;
}
static const char *says_too_much(void *context) {
    (void)context;
    while (dprintf(1, "more and more ") > 0) continue;
    return NULL;
}

static void work_says_what_came_of_it(void **unused) {
    (void)unused;
    assert_true(work(says, 20000));
    assert_string_equal(answer, "grown\n");
    assert_false(work(fails, 20000));
    assert_string_equal(answer, "it ?[2J does not mount");
    assert_true(fed > 0);
}

static void nothing_is_waited_for_longer_than_it_may_take(void **unused) {
    (void)unused;
    job_work *const bad[] = {hangs, closes_and_hangs, says_too_much};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t began_ms = machine_now_ms();
        assert_false(work(bad[i], 300));
        assert_string_equal(answer, "vda took too long or said too much");
        assert_true(fed > 0);
        assert_true(machine_now_ms() - began_ms < 20000);
    }
}

static void a_program_has_its_file_and_its_device(void **unused) {
    (void)unused;
    const char *const words[] = {"/bin/cat", "/proc/self/fd/3", "/proc/self/fd/4", NULL};
    const char *device = files_text("device", "device");
    int input = open(files_text("input", "input "), O_RDONLY | O_CLOEXEC);
    assert_true(input >= 0);
    left_behind = NULL;
    assert_true(job_do(&(struct job){"disk", words, input, device, O_RDONLY, 20000, NULL, NULL}, answer));
    assert_string_equal(left_behind, "disk"); /* and is killed */
    assert_string_equal(answer, "disk input device");
    const char *gone = files_path("gone");
    assert_false(job_do(&(struct job){"disk", words, input, gone, O_RDONLY, 20000, NULL, NULL}, answer));
    assert_string_equal(answer, "it cannot be opened: No such file or directory");
    (void)close(input);
    const char *const wrong[] = {"/bin/false", NULL};
    assert_false(job_run("disk", wrong, -1, answer));
}

int main(void) {
    for (int fd = 0; fd >= 0 && fd < 6;) fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* as in init, where the numbers of a job's files are taken */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_says_what_came_of_it),
        cmocka_unit_test(nothing_is_waited_for_longer_than_it_may_take),
        cmocka_unit_test(a_program_has_its_file_and_its_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
