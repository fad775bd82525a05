/*
 * The leader alone sees a block become final and is gone; of the three TIMEOUTs that are left the liar's states an old high, with a good certificate
 * (B-8, B-9): the highest of a TC's highs counts, so what the leader saw stays.
 */
#include "tests/scenario/scenario.h"

enum { LEADER = 0, LIAR = 3 };

static bool armed;
static struct bft_qc old;
static uint64_t lied;

static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)context;
    (void)from;
    (void)payload;
    return !armed || (type != BFT_MESSAGE_COMMIT && type != BFT_MESSAGE_QC && type != BFT_MESSAGE_BLOCK);
}

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct bft_message message;
    struct scenario *s = context;
    if (!armed || to.kind != REPLICA_MEMBER) return true;
    if (type == BFT_MESSAGE_TC || type == BFT_MESSAGE_QC) return false; /* it has better ones */
    if (type != BFT_MESSAGE_TIMEOUT || !scenario_decode(pieces, *count, type, &message)) return true;
    message.timeout.qc = old;
    message.timeout.high.view = old.ballot.view;
    message.timeout.high.block = (struct bft_point){.height = old.ballot.height, .id = old.ballot.block_id};
    scenario_encode(scenario_replica(s, LIAR), &message, pieces, count);
    lied++;
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    static struct replica_hooks deaf = {.frame = deaf_frame};
    scenario_begin(&s, argc, argv, "B-8, B-9");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == LEADER, "member 0 leads");
    scenario_hook(&s, LIAR, (struct replica_hooks){.context = &s, .send = liar_send, .frame = deaf_frame});
    for (uint32_t i = 1; i < LIAR; i++) scenario_replica(&s, i)->hooks = &deaf;
    scenario_run(&s, 200);
    old = scenario_replica(&s, LIAR)->core->memory.high_qc;
    armed = true;
    uint64_t height = scenario_height(&s, 0);
    (void)scenario_try_put(&s, "x", "seen by one", 100);
    scenario_must(&s, scenario_replica(&s, LEADER)->tip_height > height, "the leader saw a block become final");
    struct bft_ballot seen = {.height = scenario_replica(&s, LEADER)->core->final.height, .block_id = scenario_replica(&s, LEADER)->core->final.id};
    scenario_crash(&s, LEADER);
    for (uint32_t ms = 0; ms < 5000 && scenario_replica(&s, 1)->core->memory.view == 0; ms++) scenario_run(&s, 1);
    scenario_must(&s, lied > 0 && scenario_view(&s, 0) > 0, "the view ended with an old high among the TIMEOUTs");
    const struct bft_tc *tc = &scenario_replica(&s, 1)->core->memory.tc;
    scenario_must(&s, tc->signers[tc->count - 1] == LIAR && tc->highs[tc->count - 1].block.height == old.ballot.height, "it is in the TC");
    scenario_must(&s, scenario_replica(&s, 1)->core->base.height >= seen.height, "Q* is the highest of them");
    armed = false;
    scenario_load(&s, 5, 30000);
    scenario_must(&s, bft_hash_equal(&s.world->clusters[0].chain[seen.height].id, &seen.block_id), "what the leader saw is final");
    scenario_restart(&s, LEADER);
    return scenario_end(&s);
}
