#include "init/job.h"
#include "init/confine.h"
#include "init/machine.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void open_at(const char *path, int flags, int at) {
    int fd = open(path, flags | O_NOFOLLOW);
    if (fd < 0) (void)dprintf(1, errno == ENOENT ? JOB_NO_FILE "\n" : "it cannot be opened: %s\n", strerror(errno));
    if (fd < 0 || dup2(fd, at) < 0) _exit(127);
    if (fd != at) (void)close(fd);
}

static _Noreturn void child(const struct job *job, int output) {
    (void)setsid();
    int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(127);
    if (job->work) {
        const char *fault = job->work(job->context);
        if (fault) (void)dprintf(1, "%s\n", fault);
        _exit(fault != NULL);
    }
    if (job->input >= 0 && dup2(job->input, 3) < 0) _exit(127);
    if (job->file) open_at(job->file, O_RDONLY | O_NONBLOCK, 3);
    if (job->device) open_at(job->device, job->flags, 4);
    confine_become(job->name, job->words, 1);
    _exit(127);
}

static struct {
    pid_t pid; /* 0: there is none */
    const char *name;
    bool ended;
    int status;
} now;

const char *job_now(void) {
    return now.pid ? now.name : NULL;
}

bool job_ended(pid_t pid, int wait_status) {
    if (pid != now.pid) return false;
    now.ended = true;
    now.status = wait_status;
    return true;
}

static bool ends(uint64_t end_ms) {
    while (!now.ended && machine_now_ms() < end_ms) (void)loop_turn(end_ms, -1);
    return now.ended;
}

/* What it prints, until the other end is closed, the time is over or the answer full. True: closed. */
static bool listen_to(int fd, uint64_t end_ms, char *answer) {
    for (size_t count = 0; machine_now_ms() < end_ms && count + 1 < JOB_ANSWER_BYTES;) {
        ssize_t got = loop_turn(end_ms, fd) ? read(fd, answer + count, JOB_ANSWER_BYTES - 1 - count) : -1;
        if (got == 0) return true;
        if (got > 0) answer[count += (size_t)got] = '\0';
    }
    return false;
}

bool job_do(const struct job *job, char answer[JOB_ANSWER_BYTES]) {
    int output[2];
    answer[0] = '\0';
    if (now.pid) return !text_form(answer, JOB_ANSWER_BYTES, "busy: %s", now.name);
    if (pipe2(output, O_CLOEXEC) < 0) return false;
    uint64_t end_ms = machine_now_ms() + job->limit_ms;
    pid_t pid = fork();
    if (pid == 0) child(job, output[1]);
    (void)close(output[1]);
    now.pid = pid > 0 ? pid : 0;
    now.name = job->name;
    now.ended = false;
    bool in_time = pid > 0 && listen_to(output[0], end_ms, answer) && ends(end_ms);
    (void)close(output[0]);
    if (pid > 0) (void)kill(-pid, SIGKILL);
    if (pid > 0 && !job->work) confine_end(job->name);
    if (pid > 0 && !in_time) (void)ends(machine_now_ms() + JOB_KILLED_MS);
    now.pid = 0;
    if (in_time && WIFEXITED(now.status) && WEXITSTATUS(now.status) == 0) return true;
    answer[strcspn(answer, "\n")] = '\0';
    text_clean(answer);
    const char *why = in_time ? "ended without a word" : now.ended ? "took too long or said too much" : "took too long, and does not end";
    if (!answer[0] || !in_time) text_form(answer, JOB_ANSWER_BYTES, "%s %s", job->work ? job->name : job->words[0], why);
    return false;
}

bool job_run(const char *name, const char *const *words, int input, char answer[JOB_ANSWER_BYTES]) {
    return job_do(&(struct job){.name = name, .words = words, .input = input, .limit_ms = JOB_MS}, answer);
}
