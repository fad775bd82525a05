/*
 * RFC 9162 Merkle trees. Two views of one tree are used here. In levels: level 0 is the leaves, each level pairs up the one below, and a last odd
 * node goes up unchanged (never paired with itself). In ranges: the node at (level k, position i) is the tree over leaves [i * 2^k, min((i + 1) *
 * 2^k, size)).
 */
#include "merkle/tree.h"

#include "merkle/check.h"

const char *tree_error_name(enum tree_error error) {
    switch (error) {
    case TREE_OK: return "ok";
    case TREE_BAD_INDEX: return "bad_index";
    case TREE_BAD_LENGTH: return "bad_length";
    case TREE_BAD_ROOT: return "bad_root";
    case TREE_BAD_BYTES: return "bad_bytes";
    }
    return "unknown";
}

void tree_leaf_hash(const void *leaf, size_t leaf_bytes, tree_hash out) {
    SHA256_PREFIXED(out, HASH_TREE_LEAF, {leaf, leaf_bytes});
}

void tree_leaf_hash_parts(const struct sha256_part *parts, size_t parts_count, tree_hash out) {
    sha256_prefixed(HASH_TREE_LEAF, parts, parts_count, out);
}

void tree_inner_hash(const tree_hash left, const tree_hash right, tree_hash out) {
    uint8_t blocks[2 * SHA256_BLOCK_BYTES] = {HASH_TREE_INNER};
    memcpy(blocks + 1, left, SHA256_BYTES);
    memcpy(blocks + 1 + SHA256_BYTES, right, SHA256_BYTES);
    blocks[65] = 0x80;
    blocks[126] = 0x02; /* 65 bytes = 0x0208 bits */
    blocks[127] = 0x08;
    sha256_padded_blocks(blocks, 2, out);
}

/* Builder: a binary counter of complete subtrees. */

void tree_builder_init(struct tree_builder *builder) {
    builder->size = 0;
}

void tree_builder_add(struct tree_builder *builder, const tree_hash leaf_hash) {
    tree_hash node;
    memcpy(node, leaf_hash, SHA256_BYTES);
    unsigned level = 0;
    while (level < 64 && ((builder->size >> level) & 1)) {
        tree_inner_hash(builder->peaks[level], node, node);
        level++;
    }
    CHECK(level < 64);
    memcpy(builder->peaks[level], node, SHA256_BYTES);
    builder->size++;
}

void tree_builder_root(const struct tree_builder *builder, tree_hash out) {
    if (builder->size == 0) {
        sha256_hash(NULL, 0, out); /* M-3 */
        return;
    }
    unsigned level = (unsigned)__builtin_ctzll(builder->size);
    memcpy(out, builder->peaks[level], SHA256_BYTES);
    for (level++; level < 64; level++) {
        if ((builder->size >> level) & 1) tree_inner_hash(builder->peaks[level], out, out);
    }
}

void tree_root(const tree_hash *leaf_hashes, size_t size, tree_hash out) {
    struct tree_builder builder;
    tree_builder_init(&builder);
    for (size_t i = 0; i < size; i++) tree_builder_add(&builder, leaf_hashes[i]);
    tree_builder_root(&builder, out);
}

/* Levels: stored one after another, level k with ceil(size / 2^k) nodes, the last level with one. */

size_t tree_levels_hashes(size_t size) {
    size_t total = size;
    for (size_t width = size; width > 1;) {
        width = width / 2 + width % 2;
        total += width;
    }
    return total;
}

void tree_levels_build(struct tree_levels *levels, tree_hash *storage, size_t size) {
    levels->storage = storage;
    levels->size = size;
    tree_hash *below = storage;
    for (size_t width = size; width > 1;) {
        tree_hash *above = below + width;
        for (size_t i = 0; i + 1 < width; i += 2) tree_inner_hash(below[i], below[i + 1], above[i / 2]);
        if (width % 2) memcpy(above[width / 2], below[width - 1], SHA256_BYTES);
        below = above;
        width = width / 2 + width % 2;
    }
}

