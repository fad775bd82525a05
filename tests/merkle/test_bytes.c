/* The cursor and the writer: little-endian, never beyond their bounds, failure sticks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/bytes.h"

static const uint8_t counted[16] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0xf0};

static void integers_are_little_endian(void **state) {
    (void)state;
    struct bytes_cursor cursor = bytes_cursor_of(counted, 15);
    assert_int_equal(bytes_get_u8(&cursor), 0x01);
    assert_int_equal(bytes_get_u16(&cursor), 0x0302);
    assert_int_equal(bytes_get_u32(&cursor), 0x07060504);
    assert_true(bytes_get_u64(&cursor) == UINT64_C(0x0f0e0d0c0b0a0908));
    assert_true(bytes_finished(&cursor));
    cursor = bytes_cursor_of(counted + 8, 8);
    assert_true(bytes_get_i64(&cursor) == INT64_C(-0xff0f1f2f3f4f5f7));
}

static void a_written_item_reads_back(void **state) {
    (void)state;
    uint8_t room[64], hash[32];
    memset(hash, 7, sizeof hash);
    struct bytes_writer writer = bytes_writer_of(room, sizeof room);
    bytes_put_u8(&writer, 0xfe);
    bytes_put_u16(&writer, 0xfedc);
    bytes_put_u32(&writer, 0xfedcba98);
    bytes_put_u64(&writer, UINT64_C(0xfedcba9876543210));
    bytes_put_i64(&writer, INT64_MIN);
    bytes_put_hash(&writer, hash);
    bytes_put_raw(&writer, "xyz", 3);
    assert_false(writer.failed);
    assert_int_equal(writer.used, 1 + 2 + 4 + 8 + 8 + 32 + 3);
    struct bytes_cursor cursor = bytes_cursor_of(room, writer.used);
    uint8_t back[32];
    assert_int_equal(bytes_get_u8(&cursor), 0xfe);
    assert_int_equal(bytes_get_u16(&cursor), 0xfedc);
    assert_true(bytes_get_u32(&cursor) == 0xfedcba98);
    assert_true(bytes_get_u64(&cursor) == UINT64_C(0xfedcba9876543210));
    assert_true(bytes_get_i64(&cursor) == INT64_MIN);
    assert_true(bytes_get_hash(&cursor, back));
    assert_memory_equal(back, hash, 32);
    assert_false(bytes_finished(&cursor));
    assert_memory_equal(bytes_get_raw(&cursor, 3), "xyz", 3);
    assert_true(bytes_finished(&cursor));
}

static void reading_one_byte_too_many_fails_for_good(void **state) {
    (void)state;
    for (size_t have = 0; have < 8; have++) {
        struct bytes_cursor cursor = bytes_cursor_of(counted, have);
        assert_true(bytes_get_u64(&cursor) == 0);
        assert_true(cursor.failed);
        assert_int_equal(bytes_get_u8(&cursor), 0); /* though a byte would be there */
        assert_null(bytes_get_raw(&cursor, 0));
        assert_false(bytes_finished(&cursor));
    }
    uint8_t hash[32];
    memset(hash, 1, sizeof hash);
    struct bytes_cursor cursor = bytes_cursor_of(counted, 16);
    assert_false(bytes_get_hash(&cursor, hash));
    for (size_t i = 0; i < 32; i++) assert_int_equal(hash[i], 0);
    cursor = bytes_cursor_of(counted, 16);
    assert_null(bytes_get_raw(&cursor, SIZE_MAX));
    assert_true(cursor.failed);
}

static void a_required_value_that_is_not_fails_the_cursor(void **state) {
    (void)state;
    struct bytes_cursor cursor = bytes_cursor_of(counted, 1);
    bytes_require(&cursor, bytes_get_u8(&cursor) == 1);
    assert_true(bytes_finished(&cursor));
    bytes_require(&cursor, false);
    assert_false(bytes_finished(&cursor));
}

static void writing_beyond_the_room_writes_nothing_more(void **state) {
    (void)state;
    uint8_t room[8];
    memset(room, 0xaa, sizeof room);
    struct bytes_writer writer = bytes_writer_of(room, 5);
    bytes_put_u32(&writer, 0);
    bytes_put_u16(&writer, 0);
    assert_true(writer.failed);
    assert_int_equal(writer.used, 4);
    bytes_put_u8(&writer, 0); /* would fit, but failure sticks */
    assert_null(bytes_put_space(&writer, 1));
    assert_int_equal(writer.used, 4);
    for (size_t i = 4; i < sizeof room; i++) assert_int_equal(room[i], 0xaa);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(a_written_item_reads_back),
        cmocka_unit_test(reading_one_byte_too_many_fails_for_good),
        cmocka_unit_test(a_required_value_that_is_not_fails_the_cursor),
        cmocka_unit_test(writing_beyond_the_room_writes_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
