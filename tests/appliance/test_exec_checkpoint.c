/* Checkpoints, life of blocks and slices, and the log under them: D-26, the contract of executor.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/exec/exec_log.h"
#include "merkle/check.h"
#include "tests/appliance/exec_world.h"

enum { ENTRIES_MAX = 256 };

struct saved {
    struct table_entry entries[ENTRIES_MAX];
    uint8_t bytes[ENTRIES_MAX][8192];
    uint32_t count;
    uint8_t work[65536];
    size_t work_bytes;
    uint8_t root[32];
    struct exec_position position;
};

static struct world *world;
static struct saved *saved;

static int setup(void **state) {
    (void)state;
    world = world_create(1, 1);
    saved = calloc(1, sizeof *saved);
    CHECK(saved);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    world_destroy(world);
    free(saved);
    return 0;
}

/* A coordinator with a slice half answered, one unanswered and items that wait. */
static struct world_cluster *busy_coordinator(void) {
    struct world_cluster *cluster = world_coordinator(world, 0);
    struct operation put = op_put("a", "1"), get = op_get("a", 5);
    struct world_part write = {.kind = BATCH_WRITE, .number = 1, .floor = 1, .op_count = 1, .ops = &put},
        read = {.kind = BATCH_READ, .op_count = 1, .ops = &get};
    world_send(world, 0, 0, &write, NULL);
    world_send(world, 0, 1, &read, NULL);
    world_block(world, cluster, 1);
    write.number++;
    world_send(world, 0, 2, &write, NULL);
    world_block(world, cluster, 20);
    world_block(world, cluster, 20);
    uint8_t slice[64];
    struct slice_part part = {.code = CODE_BUSY, .op_count = 1};
    slice_head_encode(slice, 1, 0);
    slice_item_head_encode(slice + 16, 40, SLICE_ANSWER);
    slice_answer_head_encode(slice + 24, 1, 1);
    slice_part_head_encode(slice + 40, &part);
    world_forge(world, cluster, SHARD_CLUSTER_BASE, slice, 64);
    world_block(world, cluster, 1);
    write.number++;
    world_send(world, 0, 3, &write, NULL);
    world_block(world, cluster, 1);
    return cluster;
}

static void save(const struct world_cluster *cluster) {
    uint64_t cursor = 0;
    struct table_entry entry;
    saved->count = 0;
    while (executor_entry_next(cluster->ex, &cursor, &entry)) {
        CHECK(saved->count < ENTRIES_MAX && entry.key_bytes + entry.value_bytes <= sizeof saved->bytes[0]);
        uint8_t *bytes = saved->bytes[saved->count];
        memcpy(bytes, entry.key, entry.key_bytes);
        memcpy(bytes + entry.key_bytes, entry.value, entry.value_bytes);
        entry.key = bytes;
        entry.value = bytes + entry.key_bytes;
        saved->entries[saved->count++] = entry;
    }
    CHECK(executor_save(cluster->ex, saved->work, sizeof saved->work, &saved->work_bytes, saved->root) == EXEC_VALID);
    saved->position = (struct exec_position){.height = cluster->height, .time = cluster->time};
    memcpy(saved->position.cursors_hash, cluster->result.cursors_hash, 32);
}

static enum exec_status load(struct executor *ex) {
    executor_load_begin(ex);
    for (uint32_t i = 0; i < saved->count; i++) {
        enum exec_status status = executor_load_entry(ex, &saved->entries[i]);
        if (status != EXEC_VALID) return status;
    }
    return executor_load_end(ex, &saved->position, saved->root, saved->work, saved->work_bytes);
}

static void a_checkpoint_gives_the_same_state_again(void **state) {
    (void)state;
    struct world_cluster *cluster = busy_coordinator();
    struct exec_pair before, after;
    save(cluster);
    uint8_t root[32];
    assert_memory_equal(saved->root, cluster->root, 32);
    struct executor *ex = world_executor(world, cluster->cluster, root);
    assert_int_equal(load(ex), EXEC_VALID);
    executor_pair_at(cluster->ex, 0, true, &before);
    executor_pair_at(ex, 0, true, &after);
    assert_int_equal(before.pending_items, 1);
    assert_int_equal(before.open_ops, 3);
    assert_int_equal(before.consumed_dseq, after.consumed_dseq);
    assert_memory_equal(before.consumed_leaf, after.consumed_leaf, 32);
    assert_int_equal(before.sent_dseq, after.sent_dseq);
    assert_memory_equal(before.sent_leaf, after.sent_leaf, 32);
    assert_int_equal(before.acked_dseq, after.acked_dseq);
    assert_int_equal(before.pending_items, after.pending_items);
    assert_int_equal(before.pending_bytes, after.pending_bytes);
    assert_int_equal(before.open_ops, after.open_ops);
    assert_int_equal(before.open_bytes, after.open_bytes);
    size_t bytes;
    static uint8_t work[65536];
    assert_int_equal(executor_save(ex, work, sizeof work, &bytes, root), EXEC_VALID);
    assert_int_equal(bytes, saved->work_bytes);
    assert_memory_equal(work, saved->work, bytes);
    assert_int_equal(executor_save(ex, work, bytes - 1, &bytes, root), EXEC_BUFFER_FULL);
    executor_destroy(ex);
}

