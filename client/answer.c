/*
 * What a node says, verified and matched to parts (spec/operations.md O-60, O-51).
 *
 * The order is: decode all, look whether any item is for a part that still waits (else the bytes are not worth three signatures), verify the
 * certificate, the proof and the slice, and only then touch a part. A node whose answer does not verify is left: it lies or is broken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/backup.h"
#include "merkle/check.h"
#include "protocol/operation.h"
#include "protocol/receipt.h"

enum {
    MESSAGE_CHECKPOINT = 0x010E,
    MESSAGE_PIECE = 0x0110,
    MESSAGE_CONFIG_CHAIN = 0x0114,
    MESSAGE_ANSWER = 0x0302,
    MESSAGE_REFUSED = 0x0303,
    MESSAGE_STATUS_ANSWER = 0x0305,
    MESSAGE_ADMIN_STATE = 0x0307,
    REFUSED_BYTES = 40,
    RESULTS_AHEAD = 8
};

static void distrust(struct node *node, const char *what, uint64_t now_ms) {
    node->db->counters.verification_failures++;
    char why[CLIENT_NODE_WHY_BYTES];
    snprintf(why, sizeof why, "sent an answer that does not verify: %s", what);
    client_node_close(node, why, now_ms);
    node->retry_at_ms = now_ms + CLIENT_RECONNECT_MAX_MS;
}

static uint8_t *keep(struct heraclius_request *request, const uint8_t *bytes, size_t count) {
    struct buffer *values = realloc(request->values, (request->values_count + 1) * sizeof *values);
    if (!values) return NULL;
    request->values = values;
    struct buffer *value = &values[request->values_count];
    *value = (struct buffer){0};
    uint8_t *at = client_buffer_space(value, count ? count : 1);
    if (!at) return NULL;
    request->values_count++;
    memcpy(at, bytes, count);
    return at;
}

static void result_set(struct heraclius_request *request, struct request_ordered ordered, const struct client_item *item,
                       const struct result *result) {
    static const uint8_t nothing[1];
    bool reads = ordered.get && result->code == CODE_OK; /* its value may be empty */
    bool kept = !(result->flags & RESULT_FLAG_VALUE_LEFT_OUT);
    request->results[ordered.op] = (struct heraclius_result){
        .code = (enum heraclius_code)result->code,
        .has_value = kept && (result->value_bytes > 0 || reads),
        .has_version = (result->flags & RESULT_FLAG_VERSION) != 0,
        .recorded = item->code == CODE_RECORDED,
        .value = result->value ? result->value : nothing,
        .value_bytes = result->value_bytes,
        .version = {.height = result->version.height, .index = result->version.index},
        .height = item->height,
        .shard = item->shard - SHARD_CLUSTER_BASE,
    };
    request->has_result[ordered.op] = true;
}

/* Exactly as many results as the item has operations? */
static bool results_decode(const struct client_item *item) {
    struct bytes_cursor cursor = bytes_cursor_of(item->results, item->results_bytes);
    struct result result;
    for (uint32_t i = 0; i < item->op_count; i++) {
        if (!result_decode(&cursor, &result)) return false;
    }
    return bytes_finished(&cursor);
}

/* Results of neighbours in a part lie apart by as many as there are parts, in memory that was given up for other things while the nodes worked. */
static void result_expect(const struct heraclius_request *request, uint32_t op) {
    const struct heraclius_result *result = &request->results[op];
    __builtin_prefetch(result, 1);
    __builtin_prefetch(&result->shard, 1);
}

/* The results of one item into the part's operations: all or none. False: they do not decode, or there is no memory. */
static bool results_take(struct part *part, const struct client_item *item) {
    struct heraclius_request *request = part->sending->request;
    if (!results_decode(item)) return false;
    const uint8_t *bytes = keep(request, item->results, item->results_bytes);
    if (!bytes) return false;
    struct bytes_cursor cursor = bytes_cursor_of(bytes, item->results_bytes);
    const struct request_ordered *order = &request->order[part->first + item->first_op];
    for (uint32_t i = 0; i < item->op_count; i++) {
        struct result result;
        if (i + RESULTS_AHEAD < item->op_count) result_expect(request, order[i + RESULTS_AHEAD].op);
        CHECK(result_decode(&cursor, &result));
        struct request_ordered ordered = order[i];
        if (!request->has_result[ordered.op]) part->answered++;
        result_set(request, ordered, item, &result);
    }
    return true;
}

