/*
 * What a node watches of its own host and tells its operator once: a calendar that is not the cluster's time, a write-ahead store that fills up.
 * Pure: figures are handed in several times a second (node_status.c), a verdict comes out when there is something new to say.
 */
#ifndef APPLIANCE_WATCH_H
#define APPLIANCE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "appliance/status/status.h"

enum {
    WATCH_CLOCK_MS = 1000,       /* a calendar so far off is told; that much a header may be ahead (B-24) */
    WATCH_CLOCK_LASTS_MS = 5000, /* when it has been so for so long */
    WATCH_ASKING_MS = 10000      /* LAST-SIGNED is unanswered for so long: told */
};

enum watch_verdict { WATCH_QUIET, WATCH_DIFFERS, WATCH_AGREES };

struct watch_clock {
    int64_t difference_ms; /* this machine's calendar less the cluster's time; 0 as long as nothing is known */
    int64_t told_ms;       /* what was told of it; 0: it agrees */
    uint64_t since_ms;     /* when it began to be far from what was told; 0: it is not */
    uint64_t differs;      /* how often WATCH_DIFFERS came */
};

/*
 * The cluster's time is what the other members state in STATUS: the median, so that f of them with wrong clocks do not matter. They state it when
 * idle too, when the newest header's time stands still. What was heard longer ago than fresh_ms does not count; nothing is judged while fewer than
 * half of the others are heard. wall_ms is this machine's calendar at now_ms, which is on the clock of status->peers[].status_ms. WATCH_DIFFERS
 * comes again only when the difference has changed by more than half of what was told; WATCH_AGREES when it is over.
 */
enum watch_verdict watch_clock(struct watch_clock *watch, const struct status_replica *status, uint64_t now_ms, uint64_t wall_ms,
                               uint64_t fresh_ms);

/* Half, three quarters and 90 % of the map: the highest that was passed for the first time, in percent; 0: nothing new. `told` begins with 0. */
unsigned watch_wal(unsigned *told, uint64_t bytes, uint64_t map_bytes);

/* Whether this store has room to keep blocks for whoever takes a checkpoint (P-60), by what is in use: not from three quarters of the map on. */
bool watch_wal_holds(uint64_t used_bytes, uint64_t map_bytes);

/* True once: the node has waited WATCH_ASKING_MS for the answers without which it may not vote (P-10). `since_ms` begins with 0; UINT64_MAX: told. */
bool watch_asking(uint64_t *since_ms, enum status_phase phase, uint64_t now_ms);

/* The member without whose blocks this node would prune more, up to its newest checkpoint instead of the one before (P-60): the lowest below the
 * checkpoint; status->members: nobody. */
uint32_t watch_prune_holder(const struct status_replica *status);

#endif
