/* Noise (revision 34) with 25519, SHA-256 and ChaChaPoly or AESGCM: handshake by pattern, transport ciphers with counters (L-10 to L-17).
 *
 * Contract: no heap, no I/O, no entropy, no clock. Caller-allocated states, wiped by the ..._wipe functions, which may be called at any time
 * and repeatedly on a state that was zeroed or initialised. A failed call leaves the handshake unusable (sticky).
 * The product uses noise_pattern_ik alone; a pattern is data, so that tests run others through the same code.
 *
 * Pattern IK:        <- s
 *                    ...
 *                    -> e, es, s, ss      96 bytes with an empty payload
 *                    <- e, ee, se         48 bytes with an empty payload */
#ifndef RING_NOISE_H
#define RING_NOISE_H

#include "ring/primitives.h"

#define NOISE_TOKENS_MAX 8
#define NOISE_MESSAGES_MAX 4
#define NOISE_PAYLOAD_BYTES_MAX 1024 /* in a handshake message; links use 0 (L-11) */
#define NOISE_REKEY_RECORDS 65536u   /* L-16: a direction is rekeyed before each record whose number is a multiple of this, 0 excepted */
#define NOISE_IK_FIRST_BYTES 96
#define NOISE_IK_SECOND_BYTES 48

enum noise_token { NOISE_END = 0, NOISE_E, NOISE_S, NOISE_EE, NOISE_ES, NOISE_SE, NOISE_SS };

struct noise_pattern {
    char name[8];                                           /* "IK" */
    bool initiator_static_known;                            /* pre-message -> s */
    bool responder_static_known;                            /* pre-message <- s */
    uint8_t messages[NOISE_MESSAGES_MAX][NOISE_TOKENS_MAX]; /* enum noise_token; ends at NOISE_END; the first is the initiator's */
    size_t message_count;
};

extern const struct noise_pattern noise_pattern_ik;

/* One direction's cipher: key and the number of the next record. */
struct noise_cipher {
    const struct ring_primitives *primitives;
    struct ring_aead aead;
    uint8_t key[RING_KEY_BYTES];
    uint64_t number; /* nonce of the next message */
    bool keyed;
};

struct noise_handshake {
    const struct ring_primitives *primitives;
    const struct noise_pattern *pattern;
    enum ring_suite suite;
    bool initiator;
    bool failed;
    bool has_static, has_remote_static, has_remote_ephemeral;
    size_t message_index; /* messages written and read so far */
    uint8_t chaining_key[RING_HASH_BYTES];
    uint8_t hash[RING_HASH_BYTES];
    uint8_t static_private[RING_KEY_BYTES], static_public[RING_KEY_BYTES];
    uint8_t ephemeral_private[RING_KEY_BYTES], ephemeral_public[RING_KEY_BYTES];
    uint8_t remote_static[RING_KEY_BYTES], remote_ephemeral[RING_KEY_BYTES];
    struct noise_cipher cipher;
};

enum noise_result {
    NOISE_OK = 0,
    NOISE_ERR_LENGTH,  /* a message too short or too long, or no room for the output */
    NOISE_ERR_AUTH,    /* a tag is wrong: forged, damaged, other prologue, other keys */
    NOISE_ERR_POINT,   /* a Diffie-Hellman result is all zero (L-12) */
    NOISE_ERR_REFUSED, /* the caller's check of the remote static key said no */
    NOISE_ERR_STATE,   /* failed before, wrong turn, handshake over, or records used up */
};

/* Called while a message is read, as soon as the remote static key is decrypted and before anything else is computed with it (L-13).
 * True lets the handshake go on. */
typedef bool noise_static_check(void *context, const uint8_t remote_static[RING_KEY_BYTES]);

struct noise_setup {
    const struct ring_primitives *primitives;
    const struct noise_pattern *pattern;
    enum ring_suite suite;
    bool initiator;
    const uint8_t *prologue;
    size_t prologue_bytes;
    const uint8_t *static_private;    /* RING_KEY_BYTES, or NULL where the pattern has none of mine */
    const uint8_t *static_public;     /* its public key, or NULL: then it is computed */
    const uint8_t *remote_static;     /* RING_KEY_BYTES, or NULL where the pattern does not know it beforehand */
    const uint8_t *ephemeral_private; /* RING_KEY_BYTES of fresh entropy, always; used once */
};

/* Begins a handshake. Copies what it needs. */
void noise_handshake_init(struct noise_handshake *handshake, const struct noise_setup *setup);

/* Writes my next message with the payload (payload_bytes <= NOISE_PAYLOAD_BYTES_MAX) into out; *out_bytes = its length <= out_room.
 * NOISE_OK, _ERR_LENGTH, _ERR_POINT, _ERR_STATE. */
enum noise_result noise_handshake_write(struct noise_handshake *handshake, const uint8_t *payload, size_t payload_bytes, uint8_t *out,
                                        size_t out_room, size_t *out_bytes) __attribute__((warn_unused_result));

/* Reads the other's next message, the whole of `bytes`. check may be NULL. The payload goes to payload (room for payload_room), its length to
 * *payload_bytes. Every error is possible. On an error nothing from the message may be used. */
enum noise_result noise_handshake_read(struct noise_handshake *handshake, const uint8_t *message, size_t message_bytes, noise_static_check *check,
                                       void *context, uint8_t *payload, size_t payload_room, size_t *payload_bytes)
    __attribute__((warn_unused_result));

/* True when all messages are written and read. */
bool noise_handshake_done(const struct noise_handshake *handshake);

/* After the last message: keys both directions (each all-zero or used before) and wipes the handshake. hash32 may be NULL; else gets the
 * handshake hash. */
void noise_handshake_split(struct noise_handshake *handshake, struct noise_cipher *sending, struct noise_cipher *receiving, uint8_t *hash32);

void noise_handshake_wipe(struct noise_handshake *handshake);

/* Seals one transport message: out gets plain_bytes + RING_TAG_BYTES; out == plain, or no overlap. Rekeys by L-16. NOISE_OK, _ERR_STATE. */
enum noise_result noise_cipher_seal(struct noise_cipher *cipher, const uint8_t *plain, size_t plain_bytes, uint8_t *out)
    __attribute__((warn_unused_result));

/* Opens one: sealed_bytes >= RING_TAG_BYTES, else NOISE_ERR_LENGTH; out == sealed, or no overlap.
 * After NOISE_ERR_AUTH the cipher is wiped
 * and every further call gives NOISE_ERR_STATE (L-15). */
enum noise_result noise_cipher_open(struct noise_cipher *cipher, const uint8_t *sealed, size_t sealed_bytes, uint8_t *out)
    __attribute__((warn_unused_result));

/* Noise REKEY at once; the counter goes on. Called by seal and open themselves; public for tests. */
void noise_cipher_rekey(struct noise_cipher *cipher);

void noise_cipher_wipe(struct noise_cipher *cipher);

#endif
