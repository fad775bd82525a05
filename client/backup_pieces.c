/* Taking a backup: pieces and items (spec/durability.md P-43 to P-48). */
#include <stdlib.h>
#include <string.h>

#include "client/backup.h"
#include "ring/entropy.h"

enum { MESSAGE_PIECE_QUERY = 0x010F };

bool backup_pieces_make(struct client_backup *backup, uint16_t prefix_bits) {
    free(backup->pieces);
    free(backup->items);
    free(backup->large_at);
    backup->prefix_bits = prefix_bits;
    backup->piece_count = 1u << prefix_bits;
    backup->pieces = calloc(backup->piece_count, 1);
    backup->large_at = NULL;
    backup->items = calloc((size_t)backup->item_count + 1, 1);
    backup->pieces_kept = backup->items_kept = backup->piece_next = backup->item_next = 0;
    if (backup->pieces != NULL && backup->items != NULL) return true;
    backup_fail(backup, "no memory for %u pieces", backup->piece_count);
    return false;
}

/* ---- questions ---- */

/* What it was asked for is open again. */
static void query_drop(struct client_backup *backup, struct backup_query *query) {
    uint8_t *marks = query->is_item ? backup->items : backup->pieces;
    uint32_t *next = query->is_item ? &backup->item_next : &backup->piece_next;
    if (query->used && marks[query->index] == BACKUP_ASKED) marks[query->index] = BACKUP_OPEN;
    if (query->used && query->index < *next) *next = query->index;
    client_buffer_free(&query->item);
    memset(query, 0, sizeof *query);
}

void backup_queries_drop(struct backup_peer *peer, struct client_backup *backup) {
    for (unsigned i = 0; i < BACKUP_OUTSTANDING_MAX; i++) query_drop(backup, &peer->queries[i]);
}

/* False: the link did not take it. */
static bool query_send(struct client_backup *backup, struct backup_peer *peer, struct backup_query *query, uint64_t now_ms) {
    struct checkpoint_piece_query out = {.nonce = query->nonce = ring_entropy_u64()};
    struct backup_name name;
    uint8_t bytes[CHECKPOINT_PIECE_QUERY_BYTES];
    memcpy(out.manifest_hash, backup->chosen.hash, 32);
    if (query->is_item) {
        struct checkpoint_item item = checkpoint_manifest_item(&backup_shown(backup->chosen.head)->manifest, query->index);
        out.kind = item.kind;
        out.cluster = item.cluster;
        out.dseq = item.dseq;
        out.offset = query->item.used;
    } else {
        backup_name_piece(&name, backup->prefix_bits, query->index);
        out.prefix_bits = name.prefix_bits;
        memcpy(out.prefix, name.prefix, 32);
    }
    checkpoint_piece_query_encode(&out, bytes);
    uint64_t late_ms = (uint64_t)BACKUP_LATE_FETCHES * backup_config(backup->chosen.head)->timeouts.fetch_ms;
    query->until_ms = now_ms + (late_ms > BACKUP_LATE_MS_MIN ? late_ms : BACKUP_LATE_MS_MIN);
    return client_node_send(peer->node, MESSAGE_PIECE_QUERY, bytes, sizeof bytes, now_ms);
}

/* The next open one that this peer has not called too large. */
static bool open_find(struct client_backup *backup, const struct backup_peer *peer, bool items, uint32_t *index) {
    const uint8_t *marks = items ? backup->items : backup->pieces;
    uint32_t count = items ? backup->item_count : backup->piece_count, *next = items ? &backup->item_next : &backup->piece_next;
    while (*next < count && marks[*next] != BACKUP_OPEN) (*next)++;
    for (*index = *next; *index < count; (*index)++) {
        if (marks[*index] != BACKUP_OPEN) continue;
        bool large = !items && backup->large_at != NULL && backup->large_at[*index] >> peer->node->member & 1;
        if (!large) return true;
    }
    return false;
}

/* Who did not give items in their time is asked for them when nobody is left who was not as slow. */
static bool is_slower(const struct client_backup *backup, const struct backup_peer *peer) {
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        const struct backup_peer *other = &backup->peers[i];
        if (backup_peer_usable(other) && other->node->state == NODE_UP && other->slow < peer->slow) return true;
    }
    return false;
}

static uint64_t item_end_ms(const struct client_backup *backup, const struct backup_peer *peer, uint32_t index, uint64_t now_ms) {
    struct checkpoint_item item = checkpoint_manifest_item(&backup_shown(backup->chosen.head)->manifest, index);
    return now_ms + ((BACKUP_ITEM_MS + item.bytes / 1024) << peer->slow);
}

