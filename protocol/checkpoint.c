#include "protocol/checkpoint.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/leaf.h"

enum { FORMAT = 1 };

const char *checkpoint_error_name(enum checkpoint_error error) {
    switch (error) {
    case CHECKPOINT_OK: return "ok";
    case CHECKPOINT_BAD_BYTES: return "bad_bytes";
    case CHECKPOINT_BAD_FIELD: return "bad_field";
    case CHECKPOINT_BAD_PLACE: return "bad_place";
    case CHECKPOINT_BAD_HEADER: return "bad_header";
    case CHECKPOINT_BAD_CERTIFICATE: return "bad_certificate";
    case CHECKPOINT_BAD_NONCE: return "bad_nonce";
    case CHECKPOINT_BAD_ORDER: return "bad_order";
    case CHECKPOINT_BAD_PROOF: return "bad_proof";
    }
    return "unknown";
}

/* Manifest. */

void checkpoint_item_encode(const struct checkpoint_item *item, uint8_t out[CHECKPOINT_ITEM_BYTES]) {
    struct bytes_writer writer = bytes_writer_of(out, CHECKPOINT_ITEM_BYTES);
    bytes_put_u8(&writer, item->kind);
    bytes_put_u8(&writer, 0);
    bytes_put_u16(&writer, 0);
    bytes_put_u32(&writer, item->cluster);
    bytes_put_u64(&writer, item->dseq);
    bytes_put_u64(&writer, item->bytes);
    bytes_put_hash(&writer, item->hash);
    CHECK(!writer.failed && writer.used == CHECKPOINT_ITEM_BYTES);
}

static bool item_get(struct bytes_cursor *cursor, struct checkpoint_item *item) {
    item->kind = bytes_get_u8(cursor);
    uint8_t zero_first = bytes_get_u8(cursor);
    uint16_t zero_rest = bytes_get_u16(cursor);
    item->cluster = bytes_get_u32(cursor);
    item->dseq = bytes_get_u64(cursor);
    item->bytes = bytes_get_u64(cursor);
    (void)bytes_get_hash(cursor, item->hash);
    bool dseq_fits = item->kind == CHECKPOINT_PENDING ? item->dseq == 0 : item->dseq > 0;
    return !cursor->failed && item->kind >= CHECKPOINT_PENDING && item->kind <= CHECKPOINT_SLICE && zero_first == 0 && zero_rest == 0 && dseq_fits;
}

static bool item_below(const struct checkpoint_item *a, const struct checkpoint_item *b) {
    if (a->kind != b->kind) return a->kind < b->kind;
    if (a->cluster != b->cluster) return a->cluster < b->cluster;
    return a->dseq < b->dseq;
}

void checkpoint_manifest_put(struct bytes_writer *writer, const struct checkpoint_manifest *manifest) {
    bytes_put_u8(writer, FORMAT);
    bytes_put_u8(writer, 0);
    bytes_put_u16(writer, 0);
    bytes_put_u32(writer, manifest->cluster);
    bytes_put_raw(writer, manifest->system_id, BFT_SYSTEM_BYTES);
    bytes_put_u64(writer, manifest->epoch);
    bytes_put_u64(writer, manifest->height);
    bytes_put_hash(writer, manifest->block_id);
    bytes_put_hash(writer, manifest->state_root);
    bytes_put_u64(writer, manifest->entries);
    bytes_put_u64(writer, manifest->bytes);
    bytes_put_u32(writer, manifest->item_count);
    bytes_put_raw(writer, manifest->items, (size_t)manifest->item_count * CHECKPOINT_ITEM_BYTES);
}

