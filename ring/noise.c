/* Noise revision 34: CipherState, SymmetricState and HandshakeState of section 5, for patterns given as data.
 *
 * A failure at any token makes the handshake unusable and wipes it, so that half-mixed state is never used again. */
#include "ring/noise.h"

#include <stdio.h>
#include <string.h>

#include "ring/check.h"

const struct noise_pattern noise_pattern_ik = {
    .name = "IK",
    .responder_static_known = true,
    .messages = {{NOISE_E, NOISE_ES, NOISE_S, NOISE_SS}, {NOISE_E, NOISE_EE, NOISE_SE}},
    .message_count = 2,
};

/* --- CipherState --- */

static void nonce_of(enum ring_suite suite, uint64_t number, uint8_t nonce[RING_NONCE_BYTES]) {
    memset(nonce, 0, 4);
    if (suite == RING_SUITE_AESGCM) { /* big-endian, section 12.4 of the Noise specification */
        for (size_t i = 0; i < 8; i++) {
            nonce[4 + i] = (uint8_t)(number >> (56 - 8 * i));
        }
    } else {
        ring_store_u64(nonce + 4, number);
    }
}

static void cipher_key(struct noise_cipher *cipher, const struct ring_primitives *primitives, enum ring_suite suite,
                       const uint8_t key[RING_KEY_BYTES]) {
    cipher->primitives = primitives;
    primitives->aead_init(&cipher->aead, suite, key);
    memmove(cipher->key, key, RING_KEY_BYTES);
    cipher->number = 0;
    cipher->keyed = true;
}

void noise_cipher_rekey(struct noise_cipher *cipher) {
    RING_CHECK(cipher->keyed);
    static const uint8_t zeros[RING_KEY_BYTES];
    uint8_t nonce[RING_NONCE_BYTES];
    uint8_t sealed[RING_KEY_BYTES + RING_TAG_BYTES];
    uint64_t number = cipher->number;
    enum ring_suite suite = cipher->aead.suite;
    nonce_of(suite, UINT64_MAX, nonce);
    cipher->primitives->aead_seal(&cipher->aead, nonce, NULL, 0, zeros, sizeof zeros, sealed);
    cipher_key(cipher, cipher->primitives, suite, sealed);
    cipher->number = number;
    ring_wipe(sealed, sizeof sealed);
}

/* L-16: before record number n, n > 0 and a multiple of NOISE_REKEY_RECORDS. The flag of whether it was done for this very number is not needed: a
 * failed open closes the link, so a number is passed once. */
static void rekey_if_due(struct noise_cipher *cipher) {
    if (cipher->number != 0 && cipher->number % NOISE_REKEY_RECORDS == 0) {
        noise_cipher_rekey(cipher);
    }
}

enum noise_result noise_cipher_seal(struct noise_cipher *cipher, const uint8_t *plain, size_t plain_bytes, uint8_t *out) {
    uint8_t nonce[RING_NONCE_BYTES];
    if (!cipher->keyed || cipher->number == UINT64_MAX) {
        return NOISE_ERR_STATE;
    }
    rekey_if_due(cipher);
    nonce_of(cipher->aead.suite, cipher->number, nonce);
    cipher->primitives->aead_seal(&cipher->aead, nonce, NULL, 0, plain, plain_bytes, out);
    cipher->number++;
    return NOISE_OK;
}

enum noise_result noise_cipher_open(struct noise_cipher *cipher, const uint8_t *sealed, size_t sealed_bytes, uint8_t *out) {
    uint8_t nonce[RING_NONCE_BYTES];
    if (!cipher->keyed || cipher->number == UINT64_MAX) {
        return NOISE_ERR_STATE;
    }
    if (sealed_bytes < RING_TAG_BYTES || sealed_bytes > RING_AEAD_MESSAGE_BYTES_MAX + RING_TAG_BYTES) {
        return NOISE_ERR_LENGTH;
    }
    rekey_if_due(cipher);
    nonce_of(cipher->aead.suite, cipher->number, nonce);
    if (!cipher->primitives->aead_open(&cipher->aead, nonce, NULL, 0, sealed, sealed_bytes, out)) {
        noise_cipher_wipe(cipher); /* sticky: nothing more is opened with this key (L-15) */
        return NOISE_ERR_AUTH;
    }
    cipher->number++;
    return NOISE_OK;
}

void noise_cipher_wipe(struct noise_cipher *cipher) {
    if (cipher->primitives != NULL) {
        cipher->primitives->aead_wipe(&cipher->aead);
    }
    ring_wipe(cipher, sizeof *cipher);
}

