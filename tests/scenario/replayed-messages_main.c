/* A member sends old messages of its own again and again: nothing of it counts twice (B-18, D-5). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-18, D-5");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 0, 1);
    scenario_lie(&s, liar, "replay");
    scenario_load(&s, 12, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    return scenario_end(&s);
}
