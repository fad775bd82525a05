/* Clients and CONFIG in the state: D-30 to D-34, O-45, D-4.3. Real keys and signatures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "merkle/tree.h"
#include "protocol/admin_op.h"
#include "tests/appliance/exec_world.h"
#include "tests/protocol/identity_fixture.h"

static struct fixture *fixture;
static struct world *world;
static struct world_cluster *coordinator, *shard;
static struct admin_op op;
static uint8_t bytes[ADMIN_OP_BYTES_MAX];
static uint64_t serial;
static uint8_t last[32];

static int setup(void **state) {
    (void)state;
    fixture = fixture_new(11, 1, 1, 4);
    world = calloc(1, sizeof *world);
    CHECK(world);
    world->system = fixture->assembly->system;
    world->coordinators = world->shards = 1;
    for (uint32_t i = 0; i < 2; i++) world->clusters_of_system[i] = world->system.clusters[i];
    for (uint32_t i = 0; i < FIXTURE_CLIENTS; i++) world->clients[i].card = fixture->client_cards[i];
    world_start(world);
    coordinator = world_coordinator(world, 0);
    shard = world_shard(world, 0);
    serial = 0;
    memcpy(last, world->system.file_hash, 32);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    world_destroy(world);
    fixture_free(fixture);
    return 0;
}

static void enrolment_begin(enum admin_op_kind kind, const uint8_t client_id[32]) {
    memset(&op, 0, sizeof op);
    op.kind = kind;
    memcpy(op.system_id, world->system.system_id, 16);
    op.serial = serial + 1;
    memcpy(op.predecessor, last, 32);
    if (client_id) memcpy(op.client_id, client_id, 32);
}

/* Signs, decides at the coordinator; true: it had an effect. */
static bool decide(uint32_t signatures) {
    static uint8_t unsigned_bytes[ADMIN_OP_BYTES_MAX];
    admin_op_encode(&op, unsigned_bytes); /* sets the hash that is signed */
    fixture_sign(fixture, &op, signatures);
    size_t count = admin_op_encode(&op, bytes);
    world_admin(coordinator, bytes, count);
    world_block(world, coordinator, 1);
    bool effect = coordinator->result.counts.garbage == 0;
    if (effect && op.kind >= ADMIN_OP_ENROL) {
        serial++;
        memcpy(last, op.hash, 32);
    }
    return effect;
}

static uint8_t put_code(uint32_t client, uint64_t number, const char *key) {
    struct operation put = op_put(key, "1");
    struct world_part part = {.client = client, .kind = BATCH_WRITE, .number = number, .floor = 1, .op_count = 1, .ops = &put};
    return world_ask(world, &part)->code;
}

static void genesis_has_the_clients_of_the_system_file(void **state) {
    (void)state;
    struct exec_client client;
    for (uint32_t i = 0; i < FIXTURE_CLIENTS; i++) {
        assert_int_equal(executor_client(coordinator->ex, fixture->client_cards[i].id, &client), EXEC_VALID);
        assert_memory_equal(client.signing_key, fixture->client_cards[i].signing_key, 32);
        assert_memory_equal(client.noise_key, fixture->client_cards[i].noise_key, 32);
        assert_false(client.revoked);
        assert_int_equal(client.quota_per_second, i == 2 ? 100 : 0);
        assert_int_equal(client.rights_count, i == 2 ? 2 : 1);
        assert_int_equal(client.serial, 0);
    }
    assert_int_equal(executor_client(coordinator->ex, last, &client), EXEC_NOT_FOUND);
    assert_int_equal(put_code(1, 1, "a/x"), CODE_OK);
    assert_int_equal(put_code(1, 2, "b/x"), CODE_RIGHTS);
    assert_int_equal(put_code(2, 1, "b/x"), CODE_OK);
}

/* CLIENT-STATE has no key: whose numbers they are counts (O-30.3). */
static void numbers_of_others_are_for_those_who_may_read_every_key(void **state) {
    (void)state;
    static const struct {
        uint32_t asker, of;
        uint8_t code;
        const char *key;
    } cases[] = {{1, 1, CODE_OK, "a/x"}, {1, 0, CODE_RIGHTS, "a/x"}, {2, 1, CODE_OK, "b/x"}, {0, 2, CODE_OK, "x"}};
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct operation ops[2] = {op_put(cases[i].key, "1"), op_client_state(fixture->client_cards[cases[i].of].id)};
        struct world_part part = {.client = cases[i].asker, .kind = BATCH_WRITE, .number = 1 + i, .floor = 1, .op_count = 2, .ops = ops};
        assert_int_equal(world_ask(world, &part)->code, cases[i].code);
    }
}

