/*
 * In three views one after the other a block is prepared and nothing committed (B-21 a, B-25, B-26): each stands on the one before, of an earlier
 * view, and the first commit makes all of them final.
 */
#include "tests/scenario/scenario.h"

enum { VIEWS = 3 };

static uint64_t wanted;
static struct bft_ballot chain[VIEWS];

/* All have a prepare QC of this view. */
static bool prepared(struct scenario *s) {
    for (uint32_t i = 0; i < 4; i++) {
        const struct bft_memory *memory = &scenario_replica(s, i)->core->memory;
        if (memory->view != wanted || !memory->has_high || memory->high_qc.ballot.view != wanted) return false;
    }
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-21, B-25, B-26");
    scenario_start(&s);
    scenario_load(&s, 3, 5000);
    scenario_must(&s, scenario_view(&s, 0) == 0, "the first leader leads");
    scenario_run(&s, 100);
    scenario_deafen(&s, true);
    uint64_t final = scenario_height(&s, 0);
    (void)scenario_try_put(&s, "x", "prepared", 50);
    for (; wanted < VIEWS; wanted++) {
        scenario_must(&s, scenario_until(&s, 10000, prepared), "in each view something is prepared");
        chain[wanted] = scenario_replica(&s, 1)->core->memory.high_qc.ballot;
        scenario_must(&s, scenario_height(&s, 0) == final, "and nothing committed");
    }
    scenario_deafen(&s, false);
    scenario_load(&s, 5, 30000);
    for (uint32_t view = 0; view < VIEWS; view++) {
        const struct sys_block *block = &s.world->clusters[0].chain[chain[view].height];
        scenario_must(&s, block->known && bft_hash_equal(&block->id, &chain[view].block_id), "what was prepared is final, whatever its view");
    }
    return scenario_end(&s);
}