/* --- SymmetricState --- */

static void mix_hash(struct noise_handshake *handshake, const uint8_t *data, size_t bytes) {
    struct iovec pieces[2] = {{handshake->hash, RING_HASH_BYTES}, {(void *)(uintptr_t)data, bytes}};
    handshake->primitives->sha256(handshake->hash, pieces, 2);
}

static void mix_key(struct noise_handshake *handshake, const uint8_t input[RING_KEY_BYTES]) {
    uint8_t out[2 * RING_HASH_BYTES];
    ring_hkdf_sha256(handshake->primitives, handshake->chaining_key, RING_HASH_BYTES, input, RING_KEY_BYTES, NULL, 0, out, sizeof out);
    memcpy(handshake->chaining_key, out, RING_HASH_BYTES);
    cipher_key(&handshake->cipher, handshake->primitives, handshake->suite, out + RING_HASH_BYTES);
    ring_wipe(out, sizeof out);
}

/* Room for bytes + RING_TAG_BYTES was checked. Returns the bytes written. */
static size_t encrypt_and_hash(struct noise_handshake *handshake, const uint8_t *plain, size_t bytes, uint8_t *out) {
    size_t written = bytes;
    if (handshake->cipher.keyed) {
        uint8_t nonce[RING_NONCE_BYTES];
        nonce_of(handshake->suite, handshake->cipher.number++, nonce);
        handshake->primitives->aead_seal(&handshake->cipher.aead, nonce, handshake->hash, RING_HASH_BYTES, plain, bytes, out);
        written += RING_TAG_BYTES;
    } else if (bytes > 0) {
        memcpy(out, plain, bytes);
    }
    mix_hash(handshake, out, written);
    return written;
}

/* Reads `bytes` from the message, ciphertext or not, into out, which has room for them. *out_bytes = plaintext length. */
static enum noise_result decrypt_and_hash(struct noise_handshake *handshake, const uint8_t *in, size_t bytes, uint8_t *out, size_t *out_bytes) {
    uint8_t hash[RING_HASH_BYTES];
    memcpy(hash, handshake->hash, sizeof hash);
    mix_hash(handshake, in, bytes);
    if (!handshake->cipher.keyed) {
        memmove(out, in, bytes);
        *out_bytes = bytes;
        return NOISE_OK;
    }
    uint8_t nonce[RING_NONCE_BYTES];
    if (bytes < RING_TAG_BYTES) {
        return NOISE_ERR_LENGTH;
    }
    nonce_of(handshake->suite, handshake->cipher.number++, nonce);
    if (!handshake->primitives->aead_open(&handshake->cipher.aead, nonce, hash, sizeof hash, in, bytes, out)) {
        return NOISE_ERR_AUTH;
    }
    *out_bytes = bytes - RING_TAG_BYTES;
    return NOISE_OK;
}

/* --- HandshakeState --- */

void noise_handshake_wipe(struct noise_handshake *handshake) {
    noise_cipher_wipe(&handshake->cipher);
    ring_wipe(handshake, sizeof *handshake);
}

static enum noise_result fail(struct noise_handshake *handshake, enum noise_result result) {
    noise_handshake_wipe(handshake);
    handshake->failed = true;
    return result;
}

static void take_keys(struct noise_handshake *handshake, const struct noise_setup *setup) {
    const struct ring_primitives *primitives = setup->primitives;
    if (setup->static_private != NULL) {
        memcpy(handshake->static_private, setup->static_private, RING_KEY_BYTES);
        if (setup->static_public != NULL) {
            memcpy(handshake->static_public, setup->static_public, RING_KEY_BYTES);
        } else {
            primitives->x25519_base(handshake->static_public, handshake->static_private);
        }
        handshake->has_static = true;
    }
    if (setup->remote_static != NULL) {
        memcpy(handshake->remote_static, setup->remote_static, RING_KEY_BYTES);
        handshake->has_remote_static = true;
    }
    memcpy(handshake->ephemeral_private, setup->ephemeral_private, RING_KEY_BYTES);
}

