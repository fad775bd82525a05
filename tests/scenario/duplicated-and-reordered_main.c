/* Everything comes twice, and in any order (B-18, O-40). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-18, O-40");
    scenario_start(&s);
    s.world->duplicate_ppm = 1000000;
    s.world->delay_max_us = 30000;
    for (int64_t i = 1; i <= 20; i++) scenario_must(&s, scenario_add(&s, "sum", 1, 30000) == i, "each ADD counts once");
    scenario_must(&s, s.stats.faults[SYS_DUPLICATE] > 100, "much came twice");
    s.world->duplicate_ppm = 0;
    return scenario_end(&s);
}
