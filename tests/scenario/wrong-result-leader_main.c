/* A leader proposes roots that execution does not give: nobody prepares them, it is replaced (B-21 e). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-21");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 0, 0); /* the first leader */
    scenario_lie(&s, liar, "result");
    scenario_load(&s, 12, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_WRONG_RESULT) > 0, "the others name it");
    return scenario_end(&s);
}
