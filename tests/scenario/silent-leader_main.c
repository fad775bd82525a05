/* A leader proposes nothing and votes for nothing (B-50, B-31): it is replaced when inputs have waited for their time, and named. */
#include "tests/scenario/scenario.h"

static uint64_t withheld;

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    (void)context;
    (void)pieces;
    (void)count;
    if (to.kind != REPLICA_MEMBER || type < BFT_MESSAGE_PROPOSE || type > BFT_MESSAGE_TC) return true;
    withheld += type == BFT_MESSAGE_PROPOSE;
    return false;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-50");
    scenario_start(&s);
    scenario_load(&s, 3, 5000);
    uint64_t view = scenario_view(&s, 0);
    scenario_hook(&s, scenario_leader(&s, 0), (struct replica_hooks){.send = liar_send});
    (void)scenario_try_put(&s, "x", "y", s.world->system->timeouts.input_relay_ms + 300);
    scenario_must(&s, withheld > 0, "it kept its proposals to itself");
    scenario_must(&s, scenario_view(&s, 0) > view, "it is replaced as soon as an input has waited for its time");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_SILENT_LEADER) > 0, "it is named");
    scenario_load(&s, 20, 20000);
    return scenario_end(&s);
}
