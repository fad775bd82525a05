/* Taking a backup: which checkpoint, and who is asked (spec/durability.md P-41, P-42, P-48, P-50). */
#include "client/backup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/clock.h"
#include "ring/entropy.h"

enum { MESSAGE_CHECKPOINT_QUERY = 0x010D, MESSAGE_CHECKPOINT = 0x010E };

void backup_say(struct client_backup *backup, const char *format, ...) {
    char line[BACKUP_NOTE_BYTES];
    va_list arguments;
    int at = snprintf(line, sizeof line, "%s: ", backup->name);
    va_start(arguments, format);
    (void)vsnprintf(line + at, sizeof line - (size_t)at, format, arguments);
    va_end(arguments);
    backup->note(backup->context, line);
}

void backup_fail(struct client_backup *backup, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(backup->why, sizeof backup->why, format, arguments);
    va_end(arguments);
    backup->phase = BACKUP_FAILED;
}

bool backup_peer_usable(const struct backup_peer *peer) {
    return peer->node->card != NULL && !peer->bad && !peer->unknown;
}

uint32_t backup_members(const struct client_backup *backup) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < backup->peer_count; i++) count += backup->peers[i].node->card != NULL;
    return count;
}

void backup_peer_bad(struct client_backup *backup, struct backup_peer *peer, const char *what, const char *why) {
    peer->bad = true;
    backup_manifest_drop(peer);
    backup->db->counters.verification_failures++;
    backup_queries_drop(peer, backup);
    const char *name = peer->node->card != NULL ? peer->node->card->name : "who was there";
    backup_say(backup, "%s sent a bad %s (%s): it lies or is broken, and is asked no more", name, what, why);
}

/* ---- begin, end ---- */

bool client_backup_begin(struct client_backup *backup, struct heraclius *db, uint32_t cluster, const char *folder, client_backup_note *note,
                         void *context) {
    memset(backup, 0, sizeof *backup);
    backup->db = db;
    backup->cluster = cluster;
    backup->note = note;
    backup->context = context;
    backup->started_ms = backup->moved_ms = ring_clock_ms();
    (void)snprintf(backup->name, sizeof backup->name, "%c%u", config_cluster_is_shard(cluster) ? 's' : 'c', config_cluster_index(cluster));
    if ((size_t)snprintf(backup->folder, sizeof backup->folder, "%s", folder) >= sizeof backup->folder) {
        backup_fail(backup, "the path is too long");
        return false;
    }
    (void)snprintf(backup->part, sizeof backup->part, "%s.part", backup->folder);
    for (uint32_t i = 0; i < db->node_count && backup->peer_count < BFT_MEMBERS_MAX; i++) {
        if (db->nodes[i].cluster == cluster) backup->peers[backup->peer_count++].node = &db->nodes[i];
    }
    backup->next = db->backups;
    db->backups = backup;
    return true;
}

static void candidate_free(struct backup_candidate *candidate) {
    backup_free(candidate->head);
    client_buffer_free(&candidate->shown);
    client_buffer_free(&candidate->chain);
    memset(candidate, 0, sizeof *candidate);
}

static void candidates_free(struct client_backup *backup) {
    for (uint32_t i = 0; i < backup->candidate_count; i++) candidate_free(&backup->candidates[i]);
    backup->candidate_count = 0;
}

void client_backup_end(struct client_backup *backup) {
    struct client_backup **at = &backup->db->backups;
    while (*at != NULL && *at != backup) at = &(*at)->next;
    if (*at != NULL) *at = backup->next;
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        backup_queries_drop(&backup->peers[i], backup);
        backup_manifest_drop(&backup->peers[i]);
    }
    candidates_free(backup);
    candidate_free(&backup->chosen);
    free(backup->pieces);
    free(backup->items);
    free(backup->large_at);
}

/* ---- which checkpoint ---- */

static uint32_t f_of(const struct client_backup *backup) {
    return config_faults(client_chain_config(backup->db, backup->cluster)->members.count);
}

/* Of a cluster that SEAL ended, as the chain shows, the last state: nodes would go on showing an older checkpoint to one who asked for it just before
 * (P-49). After a while what there is, since all who have the last one may be gone. */
static uint64_t height_wanted(const struct client_backup *backup, uint64_t now_ms) {
    const struct client_chain *chain = client_chain_find(backup->db, backup->cluster);
    bool last = chain != NULL && chain->chain->sealed && now_ms - backup->started_ms < BACKUP_PATIENCE_MS;
    return last ? chain->chain->members.height_last : 0;
}

