/* P-70: a whole cluster that was put back to an older state finds out by what the paired clusters hold of it, and nobody else believes so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/replica/replica_private.h"
#include "tests/appliance/replica_world.h"

enum { SHARD = 4 };

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

/* The newest slice that a coordinator has in its queue for the shard, once there is one. */
static const struct queue_item *slice_sent(struct replica_world *rw, uint64_t *number) {
    for (uint32_t tries = 0; tries < 1000; tries++) {
        struct operation put = op_put("k", "v");
        if (tries % 100 == 0) (void)rw_ask(rw, BATCH_WRITE, ++*number, &put, 1, 1);
        rw_run(rw, 1);
        for (uint32_t i = 0; i < RW_CLUSTER; i++) {
            const struct pair *pair = &rw->nodes[i].replica->pairs[0];
            if (pair->items_end > pair->items_first) return &pair->items[(pair->items_end - 1) % pair->items_room];
        }
    }
    fail();
    return NULL;
}

/* Such a slice, but of this epoch, and acknowledging all there can be; nobody signed it. malloc'd. */
static uint8_t *slice_made_up(struct replica_world *rw, uint64_t *number, uint64_t epoch, size_t *count) {
    const struct queue_item *item = slice_sent(rw, number);
    const struct blob *head = item->head, *slice = item->slice;
    uint8_t *out = malloc(head->count + slice->count);
    struct decision *decision = malloc(sizeof *decision);
    assert_true(out != NULL && decision != NULL);
    memcpy(out, head->bytes, head->count);
    memcpy(out + head->count, slice->bytes, slice->count);
    *count = head->count + slice->count;
    assert_int_equal(decision_decode(out, *count, decision), DECISION_OK);
    decision->certificate.qc.ballot.place.epoch = epoch;
    struct bytes_writer writer = bytes_writer_of(out, head->count);
    decision_head_encode(&writer, &decision->certificate, decision->leaf_index, decision->leaf_count, (const tree_hash *)decision->path,
                         decision->path_count, decision->leaf_bytes);
    bytes_put_le64(out + head->count + 8, UINT64_MAX);
    free(decision);
    return out;
}

static void slice_inject(struct replica_world *rw, uint32_t to, uint8_t member, const uint8_t *bytes, size_t count) {
    struct replica_peer from = {.kind = REPLICA_FOREIGN, .member = member, .index = rw->nodes[to].replica->pairs[0].cluster};
    rw_inject(rw, from, to, MESSAGE_COMPACT_DECISION, bytes, count);
}

/* To each node of the shard as soon as it takes one: whether so many have it in their hands. */
static uint32_t slices_inject(struct replica_world *rw, const uint8_t *bytes, size_t count) {
    uint32_t held = 0;
    for (uint32_t ms = 0, got = 0; ms < 2000; ms++) {
        rw_run(rw, 1);
        for (uint32_t i = 0; i < RW_CLUSTER; i++) {
            struct replica *r = rw->nodes[SHARD + i].replica;
            if ((got & 1u << i) != 0 || !last_is_answered(r)) continue;
            got |= 1u << i;
            slice_inject(rw, SHARD + i, 3, bytes, count);
            held += r->pairs[0].rollback.slice.blob != NULL && r->pairs[0].rollback.ack == UINT64_MAX;
        }
    }
    return held;
}

/* What it had acknowledged before is asked for once more, and honest sources need not have it any longer. */
static void accuses_nobody(struct replica_world *rw, uint64_t *number) {
    uint64_t before[RW_CLUSTER];
    for (uint32_t i = 0; i < RW_CLUSTER; i++) before[i] = rw_status(rw, SHARD + i)->attacks[ATTACK_WITHHELD_SLICE];
    writes_go_out(rw, number, 4);
    rw_run(rw, 20000);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) {
        const struct status_replica *status = rw_status(rw, SHARD + i);
        if (status->phase == PHASE_ROLLED_BACK) assert_int_equal(status->attacks[ATTACK_WITHHELD_SLICE], before[i]);
    }
}

/* With a slice that somebody made up, of an epoch that nobody knows, before all others, or without. */
static void rolled_back_as_a_whole(bool lie) {
    struct replica_world *rw = rw_create(41);
    uint64_t number = 0;
    struct rw_disk snapshots[RW_CLUSTER];
    rw_run(rw, 300);
    size_t made_up_count = 0;
    uint8_t *made_up = lie ? slice_made_up(rw, &number, 9, &made_up_count) : NULL;
    puts_of(rw, &number, 4);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) snapshots[i] = rw_disk_copy(&rw->nodes[SHARD + i]);
    puts_of(rw, &number, 12);
    for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) rw_crash(rw, i);
    for (uint32_t i = 0; i < RW_CLUSTER; i++) rw_disk_put_back(&rw->nodes[SHARD + i], &snapshots[i]);
    for (uint32_t i = SHARD; i < SHARD + RW_CLUSTER; i++) rw_restart(rw, i);
    if (lie) {
        assert_int_equal(slices_inject(rw, made_up, made_up_count), RW_CLUSTER);
        free(made_up);
    } else {
        rw_run(rw, 2000);
    }
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
    accuses_nobody(rw, &number);
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