static void enrol(void **state) {
    (void)state;
    struct keyfile key;
    enrolment_begin(ADMIN_OP_ENROL, NULL);
    fixture_enroll(fixture, KEYFILE_CLIENT, "late", &key, NULL, &op.client);
    op.rights_count = 1;
    op.rights[0] = (struct system_right){.flags = 3, .prefix_bytes = 1, .prefix = "z"};
    struct card card = op.client;
    assert_true(decide(2));
    world->clients[3].card = card;
    assert_int_equal(put_code(3, 1, "zebra"), CODE_OK);
    assert_int_equal(put_code(3, 2, "ape"), CODE_RIGHTS);
    struct exec_client client;
    assert_int_equal(executor_client(coordinator->ex, card.id, &client), EXEC_VALID);
    assert_int_equal(client.serial, 1);
    enrolment_begin(ADMIN_OP_ENROL, NULL); /* the same key again */
    op.client = card;
    assert_false(decide(2));
}

static void what_does_not_fit_has_no_effect(void **state) {
    (void)state;
    const uint8_t *id = fixture->client_cards[0].id;
    uint8_t root[32];
    memcpy(root, coordinator->root, 32);
    enrolment_begin(ADMIN_OP_REVOKE, id);
    assert_false(decide(1)); /* k = 2 */
    enrolment_begin(ADMIN_OP_REVOKE, id);
    op.serial = 2;
    assert_false(decide(2));
    enrolment_begin(ADMIN_OP_REVOKE, id);
    op.predecessor[0] ^= 1;
    assert_false(decide(2));
    enrolment_begin(ADMIN_OP_REVOKE, id);
    op.system_id[0] ^= 1;
    assert_false(decide(2));
    enrolment_begin(ADMIN_OP_REVOKE, last); /* nobody */
    assert_false(decide(2));
    assert_memory_equal(coordinator->root, root, 32);
    assert_int_equal(put_code(0, 1, "x"), CODE_OK);
}

static void change(void **state) {
    (void)state;
    enrolment_begin(ADMIN_OP_CHANGE, fixture->client_cards[0].id);
    op.rights_count = 1;
    op.rights[0] = (struct system_right){.flags = 1};
    op.quota_per_second = 7;
    op.quota_burst = 9;
    assert_true(decide(3));
    assert_int_equal(put_code(0, 1, "x"), CODE_RIGHTS);
    struct exec_client client;
    assert_int_equal(executor_client(coordinator->ex, fixture->client_cards[0].id, &client), EXEC_VALID);
    assert_int_equal(client.quota_per_second, 7);
    assert_int_equal(client.quota_burst, 9);
    assert_memory_equal(client.signing_key, fixture->client_cards[0].signing_key, 32);
}

static bool closed_at_the_shard(const uint8_t client_id[32]) {
    uint64_t cursor = 0;
    struct table_entry entry;
    while (executor_entry_next(shard->ex, &cursor, &entry))
        if (entry.space == TRIE_SPACE_SYSTEM && entry.key_bytes == 33 && entry.key[0] == 'w' && memcmp(entry.key + 1, client_id, 32) == 0)
            return entry.value[16] == 1;
    return false;
}

static void revoke_reaches_the_shards(void **state) {
    (void)state;
    const uint8_t *id = fixture->client_cards[0].id;
    assert_int_equal(put_code(0, 1, "x"), CODE_OK);
    struct operation put = op_put("y", "1");
    struct world_part part = {.kind = BATCH_WRITE, .number = 2, .floor = 1, .op_count = 1, .ops = &put};
    uint8_t digest[32];
    enrolment_begin(ADMIN_OP_REVOKE, id);
    assert_true(decide(2));
    assert_int_equal(put_code(0, 2, "x"), CODE_REVOKED);
    assert_true(closed_at_the_shard(id));
    assert_false(closed_at_the_shard(fixture->client_cards[1].id));
    enrolment_begin(ADMIN_OP_REVOKE, id);
    assert_false(decide(2)); /* for good */
    enrolment_begin(ADMIN_OP_CHANGE, id);
    assert_false(decide(2));
    /* A coordinator cluster that has not heard: its write item is refused at the shard. */
    uint8_t slice[256], *item = slice + SLICE_HEAD_BYTES;
    uint32_t batch_bytes;
    uint8_t *batch = world_batch(world, &part, &batch_bytes, digest);
    uint32_t ops_bytes = batch_bytes - 64 - 32 - 64;
    slice_head_encode(slice, 1, 0);
    slice_item_head_encode(item, SLICE_WRITE_HEAD_BYTES + ops_bytes, SLICE_WRITE);
    slice_write_head_encode(item + 8, id, 2, 1, digest, 0, 1);
    memcpy(item + 8 + SLICE_WRITE_HEAD_BYTES, batch + 96, ops_bytes);
    free(batch);
    world_forge(world, shard, coordinator->cluster, slice, SLICE_HEAD_BYTES + 8 + SLICE_WRITE_HEAD_BYTES + ops_bytes);
    world_block(world, shard, 20);
    assert_int_equal(shard->result.counts.parts_refused, 1);
    assert_int_equal(coordinator->inbox_count, 1);
    struct slice answer_slice;
    struct slice_item answer_item;
    size_t at = 0;
    uint32_t index = 0;
    assert_true(slice_decode(coordinator->inbox[0].bytes, coordinator->inbox[0].byte_count, &answer_slice));
    assert_true(slice_item_next(&answer_slice, &at, &index, &answer_item));
    assert_int_equal(answer_item.body[SLICE_ANSWER_HEAD_BYTES], CODE_REVOKED);
    world_consumed(coordinator);
}

