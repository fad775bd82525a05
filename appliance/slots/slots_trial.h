/*
 * The trial of an image that was started for the first time (spec/appliance.md A-37): it is blessed once its node has voted in a decision since it
 * started, and given up when it has not within TRIAL_MS. The decision is pure: what is seen of the node, and the time, go in.
 *
 * The time runs while the fault may be this image's: the node does not answer, or is not ready though enough others are reached, or nobody at all is
 * reached (a network that this image cannot use looks the same). It stands while some members are reached but too few for a quorum: no image could
 * vote then. It does not matter how long that takes; the machine says that it waits.
 */
#ifndef APPLIANCE_SLOTS_TRIAL_H
#define APPLIANCE_SLOTS_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

enum { TRIAL_MS = 300000, TRIAL_LOOK_MS = 2000, TRIAL_STEP_MS_MAX = 10000 };

enum trial_verdict { TRIAL_RUNS, TRIAL_WAITS, TRIAL_BLESS, TRIAL_FAIL };

struct trial_seen {
    bool answered, voted;
    uint32_t members, faults, up; /* up: other members that are reached */
};

struct trial {
    uint64_t seen_ms;    /* of the last look; 0: none yet */
    uint64_t counted_ms; /* how much of TRIAL_MS is used up */
};

/* `now_ms` is since the machine was started, so that what went before the first look counts. */
enum trial_verdict trial_step(struct trial *trial, const struct trial_seen *seen, uint64_t now_ms);

/* A node's answer to `status`, as text. False: none that can be used. */
bool trial_seen_read(struct trial_seen *seen, const char *text, uint64_t count);

/* The process: looks until init has done what it asks for, which ends it. `root` is put before the paths of the two sockets. */
int trial_run(const char *root);

#endif
