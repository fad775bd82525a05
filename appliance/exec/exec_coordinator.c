/* Coordinator: admission of client batches (O-30, O-31) and answers of shards (O-32). */
#include "appliance/exec/exec_inside.h"

#include <string.h>

#include "merkle/sha256.h"

enum { BUCKET_BYTES = 16, ADMISSION_BYTES_MAX = 8 + 65536 / 8 };

/* What one batch is judged by. */
struct admission {
    const struct batch *batch;
    struct exec_client client;
    const uint8_t *rights;      /* a copy: the table moves */
    uint8_t relay;
};

/* 'f' client_id shard: the floor, then the charged bits. */
struct charge {
    uint8_t key[EXEC_SYSTEM_KEY_MAX];
    size_t key_bytes;
    uint32_t bytes;             /* of the value, by the window in force */
    bool changed;
    uint8_t value[ADMISSION_BYTES_MAX];
};

static uint32_t charge_bytes(const struct executor *ex) {
    return 8 + (ex->config.limits.number_window + 7) / 8;
}

static void charge_get(struct executor *ex, const uint8_t client_id[32], uint32_t shard, struct charge *charge) {
    charge->key_bytes = exec_key_client('f', client_id, charge->key);
    bytes_put_le32(charge->key + charge->key_bytes, shard);
    charge->key_bytes += 4;
    charge->bytes = charge_bytes(ex);
    charge->changed = false;
    memset(charge->value, 0, charge->bytes);
    struct table_entry entry;
    if (exec_state_get(ex, charge->key, charge->key_bytes, &entry))
        memcpy(charge->value, entry.value, entry.value_bytes < charge->bytes ? entry.value_bytes : charge->bytes);
    else bytes_put_le64(charge->value, 1);
}

static bool charge_bit(const struct charge *charge, uint64_t offset) {
    return charge->value[8 + offset / 8] & 1u << offset % 8;
}

/* O-30.2: the floor rises, bits move down. */
static void charge_floor(struct charge *charge, uint64_t floor) {
    uint64_t old = bytes_get_le64(charge->value);
    if (floor <= old) return;
    uint8_t *bits = charge->value + 8;
    uint64_t count = charge->bytes - 8, bytes = (floor - old) / 8, rest = (floor - old) % 8;
    for (uint64_t i = 0; i < count; i++) {
        unsigned low = bytes < count - i ? bits[i + bytes] : 0;
        unsigned high = bytes < count - i && bytes + 1 < count - i ? bits[i + bytes + 1] : 0;
        bits[i] = (uint8_t)((low | high << 8) >> rest);
    }
    bytes_put_le64(charge->value, floor);
    charge->changed = true;
}

/* O-30.5. False: QUOTA. */
static bool quota_take(struct executor *ex, const struct admission *admission, uint32_t op_count) {
    uint64_t per_second = admission->client.quota_per_second, full = (uint64_t)1000 * admission->client.quota_burst;
    if (per_second == 0) return true;
    uint8_t key[EXEC_SYSTEM_KEY_MAX], value[BUCKET_BYTES];
    size_t key_bytes = exec_key_client('b', admission->batch->client_id, key);
    struct table_entry entry;
    uint64_t tokens = full;
    if (exec_state_get(ex, key, key_bytes, &entry)) {
        CHECK(entry.value_bytes == BUCKET_BYTES);
        uint64_t grown;
        tokens = bytes_get_le64(entry.value);
        if (__builtin_mul_overflow(per_second, ex->time - bytes_get_le64(entry.value + 8), &grown) ||
                __builtin_add_overflow(tokens, grown, &tokens) ||
            tokens > full)
            tokens = full;
    }
    uint64_t cost = (uint64_t)1000 * op_count;
    if (tokens < cost) return false;
    bytes_put_le64(value, tokens - cost);
    bytes_put_le64(value + 8, ex->time);
    exec_state_put(ex, key, key_bytes, value, sizeof value);
    return true;
}

/* O-30.3 */
static bool rights_allow(const struct admission *admission, const struct batch_part *part) {
    struct bytes_cursor cursor = bytes_cursor_of(part->ops, part->ops_bytes);
    for (uint32_t i = 0; i < part->op_count; i++) {
        struct operation operation;
        CHECK(operation_decode(&cursor, &operation));
        bool state = operation.opcode == OPERATION_CLIENT_STATE;
        if (state && !executor_right_state(admission->rights, admission->client.rights_bytes, admission->batch->client_id, operation.argument_a))
            return false;
        if (operation.key_bytes == 0) continue;
        uint8_t flag = operation_is_write(operation.opcode) ? SYSTEM_RIGHT_WRITE : SYSTEM_RIGHT_READ;
        if (!executor_right(admission->rights, admission->client.rights_bytes, flag, operation.key, operation.key_bytes)) return false;
    }
    return true;
}

