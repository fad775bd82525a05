/* PIECE_QUERY served (P-43 to P-47, P-49). */
#include <stdlib.h>
#include <string.h>

#include "appliance/transfer/transfer_private.h"

static void piece_code(struct transfer *t, uint8_t from, const struct checkpoint_piece_query *query, uint8_t code, uint32_t hint) {
    struct checkpoint_piece piece = {.nonce = query->nonce, .kind = query->kind, .code = code, .hint = hint};
    memcpy(piece.manifest_hash, query->manifest_hash, 32);
    struct blob *blob = blob_make(CHECKPOINT_PIECE_HEAD_BYTES);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    checkpoint_piece_head_put(&writer, &piece);
    CHECK(!writer.failed);
    transfer_send(t, from, TRANSFER_PIECE, blob);
}

/* A blob with the head of an answer in it. */
static struct blob *piece_blob(const struct checkpoint_piece_query *query, uint64_t total, size_t content, struct bytes_writer *writer) {
    struct checkpoint_piece piece = {.nonce = query->nonce, .kind = query->kind, .total = total};
    memcpy(piece.manifest_hash, query->manifest_hash, 32);
    struct blob *blob = blob_make(CHECKPOINT_PIECE_HEAD_BYTES + content);
    *writer = bytes_writer_of(blob->bytes, blob->count);
    checkpoint_piece_head_put(writer, &piece);
    return blob;
}

static void piece_send(struct transfer *t, uint8_t from, struct blob *blob, const struct bytes_writer *writer) {
    CHECK(!writer->failed);
    blob->count = writer->used;
    t->status.served_pieces++;
    t->status.served_bytes += blob->count;
    transfer_send(t, from, TRANSFER_PIECE, blob);
}

/* The disk gives something else than it gave when it was indexed. */
static void disk_damaged(struct transfer *t, struct transfer_served *served, uint8_t from, const struct checkpoint_piece_query *query) {
    served->damaged = true;
    served->indexed = false;
    transfer_note(t, "checkpoint_damaged", "height=%llu do=\"not served any more; check the disk\"", (unsigned long long)served->cut.about.height);
    piece_code(t, from, query, CHECKPOINT_PIECE_UNKNOWN, 0);
}

/* ---- leaves of a prefix ---- */

/* The next entry that has the prefix. STORE_ABSENT: no more. */
static enum store_status prefix_next(struct transfer_served *served, const uint8_t prefix[32], unsigned bits, struct table_entry *entry,
                                     uint8_t path[32]) {
    enum store_status status = served->cut.next(served->cut.context, entry, path);
    if (status != STORE_OK) return status;
    return trie_prefix_equal(path, prefix, bits) ? STORE_OK : STORE_ABSENT;
}

/* The leaves of one part of 16 bits, malloc'd; NULL: the disk gives others than it did. */
static struct trie_index_leaf *part_read(struct transfer_served *served, uint32_t part, uint32_t *count) {
    uint8_t prefix[32] = {(uint8_t)(part >> 8), (uint8_t)part}, path[32];
    uint64_t room = trie_index_leaves(served->index, prefix, TRIE_INDEX_BITS);
    struct trie_index_leaf *leaves = malloc(room * sizeof *leaves + 1);
    struct table_entry entry;
    CHECK(leaves != NULL);
    enum store_status status;
    served->cut.seek(served->cut.context, prefix);
    *count = 0;
    while ((status = prefix_next(served, prefix, TRIE_INDEX_BITS, &entry, path)) == STORE_OK && *count < room) {
        memcpy(leaves[*count].path, path, 32);
        transfer_leaf_hash(&entry, leaves[*count].hash);
        (*count)++;
    }
    if (status == STORE_ABSENT && *count == room && room > 0) return leaves;
    free(leaves);
    return NULL;
}

