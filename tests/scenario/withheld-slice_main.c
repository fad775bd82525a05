/* A member of a shard serves no slices: its subscribers turn to the next one and name it (D-23). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "D-23");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 1, 0);
    scenario_lie(&s, liar, "withhold,decisions");
    scenario_load(&s, 30, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_WITHHELD_SLICE) > 0, "it is named");
    return scenario_end(&s);
}