/* O-31; in u64, since a part may ask for more than any credit. */
static uint64_t part_reserve(const struct executor *ex, const struct batch_part *part, uint32_t item_bytes) {
    const struct system_limits *limits = &ex->config.limits;
    struct bytes_cursor cursor = bytes_cursor_of(part->ops, part->ops_bytes);
    uint64_t reserve = SLICE_PART_HEAD_BYTES + (uint64_t)item_bytes;
    for (uint32_t i = 0; i < part->op_count; i++) {
        struct operation operation;
        CHECK(operation_decode(&cursor, &operation));
        reserve += 20;
        if (operation.opcode == OPERATION_GET) reserve += operation.a < limits->value_bytes_max ? operation.a : limits->value_bytes_max;
        if (operation.opcode == OPERATION_ADD) reserve += OPERATION_NUMBER_BYTES_MAX;
        if (operation.opcode == OPERATION_CLIENT_STATE) reserve += 16 + (uint64_t)8 * limits->number_window;
    }
    return reserve;
}

/* O-30.4 */
static bool credit_there(const struct executor *ex, const struct exec_queue *queue, uint8_t relay, uint32_t op_count, uint64_t reserve) {
    const struct system_limits *limits = &ex->config.limits;
    uint32_t share = limits->credit_ops / (config_faults(ex->config.members.count) + 1);
    return (uint64_t)queue->open_ops + op_count <= limits->credit_ops && reserve <= UINT32_MAX &&
            queue->open_bytes + reserve <= limits->credit_bytes &&
           (uint64_t)queue->relay_ops[relay] + op_count <= share;
}

static void admit(struct executor *ex, uint32_t pair, const struct admission *admission, const struct batch_part *part, const uint8_t digest[32],
                  uint32_t item_bytes, uint32_t reserve) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    bool write = admission->batch->kind == BATCH_WRITE;
    uint8_t *item = exec_queue_space(ex, pair, item_bytes, part->op_count);
    if (!item) return;
    slice_item_head_encode(item, item_bytes - SLICE_ITEM_HEAD_BYTES, write ? SLICE_WRITE : SLICE_READ);
    uint8_t *body = item + SLICE_ITEM_HEAD_BYTES;
    if (write) slice_write_head_encode(body, admission->batch->client_id, part->number, part->floor, digest, part->flags, part->op_count);
    else slice_read_head_encode(body, part->op_count);
    memcpy(item + item_bytes - part->ops_bytes, part->ops, part->ops_bytes);
    struct routing routing = {.relay = admission->relay, .flags = part->flags, .op_count = part->op_count, .reserved_bytes = reserve};
    memcpy(routing.client_id, admission->batch->client_id, 32);
    memcpy(routing.part_digest, digest, 32);
    exec_queue_route(ex, pair, &routing);
    queue->open_ops += part->op_count;
    queue->open_bytes += reserve;
    queue->relay_ops[admission->relay] += part->op_count;
    if (write) ex->counts.ops_written += part->op_count;
    else ex->counts.ops_read += part->op_count;
}

