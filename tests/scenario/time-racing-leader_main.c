/* A leader states times a minute ahead (B-24): its blocks wait, cluster time does not run away. */
#include "tests/scenario/scenario.h"

/* The leader's proposals say something else than it executed, signed. */
static uint64_t altered;

static bool on_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct bft_message message;
    const struct scenario *s = context;
    if (to.kind != REPLICA_MEMBER || type != BFT_MESSAGE_PROPOSE || !scenario_decode(pieces, *count, type, &message)) return true;
    if (message.propose.vote.signer != 0) return true;
    message.propose.header.time += 60000;
    altered++;
    scenario_encode(scenario_replica(s, 0), &message, pieces, count);
    return true;
}

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-24");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == 0, "member 0 leads");
    scenario_hook(&s, 0, (struct replica_hooks){.context = &s, .send = on_send});
    scenario_load(&s, 10, 30000);
    scenario_must(&s, altered > 0, "it proposed such a block");
    scenario_must(&s, scenario_replica(&s, 1)->tip_time < UINT64_C(1700000000000) + s.world->now_us / 1000 + 3000, "cluster time is near the clocks");
    return scenario_end(&s);
}
