/*
 * A leader invents a write in a client's name, relays it, and proposes it (D-3, O-20): the others know the client's key, so they hold no such input,
 * and no block that names it is prepared.
 */
#include "tests/scenario/scenario.h"

enum { LEADER = 0 };

int main(int argc, char **argv) {
    static struct scenario s;
    static struct keyed_signer key;
    scenario_begin(&s, argc, argv, "D-3, O-20");
    s.config.clients = 2;
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == LEADER, "member 0 leads");
    scenario_hook(&s, LEADER, (struct replica_hooks){0});
    keyed_signer_init(&key, 4711);
    struct signer other = keyed_signer_of(&key);
    struct scenario_batch batch = {.key = "sum", .delta = 1000, .number = 1, .nonce = 7, .signer = &other};
    struct blob *bytes = scenario_raw_batch(&s, &batch);
    struct batch_limits limits = {.shards = 1, .batch_bytes_max = 4096, .batch_parts_max = 1, .batch_ops_max = 1};
    struct batch decoded;
    uint8_t id[32];
    CHECK(batch_decode(bytes->bytes, bytes->count, &limits, &decoded) == BATCH_OK);
    batch_id(&decoded, id);
    struct replica *r = scenario_replica(&s, LEADER); /* what client_batch_frame() does, but for looking at the signature */
    uint32_t index = input_make(r, BODY_BATCH, id);
    struct input *input = &r->inputs[index];
    input->relay = LEADER;
    input->client = 1;
    input->weight = 1;
    input->is_signed = true;
    input_hold(r, index, (struct blob_piece){.blob = bytes, .count = bytes->count});
    input_relay(r, input);
    blob_drop(bytes);
    sys_node_step(s.world, LEADER);
    scenario_run(&s, 100);
    scenario_must(&s, r->core->memory.prepared.height > scenario_height(&s, 0), "it proposed what it had invented");
    scenario_load(&s, 5, 30000);
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_BAD_INPUT) > 0, "it is named");
    scenario_must(&s, scenario_view(&s, 0) > 0, "it is replaced");
    scenario_must(&s, scenario_add(&s, "sum", 1, 20000) == 1, "nothing of it took effect");
    return scenario_end(&s);
}
