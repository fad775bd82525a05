/* Three of four members of a shard serve wrong slices, while they vote honestly: the fourth serves all (D-12, D-23). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "D-12, D-23");
    scenario_start(&s);
    for (uint32_t i = 0; i < 3; i++) scenario_lie(&s, scenario_node(&s, 1, i), "slices,wrong");
    scenario_load(&s, 15, 30000);
    for (uint32_t i = 0; i < 3; i++) scenario_must(&s, scenario_lies(&s, scenario_node(&s, 1, i)) > 0, "all three lied");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_BAD_SLICE) > 0, "it is named");
    return scenario_end(&s);
}
