/* Decision queues from other clusters (D-12, D-23, D-24): subscribe to one node, verify, hold; to the next when that one is slow or lies. */
#include <string.h>

#include "appliance/base/pool.h"
#include "appliance/replica/replica_private.h"

enum { NEWEST_BYTES = 48, NEWEST_QUERY_BYTES = 16, SUBSCRIBE_BYTES = 16, LINK_LOST_MS = 50 };

void source_init(struct replica *r) {
    for (uint32_t i = 0; i < r->pair_count; i++) {
        struct pair *pair = &r->pairs[i];
        pair->source = (uint8_t)(r->me % pair->members.n);
        pair->ask_next = pair->source;
        pair->items_first = pair->items_end = 1;
        pair->heard_ms = r->now_ms;
        memset(pair->window, 0xFF, sizeof pair->window);
    }
}

struct pair *pair_find(struct replica *r, uint32_t cluster) {
    if (r->pair_count == 0 || cluster < r->pairs[0].cluster || cluster - r->pairs[0].cluster >= r->pair_count) return NULL;
    return &r->pairs[cluster - r->pairs[0].cluster];
}

static struct replica_peer foreign(const struct pair *pair, uint32_t member) {
    return (struct replica_peer){.kind = REPLICA_FOREIGN, .member = (uint8_t)member, .index = pair->cluster};
}

static void subscribe_send(struct replica *r, struct pair *pair, uint64_t from) {
    struct blob *message = blob_make(SUBSCRIBE_BYTES);
    bytes_put_le32(message->bytes, r->cluster);
    bytes_put_le32(message->bytes + 4, SOURCE_WINDOW);
    bytes_put_le64(message->bytes + 8, from);
    output_send_blob(r, foreign(pair, pair->source), MESSAGE_SUBSCRIBE, message);
    pair->subscribed_from = from;
    pair->subscribed_once = true;
}

/* The first dseq that is neither consumed nor held. */
static uint64_t next_wanted(const struct replica *r, const struct pair *pair) {
    uint64_t dseq = pair->consumed_final + 1;
    while (dseq <= pair->consumed_final + SOURCE_WINDOW) {
        uint32_t index = pair->window[dseq % SOURCE_WINDOW];
        if (index == NONE || r->inputs[index].dseq != dseq) break;
        dseq++;
    }
    return dseq;
}

static void source_change(struct replica *r, struct pair *pair) {
    if (pair->up[pair->source] && pair->subscribed_from != 0) subscribe_send(r, pair, 0);
    for (uint32_t tries = 0; tries < pair->members.n; tries++) {
        pair->source = (uint8_t)((pair->source + 1u) % pair->members.n);
        if (pair->up[pair->source]) break;
    }
    pair->subscribed_from = 0;
    pair->passed_dseq = 0;
    pair->heard_ms = r->now_ms;
    if (pair->up[pair->source]) subscribe_send(r, pair, next_wanted(r, pair));
}

void source_link(struct replica *r, struct replica_peer peer, bool up) {
    struct pair *pair = pair_find(r, peer.index);
    if (pair == NULL || peer.member >= pair->members.n) return;
    pair->up[peer.member] = up;
    pair->subscribers[peer.member] = (struct subscriber){0};
    if (peer.member != pair->source) return;
    pair->subscribed_from = 0;
    pair->passed_dseq = 0;
    if (!up) source_change(r, pair);
}

/* ---- receiving ---- */

static enum status_drop drop_of(enum decision_error error) {
    switch (error) {
    case DECISION_UNPROVED:
    case DECISION_BAD_CERTIFICATE: return DROP_SLICE_CERTIFICATE;
    case DECISION_WRONG_LEAF:
    case DECISION_BAD_LEAF: return DROP_SLICE_LEAF;
    case DECISION_BAD_PATH:
    case DECISION_WRONG_SLICE: return DROP_SLICE_PROOF;
    default: return DROP_SLICE_MALFORMED;
    }
}

/* A node of the source itself sent what does not verify: it lies. */
static bool refuse(struct replica *r, struct replica_peer from, enum status_drop drop) {
    drop_count(r, drop);
    attack_seen(r, ATTACK_BAD_SLICE, from);
    struct pair *pair = from.kind == REPLICA_FOREIGN ? pair_find(r, from.index) : NULL;
    if (pair != NULL && pair->source == from.member) source_change(r, pair);
    return false;
}