static void every_changed_byte_of_the_work_is_found(void **state) {
    (void)state;
    uint8_t root[32];
    struct world_cluster *cluster = busy_coordinator();
    save(cluster);
    struct executor *ex = world_executor(world, cluster->cluster, root);
    for (size_t i = 0; i < saved->work_bytes; i++) {
        saved->work[i] ^= 1;
        assert_int_equal(load(ex), EXEC_BAD_CHECKPOINT);
        saved->work[i] ^= 1;
    }
    for (size_t cut = 0; cut < saved->work_bytes; cut++) {
        size_t whole = saved->work_bytes;
        saved->work_bytes = cut;
        assert_int_equal(load(ex), EXEC_BAD_CHECKPOINT);
        saved->work_bytes = whole;
    }
    saved->work_bytes++;
    assert_int_equal(load(ex), EXEC_BAD_CHECKPOINT);
    saved->work_bytes--;
    assert_int_equal(load(ex), EXEC_VALID);
    executor_destroy(ex);
}

static void a_changed_or_missing_entry_is_found(void **state) {
    (void)state;
    uint8_t root[32];
    struct world_cluster *cluster = busy_coordinator();
    save(cluster);
    struct executor *ex = world_executor(world, cluster->cluster, root);
    for (uint32_t i = 0; i < saved->count; i++) {
        saved->bytes[i][saved->entries[i].key_bytes] ^= 1;
        assert_int_equal(load(ex), EXEC_BAD_CHECKPOINT);
        saved->bytes[i][saved->entries[i].key_bytes] ^= 1;
        saved->entries[i].version.index ^= 1;
        assert_int_equal(load(ex), EXEC_BAD_CHECKPOINT);
        saved->entries[i].version.index ^= 1;
    }
    saved->count--;
    assert_int_equal(load(ex), EXEC_BAD_CHECKPOINT);
    saved->count++;
    saved->entries[saved->count] = saved->entries[0]; /* twice */
    saved->count++;
    assert_int_equal(load(ex), EXEC_BAD_CHECKPOINT);
    executor_destroy(ex);
}

static enum exec_status block(struct executor *ex, uint64_t ticket, uint64_t parent, uint64_t height, struct exec_result *result) {
    struct exec_block b = {.ticket = ticket, .parent = parent, .height = height};
    return executor_execute(ex, &b, result);
}

static void blocks_are_opened_finalized_and_released_in_order(void **state) {
    (void)state;
    struct executor *ex = world_shard(world, 0)->ex;
    struct exec_result result;
    for (uint64_t i = 1; i <= EXEC_OPEN_MAX; i++) assert_int_equal(block(ex, i, i - 1, i, &result), EXEC_VALID);
    assert_int_equal(block(ex, 100, EXEC_OPEN_MAX, EXEC_OPEN_MAX + 1, &result), EXEC_OPEN_FULL);
    assert_int_equal(executor_finalize(ex, 2, NULL), EXEC_NOT_FOUND);
    assert_int_equal(executor_release_block(ex, 1), EXEC_NOT_FOUND); /* not final yet */
    assert_int_equal(executor_finalize(ex, 1, NULL), EXEC_VALID);
    assert_int_equal(executor_rollback(ex, 77), EXEC_NOT_FOUND);
    assert_int_equal(executor_rollback(ex, 1), EXEC_VALID);
    assert_int_equal(executor_finalize(ex, 2, NULL), EXEC_NOT_FOUND);
    assert_int_equal(block(ex, 101, 0, 1, &result), EXEC_UNKNOWN_PARENT); /* below the final one */
    assert_int_equal(block(ex, 102, 1, 2, &result), EXEC_VALID);
    assert_int_equal(executor_finalize(ex, 102, NULL), EXEC_VALID);
    assert_int_equal(executor_release_block(ex, 102), EXEC_NOT_FOUND); /* 1 comes first */
    assert_int_equal(executor_release_block(ex, 1), EXEC_VALID);
    assert_int_equal(executor_release_block(ex, 102), EXEC_VALID);
    assert_int_equal(executor_release_block(ex, 102), EXEC_NOT_FOUND);
}

