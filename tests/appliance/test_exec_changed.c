/*
 * A coordinator of seventy shards, whose blocks each change a few pairs (exec_changed.c): what is undone, made final and cut is held against what all
 * seventy were after each block. TEST_SEED repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "protocol/body.h"
#include "protocol/leaf.h"
#include "protocol/system.h"
#include "tests/appliance/exec_world.h"

enum { PAIRS = 70, OPEN = 6, STEPS = 1500, REFS = 4, DRAIN = 8 }; /* more pairs than a word has bits */

/* All pairs after a block, and the block, for the twin, which executes final blocks alone. */
struct view {
    uint64_t ticket;
    struct exec_pair pairs[PAIRS];
    uint8_t root[32];
    struct exec_block block;
    struct exec_ref refs[REFS + 1];
    struct exec_result result; /* its outputs are the executor's, and hold until it is released */
};

static struct world *world;
static struct world_cluster *coordinator;
static struct executor *twin;
static struct system_cluster clusters[PAIRS + 1];
static struct view views[OPEN + 1]; /* the newest final block, and the open ones */
static uint32_t open_count;
static uint64_t ticket, height, time_ms, seed;

static int setup(void **state) {
    (void)state;
    world = malloc(sizeof *world);
    CHECK(world);
    world_system(world, 1, 1);
    for (uint32_t i = 0; i <= PAIRS; i++) {
        clusters[i] = world->system.clusters[i > 0];
        clusters[i].cluster = i == 0 ? (uint32_t)COORDINATOR_CLUSTER_BASE : (uint32_t)SHARD_CLUSTER_BASE + i - 1;
    }
    world->system.clusters = clusters;
    world->system.shards_count = PAIRS;
    coordinator = world_coordinator(world, 0);
    coordinator->cluster = COORDINATOR_CLUSTER_BASE;
    coordinator->ex = world_executor(world, coordinator->cluster, coordinator->root);
    uint8_t root[32];
    twin = world_executor(world, coordinator->cluster, root);
    const char *text = getenv("TEST_SEED");
    seed = text ? strtoull(text, NULL, 10) : 11;
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    world->shards = 0; /* only the coordinator was started */
    executor_destroy(twin);
    world_destroy(world);
    return 0;
}

static uint32_t below(uint32_t bound) {
    return (uint32_t)(world_random(&seed) % bound);
}

static void view_take(struct view *view, bool final) {
    for (uint32_t i = 0; i < PAIRS; i++) executor_pair_at(coordinator->ex, i, final, &view->pairs[i]);
    if (!final) executor_state_root(coordinator->ex, view->root);
}

static bool pair_same(const struct exec_pair *a, const struct exec_pair *b) {
    return a->cluster == b->cluster && a->consumed_dseq == b->consumed_dseq && a->consumed_bytes == b->consumed_bytes && a->epoch == b->epoch &&
           a->sent_dseq == b->sent_dseq && a->acked_dseq == b->acked_dseq && a->pending_items == b->pending_items &&
           a->pending_ops == b->pending_ops && a->pending_bytes == b->pending_bytes && a->open_ops == b->open_ops &&
           a->open_bytes == b->open_bytes && memcmp(a->consumed_leaf, b->consumed_leaf, 32) == 0 && memcmp(a->sent_leaf, b->sent_leaf, 32) == 0;
}

static void views_same(const struct view *is, const struct view *was) {
    for (uint32_t i = 0; i < PAIRS; i++) assert_true(pair_same(&is->pairs[i], &was->pairs[i]));
}

/* What is final is what the newest final block left, whatever is open above it; what is newest is what the newest block left, and who waits there is
 * known. */
static void all_as_recorded(void) {
    static struct view now;
    view_take(&now, true);
    views_same(&now, &views[0]);
    view_take(&now, false);
    views_same(&now, &views[open_count]);
    assert_memory_equal(now.root, views[open_count].root, 32);
    bool waits = false;
    for (uint32_t i = 0; i < PAIRS; i++) waits = waits || now.pairs[i].pending_items > 0;
    struct exec_due due;
    executor_due(coordinator->ex, &due);
    assert_int_equal(due.time != UINT64_MAX, waits); /* whoever waits is seen */
}