/* The proof of a piece into `proof`; false: damaged. */
static bool proof_make(struct transfer *t, struct transfer_served *served, const struct checkpoint_piece_query *query, struct bytes_writer *proof) {
    struct trie_index_way *way = t->way;
    struct trie_proof_other other = {0};
    trie_index_way(served->index, query->prefix, query->prefix_bits, NULL, way);
    if (way->needs_leaves) {
        struct trie_index_part part;
        struct trie_index_leaf *leaves = part_read(served, way->part, &part.count);
        if (leaves == NULL) return false;
        part.leaves = leaves;
        trie_index_way(served->index, query->prefix, query->prefix_bits, &part, way);
        uint8_t path[32];
        struct table_entry entry;
        bool good = true;
        if (way->kind == TRIE_PROOF_OTHER) {
            served->cut.seek(served->cut.context, leaves[way->leaf].path);
            good = served->cut.next(served->cut.context, &entry, path) == STORE_OK && memcmp(path, leaves[way->leaf].path, 32) == 0;
        }
        free(leaves);
        if (!good) return false;
        if (way->kind == TRIE_PROOF_OTHER) {
            other = (struct trie_proof_other){
                .space = (enum trie_space)entry.space,
                .key = entry.key,
                .key_bytes = entry.key_bytes,
                .value = {.version_height = entry.version.height, .version_index = entry.version.index}};
            trie_value_hash(entry.value, entry.value_bytes, other.value.value_hash);
        }
    }
    trie_index_proof_write(way, &other, proof);
    return !proof->failed;
}

/* ---- ENTRIES ---- */

/* P-45: whoever is given a wrong piece can show it to others. */
static void piece_sign(const struct transfer *t, const struct checkpoint_piece_query *query, const struct blob *blob, struct bytes_writer *writer) {
    uint8_t preimage[CHECKPOINT_PIECE_PREIMAGE_BYTES], signature[CHECKPOINT_PIECE_SIGNATURE_BYTES];
    checkpoint_piece_preimage(t->config.system->system_id, query, blob->bytes, writer->used, preimage);
    t->config.signer.sign(t->config.signer.context, preimage, sizeof preimage, signature);
    bytes_put_raw(writer, signature, sizeof signature);
}

/* Bytes and number of the entries of a piece; stops behind the limit. */
static enum store_status piece_measure(struct transfer_served *served, const struct checkpoint_piece_query *query, uint64_t *bytes,
                                       uint64_t *leaves) {
    if (query->prefix_bits <= TRIE_INDEX_BITS) {
        *bytes = trie_index_bytes(served->index, query->prefix, query->prefix_bits);
        *leaves = trie_index_leaves(served->index, query->prefix, query->prefix_bits);
        return STORE_ABSENT;
    }
    struct table_entry entry;
    uint8_t path[32];
    enum store_status status;
    *bytes = *leaves = 0;
    served->cut.seek(served->cut.context, query->prefix);
    while ((status = prefix_next(served, query->prefix, query->prefix_bits, &entry, path)) == STORE_OK) {
        *bytes += CHECKPOINT_ENTRY_HEAD_BYTES + (uint64_t)entry.key_bytes + entry.value_bytes;
        (*leaves)++;
        if (*bytes > CHECKPOINT_PIECE_BYTES_MAX && *leaves > 1) return STORE_ABSENT;
    }
    return status;
}

static uint32_t bits_hint(uint64_t bytes) {
    uint32_t hint = 1;
    while (hint < 16 && bytes >> hint > CHECKPOINT_PIECE_BYTES_MAX) hint++;
    return hint;
}

