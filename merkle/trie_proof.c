/*
 * Proofs of presence and absence of a key, and of the completeness of a piece (T-12 to T-15).
 *
 * Making and checking of each format stand together here.
 */
#include "merkle/trie_inside.h"

/* The first `bits` bits of the prefix, then zeros: where the way to a piece goes. */
static void prefix_path(const uint8_t prefix[SHA256_BYTES], unsigned bits, uint8_t out[SHA256_BYTES]) {
    CHECK(bits <= TRIE_BITS);
    memset(out, 0, SHA256_BYTES);
    memcpy(out, prefix, bits / 8);
    if (bits % 8) out[bits / 8] = (uint8_t)(prefix[bits / 8] & (0xFF00u >> (bits % 8)));
}

/* The way to a piece: ends at the node below which all its leaves lie, if it has any; else at the leaf that stands in its place. */
static enum trie_proof_kind prefix_walk(const struct trie *trie, const uint8_t path[SHA256_BYTES], unsigned bits, struct trie_way *way) {
    trie_way_walk(trie, path, bits, way);
    if (way->end == TRIE_NODE_NONE) return TRIE_PROOF_EMPTY;
    if (trie_prefix_equal(trie->paths[trie_leaf_first(trie, way->end)], path, bits)) return TRIE_PROOF_PRESENT;
    trie_way_walk(trie, path, TRIE_BITS, way);
    return TRIE_PROOF_OTHER;
}

enum trie_proof_kind trie_prefix_proof_find(const struct trie *trie, const uint8_t prefix[SHA256_BYTES], unsigned prefix_bits,
                                            struct trie_proof_leaf *other) {
    uint8_t path[SHA256_BYTES];
    struct trie_way way;
    prefix_path(prefix, prefix_bits, path);
    enum trie_proof_kind kind = prefix_walk(trie, path, prefix_bits, &way);
    if (kind == TRIE_PROOF_OTHER) {
        uint32_t leaf = way.end & ~TRIE_NODE_LEAF;
        memcpy(other->path, trie->paths[leaf], SHA256_BYTES);
        other->ref = trie->refs[leaf];
    }
    return kind;
}

enum trie_proof_kind trie_proof_find(const struct trie *trie, const uint8_t path[SHA256_BYTES], struct trie_proof_leaf *other) {
    return trie_prefix_proof_find(trie, path, TRIE_BITS, other);
}

void trie_proof_other_write(const struct trie_proof_other *other, struct bytes_writer *writer) {
    bytes_put_u64(writer, other->value.version_height);
    bytes_put_u32(writer, other->value.version_index);
    bytes_put_hash(writer, other->value.value_hash);
    bytes_put_u8(writer, (uint8_t)other->space);
    bytes_put_u16(writer, (uint16_t)other->key_bytes);
    bytes_put_raw(writer, other->key, other->key_bytes);
}

void trie_prefix_proof_write(struct trie *trie, const uint8_t prefix[SHA256_BYTES], unsigned prefix_bits, const struct trie_proof_other *other,
                             struct bytes_writer *writer) {
    uint8_t path[SHA256_BYTES], root[SHA256_BYTES];
    struct trie_way way;
    trie_root(trie, root); /* siblings must be hashed */
    prefix_path(prefix, prefix_bits, path);
    enum trie_proof_kind kind = prefix_walk(trie, path, prefix_bits, &way);
    bytes_put_u8(writer, (uint8_t)kind);
    bytes_put_u8(writer, 0);
    bytes_put_u16(writer, (uint16_t)way.depth);
    for (unsigned i = 0; i < way.depth; i++) {
        const struct trie_link *link = &trie->links[way.inner[i]];
        bytes_put_u8(writer, link->bit);
        bytes_put_hash(writer, trie->pairs[way.inner[i]].of[1 - trie_path_bit(path, link->bit)]);
    }
    if (kind != TRIE_PROOF_OTHER) return;
    uint8_t hash[SHA256_BYTES];
    trie_leaf_hash(other->space, other->key, other->key_bytes, &other->value, hash);
    CHECK(sha256_equal(hash, trie_way_hash(trie, path, &way, way.depth)));
    trie_proof_other_write(other, writer);
}

void trie_proof_write(struct trie *trie, const uint8_t path[SHA256_BYTES], const struct trie_proof_other *other, struct bytes_writer *writer) {
    trie_prefix_proof_write(trie, path, TRIE_BITS, other, writer);
}

