/*
 * The inside of the state trie, shared by trie.c, trie_proof.c and trie_index.c only.
 *
 * Layout of the caller's memory (each array begins at a multiple of 64):
 *
 *   struct trie | hash_pair[leaves_max] | leaf_path[leaves_max] | link[leaves_max] | leaf_ref[leaves_max] | journal | part_at | part_next
 *
 * A node's hash lies with its parent (hash_pair[parent].of[side]), the root's in struct trie. So rehashing an inner node reads one cache line, and
 * a way down reads 12 bytes a level. The hash of a child is stale iff its bit in the parent's link.stale is set; only inner children are ever
 * stale, and a node with a stale child is itself stale (or root_stale is set): the stale nodes are a connected top of the trie, which is what
 * trie_root() walks.
 *
 * A node is named by u32: 0 none; with TRIE_NODE_LEAF set the leaf of that index; else the inner node of index - 1.
 *
 * The journal lies in parts of TRIE_PART_ENTRIES entries each. Entry number n lies in part part_at[n / TRIE_PART_ENTRIES % parts]; a part is given
 * back when it has no entry that an open mark needs, and the one given back last is taken first. So as much of the journal is ever touched as open
 * marks held at once, and not all of it in turn, as in a ring.
 */
#ifndef MERKLE_TRIE_INSIDE_H
#define MERKLE_TRIE_INSIDE_H

#include "merkle/check.h"
#include "merkle/trie.h"

#define TRIE_NODE_NONE 0u
#define TRIE_NODE_LEAF 0x80000000u

struct trie_hash_pair {
    uint8_t of[2][SHA256_BYTES];
};

enum { TRIE_PART_ENTRIES = 256 };

struct trie_link {
    uint32_t child[2]; /* free inner nodes: child[0] is the next free one, as index + 1 */
    uint8_t bit;       /* the two sides differ first in this bit of the path; ascends on every way down */
    uint8_t stale;     /* bit s: hash_pair.of[s] must be computed anew */
    uint16_t unused;
};

struct trie_journal_entry {
    uint8_t path[SHA256_BYTES];
    uint8_t hash[SHA256_BYTES]; /* what was there before, if anything */
    uint32_t ref;
    uint32_t was_present;
};

struct trie_mark {
    uint64_t block;
    uint64_t journal_start; /* number of the first journal entry of this mark */
};

struct trie {
    struct trie_limits limits;
    struct trie_hash_pair *pairs;
    uint8_t (*paths)[SHA256_BYTES];
    struct trie_link *links;
    uint32_t *refs;                     /* free leaves: the next free one, as index + 1 */
    struct trie_journal_entry *journal; /* in parts, see above */
    uint32_t *part_at;                  /* [parts] */
    uint32_t *part_next;                /* [parts], of a free one: the next free one, as index + 1 */
    uint32_t parts, part_free, part_fresh; /* as leaf_free, leaves_fresh */

    uint32_t leaves;       /* present leaves; inner nodes in use are leaves - 1 (or 0) */
    uint32_t leaves_fresh; /* leaves never used yet begin here */
    uint32_t leaf_free;    /* index + 1 of the first free one, 0 none */
    uint32_t inner_fresh;
    uint32_t inner_free;

    uint32_t root;
    bool root_stale;
    uint8_t root_hash[SHA256_BYTES];

    uint64_t journal_begin; /* oldest entry still needed; without an open mark 0 */
    uint64_t journal_end;   /* number of the next entry; its part is held unless it is the first of one */
    uint32_t marks_first;   /* ring index of the oldest open mark */
    uint32_t marks_open;
    struct trie_mark marks[TRIE_MARKS_MAX];
};

_Static_assert(sizeof(struct trie_hash_pair) == 64 && sizeof(struct trie_link) == 12 && sizeof(struct trie_journal_entry) == 72,
               "the budget in trie.h counts 112 bytes per leaf and 72 per journal entry");

static inline unsigned trie_path_bit(const uint8_t path[SHA256_BYTES], unsigned bit) {
    return (path[bit >> 3] >> (7 - (bit & 7))) & 1u; /* T-2: most significant bit of the first byte first */
}

/* First bit in which the paths differ, 256 when they are equal. */
static inline unsigned trie_path_difference(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES]) {
    for (unsigned i = 0; i < SHA256_BYTES; i++) {
        unsigned difference = a[i] ^ b[i];
        if (difference) return 8 * i + (unsigned)__builtin_clz(difference) - 24;
    }
    return TRIE_BITS;
}

static inline bool trie_node_is_inner(uint32_t node) {
    return node != TRIE_NODE_NONE && !(node & TRIE_NODE_LEAF);
}

/* A way down: the inner nodes passed (indices) and the node where it ended. Bits ascend, so there are at most 256. */
struct trie_way {
    uint32_t inner[TRIE_BITS];
    unsigned depth;
    uint32_t end;
};

/* Follows the path's bits through inner nodes whose bit is below `bits_end`: 256 leads to a leaf (or none in an empty trie). */
static inline void trie_way_walk(const struct trie *trie, const uint8_t path[SHA256_BYTES], unsigned bits_end, struct trie_way *way) {
    uint32_t node = trie->root;
    way->depth = 0;
    while (trie_node_is_inner(node)) {
        const struct trie_link *link = &trie->links[node - 1];
        if (link->bit >= bits_end) break;
        CHECK(way->depth < TRIE_BITS);
        way->inner[way->depth++] = node - 1;
        node = link->child[trie_path_bit(path, link->bit)];
    }
    way->end = node;
}

/* The hash of the node that the first `depth` nodes of the way lead to (all of them: its end). It lies with the last of these, or is the root's. */
static inline const uint8_t *trie_way_hash(const struct trie *trie, const uint8_t path[SHA256_BYTES], const struct trie_way *way, unsigned depth) {
    if (depth == 0) return trie->root_hash;
    uint32_t parent = way->inner[depth - 1];
    return trie->pairs[parent].of[trie_path_bit(path, trie->links[parent].bit)];
}

/* trie.c: the first leaf (index) whose path is >= `from`. False: there is none. */
bool trie_seek_leaf(const struct trie *trie, const uint8_t from[SHA256_BYTES], uint32_t *leaf);

/* The end of a proof of absence: the leaf that stands in the place (trie_proof.c). */
void trie_proof_other_write(const struct trie_proof_other *other, struct bytes_writer *writer);

/* The leftmost leaf (index) at or below a node that is not TRIE_NODE_NONE. */
static inline uint32_t trie_leaf_first(const struct trie *trie, uint32_t node) {
    while (!(node & TRIE_NODE_LEAF)) {
        CHECK(node != TRIE_NODE_NONE);
        node = trie->links[node - 1].child[0];
    }
    return node & ~TRIE_NODE_LEAF;
}

/* Hashes of inner nodes that do not need one another, several at a time: out is written when the batch is full, or ended. A new one has count 0
 * and ended 0. */
enum { TRIE_INNER_BATCH = 16 };
struct trie_inner_batch {
    uint8_t blocks[TRIE_INNER_BATCH][2 * SHA256_BLOCK_BYTES];
    uint8_t *out[TRIE_INNER_BATCH];
    unsigned count;
    uint32_t ended; /* how often it was: so who added something knows whether it is hashed */
};
void trie_inner_add(struct trie_inner_batch *batch, uint8_t bit, const uint8_t left[SHA256_BYTES], const uint8_t right[SHA256_BYTES], uint8_t *out);
void trie_inner_end(struct trie_inner_batch *batch);

#endif
