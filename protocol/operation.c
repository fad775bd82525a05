#include "protocol/operation.h"

static const struct {
    const char *name;
    enum code_class class;
} codes[] = {
    [CODE_OK] = {"OK", CLASS_DONE},
    [CODE_ABSENT] = {"ABSENT", CLASS_NO},
    [CODE_EXISTS] = {"EXISTS", CLASS_NO},
    [CODE_MISMATCH] = {"MISMATCH", CLASS_NO},
    [CODE_CHECK_FAILED] = {"CHECK-FAILED", CLASS_NO},
    [CODE_BELOW_FLOOR] = {"BELOW-FLOOR", CLASS_NO},
    [CODE_WRONG_TYPE] = {"WRONG-TYPE", CLASS_NO},
    [CODE_OVERFLOW] = {"OVERFLOW", CLASS_NO},
    [CODE_NOT_EXECUTED] = {"NOT-EXECUTED", CLASS_NO},
    [CODE_UNSUPPORTED] = {"UNSUPPORTED", CLASS_NO},
    [CODE_LIMIT] = {"LIMIT", CLASS_NO},
    [CODE_TABLE_FULL] = {"TABLE-FULL", CLASS_NO},
    [CODE_WRONG_SHARD] = {"WRONG-SHARD", CLASS_NO},
    [CODE_RECORDED] = {"RECORDED", CLASS_DONE},
    [CODE_CANCELLED] = {"CANCELLED", CLASS_NO},
    [CODE_RIGHTS] = {"RIGHTS", CLASS_REFUSED},
    [CODE_QUOTA] = {"QUOTA", CLASS_RETRY},
    [CODE_REVOKED] = {"REVOKED", CLASS_REFUSED},
    [CODE_TOO_OLD] = {"TOO-OLD", CLASS_REFUSED},
    [CODE_TOO_NEW] = {"TOO-NEW", CLASS_RETRY},
    [CODE_BUSY] = {"BUSY", CLASS_RETRY},
    [CODE_REUSED] = {"REUSED", CLASS_REFUSED},
    [CODE_MALFORMED] = {"MALFORMED", CLASS_REFUSED},
    [CODE_RECORDS_FULL] = {"RECORDS-FULL", CLASS_RETRY},
};

enum { CODES = sizeof codes / sizeof codes[0] };

enum code_class operation_code_class(uint8_t code) {
    return code < CODES && codes[code].name ? codes[code].class : CLASS_UNKNOWN;
}

const char *operation_code_name(uint8_t code) {
    return code < CODES && codes[code].name ? codes[code].name : "unknown";
}

const char *operation_opcode_name(uint8_t opcode) {
    static const char *const names[] = {
        [OPERATION_GET] = "get",
        [OPERATION_PUT] = "put",
        [OPERATION_PUT_IF_ABSENT] = "put-if-absent",
        [OPERATION_CAS] = "cas",
        [OPERATION_CAS_VERSION] = "cas-version",
        [OPERATION_DELETE] = "delete",
        [OPERATION_ADD] = "add",
        [OPERATION_CHECK] = "check",
        [OPERATION_CANCEL] = "cancel",
        [OPERATION_CLIENT_STATE] = "client-state",
        [OPERATION_CROSS_PREPARE] = "cross-prepare",
        [OPERATION_CROSS_COMMIT] = "cross-commit",
        [OPERATION_CROSS_ABORT] = "cross-abort",
    };
    return opcode < sizeof names / sizeof names[0] && names[opcode] ? names[opcode] : "unknown";
}

bool operation_is_write(uint8_t opcode) {
    return opcode != OPERATION_GET && opcode != OPERATION_CHECK && opcode != OPERATION_CLIENT_STATE;
}

/* The columns a and b of O-5. */
static bool arguments_valid(const struct operation *operation) {
    uint32_t a = operation->a;
    uint32_t b = operation->b;
    bool keyed = operation->key_bytes > 0;
    switch (operation->opcode) {
    case OPERATION_GET:
    case OPERATION_PUT:
    case OPERATION_PUT_IF_ABSENT: return keyed && b == 0;
    case OPERATION_CAS: return keyed;
    case OPERATION_CAS_VERSION: return keyed && a == OPERATION_VERSION_BYTES;
    case OPERATION_DELETE: return keyed && a == 0 && b == 0;
    case OPERATION_ADD: return keyed && a == 8 && (b == 0 || b == 8);
    case OPERATION_CHECK: return keyed && (a == 0 || a == OPERATION_VERSION_BYTES) && b == 0;
    case OPERATION_CANCEL: return !keyed && a == 0 && b == 0;
    case OPERATION_CLIENT_STATE: return !keyed && a == BYTES_HASH && b == 0;
    case OPERATION_CROSS_PREPARE:
    case OPERATION_CROSS_COMMIT:
    case OPERATION_CROSS_ABORT: return keyed;
    default: return false;
    }
}

