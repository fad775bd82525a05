/*
 * The chain of CONFIGs that an owner gives to his node (S-105): proved from the system file before anything is touched, and put beside what the
 * node's data have, when they are made or at any time after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance/node/node_init_chain.h"
#include "merkle/check.h"
#include "protocol/config_chain.h"
#include "store/wal.h"
#include "tests/protocol/identity_fixture.h"

enum { SHARD = CONFIG_CLUSTER_SHARD, ROOM = 1 << 19, STEPS = 3, SLOTS = 4 };

static struct fixture *fixture;
static uint8_t payload[STEPS + 1][ROOM]; /* the chain as it is in each epoch */
static size_t payload_bytes[STEPS + 1];
static char folder[64], data[100], file[100];
static struct node_config config;
static struct store_identity identity;

/* Each CONFIG changes a limit or brings a spare node in. */
static void chains_make(void) {
    static uint8_t entries[STEPS][ROOM];
    size_t bytes[STEPS];
    struct signer verifier = signer_ed25519(NULL);
    struct config_chain *chain = calloc(1, sizeof *chain);
    struct admin_op *op = calloc(1, sizeof *op);
    CHECK(chain != NULL && op != NULL && config_chain_genesis(chain, &fixture->assembly->system, SHARD));
    for (uint32_t i = 0; i < STEPS; i++) {
        fixture_config_op(fixture, &chain->config, i == 0 ? 0 : -1, op);
        fixture_sign(fixture, op, 2);
        /* The spare one is the last member from epoch 1 on: the first three, a quorum, are the fixture's. */
        bytes[i] = fixture_chain_entry(fixture, 1, &chain->members, op, 10 + i, 3, entries[i], ROOM);
        CHECK(config_chain_step(chain, entries[i], bytes[i], &verifier, NULL) == SYSTEM_OK);
    }
    for (uint32_t epoch = 0; epoch <= STEPS; epoch++) {
        struct bytes_writer writer = bytes_writer_of(payload[epoch], ROOM);
        config_chain_head_encode(&writer, SHARD, epoch, 1);
        for (uint32_t i = 0; i < epoch; i++) {
            bytes_put_u32(&writer, (uint32_t)bytes[i]);
            bytes_put_raw(&writer, entries[i], bytes[i]);
        }
        CHECK(!writer.failed);
        payload_bytes[epoch] = writer.used;
    }
    free(op);
    free(chain);
}

static int set_up(void **state) {
    (void)state;
    struct store_error error;
    fixture = fixture_new(41, 1, 1, 4);
    chains_make();
    snprintf(folder, sizeof folder, "/tmp/heraclius-chain-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(data, sizeof data, "%s/data", folder);
    snprintf(file, sizeof file, "%s/chain", folder);
    memset(&config, 0, sizeof config);
    snprintf(config.data, sizeof config.data, "%s", data);
    config.wal_map_bytes = 1 << 26;
    identity = (struct store_identity){.cluster = SHARD, .member = CONFIG_MEMBERS_MAX};
    memcpy(identity.system_id, fixture->assembly->system.system_id, sizeof identity.system_id);
    memcpy(identity.node_id, fixture->spare_cards[1].id, sizeof identity.node_id);
    CHECK(store_directory_create(data, &identity, &error) == STORE_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    fixture_free(fixture);
    return system(command);
}

static void file_put(const uint8_t *bytes, size_t count) {
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, count, out), count);
    assert_int_equal(fclose(out), 0);
}

/* As heracliusd --chain FILE does. How many were new; -1: refused, with the text. */
static int give(const uint8_t *bytes, size_t count, char text[NODE_INIT_TEXT_BYTES]) {
    struct store_directory *directory;
    struct store_error error;
    uint32_t added = 0;
    size_t read;
    file_put(bytes, count);
    uint8_t *chain = node_init_chain_read(file, &fixture->assembly->system, SHARD, &read, text);
    if (chain == NULL) return -1;
    assert_int_equal(store_directory_open(data, &directory, &error), STORE_OK);
    bool good = node_init_chain_fill(directory, &config, &identity, chain, read, &added, text);
    store_directory_close(directory);
    free(chain);
    return good ? (int)added : -1;
}

static struct wal *wal_opened(struct store_directory **directory) {
    struct wal *wal;
    struct store_error error;
    assert_int_equal(store_directory_open(data, directory, &error), STORE_OK);
    struct wal_config about = {.directory = *directory, .identity = identity, .map_bytes = config.wal_map_bytes, .queue_slots = SLOTS, .cpu = -1};
    assert_int_equal(wal_open(&about, &wal, &error), STORE_OK);
    return wal;
}

