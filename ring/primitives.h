/* Cryptographic primitives of a link (L-10), behind one table of functions with two back ends: BoringSSL (the default, fastest) and
 * libsodium alone (static builds, other processors). Both may be used in one process; tests run every vector through both.
 *
 * Contract: no heap, no I/O, no global state besides the library's own initialisation. Lengths are in bytes. Buffers given are borrowed
 * for the call. Secrets that a function puts on its stack are wiped before it returns.
 *
 * Limits: one AEAD message has at most RING_AEAD_MESSAGE_BYTES_MAX bytes of plaintext. */
#ifndef RING_PRIMITIVES_H
#define RING_PRIMITIVES_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define RING_KEY_BYTES 32
#define RING_HASH_BYTES 32
#define RING_TAG_BYTES 16
#define RING_NONCE_BYTES 12
#define RING_AEAD_STATE_BYTES 768
#define RING_AEAD_MESSAGE_BYTES_MAX 65519 /* 65535 - tag: the most a Noise message holds */

/* The number on the wire (L-3, offset 6). */
enum ring_suite {
    RING_SUITE_CHACHAPOLY = 1, /* Noise_IK_25519_ChaChaPoly_SHA256: mandatory, default */
    RING_SUITE_AESGCM = 2,     /* Noise_IK_25519_AESGCM_SHA256: only where the system file allows it */
};

/* A keyed AEAD. Filled in by aead_init; must not be copied or moved afterwards; wiped by aead_wipe. */
struct ring_aead {
    alignas(16) uint8_t state[RING_AEAD_STATE_BYTES];
    enum ring_suite suite;
};

struct ring_primitives {
    const char *name; /* "boringssl" or "libsodium" */

    /* True if this back end can run the suite on this processor. AESGCM needs AES instructions with libsodium. */
    bool (*suite_available)(enum ring_suite suite);

    /* out = X25519(scalar, point). False, and out zeroed, if the result is all zero (a small-order point): L-12. */
    bool (*x25519)(uint8_t out[RING_KEY_BYTES], const uint8_t scalar[RING_KEY_BYTES], const uint8_t point[RING_KEY_BYTES])
        __attribute__((warn_unused_result));

    /* out = the public key of scalar. */
    void (*x25519_base)(uint8_t out[RING_KEY_BYTES], const uint8_t scalar[RING_KEY_BYTES]);

    /* out = SHA-256 over the `count` pieces one after another. A piece may be empty. */
    void (*sha256)(uint8_t out[RING_HASH_BYTES], const struct iovec *pieces, size_t count);

    /* Keys aead for `suite`, which must be available. Overwrites an earlier key. */
    void (*aead_init)(struct ring_aead *aead, enum ring_suite suite, const uint8_t key[RING_KEY_BYTES]);

    /* Writes plain_bytes of ciphertext and then the tag to out, which has room for plain_bytes + RING_TAG_BYTES and is either `plain` itself or
     * does not overlap it. */
    void (*aead_seal)(const struct ring_aead *aead, const uint8_t nonce[RING_NONCE_BYTES], const uint8_t *ad, size_t ad_bytes, const uint8_t *plain,
                      size_t plain_bytes, uint8_t *out);

    /* sealed = ciphertext and tag, sealed_bytes >= RING_TAG_BYTES. Writes sealed_bytes - RING_TAG_BYTES to out, which is either `sealed`
     * itself (decryption in place) or does not overlap it. False if the tag is wrong: then out holds nothing to be used. */
    bool (*aead_open)(const struct ring_aead *aead, const uint8_t nonce[RING_NONCE_BYTES], const uint8_t *ad, size_t ad_bytes, const uint8_t *sealed,
                      size_t sealed_bytes, uint8_t *out) __attribute__((warn_unused_result));

    /* Forgets the key. Harmless on an all-zero ring_aead and when repeated. */
    void (*aead_wipe)(struct ring_aead *aead);
};

/* The two back ends, ready for use. Never NULL. A program that is built with libsodium alone lacks the first. */
const struct ring_primitives *ring_primitives_boringssl(void);
const struct ring_primitives *ring_primitives_sodium(void);

/* The one that nodes and clients use unless told otherwise: BoringSSL, where there is one. */
const struct ring_primitives *ring_primitives_default(void);

/* HMAC-SHA-256 (RFC 2104) over up to 4 pieces. */
#define RING_HMAC_PIECES_MAX 4
void ring_hmac_sha256(const struct ring_primitives *primitives, const uint8_t *key, size_t key_bytes, const struct iovec *pieces, size_t count,
                      uint8_t out[RING_HASH_BYTES]);

/* HKDF-SHA-256 (RFC 5869): out_bytes from 1 to 255 * 32. Noise's HKDF is this one with empty info. */
void ring_hkdf_sha256(const struct ring_primitives *primitives, const uint8_t *salt, size_t salt_bytes, const uint8_t *input, size_t input_bytes,
                      const uint8_t *info, size_t info_bytes, uint8_t *out, size_t out_bytes);

/* Overwrites bytes in a way that no compiler removes. */
void ring_wipe(void *bytes, size_t count);

/* True if the two are equal; time does not depend on content. */
bool ring_equal(const uint8_t *a, const uint8_t *b, size_t count) __attribute__((warn_unused_result));

#endif
