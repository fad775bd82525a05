/* Exactly once: floors, windows, records of outcomes (O-40 to O-45). */
#include "appliance/exec/exec_inside.h"

#include <string.h>

enum {
    WRITER_BYTES = 24,
    CHUNK_HEAD_BYTES = 2,
    CHUNK_FILL_MAX = EXEC_CHUNK_BYTES_MAX - EXEC_CHUNK_NUMBERS * EXEC_RECORD_BYTES, /* O-41.6: room for a CANCEL of each number stays */
    CHUNKS_MAX = 65536 / EXEC_CHUNK_NUMBERS + 1, /* of the widest window */
    FORM_OK = 0,
    FORM_CODES = 1,
    FORM_CANCELLED = 2,
};

/* 'w' client_id */
struct writer {
    uint64_t floor;
    uint32_t records;
    uint32_t record_bytes;
    uint8_t closed;
    bool exists;
};

static void writer_get(struct executor *ex, const uint8_t client_id[32], struct writer *writer) {
    uint8_t key[EXEC_SYSTEM_KEY_MAX];
    struct table_entry entry;
    *writer = (struct writer){.floor = 1};
    if (!exec_state_get(ex, key, exec_key_client('w', client_id, key), &entry)) return;
    CHECK(entry.value_bytes == WRITER_BYTES);
    writer->floor = bytes_get_le64(entry.value);
    writer->records = bytes_get_le32(entry.value + 8);
    writer->record_bytes = bytes_get_le32(entry.value + 12);
    writer->closed = entry.value[16];
    writer->exists = true;
}

static void writer_put(struct executor *ex, const uint8_t client_id[32], const struct writer *writer) {
    uint8_t key[EXEC_SYSTEM_KEY_MAX], value[WRITER_BYTES] = {0};
    bytes_put_le64(value, writer->floor);
    bytes_put_le32(value + 8, writer->records);
    bytes_put_le32(value + 12, writer->record_bytes);
    value[16] = writer->closed;
    exec_state_put(ex, key, exec_key_client('w', client_id, key), value, sizeof value);
}

void exec_record_close(struct executor *ex, const uint8_t client_id[32]) {
    struct writer writer;
    writer_get(ex, client_id, &writer);
    if (writer.closed) return;
    writer.closed = 1;
    writer_put(ex, client_id, &writer);
    ex->clients_changed = true;
}

/* Chunks: 'r' client_id chunk. */

static size_t chunk_key(const uint8_t client_id[32], uint64_t chunk, uint8_t key[EXEC_SYSTEM_KEY_MAX]) {
    size_t bytes = exec_key_client('r', client_id, key);
    bytes_put_le64(key + bytes, chunk);
    return bytes + 8;
}

/* The chunk's value, in the table; NULL and 0 bytes when there is none. */
static const uint8_t *chunk_get(struct executor *ex, const uint8_t client_id[32], uint64_t chunk, uint32_t *bytes) {
    uint8_t key[EXEC_SYSTEM_KEY_MAX];
    struct table_entry entry;
    *bytes = 0;
    if (!exec_state_get(ex, key, chunk_key(client_id, chunk, key), &entry)) return NULL;
    *bytes = entry.value_bytes;
    return entry.value;
}

/* The next record at the cursor. The state is ours: it parses. */
static void record_read(struct bytes_cursor *cursor, struct exec_record *record) {
    record->whole = cursor->at;
    record->digest = bytes_get_raw(cursor, 32);
    record->height = bytes_get_u64(cursor);
    record->index = bytes_get_u32(cursor);
    record->op_count = bytes_get_u32(cursor);
    record->form = bytes_get_u8(cursor);
    bytes_require(cursor, bytes_get_u8(cursor) == 0);
    record->number_count = bytes_get_u16(cursor);
    record->codes = bytes_get_raw(cursor, record->form == FORM_CODES ? record->op_count : 0);
    record->numbers = bytes_get_raw(cursor, (size_t)8 * record->number_count);
    CHECK(!cursor->failed);
    record->bytes = (uint32_t)(cursor->at - record->whole);
}

static bool record_find(const uint8_t *chunk, uint32_t bytes, unsigned slot, struct exec_record *record) {
    if (!chunk) return false;
    struct bytes_cursor cursor = bytes_cursor_of(chunk, bytes);
    unsigned mask = bytes_get_u16(&cursor);
    if (!(mask & 1u << slot)) return false;
    for (unsigned i = 0; i <= slot; i++)
        if (mask & 1u << i) record_read(&cursor, record);
    return true;
}

