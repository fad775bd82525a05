/*
 * What init says: a line to the console and into its own log, and what each stage came to.
 *
 * A line on the console begins "heraclius: ", and is shown on the port of heraclius-console as well, if that is another. It waits for SAY_TRIES times
 * SAY_PAUSE_US at most, for either: a serial line that nobody reads loses lines, the log keeps them.
 */
#ifndef INIT_SAY_H
#define INIT_SAY_H

#include <stdbool.h>

/* The order is that of the work; names and texts are what `status` shows. */
enum stage { STAGE_MOUNTS, STAGE_MODULES, STAGE_ENTROPY, STAGE_WATCHDOG, STAGE_CLOCK, STAGE_DISK, STAGE_CONFIG, STAGE_NETWORK,
             STAGE_SERVICES, STAGES };
enum { SAY_TRIES = 5, SAY_PAUSE_US = 2000, SAY_LINE_BYTES = 480 }; /* a reason of heraclius-setup, and what is said before it */

enum stage_state { STAGE_WAITING, STAGE_RUNNING, STAGE_GOOD, STAGE_CANNOT, STAGE_STATES };
struct log;
extern const char *const stage_names[STAGES], *const stage_state_names[STAGE_STATES];
/* Opens /dev/console; before that nothing is shown. Called once after devtmpfs is there. */
void say_start(void);
/* Another terminal to say it on: a descriptor that never waits, kept in the last one's place; -1: none. False, and closed: it is the first one. */
bool say_also(int fd);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A stage's outcome; the text says why, and what to do if it is CANNOT. It is shown when it is new. */
void stage_set(enum stage stage, enum stage_state state, const char *format, ...) __attribute__((format(printf, 3, 4)));
enum stage_state stage_state(enum stage stage);
const char *stage_text(enum stage stage);
/* The first stage that cannot go on, else the one that is running, else SERVICES. */
enum stage stage_now(void);
/* The lines said so far. */
struct log *say_log(void);

#endif
