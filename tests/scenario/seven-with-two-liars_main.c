/* A cluster of seven with an equivocating leader and a member that votes for nothing (B-1, B-6). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-1, B-6");
    s.config.n = 7;
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_lie(&s, scenario_leader(&s, 0), "equivocate");
    scenario_lie(&s, scenario_node(&s, 0, 5), "withhold,votes");
    scenario_lie(&s, scenario_node(&s, 1, 4), "slices,wrong");
    scenario_lie(&s, scenario_node(&s, 1, 1), "withhold,decisions");
    scenario_load(&s, 15, 60000);
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_EQUIVOCATION) > 0, "the leader is named");
    return scenario_end(&s);
}
