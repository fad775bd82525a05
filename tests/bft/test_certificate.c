/* Who signed what, B-5 to B-16, for n = 4 to 7 and 16: each cause of refusal by its name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/bft/script.h"

static const uint32_t sizes[] = {4, 5, 6, 7, 16};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static uint32_t low_mask(uint32_t count) {
    return (1u << count) - 1;
}

static void a_qc_of_q_members_proves_and_each_change_is_named(void **state) {
    (void)state;
    for (uint32_t k = 0; k < SIZES; k++) {
        uint32_t n = sizes[k], q = n - (n - 1) / 3;
        struct script *s = script_new(n, BFT_NOBODY, 4);
        struct bft_header one = script_block(s, &s->genesis, 2, 1);
        const struct bft_members *m = &s->members;
        const struct signer *v = &s->verifier;
        struct bft_qc good = script_qc(s, &one, BFT_COMMIT, low_mask(q) << (n - q));
        assert_int_equal(bft_qc_verify(m, v, &good, BFT_COMMIT), BFT_VERIFY_OK);
        assert_int_equal(bft_qc_verify(m, v, &good, BFT_PREPARE), BFT_VERIFY_KIND);
        struct bft_qc bad = script_qc(s, &one, BFT_COMMIT, low_mask(q - 1));
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_QUORUM);
        bad = script_qc(s, &one, BFT_COMMIT, low_mask(q + 1));
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_QUORUM);
        bad = good;
        bad.signers[1] = bad.signers[0];
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_SIGNER);
        bad = good;
        if (n < 16) {
            bad.signers[q - 1] = (uint8_t)n;
            assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_SIGNER);
        }
        bad = good;
        bad.ballot.place.system_id[0] ^= 1;
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_SYSTEM);
        bad = good;
        bad.ballot.place.cluster ^= 1;
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_CLUSTER);
        bad = good;
        bad.ballot.place.epoch++;
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_EPOCH);
        bad = good;
        bad.ballot.place.config_hash.bytes[31] ^= 1;
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_CONFIG);
        bad = good;
        bad.ballot.height = SCRIPT_START;
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_HEIGHT);
        bad = good;
        bad.kind = BFT_PREPARE; /* the tag keeps the two kinds apart */
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_PREPARE), BFT_VERIFY_SIGNATURE);
        bad = good;
        bad.ballot.view++;
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_SIGNATURE);
        bad = good;
        bad.ballot.outbox_root.bytes[0] ^= 1;
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_SIGNATURE);
        bad = good;
        bad.signatures[q - 1].bytes[63] ^= 0x80;
        assert_int_equal(bft_qc_verify(m, v, &bad, BFT_COMMIT), BFT_VERIFY_SIGNATURE);
        script_free(s);
    }
}

