/* A leader never proposes the inputs of one client: the others saw them wait, and replace it (B-50). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-50");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 0, 0); /* the first leader */
    scenario_lie(&s, liar, "censor,0");
    scenario_load(&s, 8, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_SILENT_LEADER) > 0, "it is replaced");
    return scenario_end(&s);
}
