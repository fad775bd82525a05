/* Verdicts of signatures that were verified ahead (bft/verdict.h): for exactly these bytes, key and signature, and for nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bft/verdict.h"
#include "merkle/bytes.h"
#include "tests/keyed/keyed_signer.h"

enum { BYTES = 64 };

/* An inner signer that counts what it is asked. */
struct counted {
    struct signer signer;
    uint64_t asked;
};

static bool counted_verify(const void *context, const uint8_t key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t count,
                           const uint8_t signature[SIGNER_SIGNATURE_BYTES]) {
    struct counted *counted = (struct counted *)(uintptr_t)context;
    counted->asked++;
    return counted->signer.verify(counted->signer.context, key, bytes, count, signature);
}

struct fixture {
    struct keyed_signer keys[2];
    struct counted counted;
    struct verdict_table *table;
    struct signer signer; /* the table's */
    struct verdict_list list;
    struct verdict_recorder recorder;
    struct signer ahead; /* the recorder's */
    uint8_t bytes[BYTES], signature[SIGNER_SIGNATURE_BYTES];
};

static struct fixture *fixture_make(void) {
    struct fixture *f = calloc(1, sizeof *f);
    for (uint64_t i = 0; i < 2; i++) keyed_signer_init(&f->keys[i], i);
    f->counted.signer = keyed_signer_of(&f->keys[0]);
    f->table = calloc(1, sizeof *f->table);
    f->table->inner = (struct signer){.context = &f->counted, .verify = counted_verify};
    f->signer = verdict_table_signer(f->table);
    f->recorder = (struct verdict_recorder){.inner = keyed_signer_of(&f->keys[0]), .list = &f->list};
    f->ahead = verdict_recorder_signer(&f->recorder);
    for (size_t i = 0; i < BYTES; i++) f->bytes[i] = (uint8_t)(i * 7);
    f->counted.signer.sign(f->counted.signer.context, f->bytes, BYTES, f->signature);
    return f;
}

static void fixture_free(struct fixture *f) {
    free(f->table);
    free(f);
}

static bool ask(struct fixture *f, const uint8_t *key, const uint8_t *bytes, size_t count, const uint8_t *signature) {
    return f->signer.verify(f->signer.context, key, bytes, count, signature);
}

static void what_was_verified_ahead_is_looked_up_and_nobody_else_is_asked(void **state) {
    (void)state;
    struct fixture *f = fixture_make();
    assert_true(f->ahead.verify(f->ahead.context, f->keys[0].public_key, f->bytes, BYTES, f->signature));
    assert_int_equal(f->list.count, 1);
    verdict_table_put(f->table, &f->list);
    assert_true(ask(f, f->keys[0].public_key, f->bytes, BYTES, f->signature));
    assert_int_equal(f->counted.asked, 0);
    assert_int_equal(f->table->found, 1);
    fixture_free(f);
}

static void what_was_not_is_verified_there_and_then(void **state) {
    (void)state;
    struct fixture *f = fixture_make();
    assert_true(ask(f, f->keys[0].public_key, f->bytes, BYTES, f->signature));
    assert_int_equal(f->counted.asked, 1);
    f->signature[3] ^= 1;
    assert_false(ask(f, f->keys[0].public_key, f->bytes, BYTES, f->signature));
    assert_int_equal(f->counted.asked, 2);
    assert_int_equal(f->table->found, 0);
    fixture_free(f);
}

static void a_verdict_is_for_its_key_and_no_other(void **state) {
    (void)state;
    struct fixture *f = fixture_make();
    assert_true(f->ahead.verify(f->ahead.context, f->keys[0].public_key, f->bytes, BYTES, f->signature));
    verdict_table_put(f->table, &f->list);
    assert_false(ask(f, f->keys[1].public_key, f->bytes, BYTES, f->signature));
    assert_int_equal(f->counted.asked, 1);
    for (size_t bit = 0; bit < 8 * SIGNER_PUBLIC_KEY_BYTES; bit++) {
        uint8_t key[SIGNER_PUBLIC_KEY_BYTES];
        memcpy(key, f->keys[0].public_key, sizeof key);
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        uint64_t asked = f->counted.asked;
        (void)ask(f, key, f->bytes, BYTES, f->signature);
        assert_int_equal(f->counted.asked, asked + 1);
    }
    assert_int_equal(f->table->found, 0);
    fixture_free(f);
}

