/* Operations and results (spec/operations.md O-4 to O-7, O-10): one valid encoding each, everything else refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "protocol/operation.h"

/* Decodes `count` bytes as exactly one operation. */
static bool decodes(const uint8_t *bytes, size_t count, struct operation *operation) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    return operation_decode(&cursor, operation) && bytes_finished(&cursor);
}

static size_t encode(const struct operation *operation, uint8_t *out, size_t room) {
    struct bytes_writer writer = bytes_writer_of(out, room);
    operation_encode(&writer, operation);
    assert_false(writer.failed);
    assert_int_equal(writer.used, operation_bytes(operation));
    return writer.used;
}

/* O-5's table, row by row: lengths a and b that are well formed, and whether it writes. 0xFFFF: any. */
static const struct row {
    const char *name;
    uint8_t opcode;
    bool keyed, write;
    uint32_t a[3], b[3]; /* ended by 0xFFFFFFFF; a first 0xFFFFFFFE: any */
} rows[] = {
    {"get", 1, true, false, {0xFFFFFFFE}, {0, 0xFFFFFFFF}},          {"put", 2, true, true, {0xFFFFFFFE}, {0, 0xFFFFFFFF}},
    {"put-if-absent", 3, true, true, {0xFFFFFFFE}, {0, 0xFFFFFFFF}}, {"cas", 4, true, true, {0xFFFFFFFE}, {0xFFFFFFFE}},
    {"cas-version", 5, true, true, {12, 0xFFFFFFFF}, {0xFFFFFFFE}},  {"delete", 6, true, true, {0, 0xFFFFFFFF}, {0, 0xFFFFFFFF}},
    {"add", 7, true, true, {8, 0xFFFFFFFF}, {0, 8, 0xFFFFFFFF}},     {"check", 8, true, false, {0, 12, 0xFFFFFFFF}, {0, 0xFFFFFFFF}},
    {"cancel", 9, false, true, {0, 0xFFFFFFFF}, {0, 0xFFFFFFFF}},    {"client-state", 10, false, false, {32, 0xFFFFFFFF}, {0, 0xFFFFFFFF}},
    {"cross-prepare", 16, true, true, {0xFFFFFFFE}, {0xFFFFFFFE}},   {"cross-commit", 17, true, true, {0xFFFFFFFE}, {0xFFFFFFFE}},
    {"cross-abort", 18, true, true, {0xFFFFFFFE}, {0xFFFFFFFE}},
};

static bool length_allowed(const uint32_t *list, uint32_t length) {
    if (list[0] == 0xFFFFFFFE) return true;
    for (int i = 0; list[i] != 0xFFFFFFFF; i++) {
        if (list[i] == length) return true;
    }
    return false;
}

static const struct row *row_of(unsigned opcode) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].opcode == opcode) return &rows[i];
    }
    return NULL;
}

static void the_table_of_opcodes_holds_for_every_opcode_and_length(void **state) {
    (void)state;
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        const struct row *row = row_of(opcode);
        for (unsigned key_bytes = 0; key_bytes < 3; key_bytes++) {
            for (uint32_t a = 0; a < 40; a++) {
                for (uint32_t b = 0; b < 14; b++) {
                    uint8_t bytes[128] = {(uint8_t)opcode, 0, (uint8_t)key_bytes};
                    bytes_put_le32(bytes + 4, a);
                    bytes_put_le32(bytes + 8, b);
                    struct operation operation;
                    size_t count = (size_t)OPERATION_HEAD_BYTES + key_bytes + (opcode == OPERATION_GET ? 0 : a) + b;
                    bool expected = row && row->keyed == (key_bytes > 0) && length_allowed(row->a, a) && length_allowed(row->b, b);
                    /* The reserved opcodes are well formed with any a and b; whether they carry a key is left to their edition: with one here. */
                    if (decodes(bytes, count, &operation) != expected)
                        fail_msg("opcode %u, key %u, a %" PRIu32 ", b %" PRIu32 ": expected %d", opcode, key_bytes, a, b, expected);
                }
            }
        }
        if (row) assert_string_equal(operation_opcode_name((uint8_t)opcode), row->name);
        if (row) assert_int_equal(operation_is_write((uint8_t)opcode), row->write);
        if (!row) assert_string_equal(operation_opcode_name((uint8_t)opcode), "unknown");
    }
}

static void flags_other_than_bit_0_are_malformed(void **state) {
    (void)state;
    for (unsigned flags = 0; flags < 256; flags++) {
        uint8_t bytes[13] = {OPERATION_GET, (uint8_t)flags, 1};
        struct operation operation;
        assert_int_equal(decodes(bytes, sizeof bytes, &operation), flags <= 1);
    }
}

