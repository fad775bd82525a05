/* Ed25519 arithmetic by libsodium. */
#include <sodium.h>
#include <string.h>

#include "bft/ed25519.h"
#include "merkle/check.h"

_Static_assert(sizeof(struct ed25519_secret) == crypto_sign_ed25519_SECRETKEYBYTES, "seed | public key");

static void expand(const uint8_t seed[ED25519_SEED_BYTES], struct ed25519_secret *secret) {
    uint8_t public_key[ED25519_PUBLIC_KEY_BYTES];
    CHECK(crypto_sign_ed25519_seed_keypair(public_key, secret->expanded, seed) == 0);
}

static void sign(const struct ed25519_secret *secret, const uint8_t *message, size_t message_bytes, uint8_t signature[ED25519_SIGNATURE_BYTES]) {
    CHECK(crypto_sign_ed25519_detached(signature, NULL, message, message_bytes, secret->expanded) == 0);
}

static bool verify(const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES], const uint8_t *message, size_t message_bytes,
                   const uint8_t signature[ED25519_SIGNATURE_BYTES]) {
    return crypto_sign_ed25519_verify_detached(signature, message, message_bytes, public_key) == 0;
}

const struct ed25519_backend ed25519_backend_sodium = {.name = "libsodium", .expand = expand, .sign = sign, .verify = verify};