static enum checkpoint_error manifest_head_get(struct bytes_cursor *cursor, struct checkpoint_manifest *manifest) {
    uint8_t format = bytes_get_u8(cursor);
    uint8_t zero_first = bytes_get_u8(cursor);
    uint16_t zero_rest = bytes_get_u16(cursor);
    manifest->cluster = bytes_get_u32(cursor);
    (void)bytes_get_copy(cursor, manifest->system_id, BFT_SYSTEM_BYTES);
    manifest->epoch = bytes_get_u64(cursor);
    manifest->height = bytes_get_u64(cursor);
    (void)bytes_get_hash(cursor, manifest->block_id);
    (void)bytes_get_hash(cursor, manifest->state_root);
    manifest->entries = bytes_get_u64(cursor);
    manifest->bytes = bytes_get_u64(cursor);
    manifest->item_count = bytes_get_u32(cursor);
    if (cursor->failed) return CHECKPOINT_BAD_BYTES;
    bool good = format == FORMAT && zero_first == 0 && zero_rest == 0 && manifest->item_count <= CHECKPOINT_ITEMS_MAX;
    return good ? CHECKPOINT_OK : CHECKPOINT_BAD_FIELD;
}

enum checkpoint_error checkpoint_manifest_decode(const void *bytes, size_t count, struct checkpoint_manifest *manifest) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct checkpoint_manifest read = {0};
    enum checkpoint_error error = manifest_head_get(&cursor, &read);
    if (error != CHECKPOINT_OK) return error;
    if (cursor.left != (size_t)read.item_count * CHECKPOINT_ITEM_BYTES) return CHECKPOINT_BAD_BYTES;
    read.items = cursor.at;
    struct checkpoint_item before = {0};
    for (uint32_t i = 0; i < read.item_count; i++) {
        struct checkpoint_item item;
        if (!item_get(&cursor, &item) || !item_below(&before, &item)) return CHECKPOINT_BAD_FIELD;
        before = item;
    }
    *manifest = read;
    return CHECKPOINT_OK;
}

struct checkpoint_item checkpoint_manifest_item(const struct checkpoint_manifest *manifest, uint32_t index) {
    CHECK(index < manifest->item_count);
    struct bytes_cursor cursor = bytes_cursor_of(manifest->items + (size_t)index * CHECKPOINT_ITEM_BYTES, CHECKPOINT_ITEM_BYTES);
    struct checkpoint_item item;
    CHECK(item_get(&cursor, &item));
    return item;
}

void checkpoint_manifest_hash(const void *bytes, size_t count, uint8_t out[32]) {
    SHA256_PREFIXED(out, HASH_MANIFEST, {bytes, count});
}

/* CHECKPOINT_QUERY, CHECKPOINT. */

void checkpoint_query_encode(const struct checkpoint_query *query, uint8_t out[CHECKPOINT_QUERY_BYTES]) {
    bytes_put_le64(out, query->nonce);
    bytes_put_le64(out + 8, query->height);
}

enum checkpoint_error checkpoint_query_decode(const void *bytes, size_t count, struct checkpoint_query *query) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct checkpoint_query read = {0};
    read.nonce = bytes_get_u64(&cursor);
    read.height = bytes_get_u64(&cursor);
    if (!bytes_finished(&cursor)) return CHECKPOINT_BAD_BYTES;
    *query = read;
    return CHECKPOINT_OK;
}

void checkpoint_message_head_put(struct bytes_writer *writer, uint64_t nonce, uint16_t count) {
    bytes_put_u64(writer, nonce);
    bytes_put_u16(writer, count);
    bytes_put_u16(writer, 0);
    bytes_put_u32(writer, 0);
}

void checkpoint_shown_put(struct bytes_writer *writer, const struct checkpoint_shown *shown) {
    bytes_put_u32(writer, (uint32_t)shown->manifest_count);
    bytes_put_raw(writer, shown->manifest_bytes, shown->manifest_count);
    checkpoint_proof_put(writer, shown);
}

void checkpoint_proof_put(struct bytes_writer *writer, const struct checkpoint_shown *shown) {
    bft_header_put(writer, &shown->header);
    bft_header_put(writer, &shown->child);
    uint8_t *length = bytes_put_space(writer, 4);
    size_t before = writer->used;
    bft_certificate_put(writer, &shown->certificate);
    if (length && !writer->failed) bytes_put_le32(length, (uint32_t)(writer->used - before));
    if (!shown->sealed) return;
    bytes_put_u32(writer, shown->path_count);
    bytes_put_raw(writer, shown->path, (size_t)shown->path_count * BYTES_HASH);
}

