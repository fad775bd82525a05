/*
 * A process that does one thing and ends, and may never keep init: with the watchdog fed it is waited for as long as it may take, then it is killed,
 * and left to itself if not even that ends it (a disk that does not answer keeps whoever asks it in the kernel).
 *
 * Either a program, confined like the others (confine.h), with a file to read on descriptor 3 and a device on 4; the device is opened by the process
 * itself, since a device can take its time over that, too. Or work of init's own on a file system, as root: mounting, growing. What it prints is what
 * init goes by, at most JOB_ANSWER_BYTES.
 */
#ifndef INIT_JOB_H
#define INIT_JOB_H

#include <stdbool.h>

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
};

/* True: it ended with 0. `answer` has what it printed, \0-ended; on false a line that says why, its own if it gave one. */
bool job_do(const struct job *job, char answer[JOB_ANSWER_BYTES]) __attribute__((warn_unused_result));
/* The same, of a program without a device, within JOB_MS. */
bool job_run(const char *name, const char *const *words, int input, char answer[JOB_ANSWER_BYTES]) __attribute__((warn_unused_result));

#endif