/* O-30: CODE_OK: admitted. */
static enum operation_code part_admit(struct executor *ex, const struct admission *admission, const struct batch_part *part,
    const uint8_t digest[32]) {
    bool write = admission->batch->kind == BATCH_WRITE;
    int found = exec_pair_find(ex, part->shard);
    CHECK(found >= 0);
    uint32_t pair = (uint32_t)found, head = SLICE_ITEM_HEAD_BYTES + (write ? SLICE_WRITE_HEAD_BYTES : SLICE_READ_HEAD_BYTES);
    struct charge charge;
    charge.changed = false;
    enum operation_code code = CODE_OK;
    uint64_t offset = 0;
    if (write) {
        if (part->op_count > EXEC_PART_WRITES_MAX) return CODE_MALFORMED;
        if (admission->client.revoked) return CODE_REVOKED;
        if (!exec_records_room(ex) || !exec_budget_take(ex, 2, (uint64_t)charge_bytes(ex) + BUCKET_BYTES + 256)) return CODE_BUSY;
        charge_get(ex, admission->batch->client_id, part->shard, &charge);
        if (part->number < bytes_get_le64(charge.value)) return CODE_TOO_OLD;
        charge_floor(&charge, part->floor);
        offset = part->number - bytes_get_le64(charge.value);
        if (offset >= ex->config.limits.number_window) code = CODE_TOO_NEW;
        else if (!rights_allow(admission, part)) code = CODE_RIGHTS;
    }
    uint64_t reserve = part_reserve(ex, part, head + part->ops_bytes);
    if (code == CODE_OK && !credit_there(ex, &ex->queues[pair], admission->relay, part->op_count, reserve)) code = CODE_BUSY;
    if (code == CODE_OK && write && !charge_bit(&charge, offset)) {
        if (quota_take(ex, admission, part->op_count)) {
            charge.value[8 + offset / 8] = (uint8_t)(charge.value[8 + offset / 8] | 1u << offset % 8);
            charge.changed = true;
        } else {
            code = CODE_QUOTA;
        }
    }
    if (charge.changed) exec_state_put(ex, charge.key, charge.key_bytes, charge.value, charge.bytes);
    if (code == CODE_OK) admit(ex, pair, admission, part, digest, head + part->ops_bytes, (uint32_t)reserve);
    return code;
}

/* The client's record, copied, since what it lies in moves with the first write. */
static bool admission_begin(struct executor *ex, const struct batch *batch, uint8_t relay, struct admission *admission) {
    uint8_t key[EXEC_SYSTEM_KEY_MAX];
    struct table_entry entry;
    if (!exec_state_get(ex, key, exec_key_client('k', batch->client_id, key), &entry)) return false;
    CHECK(entry.value_bytes <= EXEC_CLIENT_RECORD_MAX);
    memcpy(ex->scratch.client, entry.value, entry.value_bytes);
    CHECK(executor_client_read(ex->scratch.client, entry.value_bytes, &admission->client));
    admission->batch = batch;
    admission->rights = admission->client.rights;
    admission->relay = relay;
    return true;
}

enum exec_status exec_coordinator_batch(struct executor *ex, const struct exec_ref *ref) {
    const struct system_limits *limits = &ex->config.limits;
    if (ex->shard) return EXEC_BAD_KIND;
    if (ref->relay >= ex->config.members.count) return EXEC_BAD_RELAY;
    struct batch_limits batch_limits = {.shards = ex->shards, .batch_bytes_max = limits->batch_bytes_max, .batch_parts_max = limits->batch_parts_max,
                                        .batch_ops_max = limits->batch_ops_max};
    struct batch batch;
    if (batch_decode(ref->bytes, ref->byte_count, &batch_limits, &batch) != BATCH_OK) return EXEC_BAD_INPUT;
    struct admission admission;
    if (!admission_begin(ex, &batch, ref->relay, &admission)) return EXEC_VALID;
    size_t at = 0;
    struct batch_part part;
    while (batch_part_next(&batch, &at, &part)) {
        struct exec_item item = {.kind = CLIENT_ITEM_PART, .shard = part.shard, .op_count = part.op_count};
        batch_part_digest(batch.client_id, batch.nonce, &part, item.digest);
        item.code = (uint8_t)part_admit(ex, &admission, &part, item.digest);
        if (item.code == CODE_OK) continue;
        if (item.code == CODE_BUSY) ex->counts.parts_busy++;
        else ex->counts.parts_refused++;
        exec_client_item(ex, batch.client_id, &item);
    }
    return EXEC_VALID;
}

/* Answers. */

/* What is known of the long results of a slice; parts are asked about in the order of the slice. */
struct known {
    const uint8_t *base;
    const struct slice_long *list;
    uint32_t count, at;
};

/* NULL: not known. */
static const uint8_t *known_hash(struct known *known, const uint8_t *results) {
    size_t at = (size_t)(results - known->base);
    while (known->at < known->count && known->list[known->at].at < at) known->at++;
    return known->at < known->count && known->list[known->at].at == at ? known->list[known->at].hash : NULL;
}

