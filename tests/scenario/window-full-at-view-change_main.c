/*
 * The window is full of blocks that were prepared and not committed when the view changes (B-21 d, B-25): the next leader's first block stands
 * beyond the window, and is prepared because it is empty; it makes the others final.
 */
#include "tests/scenario/scenario.h"

static bool next_view(struct scenario *s) {
    for (uint32_t i = 0; i < 4; i++) {
        if (scenario_replica(s, i)->core->memory.view != 1) return false;
    }
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-21");
    scenario_start(&s);
    scenario_load(&s, 3, 5000);
    scenario_run(&s, 100);
    for (uint32_t i = 0; i < 4; i++) scenario_replica(&s, i)->core->limits.window_blocks = 2;
    scenario_deafen(&s, true);
    uint64_t final = scenario_height(&s, 0);
    for (int i = 0; i < 4; i++) (void)scenario_try_put(&s, "x", "y", 20);
    for (uint32_t i = 0; i < 4; i++) {
        const struct bft_memory *memory = &scenario_replica(&s, i)->core->memory;
        scenario_must(&s, memory->view == 0 && memory->high_qc.ballot.height == final + 2, "the window is full of prepared blocks");
    }
    scenario_must(&s, scenario_until(&s, 5000, next_view), "the view changes");
    scenario_deafen(&s, false);
    scenario_load(&s, 5, 10000);
    scenario_must(&s, scenario_view(&s, 0) == 1, "the next leader needs no further one");
    return scenario_end(&s);
}
