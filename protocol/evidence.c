#include "protocol/evidence.h"

#include <string.h>

#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/body.h"
#include "protocol/config_chain.h"
#include "protocol/last_signed.h"
#include "protocol/leaf.h"
#include "protocol/slice.h"

static const uint8_t magic[EVIDENCE_MAGIC_BYTES] = {'H', 'R', 'C', 'E', 'V', 'I', 'D', '1'};

const char *evidence_kind_name(enum evidence_kind kind) {
    static const char *const names[EVIDENCE_KINDS_END] = {"none", "two_prepares", "two_commits", "two_timeouts", "commit_and_timeout",
                                                          "slice", "two_slices", "two_successors", "piece"};
    return (unsigned)kind < EVIDENCE_KINDS_END ? names[kind] : "unknown";
}

const char *evidence_error_name(enum evidence_error error) {
    switch (error) {
    case EVIDENCE_OK: return "ok";
    case EVIDENCE_NOT_ONE: return "not_evidence";
    case EVIDENCE_TRUNCATED: return "truncated";
    case EVIDENCE_BAD_FIELD: return "bad_field";
    case EVIDENCE_NO_CONFLICT: return "no_conflict";
    case EVIDENCE_BAD_DECISION: return "bad_decision";
    case EVIDENCE_BAD_CHECKPOINT: return "bad_checkpoint";
    case EVIDENCE_BAD_SIGNER: return "bad_signer";
    case EVIDENCE_BAD_SIGNATURE: return "bad_signature";
    }
    return "unknown";
}

/* ---- what contradicts (B-81) ---- */

bool evidence_votes_conflict(const struct bft_vote *a, const struct bft_vote *b) {
    const struct bft_ballot *x = &a->ballot, *y = &b->ballot;
    if (a->kind != b->kind || a->signer != b->signer || !bft_place_equal(&x->place, &y->place)) return false;
    if (x->view != y->view || x->height != y->height) return false;
    return !bft_hash_equal(&x->block_id, &y->block_id) || !bft_hash_equal(&x->outbox_root, &y->outbox_root);
}

bool evidence_timeouts_conflict(const struct bft_timeout *a, const struct bft_timeout *b) {
    if (a->signer != b->signer || !bft_place_equal(&a->place, &b->place) || a->view != b->view) return false;
    return a->high.view != b->high.view || !bft_point_equal(&a->high.block, &b->high.block);
}

/*
 * A COMMIT at (v, h) first raises its signer's high to (v, h) at least, for ever in this epoch; a TIMEOUT of view w >= v states the high and ends
 * all voting in views up to w. So whichever was signed first, the other one cannot follow: a COMMIT after it is forbidden, a lower high after the
 * COMMIT was not held.
 */
bool evidence_commit_timeout_conflict(const struct bft_vote *commit, const struct bft_timeout *timeout) {
    const struct bft_ballot *ballot = &commit->ballot;
    if (commit->kind != BFT_COMMIT || commit->signer != timeout->signer || !bft_place_equal(&ballot->place, &timeout->place)) return false;
    return timeout->view >= ballot->view &&
           bft_rank_compare(timeout->high.view, timeout->high.block.height, ballot->view, ballot->height) < 0;
}

bool evidence_decisions_conflict(const struct decision *a, const struct decision *b) {
    const struct leaf *x = &a->leaf, *y = &b->leaf;
    if (x->kind != LEAF_KIND_CLUSTER || y->kind != LEAF_KIND_CLUSTER) return false;
    if (!bft_place_equal(&a->certificate.qc.ballot.place, &b->certificate.qc.ballot.place)) return false;
    return x->source == y->source && x->destination == y->destination && x->dseq == y->dseq && memcmp(a->leaf_bytes, b->leaf_bytes, LEAF_BYTES) != 0;
}

/* ---- decode ---- */

/* One content has one encoding: the item with the lower bytes comes first. */
static bool ascending(const uint8_t *first, size_t item_bytes) {
    return memcmp(first, first + item_bytes, item_bytes) < 0;
}