static void peer_ask(struct client_backup *backup, struct backup_peer *peer, uint64_t now_ms) {
    bool items = backup->phase == BACKUP_ITEMS;
    if (items && is_slower(backup, peer)) return;
    for (unsigned i = 0; i < BACKUP_OUTSTANDING_MAX && peer->node->state == NODE_UP; i++) {
        struct backup_query *query = &peer->queries[i];
        uint32_t index;
        if (query->used) continue;
        if (!open_find(backup, peer, items, &index)) return;
        *query = (struct backup_query){.used = true, .is_item = items, .index = index};
        if (items) query->end_ms = item_end_ms(backup, peer, index, now_ms);
        (items ? backup->items : backup->pieces)[index] = BACKUP_ASKED;
        if (query_send(backup, peer, query, now_ms)) continue;
        query_drop(backup, query);
        return;
    }
}

void backup_pieces_ask(struct client_backup *backup, uint64_t now_ms) {
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        struct backup_peer *peer = &backup->peers[i];
        bool down = peer->node->state != NODE_UP;
        for (unsigned k = 0; k < BACKUP_OUTSTANDING_MAX; k++) {
            struct backup_query *query = &peer->queries[k];
            bool slow = query->used && query->is_item && now_ms >= query->end_ms;
            bool late = slow || (query->used && !query->paused && now_ms >= query->until_ms), again = query->paused && now_ms >= peer->ask_at_ms;
            if (slow && peer->slow < BACKUP_SLOW_MAX) peer->slow++;
            if (again && !late && !down) {
                query->paused = false;
                down = !query_send(backup, peer, query, now_ms);
            }
            if (!query->used || (!down && !late)) continue;
            query_drop(backup, query);
            if (late) peer->ask_at_ms = now_ms + BACKUP_BUSY_MS_MAX; /* passed over for a while */
        }
        if (!backup_peer_usable(peer) || down || now_ms < peer->ask_at_ms) continue;
        peer_ask(backup, peer, now_ms);
    }
}

/* ---- answers ---- */

static void kept(struct client_backup *backup, const struct backup_query *query, size_t bytes, uint64_t now_ms) {
    (query->is_item ? backup->items : backup->pieces)[query->index] = BACKUP_KEPT;
    backup->pieces_kept += !query->is_item;
    backup->items_kept += query->is_item;
    backup->bytes += bytes;
    backup->moved_ms = now_ms;
}

/* As it is to lie in the file: nonce 0. Who called it too large, said what is not so. */
static void entries_take(struct client_backup *backup, struct backup_peer *peer, struct backup_query *query, const uint8_t *payload,
                         size_t payload_bytes, uint64_t now_ms) {
    struct backup_name name;
    struct backup_fault fault;
    struct bytes_cursor entries;
    uint64_t count;
    struct buffer piece = {0};
    uint8_t *bytes = client_buffer_space(&piece, payload_bytes);
    if (bytes == NULL) {
        query_drop(backup, query);
        return;
    }
    memcpy(bytes, payload, payload_bytes);
    bytes_put_le64(bytes, 0);
    backup_name_piece(&name, backup->prefix_bits, query->index);
    bool good = payload_bytes <= BACKUP_PIECE_BYTES_MAX;
    if (!good) backup_peer_bad(backup, peer, "piece", "too long");
    else if (backup_piece(backup->chosen.head, &name, bytes, payload_bytes, false, &entries, &count, &fault) != BACKUP_OK) {
        good = false;
        backup_peer_bad(backup, peer, "piece", fault.text);
    }
    uint32_t large = good && backup->large_at != NULL ? backup->large_at[query->index] : 0;
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        struct backup_peer *other = &backup->peers[i];
        if (large >> other->node->member & 1 && !other->bad) backup_peer_bad(backup, other, "piece", "too large is untrue");
    }
    if (good && backup_store_put(backup, &name, bytes, payload_bytes)) {
        kept(backup, query, payload_bytes, now_ms);
        query_drop(backup, query);
    }
    client_buffer_free(&piece);
}

