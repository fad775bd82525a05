/*
 * The strict rule of spec/trees.md (E-2, E-3), whichever library does the arithmetic.
 */
#include "bft/ed25519.h"

#include <sodium.h>
#include <string.h>

#include "bft/ed25519_keys.h"
#include "bft/ed25519_point.h"
#include "merkle/check.h"

/* L, little-endian. */
static const uint8_t group_order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                        0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

/* p = 2^255 - 19, little-endian. */
static const uint8_t field_order[32] = {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};

/* E-1: the eight canonical encodings of the points whose order divides 8. */
static const uint8_t small_order[8][32] = {
    {0x01},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0x00},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x85},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0xfa},
};

static const struct ed25519_backend *selected;

const char *ed25519_error_name(enum ed25519_error error) {
    switch (error) {
    case ED25519_OK: return "ok";
    case ED25519_BAD_S: return "bad_s";
    case ED25519_SMALL_ORDER_R: return "small_order_r";
    case ED25519_KEY_NOT_CANONICAL: return "key_not_canonical";
    case ED25519_KEY_SMALL_ORDER: return "key_small_order";
    case ED25519_KEY_NOT_A_POINT: return "key_not_a_point";
    case ED25519_KEY_NOT_PRIME_ORDER: return "key_not_prime_order";
    case ED25519_MISMATCH: return "mismatch";
    }
    return "unknown";
}

bool ed25519_start(const struct ed25519_backend *backend) {
    if (sodium_init() < 0) return false;
    if (!backend) backend = &ed25519_backend_sodium;
    if (!ed25519_self_test(backend, NULL)) return false;
    selected = backend;
    return true;
}

const char *ed25519_backend_name(void) {
    CHECK(selected);
    return selected->name;
}

/* a < b, both 256-bit little-endian. */
static bool less(const uint8_t a[32], const uint8_t b[32]) {
    for (unsigned i = 32; i-- > 0;) {
        if (a[i] != b[i]) return a[i] < b[i];
    }
    return false;
}

static bool is_small_order(const uint8_t encoding[32]) {
    for (unsigned i = 0; i < 8; i++) {
        if (memcmp(encoding, small_order[i], 32) == 0) return true;
    }
    return false;
}

/* E-2a: y < p, and not x = 0 (y = 1 or y = -1) with the sign bit set. */
static bool is_canonical(const uint8_t encoding[32]) {
    uint8_t y[32];
    memcpy(y, encoding, 32);
    y[31] &= 0x7f;
    if (!less(y, field_order)) return false;
    bool x_is_zero = memcmp(y, small_order[0], 32) == 0 || memcmp(y, small_order[1], 32) == 0;
    return !(x_is_zero && encoding[31] >> 7);
}

enum ed25519_error ed25519_key_check(const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES]) {
    if (!is_canonical(public_key)) return ED25519_KEY_NOT_CANONICAL;
    if (is_small_order(public_key)) return ED25519_KEY_SMALL_ORDER;
    switch (ed25519_point_classify(public_key)) {
    case ED25519_POINT_NONE: return ED25519_KEY_NOT_A_POINT;
    case ED25519_POINT_OTHER: return ED25519_KEY_NOT_PRIME_ORDER;
    case ED25519_POINT_PRIME_ORDER: break;
    }
    return ED25519_OK;
}

/* E-3a to E-3c. */
static enum ed25519_error form_check(const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES], const uint8_t signature[ED25519_SIGNATURE_BYTES]) {
    if (!less(signature + 32, group_order)) return ED25519_BAD_S;
    if (is_small_order(signature)) return ED25519_SMALL_ORDER_R;
    if (!is_canonical(public_key)) return ED25519_KEY_NOT_CANONICAL;
    if (is_small_order(public_key)) return ED25519_KEY_SMALL_ORDER;
    return ED25519_OK;
}

