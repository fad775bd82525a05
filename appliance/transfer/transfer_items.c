/*
 * The end of a transfer: the whole state is computed again from what is durable, and compared (P-48); then the bytes behind its hashes (P-33), each
 * item whole from one member, so that a bad one has a name; then all of it becomes a checkpoint.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/base/checkpoint_blobs.h"
#include "appliance/exec/executor.h"
#include "appliance/transfer/transfer_private.h"
#include "protocol/config.h"
#include "protocol/decision.h"
#include "protocol/pending.h"
#include "protocol/slice.h"

void items_free(struct transfer *t) {
    for (uint32_t i = 0; i < t->take.item_count && t->take.items != NULL; i++) free(t->take.items[i].bytes);
    free(t->take.items);
    t->take.items = NULL;
    t->take.item_count = t->take.item_next = 0;
    t->take.item_bytes = 0;
}

/* ---- the whole state ---- */

/* From the disk, not from memory: what will be loaded is what is checked. */
static bool state_read(struct transfer *t, uint8_t root[32]) {
    struct transfer_cut cut;
    struct trie_stream *stream = malloc(sizeof *stream);
    struct table_entry entry;
    uint8_t path[32], hash[32];
    enum store_status status = STORE_ABSENT;
    CHECK(stream != NULL);
    trie_stream_init(stream);
    checkpoint_records_free(&t->take.records);
    if (t->config.store.taken(t->config.store.context, &cut)) {
        while ((status = cut.next(cut.context, &entry, path)) == STORE_OK) {
            transfer_leaf_hash(&entry, hash);
            if (!trie_stream_add(stream, path, hash)) break;
            transfer_records_add(&t->take.records, &entry);
        }
        cut.close(cut.context);
    }
    trie_stream_root(stream, root);
    free(stream);
    return status == STORE_ABSENT;
}

/* The manifest lists exactly the items of this state. */
static const char *manifest_check(struct transfer *t) {
    const struct checkpoint_manifest *manifest = &t->take.shown.manifest;
    struct checkpoint_item *items = NULL;
    uint32_t count = 0;
    if (t->take.records.entries != manifest->entries || t->take.records.bytes != manifest->bytes) return "counts";
    if (!checkpoint_records_items(&t->take.records, &items, &count)) return "records";
    bool same = count == manifest->item_count;
    static const uint8_t unknown[32];
    for (uint32_t i = 0; same && i < count; i++) {
        struct checkpoint_item stated = checkpoint_manifest_item(manifest, i);
        same = stated.kind == items[i].kind && stated.cluster == items[i].cluster && stated.dseq == items[i].dseq;
        if (memcmp(items[i].hash, unknown, 32) != 0) same = same && memcmp(items[i].hash, stated.hash, 32) == 0;
    }
    free(items);
    return same ? NULL : "items";
}

void items_begin(struct transfer *t) {
    struct transfer_take *take = &t->take;
    uint8_t root[32];
    if (!state_read(t, root) || memcmp(root, take->shown.manifest.state_root, 32) != 0) {
        transfer_note(t, "transfer_damaged", "do=\"what this node's disk gave back is not what was written: check it; beginning again\"");
        take_start_over(t);
        return;
    }
    const char *why = manifest_check(t);
    if (why != NULL) {
        take_manifest_bad(t, why);
        return;
    }
    items_free(t);
    take->item_count = take->shown.manifest.item_count;
    take->items = calloc((size_t)take->item_count + 1, sizeof *take->items);
    CHECK(take->items != NULL);
    for (uint32_t i = 0; i < take->item_count; i++) take->items[i].about = checkpoint_manifest_item(&take->shown.manifest, i);
    take->phase = TRANSFER_ITEMS;
}

/* ---- asking ---- */

bool items_ask(struct transfer *t, uint8_t member, struct transfer_query *query) {
    struct transfer_take *take = &t->take;
    while (take->item_next < take->item_count && take->items[take->item_next].state == PIECE_KEPT) take->item_next++;
    for (uint32_t i = take->item_next; i < take->item_count; i++) {
        struct transfer_item *item = &take->items[i];
        if (item->state != PIECE_OPEN || (item->got > 0 && item->member != member)) continue;
        if (take_passed_by_all(t, item->passed)) item->passed = 0;
        if (item->passed >> member & 1) continue;
        item->state = PIECE_ASKED;
        item->member = member;
        query->sent = (struct checkpoint_piece_query){
            .kind = item->about.kind, .cluster = item->about.cluster, .dseq = item->about.dseq, .offset = item->got};
        take_query_send(t, member, query, i);
        return true;
    }
    return false;
}

