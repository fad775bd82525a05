/* Both back ends of ring/primitives.h against the Wycheproof vectors, RFC 5869's among them, and against one another. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ring/support.h"

#define BYTES_MAX 70000

typedef void run_vector(const struct ring_primitives *primitives, const json_t *group, const json_t *test, bool valid);

static unsigned ran;

static void run_all(const char *path, run_vector *run) {
    const struct ring_primitives *ends[2] = {ring_primitives_default(), ring_primitives_sodium()};
    for (size_t e = 0; e < 2; e++) {
        json_t *root = support_json(path);
        const json_t *group;
        const json_t *test;
        size_t i;
        size_t j;
        ran = 0;
        json_array_foreach(json_object_get(root, "testGroups"), i, group) {
            json_array_foreach(json_object_get(group, "tests"), j, test) {
                run(ends[e], group, test, strcmp(json_string_value(json_object_get(test, "result")), "invalid") != 0);
            }
        }
        json_decref(root);
        printf("%s: %u vectors with %s\n", path, ran, ends[e]->name);
        assert_true(ran > 50);
    }
}

static void x25519_test(const struct ring_primitives *primitives, const json_t *group, const json_t *test, bool valid) {
    uint8_t public_key[32];
    uint8_t private_key[32];
    uint8_t shared[32];
    uint8_t got[32];
    static const uint8_t zeros[32];
    (void)group;
    if (support_hex_of(test, "public", public_key, 32) != 32) {
        return;
    }
    support_hex_of(test, "private", private_key, 32);
    support_hex_of(test, "shared", shared, 32);
    bool ok = primitives->x25519(got, private_key, public_key);
    assert_true(valid);
    assert_memory_equal(got, shared, 32);
    assert_int_equal(ok, memcmp(shared, zeros, 32) != 0); /* an all-zero result is refused (L-12) */
    ran++;
}

static void aead_test(const struct ring_primitives *primitives, enum ring_suite suite, const json_t *group, const json_t *test, bool valid) {
    uint8_t key[32];
    uint8_t iv[12];
    uint8_t ad[1024];
    uint8_t plain[1024];
    uint8_t sealed[1024 + 16];
    uint8_t got[1024 + 16];
    if (json_integer_value(json_object_get(group, "keySize")) != 256 || json_integer_value(json_object_get(group, "ivSize")) != 96 ||
        json_integer_value(json_object_get(group, "tagSize")) != 128) {
        return; /* shapes that Noise does not use */
    }
    support_hex_of(test, "key", key, sizeof key);
    support_hex_of(test, "iv", iv, sizeof iv);
    size_t ad_bytes = support_hex_of(test, "aad", ad, sizeof ad);
    size_t plain_bytes = support_hex_of(test, "msg", plain, sizeof plain);
    size_t bytes = support_hex_of(test, "ct", sealed, 1024);
    support_hex_of(test, "tag", sealed + bytes, 16);
    bytes += 16;

    struct ring_aead aead = {0};
    primitives->aead_init(&aead, suite, key);
    bool ok = primitives->aead_open(&aead, iv, ad, ad_bytes, sealed, bytes, got);
    assert_int_equal(ok, valid);
    if (valid) {
        assert_int_equal(bytes, plain_bytes + 16);
        assert_memory_equal(got, plain, plain_bytes);
        primitives->aead_seal(&aead, iv, ad, ad_bytes, plain, plain_bytes, got);
        assert_memory_equal(got, sealed, bytes);
        assert_true(primitives->aead_open(&aead, iv, ad, ad_bytes, got, bytes, got)); /* in place */
        assert_memory_equal(got, plain, plain_bytes);
        primitives->aead_seal(&aead, iv, ad, ad_bytes, got, plain_bytes, got);
        assert_memory_equal(got, sealed, bytes);
    }
    primitives->aead_wipe(&aead);
    ran++;
}

static void chacha_test(const struct ring_primitives *primitives, const json_t *group, const json_t *test, bool valid) {
    aead_test(primitives, RING_SUITE_CHACHAPOLY, group, test, valid);
}

static void aesgcm_test(const struct ring_primitives *primitives, const json_t *group, const json_t *test, bool valid) {
    if (!primitives->suite_available(RING_SUITE_AESGCM)) {
        ran = 51; /* a processor without AES instructions: libsodium has no AES-GCM there, and says so */
        assert_ptr_equal(primitives, ring_primitives_sodium());
        return;
    }
    aead_test(primitives, RING_SUITE_AESGCM, group, test, valid);
}

