/*
 * Compact decisions: certificate, proof, leaf, slice (spec/decisions.md D-12), whether for a cluster or for a client.
 *
 * Contract
 *   decision_decode() checks the encoding and points into the source; nothing in it is to be believed before decision_verify() said OK, which costs q
 *   signature verifications and one hash over the slice. `system_id` and cluster are held against the members' (bft/types.h), so one call proves:
 *   this cluster of this system decided this slice for this destination.
 */
#ifndef PROTOCOL_DECISION_H
#define PROTOCOL_DECISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bft/certificate.h"
#include "merkle/tree.h"
#include "protocol/leaf.h"
#include "protocol/slice.h"

enum { DECISION_LEAVES_MAX = 1 << 24, DECISION_PATH_MAX = 24 };

enum decision_error {
    DECISION_OK = 0,
    DECISION_TRUNCATED,       /* lengths do not fit each other */
    DECISION_BAD_CERTIFICATE, /* does not decode */
    DECISION_BAD_LEAF,        /* D-9, D-10 */
    DECISION_BAD_PATH,        /* index, count and number of hashes do not fit */
    DECISION_UNPROVED,        /* the certificate does not verify */
    DECISION_WRONG_LEAF,      /* the leaf names another system, source or height than the certificate, or is not in the outbox */
    DECISION_WRONG_SLICE,     /* the slice is not the leaf's */
};

const char *decision_error_name(enum decision_error error);

struct decision {
    struct bft_certificate certificate;
    uint32_t leaf_index;
    uint32_t leaf_count; /* the least that leaf_index and path_count allow (D-12), not the outbox's own */
    const tree_hash *path;
    uint32_t path_count;
    const uint8_t *leaf_bytes;
    struct leaf leaf;
    const uint8_t *slice;
    const uint8_t *head; /* all before the slice: what a server sends ahead of it */
    size_t head_bytes;
};

enum decision_error decision_decode(const uint8_t *bytes, size_t bytes_count, struct decision *decision) __attribute__((warn_unused_result));

/* Reads certificate, proof and leaf only (as a receipt has them), leaving the cursor behind the leaf. */
enum decision_error decision_decode_head(struct bytes_cursor *cursor, struct decision *decision) __attribute__((warn_unused_result));

/* *cause (may be NULL) says why the certificate does not verify, with DECISION_UNPROVED. */
enum decision_error decision_verify(const struct decision *decision, const struct bft_members *members, const struct signer *signer,
                                    enum bft_verify_error *cause) __attribute__((warn_unused_result));
/* The same without the slice. */
enum decision_error decision_verify_head(const struct decision *decision, const struct bft_members *members, const struct signer *signer,
                                         enum bft_verify_error *cause) __attribute__((warn_unused_result));
/* As decision_verify(); of a slice for a cluster, the hashes of its long results are noted on the way (D-36), to be believed iff DECISION_OK. */
enum decision_error decision_verify_noting(const struct decision *decision, const struct bft_members *members, const struct signer *signer,
                                           struct slice_longs *longs) __attribute__((warn_unused_result));
/* Of the slice alone: hash or items root, by the leaf's kind. */
bool decision_slice_valid(const struct leaf *leaf, const uint8_t *slice, size_t slice_bytes) __attribute__((warn_unused_result));

/* Writes everything before the slice. path_count must fit index and count (CHECK); leaf_count is the outbox's own. */
void decision_head_encode(struct bytes_writer *writer, const struct bft_certificate *certificate, uint32_t leaf_index, uint32_t leaf_count,
                          const tree_hash *path, uint32_t path_count, const uint8_t leaf[LEAF_BYTES]);

#endif
