/*
 * A bit of a checkpoint flips, and no checksum of the disk tells (P-31, P-36): its entries do not give the certified root, so the node takes nothing
 * from it, and begins again from its peers' checkpoint.
 */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "P-36");
    s.config.checkpoint_blocks = 16;
    scenario_start(&s);
    uint32_t node = scenario_node(&s, 1, 3);
    scenario_load(&s, 40, 20000);
    scenario_must(&s, s.world->nodes[node].state.has, "there is a checkpoint");
    scenario_must(&s, sys_state_flip(&s.world->nodes[node].state), "a bit flipped");
    scenario_crash(&s, node);
    scenario_restart(&s, node);
    scenario_must(&s, s.world->nodes[node].up && scenario_replica(&s, node)->tip_height == 0, "it begins from nothing");
    scenario_load(&s, 10, 20000);
    scenario_run(&s, 5000);
    scenario_must(&s, s.stats.transfers > 0, "it took a checkpoint");
    return scenario_end(&s);
}
