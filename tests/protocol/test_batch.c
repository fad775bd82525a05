/* Client batches (spec/operations.md O-20, O-21): every field of the tables, cuts at every byte, signatures, digests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "merkle/sha256.h"
#include "merkle/tree.h"
#include "protocol/batch.h"

enum { ROOM = 4096, PART_2 = BATCH_HEAD_BYTES };

static const struct batch_limits limits = {.shards = 3, .batch_bytes_max = ROOM, .batch_parts_max = 3, .batch_ops_max = 4};
static struct ed25519_secret secret;
static struct signer signer;
static uint8_t client_id[32], nonce[16], system_id[16];

static int set_up(void **state) {
    (void)state;
    uint8_t seed[32] = {7};
    if (!ed25519_start(NULL)) return -1;
    (void)!ed25519_secret_init(&secret, seed);
    signer = signer_ed25519(&secret);
    memset(client_id, 0xc1, sizeof client_id);
    memset(nonce, 0x4e, sizeof nonce);
    memset(system_id, 0x51, sizeof system_id);
    return 0;
}

static void put_op(struct bytes_writer *writer, uint8_t opcode) {
    struct operation operation = {.opcode = opcode, .key_bytes = 2, .key = (const uint8_t *)"ky"};
    if (opcode == OPERATION_GET) operation.a = 100;
    if (opcode == OPERATION_PUT) {
        operation.a = 3;
        operation.argument_a = (const uint8_t *)"val";
    }
    if (opcode == OPERATION_CANCEL) operation.key_bytes = 0;
    operation_encode(writer, &operation);
}

/* Two parts: shards 0 and 2; reads, or a read and a write in each. Returns the length. */
static size_t make(uint8_t kind, uint8_t *out) {
    struct bytes_writer writer = bytes_writer_of(out, ROOM);
    struct batch_builder builder;
    batch_build_begin(&builder, &writer, kind, client_id, nonce, 9);
    for (uint32_t shard = 0; shard < 3; shard += 2) {
        bool write = kind == BATCH_WRITE;
        batch_build_part_begin(&builder, SHARD_CLUSTER_BASE + shard, shard ? PART_FLAG_RECEIPT : PART_FLAG_ATOMIC, write ? 8 + shard : 0,
                               write ? 7 : 0);
        put_op(&writer, OPERATION_GET);
        put_op(&writer, write ? OPERATION_PUT : OPERATION_CHECK);
        batch_build_part_end(&builder, 2);
    }
    assert_true(batch_build_end(&builder, system_id, &signer));
    return writer.used;
}

static enum batch_error decode(const uint8_t *bytes, size_t count) {
    struct batch batch;
    return batch_decode(bytes, count, &limits, &batch);
}

static void a_batch_reads_back_with_its_parts(void **state) {
    (void)state;
    uint8_t bytes[ROOM];
    for (uint8_t kind = 1; kind <= 2; kind++) {
        size_t count = make(kind, bytes);
        struct batch batch;
        assert_int_equal(batch_decode(bytes, count, &limits, &batch), BATCH_OK);
        assert_int_equal(batch.kind, kind);
        assert_int_equal(batch.part_count, 2);
        assert_int_equal(batch.op_count, 4);
        assert_int_equal(batch.attempt, 9);
        assert_memory_equal(batch.client_id, client_id, 32);
        assert_memory_equal(batch.nonce, nonce, 16);
        assert_int_equal(batch.signature != NULL, kind == BATCH_WRITE);
        struct batch_part part;
        size_t at = 0;
        for (uint32_t shard = 0; shard < 3; shard += 2) {
            assert_true(batch_part_next(&batch, &at, &part));
            assert_int_equal(part.shard, SHARD_CLUSTER_BASE + shard);
            assert_int_equal(part.op_count, 2);
            assert_int_equal(part.number, kind == BATCH_WRITE ? 8 + shard : 0);
            assert_int_equal(part.floor, kind == BATCH_WRITE ? 7 : 0);
        }
        assert_false(batch_part_next(&batch, &at, &part));
    }
}