static void entries_serve(struct transfer *t, struct transfer_served *served, uint8_t from, const struct checkpoint_piece_query *query) {
    uint64_t bytes, leaves, put = 0;
    if (piece_measure(served, query, &bytes, &leaves) != STORE_ABSENT) {
        disk_damaged(t, served, from, query);
        return;
    }
    if (bytes > CHECKPOINT_PIECE_BYTES_MAX && leaves > 1) {
        piece_code(t, from, query, CHECKPOINT_PIECE_TOO_LARGE, bits_hint(bytes));
        return;
    }
    struct bytes_writer writer;
    struct blob *blob = piece_blob(query, leaves, 4 + TRIE_PROOF_BYTES_MAX + bytes + CHECKPOINT_PIECE_SIGNATURE_BYTES, &writer);
    uint8_t *length = bytes_put_space(&writer, 4);
    size_t before = writer.used;
    bool good = proof_make(t, served, query, &writer);
    bytes_put_le32(length, (uint32_t)(writer.used - before));
    struct table_entry entry;
    uint8_t path[32];
    served->cut.seek(served->cut.context, query->prefix);
    while (good && put < leaves && prefix_next(served, query->prefix, query->prefix_bits, &entry, path) == STORE_OK) {
        struct checkpoint_entry out = transfer_entry_of(&entry);
        checkpoint_entry_put(&writer, &out);
        put++;
    }
    if (good && put == leaves && !writer.failed) {
        if (!transfer_is_client(from)) piece_sign(t, query, blob, &writer);
        piece_send(t, from, blob, &writer);
        return;
    }
    blob_drop(blob);
    disk_damaged(t, served, from, query);
}

/* ---- SUBROOTS ---- */

/* Deeper than the index goes: from the leaves. False: damaged. */
static bool subroots_read(struct transfer_served *served, const struct checkpoint_piece_query *query, uint8_t (*out)[32]) {
    struct trie_stream *stream = malloc(sizeof *stream);
    struct table_entry entry;
    uint8_t path[32], hash[32];
    unsigned open = CHECKPOINT_SUBROOTS;
    bool good = stream != NULL;
    CHECK(good);
    enum store_status status = STORE_ABSENT;
    memset(out, 0, CHECKPOINT_SUBROOTS * SHA256_BYTES);
    served->cut.seek(served->cut.context, query->prefix);
    while (good && (status = prefix_next(served, query->prefix, query->prefix_bits, &entry, path)) == STORE_OK) {
        unsigned child = 0;
        for (unsigned i = 0; i < CHECKPOINT_SUBROOT_BITS; i++) {
            unsigned bit = query->prefix_bits + i;
            child = 2 * child + ((path[bit / 8] >> (7 - bit % 8)) & 1u);
        }
        if (child != open && open < CHECKPOINT_SUBROOTS) trie_stream_root(stream, out[open]);
        if (child != open) trie_stream_init(stream);
        open = child;
        transfer_leaf_hash(&entry, hash);
        good = trie_stream_add(stream, path, hash);
    }
    if (open < CHECKPOINT_SUBROOTS) trie_stream_root(stream, out[open]);
    free(stream);
    return good && status == STORE_ABSENT;
}

static void subroots_serve(struct transfer *t, struct transfer_served *served, uint8_t from, const struct checkpoint_piece_query *query) {
    uint8_t(*hashes)[32] = malloc(CHECKPOINT_SUBROOTS * sizeof *hashes);
    CHECK(hashes != NULL);
    bool good = true;
    unsigned bits = query->prefix_bits + CHECKPOINT_SUBROOT_BITS;
    for (unsigned i = 0; bits <= TRIE_INDEX_BITS && i < CHECKPOINT_SUBROOTS; i++) {
        uint8_t prefix[32] = {query->prefix[0], query->prefix[1]};
        unsigned shift = TRIE_INDEX_BITS - bits, whole = (((unsigned)prefix[0] << 8 | prefix[1]) | i << shift);
        prefix[0] = (uint8_t)(whole >> 8);
        prefix[1] = (uint8_t)whole;
        trie_index_hash(served->index, prefix, bits, hashes[i]);
    }
    if (bits > TRIE_INDEX_BITS) good = subroots_read(served, query, hashes);
    if (good) {
        struct bytes_writer writer;
        struct blob *blob = piece_blob(query, CHECKPOINT_SUBROOTS, CHECKPOINT_SUBROOTS * SHA256_BYTES, &writer);
        bytes_put_raw(&writer, hashes, CHECKPOINT_SUBROOTS * SHA256_BYTES);
        piece_send(t, from, blob, &writer);
    } else {
        disk_damaged(t, served, from, query);
    }
    free(hashes);
}