void checkpoint_shown_hash(const struct checkpoint_shown *shown, uint8_t out[32]) {
    if (shown->whole) checkpoint_manifest_hash(shown->manifest_bytes, shown->manifest_count, out);
    else memcpy(out, shown->manifest_bytes + CHECKPOINT_MANIFEST_HEAD_BYTES, SHA256_BYTES);
}

/* No whole one has this length. One that could be shown whole is not shown short: what is shown has one form. */
static enum checkpoint_error short_get(struct checkpoint_shown *shown) {
    struct bytes_cursor cursor = bytes_cursor_of(shown->manifest_bytes, CHECKPOINT_SHORT_BYTES);
    struct checkpoint_manifest read = {0};
    enum checkpoint_error error = manifest_head_get(&cursor, &read);
    if (error != CHECKPOINT_OK) return error;
    if (read.item_count <= CHECKPOINT_ITEMS_SHOWN_MAX) return CHECKPOINT_BAD_BYTES;
    shown->manifest = read;
    return CHECKPOINT_OK;
}

static enum checkpoint_error proof_get(struct bytes_cursor *cursor, struct checkpoint_shown *shown) {
    shown->sealed = cursor->left >= 2 * BFT_HEADER_BYTES && memcmp(cursor->at, cursor->at + BFT_HEADER_BYTES, BFT_HEADER_BYTES) == 0;
    shown->path_count = 0;
    shown->path = NULL;
    if (!bft_header_get(cursor, &shown->header) || !bft_header_get(cursor, &shown->child)) return CHECKPOINT_BAD_BYTES;
    uint32_t certificate_bytes = bytes_get_u32(cursor);
    const uint8_t *certificate = bytes_get_raw(cursor, certificate_bytes);
    if (cursor->failed) return CHECKPOINT_BAD_BYTES;
    struct bytes_cursor inner = bytes_cursor_of(certificate, certificate_bytes);
    if (!bft_certificate_get(&inner, &shown->certificate, NULL) || !bytes_finished(&inner)) return CHECKPOINT_BAD_CERTIFICATE;
    if (!shown->sealed) return CHECKPOINT_OK;
    shown->path_count = bytes_get_u32(cursor);
    if (!cursor->failed && shown->path_count > CHECKPOINT_PATH_MAX) return CHECKPOINT_BAD_FIELD;
    shown->path = (const tree_hash *)bytes_get_raw(cursor, (size_t)shown->path_count * BYTES_HASH);
    return cursor->failed ? CHECKPOINT_BAD_BYTES : CHECKPOINT_OK;
}

enum checkpoint_error checkpoint_proof_decode(const void *bytes, size_t count, struct checkpoint_shown *shown) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    enum checkpoint_error error = proof_get(&cursor, shown);
    if (error != CHECKPOINT_OK) return error;
    return bytes_finished(&cursor) ? CHECKPOINT_OK : CHECKPOINT_BAD_BYTES;
}

static enum checkpoint_error shown_get(struct bytes_cursor *cursor, struct checkpoint_shown *shown) {
    shown->manifest_count = bytes_get_u32(cursor);
    shown->manifest_bytes = bytes_get_raw(cursor, shown->manifest_count);
    if (cursor->failed) return CHECKPOINT_BAD_BYTES;
    shown->whole = shown->manifest_count != CHECKPOINT_SHORT_BYTES;
    enum checkpoint_error error =
        shown->whole ? checkpoint_manifest_decode(shown->manifest_bytes, shown->manifest_count, &shown->manifest) : short_get(shown);
    return error != CHECKPOINT_OK ? error : proof_get(cursor, shown);
}

