/* Pairs of clusters: references, slices, dispatch, acknowledgements, garbage: D-1 to D-21, O-18, O-32. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "merkle/sha256.h"
#include "store/table.h"
#include "tests/appliance/exec_world.h"

static struct world *world;
static struct world_cluster *coordinator, *shard;

static int setup(void **state) {
    (void)state;
    world = world_create(1, 1);
    coordinator = world_coordinator(world, 0);
    shard = world_shard(world, 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    world_destroy(world);
    return 0;
}

static void anew(void (*tweak)(struct world *)) {
    world_destroy(world);
    world = malloc(sizeof *world);
    CHECK(world);
    world_system(world, 1, 1);
    tweak(world);
    world_start(world);
    coordinator = world_coordinator(world, 0);
    shard = world_shard(world, 0);
}

static void send_read(uint32_t client, const char *key, uint8_t digest[32]) {
    struct operation op = op_get(key, 10);
    struct world_part part = {.client = client, .kind = BATCH_READ, .op_count = 1, .ops = &op};
    world_send(world, 0, 0, &part, digest);
}

static struct exec_pair pair_of(const struct world_cluster *cluster) {
    struct exec_pair pair;
    executor_pair_at(cluster->ex, 0, false, &pair);
    return pair;
}

/* Tries a block on the newest final one; undoes it when it is valid. */
static enum exec_status try(struct world_cluster *cluster, const struct exec_ref *refs, uint32_t count) {
    static uint64_t ticket = 1000000;
    struct exec_block block = {.ticket = ++ticket, .parent = cluster->ticket, .height = cluster->height + 1, .time = cluster->time, .refs = refs,
                               .ref_count = count};
    struct exec_result result;
    enum exec_status status = executor_execute(cluster->ex, &block, &result);
    assert_memory_equal(result.state_root, cluster->root, 32);
    assert_int_equal(executor_rollback(cluster->ex, cluster->ticket), EXEC_VALID);
    uint8_t root[32];
    executor_state_root(cluster->ex, root);
    assert_memory_equal(root, cluster->root, 32); /* an invalid block, and one that was undone, leave nothing */
    return status;
}

static enum exec_status try_one(struct world_cluster *cluster, struct exec_ref ref) {
    return try(cluster, &ref, 1);
}

static void a_request_crosses_three_blocks(void **state) {
    (void)state;
    uint8_t digest[32];
    send_read(0, "a", digest);
    world_block(world, coordinator, 1);
    assert_int_equal(coordinator->result.output_count, 1);
    assert_int_equal(coordinator->result.outputs[0].kind, LEAF_KIND_CLUSTER);
    assert_int_equal(shard->inbox_count, 1);
    world_block(world, shard, 1);
    assert_int_equal(coordinator->inbox_count, 1);
    world_block(world, coordinator, 1);
    assert_int_equal(coordinator->result.output_count, 1); /* the answer; nothing for the shard */
    assert_int_equal(coordinator->result.outputs[0].kind, LEAF_KIND_CLIENT);
    assert_non_null(world_answer(world, digest));
    struct exec_pair pair = pair_of(coordinator);
    assert_int_equal(pair.sent_dseq, 1);
    assert_int_equal(pair.acked_dseq, 1);
    assert_int_equal(pair.consumed_dseq, 1);
}

static void outbox_of(const struct exec_ref *ref, uint8_t root[32]) {
    static uint64_t ticket = 2000000;
    struct exec_block block = {.ticket = ++ticket, .parent = coordinator->ticket, .height = coordinator->height + 1, .time = coordinator->time,
                               .refs = ref, .ref_count = 1};
    struct exec_result result;
    assert_int_equal(executor_execute(coordinator->ex, &block, &result), EXEC_VALID);
    memcpy(root, result.outbox_root, 32);
    assert_int_equal(executor_rollback(coordinator->ex, coordinator->ticket), EXEC_VALID);
}

/* D-36: what the node hashed of a slice is not hashed again, and what it did not is; the answer is the same. */
static void long_results_are_hashed_once(void **state) {
    (void)state;
    uint8_t value[900] = {5}, digest[32], known[32], unknown[32], some[32], wrong[32];
    struct operation put = op_put_bytes("long", value, sizeof value), get = op_get("long", 1000);
    struct world_part write = {.kind = BATCH_WRITE, .number = 1, .floor = 1, .op_count = 1, .ops = &put};
    struct world_part read = {.kind = BATCH_READ, .op_count = 1, .ops = &get};
    world_send(world, 0, 0, &write, NULL);
    world_settle(world);
    world_send(world, 0, 0, &read, digest);
    read.client = 1;
    world_send(world, 0, 0, &read, NULL);
    world_block(world, coordinator, 20);
    world_block(world, shard, 20);
    struct world_message *m = &coordinator->inbox[0];
    assert_int_equal(m->longs.count, 2);
    struct exec_ref ref = {.kind = 1, .source = m->source, .dseq = m->dseq, .hash = m->hash, .leaf = m->leaf, .bytes = m->bytes,
                           .byte_count = m->byte_count};
    outbox_of(&ref, unknown);
    ref.longs = m->longs.list;
    ref.long_count = m->longs.count;
    outbox_of(&ref, known);
    assert_memory_equal(known, unknown, 32);
    ref.longs++;
    ref.long_count--;
    outbox_of(&ref, some);
    assert_memory_equal(some, unknown, 32);
    m->longs.list[1].hash[0] ^= 1; /* it is what is used */
    outbox_of(&ref, wrong);
    assert_memory_not_equal(wrong, unknown, 32);
    m->longs.list[1].at++; /* it is of something else */
    outbox_of(&ref, wrong);
    assert_memory_equal(wrong, unknown, 32);
    m->longs.list[1].at--;
    m->longs.list[1].hash[0] ^= 1;
    world_settle(world);
    assert_int_equal(world_answer(world, digest)->item.results_bytes, 8 + sizeof value);
}

