/* With slow disks each member in turn goes down with writes that never reached the disk (P-1). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "P-1");
    scenario_start(&s);
    for (uint32_t i = 0; i < s.world->node_count; i++) s.world->nodes[i].wal.latency_us = 40000;
    for (uint32_t i = 0; i < s.world->node_count; i++) {
        (void)scenario_try_put(&s, "flying", "then", 20);
        scenario_crash(&s, i);
        scenario_load(&s, 2, 30000);
        scenario_restart(&s, i);
        scenario_run(&s, 500);
    }
    scenario_must(&s, s.stats.faults[SYS_LOST] > 0, "something that was not synced was lost");
    return scenario_end(&s);
}
