/*
 * The top of a state trie over leaves that lie elsewhere: made in one pass over all leaves in order of path, it answers what a trie would about any
 * piece (T-14): its subroot, and the proof that its leaves are all. For a node that serves a checkpoint from its disk (P-40 ff.).
 *
 * Contract
 *   Pure; all memory is the caller's, one struct trie_index of about 5 MiB. Use: begin, add each leaf in ascending order, end; from then on only
 *   questions. The index knows the hash of every part of 16 bits; what lies deeper is asked of the caller: trie_index_way() says which part's leaves
 *   it needs, and is called again with them.
 */
#ifndef MERKLE_TRIE_INDEX_H
#define MERKLE_TRIE_INDEX_H

#include "merkle/trie.h"

enum { TRIE_INDEX_BITS = 16, TRIE_INDEX_PARTS = 1 << TRIE_INDEX_BITS };

struct trie_index {
    struct trie_stream stream;                      /* of the part that is being added */
    bool ended;
    uint32_t part;                                  /* of the newest leaf */
    uint8_t nodes[2 * TRIE_INDEX_PARTS][SHA256_BYTES]; /* node of `bits` bits and this prefix: 2^bits + prefix; 0 is unused */
    uint64_t leaves[TRIE_INDEX_PARTS + 1];          /* before each part; at the end all */
    uint64_t bytes[TRIE_INDEX_PARTS + 1];           /* of what the caller counts, likewise */
};

void trie_index_begin(struct trie_index *index);
/* bytes: a count that the caller wants back summed. False (nothing changed) unless path is above the last one. */
bool trie_index_add(struct trie_index *index, const uint8_t path[SHA256_BYTES], const uint8_t leaf_hash[SHA256_BYTES], uint64_t bytes)
    __attribute__((warn_unused_result));
void trie_index_end(struct trie_index *index);

/* Questions, after the end. Of pieces of up to TRIE_INDEX_BITS bits (CHECK); bits of the prefix beyond are ignored. */
void trie_index_hash(const struct trie_index *index, const uint8_t prefix[SHA256_BYTES], unsigned bits, uint8_t out[SHA256_BYTES]);
uint64_t trie_index_leaves(const struct trie_index *index, const uint8_t prefix[SHA256_BYTES], unsigned bits);
uint64_t trie_index_bytes(const struct trie_index *index, const uint8_t prefix[SHA256_BYTES], unsigned bits);

/* All leaves of one part of TRIE_INDEX_BITS bits, ascending. */
struct trie_index_leaf {
    uint8_t path[SHA256_BYTES];
    uint8_t hash[SHA256_BYTES];
};
struct trie_index_part {
    const struct trie_index_leaf *leaves;
    uint32_t count;
};
/* The root over neighbouring leaves (T-6). */
void trie_index_range_hash(const struct trie_index_leaf *leaves, uint32_t count, uint8_t out[SHA256_BYTES]);

/* The way to a piece, as its proof writes it (T-14). */
struct trie_index_way {
    enum trie_proof_kind kind;
    bool needs_leaves;      /* call again with the leaves of `part` */
    uint32_t part;
    uint32_t leaf;          /* TRIE_PROOF_OTHER: which of them stands in the piece's place */
    unsigned step_count;
    uint8_t bits[TRIE_BITS];
    uint8_t siblings[TRIE_BITS][SHA256_BYTES];
};
/* part NULL: none loaded yet. */
void trie_index_way(const struct trie_index *index, const uint8_t prefix[SHA256_BYTES], unsigned prefix_bits, const struct trie_index_part *part,
                    struct trie_index_way *way);
/* Appends the proof; `other` as in trie_prefix_proof_write(), for TRIE_PROOF_OTHER only. */
void trie_index_proof_write(const struct trie_index_way *way, const struct trie_proof_other *other, struct bytes_writer *writer);

#endif