static void checkpoints_ask(struct client_backup *backup, uint64_t now_ms) {
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        struct backup_peer *peer = &backup->peers[i];
        client_node_want(peer->node, now_ms);
        if (peer->node->state != NODE_UP || peer->bad || now_ms < peer->ask_at_ms) continue;
        client_chain_ask(peer->node, now_ms);
        struct checkpoint_query query = {.nonce = ring_entropy_u64(), .height = height_wanted(backup, now_ms)};
        uint8_t bytes[CHECKPOINT_QUERY_BYTES];
        checkpoint_query_encode(&query, bytes);
        peer->nonce = query.nonce;
        peer->ask_at_ms = now_ms + BACKUP_ASK_MS;
        (void)client_node_send(peer->node, MESSAGE_CHECKPOINT_QUERY, bytes, sizeof bytes, now_ms);
    }
}

static struct backup_candidate *candidate_find(struct client_backup *backup, const uint8_t hash[32]) {
    for (uint32_t i = 0; i < backup->candidate_count; i++) {
        if (memcmp(backup->candidates[i].hash, hash, 32) == 0) return &backup->candidates[i];
    }
    return NULL;
}

/* One checkpoint as a file has it; its proof is checked. A chain that does not reach its epoch yet is no lie of the peer's; nor is
 * a certificate that has no room for the block's own header, which no backup may have (P-80). */
void backup_candidate_add(struct client_backup *backup, struct backup_peer *peer, const struct checkpoint_shown *shown, uint64_t now_ms) {
    struct backup_candidate *candidate = &backup->candidates[backup->candidate_count];
    struct backup_fault fault;
    if (backup->candidate_count == BACKUP_CANDIDATES_MAX || shown->certificate.header_count == BFT_CERTIFICATE_HEADERS_MAX) return;
    size_t room = 16 + 4 + shown->manifest_count + CHECKPOINT_PROOF_BYTES_MAX;
    memset(candidate, 0, sizeof *candidate);
    uint8_t *at = client_buffer_space(&candidate->shown, room);
    if (at == NULL || !client_chain_whole(backup->db, backup->cluster, &candidate->chain)) {
        candidate_free(candidate);
        return;
    }
    struct bytes_writer writer = bytes_writer_of(at, room);
    checkpoint_message_head_put(&writer, 0, 1);
    checkpoint_shown_put(&writer, shown);
    candidate->shown.used = writer.failed ? 0 : writer.used;
    enum backup_error error = backup_begin(&candidate->head, backup->db->system, &backup->db->signer, candidate->chain.bytes, candidate->chain.used,
                                           candidate->shown.bytes, candidate->shown.used, &fault);
    bool foreign = error == BACKUP_OK && backup_shown(candidate->head)->manifest.cluster != backup->cluster;
    if (error == BACKUP_BAD_CHAIN) client_chain_ask(peer->node, now_ms);
    else if (foreign || (error != BACKUP_OK && error != BACKUP_NO_MEMORY))
        backup_peer_bad(backup, peer, "checkpoint", foreign ? "of another cluster" : fault.text);
    if (error != BACKUP_OK || foreign) {
        candidate_free(candidate);
        return;
    }
    backup_manifest_hash(candidate->head, candidate->hash);
    candidate->members = 1u << peer->node->member;
    backup->candidate_count++;
}

/* What a node showed before and shows no longer is not its any more. A certificate proves no manifest, and a liar makes up any number of them around
 * one: so each node has room for those of one answer. */
static void candidates_withdraw(struct client_backup *backup, const struct backup_peer *peer, const struct checkpoint_shown *shown, uint16_t count) {
    uint8_t hashes[CHECKPOINT_SHOWN_MAX][32];
    uint32_t kept = 0;
    for (uint16_t i = 0; i < count; i++) checkpoint_shown_hash(&shown[i], hashes[i]);
    for (uint32_t i = 0; i < backup->candidate_count; i++) {
        struct backup_candidate *candidate = &backup->candidates[i];
        bool still = false;
        for (uint16_t k = 0; k < count; k++) still |= memcmp(candidate->hash, hashes[k], 32) == 0;
        if (!still) candidate->members &= ~(1u << peer->node->member);
        if (candidate->members == 0) candidate_free(candidate);
        else if (kept != i) backup->candidates[kept] = *candidate;
        kept += candidate->members != 0;
    }
    backup->candidate_count = kept;
}

