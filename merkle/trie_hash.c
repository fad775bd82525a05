/*
 * The hashes of the state trie (T-1 to T-6) and a root from sorted leaves, without a trie.
 */
#include "merkle/trie_inside.h"

const uint8_t trie_empty_root[SHA256_BYTES] = {0};

const char *trie_status_name(enum trie_status status) {
    switch (status) {
    case TRIE_OK: return "ok";
    case TRIE_ABSENT: return "absent";
    case TRIE_FULL: return "full";
    case TRIE_JOURNAL_FULL: return "journal_full";
    case TRIE_MARKS_FULL: return "marks_full";
    case TRIE_NO_MARK: return "no_mark";
    }
    return "unknown";
}

const char *trie_proof_error_name(enum trie_proof_error error) {
    switch (error) {
    case TRIE_PROOF_OK: return "ok";
    case TRIE_PROOF_BAD_KEY: return "bad_key";
    case TRIE_PROOF_BAD_BYTES: return "bad_bytes";
    case TRIE_PROOF_BAD_FIELD: return "bad_field";
    case TRIE_PROOF_BAD_KIND: return "bad_kind";
    case TRIE_PROOF_BAD_LEAF: return "bad_leaf";
    case TRIE_PROOF_BAD_ROOT: return "bad_root";
    }
    return "unknown";
}

void trie_path(enum trie_space space, const void *key, size_t key_bytes, uint8_t out[SHA256_BYTES]) {
    CHECK((space == TRIE_SPACE_USER || space == TRIE_SPACE_SYSTEM) && key_bytes > 0 && key_bytes <= TRIE_KEY_BYTES_MAX);
    uint8_t space_byte = (uint8_t)space, key_hash[SHA256_BYTES];
    SHA256_PREFIXED(key_hash, HASH_TRIE_KEY, {&space_byte, 1}, {key, key_bytes});
    SHA256_PREFIXED(out, HASH_TRIE_PATH, {key_hash, SHA256_BYTES});
}

void trie_leaf_hash(enum trie_space space, const void *key, size_t key_bytes, const struct trie_value *value, uint8_t out[SHA256_BYTES]) {
    CHECK((space == TRIE_SPACE_USER || space == TRIE_SPACE_SYSTEM) && key_bytes > 0 && key_bytes <= TRIE_KEY_BYTES_MAX);
    uint8_t head[3] = {(uint8_t)space}, version[12];
    bytes_put_le16(head + 1, (uint16_t)key_bytes);
    bytes_put_le64(version, value->version_height);
    bytes_put_le32(version + 8, value->version_index);
    SHA256_PREFIXED(out, HASH_TRIE_LEAF, {head, sizeof head}, {key, key_bytes}, {version, sizeof version}, {value->value_hash, SHA256_BYTES});
}

void trie_value_hash(const void *value, size_t value_bytes, uint8_t out[SHA256_BYTES]) {
    SHA256_PREFIXED(out, HASH_VALUE, {value, value_bytes});
}

/* What is hashed, padded. */
static void inner_blocks(uint8_t blocks[2 * SHA256_BLOCK_BYTES], uint8_t bit, const uint8_t left[SHA256_BYTES], const uint8_t right[SHA256_BYTES]) {
    memset(blocks + 2 + 2 * SHA256_BYTES, 0, 2 * SHA256_BLOCK_BYTES - 2 - 2 * SHA256_BYTES);
    blocks[0] = HASH_TRIE_INNER;
    blocks[1] = bit;
    memcpy(blocks + 2, left, SHA256_BYTES);
    memcpy(blocks + 2 + SHA256_BYTES, right, SHA256_BYTES);
    blocks[66] = 0x80;
    blocks[126] = 0x02; /* 66 bytes = 0x0210 bits */
    blocks[127] = 0x10;
}

void trie_inner_hash(uint8_t bit, const uint8_t left[SHA256_BYTES], const uint8_t right[SHA256_BYTES], uint8_t out[SHA256_BYTES]) {
    uint8_t blocks[2 * SHA256_BLOCK_BYTES];
    inner_blocks(blocks, bit, left, right);
    sha256_padded_blocks(blocks, 2, out);
}

void trie_inner_end(struct trie_inner_batch *batch) {
    const uint8_t *messages[TRIE_INNER_BATCH];
    for (unsigned i = 0; i < batch->count; i++) messages[i] = batch->blocks[i];
    sha256_padded_blocks_each(messages, batch->count, 2, batch->out);
    batch->count = 0;
    batch->ended++;
}

void trie_inner_add(struct trie_inner_batch *batch, uint8_t bit, const uint8_t left[SHA256_BYTES], const uint8_t right[SHA256_BYTES], uint8_t *out) {
    inner_blocks(batch->blocks[batch->count], bit, left, right);
    batch->out[batch->count++] = out;
    if (batch->count == TRIE_INNER_BATCH) trie_inner_end(batch);
}

bool trie_prefix_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES], unsigned bits) {
    return trie_path_difference(a, b) >= bits;
}

bool trie_path_next(uint8_t path[SHA256_BYTES]) {
    for (unsigned i = SHA256_BYTES; i-- > 0;) {
        if (++path[i] != 0) return true;
    }
    return false;
}

/*
 * The stack holds, for each branch above the last leaf whose right side is not complete yet, the branch's bit and its left hash; bits ascend.
 * hashes[depth] is the hash of all that came after the topmost of them.
 */

void trie_stream_init(struct trie_stream *stream) {
    stream->leaves = 0;
    stream->depth = 0;
}

static void stream_fold(struct trie_stream *stream) {
    uint32_t below = stream->depth - 1;
    trie_inner_hash((uint8_t)stream->bits[below], stream->hashes[below], stream->hashes[below + 1], stream->hashes[below]);
    stream->depth = below;
}

bool trie_stream_add(struct trie_stream *stream, const uint8_t path[SHA256_BYTES], const uint8_t leaf_hash[SHA256_BYTES]) {
    if (stream->leaves > 0) {
        unsigned bit = trie_path_difference(stream->last_path, path);
        if (bit == TRIE_BITS || trie_path_bit(path, bit) == 0) return false;
        while (stream->depth > 0 && stream->bits[stream->depth - 1] > bit) stream_fold(stream);
        CHECK(stream->depth < TRIE_BITS);
        stream->bits[stream->depth++] = (uint16_t)bit;
    }
    memcpy(stream->hashes[stream->depth], leaf_hash, SHA256_BYTES);
    memcpy(stream->last_path, path, SHA256_BYTES);
    stream->leaves++;
    return true;
}

void trie_stream_root(struct trie_stream *stream, uint8_t out[SHA256_BYTES]) {
    while (stream->depth > 0) stream_fold(stream);
    memcpy(out, stream->leaves > 0 ? stream->hashes[0] : trie_empty_root, SHA256_BYTES);
}
