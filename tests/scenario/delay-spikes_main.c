/*
 * For a while every message takes 0.4 s, and one in fifty up to two seconds (B-36): no block can be decided within the first time-out of a
 * view, but each view is given twice the time of the one before, so everything is answered.
 */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-36");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    s.world->delay_min_us = 350000;
    s.world->delay_max_us = 400000;
    s.world->spike_ppm = 20000;
    s.world->spike_us = 2000000;
    scenario_load(&s, 8, 60000);
    scenario_must(&s, s.stats.faults[SYS_DELAY] > 20, "there were spikes");
    s.world->spike_ppm = 0;
    return scenario_end(&s);
}