void tree_levels_root(const struct tree_levels *levels, tree_hash out) {
    if (levels->size == 0) {
        sha256_hash(NULL, 0, out);
        return;
    }
    memcpy(out, levels->storage[tree_levels_hashes(levels->size) - 1], SHA256_BYTES);
}

size_t tree_levels_prove(const struct tree_levels *levels, size_t index, tree_hash hashes[TREE_PROOF_HASHES_MAX]) {
    CHECK(index < levels->size);
    const tree_hash *level = levels->storage;
    size_t count = 0;
    for (size_t width = levels->size; width > 1;) {
        size_t sibling = index ^ 1;
        if (sibling < width) memcpy(hashes[count++], level[sibling], SHA256_BYTES);
        level += width;
        index /= 2;
        width = width / 2 + width % 2;
    }
    return count;
}

/* Inclusion. */

/* Below the level at which index and last index meet each level gives a sibling; above it only those where the node is a right child do (M-6). */
size_t tree_inclusion_count(uint64_t index, uint64_t size) {
    CHECK(index < size);
    uint64_t last = size - 1;
    size_t count = 0;
    while (last > 0) {
        if ((index & 1) || index != last) count++;
        index >>= 1;
        last >>= 1;
    }
    return count;
}

size_t tree_inclusion_prove(const tree_hash *leaf_hashes, size_t size, size_t index, tree_hash hashes[TREE_PROOF_HASHES_MAX]) {
    CHECK(index < size);
    size_t count = 0;
    for (unsigned level = 0; level < 63 && (size - 1) >> level > 0; level++) {
        size_t sibling = (index >> level) ^ 1;
        if (sibling > (size - 1) >> level) continue;
        size_t first = sibling << level;
        size_t width = (size_t)1 << level;
        if (width > size - first) width = size - first;
        tree_root(leaf_hashes + first, width, hashes[count++]);
    }
    return count;
}

enum tree_error tree_inclusion_root(const tree_hash leaf_hash, uint64_t index, uint64_t size, const tree_hash *hashes, size_t hashes_count,
                                    tree_hash out) {
    if (index >= size) return TREE_BAD_INDEX;
    if (hashes_count != tree_inclusion_count(index, size)) return TREE_BAD_LENGTH;
    tree_hash node;
    memcpy(node, leaf_hash, SHA256_BYTES);
    uint64_t last = size - 1;
    for (size_t used = 0; used < hashes_count;) {
        if (index & 1) {
            tree_inner_hash(hashes[used++], node, node);
        } else if (index != last) {
            tree_inner_hash(node, hashes[used++], node);
        }
        index >>= 1;
        last >>= 1;
    }
    memcpy(out, node, SHA256_BYTES);
    return TREE_OK;
}

enum tree_error tree_inclusion_verify(const tree_hash leaf_hash, uint64_t index, uint64_t size, const tree_hash *hashes, size_t hashes_count,
                                      const tree_hash root) {
    tree_hash computed;
    enum tree_error error = tree_inclusion_root(leaf_hash, index, size, hashes, hashes_count, computed);
    if (error != TREE_OK) return error;
    return sha256_equal(computed, root) ? TREE_OK : TREE_BAD_ROOT;
}

/* Consistency. */

/* Largest power of two below size, size >= 2. */
static size_t split_of(size_t size) {
    return (size_t)1 << (63 - (unsigned)__builtin_clzll((unsigned long long)size - 1));
}

