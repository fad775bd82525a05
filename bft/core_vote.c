/*
 * Votes and QCs: counting them, and the two rules by which a member votes (spec/consensus.md B-20 to B-25).
 *
 * Safety in short. Two prepare QCs of one (view, height) cannot differ: an honest member prepares once per (view, height) and its memory of that is
 * durable before the vote leaves. A block with a commit QC of view v has f+1 honest members whose high is at least its rank when they send
 * TIMEOUT(v) (the commit rule raises the high first and nobody votes after TIMEOUT); a TC(v) has one of them, so its highest Q* ranks at least as
 * high; a QC of view v at or above that height is on the same branch, because within a view everybody prepares along one chain (rule (b)) that began
 * at one block per member (rule (a), used once). So the next view builds on the committed block. The same holds for each later view by induction.
 */
#include "bft/core_internal.h"

static struct bft_vote_slot *slot_of(struct bft_core *core, uint8_t kind, uint64_t height, uint8_t signer) {
    return &core->votes[kind][height % BFT_SLOTS][signer];
}

static bool slot_is(const struct bft_vote_slot *slot, const struct bft_ballot *ballot) {
    return slot->height == ballot->height && slot->view == ballot->view && bft_hash_equal(&slot->block_id, &ballot->block_id) &&
           bft_hash_equal(&slot->outbox_root, &ballot->outbox_root);
}

void bft_vote_of_slot(const struct bft_core *core, const struct bft_vote_slot *slot, uint8_t kind, uint8_t signer, struct bft_vote *vote) {
    memset(vote, 0, sizeof *vote);
    vote->ballot.place = core->members.place;
    vote->ballot.view = slot->view;
    vote->ballot.height = slot->height;
    vote->ballot.block_id = slot->block_id;
    vote->ballot.outbox_root = slot->outbox_root;
    vote->kind = kind;
    vote->signer = signer;
    vote->signature = slot->signature;
}

/* B-6: the first q signers, by index, of one ballot; false if there are fewer. */
static bool qc_make(struct bft_core *core, uint8_t kind, const struct bft_ballot *ballot, struct bft_qc *qc) {
    qc->count = 0;
    for (uint8_t i = 0; i < core->members.n && qc->count < core->members.q; i++) {
        const struct bft_vote_slot *slot = slot_of(core, kind, ballot->height, i);
        if (!slot_is(slot, ballot)) continue;
        qc->signers[qc->count] = i;
        qc->signatures[qc->count++] = slot->signature;
    }
    if (qc->count < core->members.q) return false;
    qc->kind = kind;
    qc->ballot = *ballot;
    return true;
}

static void qc_use(struct step *step, const struct bft_qc *qc) {
    if (qc->kind == BFT_PREPARE) bft_vote_prepare_qc(step, qc);
    else bft_table_finalize(step, qc);
}

/*
 * B-18, B-80. Whoever signs two things for one place is no honest program, so its views end at once (bft_view_timers). The others may have but one of
 * the two each: they get both, the one that counts first, once for each liar. What it signed proves itself, whoever brings it.
 */
static void contradiction(struct step *step, const struct bft_vote_slot *slot, const struct bft_vote *vote) {
    struct bft_core *core = step->core;
    struct bft_vote *evidence = step->update->evidence;
    bft_vote_of_slot(core, slot, vote->kind, vote->signer, &evidence[0]);
    evidence[1] = *vote;
    bft_step_note(step, BFT_NOTE_EQUIVOCATION, vote->signer, vote->kind, &vote->ballot.block_id);
    if (core->lied[vote->signer] || vote->signer == core->me) return; /* my key in other hands is for its owner to retire */
    core->lied[vote->signer] = true;
    step->again = true;
    if (core->me == BFT_NOBODY) return;
    uint16_t type = vote->kind == BFT_PREPARE ? BFT_MESSAGE_PREPARE : BFT_MESSAGE_COMMIT;
    for (uint32_t i = 0; i < 2; i++) bft_step_send(step, BFT_TO_ALL, type, false)->message.vote = evidence[i];
}

/*
 * A member prepared another block of this place than the one that the leader prepared as I know it: the leader showed each of us another, or the
 * member lies. The leader's vote, which came with its PROPOSE and to me alone perhaps, goes to that member: an honest one sees the contradiction.
 * Of two honest ones that prepared two blocks, one hears the other's PREPARE after its own, so one of them at least does this. It goes to who gave
 * the other PREPARE, once for each: a liar gets no more by it than it sends.
 */
