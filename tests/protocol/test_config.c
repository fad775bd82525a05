/* CONFIG and administrative operations (spec/system.md S-50 to S-80): the tree, what may follow, who must sign. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/bytes.h"
#include "tests/protocol/identity_fixture.h"

static struct fixture *fixture;
static struct config genesis;
static uint8_t genesis_hash[32];

enum { SHARD = CONFIG_CLUSTER_SHARD };

static int set_up(void **state) {
    (void)state;
    fixture = fixture_new(30, 1, 1, 7); /* f = 2 */
    if (!system_config(&fixture->assembly->system, SHARD, &genesis)) return -1;
    config_hash(&genesis, genesis_hash);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fixture_free(fixture);
    return 0;
}

/* The RFC 9162 root of six leaves, written out with another SHA-256. */
static void hash_by_hand(uint8_t prefix, const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes, uint8_t out[32]) {
    crypto_hash_sha256_state hashing;
    (void)crypto_hash_sha256_init(&hashing);
    (void)crypto_hash_sha256_update(&hashing, &prefix, 1);
    (void)crypto_hash_sha256_update(&hashing, a, a_bytes);
    (void)crypto_hash_sha256_update(&hashing, b, b_bytes);
    (void)crypto_hash_sha256_final(&hashing, out);
}

static void config_hash_is_the_root_of_six_leaves(void **state) {
    (void)state;
    uint8_t leaf[CONFIG_LEAVES][32], left[32], right[32], four[32], two[32], root[32];
    for (int i = 0; i < CONFIG_LEAVES; i++) {
        uint8_t bytes[CONFIG_LEAF_BYTES_MAX];
        size_t count = config_leaf_encode(&genesis, (enum config_leaf)i, bytes);
        assert_int_equal(bytes[0], i + 1);
        hash_by_hand(0, bytes, count, NULL, 0, leaf[i]);
    }
    hash_by_hand(1, leaf[0], 32, leaf[1], 32, left);
    hash_by_hand(1, leaf[2], 32, leaf[3], 32, right);
    hash_by_hand(1, left, 32, right, 32, four);
    hash_by_hand(1, leaf[4], 32, leaf[5], 32, two);
    hash_by_hand(1, four, 32, two, 32, root);
    assert_memory_equal(root, genesis_hash, 32);
}

