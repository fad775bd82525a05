/* Serving checkpoints: their index and manifest, made when somebody asks; CHECKPOINT_QUERY (P-41, P-42). */
#include <stdlib.h>
#include <string.h>

#include "appliance/transfer/transfer_private.h"
#include "protocol/decision.h"

void serve_free(struct transfer *t) {
    for (unsigned i = 0; i < TRANSFER_CUTS; i++) served_free(&t->served[i]);
}

static uint8_t *blob_read(const struct transfer_cut *cut, const char *name, size_t *count) {
    *count = 0;
    enum store_status status = cut->blob(cut->context, name, NULL, 0, count);
    if (status != STORE_OK && status != STORE_TOO_LONG) return NULL;
    uint8_t *bytes = malloc(*count + 1);
    CHECK(bytes != NULL);
    if (*count == 0 || cut->blob(cut->context, name, bytes, *count, count) == STORE_OK) return bytes;
    free(bytes);
    return NULL;
}

static void manifest_head(const struct transfer *t, const struct state_checkpoint *about, struct checkpoint_manifest *manifest) {
    *manifest = (struct checkpoint_manifest){.cluster = t->config.cluster, .epoch = about->epoch, .height = about->height};
    memcpy(manifest->system_id, t->config.system->system_id, sizeof manifest->system_id);
    memcpy(manifest->block_id, about->block_id, 32);
    memcpy(manifest->state_root, about->state_root, 32);
}

/* What this checkpoint is shown by (P-31). NULL: it has none (an older release wrote it), or it is that of another one (a page of LMDB that led
 * elsewhere: store/state.h). */
static uint8_t *child_read(const struct transfer *t, const struct transfer_cut *cut, size_t *count) {
    uint8_t *bytes = blob_read(cut, "child", count);
    struct checkpoint_shown shown;
    manifest_head(t, &cut->about, &shown.manifest);
    if (bytes != NULL && checkpoint_proof_decode(bytes, *count, &shown) == CHECKPOINT_OK && checkpoint_proof_fits(&shown)) return bytes;
    free(bytes);
    return NULL;
}

void transfer_checkpointed(struct transfer *t) {
    struct transfer_cut cut;
    if (!t->config.store.own(t->config.store.context, &cut)) return;
    if (t->served[0].used && t->served[0].cut.about.height >= cut.about.height) {
        cut.close(cut.context);
        return;
    }
    served_shift(t);
    struct transfer_served *newest = &t->served[0];
    *newest = (struct transfer_served){.used = true, .cut = cut};
    newest->child = child_read(t, &newest->cut, &newest->child_bytes);
}

/* ---- the manifest ---- */

