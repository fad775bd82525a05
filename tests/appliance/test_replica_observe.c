/* Who is to become a member looks on first (S-81): let in by a CONFIG that administrators signed and nobody has decided yet, by nothing less, and
 * only until an epoch begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bft/wire.h"
#include "protocol/checkpoint.h"
#include "tests/appliance/replica_world.h"
#include "tests/protocol/identity_fixture.h"

enum { WAITS = 1, DONE = 2, NUMBER = 3, INVALID = 4, BUSY = 6 }; /* O-53 */
enum { CARDS = REPLICA_ANNOUNCED_MAX + 1 };
enum { ANNOUNCE = 0x0308, STATUS = 0x0109, BLOCK = 0x0108, FETCH = 0x0107, CONFIG_CHAIN = 0x0114, CHECKPOINT = 0x010E };

static struct admin_op op;
static uint8_t bytes_of_op[ADMIN_OP_BYTES_MAX];
static struct fixture fixture = {.entropy = {.seed = 77}};

static void nodes_enroll(struct card cards[CARDS]) {
    static struct keyfile keys[CARDS];
    for (uint32_t i = 0; i < CARDS; i++) {
        char name[16];
        snprintf(name, sizeof name, "new-%u", i);
        fixture_enroll(&fixture, KEYFILE_NODE, name, &keys[i], NULL, &cards[i]);
    }
}

/* The CONFIG after this one that replaces the last member by this card. */
static void config_after(const struct config *config, const struct card *card) {
    rw_config_next(config, &op);
    struct config_member *member = &op.config.members.members[3];
    memcpy(member->node_id, card->id, 32);
    memcpy(member->signing_key, card->signing_key, 32);
    memcpy(member->noise_key, card->noise_key, 32);
    op.nodes[0] = *card;
    op.nodes_count = 1;
}

/* The CONFIG of the shard that replaces its last member by this card. */
static void config_of(struct replica_world *rw, const struct card *card) {
    struct config config;
    assert_true(system_config(&rw->world->system, SHARD_CLUSTER_BASE, &config));
    config_after(&config, card);
}

/* Hands it to one node as it is; the code of its answer. */
static uint8_t announce(struct replica_world *rw, uint32_t node, uint32_t signatures) {
    static uint8_t frame[8 + ADMIN_OP_BYTES_MAX];
    op.signatures_count = 0;
    if (signatures > 0) assert_true(admin_op_sign(&op, &rw->admin));
    size_t count = admin_op_encode(&op, bytes_of_op);
    memcpy(frame + 8, bytes_of_op, count);
    uint64_t states = rw->admin_states;
    rw_send(rw, node, ANNOUNCE, frame, 8 + count);
    rw_run(rw, 50);
    assert_int_equal(rw->admin_states, states + 1);
    return rw->admin_state[8];
}

/* The number under which this key is let in, -1: it is not. */
static int observer_of(const struct replica_world *rw, uint32_t node, const struct card *card) {
    for (int i = 0; i < RW_PEERS_MAX; i++) {
        if (rw->nodes[node].observer_in[i] && memcmp(rw->nodes[node].observer_key[i], card->noise_key, 32) == 0) return i;
    }
    return -1;
}

static void adds(struct replica_world *rw, uint64_t from, uint64_t to) {
    struct operation add = op_add("sum", 1);
    for (uint64_t number = from; number <= to; number++) assert_non_null(rw_ask(rw, BATCH_WRITE, number, &add, 1, 30000));
}

static void only_what_would_have_an_effect_lets_somebody_in(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(1);
    struct card cards[CARDS];
    nodes_enroll(cards);
    rw_run(rw, 300);
    config_of(rw, &cards[0]);
    assert_int_equal(announce(rw, 4, 0), INVALID); /* nobody signed */
    op.serial = op.config.members.serial = 2;
    assert_int_equal(announce(rw, 4, 1), NUMBER);
    config_of(rw, &cards[0]);
    op.predecessor[5] ^= 1;
    assert_int_equal(announce(rw, 4, 1), NUMBER);
    config_of(rw, &cards[0]);
    assert_int_equal(announce(rw, 0, 1), INVALID); /* of another cluster than the coordinators' */
    op.kind = ADMIN_OP_SEAL;
    op.nodes_count = 0;
    assert_int_equal(announce(rw, 4, 1), INVALID);
    for (uint32_t node = 0; node < RW_NODES; node++) assert_int_equal(observer_of(rw, node, &cards[0]), -1);
    config_of(rw, &cards[0]);
    assert_int_equal(announce(rw, 4, 1), WAITS);
    assert_int_equal(announce(rw, 4, 1), WAITS);
    assert_true(observer_of(rw, 4, &cards[0]) >= 0);
    assert_int_equal(observer_of(rw, 5, &cards[0]), -1); /* each node for itself */
    rw_run(rw, 2000);
    assert_int_equal(rw_status(rw, 4)->epoch, 0); /* and nothing is decided by it */
    rw_destroy(rw);
}

