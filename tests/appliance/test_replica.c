/* Whole clusters of replicas in one process: requests are answered, leaders die, disks lose what was not synced, frames are hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/appliance/replica_world.h"

static uint64_t seed_of_run(const char *name, uint64_t fallback) {
    const char *given = getenv("SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : fallback;
    print_message("%s: SEED=%llu\n", name, (unsigned long long)seed);
    return seed;
}

static void a_put_and_a_get_are_answered_over_three_rounds(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(1);
    rw_run(rw, 200);
    struct operation put = op_put("k", "v"), get = op_get("k", 100);
    const struct client_item *item = rw_ask(rw, BATCH_WRITE, 1, &put, 1, 3000);
    assert_non_null(item);
    assert_int_equal(item->code, CODE_OK);
    item = rw_ask(rw, BATCH_READ, 0, &get, 1, 3000);
    assert_non_null(item);
    struct result result = world_result(item, 0);
    assert_int_equal(result.code, CODE_OK);
    assert_int_equal(result.value_bytes, 1);
    assert_memory_equal(result.value, "v", 1);
    rw_run(rw, 200);
    assert_true(rw_compare(rw) >= 6);
    assert_int_equal(rw->answers_bad, 0);
    rw_destroy(rw);
}

/* Adds one to a counter so many times, crashing a node now and then; each takes effect once. */
static void adds_with_crashes(uint64_t seed, uint32_t drop_percent, uint32_t adds, bool crash) {
    struct replica_world *rw = rw_create(seed);
    rw->drop_percent = drop_percent;
    rw_run(rw, 500);
    uint32_t down = RW_NODES;
    for (uint32_t i = 1; i <= adds; i++) {
        struct operation add = op_add("sum", 1);
        if (crash && i % 5 == 0 && down == RW_NODES) {
            /* Mostly the leader of one of the clusters. */
            uint32_t cluster = (uint32_t)(world_random(&rw->seed) % 2), leader = rw_status(rw, cluster * RW_CLUSTER)->leader;
            down = cluster * RW_CLUSTER + (world_random(&rw->seed) % 4 == 0 ? (uint32_t)(world_random(&rw->seed) % RW_CLUSTER) : leader);
            rw_crash(rw, down);
        }
        const struct client_item *item = rw_ask(rw, BATCH_WRITE, i, &add, 1, 20000);
        assert_non_null(item);
        assert_true(item->code == CODE_OK || item->code == CODE_RECORDED);
        if (down != RW_NODES && i % 5 == 3) {
            rw_restart(rw, down);
            down = RW_NODES;
            rw_run(rw, 300);
        }
    }
    if (down != RW_NODES) rw_restart(rw, down);
    rw->drop_percent = 0;
    rw_run(rw, 3000);
    struct operation get = op_get("sum", 100);
    const struct client_item *item = rw_ask(rw, BATCH_READ, 0, &get, 1, 10000);
    assert_non_null(item);
    struct result result = world_result(item, 0);
    int64_t sum = 0;
    assert_int_equal(result.code, CODE_OK);
    assert_true(operation_number_parse(result.value, result.value_bytes, &sum));
    assert_int_equal(sum, adds);
    rw_run(rw, 500);
    assert_true(rw_compare(rw) >= 6);
    for (uint32_t i = 0; i < RW_NODES; i++) assert_int_equal(rw->nodes[i].stopped, 0);
    rw_destroy(rw);
}

static void every_add_counts_once_on_a_network_that_loses_a_twentieth(void **state) {
    (void)state;
    adds_with_crashes(seed_of_run("lossy", 11), 5, 20, false);
}

static void every_add_counts_once_while_leaders_crash_and_lose_what_was_not_synced(void **state) {
    (void)state;
    uint64_t seed = seed_of_run("crashes", 21);
    for (uint64_t i = 0; i < 3; i++) adds_with_crashes(seed + i, 1, 25, true);
}

