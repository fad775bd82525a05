/*
 * Taking a checkpoint (P-40 to P-48): choosing one, asking several members at once, what is durable.
 *
 * Why a wrong state cannot come of it: entries are proved against the state root of a certified header, piece by piece, and the whole again at the
 * end from the disk; the items are proved by records of that state; counts and the list of items must be what that state gives. A member's manifest
 * only says what to ask for. The node's voting memory is not touched: it started from blocks that were certified, and so is the checkpoint's.
 *
 * Why it ends: a member that gives bad pieces is asked no more; one that gives none (BUSY, silence, UNKNOWN) holds each piece for a bounded time and
 * another is asked; with f+1 honest members that have the checkpoint, each piece comes. When they have it no longer, the newer one is taken at once,
 * and who was silent before is asked last: a checkpoint that is there for less time than a question may take is still taken.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/transfer/transfer_private.h"

static uint64_t late_ms(const struct transfer *t) {
    return (uint64_t)TRANSFER_LATE_FETCHES * t->config.timeouts->fetch_ms;
}

static bool is_fetching(const struct transfer *t) {
    return t->take.phase == TRANSFER_MANIFEST || t->take.phase == TRANSFER_ENTRIES || t->take.phase == TRANSFER_ITEMS;
}

static uint64_t nonce_next(struct transfer *t) {
    t->take.nonce = t->take.nonce * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return t->take.nonce;
}

bool take_member_usable(const struct transfer *t, uint8_t member) {
    const struct transfer_peer *peer = &t->take.peers[member];
    return member != t->config.member && !peer->bad && !peer->unknown;
}

unsigned take_usable_count(const struct transfer *t) {
    unsigned count = 0;
    for (uint8_t i = 0; i < t->config.members->n; i++) count += take_member_usable(t, i);
    return count;
}

bool take_passed_by_all(const struct transfer *t, uint16_t passed) {
    for (uint8_t i = 0; i < t->config.members->n; i++) {
        bool now = take_member_usable(t, i) && t->take.peers[i].wait_until_ms <= t->now_ms;
        if (now && !(passed >> i & 1)) return false;
    }
    return true;
}

static void queries_forget(struct transfer *t) {
    for (uint8_t i = 0; i < TRANSFER_MEMBERS; i++) {
        memset(t->take.peers[i].queries, 0, sizeof t->take.peers[i].queries);
        t->take.peers[i].outstanding = 0;
        t->take.peers[i].unknown = false; /* who was silent or busy is waited for all the same: others are asked first */
    }
}

static void candidates_forget(struct transfer *t) {
    for (uint32_t i = 0; i < t->take.candidate_count; i++) blob_drop(t->take.candidates[i].shown);
    t->take.candidate_count = 0;
}

static void chosen_forget(struct transfer *t) {
    blob_drop(t->take.shown_blob);
    t->take.shown_blob = NULL;
    items_free(t);
}

void take_free(struct transfer *t) {
    candidates_forget(t);
    chosen_forget(t);
    free(t->take.pieces);
    free(t->take.nodes);
    free(t->take.memory);
    checkpoint_records_free(&t->take.records);
}

/* ---- beginning and ending ---- */

static void take_end(struct transfer *t, enum transfer_phase phase) {
    struct transfer_take *take = &t->take;
    take_free(t);
    take->pieces = NULL;
    take->nodes = NULL;
    take->memory = NULL;
    take->piece_count = take->piece_room = take->node_count = take->node_room = take->held = 0;
    queries_forget(t);
    take->looking = false;
    take->phase = phase;
}

void take_start_over(struct transfer *t) {
    take_end(t, TRANSFER_ASKING);
    t->take.asking_since_ms = t->now_ms;
    t->take.asked_ms = 0;
    if (t->config.store.forget(t->config.store.context)) return;
    t->failed = true;
    transfer_output_add(t, TRANSFER_FAILED);
}

/* What is under way for the chosen one ends; what is kept stays, to be compared. False: the disk failed. */
static bool chosen_leave(struct transfer *t) {
    struct transfer_take *take = &t->take;
    if (!take_keep(t)) return false;
    chosen_forget(t);
    queries_forget(t);
    for (uint32_t i = 0; i < take->piece_count; i++) {
        if (take->pieces[i].state == PIECE_ASKED) take->pieces[i].state = PIECE_OPEN;
        take->pieces[i].large = take->pieces[i].passed = 0;
    }
    take->node_count = 0;
    take->phase = TRANSFER_ASKING;
    take->asking_since_ms = t->now_ms;
    return true;
}

