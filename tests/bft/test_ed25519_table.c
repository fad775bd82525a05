/* Multiples of keys, kept (bft/ed25519_table.h): the same sums as libsodium's, for every kind of scalar and key; which keys get a table
 * (bft/ed25519_keys.h). The public vectors go through tables in test_ed25519.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "bft/ed25519_keys.h"
#include "bft/ed25519_lanes.h"
#include "bft/signer.h"
#include "tests/merkle/vectors.h"

enum { SETS = 2, PLACES = SETS * ED25519_KEYS_WAYS };

static const uint8_t order_minus_1[32] = {0xec, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                          0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};

static void random_fill(uint64_t *random, uint8_t *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = (uint8_t)vectors_random(random);
}

static unsigned random_below(uint64_t *random, unsigned bound) {
    return (unsigned)(vectors_random(random) % bound);
}

static void key_pair(uint64_t *random, struct ed25519_secret *secret, uint8_t key[32]) {
    uint8_t seed[32];
    random_fill(random, seed, sizeof seed);
    (void)!ed25519_secret_init(secret, seed);
    ed25519_public_key(secret, key);
}

/* Scalars at whose edges digits carry, and random ones: some bits, long runs of ones, few ones. */
static void scalar_choose(uint64_t *random, unsigned kind, uint8_t out[32]) {
    uint8_t wide[64];
    memset(out, 0, 32);
    switch (kind % 8) {
    case 0: return;
    case 1: out[0] = 1; return;
    case 2: memcpy(out, order_minus_1, 32); return;
    case 3: out[kind / 8 % 31] = (uint8_t)(1u << (kind / 256 % 8)); return;
    case 4: memset(out, 0xff, kind / 8 % 31 + 1); return;
    case 5: memset(out + kind / 8 % 31, 0xaa, 31 - kind / 8 % 31); return;
    default:
        random_fill(random, wide, sizeof wide);
        crypto_core_ed25519_scalar_reduce(out, wide);
        return;
    }
}

/* libsodium does not multiply by 0, and gives no neutral element. */
static void sodium_product(const uint8_t scalar[32], const uint8_t *point, uint8_t out[32]) {
    static const uint8_t neutral[32] = {1};
    memcpy(out, neutral, 32);
    if (sodium_is_zero(scalar, 32)) return;
    assert_int_equal(point ? crypto_scalarmult_ed25519_noclamp(out, scalar, point) : crypto_scalarmult_ed25519_base_noclamp(out, scalar), 0);
}

static struct ed25519_keys *keys_make(void) {
    struct ed25519_keys *keys = calloc(1, ed25519_keys_bytes(SETS));
    assert_non_null(keys);
    ed25519_keys_init(keys, SETS);
    return keys;
}

static void sums_are_those_of_libsodium(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20261127);
    assert_true(ed25519_start(NULL));
    for (unsigned k = 0; k < 40; k++) {
        struct ed25519_secret secret;
        struct ed25519_table table;
        uint8_t key[32];
        key_pair(&random, &secret, key);
        assert_true(ed25519_table_make(key, &table));
        for (unsigned i = 0; i < 64; i++) {
            uint8_t s[32], h[32], sb[32], ha[32], expected[32], got[32];
            scalar_choose(&random, 64 * k + i, s);
            scalar_choose(&random, 5 * i + k, h);
            sodium_product(s, NULL, sb);
            sodium_product(h, key, ha);
            assert_int_equal(crypto_core_ed25519_sub(expected, sb, ha), 0);
            ed25519_table_combine(&table, s, h, got);
            assert_memory_equal(got, expected, 32);
        }
        ed25519_secret_wipe(&secret);
    }
}

