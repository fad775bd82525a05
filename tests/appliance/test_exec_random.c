/*
 * Random work over two coordinators and two shards. Every block is tried on forks that are rolled back, and executed by a twin that never saw the
 * forks and is
 * now and then replaced by one that starts from a checkpoint: roots, outboxes and cursors must be the same. In the end all answers are held against
 * a model, in
 * the order in which the answers say they happened.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "tests/appliance/exec_model.h"
#include "tests/appliance/exec_world.h"

enum { OPS = 6, DISK_MAX = 8192, PARTS_MAX = 40000, BUFFER_BYTES = 1 << 20, SMALL_BUFFER_BYTES = 2048 };

/* What a checkpoint store would have. */
struct disk_entry {
    struct table_entry entry;
    uint8_t key[256];
    uint8_t *value;
};

struct disk {
    struct disk_entry entries[DISK_MAX];
    uint32_t count;
};

struct twin {
    struct executor *ex;
    struct disk disk;
    uint32_t restored;
};

/* A part that was sent. */
struct sent_part {
    uint8_t digest[32];
    uint32_t shard;
    uint8_t flags;
    bool write;
    uint32_t client;
    uint64_t number;
    uint32_t nonce;
    uint32_t op_count;
    struct operation ops[OPS];
    uint8_t *bytes;  /* what ops point to */
    const struct client_item *done; /* the answer that executed it */
};

struct run {
    struct world *world;
    struct twin twins[WORLD_CLUSTERS_MAX];
    struct sent_part parts[PARTS_MAX];
    uint32_t part_count;
    uint64_t seed;
    uint64_t next_number[WORLD_CLIENTS][2];
    uint64_t ticket;
    uint64_t forks;
};

static uint64_t random_below(struct run *run, uint64_t bound) {
    return world_random(&run->seed) % bound;
}

static void disk_apply(struct disk *disk, const struct table_entry *entry, bool deleted) {
    uint32_t i = 0;
    for (; i < disk->count; i++) {
        const struct table_entry *e = &disk->entries[i].entry;
        if (e->space == entry->space && e->key_bytes == entry->key_bytes && memcmp(e->key, entry->key, e->key_bytes) == 0) break;
    }
    if (i < disk->count) free(disk->entries[i].value);
    if (deleted) {
        if (i < disk->count) {
            disk->entries[i] = disk->entries[--disk->count];
            disk->entries[i].entry.key = disk->entries[i].key;
        }
        return;
    }
    CHECK(i < DISK_MAX);
    struct disk_entry *to = &disk->entries[i];
    if (i == disk->count) disk->count++;
    to->entry = *entry;
    memcpy(to->key, entry->key, entry->key_bytes);
    to->entry.key = to->key;
    to->value = malloc(entry->value_bytes + 1u);
    CHECK(to->value);
    memcpy(to->value, entry->value, entry->value_bytes);
    to->entry.value = to->value;
}

static void random_op(struct run *run, uint32_t shard, struct operation *op) {
    char key[16], value[24];
    do snprintf(key, sizeof key, "key%u", (unsigned)random_below(run, 20));
    while (world_shard_of(run->world, key) != shard);
    bool number = random_below(run, 3) != 0;
    snprintf(value, sizeof value, number ? "%d" : "v%d", (int)random_below(run, 9) - 3);
    switch (random_below(run, 10)) {
    case 0: *op = op_get(key, (uint32_t)random_below(run, 4)); break;
    case 1: *op = op_get_version(key, 60); break;
    case 2: *op = op_put(key, value); break;
    case 3: *op = op_put_if_absent(key, value); break;
    case 4: *op = op_cas(key, value, "2"); break;
    case 5: *op = op_delete(key); break;
    case 6: *op = op_add(key, (int64_t)random_below(run, 20) - 10); break;
    case 7: *op = op_add_floor(key, (int64_t)random_below(run, 20) - 10, 0); break;
    case 8: *op = op_check_absent(key); break;
    default: *op = op_cas_version(key, 1 + random_below(run, 30), (uint32_t)random_below(run, 4), "7"); break;
    }
}

/* Operations point into memory that is used again: the part keeps its own. */
static void part_keep(struct sent_part *part) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < part->op_count; i++) bytes += operation_bytes(&part->ops[i]);
    part->bytes = malloc(bytes);
    CHECK(part->bytes);
    struct bytes_writer writer = bytes_writer_of(part->bytes, bytes);
    for (uint32_t i = 0; i < part->op_count; i++) operation_encode(&writer, &part->ops[i]);
    struct bytes_cursor cursor = bytes_cursor_of(part->bytes, bytes);
    for (uint32_t i = 0; i < part->op_count; i++) CHECK(operation_decode(&cursor, &part->ops[i]));
}

