/* Safety, watched after each step (tests/sim/sim.h). */
#include "tests/sim/sim.h"

/* What each honest node really sent: a set of 64-bit digests, and for each place what was signed there. */
enum { SENT_ROOM = 1 << 22 };

struct sent {
    uint64_t place; /* digest of node, kind, epoch, view, height; 0: empty */
    uint64_t what;  /* digest of block and root */
};

static struct sent *sent;

void sim_check_reset(void) {
    free(sent);
    sent = calloc(SENT_ROOM, sizeof *sent);
    CHECK(sent != NULL);
}

static struct sent *sent_slot(uint64_t place) {
    uint64_t at = place % SENT_ROOM;
    for (uint32_t i = 0; i < SENT_ROOM && sent[at].place != 0 && sent[at].place != place; i++) at = (at + 1) % SENT_ROOM;
    CHECK(sent[at].place == 0 || sent[at].place == place);
    return &sent[at];
}

static uint64_t place_digest(uint8_t node, uint8_t kind, uint64_t epoch, uint64_t view, uint64_t height) {
    uint64_t words[5] = {node, kind, epoch, view, height};
    return keyed_siphash(1, 2, words, sizeof words) | 1;
}

static uint64_t what_digest(const struct bft_ballot *ballot) {
    return keyed_siphash(3, 4, &ballot->block_id, 32) ^ keyed_siphash(5, 6, &ballot->outbox_root, 32);
}

/* B-21, B-22, B-31 from outside: one thing per place, over crashes too; nothing before the disk knows it; no vote after TIMEOUT. */
static void check_vote(struct sim_world *world, uint8_t index, const struct bft_vote *vote) {
    const struct sim_node *node = &world->nodes[index];
    const struct bft_ballot *ballot = &vote->ballot;
    const struct bft_memory *disk = &node->memory;
    struct sent *slot = sent_slot(place_digest(index, vote->kind, ballot->place.epoch, ballot->view, ballot->height));
    if (slot->place != 0 && slot->what != what_digest(ballot)) sim_fail(world, "an honest node signed two things for one place");
    slot->place = place_digest(index, vote->kind, ballot->place.epoch, ballot->view, ballot->height);
    slot->what = what_digest(ballot);
    if (!node->has_memory) sim_fail(world, "a vote left before any memory was durable");
    if (disk->place.epoch != ballot->place.epoch) {
        if (disk->place.epoch < ballot->place.epoch) sim_fail(world, "a vote of an epoch that is not durable");
        return;
    }
    const struct bft_ballot *known = vote->kind == BFT_PREPARE ? &disk->prepared : &disk->committed;
    bool has = vote->kind == BFT_PREPARE ? disk->has_prepared : disk->has_committed;
    if (!has || bft_rank_compare(known->view, known->height, ballot->view, ballot->height) < 0) sim_fail(world, "a vote left before it was durable");
    if (vote->kind == BFT_PREPARE) {
        const struct sim_block *block = sim_block_find(world, &ballot->block_id);
        if (!block || !(block->stored_by >> index & 1)) sim_fail(world, "a PREPARE left before its block was durable");
    } else {
        const struct bft_ballot *high = &disk->high_qc.ballot;
        if (!disk->has_high || bft_rank_compare(high->view, high->height, ballot->view, ballot->height) < 0)
            sim_fail(world, "a COMMIT left before its prepare QC was durable");
    }
    if (sent_slot(place_digest(index, 9, ballot->place.epoch, ballot->view, 0))->place != 0) sim_fail(world, "a vote after TIMEOUT");
    if (ballot->view > 0 && disk->view == ballot->view && disk->tc.count == 0) sim_fail(world, "a vote in a view without its TC");
}

static void check_timeout(struct sim_world *world, uint8_t index, const struct bft_timeout *timeout) {
    const struct bft_memory *disk = &world->nodes[index].memory;
    struct sent *slot = sent_slot(place_digest(index, 9, timeout->place.epoch, timeout->view, 0));
    uint64_t what = keyed_siphash(7, timeout->high.view, &timeout->high.block.id, 32);
    if (slot->place != 0 && slot->what != what) sim_fail(world, "two TIMEOUTs of one view");
    slot->place = place_digest(index, 9, timeout->place.epoch, timeout->view, 0);
    slot->what = what;
    bool durable = disk->place.epoch > timeout->place.epoch ||
                   (disk->place.epoch == timeout->place.epoch && (disk->view > timeout->view || (disk->view == timeout->view && disk->timed_out)));
    if (!durable) sim_fail(world, "a TIMEOUT left before it was durable");
    bool here = disk->place.epoch == timeout->place.epoch && disk->view == timeout->view && timeout->view > 0;
    if (here && disk->tc.count == 0 && disk->joined.count == 0)
        sim_fail(world, "a TIMEOUT of a view without TC and without f+1 TIMEOUTs");
}

void sim_check_released(struct sim_world *world, uint8_t node, const struct bft_message *message) {
    if (message->type == BFT_MESSAGE_PROPOSE) check_vote(world, node, &message->propose.vote);
    if (message->type == BFT_MESSAGE_PREPARE || message->type == BFT_MESSAGE_COMMIT) check_vote(world, node, &message->vote);
    if (message->type == BFT_MESSAGE_TIMEOUT) check_timeout(world, node, &message->timeout);
}

/* Agreement, and the certificate against the members of its epoch and the votes really cast. */
void sim_check_final(struct sim_world *world, uint8_t node, const struct sim_block *block, const uint8_t *certificate, size_t certificate_bytes) {
    uint64_t at = block->header.height - world->genesis->header.height;
    CHECK(at > 0 && at < 1 << 20);
    sim_trace(world, (uint64_t)block->id.bytes[0] | (uint64_t)block->id.bytes[1] << 8 | at << 16);
    world->stats.finals++;
    if (at <= world->chain_height) {
        if (!bft_hash_equal(&world->chain[at], &block->id)) sim_fail(world, "two honest nodes have different final blocks at one height");
    } else {
        if (at != world->chain_height + 1) sim_fail(world, "a gap in the final chain");
        world->chain[at] = block->id;
        world->chain_height = at;
    }
    struct bytes_cursor cursor = bytes_cursor_of(certificate, certificate_bytes);
    struct bft_certificate proof;
    struct bft_members members = world->epochs[block->header.place.epoch];
    if (block->config.kind != BFT_CONFIG_NONE) members.height_last = block->header.height;
    struct bft_ballot proved;
    if (!bft_certificate_get(&cursor, &proof, NULL) || !bytes_finished(&cursor)) sim_fail(world, "a certificate does not decode");
    enum bft_verify_error error = bft_certificate_verify(&members, &world->verifier, &proof, &block->id, &proved);
    if (error != BFT_VERIFY_OK) sim_fail(world, "a certificate does not verify");
    if (!bft_hash_equal(&proved.outbox_root, &block->header.outbox_root)) sim_fail(world, "a certificate of another outbox");
    for (uint32_t i = 0; i < proof.qc.count; i++) {
        for (uint8_t other = 0; other < world->config.nodes; other++) {
            if (world->nodes[other].liar || sim_node_index(world, &members, other) != proof.qc.signers[i]) continue;
            const struct bft_ballot *ballot = &proof.qc.ballot;
            const struct sent *slot = sent_slot(place_digest(other, BFT_COMMIT, ballot->place.epoch, ballot->view, ballot->height));
            if (slot->place == 0 || slot->what != what_digest(ballot)) sim_fail(world, "a certificate has a vote that was never cast");
        }
    }
    (void)node;
}
