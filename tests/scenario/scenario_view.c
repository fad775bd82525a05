/* What attacks on the change of views have in common: members that hear of nothing committed, and one that keeps a certificate to itself. */
#include "tests/scenario/scenario.h"

/* ---- nothing is committed ---- */

static bool deafened;

static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    static struct bft_message message;
    (void)context;
    (void)from;
    if (!deafened) return true;
    if (type == BFT_MESSAGE_QC) return scenario_decode(&payload, 1, type, &message) && message.qc.kind == BFT_PREPARE;
    return type != BFT_MESSAGE_COMMIT && type != BFT_MESSAGE_BLOCK;
}

void scenario_deafen(struct scenario *scenario, bool deaf) {
    static struct replica_hooks hooks = {.frame = deaf_frame};
    for (uint32_t i = 0; i < scenario->config.n && deaf; i++) scenario_replica(scenario, i)->hooks = &hooks;
    deafened = deaf;
}

/* ---- a certificate that one alone holds ---- */

static struct scenario_hoard hoard;

static void keep(const struct bft_vote *vote) {
    for (uint32_t i = 0; i < SYS_MEMBERS_MAX; i++) {
        if (hoard.have >> i & 1 && !bft_ballot_equal(&hoard.votes[i].ballot, &vote->ballot)) return;
    }
    hoard.votes[vote->signer] = *vote;
    hoard.have |= 1u << vote->signer;
}

static bool hoard_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct bft_message message;
    (void)context;
    if (!hoard.armed || to.kind != REPLICA_MEMBER) return true;
    if (type == BFT_MESSAGE_PREPARE && scenario_decode(pieces, *count, type, &message) && message.vote.signer == hoard.liar) keep(&message.vote);
    return !hoard.mute && (type < BFT_MESSAGE_PROPOSE || type > BFT_MESSAGE_NOOP);
}

static bool hoard_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    static struct bft_message message;
    (void)context;
    (void)from;
    bool vote = hoard.armed && (type == BFT_MESSAGE_PREPARE || type == BFT_MESSAGE_PROPOSE);
    if (vote && scenario_decode(&payload, 1, type, &message)) keep(type == BFT_MESSAGE_PREPARE ? &message.vote : &message.propose.vote);
    return true;
}

struct scenario_hoard *scenario_hoarder(struct scenario *scenario, uint32_t member) {
    hoard.liar = member;
    scenario_hook(scenario, scenario_node(scenario, 0, member), (struct replica_hooks){.send = hoard_send, .frame = hoard_frame});
    return &hoard;
}

const struct bft_ballot *scenario_hoard_show(struct scenario *scenario, uint32_t members, uint8_t to) {
    static struct bft_message message;
    message = (struct bft_message){.type = BFT_MESSAGE_QC, .qc = {.kind = BFT_PREPARE}};
    for (uint8_t i = 0; i < SYS_MEMBERS_MAX; i++) {
        if (!(members >> i & 1)) continue;
        CHECK(hoard.have >> i & 1);
        message.qc.ballot = hoard.votes[i].ballot;
        message.qc.signers[message.qc.count] = i;
        message.qc.signatures[message.qc.count++] = hoard.votes[i].signature;
    }
    scenario_say(scenario, hoard.liar, to, &message);
    return &message.qc.ballot;
}
