/*
 * A leader keeps its proposals from one member, and its own COMMITs from all (B-22, B-73): nothing is decided without that member's COMMIT, which it
 * gives for a prepare QC without having the block; and it fetches from the others by id what they vote for.
 */
#include "tests/scenario/scenario.h"

enum { LEADER = 0, DEPRIVED = 3, PUTS = 48 };

static uint64_t withheld;

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct bft_message message;
    (void)context;
    if (to.kind != REPLICA_MEMBER) return true;
    if (type == BFT_MESSAGE_COMMIT) return false;
    if (type == BFT_MESSAGE_QC) return scenario_decode(pieces, *count, type, &message) && message.qc.kind == BFT_PREPARE;
    if (to.member != DEPRIVED || (type != BFT_MESSAGE_PROPOSE && type != BFT_MESSAGE_BLOCK)) return true;
    withheld += type == BFT_MESSAGE_PROPOSE;
    return false;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-22, B-73");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == LEADER, "member 0 leads");
    uint64_t view = scenario_view(&s, 0);
    scenario_hook(&s, LEADER, (struct replica_hooks){.send = liar_send});
    for (int i = 0; i < PUTS; i++) {
        scenario_put(&s, "x", "y", 5000);
        scenario_run(&s, 400); /* the leader is asked first, in vain */
        scenario_must(&s, scenario_replica(&s, DEPRIVED)->tip_height + 2 >= scenario_height(&s, 0), "the deprived member is with the others");
    }
    scenario_must(&s, withheld >= PUTS, "it got no proposal");
    scenario_must(&s, scenario_view(&s, 0) == view, "the view is the same: all was decided in it");
    return scenario_end(&s);
}