static void a_batch_cut_anywhere_or_with_more_behind_is_refused(void **state) {
    (void)state;
    uint8_t bytes[ROOM];
    for (uint8_t kind = 1; kind <= 2; kind++) {
        size_t count = make(kind, bytes);
        for (size_t cut = 0; cut < count; cut++) {
            bytes_put_le32(bytes + 4, (uint32_t)count);
            assert_int_not_equal(decode(bytes, cut), BATCH_OK);
            bytes_put_le32(bytes + 4, (uint32_t)cut); /* the length agrees, the tables do not */
            assert_int_not_equal(decode(bytes, cut), BATCH_OK);
        }
        for (size_t more = 1; more < 200; more++) {
            memset(bytes + count, 0, more);
            bytes_put_le32(bytes + 4, (uint32_t)(count + more));
            assert_int_not_equal(decode(bytes, count + more), BATCH_OK);
        }
    }
}

/* The error of a batch of `kind` with `size` bytes at `offset` set to `value`. */
static enum batch_error with(uint8_t kind, size_t offset, size_t size, uint64_t value) {
    uint8_t bytes[ROOM], wide[8];
    size_t count = make(kind, bytes);
    bytes_put_le64(wide, value);
    memcpy(bytes + offset, wide, size);
    return decode(bytes, count);
}

static void each_field_of_the_head_is_held_to_its_range(void **state) {
    (void)state;
    for (uint8_t kind = 1; kind <= 2; kind++) {
        for (unsigned value = 0; value < 256; value++) {
            assert_int_equal(with(kind, 0, 1, value), value == 1 ? BATCH_OK : BATCH_BAD_HEAD);
            if (value != 1 && value != 2) assert_int_equal(with(kind, 1, 1, value), BATCH_BAD_HEAD);
            for (size_t zero = 60; zero < 64; zero++) assert_int_equal(with(kind, zero, 1, value), value == 0 ? BATCH_OK : BATCH_BAD_HEAD);
        }
        assert_int_not_equal(with(kind, 1, 1, 3u - kind), BATCH_OK); /* the other kind: numbers, signature and writes do not fit */
        assert_int_equal(with(kind, 2, 2, 0), BATCH_BAD_HEAD);
        assert_int_equal(with(kind, 2, 2, 1), BATCH_TRUNCATED);
        assert_int_not_equal(with(kind, 2, 2, 3), BATCH_OK);
        assert_int_equal(with(kind, 2, 2, 4), BATCH_TOO_LARGE);
        assert_int_equal(with(kind, 4, 4, 0), BATCH_TRUNCATED);
        assert_int_equal(with(kind, 4, 4, UINT32_MAX), BATCH_TRUNCATED);
        assert_int_equal(with(kind, 56, 4, UINT32_MAX), BATCH_OK); /* attempt: any */
    }
}

