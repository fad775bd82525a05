/* What a leader sends is lost, what others send reaches it (B-50): it is replaced, and comes back. */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-50");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    uint32_t leader = scenario_leader(&s, 0);
    uint64_t view = scenario_view(&s, 0);
    scenario_prefer(s.world, (leader + 2) % 4);
    for (uint32_t other = 0; other < s.world->node_count; other++) {
        if (other != leader) sys_link_cut(s.world, leader, other, true);
    }
    (void)scenario_try_put(&s, "x", "y", s.world->system->timeouts.input_relay_ms + 300);
    scenario_must(&s, scenario_view(&s, 0) > view, "it is replaced as soon as an input has waited for its time");
    scenario_load(&s, 8, 30000);
    for (uint32_t other = 0; other < s.world->node_count; other++) {
        if (other != leader) sys_link_cut(s.world, leader, other, false);
    }
    scenario_load(&s, 3, 30000);
    return scenario_end(&s);
}
