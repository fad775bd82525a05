/*
 * What consensus is about: members, headers, votes, certificates, and the limits of all of them (spec/consensus.md, rules B-1 to B-18).
 *
 * Contract
 *   Plain structs without pointers: copied with =, compared field by field (padding is not defined), never sent as they lie in memory
 *   (bft/wire.h is the encoding). An id or root is a struct bft_hash. All heights, views and epochs are u64.
 *
 *   Epoch: the members, fixed by one CONFIG, numbered by its serial; 0 is genesis. A *point* names a block by height and id. Rank of a
 *   certificate inside an epoch is (view, height), compared in that order; between epochs the epoch comes first.
 */
#ifndef BFT_TYPES_H
#define BFT_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bft/signer.h"

enum {
    BFT_MEMBERS_MIN = 4,
    BFT_MEMBERS_MAX = 16,
    BFT_FAULTS_MAX = (BFT_MEMBERS_MAX - 1) / 3,
    BFT_QUORUM_MAX = BFT_MEMBERS_MAX - BFT_FAULTS_MAX,
    BFT_WINDOW_MAX = 16,               /* W at most */
    BFT_BODY_BYTES_MAX = 1 << 20,      /* of one body, as it stands in PROPOSE and BLOCK */
    BFT_CERTIFICATE_HEADERS_MAX = 256, /* headers between a block and the QC that proves it, both ends counted */
    BFT_SYSTEM_BYTES = 16,
    BFT_HEADER_BYTES = 244,            /* B-3 */
    BFT_VOTE_PREIMAGE_BYTES = 156,     /* B-5, the tag included */
    BFT_TIMEOUT_PREIMAGE_BYTES = 132,  /* B-8 */
    BFT_STATUS_PREIMAGE_BYTES = 200,   /* B-14 */
    BFT_NOOP_PREIMAGE_BYTES = 52,      /* B-15 */
    BFT_TIME_AHEAD_MS = 1000,          /* B-24 */
    BFT_NOBODY = 0xFF,                 /* no member: an observer, or no signer */
};

struct bft_hash {
    uint8_t bytes[32];
};

struct bft_signature {
    uint8_t bytes[SIGNER_SIGNATURE_BYTES];
};

/* Which cluster of which system in which epoch: the first fields of all that is signed or hashed. */
struct bft_place {
    uint8_t system_id[BFT_SYSTEM_BYTES];
    struct bft_hash config_hash;
    uint32_t cluster;
    uint64_t epoch;
};

struct bft_point {
    uint64_t height;
    struct bft_hash id;
};

/* The members of one epoch and the heights that their certificates prove (B-1, B-2). */
struct bft_members {
    struct bft_place place;
    struct bft_point start; /* the CONFIG block that began the epoch; genesis for epoch 0. Certificates prove heights above it ... */
    uint64_t height_last;   /* ... and not above this: the height of the CONFIG (or SEAL) that ended it; UINT64_MAX while unknown */
    uint32_t n;             /* 4 to 16 */
    uint32_t f;             /* floor((n - 1) / 3) */
    uint32_t q;             /* n - f */
    uint8_t keys[BFT_MEMBERS_MAX][SIGNER_PUBLIC_KEY_BYTES];
};

static inline uint32_t bft_faults(uint32_t n) { return (n - 1) / 3; }
static inline uint32_t bft_quorum(uint32_t n) { return n - bft_faults(n); }
static inline uint8_t bft_leader(const struct bft_members *members, uint64_t view) { return (uint8_t)(view % members->n); }

/* B-3. The block is its header and its body; its id is SHA-256(0x02 | header). */
struct bft_header {
    struct bft_place place;
    uint64_t view;
    uint64_t height;
    struct bft_hash outbox_root;
    struct bft_hash parent_id;
    struct bft_hash body_hash;    /* SHA-256(0x07 | body) */
    struct bft_hash state_root;   /* after the parent */
    struct bft_hash cursors_hash;
    uint64_t time;                /* cluster time, ms */
};

enum bft_vote_kind { BFT_PREPARE = 0, BFT_COMMIT = 1 };

/* What a vote says; the kind is in the tag (B-5). */
struct bft_ballot {
    struct bft_place place;
    uint64_t view;
    uint64_t height;
    struct bft_hash block_id;
    struct bft_hash outbox_root;
};

