/* Evidence on hostile bytes. What decodes is exactly as long as its parts, names items that contradict each other, and convicts nobody of a cluster
 * whose keys the fuzzer has not got. */
#include <string.h>

#include "merkle/check.h"
#include "protocol/evidence.h"
#include "protocol/last_signed.h"
#include "protocol/slice.h"
#include "tests/protocol/decided.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct decider *the_decider(void) {
    static struct decider decider;
    if (decider.members.n == 0) decider_init(&decider, 1, 0x00010000, 4);
    return &decider;
}

enum { STATEMENT_BYTES = 72, SIGNATURE_BYTES = 96 }; /* S-141 */

static size_t signatures(const struct evidence *evidence) {
    return evidence->successors[0].signatures_count + evidence->successors[1].signatures_count;
}

/* By an administrator whom the fuzzer is not: a statement without signatures convicts nobody, and one with some is not his. */
static void successors_convict_nobody(const struct evidence *evidence) {
    struct config config = {.admins_needed = 1, .admins_count = 1};
    uint32_t both;
    memcpy(config.system_id, evidence->place.system_id, sizeof config.system_id);
    memcpy(config.admins[0].key, the_decider()->members.keys[0], sizeof config.admins[0].key);
    CHECK(evidence_verify_successors(evidence, &config, &both) != EVIDENCE_OK);
}

static size_t items_bytes(const struct evidence *evidence, size_t left) {
    switch (evidence->kind) {
    case EVIDENCE_TWO_PREPARES:
    case EVIDENCE_TWO_COMMITS: return 2 * (size_t)LAST_SIGNED_ITEM_VOTE_BYTES;
    case EVIDENCE_TWO_TIMEOUTS: return 2 * (size_t)LAST_SIGNED_ITEM_TIMEOUT_BYTES;
    case EVIDENCE_COMMIT_AND_TIMEOUT: return LAST_SIGNED_ITEM_VOTE_BYTES + LAST_SIGNED_ITEM_TIMEOUT_BYTES;
    case EVIDENCE_TWO_SLICES: return evidence->decisions[0].head_bytes + evidence->decisions[1].head_bytes;
    case EVIDENCE_TWO_SUCCESSORS: return 2 * (4 + STATEMENT_BYTES) + SIGNATURE_BYTES * signatures(evidence);
    default: CHECK(!slice_well_formed(evidence->decisions[0].slice, evidence->decisions[0].leaf.slice_bytes)); return left;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct evidence evidence;
    struct signer verifier = signer_ed25519(NULL);
    if (evidence_decode(data, size, &evidence) != EVIDENCE_OK) return 0;
    size_t head = EVIDENCE_MAGIC_BYTES + 4 + (size_t)evidence.chain_bytes + 4;
    CHECK(head + items_bytes(&evidence, size - head) == size);
    if (evidence.kind == EVIDENCE_TWO_SUCCESSORS) successors_convict_nobody(&evidence);
    /* In the members' own place, so that the signatures are what is looked at. */
    struct bft_members members = the_decider()->members;
    members.place = evidence.place;
    CHECK(evidence_verify(&evidence, &members, &verifier) != EVIDENCE_OK);
    return 0;
}
