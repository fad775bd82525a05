/* The chain of CONFIGs (spec/system.md S-100 to S-105): each step certified by the epoch before, from the system file on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/body.h"
#include "protocol/config_chain.h"
#include "tests/protocol/identity_fixture.h"

enum { SHARD = CONFIG_CLUSTER_SHARD, ROOM = 1 << 17, Q = 3 };

static struct fixture *fixture;
static struct signer verifier;
static struct config_chain *chain;

static int set_up(void **state) {
    (void)state;
    fixture = fixture_new(40, 1, 1, 4);
    verifier = signer_ed25519(NULL);
    chain = calloc(1, sizeof *chain);
    return chain ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    free(chain);
    fixture_free(fixture);
    return 0;
}

static struct admin_op *config_op(const struct config *before, int spare) {
    struct admin_op *op = calloc(1, sizeof *op);
    CHECK(op);
    fixture_config_op(fixture, before, spare, op);
    fixture_sign(fixture, op, 2);
    return op;
}

static size_t entry_make(const struct bft_members *members, struct admin_op *op, uint64_t height, uint32_t signers, uint8_t *out) {
    return fixture_chain_entry(fixture, 1, members, op, height, signers, out, ROOM);
}

static void begin(void) {
    assert_true(config_chain_genesis(chain, &fixture->assembly->system, SHARD));
}

static uint8_t entry[ROOM];

static void a_certified_config_begins_the_next_epoch(void **state) {
    (void)state;
    begin();
    assert_true(chain->members.place.epoch == 0 && chain->members.n == 4 && chain->before.n == 0);
    struct admin_op *op = config_op(&chain->config, 0);
    size_t count = entry_make(&chain->members, op, 10, Q, entry);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_OK);
    assert_true(chain->members.place.epoch == 1 && chain->members.start.height == 10 && chain->members.height_last == UINT64_MAX);
    assert_true(chain->before.place.epoch == 0 && chain->before.height_last == 10);
    assert_memory_equal(chain->members.keys[3], fixture->spare_cards[0].signing_key, 32);
    assert_false(bft_hash_equal(&chain->members.place.config_hash, &chain->before.place.config_hash));
    free(op);
}

static void what_the_epoch_did_not_certify_is_refused(void **state) {
    (void)state;
    begin();
    struct admin_op *op = config_op(&chain->config, 0);
    size_t count = entry_make(&chain->members, op, 10, Q - 1, entry); /* quorum short by one */
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_CERTIFICATE);
    struct bft_members other = chain->members;
    other.place.epoch = 1;
    count = entry_make(&other, op, 10, Q, entry);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_CERTIFICATE);
    other = chain->members;
    other.place.cluster = CONFIG_CLUSTER_COORDINATOR;
    count = entry_make(&other, op, 10, Q, entry);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_CERTIFICATE);
    count = entry_make(&chain->members, op, 0, Q, entry); /* at genesis' height */
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_CERTIFICATE);
    op->signatures_count = 1; /* the administrators' k, too */
    count = entry_make(&chain->members, op, 10, Q, entry);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_SIGNATURES_TOO_FEW);
    assert_true(chain->members.place.epoch == 0);
    free(op);
}

