/* S-143: a node that was shown a valid successor has left for good; a second one convicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/replica/replica_private.h"
#include "protocol/evidence.h"
#include "tests/appliance/replica_world.h"

enum { LEAVER = 6 }; /* of the shard */

static struct claim_successor statement_of(const struct replica_world *rw, uint8_t successor) {
    struct claim_successor statement = {.signatures_count = 0};
    memcpy(statement.predecessor_id, rw->world->system.system_id, 16);
    memset(statement.successor_hash, successor, 32);
    memset(statement.successor_id, successor, 16);
    assert_true(claim_successor_sign(&statement, &rw->admin));
    return statement;
}

static void puts_of(struct replica_world *rw, uint64_t *number, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        struct operation put = op_put("k", "v");
        assert_non_null(rw_ask(rw, BATCH_WRITE, ++*number, &put, 1, 20000));
    }
}

static void a_node_that_was_shown_one_signs_no_more_and_says_why(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(51);
    uint64_t number = 0;
    rw_run(rw, 300);
    puts_of(rw, &number, 3);
    struct rw_node *node = &rw->nodes[LEAVER];
    struct claim_successor statement = statement_of(rw, 1);
    replica_successor(node->replica, &statement);
    rw_run(rw, 300);
    assert_int_equal(rw_status(rw, LEAVER)->phase, PHASE_SUCCEEDED);
    uint64_t prepared = node->replica->core->memory.prepared.height;
    puts_of(rw, &number, 3); /* the others are a quorum yet, and it follows */
    rw_run(rw, 1000);
    assert_int_equal(node->replica->core->memory.prepared.height, prepared);
    assert_int_equal(rw_status(rw, LEAVER)->final_height, rw_status(rw, LEAVER - 1)->final_height);
    rw_crash(rw, LEAVER);
    rw_restart(rw, LEAVER);
    puts_of(rw, &number, 3);
    rw_run(rw, 1000);
    assert_int_equal(rw_status(rw, LEAVER)->phase, PHASE_SUCCEEDED);
    assert_int_equal(node->replica->core->memory.prepared.height, prepared);
    rw_destroy(rw);
}

/* Flags of the STATUS that a node shows a client of itself (O-52). */
static uint8_t flags_shown(struct replica_world *rw, uint32_t node) {
    enum { STATUS_QUERY = 0x0304, STATUS_ANSWER = 0x0305, FLAGS_AT = 12 + 4 + 180 };
    static const uint8_t nonce[8];
    struct replica *r = rw->nodes[node].replica;
    struct blob *question = blob_copy(nonce, sizeof nonce);
    replica_frame(r, (struct replica_peer){.kind = REPLICA_CLIENT, .index = rw->client_index}, STATUS_QUERY,
                  (struct blob_piece){.blob = question, .count = sizeof nonce});
    blob_drop(question);
    uint8_t flags = 0xFF;
    for (uint32_t i = 0; i < r->output_count; i++) {
        const struct replica_output *at = &r->outputs[(r->output_first + i) % r->output_room];
        if (at->kind == REPLICA_SEND && at->type == STATUS_ANSWER) flags = at->pieces[0].blob->bytes[at->pieces[0].offset + FLAGS_AT];
    }
    rw_run(rw, 10);
    return flags;
}

static void its_own_status_says_that_it_may_not_vote(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(53);
    uint64_t number = 0;
    rw_run(rw, 300);
    puts_of(rw, &number, 1);
    assert_true((flags_shown(rw, 2) & BFT_STATUS_VOTING) != 0);
    struct claim_successor statement = statement_of(rw, 1);
    replica_successor(rw->nodes[2].replica, &statement);
    assert_int_equal(flags_shown(rw, 2) & BFT_STATUS_VOTING, 0);
    rw_destroy(rw);
}

static uint32_t kept(const struct rw_node *node) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->evidence_count; i++) count += strcmp(node->evidence[i].name, "two_successors") == 0;
    return count;
}

static void a_second_one_is_refused_and_kept_as_evidence(void **state) {
    (void)state;
    struct replica_world *rw = rw_create(52);
    rw_run(rw, 300);
    struct rw_node *node = &rw->nodes[LEAVER];
    struct claim_successor first = statement_of(rw, 1), second = statement_of(rw, 2);
    replica_successor(node->replica, &first);
    rw_run(rw, 300);
    replica_successor(node->replica, &first); /* the same again is no second one */
    rw_run(rw, 100);
    assert_int_equal(kept(node), 0);
    rw_crash(rw, LEAVER);
    rw_restart(rw, LEAVER); /* it remembers which it was */
    rw_run(rw, 300);
    replica_successor(node->replica, &second);
    replica_successor(node->replica, &second);
    rw_run(rw, 300);
    assert_int_equal(kept(node), 1);
    struct claim_successor held;
    assert_int_equal(claim_successor_decode(&held, node->replica->successor->bytes, node->replica->successor->count, NULL), SYSTEM_OK);
    assert_memory_equal(held.successor_hash, first.successor_hash, 32);
    struct evidence evidence;
    struct config config;
    uint32_t both;
    const struct rw_evidence *file = NULL;
    for (uint32_t i = 0; i < node->evidence_count; i++) file = &node->evidence[i];
    assert_non_null(file);
    assert_int_equal(evidence_decode(file->bytes, file->count, &evidence), EVIDENCE_OK);
    assert_true(system_config(&rw->world->system, node->cluster, &config));
    assert_int_equal(evidence_verify_successors(&evidence, &config, &both), EVIDENCE_OK);
    assert_int_equal(both, 1);
    rw_destroy(rw);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_that_was_shown_one_signs_no_more_and_says_why),
        cmocka_unit_test(its_own_status_says_that_it_may_not_vote),
        cmocka_unit_test(a_second_one_is_refused_and_kept_as_evidence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
