/* Round trips of 40 ms between all nodes, default time-outs (B-36): no false view change. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-36");
    s.config.view_base_ms = 1000;
    scenario_start(&s);
    s.world->delay_min_us = 20000;
    s.world->delay_max_us = 21000;
    scenario_load(&s, 40, 20000);
    scenario_must(&s, scenario_view(&s, 0) == 0 && scenario_view(&s, 1) == 0, "nobody gave a view up");
    return scenario_end(&s);
}
