/* The simulator's signer keeps what the interface promises, so that what is found with it is not its own fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/keyed_signer.h"

static void a_signature_holds_for_its_key_world_and_bytes_only(void **state) {
    (void)state;
    struct keyed_signer one, two, elsewhere;
    uint8_t bytes[100] = "HRC prepare", signature[64], again[64];
    keyed_signer_init(&one, 1, 1);
    keyed_signer_init(&two, 1, 2);
    keyed_signer_init(&elsewhere, 2, 1);
    struct signer signer = keyed_signer_interface(&one), other = keyed_signer_interface(&two), stranger = keyed_signer_interface(&elsewhere);
    signer.sign(signer.context, bytes, sizeof bytes, signature);
    signer.sign(signer.context, bytes, sizeof bytes, again);
    assert_memory_equal(signature, again, 64);
    assert_true(signer.verify(signer.context, one.public_key, bytes, sizeof bytes, signature));
    assert_true(other.verify(other.context, one.public_key, bytes, sizeof bytes, signature));
    assert_false(other.verify(other.context, two.public_key, bytes, sizeof bytes, signature));
    assert_false(stranger.verify(stranger.context, one.public_key, bytes, sizeof bytes, signature));
    assert_false(signer.verify(signer.context, one.public_key, bytes, sizeof bytes - 1, signature));
    for (size_t i = 0; i < 64; i++) {
        signature[i] ^= 1;
        assert_false(signer.verify(signer.context, one.public_key, bytes, sizeof bytes, signature));
        signature[i] ^= 1;
    }
    assert_true(signer.key_check(signer.context, one.public_key));
    assert_false(signer.key_check(signer.context, (const uint8_t[32]){0}));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_signature_holds_for_its_key_world_and_bytes_only)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
