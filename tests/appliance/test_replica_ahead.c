/* Slices that the store is told of as they come, before a block names them: stored with the block (P-1), forgotten when nobody wants them; and inputs
 * in the store that no block names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/replica/replica_batch.h"
#include "appliance/replica/replica_private.h"
#include "tests/appliance/replica_world.h"

enum { LOOKS_MAX = 4000 };

static const struct rw_wishes ahead = {.ahead_bytes = 1};

static bool on_disk(const struct rw_node *node, enum wal_db db, const uint8_t *key, size_t key_bytes) {
    for (size_t i = 0; i < node->record_count; i++) {
        if (node->records[i].used && node->records[i].db == db && memcmp(node->records[i].key, key, key_bytes) == 0) return true;
    }
    return false;
}

/* A slice that is held and that no block names; NONE: there is none now. */
static uint32_t slice_unnamed(const struct replica *r) {
    for (uint32_t i = 0; i < r->inputs_used_max; i++) {
        const struct input *input = &r->inputs[i];
        if (input->state == INPUT_HELD && input->kind == BODY_SLICE && input->in_blocks == 0) return i;
    }
    return NONE;
}

/* Sent, and not waited for. */
static void put_send(struct replica_world *rw, uint64_t number) {
    struct operation put = op_put("k", "v");
    uint32_t bytes;
    uint8_t digest[32], *batch = rw_batch(rw, BATCH_WRITE, number, &put, 1, &bytes, digest);
    rw_send(rw, 0, MESSAGE_BATCH, batch, bytes);
    free(batch);
}

/* Writes until a node that is up has one. */
static uint32_t slice_await(struct replica_world *rw, uint32_t *node) {
    uint64_t number = 0;
    for (uint32_t look = 0; look < LOOKS_MAX; look++) {
        if (look % 200 == 0) put_send(rw, ++number);
        rw_run(rw, 1);
        for (*node = 0; *node < RW_NODES; (*node)++) {
            uint32_t index = rw->nodes[*node].up ? slice_unnamed(rw->nodes[*node].replica) : NONE;
            if (index != NONE) return index;
        }
    }
    return NONE;
}

static bool is_prepared(const struct rw_node *node, const uint8_t hash[32]) {
    bool found = false;
    for (size_t i = 0; i < node->prepared.count; i++) found = found || memcmp(node->prepared.entries[i].key, hash, 32) == 0;
    return found;
}

/* A slice that was prepared, and of which no block is known yet. */
static uint32_t prepared_await(struct replica_world *rw, uint32_t *at, uint8_t hash[32]) {
    rw_run(rw, 200);
    uint32_t index = slice_await(rw, at);
    assert_int_not_equal(index, NONE);
    memcpy(hash, rw->nodes[*at].replica->inputs[index].hash, 32);
    assert_true(is_prepared(&rw->nodes[*at], hash));
    return index;
}

/* replica_world.c has an eye on what is prepared: the record that is put has the same bytes, once. */
static void a_slice_is_prepared_before_a_block_names_it(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_wished(31, &ahead);
    uint32_t at;
    uint8_t hash[32];
    uint32_t index = prepared_await(rw, &at, hash);
    const struct input *input = &rw->nodes[at].replica->inputs[index];
    assert_true(!input->persisted && input->ticket > 0);
    assert_false(on_disk(&rw->nodes[at], WAL_INPUTS, hash, 32));
    rw_run(rw, 3000);
    assert_true(on_disk(&rw->nodes[at], WAL_INPUTS, hash, 32));
    assert_int_equal(rw->nodes[at].prepared.count, 0);
    assert_true(rw->nodes[at].prepared.newest > 0);
    assert_true(rw_status(rw, at)->final_height > 0 && rw->nodes[at].stopped == 0);
    rw_destroy(rw);
}

static void a_slice_that_nobody_wants_is_forgotten(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_wished(32, &ahead);
    uint32_t at;
    uint8_t hash[32];
    uint32_t index = prepared_await(rw, &at, hash);
    struct replica *r = rw->nodes[at].replica;
    input_drop(r, index, r->tip_height);
    struct replica_output output;
    uint64_t forgotten = 0;
    while (replica_next(r, &output)) forgotten += output.kind == REPLICA_FORGET;
    assert_int_equal(forgotten, 1);
    assert_int_equal(r->orphan_count, 0); /* nothing of it is in the store */
    rw_destroy(rw);
}

