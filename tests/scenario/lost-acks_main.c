/*
 * Whatever acknowledges the shard's answers is lost for a while, and the shard's nodes restart meanwhile (D-17, D-22): it keeps them all, from its
 * disk too; acknowledgements are cumulative, so the first that comes through again settles everything.
 */
#include "tests/scenario/scenario.h"

static bool settled(struct scenario *s) {
    for (uint32_t i = 0; i < 4; i++) {
        const struct pair *pair = &scenario_replica(s, scenario_node(s, 1, i))->pairs[0];
        if (pair->items_first != pair->items_end || pair->sent_final == 0) return false;
    }
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "D-17, D-22");
    scenario_start(&s);
    scenario_load(&s, 5, 20000);
    scenario_must(&s, !settled(&s), "the newest answer is not acknowledged yet");
    for (uint32_t a = 0; a < 4; a++) {
        for (uint32_t b = 0; b < 4; b++) sys_link_cut(s.world, scenario_node(&s, 0, a), scenario_node(&s, 1, b), true);
    }
    (void)scenario_try_put(&s, "x", "y", 500);
    uint64_t kept = scenario_replica(&s, scenario_node(&s, 1, 0))->pairs[0].items_first;
    for (uint32_t i = 0; i < 4; i++) scenario_crash(&s, scenario_node(&s, 1, i));
    for (uint32_t i = 0; i < 4; i++) scenario_restart(&s, scenario_node(&s, 1, i));
    scenario_run(&s, 500);
    const struct pair *pair = &scenario_replica(&s, scenario_node(&s, 1, 0))->pairs[0];
    scenario_must(&s, pair->items_first == kept && pair->items_end > kept, "it still has what nobody acknowledged");
    for (uint32_t a = 0; a < 4; a++) {
        for (uint32_t b = 0; b < 4; b++) sys_link_cut(s.world, scenario_node(&s, 0, a), scenario_node(&s, 1, b), false);
    }
    scenario_load(&s, 5, 30000);
    scenario_must(&s, scenario_replica(&s, scenario_node(&s, 1, 0))->pairs[0].items_first > kept, "then it is acknowledged");
    return scenario_end(&s);
}