static void a_cluster_that_was_rolled_back_as_a_whole_stops_and_keeps_the_proof(void **state) {
    (void)state;
    rolled_back_as_a_whole(false);
}

static void a_made_up_slice_before_the_real_one_hides_nothing(void **state) {
    (void)state;
    rolled_back_as_a_whole(true);
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

static void a_made_up_slice_is_let_go_and_its_sender_passed_by(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(44);
    uint64_t number = 0;
    rw_run(rw, 300);
    puts_of(rw, &number, 3);
    size_t unknown_count, known_count;
    uint8_t *unknown = slice_made_up(rw, &number, 9, &unknown_count), *known = slice_made_up(rw, &number, 0, &known_count);
    rw_run(rw, 3000);
    struct rollback *back = &rw->nodes[SHARD].replica->pairs[0].rollback;
    uint8_t *input = calloc(1, unknown_count + 4); /* D-5: by way of a member of the own cluster */
    assert_non_null(input);
    input[0] = BODY_SLICE;
    memcpy(input + 4, unknown, unknown_count);
    rw_inject(rw, (struct replica_peer){.kind = REPLICA_MEMBER, .member = 1}, SHARD, MESSAGE_INPUT, input, unknown_count + 4);
    assert_null(back->slice.blob);
    /* Of an epoch that nobody knows: for a while, then not of that node any more. */
    slice_inject(rw, SHARD, 2, unknown, unknown_count);
    assert_non_null(back->slice.blob);
    rw_run(rw, 12000);
    assert_null(back->slice.blob);
    assert_int_equal(back->liars, 1u << 2);
    slice_inject(rw, SHARD, 2, unknown, unknown_count);
    assert_null(back->slice.blob);
    /* One that can be checked takes its place; not the other way round. */
    slice_inject(rw, SHARD, 1, unknown, unknown_count);
    slice_inject(rw, SHARD, 3, known, known_count);
    assert_int_equal(back->from, 3);
    slice_inject(rw, SHARD, 1, unknown, unknown_count);
    assert_int_equal(back->from, 3);
    rw_run(rw, 3000);
    assert_null(back->slice.blob);
    assert_int_equal(back->liars, 0); /* that were two of f = 1 */
    assert_int_equal(rolled_back(rw, SHARD), 0);
    puts_of(rw, &number, 2);
    free(unknown);
    free(known);
    free(input);
    rw_destroy(rw);
}

/* A final block whose body names so many NOOPs of a member, this far apart. */
static void comb_final(struct replica *r, uint8_t relay, uint64_t first, uint64_t apart, uint32_t count) {
    struct blob *body = blob_make(BODY_HEAD_BYTES + count * BODY_REFERENCE_BYTES);
    struct rblock block = {.body = body, .ref_count = count};
    for (uint32_t i = 0; i < count; i++) {
        struct body_reference reference = {.kind = BODY_NOOP, .relay = relay, .dseq = first + i * apart};
        body_reference_encode(&reference, body->bytes + BODY_HEAD_BYTES + i * BODY_REFERENCE_BYTES);
    }
    rollback_final(r, &block);
    blob_drop(body);
}

static void only_a_noop_that_was_asked_after_the_proof_judges(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(45);
    uint64_t number = 0;
    rw_run(rw, 300);
    puts_of(rw, &number, 3);
    rw_run(rw, 3000);
    struct replica *r = rw->nodes[SHARD].replica;
    struct pair *pair = &r->pairs[0];
    struct rollback *back = &pair->rollback;
    uint8_t other = r->me == 0;
    uint64_t before = rollback_noop_nonce(r);
    back->slice = (struct blob_piece){.blob = blob_make(8), .count = 8};
    back->ack = pair->sent_final + 1000;
    back->proved = true;
    for (uint32_t i = 0; i < 4; i++, r->now_ms += 2 * r->config.timeouts.view_base_ms) rollback_tick(r, pair);
    uint64_t first = back->noop, newest = r->noop_own;
    assert_true(first > before + ((uint64_t)1 << 30) && newest > first + 3); /* by a step that is not to be guessed (by this seed); four numbers */
    comb_final(r, r->me, first + 1, (newest - first) / 1000, 999);           /* around all of them */
    comb_final(r, r->me, before, 1, 1);                                      /* asked, but not for this */
    comb_final(r, r->me, first + 1, 1, 1);                                   /* near */
    comb_final(r, r->me, newest + 1, 1, 1);
    comb_final(r, r->me, first, 1, 2); /* as well as another */
    comb_final(r, other, first, 1, 1); /* another member's */
    assert_int_equal(r->retired, REPLICA_IN_OFFICE);
    comb_final(r, r->me, newest, 1, 1);
    assert_int_equal(r->retired, REPLICA_ROLLED_BACK);
    rw_destroy(rw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cluster_that_was_rolled_back_as_a_whole_stops_and_keeps_the_proof),
        cmocka_unit_test(a_made_up_slice_before_the_real_one_hides_nothing),
        cmocka_unit_test(a_cluster_that_lost_power_as_a_whole_does_not),
        cmocka_unit_test(a_word_that_nobody_proves_is_dropped_and_counted),
        cmocka_unit_test(a_made_up_slice_is_let_go_and_its_sender_passed_by),
        cmocka_unit_test(only_a_noop_that_was_asked_after_the_proof_judges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
