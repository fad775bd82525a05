/* Decision queues to other clusters (D-22 to D-24): every final slice, kept and served until a final block of ours has its acknowledgement. */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"

enum { SAVED_HEAD_BYTES = 24 };

static struct queue_item *item_at(struct pair *pair, uint64_t dseq) {
    return &pair->items[dseq % pair->items_room];
}

static void items_grow(struct pair *pair) {
    if (pair->items_end - pair->items_first < pair->items_room) return;
    uint32_t room = pair->items_room == 0 ? 64 : pair->items_room * 2;
    struct queue_item *grown = calloc(room, sizeof *grown);
    CHECK(grown != NULL);
    for (uint64_t dseq = pair->items_first; dseq < pair->items_end; dseq++) grown[dseq % room] = *item_at(pair, dseq);
    free(pair->items);
    pair->items = grown;
    pair->items_room = room;
}

void queue_add(struct replica *r, struct pair *pair, uint64_t dseq, uint64_t height, struct blob *head, struct blob *slice, bool copied) {
    (void)r;
    if (pair->items_first == pair->items_end) pair->items_first = pair->items_end = dseq;
    CHECK(dseq == pair->items_end); /* dseq counts without gaps */
    items_grow(pair);
    *item_at(pair, dseq) = (struct queue_item){.dseq = dseq, .height = height, .head = head, .slice = slice, .copied = copied};
    pair->items_end = dseq + 1;
    if (dseq > pair->sent_final) pair->sent_final = dseq;
}

/* The executor's memory of the slices goes back when nobody reads it any more. */
void queue_release(struct replica *r, struct pair *pair) {
    uint64_t released = 0;
    while (pair->items_first < pair->items_end && pair->items_first <= pair->acked) {
        struct queue_item *item = item_at(pair, pair->items_first);
        if (item->height > r->published_height || atomic_load(&item->slice->holders) > 1) break;
        if (!item->copied) released = item->dseq;
        blob_drop(item->head);
        blob_drop(item->slice);
        item->head = item->slice = NULL;
        pair->items_first++;
    }
    if (released == 0) return;
    struct execution_job *job = job_take(r, EXECUTION_RELEASE_SLICES);
    job->destination = pair->cluster;
    job->dseq = released;
    job_submit(r, job);
}

void queue_serve(struct replica *r, struct pair *pair, uint32_t member) {
    struct subscriber *subscriber = &pair->subscribers[member];
    if (subscriber->from == 0 || !pair->up[member]) return;
    if (subscriber->next < pair->items_first) subscriber->next = pair->items_first;
    for (uint32_t sent = 0; subscriber->next < pair->items_end && flow_serves(subscriber->next, subscriber->from, subscriber->window, sent); sent++) {
        struct queue_item *item = item_at(pair, subscriber->next);
        if (item->height > r->published_height) break;
        struct blob_piece pieces[2] = {{.blob = item->head, .count = item->head->count}, {.blob = item->slice, .count = item->slice->count}};
        struct replica_peer to = {.kind = REPLICA_FOREIGN, .member = (uint8_t)member, .index = pair->cluster};
        output_send(r, to, MESSAGE_COMPACT_DECISION, pieces, 2);
        subscriber->next++;
    }
}

void queue_subscribe_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    struct bytes_cursor cursor = bytes_cursor_of(blob_piece_bytes(&payload), payload.count);
    uint32_t destination = bytes_get_u32(&cursor), window = bytes_get_u32(&cursor);
    uint64_t first = bytes_get_u64(&cursor);
    struct pair *pair = pair_find(r, from.index);
    if (!bytes_finished(&cursor) || pair == NULL || from.member >= pair->members.n || destination != pair->cluster || window < 1 ||
        window > SOURCE_WINDOW) {
        drop_count(r, DROP_MALFORMED);
        return;
    }
    struct subscriber *subscriber = &pair->subscribers[from.member];
    if (first == 0) {
        *subscriber = (struct subscriber){0};
        return;
    }
    bool again = subscriber->from == 0 || first < subscriber->next;
    if (again && !question_allowed(r, &pair->rates[from.member])) return;
    if (again) subscriber->next = first;
    subscriber->from = first;
    subscriber->window = window;
    queue_serve(r, pair, from.member);
}

