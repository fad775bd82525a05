/* Slices between clusters and for clients (spec/decisions.md D-8, D-13 to D-16; spec/operations.md O-22 to O-25). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/sha256.h"
#include "protocol/batch.h"
#include "protocol/slice.h"
#include "tests/protocol/decided.h"

static void the_envelope_is_frozen(void **state) {
    (void)state;
    uint8_t bytes[SLICE_HEAD_BYTES];
    struct slice slice;
    slice_head_encode(bytes, 0x01020304, 0x1112131415161718);
    assert_memory_equal(bytes, "\1\0\0\0\4\3\2\1\x18\x17\x16\x15\x14\x13\x12\x11", sizeof bytes);
    assert_true(slice_decode(bytes, sizeof bytes, &slice));
    assert_true(slice.item_count == 0x01020304 && slice.ack == 0x1112131415161718 && slice.items_bytes == 0);
    for (size_t cut = 0; cut < sizeof bytes; cut++) assert_false(slice_decode(bytes, cut, &slice));
    for (size_t at = 0; at < 4; at++) {
        for (unsigned value = 0; value < 256; value++) {
            uint8_t other[SLICE_HEAD_BYTES];
            memcpy(other, bytes, sizeof other);
            other[at] = (uint8_t)value;
            assert_int_equal(slice_decode(other, sizeof other, &slice), value == (at == 0));
        }
    }
}

/* D-15: items up to where a head runs past the end, and not more than item_count. */
static void items_are_taken_until_one_runs_past_the_end(void **state) {
    (void)state;
    uint8_t bytes[SLICE_HEAD_BYTES + 3 * (SLICE_ITEM_HEAD_BYTES + 5)];
    for (uint32_t count = 0; count < 6; count++) {
        slice_head_encode(bytes, count, 0);
        for (int i = 0; i < 3; i++) {
            uint8_t *item = bytes + SLICE_HEAD_BYTES + i * (SLICE_ITEM_HEAD_BYTES + 5);
            slice_item_head_encode(item, 5, SLICE_READ);
            memset(item + SLICE_ITEM_HEAD_BYTES, i, 5);
        }
        for (size_t length = SLICE_HEAD_BYTES; length <= sizeof bytes; length++) {
            struct slice slice;
            struct slice_item item;
            size_t at = 0;
            uint32_t index = 0, taken = 0;
            assert_true(slice_decode(bytes, length, &slice));
            for (; slice_item_next(&slice, &at, &index, &item); taken++) {
                assert_int_equal(item.kind, SLICE_READ);
                assert_int_equal(item.body_bytes, 5);
                assert_int_equal(item.body[4], taken);
            }
            size_t whole = (length - SLICE_HEAD_BYTES) / (SLICE_ITEM_HEAD_BYTES + 5);
            assert_int_equal(taken, whole < count ? whole : count);
        }
    }
    struct slice slice;
    struct slice_item item;
    size_t at = 0;
    uint32_t index = 0;
    slice_head_encode(bytes, 3, 0);
    bytes_put_le32(bytes + SLICE_HEAD_BYTES, UINT32_MAX);
    assert_true(slice_decode(bytes, sizeof bytes, &slice));
    assert_false(slice_item_next(&slice, &at, &index, &item));
    bytes_put_le32(bytes + SLICE_HEAD_BYTES, 5);
    bytes[SLICE_HEAD_BYTES + 6] = 1; /* zero bytes that are not: of no known kind */
    assert_true(slice_item_next(&slice, &at, &index, &item));
    assert_int_equal(item.kind, 0);
}

enum { OP_BYTES = 13 };
static const uint8_t get_op[OP_BYTES + 1] = {OPERATION_GET, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 'k', 0};
static const uint8_t delete_op[OP_BYTES] = {OPERATION_DELETE, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 'k'};
static const uint8_t cancel_op[12] = {OPERATION_CANCEL};

/* A READ or WRITE body with the operations given. */
static struct slice_item request_item(uint8_t kind, uint8_t *body, uint32_t op_count, const uint8_t *ops, size_t ops_bytes) {
    uint8_t id[32] = {1}, digest[32] = {2};
    size_t head = kind == SLICE_WRITE ? (size_t)SLICE_WRITE_HEAD_BYTES : (size_t)SLICE_READ_HEAD_BYTES;
    if (kind == SLICE_WRITE) {
        slice_write_head_encode(body, id, 9, 8, digest, PART_FLAG_ATOMIC, op_count);
    } else {
        slice_read_head_encode(body, op_count);
    }
    memcpy(body + head, ops, ops_bytes);
    return (struct slice_item){.kind = kind, .body = body, .body_bytes = (uint32_t)(head + ops_bytes)};
}

