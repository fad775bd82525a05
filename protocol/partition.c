#include "protocol/partition.h"

#include <string.h>

#include "merkle/bytes.h"

static inline uint64_t rotate(uint64_t value, unsigned bits) {
    return value << bits | value >> (64 - bits);
}

static inline void sip_round(uint64_t v[4]) {
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static inline void sip_absorb(uint64_t v[4], uint64_t word) {
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

uint64_t partition_siphash(const uint8_t key[PARTITION_KEY_BYTES], const uint8_t *bytes, size_t bytes_count) {
    uint64_t k0 = bytes_get_le64(key);
    uint64_t k1 = bytes_get_le64(key + 8);
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573};
    size_t at = 0;
    for (; bytes_count - at >= 8; at += 8) sip_absorb(v, bytes_get_le64(bytes + at));
    uint8_t last[8] = {0};
    if (bytes_count > at) memcpy(last, bytes + at, bytes_count - at);
    last[7] = (uint8_t)bytes_count;
    sip_absorb(v, bytes_get_le64(last));
    v[2] ^= 0xff;
    for (int round = 0; round < 4; round++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

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

uint32_t partition_shard(const uint8_t partition_key[PARTITION_KEY_BYTES], uint32_t shards, const uint8_t *key, size_t key_bytes) {
    size_t route_bytes;
    const uint8_t *route = partition_route(key, key_bytes, &route_bytes);
    uint64_t hash = partition_siphash(partition_key, route, route_bytes);
    return (uint32_t)((unsigned __int128)hash * shards >> 64);
}
