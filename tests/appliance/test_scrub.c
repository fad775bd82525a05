/* Scrubbing: what is found in memory and in the write-ahead store, and what becomes of it (appliance/exec/exec_scrub.c, replica_scrub.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/base/scrub_pace.h"
#include "appliance/exec/exec_inside.h"
#include "appliance/replica/replica_private.h"
#include "tests/appliance/replica_world.h"

enum { SHARD_NODE = RW_CLUSTER + 1, ENOUGH = 100000 };

static struct replica_world *world_of(uint32_t keys) {
    struct replica_world *rw = rw_create(21);
    rw_run(rw, 300);
    for (uint32_t i = 1; i <= keys; i++) {
        char key[16];
        snprintf(key, sizeof key, "key%u", i);
        struct operation put = op_put(key, "the value");
        assert_non_null(rw_ask(rw, BATCH_WRITE, i, &put, 1, 20000));
    }
    rw_run(rw, 300);
    return rw;
}

/* ---- how fast ---- */

static void a_store_of_some_size_is_read_at_the_configured_rate_and_a_smaller_one_in_as_long_a_round(void **state) {
    (void)state;
    assert_int_equal(scrub_pace_due(500, 1000000, 2000), 1000);
    assert_int_equal(scrub_pace_due(500, SCRUB_ROUND_RECORDS_MIN, 2000), 1000);
    assert_int_equal(scrub_pace_due(500, SCRUB_ROUND_RECORDS_MIN / 10, 100000), 5000);
    assert_int_equal(scrub_pace_due(500, 999, 600000), 1000); /* a round in ten minutes */
    assert_int_equal(scrub_pace_due(500, 0, 600000), 1);
    assert_int_equal(scrub_pace_due(500, 0, 599000), 0);
    assert_int_equal(scrub_pace_due(1, 1000000, 999), 0);
    assert_true(scrub_pace_due(1000000, UINT64_MAX, 1000) == 1000000);
}

/* A table that was empty when it was looked at is looked at again. */
static void a_table_that_grew_is_seen_to_have_grown(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(22);
    struct replica *replica = rw->nodes[SHARD_NODE].replica;
    rw_run(rw, 300);
    replica->scrub.records_s = 500;
    replica->scrub.leaves = 0;
    rw_run(rw, 12000);
    assert_true(replica->scrub.leaves > 0);
    rw_destroy(rw);
}

/* ---- memory ---- */

static uint8_t *value_of(struct executor *ex, const char *key) {
    struct table_entry entry;
    uint64_t hash = table_hash(ex->table, TRIE_SPACE_USER, (const uint8_t *)key, strlen(key));
    assert_int_equal(table_get(ex->table, hash, TRIE_SPACE_USER, (const uint8_t *)key, strlen(key), &entry), TABLE_OK);
    return (uint8_t *)(uintptr_t)entry.value;
}

static void sound_memory_is_found_sound_in_steps_and_rounds(void **state) {
    (void)state;
    struct replica_world *rw = world_of(20);
    struct executor *ex = rw->nodes[SHARD_NODE].executor;
    struct exec_scrubbed scrubbed = {.round = false};
    uint32_t records = 0;
    while (!scrubbed.round) {
        assert_int_equal(executor_scrub(ex, 7, &scrubbed), EXEC_VALID);
        assert_true(scrubbed.records <= 7);
        records += scrubbed.records;
    }
    struct exec_figures figures;
    executor_figures(ex, &figures);
    assert_true(figures.user_keys == 20 && records == figures.user_keys + figures.system_keys);
    rw_destroy(rw);
}

static void a_flip_in_a_value_is_found(void **state) {
    (void)state;
    struct replica_world *rw = world_of(20);
    struct executor *ex = rw->nodes[SHARD_NODE].executor;
    struct exec_scrubbed scrubbed;
    *value_of(ex, "key7") ^= 4;
    assert_int_equal(executor_scrub(ex, ENOUGH, &scrubbed), EXEC_CORRUPT);
    assert_int_equal(scrubbed.damage, EXEC_DAMAGE_ENTRY);
    rw_destroy(rw);
}

