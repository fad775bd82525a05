/* Attacks of which there are several that differ in one thing. */
#include "tests/scenario/scenario.h"

/* ---- a leader's false proposals ---- */

static struct {
    struct scenario *scenario;
    void (*alter)(struct bft_header *header);
    uint64_t count;
} lie;

static bool false_proposal(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct bft_message message;
    (void)context;
    if (to.kind != REPLICA_MEMBER || type != BFT_MESSAGE_PROPOSE || !scenario_decode(pieces, *count, type, &message)) return true;
    if (message.propose.vote.signer != 0) return true;
    lie.alter(&message.propose.header);
    lie.count++;
    scenario_encode(scenario_replica(lie.scenario, 0), &message, pieces, count);
    return true;
}

int scenario_false_leader(int argc, char **argv, const char *rule, void (*alter)(struct bft_header *header),
                          void (*judge)(struct scenario *scenario)) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, rule);
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == 0, "member 0 leads");
    lie.scenario = &s;
    lie.alter = alter;
    scenario_hook(&s, 0, (struct replica_hooks){.send = false_proposal});
    scenario_load(&s, 10, 30000);
    scenario_must(&s, lie.count > 0, "it proposed such a block");
    judge(&s);
    return scenario_end(&s);
}

/* ---- a certificate for a block that nobody else has ---- */

enum { LEADER = 0, DECEIVED = 1 };

static struct {
    struct scenario *scenario;
    void (*forge)(struct scenario *scenario, struct bft_qc *qc);
    bool armed;
    struct bft_qc qc;
} fork_of;

/* Of the next block one member gets a twin, a millisecond later, and no other of that height. */
static bool other_block(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct bft_message message, certificate;
    (void)context;
    if (!fork_of.armed || to.kind != REPLICA_MEMBER || to.member != DECEIVED || type != BFT_MESSAGE_PROPOSE) return true;
    if (!scenario_decode(pieces, *count, type, &message) || message.propose.vote.signer != LEADER) return true;
    if (fork_of.qc.count > 0) return message.propose.header.height != fork_of.qc.ballot.height;
    message.propose.header.time++;
    scenario_encode(scenario_replica(fork_of.scenario, LEADER), &message, pieces, count);
    fork_of.qc.kind = BFT_COMMIT;
    fork_of.qc.ballot = message.propose.vote.ballot;
    certificate = (struct bft_message){.type = BFT_MESSAGE_QC, .qc = fork_of.qc};
    fork_of.forge(fork_of.scenario, &certificate.qc);
    fork_of.qc.count = certificate.qc.count;
    scenario_say(fork_of.scenario, LEADER, DECEIVED, &certificate);
    return true;
}

int scenario_false_certificate(int argc, char **argv, const char *rule, void (*forge)(struct scenario *scenario, struct bft_qc *qc)) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, rule);
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == LEADER, "member 0 leads");
    fork_of.scenario = &s;
    fork_of.forge = forge;
    scenario_hook(&s, LEADER, (struct replica_hooks){.send = other_block});
    fork_of.armed = true;
    (void)scenario_try_put(&s, "x", "y", 1000);
    scenario_must(&s, fork_of.qc.count > 0, "one member was shown another block and a certificate for it");
    scenario_load(&s, 5, 20000);
    return scenario_end(&s);
}
