/* The file systems that come before everything else, and their end. */
#ifndef INIT_MOUNTS_H
#define INIT_MOUNTS_H

#include <stdbool.h>

/* proc, sysfs, devtmpfs, devpts, /run, cgroup2: without these nothing goes on (false). */
bool mounts_early(void);
/* pstore and efivarfs, which need modules; missing ones are no fault. Then the root becomes read-only. */
void mounts_late(void);
/* Unmounts /data, or makes it read-only when something still uses it. False: neither. */
bool mounts_end(void);

#endif
