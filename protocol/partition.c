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

/* Can the key have a tag? Random keys of 32 bytes have a '{' each eighth time, but hardly one has a '}' as well. The last sixteen bytes end where the
 * key does, and may overlap those before. */
static bool has_braces(const uint8_t *key, size_t key_bytes) {
    typedef uint8_t chunk __attribute__((vector_size(16)));
    chunk bytes, opens = {0}, closes = {0};
    if (key_bytes < sizeof bytes) return true; /* partition_route() finds out as fast */
    for (size_t at = 0; at < key_bytes; at += sizeof bytes) {
        memcpy(&bytes, key + (key_bytes - at < sizeof bytes ? key_bytes - sizeof bytes : at), sizeof bytes);
        opens |= (chunk)(bytes == '{');
        closes |= (chunk)(bytes == '}');
    }
    uint64_t halves[2][sizeof bytes / sizeof(uint64_t)];
    memcpy(halves[0], &opens, sizeof opens);
    memcpy(halves[1], &closes, sizeof closes);
    return (halves[0][0] | halves[0][1]) != 0 && (halves[1][0] | halves[1][1]) != 0;
}

void partition_shard_each(const uint8_t partition_key[SIPHASH_KEY_BYTES], uint32_t shards, const uint8_t *const keys[SIPHASH_LANES], size_t key_bytes,
                          uint32_t out[SIPHASH_LANES]) {
    uint64_t hashes[SIPHASH_LANES];
    siphash_each(partition_key, keys, key_bytes, hashes);
    for (unsigned i = 0; i < SIPHASH_LANES; i++) {
        if (!has_braces(keys[i], key_bytes)) continue;
        size_t route_bytes;
        const uint8_t *route = partition_route(keys[i], key_bytes, &route_bytes);
        if (route_bytes != key_bytes) hashes[i] = siphash_one(partition_key, route, route_bytes);
    }
    for (unsigned i = 0; i < SIPHASH_LANES; i++) out[i] = shard_of(hashes[i], shards);
}
