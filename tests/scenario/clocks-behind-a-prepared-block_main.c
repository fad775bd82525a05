/*
 * A block was prepared, not committed, when all clocks were an hour ahead; then all nodes restart with the right time. Every TC names that block, so
 * whatever comes stands on it and cannot be earlier (B-20); whoever leads states its parent's time, and that may be prepared however far ahead of
 * the clocks it is (B-24).
 */
#include "tests/scenario/scenario.h"

enum { HOUR_MS = 3600000 };

static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)context;
    (void)from;
    (void)payload;
    return type != BFT_MESSAGE_COMMIT && type != BFT_MESSAGE_QC && type != BFT_MESSAGE_BLOCK;
}

/* The coordinators restart with calendars that are so far ahead. */
static void restart_all(struct scenario *s, int64_t ahead_ms) {
    for (uint32_t i = 0; i < 4; i++) scenario_crash(s, i);
    for (uint32_t i = 0; i < 4; i++) {
        s->world->nodes[i].wall_offset_ms = ahead_ms;
        scenario_restart(s, i);
    }
}

int main(int argc, char **argv) {
    struct scenario s;
    static struct replica_hooks deaf = {.frame = deaf_frame};
    scenario_begin(&s, argc, argv, "B-24");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_run(&s, 500);
    restart_all(&s, HOUR_MS);
    for (uint32_t i = 0; i < 4; i++) scenario_replica(&s, i)->hooks = &deaf;
    (void)scenario_try_put(&s, "x", "early", 1500);
    const struct replica *r = scenario_replica(&s, 1);
    const struct bft_header *header = bft_core_header(r->core, &r->core->memory.high_qc.ballot.block_id);
    scenario_must(&s, header != NULL && header->height > r->tip_height, "a block has a prepare QC and is not final");
    scenario_must(&s, header->time > r->tip_time + HOUR_MS / 2, "its time is far ahead of what is final");
    uint64_t time = header->time;
    restart_all(&s, 0);
    scenario_load(&s, 3, 30000);
    scenario_must(&s, scenario_replica(&s, 1)->tip_time >= time, "what stands on it is final");
    return scenario_end(&s);
}
