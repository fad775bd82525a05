/*
 * Liars: they run the core to know where the others are, hold their own key only, and sign and send whatever may hurt (tests/sim/sim.h).
 *
 * Equivocating leader, votes for everything and both sides, votes after TIMEOUT, TIMEOUTs with stale highs and of far views, withholding from some,
 * replays of what they heard, random well-formed votes.
 */
#include "tests/sim/sim.h"

static void post(struct sim_world *world, uint8_t node, const struct bft_message *message, uint64_t mask) {
    struct sim_message *out = sim_message_new(world, message);
    struct signer signer = keyed_signer_of(&world->nodes[node].key);
    bft_message_sign(&signer, &out->message);
    world->stats.lies++;
    for (uint8_t i = 0; i < world->config.nodes; i++) {
        if (i != node && (mask >> i & 1)) sim_transmit(world, node, i, out);
    }
    sim_message_release(world, out);
}

static void vote(struct sim_world *world, uint8_t node, const struct bft_ballot *ballot, uint8_t kind, uint64_t mask) {
    struct bft_message message;
    memset(&message, 0, sizeof message);
    message.type = kind == BFT_PREPARE ? BFT_MESSAGE_PREPARE : BFT_MESSAGE_COMMIT;
    message.vote.ballot = *ballot;
    message.vote.kind = kind;
    message.vote.signer = world->nodes[node].core.me;
    post(world, node, &message, mask);
}

static uint64_t some(struct sim_world *world) {
    return sim_random(world, 1u << world->config.nodes);
}

static void vote_either(struct sim_world *world, uint8_t node, const struct bft_ballot *ballot) {
    uint8_t kind = (uint8_t)sim_random(world, 2); /* one chance a statement: the order of arguments is the compiler's */
    vote(world, node, ballot, kind, some(world));
}

/* What the own honest core wants to send: some of it is withheld from some. True: it was dealt with. */
bool sim_liar_send(struct sim_world *world, uint8_t node, struct sim_message *message) {
    uint64_t what = sim_random(world, 10);
    if (what < 6) return false;
    if (what < 8) return true; /* withheld from all */
    uint64_t mask = some(world);
    for (uint8_t i = 0; i < world->config.nodes; i++) {
        if (i != node && (mask >> i & 1)) sim_transmit(world, node, i, message);
    }
    return true;
}

static void keep_qc(struct sim_world *world, const struct bft_qc *qc) {
    if (qc->count == 0 || qc->kind != BFT_PREPARE) return;
    world->old_qcs[world->old_qc_count++ % 64] = *qc;
}

/* Reactions: a vote for whatever is heard of, of either kind. */
void sim_liar_hears(struct sim_world *world, uint8_t node, const struct bft_message *message) {
    if (world->nodes[node].core.me == BFT_NOBODY) return;
    struct bft_ballot ballot;
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE:
        bft_header_ballot(&message->propose.header, &message->block_id, &ballot);
        if (sim_chance(world, 50)) vote(world, node, &ballot, BFT_PREPARE, some(world));
        if (sim_chance(world, 50)) vote(world, node, &ballot, BFT_COMMIT, some(world));
        if (message->propose.has_tc) keep_qc(world, &message->propose.tc.qc);
        break;
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        if (sim_chance(world, 15)) vote_either(world, node, &message->vote.ballot);
        break;
    case BFT_MESSAGE_TIMEOUT:
        keep_qc(world, &message->timeout.qc);
        break;
    case BFT_MESSAGE_QC:
        keep_qc(world, &message->qc);
        break;
    default:
        break;
    }
}

