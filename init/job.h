/*
 * A program that does one thing and ends: heraclius-setup, which reads what init does not, and heraclius-slots. It runs confined like the others
 * (confine.h), with a file to read on descriptor 3, a device on 4, and what it prints is what init goes by: at most JOB_ANSWER_BYTES, within JOB_MS.
 */
#ifndef INIT_JOB_H
#define INIT_JOB_H

#include <stdbool.h>

enum { JOB_ANSWER_BYTES = 65536, JOB_MS = 30000 };

/* `name`: whose rights it has; `words`: NULL-ended; `input`, `device`: descriptor or -1. True: it ended with 0. `answer` has what it printed,
 * \0-ended; on false a line that says why, its own if it gave one. */
bool job_run(const char *name, const char *const *words, int input, int device, char answer[JOB_ANSWER_BYTES])
    __attribute__((warn_unused_result));

#endif
