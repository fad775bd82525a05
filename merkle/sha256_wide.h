/*
 * Private, for sha256_each.c: the compression function of SHA-256 for sixteen messages at once, by AVX-512: each register holds one word of all of
 * them, so that they take all their blocks together. That is twice as much a second as by sha256_lanes.h when all sixteen have something to take, and
 * takes as long when few have. Only where sha256_wide_can(): valgrind, for one, shows a processor without these instructions.
 */
#ifndef MERKLE_SHA256_WIDE_H
#define MERKLE_SHA256_WIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA256_WIDE = 16 };

/* The chains of sixteen messages, side by side. */
struct sha256_wide {
    uint32_t words[8][SHA256_WIDE] __attribute__((aligned(64)));
};

bool sha256_wide_can(void);

/* The messages whose bits are set in `lanes` begin. */
void sha256_wide_begin(struct sha256_wide *wide, unsigned lanes);

/* Takes `blocks` blocks of 64 bytes, at least one, from at[i] into the chain of message i, for all sixteen: where there is no message, at[i] is any
 * that can be read, and the chain of no meaning. */
void sha256_wide_blocks(struct sha256_wide *wide, const uint8_t *const at[SHA256_WIDE], size_t blocks);

/* The hashes of all sixteen, were this the end of each. */
void sha256_wide_hashes(const struct sha256_wide *wide, uint8_t out[SHA256_WIDE][32]);

/* One message's chain, as sha256_blocks() knows it. */
void sha256_wide_chain(const struct sha256_wide *wide, unsigned lane, uint32_t chain[8]);

#endif
