/* A bit of the voting memory flips (P-2, P-15): that is not the same as having none. The node does not start, and so signs nothing a second time. */
#include "appliance/node/node.h"
#include "tests/scenario/scenario.h"

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "P-2");
    scenario_start(&s);
    uint32_t node = scenario_node(&s, 1, 3);
    scenario_load(&s, 20, 20000);
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    (void)wal_key_vote(key, WAL_VOTE_CORE, 0, 0, 0);
    s.world->nodes[node].doubtful = true;
    scenario_crash(&s, node);
    struct sys_record *memory = (struct sys_record *)(uintptr_t)sys_disk_find(&s.world->nodes[node].wal, WAL_VOTES, key);
    scenario_must(&s, memory != NULL, "it has voted");
    memory->damaged = true;
    scenario_restart(&s, node);
    scenario_must(&s, !s.world->nodes[node].up, "it does not start");
    scenario_load(&s, 10, 20000);
    return scenario_end(&s);
}