static void leader_vote_show(struct step *step, const struct bft_vote *vote) {
    struct bft_core *core = step->core;
    const struct bft_ballot *ballot = &vote->ballot;
    uint8_t leader = bft_leader(&core->members, ballot->view);
    bool others = vote->signer != core->me && vote->signer != leader && leader != core->me;
    if (vote->kind != BFT_PREPARE || !others || core->me == BFT_NOBODY || core->lied[leader]) return;
    const struct bft_vote_slot *slot = slot_of(core, BFT_PREPARE, ballot->height, leader);
    if (slot->height != ballot->height || slot->view != ballot->view || slot_is(slot, ballot)) return;
    bft_vote_of_slot(core, slot, BFT_PREPARE, leader, &bft_step_send(step, vote->signer, BFT_MESSAGE_PREPARE, false)->message.vote);
}

/*
 * Of each member the vote of the highest (view, height) per slot is kept: honest members' ranks only grow, so a liar displaces nobody's votes but its
 * own. A second, different vote for one place is evidence and does not count.
 */
void bft_vote_record(struct step *step, const struct bft_vote *vote) {
    struct bft_core *core = step->core;
    const struct bft_ballot *ballot = &vote->ballot;
    struct bft_vote_slot *slot = slot_of(core, vote->kind, ballot->height, vote->signer);
    if (slot->height != 0) {
        int order = bft_rank_compare(ballot->view, ballot->height, slot->view, slot->height);
        if (order < 0) return;
        if (order == 0) {
            if (slot_is(slot, ballot)) return;
            contradiction(step, slot, vote);
            return;
        }
    }
    slot->view = ballot->view;
    slot->height = ballot->height;
    slot->block_id = ballot->block_id;
    slot->outbox_root = ballot->outbox_root;
    slot->signature = vote->signature;
    step->again = true;
    leader_vote_show(step, vote);
    struct bft_qc qc;
    memset(&qc, 0, sizeof qc);
    if (qc_make(core, vote->kind, ballot, &qc)) qc_use(step, &qc);
}

/* On entering a view: votes of it may have come before. */
void bft_vote_rescan(struct step *step) {
    struct bft_core *core = step->core;
    for (uint32_t s = 0; s < BFT_SLOTS; s++) {
        for (uint8_t i = 0; i < core->members.n; i++) {
            const struct bft_vote_slot *slot = &core->votes[BFT_PREPARE][s][i];
            if (slot->height == 0 || slot->view != core->memory.view) continue;
            struct bft_vote vote;
            bft_vote_of_slot(core, slot, BFT_PREPARE, i, &vote);
            struct bft_qc qc;
            memset(&qc, 0, sizeof qc);
            if (qc_make(core, BFT_PREPARE, &vote.ballot, &qc)) bft_vote_prepare_qc(step, &qc);
        }
    }
}

/* ---- the commit rule (B-22) ---- */

/* The high only rises. A QC of a view above mine is kept out of it: my TIMEOUT for this view could not carry it (B-8). It is looked at again when
 * that view is entered. */
void bft_vote_raise_high(struct step *step, const struct bft_qc *qc) {
    struct bft_memory *memory = &step->core->memory;
    const struct bft_ballot *ballot = &qc->ballot;
    const struct bft_ballot *high = &memory->high_qc.ballot;
    if (ballot->view > memory->view) return;
    if (memory->has_high && bft_rank_compare(ballot->view, ballot->height, high->view, high->height) <= 0) return;
    memory->has_high = true;
    memory->high_qc = *qc;
    step->update->memory_changed = true;
    step->again = true;
}

/*
 * First the high, then the vote, and that for a QC of my own current view and before TIMEOUT only: else a TC of that view might lack the QC, and the
 * next leader would build beside a block that was committed.
 */
void bft_vote_prepare_qc(struct step *step, const struct bft_qc *qc) {
    struct bft_core *core = step->core;
    struct bft_memory *memory = &core->memory;
    const struct bft_ballot *ballot = &qc->ballot;
    bft_vote_raise_high(step, qc);
    if (!bft_step_may_sign(core) || memory->timed_out || ballot->view != memory->view) return;
    const struct bft_ballot *last = &memory->committed;
    if (memory->has_committed && bft_rank_compare(ballot->view, ballot->height, last->view, last->height) <= 0) return;
    memory->has_committed = true;
    memory->committed = *ballot;
    step->update->memory_changed = true;
    struct bft_vote *vote = &bft_step_send(step, BFT_TO_ALL, BFT_MESSAGE_COMMIT, true)->message.vote;
    memset(vote, 0, sizeof *vote);
    vote->ballot = *ballot;
    vote->kind = BFT_COMMIT;
    vote->signer = core->me;
}

/* ---- the prepare rule (B-21) ---- */

/* The leader's own PREPARE for this very block is held. */
bool bft_vote_leader_voted(const struct bft_core *core, const struct bft_block *block) {
    uint8_t leader = bft_leader(&core->members, block->header.view);
    const struct bft_vote_slot *slot = &core->votes[BFT_PREPARE][block->header.height % BFT_SLOTS][leader];
    struct bft_ballot ballot;
    bft_header_ballot(&block->header, &block->id, &ballot);
    return slot_is(slot, &ballot);
}

