/* Clients enrolled, changed and revoked while whole clusters of replicas run (O-53, S-70 to S-79, D-31, D-32, O-45); and what liars make of it.
 * Administrators sign with real keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/replica/replica_private.h"
#include "merkle/check.h"
#include "tests/appliance/replica_world.h"
#include "tests/protocol/identity_fixture.h"

enum { STATE = 0, WAITS, DONE, NUMBER, INVALID, CLIENT, BUSY, ELSEWHERE }; /* O-53 */

static struct fixture *fixture;
static struct replica_world *rw;
static struct admin_op op;
static uint8_t bytes[ADMIN_OP_BYTES_MAX];
static size_t count;
static uint64_t serial;
static uint8_t last[32];

static void administrators(struct world *world) {
    struct system *system = &world->system;
    system->admins = fixture->admin_cards;
    system->admins_count = FIXTURE_ADMINS;
    system->admins_needed = 2;
}

static void few_clients(struct world *world) {
    administrators(world);
    world->system.limits.clients_max = WORLD_CLIENTS + 1;
}

static void begin(void (*prepare)(struct world *world)) {
    fixture = fixture_new(21, 1, 1, 4);
    rw = rw_create_prepared(21, prepare);
    serial = 0;
    memcpy(last, rw->world->system.file_hash, 32);
    rw_run(rw, 300);
}

static void end(void) {
    for (uint32_t i = 0; i < RW_NODES; i++) assert_int_equal(rw->nodes[i].stopped, 0);
    assert_int_equal(rw->answers_bad, 0);
    rw_destroy(rw);
    fixture_free(fixture);
}

static void operation_begin(enum admin_op_kind kind, const uint8_t client_id[32]) {
    memset(&op, 0, sizeof op);
    op.kind = kind;
    memcpy(op.system_id, rw->world->system.system_id, 16);
    op.serial = serial + 1;
    memcpy(op.predecessor, last, 32);
    if (client_id != NULL) memcpy(op.client_id, client_id, 32);
    op.rights_count = kind == ADMIN_OP_REVOKE ? 0 : 1;
    op.rights[0] = (struct system_right){.flags = 3};
}

static void operation_sign(uint32_t signatures) {
    (void)admin_op_encode(&op, bytes); /* sets the hash that is signed */
    fixture_sign(fixture, &op, signatures);
    count = admin_op_encode(&op, bytes);
}

/* Hands `bytes` in at a node; the code of its ADMIN_STATE. */
static uint8_t hand_in(uint32_t node, const uint8_t *operation, size_t operation_bytes) {
    static uint8_t message[8 + ADMIN_OP_BYTES_MAX];
    uint64_t before = rw->admin_states;
    memcpy(message, "12345678", 8);
    if (operation_bytes > 0) memcpy(message + 8, operation, operation_bytes);
    rw_send(rw, node, MESSAGE_ADMIN, message, 8 + operation_bytes);
    for (int i = 0; i < 400 && rw->admin_states == before; i++) rw_run(rw, 5);
    assert_int_equal(rw->admin_states, before + 1);
    assert_memory_equal(rw->admin_state, "12345678", 8);
    return rw->admin_state[8];
}

static uint64_t state_number(void) {
    return bytes_get_le64(rw->admin_state + 20);
}

/* Until each coordinator that is up states this number, or one beyond. */
static void wait_number(uint64_t number) {
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        for (int i = 0; i < 100 && rw->nodes[node].up && rw_status(rw, node)->enrolment < number; i++) rw_run(rw, 20);
        if (rw->nodes[node].up) assert_true(rw_status(rw, node)->enrolment >= number);
    }
}

/* Signed by two, handed in at a node, decided. */
static void decide(uint32_t node) {
    operation_sign(2);
    assert_int_equal(hand_in(node, bytes, count), WAITS);
    serial = op.serial;
    memcpy(last, op.hash, 32);
    wait_number(serial);
}

static struct card enrol(uint32_t node, const char *name) {
    struct keyfile key;
    operation_begin(ADMIN_OP_ENROL, NULL);
    fixture_enroll(fixture, KEYFILE_CLIENT, name, &key, NULL, &op.client);
    memcpy(op.client_id, op.client.id, 32);
    struct card card = op.client;
    decide(node);
    return card;
}

static void speak_as(const struct card *card, uint32_t index) {
    memcpy(rw->client_id, card->id, 32);
    memcpy(rw->client_key.public_key, card->signing_key, 32);
    rw->client_index = index;
    for (uint32_t i = 0; i < RW_CLUSTER; i++) {
        if (rw->nodes[i].up) replica_link_up(rw->nodes[i].replica, (struct replica_peer){.kind = REPLICA_CLIENT, .index = index});
    }
}

static uint8_t put_code(uint64_t number, const char *key) {
    struct operation put = op_put(key, "1");
    const struct client_item *item = rw_ask(rw, BATCH_WRITE, number, &put, 1, 8000);
    assert_non_null(item);
    return item->code;
}

