/* A cluster is cut into two halves (B-6): neither decides anything, and afterwards they are one again. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-6");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    for (uint32_t a = 0; a < 2; a++) {
        for (uint32_t b = 2; b < 4; b++) scenario_cut(&s, scenario_node(&s, 0, a), scenario_node(&s, 0, b), true);
    }
    scenario_run(&s, 500);
    uint64_t height = scenario_height(&s, 0);
    scenario_must(&s, !scenario_try_put(&s, "x", "y", 3000), "nothing is answered");
    scenario_must(&s, scenario_height(&s, 0) == height, "nothing is decided");
    for (uint32_t a = 0; a < 2; a++) {
        for (uint32_t b = 2; b < 4; b++) scenario_cut(&s, scenario_node(&s, 0, a), scenario_node(&s, 0, b), false);
    }
    scenario_load(&s, 5, 30000);
    return scenario_end(&s);
}
