/*
 * Who signed what: verification of votes, QCs, TCs, certificates and whole messages against the members of an epoch (spec/consensus.md 3.3).
 *
 * Contract
 *   Pure functions of their arguments; may run on any thread. They take messages that bft_wire_decode() accepted. A certificate that verifies is
 *   proof as long as at most f members of that epoch lie; which epoch's members to ask is the caller's part (the CONFIG chain, spec/system.md).
 *   Cost: one signature verification per signature that is looked at; the cheap conditions are all checked first.
 */
#ifndef BFT_CERTIFICATE_H
#define BFT_CERTIFICATE_H

#include "bft/types.h"
#include "bft/wire.h"

/* In the order in which they are checked; the first that applies is the answer. */
enum bft_verify_error {
    BFT_VERIFY_OK = 0,
    BFT_VERIFY_SYSTEM,      /* another system */
    BFT_VERIFY_CLUSTER,     /* another cluster */
    BFT_VERIFY_EPOCH,       /* another epoch than the members' */
    BFT_VERIFY_CONFIG,      /* the epoch is right, config_hash is not */
    BFT_VERIFY_KIND,        /* a prepare QC where a commit QC is needed, or the reverse */
    BFT_VERIFY_HEIGHT,      /* not above the epoch's start, or above what the epoch's certificates prove */
    BFT_VERIFY_SIGNER,      /* index >= n, or not the one who had to sign */
    BFT_VERIFY_QUORUM,      /* not exactly q signatures */
    BFT_VERIFY_CHAIN,       /* headers do not link the block to the QC */
    BFT_VERIFY_HIGH,        /* a high that is neither the epoch's start nor a prepare QC of the epoch, or of a view above its own */
    BFT_VERIFY_HIGHEST,     /* a TC's Q* is not the highest of its highs */
    BFT_VERIFY_TC,          /* PROPOSE: TC absent, superfluous, or of another view */
    BFT_VERIFY_SIGNATURE,   /* a signature does not verify */
};

const char *bft_verify_error_name(enum bft_verify_error error);

enum bft_verify_error bft_vote_verify(const struct bft_members *members, const struct signer *signer, const struct bft_vote *vote)
    __attribute__((warn_unused_result));
/* B-6. `kind`: the one that is needed. Heights: above the start; no upper bound here (a suffix block's QC is above height_last). */
enum bft_verify_error bft_qc_verify(const struct bft_members *members, const struct signer *signer, const struct bft_qc *qc,
                                    enum bft_vote_kind kind) __attribute__((warn_unused_result));
enum bft_verify_error bft_timeout_verify(const struct bft_members *members, const struct signer *signer, const struct bft_timeout *timeout)
    __attribute__((warn_unused_result));
enum bft_verify_error bft_tc_verify(const struct bft_members *members, const struct signer *signer, const struct bft_tc *tc)
    __attribute__((warn_unused_result));

/* B-11: does it prove this block? On success *ballot (if not NULL) is what it proves: height, id and outbox_root of the block. `id` may be NULL
 * when the caller wants to know which block is proved rather than whether a given one is. */
enum bft_verify_error bft_certificate_verify(const struct bft_members *members, const struct signer *signer,
                                             const struct bft_certificate *certificate, const struct bft_hash *id, struct bft_ballot *ballot)
    __attribute__((warn_unused_result));

/* All signatures of one message, and that its parts belong together (B-16). FETCH has none. A BLOCK without certificate has none either: its id is
 * the proof, the core takes it only when it asked for that id. `known` (may be NULL, 0) are QCs that were verified before: an equal one inside the
 * message (as every TIMEOUT of a view carries) is not verified again. */
enum bft_verify_error bft_message_verify(const struct bft_members *members, const struct signer *signer, const struct bft_message *message,
                                         const struct bft_qc *const *known, size_t known_count) __attribute__((warn_unused_result));

/* Signs in place, as member `index`: a vote, the vote of a PROPOSE, a TIMEOUT, STATUS or NOOP. CHECK on other types. */
void bft_message_sign(const struct signer *signer, struct bft_message *message);

#endif
