/* LAST-SIGNED (P-10 to P-16): before the first signature of a start or epoch, the members are asked what they hold of mine; and what I hold of
 * theirs. */
#include <stdlib.h>
#include <string.h>

#include "appliance/base/pool.h"
#include "appliance/replica/replica_batch.h"
#include "appliance/replica/replica_private.h"
#include "protocol/evidence.h"
#include "merkle/sha256.h"
#include "protocol/last_signed.h"

/* The newest items of one member. */
struct newest {
    bool has_prepare, has_commit, has_timeout;
    bool dirty_prepare, dirty_commit, dirty_timeout; /* not yet given to the store */
    struct bft_vote prepare, commit;
    struct bft_timeout timeout;
};

struct last_signed {
    bool asking, answered;
    uint8_t start_nonce[LAST_SIGNED_NONCE_BYTES];
    struct last_signed_query query;
    uint32_t answer_mask;
    uint64_t asked_ms, began_ms;
    struct newest newest[PLACES];
};

bool last_init(struct replica *r, const uint8_t nonce[16]) {
    r->last = calloc(1, sizeof *r->last);
    if (r->last == NULL) return false;
    memcpy(r->last->start_nonce, nonce, sizeof r->last->start_nonce);
    return true;
}

void last_free(struct replica *r) {
    free(r->last);
}

bool last_is_answered(const struct replica *r) {
    return r->last->answered;
}

/* ---- asking ---- */

static void query_send(struct replica *r) {
    struct last_signed *last = r->last;
    last->asked_ms = r->now_ms;
    for (uint32_t member = 0; member < r->members.n; member++) {
        if ((last->answer_mask >> member & 1) != 0 || !r->member_up[member]) continue;
        struct blob *question = blob_make(LAST_SIGNED_QUERY_BYTES);
        last_signed_query_encode(&last->query, question->bytes);
        output_send_blob(r, peer_member(member), MESSAGE_LAST_SIGNED_QUERY, question);
    }
}

void last_begin(struct replica *r) {
    struct last_signed *last = r->last;
    uint8_t seed[LAST_SIGNED_NONCE_BYTES + 8], nonce[32];
    memcpy(seed, last->start_nonce, LAST_SIGNED_NONCE_BYTES);
    bytes_put_le64(seed + LAST_SIGNED_NONCE_BYTES, r->members.place.epoch);
    sha256_hash(seed, sizeof seed, nonce); /* fresh for each start and epoch; no format of the protocol */
    memset(&last->query, 0, sizeof last->query);
    memcpy(last->query.system_id, r->members.place.system_id, BFT_SYSTEM_BYTES);
    last->query.cluster = r->cluster;
    last->query.epoch = r->members.place.epoch;
    last->query.asker = r->me;
    memcpy(last->query.nonce, nonce, sizeof last->query.nonce);
    last->asking = r->me != NOBODY;
    last->answered = false;
    last->answer_mask = 0;
    last->began_ms = r->now_ms;
    if (last->asking) query_send(r);
}

/* Where an item lies from now on that lay at this place: where its key is now, which its own epoch tells; -1: nowhere, the key is gone. One of this
 * epoch or a later one lies right: the store knew it, and blocks are being executed again. */
static int item_place(const struct replica *r, const struct bft_place *of, uint8_t signer, uint32_t at) {
    if (of->epoch >= r->members.place.epoch) return (int)at;
    const struct bft_members *members = epoch_members(r, of->epoch);
    return members != NULL && signer < members->n ? config_member_by_signing_key(&r->config.members, members->keys[signer]) : -1;
}

static void vote_move(struct replica *r, const struct bft_vote *vote, uint32_t at, bool prepare) {
    int place = item_place(r, &vote->ballot.place, vote->signer, at);
    if (place < 0) return;
    struct newest *newest = &r->last->newest[place];
    bool *has = prepare ? &newest->has_prepare : &newest->has_commit;
    struct bft_vote *held = prepare ? &newest->prepare : &newest->commit;
    if (*has && !last_signed_vote_newer(vote, held)) return;
    *held = *vote;
    *has = true;
}

static void timeout_move(struct replica *r, const struct bft_timeout *timeout, uint32_t at) {
    int place = item_place(r, &timeout->place, timeout->signer, at);
    if (place < 0) return;
    struct newest *newest = &r->last->newest[place];
    if (newest->has_timeout && !last_signed_timeout_newer(timeout, &newest->timeout)) return;
    newest->timeout = *timeout;
    newest->has_timeout = true;
}

