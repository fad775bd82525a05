/*
 * Evidence: signed messages that no honest member, or no honest quorum, can have made together (spec/consensus.md 3.11, B-80 to B-84). A file that
 * convicts offline, with the system file alone.
 *
 * Contract
 *   Pure. evidence_decode() takes any bytes and checks the form and that the items contradict each other; evidence_verify() checks who signed them.
 *   Pointers lead into the bytes that were decoded. Members of epoch 0 come from the system file, of a later epoch from the chain inside, which the
 *   caller verifies first (config_chain_members()).
 */
#ifndef PROTOCOL_EVIDENCE_H
#define PROTOCOL_EVIDENCE_H

#include "bft/certificate.h"
#include "merkle/bytes.h"
#include "protocol/checkpoint.h"
#include "protocol/claim.h"
#include "protocol/decision.h"

enum { EVIDENCE_MAGIC_BYTES = 8, EVIDENCE_NOBODY = 0xFF };

/*
 * How large a file can be. The largest items are those of a wrong piece (kind 8): CHECKPOINT, whole, with as many items as a manifest may have
 * (P-32), and PIECE of ENTRIES, which no receiver takes for one when it is longer than this (P-45). All other items are smaller: a compact decision
 * came in one frame (32 MiB). The chain before them is what the administrators made it: 64 MiB are 16 KiB for each of the 4,096
 * steps that a payload may have (S-103); with four nodes and a body of its own a step is some KiB. What is larger nobody keeps, and nobody reads.
 */
enum {
    EVIDENCE_PIECE_BYTES_MORE = 8 + CHECKPOINT_PIECE_QUERY_BYTES + CHECKPOINT_PIECE_SIGNATURE_BYTES, /* of its items, beside the two */
    EVIDENCE_CHECKPOINT_BYTES_MAX =
        16 + 4 + CHECKPOINT_MANIFEST_HEAD_BYTES + CHECKPOINT_ITEMS_MAX * CHECKPOINT_ITEM_BYTES + CHECKPOINT_PROOF_BYTES_MAX,
    EVIDENCE_ITEMS_BYTES_MAX = EVIDENCE_CHECKPOINT_BYTES_MAX + CHECKPOINT_ENTRIES_PIECE_BYTES_MAX + EVIDENCE_PIECE_BYTES_MORE,
    EVIDENCE_CHAIN_BYTES_MAX = 1 << 26,
    EVIDENCE_BYTES_MAX = EVIDENCE_MAGIC_BYTES + 4 + EVIDENCE_CHAIN_BYTES_MAX + 4 + EVIDENCE_ITEMS_BYTES_MAX
};

enum evidence_kind {
    EVIDENCE_TWO_PREPARES = 1,    /* of one view and height */
    EVIDENCE_TWO_COMMITS,         /* likewise */
    EVIDENCE_TWO_TIMEOUTS,        /* of one view, with different highs */
    EVIDENCE_COMMIT_AND_TIMEOUT,  /* a COMMIT, and a TIMEOUT of its view or a later one whose high ranks below it */
    EVIDENCE_SLICE,               /* a certified slice that does not parse. A COMMIT may be given without executing, so no signer is guilty alone: */
    EVIDENCE_TWO_SLICES,          /* the cluster is. Two certified slices under one number */
    EVIDENCE_TWO_SUCCESSORS,      /* of one system, each signed well enough: administrators signed both (spec/system.md S-143) */
    EVIDENCE_PIECE,               /* a piece of a checkpoint that a member signed, and that is not of its state */
    EVIDENCE_KINDS_END
};
const char *evidence_kind_name(enum evidence_kind kind);

