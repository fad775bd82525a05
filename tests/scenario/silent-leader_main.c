/* A leader that proposes nothing is replaced, named, and costs no more than its view (B-50, B-31). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-50");
    scenario_start(&s);
    scenario_load(&s, 3, 5000);
    uint32_t leader = scenario_leader(&s, 0);
    uint64_t view = scenario_view(&s, 0);
    sys_liar_make(s.world, leader, "withhold,proposals");
    scenario_crash(&s, leader);
    scenario_restart(&s, leader); /* with the hooks in */
    scenario_load(&s, 5, 20000);
    scenario_must(&s, scenario_view(&s, 0) > view, "the view was changed");
    scenario_load(&s, 20, 20000);
    return scenario_end(&s);
}