/* Writes the chunk anew without the numbers below `floor`. */
static void chunk_drop_below(struct executor *ex, const uint8_t client_id[32], uint64_t chunk, uint64_t floor, struct writer *writer) {
    uint32_t bytes;
    const uint8_t *old = chunk_get(ex, client_id, chunk, &bytes);
    if (!old) return;
    struct bytes_cursor cursor = bytes_cursor_of(old, bytes);
    unsigned mask = bytes_get_u16(&cursor), kept = 0;
    struct bytes_writer out = bytes_writer_of(ex->scratch.chunk, EXEC_CHUNK_BYTES_MAX);
    bytes_put_u16(&out, 0);
    for (unsigned i = 0; i < EXEC_CHUNK_NUMBERS; i++) {
        if (!(mask & 1u << i)) continue;
        struct exec_record record;
        record_read(&cursor, &record);
        if (chunk * EXEC_CHUNK_NUMBERS + i < floor) {
            writer->records--;
            writer->record_bytes -= record.bytes;
        } else {
            kept |= 1u << i;
            bytes_put_raw(&out, record.whole, record.bytes);
        }
    }
    uint8_t key[EXEC_SYSTEM_KEY_MAX];
    size_t key_bytes = chunk_key(client_id, chunk, key);
    if (kept == mask) return;
    bytes_put_le16(ex->scratch.chunk, (uint16_t)kept);
    if (kept == 0) exec_state_remove(ex, key, key_bytes);
    else exec_state_put(ex, key, key_bytes, ex->scratch.chunk, out.used);
}

/* Chunks that lie below `floor`, in whole or in part, and may hold records. */
static uint64_t chunks_below(const struct executor *ex, const struct writer *writer, uint64_t floor) {
    if (writer->records == 0 || floor <= writer->floor) return 0;
    uint64_t last = floor - 1, window = ex->config.limits.number_window;
    if (last - writer->floor >= window) last = writer->floor + window - 1;
    return last / EXEC_CHUNK_NUMBERS - writer->floor / EXEC_CHUNK_NUMBERS + 1;
}

/* O-41.2 */
static void floor_raise(struct executor *ex, const uint8_t client_id[32], uint64_t floor, struct writer *writer) {
    uint64_t first = writer->floor / EXEC_CHUNK_NUMBERS, count = chunks_below(ex, writer, floor);
    for (uint64_t i = 0; i < count; i++) chunk_drop_below(ex, client_id, first + i, floor, writer);
    writer->floor = floor;
}

/* Puts the record of `number` into its chunk. */
static void record_put(struct executor *ex, const uint8_t client_id[32], uint64_t number, const struct exec_record *new, struct writer *writer) {
    uint32_t bytes;
    uint64_t chunk = number / EXEC_CHUNK_NUMBERS;
    unsigned slot = (unsigned)(number % EXEC_CHUNK_NUMBERS);
    const uint8_t *old = chunk_get(ex, client_id, chunk, &bytes);
    struct bytes_cursor cursor = bytes_cursor_of(old, bytes);
    unsigned mask = old ? bytes_get_u16(&cursor) : 0;
    struct bytes_writer out = bytes_writer_of(ex->scratch.chunk, EXEC_CHUNK_BYTES_MAX);
    bytes_put_u16(&out, (uint16_t)(mask | 1u << slot));
    for (unsigned i = 0; i < EXEC_CHUNK_NUMBERS; i++) {
        struct exec_record record;
        if (mask & 1u << i) {
            record_read(&cursor, &record);
            bytes_put_raw(&out, record.whole, record.bytes);
        }
        if (i != slot) continue;
        size_t start = out.used;
        bytes_put_hash(&out, new->digest);
        bytes_put_u64(&out, new->height);
        bytes_put_u32(&out, new->index);
        bytes_put_u32(&out, new->op_count);
        bytes_put_u8(&out, new->form);
        bytes_put_u8(&out, 0);
        bytes_put_u16(&out, new->number_count);
        if (new->form == FORM_CODES) bytes_put_raw(&out, new->codes, new->op_count);
        for (uint16_t n = 0; n < new->number_count; n++) bytes_put_i64(&out, ex->scratch.numbers[n]);
        writer->records++;
        writer->record_bytes += (uint32_t)(out.used - start);
    }
    CHECK(!out.failed);
    uint8_t key[EXEC_SYSTEM_KEY_MAX];
    exec_state_put(ex, key, chunk_key(client_id, chunk, key), ex->scratch.chunk, out.used);
}

