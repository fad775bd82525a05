/* Private: what the files of SHA-256 share beside the compression function: how a message begins and ends, and which way several go. */
#ifndef MERKLE_SHA256_INSIDE_H
#define MERKLE_SHA256_INSIDE_H

#include <string.h>

#include "merkle/sha256.h"

/* A message's last bytes, fewer than a block, and its padding: one block or two. */
enum { SHA256_TAIL_BYTES = 2 * SHA256_BLOCK_BYTES };

static inline void sha256_chain_init(uint32_t chain[8]) {
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(chain, initial, sizeof initial);
}

static inline void sha256_chain_write(const uint32_t chain[8], uint8_t out[SHA256_BYTES]) {
    for (size_t i = 0; i < 8; i++) {
        uint32_t word = __builtin_bswap32(chain[i]);
        if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) word = chain[i];
        memcpy(out + 4 * i, &word, 4);
    }
}

/* Writes a message's length in bits, big-endian. */
static inline void sha256_length_write(uint64_t bytes_total, uint8_t at[8]) {
    uint64_t bits = __builtin_bswap64(bytes_total << 3);
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) bits = bytes_total << 3;
    memcpy(at, &bits, 8);
}

/* `last`: what is left of a message of bytes_total when whole blocks are gone. Ends with the message's length. Gives the number of
 * blocks. */
static inline size_t sha256_tail(const uint8_t *last, uint64_t bytes_total, uint8_t tail[SHA256_TAIL_BYTES]) {
    size_t left = (size_t)(bytes_total % SHA256_BLOCK_BYTES);
    size_t blocks = left < SHA256_BLOCK_BYTES - 8 ? 1 : 2;
    memset(tail, 0, SHA256_TAIL_BYTES);
    memcpy(tail, last, left);
    tail[left] = 0x80;
    sha256_length_write(bytes_total, tail + blocks * SHA256_BLOCK_BYTES - 8);
    return blocks;
}

/* sha256_each.c: sha256_prefixed_each() and sha256_padded_blocks_each() with sixteen at a time from so many messages on, so that the tests reach all
 * ways on one machine. Below SHA256_WIDE_NEVER only where sha256_wide_can(). */
enum { SHA256_WIDE_NEVER = 1 << 30 };
void sha256_prefixed_each_by(enum hash_prefix prefix, const struct sha256_part *messages, unsigned count, uint8_t (*out)[SHA256_BYTES],
                             unsigned wide_least);
void sha256_padded_blocks_each_by(const uint8_t *const *messages, unsigned count, size_t blocks, uint8_t *const *out, unsigned wide_least);

#endif
