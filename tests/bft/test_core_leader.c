/* Proposing, B-25, B-53, B-15; and what is repaired for whom, B-33, B-70 to B-76. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/bft/script.h"

static struct bft_proposal proposal_of(const struct bft_offer *offer, uint8_t salt) {
    struct bft_proposal proposal = {.view = offer->view, .parent_id = offer->parent_id, .time = offer->time, .body_hash = bft_body_hash_empty(),
                                    .outbox_root = bft_outbox_root_empty(), .state_root = {{5}}, .cursors_hash = {{1}}, .weight = 1};
    proposal.body_hash.bytes[0] ^= salt;
    return proposal;
}

static void propose(struct script *s, const struct bft_proposal *proposal) {
    struct bft_event event = {.type = BFT_EVENT_PROPOSAL};
    event.proposal = *proposal;
    script_step(s, &event);
}

static void a_leader_proposes_ahead_up_to_the_window(void **state) {
    (void)state;
    struct script *s = script_new(4, 0, 3);
    for (int i = 0; i < 3; i++) {
        script_tick(s, 1);
        assert_true(s->update.offer.may_propose);
        assert_false(s->update.offer.at_once);
        struct bft_proposal proposal = proposal_of(&s->update.offer, (uint8_t)(i + 1));
        propose(s, &proposal);
    }
    assert_int_equal(script_sent(s, BFT_MESSAGE_PROPOSE, NULL), 3);
    assert_false(s->update.offer.may_propose);
    assert_int_equal(s->core.memory.prepared.height, SCRIPT_START + 3);
    script_free(s);
}

static void others_get_no_offer(void **state) {
    (void)state;
    for (uint8_t me = 1; me < 4; me++) {
        struct script *s = script_new(4, me, 3);
        script_tick(s, 1);
        assert_false(s->update.offer.may_propose);
        script_free(s);
    }
}

static void a_stale_proposal_is_refused(void **state) {
    (void)state;
    struct script *s = script_new(4, 0, 3);
    script_tick(s, 1);
    struct bft_proposal late = proposal_of(&s->update.offer, 1);
    struct bft_proposal good = proposal_of(&s->update.offer, 2);
    struct bft_proposal future = good;
    future.time += 1001;
    propose(s, &future);
    assert_int_equal(script_noted(s, BFT_NOTE_PROPOSAL_STALE), 1);
    propose(s, &good);
    propose(s, &late); /* on the same parent again */
    assert_int_equal(script_noted(s, BFT_NOTE_PROPOSAL_STALE), 2);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PROPOSE, NULL), 1);
    struct bft_tc tc = script_tc(s, 0, 14, NULL, NULL);
    struct bft_proposal next = proposal_of(&s->update.offer, 3);
    (void)script_give_tc(s, &tc);
    propose(s, &next);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PROPOSE, NULL), 1);
    script_free(s);
}

static void a_new_leader_proposes_at_once_on_q_star_with_the_tc(void **state) {
    (void)state;
    struct script *s = script_new(4, 1, 1);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    (void)script_give_propose(s, &one, NULL);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 13);
    struct bft_tc tc = script_tc(s, 0, 13, &qc, NULL);
    (void)script_give_tc(s, &tc);
    struct bft_offer offer = s->update.offer;
    struct bft_hash id = bft_header_id(&one);
    assert_true(offer.may_propose && offer.at_once);
    assert_true(offer.empty_only); /* the window of one is full */
    assert_memory_equal(offer.parent_id.bytes, id.bytes, 32);
    struct bft_proposal full = proposal_of(&offer, 1);
    propose(s, &full);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PROPOSE, NULL), 0);
    struct bft_proposal empty = proposal_of(&offer, 0);
    propose(s, &empty);
    const struct bft_message *message = script_last(s, BFT_MESSAGE_PROPOSE);
    assert_non_null(message);
    assert_true(message->propose.has_tc);
    assert_int_equal(bft_message_verify(&s->members, &s->verifier, message, NULL, 0), BFT_VERIFY_OK);
    script_free(s);
}

static void a_new_leader_whose_q_star_is_final_may_rest(void **state) {
    (void)state;
    struct script *s = script_new(4, 1, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    script_decide(s, &one, 13);
    assert_true(script_is_final(s, &one));
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 13);
    struct bft_tc tc = script_tc(s, 0, 13, &qc, NULL);
    (void)script_give_tc(s, &tc);
    assert_true(s->update.offer.may_propose);
    assert_false(s->update.offer.at_once);
    script_free(s);
}

static void a_new_leader_fetches_q_star_when_it_lacks_it(void **state) {
    (void)state;
    struct script *s = script_new(4, 1, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 13);
    struct bft_tc tc = script_tc(s, 0, 13, &qc, NULL);
    (void)script_give_tc(s, &tc);
    assert_false(s->update.offer.may_propose);
    assert_int_equal(s->actions[0].type, BFT_DO_FETCH);
    struct bft_message block = {.type = BFT_MESSAGE_BLOCK, .block_id = bft_header_id(&one)};
    block.block.header = one;
    (void)script_give(s, &block, 2);
    assert_true(s->update.offer.may_propose && s->update.offer.at_once);
    script_free(s);
}

