/* A leader is cut off from everybody (B-50): the others go on, and it catches up. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-50, B-13");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    uint32_t leader = scenario_leader(&s, 0);
    scenario_isolate(&s, leader, true);
    scenario_load(&s, 8, 30000);
    scenario_must(&s, scenario_replica(&s, leader)->tip_height < scenario_height(&s, 0), "it is behind");
    scenario_isolate(&s, leader, false);
    return scenario_end(&s);
}