/* As an intruder, or a fault of the program, would write it: the entry's own checksum is right. */
static void another_value_with_a_good_checksum_is_found_by_its_hash(void **state) {
    (void)state;
    struct replica_world *rw = world_of(20);
    struct executor *ex = rw->nodes[SHARD_NODE].executor;
    struct exec_scrubbed scrubbed;
    uint64_t hash = table_hash(ex->table, TRIE_SPACE_USER, (const uint8_t *)"key7", 4);
    table_block_begin(ex->table, ex->now.height + 1);
    assert_int_equal(table_put(ex->table, hash, TRIE_SPACE_USER, (const uint8_t *)"key7", 4, 0, (const uint8_t *)"not this", 8), TABLE_OK);
    table_finalize_oldest(ex->table);
    assert_int_equal(executor_scrub(ex, ENOUGH, &scrubbed), EXEC_CORRUPT);
    assert_int_equal(scrubbed.damage, EXEC_DAMAGE_ENTRY);
    rw_destroy(rw);
}

static void an_entry_that_is_too_many_is_counted(void **state) {
    (void)state;
    struct replica_world *rw = world_of(3);
    struct executor *ex = rw->nodes[SHARD_NODE].executor;
    struct exec_scrubbed scrubbed;
    struct table_version version = {.height = 1};
    assert_int_equal(table_load(ex->table, TRIE_SPACE_USER, (const uint8_t *)"stray", 5, version, NULL, 0), TABLE_OK);
    assert_int_equal(executor_scrub(ex, 1, &scrubbed), EXEC_CORRUPT);
    assert_int_equal(scrubbed.damage, EXEC_DAMAGE_COUNT);
    rw_destroy(rw);
}

/* The node says so, signs nothing more, and is to be opened anew; the others go on. */
static void a_replica_whose_memory_failed_is_to_be_opened_anew(void **state) {
    (void)state;
    struct replica_world *rw = world_of(20);
    struct rw_node *node = &rw->nodes[SHARD_NODE];
    node->replica->scrub.records_s = 1000000;
    rw_run(rw, 500);
    assert_int_equal(node->stopped, 0);
    assert_true(node->replica->status.scrub_rounds > 0);
    *value_of(node->executor, "key9") ^= 1;
    rw_run(rw, 500);
    assert_int_equal(node->stopped, 1);
    assert_int_equal(node->replica->status.scrub_found, 1);
    struct operation put = op_put("key9", "once more");
    assert_non_null(rw_ask(rw, BATCH_WRITE, 21, &put, 1, 20000));
    rw_destroy(rw);
}

/* ---- the write-ahead store ---- */

static struct rw_record *record_of(struct rw_node *node, uint8_t db, uint8_t part) {
    struct rw_record *found = NULL;
    for (size_t i = 0; i < node->record_count; i++) {
        struct rw_record *record = &node->records[i];
        bool wanted = record->used && record->db == db;
        if (db == WAL_BLOCKS) wanted = wanted && record->key[48] == part;
        if (db == WAL_VOTES) wanted = wanted && record->key[0] == part;
        if (wanted) found = record; /* the newest: its content is in memory still */
    }
    assert_non_null(found);
    return found;
}

static bool is_there(const struct rw_node *node, uint8_t db, const uint8_t *key) {
    for (size_t i = 0; i < node->record_count; i++) {
        if (node->records[i].used && node->records[i].db == db && memcmp(node->records[i].key, key, wal_key_bytes((enum wal_db)db)) == 0) return true;
    }
    return false;
}

/* Damages the record, lets the scrub tell of it, and compares what is there after the next write. */
static void is_written_again(struct replica_world *rw, struct rw_node *node, uint8_t db, uint8_t part) {
    struct rw_record *record = record_of(node, db, part);
    uint8_t *was = malloc(record->count);
    memcpy(was, record->bytes, record->count);
    record->bytes[record->count / 2] ^= 0x10;
    uint64_t found = node->replica->status.scrub_found;
    replica_scrub_wal(node->replica, (enum wal_db)db, record->key);
    rw_run(rw, 3000); /* certificates are in no hurry */
    assert_int_equal(node->replica->status.scrub_found, found + 1);
    assert_int_equal(node->replica->status.scrub_repaired, found + 1);
    assert_memory_equal(record->bytes, was, record->count);
    free(was);
}

static void what_is_in_memory_is_written_again(void **state) {
    (void)state;
    struct replica_world *rw = world_of(10);
    struct rw_node *node = &rw->nodes[SHARD_NODE];
    is_written_again(rw, node, WAL_BLOCKS, WAL_PART_HEADER);
    is_written_again(rw, node, WAL_BLOCKS, WAL_PART_BODY);
    is_written_again(rw, node, WAL_BLOCKS, WAL_PART_CERTIFICATE);
    is_written_again(rw, node, WAL_INPUTS, 0);
    struct operation put = op_put("x", "y");
    struct rw_record *item = record_of(node, WAL_VOTES, WAL_VOTE_PEER_COMMIT);
    memset(item->bytes, 0, item->count);
    replica_scrub_wal(node->replica, WAL_VOTES, item->key);
    assert_non_null(rw_ask(rw, BATCH_WRITE, 11, &put, 1, 20000));
    rw_run(rw, 300);
    rw_crash(rw, SHARD_NODE);
    rw_restart(rw, SHARD_NODE); /* CHECKs that every item decodes */
    rw_run(rw, 2000);
    assert_int_equal(rw_status(rw, SHARD_NODE)->phase, PHASE_VOTING);
    rw_destroy(rw);
}

