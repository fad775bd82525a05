/* A coordinator cluster loses more nodes than it can spare: clients turn to another one (O-50). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "O-50");
    s.config.coordinators = 2;
    scenario_start(&s);
    scenario_load(&s, 3, 30000);
    scenario_crash(&s, scenario_node(&s, 0, 0));
    scenario_crash(&s, scenario_node(&s, 0, 3));
    scenario_load(&s, 10, 30000);
    scenario_restart(&s, scenario_node(&s, 0, 0));
    scenario_restart(&s, scenario_node(&s, 0, 3));
    return scenario_end(&s);
}
