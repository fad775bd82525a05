#include "tests/keyed/keyed_signer.h"

#include <endian.h>
#include <string.h>

static inline uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
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

uint64_t keyed_siphash(uint64_t key0, uint64_t key1, const void *bytes, size_t bytes_count) {
    const uint8_t *at = bytes;
    uint64_t v[4] = {key0 ^ 0x736f6d6570736575u, key1 ^ 0x646f72616e646f6du, key0 ^ 0x6c7967656e657261u, key1 ^ 0x7465646279746573u};
    size_t left = bytes_count;
    uint64_t word = 0;
    for (; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        word = le64toh(word);
        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    word = 0;
    memcpy(&word, at, left);
    word = le64toh(word);
    word |= (uint64_t)bytes_count << 56;
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void signature_of(const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t count, uint64_t signature[8]) {
    uint64_t key[4];
    memcpy(key, public_key, sizeof key);
    signature[0] = keyed_siphash(key[0], key[1], bytes, count);
    for (int i = 1; i < 8; i++) signature[i] = signature[i - 1] * 0x9E3779B97F4A7C15u + key[2];
}

static void keyed_sign(void *context, const uint8_t *bytes, size_t bytes_count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    const struct keyed_signer *keyed = context;
    uint64_t words[8];
    signature_of(keyed->public_key, bytes, bytes_count, words);
    memcpy(signature, words, sizeof words);
}

static bool keyed_verify(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                         const uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    (void)context;
    uint64_t words[8];
    signature_of(public_key, bytes, bytes_count, words);
    return memcmp(signature, words, sizeof words) == 0;
}

static bool keyed_key_check(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES]) {
    (void)context;
    (void)public_key;
    return true;
}

void keyed_signer_init(struct keyed_signer *keyed, uint64_t number) {
    uint64_t words[4];
    for (uint64_t i = 0; i < 4; i++) words[i] = keyed_siphash(0x4865726163, 0x6c697573, (uint64_t[]){number, i}, 16);
    memcpy(keyed->public_key, words, sizeof words);
}

struct signer keyed_signer_of(struct keyed_signer *keyed) {
    struct signer signer = {.context = keyed, .sign = keyed_sign, .verify = keyed_verify, .key_check = keyed_key_check};
    return signer;
}
