/* A leader needs 20 ms for each message: the others wait, or replace it; everything is answered (B-50, B-52). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-50, B-52");
    scenario_start(&s);
    scenario_load(&s, 5, 20000);
    s.world->nodes[scenario_leader(&s, 0)].slow_us = 20000;
    scenario_load(&s, 20, 30000);
    return scenario_end(&s);
}
