#include "init/job.h"
#include "init/confine.h"
#include "init/machine.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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
    int device = job->device ? open(job->device, job->flags | O_NOFOLLOW) : -1;
    if (job->device && device < 0) (void)dprintf(1, "it cannot be opened: %s\n", strerror(errno));
    if (job->device && (device < 0 || dup2(device, 4) < 0)) _exit(127);
    if (device > 4) (void)close(device);
    confine_become(job->name, job->words, 1);
    _exit(127);
}

/* Until the other end is closed, the time is over or the answer full. */
static bool listen_to(int fd, uint64_t end_ms, char *answer) {
    size_t count = 0;
    for (;;) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        uint64_t now_ms = machine_now_ms();
        if (now_ms >= end_ms || count + 1 >= JOB_ANSWER_BYTES) return false;
        machine_feed();
        if (poll(&one, 1, (int)(end_ms - now_ms < 1000 ? end_ms - now_ms : 1000)) <= 0) continue;
        ssize_t got = read(fd, answer + count, JOB_ANSWER_BYTES - 1 - count);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return got == 0;
        count += (size_t)got;
        answer[count] = '\0';
    }
}

static bool ends(pid_t pid, uint64_t end_ms, int *status) {
    for (unsigned turn = 0;; turn++) {
        pid_t ended = waitpid(pid, status, WNOHANG);
        if (ended == pid || (ended < 0 && errno != EINTR)) return ended == pid;
        if (machine_now_ms() >= end_ms) return false;
        if (turn % 512 == 0) machine_feed();
        (void)usleep(1000);
    }
}

bool job_do(const struct job *job, char answer[JOB_ANSWER_BYTES]) {
    int output[2], status = 0;
    answer[0] = '\0';
    if (pipe2(output, O_CLOEXEC) < 0) return false;
    uint64_t end_ms = machine_now_ms() + job->limit_ms;
    pid_t pid = fork();
    if (pid == 0) child(job, output[1]);
    (void)close(output[1]);
    bool in_time = pid > 0 && listen_to(output[0], end_ms, answer) && ends(pid, end_ms, &status), ended = in_time;
    (void)close(output[0]);
    if (pid > 0) (void)kill(-pid, SIGKILL);
    if (pid > 0 && !job->work) confine_end(job->name);
    if (pid > 0 && !in_time) ended = ends(pid, machine_now_ms() + JOB_KILLED_MS, &status);
    if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    answer[strcspn(answer, "\n")] = '\0';
    text_clean(answer);
    const char *why = in_time ? "ended without a word" : ended ? "took too long or said too much" : "took too long, and does not end";
    if (!answer[0] || !in_time) text_form(answer, JOB_ANSWER_BYTES, "%s %s", job->work ? job->name : job->words[0], why);
    return false;
}

bool job_run(const char *name, const char *const *words, int input, char answer[JOB_ANSWER_BYTES]) {
    return job_do(&(struct job){.name = name, .words = words, .input = input, .limit_ms = JOB_MS}, answer);
}
