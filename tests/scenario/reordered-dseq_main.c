/*
 * A leader proposes a slice of the shard before the one that comes first (D-4.1), and tells the others a result all the same: each takes exactly the
 * next one, so the block is invalid for all of them.
 */
#include "tests/scenario/scenario.h"

enum { LEADER = 0 };

static bool armed, lied;
static uint64_t next;

static bool held(const struct replica *r, const struct pair *pair, uint64_t dseq) {
    uint32_t index = pair->window[dseq % SOURCE_WINDOW];
    return index != NONE && r->inputs[index].dseq == dseq && r->inputs[index].state == INPUT_HELD;
}

/* Takes up no slice until it holds two, then the second. */
static void on_tick(void *context, uint64_t now_ms) {
    struct replica *r = scenario_replica(context, LEADER);
    struct pair *pair = &r->pairs[0];
    (void)now_ms;
    if (lied || r->proposing != NULL) return;
    if (armed && pair->consumed_final == next) pair->consumed_final--; /* nothing came of it the last time */
    next = pair->consumed_final + 1;
    if (!held(r, pair, next) || !held(r, pair, next + 1)) {
        pair->received_max = pair->consumed_final;
        return;
    }
    pair->consumed_final = next;
    pair->received_max = next + 1;
    armed = true;
}

static void on_result(void *context, struct execution_job *job) {
    struct replica *r = scenario_replica(context, LEADER);
    if (!armed || lied || job != r->proposing) return;
    r->pairs[0].consumed_final = next - 1;
    lied = true;
    job->status = EXEC_VALID;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "D-4");
    s.config.clients = 2;
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_must(&s, scenario_leader(&s, 0) == LEADER, "member 0 leads");
    scenario_hook(&s, LEADER, (struct replica_hooks){.context = &s, .tick = on_tick, .result = on_result});
    for (uint64_t i = 1; i <= 20 && !lied; i++) {
        struct scenario_batch batch = {.key = "sum", .delta = 1, .number = i, .nonce = i};
        struct blob *bytes = scenario_raw_batch(&s, &batch);
        scenario_raw_send(&s, scenario_node(&s, 0, 1), false, bytes);
        blob_drop(bytes);
        scenario_run(&s, 40);
    }
    scenario_must(&s, lied, "it proposed the second slice first");
    scenario_load(&s, 5, 30000);
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_WRONG_RESULT) > 0, "the others name it");
    scenario_must(&s, scenario_view(&s, 0) > 0, "it is replaced");
    return scenario_end(&s);
}
