/*
 * A member of a shard serves slices of its own making, with leaves that fit them, as if the certified outbox had had one leaf more (D-12): the proof
 * does not lead from such a leaf to the certified root.
 */
#include "tests/scenario/scenario.h"

enum { LIAR = 1 };

static uint64_t forged;

static bool liar_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct decision decision;
    static uint8_t leaf[LEAF_BYTES];
    (void)context;
    if (to.kind != REPLICA_FOREIGN || type != MESSAGE_COMPACT_DECISION) return true;
    struct blob *whole = scenario_whole(pieces, *count);
    CHECK(decision_decode(whole->bytes, whole->count, &decision) == DECISION_OK);
    struct blob *slice = blob_copy(decision.slice, decision.leaf.slice_bytes), *out = blob_make(whole->count + BYTES_HASH);
    tree_hash sibling;
    slice->bytes[slice->count - 1] ^= 1;
    memcpy(leaf, decision.leaf_bytes, LEAF_BYTES);
    leaf_hash(leaf, sibling);
    slice_hash(slice->bytes, slice->count, leaf + 80);
    struct bytes_writer writer = bytes_writer_of(out->bytes, out->count);
    decision_head_encode(&writer, &decision.certificate, 1, 2, (const tree_hash *)&sibling, 1, leaf);
    bytes_put_raw(&writer, slice->bytes, slice->count);
    CHECK(!writer.failed);
    out->count = writer.used;
    blob_drop(slice);
    scenario_replace(pieces, count, out);
    forged++;
    return true;
}

int main(int argc, char **argv) {
    static struct scenario s;
    scenario_begin(&s, argc, argv, "D-12");
    scenario_start(&s);
    scenario_load(&s, 3, 20000);
    scenario_hook(&s, scenario_node(&s, 1, LIAR), (struct replica_hooks){.send = liar_send});
    scenario_load(&s, 20, 30000);
    scenario_must(&s, forged > 0, "it served forged leaves");
    scenario_must(&s, scenario_attacks(&s, 0, ATTACK_BAD_SLICE) > 0, "it is named");
    return scenario_end(&s);
}
