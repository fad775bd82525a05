/*
 * Receipts: one answered operation, proved offline (spec/operations.md O-70, O-71).
 *
 * Contract
 *   receipt_decode() checks the encoding alone; receipt_verify() everything: certificate, outbox proof, item proof, and that the shown operation is
 *   the one that the answer's digest binds. Members of epoch 0 come from the system file; of a later epoch from the receipt's own CONFIG chain,
 *   which the caller verifies first (protocol/config.h) and gives as `members`.
 */
#ifndef PROTOCOL_RECEIPT_H
#define PROTOCOL_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/batch.h"
#include "protocol/decision.h"
#include "protocol/operation.h"
#include "protocol/slice.h"

enum { RECEIPT_MAGIC_BYTES = 8, RECEIPT_BYTES_MAX = 1 << 20 };

enum receipt_error {
    RECEIPT_OK = 0,
    RECEIPT_NOT_ONE,       /* no magic: some other file */
    RECEIPT_TRUNCATED,     /* lengths do not fit each other, or bytes are left over */
    RECEIPT_BAD_DECISION,  /* certificate, outbox proof or leaf: see decision_error */
    RECEIPT_BAD_ITEM,      /* the item is not of kind 2, or its result does not decode */
    RECEIPT_ITEM_UNPROVED, /* the item is not under the leaf's root */
    RECEIPT_BAD_OPERATION, /* the operation does not decode */
    RECEIPT_OTHER_REQUEST, /* the operation is not the one that this answer is for */
};

const char *receipt_error_name(enum receipt_error error);

struct receipt {
    const uint8_t *chain; /* CONFIG chain, chapter 7 */
    uint32_t chain_bytes;
    struct decision decision; /* slice: none */
    uint32_t item_index;
    const tree_hash *item_path;
    uint32_t item_path_count;
    struct client_item item;
    struct result result;
    uint64_t number;
    const uint8_t *nonce;
    uint8_t flags;
    uint32_t op_count;
    uint32_t op_index;
    const tree_hash *op_path;
    uint32_t op_path_count;
    const uint8_t *op_bytes;
    uint32_t op_bytes_count;
    struct operation operation;
};

enum receipt_error receipt_decode(const uint8_t *bytes, size_t bytes_count, struct receipt *receipt, enum decision_error *cause)
    __attribute__((warn_unused_result));
enum receipt_error receipt_verify(const struct receipt *receipt, const struct bft_members *members, const struct signer *signer,
                                  enum decision_error *cause) __attribute__((warn_unused_result));

/*
 * Makes the receipt of operation `op_index` of `part`, from the whole answer that carried it: `decision` as decoded (with its slice), `item_index`
 * the position of the item in it. The part has flag RECEIPT (CHECK). Sticky overflow is the writer's.
 */
void receipt_encode(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const struct decision *decision, uint32_t item_index,
                    const uint8_t nonce[BATCH_NONCE_BYTES], const struct batch_part *part, uint32_t op_index);

#endif
