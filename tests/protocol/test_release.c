/* A release's record (spec/appliance.md ). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "merkle/sha256.h"
#include "protocol/canonical.h"
#include "protocol/release.h"

static struct ed25519_secret key;
static struct release_keys keys;

static int start(void **state) {
    (void)state;
    uint8_t seed[32] = {3};
    assert_true(ed25519_start(NULL));
    (void)!ed25519_secret_init(&key, seed);
    keys.count = 1;
    ed25519_public_key(&key, keys.keys[0]);
    return 0;
}

static struct release a_release(void) {
    struct release release = {.architecture = RELEASE_ARM64, .number = 0x0102030405060708, .bytes = 0x00AABBCC, .label = "0.3-abc"};
    memset(release.sha256, 0x5A, 32);
    release_sign(&release, &key);
    return release;
}

static void the_record_is_these_bytes(void **state) {
    (void)state;
    /* Put together here by the table of A-30. */
    uint8_t expected[RELEASE_BYTES] = {1, 0, 0, 0, 2, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1, 0xCC, 0xBB, 0xAA}, bytes[RELEASE_BYTES], signed_bytes[1 + 96];
    uint8_t string[48] = "HRC image", signature[64];
    memset(expected + 24, 0x5A, 32);
    memcpy(expected + 56, "0.3-abc", 7);
    signed_bytes[0] = 0x1B;
    memcpy(signed_bytes + 1, expected, 96);
    sha256_hash(signed_bytes, sizeof signed_bytes, string + 16);
    ed25519_sign(&key, string, sizeof string, signature);
    memcpy(expected + 96, signature, 64);
    struct release release = a_release(), back;
    release_encode(&release, bytes);
    assert_memory_equal(bytes, expected, RELEASE_BYTES);
    assert_int_equal(release_decode(&back, bytes, RELEASE_BYTES, NULL), SYSTEM_OK);
    assert_memory_equal(&back, &release, sizeof back);
    assert_int_equal(release_verify(&back, &keys, NULL), SYSTEM_OK);
}

static void each_bit_is_signed(void **state) {
    (void)state;
    struct release release = a_release(), back;
    uint8_t bytes[RELEASE_BYTES + 1] = {0};
    release_encode(&release, bytes);
    for (size_t bit = 0; bit < (size_t)RELEASE_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(release_decode(&back, bytes, RELEASE_BYTES, NULL) == SYSTEM_OK && release_verify(&back, &keys, NULL) == SYSTEM_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t cut = 0; cut < RELEASE_BYTES; cut++) assert_int_equal(release_decode(&back, bytes, cut, NULL), SYSTEM_TRUNCATED);
    assert_int_equal(release_decode(&back, bytes, RELEASE_BYTES + 1, NULL), SYSTEM_TRUNCATED);
}

static enum system_error with(size_t at, uint8_t value) {
    struct release release = a_release();
    uint8_t bytes[RELEASE_BYTES];
    release_encode(&release, bytes);
    bytes[at] = value;
    return release_decode(&release, bytes, RELEASE_BYTES, NULL);
}

static void each_field_has_its_range(void **state) {
    (void)state;
    assert_int_equal(with(0, 2), SYSTEM_FORMAT_UNKNOWN);
    assert_int_equal(with(3, 1), SYSTEM_FORMAT_UNKNOWN);
    assert_int_equal(with(4, 0), SYSTEM_FIELD_RANGE);
    assert_int_equal(with(4, 4), SYSTEM_FIELD_RANGE);
    assert_int_equal(with(19, 4), SYSTEM_FIELD_RANGE); /* more than 64 MiB */
    assert_int_equal(with(56, 0), SYSTEM_FIELD_RANGE); /* no label, and something behind it */
    assert_int_equal(with(57, ' '), SYSTEM_FIELD_RANGE);
    assert_int_equal(with(95, 'x'), SYSTEM_FIELD_RANGE);
    assert_int_equal(with(58, 'x'), SYSTEM_OK);
}

static enum system_error keys_of(const char *text, struct release_keys *out) {
    return release_keys_parse(out, text, strlen(text), NULL);
}

static void keys_are_lines_of_digits(void **state) {
    (void)state;
    struct release_keys read;
    char hex[65], text[1024] = "";
    canonical_hex_print(keys.keys[0], 32, hex);
    for (unsigned i = 0; i < RELEASE_KEYS_MAX; i++) {
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", hex);
        assert_int_equal(keys_of(text, &read), SYSTEM_OK);
        assert_int_equal(read.count, i + 1);
    }
    text[strlen(text) - 1] = '\0'; /* the last line need not end */
    assert_int_equal(keys_of(text, &read), SYSTEM_OK);
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), "\n%s\n", hex);
    assert_int_equal(keys_of(text, &read), SYSTEM_FIELD_TYPE); /* one too many */
    assert_int_equal(keys_of("", &read), SYSTEM_FIELD_MISSING);
    assert_int_equal(keys_of("\n", &read), SYSTEM_FIELD_TYPE);
    hex[63] = '\0';
    assert_int_equal(keys_of(hex, &read), SYSTEM_FIELD_TYPE);
    memset(hex, '0', 64);
    hex[64] = '\0';
    assert_int_equal(keys_of(hex, &read), SYSTEM_KEY_INVALID); /* of small order */
}

struct text {
    const uint8_t *bytes;
    size_t count;
};

static bool text_part(void *context, uint64_t at, uint8_t *out, size_t count) {
    const struct text *text = context;
    if (at > text->count || count > text->count - at) return false;
    memcpy(out, text->bytes + at, count);
    return true;
}

static void what_a_uki_says_is_read_within_it(void **state) {
    (void)state;
    uint8_t image[1024] = {'M', 'Z', [0x3C] = 0x40, [0x40] = 'P', 'E', 0, 0, 0x64, 0x86, 2, [0x54] = 8};
    uint8_t *second = image + 0x40 + 24 + 8 + 40;
    const char osrel[] = "XIMAGE_VERSION=9\nVERSION_ID=\"0.3-x\"\nIMAGE_VERSION=18\n";
    struct text text = {image, sizeof image};
    struct release_facts facts;
    memcpy(second, ".osrel\0\0", 8);
    second[8] = sizeof osrel - 1;
    second[17] = 2; /* stored: 512, filled up */
    second[21] = 2; /* at 512 */
    memcpy(image + 512, osrel, sizeof osrel - 1);
    assert_int_equal(release_facts_read(&facts, text_part, &text, NULL), SYSTEM_OK);
    assert_int_equal(facts.number, 18);
    assert_int_equal(facts.architecture, RELEASE_AMD64);
    assert_string_equal(facts.label, "0.3-x");
    image[512 + strlen(osrel) - 2] = 'x'; /* no number */
    assert_int_equal(release_facts_read(&facts, text_part, &text, NULL), SYSTEM_OK);
    assert_int_equal(facts.number, 0);
    for (text.count = 0; text.count < 512; text.count++) assert_int_equal(release_facts_read(&facts, text_part, &text, NULL), SYSTEM_FORMAT_UNKNOWN);
    text.count = sizeof image;
    for (size_t bit = 0; bit < 512 * 8; bit++) { /* whatever it says, it is read within its bounds */
        image[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        (void)!release_facts_read(&facts, text_part, &text, NULL);
        image[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_record_is_these_bytes),         cmocka_unit_test(each_bit_is_signed),
        cmocka_unit_test(each_field_has_its_range),          cmocka_unit_test(keys_are_lines_of_digits),
        cmocka_unit_test(what_a_uki_says_is_read_within_it),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
