/* Receipts (spec/operations.md O-70, O-71): one answered operation, proved offline, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/receipt.h"
#include "tests/protocol/decided.h"

enum { COORDINATOR = 0x00010000, OPS = 5, ITEMS = 7, ROOM = 65536 };

static const uint32_t sizes[] = {4, 5, 6, 7, 16};
static struct decider decider;
static struct signer verifier;
static uint8_t client_id[32], nonce[16];

/* A part of OPS puts with receipts, and the answer that holds its items between two of somebody's other requests. */
struct answered {
    uint8_t ops[OPS * 64];
    struct batch_part part;
    uint8_t *answer;
    size_t answer_bytes;
    struct decision decision;
};

static int set_up(void **state) {
    (void)state;
    if (!ed25519_start(NULL)) return -1;
    verifier = signer_ed25519(NULL);
    memset(client_id, 0xc1, sizeof client_id);
    memset(nonce, 0x4e, sizeof nonce);
    return 0;
}

static uint8_t *item_make(const uint8_t digest[32], uint8_t kind, uint32_t first_op, uint8_t code, size_t *count) {
    uint8_t results[RESULT_HEAD_BYTES + OPERATION_VERSION_BYTES];
    struct bytes_writer writer = bytes_writer_of(results, sizeof results);
    result_encode(&writer, &(struct result){.code = code, .flags = RESULT_FLAG_VERSION, .version = {40, 3 + first_op}});
    struct client_item head = {
        .kind = kind, .shard = SHARD_CLUSTER_BASE, .part_digest = digest, .height = 40, .index = 3 + first_op, .first_op = first_op, .op_count = 1};
    return decided_item(head, results, sizeof results, count);
}

static void answered_make(struct answered *out, const struct decided_how *how) {
    struct bytes_writer writer = bytes_writer_of(out->ops, sizeof out->ops);
    for (uint8_t i = 0; i < OPS; i++) {
        uint8_t key[2] = {'k', (uint8_t)('0' + i)};
        operation_encode(
            &writer,
            &(struct operation){
                .opcode = OPERATION_PUT, .key_bytes = 2, .key = key, .a = 32, .argument_a = (const uint8_t *)"a value of thirty-two bytes here"});
    }
    assert_false(writer.failed);
    out->part = (struct batch_part){.shard = SHARD_CLUSTER_BASE,
                                    .flags = PART_FLAG_RECEIPT,
                                    .number = 12,
                                    .floor = 3,
                                    .op_count = OPS,
                                    .ops = out->ops,
                                    .ops_bytes = (uint32_t)writer.used};
    uint8_t digest[32], other[32] = {1};
    batch_part_digest(client_id, nonce, &out->part, digest);
    struct decided_item items[ITEMS];
    for (uint32_t i = 0; i < ITEMS; i++) {
        bool mine = i > 0 && i <= OPS;
        items[i].bytes =
            item_make(mine ? digest : other, mine ? CLIENT_ITEM_OPERATION : CLIENT_ITEM_PART, mine ? i - 1 : 0, CODE_OK, &items[i].count);
    }
    size_t slice_bytes;
    uint8_t *slice = decided_client_slice(items, ITEMS, &slice_bytes);
    struct leaf leaf = {.kind = LEAF_KIND_CLIENT};
    memcpy(leaf.client_id, client_id, 32);
    out->answer = decided_make(&decider, how, &leaf, 2, 5, slice, slice_bytes, &out->answer_bytes);
    assert_int_equal(decision_decode(out->answer, out->answer_bytes, &out->decision), DECISION_OK);
    for (uint32_t i = 0; i < ITEMS; i++) free((void *)(uintptr_t)items[i].bytes);
    free(slice);
}

static size_t receipt_make(const struct answered *answered, uint32_t item, uint32_t op, uint8_t *out) {
    struct bytes_writer writer = bytes_writer_of(out, ROOM);
    receipt_encode(&writer, NULL, 0, &answered->decision, item, nonce, &answered->part, op);
    assert_false(writer.failed);
    return writer.used;
}

static enum receipt_error judge(const uint8_t *bytes, size_t count) {
    struct receipt receipt;
    enum receipt_error error = receipt_decode(bytes, count, &receipt, NULL);
    return error == RECEIPT_OK ? receipt_verify(&receipt, &decider.members, &verifier, NULL) : error;
}

