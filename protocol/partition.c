#include "protocol/partition.h"

#include <stdbool.h>
#include <string.h>

const uint8_t *partition_route(const uint8_t *key, size_t key_bytes, size_t *route_bytes) {
    *route_bytes = key_bytes;
    const uint8_t *open = memchr(key, '{', key_bytes);
    if (!open) return key;
    size_t left = key_bytes - (size_t)(open + 1 - key);
    const uint8_t *close = left > 0 ? memchr(open + 1, '}', left) : NULL;
    if (!close || close == open + 1) return key;
    *route_bytes = (size_t)(close - open - 1);
    return open + 1;
}

static uint32_t shard_of(uint64_t hash, uint32_t shards) {
    return (uint32_t)((unsigned __int128)hash * shards >> 64);
}

uint32_t partition_shard(const uint8_t partition_key[SIPHASH_KEY_BYTES], uint32_t shards, const uint8_t *key, size_t key_bytes) {
    size_t route_bytes;
    const uint8_t *route = partition_route(key, key_bytes, &route_bytes);
    return shard_of(siphash_one(partition_key, route, route_bytes), shards);
}

void partition_shard_each(const uint8_t partition_key[SIPHASH_KEY_BYTES], uint32_t shards, const uint8_t *const keys[SIPHASH_LANES], size_t key_bytes,
                          uint32_t out[SIPHASH_LANES]) {
    bool tags = false;
    for (unsigned i = 0; i < SIPHASH_LANES; i++) {
        size_t route_bytes;
        (void)partition_route(keys[i], key_bytes, &route_bytes);
        tags = tags || route_bytes != key_bytes;
    }
    if (tags) {
        for (unsigned i = 0; i < SIPHASH_LANES; i++) out[i] = partition_shard(partition_key, shards, keys[i], key_bytes);
        return;
    }
    uint64_t hashes[SIPHASH_LANES];
    siphash_each(partition_key, keys, key_bytes, hashes);
    for (unsigned i = 0; i < SIPHASH_LANES; i++) out[i] = shard_of(hashes[i], shards);
}