static void each_field_of_a_part_is_held_to_its_range(void **state) {
    (void)state;
    for (uint8_t kind = 1; kind <= 2; kind++) {
        bool write = kind == BATCH_WRITE;
        assert_int_equal(with(kind, PART_2, 4, 0), BATCH_BAD_PART);
        assert_int_equal(with(kind, PART_2, 4, SHARD_CLUSTER_BASE - 1), BATCH_BAD_PART);
        assert_int_equal(with(kind, PART_2, 4, 0x00010000), BATCH_BAD_PART); /* a coordinator cluster */
        assert_int_equal(with(kind, PART_2, 4, SHARD_CLUSTER_BASE + 1), BATCH_OK);
        assert_int_equal(with(kind, PART_2, 4, SHARD_CLUSTER_BASE + 2), BATCH_BAD_PART); /* twice the same shard */
        assert_int_equal(with(kind, PART_2, 4, SHARD_CLUSTER_BASE + 3), BATCH_BAD_PART); /* no such shard */
        for (unsigned value = 0; value < 256; value++) {
            assert_int_equal(with(kind, PART_2 + 4, 1, value), value <= 3 ? BATCH_OK : BATCH_BAD_PART);
            for (size_t zero = 5; zero < 8; zero++) assert_int_equal(with(kind, PART_2 + zero, 1, value), value == 0 ? BATCH_OK : BATCH_BAD_PART);
        }
        assert_int_equal(with(kind, PART_2 + 8, 8, 0), write ? BATCH_BAD_PART : BATCH_OK);
        assert_int_equal(with(kind, PART_2 + 8, 8, 6), BATCH_BAD_PART); /* number below the floor; a number in a read */
        assert_int_equal(with(kind, PART_2 + 8, 8, 7), write ? BATCH_OK : BATCH_BAD_PART);
        assert_int_equal(with(kind, PART_2 + 8, 8, UINT64_MAX), write ? BATCH_OK : BATCH_BAD_PART);
        assert_int_equal(with(kind, PART_2 + 16, 8, 0), write ? BATCH_BAD_PART : BATCH_OK);
        assert_int_equal(with(kind, PART_2 + 16, 8, 8), write ? BATCH_OK : BATCH_BAD_PART);
        assert_int_equal(with(kind, PART_2 + 16, 8, 9), BATCH_BAD_PART);
        assert_int_equal(with(kind, PART_2 + 24, 4, 0), BATCH_BAD_PART);
        assert_int_equal(with(kind, PART_2 + 24, 4, 1), BATCH_BAD_OPERATION);
        assert_int_equal(with(kind, PART_2 + 24, 4, 3), BATCH_BAD_OPERATION);
        assert_int_equal(with(kind, PART_2 + 24, 4, 5), BATCH_TOO_LARGE);
        assert_int_equal(with(kind, PART_2 + 24, 4, UINT32_MAX), BATCH_TOO_LARGE);
        assert_int_equal(with(kind, PART_2 + 28, 4, 0), BATCH_BAD_OPERATION);
        assert_int_equal(with(kind, PART_2 + 28, 4, UINT32_MAX), BATCH_TRUNCATED);
        assert_int_equal(with(kind, PART_2 + 32, 1, 0), BATCH_BAD_OPERATION);
    }
}

static void a_batch_at_the_limits_is_taken_and_one_past_them_is_not(void **state) {
    (void)state;
    uint8_t bytes[ROOM];
    struct batch batch;
    size_t count = make(BATCH_WRITE, bytes);
    struct batch_limits tight = {.shards = 3, .batch_bytes_max = (uint32_t)count, .batch_parts_max = 2, .batch_ops_max = 4};
    assert_int_equal(batch_decode(bytes, count, &tight, &batch), BATCH_OK);
    tight.batch_bytes_max--;
    assert_int_equal(batch_decode(bytes, count, &tight, &batch), BATCH_TOO_LARGE);
    tight.batch_bytes_max++;
    tight.batch_parts_max = 1;
    assert_int_equal(batch_decode(bytes, count, &tight, &batch), BATCH_TOO_LARGE);
    tight.batch_parts_max = 2;
    tight.batch_ops_max = 3;
    assert_int_equal(batch_decode(bytes, count, &tight, &batch), BATCH_TOO_LARGE);
    tight.batch_ops_max = 4;
    tight.shards = 2;
    assert_int_equal(batch_decode(bytes, count, &tight, &batch), BATCH_BAD_PART);
}

/* One part with these opcodes, in a batch of `kind`. */
static enum batch_error kinds(uint8_t kind, const uint8_t *opcodes, uint32_t count) {
    uint8_t bytes[ROOM];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
    struct batch_builder builder;
    bool write = kind == BATCH_WRITE;
    batch_build_begin(&builder, &writer, kind, client_id, nonce, 0);
    batch_build_part_begin(&builder, SHARD_CLUSTER_BASE, 0, write, write);
    for (uint32_t i = 0; i < count; i++) put_op(&writer, opcodes[i]);
    batch_build_part_end(&builder, count);
    assert_true(batch_build_end(&builder, system_id, &signer));
    return decode(bytes, writer.used);
}