/* Reads for shards chosen at random, and now and then a slice that acknowledges all that a shard was sent. */
static void inputs_make(void) {
    for (uint32_t i = below(REFS + 1); i > 0; i--) {
        char key[16];
        snprintf(key, sizeof key, "k%u", below(1000));
        struct operation op = op_get(key, 10);
        struct world_part part = {.client = below(WORLD_CLIENTS), .shard = below(PAIRS), .kind = BATCH_READ, .op_count = 1, .ops = &op};
        world_send(world, 0, (uint8_t)below(4), &part, NULL);
    }
    uint32_t pair = below(PAIRS);
    uint64_t sent = views[open_count].pairs[pair].sent_dseq;
    if (sent == views[open_count].pairs[pair].acked_dseq) return;
    uint8_t slice[SLICE_HEAD_BYTES];
    slice_head_encode(slice, 0, sent);
    (void)world_forge(world, coordinator, (uint32_t)SHARD_CLUSTER_BASE + pair, slice, sizeof slice);
}

/* What the inbox holds, copied: undone blocks and final ones need it for longer. */
static void refs_keep(struct view *view) {
    view->block.ref_count = world_refs(coordinator, view->refs);
    view->block.refs = view->refs;
    for (uint32_t i = 0; i < view->block.ref_count; i++) {
        struct exec_ref *ref = &view->refs[i];
        uint8_t *copy = malloc(ref->byte_count + LEAF_BYTES + 32);
        CHECK(copy);
        memcpy(copy, ref->bytes, ref->byte_count);
        memcpy(copy + ref->byte_count, ref->hash, 32);
        if (ref->leaf) memcpy(copy + ref->byte_count + 32, ref->leaf, LEAF_BYTES);
        ref->hash = copy + ref->byte_count;
        if (ref->leaf) ref->leaf = copy + ref->byte_count + 32;
        ref->bytes = copy;
        ref->longs = NULL;
        ref->long_count = 0;
    }
    world_consumed(coordinator);
}

static void refs_free(struct view *view) {
    for (uint32_t i = 0; i < view->block.ref_count; i++) free((void *)(uintptr_t)view->refs[i].bytes);
    view->block.ref_count = 0;
}

/* Behind the inputs one that cannot be: all that the block had changed is undone. */
static void block_fails(struct view *view) {
    struct exec_ref refs[REFS + 2];
    struct exec_result result;
    struct exec_block block = view->block;
    memcpy(refs, view->refs, block.ref_count * sizeof *refs);
    refs[block.ref_count++] = (struct exec_ref){.kind = BODY_NOOP, .relay = WORLD_NODES};
    block.refs = refs;
    assert_int_equal(executor_execute(coordinator->ex, &block, &result), EXEC_BAD_RELAY);
    all_as_recorded();
}

static void block_execute(void) {
    struct view *view = &views[open_count + 1];
    view->block = (struct exec_block){.ticket = ++ticket, .parent = views[open_count].ticket, .height = ++height, .time = time_ms += 5};
    view->ticket = ticket;
    refs_keep(view);
    if (below(4) == 0) block_fails(view);
    assert_int_equal(executor_execute(coordinator->ex, &view->block, &view->result), EXEC_VALID);
    coordinator->result = view->result;
    open_count++;
    view_take(view, false);
}

static void some_undone(void) {
    uint32_t left = below(open_count + 1);
    height -= open_count - left;
    while (open_count > left) refs_free(&views[open_count--]);
    assert_int_equal(executor_rollback(coordinator->ex, views[left].ticket), EXEC_VALID);
}

