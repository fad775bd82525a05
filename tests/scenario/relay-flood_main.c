/*
 * A relay sends the others far more than its share of batches, garbage, and writes with bad signatures (D-5): what is beyond its limit is dropped
 * and named, and what other relays bring is decided as before.
 */
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "D-5");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    for (uint32_t i = 0; i < s.world->node_count; i++) {
        if (s.world->nodes[i].cluster_index == 0) scenario_replica(&s, i)->config.limits.relay_bytes_max = 1 << 20;
    }
    uint32_t liar = scenario_node(&s, 0, 2);
    scenario_lie(&s, liar, "flood");
    scenario_load(&s, 20, 30000);
    scenario_must(&s, scenario_lies(&s, liar) > 0, "it flooded them");
    scenario_must(&s, scenario_drops(&s, 0, DROP_INPUT_LIMIT) > 0, "what is beyond its limit is dropped");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_FLOOD) > 0, "it is named");
    return scenario_end(&s);
}