static void an_enrolled_client_is_let_in_by_every_coordinator_and_writes(void **state) {
    (void)state;
    begin(administrators);
    assert_int_equal(hand_in(1, NULL, 0), STATE);
    assert_int_equal(state_number(), 0);
    assert_memory_equal(rw->admin_state + 28, last, 32);
    struct card card = enrol(2, "late");
    assert_int_equal(hand_in(3, bytes, count), DONE);
    assert_int_equal(state_number(), 1);
    assert_int_equal(bytes_get_le32(rw->admin_state + 12), WORLD_CLIENTS + 1);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        assert_true(rw->nodes[node].let_in[WORLD_CLIENTS]);
        assert_memory_equal(rw->nodes[node].let_in_key[WORLD_CLIENTS], card.noise_key, 32);
    }
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) assert_false(rw->nodes[node].let_in[WORLD_CLIENTS]);
    speak_as(&card, WORLD_CLIENTS);
    for (uint64_t i = 1; i <= 6; i++) assert_int_equal(put_code(i, "new"), CODE_OK);
    end();
}

static void a_client_is_known_again_after_a_restart_of_all(void **state) {
    (void)state;
    begin(administrators);
    struct card card = enrol(0, "late");
    struct card gone = enrol(1, "gone");
    operation_begin(ADMIN_OP_REVOKE, gone.id);
    decide(2);
    rw_run(rw, 1500);
    for (uint32_t i = 0; i < RW_NODES; i++) rw_crash(rw, i);
    for (uint32_t i = 0; i < RW_NODES; i++) rw_restart(rw, i);
    rw_run(rw, 1500);
    wait_number(3);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        assert_true(rw->nodes[node].let_in[WORLD_CLIENTS]);
        assert_false(rw->nodes[node].let_in[WORLD_CLIENTS + 1]);
    }
    speak_as(&card, WORLD_CLIENTS);
    assert_int_equal(put_code(1, "new"), CODE_OK);
    end();
}

/* Its batch, signed before, comes by a member that lies: every coordinator decides REVOKED. */
static void a_revoked_client_is_shut_out_and_what_was_kept_back_is_refused(void **state) {
    (void)state;
    begin(administrators);
    struct operation put = op_put("kept", "back");
    uint32_t batch_bytes;
    uint8_t digest[32], *batch = rw_batch(rw, BATCH_WRITE, 1, &put, 1, &batch_bytes, digest);
    operation_begin(ADMIN_OP_REVOKE, rw->client_id);
    decide(1);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) assert_false(rw->nodes[node].let_in[rw->client_index]);
    rw_run(rw, 500);
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) assert_false(rw->nodes[node].let_in[rw->client_index]);
    rw_send(rw, 0, MESSAGE_BATCH, batch, batch_bytes); /* a frame that was under way */
    rw_run(rw, 500);
    assert_int_equal(rw_status(rw, 0)->drops[DROP_BATCH_REVOKED], 1);
    assert_null(rw_answer(rw, digest));
    uint8_t *input = malloc(4 + batch_bytes);
    assert_non_null(input);
    memcpy(input, (const uint8_t[4]){BODY_BATCH, 3, 0, 0}, 4);
    memcpy(input + 4, batch, batch_bytes);
    for (uint32_t node = 0; node < 3; node++)
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, node, MESSAGE_INPUT, input, 4 + batch_bytes);
    rw_run(rw, 2000);
    free(input);
    free(batch);
    struct card reader = rw->world->clients[1].card;
    speak_as(&reader, 1);
    struct operation get = op_get("kept", 100);
    const struct client_item *item = rw_ask(rw, BATCH_READ, 0, &get, 1, 8000);
    assert_non_null(item);
    assert_int_equal(world_result(item, 0).code, CODE_ABSENT);
    struct exec_client client;
    assert_int_equal(executor_client(rw->nodes[0].executor, op.client_id, &client), EXEC_VALID);
    assert_true(client.revoked);
    end();
}