void take_choose_again(struct transfer *t) {
    if (!chosen_leave(t)) return;
    candidates_forget(t);
    t->take.asked_ms = 0;
}

/* ---- durable progress ---- */

bool take_keep(struct transfer *t) {
    struct transfer_take *take = &t->take;
    take->durable_ms = t->now_ms;
    if (take->shown_blob == NULL || take->held == 0) return true;
    for (uint32_t i = 0; i < take->piece_count; i++) {
        struct transfer_piece *piece = &take->pieces[i];
        if (piece->state != PIECE_HELD) continue;
        piece->state = PIECE_KEPT;
        piece->stale = false;
    }
    const struct checkpoint_manifest *manifest = &take->shown.manifest;
    struct state_checkpoint about = {.epoch = manifest->epoch, .height = manifest->height};
    memcpy(about.block_id, manifest->block_id, 32);
    memcpy(about.state_root, manifest->state_root, 32);
    size_t room = (size_t)take->piece_count * TRANSFER_PIECE_RECORD_BYTES;
    uint8_t *pieces = malloc(room + 1);
    CHECK(pieces != NULL);
    struct bytes_writer writer = bytes_writer_of(pieces, room);
    pieces_put(t, &writer);
    CHECK(!writer.failed);
    struct state_blob blobs[2] = {{.name = "shown", .bytes = take->shown_blob->bytes, .byte_count = take->shown_blob->count},
                                  {.name = "pieces", .bytes = pieces, .byte_count = room}};
    struct state_batch batch = {.writes = state_buffer_writes(&take->buffer),
                                .write_count = take->buffer.count,
                                .checkpoint = &about,
                                .blobs = blobs,
                                .blob_count = 2};
    bool good = t->config.store.take(t->config.store.context, &batch);
    free(pieces);
    state_buffer_init(&take->buffer, take->memory, TRANSFER_BUFFER_BYTES);
    take->held = 0;
    if (good) return true;
    t->failed = true;
    transfer_output_add(t, TRANSFER_FAILED);
    return false;
}

static uint8_t *blob_read(const struct transfer_cut *cut, const char *name, size_t *count) {
    *count = 0;
    if (cut->blob(cut->context, name, NULL, 0, count) != STORE_TOO_LONG || *count == 0) return NULL;
    uint8_t *bytes = malloc(*count);
    CHECK(bytes != NULL);
    if (cut->blob(cut->context, name, bytes, *count, count) == STORE_OK) return bytes;
    free(bytes);
    return NULL;
}

/* As a candidate has it: a manifest that was fetched whole was shown short. */
static void shown_hash_of(const struct checkpoint_shown *shown, const uint8_t hash[32], uint8_t out[32]) {
    uint8_t brief[CHECKPOINT_SHORT_BYTES];
    bool was_short = shown->whole && shown->manifest.item_count > CHECKPOINT_ITEMS_SHOWN_MAX;
    memcpy(brief, shown->manifest_bytes, CHECKPOINT_MANIFEST_HEAD_BYTES);
    memcpy(brief + CHECKPOINT_MANIFEST_HEAD_BYTES, hash, 32);
    if (was_short) checkpoint_manifest_hash(brief, sizeof brief, out);
    else checkpoint_manifest_hash(shown->manifest_bytes, shown->manifest_count, out);
}

bool take_shown(struct transfer *t, struct blob *blob) {
    struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce;
    uint16_t count;
    if (checkpoint_message_decode(blob->bytes, blob->count, &nonce, shown, &count) != CHECKPOINT_OK || count != 1) return false;
    bool known;
    if (epoch_shown_verify(t, &shown[0], &known) != CHECKPOINT_OK || !known) return false;
    (void)blob_hold(blob);
    blob_drop(t->take.shown_blob);
    t->take.shown_blob = blob;
    t->take.shown = shown[0];
    checkpoint_shown_hash(&shown[0], t->take.hash);
    shown_hash_of(&shown[0], t->take.hash, t->take.shown_hash);
    return true;
}

