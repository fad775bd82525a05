/* A member of a shard votes for another result than execution gave: its votes count for nothing (B-6). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-6");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 1, 2);
    scenario_lie(&s, liar, "result");
    scenario_load(&s, 12, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    return scenario_end(&s);
}