static enum ed25519_error verify_with(const struct ed25519_backend *backend, const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES],
                                      const uint8_t *message, size_t message_bytes, const uint8_t signature[ED25519_SIGNATURE_BYTES]) {
    enum ed25519_error error = form_check(public_key, signature);
    if (error != ED25519_OK) return error;
    return backend->verify(public_key, message, message_bytes, signature) ? ED25519_OK : ED25519_MISMATCH;
}

enum ed25519_error ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES], const uint8_t *message, size_t message_bytes,
                                  const uint8_t signature[ED25519_SIGNATURE_BYTES]) {
    CHECK(selected);
    return verify_with(selected, public_key, message, message_bytes, signature);
}

enum ed25519_error ed25519_verify_often(struct ed25519_keys *keys, const uint8_t public_key[ED25519_PUBLIC_KEY_BYTES], const uint8_t *message,
                                        size_t message_bytes, const uint8_t signature[ED25519_SIGNATURE_BYTES]) {
    CHECK(selected);
    enum ed25519_error error = form_check(public_key, signature);
    if (error != ED25519_OK) return error;
    const struct ed25519_table *table = ed25519_keys_table(keys, public_key);
    if (table && ed25519_table_verify(table, public_key, message, message_bytes, signature)) return ED25519_OK;
    return selected->verify(public_key, message, message_bytes, signature) ? ED25519_OK : ED25519_MISMATCH;
}

/* Tables stay good for as many keys as a set has ways: of more, one may have taken another's place meanwhile. */
static unsigned some_verify(struct ed25519_keys *keys, const struct ed25519_signed *list, unsigned count) {
    const struct ed25519_table *tables[ED25519_KEYS_WAYS];
    bool good[ED25519_KEYS_WAYS];
    unsigned known = 0;
    while (known < count && form_check(list[known].public_key, list[known].signature) == ED25519_OK) {
        tables[known] = ed25519_keys_table(keys, list[known].public_key);
        if (!tables[known]) break;
        known++;
    }
    ed25519_table_verify_each(tables, list, known, good);
    for (unsigned i = 0; i < count; i++) {
        const struct ed25519_signed *one = &list[i];
        if (i < known && good[i]) continue;
        if (ed25519_verify_often(keys, one->public_key, one->message, one->message_bytes, one->signature) != ED25519_OK) return i;
    }
    return count;
}

unsigned ed25519_verify_often_each(struct ed25519_keys *keys, const struct ed25519_signed *list, unsigned count) {
    CHECK(selected);
    for (unsigned at = 0; at < count; at += ED25519_KEYS_WAYS) {
        unsigned some = count - at < ED25519_KEYS_WAYS ? count - at : ED25519_KEYS_WAYS;
        unsigned bad = some_verify(keys, list + at, some);
        if (bad < some) return at + bad;
    }
    return count;
}

bool ed25519_secret_init(struct ed25519_secret *secret, const uint8_t seed[ED25519_SEED_BYTES]) {
    CHECK(selected);
    bool locked = sodium_mlock(secret, sizeof *secret) == 0;
    selected->expand(seed, secret);
    return locked;
}

void ed25519_secret_wipe(struct ed25519_secret *secret) {
    (void)sodium_munlock(secret, sizeof *secret); /* also wipes; unlocking what was not locked is no error */
    sodium_memzero(secret, sizeof *secret);
}

void ed25519_public_key(const struct ed25519_secret *secret, uint8_t out[ED25519_PUBLIC_KEY_BYTES]) {
    memcpy(out, secret->expanded + 32, ED25519_PUBLIC_KEY_BYTES);
}

void ed25519_sign(const struct ed25519_secret *secret, const uint8_t *message, size_t message_bytes, uint8_t signature[ED25519_SIGNATURE_BYTES]) {
    CHECK(selected);
    selected->sign(secret, message, message_bytes, signature);
}

void ed25519_wipe(void *secret, size_t bytes) {
    sodium_memzero(secret, bytes);
}

