/* Cards (spec/system.md S-10 to S-16): what proves possession, and that nothing in a card can be changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "merkle/sha256.h"
#include "protocol/canonical.h"
#include "tests/protocol/identity_fixture.h"

static struct card make(enum keyfile_kind kind, uint64_t seed, struct keyfile *key) {
    struct fixture fixture = {.entropy = {.seed = seed}};
    struct keyfile own;
    struct card card;
    assert_true(ed25519_start(NULL));
    fixture_enroll(&fixture, kind, "a-name", key ? key : &own, NULL, &card);
    return card;
}

static char *text_of(const struct card *card, size_t *count) {
    json_t *object = card_to_json(card);
    char *text = canonical_print(object, count);
    json_decref(object);
    assert_non_null(text);
    return text;
}

static void a_card_survives_its_binary_and_json_forms(void **state) {
    (void)state;
    for (int kind = CARD_NODE; kind <= CARD_ADMIN; kind++) {
        struct card card = make((enum keyfile_kind)kind, 1, NULL), back;
        uint8_t bytes[CARD_PROVEN_BYTES_MAX];
        size_t count = card_encode_proven(&card, bytes), text_bytes;
        assert_int_equal(count, card_proven_bytes((enum card_kind)kind));
        assert_int_equal(card_decode_proven(&back, (enum card_kind)kind, bytes, count, NULL), SYSTEM_OK);
        assert_memory_equal(back.id, card.id, 32);
        char *text = text_of(&card, &text_bytes);
        assert_int_equal(card_parse(&back, 0, text, text_bytes, NULL), SYSTEM_OK);
        assert_memory_equal(back.id, card.id, 32);
        assert_memory_equal(back.owner_proof, card.owner_proof, 64);
        free(text);
    }
}

static void the_id_is_the_hash_of_the_offset_table(void **state) {
    (void)state;
    struct card card = make(KEYFILE_NODE, 2, NULL);
    uint8_t preimage[1 + 164] = {0x0D, 1, 1, 0, 0}, id[32]; /* prefix, kind, format, zero: written from S-11, not by the encoder */
    memcpy(preimage + 5, "a-name", 6);
    memcpy(preimage + 37, card.signing_key, 32);
    memcpy(preimage + 69, card.noise_key, 32);
    memcpy(preimage + 101, card.noise_proof_key, 32);
    memcpy(preimage + 133, card.owner_key, 32);
    (void)crypto_hash_sha256(id, preimage, sizeof preimage);
    assert_memory_equal(id, card.id, 32);
}

static void the_noise_key_is_the_public_key_of_the_noise_secret(void **state) {
    (void)state;
    struct keyfile key;
    struct card card = make(KEYFILE_CLIENT, 3, &key);
    uint8_t expected[32];
    assert_int_equal(crypto_scalarmult_base(expected, key.noise_secret), 0);
    assert_memory_equal(expected, card.noise_key, 32);
}

static void every_flipped_bit_of_a_proven_card_is_refused(void **state) {
    (void)state;
    for (int kind = CARD_NODE; kind <= CARD_ADMIN; kind++) {
        struct card card = make((enum keyfile_kind)kind, 4, NULL), back;
        uint8_t bytes[CARD_PROVEN_BYTES_MAX];
        size_t count = card_encode_proven(&card, bytes);
        for (size_t bit = 0; bit < count * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            if (card_decode_proven(&back, (enum card_kind)kind, bytes, count, NULL) == SYSTEM_OK) fail_msg("bit %zu of a card of kind %d", bit, kind);
            bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
}

static void every_flipped_bit_of_a_card_file_is_refused_with_a_text(void **state) {
    (void)state;
    struct card card = make(KEYFILE_NODE, 5, NULL), back;
    size_t count;
    char *text = text_of(&card, &count);
    for (size_t bit = 0; bit < count * 8; bit++) {
        struct system_fault fault = {.text = ""};
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << (bit % 8)));
        if (card_parse(&back, CARD_NODE, text, count, &fault) == SYSTEM_OK) fail_msg("bit %zu: %.40s", bit, text + bit / 8);
        assert_true(fault.text[0] != 0);
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << (bit % 8)));
    }
    free(text);
}

static void cards_cut_short_or_longer_are_refused(void **state) {
    (void)state;
    struct card card = make(KEYFILE_CLIENT, 6, NULL), back;
    uint8_t bytes[CARD_PROVEN_BYTES_MAX + 1] = {0};
    size_t count = card_encode_proven(&card, bytes);
    for (size_t i = 0; i <= count + 1; i++) {
        if (i != count) assert_int_equal(card_decode_proven(&back, CARD_CLIENT, bytes, i, NULL), SYSTEM_TRUNCATED);
    }
}

