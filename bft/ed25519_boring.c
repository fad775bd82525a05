/* Ed25519 arithmetic by BoringSSL. */
#include <openssl/curve25519.h>
#include <string.h>

#include "bft/ed25519.h"
#include "merkle/check.h"

_Static_assert(sizeof(struct ed25519_secret) == ED25519_PRIVATE_KEY_LEN, "seed | public key");

static void expand(const uint8_t seed[ED25519_SEED_BYTES], struct ed25519_secret *secret) {
    uint8_t public_key[ED25519_PUBLIC_KEY_BYTES];
    ED25519_keypair_from_seed(public_key, secret->expanded, seed);
}

static void sign(const struct ed25519_secret *secret, const uint8_t *message, size_t message_bytes, uint8_t signature[ED25519_SIGNATURE_BYTES]) {
    CHECK(ED25519_sign(signature, message, message_bytes, secret->expanded) == 1);
}

static bool verify(const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES], const uint8_t *message, size_t message_bytes,
                   const uint8_t signature[ED25519_SIGNATURE_BYTES]) {
    return ED25519_verify(message, message_bytes, signature, public_key) == 1;
}

const struct ed25519_backend ed25519_backend_boring = {.name = "boringssl", .expand = expand, .sign = sign, .verify = verify};
