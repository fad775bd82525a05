/*
 * Which shard a key belongs to (spec/operations.md O-2, O-3).
 *
 * Contract: pure; lengths in bytes; keys of 1 to 65,535 bytes.
 */
#ifndef PROTOCOL_PARTITION_H
#define PROTOCOL_PARTITION_H

#include <stddef.h>
#include <stdint.h>

enum { PARTITION_KEY_BYTES = 16 };

/* SipHash-2-4 of `bytes`, its output read as a little-endian integer (O-3). */
uint64_t partition_siphash(const uint8_t key[PARTITION_KEY_BYTES], const uint8_t *bytes, size_t bytes_count);

/* O-2: the route of a key: its hash tag, or the whole. The pointer lies in `key`. */
const uint8_t *partition_route(const uint8_t *key, size_t key_bytes, size_t *route_bytes);

/* O-3: the number of the key's shard, 0 to shards - 1; shards >= 1. */
uint32_t partition_shard(const uint8_t partition_key[PARTITION_KEY_BYTES], uint32_t shards, const uint8_t *key, size_t key_bytes);

#endif
