/*
 * A block is prepared and not committed when the view ends; the next leader proposes its twin, on its parent, instead of building on it (B-21 f,
 * rule a): had somebody seen a commit of the first, the twin would be a fork. What comes first in a view stands on Q*'s block and on nothing else.
 */
#include "tests/scenario/scenario.h"

enum { LEADER = 1 };

static bool armed;
static struct bft_ballot first;
static uint64_t twins;

static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    static struct bft_message message;
    (void)context;
    (void)from;
    if (!armed) return true;
    if (type == BFT_MESSAGE_QC) return scenario_decode(&payload, 1, type, &message) && message.qc.kind == BFT_PREPARE;
    return type != BFT_MESSAGE_COMMIT && type != BFT_MESSAGE_BLOCK;
}

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct bft_message message;
    struct replica *r = scenario_replica(context, LEADER);
    if (!armed || to.kind != REPLICA_MEMBER || type != BFT_MESSAGE_PROPOSE || !scenario_decode(pieces, *count, type, &message)) return true;
    if (message.propose.vote.signer != LEADER) return true;
    uint32_t index = block_find(r, &first.block_id);
    if (index == NONE) return false;
    const struct rblock *block = &r->blocks[index];
    uint64_t view = message.propose.header.view;
    message.propose.header = block->header;
    message.propose.header.view = view;
    message.propose.has_tc = false; /* it would say what the block has to stand on */
    message.body = block->body->bytes + block->body_offset;
    message.body_bytes = (uint32_t)block->body_count;
    scenario_encode(r, &message, pieces, count);
    twins++;
    return true;
}

static bool in_its_view(struct scenario *s) {
    return twins > 0 && scenario_replica(s, 0)->core->memory.view == 1;
}

int main(int argc, char **argv) {
    static struct scenario s;
    static struct replica_hooks deaf = {.frame = deaf_frame};
    scenario_begin(&s, argc, argv, "B-21");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == 0, "member 0 leads");
    scenario_run(&s, 100);
    scenario_hook(&s, LEADER, (struct replica_hooks){.context = &s, .send = liar_send, .frame = deaf_frame});
    for (uint32_t i = 0; i < 4; i++) {
        if (i != LEADER) scenario_replica(&s, i)->hooks = &deaf;
    }
    armed = true;
    uint64_t final = scenario_height(&s, 0);
    (void)scenario_try_put(&s, "x", "y", 60);
    first = scenario_replica(&s, 0)->core->memory.high_qc.ballot;
    scenario_must(&s, first.height == final + 1 && scenario_height(&s, 0) == final, "a block is prepared, and not final");
    scenario_must(&s, scenario_until(&s, 2000, in_its_view), "the next leader proposes its twin");
    scenario_run(&s, 100);
    armed = false;
    scenario_load(&s, 5, 30000);
    const struct sys_block *block = &s.world->clusters[0].chain[first.height];
    scenario_must(&s, block->known && bft_hash_equal(&block->id, &first.block_id), "what was prepared first is final");
    return scenario_end(&s);
}
