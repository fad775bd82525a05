#include "protocol/checkpoint_records.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

enum { QUEUE_KEY_BYTES = 5, LIST_KEY_BYTES = 13, QUEUE_RECORD_BYTES = 192 };

void checkpoint_records_free(struct checkpoint_records *records) {
    free(records->queues);
    free(records->lists);
    memset(records, 0, sizeof *records);
}

static void *grown(void *array, size_t count, size_t *room, size_t size) {
    if (count < *room) return array;
    *room = *room == 0 ? 16 : *room * 2;
    void *out = realloc(array, *room * size);
    CHECK(out != NULL);
    return out;
}

static void queue_add(struct checkpoint_records *records, const struct checkpoint_entry *entry) {
    struct checkpoint_queue queue = {.cluster = bytes_get_le32(entry->key + 1)};
    struct bytes_cursor cursor = bytes_cursor_of(entry->value, entry->value_bytes);
    if (entry->value_bytes != QUEUE_RECORD_BYTES) {
        records->bad = true;
        return;
    }
    queue.sent_dseq = bytes_get_u64(&cursor);
    (void)bytes_get_hash(&cursor, queue.sent_leaf);
    queue.acked_dseq = bytes_get_u64(&cursor);
    queue.pending_items = bytes_get_u32(&cursor);
    (void)bytes_get_u32(&cursor); /* pending_ops */
    queue.pending_bytes = bytes_get_u64(&cursor);
    (void)bytes_get_u64(&cursor); /* oldest_time */
    (void)bytes_get_u64(&cursor); /* oldest_height */
    (void)bytes_get_hash(&cursor, queue.pending_hash);
    if (queue.acked_dseq > queue.sent_dseq) records->bad = true;
    records->queues = grown(records->queues, records->queue_count, &records->queue_room, sizeof queue);
    records->queues[records->queue_count++] = queue;
}

void checkpoint_records_add(struct checkpoint_records *records, const struct checkpoint_entry *entry) {
    records->entries++;
    records->bytes += (uint64_t)entry->key_bytes + entry->value_bytes + CHECKPOINT_DECLARED_BYTES;
    if (entry->space != TRIE_SPACE_SYSTEM) return;
    if (entry->key[0] == 'q' && entry->key_bytes == QUEUE_KEY_BYTES) queue_add(records, entry);
    if (entry->key[0] != 'u' || entry->key_bytes != LIST_KEY_BYTES) return;
    if (entry->value_bytes != 32) {
        records->bad = true;
        return;
    }
    struct checkpoint_list list = {.cluster = bytes_get_le32(entry->key + 1), .dseq = bytes_get_le64(entry->key + 5)};
    memcpy(list.hash, entry->value, 32);
    records->lists = grown(records->lists, records->list_count, &records->list_room, sizeof list);
    records->lists[records->list_count++] = list;
}

static int by_cluster(const void *a, const void *b) {
    const struct checkpoint_queue *first = a, *second = b;
    return (first->cluster > second->cluster) - (first->cluster < second->cluster);
}

static int by_place(const void *a, const void *b) {
    const struct checkpoint_list *first = a, *second = b;
    if (first->cluster != second->cluster) return first->cluster < second->cluster ? -1 : 1;
    return (first->dseq > second->dseq) - (first->dseq < second->dseq);
}

const struct checkpoint_queue *checkpoint_records_queue(const struct checkpoint_records *records, uint32_t cluster) {
    for (size_t i = 0; i < records->queue_count; i++) {
        if (records->queues[i].cluster == cluster) return &records->queues[i];
    }
    return NULL;
}

bool checkpoint_records_items(struct checkpoint_records *records, struct checkpoint_item **items, uint32_t *count) {
    uint64_t total = records->list_count, at = 0;
    if (records->bad) return false;
    for (size_t i = 0; i < records->queue_count && total <= CHECKPOINT_ITEMS_MAX; i++) {
        const struct checkpoint_queue *queue = &records->queues[i];
        uint64_t slices = queue->sent_dseq - queue->acked_dseq;
        if (slices > CHECKPOINT_ITEMS_MAX) return false;
        total += slices + (queue->pending_items > 0);
    }
    if (total > CHECKPOINT_ITEMS_MAX) return false;
    if (records->queue_count > 0) qsort(records->queues, records->queue_count, sizeof *records->queues, by_cluster);
    if (records->list_count > 0) qsort(records->lists, records->list_count, sizeof *records->lists, by_place);
    struct checkpoint_item *out = calloc(total + 1, sizeof *out);
    CHECK(out != NULL);
    for (size_t i = 0; i < records->queue_count; i++) {
        const struct checkpoint_queue *queue = &records->queues[i];
        if (queue->pending_items == 0) continue;
        out[at] = (struct checkpoint_item){.kind = CHECKPOINT_PENDING, .cluster = queue->cluster};
        memcpy(out[at++].hash, queue->pending_hash, 32);
    }
    for (size_t i = 0; i < records->list_count; i++) {
        out[at] = (struct checkpoint_item){.kind = CHECKPOINT_ROUTING, .cluster = records->lists[i].cluster, .dseq = records->lists[i].dseq};
        memcpy(out[at++].hash, records->lists[i].hash, 32);
    }
    for (size_t i = 0; i < records->queue_count; i++) {
        const struct checkpoint_queue *queue = &records->queues[i];
        for (uint64_t dseq = queue->acked_dseq + 1; dseq <= queue->sent_dseq; dseq++) {
            out[at] = (struct checkpoint_item){.kind = CHECKPOINT_SLICE, .cluster = queue->cluster, .dseq = dseq};
            if (dseq == queue->sent_dseq) memcpy(out[at].hash, queue->sent_leaf, 32);
            at++;
        }
    }
    CHECK(at == total);
    *items = out;
    *count = (uint32_t)total;
    return true;
}
