/*
 * Proof verifiers on hostile bytes. They must not crash, and what they accept must be true: the world is one small trie and one small tree whose
 * content is known.
 *
 *   byte 0   what: 0 presence, 1 absence, 2 piece, 3 inclusion in the tree, 4 consistency of the tree
 *   byte 1   which key, prefix, leaf or old size
 *   byte 2   bits of the prefix (what = 2), else unused
 *   rest     the proof
 */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "merkle/tree.h"
#include "merkle/trie.h"

enum { KEYS = 64, LEAVES = 13 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct trie *trie;
static uint8_t trie_root_hash[32];
static tree_hash leaves[LEAVES], tree_root_hash;

/* Keys 0, 3, 6, ... are present. */
static bool present(unsigned i) {
    return i % 3 == 0;
}

static struct trie_value value_of(unsigned i) {
    struct trie_value value = {.version_height = i, .version_index = i, .value_hash = {(uint8_t)i}};
    return value;
}

static void world_make(void) {
    struct trie_limits limits = {.leaves_max = KEYS, .journal_max = 1};
    void *memory = aligned_alloc(64, trie_memory_bytes(&limits));
    CHECK(memory);
    memset(memory, 0, trie_memory_bytes(&limits));
    trie = trie_init(memory, trie_memory_bytes(&limits), &limits);
    for (unsigned i = 0; i < KEYS; i++) {
        uint8_t key = (uint8_t)i, path[32], hash[32];
        struct trie_value value = value_of(i);
        trie_path(TRIE_SPACE_USER, &key, 1, path);
        trie_leaf_hash(TRIE_SPACE_USER, &key, 1, &value, hash);
        if (present(i)) CHECK(trie_put(trie, path, hash, i) == TRIE_OK);
    }
    trie_root(trie, trie_root_hash);
    for (unsigned i = 0; i < LEAVES; i++) tree_leaf_hash(&i, 1, leaves[i]);
    tree_root(leaves, LEAVES, tree_root_hash);
}

static void fuzz_key(bool presence, unsigned which, const uint8_t *proof, size_t count) {
    uint8_t key = (uint8_t)(which % KEYS);
    struct trie_value value = value_of(key);
    if (presence) {
        if (trie_proof_verify_present(trie_root_hash, TRIE_SPACE_USER, &key, 1, &value, proof, count) == TRIE_PROOF_OK) CHECK(present(key));
        value.version_index++;
        CHECK(trie_proof_verify_present(trie_root_hash, TRIE_SPACE_USER, &key, 1, &value, proof, count) != TRIE_PROOF_OK);
    } else if (trie_proof_verify_absent(trie_root_hash, TRIE_SPACE_USER, &key, 1, proof, count) == TRIE_PROOF_OK) {
        CHECK(!present(key));
    }
}

static void fuzz_piece(unsigned which, unsigned bits, const uint8_t *proof, size_t count) {
    uint8_t prefix[32] = {(uint8_t)which}, subroot[32], other[32] = {1};
    unsigned bits_tried = bits % 9;
    trie_prefix_hash(trie, prefix, bits_tried, subroot);
    (void)!trie_prefix_proof_verify(trie_root_hash, prefix, bits_tried, subroot, proof, count);
    (void)!trie_prefix_proof_verify(trie_root_hash, prefix, bits, other, proof, count);
    if (memcmp(subroot, trie_empty_root, 32) != 0) {
        CHECK(trie_prefix_proof_verify(trie_root_hash, prefix, bits_tried, trie_empty_root, proof, count) != TRIE_PROOF_OK);
    }
}

static void fuzz_inclusion(unsigned which, const uint8_t *proof, size_t count) {
    struct bytes_cursor cursor = bytes_cursor_of(proof, count);
    struct tree_proof read;
    if (tree_proof_read(&cursor, &read) != TREE_OK || !bytes_finished(&cursor)) return;
    const uint8_t *leaf = leaves[which % LEAVES];
    enum tree_error error = tree_inclusion_verify(leaf, read.index, read.size, read.hashes, read.hashes_count, tree_root_hash);
    if (error == TREE_OK && read.size == LEAVES) CHECK(read.index == which % LEAVES);
}

static void fuzz_consistency(unsigned which, const uint8_t *proof, size_t count) {
    tree_hash hashes[80], old_root;
    uint64_t old_size = which % (LEAVES + 2);
    size_t hashes_count = count / 32 < 80 ? count / 32 : 80;
    if (hashes_count > 0) memcpy(hashes, proof, hashes_count * 32);
    tree_root(leaves, old_size <= LEAVES ? (size_t)old_size : 0, old_root);
    old_root[0] ^= 1; /* never the root of a prefix */
    CHECK(tree_consistency_verify(old_size, LEAVES, hashes, hashes_count, old_root, tree_root_hash) != TREE_OK);
    old_root[0] ^= 1;
    (void)!tree_consistency_verify(old_size, LEAVES, hashes, hashes_count, old_root, tree_root_hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!trie) world_make();
    if (size < 3) return 0;
    const uint8_t *proof = data + 3;
    size_t count = size - 3;
    switch (data[0] % 5) {
    case 0: fuzz_key(true, data[1], proof, count); break;
    case 1: fuzz_key(false, data[1], proof, count); break;
    case 2: fuzz_piece(data[1], data[2], proof, count); break;
    case 3: fuzz_inclusion(data[1], proof, count); break;
    default: fuzz_consistency(data[1], proof, count); break;
    }
    return 0;
}
