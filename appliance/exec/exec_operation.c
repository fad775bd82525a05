/* One operation on the table (O-8 to O-13), and the operations of a part in order (O-11). */
#include "appliance/exec/exec_inside.h"

#include <string.h>

enum {
    RESULT_BYTES_MAX = 40,  /* of everything but GET and CLIENT-STATE: head 8, version 12, number 20 */
    PREFETCH_FAR = 24,
    PREFETCH_NEAR = 12,
    PREFETCH_VALUE_MAX = 2048,
};

uint32_t exec_result_put(uint8_t *out, uint8_t code, uint8_t flags, uint32_t value_bytes) {
    out[0] = code;
    out[1] = flags;
    out[2] = 0;
    out[3] = 0;
    bytes_put_le32(out + 4, value_bytes);
    return RESULT_HEAD_BYTES;
}

static uint32_t result_code(uint8_t *out, enum operation_code code) {
    return exec_result_put(out, (uint8_t)code, 0, 0);
}

static uint32_t result_version(uint8_t *out, enum operation_code code, uint64_t height, uint32_t index) {
    exec_result_put(out, (uint8_t)code, RESULT_FLAG_VERSION, 0);
    bytes_put_le64(out + RESULT_HEAD_BYTES, height);
    bytes_put_le32(out + RESULT_HEAD_BYTES + 8, index);
    return RESULT_HEAD_BYTES + OPERATION_VERSION_BYTES;
}

/* True: *entry is there. A checksum that does not match is a fault of this node: the block is given up in the end, whatever is answered here. */
static bool lookup(struct executor *ex, const struct exec_operation *op, struct table_entry *entry) {
    enum table_status status = table_get(ex->table, op->hash, TRIE_SPACE_USER, op->at + OPERATION_HEAD_BYTES, op->key_bytes, entry);
    if (status == TABLE_CORRUPT) exec_fail(ex, EXEC_CORRUPT);
    return status == TABLE_OK;
}

/* Stores; the result is OK with the version, or TABLE-FULL (O-17). */
static uint32_t store(struct executor *ex, const struct exec_operation *op, uint32_t index, const uint8_t *value, uint32_t value_bytes,
    uint8_t *out) {
    enum table_status status =
        table_put(ex->table, op->hash, TRIE_SPACE_USER, op->at + OPERATION_HEAD_BYTES, op->key_bytes, index, value, value_bytes);
    if (status == TABLE_KEYS_FULL || status == TABLE_BYTES_FULL) return result_code(out, CODE_TABLE_FULL);
    if (status == TABLE_CORRUPT) {
        exec_fail(ex, EXEC_CORRUPT);
        return result_code(out, CODE_TABLE_FULL);
    }
    CHECK(status == TABLE_OK);
    return result_version(out, CODE_OK, ex->height, index);
}

static const uint8_t *argument_a(const struct exec_operation *op) {
    return op->at + OPERATION_HEAD_BYTES + op->key_bytes;
}

static const uint8_t *argument_b(const struct exec_operation *op) {
    return argument_a(op) + op->a;
}

_Static_assert((int)TABLE_LONG_BYTES == (int)SLICE_LONG_BYTES, "the table has the hashes that D-36 asks for");

/* The answer has this value at `at`: whoever hashes it (D-36) has its hash from the table. */
static void value_note(struct exec_scratch *scratch, const uint8_t *at, const uint8_t *hash) {
    struct slice_longs *values = &scratch->values;
    if (scratch->values_from == NULL || hash == NULL || values->count == values->room) return;
    struct slice_long *noted = &values->list[values->count++];
    noted->at = (uint32_t)(at - scratch->values_from);
    memcpy(noted->hash, hash, sizeof noted->hash);
}

/* O-9 */
static uint32_t run_get(struct executor *ex, const struct exec_operation *op, uint32_t room, uint8_t *out) {
    struct table_entry entry;
    if (!lookup(ex, op, &entry)) return result_code(out, CODE_ABSENT);
    bool whole = entry.value_bytes <= op->a;
    bool versioned = op->flags & OPERATION_FLAG_VERSION;
    uint32_t bytes = RESULT_HEAD_BYTES + (versioned ? (uint32_t)OPERATION_VERSION_BYTES : 0) + (whole ? entry.value_bytes : 0);
    if (bytes > room) return result_code(out, CODE_LIMIT);
    exec_result_put(out, CODE_OK, (uint8_t)((versioned ? RESULT_FLAG_VERSION : 0) | (whole ? 0 : RESULT_FLAG_VALUE_LEFT_OUT)), entry.value_bytes);
    uint8_t *at = out + RESULT_HEAD_BYTES;
    if (versioned) {
        bytes_put_le64(at, entry.version.height);
        bytes_put_le32(at + 8, entry.version.index);
        at += OPERATION_VERSION_BYTES;
    }
    if (!whole || entry.value_bytes == 0) return bytes;
    memcpy(at, entry.value, entry.value_bytes);
    value_note(&ex->scratch, at, table_value_hash(&entry));
    return bytes;
}

