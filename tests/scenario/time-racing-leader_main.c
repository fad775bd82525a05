/* A leader states times a minute ahead (B-24): its blocks wait, cluster time does not run away. */
#include "tests/scenario/scenario.h"

static void alter(struct bft_header *header) {
    header->time += 60000;
}

static void judge(struct scenario *s) {
    uint64_t now_ms = UINT64_C(1700000000000) + s->world->now_us / 1000;
    scenario_must(s, scenario_replica(s, 1)->tip_time < now_ms + 3000, "cluster time is near the clocks");
}

int main(int argc, char **argv) {
    return scenario_false_leader(argc, argv, "B-24", alter, judge);
}
