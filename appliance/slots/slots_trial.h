/*
 * The trial of an image that was started for the first time (spec/appliance.md A-37): it is blessed once its node has voted in a decision since it
 * started, and given up when it has not within TRIAL_MS. The decision is pure: what is seen of the node, and the time, go in.
 *
 * The time runs while the fault may be this image's: the node does not answer, or does not vote though enough others do, or nobody at all is reached
 * (a network that this image cannot use looks the same). It stands while some members are reached, but of those too few vote for a quorum, by their
 * own signed word: no image could vote then. It does not matter how long that takes; the machine says that it waits. A link alone says
 * nothing: whoever is retired, or does not know yet what it signed last, has one. Of whom it is not known whether it votes it is taken that it does,
 * since an image that hears nobody would wait for ever. And it runs at each look by which more has become final here: certificates show that a
 * quorum votes, whatever the image that is judged, which may reach too few or misread them, says of the others.
 *
 * A node with much data needs long before it may vote: while it opens its data or catches up, and its `progress` grows, the time begins anew with
 * each look at which it is more than it ever was in this trial. So a process that ends and begins again gains nothing by what it did before; and in
 * all that lasts no longer than TRIAL_WORK_MS.
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
enum { TRIAL_LINE_BYTES = 320 };
enum { TRIAL_WORK_MS = 4 * 3600 * 1000 }; /* 0.8 million keys are opened in a second: far beyond the largest machine */

enum trial_verdict { TRIAL_RUNS, TRIAL_WAITS, TRIAL_WORKS, TRIAL_PROVES, TRIAL_BLESS, TRIAL_FAIL };

struct trial_seen {
    bool answered, voted;
    uint32_t members, faults, up, mute, ahead; /* up: other members that are reached; of them, mute: do not vote; ahead: far above this height */
    uint64_t height, progress;
    char phase[SLOTS_PHASE_BYTES];
    /* By init: no configuration is in force, and what a machine without one is for works, its data disk and its console. */
    bool unconfigured;
};

struct trial {
    uint64_t number;     /* of the image that is on trial; 0: not known */
    uint64_t seen_ms;    /* of the last look; 0: none yet */
    uint64_t counted_ms; /* how much of TRIAL_MS is used up */
    uint64_t proven_ms;  /* how long on end it has been as far as the one before, since the first look that said so */
    bool proves;         /* the last look said so */
    uint64_t progress;   /* the most that was seen */
    uint64_t all_ms;     /* as counted_ms, however often that began anew */
    uint64_t height;     /* the highest that was final here */
};

/* `now_ms` is since the machine was started, so that what went before the first look counts. `was`: of the image before; all zero: not known. */
enum trial_verdict trial_step(struct trial *trial, const struct slots_was *was, const struct trial_seen *seen, uint64_t now_ms);

/* A node's answer to `status`, as text. False: none that can be used. */
bool trial_seen_read(struct trial_seen *seen, const char *text, uint64_t count);
/* init's answer to `status`: sets seen->unconfigured, and *was. */
void trial_machine_read(struct trial_seen *seen, struct slots_was *was, const char *text);

/* What the trial says in its log, a line with the image's number; the admin console and the serial console read it there, also after the image was
 * given up and the other one runs ("log trial before" of init). The last line of one that was given up says what it lacked. */
struct trial_told {
    uint64_t number;
    char waits_for[16]; /* vote, quorum, members, node, work, proof; unknown */
    char text[160];
    uint64_t counted_ms, limit_ms;
};
void trial_told_make(struct trial_told *told, enum trial_verdict verdict, const struct trial *trial, const struct trial_seen *seen,
                     const char *fault);
/* The line, without its end. */
void trial_told_print(const struct trial_told *told, char out[TRIAL_LINE_BYTES]);
/* The newest such line of a log, of that image if `number` is not 0; without one *told stays. */
void trial_told_read(struct trial_told *told, const char *log, uint64_t number);

/* The process: looks until init has done what it asks for, which ends it. `root` is put before the paths of the two sockets. */
int trial_run(const char *root);

#endif