static void the_members_leaf_is_proved_alone(void **state) {
    (void)state;
    uint8_t bytes[CONFIG_LEAF_BYTES_MAX], proof[CONFIG_PROOF_HASHES_MAX][32];
    size_t count = config_leaf_encode(&genesis, CONFIG_LEAF_MEMBERS, bytes), hashes = config_leaf_prove(&genesis, CONFIG_LEAF_MEMBERS, proof);
    const uint8_t(*view)[32] = (const uint8_t(*)[32])proof;
    struct config_members members;
    assert_true(config_leaf_verify(genesis_hash, CONFIG_LEAF_MEMBERS, bytes, count, view, hashes));
    assert_int_equal(config_members_decode(&members, bytes, count, NULL), SYSTEM_OK);
    assert_int_equal(members.count, 7);
    assert_memory_equal(&members, &genesis.members, sizeof members);
    assert_false(config_leaf_verify(genesis_hash, CONFIG_LEAF_ADMINS, bytes, count, view, hashes));
    assert_false(config_leaf_verify(genesis_hash, CONFIG_LEAF_MEMBERS, bytes, count, view, hashes - 1));
    assert_false(config_leaf_verify(genesis_hash, CONFIG_LEAF_MEMBERS, bytes, count - 1, view, hashes));
    for (size_t bit = 0; bit < count * 8; bit += 7) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(config_leaf_verify(genesis_hash, CONFIG_LEAF_MEMBERS, bytes, count, view, hashes));
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void a_config_reads_back_and_every_flip_changes_its_hash_or_is_refused(void **state) {
    (void)state;
    uint8_t bytes[CONFIG_BYTES_MAX], hash[32];
    struct config back;
    size_t count = config_encode(&genesis, bytes);
    assert_int_equal(config_decode(&back, bytes, count, NULL), SYSTEM_OK);
    assert_memory_equal(&back, &genesis, sizeof back);
    for (size_t bit = 0; bit < count * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (config_decode(&back, bytes, count, NULL) == SYSTEM_OK) {
            config_hash(&back, hash);
            assert_memory_not_equal(hash, genesis_hash, 32);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t cut = 0; cut < count; cut++) assert_int_not_equal(config_decode(&back, bytes, cut, NULL), SYSTEM_OK);
}

/* ---- what may follow ---- */

static struct config_member member_of(const struct card *card) {
    struct config_member member;
    memcpy(member.node_id, card->id, 32);
    memcpy(member.signing_key, card->signing_key, 32);
    memcpy(member.noise_key, card->noise_key, 32);
    return member;
}

static struct config next_of(const struct config *before) {
    struct config after = *before;
    after.members.serial++;
    return after;
}

static void at_most_min_f_members_change_at_once(void **state) {
    (void)state;
    struct config after = next_of(&genesis);
    uint32_t changed = 99;
    assert_int_equal(config_succeeds(&genesis, &after, &changed, NULL), SYSTEM_OK);
    assert_int_equal(changed, 0);
    after.members.members[1] = member_of(&fixture->spare_cards[0]);
    after.members.members[6] = member_of(&fixture->spare_cards[1]);
    assert_int_equal(config_succeeds(&genesis, &after, &changed, NULL), SYSTEM_OK); /* f = 2: two at once */
    assert_int_equal(changed, 2);
    after.members.members[3] = member_of(&fixture->spare_cards[2]);
    assert_int_equal(config_succeeds(&genesis, &after, &changed, NULL), SYSTEM_CHANGE_TOO_LARGE);
    assert_int_equal(changed, 3);
}

static void the_smaller_f_of_before_and_after_counts(void **state) {
    (void)state;
    struct config after = next_of(&genesis);
    uint32_t changed;
    after.members.count = 6; /* 7 to 6: f falls from 2 to 1 */
    assert_int_equal(config_succeeds(&genesis, &after, &changed, NULL), SYSTEM_OK);
    after.members.count = 5;
    assert_int_equal(config_succeeds(&genesis, &after, &changed, NULL), SYSTEM_CHANGE_TOO_LARGE);
    struct config small = genesis, larger;
    small.members.count = 4;
    larger = next_of(&small);
    larger.members.count = 5;
    larger.members.members[4] = member_of(&fixture->spare_cards[0]);
    assert_int_equal(config_succeeds(&small, &larger, &changed, NULL), SYSTEM_OK);
    larger.members.count = 6;
    assert_int_equal(config_succeeds(&small, &larger, &changed, NULL), SYSTEM_CHANGE_TOO_LARGE);
}

static void members_may_stand_in_another_order(void **state) {
    (void)state;
    struct config after = next_of(&genesis);
    uint32_t changed;
    after.members.members[0] = genesis.members.members[6];
    after.members.members[6] = genesis.members.members[0];
    assert_int_equal(config_succeeds(&genesis, &after, &changed, NULL), SYSTEM_OK);
    assert_int_equal(changed, 0);
}

static void a_present_key_does_not_come_back_under_another_card(void **state) {
    (void)state;
    struct config after = next_of(&genesis);
    after.members.members[1] = member_of(&fixture->spare_cards[0]);
    memcpy(after.members.members[1].signing_key, genesis.members.members[1].signing_key, 32);
    assert_int_equal(config_succeeds(&genesis, &after, NULL, NULL), SYSTEM_KEY_TWICE);
}

static void what_a_config_may_not_change_is_refused(void **state) {
    (void)state;
    struct config after = next_of(&genesis);
    after.members.serial++;
    assert_int_equal(config_succeeds(&genesis, &after, NULL, NULL), SYSTEM_SERIAL);
    after = next_of(&genesis);
    after.partition_key[3] ^= 1;
    assert_int_equal(config_succeeds(&genesis, &after, NULL, NULL), SYSTEM_FOREIGN);
    after = next_of(&genesis);
    after.members.cluster = CONFIG_CLUSTER_COORDINATOR;
    assert_int_equal(config_succeeds(&genesis, &after, NULL, NULL), SYSTEM_FOREIGN);
    struct config newer = genesis;
    newer.protocol_version = 2;
    after = next_of(&newer);
    after.protocol_version = 1;
    assert_int_equal(config_succeeds(&newer, &after, NULL, NULL), SYSTEM_FIELD_RANGE);
}

static void administrators_need_more_than_half(void **state) {
    (void)state;
    struct config config = genesis;
    config.admins_needed = 1; /* of 3 */
    assert_int_equal(config_check(&config, NULL), SYSTEM_FIELD_RANGE);
    config.admins_needed = 3;
    assert_int_equal(config_check(&config, NULL), SYSTEM_OK);
    config.admins_needed = 4;
    assert_int_equal(config_check(&config, NULL), SYSTEM_FIELD_RANGE);
}

/* ---- operations ---- */

static struct admin_op *op_new(enum admin_op_kind kind) {
    struct admin_op *op = calloc(1, sizeof *op);
    assert_non_null(op);
    op->kind = kind;
    memcpy(op->system_id, genesis.system_id, 16);
    op->serial = 1;
    if (kind == ADMIN_OP_CONFIG || kind == ADMIN_OP_SEAL) {
        op->cluster = SHARD;
        memcpy(op->predecessor, genesis_hash, 32);
        op->config = next_of(&genesis);
    } else {
        memcpy(op->predecessor, fixture->assembly->system.file_hash, 32);
    }
    return op;
}

/* A CONFIG that replaces member 2 by a spare and administrator by none. */
static struct admin_op *replacing_op(void) {
    struct admin_op *op = op_new(ADMIN_OP_CONFIG);
    op->config.members.members[2] = member_of(&fixture->spare_cards[0]);
    op->nodes_count = 1;
    op->nodes[0] = fixture->spare_cards[0];
    return op;
}

static size_t encode(struct admin_op *op, uint8_t *bytes) {
    return admin_op_encode(op, bytes);
}

static uint8_t bytes[ADMIN_OP_BYTES_MAX];
static struct admin_op back;

static enum system_error decode_and_verify(size_t count, struct system_fault *fault) {
    enum system_error error = admin_op_decode(&back, bytes, count, fault);
    return error ? error : admin_op_verify(&back, &genesis, NULL, fault);
}

static void a_config_signed_by_k_is_accepted_and_by_fewer_is_not(void **state) {
    (void)state;
    struct admin_op *op = replacing_op();
    uint8_t hash[32];
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_SIGNATURES_TOO_FEW);
    fixture_sign(fixture, op, 1);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_SIGNATURES_TOO_FEW);
    fixture_sign(fixture, op, 1); /* the same again counts once */
    assert_int_equal(op->signatures_count, 1);
    fixture_sign(fixture, op, 2);
    size_t count = encode(op, bytes);
    assert_int_equal(decode_and_verify(count, NULL), SYSTEM_OK);
    assert_memory_equal(&back.config, &op->config, sizeof back.config);
    assert_true(admin_op_input_hash(bytes, count, hash));
    assert_memory_equal(hash, back.input_hash, 32);
    fixture_sign(fixture, op, 3); /* more signatures: the same operation, another input */
    count = encode(op, bytes);
    assert_memory_equal(op->hash, back.hash, 32);
    assert_true(admin_op_input_hash(bytes, count, hash));
    assert_memory_equal(hash, op->input_hash, 32);
    assert_memory_not_equal(hash, back.input_hash, 32);
    free(op);
}