static void part_send(struct run *run, struct sent_part *part, uint32_t coordinator) {
    struct world_part sent = {.client = part->client, .shard = part->shard, .kind = part->write ? BATCH_WRITE : BATCH_READ, .flags = part->flags,
                              .number = part->number, .nonce = part->nonce, .op_count = part->op_count, .ops = part->ops};
    if (part->write) sent.floor = part->number > 40 ? part->number - 40 : 1;
    world_send(run->world, coordinator, (uint8_t)random_below(run, 4), &sent, part->digest);
}

static void random_part(struct run *run) {
    uint32_t coordinator = (uint32_t)random_below(run, 2);
    if (run->part_count > 20 && random_below(run, 5) == 0) { /* a retry, or an old copy */
        part_send(run, &run->parts[run->part_count - 1 - random_below(run, 20)], coordinator);
        return;
    }
    CHECK(run->part_count < PARTS_MAX);
    struct sent_part *part = &run->parts[run->part_count++];
    memset(part, 0, sizeof *part);
    part->shard = (uint32_t)random_below(run, 2);
    part->client = (uint32_t)random_below(run, WORLD_CLIENTS);
    part->op_count = 1 + (uint32_t)random_below(run, OPS);
    part->nonce = run->part_count + 1;
    for (uint32_t i = 0; i < part->op_count; i++) {
        random_op(run, part->shard, &part->ops[i]);
        part->write = part->write || operation_is_write(part->ops[i].opcode);
    }
    part_keep(part);
    if (part->write) {
        part->flags = random_below(run, 2) ? PART_FLAG_ATOMIC : 0;
        part->number = ++run->next_number[part->client][part->shard];
    }
    part_send(run, part, coordinator);
}

/* Blocks that will not stay: up to five on the newest final one, with some of what waits, some on one another. */
static void forks_try(struct run *run, struct world_cluster *cluster) {
    static struct exec_ref refs[2 * WORLD_INBOX_MAX];
    uint64_t tickets[6] = {cluster->ticket};
    uint64_t heights[6] = {cluster->height}, times[6] = {cluster->time};
    uint32_t used[6] = {0}, count = 1, total = world_refs(cluster, refs);
    struct exec_result result;
    for (uint32_t i = 0; i < random_below(run, 6); i++) {
        uint32_t on = (uint32_t)random_below(run, count);
        uint32_t take = (uint32_t)random_below(run, total - used[on] + 1);
        struct exec_block block = {.ticket = ++run->ticket, .parent = tickets[on], .height = heights[on] + 1,
            .time = times[on] + random_below(run, 15),
                                   .refs = refs + used[on], .ref_count = take};
        count = on + 1; /* what was above it is rolled back */
        CHECK(executor_execute(cluster->ex, &block, &result) == EXEC_VALID);
        if (random_below(run, 2)) executor_settle(cluster->ex);
        tickets[count] = block.ticket;
        heights[count] = block.height;
        times[count] = block.time;
        used[count] = used[on] + take;
        count++;
        run->forks++;
    }
}

/* Small ones, so that several are needed, but after one that took nothing. */
static struct state_buffer buffer_empty(struct run *run, bool large) {
    static uint8_t memory[BUFFER_BYTES] __attribute__((aligned(64)));
    struct state_buffer buffer;
    state_buffer_init(&buffer, memory, large || random_below(run, 3) ? sizeof memory : SMALL_BUFFER_BYTES);
    return buffer;
}

static void disk_take(struct disk *disk, const struct state_buffer *buffer) {
    const struct state_write *writes = state_buffer_writes(buffer);
    for (uint32_t i = 0; i < buffer->count; i++) {
        struct table_entry entry = {.key = writes[i].key, .value = writes[i].value, .key_bytes = writes[i].key_bytes,
            .value_bytes = writes[i].value_bytes, .version = writes[i].version, .space = writes[i].space};
        disk_apply(disk, &entry, writes[i].deleted);
    }
}

/* What a checkpoint has to write; afterwards there is nothing. */
static void twin_changes(struct run *run, struct twin *twin) {
    enum exec_status status;
    struct state_buffer buffer = buffer_empty(run, false);
    uint64_t units = UINT64_MAX;
    bool parts = random_below(run, 2) > 0;
    do {
        if (parts) units = 1 + random_below(run, 40);
        status = executor_changes(twin->ex, &buffer, &units);
        if (status == EXEC_GOES_ON) CHECK(parts && units == 0 && executor_changes_left(twin->ex) > 0);
        if (status != EXEC_BUFFER_FULL) continue;
        disk_take(&twin->disk, &buffer);
        buffer = buffer_empty(run, buffer.count == 0);
    } while (status == EXEC_GOES_ON || status == EXEC_BUFFER_FULL);
    CHECK(status == EXEC_VALID);
    disk_take(&twin->disk, &buffer);
    buffer = buffer_empty(run, false);
    CHECK(executor_changes(twin->ex, &buffer, NULL) == EXEC_VALID && buffer.count == 0);
}