static const struct operation samples[] = {
    {.opcode = OPERATION_GET, .flags = 1, .key_bytes = 3, .a = 1024, .key = (const uint8_t *)"key"},
    {.opcode = OPERATION_PUT, .key_bytes = 3, .a = 5, .key = (const uint8_t *)"key", .argument_a = (const uint8_t *)"value"},
    {.opcode = OPERATION_CAS,
     .key_bytes = 1,
     .a = 2,
     .b = 3,
     .key = (const uint8_t *)"k",
     .argument_a = (const uint8_t *)"ab",
     .argument_b = (const uint8_t *)"cde"},
    {.opcode = OPERATION_ADD,
     .key_bytes = 1,
     .a = 8,
     .b = 8,
     .key = (const uint8_t *)"k",
     .argument_a = (const uint8_t *)"\1\0\0\0\0\0\0\0",
     .argument_b = (const uint8_t *)"\377\377\377\377\377\377\377\377"},
    {.opcode = OPERATION_CHECK, .key_bytes = 2, .key = (const uint8_t *)"kk"},
    {.opcode = OPERATION_CANCEL},
};

static void every_truncation_of_an_operation_is_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        uint8_t bytes[64];
        struct operation operation;
        size_t count = encode(&samples[i], bytes, sizeof bytes);
        assert_true(decodes(bytes, count, &operation));
        for (size_t cut = 0; cut < count; cut++) assert_false(decodes(bytes, cut, &operation));
        bytes[count] = 0;
        assert_false(decodes(bytes, count + 1, &operation));
    }
}

static void what_is_encoded_is_decoded_again(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        uint8_t bytes[64], again[64];
        struct operation operation;
        size_t count = encode(&samples[i], bytes, sizeof bytes);
        assert_true(decodes(bytes, count, &operation));
        assert_int_equal(operation.opcode, samples[i].opcode);
        assert_int_equal(operation.a, samples[i].a);
        assert_int_equal(operation.b, samples[i].b);
        if (operation.opcode == OPERATION_GET) assert_null(operation.argument_a);
        assert_int_equal(encode(&operation, again, sizeof again), count);
        assert_memory_equal(again, bytes, count);
    }
}

static void an_argument_longer_than_all_memory_is_refused(void **state) {
    (void)state;
    uint8_t bytes[16] = {OPERATION_CAS, 0, 1};
    struct operation operation;
    bytes_put_le32(bytes + 4, UINT32_MAX);
    bytes_put_le32(bytes + 8, UINT32_MAX);
    assert_false(decodes(bytes, sizeof bytes, &operation));
}

/* O-7, whole. */
static void each_code_has_its_name_and_class(void **state) {
    (void)state;
    static const struct {
        const char *name;
        enum code_class class;
    } codes[26] = {{"OK", CLASS_DONE},           {"ABSENT", CLASS_NO},         {"EXISTS", CLASS_NO},       {"MISMATCH", CLASS_NO},
                   {"CHECK-FAILED", CLASS_NO},   {"BELOW-FLOOR", CLASS_NO},    {"WRONG-TYPE", CLASS_NO},   {"OVERFLOW", CLASS_NO},
                   {"NOT-EXECUTED", CLASS_NO},   {"UNSUPPORTED", CLASS_NO},    {"LIMIT", CLASS_NO},        {"TABLE-FULL", CLASS_NO},
                   {"WRONG-SHARD", CLASS_NO},    {"RECORDED", CLASS_DONE},     {"CANCELLED", CLASS_NO},    {NULL, CLASS_UNKNOWN},
                   {"RIGHTS", CLASS_REFUSED},    {"QUOTA", CLASS_RETRY},       {"REVOKED", CLASS_REFUSED}, {"TOO-OLD", CLASS_REFUSED},
                   {"TOO-NEW", CLASS_RETRY},     {"BUSY", CLASS_RETRY},        {NULL, CLASS_UNKNOWN},      {"REUSED", CLASS_REFUSED},
                   {"MALFORMED", CLASS_REFUSED}, {"RECORDS-FULL", CLASS_RETRY}};
    for (unsigned code = 0; code < 256; code++) {
        bool known = code < 26 && codes[code].name;
        assert_string_equal(operation_code_name((uint8_t)code), known ? codes[code].name : "unknown");
        assert_int_equal(operation_code_class((uint8_t)code), known ? codes[code].class : CLASS_UNKNOWN);
    }
}

static bool result_decodes(const uint8_t *bytes, size_t count, struct result *result) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    return result_decode(&cursor, result) && bytes_finished(&cursor);
}