static bool is_source(const struct pair *pair, struct replica_peer from) {
    return from.kind == REPLICA_FOREIGN && from.member == pair->source;
}

/* A valid slice came. Other members hand on what this node lacks (D-25), so a source that serves nothing, or nothing new, is found out by what
 * passes it by. */
static void source_heard(struct replica *r, struct pair *pair, uint64_t dseq, struct replica_peer from) {
    if (is_source(pair, from)) {
        if (dseq >= pair->passed_dseq) pair->passed_dseq = 0;
    } else if (pair->passed_dseq == 0) {
        pair->passed_dseq = dseq;
        pair->passed_ms = r->now_ms;
    }
}

bool source_window_has(struct replica *r, uint32_t index) {
    const struct pair *pair = pair_find(r, r->inputs[index].source);
    return pair != NULL && pair->window[r->inputs[index].dseq % SOURCE_WINDOW] == index;
}

/* A slice that is not consumed has its place, if no other has it; an old one, fetched for a block, has none. */
static void window_put(struct replica *r, struct pair *pair, uint32_t index) {
    const struct input *input = &r->inputs[index];
    uint32_t *slot = &pair->window[input->dseq % SOURCE_WINDOW];
    if (input->dseq <= pair->consumed_final || input->dseq > pair->consumed_final + SOURCE_WINDOW) return;
    if (*slot != NONE && r->inputs[*slot].dseq == input->dseq) return;
    *slot = index;
    if (input->dseq > pair->received_max) pair->received_max = input->dseq;
}

/* ---- what was hashed of a slice, held by its blob ---- */

struct noted {
    struct blob *whole;
    struct slice_long list[];
};

static void noted_release(struct blob *blob) {
    struct noted *noted = blob->context;
    blob_drop(noted->whole);
    pool_give(noted);
    blob_wrapper_free(blob);
}

/* The same bytes, held together with the hashes of their long results: the executor of a coordinator has no need to hash these again (D-36). */
static struct blob *noted_make(const struct slice_longs *longs, struct blob *whole, struct input *input) {
    struct noted *noted = pool_take(sizeof *noted + longs->count * sizeof *longs->list);
    noted->whole = blob_hold(whole);
    memcpy(noted->list, longs->list, longs->count * sizeof *longs->list);
    input->longs = (struct slice_longs){.list = noted->list, .count = longs->count};
    return blob_wrap(whole->bytes, whole->count, noted_release, noted);
}

/*
 * A certified slice of the window is decided sooner or later. The store lays what is long of them down while the blocks before are decided, so that
 * votes for these need not wait for it, nor those for the block that names it if that comes later. It is a hint and no more (wal.h): what a vote
 * rests on (P-1) is the record in the batch of the block that names the slice, which has the ticket, and is durable when the slice is. One that no
 * block names leaves nothing in the store.
 */
static void slice_prepare(struct replica *r, uint32_t index) {
    struct input *input = &r->inputs[index];
    if (input->persisted || input->count < r->ahead_bytes || r->behind || !source_window_has(r, index)) return;
    struct blob_piece pieces[2];
    input_pieces(input, pieces);
    input->ticket = ++r->ticket;
    struct replica_output *output = output_add(r, REPLICA_PREPARE);
    output->cookie = input->ticket;
    output->db = WAL_INPUTS;
    memcpy(output->key, input->hash, 32);
    output->piece_count = 2;
    output->pieces[0] = pieces[0];
    output->pieces[1] = (struct blob_piece){.blob = blob_hold(pieces[1].blob), .offset = pieces[1].offset, .count = pieces[1].count};
}

static void hold_slice(struct replica *r, struct pair *pair, uint32_t index, const struct decision *decision, struct blob_piece bytes) {
    struct input *input = &r->inputs[index];
    const uint8_t *base = blob_piece_bytes(&bytes);
    input->kind = BODY_SLICE; /* a block may have named it as something else */
    input->ticket = 0;
    input->source = pair->cluster;
    input->dseq = decision->leaf.dseq;
    input->leaf_offset = (uint32_t)(decision->leaf_bytes - base);
    input->slice_offset = (uint32_t)(decision->slice - base);
    input->slice_bytes = decision->leaf.slice_bytes;
    input->weight = 1 + decision->leaf.slice_bytes / 64;
    input->longs = (struct slice_longs){.list = NULL};
    struct blob *noted = r->longs.count > 0 ? noted_make(&r->longs, bytes.blob, input) : NULL;
    if (noted != NULL) bytes.blob = noted;
    input_hold(r, index, bytes);
    blob_drop(noted);
    window_put(r, pair, index);
    slice_prepare(r, index);
    pair->heard_ms = r->now_ms;
    if (input->in_blocks > 0) block_input_arrived(r, index);
}

