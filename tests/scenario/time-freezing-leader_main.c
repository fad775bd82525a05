/* A leader always states the same time (B-24, D-21): what is due is dispatched all the same, by another leader if need be. */
#include "tests/scenario/scenario.h"

/* The leader's proposals say something else than it executed, signed. */
static uint64_t altered;

static bool on_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct bft_message message;
    const struct scenario *s = context;
    if (to.kind != REPLICA_MEMBER || type != BFT_MESSAGE_PROPOSE || !scenario_decode(pieces, *count, type, &message)) return true;
    if (message.propose.vote.signer != 0) return true;
    static uint64_t frozen;
    if (frozen == 0) frozen = message.propose.header.time;
    message.propose.header.time = frozen;
    altered++;
    scenario_encode(scenario_replica(s, 0), &message, pieces, count);
    return true;
}

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-24, D-21");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == 0, "member 0 leads");
    scenario_hook(&s, 0, (struct replica_hooks){.context = &s, .send = on_send});
    scenario_load(&s, 10, 30000);
    scenario_must(&s, altered > 0, "it proposed such a block");
    return scenario_end(&s);
}
