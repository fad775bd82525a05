/* LAST-SIGNED (P-10 to P-16): what counts as an answer, what makes a member retire. */
#include "merkle/check.h"
#include "protocol/last_signed.h"
#include "tests/keyed/keyed_signer.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

enum { ASKER = 2, ANSWERER = 0, VIEW = 7, HEIGHT = 30 };

static struct bft_members members;
static struct keyed_signer keys[4];
static struct last_signed_query query;

static struct signer signer_of(unsigned index) {
    return keyed_signer_of(&keys[index]);
}

static int set_up(void **state) {
    (void)state;
    struct bft_place place = {.cluster = 0x00010000, .epoch = 3};
    memset(place.system_id, 0xA5, sizeof place.system_id);
    memset(place.config_hash.bytes, 0x5A, 32);
    struct bft_point start = {.height = 10};
    uint8_t public_keys[4][SIGNER_PUBLIC_KEY_BYTES];
    for (unsigned i = 0; i < 4; i++) {
        keyed_signer_init(&keys[i], i);
        memcpy(public_keys[i], keys[i].public_key, sizeof public_keys[i]);
    }
    CHECK(bft_members_init(&members, &place, &start, 4, public_keys));
    query = (struct last_signed_query){.cluster = place.cluster, .epoch = place.epoch, .asker = ASKER};
    memcpy(query.system_id, place.system_id, sizeof query.system_id);
    memset(query.nonce, 0x11, sizeof query.nonce);
    return 0;
}

static struct bft_vote vote_of(enum bft_vote_kind kind, uint64_t epoch, uint64_t view, uint64_t height, uint8_t id) {
    struct bft_vote vote = {.kind = (uint8_t)kind, .signer = ASKER};
    vote.ballot.place = members.place;
    vote.ballot.place.epoch = epoch;
    vote.ballot.view = view;
    vote.ballot.height = height;
    memset(vote.ballot.block_id.bytes, id, 32);
    memset(vote.ballot.outbox_root.bytes, 0x77, 32);
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&vote.ballot, kind, preimage);
    struct signer signer = signer_of(ASKER);
    signer.sign(signer.context, preimage, sizeof preimage, vote.signature.bytes);
    return vote;
}

static struct bft_timeout timeout_of(uint64_t epoch, uint64_t view, uint64_t high_view, uint8_t id) {
    struct bft_timeout timeout = {.place = members.place, .view = view, .signer = ASKER};
    timeout.place.epoch = epoch;
    timeout.high.view = high_view;
    timeout.high.block.height = 12;
    memset(timeout.high.block.id.bytes, id, 32);
    uint8_t preimage[BFT_TIMEOUT_PREIMAGE_BYTES];
    bft_timeout_preimage(&timeout.place, view, &timeout.high, preimage);
    struct signer signer = signer_of(ASKER);
    signer.sign(signer.context, preimage, sizeof preimage, timeout.signature.bytes);
    return timeout;
}

static struct last_signed_answer full_answer(void) {
    struct last_signed_answer answer;
    memset(&answer, 0, sizeof answer);
    answer.query = query;
    answer.signer = ANSWERER;
    answer.has_prepare = true;
    answer.has_commit = true;
    answer.has_timeout = true;
    answer.prepare = vote_of(BFT_PREPARE, 3, VIEW, HEIGHT, 1);
    answer.commit = vote_of(BFT_COMMIT, 3, VIEW, HEIGHT - 1, 2);
    answer.timeout = timeout_of(3, VIEW - 1, 5, 3);
    return answer;
}

static size_t encoded(struct last_signed_answer *answer, uint8_t out[LAST_SIGNED_ANSWER_BYTES_MAX]) {
    struct signer signer = signer_of(answer->signer);
    return last_signed_answer_sign(&signer, answer, out);
}

/* Decodes and verifies, as a node does. */
static enum last_signed_error received(const uint8_t *bytes, size_t count) {
    struct last_signed_answer answer;
    struct signer signer = keyed_signer_of(NULL);
    enum last_signed_error error = last_signed_answer_decode(bytes, count, &answer);
    return error != LAST_SIGNED_OK ? error : last_signed_answer_verify(&members, &signer, &query, &answer);
}

static void a_query_comes_back_as_it_was(void **state) {
    (void)state;
    uint8_t bytes[LAST_SIGNED_QUERY_BYTES];
    struct last_signed_query back;
    last_signed_query_encode(&query, bytes);
    assert_int_equal(last_signed_query_decode(bytes, sizeof bytes, &back), LAST_SIGNED_OK);
    assert_memory_equal(back.nonce, query.nonce, 16);
    assert_true(back.epoch == 3 && back.asker == ASKER && back.cluster == query.cluster);
    assert_int_equal(last_signed_query_decode(bytes, sizeof bytes - 1, &back), LAST_SIGNED_BAD_BYTES);
    bytes[28] = 16;
    assert_int_equal(last_signed_query_decode(bytes, sizeof bytes, &back), LAST_SIGNED_BAD_FIELD);
    bytes[28] = ASKER;
    bytes[31] = 1;
    assert_int_equal(last_signed_query_decode(bytes, sizeof bytes, &back), LAST_SIGNED_BAD_FIELD);
}