static void strangers_and_foreign_signatures_are_refused(void **state) {
    (void)state;
    struct admin_op *op = replacing_op();
    fixture_sign(fixture, op, 2);
    assert_true(admin_op_sign(op, &fixture->clients[0].signing));
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_SIGNATURE_INVALID);
    free(op);
    op = replacing_op();
    fixture_sign(fixture, op, 2);
    op->config.limits.window_blocks = 7; /* after signing */
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_SIGNATURE_INVALID);
    free(op);
    op = replacing_op();
    op->system_id[0] ^= 1;
    op->config.system_id[0] ^= 1;
    fixture_sign(fixture, op, 2);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_FOREIGN);
    free(op);
}

static void a_config_must_follow_the_one_in_force(void **state) {
    (void)state;
    struct admin_op *op = replacing_op();
    op->predecessor[5] ^= 1;
    fixture_sign(fixture, op, 2);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_SERIAL);
    free(op);
    op = replacing_op();
    op->serial = op->config.members.serial = 2;
    fixture_sign(fixture, op, 2);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_SERIAL);
    free(op);
    op = op_new(ADMIN_OP_SEAL);
    fixture_sign(fixture, op, 2);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_OK);
    op->cluster = CONFIG_CLUSTER_COORDINATOR;
    op->signatures_count = 0;
    fixture_sign(fixture, op, 2);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_FOREIGN);
    free(op);
}