static void requests_read_back(void **state) {
    (void)state;
    uint8_t body[256];
    struct slice_request request;
    struct slice_item item = request_item(SLICE_WRITE, body, 1, delete_op, OP_BYTES);
    assert_true(slice_request_decode(&item, &request));
    assert_true(request.write && request.number == 9 && request.floor == 8 && request.flags == PART_FLAG_ATOMIC && request.op_count == 1);
    assert_int_equal(request.client_id[0], 1);
    assert_int_equal(request.part_digest[0], 2);
    assert_int_equal(request.ops_bytes, OP_BYTES);
    item = request_item(SLICE_READ, body, 1, get_op, OP_BYTES);
    assert_true(slice_request_decode(&item, &request));
    assert_true(!request.write && request.op_count == 1);
}

static bool request_decodes(uint8_t kind, uint32_t op_count, const uint8_t *ops, size_t ops_bytes) {
    uint8_t body[256];
    struct slice_request request;
    struct slice_item item = request_item(kind, body, op_count, ops, ops_bytes);
    return slice_request_decode(&item, &request);
}

static void requests_outside_the_tables_are_refused(void **state) {
    (void)state;
    for (size_t cut = 0; cut < OP_BYTES; cut++) {
        assert_false(request_decodes(SLICE_READ, 1, get_op, cut));
        assert_false(request_decodes(SLICE_WRITE, 1, delete_op, cut));
    }
    assert_false(request_decodes(SLICE_READ, 1, get_op, OP_BYTES + 1));
    assert_false(request_decodes(SLICE_READ, 0, get_op, 0));
    assert_false(request_decodes(SLICE_READ, 2, get_op, OP_BYTES));
    assert_false(request_decodes(SLICE_READ, UINT32_MAX, get_op, OP_BYTES));
    assert_false(request_decodes(SLICE_READ, 1, delete_op, OP_BYTES));
    assert_false(request_decodes(SLICE_WRITE, 1, get_op, OP_BYTES));
    assert_true(request_decodes(SLICE_WRITE, 1, cancel_op, sizeof cancel_op));
    uint8_t two[24];
    memcpy(two, cancel_op, 12);
    memcpy(two + 12, cancel_op, 12);
    assert_false(request_decodes(SLICE_WRITE, 2, two, sizeof two));
    uint8_t body[256];
    struct slice_request request;
    struct slice_item item = request_item(SLICE_WRITE, body, 1, delete_op, OP_BYTES);
    for (uint32_t cut = 0; cut < SLICE_WRITE_HEAD_BYTES; cut++) {
        struct slice_item short_item = {.kind = SLICE_WRITE, .body = body, .body_bytes = cut};
        assert_false(slice_request_decode(&short_item, &request));
    }
    for (uint32_t cut = 0; cut < SLICE_READ_HEAD_BYTES; cut++) {
        struct slice_item short_item = {.kind = SLICE_READ, .body = body, .body_bytes = cut};
        assert_false(slice_request_decode(&short_item, &request));
    }
    for (unsigned value = 0; value < 256; value++) {
        for (size_t at = 80; at < 84; at++) {
            uint8_t kept = body[at];
            body[at] = (uint8_t)value;
            assert_int_equal(slice_request_decode(&item, &request), at == 80 ? value <= 3 : value == 0);
            body[at] = kept;
        }
    }
    const struct {
        uint64_t number, floor;
        bool good;
    } numbers[] = {{1, 1, true}, {0, 0, false}, {1, 0, false}, {1, 2, false}, {UINT64_MAX, UINT64_MAX, true}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        bytes_put_le64(body + 32, numbers[i].number);
        bytes_put_le64(body + 40, numbers[i].floor);
        assert_int_equal(slice_request_decode(&item, &request), numbers[i].good);
    }
    item = request_item(SLICE_READ, body, 1, get_op, OP_BYTES);
    for (size_t at = 4; at < 8; at++) {
        body[at] = 1;
        assert_false(slice_request_decode(&item, &request));
        body[at] = 0;
    }
}

