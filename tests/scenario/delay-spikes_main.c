/* One message in fifty is late by up to two seconds (B-36): everything is answered. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-36");
    scenario_start(&s);
    s.world->spike_ppm = 20000;
    s.world->spike_us = 2000000;
    scenario_load(&s, 20, 60000);
    scenario_must(&s, s.stats.faults[SYS_DELAY] > 20, "there were spikes");
    s.world->spike_ppm = 0;
    return scenario_end(&s);
}