/* O-42: the results of a part that was done before. `operations` NULL: a CANCEL asks. */
static uint32_t recorded_results(const struct exec_record *record, const struct exec_operation *operations, uint8_t *out) {
    uint32_t used = 0, number = 0;
    for (uint32_t i = 0; i < record->op_count; i++) {
        uint8_t code = record->form == FORM_CODES ? record->codes[i] : (uint8_t)CODE_OK;
        uint8_t opcode = operations ? operations[i].opcode : 0;
        uint8_t *result = out + used;
        if (!operations) {
            used += exec_result_put(result, code, RESULT_FLAG_VALUE_LEFT_OUT, 0);
            continue;
        }
        bool ok = code == CODE_OK, versioned = ok && operation_is_write(opcode);
        bool numbered = ok && opcode == OPERATION_ADD && number < record->number_count;
        bool left_out = (ok && (opcode == OPERATION_GET || opcode == OPERATION_CLIENT_STATE || opcode == OPERATION_ADD) && !numbered) ||
                        code == CODE_BELOW_FLOOR;
        used += exec_result_put(result, code, (uint8_t)((versioned ? RESULT_FLAG_VERSION : 0) | (left_out ? RESULT_FLAG_VALUE_LEFT_OUT : 0)), 0);
        if (versioned) {
            bytes_put_le64(out + used, record->height);
            bytes_put_le32(out + used + 8, record->index + i);
            used += OPERATION_VERSION_BYTES;
        }
        if (numbered) {
            uint64_t bits = bytes_get_le64(record->numbers + (size_t)8 * number++);
            int64_t value;
            memcpy(&value, &bits, sizeof value);
            uint32_t bytes = (uint32_t)operation_number_format(value, out + used);
            bytes_put_le32(result + 4, bytes);
            used += bytes;
        }
    }
    return used;
}

/* O-41.4: a record of this number is there. */
static enum operation_code recorded_answer(const struct exec_record *record, const struct exec_operation *operations, bool cancel,
    const uint8_t digest[32],
                                           struct slice_part *answer, uint8_t *out) {
    if (record->form == FORM_CANCELLED) return CODE_CANCELLED;
    if (!cancel && (!sha256_equal(record->digest, digest) || record->op_count != answer->op_count)) return CODE_REUSED;
    answer->op_count = record->op_count;
    answer->height = record->height;
    answer->index = record->index;
    answer->results_bytes = recorded_results(record, cancel ? NULL : operations, out);
    return CODE_RECORDED;
}

/* O-41.1b: what the part may write, at most, counts against the block (O-18). */
static bool budget_take(struct executor *ex, const struct exec_part *part, const uint8_t *client_id, uint64_t number, uint64_t floor,
                        const struct writer *writer) {
    uint32_t chunk, boundary = 0;
    uint64_t below = chunks_below(ex, writer, floor);
    chunk_get(ex, client_id, number / EXEC_CHUNK_NUMBERS, &chunk);
    if (below > 0) chunk_get(ex, client_id, floor / EXEC_CHUNK_NUMBERS, &boundary);
    uint64_t ops = part->op_count;
    return exec_budget_take(ex, ops + 3 + below, part->body_bytes + (EXEC_WRITE_OVERHEAD + 9) * ops + 564 + 105 * below + chunk + boundary);
}

/* O-41.6 */
static bool records_full(struct executor *ex, const struct writer *writer, uint32_t chunk_bytes, uint32_t op_count) {
    uint64_t bytes = EXEC_RECORD_BYTES + (uint64_t)9 * op_count;
    if (writer->record_bytes + bytes > ex->config.limits.record_bytes_max) return true;
    return (chunk_bytes > 0 ? chunk_bytes : (uint32_t)CHUNK_HEAD_BYTES) + bytes > CHUNK_FILL_MAX;
}

static void execute(struct executor *ex, const struct exec_part *part, const uint8_t *client_id, uint64_t number, struct writer *writer,
                    struct slice_part *answer, uint8_t *out) {
    bool atomic = part->body[80] & PART_FLAG_ATOMIC;
    answer->results_bytes = exec_part_run(ex, part, atomic, out);
    bool all_ok = true;
    for (uint32_t i = 0; i < part->op_count; i++) all_ok = all_ok && ex->scratch.codes[i] == CODE_OK;
    struct exec_record record = {.digest = part->body + 48,
                                 .height = ex->height,
                                 .index = ex->op_index,
                                 .op_count = part->op_count,
                                 .form = all_ok ? FORM_OK : FORM_CODES,
                                 .number_count = (uint16_t)ex->scratch.number_count,
                                 .codes = ex->scratch.codes};
    record_put(ex, client_id, number, &record, writer);
}

