/*
 * SHA-256 around a library's compression function. The state and the padding are ours: a trie inner node then costs one call with two blocks.
 */
#include "merkle/sha256.h"

#include <string.h>

#include "merkle/sha256_blocks.h"
#include "merkle/sha256_inside.h"

void sha256_init(struct sha256_state *state) {
    sha256_chain_init(state->chain);
    state->bytes_total = 0;
}

void sha256_init_prefixed(struct sha256_state *state, enum hash_prefix prefix) {
    sha256_init(state);
    state->pending[0] = (uint8_t)prefix;
    state->bytes_total = 1;
}

void sha256_update(struct sha256_state *state, const void *bytes, size_t count) {
    if (count == 0) return;
    const uint8_t *at = bytes;
    size_t pending = (size_t)(state->bytes_total % SHA256_BLOCK_BYTES);
    state->bytes_total += count;
    if (pending > 0) {
        size_t room = SHA256_BLOCK_BYTES - pending;
        size_t taken = count < room ? count : room;
        memcpy(state->pending + pending, at, taken);
        if (taken < room) return;
        sha256_blocks(state->chain, state->pending, 1);
        at += taken;
        count -= taken;
    }
    size_t blocks = count / SHA256_BLOCK_BYTES;
    if (blocks > 0) sha256_blocks(state->chain, at, blocks);
    memcpy(state->pending, at + blocks * SHA256_BLOCK_BYTES, count % SHA256_BLOCK_BYTES);
}

static void end(uint32_t chain[8], const uint8_t *last, uint64_t bytes_total, uint8_t out[SHA256_BYTES]) {
    uint8_t tail[SHA256_TAIL_BYTES];
    size_t blocks = sha256_tail(last, bytes_total, tail);
    sha256_blocks(chain, tail, blocks);
    sha256_chain_write(chain, out);
}

void sha256_final(struct sha256_state *state, uint8_t out[SHA256_BYTES]) {
    end(state->chain, state->pending, state->bytes_total, out);
}

void sha256_hash(const void *bytes, size_t count, uint8_t out[SHA256_BYTES]) {
    struct sha256_state state;
    sha256_init(&state);
    sha256_update(&state, bytes, count);
    sha256_final(&state, out);
}

/* One part of at least a block: it is hashed from where it lies, but for what the first block takes beside the prefix, and the last. */
static void prefixed_long(enum hash_prefix prefix, const uint8_t *bytes, size_t count, uint8_t out[SHA256_BYTES]) {
    enum { FIRST = SHA256_BLOCK_BYTES - 1 };
    uint8_t first[SHA256_BLOCK_BYTES];
    uint32_t chain[8];
    sha256_chain_init(chain);
    first[0] = (uint8_t)prefix;
    memcpy(first + 1, bytes, FIRST);
    sha256_blocks(chain, first, 1);
    size_t blocks = (count - FIRST) / SHA256_BLOCK_BYTES;
    if (blocks > 0) sha256_blocks(chain, bytes + FIRST, blocks);
    end(chain, bytes + FIRST + blocks * SHA256_BLOCK_BYTES, (uint64_t)count + 1, out);
}

void sha256_prefixed(enum hash_prefix prefix, const struct sha256_part *parts, size_t parts_count, uint8_t out[SHA256_BYTES]) {
    if (parts_count == 1 && parts[0].count >= SHA256_BLOCK_BYTES) {
        prefixed_long(prefix, parts[0].bytes, parts[0].count, out);
        return;
    }
    struct sha256_state state;
    sha256_init_prefixed(&state, prefix);
    for (size_t i = 0; i < parts_count; i++) sha256_update(&state, parts[i].bytes, parts[i].count);
    sha256_final(&state, out);
}

void sha256_padded_blocks(const uint8_t *blocks_bytes, size_t blocks, uint8_t out[SHA256_BYTES]) {
    uint32_t chain[8];
    sha256_chain_init(chain);
    sha256_blocks(chain, blocks_bytes, blocks);
    sha256_chain_write(chain, out);
}
