/*
 * P-70: was my whole cluster rolled back? LAST-SIGNED asks the members, who would all have forgotten alike; so the paired clusters are asked what
 * they hold of mine. That is a hint. The proof is a certified slice of theirs whose `ack` is above all that my cluster has sent them.
 *
 * Why nobody retires wrongly. Of a block that is final somewhere and not yet here, a slice may acknowledge more than I know to be sent: my own lag,
 * or a power loss of all just after one node had it final.
 * So the slice alone judges nothing. Once I hold it I ask for a NOOP (B-15) under a number that
 * nobody can know before, and leaders name it in a body (B-25). A final block that names it was made after the slice, the slice after the quorum of
 * its source had consumed my cluster's decision, and that was final before: two final blocks lie on one branch, so what was sent then lies below the
 * block, and is known to whoever executed it. If the state after that block has still not sent what was acknowledged, then more than f members
 * signed two histories: they were rolled back.
 *
 * The argument needs the number, not one near it: a leader may name any member and any number (D-4), so a body made long before could hold a comb of
 * them, one of which lies between two that I asked for. So only the very numbers count, the first lies a random step of up to 2^NOOP_PROOF_BITS above
 * all before, and of a body that names more than one NOOP of mine, which no honest leader makes, none counts: a body made before the first number
 * was sent has one guess, right with at most NOOPS_KEPT / 2^NOOP_PROOF_BITS. The numbers after it may come in small steps, since they build on it:
 * whoever knows them knows it, and made its body after the slice. How far I was behind when I took the slice for a proof is of no matter then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "merkle/sha256.h"

enum { HINT_IDLES = 10, NOOP_NONCE_BITS = 22, NOOP_PROOF_BITS = 40 };

/* Hints and proofs are this node's business only while it may sign: whoever signs nothing has nothing to retire. */
static bool signs(const struct replica *r) {
    return last_is_answered(r) && r->me != NOBODY && r->retired == REPLICA_IN_OFFICE && !epoch_is_sealed(r);
}

/* Do q members, I among them, hold no more as final than I do? */
static bool quorum_is_known(const struct replica *r) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->members.n; i++) count += i == r->me || (r->has_peer_status[i] && r->peer_status[i].final.height <= r->tip_height);
    return count >= r->members.q;
}

static uint64_t nonce_next(struct replica *r, unsigned bits) {
    uint8_t seed[24], hash[32];
    memcpy(seed, r->start_nonce, sizeof r->start_nonce);
    bytes_put_le64(seed + 16, r->noop_nonce);
    sha256_hash(seed, sizeof seed, hash); /* no format of the protocol: a number that grows, and that no leader can name before it was asked */
    r->noop_nonce += 1 + (bytes_get_le64(hash) & (((uint64_t)1 << bits) - 1));
    r->noop_own = r->noop_nonce;
    r->noops_asked[r->noops_asked_count++ % NOOPS_KEPT] = r->noop_nonce;
    r->noop_asked_ms = r->now_ms;
    return r->noop_nonce;
}

uint64_t rollback_noop_nonce(struct replica *r) {
    return nonce_next(r, NOOP_NONCE_BITS);
}

uint64_t rollback_noop_first(uint64_t wall_ms, const uint8_t nonce[16]) {
    return wall_ms << NOOP_NONCE_BITS | (bytes_get_le32(nonce) & ((1u << NOOP_NONCE_BITS) - 1));
}

/* ---- hints ---- */

static void fetch(struct replica *r, struct pair *pair, uint32_t member, uint64_t from) {
    if (!pair->up[member]) return;
    struct blob *message = blob_make(16);
    bytes_put_le32(message->bytes, r->cluster);
    bytes_put_le32(message->bytes + 4, SOURCE_WINDOW);
    bytes_put_le64(message->bytes + 8, from);
    struct replica_peer to = {.kind = REPLICA_FOREIGN, .member = (uint8_t)member, .index = pair->cluster};
    output_send_blob(r, to, MESSAGE_SUBSCRIBE, message);
    if (member == pair->source) pair->subscribed_from = 0; /* subscribed to anew at the next tick */
}

