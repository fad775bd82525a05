/* SipHash-2-4, of one message and of eight at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>

#include "merkle/bytes.h"
#include "merkle/siphash.h"

enum { BYTES_MAX = 300 };

/* The vector that O-3 quotes, which is the last example of the SipHash paper. */
static void it_gives_the_value_that_the_spec_quotes(void **state) {
    (void)state;
    uint8_t bytes[16];
    for (uint8_t i = 0; i < sizeof bytes; i++) bytes[i] = i;
    assert_true(siphash_one(bytes, bytes, 15) == 0xa129ca6149be45e5);
}

static void one_and_eight_agree_with_libsodium_at_every_length(void **state) {
    (void)state;
    uint8_t key[SIPHASH_KEY_BYTES], bytes[SIPHASH_LANES][BYTES_MAX], expected[8];
    const uint8_t *at[SIPHASH_LANES];
    for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)(255 - 13 * i);
    for (unsigned lane = 0; lane < SIPHASH_LANES; lane++) {
        for (size_t i = 0; i < BYTES_MAX; i++) bytes[lane][i] = (uint8_t)(i * 131 + lane * 37 + 7);
        at[lane] = bytes[lane];
    }
    for (size_t count = 0; count <= BYTES_MAX; count++) {
        uint64_t all[SIPHASH_LANES];
        siphash_each(key, at, count, all);
        for (unsigned lane = 0; lane < SIPHASH_LANES; lane++) {
            crypto_shorthash(expected, bytes[lane], count, key);
            assert_true(siphash_one(key, bytes[lane], count) == bytes_get_le64(expected));
            assert_true(all[lane] == bytes_get_le64(expected));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gives_the_value_that_the_spec_quotes),
        cmocka_unit_test(one_and_eight_agree_with_libsodium_at_every_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