/* What an earlier run made durable: the pieces, of whichever checkpoint. Entries of pieces that were not done may lie there as well. */
static void take_resume(struct transfer *t) {
    struct transfer_take *take = &t->take;
    struct transfer_cut cut;
    take->resumed = true;
    if (!t->config.store.taken(t->config.store.context, &cut)) return;
    size_t shown_bytes, piece_bytes;
    uint8_t *shown = blob_read(&cut, "shown", &shown_bytes), *pieces = blob_read(&cut, "pieces", &piece_bytes);
    struct bytes_cursor cursor = bytes_cursor_of(pieces, pieces != NULL ? piece_bytes : 0);
    struct blob *blob = shown != NULL ? blob_copy(shown, shown_bytes) : NULL;
    bool good = blob != NULL && pieces != NULL && pieces_get(t, &cursor) && take_shown(t, blob) && take->shown.whole;
    blob_drop(blob);
    free(shown);
    free(pieces);
    cut.close(cut.context);
    if (!good) {
        take_start_over(t);
        return;
    }
    take->memory = malloc(TRANSFER_BUFFER_BYTES);
    CHECK(take->memory != NULL);
    state_buffer_init(&take->buffer, take->memory, TRANSFER_BUFFER_BYTES);
    take->showed = 0;
    take->progress_ms = t->now_ms;
    take->phase = TRANSFER_ENTRIES;
    struct transfer_status status;
    transfer_status(t, &status);
    (void)pieces_begin(t); /* what was kept may be of the checkpoint before: compared again */
    transfer_note(t, "transfer_resumed", "height=%llu pieces=%llu of=%llu", (unsigned long long)take->shown.manifest.height,
                  (unsigned long long)status.pieces_done, (unsigned long long)status.pieces);
}

/* ---- choosing ---- */

static void candidates_ask(struct transfer *t) {
    struct transfer_take *take = &t->take;
    if (take->asked_ms != 0 && t->now_ms - take->asked_ms < TRANSFER_ASK_MS) return;
    take->asked_ms = t->now_ms;
    take->query_nonce = nonce_next(t);
    struct checkpoint_query query = {.nonce = take->query_nonce, .height = take->height + 1};
    for (uint8_t i = 0; i < t->config.members->n; i++) {
        take->peers[i].answered = false;
        if (i == t->config.member || take->peers[i].bad) continue;
        struct blob *blob = blob_make(CHECKPOINT_QUERY_BYTES);
        checkpoint_query_encode(&query, blob->bytes);
        transfer_send(t, i, TRANSFER_CHECKPOINT_QUERY, blob);
    }
}

bool take_manifest_bounded(const struct transfer *t, const struct checkpoint_manifest *manifest) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < manifest->item_count; i++) {
        struct checkpoint_item item = checkpoint_manifest_item(manifest, i);
        if (item.bytes > TRANSFER_ITEMS_BYTES_MAX) return false;
        if (item.kind == CHECKPOINT_SLICE && item.bytes > t->config.limits->slice_bytes_max) return false;
        bytes += item.bytes + (item.kind == CHECKPOINT_SLICE ? TRANSFER_HEAD_BYTES_MAX : 0);
        if (bytes > TRANSFER_ITEMS_BYTES_MAX) return false;
    }
    return true;
}

/* What a member showed before and shows no longer is not its any more. A certificate proves no manifest, and a liar makes up any number of them
 * around one: so each member has room for those of one answer, and takes none of anybody else's. */
static void candidates_withdraw(struct transfer *t, uint8_t from, const struct checkpoint_shown *shown, uint16_t number) {
    struct transfer_take *take = &t->take;
    uint8_t hashes[CHECKPOINT_SHOWN_MAX][32];
    uint32_t kept = 0;
    for (uint16_t i = 0; i < number; i++) checkpoint_manifest_hash(shown[i].manifest_bytes, shown[i].manifest_count, hashes[i]);
    for (uint32_t i = 0; i < take->candidate_count; i++) {
        struct transfer_candidate *candidate = &take->candidates[i];
        bool still = false;
        for (uint16_t k = 0; k < number; k++) still |= memcmp(candidate->hash, hashes[k], 32) == 0;
        if (!still) candidate->members &= (uint16_t)~(1u << from);
        if (candidate->members != 0) take->candidates[kept++] = *candidate;
        else blob_drop(candidate->shown);
    }
    take->candidate_count = kept;
}

