/*
 * Bits of inputs flip on a node's disk (P-22): the blocks that name them cannot be replayed, and the node fetches what it lacks. What it fetched lies
 * on its disk again: the next start goes through all of it. Otherwise each start would end below those blocks anew.
 */
#include "appliance/node/node.h"
#include "tests/scenario/scenario.h"

static uint32_t inputs_damage(struct wal *wal) {
    uint32_t damaged = 0;
    for (uint32_t i = 0; i < wal->bucket_count; i++) {
        for (struct sys_record *record = wal->buckets[i]; record != NULL; record = record->next) {
            if (record->db != WAL_INPUTS) continue;
            record->damaged = true;
            damaged++;
        }
    }
    return damaged;
}

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "P-22");
    scenario_start(&s);
    uint32_t node = scenario_node(&s, 1, 3);
    scenario_load(&s, 20, 20000);
    uint64_t height = scenario_height(&s, 1);
    scenario_crash(&s, node);
    scenario_must(&s, inputs_damage(&s.world->nodes[node].wal) > 0, "it has inputs");
    scenario_restart(&s, node);
    scenario_must(&s, scenario_replica(&s, node)->tip_height < height, "it cannot replay them");
    scenario_load(&s, 10, 20000);
    scenario_run(&s, 5000);
    scenario_must(&s, scenario_replica(&s, node)->tip_height >= height, "it has fetched them");
    scenario_crash(&s, node);
    scenario_restart(&s, node);
    scenario_must(&s, scenario_replica(&s, node)->tip_height >= height, "they are on its disk again");
    return scenario_end(&s);
}
