#include "tests/sim/keyed_signer.h"

#include <string.h>

#include "merkle/bytes.h"
#include "merkle/sha256.h"

void keyed_signer_init(struct keyed_signer *keyed, uint64_t seed, uint64_t node) {
    uint8_t number[9] = {'w'};
    bytes_put_le64(number + 1, seed);
    sha256_hash(number, sizeof number, keyed->world);
    struct sha256_state state;
    sha256_init(&state);
    sha256_update(&state, keyed->world, sizeof keyed->world);
    number[0] = 'k';
    bytes_put_le64(number + 1, node);
    sha256_update(&state, number, sizeof number);
    sha256_final(&state, keyed->public_key);
}

static void mac(const struct keyed_signer *keyed, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    struct sha256_state state;
    sha256_init(&state);
    sha256_update(&state, keyed->world, sizeof keyed->world);
    sha256_update(&state, "s", 1);
    sha256_update(&state, public_key, SIGNER_PUBLIC_KEY_BYTES);
    sha256_update(&state, bytes, bytes_count);
    sha256_final(&state, signature);
    sha256_hash(signature, 32, signature + 32);
}

static void sign(void *context, const uint8_t *bytes, size_t bytes_count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    const struct keyed_signer *keyed = context;
    mac(keyed, keyed->public_key, bytes, bytes_count, signature);
}

static bool verify(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                   const uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    uint8_t expected[SIGNER_SIGNATURE_BYTES];
    mac(context, public_key, bytes, bytes_count, expected);
    return memcmp(expected, signature, sizeof expected) == 0;
}

static bool key_check(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES]) {
    static const uint8_t zero[SIGNER_PUBLIC_KEY_BYTES];
    (void)context;
    return memcmp(public_key, zero, sizeof zero) != 0;
}

struct signer keyed_signer_interface(struct keyed_signer *keyed) {
    struct signer signer = {.context = keyed, .sign = sign, .verify = verify, .key_check = key_check};
    return signer;
}