static void a_short_slice_is_not_prepared(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(31);
    uint32_t at, index;
    rw_run(rw, 200);
    index = slice_await(rw, &at);
    assert_int_not_equal(index, NONE);
    assert_true(!rw->nodes[at].replica->inputs[index].persisted && rw->nodes[at].replica->inputs[index].ticket == 0);
    assert_int_equal(rw->nodes[at].prepared.newest, 0);
    rw_destroy(rw);
}

/* The block's batch comes after the slice's, so its votes wait for both, also when a block names the slice before it is on disk. */
static void a_vote_waits_for_a_slice_that_is_under_way(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_wished(33, &ahead);
    uint32_t at, index;
    rw_run(rw, 200);
    index = slice_await(rw, &at);
    assert_int_not_equal(index, NONE);
    struct rw_node *node = &rw->nodes[at];
    struct replica *r = node->replica;
    node->disk_stalled = true;
    uint8_t hash[32];
    memcpy(hash, r->inputs[index].hash, 32);
    uint64_t durable = r->durable;
    bool lies = on_disk(node, WAL_INPUTS, hash, 32);
    rw_run(rw, 400);
    assert_true(r->durable == durable);
    assert_int_equal(lies, on_disk(node, WAL_INPUTS, hash, 32));
    const struct rblock *names = NULL;
    for (uint32_t i = 0; i < r->blocks_used_max; i++) {
        const struct rblock *block = &r->blocks[i];
        for (uint32_t ref = 0; block->used && block->inputs != NULL && ref < block->ref_count; ref++)
            if (block->inputs[ref] == index) names = block;
    }
    assert_non_null(names);
    assert_true(names->persisted && names->durable_at > durable);
    assert_true(r->held_count > 0);
    for (uint32_t i = 0; i < r->held_count; i++) assert_true(r->held[(r->held_first + i) % r->held_room].sequence > durable);
    node->disk_stalled = false;
    rw_run(rw, 3000);
    assert_true(on_disk(node, WAL_INPUTS, hash, 32));
    rw_destroy(rw);
}

static void prune_all(struct replica_world *rw, uint32_t at) {
    struct replica *r = rw->nodes[at].replica;
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(rw_puts(rw, 4));
        rw_run(rw, 1500);
        replica_checkpointed(r, r->tip_height);
        rw_run(rw, 1500);
        assert_true(rw_puts(rw, 1)); /* pruning rides in writes that go anyway */
        rw_run(rw, 500);
    }
}

static void inputs_are_on_disk(const struct rw_node *node, const struct rblock *block) {
    for (uint32_t ref = 0; ref < block->ref_count; ref++) {
        struct body_reference reference;
        const uint8_t *at = block->body->bytes + block->body_offset + BODY_HEAD_BYTES + (size_t)ref * BODY_REFERENCE_BYTES;
        assert_true(body_reference_decode(at, &reference));
        assert_true(reference.kind == BODY_NOOP || on_disk(node, WAL_INPUTS, reference.hash, 32));
    }
}

/* Nobody is answered before all of a block is durable, also where its inputs had to come again (a flip on the disk, what a scrub removed). */
static void a_block_of_the_store_waits_for_the_slices_that_came_again(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_wished(38, &ahead);
    rw_run(rw, 200);
    assert_true(rw_puts(rw, 3));
    rw_run(rw, 2000);
    struct rw_node *node = &rw->nodes[5];
    rw_crash(rw, 5);
    for (size_t i = 0; i < node->record_count; i++) {
        if (!node->records[i].used || node->records[i].db != WAL_INPUTS) continue;
        free(node->records[i].bytes);
        memset(&node->records[i], 0, sizeof node->records[i]);
    }
    rw_restart(rw, 5);
    struct replica *r = node->replica;
    uint64_t published = r->published_height;
    node->disk_stalled = true;
    rw_run(rw, 4000);
    assert_true(r->tip_height > published); /* it executed them */
    for (uint32_t i = 0; i < r->blocks_used_max; i++) {
        const struct rblock *block = &r->blocks[i];
        if (block->used && block->final && block->published) inputs_are_on_disk(node, block);
    }
    node->disk_stalled = false;
    rw_run(rw, 2000);
    assert_true(r->published_height > published);
    rw_destroy(rw);
}