static void receipts_of_every_operation_verify(void **state) {
    (void)state;
    uint8_t *bytes = malloc(ROOM);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        decider_init(&decider, 1 + i, COORDINATOR, sizes[i]);
        for (uint32_t headers = 0; headers <= 4; headers += 4) {
            struct answered answered;
            answered_make(&answered, &(struct decided_how){.headers = headers});
            for (uint32_t op = 0; op < OPS; op++) {
                size_t count = receipt_make(&answered, 1 + op, op, bytes);
                struct receipt receipt;
                enum decision_error cause;
                assert_int_equal(receipt_decode(bytes, count, &receipt, &cause), RECEIPT_OK);
                assert_int_equal(receipt_verify(&receipt, &decider.members, &verifier, &cause), RECEIPT_OK);
                assert_int_equal(receipt.operation.key[1], '0' + op);
                assert_int_equal(receipt.item.index, 3 + op);
                assert_int_equal(receipt.op_index, op);
                assert_true(receipt.number == 12 && receipt.op_count == OPS && receipt.result.version.height == 40);
                /* O-70: at most 4 KiB for n = 4 (32-byte value, W headers). */
                if (sizes[i] == 4) assert_true(count <= 4096);
            }
            free(answered.answer);
        }
    }
    free(bytes);
}

static void every_sampled_flip_of_a_receipt_is_refused(void **state) {
    (void)state;
    uint8_t *bytes = malloc(ROOM);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        decider_init(&decider, 10 + i, COORDINATOR, sizes[i]);
        for (uint32_t headers = 0; headers <= 2; headers += 2) {
            struct answered answered;
            answered_make(&answered, &(struct decided_how){.headers = headers});
            size_t count = receipt_make(&answered, 3, 2, bytes);
            for (size_t bit = 0; bit < 8 * count; bit += 37) {
                bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
                if (judge(bytes, count) == RECEIPT_OK) fail_msg("n %u: bit %zu of %zu may be flipped", sizes[i], bit, 8 * count);
                bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            }
            assert_int_equal(judge(bytes, count), RECEIPT_OK);
            free(answered.answer);
        }
    }
    free(bytes);
}

/* All bits behind the certificate, for one size: leaf, item, proofs, operation. */
static void every_flip_behind_the_certificate_is_refused(void **state) {
    (void)state;
    uint8_t *bytes = malloc(ROOM);
    assert_non_null(bytes);
    decider_init(&decider, 20, COORDINATOR, 4);
    struct answered answered;
    answered_make(&answered, &(struct decided_how){0});
    size_t count = receipt_make(&answered, 3, 2, bytes);
    size_t from = 12 + 4 + bytes_get_le32(bytes + 12);
    for (size_t bit = 8 * from; bit < 8 * count; bit += 3) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (judge(bytes, count) == RECEIPT_OK) fail_msg("bit %zu of %zu may be flipped", bit, 8 * count);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(answered.answer);
    free(bytes);
}

static void every_truncation_and_anything_behind_is_refused(void **state) {
    (void)state;
    uint8_t *bytes = malloc(ROOM);
    assert_non_null(bytes);
    decider_init(&decider, 30, COORDINATOR, 4);
    struct answered answered;
    answered_make(&answered, &(struct decided_how){0});
    size_t count = receipt_make(&answered, 1, 0, bytes);
    struct receipt receipt;
    for (size_t cut = 0; cut < count; cut++) assert_int_not_equal(receipt_decode(bytes, cut, &receipt, NULL), RECEIPT_OK);
    bytes[count] = 0;
    assert_int_equal(receipt_decode(bytes, count + 1, &receipt, NULL), RECEIPT_TRUNCATED);
    assert_int_equal(receipt_decode((const uint8_t *)"HRCRCPT2....", 12, &receipt, NULL), RECEIPT_NOT_ONE);
    free(answered.answer);
    free(bytes);
}

