#include "tests/client/fake_model.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

void fake_shard_init(struct fake_shard *shard, uint32_t window) {
    memset(shard, 0, sizeof *shard);
    shard->floor = 1;
    shard->height = 10;
    shard->window = window;
}

void fake_shard_free(struct fake_shard *shard) {
    for (uint32_t i = 0; i < shard->entries_count; i++) {
        free(shard->entries[i].key);
        free(shard->entries[i].value);
    }
    for (uint32_t i = 0; i < shard->records_count; i++) {
        free(shard->records[i].codes);
        free(shard->records[i].numbers);
    }
}

static uint8_t *copy(const uint8_t *bytes, size_t count) {
    uint8_t *out = malloc(count ? count : 1);
    CHECK(out);
    if (count > 0) memcpy(out, bytes, count);
    return out;
}

static struct fake_entry *find(struct fake_shard *shard, const uint8_t *key, size_t key_bytes) {
    for (uint32_t i = 0; i < shard->entries_count; i++) {
        struct fake_entry *entry = &shard->entries[i];
        if (entry->key_bytes == key_bytes && memcmp(entry->key, key, key_bytes) == 0) return entry;
    }
    return NULL;
}

const struct fake_entry *fake_shard_find(const struct fake_shard *shard, const void *key, size_t key_bytes) {
    return find((struct fake_shard *)(uintptr_t)shard, key, key_bytes);
}

static void store(struct fake_shard *shard, const struct operation *operation, const uint8_t *value, uint32_t value_bytes, struct version version) {
    struct fake_entry *entry = find(shard, operation->key, operation->key_bytes);
    if (!entry) {
        CHECK(shard->entries_count < FAKE_KEYS_MAX);
        entry = &shard->entries[shard->entries_count++];
        *entry = (struct fake_entry){.key = copy(operation->key, operation->key_bytes), .key_bytes = operation->key_bytes};
    }
    free(entry->value);
    entry->value = copy(value, value_bytes);
    entry->value_bytes = value_bytes;
    entry->version = version;
}

static void erase(struct fake_shard *shard, struct fake_entry *entry) {
    free(entry->key);
    free(entry->value);
    *entry = shard->entries[--shard->entries_count];
}

void fake_shard_saw(struct fake_shard *shard, const struct batch_part *part) {
    bool known = false;
    for (uint32_t i = 0; i < shard->seen_count; i++) {
        known = known || shard->seen[i] == part->number;
        if (shard->seen[i] < part->floor) shard->floors_too_high++;
    }
    for (uint32_t i = 0; i < shard->told_count; i++) known = known || shard->told[i] == part->number;
    CHECK(shard->seen_count < FAKE_RECORDS_MAX);
    if (!known) shard->seen[shard->seen_count++] = part->number;
}

void fake_shard_answered(struct fake_shard *shard, uint64_t number) {
    for (uint32_t i = 0; i < shard->seen_count; i++) {
        if (shard->seen[i] != number) continue;
        shard->seen[i--] = shard->seen[--shard->seen_count];
        CHECK(shard->told_count < 8 * FAKE_RECORDS_MAX);
        shard->told[shard->told_count++] = number;
    }
}

static bool same_value(const struct fake_entry *entry, const uint8_t *value, uint32_t count) {
    return entry && entry->value_bytes == count && memcmp(entry->value, value, count) == 0;
}

static struct result add(struct fake_shard *shard, const struct operation *operation, const struct fake_entry *entry, struct version version,
                         int64_t *made) {
    static uint8_t text[OPERATION_NUMBER_BYTES_MAX];
    int64_t old = 0, sum, delta = (int64_t)bytes_get_le64(operation->argument_a);
    if (entry && !operation_number_parse(entry->value, entry->value_bytes, &old)) return (struct result){.code = CODE_WRONG_TYPE};
    if (__builtin_add_overflow(old, delta, &sum)) return (struct result){.code = CODE_OVERFLOW};
    bool below = operation->b == 8 && delta < 0 && sum < (int64_t)bytes_get_le64(operation->argument_b);
    uint32_t count = (uint32_t)operation_number_format(below ? old : sum, text);
    if (below) return (struct result){.code = CODE_BELOW_FLOOR, .value = text, .value_bytes = count};
    store(shard, operation, text, count, version);
    *made = sum;
    return (struct result){.flags = RESULT_FLAG_VERSION, .version = version, .value = text, .value_bytes = count};
}