enum checkpoint_error checkpoint_message_decode(const void *bytes, size_t count, uint64_t *nonce, struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX],
                                                uint16_t *shown_count) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    *nonce = bytes_get_u64(&cursor);
    uint16_t number = bytes_get_u16(&cursor);
    uint16_t zero_first = bytes_get_u16(&cursor);
    uint32_t zero_rest = bytes_get_u32(&cursor);
    *shown_count = 0;
    if (cursor.failed) return CHECKPOINT_BAD_BYTES;
    if (number > CHECKPOINT_SHOWN_MAX || zero_first != 0 || zero_rest != 0) return CHECKPOINT_BAD_FIELD;
    for (uint16_t i = 0; i < number; i++) {
        enum checkpoint_error error = shown_get(&cursor, &shown[i]);
        if (error != CHECKPOINT_OK) return error;
        if (i > 0 && shown[i].manifest.height >= shown[i - 1].manifest.height) return CHECKPOINT_BAD_FIELD;
    }
    if (!bytes_finished(&cursor)) return CHECKPOINT_BAD_BYTES;
    *shown_count = number;
    return CHECKPOINT_OK;
}

static bool manifest_is_of(const struct checkpoint_manifest *manifest, const struct bft_header *header) {
    struct bft_hash id = bft_header_id(header);
    return memcmp(id.bytes, manifest->block_id, 32) == 0 && memcmp(header->place.system_id, manifest->system_id, BFT_SYSTEM_BYTES) == 0 &&
           header->place.cluster == manifest->cluster && header->place.epoch == manifest->epoch && header->height == manifest->height;
}

/* The state leaf is the outbox's last: all its neighbours on the way up lie to the left. */
static bool outbox_names_root(const struct checkpoint_shown *shown) {
    const struct checkpoint_manifest *manifest = &shown->manifest;
    uint8_t leaf[LEAF_BYTES];
    tree_hash at;
    leaf_state_encode(manifest->system_id, manifest->cluster, manifest->height, manifest->state_root, leaf);
    leaf_hash(leaf, at);
    for (uint32_t i = 0; i < shown->path_count; i++) tree_inner_hash(shown->path[i], at, at);
    return memcmp(at, shown->header.outbox_root.bytes, sizeof at) == 0;
}

bool checkpoint_proof_fits(const struct checkpoint_shown *shown) {
    const struct checkpoint_manifest *manifest = &shown->manifest;
    const struct bft_header *child = &shown->child;
    if (!manifest_is_of(manifest, &shown->header)) return false;
    if (shown->sealed) return outbox_names_root(shown);
    return memcmp(child->parent_id.bytes, manifest->block_id, 32) == 0 &&
           child->height == manifest->height + 1 && memcmp(child->state_root.bytes, manifest->state_root, 32) == 0;
}

enum checkpoint_error checkpoint_shown_verify(const struct bft_members *members, const struct signer *signer, uint32_t checkpoint_blocks,
                                              const struct checkpoint_shown *shown) {
    CHECK(checkpoint_blocks > 0);
    const struct checkpoint_manifest *manifest = &shown->manifest;
    if (memcmp(manifest->system_id, members->place.system_id, BFT_SYSTEM_BYTES) != 0 || manifest->cluster != members->place.cluster)
        return CHECKPOINT_BAD_PLACE;
    bool is_one = (manifest->height & ((UINT64_C(1) << 48) - 1)) % checkpoint_blocks == 0;
    if (shown->sealed) is_one = members->height_last == manifest->height; /* the chain shows the SEAL */
    if (!is_one) return CHECKPOINT_BAD_PLACE;
    if (!checkpoint_proof_fits(shown)) return CHECKPOINT_BAD_HEADER;
    struct bft_hash id = bft_header_id(&shown->child);
    if (bft_certificate_verify(members, signer, &shown->certificate, &id, NULL) != BFT_VERIFY_OK) return CHECKPOINT_BAD_CERTIFICATE;
    return CHECKPOINT_OK;
}

/* Pieces. */

void checkpoint_piece_query_encode(const struct checkpoint_piece_query *query, uint8_t out[CHECKPOINT_PIECE_QUERY_BYTES]) {
    struct bytes_writer writer = bytes_writer_of(out, CHECKPOINT_PIECE_QUERY_BYTES);
    bytes_put_u64(&writer, query->nonce);
    bytes_put_hash(&writer, query->manifest_hash);
    bytes_put_u8(&writer, query->kind);
    bytes_put_u8(&writer, 0);
    bytes_put_u16(&writer, query->prefix_bits);
    bytes_put_u32(&writer, query->cluster);
    bytes_put_u64(&writer, query->dseq);
    bytes_put_u64(&writer, query->offset);
    bytes_put_hash(&writer, query->prefix);
    CHECK(!writer.failed && writer.used == CHECKPOINT_PIECE_QUERY_BYTES);
}