static struct rw_record *misc_record(struct rw_node *node, const uint8_t *key) {
    for (size_t i = 0; i < node->record_count; i++) {
        struct rw_record *record = &node->records[i];
        if (record->used && record->db == WAL_MISC && memcmp(record->key, key, wal_key_bytes(WAL_MISC)) == 0) return record;
    }
    return NULL;
}

/* Damages the record under this key, which only this node has; it is as it was afterwards. */
static void misc_is_written_again(struct replica_world *rw, struct rw_node *node, const uint8_t *key) {
    struct rw_record *record = misc_record(node, key);
    assert_non_null(record);
    size_t count = record->count;
    uint8_t *was = malloc(count);
    memcpy(was, record->bytes, count);
    record->bytes[count / 2] ^= 0x10;
    uint64_t repaired = node->replica->status.scrub_repaired;
    replica_scrub_wal(node->replica, WAL_MISC, key);
    rw_run(rw, 500);
    record = misc_record(node, key);
    assert_non_null(record);
    assert_int_equal(record->count, count);
    assert_memory_equal(record->bytes, was, count);
    assert_int_equal(node->replica->status.scrub_repaired, repaired + 1);
    free(was);
}

/* A record of the node layer, as --init wrote it. */
static void misc_add(struct rw_node *node, const uint8_t *key, const uint8_t *bytes, size_t count) {
    struct rw_record record = {.used = true, .db = WAL_MISC, .bytes = malloc(count), .count = count};
    memcpy(record.bytes, bytes, count);
    memcpy(record.key, key, wal_key_bytes(WAL_MISC));
    assert_true(node->record_count < node->record_room);
    node->records[node->record_count++] = record;
}

static void what_only_this_node_has_is_written_again_and_never_removed(void **state) {
    (void)state;
    struct rw_script script;
    rw_script_begin(&script, rw_create(22));
    struct replica_world *rw = script.rw;
    struct rw_node *node = &rw->nodes[SHARD_NODE];
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    assert_true(rw_adds(&script, 2));
    for (uint32_t epoch = 1; epoch <= 2; epoch++) {
        rw_config_send(&script, 0, COORDINATOR_CLUSTER_BASE);
        assert_true(rw_epoch_wait(rw, COORDINATOR_CLUSTER_BASE, epoch, 20000) && rw_adds(&script, 2));
    }
    for (uint64_t serial = 1; serial <= 2; serial++) {
        replica_pair_chain_key(key, COORDINATOR_CLUSTER_BASE, serial);
        misc_is_written_again(rw, node, key);
    }
    replica_genesis_key(key);
    misc_add(node, key, node->replica->genesis.state_root.bytes, 32);
    misc_is_written_again(rw, node, key);
    for (uint32_t i = 0; i < REPLICA_ANNOUNCED_MAX; i++) {
        replica_announced_key(i, key);
        misc_add(node, key, (const uint8_t *)"a CONFIG", 8);
        node->replica->announced[i].bytes = blob_copy((const uint8_t *)"a CONFIG", 8);
        misc_is_written_again(rw, node, key);
    }
    struct claim_successor statement = {.signatures_count = 0};
    memcpy(statement.predecessor_id, rw->world->system.system_id, 16);
    memset(statement.successor_hash, 1, 32);
    assert_true(claim_successor_sign(&statement, &rw->admin));
    replica_successor(node->replica, &statement);
    rw_run(rw, 500);
    replica_successor_key(key);
    misc_is_written_again(rw, node, key);
    rw_destroy(rw);
}

static void what_memory_does_not_have_of_it_is_left_and_not_called_repaired(void **state) {
    (void)state;
    struct replica_world *rw = world_of(3);
    struct rw_node *node = &rw->nodes[SHARD_NODE];
    uint8_t keys[4][WAL_KEY_BYTES_MAX] = {0};
    replica_successor_key(keys[0]);
    replica_announced_key(1, keys[1]);
    replica_pair_chain_key(keys[2], COORDINATOR_CLUSTER_BASE, 1);
    (void)wal_key_misc(keys[3], "of a later release");
    for (unsigned i = 0; i < 4; i++) {
        misc_add(node, keys[i], (const uint8_t *)"?", 1);
        replica_scrub_wal(node->replica, WAL_MISC, keys[i]);
    }
    rw_run(rw, 500);
    for (unsigned i = 0; i < 4; i++) assert_true(is_there(node, WAL_MISC, keys[i]));
    assert_int_equal(node->replica->status.scrub_found, 4);
    assert_int_equal(node->replica->status.scrub_repaired, 0);
    assert_int_equal(node->stopped, 0);
    rw_destroy(rw);
}

