/*
 * A coordinator node refuses a write with BUSY and keeps the signed bytes; the client has it done elsewhere; then the liar has what it kept decided
 * (O-41, O-51): a refusal settles nothing, and the write still takes effect once.
 */
#include "tests/scenario/scenario.h"

enum { LIAR = 1 };

static struct blob *kept;

static bool liar_frame(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    struct scenario *s = context;
    if (type != MESSAGE_BATCH || from.kind != REPLICA_CLIENT || kept != NULL) return true;
    kept = blob_copy(blob_piece_bytes(&payload), payload.count);
    static const uint8_t batch_id_of_none[32];
    client_refuse(scenario_replica(s, LIAR), from.index, batch_id_of_none, CODE_BUSY, 50);
    return false;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "O-41, O-51");
    s.config.coordinators = s.config.clients = 2;
    scenario_start(&s);
    scenario_load(&s, 2, 20000);
    scenario_run(&s, 1000);
    scenario_hook(&s, LIAR, (struct replica_hooks){.context = &s, .frame = liar_frame});
    struct scenario_batch batch = {.key = "sum", .delta = 1, .number = 1, .nonce = 7};
    (void)scenario_raw_ask(&s, LIAR, &batch, 200);
    scenario_must(&s, kept != NULL, "the liar refused it and kept it");
    scenario_must(&s, scenario_raw_ask(&s, scenario_node(&s, 1, 0), &batch, 5000) == CODE_OK, "another one had it decided");
    uint64_t height = scenario_height(&s, 1);
    struct replica_peer client = {.kind = REPLICA_CLIENT, .index = 1};
    client_batch_frame(scenario_replica(&s, LIAR), client, (struct blob_piece){.blob = kept, .count = kept->count});
    sys_node_step(s.world, LIAR);
    for (int ms = 0; ms < 3000 && scenario_raw_code(&s, kept) != CODE_RECORDED; ms++) scenario_run(&s, 1);
    scenario_must(&s, scenario_raw_code(&s, kept) == CODE_RECORDED, "what it kept was decided as well");
    blob_drop(kept);
    scenario_must(&s, scenario_add(&s, "sum", 0, 20000) == 1 && scenario_height(&s, 1) >= height, "it took effect once");
    return scenario_end(&s);
}