/* An input that was orphaned, came again, was decided and orphaned again: the block that names it keeps it. */
static void an_input_that_was_orphaned_twice_stays_with_its_block(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_wished(44, &ahead);
    rw_run(rw, 200);
    assert_true(rw_puts(rw, 3));
    rw_run(rw, 1500);
    struct rw_node *node = &rw->nodes[5];
    struct replica *r = node->replica;
    uint32_t index = r->done.last;
    assert_true(index != NONE && r->inputs[index].kind == BODY_SLICE && r->inputs[index].persisted);
    uint8_t hash[32];
    memcpy(hash, r->inputs[index].hash, 32);
    uint64_t decided = r->inputs[index].decided_height;
    input_orphan(r, hash, decided - 1);
    for (int again = 0; again < 4 && r->inputs[index].in_blocks > 0; again++) {
        assert_true(rw_puts(rw, 1));
        rw_run(rw, 500);
    }
    assert_true(input_find(r, hash) == index && r->inputs[index].in_blocks == 0);
    input_drop(r, index, decided); /* as done_evict() does */
    replica_checkpointed(r, decided - 1);
    replica_checkpointed(r, decided - 1);
    assert_true(rw_puts(rw, 2));
    rw_run(rw, 1500);
    assert_true(r->pruned_height == decided - 1);
    assert_true(on_disk(node, WAL_INPUTS, hash, 32));
    prune_all(rw, 5);
    assert_false(on_disk(node, WAL_INPUTS, hash, 32));
    rw_destroy(rw);
}

/* What lies on disk of an input that is only wanted, or held and not stored, is not forgotten. */
static void an_orphan_of_an_input_that_waits_keeps_its_entry(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_wished(45, &ahead);
    rw_run(rw, 200);
    assert_true(rw_puts(rw, 3));
    rw_run(rw, 1000);
    struct replica *r = rw->nodes[1].replica;
    uint8_t hash[32] = {0xEE, 4};
    uint32_t index = input_make(r, BODY_SLICE, hash);
    assert_int_not_equal(index, NONE);
    input_orphan(r, hash, r->tip_height);
    prune_all(rw, 1);
    uint32_t entries = 0;
    for (uint32_t i = 0; i < r->orphan_count; i++) entries += memcmp(r->orphans[i].hash, hash, 32) == 0;
    assert_int_equal(entries, 1);
    if (r->inputs[index].state != INPUT_FREE && memcmp(r->inputs[index].hash, hash, 32) == 0) input_free(r, index);
    prune_all(rw, 1);
    entries = 0;
    for (uint32_t i = 0; i < r->orphan_count; i++) entries += memcmp(r->orphans[i].hash, hash, 32) == 0;
    assert_int_equal(entries, 0);
    rw_destroy(rw);
}

/* A slice of this hash that is held and stored. */
static uint32_t slice_stored(struct replica *r, const uint8_t hash[32]) {
    uint32_t index = input_make(r, BODY_SLICE, hash);
    assert_int_not_equal(index, NONE);
    struct blob *blob = blob_make(80);
    memset(blob->bytes, 7, 80);
    input_hold(r, index, (struct blob_piece){.blob = blob, .count = 80});
    blob_drop(blob);
    input_persist(r, &r->inputs[index]);
    return index;
}

/* Two that no block names: another slice was it, or a leader found it bad. */
static void what_is_dropped_goes_with_the_pruning(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_wished(34, &ahead);
    rw_run(rw, 200);
    assert_true(rw_puts(rw, 2));
    rw_run(rw, 1000);
    struct replica *r = rw->nodes[1].replica;
    uint8_t hash[32] = {0xEE, 1};
    uint32_t index = slice_stored(r, hash);
    rw_run(rw, 500);
    assert_true(on_disk(&rw->nodes[1], WAL_INPUTS, hash, 32));
    input_drop(r, index, r->tip_height);
    assert_int_equal(input_find(r, hash), NONE);
    prune_all(rw, 1);
    assert_false(on_disk(&rw->nodes[1], WAL_INPUTS, hash, 32));
    rw_destroy(rw);
}

static void a_slice_that_was_another_one_goes_with_the_pruning(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_wished(35, &ahead);
    rw_run(rw, 200);
    assert_true(rw_puts(rw, 2));
    rw_run(rw, 1000);
    struct replica *r = rw->nodes[5].replica;
    uint8_t hash[32] = {0xEE, 2};
    uint64_t next = r->pairs[0].consumed_final + 1;
    uint32_t index = slice_stored(r, hash);
    r->inputs[index].source = r->pairs[0].cluster;
    r->inputs[index].dseq = next;
    r->pairs[0].window[next % SOURCE_WINDOW] = index;
    source_consumed(r, &r->pairs[0], next); /* as if a final block had consumed another one of this number */
    r->pairs[0].consumed_final = next - 1;
    assert_int_equal(input_find(r, hash), NONE);
    prune_all(rw, 5);
    assert_false(on_disk(&rw->nodes[5], WAL_INPUTS, hash, 32));
    rw_destroy(rw);
}