struct transfer_place *serve_place_of(const struct transfer_served *served, uint8_t kind, uint32_t cluster, uint64_t dseq) {
    for (uint32_t low = 0, high = served->item_count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        const struct checkpoint_item *item = &served->items[middle];
        bool same = item->kind == kind && item->cluster == cluster && item->dseq == dseq;
        if (same) return &served->places[middle];
        bool below = item->kind != kind ? item->kind < kind : item->cluster != cluster ? item->cluster < cluster : item->dseq < dseq;
        if (below) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* D-26. */
static bool work_places(struct transfer_served *served) {
    struct bytes_cursor cursor = bytes_cursor_of(served->work, served->work_bytes);
    uint32_t format = bytes_get_u32(&cursor), pairs = bytes_get_u32(&cursor);
    if (cursor.failed || format != 1) return false;
    for (uint32_t i = 0; i < pairs; i++) {
        uint32_t cluster = bytes_get_u32(&cursor), lists = bytes_get_u32(&cursor);
        const uint8_t *pending = cursor.at;
        uint64_t item_bytes = bytes_get_u64(&cursor), entry_bytes = bytes_get_u64(&cursor);
        if (cursor.failed || item_bytes > cursor.left || entry_bytes > cursor.left - item_bytes) return false;
        (void)bytes_get_raw(&cursor, item_bytes + entry_bytes);
        struct transfer_place *place = serve_place_of(served, CHECKPOINT_PENDING, cluster, 0);
        if (place != NULL) *place = (struct transfer_place){.bytes = pending, .count = 16 + item_bytes + entry_bytes};
        for (uint32_t k = 0; k < lists; k++) {
            uint64_t dseq = bytes_get_u64(&cursor);
            uint32_t bytes = bytes_get_u32(&cursor);
            (void)bytes_get_u32(&cursor);
            const uint8_t *list = bytes_get_raw(&cursor, bytes);
            place = serve_place_of(served, CHECKPOINT_ROUTING, cluster, dseq);
            if (cursor.failed || place == NULL) return false;
            *place = (struct transfer_place){.bytes = list, .count = bytes};
        }
    }
    return bytes_finished(&cursor);
}

/* Unacknowledged compact decisions as the replica keeps them (replica_queue.c); older ones that were acknowledged meanwhile are not asked for. */
static bool queue_places(struct transfer_served *served) {
    struct bytes_cursor cursor = bytes_cursor_of(served->queues, served->queues_bytes);
    while (cursor.left > 0) {
        uint32_t cluster = bytes_get_u32(&cursor);
        (void)bytes_get_u32(&cursor);
        uint64_t dseq = bytes_get_u64(&cursor);
        uint64_t bytes = bytes_get_u32(&cursor);
        bytes += bytes_get_u32(&cursor);
        const uint8_t *decision = bytes_get_raw(&cursor, bytes);
        if (cursor.failed) return false;
        struct transfer_place *place = serve_place_of(served, CHECKPOINT_SLICE, cluster, dseq);
        if (place != NULL) *place = (struct transfer_place){.bytes = decision, .count = bytes};
    }
    return !cursor.failed;
}

static bool items_complete(struct transfer_served *served) {
    for (uint32_t i = 0; i < served->item_count; i++) {
        struct checkpoint_item *item = &served->items[i];
        const struct transfer_place *place = &served->places[i];
        struct decision decision;
        if (place->bytes == NULL) return false;
        item->bytes = place->count;
        if (item->kind != CHECKPOINT_SLICE) continue;
        if (decision_decode(place->bytes, place->count, &decision) != DECISION_OK) return false;
        item->bytes = decision.leaf.slice_bytes;
        leaf_hash(decision.leaf_bytes, item->hash);
    }
    return true;
}

static void manifest_write(const struct transfer *t, struct transfer_served *served) {
    uint8_t *items = malloc((size_t)served->item_count * CHECKPOINT_ITEM_BYTES + 1);
    CHECK(items != NULL);
    for (uint32_t i = 0; i < served->item_count; i++) checkpoint_item_encode(&served->items[i], items + (size_t)i * CHECKPOINT_ITEM_BYTES);
    struct checkpoint_manifest manifest;
    manifest_head(t, &served->cut.about, &manifest);
    manifest.entries = served->records.entries;
    manifest.bytes = served->records.bytes;
    manifest.item_count = served->item_count;
    manifest.items = items;
    served->manifest_bytes = CHECKPOINT_MANIFEST_HEAD_BYTES + (size_t)served->item_count * CHECKPOINT_ITEM_BYTES;
    served->manifest = malloc(served->manifest_bytes);
    CHECK(served->manifest != NULL);
    struct bytes_writer writer = bytes_writer_of(served->manifest, served->manifest_bytes);
    checkpoint_manifest_put(&writer, &manifest);
    CHECK(!writer.failed && writer.used == served->manifest_bytes);
    checkpoint_manifest_hash(served->manifest, served->manifest_bytes, served->manifest_hash);
    free(items);
}

/* P-36: what this disk gives is shown only when it is what was certified. */
static bool index_end(struct transfer *t, struct transfer_served *served) {
    uint8_t root[32];
    trie_index_end(served->index);
    trie_index_hash(served->index, trie_empty_root, 0, root);
    if (!sha256_equal(root, served->cut.about.state_root)) return false;
    if (!checkpoint_records_items(&served->records, &served->items, &served->item_count)) return false;
    served->places = calloc((size_t)served->item_count + 1, sizeof *served->places);
    CHECK(served->places != NULL);
    served->work = blob_read(&served->cut, "work", &served->work_bytes);
    served->queues = blob_read(&served->cut, "queues", &served->queues_bytes);
    if (served->work == NULL || served->queues == NULL || !work_places(served) || !queue_places(served) || !items_complete(served)) return false;
    manifest_write(t, served);
    return true;
}

/* ---- the index: one pass over the entries, in steps ---- */

static enum store_status index_step(struct transfer_served *served) {
    struct table_entry entry;
    enum store_status status = STORE_OK;
    size_t bytes = 0;
    for (unsigned i = 0; i < TRANSFER_INDEX_ENTRIES && bytes < TRANSFER_INDEX_BYTES; i++) {
        uint8_t path[32], hash[32];
        status = served->cut.next(served->cut.context, &entry, path);
        if (status != STORE_OK) break;
        size_t whole = CHECKPOINT_ENTRY_HEAD_BYTES + (size_t)entry.key_bytes + entry.value_bytes;
        transfer_leaf_hash(&entry, hash);
        if (!trie_index_add(served->index, path, hash, whole)) return STORE_DAMAGED;
        transfer_records_add(&served->records, &entry);
        bytes += whole;
    }
    return status;
}

/* Who takes this checkpoint will want the blocks above it (a client does not). */
static void blocks_hold(struct transfer *t, uint64_t height) {
    if (t->hold_ms != 0 && t->now_ms - t->hold_ms < TRANSFER_HOLD_MS && height > t->hold_height) return;
    t->hold_height = height;
    t->hold_ms = t->now_ms;
}

void serve_asked(struct transfer *t, struct transfer_served *served, uint8_t from) {
    struct transfer_asker *asker = &t->askers[from];
    asker->height = served->cut.about.height;
    asker->asked_ms = asker->inquired_ms = t->now_ms > 0 ? t->now_ms : 1;
    asker->waits = false;
    if (!transfer_is_client(from)) blocks_hold(t, served->cut.about.height);
}

/* An index that was begun is brought to its end, if newer ones are there by then or not. */
static struct transfer_served *index_next(struct transfer *t) {
    struct transfer_served *newest = NULL;
    for (unsigned i = 0; i < TRANSFER_CUTS; i++) {
        struct transfer_served *served = &t->served[i];
        if (!served->used || served->damaged || served->child == NULL) continue;
        if (served->indexing && !served->indexed) return served;
        if (newest == NULL) newest = served;
    }
    return newest != NULL && !newest->indexed && index_wanted(t) ? newest : NULL;
}

bool serve_work(struct transfer *t) {
    struct transfer_served *served = t->failed ? NULL : index_next(t);
    if (served == NULL) return false;
    if (!served->indexing) {
        index_charge(t, served);
        served->indexing = true;
        served->begun_ms = t->now_ms;
        served->index = malloc(sizeof *served->index);
        CHECK(served->index != NULL);
        trie_index_begin(served->index);
    }
    enum store_status status = index_step(served);
    if (status == STORE_OK) return true;
    t->index_ms = t->now_ms - served->begun_ms;
    served->indexed = status == STORE_ABSENT && index_end(t, served);
    served->damaged = !served->indexed;
    if (served->damaged)
        transfer_note(t, "checkpoint_damaged", "height=%llu do=\"not served; the next one replaces it; if this comes again, check the disk\"",
                      (unsigned long long)served->cut.about.height);
    return false;
}

/* ---- CHECKPOINT_QUERY ---- */

/* One of many items is shown short, and asked for in pieces by whoever chooses it. */
static bool shown_short(const struct transfer_served *served) {
    return served->item_count > CHECKPOINT_ITEMS_SHOWN_MAX;
}

static size_t shown_bytes(const struct transfer_served *served) {
    return 4 + (shown_short(served) ? (size_t)CHECKPOINT_SHORT_BYTES : served->manifest_bytes) + served->child_bytes;
}

static void shown_put(struct bytes_writer *writer, const struct transfer_served *served) {
    bool whole = !shown_short(served);
    bytes_put_u32(writer, whole ? (uint32_t)served->manifest_bytes : (uint32_t)CHECKPOINT_SHORT_BYTES);
    bytes_put_raw(writer, served->manifest, whole ? served->manifest_bytes : (size_t)CHECKPOINT_MANIFEST_HEAD_BYTES);
    if (!whole) bytes_put_hash(writer, served->manifest_hash);
    bytes_put_raw(writer, served->child, served->child_bytes);
}

/* The one that is shown to this asker. A new question is not answered with what was made for an older one. */
static struct transfer_served *kept_for(struct transfer *t, uint8_t from, uint64_t height) {
    struct transfer_asker *asker = &t->askers[from];
    if (asker->inquired_ms == 0 || t->now_ms - asker->inquired_ms >= TRANSFER_INQUIRY_MS || asker->height < height) asker->height = 0;
    asker->inquired_ms = t->now_ms > 0 ? t->now_ms : 1;
    for (unsigned i = 0; i < TRANSFER_CUTS; i++) {
        struct transfer_served *served = &t->served[i];
        if (asker->height != 0 && served->used && !served->damaged && served->cut.about.height == asker->height) return served;
    }
    return NULL;
}

/* Whoever asks is shown the newest, if need be when its index is made; and then that one for as long as he asks, whatever newer ones come: at most
 * two, the newest and his own. One for whom indexes enough were made lately is shown the newest that has one. */
static uint16_t checkpoints_choose(struct transfer *t, uint8_t from, uint64_t height, const struct transfer_served *shown[CHECKPOINT_SHOWN_MAX]) {
    struct transfer_asker *asker = &t->askers[from];
    struct transfer_served *own = kept_for(t, from, height), *newest = &t->served[0];
    bool any = false, may_wait = index_allowed(t, from);
    for (unsigned i = 0; i < TRANSFER_CUTS; i++) {
        struct transfer_served *served = &t->served[i];
        if (!served->used || served->damaged || served->child == NULL || served->cut.about.height < height) continue;
        if (own == NULL && served->indexing && (!any || !served->indexed || !may_wait)) own = served;
        any = true;
    }
    asker->waits = own == NULL && any && may_wait;
    if (own == NULL) return 0;
    if (asker->height != own->cut.about.height || !own->indexed) serve_asked(t, own, from);
    uint16_t count = 0;
    if (newest != own && newest->indexed && newest->cut.about.height >= height) shown[count++] = newest;
    if (own->indexed) shown[count++] = own;
    return count;
}

bool serve_checkpoint_query(struct transfer *t, uint8_t from, const uint8_t *bytes, size_t count) {
    struct checkpoint_query query;
    if (checkpoint_query_decode(bytes, count, &query) != CHECKPOINT_OK) return false;
    const struct transfer_served *shown[CHECKPOINT_SHOWN_MAX];
    uint16_t shown_count = checkpoints_choose(t, from, query.height, shown);
    size_t room = 16;
    for (uint16_t i = 0; i < shown_count; i++) room += shown_bytes(shown[i]);
    struct blob *blob = blob_make(room);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, room);
    checkpoint_message_head_put(&writer, query.nonce, shown_count);
    for (uint16_t i = 0; i < shown_count; i++) shown_put(&writer, shown[i]);
    CHECK(!writer.failed && writer.used == room);
    transfer_send(t, from, TRANSFER_CHECKPOINT, blob);
    return shown_count > 0;
}