static void twin_block(struct run *run, uint32_t i, const struct exec_block *block, const struct exec_result *expected) {
    struct twin *twin = &run->twins[i];
    struct exec_result result;
    CHECK(executor_execute(twin->ex, block, &result) == EXEC_VALID);
    assert_memory_equal(result.state_root, expected->state_root, 32);
    assert_memory_equal(result.outbox_root, expected->outbox_root, 32);
    assert_memory_equal(result.cursors_hash, expected->cursors_hash, 32);
    enum exec_status status;
    struct state_buffer buffer = buffer_empty(run, false);
    while ((status = executor_finalize(twin->ex, block->ticket, &buffer)) == EXEC_BUFFER_FULL) {
        disk_take(&twin->disk, &buffer);
        buffer = buffer_empty(run, buffer.count == 0);
    }
    CHECK(status == EXEC_VALID);
    disk_take(&twin->disk, &buffer);
    if (random_below(run, 16) == 0) twin_changes(run, twin);
    CHECK(executor_release_block(twin->ex, block->ticket) == EXEC_VALID);
}

/* The twin starts again from its disk. */
static void twin_restore(struct run *run, uint32_t i, const struct exec_block *block, const struct exec_result *result) {
    static uint8_t work[1 << 20];
    struct twin *twin = &run->twins[i];
    struct exec_position position = {.height = block->height, .time = block->time};
    memcpy(position.cursors_hash, result->cursors_hash, 32);
    size_t work_bytes;
    uint8_t root[32];
    twin_changes(run, twin);
    CHECK(executor_save(twin->ex, work, sizeof work, &work_bytes, root) == EXEC_VALID);
    executor_load_begin(twin->ex);
    for (uint32_t k = 0; k < twin->disk.count; k++) CHECK(executor_load_entry(twin->ex, &twin->disk.entries[k].entry) == EXEC_VALID);
    CHECK(executor_load_end(twin->ex, &position, root, work, work_bytes) == EXEC_VALID);
    twin->restored++;
}

static void cluster_block(struct run *run, uint32_t i) {
    static struct exec_ref refs[2 * WORLD_INBOX_MAX];
    struct world_cluster *cluster = &run->world->clusters[i];
    forks_try(run, cluster);
    struct exec_block block = {.ticket = ++run->ticket, .parent = cluster->ticket, .height = cluster->height + 1,
        .time = cluster->time + random_below(run, 12)};
    block.ref_count = world_refs(cluster, refs);
    block.refs = refs;
    CHECK(executor_execute(cluster->ex, &block, &cluster->result) == EXEC_VALID);
    bool restore = random_below(run, 8) == 0;
    struct exec_block on_twin = block;
    if (executor_rollback(run->twins[i].ex, block.parent) != EXEC_VALID) on_twin.parent = 0; /* it was restored: the state has ticket 0 */
    twin_block(run, i, &on_twin, &cluster->result);
    if (restore) twin_restore(run, i, &block, &cluster->result);
    cluster->ticket = block.ticket;
    cluster->height = block.height;
    cluster->time = block.time;
    world_consumed(cluster);
    world_deliver(run->world, cluster, &cluster->result);
    CHECK(executor_finalize(cluster->ex, block.ticket, NULL) == EXEC_VALID && executor_release_block(cluster->ex, block.ticket) == EXEC_VALID);
    for (uint32_t k = 0; k < executor_pairs(cluster->ex); k++) {
        struct exec_pair pair;
        executor_pair_at(cluster->ex, k, true, &pair);
        executor_release_slices(cluster->ex, pair.cluster, pair.acked_dseq);
        executor_release_slices(run->twins[i].ex, pair.cluster, pair.acked_dseq);
    }
}

static void run_settle(struct run *run) {
    for (uint32_t round = 0; round < 30; round++)
        for (uint32_t i = 0; i < 4; i++) cluster_block(run, i);
}

/* Every answer that says OK executed its part, once; in order of shard, height, index they are a history for the model. */

