/*
 * STATUS, and what is sent to those who lack something (spec/consensus.md B-14, B-36, B-45, B-70 to B-76); NOOP (B-15).
 *
 * Links lose messages when they break. Instead of acknowledging each, members show each other where they are: a STATUS every T, and every T/4 while
 * nothing moves. Whoever sees that another lacks something that it has sends that, at most once per T/8 to each. Nothing here is ever
 * believed: what is sent proves itself.
 */
#include "bft/core_internal.h"

enum {
    REPAIR_PROPOSALS_MAX = 4,
    REPAIR_SENDS_MAX = BFT_SENDS_MAX - 40, /* the rest is for votes */
};

uint64_t bft_repair_interval(const struct bft_core *core) {
    return core->limits.view_base_ms / 4 + 1;
}

/* May I send this member a repair now? */
bool bft_repair_due(const struct bft_core *core, uint8_t member) {
    if (member > BFT_MEMBERS_MAX) member = BFT_MEMBERS_MAX;
    return core->repaired_ms[member] == 0 || core->now_ms >= core->repaired_ms[member] + core->limits.view_base_ms / 8;
}

static bool repair_begin(struct step *step, uint8_t member) {
    if (!bft_repair_due(step->core, member)) return false;
    step->core->repaired_ms[member < BFT_MEMBERS_MAX ? member : BFT_MEMBERS_MAX] = step->core->now_ms;
    return true;
}

/* ---- where I am ---- */

/* Nothing moved for a while although something ought to. */
bool bft_repair_stuck(const struct bft_core *core) {
    bool work = core->pending || core->memory.timed_out || core->pending_qc.count > 0 || core->waiting.count > 0 || core->noop_wanted;
    bool behind = false;
    for (uint32_t i = 0; i < BFT_WANTS_MAX; i++) work = work || core->wants[i].used;
    for (uint32_t i = 0; i < core->members.n; i++) behind = behind || core->peer_final[i].height > core->final.height;
    return (work || behind) && core->now_ms >= core->progress_ms + bft_repair_interval(core);
}

void bft_repair_send_status(struct step *step, uint8_t to) {
    struct bft_core *core = step->core;
    if (core->me == BFT_NOBODY) return;
    struct bft_status *status = &bft_step_send(step, to, BFT_MESSAGE_STATUS, true)->message.status;
    memset(status, 0, sizeof *status);
    status->place = core->members.place;
    status->view = core->memory.view;
    status->final = core->final;
    status->high.block = core->members.start;
    if (core->memory.has_high) {
        status->high.view = core->memory.high_qc.ballot.view;
        status->high.block.height = core->memory.high_qc.ballot.height;
        status->high.block.id = core->memory.high_qc.ballot.block_id;
    }
    if (core->memory.has_prepared) {
        status->prepared_view = core->memory.prepared.view;
        status->prepared_height = core->memory.prepared.height;
    }
    status->time = bft_core_time(core, core->now_ms);
    int flags = (core->memory.timed_out ? BFT_STATUS_TIMED_OUT : 0) | (bft_step_may_sign(core) ? BFT_STATUS_VOTING : 0) |
                (bft_repair_stuck(core) ? BFT_STATUS_REPAIR : 0) | (core->sealed ? BFT_STATUS_SEALED : 0);
    status->flags = (uint8_t)flags;
    status->signer = core->me;
}

/* B-70. A member that timed out sends its TIMEOUT again with its STATUS (B-32: the same bytes). */
void bft_repair_tick(struct step *step) {
    struct bft_core *core = step->core;
    bool stuck = bft_repair_stuck(core);
    uint64_t interval = stuck ? bft_repair_interval(core) : core->limits.view_base_ms;
    if (core->now_ms < core->status_ms + interval) return;
    core->status_ms = core->now_ms;
    bft_repair_send_status(step, BFT_TO_ALL);
    if (!core->memory.timed_out || !bft_step_may_sign(core) || core->now_ms < core->timeout_ms + interval) return;
    core->timeout_ms = core->now_ms;
    bft_view_send_timeout(step, BFT_TO_ALL);
}

