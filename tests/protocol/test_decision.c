/* Compact decisions (spec/decisions.md D-12) with real keys: what verifies is what was decided, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/protocol/decided.h"

enum { COORDINATOR = 0x00010000, SHARD = 0x00020000, FLIPS = 160 };

static const uint32_t sizes[] = {4, 5, 6, 7, 16};
static struct decider decider, stranger;
static struct signer verifier;

static int set_up(void **state) {
    (void)state;
    if (!ed25519_start(NULL)) return -1;
    verifier = signer_ed25519(NULL);
    return 0;
}

static uint8_t *client_decision(const struct decided_how *how, size_t *count) {
    size_t slice_bytes;
    uint8_t *slice = decided_two_items(&slice_bytes);
    struct leaf leaf = {.kind = LEAF_KIND_CLIENT, .client_id = {1, 2, 3}};
    uint8_t *bytes = decided_make(&decider, how, &leaf, 4, 6, slice, slice_bytes, count);
    free(slice);
    return bytes;
}

static uint8_t *cluster_decision(const struct decided_how *how, size_t *count) {
    uint8_t slice[SLICE_HEAD_BYTES + 20] = {1};
    memset(slice + SLICE_HEAD_BYTES, 0x77, 20);
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .destination = SHARD, .dseq = 8, .previous = {9}};
    return decided_make(&decider, how, &leaf, 0, 3, slice, sizeof slice, count);
}

static enum decision_error judge(const uint8_t *bytes, size_t count, const struct bft_members *members, enum bft_verify_error *cause) {
    struct decision decision;
    enum decision_error error = decision_decode(bytes, count, &decision);
    if (cause) *cause = BFT_VERIFY_OK;
    return error == DECISION_OK ? decision_verify(&decision, members, &verifier, cause) : error;
}

static void decisions_of_clusters_of_any_size_verify(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        decider_init(&decider, 1, COORDINATOR, sizes[i]);
        for (uint32_t headers = 0; headers <= 4; headers += 2) {
            size_t count;
            struct decided_how how = {.headers = headers, .first_signer = decider.members.f};
            uint8_t *bytes = client_decision(&how, &count);
            assert_int_equal(judge(bytes, count, &decider.members, NULL), DECISION_OK);
            struct decision decision;
            assert_int_equal(decision_decode(bytes, count, &decision), DECISION_OK);
            assert_int_equal(decision.leaf_index, 4);
            assert_int_equal(decision.leaf_count, 6);
            assert_int_equal(decision.leaf.item_count, 2);
            assert_int_equal(decision.head_bytes + decision.leaf.slice_bytes, count);
            free(bytes);
            bytes = cluster_decision(&how, &count);
            assert_int_equal(judge(bytes, count, &decider.members, NULL), DECISION_OK);
            free(bytes);
        }
    }
}

/* Flips spread over the whole, every bit of the numbers and of the leaf among them. */
static void flips_refused(uint8_t *bytes, size_t count, size_t certificate_bytes) {
    size_t step = 8 * count / FLIPS | 1;
    for (size_t bit = 0; bit < 8 * count; bit += step) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (judge(bytes, count, &decider.members, NULL) == DECISION_OK) fail_msg("bit %zu of %zu may be flipped", bit, 8 * count);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 8 * (4 + certificate_bytes); bit < 8 * count; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct decision decision;
        /* Without the signatures, which are not touched here: all that lies behind the certificate is held by hashes. */
        if (decision_decode(bytes, count, &decision) == DECISION_OK && bit % 7 == 0 && judge(bytes, count, &decider.members, NULL) == DECISION_OK)
            fail_msg("bit %zu behind the certificate may be flipped", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(judge(bytes, count, &decider.members, NULL), DECISION_OK);
}

static void every_sampled_flip_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        decider_init(&decider, 2 + i, COORDINATOR, sizes[i]);
        for (uint32_t headers = 0; headers <= 2; headers += 2) {
            size_t count;
            struct decided_how how = {.headers = headers};
            uint8_t *bytes = client_decision(&how, &count);
            flips_refused(bytes, count, bytes_get_le32(bytes));
            free(bytes);
        }
        size_t count;
        struct decided_how plain = {0};
        uint8_t *bytes = cluster_decision(&plain, &count);
        flips_refused(bytes, count, bytes_get_le32(bytes));
        free(bytes);
    }
}