static uint64_t height_of(const struct rw_record *record) {
    uint64_t epoch, height;
    const uint8_t *id;
    uint8_t part;
    wal_key_block_read(record->key, &epoch, &height, &id, &part);
    return height;
}

static struct rw_record *block_record(struct rw_node *node, uint64_t height, uint8_t part) {
    for (size_t i = 0; i < node->record_count; i++) {
        struct rw_record *record = &node->records[i];
        if (record->used && record->db == WAL_BLOCKS && record->key[48] == part && height_of(record) == height) return record;
    }
    return NULL;
}

/* A coordinator that keeps few blocks in memory. */
static struct rw_node *forgetful(struct replica_world *rw, uint64_t *height) {
    struct rw_node *node = &rw->nodes[1];
    struct operation put = op_put("x", "y");
    node->replica->config.limits.answer_blocks_kept = 1;
    *height = node->replica->tip_height - 2;
    for (uint64_t number = 11; number < 15; number++) assert_non_null(rw_ask(rw, BATCH_WRITE, number, &put, 1, 20000));
    rw_run(rw, 1000);
    uint32_t index = node->replica->final_at[*height % BLOCKS_MAX];
    assert_true(index == NONE || node->replica->blocks[index].header.height != *height);
    return node;
}

static void a_final_block_that_is_in_memory_no_more_comes_back_from_a_peer(void **state) {
    (void)state;
    struct replica_world *rw = world_of(10);
    uint64_t height;
    struct rw_node *node = forgetful(rw, &height);
    static const uint8_t parts[] = {WAL_PART_HEADER, WAL_PART_BODY, WAL_PART_CERTIFICATE};
    uint8_t *was[3], keys[3][WAL_KEY_BYTES_MAX];
    size_t counts[3];
    for (unsigned i = 0; i < 3; i++) {
        struct rw_record *record = block_record(node, height, parts[i]);
        assert_non_null(record);
        counts[i] = record->count;
        was[i] = malloc(record->count);
        memcpy(was[i], record->bytes, record->count);
        memcpy(keys[i], record->key, sizeof keys[i]);
        memset(record->bytes, 0xEE, record->count);
    }
    for (unsigned i = 0; i < 3; i++) replica_scrub_wal(node->replica, WAL_BLOCKS, keys[i]);
    assert_int_equal(node->replica->scrub.repair_count, 1);
    rw_run(rw, 3000);
    assert_int_equal(node->replica->scrub.repair_count, 0);
    assert_int_equal(node->replica->status.scrub_repaired, 1);
    for (unsigned i = 0; i < 3; i++) {
        struct rw_record *record = block_record(node, height, parts[i]);
        assert_non_null(record);
        if (i < 2) assert_int_equal(record->count, counts[i]); /* the certificate may be another one */
        assert_memory_equal(record->bytes, was[i], i < 2 ? counts[i] : BFT_HEADER_BYTES);
        free(was[i]);
    }
    rw_crash(rw, 1);
    rw_restart(rw, 1); /* CHECKs each block */
    rw_run(rw, 2000);
    assert_true(rw_compare(rw) > 0);
    rw_destroy(rw);
}

/* Asked for a block, a member gives another one of this height, which nothing certifies. */
static void a_peer_that_gives_another_block_is_named_and_the_next_one_asked(void **state) {
    (void)state;
    struct replica_world *rw = world_of(10);
    uint64_t height;
    struct rw_node *node = forgetful(rw, &height);
    struct rw_record *record = block_record(node, height, WAL_PART_BODY), *header = block_record(node, height, WAL_PART_HEADER);
    struct bft_message *message = calloc(1, sizeof *message);
    struct bytes_cursor cursor = bytes_cursor_of(header->bytes, header->count);
    message->type = BFT_MESSAGE_BLOCK;
    assert_true(bft_header_get(&cursor, &message->block.header));
    message->block.header.time++;
    uint8_t *frame = malloc(BFT_WIRE_HEAD_BYTES_MAX + record->count);
    message->body = record->bytes;
    message->body_bytes = (uint32_t)record->count;
    size_t bytes = bft_wire_encode(message, frame, BFT_WIRE_HEAD_BYTES_MAX);
    memcpy(frame + bytes, record->bytes, record->count);
    replica_scrub_wal(node->replica, WAL_BLOCKS, record->key);
    rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 2}, 1, BFT_MESSAGE_BLOCK, frame, bytes + record->count);
    assert_int_equal(node->replica->scrub.repair_count, 1);
    assert_int_equal(node->replica->status.attacks[ATTACK_BAD_BLOCK], 1);
    rw_run(rw, 3000);
    assert_int_equal(node->replica->scrub.repair_count, 0);
    assert_non_null(block_record(node, height, WAL_PART_BODY));
    free(frame);
    free(message);
    rw_destroy(rw);
}

