/* CONFIG, suffix blocks, epochs, SEAL: B-40 to B-45. Member 3 of 4. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/bft/script.h"

/* A block that holds a CONFIG which replaces member `out` by key 8. */
static struct bft_header config_block(struct script *s, const struct bft_header *parent, uint8_t out, uint8_t me) {
    struct bft_header header = script_block(s, parent, 0, 7);
    s->config_id = bft_header_id(&header);
    struct bft_config_effect *config = &s->config;
    memset(config, 0, sizeof *config);
    config->kind = BFT_CONFIG_NEXT;
    config->me = me;
    memset(config->state_root_after.bytes, 0x33, 32);
    memset(config->config_hash.bytes, 0x44, 32);
    config->epoch = 1;
    config->n = 4;
    for (uint8_t i = 0; i < 4; i++) memcpy(config->keys[i], s->keys[i == out ? 8 : i].public_key, 32);
    config->limits = s->limits;
    return header;
}

static struct bft_header suffix_block(const struct script *s, const struct bft_header *parent, uint64_t view) {
    struct bft_header header = script_block(s, parent, view, 0);
    memset(header.state_root.bytes, 0x33, 32);
    return header;
}

static void an_ordinary_block_after_config_is_not_prepared(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header config = config_block(s, &s->genesis, 2, 3);
    struct bft_header ordinary = script_block(s, &config, 0, 9);
    struct bft_header empty = script_block(s, &config, 0, 0); /* empty, but not with the root after CONFIG */
    (void)script_give_propose(s, &config, NULL);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, &config), 1);
    (void)script_give_propose(s, &ordinary, NULL);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, &ordinary), 0);
    assert_int_equal(script_noted(s, BFT_NOTE_BAD_PROPOSAL), 1);
    script_free(s);
    s = script_new(4, 3, 4);
    config = config_block(s, &s->genesis, 2, 3);
    (void)script_give_propose(s, &config, NULL);
    (void)script_give_propose(s, &empty, NULL);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, &empty), 0);
    script_free(s);
}

static void each_field_of_a_suffix_block_is_fixed(void **state) {
    (void)state;
    for (int field = 0; field <= 5; field++) {
        struct script *s = script_new(4, 3, 4);
        struct bft_header config = config_block(s, &s->genesis, 2, 3);
        struct bft_header suffix = suffix_block(s, &config, 0);
        if (field == 1) suffix.outbox_root.bytes[0] ^= 1;
        if (field == 2) suffix.cursors_hash.bytes[0] ^= 1;
        if (field == 3) suffix.time++;
        if (field == 4) suffix.body_hash.bytes[0] ^= 1;
        if (field == 5) suffix.state_root.bytes[0] ^= 1;
        (void)script_give_propose(s, &config, NULL);
        uint32_t executed = s->executed_count;
        (void)script_give_propose(s, &suffix, NULL);
        assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, &suffix), field == 0);
        assert_int_equal(s->executed_count, executed); /* never executed */
        script_free(s);
    }
}

static void a_final_config_begins_the_next_epoch_with_its_own_constant_as_high(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header config = config_block(s, &s->genesis, 2, 3);
    script_decide(s, &config, 7);
    assert_true(script_is_final(s, &config));
    assert_int_equal(s->core.members.place.epoch, 1);
    assert_int_equal(s->core.members.start.height, config.height);
    assert_memory_equal(s->core.members.keys[2], s->keys[8].public_key, 32);
    assert_int_equal(s->core.memory.view, 0);
    assert_false(s->core.memory.has_high); /* whatever QC I held: the high is (epoch 1, view 0, CONFIG) */
    assert_false(s->core.voting);          /* LAST-SIGNED first */
    assert_int_equal(s->actions[0].type, BFT_DO_EPOCH);
    script_forget(s);
    struct bft_event event = {.type = BFT_EVENT_VOTING, .epoch = 1};
    script_step(s, &event);
    struct bft_event wait = {.type = BFT_EVENT_WAITING};
    wait.waiting = (struct bft_waiting){.view = 0, .count = 1, .oldest_relayed_ms = s->now_ms, .arrived_ms = s->now_ms};
    script_step(s, &wait);
    script_tick(s, 1000);
    const struct bft_message *timeout = script_last(s, BFT_MESSAGE_TIMEOUT);
    assert_non_null(timeout);
    assert_int_equal(timeout->timeout.place.epoch, 1);
    assert_int_equal(timeout->timeout.qc.count, 0);
    assert_int_equal(timeout->timeout.high.block.height, config.height);
    assert_int_equal(timeout->timeout.high.view, 0);
    assert_int_equal(bft_timeout_verify(&s->core.members, &s->verifier, &timeout->timeout), BFT_VERIFY_OK);
    script_free(s);
}

