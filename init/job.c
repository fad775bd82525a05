#include "init/job.h"
#include "init/confine.h"
#include "init/machine.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void child(const char *name, const char *const *words, int input, int device, int output) {
    (void)setsid();
    int nothing = open("/dev/null", O_RDWR);
    if (nothing < 0 || dup2(nothing, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(127);
    if ((input >= 0 && dup2(input, 3) < 0) || (device >= 0 && dup2(device, 4) < 0)) _exit(127);
    confine_become(name, words, 1);
    _exit(127);
}

/* Until the other end is closed, the time is over or the answer full. */
static bool listen_to(int fd, char *answer) {
    uint64_t end_ms = machine_now_ms() + JOB_MS;
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

bool job_run(const char *name, const char *const *words, int input, int device, char answer[JOB_ANSWER_BYTES]) {
    int ends[2], status = 0;
    answer[0] = '\0';
    if (pipe2(ends, O_CLOEXEC) < 0) return false;
    pid_t pid = fork();
    if (pid == 0) child(name, words, input, device, ends[1]);
    (void)close(ends[1]);
    bool heard = pid > 0 && listen_to(ends[0], answer);
    (void)close(ends[0]);
    if (pid > 0) {
        if (!heard) (void)kill(-pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
        (void)kill(-pid, SIGKILL);
    }
    if (pid > 0 && heard && WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    answer[strcspn(answer, "\n")] = '\0';
    text_clean(answer);
    if (!answer[0]) text_form(answer, JOB_ANSWER_BYTES, "%s %s", words[0], heard ? "ended without a word" : "took too long or said too much");
    return false;
}