/* D-32, by the system file: such a CONFIG can lie in a certified block, has no effect there, and begins no epoch. */
static void a_config_that_had_no_effect_is_no_step(void **state) {
    (void)state;
    begin();
    struct system_limits now = chain->config.limits, wrong[] = {now, now, now, now, now, now, now, now, now};
    wrong[0].slice_bytes_max -= 16;
    wrong[1].slice_ops_max -= 1;
    wrong[2].number_window -= 16;
    wrong[3].block_input_bytes_max += 1;
    wrong[4].credit_ops += 1;
    wrong[5].credit_bytes += 1;
    wrong[6].table_keys_max += 1;
    wrong[7].table_bytes_max += 1;
    wrong[8].clients_max += 1;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct admin_op *op = config_op(&chain->config, -1);
        op->config.limits = wrong[i];
        op->signatures_count = 0;
        fixture_sign(fixture, op, 2);
        size_t count = entry_make(&chain->members, op, 10, Q, entry);
        assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_LIMITS_CONFLICT);
        assert_true(chain->members.place.epoch == 0);
        free(op);
    }
    struct admin_op *op = config_op(&chain->config, -1);
    op->config.limits.number_window += 16;
    op->config.limits.credit_ops -= 1;
    op->signatures_count = 0;
    fixture_sign(fixture, op, 2);
    size_t count = entry_make(&chain->members, op, 10, Q, entry);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_OK);
    fixture_config_op(fixture, &chain->config, -1, op);
    op->config.limits = now; /* the file's again: credit_ops rises up to it, the window sinks below the one in force */
    fixture_sign(fixture, op, 2);
    count = entry_make(&chain->members, op, 15, Q, entry);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_LIMITS_CONFLICT);
    op->config.limits.number_window += 16;
    op->signatures_count = 0;
    fixture_sign(fixture, op, 2);
    count = entry_make(&chain->members, op, 15, Q, entry);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_OK);
    free(op);
}

static void another_operation_than_the_bodys_is_refused(void **state) {
    (void)state;
    begin();
    struct admin_op *decided = config_op(&chain->config, 0), *shown = config_op(&chain->config, 1);
    static uint8_t other[ROOM];
    size_t count = entry_make(&chain->members, decided, 10, Q, entry), other_count = entry_make(&chain->members, shown, 10, Q, other);
    assert_int_equal(count, other_count); /* same lengths: graft the shown operation between the decided block's parts */
    size_t operation_at = BFT_HEADER_BYTES + 4 + 4 + 2 * BODY_REFERENCE_BYTES + 4;
    memcpy(entry + operation_at, other + operation_at, entry[operation_at - 4] + 256u * entry[operation_at - 3]);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_CERTIFICATE);
    free(decided);
    free(shown);
}

/* S-101: lengths, the certificate's form, the operation's. */
static void form_is_judged_from_the_outside_in(void **state) {
    (void)state;
    begin();
    struct admin_op *op = config_op(&chain->config, 0);
    size_t certificate_bytes, count = entry_make(&chain->members, op, 10, Q, entry);
    uint32_t body_bytes = bytes_get_le32(entry + BFT_HEADER_BYTES);
    uint8_t *operation = entry + BFT_HEADER_BYTES + 4 + body_bytes + 4;
    uint8_t *certificate = entry + (config_chain_entry_certificate(entry, count, &certificate_bytes) - entry);
    operation[1] = 2;
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_FORMAT_UNKNOWN);
    certificate[0] = 3;
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_CERTIFICATE);
    bytes_put_le32(entry + BFT_HEADER_BYTES, BFT_BODY_BYTES_MAX + 1);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_TRUNCATED);
    free(op);
}

