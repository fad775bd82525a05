/*
 * The entries, in pieces: prefixes of 0, 8, 16, ... bits that together are all paths, ascending. When the members' checkpoint moved on, SUBROOTS from
 * the root down say which pieces are as they were (P-46, P-48).
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/transfer/transfer_private.h"

enum { CHILDREN = CHECKPOINT_SUBROOTS };

static void child_prefix(const uint8_t prefix[32], unsigned bits, unsigned child, uint8_t out[32]) {
    memcpy(out, prefix, 32);
    out[bits / 8] = (uint8_t)child; /* bits is a multiple of 8 */
}

static bool pieces_room(struct transfer_take *take, uint64_t count) {
    if (count > TRANSFER_PIECES_MAX) return false;
    if (count <= take->piece_room) return true;
    uint32_t room = take->piece_room == 0 ? 256 : take->piece_room;
    while (room < count) room *= 2;
    take->pieces = realloc(take->pieces, room * sizeof *take->pieces);
    CHECK(take->pieces != NULL);
    take->piece_room = room;
    return true;
}

/* A first cut by the manifest's word; a wrong one costs questions, nothing else. */
static void pieces_cut(struct transfer *t) {
    struct transfer_take *take = &t->take;
    unsigned bits = 0;
    while (bits < TRANSFER_START_BITS_MAX && take->shown.manifest.bytes >> bits > TRANSFER_PIECE_BYTES) bits += TRANSFER_STEP_BITS;
    CHECK(pieces_room(take, UINT64_C(1) << bits));
    take->piece_count = 1u << bits;
    memset(take->pieces, 0, take->piece_count * sizeof *take->pieces);
    for (uint32_t i = 0; i < take->piece_count; i++) {
        struct transfer_piece *piece = &take->pieces[i];
        piece->bits = (uint16_t)bits;
        if (bits == TRANSFER_STEP_BITS) piece->prefix[0] = (uint8_t)i;
        if (bits == TRANSFER_START_BITS_MAX) bytes_put_le16(piece->prefix, (uint16_t)(i >> 8 | (i & 0xFF) << 8));
    }
}

/* ---- comparing ---- */

static void node_add(struct transfer *t, const uint8_t prefix[32], unsigned bits, const uint8_t subroot[32]) {
    struct transfer_take *take = &t->take;
    if (take->node_count == take->node_room) {
        take->node_room = take->node_room == 0 ? 64 : take->node_room * 2;
        take->nodes = realloc(take->nodes, take->node_room * sizeof *take->nodes);
        CHECK(take->nodes != NULL);
    }
    struct transfer_node *node = &take->nodes[take->node_count++];
    *node = (struct transfer_node){.bits = (uint16_t)bits};
    memcpy(node->prefix, prefix, 32);
    memcpy(node->subroot, subroot, 32);
}

