/*
 * A leader that was quick holds each proposal back for a quarter of a second (B-52): every input is decided in good time, so none accuses it, but
 * far less becomes final than before while inputs wait. It is replaced within five seconds.
 */
#include "tests/scenario/scenario.h"
#include "tests/scenario/scenario_client.h"

enum { LEADER = 0, USERS = 16, HELD_MAX = 1024, HELD_MS = 250 };

static struct {
    uint64_t due_ms;
    uint32_t to;
    struct blob *blob;
} held[HELD_MAX];
static uint32_t first, end;
static uint64_t local_ms;

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    (void)context;
    if (to.kind != REPLICA_MEMBER || type != BFT_MESSAGE_PROPOSE || end - first == HELD_MAX) return true;
    held[end % HELD_MAX].due_ms = local_ms + HELD_MS;
    held[end % HELD_MAX].to = to.member;
    held[end++ % HELD_MAX].blob = blob_hold(scenario_whole(pieces, *count));
    return false;
}

/* Its own core sees nothing wrong. */
static void on_tick(void *context, uint64_t now_ms) {
    struct scenario *s = context;
    struct bft_core *core = scenario_replica(s, LEADER)->core;
    local_ms = now_ms;
    for (; first < end && held[first % HELD_MAX].due_ms <= now_ms; first++)
        sys_transmit(s->world, LEADER, held[first % HELD_MAX].to, BFT_MESSAGE_PROPOSE, held[first % HELD_MAX].blob);
    core->waiting.count = 0;
    core->progress_ms = core->view_entered_ms = now_ms;
    core->rate_low_periods = 0;
}

static bool replaced(struct scenario *s) {
    return scenario_view(s, 0) > 0;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-52");
    s.config.view_base_ms = 1000;
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == LEADER, "member 0 leads");
    uint64_t quick = scenario_crowd(s.world, USERS, 6000) / 6;
    scenario_must(&s, !replaced(&s), "as long as it is quick it leads");
    scenario_hook(&s, LEADER, (struct replica_hooks){.context = &s, .send = liar_send, .tick = on_tick});
    uint64_t slow = scenario_crowd(s.world, USERS, 1000);
    scenario_must(&s, slow * 3 < quick, "it is slow");
    for (int second = 0; second < 4 && !replaced(&s); second++) (void)scenario_crowd(s.world, USERS, 1000);
    scenario_must(&s, replaced(&s), "it is replaced within five seconds");
    while (first < end) blob_drop(held[first++ % HELD_MAX].blob);
    scenario_must(&s, scenario_crowd(s.world, USERS, 2000) > slow * 4, "the next one is quick again");
    return scenario_end(&s);
}