static struct result client_state(const struct fake_shard *shard) {
    static uint8_t value[16 + 8 * FAKE_RECORDS_MAX];
    bytes_put_le64(value, shard->floor);
    bytes_put_le32(value + 8, shard->records_count);
    bytes_put_le32(value + 12, 0);
    for (uint32_t i = 0; i < shard->records_count; i++) bytes_put_le64(value + 16 + (size_t)8 * i, shard->records[i].number);
    return (struct result){.value = value, .value_bytes = 16 + 8 * shard->records_count};
}

static struct result execute(struct fake_shard *shard, const struct operation *operation, struct version version, int64_t *made) {
    struct fake_entry *entry = find(shard, operation->key, operation->key_bytes);
    struct result written = {.flags = RESULT_FLAG_VERSION, .version = version};
    struct result mismatch = {.code = CODE_MISMATCH, .flags = entry ? RESULT_FLAG_VERSION : 0, .version = entry ? entry->version : version};
    bool asks = operation->flags & OPERATION_FLAG_VERSION;
    bool versioned = operation->a == OPERATION_VERSION_BYTES;
    struct version expected = {0};
    if ((operation->opcode == OPERATION_CAS_VERSION || operation->opcode == OPERATION_CHECK) && versioned)
        expected = version_get(operation->argument_a);
    bool is_that = entry && entry->version.height == expected.height && entry->version.index == expected.index;
    switch (operation->opcode) {
    case OPERATION_GET:
        if (!entry) return (struct result){.code = CODE_ABSENT};
        return (struct result){.flags =
                                   (uint8_t)((asks ? RESULT_FLAG_VERSION : 0) | (entry->value_bytes > operation->a ? RESULT_FLAG_VALUE_LEFT_OUT : 0)),
                               .version = entry->version,
                               .value = entry->value,
                               .value_bytes = entry->value_bytes};
    case OPERATION_PUT: break;
    case OPERATION_PUT_IF_ABSENT:
        if (entry) return (struct result){.code = CODE_EXISTS};
        break;
    case OPERATION_CAS:
        if (!same_value(entry, operation->argument_a, operation->a)) return mismatch;
        store(shard, operation, operation->argument_b, operation->b, version);
        return written;
    case OPERATION_CAS_VERSION:
        if (!is_that) return mismatch;
        store(shard, operation, operation->argument_b, operation->b, version);
        return written;
    case OPERATION_DELETE:
        if (!entry) return (struct result){.code = CODE_ABSENT};
        erase(shard, entry);
        return written;
    case OPERATION_ADD: return add(shard, operation, entry, version, made);
    case OPERATION_CHECK: return (struct result){.code = (versioned ? is_that : !entry) ? CODE_OK : CODE_CHECK_FAILED};
    case OPERATION_CLIENT_STATE: return client_state(shard);
    default: return (struct result){.code = CODE_UNSUPPORTED};
    }
    store(shard, operation, operation->argument_a, operation->a, version);
    return written;
}

static struct fake_record *record_of(struct fake_shard *shard, uint64_t number) {
    for (uint32_t i = 0; i < shard->records_count; i++) {
        if (shard->records[i].number == number) return &shard->records[i];
    }
    return NULL;
}

void fake_shard_floor_raise(struct fake_shard *shard, uint64_t floor) {
    if (floor <= shard->floor) return;
    shard->floor = floor;
    for (uint32_t i = 0; i < shard->records_count; i++) {
        if (shard->records[i].number >= floor) continue;
        free(shard->records[i].codes);
        free(shard->records[i].numbers);
        shard->records[i--] = shard->records[--shard->records_count];
    }
}

/* O-42. */
static void recorded(const struct fake_record *record, const struct batch_part *part, bool cancel, struct bytes_writer *writer, size_t *results_at) {
    struct bytes_cursor cursor = bytes_cursor_of(part->ops, part->ops_bytes);
    for (uint32_t i = 0; i < record->op_count; i++) {
        struct result result = {.code = record->codes[i], .flags = RESULT_FLAG_VALUE_LEFT_OUT};
        uint8_t text[OPERATION_NUMBER_BYTES_MAX];
        struct operation operation;
        if (!cancel && operation_decode(&cursor, &operation) && result.code == CODE_OK && operation_is_write(operation.opcode)) {
            result.flags = RESULT_FLAG_VERSION;
            result.version = (struct version){record->height, record->index + i};
            if (operation.opcode == OPERATION_ADD) {
                result.value = text;
                result.value_bytes = (uint32_t)operation_number_format(record->numbers[i], text);
            }
        }
        if (results_at) results_at[i] = writer->used;
        result_encode(writer, &result);
    }
    if (results_at) results_at[record->op_count] = writer->used;
}