static int part_order(const void *a, const void *b) {
    const struct sent_part *x = *(const struct sent_part *const *)a, *y = *(const struct sent_part *const *)b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    if (x->done->height != y->done->height) return x->done->height < y->done->height ? -1 : 1;
    return x->done->index < y->done->index ? -1 : x->done->index > y->done->index;
}

static struct sent_part *part_by_digest(struct run *run, const uint8_t digest[32]) {
    for (uint32_t i = run->part_count; i-- > 0;)
        if (memcmp(run->parts[i].digest, digest, 32) == 0) return &run->parts[i];
    fail();
    return NULL;
}

static void result_compare(const struct result *result, const struct model_result *expected) {
    assert_int_equal(result->code, expected->code);
    assert_int_equal(!!(result->flags & RESULT_FLAG_VERSION), expected->versioned);
    if (expected->versioned) assert_int_equal(result->version.height, expected->version.height);
    if (expected->versioned) assert_int_equal(result->version.index, expected->version.index);
    assert_int_equal(!!(result->flags & RESULT_FLAG_VALUE_LEFT_OUT), expected->left_out);
    assert_int_equal(result->value_bytes, expected->value_bytes);
    if (!expected->left_out && expected->value_bytes) assert_memory_equal(result->value, expected->value, expected->value_bytes);
}

static uint32_t history_check(struct run *run) {
    static const struct sent_part *order[PARTS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < run->world->answer_count; i++) {
        const struct client_item *item = &run->world->answers[i].item;
        if (item->code != CODE_OK) continue;
        struct sent_part *part = part_by_digest(run, item->part_digest);
        assert_true(!part->write || !part->done); /* a write once */
        if (!part->done) order[count++] = part;
        part->done = item;
    }
    qsort(order, count, sizeof order[0], part_order);
    static struct model model;
    for (uint32_t i = 0; i < count; i++) {
        struct model_result expected[OPS];
        if (i == 0 || order[i]->shard != order[i - 1]->shard) memset(&model, 0, sizeof model);
        model_run(&model, order[i]->ops, order[i]->op_count, order[i]->flags & PART_FLAG_ATOMIC, order[i]->done->height, order[i]->done->index,
            expected);
        for (uint32_t k = 0; k < order[i]->op_count; k++) {
            struct result result = world_result(order[i]->done, k);
            result_compare(&result, &expected[k]);
        }
    }
    return count;
}

static void random_run(uint64_t seed, uint32_t rounds) {
    struct run *run = calloc(1, sizeof *run);
    CHECK(run);
    run->seed = seed;
    run->world = malloc(sizeof *run->world);
    CHECK(run->world);
    world_system(run->world, 2, 2);
    run->world->system.limits.slice_ops_max = 16;
    run->world->system.limits.batch_ops_max = 16;
    run->world->system.limits.enough_ops = 12;
    run->world->system.limits.credit_ops = 1024;
    run->world->clients[1].quota_per_second = 200;
    run->world->clients[1].quota_burst = 10;
    world_start(run->world);
    for (uint32_t i = 0; i < 4; i++) {
        uint8_t root[32];
        run->twins[i].ex = world_executor(run->world, run->world->clusters[i].cluster, root);
        assert_memory_equal(root, run->world->clusters[i].root, 32);
        uint64_t cursor = 0;
        struct table_entry entry;
        while (executor_entry_next(run->twins[i].ex, &cursor, &entry)) disk_apply(&run->twins[i].disk, &entry, false);
    }
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < random_below(run, 6); i++) random_part(run);
        cluster_block(run, (uint32_t)random_below(run, 4));
    }
    run_settle(run);
    uint32_t checked = history_check(run);
    print_message("seed %llu: %u parts, %u answers, %u executed, %llu forked blocks, %u restarts\n", (unsigned long long)seed, run->part_count,
                  run->world->answer_count, checked, (unsigned long long)run->forks, run->twins[0].restored + run->twins[3].restored);
    assert_true(checked > run->part_count / 2 && run->forks > 0 && run->twins[0].restored > 0);
    for (uint32_t i = 0; i < 4; i++) {
        executor_destroy(run->twins[i].ex);
        for (uint32_t k = 0; k < run->twins[i].disk.count; k++) free(run->twins[i].disk.entries[k].value);
    }
    for (uint32_t i = 0; i < run->part_count; i++) free(run->parts[i].bytes);
    world_destroy(run->world);
    free(run);
}

static uint64_t seed_given(void) {
    const char *text = getenv("HERACLIUS_SEED");
    return text ? strtoull(text, NULL, 0) : 1;
}

static void forks_twins_checkpoints_and_the_model_agree(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 4; i++) random_run(seed_given() + i, 600);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(forks_twins_checkpoints_and_the_model_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