bool source_take(struct replica *r, struct blob_piece bytes, struct replica_peer from, uint32_t *out) {
    struct decision decision;
    *out = NONE;
    enum decision_error error = decision_decode(blob_piece_bytes(&bytes), bytes.count, &decision);
    if (error != DECISION_OK) return refuse(r, from, drop_of(error));
    struct pair *pair = decision.leaf.kind == LEAF_KIND_CLUSTER ? pair_find(r, decision.leaf.source) : NULL;
    if (pair == NULL || decision.leaf.destination != r->cluster) return refuse(r, from, DROP_SLICE_LEAF);
    rollback_slice(r, pair, &decision, bytes, from);
    uint8_t hash[32];
    leaf_hash(decision.leaf_bytes, hash);
    uint32_t index = input_find(r, hash);
    bool wanted = index != NONE && r->inputs[index].state == INPUT_WANTED;
    uint64_t dseq = decision.leaf.dseq;
    if (index != NONE && !wanted && is_source(pair, from)) source_heard(r, pair, dseq, from);
    if (dseq <= pair->consumed_final && !wanted) {
        drop_count(r, DROP_SLICE_STALE);
        if (from.kind == REPLICA_FOREIGN && dseq + SOURCE_WINDOW <= pair->consumed_final) attack_seen(r, ATTACK_STALE_SLICE, from);
        return false;
    }
    if (dseq > pair->consumed_final + SOURCE_WINDOW) {
        drop_count(r, DROP_SLICE_WINDOW);
        return false;
    }
    if (index != NONE && !wanted) {
        *out = index;
        if (r->inputs[index].state == INPUT_HELD) window_put(r, pair, index);
        drop_count(r, DROP_INPUT_DUPLICATE);
        return true;
    }
    const struct bft_members *members = pair_members(pair, decision.certificate.qc.ballot.place.epoch);
    if (members == NULL) { /* D-12: asked for; the slice is asked for again then */
        drop_count(r, DROP_SLICE_EPOCH);
        return false;
    }
    r->status.signatures_verified += members->q;
    r->longs.count = 0;
    error = decision_verify_noting(&decision, members, &r->signer, &r->longs);
    if (error != DECISION_OK) return refuse(r, from, drop_of(error));
    uint32_t before = pair->window[dseq % SOURCE_WINDOW];
    if (index == NONE && before != NONE && r->inputs[before].dseq == dseq) {
        /* Two certified slices under one number: more than f members of that cluster lie. The first one stays; a block that names the other
         * fetches it. */
        drop_count(r, DROP_SLICE_LEAF);
        attack_seen(r, ATTACK_EQUIVOCATION, from);
        replica_evidence_slices(r, pair, &decision, before);
        return false;
    }
    replica_evidence_slice(r, pair, &decision, bytes);
    if (index == NONE) index = input_make(r, BODY_SLICE, hash);
    if (index == NONE) { /* no room here is nobody else's fault */
        pair->heard_ms = r->now_ms;
        pair->passed_dseq = 0;
        return false;
    }
    hold_slice(r, pair, index, &decision, bytes);
    source_heard(r, pair, dseq, from);
    *out = index;
    return true;
}

void source_decision_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    uint32_t index;
    struct pair *pair = pair_find(r, from.index);
    if (pair == NULL || from.member >= pair->members.n) {
        drop_count(r, DROP_ROLE);
        return;
    }
    if (!source_take(r, payload, from, &index)) return;
    uint64_t wanted = next_wanted(r, pair);
    if (from.member == pair->source && flow_subscribe_again(wanted, pair->subscribed_from)) subscribe_send(r, pair, wanted);
}