static void every_sampled_flip_of_an_entry_is_refused(void **state) {
    (void)state;
    begin();
    struct admin_op *op = config_op(&chain->config, 0);
    size_t count = entry_make(&chain->members, op, 10, Q, entry);
    for (size_t bit = 0; bit < count * 8; bit += 13) {
        entry[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (config_chain_step(chain, entry, count, &verifier, NULL) == SYSTEM_OK) fail_msg("bit %zu of %zu", bit, count * 8);
        entry[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_int_equal(config_chain_step(chain, entry, count - 1, &verifier, NULL), SYSTEM_TRUNCATED);
    assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_OK);
    free(op);
}

/* A payload of three steps: a member, a limit, SEAL. */
static size_t payload_make(uint8_t *payload, bool with_seal) {
    begin();
    struct bytes_writer writer = bytes_writer_of(payload, 3 * ROOM);
    config_chain_head_encode(&writer, SHARD, with_seal ? 3 : 2, 1);
    for (int i = 0; i < (with_seal ? 3 : 2); i++) {
        struct admin_op *op = config_op(&chain->config, i == 0 ? 0 : -1);
        if (i == 2) {
            op->kind = ADMIN_OP_SEAL;
            op->signatures_count = 0;
            fixture_sign(fixture, op, 2);
        }
        size_t count = entry_make(&chain->members, op, 10 + (uint64_t)i * 5, Q, entry);
        bytes_put_u32(&writer, (uint32_t)count);
        bytes_put_raw(&writer, entry, count);
        assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_OK);
        free(op);
    }
    assert_false(writer.failed);
    return writer.used;
}

static uint8_t payload[3 * ROOM];

static void a_chain_leads_to_any_epoch_and_bounds_the_old_ones(void **state) {
    (void)state;
    size_t count = payload_make(payload, false);
    struct bft_members members;
    const struct system *system = &fixture->assembly->system;
    assert_int_equal(config_chain_members(chain, system, SHARD, payload, count, 0, &verifier, &members, NULL), SYSTEM_OK);
    assert_true(members.place.epoch == 0 && members.height_last == 10);
    assert_int_equal(config_chain_members(chain, system, SHARD, payload, count, 1, &verifier, &members, NULL), SYSTEM_OK);
    assert_true(members.place.epoch == 1 && members.start.height == 10 && members.height_last == 15);
    assert_int_equal(config_chain_members(chain, system, SHARD, payload, count, 2, &verifier, &members, NULL), SYSTEM_OK);
    assert_true(members.place.epoch == 2 && members.height_last == UINT64_MAX);
    assert_int_equal(config_chain_members(chain, system, SHARD, payload, count, 3, &verifier, &members, NULL), SYSTEM_SERIAL);
    payload[count - 5] ^= 1; /* the last signature of the last entry: epochs 1 and 2 hang on it, epoch 0 ends with the entry before (S-104) */
    assert_int_equal(config_chain_members(chain, system, SHARD, payload, count, 0, &verifier, &members, NULL), SYSTEM_OK);
    assert_true(members.height_last == 10);
    assert_int_equal(config_chain_members(chain, system, SHARD, payload, count, 1, &verifier, &members, NULL), SYSTEM_CERTIFICATE);
    payload[count - 5] ^= 1;
    assert_int_equal(config_chain_members(chain, system, SHARD, payload, count - 1, 0, &verifier, &members, NULL), SYSTEM_TRUNCATED);
    assert_int_equal(config_chain_members(chain, system, SHARD, NULL, 0, 0, &verifier, &members, NULL), SYSTEM_OK); /* no chain: genesis */
    assert_int_equal(config_chain_members(chain, system, SHARD, NULL, 0, 1, &verifier, &members, NULL), SYSTEM_SERIAL);
    assert_int_equal(config_chain_members(chain, system, SHARD + 1, NULL, 0, 0, &verifier, &members, NULL), SYSTEM_FOREIGN);
}

/* What a receipt carries after years: more steps than one would make in a test of anything else. */
static void a_payload_takes_as_many_steps_as_it_says_it_may(void **state) {
    (void)state;
    enum { STEPS = 300, STEP_ROOM = 8192 };
    static uint8_t many[CONFIG_CHAIN_HEAD_BYTES + STEPS * STEP_ROOM];
    begin();
    struct bytes_writer writer = bytes_writer_of(many, sizeof many);
    config_chain_head_encode(&writer, SHARD, STEPS, 1);
    for (uint64_t i = 0; i < STEPS; i++) {
        struct admin_op *op = config_op(&chain->config, -1);
        size_t count = entry_make(&chain->members, op, 10 + i, Q, entry);
        bytes_put_u32(&writer, (uint32_t)count);
        bytes_put_raw(&writer, entry, count);
        assert_int_equal(config_chain_step(chain, entry, count, &verifier, NULL), SYSTEM_OK);
        free(op);
    }
    assert_false(writer.failed);
    struct bft_members members;
    const struct system *system = &fixture->assembly->system;
    assert_int_equal(config_chain_members(chain, system, SHARD, many, writer.used, STEPS, &verifier, &members, NULL), SYSTEM_OK);
    assert_true(members.place.epoch == STEPS && members.start.height == 10 + STEPS - 1);
    begin();
    assert_int_equal(config_chain_extend(chain, many, writer.used, &verifier, NULL), SYSTEM_OK);
    struct config_chain_reader reader;
    bytes_put_le32(many + 4, CONFIG_CHAIN_ENTRIES_MAX);
    assert_int_equal(config_chain_read(&reader, SHARD, many, writer.used, NULL), SYSTEM_OK);
    bytes_put_le32(many + 4, CONFIG_CHAIN_ENTRIES_MAX + 1);
    assert_int_equal(config_chain_read(&reader, SHARD, many, writer.used, NULL), SYSTEM_TRUNCATED);
}

static void what_is_known_is_skipped_and_a_gap_is_refused(void **state) {
    (void)state;
    size_t count = payload_make(payload, false);
    begin();
    assert_int_equal(config_chain_extend(chain, payload, count, &verifier, NULL), SYSTEM_OK);
    assert_int_equal(config_chain_extend(chain, payload, count, &verifier, NULL), SYSTEM_OK); /* again: nothing new */
    assert_true(chain->members.place.epoch == 2);
    begin();
    payload[8] = 2; /* first serial 2: its first entry would be missing */
    assert_int_equal(config_chain_extend(chain, payload, count, &verifier, NULL), SYSTEM_SERIAL);
    payload[8] = 0;
    assert_int_equal(config_chain_extend(chain, payload, count, &verifier, NULL), SYSTEM_TRUNCATED);
    payload[8] = 1;
    payload[0] = 1; /* shard 1 */
    assert_int_equal(config_chain_extend(chain, payload, count, &verifier, NULL), SYSTEM_FOREIGN);
    payload[0] = 0;
    payload[count] = 0;
    assert_int_equal(config_chain_extend(chain, payload, count + 1, &verifier, NULL), SYSTEM_TRUNCATED);
    for (size_t cut = 1; cut < 64; cut++) {
        begin();
        assert_int_not_equal(config_chain_extend(chain, payload, cut, &verifier, NULL), SYSTEM_OK);
    }
}

static void nothing_follows_a_seal(void **state) {
    (void)state;
    size_t count = payload_make(payload, true);
    assert_true(chain->sealed && chain->members.place.epoch == 2 && chain->members.height_last == 20);
    struct admin_op *op = config_op(&chain->config, -1);
    size_t entry_count = entry_make(&chain->members, op, 25, Q, entry);
    assert_int_equal(config_chain_step(chain, entry, entry_count, &verifier, NULL), SYSTEM_SERIAL);
    struct bft_members members;
    assert_int_equal(config_chain_members(chain, &fixture->assembly->system, SHARD, payload, count, 2, &verifier, &members, NULL), SYSTEM_OK);
    assert_true(members.height_last == 20);
    free(op);
}

static void queries_have_one_encoding(void **state) {
    (void)state;
    uint8_t bytes[CONFIG_QUERY_BYTES];
    uint32_t cluster;
    uint64_t from;
    config_query_encode(SHARD, 7, bytes);
    assert_true(config_query_decode(bytes, sizeof bytes, &cluster, &from));
    assert_true(cluster == SHARD && from == 7);
    assert_false(config_query_decode(bytes, sizeof bytes - 1, &cluster, &from));
    bytes[4] = 1;
    assert_false(config_query_decode(bytes, sizeof bytes, &cluster, &from));
    bytes[4] = 0;
    bytes[8] = 0;
    assert_false(config_query_decode(bytes, sizeof bytes, &cluster, &from));
    bytes[8] = 1;
    bytes[2] = 3;
    assert_false(config_query_decode(bytes, sizeof bytes, &cluster, &from));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certified_config_begins_the_next_epoch),
        cmocka_unit_test(what_the_epoch_did_not_certify_is_refused),
        cmocka_unit_test(a_config_that_had_no_effect_is_no_step),
        cmocka_unit_test(another_operation_than_the_bodys_is_refused),
        cmocka_unit_test(form_is_judged_from_the_outside_in),
        cmocka_unit_test(every_sampled_flip_of_an_entry_is_refused),
        cmocka_unit_test(a_chain_leads_to_any_epoch_and_bounds_the_old_ones),
        cmocka_unit_test(a_payload_takes_as_many_steps_as_it_says_it_may),
        cmocka_unit_test(what_is_known_is_skipped_and_a_gap_is_refused),
        cmocka_unit_test(nothing_follows_a_seal),
        cmocka_unit_test(queries_have_one_encoding),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
