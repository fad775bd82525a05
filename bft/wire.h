/*
 * Consensus messages to bytes and back: the payloads of frames 0x0101 to 0x010A (spec/consensus.md 3.2, B-3 to B-15).
 *
 * Contract
 *   bft_wire_decode() reads a whole payload through a bounds-checked cursor into *message and accepts exactly one encoding of each message; what
 *   it returned an error for has no effect and must not be looked at. It checks form only (lengths, ranges, zero fields, ascending indexes, the
 *   body hash); who signed what is bft/certificate.h. `message->body` points into the payload, so the payload must outlive the message; nothing
 *   else points anywhere. bft_wire_encode() is its inverse.
 *
 *   PROPOSE and BLOCK with a body: encode the part before the body with bft_wire_encode() (body = NULL is fine, body_bytes is what counts), then
 *   send the body's own bytes behind it: the body is always the last field, so nobody copies it.
 *
 * Limits
 *   BFT_WIRE_HEAD_BYTES_MAX for all of a message but the body.
 */
#ifndef BFT_WIRE_H
#define BFT_WIRE_H

#include "bft/types.h"
#include "merkle/bytes.h"

/* The frame types of C-12. */
enum bft_message_type {
    BFT_MESSAGE_PROPOSE = 0x0101,
    BFT_MESSAGE_PREPARE = 0x0102,
    BFT_MESSAGE_COMMIT = 0x0103,
    BFT_MESSAGE_QC = 0x0104,
    BFT_MESSAGE_TIMEOUT = 0x0105,
    BFT_MESSAGE_TC = 0x0106,
    BFT_MESSAGE_FETCH = 0x0107,
    BFT_MESSAGE_BLOCK = 0x0108,
    BFT_MESSAGE_STATUS = 0x0109,
    BFT_MESSAGE_NOOP = 0x010A,
};

enum {
    BFT_BALLOT_BYTES = 140,                                         /* a vote preimage without its tag */
    BFT_QC_BYTES_MAX = 4 + BFT_BALLOT_BYTES + 65 * BFT_MEMBERS_MAX, /* B-6 */
    BFT_TC_BYTES_MAX = 72 + 113 * BFT_MEMBERS_MAX + BFT_QC_BYTES_MAX,
    BFT_CERTIFICATE_BYTES_MAX = BFT_QC_BYTES_MAX + 4 + BFT_HEADER_BYTES * BFT_CERTIFICATE_HEADERS_MAX,
    BFT_WIRE_HEAD_BYTES_MAX = BFT_HEADER_BYTES + 72 + BFT_CERTIFICATE_BYTES_MAX,
    BFT_FETCH_BLOCKS_MAX = 64,                                      /* heights of one FETCH */
};

enum bft_wire_error {
    BFT_WIRE_OK = 0,
    BFT_WIRE_TRUNCATED, /* shorter than its table */
    BFT_WIRE_TRAILING,  /* bytes after the last field */
    BFT_WIRE_RANGE,     /* a count, index, kind or flag out of range, or indexes not ascending */
    BFT_WIRE_ZERO,      /* a field that must be zero is not */
    BFT_WIRE_BODY,      /* the body is too long, or not what body_hash names */
    BFT_WIRE_TYPE,      /* no consensus message has this type */
};

const char *bft_wire_error_name(enum bft_wire_error error);

/* B-11: a commit QC on the block itself (header_count 0), or on a descendant of the same epoch and the headers from the block to it, both
 * included (header_count >= 2). `headers` is in wire form, BFT_HEADER_BYTES each, and points into the bytes that were decoded. */
struct bft_certificate {
    struct bft_qc qc;
    uint16_t header_count;
    const uint8_t *headers;
};

/* B-12: the header, the leader's own PREPARE (whose ballot is the header's), TC(view - 1) in the first proposal of a view, the body. */
struct bft_propose {
    struct bft_header header;
    struct bft_vote vote; /* place, view, height, id and root follow from the header; decode fills them in */
    bool has_tc;
    struct bft_tc tc;
};

enum bft_fetch_kind { BFT_FETCH_ID = 1, BFT_FETCH_HEIGHTS = 2 };

/* B-13. Answered with BLOCK messages: of the block with this id, final or not; or of final blocks height_first, height_first + 1, ... in order,
 * each with a certificate, as many as there are and at most height_count. */
struct bft_fetch {
    uint8_t system_id[BFT_SYSTEM_BYTES];
    uint32_t cluster;
    uint8_t kind; /* enum bft_fetch_kind */
    struct bft_hash id;
    uint64_t height_first;
    uint32_t height_count; /* 1 to BFT_FETCH_BLOCKS_MAX */
};

