/* A member comes back without any disk (P-3, P-7): it learns what it signed from the others and signs nothing against it. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "P-3, P-7");
    scenario_start(&s);
    struct sys_node *node = &s.world->nodes[scenario_node(&s, 0, 1)];
    scenario_load(&s, 8, 20000);
    scenario_crash(&s, scenario_node(&s, 0, 1));
    node->doubtful = true;
    sys_disk_clear(&node->wal);
    sys_state_clear(&node->state);
    scenario_restart(&s, scenario_node(&s, 0, 1));
    scenario_load(&s, 10, 20000);
    scenario_must(&s, scenario_replica(&s, scenario_node(&s, 0, 1))->retired, "it retired its key");
    return scenario_end(&s);
}