/* ---- what others lack ---- */

/* B-33: somebody spoke from a lower view: the TC that opened mine, or the TIMEOUT with which I joined it. */
void bft_repair_lower_view(struct step *step, uint8_t from, uint64_t view) {
    struct bft_core *core = step->core;
    if (view >= core->memory.view || from == core->me || !repair_begin(step, from)) return;
    if (core->memory.timed_out && bft_step_may_sign(core)) bft_view_send_timeout(step, from);
    else if (core->memory.tc.count > 0) bft_step_send(step, from, BFT_MESSAGE_TC, false)->message.tc = core->memory.tc;
}

/* B-45: of another epoch. Nothing of it can be verified here, nor is anything believed. A lower one gets CONFIG's certificate; of a higher one I
 * ask for the blocks that I lack. */
void bft_repair_other_epoch(struct step *step, uint8_t from, uint64_t epoch) {
    struct bft_core *core = step->core;
    if (from == core->me || !repair_begin(step, from)) return;
    if (epoch < core->members.place.epoch) {
        struct bft_action *action = bft_step_action(step, BFT_DO_SERVE_EPOCH);
        action->peer = from;
        action->epoch = epoch;
    } else if (core->now_ms >= core->fetch_ms + bft_repair_interval(core) || core->fetch_ms == 0) {
        core->fetch_ms = core->now_ms;
        core->fetch_last = core->final.height + BFT_FETCH_AHEAD;
        core->fetch_peer = from;
        struct bft_action *action = bft_step_action(step, BFT_DO_FETCH);
        action->peer = from;
        memcpy(action->fetch.system_id, core->members.place.system_id, BFT_SYSTEM_BYTES);
        action->fetch.cluster = core->members.place.cluster;
        action->fetch.kind = BFT_FETCH_HEIGHTS;
        action->fetch.height_first = core->final.height + 1;
        action->fetch.height_count = BFT_FETCH_AHEAD;
    }
}

/* What I proposed in this view and the other did not prepare. */
static void resend_proposals(struct step *step, uint8_t to, uint64_t above) {
    struct bft_core *core = step->core;
    uint64_t height = above > core->final.height ? above : core->final.height;
    for (uint32_t sent = 0; sent < REPAIR_PROPOSALS_MAX; sent++) {
        struct bft_block *next = NULL;
        for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) {
            struct bft_block *block = &core->blocks[i];
            if (core->block_keys[i] == 0 || block->header.view != core->memory.view || block->header.height <= height) continue;
            if (block->header.place.epoch != core->members.place.epoch || !bft_vote_leader_voted(core, block)) continue;
            if (!next || block->header.height < next->header.height) next = block;
        }
        if (!next) return;
        struct bft_message *message = &bft_step_send(step, to, BFT_MESSAGE_PROPOSE, false)->message;
        message->block_id = next->id;
        struct bft_propose *propose = &message->propose;
        memset(propose, 0, sizeof *propose);
        propose->header = next->header;
        bft_header_ballot(&next->header, &next->id, &propose->vote.ballot);
        propose->vote.kind = BFT_PREPARE;
        propose->vote.signer = core->me;
        propose->vote.signature = core->votes[BFT_PREPARE][next->header.height % BFT_SLOTS][core->me].signature;
        propose->has_tc = next->first && core->memory.view > 0;
        if (propose->has_tc) propose->tc = core->memory.tc;
        height = next->header.height;
    }
}

/* My votes of this view above what the other knows to be final: those that were durable and came back, so their signatures are here. */
static void resend_votes(struct step *step, uint8_t to, uint64_t above) {
    struct bft_core *core = step->core;
    for (uint8_t kind = BFT_PREPARE; kind <= BFT_COMMIT; kind++) {
        for (uint32_t s = 0; s < BFT_SLOTS; s++) {
            const struct bft_vote_slot *slot = &core->votes[kind][s][core->me];
            if (slot->height <= above || slot->view != core->memory.view || step->update->send_count >= REPAIR_SENDS_MAX) continue;
            uint16_t type = kind == BFT_PREPARE ? BFT_MESSAGE_PREPARE : BFT_MESSAGE_COMMIT;
            bft_vote_of_slot(core, slot, kind, core->me, &bft_step_send(step, to, type, false)->message.vote);
        }
    }
}

