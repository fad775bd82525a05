#include "init/program.h"
#include "init/confine.h"
#include "init/log.h"
#include "init/plan.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* What each may do beyond its own files stands in confine.c, by the same names. Its output goes to its log, but the console's. */
static const struct what {
    const char *name;
    const char *words[10];
} whats[PROGRAMS] = {
    [PROGRAM_NODE] = {"node", {"/bin/heracliusd", "--config", "/data/node/node.conf"}},
    [PROGRAM_ADMIN] = {"admin", {"/bin/heraclius-admin", "--appliance"}},
    [PROGRAM_CONSOLE] = {"console", {"/bin/heraclius-console"}},
    [PROGRAM_NET] = {"net", {"/bin/heraclius-net"}},
    [PROGRAM_DHCP] = {"dhcp", {"/bin/dhcpcd", "--nobackground", "--config", "/run/net/dhcpcd.conf", "--script", "/dev/null", "--noipv4ll",
                               "--nodev"}},
    [PROGRAM_TRIAL] = {"trial", {"/bin/heraclius-slots", "trial"}},
    [PROGRAM_LOGS] = {"logs", {"/bin/heraclius-logs", "keep"}}, /* its standard input: to_logs */
};

static struct program_now programs[PROGRAMS];
static int to_logs[2] = {-1, -1}; /* init's end; the program's, which stays open here: what it did not take the next one has */
static char port_asked[PLAN_PORT_BYTES], port[PLAN_PORT_BYTES + 8]; /* of the console: the configuration's, "": none; the one that it was begun on */
static uint64_t going_down_ms; /* since then nothing is begun any more; 0: as usual */

const char *program_name(enum program program) {
    return whats[program].name;
}

int program_of(const char *name) {
    for (int p = 0; p < PROGRAMS; p++) {
        if (strcmp(whats[p].name, name) == 0) return p;
    }
    return -1;
}

struct program_now *program_now(enum program program) {
    return &programs[program];
}

void programs_prepare(void) {
    for (int p = 0; p < PROGRAMS; p++) programs[p].output = -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, to_logs) < 0) say("logs: %s", strerror(errno));
    confine_prepare();
}

/* The console's port: the configuration's, or what the kernel's word heraclius.console=ttyS1 names, if there is something: Linux has names for ports
 * that are not there, which open, and then fail. A console on the wrong port is better than none. init opens it before (`begins`), since the last one
 * to close it waits for what it did not take, and keeps others waiting; and when the console ended, by which its terminal is hung up. */
static void port_find(bool begins) {
    char line[4096], name[PLAN_PORT_BYTES];
    int lines;
    struct termios form;
    (void)text_form(name, sizeof name, "%s", port_asked);
    bool named = name[0] || (text_read("/proc/cmdline", line, sizeof line) > 0 && text_option(line, "heraclius.console", name, sizeof name));
    named = named && name[0] && !strpbrk(name, "/.") && text_form(port, sizeof port, "/dev/%s", name);
    int fd = named ? open(port, O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK) : -1;
    bool works = fd >= 0 && tcgetattr(fd, &form) == 0 && (ioctl(fd, TIOCMGET, &lines) == 0 || errno != EIO);
    if (fd >= 0 && !works) (void)close(fd);
    if (say_also(works ? fd : -1) && works && cfsetspeed(&form, B115200) == 0) (void)tcsetattr(fd, TCSANOW, &form);
    if (begins && named && !works) say("console: there is no port %s: it is on the kernel's", port);
    if (!works) (void)text_form(port, sizeof port, "/dev/console");
}

/* In the child, after fork: no heap, no return. */
static _Noreturn void child(enum program program, int output) {
    (void)setsid();
    int in = program == PROGRAM_CONSOLE ? open(port, O_RDWR) : program == PROGRAM_LOGS ? to_logs[1] : open("/dev/null", O_RDWR);
    int out = program == PROGRAM_CONSOLE ? in : output;
    if (in < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || dup2(in, 0) < 0) _exit(127);
    if (program == PROGRAM_CONSOLE) (void)tcflush(in, TCIFLUSH); /* what was typed while there was none is not for this one */
    confine_become(whats[program].name, whats[program].words, 2);
    _exit(errno == ENOENT ? SERVICE_EXIT_CONFIG : 127);
}

static bool spawn(enum program program) {
    int ends[2]; /* the last one's are closed: program_ended() */
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return false;
    if (program == PROGRAM_CONSOLE) port_find(true);
    pid_t pid = fork();
    if (pid == 0) child(program, ends[1]);
    (void)close(ends[1]);
    if (pid < 0) {
        (void)close(ends[0]);
        return false;
    }
    programs[program].pid = pid;
    programs[program].output = ends[0];
    return true;
}

