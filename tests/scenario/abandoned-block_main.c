/*
 * The next leader has prepared a block that did not make it. What that block referred to still waits, and the leader proposes it at once (B-25): it
 * is not held up by a block that nobody builds on, and no honest leader is deposed for silence (B-50).
 */
#include "tests/scenario/scenario.h"

enum { LIAR = 3, DEAF = 2 };

static bool armed;

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    (void)context;
    (void)to;
    (void)pieces;
    (void)count;
    return !armed || type < BFT_MESSAGE_PROPOSE || type > BFT_MESSAGE_NOOP;
}

static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)context;
    (void)from;
    (void)payload;
    return !armed || (type != BFT_MESSAGE_PROPOSE && type != BFT_MESSAGE_BLOCK);
}

static bool next_view(struct scenario *s) {
    return scenario_replica(s, 0)->core->memory.view == 1 && scenario_replica(s, 1)->core->memory.view == 1;
}

int main(int argc, char **argv) {
    struct scenario s;
    static struct replica_hooks deaf = {.frame = deaf_frame};
    scenario_begin(&s, argc, argv, "B-25");
    scenario_start(&s);
    scenario_load(&s, 3, 5000);
    scenario_hook(&s, LIAR, (struct replica_hooks){.send = liar_send});
    scenario_replica(&s, DEAF)->hooks = &deaf;
    scenario_run(&s, 50);
    armed = true;
    (void)scenario_try_put(&s, "x", "abandoned", 100);
    const struct bft_memory *memory = &scenario_replica(&s, 1)->core->memory;
    scenario_must(&s, memory->prepared.height > scenario_replica(&s, 1)->tip_height, "member 1 prepared a block that is not final");
    uint64_t height = memory->prepared.height;
    scenario_must(&s, scenario_until(&s, 5000, next_view), "the view ended without it");
    armed = false;
    uint64_t before = s.world->now_us;
    while (scenario_replica(&s, 0)->tip_height < height && sys_world_step(s.world)) continue;
    scenario_must(&s, s.world->now_us - before < 100000, "member 1 proposes its input at once");
    scenario_must(&s, scenario_view(&s, 0) == 1 && scenario_attacks(&s, 0, ATTACK_SILENT_LEADER) == 0, "no honest leader was deposed for silence");
    return scenario_end(&s);
}