static size_t answer_body(uint8_t *body) {
    slice_answer_head_encode(body, 77, 2);
    size_t at = SLICE_ANSWER_HEAD_BYTES;
    for (uint32_t i = 0; i < 2; i++) {
        struct slice_part part = {.code = CODE_OK, .op_count = 1 + i, .height = 5, .index = 6 + i, .results_bytes = 8 * (1 + i)};
        slice_part_head_encode(body + at, &part);
        memset(body + at + SLICE_PART_HEAD_BYTES, 0, part.results_bytes);
        at += SLICE_PART_HEAD_BYTES + part.results_bytes;
    }
    return at;
}

static void answers_read_back_and_their_parts_fill_them_exactly(void **state) {
    (void)state;
    uint8_t body[256] = {0};
    size_t count = answer_body(body);
    struct slice_item item = {.kind = SLICE_ANSWER, .body = body, .body_bytes = (uint32_t)count};
    struct slice_answer answer;
    struct slice_part part;
    size_t at = 0;
    assert_true(slice_answer_decode(&item, &answer));
    assert_true(answer.request_dseq == 77 && answer.part_count == 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_true(slice_part_next(&answer, &at, &part));
        assert_true(part.op_count == 1 + i && part.height == 5 && part.index == 6 + i && part.results_bytes == 8 * (1 + i));
    }
    assert_false(slice_part_next(&answer, &at, &part));
    for (uint32_t length = 0; length <= count + 30; length++) {
        item.body_bytes = length;
        assert_int_equal(slice_answer_decode(&item, &answer), length == count);
    }
    item.body_bytes = (uint32_t)count;
    for (uint32_t parts = 0; parts < 5; parts++) {
        bytes_put_le32(body + 8, parts);
        assert_int_equal(slice_answer_decode(&item, &answer), parts == 2);
    }
    bytes_put_le32(body + 8, UINT32_MAX);
    assert_false(slice_answer_decode(&item, &answer));
    bytes_put_le32(body + 8, 2);
    for (size_t zero = 12; zero < 20; zero++) {
        if (zero == 16) continue; /* the part's code */
        body[zero] = 1;
        assert_false(slice_answer_decode(&item, &answer));
        body[zero] = 0;
    }
    bytes_put_le32(body + SLICE_ANSWER_HEAD_BYTES + 20, UINT32_MAX);
    assert_false(slice_answer_decode(&item, &answer));
}

static void routing_entries_read_back(void **state) {
    (void)state;
    struct routing in = {.relay = 3, .flags = 2, .op_count = 700, .reserved_bytes = 90000}, out;
    memset(in.client_id, 1, 32);
    memset(in.part_digest, 2, 32);
    uint8_t bytes[ROUTING_BYTES], again[ROUTING_BYTES], hash[32], expected[32], preimage[1 + ROUTING_BYTES];
    routing_encode(&in, bytes);
    routing_decode(bytes, &out);
    routing_encode(&out, again);
    assert_memory_equal(bytes, again, sizeof bytes);
    assert_true(out.relay == 3 && out.flags == 2 && out.op_count == 700 && out.reserved_bytes == 90000);
    preimage[0] = 0x10;
    memcpy(preimage + 1, bytes, sizeof bytes);
    sha256_hash(preimage, sizeof preimage, expected);
    routing_hash(bytes, sizeof bytes, hash);
    assert_memory_equal(hash, expected, 32);
}

static uint8_t *client_item(uint8_t kind, size_t *count) {
    uint8_t digest[32] = {3}, results[8] = {0};
    struct client_item head = {.kind = kind, .shard = SHARD_CLUSTER_BASE, .part_digest = digest, .height = 9, .index = 4, .op_count = 1};
    return decided_item(head, results, sizeof results, count);
}

