#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "merkle/check.h"
#include "protocol/operation.h"
#include "protocol/partition.h"
#include "ring/entropy.h"

enum { PART_WRITE_OPS_MAX = 4096 }; /* O-30.0 */

void client_request_why(struct heraclius_request *request, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(request->why, sizeof request->why, format, arguments);
    va_end(arguments);
}

struct heraclius_request *heraclius_request_new(struct heraclius *db) {
    struct heraclius_request *request = calloc(1, sizeof *request);
    if (request) request->db = db;
    return request;
}

struct heraclius_request *client_request_internal(struct heraclius *db) {
    struct heraclius_request *request = heraclius_request_new(db);
    if (request) request->internal = true;
    return request;
}

void heraclius_request_flags(struct heraclius_request *request, unsigned flags) {
    request->flags = flags;
}

static void sending_free(struct sending *sending) {
    if (!sending) return;
    struct heraclius *db = sending->request->db;
    client_engine_cancels_drop(sending);
    for (uint32_t i = 0; i < sending->part_count; i++) client_digest_remove(db, &sending->parts[i]);
    if (sending->previous) sending->previous->next = sending->next;
    if (sending->next) sending->next->previous = sending->previous;
    if (db->sendings == sending) db->sendings = sending->next;
    client_buffer_free(&sending->batch);
    free(sending->parts);
    free(sending);
}

void client_request_release(struct heraclius_request *request) {
    for (int kind = 0; kind < 2; kind++) {
        sending_free(request->sendings[kind]);
        request->sendings[kind] = NULL;
    }
    for (size_t i = 0; i < request->values_count; i++) client_buffer_free(&request->values[i]);
    for (size_t i = 0; request->receipts && i < request->op_count; i++) free(request->receipts[i].bytes);
    free(request->values);
    free(request->receipts);
    free(request->order);
    free(request->results);
    free(request->has_result);
    request->values = NULL;
    request->values_count = 0;
    request->receipts = NULL;
    request->order = NULL;
    request->results = NULL;
    request->has_result = NULL;
}

/* Out of the queue of those that wait for their numbers. */
static void unhold(struct heraclius_request *request) {
    struct heraclius_request **at = &request->db->held;
    while (*at && *at != request) at = &(*at)->next;
    if (*at) *at = request->next;
}

void heraclius_request_reset(struct heraclius_request *request) {
    if (request->state == REQUEST_HELD) unhold(request);
    client_request_release(request);
    request->ops.used = 0;
    request->ops.failed = false;
    request->op_count = 0;
    request->flags = 0;
    request->state = REQUEST_NEW;
    request->status = HERACLIUS_OK;
    request->why[0] = 0;
}

void heraclius_request_free(struct heraclius_request *request) {
    if (!request) return;
    heraclius_request_reset(request);
    client_buffer_free(&request->ops);
    free(request->op);
    free(request);
}

/* Appends an operation that is already within its table; `shard` is where it goes if it has no key. */
static void append(struct heraclius_request *request, const struct operation *operation, uint32_t shard) {
    CHECK(request->state == REQUEST_NEW);
    if (request->op_count == request->op_room) {
        size_t room = request->op_room ? 2 * request->op_room : 8;
        struct request_op *op = realloc(request->op, room * sizeof *op);
        if (!op) {
            request->ops.failed = true;
            return;
        }
        request->op = op;
        request->op_room = room;
    }
    size_t count = operation_bytes(operation);
    size_t at = request->ops.used;
    uint8_t *space = client_buffer_space(&request->ops, count);
    if (!space) return;
    struct bytes_writer writer = bytes_writer_of(space, count);
    operation_encode(&writer, operation);
    request->op[request->op_count++] =
        (struct request_op){.at = at, .bytes = (uint32_t)count, .shard = shard, .key_bytes = operation->key_bytes,
                            .write = operation_is_write(operation->opcode), .get = operation->opcode == OPERATION_GET};
}

