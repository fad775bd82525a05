/* A member votes twice for each place: the first counts, the other is evidence (B-18). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-18");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 0, 3);
    scenario_lie(&s, liar, "equivocate");
    scenario_load(&s, 12, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_EQUIVOCATION) > 0, "the others name it");
    return scenario_end(&s);
}