static bool version_is(const struct table_entry *entry, const uint8_t *expected) {
    struct version version = version_get(expected);
    return entry->version.height == version.height && entry->version.index == version.index;
}

/* O-12 */
static uint32_t run_check(struct executor *ex, const struct exec_operation *op, uint32_t room, uint8_t *out) {
    struct table_entry entry;
    bool present = lookup(ex, op, &entry);
    bool holds = op->a == 0 ? !present : present && version_is(&entry, argument_a(op));
    enum operation_code code = holds ? CODE_OK : CODE_CHECK_FAILED;
    if (!present || !(op->flags & OPERATION_FLAG_VERSION)) return result_code(out, code);
    if (room < RESULT_HEAD_BYTES + OPERATION_VERSION_BYTES) return result_code(out, CODE_LIMIT);
    return result_version(out, code, entry.version.height, entry.version.index);
}

static uint32_t run_cas(struct executor *ex, const struct exec_operation *op, uint32_t index, uint8_t *out) {
    struct table_entry entry;
    if (!lookup(ex, op, &entry)) return result_code(out, CODE_MISMATCH);
    bool same = op->opcode == OPERATION_CAS_VERSION
                    ? version_is(&entry, argument_a(op))
                    : entry.value_bytes == op->a && (op->a == 0 || memcmp(entry.value, argument_a(op), op->a) == 0);
    if (!same) return result_version(out, CODE_MISMATCH, entry.version.height, entry.version.index);
    return store(ex, op, index, argument_b(op), op->b, out);
}

static uint32_t run_delete(struct executor *ex, const struct exec_operation *op, uint32_t index, uint8_t *out) {
    enum table_status status = table_remove(ex->table, op->hash, TRIE_SPACE_USER, op->at + OPERATION_HEAD_BYTES, op->key_bytes, index);
    if (status == TABLE_CORRUPT) exec_fail(ex, EXEC_CORRUPT);
    CHECK(status == TABLE_OK || status == TABLE_ABSENT || status == TABLE_CORRUPT);
    ex->removed = ex->removed || status == TABLE_OK;
    return status == TABLE_OK ? result_version(out, CODE_OK, ex->height, index) : result_code(out, CODE_ABSENT);
}

static uint32_t result_number(uint8_t *out, uint32_t at, int64_t number) {
    uint32_t bytes = (uint32_t)operation_number_format(number, out + at);
    bytes_put_le32(out + 4, bytes);
    return at + bytes;
}

/* O-10 */
static uint32_t run_add(struct executor *ex, const struct exec_operation *op, uint32_t index, uint8_t *out) {
    struct table_entry entry;
    int64_t number = 0, sum, floor = 0;
    if (lookup(ex, op, &entry) && !operation_number_parse(entry.value, entry.value_bytes, &number)) return result_code(out, CODE_WRONG_TYPE);
    uint64_t bits = bytes_get_le64(argument_a(op));
    int64_t delta;
    memcpy(&delta, &bits, sizeof delta);
    if (__builtin_add_overflow(number, delta, &sum)) return result_code(out, CODE_OVERFLOW);
    if (op->b > 0) {
        bits = bytes_get_le64(argument_b(op));
        memcpy(&floor, &bits, sizeof floor);
        if (delta < 0 && sum < floor) {
            result_code(out, CODE_BELOW_FLOOR);
            return result_number(out, RESULT_HEAD_BYTES, number);
        }
    }
    uint8_t value[OPERATION_NUMBER_BYTES_MAX];
    uint32_t bytes = store(ex, op, index, value, (uint32_t)operation_number_format(sum, value), out);
    return out[0] == CODE_OK ? result_number(out, bytes, sum) : bytes;
}

