/* A bit of a checkpoint flips (P-31): the node finds it when it starts, and does not start from it. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "P-31");
    s.config.checkpoint_blocks = 16;
    scenario_start(&s);
    uint32_t node = scenario_node(&s, 1, 3);
    scenario_load(&s, 40, 20000);
    scenario_must(&s, s.world->nodes[node].state.has, "there is a checkpoint");
    s.world->nodes[node].doubtful = true;
    scenario_must(&s, sys_state_damage(s.world, &s.world->nodes[node].state), "a bit flipped");
    scenario_crash(&s, node);
    scenario_restart(&s, node);
    scenario_must(&s, !s.world->nodes[node].up, "it does not start");
    scenario_load(&s, 10, 20000);
    return scenario_end(&s);
}
