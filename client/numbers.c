/*
 * Numbers of writes (spec/operations.md 5.3, 5.6). Per shard they ascend; the floor sent with each is the lowest that is unsettled.
 *
 * A journal that knows nothing of a shard is either that of a first use or one that was lost. Both ask the shard where this client stands
 * (CLIENT-STATE), and go on beyond everything that an earlier, forgotten run can have signed: its numbers were below its floor + window, and its
 * floor was at most the highest recorded number + 1. The first write's floor then settles all of them as TOO-OLD, so that a signed write which some
 * node kept back can no longer take effect.
 */
#include <stdlib.h>

#include "client/client.h"
#include "protocol/operation.h"
#include "ring/clock.h"

enum { STATE_TIMEOUT_MS = 30000, ASK_AGAIN_MS = 200 };

/* What lies below a floor that the shard has certified can take effect no more: nothing is lost when it is passed. */
uint64_t client_numbers_floor(const struct heraclius *db, uint32_t shard) {
    uint64_t floor = db->numbers[shard].next;
    for (size_t i = 0; i < db->journal.writes_count; i++) {
        const struct journal_write *write = &db->journal.writes[i];
        struct batch batch = {.kind = BATCH_WRITE, .bytes = write->bytes, .bytes_count = (uint32_t)write->bytes_count};
        struct batch_part part;
        size_t at = 0;
        for (uint16_t k = 0; batch_part_next(&batch, &at, &part); k++) {
            bool open = part.shard - SHARD_CLUSTER_BASE == shard && !write->settled[k];
            if (!open || part.number < db->numbers[shard].floor) continue;
            if (part.number < floor) floor = part.number;
            if (!db->journal.unordered) return floor; /* those behind it are higher */
        }
    }
    return floor;
}

uint64_t client_numbers_take(struct heraclius *db, uint32_t shard) {
    return db->numbers[shard].next++;
}

static void state_came(struct heraclius_request *request, enum heraclius_status status, void *argument) {
    struct numbering *numbering = argument;
    struct heraclius *db = request->db;
    numbering->asking = false;
    numbering->ask_at_ms = ring_clock_ms() + ASK_AGAIN_MS;
    const struct heraclius_result *result = heraclius_result_at(request, 0);
    if (status == HERACLIUS_REFUSED && result) numbering->refusal = (uint8_t)result->code;
    if (status != HERACLIUS_DONE || !result || result->code != HERACLIUS_CODE_OK || !result->has_value || result->value_bytes < 16) return;
    uint64_t highest = bytes_get_le64(result->value);
    uint32_t count = bytes_get_le32(result->value + 8);
    if (result->value_bytes - 16 != (uint64_t)8 * count) return; /* O-44 */
    uint64_t floor = highest;
    bool first_use = highest <= 1 && count == 0 && numbering->next == 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = bytes_get_le64(result->value + 16 + (size_t)8 * i);
        if (number > highest) highest = number;
    }
    /* A number that coordinators alone found too old (their floors may be above the shard's) is passed as well. */
    if (numbering->next > highest) highest = numbering->next;
    numbering->floor = floor;
    /* Even what looks like a first use may be a lost journal whose writes nobody decided yet. */
    numbering->next = highest + db->system->limits.number_window + (first_use ? 0 : 1);
    numbering->known = client_journal_next(db, (uint32_t)(numbering - db->numbers), numbering->next);
}

static void ask(struct heraclius *db, uint32_t shard, uint64_t now_ms) {
    db->numbers[shard].ask_at_ms = now_ms + ASK_AGAIN_MS;
    db->numbers[shard].refusal = 0;
    struct heraclius_request *request = client_request_internal(db);
    if (!request) return;
    client_request_client_state(request, shard);
    db->numbers[shard].asking = true;
    if (heraclius_submit(request, STATE_TIMEOUT_MS, state_came, &db->numbers[shard]) == HERACLIUS_OK) return;
    db->numbers[shard].asking = false;
    heraclius_request_free(request);
}

/* A refusal counts until the question may be asked again. */
uint8_t client_numbers_refusal(const struct heraclius *db, const struct heraclius_request *request, uint64_t now_ms, uint32_t *shard) {
    for (size_t i = 0; i < request->op_count; i++) {
        *shard = request->op[i].shard;
        bool needed = request->op[i].write && !client_request_number(request) && !db->numbers[*shard].known;
        if (needed && now_ms < db->numbers[*shard].ask_at_ms && db->numbers[*shard].refusal) return db->numbers[*shard].refusal;
    }
    return 0;
}

bool client_numbers_known(struct heraclius *db, uint32_t shard, uint64_t now_ms) {
    struct numbering *numbering = &db->numbers[shard];
    if (!numbering->known && !numbering->asking && now_ms >= numbering->ask_at_ms) ask(db, shard, now_ms);
    return numbering->known;
}

bool client_numbers_room(const struct heraclius *db, uint32_t shard) {
    return db->numbers[shard].next - client_numbers_floor(db, shard) < db->system->limits.number_window;
}

void client_numbers_forget(struct heraclius *db, uint32_t shard, uint64_t number) {
    struct numbering *numbering = &db->numbers[shard];
    if (number < numbering->floor) return; /* one of many under way when the first of them was found to be behind */
    numbering->known = false;
    numbering->refusal = 0;
    numbering->ask_at_ms = 0;
}

bool client_numbers_ready(struct heraclius *db, struct heraclius_request *request, uint64_t now_ms) {
    bool ready = true;
    for (size_t i = 0; i < request->op_count; i++) {
        uint32_t shard = request->op[i].shard;
        if (!request->op[i].write || client_request_number(request)) continue;
        if (!client_numbers_known(db, shard, now_ms)) ready = false;
    }
    if (!ready) return false;
    for (size_t i = 0; i < request->op_count; i++) {
        uint32_t shard = request->op[i].shard;
        if (!request->op[i].write || client_request_number(request) || (i > 0 && shard == request->op[i - 1].shard)) continue;
        if (!client_numbers_room(db, shard)) return false;
    }
    return true;
}
