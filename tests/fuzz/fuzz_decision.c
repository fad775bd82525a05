/* Compact decisions on hostile bytes: what decodes is written again to the same bytes, and nothing verifies but what the seed's cluster decided. */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "tests/protocol/decided.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Seed 1 is that of the kept corpus (tests/protocol/test_corpus.c). */
static const struct decider *the_decider(void) {
    static struct decider decider;
    if (decider.members.n == 0) decider_init(&decider, 1, 0x00010000, 4);
    return &decider;
}

static void write_again(const struct decision *decision, const uint8_t *data, size_t size) {
    uint8_t *out = malloc(size), leaf[LEAF_BYTES];
    CHECK(out);
    leaf_encode(&decision->leaf, leaf);
    CHECK(memcmp(leaf, decision->leaf_bytes, LEAF_BYTES) == 0);
    struct bytes_writer writer = bytes_writer_of(out, size);
    decision_head_encode(&writer, &decision->certificate, decision->leaf_index, decision->leaf_count, decision->path, decision->path_count, leaf);
    bytes_put_raw(&writer, decision->slice, decision->leaf.slice_bytes);
    CHECK(!writer.failed && writer.used == size && memcmp(out, data, size) == 0);
    free(out);
}

/* Outboxes that the cluster never decided on do not verify: the corpus holds only slices that begin with these bytes. */
static bool decided(const struct decision *decision) {
    static const uint8_t client[17] = {2, 0, 0, 0, 74, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7}, cluster[4] = {1, 0, 0, 0};
    bool for_client = decision->leaf.kind == LEAF_KIND_CLIENT;
    size_t count = for_client ? sizeof client : sizeof cluster;
    return decision->leaf.slice_bytes >= count && memcmp(decision->slice, for_client ? client : cluster, count) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct decider *decider = the_decider();
    struct signer verifier = signer_ed25519(NULL);
    struct decision decision;
    if (decision_decode(data, size, &decision) != DECISION_OK) return 0;
    write_again(&decision, data, size);
    if (decision_verify(&decision, &decider->members, &verifier, NULL) == DECISION_OK) CHECK(decided(&decision));
    return 0;
}
