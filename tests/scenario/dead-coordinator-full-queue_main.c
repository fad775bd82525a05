/*
 * A coordinator cluster takes requests and hears no answers, then it is dead (D-22, D-7): its answers stand in the shard's queue, which serves the
 * other coordinator as before; when it is back it gets every one of them, in order.
 */
#include "tests/scenario/scenario.h"

enum { REQUESTS = 12, LEAST = 6 };

static bool caught_up(struct scenario *s) {
    const struct pair *mine = &scenario_replica(s, scenario_node(s, 0, 1))->pairs[0];
    const struct pair *theirs = &scenario_replica(s, scenario_node(s, 2, 1))->pairs[0];
    return mine->consumed_final == theirs->sent_final;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "D-22");
    s.config.coordinators = s.config.clients = 2;
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    for (uint32_t a = 0; a < 4; a++) { /* answers get lost on the way, requests do not */
        for (uint32_t b = 0; b < 4; b++) sys_link_cut(s.world, scenario_node(&s, 2, a), scenario_node(&s, 0, b), true);
    }
    for (uint64_t i = 1; i <= REQUESTS; i++) {
        struct scenario_batch batch = {.key = "sum", .delta = 1, .number = i, .nonce = i};
        struct blob *bytes = scenario_raw_batch(&s, &batch);
        scenario_raw_send(&s, scenario_node(&s, 0, 1), false, bytes);
        blob_drop(bytes);
        scenario_run(&s, 150);
    }
    const struct pair *queue = &scenario_replica(&s, scenario_node(&s, 2, 1))->pairs[0];
    scenario_must(&s, queue->items_end - queue->items_first >= LEAST, "its answers stand in the queue");
    for (uint32_t i = 0; i < 4; i++) scenario_crash(&s, scenario_node(&s, 0, i));
    scenario_load(&s, 10, 20000);
    scenario_must(&s, queue->items_end - queue->items_first >= LEAST, "they still do");
    for (uint32_t i = 0; i < 4; i++) scenario_restart(&s, scenario_node(&s, 0, i));
    for (uint32_t a = 0; a < 4; a++) {
        for (uint32_t b = 0; b < 4; b++) sys_link_cut(s.world, scenario_node(&s, 2, a), scenario_node(&s, 0, b), false);
    }
    scenario_must(&s, scenario_until(&s, 20000, caught_up), "it gets all that waited for it");
    scenario_must(&s, scenario_add(&s, "sum", 0, 20000) == REQUESTS, "each request counted once");
    return scenario_end(&s);
}
