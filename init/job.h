/*
 * A process that does one thing and ends, and may never keep init: it is waited for in the loop as long as it may take, then it is killed, and left
 * to itself if not even that ends it (a disk that does not answer keeps whoever asks it in the kernel).
 *
 * Either a program, confined like the others (confine.h), with a file to read on descriptor 3 and a device on 4; what is given by its path is opened
 * by the process itself, since a disk can take its time over that. Or work of init's own on a file system, as root: mounting, growing, keeping a
 * configuration. What it prints is what init goes by, at most JOB_ANSWER_BYTES.
 */
#ifndef INIT_JOB_H
#define INIT_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define JOB_NO_FILE "there is no such file"

enum { JOB_ANSWER_BYTES = 65536, JOB_MS = 30000, JOB_KILLED_MS = 1000 };

typedef const char *job_work(void *context); /* NULL: done; else why not */
struct job {
    const char *name;         /* whose rights it has; of work: what a line calls it that says that it does not end */
    const char *const *words; /* NULL-ended; the first is the program */
    int input;                /* a descriptor, -1: none */
    const char *device;       /* its path, NULL: none; opened with `flags` */
    int flags;
    unsigned limit_ms;
    job_work *work; /* NULL: a program */
    void *context;
    const char *file; /* instead of `input`: its path */
};

/* True: it ended with 0. `answer` has what it printed, \0-ended; on false a line that says why, its own if it gave one. */
bool job_do(const struct job *job, char answer[JOB_ANSWER_BYTES]) __attribute__((warn_unused_result));
/* The same, of a program without a device, within JOB_MS. */
bool job_run(const char *name, const char *const *words, int input, char answer[JOB_ANSWER_BYTES]) __attribute__((warn_unused_result));

/* One turn of init's loop: waits until something comes, at most until due_ms, and does what is to be done for programs, control socket and watchdog:
 * who takes his time over a job keeps nobody else. True: `also` (-1: none) can be read. */
bool loop_turn(uint64_t due_ms, int also);
/* What is waited for; NULL: nothing. A second job meanwhile fails at once, so what would want one is not done in the loop. */
const char *job_now(void);
/* A process ended. False: it is not the job. */
bool job_ended(pid_t pid, int wait_status);

#endif