static void a_noop_makes_an_idle_leader_propose_once(void **state) {
    (void)state;
    struct script *s = script_new(4, 0, 4);
    struct bft_message message = {.type = BFT_MESSAGE_NOOP};
    memcpy(message.noop.system_id, s->members.place.system_id, 16);
    message.noop.cluster = s->members.place.cluster;
    message.noop.nonce = 5;
    message.noop.signer = 2;
    struct signer signer = keyed_signer_of(&s->keys[2]);
    bft_message_sign(&signer, &message);
    assert_int_equal(script_give(s, &message, 2), BFT_VERIFY_OK);
    assert_true(s->update.offer.at_once);
    struct bft_proposal proposal = proposal_of(&s->update.offer, 0);
    propose(s, &proposal);
    assert_false(s->update.offer.at_once);
    struct bft_header block = script_last(s, BFT_MESSAGE_PROPOSE)->propose.header;
    for (uint8_t kind = BFT_PREPARE; kind <= BFT_COMMIT; kind++) {
        for (uint8_t i = 1; i < 3; i++) (void)script_give_vote(s, &block, (enum bft_vote_kind)kind, i);
    }
    assert_true(script_is_final(s, &block));
    assert_false(s->update.offer.at_once);
    script_tick(s, 2000);
    (void)script_give(s, &message, 2); /* an old nonce does nothing */
    assert_false(s->update.offer.at_once);
    message.noop.nonce = 6;
    assert_int_equal(script_give(s, &message, 2), BFT_VERIFY_SIGNATURE);
    script_free(s);
}

static void a_noop_is_handed_to_the_leader_and_waits_like_an_input(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_message message = {.type = BFT_MESSAGE_NOOP};
    memcpy(message.noop.system_id, s->members.place.system_id, 16);
    message.noop.cluster = s->members.place.cluster;
    message.noop.nonce = 5;
    message.noop.signer = 2;
    struct signer signer = keyed_signer_of(&s->keys[2]);
    bft_message_sign(&signer, &message);
    (void)script_give(s, &message, 2);
    assert_int_equal(script_sent(s, BFT_MESSAGE_NOOP, NULL), 1);
    assert_int_equal(s->sent_to[0], 0);
    script_tick(s, 999);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_tick(s, 1);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    script_free(s);
}

/* ---- repair ---- */

static void a_member_that_is_behind_gets_the_newest_commit_qc(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    script_decide(s, &one, 7);
    script_forget(s);
    script_tick(s, 10);
    (void)script_give_status(s, 1, 0, &s->genesis, 0);
    const struct bft_message *qc = script_last(s, BFT_MESSAGE_QC);
    assert_non_null(qc);
    assert_int_equal(qc->qc.kind, BFT_COMMIT);
    assert_int_equal(qc->qc.ballot.height, one.height);
    script_free(s);
}

static void a_stuck_member_gets_the_votes_and_proposals_that_it_lacks(void **state) {
    (void)state;
    struct script *s = script_new(4, 0, 4);
    script_tick(s, 1);
    struct bft_proposal proposal = proposal_of(&s->update.offer, 1);
    propose(s, &proposal);
    struct bft_header block = script_last(s, BFT_MESSAGE_PROPOSE)->propose.header;
    script_forget(s);
    (void)script_give_status(s, 2, 0, &s->genesis, BFT_STATUS_REPAIR);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PROPOSE, &block), 1);
    assert_int_equal(s->sent_to[0], 2);
    assert_int_equal(bft_message_verify(&s->members, &s->verifier, script_last(s, BFT_MESSAGE_PROPOSE), NULL, 0), BFT_VERIFY_OK);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, &block), 1);
    (void)script_give_status(s, 2, 0, &s->genesis, BFT_STATUS_REPAIR); /* not at once again */
    assert_int_equal(script_sent(s, BFT_MESSAGE_PROPOSE, &block), 1);
    script_free(s);
}

static void a_member_behind_by_many_fetches_heights_and_takes_certified_blocks(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header blocks[20];
    for (int i = 0; i < 20; i++) blocks[i] = script_block(s, i == 0 ? &s->genesis : &blocks[i - 1], 0, (uint8_t)(i + 1));
    (void)script_give_status(s, 1, 0, &blocks[19], 0);
    assert_int_equal(s->actions[0].type, BFT_DO_FETCH);
    assert_int_equal(s->actions[0].fetch.kind, BFT_FETCH_HEIGHTS);
    assert_int_equal(s->actions[0].fetch.height_first, SCRIPT_START + 1);
    for (int i = 0; i < 20; i++) {
        struct bft_message message = {.type = BFT_MESSAGE_BLOCK, .block_id = bft_header_id(&blocks[i])};
        message.block.header = blocks[i];
        message.block.has_certificate = true;
        message.block.certificate.qc = script_qc(s, &blocks[i], BFT_COMMIT, 7);
        struct bft_message forged = message;
        forged.block.certificate.qc.signatures[1].bytes[0] ^= 1;
        assert_int_equal(script_give(s, &forged, 1), BFT_VERIFY_SIGNATURE);
        forged = message;
        forged.block.certificate.qc = script_qc(s, &blocks[(i + 1) % 20], BFT_COMMIT, 7);
        assert_int_equal(script_give(s, &forged, 1), BFT_VERIFY_CHAIN);
        assert_int_equal(script_give(s, &message, 1), BFT_VERIFY_OK);
        assert_true(script_is_final(s, &blocks[i]));
    }
    script_free(s);
}