bool operation_decode(struct bytes_cursor *cursor, struct operation *operation) {
    const uint8_t *head = bytes_get_raw(cursor, OPERATION_HEAD_BYTES);
    if (!head) return false;
    operation->opcode = head[0];
    operation->flags = head[1];
    operation->key_bytes = bytes_get_le16(head + 2);
    operation->a = bytes_get_le32(head + 4);
    operation->b = bytes_get_le32(head + 8);
    bytes_require(cursor, operation->flags <= OPERATION_FLAG_VERSION && arguments_valid(operation));
    bool get = operation->opcode == OPERATION_GET;
    operation->key = bytes_get_raw(cursor, operation->key_bytes);
    operation->argument_a = bytes_get_raw(cursor, get ? 0 : operation->a);
    operation->argument_b = bytes_get_raw(cursor, operation->b);
    if (get) operation->argument_a = NULL;
    return !cursor->failed;
}

size_t operation_bytes(const struct operation *operation) {
    size_t a = operation->opcode == OPERATION_GET ? 0 : operation->a;
    return (size_t)OPERATION_HEAD_BYTES + operation->key_bytes + a + operation->b;
}

void operation_encode(struct bytes_writer *writer, const struct operation *operation) {
    bytes_put_u8(writer, operation->opcode);
    bytes_put_u8(writer, operation->flags);
    bytes_put_u16(writer, operation->key_bytes);
    bytes_put_u32(writer, operation->a);
    bytes_put_u32(writer, operation->b);
    bytes_put_raw(writer, operation->key, operation->key_bytes);
    if (operation->opcode != OPERATION_GET) bytes_put_raw(writer, operation->argument_a, operation->a);
    bytes_put_raw(writer, operation->argument_b, operation->b);
}

bool result_decode(struct bytes_cursor *cursor, struct result *result) {
    result->code = bytes_get_u8(cursor);
    result->flags = bytes_get_u8(cursor);
    bytes_require(cursor, bytes_get_u16(cursor) == 0);
    result->value_bytes = bytes_get_u32(cursor);
    bytes_require(cursor, (result->flags & ~(RESULT_FLAG_VERSION | RESULT_FLAG_VALUE_LEFT_OUT)) == 0);
    bytes_require(cursor, operation_code_class(result->code) != CLASS_UNKNOWN);
    result->version = (struct version){0};
    if (result->flags & RESULT_FLAG_VERSION) {
        result->version.height = bytes_get_u64(cursor);
        result->version.index = bytes_get_u32(cursor);
    }
    result->value = NULL;
    if (!(result->flags & RESULT_FLAG_VALUE_LEFT_OUT) && result->value_bytes > 0) result->value = bytes_get_raw(cursor, result->value_bytes);
    return !cursor->failed;
}

size_t result_bytes(const struct result *result) {
    size_t version = result->flags & RESULT_FLAG_VERSION ? OPERATION_VERSION_BYTES : 0;
    size_t value = result->flags & RESULT_FLAG_VALUE_LEFT_OUT ? 0 : result->value_bytes;
    return RESULT_HEAD_BYTES + version + value;
}

void result_encode(struct bytes_writer *writer, const struct result *result) {
    bytes_put_u8(writer, result->code);
    bytes_put_u8(writer, result->flags);
    bytes_put_u16(writer, 0);
    bytes_put_u32(writer, result->value_bytes);
    if (result->flags & RESULT_FLAG_VERSION) {
        bytes_put_u64(writer, result->version.height);
        bytes_put_u32(writer, result->version.index);
    }
    if (!(result->flags & RESULT_FLAG_VALUE_LEFT_OUT)) bytes_put_raw(writer, result->value, result->value_bytes);
}

void version_put(uint8_t out[OPERATION_VERSION_BYTES], struct version version) {
    bytes_put_le64(out, version.height);
    bytes_put_le32(out + 8, version.index);
}

struct version version_get(const uint8_t at[OPERATION_VERSION_BYTES]) {
    return (struct version){.height = bytes_get_le64(at), .index = bytes_get_le32(at + 8)};
}

bool operation_number_parse(const uint8_t *bytes, size_t bytes_count, int64_t *out) {
    size_t at = 0;
    bool negative = bytes_count > 0 && bytes[0] == '-';
    if (negative) at = 1;
    size_t digits = bytes_count - at;
    if (digits == 0 || digits > 19) return false;
    if (bytes[at] == '0' && (digits > 1 || negative)) return false;
    uint64_t magnitude = 0; /* 19 digits stay below 2^64 */
    for (; at < bytes_count; at++) {
        if (bytes[at] < '0' || bytes[at] > '9') return false;
        magnitude = magnitude * 10 + (uint64_t)(bytes[at] - '0');
    }
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0)) return false;
    *out = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
    return true;
}

size_t operation_number_format(int64_t number, uint8_t out[OPERATION_NUMBER_BYTES_MAX]) {
    uint64_t magnitude = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    uint8_t digits[OPERATION_NUMBER_BYTES_MAX];
    size_t count = 0;
    do {
        digits[count++] = (uint8_t)('0' + magnitude % 10);
        magnitude /= 10;
    } while (magnitude > 0);
    size_t used = 0;
    if (number < 0) out[used++] = '-';
    while (count > 0) out[used++] = digits[--count];
    return used;
}