static void candidate_add(struct transfer *t, uint8_t from, const struct checkpoint_shown *shown) {
    struct transfer_take *take = &t->take;
    uint8_t hash[32];
    checkpoint_manifest_hash(shown->manifest_bytes, shown->manifest_count, hash);
    for (uint32_t i = 0; i < take->candidate_count; i++) {
        if (memcmp(take->candidates[i].hash, hash, 32) != 0) continue;
        take->candidates[i].members |= (uint16_t)(1u << from);
        return;
    }
    if (take->candidate_count == TRANSFER_CANDIDATES_MAX || shown->manifest.height <= take->height) return;
    if (shown->certificate.header_count == BFT_CERTIFICATE_HEADERS_MAX) return; /* no room for the block's own header before the child's */
    bool known;
    enum checkpoint_error error = epoch_shown_verify(t, shown, &known);
    if (!known) return; /* its sender may have come further than the chain that I have: the replica asks for more of it */
    if (error != CHECKPOINT_OK || (shown->whole && !take_manifest_bounded(t, &shown->manifest))) {
        transfer_bad(t, from, "checkpoint", error != CHECKPOINT_OK ? checkpoint_error_name(error) : "beyond_limits");
        return;
    }
    size_t room = 16 + 4 + shown->manifest_count + CHECKPOINT_PROOF_BYTES_MAX;
    struct blob *blob = blob_make(room);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, room);
    checkpoint_message_head_put(&writer, 0, 1);
    checkpoint_shown_put(&writer, shown);
    CHECK(!writer.failed);
    blob->count = writer.used;
    struct transfer_candidate *candidate = &take->candidates[take->candidate_count++];
    *candidate = (struct transfer_candidate){.height = shown->manifest.height, .shown = blob, .members = (uint16_t)(1u << from)};
    memcpy(candidate->hash, hash, 32);
}

void take_checkpoint_frame(struct transfer *t, uint8_t from, const uint8_t *bytes, size_t count) {
    struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    uint64_t nonce;
    uint16_t number;
    bool asked = t->take.phase == TRANSFER_ASKING || (is_fetching(t) && t->take.looking);
    if (!asked || t->take.peers[from].bad) return;
    enum checkpoint_error error = checkpoint_message_decode(bytes, count, &nonce, shown, &number);
    if (error != CHECKPOINT_OK) {
        transfer_bad(t, from, "checkpoint", checkpoint_error_name(error));
        return;
    }
    if (nonce != t->take.query_nonce) return; /* an answer to an earlier question comes late */
    if (t->take.peers[from].answered) return;
    t->take.peers[from].answered = true;
    candidates_withdraw(t, from, shown, number);
    for (uint16_t i = 0; i < number && !t->take.peers[from].bad; i++) candidate_add(t, from, &shown[i]);
}

void take_manifest_bad(struct transfer *t, const char *why) {
    for (uint8_t i = 0; i < TRANSFER_MEMBERS; i++) {
        if (t->take.showed >> i & 1 && !t->take.peers[i].bad) transfer_bad(t, i, "manifest", why);
    }
    transfer_note(t, "transfer_manifest", "height=%llu cause=%s", (unsigned long long)t->take.shown.manifest.height, why);
    take_choose_again(t);
}

/* One of f+1 members is honest: what they show alike is as it should be. When so many do not come, one is tried alone: what it shows is checked at
 * the end all the same. If it does not come, what others show is tried before whatever the same members show. */