static void an_observer_is_served_and_sees_what_goes_to_all(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_stored(2, 16);
    struct card cards[CARDS];
    nodes_enroll(cards);
    rw_run(rw, 300);
    config_of(rw, &cards[0]);
    assert_int_equal(announce(rw, 5, 1), WAITS);
    int number = observer_of(rw, 5, &cards[0]);
    assert_true(number >= 0);
    struct replica_peer peer = {.kind = REPLICA_OBSERVER, .index = (uint32_t)number};
    uint16_t *got = &rw->nodes[5].observer_got[number];
    replica_link_up(rw->nodes[5].replica, peer);
    adds(rw, 1, 25);
    assert_int_not_equal(*got, 0);
    uint8_t query[CHECKPOINT_QUERY_BYTES];
    checkpoint_query_encode(&(struct checkpoint_query){.nonce = 9, .height = 1}, query);
    for (uint32_t i = 0; i < 20 && *got != CHECKPOINT; i++) { /* at first it prepares what it has */
        rw_inject(rw, peer, 5, 0x010D, query, sizeof query);
        rw_run(rw, 1);
    }
    assert_int_equal(*got, CHECKPOINT);
    uint8_t config_query[CONFIG_QUERY_BYTES];
    config_query_encode(SHARD_CLUSTER_BASE, 1, config_query);
    rw_inject(rw, peer, 5, 0x0113, config_query, sizeof config_query);
    assert_int_equal(*got, CONFIG_CHAIN);
    *got = 0;
    config_query_encode(COORDINATOR_CLUSTER_BASE, 1, config_query); /* S-103: nobody there lets it in yet */
    rw_run(rw, 100);
    rw_inject(rw, peer, 5, 0x0113, config_query, sizeof config_query);
    assert_int_equal(*got, CONFIG_CHAIN);
    struct bft_message fetch = {.type = BFT_MESSAGE_FETCH, .fetch = {.cluster = SHARD_CLUSTER_BASE, .kind = BFT_FETCH_HEIGHTS, .height_count = 1}};
    memcpy(fetch.fetch.system_id, rw->world->system.system_id, BFT_SYSTEM_BYTES);
    fetch.fetch.height_first = rw_status(rw, 5)->final_height;
    uint8_t *bytes = malloc(BFT_WIRE_HEAD_BYTES_MAX);
    assert_non_null(bytes);
    size_t count = bft_wire_encode(&fetch, bytes, BFT_WIRE_HEAD_BYTES_MAX);
    rw_inject(rw, peer, 5, FETCH, bytes, count);
    assert_int_equal(*got, BLOCK);
    /* What only a member may say has no effect. */
    uint64_t height = rw_status(rw, 5)->final_height, view = rw_status(rw, 5)->view;
    for (uint16_t type = 0x0101; type <= 0x0114; type++) {
        memset(bytes, (int)type, 300);
        rw_inject(rw, peer, 5, type, bytes, 300);
    }
    free(bytes);
    assert_int_equal(rw_status(rw, 5)->final_height, height);
    assert_int_equal(rw_status(rw, 5)->view, view);
    adds(rw, 26, 27);
    assert_int_equal(rw->nodes[5].stopped, 0);
    rw_destroy(rw);
}

static void it_ends_with_the_next_config_and_not_by_another_announcement_and_lasts_over_a_restart(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(3);
    struct card cards[CARDS];
    nodes_enroll(cards);
    rw_run(rw, 300);
    config_of(rw, &cards[0]);
    for (uint32_t node = 4; node < RW_NODES; node++) assert_int_equal(announce(rw, node, 1), WAITS);
    rw_run(rw, 100);
    rw_crash(rw, 6);
    rw_restart(rw, 6);
    rw_run(rw, 500);
    for (uint32_t node = 4; node < RW_NODES; node++) assert_true(observer_of(rw, node, &cards[0]) >= 0);
    config_of(rw, &cards[1]);
    assert_int_equal(announce(rw, 4, 1), WAITS);
    for (uint32_t i = 0; i < 2; i++) assert_true(observer_of(rw, 4, &cards[i]) >= 0); /* beside one another */
    rw_run(rw, 100);
    rw_crash(rw, 4);
    rw_restart(rw, 4);
    rw_run(rw, 500);
    for (uint32_t i = 0; i < 2; i++) assert_true(observer_of(rw, 4, &cards[i]) >= 0);
    /* Another CONFIG with this serial is decided. */
    struct config config;
    assert_true(system_config(&rw->world->system, SHARD_CLUSTER_BASE, &config));
    rw_config_next(&config, &op);
    op.config.timeouts.view_base_ms = 901;
    (void)rw_admin_send(rw, 5, &op, 1, bytes_of_op);
    assert_true(rw_epoch_wait(rw, SHARD_CLUSTER_BASE, 1, 20000));
    for (uint32_t node = 4; node < RW_NODES; node++) {
        assert_int_equal(observer_of(rw, node, &cards[0]), -1);
        assert_int_equal(observer_of(rw, node, &cards[1]), -1);
    }
    rw_run(rw, 500);
    rw_crash(rw, 4);
    rw_restart(rw, 4);
    rw_run(rw, 500);
    assert_int_equal(observer_of(rw, 4, &cards[1]), -1);
    config_of(rw, &cards[0]);
    assert_int_equal(announce(rw, 5, 1), NUMBER); /* it had its time */
    adds(rw, 1, 2);
    rw_destroy(rw);
}

