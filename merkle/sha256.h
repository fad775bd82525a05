/*
 * SHA-256 (FIPS 180-4) and the one-byte prefixes of every preimage (spec/conventions.md C-9).
 *
 * Contract
 *   The compression function is a library's (sha256_blocks.h), BoringSSL's as a rule, which uses the processor's own instructions; no heap, no
 *   failure. All lengths are bytes. Input and output may not overlap. Nothing here is for secrets: states are not wiped.
 *
 *   Whatever enters a tree, a chain or a signature is hashed with sha256_prefixed(): SHA-256(prefix | part 1 | part 2 | ...). The parts are joined
 *   without separators, so the caller's formats must have fixed or stated lengths.
 *
 *       SHA256_PREFIXED(block_id, HASH_BLOCK, {header, 244});
 *       SHA256_PREFIXED(digest, HASH_PART, {client_id, 32}, {operations, operations_bytes});
 */
#ifndef MERKLE_SHA256_H
#define MERKLE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_BLOCK_BYTES = 64 };

/* The first byte of every preimage: the table of C-9, and nothing else is ever hashed for the protocol. */
enum hash_prefix {
    HASH_TREE_LEAF = 0x00,
    HASH_TREE_INNER = 0x01,
    HASH_BLOCK = 0x02,
    HASH_TRIE_LEAF = 0x03,
    HASH_TRIE_INNER = 0x04,
    HASH_TRIE_PATH = 0x05,
    HASH_TRIE_KEY = 0x06,
    HASH_BODY = 0x07,
    HASH_CURSORS = 0x08,
    HASH_VALUE = 0x09,
    HASH_SLICE = 0x0A,
    HASH_PART = 0x0B,
    HASH_BATCH = 0x0C,
    HASH_CARD = 0x0D,
    HASH_SYSTEM = 0x0E,
    HASH_ITEMS = 0x0F,
    HASH_ROUTING = 0x10,
    HASH_ADMIN_OPERATION = 0x11,
    HASH_CLAIM = 0x12,
    /* 0x13 is reserved (P-91) */
    HASH_ADDRESSES = 0x14,
    HASH_NODE_CONFIG = 0x15,
    HASH_MANIFEST = 0x16,
    HASH_GROUPS = 0x17,
    HASH_PIECE = 0x18,
    HASH_ADMIN_INPUT = 0x19,
    HASH_BUNDLE = 0x1A,
    HASH_RELEASE = 0x1B,
    HASH_RESULTS = 0x1C,
    HASH_RESULTS_SHORTENED = 0x1D,
};

/* Incremental state; a plain value, may be copied to fork a hash. Use only through the functions below. */
struct sha256_state {
    uint32_t chain[8];
    uint64_t bytes_total;
    uint8_t pending[SHA256_BLOCK_BYTES];
};

struct sha256_part {
    const void *bytes; /* may be NULL when count is 0 */
    size_t count;
};

/* One shot: `out` = SHA-256 of `count` bytes. */
void sha256_hash(const void *bytes, size_t count, uint8_t out[SHA256_BYTES]);

/* Incremental: init, any number of updates, final. After final the state must be initialised again. */
void sha256_init(struct sha256_state *state);
void sha256_init_prefixed(struct sha256_state *state, enum hash_prefix prefix);
void sha256_update(struct sha256_state *state, const void *bytes, size_t count);
void sha256_final(struct sha256_state *state, uint8_t out[SHA256_BYTES]);

/* `out` = SHA-256(prefix | parts[0] | ... | parts[parts_count - 1]). */
void sha256_prefixed(enum hash_prefix prefix, const struct sha256_part *parts, size_t parts_count, uint8_t out[SHA256_BYTES]);

/* The same with the parts listed in place, each as {bytes, count}. */
#define SHA256_PREFIXED(out, prefix, ...)                                                                                                            \
    sha256_prefixed((prefix), (const struct sha256_part[]){__VA_ARGS__},                                                                             \
                    sizeof((const struct sha256_part[]){__VA_ARGS__}) / sizeof(struct sha256_part), (out))

/*
 * The same of several messages, each by itself: out[i] = SHA-256(prefix | messages[i]). At most SHA256_EACH_MAX of them. Long ones are hashed
 * four at a time, or sixteen, where the processor gains by it (sha256_lanes.h, sha256_wide.h): many of about one length in one call gain most.
 */
enum { SHA256_EACH_MAX = 32 };
void sha256_prefixed_each(enum hash_prefix prefix, const struct sha256_part *messages, unsigned count, uint8_t (*out)[SHA256_BYTES]);

/*
 * Exactly `blocks` 64-byte blocks that the caller has padded itself, from the initial chain value: for the fixed-size preimages of trees (no
 * copying, no length arithmetic per hash).
 */
void sha256_padded_blocks(const uint8_t *blocks_bytes, size_t blocks, uint8_t out[SHA256_BYTES]);
/* The same of several messages, all of so many blocks: messages[i] to out[i]. No output may lie in a message. */
void sha256_padded_blocks_each(const uint8_t *const *messages, unsigned count, size_t blocks, uint8_t *const *out);

/* True iff the 32-byte values are equal. Not constant time: hashes are public. */
static inline int sha256_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES]) {
    return __builtin_memcmp(a, b, SHA256_BYTES) == 0;
}

#endif