static const struct transfer_candidate *candidate_best(const struct transfer *t) {
    const struct transfer_take *take = &t->take;
    const struct transfer_candidate *best = NULL;
    bool best_fresh = false;
    bool patient = t->now_ms - take->asking_since_ms < TRANSFER_PATIENCE_MS;
    for (uint32_t i = 0; i < take->candidate_count; i++) {
        const struct transfer_candidate *candidate = &take->candidates[i];
        unsigned members = 0;
        bool fresh = false;
        for (uint8_t k = 0; k < TRANSFER_MEMBERS; k++) {
            if (!(candidate->members >> k & 1) || take->peers[k].bad) continue;
            members++;
            fresh |= !take->peers[k].stalled;
        }
        if (members == 0 || candidate->height <= take->height || (patient && members <= t->config.members->f)) continue;
        fresh |= members > t->config.members->f;
        if (best != NULL && (fresh != best_fresh ? best_fresh : candidate->height <= best->height)) continue;
        best = candidate;
        best_fresh = fresh;
    }
    return best;
}

static void candidate_choose(struct transfer *t) {
    struct transfer_take *take = &t->take;
    const struct transfer_candidate *best = candidate_best(t);
    if (best == NULL) return;
    chosen_forget(t);
    if (!take_shown(t, best->shown)) return;
    take->showed = best->members;
    candidates_forget(t);
    queries_forget(t);
    take->looking = false;
    if (take->memory == NULL) {
        take->memory = malloc(TRANSFER_BUFFER_BYTES);
        CHECK(take->memory != NULL);
        state_buffer_init(&take->buffer, take->memory, TRANSFER_BUFFER_BYTES);
    }
    take->progress_ms = t->now_ms;
    if (take->shown.whole) take_entries_begin(t);
    else manifest_begin(t);
}

void take_entries_begin(struct transfer *t) {
    struct transfer_take *take = &t->take;
    take->phase = TRANSFER_ENTRIES;
    transfer_note(t, "transfer_begins", "height=%llu entries=%llu items=%u", (unsigned long long)take->shown.manifest.height,
                  (unsigned long long)take->shown.manifest.entries, take->shown.manifest.item_count);
    if (!pieces_begin(t)) take_start_over(t);
}

/* ---- when the members move on ---- */

/* Somebody has the chosen one no longer, or nothing comes: what do they have now? */
static void look(struct transfer *t) {
    struct transfer_take *take = &t->take;
    bool unknown = false;
    for (uint8_t i = 0; i < t->config.members->n; i++) unknown |= take->peers[i].unknown;
    if (!unknown && t->now_ms - take->progress_ms < late_ms(t)) return;
    take->looking = true;
    candidates_ask(t);
}

/* f+1 members, one of whom is honest, show a newer one alike and this one no more. It is gone with the others as well, or soon will be: whoever is
 * silent, or says BUSY for ever, keeps nobody waiting for it. It is no reason while f alone say so: what they show would cost what is under way. */
static bool moved_on(const struct transfer *t) {
    const struct transfer_take *take = &t->take;
    uint16_t have = 0;
    for (uint32_t i = 0; i < take->candidate_count; i++) {
        if (memcmp(take->candidates[i].hash, take->shown_hash, 32) == 0) have = take->candidates[i].members;
    }
    for (uint32_t i = 0; i < take->candidate_count; i++) {
        const struct transfer_candidate *candidate = &take->candidates[i];
        unsigned members = 0;
        for (uint8_t k = 0; k < TRANSFER_MEMBERS; k++) members += ((candidate->members & ~have) >> k & 1) && !take->peers[k].bad;
        if (candidate->height > take->shown.manifest.height && members > t->config.members->f) return true;
    }
    return false;
}

/* ---- asking and being answered ---- */

struct transfer_query *take_query_free(struct transfer *t, uint8_t member) {
    struct transfer_peer *peer = &t->take.peers[member];
    if (!take_member_usable(t, member) || peer->outstanding == TRANSFER_OUTSTANDING_MAX || peer->wait_until_ms > t->now_ms) return NULL;
    for (unsigned i = 0; i < TRANSFER_OUTSTANDING_MAX; i++) {
        if (!peer->queries[i].used) return &peer->queries[i];
    }
    return NULL;
}

void take_query_send(struct transfer *t, uint8_t member, struct transfer_query *query, uint32_t index) {
    query->used = true;
    query->index = index;
    query->until_ms = t->now_ms + late_ms(t);
    query->sent.nonce = nonce_next(t);
    memcpy(query->sent.manifest_hash, t->take.hash, 32);
    t->take.peers[member].outstanding++;
    struct blob *blob = blob_make(CHECKPOINT_PIECE_QUERY_BYTES);
    checkpoint_piece_query_encode(&query->sent, blob->bytes);
    transfer_send(t, member, TRANSFER_PIECE_QUERY, blob);
}

