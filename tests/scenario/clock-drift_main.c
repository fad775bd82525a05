/*
 * For almost an hour clocks run 400 ppm too fast and too slow (B-24), so that untended they would be more than a second apart: each estimate of
 * cluster time follows the final headers, and no block of a fast leader has to wait.
 */
#include "tests/scenario/scenario.h"

enum { HOUR_S = 3300, PPM = 400 };

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-24");
    s.config.view_base_ms = 1000;
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    uint64_t view = scenario_view(&s, 0);
    for (uint32_t i = 0; i < s.world->node_count; i++) sys_node_clock(s.world, i, i % 4 == 0 ? PPM : -PPM, 0);
    for (uint32_t i = 0; i < HOUR_S / 30; i++) {
        scenario_run(&s, 30000);
        uint64_t before = s.world->now_us;
        scenario_put(&s, "x", "y", 10000);
        scenario_must(&s, s.world->now_us - before < 500000, "no block has to wait for slower clocks");
    }
    scenario_must(&s, scenario_view(&s, 0) == view, "the view is the same");
    return scenario_end(&s);
}