/* SUBPROOF of RFC 9162, 2.1.4.1, walked from the root down; its hashes come out the other way round. */
size_t tree_consistency_prove(const tree_hash *leaf_hashes, size_t size, size_t old_size, tree_hash hashes[TREE_CONSISTENCY_HASHES_MAX]) {
    CHECK(old_size > 0 && old_size <= size);
    size_t first = 0;
    bool whole = true; /* the old tree is exactly what lies in [first, first + old_size) and its root is known to the verifier */
    size_t count = 0;
    while (old_size != size) {
        size_t split = split_of(size);
        if (old_size <= split) {
            tree_root(leaf_hashes + first + split, size - split, hashes[count++]);
            size = split;
        } else {
            tree_root(leaf_hashes + first, split, hashes[count++]);
            first += split;
            size -= split;
            old_size -= split;
            whole = false;
        }
    }
    if (!whole) tree_root(leaf_hashes + first, size, hashes[count++]);
    for (size_t i = 0; i < count / 2; i++) {
        tree_hash swap;
        memcpy(swap, hashes[i], SHA256_BYTES);
        memcpy(hashes[i], hashes[count - 1 - i], SHA256_BYTES);
        memcpy(hashes[count - 1 - i], swap, SHA256_BYTES);
    }
    return count;
}

/* RFC 9162, 2.1.4.2, step by step. */
enum tree_error tree_consistency_verify(uint64_t old_size, uint64_t size, const tree_hash *hashes, size_t hashes_count, const tree_hash old_root,
                                        const tree_hash root) {
    if (old_size == 0 || old_size > size) return TREE_BAD_INDEX;
    if (old_size == size) {
        if (hashes_count != 0) return TREE_BAD_LENGTH;
        return sha256_equal(old_root, root) ? TREE_OK : TREE_BAD_ROOT;
    }
    if (hashes_count == 0 || hashes_count > TREE_CONSISTENCY_HASHES_MAX) return TREE_BAD_LENGTH;
    bool old_complete = (old_size & (old_size - 1)) == 0;
    uint64_t node = old_size - 1, last = size - 1;
    while (node & 1) {
        node >>= 1;
        last >>= 1;
    }
    tree_hash old_computed, computed;
    memcpy(old_computed, old_complete ? old_root : hashes[0], SHA256_BYTES);
    memcpy(computed, old_computed, SHA256_BYTES);
    for (size_t i = old_complete ? 0 : 1; i < hashes_count; i++) {
        if (last == 0) return TREE_BAD_LENGTH;
        if ((node & 1) || node == last) {
            tree_inner_hash(hashes[i], old_computed, old_computed);
            tree_inner_hash(hashes[i], computed, computed);
            while (!(node & 1) && node != 0) {
                node >>= 1;
                last >>= 1;
            }
        } else {
            tree_inner_hash(computed, hashes[i], computed);
        }
        node >>= 1;
        last >>= 1;
    }
    if (last != 0) return TREE_BAD_LENGTH;
    return sha256_equal(old_computed, old_root) && sha256_equal(computed, root) ? TREE_OK : TREE_BAD_ROOT;
}

/* Encoding, M-7. */

size_t tree_proof_bytes(uint64_t index, uint64_t size) {
    return 16 + tree_inclusion_count(index, size) * SHA256_BYTES;
}

enum tree_error tree_proof_read(struct bytes_cursor *cursor, struct tree_proof *proof) {
    memset(proof, 0, sizeof *proof);
    uint64_t index = bytes_get_u64(cursor);
    uint64_t size = bytes_get_u64(cursor);
    if (cursor->failed) return TREE_BAD_BYTES;
    if (index >= size) {
        bytes_require(cursor, false);
        return TREE_BAD_INDEX;
    }
    size_t hashes_count = tree_inclusion_count(index, size);
    const uint8_t *hashes = bytes_get_raw(cursor, hashes_count * SHA256_BYTES);
    if (cursor->failed) return TREE_BAD_BYTES;
    proof->index = index;
    proof->size = size;
    proof->hashes = (const tree_hash *)(const void *)hashes;
    proof->hashes_count = hashes_count;
    return TREE_OK;
}

void tree_proof_write(struct bytes_writer *writer, uint64_t index, uint64_t size, const tree_hash *hashes, size_t hashes_count) {
    CHECK(hashes_count == tree_inclusion_count(index, size));
    bytes_put_u64(writer, index);
    bytes_put_u64(writer, size);
    bytes_put_raw(writer, hashes, hashes_count * SHA256_BYTES);
}
