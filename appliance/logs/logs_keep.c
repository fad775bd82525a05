/* The loop of "keep". */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "appliance/logs/logs.h"
#include "ring/clock.h"

static volatile sig_atomic_t ends;

static void asked(int number) {
    ends = number;
}

/* Each fault once, until it is gone. */
static void told(const char *fault) {
    static char last[128];
    if (fault && strcmp(fault, last) != 0) {
        (void)printf("lines are lost: %s\n", fault);
        (void)fflush(stdout);
    }
    (void)snprintf(last, sizeof last, "%s", fault ? fault : "");
}

/* TERM comes where it is waited for, and nowhere else. */
static void signals(sigset_t *open) {
    struct sigaction action = {.sa_handler = asked};
    sigset_t term;
    (void)sigemptyset(&term);
    (void)sigaddset(&term, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &term, open);
    (void)sigdelset(open, SIGTERM);
    (void)sigaction(SIGTERM, &action, NULL);
}

int logs_keep(const char *root, int from) {
    static char packet[LOGS_RECORD_BYTES];
    static struct logs logs;
    sigset_t open;
    uint64_t since_ms = 0; /* what came then is not durable; 0: all is */
    (void)snprintf(logs.folder, sizeof logs.folder, "%s/data/log", root);
    signals(&open);
    for (;;) {
        struct pollfd one = {.fd = from, .events = POLLIN};
        uint64_t now_ms = ring_clock_ms(), left_ms = !ends && since_ms + LOGS_SYNC_MS > now_ms ? since_ms + LOGS_SYNC_MS - now_ms : 0;
        struct timespec left = {(time_t)(left_ms / 1000), (long)(left_ms % 1000) * 1000000};
        int ready = ppoll(&one, 1, since_ms || ends ? &left : NULL, &open);
        if (ready < 0 && errno != EINTR) return 1;
        ssize_t count = ready > 0 ? read(from, packet, sizeof packet) : 0;
        if (count > 0) told(logs_take(&logs, packet, (size_t)count));
        if (count > 0 && !since_ms) since_ms = ring_clock_ms();
        bool over = ready > 0 ? count == 0 : ready == 0 && ends, due = since_ms && ring_clock_ms() - since_ms >= LOGS_SYNC_MS;
        if (over || due) {
            const char *fault = logs_sync(&logs);
            if (fault) told(fault);
            since_ms = 0;
        }
        if (over) return 0;
    }
}