void rollback_newest(struct replica *r, struct pair *pair, uint32_t member, uint64_t acked, uint64_t consumed) {
    struct rollback *back = &pair->rollback;
    if (back->done || !signs(r) || !quorum_is_known(r)) return;
    bool first = (back->answered & 1u << member) == 0;
    back->answered |= 1u << member;
    if (!first || consumed <= pair->sent_final) return;
    if (back->hints == 0) back->hint_ms = r->now_ms;
    back->hints |= 1u << member;
    replica_note(r, LOG_LEVEL_INFO, "rollback_hint", "cluster=0x%08x member=%u consumed=%llu sent=%llu", pair->cluster, member,
                 (unsigned long long)consumed, (unsigned long long)pair->sent_final);
    fetch(r, pair, member, acked + 1);
}

/* Nobody could prove them in time. */
static void hints_drop(struct replica *r, struct pair *pair) {
    struct rollback *back = &pair->rollback;
    for (uint32_t member = 0; member < BFT_MEMBERS_MAX; member++) {
        if ((back->hints & 1u << member) == 0) continue;
        drop_count(r, DROP_ROLLBACK_HINT);
        if (member != pair->source) fetch(r, pair, member, 0);
    }
    back->hints = 0;
}

/* ---- proofs ---- */

/* This one's slices are taken no more: it sent one that proves nothing, or one of an epoch that nobody could show. The latter is no lie for sure
 * (D-3), so once they are more than f, an honest one among them, all may try again. */
static void sender_pass(struct pair *pair, uint32_t member) {
    struct rollback *back = &pair->rollback;
    back->liars |= 1u << member;
    if ((uint32_t)__builtin_popcount(back->liars) > pair->members.f) back->liars = 0;
}

static void proof_let_go(struct rollback *back) {
    blob_drop(back->slice.blob);
    back->slice.blob = NULL;
    back->proved = false;
    back->noop = 0;
}

void rollback_free(struct pair *pair) {
    proof_let_go(&pair->rollback);
}

/* One is held at a time. A slice of an epoch that nobody knows may be made up at no cost, and must not stay for ever: it gives way to one that can be
 * checked. */
void rollback_slice(struct replica *r, struct pair *pair, const struct decision *decision, struct blob_piece bytes, struct replica_peer from) {
    struct rollback *back = &pair->rollback;
    struct slice slice;
    if (from.kind != REPLICA_FOREIGN || !signs(r) || !slice_decode(decision->slice, decision->leaf.slice_bytes, &slice)) return;
    if (slice.ack <= pair->sent_final || (back->liars & 1u << from.member) != 0) return;
    bool epoch_known = pair_members(pair, decision->certificate.qc.ballot.place.epoch) != NULL;
    if (back->slice.blob != NULL && (back->proved || back->epoch_known || !epoch_known)) return;
    proof_let_go(back);
    back->slice = bytes;
    (void)blob_hold(bytes.blob);
    back->ack = slice.ack;
    back->from = from.member;
    back->since_ms = r->now_ms;
    back->epoch_known = epoch_known;
}

/* It has not been sent for so long that it is worth q signatures' checks. */
static void prove(struct replica *r, struct pair *pair) {
    struct rollback *back = &pair->rollback;
    struct decision *decision = malloc(sizeof *decision);
    CHECK(decision != NULL);
    bool good = decision_decode(blob_piece_bytes(&back->slice), back->slice.count, decision) == DECISION_OK;
    const struct bft_members *members = good ? pair_members(pair, decision->certificate.qc.ballot.place.epoch) : NULL;
    if (good && members == NULL) { /* its epoch is asked for, but not for ever */
        free(decision);
        if (r->now_ms - back->since_ms < HINT_IDLES * r->config.timeouts.t_idle_ms) return;
        drop_count(r, DROP_SLICE_EPOCH);
        sender_pass(pair, back->from);
        proof_let_go(back);
        return;
    }
    r->status.signatures_verified += good ? members->q : 0;
    good = good && decision_verify(decision, members, &r->signer, NULL) == DECISION_OK;
    free(decision);
    if (!good) {
        attack_seen(r, ATTACK_BAD_SLICE, (struct replica_peer){.kind = REPLICA_FOREIGN, .member = (uint8_t)back->from, .index = pair->cluster});
        sender_pass(pair, back->from);
        proof_let_go(back);
        return;
    }
    struct blob *copy = blob_copy(blob_piece_bytes(&back->slice), back->slice.count); /* it may lie in a frame that is much larger */
    blob_drop(back->slice.blob);
    back->slice = (struct blob_piece){.blob = copy, .count = copy->count};
    back->proved = true;
    replica_note(r, LOG_LEVEL_WARN, "rollback_suspected", "cluster=0x%08x acknowledged=%llu sent=%llu", pair->cluster, (unsigned long long)back->ack,
                 (unsigned long long)pair->sent_final);
}