static void blocks_that_are_never_released_fill_the_room(void **state) {
    (void)state;
    struct executor *ex = world_shard(world, 0)->ex;
    struct exec_result result;
    uint64_t i = 0, parent = 0;
    for (; i < 64 + EXEC_OPEN_MAX; i++, parent = i) { /* 64 kept */
        assert_int_equal(block(ex, i + 1, parent, i + 1, &result), EXEC_VALID);
        assert_int_equal(executor_finalize(ex, i + 1, NULL), EXEC_VALID);
    }
    assert_int_equal(block(ex, i + 1, parent, i + 1, &result), EXEC_NO_ROOM);
    assert_int_equal(executor_release_block(ex, 1), EXEC_VALID);
    assert_int_equal(block(ex, i + 1, parent, i + 1, &result), EXEC_VALID);
}

static void slices_stay_until_they_are_released(void **state) {
    (void)state;
    struct world_cluster *cluster = busy_coordinator();
    const uint8_t *slice;
    uint32_t bytes;
    assert_int_equal(executor_slice(cluster->ex, SHARD_CLUSTER_BASE, 1, &slice, &bytes), EXEC_VALID);
    assert_int_equal(bytes, world_shard(world, 0)->inbox[0].byte_count);
    assert_memory_equal(slice, world_shard(world, 0)->inbox[0].bytes, bytes);
    assert_int_equal(executor_slice(cluster->ex, SHARD_CLUSTER_BASE, 3, &slice, &bytes), EXEC_NOT_FOUND); /* pending: not sent */
    assert_int_equal(executor_slice(cluster->ex, SHARD_CLUSTER_BASE + 1, 1, &slice, &bytes), EXEC_NOT_FOUND);
    executor_release_slices(cluster->ex, SHARD_CLUSTER_BASE, 1);
    assert_int_equal(executor_slice(cluster->ex, SHARD_CLUSTER_BASE, 1, &slice, &bytes), EXEC_NOT_FOUND);
    assert_int_equal(executor_slice(cluster->ex, SHARD_CLUSTER_BASE, 2, &slice, &bytes), EXEC_VALID);
    executor_release_slices(cluster->ex, SHARD_CLUSTER_BASE, 99); /* no further than what is sent */
}

/* The log: random growth, undo and release; no two live segments overlap and none is written over. */
static void a_log_keeps_what_is_live(void **state) {
    (void)state;
    enum { CAPACITY = 30000, SLOTS = 64 };
    struct exec_log log;
    uint64_t seed = 5;
    assert_true(exec_log_create(&log, CAPACITY, SLOTS));
    exec_log_reset(&log, 7);
    uint32_t refused = 0, opened = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        uint64_t what = world_random(&seed) % 10;
        if (what < 8) {
            size_t need = 1 + world_random(&seed) % 6000;
            if (!exec_log_open(&log, need)) {
                refused++;
                exec_log_release(&log, log.first + 1);
                continue;
            }
            struct exec_segment *segment = exec_log_segment(&log, log.next - 1);
            segment->bytes = (uint32_t)(world_random(&seed) % (need + 1));
            assert_true(segment->at + segment->bytes <= CAPACITY);
            memset(exec_log_bytes(&log, log.next - 1), (int)(log.next % 251), segment->bytes);
            opened++;
        } else if (what < 9 && log.next > log.first) {
            exec_log_truncate(&log, log.next - 1 - world_random(&seed) % (log.next - log.first) / 2);
        } else if (log.next > log.first) {
            exec_log_release(&log, log.first + 1 + world_random(&seed) % (log.next - log.first));
        }
        for (uint64_t number = log.first; number < log.next; number++) {
            const uint8_t *bytes = exec_log_bytes(&log, number);
            for (uint32_t k = 0; k < exec_log_segment(&log, number)->bytes; k++) assert_int_equal(bytes[k], (int)((number + 1) % 251));
        }
    }
    assert_true(opened > 1000 && refused > 100);
    print_message("%u opened, %u refused\n", opened, refused);
    exec_log_destroy(&log);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_checkpoint_gives_the_same_state_again),
        T(every_changed_byte_of_the_work_is_found),
        T(a_changed_or_missing_entry_is_found),
        T(blocks_are_opened_finalized_and_released_in_order),
        T(blocks_that_are_never_released_fill_the_room),
        T(slices_stay_until_they_are_released),
        T(a_log_keeps_what_is_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