static void all_nodes_crash_at_once_and_nothing_acknowledged_is_lost(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(31);
    rw_run(rw, 200);
    for (uint32_t round = 1; round <= 6; round++) {
        struct operation add = op_add("sum", 1);
        const struct client_item *item = rw_ask(rw, BATCH_WRITE, round, &add, 1, 20000);
        assert_non_null(item);
        assert_int_equal(item->code, CODE_OK);
        for (uint32_t i = 0; i < RW_NODES; i++) rw_crash(rw, i);
        for (uint32_t i = 0; i < RW_NODES; i++) rw_restart(rw, i);
        rw_run(rw, 200);
    }
    struct operation get = op_get("sum", 100);
    const struct client_item *item = rw_ask(rw, BATCH_READ, 0, &get, 1, 20000);
    assert_non_null(item);
    struct result result = world_result(item, 0);
    assert_memory_equal(result.value, "6", 1);
    rw_destroy(rw);
}

static void a_node_that_was_away_catches_up_from_the_disks_of_others(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(41);
    rw_run(rw, 200);
    rw_crash(rw, 2);
    rw_crash(rw, 6);
    for (uint64_t i = 1; i <= 120; i++) {
        struct operation add = op_add("sum", 1);
        assert_non_null(rw_ask(rw, BATCH_WRITE, i, &add, 1, 20000));
    }
    rw_restart(rw, 2);
    rw_restart(rw, 6);
    rw_run(rw, 8000);
    assert_int_equal(rw_status(rw, 2)->final_height, rw_status(rw, 0)->final_height);
    assert_int_equal(rw_status(rw, 6)->final_height, rw_status(rw, 4)->final_height);
    assert_true(rw_compare(rw) >= 12);
    rw_destroy(rw);
}

static void a_node_whose_disk_was_rolled_back_never_signs_again(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(51);
    rw_run(rw, 200);
    struct operation add = op_add("sum", 1);
    assert_non_null(rw_ask(rw, BATCH_WRITE, 1, &add, 1, 5000));
    rw_run(rw, 300);
    rw_crash(rw, 1);
    for (size_t i = 0; i < rw->nodes[1].record_count; i++) { /* yesterday's empty disk */
        free(rw->nodes[1].records[i].bytes);
        memset(&rw->nodes[1].records[i], 0, sizeof rw->nodes[1].records[i]);
    }
    rw_restart(rw, 1);
    rw_run(rw, 1000);
    assert_int_equal(rw_status(rw, 1)->phase, PHASE_RETIRED);
    assert_non_null(rw_ask(rw, BATCH_WRITE, 2, &add, 1, 5000)); /* the others go on */
    rw_destroy(rw);
}

/* More blocks than a node has room for go by while the disks of two nodes, one per cluster, finish nothing. */
static void a_disk_that_stalls_costs_its_node_nothing_but_time(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(53);
    rw_run(rw, 200);
    rw->nodes[1].disk_stalled = rw->nodes[5].disk_stalled = true;
    struct operation add = op_add("sum", 1);
    for (uint64_t number = 1; rw_status(rw, 0)->final_height < 1150; number++) assert_non_null(rw_ask(rw, BATCH_WRITE, number, &add, 1, 5000));
    for (uint32_t i = 1; i < RW_NODES; i += RW_CLUSTER) {
        uint64_t others = rw_status(rw, i - 1)->final_height;
        const struct status_replica *status = rw_status(rw, i);
        assert_true(status->sends_held <= 8192);
        assert_true(status->final_height + 300 < others);
        assert_int_equal(rw->nodes[i].stopped, 0);
    }
    rw->nodes[1].disk_stalled = rw->nodes[5].disk_stalled = false;
    rw_run(rw, 20000);
    for (uint32_t i = 1; i < RW_NODES; i += RW_CLUSTER) {
        uint64_t others = rw_status(rw, i - 1)->final_height;
        assert_int_equal(rw_status(rw, i)->final_height, others);
        assert_int_equal(rw->nodes[i].stopped, 0);
    }
    assert_true(rw_compare(rw) >= 12);
    rw_destroy(rw);
}

