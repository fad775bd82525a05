/*
 * Three of a shard's four members get new keys, one CONFIG after the other (B-45, P-7): what the others remember of the old key at a place is not
 * held against the new one, so each votes, and in the end none of the old keys is needed.
 */
#include "protocol/admin_op.h"
#include "tests/scenario/scenario.h"

enum { SHARD = 1, KEYS = 3 };

static uint32_t place, old[KEYS];

static void next_key(struct scenario *s, uint32_t cluster, struct admin_op *op) {
    sys_admin_put(s->world, op, sys_admin_spare(s->world, cluster), place);
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-45, P-7");
    scenario_with_config(&s);
    scenario_start(&s);
    scenario_load(&s, 5, 20000);
    for (place = 0; place < KEYS; place++) {
        old[place] = scenario_member(&s, SHARD, place);
        scenario_must(&s, scenario_config(&s, SHARD, next_key, 30000), "the new key votes");
        scenario_load(&s, 5, 20000);
    }
    for (place = 0; place < KEYS; place++) scenario_crash(&s, old[place]);
    scenario_load(&s, 5, 20000);
    scenario_must(&s, scenario_epoch(&s, SHARD) == KEYS, "as many CONFIGs took effect");
    return scenario_end(&s);
}