static void a_verdict_is_for_its_bytes_and_its_signature_to_the_bit(void **state) {
    (void)state;
    struct fixture *f = fixture_make();
    assert_true(f->ahead.verify(f->ahead.context, f->keys[0].public_key, f->bytes, BYTES, f->signature));
    verdict_table_put(f->table, &f->list);
    for (size_t bit = 0; bit < 8 * BYTES; bit++) {
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(ask(f, f->keys[0].public_key, f->bytes, BYTES, f->signature));
        f->bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * SIGNER_SIGNATURE_BYTES; bit++) {
        f->signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        uint64_t asked = f->counted.asked;
        (void)ask(f, f->keys[0].public_key, f->bytes, BYTES, f->signature);
        assert_int_equal(f->counted.asked, asked + 1);
        f->signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t count = 0; count < BYTES; count++) assert_false(ask(f, f->keys[0].public_key, f->bytes, count, f->signature));
    assert_int_equal(f->table->found, 0);
    assert_true(ask(f, f->keys[0].public_key, f->bytes, BYTES, f->signature));
    assert_int_equal(f->table->found, 1);
    fixture_free(f);
}

static void a_bad_verdict_stays_with_what_it_is_of(void **state) {
    (void)state;
    struct fixture *f = fixture_make();
    uint8_t wrong[SIGNER_SIGNATURE_BYTES];
    memcpy(wrong, f->signature, sizeof wrong);
    wrong[0] ^= 1;
    assert_false(f->ahead.verify(f->ahead.context, f->keys[0].public_key, f->bytes, BYTES, wrong));
    verdict_table_put(f->table, &f->list);
    assert_false(ask(f, f->keys[0].public_key, f->bytes, BYTES, wrong));
    assert_int_equal(f->counted.asked, 0);
    assert_true(ask(f, f->keys[0].public_key, f->bytes, BYTES, f->signature));
    assert_int_equal(f->counted.asked, 1);
    fixture_free(f);
}

static void what_a_list_or_a_table_has_no_room_for_is_verified_again(void **state) {
    (void)state;
    struct fixture *f = fixture_make();
    const struct signer own = keyed_signer_of(&f->keys[0]);
    enum { MANY = 3 * VERDICT_SLOTS };
    uint8_t signature[SIGNER_SIGNATURE_BYTES];
    for (uint32_t i = 0; i <= VERDICT_LIST_MAX; i++) {
        bytes_put_le32(f->bytes, i);
        own.sign(own.context, f->bytes, BYTES, signature);
        assert_true(f->ahead.verify(f->ahead.context, f->keys[0].public_key, f->bytes, BYTES, signature));
        assert_int_equal(f->list.count, i < VERDICT_LIST_MAX ? i + 1 : VERDICT_LIST_MAX);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        bytes_put_le32(f->bytes, i);
        own.sign(own.context, f->bytes, BYTES, signature);
        f->list.count = 0;
        assert_true(f->ahead.verify(f->ahead.context, f->keys[0].public_key, f->bytes, BYTES, signature));
        verdict_table_put(f->table, &f->list);
    }
    for (uint32_t i = 0; i < MANY; i++) {
        bytes_put_le32(f->bytes, i);
        own.sign(own.context, f->bytes, BYTES, signature);
        assert_true(ask(f, f->keys[0].public_key, f->bytes, BYTES, signature));
    }
    assert_in_range(f->table->found, VERDICT_SLOTS / 2, VERDICT_SLOTS);
    assert_int_equal(f->table->asked, f->table->found + f->counted.asked);
    fixture_free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_verified_ahead_is_looked_up_and_nobody_else_is_asked),
        cmocka_unit_test(what_was_not_is_verified_there_and_then),
        cmocka_unit_test(a_verdict_is_for_its_key_and_no_other),
        cmocka_unit_test(a_verdict_is_for_its_bytes_and_its_signature_to_the_bit),
        cmocka_unit_test(a_bad_verdict_stays_with_what_it_is_of),
        cmocka_unit_test(what_a_list_or_a_table_has_no_room_for_is_verified_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
