/*
 * A node takes a checkpoint from its peers, and one of them sends pieces with a changed value (P-36, P-44), which it signs as it signs all that it
 * gives (P-45): each piece is proved against the certified root, so the liar is named, its piece is kept and convicts it (B-81, kind 8), and the node
 * comes back with the true state.
 */
#include "tests/scenario_replica/replica_scenario.h"

#include "appliance/transfer/transfer_private.h"
#include "protocol/evidence.h"

enum { DOWN = 5, LIAR = 4, MESSAGE_PIECE = 0x0110 };

static struct replica_world *world;
static uint64_t lied;

/* What it was asked under this nonce; NULL: long given up. */
static const struct checkpoint_piece_query *asked(uint64_t nonce) {
    const struct transfer_peer *peer = &world->nodes[DOWN].transfer->take.peers[LIAR % RW_CLUSTER];
    for (unsigned i = 0; i < TRANSFER_OUTSTANDING_MAX; i++) {
        if (peer->queries[i].used && peer->queries[i].sent.nonce == nonce) return &peer->queries[i].sent;
    }
    return NULL;
}

static bool lie_send(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    static struct blob *given;
    uint8_t preimage[CHECKPOINT_PIECE_PREIMAGE_BYTES];
    (void)context;
    (void)to;
    if (type != MESSAGE_PIECE || *count != 1 || pieces[0].count <= 200) return true;
    const uint8_t *whole = blob_piece_bytes(&pieces[0]);
    const struct checkpoint_piece_query *query = whole[40] == CHECKPOINT_ENTRIES ? asked(bytes_get_le64(whole)) : NULL;
    if (query == NULL) return true;
    blob_drop(given);
    given = blob_copy(whole, pieces[0].count);
    size_t signature = given->count - CHECKPOINT_PIECE_SIGNATURE_BYTES;
    given->bytes[signature - 1] ^= 1; /* in the value of the last entry */
    checkpoint_piece_preimage(world->world->system.system_id, query, given->bytes, signature, preimage);
    const struct signer signer = keyed_signer_of(&world->nodes[LIAR].key);
    signer.sign(signer.context, preimage, sizeof preimage, given->bytes + signature);
    pieces[0] = (struct blob_piece){.blob = given, .count = given->count};
    lied++;
    return true;
}

/* Of all that the node kept. */
static bool liar_is_convicted(void) {
    static struct evidence evidence;
    const struct rw_node *node = &world->nodes[DOWN];
    const struct signer signer = keyed_signer_of(NULL);
    for (uint32_t i = 0; i < node->evidence_count; i++) {
        const struct rw_evidence *file = &node->evidence[i];
        if (evidence_decode(file->bytes, file->count, &evidence) != EVIDENCE_OK || evidence.kind != EVIDENCE_PIECE) continue;
        return evidence.signer == LIAR % RW_CLUSTER && evidence_verify(&evidence, replica_members(node->replica), &signer) == EVIDENCE_OK;
    }
    return false;
}

int main(int argc, char **argv) {
    struct replica_world *rw = world = rw_create_stored(rs_begin(argc, argv, "P-36, P-44"), RS_CHECKPOINT);
    rw_run(rw, 200);
    rs_puts(rw, 30);
    uint64_t at = rs_leave_behind(rw, DOWN);
    rw->nodes[LIAR].hooks.send = lie_send;
    rw_restart(rw, DOWN);
    rs_must(rw, rs_is_back(rw, DOWN, at + RS_CHECKPOINT, 5000), "it comes back");
    rw->nodes[LIAR].hooks.send = NULL;
    rs_must(rw, lied > 0, "a helper lied");
    rs_must(rw, rw->nodes[DOWN].bad_members == 1u << (LIAR % RW_CLUSTER), "it is named, and nobody else");
    rs_must(rw, liar_is_convicted(), "its own signature convicts it");
    rs_puts(rw, 5);
    return rs_end(rw);
}