/* The first piece whose prefix is not below this one. */
static uint32_t piece_at(const struct transfer_take *take, const uint8_t prefix[32]) {
    uint32_t low = 0, high = take->piece_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (memcmp(take->pieces[middle].prefix, prefix, 32) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The subroot that a prefix has now is known. */
static void subroot_known(struct transfer *t, const uint8_t prefix[32], unsigned bits, const uint8_t subroot[32]) {
    struct transfer_take *take = &t->take;
    uint32_t at = piece_at(take, prefix);
    CHECK(at < take->piece_count && memcmp(take->pieces[at].prefix, prefix, 32) == 0 && take->pieces[at].bits >= bits);
    if (take->pieces[at].bits > bits) {
        bool unsure = false; /* what is still to be fetched needs no comparing */
        for (uint32_t i = at; i < take->piece_count && trie_prefix_equal(take->pieces[i].prefix, prefix, bits); i++)
            unsure |= take->pieces[i].state == PIECE_UNSURE;
        if (unsure) node_add(t, prefix, bits, subroot);
        return;
    }
    struct transfer_piece *piece = &take->pieces[at];
    if (piece->state != PIECE_UNSURE) return;
    if (memcmp(piece->subroot, subroot, 32) == 0) {
        piece->state = PIECE_KEPT;
        return;
    }
    piece->state = PIECE_OPEN;
    piece->stale = true;
    t->status.refetched_pieces++;
}

bool pieces_begin(struct transfer *t) {
    struct transfer_take *take = &t->take;
    take->node_count = take->node_next = take->piece_next = 0;
    if (take->piece_count == 0) {
        pieces_cut(t);
        /* A transfer that was given up may have left something. */
        return t->config.store.forget(t->config.store.context);
    }
    for (uint32_t i = 0; i < take->piece_count; i++) {
        struct transfer_piece *piece = &take->pieces[i];
        piece->large = piece->passed = 0;
        if (piece->state == PIECE_KEPT) piece->state = PIECE_UNSURE;
    }
    static const uint8_t whole[32];
    subroot_known(t, whole, 0, take->shown.manifest.state_root);
    return true;
}

static void subroots_answer(struct transfer *t, uint8_t from, const struct transfer_query *query, const struct checkpoint_piece *piece) {
    struct transfer_node node = t->take.nodes[query->index]; /* a copy: children may move the array */
    const uint8_t *subroots;
    enum checkpoint_error error = checkpoint_subroots_verify(piece, &query->sent, node.subroot, &subroots);
    if (error != CHECKPOINT_OK) {
        t->take.nodes[query->index].state = PIECE_OPEN;
        if (query->index < t->take.node_next) t->take.node_next = query->index;
        transfer_bad(t, from, "subroots", checkpoint_error_name(error));
        return;
    }
    t->take.nodes[query->index].state = PIECE_KEPT;
    t->take.progress_ms = t->now_ms;
    for (unsigned child = 0; child < CHILDREN; child++) {
        uint8_t prefix[32];
        child_prefix(node.prefix, node.bits, child, prefix);
        subroot_known(t, prefix, node.bits + TRANSFER_STEP_BITS, subroots + child * SHA256_BYTES);
    }
    t->take.piece_next = 0;
}

/* ---- asking ---- */

static bool nodes_ask(struct transfer *t, uint8_t member, struct transfer_query *query) {
    struct transfer_take *take = &t->take;
    while (take->node_next < take->node_count && take->nodes[take->node_next].state != PIECE_OPEN) take->node_next++;
    if (take->node_next == take->node_count) return false;
    struct transfer_node *node = &take->nodes[take->node_next];
    node->state = PIECE_ASKED;
    query->sent = (struct checkpoint_piece_query){.kind = CHECKPOINT_SUBROOTS_OF, .prefix_bits = node->bits};
    memcpy(query->sent.prefix, node->prefix, 32);
    take_query_send(t, member, query, take->node_next);
    return true;
}


bool pieces_ask(struct transfer *t, uint8_t member, struct transfer_query *query) {
    struct transfer_take *take = &t->take;
    if (nodes_ask(t, member, query)) return true;
    while (take->piece_next < take->piece_count && take->pieces[take->piece_next].state != PIECE_OPEN) take->piece_next++;
    for (uint32_t i = take->piece_next; i < take->piece_count; i++) {
        struct transfer_piece *piece = &take->pieces[i];
        if (piece->state != PIECE_OPEN) continue;
        if (take_passed_by_all(t, piece->passed)) piece->passed = 0;
        if ((piece->passed | piece->large) >> member & 1) continue;
        piece->state = PIECE_ASKED;
        query->sent = (struct checkpoint_piece_query){.kind = CHECKPOINT_ENTRIES, .prefix_bits = piece->bits};
        memcpy(query->sent.prefix, piece->prefix, 32);
        take_query_send(t, member, query, i);
        return true;
    }
    return false;
}

/* Splitting moves pieces: a query names its piece by prefix. */
static struct transfer_piece *piece_of(struct transfer *t, const struct transfer_query *query) {
    uint32_t at = piece_at(&t->take, query->sent.prefix);
    struct transfer_piece *piece = at < t->take.piece_count ? &t->take.pieces[at] : NULL;
    bool same = piece != NULL && piece->bits == query->sent.prefix_bits && memcmp(piece->prefix, query->sent.prefix, 32) == 0;
    return same && piece->state == PIECE_ASKED ? piece : NULL;
}

static void piece_again(struct transfer *t, struct transfer_piece *piece) {
    uint32_t index = (uint32_t)(piece - t->take.pieces);
    piece->state = PIECE_OPEN;
    if (index < t->take.piece_next) t->take.piece_next = index;
}

void pieces_unask(struct transfer *t, const struct transfer_query *query, uint8_t member) {
    if (query->sent.kind == CHECKPOINT_SUBROOTS_OF) {
        t->take.nodes[query->index].state = PIECE_OPEN;
        if (query->index < t->take.node_next) t->take.node_next = query->index;
        return;
    }
    struct transfer_piece *piece = piece_of(t, query);
    if (piece == NULL) return;
    piece->passed |= (uint16_t)(1u << member);
    piece_again(t, piece);
}

bool pieces_done(const struct transfer *t) {
    for (uint32_t i = t->take.piece_next; i < t->take.piece_count; i++) {
        if (t->take.pieces[i].state != PIECE_HELD && t->take.pieces[i].state != PIECE_KEPT) return false;
    }
    for (uint32_t i = 0; i < t->take.piece_next; i++) {
        if (t->take.pieces[i].state != PIECE_HELD && t->take.pieces[i].state != PIECE_KEPT) return false;
    }
    return true;
}

/* ---- answers ---- */

/* What an older checkpoint left under this prefix goes away with the same commit that brings the new. */
static bool stale_remove(struct transfer *t, const struct transfer_piece *piece) {
    struct transfer_cut cut;
    struct table_write write = {.deleted = true};
    uint8_t path[32];
    bool room = true;
    if (!t->config.store.taken(t->config.store.context, &cut)) return true;
    cut.seek(cut.context, piece->prefix);
    enum store_status status;
    while (room && (status = cut.next(cut.context, &write.entry, path)) == STORE_OK && trie_prefix_equal(path, piece->prefix, piece->bits)) {
        write.entry.value_bytes = 0;
        room = state_buffer_add(&t->take.buffer, &write);
    }
    cut.close(cut.context);
    return room;
}

static void entries_hold(struct transfer *t, struct transfer_piece *piece, struct bytes_cursor cursor, uint64_t total) {
    struct state_buffer *buffer = &t->take.buffer;
    if (buffer->back - buffer->front < TRANSFER_BUFFER_SPARE && !take_keep(t)) return;
    bool good = !piece->stale || stale_remove(t, piece);
    for (uint64_t i = 0; good && i < total; i++) {
        struct checkpoint_entry entry;
        CHECK(checkpoint_entry_get(&cursor, &entry));
        struct table_write write = {.entry = {.key = entry.key,
                                              .value = entry.value,
                                              .key_bytes = entry.key_bytes,
                                              .value_bytes = entry.value_bytes,
                                              .version = {.height = entry.version_height, .index = entry.version_index},
                                              .space = entry.space}};
        good = state_buffer_add(buffer, &write);
    }
    if (!good) { /* more than a piece can be: what lies on the disk is not what was checked */
        take_start_over(t);
        return;
    }
    piece->state = PIECE_HELD;
    t->take.held++;
}

static void entries_answer(struct transfer *t, uint8_t from, const struct transfer_query *query, const struct checkpoint_piece *answer) {
    struct transfer_piece *piece = piece_of(t, query);
    struct bytes_cursor cursor;
    if (piece == NULL) return;
    uint8_t subroot[32];
    enum checkpoint_error error = CHECKPOINT_BAD_BYTES;
    bool fits = CHECKPOINT_PIECE_HEAD_BYTES + answer->content_bytes <= CHECKPOINT_ENTRIES_PIECE_BYTES_MAX;
    if (fits) error = checkpoint_entries_subroot(answer, &query->sent, t->take.shown.manifest.state_root, &cursor, subroot);
    if (fits && error != CHECKPOINT_OK) take_evidence(t, from, query, answer);
    if (error != CHECKPOINT_OK) {
        piece_again(t, piece);
        transfer_bad(t, from, "entries", checkpoint_error_name(error));
        return;
    }
    /* Who said that it is larger than a piece may be, said what is not so. */
    uint16_t large = piece->large;
    t->take.progress_ms = t->now_ms;
    memcpy(piece->subroot, subroot, 32);
    entries_hold(t, piece, cursor, answer->total);
    for (uint8_t i = 0; i < TRANSFER_MEMBERS; i++) {
        if (large >> i & 1 && !t->take.peers[i].bad) transfer_bad(t, i, "entries", "too_large_is_untrue");
    }
}

void pieces_answer(struct transfer *t, uint8_t from, const struct transfer_query *query, const struct checkpoint_piece *piece) {
    if (query->sent.kind == CHECKPOINT_SUBROOTS_OF) subroots_answer(t, from, query, piece);
    else entries_answer(t, from, query, piece);
}

/* ---- TOO-LARGE ---- */

static bool piece_split(struct transfer *t, uint32_t index) {
    struct transfer_take *take = &t->take;
    if (!pieces_room(take, (uint64_t)take->piece_count + CHILDREN - 1)) return false;
    struct transfer_piece whole = take->pieces[index];
    memmove(&take->pieces[index + CHILDREN], &take->pieces[index + 1], (take->piece_count - index - 1) * sizeof whole);
    for (unsigned child = 0; child < CHILDREN; child++) {
        struct transfer_piece *piece = &take->pieces[index + child];
        *piece = (struct transfer_piece){.bits = (uint16_t)(whole.bits + TRANSFER_STEP_BITS), .stale = whole.stale};
        child_prefix(whole.prefix, whole.bits, child, piece->prefix);
    }
    take->piece_count += CHILDREN - 1;
    if (index < take->piece_next) take->piece_next = index;
    return true;
}

/* One liar may not cut the state to crumbs: f+1 members say so, or all that may be asked. */
void pieces_too_large(struct transfer *t, uint8_t from, const struct transfer_query *query) {
    uint32_t at = piece_at(&t->take, query->sent.prefix);
    if (at == t->take.piece_count) return;
    struct transfer_piece *piece = &t->take.pieces[at];
    if (piece->bits != query->sent.prefix_bits || memcmp(piece->prefix, query->sent.prefix, 32) != 0 || piece->state != PIECE_OPEN) return;
    piece->large |= (uint16_t)(1u << from);
    unsigned said = 0, left = 0;
    for (uint8_t i = 0; i < t->config.members->n; i++) {
        bool usable = take_member_usable(t, i), large = piece->large >> i & 1;
        said += usable && large;
        left += usable && !large;
    }
    if (said <= t->config.members->f && left > 0) return;
    if (piece->bits + TRANSFER_STEP_BITS > TRIE_BITS || !piece_split(t, at)) {
        for (uint8_t i = 0; i < TRANSFER_MEMBERS; i++) { /* one leaf is never too large, and so many pieces no honest state needs */
            if (piece->large >> i & 1 && !t->take.peers[i].bad) transfer_bad(t, i, "entries", "too_large_is_untrue");
        }
        piece->large = 0;
    }
}

/* ---- on the disk: bits u16, kept u8, prefix, subroot ---- */

void pieces_put(const struct transfer *t, struct bytes_writer *writer) {
    for (uint32_t i = 0; i < t->take.piece_count; i++) {
        const struct transfer_piece *piece = &t->take.pieces[i];
        bytes_put_u16(writer, piece->bits);
        /* Not yet compared with the newest manifest: kept as of the one before, which is what its subroot says. */
        bytes_put_u8(writer, piece->state == PIECE_KEPT || piece->state == PIECE_UNSURE);
        bytes_put_hash(writer, piece->prefix);
        bytes_put_hash(writer, piece->subroot);
    }
}

/* All paths, without gap or overlap: where each piece begins follows from the one before. */
static bool prefix_after(uint8_t prefix[32], unsigned bits) {
    for (unsigned byte = bits / 8; byte-- > 0;) {
        if (++prefix[byte] != 0) return true;
    }
    return false;
}

bool pieces_get(struct transfer *t, struct bytes_cursor *cursor) {
    struct transfer_take *take = &t->take;
    size_t count = cursor->left / TRANSFER_PIECE_RECORD_BYTES;
    uint8_t next[32] = {0};
    bool more = true;
    if (count == 0 || cursor->left % TRANSFER_PIECE_RECORD_BYTES != 0 || !pieces_room(take, count)) return false;
    for (size_t i = 0; i < count; i++) {
        struct transfer_piece *piece = &take->pieces[i];
        *piece = (struct transfer_piece){.bits = bytes_get_u16(cursor)};
        uint8_t kept = bytes_get_u8(cursor);
        (void)bytes_get_hash(cursor, piece->prefix);
        (void)bytes_get_hash(cursor, piece->subroot);
        bool good = more && kept <= 1 && piece->bits <= TRIE_BITS && piece->bits % TRANSFER_STEP_BITS == 0 && memcmp(piece->prefix, next, 32) == 0;
        for (unsigned byte = piece->bits / 8; good && byte < 32; byte++) good = piece->prefix[byte] == 0;
        if (!good) return false;
        piece->state = kept ? PIECE_KEPT : PIECE_OPEN;
        piece->stale = !kept;
        more = prefix_after(next, piece->bits);
    }
    take->piece_count = (uint32_t)count;
    take->piece_next = 0;
    return !more;
}
