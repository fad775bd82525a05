/* A member of a shard serves slices with one signature too few (D-12, B-6). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "D-12, B-6");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 1, 1);
    scenario_lie(&s, liar, "slices,quorum");
    scenario_load(&s, 30, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_BAD_SLICE) > 0, "it is named");
    return scenario_end(&s);
}