static void reads_and_writes_go_in_batches_of_their_kind_and_cancel_goes_alone(void **state) {
    (void)state;
    assert_int_equal(kinds(BATCH_READ, (uint8_t[]){OPERATION_GET, OPERATION_CHECK}, 2), BATCH_OK);
    assert_int_equal(kinds(BATCH_READ, (uint8_t[]){OPERATION_GET, OPERATION_DELETE}, 2), BATCH_BAD_OPERATION);
    assert_int_equal(kinds(BATCH_READ, (uint8_t[]){OPERATION_CANCEL}, 1), BATCH_BAD_OPERATION);
    assert_int_equal(kinds(BATCH_WRITE, (uint8_t[]){OPERATION_GET, OPERATION_CHECK}, 2), BATCH_BAD_OPERATION);
    assert_int_equal(kinds(BATCH_WRITE, (uint8_t[]){OPERATION_GET, OPERATION_DELETE}, 2), BATCH_OK);
    assert_int_equal(kinds(BATCH_WRITE, (uint8_t[]){OPERATION_CROSS_PREPARE}, 1), BATCH_OK); /* reserved: well formed */
    assert_int_equal(kinds(BATCH_WRITE, (uint8_t[]){OPERATION_CANCEL}, 1), BATCH_OK);
    assert_int_equal(kinds(BATCH_WRITE, (uint8_t[]){OPERATION_CANCEL, OPERATION_CANCEL}, 2), BATCH_BAD_OPERATION);
    assert_int_equal(kinds(BATCH_WRITE, (uint8_t[]){OPERATION_PUT, OPERATION_CANCEL}, 2), BATCH_BAD_OPERATION);
}

static void the_id_is_the_hash_of_all_but_the_signature(void **state) {
    (void)state;
    uint8_t bytes[ROOM], id[32], expected[32], preimage[1 + ROOM];
    for (uint8_t kind = 1; kind <= 2; kind++) {
        size_t count = make(kind, bytes);
        struct batch batch;
        assert_int_equal(batch_decode(bytes, count, &limits, &batch), BATCH_OK);
        size_t hashed = count - (kind == BATCH_WRITE ? 64 : 0);
        preimage[0] = 0x0C;
        memcpy(preimage + 1, bytes, hashed);
        sha256_hash(preimage, 1 + hashed, expected);
        batch_id(&batch, id);
        assert_memory_equal(id, expected, 32);
    }
}

static bool signature_holds(const uint8_t *bytes, size_t count, const uint8_t *system) {
    struct batch batch;
    if (batch_decode(bytes, count, &limits, &batch) != BATCH_OK) return false;
    uint8_t id[32];
    batch_id(&batch, id);
    return batch_signature_valid(&batch, id, system, secret.expanded + 32, &signer);
}

