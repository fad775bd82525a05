/*
 * Operations and their results (spec/operations.md O-4 to O-7).
 *
 * Contract
 *   Decoders read through a cursor, check all that needs no state (lengths, opcode, flags), and point into the source: the bytes must outlive the
 *   struct. They do not apply the system's limits on keys and values: that is execution (O-13). On failure the cursor has failed.
 */
#ifndef PROTOCOL_OPERATION_H
#define PROTOCOL_OPERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "merkle/bytes.h"

enum operation_opcode {
    OPERATION_GET = 1,
    OPERATION_PUT = 2,
    OPERATION_PUT_IF_ABSENT = 3,
    OPERATION_CAS = 4,
    OPERATION_CAS_VERSION = 5,
    OPERATION_DELETE = 6,
    OPERATION_ADD = 7,
    OPERATION_CHECK = 8,
    OPERATION_CANCEL = 9,
    OPERATION_CLIENT_STATE = 10,
    OPERATION_CROSS_PREPARE = 16, /* reserved; answered UNSUPPORTED */
    OPERATION_CROSS_COMMIT = 17,
    OPERATION_CROSS_ABORT = 18,
};

enum {
    OPERATION_HEAD_BYTES = 12,
    OPERATION_FLAG_VERSION = 1, /* answer the version too */
    OPERATION_VERSION_BYTES = 12,
    RESULT_HEAD_BYTES = 8,
    RESULT_FLAG_VERSION = 1,
    RESULT_FLAG_VALUE_LEFT_OUT = 2,
};

/* O-7. Of an operation or of a whole part. */
enum operation_code {
    CODE_OK = 0,
    CODE_ABSENT = 1,
    CODE_EXISTS = 2,
    CODE_MISMATCH = 3,
    CODE_CHECK_FAILED = 4,
    CODE_BELOW_FLOOR = 5,
    CODE_WRONG_TYPE = 6,
    CODE_OVERFLOW = 7,
    CODE_NOT_EXECUTED = 8,
    CODE_UNSUPPORTED = 9,
    CODE_LIMIT = 10,
    CODE_TABLE_FULL = 11,
    CODE_WRONG_SHARD = 12,
    CODE_RECORDED = 13,
    CODE_CANCELLED = 14,
    CODE_RIGHTS = 16,
    CODE_QUOTA = 17,
    CODE_REVOKED = 18,
    CODE_TOO_OLD = 19,
    CODE_TOO_NEW = 20,
    CODE_BUSY = 21,
    CODE_REUSED = 23,
    CODE_MALFORMED = 24,
    CODE_RECORDS_FULL = 25,
};

enum code_class { CLASS_DONE, CLASS_NO, CLASS_REFUSED, CLASS_RETRY, CLASS_UNKNOWN };

enum code_class operation_code_class(uint8_t code);
/* "OK", "CHECK-FAILED", ...; "code-NN" is not made up: an unknown one gives "unknown". */
const char *operation_code_name(uint8_t code);
const char *operation_opcode_name(uint8_t opcode);

struct version {
    uint64_t height;
    uint32_t index;
};

struct operation {
    uint8_t opcode;
    uint8_t flags;
    uint16_t key_bytes;
    uint32_t a;       /* bytes of argument_a; GET: the most value bytes accepted, and argument_a is NULL */
    uint32_t b;       /* bytes of argument_b */
    const uint8_t *key;
    const uint8_t *argument_a;
    const uint8_t *argument_b;
};

struct result {
    uint8_t code;
    uint8_t flags;
    uint32_t value_bytes;
    struct version version; /* valid iff flags has RESULT_FLAG_VERSION */
    const uint8_t *value;   /* NULL iff flags has RESULT_FLAG_VALUE_LEFT_OUT, or value_bytes is 0 */
};

/* O-4, O-5. False: malformed, and the cursor has failed. */
bool operation_decode(struct bytes_cursor *cursor, struct operation *operation) __attribute__((warn_unused_result));
/* The caller's fields must be a valid operation; sticky overflow is the writer's. */
void operation_encode(struct bytes_writer *writer, const struct operation *operation);
size_t operation_bytes(const struct operation *operation);
/* True for opcodes of the column "write" of O-5, reserved ones too. */
bool operation_is_write(uint8_t opcode);

/* O-6. */
bool result_decode(struct bytes_cursor *cursor, struct result *result) __attribute__((warn_unused_result));
void result_encode(struct bytes_writer *writer, const struct result *result);
size_t result_bytes(const struct result *result);

void version_put(uint8_t out[OPERATION_VERSION_BYTES], struct version version);
struct version version_get(const uint8_t at[OPERATION_VERSION_BYTES]);

/* O-10: the canonical decimal number of `bytes`; false if it is none. No bytes at all are none: absence is the caller's to judge. */
bool operation_number_parse(const uint8_t *bytes, size_t bytes_count, int64_t *out) __attribute__((warn_unused_result));
enum { OPERATION_NUMBER_BYTES_MAX = 20 };
/* Writes the canonical decimal (no terminator), returns its length. */
size_t operation_number_format(int64_t number, uint8_t out[OPERATION_NUMBER_BYTES_MAX]);

#endif
