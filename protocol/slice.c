#include "protocol/slice.h"

#include <string.h>

#include "merkle/sha256.h"
#include "protocol/batch.h"
#include "protocol/operation.h"

bool slice_decode(const uint8_t *bytes, size_t bytes_count, struct slice *slice) {
    if (bytes_count < SLICE_HEAD_BYTES || bytes[0] != 1 || bytes[1] || bytes[2] || bytes[3]) return false;
    slice->item_count = bytes_get_le32(bytes + 4);
    slice->ack = bytes_get_le64(bytes + 8);
    slice->items = bytes + SLICE_HEAD_BYTES;
    slice->items_bytes = bytes_count - SLICE_HEAD_BYTES;
    return true;
}

void slice_head_encode(uint8_t out[SLICE_HEAD_BYTES], uint32_t item_count, uint64_t ack) {
    bytes_put_le32(out, 1);
    bytes_put_le32(out + 4, item_count);
    bytes_put_le64(out + 8, ack);
}

void slice_item_head_encode(uint8_t out[SLICE_ITEM_HEAD_BYTES], uint32_t body_bytes, uint8_t kind) {
    bytes_put_le32(out, body_bytes);
    bytes_put_le32(out + 4, kind);
}

bool slice_item_next(const struct slice *slice, size_t *at, uint32_t *index, struct slice_item *item) {
    if (*index >= slice->item_count || slice->items_bytes - *at < SLICE_ITEM_HEAD_BYTES) return false;
    const uint8_t *head = slice->items + *at;
    uint32_t body_bytes = bytes_get_le32(head);
    if (body_bytes > slice->items_bytes - *at - SLICE_ITEM_HEAD_BYTES) return false;
    item->kind = head[5] || head[6] || head[7] ? 0 : head[4];
    item->body_bytes = body_bytes;
    item->body = head + SLICE_ITEM_HEAD_BYTES;
    item->whole = head;
    *at += (size_t)SLICE_ITEM_HEAD_BYTES + body_bytes;
    *index += 1;
    return true;
}

bool slice_well_formed(const uint8_t *bytes, size_t bytes_count) {
    struct slice slice;
    struct slice_item item;
    size_t at = 0;
    uint32_t index = 0;
    if (!slice_decode(bytes, bytes_count, &slice)) return false;
    while (slice_item_next(&slice, &at, &index, &item)) continue;
    return index == slice.item_count && at == slice.items_bytes;
}

/* Hashes that are known, by their places; asked about in the order of these. */
struct known {
    const struct slice_longs *values; /* NULL: none */
    uint32_t next;
    uint32_t taken;
};

static const uint8_t *known_hash(struct known *known, uint64_t place) {
    const struct slice_longs *values = known->values;
    if (values == NULL) return NULL;
    while (known->next < values->count && values->list[known->next].at < place) known->next++;
    if (known->next == values->count || values->list[known->next].at != place) return NULL;
    known->taken++;
    return values->list[known->next].hash;
}

/* Where the walk through results that are shortened is: all before `from` is hashed. */
struct shortening {
    struct sha256_state state;
    const uint8_t *from;
    unsigned waiting; /* long values from there on, not hashed yet: many are faster together */
    struct sha256_part values[SHA256_EACH_MAX];
};

static void value_take(struct shortening *walk, const uint8_t *value, uint32_t value_bytes, const uint8_t digest[SHA256_BYTES]) {
    sha256_update(&walk->state, walk->from, (size_t)(value - walk->from));
    sha256_update(&walk->state, digest, SHA256_BYTES);
    walk->from = value + value_bytes;
}

static void values_shorten(struct shortening *walk) {
    uint8_t digests[SHA256_EACH_MAX][SHA256_BYTES];
    sha256_prefixed_each(HASH_VALUE, walk->values, walk->waiting, digests);
    for (unsigned i = 0; i < walk->waiting; i++) value_take(walk, walk->values[i].bytes, (uint32_t)walk->values[i].count, digests[i]);
    walk->waiting = 0;
}