/* B-55: what waited in the epoch before is nothing to the first period of this one. */
static void a_new_epoch_begins_a_period_of_its_own(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header config = config_block(s, &s->genesis, 2, 3);
    struct bft_event wait = {.type = BFT_EVENT_WAITING};
    wait.waiting = (struct bft_waiting){.view = 0, .count = 1, .oldest_relayed_ms = s->now_ms, .arrived_ms = s->now_ms};
    script_step(s, &wait);
    script_tick(s, 900);
    script_decide(s, &config, 7);
    assert_int_equal(s->core.members.place.epoch, 1);
    struct bft_event event = {.type = BFT_EVENT_VOTING, .epoch = 1};
    script_step(s, &event);
    script_tick(s, 3999);
    assert_false(s->core.calm);
    script_tick(s, 1);
    assert_true(s->core.calm);
    script_free(s);
}

/* Its place may have another key now: what was signed for the epoch before says nothing of this one. */
static void who_lied_in_the_epoch_before_leads_in_this_one(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header config = config_block(s, &s->genesis, 2, 3);
    struct bft_header far = script_block(s, &config, 0, 1), other = script_block(s, &config, 0, 2);
    (void)script_give_propose(s, &config, NULL);
    (void)script_give_vote(s, &far, BFT_COMMIT, 0);
    (void)script_give_vote(s, &other, BFT_COMMIT, 0);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 1);
    struct bft_qc qc = script_qc(s, &config, BFT_COMMIT, 7);
    (void)script_give_qc(s, &qc);
    assert_int_equal(s->core.members.place.epoch, 1);
    script_forget(s);
    struct bft_event event = {.type = BFT_EVENT_VOTING, .epoch = 1};
    script_step(s, &event);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

static void a_timeout_with_another_beginning_of_the_epoch_is_refused(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_timeout timeout = script_timeout(s, 0, NULL, 1);
    timeout.high.block.height++;
    struct bft_message message = {.type = BFT_MESSAGE_TIMEOUT, .timeout = timeout};
    struct signer signer = keyed_signer_of(&s->keys[1]);
    bft_message_sign(&signer, &message);
    assert_int_equal(script_give(s, &message, 1), BFT_VERIFY_HIGH);
    struct bft_tc tc = script_tc(s, 0, 7, NULL, NULL);
    tc.highs[1].block.id.bytes[7] ^= 1;
    assert_int_not_equal(script_give_tc(s, &tc), BFT_VERIFY_OK);
    script_free(s);
}

/* CONFIG's certificate may be a QC of a suffix block: it must be there when CONFIG is final, or nobody can be led into the new epoch. */
static void config_made_final_by_a_suffix_block_has_a_certificate(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header config = config_block(s, &s->genesis, 2, 3);
    (void)script_give_propose(s, &config, NULL);
    struct bft_qc qc = script_qc(s, &config, BFT_PREPARE, 7);
    struct bft_tc tc = script_tc(s, 0, 7, &qc, NULL);
    struct bft_header suffix = suffix_block(s, &config, 1);
    assert_int_equal(script_give_propose(s, &suffix, &tc), BFT_VERIFY_OK);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, &suffix), 1);
    struct bft_qc commit = script_qc(s, &suffix, BFT_COMMIT, 7);
    (void)script_give_qc(s, &commit);
    assert_int_equal(s->core.members.place.epoch, 1);
    assert_true(script_is_final(s, &config));
    assert_false(script_is_final(s, &suffix));
    assert_true(s->certificate_bytes > 0);
    struct bytes_cursor cursor = bytes_cursor_of(s->certificate, s->certificate_bytes);
    struct bft_certificate certificate;
    struct bft_hash id = bft_header_id(&config);
    struct bft_members old = s->members;
    old.height_last = config.height;
    assert_true(bft_certificate_get(&cursor, &certificate, NULL));
    assert_int_equal(bft_certificate_verify(&old, &s->verifier, &certificate, &id, NULL), BFT_VERIFY_OK);
    /* The suffix block itself is proved by nobody: it lies above CONFIG's height. */
    struct bft_certificate direct = {.qc = commit};
    assert_int_equal(bft_certificate_verify(&old, &s->verifier, &direct, NULL, NULL), BFT_VERIFY_HEIGHT);
    script_free(s);
}