/* In lanes: each sum as if it were alone, in whatever company. */
static void sums_in_lanes_are_those_of_one(void **state) {
    (void)state;
    if (!ed25519_lanes_present()) skip();
    uint64_t random = vectors_seed(20261130);
    assert_true(ed25519_start(NULL));
    static struct ed25519_table tables[ED25519_LANES];
    for (unsigned k = 0; k < ED25519_LANES; k++) {
        struct ed25519_secret secret;
        uint8_t key[32];
        key_pair(&random, &secret, key);
        assert_true(ed25519_table_make(key, &tables[k]));
        ed25519_secret_wipe(&secret);
    }
    for (unsigned i = 0; i < 3000; i++) {
        struct ed25519_sum sums[ED25519_LANES];
        uint8_t expected[ED25519_LANES][32], got[ED25519_LANES][32];
        unsigned count = 1 + i % ED25519_LANES;
        for (unsigned lane = 0; lane < count; lane++) {
            uint8_t s[32], h[32];
            scalar_choose(&random, 3 * i + lane, s);
            scalar_choose(&random, 5 * i + 7 * lane, h);
            ed25519_table_sum(&tables[lane], s, h, &sums[lane]);
            ed25519_table_combine(&tables[lane], s, h, expected[lane]);
        }
        ed25519_lanes_combine(sums, count, got);
        for (unsigned lane = 0; lane < count; lane++) assert_memory_equal(got[lane], expected[lane], 32);
    }
}