static void append_keyed(struct heraclius_request *request, struct operation operation, const void *key, size_t key_bytes, size_t value_bytes) {
    const struct system_limits *limits = &request->db->system->limits;
    if (request->why[0]) return;
    if (key_bytes == 0 || key_bytes > limits->key_bytes_max) {
        client_request_why(request, "operation %zu: a key has 1 to %u bytes, this one %zu", request->op_count, limits->key_bytes_max, key_bytes);
        return;
    }
    if (value_bytes > limits->value_bytes_max) {
        client_request_why(request, "operation %zu: a value has at most %u bytes, this one %zu", request->op_count, limits->value_bytes_max,
                           value_bytes);
        return;
    }
    operation.key = key;
    operation.key_bytes = (uint16_t)key_bytes;
    append(request, &operation, 0);
}

void heraclius_get(struct heraclius_request *request, const void *key, size_t key_bytes, uint32_t accept_bytes, bool with_version) {
    struct operation operation = {.opcode = OPERATION_GET, .flags = with_version ? OPERATION_FLAG_VERSION : 0, .a = accept_bytes};
    append_keyed(request, operation, key, key_bytes, 0);
}

void heraclius_put(struct heraclius_request *request, const void *key, size_t key_bytes, const void *value, size_t value_bytes) {
    struct operation operation = {.opcode = OPERATION_PUT, .a = (uint32_t)value_bytes, .argument_a = value};
    append_keyed(request, operation, key, key_bytes, value_bytes);
}

void heraclius_put_if_absent(struct heraclius_request *request, const void *key, size_t key_bytes, const void *value, size_t value_bytes) {
    struct operation operation = {.opcode = OPERATION_PUT_IF_ABSENT, .a = (uint32_t)value_bytes, .argument_a = value};
    append_keyed(request, operation, key, key_bytes, value_bytes);
}

void heraclius_cas(struct heraclius_request *request, const void *key, size_t key_bytes, const void *expected, size_t expected_bytes,
                   const void *value, size_t value_bytes) {
    struct operation operation = {
        .opcode = OPERATION_CAS, .a = (uint32_t)expected_bytes, .argument_a = expected, .b = (uint32_t)value_bytes, .argument_b = value};
    append_keyed(request, operation, key, key_bytes, value_bytes > expected_bytes ? value_bytes : expected_bytes);
}

void heraclius_cas_version(struct heraclius_request *request, const void *key, size_t key_bytes, struct heraclius_version expected, const void *value,
                           size_t value_bytes) {
    uint8_t version[OPERATION_VERSION_BYTES];
    version_put(version, (struct version){.height = expected.height, .index = expected.index});
    struct operation operation = {
        .opcode = OPERATION_CAS_VERSION, .a = OPERATION_VERSION_BYTES, .argument_a = version, .b = (uint32_t)value_bytes, .argument_b = value};
    append_keyed(request, operation, key, key_bytes, value_bytes);
}

void heraclius_delete(struct heraclius_request *request, const void *key, size_t key_bytes) {
    struct operation operation = {.opcode = OPERATION_DELETE};
    append_keyed(request, operation, key, key_bytes, 0);
}

void heraclius_add(struct heraclius_request *request, const void *key, size_t key_bytes, int64_t delta, const int64_t *floor) {
    uint8_t numbers[16];
    bytes_put_le64(numbers, (uint64_t)delta);
    if (floor) bytes_put_le64(numbers + 8, (uint64_t)*floor);
    struct operation operation = {
        .opcode = OPERATION_ADD, .a = 8, .argument_a = numbers, .b = floor ? 8 : 0, .argument_b = floor ? numbers + 8 : NULL};
    append_keyed(request, operation, key, key_bytes, 0);
}

void heraclius_check(struct heraclius_request *request, const void *key, size_t key_bytes, const struct heraclius_version *expected) {
    uint8_t version[OPERATION_VERSION_BYTES];
    struct operation operation = {.opcode = OPERATION_CHECK};
    if (expected) {
        version_put(version, (struct version){.height = expected->height, .index = expected->index});
        operation.a = OPERATION_VERSION_BYTES;
        operation.argument_a = version;
    }
    append_keyed(request, operation, key, key_bytes, 0);
}

void client_request_placed(struct heraclius_request *request, uint32_t shard) {
    if (request->why[0] || request->ops.failed) return;
    request->op[request->op_count - 1].shard = shard;
    request->op[request->op_count - 1].key_bytes = 0;
}

