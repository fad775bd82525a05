/*
 * Everything comes twice and in any order, and now one coordinator's answers are lost, now the other's, so that the client has each write decided by
 * both (B-18, O-41): each counts once.
 */
#include "tests/scenario/scenario.h"

static void answers_cut(struct scenario *s, uint32_t cluster, bool cut) {
    for (uint32_t i = 0; i < s->config.n; i++) sys_link_cut(s->world, scenario_node(s, cluster, i), s->world->node_count, cut);
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-18, O-41");
    s.config.coordinators = 2;
    scenario_start(&s);
    s.world->duplicate_ppm = 1000000;
    s.world->delay_max_us = 30000;
    for (int64_t i = 1; i <= 10; i++) {
        answers_cut(&s, (uint32_t)(i % 2), true);
        scenario_must(&s, scenario_add(&s, "sum", 1, 60000) == i, "each ADD counts once");
        answers_cut(&s, (uint32_t)(i % 2), false);
    }
    scenario_must(&s, s.stats.faults[SYS_DUPLICATE] > 1000, "much came twice");
    s.world->duplicate_ppm = 0;
    return scenario_end(&s);
}
