/* Lies to other clusters and to clients: compact decisions and answers, which are the same thing. */
#include <stdlib.h>
#include <string.h>

#include "protocol/checkpoint.h"
#include "tests/liar/liar.h"

/* The same decision with one signature too few. */
static struct blob *one_signature_less(const struct blob *whole) {
    struct decision decision;
    CHECK(decision_decode(whole->bytes, whole->count, &decision) == DECISION_OK);
    decision.certificate.qc.count--;
    struct blob *blob = blob_make(whole->count);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    decision_head_encode(&writer, &decision.certificate, decision.leaf_index, decision.leaf_count, decision.path, decision.path_count,
                         decision.leaf_bytes);
    bytes_put_raw(&writer, decision.slice, whole->count - decision.head_bytes);
    CHECK(!writer.failed);
    blob->count = writer.used;
    return blob;
}

/* The oldest frame of this kind that went to this peer; the first one is it. */
static struct blob *oldest_to(struct liar *liar, struct replica_peer to, const struct blob *whole) {
    for (uint32_t i = 0; i < liar->kept_count; i++) {
        if (replica_peer_pack(liar->kept[i].to) == replica_peer_pack(to)) return liar->kept[i].blob;
    }
    if (liar->kept_count == LIAR_KEPT_MAX) return NULL;
    liar->kept[liar->kept_count++] = (struct liar_frame){.to = to, .blob = blob_copy(whole->bytes, whole->count)};
    return NULL;
}

bool liar_send_slices(struct liar *liar, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    if (type != (liar->kind == LIAR_FORGE ? MESSAGE_ANSWER : MESSAGE_COMPACT_DECISION)) return true;
    struct blob *whole = liar_join(pieces, *count);
    struct blob *old = oldest_to(liar, to, whole), *lie = NULL;
    if (liar_option_is(liar, "stale") || liar_option_is(liar, "old")) {
        if (old != NULL) lie = blob_copy(old->bytes, old->count);
    } else if (liar_option_is(liar, "quorum")) {
        lie = one_signature_less(whole);
    } else {
        CHECK(liar_option_is(liar, "wrong") || liar_option_is(liar, "value"));
        lie = blob_copy(whole->bytes, whole->count);
        lie->bytes[lie->count - 1] ^= 1; /* the end of the slice: the last value */
    }
    blob_drop(whole);
    if (lie == NULL) return true;
    liar_replace(liar, pieces, count, lie);
    liar_counted(liar);
    return true;
}

/* The last bit of what it serves: of an entry's value, mostly. */
bool liar_send_pieces(struct liar *liar, uint16_t type, struct blob_piece *pieces, unsigned *count) {
    if (type != MESSAGE_PIECE) return true;
    struct blob *lie = liar_join(pieces, *count);
    if (lie->count <= CHECKPOINT_PIECE_HEAD_BYTES) { /* no content */
        blob_drop(lie);
        return true;
    }
    lie->bytes[lie->count - 1] ^= 1;
    liar_replace(liar, pieces, count, lie);
    liar_counted(liar);
    return true;
}