static void a_tc_has_the_highest_of_its_highs_as_q_star(void **state) {
    (void)state;
    for (uint32_t k = 0; k < SIZES; k++) {
        uint32_t n = sizes[k], q = n - (n - 1) / 3;
        struct script *s = script_new(n, BFT_NOBODY, 4);
        const struct bft_members *m = &s->members;
        const struct signer *v = &s->verifier;
        struct bft_header one = script_block(s, &s->genesis, 2, 1);
        struct bft_header two = script_block(s, &one, 2, 2);
        struct bft_qc low = script_qc(s, &one, BFT_PREPARE, low_mask(q));
        struct bft_qc high = script_qc(s, &two, BFT_PREPARE, low_mask(q));
        struct bft_tc none = script_tc(s, 5, low_mask(q), NULL, NULL);
        struct bft_tc good = script_tc(s, 5, low_mask(q), &high, &low);
        assert_int_equal(bft_tc_verify(m, v, &none), BFT_VERIFY_OK);
        assert_int_equal(bft_tc_verify(m, v, &good), BFT_VERIFY_OK);
        struct bft_tc bad = good;
        bad.qc = low;
        assert_int_equal(bft_tc_verify(m, v, &bad), BFT_VERIFY_HIGHEST);
        bad = good;
        bad.qc.count = 0;
        assert_int_equal(bft_tc_verify(m, v, &bad), BFT_VERIFY_HIGHEST);
        bad = none;
        bad.qc = high; /* above all that was stated */
        assert_int_equal(bft_tc_verify(m, v, &bad), BFT_VERIFY_HIGHEST);
        struct bft_header twin = script_block(s, &one, 2, 3); /* same rank, another id */
        struct bft_qc twin_qc = script_qc(s, &twin, BFT_PREPARE, low_mask(q));
        bad = good;
        bad.qc = twin_qc;
        assert_int_equal(bft_tc_verify(m, v, &bad), BFT_VERIFY_HIGHEST);
        struct bft_header later = script_block(s, &s->genesis, 6, 3);
        struct bft_qc later_qc = script_qc(s, &later, BFT_PREPARE, low_mask(q));
        bad = script_tc(s, 5, low_mask(q), &later_qc, &low);
        assert_int_equal(bft_tc_verify(m, v, &bad), BFT_VERIFY_HIGH);
        bad = script_tc(s, 5, low_mask(q - 1), &high, &low);
        assert_int_equal(bft_tc_verify(m, v, &bad), BFT_VERIFY_QUORUM);
        bad = good;
        bad.view++;
        assert_int_equal(bft_tc_verify(m, v, &bad), BFT_VERIFY_SIGNATURE);
        bad = good;
        bad.highs[q - 1].view = 1; /* a high that was not stated */
        assert_int_equal(bft_tc_verify(m, v, &bad), BFT_VERIFY_SIGNATURE);
        bad = good;
        bad.qc = script_qc(s, &two, BFT_COMMIT, low_mask(q));
        assert_int_equal(bft_tc_verify(m, v, &bad), BFT_VERIFY_KIND);
        bad = good;
        bad.signers[q - 1] = bad.signers[q - 2];
        assert_int_equal(bft_tc_verify(m, v, &bad), BFT_VERIFY_SIGNER);
        script_free(s);
    }
}

static void a_certificate_proves_its_block_by_the_headers_between(void **state) {
    (void)state;
    struct script *s = script_new(4, BFT_NOBODY, 4);
    struct bft_members m = s->members;
    const struct signer *v = &s->verifier;
    struct bft_header blocks[3];
    blocks[0] = script_block(s, &s->genesis, 0, 1);
    blocks[1] = script_block(s, &blocks[0], 0, 2);
    blocks[2] = script_block(s, &blocks[1], 3, 0);
    uint8_t chain[3 * BFT_HEADER_BYTES];
    struct bytes_writer writer = bytes_writer_of(chain, sizeof chain);
    for (int i = 0; i < 3; i++) bft_header_put(&writer, &blocks[i]);
    struct bft_certificate good = {.qc = script_qc(s, &blocks[2], BFT_COMMIT, 7), .header_count = 3, .headers = chain};
    struct bft_hash id = bft_header_id(&blocks[0]), other = bft_header_id(&blocks[1]);
    struct bft_ballot proved;
    assert_int_equal(bft_certificate_verify(&m, v, &good, &id, &proved), BFT_VERIFY_OK);
    assert_int_equal(proved.height, SCRIPT_START + 1);
    assert_true(bft_hash_equal(&proved.outbox_root, &blocks[0].outbox_root));
    assert_int_equal(bft_certificate_verify(&m, v, &good, NULL, &proved), BFT_VERIFY_OK);
    assert_int_equal(bft_certificate_verify(&m, v, &good, &other, NULL), BFT_VERIFY_CHAIN);
    for (size_t byte = 0; byte < sizeof chain; byte++) {
        chain[byte] ^= 1;
        assert_int_not_equal(bft_certificate_verify(&m, v, &good, &id, NULL), BFT_VERIFY_OK);
        chain[byte] ^= 1;
    }
    struct bft_certificate shorter = good;
    shorter.header_count = 2; /* ends before the QC's block */
    assert_int_equal(bft_certificate_verify(&m, v, &shorter, &id, NULL), BFT_VERIFY_CHAIN);
    struct bft_certificate prepare = good;
    prepare.qc = script_qc(s, &blocks[2], BFT_PREPARE, 7);
    assert_int_equal(bft_certificate_verify(&m, v, &prepare, &id, NULL), BFT_VERIFY_KIND);
    m.height_last = SCRIPT_START + 1; /* the epoch ended with the first: only it is proved, whatever height the QC has */
    assert_int_equal(bft_certificate_verify(&m, v, &good, &id, NULL), BFT_VERIFY_OK);
    struct bft_certificate second = good;
    second.headers = chain + BFT_HEADER_BYTES;
    second.header_count = 2;
    assert_int_equal(bft_certificate_verify(&m, v, &second, &other, NULL), BFT_VERIFY_HEIGHT);
    script_free(s);
}