static void exactly_the_new_members_and_administrators_bring_cards(void **state) {
    (void)state;
    struct admin_op *op = replacing_op();
    op->nodes_count = 0;
    fixture_sign(fixture, op, 2);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_PROOF_INVALID);
    op->nodes_count = 1;
    op->nodes[0] = fixture->spare_cards[1]; /* another's */
    op->signatures_count = 0;
    fixture_sign(fixture, op, 2);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_PROOF_INVALID);
    op->nodes_count = 2;
    op->nodes[0] = fixture->spare_cards[0];
    op->nodes[1] = fixture->spare_cards[1]; /* one too many */
    op->signatures_count = 0;
    fixture_sign(fixture, op, 2);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_FIELD_RANGE);
    op->nodes_count = 1;
    op->nodes[0].noise_proof[0] ^= 1; /* unproved */
    op->signatures_count = 0;
    fixture_sign(fixture, op, 2);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_PROOF_INVALID);
    free(op);
}

static void a_new_administrator_brings_a_card(void **state) {
    (void)state;
    struct admin_op *op = op_new(ADMIN_OP_CONFIG);
    struct keyfile key;
    struct card card;
    fixture_enroll(fixture, KEYFILE_ADMIN, "admin-new", &key, NULL, &card);
    uint32_t at = 0;
    while (at < 3 && memcmp(op->config.admins[at].key, card.signing_key, 32) < 0) at++;
    memmove(&op->config.admins[at + 1], &op->config.admins[at], (3 - at) * sizeof op->config.admins[0]);
    memcpy(op->config.admins[at].admin_id, card.id, 32);
    memcpy(op->config.admins[at].key, card.signing_key, 32);
    op->config.admins_count = 4;
    op->config.admins_needed = 3;
    fixture_sign(fixture, op, 2);
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_PROOF_INVALID);
    op->admins_count = 1;
    op->admins[0] = card;
    op->signatures_count = 0;
    fixture_sign(fixture, op, 2); /* the old ones sign: 2 of 3 */
    assert_int_equal(decode_and_verify(encode(op, bytes), NULL), SYSTEM_OK);
    free(op);
}

static struct admin_op *enrolment(enum admin_op_kind kind) {
    struct admin_op *op = op_new(kind);
    struct keyfile key;
    if (kind == ADMIN_OP_ENROL) {
        fixture_enroll(fixture, KEYFILE_CLIENT, "newcomer", &key, NULL, &op->client);
        memcpy(op->client_id, op->client.id, 32);
    } else {
        memcpy(op->client_id, fixture->client_cards[1].id, 32);
    }
    if (kind != ADMIN_OP_REVOKE) {
        op->quota_per_second = 50;
        op->quota_burst = 500;
        op->rights_count = 2;
        op->rights[0] = (struct system_right){.flags = 1};
        op->rights[1] = (struct system_right){.flags = 3, .prefix_bytes = 3, .prefix = "own"};
    }
    return op;
}

static void enrolments_form_one_numbered_chain(void **state) {
    (void)state;
    const uint8_t *file_hash = fixture->assembly->system.file_hash;
    struct admin_op *first = enrolment(ADMIN_OP_ENROL), *second = enrolment(ADMIN_OP_REVOKE);
    fixture_sign(fixture, first, 2);
    assert_int_equal(decode_and_verify(encode(first, bytes), NULL), SYSTEM_OK);
    assert_memory_equal(back.client_id, first->client.id, 32);
    assert_int_equal(back.rights_count, 2);
    assert_int_equal(admin_op_follows(&back, 0, file_hash, NULL), SYSTEM_OK);
    assert_int_equal(admin_op_follows(&back, 0, genesis_hash, NULL), SYSTEM_SERIAL);
    assert_int_equal(admin_op_follows(&back, 1, file_hash, NULL), SYSTEM_SERIAL);
    second->serial = 2;
    memcpy(second->predecessor, first->hash, 32);
    fixture_sign(fixture, second, 3);
    assert_int_equal(decode_and_verify(encode(second, bytes), NULL), SYSTEM_OK);
    assert_int_equal(admin_op_follows(&back, 1, first->hash, NULL), SYSTEM_OK);
    assert_int_equal(admin_op_follows(&back, UINT64_MAX, first->hash, NULL), SYSTEM_SERIAL);
    free(first);
    free(second);
}

