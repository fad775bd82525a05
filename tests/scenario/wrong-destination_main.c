/* A coordinator node serves one shard the certified slices of another (D-12): a leaf names its destination, and no other takes it. */
#include "tests/scenario/scenario.h"

enum { LIAR = 1 };

static uint64_t misled;

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct blob *other;
    (void)context;
    if (to.kind != REPLICA_FOREIGN || type != MESSAGE_COMPACT_DECISION) return true;
    if (to.index == SHARD_CLUSTER_BASE) {
        struct blob *whole = scenario_whole(pieces, *count);
        blob_drop(other);
        other = blob_copy(whole->bytes, whole->count);
    } else if (other != NULL) {
        scenario_replace(pieces, count, blob_copy(other->bytes, other->count));
        misled++;
    }
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "D-12");
    s.config.shards = 2;
    scenario_start(&s);
    scenario_hook(&s, scenario_node(&s, 0, LIAR), (struct replica_hooks){.send = liar_send});
    scenario_load(&s, 30, 30000);
    scenario_must(&s, misled > 0, "it served the second shard slices of the first");
    scenario_must(&s, scenario_attacks(&s, 2, ATTACK_BAD_SLICE) > 0, "it is named");
    return scenario_end(&s);
}
