/* The consensus core's events and updates: decode, verify, step, and carry out what a step says, in its order (persist, send, apply). */
#include <stdlib.h>
#include <string.h>

#include "appliance/base/pool.h"
#include "appliance/replica/replica_batch.h"
#include "appliance/replica/replica_private.h"

void replica_event(struct replica *r, const struct bft_event *event) {
    CHECK(r->event_count < EVENTS_MAX);
    struct queued_event *queued = &r->events[(r->event_first + r->event_count++) % EVENTS_MAX];
    queued->event = *event;
    queued->message = NULL;
    if (event->type != BFT_EVENT_MESSAGE) return;
    queued->message = pool_take(sizeof *queued->message);
    *queued->message = *event->message;
    queued->event.message = queued->message;
}

/* ---- notes ---- */

static void note_attacks(struct replica *r, const struct bft_note *note) {
    switch (note->type) {
    case BFT_NOTE_EQUIVOCATION:
        attack_seen(r, ATTACK_EQUIVOCATION, peer_member(note->member));
        replica_evidence_votes(r, &r->update->evidence[0], &r->update->evidence[1]);
        break;
    case BFT_NOTE_WRONG_RESULT: attack_seen(r, ATTACK_WRONG_RESULT, peer_member(note->member)); break;
    case BFT_NOTE_BAD_PROPOSAL: attack_seen(r, ATTACK_BAD_PROPOSAL, peer_member(note->member)); break;
    default: break;
    }
}

static void note_halt(struct replica *r, const struct bft_note *note) {
    char id[17];
    r->halted_told = true;
    replica_note(r, LOG_LEVEL_ERROR, note->type == BFT_NOTE_FORK ? "fork_seen" : "state_diverged", "height=%llu id=%s",
                 (unsigned long long)note->height, log_id(note->block_id.bytes, id));
    if (note->type == BFT_NOTE_DIVERGED) /* what failed memory does; a fault of disk or code shows again when the block is executed again */
        replica_again(r, "block %llu is final and executes to something else here: this machine's memory, disk or code is at fault",
                      (unsigned long long)note->height);
    else
        replica_stop(
            r, "two commit certificates contradict each other: more than f members lie; call the other owners before anything is started again");
}

/* Has this member's STATUS come on its own link since the timer began that has just ended, or a little before? */
static bool heard_since(const struct replica *r, uint32_t member, uint64_t since_ms) {
    uint64_t slack_ms = r->config.timeouts.view_base_ms / 4; /* it need not send more often than the timer is long (B-70) */
    return r->member_up[member] && r->peer_heard_ms[member] != 0 && r->peer_heard_ms[member] + slack_ms >= since_ms;
}

static bool view_has_proposal(const struct replica *r, uint64_t view) {
    for (uint32_t i = 0; i < BLOCKS_MAX; i++) {
        const struct rblock *block = &r->blocks[i];
        if (block->used && block->header.view == view && block->header.height > r->tip_height) return true;
    }
    return false;
}

/*
 * The timer of B-36 ended the view: was it its leader's silence? That of B-50 says so by itself, since an input waits for nobody but the leader.
 * This one runs as well when votes do not come, whoever is slow or cut off, and then no honest leader is to be named. It was the leader's silence
 * when nothing is here that anybody could have voted for, although the leader is there, is in this view and may sign, by its own signed word, and
 * has had an input from this node for a quarter of the time. A leader that is cut off is not heard; one that is cut off together with this node has
 * its proposals here; one that starts, or is behind by a view, says so; and one that looks for the block to go on from finds it, since a quorum is
 * heard here.
 */
static bool leader_was_silent(const struct replica *r, uint64_t view) {
    const struct bft_core *core = r->core;
    const struct bft_waiting *waiting = &core->waiting;
    uint32_t leader = bft_leader(&r->members, view), heard = 1;
    const struct bft_status *said = &r->peer_status[leader];
    uint64_t since_ms = core->progress_ms, quarter_ms = (r->now_ms - since_ms) / 4;
    if (leader == r->me || !heard_since(r, leader, since_ms)) return false;
    if (said->view != view || (said->flags & BFT_STATUS_VOTING) == 0) return false;
    if (waiting->count == 0 || waiting->view != view || waiting->oldest_relayed_ms + quarter_ms > r->now_ms) return false;
    for (uint32_t i = 0; i < r->members.n; i++) heard += i != r->me && heard_since(r, i, since_ms);
    return heard >= r->members.q && !view_has_proposal(r, view);
}