/* Its record at this place follows what is held there now. */
static void item_follow(struct replica *r, uint32_t place, uint8_t kind, bool had, bool has, bool same, bool *dirty) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    size_t bytes = wal_key_vote(key, kind, (uint8_t)place, 0, 0);
    if (had && !has) persist_delete(r, WAL_VOTES, key, bytes);
    *dirty = has && (*dirty || !had || !same);
}

void last_move(struct replica *r) {
    struct newest *before = malloc(sizeof r->last->newest);
    CHECK(before != NULL);
    memcpy(before, r->last->newest, sizeof r->last->newest);
    memset(r->last->newest, 0, sizeof r->last->newest);
    for (uint32_t at = 0; at < BFT_MEMBERS_MAX; at++) {
        if (before[at].has_prepare) vote_move(r, &before[at].prepare, at, true);
        if (before[at].has_commit) vote_move(r, &before[at].commit, at, false);
        if (before[at].has_timeout) timeout_move(r, &before[at].timeout, at);
    }
    for (uint32_t at = 0; at < BFT_MEMBERS_MAX; at++) {
        struct newest *old = &before[at], *new = &r->last->newest[at];
        new->dirty_prepare = old->dirty_prepare;
        new->dirty_commit = old->dirty_commit;
        new->dirty_timeout = old->dirty_timeout;
        item_follow(r, at, WAL_VOTE_PEER_PREPARE, old->has_prepare, new->has_prepare, memcmp(&old->prepare, &new->prepare, sizeof old->prepare) == 0,
                    &new->dirty_prepare);
        item_follow(r, at, WAL_VOTE_PEER_COMMIT, old->has_commit, new->has_commit, memcmp(&old->commit, &new->commit, sizeof old->commit) == 0,
                    &new->dirty_commit);
        item_follow(r, at, WAL_VOTE_PEER_TIMEOUT, old->has_timeout, new->has_timeout, memcmp(&old->timeout, &new->timeout, sizeof old->timeout) == 0,
                    &new->dirty_timeout);
    }
    free(before);
}

/* The key at the other end of a member's link, by the epoch that the links are of. */
static const uint8_t *link_key(const struct replica *r, uint8_t member) {
    const struct bft_members *members = &r->epochs[r->link_epoch].members;
    return member < members->n ? members->keys[member] : NULL;
}

static bool link_is(const struct replica *r, uint8_t member, const struct bft_members *members, uint8_t index) {
    const uint8_t *key = link_key(r, member);
    return key != NULL && index < members->n && memcmp(key, members->keys[index], SIGNER_PUBLIC_KEY_BYTES) == 0;
}

void last_tick(struct replica *r) {
    if (!r->last->asking || r->now_ms - r->last->asked_ms < 50) return;
    /* Soon again while links come up, then at the system's pace. */
    bool early = r->now_ms - r->last->began_ms < 2000;
    if (early || r->now_ms - r->last->asked_ms >= r->config.timeouts.last_signed_ms) query_send(r);
}

void last_retire(struct replica *r, enum replica_retired why) {
    uint8_t key[WAL_KEY_BYTES_MAX], word = (uint8_t)why;
    size_t bytes = wal_key_vote(key, WAL_VOTE_RETIRED, 0, 0, 0);
    persist_put_blob(r, WAL_VOTES, key, bytes, blob_copy(&word, 1));
    r->last->asking = false;
    r->retired = why;
    struct bft_event event = {.type = BFT_EVENT_RETIRE};
    replica_event(r, &event);
}

const char *replica_retired_name(enum replica_retired retired) {
    static const char *const names[] = {[REPLICA_RETIRED] = "unknown",
                                        [REPLICA_ROLLED_BACK] = "rolled_back",
                                        [REPLICA_SUCCEEDED] = "succeeded",
                                        [REPLICA_NEWER_SIGNATURE] = "newer_signature",
                                        [REPLICA_OTHER_SIGNATURE] = "other_signature",
                                        [REPLICA_MEMORY_DAMAGED] = "memory_damaged",
                                        [REPLICA_GIVEN_UP] = "given_up",
                                        [REPLICA_FROM_BACKUP] = "from_backup"};
    return (unsigned)retired < sizeof names / sizeof *names ? names[retired] : NULL;
}