/* Which never undid anything: the same outputs, cursors, root and records, and the same work for a checkpoint though blocks are open here. */
static void twin_follows(struct view *view) {
    static uint8_t work[2][1 << 21];
    struct exec_result result;
    size_t bytes[2];
    uint8_t root[32];
    struct exec_block block = view->block;
    block.parent = views[0].ticket;
    block.refs = view->refs;
    assert_int_equal(executor_execute(twin, &block, &result), EXEC_VALID);
    assert_memory_equal(result.cursors_hash, view->result.cursors_hash, 32);
    assert_memory_equal(result.outbox_root, view->result.outbox_root, 32);
    assert_int_equal(result.output_count, view->result.output_count);
    for (uint32_t i = 0; i < result.output_count; i++) assert_memory_equal(result.outputs[i].leaf, view->result.outputs[i].leaf, LEAF_BYTES);
    assert_int_equal(result.due.now, view->result.due.now);
    assert_true(result.due.time == view->result.due.time);
    assert_int_equal(executor_finalize(twin, block.ticket, NULL), EXEC_VALID);
    executor_state_root(twin, root);
    assert_memory_equal(root, view->root, 32);
    assert_int_equal(executor_save(coordinator->ex, work[0], sizeof work[0], &bytes[0], NULL), EXEC_VALID);
    assert_int_equal(executor_save(twin, work[1], sizeof work[1], &bytes[1], NULL), EXEC_VALID);
    assert_int_equal(bytes[0], bytes[1]);
    assert_memory_equal(work[0], work[1], bytes[0]);
    assert_int_equal(executor_release_block(twin, block.ticket), EXEC_VALID);
}

/* The pairs that the block changed are told, and no others. */
static void oldest_final(void) {
    if (open_count == 0) return;
    uint32_t next = executor_pair_changed(coordinator->ex, 0);
    for (uint32_t i = 0; i < PAIRS; i++) {
        bool changed = !pair_same(&views[0].pairs[i], &views[1].pairs[i]);
        if (changed) assert_int_equal(next, i);
        if (next == i) {
            assert_true(changed);
            next = executor_pair_changed(coordinator->ex, i + 1);
        }
    }
    assert_int_equal(next, PAIRS);
    assert_int_equal(executor_finalize(coordinator->ex, views[1].ticket, NULL), EXEC_VALID);
    twin_follows(&views[1]);
    assert_int_equal(executor_release_block(coordinator->ex, views[1].ticket), EXEC_VALID);
    refs_free(&views[1]);
    memmove(views, views + 1, open_count * sizeof *views);
    open_count--;
}

static void a_block_changes_what_it_names(void **state) {
    (void)state;
    view_take(&views[0], false);
    uint32_t undone = 0, final = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t what = below(10);
        if (what == 0) {
            uint32_t open = open_count;
            some_undone();
            undone += open_count < open;
        } else if (what < 5 || open_count == OPEN) {
            final += open_count > 0;
            oldest_final();
        } else {
            inputs_make();
            block_execute();
        }
        all_as_recorded();
    }
    assert_true(undone > 50 && final > 200);
}

/* D-18: what waits is cut when it is old enough, in blocks that do not name its pair. */
static void what_waits_is_cut_by_blocks_that_name_other_pairs(void **state) {
    (void)state;
    some_undone();
    view_take(&views[0], true);
    uint32_t waited = 0;
    for (uint32_t round = 0; round < 3; round++) { /* each pair has a slice under way, and one item more */
        for (uint32_t i = 0; i < PAIRS; i++) {
            struct operation op = op_get("k", 10);
            struct world_part part = {.shard = i, .kind = BATCH_READ, .op_count = 1, .ops = &op};
            world_send(world, 0, 0, &part, NULL);
            block_execute();
            while (open_count > 0) oldest_final();
        }
    }
    for (uint32_t i = 0; i < PAIRS; i++) waited += views[0].pairs[i].pending_items > 0;
    assert_true(waited > 0);
    for (uint32_t i = 0; i < DRAIN; i++) {
        block_execute();
        oldest_final();
    }
    for (uint32_t i = 0; i < PAIRS; i++) assert_int_equal(views[0].pairs[i].pending_items, 0);
    all_as_recorded();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_changes_what_it_names),
        cmocka_unit_test(what_waits_is_cut_by_blocks_that_name_other_pairs),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