static void a_forged_revocation_is_refused_by_the_shard(void **state) {
    (void)state;
    const uint8_t *id = fixture->client_cards[0].id;
    static uint8_t slice[ADMIN_OP_BYTES_MAX + 64];
    enrolment_begin(ADMIN_OP_REVOKE, id);
    admin_op_encode(&op, bytes);
    fixture_sign(fixture, &op, 2);
    op.signatures[0].signature[5] ^= 1;
    size_t count = admin_op_encode(&op, bytes);
    slice_head_encode(slice, 1, 0);
    slice_item_head_encode(slice + 16, (uint32_t)count, SLICE_REVOKE);
    memcpy(slice + 24, bytes, count);
    world_forge(world, shard, coordinator->cluster, slice, 24 + (uint32_t)count);
    world_block(world, shard, 1);
    assert_int_equal(shard->result.counts.garbage, 1);
    assert_false(closed_at_the_shard(id));
}

static void config_takes_effect_and_the_other_half_hears(void **state) {
    (void)state;
    struct exec_pair pair;
    fixture_config_op(fixture, executor_cluster_config(coordinator->ex), 0, &op);
    assert_true(decide(2));
    const struct config *config = executor_cluster_config(coordinator->ex);
    assert_int_equal(config->members.serial, 1);
    assert_memory_equal(config->members.members[3].node_id, fixture->spare_cards[0].id, 32);
    world_settle(world);
    assert_int_equal(executor_pair(shard->ex, coordinator->cluster, true, &pair), EXEC_VALID);
    assert_int_equal(pair.epoch, 1);
    fixture_config_op(fixture, config, -1, &op); /* and the next one, known by the first */
    assert_true(decide(2));
    world_settle(world);
    assert_int_equal(executor_pair(shard->ex, coordinator->cluster, true, &pair), EXEC_VALID);
    assert_int_equal(pair.epoch, 2);
}

/* A certified slice of one item: this CONFIG of the coordinator cluster, signed by two. The epoch in which the shard holds it to be then. */
static uint64_t item_taken(uint64_t now_ms) {
    static uint8_t slice[ADMIN_OP_BYTES_MAX + 64];
    struct exec_pair pair;
    admin_op_encode(&op, bytes);
    fixture_sign(fixture, &op, 2);
    size_t count = admin_op_encode(&op, bytes);
    slice_head_encode(slice, 1, 0);
    slice_item_head_encode(slice + 16, (uint32_t)count, SLICE_CONFIG);
    memcpy(slice + 24, bytes, count);
    world_forge(world, shard, coordinator->cluster, slice, 24 + (uint32_t)count);
    world_block(world, shard, now_ms);
    assert_int_equal(executor_pair(shard->ex, coordinator->cluster, true, &pair), EXEC_VALID);
    return pair.epoch;
}

