/*
 * Ed25519, strict and cofactorless (spec/trees.md, E-rules).
 *
 * Purpose
 *   Libraries disagree on signatures at the edges (169 of 1,065 public cases between the two that we use). Nodes that disagree on one signature
 *   fork or stall, so the rule is written in bytes and checked here, whichever library does the arithmetic.
 *
 * Contract
 *   ed25519_verify() accepts iff (E-3) the signature has 64 bytes R | S; S < L; R and A are none of the eight canonical encodings of points of
 *   small order; A is canonical and decodes; and the encoding of [S]B - [h]A equals R byte for byte, h = SHA-512(R | A | message) mod L. It does
 *   not repeat the check that A lies in the prime-order subgroup: that is ed25519_key_check() (E-2), made once, when a key is registered, together
 *   with its proof of possession. No batch verification. The time of verification depends on public data only; signing is constant time (both
 *   libraries).
 *
 *   Call ed25519_start() once before anything else, from one thread; after it all functions may be used from any thread.
 *
 * Limits
 *   Messages of any length; all of the protocol's are short.
 */
#ifndef BFT_ED25519_H
#define BFT_ED25519_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ed25519_keys; /* ed25519_keys.h */

enum { ED25519_SEED_BYTES = 32, ED25519_PUBLIC_KEY_BYTES = 32, ED25519_SIGNATURE_BYTES = 64 };

/* In the order in which they are checked; the first that applies is the answer. */
enum ed25519_error {
    ED25519_OK = 0,
    ED25519_BAD_S,               /* E-3a: S >= L */
    ED25519_SMALL_ORDER_R,       /* E-3b */
    ED25519_KEY_NOT_CANONICAL,   /* E-2a: y >= p, or x = 0 with the sign bit set */
    ED25519_KEY_SMALL_ORDER,     /* E-2b */
    ED25519_KEY_NOT_A_POINT,     /* E-2c: y is no point's (ed25519_key_check only; ed25519_verify answers ED25519_MISMATCH) */
    ED25519_KEY_NOT_PRIME_ORDER, /* E-2d: [L]A is not the neutral element (ed25519_key_check only) */
    ED25519_MISMATCH,            /* E-3d: encode([S]B - [h]A) is not R */
};

const char *ed25519_error_name(enum ed25519_error error);

/* A signing key, expanded. Lies in the owner's memory; lock it in place, wipe it when done, never copy it. */
struct ed25519_secret {
    uint8_t expanded[64]; /* seed | public key */
};

/* The arithmetic of one library. `verify` need only be right for inputs that passed the checks of E-3a to E-3c, which are ours. */
struct ed25519_backend {
    const char *name;
    void (*expand)(const uint8_t seed[ED25519_SEED_BYTES], struct ed25519_secret *secret);
    void (*sign)(const struct ed25519_secret *secret, const uint8_t *message, size_t message_bytes, uint8_t signature[ED25519_SIGNATURE_BYTES]);
    bool (*verify)(const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES], const uint8_t *message, size_t message_bytes,
                   const uint8_t signature[ED25519_SIGNATURE_BYTES]);
};

extern const struct ed25519_backend ed25519_backend_sodium;
extern const struct ed25519_backend ed25519_backend_boring; /* not in a program that is built with libsodium alone */

/* Initialises the library, selects the back end (NULL: the default, libsodium, the faster one by tests/bench/bench_ed25519_main.c) and runs its
 * self-test. False if the library cannot start or the self-test fails: then sign nothing, stop. May be called again with another back end (tests);
 * not while others verify. */
bool ed25519_start(const struct ed25519_backend *backend) __attribute__((warn_unused_result));
const char *ed25519_backend_name(void);

/* Embedded vectors for each clause of E-2 and E-3, acceptance and refusal, and signing, on the given back end. On failure *failed_case (if not
 * NULL) names the first case that went wrong. */
bool ed25519_self_test(const struct ed25519_backend *backend, const char **failed_case) __attribute__((warn_unused_result));

/* E-2: is this public key one that may be registered? All four clauses. About 0.1 ms. */
enum ed25519_error ed25519_key_check(const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES]) __attribute__((warn_unused_result));

/* E-3. */
enum ed25519_error ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES], const uint8_t *message, size_t message_bytes,
                                  const uint8_t signature[ED25519_SIGNATURE_BYTES]) __attribute__((warn_unused_result));

/* A signature, whose it is said to be, and what of. */
struct ed25519_signed {
    const uint8_t *public_key; /* ED25519_PUBLIC_KEY_BYTES */
    const uint8_t *message;
    size_t message_bytes;
    const uint8_t *signature; /* ED25519_SIGNATURE_BYTES */
};

/* The same, sooner for keys that are asked for often. A table's yes is final: it found the bytes of R. Its no is asked of the library again, so that
 * two nodes, of which one has a table, cannot refuse differently. */
enum ed25519_error ed25519_verify_often(struct ed25519_keys *keys, const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES], const uint8_t *message,
                                        size_t message_bytes, const uint8_t signature[ED25519_SIGNATURE_BYTES]) __attribute__((warn_unused_result));

/* The same of several, sooner where the processor can. Each is judged for itself, as ed25519_verify_often() would (E-4); the index of the first that
 * is not ED25519_OK, or count. */
unsigned ed25519_verify_often_each(struct ed25519_keys *keys, const struct ed25519_signed *list, unsigned count)
    __attribute__((warn_unused_result));

/* Expands a seed in place and locks the secret in memory. False if the memory could not be locked (a small memlock limit): the key works all the
 * same, the caller says so in the log. The seed is the caller's to wipe (ed25519_wipe). */
bool ed25519_secret_init(struct ed25519_secret *secret, const uint8_t seed[ED25519_SEED_BYTES]) __attribute__((warn_unused_result));
void ed25519_secret_wipe(struct ed25519_secret *secret);
void ed25519_public_key(const struct ed25519_secret *secret, uint8_t out[ED25519_PUBLIC_KEY_BYTES]);
void ed25519_sign(const struct ed25519_secret *secret, const uint8_t *message, size_t message_bytes, uint8_t signature[ED25519_SIGNATURE_BYTES]);
/* Overwrites with zeros in a way that the compiler keeps. */
void ed25519_wipe(void *secret, size_t bytes);

#endif