static void a_block_that_nobody_asked_for_is_not_taken(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_message message = {.type = BFT_MESSAGE_BLOCK, .block_id = bft_header_id(&one)};
    message.block.header = one;
    assert_false(bft_core_wants(&s->core, &message, 1));
    (void)script_give(s, &message, 1);
    assert_null(bft_core_header(&s->core, &message.block_id));
    script_free(s);
}

static void a_lost_block_is_asked_of_one_member_after_the_other(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_qc commit = script_qc(s, &one, BFT_COMMIT, 7);
    (void)script_give_qc(s, &commit);
    script_tick(s, 260);
    script_tick(s, 260);
    uint32_t asked = 0;
    for (uint32_t i = 0; i < s->action_count; i++) {
        if (s->actions[i].type == BFT_DO_FETCH && s->actions[i].fetch.kind == BFT_FETCH_ID) asked |= 1u << s->actions[i].peer;
    }
    assert_int_equal(asked, 7);
    script_free(s);
}

/* The certificate of a block may reach to the next one, whose body then is all that lacks; the heights that are asked for next begin above it. */
static void a_final_block_without_its_body_is_asked_for_by_height(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1), two = script_block(s, &one, 0, 2);
    uint8_t headers[2 * BFT_HEADER_BYTES];
    struct bytes_writer writer = bytes_writer_of(headers, sizeof headers);
    bft_header_put(&writer, &one);
    bft_header_put(&writer, &two);
    struct bft_message message = {.type = BFT_MESSAGE_BLOCK, .block_id = bft_header_id(&one)};
    message.block.header = one;
    message.block.has_certificate = true;
    message.block.certificate = (struct bft_certificate){.qc = script_qc(s, &two, BFT_COMMIT, 7), .header_count = 2, .headers = headers};
    assert_int_equal(script_give(s, &message, 1), BFT_VERIFY_OK);
    assert_int_equal(s->core.final.height, two.height);
    script_forget(s);
    for (int i = 0; i < 4; i++) script_tick(s, 260);
    uint32_t asked = 0;
    for (uint32_t i = 0; i < s->action_count; i++) {
        const struct bft_action *action = &s->actions[i];
        if (action->type != BFT_DO_FETCH) continue;
        assert_int_equal(action->fetch.kind, BFT_FETCH_HEIGHTS);
        if (action->fetch.height_first == two.height) asked |= 1u << action->peer;
    }
    assert_int_equal(asked, 7);
    message = (struct bft_message){.type = BFT_MESSAGE_BLOCK, .block_id = bft_header_id(&two)};
    message.block.header = two;
    message.block.has_certificate = true;
    message.block.certificate.qc = script_qc(s, &two, BFT_COMMIT, 7);
    assert_int_equal(script_give(s, &message, 1), BFT_VERIFY_OK);
    assert_int_equal(s->core.applied.height, two.height);
    script_free(s);
}

static void a_leader_that_fills_the_table_is_bounded(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 16);
    for (uint32_t i = 0; i < 2000; i++) {
        struct bft_header block = script_block(s, &s->genesis, 0, 1);
        block.height = SCRIPT_START + 1 + i % 40;
        block.time = i;
        (void)script_give_propose(s, &block, NULL);
        script_forget(s);
    }
    uint32_t used = 0;
    for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) used += s->core.blocks[i].used;
    assert_true(used <= 40);
    script_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_leader_proposes_ahead_up_to_the_window),
        cmocka_unit_test(others_get_no_offer),
        cmocka_unit_test(a_stale_proposal_is_refused),
        cmocka_unit_test(a_new_leader_proposes_at_once_on_q_star_with_the_tc),
        cmocka_unit_test(a_new_leader_whose_q_star_is_final_may_rest),
        cmocka_unit_test(a_new_leader_fetches_q_star_when_it_lacks_it),
        cmocka_unit_test(a_noop_makes_an_idle_leader_propose_once),
        cmocka_unit_test(a_noop_is_handed_to_the_leader_and_waits_like_an_input),
        cmocka_unit_test(a_member_that_is_behind_gets_the_newest_commit_qc),
        cmocka_unit_test(a_stuck_member_gets_the_votes_and_proposals_that_it_lacks),
        cmocka_unit_test(a_member_behind_by_many_fetches_heights_and_takes_certified_blocks),
        cmocka_unit_test(a_block_that_nobody_asked_for_is_not_taken),
        cmocka_unit_test(a_lost_block_is_asked_of_one_member_after_the_other),
        cmocka_unit_test(a_final_block_without_its_body_is_asked_for_by_height),
        cmocka_unit_test(a_leader_that_fills_the_table_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
