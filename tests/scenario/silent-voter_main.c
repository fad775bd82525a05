/* A member sends no vote: q others are enough (B-6). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-6");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 0, 2);
    scenario_lie(&s, liar, "withhold,votes");
    scenario_load(&s, 12, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    return scenario_end(&s);
}