static void slices_of_a_mebibyte(struct world *w) {
    w->system.limits.slice_bytes_max = 1 << 20; /* an ANSWER item: 1 MiB - 64 KiB */
    w->system.limits.batch_bytes_max = 1 << 19;
}

/* D-36: a shard has the hashes of long values from its table; each slice's hash is held against its bytes when it is delivered (exec_world.c).
 * Here parts whose item was full move to the next one and to the next group, values are written between two reads of them, and the block is undone
 * once. */
static void hashes_of_long_values_come_from_the_table(void **state) {
    (void)state;
    enum { PARTS = 9, READS = 60 };
    anew(slices_of_a_mebibyte);
    static uint8_t value[5000];
    static const uint16_t lengths[] = {5000, TABLE_LONG_BYTES - 1, TABLE_LONG_BYTES, 700};
    static const char *const keys[] = {"a", "b", "c", "d"};
    uint8_t digests[PARTS][32];
    uint32_t long_reads = 0;
    for (uint32_t i = 0; i < 4; i++) {
        value[0] = (uint8_t)i;
        struct operation put = op_put_bytes(keys[i], value, lengths[i]);
        struct world_part write = {.kind = BATCH_WRITE, .number = 1 + i, .floor = 1, .op_count = 1, .ops = &put};
        world_send(world, 0, 0, &write, NULL);
        world_settle(world);
    }
    for (uint32_t part = 0; part < PARTS; part++) {
        struct operation gets[READS];
        for (uint32_t i = 0; i < READS; i++) {
            uint32_t key = i % 5 == 4 || i % 7 == 0 ? i % 4 : 0;
            gets[i] = i % 5 == 4 ? op_get_version(keys[key], 5000) : op_get(keys[key], 5000);
            long_reads += lengths[key] >= TABLE_LONG_BYTES;
        }
        struct world_part read = {.kind = BATCH_READ, .client = part % 3, .op_count = READS, .ops = gets};
        world_send(world, 0, 0, &read, digests[part]);
        if (part % 3 != 1) continue;
        value[1] = (uint8_t)part; /* with the same length: the record takes the place of the one before */
        struct operation put = op_put_bytes(keys[part % 4], value, lengths[part % 4]);
        struct world_part write = {.kind = BATCH_WRITE, .number = 10 + part, .floor = 1, .op_count = 1, .ops = &put};
        world_send(world, 0, 0, &write, NULL);
    }
    world_block(world, coordinator, 20);
    struct exec_ref refs[WORLD_INBOX_MAX];
    assert_int_equal(try(shard, refs, world_refs(shard, refs)), EXEC_VALID);
    world_block(world, shard, 20);
    assert_int_equal(shard->result.counts.values_known, long_reads);
    assert_int_equal(coordinator->inbox_count, 1); /* one slice a block; the others wait */
    assert_true(pair_of(shard).pending_items >= 2);
    world_settle(world);
    for (uint32_t part = 0; part < PARTS; part++) {
        const struct client_item *item = &world_answer(world, digests[part])->item;
        assert_int_equal(item->code, CODE_OK);
        assert_int_equal(item->op_count, READS);
        assert_true(item->results_bytes > 200000);
    }
}

/* Results of writes are written again when a list fails (O-11), so no hash of a value in them is kept: here the next part has another long value
 * exactly where the list's had been. */
static void no_hash_is_kept_of_values_in_parts_with_writes(void **state) {
    (void)state;
    enum { PUTS = 5 };
    static uint8_t value[900];
    static const uint16_t lengths[] = {900, 800, 12 * PUTS - 48};
    static const char *const keys[] = {"a", "b", "short"};
    uint64_t number = 1;
    for (uint32_t i = 0; i < 3; i++) {
        value[0] = (uint8_t)i;
        struct operation put = op_put_bytes(keys[i], value, lengths[i]);
        struct world_part write = {.kind = BATCH_WRITE, .number = number++, .floor = 1, .op_count = 1, .ops = &put};
        world_send(world, 0, 0, &write, NULL);
        world_settle(world);
    }
    for (uint32_t atomic = 0; atomic < 2; atomic++) {
        struct operation list[PUTS + 2], gets[] = {op_get("short", 900), op_get("b", 900)};
        for (uint32_t i = 0; i < PUTS; i++) list[i] = op_put("x", "y");
        list[PUTS] = op_get("a", 900);
        list[PUTS + 1] = op_check_absent("a");
        struct world_part write = {.kind = BATCH_WRITE, .number = number++, .floor = 1, .flags = atomic ? PART_FLAG_ATOMIC : 0, .op_count = PUTS + 2,
                                   .ops = list};
        struct world_part read = {.kind = BATCH_READ, .op_count = 2, .ops = gets};
        uint8_t digest[32];
        world_send(world, 0, 0, &write, NULL);
        world_send(world, 0, 0, &read, digest);
        world_block(world, coordinator, 20);
        world_block(world, shard, 20);
        assert_int_equal(shard->result.counts.values_known, 1); /* "b" */
        world_settle(world);
        assert_int_equal(world_answer(world, digest)->item.results_bytes, 8 + 12 * PUTS - 48 + 8 + 800);
    }
}