void trie_prefix_hash(struct trie *trie, const uint8_t prefix[SHA256_BYTES], unsigned prefix_bits, uint8_t out[SHA256_BYTES]) {
    uint8_t path[SHA256_BYTES], root[SHA256_BYTES];
    struct trie_way way;
    trie_root(trie, root);
    prefix_path(prefix, prefix_bits, path);
    if (prefix_walk(trie, path, prefix_bits, &way) == TRIE_PROOF_PRESENT) {
        memcpy(out, trie_way_hash(trie, path, &way, way.depth), SHA256_BYTES);
    } else {
        memcpy(out, trie_empty_root, SHA256_BYTES);
    }
}

/* Checking. */

struct proof {
    unsigned kind;
    unsigned steps_count;
    const uint8_t *steps; /* steps_count times bit u8, hash32 */
    unsigned other_space;
    size_t other_key_bytes;
    const uint8_t *other_key;
    struct trie_value other_value;
};

enum { STEP_BYTES = 1 + SHA256_BYTES };

static bool key_valid(unsigned space, size_t key_bytes) {
    return space <= TRIE_SPACE_SYSTEM && key_bytes > 0 && key_bytes <= TRIE_KEY_BYTES_MAX;
}

/* T-12: the whole proof into `proof`, whatever it claims. */
static enum trie_proof_error proof_read(const void *bytes, size_t bytes_count, struct proof *proof) {
    memset(proof, 0, sizeof *proof);
    struct bytes_cursor cursor = bytes_cursor_of(bytes, bytes_count);
    proof->kind = bytes_get_u8(&cursor);
    unsigned zero = bytes_get_u8(&cursor);
    proof->steps_count = bytes_get_u16(&cursor);
    if (cursor.failed) return TRIE_PROOF_BAD_BYTES;
    if (proof->kind > TRIE_PROOF_OTHER || zero != 0 || proof->steps_count > TRIE_BITS) return TRIE_PROOF_BAD_FIELD;
    if (proof->kind == TRIE_PROOF_EMPTY && proof->steps_count != 0) return TRIE_PROOF_BAD_FIELD;
    proof->steps = bytes_get_raw(&cursor, (size_t)proof->steps_count * STEP_BYTES);
    if (cursor.failed) return TRIE_PROOF_BAD_BYTES;
    for (unsigned i = 1; i < proof->steps_count; i++) {
        if (proof->steps[i * STEP_BYTES] <= proof->steps[(i - 1) * STEP_BYTES]) return TRIE_PROOF_BAD_FIELD;
    }
    if (proof->kind == TRIE_PROOF_OTHER) {
        proof->other_value.version_height = bytes_get_u64(&cursor);
        proof->other_value.version_index = bytes_get_u32(&cursor);
        bytes_get_hash(&cursor, proof->other_value.value_hash);
        proof->other_space = bytes_get_u8(&cursor);
        proof->other_key_bytes = bytes_get_u16(&cursor);
        if (cursor.failed) return TRIE_PROOF_BAD_BYTES;
        if (!key_valid(proof->other_space, proof->other_key_bytes)) return TRIE_PROOF_BAD_FIELD;
        proof->other_key = bytes_get_raw(&cursor, proof->other_key_bytes);
    }
    return bytes_finished(&cursor) ? TRIE_PROOF_OK : TRIE_PROOF_BAD_BYTES;
}

/* From the node at the end of the way up to the root (T-13). */
static enum trie_proof_error proof_fold(const struct proof *proof, const uint8_t path[SHA256_BYTES], const uint8_t end[SHA256_BYTES],
                                        const uint8_t root[SHA256_BYTES]) {
    uint8_t node[SHA256_BYTES];
    memcpy(node, end, SHA256_BYTES);
    for (unsigned i = proof->steps_count; i-- > 0;) {
        uint8_t bit = proof->steps[i * STEP_BYTES];
        const uint8_t *sibling = proof->steps + i * STEP_BYTES + 1;
        if (trie_path_bit(path, bit)) {
            trie_inner_hash(bit, sibling, node, node);
        } else {
            trie_inner_hash(bit, node, sibling, node);
        }
    }
    return sha256_equal(node, root) ? TRIE_PROOF_OK : TRIE_PROOF_BAD_ROOT;
}