static bool about_entries(const struct transfer_query *query) {
    return query->sent.kind == CHECKPOINT_ENTRIES || query->sent.kind == CHECKPOINT_SUBROOTS_OF;
}

/* What was asked of it is to be asked again, of whoever is next. */
static void query_end(struct transfer *t, uint8_t member, struct transfer_query *query) {
    if (about_entries(query)) pieces_unask(t, query, member);
    else items_unask(t, query, member);
    query->used = false;
    t->take.peers[member].outstanding--;
}

static void peer_drop(struct transfer *t, uint8_t member) {
    for (unsigned i = 0; i < TRANSFER_OUTSTANDING_MAX; i++) {
        struct transfer_query *query = &t->take.peers[member].queries[i];
        if (query->used) query_end(t, member, query);
    }
}

static void piece_ok(struct transfer *t, uint8_t from, struct transfer_query *query, const struct checkpoint_piece *piece) {
    struct transfer_query asked = *query;
    query->used = false;
    t->take.peers[from].outstanding--;
    if (about_entries(&asked)) pieces_answer(t, from, &asked, piece);
    else items_answer(t, from, &asked, piece);
}

/* P-45. Takes the signature off. */
static bool piece_is_signed(const struct transfer *t, uint8_t from, const struct transfer_query *query, const uint8_t *bytes, size_t count,
                            struct checkpoint_piece *piece) {
    uint8_t preimage[CHECKPOINT_PIECE_PREIMAGE_BYTES];
    if (piece->content_bytes < CHECKPOINT_PIECE_SIGNATURE_BYTES) return false;
    piece->content_bytes -= CHECKPOINT_PIECE_SIGNATURE_BYTES;
    count -= CHECKPOINT_PIECE_SIGNATURE_BYTES;
    checkpoint_piece_preimage(t->config.system->system_id, &query->sent, bytes, count, preimage);
    const struct signer *signer = &t->config.signer;
    return signer->verify(signer->context, t->config.members->keys[from], preimage, sizeof preimage, bytes + count);
}

void take_piece_frame(struct transfer *t, uint8_t from, const uint8_t *bytes, size_t count) {
    struct transfer_peer *peer = &t->take.peers[from];
    struct transfer_query *query = NULL;
    struct checkpoint_piece piece;
    if (!is_fetching(t) || peer->bad) return;
    enum checkpoint_error error = checkpoint_piece_decode(bytes, count, &piece);
    for (unsigned i = 0; error == CHECKPOINT_OK && i < TRANSFER_OUTSTANDING_MAX; i++) {
        if (peer->queries[i].used && peer->queries[i].sent.nonce == piece.nonce) query = &peer->queries[i];
    }
    if (error == CHECKPOINT_OK && query == NULL) return; /* late: asked of another meanwhile */
    if (error == CHECKPOINT_OK) error = checkpoint_piece_judge(&piece, &query->sent);
    bool entries = error == CHECKPOINT_OK && piece.code == CHECKPOINT_PIECE_OK && query->sent.kind == CHECKPOINT_ENTRIES;
    if (error != CHECKPOINT_OK) {
        transfer_bad(t, from, "piece", checkpoint_error_name(error));
    } else if (entries && !piece_is_signed(t, from, query, bytes, count, &piece)) {
        transfer_bad(t, from, "piece", "unsigned");
    } else if (piece.code == CHECKPOINT_PIECE_OK) {
        piece_ok(t, from, query, &piece);
    } else if (piece.code == CHECKPOINT_PIECE_TOO_LARGE) {
        struct transfer_query asked = *query;
        query_end(t, from, query);
        pieces_too_large(t, from, &asked);
    } else if (piece.code == CHECKPOINT_PIECE_BUSY) {
        query_end(t, from, query);
        uint64_t wait = piece.hint > TRANSFER_BUSY_MS_MAX ? TRANSFER_BUSY_MS_MAX : piece.hint < 5 ? 5 : piece.hint;
        peer->wait_until_ms = t->now_ms + wait;
    } else {
        peer->unknown = true;
    }
    if (peer->bad || peer->unknown) peer_drop(t, from);
}

