/* A leader's disk takes 400 ms for each commit (B-50, B-61): it is replaced or waited for, and everything is answered. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-50, B-61");
    scenario_start(&s);
    scenario_load(&s, 5, 20000);
    s.world->nodes[scenario_leader(&s, 0)].wal.latency_us = 400000;
    s.world->nodes[scenario_leader(&s, 1)].wal.latency_us = 400000;
    scenario_load(&s, 12, 60000);
    return scenario_end(&s);
}