uint32_t exec_operation_run(struct executor *ex, const struct exec_operation *op, uint32_t index, uint32_t room, uint8_t *out) {
    if (op->early != CODE_OK) return result_code(out, (enum operation_code)op->early);
    if (operation_is_write(op->opcode) && room < RESULT_BYTES_MAX) return result_code(out, CODE_LIMIT);
    struct table_entry entry;
    switch (op->opcode) {
    case OPERATION_GET: return run_get(ex, op, room, out);
    case OPERATION_PUT: return store(ex, op, index, argument_a(op), op->a, out);
    case OPERATION_PUT_IF_ABSENT:
        return lookup(ex, op, &entry) ? result_code(out, CODE_EXISTS) : store(ex, op, index, argument_a(op), op->a, out);
    case OPERATION_CAS:
    case OPERATION_CAS_VERSION: return run_cas(ex, op, index, out);
    case OPERATION_DELETE: return run_delete(ex, op, index, out);
    case OPERATION_ADD: return run_add(ex, op, index, out);
    case OPERATION_CHECK: return run_check(ex, op, room, out);
    case OPERATION_CLIENT_STATE: return exec_record_client_state(ex, argument_a(op), room, out);
    default: check_failed("an opcode that the parser let through", __FILE__, __LINE__);
    }
}

/* O-11: what fails a list. */
static bool fails_list(const struct exec_operation *op, uint8_t code) {
    if (code == CODE_OK) return false;
    return !(code == CODE_ABSENT && (op->opcode == OPERATION_GET || op->opcode == OPERATION_DELETE));
}

/* The list failed at operation `failed`, whose own result stands. */
static uint32_t list_failed(struct executor *ex, const struct exec_part *part, uint32_t failed, const uint8_t *result, uint32_t bytes, uint8_t *out) {
    uint8_t own[RESULT_BYTES_MAX];
    CHECK(bytes <= sizeof own);
    memcpy(own, result, bytes);
    uint32_t used = 0;
    for (uint32_t i = 0; i < part->op_count; i++) {
        if (i == failed) {
            memcpy(out + used, own, bytes);
            used += bytes;
        } else {
            used += result_code(out + used, CODE_NOT_EXECUTED);
        }
        if (part->kind == SLICE_WRITE) ex->scratch.codes[i] = i == failed ? own[0] : (uint8_t)CODE_NOT_EXECUTED;
    }
    return used;
}

uint32_t exec_part_run(struct executor *ex, const struct exec_part *part, bool atomic, uint8_t *out) {
    const struct exec_operation *ops = ex->scratch.operations;
    bool savepoint = atomic && part->op_count > 1;
    if (savepoint) table_savepoint_begin(ex->table);
    uint32_t results_max = exec_answer_bytes_max(ex) - EXEC_ANSWER_HEADS;
    uint32_t used = 0, entry_bytes = 0; /* of the operation before: the next ones are taken to be like it */
    ex->scratch.number_count = 0;
    for (uint32_t i = 0; i < part->op_count; i++) {
        uint32_t at = part->first + i;
        if (at + PREFETCH_FAR < ex->scratch.operation_count) table_prefetch(ex->table, ops[at + PREFETCH_FAR].hash);
        if (at + PREFETCH_NEAR < ex->scratch.operation_count) table_prefetch_entry(ex->table, ops[at + PREFETCH_NEAR].hash, entry_bytes);
        uint32_t room = results_max - used - RESULT_HEAD_BYTES * (part->op_count - i - 1);
        uint32_t bytes = exec_operation_run(ex, &ops[at], ex->op_index + i, room, out + used);
        uint8_t code = out[used];
        if (savepoint && fails_list(&ops[at], code)) {
            table_savepoint_rollback(ex->table);
            ex->scratch.number_count = 0;
            return list_failed(ex, part, i, out + used, bytes, out);
        }
        if (part->kind == SLICE_WRITE) {
            ex->scratch.codes[i] = code;
            if (ops[at].opcode == OPERATION_ADD && code == CODE_OK)
                CHECK(operation_number_parse(out + used + 20, bytes - 20, &ex->scratch.numbers[ex->scratch.number_count++]));
        }
        used += bytes;
        entry_bytes = ops[at].key_bytes + (bytes < PREFETCH_VALUE_MAX ? bytes : PREFETCH_VALUE_MAX);
    }
    if (savepoint) table_savepoint_keep(ex->table);
    return used;
}
