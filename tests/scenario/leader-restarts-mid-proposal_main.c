/* A leader goes down while its proposals are under way, again and again, and comes back in its own view (B-61, P-1). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-61, P-1");
    scenario_start(&s);
    for (uint32_t i = 0; i < s.world->node_count; i++) s.world->nodes[i].wal.latency_us = 60000;
    for (int round = 0; round < 12; round++) {
        uint32_t leader = scenario_leader(&s, 0);
        (void)scenario_try_put(&s, "mid", "way", 2 + (uint64_t)round);
        scenario_crash(&s, leader);
        scenario_run(&s, 20);
        scenario_restart(&s, leader);
        scenario_load(&s, 1, 30000);
    }
    scenario_must(&s, s.stats.faults[SYS_LOST] > 0, "something that was not synced was lost");
    return scenario_end(&s);
}