void client_request_client_state(struct heraclius_request *request, uint32_t shard) {
    struct operation operation = {.opcode = OPERATION_CLIENT_STATE, .a = BYTES_HASH, .argument_a = request->db->key.card_id};
    append(request, &operation, shard);
}

size_t heraclius_request_count(const struct heraclius_request *request) {
    return request->op_count;
}

enum heraclius_status heraclius_request_status(const struct heraclius_request *request) {
    return request->state == REQUEST_ENDED ? request->status : HERACLIUS_PENDING;
}

const struct heraclius_result *heraclius_result_at(const struct heraclius_request *request, size_t index) {
    if (index >= request->op_count || !request->has_result || !request->has_result[index]) return NULL;
    return &request->results[index];
}

const char *heraclius_why(const struct heraclius_request *request) {
    return request->why;
}

const uint8_t *heraclius_receipt_at(const struct heraclius_request *request, size_t index, size_t *bytes) {
    if (index >= request->op_count || !request->receipts || !request->receipts[index].bytes) return NULL;
    *bytes = request->receipts[index].count;
    return request->receipts[index].bytes;
}

/* Where operations [first, first + count) go, of keys of one length. */
static void place(struct heraclius_request *request, size_t first, size_t count) {
    const struct system *system = request->db->system;
    struct request_op *op = &request->op[first];
    const uint8_t *keys[SIPHASH_LANES];
    uint32_t shards[SIPHASH_LANES];
    for (size_t i = 0; i < count; i++) keys[i] = request->ops.bytes + op[i].at + OPERATION_HEAD_BYTES;
    if (count == SIPHASH_LANES)
        partition_shard_each(system->partition_key, system->shards_count, keys, op->key_bytes, shards);
    else
        for (size_t i = 0; i < count; i++) shards[i] = partition_shard(system->partition_key, system->shards_count, keys[i], op->key_bytes);
    for (size_t i = 0; i < count; i++) op[i].shard = shards[i];
}

/* Where all go: neighbours with keys of one length, which most requests have alone, at once. */
static void shards_find(struct heraclius_request *request) {
    if (request->db->system->shards_count == 1) return;
    for (size_t first = 0, count; first < request->op_count; first += count) {
        const struct request_op *op = &request->op[first];
        for (count = 1; count < SIPHASH_LANES && first + count < request->op_count && op[count].key_bytes == op->key_bytes;) count++;
        if (op->key_bytes > 0) place(request, first, count);
    }
}

/* O-20, O-30.0: how many parts a batch has, and how many operations a part with a write. */
static bool parts_fit(struct heraclius_request *request) {
    const struct system *system = request->db->system;
    uint32_t *counts = calloc(system->shards_count, sizeof *counts);
    bool *writes = calloc(system->shards_count, sizeof *writes);
    bool good = counts && writes;
    if (!good) client_request_why(request, "no memory");
    uint32_t parts = 0;
    for (size_t i = 0; good && i < request->op_count; i++) {
        const struct request_op *op = &request->op[i];
        parts += counts[op->shard]++ == 0;
        writes[op->shard] = writes[op->shard] || op->write;
    }
    if (good && parts > system->limits.batch_parts_max) {
        client_request_why(request, "a request has keys of at most %u shards, this one of %u: split it", system->limits.batch_parts_max, parts);
        good = false;
    }
    for (uint32_t s = 0; good && s < system->shards_count; s++) {
        if (!writes[s] || counts[s] <= PART_WRITE_OPS_MAX) continue;
        client_request_why(request, "a request that writes has at most %d operations for one shard, this one %u: split it", PART_WRITE_OPS_MAX,
                           counts[s]);
        good = false;
    }
    free(counts);
    free(writes);
    return good;
}

/* An atomic list stays in one shard. */
static bool atomic_fits(struct heraclius_request *request) {
    for (size_t i = 1; (request->flags & HERACLIUS_ATOMIC) && i < request->op_count; i++) {
        if (request->op[i].shard == request->op[0].shard) continue;
        client_request_why(request,
                           "an atomic list cannot span shards yet: operation 0 is of shard %u, operation %zu of shard %u; keys with the same {tag} "
                           "share a shard",
                           request->op[0].shard, i, request->op[i].shard);
        return false;
    }
    return true;
}