static void the_leaf_says_where_the_slice_belongs(void **state) {
    (void)state;
    send_read(0, "a", NULL);
    world_block(world, coordinator, 7);
    const struct world_message *m = &shard->inbox[0];
    struct leaf leaf;
    uint8_t hash[32], first[32], zeros[32] = {0};
    assert_true(leaf_decode(m->leaf, &leaf));
    assert_int_equal(leaf.source, coordinator->cluster);
    assert_int_equal(leaf.destination, shard->cluster);
    assert_int_equal(leaf.height, 1);
    assert_int_equal(leaf.dseq, 1);
    assert_memory_equal(leaf.previous, zeros, 32);
    assert_memory_equal(leaf.system_id, world->system.system_id, 16);
    assert_int_equal(leaf.slice_bytes, m->byte_count);
    slice_hash(m->bytes, m->byte_count, hash);
    assert_memory_equal(leaf.slice_hash, hash, 32);
    memcpy(first, m->hash, 32);
    world_settle(world);
    send_read(0, "b", NULL);
    world_block(world, coordinator, 1);
    assert_true(leaf_decode(shard->inbox[0].leaf, &leaf));
    assert_int_equal(leaf.dseq, 2);
    assert_memory_equal(leaf.previous, first, 32);
}

static void references_are_judged_one_after_the_other(void **state) {
    (void)state;
    send_read(0, "a", NULL);
    world_block(world, coordinator, 1);
    struct exec_ref refs[4];
    assert_int_equal(world_refs(shard, refs), 1);
    struct exec_ref good = refs[0], bad = good;
    assert_int_equal(try_one(shard, good), EXEC_VALID);
    bad.kind = 0;
    assert_int_equal(try_one(shard, bad), EXEC_BAD_KIND);
    bad = good;
    bad.kind = 5;
    assert_int_equal(try_one(shard, bad), EXEC_BAD_KIND);
    bad = good;
    bad.source = SHARD_CLUSTER_BASE;
    assert_int_equal(try_one(shard, bad), EXEC_BAD_SOURCE);
    bad.source = COORDINATOR_CLUSTER_BASE + 1;
    assert_int_equal(try_one(shard, bad), EXEC_BAD_SOURCE);
    bad = good;
    bad.byte_count--;
    assert_int_equal(try_one(shard, bad), EXEC_BAD_INPUT);
    bad = good;
    bad.leaf = NULL;
    assert_int_equal(try_one(shard, bad), EXEC_BAD_INPUT);
    bad = good;
    bad.bytes = NULL;
    assert_int_equal(try_one(shard, bad), EXEC_BAD_INPUT);
    refs[1] = good;
    assert_int_equal(try(shard, refs, 2), EXEC_BAD_DSEQ); /* twice */
    uint8_t leaf[LEAF_BYTES], hash[32];
    memcpy(leaf, good.leaf, sizeof leaf);
    leaf[44] ^= 1; /* previous */
    leaf_hash(leaf, hash);
    bad = good;
    bad.leaf = leaf;
    assert_int_equal(try_one(shard, bad), EXEC_BAD_INPUT); /* not the leaf of that hash */
    bad.hash = hash;
    assert_int_equal(try_one(shard, bad), EXEC_BAD_PREVIOUS);
    memcpy(leaf, good.leaf, sizeof leaf);
    leaf[12] ^= 1; /* system_id */
    leaf_hash(leaf, hash);
    assert_int_equal(try_one(shard, bad), EXEC_BAD_SOURCE);
}

static void batches_and_noops_as_references(void **state) {
    (void)state;
    struct exec_ref refs[3] = {{.kind = 4, .relay = 3}, {.kind = 4, .relay = 4}};
    assert_int_equal(try(shard, refs, 1), EXEC_VALID);
    assert_int_equal(try(shard, refs, 2), EXEC_BAD_RELAY);
    send_read(0, "a", NULL);
    assert_int_equal(world_refs(coordinator, refs), 1);
    assert_int_equal(try_one(coordinator, refs[0]), EXEC_VALID);
    assert_int_equal(try_one(shard, refs[0]), EXEC_BAD_KIND);
    refs[0].relay = 4;
    assert_int_equal(try_one(coordinator, refs[0]), EXEC_BAD_RELAY);
    refs[0].relay = 0;
    refs[0].byte_count--;
    assert_int_equal(try_one(coordinator, refs[0]), EXEC_BAD_INPUT);
    refs[0].bytes = NULL;
    assert_int_equal(try_one(coordinator, refs[0]), EXEC_BAD_INPUT);
    refs[0] = (struct exec_ref){.kind = 3, .relay = 4, .bytes = (const uint8_t *)"x", .byte_count = 1};
    assert_int_equal(try_one(shard, refs[0]), EXEC_BAD_RELAY);
    refs[0].relay = 0;
    assert_int_equal(try_one(shard, refs[0]), EXEC_BAD_INPUT);
}