static void what_does_not_fit_is_refused_by_name(void **state) {
    (void)state;
    begin(administrators);
    struct card card = enrol(0, "late");
    static uint8_t first[ADMIN_OP_BYTES_MAX];
    size_t first_bytes = count;
    memcpy(first, bytes, count);
    const uint8_t *known = rw->world->clients[2].card.id;
    operation_begin(ADMIN_OP_CHANGE, known);
    decide(1);
    assert_int_equal(hand_in(2, first, first_bytes), NUMBER); /* replayed */
    operation_begin(ADMIN_OP_REVOKE, known);
    op.serial++;
    operation_sign(2);
    assert_int_equal(hand_in(2, bytes, count), NUMBER);
    operation_begin(ADMIN_OP_REVOKE, known);
    op.predecessor[5] ^= 1;
    operation_sign(2);
    assert_int_equal(hand_in(2, bytes, count), NUMBER);
    operation_begin(ADMIN_OP_REVOKE, known);
    operation_sign(1); /* k - 1 */
    assert_int_equal(hand_in(2, bytes, count), INVALID);
    assert_int_equal(rw->admin_state[9], SYSTEM_SIGNATURES_TOO_FEW);
    operation_sign(2);
    bytes[count - 1] ^= 1;
    assert_int_equal(hand_in(2, bytes, count), INVALID);
    assert_int_equal(rw->admin_state[9], SYSTEM_SIGNATURE_INVALID);
    op.system_id[3] ^= 1;
    operation_sign(2);
    assert_int_equal(hand_in(2, bytes, count), INVALID);
    assert_int_equal(rw->admin_state[9], SYSTEM_FOREIGN);
    assert_int_equal(hand_in(2, bytes, count - 1), INVALID);
    assert_int_equal(hand_in(2, (const uint8_t *)"x", 1), INVALID);
    operation_begin(ADMIN_OP_REVOKE, last); /* nobody */
    operation_sign(2);
    assert_int_equal(hand_in(2, bytes, count), CLIENT);
    operation_begin(ADMIN_OP_ENROL, NULL); /* the same key again */
    op.client = card;
    memcpy(op.client_id, card.id, 32);
    operation_sign(2);
    assert_int_equal(hand_in(2, bytes, count), CLIENT);
    assert_int_equal(rw_status(rw, 2)->drops[DROP_ADMIN_REFUSED], 10);
    rw_run(rw, 1000);
    wait_number(2);
    end();
}

static void a_full_table_takes_nobody_and_a_revoked_client_gives_no_place_back(void **state) {
    (void)state;
    begin(few_clients);
    struct card card = enrol(0, "last");
    struct keyfile key;
    operation_begin(ADMIN_OP_ENROL, NULL);
    fixture_enroll(fixture, KEYFILE_CLIENT, "beyond", &key, NULL, &op.client);
    memcpy(op.client_id, op.client.id, 32);
    struct card beyond = op.client;
    operation_sign(2);
    assert_int_equal(hand_in(1, bytes, count), CLIENT);
    operation_begin(ADMIN_OP_REVOKE, card.id);
    decide(1);
    operation_begin(ADMIN_OP_ENROL, NULL);
    op.client = beyond;
    memcpy(op.client_id, beyond.id, 32);
    operation_sign(2);
    assert_int_equal(hand_in(1, bytes, count), CLIENT);
    end();
}

/* A liar of f brings operation 2 before operation 1, and brings old ones again and again: number 2 is not lost by it, and nobody is deposed. */
static void a_member_that_brings_operations_early_and_late_gains_nothing(void **state) {
    (void)state;
    begin(administrators);
    static uint8_t early[4 + ADMIN_OP_BYTES_MAX];
    struct keyfile key;
    operation_begin(ADMIN_OP_ENROL, NULL);
    fixture_enroll(fixture, KEYFILE_CLIENT, "first", &key, NULL, &op.client);
    memcpy(op.client_id, op.client.id, 32);
    static struct admin_op one;
    one = op;
    (void)admin_op_encode(&one, bytes);
    operation_begin(ADMIN_OP_CHANGE, rw->world->clients[1].card.id);
    op.serial = 2;
    memcpy(op.predecessor, one.hash, 32);
    operation_sign(2);
    static struct admin_op two;
    two = op;
    memcpy(early, (const uint8_t[4]){BODY_ADMIN, 3, 0, 0}, 4);
    memcpy(early + 4, bytes, count);
    size_t early_bytes = 4 + count;
    uint64_t views = rw_status(rw, 0)->view;
    for (uint32_t node = 0; node < 3; node++)
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, node, MESSAGE_INPUT, early, early_bytes);
    rw_run(rw, 5000);
    assert_int_equal(rw_status(rw, 0)->view, views); /* it waits, and no leader is judged by it */
    op = one;
    decide(0);
    wait_number(2); /* it was held: its turn came with number 1 */
    op = two;
    operation_sign(2);
    assert_int_equal(hand_in(1, bytes, count), DONE);
    for (int i = 0; i < 50; i++) {
        for (uint32_t node = 0; node < 3; node++)
            rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, node, MESSAGE_INPUT, early, early_bytes);
        rw_run(rw, 100);
    }
    assert_int_equal(rw_status(rw, 0)->view, views);
    assert_int_equal(put_code(1, "alive"), CODE_OK);
    end();
}

