/*
 * Which shard a key belongs to (spec/operations.md O-2, O-3).
 *
 * Contract: pure; lengths in bytes; keys of 1 to 65,535 bytes.
 */
#ifndef PROTOCOL_PARTITION_H
#define PROTOCOL_PARTITION_H

#include <stddef.h>
#include <stdint.h>

#include "merkle/siphash.h"

/* O-2: the route of a key: its hash tag, or the whole. The pointer lies in `key`. */
const uint8_t *partition_route(const uint8_t *key, size_t key_bytes, size_t *route_bytes);

/* O-3: the number of the key's shard, 0 to shards - 1; shards >= 1. */
uint32_t partition_shard(const uint8_t partition_key[SIPHASH_KEY_BYTES], uint32_t shards, const uint8_t *key, size_t key_bytes);
/* Of as many keys of one length. */
void partition_shard_each(const uint8_t partition_key[SIPHASH_KEY_BYTES], uint32_t shards, const uint8_t *const keys[SIPHASH_LANES], size_t key_bytes,
                          uint32_t out[SIPHASH_LANES]);

#endif
