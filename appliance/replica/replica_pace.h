/* How long the leader waits from one proposal to the next when its CPUs have nothing to spare: replica_pace.c says why. */
#ifndef APPLIANCE_REPLICA_PACE_H
#define APPLIANCE_REPLICA_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct replica;

struct pace {
    uint64_t hold_us;   /* from proposal to proposal, at least */
    uint64_t commit_us; /* what a decision takes, smoothed */
    uint64_t proposals; /* of the status, at the look before */
    uint64_t ops;       /* of those made since, by weight */
    uint32_t load;      /* thousandths, smoothed */
    bool holds;         /* something was not proposed, since the hold is not over */
};

void pace_committed(struct replica *r, uint64_t took_us); /* a block, from seen or proposed to published */
bool pace_holds(struct replica *r);                       /* no proposal yet, if one is made for input alone */
uint64_t pace_deadline_ms(const struct replica *r);       /* when that ends; UINT64_MAX: nothing is held */

#endif
