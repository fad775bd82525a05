/* Strict Ed25519 on both back ends against every public vector that we have, and against libsodium's own answer about subgroups. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "bft/ed25519_table.h"
#include "bft/signer.h"
#include "tests/merkle/vectors.h"

enum { MESSAGE_MAX = 4096 };

/* Tables of multiples as if they were a library: all cases go through them, too, without the library's second word. */
static bool verify_by_table(const uint8_t key[32], const uint8_t *message, size_t count, const uint8_t signature[64]) {
    struct ed25519_table table;
    return ed25519_table_make(key, &table) && ed25519_table_verify(&table, key, message, count, signature);
}

static struct ed25519_backend backend_tables = {.name = "tables", .verify = verify_by_table};

static int start(void **state) {
    (void)state;
    backend_tables.expand = ed25519_backend_sodium.expand;
    backend_tables.sign = ed25519_backend_sodium.sign;
    return 0;
}

static const struct ed25519_backend *const backends[] = {
    &ed25519_backend_sodium,
    &backend_tables,
#ifndef LIBSODIUM_ALONE
    &ed25519_backend_boring,
#endif
};
enum { BACKENDS = sizeof backends / sizeof *backends };

/* E-2 and E-3 together: what a node that registered the key first would answer. */
static bool strict(const uint8_t key[32], const uint8_t *message, size_t count, const uint8_t *signature) {
    return ed25519_key_check(key) == ED25519_OK && ed25519_verify(key, message, count, signature) == ED25519_OK;
}

static void each_back_end_passes_the_self_test(void **state) {
    (void)state;
    for (size_t b = 0; b < BACKENDS; b++) {
        const char *failed = "none";
        if (!ed25519_self_test(backends[b], &failed)) fail_msg("%s: %s", backends[b]->name, failed);
        assert_null(failed);
    }
}

static bool always_yes(const uint8_t key[32], const uint8_t *message, size_t count, const uint8_t signature[64]) {
    (void)key, (void)message, (void)count, (void)signature;
    return true;
}

static bool always_no(const uint8_t key[32], const uint8_t *message, size_t count, const uint8_t signature[64]) {
    (void)key, (void)message, (void)count, (void)signature;
    return false;
}

static void sign_wrongly(const struct ed25519_secret *secret, const uint8_t *message, size_t count, uint8_t signature[64]) {
    ed25519_backend_sodium.sign(secret, message, count, signature);
    signature[40] ^= 1;
}

static void the_self_test_sees_a_library_that_changed_its_rule(void **state) {
    (void)state;
    const char *failed = NULL;
    struct ed25519_backend bad = ed25519_backend_sodium;
    bad.verify = always_yes;
    assert_false(ed25519_self_test(&bad, &failed));
    assert_non_null(failed);
    assert_false(ed25519_start(&bad));
    bad.verify = always_no;
    assert_false(ed25519_self_test(&bad, &failed));
    bad = ed25519_backend_sodium;
    bad.sign = sign_wrongly;
    assert_false(ed25519_self_test(&bad, &failed));
}

