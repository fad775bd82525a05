/*
 * The state trie (spec/trees.md, T-rules): one root for the whole state of a partition, canonical whatever the order of insertion.
 *
 * Purpose
 *   A binary Patricia trie over path = SHA-256(0x05 | SHA-256(0x06 | space | key)). A leaf stands for one present entry and binds space, key,
 *   version and value hash. Absent keys leave nothing behind. Proofs of presence and of absence, undo for speculative blocks, one rehash of the
 *   dirty paths per root.
 *
 * Contract
 *   Pure: no system call, no heap, no lock, one owner. All nodes lie in one piece of memory that the caller gives once, zero-filled and 64-byte
 *   aligned (a fresh private mmap is both); pages are touched only as leaves come, so an empty trie costs a few KiB resident. Nodes that are freed
 *   are used again. The trie does not keep keys or values: the caller hashes them (trie_path, trie_leaf_hash) and gives a `ref`, a number of its
 *   own choosing (its table slot), which comes back when a leaf is looked up; the ref is part of no hash. Undo brings back the old ref with the
 *   old hash, so what a ref names must stay valid until no open mark can bring it back.
 *
 *   Undo: trie_mark_begin(block) opens a mark; puts and removes from then on belong to the newest mark and are journaled.
 *   trie_mark_rollback(block) takes back that mark and all newer ones; trie_mark_release(block) makes the oldest mark final. Without an open mark
 *   nothing is journaled (loading genesis or a checkpoint). A call that returns an error has changed nothing.
 *
 *       trie_mark_begin(trie, height);
 *       trie_put(trie, path, leaf_hash, slot) ... trie_remove(trie, path) ...
 *       trie_root(trie, state_root);            // hashes what changed since the last call, once
 *       ... final: trie_mark_release(trie, height);  or on a new Q*: trie_mark_rollback(trie, height)
 *
 * Limits
 *   leaves_max <= 2^31 - 1; journal_max entries over all open marks; TRIE_MARKS_MAX open marks. Memory is trie_memory_bytes(limits): 112 bytes per
 *   leaf and 73 per journal entry, plus some 40 KiB. Of the journal as much is touched as open marks ever held at once.
 */
#ifndef MERKLE_TRIE_H
#define MERKLE_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "merkle/bytes.h"
#include "merkle/sha256.h"

enum {
    TRIE_BITS = 256,
    TRIE_KEY_BYTES_MAX = 256, /* T-1; keys have 1 to 256 bytes in both spaces */
    TRIE_MARKS_MAX = 64,
    TRIE_PROOF_BYTES_MAX = 4 + 256 * 33 + 47 + TRIE_KEY_BYTES_MAX, /* T-12 */
};

enum trie_space {
    TRIE_SPACE_USER = 0,
    TRIE_SPACE_SYSTEM = 1,
};

enum trie_status {
    TRIE_OK = 0,
    TRIE_ABSENT,       /* no leaf at that path */
    TRIE_FULL,         /* leaves_max leaves are there */
    TRIE_JOURNAL_FULL, /* journal_max entries belong to open marks */
    TRIE_MARKS_FULL,   /* TRIE_MARKS_MAX marks are open */
    TRIE_NO_MARK,      /* no open mark of that block (rollback), or it is not the oldest (release), or not above the newest (begin) */
};

/* Why a proof is refused, in the order of checking (T-13). */
enum trie_proof_error {
    TRIE_PROOF_OK = 0,
    TRIE_PROOF_BAD_KEY,   /* the key or space asked for is outside T-1 */
    TRIE_PROOF_BAD_BYTES, /* truncated, or bytes left over */
    TRIE_PROOF_BAD_FIELD, /* unknown kind, `zero` not zero, count > 256, bits not ascending, the other leaf's space or key outside T-1 */
    TRIE_PROOF_BAD_KIND,  /* a valid proof of the other thing: presence where absence was asked, or the reverse */
    TRIE_PROOF_BAD_LEAF,  /* absence: the other leaf is the key itself, or does not lie on the key's way */
    TRIE_PROOF_BAD_ROOT,  /* another root comes out */
};

