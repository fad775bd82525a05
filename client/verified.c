/*
 * Signatures that were verified before, by the handles that were opened beside one another (heraclius_options.beside).
 *
 * Nodes answer all clients of a block with the same certificate. A program that holds many keys would verify it once for each of them; whether a
 * signature over these bytes verifies with this key is the same each time, so it is looked up: all of key, bytes and signature must be equal. Only
 * what verified is kept, the newest of each place. Nothing is taken unverified, and no check but this one is left out: which members, which epoch,
 * how many of them and what they signed is looked at in each answer.
 */
#include <stdlib.h>
#include <string.h>

#include "client/client.h"

static void sign(void *context, const uint8_t *bytes, size_t bytes_count, uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    const struct heraclius *db = context;
    db->signer_plain.sign(db->signer_plain.context, bytes, bytes_count, signature);
}

static bool verify(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                   const uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    const struct heraclius *db = context;
    const struct signer plain = signer_ed25519_often(&db->shared->signing);
    struct client_verified *place = db->shared->verified ? &db->shared->verified[bytes_get_le32(signature) % CLIENT_VERIFIED] : NULL;
    if (!place || bytes_count > sizeof place->bytes) return plain.verify(plain.context, public_key, bytes, bytes_count, signature);
    bool known = place->bytes_count == bytes_count && memcmp(place->signature, signature, SIGNER_SIGNATURE_BYTES) == 0 &&
                 memcmp(place->key, public_key, SIGNER_PUBLIC_KEY_BYTES) == 0 && memcmp(place->bytes, bytes, bytes_count) == 0;
    if (known && bytes_count > 0) return true;
    if (!plain.verify(plain.context, public_key, bytes, bytes_count, signature)) return false;
    place->bytes_count = bytes_count;
    memcpy(place->signature, signature, SIGNER_SIGNATURE_BYTES);
    memcpy(place->key, public_key, SIGNER_PUBLIC_KEY_BYTES);
    memcpy(place->bytes, bytes, bytes_count);
    return true;
}

static bool key_check(const void *context, const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES]) {
    const struct heraclius *db = context;
    return db->signer_plain.key_check(db->signer_plain.context, public_key);
}

void client_signer_make(struct heraclius *db) {
    db->signer_plain = signer_ed25519(&db->key.signing);
    db->signer = (struct signer){.context = db, .sign = sign, .verify = verify, .key_check = key_check};
}

bool client_verified_begin(struct client_system *shared) {
    if (!shared->verified) shared->verified = calloc(CLIENT_VERIFIED, sizeof *shared->verified);
    if (!shared->syncer) shared->syncer = client_syncer_make();
    return shared->verified != NULL && shared->syncer != NULL;
}