static bool bits_after_are_zero(const uint8_t prefix[32], unsigned bits) {
    for (unsigned bit = bits; bit < 256; bit++) {
        if ((prefix[bit / 8] >> (7 - bit % 8)) & 1) return false;
    }
    return true;
}

static bool piece_query_valid(const struct checkpoint_piece_query *query) {
    bool by_prefix = query->kind == CHECKPOINT_ENTRIES || query->kind == CHECKPOINT_SUBROOTS_OF;
    unsigned bits_max = query->kind == CHECKPOINT_ENTRIES ? 256 : query->kind == CHECKPOINT_SUBROOTS_OF ? 256 - CHECKPOINT_SUBROOT_BITS : 0;
    if (query->kind > CHECKPOINT_MANIFEST_OF || query->prefix_bits > bits_max || !bits_after_are_zero(query->prefix, query->prefix_bits))
        return false;
    if (by_prefix) return query->cluster == 0 && query->dseq == 0 && query->offset == 0;
    if (query->kind == CHECKPOINT_MANIFEST_OF) return query->cluster == 0 && query->dseq == 0;
    return query->kind == CHECKPOINT_PENDING ? query->dseq == 0 : query->dseq > 0;
}

enum checkpoint_error checkpoint_piece_query_decode(const void *bytes, size_t count, struct checkpoint_piece_query *query) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct checkpoint_piece_query read = {0};
    read.nonce = bytes_get_u64(&cursor);
    (void)bytes_get_hash(&cursor, read.manifest_hash);
    read.kind = bytes_get_u8(&cursor);
    uint8_t zero = bytes_get_u8(&cursor);
    read.prefix_bits = bytes_get_u16(&cursor);
    read.cluster = bytes_get_u32(&cursor);
    read.dseq = bytes_get_u64(&cursor);
    read.offset = bytes_get_u64(&cursor);
    (void)bytes_get_hash(&cursor, read.prefix);
    if (!bytes_finished(&cursor)) return CHECKPOINT_BAD_BYTES;
    if (zero != 0 || !piece_query_valid(&read)) return CHECKPOINT_BAD_FIELD;
    *query = read;
    return CHECKPOINT_OK;
}

void checkpoint_piece_head_put(struct bytes_writer *writer, const struct checkpoint_piece *piece) {
    bytes_put_u64(writer, piece->nonce);
    bytes_put_hash(writer, piece->manifest_hash);
    bytes_put_u8(writer, piece->kind);
    bytes_put_u8(writer, piece->code);
    bytes_put_u16(writer, 0);
    bytes_put_u32(writer, piece->hint);
    bytes_put_u64(writer, piece->total);
}

enum checkpoint_error checkpoint_piece_decode(const void *bytes, size_t count, struct checkpoint_piece *piece) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct checkpoint_piece read = {0};
    read.nonce = bytes_get_u64(&cursor);
    (void)bytes_get_hash(&cursor, read.manifest_hash);
    read.kind = bytes_get_u8(&cursor);
    read.code = bytes_get_u8(&cursor);
    uint16_t zero = bytes_get_u16(&cursor);
    read.hint = bytes_get_u32(&cursor);
    read.total = bytes_get_u64(&cursor);
    if (cursor.failed) return CHECKPOINT_BAD_BYTES;
    bool hinted = read.code == CHECKPOINT_PIECE_TOO_LARGE || read.code == CHECKPOINT_PIECE_BUSY;
    if (read.kind > CHECKPOINT_MANIFEST_OF || read.code > CHECKPOINT_PIECE_BUSY || zero != 0 || (!hinted && read.hint != 0))
        return CHECKPOINT_BAD_FIELD;
    if (read.code == CHECKPOINT_PIECE_TOO_LARGE && (read.hint < 1 || read.hint > 16)) return CHECKPOINT_BAD_FIELD;
    if (read.code != CHECKPOINT_PIECE_OK && read.total != 0) return CHECKPOINT_BAD_FIELD;
    if (read.code != CHECKPOINT_PIECE_OK && cursor.left != 0) return CHECKPOINT_BAD_BYTES;
    read.content = cursor.at;
    read.content_bytes = cursor.left;
    *piece = read;
    return CHECKPOINT_OK;
}

