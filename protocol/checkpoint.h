/*
 * Checkpoints as peers show them to each other, and the pieces of state transfer (spec/durability.md 8.4, 8.5: P-30 to P-49; frames 0x010D to
 * 0x0110).
 *
 * Contract
 *   Pure. Decoders take any bytes; pointers in what they give lead into the bytes that were decoded. Nothing is believed before its verify function
 *   said so: checkpoint_shown_verify() ties a state root to a certificate, checkpoint_entries_verify() and checkpoint_subroots_verify() tie pieces
 *   to that root. Items (P-33) are proved by the state that the entries make, which is the receiver's part.
 *
 * Limits: CHECKPOINT_* below.
 */
#ifndef PROTOCOL_CHECKPOINT_H
#define PROTOCOL_CHECKPOINT_H

#include "bft/certificate.h"
#include "bft/types.h"
#include "bft/wire.h"
#include "merkle/bytes.h"
#include "merkle/tree.h"
#include "merkle/trie.h"

enum {
    CHECKPOINT_QUERY_BYTES = 16,
    CHECKPOINT_PIECE_QUERY_BYTES = 96,
    CHECKPOINT_PIECE_HEAD_BYTES = 56,
    CHECKPOINT_MANIFEST_HEAD_BYTES = 124,
    CHECKPOINT_ITEM_BYTES = 56,
    CHECKPOINT_ITEMS_MAX = 1 << 20,
    CHECKPOINT_ITEMS_SHOWN_MAX = 1024,      /* manifest_items_shown: one of more is shown short on a link */
    CHECKPOINT_SHORT_BYTES = CHECKPOINT_MANIFEST_HEAD_BYTES + 32,
    CHECKPOINT_SHOWN_MAX = 2,               /* checkpoints_kept */
    CHECKPOINT_PIECE_BYTES_MAX = 1 << 20,   /* piece_bytes_max */
    CHECKPOINT_ENTRIES_PIECE_BYTES_MAX = CHECKPOINT_PIECE_HEAD_BYTES + 4 + TRIE_PROOF_BYTES_MAX + CHECKPOINT_PIECE_BYTES_MAX, /* without signature */
    CHECKPOINT_SUBROOTS = 256,
    CHECKPOINT_SUBROOT_BITS = 8,
    CHECKPOINT_ENTRY_HEAD_BYTES = 20,
    CHECKPOINT_VALUE_BYTES_MAX = 65536,
    CHECKPOINT_PIECE_PREIMAGE_BYTES = 16 + BFT_SYSTEM_BYTES + 32,
    CHECKPOINT_PIECE_SIGNATURE_BYTES = 64,  /* behind the entries, to a member or observer */
    CHECKPOINT_MESSAGE_BYTES_MAX = 1 << 18, /* a CHECKPOINT on a link */
    CHECKPOINT_PATH_MAX = 24,               /* of SEAL's proof: an outbox has at most 2^24 leaves */
    CHECKPOINT_PROOF_BYTES_MAX = 2 * BFT_HEADER_BYTES + 4 + BFT_CERTIFICATE_BYTES_MAX + 4 + 32 * CHECKPOINT_PATH_MAX,
};

_Static_assert(16 + CHECKPOINT_SHOWN_MAX * (4 + CHECKPOINT_MANIFEST_HEAD_BYTES + CHECKPOINT_ITEMS_SHOWN_MAX * CHECKPOINT_ITEM_BYTES +
                                            CHECKPOINT_PROOF_BYTES_MAX) <= CHECKPOINT_MESSAGE_BYTES_MAX,
               "whatever a node shows fits");

enum checkpoint_error {
    CHECKPOINT_OK = 0,
    CHECKPOINT_BAD_BYTES,       /* too short, or bytes left over */
    CHECKPOINT_BAD_FIELD,       /* a field out of its range, a zero that is none, items not ascending */
    CHECKPOINT_BAD_PLACE,       /* another system or cluster, or no height for a checkpoint */
    CHECKPOINT_BAD_HEADER,      /* header, child (SEAL's: outbox) and manifest do not belong together */
    CHECKPOINT_BAD_CERTIFICATE, /* the child is not proved */
    CHECKPOINT_BAD_NONCE,       /* not an answer to that query */
    CHECKPOINT_BAD_ORDER,       /* entries not ascending by path, or without the prefix */
    CHECKPOINT_BAD_PROOF,       /* the entries or subroots are not those of the state root */
};
const char *checkpoint_error_name(enum checkpoint_error error);