static void item_take(struct client_backup *backup, struct backup_peer *peer, struct backup_query *query, const struct checkpoint_piece *piece,
                      uint64_t now_ms) {
    struct checkpoint_item item = checkpoint_manifest_item(&backup_shown(backup->chosen.head)->manifest, query->index);
    struct backup_fault fault;
    struct backup_name name;
    uint64_t left = piece->total - query->item.used;
    bool fits = piece->total >= query->item.used && piece->total <= backup_item_bytes_max(&item) && piece->content_bytes <= left &&
                piece->content_bytes <= CHECKPOINT_PIECE_BYTES_MAX && piece->content_bytes > 0;
    if (!fits) {
        backup_peer_bad(backup, peer, "item", "length");
        return;
    }
    uint8_t *at = client_buffer_space(&query->item, piece->content_bytes);
    if (at == NULL) {
        query_drop(backup, query);
        return;
    }
    memcpy(at, piece->content, piece->content_bytes);
    if (query->item.used < piece->total) {
        if (!query_send(backup, peer, query, now_ms)) query_drop(backup, query);
        return;
    }
    if (backup_item(backup->chosen.head, query->index, query->item.bytes, query->item.used, &fault) != BACKUP_OK) {
        backup_peer_bad(backup, peer, "item", fault.text);
        return;
    }
    backup_name_item(&name, &item);
    if (!backup_store_put(backup, &name, query->item.bytes, query->item.used)) return;
    kept(backup, query, query->item.used, now_ms);
    query_drop(backup, query);
}

/* One liar may not cut the state to crumbs: f+1 nodes say so, or all that may be asked. Then all pieces are cut narrower by one bit. */
static void too_large(struct client_backup *backup, struct backup_peer *peer, struct backup_query *query) {
    uint32_t index = query->index, said = 0, left = 0;
    query_drop(backup, query);
    if (backup->large_at == NULL) backup->large_at = calloc(backup->piece_count, sizeof *backup->large_at);
    if (backup->large_at == NULL) return;
    backup->large_at[index] |= 1u << peer->node->member;
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        bool large = backup->large_at[index] >> backup->peers[i].node->member & 1;
        said += backup_peer_usable(&backup->peers[i]) && large;
        left += backup_peer_usable(&backup->peers[i]) && !large;
    }
    if (said <= backup->f && left > 0) return;
    if (backup->prefix_bits == BACKUP_PREFIX_BITS_MAX) {
        backup_fail(backup, "%u nodes say that a piece of %u bits is too large", said, backup->prefix_bits);
        return;
    }
    for (uint32_t i = 0; i < backup->peer_count; i++) backup_queries_drop(&backup->peers[i], backup);
    backup_say(backup, "a piece is larger than a piece may be: all are cut narrower");
    if (backup_store_clear(backup)) (void)backup_pieces_make(backup, (uint16_t)(backup->prefix_bits + 1));
}

static struct backup_query *query_of(struct backup_peer *peer, uint64_t nonce) {
    for (unsigned i = 0; i < BACKUP_OUTSTANDING_MAX; i++) {
        if (peer->queries[i].used && peer->queries[i].nonce == nonce) return &peer->queries[i];
    }
    return NULL;
}

void backup_piece_frame(struct client_backup *backup, struct backup_peer *peer, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms) {
    struct checkpoint_piece piece;
    enum checkpoint_error error = checkpoint_piece_decode(payload, payload_bytes, &piece);
    struct backup_query *query = error == CHECKPOINT_OK ? query_of(peer, piece.nonce) : NULL;
    if (error != CHECKPOINT_OK) {
        backup_peer_bad(backup, peer, "piece", checkpoint_error_name(error));
        return;
    }
    if (query == NULL) return; /* asked long ago, and given up */
    uint8_t kind = query->is_item ? checkpoint_manifest_item(&backup_shown(backup->chosen.head)->manifest, query->index).kind : CHECKPOINT_ENTRIES;
    if (memcmp(piece.manifest_hash, backup->chosen.hash, 32) != 0 || piece.kind != kind) {
        backup_peer_bad(backup, peer, "piece", checkpoint_error_name(CHECKPOINT_BAD_NONCE));
        return;
    }
    switch (piece.code) {
    case CHECKPOINT_PIECE_OK:
        if (query->is_item) item_take(backup, peer, query, &piece, now_ms);
        else entries_take(backup, peer, query, payload, payload_bytes, now_ms);
        break;
    case CHECKPOINT_PIECE_UNKNOWN:
        peer->unknown = true;
        backup_queries_drop(peer, backup);
        break;
    case CHECKPOINT_PIECE_TOO_LARGE:
        if (query->is_item) backup_peer_bad(backup, peer, "item", "too large");
        else too_large(backup, peer, query);
        break;
    default: /* BUSY */
        query->paused = query->item.used > 0;
        if (!query->paused) query_drop(backup, query);
        peer->ask_at_ms = now_ms + (piece.hint < BACKUP_BUSY_MS_MAX ? piece.hint : BACKUP_BUSY_MS_MAX);
        break;
    }
}
