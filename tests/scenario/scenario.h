/*
 * Named scenarios: one attack or fault each, on the simulator's world (tests/sim/sys.h), as a short script that reads from top to bottom.
 *
 * Nothing goes wrong but what the script does. The simulator's checkers watch every step all the same, so a fork, a vote before its time, a state
 * that differs, or a stopped node ends a script. A script names the rule of spec/ that it attacks, and must say (scenario_must) that its attack
 * really happened. One coordinator cluster of four and one shard cluster of four, unless it asks for others; each script may be given --seed S, and
 * `--trace FILE` writes down what happened.
 */
#ifndef TESTS_SCENARIO_SCENARIO_H
#define TESTS_SCENARIO_SCENARIO_H

#include "appliance/replica/replica_private.h"
#include "tests/sim/sys.h"

struct scenario {
    struct sys_world *world;
    struct sys_stats stats;
    struct sys_config config;
    const char *rule;
};

/* What main() gives; sizes may be changed in scenario->config before scenario_start(). */
void scenario_begin(struct scenario *scenario, int argc, char **argv, const char *rule);
void scenario_start(struct scenario *scenario);
/* Heals, lets everybody catch up, compares all states; returns main()'s code. */
int scenario_end(struct scenario *scenario);

/* Nodes by cluster (coordinators first) and member. */
uint32_t scenario_node(const struct scenario *scenario, uint32_t cluster, uint32_t member);
struct replica *scenario_replica(const struct scenario *scenario, uint32_t node);
uint32_t scenario_leader(const struct scenario *scenario, uint32_t cluster); /* by the highest view of an honest member */
uint64_t scenario_view(const struct scenario *scenario, uint32_t cluster);
uint64_t scenario_height(const struct scenario *scenario, uint32_t cluster);
/* A liar with these hooks (their context is the caller's), before scenario_start() or later; it keeps them over restarts. */
void scenario_hook(struct scenario *scenario, uint32_t node, struct replica_hooks hooks);

/* One of tests/liar's scripts, from now on; and how often it lied so far. */
void scenario_lie(struct scenario *scenario, uint32_t node, const char *script);
uint64_t scenario_lies(const struct scenario *scenario, uint32_t node);

void scenario_run(struct scenario *scenario, uint64_t ms);
/* Until it holds, or so long; what it says then. */
bool scenario_until(struct scenario *scenario, uint64_t ms, bool (*holds)(struct scenario *scenario));
/* Ends the script with this text unless it is so. */
void scenario_must(struct scenario *scenario, bool so, const char *what);

/* The first client, through the client library. put and add return when they were answered, or end the script after `ms`. */
void scenario_put(struct scenario *scenario, const char *key, const char *value, uint64_t ms);
int64_t scenario_add(struct scenario *scenario, const char *key, int64_t delta, uint64_t ms);
void scenario_get(struct scenario *scenario, const char *key, const char *expected, uint64_t ms);
/* So many puts, one after the other. */
void scenario_load(struct scenario *scenario, uint32_t count, uint64_t ms);
/* False: no answer so long. */
bool scenario_try_put(struct scenario *scenario, const char *key, const char *value, uint64_t ms);

/* Crash, start, cut (both ways) of single nodes. */
void scenario_crash(struct scenario *scenario, uint32_t node);
void scenario_restart(struct scenario *scenario, uint32_t node);
void scenario_cut(struct scenario *scenario, uint32_t a, uint32_t b, bool cut);
void scenario_cut_clusters(struct scenario *scenario, uint32_t from, uint32_t to, bool cut); /* both ways */
void scenario_isolate(struct scenario *scenario, uint32_t node, bool cut); /* from everybody */
/* How often honest members of this cluster have named that attack. */
uint64_t scenario_attacks(const struct scenario *scenario, uint32_t cluster, enum status_attack attack);
uint64_t scenario_drops(const struct scenario *scenario, uint32_t cluster, enum status_drop drop);

/* Has some node, liars too, noted this event in its log? */
bool scenario_reached(const struct scenario *scenario, const char *event);

/* A consensus message out of a frame about to leave, and back into it, signed with this node's key. */
bool scenario_decode(const struct blob_piece *pieces, unsigned count, uint16_t type, struct bft_message *message);
void scenario_encode(const struct replica *replica, struct bft_message *message, struct blob_piece *pieces, unsigned *count);
/* Sends it from a node to a member of its cluster, or to all (BFT_TO_ALL), signed unless it is a certificate. */
void scenario_say(struct scenario *scenario, uint32_t node, uint8_t to, struct bft_message *message);
void scenario_say_as(struct scenario *scenario, uint32_t node, uint32_t key, uint8_t to, struct bft_message *message); /* with that node's key */
/* A frame about to leave, in one piece; and these bytes instead of it. Both belong to the callee until the next call. */
struct blob *scenario_whole(const struct blob_piece *pieces, unsigned count);
void scenario_replace(struct blob_piece *pieces, unsigned *count, struct blob *blob);
/* Whatever the ballot says is signed with the keys of these members (bits) of a cluster: what a quorum of other machines with the same keys, or of
 * another time, could have signed. */
