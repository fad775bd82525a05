/* A member says nothing of consensus (B-6): q others are enough, and nobody misses it. */
#include "tests/scenario/scenario.h"

enum { LIAR = 2 };

static uint64_t withheld;

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    (void)context;
    (void)pieces;
    (void)count;
    if (to.kind != REPLICA_MEMBER || type < BFT_MESSAGE_PROPOSE || type > BFT_MESSAGE_NOOP) return true;
    withheld++;
    return false;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-6");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    uint64_t view = scenario_view(&s, 0);
    scenario_hook(&s, LIAR, (struct replica_hooks){.send = liar_send});
    scenario_load(&s, 12, 30000);
    scenario_must(&s, withheld > 0, "it kept its votes to itself");
    scenario_must(&s, scenario_view(&s, 0) == view, "nobody missed it");
    return scenario_end(&s);
}