/* An equivocating leader: two blocks on one parent (or on an old one), each shown to some. */
static void propose_one(struct sim_world *world, uint8_t node, const struct bft_offer *offer, const struct sim_block *parent, uint64_t mask) {
    struct sim_node *liar = &world->nodes[node];
    uint8_t body[SIM_BODY_MAX] = {0};
    uint32_t body_bytes = 4;
    if (!offer->empty_only || sim_chance(world, 20)) sim_node_body(world, 3, liar->core.members.place.epoch, body, &body_bytes);
    struct bft_header header;
    uint64_t time = offer->time + (sim_chance(world, 10) ? 5000 : 0);
    sim_node_header(world, parent, &liar->core.members.place, offer->view, time, body, body_bytes, &header);
    struct sim_block twin = {.header = header, .body_bytes = body_bytes};
    memcpy(twin.body, body, sizeof body);
    if (!parent->computed) return;
    sim_block_compute(world, &twin);
    header.outbox_root = twin.outbox_root;
    if (sim_chance(world, 10)) header.state_root.bytes[3] ^= 1;
    struct sim_block *block = sim_block_register(world, &header, body, body_bytes);
    block->held_by |= (uint16_t)(1u << node);
    struct bft_message message;
    memset(&message, 0, sizeof message);
    message.type = BFT_MESSAGE_PROPOSE;
    message.propose.header = header;
    message.block_id = block->id;
    message.body = block->body;
    message.body_bytes = block->body_bytes;
    bft_header_ballot(&header, &block->id, &message.propose.vote.ballot);
    message.propose.vote.signer = liar->core.me;
    message.propose.has_tc = liar->core.memory.tc.count > 0 && offer->view > 0 && bft_hash_equal(&liar->core.base.id, &parent->id);
    if (message.propose.has_tc) message.propose.tc = liar->core.memory.tc;
    post(world, node, &message, mask);
}

bool sim_liar_proposes(struct sim_world *world, uint8_t node, const struct bft_offer *offer) {
    if (sim_chance(world, 40)) return false; /* honestly, for once */
    if (sim_chance(world, 30)) return true;  /* not at all */
    const struct sim_block *parent = sim_block_find(world, &offer->parent_id);
    const struct sim_block *other = parent;
    uint32_t recent = world->recent_count < 64 ? world->recent_count : 64;
    if (recent > 0 && sim_chance(world, 30)) other = world->recent[sim_random(world, recent)];
    uint64_t mask = some(world);
    propose_one(world, node, offer, parent, mask);
    propose_one(world, node, offer, other, sim_chance(world, 50) ? ~mask : some(world));
    return true;
}

static void forge_timeout(struct sim_world *world, uint8_t node) {
    const struct bft_core *core = &world->nodes[node].core;
    struct bft_message message;
    memset(&message, 0, sizeof message);
    message.type = BFT_MESSAGE_TIMEOUT;
    struct bft_timeout *timeout = &message.timeout;
    timeout->place = core->members.place;
    timeout->view = core->memory.view + (sim_chance(world, 30) ? sim_random(world, 5) : 0);
    /* Its own view given up is a leader's right; everywhere else it is an attack. */
    timeout->high.block = core->members.start;
    timeout->signer = core->me;
    if (world->old_qc_count > 0 && sim_chance(world, 60)) {
        const struct bft_qc *qc = &world->old_qcs[sim_random(world, world->old_qc_count < 64 ? world->old_qc_count : 64)];
        timeout->qc = *qc;
        timeout->high.view = qc->ballot.view;
        timeout->high.block.height = qc->ballot.height;
        timeout->high.block.id = qc->ballot.block_id;
    }
    world->stats.forged_timeouts++;
    post(world, node, &message, some(world));
}

void sim_liar_acts(struct sim_world *world, uint8_t node) {
    const struct sim_node *liar = &world->nodes[node];
    if (!liar->up || liar->core.me == BFT_NOBODY) return;
    uint64_t what = sim_random(world, 4);
    if (what <= 1) {
        forge_timeout(world, node);
    } else if (world->recent_count > 0) {
        const struct sim_block *block = world->recent[sim_random(world, world->recent_count < 64 ? world->recent_count : 64)];
        struct bft_ballot ballot;
        bft_header_ballot(&block->header, &block->id, &ballot);
        if (sim_chance(world, 20)) ballot.view = liar->core.memory.view;
        if (sim_chance(world, 5)) ballot.height += sim_random(world, 40);
        if (sim_chance(world, 5)) ballot.outbox_root.bytes[0] ^= 1;
        vote_either(world, node, &ballot);
    }
}