static void client_items_are_held_to_their_table(void **state) {
    (void)state;
    size_t count;
    struct client_item item;
    for (uint8_t kind = 1; kind <= 2; kind++) {
        uint8_t *bytes = client_item(kind, &count);
        assert_true(slice_client_item_decode(bytes, count, &item));
        assert_true(item.kind == kind && item.height == 9 && item.index == 4 && item.op_count == 1 && item.results_bytes == 8);
        for (size_t cut = 0; cut < count; cut++) assert_false(slice_client_item_decode(bytes, cut, &item));
        for (unsigned value = 0; value < 256; value++) {
            bytes[1] = (uint8_t)value;
            assert_int_equal(slice_client_item_decode(bytes, count, &item), operation_code_class((uint8_t)value) != CLASS_UNKNOWN);
            bytes[1] = 0;
            bytes[2] = (uint8_t)value;
            assert_int_equal(slice_client_item_decode(bytes, count, &item), value == 0);
            bytes[2] = 0;
            bytes[0] = (uint8_t)value;
            assert_int_equal(slice_client_item_decode(bytes, count, &item), value == 1 || value == 2);
            bytes[0] = kind;
        }
        bytes_put_le32(bytes + 52, 1); /* first_op */
        assert_int_equal(slice_client_item_decode(bytes, count, &item), kind == CLIENT_ITEM_OPERATION);
        bytes_put_le32(bytes + 52, 0);
        bytes_put_le32(bytes + 56, 2); /* op_count */
        assert_int_equal(slice_client_item_decode(bytes, count, &item), kind == CLIENT_ITEM_PART);
        bytes_put_le32(bytes + 56, 1);
        bytes_put_le32(bytes + 60, 7);
        assert_false(slice_client_item_decode(bytes, count, &item));
        bytes_put_le32(bytes + 60, UINT32_MAX);
        assert_false(slice_client_item_decode(bytes, count, &item));
        free(bytes);
    }
}

static void a_client_slice_gives_the_root_of_its_items(void **state) {
    (void)state;
    size_t count, counts[3];
    uint8_t *items[3], *bytes;
    static const uint8_t digest[32] = {3}, results[600] = {4};
    static const size_t lengths[3] = {SLICE_LONG_BYTES - 1, SLICE_LONG_BYTES, 600};
    struct decided_item list[3];
    tree_hash leaves[3], expected, root;
    for (int i = 0; i < 3; i++) {
        struct client_item head = {.kind = i == 2 ? CLIENT_ITEM_OPERATION : CLIENT_ITEM_PART, .part_digest = digest, .op_count = 3};
        items[i] = decided_item(head, results, lengths[i], &counts[i]);
        list[i] = (struct decided_item){items[i], counts[i]};
        tree_leaf_hash(items[i], counts[i], leaves[i]);
    }
    uint8_t condensed[CLIENT_ITEM_HEAD_BYTES + 32]; /* the one of kind 1 whose results are long */
    memcpy(condensed, items[1], CLIENT_ITEM_HEAD_BYTES);
    SHA256_PREFIXED(condensed + CLIENT_ITEM_HEAD_BYTES, HASH_RESULTS, {results, SLICE_LONG_BYTES});
    tree_leaf_hash(condensed, sizeof condensed, leaves[1]);
    tree_root(leaves, 3, expected);
    bytes = decided_client_slice(list, 3, &count);
    assert_true(slice_client_root(bytes, count, 3, root));
    assert_memory_equal(root, expected, 32);
    assert_false(slice_client_root(bytes, count, 2, root)); /* the leaf's count */
    for (size_t cut = 0; cut < count; cut++) assert_false(slice_client_root(bytes, cut, 3, root));
    for (size_t at = 4; at < count; at++) { /* another byte anywhere is another root, or none */
        bytes[at] ^= 1;
        assert_true(!slice_client_root(bytes, count, 3, root) || memcmp(root, expected, 32) != 0);
        bytes[at] ^= 1;
    }
    bytes_put_le32(bytes, 2);
    assert_false(slice_client_root(bytes, count, 2, root));
    bytes_put_le32(bytes, 3);
    bytes_put_le32(bytes + 4, UINT32_MAX);
    assert_false(slice_client_root(bytes, count, 3, root));
    free(bytes);
    for (int i = 0; i < 3; i++) free(items[i]);
}

