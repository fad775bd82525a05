/* Bodies and references (spec/decisions.md D-1, D-2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "protocol/body.h"

enum { ROOM = BODY_HEAD_BYTES + 8 * BODY_REFERENCE_BYTES };

static void fill_hash(struct body_reference *reference) {
    for (int i = 0; i < 32; i++) reference->hash[i] = (uint8_t)(i + 1);
}

static struct body_reference sample(uint8_t kind) {
    struct body_reference reference = {.kind = kind};
    if (kind == BODY_SLICE) {
        reference.source = 0x20000;
        reference.dseq = 1;
    } else {
        reference.relay = 3;
    }
    if (kind == BODY_NOOP) {
        reference.dseq = 0x1122334455667788;
    } else {
        fill_hash(&reference);
    }
    return reference;
}

static void references_of_each_kind_read_back(void **state) {
    (void)state;
    for (uint8_t kind = 1; kind <= 4; kind++) {
        struct body_reference in = sample(kind), out;
        uint8_t bytes[BODY_REFERENCE_BYTES], again[BODY_REFERENCE_BYTES];
        body_reference_encode(&in, bytes);
        assert_true(body_reference_decode(bytes, &out));
        body_reference_encode(&out, again);
        assert_memory_equal(again, bytes, sizeof bytes);
        assert_int_equal(out.kind, kind);
        assert_int_equal(out.relay, in.relay);
        assert_true(out.dseq == in.dseq && out.source == in.source);
    }
}

static void references_outside_the_table_are_refused(void **state) {
    (void)state;
    struct body_reference out;
    for (unsigned kind = 1; kind <= 4; kind++) {
        struct body_reference in = sample((uint8_t)kind);
        uint8_t good[BODY_REFERENCE_BYTES], bytes[BODY_REFERENCE_BYTES];
        body_reference_encode(&in, good);
        for (unsigned value = 1; value < 256; value++) { /* zero */
            memcpy(bytes, good, sizeof bytes);
            bytes[2] = (uint8_t)value;
            assert_false(body_reference_decode(bytes, &out));
            memcpy(bytes, good, sizeof bytes);
            bytes[3] = (uint8_t)value;
            assert_false(body_reference_decode(bytes, &out));
            memcpy(bytes, good, sizeof bytes);
            bytes[1] = (uint8_t)value; /* relay: 0 for a SLICE */
            assert_int_equal(body_reference_decode(bytes, &out), kind != BODY_SLICE);
        }
        memcpy(bytes, good, sizeof bytes);
        bytes_put_le32(bytes + 4, kind == BODY_SLICE ? 0 : 0x20000); /* source */
        assert_false(body_reference_decode(bytes, &out));
        memcpy(bytes, good, sizeof bytes);
        bytes_put_le64(bytes + 8, kind == BODY_SLICE ? 0 : 1); /* dseq */
        assert_int_equal(body_reference_decode(bytes, &out), kind == BODY_NOOP);
        memcpy(bytes, good, sizeof bytes);
        bytes[47] ^= 1; /* hash: zeros for a NOOP */
        assert_int_equal(body_reference_decode(bytes, &out), kind != BODY_NOOP);
    }
    uint8_t bytes[BODY_REFERENCE_BYTES] = {0};
    for (unsigned kind = 0; kind < 256; kind++) {
        bytes[0] = (uint8_t)kind;
        assert_int_equal(body_reference_decode(bytes, &out), kind >= 2 && kind <= 4);
    }
}

static void the_count_and_the_length_of_a_body_must_fit(void **state) {
    (void)state;
    uint8_t body[ROOM] = {0};
    assert_int_equal(body_reference_count(body, BODY_HEAD_BYTES, 8), 0); /* the empty body */
    for (uint32_t i = 0; i < 8; i++) {
        struct body_reference reference = sample((uint8_t)(1 + i % 4));
        body_reference_encode(&reference, body + BODY_HEAD_BYTES + (size_t)i * BODY_REFERENCE_BYTES);
    }
    for (size_t bytes = 0; bytes <= ROOM; bytes++) {
        for (uint32_t count = 0; count <= 9; count++) {
            bytes_put_le32(body, count);
            bool fits = bytes == BODY_HEAD_BYTES + (size_t)count * BODY_REFERENCE_BYTES;
            assert_int_equal(body_reference_count(body, bytes, 9), fits ? (long)count : -1);
            if (fits && count > 0) assert_int_equal(body_reference_count(body, bytes, count - 1), -1); /* block_refs_max */
            if (fits) assert_int_equal(body_reference_count(body, bytes, count), (long)count);
        }
    }
    bytes_put_le32(body, UINT32_MAX);
    assert_int_equal(body_reference_count(body, ROOM, UINT32_MAX), -1);
}

static void one_bad_reference_spoils_the_body(void **state) {
    (void)state;
    for (uint32_t bad = 0; bad < 8; bad++) {
        uint8_t body[ROOM];
        bytes_put_le32(body, 8);
        for (uint32_t i = 0; i < 8; i++) {
            struct body_reference reference = sample(BODY_BATCH);
            body_reference_encode(&reference, body + BODY_HEAD_BYTES + (size_t)i * BODY_REFERENCE_BYTES);
        }
        assert_int_equal(body_reference_count(body, ROOM, 8), 8);
        body[BODY_HEAD_BYTES + bad * BODY_REFERENCE_BYTES] = 9;
        assert_int_equal(body_reference_count(body, ROOM, 8), -1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_of_each_kind_read_back),
        cmocka_unit_test(references_outside_the_table_are_refused),
        cmocka_unit_test(the_count_and_the_length_of_a_body_must_fit),
        cmocka_unit_test(one_bad_reference_spoils_the_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
