/*
 * A CONFIG takes effect, and the client's question for it (S-103) is answered by nobody while all links stay up: nodes drop what is asked too often
 * in a second. It asks again, and takes the answers of the new epoch.
 */
#include "protocol/admin_op.h"
#include "tests/scenario/scenario.h"

enum { COORDINATOR = 0, MEMBERS = 4 };

static bool armed;
static uint32_t dropped;

static bool chain_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    (void)context;
    (void)pieces;
    (void)count;
    if (!armed || to.kind != REPLICA_CLIENT || type != MESSAGE_CONFIG_CHAIN) return true;
    dropped++;
    return false;
}

static void slower(struct scenario *s, uint32_t cluster, struct admin_op *op) {
    (void)s;
    (void)cluster;
    op->config.timeouts.view_max_ms++;
}

int main(int argc, char **argv) {
    static struct scenario s;
    static struct replica_hooks hooks = {.send = chain_send};
    scenario_begin(&s, argc, argv, "S-103");
    scenario_with_config(&s);
    scenario_start(&s);
    scenario_load(&s, 5, 20000);
    for (uint32_t member = 0; member < MEMBERS; member++) scenario_replica(&s, scenario_node(&s, COORDINATOR, member))->hooks = &hooks;
    armed = true;
    scenario_must(&s, scenario_config(&s, COORDINATOR, slower, 30000), "the CONFIG takes effect");
    scenario_must(&s, !scenario_try_put(&s, "x", "y", 6000), "the client cannot judge an answer yet");
    scenario_must(&s, dropped >= MEMBERS, "it asked each member");
    armed = false;
    scenario_load(&s, 5, 5000);
    return scenario_end(&s);
}