/* Its bytes as an item of their own have the root of what was condensed: no such item is taken. */
static void a_condensed_item_is_no_item(void **state) {
    (void)state;
    size_t count, condensed_count;
    static const uint8_t digest[32] = {3}, results[SLICE_LONG_BYTES] = {4};
    struct client_item head = {.kind = CLIENT_ITEM_PART, .part_digest = digest, .op_count = 1};
    uint8_t *item = decided_item(head, results, sizeof results, &count), condensed[CLIENT_ITEM_HEAD_BYTES + 32];
    tree_hash hash, other;
    assert_true(slice_client_item_hash(item, count, hash));
    memcpy(condensed, item, CLIENT_ITEM_HEAD_BYTES);
    slice_results_hash(results, sizeof results, 1, condensed + CLIENT_ITEM_HEAD_BYTES);
    tree_leaf_hash(condensed, sizeof condensed, other);
    assert_memory_equal(hash, other, 32);
    assert_false(slice_client_item_hash(condensed, sizeof condensed, other));
    uint8_t *slice = decided_client_slice(&(struct decided_item){condensed, sizeof condensed}, 1, &condensed_count);
    assert_false(slice_client_root(slice, condensed_count, 1, other));
    free(slice);
    free(item);
}

static void hashes_of_slices_have_their_prefix(void **state) {
    (void)state;
    uint8_t hash[32], expected[32], items_hash[32];
    sha256_hash("\x0F"
                "abc"
                "\x03\0\0\0\0\0\0",
                12, items_hash);
    uint8_t slice[19] = "0123456789abcdefabc", preimage[49] = "\x0A"
                                                              "0123456789abcdef";
    memcpy(preimage + 17, items_hash, 32);
    sha256_hash(preimage, sizeof preimage, expected);
    slice_hash(slice, sizeof slice, hash);
    assert_memory_equal(hash, expected, 32);
    slice_hash_of_items(slice, items_hash, hash);
    assert_memory_equal(hash, expected, 32);
}

enum { LONG_PARTS = 3, LONG_OPS = 3, LONG_ITEM = 8 + 16 + LONG_PARTS * 24 + 511 + 512 + 700 };

/* Two ANSWER items, each of parts with 511, 512 and 700 bytes of results. */
static void long_answers(uint8_t out[2 * LONG_ITEM]) {
    static const uint32_t lengths[LONG_PARTS] = {511, 512, 700};
    uint8_t *at = out;
    for (uint32_t i = 0; i < 2; i++) {
        slice_item_head_encode(at, LONG_ITEM - 8, SLICE_ANSWER);
        slice_answer_head_encode(at + 8, 5 + i, LONG_PARTS);
        at += 8 + 16;
        for (uint32_t k = 0; k < LONG_PARTS; k++) {
            slice_part_head_encode(at, &(struct slice_part){.op_count = LONG_OPS, .results_bytes = lengths[k]});
            memset(at + 24, (int)(10 * i + k), lengths[k]);
            at += 24 + lengths[k];
        }
    }
}

static void items_hash_of(const uint8_t *items, size_t count, uint8_t out[32]) {
    struct slice_items_hash hash;
    slice_items_hash_init(&hash);
    slice_items_hash_add(&hash, items, count, NULL);
    slice_items_hash_final(&hash, out);
}

/* D-36, spelt out. */
static void long_results_enter_the_items_hash_by_one_of_their_own(void **state) {
    (void)state;
    uint8_t items[2 * LONG_ITEM], expected[32], found[32], digests[4][32], length[8];
    long_answers(items);
    bytes_put_le64(length, sizeof items);
    const size_t first = 8 + 16 + 24 + 511 + 24; /* of an item, where the 512 begin */
    for (size_t i = 0; i < 2; i++) {
        SHA256_PREFIXED(digests[2 * i], HASH_RESULTS, {items + i * LONG_ITEM + first, 512});
        SHA256_PREFIXED(digests[2 * i + 1], HASH_RESULTS, {items + i * LONG_ITEM + first + 512 + 24, 700});
    }
    SHA256_PREFIXED(expected, HASH_ITEMS, {items, first}, {digests[0], 32}, {items + first + 512, 24}, {digests[1], 32}, {items + LONG_ITEM, first},
                    {digests[2], 32}, {items + LONG_ITEM + first + 512, 24}, {digests[3], 32}, {length, 8});
    items_hash_of(items, sizeof items, found);
    assert_memory_equal(found, expected, 32);
    struct slice_items_hash bits; /* item by item */
    slice_items_hash_init(&bits);
    slice_items_hash_add(&bits, items, LONG_ITEM, NULL);
    slice_items_hash_add(&bits, items + LONG_ITEM, LONG_ITEM, NULL);
    slice_items_hash_final(&bits, found);
    assert_memory_equal(found, expected, 32);
    for (size_t at = 0; at < sizeof items; at++) {
        items[at] ^= 1;
        items_hash_of(items, sizeof items, found);
        assert_true(memcmp(found, expected, 32) != 0);
        items[at] ^= 1;
    }
}

