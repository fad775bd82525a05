/* Signing tags (C-11) and the Ed25519 signer. */
#include "bft/signer.h"

#include "merkle/check.h"

/* Filled up with 0x00 to 16 bytes; the longest has 15 characters. */
static const uint8_t tags[SIGNER_TAG_COUNT][SIGNER_TAG_BYTES] = {
    [SIGNER_TAG_PREPARE] = "HRC prepare",
    [SIGNER_TAG_COMMIT] = "HRC commit",
    [SIGNER_TAG_TIMEOUT] = "HRC timeout",
    [SIGNER_TAG_STATUS] = "HRC status",
    [SIGNER_TAG_LAST_SIGNED] = "HRC last-signed",
    [SIGNER_TAG_BATCH] = "HRC batch",
    [SIGNER_TAG_ADMIN_OPERATION] = "HRC admin-op",
    [SIGNER_TAG_NODE_POSSESSION] = "HRC node-pop",
    [SIGNER_TAG_CLIENT_POSSESSION] = "HRC client-pop",
    [SIGNER_TAG_ADMIN_POSSESSION] = "HRC admin-pop",
    [SIGNER_TAG_CLAIM] = "HRC claim",
    [SIGNER_TAG_NODE_CONFIG] = "HRC node-config",
    [SIGNER_TAG_SUCCESSOR] = "HRC successor",
    [SIGNER_TAG_NOOP] = "HRC noop",
    [SIGNER_TAG_ADDRESSES] = "HRC addresses",
    [SIGNER_TAG_IMAGE] = "HRC image",
};

const uint8_t *signer_tag_bytes(enum signer_tag tag) {
    CHECK(tag < SIGNER_TAG_COUNT);
    return tags[tag];
}

unsigned signer_verify_each(const struct signer *signer, const struct ed25519_signed *list, unsigned count) {
    if (signer->verify_each) return signer->verify_each(signer->context, list, count);
    unsigned i = 0;
    while (i < count && signer->verify(signer->context, list[i].public_key, list[i].message, list[i].message_bytes, list[i].signature)) i++;
    return i;
}

static void sign(void *context, const uint8_t *bytes, size_t bytes_count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    CHECK(context);
    ed25519_sign(context, bytes, bytes_count, signature);
}

static bool verify(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                   const uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    (void)context;
    return ed25519_verify(public_key, bytes, bytes_count, signature) == ED25519_OK;
}

static bool key_check(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES]) {
    (void)context;
    return ed25519_key_check(public_key) == ED25519_OK;
}

struct signer signer_ed25519(struct ed25519_secret *secret) {
    struct signer signer = {.context = secret, .sign = sign, .verify = verify, .key_check = key_check};
    return signer;
}

static void sign_often(void *context, const uint8_t *bytes, size_t bytes_count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    const struct signer_often *often = context;
    sign(often->secret, bytes, bytes_count, signature);
}

static bool verify_often(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                         const uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    const struct signer_often *often = context;
    return ed25519_verify_often(often->keys, public_key, bytes, bytes_count, signature) == ED25519_OK;
}

static unsigned verify_often_each(const void *context, const struct ed25519_signed *list, unsigned count) {
    const struct signer_often *often = context;
    return ed25519_verify_often_each(often->keys, list, count);
}

struct signer signer_ed25519_often(struct signer_often *often) {
    return (struct signer){.context = often,
                           .sign = sign_often,
                           .verify = verify_often,
                           .verify_each = verify_often_each,
                           .key_check = key_check};
}
