/* A value in the memory of one shard node changes, with a good checksum: its next block differs, it votes no more (B-26). */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-26");
    scenario_start(&s);
    uint32_t liar = scenario_node(&s, 1, 3);
    scenario_lie(&s, liar, "corrupt,write");
    scenario_load(&s, 30, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it lied");
    scenario_must(&s, s.world->nodes[liar].broken, "it stopped by itself");
    return scenario_end(&s);
}