void noise_handshake_init(struct noise_handshake *handshake, const struct noise_setup *setup) {
    const struct ring_primitives *primitives = setup->primitives;
    RING_CHECK(primitives->suite_available(setup->suite));
    RING_CHECK(setup->ephemeral_private != NULL);
    memset(handshake, 0, sizeof *handshake);
    handshake->primitives = primitives;
    handshake->pattern = setup->pattern;
    handshake->suite = setup->suite;
    handshake->initiator = setup->initiator;

    char name[64];
    int length =
        snprintf(name, sizeof name, "Noise_%s_25519_%s_SHA256", setup->pattern->name, setup->suite == RING_SUITE_AESGCM ? "AESGCM" : "ChaChaPoly");
    RING_CHECK(length > 0 && (size_t)length < sizeof name);
    if ((size_t)length <= RING_HASH_BYTES) {
        memcpy(handshake->hash, name, (size_t)length);
    } else {
        struct iovec piece = {name, (size_t)length};
        primitives->sha256(handshake->hash, &piece, 1);
    }
    memcpy(handshake->chaining_key, handshake->hash, RING_HASH_BYTES);
    mix_hash(handshake, setup->prologue, setup->prologue_bytes);

    take_keys(handshake, setup);
    if (setup->pattern->initiator_static_known) {
        RING_CHECK(setup->initiator ? handshake->has_static : handshake->has_remote_static);
        mix_hash(handshake, setup->initiator ? handshake->static_public : handshake->remote_static, RING_KEY_BYTES);
    }
    if (setup->pattern->responder_static_known) {
        RING_CHECK(setup->initiator ? handshake->has_remote_static : handshake->has_static);
        mix_hash(handshake, setup->initiator ? handshake->remote_static : handshake->static_public, RING_KEY_BYTES);
    }
}

/* One of ee, es, se, ss: es is initiator's e with responder's s whoever computes it. */
static enum noise_result mix_dh(struct noise_handshake *handshake, enum noise_token token) {
    bool mine_static = token == NOISE_SS || token == (handshake->initiator ? NOISE_SE : NOISE_ES);
    bool theirs_static = token == NOISE_SS || token == (handshake->initiator ? NOISE_ES : NOISE_SE);
    if ((mine_static && !handshake->has_static) || (theirs_static ? !handshake->has_remote_static : !handshake->has_remote_ephemeral)) {
        return NOISE_ERR_STATE;
    }
    uint8_t shared[RING_KEY_BYTES];
    if (!handshake->primitives->x25519(shared, mine_static ? handshake->static_private : handshake->ephemeral_private,
                                       theirs_static ? handshake->remote_static : handshake->remote_ephemeral)) {
        return NOISE_ERR_POINT; /* L-12 */
    }
    mix_key(handshake, shared);
    ring_wipe(shared, sizeof shared);
    return NOISE_OK;
}

static bool my_turn(const struct noise_handshake *handshake, bool writing) {
    bool initiators = handshake->message_index % 2 == 0;
    return !handshake->failed && handshake->primitives != NULL && handshake->message_index < handshake->pattern->message_count &&
           (initiators == handshake->initiator) == writing;
}

static enum noise_result write_token(struct noise_handshake *handshake, enum noise_token token, uint8_t *out, size_t room, size_t *at) {
    if (token == NOISE_E || token == NOISE_S) {
        if (room - *at < RING_KEY_BYTES + RING_TAG_BYTES) {
            return NOISE_ERR_LENGTH;
        }
        if (token == NOISE_S) {
            if (!handshake->has_static) {
                return NOISE_ERR_STATE;
            }
            *at += encrypt_and_hash(handshake, handshake->static_public, RING_KEY_BYTES, out + *at);
        } else { /* computed only here, so that a stranger's first message costs a responder no more than it must (L-13) */
            handshake->primitives->x25519_base(handshake->ephemeral_public, handshake->ephemeral_private);
            memcpy(out + *at, handshake->ephemeral_public, RING_KEY_BYTES);
            mix_hash(handshake, handshake->ephemeral_public, RING_KEY_BYTES);
            *at += RING_KEY_BYTES;
        }
        return NOISE_OK;
    }
    return mix_dh(handshake, token);
}

enum noise_result noise_handshake_write(struct noise_handshake *handshake, const uint8_t *payload, size_t payload_bytes, uint8_t *out,
                                        size_t out_room, size_t *out_bytes) {
    if (!my_turn(handshake, true)) {
        return NOISE_ERR_STATE;
    }
    if (payload_bytes > NOISE_PAYLOAD_BYTES_MAX) {
        return fail(handshake, NOISE_ERR_LENGTH);
    }
    const uint8_t *tokens = handshake->pattern->messages[handshake->message_index];
    size_t at = 0;
    for (size_t i = 0; i < NOISE_TOKENS_MAX && tokens[i] != NOISE_END; i++) {
        enum noise_result result = write_token(handshake, (enum noise_token)tokens[i], out, out_room, &at);
        if (result != NOISE_OK) {
            return fail(handshake, result);
        }
    }
    if (out_room - at < payload_bytes + RING_TAG_BYTES) {
        return fail(handshake, NOISE_ERR_LENGTH);
    }
    *out_bytes = at + encrypt_and_hash(handshake, payload, payload_bytes, out + at);
    handshake->message_index++;
    return NOISE_OK;
}

