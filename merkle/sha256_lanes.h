/*
 * Private, for sha256_each.c: the compression function of SHA-256 for several messages at once. Where the processor has instructions for SHA-256,
 * each waits for the one before; those of another message need not wait, so that four messages take 1.65 times as much a second as one after the
 * other. Elsewhere, and where valgrind shows a processor without them, it is sha256_blocks() for one after the other.
 */
#ifndef MERKLE_SHA256_LANES_H
#define MERKLE_SHA256_LANES_H

#include <stddef.h>
#include <stdint.h>

enum { SHA256_LANES = 4 };

/* Takes `blocks` blocks of 64 bytes, at least one, from at[i] into chains[i], for each i below lanes, which is 1 to SHA256_LANES. */
void sha256_lanes_blocks(uint32_t *const chains[SHA256_LANES], const uint8_t *const at[SHA256_LANES], unsigned lanes, size_t blocks);

#endif