static void item_again(struct transfer *t, uint32_t index) {
    struct transfer_item *item = &t->take.items[index];
    t->take.item_bytes -= item->count;
    free(item->bytes);
    item->bytes = NULL;
    item->count = item->got = 0;
    item->state = PIECE_OPEN;
    if (index < t->take.item_next) t->take.item_next = index;
}

/* Whole from one member: what came so far is thrown away. */
void items_unask(struct transfer *t, const struct transfer_query *query, uint8_t member) {
    t->take.items[query->index].passed |= (uint16_t)(1u << member);
    item_again(t, query->index);
}

/* ---- answers ---- */

static const char *pending_check(const struct transfer *t, const struct transfer_item *item) {
    const struct checkpoint_queue *queue = checkpoint_records_queue(&t->take.records, item->about.cluster);
    struct bytes_cursor cursor = bytes_cursor_of(item->bytes, item->count);
    uint64_t item_bytes = bytes_get_u64(&cursor), entry_bytes = bytes_get_u64(&cursor);
    if (cursor.failed || queue == NULL || item_bytes != queue->pending_bytes || item_bytes > cursor.left || entry_bytes != cursor.left - item_bytes)
        return "lengths";
    bool shard = !config_cluster_is_coordinator(t->config.cluster);
    return pending_valid(t->config.limits, shard, cursor.at, item_bytes, cursor.at + item_bytes, entry_bytes, queue->pending_items,
                         queue->pending_hash)
               ? NULL
               : "hash";
}

static const char *slice_check(const struct transfer *t, struct transfer_item *item) {
    struct decision decision;
    uint8_t hash[32];
    if (decision_decode(item->bytes, item->count, &decision) != DECISION_OK || decision.leaf.kind != LEAF_KIND_CLUSTER) return "decision";
    leaf_hash(decision.leaf_bytes, hash);
    if (memcmp(hash, item->about.hash, 32) != 0) return "leaf";
    const struct transfer_epoch *epoch = epoch_find(t, decision.certificate.qc.ballot.place.epoch); /* it may have been sent long before */
    if (epoch == NULL || decision_verify(&decision, &epoch->members, &t->config.signer, NULL) != DECISION_OK) return "unproved";
    memcpy(item->previous, decision.leaf.previous, 32);
    return NULL;
}

static const char *item_check(const struct transfer *t, struct transfer_item *item) {
    if (item->about.kind == CHECKPOINT_PENDING) return pending_check(t, item);
    if (item->about.kind == CHECKPOINT_SLICE) return slice_check(t, item);
    if (item->about.kind == CHECKPOINT_MANIFEST_OF) return manifest_item_check(item);
    uint8_t hash[32];
    routing_hash(item->bytes, item->count, hash);
    return memcmp(hash, item->about.hash, 32) == 0 ? NULL : "hash";
}

/* How long a whole item may say that it is. */
static bool item_length_fits(const struct transfer_item *item, uint64_t total) {
    if (item->about.kind != CHECKPOINT_SLICE) return total == item->about.bytes && total > 0;
    return total > item->about.bytes && total - item->about.bytes <= TRANSFER_HEAD_BYTES_MAX;
}

void items_answer(struct transfer *t, uint8_t from, const struct transfer_query *query, const struct checkpoint_piece *piece) {
    struct transfer_item *item = &t->take.items[query->index];
    const char *why = NULL;
    if (item->got == 0 && item_length_fits(item, piece->total)) {
        item->count = piece->total;
        item->bytes = malloc(item->count);
        CHECK(item->bytes != NULL);
        t->take.item_bytes += item->count;
    }
    size_t left = item->count - item->got, expected = left < CHECKPOINT_PIECE_BYTES_MAX ? left : CHECKPOINT_PIECE_BYTES_MAX;
    if (item->bytes == NULL || piece->total != item->count || piece->content_bytes > expected || piece->content_bytes == 0) why = "length";
    if (why == NULL) {
        memcpy(item->bytes + item->got, piece->content, piece->content_bytes);
        item->got += piece->content_bytes;
        item->state = PIECE_OPEN;
        t->take.progress_ms = t->now_ms;
        if (query->index < t->take.item_next) t->take.item_next = query->index;
        if (item->got < item->count) return;
        why = item_check(t, item);
    }
    if (why == NULL) {
        item->state = PIECE_KEPT;
        return;
    }
    item_again(t, query->index);
    transfer_bad(t, from, "item", why);
}