static bool silence_ended(const struct replica *r, const struct bft_note *note) {
    /* To who is late, an input waits that was decided long ago, and what it caught up with passed faster than any leader can be. */
    if (note->detail == BFT_TIMEOUT_INPUT || note->detail == BFT_TIMEOUT_SLOW) return !replica_is_late(r);
    return note->detail == BFT_TIMEOUT_PROGRESS && leader_was_silent(r, note->view);
}

static void update_notes(struct replica *r) {
    static const char *const causes[] = {"", "progress", "input", "slow", "joined", "leader", "rotation", "restart", "alone", "lied"};
    for (uint32_t i = 0; i < r->update->note_count; i++) {
        const struct bft_note *note = &r->update->notes[i];
        note_attacks(r, note);
        switch (note->type) {
        case BFT_NOTE_VIEW:
            replica_note(r, LOG_LEVEL_INFO, "view_entered", "view=%llu leader=%u", (unsigned long long)note->view, note->member);
            propose_cancel(r);
            break;
        case BFT_NOTE_TIMEOUT:
            r->status.view_changes++;
            if (silence_ended(r, note))
                attack_seen(r, ATTACK_SILENT_LEADER, peer_member(bft_leader(&r->members, note->view)));
            replica_note(r, LOG_LEVEL_INFO, "view_timeout", "view=%llu cause=%s", (unsigned long long)note->view,
                         note->detail < sizeof causes / sizeof causes[0] ? causes[note->detail] : "?");
            break;
        case BFT_NOTE_DIVERGED:
        case BFT_NOTE_FORK: note_halt(r, note); break;
        case BFT_NOTE_PROPOSAL_STALE: replica_note(r, LOG_LEVEL_DEBUG, "proposal_stale", "view=%llu", (unsigned long long)note->view); break;
        case BFT_NOTE_EPOCH: replica_note(r, LOG_LEVEL_INFO, "epoch_entered", "epoch=%llu", (unsigned long long)note->epoch); break;
        case BFT_NOTE_SEALED: replica_note(r, LOG_LEVEL_WARN, "cluster_sealed", "height=%llu", (unsigned long long)note->height); break;
        case BFT_NOTE_REMOVED: replica_note(r, LOG_LEVEL_WARN, "member_removed", "epoch=%llu", (unsigned long long)note->epoch); break;
        case BFT_NOTE_BEHIND:
            if (r->behind_told_ms != 0 && r->now_ms - r->behind_told_ms < BEHIND_TOLD_MS) break; /* each fetch that brings nothing says so */
            r->behind_told_ms = r->now_ms;
            replica_note(r, LOG_LEVEL_INFO, "catching_up", "member=%u height=%llu", note->member, (unsigned long long)note->height);
            break;
        default: break;
        }
    }
}

/* ---- sends ---- */

/* My own new block: the core has just made its header. A suffix block is its own work and has no body. */
static uint32_t own_block_make(struct replica *r, const struct bft_message *message) {
    struct bft_hash hash = {{0}};
    if (r->proposing_body != NULL) hash = bft_body_hash(r->proposing_body->bytes, r->proposing_body->count);
    bool mine = r->proposing_body != NULL && r->proposing == NULL && bft_hash_equal(&hash, &message->propose.header.body_hash);
    struct blob *body = mine ? blob_hold(r->proposing_body) : blob_make(BODY_HEAD_BYTES);
    if (!mine) memset(body->bytes, 0, BODY_HEAD_BYTES);
    uint32_t index = block_make(r, &message->propose.header, &message->block_id, (struct blob_piece){.blob = body, .count = body->count});
    blob_drop(body);
    if (index == NONE) return NONE;
    struct rblock *block = &r->blocks[index];
    block->own = block->held_told = block->core_holds = true;
    if (mine) {
        block->executed = true;
        block->result = r->proposing_result;
        block->ticket = r->proposing_ticket;
        block->root_after = r->proposing_root_after;
        block->config_next = r->proposing_config;
        r->proposing_config = NULL;
        block->seen_us = r->proposed_us;
        r->executed_height = block->header.height;
    }
    return index;
}

/* The body that a PROPOSE or BLOCK carries. */
static bool send_body(struct replica *r, struct bft_message *message, struct blob_piece *piece) {
    uint32_t index = block_find(r, &message->block_id);
    if (index == NONE && message->type == BFT_MESSAGE_PROPOSE) index = own_block_make(r, message);
    if (index == NONE || r->blocks[index].body == NULL) return false;
    const struct rblock *block = &r->blocks[index];
    *piece = (struct blob_piece){.blob = block->body, .offset = block->body_offset, .count = block->body_count};
    message->body = blob_piece_bytes(piece);
    message->body_bytes = (uint32_t)piece->count;
    return true;
}

