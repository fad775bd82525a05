/* One member needs 20 ms for each message: nobody waits for it (B-6). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-6");
    scenario_start(&s);
    scenario_load(&s, 5, 20000);
    s.world->nodes[scenario_node(&s, 0, 3)].slow_us = 20000;
    s.world->nodes[scenario_node(&s, 1, 2)].slow_us = 20000;
    uint64_t before = s.world->now_us;
    scenario_load(&s, 30, 20000);
    scenario_must(&s, s.world->now_us - before < 30 * 400000, "a put takes less than 400 ms");
    return scenario_end(&s);
}