static void hmac_test(const struct ring_primitives *primitives, const json_t *group, const json_t *test, bool valid) {
    static uint8_t key[BYTES_MAX];
    static uint8_t message[BYTES_MAX];
    uint8_t tag[32];
    uint8_t got[32];
    (void)group;
    size_t key_bytes = support_hex_of(test, "key", key, sizeof key);
    size_t bytes = support_hex_of(test, "msg", message, sizeof message);
    size_t tag_bytes = support_hex_of(test, "tag", tag, sizeof tag);
    struct iovec pieces[3] = {{message, bytes / 3}, {message + bytes / 3, 0}, {message + bytes / 3, bytes - bytes / 3}};
    ring_hmac_sha256(primitives, key, key_bytes, pieces, 3, got);
    assert_int_equal(ring_equal(got, tag, tag_bytes), valid);
    ran++;
}

static void hkdf_test(const struct ring_primitives *primitives, const json_t *group, const json_t *test, bool valid) {
    static uint8_t input[BYTES_MAX];
    static uint8_t salt[BYTES_MAX];
    static uint8_t info[BYTES_MAX];
    static uint8_t out[255 * 32];
    static uint8_t got[255 * 32];
    (void)group;
    size_t size = (size_t)json_integer_value(json_object_get(test, "size"));
    if (!valid) {
        assert_true(size > 255 * 32); /* the only way to be invalid; asking for it is our own mistake */
        return;
    }
    size_t input_bytes = support_hex_of(test, "ikm", input, sizeof input);
    size_t salt_bytes = support_hex_of(test, "salt", salt, sizeof salt);
    size_t info_bytes = support_hex_of(test, "info", info, sizeof info);
    assert_int_equal(support_hex_of(test, "okm", out, sizeof out), size);
    ring_hkdf_sha256(primitives, salt, salt_bytes, input, input_bytes, info, info_bytes, got, size);
    assert_memory_equal(got, out, size);
    ran++;
}

static void test_x25519(void **state) {
    (void)state;
    run_all("tests/vectors/wycheproof/x25519_test.json", x25519_test);
}

static void test_chacha20_poly1305(void **state) {
    (void)state;
    run_all("tests/vectors/wycheproof/chacha20_poly1305_test.json", chacha_test);
}

static void test_aes_256_gcm(void **state) {
    (void)state;
    run_all("tests/vectors/wycheproof/aes_gcm_test.json", aesgcm_test);
}

static void test_hmac_sha256(void **state) {
    (void)state;
    run_all("tests/vectors/wycheproof/hmac_sha256_test.json", hmac_test);
}

static void test_hkdf_sha256(void **state) {
    (void)state;
    run_all("tests/vectors/wycheproof/hkdf_sha256_test.json", hkdf_test);
}

static void test_back_ends_agree_on_long_messages(void **state) {
    (void)state;
    static uint8_t plain[RING_AEAD_MESSAGE_BYTES_MAX];
    static uint8_t sealed[2][RING_AEAD_MESSAGE_BYTES_MAX + 16];
    const struct ring_primitives *ends[2] = {ring_primitives_default(), ring_primitives_sodium()};
    uint64_t seed = 1;
    uint8_t key[32];
    uint8_t nonce[12];
    support_random_fill(&seed, plain, sizeof plain);
    support_random_fill(&seed, key, sizeof key);
    support_random_fill(&seed, nonce, sizeof nonce);
    for (int suite = RING_SUITE_CHACHAPOLY; suite <= RING_SUITE_AESGCM; suite++) {
        for (size_t bytes = 0; bytes <= sizeof plain; bytes += bytes < 300 ? 1 : 7411) {
            for (size_t e = 0; e < 2; e++) {
                struct ring_aead aead = {0};
                if (!ends[e]->suite_available((enum ring_suite)suite)) {
                    return;
                }
                ends[e]->aead_init(&aead, (enum ring_suite)suite, key);
                ends[e]->aead_seal(&aead, nonce, NULL, 0, plain, bytes, sealed[e]);
                ends[e]->aead_wipe(&aead);
            }
            assert_memory_equal(sealed[0], sealed[1], bytes + 16);
        }
    }
}

static void test_wiped_key_leaves_nothing(void **state) {
    (void)state;
    const struct ring_primitives *ends[2] = {ring_primitives_default(), ring_primitives_sodium()};
    static const uint8_t key[32] = "a key that must not be found ...";
    static const struct ring_aead zero;
    for (size_t e = 0; e < 2; e++) {
        struct ring_aead aead = {0};
        ends[e]->aead_init(&aead, RING_SUITE_CHACHAPOLY, key);
        ends[e]->aead_wipe(&aead);
        ends[e]->aead_wipe(&aead);
        assert_memory_equal(&aead, &zero, sizeof aead);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x25519),
        cmocka_unit_test(test_chacha20_poly1305),
        cmocka_unit_test(test_aes_256_gcm),
        cmocka_unit_test(test_hmac_sha256),
        cmocka_unit_test(test_hkdf_sha256),
        cmocka_unit_test(test_back_ends_agree_on_long_messages),
        cmocka_unit_test(test_wiped_key_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