/* What a batch has room for. */
static bool fits(struct heraclius_request *request) {
    const struct system *system = request->db->system;
    if (request->why[0]) return false;
    if (request->ops.failed) return client_request_why(request, "no memory"), false;
    if (request->op_count == 0) return client_request_why(request, "the request has no operation"), false;
    if (request->op_count > system->limits.batch_ops_max) {
        client_request_why(request, "a request has at most %u operations, this one %zu: split it", system->limits.batch_ops_max, request->op_count);
        return false;
    }
    size_t heads = BATCH_HEAD_BYTES + SIGNER_SIGNATURE_BYTES + (size_t)BATCH_PART_HEAD_BYTES * system->shards_count;
    if (request->ops.used + heads > system->limits.batch_bytes_max) {
        client_request_why(request, "a request has at most %u bytes, this one %zu: split it", system->limits.batch_bytes_max,
                           request->ops.used + heads);
        return false;
    }
    return true;
}

bool client_request_prepare(struct heraclius_request *request) {
    if (!fits(request)) return false;
    shards_find(request);
    if (!atomic_fits(request) || !parts_fit(request)) return false;
    size_t count = request->op_count;
    request->order = malloc(count * sizeof *request->order);
    request->results = calloc(count, sizeof *request->results);
    request->has_result = calloc(count, sizeof *request->has_result);
    if (request->flags & HERACLIUS_RECEIPT) request->receipts = calloc(count, sizeof *request->receipts);
    bool enough = request->order && request->results && request->has_result && (request->receipts || !(request->flags & HERACLIUS_RECEIPT));
    if (!enough) client_request_why(request, "no memory");
    return enough;
}

/* Writes the batch from the parts that are still open. */
static bool sending_encode(struct sending *sending) {
    struct heraclius_request *request = sending->request;
    struct heraclius *db = request->db;
    size_t bytes = BATCH_HEAD_BYTES + SIGNER_SIGNATURE_BYTES;
    for (uint32_t i = 0; i < sending->part_count; i++) {
        bytes += BATCH_PART_HEAD_BYTES;
        for (uint32_t k = 0; k < sending->parts[i].op_count; k++) bytes += request->op[request->order[sending->parts[i].first + k].op].bytes;
    }
    sending->batch.used = 0;
    uint8_t *space = client_buffer_space(&sending->batch, bytes);
    if (!space) return false;
    struct bytes_writer writer = bytes_writer_of(space, bytes);
    struct batch_builder builder;
    batch_build_begin(&builder, &writer, sending->kind, db->key.card_id, sending->nonce, sending->attempt);
    for (uint32_t i = 0; i < sending->part_count; i++) {
        const struct part *part = &sending->parts[i];
        if (part->state != PART_WAITING && part->state != PART_RETRY) continue;
        uint64_t floor = client_numbers_floor(db, part->shard);
        if (floor > part->number) floor = part->number;
        batch_build_part_begin(&builder, SHARD_CLUSTER_BASE + part->shard, part->flags, part->number, sending->kind == BATCH_WRITE ? floor : 0);
        for (uint32_t k = 0; k < part->op_count; k++) {
            const struct request_op *op = &request->op[request->order[part->first + k].op];
            bytes_put_raw(&writer, request->ops.bytes + op->at, op->bytes);
        }
        batch_build_part_end(&builder, part->op_count);
    }
    CHECK(batch_build_end(&builder, db->system->system_id, &db->signer));
    sending->batch.used = writer.used;
    sending->id_known = false;
    return true;
}

/* A hash over all of it, needed only when a node refuses a batch. */
const uint8_t *client_sending_id(struct sending *sending) {
    struct batch batch = {.kind = sending->kind, .bytes = sending->batch.bytes, .bytes_count = (uint32_t)sending->batch.used};
    if (!sending->id_known) batch_id(&batch, sending->id);
    sending->id_known = true;
    return sending->id;
}