void queue_newest_query_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    struct bytes_cursor cursor = bytes_cursor_of(blob_piece_bytes(&payload), payload.count);
    uint32_t destination = bytes_get_u32(&cursor), zero = bytes_get_u32(&cursor);
    uint64_t nonce = bytes_get_u64(&cursor);
    struct pair *pair = pair_find(r, from.index);
    if (!bytes_finished(&cursor) || zero != 0 || pair == NULL || from.member >= pair->members.n || destination != pair->cluster) {
        drop_count(r, DROP_MALFORMED);
        return;
    }
    if (!question_allowed(r, &pair->rates[from.member])) return;
    struct blob *answer = blob_make(48);
    bytes_put_le32(answer->bytes, r->cluster);
    bytes_put_le32(answer->bytes + 4, 0);
    bytes_put_le64(answer->bytes + 8, nonce);
    bytes_put_le64(answer->bytes + 16, pair->sent_final);
    bytes_put_le64(answer->bytes + 24, pair->acked);
    bytes_put_le64(answer->bytes + 32, pair->consumed_final);
    bytes_put_le64(answer->bytes + 40, r->tip_height);
    output_send_blob(r, from, MESSAGE_NEWEST, answer);
}

/* ---- in checkpoints: for each item cluster u32, zero u32, dseq u64, head bytes u32, slice bytes u32, head, slice ---- */

struct blob *queue_save(struct replica *r) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < r->pair_count; i++) {
        struct pair *pair = &r->pairs[i];
        for (uint64_t dseq = pair->items_first; dseq < pair->items_end; dseq++)
            bytes += SAVED_HEAD_BYTES + item_at(pair, dseq)->head->count + item_at(pair, dseq)->slice->count;
    }
    struct blob *blob = blob_make(bytes);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, bytes);
    for (uint32_t i = 0; i < r->pair_count; i++) {
        struct pair *pair = &r->pairs[i];
        for (uint64_t dseq = pair->items_first; dseq < pair->items_end; dseq++) {
            const struct queue_item *item = item_at(pair, dseq);
            bytes_put_u32(&writer, pair->cluster);
            bytes_put_u32(&writer, 0);
            bytes_put_u64(&writer, dseq);
            bytes_put_u32(&writer, (uint32_t)item->head->count);
            bytes_put_u32(&writer, (uint32_t)item->slice->count);
            bytes_put_raw(&writer, item->head->bytes, item->head->count);
            bytes_put_raw(&writer, item->slice->bytes, item->slice->count);
        }
    }
    CHECK(!writer.failed && writer.used == bytes);
    return blob;
}

bool queue_load(struct replica *r, const uint8_t *bytes, size_t count) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    while (cursor.left > 0) {
        uint32_t cluster = bytes_get_u32(&cursor), zero = bytes_get_u32(&cursor);
        uint64_t dseq = bytes_get_u64(&cursor);
        uint32_t head_bytes = bytes_get_u32(&cursor), slice_bytes = bytes_get_u32(&cursor);
        const uint8_t *head = bytes_get_raw(&cursor, head_bytes), *slice = bytes_get_raw(&cursor, slice_bytes);
        struct pair *pair = pair_find(r, cluster);
        if (cursor.failed || zero != 0 || pair == NULL || dseq == 0) return false;
        if (pair->items_first != pair->items_end && dseq != pair->items_end) return false;
        queue_add(r, pair, dseq, r->tip_height, blob_copy(head, head_bytes), blob_copy(slice, slice_bytes), true);
    }
    return !cursor.failed;
}
