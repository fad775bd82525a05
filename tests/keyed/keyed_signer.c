#include "tests/keyed/keyed_signer.h"

#include <string.h>

#include "merkle/bytes.h"
#include "merkle/siphash.h"

uint64_t keyed_siphash(uint64_t key0, uint64_t key1, const void *bytes, size_t bytes_count) {
    uint8_t key[SIPHASH_KEY_BYTES];
    bytes_put_le64(key, key0);
    bytes_put_le64(key + 8, key1);
    return siphash_one(key, bytes, bytes_count);
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