static void what_is_known_to_nobody_is_removed(void **state) {
    (void)state;
    struct replica_world *rw = world_of(3);
    struct rw_node *node = &rw->nodes[SHARD_NODE];
    uint8_t key[WAL_KEY_BYTES_MAX] = {7};
    struct rw_record stray = {.used = true, .db = WAL_INPUTS, .bytes = malloc(1), .count = 1};
    memcpy(stray.key, key, sizeof key);
    assert_true(node->record_count < node->record_room);
    node->records[node->record_count++] = stray;
    replica_scrub_wal(node->replica, WAL_INPUTS, key);
    rw_run(rw, 500);
    assert_false(is_there(node, WAL_INPUTS, key));
    assert_int_equal(node->replica->status.scrub_repaired, 1);
    rw_destroy(rw);
}

/* P-15. It follows, and after a start it still knows. */
static void a_damaged_voting_memory_retires_the_key_for_ever(void **state) {
    (void)state;
    struct replica_world *rw = world_of(10);
    struct rw_node *node = &rw->nodes[SHARD_NODE];
    struct rw_record *memory = record_of(node, WAL_VOTES, WAL_VOTE_CORE);
    struct bft_memory before = node->replica->core->memory;
    memset(memory->bytes, 0xFF, memory->count);
    replica_scrub_wal(node->replica, WAL_VOTES, memory->key);
    rw_run(rw, 500);
    assert_true(node->replica->retired);
    struct operation put = op_put("x", "y");
    assert_non_null(rw_ask(rw, BATCH_WRITE, 11, &put, 1, 20000));
    rw_run(rw, 1000);
    assert_int_equal(node->replica->core->memory.prepared.height, before.prepared.height);
    assert_int_equal(rw_status(rw, SHARD_NODE)->final_height, rw_status(rw, RW_CLUSTER)->final_height);
    rw_crash(rw, SHARD_NODE);
    rw_restart(rw, SHARD_NODE);
    rw_run(rw, 2000);
    assert_int_equal(rw_status(rw, SHARD_NODE)->phase, PHASE_RETIRED);
    rw_destroy(rw);
}

static void a_wal_whose_tree_is_damaged_stops_the_node(void **state) {
    (void)state;
    struct replica_world *rw = world_of(3);
    struct rw_node *node = &rw->nodes[SHARD_NODE];
    replica_scrub_wal_tree(node->replica, "its tree");
    rw_run(rw, 100);
    assert_int_equal(node->stopped, 1);
    rw_destroy(rw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_of_some_size_is_read_at_the_configured_rate_and_a_smaller_one_in_as_long_a_round),
        cmocka_unit_test(a_table_that_grew_is_seen_to_have_grown),
        cmocka_unit_test(sound_memory_is_found_sound_in_steps_and_rounds),
        cmocka_unit_test(a_flip_in_a_value_is_found),
        cmocka_unit_test(another_value_with_a_good_checksum_is_found_by_its_hash),
        cmocka_unit_test(an_entry_that_is_too_many_is_counted),
        cmocka_unit_test(a_replica_whose_memory_failed_is_to_be_opened_anew),
        cmocka_unit_test(what_is_in_memory_is_written_again),
        cmocka_unit_test(what_only_this_node_has_is_written_again_and_never_removed),
        cmocka_unit_test(what_memory_does_not_have_of_it_is_left_and_not_called_repaired),
        cmocka_unit_test(a_final_block_that_is_in_memory_no_more_comes_back_from_a_peer),
        cmocka_unit_test(a_peer_that_gives_another_block_is_named_and_the_next_one_asked),
        cmocka_unit_test(what_is_known_to_nobody_is_removed),
        cmocka_unit_test(a_damaged_voting_memory_retires_the_key_for_ever),
        cmocka_unit_test(a_wal_whose_tree_is_damaged_stops_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
