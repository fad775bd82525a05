/*
 * A member keeps its PREPARE back, so that it alone holds the prepare QC of a block X, lets the others go on to a later view and prepare another
 * block there, and shows the QC when X is forgotten (B-22, B-27, B-25). From then on every TC names X, so every leader must build on it: whoever
 * prepared X must still have it.
 */
#include "tests/scenario/scenario.h"

enum { LIAR = 3, HOLDERS = 1 << 0 | 1 << 1 | 1 << LIAR };

static struct scenario_hoard *liar;
static uint32_t deafened; /* bits: these members get no blocks */

/* Honest members to which no block comes for a while; the context is who. */
static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)from;
    (void)payload;
    return !(deafened >> *(const uint32_t *)context & 1) || (type != BFT_MESSAGE_PROPOSE && type != BFT_MESSAGE_BLOCK);
}

static bool certificate_complete(struct scenario *s) {
    (void)s;
    return liar->have == HOLDERS;
}

static bool prepared_in(struct scenario *s, uint32_t node, uint64_t view) {
    const struct bft_memory *memory = &scenario_replica(s, node)->core->memory;
    return memory->view == view && memory->prepared.view == view;
}

static bool both_prepared_later(struct scenario *s) {
    return prepared_in(s, 0, 1) && prepared_in(s, 1, 1);
}

static bool one_prepared_still_later(struct scenario *s) {
    return prepared_in(s, 0, 2) && scenario_replica(s, 1)->core->memory.view == 2;
}

static bool all_are_in_the_next(struct scenario *s) {
    for (uint32_t i = 0; i < LIAR; i++) {
        if (scenario_replica(s, i)->core->memory.view < 3) return false;
    }
    return true;
}

int main(int argc, char **argv) {
    struct scenario s;
    static uint32_t numbers[LIAR] = {0, 1, 2};
    static struct replica_hooks deaf[LIAR];
    scenario_begin(&s, argc, argv, "B-22, B-25, B-27");
    scenario_start(&s);
    scenario_load(&s, 3, 5000);
    scenario_must(&s, scenario_view(&s, 0) == 0, "the first leader leads");
    liar = scenario_hoarder(&s, LIAR);
    for (uint32_t i = 0; i < LIAR; i++) {
        deaf[i] = (struct replica_hooks){.context = &numbers[i], .frame = deaf_frame};
        scenario_replica(&s, i)->hooks = &deaf[i];
    }
    scenario_run(&s, 50);
    liar->armed = true;
    deafened = 1 << 2; /* in views 0 and 1: members 0 and 1 alone prepare */
    (void)scenario_try_put(&s, "x", "in the withheld block", 100);
    scenario_must(&s, scenario_until(&s, 2000, certificate_complete), "two honest PREPAREs and the liar's make a QC that nobody else has");
    scenario_must(&s, scenario_until(&s, 5000, both_prepared_later), "the two prepared another block in the next view");
    deafened = 1 << 1 | 1 << 2; /* in view 2: its leader, member 2, and member 0 */
    scenario_must(&s, scenario_until(&s, 5000, one_prepared_still_later), "view 2 has a block that lacks a vote");
    const struct bft_ballot *withheld = scenario_hoard_show(&s, HOLDERS, BFT_TO_ALL);
    scenario_run(&s, 20);
    scenario_must(&s, scenario_replica(&s, 0)->core->memory.high_qc.ballot.view == 0, "the QC became a high");
    liar->mute = true;
    scenario_must(&s, scenario_until(&s, 20000, all_are_in_the_next), "view 2 ended without a decision");
    scenario_must(&s, bft_hash_equal(&scenario_replica(&s, 0)->core->base.id, &withheld->block_id), "what comes next must stand on X");
    deafened = 0;
    scenario_put(&s, "y", "after it", 60000);
    return scenario_end(&s);
}