/* The other leaf does not carry the first `bits` bits of `path`, yet it is where the way of `path` ends. */
static enum trie_proof_error other_verify(const struct proof *proof, const uint8_t path[SHA256_BYTES], unsigned bits,
                                          const uint8_t root[SHA256_BYTES]) {
    uint8_t other[SHA256_BYTES], hash[SHA256_BYTES];
    enum trie_space space = proof->other_space == 0 ? TRIE_SPACE_USER : TRIE_SPACE_SYSTEM;
    trie_path(space, proof->other_key, proof->other_key_bytes, other);
    if (trie_prefix_equal(other, path, bits)) return TRIE_PROOF_BAD_LEAF;
    for (unsigned i = 0; i < proof->steps_count; i++) {
        uint8_t bit = proof->steps[i * STEP_BYTES];
        if (trie_path_bit(other, bit) != trie_path_bit(path, bit)) return TRIE_PROOF_BAD_LEAF;
    }
    trie_leaf_hash(space, proof->other_key, proof->other_key_bytes, &proof->other_value, hash);
    return proof_fold(proof, path, hash, root);
}

static enum trie_proof_error absence_verify(const struct proof *proof, const uint8_t path[SHA256_BYTES], unsigned bits,
                                            const uint8_t root[SHA256_BYTES]) {
    if (proof->kind == TRIE_PROOF_PRESENT) return TRIE_PROOF_BAD_KIND;
    if (proof->kind == TRIE_PROOF_EMPTY) return sha256_equal(root, trie_empty_root) ? TRIE_PROOF_OK : TRIE_PROOF_BAD_ROOT;
    return other_verify(proof, path, bits, root);
}

enum trie_proof_error trie_proof_verify_present(const uint8_t root[SHA256_BYTES], unsigned space, const void *key, size_t key_bytes,
                                                const struct trie_value *value, const void *proof, size_t proof_bytes) {
    if (!key_valid(space, key_bytes)) return TRIE_PROOF_BAD_KEY;
    struct proof read;
    enum trie_proof_error error = proof_read(proof, proof_bytes, &read);
    if (error != TRIE_PROOF_OK) return error;
    if (read.kind != TRIE_PROOF_PRESENT) return TRIE_PROOF_BAD_KIND;
    uint8_t path[SHA256_BYTES], hash[SHA256_BYTES];
    trie_path(space == 0 ? TRIE_SPACE_USER : TRIE_SPACE_SYSTEM, key, key_bytes, path);
    trie_leaf_hash(space == 0 ? TRIE_SPACE_USER : TRIE_SPACE_SYSTEM, key, key_bytes, value, hash);
    return proof_fold(&read, path, hash, root);
}

enum trie_proof_error trie_proof_verify_absent(const uint8_t root[SHA256_BYTES], unsigned space, const void *key, size_t key_bytes, const void *proof,
                                               size_t proof_bytes) {
    if (!key_valid(space, key_bytes)) return TRIE_PROOF_BAD_KEY;
    struct proof read;
    enum trie_proof_error error = proof_read(proof, proof_bytes, &read);
    if (error != TRIE_PROOF_OK) return error;
    uint8_t path[SHA256_BYTES];
    trie_path(space == 0 ? TRIE_SPACE_USER : TRIE_SPACE_SYSTEM, key, key_bytes, path);
    return absence_verify(&read, path, TRIE_BITS, root);
}

enum trie_proof_error trie_prefix_proof_verify(const uint8_t root[SHA256_BYTES], const uint8_t prefix[SHA256_BYTES], unsigned prefix_bits,
                                               const uint8_t subroot[SHA256_BYTES], const void *proof, size_t proof_bytes) {
    if (prefix_bits > TRIE_BITS) return TRIE_PROOF_BAD_KEY;
    struct proof read;
    enum trie_proof_error error = proof_read(proof, proof_bytes, &read);
    if (error != TRIE_PROOF_OK) return error;
    uint8_t path[SHA256_BYTES];
    prefix_path(prefix, prefix_bits, path);
    if (sha256_equal(subroot, trie_empty_root)) return absence_verify(&read, path, prefix_bits, root);
    if (read.kind != TRIE_PROOF_PRESENT) return TRIE_PROOF_BAD_KIND;
    /* Bits ascend, so the last one decides: no step may lie inside the piece. */
    if (read.steps_count > 0 && read.steps[(read.steps_count - 1) * STEP_BYTES] >= prefix_bits) return TRIE_PROOF_BAD_LEAF;
    return proof_fold(&read, path, subroot, root);
}
