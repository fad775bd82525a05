/*
 * A wrong piece, signed by the member that gave it (P-45), with the checkpoint whose state it is not of: it convicts (B-81, kind 8). The replica puts
 * the chain of CONFIGs before it, and the node keeps the file. It is for people: the transfer goes on without that member either way.
 */
#include <string.h>

#include "appliance/transfer/transfer_private.h"
#include "protocol/evidence.h"

/* The place of this key in an epoch; BFT_MEMBERS_MAX: none. */
static uint8_t place_of_key(const struct transfer_epoch *epoch, const uint8_t key[SIGNER_PUBLIC_KEY_BYTES]) {
    uint8_t place = 0;
    while (place < epoch->members.n && memcmp(epoch->members.keys[place], key, SIGNER_PUBLIC_KEY_BYTES) != 0) place++;
    return place < epoch->members.n ? place : BFT_MEMBERS_MAX;
}

void take_evidence(struct transfer *t, uint8_t from, const struct transfer_query *query, const struct checkpoint_piece *piece) {
    struct transfer_take *take = &t->take;
    const struct transfer_epoch *epoch = epoch_find(t, take->shown.child.place.epoch);
    if ((take->convicted >> from & 1) != 0 || epoch == NULL) return;
    uint8_t signer = place_of_key(epoch, t->config.members->keys[from]); /* by the epoch whose members certified the checkpoint */
    const uint8_t *bytes = piece->content - CHECKPOINT_PIECE_HEAD_BYTES;
    size_t count = CHECKPOINT_PIECE_HEAD_BYTES + piece->content_bytes;
    if (signer == BFT_MEMBERS_MAX || take->shown_blob->count > EVIDENCE_CHECKPOINT_BYTES_MAX || count > CHECKPOINT_ENTRIES_PIECE_BYTES_MAX) return;
    take->convicted |= (uint16_t)(1u << from);
    struct blob *blob = blob_make(EVIDENCE_PIECE_BYTES_MORE + take->shown_blob->count + count);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    evidence_put_piece_items(&writer, take->shown_blob->bytes, take->shown_blob->count, &query->sent, bytes, count, bytes + count);
    CHECK(!writer.failed);
    blob->count = writer.used;
    struct transfer_output *output = transfer_output_add(t, TRANSFER_EVIDENCE);
    output->member = signer;
    output->epoch = take->shown.child.place.epoch;
    output->blob = blob;
}