/* D-30: as in the chain, what had no effect at the source is no step here. */
static void a_config_item_is_held_against_the_limits_that_may_follow(void **state) {
    (void)state;
    const struct config *config = executor_cluster_config(coordinator->ex);
    const struct system_limits now = config->limits;
    struct system_limits wrong[] = {now, now, now, now};
    wrong[0].slice_bytes_max -= 16;
    wrong[1].number_window -= 16;
    wrong[2].credit_ops += 1;
    wrong[3].clients_max += 1;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        fixture_config_op(fixture, config, -1, &op);
        op.config.limits = wrong[i];
        assert_int_equal(item_taken(i + 1), 0);
        assert_int_equal(shard->result.counts.garbage, 1);
    }
    fixture_config_op(fixture, config, -1, &op);
    op.config.limits.number_window += 16;
    assert_int_equal(item_taken(10), 1);
    struct config first = op.config;
    fixture_config_op(fixture, &first, -1, &op); /* by the CONFIG known by now, not by the system file's */
    op.config.limits.number_window = now.number_window;
    assert_int_equal(item_taken(11), 1);
    fixture_config_op(fixture, &first, -1, &op);
    assert_int_equal(item_taken(12), 2);
}

static void config_is_the_last_reference_and_rolls_back(void **state) {
    (void)state;
    static uint8_t other[ADMIN_OP_BYTES_MAX];
    fixture_config_op(fixture, executor_cluster_config(coordinator->ex), -1, &op);
    admin_op_encode(&op, bytes);
    fixture_sign(fixture, &op, 2);
    size_t count = admin_op_encode(&op, bytes);
    static const uint8_t zeros[32];
    struct exec_ref refs[2] = {{.kind = 3, .hash = zeros, .bytes = bytes, .byte_count = (uint32_t)count}, {.kind = 4}};
    struct exec_block block = {.ticket = 9, .height = 1, .time = 1, .refs = refs, .ref_count = 2};
    struct exec_result result;
    assert_int_equal(executor_execute(coordinator->ex, &block, &result), EXEC_BAD_ORDER);
    assert_int_equal(executor_cluster_config(coordinator->ex)->members.serial, 0);
    block.ref_count = 1;
    assert_int_equal(executor_execute(coordinator->ex, &block, &result), EXEC_VALID);
    assert_int_equal(executor_cluster_config(coordinator->ex)->limits.window_blocks, 8);
    assert_int_equal(executor_rollback(coordinator->ex, 0), EXEC_VALID);
    assert_int_equal(executor_cluster_config(coordinator->ex)->limits.window_blocks, world->system.limits.window_blocks);
    memcpy(other, bytes, count); /* of another cluster: no effect */
    refs[0].bytes = other;
    uint8_t root[32], after[32];
    executor_state_root(shard->ex, root);
    assert_int_equal(executor_execute(shard->ex, &block, &result), EXEC_VALID);
    assert_int_equal(result.counts.garbage, 1);
    executor_state_root(shard->ex, after);
    assert_memory_equal(root, after, 32);
}

/* CONFIG or SEAL, signed by so many, as the only reference of the block after genesis. */
static void ended_by(uint8_t kind, uint32_t signatures, struct exec_result *result) {
    static const uint8_t zeros[32];
    fixture_config_op(fixture, executor_cluster_config(coordinator->ex), -1, &op);
    op.kind = kind;
    admin_op_encode(&op, bytes);
    fixture_sign(fixture, &op, signatures);
    struct exec_ref ref = {.kind = 3, .hash = zeros, .bytes = bytes, .byte_count = (uint32_t)admin_op_encode(&op, bytes)};
    struct exec_block block = {.ticket = 9, .height = 1, .time = 1, .refs = &ref, .ref_count = 1};
    assert_int_equal(executor_execute(coordinator->ex, &block, result), EXEC_VALID);
}

/* D-35, D-11 by the table. */
static void a_seal_and_nothing_else_names_the_state_after_it(void **state) {
    (void)state;
    struct exec_result result;
    uint8_t first_root[32];
    for (uint32_t round = 0; round < 2; round++) { /* and once more, when it was undone */
        uint8_t leaf[112] = {3, 1}, root[32];
        tree_hash hashes[8];
        ended_by(ADMIN_OP_SEAL, 2, &result);
        executor_state_root(coordinator->ex, root);
        assert_int_equal(result.config_kind, EXEC_CONFIG_SEAL);
        assert_true(result.output_count >= 2 && result.output_count <= 8); /* one tells the other half */
        bytes_put_le32(leaf + 4, coordinator->cluster);
        memcpy(leaf + 12, world->system.system_id, 16);
        bytes_put_le64(leaf + 28, 1);
        memcpy(leaf + 44, root, 32);
        assert_memory_equal(result.outputs[result.output_count - 1].leaf, leaf, sizeof leaf);
        for (uint32_t i = 0; i < result.output_count; i++) tree_leaf_hash(result.outputs[i].leaf, 112, hashes[i]);
        assert_memory_equal(result.leaf_hashes, hashes, result.output_count * sizeof hashes[0]);
        tree_root((const tree_hash *)hashes, result.output_count, hashes[0]);
        assert_memory_equal(result.outbox_root, hashes[0], 32);
        if (round == 0) memcpy(first_root, result.outbox_root, 32);
        assert_memory_equal(result.outbox_root, first_root, 32);
        assert_int_equal(executor_rollback(coordinator->ex, 0), EXEC_VALID);
        ended_by(round == 0 ? ADMIN_OP_CONFIG : ADMIN_OP_SEAL, round == 0 ? 2 : 1, &result); /* the latter has no effect */
        for (uint32_t i = 0; i < result.output_count; i++) assert_int_not_equal(result.outputs[i].leaf[0], 3);
        assert_int_equal(executor_rollback(coordinator->ex, 0), EXEC_VALID);
    }
}

