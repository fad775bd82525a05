/*
 * Private to the node's shell: the threads that verify signatures ahead of consensus, in the split map (appliance/replica/ahead.h).
 *
 *   network -> lane of a verifier -> verifier -> its lane back -> consensus
 *
 * The network gives a frame to a verifier and puts it into its lane to consensus as ever. Consensus takes frames in the order of its own lane, and
 * one that is at a verifier only when that one has given it back: each gives them back in the order in which it got them, so that what consensus
 * waits for is what comes next from there. So frames are stepped in the order in which they came, whoever verified them.
 *
 * A frame goes to a verifier only while consensus has something else to do: an idle node verifies on the spot, without two wake-ups across CPUs.
 */
#ifndef APPLIANCE_NODE_VERIFY_H
#define APPLIANCE_NODE_VERIFY_H

#include "appliance/config/thread_plan.h"
#include "appliance/node/node_lane.h"
#include "appliance/replica/ahead.h"

enum { VERIFY_LANE_SLOTS = 1024, VERIFY_NOBODY = THREAD_VERIFIERS_MAX };

/* What a frame on its way to consensus has for this. */
struct verify_frame {
    uint32_t verifier;   /* VERIFY_NOBODY: the replica itself verifies */
    uint16_t type;
    struct blob *blob;   /* held by whoever owns the frame */
    struct ahead_keys *keys;        /* held: by these it is verified */
    struct verdict_list *verdicts;  /* written by the verifier; NULL: none */
};

struct node;
struct node_verify; /* opaque */

/* As many threads as the plan has. `consensus` is woken when one has something; frames under way are at most `frames_max`. */
struct node_verify *node_verify_start(struct node *node, struct sleeper *consensus, unsigned frames_max);
/* When network and consensus have ended; frames that are not back are nobody's then, and stay their owner's to free. */
void node_verify_stop(struct node_verify *verify);
void node_verify_forget(struct verify_frame *frame);

/* Consensus': its replica's keys, if they changed since. */
void node_verify_keys(struct node_verify *verify, const struct replica *replica);
/* The network's, before the frame is in the lane to consensus: gives it to a verifier, or to nobody. */
void node_verify_give(struct node_verify *verify, struct verify_frame *frame);
/* Consensus': true if nobody has it any more; what was found is in the node's table of verdicts. */
bool node_verify_take(struct node_verify *verify, struct verify_frame *frame);
/* Consensus': would node_verify_take() be true? */
bool node_verify_is_back(const struct node_verify *verify, const struct verify_frame *frame);

#endif
