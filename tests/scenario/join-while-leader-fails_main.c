/*
 * A new node takes a member's place, and the leader goes down in the moment in which the epoch begins (B-45, B-74): the new one counts for the
 * quorum at once, so nothing is decided before it has caught up to CONFIG; then all goes on.
 */
#include "protocol/admin_op.h"
#include "tests/scenario/scenario.h"

enum { SHARD = 1, PLACE = 3 };

static void change(struct scenario *s, uint32_t cluster, struct admin_op *op) {
    sys_admin_put(s->world, op, sys_admin_spare(s->world, cluster), PLACE);
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-45, B-74");
    scenario_with_config(&s);
    scenario_start(&s);
    scenario_load(&s, 20, 20000);
    scenario_config_sign(&s, SHARD, change);
    for (uint32_t ms = 0; ms < 20000 && scenario_epoch(&s, SHARD) == 0; ms++) {
        if (ms % 200 == 0) sys_admin_hand_in(s.world, SHARD);
        scenario_run(&s, 1);
    }
    scenario_must(&s, scenario_epoch(&s, SHARD) == 1, "the epoch begins");
    uint32_t leader = scenario_member(&s, SHARD, 0), new = scenario_member(&s, SHARD, PLACE);
    scenario_must(&s, s.world->nodes[new].spare, "with a new node");
    scenario_crash(&s, leader);
    scenario_load(&s, 5, 60000);
    scenario_must(&s, scenario_replica(&s, new)->core->memory.has_committed, "it was needed for that");
    scenario_restart(&s, leader);
    return scenario_end(&s);
}