/* P-33. */
enum checkpoint_item_kind { CHECKPOINT_PENDING = 1, CHECKPOINT_ROUTING = 2, CHECKPOINT_SLICE = 3 };
struct checkpoint_item {
    uint8_t kind;
    uint32_t cluster;
    uint64_t dseq;
    uint64_t bytes;
    uint8_t hash[32];
};

/* P-32. `items` is in wire form: checkpoint_manifest_item(). */
struct checkpoint_manifest {
    uint8_t system_id[BFT_SYSTEM_BYTES];
    uint32_t cluster;
    uint64_t epoch;
    uint64_t height;
    uint8_t block_id[32];
    uint8_t state_root[32];
    uint64_t entries;
    uint64_t bytes;
    uint32_t item_count;
    const uint8_t *items;
};

void checkpoint_item_encode(const struct checkpoint_item *item, uint8_t out[CHECKPOINT_ITEM_BYTES]);
/* Appends head and items (taken from manifest->items, in wire form). */
void checkpoint_manifest_put(struct bytes_writer *writer, const struct checkpoint_manifest *manifest);
enum checkpoint_error checkpoint_manifest_decode(const void *bytes, size_t count, struct checkpoint_manifest *manifest)
    __attribute__((warn_unused_result));
/* index < item_count (CHECK). */
struct checkpoint_item checkpoint_manifest_item(const struct checkpoint_manifest *manifest, uint32_t index);
void checkpoint_manifest_hash(const void *bytes, size_t count, uint8_t out[32]);

/* P-41. */
struct checkpoint_query {
    uint64_t nonce;
    uint64_t height;
};
void checkpoint_query_encode(const struct checkpoint_query *query, uint8_t out[CHECKPOINT_QUERY_BYTES]);
enum checkpoint_error checkpoint_query_decode(const void *bytes, size_t count, struct checkpoint_query *query) __attribute__((warn_unused_result));

/* P-42: one checkpoint with its proof. Short: the manifest's head and its hash stand for it; `manifest` is without items then. */
struct checkpoint_shown {
    struct checkpoint_manifest manifest;
    bool whole;
    const uint8_t *manifest_bytes; /* as shown */
    size_t manifest_count;
    struct bft_header header;
    struct bft_header child;
    struct bft_certificate certificate; /* of the child; its headers point into the payload */
    bool sealed;                        /* SEAL's: `child` is the header itself, and the block's outbox names the root (P-31) */
    uint32_t path_count;                /* sealed: from the state leaf, the outbox's last, up to its root */
    const tree_hash *path;
};
/* The message: head, then one checkpoint after the other. */
void checkpoint_message_head_put(struct bytes_writer *writer, uint64_t nonce, uint16_t count);
void checkpoint_shown_put(struct bytes_writer *writer, const struct checkpoint_shown *shown);
/* The manifest's hash. A short one states it, and proves nothing of it. */
void checkpoint_shown_hash(const struct checkpoint_shown *shown, uint8_t out[32]);
/* What proves it, alone: all but the manifest. Decoding leaves the manifest as it is. */
void checkpoint_proof_put(struct bytes_writer *writer, const struct checkpoint_shown *shown);
enum checkpoint_error checkpoint_proof_decode(const void *bytes, size_t count, struct checkpoint_shown *shown) __attribute__((warn_unused_result));
/* Manifest and headers fit each other; whether anybody signed is not looked at. */
bool checkpoint_proof_fits(const struct checkpoint_shown *shown);
enum checkpoint_error checkpoint_message_decode(const void *bytes, size_t count, uint64_t *nonce, struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX],
                                                uint16_t *shown_count) __attribute__((warn_unused_result));
/* members: of the child's epoch. checkpoint_blocks: K of the manifest's epoch. */
enum checkpoint_error checkpoint_shown_verify(const struct bft_members *members, const struct signer *signer, uint32_t checkpoint_blocks,
                                              const struct checkpoint_shown *shown) __attribute__((warn_unused_result));