enum evidence_error {
    EVIDENCE_OK = 0,
    EVIDENCE_NOT_ONE,      /* no magic: some other file */
    EVIDENCE_TRUNCATED,    /* too short, or bytes left over */
    EVIDENCE_BAD_FIELD,    /* kind, signer or a zero out of range */
    EVIDENCE_NO_CONFLICT,  /* the items do not contradict each other, or are not in order */
    EVIDENCE_BAD_DECISION, /* the compact decision does not decode or is not proved */
    EVIDENCE_BAD_CHECKPOINT, /* the checkpoint does not decode, is not whole or not proved */
    EVIDENCE_BAD_SIGNER,   /* verify: no such member in that epoch, or another place than the members' */
    EVIDENCE_BAD_SIGNATURE /* verify */
};
const char *evidence_error_name(enum evidence_error error);

struct evidence {
    const uint8_t *chain; /* CONFIG chain of the cluster, as in a receipt (O-70) */
    uint32_t chain_bytes;
    enum evidence_kind kind;
    uint8_t signer;         /* who is convicted; EVIDENCE_NOBODY: more than f members of the cluster, none by name */
    struct bft_place place; /* of both items */
    struct bft_vote votes[2];       /* TWO_PREPARES, TWO_COMMITS; COMMIT_AND_TIMEOUT: the first */
    struct bft_timeout timeouts[2]; /* TWO_TIMEOUTS; COMMIT_AND_TIMEOUT: the first. Without QCs */
    struct decision decisions[2];   /* SLICE: the first; TWO_SLICES: without their slices */
    struct claim_successor successors[2]; /* TWO_SUCCESSORS; place: only the system, and the cluster of the chain */
    struct { /* PIECE; place: of the child of the checkpoint's block */
        struct checkpoint_shown shown;
        struct checkpoint_piece_query query;
        const uint8_t *bytes; /* the PIECE, before its signature */
        size_t byte_count;
        const uint8_t *signature;
    } piece;
};

enum evidence_error evidence_decode(const uint8_t *bytes, size_t count, struct evidence *evidence) __attribute__((warn_unused_result));
/* members: of evidence->place. Whoever it convicts is faulty for certain. */
enum evidence_error evidence_verify(const struct evidence *evidence, const struct bft_members *members, const struct signer *signer)
    __attribute__((warn_unused_result));

/* TWO_SUCCESSORS: by the newest CONFIG of the predecessor that the chain inside shows. *both: administrators of it who signed both, by bit. */
enum evidence_error evidence_verify_successors(const struct evidence *evidence, const struct config *config, uint32_t *both)
    __attribute__((warn_unused_result));

/* Do these contradict each other? (B-81) Nothing is said about signatures. */
bool evidence_votes_conflict(const struct bft_vote *a, const struct bft_vote *b);
bool evidence_timeouts_conflict(const struct bft_timeout *a, const struct bft_timeout *b);
bool evidence_commit_timeout_conflict(const struct bft_vote *commit, const struct bft_timeout *timeout);

/* Writers of the whole file; the items conflict (CHECK). Sticky overflow is the writer's. */
void evidence_put_votes(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const struct bft_vote *a, const struct bft_vote *b);
void evidence_put_timeouts(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const struct bft_timeout *a,
                           const struct bft_timeout *b);
void evidence_put_commit_timeout(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const struct bft_vote *commit,
                                 const struct bft_timeout *timeout);
/* All before the compact decision, which follows as it came. */
void evidence_put_slice_head(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes);
/* Both decode, of one predecessor, with different successors (CHECK). */
void evidence_put_successors(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const uint8_t *a, size_t a_bytes,
                             const uint8_t *b, size_t b_bytes);
/* PIECE: all before the items, and the items: the payload of the CHECKPOINT as a backup has it, the question, the PIECE, its signature. */
void evidence_put_piece_head(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, uint8_t signer);
void evidence_put_piece_items(struct bytes_writer *writer, const uint8_t *shown, size_t shown_bytes, const struct checkpoint_piece_query *query,
                              const uint8_t *piece, size_t piece_bytes, const uint8_t signature[CHECKPOINT_PIECE_SIGNATURE_BYTES]);
bool evidence_decisions_conflict(const struct decision *a, const struct decision *b);
void evidence_put_decisions(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const struct decision *a,
                            const struct decision *b);

#endif