struct bft_block_message {
    struct bft_header header;
    bool has_certificate;
    struct bft_certificate certificate;
};

enum bft_status_flag {
    BFT_STATUS_TIMED_OUT = 1 << 0,
    BFT_STATUS_VOTING = 1 << 1,  /* may vote: LAST-SIGNED was answered */
    BFT_STATUS_REPAIR = 1 << 2,  /* made no progress for a while, asks for what it lacks */
    BFT_STATUS_SEALED = 1 << 3,
    BFT_STATUS_FLAGS = 15,       /* all that exist */
};

/* B-14. */
struct bft_status {
    struct bft_place place;
    uint64_t view;
    struct bft_point final;
    struct bft_high high;
    uint64_t prepared_view; /* newest PREPARE of mine: 0, 0 if none in this epoch */
    uint64_t prepared_height;
    uint64_t time;          /* my estimate of cluster time */
    uint8_t flags;
    uint8_t signer;
    struct bft_signature signature;
};

/* B-15. */
struct bft_noop {
    uint8_t system_id[BFT_SYSTEM_BYTES];
    uint32_t cluster;
    uint64_t epoch;
    uint64_t nonce;
    uint8_t signer;
    struct bft_signature signature;
};

struct bft_message {
    uint16_t type; /* enum bft_message_type: which member of the union */
    union {
        struct bft_propose propose;
        struct bft_vote vote; /* PREPARE, COMMIT */
        struct bft_qc qc;
        struct bft_timeout timeout;
        struct bft_tc tc;
        struct bft_fetch fetch;
        struct bft_block_message block;
        struct bft_status status;
        struct bft_noop noop;
    };
    struct bft_hash block_id; /* PROPOSE, BLOCK: SHA-256(0x02 | header), filled in by decode */
    const uint8_t *body;      /* PROPOSE, BLOCK: decode points into the payload; the core never reads it */
    uint32_t body_bytes;
};

/* Decodes the payload of a frame of this type. */
enum bft_wire_error bft_wire_decode(uint16_t type, const uint8_t *payload, size_t payload_bytes, struct bft_message *message)
    __attribute__((warn_unused_result));

/* Encodes all of the message but the body itself, into `out` of `room` bytes (BFT_WIRE_HEAD_BYTES_MAX is enough for any). Returns the bytes
 * written; the payload is these and then message->body_bytes bytes of body. CHECKs that it fits: what we encode is ours. */
size_t bft_wire_encode(const struct bft_message *message, uint8_t *out, size_t room);

/* The parts, for other chapters' formats (compact decisions, receipts, stores). get: false as soon as anything is wrong; the cursor is then spent.
 * *error (if not NULL) names the cause. put: into a writer, sticky failure. */
void bft_header_put(struct bytes_writer *writer, const struct bft_header *header);
bool bft_header_get(struct bytes_cursor *cursor, struct bft_header *header);
void bft_qc_put(struct bytes_writer *writer, const struct bft_qc *qc);
bool bft_qc_get(struct bytes_cursor *cursor, struct bft_qc *qc, enum bft_wire_error *error);
void bft_timeout_put(struct bytes_writer *writer, const struct bft_timeout *timeout);
bool bft_timeout_get(struct bytes_cursor *cursor, struct bft_timeout *timeout, enum bft_wire_error *error);
void bft_tc_put(struct bytes_writer *writer, const struct bft_tc *tc);
bool bft_tc_get(struct bytes_cursor *cursor, struct bft_tc *tc, enum bft_wire_error *error);
void bft_certificate_put(struct bytes_writer *writer, const struct bft_certificate *certificate);
bool bft_certificate_get(struct bytes_cursor *cursor, struct bft_certificate *certificate, enum bft_wire_error *error);

/* What is signed (B-5, B-8, B-14, B-15): writes the whole string, tag first. */
void bft_vote_preimage(const struct bft_ballot *ballot, enum bft_vote_kind kind, uint8_t out[BFT_VOTE_PREIMAGE_BYTES]);
void bft_timeout_preimage(const struct bft_place *place, uint64_t view, const struct bft_high *high, uint8_t out[BFT_TIMEOUT_PREIMAGE_BYTES]);
void bft_status_preimage(const struct bft_status *status, uint8_t out[BFT_STATUS_PREIMAGE_BYTES]);
void bft_noop_preimage(const struct bft_noop *noop, uint8_t out[BFT_NOOP_PREIMAGE_BYTES]);

#endif