static bool fails_list(uint8_t opcode, uint8_t code) {
    return code != CODE_OK && !(code == CODE_ABSENT && (opcode == OPERATION_GET || opcode == OPERATION_DELETE));
}

/* O-11, by trying it on a copy first: returns the position of the operation that fails the list, or op_count. */
static uint32_t atomic_failure(const struct fake_shard *shard, const struct batch_part *part) {
    struct fake_shard *trial = malloc(sizeof *trial);
    CHECK(trial);
    fake_shard_init(trial, shard->window);
    for (uint32_t i = 0; i < shard->entries_count; i++) {
        const struct fake_entry *entry = &shard->entries[i];
        trial->entries[trial->entries_count++] = (struct fake_entry){.key = copy(entry->key, entry->key_bytes),
                                                                     .key_bytes = entry->key_bytes,
                                                                     .value = copy(entry->value, entry->value_bytes),
                                                                     .value_bytes = entry->value_bytes,
                                                                     .version = entry->version};
    }
    struct bytes_cursor cursor = bytes_cursor_of(part->ops, part->ops_bytes);
    uint32_t at = 0;
    for (; at < part->op_count; at++) {
        struct operation operation;
        int64_t made;
        CHECK(operation_decode(&cursor, &operation));
        if (fails_list(operation.opcode, execute(trial, &operation, (struct version){0}, &made).code)) break;
    }
    fake_shard_free(trial);
    free(trial);
    return at;
}

static uint8_t run(struct fake_shard *shard, const struct batch_part *part, struct fake_record *record, struct bytes_writer *writer,
                   size_t *results_at) {
    bool atomic = part->flags & PART_FLAG_ATOMIC;
    uint32_t failure = atomic ? atomic_failure(shard, part) : part->op_count;
    struct bytes_cursor cursor = bytes_cursor_of(part->ops, part->ops_bytes);
    for (uint32_t i = 0; i < part->op_count; i++) {
        struct operation operation;
        struct result result = {.code = CODE_NOT_EXECUTED};
        int64_t made = 0;
        CHECK(operation_decode(&cursor, &operation));
        bool none = failure < part->op_count && i != failure;
        if (!none) result = execute(shard, &operation, (struct version){shard->height, i}, &made);
        if (results_at) results_at[i] = writer->used;
        result_encode(writer, &result);
        if (!record) continue;
        record->codes[i] = result.code;
        record->numbers[i] = made;
    }
    if (results_at) results_at[part->op_count] = writer->used;
    return CODE_OK;
}

uint8_t fake_shard_execute(struct fake_shard *shard, const struct batch_part *part, const uint8_t digest[32], struct bytes_writer *writer,
                           uint64_t *height, size_t *results_at) {
    *height = ++shard->height;
    if (part->number == 0) return run(shard, part, NULL, writer, results_at);
    fake_shard_floor_raise(shard, part->floor);
    if (part->number < shard->floor) return CODE_TOO_OLD;
    if (part->number >= shard->floor + shard->window) return CODE_TOO_NEW;
    bool cancel = part->ops[0] == OPERATION_CANCEL;
    struct fake_record *record = record_of(shard, part->number);
    if (record) {
        if (record->cancelled) return CODE_CANCELLED;
        if (!cancel && memcmp(record->digest, digest, 32) != 0) return CODE_REUSED;
        *height = record->height;
        recorded(record, part, cancel, writer, results_at);
        return CODE_RECORDED;
    }
    CHECK(shard->records_count < FAKE_RECORDS_MAX);
    record = &shard->records[shard->records_count++];
    *record = (struct fake_record){.number = part->number, .height = shard->height, .op_count = cancel ? 0 : part->op_count, .cancelled = cancel};
    memcpy(record->digest, digest, 32);
    if (cancel) return CODE_CANCELLED;
    record->codes = calloc(part->op_count, 1);
    record->numbers = calloc(part->op_count, sizeof *record->numbers);
    CHECK(record->codes && record->numbers);
    shard->executed++;
    return run(shard, part, record, writer, results_at);
}
