/* Outbox leaves (spec/decisions.md D-9, D-10). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "protocol/leaf.h"

static void fill(uint8_t *out, size_t count, uint8_t from) {
    for (size_t i = 0; i < count; i++) out[i] = (uint8_t)(from + i);
}

static struct leaf cluster_leaf(void) {
    struct leaf leaf = {.kind = LEAF_KIND_CLUSTER, .source = 0x10000, .destination = 0x20001, .height = 77, .dseq = 5, .slice_bytes = 16};
    fill(leaf.system_id, 16, 1);
    fill(leaf.previous, 32, 50);
    fill(leaf.slice_hash, 32, 100);
    return leaf;
}

static struct leaf client_leaf(void) {
    struct leaf leaf = {.kind = LEAF_KIND_CLIENT, .source = 0x10000, .item_count = 3, .height = 77, .time = 9999, .slice_bytes = 300};
    fill(leaf.system_id, 16, 1);
    fill(leaf.client_id, 32, 50);
    fill(leaf.slice_hash, 32, 100);
    return leaf;
}

/* The bytes that the tables give, written out by hand. */
static void leaves_lie_as_the_tables_say(void **state) {
    (void)state;
    struct leaf leaves[2] = {cluster_leaf(), client_leaf()};
    for (int i = 0; i < 2; i++) {
        uint8_t expected[LEAF_BYTES] = {(uint8_t)(i + 1), 1, 0, 0, 0, 0, 1, 0}, bytes[LEAF_BYTES], again[LEAF_BYTES];
        bytes_put_le32(expected + 8, i == 0 ? 0x20001 : 3);
        fill(expected + 12, 16, 1);
        bytes_put_le64(expected + 28, 77);
        bytes_put_le64(expected + 36, i == 0 ? 5 : 9999);
        fill(expected + 44, 32, 50);
        bytes_put_le32(expected + 76, i == 0 ? 16 : 300);
        fill(expected + 80, 32, 100);
        leaf_encode(&leaves[i], bytes);
        assert_memory_equal(bytes, expected, LEAF_BYTES);
        struct leaf leaf;
        assert_true(leaf_decode(bytes, &leaf));
        leaf_encode(&leaf, again);
        assert_memory_equal(again, bytes, LEAF_BYTES);
    }
}

static bool valid_with(struct leaf base, size_t offset, size_t size, uint64_t value) {
    uint8_t bytes[LEAF_BYTES], wide[8];
    struct leaf leaf;
    leaf_encode(&base, bytes);
    bytes_put_le64(wide, value);
    memcpy(bytes + offset, wide, size);
    return leaf_decode(bytes, &leaf);
}

static void kind_format_and_zero_are_fixed(void **state) {
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        assert_int_equal(valid_with(client_leaf(), 0, 1, value), value == 2 || value == 1);
        assert_int_equal(valid_with(cluster_leaf(), 0, 1, value), value == 2 || value == 1);
        assert_int_equal(valid_with(client_leaf(), 1, 1, value), value == 1);
        assert_int_equal(valid_with(cluster_leaf(), 1, 1, value), value == 1);
        assert_int_equal(valid_with(client_leaf(), 2, 1, value), value == 0);
        assert_int_equal(valid_with(cluster_leaf(), 3, 1, value), value == 0);
    }
}

static void sizes_and_counts_are_held_to_their_ranges(void **state) {
    (void)state;
    const uint64_t most = LEAF_SLICE_BYTES_MAX;
    assert_false(valid_with(cluster_leaf(), 76, 4, 15));
    assert_true(valid_with(cluster_leaf(), 76, 4, 16));
    assert_true(valid_with(cluster_leaf(), 76, 4, most));
    assert_false(valid_with(cluster_leaf(), 76, 4, most + 1));
    assert_false(valid_with(client_leaf(), 76, 4, most + 1));
    assert_false(valid_with(client_leaf(), 76, 4, UINT32_MAX));
    assert_false(valid_with(client_leaf(), 8, 4, 0));
    assert_true(valid_with(client_leaf(), 8, 4, LEAF_ITEMS_MAX));
    assert_false(valid_with(client_leaf(), 8, 4, LEAF_ITEMS_MAX + 1));
    assert_false(valid_with(cluster_leaf(), 36, 8, 0));
    assert_true(valid_with(client_leaf(), 36, 8, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_lie_as_the_tables_say),
        cmocka_unit_test(kind_format_and_zero_are_fixed),
        cmocka_unit_test(sizes_and_counts_are_held_to_their_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
