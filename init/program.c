#include "init/program.h"
#include "init/confine.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What each may do beyond its own files stands in confine.c, by the same names. */
static const struct what {
    const char *name;
    const char *words[8];
    const char *terminal; /* its standard input and output; NULL: none, output goes to its log */
} whats[PROGRAMS] = {
    [PROGRAM_NODE] = {"node", {"/bin/heracliusd", "--config", "/data/node/node.conf"}, NULL},
    [PROGRAM_ADMIN] = {"admin", {"/bin/heraclius-admin", "--appliance"}, NULL},
    [PROGRAM_CONSOLE] = {"console", {"/bin/heraclius-console"}, "/dev/console"},
    [PROGRAM_DHCP] = {"dhcp", {"/bin/dhcpcd", "--nobackground", "--script", "/bin/heraclius-lease"}, NULL},
};

static struct running {
    struct service service;
    pid_t pid;
    int output; /* -1: none */
    bool again; /* it is begun anew once it is down */
    char last[96];
    char log[PROGRAM_LOG_BYTES];
    unsigned long written;
} programs[PROGRAMS];

const char *program_name(enum program program) {
    return whats[program].name;
}

int program_of(const char *name) {
    for (int p = 0; p < PROGRAMS; p++) {
        if (strcmp(whats[p].name, name) == 0) return p;
    }
    return -1;
}

const struct service *program_service(enum program program) {
    return &programs[program].service;
}

pid_t program_pid(enum program program) {
    return programs[program].pid;
}

const char *program_last(enum program program) {
    return programs[program].last;
}

void programs_prepare(void) {
    for (int p = 0; p < PROGRAMS; p++) programs[p].output = -1;
    confine_prepare();
}

/* In the child, after fork: no heap, no return. */
static _Noreturn void child(enum program program, int output) {
    static char *const environment[] = {"PATH=/bin", "HOME=/", "TERM=vt100", "LC_ALL=C", NULL};
    const struct what *what = &whats[program];
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setsid();
    int in = open(what->terminal ? what->terminal : "/dev/null", O_RDWR);
    int out = what->terminal ? in : output;
    if (in < 0 || dup2(out, 1) < 0 || dup2(what->terminal ? in : output, 2) < 0 || dup2(in, 0) < 0) _exit(127);
    const char *fault = confine_child(what->name);
    if (!fault) {
        (void)execve(what->words[0], (char *const *)(uintptr_t)what->words, environment);
        fault = "cannot be started";
    }
    (void)dprintf(2, "%s: %s: %s\n", what->words[0], fault, strerror(errno));
    _exit(errno == ENOENT ? SERVICE_EXIT_CONFIG : 127);
}

static bool spawn(enum program program) {
    int ends[2] = {-1, -1};
    struct running *running = &programs[program];
    if (running->output < 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return false;
    pid_t pid = fork();
    if (pid == 0) child(program, ends[1]);
    if (ends[1] >= 0) (void)close(ends[1]);
    if (pid < 0) {
        if (ends[0] >= 0) (void)close(ends[0]);
        return false;
    }
    running->pid = pid;
    running->output = ends[0];
    return true;
}

void program_event(enum program program, enum service_event event, uint64_t now_ms) {
    struct running *running = &programs[program];
    enum service_state before = running->service.state;
    enum service_action action = service_step(&running->service, event, now_ms);
    if (action == SERVICE_SPAWN) {
        bool spawned = spawn(program);
        if (!spawned) (void)text_form(running->last, sizeof running->last, "could not be started: %s", strerror(errno));
        program_event(program, spawned ? SERVICE_SPAWNED : SERVICE_LOST, now_ms);
    }
    if (action == SERVICE_TERM && running->pid > 0) (void)kill(-running->pid, SIGTERM);
    if (action == SERVICE_KILL && running->pid > 0) (void)kill(-running->pid, SIGKILL);
    if (running->service.state == before) return;
    if (running->service.state == SERVICE_FAILED) say("%s: %s; it is not tried again by itself", whats[program].name, running->last);
    if (running->service.state == SERVICE_BACKING_OFF) {
        say("%s: %s; again in %u ms", whats[program].name, running->last, running->service.pause_ms);
    }
}

void program_again(enum program program, uint64_t now_ms) {
    program_event(program, SERVICE_STOP, now_ms);
    programs[program].again = programs[program].pid != 0;
    if (!programs[program].again) program_event(program, SERVICE_START, now_ms);
}

bool program_ended(pid_t pid, int wait_status, uint64_t now_ms) {
    for (int p = 0; p < PROGRAMS; p++) {
        struct running *running = &programs[p];
        if (running->pid != pid) continue;
        program_output((enum program)p);
        if (running->output >= 0) (void)close(running->output);
        running->output = -1;
        running->pid = 0;
        (void)kill(-pid, SIGKILL); /* whoever it left behind in its session */
        if (WIFSIGNALED(wait_status)) {
            (void)text_form(running->last, sizeof running->last, "ended by signal %d", WTERMSIG(wait_status));
        } else {
            (void)text_form(running->last, sizeof running->last, "ended with %d", WEXITSTATUS(wait_status));
        }
        program_event((enum program)p, service_event_of(wait_status), now_ms);
        if (running->again) program_event((enum program)p, SERVICE_START, now_ms);
        running->again = false;
        return true;
    }
    return false;
}

uint64_t programs_timers(uint64_t now_ms) {
    uint64_t next = UINT64_MAX;
    for (int p = 0; p < PROGRAMS; p++) {
        uint64_t due = programs[p].service.timer_ms;
        if (due && due <= now_ms) program_event((enum program)p, SERVICE_TIMER, now_ms);
        due = programs[p].service.timer_ms;
        if (due && due < next) next = due;
    }
    return next;
}

bool programs_all_down(void) {
    for (int p = 0; p < PROGRAMS; p++) {
        if (programs[p].pid) return false;
    }
    return true;
}

void programs_poll(struct pollfd polls[PROGRAMS]) {
    for (int p = 0; p < PROGRAMS; p++) polls[p] = (struct pollfd){.fd = programs[p].output, .events = POLLIN};
}

void program_output(enum program program) {
    struct running *running = &programs[program];
    char bytes[4096];
    if (running->output < 0) return;
    for (unsigned round = 0; round < 16; round++) {
        ssize_t count = read(running->output, bytes, sizeof bytes);
        if (count <= 0) return;
        for (ssize_t i = 0; i < count; i++) running->log[running->written++ % PROGRAM_LOG_BYTES] = bytes[i];
    }
}

unsigned long program_log(enum program program, char *out, unsigned long size) {
    const struct running *running = &programs[program];
    unsigned long count = running->written < PROGRAM_LOG_BYTES ? running->written : PROGRAM_LOG_BYTES;
    if (count > size) count = size;
    for (unsigned long i = 0; i < count; i++) out[i] = running->log[(running->written - count + i) % PROGRAM_LOG_BYTES];
    return count;
}
