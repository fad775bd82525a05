/* Links go up and down all the time (D-23, D-24, B-13): what was lost is fetched. */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "D-23, B-13");
    scenario_start(&s);
    for (int round = 0; round < 60; round++) {
        uint32_t a = (uint32_t)sys_random(s.world, s.world->node_count), b = (uint32_t)sys_random(s.world, s.world->node_count);
        if (sys_link_known(s.world, a, b) && sys_link_of(s.world, a, b)->up) {
            sys_link_set(s.world, a, b, false);
            sys_link_later(s.world, a, b, 30000);
        }
        scenario_load(&s, 1, 30000);
    }
    return scenario_end(&s);
}