static void a_signature_covers_every_bit_and_the_system(void **state) {
    (void)state;
    uint8_t bytes[ROOM], other[16] = {1};
    size_t count = make(BATCH_WRITE, bytes);
    assert_true(signature_holds(bytes, count, system_id));
    assert_false(signature_holds(bytes, count, other));
    for (size_t bit = 0; bit < 8 * count; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (signature_holds(bytes, count, system_id)) fail_msg("bit %zu of byte %zu is not covered", bit % 8, bit / 8);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    count = make(BATCH_READ, bytes);
    assert_true(signature_holds(bytes, count, other)); /* reads carry none */
}

static void the_digest_is_that_of_the_spec_with_and_without_receipt(void **state) {
    (void)state;
    uint8_t bytes[ROOM], digest[32], expected[32], preimage[256], root[32];
    size_t count = make(BATCH_WRITE, bytes);
    struct batch batch;
    assert_int_equal(batch_decode(bytes, count, &limits, &batch), BATCH_OK);
    struct batch_part part;
    size_t at = 0;
    while (batch_part_next(&batch, &at, &part)) {
        bool receipt = part.flags & PART_FLAG_RECEIPT;
        struct bytes_writer writer = bytes_writer_of(preimage, sizeof preimage);
        bytes_put_u8(&writer, 0x0B);
        bytes_put_raw(&writer, client_id, 32);
        bytes_put_u64(&writer, part.number);
        bytes_put_raw(&writer, nonce, 16);
        bytes_put_u8(&writer, part.flags);
        bytes_put_u32(&writer, part.op_count);
        size_t first = 12 + 2; /* the GET */
        tree_hash leaves[2];
        tree_leaf_hash(part.ops, first, leaves[0]);
        tree_leaf_hash(part.ops + first, part.ops_bytes - first, leaves[1]);
        tree_root(leaves, 2, root);
        bytes_put_raw(&writer, receipt ? root : part.ops, receipt ? 32 : part.ops_bytes);
        assert_false(writer.failed);
        sha256_hash(preimage, writer.used, expected);
        batch_part_digest(client_id, nonce, &part, digest);
        assert_memory_equal(digest, expected, 32);
        batch_part_digest_of_root(client_id, part.number, nonce, part.flags, part.op_count, root, expected);
        if (receipt) assert_memory_equal(digest, expected, 32);
    }
}

static void digest_of(uint64_t number, uint64_t floor, uint32_t shard, uint8_t flags, const uint8_t *some_nonce, uint8_t out[32]) {
    struct batch_part part = {.shard = shard,
                              .flags = flags,
                              .number = number,
                              .floor = floor,
                              .op_count = 1,
                              .ops = (const uint8_t *)"\6\0\1\0\0\0\0\0\0\0\0\0k",
                              .ops_bytes = 13};
    batch_part_digest(client_id, some_nonce, &part, out);
}

/* O-21: floor, attempt and grouping are not in the digest; number, nonce and flags are. */
static void a_retry_has_the_digest_of_the_first_sending_and_a_new_intent_another(void **state) {
    (void)state;
    uint8_t first[32], again[32], other_nonce[16] = {1};
    digest_of(5, 1, SHARD_CLUSTER_BASE, 0, nonce, first);
    digest_of(5, 4, SHARD_CLUSTER_BASE, 0, nonce, again);
    assert_memory_equal(first, again, 32);
    digest_of(6, 1, SHARD_CLUSTER_BASE, 0, nonce, again);
    assert_memory_not_equal(first, again, 32);
    digest_of(5, 1, SHARD_CLUSTER_BASE, 1, nonce, again);
    assert_memory_not_equal(first, again, 32);
    digest_of(5, 1, SHARD_CLUSTER_BASE, 0, other_nonce, again);
    assert_memory_not_equal(first, again, 32);
}

static void a_builder_without_room_says_so(void **state) {
    (void)state;
    uint8_t whole[ROOM], bytes[ROOM];
    size_t count = make(BATCH_WRITE, whole);
    for (size_t room = 0; room < count; room += 3) {
        struct bytes_writer writer = bytes_writer_of(bytes, room);
        struct batch_builder builder;
        batch_build_begin(&builder, &writer, BATCH_WRITE, client_id, nonce, 9);
        for (uint32_t shard = 0; shard < 3; shard += 2) {
            batch_build_part_begin(&builder, SHARD_CLUSTER_BASE + shard, 0, 8 + shard, 7);
            put_op(&writer, OPERATION_GET);
            put_op(&writer, OPERATION_PUT);
            batch_build_part_end(&builder, 2);
        }
        assert_false(batch_build_end(&builder, system_id, &signer));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_reads_back_with_its_parts),
        cmocka_unit_test(a_batch_cut_anywhere_or_with_more_behind_is_refused),
        cmocka_unit_test(each_field_of_the_head_is_held_to_its_range),
        cmocka_unit_test(each_field_of_a_part_is_held_to_its_range),
        cmocka_unit_test(a_batch_at_the_limits_is_taken_and_one_past_them_is_not),
        cmocka_unit_test(reads_and_writes_go_in_batches_of_their_kind_and_cancel_goes_alone),
        cmocka_unit_test(the_id_is_the_hash_of_all_but_the_signature),
        cmocka_unit_test(a_signature_covers_every_bit_and_the_system),
        cmocka_unit_test(the_digest_is_that_of_the_spec_with_and_without_receipt),
        cmocka_unit_test(a_retry_has_the_digest_of_the_first_sending_and_a_new_intent_another),
        cmocka_unit_test(a_builder_without_room_says_so),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
