/*
 * The compression function of SHA-256 (FIPS 180-4, 6.2.2), of one library: sha256_boring.c, or sha256_alone.c where libsodium is the only one
 * (CRYPTO in the Makefile). For sha256.c alone.
 */
#ifndef MERKLE_SHA256_BLOCKS_H
#define MERKLE_SHA256_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

/* Takes `count` blocks of 64 bytes, at least one, into the chain. */
void sha256_blocks(uint32_t chain[8], const uint8_t *blocks, size_t count);

#endif