const char *trie_status_name(enum trie_status status);
const char *trie_proof_error_name(enum trie_proof_error error);

/* What a leaf says besides its key (T-3). value_hash = SHA-256(0x09 | value bytes). */
struct trie_value {
    uint64_t version_height;
    uint32_t version_index;
    uint8_t value_hash[SHA256_BYTES];
};

/* T-2: the path of a key. space is 0 or 1, 1 <= key_bytes <= 256 (CHECK). */
void trie_path(enum trie_space space, const void *key, size_t key_bytes, uint8_t out[SHA256_BYTES]);
/* T-3: SHA-256(0x03 | space u8 | key_bytes u16 | key | height u64 | index u32 | value_hash). */
void trie_leaf_hash(enum trie_space space, const void *key, size_t key_bytes, const struct trie_value *value, uint8_t out[SHA256_BYTES]);
/* T-3: SHA-256(0x09 | value). */
void trie_value_hash(const void *value, size_t value_bytes, uint8_t out[SHA256_BYTES]);
/* T-4: SHA-256(0x04 | bit u8 | left | right). */
void trie_inner_hash(uint8_t bit, const uint8_t left[SHA256_BYTES], const uint8_t right[SHA256_BYTES], uint8_t out[SHA256_BYTES]);
/* T-5: the root of the empty trie, 32 zero bytes. */
extern const uint8_t trie_empty_root[SHA256_BYTES];

/* The trie itself. */

struct trie_limits {
    uint32_t leaves_max;  /* 1 to 2^31 - 1 */
    uint32_t journal_max; /* 1 to 2^32 - 1 */
};

struct trie;

/* Bytes of memory that trie_init needs for these limits (the budget; resident only as far as used). */
size_t trie_memory_bytes(const struct trie_limits *limits);

/* Takes over `memory` (zero-filled, 64-byte aligned, memory_bytes >= trie_memory_bytes, all CHECKed but the zeros) and returns the empty trie,
 * which lies in it. There is no close: unmap the memory. */
struct trie *trie_init(void *memory, size_t memory_bytes, const struct trie_limits *limits);

/* Inserts or overwrites the leaf at `path`. TRIE_OK, TRIE_FULL, TRIE_JOURNAL_FULL. */
enum trie_status trie_put(struct trie *trie, const uint8_t path[SHA256_BYTES], const uint8_t leaf_hash[SHA256_BYTES], uint32_t ref)
    __attribute__((warn_unused_result));

/* Removes the leaf at `path`. TRIE_OK, TRIE_ABSENT, TRIE_JOURNAL_FULL. */
enum trie_status trie_remove(struct trie *trie, const uint8_t path[SHA256_BYTES]) __attribute__((warn_unused_result));

/* One change of trie_apply: put, or remove when `leaf_hash` is NULL. */
struct trie_change {
    uint8_t path[SHA256_BYTES];
    const uint8_t *leaf_hash;
    uint32_t ref;
};

/* Many puts and removes at once, faster than one by one for large blocks since their cache misses overlap; the order does not matter when the
 * paths differ, and is kept when they do not. Removing an absent leaf is no error here. All or nothing: TRIE_OK, or TRIE_FULL when the leaves
 * before the call and the puts to paths that were absent then come to more than leaves_max (removes in the same call make no room), or
 * TRIE_JOURNAL_FULL when there is not one journal entry per change. */
enum trie_status trie_apply(struct trie *trie, const struct trie_change *changes, size_t changes_count) __attribute__((warn_unused_result));

/* Leaf hash and ref at `path` (either out pointer may be NULL). TRIE_OK or TRIE_ABSENT. */
enum trie_status trie_get(const struct trie *trie, const uint8_t path[SHA256_BYTES], uint8_t leaf_hash[SHA256_BYTES], uint32_t *ref)
    __attribute__((warn_unused_result));

/* The ref of a present leaf changes (its entry moved in the caller's table); no hash changes, nothing is journaled. TRIE_OK or TRIE_ABSENT. */
enum trie_status trie_ref_set(struct trie *trie, const uint8_t path[SHA256_BYTES], uint32_t ref) __attribute__((warn_unused_result));

