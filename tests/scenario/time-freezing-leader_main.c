/*
 * A leader's clock stands still (B-24, D-21) while the shard cannot be reached: by the time that it states, what waits for the shard is never due. By
 * the voters' own clocks it is, and that counts as an input that waits: the leader is replaced, and the next one dispatches it.
 */
#include "tests/scenario/scenario.h"

static uint64_t frozen, expected;

static void on_tick(void *context, uint64_t now_ms) {
    struct bft_core *core = scenario_replica(context, 0)->core;
    if (frozen == 0) frozen = bft_core_time(core, now_ms);
    core->clock_offset_ms = (int64_t)(frozen - now_ms);
}

static bool dispatched(struct scenario *s) {
    return scenario_replica(s, 1)->pairs[0].sent_final >= expected;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-24, D-21");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == 0, "member 0 leads");
    scenario_hook(&s, 0, (struct replica_hooks){.context = &s, .tick = on_tick});
    scenario_run(&s, 500);
    scenario_cut_clusters(&s, 0, 1, true);
    expected = scenario_replica(&s, 1)->pairs[0].sent_final + 2;
    for (int i = 0; i < 2; i++) scenario_must(&s, !scenario_try_put(&s, "x", "y", 60), "the shard answers nothing");
    bool at_once = s.world->system->limits.queue_policy == 1; /* with some seeds: then nothing waits to be due */
    scenario_must(&s, at_once || !dispatched(&s), "the second is not dispatched at once");
    scenario_must(&s, scenario_until(&s, 10000, dispatched), "it is when it is due");
    scenario_must(&s, at_once || scenario_view(&s, 0) > 0, "by another leader");
    scenario_cut_clusters(&s, 0, 1, false);
    scenario_load(&s, 5, 30000);
    return scenario_end(&s);
}