static void update_send(struct replica *r, struct bft_send *send) {
    struct bft_message *message = &send->message;
    struct blob_piece pieces[2];
    unsigned count = 1;
    bool has_body = message->type == BFT_MESSAGE_PROPOSE || message->type == BFT_MESSAGE_BLOCK;
    if (has_body && !send_body(r, message, &pieces[1])) return;
    if (has_body) count = 2;
    if (send->sign) bft_message_sign(&r->signer, message);
    size_t bytes = bft_wire_encode(message, r->scratch, BFT_WIRE_HEAD_BYTES_MAX);
    pieces[0] = (struct blob_piece){.blob = blob_copy(r->scratch, bytes), .count = bytes};
    struct bft_message *own = NULL;
    bool give_back = message->type == BFT_MESSAGE_PROPOSE || message->type == BFT_MESSAGE_PREPARE || message->type == BFT_MESSAGE_COMMIT ||
                     message->type == BFT_MESSAGE_TIMEOUT;
    if (send->sign && give_back) {
        own = pool_take(sizeof *own);
        *own = *message;
        last_seen(r, message);
    }
    bool vote = message->type == BFT_MESSAGE_PREPARE || message->type == BFT_MESSAGE_COMMIT;
    if (send->sign && vote && message->vote.ballot.height > r->voted_before) {
        uint32_t index = block_find(r, &message->vote.ballot.block_id);
        if (index != NONE) r->blocks[index].voted = true;
    }
    if (send->sign && message->type == BFT_MESSAGE_COMMIT) measure_prepared(r, &message->vote.ballot.block_id);
    if (message->type == BFT_MESSAGE_STATUS) {
        blob_drop(r->peer_status_bytes[r->me]);
        r->peer_status_bytes[r->me] = blob_hold(pieces[0].blob);
    }
    held_send_add(r, send->to, message->type, pieces, count, own);
    blob_drop(pieces[0].blob);
}

/* ---- actions ---- */

static void fetch_send(struct replica *r, const struct bft_action *action) {
    uint8_t peer = action->peer;
    for (uint32_t tries = 0; tries < r->members.n && (peer >= r->members.n || peer == r->me || !r->member_up[peer]); tries++)
        peer = (uint8_t)((peer + 1u) % r->members.n);
    if (peer == r->me || !r->member_up[peer]) return;
    struct bft_message message = {.type = BFT_MESSAGE_FETCH, .fetch = action->fetch};
    size_t bytes = bft_wire_encode(&message, r->scratch, BFT_WIRE_HEAD_BYTES_MAX);
    r->status.fetches++;
    output_send_blob(r, peer_member(peer), BFT_MESSAGE_FETCH, blob_copy(r->scratch, bytes));
}

static void update_actions(struct replica *r) {
    for (uint32_t i = 0; i < r->update->action_count; i++) {
        const struct bft_action *action = &r->update->actions[i];
        switch (action->type) {
        case BFT_DO_HOLD: block_hold(r, action); break;
        case BFT_DO_EXECUTE: block_execute(r, action); break;
        case BFT_DO_FINAL: block_final(r, action); break;
        case BFT_DO_DROP: block_drop(r, action); break;
        case BFT_DO_FETCH: fetch_send(r, action); break;
        case BFT_DO_SERVE_EPOCH:
            replica_note(r, LOG_LEVEL_DEBUG, "epoch_behind", "member=%u epoch=%llu", action->peer, (unsigned long long)action->epoch);
            if (action->peer < r->members.n) epoch_serve(r, peer_member(action->peer), action->epoch);
            break;
        case BFT_DO_EPOCH: epoch_begin(r); break;
        }
    }
}

/* What is to be durable with this step. A suffix block (B-41) is held and prepared in the very step in which it came: nothing of it is executed. */
static uint32_t block_to_store(struct replica *r, const struct bft_hash *id) {
    uint32_t index = block_find(r, id);
    for (uint32_t i = 0; index == NONE && i < r->update->action_count; i++) {
        const struct bft_action *action = &r->update->actions[i];
        if (action->type != BFT_DO_HOLD || !bft_hash_equal(&action->block_id, id)) continue;
        block_hold(r, action); /* its turn comes again with the other actions, which changes nothing */
        index = block_find(r, id);
    }
    return index;
}

static void core_step(struct replica *r, struct bft_event *event) {
    struct bft_update *update = r->update;
    event->now_ms = r->now_ms;
    bft_step(r->core, event, update);
    if (update->memory_changed && r->memory_epoch == 0) r->memory_dirty = true; /* an observer's does not take the place of the key's */
    /* The body of an own block is known only here. Nothing leaves before the flush. */
    for (uint32_t i = 0; i < update->send_count; i++) {
        if (update->sends[i].message.type != BFT_MESSAGE_PROPOSE || !update->sends[i].sign) continue;
        struct blob_piece piece;
        (void)send_body(r, &update->sends[i].message, &piece);
    }
    for (uint32_t i = 0; i < update->store_count; i++) {
        uint32_t index = block_to_store(r, &update->store_ids[i]);
        if (index != NONE) block_store(r, index);
    }
    for (uint32_t i = 0; i < update->send_count; i++) update_send(r, &update->sends[i]);
    update_actions(r);
    update_notes(r);
    r->offer = update->offer;
    r->core_deadline_ms = update->deadline_ms;
}

