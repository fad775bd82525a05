/*
 * SipHash-2-4 of one key, and of eight of one length at once: the rounds of one message wait for each other, those of others need not.
 *
 * Contract: pure; lengths in bytes; the output is read as a little-endian integer.
 */
#ifndef MERKLE_SIPHASH_H
#define MERKLE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

enum { SIPHASH_KEY_BYTES = 16, SIPHASH_LANES = 8 };

uint64_t siphash_one(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t *bytes, size_t bytes_count);

/* out[i] = siphash_one(key, at[i], bytes_count), for all lanes. */
void siphash_each(const uint8_t key[SIPHASH_KEY_BYTES], const uint8_t *const at[SIPHASH_LANES], size_t bytes_count, uint64_t out[SIPHASH_LANES]);

#endif
