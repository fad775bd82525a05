/* Verifying ahead: what a replica asks of its signer was found before, and it does the same with it as without (appliance/replica/ahead.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/replica/ahead.h"
#include "appliance/replica/replica_private.h"
#include "tests/appliance/replica_world.h"

enum { COORDINATOR = 1, SHARD = RW_CLUSTER + 1, PUTS = 12 };

/* A node whose frames are all verified ahead, or by keys of another time. */
struct watched {
    struct rw_node *node;
    struct ahead_keys *keys;
    struct ahead_scratch *scratch;
    struct verdict_table table;
    struct verdict_list list;
    uint64_t frames, statuses, verdicts;
};

static bool frame_look(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    struct watched *watched = context;
    (void)from;
    struct verdict_recorder recorder = {.inner = watched->table.inner, .list = &watched->list};
    const struct signer signer = verdict_recorder_signer(&recorder);
    watched->list.count = 0;
    watched->frames++;
    watched->statuses += type == BFT_MESSAGE_STATUS;
    if (ahead_wants(type)) ahead_verify(watched->keys, watched->scratch, &signer, type, blob_piece_bytes(&payload), payload.count);
    watched->verdicts += watched->list.count;
    verdict_table_put(&watched->table, &watched->list);
    return true;
}

static struct watched *watch(struct replica_world *rw, uint32_t node) {
    struct watched *watched = calloc(1, sizeof *watched);
    watched->node = &rw->nodes[node];
    watched->keys = ahead_keys_take(watched->node->replica);
    watched->scratch = ahead_scratch_make();
    watched->table.inner = watched->node->replica->signer;
    watched->node->replica->signer = verdict_table_signer(&watched->table);
    watched->node->hooks = (struct replica_hooks){.context = watched, .frame = frame_look};
    return watched;
}

static void unwatch(struct watched *watched) {
    watched->node->hooks.frame = NULL;
    watched->node->replica->signer = watched->table.inner;
    ahead_keys_drop(watched->keys);
    ahead_scratch_free(watched->scratch);
    free(watched);
}

static void what_a_node_asks_of_its_signer_was_found_ahead(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(31);
    rw_run(rw, 300);
    const uint32_t nodes[] = {COORDINATOR, SHARD};
    struct watched *watched[2];
    for (size_t i = 0; i < 2; i++) watched[i] = watch(rw, nodes[i]);
    assert_true(rw_puts(rw, PUTS));
    rw_run(rw, 500);
    for (size_t i = 0; i < 2; i++) {
        assert_true(watched[i]->verdicts > 4 * PUTS);
        assert_true(watched[i]->table.asked > 4 * PUTS);
        assert_in_range(watched[i]->table.asked - watched[i]->table.found, 0, watched[i]->statuses); /* each of which has one signature */
        assert_int_equal(watched[i]->node->replica->status.drops[DROP_BATCH_SIGNATURE], 0);
        unwatch(watched[i]);
    }
    rw_destroy(rw);
}

/* Keys by which nobody signed: nothing is found, everything is verified by the replica's own, and it goes on as ever. */
static void verdicts_by_other_keys_help_nobody_and_harm_nobody(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(32), *other = rw_create_prepared(33, NULL);
    rw_run(rw, 300);
    struct watched *watched = watch(rw, COORDINATOR);
    ahead_keys_drop(watched->keys);
    watched->keys = ahead_keys_take(other->nodes[SHARD].replica); /* of another cluster: no member, pair or place fits */
    assert_true(rw_puts(rw, PUTS));
    rw_run(rw, 500);
    assert_true(watched->frames > 0 && watched->table.asked > 4 * PUTS);
    assert_true(watched->table.found < watched->table.asked / 4); /* a client's key is the same everywhere */
    assert_int_equal(rw_status(rw, COORDINATOR)->final_height, rw_status(rw, 0)->final_height);
    unwatch(watched);
    rw_destroy(rw);
    rw_destroy(other);
}

static void the_stamp_changes_with_the_clients_and_the_epochs(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(34);
    struct replica *replica = rw->nodes[COORDINATOR].replica;
    uint64_t stamp = ahead_stamp(replica);
    assert_true(stamp != 0);
    replica->client_count++;
    assert_true(ahead_stamp(replica) != stamp);
    replica->client_count--;
    replica->pairs[0].epoch_count++;
    assert_true(ahead_stamp(replica) != stamp);
    replica->pairs[0].epoch_count--;
    replica->members.place.epoch++;
    assert_true(ahead_stamp(replica) != stamp);
    replica->members.place.epoch--;
    assert_true(ahead_stamp(replica) == stamp);
    rw_destroy(rw);
}

/* Whatever a frame has in it, nothing is read beyond its end (the sanitizers look), and nothing bad is found good. */
static void frames_of_nonsense_give_no_good_verdict(void **state) {
    (void)state;
    static const uint16_t types[] = {MESSAGE_BATCH, MESSAGE_INPUT, MESSAGE_COMPACT_DECISION, BFT_MESSAGE_PROPOSE, BFT_MESSAGE_PREPARE, BFT_MESSAGE_QC,
                                     BFT_MESSAGE_TIMEOUT, BFT_MESSAGE_TC, BFT_MESSAGE_STATUS, BFT_MESSAGE_NOOP, BFT_MESSAGE_FETCH, 0xFFFF};
    struct replica_world *rw = rw_create(35);
    struct watched *watched = watch(rw, COORDINATOR);
    uint64_t random = 88172645463325252u;
    for (unsigned i = 0; i < 20000; i++) {
        size_t count = i % 700;
        struct blob *blob = blob_make(count);
        for (size_t at = 0; at < count; at++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            blob->bytes[at] = (uint8_t)(random % 5 == 0 ? random >> 32 : at < 4 ? i % 4 : 0);
        }
        struct blob_piece piece = {.blob = blob, .count = count};
        assert_true(frame_look(watched, (struct replica_peer){.kind = REPLICA_MEMBER}, types[i % (sizeof types / sizeof types[0])], piece));
        for (uint32_t at = 0; at < watched->list.count; at++) assert_false(watched->list.verdicts[at].good);
        blob_drop(blob);
    }
    unwatch(watched);
    rw_destroy(rw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_node_asks_of_its_signer_was_found_ahead),
        cmocka_unit_test(verdicts_by_other_keys_help_nobody_and_harm_nobody),
        cmocka_unit_test(the_stamp_changes_with_the_clients_and_the_epochs),
        cmocka_unit_test(frames_of_nonsense_give_no_good_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
