/* The programs that init runs, and each as a process, its log, its state. Paths and words are in program.c's table, what each may do in confine.c. */
#ifndef INIT_PROGRAM_H
#define INIT_PROGRAM_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/log.h"
#include "init/service.h"

enum { PROGRAMS_END_MS = 3 * SERVICE_STOP_MS, PROGRAM_SEEN_US = 50000 }; /* SEEN: until a line has left a port that is hung up then */
enum program { PROGRAM_NODE, PROGRAM_ADMIN, PROGRAM_CONSOLE, PROGRAM_NET, PROGRAM_DHCP, PROGRAM_TRIAL, PROGRAM_LOGS, PROGRAMS };

struct program_now {
    struct service service;
    pid_t pid;  /* 0: not running */
    int output; /* -1: none */
    bool again; /* it is begun anew once it is down */
    char last[96]; /* how it ended last, "" */
    struct log log;
};

const char *program_name(enum program program);
/* -1: there is none of that name. */
int program_of(const char *name);

/* Cgroups, and what each program needs of folders. Once. */
void programs_prepare(void);

/* An event for one program; carries out what service_step() says. */
void program_event(enum program program, enum service_event event, uint64_t now_ms);
/* Ends it, and begins it anew when it is down. */
void program_again(enum program program, uint64_t now_ms);
struct program_now *program_now(enum program program);

/* The port of the machine that the console is to be on; "": the kernel's word's. If that is another it is begun anew there. */
void program_console(const char *name, uint64_t now_ms);

/* A process ended. False: it is none of ours. */
bool program_ended(pid_t pid, int wait_status, uint64_t now_ms);
/* Timers that are due; returns when the next one is, at most `next`. */
uint64_t programs_timers(uint64_t now_ms, uint64_t next);
/* The machine goes down: all but heraclius-logs end, and none is begun any more, whoever asks. */
void programs_stop(uint64_t now_ms);
/* They have, heraclius-logs after the others; or PROGRAMS_END_MS are over: one that hangs in the kernel, for a disk or driver, keeps no machine from
 * coming up again. Who goes on from there may hang as well, and no longer feeds the watchdog. */
bool programs_ended(uint64_t now_ms);

/* What is new in all logs goes to heraclius-logs, once that was begun. */
void programs_logs(void);

/* Their outputs: one pollfd each (fd -1: none), and reading what came. */
void programs_poll(struct pollfd polls[PROGRAMS]);
void program_output(enum program program);

#endif