/* B-72: what a member in my view lacks. */
static void repair_same_view(struct step *step, uint8_t from, const struct bft_status *status) {
    struct bft_core *core = step->core;
    const struct bft_memory *memory = &core->memory;
    if (core->me == BFT_NOBODY) return;
    if (memory->timed_out) {
        if (bft_step_may_sign(core)) bft_view_send_timeout(step, from);
        return;
    }
    if (memory->has_high) {
        const struct bft_ballot *high = &memory->high_qc.ballot;
        if (bft_rank_compare(high->view, high->height, status->high.view, status->high.block.height) > 0)
            bft_step_send(step, from, BFT_MESSAGE_QC, false)->message.qc = memory->high_qc;
    }
    if (!bft_step_may_sign(core)) return;
    if (bft_leader(&core->members, memory->view) == core->me)
        resend_proposals(step, from, status->prepared_view == memory->view ? status->prepared_height : status->final.height);
    resend_votes(step, from, status->final.height);
}

/* B-45: f+1 members of the new epoch show a final block of it: a removed member need not stay. */
static void may_go(struct step *step) {
    struct bft_core *core = step->core;
    uint32_t count = 0;
    for (uint32_t i = 0; i < core->members.n; i++) count += core->peer_final[i].height > core->members.start.height;
    if (count < core->members.f + 1) return;
    core->removed = false;
    bft_step_note(step, BFT_NOTE_REMOVED_MAY_GO, BFT_NOBODY, 0, NULL);
}

void bft_repair_status(struct step *step, uint8_t from, const struct bft_status *status) {
    struct bft_core *core = step->core;
    uint8_t member = status->signer;
    core->peer_final[member] = status->final;
    core->peer_epoch[member] = status->place.epoch;
    if (core->removed) may_go(step);
    if (status->final.height > core->final.height) bft_repair_fetch(step);
    if (from != member) return; /* repaired is who speaks on its own link */
    if (status->view > core->memory.view && repair_begin(step, member)) {
        bft_repair_send_status(step, member); /* it sees that I am behind, and sends the TC */
        return;
    }
    if (status->view < core->memory.view) bft_repair_lower_view(step, from, status->view);
    bool wants = (status->flags & BFT_STATUS_REPAIR) != 0;
    bool lacks_final = status->final.height < core->final.height;
    if ((!wants && !lacks_final) || (status->view == core->memory.view && !repair_begin(step, member))) return;
    struct bft_block *final = lacks_final ? bft_table_find(core, &core->final.id) : NULL;
    if (final && final->commit_qc.count > 0 && final->header.place.epoch == core->members.place.epoch)
        bft_step_send(step, from, BFT_MESSAGE_QC, false)->message.qc = final->commit_qc;
    if (wants && status->view == core->memory.view) repair_same_view(step, from, status);
}

/* ---- what I lack: final blocks, from one who has them ---- */

/* A member that shows (or pretends) final blocks above mine, after the one asked last. */
static bool peer_ahead(const struct bft_core *core, uint8_t *peer) {
    uint64_t known = core->pending_qc.count > 0 ? core->pending_qc.ballot.height : 0;
    for (uint32_t i = 1; i <= core->members.n; i++) {
        uint8_t next = (uint8_t)((core->fetch_peer + i) % core->members.n);
        if (next == core->me) continue;
        if (core->peer_final[next].height <= core->final.height && known <= core->final.height + BFT_WINDOW_MAX) continue;
        *peer = next;
        return true;
    }
    return false;
}

