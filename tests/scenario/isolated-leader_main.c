/* A leader is cut off from everybody (B-50): the others go on, and it catches up. */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-50, B-13");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    uint32_t leader = scenario_leader(&s, 0);
    scenario_prefer(s.world, (leader + 2) % 4);
    scenario_isolate(&s, leader, true);
    (void)scenario_try_put(&s, "x", "y", s.world->system->timeouts.input_relay_ms + 300);
    scenario_must(&s, scenario_replica(&s, (leader + 1) % 4)->core->memory.view > 0, "it is replaced as soon as an input has waited for its time");
    scenario_load(&s, 8, 30000);
    scenario_must(&s, scenario_replica(&s, leader)->tip_height < scenario_height(&s, 0), "it is behind");
    scenario_isolate(&s, leader, false);
    return scenario_end(&s);
}
