/* A coordinator cluster loses more nodes than it can spare, whichever a client had chosen: clients turn to another one (O-50). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "O-50");
    s.config.coordinators = 2;
    scenario_start(&s);
    scenario_load(&s, 3, 30000);
    for (uint32_t cluster = 0; cluster < 2; cluster++) {
        for (uint32_t member = 0; member < 4; member++) scenario_crash(&s, scenario_node(&s, cluster, member));
        scenario_load(&s, 5, 30000);
        for (uint32_t member = 0; member < 4; member++) scenario_restart(&s, scenario_node(&s, cluster, member));
        scenario_run(&s, 5000);
    }
    return scenario_end(&s);
}
