/*
 * The leader alone sees a block become final and is gone (B-22, B-23, B-25). The others gave a COMMIT for it, so their TIMEOUTs name it, and the next
 * leader builds on that very block.
 */
#include "tests/scenario/scenario.h"

enum { ONE = 0 };

static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)context;
    (void)from;
    (void)payload;
    return type != BFT_MESSAGE_COMMIT && type != BFT_MESSAGE_QC && type != BFT_MESSAGE_BLOCK;
}

int main(int argc, char **argv) {
    static struct scenario s;
    static struct replica_hooks deaf = {.frame = deaf_frame};
    scenario_begin(&s, argc, argv, "B-22, B-23");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == ONE, "it leads");
    scenario_run(&s, 200);
    uint64_t height = scenario_height(&s, 0);
    for (uint32_t i = 0; i < 4; i++) {
        if (i != ONE) scenario_replica(&s, i)->hooks = &deaf;
    }
    (void)scenario_try_put(&s, "x", "seen by one", 100);
    scenario_must(&s, scenario_replica(&s, ONE)->tip_height > height, "one saw it become final");
    for (uint32_t i = 0; i < 4; i++) scenario_must(&s, i == ONE || scenario_replica(&s, i)->tip_height == height, "the others did not");
    struct bft_hash id = scenario_replica(&s, ONE)->core->final.id;
    scenario_crash(&s, ONE);
    for (uint32_t i = 0; i < 4; i++) {
        if (i != ONE) scenario_replica(&s, i)->hooks = NULL;
    }
    scenario_load(&s, 5, 20000);
    scenario_must(&s, scenario_view(&s, 0) > 0, "another one leads");
    height = s.world->clusters[0].height;
    while (height > 0 && !bft_hash_equal(&s.world->clusters[0].chain[height].id, &id)) height--;
    scenario_must(&s, height > 0, "what the first leader saw is final");
    scenario_restart(&s, ONE);
    return scenario_end(&s);
}