void replica_run(struct replica *r) {
    while (r->event_count > 0 && !r->stopping) {
        struct queued_event queued = r->events[r->event_first];
        r->event_first = (r->event_first + 1) % EVENTS_MAX;
        r->event_count--;
        core_step(r, &queued.event);
        pool_give(queued.message);
    }
}

/* ---- frames ---- */

/* On its signer's own link the order of coming is the order of saying; one that another member passes on may be old. */
static void status_take(struct replica *r, uint8_t link, const struct bft_status *status, struct blob_piece payload) {
    uint8_t from = status->signer;
    /* The core verifies nothing of another epoch's. */
    if (from >= r->members.n || from == r->me || !bft_place_equal(&status->place, &r->members.place)) return;
    if (link == from) r->peer_heard_ms[from] = r->now_ms;
    if (link != from && r->has_peer_status[from] && status->time <= r->peer_status[from].time) return;
    r->peer_status[from] = *status;
    r->has_peer_status[from] = true;
    r->peer_status_ms[from] = r->now_ms;
    blob_drop(r->peer_status_bytes[from]);
    r->peer_status_bytes[from] = blob_copy(blob_piece_bytes(&payload), payload.count);
}

static bool verified(struct replica *r, struct replica_peer from, enum bft_verify_error error) {
    if (error == BFT_VERIFY_OK) return true;
    drop_count(r, error == BFT_VERIFY_SIGNATURE ? DROP_CONSENSUS_SIGNATURE : DROP_CONSENSUS_INVALID);
    if (error == BFT_VERIFY_SIGNATURE) attack_seen(r, ATTACK_BAD_SIGNATURE, from);
    return false;
}

void consensus_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload) {
    struct bft_message *message = r->message;
    enum bft_wire_error wire = bft_wire_decode(type, blob_piece_bytes(&payload), payload.count, message);
    if (wire != BFT_WIRE_OK) {
        drop_count(r, DROP_MALFORMED);
        attack_seen(r, ATTACK_BAD_PROPOSAL, from);
        return;
    }
    if (type == BFT_MESSAGE_FETCH) {
        block_fetch_frame(r, from, &message->fetch);
        return;
    }
    if (r->replaying || (type == BFT_MESSAGE_BLOCK && scrub_block_take(r, from, message, payload))) return;
    /* A node that is behind sees no decision for a while whoever leads: the clock of a NOOP (B-50) would tell it nothing about the leader. */
    if (type == BFT_MESSAGE_NOOP && r->patient_ms != 0 && r->now_ms - r->patient_ms <= TICK_MS) {
        drop_count(r, DROP_CONSENSUS_STALE);
        return;
    }
    bool wanted = bft_core_wants(r->core, message, from.member);
    if (!wanted && type != BFT_MESSAGE_STATUS) {
        if (verified(r, from, last_late(r, from.member, message))) drop_count(r, DROP_CONSENSUS_STALE);
        return;
    }
    if (type == BFT_MESSAGE_STATUS && !question_allowed(r, &r->status_rates[from.member])) return; /* each costs a signature's check */
    if (type == BFT_MESSAGE_STATUS && !later_status(r, from, message)) {
        (void)verified(r, from, BFT_VERIFY_SIGNATURE);
        return;
    }
    if (persist_behind(r) && type != BFT_MESSAGE_STATUS) {
        if (verified(r, from, last_late(r, from.member, message))) drop_count(r, DROP_DISK_BEHIND);
        return;
    }
    if (!verified(r, from, bft_core_verify(r->core, &r->signer, message))) return;
    if (type == BFT_MESSAGE_STATUS) status_take(r, from.member, &message->status, payload);
    if (!wanted || r->behind) return;
    last_seen(r, message);
    struct bft_event event = {.type = BFT_EVENT_MESSAGE, .from = from.member, .message = message};
    /* Stepped at once, not queued: the body lies in the frame. What is queued already comes first. */
    replica_run(r);
    if (message->body != NULL)
        r->current = (struct blob_piece){.blob = payload.blob, .offset = (size_t)(message->body - payload.blob->bytes), .count = message->body_bytes};
    core_step(r, &event);
    r->current.blob = NULL;
}