static void hostile_frames_of_all_types_and_roles_stop_nobody(void **state) {
    (void)state;
    static const uint16_t types[] = {0x0101, 0x0102, 0x0103, 0x0104, 0x0105, 0x0106, 0x0107, 0x0108, 0x0109, 0x010A, 0x010B,
                                     0x010C, 0x0111, 0x0112, 0x0201, 0x0202, 0x0203, 0x0204, 0x0301, 0x0304, 0x0306, 0x0999};
    struct replica_world *rw = rw_create(seed_of_run("hostile", 61));
    rw_run(rw, 200);
    uint8_t bytes[700];
    for (uint32_t i = 0; i < 20000; i++) {
        size_t count = world_random(&rw->seed) % sizeof bytes;
        for (size_t k = 0; k < count; k++) bytes[k] = world_random(&rw->seed) % 3 == 0 ? (uint8_t)world_random(&rw->seed) : 0;
        if (count > 16 && i % 2 == 0) memcpy(bytes, rw->world->system.system_id, 16);
        uint32_t to = (uint32_t)(world_random(&rw->seed) % RW_NODES);
        bool coordinator = to < RW_CLUSTER;
        struct replica_peer froms[] = {{.kind = REPLICA_MEMBER, .member = (uint8_t)((rw->nodes[to].member + 1) % RW_CLUSTER)},
                                       {.kind = REPLICA_FOREIGN, .member = 1, .index = coordinator ? SHARD_CLUSTER_BASE : COORDINATOR_CLUSTER_BASE},
                                       {.kind = REPLICA_CLIENT, .index = 0}};
        rw_inject(rw, froms[world_random(&rw->seed) % 3], to, types[world_random(&rw->seed) % (sizeof types / sizeof types[0])], bytes, count);
        if (i % 1000 == 0) rw_run(rw, 5);
    }
    struct operation put = op_put("k", "v");
    assert_non_null(rw_ask(rw, BATCH_WRITE, 1, &put, 1, 10000));
    for (uint32_t i = 0; i < RW_NODES; i++) {
        uint64_t drops = 0;
        const struct status_replica *status = rw_status(rw, i);
        for (int drop = 0; drop < STATUS_DROP_COUNT; drop++) drops += status->drops[drop];
        assert_true(drops > 1000);
        assert_int_equal(rw->nodes[i].stopped, 0);
    }
    rw_destroy(rw);
}

static void a_batch_that_comes_again_is_decided_once_and_answered_again(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(71);
    rw_run(rw, 200);
    uint32_t bytes;
    uint8_t digest[32];
    struct operation add = op_add("n", 1);
    uint8_t *batch = rw_batch(rw, BATCH_WRITE, 1, &add, 1, &bytes, digest);
    rw_send(rw, 0, 0x0301, batch, bytes);
    rw_run(rw, 500);
    assert_non_null(rw_answer(rw, digest));
    uint32_t before = rw->answer_count;
    for (int i = 0; i < 5; i++) {
        rw_send(rw, (uint32_t)i % RW_CLUSTER, 0x0301, batch, bytes);
        rw_run(rw, 200);
    }
    assert_true(rw->answer_count > before);
    struct operation get = op_get("n", 10);
    const struct client_item *item = rw_ask(rw, BATCH_READ, 0, &get, 1, 3000);
    assert_non_null(item);
    struct result result = world_result(item, 0);
    assert_memory_equal(result.value, "1", 1);
    free(batch);
    rw_destroy(rw);
}

struct repeats {
    uint32_t answers;
    uint64_t bytes;
};

static void repeats_count(void *context, uint16_t type, const uint8_t *bytes, size_t count) {
    struct repeats *repeats = context;
    (void)bytes;
    if (type != 0x0302) return;
    repeats->answers++;
    repeats->bytes += count;
}

/* Gives one node this batch every millisecond, `ms` times; what it answers. */
static struct repeats batch_repeat(struct replica_world *rw, const uint8_t *batch, uint32_t bytes, unsigned ms) {
    struct repeats repeats = {0};
    rw_run(rw, 500);
    rw->frame = repeats_count;
    rw->frame_context = &repeats;
    for (unsigned i = 0; i < ms; i++) {
        rw_inject(rw, (struct replica_peer){.kind = REPLICA_CLIENT, .index = rw->client_index}, 0, 0x0301, batch, bytes);
        rw_run(rw, 1);
    }
    rw_run(rw, 10);
    rw->frame = NULL;
    return repeats;
}