static struct rw_record *announced_record(struct rw_node *node, uint32_t number) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    replica_announced_key(number, key);
    for (size_t i = 0; i < node->record_count; i++) {
        struct rw_record *record = &node->records[i];
        if (record->used && record->db == WAL_MISC && memcmp(record->key, key, wal_key_bytes(WAL_MISC)) == 0) return record;
    }
    return NULL;
}

/* Whoever has several that administrators signed, and shows one after the other for ever, ends nothing of anybody's and writes nothing. */
static void who_goes_from_one_config_to_another_ends_nobodys_observing(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(4);
    struct card cards[CARDS];
    int numbers[REPLICA_ANNOUNCED_MAX];
    nodes_enroll(cards);
    rw_run(rw, 300);
    for (uint32_t i = 0; i < REPLICA_ANNOUNCED_MAX; i++) {
        config_of(rw, &cards[i]);
        assert_int_equal(announce(rw, 4, 1), WAITS);
        numbers[i] = observer_of(rw, 4, &cards[i]);
        assert_true(numbers[i] >= 0);
    }
    uint64_t refused = rw_status(rw, 4)->drops[DROP_ADMIN_REFUSED];
    config_of(rw, &cards[REPLICA_ANNOUNCED_MAX]);
    assert_int_equal(announce(rw, 4, 1), BUSY); /* enough for this epoch */
    assert_int_equal(rw_status(rw, 4)->drops[DROP_ADMIN_REFUSED], refused + 1);
    assert_int_equal(observer_of(rw, 4, &cards[REPLICA_ANNOUNCED_MAX]), -1);
    rw_run(rw, 500);
    struct rw_record *kept = announced_record(&rw->nodes[4], 1);
    assert_non_null(kept);
    uint8_t mark = kept->bytes[0] ^= 1;
    for (uint32_t change = 0; change < 80; change++) {
        if (change % 8 == 0) rw->now_us += 61000000;
        rw_run(rw, 5);
        config_of(rw, &cards[change % CARDS]);
        assert_int_equal(announce(rw, 4, 1), change % CARDS < REPLICA_ANNOUNCED_MAX ? WAITS : BUSY);
    }
    for (uint32_t i = 0; i < REPLICA_ANNOUNCED_MAX; i++) assert_int_equal(observer_of(rw, 4, &cards[i]), numbers[i]); /* each under its number */
    assert_int_equal(kept->bytes[0], mark); /* and nothing was written */
    assert_int_equal(rw->nodes[4].stopped, 0);
    /* With the epoch all of them end, and there is room again: a CONFIG that changes nothing will do (S-81). */
    struct config config;
    assert_true(system_config(&rw->world->system, SHARD_CLUSTER_BASE, &config));
    kept->bytes[0] ^= 1;
    rw_config_next(&config, &op);
    (void)rw_admin_send(rw, 5, &op, 1, bytes_of_op);
    assert_true(rw_epoch_wait(rw, SHARD_CLUSTER_BASE, 1, 20000));
    rw_run(rw, 500);
    for (uint32_t i = 0; i < REPLICA_ANNOUNCED_MAX; i++) {
        assert_int_equal(observer_of(rw, 4, &cards[i]), -1);
        assert_null(announced_record(&rw->nodes[4], i));
    }
    uint8_t query[CONFIG_QUERY_BYTES]; /* what one said that is shut out by now */
    config_query_encode(SHARD_CLUSTER_BASE, 1, query);
    uint64_t roles = rw_status(rw, 4)->drops[DROP_ROLE];
    rw_inject(rw, (struct replica_peer){.kind = REPLICA_OBSERVER, .index = (uint32_t)numbers[2]}, 4, 0x0113, query, sizeof query);
    assert_int_equal(rw_status(rw, 4)->drops[DROP_ROLE], roles + 1);
    config.members.serial = 1; /* and who was shut out is shown under the next serial */
    config_after(&config, &cards[REPLICA_ANNOUNCED_MAX]);
    assert_int_equal(announce(rw, 4, 1), WAITS);
    assert_true(observer_of(rw, 4, &cards[REPLICA_ANNOUNCED_MAX]) >= 0);
    rw_destroy(rw);
}

int main(void) {
    if (!ed25519_start(NULL)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_would_have_an_effect_lets_somebody_in),
        cmocka_unit_test(an_observer_is_served_and_sees_what_goes_to_all),
        cmocka_unit_test(who_goes_from_one_config_to_another_ends_nobodys_observing),
        cmocka_unit_test(it_ends_with_the_next_config_and_not_by_another_announcement_and_lasts_over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