static void retire(struct replica *r, uint32_t by, enum replica_retired cause, const char *why) {
    last_retire(r, cause);
    replica_note(r, LOG_LEVEL_ERROR, "key_retired",
                 "member=%u cause=\"%s\" do=\"this node's data are damaged, were rolled back, or its key is used twice: it signs no more; "
                 "make a new key, have the administrators replace the member\"",
                 by, why);
}

/* Its disk has lost what this key signed, so nobody may rely on it any more; what this process remembers goes there once more, beside the word that
 * the key is retired, so that the node can start and follow. */
void last_memory_damaged(struct replica *r) {
    r->memory_dirty = true;
    if (!r->retired) retire(r, r->me, REPLICA_MEMORY_DAMAGED, "the voting memory on the disk is damaged");
}

bool last_again(struct replica *r, uint8_t kind, uint8_t member) {
    struct newest *newest = member < PLACES ? &r->last->newest[member] : NULL;
    if (newest == NULL) return false;
    if (kind == WAL_VOTE_PEER_PREPARE) return newest->dirty_prepare = newest->has_prepare;
    if (kind == WAL_VOTE_PEER_COMMIT) return newest->dirty_commit = newest->has_commit;
    return kind == WAL_VOTE_PEER_TIMEOUT && (newest->dirty_timeout = newest->has_timeout);
}

void last_answer_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    struct last_signed *last = r->last;
    struct last_signed_answer *answer = malloc(sizeof *answer);
    CHECK(answer != NULL);
    if (!last->asking) goto out;
    enum last_signed_error error = last_signed_answer_decode(blob_piece_bytes(&payload), payload.count, answer);
    if (error == LAST_SIGNED_OK) error = last_signed_answer_verify(&r->members, &r->signer, &last->query, answer);
    if (error != LAST_SIGNED_OK || !link_is(r, from.member, &r->members, answer->signer)) {
        drop_count(r, DROP_LAST_SIGNED);
        if (error == LAST_SIGNED_BAD_ITEM || error == LAST_SIGNED_BAD_SIGNATURE) attack_seen(r, ATTACK_BAD_ANSWER, from);
        goto out;
    }
    /* In a later epoch the memory begins anew, and what was signed before means nothing (P-14). */
    const struct bft_memory *memory = &r->core->memory;
    bool nothing = r->members.place.epoch == 0 && !memory->has_prepared && !memory->has_committed && !memory->timed_out && memory->view == 0;
    enum last_signed_verdict verdict = last_signed_judge(nothing ? NULL : memory, answer);
    if (verdict != LAST_SIGNED_KNOWN) {
        if (verdict == LAST_SIGNED_NEWER)
            retire(r, from.member, REPLICA_NEWER_SIGNATURE, "a newer signature of this key than the store has");
        else
            retire(r, from.member, REPLICA_OTHER_SIGNATURE, "another signature of this key than the store has");
        goto out;
    }
    last->answer_mask |= 1u << answer->signer;
    if ((uint32_t)__builtin_popcount(last->answer_mask) + 1 >= r->members.q) {
        last->asking = false;
        last->answered = true;
        if (r->young_until_ms == 0) r->young_until_ms = r->checkpoint_height > r->genesis_height ? r->now_ms + YOUNG_MS : 1;
        replica_note(r, LOG_LEVEL_INFO, "voting", "epoch=%llu height=%llu", (unsigned long long)r->members.place.epoch,
                     (unsigned long long)r->tip_height);
        struct bft_event event = {.type = BFT_EVENT_VOTING, .epoch = r->members.place.epoch};
        replica_event(r, &event);
    }
out:
    free(answer);
}

/* ---- answering ---- */