static void an_answer_with_any_set_of_items_comes_back_and_counts(void **state) {
    (void)state;
    for (unsigned set = 0; set < 8; set++) {
        struct last_signed_answer answer = full_answer();
        struct last_signed_answer back;
        uint8_t bytes[LAST_SIGNED_ANSWER_BYTES_MAX];
        uint8_t again[LAST_SIGNED_ANSWER_BYTES_MAX];
        answer.has_prepare = set & 1;
        answer.has_commit = set & 2;
        answer.has_timeout = set & 4;
        size_t count = encoded(&answer, bytes);
        assert_int_equal(count, 112 + (set & 1 ? 204 : 0) + (set & 2 ? 204 : 0) + (set & 4 ? 180 : 0));
        assert_int_equal(received(bytes, count), LAST_SIGNED_OK);
        assert_int_equal(last_signed_answer_decode(bytes, count, &back), LAST_SIGNED_OK);
        assert_int_equal(encoded(&back, again), count);
        assert_memory_equal(bytes, again, count);
        for (size_t cut = 0; cut < count; cut++) assert_int_not_equal(last_signed_answer_decode(bytes, cut, &back), LAST_SIGNED_OK);
    }
}

static void no_flipped_bit_counts(void **state) {
    (void)state;
    struct last_signed_answer answer = full_answer();
    uint8_t bytes[LAST_SIGNED_ANSWER_BYTES_MAX];
    size_t count = encoded(&answer, bytes);
    for (size_t bit = 0; bit < count * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(received(bytes, count), LAST_SIGNED_OK);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(received(bytes, count), LAST_SIGNED_OK);
}

static void an_answer_to_another_query_or_by_a_stranger_does_not_count(void **state) {
    (void)state;
    uint8_t bytes[LAST_SIGNED_ANSWER_BYTES_MAX];
    struct last_signed_answer answer = full_answer();
    answer.query.nonce[15] ^= 1; /* an old answer, replayed */
    assert_int_equal(received(bytes, encoded(&answer, bytes)), LAST_SIGNED_BAD_QUERY);
    answer = full_answer();
    answer.query.asker = 1;
    assert_int_equal(received(bytes, encoded(&answer, bytes)), LAST_SIGNED_BAD_QUERY);
    answer = full_answer();
    size_t count = encoded(&answer, bytes);
    bytes[29] = 1; /* signed by 0, says 1 */
    assert_int_equal(received(bytes, count), LAST_SIGNED_BAD_SIGNATURE);
    bytes[29] = 9;
    assert_int_equal(received(bytes, count), LAST_SIGNED_BAD_SIGNER);
    bytes[29] = ASKER;
    assert_int_equal(received(bytes, count), LAST_SIGNED_BAD_FIELD);
    bytes[29] = ANSWERER;
    bytes[30] |= 8;
    assert_int_equal(received(bytes, count), LAST_SIGNED_BAD_FIELD);
}

static void a_forged_item_does_not_make_anyone_retire(void **state) {
    (void)state;
    uint8_t bytes[LAST_SIGNED_ANSWER_BYTES_MAX];
    struct last_signed_answer answer = full_answer();
    answer.prepare.ballot.height += 100; /* the answerer signs the answer, the item's signature is the asker's of something else */
    assert_int_equal(received(bytes, encoded(&answer, bytes)), LAST_SIGNED_BAD_ITEM);
    answer = full_answer();
    answer.commit.signature = answer.prepare.signature;
    assert_int_equal(received(bytes, encoded(&answer, bytes)), LAST_SIGNED_BAD_ITEM);
    answer = full_answer();
    answer.timeout.view++;
    assert_int_equal(received(bytes, encoded(&answer, bytes)), LAST_SIGNED_BAD_ITEM);
    answer = full_answer();
    answer.prepare.ballot.place.cluster++;
    assert_int_equal(received(bytes, encoded(&answer, bytes)), LAST_SIGNED_BAD_ITEM);
}

/* Verdicts, P-14. */

static struct bft_memory memory_of(void) {
    struct bft_memory memory;
    memset(&memory, 0, sizeof memory);
    memory.place = members.place;
    memory.view = VIEW;
    memory.has_prepared = true;
    memory.has_committed = true;
    memory.prepared = vote_of(BFT_PREPARE, 3, VIEW, HEIGHT, 1).ballot;
    memory.committed = vote_of(BFT_COMMIT, 3, VIEW, HEIGHT - 1, 2).ballot;
    return memory;
}

static enum last_signed_verdict verdict_with(struct bft_vote prepare) {
    struct bft_memory memory = memory_of();
    struct last_signed_answer answer = full_answer();
    answer.prepare = prepare;
    return last_signed_judge(&memory, &answer);
}

static void what_the_store_has_is_known(void **state) {
    (void)state;
    struct bft_memory memory = memory_of();
    struct last_signed_answer answer = full_answer();
    assert_int_equal(last_signed_judge(&memory, &answer), LAST_SIGNED_KNOWN);
    assert_int_equal(verdict_with(vote_of(BFT_PREPARE, 3, VIEW, HEIGHT - 1, 9)), LAST_SIGNED_KNOWN);
    assert_int_equal(verdict_with(vote_of(BFT_PREPARE, 3, VIEW - 1, HEIGHT + 50, 9)), LAST_SIGNED_KNOWN);
    assert_int_equal(verdict_with(vote_of(BFT_PREPARE, 2, VIEW + 50, HEIGHT + 50, 9)), LAST_SIGNED_KNOWN);
}

static void a_newer_or_other_vote_retires(void **state) {
    (void)state;
    assert_int_equal(verdict_with(vote_of(BFT_PREPARE, 3, VIEW, HEIGHT + 1, 1)), LAST_SIGNED_NEWER);
    assert_int_equal(verdict_with(vote_of(BFT_PREPARE, 3, VIEW + 1, 1, 1)), LAST_SIGNED_NEWER);
    assert_int_equal(verdict_with(vote_of(BFT_PREPARE, 4, 0, 1, 1)), LAST_SIGNED_NEWER);
    assert_int_equal(verdict_with(vote_of(BFT_PREPARE, 3, VIEW, HEIGHT, 9)), LAST_SIGNED_OTHER);
    struct bft_memory memory = memory_of();
    struct last_signed_answer answer = full_answer();
    memory.has_committed = false; /* each of the three is asked for by itself */
    assert_int_equal(last_signed_judge(&memory, &answer), LAST_SIGNED_NEWER);
    memory = memory_of();
    memory.committed.height--;
    assert_int_equal(last_signed_judge(&memory, &answer), LAST_SIGNED_NEWER);
    memory = memory_of();
    memory.committed.outbox_root.bytes[0] ^= 1;
    assert_int_equal(last_signed_judge(&memory, &answer), LAST_SIGNED_OTHER);
}

static void a_newer_or_other_timeout_retires(void **state) {
    (void)state;
    struct bft_memory memory = memory_of();
    struct last_signed_answer answer = full_answer();
    answer.timeout = timeout_of(3, VIEW + 1, 5, 3);
    assert_int_equal(last_signed_judge(&memory, &answer), LAST_SIGNED_NEWER);
    answer.timeout = timeout_of(4, 0, 0, 3);
    assert_int_equal(last_signed_judge(&memory, &answer), LAST_SIGNED_NEWER);
    answer.timeout = timeout_of(3, VIEW, 5, 3); /* the view I stand in, which my store says I did not give up */
    assert_int_equal(last_signed_judge(&memory, &answer), LAST_SIGNED_NEWER);
    memory.timed_out = true;
    memory.timeout_high = answer.timeout.high;
    assert_int_equal(last_signed_judge(&memory, &answer), LAST_SIGNED_KNOWN);
    answer.timeout = timeout_of(3, VIEW, 4, 3);
    assert_int_equal(last_signed_judge(&memory, &answer), LAST_SIGNED_OTHER);
    answer.timeout = timeout_of(3, VIEW - 1, 6, 8);
    assert_int_equal(last_signed_judge(&memory, &answer), LAST_SIGNED_KNOWN);
}

static void a_node_without_memory_retires_on_any_item(void **state) {
    (void)state;
    struct last_signed_answer answer = full_answer();
    assert_int_equal(last_signed_judge(NULL, &answer), LAST_SIGNED_NEWER);
    answer.has_prepare = false;
    answer.has_commit = false;
    assert_int_equal(last_signed_judge(NULL, &answer), LAST_SIGNED_NEWER);
    answer.has_timeout = false;
    assert_int_equal(last_signed_judge(NULL, &answer), LAST_SIGNED_KNOWN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_comes_back_as_it_was),
        cmocka_unit_test(an_answer_with_any_set_of_items_comes_back_and_counts),
        cmocka_unit_test(no_flipped_bit_counts),
        cmocka_unit_test(an_answer_to_another_query_or_by_a_stranger_does_not_count),
        cmocka_unit_test(a_forged_item_does_not_make_anyone_retire),
        cmocka_unit_test(what_the_store_has_is_known),
        cmocka_unit_test(a_newer_or_other_vote_retires),
        cmocka_unit_test(a_newer_or_other_timeout_retires),
        cmocka_unit_test(a_node_without_memory_retires_on_any_item),
    };
    return cmocka_run_group_tests_name("last_signed", tests, set_up, NULL);
}
