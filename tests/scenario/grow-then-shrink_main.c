/*
 * A shard grows from four to seven members under load and shrinks again (B-1): with seven it bears two that are down, as a quorum is always n - f of
 * those that are members now.
 */
#include "protocol/admin_op.h"
#include "tests/scenario/scenario.h"

enum { SHARD = 1 };

static void grow(struct scenario *s, uint32_t cluster, struct admin_op *op) {
    sys_admin_put(s->world, op, sys_admin_spare(s->world, cluster), op->config.members.count++);
}

static void shrink(struct scenario *s, uint32_t cluster, struct admin_op *op) {
    (void)s;
    (void)cluster;
    op->config.members.count--;
    memset(&op->config.members.members[op->config.members.count], 0, sizeof op->config.members.members[0]);
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-1");
    scenario_with_config(&s);
    scenario_start(&s);
    scenario_load(&s, 5, 20000);
    for (uint32_t n = 5; n <= 7; n++) {
        scenario_must(&s, scenario_config(&s, SHARD, grow, 30000), "the cluster grows by one");
        scenario_load(&s, 5, 20000);
    }
    scenario_run(&s, 2000); /* who was new was to be started within that time: now nobody else starts it */
    uint32_t down[] = {scenario_member(&s, SHARD, 2), scenario_member(&s, SHARD, 6)};
    for (uint32_t i = 0; i < 2; i++) scenario_crash(&s, down[i]);
    scenario_load(&s, 10, 20000);
    for (uint32_t i = 0; i < 2; i++) scenario_restart(&s, down[i]);
    scenario_run(&s, 2000);
    for (uint32_t n = 6; n >= 4; n--) {
        scenario_must(&s, scenario_config(&s, SHARD, shrink, 30000), "the cluster shrinks by one");
        scenario_load(&s, 5, 20000);
    }
    scenario_must(&s, scenario_epoch(&s, SHARD) == 6, "six CONFIGs took effect");
    return scenario_end(&s);
}
