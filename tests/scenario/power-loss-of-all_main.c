/* All nodes lose power at once, unsynced writes with it: nothing acknowledged is lost, nothing happens twice (P-1, O-40). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "P-1, O-40");
    scenario_start(&s);
    for (uint32_t i = 0; i < s.world->node_count; i++) s.world->nodes[i].wal.latency_us = 30000;
    for (int64_t round = 1; round <= 4; round++) {
        for (int64_t i = 1; i <= 3; i++) scenario_must(&s, scenario_add(&s, "sum", 1, 30000) == 3 * (round - 1) + i, "each ADD counts once");
        (void)scenario_try_put(&s, "flying", "then", 15);
        for (uint32_t i = 0; i < s.world->node_count; i++) scenario_crash(&s, i);
        scenario_run(&s, 100);
        for (uint32_t i = 0; i < s.world->node_count; i++) scenario_restart(&s, i);
    }
    scenario_must(&s, s.stats.faults[SYS_LOST] > 0, "something that was not synced was lost");
    scenario_must(&s, scenario_add(&s, "sum", 0, 30000) == 12, "all that was acknowledged is there");
    return scenario_end(&s);
}
