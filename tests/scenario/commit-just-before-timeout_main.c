/*
 * A prepare QC reaches one member alone, just before the view ends (B-22, B-31): it gives its COMMIT, so its TIMEOUT must name that block, and what
 * comes next must stand on it, for the COMMIT may be the one that made the block final somewhere.
 */
#include "tests/scenario/scenario.h"

enum { LIAR = 3, ONE = 1, HONEST = 1 << 0 | 1 << 1 | 1 << 2 };

static struct scenario_hoard *liar;

/* Honest members hear neither the others' PREPAREs nor, from honest ones, a QC. */
static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)context;
    (void)payload;
    return !liar->armed || (type != BFT_MESSAGE_PREPARE && (type != BFT_MESSAGE_QC || from.member == LIAR));
}

static bool all_prepared(struct scenario *s) {
    (void)s;
    return (liar->have & HONEST) == HONEST;
}

static bool next_view(struct scenario *s) {
    return scenario_replica(s, 1)->core->memory.view == 1 && scenario_replica(s, 2)->core->memory.view == 1;
}

int main(int argc, char **argv) {
    static struct scenario s;
    static struct replica_hooks deaf = {.frame = deaf_frame};
    scenario_begin(&s, argc, argv, "B-22, B-31");
    scenario_start(&s);
    scenario_load(&s, 3, 5000);
    scenario_must(&s, scenario_view(&s, 0) == 0, "the first leader leads");
    liar = scenario_hoarder(&s, LIAR);
    for (uint32_t i = 0; i < LIAR; i++) scenario_replica(&s, i)->hooks = &deaf;
    scenario_run(&s, 50);
    liar->armed = true;
    (void)scenario_try_put(&s, "x", "prepared by all", 20);
    scenario_must(&s, scenario_until(&s, 200, all_prepared), "all prepared a block, and only the liar knows");
    const struct bft_ballot *shown = scenario_hoard_show(&s, HONEST, ONE);
    scenario_run(&s, 10);
    const struct bft_memory *memory = &scenario_replica(&s, ONE)->core->memory;
    scenario_must(&s, bft_ballot_equal(&memory->committed, shown) && !memory->timed_out, "one gave its COMMIT, just in time");
    scenario_must(&s, scenario_until(&s, 5000, next_view), "the view ended");
    liar->armed = false;
    for (uint32_t i = 1; i < LIAR; i++)
        scenario_must(&s, bft_hash_equal(&scenario_replica(&s, i)->core->base.id, &shown->block_id), "what comes next stands on it");
    scenario_load(&s, 5, 30000);
    return scenario_end(&s);
}
