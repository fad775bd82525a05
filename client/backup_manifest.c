/*
 * Taking a backup: a manifest that is too long to be shown whole (spec/durability.md P-42). A node shows its head and its hash; its bytes are asked
 * of that node (P-43, kind 5), and then the checkpoint is judged as if it had been shown whole. The file has it whole.
 *
 * One node at a time is asked for one manifest: who shows the same waits until that one has given it, and is then known to show it alike. One that
 * does not give it in time makes room for the next.
 */
#include <stdlib.h>
#include <string.h>

#include "client/backup.h"
#include "merkle/check.h"
#include "ring/entropy.h"

enum { MESSAGE_PIECE_QUERY = 0x010F, BYTES_PER_MS_MIN = 256 };

void backup_manifest_drop(struct backup_peer *peer) {
    client_buffer_free(&peer->manifest.shown);
    client_buffer_free(&peer->manifest.bytes);
    memset(&peer->manifest, 0, sizeof peer->manifest);
}

void backup_manifest_want(struct client_backup *backup, struct backup_peer *peer, const struct checkpoint_shown *shown, uint64_t now_ms) {
    struct backup_manifest *manifest = &peer->manifest;
    uint8_t hash[32];
    checkpoint_shown_hash(shown, hash);
    if (manifest->shown.used > 0) return; /* one after the other; this one comes again with the next answer */
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        const struct backup_manifest *other = &backup->peers[i].manifest;
        if (other->shown.used > 0 && memcmp(other->hash, hash, sizeof hash) == 0) return;
    }
    size_t room = 16 + 4 + shown->manifest_count + CHECKPOINT_PROOF_BYTES_MAX;
    uint8_t *at = client_buffer_space(&manifest->shown, room);
    if (at == NULL) return;
    struct bytes_writer writer = bytes_writer_of(at, room);
    checkpoint_message_head_put(&writer, 0, 1);
    checkpoint_shown_put(&writer, shown);
    manifest->shown.used = writer.failed ? 0 : writer.used;
    memcpy(manifest->hash, hash, sizeof hash);
    manifest->length = CHECKPOINT_MANIFEST_HEAD_BYTES + (uint64_t)shown->manifest.item_count * CHECKPOINT_ITEM_BYTES;
    manifest->end_ms = now_ms + BACKUP_LATE_MS_MIN + manifest->length / BYTES_PER_MS_MIN;
}

/* The next of its bytes. */
static void ask(const struct client_backup *backup, struct backup_peer *peer, uint64_t now_ms) {
    struct backup_manifest *manifest = &peer->manifest;
    struct checkpoint_piece_query query = {
        .nonce = manifest->nonce = ring_entropy_u64(), .kind = CHECKPOINT_MANIFEST_OF, .offset = manifest->bytes.used};
    uint8_t bytes[CHECKPOINT_PIECE_QUERY_BYTES];
    memcpy(query.manifest_hash, manifest->hash, sizeof query.manifest_hash);
    checkpoint_piece_query_encode(&query, bytes);
    uint64_t late_ms = (uint64_t)BACKUP_LATE_FETCHES * client_chain_config(backup->db, backup->cluster)->timeouts.fetch_ms;
    manifest->until_ms = now_ms + (late_ms > BACKUP_LATE_MS_MIN ? late_ms : BACKUP_LATE_MS_MIN);
    manifest->asked = client_node_send(peer->node, MESSAGE_PIECE_QUERY, bytes, sizeof bytes, now_ms);
}

/* Passed over for a while: whoever else shows it is asked. */
static void give_up(struct backup_peer *peer, uint64_t now_ms) {
    backup_manifest_drop(peer);
    peer->ask_at_ms = now_ms + BACKUP_BUSY_MS_MAX;
}

void backup_manifests_ask(struct client_backup *backup, uint64_t now_ms) {
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        struct backup_peer *peer = &backup->peers[i];
        struct backup_manifest *manifest = &peer->manifest;
        if (manifest->shown.used == 0) continue;
        bool late = (manifest->asked && now_ms >= manifest->until_ms) || now_ms >= manifest->end_ms;
        if (late || peer->node->state != NODE_UP) give_up(peer, now_ms);
        else if (!manifest->asked && now_ms >= manifest->ask_at_ms) ask(backup, peer, now_ms);
    }
}

