/*
 * Every message takes 0.4 s for good (B-55): what is handed to a leader is decided after 1.2 s at the earliest, longer than the time-outs of a calm
 * system, whoever leads. Each view decides a little and is deposed; after some of those the members give their leaders more time, and the views end.
 * Calm again, they take it back.
 */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

static uint32_t strain_most(struct scenario *s) {
    uint32_t most = 0;
    for (uint32_t member = 0; member < 4; member++) {
        static struct status_replica status;
        replica_status(scenario_replica(s, scenario_node(s, 0, member)), &status);
        scenario_must(s, status.strain == bft_core_strain(scenario_replica(s, scenario_node(s, 0, member))->core), "status shows the strain");
        if (status.strain > most) most = status.strain;
    }
    return most;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-55");
    s.config.view_base_ms = 1000;
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    s.world->delay_min_us = 390000;
    s.world->delay_max_us = 400000;
    (void)scenario_crowd(s.world, 16, 120000);
    scenario_must(&s, scenario_view(&s, 0) >= 2, "leaders were deposed for what was nobody's fault");
    scenario_must(&s, strain_most(&s) > 0, "time-outs became longer");
    uint64_t view = scenario_view(&s, 0);
    scenario_must(&s, scenario_crowd(s.world, 16, 120000) > 0, "writes are answered");
    scenario_must(&s, scenario_view(&s, 0) <= view + 1, "the views have settled");
    s.world->delay_min_us = 100;
    s.world->delay_max_us = 200;
    (void)scenario_crowd(s.world, 2, 120000);
    scenario_must(&s, strain_most(&s) == 0, "calm again, time-outs are short again");
    return scenario_end(&s);
}
