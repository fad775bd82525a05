/*
 * The table of blocks: headers above (and a few below) the last final block, what is known of each, which are final, which are wanted.
 *
 * Bound (B-27): a branch grows beyond `final` by at most W in one view and by one more per later view, and only in a view that ended with a prepare
 * QC and without a commit QC; the timers double, so BFT_BLOCKS_MAX is out of reach for a network that ever delivers. When the table is full a new
 * header is refused (it can be fetched again), never one that is final or on the executed branch thrown out.
 */
#include "bft/core_internal.h"

enum {
    KEPT_BELOW = 32,    /* applied blocks that stay in the table, for certificates and STATUS */
    KEPT_PREPARED = 64, /* B-27: prepared ones of earlier views */
};
_Static_assert(150 + KEPT_BELOW + KEPT_PREPARED <= BFT_BLOCKS_MAX, "the branch of B-27 fits beside them");

static uint64_t key_of(const struct bft_hash *id) {
    uint64_t key;
    memcpy(&key, id->bytes, sizeof key);
    return key | 1; /* 0 means unused */
}

struct bft_block *bft_table_find(struct bft_core *core, const struct bft_hash *id) {
    uint64_t key = key_of(id);
    for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) {
        if (core->block_keys[i] == key && bft_hash_equal(&core->blocks[i].id, id)) return &core->blocks[i];
    }
    return NULL;
}

static void forget(struct step *step, struct bft_block *block) {
    struct bft_core *core = step->core;
    if (block->holding) bft_step_action(step, BFT_DO_DROP)->block_id = block->id;
    core->block_keys[block - core->blocks] = 0;
    memset(block, 0, offsetof(struct bft_block, id));
}

/* Marks a branch from `id` down to the last applied block as worth keeping. */
static void keep_branch(struct bft_core *core, const struct bft_hash *id, bool keep[BFT_BLOCKS_MAX]) {
    struct bft_block *block = bft_table_find(core, id);
    while (block && !keep[block - core->blocks]) {
        keep[block - core->blocks] = true;
        block = bft_table_find(core, &block->header.parent_id);
    }
}

/* Is every block from this one down to the applied one still here? */
static bool branch_whole(struct bft_core *core, const struct bft_hash *id) {
    while (!bft_hash_equal(id, &core->applied.id)) {
        struct bft_block *block = bft_table_find(core, id);
        if (!block || block->header.height <= core->applied.height) return false;
        id = &block->header.parent_id;
    }
    return true;
}

static bool ranks_above(const struct bft_block *a, const struct bft_block *b) {
    return bft_rank_compare(a->header.view, a->header.height, b->header.view, b->header.height) > 0;
}

/*
 * B-27: what I prepared above my high. Somebody may hold a prepare QC of it that nobody else has seen (f of its votes never left him), and show it
 * when the views after it have failed; then every TC names it, and each leader must build on it. Once my high ranks above it that is over: q members
 * prepared it, so each TC has the TIMEOUT of an honest one of them. The highest KEPT_PREPARED of them, so that they never crowd out the branch.
 */
static void keep_prepared(struct bft_core *core, bool keep[BFT_BLOCKS_MAX]) {
    const struct bft_ballot *high = &core->memory.high_qc.ballot;
    uint32_t kept[KEPT_PREPARED], count = 0;
    for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) {
        const struct bft_block *block = &core->blocks[i];
        if (!block->used || !block->stored || block->final || block->header.place.epoch != core->members.place.epoch) continue;
        if (core->memory.has_high && bft_rank_compare(block->header.view, block->header.height, high->view, high->height) <= 0) continue;
        uint32_t at = count < KEPT_PREPARED ? count++ : KEPT_PREPARED;
        for (; at > 0 && ranks_above(block, &core->blocks[kept[at - 1]]); at--) {
            if (at < KEPT_PREPARED) kept[at] = kept[at - 1];
        }
        if (at < KEPT_PREPARED) kept[at] = i;
    }
    for (uint32_t i = 0; i < count; i++) keep_branch(core, &core->blocks[kept[i]].id, keep);
}

/*
 * Forgets what can no longer matter: blocks that lost (not final at or below the final height, or of another epoch's suffix), final ones well below
 * the applied one, and blocks of earlier views that are on no branch that a rule of the current view can name: Q*'s, the high QC's, the newest
 * prepared one's, the final one's, the executed one's, and that were not prepared here above the high.
 */