/* A leader that lies about what is next has operation 2 decided first, without effect. When its turn comes it may come again, under the same hash. */
static void an_operation_that_was_decided_too_early_comes_again(void **state) {
    (void)state;
    static uint8_t two[4 + ADMIN_OP_BYTES_MAX];
    begin(administrators);
    operation_begin(ADMIN_OP_CHANGE, rw->world->clients[2].card.id);
    static struct admin_op one;
    one = op;
    (void)admin_op_encode(&one, bytes);
    operation_begin(ADMIN_OP_CHANGE, rw->world->clients[1].card.id);
    op.serial = 2;
    memcpy(op.predecessor, one.hash, 32);
    operation_sign(2);
    size_t two_bytes = 4 + count;
    memcpy(two, (const uint8_t[4]){BODY_ADMIN, 3, 0, 0}, 4);
    memcpy(two + 4, bytes, count);
    uint32_t leader = rw_status(rw, 0)->leader;
    uint8_t hash[32];
    memcpy(hash, op.input_hash, 32);
    for (uint32_t node = 0; node < RW_CLUSTER; node++)
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, node, MESSAGE_INPUT, two, two_bytes);
    rw->nodes[leader].replica->enrolment.serial = 1;
    rw_run(rw, 1000);
    rw->nodes[leader].replica->enrolment.serial = 0;
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        const struct replica *replica = rw->nodes[node].replica;
        uint32_t index = input_find(replica, hash);
        assert_true(index != NONE && replica->inputs[index].state == INPUT_DONE);
        assert_int_equal(replica->enrolment.serial, 0);
    }
    op = one;
    decide(1);
    assert_int_equal(hand_in(2, two + 4, two_bytes - 4), WAITS);
    wait_number(2);
    end();
}

static void inject_all(const uint8_t *input, size_t input_bytes) {
    for (uint32_t node = 0; node < RW_CLUSTER; node++)
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, node, MESSAGE_INPUT, input, input_bytes);
}

/* A relay that lies hands each node the operation under other signatures: two, three, and two of which one is spoilt. What a block names is one of
 * them, to the byte: its signatures decide whether it has an effect, and a REVOKE goes with them to the shards. */
static void one_operation_under_other_signatures_is_another_input(void **state) {
    (void)state;
    static uint8_t inputs[RW_CLUSTER][4 + ADMIN_OP_BYTES_MAX];
    uint8_t ids[RW_CLUSTER][32], hash[32];
    begin(administrators);
    operation_begin(ADMIN_OP_REVOKE, rw->world->clients[2].card.id);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        op.signatures_count = 0;
        operation_sign(node % 3 == 1 ? 3 : 2);
        if (node % 3 == 2) bytes[count - 1] ^= 1;
        memcpy(inputs[node], (const uint8_t[4]){BODY_ADMIN, 3, 0, 0}, 4);
        memcpy(inputs[node] + 4, bytes, count);
        assert_true(admin_op_input_hash(bytes, count, ids[node]));
        for (uint32_t before = 0; before < node && before < 3; before++)
            assert_int_equal(memcmp(ids[before], ids[node], 32) == 0, before == node % 3);
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, node, MESSAGE_INPUT, inputs[node], 4 + count);
    }
    memcpy(hash, op.hash, 32);
    wait_number(1);
    rw_run(rw, 2000);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        assert_int_equal(rw->nodes[node].replica->enrolment.serial, 1);
        assert_memory_equal(rw->nodes[node].replica->enrolment.hash, hash, 32);
    }
    assert_int_equal(put_code(1, "alive"), CODE_OK);
    end();
}

/* Administrators signed two operations with one number (S-78). Both are decided, one counts, the same everywhere and after a restart; a third that
 * waits somewhere has lost its turn and goes. */
static void of_operations_with_one_number_one_counts(void **state) {
    (void)state;
    static uint8_t inputs[3][4 + ADMIN_OP_BYTES_MAX];
    uint8_t hashes[3][32], ids[3][32];
    size_t input_bytes[3];
    begin(administrators);
    for (uint32_t i = 0; i < 3; i++) {
        operation_begin(ADMIN_OP_CHANGE, rw->world->clients[1 + i].card.id);
        operation_sign(2);
        memcpy(inputs[i], (const uint8_t[4]){BODY_ADMIN, 3, 0, 0}, 4);
        memcpy(inputs[i] + 4, bytes, count);
        memcpy(hashes[i], op.hash, 32);
        memcpy(ids[i], op.input_hash, 32);
        input_bytes[i] = 4 + count;
    }
    uint32_t leader = rw_status(rw, 0)->leader, other = leader == 0 ? 1 : 0;
    rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, other, MESSAGE_INPUT, inputs[2], input_bytes[2]);
    assert_int_equal(rw_status(rw, other)->inputs_waiting, 1);
    inject_all(inputs[0], input_bytes[0]);
    inject_all(inputs[1], input_bytes[1]);
    wait_number(1);
    rw_run(rw, 2000);
    uint8_t counted[32];
    memcpy(counted, rw->nodes[0].replica->enrolment.hash, 32);
    assert_true(memcmp(counted, hashes[0], 32) == 0 || memcmp(counted, hashes[1], 32) == 0);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        const struct replica *replica = rw->nodes[node].replica;
        assert_int_equal(rw_status(rw, node)->inputs_waiting, 0);
        assert_int_equal(replica->enrolment.serial, 1);
        assert_memory_equal(replica->enrolment.hash, counted, 32);
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t index = input_find(replica, ids[i]);
            assert_true(index != NONE && replica->inputs[index].state == INPUT_DONE);
        }
    }
    /* A leader that lies proposes the third all the same: that block is valid, has no effect, and is replayed like any other. */
    leader = rw_status(rw, 0)->leader;
    struct exec_enrolment *believed = &rw->nodes[leader].replica->enrolment;
    believed->serial = 0;
    memcpy(believed->hash, rw->world->system.file_hash, 32);
    rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, leader, MESSAGE_INPUT, inputs[2], input_bytes[2]);
    rw_run(rw, 1000);
    believed->serial = 1;
    memcpy(believed->hash, counted, 32);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        uint32_t index = input_find(rw->nodes[node].replica, ids[2]);
        assert_true(index != NONE && rw->nodes[node].replica->inputs[index].state == INPUT_DONE);
    }
    for (uint32_t i = 0; i < RW_NODES; i++) rw_crash(rw, i);
    for (uint32_t i = 0; i < RW_NODES; i++) rw_restart(rw, i);
    rw_run(rw, 1500);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) assert_memory_equal(rw->nodes[node].replica->enrolment.hash, counted, 32);
    assert_int_equal(put_code(1, "alive"), CODE_OK);
    end();
}