/* E-4: of several signatures each is judged for itself, and the first bad one is named. */
static void of_several_signatures_the_first_bad_one_is_found(void **state) {
    (void)state;
    enum { MANY = 2 * ED25519_KEYS_WAYS + 3 };
    uint64_t random = vectors_seed(20261201);
    static struct ed25519_secret secrets[MANY];
    uint8_t keys_of[MANY][32], message[50], signatures[MANY][64];
    struct ed25519_signed list[MANY];
    struct ed25519_keys *keys = keys_make();
    random_fill(&random, message, sizeof message);
    for (unsigned i = 0; i < MANY; i++) {
        key_pair(&random, &secrets[i], keys_of[i]);
        ed25519_sign(&secrets[i], message, sizeof message, signatures[i]);
        list[i] = (struct ed25519_signed){.public_key = keys_of[i], .message = message, .message_bytes = sizeof message, .signature = signatures[i]};
        ed25519_secret_wipe(&secrets[i]);
    }
    for (unsigned round = 0; round < 2000; round++) {
        unsigned from = random_below(&random, MANY), count = random_below(&random, MANY - from + 1);
        assert_int_equal(ed25519_verify_often_each(keys, list + from, count), count);
        if (count == 0) continue;
        unsigned bad = random_below(&random, count), also = random_below(&random, count), bit = random_below(&random, 512);
        signatures[from + bad][bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (also != bad) signatures[from + also][40] ^= 1;
        assert_int_equal(ed25519_verify_often_each(keys, list + from, count), bad < also ? bad : also);
        signatures[from + bad][bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (also != bad) signatures[from + also][40] ^= 1;
    }
    free(keys);
}

static void any_changed_bit_is_refused(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20261128);
    struct ed25519_secret secret;
    struct ed25519_table table;
    uint8_t key[32], message[40], signature[64];
    key_pair(&random, &secret, key);
    random_fill(&random, message, sizeof message);
    ed25519_sign(&secret, message, sizeof message, signature);
    assert_true(ed25519_table_make(key, &table));
    assert_true(ed25519_table_verify(&table, key, message, sizeof message, signature));
    for (unsigned bit = 0; bit < 8 * sizeof signature; bit++) {
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (signature[63] < 0x20) assert_false(ed25519_table_verify(&table, key, message, sizeof message, signature)); /* S < 2^255 is the caller's */
        signature[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (unsigned bit = 0; bit < 8 * sizeof message; bit++) {
        message[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(ed25519_table_verify(&table, key, message, sizeof message, signature));
        message[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ed25519_secret_wipe(&secret);
}

static void what_is_no_point_has_no_table(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20261129);
    unsigned none = 0;
    for (unsigned i = 0; i < 200; i++) {
        struct ed25519_table table;
        uint8_t key[32];
        random_fill(&random, key, sizeof key);
        key[31] &= 0x3f;
        bool is_point = ed25519_key_check(key) != ED25519_KEY_NOT_A_POINT;
        assert_int_equal(ed25519_table_make(key, &table), is_point);
        none += !is_point;
    }
    assert_in_range(none, 60, 140);
}

static void a_key_has_a_table_when_it_is_asked_for_often(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20261130);
    struct ed25519_keys *keys = keys_make();
    struct ed25519_secret secret;
    struct ed25519_table expected;
    uint8_t key[32];
    key_pair(&random, &secret, key);
    assert_true(ed25519_table_make(key, &expected));
    for (unsigned i = 1; i < ED25519_KEYS_AFTER; i++) assert_null(ed25519_keys_table(keys, key));
    for (unsigned i = 0; i < 3; i++) {
        const struct ed25519_table *table = ed25519_keys_table(keys, key);
        assert_non_null(table);
        assert_memory_equal(table, &expected, sizeof expected);
    }
    ed25519_secret_wipe(&secret);
    free(keys);
}

static void the_key_that_was_used_longest_ago_gives_way(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20261131);
    struct ed25519_keys *keys = keys_make();
    struct ed25519_secret secret;
    uint8_t key[ED25519_KEYS_WAYS + 1][32];
    for (unsigned i = 0; i <= ED25519_KEYS_WAYS; i++) { /* all of one set */
        do key_pair(&random, &secret, key[i]);
        while (key[i][0] % SETS != 0);
        ed25519_secret_wipe(&secret);
    }
    for (unsigned i = 0; i < ED25519_KEYS_WAYS; i++) {
        for (unsigned times = 0; times < ED25519_KEYS_AFTER; times++) (void)ed25519_keys_table(keys, key[i]);
    }
    assert_non_null(ed25519_keys_table(keys, key[0])); /* so that [1] is the oldest now */
    assert_null(ed25519_keys_table(keys, key[ED25519_KEYS_WAYS]));
    assert_non_null(ed25519_keys_table(keys, key[0]));
    assert_non_null(ed25519_keys_table(keys, key[2]));
    assert_null(ed25519_keys_table(keys, key[1])); /* takes the place of [3], and begins anew */
    assert_null(ed25519_keys_table(keys, key[3]));
    free(keys);
}

static void the_signer_answers_alike_with_few_places_and_many_keys(void **state) {
    (void)state;
    enum { KEYS = 3 * PLACES };
    uint64_t random = vectors_seed(20261132);
    struct signer_often often = {.keys = keys_make()};
    struct signer signer = signer_ed25519_often(&often);
    static struct ed25519_secret secrets[KEYS];
    static uint8_t key[KEYS][32];
    for (unsigned i = 0; i < KEYS; i++) key_pair(&random, &secrets[i], key[i]);
    for (unsigned i = 0; i < 1500; i++) {
        uint8_t message[30], signature[64];
        unsigned at = (unsigned)(vectors_random(&random) % (i % 2 ? KEYS : 5));
        bool good = vectors_random(&random) % 3 > 0;
        random_fill(&random, message, sizeof message);
        ed25519_sign(&secrets[at], message, sizeof message, signature);
        if (!good) signature[vectors_random(&random) % 63] ^= 1;
        assert_int_equal(signer.verify(signer.context, key[at], message, sizeof message, signature), good);
        unsigned other = (at + 1) % KEYS; /* a signature of one key is none of another, whose table lies in the same place */
        assert_false(signer.verify(signer.context, key[other], message, sizeof message, signature));
    }
    for (unsigned i = 0; i < KEYS; i++) ed25519_secret_wipe(&secrets[i]);
    free(often.keys);
}

static void the_signer_signs_with_its_secret(void **state) {
    (void)state;
    uint64_t random = vectors_seed(20261133);
    struct ed25519_secret secret;
    uint8_t key[32], signature[64], expected[64];
    key_pair(&random, &secret, key);
    struct signer_often often = {.secret = &secret, .keys = keys_make()};
    struct signer signer = signer_ed25519_often(&often);
    signer.sign(signer.context, key, sizeof key, signature);
    ed25519_sign(&secret, key, sizeof key, expected);
    assert_memory_equal(signature, expected, sizeof signature);
    ed25519_secret_wipe(&secret);
    free(often.keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_libsodium),
        cmocka_unit_test(sums_in_lanes_are_those_of_one),
        cmocka_unit_test(of_several_signatures_the_first_bad_one_is_found),
        cmocka_unit_test(any_changed_bit_is_refused),
        cmocka_unit_test(what_is_no_point_has_no_table),
        cmocka_unit_test(a_key_has_a_table_when_it_is_asked_for_often),
        cmocka_unit_test(the_key_that_was_used_longest_ago_gives_way),
        cmocka_unit_test(the_signer_answers_alike_with_few_places_and_many_keys),
        cmocka_unit_test(the_signer_signs_with_its_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
