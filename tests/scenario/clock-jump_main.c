/*
 * The clocks of two nodes jump by hours while they run, and their calendars too (B-24): at most a view is lost, and cluster time
 * does not jump with them.
 */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-24");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    sys_node_clock(s.world, scenario_leader(&s, 0), 0, UINT64_C(7200000000));
    sys_node_clock(s.world, scenario_node(&s, 1, 2), 0, UINT64_C(3600000000));
    scenario_load(&s, 15, 60000);
    uint64_t now_ms = UINT64_C(1700000000000) + s.world->now_us / 1000;
    scenario_must(&s, scenario_replica(&s, 1)->tip_time < now_ms + 3000, "cluster time is near the clocks");
    uint32_t node = scenario_node(&s, 0, 3);
    s.world->nodes[node].wall_offset_ms = -86400000;
    scenario_crash(&s, node);
    scenario_restart(&s, node);
    scenario_load(&s, 10, 60000);
    return scenario_end(&s);
}
