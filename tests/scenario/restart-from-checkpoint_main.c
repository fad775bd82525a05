/* A member restarts from a checkpoint and the blocks above it (P-30, P-33). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "P-30, P-33");
    s.config.checkpoint_blocks = 16;
    scenario_start(&s);
    for (uint32_t i = 0; i < s.world->node_count; i++) {
        scenario_load(&s, 20, 20000);
        uint64_t height = scenario_replica(&s, i)->tip_height;
        scenario_crash(&s, i);
        scenario_must(&s, s.world->nodes[i].state.has, "there is a checkpoint");
        scenario_run(&s, 50);
        scenario_restart(&s, i);
        scenario_must(&s, s.world->nodes[i].up, "it starts from it");
        scenario_must(&s, scenario_replica(&s, i)->tip_height + 1 >= height, "and executes again what lies above it");
    }
    return scenario_end(&s);
}