static void a_proposal_is_its_leaders_and_its_tc_is_of_the_view_before(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 2, 0);
    struct bft_tc tc = script_tc(s, 1, 7, NULL, NULL);
    struct bft_tc old = script_tc(s, 0, 7, NULL, NULL);
    assert_int_equal(script_give_propose(s, &one, &old), BFT_VERIFY_TC);
    struct bft_header above = script_block(s, &one, 2, 0);
    assert_int_equal(script_give_propose(s, &above, &tc), BFT_VERIFY_TC);
    struct bft_message message = {.type = BFT_MESSAGE_PROPOSE, .block_id = bft_header_id(&one)};
    message.propose.header = one;
    bft_header_ballot(&one, &message.block_id, &message.propose.vote.ballot);
    message.propose.vote.signer = 1;
    struct signer signer = keyed_signer_of(&s->keys[1]);
    bft_message_sign(&signer, &message);
    assert_int_equal(script_give(s, &message, 1), BFT_VERIFY_SIGNER);
    message.propose.vote.signer = 2;
    assert_int_equal(script_give(s, &message, 2), BFT_VERIFY_SIGNATURE);
    assert_int_equal(script_give_propose(s, &one, &tc), BFT_VERIFY_OK);
    script_free(s);
}

static void a_qc_that_is_known_is_not_verified_twice_and_a_changed_one_is(void **state) {
    (void)state;
    struct script *s = script_new(4, 3, 4);
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_qc qc = script_qc(s, &one, BFT_PREPARE, 7);
    const struct bft_qc *known[1] = {&qc};
    struct bft_message message = {.type = BFT_MESSAGE_QC, .qc = qc};
    struct signer never = s->verifier;
    assert_int_equal(bft_message_verify(&s->members, &never, &message, known, 1), BFT_VERIFY_OK);
    message.qc.signatures[2].bytes[0] ^= 1;
    assert_int_equal(bft_message_verify(&s->members, &never, &message, known, 1), BFT_VERIFY_SIGNATURE);
    message.qc = qc;
    message.qc.ballot.view++;
    assert_int_equal(bft_message_verify(&s->members, &never, &message, known, 1), BFT_VERIFY_SIGNATURE);
    script_free(s);
}

static void real_signatures_work_through_the_same_interface(void **state) {
    (void)state;
    assert_true(ed25519_start(NULL));
    struct script *s = script_new(4, BFT_NOBODY, 4);
    struct ed25519_secret secrets[4];
    for (uint8_t i = 0; i < 4; i++) {
        uint8_t seed[32];
        memset(seed, i + 1, sizeof seed);
        (void)!ed25519_secret_init(&secrets[i], seed);
        memcpy(s->members.keys[i], secrets[i].expanded + 32, 32);
    }
    struct bft_header one = script_block(s, &s->genesis, 0, 1);
    struct bft_qc qc = script_qc(s, &one, BFT_COMMIT, 11);
    struct signer verifier = signer_ed25519(NULL);
    assert_int_equal(bft_qc_verify(&s->members, &verifier, &qc, BFT_COMMIT), BFT_VERIFY_SIGNATURE);
    for (uint8_t i = 0; i < 3; i++) {
        struct bft_message message = {.type = BFT_MESSAGE_COMMIT};
        message.vote.ballot = qc.ballot;
        message.vote.kind = BFT_COMMIT;
        struct signer signer = signer_ed25519(&secrets[qc.signers[i]]);
        bft_message_sign(&signer, &message);
        qc.signatures[i] = message.vote.signature;
    }
    assert_int_equal(bft_qc_verify(&s->members, &verifier, &qc, BFT_COMMIT), BFT_VERIFY_OK);
    script_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_qc_of_q_members_proves_and_each_change_is_named),
        cmocka_unit_test(a_tc_has_the_highest_of_its_highs_as_q_star),
        cmocka_unit_test(a_certificate_proves_its_block_by_the_headers_between),
        cmocka_unit_test(a_proposal_is_its_leaders_and_its_tc_is_of_the_view_before),
        cmocka_unit_test(a_qc_that_is_known_is_not_verified_twice_and_a_changed_one_is),
        cmocka_unit_test(real_signatures_work_through_the_same_interface),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