/* Rules 3 to 7 of O-41; the floor has been raised. */
static enum operation_code part_decide(struct executor *ex, const struct exec_part *part, const uint8_t *client_id, uint64_t number,
    struct writer *writer,
                                       struct slice_part *answer, uint8_t *out) {
    const struct exec_operation *operations = ex->scratch.operations + part->first;
    bool cancel = operations[0].opcode == OPERATION_CANCEL;
    const uint8_t *digest = part->body + 48;
    if (number < writer->floor) return CODE_TOO_OLD;
    if (number - writer->floor >= ex->config.limits.number_window) return CODE_TOO_NEW;
    uint32_t chunk_bytes;
    const uint8_t *chunk = chunk_get(ex, client_id, number / EXEC_CHUNK_NUMBERS, &chunk_bytes);
    struct exec_record record;
    if (record_find(chunk, chunk_bytes, (unsigned)(number % EXEC_CHUNK_NUMBERS), &record))
        return recorded_answer(&record, operations, cancel, digest, answer, out);
    if (!exec_records_room(ex)) return CODE_RECORDS_FULL;
    if (cancel) {
        struct exec_record cancelled = {.digest = digest, .height = ex->height, .index = ex->op_index, .form = FORM_CANCELLED};
        record_put(ex, client_id, number, &cancelled, writer);
        return CODE_CANCELLED;
    }
    if (records_full(ex, writer, chunk_bytes, part->op_count)) return CODE_RECORDS_FULL;
    execute(ex, part, client_id, number, writer, answer, out);
    return CODE_OK;
}

void exec_record_part(struct executor *ex, const struct exec_part *part, struct slice_part *answer, uint8_t *out) {
    const uint8_t *client_id = part->body;
    uint64_t number = bytes_get_le64(part->body + 32), floor = bytes_get_le64(part->body + 40);
    struct writer writer;
    writer_get(ex, client_id, &writer);
    struct writer before = writer;
    if (writer.closed) {
        answer->code = CODE_REVOKED;
        return;
    }
    if (!budget_take(ex, part, client_id, number, floor, &writer)) {
        answer->code = CODE_BUSY;
        return;
    }
    if (!writer.exists && !exec_records_room(ex)) {
        answer->code = CODE_RECORDS_FULL;
        return;
    }
    if (floor > writer.floor) floor_raise(ex, client_id, floor, &writer);
    answer->code = (uint8_t)part_decide(ex, part, client_id, number, &writer, answer, out);
    if (writer.floor != before.floor || writer.records != before.records || writer.record_bytes != before.record_bytes) writer_put(ex, client_id,
            &writer);
}

/* O-44 */
uint32_t exec_record_client_state(struct executor *ex, const uint8_t client_id[32], uint32_t room, uint8_t *out) {
    struct writer writer;
    writer_get(ex, client_id, &writer);
    uint64_t value_bytes = 16 + (uint64_t)8 * writer.records;
    if (RESULT_HEAD_BYTES + value_bytes > room) return exec_result_put(out, CODE_LIMIT, 0, 0);
    exec_result_put(out, CODE_OK, 0, (uint32_t)value_bytes);
    uint8_t *at = out + RESULT_HEAD_BYTES;
    bytes_put_le64(at, writer.floor);
    bytes_put_le32(at + 8, writer.records);
    bytes_put_le32(at + 12, 0);
    at += 16;
    uint32_t found = 0;
    uint64_t first = writer.floor / EXEC_CHUNK_NUMBERS;
    for (uint64_t chunk = first; found < writer.records && chunk - first <= CHUNKS_MAX; chunk++) {
        uint32_t bytes;
        const uint8_t *value = chunk_get(ex, client_id, chunk, &bytes);
        unsigned mask = value ? bytes_get_le16(value) : 0;
        for (unsigned i = 0; i < EXEC_CHUNK_NUMBERS && found < writer.records; i++) {
            if (!(mask & 1u << i)) continue;
            bytes_put_le64(at, chunk * EXEC_CHUNK_NUMBERS + i);
            at += 8;
            found++;
        }
    }
    CHECK(found == writer.records || ex->fault != EXEC_VALID);
    return RESULT_HEAD_BYTES + (uint32_t)value_bytes;
}