/* Where a result begins is known when the one before was read, so each would be a cache miss to wait for. Most are as long as their neighbours. */
static void results_fetch(const uint8_t *results, size_t results_bytes, size_t at, size_t result_bytes) {
    enum { AHEAD = 8 };
    if (results_bytes - at > AHEAD * result_bytes) __builtin_prefetch(results + at + AHEAD * result_bytes);
}

/* place: of the first byte of results, as `known` counts. */
static void shortened_hash(const uint8_t *results, size_t results_bytes, struct known *known, uint64_t place, uint8_t out[SHA256_BYTES]) {
    struct shortening walk; /* not initialised whole: it has room for much */
    sha256_init_prefixed(&walk.state, HASH_RESULTS_SHORTENED);
    walk.from = results;
    walk.waiting = 0;
    for (size_t at = 0; results_bytes - at >= RESULT_HEAD_BYTES;) {
        const uint8_t *head = results + at;
        uint32_t version_bytes = head[1] & RESULT_FLAG_VERSION ? OPERATION_VERSION_BYTES : 0;
        uint32_t value_bytes = head[1] & RESULT_FLAG_VALUE_LEFT_OUT ? 0 : bytes_get_le32(head + 4);
        at += RESULT_HEAD_BYTES;
        if ((uint64_t)version_bytes + value_bytes > results_bytes - at) break;
        results_fetch(results, results_bytes, at, (size_t)RESULT_HEAD_BYTES + version_bytes + value_bytes);
        at += version_bytes;
        if (value_bytes >= SLICE_LONG_BYTES) {
            const uint8_t *digest = known_hash(known, place + at);
            if (digest != NULL || walk.waiting == SHA256_EACH_MAX) values_shorten(&walk);
            if (digest != NULL) value_take(&walk, results + at, value_bytes, digest);
            else walk.values[walk.waiting++] = (struct sha256_part){.bytes = results + at, .count = value_bytes};
        }
        at += value_bytes;
    }
    values_shorten(&walk);
    uint8_t length[8];
    bytes_put_le64(length, results_bytes);
    sha256_update(&walk.state, walk.from, results_bytes - (size_t)(walk.from - results));
    sha256_update(&walk.state, length, sizeof length);
    sha256_final(&walk.state, out);
}

static bool results_are_shortened(size_t results_bytes, uint32_t op_count) {
    return results_bytes >= (uint64_t)SLICE_LONG_MEAN_BYTES * op_count;
}

void slice_results_hash(const uint8_t *results, size_t results_bytes, uint32_t op_count, uint8_t out[32]) {
    struct known none = {.values = NULL};
    if (results_are_shortened(results_bytes, op_count)) shortened_hash(results, results_bytes, &none, 0, out);
    else SHA256_PREFIXED(out, HASH_RESULTS, {results, results_bytes});
}

void slice_items_hash_init(struct slice_items_hash *hash) {
    sha256_init_prefixed(&hash->state, HASH_ITEMS);
    hash->bytes = 0;
}

/* Where the walk of D-36 is: all before `from` is hashed. */
struct condensing {
    struct slice_items_hash *hash;
    struct slice_longs *longs;
    struct known known;
    const uint8_t *base;
    const uint8_t *from;
    unsigned waiting; /* long results from there on, not hashed yet: several are faster together */
    struct sha256_part results[SHA256_EACH_MAX];
};

static uint64_t place_of(const struct condensing *walk, const uint8_t *at) {
    return SLICE_HEAD_BYTES + walk->hash->bytes + (uint64_t)(at - walk->base);
}

/* The results are done: their hash takes their place. */
static void results_take(struct condensing *walk, const uint8_t *results, size_t results_bytes, const uint8_t digest[SHA256_BYTES]) {
    struct slice_longs *longs = walk->longs;
    sha256_update(&walk->hash->state, walk->from, (size_t)(results - walk->from));
    sha256_update(&walk->hash->state, digest, SHA256_BYTES);
    walk->from = results + results_bytes;
    if (longs == NULL || longs->count == longs->room) return;
    struct slice_long *noted = &longs->list[longs->count++];
    noted->at = (uint32_t)place_of(walk, results);
    memcpy(noted->hash, digest, SHA256_BYTES);
}

