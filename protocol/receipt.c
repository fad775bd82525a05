#include "protocol/receipt.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

static const uint8_t magic[RECEIPT_MAGIC_BYTES] = {'H', 'R', 'C', 'R', 'C', 'P', 'T', '1'};

const char *receipt_error_name(enum receipt_error error) {
    switch (error) {
    case RECEIPT_OK: return "ok";
    case RECEIPT_NOT_ONE: return "not_a_receipt";
    case RECEIPT_TRUNCATED: return "truncated";
    case RECEIPT_BAD_DECISION: return "bad_decision";
    case RECEIPT_BAD_ITEM: return "bad_item";
    case RECEIPT_ITEM_UNPROVED: return "item_unproved";
    case RECEIPT_BAD_OPERATION: return "bad_operation";
    case RECEIPT_OTHER_REQUEST: return "other_request";
    }
    return "unknown";
}

/* A path as in D-12: index, size, count, hashes; false unless they fit each other. */
static bool path_get(struct bytes_cursor *cursor, uint32_t *index, uint32_t *size, const tree_hash **path, uint32_t *path_count) {
    *index = bytes_get_u32(cursor);
    *size = bytes_get_u32(cursor);
    *path_count = bytes_get_u32(cursor);
    bytes_require(cursor, *index < *size);
    if (cursor->failed) return false;
    bytes_require(cursor, *path_count == tree_inclusion_count(*index, *size));
    *path = (const tree_hash *)bytes_get_raw(cursor, (size_t)*path_count * BYTES_HASH);
    return !cursor->failed;
}

static enum receipt_error item_decode(struct bytes_cursor *cursor, struct receipt *out) {
    uint32_t items;
    if (!path_get(cursor, &out->item_index, &items, &out->item_path, &out->item_path_count)) return RECEIPT_TRUNCATED;
    uint32_t bytes_count = bytes_get_u32(cursor);
    const uint8_t *bytes = bytes_get_raw(cursor, bytes_count);
    if (!bytes) return RECEIPT_TRUNCATED;
    if (items != out->decision.leaf.item_count || !slice_client_item_decode(bytes, bytes_count, &out->item)) return RECEIPT_BAD_ITEM;
    struct bytes_cursor results = bytes_cursor_of(out->item.results, out->item.results_bytes);
    if (out->item.kind != CLIENT_ITEM_OPERATION || !result_decode(&results, &out->result) || !bytes_finished(&results)) return RECEIPT_BAD_ITEM;
    return RECEIPT_OK;
}

static enum receipt_error operation_part_decode(struct bytes_cursor *cursor, struct receipt *out) {
    out->number = bytes_get_u64(cursor);
    out->nonce = bytes_get_raw(cursor, BATCH_NONCE_BYTES);
    out->flags = bytes_get_u8(cursor);
    out->op_count = bytes_get_u32(cursor);
    uint32_t op_count;
    if (!path_get(cursor, &out->op_index, &op_count, &out->op_path, &out->op_path_count)) return RECEIPT_TRUNCATED;
    out->op_bytes_count = bytes_get_u32(cursor);
    out->op_bytes = bytes_get_raw(cursor, out->op_bytes_count);
    if (!bytes_finished(cursor)) return RECEIPT_TRUNCATED;
    struct bytes_cursor operation = bytes_cursor_of(out->op_bytes, out->op_bytes_count);
    if (!operation_decode(&operation, &out->operation) || !bytes_finished(&operation)) return RECEIPT_BAD_OPERATION;
    bool fits = op_count == out->op_count && out->op_index == out->item.first_op;
    return fits && (out->flags & PART_FLAG_RECEIPT) ? RECEIPT_OK : RECEIPT_OTHER_REQUEST;
}

enum receipt_error receipt_decode(const uint8_t *bytes, size_t bytes_count, struct receipt *receipt, enum decision_error *cause) {
    if (cause) *cause = DECISION_OK;
    struct bytes_cursor cursor = bytes_cursor_of(bytes, bytes_count);
    const uint8_t *start = bytes_get_raw(&cursor, RECEIPT_MAGIC_BYTES);
    if (!start || memcmp(start, magic, sizeof magic) != 0) return RECEIPT_NOT_ONE;
    receipt->chain_bytes = bytes_get_u32(&cursor);
    receipt->chain = bytes_get_raw(&cursor, receipt->chain_bytes);
    if (!receipt->chain) return RECEIPT_TRUNCATED;
    enum decision_error decision = decision_decode_head(&cursor, &receipt->decision);
    if (cause) *cause = decision;
    if (decision != DECISION_OK || receipt->decision.leaf.kind != LEAF_KIND_CLIENT) return RECEIPT_BAD_DECISION;
    enum receipt_error error = item_decode(&cursor, receipt);
    return error == RECEIPT_OK ? operation_part_decode(&cursor, receipt) : error;
}