static bool prepared_in_view(const struct bft_core *core) {
    return core->memory.has_prepared && core->memory.prepared.view == core->memory.view;
}

/*
 * Rules (a) and (b). (a): the first that I prepare in this view stands on Q*, the highest of the TC, never compared with my own lock: my lock may
 * be a QC that no q members have seen, and Q* is what the quorum agreed to go on from. Once only: a second use would let a leader start two chains
 * in one view. (b): after that along the chain that I prepared, or above what has a commit QC of this same view, for those who missed a part.
 */
bool bft_vote_parent_allowed(struct bft_core *core, const struct bft_block *block) {
    const struct bft_header *header = &block->header;
    if (!prepared_in_view(core)) {
        bool on_base = core->first_height != 0 && bft_hash_equal(&header->parent_id, &core->base.id);
        if (block->first || on_base) return true;
    } else if (bft_hash_equal(&header->parent_id, &core->memory.prepared.block_id)) {
        return true;
    }
    return core->final_by_qc && core->final_view == core->memory.view && bft_hash_equal(&header->parent_id, &core->final.id);
}

/* B-21 but for execution, time and window: the next block of this view that I could prepare; NULL if there is none. */
struct bft_block *bft_vote_candidate(struct bft_core *core) {
    struct bft_block *best = NULL;
    if (core->memory.timed_out || core->halted || core->sealed) return NULL;
    for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) {
        if (core->block_keys[i] == 0) continue;
        struct bft_block *block = &core->blocks[i];
        const struct bft_header *header = &block->header;
        if (block->bad || block->final || block->execution == BFT_WRONG) continue;
        if (header->view != core->memory.view || header->place.epoch != core->members.place.epoch) continue;
        if (header->height <= core->final.height) continue;
        if (prepared_in_view(core) && header->height <= core->memory.prepared.height) continue;
        if (best && best->header.height <= header->height) continue;
        if (!bft_vote_leader_voted(core, block) || !bft_vote_parent_allowed(core, block)) continue;
        best = block;
    }
    return best;
}

/* Its parent is of an earlier view or epoch. */
bool bft_vote_first_of_view(const struct bft_header *header, const struct bft_header *parent) {
    return parent->place.epoch < header->place.epoch || parent->view < header->view;
}

/* B-21 d: inside the window, or the first of its view and empty; not beyond the leader's turn. */
static bool height_allowed(const struct bft_core *core, const struct bft_block *block, const struct bft_block *parent) {
    const struct bft_header *header = &block->header;
    bool first = bft_vote_first_of_view(header, &parent->header);
    struct bft_hash empty = bft_body_hash_empty();
    bool exempt = first && bft_hash_equal(&header->body_hash, &empty);
    if (header->height > core->final.height + core->limits.window_blocks && !exempt) return false;
    return first || core->first_height == 0 || header->height <= core->first_height + core->limits.rotation_blocks;
}

/* B-24. False: not yet; step->retry_ms says when to look again. */
static bool time_allowed(struct step *step, const struct bft_block *block, const struct bft_block *parent) {
    uint64_t limit = bft_core_time(step->core, step->core->now_ms) + BFT_TIME_AHEAD_MS;
    if (block->header.time <= limit || block->header.time == parent->header.time) return true;
    uint64_t wait = block->header.time - limit;
    if (wait < 1u << 30 && step->core->now_ms + wait < step->retry_ms) step->retry_ms = step->core->now_ms + wait;
    return false;
}

static void prepare(struct step *step, struct bft_block *block, bool first) {
    struct bft_core *core = step->core;
    struct bft_memory *memory = &core->memory;
    if (first) core->first_height = block->header.height;
    memory->has_prepared = true;
    bft_header_ballot(&block->header, &block->id, &memory->prepared);
    step->update->memory_changed = true;
    step->again = true;
    bft_step_store(step, block);
    struct bft_vote *vote = &bft_step_send(step, BFT_TO_ALL, BFT_MESSAGE_PREPARE, true)->message.vote;
    memset(vote, 0, sizeof *vote);
    vote->ballot = memory->prepared;
    vote->kind = BFT_PREPARE;
    vote->signer = core->me;
}

void bft_vote_try_prepare(struct step *step) {
    struct bft_core *core = step->core;
    if (!bft_step_may_sign(core) || core->memory.timed_out) return;
    if (bft_leader(&core->members, core->memory.view) == core->me) return; /* its PREPARE went with its PROPOSE */
    struct bft_block *block = bft_vote_candidate(core);
    if (!block || block->execution != BFT_EXECUTED || !block->held) return;
    struct bft_block *parent = bft_table_find(core, &block->header.parent_id);
    if (!parent || !height_allowed(core, block, parent) || !time_allowed(step, block, parent)) return;
    prepare(step, block, bft_vote_first_of_view(&block->header, &parent->header));
}