static void results_read_back_and_their_truncations_do_not(void **state) {
    (void)state;
    const struct result results[] = {
        {.code = CODE_OK, .value_bytes = 5, .value = (const uint8_t *)"value"},
        {.code = CODE_OK, .flags = RESULT_FLAG_VERSION, .version = {7, 9}},
        {.code = CODE_OK, .flags = RESULT_FLAG_VERSION | RESULT_FLAG_VALUE_LEFT_OUT, .value_bytes = 70000, .version = {UINT64_MAX, UINT32_MAX}},
        {.code = CODE_ABSENT},
    };
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        uint8_t bytes[64], again[64];
        struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
        result_encode(&writer, &results[i]);
        assert_int_equal(writer.used, result_bytes(&results[i]));
        struct result result;
        assert_true(result_decodes(bytes, writer.used, &result));
        struct bytes_writer second = bytes_writer_of(again, sizeof again);
        result_encode(&second, &result);
        assert_int_equal(second.used, writer.used);
        assert_memory_equal(again, bytes, writer.used);
        for (size_t cut = 0; cut < writer.used; cut++) assert_false(result_decodes(bytes, cut, &result));
    }
}

static void a_result_with_an_unknown_code_flag_or_a_set_zero_field_is_refused(void **state) {
    (void)state;
    for (unsigned value = 0; value < 256; value++) {
        uint8_t bytes[RESULT_HEAD_BYTES + OPERATION_VERSION_BYTES] = {0};
        struct result result;
        bytes[0] = (uint8_t)value;
        assert_int_equal(result_decodes(bytes, RESULT_HEAD_BYTES, &result), operation_code_class((uint8_t)value) != CLASS_UNKNOWN);
        bytes[0] = 0;
        bytes[1] = (uint8_t)value;
        size_t count = RESULT_HEAD_BYTES + (value & 1 ? (size_t)OPERATION_VERSION_BYTES : 0);
        assert_int_equal(result_decodes(bytes, count, &result), value <= 3);
        bytes[1] = 0;
        bytes[2] = (uint8_t)value;
        assert_int_equal(result_decodes(bytes, RESULT_HEAD_BYTES, &result), value == 0);
        bytes[2] = 0;
        bytes[3] = (uint8_t)value;
        assert_int_equal(result_decodes(bytes, RESULT_HEAD_BYTES, &result), value == 0);
    }
}

static bool parses(const char *text, int64_t *number) {
    return operation_number_parse((const uint8_t *)text, strlen(text), number);
}

static void only_canonical_numbers_are_numbers(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "-",
                                        "-0",
                                        "+1",
                                        "00",
                                        "01",
                                        "-01",
                                        "1 ",
                                        " 1",
                                        "1a",
                                        "0x1",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "99999999999999999999",
                                        "18446744073709551616",
                                        "--1",
                                        "1-",
                                        "1.0"};
    static const struct {
        const char *text;
        int64_t number;
    } right[] = {{"0", 0}, {"7", 7}, {"-7", -7}, {"10", 10}, {"9223372036854775807", INT64_MAX}, {"-9223372036854775808", INT64_MIN}};
    int64_t number;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (parses(wrong[i], &number)) fail_msg("\"%s\" is no number", wrong[i]);
    }
    assert_false(operation_number_parse((const uint8_t *)"1\0", 2, &number));
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
        assert_true(parses(right[i].text, &number));
        assert_true(number == right[i].number);
        uint8_t text[OPERATION_NUMBER_BYTES_MAX];
        size_t count = operation_number_format(number, text);
        assert_int_equal(count, strlen(right[i].text));
        assert_memory_equal(text, right[i].text, count);
    }
}

static void versions_keep_height_and_index(void **state) {
    (void)state;
    uint8_t bytes[OPERATION_VERSION_BYTES];
    version_put(bytes, (struct version){.height = 0x0102030405060708, .index = 0x090a0b0c});
    assert_memory_equal(bytes, "\x08\x07\x06\x05\x04\x03\x02\x01\x0c\x0b\x0a\x09", sizeof bytes);
    struct version version = version_get(bytes);
    assert_true(version.height == 0x0102030405060708 && version.index == 0x090a0b0c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_opcodes_holds_for_every_opcode_and_length),
        cmocka_unit_test(flags_other_than_bit_0_are_malformed),
        cmocka_unit_test(every_truncation_of_an_operation_is_refused),
        cmocka_unit_test(what_is_encoded_is_decoded_again),
        cmocka_unit_test(an_argument_longer_than_all_memory_is_refused),
        cmocka_unit_test(each_code_has_its_name_and_class),
        cmocka_unit_test(results_read_back_and_their_truncations_do_not),
        cmocka_unit_test(a_result_with_an_unknown_code_flag_or_a_set_zero_field_is_refused),
        cmocka_unit_test(only_canonical_numbers_are_numbers),
        cmocka_unit_test(versions_keep_height_and_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
