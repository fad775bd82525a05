/*
 * The leader of a new view proposes nothing (B-36, B-50): two timers of one length run, and the one that says less, that the view's first block does
 * not come, began before an input was handed to it. It is named all the same.
 */
#include "tests/scenario/scenario.h"

enum { LIAR = 1, MEMBERS = 4 }; /* it leads view 1 */

/* How often the others named it. */
static uint64_t named(const struct scenario *s) {
    uint64_t count = 0;
    for (uint32_t member = 0; member < MEMBERS; member++) {
        const struct replica *r = scenario_replica(s, scenario_node(s, 0, member));
        for (uint32_t i = 0; r != NULL && member != LIAR && i < r->status.attacker_count; i++) {
            const struct status_attacker *attacker = &r->status.attackers[i];
            if (attacker->attack == ATTACK_SILENT_LEADER && strcmp(attacker->peer, "member 1") == 0) count += attacker->count;
        }
    }
    return count;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-36");
    scenario_start(&s);
    scenario_load(&s, 3, 5000);
    scenario_must(&s, scenario_view(&s, 0) == 0 && scenario_leader(&s, 0) == 0, "member 0 leads");
    scenario_lie(&s, LIAR, "withhold,proposals");
    scenario_isolate(&s, 0, true);
    scenario_put(&s, "x", "y", 20000);
    scenario_must(&s, scenario_view(&s, 0) > 1, "two views ended");
    scenario_must(&s, scenario_lies(&s, LIAR) > 0, "it kept its proposals to itself");
    scenario_must(&s, named(&s) == 2, "both who waited for it name it");
    scenario_isolate(&s, 0, false);
    scenario_load(&s, 20, 20000);
    return scenario_end(&s);
}