void bft_table_collect(struct step *step) {
    struct bft_core *core = step->core;
    bool keep[BFT_BLOCKS_MAX] = {false};
    keep_branch(core, &core->final.id, keep);
    keep_branch(core, &core->base.id, keep);
    keep_branch(core, &core->executed_tip, keep);
    if (core->memory.has_high) keep_branch(core, &core->memory.high_qc.ballot.block_id, keep);
    if (core->memory.has_prepared) keep_branch(core, &core->memory.prepared.block_id, keep);
    keep_prepared(core, keep);
    if (core->pending_qc.count > 0) keep_branch(core, &core->pending_qc.ballot.block_id, keep);
    for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) {
        struct bft_block *block = &core->blocks[i];
        if (!block->used) continue;
        bool old_suffix = block->header.place.epoch < core->members.place.epoch && block->header.height > core->members.start.height;
        bool lost = !block->final && block->header.height <= core->final.height;
        bool deep = block->final && block->header.height + KEPT_BELOW < core->applied.height;
        bool stale = !block->final && block->header.view < core->memory.view && !keep[i];
        if (old_suffix || lost || deep || stale) forget(step, block);
    }
    CHECK(bft_table_find(core, &core->applied.id) != NULL);
    if (!branch_whole(core, &core->executed_tip)) bft_run_branch_at(core, &core->applied.id);
}

/* INPUTS_HELD comes for what is held; a suffix block has no body to hold, and nobody executes it, but it is held like any other until it is known
 * to be one. */
void bft_table_hold(struct step *step, struct bft_block *block) {
    if (block->holding) return;
    block->holding = true;
    struct bft_action *action = bft_step_action(step, BFT_DO_HOLD);
    action->block_id = block->id;
    action->header = block->header;
}

static void unwant(struct bft_core *core, const struct bft_hash *id) {
    for (uint32_t i = 0; i < BFT_WANTS_MAX; i++) {
        if (core->wants[i].used && bft_hash_equal(&core->wants[i].id, id)) core->wants[i].used = false;
    }
}

/* Takes a header in, or adds the body to one that was known without. NULL: there is no room. */
struct bft_block *bft_table_take(struct step *step, const struct bft_header *header, const struct bft_hash *id, bool has_body) {
    struct bft_core *core = step->core;
    struct bft_block *block = bft_table_find(core, id);
    if (!block) {
        for (int round = 0; round < 2 && !block; round++) {
            for (uint32_t i = 0; i < BFT_BLOCKS_MAX && !block; i++) {
                if (!core->blocks[i].used) block = &core->blocks[i];
            }
            if (!block && round == 0) bft_table_collect(step);
        }
        if (!block) return NULL;
        memset(block, 0, sizeof *block);
        block->used = true;
        block->id = *id;
        block->header = *header;
        core->block_keys[block - core->blocks] = key_of(id);
        step->again = true;
    }
    if (has_body && !block->holding) {
        bft_table_hold(step, block);
        unwant(core, id);
        step->again = true;
    }
    return block;
}

/* ---- wanted blocks: fetched by id, from one member after the other ---- */

static uint8_t next_peer(const struct bft_core *core, uint8_t peer) {
    for (uint32_t i = 1; i <= core->members.n; i++) {
        uint8_t next = (uint8_t)((peer + i) % core->members.n);
        if (next != core->me) return next;
    }
    return 0;
}

/* A final block is asked for by its height: by its id nobody finds what is long decided (B-73). Its header may have come in the certificate of the
 * one below it, and the heights that are asked for next begin above. */
static void want_ask(struct step *step, struct bft_want *want) {
    struct bft_core *core = step->core;
    const struct bft_block *block = bft_table_find(core, &want->id);
    want->peer = want->asked ? next_peer(core, want->peer) : want->peer;
    want->asked = true;
    want->asked_ms = core->now_ms;
    struct bft_action *action = bft_step_action(step, BFT_DO_FETCH);
    action->peer = want->peer;
    memcpy(action->fetch.system_id, core->members.place.system_id, BFT_SYSTEM_BYTES);
    action->fetch.cluster = core->members.place.cluster;
    bool final = block != NULL && block->final;
    action->fetch.kind = final ? BFT_FETCH_HEIGHTS : BFT_FETCH_ID;
    action->fetch.height_first = final ? want->height : 0;
    action->fetch.height_count = final ? 1 : 0;
    if (!final) action->fetch.id = want->id;
}

bool bft_table_wanted(const struct bft_core *core, const struct bft_hash *id) {
    for (uint32_t i = 0; i < BFT_WANTS_MAX; i++) {
        if (core->wants[i].used && bft_hash_equal(&core->wants[i].id, id)) return true;
    }
    return false;
}