static enum noise_result read_static(struct noise_handshake *handshake, const uint8_t *message, size_t bytes, noise_static_check *check,
                                     void *context, size_t *at) {
    uint8_t key[RING_KEY_BYTES + RING_TAG_BYTES];
    size_t length = RING_KEY_BYTES + (handshake->cipher.keyed ? RING_TAG_BYTES : 0);
    size_t key_bytes = 0;
    if (bytes - *at < length || handshake->has_remote_static) {
        return bytes - *at < length ? NOISE_ERR_LENGTH : NOISE_ERR_STATE;
    }
    enum noise_result result = decrypt_and_hash(handshake, message + *at, length, key, &key_bytes);
    if (result != NOISE_OK) {
        return result;
    }
    if (check != NULL && !check(context, key)) {
        return NOISE_ERR_REFUSED;
    }
    memcpy(handshake->remote_static, key, RING_KEY_BYTES);
    handshake->has_remote_static = true;
    *at += length;
    return NOISE_OK;
}

static enum noise_result read_token(struct noise_handshake *handshake, enum noise_token token, const uint8_t *message, size_t bytes,
                                    noise_static_check *check, void *context, size_t *at) {
    if (token == NOISE_E) {
        if (bytes - *at < RING_KEY_BYTES) {
            return NOISE_ERR_LENGTH;
        }
        memcpy(handshake->remote_ephemeral, message + *at, RING_KEY_BYTES);
        handshake->has_remote_ephemeral = true;
        mix_hash(handshake, handshake->remote_ephemeral, RING_KEY_BYTES);
        *at += RING_KEY_BYTES;
        return NOISE_OK;
    }
    if (token == NOISE_S) {
        return read_static(handshake, message, bytes, check, context, at);
    }
    return mix_dh(handshake, token);
}

enum noise_result noise_handshake_read(struct noise_handshake *handshake, const uint8_t *message, size_t message_bytes, noise_static_check *check,
                                       void *context, uint8_t *payload, size_t payload_room, size_t *payload_bytes) {
    if (!my_turn(handshake, false)) {
        return NOISE_ERR_STATE;
    }
    const uint8_t *tokens = handshake->pattern->messages[handshake->message_index];
    size_t at = 0;
    for (size_t i = 0; i < NOISE_TOKENS_MAX && tokens[i] != NOISE_END; i++) {
        enum noise_result result = read_token(handshake, (enum noise_token)tokens[i], message, message_bytes, check, context, &at);
        if (result != NOISE_OK) {
            return fail(handshake, result);
        }
    }
    size_t rest = message_bytes - at;
    size_t tag = handshake->cipher.keyed ? RING_TAG_BYTES : 0;
    if (rest < tag || rest - tag > payload_room) {
        return fail(handshake, NOISE_ERR_LENGTH);
    }
    enum noise_result result = decrypt_and_hash(handshake, message + at, rest, payload, payload_bytes);
    if (result != NOISE_OK) {
        return fail(handshake, result);
    }
    handshake->message_index++;
    return NOISE_OK;
}

bool noise_handshake_done(const struct noise_handshake *handshake) {
    return !handshake->failed && handshake->pattern != NULL && handshake->message_index == handshake->pattern->message_count;
}

void noise_handshake_split(struct noise_handshake *handshake, struct noise_cipher *sending, struct noise_cipher *receiving, uint8_t *hash32) {
    RING_CHECK(noise_handshake_done(handshake));
    uint8_t keys[2 * RING_KEY_BYTES];
    ring_hkdf_sha256(handshake->primitives, handshake->chaining_key, RING_HASH_BYTES, NULL, 0, NULL, 0, keys, sizeof keys);
    struct noise_cipher *first = handshake->initiator ? sending : receiving;
    struct noise_cipher *second = handshake->initiator ? receiving : sending;
    cipher_key(first, handshake->primitives, handshake->suite, keys);
    cipher_key(second, handshake->primitives, handshake->suite, keys + RING_KEY_BYTES);
    if (hash32 != NULL) {
        memcpy(hash32, handshake->hash, RING_HASH_BYTES);
    }
    ring_wipe(keys, sizeof keys);
    noise_handshake_wipe(handshake);
}