/* Each bit of the head of the QC (kind, count, zero, ballot) and of the signers' indexes, and samples of the signatures. */
static void every_sampled_flip_of_a_qc_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        decider_init(&decider, 20 + i, COORDINATOR, sizes[i]);
        uint8_t root[32] = {5}, headers[BFT_HEADER_BYTES * 2], bytes[BFT_QC_BYTES_MAX];
        struct bft_certificate certificate;
        decided_certificate(&decider, &(struct decided_how){0}, root, &certificate, headers);
        struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
        bft_qc_put(&writer, &certificate.qc);
        assert_false(writer.failed);
        size_t head = 4 + BFT_BALLOT_BYTES;
        for (size_t bit = 0; bit < 8 * writer.used; bit++) {
            bool index_byte = bit / 8 >= head && (bit / 8 - head) % 65 == 0;
            if (bit / 8 >= head && !index_byte && bit % 61 != 0) continue;
            if (bit / 8 < head && bit % 5 != 0) continue;
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            struct bytes_cursor cursor = bytes_cursor_of(bytes, writer.used);
            struct bft_qc qc;
            if (bft_qc_get(&cursor, &qc, NULL) && bytes_finished(&cursor) &&
                bft_qc_verify(&decider.members, &verifier, &qc, BFT_COMMIT) == BFT_VERIFY_OK)
                fail_msg("n %u: bit %zu of the QC may be flipped", sizes[i], bit);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

static void every_truncation_is_refused(void **state) {
    (void)state;
    decider_init(&decider, 3, COORDINATOR, 4);
    size_t count;
    struct decided_how how = {.headers = 2};
    uint8_t *bytes = client_decision(&how, &count);
    struct decision decision;
    for (size_t cut = 0; cut < count; cut++) assert_int_not_equal(decision_decode(bytes, cut, &decision), DECISION_OK);
    bytes = realloc(bytes, count + 1);
    assert_non_null(bytes);
    bytes[count] = 0;
    assert_int_equal(decision_decode(bytes, count + 1, &decision), DECISION_TRUNCATED);
    free(bytes);
}

static void forged(const char *what, const struct decided_how *how, enum bft_verify_error expected) {
    size_t count;
    uint8_t *bytes = client_decision(how, &count);
    enum bft_verify_error cause;
    enum decision_error error = judge(bytes, count, &decider.members, &cause);
    if (error != DECISION_UNPROVED || cause != expected) fail_msg("%s: %s, %s", what, decision_error_name(error), bft_verify_error_name(cause));
    free(bytes);
}

static void forged_certificates_prove_nothing(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        decider_init(&decider, 4, COORDINATOR, sizes[i]);
        decider_init(&stranger, 5, COORDINATOR, sizes[i]);
        uint32_t q = decider.members.q;
        forged("q - 1 signatures", &(struct decided_how){.signers = q - 1}, BFT_VERIFY_QUORUM);
        forged("a prepare QC", &(struct decided_how){.prepare = true}, BFT_VERIFY_KIND);
        forged("strangers' signatures", &(struct decided_how){.forger = &stranger}, BFT_VERIFY_SIGNATURE);
        if (q < BFT_QUORUM_MAX) forged("more than q", &(struct decided_how){.signers = q + 1}, BFT_VERIFY_QUORUM);
    }
}

static void decisions_of_others_prove_nothing(void **state) {
    (void)state;
    size_t count;
    enum bft_verify_error cause;
    decider_init(&decider, 6, COORDINATOR, 4);
    uint8_t *bytes = client_decision(&(struct decided_how){0}, &count);
    struct bft_members other = decider.members;
    other.place.system_id[15] ^= 1;
    assert_int_equal(judge(bytes, count, &other, &cause), DECISION_UNPROVED);
    assert_int_equal(cause, BFT_VERIFY_SYSTEM);
    other = decider.members;
    other.place.cluster++;
    assert_int_equal(judge(bytes, count, &other, &cause), DECISION_UNPROVED);
    assert_int_equal(cause, BFT_VERIFY_CLUSTER);
    other = decider.members;
    other.place.epoch++;
    assert_int_equal(judge(bytes, count, &other, &cause), DECISION_UNPROVED);
    assert_int_equal(cause, BFT_VERIFY_EPOCH);
    other = decider.members;
    other.place.config_hash.bytes[0] ^= 1;
    assert_int_equal(judge(bytes, count, &other, &cause), DECISION_UNPROVED);
    assert_int_equal(cause, BFT_VERIFY_CONFIG);
    other = decider.members;
    other.height_last = decider.height - 1; /* the epoch ended before this block */
    assert_int_equal(judge(bytes, count, &other, &cause), DECISION_UNPROVED);
    assert_int_equal(cause, BFT_VERIFY_HEIGHT);
    free(bytes);
}

