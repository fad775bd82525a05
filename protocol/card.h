/*
 * Cards: the public half of a node's, client's or administrator's keys, with proofs of possession (spec/system.md 7.2, rules S-10 to S-16).
 *
 * A card is made where its secrets are (protocol/keyfile.h) and is public. It has a binary form of fixed size per kind, which is hashed (0x0D: the
 * card's id, which is node_id, client_id or admin_id) and signed by each key in it, and a canonical JSON form, a file or an object in the system
 * file.
 *
 * What the proofs prove. signing_proof: whoever made the card held the secret of signing_key. noise_proof: held the secret of noise_key; the Noise
 * key is the Montgomery form of the Ed25519 key noise_proof_key, which signs the card once and nothing else ever, so this is a Schnorr proof of the
 * very scalar that Noise uses. owner_proof: the team behind owner_key agrees. Nobody can copy another's key into a card of his own.
 */
#ifndef PROTOCOL_CARD_H
#define PROTOCOL_CARD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/system_error.h"

enum card_kind { CARD_NODE = 1, CARD_CLIENT = 2, CARD_ADMIN = 3 };

enum {
    CARD_FORMAT = 1,
    CARD_NAME_BYTES_MAX = 32, /* 1 to 32 of [a-z0-9.-], the first a letter or digit */
    CARD_NODE_BYTES = 164,    /* binary form that is hashed and signed */
    CARD_CLIENT_BYTES = 132,
    CARD_ADMIN_BYTES = 68,
    CARD_BYTES_MAX = CARD_NODE_BYTES,
    CARD_NODE_PROVEN_BYTES = CARD_NODE_BYTES + 192, /* binary form, then its proofs: what administrative operations carry */
    CARD_CLIENT_PROVEN_BYTES = CARD_CLIENT_BYTES + 128,
    CARD_ADMIN_PROVEN_BYTES = CARD_ADMIN_BYTES + 64,
    CARD_PROVEN_BYTES_MAX = CARD_NODE_PROVEN_BYTES,
    CARD_FILE_BYTES_MAX = 8192
};

struct card {
    enum card_kind kind;
    char name[CARD_NAME_BYTES_MAX + 1];
    uint8_t signing_key[32];     /* Ed25519 */
    uint8_t noise_key[32];       /* X25519; zero for an administrator */
    uint8_t noise_proof_key[32]; /* Ed25519, maps to noise_key; zero for an administrator */
    uint8_t owner_key[32];       /* Ed25519, the node's team; zero unless a node */
    uint8_t signing_proof[64];
    uint8_t noise_proof[64];
    uint8_t owner_proof[64];
    uint8_t id[32]; /* SHA-256(0x0D | binary form): derived, filled in by every decoder */
};

/* 164, 132 or 68; 0 for no kind. */
size_t card_bytes(enum card_kind kind);
/* The same with the proofs. */
size_t card_proven_bytes(enum card_kind kind);

/* Writes the binary form; `out` has CARD_BYTES_MAX bytes. Returns its size. */
size_t card_encode(const struct card *card, uint8_t *out);
/* Binary form, then signing_proof, noise_proof, owner_proof as the kind has them; `out` has CARD_PROVEN_BYTES_MAX bytes. Returns the size. */
size_t card_encode_proven(const struct card *card, uint8_t *out);
/* Reads a proven card of exactly `count` bytes and of this kind, checks form, keys and proofs (about 0.2 ms a key). */
enum system_error card_decode_proven(struct card *card, enum card_kind kind, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* A node's without the owner's proof: binary form, signing_proof, noise_proof. */
enum system_error card_decode_unowned(struct card *card, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* Sets card->id. */
void card_identify(struct card *card);
/* Name, keys, proofs (S-14). */
enum system_error card_verify(const struct card *card, struct system_fault *fault) __attribute__((warn_unused_result));
/* The same of a node's card that its owner has not signed yet: all but owner_proof. */
enum system_error card_verify_unowned(const struct card *card, struct system_fault *fault) __attribute__((warn_unused_result));
/* 1 to 32 characters of [a-z0-9.-] that begin with a letter or digit. */
bool card_name_valid(const char *name);

/* The JSON object (a new reference that the caller owns; NULL without memory), and back: strict, each field named in the fault after `path`. Keys and
 * proofs are verified. */
json_t *card_to_json(const struct card *card);
enum system_error card_from_json(struct card *card, enum card_kind kind, const json_t *object, const char *path, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* A card file: canonical JSON (S-2). card_load() takes any kind when `kind` is 0. card_save() never overwrites. */
enum system_error card_load(struct card *card, int kind, const char *path, struct system_fault *fault) __attribute__((warn_unused_result));
enum system_error card_parse(struct card *card, int kind, const char *text, size_t text_bytes, struct system_fault *fault)
    __attribute__((warn_unused_result));
enum system_error card_save(const struct card *card, const char *path, struct system_fault *fault) __attribute__((warn_unused_result));

#endif