struct bft_vote {
    struct bft_ballot ballot;
    uint8_t kind; /* enum bft_vote_kind */
    uint8_t signer;
    struct bft_signature signature;
};

/* B-6: exactly q signatures over one ballot, ascending by index. */
struct bft_qc {
    struct bft_ballot ballot;
    uint8_t kind;  /* enum bft_vote_kind */
    uint8_t count; /* signatures; 0 is "no QC" */
    uint8_t signers[BFT_MEMBERS_MAX];
    struct bft_signature signatures[BFT_MEMBERS_MAX];
};

/* The high of a member: its newest prepare QC by rank, or the epoch's start with view 0 (B-8). */
struct bft_high {
    uint64_t view;
    struct bft_point block;
};

/* B-8. qc.count is 0 iff the high is the epoch's start. */
struct bft_timeout {
    struct bft_place place;
    uint64_t view;
    struct bft_high high;
    uint8_t signer;
    struct bft_signature signature;
    struct bft_qc qc;
};

/* B-9: q TIMEOUTs of one view without their QCs, ascending by index, and Q*, the prepare QC of the highest high among them (count 0: all highs
 * are the epoch's start). The same struct holds the f+1 TIMEOUTs on which a member joined a view, which is no TC. */
struct bft_tc {
    struct bft_place place;
    uint64_t view;
    uint8_t count; /* 0 is "no TC" */
    uint8_t signers[BFT_MEMBERS_MAX];
    struct bft_high highs[BFT_MEMBERS_MAX];
    struct bft_signature signatures[BFT_MEMBERS_MAX];
    struct bft_qc qc;
};

static inline bool bft_hash_equal(const struct bft_hash *a, const struct bft_hash *b) { return memcmp(a->bytes, b->bytes, 32) == 0; }

static inline bool bft_point_equal(const struct bft_point *a, const struct bft_point *b) {
    return a->height == b->height && bft_hash_equal(&a->id, &b->id);
}

static inline bool bft_place_equal(const struct bft_place *a, const struct bft_place *b) {
    return memcmp(a->system_id, b->system_id, BFT_SYSTEM_BYTES) == 0 && bft_hash_equal(&a->config_hash, &b->config_hash) &&
           a->cluster == b->cluster && a->epoch == b->epoch;
}

static inline bool bft_ballot_equal(const struct bft_ballot *a, const struct bft_ballot *b) {
    return a->view == b->view && a->height == b->height && bft_hash_equal(&a->block_id, &b->block_id) &&
           bft_hash_equal(&a->outbox_root, &b->outbox_root) && bft_place_equal(&a->place, &b->place);
}

/* < 0, 0, > 0 as (view, height) of a is below, equal to, above that of b. Inside one epoch only. */
static inline int bft_rank_compare(uint64_t view_a, uint64_t height_a, uint64_t view_b, uint64_t height_b) {
    if (view_a != view_b) return view_a < view_b ? -1 : 1;
    if (height_a != height_b) return height_a < height_b ? -1 : 1;
    return 0;
}

/* Fills in f and q. False unless 4 <= n <= 16. */
bool bft_members_init(struct bft_members *members, const struct bft_place *place, const struct bft_point *start, uint32_t n,
                      const uint8_t keys[][SIGNER_PUBLIC_KEY_BYTES]) __attribute__((warn_unused_result));

/* The ids and hashes of B-3, B-4. */
struct bft_hash bft_header_id(const struct bft_header *header);
struct bft_hash bft_body_hash(const void *body, size_t body_bytes);
/* body_hash of the empty body (four zero bytes), and the RFC 9162 root of no leaves: SHA-256 of the empty string. */
struct bft_hash bft_body_hash_empty(void);
struct bft_hash bft_outbox_root_empty(void);

/* B-10: the header of genesis, which nobody signs; `state_root` is the root of the genesis state, `cursors_hash` that of genesis (D-20). */
void bft_genesis_header(struct bft_header *header, const uint8_t system_id[BFT_SYSTEM_BYTES], const struct bft_hash *config_hash, uint32_t cluster,
                        uint64_t height, const struct bft_hash *state_root, const struct bft_hash *cursors_hash);

/* The ballot that a vote for this block signs. */
void bft_header_ballot(const struct bft_header *header, const struct bft_hash *id, struct bft_ballot *ballot);

#endif