static bool items_get(struct bytes_cursor *cursor, struct evidence *out) {
    const uint8_t *first = cursor->at;
    switch (out->kind) {
    case EVIDENCE_TWO_PREPARES:
    case EVIDENCE_TWO_COMMITS: {
        enum bft_vote_kind kind = out->kind == EVIDENCE_TWO_PREPARES ? BFT_PREPARE : BFT_COMMIT;
        for (unsigned i = 0; i < 2; i++) last_signed_vote_get(cursor, &out->votes[i], kind, out->signer);
        return !cursor->failed && ascending(first, LAST_SIGNED_ITEM_VOTE_BYTES) && evidence_votes_conflict(&out->votes[0], &out->votes[1]);
    }
    case EVIDENCE_TWO_TIMEOUTS:
        for (unsigned i = 0; i < 2; i++) last_signed_timeout_get(cursor, &out->timeouts[i], out->signer);
        return !cursor->failed && ascending(first, LAST_SIGNED_ITEM_TIMEOUT_BYTES) &&
               evidence_timeouts_conflict(&out->timeouts[0], &out->timeouts[1]);
    default:
        last_signed_vote_get(cursor, &out->votes[0], BFT_COMMIT, out->signer);
        last_signed_timeout_get(cursor, &out->timeouts[0], out->signer);
        return !cursor->failed && evidence_commit_timeout_conflict(&out->votes[0], &out->timeouts[0]);
    }
}

static enum evidence_error slice_get(struct bytes_cursor *cursor, struct evidence *out) {
    struct decision *decision = &out->decisions[0];
    if (decision_decode(cursor->at, cursor->left, decision) != DECISION_OK || decision->leaf.kind != LEAF_KIND_CLUSTER) return EVIDENCE_BAD_DECISION;
    out->place = decision->certificate.qc.ballot.place;
    return slice_well_formed(decision->slice, decision->leaf.slice_bytes) ? EVIDENCE_NO_CONFLICT : EVIDENCE_OK;
}

static enum evidence_error decisions_get(struct bytes_cursor *cursor, struct evidence *out) {
    for (unsigned i = 0; i < 2; i++) {
        if (decision_decode_head(cursor, &out->decisions[i]) != DECISION_OK) return EVIDENCE_BAD_DECISION;
    }
    if (!bytes_finished(cursor)) return EVIDENCE_TRUNCATED;
    const struct decision *a = &out->decisions[0], *b = &out->decisions[1];
    out->place = a->certificate.qc.ballot.place;
    return evidence_decisions_conflict(a, b) && memcmp(a->leaf_bytes, b->leaf_bytes, LEAF_BYTES) < 0 ? EVIDENCE_OK : EVIDENCE_NO_CONFLICT;
}

/* Each `u32 length, statement`, the one with the lower successor hash first. */
static enum evidence_error successors_get(struct bytes_cursor *cursor, struct evidence *out) {
    for (unsigned i = 0; i < 2; i++) {
        uint32_t count = bytes_get_u32(cursor);
        const uint8_t *bytes = bytes_get_raw(cursor, count);
        if (cursor->failed) return EVIDENCE_TRUNCATED;
        if (claim_successor_decode(&out->successors[i], bytes, count, NULL) != SYSTEM_OK) return EVIDENCE_BAD_FIELD;
    }
    if (!bytes_finished(cursor)) return EVIDENCE_TRUNCATED;
    const struct claim_successor *a = &out->successors[0], *b = &out->successors[1];
    memcpy(out->place.system_id, a->predecessor_id, sizeof out->place.system_id);
    struct bytes_cursor chain = bytes_cursor_of(out->chain, out->chain_bytes);
    out->place.cluster = out->chain_bytes > 0 ? bytes_get_u32(&chain) : (uint32_t)CONFIG_CLUSTER_SHARD;
    bool one = memcmp(a->predecessor_id, b->predecessor_id, sizeof a->predecessor_id) == 0;
    return one && memcmp(a->successor_hash, b->successor_hash, sizeof a->successor_hash) < 0 ? EVIDENCE_OK : EVIDENCE_NO_CONFLICT;
}

