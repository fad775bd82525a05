/*
 * Unsettled writes: those of this run whose time ran out, and those of earlier runs that were killed (spec/operations.md O-43).
 *
 * Retry sends the very operations again under the same number and nonce, so it takes effect once, whatever became of the first sending. Cancel asks
 * the shard to close the number: it answers with what is recorded, if the write had happened, or records that it never will.
 *
 * Both go out under a number of the journal's, so not before the journal is durable: a number whose record a power cut takes away is given again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "merkle/check.h"
#include "protocol/operation.h"
#include "ring/clock.h"

/* The index-th open part over all journaled writes. */
static bool open_part(struct heraclius *db, size_t index, struct journal_write **write, struct batch_part *out) {
    for (size_t i = 0; i < db->journal.writes_count; i++) {
        *write = &db->journal.writes[i];
        struct batch batch = {.kind = BATCH_WRITE, .bytes = (*write)->bytes, .bytes_count = (uint32_t)(*write)->bytes_count};
        size_t at = 0;
        for (uint16_t k = 0; batch_part_next(&batch, &at, out); k++) {
            if (!(*write)->settled[k] && index-- == 0) return true;
        }
    }
    return false;
}

size_t heraclius_unsettled_count(const struct heraclius *db) {
    size_t count = 0;
    for (size_t i = 0; i < db->journal.writes_count; i++) count += db->journal.writes[i].open;
    return count;
}

static void summarize(struct heraclius *db, const struct batch_part *part) {
    struct bytes_cursor cursor = bytes_cursor_of(part->ops, part->ops_bytes);
    struct operation operation;
    CHECK(operation_decode(&cursor, &operation));
    char key[256 + 1];
    size_t used = 0;
    for (uint16_t i = 0; i < operation.key_bytes && used < sizeof key - 1; i++) {
        uint8_t c = operation.key[i];
        key[used++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    key[used] = 0;
    char more[32] = "";
    if (part->op_count > 1) snprintf(more, sizeof more, " and %u more", part->op_count - 1);
    snprintf(db->summary, sizeof db->summary, "%s %s%s", operation_opcode_name(operation.opcode), key, more);
}

bool heraclius_unsettled_at(struct heraclius *db, size_t index, struct heraclius_unsettled *out) {
    struct journal_write *write;
    struct batch_part part;
    if (!open_part(db, index, &write, &part)) return false;
    summarize(db, &part);
    *out = (struct heraclius_unsettled){
        .shard = part.shard - SHARD_CLUSTER_BASE, .number = part.number, .op_count = part.op_count, .summary = db->summary};
    return true;
}

/* A request that carries the journaled part again, under its number and nonce. */
static struct heraclius_request *retry_request(struct heraclius *db, const struct journal_write *write, const struct batch_part *part) {
    struct heraclius_request *request = heraclius_request_new(db);
    if (!request) return NULL;
    struct bytes_cursor cursor = bytes_cursor_of(part->ops, part->ops_bytes);
    uint8_t *ops = client_buffer_space(&request->ops, part->ops_bytes);
    request->op = calloc(part->op_count, sizeof *request->op);
    if (!ops || !request->op) {
        heraclius_request_free(request);
        return NULL;
    }
    memcpy(ops, part->ops, part->ops_bytes);
    for (uint32_t i = 0; i < part->op_count; i++) {
        const uint8_t *start = cursor.at;
        struct operation operation;
        CHECK(operation_decode(&cursor, &operation));
        request->op[i] = (struct request_op){.at = (size_t)(start - part->ops),
                                             .bytes = (uint32_t)(cursor.at - start),
                                             .shard = part->shard - SHARD_CLUSTER_BASE,
                                             .write = operation_is_write(operation.opcode),
                                             .get = operation.opcode == OPERATION_GET};
    }
    request->op_count = request->op_room = part->op_count;
    if (part->flags & PART_FLAG_ATOMIC) request->flags |= HERACLIUS_ATOMIC;
    if (part->flags & PART_FLAG_RECEIPT) request->flags |= HERACLIUS_RECEIPT;
    request->again_number = part->number;
    memcpy(request->again_nonce, write->bytes + 40, sizeof request->again_nonce);
    return request;
}

/* The code that tells a person what became of the write: the first "no" of its operations, or OK. */
static enum heraclius_code outcome(const struct heraclius_request *request) {
    for (size_t i = 0; i < request->op_count; i++) {
        const struct heraclius_result *result = heraclius_result_at(request, i);
        if (result && result->code != HERACLIUS_CODE_OK && result->code != HERACLIUS_CODE_NOT_EXECUTED) return result->code;
    }
    return HERACLIUS_CODE_OK;
}

/* For the first open part of all; NULL: no memory. */
struct heraclius_request *client_settle_request(struct heraclius *db, enum heraclius_settle how) {
    struct journal_write *write;
    struct batch_part part;
    CHECK(open_part(db, 0, &write, &part));
    if (how == HERACLIUS_SETTLE_RETRY) return retry_request(db, write, &part);
    struct heraclius_request *request = heraclius_request_new(db);
    if (!request) return NULL;
    request->cancel_number = part.number;
    request->cancel_shard = part.shard - SHARD_CLUSTER_BASE;
    return request;
}

/* All that the journal holds is made durable. False: not in time, or the disk said no (`why`). Requests may end meanwhile, and writes with them. */
static bool journal_rests(struct heraclius *db, uint64_t until_ms, char *why) {
    const struct journal *journal = &db->journal;
    while ((journal->sync_under_way || journal->sync_wanted) && ring_clock_ms() < until_ms) (void)heraclius_poll(db, 1);
    bool late = journal->sync_under_way || journal->sync_wanted;
    if (!late && client_journal_sync(db)) return true;
    snprintf(why, HERACLIUS_TEXT_BYTES, "%s: is not durable, so nothing more was sent: %s", journal->path,
             late ? "the disk has not answered in time" : strerror(errno));
    return false;
}

enum heraclius_status heraclius_settle(struct heraclius *db, enum heraclius_settle how, uint32_t timeout_ms, heraclius_settled *settled,
                                       void *argument, char *why) {
    uint64_t until_ms = ring_clock_ms() + timeout_ms;
    why[0] = 0;
    while (heraclius_unsettled_count(db) > 0) {
        if (!journal_rests(db, until_ms, why)) return HERACLIUS_NO_RESOURCES;
        size_t before = heraclius_unsettled_count(db);
        if (before == 0) break; /* what was not made durable never left */
        struct heraclius_unsettled shown;
        CHECK(heraclius_unsettled_at(db, 0, &shown));
        struct heraclius_request *request = client_settle_request(db, how);
        if (!request) return HERACLIUS_NO_RESOURCES;
        uint64_t now_ms = ring_clock_ms();
        enum heraclius_status status = heraclius_call(request, until_ms > now_ms ? (uint32_t)(until_ms - now_ms) : 1);
        bool still = heraclius_unsettled_count(db) >= before;
        if ((status != HERACLIUS_DONE && status != HERACLIUS_REFUSED) || still) {
            snprintf(why, HERACLIUS_TEXT_BYTES, "%s", heraclius_why(request));
            heraclius_request_free(request);
            return status == HERACLIUS_DONE || status == HERACLIUS_REFUSED ? HERACLIUS_UNSETTLED : status;
        }
        if (settled) settled(&shown, outcome(request), argument);
        heraclius_request_free(request);
    }
    return HERACLIUS_DONE;
}