static void small_blocks(struct world *w) {
    w->system.limits.block_refs_max = 16;
    w->system.limits.block_input_bytes_max = 2097152;
}

static void the_body_has_limits(void **state) {
    (void)state;
    anew(small_blocks);
    struct exec_ref refs[17];
    for (uint32_t i = 0; i < 17; i++) refs[i] = (struct exec_ref){.kind = 4};
    assert_int_equal(try(coordinator, refs, 16), EXEC_VALID);
    assert_int_equal(try(coordinator, refs, 17), EXEC_TOO_MANY);
    static uint8_t value[65000];
    struct operation ops[16];
    for (uint32_t i = 0; i < 16; i++) ops[i] = op_put_bytes("a", value, sizeof value);
    struct world_part part = {.kind = BATCH_WRITE, .number = 1, .floor = 1, .op_count = 16, .ops = ops};
    for (uint32_t i = 0; i < 3; i++, part.number++) world_send(world, 0, 0, &part, NULL);
    assert_int_equal(world_refs(coordinator, refs), 3);
    assert_int_equal(try(coordinator, refs, 2), EXEC_VALID);
    assert_int_equal(try(coordinator, refs, 3), EXEC_TOO_LARGE);
    world_consumed(coordinator);
}

static void header_against_the_parent(void **state) {
    (void)state;
    world_block(world, shard, 10);
    struct exec_block block = {.ticket = 50, .parent = 1, .height = 2, .time = 10};
    struct exec_result result;
    assert_int_equal(executor_execute(shard->ex, &block, &result), EXEC_VALID);
    assert_int_equal(executor_rollback(shard->ex, 1), EXEC_VALID);
    block.time = 9;
    assert_int_equal(executor_execute(shard->ex, &block, &result), EXEC_BAD_TIME);
    block.time = 10;
    block.height = 3;
    assert_int_equal(executor_execute(shard->ex, &block, &result), EXEC_BAD_HEIGHT);
    block.height = 2;
    block.parent = 7;
    assert_int_equal(executor_execute(shard->ex, &block, &result), EXEC_UNKNOWN_PARENT);
}

static void a_suffix_block_executes_nothing(void **state) {
    (void)state;
    struct exec_block block = {.ticket = 50, .parent = 0, .height = 1, .time = 0, .suffix = true};
    struct exec_result result;
    assert_int_equal(executor_execute(shard->ex, &block, &result), EXEC_VALID);
    uint8_t root[32];
    executor_state_root(shard->ex, root);
    assert_memory_equal(root, shard->root, 32);
    assert_int_equal(result.output_count, 0);
    block = (struct exec_block){.ticket = 51, .parent = 50, .height = 2, .time = 1, .suffix = true};
    assert_int_equal(executor_execute(shard->ex, &block, &result), EXEC_BAD_ORDER);
}

/* D-20, from the table, not from the code. */
static void cursors_are_chained(void **state) {
    (void)state;
    uint8_t chain[32] = {0}, entry[96] = {0};
    world_block(world, coordinator, 1);
    assert_memory_equal(coordinator->result.cursors_hash, chain, 32); /* nothing moved */
    send_read(0, "a", NULL);
    world_block(world, coordinator, 1);
    bytes_put_le32(entry, SHARD_CLUSTER_BASE);
    bytes_put_le64(entry + 48, 1);
    memcpy(entry + 56, shard->inbox[0].hash, 32);
    SHA256_PREFIXED(chain, HASH_CURSORS, {chain, 32}, {entry, 96});
    assert_memory_equal(coordinator->result.cursors_hash, chain, 32);
    world_block(world, shard, 1);
    bytes_put_le64(entry + 8, 1);
    memcpy(entry + 16, coordinator->inbox[0].hash, 32);
    bytes_put_le64(entry + 88, 1);
    world_block(world, coordinator, 1);
    SHA256_PREFIXED(chain, HASH_CURSORS, {chain, 32}, {entry, 96});
    assert_memory_equal(coordinator->result.cursors_hash, chain, 32);
}

static void what_is_in_flight_holds_the_next_back(void **state) {
    (void)state;
    send_read(0, "a", NULL);
    world_block(world, coordinator, 1); /* idle: at once */
    assert_int_equal(pair_of(coordinator).sent_dseq, 1);
    send_read(0, "b", NULL);
    world_block(world, coordinator, 1);
    struct exec_pair pair = pair_of(coordinator);
    assert_int_equal(pair.sent_dseq, 1);
    assert_int_equal(pair.pending_items, 1);
    assert_false(coordinator->result.due.now);
    assert_int_equal(coordinator->result.due.time, coordinator->time + world->system.timeouts.due_ms);
    world_block(world, coordinator, 1); /* height - oldest_height = 1 */
    assert_int_equal(pair_of(coordinator).sent_dseq, 1);
    assert_true(coordinator->result.due.now);
    world_block(world, coordinator, 1); /* 2: due_blocks */
    assert_int_equal(pair_of(coordinator).sent_dseq, 2);
    assert_int_equal(coordinator->result.due.time, UINT64_MAX);
}

