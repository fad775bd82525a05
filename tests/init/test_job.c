/*
 * A job is waited for as long as it may take, and not longer, whatever it does; the loop goes on meanwhile. What a confined program may do is
 * test_confine.c's; here it runs as it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "init/confine.h"
#include "init/job.h"
#include "init/machine.h"
#include "tests/init/files.h"

static unsigned turns, others; /* of the loop; processes that ended in it and were not the job */

static bool in_turn;
static void ask_for_another(void);

bool loop_turn(uint64_t due_ms, int also) {
    struct pollfd one = {.fd = also, .events = POLLIN};
    uint64_t now_ms = machine_now_ms();
    int status, ready = poll(&one, 1, due_ms > now_ms + 5 ? 5 : 0);
    turns++;
    if (in_turn) ask_for_another();
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) others += !job_ended(pid, status);
    return ready > 0;
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
    turns = 0;
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
    assert_true(turns > 0);
}

static void nothing_is_waited_for_longer_than_it_may_take(void **unused) {
    (void)unused;
    job_work *const bad[] = {hangs, closes_and_hangs, says_too_much};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t began_ms = machine_now_ms();
        assert_false(work(bad[i], 300));
        assert_string_equal(answer, "vda took too long or said too much");
        assert_true(turns > 0);
        assert_true(machine_now_ms() - began_ms < 20000);
    }
}

static void a_program_has_its_file_and_its_device(void **unused) {
    (void)unused;
    const char *const words[] = {"/bin/cat", "/proc/self/fd/3", "/proc/self/fd/4", NULL};
    const char *device = files_text("device", "device");
    int input = open(files_text("input", "input "), O_RDONLY | O_CLOEXEC);
    assert_true(input >= 0);
    struct job job = {.name = "disk", .words = words, .input = input, .device = device, .flags = O_RDONLY, .limit_ms = 20000};
    left_behind = NULL;
    assert_true(job_do(&job, answer));
    assert_string_equal(left_behind, "disk"); /* and is killed */
    assert_string_equal(answer, "disk input device");
    job.input = -1;
    job.file = files_path("input");
    assert_true(job_do(&job, answer));
    assert_string_equal(answer, "disk input device");
    job.device = files_path("gone");
    assert_false(job_do(&job, answer));
    assert_string_equal(answer, JOB_NO_FILE);
    job.device = device;
    job.file = files_path("gone");
    assert_false(job_do(&job, answer));
    assert_string_equal(answer, JOB_NO_FILE);
    (void)close(input);
    const char *const wrong[] = {"/bin/false", NULL};
    assert_false(job_run("disk", wrong, -1, answer));
}

/* What a turn of the loop does while a job is waited for, as a request at the control socket may. */
static char second[JOB_ANSWER_BYTES], during[64];
static bool refused;

static void ask_for_another(void) {
    (void)snprintf(during, sizeof during, "%s", job_now());
    refused = !job_do(&(struct job){.name = "vdb", .work = says, .limit_ms = 20000}, second);
}

static void a_second_job_is_refused_and_an_end_that_is_not_the_jobs_is_left_alone(void **unused) {
    (void)unused;
    assert_null(job_now());
    pid_t other = fork();
    assert_true(other >= 0);
    if (other == 0) _exit(0);
    others = 0;
    in_turn = true;
    assert_true(work(says, 20000));
    in_turn = false;
    assert_string_equal(during, "vda");
    assert_true(refused);
    assert_string_equal(second, "busy: vda");
    for (unsigned turn = 0; turn < 1000 && others == 0; turn++) (void)loop_turn(machine_now_ms() + 10, -1);
    assert_int_equal(others, 1);
    assert_null(job_now());
    assert_false(job_ended(getpid(), 0));
}

int main(void) {
    for (int fd = 0; fd >= 0 && fd < 6;) fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* as in init, where the numbers of a job's files are taken */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(work_says_what_came_of_it),
        cmocka_unit_test(nothing_is_waited_for_longer_than_it_may_take),
        cmocka_unit_test(a_program_has_its_file_and_its_device),
        cmocka_unit_test(a_second_job_is_refused_and_an_end_that_is_not_the_jobs_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
