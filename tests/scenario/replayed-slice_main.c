/* A member of a shard serves its oldest slice again and again (D-23). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "D-23");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 1, 1);
    scenario_lie(&s, liar, "slices,stale");
    scenario_load(&s, 30, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, scenario_drops(&s, 0, DROP_SLICE_STALE) > 0, "it is named for what it is");
    return scenario_end(&s);
}