void client_answer_code(struct part *part, uint8_t code, uint64_t height) {
    struct heraclius_request *request = part->sending->request;
    for (uint32_t i = 0; i < part->op_count; i++) {
        uint32_t op = request->order[part->first + i].op;
        request->results[op] = (struct heraclius_result){.code = (enum heraclius_code)code, .height = height, .shard = part->shard};
        request->has_result[op] = true;
    }
}

static void receipt_make(struct part *part, const struct decision *decision, uint32_t item_index, const struct client_item *item) {
    struct heraclius_request *request = part->sending->request;
    struct receipt_bytes *out = &request->receipts[request->order[part->first + item->first_op].op];
    if (out->bytes || item->kind != CLIENT_ITEM_OPERATION) return;
    struct buffer ops = {0};
    for (uint32_t i = 0; i < part->op_count; i++) {
        const struct request_op *op = &request->op[request->order[part->first + i].op];
        uint8_t *at = client_buffer_space(&ops, op->bytes);
        if (at) memcpy(at, request->ops.bytes + op->at, op->bytes);
    }
    struct batch_part encoded = {.shard = SHARD_CLUSTER_BASE + part->shard,
                                 .flags = part->flags,
                                 .number = part->number,
                                 .op_count = part->op_count,
                                 .ops = ops.bytes,
                                 .ops_bytes = (uint32_t)ops.used};
    struct buffer chain = {0};
    if (!client_chain_payload(request->db, decision->leaf.source, decision->certificate.qc.ballot.place.epoch, &chain)) ops.failed = true;
    size_t room = 8192 + chain.used + decision->head_bytes + item->whole_bytes + ops.used;
    uint8_t *bytes = ops.failed ? NULL : malloc(room);
    if (bytes) {
        struct bytes_writer writer = bytes_writer_of(bytes, room);
        receipt_encode(&writer, chain.bytes, (uint32_t)chain.used, decision, item_index, part->sending->nonce, &encoded, item->first_op);
        CHECK(!writer.failed);
        *out = (struct receipt_bytes){.bytes = bytes, .count = writer.used};
    }
    client_buffer_free(&chain);
    client_buffer_free(&ops);
}

/* What a recorded number did, as its CANCEL is told: RECORDED if any operation was done, else why none was (O-42). */
static uint8_t recorded_code(const struct client_item *item) {
    struct bytes_cursor cursor = bytes_cursor_of(item->results, item->results_bytes);
    struct result result;
    uint8_t code = CODE_RECORDED;
    for (uint32_t i = 0; i < item->op_count; i++) {
        if (!result_decode(&cursor, &result) || result.code == CODE_OK) return CODE_RECORDED;
        if (result.code != CODE_NOT_EXECUTED) code = result.code;
    }
    return code;
}

/* Where at the shard it took effect: of the last of its operations that did. Height 0: none did. */
static uint64_t effect_of(const struct part *part, uint32_t *index) {
    const struct heraclius_request *request = part->sending->request;
    uint64_t height = 0;
    *index = 0;
    for (uint32_t i = 0; i < part->op_count; i++) {
        uint32_t op = request->order[part->first + i].op;
        const struct heraclius_result *result = &request->results[op];
        bool done = request->op[op].write && (result->code == HERACLIUS_CODE_OK || result->code == HERACLIUS_CODE_RECORDED);
        if (!done) continue;
        height = result->height;
        if (result->has_version) *index = result->version.index;
    }
    return height;
}

static void part_settle(struct part *part, uint8_t code) {
    struct heraclius *db = part->sending->request->db;
    part->code = code;
    part->state = PART_SETTLED;
    bool asked_by_write = part->sending->request->cancel_of != NULL; /* a write that took effect settles itself, with its recorded outcome */
    if (part->sending->kind == BATCH_WRITE && !(asked_by_write && code == CODE_RECORDED)) {
        uint32_t index;
        uint64_t height = effect_of(part, &index);
        (void)client_journal_settled(db, part->shard, part->number, height, index);
    }
    client_engine_part_done(part);
}