static void waiting_condense(struct condensing *walk) {
    uint8_t digests[SHA256_EACH_MAX][SHA256_BYTES];
    sha256_prefixed_each(HASH_RESULTS, walk->results, walk->waiting, digests);
    for (unsigned i = 0; i < walk->waiting; i++) results_take(walk, walk->results[i].bytes, walk->results[i].count, digests[i]);
    walk->waiting = 0;
}

static void results_condense(struct condensing *walk, const uint8_t *results, uint32_t results_bytes, uint32_t op_count) {
    bool shortened = results_are_shortened(results_bytes, op_count);
    if (shortened || walk->waiting == SHA256_EACH_MAX) waiting_condense(walk);
    if (shortened) {
        uint8_t digest[SHA256_BYTES];
        shortened_hash(results, results_bytes, &walk->known, place_of(walk, results), digest);
        results_take(walk, results, results_bytes, digest);
    } else {
        walk->results[walk->waiting++] = (struct sha256_part){.bytes = results, .count = results_bytes};
    }
}

static void answer_condense(struct condensing *walk, const uint8_t *body, uint32_t body_bytes) {
    uint32_t at = SLICE_ANSWER_HEAD_BYTES;
    while (body_bytes >= SLICE_PART_HEAD_BYTES && at <= body_bytes - SLICE_PART_HEAD_BYTES) {
        uint32_t op_count = bytes_get_le32(body + at + 4), results_bytes = bytes_get_le32(body + at + 20);
        at += SLICE_PART_HEAD_BYTES;
        if (results_bytes > body_bytes - at) return;
        if (results_bytes >= SLICE_LONG_BYTES) results_condense(walk, body + at, results_bytes, op_count);
        at += results_bytes;
    }
}

static uint32_t items_add(struct slice_items_hash *hash, const uint8_t *items, size_t items_bytes, struct slice_longs *longs,
                          const struct slice_longs *values) {
    struct condensing walk; /* not initialised whole: it has room for much */
    walk.hash = hash;
    walk.longs = longs;
    walk.known = (struct known){.values = values};
    walk.base = walk.from = items;
    walk.waiting = 0;
    struct slice slice = {.item_count = UINT32_MAX, .items = items, .items_bytes = items_bytes};
    struct slice_item item;
    size_t at = 0;
    uint32_t index = 0;
    while (slice_item_next(&slice, &at, &index, &item)) {
        if (item.kind == SLICE_ANSWER) answer_condense(&walk, item.body, item.body_bytes);
    }
    waiting_condense(&walk);
    sha256_update(&hash->state, walk.from, items_bytes - (size_t)(walk.from - items));
    hash->bytes += items_bytes;
    return walk.known.taken;
}

void slice_items_hash_add(struct slice_items_hash *hash, const uint8_t *items, size_t items_bytes, struct slice_longs *longs) {
    (void)items_add(hash, items, items_bytes, longs, NULL);
}

uint32_t slice_items_hash_add_known(struct slice_items_hash *hash, const uint8_t *items, size_t items_bytes, const struct slice_longs *values) {
    return items_add(hash, items, items_bytes, NULL, values);
}

void slice_items_hash_final(const struct slice_items_hash *hash, uint8_t out[32]) {
    struct sha256_state state = hash->state;
    uint8_t length[8];
    bytes_put_le64(length, hash->bytes);
    sha256_update(&state, length, sizeof length);
    sha256_final(&state, out);
}

static void hash_of_items(const uint8_t *head, size_t head_bytes, const uint8_t items_hash[32], uint8_t out[32]) {
    SHA256_PREFIXED(out, HASH_SLICE, {head, head_bytes}, {items_hash, SHA256_BYTES});
}