/* All of it: bytes that do not give the hash are this node's; what is wrong with a manifest that does, too, since this node showed it. */
static void whole(struct client_backup *backup, struct backup_peer *peer, uint64_t now_ms) {
    struct backup_manifest *manifest = &peer->manifest;
    struct checkpoint_shown *shown = malloc(CHECKPOINT_SHOWN_MAX * sizeof *shown);
    struct checkpoint_manifest read;
    uint64_t nonce;
    uint16_t count;
    uint8_t hash[32];
    if (shown == NULL) return;
    CHECK(checkpoint_message_decode(manifest->shown.bytes, manifest->shown.used, &nonce, shown, &count) == CHECKPOINT_OK && count == 1);
    checkpoint_manifest_hash(manifest->bytes.bytes, manifest->bytes.used, hash);
    bool good = memcmp(hash, manifest->hash, sizeof hash) == 0;
    bool same = good && memcmp(manifest->bytes.bytes, shown->manifest_bytes, CHECKPOINT_MANIFEST_HEAD_BYTES) == 0 &&
                checkpoint_manifest_decode(manifest->bytes.bytes, manifest->bytes.used, &read) == CHECKPOINT_OK;
    if (same) {
        shown->whole = true;
        shown->manifest = read;
        shown->manifest_bytes = manifest->bytes.bytes;
        shown->manifest_count = manifest->bytes.used;
        backup_candidate_add(backup, peer, shown, now_ms);
    } else {
        backup_peer_bad(backup, peer, "manifest", good ? "not the one that it showed" : "hash");
    }
    free(shown);
    backup_manifest_drop(peer);
}

static void take(struct client_backup *backup, struct backup_peer *peer, const struct checkpoint_piece *piece, uint64_t now_ms) {
    struct backup_manifest *manifest = &peer->manifest;
    uint64_t left = manifest->length - manifest->bytes.used;
    if (piece->total != manifest->length || piece->content_bytes == 0 || piece->content_bytes > left ||
        piece->content_bytes > CHECKPOINT_PIECE_BYTES_MAX) {
        backup_peer_bad(backup, peer, "manifest", "length");
        return;
    }
    uint8_t *at = client_buffer_space(&manifest->bytes, piece->content_bytes);
    if (at == NULL) {
        give_up(peer, now_ms);
        return;
    }
    memcpy(at, piece->content, piece->content_bytes);
    if (manifest->bytes.used == manifest->length) whole(backup, peer, now_ms);
    else ask(backup, peer, now_ms);
}

void backup_manifest_frame(struct client_backup *backup, struct backup_peer *peer, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms) {
    struct backup_manifest *manifest = &peer->manifest;
    struct checkpoint_piece piece;
    enum checkpoint_error error = checkpoint_piece_decode(payload, payload_bytes, &piece);
    if (error == CHECKPOINT_OK && (!manifest->asked || piece.nonce != manifest->nonce)) return; /* asked long ago, and given up */
    if (error == CHECKPOINT_OK && (piece.kind != CHECKPOINT_MANIFEST_OF || memcmp(piece.manifest_hash, manifest->hash, 32) != 0))
        error = CHECKPOINT_BAD_NONCE;
    if (error != CHECKPOINT_OK) {
        backup_peer_bad(backup, peer, "manifest", checkpoint_error_name(error));
        return;
    }
    manifest->asked = false;
    if (piece.code == CHECKPOINT_PIECE_OK) take(backup, peer, &piece, now_ms);
    else if (piece.code == CHECKPOINT_PIECE_UNKNOWN) give_up(peer, now_ms);
    else if (piece.code == CHECKPOINT_PIECE_TOO_LARGE) backup_peer_bad(backup, peer, "manifest", "too large");
    else manifest->ask_at_ms = now_ms + (piece.hint < BACKUP_BUSY_MS_MAX ? piece.hint : BACKUP_BUSY_MS_MAX);
}