static void rare_blocks(struct world *w) {
    w->system.limits.due_blocks = 64;
    w->system.limits.enough_ops = 5;
    w->system.limits.enough_bytes = 1024;
}

static void due_by_time_and_by_what_is_enough(void **state) {
    (void)state;
    anew(rare_blocks);
    send_read(0, "a", NULL);
    world_block(world, coordinator, 1);
    send_read(0, "b", NULL);
    world_block(world, coordinator, 1);
    world_block(world, coordinator, world->system.timeouts.due_ms - 1);
    assert_int_equal(pair_of(coordinator).sent_dseq, 1);
    world_block(world, coordinator, 1);
    assert_int_equal(pair_of(coordinator).sent_dseq, 2);
    for (uint32_t i = 0; i < 4; i++) send_read(0, "c", NULL);
    world_block(world, coordinator, 0);
    assert_int_equal(pair_of(coordinator).sent_dseq, 2);
    send_read(0, "d", NULL);
    world_block(world, coordinator, 0); /* 5 operations */
    assert_int_equal(pair_of(coordinator).sent_dseq, 3);
    static uint8_t value[1024];
    struct operation op = op_put_bytes("a", value, sizeof value - 8 - 88 - 12 - 1 - 1); /* an item of 1,023 bytes */
    struct world_part part = {.kind = BATCH_WRITE, .number = 1, .floor = 1, .op_count = 1, .ops = &op};
    world_send(world, 0, 0, &part, NULL);
    world_block(world, coordinator, 0);
    assert_int_equal(pair_of(coordinator).pending_bytes, 1023);
    assert_int_equal(pair_of(coordinator).sent_dseq, 3);
    send_read(0, "e", NULL);
    world_block(world, coordinator, 0);
    assert_int_equal(pair_of(coordinator).sent_dseq, 4);
}

static void every_block(struct world *w) {
    w->system.limits.queue_policy = 1;
}

static void the_papers_policy_sends_in_every_block(void **state) {
    (void)state;
    anew(every_block);
    for (uint32_t i = 1; i <= 3; i++) {
        send_read(0, "a", NULL);
        world_block(world, coordinator, 1);
        assert_int_equal(pair_of(coordinator).sent_dseq, i);
    }
}

static void small_slices(struct world *w) {
    w->system.limits.slice_ops_max = 4;
}

static void a_group_becomes_a_slice(void **state) {
    (void)state;
    anew(small_slices);
    for (uint32_t i = 0; i < 10; i++) send_read(i % WORLD_CLIENTS, "a", NULL);
    world_block(world, coordinator, 1);
    struct exec_pair pair = pair_of(coordinator);
    assert_int_equal(pair.sent_dseq, 1);
    assert_int_equal(pair.pending_items, 6);
    struct slice slice;
    assert_true(slice_decode(shard->inbox[0].bytes, shard->inbox[0].byte_count, &slice));
    assert_int_equal(slice.item_count, 4);
    assert_int_equal(shard->inbox[0].byte_count, 16 + 4 * (8 + 8 + 13));
    world_settle(world);
    assert_int_equal(world->answer_count, 10);
    assert_int_equal(pair_of(coordinator).sent_dseq, 3);
}

/* D-19: pending_hash from the table. */
static void the_pending_hash_covers_items_and_routes(void **state) {
    (void)state;
    anew(small_slices);
    send_read(0, "x", NULL);
    world_block(world, coordinator, 1);
    uint8_t digests[5][32], items[5][29], routes[5][ROUTING_BYTES], groups[128];
    for (uint32_t i = 0; i < 5; i++) {
        send_read(1, "a", digests[i]);
        slice_item_head_encode(items[i], 21, SLICE_READ);
        slice_read_head_encode(items[i] + 8, 1);
        const struct world_message *m = &coordinator->batches[i];
        memcpy(items[i] + 16, m->bytes + 64 + 32, 13);
        struct routing routing = {.op_count = 1, .reserved_bytes = 29 + 24 + 20 + 10};
        memcpy(routing.client_id, world->clients[1].card.id, 32);
        memcpy(routing.part_digest, digests[i], 32);
        routing_encode(&routing, routes[i]);
    }
    world_block(world, coordinator, 1);
    assert_int_equal(pair_of(coordinator).pending_items, 5);
    static const uint8_t lengths[2][8] = {{4 * 29}, {29}};
    SHA256_PREFIXED(groups, HASH_ITEMS, {items, 4 * 29}, {lengths[0], 8});
    SHA256_PREFIXED(groups + 32, HASH_ROUTING, {routes, 4 * ROUTING_BYTES});
    SHA256_PREFIXED(groups + 64, HASH_ITEMS, {items[4], 29}, {lengths[1], 8});
    SHA256_PREFIXED(groups + 96, HASH_ROUTING, {routes[4], ROUTING_BYTES});
    uint8_t expected[32], key[5] = {'q', 0, 0, 2, 0};
    SHA256_PREFIXED(expected, HASH_GROUPS, {groups, 128});
    struct table_entry entry;
    uint64_t cursor = 0;
    bool found = false;
    while (!found && executor_entry_next(coordinator->ex, &cursor, &entry)) found = entry.key_bytes == 5 && memcmp(entry.key, key, 5) == 0;
    assert_true(found);
    assert_int_equal(entry.value_bytes, 192);
    assert_memory_equal(entry.value + 80, expected, 32);
}

