/* A request slice at a shard: parse it whole, then execute its parts in order (D-15, O-22, O-24). */
#include "appliance/exec/exec_inside.h"

#include <string.h>

/* O-13: what the operation's own bytes decide. */
static enum operation_code early_code(const struct executor *ex, const struct operation *operation) {
    const struct system_limits *limits = &ex->config.limits;
    uint8_t opcode = operation->opcode;
    if (opcode >= OPERATION_CROSS_PREPARE && opcode <= OPERATION_CROSS_ABORT) return CODE_UNSUPPORTED;
    if (operation->key_bytes == 0) return CODE_OK;
    if (operation->key_bytes > limits->key_bytes_max) return CODE_LIMIT;
    if ((opcode == OPERATION_PUT || opcode == OPERATION_PUT_IF_ABSENT) && operation->a > limits->value_bytes_max) return CODE_LIMIT;
    if ((opcode == OPERATION_CAS || opcode == OPERATION_CAS_VERSION) && operation->b > limits->value_bytes_max) return CODE_LIMIT;
    return CODE_OK;
}

/* Operations with keys of one length, on their way to a shard and a hash: most keys of a load have one, and several are faster together. */
struct alike {
    struct exec_operation *operations[SIPHASH_LANES];
    const uint8_t *keys[SIPHASH_LANES];
    uint16_t key_bytes;
    unsigned count;
};

/* O-13: WRONG-SHARD, and where the table has the key. */
static void alike_place(const struct executor *ex, struct alike *alike) {
    uint64_t hashes[SIPHASH_LANES];
    uint32_t shards[SIPHASH_LANES];
    if (alike->count == 0) return;
    for (unsigned i = alike->count; i < SIPHASH_LANES; i++) alike->keys[i] = alike->keys[0];
    table_hash_each(ex->table, TRIE_SPACE_USER, alike->keys, alike->key_bytes, hashes);
    if (ex->shards > 1) partition_shard_each(ex->system->partition_key, ex->shards, alike->keys, alike->key_bytes, shards);
    for (unsigned i = 0; i < alike->count; i++) {
        struct exec_operation *op = alike->operations[i];
        op->hash = hashes[i];
        if (ex->shards > 1 && shards[i] != ex->shard_number) op->early = CODE_WRONG_SHARD;
    }
    alike->count = 0;
}

static void alike_add(const struct executor *ex, struct alike *alike, struct exec_operation *op, const uint8_t *key) {
    if (alike->count == SIPHASH_LANES || op->key_bytes != alike->key_bytes) alike_place(ex, alike);
    alike->key_bytes = op->key_bytes;
    alike->operations[alike->count] = op;
    alike->keys[alike->count++] = key;
}

/* The operations of one item behind the cursor, into scratch. False: they break their table. */
static bool operations_parse(struct executor *ex, struct bytes_cursor *cursor, struct exec_part *part, uint32_t op_count) {
    struct exec_scratch *scratch = &ex->scratch;
    struct alike alike = {.count = 0};
    bool writes = false;
    for (uint32_t i = 0; i < op_count; i++) {
        struct operation operation;
        const uint8_t *at = cursor->at;
        if (!operation_decode(cursor, &operation)) return false;
        CHECK(scratch->operation_count < scratch->operation_max);
        struct exec_operation *op = &scratch->operations[scratch->operation_count++];
        *op = (struct exec_operation){.at = at, .a = operation.a, .b = operation.b, .key_bytes = operation.key_bytes, .opcode = operation.opcode,
                                      .flags = operation.flags};
        op->early = (uint8_t)early_code(ex, &operation);
        if (op->early == CODE_OK && op->key_bytes > 0) alike_add(ex, &alike, op, operation.key);
        writes = writes || operation_is_write(operation.opcode);
        if (operation.opcode == OPERATION_CANCEL && op_count != 1) return false;
    }
    alike_place(ex, &alike);
    return bytes_finished(cursor) && op_count > 0 && writes == (part->kind == SLICE_WRITE);
}

