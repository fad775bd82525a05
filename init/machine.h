/* The machine around the node: entropy, calendar, watchdog, and how it ends. */
#ifndef INIT_MACHINE_H
#define INIT_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

enum { MACHINE_WATCHDOG_S = 30, MACHINE_ENTROPY_MS = 20000, MACHINE_IMAGE_YEARS = 10 };

/* Waits until the kernel's random numbers are seeded, at most so long. False: they are not; keys must not be made. */
bool machine_entropy(void);
/* A calendar before the image was made is wrong: it is set to that time, and said. */
void machine_clock(void);
/* The first watchdog; fed by machine_feed(), which the event loop calls, and whoever waits for a job. */
void machine_watchdog(void);
void machine_feed(void);
uint64_t machine_now_ms(void); /* since boot */
_Noreturn void machine_end(bool reboot);

#endif