static void a_new_leader_makes_the_suffix_block_itself(void **state) {
    (void)state;
    struct script *s = script_new(4, 1, 4);
    struct bft_header config = config_block(s, &s->genesis, 2, 1);
    (void)script_give_propose(s, &config, NULL);
    struct bft_qc qc = script_qc(s, &config, BFT_PREPARE, 13);
    struct bft_tc tc = script_tc(s, 0, 13, &qc, NULL);
    (void)script_give_tc(s, &tc);
    const struct bft_message *message = script_last(s, BFT_MESSAGE_PROPOSE);
    assert_non_null(message);
    struct bft_header expected = suffix_block(s, &config, 1);
    struct bft_hash id = bft_header_id(&expected);
    assert_memory_equal(message->block_id.bytes, id.bytes, 32);
    assert_true(message->propose.has_tc);
    assert_false(s->update.offer.may_propose);
    script_free(s);
}

static void nothing_of_the_old_epoch_is_signed_any_more(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header config = config_block(s, &s->genesis, 2, 3);
    script_decide(s, &config, 7);
    struct bft_event event = {.type = BFT_EVENT_VOTING, .epoch = 1};
    script_step(s, &event);
    script_forget(s);
    struct bft_header suffix = suffix_block(s, &config, 0);
    (void)script_give_propose(s, &suffix, NULL);
    struct bft_timeout a = script_timeout(s, 0, NULL, 1);
    struct bft_timeout b = script_timeout(s, 0, NULL, 2);
    (void)script_give_timeout(s, &a);
    (void)script_give_timeout(s, &b);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, NULL) + script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    /* who speaks from the old epoch gets CONFIG's certificate */
    assert_int_equal(s->actions[0].type, BFT_DO_SERVE_EPOCH);
    assert_int_equal(s->actions[0].epoch, 0);
    script_free(s);
}

static void a_later_epoch_makes_me_fetch(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_message message = {.type = BFT_MESSAGE_TC};
    message.tc = script_tc(s, 0, 7, NULL, NULL);
    message.tc.place.epoch = 1;
    assert_int_equal(script_give(s, &message, 1), BFT_VERIFY_OK); /* nothing in it is believed */
    assert_int_equal(bft_core_view(&s->core), 0);
    assert_int_equal(s->actions[0].type, BFT_DO_FETCH);
    assert_int_equal(s->actions[0].fetch.height_first, SCRIPT_START + 1);
    script_free(s);
}

static void a_removed_member_signs_nothing_and_may_go_when_the_new_epoch_decides(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header config = config_block(s, &s->genesis, 3, BFT_NOBODY);
    script_decide(s, &config, 7);
    assert_int_equal(script_noted(s, BFT_NOTE_REMOVED), 1);
    assert_int_equal(s->core.me, BFT_NOBODY);
    script_forget(s);
    struct bft_header next = config;
    next.height++;
    (void)script_give_status(s, 0, 0, &next, 0);
    assert_int_equal(script_noted(s, BFT_NOTE_REMOVED_MAY_GO), 0);
    (void)script_give_status(s, 1, 0, &next, 0);
    assert_int_equal(script_noted(s, BFT_NOTE_REMOVED_MAY_GO), 1);
    script_tick(s, 60000);
    assert_int_equal(script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

static void after_a_seal_nothing_more_is_decided(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header seal = config_block(s, &s->genesis, 2, 3);
    s->config.kind = BFT_CONFIG_SEAL;
    script_decide(s, &seal, 7);
    assert_true(script_is_final(s, &seal));
    assert_true(s->core.sealed);
    assert_int_equal(s->core.members.place.epoch, 0);
    script_forget(s);
    struct bft_header next = suffix_block(s, &seal, 0);
    (void)script_give_propose(s, &next, NULL);
    script_tick(s, 60000);
    assert_int_equal(script_sent(s, BFT_MESSAGE_PREPARE, NULL) + script_sent(s, BFT_MESSAGE_TIMEOUT, NULL), 0);
    script_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_block_after_config_is_not_prepared),
        cmocka_unit_test(each_field_of_a_suffix_block_is_fixed),
        cmocka_unit_test(a_final_config_begins_the_next_epoch_with_its_own_constant_as_high),
        cmocka_unit_test(a_new_epoch_begins_a_period_of_its_own),
        cmocka_unit_test(who_lied_in_the_epoch_before_leads_in_this_one),
        cmocka_unit_test(a_timeout_with_another_beginning_of_the_epoch_is_refused),
        cmocka_unit_test(config_made_final_by_a_suffix_block_has_a_certificate),
        cmocka_unit_test(a_new_leader_makes_the_suffix_block_itself),
        cmocka_unit_test(nothing_of_the_old_epoch_is_signed_any_more),
        cmocka_unit_test(a_later_epoch_makes_me_fetch),
        cmocka_unit_test(a_removed_member_signs_nothing_and_may_go_when_the_new_epoch_decides),
        cmocka_unit_test(after_a_seal_nothing_more_is_decided),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