static void long_results_are_noted_where_they_lie(void **state) {
    (void)state;
    uint8_t slice[16 + 2 * LONG_ITEM] = {1}, hash[32], noting[32];
    long_answers(slice + 16);
    struct slice_long list[8];
    assert_true(slice_longs_max(sizeof slice) >= 4);
    for (uint32_t room = 0; room <= 5; room++) {
        struct slice_longs longs = {.list = list, .room = room};
        slice_hash(slice, sizeof slice, hash);
        slice_hash_noting(slice, sizeof slice, &longs, noting);
        assert_memory_equal(hash, noting, 32);
        assert_int_equal(longs.count, room < 4 ? room : 4);
        for (uint32_t i = 0; i < longs.count; i++) {
            const size_t at = 16 + i / 2 * LONG_ITEM + 8 + 16 + 24 + 511 + 24 + (i % 2 == 1 ? 512 + 24 : 0);
            SHA256_PREFIXED(hash, HASH_RESULTS, {slice + at, i % 2 == 1 ? 700 : 512});
            assert_int_equal(list[i].at, at);
            assert_memory_equal(list[i].hash, hash, 32);
        }
    }
}

/* The condensed bytes by themselves, whatever length they claim, hash to something else. */
static void condensed_items_are_other_items(void **state) {
    (void)state;
    uint8_t items[2 * LONG_ITEM], condensed[LONG_ITEM], hash[32], other[32];
    long_answers(items);
    const size_t first = 8 + 16 + 24 + 511 + 24;
    memcpy(condensed, items, first);
    slice_results_hash(items + first, 512, LONG_OPS, condensed + first);
    memcpy(condensed + first + 32, items + first + 512, 24);
    slice_results_hash(items + first + 512 + 24, 700, LONG_OPS, condensed + first + 56);
    items_hash_of(items, LONG_ITEM, hash);
    const size_t length = first + 88;
    for (size_t tail = 0; tail <= 8; tail += 8) { /* with the length that the preimage ends with, too */
        bytes_put_le64(condensed + length, LONG_ITEM);
        items_hash_of(condensed, length + tail, other);
        assert_true(memcmp(hash, other, 32) != 0);
        bytes_put_le32(condensed, (uint32_t)(length + tail - 8));
        items_hash_of(condensed, length + tail, other);
        assert_true(memcmp(hash, other, 32) != 0);
        bytes_put_le32(condensed, LONG_ITEM - 8);
    }
}

enum {
    VALUES = 40, /* more than are hashed at once */
    VALUES_RESULTS = VALUES * (8 + 512) + VALUES / 2 * 12 + (VALUES - 1) * VALUES / 2,
    VALUES_ITEM = 8 + 16 + 24 + VALUES_RESULTS,
};

/* An ANSWER item of one part with values of 512 bytes and more, each second one with its version. places[i]: of value i, from the
 * item's first byte. */
static void long_values(uint8_t out[VALUES_ITEM], uint32_t op_count, uint32_t places[VALUES]) {
    slice_item_head_encode(out, VALUES_ITEM - 8, SLICE_ANSWER);
    slice_answer_head_encode(out + 8, 5, 1);
    slice_part_head_encode(out + 24, &(struct slice_part){.op_count = op_count, .results_bytes = VALUES_RESULTS});
    uint32_t at = 48;
    for (uint32_t i = 0; i < VALUES; i++) {
        memcpy(out + at, (const uint8_t[4]){0, i % 2 ? RESULT_FLAG_VERSION : 0}, 4);
        bytes_put_le32(out + at + 4, 512 + i);
        at += 8;
        for (; i % 2 && at < places[i - 1] + 512 + i - 1 + 8 + 12; at++) out[at] = 7;
        places[i] = at;
        memset(out + at, (int)i, 512 + i);
        at += 512 + i;
    }
    assert_int_equal(at, VALUES_ITEM);
}