void client_part_digest(struct part *part) {
    struct sending *sending = part->sending;
    struct batch batch = {.kind = sending->kind, .bytes = sending->batch.bytes, .bytes_count = (uint32_t)sending->batch.used};
    struct batch_part encoded;
    size_t at = 0;
    client_digest_remove(sending->request->db, part);
    while (batch_part_next(&batch, &at, &encoded)) {
        if (encoded.shard - SHARD_CLUSTER_BASE != part->shard) continue;
        batch_part_digest(sending->request->db->key.card_id, sending->nonce, &encoded, part->digest);
        client_digest_insert(sending->request->db, part);
        return;
    }
}

bool client_sending_rebuild(struct sending *sending) {
    sending->attempt++;
    return sending_encode(sending);
}

/* What of a request goes to one shard: in one part, which is of the writing sending if any of it writes. */
struct share {
    uint32_t op_count;
    uint32_t first; /* of them in request->order */
    uint32_t placed;
    bool write;
};

static bool share_is_of(const struct share *share, int kind) {
    return share->op_count > 0 && share->write == (kind == BATCH_WRITE);
}

/* Sorts: the reading sending's operations, then the writing one's, of each by shard, of each as they were appended. */
static void order_fill(struct heraclius_request *request, struct share *shares) {
    uint32_t shards = request->db->system->shards_count, first = 0;
    for (size_t i = 0; i < request->op_count; i++) {
        struct share *share = &shares[request->op[i].shard];
        share->op_count++;
        share->write = share->write || request->op[i].write;
    }
    for (int kind = BATCH_READ; kind <= BATCH_WRITE; kind++) {
        for (uint32_t s = 0; s < shards; s++) {
            if (!share_is_of(&shares[s], kind)) continue;
            shares[s].first = first;
            first += shares[s].op_count;
        }
    }
    for (size_t i = 0; i < request->op_count; i++) {
        struct share *share = &shares[request->op[i].shard];
        request->order[share->first + share->placed++] = (struct request_ordered){.op = (uint32_t)i, .get = request->op[i].get};
    }
}

/* The sending of one kind. */
static bool sending_build(struct heraclius_request *request, int kind, const struct share *shares) {
    struct heraclius *db = request->db;
    uint32_t shards = db->system->shards_count;
    uint32_t part_count = 0;
    for (uint32_t s = 0; s < shards; s++) part_count += share_is_of(&shares[s], kind);
    if (part_count == 0) return true;
    struct sending *sending = calloc(1, sizeof *sending);
    if (!sending) return false;
    sending->request = request;
    sending->parts = calloc(part_count, sizeof *sending->parts);
    if (!sending->parts) {
        free(sending);
        return false;
    }
    request->sendings[kind == BATCH_WRITE] = sending;
    sending->kind = (uint8_t)kind;
    sending->part_count = part_count;
    sending->parts_open = part_count;
    ring_entropy_fill(sending->nonce, sizeof sending->nonce);
    if (request->again_number) memcpy(sending->nonce, request->again_nonce, sizeof sending->nonce);
    sending->attempt = request->again_number ? (uint32_t)ring_entropy_u64() : 0;
    uint8_t flags =
        (uint8_t)(((request->flags & HERACLIUS_ATOMIC) ? PART_FLAG_ATOMIC : 0) | ((request->flags & HERACLIUS_RECEIPT) ? PART_FLAG_RECEIPT : 0));
    struct part *part = sending->parts;
    for (uint32_t s = 0; s < shards; s++) {
        if (!share_is_of(&shares[s], kind)) continue;
        *part = (struct part){.sending = sending, .shard = s, .flags = flags, .first = shares[s].first, .op_count = shares[s].op_count};
        if (kind == BATCH_WRITE) part->number = client_request_number(request) ? client_request_number(request) : client_numbers_take(db, s);
        part++;
    }
    if (!sending_encode(sending)) return false;
    for (uint32_t i = 0; i < part_count; i++) client_part_digest(&sending->parts[i]);
    return true;
}

bool client_request_build(struct heraclius_request *request) {
    struct share *shares = calloc(request->db->system->shards_count, sizeof *shares);
    if (!shares) return false;
    order_fill(request, shares);
    bool built = sending_build(request, BATCH_READ, shares) && sending_build(request, BATCH_WRITE, shares);
    free(shares);
    return built;
}
