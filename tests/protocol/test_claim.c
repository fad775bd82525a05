/* Owner records and the successor statement (spec/system.md S-110 to S-112, S-140 to S-144). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/evidence.h"
#include "protocol/successor.h"
#include "tests/protocol/identity_fixture.h"

static struct fixture *fixture;

static int set_up(void **state) {
    (void)state;
    fixture = fixture_new(50, 1, 1, 4);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fixture_free(fixture);
    return 0;
}

static const struct card *node(void) { return &fixture->assembly->nodes[5]; } /* shard 0, member 1 */
static const struct ed25519_secret *owner(void) { return &fixture->owners[1][1].signing; }
static const uint8_t *system_id(void) { return fixture->assembly->system.system_id; }

static struct claim a_claim(void) {
    struct claim claim;
    memset(&claim, 0, sizeof claim);
    memcpy(claim.node_id, node()->id, 32);
    claim.number = 3;
    for (int i = 0; i < CLAIM_FIELDS; i++) (void)snprintf(claim.texts[i], sizeof claim.texts[i], "%s of mine", claim_field_name((enum claim_field)i));
    claim_sign(&claim, owner());
    return claim;
}

static void a_claim_is_its_owners_alone(void **state) {
    (void)state;
    struct claim claim = a_claim(), back;
    uint8_t bytes[CLAIM_BYTES_MAX + 1] = {0};
    size_t count = claim_encode(&claim, bytes);
    assert_int_equal(claim_decode(&back, bytes, count, NULL), SYSTEM_OK);
    assert_int_equal(claim_verify(&back, node(), NULL), SYSTEM_OK);
    assert_string_equal(back.texts[CLAIM_SITE], "site of mine");
    assert_int_equal(claim_verify(&back, &fixture->assembly->nodes[4], NULL), SYSTEM_FOREIGN);
    claim_sign(&claim, &fixture->nodes[1][1].signing); /* the node's key is not the owner's */
    assert_int_equal(claim_verify(&claim, node(), NULL), SYSTEM_SIGNATURE_INVALID);
    assert_int_equal(claim_decode(&back, bytes, count + 1, NULL), SYSTEM_TRUNCATED);
    for (size_t cut = 0; cut < count; cut++) assert_int_equal(claim_decode(&back, bytes, cut, NULL), SYSTEM_TRUNCATED);
    for (size_t bit = 0; bit < count * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(claim_decode(&back, bytes, count, NULL) == SYSTEM_OK && claim_verify(&back, node(), NULL) == SYSTEM_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void claims_are_bounded_at_their_limits(void **state) {
    (void)state;
    struct claim claim = a_claim(), back;
    uint8_t bytes[CLAIM_BYTES_MAX];
    for (int i = 0; i < CLAIM_FIELDS; i++) {
        memset(claim.texts[i], 'x', CLAIM_TEXT_BYTES_MAX);
        claim.texts[i][CLAIM_TEXT_BYTES_MAX] = 0;
    }
    claim_sign(&claim, owner());
    size_t count = claim_encode(&claim, bytes);
    assert_int_equal(count, CLAIM_BYTES_MAX);
    assert_int_equal(claim_decode(&back, bytes, count, NULL), SYSTEM_OK);
    bytes[48] = CLAIM_TEXT_BYTES_MAX + 1;
    assert_int_equal(claim_decode(&back, bytes, count, NULL), SYSTEM_TRUNCATED);
    bytes[48] = CLAIM_TEXT_BYTES_MAX;
    bytes[49] = 0x7F;
    assert_int_equal(claim_decode(&back, bytes, count, NULL), SYSTEM_TRUNCATED);
}

/* As they were before there was an image: a byte of the signature is no length of a text, or the signature ends too early. */
static void a_claim_of_seven_texts_is_none(void **state) {
    (void)state;
    struct claim claim = a_claim(), back;
    uint8_t bytes[CLAIM_BYTES_MAX];
    claim.texts[CLAIM_FIELDS - 1][0] = '\0';
    for (unsigned first = 0; first <= UINT8_MAX; first++) {
        memset(claim.signature, (int)first, sizeof claim.signature);
        size_t count = claim_encode(&claim, bytes), before = count - 65;
        memmove(bytes + before, bytes + before + 1, 64); /* the last text's length */
        assert_int_equal(claim_decode(&back, bytes, count - 1, NULL), SYSTEM_TRUNCATED);
    }
}

static void a_node_configuration_is_sorted_and_signed(void **state) {
    (void)state;
    struct claim_node_config *record = calloc(1, sizeof *record), *back = calloc(1, sizeof *back);
    uint8_t bytes[CLAIM_NODE_CONFIG_BYTES_MAX];
    assert_true(record && back);
    memcpy(record->system_id, system_id(), 16);
    memcpy(record->node_id, node()->id, 32);
    record->number = 1;
    record->settings_count = CLAIM_SETTINGS_MAX;
    for (int i = 0; i < CLAIM_SETTINGS_MAX; i++) {
        (void)snprintf(record->settings[i].name, sizeof record->settings[i].name, "name-%02d", i);
        (void)snprintf(record->settings[i].value, sizeof record->settings[i].value, "%0*d", i * 4, i);
    }
    claim_node_config_sign(record, owner());
    size_t count = claim_node_config_encode(record, bytes);
    assert_int_equal(claim_node_config_decode(back, bytes, count, NULL), SYSTEM_OK);
    assert_int_equal(claim_node_config_verify(back, system_id(), node(), NULL), SYSTEM_OK);
    uint8_t other[16] = {1};
    assert_int_equal(claim_node_config_verify(back, other, node(), NULL), SYSTEM_FOREIGN);
    for (size_t bit = 0; bit < count * 8; bit += 37) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(claim_node_config_decode(back, bytes, count, NULL) == SYSTEM_OK &&
                     claim_node_config_verify(back, system_id(), node(), NULL) == SYSTEM_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    memcpy(record->settings[1].name, "name-00", 8); /* twice */
    count = claim_node_config_encode(record, bytes);
    assert_int_equal(claim_node_config_decode(back, bytes, count, NULL), SYSTEM_TRUNCATED);
    free(record);
    free(back);
}

static void an_addresses_record_is_its_owners_alone(void **state) {
    (void)state;
    struct claim_addresses record, back;
    uint8_t bytes[CLAIM_ADDRESSES_BYTES_MAX];
    memset(&record, 0, sizeof record);
    memcpy(record.system_id, system_id(), 16);
    memcpy(record.node_id, node()->id, 32);
    record.number = UINT64_MAX;
    (void)snprintf(record.link_host, sizeof record.link_host, "node.example");
    record.link_port = 7000;
    claim_addresses_sign(&record, owner());
    size_t count = claim_addresses_encode(&record, bytes);
    assert_int_equal(claim_addresses_decode(&back, bytes, count, NULL), SYSTEM_OK);
    assert_int_equal(claim_addresses_verify(&back, system_id(), node(), NULL), SYSTEM_OK);
    for (size_t bit = 0; bit < count * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(claim_addresses_decode(&back, bytes, count, NULL) == SYSTEM_OK &&
                     claim_addresses_verify(&back, system_id(), node(), NULL) == SYSTEM_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    record.admin_port = 1; /* a port without a host */
    count = claim_addresses_encode(&record, bytes);
    assert_int_equal(claim_addresses_decode(&back, bytes, count, NULL), SYSTEM_TRUNCATED);
}

/* ---- succession ---- */

static struct claim_successor statement_of(const struct system *successor, uint32_t signatures) {
    struct claim_successor statement;
    memset(&statement, 0, sizeof statement);
    memcpy(statement.predecessor_id, system_id(), 16);
    memcpy(statement.successor_id, successor->system_id, 16);
    memcpy(statement.successor_hash, successor->file_hash, 32);
    for (uint32_t i = 0; i < signatures; i++) assert_true(claim_successor_sign(&statement, &fixture->admins[i].signing));
    return statement;
}

static void a_successor_is_named_by_k_administrators_of_the_old_system(void **state) {
    (void)state;
    struct config old;
    assert_true(system_config(&fixture->assembly->system, CONFIG_CLUSTER_SHARD, &old));
    struct fixture *next = fixture_new(51, 1, 1, 4);
    struct system *successor = &next->assembly->system;
    successor->succession = 1;
    memcpy(successor->predecessor_id, system_id(), 16);
    memcpy(successor->partition_key, old.partition_key, 16);
    next->assembly->shards[0].origin_height = 77;
    next->assembly->shards[0].origin_root[0] = 1;
    assert_int_equal(assembly_finish(next->assembly, NULL), SYSTEM_OK);
    struct claim_successor statement = statement_of(successor, 2), back;
    uint8_t bytes[CLAIM_SUCCESSOR_BYTES_MAX];
    size_t count = claim_successor_encode(&statement, bytes);
    assert_int_equal(claim_successor_decode(&back, bytes, count, NULL), SYSTEM_OK);
    assert_int_equal(claim_successor_verify(&back, &old, successor, NULL), SYSTEM_OK);
    for (size_t bit = 0; bit < count * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(claim_successor_decode(&back, bytes, count, NULL) == SYSTEM_OK &&
                     claim_successor_verify(&back, &old, successor, NULL) == SYSTEM_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    bytes[24] ^= 1;
    assert_int_equal(claim_successor_decode(&back, bytes, count, NULL), SYSTEM_ID_MISMATCH);
    bytes[24] ^= 1;
    memcpy(bytes + 72, bytes + 72 + 96, 96);
    assert_int_equal(claim_successor_decode(&back, bytes, count, NULL), SYSTEM_ORDER);
    assert_int_equal(claim_successor_decode(&back, bytes, count - 1, NULL), SYSTEM_TRUNCATED);
    assert_int_equal(successor_window_fits(&old, successor, NULL), SYSTEM_OK);
    old.limits.number_window += 16; /* its last CONFIG had raised it: records of such numbers would be looked for no more (S-144) */
    assert_int_equal(successor_window_fits(&old, successor, NULL), SYSTEM_LIMITS_CONFLICT);
    old.limits.number_window -= 16;
    back = statement_of(successor, 0);
    for (uint32_t i = 2; i-- > 0;) assert_true(claim_successor_signature_add(&back, &statement.signatures[i]));
    assert_true(claim_successor_signature_add(&back, &statement.signatures[1])); /* once more is no more */
    assert_int_equal(claim_successor_encode(&back, bytes), count);
    assert_int_equal(claim_successor_verify(&back, &old, successor, NULL), SYSTEM_OK);
    struct claim_signature other = statement.signatures[0];
    while (back.signatures_count < CONFIG_ADMINS_MAX) {
        other.key[0]++;
        assert_true(claim_successor_signature_add(&back, &other));
    }
    memset(other.key, 0xAA, sizeof other.key);
    assert_false(claim_successor_signature_add(&back, &other)); /* one past the limit */
    statement = statement_of(successor, 1);
    assert_int_equal(claim_successor_verify(&statement, &old, successor, NULL), SYSTEM_SIGNATURES_TOO_FEW);
    assert_true(claim_successor_sign(&statement, &fixture->clients[0].signing));
    assert_int_equal(claim_successor_verify(&statement, &old, successor, NULL), SYSTEM_SIGNATURE_INVALID);
    successor->partition_key[0] ^= 1; /* another partition: keys would move */
    assert_true(system_identify(successor));
    statement = statement_of(successor, 2);
    assert_int_equal(claim_successor_verify(&statement, &old, successor, NULL), SYSTEM_SERIAL);
    /* S-142: the file is judged before what the statement says of it. */
    statement.successor_hash[31] ^= 1;
    assert_int_equal(claim_successor_verify(&statement, &old, successor, NULL), SYSTEM_SERIAL);
    statement.predecessor_id[0] ^= 1;
    assert_int_equal(claim_successor_verify(&statement, &old, successor, NULL), SYSTEM_SERIAL);
    successor->predecessor_id[0] ^= 1;
    assert_int_equal(claim_successor_verify(&statement, &old, successor, NULL), SYSTEM_FOREIGN);
    successor->predecessor_id[0] ^= 1;
    successor->partition_key[0] ^= 1;
    assert_int_equal(claim_successor_verify(&statement, &old, successor, NULL), SYSTEM_FOREIGN);
    fixture_free(next);
}

static size_t two_successors(const struct system *a, uint32_t a_signatures, const struct system *b, uint32_t b_first, uint8_t *out, size_t room) {
    uint8_t bytes[2][CLAIM_SUCCESSOR_BYTES_MAX];
    struct claim_successor first = statement_of(a, a_signatures), second = statement_of(b, 0);
    for (uint32_t i = b_first; i < FIXTURE_ADMINS; i++) assert_true(claim_successor_sign(&second, &fixture->admins[i].signing));
    size_t first_bytes = claim_successor_encode(&first, bytes[0]), second_bytes = claim_successor_encode(&second, bytes[1]);
    struct bytes_writer writer = bytes_writer_of(out, room);
    evidence_put_successors(&writer, NULL, 0, bytes[0], first_bytes, bytes[1], second_bytes);
    assert_false(writer.failed);
    return writer.used;
}

/* Who signed a successor of this system and, rightly, that successor's own successor has signed no pair; nor is one made of it by naming this system
 * in the second. */
static void a_statement_of_another_system_is_no_second_one(void **state) {
    (void)state;
    struct config old;
    struct evidence evidence;
    struct system first = {.shards_count = 1}, later = {.shards_count = 1};
    uint8_t bytes[2 * CLAIM_SUCCESSOR_BYTES_MAX], one[CLAIM_SUCCESSOR_BYTES_MAX], two[CLAIM_SUCCESSOR_BYTES_MAX];
    uint32_t both;
    memset(first.system_id, 1, 16);
    memset(first.file_hash, 1, 32);
    memset(later.system_id, 2, 16);
    memset(later.file_hash, 2, 32);
    assert_true(system_config(&fixture->assembly->system, CONFIG_CLUSTER_SHARD, &old));
    struct claim_successor of_this = statement_of(&first, 2), of_that = statement_of(&later, 0);
    memcpy(of_that.predecessor_id, first.system_id, 16);
    for (uint32_t i = 0; i < 2; i++) assert_true(claim_successor_sign(&of_that, &fixture->admins[i].signing));
    memcpy(of_that.predecessor_id, of_this.predecessor_id, 16);
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    evidence_put_successors(&writer, NULL, 0, one, claim_successor_encode(&of_this, one), two, claim_successor_encode(&of_that, two));
    assert_int_equal(evidence_decode(bytes, writer.used, &evidence), EVIDENCE_OK);
    assert_int_equal(evidence_verify_successors(&evidence, &old, &both), EVIDENCE_BAD_SIGNATURE);
}

static void two_successors_convict_who_signed_both(void **state) {
    (void)state;
    struct config old;
    struct evidence evidence;
    uint8_t bytes[2 * CLAIM_SUCCESSOR_BYTES_MAX];
    uint32_t both;
    struct system first = {.shards_count = 1}, second = {.shards_count = 1};
    memset(first.system_id, 1, 16);
    memset(first.file_hash, 1, 32);
    memset(second.system_id, 2, 16);
    memset(second.file_hash, 2, 32);
    assert_true(system_config(&fixture->assembly->system, CONFIG_CLUSTER_SHARD, &old));
    size_t count = two_successors(&second, 2, &first, 1, bytes, sizeof bytes); /* by 0 and 1; by 1 and 2 */
    assert_int_equal(evidence_decode(bytes, count, &evidence), EVIDENCE_OK);
    assert_int_equal(evidence.kind, EVIDENCE_TWO_SUCCESSORS);
    assert_int_equal(evidence_verify_successors(&evidence, &old, &both), EVIDENCE_OK);
    assert_int_equal(__builtin_popcount(both), 1);
    for (uint32_t i = 0; i < old.admins_count; i++)
        assert_int_equal(both >> i & 1, memcmp(old.admins[i].key, fixture->admins[1].signing_key, 32) == 0);
    for (size_t bit = 0; bit < count * 8; bit += 7) { /* no bit of it may be another */
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(evidence_decode(bytes, count, &evidence) == EVIDENCE_OK && evidence.kind == EVIDENCE_TWO_SUCCESSORS &&
                     evidence_verify_successors(&evidence, &old, &both) == EVIDENCE_OK);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t shorter = 0; shorter < count; shorter++) assert_int_not_equal(evidence_decode(bytes, shorter, &evidence), EVIDENCE_OK);
    count = two_successors(&first, 1, &second, 1, bytes, sizeof bytes); /* one is not signed well enough */
    assert_int_equal(evidence_decode(bytes, count, &evidence), EVIDENCE_OK);
    assert_int_equal(evidence_verify_successors(&evidence, &old, &both), EVIDENCE_BAD_SIGNER);
    old.system_id[0] ^= 1;
    assert_int_equal(evidence_verify_successors(&evidence, &old, &both), EVIDENCE_BAD_SIGNER);
}

static void of_an_origin_the_users_table_and_the_outcomes_are_kept(void **state) {
    (void)state;
    static const uint8_t key[41] = "w";
    struct checkpoint_entry entry = {.space = TRIE_SPACE_USER, .key = key, .key_bytes = 1};
    assert_true(successor_keeps(&entry)); /* a user's key may be any */
    entry.space = TRIE_SPACE_SYSTEM;
    assert_false(successor_keeps(&entry));
    entry.key_bytes = 33;
    assert_true(successor_keeps(&entry));
    uint8_t other[41] = "r";
    entry.key = other;
    assert_false(successor_keeps(&entry));
    entry.key_bytes = 41;
    assert_true(successor_keeps(&entry));
    for (const char *dropped = "cqugmknefb"; *dropped; dropped++) {
        other[0] = (uint8_t)*dropped;
        entry.key_bytes = 33;
        assert_false(successor_keeps(&entry));
        entry.key_bytes = 41;
        assert_false(successor_keeps(&entry));
    }
}

static void a_successor_without_a_root_for_each_shard_is_no_system(void **state) {
    (void)state;
    struct fixture *next = fixture_new(52, 1, 1, 4);
    next->assembly->system.succession = 1;
    memcpy(next->assembly->system.predecessor_id, system_id(), 16);
    assert_int_equal(assembly_finish(next->assembly, NULL), SYSTEM_FIELD_RANGE);
    next->assembly->shards[0].origin_height = UINT64_C(1) << 48; /* a height of the successor itself */
    next->assembly->shards[0].origin_root[0] = 1;
    assert_int_equal(assembly_finish(next->assembly, NULL), SYSTEM_FIELD_RANGE);
    next->assembly->shards[0].origin_height--;
    assert_int_equal(assembly_finish(next->assembly, NULL), SYSTEM_OK);
    fixture_free(next);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_claim_is_its_owners_alone),
        cmocka_unit_test(claims_are_bounded_at_their_limits),
        cmocka_unit_test(a_claim_of_seven_texts_is_none),
        cmocka_unit_test(a_node_configuration_is_sorted_and_signed),
        cmocka_unit_test(an_addresses_record_is_its_owners_alone),
        cmocka_unit_test(a_successor_is_named_by_k_administrators_of_the_old_system),
        cmocka_unit_test(two_successors_convict_who_signed_both),
        cmocka_unit_test(a_statement_of_another_system_is_no_second_one),
        cmocka_unit_test(of_an_origin_the_users_table_and_the_outcomes_are_kept),
        cmocka_unit_test(a_successor_without_a_root_for_each_shard_is_no_system),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