/* O-25: one item for the part, or with flag RECEIPT one for each operation, if its results are what they should be. */
static void part_deliver(struct executor *ex, uint32_t pair, const struct routing *routing, const struct slice_part *part, struct known *known) {
    struct exec_item item = {.kind = CLIENT_ITEM_PART, .code = part->code, .shard = ex->queues[pair].cluster, .height = part->height,
        .index = part->index,
                             .op_count = part->op_count, .results = part->results, .results_bytes = part->results_bytes};
    memcpy(item.digest, routing->part_digest, 32);
    struct bytes_cursor cursor = bytes_cursor_of(part->results, part->results_bytes);
    struct result result;
    bool split = routing->flags & PART_FLAG_RECEIPT && part->results_bytes > 0 && part->op_count > 0;
    split = split && exec_client_fits(ex, routing->client_id, part->op_count, part->results_bytes);
    for (uint32_t i = 0; split && i < part->op_count; i++) split = result_decode(&cursor, &result);
    if (!split || !bytes_finished(&cursor)) {
        if (slice_client_condensed(item.kind, item.results_bytes)) item.results_hash = known_hash(known, item.results);
        exec_client_item(ex, routing->client_id, &item);
        return;
    }
    cursor = bytes_cursor_of(part->results, part->results_bytes);
    item.kind = CLIENT_ITEM_OPERATION;
    item.op_count = 1;
    for (uint32_t i = 0; i < part->op_count; i++) {
        item.results = cursor.at;
        CHECK(result_decode(&cursor, &result));
        item.results_bytes = (uint32_t)(cursor.at - item.results);
        item.index = part->index + i;
        item.first_op = i;
        exec_client_item(ex, routing->client_id, &item);
    }
}

/* O-32: the 'u' record goes, or is what is left of its list. */
static void unfinished_end(struct executor *ex, uint32_t pair, uint32_t list_bytes) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    uint8_t key[EXEC_SYSTEM_KEY_MAX], hash[32];
    size_t key_bytes = exec_key_cluster('u', queue->cluster, key);
    bytes_put_le64(key + key_bytes, queue->unfinished_first);
    key_bytes += 8;
    if (queue->unfinished_at < list_bytes) {
        routing_hash(exec_log_bytes(&ex->routings[pair], queue->unfinished_first) + queue->unfinished_at, list_bytes - queue->unfinished_at, hash);
        exec_state_put(ex, key, key_bytes, hash, sizeof hash);
        return;
    }
    exec_state_remove(ex, key, key_bytes);
    queue->unfinished_at = 0;
    queue->turn.unfinished_count--;
    do queue->unfinished_first++;
    while (queue->turn.unfinished_count > 0 && exec_log_segment(&ex->routings[pair], queue->unfinished_first)->bytes == 0);
}

static void answer_consume(struct executor *ex, uint32_t pair, const struct slice_item *item, struct known *known) {
    struct exec_queue *queue = exec_queue_change(ex, pair);
    struct slice_answer answer;
    if (!slice_answer_decode(item, &answer) || queue->turn.unfinished_count == 0 || answer.request_dseq != queue->unfinished_first) {
        ex->counts.garbage++;
        return;
    }
    uint64_t dseq = queue->unfinished_first;
    uint32_t list_bytes = exec_log_segment(&ex->routings[pair], dseq)->bytes;
    if (answer.part_count == 0 || answer.part_count > (list_bytes - queue->unfinished_at) / ROUTING_BYTES) {
        ex->counts.garbage++;
        return;
    }
    size_t at = 0;
    struct slice_part part;
    while (slice_part_next(&answer, &at, &part)) {
        struct routing routing;
        routing_decode(exec_log_bytes(&ex->routings[pair], dseq) + queue->unfinished_at, &routing);
        part_deliver(ex, pair, &routing, &part, known);
        queue->unfinished_at += ROUTING_BYTES;
        queue->open_ops -= routing.op_count;
        queue->open_bytes -= routing.reserved_bytes;
        queue->relay_ops[routing.relay] -= routing.op_count;
    }
    unfinished_end(ex, pair, list_bytes);
}

void exec_coordinator_slice(struct executor *ex, uint32_t pair, const struct exec_ref *ref, const struct slice *slice) {
    struct known known = {.base = ref->bytes, .list = ref->longs, .count = ref->longs != NULL ? ref->long_count : 0};
    size_t at = 0;
    uint32_t index = 0;
    struct slice_item item;
    while (slice_item_next(slice, &at, &index, &item)) {
        if (item.kind == SLICE_ANSWER) answer_consume(ex, pair, &item, &known);
        else if (item.kind == SLICE_CONFIG) exec_admin_item(ex, pair, &item);
        else ex->counts.garbage++;
    }
}
