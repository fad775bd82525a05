/*
 * A node that hangs (spec A-25): it runs, and answers nothing. init starts again what ends; one that neither ends nor answers is found here, by who
 * asks it all the time anyway, and init is asked to restart it.
 *
 * Counted are looks, not time: after a pause of the whole machine the clock has gone on, and nobody was asked. Silence counts from the first look at
 * the process, so one that was begun a moment ago has the whole time. Pure.
 */
#ifndef APPLIANCE_ADMIN_HANG_H
#define APPLIANCE_ADMIN_HANG_H

#include <stdbool.h>
#include <stdint.h>

/* A look each ADMIN_SAMPLE_MS: silent for a minute; restarted for it at most once in ten. */
enum { ADMIN_HANG_LOOKS = 12, ADMIN_HANG_REST = 120 };

struct admin_hang {
    uint64_t pid;         /* of the process that is looked at; 0: none runs */
    uint32_t looks, rest; /* without an answer on end; until it may be restarted again */
    uint64_t hangs;       /* for which it was restarted so far: counted by who has that done */
};

/* What init says ("status") of the node's process; 0: it does not run, or nothing is said. */
uint64_t admin_hang_pid(const char *said);
/* One look. True: the node is to be restarted now. */
bool admin_hang_look(struct admin_hang *hang, uint64_t pid, bool answered);

#endif