static void every_flipped_bit_of_an_operation_is_refused(void **state) {
    (void)state;
    const enum admin_op_kind kinds[] = {ADMIN_OP_CONFIG, ADMIN_OP_SEAL, ADMIN_OP_ENROL, ADMIN_OP_CHANGE, ADMIN_OP_REVOKE};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct admin_op *op = kinds[i] == ADMIN_OP_CONFIG ? replacing_op() : kinds[i] == ADMIN_OP_SEAL ? op_new(ADMIN_OP_SEAL) : enrolment(kinds[i]);
        fixture_sign(fixture, op, 2);
        size_t count = encode(op, bytes), step = count > 1500 ? 17 : 3;
        assert_int_equal(decode_and_verify(count, NULL), SYSTEM_OK);
        for (size_t bit = 0; bit < count * 8; bit += step) {
            bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            if (decode_and_verify(count, NULL) == SYSTEM_OK) fail_msg("kind %d, bit %zu", kinds[i], bit);
            bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        for (size_t cut = 0; cut < count; cut++) assert_int_not_equal(admin_op_decode(&back, bytes, cut, NULL), SYSTEM_OK);
        bytes[count] = 0;
        assert_int_not_equal(admin_op_decode(&back, bytes, count + 1, NULL), SYSTEM_OK);
        free(op);
    }
}

static void rights_have_one_encoding(void **state) {
    (void)state;
    struct system_right rights[SYSTEM_RIGHTS_MAX], read[SYSTEM_RIGHTS_MAX];
    uint8_t out[8 + ADMIN_OP_RIGHTS_BYTES_MAX];
    uint32_t per_second, burst, count;
    memset(rights, 0, sizeof rights);
    for (uint32_t i = 0; i < SYSTEM_RIGHTS_MAX; i++) {
        rights[i].flags = 3;
        rights[i].prefix_bytes = SYSTEM_RIGHT_PREFIX_MAX;
        rights[i].prefix[0] = (uint8_t)i;
    }
    size_t bytes_count = admin_op_rights_encode(9, 10, rights, SYSTEM_RIGHTS_MAX, out); /* at the limit */
    struct bytes_cursor cursor = bytes_cursor_of(out, bytes_count);
    assert_int_equal(admin_op_rights_decode(&cursor, &per_second, &burst, read, &count), SYSTEM_OK);
    assert_true(bytes_finished(&cursor));
    assert_int_equal(count, SYSTEM_RIGHTS_MAX);
    assert_memory_equal(read, rights, sizeof rights);
    out[8] = SYSTEM_RIGHTS_MAX + 1; /* one past it */
    cursor = bytes_cursor_of(out, bytes_count);
    assert_int_equal(admin_op_rights_decode(&cursor, &per_second, &burst, read, &count), SYSTEM_FIELD_RANGE);
    assert_true(cursor.failed);
    rights[1].prefix[0] = 0; /* twice the same */
    bytes_count = admin_op_rights_encode(9, 10, rights, 2, out);
    cursor = bytes_cursor_of(out, bytes_count);
    assert_int_equal(admin_op_rights_decode(&cursor, &per_second, &burst, read, &count), SYSTEM_ORDER);
    bytes_count = admin_op_rights_encode(0, 10, rights, 1, out);
    cursor = bytes_cursor_of(out, bytes_count);
    assert_int_equal(admin_op_rights_decode(&cursor, &per_second, &burst, read, &count), SYSTEM_FIELD_RANGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_hash_is_the_root_of_six_leaves),
        cmocka_unit_test(the_members_leaf_is_proved_alone),
        cmocka_unit_test(a_config_reads_back_and_every_flip_changes_its_hash_or_is_refused),
        cmocka_unit_test(at_most_min_f_members_change_at_once),
        cmocka_unit_test(the_smaller_f_of_before_and_after_counts),
        cmocka_unit_test(members_may_stand_in_another_order),
        cmocka_unit_test(a_present_key_does_not_come_back_under_another_card),
        cmocka_unit_test(what_a_config_may_not_change_is_refused),
        cmocka_unit_test(administrators_need_more_than_half),
        cmocka_unit_test(a_config_signed_by_k_is_accepted_and_by_fewer_is_not),
        cmocka_unit_test(strangers_and_foreign_signatures_are_refused),
        cmocka_unit_test(a_config_must_follow_the_one_in_force),
        cmocka_unit_test(exactly_the_new_members_and_administrators_bring_cards),
        cmocka_unit_test(a_new_administrator_brings_a_card),
        cmocka_unit_test(enrolments_form_one_numbered_chain),
        cmocka_unit_test(every_flipped_bit_of_an_operation_is_refused),
        cmocka_unit_test(rights_have_one_encoding),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