static void checkpoint_frame(struct client_backup *backup, struct backup_peer *peer, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms) {
    struct checkpoint_shown *shown = malloc(CHECKPOINT_SHOWN_MAX * sizeof *shown);
    uint64_t nonce = 0;
    uint16_t count = 0;
    if (shown == NULL) return;
    bool fits = payload_bytes <= CHECKPOINT_MESSAGE_BYTES_MAX;
    enum checkpoint_error error = fits ? checkpoint_message_decode(payload, payload_bytes, &nonce, shown, &count) : CHECKPOINT_BAD_BYTES;
    if (error != CHECKPOINT_OK) {
        backup_peer_bad(backup, peer, "checkpoint", checkpoint_error_name(error));
    } else if (nonce == peer->nonce && peer->nonce != 0) {
        peer->nonce = 0; /* one answer to a question */
        peer->showed = true;
        candidates_withdraw(backup, peer, shown, count);
        for (uint16_t i = 0; i < count && !peer->bad; i++) {
            uint8_t hash[32];
            checkpoint_shown_hash(&shown[i], hash);
            struct backup_candidate *known = candidate_find(backup, hash);
            if (known != NULL) known->members |= 1u << peer->node->member;
            else if (shown[i].whole) backup_candidate_add(backup, peer, &shown[i], now_ms);
            else backup_manifest_want(backup, peer, &shown[i], now_ms);
        }
    }
    free(shown);
}

/* More than f nodes show it, or one that did not let the last one stall. */
static bool is_fresh(const struct client_backup *backup, const struct backup_candidate *candidate) {
    bool fresh = (uint32_t)__builtin_popcount(candidate->members) > backup->f;
    for (uint32_t i = 0; i < backup->peer_count; i++)
        fresh |= (candidate->members >> backup->peers[i].node->member & 1) != 0 && !backup->peers[i].stalled;
    return fresh;
}

/* The one that an earlier run began, else the highest that f+1 nodes show alike, one of whom is honest; after a while any. */
static struct backup_candidate *candidate_best(struct client_backup *backup, uint64_t now_ms) {
    struct backup_candidate *best = NULL;
    uint8_t hash[32];
    bool patient = now_ms - backup->started_ms < BACKUP_PATIENCE_MS;
    struct backup_candidate *begun = backup->candidate_count > 0 && backup_store_hash(backup, hash) ? candidate_find(backup, hash) : NULL;
    for (uint32_t i = 0; i < backup->candidate_count; i++) {
        struct backup_candidate *candidate = &backup->candidates[i];
        bool shown = (uint32_t)__builtin_popcount(candidate->members) > backup->f || !patient;
        if (!shown || backup_shown(candidate->head)->manifest.height < height_wanted(backup, now_ms)) continue;
        if (candidate == begun && is_fresh(backup, candidate)) return begun;
        bool better = best == NULL || backup_shown(candidate->head)->manifest.height > backup_shown(best->head)->manifest.height;
        if (best != NULL && is_fresh(backup, candidate) != is_fresh(backup, best)) better = is_fresh(backup, candidate);
        if (better) best = candidate;
    }
    return best;
}

static void choose(struct client_backup *backup, uint64_t now_ms) {
    backup->f = f_of(backup);
    struct backup_candidate *best = candidate_best(backup, now_ms);
    if (best == NULL) return;
    backup->chosen = *best;
    memset(best, 0, sizeof *best);
    candidates_free(backup);
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        backup->peers[i].unknown = false;
        backup_manifest_drop(&backup->peers[i]);
    }
    const struct checkpoint_manifest *manifest = &backup_shown(backup->chosen.head)->manifest;
    backup->phase = BACKUP_PIECES;
    backup->chosen_ms = now_ms;
    if ((uint32_t)__builtin_popcount(backup->chosen.members) > backup->f) backup->moved_ms = now_ms;
    if (!backup_store_begin(backup)) return;
    backup_say(backup, "checkpoint at height %llu, epoch %llu, shown alike by %d of %u nodes: %llu entries, %llu bytes, in %u pieces and %u items%s",
               (unsigned long long)manifest->height, (unsigned long long)manifest->epoch, __builtin_popcount(backup->chosen.members),
               backup_members(backup), (unsigned long long)manifest->entries, (unsigned long long)manifest->bytes, backup->piece_count,
               backup->item_count, backup->resumed > 0 ? "; going on with what an earlier run has" : "");
}

