/*
 * How busy the CPUs are that the calling thread may run on, from /proc/stat: whoever has none to spare gathers more into a decision. What runs at a
 * lower priority than normal gives way, and counts as idle; what the hypervisor took counts as busy. What cannot be read is not known.
 */
#ifndef APPLIANCE_LOAD_H
#define APPLIANCE_LOAD_H

#include <stdbool.h>
#include <stdint.h>

struct load {
    uint64_t busy, all; /* of the look before, in the kernel's ticks; all 0: there was none */
};

/* Thousandths of their time for which they were busy since the look before; -1: not known, or the first look. root: before /proc, "" but in tests. */
int load_look(struct load *load, const char *root);

#endif
