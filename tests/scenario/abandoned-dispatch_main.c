/*
 * A slice is due, and the block that cuts it does not make it, though the next leader has executed it. What that block would have cut is still due in
 * the state on which that leader builds (D-21): it proposes the slice again, and need not wait for another input to do so.
 */
#include "protocol/body.h"
#include "tests/scenario/scenario.h"

enum { SILENT = 3, DEAF = 2 };

static bool armed;
static uint64_t expected;

static bool silent_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    (void)context;
    (void)to;
    (void)pieces;
    (void)count;
    return !armed || type < BFT_MESSAGE_PROPOSE || type > BFT_MESSAGE_NOOP;
}

/* Does a proposed block refer to a batch? */
static bool has_batch(const struct blob_piece *payload) {
    static struct bft_message message;
    struct body_reference reference;
    scenario_decode(payload, 1, BFT_MESSAGE_PROPOSE, &message);
    for (size_t at = BODY_HEAD_BYTES; at + BODY_REFERENCE_BYTES <= message.body_bytes; at += BODY_REFERENCE_BYTES) {
        if (body_reference_decode(message.body + at, &reference) && reference.kind == BODY_BATCH) return true;
    }
    return false;
}

static bool deaf_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    (void)context;
    (void)from;
    return !armed || (type != BFT_MESSAGE_BLOCK && (type != BFT_MESSAGE_PROPOSE || has_batch(&payload)));
}

static bool next_view(struct scenario *s) {
    return scenario_replica(s, 0)->core->memory.view == 1 && scenario_replica(s, 1)->core->memory.view == 1;
}

static bool dispatched(struct scenario *s) {
    return scenario_replica(s, 1)->pairs[0].sent_final >= expected;
}

int main(int argc, char **argv) {
    struct scenario s;
    static struct replica_hooks deaf = {.frame = deaf_frame};
    scenario_begin(&s, argc, argv, "D-21");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == 0, "member 0 leads");
    scenario_hook(&s, SILENT, (struct replica_hooks){.send = silent_send});
    scenario_replica(&s, DEAF)->hooks = &deaf;
    scenario_run(&s, 500);
    scenario_cut_clusters(&s, 0, 1, true);
    expected = scenario_replica(&s, 1)->pairs[0].sent_final + 2;
    armed = true;
    for (int i = 0; i < 2; i++) scenario_must(&s, !scenario_try_put(&s, "x", "y", 60), "the shard answers nothing");
    const struct replica *next = scenario_replica(&s, 1);
    bool at_once = s.world->system->limits.queue_policy == 1; /* with some seeds: then nothing waits to be due */
    scenario_must(&s, at_once || (!dispatched(&s) && next->executed_height > next->tip_height), "member 1 executed a dispatch that is not final");
    scenario_must(&s, at_once || scenario_until(&s, 20000, next_view), "the view ended without it");
    scenario_must(&s, at_once || !dispatched(&s), "it is not dispatched yet");
    armed = false;
    scenario_must(&s, scenario_until(&s, 400, dispatched), "member 1 dispatches it at once");
    scenario_must(&s, at_once || scenario_view(&s, 0) == 1, "in its own view");
    scenario_cut_clusters(&s, 0, 1, false);
    scenario_load(&s, 5, 30000);
    return scenario_end(&s);
}
