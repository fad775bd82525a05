/* The kept corpora of fuzz_batch, fuzz_slice, fuzz_decision and fuzz_receipt: made here, from fixed seeds; with
 * HERACLIUS_CORPUS=tests/fuzz/corpus they are written anew. Each must be what the product decodes, or it would lead the fuzzer nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/receipt.h"
#include "tests/protocol/decided.h"

static struct decider decider;
static struct ed25519_secret secret;

static int set_up(void **state) {
    (void)state;
    uint8_t seed[32] = {7};
    decider_init(&decider, 1, 0x00010000, 4);
    (void)!ed25519_secret_init(&secret, seed);
    return 0;
}

static void keep(const char *corpus, const char *name, const uint8_t *bytes, size_t count) {
    const char *folder = getenv("HERACLIUS_CORPUS");
    char path[1024];
    if (!folder) return;
    snprintf(path, sizeof path, "%s/%s/%s", folder, corpus, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static void put_op(struct bytes_writer *writer, uint8_t opcode) {
    static const uint8_t eight[32] = {1};
    struct operation operation = {.opcode = opcode, .key_bytes = 5, .key = (const uint8_t *)"{a}ky"};
    if (opcode == OPERATION_GET) operation.a = 100;
    if (opcode == OPERATION_PUT || opcode == OPERATION_CAS) {
        operation.a = 5;
        operation.argument_a = (const uint8_t *)"value";
    }
    if (opcode == OPERATION_ADD || opcode == OPERATION_CLIENT_STATE || opcode == OPERATION_CAS_VERSION) {
        operation.a = opcode == OPERATION_ADD ? 8 : opcode == OPERATION_CLIENT_STATE ? 32 : 12;
        operation.argument_a = eight;
    }
    if (opcode == OPERATION_CANCEL || opcode == OPERATION_CLIENT_STATE) operation.key_bytes = 0;
    operation_encode(writer, &operation);
}

static void batches(void **state) {
    (void)state;
    static const uint8_t client_id[32] = {3}, nonce[16] = {4}, system_id[16] = {5};
    static const uint8_t writes[] = {2, 3, 4, 5, 6, 7, 16, 1}, reads[] = {1, 8, 10};
    struct signer signer = signer_ed25519(&secret);
    for (uint8_t form = 0; form < 4; form++) {
        uint8_t bytes[2048];
        bool write = form > 0;
        struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
        struct batch_builder builder;
        batch_build_begin(&builder, &writer, write ? BATCH_WRITE : BATCH_READ, client_id, nonce, form);
        for (uint32_t shard = 0; shard < (form == 2 ? 3u : 1u); shard++) {
            batch_build_part_begin(&builder, SHARD_CLUSTER_BASE + shard, form % 4, write ? 9 : 0, write ? 4 : 0);
            const uint8_t *codes = write ? writes : reads;
            uint32_t count = form == 3 ? 1 : write ? 8 : 3;
            for (uint32_t i = 0; i < count; i++) put_op(&writer, form == 3 ? OPERATION_CANCEL : codes[i]);
            batch_build_part_end(&builder, count);
        }
        assert_true(batch_build_end(&builder, system_id, &signer));
        const struct batch_limits limits = {.shards = 4, .batch_bytes_max = 65536, .batch_parts_max = 4, .batch_ops_max = 64};
        struct batch batch;
        assert_int_equal(batch_decode(bytes, writer.used, &limits, &batch), BATCH_OK);
        char name[16];
        snprintf(name, sizeof name, "batch-%u", form);
        keep("batch", name, bytes, writer.used);
    }
}

static void slices(void **state) {
    (void)state;
    uint8_t bytes[1024] = {0}, id[32] = {1}, digest[32] = {2}, body[256];
    struct bytes_writer ops = bytes_writer_of(body + SLICE_WRITE_HEAD_BYTES, 64);
    put_op(&ops, OPERATION_PUT);
    slice_write_head_encode(body, id, 9, 8, digest, 1, 1);
    size_t at = 1 + SLICE_HEAD_BYTES, count = SLICE_WRITE_HEAD_BYTES + ops.used;
    slice_head_encode(bytes + 1, 3, 44);
    slice_item_head_encode(bytes + at, (uint32_t)count, SLICE_WRITE);
    memcpy(bytes + at + SLICE_ITEM_HEAD_BYTES, body, count);
    at += SLICE_ITEM_HEAD_BYTES + count;
    ops = bytes_writer_of(body + SLICE_READ_HEAD_BYTES, 64);
    put_op(&ops, OPERATION_GET);
    slice_read_head_encode(body, 1);
    slice_item_head_encode(bytes + at, (uint32_t)(SLICE_READ_HEAD_BYTES + ops.used), SLICE_READ);
    memcpy(bytes + at + SLICE_ITEM_HEAD_BYTES, body, SLICE_READ_HEAD_BYTES + ops.used);
    at += SLICE_ITEM_HEAD_BYTES + SLICE_READ_HEAD_BYTES + ops.used;
    slice_item_head_encode(bytes + at, SLICE_ANSWER_HEAD_BYTES + SLICE_PART_HEAD_BYTES, SLICE_ANSWER);
    slice_answer_head_encode(bytes + at + SLICE_ITEM_HEAD_BYTES, 6, 1);
    slice_part_head_encode(bytes + at + SLICE_ITEM_HEAD_BYTES + SLICE_ANSWER_HEAD_BYTES,
                           &(struct slice_part){.code = CODE_BUSY, .op_count = 2, .height = 8});
    at += SLICE_ITEM_HEAD_BYTES + SLICE_ANSWER_HEAD_BYTES + SLICE_PART_HEAD_BYTES;
    struct slice slice;
    assert_true(slice_decode(bytes + 1, at - 1, &slice));
    keep("slice", "cluster", bytes, at);
    uint8_t results[64];
    struct bytes_writer writer = bytes_writer_of(results, sizeof results);
    result_encode(&writer, &(struct result){.flags = RESULT_FLAG_VERSION, .version = {4, 5}, .value_bytes = 5, .value = (const uint8_t *)"value"});
    struct client_item head = {.kind = CLIENT_ITEM_PART, .shard = SHARD_CLUSTER_BASE, .part_digest = digest, .height = 7, .op_count = 1};
    struct decided_item items[2];
    for (int i = 0; i < 2; i++) items[i].bytes = decided_item(head, results, writer.used, &items[i].count);
    uint8_t *client = decided_client_slice(items, 2, &count);
    bytes[0] = 1;
    memcpy(bytes + 1, client, count);
    keep("slice", "client", bytes, count + 1);
    for (int i = 0; i < 2; i++) free((void *)(uintptr_t)items[i].bytes);
    free(client);
}

static void decisions(void **state) {
    (void)state;
    size_t slice_bytes, count;
    uint8_t *slice = decided_two_items(&slice_bytes), cluster[SLICE_HEAD_BYTES + 4] = {1};
    for (uint32_t headers = 0; headers <= 2; headers += 2) {
        struct decided_how how = {.headers = headers};
        struct leaf leaf = {.kind = LEAF_KIND_CLIENT, .client_id = {1}};
        uint8_t *bytes = decided_make(&decider, &how, &leaf, 4, 6, slice, slice_bytes, &count);
        keep("decision", headers ? "client-headers" : "client", bytes, count);
        free(bytes);
        leaf = (struct leaf){.kind = LEAF_KIND_CLUSTER, .destination = SHARD_CLUSTER_BASE, .dseq = 8};
        bytes = decided_make(&decider, &how, &leaf, 0, 1, cluster, sizeof cluster, &count);
        keep("decision", headers ? "cluster-headers" : "cluster", bytes, count);
        struct decision decision;
        assert_int_equal(decision_decode(bytes, count, &decision), DECISION_OK);
        free(bytes);
    }
    free(slice);
}

static void receipts(void **state) {
    (void)state;
    static const uint8_t client_id[32] = {3}, nonce[16] = {4};
    uint8_t ops[128], digest[32], results[64], bytes[8192];
    struct bytes_writer writer = bytes_writer_of(ops, sizeof ops);
    put_op(&writer, OPERATION_PUT);
    put_op(&writer, OPERATION_PUT);
    struct batch_part part = {.shard = SHARD_CLUSTER_BASE,
                              .flags = PART_FLAG_RECEIPT,
                              .number = 12,
                              .floor = 3,
                              .op_count = 2,
                              .ops = ops,
                              .ops_bytes = (uint32_t)writer.used};
    batch_part_digest(client_id, nonce, &part, digest);
    writer = bytes_writer_of(results, sizeof results);
    result_encode(&writer, &(struct result){.flags = RESULT_FLAG_VERSION, .version = {4, 5}});
    struct decided_item items[2];
    for (uint32_t i = 0; i < 2; i++) {
        struct client_item head = {
            .kind = CLIENT_ITEM_OPERATION, .shard = SHARD_CLUSTER_BASE, .part_digest = digest, .height = 7, .first_op = i, .op_count = 1};
        items[i].bytes = decided_item(head, results, writer.used, &items[i].count);
    }
    size_t slice_bytes, count;
    uint8_t *slice = decided_client_slice(items, 2, &slice_bytes);
    struct leaf leaf = {.kind = LEAF_KIND_CLIENT};
    memcpy(leaf.client_id, client_id, 32);
    uint8_t *answer = decided_make(&decider, &(struct decided_how){0}, &leaf, 1, 3, slice, slice_bytes, &count);
    struct decision decision;
    assert_int_equal(decision_decode(answer, count, &decision), DECISION_OK);
    struct bytes_writer out = bytes_writer_of(bytes, sizeof bytes);
    receipt_encode(&out, NULL, 0, &decision, 1, nonce, &part, 1);
    assert_false(out.failed);
    keep("receipt", "put", bytes, out.used);
    struct receipt receipt;
    struct signer verifier = signer_ed25519(NULL);
    assert_int_equal(receipt_decode(bytes, out.used, &receipt, NULL), RECEIPT_OK);
    assert_int_equal(receipt_verify(&receipt, &decider.members, &verifier, NULL), RECEIPT_OK);
    for (int i = 0; i < 2; i++) free((void *)(uintptr_t)items[i].bytes);
    free(slice);
    free(answer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches),
        cmocka_unit_test(slices),
        cmocka_unit_test(decisions),
        cmocka_unit_test(receipts),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