static void acknowledge_early(struct world *w) {
    w->system.limits.unacked_bytes_max = 1 << 20;
}

/* D-18: an acknowledgement alone, when enough is unacknowledged; it is not acknowledged in turn. */
static void an_acknowledgement_goes_alone(void **state) {
    (void)state;
    anew(acknowledge_early);
    static uint8_t value[60000];
    struct operation op = op_put_bytes("a", value, sizeof value), get = op_get("a", 60000);
    struct world_part part = {.kind = BATCH_WRITE, .number = 1, .floor = 1, .op_count = 1, .ops = &op};
    world_ask(world, &part);
    part = (struct world_part){.kind = BATCH_READ, .op_count = 1, .ops = &get};
    for (uint32_t i = 0; i < 20; i++) world_send(world, 0, 0, &part, NULL); /* one request slice; 1.2 MB of answers come back */
    world_block(world, coordinator, 1);
    world_block(world, shard, 1);
    uint64_t sent = pair_of(coordinator).sent_dseq;
    world_block(world, coordinator, 1);
    assert_int_equal(pair_of(coordinator).sent_dseq, sent + 1);
    assert_int_equal(pair_of(coordinator).acked_dseq, sent + 1); /* idle before: not counted as unacknowledged */
    assert_int_equal(pair_of(coordinator).consumed_bytes, 0);
    struct slice slice;
    assert_int_equal(shard->inbox_count, 1);
    assert_int_equal(shard->inbox[0].byte_count, 16);
    assert_true(slice_decode(shard->inbox[0].bytes, 16, &slice));
    assert_int_equal(slice.item_count, 0);
    assert_int_equal(slice.ack, pair_of(coordinator).consumed_dseq);
    world_block(world, shard, 1);
    assert_int_equal(pair_of(shard).acked_dseq, pair_of(shard).sent_dseq);
    assert_int_equal(pair_of(shard).sent_dseq, 2);
    assert_int_equal(shard->result.output_count, 0);
    world_settle(world);
}

/* A write item as a coordinator cluster would make it. */
static uint32_t write_item(uint8_t *out, uint64_t number, uint64_t floor, uint32_t flags, uint32_t op_count, const struct operation *ops,
    uint32_t given) {
    struct bytes_writer writer = bytes_writer_of(out + SLICE_ITEM_HEAD_BYTES + SLICE_WRITE_HEAD_BYTES, 4096);
    for (uint32_t i = 0; i < given; i++) operation_encode(&writer, &ops[i]);
    uint8_t digest[32] = {1};
    slice_item_head_encode(out, SLICE_WRITE_HEAD_BYTES + (uint32_t)writer.used, SLICE_WRITE);
    slice_write_head_encode(out + SLICE_ITEM_HEAD_BYTES, world->clients[0].card.id, number, floor, digest, (uint8_t)flags, op_count);
    return SLICE_ITEM_HEAD_BYTES + SLICE_WRITE_HEAD_BYTES + (uint32_t)writer.used;
}