/* The start-up self-test: tables in ed25519_self_test.h. */

#include "bft/ed25519_self_test.h"

/* By a table alone, without the library's second word; in company too, which must not matter. */
static enum ed25519_error verify_by_table(const struct signature_case *c) {
    struct ed25519_table table;
    enum ed25519_error error = form_check(c->public_key, c->signature);
    if (error != ED25519_OK) return error;
    if (!ed25519_table_make(c->public_key, &table)) return ED25519_MISMATCH;
    bool good = ed25519_table_verify(&table, c->public_key, c->message, c->message_bytes, c->signature);
    struct ed25519_signed one = {.public_key = c->public_key, .message = c->message, .message_bytes = c->message_bytes, .signature = c->signature};
    const struct ed25519_table *tables[3] = {&table, &table, &table};
    struct ed25519_signed list[3] = {one, one, one};
    bool each[3];
    list[1].message_bytes = 0;
    ed25519_table_verify_each(tables, list, 3, each);
    bool alike = each[0] == good && each[1] == (good && c->message_bytes == 0) && each[2] == good;
    return good && alike ? ED25519_OK : !good && alike ? ED25519_MISMATCH : ED25519_BAD_S;
}

static const char *self_test_signatures(const struct ed25519_backend *backend) {
    for (size_t i = 0; i < sizeof signature_cases / sizeof *signature_cases; i++) {
        const struct signature_case *c = &signature_cases[i];
        enum ed25519_error error = verify_with(backend, c->public_key, c->message, c->message_bytes, c->signature);
        if (error != c->expected || verify_by_table(c) != c->expected) return c->name;
    }
    return NULL;
}

static const char *self_test_keys(void) {
    for (size_t i = 0; i < sizeof key_cases / sizeof *key_cases; i++) {
        if (ed25519_key_check(key_cases[i].public_key) != key_cases[i].expected) return key_cases[i].name;
    }
    for (size_t i = 0; i < 8; i++) {
        if (ed25519_key_check(small_order[i]) != ED25519_KEY_SMALL_ORDER) return "small order point as a key";
    }
    return NULL;
}

/* At each start a bit at both ends of R and of S is changed: all 64 bytes, which tests/bft/test_ed25519.c has, were most of a program's start. */
static const char *self_test_signing(const struct ed25519_backend *backend) {
    static const uint8_t ends[] = {0, 31, 32, 63};
    for (size_t i = 0; i < sizeof signing_cases / sizeof *signing_cases; i++) {
        const struct signing_case *c = &signing_cases[i];
        struct ed25519_secret secret;
        uint8_t signature[ED25519_SIGNATURE_BYTES];
        backend->expand(c->seed, &secret);
        backend->sign(&secret, c->message, c->message_bytes, signature);
        bool right = memcmp(secret.expanded + 32, c->public_key, 32) == 0 && memcmp(signature, c->signature, sizeof signature) == 0;
        sodium_memzero(&secret, sizeof secret);
        if (!right) return c->name;
        if (verify_with(backend, c->public_key, c->message, c->message_bytes, signature) != ED25519_OK) return c->name;
        for (size_t e = 0; e < sizeof ends; e++) {
            signature[ends[e]] ^= 1;
            if (verify_with(backend, c->public_key, c->message, c->message_bytes, signature) == ED25519_OK) return "one bit of a signature changed";
            signature[ends[e]] ^= 1;
        }
    }
    return NULL;
}

bool ed25519_self_test(const struct ed25519_backend *backend, const char **failed_case) {
    const char *failed = sodium_init() < 0 ? "libsodium does not start" : NULL;
    if (!failed && !selected) ed25519_table_start(); /* else it was started */
    if (!failed) failed = self_test_signatures(backend);
    if (!failed) failed = self_test_keys();
    if (!failed) failed = self_test_signing(backend);
    if (failed_case) *failed_case = failed;
    return failed == NULL;
}
