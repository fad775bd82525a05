/* A member comes back with the disk of a while ago (P-7, P-15): the others know what it signed since; it retires its key and votes no more. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "P-7, P-15");
    scenario_start(&s);
    struct sys_node *node = &s.world->nodes[scenario_node(&s, 0, 2)];
    struct wal old;
    scenario_load(&s, 5, 20000);
    sys_disk_init(s.world, &old);
    sys_disk_copy(&old, &node->wal);
    scenario_load(&s, 10, 20000);
    scenario_crash(&s, scenario_node(&s, 0, 2));
    node->doubtful = true;
    sys_disk_copy(&node->wal, &old);
    sys_disk_free(&old);
    scenario_restart(&s, scenario_node(&s, 0, 2));
    scenario_run(&s, 2000);
    scenario_must(&s, scenario_replica(&s, scenario_node(&s, 0, 2))->retired, "it retired its key");
    scenario_load(&s, 10, 20000);
    return scenario_end(&s);
}