/* ---- the whole ---- */

/* Each SLICE below the newest of its queue is the `previous` of the next: what no record of the state names. */
static bool slices_chained(const struct transfer_take *take) {
    for (uint32_t i = 0; i + 1 < take->item_count; i++) {
        const struct transfer_item *item = &take->items[i], *next = &take->items[i + 1];
        bool neighbours = item->about.kind == CHECKPOINT_SLICE && next->about.kind == CHECKPOINT_SLICE && item->about.cluster == next->about.cluster;
        if (neighbours && memcmp(item->about.hash, next->previous, 32) != 0) return false;
    }
    return true;
}

/* The block that ended an epoch has its certificate in the chain: none of the next epoch proves it. */
static struct blob *tip_make(const struct transfer *t) {
    const struct checkpoint_shown *shown = &t->take.shown;
    if (shown->child.place.epoch == shown->header.place.epoch) return checkpoint_blob_tip(shown, NULL, 0);
    const struct transfer_epoch *begun = epoch_find(t, shown->child.place.epoch);
    CHECK(begun != NULL && begun->certificate != NULL); /* epoch_shown_verify */
    return checkpoint_blob_tip(shown, begun->certificate, begun->certificate_bytes);
}

static struct checkpoint_part *parts_of(const struct transfer_take *take) {
    struct checkpoint_part *parts = calloc((size_t)take->item_count + 1, sizeof *parts);
    CHECK(parts != NULL);
    for (uint32_t i = 0; i < take->item_count; i++) {
        const struct transfer_item *item = &take->items[i];
        parts[i] = (struct checkpoint_part){.about = item->about, .bytes = item->bytes, .count = item->count};
    }
    return parts;
}

void items_tick(struct transfer *t) {
    struct transfer_take *take = &t->take;
    for (uint32_t i = take->item_next; i < take->item_count; i++) {
        if (take->items[i].state != PIECE_KEPT) return;
    }
    if (!slices_chained(take)) {
        take_manifest_bad(t, "slices");
        return;
    }
    const struct checkpoint_manifest *manifest = &take->shown.manifest;
    struct state_checkpoint about = {.epoch = manifest->epoch, .height = manifest->height};
    memcpy(about.block_id, manifest->block_id, 32);
    memcpy(about.state_root, manifest->state_root, 32);
    struct checkpoint_part *parts = parts_of(take);
    struct blob *tip = tip_make(t), *child = checkpoint_blob_child(&take->shown), *queues = checkpoint_blob_queues(parts, take->item_count),
                *work = checkpoint_blob_work(&take->records, parts, take->item_count);
    free(parts);
    struct state_blob blobs[4] = {{.name = "tip", .bytes = tip->bytes, .byte_count = tip->count},
                                  {.name = "queues", .bytes = queues->bytes, .byte_count = queues->count},
                                  {.name = EXECUTOR_WORK_BLOB, .bytes = work->bytes, .byte_count = work->count},
                                  {.name = "child", .bytes = child->bytes, .byte_count = child->count}};
    struct state_batch batch = {.checkpoint = &about, .blobs = blobs, .blob_count = 4};
    bool good = t->config.store.take(t->config.store.context, &batch);
    blob_drop(tip);
    blob_drop(child);
    blob_drop(queues);
    blob_drop(work);
    t->failed = !good;
    if (good) {
        take->phase = TRANSFER_ENDED;
        transfer_note(t, "transfer_whole", "height=%llu entries=%llu items=%u", (unsigned long long)manifest->height,
                      (unsigned long long)manifest->entries, manifest->item_count);
    }
    transfer_output_add(t, good ? TRANSFER_DONE : TRANSFER_FAILED);
}