void slice_hash_of_items(const uint8_t head[SLICE_HEAD_BYTES], const uint8_t items_hash[32], uint8_t out[32]) {
    hash_of_items(head, SLICE_HEAD_BYTES, items_hash, out);
}

void slice_hash(const uint8_t *bytes, size_t bytes_count, uint8_t out[32]) {
    slice_hash_noting(bytes, bytes_count, NULL, out);
}

void slice_hash_noting(const uint8_t *bytes, size_t bytes_count, struct slice_longs *longs, uint8_t out[32]) {
    size_t head_bytes = bytes_count < SLICE_HEAD_BYTES ? bytes_count : SLICE_HEAD_BYTES;
    struct slice_items_hash hash;
    uint8_t items_hash[SHA256_BYTES];
    slice_items_hash_init(&hash);
    slice_items_hash_add(&hash, bytes + head_bytes, bytes_count - head_bytes, longs);
    slice_items_hash_final(&hash, items_hash);
    hash_of_items(bytes, head_bytes, items_hash, out);
}

static bool request_operations_valid(const struct slice_request *request) {
    struct bytes_cursor cursor = bytes_cursor_of(request->ops, request->ops_bytes);
    bool writes = false;
    for (uint32_t i = 0; i < request->op_count; i++) {
        struct operation operation;
        if (!operation_decode(&cursor, &operation)) return false;
        writes = writes || operation_is_write(operation.opcode);
        if (operation.opcode == OPERATION_CANCEL && request->op_count != 1) return false;
    }
    return bytes_finished(&cursor) && request->op_count > 0 && writes == request->write;
}

bool slice_request_decode(const struct slice_item *item, struct slice_request *request) {
    struct bytes_cursor cursor = bytes_cursor_of(item->body, item->body_bytes);
    struct slice_request out = {.write = item->kind == SLICE_WRITE};
    if (out.write) {
        out.client_id = bytes_get_raw(&cursor, 32);
        out.number = bytes_get_u64(&cursor);
        out.floor = bytes_get_u64(&cursor);
        out.part_digest = bytes_get_raw(&cursor, 32);
        uint32_t flags = bytes_get_u32(&cursor);
        out.flags = (uint8_t)flags;
        out.op_count = bytes_get_u32(&cursor);
        bytes_require(&cursor, (flags & ~(uint32_t)(PART_FLAG_ATOMIC | PART_FLAG_RECEIPT)) == 0);
        bytes_require(&cursor, out.floor >= 1 && out.floor <= out.number);
    } else {
        out.op_count = bytes_get_u32(&cursor);
        bytes_require(&cursor, bytes_get_u32(&cursor) == 0);
    }
    if (cursor.failed) return false;
    out.ops = cursor.at;
    out.ops_bytes = cursor.left;
    if (!request_operations_valid(&out)) return false;
    *request = out;
    return true;
}

void slice_read_head_encode(uint8_t out[SLICE_READ_HEAD_BYTES], uint32_t op_count) {
    bytes_put_le32(out, op_count);
    bytes_put_le32(out + 4, 0);
}

void slice_write_head_encode(uint8_t out[SLICE_WRITE_HEAD_BYTES], const uint8_t client_id[32], uint64_t number, uint64_t floor,
                             const uint8_t part_digest[32], uint8_t flags, uint32_t op_count) {
    memcpy(out, client_id, 32);
    bytes_put_le64(out + 32, number);
    bytes_put_le64(out + 40, floor);
    memcpy(out + 48, part_digest, 32);
    bytes_put_le32(out + 80, flags);
    bytes_put_le32(out + 84, op_count);
}