/* B-74: ask again when the last range has come, or when nothing came for an interval (then another member). */
void bft_repair_fetch(struct step *step) {
    struct bft_core *core = step->core;
    bool came = core->fetch_last != 0 && core->final.height >= core->fetch_last;
    bool late = core->fetch_ms == 0 || core->now_ms >= core->fetch_ms + bft_repair_interval(core);
    if (core->final.height >= core->applied.height + BFT_FETCH_AHEAD || core->sealed || core->halted) return;
    uint8_t peer = core->fetch_peer;
    if ((!came && !late) || !peer_ahead(core, &peer)) return;
    if (!came) bft_step_note(step, BFT_NOTE_BEHIND, peer, 0, NULL);
    core->fetch_peer = peer;
    core->fetch_ms = core->now_ms;
    uint64_t room = core->applied.height + BFT_FETCH_AHEAD - core->final.height;
    core->fetch_last = core->final.height + room;
    struct bft_action *action = bft_step_action(step, BFT_DO_FETCH);
    action->peer = peer;
    memcpy(action->fetch.system_id, core->members.place.system_id, BFT_SYSTEM_BYTES);
    action->fetch.cluster = core->members.place.cluster;
    action->fetch.kind = BFT_FETCH_HEIGHTS;
    action->fetch.height_first = core->final.height + 1;
    action->fetch.height_count = (uint32_t)room;
}

/* B-63: after a restart the newest of what I signed goes out again. */
void bft_repair_resend(struct step *step) {
    struct bft_core *core = step->core;
    const struct bft_memory *memory = &core->memory;
    if (!core->resend || !bft_step_may_sign(core)) return;
    core->resend = false;
    if (memory->timed_out) {
        bft_view_send_timeout(step, BFT_TO_ALL);
        return;
    }
    for (uint8_t kind = BFT_PREPARE; kind <= BFT_COMMIT; kind++) {
        bool has = kind == BFT_PREPARE ? memory->has_prepared : memory->has_committed;
        const struct bft_ballot *ballot = kind == BFT_PREPARE ? &memory->prepared : &memory->committed;
        if (!has || ballot->view != memory->view || ballot->height <= core->final.height) continue;
        struct bft_vote *vote =
            &bft_step_send(step, BFT_TO_ALL, kind == BFT_PREPARE ? BFT_MESSAGE_PREPARE : BFT_MESSAGE_COMMIT, true)->message.vote;
        memset(vote, 0, sizeof *vote);
        vote->ballot = *ballot;
        vote->kind = kind;
        vote->signer = core->me;
    }
}

/* ---- NOOP ---- */

static void noop_want(struct bft_core *core) {
    if (core->noop_wanted) return;
    core->noop_wanted = true;
    core->noop_since_ms = core->now_ms;
}

/* B-15: a member asks for one decision. Counted as an input that waits since I handed it to the leader; from one member at most one per T. */
void bft_repair_noop(struct step *step, const struct bft_message *message) {
    struct bft_core *core = step->core;
    uint8_t signer = message->noop.signer;
    if (message->noop.nonce <= core->noop_nonce[signer]) return;
    if (core->noop_ms[signer] != 0 && core->now_ms < core->noop_ms[signer] + core->limits.view_base_ms) return;
    core->noop_nonce[signer] = message->noop.nonce;
    core->noop_ms[signer] = core->now_ms;
    noop_want(core);
    step->again = true;
    uint8_t leader = bft_leader(&core->members, core->memory.view);
    if (leader == core->me || leader == signer || signer == core->me) return;
    bft_step_send(step, leader, BFT_MESSAGE_NOOP, false)->message.noop = message->noop;
}

void bft_repair_noop_own(struct step *step, uint64_t nonce) {
    struct bft_core *core = step->core;
    if (core->me == BFT_NOBODY || core->retired) return;
    struct bft_noop *noop = &bft_step_send(step, BFT_TO_ALL, BFT_MESSAGE_NOOP, true)->message.noop;
    memset(noop, 0, sizeof *noop);
    memcpy(noop->system_id, core->members.place.system_id, BFT_SYSTEM_BYTES);
    noop->cluster = core->members.place.cluster;
    noop->epoch = core->members.place.epoch;
    noop->nonce = nonce;
    noop->signer = core->me;
    noop_want(core);
    step->again = true;
}