/* The nodes have gone on, and dropped it (P-49), or its manifest was made up. */
static void choose_again(struct client_backup *backup, uint64_t now_ms, const char *why) {
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        backup_queries_drop(&backup->peers[i], backup);
        backup->peers[i].unknown = false;
        backup->peers[i].ask_at_ms = 0;
    }
    candidate_free(&backup->chosen);
    backup->pieces_kept = backup->items_kept = backup->resumed = 0;
    backup->started_ms = now_ms;
    backup->phase = BACKUP_ASKING;
    backup_say(backup, "%s: beginning again", why);
}

/* ---- time and frames ---- */

static void whole(struct client_backup *backup, uint64_t now_ms) {
    bool bad_manifest = false;
    if (backup_store_end(backup, &bad_manifest)) {
        backup->phase = BACKUP_WHOLE;
        return;
    }
    if (!bad_manifest) return;
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        struct backup_peer *peer = &backup->peers[i];
        if (backup->chosen.members >> peer->node->member & 1 && !peer->bad) backup_peer_bad(backup, peer, "manifest", "not that of its state");
    }
    choose_again(backup, now_ms, "that checkpoint's manifest was made up");
}

void client_backup_tick(struct client_backup *backup, uint64_t now_ms) {
    uint32_t bad = 0;
    for (uint32_t i = 0; i < backup->peer_count; i++) bad += backup->peers[i].bad && backup->peers[i].node->card != NULL;
    if (bad > 0 && bad == backup_members(backup) && backup->phase < BACKUP_WHOLE) backup_fail(backup, "every node sent what does not verify");
    if (backup->phase == BACKUP_ASKING) {
        checkpoints_ask(backup, now_ms);
        backup_manifests_ask(backup, now_ms);
        choose(backup, now_ms);
    }
    if (backup->phase != BACKUP_PIECES && backup->phase != BACKUP_ITEMS) return;
    uint32_t usable = 0, unknown = 0;
    uint64_t since_ms = backup->moved_ms > backup->chosen_ms ? backup->moved_ms : backup->chosen_ms;
    for (uint32_t i = 0; i < backup->peer_count; i++) {
        const struct backup_peer *peer = &backup->peers[i];
        client_node_want(peer->node, now_ms);
        bool here = peer->node->state == NODE_UP || now_ms - since_ms < BACKUP_PATIENCE_MS; /* a link may come back */
        usable += backup_peer_usable(peer) && here;
        unknown += !peer->bad && peer->unknown;
    }
    bool stalls = usable <= backup->f && now_ms - since_ms >= BACKUP_STALL_MS; /* all that are left may be liars, who say nothing */
    if (unknown > 0 && (usable == 0 || stalls)) {
        for (uint32_t i = 0; i < backup->peer_count; i++) backup->peers[i].stalled |= backup_peer_usable(&backup->peers[i]);
        choose_again(backup, now_ms, usable == 0 ? "no node has that checkpoint any more" : "who may still have that checkpoint does not give it");
        return;
    }
    backup_pieces_ask(backup, now_ms);
    if (backup->phase == BACKUP_PIECES && backup->pieces_kept == backup->piece_count) backup->phase = BACKUP_ITEMS;
    if (backup->phase == BACKUP_ITEMS && backup->items_kept == backup->item_count) whole(backup, now_ms);
}

void client_backup_frame(struct node *node, uint16_t type, const uint8_t *payload, size_t payload_bytes, uint64_t now_ms) {
    for (struct client_backup *backup = node->db->backups; backup != NULL; backup = backup->next) {
        if (backup->cluster != node->cluster) continue;
        for (uint32_t i = 0; i < backup->peer_count; i++) {
            struct backup_peer *peer = &backup->peers[i];
            if (peer->node != node || peer->bad) continue;
            if (type == MESSAGE_CHECKPOINT && backup->phase == BACKUP_ASKING) checkpoint_frame(backup, peer, payload, payload_bytes, now_ms);
            if (type != MESSAGE_CHECKPOINT && backup->phase == BACKUP_ASKING)
                backup_manifest_frame(backup, peer, payload, payload_bytes, now_ms);
            if (type != MESSAGE_CHECKPOINT && (backup->phase == BACKUP_PIECES || backup->phase == BACKUP_ITEMS)) {
                backup_piece_frame(backup, peer, payload, payload_bytes, now_ms);
                client_backup_tick(backup, now_ms); /* the next question leaves at once */
            }
        }
    }
}
