/*
 * Whether a thread lacks CPU: how busy the CPUs are that it may run on (/proc/stat), and how long it waits for one when it has something to do
 * (/proc/thread-self/schedstat). Both have to be high: on a machine that others keep busy a thread that asks for little gets it at once, and
 * threads that all wake together wait for each other on a machine that has time. What runs at a lower priority than normal gives way, and counts as
 * idle; what the hypervisor took counts as busy. What cannot be read is not known.
 */
#ifndef APPLIANCE_LOAD_H
#define APPLIANCE_LOAD_H

#include <stdbool.h>
#include <stdint.h>

struct load {
    uint64_t busy, all;    /* of the look before, in the kernel's ticks; all 0: there was none */
    uint64_t ran, waited;  /* of it, in nanoseconds */
};

/* Of the calling thread since the look before, in thousandths: the least of what the CPUs were busy, and twice what the thread waited of the time in
 * which it had something to do. -1: not known, or the first look. root: before /proc, "" but in tests. */
int load_look(struct load *load, const char *root);

#endif
