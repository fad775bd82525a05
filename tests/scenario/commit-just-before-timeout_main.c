/*
 * A prepare QC reaches one member alone, just before the view ends (B-22, B-31): it gives its COMMIT, so its TIMEOUT must name that block, and what
 * comes next must stand on it, for the COMMIT may be the one that made the block final somewhere.
 */
#include "tests/scenario/scenario.h"

enum { LIAR = 3, ONE = 1 };

static struct {
    bool armed;
    struct bft_vote votes[4];
    uint32_t have; /* bits */
} attack;

static void keep(const struct bft_vote *vote) {
    for (uint32_t i = 0; i < 4; i++) {
        if (attack.have >> i & 1 && !bft_ballot_equal(&attack.votes[i].ballot, &vote->ballot)) return;
    }
    attack.votes[vote->signer] = *vote;
    attack.have |= 1u << vote->signer;
}

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    (void)context;
    (void)pieces;
    (void)count;
    return !attack.armed || to.kind != REPLICA_MEMBER || type < BFT_MESSAGE_PROPOSE || type > BFT_MESSAGE_NOOP;
}

static bool liar_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    static struct bft_message message;
    (void)context;
    (void)from;
    bool vote = attack.armed && (type == BFT_MESSAGE_PREPARE || type == BFT_MESSAGE_PROPOSE);
    if (vote && scenario_decode(&payload, 1, type, &message)) keep(type == BFT_MESSAGE_PREPARE ? &message.vote : &message.propose.vote);
    return true;
}

/* Honest members hear neither the others' PREPAREs nor, from honest ones, a QC. */
static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)context;
    (void)payload;
    return !attack.armed || (type != BFT_MESSAGE_PREPARE && (type != BFT_MESSAGE_QC || from.member == LIAR));
}

static bool all_prepared(struct scenario *s) {
    (void)s;
    return attack.have == 7;
}

static bool next_view(struct scenario *s) {
    return scenario_replica(s, 1)->core->memory.view == 1 && scenario_replica(s, 2)->core->memory.view == 1;
}

int main(int argc, char **argv) {
    static struct scenario s;
    static struct replica_hooks deaf = {.frame = deaf_frame};
    static struct bft_message message;
    scenario_begin(&s, argc, argv, "B-22, B-31");
    scenario_start(&s);
    scenario_load(&s, 3, 5000);
    scenario_must(&s, scenario_view(&s, 0) == 0, "the first leader leads");
    scenario_hook(&s, LIAR, (struct replica_hooks){.send = liar_send, .frame = liar_frame});
    for (uint32_t i = 0; i < LIAR; i++) scenario_replica(&s, i)->hooks = &deaf;
    scenario_run(&s, 50);
    attack.armed = true;
    (void)scenario_try_put(&s, "x", "prepared by all", 20);
    scenario_must(&s, scenario_until(&s, 200, all_prepared), "all prepared a block, and only the liar knows");
    message = (struct bft_message){.type = BFT_MESSAGE_QC, .qc = {.ballot = attack.votes[0].ballot, .kind = BFT_PREPARE, .count = 3}};
    for (uint8_t i = 0; i < 3; i++) {
        message.qc.signers[i] = i;
        message.qc.signatures[i] = attack.votes[i].signature;
    }
    scenario_say(&s, LIAR, ONE, &message);
    scenario_run(&s, 10);
    const struct bft_memory *memory = &scenario_replica(&s, ONE)->core->memory;
    scenario_must(&s, bft_ballot_equal(&memory->committed, &message.qc.ballot) && !memory->timed_out, "one gave its COMMIT, just in time");
    scenario_must(&s, scenario_until(&s, 5000, next_view), "the view ended");
    attack.armed = false;
    for (uint32_t i = 1; i < LIAR; i++)
        scenario_must(&s, bft_hash_equal(&scenario_replica(&s, i)->core->base.id, &message.qc.ballot.block_id), "what comes next stands on it");
    scenario_load(&s, 5, 30000);
    return scenario_end(&s);
}
