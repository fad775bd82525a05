/*
 * The voting memory: all that a member must remember of what it signed, and of why it may (spec/consensus.md B-60 to B-64).
 *
 * Contract
 *   One small record, written whole. After each step whose update says `memory_changed` the shell encodes core->memory and makes it durable
 *   before any message of that update (or of a later one) leaves; of several pending versions only the newest need be written. A member whose
 *   memory is lost, damaged or older than what it once sent never signs with its key again.
 *   Signatures of one's own are not in it: Ed25519 is deterministic, so signing the same preimage again gives the same bytes (B-61).
 */
#ifndef BFT_MEMORY_H
#define BFT_MEMORY_H

#include "bft/types.h"

enum { BFT_MEMORY_BYTES_MAX = 12288 };

struct bft_memory {
    struct bft_place place;     /* the epoch that all of this belongs to */
    struct bft_point start;     /* of the epoch */
    uint64_t view;              /* never decreases within the epoch */
    bool timed_out;             /* TIMEOUT(view) was signed: no votes in it any more */
    bool has_prepared;
    bool has_committed;
    bool has_high;              /* false: the high is the epoch's start */
    struct bft_ballot prepared; /* newest PREPARE of mine */
    struct bft_ballot committed; /* newest COMMIT vote of mine */
    struct bft_high timeout_high; /* iff timed_out: the high that TIMEOUT(view) states */
    struct bft_qc timeout_qc;     /* and its QC (count 0: the start) */
    struct bft_qc high_qc;      /* iff has_high: never replaced by one of lower rank */
    struct bft_tc tc;           /* TC(view - 1); count 0: none (view 0, or joined without) */
    struct bft_tc joined;       /* iff count > 0: the f+1 TIMEOUTs of `view` on which it was joined */
};

/* Writes the record; returns its length, at most BFT_MEMORY_BYTES_MAX. */
size_t bft_memory_encode(const struct bft_memory *memory, uint8_t out[BFT_MEMORY_BYTES_MAX]);

/* Strict inverse. False if it is not such a record, whole: the disk is damaged, sign nothing. */
bool bft_memory_decode(const uint8_t *bytes, size_t bytes_count, struct bft_memory *memory) __attribute__((warn_unused_result));

#endif