static void wal_closed(struct wal *wal, struct store_directory *directory) {
    assert_int_equal(wal_close(wal), STORE_OK);
    store_directory_close(directory);
}

/* The record of this serial is the entry of the payload, or (mark) one byte; count 0: there is none. */
static void record_is(uint64_t serial, const uint8_t *bytes, size_t count) {
    static uint8_t value[ROOM];
    struct store_directory *directory;
    struct wal *wal = wal_opened(&directory);
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    size_t there = 0;
    (void)wal_key_chain(key, serial);
    enum store_status status = wal_get(wal, WAL_CHAIN, key, value, sizeof value, &there);
    wal_closed(wal, directory);
    assert_int_equal(status, count > 0 ? STORE_OK : STORE_ABSENT);
    if (count == 0) return;
    assert_int_equal(there, count);
    assert_memory_equal(value, bytes, count);
}

static void record_put(uint64_t serial, uint8_t byte) {
    struct store_directory *directory;
    struct wal *wal = wal_opened(&directory);
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct wal_record record = {.operation = WAL_PUT, .db = WAL_CHAIN, .parts = &part, .part_count = 1};
    struct wal_batch batch = {.records = &record, .record_count = 1};
    uint64_t sequence;
    (void)wal_key_chain(record.key, serial);
    assert_int_equal(wal_submit(wal, &batch, &sequence), STORE_OK);
    assert_int_equal(wal_wait(wal, sequence), STORE_OK);
    wal_closed(wal, directory);
}

static void entry_of(uint32_t serial, const uint8_t **bytes, size_t *count) {
    struct config_chain_reader reader;
    assert_int_equal(config_chain_read(&reader, SHARD, payload[STEPS], payload_bytes[STEPS], NULL), SYSTEM_OK);
    while (config_chain_next(&reader, bytes, count)) {
        if (reader.serial == serial) return;
    }
    fail();
}

static void all_are(uint32_t last) {
    for (uint32_t serial = 1; serial <= STEPS; serial++) {
        const uint8_t *bytes;
        size_t count;
        entry_of(serial, &bytes, &count);
        record_is(serial, bytes, serial <= last ? count : 0);
    }
}

static void a_chain_given_later_adds_what_the_data_have_not(void **state) {
    (void)state;
    char text[NODE_INIT_TEXT_BYTES];
    assert_int_equal(give(payload[0], payload_bytes[0], text), 0);
    all_are(0);
    assert_int_equal(give(payload[1], payload_bytes[1], text), 1);
    all_are(1);
    assert_int_equal(give(payload[3], payload_bytes[3], text), 2);
    all_are(3);
    assert_int_equal(give(payload[3], payload_bytes[3], text), 0); /* again */
    assert_int_equal(give(payload[1], payload_bytes[1], text), 0); /* an older one takes nothing away */
    all_are(3);
}

static void what_lies_there_is_not_written_over(void **state) {
    (void)state;
    char text[NODE_INIT_TEXT_BYTES];
    record_put(1, 0x5A);
    assert_int_equal(give(payload[2], payload_bytes[2], text), 1);
    uint8_t mark = 0x5A;
    record_is(1, &mark, 1);
}

static void one_that_the_system_file_does_not_prove_changes_nothing(void **state) {
    (void)state;
    static uint8_t bent[ROOM];
    char text[NODE_INIT_TEXT_BYTES];
    size_t count = payload_bytes[2];
    uint32_t seed = 7;
    for (uint32_t round = 0; round < 200; round++) { /* a byte anywhere */
        memcpy(bent, payload[2], count);
        seed = seed * 1664525 + 1013904223;
        bent[seed % count] ^= (uint8_t)(1 + (seed >> 24) % 255);
        assert_int_equal(give(bent, count, text), -1);
    }
    assert_int_equal(give(payload[2], count - 1, text), -1);
    bytes_put_le32(bent, CONFIG_CLUSTER_COORDINATOR); /* of another cluster */
    memcpy(bent + 4, payload[2] + 4, count - 4);
    assert_int_equal(give(bent, count, text), -1);
    assert_non_null(strstr(text, file));
    all_are(0);
}

static void the_data_of_another_node_are_not_touched(void **state) {
    (void)state;
    char text[NODE_INIT_TEXT_BYTES];
    identity.node_id[3] ^= 1;
    assert_int_equal(give(payload[2], payload_bytes[2], text), -1);
    assert_non_null(strstr(text, data));
    identity.node_id[3] ^= 1;
    all_are(0);
}

int main(void) {
    if (!ed25519_start(NULL)) return 1;
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_chain_given_later_adds_what_the_data_have_not),
        T(what_lies_there_is_not_written_over),
        T(one_that_the_system_file_does_not_prove_changes_nothing),
        T(the_data_of_another_node_are_not_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
