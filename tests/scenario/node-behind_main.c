/* A member is away while 200 blocks are decided, and catches up without slowing the others (B-13). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-13");
    scenario_start(&s);
    uint32_t node = scenario_node(&s, 1, 1);
    scenario_load(&s, 3, 20000);
    scenario_crash(&s, node);
    scenario_load(&s, 100, 20000);
    scenario_restart(&s, node);
    scenario_must(&s, scenario_replica(&s, node)->tip_height + 20 < scenario_height(&s, 1), "it is far behind");
    scenario_load(&s, 20, 20000);
    return scenario_end(&s);
}
