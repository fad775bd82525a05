/* P-70: a whole cluster that was put back to an older state finds out by what the paired clusters hold of it, and nobody else believes so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/replica_private.h"
#include "tests/appliance/replica_world.h"

enum { SHARD = 4 };

struct snapshot {
    struct rw_record *records;
    size_t count;
};

static struct snapshot snapshot_of(const struct rw_node *node) {
    struct snapshot snapshot = {.records = calloc(node->record_count + 1, sizeof *snapshot.records), .count = node->record_count};
    assert_non_null(snapshot.records);
    for (size_t i = 0; i < node->record_count; i++) {
        struct rw_record *copy = &snapshot.records[i];
        *copy = node->records[i];
        if (!copy->used) continue;
        copy->bytes = malloc(copy->count + 1);
        memcpy(copy->bytes, node->records[i].bytes, copy->count);
    }
    return snapshot;
}

static void snapshot_restore(struct rw_node *node, struct snapshot *snapshot) {
    for (size_t i = 0; i < node->record_count; i++) {
        if (node->records[i].used) free(node->records[i].bytes);
    }
    memcpy(node->records, snapshot->records, snapshot->count * sizeof *snapshot->records);
    node->record_count = snapshot->count;
    free(snapshot->records);
}

static void puts_of(struct replica_world *rw, uint64_t *number, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct operation put = op_put("k", "v");
        assert_non_null(rw_ask(rw, BATCH_WRITE, ++*number, &put, 1, 20000));
        rw_run(rw, 60);
    }
}

static uint32_t rolled_back(struct replica_world *rw, uint32_t first) {
    uint32_t count = 0;
    for (uint32_t i = first; i < first + RW_CLUSTER; i++) count += rw_status(rw, i)->phase == PHASE_ROLLED_BACK;
    return count;
}

/* Client batches go on coming, answered or not. */
static void writes_go_out(struct replica_world *rw, uint64_t *number, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct operation put = op_put("k", "w");
        (void)rw_ask(rw, BATCH_WRITE, ++*number, &put, 1, 400);
    }
}

static void a_cluster_that_was_rolled_back_as_a_whole_stops_and_keeps_the_proof(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(41);
    uint64_t number = 0;
    struct snapshot snapshots[RW_CLUSTER];
    rw_run(rw, 300);
    puts_of(rw, &number, 4);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) snapshots[i] = snapshot_of(&rw->nodes[SHARD + i]);
    puts_of(rw, &number, 12);
    for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) rw_crash(rw, i);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) snapshot_restore(&rw->nodes[SHARD + i], &snapshots[i]);
    for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) rw_restart(rw, i);
    rw_run(rw, 2000);
    writes_go_out(rw, &number, 8);
    rw_run(rw, 10000);
    uint32_t shown = rolled_back(rw, SHARD), kept = 0;
    assert_true(shown > RW_CLUSTER - rw->nodes[SHARD].replica->members.q); /* so that there is no quorum any more */
    assert_int_equal(rolled_back(rw, 0), 0);
    for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) {
        const struct rw_node *node = &rw->nodes[i];
        for (uint32_t k = 0; k < node->evidence_count; k++) kept += strcmp(node->evidence[k].name, "rolled-back-shown-by-c0.decision") == 0;
    }
    assert_int_equal(kept, shown);
    /* It stays so over a restart, and the node still says why. */
    for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) {
        if (rw_status(rw, i)->phase != PHASE_ROLLED_BACK) continue;
        rw_crash(rw, i);
        rw_restart(rw, i);
        rw_run(rw, 1000);
        assert_int_equal(rw_status(rw, i)->phase, PHASE_ROLLED_BACK);
        break;
    }
    rw_destroy(rw);
}

/* One node had decided and sent what nobody else knew yet to be final, and all lost power: the others come to the same, and nobody retires. */
static void a_cluster_that_lost_power_as_a_whole_does_not(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct replica_world *rw = rw_create(100 + seed);
        uint64_t number = 0;
        rw_run(rw, 300);
        puts_of(rw, &number, 3);
        for (uint32_t round = 0; round < 3; round++) {
            struct operation put = op_put("k", "v");
            (void)rw_ask(rw, BATCH_WRITE, ++number, &put, 1, 5 + 7 * seed);
            for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) rw_crash(rw, i);
            for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) rw_restart(rw, i);
            rw_run(rw, 3000);
            writes_go_out(rw, &number, 2);
        }
        rw_run(rw, 4000);
        assert_int_equal(rolled_back(rw, SHARD) + rolled_back(rw, 0), 0);
        puts_of(rw, &number, 2);
        rw_destroy(rw);
    }
}

static void newest_inject(struct replica_world *rw, uint32_t to, uint32_t member, uint64_t consumed) {
    struct pair *pair = &rw->nodes[to].replica->pairs[0];
    uint8_t bytes[48] = {0};
    bytes_put_le32(bytes, pair->cluster);
    bytes_put_le64(bytes + 8, pair->asked_nonce);
    bytes_put_le64(bytes + 16, pair->consumed_final);
    bytes_put_le64(bytes + 32, consumed);
    struct replica_peer from = {.kind = REPLICA_FOREIGN, .member = (uint8_t)member, .index = pair->cluster};
    rw_inject(rw, from, to, MESSAGE_NEWEST, bytes, sizeof bytes);
}

static void a_word_that_nobody_proves_is_dropped_and_counted(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(43);
    uint64_t number = 0;
    rw_run(rw, 300);
    puts_of(rw, &number, 3);
    rw_run(rw, 3000); /* all state the same height */
    struct pair *pair = &rw->nodes[SHARD].replica->pairs[0];
    pair->rollback.done = false; /* as just after a start */
    pair->rollback.answered = 0;
    newest_inject(rw, SHARD, 2, pair->sent_final + 1000);
    assert_int_equal(pair->rollback.hints, 1u << 2);
    uint64_t before = rw_status(rw, SHARD)->drops[DROP_ROLLBACK_HINT];
    rw_run(rw, 12000);
    assert_int_equal(pair->rollback.hints, 0);
    assert_int_equal(rw_status(rw, SHARD)->drops[DROP_ROLLBACK_HINT], before + 1);
    assert_true(pair->rollback.done);
    assert_int_equal(rolled_back(rw, SHARD), 0);
    newest_inject(rw, SHARD, 2, pair->sent_final + 1000); /* again: once a start is enough */
    assert_int_equal(pair->rollback.hints, 0);
    puts_of(rw, &number, 2);
    rw_destroy(rw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_that_was_rolled_back_as_a_whole_stops_and_keeps_the_proof),
        cmocka_unit_test(a_cluster_that_lost_power_as_a_whole_does_not),
        cmocka_unit_test(a_word_that_nobody_proves_is_dropped_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
