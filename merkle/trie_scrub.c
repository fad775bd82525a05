/*
 * Looking for what failed memory did to the state trie.
 *
 * Every inner node has exactly one leftmost leaf, and is looked at with it. So a walk over all leaves, each found from the path after the one before,
 * computes every hash of the trie once more from the hashes below it, down to the leaf hashes, which the caller compares with its entries: if all
 * agree, the root is that of these entries.
 */
#include "merkle/trie_inside.h"

#include <string.h>

static bool inner_is_intact(const struct trie *trie, uint32_t inner, const uint8_t kept[SHA256_BYTES]) {
    uint8_t hash[SHA256_BYTES];
    trie_inner_hash(trie->links[inner].bit, trie->pairs[inner].of[0], trie->pairs[inner].of[1], hash);
    return memcmp(hash, kept, SHA256_BYTES) == 0;
}

static bool inner_is_stale(const struct trie *trie, const uint8_t path[SHA256_BYTES], const struct trie_way *way, unsigned depth) {
    if (depth == 0) return trie->root_stale;
    const struct trie_link *parent = &trie->links[way->inner[depth - 1]];
    return (parent->stale >> trie_path_bit(path, parent->bit) & 1) != 0;
}

enum trie_status trie_scrub_next(const struct trie *trie, const uint8_t from[SHA256_BYTES], struct trie_scrubbed *out) {
    uint32_t leaf;
    struct trie_way way;
    if (!trie_seek_leaf(trie, from, &leaf)) return TRIE_ABSENT;
    memcpy(out->path, trie->paths[leaf], SHA256_BYTES);
    memset(out->leaf_hash, 0, SHA256_BYTES);
    out->ref = trie->refs[leaf];
    /* A path that changed leads elsewhere, or back: a walk must get on. */
    trie_way_walk(trie, out->path, TRIE_BITS, &way);
    out->intact = way.end == (leaf | TRIE_NODE_LEAF) && memcmp(out->path, from, SHA256_BYTES) >= 0;
    if (!out->intact) return TRIE_OK;
    memcpy(out->leaf_hash, trie_way_hash(trie, out->path, &way, way.depth), SHA256_BYTES);
    for (unsigned depth = way.depth; out->intact && depth-- > 0;) {
        uint32_t inner = way.inner[depth];
        if (trie_path_bit(out->path, trie->links[inner].bit) != 0) break; /* another leaf is its leftmost, and so of all above it */
        if (!inner_is_stale(trie, out->path, &way, depth)) out->intact = inner_is_intact(trie, inner, trie_way_hash(trie, out->path, &way, depth));
    }
    return TRIE_OK;
}