static void nobody_can_put_anothers_noise_key_into_his_card(void **state) {
    (void)state;
    struct keyfile thief_key;
    struct card victim = make(KEYFILE_CLIENT, 7, NULL), thief = make(KEYFILE_CLIENT, 8, &thief_key);
    uint8_t string[16 + CARD_BYTES_MAX] = "HRC client-pop";
    memcpy(thief.noise_key, victim.noise_key, 32);
    memcpy(thief.noise_proof_key, victim.noise_proof_key, 32);
    size_t count = card_encode(&thief, string + 16); /* he signs his own part well */
    ed25519_sign(&thief_key.signing, string, 16 + count, thief.signing_proof);
    struct system_fault fault;
    assert_int_equal(card_verify(&thief, &fault), SYSTEM_PROOF_INVALID);
    assert_non_null(strstr(fault.text, "noise_proof"));
    memcpy(thief.noise_proof, victim.noise_proof, 64); /* nor does the victim's own proof help: it is over another card */
    assert_int_equal(card_verify(&thief, &fault), SYSTEM_PROOF_INVALID);
}

static void a_noise_key_that_is_not_its_proof_keys_is_refused(void **state) {
    (void)state;
    struct keyfile key;
    struct card victim = make(KEYFILE_CLIENT, 9, NULL), card = make(KEYFILE_CLIENT, 10, &key);
    uint8_t string[16 + CARD_BYTES_MAX] = "HRC client-pop";
    struct ed25519_secret noise;
    memcpy(card.noise_key, victim.noise_key, 32); /* the victim's Noise key beside a proof key of his own, all well signed */
    size_t count = card_encode(&card, string + 16);
    ed25519_sign(&key.signing, string, 16 + count, card.signing_proof);
    bool locked = ed25519_secret_init(&noise, key.noise_seed);
    (void)locked;
    memcpy(string, "HRC noise-pop\0\0\0", 16);
    ed25519_sign(&noise, string, 16 + count, card.noise_proof);
    struct system_fault fault;
    assert_int_equal(card_verify(&card, &fault), SYSTEM_KEY_INVALID);
    assert_non_null(strstr(fault.text, "noise_key"));
}

static void a_key_of_small_order_is_refused(void **state) {
    (void)state;
    struct card card = make(KEYFILE_ADMIN, 11, NULL);
    struct system_fault fault;
    memset(card.signing_key, 0, 32); /* y = 0: a point of order 4 */
    assert_int_equal(card_verify(&card, &fault), SYSTEM_KEY_INVALID);
    assert_non_null(strstr(fault.text, "signing_key"));
}

static void names_are_bounded(void **state) {
    (void)state;
    assert_true(card_name_valid("a") && card_name_valid("0.b-c") && card_name_valid("12345678901234567890123456789012"));
    assert_false(card_name_valid("") || card_name_valid("123456789012345678901234567890123") || card_name_valid("-a") || card_name_valid(".a"));
    assert_false(card_name_valid("A") || card_name_valid("a b") || card_name_valid("a_b") || card_name_valid("a/b") || card_name_valid("\xc3\xa4"));
}

static void a_saved_card_loads_and_is_never_overwritten(void **state) {
    (void)state;
    char folder[] = "/tmp/heraclius-card-XXXXXX", path[64];
    struct card card = make(KEYFILE_CLIENT, 12, NULL), back;
    struct system_fault fault;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/x.card", folder);
    assert_int_equal(card_save(&card, path, &fault), SYSTEM_OK);
    assert_int_equal(card_save(&card, path, &fault), SYSTEM_FILE_EXISTS);
    assert_int_equal(card_load(&back, 0, path, &fault), SYSTEM_OK);
    assert_memory_equal(back.id, card.id, 32);
    assert_int_equal(card_load(&back, CARD_NODE, path, &fault), SYSTEM_FIELD_RANGE);
    assert_non_null(strstr(fault.text, path)); /* names the file */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(card_load(&back, 0, path, &fault), SYSTEM_FILE_UNREADABLE);
    assert_int_equal(card_load(&back, 0, folder, &fault), SYSTEM_FILE_UNREADABLE);
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_card_survives_its_binary_and_json_forms),
        cmocka_unit_test(the_id_is_the_hash_of_the_offset_table),
        cmocka_unit_test(the_noise_key_is_the_public_key_of_the_noise_secret),
        cmocka_unit_test(every_flipped_bit_of_a_proven_card_is_refused),
        cmocka_unit_test(every_flipped_bit_of_a_card_file_is_refused_with_a_text),
        cmocka_unit_test(cards_cut_short_or_longer_are_refused),
        cmocka_unit_test(nobody_can_put_anothers_noise_key_into_his_card),
        cmocka_unit_test(a_noise_key_that_is_not_its_proof_keys_is_refused),
        cmocka_unit_test(a_key_of_small_order_is_refused),
        cmocka_unit_test(names_are_bounded),
        cmocka_unit_test(a_saved_card_loads_and_is_never_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
