/*
 * A leader proposes on and on, far beyond the window, while nothing becomes final (B-21 d): nobody prepares more than W heights above what is final.
 */
#include "tests/scenario/scenario.h"

enum { LEADER = 0, WINDOW = 2, BATCHES = 12 };

static uint64_t proposed, final;

/* Honest members learn of no commit. */
static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)context;
    (void)from;
    (void)payload;
    return type != BFT_MESSAGE_COMMIT && type != BFT_MESSAGE_QC && type != BFT_MESSAGE_BLOCK;
}

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct bft_message message;
    (void)context;
    if (to.kind != REPLICA_MEMBER || type != BFT_MESSAGE_PROPOSE || !scenario_decode(pieces, *count, type, &message)) return true;
    if (message.propose.header.height > proposed) proposed = message.propose.header.height;
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    static struct replica_hooks deaf = {.frame = deaf_frame};
    scenario_begin(&s, argc, argv, "B-21");
    s.config.view_base_ms = 2000;
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == LEADER, "member 0 leads");
    scenario_run(&s, 100);
    scenario_hook(&s, LEADER, (struct replica_hooks){.send = liar_send, .frame = deaf_frame});
    for (uint32_t i = 0; i < 4; i++) {
        scenario_replica(&s, i)->core->limits.window_blocks = i == LEADER ? BFT_WINDOW_MAX : WINDOW;
        if (i != LEADER) scenario_replica(&s, i)->hooks = &deaf;
    }
    final = scenario_height(&s, 0);
    for (int i = 0; i < BATCHES; i++) (void)scenario_try_put(&s, "x", "y", 40);
    scenario_must(&s, proposed > final + WINDOW, "it proposed beyond the window");
    for (uint32_t i = 0; i < 4; i++) {
        const struct replica *r = scenario_replica(&s, i);
        scenario_must(&s, r->tip_height == final || i == LEADER, "nothing became final meanwhile");
        scenario_must(&s, i == LEADER || r->core->memory.prepared.height <= final + WINDOW, "nobody prepared beyond the window");
        if (i != LEADER) scenario_replica(&s, i)->hooks = NULL;
    }
    scenario_load(&s, 5, 30000);
    return scenario_end(&s);
}