/* `u32 length, CHECKPOINT; PIECE_QUERY; u32 length, PIECE; signature`. */
static enum evidence_error piece_get(struct bytes_cursor *cursor, struct evidence *out) {
    struct checkpoint_shown shown[CHECKPOINT_SHOWN_MAX];
    struct checkpoint_piece piece;
    struct bytes_cursor entries;
    uint64_t nonce;
    uint16_t number;
    uint32_t shown_bytes = bytes_get_u32(cursor);
    const uint8_t *checkpoint = bytes_get_raw(cursor, shown_bytes), *query = bytes_get_raw(cursor, CHECKPOINT_PIECE_QUERY_BYTES);
    out->piece.byte_count = bytes_get_u32(cursor);
    out->piece.bytes = bytes_get_raw(cursor, out->piece.byte_count);
    out->piece.signature = bytes_get_raw(cursor, CHECKPOINT_PIECE_SIGNATURE_BYTES);
    if (!bytes_finished(cursor)) return EVIDENCE_TRUNCATED;
    if (checkpoint_message_decode(checkpoint, shown_bytes, &nonce, shown, &number) != CHECKPOINT_OK || nonce != 0 || number != 1 || !shown[0].whole)
        return EVIDENCE_BAD_CHECKPOINT;
    uint8_t hash[SHA256_BYTES];
    checkpoint_shown_hash(&shown[0], hash);
    out->piece.shown = shown[0];
    out->place = shown[0].child.place;
    if (checkpoint_piece_query_decode(query, CHECKPOINT_PIECE_QUERY_BYTES, &out->piece.query) != CHECKPOINT_OK) return EVIDENCE_BAD_FIELD;
    if (out->piece.query.kind != CHECKPOINT_ENTRIES || memcmp(out->piece.query.manifest_hash, hash, sizeof hash) != 0) return EVIDENCE_BAD_FIELD;
    if (checkpoint_piece_decode(out->piece.bytes, out->piece.byte_count, &piece) != CHECKPOINT_OK) return EVIDENCE_BAD_FIELD;
    if (piece.code != CHECKPOINT_PIECE_OK || !checkpoint_piece_answers(&piece, &out->piece.query)) return EVIDENCE_BAD_FIELD;
    enum checkpoint_error error = checkpoint_entries_verify(&piece, &out->piece.query, shown[0].manifest.state_root, &entries);
    return error == CHECKPOINT_OK ? EVIDENCE_NO_CONFLICT : EVIDENCE_OK;
}

enum evidence_error evidence_decode(const uint8_t *bytes, size_t count, struct evidence *evidence) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    const uint8_t *start = bytes_get_raw(&cursor, EVIDENCE_MAGIC_BYTES);
    if (!start || memcmp(start, magic, sizeof magic) != 0) return EVIDENCE_NOT_ONE;
    memset(evidence, 0, sizeof *evidence);
    evidence->chain_bytes = bytes_get_u32(&cursor);
    evidence->chain = bytes_get_raw(&cursor, evidence->chain_bytes);
    uint8_t kind = bytes_get_u8(&cursor);
    evidence->signer = bytes_get_u8(&cursor);
    uint16_t zero = bytes_get_u16(&cursor);
    if (cursor.failed) return EVIDENCE_TRUNCATED;
    bool crowd = kind >= EVIDENCE_SLICE && kind != EVIDENCE_PIECE;
    if (kind < EVIDENCE_TWO_PREPARES || kind >= EVIDENCE_KINDS_END || zero != 0) return EVIDENCE_BAD_FIELD;
    if (crowd ? evidence->signer != EVIDENCE_NOBODY : evidence->signer >= BFT_MEMBERS_MAX) return EVIDENCE_BAD_FIELD;
    evidence->kind = (enum evidence_kind)kind;
    if (kind == EVIDENCE_TWO_SUCCESSORS) return successors_get(&cursor, evidence);
    if (kind == EVIDENCE_PIECE) return piece_get(&cursor, evidence);
    if (crowd) return kind == EVIDENCE_SLICE ? slice_get(&cursor, evidence) : decisions_get(&cursor, evidence);
    bool conflict = items_get(&cursor, evidence);
    if (!bytes_finished(&cursor)) return EVIDENCE_TRUNCATED;
    if (!conflict) return EVIDENCE_NO_CONFLICT;
    evidence->place = kind == EVIDENCE_TWO_TIMEOUTS ? evidence->timeouts[0].place : evidence->votes[0].ballot.place;
    return EVIDENCE_OK;
}

/* ---- verify ---- */

static bool timeout_signed(const struct bft_members *members, const struct signer *signer, const struct bft_timeout *timeout) {
    uint8_t preimage[BFT_TIMEOUT_PREIMAGE_BYTES];
    bft_timeout_preimage(&timeout->place, timeout->view, &timeout->high, preimage);
    return signer->verify(signer->context, members->keys[timeout->signer], preimage, sizeof preimage, timeout->signature.bytes);
}

static bool vote_signed(const struct bft_members *members, const struct signer *signer, const struct bft_vote *vote) {
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&vote->ballot, (enum bft_vote_kind)vote->kind, preimage);
    return signer->verify(signer->context, members->keys[vote->signer], preimage, sizeof preimage, vote->signature.bytes);
}