bool checkpoint_piece_answers(const struct checkpoint_piece *piece, const struct checkpoint_piece_query *query) {
    return piece->nonce == query->nonce && piece->kind == query->kind && memcmp(piece->manifest_hash, query->manifest_hash, 32) == 0;
}

enum checkpoint_error checkpoint_piece_judge(const struct checkpoint_piece *piece, const struct checkpoint_piece_query *query) {
    if (!checkpoint_piece_answers(piece, query)) return CHECKPOINT_BAD_NONCE;
    return piece->code == CHECKPOINT_PIECE_TOO_LARGE && query->kind != CHECKPOINT_ENTRIES ? CHECKPOINT_BAD_FIELD : CHECKPOINT_OK;
}

void checkpoint_piece_preimage(const uint8_t system_id[BFT_SYSTEM_BYTES], const struct checkpoint_piece_query *query, const uint8_t *piece,
                               size_t piece_bytes, uint8_t out[CHECKPOINT_PIECE_PREIMAGE_BYTES]) {
    static const uint8_t tag[16] = "HRC piece";
    uint8_t asked[CHECKPOINT_PIECE_QUERY_BYTES];
    checkpoint_piece_query_encode(query, asked);
    memcpy(out, tag, sizeof tag);
    memcpy(out + sizeof tag, system_id, BFT_SYSTEM_BYTES);
    SHA256_PREFIXED(out + sizeof tag + BFT_SYSTEM_BYTES, HASH_PIECE, {asked, sizeof asked}, {piece, piece_bytes});
}

void checkpoint_entry_put(struct bytes_writer *writer, const struct checkpoint_entry *entry) {
    bytes_put_u8(writer, entry->space);
    bytes_put_u8(writer, 0);
    bytes_put_u16(writer, entry->key_bytes);
    bytes_put_u32(writer, entry->value_bytes);
    bytes_put_u64(writer, entry->version_height);
    bytes_put_u32(writer, entry->version_index);
    bytes_put_raw(writer, entry->key, entry->key_bytes);
    bytes_put_raw(writer, entry->value, entry->value_bytes);
}

bool checkpoint_entry_get(struct bytes_cursor *cursor, struct checkpoint_entry *entry) {
    entry->space = bytes_get_u8(cursor);
    uint8_t zero = bytes_get_u8(cursor);
    entry->key_bytes = bytes_get_u16(cursor);
    entry->value_bytes = bytes_get_u32(cursor);
    entry->version_height = bytes_get_u64(cursor);
    entry->version_index = bytes_get_u32(cursor);
    bytes_require(cursor, entry->space <= 1 && zero == 0 && entry->key_bytes >= 1 && entry->key_bytes <= TRIE_KEY_BYTES_MAX);
    bytes_require(cursor, entry->value_bytes <= CHECKPOINT_VALUE_BYTES_MAX);
    entry->key = bytes_get_raw(cursor, entry->key_bytes);
    entry->value = bytes_get_raw(cursor, entry->value_bytes);
    return !cursor->failed;
}