/* ---- items ---- */

static void bytes_serve(struct transfer *t, uint8_t from, const struct checkpoint_piece_query *query, const uint8_t *of, size_t count) {
    if (of == NULL || query->offset > count) {
        piece_code(t, from, query, CHECKPOINT_PIECE_UNKNOWN, 0);
        return;
    }
    size_t bytes = count - query->offset;
    if (bytes > CHECKPOINT_PIECE_BYTES_MAX) bytes = CHECKPOINT_PIECE_BYTES_MAX;
    struct bytes_writer writer;
    struct blob *blob = piece_blob(query, count, bytes, &writer);
    bytes_put_raw(&writer, of + query->offset, bytes);
    piece_send(t, from, blob, &writer);
}

static void item_serve(struct transfer *t, const struct transfer_served *served, uint8_t from, const struct checkpoint_piece_query *query) {
    const struct transfer_place *place = serve_place_of(served, query->kind, query->cluster, query->dseq);
    bytes_serve(t, from, query, place != NULL ? place->bytes : NULL, place != NULL ? place->count : 0);
}

/* One asker alone takes all that there is time for; when two ask, they take turns: nobody starves another by asking more. */
static bool not_its_turn(const struct transfer *t, uint8_t from) {
    if (t->served_last != from) return false;
    for (uint8_t other = 0; other < TRANSFER_ASKERS; other++) {
        if (other != from && t->busy_told_ms[other] != 0 && t->now_ms - t->busy_told_ms[other] < 2 * TRANSFER_BUSY_MS) return true;
    }
    return false;
}

/* A node that comes back needs its piece more than a backup does (P-50). */
static bool members_first(const struct transfer *t) {
    return t->members_ms != 0 && t->now_ms - t->members_ms < TRANSFER_MEMBERS_FIRST_MS;
}

bool serve_piece_query(struct transfer *t, uint8_t from, const uint8_t *bytes, size_t count, bool may_serve) {
    struct checkpoint_piece_query query;
    struct transfer_served *served = NULL;
    if (checkpoint_piece_query_decode(bytes, count, &query) != CHECKPOINT_OK) return false;
    for (unsigned i = 0; i < TRANSFER_CUTS; i++) {
        if (t->served[i].indexed && memcmp(t->served[i].manifest_hash, query.manifest_hash, 32) == 0) served = &t->served[i];
    }
    if (served == NULL) {
        piece_code(t, from, &query, CHECKPOINT_PIECE_UNKNOWN, 0);
        return false;
    }
    bool client = transfer_is_client(from);
    serve_asked(t, served, from);
    if (!may_serve || (client ? members_first(t) : not_its_turn(t, from))) {
        if (!client) t->busy_told_ms[from] = t->members_ms = t->now_ms;
        t->status.busy_answers++;
        piece_code(t, from, &query, CHECKPOINT_PIECE_BUSY, TRANSFER_BUSY_MS);
        return false;
    }
    if (!client) {
        t->busy_told_ms[from] = 0;
        t->served_last = from;
        t->members_ms = t->now_ms;
    }
    if (query.kind == CHECKPOINT_ENTRIES) entries_serve(t, served, from, &query);
    else if (query.kind == CHECKPOINT_SUBROOTS_OF) subroots_serve(t, served, from, &query);
    else if (query.kind == CHECKPOINT_MANIFEST_OF) bytes_serve(t, from, &query, served->manifest, served->manifest_bytes);
    else item_serve(t, served, from, &query);
    return true;
}