static void who_repeats_a_batch_has_all_its_answers_again_the_less_often_the_more_bytes_they_are(void **state) {
    (void)state;
    enum { BIG = 4, GETS = 200, VALUE = 4000, REPEAT_MS = 600 };
    struct replica_world *rw = rw_create(73);
    rw_run(rw, 200);
    uint32_t bytes;
    uint8_t digest[32], value[VALUE] = {1};
    struct operation put = op_put_bytes("big", value, sizeof value), gets[GETS];
    for (unsigned i = 0; i < GETS; i++) gets[i] = op_get("big", sizeof value);
    uint8_t *batch = rw_batch(rw, BATCH_WRITE, 1, &put, 1, &bytes, digest);
    rw_send(rw, 0, 0x0301, batch, bytes);
    rw_run(rw, 500);
    assert_non_null(rw_answer(rw, digest));
    struct repeats small = batch_repeat(rw, batch, bytes, REPEAT_MS);
    assert_true(small.answers >= REPEAT_MS / 25 && small.answers <= REPEAT_MS / 20 + 1);
    for (unsigned i = 0; i < BIG; i++) {
        const struct client_item *item = rw_ask(rw, BATCH_READ, 0, gets, GETS, 3000);
        assert_non_null(item);
        assert_true(item->results_bytes > GETS * VALUE);
    }
    /* Each time all, from the batch's own answer on; and after each time a pause by its bytes: so many a millisecond as replica_client.c says. */
    struct repeats big = batch_repeat(rw, batch, bytes, REPEAT_MS);
    uint32_t times = big.answers / (BIG + 1);
    assert_true(times >= 2 && big.answers % (BIG + 1) == 0);
    uint64_t once = big.bytes / times, pause_ms = 20 + once / (32 << 10);
    assert_true(once > BIG * GETS * VALUE && pause_ms > 100);
    assert_true(times <= REPEAT_MS / pause_ms + 1);
    assert_int_equal(rw->answers_bad, 0);
    free(batch);
    rw_destroy(rw);
}

static void how_long_the_restoring_takes_does_not_put_the_cluster_behind_the_calendar(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(72);
    rw_run(rw, 200);
    for (uint32_t i = 0; i < RW_NODES; i++) rw_crash(rw, i);
    rw_run(rw, 60000);
    rw->restoring_ms = 30000;
    for (uint32_t i = 0; i < RW_NODES; i++) rw_restart(rw, i);
    rw_run(rw, 200);
    struct operation put = op_put("key", "value");
    assert_non_null(rw_ask(rw, BATCH_WRITE, 1, &put, 1, 3000));
    for (uint32_t i = 0; i < RW_NODES; i += RW_CLUSTER) {
        uint64_t calendar_ms = UINT64_C(1700000000000) + rw->now_us / 1000, time_ms = rw_status(rw, i)->time_ms;
        assert_true(time_ms <= calendar_ms && calendar_ms - time_ms < 5000);
    }
    rw_destroy(rw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_and_a_get_are_answered_over_three_rounds),
        cmocka_unit_test(a_batch_that_comes_again_is_decided_once_and_answered_again),
        cmocka_unit_test(who_repeats_a_batch_has_all_its_answers_again_the_less_often_the_more_bytes_they_are),
        cmocka_unit_test(every_add_counts_once_on_a_network_that_loses_a_twentieth),
        cmocka_unit_test(every_add_counts_once_while_leaders_crash_and_lose_what_was_not_synced),
        cmocka_unit_test(all_nodes_crash_at_once_and_nothing_acknowledged_is_lost),
        cmocka_unit_test(a_node_that_was_away_catches_up_from_the_disks_of_others),
        cmocka_unit_test(a_node_whose_disk_was_rolled_back_never_signs_again),
        cmocka_unit_test(how_long_the_restoring_takes_does_not_put_the_cluster_behind_the_calendar),
        cmocka_unit_test(a_disk_that_stalls_costs_its_node_nothing_but_time),
        cmocka_unit_test(hostile_frames_of_all_types_and_roles_stop_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