/* The leader surely has it, so it is asked first. When the list is full the want waits: whoever needs the block asks again. */
void bft_table_want(struct step *step, const struct bft_hash *id, uint64_t height) {
    struct bft_core *core = step->core;
    if (height <= core->applied.height || bft_table_wanted(core, id)) return;
    for (uint32_t i = 0; i < BFT_WANTS_MAX; i++) {
        struct bft_want *want = &core->wants[i];
        if (want->used) continue;
        memset(want, 0, sizeof *want);
        want->used = true;
        want->id = *id;
        want->height = height;
        uint8_t leader = bft_leader(&core->members, core->memory.view);
        want->peer = leader != core->me ? leader : next_peer(core, leader);
        want_ask(step, want);
        return;
    }
}

void bft_table_wants_tick(struct step *step) {
    struct bft_core *core = step->core;
    for (uint32_t i = 0; i < BFT_WANTS_MAX; i++) {
        struct bft_want *want = &core->wants[i];
        if (!want->used) continue;
        if (want->height <= core->applied.height) want->used = false;
        else if (core->now_ms >= want->asked_ms + bft_repair_interval(core)) want_ask(step, want);
    }
}

/* ---- finality ---- */

static void pending_set(struct step *step, const struct bft_qc *qc) {
    struct bft_core *core = step->core;
    if (core->pending_qc.count == 0 || core->pending_qc.ballot.height < qc->ballot.height) core->pending_qc = *qc;
}

/* Walks from the QC's block down to the final one. False: not linked yet, or a fork. */
static bool links_to_final(struct step *step, const struct bft_qc *qc) {
    struct bft_core *core = step->core;
    struct bft_hash id = qc->ballot.block_id;
    for (uint64_t height = qc->ballot.height; height > core->final.height; height--) {
        struct bft_block *block = bft_table_find(core, &id);
        if (!block) {
            pending_set(step, qc);
            /* Far behind: bft_repair_fetch() asks for final heights instead of walking back one by one. */
            if (height <= core->final.height + BFT_WINDOW_MAX) bft_table_want(step, &id, height);
            return false;
        }
        if (block->header.height != height) {
            bft_step_halt(step, BFT_NOTE_FORK, &id);
            return false;
        }
        id = block->header.parent_id;
    }
    if (bft_hash_equal(&id, &core->final.id)) return true;
    bft_step_halt(step, BFT_NOTE_FORK, &qc->ballot.block_id);
    return false;
}

/*
 * B-26: a commit QC finalises its block and all ancestors, whatever its view. Safe because q members sent COMMIT for it, so f+1 honest ones made it
 * their high before they could time out, so every later TC of the epoch has a Q* that is this block or a descendant (B-23), and rule (a) builds on
 * nothing else. Two commit QCs that do not lie on one branch prove more than f liars: the node halts.
 */
void bft_table_finalize(struct step *step, const struct bft_qc *qc) {
    struct bft_core *core = step->core;
    if (core->halted) return;
    struct bft_block *block = bft_table_find(core, &qc->ballot.block_id);
    if (qc->ballot.height <= core->final.height) {
        if (block && block->final && block->commit_qc.count == 0) block->commit_qc = *qc;
        return;
    }
    if (!links_to_final(step, qc)) return;
    CHECK(block != NULL);
    if (!bft_hash_equal(&block->header.outbox_root, &qc->ballot.outbox_root) || block->header.view != qc->ballot.view) {
        bft_step_halt(step, BFT_NOTE_FORK, &block->id);
        return;
    }
    block->commit_qc = *qc;
    core->final.height = qc->ballot.height;
    core->final.id = block->id;
    core->final_view = qc->ballot.view;
    core->final_by_qc = true;
    while (block && !block->final) {
        block->final = true;
        /* Judged before q others made it final (after, bft_run_executed and refuse() see to it): the state here is another than theirs. */
        if (block->bad || block->execution == BFT_WRONG) bft_step_halt(step, BFT_NOTE_DIVERGED, &block->id);
        block = bft_table_find(core, &block->header.parent_id);
    }
    if (core->pending_qc.count > 0 && core->pending_qc.ballot.height <= core->final.height) core->pending_qc.count = 0;
    bft_view_final_progress(step);
    step->again = true;
}

void bft_table_pending_retry(struct step *step) {
    struct bft_core *core = step->core;
    if (core->pending_qc.count == 0) return;
    struct bft_qc qc = core->pending_qc;
    bft_table_finalize(step, &qc);
}