static void noop_ask(struct replica *r, struct rollback *back) {
    uint64_t nonce = nonce_next(r, back->noop == 0 ? NOOP_PROOF_BITS : NOOP_NONCE_BITS);
    if (back->noop == 0) back->noop = nonce;
    struct bft_event event = {.type = BFT_EVENT_NOOP, .nonce = nonce};
    replica_event(r, &event);
}

void rollback_tick(struct replica *r, struct pair *pair) {
    struct rollback *back = &pair->rollback;
    if (!signs(r)) return;
    const struct system_timeouts *timeouts = &r->config.timeouts;
    if (back->slice.blob != NULL && back->ack <= pair->sent_final) proof_let_go(back);
    if (back->slice.blob != NULL && !back->proved && r->now_ms - back->since_ms >= timeouts->t_idle_ms && quorum_is_known(r)) prove(r, pair);
    if (back->proved && (back->noop == 0 || r->now_ms - r->noop_asked_ms >= 2 * timeouts->view_base_ms)) noop_ask(r, back);
    if (back->hints != 0 && !back->proved && r->now_ms - back->hint_ms >= HINT_IDLES * timeouts->t_idle_ms) hints_drop(r, pair);
    if (back->done) return;
    back->done = (uint32_t)__builtin_popcount(back->answered) > pair->members.f;
    if (!back->done && quorum_is_known(r) && r->now_ms - pair->asked_ms >= timeouts->t_idle_ms) source_newest_ask(r, pair);
}

static void judge(struct replica *r, struct pair *pair) {
    struct rollback *back = &pair->rollback;
    if (back->ack <= pair->sent_final) {
        proof_let_go(back);
        return;
    }
    struct replica_output *output = output_add(r, REPLICA_EVIDENCE);
    output->piece_count = 1;
    output->pieces[0] = (struct blob_piece){.blob = blob_hold(back->slice.blob), .offset = back->slice.offset, .count = back->slice.count};
    bool shard = config_cluster_is_shard(pair->cluster);
    snprintf(output->text, sizeof output->text, "rolled-back-shown-by-%c%u.decision", shard ? 's' : 'c', config_cluster_index(pair->cluster));
    last_retire(r, REPLICA_ROLLED_BACK);
    replica_note(r, LOG_LEVEL_ERROR, "cluster_rolled_back",
                 "shown_by=0x%08x acknowledged=%llu sent=%llu do=\"more than f members were put back to an older state: this cluster needs a "
                 "successor system; stop it and call the administrators\"",
                 pair->cluster, (unsigned long long)back->ack, (unsigned long long)pair->sent_final);
    proof_let_go(back);
}

/* The NOOP of mine that the block names, if it names one and no more; 0: none. */
static uint64_t noop_of(const struct replica *r, const struct rblock *block) {
    uint64_t nonce = 0;
    uint32_t count = 0;
    for (uint32_t ref = 0; ref < block->ref_count; ref++) {
        struct body_reference reference;
        CHECK(body_reference_decode(block->body->bytes + block->body_offset + BODY_HEAD_BYTES + (size_t)ref * BODY_REFERENCE_BYTES, &reference));
        if (reference.kind != BODY_NOOP || reference.relay != r->me) continue;
        nonce = reference.dseq;
        count++;
    }
    return count == 1 ? nonce : 0;
}

void rollback_final(struct replica *r, const struct rblock *block) {
    bool waits = false, asked = false;
    for (uint32_t i = 0; i < r->pair_count; i++) waits = waits || (r->pairs[i].rollback.proved && r->pairs[i].rollback.noop != 0);
    uint64_t nonce = waits ? noop_of(r, block) : 0;
    for (uint32_t i = 0; nonce != 0 && i < NOOPS_KEPT; i++) asked = asked || r->noops_asked[i] == nonce;
    for (uint32_t i = 0; asked && i < r->pair_count && r->retired == REPLICA_IN_OFFICE; i++) {
        const struct rollback *back = &r->pairs[i].rollback;
        if (back->proved && back->noop != 0 && nonce >= back->noop) judge(r, &r->pairs[i]);
    }
}