static void rfc_8032_signs_and_verifies(void **state) {
    (void)state;
    json_t *json = vectors_load("ed25519/rfc8032.json"), *test;
    size_t index;
    for (size_t b = 0; b < BACKENDS; b++) {
        assert_true(ed25519_start(backends[b]));
        assert_string_equal(ed25519_backend_name(), backends[b]->name);
        assert_int_equal(json_array_size(json_object_get(json, "tests")), 5);
        json_array_foreach(json_object_get(json, "tests"), index, test) {
            uint8_t seed[32], key[32], made[32], signature[64], signed_now[64];
            static uint8_t message[MESSAGE_MAX];
            size_t count = vectors_hex_of(test, "msg", message, sizeof message);
            assert_int_equal(vectors_hex_of(test, "seed", seed, 32), 32);
            assert_int_equal(vectors_hex_of(test, "pk", key, 32), 32);
            assert_int_equal(vectors_hex_of(test, "sig", signature, 64), 64);
            struct ed25519_secret secret;
            (void)!ed25519_secret_init(&secret, seed);
            ed25519_public_key(&secret, made);
            assert_memory_equal(made, key, 32);
            ed25519_sign(&secret, message, count, signed_now);
            assert_memory_equal(signed_now, signature, 64);
            assert_true(strict(key, message, count, signature));
            for (size_t bit = 0; bit < 8 * sizeof signature; bit += 3) { /* each byte; the self-test tries four */
                signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
                assert_false(strict(key, message, count, signature));
                signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
            ed25519_secret_wipe(&secret);
            for (size_t i = 0; i < sizeof secret.expanded; i++) assert_int_equal(secret.expanded[i], 0);
        }
    }
    json_decref(json);
}

static void the_first_128_of_sign_input_sign_and_verify(void **state) {
    (void)state;
    for (size_t b = 0; b < BACKENDS; b++) {
        assert_true(ed25519_start(backends[b]));
        FILE *file = fopen("tests/vectors/ed25519/sign_input_128.txt", "r");
        assert_non_null(file);
        static char line[8192];
        unsigned cases = 0;
        while (fgets(line, sizeof line, file)) {
            char *fields[4], *at = line;
            for (size_t i = 0; i < 4; i++) {
                fields[i] = at;
                at = strchr(at, ':');
                assert_non_null(at);
                *at++ = 0;
            }
            uint8_t seed_and_key[64], key[32], signed_message[64 + MESSAGE_MAX / 4], message[MESSAGE_MAX / 4], signature[64];
            assert_int_equal(vectors_hex(fields[0], seed_and_key, 64), 64);
            assert_int_equal(vectors_hex(fields[1], key, 32), 32);
            size_t count = vectors_hex(fields[2], message, sizeof message);
            assert_int_equal(vectors_hex(fields[3], signed_message, sizeof signed_message), 64 + count);
            struct ed25519_secret secret;
            (void)!ed25519_secret_init(&secret, seed_and_key);
            assert_memory_equal(secret.expanded, seed_and_key, 64);
            ed25519_sign(&secret, message, count, signature);
            assert_memory_equal(signature, signed_message, 64);
            assert_true(strict(key, message, count, signature));
            signature[cases % 64] ^= 0x10;
            assert_false(strict(key, message, count, signature));
            ed25519_secret_wipe(&secret);
            cases++;
        }
        fclose(file);
        assert_int_equal(cases, 128);
    }
}

static void torsion_cases_have_their_strict_answers(void **state) {
    (void)state;
    json_t *json = vectors_load("ed25519/strict_torsion.json"), *test;
    size_t index;
    for (size_t b = 0; b < BACKENDS; b++) {
        assert_true(ed25519_start(backends[b]));
        assert_int_equal(json_array_size(json_object_get(json, "tests")), 69);
        json_array_foreach(json_object_get(json, "tests"), index, test) {
            uint8_t key[32], signature[64], message[MESSAGE_MAX];
            size_t count = vectors_hex_of(test, "msg", message, sizeof message);
            assert_int_equal(vectors_hex_of(test, "pk", key, 32), 32);
            assert_int_equal(vectors_hex_of(test, "sig", signature, 64), 64);
            bool expected = json_is_true(json_object_get(test, "valid"));
            enum ed25519_error error = ed25519_verify(key, message, count, signature);
            assert_int_equal(strict(key, message, count, signature), expected);
            const char *flag = json_string_value(json_array_get(json_object_get(test, "flags"), 0));
            if (strcmp(flag, "small_order_R") == 0) assert_int_equal(error, ED25519_SMALL_ORDER_R);
            if (strcmp(flag, "S_out_of_range") == 0) assert_int_equal(error, ED25519_BAD_S);
            if (strcmp(flag, "torsion_R") == 0) assert_int_equal(error, ED25519_MISMATCH);
        }
        assert_int_equal(json_array_size(json_object_get(json, "keys")), 61);
        json_array_foreach(json_object_get(json, "keys"), index, test) {
            uint8_t key[32];
            assert_int_equal(vectors_hex_of(test, "pk", key, 32), 32);
            assert_int_equal(ed25519_key_check(key) == ED25519_OK, json_is_true(json_object_get(test, "valid")));
        }
    }
    json_decref(json);
}

static void speccheck_cases_have_their_strict_answers(void **state) {
    (void)state;
    json_t *cases = vectors_load("ed25519/speccheck_cases.json"), *expected = vectors_load("ed25519/strict_expected.json"), *test;
    json_t *with_key = json_object_get(expected, "speccheck_cases.json");
    json_t *rule_only = json_object_get(expected, "speccheck_cases.json_signature_rule_only");
    size_t index;
    for (size_t b = 0; b < BACKENDS; b++) {
        assert_true(ed25519_start(backends[b]));
        assert_int_equal(json_array_size(cases), 12);
        json_array_foreach(cases, index, test) {
            uint8_t key[32], signature[64], message[MESSAGE_MAX];
            size_t count = vectors_hex_of(test, "message", message, sizeof message);
            assert_int_equal(vectors_hex_of(test, "pub_key", key, 32), 32);
            assert_int_equal(vectors_hex_of(test, "signature", signature, 64), 64);
            assert_int_equal(strict(key, message, count, signature), json_is_true(json_array_get(with_key, index)));
            assert_int_equal(ed25519_verify(key, message, count, signature) == ED25519_OK, json_is_true(json_array_get(rule_only, index)));
        }
    }
    json_decref(cases);
    json_decref(expected);
}

static bool listed(const json_t *numbers, json_int_t number) {
    for (size_t i = 0; i < json_array_size(numbers); i++) {
        if (json_integer_value(json_array_get(numbers, i)) == number) return true;
    }
    return false;
}

static void cctv_cases_have_their_strict_answers(void **state) {
    (void)state;
    json_t *cases = vectors_load("ed25519/cctv_ed25519vectors.json"), *expected = vectors_load("ed25519/strict_expected.json"), *test;
    json_t *with_key = json_object_get(expected, "cctv_accept_numbers");
    json_t *rule_only = json_object_get(expected, "cctv_accept_numbers_signature_rule_only");
    size_t index;
    for (size_t b = 0; b < BACKENDS; b++) {
        assert_true(ed25519_start(backends[b]));
        assert_true(json_array_size(cases) > 900);
        json_array_foreach(cases, index, test) {
            uint8_t key[32], signature[64];
            const char *message = json_string_value(json_object_get(test, "msg"));
            json_int_t number = json_integer_value(json_object_get(test, "number"));
            assert_int_equal(vectors_hex_of(test, "key", key, 32), 32);
            assert_int_equal(vectors_hex_of(test, "sig", signature, 64), 64);
            const uint8_t *bytes = (const uint8_t *)message;
            assert_int_equal(strict(key, bytes, strlen(message), signature), listed(with_key, number));
            assert_int_equal(ed25519_verify(key, bytes, strlen(message), signature) == ED25519_OK, listed(rule_only, number));
        }
    }
    json_decref(cases);
    json_decref(expected);
}

static void wycheproof_cases_have_their_results(void **state) {
    (void)state;
    json_t *json = vectors_load("wycheproof/ed25519_test.json"), *group, *test;
    size_t index, inner, cases = 0;
    for (size_t b = 0; b < BACKENDS; b++) {
        assert_true(ed25519_start(backends[b]));
        json_array_foreach(json_object_get(json, "testGroups"), index, group) {
            uint8_t key[32];
            assert_int_equal(vectors_hex_of(json_object_get(group, "publicKey"), "pk", key, 32), 32);
            json_array_foreach(json_object_get(group, "tests"), inner, test) {
                uint8_t signature[256], message[MESSAGE_MAX];
                size_t count = vectors_hex_of(test, "msg", message, sizeof message);
                size_t length = vectors_hex_of(test, "sig", signature, sizeof signature);
                bool valid = length == 64 && strict(key, message, count, signature); /* E-3: 64 bytes, which our formats fix */
                assert_int_equal(valid, strcmp(json_string_value(json_object_get(test, "result")), "valid") == 0);
                cases++;
            }
        }
    }
    assert_int_equal(cases, BACKENDS * json_integer_value(json_object_get(json, "numberOfTests")));
    json_decref(json);
}

/* libsodium 1.0.18: is_valid_point() lets [L]A of order 2 pass, which [L - 1]A = -A does not. Two ways to one answer. */
static bool sodium_says_prime_order(const uint8_t key[32]) {
    static const uint8_t order_minus_1[32] = {0xec, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                              0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    uint8_t negative[32];
    if (crypto_core_ed25519_is_valid_point(key) != 1) return false;
    if (crypto_scalarmult_ed25519_noclamp(negative, order_minus_1, key) != 0) return false;
    negative[31] ^= 0x80;
    return memcmp(negative, key, 32) == 0;
}

static void our_subgroup_check_agrees_with_libsodium_on_random_points(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20260201);
    assert_true(ed25519_start(NULL));
    assert_string_equal(ed25519_backend_name(), "libsodium");
    unsigned on_curve = 0, prime = 0;
    for (unsigned i = 0; i < 1200; i++) {
        uint8_t key[32], seed[32], clamped[32];
        for (size_t j = 0; j < 4; j++) {
            uint64_t word = vectors_random(&random);
            memcpy(seed + 8 * j, &word, 8);
        }
        memcpy(key, seed, 32);
        if (i % 3 == 0) {
            struct ed25519_secret secret;
            (void)!ed25519_secret_init(&secret, seed);
            ed25519_public_key(&secret, key);
            if (i % 2) { /* plus a point of order 2, 4 or 8: a mixed one */
                static const uint8_t order_2[32] = {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
                assert_int_equal(crypto_core_ed25519_add(clamped, key, order_2), 0);
                memcpy(key, clamped, 32);
            }
            ed25519_secret_wipe(&secret);
        }
        enum ed25519_error error = ed25519_key_check(key);
        assert_int_equal(error == ED25519_OK, sodium_says_prime_order(key));
        on_curve += error == ED25519_OK || error == ED25519_KEY_NOT_PRIME_ORDER;
        prime += error == ED25519_OK;
    }
    assert_true(prime >= 200 && on_curve >= prime + 400); /* a random y is a point every other time, of prime order one time in eight of these */
}

static void every_tag_is_its_own(void **state) {
    (void)state;
    for (unsigned i = 0; i < SIGNER_TAG_COUNT; i++) {
        assert_memory_equal(signer_tag_bytes(i), "HRC ", 4);
        for (unsigned j = 0; j < i; j++) assert_memory_not_equal(signer_tag_bytes(i), signer_tag_bytes(j), SIGNER_TAG_BYTES);
    }
    assert_memory_equal(signer_tag_bytes(SIGNER_TAG_LAST_SIGNED), "HRC last-signed\0", 16);
    assert_memory_equal(signer_tag_bytes(SIGNER_TAG_NOOP), "HRC noop\0\0\0\0\0\0\0\0", 16);
}

static void the_signer_signs_for_its_key_only(void **state) {
    (void)state;
    assert_true(ed25519_start(NULL));
    uint8_t seed[32] = {1}, other_seed[32] = {2}, key[32], other_key[32], signature[64], bytes[20] = "HRC prepare";
    struct ed25519_secret secret, other;
    (void)!ed25519_secret_init(&secret, seed);
    (void)!ed25519_secret_init(&other, other_seed);
    ed25519_public_key(&secret, key);
    ed25519_public_key(&other, other_key);
    struct signer signer = signer_ed25519(&secret), verifier = signer_ed25519(NULL);
    signer.sign(signer.context, bytes, sizeof bytes, signature);
    assert_true(verifier.verify(verifier.context, key, bytes, sizeof bytes, signature));
    assert_false(verifier.verify(verifier.context, other_key, bytes, sizeof bytes, signature));
    bytes[4] ^= 1;
    assert_false(verifier.verify(verifier.context, key, bytes, sizeof bytes, signature));
    assert_true(verifier.key_check(verifier.context, key));
    assert_false(verifier.key_check(verifier.context, (const uint8_t[32]){1}));
    ed25519_secret_wipe(&secret);
    ed25519_secret_wipe(&other);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_back_end_passes_the_self_test),
        cmocka_unit_test(the_self_test_sees_a_library_that_changed_its_rule),
        cmocka_unit_test(rfc_8032_signs_and_verifies),
        cmocka_unit_test(the_first_128_of_sign_input_sign_and_verify),
        cmocka_unit_test(torsion_cases_have_their_strict_answers),
        cmocka_unit_test(speccheck_cases_have_their_strict_answers),
        cmocka_unit_test(cctv_cases_have_their_strict_answers),
        cmocka_unit_test(wycheproof_cases_have_their_results),
        cmocka_unit_test(our_subgroup_check_agrees_with_libsodium_on_random_points),
        cmocka_unit_test(every_tag_is_its_own),
        cmocka_unit_test(the_signer_signs_for_its_key_only),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