void last_query_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    struct last_signed_query query;
    if (last_signed_query_decode(blob_piece_bytes(&payload), payload.count, &query) != LAST_SIGNED_OK ||
        query.cluster != r->cluster || memcmp(query.system_id, r->members.place.system_id, BFT_SYSTEM_BYTES) != 0) {
        drop_count(r, DROP_LAST_SIGNED);
        return;
    }
    if (!question_allowed(r, &r->member_rates[from.member])) return;
    /* P-11: an epoch in which I am a member, and it is, by the key that its link proved. */
    const struct bft_members *members = epoch_members(r, query.epoch);
    int signer = members != NULL ? config_member_by_signing_key(&r->epochs[query.epoch].config->members, r->signing_key) : -1;
    bool its = signer >= 0 && link_is(r, from.member, members, query.asker);
    int place = its ? config_member_by_signing_key(&r->config.members, members->keys[query.asker]) : -1; /* where what I hold of it lies */
    if (place < 0) {
        drop_count(r, DROP_LAST_SIGNED);
        return;
    }
    const struct newest *newest = &r->last->newest[place];
    struct last_signed_answer *answer = calloc(1, sizeof *answer);
    CHECK(answer != NULL);
    answer->query = query;
    answer->signer = (uint8_t)signer;
    answer->has_prepare = newest->has_prepare;
    answer->has_commit = newest->has_commit;
    answer->has_timeout = newest->has_timeout;
    answer->prepare = newest->prepare;
    answer->commit = newest->commit;
    answer->timeout = newest->timeout;
    answer->timeout.qc.count = 0;
    struct blob *blob = blob_make(LAST_SIGNED_ANSWER_BYTES_MAX);
    size_t bytes = last_signed_answer_sign(&r->signer, answer, blob->bytes);
    struct blob_piece piece = {.blob = blob, .count = bytes};
    output_send(r, from, MESSAGE_LAST_SIGNED_ANSWER, &piece, 1);
    blob_drop(blob);
    free(answer);
}

/* ---- what the others signed ---- */

static void vote_seen(struct replica *r, const struct bft_vote *vote) {
    struct newest *newest = &r->last->newest[vote->signer];
    bool prepare = vote->kind == BFT_PREPARE;
    bool has = prepare ? newest->has_prepare : newest->has_commit;
    struct bft_vote *held = prepare ? &newest->prepare : &newest->commit;
    if (has) replica_evidence_votes(r, held, vote);
    if (!prepare && newest->has_timeout) replica_evidence_commit(r, vote, &newest->timeout);
    if (has && !last_signed_vote_newer(vote, held)) return;
    *held = *vote;
    if (prepare)
        newest->has_prepare = newest->dirty_prepare = true;
    else
        newest->has_commit = newest->dirty_commit = true;
}

static void timeout_seen(struct replica *r, const struct bft_timeout *timeout) {
    struct newest *newest = &r->last->newest[timeout->signer];
    if (newest->has_timeout) replica_evidence_timeouts(r, &newest->timeout, timeout);
    if (newest->has_commit) replica_evidence_commit(r, &newest->commit, timeout);
    if (newest->has_timeout && !last_signed_timeout_newer(timeout, &newest->timeout)) return;
    newest->timeout = *timeout;
    newest->has_timeout = newest->dirty_timeout = true;
}

/* Of another member, in the epoch whose members it was verified by. What states another epoch was not verified at all (B-45): kept as the newest of
 * a member, it would make the answers of all who heard it bad, and that member could never vote again after a restart. */
static bool counts(const struct replica *r, uint8_t signer, const struct bft_place *place) {
    return signer != r->me && signer < r->members.n && bft_place_equal(place, &r->members.place);
}

void last_seen(struct replica *r, const struct bft_message *message) {
    const struct bft_vote *vote = message->type == BFT_MESSAGE_PROPOSE ? &message->propose.vote : &message->vote;
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE:
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        if (counts(r, vote->signer, &vote->ballot.place)) vote_seen(r, vote);
        break;
    case BFT_MESSAGE_TIMEOUT:
        if (counts(r, message->timeout.signer, &message->timeout.place)) timeout_seen(r, &message->timeout);
        break;
    default: break;
    }
}

/* Newer than what is held of its signer, or in contradiction to it (B-80). */
static bool vote_matters(const struct replica *r, const struct bft_vote *vote) {
    const struct newest *newest = &r->last->newest[vote->signer];
    bool prepare = vote->kind == BFT_PREPARE;
    const struct bft_vote *held = prepare ? &newest->prepare : &newest->commit;
    if (prepare ? !newest->has_prepare : !newest->has_commit) return true;
    return last_signed_vote_newer(vote, held) || evidence_votes_conflict(vote, held);
}