/* Signed by two, as INPUT of member 3. */
static size_t input_of(uint8_t input[4 + ADMIN_OP_BYTES_MAX]) {
    operation_sign(2);
    memcpy(input, (const uint8_t[4]){BODY_ADMIN, 3, 0, 0}, 4);
    memcpy(input + 4, bytes, count);
    return 4 + count;
}

/* How often such bytes are decided, from now on for so many rounds in which the liar brings them to all. */
static uint64_t decided_by_repeating(const uint8_t *input, size_t input_bytes, uint32_t rounds) {
    uint64_t before = rw_status(rw, 0)->inputs_decided;
    for (uint32_t i = 0; i < rounds; i++) {
        inject_all(input, input_bytes);
        rw_run(rw, 100);
    }
    return rw_status(rw, 0)->inputs_decided - before;
}

/* Two were signed with number 1, and one for after each. What follows the one that does not count is the next by its number and never has an effect:
 * no relay gets it into an honest leader's blocks, not early, not late, not when a leader that lies has had it decided. */
static void what_follows_an_enrolment_that_does_not_count_gets_into_no_block(void **state) {
    (void)state;
    static uint8_t after_other[4 + ADMIN_OP_BYTES_MAX], after[4 + ADMIN_OP_BYTES_MAX], nobody[4 + ADMIN_OP_BYTES_MAX];
    static struct admin_op one, other;
    uint8_t hash[32];
    begin(administrators);
    operation_begin(ADMIN_OP_CHANGE, rw->world->clients[1].card.id);
    one = op;
    (void)admin_op_encode(&one, bytes);
    operation_begin(ADMIN_OP_CHANGE, rw->world->clients[2].card.id);
    other = op;
    (void)admin_op_encode(&other, bytes);
    operation_begin(ADMIN_OP_CHANGE, rw->world->clients[3].card.id);
    op.serial = 2;
    memcpy(op.predecessor, other.hash, 32);
    size_t after_other_bytes = input_of(after_other);
    memcpy(hash, op.input_hash, 32);
    inject_all(after_other, after_other_bytes); /* early: who is to tell? */
    for (uint32_t node = 0; node < RW_CLUSTER; node++) assert_int_equal(rw_status(rw, node)->inputs_waiting, 1);
    op = one;
    decide(1);
    rw_run(rw, 500);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        assert_int_equal(rw_status(rw, node)->inputs_waiting, 0);
        assert_true(input_find(rw->nodes[node].replica, hash) == NONE);
    }
    uint64_t late = rw_status(rw, 0)->drops[DROP_ADMIN_LATE];
    assert_int_equal(decided_by_repeating(after_other, after_other_bytes, 10), 0);
    assert_int_equal(rw_status(rw, 0)->drops[DROP_ADMIN_LATE], late + 10);
    /* A leader that lies about what counts has it decided; then it lies in a block, and comes no more. */
    uint32_t leader = rw_status(rw, 0)->leader;
    struct exec_enrolment *believed = &rw->nodes[leader].replica->enrolment;
    memcpy(believed->hash, other.hash, 32);
    rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, leader, MESSAGE_INPUT, after_other, after_other_bytes);
    rw_run(rw, 1000);
    memcpy(believed->hash, one.hash, 32);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        const struct replica *replica = rw->nodes[node].replica;
        uint32_t index = input_find(replica, hash);
        assert_true(index != NONE && replica->inputs[index].state == INPUT_DONE && replica->inputs[index].in_blocks == 0);
        assert_int_equal(replica->enrolment.serial, 1);
    }
    assert_int_equal(decided_by_repeating(after_other, after_other_bytes, 10), 0);
    /* Nor what D-32 refuses: nobody has this id. And a shard takes none at all. */
    operation_begin(ADMIN_OP_REVOKE, last);
    size_t nobody_bytes = input_of(nobody);
    assert_int_equal(decided_by_repeating(nobody, nobody_bytes, 10), 0);
    operation_begin(ADMIN_OP_REVOKE, rw->world->clients[3].card.id);
    size_t after_bytes = input_of(after);
    for (uint32_t node = RW_CLUSTER; node < RW_NODES; node++) {
        late = rw_status(rw, node)->drops[DROP_ADMIN_LATE];
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, node, MESSAGE_INPUT, after, after_bytes);
        assert_int_equal(rw_status(rw, node)->drops[DROP_ADMIN_LATE], late + 1);
    }
    inject_all(after, after_bytes); /* what does follow, by the same hands */
    wait_number(2);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) {
        assert_int_equal(rw_status(rw, node)->attacks[ATTACK_BAD_INPUT], 0); /* who relays it may be behind: it costs nobody */
        assert_int_equal(rw_status(rw, node)->view_changes, 0);
    }
    assert_int_equal(put_code(1, "alive"), CODE_OK);
    end();
}