/* The state root is certified by the child (its K is not judged: members certify no other state at another height), the piece is signed. */
static enum evidence_error piece_verify(const struct evidence *evidence, const struct bft_members *members, const struct signer *signer) {
    uint8_t preimage[CHECKPOINT_PIECE_PREIMAGE_BYTES];
    if (checkpoint_shown_verify(members, signer, 1, &evidence->piece.shown) != CHECKPOINT_OK) return EVIDENCE_BAD_CHECKPOINT;
    checkpoint_piece_preimage(members->place.system_id, &evidence->piece.query, evidence->piece.bytes, evidence->piece.byte_count, preimage);
    bool good = signer->verify(signer->context, members->keys[evidence->signer], preimage, sizeof preimage, evidence->piece.signature);
    return good ? EVIDENCE_OK : EVIDENCE_BAD_SIGNATURE;
}

enum evidence_error evidence_verify_successors(const struct evidence *evidence, const struct config *config, uint32_t *both) {
    uint32_t signers[2] = {0};
    *both = 0;
    if (memcmp(evidence->place.system_id, config->system_id, sizeof config->system_id) != 0) return EVIDENCE_BAD_SIGNER;
    for (unsigned i = 0; i < 2; i++) {
        if (!claim_successor_signers(&evidence->successors[i], config, &signers[i])) return EVIDENCE_BAD_SIGNATURE;
        if ((uint32_t)__builtin_popcount(signers[i]) < config->admins_needed) return EVIDENCE_BAD_SIGNER;
    }
    *both = signers[0] & signers[1]; /* k > m/2: there is one */
    return EVIDENCE_OK;
}

enum evidence_error evidence_verify(const struct evidence *evidence, const struct bft_members *members, const struct signer *signer) {
    if (evidence->kind == EVIDENCE_TWO_SUCCESSORS) return EVIDENCE_BAD_SIGNER; /* no members' matter */
    if (!bft_place_equal(&evidence->place, &members->place)) return EVIDENCE_BAD_SIGNER;
    const struct decision *decisions = evidence->decisions;
    if (evidence->kind == EVIDENCE_SLICE)
        return decision_verify(&decisions[0], members, signer, NULL) == DECISION_OK ? EVIDENCE_OK : EVIDENCE_BAD_DECISION;
    if (evidence->kind == EVIDENCE_TWO_SLICES) {
        for (unsigned i = 0; i < 2; i++) {
            if (decision_verify_head(&decisions[i], members, signer, NULL) != DECISION_OK) return EVIDENCE_BAD_DECISION;
        }
        return EVIDENCE_OK;
    }
    if (evidence->signer >= members->n) return EVIDENCE_BAD_SIGNER;
    if (evidence->kind == EVIDENCE_PIECE) return piece_verify(evidence, members, signer);
    const struct bft_vote *votes = evidence->votes;
    const struct bft_timeout *timeouts = evidence->timeouts;
    bool good;
    switch (evidence->kind) {
    case EVIDENCE_TWO_TIMEOUTS: good = timeout_signed(members, signer, &timeouts[0]) && timeout_signed(members, signer, &timeouts[1]); break;
    case EVIDENCE_COMMIT_AND_TIMEOUT: good = vote_signed(members, signer, &votes[0]) && timeout_signed(members, signer, &timeouts[0]); break;
    default: good = vote_signed(members, signer, &votes[0]) && vote_signed(members, signer, &votes[1]); break;
    }
    return good ? EVIDENCE_OK : EVIDENCE_BAD_SIGNATURE;
}

/* ---- encode ---- */

static void head_put(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, enum evidence_kind kind, uint8_t signer) {
    bytes_put_raw(writer, magic, sizeof magic);
    bytes_put_u32(writer, chain_bytes);
    bytes_put_raw(writer, chain, chain_bytes);
    bytes_put_u8(writer, (uint8_t)kind);
    bytes_put_u8(writer, signer);
    bytes_put_u16(writer, 0);
}

void evidence_put_votes(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const struct bft_vote *a, const struct bft_vote *b) {
    CHECK(evidence_votes_conflict(a, b));
    uint8_t items[2][LAST_SIGNED_ITEM_VOTE_BYTES];
    const struct bft_vote *votes[2] = {a, b};
    for (unsigned i = 0; i < 2; i++) {
        struct bytes_writer item = bytes_writer_of(items[i], sizeof items[i]);
        last_signed_vote_put(&item, votes[i]);
    }
    unsigned first = memcmp(items[0], items[1], sizeof items[0]) < 0 ? 0 : 1;
    head_put(writer, chain, chain_bytes, a->kind == BFT_PREPARE ? EVIDENCE_TWO_PREPARES : EVIDENCE_TWO_COMMITS, a->signer);
    bytes_put_raw(writer, items[first], sizeof items[0]);
    bytes_put_raw(writer, items[1 - first], sizeof items[0]);
}

