/*
 * The small interface through which everything signs and verifies, and the signing tags (spec/conventions.md C-11).
 *
 * The node gives signer_ed25519(); simulator and explorer give the fast keyed one of tests/keyed/keyed_signer.h. Both link the same objects of
 * everything else.
 *
 * Contract
 *   `bytes` is the whole signed string, its tag16 first. sign() uses the one secret behind `context`; verify() any public key that was registered
 *   (for Ed25519: that passed ed25519_key_check). The context must outlive the signer; a signer is a plain value and may be copied. Verification
 *   may be called from several threads at once, signing too, unless the signer says otherwise.
 */
#ifndef BFT_SIGNER_H
#define BFT_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bft/ed25519.h"

enum { SIGNER_TAG_BYTES = 16, SIGNER_PUBLIC_KEY_BYTES = 32, SIGNER_SIGNATURE_BYTES = 64 };

struct signer {
    void *context;
    void (*sign)(void *context, const uint8_t *bytes, size_t bytes_count, uint8_t signature[SIGNER_SIGNATURE_BYTES]);
    bool (*verify)(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                   const uint8_t signature[SIGNER_SIGNATURE_BYTES]);
    /* Of several, each judged for itself: the index of the first that is not good; count: all are. NULL: verify() one after the other. */
    unsigned (*verify_each)(const void *context, const struct ed25519_signed *list, unsigned count);
    bool (*key_check)(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES]); /* may it be registered (E-2)? */
};

/* Whichever way the signer does it. */
unsigned signer_verify_each(const struct signer *signer, const struct ed25519_signed *list, unsigned count);

/* Every kind of signed string, in the order of the table of C-11. */
enum signer_tag {
    SIGNER_TAG_PREPARE,
    SIGNER_TAG_COMMIT,
    SIGNER_TAG_TIMEOUT,
    SIGNER_TAG_STATUS,
    SIGNER_TAG_LAST_SIGNED,
    SIGNER_TAG_BATCH,
    SIGNER_TAG_ADMIN_OPERATION,
    SIGNER_TAG_NODE_POSSESSION,
    SIGNER_TAG_CLIENT_POSSESSION,
    SIGNER_TAG_ADMIN_POSSESSION,
    SIGNER_TAG_CLAIM,
    SIGNER_TAG_NODE_CONFIG,
    SIGNER_TAG_SUCCESSOR,
    SIGNER_TAG_NOOP,
    SIGNER_TAG_ADDRESSES,
    SIGNER_TAG_IMAGE,
    SIGNER_TAG_COUNT
};

/* The 16 bytes of a tag (static storage). */
const uint8_t *signer_tag_bytes(enum signer_tag tag);

/* The real thing. `secret` may be NULL for one that only verifies (signing with it is a CHECK). ed25519_start() must have succeeded. */
struct signer signer_ed25519(struct ed25519_secret *secret);

/* The same for one thread, with tables of the keys whose signatures come often (bft/ed25519_keys.h). Both must outlive the signer. */
struct signer_often {
    struct ed25519_secret *secret; /* may be NULL */
    struct ed25519_keys *keys;
};
struct signer signer_ed25519_often(struct signer_often *often);

#endif