enum receipt_error receipt_verify(const struct receipt *receipt, const struct bft_members *members, const struct signer *signer,
                                  enum decision_error *cause) {
    enum decision_error decision = decision_verify_head(&receipt->decision, members, signer, NULL);
    if (cause) *cause = decision;
    if (decision != DECISION_OK) return RECEIPT_BAD_DECISION;
    const struct leaf *leaf = &receipt->decision.leaf;
    tree_hash hash;
    if (!slice_client_item_hash(receipt->item.whole, receipt->item.whole_bytes, hash)) return RECEIPT_ITEM_UNPROVED;
    if (tree_inclusion_verify(hash, receipt->item_index, leaf->item_count, receipt->item_path, receipt->item_path_count, leaf->slice_hash) != TREE_OK)
        return RECEIPT_ITEM_UNPROVED;
    tree_hash root;
    tree_leaf_hash(receipt->op_bytes, receipt->op_bytes_count, hash);
    if (tree_inclusion_root(hash, receipt->op_index, receipt->op_count, receipt->op_path, receipt->op_path_count, root) != TREE_OK)
        return RECEIPT_OTHER_REQUEST;
    uint8_t digest[32];
    batch_part_digest_of_root(leaf->client_id, receipt->number, receipt->nonce, receipt->flags, receipt->op_count, root, digest);
    return sha256_equal(digest, receipt->item.part_digest) ? RECEIPT_OK : RECEIPT_OTHER_REQUEST;
}

static void path_put(struct bytes_writer *writer, const tree_hash *leaves, uint32_t size, uint32_t index) {
    tree_hash path[TREE_PROOF_HASHES_MAX];
    size_t count = tree_inclusion_prove(leaves, size, index, path);
    bytes_put_u32(writer, index);
    bytes_put_u32(writer, size);
    bytes_put_u32(writer, (uint32_t)count);
    bytes_put_raw(writer, path, count * BYTES_HASH);
}

static void item_put(struct bytes_writer *writer, const struct decision *decision, uint32_t item_index) {
    uint32_t items = decision->leaf.item_count;
    CHECK(item_index < items);
    tree_hash *leaves = malloc(sizeof(tree_hash) * items);
    CHECK(leaves);
    size_t at = 0;
    const uint8_t *shown = NULL;
    size_t shown_bytes = 0;
    for (uint32_t i = 0; i < items; i++) {
        const uint8_t *item;
        size_t item_bytes;
        CHECK(slice_client_next(decision->slice, decision->leaf.slice_bytes, &at, &item, &item_bytes));
        CHECK(slice_client_item_hash(item, item_bytes, leaves[i]));
        if (i == item_index) {
            shown = item;
            shown_bytes = item_bytes;
        }
    }
    path_put(writer, leaves, items, item_index);
    bytes_put_u32(writer, (uint32_t)shown_bytes);
    bytes_put_raw(writer, shown, shown_bytes);
    free(leaves);
}

void receipt_encode(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const struct decision *decision, uint32_t item_index,
                    const uint8_t nonce[BATCH_NONCE_BYTES], const struct batch_part *part, uint32_t op_index) {
    CHECK((part->flags & PART_FLAG_RECEIPT) && op_index < part->op_count);
    bytes_put_raw(writer, magic, sizeof magic);
    bytes_put_u32(writer, chain_bytes);
    bytes_put_raw(writer, chain, chain_bytes);
    bytes_put_raw(writer, decision->head, decision->head_bytes);
    item_put(writer, decision, item_index);
    bytes_put_u64(writer, part->number);
    bytes_put_raw(writer, nonce, BATCH_NONCE_BYTES);
    bytes_put_u8(writer, part->flags);
    bytes_put_u32(writer, part->op_count);
    tree_hash *leaves = malloc(sizeof(tree_hash) * part->op_count);
    CHECK(leaves);
    struct bytes_cursor cursor = bytes_cursor_of(part->ops, part->ops_bytes);
    const uint8_t *shown = NULL;
    size_t shown_bytes = 0;
    for (uint32_t i = 0; i < part->op_count; i++) {
        const uint8_t *start = cursor.at;
        struct operation operation;
        CHECK(operation_decode(&cursor, &operation));
        tree_leaf_hash(start, (size_t)(cursor.at - start), leaves[i]);
        if (i == op_index) {
            shown = start;
            shown_bytes = (size_t)(cursor.at - start);
        }
    }
    path_put(writer, leaves, part->op_count, op_index);
    bytes_put_u32(writer, (uint32_t)shown_bytes);
    bytes_put_raw(writer, shown, shown_bytes);
    free(leaves);
}