static void queries_late(struct transfer *t) {
    for (uint8_t member = 0; member < TRANSFER_MEMBERS; member++) {
        struct transfer_peer *peer = &t->take.peers[member];
        for (unsigned i = 0; i < TRANSFER_OUTSTANDING_MAX; i++) {
            if (!peer->queries[i].used || peer->queries[i].until_ms > t->now_ms) continue;
            query_end(t, member, &peer->queries[i]);
            peer->wait_until_ms = t->now_ms + late_ms(t);
        }
    }
}

/* First those who say that they have it: of the others nobody knows whether they are there at all. */
static bool ask_round(struct transfer *t, bool showed) {
    bool asked = false;
    for (uint8_t member = 0; member < t->config.members->n; member++) {
        struct transfer_query *query = (t->take.showed >> member & 1) == showed ? take_query_free(t, member) : NULL;
        if (query == NULL) continue;
        asked |= t->take.phase == TRANSFER_ENTRIES ? pieces_ask(t, member, query) : items_ask(t, member, query);
    }
    return asked;
}

static void ask_all(struct transfer *t) {
    bool asked = true;
    while (asked && !t->failed) { /* round by round, so that work is spread over all */
        asked = ask_round(t, true);
        asked |= ask_round(t, false);
    }
}

static bool is_lacking(const struct transfer *t) {
    return t->take.lacking_ms != 0 && t->now_ms - t->take.lacking_ms < 5000 && t->take.lacking_height >= t->take.height;
}

/* Nobody that may be asked has it any more, or they only say that they have: another one then. Those who were named stay out, unless nobody else is
 * left at all: a node that can never come back is worse than one that asks a liar again. */
static void nobody_has_it(struct transfer *t) {
    unsigned good = 0;
    bool by_few = (unsigned)__builtin_popcount(t->take.showed) <= t->config.members->f; /* f may have made it up */
    for (uint8_t i = 0; i < TRANSFER_MEMBERS; i++) t->take.peers[i].stalled |= by_few && (t->take.showed >> i & 1);
    for (uint8_t i = 0; i < t->config.members->n; i++) good += i != t->config.member && !t->take.peers[i].bad;
    for (uint8_t i = 0; good == 0 && i < TRANSFER_MEMBERS; i++) t->take.peers[i].bad = false;
    take_choose_again(t);
}

void take_tick(struct transfer *t) {
    struct transfer_take *take = &t->take;
    if (take->phase == TRANSFER_ENDED) return;
    if (take->phase == TRANSFER_IDLE) {
        if (!is_lacking(t)) return;
        take->phase = TRANSFER_ASKING;
        take->asking_since_ms = t->now_ms;
        take->asked_ms = 0;
        for (uint8_t i = 0; i < TRANSFER_MEMBERS; i++) take->peers[i].bad = take->peers[i].stalled = false;
        if (!take->resumed) take_resume(t);
    }
    bool overtaken = take->shown_blob != NULL ? take->shown.manifest.height <= take->height : !is_lacking(t);
    if (overtaken) { /* the blocks came after all */
        transfer_note(t, "transfer_not_needed", "height=%llu", (unsigned long long)take->height);
        take_start_over(t);
        take->phase = TRANSFER_IDLE;
        take->lacking_ms = 0;
        return;
    }
    if (take->phase == TRANSFER_ASKING) {
        candidates_ask(t);
        candidate_choose(t);
    }
    if (!is_fetching(t)) return;
    queries_late(t);
    if (take_usable_count(t) == 0 || t->now_ms - take->progress_ms > TRANSFER_STALL_MS) {
        nobody_has_it(t);
        return;
    }
    look(t);
    if (moved_on(t)) {
        if (chosen_leave(t)) candidate_choose(t);
        return;
    }
    if (take->held > 0 && t->now_ms - take->durable_ms >= TRANSFER_DURABLE_MS && !take_keep(t)) return;
    if (take->phase == TRANSFER_MANIFEST) manifest_tick(t);
    if (take->phase == TRANSFER_ENTRIES && pieces_done(t) && take_keep(t)) items_begin(t);
    if (take->phase == TRANSFER_ITEMS) items_tick(t);
    if (is_fetching(t)) ask_all(t);
}
