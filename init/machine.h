/* The machine around the node: its file systems, entropy, calendar, watchdog, and how it ends. */
#ifndef INIT_MACHINE_H
#define INIT_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum { MACHINE_WATCHDOG_S = 30, MACHINE_ENTROPY_MS = 20000, MACHINE_IMAGE_YEARS = 10 };

/* proc, sysfs, devtmpfs, devpts, /run, cgroup2: without these nothing goes on (false). */
bool machine_mounts(void);
/* pstore and efivarfs, which need modules; missing ones are no fault. Then the root becomes read-only. */
void machine_mounts_late(void);
/* Waits until the kernel's random numbers are seeded, at most so long; STAGE_ENTROPY says whether keys may be made. */
void machine_entropy(void);
/* A calendar before the image was made is wrong: it is set to that time, and said. */
void machine_clock(void);
/* What the kernel does when it has lost its way. The first watchdog; fed by machine_feed(), which the event loop and whoever waits for a job call. */
void machine_watchdog(void);
void machine_feed(void);
uint64_t machine_now_ms(void); /* since boot */
/* /data is unmounted, or made read-only when something still uses it. */
_Noreturn void machine_end(bool reboot);

#endif