/* D-15: whatever a certified slice says, it is consumed, and each part gets its answer. */
static void garbage_in_a_certified_slice_is_consumed(void **state) {
    (void)state;
    uint8_t slice[8192];
    struct operation ops[] = {op_put("a", "1"), op_get("a", 5), op_cancel()};
    slice_head_encode(slice, 0, 0);
    slice[1] = 1; /* envelope does not parse */
    world_forge(world, shard, COORDINATOR_CLUSTER_BASE, slice, 100);
    world_block(world, shard, 1);
    assert_int_equal(shard->result.counts.garbage, 1);
    world_forge(world, shard, COORDINATOR_CLUSTER_BASE, slice, 15 + 1);
    world_block(world, shard, 1);
    assert_int_equal(pair_of(shard).consumed_dseq, 2);
    assert_int_equal(pair_of(shard).consumed_bytes, 0);
    uint32_t at = SLICE_HEAD_BYTES;
    at += write_item(slice + at, 1, 1, 0, 2, ops, 2);  /* good */
    at += write_item(slice + at, 2, 1, 0, 3, ops, 2);  /* one operation is missing */
    at += write_item(slice + at, 3, 4, 0, 2, ops, 2);  /* floor above the number */
    at += write_item(slice + at, 4, 0, 0, 2, ops, 2);  /* floor 0 */
    at += write_item(slice + at, 5, 1, 4, 2, ops, 2);  /* flags */
    at += write_item(slice + at, 6, 1, 0, 1, ops + 1, 1); /* no write in it */
    at += write_item(slice + at, 7, 1, 0, 3, ops, 3);  /* CANCEL with others */
    at += write_item(slice + at, 8, 1, 0, 0, ops, 0);  /* nothing */
    uint8_t *unknown = slice + at;
    at += write_item(slice + at, 9, 1, 0, 2, ops, 2);
    unknown[4] = 9; /* a kind that nobody knows: no answer */
    uint8_t *odd = slice + at;
    at += write_item(slice + at, 10, 1, 0, 2, ops, 2);
    odd[6] = 1; /* zero bytes that are not */
    at += write_item(slice + at, 11, 1, 0, 2, ops, 2); /* good */
    uint32_t whole = at;
    at += write_item(slice + at, 12, 1, 0, 2, ops, 2);
    slice_head_encode(slice, 12, 99); /* an ack above what was sent is ignored */
    world_forge(world, shard, COORDINATOR_CLUSTER_BASE, slice, whole + 40); /* the last item runs past the end: ignored */
    world_block(world, shard, 1);
    assert_int_equal(pair_of(shard).acked_dseq, 0);
    struct slice answer_slice;
    struct slice_item item;
    struct slice_answer answer;
    struct slice_part part;
    size_t item_at = 0, part_at = 0;
    uint32_t index = 0;
    assert_int_equal(coordinator->inbox_count, 1);
    assert_true(slice_decode(coordinator->inbox[0].bytes, coordinator->inbox[0].byte_count, &answer_slice));
    assert_true(slice_item_next(&answer_slice, &item_at, &index, &item));
    assert_true(slice_answer_decode(&item, &answer));
    assert_int_equal(answer.request_dseq, 3);
    assert_int_equal(answer.part_count, 9);
    for (uint32_t i = 0; i < 9; i++) {
        assert_true(slice_part_next(&answer, &part_at, &part));
        bool good = i == 0 || i == 8;
        assert_int_equal(part.code, good ? CODE_OK : CODE_MALFORMED);
        assert_int_equal(part.op_count, good ? 2 : 0);
        assert_int_equal(part.index, i == 0 ? 0 : 2); /* a malformed part counts no operation */
    }
    world_consumed(coordinator);
}

/* O-32: answers that nobody asked for have no effect; the pair goes on. */
static void a_shard_that_lies_about_answers(void **state) {
    (void)state;
    uint8_t slice[1024], digest[32];
    struct slice_part part = {.code = CODE_OK, .op_count = 1, .height = 5};
    send_read(0, "a", digest);
    send_read(0, "b", NULL);
    world_block(world, coordinator, 1);
    world_consumed(shard);
    struct { uint64_t dseq; uint32_t parts; uint32_t bytes; } lies[] = {{2, 1, 24}, {0, 1, 24}, {1, 3, 72}, {1, 0, 0}, {1, 1, 23}, {1, 2, 24}};
    for (uint32_t i = 0; i < 6; i++) {
        slice_head_encode(slice, 1, 1);
        slice_item_head_encode(slice + 16, 16 + lies[i].bytes, SLICE_ANSWER);
        slice_answer_head_encode(slice + 24, lies[i].dseq, lies[i].parts);
        for (uint32_t k = 0; k < 3; k++) slice_part_head_encode(slice + 40 + 24 * k, &part);
        world_forge(world, coordinator, SHARD_CLUSTER_BASE, slice, 40 + lies[i].bytes);
        world_block(world, coordinator, 1);
        assert_int_equal(coordinator->result.counts.garbage, 1);
        assert_int_equal(world->answer_count, 0);
        assert_int_equal(pair_of(coordinator).open_ops, 2);
    }
    slice_item_head_encode(slice + 16, 16 + 24, SLICE_ANSWER); /* one of two parts, then the other */
    slice_answer_head_encode(slice + 24, 1, 1);
    for (uint32_t i = 1; i <= 2; i++) {
        world_forge(world, coordinator, SHARD_CLUSTER_BASE, slice, 40 + 24);
        world_block(world, coordinator, 1);
        assert_int_equal(world->answer_count, i);
        assert_int_equal(pair_of(coordinator).open_ops, 2 - i);
        assert_memory_equal(world->answers[0].item.part_digest, digest, 32);
    }
    world_forge(world, coordinator, SHARD_CLUSTER_BASE, slice, 40 + 24);
    world_block(world, coordinator, 1);
    assert_int_equal(world->answer_count, 2);
    assert_int_equal(pair_of(coordinator).open_bytes, 0);
}