void evidence_put_timeouts(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const struct bft_timeout *a,
                           const struct bft_timeout *b) {
    CHECK(evidence_timeouts_conflict(a, b));
    uint8_t items[2][LAST_SIGNED_ITEM_TIMEOUT_BYTES];
    const struct bft_timeout *timeouts[2] = {a, b};
    for (unsigned i = 0; i < 2; i++) {
        struct bytes_writer item = bytes_writer_of(items[i], sizeof items[i]);
        last_signed_timeout_put(&item, timeouts[i]);
    }
    unsigned first = memcmp(items[0], items[1], sizeof items[0]) < 0 ? 0 : 1;
    head_put(writer, chain, chain_bytes, EVIDENCE_TWO_TIMEOUTS, a->signer);
    bytes_put_raw(writer, items[first], sizeof items[0]);
    bytes_put_raw(writer, items[1 - first], sizeof items[0]);
}

void evidence_put_commit_timeout(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const struct bft_vote *commit,
                                 const struct bft_timeout *timeout) {
    CHECK(evidence_commit_timeout_conflict(commit, timeout));
    head_put(writer, chain, chain_bytes, EVIDENCE_COMMIT_AND_TIMEOUT, commit->signer);
    last_signed_vote_put(writer, commit);
    last_signed_timeout_put(writer, timeout);
}

void evidence_put_successors(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const uint8_t *a, size_t a_bytes,
                             const uint8_t *b, size_t b_bytes) {
    struct claim_successor first, second;
    CHECK(claim_successor_decode(&first, a, a_bytes, NULL) == SYSTEM_OK && claim_successor_decode(&second, b, b_bytes, NULL) == SYSTEM_OK);
    CHECK(memcmp(first.predecessor_id, second.predecessor_id, sizeof first.predecessor_id) == 0);
    int order = memcmp(first.successor_hash, second.successor_hash, sizeof first.successor_hash);
    CHECK(order != 0);
    head_put(writer, chain, chain_bytes, EVIDENCE_TWO_SUCCESSORS, EVIDENCE_NOBODY);
    bytes_put_u32(writer, (uint32_t)(order < 0 ? a_bytes : b_bytes));
    bytes_put_raw(writer, order < 0 ? a : b, order < 0 ? a_bytes : b_bytes);
    bytes_put_u32(writer, (uint32_t)(order < 0 ? b_bytes : a_bytes));
    bytes_put_raw(writer, order < 0 ? b : a, order < 0 ? b_bytes : a_bytes);
}

void evidence_put_slice_head(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes) {
    head_put(writer, chain, chain_bytes, EVIDENCE_SLICE, EVIDENCE_NOBODY);
}

void evidence_put_decisions(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, const struct decision *a,
                            const struct decision *b) {
    CHECK(evidence_decisions_conflict(a, b));
    bool in_order = memcmp(a->leaf_bytes, b->leaf_bytes, LEAF_BYTES) < 0;
    const struct decision *first = in_order ? a : b, *second = in_order ? b : a;
    head_put(writer, chain, chain_bytes, EVIDENCE_TWO_SLICES, EVIDENCE_NOBODY);
    bytes_put_raw(writer, first->head, first->head_bytes);
    bytes_put_raw(writer, second->head, second->head_bytes);
}

void evidence_put_piece_head(struct bytes_writer *writer, const uint8_t *chain, uint32_t chain_bytes, uint8_t signer) {
    head_put(writer, chain, chain_bytes, EVIDENCE_PIECE, signer);
}

void evidence_put_piece_items(struct bytes_writer *writer, const uint8_t *shown, size_t shown_bytes, const struct checkpoint_piece_query *query,
                              const uint8_t *piece, size_t piece_bytes, const uint8_t signature[CHECKPOINT_PIECE_SIGNATURE_BYTES]) {
    uint8_t asked[CHECKPOINT_PIECE_QUERY_BYTES];
    checkpoint_piece_query_encode(query, asked);
    bytes_put_u32(writer, (uint32_t)shown_bytes);
    bytes_put_raw(writer, shown, shown_bytes);
    bytes_put_raw(writer, asked, sizeof asked);
    bytes_put_u32(writer, (uint32_t)piece_bytes);
    bytes_put_raw(writer, piece, piece_bytes);
    bytes_put_raw(writer, signature, CHECKPOINT_PIECE_SIGNATURE_BYTES);
}
