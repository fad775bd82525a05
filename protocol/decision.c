#include "protocol/decision.h"

#include <string.h>

#include "merkle/check.h"

const char *decision_error_name(enum decision_error error) {
    switch (error) {
    case DECISION_OK: return "ok";
    case DECISION_TRUNCATED: return "truncated";
    case DECISION_BAD_CERTIFICATE: return "bad_certificate";
    case DECISION_BAD_LEAF: return "bad_leaf";
    case DECISION_BAD_PATH: return "bad_path";
    case DECISION_UNPROVED: return "unproved";
    case DECISION_WRONG_LEAF: return "wrong_leaf";
    case DECISION_WRONG_SLICE: return "wrong_slice";
    }
    return "unknown";
}

static enum decision_error certificate_decode(struct bytes_cursor *cursor, struct decision *decision) {
    uint32_t bytes_count = bytes_get_u32(cursor);
    const uint8_t *bytes = bytes_get_raw(cursor, bytes_count);
    if (!bytes) return DECISION_TRUNCATED;
    struct bytes_cursor inner = bytes_cursor_of(bytes, bytes_count);
    enum bft_wire_error error;
    if (!bft_certificate_get(&inner, &decision->certificate, &error) || !bytes_finished(&inner)) return DECISION_BAD_CERTIFICATE;
    return DECISION_OK;
}

/* D-12: an RFC 9162 root does not tell its size apart from others for which the same path leads to it; of these the least is the one that is
 * written. */
static bool leaf_count_least(uint32_t leaf_index, uint32_t leaf_count, size_t path_count) {
    return leaf_count == leaf_index + 1 || tree_inclusion_count(leaf_index, leaf_count - 1) < path_count;
}

static uint32_t leaf_count_reduce(uint32_t leaf_index, uint32_t leaf_count, size_t path_count) {
    uint32_t low = leaf_index + 1; /* the number of hashes grows with the count */
    uint32_t high = leaf_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tree_inclusion_count(leaf_index, middle) < path_count) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

enum decision_error decision_decode_head(struct bytes_cursor *cursor, struct decision *decision) {
    decision->head = cursor->at;
    enum decision_error error = certificate_decode(cursor, decision);
    if (error != DECISION_OK) return error;
    decision->leaf_index = bytes_get_u32(cursor);
    decision->leaf_count = bytes_get_u32(cursor);
    decision->path_count = bytes_get_u32(cursor);
    if (cursor->failed) return DECISION_TRUNCATED;
    if (decision->leaf_count == 0 || decision->leaf_count > DECISION_LEAVES_MAX || decision->leaf_index >= decision->leaf_count)
        return DECISION_BAD_PATH;
    if (decision->path_count != tree_inclusion_count(decision->leaf_index, decision->leaf_count)) return DECISION_BAD_PATH;
    if (!leaf_count_least(decision->leaf_index, decision->leaf_count, decision->path_count)) return DECISION_BAD_PATH;
    decision->path = (const tree_hash *)bytes_get_raw(cursor, (size_t)decision->path_count * BYTES_HASH);
    decision->leaf_bytes = bytes_get_raw(cursor, LEAF_BYTES);
    if (cursor->failed) return DECISION_TRUNCATED;
    if (!leaf_decode(decision->leaf_bytes, &decision->leaf)) return DECISION_BAD_LEAF;
    decision->head_bytes = (size_t)(cursor->at - decision->head);
    return DECISION_OK;
}

enum decision_error decision_decode(const uint8_t *bytes, size_t bytes_count, struct decision *decision) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, bytes_count);
    enum decision_error error = decision_decode_head(&cursor, decision);
    if (error != DECISION_OK) return error;
    decision->slice = bytes_get_raw(&cursor, decision->leaf.slice_bytes);
    return bytes_finished(&cursor) ? DECISION_OK : DECISION_TRUNCATED;
}

enum decision_error decision_verify_head(const struct decision *decision, const struct bft_members *members, const struct signer *signer,
                                         enum bft_verify_error *cause) {
    struct bft_ballot ballot;
    enum bft_verify_error verify = bft_certificate_verify(members, signer, &decision->certificate, NULL, &ballot);
    if (cause) *cause = verify;
    if (verify != BFT_VERIFY_OK) return DECISION_UNPROVED;
    const struct leaf *leaf = &decision->leaf;
    if (memcmp(leaf->system_id, ballot.place.system_id, sizeof leaf->system_id) != 0) return DECISION_WRONG_LEAF;
    if (leaf->source != ballot.place.cluster || leaf->height != ballot.height) return DECISION_WRONG_LEAF;
    tree_hash hash;
    leaf_hash(decision->leaf_bytes, hash);
    enum tree_error tree =
        tree_inclusion_verify(hash, decision->leaf_index, decision->leaf_count, decision->path, decision->path_count, ballot.outbox_root.bytes);
    return tree == TREE_OK ? DECISION_OK : DECISION_WRONG_LEAF;
}

static bool slice_valid(const struct leaf *leaf, const uint8_t *slice, size_t slice_bytes, struct slice_longs *longs) {
    tree_hash hash;
    if (slice_bytes != leaf->slice_bytes) return false;
    if (leaf->kind == LEAF_KIND_CLUSTER) {
        slice_hash_noting(slice, slice_bytes, longs, hash);
    } else if (!slice_client_root(slice, slice_bytes, leaf->item_count, hash)) {
        return false;
    }
    return sha256_equal(hash, leaf->slice_hash);
}

bool decision_slice_valid(const struct leaf *leaf, const uint8_t *slice, size_t slice_bytes) {
    return slice_valid(leaf, slice, slice_bytes, NULL);
}

static enum decision_error verify(const struct decision *decision, const struct bft_members *members, const struct signer *signer,
                                  enum bft_verify_error *cause, struct slice_longs *longs) {
    enum decision_error error = decision_verify_head(decision, members, signer, cause);
    if (error != DECISION_OK) return error;
    return slice_valid(&decision->leaf, decision->slice, decision->leaf.slice_bytes, longs) ? DECISION_OK : DECISION_WRONG_SLICE;
}

enum decision_error decision_verify(const struct decision *decision, const struct bft_members *members, const struct signer *signer,
                                    enum bft_verify_error *cause) {
    return verify(decision, members, signer, cause, NULL);
}

enum decision_error decision_verify_noting(const struct decision *decision, const struct bft_members *members, const struct signer *signer,
                                           struct slice_longs *longs) {
    return verify(decision, members, signer, NULL, longs);
}

void decision_head_encode(struct bytes_writer *writer, const struct bft_certificate *certificate, uint32_t leaf_index, uint32_t leaf_count,
                          const tree_hash *path, uint32_t path_count, const uint8_t leaf[LEAF_BYTES]) {
    CHECK(path_count == tree_inclusion_count(leaf_index, leaf_count));
    uint8_t *length = bytes_put_space(writer, 4);
    size_t start = writer->used;
    bft_certificate_put(writer, certificate);
    if (writer->failed) return;
    bytes_put_le32(length, (uint32_t)(writer->used - start));
    bytes_put_u32(writer, leaf_index);
    bytes_put_u32(writer, leaf_count_reduce(leaf_index, leaf_count, path_count));
    bytes_put_u32(writer, path_count);
    bytes_put_raw(writer, path, (size_t)path_count * BYTES_HASH);
    bytes_put_raw(writer, leaf, LEAF_BYTES);
}