/* The root (T-5, T-6); hashes only what changed since the last call. */
void trie_root(struct trie *trie, uint8_t out[SHA256_BYTES]);
/*
 * The same in parts, which may be done by several threads at once: begin names disjoint subtries whose hashes are to be made anew; each of them is
 * done by one call of part; when all have returned, end hashes what is above and gives the root. Nothing else may touch the trie from begin to end.
 * The parts share no word: each writes within its subtries, and its own half of the pair above each.
 */
enum { TRIE_REHASH_SUBTRIES = 256 };
struct trie_rehash {
    uint32_t count; /* subtries; 0: nothing is stale */
    uint32_t nodes[TRIE_REHASH_SUBTRIES], parents[TRIE_REHASH_SUBTRIES];
};
void trie_rehash_begin(const struct trie *trie, struct trie_rehash *rehash);
void trie_rehash_part(struct trie *trie, const struct trie_rehash *rehash, uint32_t first, uint32_t count);
void trie_rehash_end(struct trie *trie, const struct trie_rehash *rehash, uint8_t out[SHA256_BYTES]);

/* Undo; see Contract. `block` ascends from mark to mark. */
enum trie_status trie_mark_begin(struct trie *trie, uint64_t block) __attribute__((warn_unused_result));
enum trie_status trie_mark_rollback(struct trie *trie, uint64_t block) __attribute__((warn_unused_result));
enum trie_status trie_mark_release(struct trie *trie, uint64_t block) __attribute__((warn_unused_result));
uint32_t trie_marks_open(const struct trie *trie);

/* Counters for status and budget. */
struct trie_usage {
    uint32_t leaves;
    uint32_t leaves_max;
    uint32_t journal_entries;
    uint32_t journal_max;
    size_t memory_bytes;
    size_t touched_bytes; /* upper bound of what is resident */
};

void trie_usage(const struct trie *trie, struct trie_usage *usage);

/* Walk in order of path: the first leaf whose path is >= `from`. Stateless, so the trie may change between calls; go on from the path found plus
 * one (trie_path_next). TRIE_OK or TRIE_ABSENT (no further leaf). Out pointers may be NULL except path_out. */
enum trie_status trie_seek(const struct trie *trie, const uint8_t from[SHA256_BYTES], uint8_t path_out[SHA256_BYTES], uint8_t leaf_hash[SHA256_BYTES],
                           uint32_t *ref) __attribute__((warn_unused_result));
/*
 * Scrubbing: as trie_seek, and of all inner nodes whose leftmost leaf this is, whether the hash that the trie keeps of each is that of its sides: a
 * walk over all leaves has looked at every inner node once. A trie whose memory failed is no reason to CHECK: `intact` is false then, and what else
 * is told means nothing. Ask after trie_root(): what is still to be hashed is not looked at.
 */
struct trie_scrubbed {
    uint8_t path[SHA256_BYTES];
    uint8_t leaf_hash[SHA256_BYTES];
    uint32_t ref;
    bool intact;
};
enum trie_status trie_scrub_next(const struct trie *trie, const uint8_t from[SHA256_BYTES], struct trie_scrubbed *out)
    __attribute__((warn_unused_result));

/* path += 1 as a big-endian number; false when it was the last one. */
bool trie_path_next(uint8_t path[SHA256_BYTES]);

/* Proofs. A proof is of the current state, at the root that trie_root() gives at that moment (dirty paths are hashed first if need be). */

struct trie_proof_leaf { /* for absence: the leaf that stands where the key would be; the caller looks its key up by `ref` */
    uint8_t path[SHA256_BYTES];
    uint32_t ref;
};

enum trie_proof_kind {
    TRIE_PROOF_EMPTY = 0,   /* absence: the trie is empty */
    TRIE_PROOF_PRESENT = 1, /* the key's leaf is there */
    TRIE_PROOF_OTHER = 2,   /* absence: another leaf is where the key's way ends */
};

