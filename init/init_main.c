/*
 * PID 1 of the appliance. Stages in order (say.h), then one loop that waits for everything: children, timers, their outputs, the control socket.
 *
 * A stage that cannot be done is said and the machine goes on without it as far as it can; the console always comes up. Nothing here takes memory
 * from a heap, and nothing here reads what comes from the network.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/config.h"
#include "init/control.h"
#include "init/disk.h"
#include "init/job.h"
#include "init/log.h"
#include "init/machine.h"
#include "init/modules.h"
#include "init/mounts.h"
#include "init/net.h"
#include "init/program.h"
#include "init/say.h"
#include "init/slots.h"

enum { FEED_MS = 5000, LATE_MS = 5000 };

static int signals_open(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    static const int all[] = {SIGCHLD, SIGINT /* ctrl-alt-del */, SIGTERM, SIGPWR};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) (void)sigaddset(&set, all[i]);
    (void)sigprocmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static enum control_wish signals_take(int fd, uint64_t now_ms) {
    struct signalfd_siginfo info;
    enum control_wish ending = CONTROL_NOTHING;
    while (read(fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM) ending = CONTROL_REBOOT;
        if (info.ssi_signo == SIGPWR) ending = CONTROL_HALT;
    }
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) (void)program_ended(pid, status, now_ms);
    return ending;
}

/* What a configuration in force asks for is begun, beside the node (config_files()). */
static void programs_begin(uint64_t now_ms) {
    if (!config_plan()) return;
    program_again(PROGRAM_NET, now_ms);
    program_event(PROGRAM_ADMIN, SERVICE_START, now_ms);
}

/* Folders on the data disk are there. */
static void logs_begin(uint64_t now_ms) {
    static char answer[JOB_ANSWER_BYTES];
    const char *words[PROGRAMS + 4] = {"/bin/heraclius-logs", "begin", "init"};
    for (int p = 0; p < PROGRAM_LOGS; p++) words[3 + p] = program_name((enum program)p);
    if (chown("/sys/fs/pstore", LOG_USER, LOG_USER) < 0 && errno != ENOENT) say("logs: the records of crashes: %s", strerror(errno));
    if (!job_run("logs", words, -1, answer) || answer[0]) say("logs: %s", answer);
    program_event(PROGRAM_LOGS, SERVICE_START, now_ms);
}

static void slots_begin(uint64_t now_ms) {
    static char answer[JOB_ANSWER_BYTES];
    if (!slots_do("status", -1, answer)) say("slots: %s", answer);
    if (strstr(slots_text(), "slot_state=trial\n")) program_event(PROGRAM_TRIAL, SERVICE_START, now_ms);
}

/* What came after the start: a stick, a disk behind a controller that takes its time. */
static void late(uint64_t now_ms) {
    static uint64_t due_ms;
    if (now_ms < due_ms) return;
    due_ms = now_ms + LATE_MS;
    modules_again();
    unsigned came = disk_again();
    if (came & DISK_CAME_DATA) {
        logs_begin(machine_now_ms());
        config_start();
    }
    if ((came & DISK_CAME_DATA) || ((came & DISK_CAME) && config_again())) programs_begin(machine_now_ms());
    if ((came & DISK_CAME) && !slots_text()[0]) slots_begin(machine_now_ms());
}

static void run(void) {
    struct pollfd polls[1 + PROGRAMS + CONTROL_POLLS];
    enum control_wish ending = CONTROL_NOTHING; /* how the machine goes down */
    uint64_t feed_ms = 0;
    polls[0] = (struct pollfd){.fd = signals_open(), .events = POLLIN};
    control_start();
    program_event(PROGRAM_CONSOLE, SERVICE_START, machine_now_ms());
    program_event(PROGRAM_NET, SERVICE_START, machine_now_ms());
    config_start();
    programs_begin(machine_now_ms());
    slots_begin(machine_now_ms());
    for (;;) {
        uint64_t now_ms = machine_now_ms();
        if (now_ms >= feed_ms) {
            machine_feed();
            feed_ms = now_ms + FEED_MS;
        }
        uint64_t due_ms = programs_timers(now_ms), retry_ms = ending ? UINT64_MAX : config_retry(now_ms);
        if (retry_ms < due_ms) due_ms = retry_ms;
        if (feed_ms < due_ms) due_ms = feed_ms;
        if (ending && programs_ended(now_ms)) machine_end(ending == CONTROL_REBOOT);
        programs_poll(polls + 1);
        control_polls(polls + 1 + PROGRAMS);
        if (poll(polls, sizeof polls / sizeof *polls, (int)(due_ms - now_ms)) < 0) continue;
        now_ms = machine_now_ms();
        enum control_wish asked = polls[0].revents ? signals_take(polls[0].fd, now_ms) : CONTROL_NOTHING;
        for (int p = 0; p < PROGRAMS; p++) {
            if (polls[1 + p].revents) program_output((enum program)p);
        }
        if (polls[1 + PROGRAM_NET].revents) net_look(!ending, now_ms);
        enum control_wish wish = control_ready(polls + 1 + PROGRAMS, now_ms);
        if (wish == CONTROL_BEGIN && !ending) programs_begin(machine_now_ms());
        if (wish > CONTROL_BEGIN) asked = wish;
        programs_logs();
        if (!ending) late(now_ms);
        if (asked && !ending) {
            say(asked == CONTROL_REBOOT ? "going down, to come up again" : "going down");
            ending = asked;
            programs_stop(now_ms);
        }
    }
}

int main(void) {
    if (getpid() != 1) {
        (void)fprintf(stderr, "init: this is the first process of the Heraclius appliance; it does nothing elsewhere\n");
        return 1;
    }
    (void)umask(022);
    (void)reboot(RB_DISABLE_CAD); /* ctrl-alt-del becomes a signal */
    bool mounted = mounts_early();
    say_start();
    say("Heraclius appliance");
    programs_prepare();
    if (mounted) {
        modules_load("/etc/heraclius/modules", "/sys/bus");
        machine_entropy();
        machine_watchdog();
        machine_clock();
        disk_start();
        mounts_late();
    }
    if (stage_state(STAGE_DISK) == STAGE_GOOD) logs_begin(machine_now_ms());
    run();
}
