/*
 * RFC 9162 Merkle trees (spec/trees.md, M-rules): CONFIG, outbox, answers.
 *
 * Purpose
 *   Root of a list of leaves; proof that a leaf lies at an index of a tree of a given size; proof that one tree is a prefix of another.
 *
 * Contract
 *   Pure, no heap, no recursion. A leaf is bytes; its hash is SHA-256(0x00 | bytes), an inner node's SHA-256(0x01 | left | right), the root of no
 *   leaves SHA-256 of the empty string (M-1 to M-3). All functions take leaf hashes; hash the leaf's bytes with tree_leaf_hash() first.
 *   Verifiers take nothing on trust: index, size and the number of hashes must fit each other exactly (M-6, M-9), else TREE_BAD_*.
 *
 * Limits
 *   Any size below 2^64; a proof has at most 64 hashes (consistency: 65).
 */
#ifndef MERKLE_TREE_H
#define MERKLE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "merkle/bytes.h"
#include "merkle/sha256.h"

enum {
    TREE_PROOF_HASHES_MAX = 64,
    TREE_CONSISTENCY_HASHES_MAX = 65,
    TREE_PROOF_BYTES_MAX = 8 + 8 + TREE_PROOF_HASHES_MAX * 32, /* encoded inclusion proof, M-7 */
};

enum tree_error {
    TREE_OK = 0,
    TREE_BAD_INDEX,  /* index not below size, or sizes of a consistency proof out of order */
    TREE_BAD_LENGTH, /* number of hashes is not the one that index and size require */
    TREE_BAD_ROOT,   /* all lengths right, but another root comes out */
    TREE_BAD_BYTES,  /* encoded proof: truncated */
};

/* A word for logs and vectors: "ok", "bad_index", ... */
const char *tree_error_name(enum tree_error error);

typedef uint8_t tree_hash[SHA256_BYTES];

/* M-1: hash of a leaf's bytes; `parts` variant for a leaf in pieces. */
void tree_leaf_hash(const void *leaf, size_t leaf_bytes, tree_hash out);
void tree_leaf_hash_parts(const struct sha256_part *parts, size_t parts_count, tree_hash out);

/* M-2. `out` may be `left` or `right`. */
void tree_inner_hash(const tree_hash left, const tree_hash right, tree_hash out);

/* Root of `size` leaf hashes in one go (M-3, M-4). `leaf_hashes` may be NULL when size is 0. */
void tree_root(const tree_hash *leaf_hashes, size_t size, tree_hash out);

/* Root of a stream of leaf hashes: 2 KiB of state, one leaf at a time; the root may be asked for at any time and the stream go on. */
struct tree_builder {
    uint64_t size;
    tree_hash peaks[64]; /* peaks[k] is valid iff bit k of size is set: root of the complete subtree of 2^k leaves there */
};

void tree_builder_init(struct tree_builder *builder);
void tree_builder_add(struct tree_builder *builder, const tree_hash leaf_hash);
void tree_builder_root(const struct tree_builder *builder, tree_hash out);

/*
 * All levels of a tree kept, for making many inclusion proofs of it, each in O(log size). `storage` must have room for tree_levels_hashes(size)
 * hashes and live as long as `levels`; the leaf hashes are its first `size` entries, which the caller fills in before tree_levels_build().
 */
struct tree_levels {
    tree_hash *storage;
    size_t size;
};

size_t tree_levels_hashes(size_t size);
void tree_levels_build(struct tree_levels *levels, tree_hash *storage, size_t size);
void tree_levels_root(const struct tree_levels *levels, tree_hash out);
/* index < size is the caller's duty (CHECK). Returns the number of hashes written. */
size_t tree_levels_prove(const struct tree_levels *levels, size_t index, tree_hash hashes[TREE_PROOF_HASHES_MAX]);

/* How many hashes the inclusion proof of (index, size) has (M-6); index < size (CHECK). */
size_t tree_inclusion_count(uint64_t index, uint64_t size);

/* One inclusion proof straight from the leaf hashes, O(size): nearest sibling first. index < size (CHECK). Returns the number of hashes. */
size_t tree_inclusion_prove(const tree_hash *leaf_hashes, size_t size, size_t index, tree_hash hashes[TREE_PROOF_HASHES_MAX]);

/* M-6: TREE_OK iff the proof shows `leaf_hash` at `index` of the tree of `size` leaves with that root. Any values may be passed. */
enum tree_error tree_inclusion_verify(const tree_hash leaf_hash, uint64_t index, uint64_t size, const tree_hash *hashes, size_t hashes_count,
                                      const tree_hash root) __attribute__((warn_unused_result));

/* The root that the proof leads to, for callers that go on with it (a certificate signs it); TREE_BAD_ROOT cannot come. */
enum tree_error tree_inclusion_root(const tree_hash leaf_hash, uint64_t index, uint64_t size, const tree_hash *hashes, size_t hashes_count,
                                    tree_hash out) __attribute__((warn_unused_result));

/* M-8: 0 < old_size <= size (CHECK). Returns the number of hashes (0 when the sizes are equal). */
size_t tree_consistency_prove(const tree_hash *leaf_hashes, size_t size, size_t old_size, tree_hash hashes[TREE_CONSISTENCY_HASHES_MAX]);

/* M-9: TREE_OK iff the tree (old_size, old_root) is a prefix of (size, root). old_size = 0 is TREE_BAD_INDEX: it would prove nothing. */
enum tree_error tree_consistency_verify(uint64_t old_size, uint64_t size, const tree_hash *hashes, size_t hashes_count, const tree_hash old_root,
                                        const tree_hash root) __attribute__((warn_unused_result));

/*
 * Encoded inclusion proof, M-7: index u64, size u64, then exactly tree_inclusion_count(index, size) hashes. `hashes` points into the source.
 */
struct tree_proof {
    uint64_t index;
    uint64_t size;
    const tree_hash *hashes;
    size_t hashes_count;
};

/* Reads one from the cursor. On an error the cursor has failed as well, and *proof is all zero. */
enum tree_error tree_proof_read(struct bytes_cursor *cursor, struct tree_proof *proof) __attribute__((warn_unused_result));
/* Writes one; hashes_count must fit index and size (CHECK). */
void tree_proof_write(struct bytes_writer *writer, uint64_t index, uint64_t size, const tree_hash *hashes, size_t hashes_count);
/* Size of the encoding of a proof for (index, size), index < size (CHECK). */
size_t tree_proof_bytes(uint64_t index, uint64_t size);

#endif