/* Step 1: which proof it will be, and for TRIE_PROOF_OTHER which leaf's key and value step 2 needs. */
enum trie_proof_kind trie_proof_find(const struct trie *trie, const uint8_t path[SHA256_BYTES], struct trie_proof_leaf *other);

/* The other leaf's content, for TRIE_PROOF_OTHER. */
struct trie_proof_other {
    enum trie_space space;
    const void *key;
    size_t key_bytes;
    struct trie_value value;
};

/* Step 2: appends the encoded proof (T-12, at most TRIE_PROOF_BYTES_MAX bytes) for `path`. `other` is needed for TRIE_PROOF_OTHER and must be the
 * leaf that step 1 named (CHECK), else ignored. */
void trie_proof_write(struct trie *trie, const uint8_t path[SHA256_BYTES], const struct trie_proof_other *other, struct bytes_writer *writer);

/* T-13: the proof shows that (space, key) is present with exactly this value under `root`. Any bytes may be passed. */
enum trie_proof_error trie_proof_verify_present(const uint8_t root[SHA256_BYTES], unsigned space, const void *key, size_t key_bytes,
                                                const struct trie_value *value, const void *proof, size_t proof_bytes)
    __attribute__((warn_unused_result));

/* T-13: the proof shows that (space, key) is absent under `root`. Any bytes may be passed. */
enum trie_proof_error trie_proof_verify_absent(const uint8_t root[SHA256_BYTES], unsigned space, const void *key, size_t key_bytes, const void *proof,
                                               size_t proof_bytes) __attribute__((warn_unused_result));

/* A root from leaves in ascending order of path, without a trie: 17 KiB of state. For checking pieces and checkpoints, and as an independent
 * second opinion. */
struct trie_stream {
    uint64_t leaves;
    uint32_t depth;
    uint8_t last_path[SHA256_BYTES];
    uint16_t bits[TRIE_BITS + 1];
    uint8_t hashes[TRIE_BITS + 1][SHA256_BYTES];
};

void trie_stream_init(struct trie_stream *stream);
/* False (and nothing changed) unless path is above the last one. */
bool trie_stream_add(struct trie_stream *stream, const uint8_t path[SHA256_BYTES], const uint8_t leaf_hash[SHA256_BYTES])
    __attribute__((warn_unused_result));
/* May be asked for once, at the end; consumes the stream. */
void trie_stream_root(struct trie_stream *stream, uint8_t out[SHA256_BYTES]);

/*
 * Pieces (T-14, T-15): all leaves whose path begins with the first `prefix_bits` bits of `prefix` (the rest of `prefix` is ignored), and a proof
 * that these are all. The hash of that part of the trie (its subroot; 32 zero bytes if it has no leaf) lets two sides compare prefix by prefix.
 */
void trie_prefix_hash(struct trie *trie, const uint8_t prefix[SHA256_BYTES], unsigned prefix_bits, uint8_t out[SHA256_BYTES]);

/* As trie_proof_find: TRIE_PROOF_PRESENT when leaves with the prefix are there. */
enum trie_proof_kind trie_prefix_proof_find(const struct trie *trie, const uint8_t prefix[SHA256_BYTES], unsigned prefix_bits,
                                            struct trie_proof_leaf *other);
void trie_prefix_proof_write(struct trie *trie, const uint8_t prefix[SHA256_BYTES], unsigned prefix_bits, const struct trie_proof_other *other,
                             struct bytes_writer *writer);

/* `subroot` is what trie_stream_root() gives over the piece's leaves, which the caller has checked to carry the prefix; 32 zero bytes for an empty
 * piece. TRIE_PROOF_OK iff exactly these are the leaves with that prefix under `root`. prefix_bits > 256 is TRIE_PROOF_BAD_KEY. */
enum trie_proof_error trie_prefix_proof_verify(const uint8_t root[SHA256_BYTES], const uint8_t prefix[SHA256_BYTES], unsigned prefix_bits,
                                               const uint8_t subroot[SHA256_BYTES], const void *proof, size_t proof_bytes)
    __attribute__((warn_unused_result));

/* True iff a and b agree in their first `bits` bits (0 to 256). */
bool trie_prefix_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES], unsigned bits);

#endif