/* The items_hash with these hashes in place of the values. */
static void long_values_hash(const uint8_t *item, const uint32_t places[VALUES], const struct slice_long *values, uint8_t out[32]) {
    struct sha256_state state;
    uint8_t results_hash[32], length[8];
    uint32_t from = 48;
    sha256_init_prefixed(&state, HASH_RESULTS_SHORTENED);
    for (uint32_t i = 0; i < VALUES; i++) {
        sha256_update(&state, item + from, places[i] - from);
        sha256_update(&state, values[i].hash, 32);
        from = places[i] + 512 + i;
    }
    bytes_put_le64(length, VALUES_RESULTS);
    sha256_update(&state, length, 8);
    sha256_final(&state, results_hash);
    bytes_put_le64(length, VALUES_ITEM);
    SHA256_PREFIXED(out, HASH_ITEMS, {item, 48}, {results_hash, 32}, {length, 8});
}

static uint32_t known_items_hash_of(const uint8_t *items, size_t count, const struct slice_longs *values, uint8_t out[32]) {
    struct slice_items_hash hash;
    slice_items_hash_init(&hash);
    uint32_t taken = slice_items_hash_add_known(&hash, items, count, values);
    slice_items_hash_final(&hash, out);
    return taken;
}

/* D-36, spelt out; hashes that the caller knows are what is hashed, where they belong to a place, and are made elsewhere. */
static void long_values_enter_the_results_hash_by_one_of_their_own(void **state) {
    (void)state;
    static uint8_t item[VALUES_ITEM];
    uint32_t places[VALUES];
    uint8_t expected[32], found[32];
    struct slice_long values[VALUES], some[VALUES];
    long_values(item, VALUES, places);
    for (uint32_t i = 0; i < VALUES; i++) {
        values[i].at = 16 + places[i];
        SHA256_PREFIXED(values[i].hash, HASH_VALUE, {item + places[i], 512 + i});
    }
    long_values_hash(item, places, values, expected);
    items_hash_of(item, sizeof item, found);
    assert_memory_equal(found, expected, 32);
    for (uint32_t every = 1; every <= VALUES; every++) { /* each one, each second one, ... is known */
        struct slice_longs known = {.list = some};
        for (uint32_t i = every - 1; i < VALUES; i += every) some[known.count++] = values[i];
        assert_int_equal(known_items_hash_of(item, sizeof item, &known, found), known.count);
        assert_memory_equal(found, expected, 32);
    }
    struct slice_longs known = {.list = values, .count = VALUES};
    values[33].at++; /* it is of something else */
    values[33].hash[0] ^= 1;
    assert_int_equal(known_items_hash_of(item, sizeof item, &known, found), VALUES - 1);
    assert_memory_equal(found, expected, 32);
    values[33].at--; /* it is what is used */
    assert_int_equal(known_items_hash_of(item, sizeof item, &known, found), VALUES);
    long_values_hash(item, places, values, expected);
    assert_memory_equal(found, expected, 32);
    items_hash_of(item, sizeof item, expected);
    assert_memory_not_equal(found, expected, 32);
    for (size_t at = 0; at < sizeof item; at += at < 700 ? 1 : 97) {
        item[at] ^= 1;
        items_hash_of(item, sizeof item, found);
        assert_memory_not_equal(found, expected, 32);
        item[at] ^= 1;
    }
}

/* Lengths that would be in bounds if their sum with the version's were cut to 32 bits: the walk ends there, and reads nothing beyond. */
static void a_value_beyond_the_end_of_results_ends_the_walk(void **state) {
    (void)state;
    static const uint32_t lengths[] = {513, UINT32_MAX, UINT32_MAX - 11, UINT32_MAX - 8, UINT32_MAX / 2 + 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        enum { BYTES = 8 + 600 + 8 + 524 }; /* a long value, then a head with a version that says more than is there */
        uint8_t *results = calloc(1, BYTES), value_hash[32], length[8], expected[32], found[32];
        assert_non_null(results);
        bytes_put_le32(results + 4, 600);
        results[608 + 1] = RESULT_FLAG_VERSION;
        bytes_put_le32(results + 608 + 4, lengths[i]);
        bytes_put_le64(length, BYTES);
        SHA256_PREFIXED(value_hash, HASH_VALUE, {results + 8, 600});
        SHA256_PREFIXED(expected, HASH_RESULTS_SHORTENED, {results, 8}, {value_hash, 32}, {results + 608, BYTES - 608}, {length, 8});
        slice_results_hash(results, BYTES, 2, found);
        assert_memory_equal(found, expected, 32);
        free(results);
    }
}