/* A leaf that lies in the outbox, but says another source, height or system than the certificate. */
static void a_leaf_must_name_the_block_that_proves_it(void **state) {
    (void)state;
    for (int what = 0; what < 4; what++) {
        decider_init(&decider, 7, COORDINATOR, 4);
        uint8_t slice[SLICE_HEAD_BYTES] = {1}, encoded[LEAF_BYTES], headers[1];
        struct leaf leaf = {
            .kind = LEAF_KIND_CLUSTER, .source = COORDINATOR, .destination = SHARD, .dseq = 1, .height = decider.height, .slice_bytes = sizeof slice};
        memcpy(leaf.system_id, decider.members.place.system_id, 16);
        slice_hash(slice, sizeof slice, leaf.slice_hash);
        if (what == 1) leaf.source++;
        if (what == 2) leaf.height++;
        if (what == 3) leaf.system_id[0] ^= 1;
        tree_hash root;
        leaf_encode(&leaf, encoded);
        leaf_hash(encoded, root); /* of a single leaf */
        struct bft_certificate certificate;
        decided_certificate(&decider, &(struct decided_how){0}, root, &certificate, headers);
        uint8_t bytes[4096];
        struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
        decision_head_encode(&writer, &certificate, 0, 1, NULL, 0, encoded);
        bytes_put_raw(&writer, slice, sizeof slice);
        assert_false(writer.failed);
        assert_int_equal(judge(bytes, writer.used, &decider.members, NULL), what == 0 ? DECISION_OK : DECISION_WRONG_LEAF);
    }
}

static void counts_of_the_proof_are_held_to_their_ranges(void **state) {
    (void)state;
    decider_init(&decider, 8, COORDINATOR, 4);
    size_t count;
    uint8_t *bytes = client_decision(&(struct decided_how){0}, &count);
    uint8_t *numbers = bytes + 4 + bytes_get_le32(bytes);
    struct decision decision;
    const struct {
        uint32_t index, leaves, path;
    } wrong[] = {{6, 6, 2}, {0, 0, 0}, {4, 6, 1}, {4, 6, 3}, {4, 6, UINT32_MAX}, {0, UINT32_MAX, 3}, {0, (1 << 24) + 1, 25}, {UINT32_MAX, 6, 2}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bytes_put_le32(numbers, wrong[i].index);
        bytes_put_le32(numbers + 4, wrong[i].leaves);
        bytes_put_le32(numbers + 8, wrong[i].path);
        assert_int_equal(decision_decode(bytes, count, &decision), DECISION_BAD_PATH);
    }
    free(bytes);
}

/* D-12: one path leads to one root for several sizes of the tree; only the least is written and taken, for every leaf of every small outbox. */
static void the_leaf_count_is_the_least_that_the_path_allows(void **state) {
    (void)state;
    decider_init(&decider, 10, COORDINATOR, 4);
    struct bft_certificate certificate;
    uint8_t root[32] = {0}, bytes[4096], leaf[LEAF_BYTES] = {1, 1, [36] = 1, [76] = 16};
    tree_hash path[8] = {{0}};
    decided_certificate(&decider, &(struct decided_how){0}, root, &certificate, NULL);
    for (uint32_t count = 1; count <= 40; count++) {
        for (uint32_t index = 0; index < count; index++) {
            struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
            uint32_t hashes = (uint32_t)tree_inclusion_count(index, count), least = index + 1;
            while (tree_inclusion_count(index, least) != hashes) least++;
            decision_head_encode(&writer, &certificate, index, count, path, hashes, leaf);
            uint8_t *numbers = bytes + 4 + bytes_get_le32(bytes);
            assert_int_equal(bytes_get_le32(numbers + 4), least);
            for (uint32_t other = 0; other <= 70; other++) {
                bytes_put_le32(numbers + 4, other);
                struct bytes_cursor cursor = bytes_cursor_of(bytes, writer.used);
                struct decision decision;
                assert_int_equal(decision_decode_head(&cursor, &decision) == DECISION_OK, other == least);
            }
        }
    }
}

static void a_slice_that_is_not_the_leafs_is_refused(void **state) {
    (void)state;
    decider_init(&decider, 9, COORDINATOR, 4);
    size_t count;
    uint8_t *bytes = client_decision(&(struct decided_how){0}, &count);
    bytes[count - 1] ^= 1;
    assert_int_equal(judge(bytes, count, &decider.members, NULL), DECISION_WRONG_SLICE);
    free(bytes);
    bytes = cluster_decision(&(struct decided_how){0}, &count);
    bytes[count - 1] ^= 1;
    assert_int_equal(judge(bytes, count, &decider.members, NULL), DECISION_WRONG_SLICE);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions_of_clusters_of_any_size_verify),
        cmocka_unit_test(every_sampled_flip_is_refused),
        cmocka_unit_test(every_sampled_flip_of_a_qc_is_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(forged_certificates_prove_nothing),
        cmocka_unit_test(decisions_of_others_prove_nothing),
        cmocka_unit_test(a_leaf_must_name_the_block_that_proves_it),
        cmocka_unit_test(counts_of_the_proof_are_held_to_their_ranges),
        cmocka_unit_test(the_leaf_count_is_the_least_that_the_path_allows),
        cmocka_unit_test(a_slice_that_is_not_the_leafs_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
