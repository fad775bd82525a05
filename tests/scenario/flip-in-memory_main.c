/*
 * Values in the memory of a shard node flip, as bad memory does it (P-2, P-21): the checksum of an entry is looked at whenever it is read, so the
 * node says that its memory is at fault and stops, before it answers with such a value or votes for it.
 */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "P-2");
    scenario_start(&s);
    uint32_t node = scenario_node(&s, 1, 3);
    scenario_put(&s, "key", "value", 20000);
    scenario_lie(&s, node, "corrupt,flip");
    scenario_put(&s, "other", "value", 20000);
    for (int i = 0; i < 10; i++) scenario_get(&s, "key", "value", 20000);
    scenario_must(&s, scenario_lies(&s, node) > 0, "values flipped");
    scenario_must(&s, s.world->nodes[node].broken, "the node stopped by itself");
    scenario_must(&s, !scenario_reached(&s, "state_diverged"), "before it executed anything to something else");
    return scenario_end(&s);
}