/* A part with short results in the mean is hashed whole, whatever lies in it. */
static void values_of_parts_with_short_results_are_not_looked_for(void **state) {
    (void)state;
    static uint8_t item[VALUES_ITEM];
    uint32_t places[VALUES];
    uint8_t whole[32], shortened[32], found[32];
    long_values(item, 0, places);
    const uint8_t *results = item + 48;
    SHA256_PREFIXED(whole, HASH_RESULTS, {results, VALUES_RESULTS});
    slice_results_hash(results, VALUES_RESULTS, 0, shortened);
    slice_results_hash(results, VALUES_RESULTS, VALUES_RESULTS / SLICE_LONG_MEAN_BYTES, found);
    assert_memory_equal(found, shortened, 32);
    slice_results_hash(results, VALUES_RESULTS, VALUES_RESULTS / SLICE_LONG_MEAN_BYTES + 1, found);
    assert_memory_equal(found, whole, 32);
    slice_results_hash(results, VALUES_RESULTS, UINT32_MAX, found);
    assert_memory_equal(found, whole, 32);
    slice_results_hash(results, VALUES_RESULTS, 1 << 24, found); /* 256 times as many are none in 32 bits */
    assert_memory_equal(found, whole, 32);
    slice_results_hash(results, 2 * SLICE_LONG_BYTES, 4, found); /* exactly the mean */
    slice_results_hash(results, 2 * SLICE_LONG_BYTES, 0, shortened);
    assert_memory_equal(found, shortened, 32);
    SHA256_PREFIXED(whole, HASH_RESULTS, {results, 2 * SLICE_LONG_BYTES});
    assert_memory_not_equal(whole, shortened, 32);
}

/* The shortened bytes by themselves, with or without the length that their preimage ends with, hash to something else, and so do the same bytes under
 * the other prefix. */
static void shortened_results_are_other_results(void **state) {
    (void)state;
    uint8_t results[2 * (8 + 600)] = {0}, shortened[2 * (8 + 600)], hash[32], other[32];
    size_t at = 0;
    for (size_t i = 0; i < 2; i++) {
        uint8_t *head = results + i * 608;
        bytes_put_le32(head + 4, 600);
        memset(head + 8, (int)i + 1, 600);
        memcpy(shortened + at, head, 8);
        SHA256_PREFIXED(shortened + at + 8, HASH_VALUE, {head + 8, 600});
        at += 40;
    }
    bytes_put_le64(shortened + at, sizeof results);
    slice_results_hash(results, sizeof results, 2, hash);
    SHA256_PREFIXED(other, HASH_RESULTS_SHORTENED, {shortened, at + 8});
    assert_memory_equal(hash, other, 32);
    for (uint32_t ops = 0; ops <= 2; ops++) {
        for (size_t tail = 0; tail <= 8; tail += 8) {
            slice_results_hash(shortened, at + tail, ops, other);
            assert_memory_not_equal(hash, other, 32);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_envelope_is_frozen),
        cmocka_unit_test(items_are_taken_until_one_runs_past_the_end),
        cmocka_unit_test(requests_read_back),
        cmocka_unit_test(requests_outside_the_tables_are_refused),
        cmocka_unit_test(answers_read_back_and_their_parts_fill_them_exactly),
        cmocka_unit_test(routing_entries_read_back),
        cmocka_unit_test(client_items_are_held_to_their_table),
        cmocka_unit_test(a_client_slice_gives_the_root_of_its_items),
        cmocka_unit_test(a_condensed_item_is_no_item),
        cmocka_unit_test(hashes_of_slices_have_their_prefix),
        cmocka_unit_test(long_results_enter_the_items_hash_by_one_of_their_own),
        cmocka_unit_test(long_results_are_noted_where_they_lie),
        cmocka_unit_test(condensed_items_are_other_items),
        cmocka_unit_test(long_values_enter_the_results_hash_by_one_of_their_own),
        cmocka_unit_test(a_value_beyond_the_end_of_results_ends_the_walk),
        cmocka_unit_test(values_of_parts_with_short_results_are_not_looked_for),
        cmocka_unit_test(shortened_results_are_other_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
