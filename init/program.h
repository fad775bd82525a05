/*
 * The programs that init runs, and each as a process: its user, what it may do, its log, its state.
 *
 * The table in program.c says for each its path, words, user, memory limit and rights; it is the whole of who may do what on this machine.
 */
#ifndef INIT_PROGRAM_H
#define INIT_PROGRAM_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "init/service.h"

enum program { PROGRAM_NODE, PROGRAM_ADMIN, PROGRAM_CONSOLE, PROGRAM_DHCP, PROGRAMS };

enum { PROGRAM_LOG_BYTES = 65536 };

const char *program_name(enum program program);
/* -1: there is none of that name. */
int program_of(const char *name);

/* Cgroups, and what each program needs of folders. Once. */
void programs_prepare(void);

/* An event for one program; carries out what service_step() says. */
void program_event(enum program program, enum service_event event, uint64_t now_ms);
/* Ends it, and begins it anew when it is down. */
void program_again(enum program program, uint64_t now_ms);
const struct service *program_service(enum program program);
pid_t program_pid(enum program program); /* 0: not running */
const char *program_last(enum program program); /* how it ended last, "" */

/* A process ended. False: it is none of ours. */
bool program_ended(pid_t pid, int wait_status, uint64_t now_ms);
/* Timers that are due; returns when the next one is (UINT64_MAX: none). */
uint64_t programs_timers(uint64_t now_ms);
bool programs_all_down(void);

/* Their outputs: one pollfd each (fd -1: none), and reading what came. */
void programs_poll(struct pollfd polls[PROGRAMS]);
void program_output(enum program program);
/* The newest lines of its log; returns the count of bytes. */
unsigned long program_log(enum program program, char *out, unsigned long size);

#endif
