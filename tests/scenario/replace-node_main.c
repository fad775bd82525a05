/*
 * A member of a shard is replaced by a new node under load; before, the administrators try to replace two of four at once (S-62): so many might take
 * what was committed with them, so that begins no epoch. The new node catches up, and then nothing is decided without it.
 */
#include "protocol/admin_op.h"
#include "tests/scenario/scenario.h"

enum { SHARD = 1, PLACE = 2, OTHER = 1 };

static void two(struct scenario *s, uint32_t cluster, struct admin_op *op) {
    uint32_t spare = sys_admin_spare(s->world, cluster);
    sys_admin_put(s->world, op, spare, PLACE);
    sys_admin_put(s->world, op, spare + 1, PLACE + 1);
}

static void one(struct scenario *s, uint32_t cluster, struct admin_op *op) {
    sys_admin_put(s->world, op, sys_admin_spare(s->world, cluster), PLACE);
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "S-62");
    scenario_with_config(&s);
    scenario_start(&s);
    scenario_load(&s, 10, 20000);
    scenario_must(&s, !scenario_config(&s, SHARD, two, 2000) && scenario_epoch(&s, SHARD) == 0, "two of four are not replaced at once");
    uint32_t before = scenario_member(&s, SHARD, PLACE);
    scenario_must(&s, scenario_config(&s, SHARD, one, 30000), "one is replaced");
    uint32_t after = scenario_member(&s, SHARD, PLACE);
    scenario_must(&s, after != before && scenario_epoch(&s, SHARD) == 1, "by another node");
    scenario_load(&s, 5, 20000);
    scenario_crash(&s, before);
    scenario_crash(&s, scenario_member(&s, SHARD, OTHER));
    scenario_load(&s, 5, 20000);
    scenario_must(&s, scenario_replica(&s, after)->core->memory.has_committed, "nothing is decided without the new one");
    return scenario_end(&s);
}
