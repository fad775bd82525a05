/* Back end on libsodium alone. AES-256-GCM only where libsodium has it (AES and carry-less multiplication instructions). */
#include <sodium.h>
#include <string.h>

#include "ring/check.h"
#include "ring/primitives.h"

_Static_assert(sizeof(crypto_aead_aes256gcm_state) <= RING_AEAD_STATE_BYTES, "ring_aead too small");

static bool suite_available(enum ring_suite suite) {
    return suite == RING_SUITE_CHACHAPOLY || (suite == RING_SUITE_AESGCM && crypto_aead_aes256gcm_is_available() == 1);
}

static bool x25519(uint8_t out[RING_KEY_BYTES], const uint8_t scalar[RING_KEY_BYTES], const uint8_t point[RING_KEY_BYTES]) {
    if (crypto_scalarmult_curve25519(out, scalar, point) != 0) {
        ring_wipe(out, RING_KEY_BYTES);
        return false;
    }
    return true;
}

static void x25519_base(uint8_t out[RING_KEY_BYTES], const uint8_t scalar[RING_KEY_BYTES]) {
    RING_CHECK(crypto_scalarmult_curve25519_base(out, scalar) == 0);
}

static void sha256(uint8_t out[RING_HASH_BYTES], const struct iovec *pieces, size_t count) {
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0) {
            crypto_hash_sha256_update(&state, pieces[i].iov_base, pieces[i].iov_len);
        }
    }
    crypto_hash_sha256_final(&state, out);
    ring_wipe(&state, sizeof state);
}

static void aead_wipe(struct ring_aead *aead) {
    ring_wipe(aead, sizeof *aead);
}

static void aead_init(struct ring_aead *aead, enum ring_suite suite, const uint8_t key[RING_KEY_BYTES]) {
    aead_wipe(aead);
    RING_CHECK(suite_available(suite));
    if (suite == RING_SUITE_AESGCM) {
        RING_CHECK(crypto_aead_aes256gcm_beforenm((crypto_aead_aes256gcm_state *)(void *)aead->state, key) == 0);
    } else {
        memcpy(aead->state, key, RING_KEY_BYTES);
    }
    aead->suite = suite;
}

static void aead_seal(const struct ring_aead *aead, const uint8_t nonce[RING_NONCE_BYTES], const uint8_t *ad, size_t ad_bytes, const uint8_t *plain,
                      size_t plain_bytes, uint8_t *out) {
    RING_CHECK(plain_bytes <= RING_AEAD_MESSAGE_BYTES_MAX && aead->suite != 0);
    unsigned long long tag_bytes = 0;
    int result;
    if (aead->suite == RING_SUITE_AESGCM) {
        result = crypto_aead_aes256gcm_encrypt_detached_afternm(out, out + plain_bytes, &tag_bytes, plain, plain_bytes, ad, ad_bytes, NULL, nonce,
                                                                (const crypto_aead_aes256gcm_state *)(const void *)aead->state);
    } else {
        result = crypto_aead_chacha20poly1305_ietf_encrypt_detached(out, out + plain_bytes, &tag_bytes, plain, plain_bytes, ad, ad_bytes, NULL, nonce,
                                                                    aead->state);
    }
    RING_CHECK(result == 0 && tag_bytes == RING_TAG_BYTES);
}

static bool aead_open(const struct ring_aead *aead, const uint8_t nonce[RING_NONCE_BYTES], const uint8_t *ad, size_t ad_bytes, const uint8_t *sealed,
                      size_t sealed_bytes, uint8_t *out) {
    size_t plain_bytes = sealed_bytes - RING_TAG_BYTES;
    RING_CHECK(sealed_bytes >= RING_TAG_BYTES && plain_bytes <= RING_AEAD_MESSAGE_BYTES_MAX && aead->suite != 0);
    if (aead->suite == RING_SUITE_AESGCM) {
        return crypto_aead_aes256gcm_decrypt_detached_afternm(out, NULL, sealed, plain_bytes, sealed + plain_bytes, ad, ad_bytes, nonce,
                                                              (const crypto_aead_aes256gcm_state *)(const void *)aead->state) == 0;
    }
    return crypto_aead_chacha20poly1305_ietf_decrypt_detached(out, NULL, sealed, plain_bytes, sealed + plain_bytes, ad, ad_bytes, nonce,
                                                              aead->state) == 0;
}

const struct ring_primitives *ring_primitives_sodium(void) {
    static const struct ring_primitives primitives = {
        .name = "libsodium",
        .suite_available = suite_available,
        .x25519 = x25519,
        .x25519_base = x25519_base,
        .sha256 = sha256,
        .aead_init = aead_init,
        .aead_seal = aead_seal,
        .aead_open = aead_open,
        .aead_wipe = aead_wipe,
    };
    RING_CHECK(sodium_init() >= 0);
    return &primitives;
}