/* A verified item for a part that waits. False: its results do not fit the part. */
static bool item_take(struct part *part, const struct decision *decision, uint32_t item_index, const struct client_item *item, uint64_t now_ms) {
    enum code_class class = operation_code_class(item->code);
    if (item->shard != SHARD_CLUSTER_BASE + part->shard) return false;
    bool cancel = part->sending->request->cancel_number != 0;
    if (class == CLASS_RETRY) {
        client_engine_part_retry(part, item->code, 0, now_ms);
    } else if (class == CLASS_REFUSED) {
        client_engine_part_refused(part, item->code, item->height, now_ms);
    } else if (item->code == CODE_CANCELLED || (cancel && item->code == CODE_RECORDED)) {
        client_answer_code(part, item->code == CODE_RECORDED ? recorded_code(item) : item->code, item->height);
        part_settle(part, item->code);
    } else if (item->code == CODE_OK || item->code == CODE_RECORDED) {
        bool whole = item->kind == CLIENT_ITEM_PART && item->op_count == part->op_count;
        bool one = item->kind == CLIENT_ITEM_OPERATION && item->first_op < part->op_count;
        bool receipt = (part->flags & PART_FLAG_RECEIPT) != 0; /* whole all the same if the slice has no room for an item an operation (O-25) */
        if ((!whole && !one) || (one && !receipt) || !results_take(part, item)) return false;
        if (one) receipt_make(part, decision, item_index, item);
        if (part->answered == part->op_count) part_settle(part, item->code);
    } else {
        return false;
    }
    return true;
}

static struct part *waiting_part(struct heraclius *db, const struct client_item *item) {
    struct part *part = client_digest_find(db, item->part_digest);
    return part && (part->state == PART_WAITING || part->state == PART_RETRY) ? part : NULL;
}

/* How long a node takes: by its own answer to who asked it first, once a sending. Before the item is taken, which may end the request. */
static void wait_saw(struct node *node, struct sending *sending, uint64_t now_ms) {
    if (sending->first_node != node->index || sending->first_ms == 0) return;
    patience_saw(&node->db->patience, now_ms - sending->first_ms, now_ms);
    if (sending->first_ms > node->answered_of_ms) node->answered_of_ms = sending->first_ms;
    sending->first_ms = 0;
}

/* Does the slice hold anything that somebody waits for? Unverified: only to save the work. */
static bool slice_wanted(struct heraclius *db, const struct decision *decision) {
    size_t at = 0;
    const uint8_t *bytes;
    size_t count;
    bool wanted = false;
    while (slice_client_next(decision->slice, decision->leaf.slice_bytes, &at, &bytes, &count)) {
        struct client_item item;
        if (!slice_client_item_decode(bytes, count, &item)) return true; /* let it be found out */
        if (waiting_part(db, &item))
            wanted = true;
        else
            db->counters.unasked++;
    }
    return wanted;
}

static bool is_coordinator(const struct heraclius *db, uint32_t cluster) {
    return cluster - COORDINATOR_CLUSTER_BASE < db->system->coordinators_count;
}

static void answer(struct node *node, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms) {
    struct heraclius *db = node->db;
    struct decision decision;
    enum decision_error error = decision_decode(payload, payload_bytes, &decision);
    if (error != DECISION_OK) {
        distrust(node, decision_error_name(error), now_ms);
        return;
    }
    bool mine = decision.leaf.kind == LEAF_KIND_CLIENT && memcmp(decision.leaf.client_id, db->key.card_id, 32) == 0;
    if (!is_coordinator(db, decision.leaf.source) || !mine) {
        distrust(node, "it is for somebody else, or from no coordinator cluster", now_ms);
        return;
    }
    if (!slice_wanted(db, &decision)) return;
    const struct bft_members *members = client_chain_members(db, decision.leaf.source, decision.certificate.qc.ballot.place.epoch);
    if (!members) {
        client_chain_hold(node, payload, payload_bytes, now_ms);
        return;
    }
    error = decision_verify(&decision, members, &db->signer, NULL);
    if (error != DECISION_OK) {
        distrust(node, decision_error_name(error), now_ms);
        return;
    }
    db->counters.answers++;
    node->answered_ms = now_ms;
    size_t at = 0;
    const uint8_t *bytes;
    size_t count;
    bool fits = true;
    for (uint32_t i = 0; slice_client_next(decision.slice, decision.leaf.slice_bytes, &at, &bytes, &count); i++) {
        struct client_item item;
        struct part *part = slice_client_item_decode(bytes, count, &item) ? waiting_part(db, &item) : NULL;
        if (part) {
            client_group_answered(part->sending, node, now_ms);
            wait_saw(node, part->sending, now_ms);
        }
        if (part && !item_take(part, &decision, i, &item, now_ms)) fits = false;
    }
    if (!fits) distrust(node, "its results do not fit the request", now_ms);
}

