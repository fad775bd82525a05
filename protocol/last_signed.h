/*
 * LAST-SIGNED: "what is the newest that you hold of me?" (spec/durability.md 8.3, P-10 to P-16; frames 0x010B, 0x010C).
 *
 * Before a member signs anything after a start, and again on entering each epoch that is new to its store, it asks the members of the epoch in
 * which it would vote, waits for q-1 answers, and retires its key for ever if one shows an item of its own that is newer than its store, or at the
 * same place with other content: then its disk was rolled back, or its key signs elsewhere.
 *
 * Contract
 *   Pure: bytes in, structs out. Decoders take any bytes and give an error, never more; what they accept encodes to the same bytes. An answer
 *   counts only after last_signed_answer_verify(); its items only if signed by the asker's own key, which the same call checks (an item that is not
 *   is a lie of the answerer).
 *
 *       query -> last_signed_query_encode() -> frame 0x010B to each member
 *       frame 0x010C -> last_signed_answer_decode() -> _verify() -> last_signed_judge() for each counted answer
 */
#ifndef PROTOCOL_LAST_SIGNED_H
#define PROTOCOL_LAST_SIGNED_H

#include "bft/memory.h"
#include "bft/types.h"
#include "bft/wire.h"

enum {
    LAST_SIGNED_NONCE_BYTES = 16,
    LAST_SIGNED_QUERY_BYTES = 48,
    LAST_SIGNED_ITEM_VOTE_BYTES = BFT_BALLOT_BYTES + SIGNER_SIGNATURE_BYTES,                                       /* 204 */
    LAST_SIGNED_ITEM_TIMEOUT_BYTES = BFT_TIMEOUT_PREIMAGE_BYTES - SIGNER_TAG_BYTES + SIGNER_SIGNATURE_BYTES,       /* 180 */
    LAST_SIGNED_ANSWER_BYTES_MAX = 48 + 2 * LAST_SIGNED_ITEM_VOTE_BYTES + LAST_SIGNED_ITEM_TIMEOUT_BYTES + SIGNER_SIGNATURE_BYTES,
};

/* P-11. */
struct last_signed_query {
    uint8_t system_id[BFT_SYSTEM_BYTES];
    uint32_t cluster;
    uint64_t epoch;      /* in which the asker would vote */
    uint8_t asker;       /* its index there */
    uint8_t nonce[LAST_SIGNED_NONCE_BYTES]; /* fresh and random for each start and epoch */
};

/* P-12. Items carry the place in which they were signed, which may be an earlier epoch. Of a timeout only place, view, high and signature count. */
struct last_signed_answer {
    struct last_signed_query query; /* repeated */
    uint8_t signer;                 /* the answerer's index in query.epoch */
    bool has_prepare;
    bool has_commit;
    bool has_timeout;
    struct bft_vote prepare;        /* kind and signer (the asker) are filled in by decode */
    struct bft_vote commit;
    struct bft_timeout timeout;     /* qc.count is 0 */
    uint8_t signature[SIGNER_SIGNATURE_BYTES];
};

enum last_signed_error {
    LAST_SIGNED_OK = 0,
    LAST_SIGNED_BAD_BYTES,     /* too short, or bytes left over */
    LAST_SIGNED_BAD_FIELD,     /* asker or signer >= 16, unknown bit, zero not zero, asker = signer */
    LAST_SIGNED_BAD_QUERY,     /* verify: not an answer to this query */
    LAST_SIGNED_BAD_SIGNER,    /* verify: no member of that epoch */
    LAST_SIGNED_BAD_SIGNATURE, /* verify: the answerer's */
    LAST_SIGNED_BAD_ITEM,      /* verify: an item of another system or cluster, or not signed by the asker's key */
};

const char *last_signed_error_name(enum last_signed_error error);

/* One item: what was signed, without the tag, then the signature (also in evidence). get: sticky failure is the cursor's; kind and signer are the
 * caller's knowledge. */
void last_signed_vote_put(struct bytes_writer *writer, const struct bft_vote *vote);
void last_signed_vote_get(struct bytes_cursor *cursor, struct bft_vote *vote, enum bft_vote_kind kind, uint8_t signer);
void last_signed_timeout_put(struct bytes_writer *writer, const struct bft_timeout *timeout);
void last_signed_timeout_get(struct bytes_cursor *cursor, struct bft_timeout *timeout, uint8_t signer);

void last_signed_query_encode(const struct last_signed_query *query, uint8_t out[LAST_SIGNED_QUERY_BYTES]);
enum last_signed_error last_signed_query_decode(const void *bytes, size_t count, struct last_signed_query *query) __attribute__((warn_unused_result));

/* Fills in answer->signature with `signer` and writes the payload; returns its length. */
size_t last_signed_answer_sign(const struct signer *signer, struct last_signed_answer *answer, uint8_t out[LAST_SIGNED_ANSWER_BYTES_MAX]);
enum last_signed_error last_signed_answer_decode(const void *bytes, size_t count, struct last_signed_answer *answer)
    __attribute__((warn_unused_result));
/* P-13: whether it counts. members: of query->epoch. The asker's key is members->keys[query->asker]. */
enum last_signed_error last_signed_answer_verify(const struct bft_members *members, const struct signer *signer,
                                                 const struct last_signed_query *query, const struct last_signed_answer *answer)
    __attribute__((warn_unused_result));

/* P-14. */
enum last_signed_verdict {
    LAST_SIGNED_KNOWN = 0, /* nothing that the store does not have */
    LAST_SIGNED_NEWER,     /* an item newer than the store's: rolled back. Retire */
    LAST_SIGNED_OTHER,     /* at the same place with another content: the key signs elsewhere, or rolled back. Retire */
};
/* memory: what the store holds (bft/memory.h); NULL: nothing was ever stored, then any item retires. */
enum last_signed_verdict last_signed_judge(const struct bft_memory *memory, const struct last_signed_answer *answer)
    __attribute__((warn_unused_result));

/* For the answerer: whether `item` replaces `held` (count 0 or view of an earlier rank) as the newest of a member, by (epoch, view, height). */
bool last_signed_vote_newer(const struct bft_vote *item, const struct bft_vote *held);
bool last_signed_timeout_newer(const struct bft_timeout *item, const struct bft_timeout *held);

#endif