/* O-25: results that are none are handed on as one item. */
static void results_that_do_not_decode_are_not_split(void **state) {
    (void)state;
    struct operation op = op_get("a", 10);
    struct world_part asked = {.kind = BATCH_READ, .flags = PART_FLAG_RECEIPT, .op_count = 1, .ops = &op};
    world_send(world, 0, 0, &asked, NULL);
    world_block(world, coordinator, 1);
    world_consumed(shard);
    uint8_t slice[128] = {0};
    struct slice_part part = {.code = CODE_OK, .op_count = 1, .results_bytes = 9};
    slice_head_encode(slice, 1, 1);
    slice_item_head_encode(slice + 16, 16 + 24 + 9, SLICE_ANSWER);
    slice_answer_head_encode(slice + 24, 1, 1);
    slice_part_head_encode(slice + 40, &part);
    world_forge(world, coordinator, SHARD_CLUSTER_BASE, slice, 40 + 24 + 9);
    world_block(world, coordinator, 1);
    assert_int_equal(world->answer_count, 1);
    assert_int_equal(world->answers[0].item.kind, CLIENT_ITEM_PART);
    assert_int_equal(world->answers[0].item.results_bytes, 9);
}

/* D-11, D-16, O-33. */
static void leaves_are_in_order_and_items_as_they_came(void **state) {
    (void)state;
    uint8_t digests[8][32];
    for (uint32_t i = 0; i < 8; i++) send_read((7 - i) % WORLD_CLIENTS, "a", digests[i]);
    world_settle(world);
    assert_int_equal(world->answer_count, 8);
    for (uint32_t i = 1; i < 8; i++) assert_true(world->answers[i].client >= world->answers[i - 1].client); /* clients are sorted by id */
    for (uint32_t i = 0; i < 8; i++) {
        const struct world_answer *answer = world_answer(world, digests[i]);
        assert_int_equal(answer->client, (7 - i) % WORLD_CLIENTS);
        if (i >= 4) assert_true(answer > world_answer(world, digests[i - 4]));
    }
}

static void tiny_inputs(struct world *w) {
    w->system.limits.block_input_bytes_max = 2097152;
}

/* O-18: the budget of a block, from the numbers of the rule. */
static void a_block_writes_no_more_than_its_budget(void **state) {
    (void)state;
    anew(tiny_inputs);
    enum { OPS = 4096, OP_BYTES = 15 };
    static struct operation ops[OPS];
    static uint8_t slice[4 << 20];
    for (uint32_t i = 0; i < OPS; i++) {
        char key[4] = {(char)('a' + i % 26), (char)('a' + i / 26 % 26), (char)('a' + i / 676), 0};
        ops[i] = op_delete(key);
    }
    uint64_t budget = 8 * 2097152, body = 88 + OPS * OP_BYTES, cost = body + 105 * OPS + 564, fit = budget / cost;
    if (fit > 131072 / (OPS + 3)) fit = 131072 / (OPS + 3);
    uint32_t at = SLICE_HEAD_BYTES, count = 0;
    for (; at + 8 + body <= sizeof slice; count++) {
        struct bytes_writer writer = bytes_writer_of(slice + at + 96, sizeof slice - at - 96);
        for (uint32_t i = 0; i < OPS; i++) operation_encode(&writer, &ops[i]);
        uint8_t digest[32] = {2};
        slice_item_head_encode(slice + at, (uint32_t)body, SLICE_WRITE);
        slice_write_head_encode(slice + at + 8, world->clients[0].card.id, 1 + 16 * count, 1, digest, 0, OPS);
        at += 8 + (uint32_t)body;
    }
    assert_true(count > fit);
    slice_head_encode(slice, count, 0);
    world_forge(world, shard, COORDINATOR_CLUSTER_BASE, slice, at);
    world_block(world, shard, 1);
    assert_int_equal(shard->result.counts.ops_written, fit * OPS);
    assert_int_equal(shard->result.counts.parts_busy, count - fit);
    world_consumed(coordinator);
}

static void no_more_than_256_slices_wait_for_answers(void **state) {
    (void)state;
    anew(every_block);
    for (uint32_t i = 0; i < 300; i++) {
        send_read(0, "a", NULL);
        world_block(world, coordinator, 1);
        world_consumed(shard);
    }
    struct exec_pair pair = pair_of(coordinator);
    assert_int_equal(pair.sent_dseq, 256);
    assert_int_equal(pair.pending_items, 44);
    assert_false(coordinator->result.due.now);
    assert_int_equal(coordinator->result.due.time, UINT64_MAX);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_request_crosses_three_blocks),
        T(long_results_are_hashed_once),
        T(hashes_of_long_values_come_from_the_table),
        T(no_hash_is_kept_of_values_in_parts_with_writes),
        T(the_leaf_says_where_the_slice_belongs),
        T(references_are_judged_one_after_the_other),
        T(batches_and_noops_as_references),
        T(the_body_has_limits),
        T(header_against_the_parent),
        T(a_suffix_block_executes_nothing),
        T(cursors_are_chained),
        T(what_is_in_flight_holds_the_next_back),
        T(due_by_time_and_by_what_is_enough),
        T(the_papers_policy_sends_in_every_block),
        T(a_group_becomes_a_slice),
        T(the_pending_hash_covers_items_and_routes),
        T(an_acknowledgement_goes_alone),
        T(garbage_in_a_certified_slice_is_consumed),
        T(a_shard_that_lies_about_answers),
        T(results_that_do_not_decode_are_not_split),
        T(leaves_are_in_order_and_items_as_they_came),
        T(a_block_writes_no_more_than_its_budget),
        T(no_more_than_256_slices_wait_for_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