/* One node will not take the batch now: another one may. */
static void refused_for_now(struct node *node, struct sending *sending, uint8_t code, uint32_t wait_ms, uint64_t now_ms) {
    if (sending->node != node->index) return; /* it was asked before, and the batch lies elsewhere by now */
    sending->elsewhere = true;
    for (uint32_t i = 0; i < sending->part_count; i++) {
        if (sending->parts[i].state == PART_WAITING)
            client_engine_part_retry(&sending->parts[i], code, wait_ms < CLIENT_RETRY_MAX_MS ? wait_ms : CLIENT_RETRY_MAX_MS, now_ms);
    }
}

/* Uncertified (O-51): one node's word. BUSY is tried at another one; a refusal counts when f+1 nodes of one cluster say the same, since one of
 * them is honest. The only codes are those of O-51: nothing else may be believed without proof. */
static void refused(struct node *node, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms) {
    struct heraclius *db = node->db;
    if (payload_bytes != REFUSED_BYTES) {
        distrust(node, "malformed refusal", now_ms);
        return;
    }
    struct sending *sending = db->sendings;
    while (sending && memcmp(client_sending_id(sending), payload, 32) != 0) sending = sending->next;
    if (!sending || sending->parts_open == 0) return;
    uint8_t code = payload[32];
    uint32_t wait_ms = bytes_get_le32(payload + 36);
    snprintf(node->why, sizeof node->why, "refused: %s", operation_code_name(code));
    if (operation_code_class(code) == CLASS_RETRY) {
        refused_for_now(node, sending, code, wait_ms, now_ms);
        return;
    }
    if (code != CODE_RIGHTS && code != CODE_REVOKED && code != CODE_MALFORMED) return;
    if (sending->refusal_code != code || sending->refusal_cluster != node->cluster) sending->refusals = 0;
    sending->refusal_code = code;
    sending->refusal_cluster = node->cluster;
    sending->refusals |= 1u << node->member;
    sending->resend_at_ms = 0; /* ask the next node at once */
    uint32_t said = (uint32_t)__builtin_popcount(sending->refusals);
    if (said <= db->members[node->cluster - COORDINATOR_CLUSTER_BASE].f) return;
    struct heraclius_request *request = sending->request;
    uint32_t left = sending->parts_open;
    for (uint32_t i = 0; i < sending->part_count && left > 0 && request->state == REQUEST_PENDING; i++) {
        struct part *part = &sending->parts[i];
        if (part->state != PART_WAITING && part->state != PART_RETRY) continue;
        left--;
        client_engine_part_refused(part, code, 0, now_ms);
        if (left == 0) return; /* the request may be gone */
    }
}

/* What waited for the chain is looked at again; each of it may close the node, and is held once more if the chain still does not reach its epoch. */
static void chain(struct node *node, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms) {
    bool news;
    if (!client_chain_take(node, payload, payload_bytes, &news)) {
        distrust(node, "a CONFIG chain that does not follow", now_ms);
        return;
    }
    if (news) client_chain_ask(node, now_ms); /* there may be more than one frame of it */
    struct buffer held = node->held;
    node->held = (struct buffer){0};
    for (size_t at = 0; news && at < held.used && node->state == NODE_UP;) {
        uint32_t bytes = bytes_get_le32(held.bytes + at);
        answer(node, held.bytes + at + 4, bytes, now_ms);
        at += 4 + bytes;
    }
    client_buffer_free(&held);
}

void client_answer_frame(struct node *node, uint16_t type, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms) {
    switch (type) {
    case MESSAGE_ANSWER: answer(node, payload, payload_bytes, now_ms); break;
    case MESSAGE_REFUSED: refused(node, payload, payload_bytes, now_ms); break;
    case MESSAGE_CONFIG_CHAIN: chain(node, payload, payload_bytes, now_ms); break;
    case MESSAGE_STATUS_ANSWER: client_nodes_answer(node, payload, payload_bytes); break;
    case MESSAGE_ADMIN_STATE: client_enrolment_answer(node, payload, payload_bytes); break;
    case MESSAGE_CHECKPOINT:
    case MESSAGE_PIECE: client_backup_frame(node, type, payload, payload_bytes, now_ms); break;
    default: distrust(node, "a message that no node sends to a client", now_ms); break;
    }
}
