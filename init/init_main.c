/*
 * PID 1 of the appliance. Stages in order (say.h), then one loop that waits for everything: children, timers, their outputs, the control socket.
 *
 * A stage that cannot be done is said and the machine goes on without it as far as it can; the console always comes up. Nothing here takes memory
 * from a heap, and nothing here reads what comes from the network.
 */
#include <errno.h>
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
#include "init/log.h"
#include "init/machine.h"
#include "init/modules.h"
#include "init/net.h"
#include "init/program.h"
#include "init/say.h"
#include "init/slots.h"

enum { FEED_MS = 5000, LATE_MS = 5000 };

static struct {
    int signals;
    enum control_wish wish, ending; /* the newest; how the machine goes down */
} self;

static int signals_open(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    static const int all[] = {SIGCHLD, SIGINT /* ctrl-alt-del */, SIGTERM, SIGPWR};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) (void)sigaddset(&set, all[i]);
    (void)sigprocmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void signals_take(uint64_t now_ms) {
    struct signalfd_siginfo info;
    while (read(self.signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGCHLD) self.wish = info.ssi_signo == SIGPWR ? CONTROL_HALT : CONTROL_REBOOT;
    }
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        if (!job_ended(pid, status)) (void)program_ended(pid, status, now_ms);
    }
}

/* What a configuration in force asks for is begun, beside the node (config_files()). */
static void programs_begin(uint64_t now_ms) {
    if (!config_plan()) return;
    program_again(PROGRAM_NET, now_ms);
    program_event(PROGRAM_ADMIN, SERVICE_START, now_ms);
    program_console(config_plan()->console, now_ms);
}

/* The data disk is there. */
static void data_begin(void) {
    static char answer[JOB_ANSWER_BYTES];
    const char *words[PROGRAMS + 4] = {"/bin/heraclius-logs", "begin", "init"};
    for (int p = 0; p < PROGRAM_LOGS; p++) words[3 + p] = program_name((enum program)p);
    if (chown("/sys/fs/pstore", LOG_USER, LOG_USER) < 0 && errno != ENOENT) say("logs: the records of crashes: %s", strerror(errno));
    if (!job_run("logs", words, -1, answer) || answer[0]) say("logs: %s", answer);
    program_event(PROGRAM_LOGS, SERVICE_START, machine_now_ms());
}

static void slots_begin(uint64_t now_ms) {
    if (slots_look(now_ms) && strstr(slots_text(), "slot_state=trial\n")) program_event(PROGRAM_TRIAL, SERVICE_START, machine_now_ms());
}

/* What came after the start: a stick, a disk behind a controller that takes its time. */
static void late(uint64_t now_ms) {
    static uint64_t due_ms;
    if (now_ms < due_ms) return;
    due_ms = now_ms + LATE_MS;
    modules_again();
    unsigned came = disk_again();
    if (came & DISK_CAME_DATA) {
        data_begin();
        config_start();
    }
    if ((came & DISK_CAME_DATA) || ((came & DISK_CAME) && config_again())) programs_begin(machine_now_ms());
    slots_begin(machine_now_ms());
}

bool loop_turn(uint64_t due_ms, int also) {
    struct pollfd polls[2 + PROGRAMS + CONTROL_POLLS] = {{also, POLLIN, 0}, {self.signals, POLLIN, 0}}, *outputs = polls + 2;
    uint64_t now_ms = machine_now_ms();
    machine_feed();
    due_ms = programs_timers(now_ms, due_ms < now_ms + FEED_MS ? due_ms : now_ms + FEED_MS);
    if (self.ending && programs_ended(now_ms)) machine_end(self.ending == CONTROL_REBOOT);
    programs_poll(outputs);
    control_polls(outputs + PROGRAMS);
    if (poll(polls, sizeof polls / sizeof *polls, due_ms > now_ms ? (int)(due_ms - now_ms) : 0) < 0) return false;
    now_ms = machine_now_ms();
    if (polls[1].revents) signals_take(now_ms);
    for (int p = 0; p < PROGRAMS; p++) {
        if (outputs[p].revents) program_output((enum program)p);
    }
    if (outputs[PROGRAM_NET].revents) net_look(!self.ending, now_ms);
    enum control_wish wish = control_ready(outputs + PROGRAMS, now_ms);
    if (wish > self.wish) self.wish = wish;
    programs_logs();
    if (self.wish > CONTROL_BEGIN && !self.ending) {
        say(self.wish == CONTROL_REBOOT ? "going down, to come up again" : "going down");
        self.ending = self.wish;
        programs_stop(now_ms);
    }
    return polls[0].revents != 0;
}

int main(void) {
    if (getpid() != 1) {
        (void)fprintf(stderr, "init: this is the first process of the Heraclius appliance; it does nothing elsewhere\n");
        return 1;
    }
    (void)umask(022);
    (void)reboot(RB_DISABLE_CAD); /* ctrl-alt-del becomes a signal */
    bool mounted = machine_mounts();
    say_start();
    say("Heraclius appliance");
    programs_prepare();
    self.signals = signals_open();
    if (mounted) {
        modules_load("/etc/heraclius/modules", "/sys/bus");
        machine_entropy();
        machine_watchdog();
        machine_clock();
        machine_mounts_late();
    }
    control_start();
    program_event(PROGRAM_CONSOLE, SERVICE_START, machine_now_ms()); /* there is one whatever the disk does */
    if (mounted) disk_start();
    if (stage_state(STAGE_DISK) == STAGE_GOOD) data_begin();
    program_event(PROGRAM_NET, SERVICE_START, machine_now_ms());
    config_start();
    programs_begin(machine_now_ms());
    slots_begin(machine_now_ms());
    for (;;) {
        (void)loop_turn(self.ending ? UINT64_MAX : config_retry(machine_now_ms()), -1);
        if (self.ending) continue;
        if (self.wish == CONTROL_BEGIN) programs_begin(machine_now_ms());
        self.wish = CONTROL_NOTHING;
        late(machine_now_ms());
    }
}