/* Two of three must sign, all three did: of the four sets of signatures that whoever has them can make, one of each relay waits. */
static void of_one_operation_one_set_of_signatures_of_each_relay_waits(void **state) {
    (void)state;
    static const uint8_t sets[4] = {3, 5, 6, 7}; /* who signs, by bit */
    static uint8_t input[4 + ADMIN_OP_BYTES_MAX];
    static struct admin_op first;
    begin(administrators);
    operation_begin(ADMIN_OP_CHANGE, rw->world->clients[1].card.id);
    first = op;
    (void)admin_op_encode(&first, bytes);
    operation_begin(ADMIN_OP_REVOKE, rw->world->clients[2].card.id);
    op.serial = 2;
    memcpy(op.predecessor, first.hash, 32);
    for (uint8_t relay = 2; relay < RW_CLUSTER; relay++) {
        for (uint32_t i = 0; i < 4; i++) {
            op.signatures_count = 0;
            (void)admin_op_encode(&op, bytes);
            for (uint32_t k = 0; k < FIXTURE_ADMINS; k++) {
                if (sets[i] >> k & 1) assert_true(admin_op_sign(&op, &fixture->admins[k].signing));
            }
            memcpy(input, (const uint8_t[4]){BODY_ADMIN, relay, 0, 0}, 4);
            count = admin_op_encode(&op, input + 4);
            uint64_t duplicates = rw_status(rw, 0)->drops[DROP_INPUT_DUPLICATE];
            rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = relay}, 0, MESSAGE_INPUT, input, 4 + count);
            bool same = relay == 3 && i == 0; /* the very bytes that the other relay brought */
            assert_int_equal(rw_status(rw, 0)->inputs_waiting, relay == 2 || i == 0 ? 1 : 2);
            assert_int_equal(rw_status(rw, 0)->drops[DROP_INPUT_DUPLICATE], duplicates + (same || i > (relay == 2 ? 0u : 1u)));
        }
    }
    op = first;
    decide(0);
    wait_number(2);
    rw_run(rw, 500);
    for (uint32_t node = 0; node < RW_CLUSTER; node++) assert_int_equal(rw_status(rw, node)->inputs_waiting, 0);
    /* And what clients hand in at one node. */
    operation_begin(ADMIN_OP_CHANGE, rw->world->clients[1].card.id);
    serial = 2;
    op.serial = 3;
    memcpy(op.predecessor, rw->nodes[0].replica->enrolment.hash, 32);
    uint64_t decided = rw_status(rw, 0)->inputs_decided;
    for (uint32_t signatures = 2; signatures <= 3; signatures++) {
        op.signatures_count = 0;
        operation_sign(signatures);
        static uint8_t message[8 + ADMIN_OP_BYTES_MAX];
        memcpy(message + 8, bytes, count);
        rw_send(rw, 1, MESSAGE_ADMIN, message, 8 + count);
    }
    wait_number(3);
    rw_run(rw, 500);
    assert_int_equal(rw_status(rw, 0)->inputs_decided, decided + 1);
    end();
}

