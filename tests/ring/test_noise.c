/* ring/noise.h against the public Noise vectors (cacophony, snow, noise-c), for IK and for every other two-way pattern without PSK that they
 * have: the product uses IK alone, the others show that the code follows the specification and not one example. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ring/support.h"

static const struct noise_pattern patterns[] = {
    {"NN", false, false, {{NOISE_E}, {NOISE_E, NOISE_EE}}, 2},
    {"NK", false, true, {{NOISE_E, NOISE_ES}, {NOISE_E, NOISE_EE}}, 2},
    {"KK", true, true, {{NOISE_E, NOISE_ES, NOISE_SS}, {NOISE_E, NOISE_EE, NOISE_SE}}, 2},
    {"XK", false, true, {{NOISE_E, NOISE_ES}, {NOISE_E, NOISE_EE}, {NOISE_S, NOISE_SE}}, 3},
    {"XX", false, false, {{NOISE_E}, {NOISE_E, NOISE_EE, NOISE_S, NOISE_ES}, {NOISE_S, NOISE_SE}}, 3},
    {"IX", false, false, {{NOISE_E, NOISE_S}, {NOISE_E, NOISE_EE, NOISE_SE, NOISE_S, NOISE_ES}}, 2},
};

struct party {
    struct noise_handshake handshake;
    struct noise_cipher sending, receiving;
    uint8_t hash[32];
};

static const uint8_t *key_of(const json_t *vector, const char *name, uint8_t out[32]) {
    return support_hex_of(vector, name, out, 32) == 32 ? out : NULL;
}

static void party_init(struct party *party, const struct ring_primitives *primitives, const struct noise_pattern *pattern, enum ring_suite suite,
                       const json_t *vector, bool initiator) {
    uint8_t fixed[32];
    uint8_t ephemeral[32];
    uint8_t remote[32];
    uint8_t prologue[256];
    memset(party, 0, sizeof *party);
    struct noise_setup setup = {
        .primitives = primitives,
        .pattern = pattern,
        .suite = suite,
        .initiator = initiator,
        .prologue = prologue,
        .prologue_bytes = support_hex_of(vector, initiator ? "init_prologue" : "resp_prologue", prologue, sizeof prologue),
        .static_private = key_of(vector, initiator ? "init_static" : "resp_static", fixed),
        .remote_static = key_of(vector, initiator ? "init_remote_static" : "resp_remote_static", remote),
        .ephemeral_private = key_of(vector, initiator ? "init_ephemeral" : "resp_ephemeral", ephemeral),
    };
    noise_handshake_init(&party->handshake, &setup);
}

static void transfer(struct party *from, struct party *to, const json_t *message) {
    uint8_t payload[1024];
    uint8_t expected[2048];
    uint8_t got[2048];
    uint8_t back[2048];
    size_t bytes = 0;
    size_t back_bytes = 0;
    size_t payload_bytes = support_hex_of(message, "payload", payload, sizeof payload);
    size_t expected_bytes = support_hex_of(message, "ciphertext", expected, sizeof expected);
    if (from->handshake.pattern != NULL) {
        assert_int_equal(noise_handshake_write(&from->handshake, payload, payload_bytes, got, sizeof got, &bytes), NOISE_OK);
        assert_int_equal(noise_handshake_read(&to->handshake, got, bytes, NULL, NULL, back, sizeof back, &back_bytes), NOISE_OK);
        if (noise_handshake_done(&from->handshake)) {
            assert_true(noise_handshake_done(&to->handshake));
            noise_handshake_split(&from->handshake, &from->sending, &from->receiving, from->hash);
            noise_handshake_split(&to->handshake, &to->sending, &to->receiving, to->hash);
            assert_memory_equal(from->hash, to->hash, 32);
        }
    } else {
        bytes = payload_bytes + RING_TAG_BYTES;
        assert_int_equal(noise_cipher_seal(&from->sending, payload, payload_bytes, got), NOISE_OK);
        assert_int_equal(noise_cipher_open(&to->receiving, got, bytes, back), NOISE_OK);
        back_bytes = bytes - RING_TAG_BYTES;
    }
    assert_int_equal(bytes, expected_bytes);
    assert_memory_equal(got, expected, bytes);
    assert_int_equal(back_bytes, payload_bytes);
    assert_memory_equal(back, payload, payload_bytes);
}

static bool run_vector(const struct ring_primitives *primitives, const json_t *vector) {
    const char *name = json_string_value(json_object_get(vector, "protocol_name"));
    if (name == NULL) {
        name = json_string_value(json_object_get(vector, "name"));
    }
    const struct noise_pattern *pattern = NULL;
    enum ring_suite suite = strstr(name, "_AESGCM_") != NULL ? RING_SUITE_AESGCM : RING_SUITE_CHACHAPOLY;
    char wanted[64];
    for (size_t i = 0; i <= sizeof patterns / sizeof patterns[0]; i++) {
        const struct noise_pattern *candidate = i == 0 ? &noise_pattern_ik : &patterns[i - 1];
        snprintf(wanted, sizeof wanted, "Noise_%s_25519_%s_SHA256", candidate->name, suite == RING_SUITE_AESGCM ? "AESGCM" : "ChaChaPoly");
        if (strcmp(wanted, name) == 0) {
            pattern = candidate;
        }
    }
    if (pattern == NULL || !primitives->suite_available(suite)) {
        return false;
    }
    struct party parties[2];
    const json_t *message;
    size_t i;
    party_init(&parties[0], primitives, pattern, suite, vector, true);
    party_init(&parties[1], primitives, pattern, suite, vector, false);
    json_array_foreach(json_object_get(vector, "messages"), i, message) {
        transfer(&parties[i % 2], &parties[1 - i % 2], message);
    }
    uint8_t hash[32];
    if (support_hex_of(vector, "handshake_hash", hash, sizeof hash) == 32) {
        assert_memory_equal(parties[0].hash, hash, 32);
    }
    for (size_t p = 0; p < 2; p++) {
        noise_cipher_wipe(&parties[p].sending);
        noise_cipher_wipe(&parties[p].receiving);
    }
    return true;
}

static void run_file(const char *path) {
    const struct ring_primitives *ends[2] = {ring_primitives_default(), ring_primitives_sodium()};
    json_t *root = support_json(path);
    for (size_t e = 0; e < 2; e++) {
        const json_t *vector;
        size_t i;
        unsigned ran = 0;
        json_array_foreach(json_object_get(root, "vectors"), i, vector) {
            ran += run_vector(ends[e], vector);
        }
        printf("%s: %u handshakes with %s\n", path, ran, ends[e]->name);
        assert_int_equal(ran, ends[e]->suite_available(RING_SUITE_AESGCM) ? 14 : 7);
    }
    json_decref(root);
}

static void test_cacophony_vectors(void **state) {
    (void)state;
    run_file("tests/vectors/noise/cacophony.json");
}

static void test_snow_vectors(void **state) {
    (void)state;
    run_file("tests/vectors/noise/snow.json");
}

static void test_noise_c_vectors(void **state) {
    (void)state;
    run_file("tests/vectors/noise/noise-c-basic.json");
}

static void keyed(struct noise_cipher *sending, struct noise_cipher *receiving, enum ring_suite suite) {
    const struct ring_primitives *p = ring_primitives_default();
    struct noise_handshake a;
    struct noise_handshake b;
    struct noise_cipher unused[2];
    uint8_t one[32] = {1};
    uint8_t two[32] = {2};
    uint8_t message[128];
    size_t bytes = 0;
    size_t payload_bytes = 0;
    memset(sending, 0, sizeof *sending);
    memset(receiving, 0, sizeof *receiving);
    memset(unused, 0, sizeof unused);
    struct noise_setup setup = {.primitives = p, .pattern = &patterns[0], .suite = suite, .initiator = true, .ephemeral_private = one};
    noise_handshake_init(&a, &setup);
    setup.initiator = false;
    setup.ephemeral_private = two;
    noise_handshake_init(&b, &setup);
    assert_int_equal(noise_handshake_write(&a, NULL, 0, message, sizeof message, &bytes), NOISE_OK);
    assert_int_equal(noise_handshake_read(&b, message, bytes, NULL, NULL, message, sizeof message, &payload_bytes), NOISE_OK);
    assert_int_equal(noise_handshake_write(&b, NULL, 0, message, sizeof message, &bytes), NOISE_OK);
    assert_int_equal(noise_handshake_read(&a, message, bytes, NULL, NULL, message, sizeof message, &payload_bytes), NOISE_OK);
    noise_handshake_split(&a, sending, &unused[0], NULL);
    noise_handshake_split(&b, &unused[1], receiving, NULL);
    noise_cipher_wipe(&unused[0]);
    noise_cipher_wipe(&unused[1]);
}

static void test_key_changes_at_the_stated_record_and_not_before(void **state) {
    (void)state;
    for (int suite = RING_SUITE_CHACHAPOLY; suite <= RING_SUITE_AESGCM; suite++) {
        struct noise_cipher sending;
        struct noise_cipher receiving;
        uint8_t first[32];
        uint8_t text[4 + 16] = "abcd";
        keyed(&sending, &receiving, (enum ring_suite)suite);
        memcpy(first, sending.key, 32);
        for (uint32_t i = 0; i < 2 * NOISE_REKEY_RECORDS + 3; i++) {
            if (i == NOISE_REKEY_RECORDS) {
                assert_memory_equal(sending.key, first, 32);
            }
            assert_int_equal(noise_cipher_seal(&sending, text, 4, text), NOISE_OK);
            assert_int_equal(noise_cipher_open(&receiving, text, 20, text), NOISE_OK);
            assert_memory_equal(text, "abcd", 4);
            if (i == NOISE_REKEY_RECORDS) {
                /* REKEY(k): the first 32 bytes of ENCRYPT(k, 2^64-1, empty, zeros) */
                const struct ring_primitives *p = ring_primitives_sodium();
                static const uint8_t nonce[12] = {0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255};
                uint8_t zeros[32] = {0};
                uint8_t sealed[48];
                struct ring_aead aead = {0};
                if (p->suite_available((enum ring_suite)suite)) {
                    p->aead_init(&aead, (enum ring_suite)suite, first);
                    p->aead_seal(&aead, nonce, NULL, 0, zeros, 32, sealed);
                    assert_memory_equal(sending.key, sealed, 32);
                }
            }
        }
        noise_cipher_wipe(&sending);
        noise_cipher_wipe(&receiving);
    }
}