void source_consumed(struct replica *r, struct pair *pair, uint64_t consumed) {
    if (consumed <= pair->consumed_final) return;
    for (uint64_t dseq = pair->consumed_final + 1; dseq <= consumed && dseq <= pair->consumed_final + SOURCE_WINDOW; dseq++) {
        uint32_t *slot = &pair->window[dseq % SOURCE_WINDOW], index = *slot;
        *slot = NONE;
        if (index != NONE && r->inputs[index].state == INPUT_HELD && r->inputs[index].in_blocks == 0)
            input_drop(r, index, r->tip_height); /* another one was it */
    }
    pair->consumed_final = consumed;
    if (pair->received_max < consumed) pair->received_max = consumed;
}

/* ---- NEWEST ---- */

void source_newest_frame(struct replica *r, struct replica_peer from, struct blob_piece payload) {
    struct bytes_cursor cursor = bytes_cursor_of(blob_piece_bytes(&payload), payload.count);
    uint32_t source = bytes_get_u32(&cursor), zero = bytes_get_u32(&cursor);
    uint64_t nonce = bytes_get_u64(&cursor), sent = bytes_get_u64(&cursor), acked = bytes_get_u64(&cursor), consumed = bytes_get_u64(&cursor);
    (void)bytes_get_u64(&cursor); /* height */
    struct pair *pair = pair_find(r, from.index);
    if (!bytes_finished(&cursor) || zero != 0 || pair == NULL || source != pair->cluster || nonce != pair->asked_nonce) {
        drop_count(r, DROP_MALFORMED);
        return;
    }
    if (acked > sent || from.member >= pair->members.n) {
        attack_seen(r, ATTACK_BAD_ANSWER, from);
        return;
    }
    if (sent > pair->hint) pair->hint = sent;
    rollback_newest(r, pair, from.member, acked, consumed);
}

void source_newest_ask(struct replica *r, struct pair *pair) {
    pair->asked_ms = r->now_ms;
    pair->asked_nonce = pair->asked_nonce * 6364136223846793005u + r->now_ms + 1;
    for (uint32_t asked = 0, tries = 0; asked <= pair->members.f && tries < pair->members.n; tries++) {
        pair->ask_next = (uint8_t)((pair->ask_next + 1u) % pair->members.n);
        if (!pair->up[pair->ask_next]) continue;
        struct blob *question = blob_make(NEWEST_QUERY_BYTES);
        bytes_put_le32(question->bytes, r->cluster);
        bytes_put_le32(question->bytes + 4, 0);
        bytes_put_le64(question->bytes + 8, pair->asked_nonce);
        output_send_blob(r, foreign(pair, pair->ask_next), MESSAGE_NEWEST_QUERY, question);
        asked++;
    }
}

void source_tick(struct replica *r) {
    /* A cluster that was rolled back asks for slices that it had acknowledged, and that nobody has to keep: nobody withholds them. */
    if (r->retired == REPLICA_ROLLED_BACK) return;
    for (uint32_t i = 0; i < r->pair_count; i++) {
        struct pair *pair = &r->pairs[i];
        pair_chain_tick(r, pair);
        rollback_tick(r, pair);
        if (!pair->up[pair->source]) {
            /* At the start the default source has a while for its link, else all would crowd round whoever started first. */
            if (r->now_ms - pair->heard_ms >= (pair->subscribed_once ? LINK_LOST_MS : r->config.timeouts.source_slow_ms)) source_change(r, pair);
            continue;
        }
        uint64_t wanted = next_wanted(r, pair);
        if (pair->subscribed_from == 0) subscribe_send(r, pair, wanted);
        if (wanted > pair->consumed_final + SOURCE_WINDOW) { /* this cluster, or this node, is what is slow */
            pair->heard_ms = r->now_ms;
            pair->passed_dseq = 0;
            continue;
        }
        if (flow_subscribe_again(wanted, pair->subscribed_from)) subscribe_send(r, pair, wanted);
        uint64_t quiet = r->now_ms - pair->heard_ms;
        bool passed = pair->passed_dseq != 0 && r->now_ms - pair->passed_ms >= r->config.timeouts.source_slow_ms;
        if (passed || (pair->hint >= wanted && quiet >= r->config.timeouts.source_slow_ms)) {
            attack_seen(r, ATTACK_WITHHELD_SLICE, foreign(pair, pair->source));
            source_change(r, pair);
        } else if (flow_newest_due(r->now_ms, pair->heard_ms, pair->asked_ms, &r->config.timeouts)) {
            source_newest_ask(r, pair);
        }
    }
}