void program_event(enum program program, enum service_event event, uint64_t now_ms) {
    struct program_now *running = &programs[program];
    enum service_state before = running->service.state;
    if (event == SERVICE_START && going_down_ms) return;
    if (event == SERVICE_STOP) running->again = false;
    enum service_action action = service_step(&running->service, event, now_ms);
    if (action == SERVICE_SPAWN) {
        bool spawned = spawn(program);
        if (!spawned) (void)text_form(running->last, sizeof running->last, "could not be started: %s", strerror(errno));
        (void)service_step(&running->service, spawned ? SERVICE_SPAWNED : SERVICE_LOST, now_ms); /* neither asks for anything */
    }
    bool kills = action == SERVICE_KILL;
    if ((kills || action == SERVICE_TERM) && running->pid > 0) (void)kill(-running->pid, kills ? SIGKILL : SIGTERM);
    if (running->service.state == before) return;
    if (running->service.state == SERVICE_FAILED) say("%s: %s; it is not tried again by itself", whats[program].name, running->last);
    if (running->service.state == SERVICE_BACKING_OFF) {
        say("%s: %s; again in %u ms", whats[program].name, running->last, running->service.pause_ms);
    }
}

void program_again(enum program program, uint64_t now_ms) {
    program_event(program, SERVICE_STOP, now_ms);
    programs[program].again = programs[program].pid != 0 && !going_down_ms;
    if (!programs[program].again) program_event(program, SERVICE_START, now_ms);
}

void program_console(const char *name, uint64_t now_ms) {
    if (strcmp(name, port_asked) == 0) return;
    (void)text_form(port_asked, sizeof port_asked, "%s", name);
    say("console: it goes to %s", name[0] ? name : "the image's port");
    (void)usleep(PROGRAM_SEEN_US);
    program_again(PROGRAM_CONSOLE, now_ms);
}

bool program_ended(pid_t pid, int wait_status, uint64_t now_ms) {
    for (int p = 0; p < PROGRAMS; p++) {
        struct program_now *running = &programs[p];
        if (running->pid != pid) continue;
        program_output((enum program)p);
        if (running->output >= 0) (void)close(running->output);
        running->output = -1;
        running->pid = 0;
        (void)kill(-pid, SIGKILL);
        confine_end(whats[p].name); /* whoever it left behind */
        if (p == PROGRAM_CONSOLE) port_find(false);
        bool killed = WIFSIGNALED(wait_status);
        (void)text_form(running->last, sizeof running->last, "ended %s %d", killed ? "by signal" : "with",
                        killed ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status));
        program_event((enum program)p, service_event_of(wait_status), now_ms);
        if (running->again) program_event((enum program)p, SERVICE_START, now_ms);
        running->again = false;
        return true;
    }
    return false;
}

uint64_t programs_timers(uint64_t now_ms, uint64_t next) {
    for (int p = 0; p < PROGRAMS; p++) {
        uint64_t due = programs[p].service.timer_ms;
        if (due && due <= now_ms) program_event((enum program)p, SERVICE_TIMER, now_ms);
        due = programs[p].service.timer_ms;
        if (due && due < next) next = due;
    }
    return next;
}

void programs_stop(uint64_t now_ms) {
    going_down_ms = now_ms;
    for (int p = 0; p < PROGRAMS; p++) {
        if (p != PROGRAM_LOGS) program_event((enum program)p, SERVICE_STOP, now_ms);
    }
}

bool programs_ended(uint64_t now_ms) {
    bool late = now_ms - going_down_ms >= PROGRAMS_END_MS, all = true;
    for (int p = 0; p < PROGRAMS; p++) {
        if (p == PROGRAM_LOGS && all && programs[p].service.state != SERVICE_STOPPING) { /* with the last lines of the others */
            programs_logs();
            program_event(PROGRAM_LOGS, SERVICE_STOP, now_ms);
        }
        all = all && !programs[p].pid;
        if (programs[p].pid && late) say("%s cannot be killed: going down without it", whats[p].name);
    }
    return all || late;
}

void programs_logs(void) {
    if (programs[PROGRAM_LOGS].service.state == SERVICE_DOWN) return;
    log_hand_on(say_log(), "init", to_logs[0]);
    for (int p = 0; p < PROGRAM_LOGS; p++) log_hand_on(&programs[p].log, whats[p].name, to_logs[0]); /* its own: that would never end */
}

void programs_poll(struct pollfd polls[PROGRAMS]) {
    for (int p = 0; p < PROGRAMS; p++) polls[p] = (struct pollfd){.fd = programs[p].output, .events = POLLIN};
}

void program_output(enum program program) {
    struct program_now *running = &programs[program];
    char bytes[4096];
    if (running->output < 0) return;
    for (unsigned round = 0; round < 16; round++) {
        ssize_t count = read(running->output, bytes, sizeof bytes);
        /* Closed, as the console's is from the start: poll() would come back at once, for ever. */
        if (count == 0 && close(running->output) == 0) running->output = -1;
        if (count <= 0) return;
        log_take(&running->log, bytes, (size_t)count);
    }
}
