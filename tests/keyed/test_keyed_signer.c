/* The simulator's signer keeps what the interface promises, so that what is found with it is not its own fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/keyed/keyed_signer.h"

static void a_signature_holds_for_its_key_and_bytes_only(void **state) {
    (void)state;
    struct keyed_signer one, two;
    uint8_t bytes[100] = "HRC prepare", signature[64], again[64];
    keyed_signer_init(&one, 1);
    keyed_signer_init(&two, 2);
    assert_memory_not_equal(one.public_key, two.public_key, sizeof one.public_key);
    struct signer signer = keyed_signer_of(&one), verifier = keyed_signer_of(NULL);
    signer.sign(signer.context, bytes, sizeof bytes, signature);
    signer.sign(signer.context, bytes, sizeof bytes, again);
    assert_memory_equal(signature, again, 64);
    assert_true(verifier.verify(verifier.context, one.public_key, bytes, sizeof bytes, signature));
    assert_false(verifier.verify(verifier.context, two.public_key, bytes, sizeof bytes, signature));
    for (size_t count = 0; count < sizeof bytes; count++) {
        assert_false(verifier.verify(verifier.context, one.public_key, bytes, count, signature));
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        assert_false(verifier.verify(verifier.context, one.public_key, bytes, sizeof bytes, signature));
        bytes[i] ^= 1;
    }
    for (size_t i = 0; i < 64; i++) {
        signature[i] ^= 1;
        assert_false(verifier.verify(verifier.context, one.public_key, bytes, sizeof bytes, signature));
        signature[i] ^= 1;
    }
    assert_true(verifier.key_check(verifier.context, one.public_key));
}

static void its_hash_is_siphash_2_4(void **state) {
    (void)state;
    /* Aumasson and Bernstein, appendix A: key 00 01 .. 0f, message 00 01 .. 0e */
    uint8_t message[15];
    for (uint8_t i = 0; i < sizeof message; i++) message[i] = i;
    assert_true(keyed_siphash(UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908), message, sizeof message) == UINT64_C(0xa129ca6149be45e5));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_signature_holds_for_its_key_and_bytes_only), cmocka_unit_test(its_hash_is_siphash_2_4)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