static enum bft_verify_error late_vote(struct replica *r, uint8_t from, const struct bft_vote *vote) {
    if (vote->signer != from || !bft_place_equal(&vote->ballot.place, &r->members.place) || !vote_matters(r, vote)) return BFT_VERIFY_OK;
    enum bft_verify_error error = bft_vote_verify(&r->members, &r->signer, vote);
    if (error == BFT_VERIFY_OK) vote_seen(r, vote);
    return error;
}

static enum bft_verify_error late_timeout(struct replica *r, uint8_t from, const struct bft_timeout *timeout) {
    if (timeout->signer != from || !bft_place_equal(&timeout->place, &r->members.place)) return BFT_VERIFY_OK;
    const struct newest *newest = &r->last->newest[from];
    bool conflict = newest->has_timeout && evidence_timeouts_conflict(timeout, &newest->timeout);
    if (newest->has_timeout && !last_signed_timeout_newer(timeout, &newest->timeout) && !conflict) return BFT_VERIFY_OK;
    enum bft_verify_error error = bft_timeout_verify(&r->members, &r->signer, timeout);
    if (error == BFT_VERIFY_OK) timeout_seen(r, timeout);
    return error;
}

enum bft_verify_error last_late(struct replica *r, uint8_t from, const struct bft_message *message) {
    if (from >= r->members.n || from == r->me) return BFT_VERIFY_OK;
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE: return late_vote(r, from, &message->propose.vote);
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT: return late_vote(r, from, &message->vote);
    case BFT_MESSAGE_TIMEOUT: return late_timeout(r, from, &message->timeout);
    default: return BFT_VERIFY_OK;
    }
}

/* An item lies in the store as its message. */
static void item_put(struct replica *r, struct bft_message *message, uint8_t kind, uint8_t member) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    size_t key_bytes = wal_key_vote(key, kind, member, 0, 0);
    size_t bytes = bft_wire_encode(message, r->scratch, BFT_WIRE_HEAD_BYTES_MAX);
    persist_put_blob(r, WAL_VOTES, key, key_bytes, blob_copy(r->scratch, bytes));
}

void last_persist(struct replica *r) {
    struct bft_message *message = NULL;
    for (uint32_t member = 0; member < r->members.n; member++) {
        struct newest *newest = &r->last->newest[member];
        if (!newest->dirty_prepare && !newest->dirty_commit && !newest->dirty_timeout) continue;
        if (message == NULL) message = memset(pool_take(sizeof *message), 0, sizeof *message);
        if (newest->dirty_prepare) {
            message->type = BFT_MESSAGE_PREPARE;
            message->vote = newest->prepare;
            item_put(r, message, WAL_VOTE_PEER_PREPARE, (uint8_t)member);
        }
        if (newest->dirty_commit) {
            message->type = BFT_MESSAGE_COMMIT;
            message->vote = newest->commit;
            item_put(r, message, WAL_VOTE_PEER_COMMIT, (uint8_t)member);
        }
        if (newest->dirty_timeout) {
            message->type = BFT_MESSAGE_TIMEOUT;
            message->timeout = newest->timeout;
            item_put(r, message, WAL_VOTE_PEER_TIMEOUT, (uint8_t)member);
        }
        newest->dirty_prepare = newest->dirty_commit = newest->dirty_timeout = false;
    }
    pool_give(message);
}

bool last_restore(struct replica *r, uint8_t kind, uint8_t member, const uint8_t *bytes, size_t count) {
    uint16_t type = kind == WAL_VOTE_PEER_PREPARE ? BFT_MESSAGE_PREPARE : kind == WAL_VOTE_PEER_COMMIT ? BFT_MESSAGE_COMMIT : BFT_MESSAGE_TIMEOUT;
    /* Of any epoch: the blocks that tell which are executed after this. */
    if (member >= BFT_MEMBERS_MAX || bft_wire_decode(type, bytes, count, r->message) != BFT_WIRE_OK) return false;
    struct newest *newest = &r->last->newest[member];
    if (type == BFT_MESSAGE_TIMEOUT) {
        newest->timeout = r->message->timeout;
        newest->has_timeout = true;
        return true;
    }
    struct bft_vote *held = type == BFT_MESSAGE_PREPARE ? &newest->prepare : &newest->commit;
    *held = r->message->vote;
    if (type == BFT_MESSAGE_PREPARE)
        newest->has_prepare = true;
    else
        newest->has_commit = true;
    return true; /* its signer is its place in its own epoch */
}
