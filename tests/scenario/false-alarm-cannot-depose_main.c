/*
 * A relay shows a client's write to one other member alone, not to the leader, and then accuses the leader of ignoring it (B-50, B-34): whoever
 * holds an input hands it to the leader before it counts, so the leader, which is honest, has it decided, and is not deposed.
 */
#include "tests/scenario/scenario.h"

enum { LIAR = 3, SHOWN = 1 };

static uint64_t shown, accused;

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    (void)context;
    (void)pieces;
    (void)count;
    if (to.kind != REPLICA_MEMBER || type != MESSAGE_INPUT) return true;
    shown += to.member == SHOWN;
    return to.member == SHOWN;
}

static void on_tick(void *context, uint64_t now_ms) {
    static uint64_t last_ms;
    static struct bft_message message;
    struct scenario *s = context;
    const struct replica *r = scenario_replica(s, LIAR);
    if (shown == 0 || now_ms - last_ms < 50) return;
    last_ms = now_ms;
    message = (struct bft_message){.type = BFT_MESSAGE_TIMEOUT};
    message.timeout = (struct bft_timeout){.place = r->members.place, .view = r->core->memory.view, .signer = LIAR};
    message.timeout.high.block = r->members.start;
    scenario_say(s, LIAR, BFT_TO_ALL, &message);
    accused++;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "B-50");
    s.config.clients = 2;
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    uint64_t view = scenario_view(&s, 0);
    scenario_must(&s, scenario_leader(&s, 0) == 0, "member 0 leads");
    scenario_raw_watch(&s);
    scenario_hook(&s, LIAR, (struct replica_hooks){.context = &s, .send = liar_send, .tick = on_tick});
    for (uint64_t i = 1; i <= 3; i++) {
        struct scenario_batch batch = {.key = "sum", .delta = 1, .number = i, .nonce = i};
        struct blob *bytes = scenario_raw_batch(&s, &batch);
        scenario_raw_send(&s, LIAR, false, bytes);
        scenario_run(&s, s.world->system->timeouts.input_relay_ms + 500);
        scenario_must(&s, scenario_raw_code(&s, bytes) == CODE_OK, "it was decided all the same");
        blob_drop(bytes);
    }
    scenario_must(&s, shown >= 3 && accused > 3, "one other member was shown it, and the leader accused");
    scenario_must(&s, scenario_view(&s, 0) == view, "the leader is not deposed");
    return scenario_end(&s);
}