bool slice_answer_decode(const struct slice_item *item, struct slice_answer *answer) {
    if (item->body_bytes < SLICE_ANSWER_HEAD_BYTES || bytes_get_le32(item->body + 12) != 0) return false;
    struct slice_answer out = {.request_dseq = bytes_get_le64(item->body),
                               .part_count = bytes_get_le32(item->body + 8),
                               .parts = item->body + SLICE_ANSWER_HEAD_BYTES,
                               .parts_bytes = item->body_bytes - SLICE_ANSWER_HEAD_BYTES};
    struct bytes_cursor cursor = bytes_cursor_of(out.parts, out.parts_bytes);
    for (uint32_t i = 0; i < out.part_count; i++) {
        const uint8_t *head = bytes_get_raw(&cursor, SLICE_PART_HEAD_BYTES);
        if (!head || head[1] || head[2] || head[3]) return false;
        if (!bytes_get_raw(&cursor, bytes_get_le32(head + 20))) return false;
    }
    if (!bytes_finished(&cursor)) return false;
    *answer = out;
    return true;
}

bool slice_part_next(const struct slice_answer *answer, size_t *at, struct slice_part *part) {
    if (*at >= answer->parts_bytes) return false;
    const uint8_t *head = answer->parts + *at;
    part->code = head[0];
    part->op_count = bytes_get_le32(head + 4);
    part->height = bytes_get_le64(head + 8);
    part->index = bytes_get_le32(head + 16);
    part->results_bytes = bytes_get_le32(head + 20);
    part->results = head + SLICE_PART_HEAD_BYTES;
    *at += (size_t)SLICE_PART_HEAD_BYTES + part->results_bytes;
    return true;
}

void slice_answer_head_encode(uint8_t out[SLICE_ANSWER_HEAD_BYTES], uint64_t request_dseq, uint32_t part_count) {
    bytes_put_le64(out, request_dseq);
    bytes_put_le32(out + 8, part_count);
    bytes_put_le32(out + 12, 0);
}

void slice_part_head_encode(uint8_t out[SLICE_PART_HEAD_BYTES], const struct slice_part *part) {
    bytes_put_le32(out, part->code);
    bytes_put_le32(out + 4, part->op_count);
    bytes_put_le64(out + 8, part->height);
    bytes_put_le32(out + 16, part->index);
    bytes_put_le32(out + 20, part->results_bytes);
}

void routing_encode(const struct routing *routing, uint8_t out[ROUTING_BYTES]) {
    memcpy(out, routing->client_id, 32);
    memcpy(out + 32, routing->part_digest, 32);
    out[64] = routing->relay;
    out[65] = routing->flags;
    bytes_put_le16(out + 66, 0);
    bytes_put_le32(out + 68, routing->op_count);
    bytes_put_le32(out + 72, routing->reserved_bytes);
}

void routing_decode(const uint8_t bytes[ROUTING_BYTES], struct routing *routing) {
    memcpy(routing->client_id, bytes, 32);
    memcpy(routing->part_digest, bytes + 32, 32);
    routing->relay = bytes[64];
    routing->flags = bytes[65];
    routing->op_count = bytes_get_le32(bytes + 68);
    routing->reserved_bytes = bytes_get_le32(bytes + 72);
}

void routing_hash(const uint8_t *list, size_t list_bytes, uint8_t out[32]) {
    SHA256_PREFIXED(out, HASH_ROUTING, {list, list_bytes});
}

bool slice_client_item_decode(const uint8_t *bytes, size_t bytes_count, struct client_item *item) {
    if (bytes_count < CLIENT_ITEM_HEAD_BYTES || bytes_count > UINT32_MAX) return false;
    struct client_item out = {.kind = bytes[0],
                              .code = bytes[1],
                              .shard = bytes_get_le32(bytes + 4),
                              .part_digest = bytes + 8,
                              .height = bytes_get_le64(bytes + 40),
                              .index = bytes_get_le32(bytes + 48),
                              .first_op = bytes_get_le32(bytes + 52),
                              .op_count = bytes_get_le32(bytes + 56),
                              .results = bytes + CLIENT_ITEM_HEAD_BYTES,
                              .results_bytes = bytes_get_le32(bytes + 60),
                              .whole = bytes,
                              .whole_bytes = (uint32_t)bytes_count};
    if (bytes_get_le16(bytes + 2) != 0 || out.results_bytes != bytes_count - CLIENT_ITEM_HEAD_BYTES) return false;
    if (operation_code_class(out.code) == CLASS_UNKNOWN) return false;
    if (out.kind == CLIENT_ITEM_PART && out.first_op != 0) return false;
    if (out.kind == CLIENT_ITEM_OPERATION && out.op_count != 1) return false;
    if (out.kind != CLIENT_ITEM_PART && out.kind != CLIENT_ITEM_OPERATION) return false;
    *item = out;
    return true;
}

