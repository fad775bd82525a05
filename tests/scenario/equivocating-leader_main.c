/* A leader proposes two blocks for each height: no two are final, its two signatures are named (B-18, B-21), and it has lost its view long before the
 * timer of B-36 would end it. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-18, B-21");
    scenario_start(&s);
    scenario_load(&s, 3, 5000);
    uint64_t view = scenario_view(&s, 0);
    uint32_t liar = scenario_leader(&s, 0);
    scenario_lie(&s, liar, "equivocate");
    (void)scenario_try_put(&s, "x", "y", s.world->system->timeouts.view_base_ms / 4);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_EQUIVOCATION) > 0, "the others name it");
    scenario_must(&s, scenario_view(&s, 0) > view, "it loses its view at once");
    scenario_load(&s, 12, 30000);
    return scenario_end(&s);
}
