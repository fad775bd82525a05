/* Two fifths of all messages are lost for a while (B-13, D-23): everything is asked for again. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-13, D-23");
    scenario_start(&s);
    s.world->loss_ppm = 400000;
    scenario_load(&s, 15, 120000);
    scenario_must(&s, s.stats.faults[SYS_LOSS] > 100, "much was lost");
    s.world->loss_ppm = 0;
    return scenario_end(&s);
}