/* The relay's link to its new client is quicker than some member's final block: what came too early is taken when its client is known. */
static void a_batch_that_is_quicker_than_its_clients_enrolment_is_not_lost(void **state) {
    (void)state;
    begin(administrators);
    struct keyfile key;
    operation_begin(ADMIN_OP_ENROL, NULL);
    fixture_enroll(fixture, KEYFILE_CLIENT, "quick", &key, NULL, &op.client);
    memcpy(op.client_id, op.client.id, 32);
    struct card card = op.client;
    memcpy(rw->client_id, card.id, 32);
    memcpy(rw->client_key.public_key, card.signing_key, 32);
    struct operation put = op_put("quick", "1");
    uint32_t batch_bytes;
    uint8_t digest[32], *batch = rw_batch(rw, BATCH_WRITE, 1, &put, 1, &batch_bytes, digest), *input = malloc(4 + batch_bytes);
    assert_non_null(input);
    memcpy(input, (const uint8_t[4]){BODY_BATCH, 3, 0, 0}, 4);
    memcpy(input + 4, batch, batch_bytes);
    for (uint32_t node = 0; node < 3; node++) {
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 3}, node, MESSAGE_INPUT, input, 4 + batch_bytes);
        assert_int_equal(rw_status(rw, node)->drops[DROP_BATCH_UNKNOWN_CLIENT], 1);
        assert_int_equal(rw_status(rw, node)->attacks[ATTACK_BAD_INPUT], 0);
    }
    decide(0);
    speak_as(&card, WORLD_CLIENTS);
    for (int i = 0; i < 100 && rw_answer(rw, digest) == NULL; i++) rw_run(rw, 20);
    const struct world_answer *answer = rw_answer(rw, digest);
    assert_non_null(answer);
    assert_int_equal(answer->item.code, CODE_OK);
    free(batch);
    free(input);
    end();
}

static void changed_rights_hold_for_reads_and_writes(void **state) {
    (void)state;
    begin(administrators);
    assert_int_equal(put_code(1, "a"), CODE_OK);
    operation_begin(ADMIN_OP_CHANGE, rw->client_id);
    op.rights[0] = (struct system_right){.flags = 2, .prefix_bytes = 2, .prefix = "w:"};
    decide(3);
    assert_int_equal(put_code(2, "a"), CODE_RIGHTS);
    assert_int_equal(put_code(3, "w:a"), CODE_OK);
    struct operation get = op_get("a", 100);
    rw->refused_code = 0;
    assert_null(rw_ask(rw, BATCH_READ, 0, &get, 1, 500));
    assert_int_equal(rw->refused_code, CODE_RIGHTS);
    struct operation of_itself = op_client_state(rw->client_id), of_another = op_client_state(rw->world->clients[1].card.id);
    assert_non_null(rw_ask(rw, BATCH_READ, 0, &of_itself, 1, 30000)); /* which has no key */
    rw->refused_code = 0;
    assert_null(rw_ask(rw, BATCH_READ, 0, &of_another, 1, 500));
    assert_int_equal(rw->refused_code, CODE_RIGHTS);
    end();
}

static uint8_t get_refusal(uint32_t node, uint32_t ops) {
    struct operation gets[3] = {op_get("a", 100), op_get("a", 100), op_get("a", 100)};
    uint8_t digest[32];
    uint32_t batch_bytes;
    uint8_t *batch = rw_batch(rw, BATCH_READ, 0, gets, ops, &batch_bytes, digest);
    rw->refused_code = 0;
    rw_send(rw, node, MESSAGE_BATCH, batch, batch_bytes);
    free(batch);
    for (int i = 0; i < 100 && rw->refused_code == 0 && rw_answer(rw, digest) == NULL; i++) rw_run(rw, 5);
    assert_true((rw_answer(rw, digest) != NULL) == (rw->refused_code == 0));
    return rw->refused_code;
}

/* O-50: each node has a bucket of its own, which one client's reads empty and time fills. */
static void a_quota_holds_for_reads(void **state) {
    (void)state;
    begin(administrators);
    assert_int_equal(put_code(1, "a"), CODE_OK);
    operation_begin(ADMIN_OP_CHANGE, rw->client_id);
    op.rights[0] = (struct system_right){.flags = SYSTEM_RIGHT_READ | SYSTEM_RIGHT_WRITE};
    op.quota_per_second = 1;
    op.quota_burst = 2;
    decide(3);
    assert_int_equal(get_refusal(1, 3), CODE_QUOTA); /* more than it may ever save up */
    assert_int_equal(get_refusal(1, 2), 0);
    assert_int_equal(get_refusal(1, 1), CODE_QUOTA);
    assert_int_equal(get_refusal(2, 1), 0);
    rw_run(rw, 1000);
    assert_int_equal(get_refusal(1, 1), 0);
    assert_int_equal(rw_status(rw, 1)->drops[DROP_BATCH_QUOTA], 2);
    assert_int_equal(rw_status(rw, 2)->drops[DROP_BATCH_QUOTA], 0);
    end();
}

/* One question for the state, as a client of this number asks it; what came of it: 1 handed on, 0 dropped. */
static int state_asked(uint32_t client, uint16_t type, size_t bytes_count) {
    struct replica *r = rw->nodes[0].replica;
    static const uint8_t zeros[200];
    struct blob *blob = blob_copy(zeros, bytes_count);
    struct replica_output output;
    int handed = 0;
    replica_frame(r, (struct replica_peer){.kind = REPLICA_CLIENT, .index = client}, type, (struct blob_piece){.blob = blob, .count = blob->count});
    blob_drop(blob);
    for (uint32_t i = 0; i < r->output_count; i++) {
        const struct replica_output *at = &r->outputs[(r->output_first + i) % r->output_room];
        handed += at->kind == REPLICA_TRANSFER && replica_transfer_asker(at->peer) >= TRANSFER_CLIENT;
    }
    while (handed > 0 && replica_next(r, &output)) CHECK(output.kind == REPLICA_TRANSFER || output.kind == REPLICA_NOTE);
    return handed;
}

