/* Back end on BoringSSL. Its EVP_AEAD_CTX keeps keys for these two ciphers within itself: no heap. */
#include <openssl/aead.h>
#include <openssl/curve25519.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#include "ring/check.h"
#include "ring/primitives.h"

_Static_assert(sizeof(EVP_AEAD_CTX) <= RING_AEAD_STATE_BYTES, "ring_aead too small");
_Static_assert(alignof(EVP_AEAD_CTX) <= 16, "ring_aead alignment");

static bool suite_available(enum ring_suite suite) {
    return suite == RING_SUITE_CHACHAPOLY || suite == RING_SUITE_AESGCM;
}

static bool x25519(uint8_t out[RING_KEY_BYTES], const uint8_t scalar[RING_KEY_BYTES], const uint8_t point[RING_KEY_BYTES]) {
    if (X25519(out, scalar, point) != 1) {
        ring_wipe(out, RING_KEY_BYTES);
        return false;
    }
    return true;
}

static void x25519_base(uint8_t out[RING_KEY_BYTES], const uint8_t scalar[RING_KEY_BYTES]) {
    X25519_public_from_private(out, scalar);
}

static void sha256(uint8_t out[RING_HASH_BYTES], const struct iovec *pieces, size_t count) {
    SHA256_CTX context;
    SHA256_Init(&context);
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].iov_len > 0) {
            SHA256_Update(&context, pieces[i].iov_base, pieces[i].iov_len);
        }
    }
    SHA256_Final(out, &context);
    ring_wipe(&context, sizeof context);
}

static void aead_wipe(struct ring_aead *aead) {
    if (aead->suite != 0) {
        EVP_AEAD_CTX_cleanup((EVP_AEAD_CTX *)(void *)aead->state);
    }
    ring_wipe(aead, sizeof *aead);
}

static void aead_init(struct ring_aead *aead, enum ring_suite suite, const uint8_t key[RING_KEY_BYTES]) {
    aead_wipe(aead);
    const EVP_AEAD *kind = suite == RING_SUITE_AESGCM ? EVP_aead_aes_256_gcm() : EVP_aead_chacha20_poly1305();
    RING_CHECK(suite_available(suite));
    RING_CHECK(EVP_AEAD_CTX_init((EVP_AEAD_CTX *)(void *)aead->state, kind, key, RING_KEY_BYTES, RING_TAG_BYTES, NULL) == 1);
    aead->suite = suite;
}

static void aead_seal(const struct ring_aead *aead, const uint8_t nonce[RING_NONCE_BYTES], const uint8_t *ad, size_t ad_bytes, const uint8_t *plain,
                      size_t plain_bytes, uint8_t *out) {
    size_t written = 0;
    RING_CHECK(plain_bytes <= RING_AEAD_MESSAGE_BYTES_MAX && aead->suite != 0);
    RING_CHECK(EVP_AEAD_CTX_seal((const EVP_AEAD_CTX *)(const void *)aead->state, out, &written, plain_bytes + RING_TAG_BYTES, nonce,
                                 RING_NONCE_BYTES, plain, plain_bytes, ad, ad_bytes) == 1);
    RING_CHECK(written == plain_bytes + RING_TAG_BYTES);
}

static bool aead_open(const struct ring_aead *aead, const uint8_t nonce[RING_NONCE_BYTES], const uint8_t *ad, size_t ad_bytes, const uint8_t *sealed,
                      size_t sealed_bytes, uint8_t *out) {
    size_t plain_bytes = sealed_bytes - RING_TAG_BYTES;
    RING_CHECK(sealed_bytes >= RING_TAG_BYTES && plain_bytes <= RING_AEAD_MESSAGE_BYTES_MAX && aead->suite != 0);
    if (EVP_AEAD_CTX_open_gather((const EVP_AEAD_CTX *)(const void *)aead->state, out, nonce, RING_NONCE_BYTES, sealed, plain_bytes,
                                 sealed + plain_bytes, RING_TAG_BYTES, ad, ad_bytes) != 1) {
        ERR_clear_error();
        return false;
    }
    return true;
}

const struct ring_primitives *ring_primitives_boringssl(void) {
    static const struct ring_primitives primitives = {
        .name = "boringssl",
        .suite_available = suite_available,
        .x25519 = x25519,
        .x25519_base = x25519_base,
        .sha256 = sha256,
        .aead_init = aead_init,
        .aead_seal = aead_seal,
        .aead_open = aead_open,
        .aead_wipe = aead_wipe,
    };
    return &primitives;
}

const struct ring_primitives *ring_primitives_default(void) {
    return ring_primitives_boringssl();
}