void scenario_certify(struct scenario *scenario, uint32_t cluster, uint32_t members, struct bft_qc *qc);

/* ---- CONFIG (scenario_config.c); nodes are named by their place in the newest epoch ---- */

struct admin_op;
/* Before scenario_start(): there are administrators, and nodes that are in no cluster yet. */
void scenario_with_config(struct scenario *scenario);
uint64_t scenario_epoch(const struct scenario *scenario, uint32_t cluster); /* the newest that an honest node entered */
uint32_t scenario_member(const struct scenario *scenario, uint32_t cluster, uint32_t place);
/* The next CONFIG of a cluster, as `change` makes it, is signed, and handed in until every member that is up has entered its epoch and votes; false:
 * not within `ms`. Or it is only signed, and its new members start: sys_admin_hand_in() gives it to some. */
bool scenario_config(struct scenario *scenario, uint32_t cluster, void (*change)(struct scenario *scenario, uint32_t cluster, struct admin_op *op),
                     uint64_t ms);
void scenario_config_sign(struct scenario *scenario, uint32_t cluster,
                          void (*change)(struct scenario *scenario, uint32_t cluster, struct admin_op *op));

/* ---- a client that keeps to no rule: the second one's key, without its library (scenario_raw.c); config.clients is 2 ---- */

enum { SCENARIO_UNTOLD = -1 };

/* One ADD under this number. */
struct scenario_batch {
    const char *key;
    int64_t delta;
    uint64_t number, floor; /* floor 0: 1 */
    uint64_t nonce;
    uint32_t attempt;
    bool as_first;              /* in the first client's name, with its key, over its links */
    const uint8_t *system_id;   /* it is signed for that system; NULL: this one */
    const struct signer *signer; /* it is signed with that key; NULL: the client's */
};
/* To one coordinator node; the code that some honest one answers with a certificate, or refuses with, within `ms`, or SCENARIO_UNTOLD. */
int scenario_raw_ask(struct scenario *scenario, uint32_t node, const struct scenario_batch *batch, uint64_t ms);
/* The parts of it: from when on answers are seen (again after a restart), the bytes, which are the caller's, and what was told last of them. */
void scenario_raw_watch(struct scenario *scenario);
struct blob *scenario_raw_batch(struct scenario *scenario, const struct scenario_batch *batch);
void scenario_raw_send(struct scenario *scenario, uint32_t node, bool as_first, struct blob *batch);
int scenario_raw_code(struct scenario *scenario, const struct blob *batch);

/* ---- whole attacks that differ in one thing (scenario_attack.c) ---- */

/* Member 0 leads the coordinators and signs for each block of its own what `alter` makes of the header; `judge` says what must have come of it. Both
 * end a script: they return main()'s code. */
int scenario_false_leader(int argc, char **argv, const char *rule, void (*alter)(struct bft_header *header),
                          void (*judge)(struct scenario *scenario));
/* Member 0 leads and shows member 1 another block than the rest, with a commit certificate for it that `forge` makes of the ballot. Whoever believes
 * it has a fork. */
int scenario_false_certificate(int argc, char **argv, const char *rule, void (*forge)(struct scenario *scenario, struct bft_qc *qc));

/* ---- parts that attacks on the change of views have in common (scenario_view.c); members are those of the first cluster ---- */

/* While it is so, no member hears a COMMIT, a commit QC, or a final block: what they prepare stays prepared and no more. A restart lets one hear. */
void scenario_deafen(struct scenario *scenario, bool deaf);

/* A member that collects the PREPAREs of one block, its own among them, and says nothing of consensus itself, so that it alone holds a prepare QC. */
struct scenario_hoard {
    bool armed; /* from now on */
    bool mute;  /* and it says nothing at all to members */
    uint32_t liar;
    struct bft_vote votes[SYS_MEMBERS_MAX];
    uint32_t have; /* whose, by bits */
};
struct scenario_hoard *scenario_hoarder(struct scenario *scenario, uint32_t member);
/* Shows a member, or all (BFT_TO_ALL), the prepare QC of the votes of `members` (bits); its ballot. */
const struct bft_ballot *scenario_hoard_show(struct scenario *scenario, uint32_t members, uint8_t to);

#endif