static void receipts_of_another_system_or_cluster_are_refused(void **state) {
    (void)state;
    uint8_t *bytes = malloc(ROOM);
    assert_non_null(bytes);
    decider_init(&decider, 40, COORDINATOR, 4);
    struct answered answered;
    answered_make(&answered, &(struct decided_how){0});
    size_t count = receipt_make(&answered, 1, 0, bytes);
    struct receipt receipt;
    enum decision_error cause;
    assert_int_equal(receipt_decode(bytes, count, &receipt, NULL), RECEIPT_OK);
    struct decider other;
    decider_init(&other, 41, COORDINATOR, 4);
    assert_int_equal(receipt_verify(&receipt, &other.members, &verifier, &cause), RECEIPT_BAD_DECISION);
    assert_int_equal(cause, DECISION_UNPROVED);
    struct bft_members next = decider.members;
    next.place.cluster++;
    assert_int_equal(receipt_verify(&receipt, &next, &verifier, &cause), RECEIPT_BAD_DECISION);
    free(answered.answer);
    free(bytes);
}

/* An honest answer and an honest request, put together wrongly. */
static void the_answer_of_one_operation_is_not_that_of_another(void **state) {
    (void)state;
    uint8_t *bytes = malloc(ROOM);
    assert_non_null(bytes);
    decider_init(&decider, 50, COORDINATOR, 4);
    struct answered answered;
    answered_make(&answered, &(struct decided_how){0});
    for (uint32_t item = 0; item < ITEMS; item++) {
        for (uint32_t op = 0; op < OPS; op++) {
            size_t count = receipt_make(&answered, item, op, bytes);
            enum receipt_error error = judge(bytes, count);
            enum receipt_error expected = item == 0 || item > OPS ? RECEIPT_BAD_ITEM : item == op + 1 ? RECEIPT_OK : RECEIPT_OTHER_REQUEST;
            if (error != expected) fail_msg("item %u, operation %u: %s", item, op, receipt_error_name(error));
        }
    }
    struct batch_part honest = answered.part;
    answered.part.number++; /* another number, nonce, flag or operation than was sent */
    assert_int_equal(judge(bytes, receipt_make(&answered, 1, 0, bytes)), RECEIPT_OTHER_REQUEST);
    answered.part = honest;
    answered.part.flags |= PART_FLAG_ATOMIC;
    assert_int_equal(judge(bytes, receipt_make(&answered, 1, 0, bytes)), RECEIPT_OTHER_REQUEST);
    answered.part = honest;
    nonce[0] ^= 1;
    assert_int_equal(judge(bytes, receipt_make(&answered, 1, 0, bytes)), RECEIPT_OTHER_REQUEST);
    nonce[0] ^= 1;
    answered.ops[OPERATION_HEAD_BYTES + 3] ^= 1; /* the value that was put */
    assert_int_equal(judge(bytes, receipt_make(&answered, 1, 0, bytes)), RECEIPT_OTHER_REQUEST);
    answered.ops[OPERATION_HEAD_BYTES + 3] ^= 1;
    assert_int_equal(judge(bytes, receipt_make(&answered, 1, 0, bytes)), RECEIPT_OK);
    free(answered.answer);
    free(bytes);
}

static void forged_certificates_make_no_receipt(void **state) {
    (void)state;
    uint8_t *bytes = malloc(ROOM);
    assert_non_null(bytes);
    decider_init(&decider, 60, COORDINATOR, 7);
    struct decider stranger;
    decider_init(&stranger, 61, COORDINATOR, 7);
    const struct decided_how hows[] = {{.signers = decider.members.q - 1}, {.prepare = true}, {.forger = &stranger}};
    for (size_t i = 0; i < sizeof hows / sizeof hows[0]; i++) {
        struct answered answered;
        answered_make(&answered, &hows[i]);
        assert_int_equal(judge(bytes, receipt_make(&answered, 1, 0, bytes)), RECEIPT_BAD_DECISION);
        free(answered.answer);
    }
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(receipts_of_every_operation_verify),
        cmocka_unit_test(every_sampled_flip_of_a_receipt_is_refused),
        cmocka_unit_test(every_flip_behind_the_certificate_is_refused),
        cmocka_unit_test(every_truncation_and_anything_behind_is_refused),
        cmocka_unit_test(receipts_of_another_system_or_cluster_are_refused),
        cmocka_unit_test(the_answer_of_one_operation_is_not_that_of_another),
        cmocka_unit_test(forged_certificates_make_no_receipt),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
