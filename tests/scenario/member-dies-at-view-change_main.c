/*
 * A block was prepared and not committed when the view ends, and the next leader is down just then (B-36): what a view begins with is pending in it,
 * so it ends after its own time-out, not only when an input has waited for long.
 */
#include "tests/scenario/scenario.h"

enum { NEXT = 1 };

static uint64_t wanted;

static bool in_view(struct scenario *s) {
    for (uint32_t i = 0; i < 4; i++) {
        if (i != NEXT && scenario_replica(s, i)->core->memory.view < wanted) return false;
    }
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-36");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == 0, "member 0 leads");
    scenario_run(&s, 100);
    scenario_deafen(&s, true);
    uint64_t final = scenario_height(&s, 0);
    (void)scenario_try_put(&s, "x", "y", 60);
    for (uint32_t i = 0; i < 4; i++)
        scenario_must(&s, scenario_replica(&s, i)->core->memory.high_qc.ballot.height > final, "a block is prepared, and not final");
    scenario_crash(&s, NEXT);
    wanted = 1;
    scenario_must(&s, scenario_until(&s, 1000, in_view), "the view ends");
    wanted = 2;
    scenario_must(&s, scenario_until(&s, 2 * s.config.view_base_ms + 100, in_view), "and so does the next one, in twice the time");
    scenario_deafen(&s, false);
    scenario_load(&s, 5, 60000);
    scenario_restart(&s, NEXT);
    return scenario_end(&s);
}