static void config_lowers_limits_and_raises_none_that_reserve(void **state) {
    (void)state;
    const struct config *config = executor_cluster_config(coordinator->ex);
    fixture_config_op(fixture, config, -1, &op);
    op.config.limits.credit_ops = world->system.limits.credit_ops + 1;
    assert_false(decide(2));
    assert_int_equal(config->members.serial, 0);
    fixture_config_op(fixture, config, -1, &op);
    op.config.limits.slice_bytes_max = world->system.limits.slice_bytes_max + 1;
    assert_false(decide(2));
    fixture_config_op(fixture, config, -1, &op);
    op.config.limits.number_window = world->system.limits.number_window - 16; /* records beyond it would be found by no floor that rises (O-41) */
    assert_false(decide(2));
    fixture_config_op(fixture, config, -1, &op);
    op.config.limits.credit_ops = 1024;
    op.config.limits.batch_ops_max = 128;
    assert_true(decide(2));
    assert_int_equal(config->limits.credit_ops, 1024);
    world_settle(world);
    struct operation gets[128];
    for (uint32_t i = 0; i < 128; i++) gets[i] = op_get("x", 1);
    struct world_part part = {.kind = BATCH_READ, .op_count = 128, .ops = gets}; /* a relay's share is 512 now */
    uint8_t digests[5][32];
    for (uint32_t i = 0; i < 5; i++) world_send(world, 0, 0, &part, digests[i]);
    world_settle(world);
    for (uint32_t i = 0; i < 5; i++) assert_int_equal(world_answer(world, digests[i])->item.code, i < 4 ? CODE_OK : CODE_BUSY);
}

/* O-45 and D-31 hold through a proof: the record of a client under the state root. */
static void records_can_be_proved(void **state) {
    (void)state;
    static uint8_t memory[TRIE_PROOF_BYTES_MAX];
    uint8_t key[33] = {'k'}, root[32];
    uint64_t height;
    bool present;
    struct table_entry entry;
    memcpy(key + 1, fixture->client_cards[0].id, 32);
    struct bytes_writer proof = bytes_writer_of(memory, sizeof memory);
    assert_int_equal(executor_prove(coordinator->ex, TRIE_SPACE_SYSTEM, key, 33, &present, &entry, &proof, &height, root), EXEC_VALID);
    assert_true(present);
    assert_memory_equal(root, coordinator->root, 32);
    struct trie_value value = {.version_height = entry.version.height, .version_index = entry.version.index};
    trie_value_hash(entry.value, entry.value_bytes, value.value_hash);
    assert_int_equal(trie_proof_verify_present(root, TRIE_SPACE_SYSTEM, key, 33, &value, memory, proof.used), TRIE_PROOF_OK);
    key[1] ^= 1;
    proof = bytes_writer_of(memory, sizeof memory);
    assert_int_equal(executor_prove(coordinator->ex, TRIE_SPACE_SYSTEM, key, 33, &present, NULL, &proof, &height, root), EXEC_VALID);
    assert_false(present);
    assert_int_equal(trie_proof_verify_absent(root, TRIE_SPACE_SYSTEM, key, 33, memory, proof.used), TRIE_PROOF_OK);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(genesis_has_the_clients_of_the_system_file),
        T(numbers_of_others_are_for_those_who_may_read_every_key),
        T(enrol),
        T(what_does_not_fit_has_no_effect),
        T(change),
        T(revoke_reaches_the_shards),
        T(a_forged_revocation_is_refused_by_the_shard),
        T(config_takes_effect_and_the_other_half_hears),
        T(a_config_item_is_held_against_the_limits_that_may_follow),
        T(config_is_the_last_reference_and_rolls_back),
        T(a_seal_and_nothing_else_names_the_state_after_it),
        T(config_lowers_limits_and_raises_none_that_reserve),
        T(records_can_be_proved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