/* O-22 */
static bool part_parse(struct executor *ex, struct exec_part *part) {
    struct bytes_cursor cursor = bytes_cursor_of(part->body, part->body_bytes);
    uint32_t op_count;
    if (part->kind == SLICE_WRITE) {
        bytes_get_raw(&cursor, 32);
        uint64_t number = bytes_get_u64(&cursor), floor = bytes_get_u64(&cursor);
        bytes_get_raw(&cursor, 32);
        uint32_t flags = bytes_get_u32(&cursor);
        op_count = bytes_get_u32(&cursor);
        bytes_require(&cursor, (flags & ~(uint32_t)(PART_FLAG_ATOMIC | PART_FLAG_RECEIPT)) == 0);
        bytes_require(&cursor, floor >= 1 && floor <= number && op_count <= EXEC_PART_WRITES_MAX);
    } else {
        op_count = bytes_get_u32(&cursor);
        bytes_require(&cursor, bytes_get_u32(&cursor) == 0);
    }
    bytes_require(&cursor, op_count <= (exec_answer_bytes_max(ex) - EXEC_ANSWER_HEADS) / RESULT_HEAD_BYTES);
    if (cursor.failed || !operations_parse(ex, &cursor, part, op_count)) return false;
    part->op_count = op_count;
    return true;
}

/* All READ and WRITE items of the slice into scratch; the other items take effect here. */
static uint32_t slice_parse(struct executor *ex, uint32_t pair, const struct slice *slice) {
    struct exec_scratch *scratch = &ex->scratch;
    size_t at = 0;
    uint32_t index = 0, parts = 0;
    struct slice_item item;
    scratch->operation_count = 0;
    while (slice_item_next(slice, &at, &index, &item)) {
        if (item.kind == SLICE_READ || item.kind == SLICE_WRITE) {
            CHECK(parts < scratch->part_max);
            struct exec_part *part = &scratch->parts[parts++];
            *part = (struct exec_part){.body = item.body, .body_bytes = item.body_bytes, .first = scratch->operation_count, .kind = item.kind};
            part->malformed = !part_parse(ex, part);
            if (part->malformed) scratch->operation_count = part->first;
        } else if (item.kind == SLICE_CONFIG || item.kind == SLICE_REVOKE) {
            exec_admin_item(ex, pair, &item);
        } else {
            ex->counts.garbage++;
        }
    }
    return parts;
}

static void part_count(struct executor *ex, const struct exec_part *part, const struct slice_part *answer) {
    if (answer->code == CODE_RECORDED) ex->counts.parts_recorded++;
    else if (answer->code == CODE_BUSY) ex->counts.parts_busy++;
    else if (answer->code != CODE_OK) ex->counts.parts_refused++;
    else if (part->kind == SLICE_READ) ex->counts.ops_read += part->op_count;
    else ex->counts.ops_written += part->op_count;
}

/* Results of reads stand where they were written; those of writes may be written again (O-11). */
static uint32_t part_read(struct executor *ex, const struct exec_part *part, const struct exec_answer *answer, uint8_t *out) {
    ex->scratch.values_from = answer->item;
    uint32_t bytes = exec_part_run(ex, part, false, out);
    ex->scratch.values_from = NULL;
    return bytes;
}

void exec_shard_slice(struct executor *ex, uint32_t pair, uint64_t dseq, const struct slice *slice) {
    uint32_t parts = slice_parse(ex, pair, slice);
    if (parts == 0) return;
    struct exec_answer answer = {.pair = pair, .request_dseq = dseq};
    exec_answer_begin(ex, &answer);
    for (uint32_t i = 0; i < parts; i++) {
        const struct exec_part *part = &ex->scratch.parts[i];
        uint8_t *at = exec_answer_part(ex, &answer);
        if (!at) return;
        struct slice_part result = {.code = CODE_OK, .op_count = part->op_count, .height = ex->height, .index = ex->op_index};
        if (part->malformed) result.code = CODE_MALFORMED;
        else if (part->kind == SLICE_WRITE) exec_record_part(ex, part, &result, at + SLICE_PART_HEAD_BYTES);
        else result.results_bytes = part_read(ex, part, &answer, at + SLICE_PART_HEAD_BYTES);
        ex->op_index += part->op_count;
        part_count(ex, part, &result);
        exec_answer_part_done(ex, &answer, &result);
    }
    exec_answer_end(ex, &answer);
}