/* The subroot of the entries; they must ascend and carry the prefix. */
static enum checkpoint_error entries_subroot(struct bytes_cursor cursor, uint64_t total, const struct checkpoint_piece_query *query,
                                             uint8_t subroot[32]) {
    struct trie_stream stream;
    trie_stream_init(&stream);
    for (uint64_t i = 0; i < total; i++) {
        struct checkpoint_entry entry;
        if (!checkpoint_entry_get(&cursor, &entry)) return CHECKPOINT_BAD_BYTES;
        uint8_t path[SHA256_BYTES];
        uint8_t leaf[SHA256_BYTES];
        struct trie_value value = {.version_height = entry.version_height, .version_index = entry.version_index};
        trie_path((enum trie_space)entry.space, entry.key, entry.key_bytes, path);
        if (!trie_prefix_equal(path, query->prefix, query->prefix_bits)) return CHECKPOINT_BAD_ORDER;
        trie_value_hash(entry.value, entry.value_bytes, value.value_hash);
        trie_leaf_hash((enum trie_space)entry.space, entry.key, entry.key_bytes, &value, leaf);
        if (!trie_stream_add(&stream, path, leaf)) return CHECKPOINT_BAD_ORDER;
    }
    if (!bytes_finished(&cursor)) return CHECKPOINT_BAD_BYTES;
    trie_stream_root(&stream, subroot);
    return CHECKPOINT_OK;
}

enum checkpoint_error checkpoint_entries_subroot(const struct checkpoint_piece *piece, const struct checkpoint_piece_query *query,
                                                 const uint8_t state_root[32], struct bytes_cursor *entries, uint8_t subroot[32]) {
    if (!checkpoint_piece_answers(piece, query) || piece->kind != CHECKPOINT_ENTRIES) return CHECKPOINT_BAD_NONCE;
    struct bytes_cursor cursor = bytes_cursor_of(piece->content, piece->content_bytes);
    uint32_t proof_bytes = bytes_get_u32(&cursor);
    const uint8_t *proof = bytes_get_raw(&cursor, proof_bytes);
    if (piece->code != CHECKPOINT_PIECE_OK || cursor.failed) return CHECKPOINT_BAD_BYTES;
    uint8_t found[SHA256_BYTES];
    enum checkpoint_error error = entries_subroot(cursor, piece->total, query, found);
    if (error != CHECKPOINT_OK) return error;
    if (trie_prefix_proof_verify(state_root, query->prefix, query->prefix_bits, found, proof, proof_bytes) != TRIE_PROOF_OK)
        return CHECKPOINT_BAD_PROOF;
    *entries = cursor;
    memcpy(subroot, found, sizeof found);
    return CHECKPOINT_OK;
}

enum checkpoint_error checkpoint_entries_verify(const struct checkpoint_piece *piece, const struct checkpoint_piece_query *query,
                                                const uint8_t state_root[32], struct bytes_cursor *entries) {
    uint8_t subroot[SHA256_BYTES];
    return checkpoint_entries_subroot(piece, query, state_root, entries, subroot);
}

enum checkpoint_error checkpoint_subroots_verify(const struct checkpoint_piece *piece, const struct checkpoint_piece_query *query,
                                                 const uint8_t subroot[32], const uint8_t **subroots) {
    if (!checkpoint_piece_answers(piece, query) || piece->kind != CHECKPOINT_SUBROOTS_OF) return CHECKPOINT_BAD_NONCE;
    if (piece->code != CHECKPOINT_PIECE_OK || piece->total != CHECKPOINT_SUBROOTS || piece->content_bytes != CHECKPOINT_SUBROOTS * SHA256_BYTES) {
        return CHECKPOINT_BAD_BYTES;
    }
    uint8_t level[CHECKPOINT_SUBROOTS][SHA256_BYTES];
    memcpy(level, piece->content, sizeof level);
    unsigned bit = query->prefix_bits + CHECKPOINT_SUBROOT_BITS;
    for (unsigned count = CHECKPOINT_SUBROOTS; count > 1; count /= 2) {
        bit--;
        for (unsigned i = 0; i < count / 2; i++) {
            const uint8_t *left = level[2 * i];
            const uint8_t *right = level[2 * i + 1];
            uint8_t combined[SHA256_BYTES];
            if (sha256_equal(left, trie_empty_root)) {
                memcpy(combined, right, sizeof combined);
            } else if (sha256_equal(right, trie_empty_root)) {
                memcpy(combined, left, sizeof combined);
            } else {
                trie_inner_hash((uint8_t)bit, left, right, combined);
            }
            memcpy(level[i], combined, sizeof combined);
        }
    }
    if (!sha256_equal(level[0], subroot)) return CHECKPOINT_BAD_PROOF;
    *subroots = piece->content;
    return CHECKPOINT_OK;
}
