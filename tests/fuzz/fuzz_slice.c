/*
 * Slices on hostile bytes. Byte 0: 0 a slice between clusters, 1 a client slice; the rest is the slice. Items that decode are written again to the
 * same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/operation.h"
#include "protocol/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void request_again(const struct slice_item *item, const struct slice_request *request) {
    uint8_t head[SLICE_WRITE_HEAD_BYTES];
    size_t head_bytes = request->write ? (size_t)SLICE_WRITE_HEAD_BYTES : (size_t)SLICE_READ_HEAD_BYTES;
    if (request->write) {
        slice_write_head_encode(head, request->client_id, request->number, request->floor, request->part_digest, request->flags, request->op_count);
    } else {
        slice_read_head_encode(head, request->op_count);
    }
    CHECK(head_bytes + request->ops_bytes == item->body_bytes && memcmp(head, item->body, head_bytes) == 0);
}

static void answer_again(const struct slice_item *item, const struct slice_answer *answer) {
    uint8_t head[SLICE_PART_HEAD_BYTES];
    slice_answer_head_encode(head, answer->request_dseq, answer->part_count);
    CHECK(memcmp(head, item->body, SLICE_ANSWER_HEAD_BYTES) == 0);
    struct slice_part part;
    uint32_t count = 0;
    for (size_t at = 0, from = 0; slice_part_next(answer, &at, &part); from = at, count++) {
        slice_part_head_encode(head, &part);
        CHECK(memcmp(head, answer->parts + from, sizeof head) == 0);
    }
    CHECK(count == answer->part_count);
}

static void fuzz_slice(const uint8_t *bytes, size_t count) {
    struct slice slice;
    struct slice_item item;
    if (!slice_decode(bytes, count, &slice)) return;
    size_t at = 0;
    uint32_t index = 0;
    while (slice_item_next(&slice, &at, &index, &item)) {
        uint8_t head[SLICE_ITEM_HEAD_BYTES];
        slice_item_head_encode(head, item.body_bytes, item.kind);
        CHECK(item.kind == 0 || memcmp(head, item.whole, sizeof head) == 0);
        struct slice_request request;
        struct slice_answer answer;
        bool asks = item.kind == SLICE_READ || item.kind == SLICE_WRITE;
        if (asks && slice_request_decode(&item, &request)) request_again(&item, &request);
        if (item.kind == SLICE_ANSWER && slice_answer_decode(&item, &answer)) answer_again(&item, &answer);
    }
}

static void client_item_again(const struct client_item *item) {
    uint8_t head[CLIENT_ITEM_HEAD_BYTES];
    slice_client_item_head_encode(head, item);
    CHECK(memcmp(head, item->whole, sizeof head) == 0);
    struct bytes_cursor cursor = bytes_cursor_of(item->results, item->results_bytes);
    struct result result;
    for (const uint8_t *from = cursor.at; result_decode(&cursor, &result); from = cursor.at) {
        size_t length = (size_t)(cursor.at - from);
        uint8_t *out = malloc(length);
        CHECK(out && length == result_bytes(&result));
        struct bytes_writer writer = bytes_writer_of(out, length);
        result_encode(&writer, &result);
        CHECK(!writer.failed && memcmp(out, from, length) == 0);
        free(out);
    }
}

static void fuzz_client_slice(const uint8_t *bytes, size_t count) {
    tree_hash root;
    uint32_t items = count >= 4 ? bytes_get_le32(bytes) : 0;
    bool whole = slice_client_root(bytes, count, items, root);
    const uint8_t *at_item;
    size_t item_bytes;
    uint32_t seen = 0;
    for (size_t at = 0; slice_client_next(bytes, count, &at, &at_item, &item_bytes); seen++) {
        struct client_item item;
        if (slice_client_item_decode(at_item, item_bytes, &item)) client_item_again(&item);
    }
    CHECK(!whole || seen == items);
}

/* D-36 of any bytes: what is noted lies in them, in order, and there is room for all of it. */
static void fuzz_hash(const uint8_t *bytes, size_t count) {
    struct slice_longs longs = {.room = slice_longs_max(count)};
    uint8_t hash[32], again[32];
    longs.list = malloc((longs.room + 1) * sizeof *longs.list);
    CHECK(longs.list);
    slice_hash(bytes, count, hash);
    slice_hash_noting(bytes, count, &longs, again);
    CHECK(memcmp(hash, again, sizeof hash) == 0 && longs.count <= longs.room);
    longs.room++; /* nothing was left out for lack of room */
    uint32_t noted = longs.count;
    longs.count = 0;
    slice_hash_noting(bytes, count, &longs, again);
    CHECK(longs.count == noted);
    size_t end = 0;
    for (uint32_t i = 0; i < noted; i++) {
        CHECK(longs.list[i].at >= end && longs.list[i].at + SLICE_LONG_BYTES <= count);
        end = longs.list[i].at + SLICE_LONG_BYTES;
    }
    /* Hashes that are known, of no place in these bytes, change nothing. */
    if (count > SLICE_HEAD_BYTES) {
        struct slice_items_hash plain, known;
        for (uint32_t i = 0; i < noted; i++) longs.list[i].at += (uint32_t)count;
        slice_items_hash_init(&plain);
        slice_items_hash_init(&known);
        slice_items_hash_add(&plain, bytes + SLICE_HEAD_BYTES, count - SLICE_HEAD_BYTES, NULL);
        CHECK(slice_items_hash_add_known(&known, bytes + SLICE_HEAD_BYTES, count - SLICE_HEAD_BYTES, &longs) == 0);
        slice_items_hash_final(&plain, hash);
        slice_items_hash_final(&known, again);
        CHECK(memcmp(hash, again, sizeof hash) == 0);
    }
    free(longs.list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    fuzz_hash(data + 1, size - 1);
    data[0] & 1 ? fuzz_client_slice(data + 1, size - 1) : fuzz_slice(data + 1, size - 1);
    return 0;
}