static void test_no_record_after_the_last_number(void **state) {
    (void)state;
    struct noise_cipher sending;
    struct noise_cipher receiving;
    uint8_t text[20] = "abcd";
    keyed(&sending, &receiving, RING_SUITE_CHACHAPOLY);
    sending.number = receiving.number = UINT64_MAX - 1;
    assert_int_equal(noise_cipher_seal(&sending, text, 4, text), NOISE_OK);
    assert_int_equal(noise_cipher_open(&receiving, text, 20, text), NOISE_OK);
    assert_int_equal(noise_cipher_seal(&sending, text, 4, text), NOISE_ERR_STATE);
    assert_int_equal(noise_cipher_open(&receiving, text, 20, text), NOISE_ERR_STATE);
    noise_cipher_wipe(&sending);
    noise_cipher_wipe(&receiving);
}

static void test_nothing_opens_after_a_forgery(void **state) {
    (void)state;
    struct noise_cipher sending;
    struct noise_cipher receiving;
    uint8_t good[20] = "abcd";
    uint8_t bad[20];
    uint8_t out[20];
    keyed(&sending, &receiving, RING_SUITE_AESGCM);
    assert_int_equal(noise_cipher_seal(&sending, good, 4, good), NOISE_OK);
    memcpy(bad, good, 20);
    bad[19] ^= 1;
    assert_int_equal(noise_cipher_open(&receiving, bad, 15, out), NOISE_ERR_LENGTH);
    assert_int_equal(noise_cipher_open(&receiving, bad, 20, out), NOISE_ERR_AUTH);
    assert_int_equal(noise_cipher_open(&receiving, good, 20, out), NOISE_ERR_STATE);
    noise_cipher_wipe(&sending);
}