/* P-43. */
enum checkpoint_piece_kind { CHECKPOINT_ENTRIES = 0, CHECKPOINT_SUBROOTS_OF = 4, CHECKPOINT_MANIFEST_OF = 5 }; /* 1 to 3: of items */
struct checkpoint_piece_query {
    uint64_t nonce;
    uint8_t manifest_hash[32];
    uint8_t kind;
    uint16_t prefix_bits;
    uint32_t cluster;
    uint64_t dseq;
    uint64_t offset;
    uint8_t prefix[32];
};
void checkpoint_piece_query_encode(const struct checkpoint_piece_query *query, uint8_t out[CHECKPOINT_PIECE_QUERY_BYTES]);
enum checkpoint_error checkpoint_piece_query_decode(const void *bytes, size_t count, struct checkpoint_piece_query *query)
    __attribute__((warn_unused_result));

/* P-44. */
enum checkpoint_piece_code { CHECKPOINT_PIECE_OK = 0, CHECKPOINT_PIECE_UNKNOWN = 1, CHECKPOINT_PIECE_TOO_LARGE = 2, CHECKPOINT_PIECE_BUSY = 3 };
struct checkpoint_piece {
    uint64_t nonce;
    uint8_t manifest_hash[32];
    uint8_t kind;
    uint8_t code;
    uint32_t hint;
    uint64_t total;
    const uint8_t *content;
    size_t content_bytes;
};
/* The head alone; the content is written or sent behind it. */
void checkpoint_piece_head_put(struct bytes_writer *writer, const struct checkpoint_piece *piece);
enum checkpoint_error checkpoint_piece_decode(const void *bytes, size_t count, struct checkpoint_piece *piece) __attribute__((warn_unused_result));
/* Whether it answers the query: nonce, hash, kind. */
bool checkpoint_piece_answers(const struct checkpoint_piece *piece, const struct checkpoint_piece_query *query);
/* P-44, the last two of its errors: BAD_NONCE if it does not answer the query, BAD_FIELD if it calls too large what has one size. */
enum checkpoint_error checkpoint_piece_judge(const struct checkpoint_piece *piece, const struct checkpoint_piece_query *query)
    __attribute__((warn_unused_result));

/* P-45: what a member signs of ENTRIES that it gives to a member or observer. piece: all before the signature. */
void checkpoint_piece_preimage(const uint8_t system_id[BFT_SYSTEM_BYTES], const struct checkpoint_piece_query *query, const uint8_t *piece,
                               size_t piece_bytes, uint8_t out[CHECKPOINT_PIECE_PREIMAGE_BYTES]);

/* P-45: one entry of a piece. */
struct checkpoint_entry {
    uint8_t space;
    uint16_t key_bytes;
    uint32_t value_bytes;
    uint64_t version_height;
    uint32_t version_index;
    const uint8_t *key;
    const uint8_t *value;
};
void checkpoint_entry_put(struct bytes_writer *writer, const struct checkpoint_entry *entry);
bool checkpoint_entry_get(struct bytes_cursor *cursor, struct checkpoint_entry *entry) __attribute__((warn_unused_result));
/* All of a decoded piece of kind ENTRIES against the root: on CHECKPOINT_OK *entries stands at the first entry, piece->total of them follow. */
enum checkpoint_error checkpoint_entries_verify(const struct checkpoint_piece *piece, const struct checkpoint_piece_query *query,
                                                const uint8_t state_root[32], struct bytes_cursor *entries) __attribute__((warn_unused_result));
/* The same, and the subroot of the piece. */
enum checkpoint_error checkpoint_entries_subroot(const struct checkpoint_piece *piece, const struct checkpoint_piece_query *query,
                                                 const uint8_t state_root[32], struct bytes_cursor *entries, uint8_t subroot[32])
    __attribute__((warn_unused_result));
/* P-46: against the known subroot of the query's prefix; *subroots leads to 256 hashes. */
enum checkpoint_error checkpoint_subroots_verify(const struct checkpoint_piece *piece, const struct checkpoint_piece_query *query,
                                                 const uint8_t subroot[32], const uint8_t **subroots) __attribute__((warn_unused_result));

#endif