void slice_client_item_head_encode(uint8_t out[CLIENT_ITEM_HEAD_BYTES], const struct client_item *item) {
    out[0] = item->kind;
    out[1] = item->code;
    bytes_put_le16(out + 2, 0);
    bytes_put_le32(out + 4, item->shard);
    memcpy(out + 8, item->part_digest, 32);
    bytes_put_le64(out + 40, item->height);
    bytes_put_le32(out + 48, item->index);
    bytes_put_le32(out + 52, item->first_op);
    bytes_put_le32(out + 56, item->op_count);
    bytes_put_le32(out + 60, item->results_bytes);
}

bool slice_client_next(const uint8_t *bytes, size_t bytes_count, size_t *at, const uint8_t **item, size_t *item_bytes) {
    if (*at == 0) *at = 4;
    if (bytes_count < 4 || bytes_count - *at < 4) return false;
    uint32_t length = bytes_get_le32(bytes + *at);
    if (length > bytes_count - *at - 4) return false;
    *item = bytes + *at + 4;
    *item_bytes = length;
    *at += 4 + (size_t)length;
    return true;
}

void slice_client_leaf_hash_condensed(const uint8_t head[CLIENT_ITEM_HEAD_BYTES], const uint8_t results_hash[32], tree_hash out) {
    enum { PREIMAGE_BYTES = 1 + CLIENT_ITEM_HEAD_BYTES + SHA256_BYTES };
    uint8_t blocks[2 * SHA256_BLOCK_BYTES] = {HASH_TREE_LEAF};
    memcpy(blocks + 1, head, CLIENT_ITEM_HEAD_BYTES);
    memcpy(blocks + 1 + CLIENT_ITEM_HEAD_BYTES, results_hash, SHA256_BYTES);
    blocks[PREIMAGE_BYTES] = 0x80;
    blocks[126] = PREIMAGE_BYTES * 8 >> 8;
    blocks[127] = PREIMAGE_BYTES * 8 & 0xFF;
    sha256_padded_blocks(blocks, 2, out);
}

bool slice_client_item_hash(const uint8_t *item, size_t item_bytes, tree_hash out) {
    if (item_bytes < CLIENT_ITEM_HEAD_BYTES || bytes_get_le32(item + 60) != item_bytes - CLIENT_ITEM_HEAD_BYTES) return false;
    if (slice_client_condensed(item[0], item_bytes - CLIENT_ITEM_HEAD_BYTES)) {
        uint8_t digest[SHA256_BYTES];
        slice_results_hash(item + CLIENT_ITEM_HEAD_BYTES, item_bytes - CLIENT_ITEM_HEAD_BYTES, bytes_get_le32(item + 56), digest);
        slice_client_leaf_hash_condensed(item, digest, out);
    } else {
        tree_leaf_hash(item, item_bytes, out);
    }
    return true;
}

bool slice_client_root(const uint8_t *bytes, size_t bytes_count, uint32_t item_count, tree_hash out) {
    if (bytes_count < 4 || bytes_get_le32(bytes) != item_count) return false;
    struct tree_builder builder;
    tree_builder_init(&builder);
    size_t at = 0;
    const uint8_t *item;
    size_t item_bytes;
    while (slice_client_next(bytes, bytes_count, &at, &item, &item_bytes)) {
        tree_hash hash;
        if (!slice_client_item_hash(item, item_bytes, hash)) return false;
        tree_builder_add(&builder, hash);
    }
    if (at != bytes_count || builder.size != item_count) return false;
    tree_builder_root(&builder, out);
    return true;
}