static void test_small_order_points_are_refused(void **state) {
    (void)state;
    /* The eight encodings that X25519 maps to zero: 0, 1, two of order 8, p-1, p, p+1 (and the high bit is ignored). */
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000", "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "0000000000000000000000000000000000000000000000000000000000000080",
    };
    const struct ring_primitives *ends[2] = {ring_primitives_default(), ring_primitives_sodium()};
    for (size_t e = 0; e < 2; e++) {
        for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
            struct noise_handshake handshake;
            uint8_t one[32] = {1};
            uint8_t message[96];
            uint8_t payload[1];
            size_t bytes = 0;
            struct noise_setup setup = {
                .primitives = ends[e], .pattern = &noise_pattern_ik, .suite = RING_SUITE_CHACHAPOLY, .static_private = one, .ephemeral_private = one};
            memset(message, 7, sizeof message);
            support_hex(points[i], message, 32);
            noise_handshake_init(&handshake, &setup);
            assert_int_equal(noise_handshake_read(&handshake, message, sizeof message, NULL, NULL, payload, 0, &bytes), NOISE_ERR_POINT);
            assert_int_equal(noise_handshake_read(&handshake, message, sizeof message, NULL, NULL, payload, 0, &bytes), NOISE_ERR_STATE);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cacophony_vectors),
        cmocka_unit_test(test_snow_vectors),
        cmocka_unit_test(test_noise_c_vectors),
        cmocka_unit_test(test_key_changes_at_the_stated_record_and_not_before),
        cmocka_unit_test(test_no_record_after_the_last_number),
        cmocka_unit_test(test_nothing_opens_after_a_forgery),
        cmocka_unit_test(test_small_order_points_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
