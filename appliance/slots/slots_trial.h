/*
 * The trial of an image that was started for the first time (spec/appliance.md A-37): it is blessed once its node has voted in a decision since it
 * started, and given up when it has not within TRIAL_MS. The decision is pure: what is seen of the node, and the time, go in.
 *
 * The time runs while the fault may be this image's: the node does not answer, or is not ready though enough others are reached, or nobody at all
 * is reached (a network that this image cannot use looks the same). It stands while some members are reached but too few for a quorum: no image
 * could vote then. It does not matter how long that takes; the machine says that it waits.
 *
 * A node that has no vote (retired, observing, ...) can never show one. Its image is blessed if it comes as far as the image did that it is to
 * follow, and stays there for TRIAL_PROOF_MS: slots_was.h says what that one wrote down. What it says of itself alone is not enough, since an image
 * that wrongly thinks that its node has no vote is a bad one.
 */
#ifndef APPLIANCE_SLOTS_TRIAL_H
#define APPLIANCE_SLOTS_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "appliance/slots/slots_was.h"

enum { TRIAL_MS = 300000, TRIAL_PROOF_MS = 60000, TRIAL_LOOK_MS = 2000, TRIAL_STEP_MS_MAX = 10000, TRIAL_AHEAD_MAX = 64 };

enum trial_verdict { TRIAL_RUNS, TRIAL_WAITS, TRIAL_PROVES, TRIAL_BLESS, TRIAL_FAIL };

struct trial_seen {
    bool answered, voted;
    uint32_t members, faults, up, ahead; /* up: other members that are reached; ahead: of them, those far above this node's height */
    uint64_t height;
    char phase[SLOTS_PHASE_BYTES];
    /* By init: no configuration is in force, and what a machine without one is for works, its data disk and its console. */
    bool unconfigured;
};

struct trial {
    uint64_t seen_ms;    /* of the last look; 0: none yet */
    uint64_t counted_ms; /* how much of TRIAL_MS is used up */
    uint64_t proven_ms;  /* how long on end it has been as far as the one before */
};

/* `now_ms` is since the machine was started, so that what went before the first look counts. `was`: of the image before; all zero: not known. */
enum trial_verdict trial_step(struct trial *trial, const struct slots_was *was, const struct trial_seen *seen, uint64_t now_ms);

/* A node's answer to `status`, as text. False: none that can be used. */
bool trial_seen_read(struct trial_seen *seen, const char *text, uint64_t count);
/* init's answer to `status`: sets seen->unconfigured, and *was. */
void trial_machine_read(struct trial_seen *seen, struct slots_was *was, const char *text);

/* What the trial says in its log, a line; the admin console and the serial console read it there. */
struct trial_told {
    char waits_for[16]; /* vote, quorum, members, node, proof; unknown */
    char text[160];
    uint64_t counted_ms, limit_ms;
};
void trial_told_make(struct trial_told *told, enum trial_verdict verdict, const struct trial *trial, const struct trial_seen *seen,
                     const char *fault);
/* The line, without its end. */
void trial_told_print(const struct trial_told *told, char out[256]);
/* The newest such line of a log; without one *told stays. */
void trial_told_read(struct trial_told *told, const char *log);

/* The process: looks until init has done what it asks for, which ends it. `root` is put before the paths of the two sockets. */
int trial_run(const char *root);

#endif
