/*
 * Every node's link to the one that serves it slices goes down and comes up again, over and over, and so does one link inside each cluster (D-23,
 * B-13): a subscription is made anew on the new link, and what was lost is asked for, so no put takes long.
 */
#include "tests/scenario/scenario.h"

enum { ROUNDS = 30, DOWN_US = 30000, PUT_MS = 700 };

static void flap(struct scenario *s, uint32_t a, uint32_t b) {
    if (!sys_link_of(s->world, a, b)->up) return;
    sys_link_set(s->world, a, b, false);
    sys_link_later(s->world, a, b, DOWN_US);
    sys_fault_count(s->world, SYS_FLAP, NULL);
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "D-23, B-13");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < 4; i++) flap(&s, scenario_node(&s, 0, i), scenario_node(&s, 1, i));
        flap(&s, scenario_node(&s, 0, round % 4), scenario_node(&s, 0, (round + 1) % 4));
        flap(&s, scenario_node(&s, 1, round % 4), scenario_node(&s, 1, (round + 2) % 4));
        uint64_t before = s.world->now_us;
        scenario_load(&s, 1, 30000);
        scenario_must(&s, s.world->now_us - before < PUT_MS * 1000, "what was lost is asked for at once");
    }
    scenario_must(&s, s.stats.faults[SYS_FLAP] >= 4 * ROUNDS, "links went down");
    return scenario_end(&s);
}
