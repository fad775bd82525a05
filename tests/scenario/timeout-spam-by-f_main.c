/* One member of four gives up each view as soon as it begins: alone it cannot end an honest leader's (B-31, B-34). */
#include "tests/scenario/scenario.h"

enum { LIAR = 3 };
static uint64_t said;

static void on_tick(void *context, uint64_t now_ms) {
    static uint64_t last_ms;
    static struct bft_message message;
    struct scenario *s = context;
    const struct replica *r = scenario_replica(s, LIAR);
    if (now_ms - last_ms < 20) return;
    last_ms = now_ms;
    message = (struct bft_message){.type = BFT_MESSAGE_TIMEOUT};
    message.timeout = (struct bft_timeout){.place = r->members.place, .view = r->core->memory.view, .signer = LIAR};
    message.timeout.high.block = r->members.start;
    scenario_say(s, LIAR, BFT_TO_ALL, &message);
    said++;
}

int main(int argc, char **argv) {
    struct scenario s;
    scenario_begin(&s, argc, argv, "B-31, B-34");
    scenario_start(&s);
    scenario_load(&s, 2, 20000);
    uint64_t view = scenario_view(&s, 0);
    scenario_hook(&s, LIAR, (struct replica_hooks){.context = &s, .tick = on_tick});
    scenario_load(&s, 20, 20000);
    scenario_must(&s, said > 20, "it gave up again and again");
    scenario_must(&s, scenario_view(&s, 0) == view, "the view is the same");
    return scenario_end(&s);
}