static void whoever_may_read_every_key_may_ask_for_the_state_and_nobody_else(void **state) {
    (void)state;
    begin(administrators);
    assert_int_equal(state_asked(0, MESSAGE_CHECKPOINT_QUERY, 16), 1);
    assert_int_equal(state_asked(0, MESSAGE_PIECE_QUERY, 96), 1);
    uint64_t malformed = rw_status(rw, 0)->drops[DROP_MALFORMED];
    assert_int_equal(state_asked(0, MESSAGE_PIECE_QUERY, 95), 0);
    assert_int_equal(state_asked(0, MESSAGE_PIECE_QUERY, 200), 0);
    assert_int_equal(rw_status(rw, 0)->drops[DROP_MALFORMED], malformed + 2);
    assert_int_equal(state_asked(WORLD_CLIENTS, MESSAGE_PIECE_QUERY, 96), 0); /* no such client */
    assert_int_equal(rw_status(rw, 0)->drops[DROP_TRANSFER_RIGHTS], 1);
    assert_int_equal(state_asked(0, MESSAGE_PIECE, 96), 0);
    operation_begin(ADMIN_OP_CHANGE, rw->client_id);
    op.rights[0] = (struct system_right){.flags = SYSTEM_RIGHT_READ, .prefix_bytes = 5, .prefix = "only/"};
    decide(0);
    assert_int_equal(state_asked(rw->client_index, MESSAGE_PIECE_QUERY, 96), 0);
    operation_begin(ADMIN_OP_CHANGE, rw->client_id);
    op.rights[0] = (struct system_right){.flags = SYSTEM_RIGHT_WRITE}; /* every key, but not to read */
    decide(0);
    assert_int_equal(state_asked(rw->client_index, MESSAGE_PIECE_QUERY, 96), 0);
    uint32_t other = rw->client_index == 0 ? 1 : 0;
    assert_int_equal(state_asked(other, MESSAGE_PIECE_QUERY, 96), 1);
    end();
}

static void so_many_clients_ask_at_once_and_so_often_and_no_more(void **state) {
    (void)state;
    begin(administrators);
    struct card card = enrol(0, "fifth");
    speak_as(&card, WORLD_CLIENTS);
    for (uint32_t client = 0; client < TRANSFER_CLIENTS; client++) assert_int_equal(state_asked(client, MESSAGE_PIECE_QUERY, 96), 1);
    assert_int_equal(state_asked(WORLD_CLIENTS, MESSAGE_PIECE_QUERY, 96), 0);
    for (int i = 0; i < 60; i++) { /* 12 s, in which one goes on asking, and no more than it may */
        rw_run(rw, 200);
        assert_int_equal(state_asked(0, MESSAGE_PIECE_QUERY, 96), 1);
    }
    assert_int_equal(state_asked(WORLD_CLIENTS, MESSAGE_PIECE_QUERY, 96), 1); /* in the place of one that has fallen silent */
    rw_run(rw, 1100);
    int handed = 0;
    for (int i = 0; i < 1100; i++) handed += state_asked(0, MESSAGE_PIECE_QUERY, 96);
    assert_int_equal(handed, 1000);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_enrolled_client_is_let_in_by_every_coordinator_and_writes),
        cmocka_unit_test(a_client_is_known_again_after_a_restart_of_all),
        cmocka_unit_test(a_revoked_client_is_shut_out_and_what_was_kept_back_is_refused),
        cmocka_unit_test(what_does_not_fit_is_refused_by_name),
        cmocka_unit_test(a_full_table_takes_nobody_and_a_revoked_client_gives_no_place_back),
        cmocka_unit_test(a_member_that_brings_operations_early_and_late_gains_nothing),
        cmocka_unit_test(an_operation_that_was_decided_too_early_comes_again),
        cmocka_unit_test(one_operation_under_other_signatures_is_another_input),
        cmocka_unit_test(of_operations_with_one_number_one_counts),
        cmocka_unit_test(what_follows_an_enrolment_that_does_not_count_gets_into_no_block),
        cmocka_unit_test(of_one_operation_one_set_of_signatures_of_each_relay_waits),
        cmocka_unit_test(a_batch_that_is_quicker_than_its_clients_enrolment_is_not_lost),
        cmocka_unit_test(changed_rights_hold_for_reads_and_writes),
        cmocka_unit_test(a_quota_holds_for_reads),
        cmocka_unit_test(whoever_may_read_every_key_may_ask_for_the_state_and_nobody_else),
        cmocka_unit_test(so_many_clients_ask_at_once_and_so_often_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
