/*
 * What this process can have of its machine: memory, and time on its CPUs. It is the machine's, or less where a control group (version 2) of this
 * process or one above it says so. What cannot be read sets no limit: in the appliance the files of control groups are out of sight, and the node's
 * has none of its own.
 */
#ifndef APPLIANCE_MEMORY_H
#define APPLIANCE_MEMORY_H

#include <stdint.h>

enum { MEMORY_PATH_BYTES = 4096 };

/* In bytes; 0: not known. root: before /proc and /sys, "" but in tests. */
uint64_t memory_limit(const char *root);
/* The quota of its control groups, in thousandths of a CPU; 0: none. */
uint64_t memory_cpu_thousandths(const char *root);

#endif
