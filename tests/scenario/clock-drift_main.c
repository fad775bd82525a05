/* Clocks run a tenth too fast and too slow (B-24): nobody is deposed for it. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-24");
    scenario_start(&s);
    uint64_t view = scenario_view(&s, 0);
    for (uint32_t i = 0; i < s.world->node_count; i++) sys_node_clock(s.world, i, i % 2 == 0 ? 100000 : -100000, 0);
    scenario_load(&s, 60, 20000);
    scenario_must(&s, scenario_view(&s, 0) == view, "the view is the same");
    return scenario_end(&s);
}