/* A crash forgets what was to be deleted. After the start a stray input is found and goes; those that blocks of the store name stay with them. */
static void a_restart_finds_what_no_block_names(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_wished(36, &ahead);
    struct rw_node *node = &rw->nodes[2];
    rw_run(rw, 200);
    assert_true(rw_puts(rw, 3));
    rw_run(rw, 2000);
    size_t inputs = 0;
    uint8_t named[32] = {0};
    for (size_t i = 0; i < node->record_count; i++) {
        if (!node->records[i].used || node->records[i].db != WAL_INPUTS) continue;
        memcpy(named, node->records[i].key, 32);
        inputs++;
    }
    assert_true(inputs > 0);
    rw_crash(rw, 2);
    uint8_t key[WAL_KEY_BYTES_MAX] = {0xEE, 3};
    struct rw_record stray = {.used = true, .db = WAL_INPUTS, .bytes = malloc(1), .count = 1};
    memcpy(stray.key, key, sizeof key);
    assert_true(node->record_count < node->record_room);
    node->records[node->record_count++] = stray;
    rw_restart(rw, 2);
    rw_run(rw, 2000);
    assert_true(on_disk(node, WAL_INPUTS, key, 32));
    assert_true(on_disk(node, WAL_INPUTS, named, 32));
    prune_all(rw, 2);
    assert_false(on_disk(node, WAL_INPUTS, key, 32));
    assert_false(on_disk(node, WAL_INPUTS, named, 32));
    assert_int_equal(node->stopped, 0);
    rw_destroy(rw);
}

/* What blocks below the checkpoint have is known by them, once each. */
static void a_stray_is_told_once(void **state) {
    (void)state;
    struct replica_world *rw = rw_create_wished(37, &ahead);
    rw_run(rw, 200);
    struct replica *r = rw->nodes[0].replica;
    restore_free(r);
    for (uint8_t i = 0; i < 9; i++) {
        uint8_t hash[32] = {(uint8_t)(9 - i)};
        input_orphan(r, hash, 5);
    }
    uint32_t before = r->orphan_count;
    for (uint8_t i = 0; i <= 9; i++) {
        uint8_t hash[32] = {i};
        replica_restore_stray(r, hash, 7);
    }
    assert_int_equal(r->orphan_count, before + 1); /* the one of zeros */
    restore_free(r);
    rw_destroy(rw);
}

/* A read that came just after a start is not held against the leader (B-50): it must not stay either, or it never would be; not though it lies in the
 * store for a block that is gone. */
static void a_young_read_does_not_stay_for_a_block_that_is_gone(void **state) {
    (void)state;
    enum { NODE = 3, YOUNG_FOR_MS = 5000 };
    struct replica_world *rw = rw_create(33);
    uint32_t bytes;
    uint8_t digest[32];
    struct operation get = op_get("n", 10);
    rw_run(rw, 500);
    rw_crash(rw, 0); /* nobody decides */
    rw_crash(rw, 1);
    struct replica *r = rw->nodes[NODE].replica;
    r->young_until_ms = r->now_ms + YOUNG_FOR_MS;
    uint8_t *batch = rw_batch(rw, BATCH_READ, 0, &get, 1, &bytes, digest);
    rw_send(rw, NODE, MESSAGE_BATCH, batch, bytes);
    rw_run(rw, 100);
    uint32_t index = r->waiting[NODE].first;
    assert_int_not_equal(index, NONE);
    r->inputs[index].persisted = true;
    rw_run(rw, READ_STALE_MS / 2);
    assert_int_equal(r->waiting[NODE].count, 1);
    rw_run(rw, 60000);
    assert_int_equal(r->waiting[NODE].count, 0);
    assert_int_equal(r->orphan_count, 1); /* the store lets go of it */
    free(batch);
    rw_destroy(rw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_is_prepared_before_a_block_names_it),
        cmocka_unit_test(a_slice_that_nobody_wants_is_forgotten),
        cmocka_unit_test(a_short_slice_is_not_prepared),
        cmocka_unit_test(a_vote_waits_for_a_slice_that_is_under_way),
        cmocka_unit_test(a_block_of_the_store_waits_for_the_slices_that_came_again),
        cmocka_unit_test(an_input_that_was_orphaned_twice_stays_with_its_block),
        cmocka_unit_test(an_orphan_of_an_input_that_waits_keeps_its_entry),
        cmocka_unit_test(what_is_dropped_goes_with_the_pruning),
        cmocka_unit_test(a_slice_that_was_another_one_goes_with_the_pruning),
        cmocka_unit_test(a_restart_finds_what_no_block_names),
        cmocka_unit_test(a_stray_is_told_once),
        cmocka_unit_test(a_young_read_does_not_stay_for_a_block_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
