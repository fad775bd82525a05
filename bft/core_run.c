/*
 * Execution, application of what is final, epochs, and proposing (spec/consensus.md B-20, B-21, B-24, B-26, B-40 to B-45).
 *
 * The shell's role logic holds the state of one branch: the last applied block, and above it the executed blocks up to `executed_tip`. The core
 * asks for one block at a time, whose parent lies on that branch; if it is not the tip, everything after it is undone first, there and here.
 */
#include "bft/core_internal.h"

/* The executed branch now ends at `tip`, which lies on it: all else above the applied block counts as not executed. */
void bft_run_branch_at(struct bft_core *core, const struct bft_hash *tip) {
    bool on[BFT_BLOCKS_MAX] = {false};
    struct bft_block *block = bft_table_find(core, tip);
    while (block && block->header.height > core->applied.height) {
        on[block - core->blocks] = true;
        block = bft_table_find(core, &block->header.parent_id);
    }
    for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) {
        block = &core->blocks[i];
        if (!block->used || on[i] || block->header.height <= core->applied.height || block->execution != BFT_EXECUTED) continue;
        block->execution = BFT_NOT_EXECUTED;
        if (bft_hash_equal(&core->config_block, &block->id)) core->config.kind = BFT_CONFIG_NONE;
    }
    core->executed_tip = *tip;
}

/* ---- the rules of a header, given its parent (B-20, B-41) ---- */

static bool is_config(const struct bft_core *core, const struct bft_block *block) {
    return core->config.kind != BFT_CONFIG_NONE && bft_hash_equal(&core->config_block, &block->id);
}

/* B-41: after CONFIG in its epoch nothing but this. */
static bool suffix_valid(const struct bft_core *core, const struct bft_header *header, const struct bft_header *parent) {
    struct bft_hash no_body = bft_body_hash_empty();
    struct bft_hash no_outbox = bft_outbox_root_empty();
    return bft_hash_equal(&header->body_hash, &no_body) && bft_hash_equal(&header->outbox_root, &no_outbox) &&
           bft_hash_equal(&header->cursors_hash, &parent->cursors_hash) && header->time == parent->time &&
           bft_hash_equal(&header->state_root, &core->config.state_root_after);
}

static bool header_valid(const struct bft_core *core, const struct bft_header *header, const struct bft_header *parent) {
    bool in_epoch = bft_place_equal(&header->place, &core->members.place);
    bool view_grows = parent->place.epoch < header->place.epoch || parent->view <= header->view;
    return in_epoch && view_grows && header->height == parent->height + 1 && header->time >= parent->time;
}

static void refuse(struct step *step, struct bft_block *block) {
    block->bad = true;
    step->again = true;
    bft_step_note(step, BFT_NOTE_BAD_PROPOSAL, bft_leader(&step->core->members, block->header.view), 0, &block->id);
    if (block->final) bft_step_halt(step, BFT_NOTE_DIVERGED, &block->id);
}

/* ---- execution ---- */

/* The lowest block not executed on the way from the executed branch up to `target`; NULL if there is none, or something is missing (then wanted). */
static struct bft_block *lowest_unexecuted(struct step *step, struct bft_block *target, struct bft_block **parent) {
    struct bft_core *core = step->core;
    struct bft_block *block = target;
    while (block && block->execution != BFT_EXECUTED && block->header.height > core->applied.height) {
        if (block->bad || block->execution == BFT_WRONG) return NULL;
        struct bft_block *below = bft_table_find(core, &block->header.parent_id);
        if (!below) {
            bft_table_want(step, &block->header.parent_id, block->header.height - 1);
            return NULL;
        }
        if (below->execution == BFT_EXECUTED) {
            *parent = below;
            return block;
        }
        block = below;
    }
    return NULL;
}

/* What should be executed next: what is final comes first, then what I could prepare, then what I have to build on as leader. */
static struct bft_block *execution_target(struct step *step) {
    struct bft_core *core = step->core;
    if (core->final.height > core->applied.height) return bft_table_find(core, &core->final.id);
    struct bft_block *candidate = bft_vote_candidate(core);
    if (candidate) return candidate;
    bool lead = bft_leader(&core->members, core->memory.view) == core->me && !core->memory.timed_out && core->first_height > 0;
    if (!lead) return NULL;
    struct bft_block *base = bft_table_find(core, &core->base.id);
    if (!base) bft_table_want(step, &core->base.id, core->base.height);
    return base;
}

/* True: something was settled without the shell, look again. */
static bool execute_one(struct step *step) {
    struct bft_core *core = step->core;
    struct bft_block *parent = NULL;
    struct bft_block *target = execution_target(step);
    struct bft_block *block = target ? lowest_unexecuted(step, target, &parent) : NULL;
    if (!block) return false;
    bool after_config = is_config(core, parent) || parent->suffix;
    if (!header_valid(core, &block->header, &parent->header) ||
        (after_config && !suffix_valid(core, &block->header, &parent->header))) {
        refuse(step, block);
        return true;
    }
    if (!after_config && !block->holding) {
        bft_table_want(step, &block->id, block->header.height);
        return false;
    }
    if (!after_config && !block->held) return false;
    if (!bft_hash_equal(&core->executed_tip, &parent->id)) bft_run_branch_at(core, &parent->id);
    if (after_config) {
        block->suffix = true;
        block->held = true;
        block->execution = BFT_EXECUTED;
        core->executed_tip = block->id;
        step->again = true;
        return true;
    }
    block->execution = BFT_EXECUTING;
    core->is_executing = true;
    core->executing = block->id;
    struct bft_action *action = bft_step_action(step, BFT_DO_EXECUTE);
    action->block_id = block->id;
    action->header = block->header;
    return false;
}

void bft_run_execute(struct step *step) {
    while (!step->core->is_executing && !step->core->halted && !step->core->sealed && execute_one(step)) continue;
}

void bft_run_executed(struct step *step, const struct bft_executed *executed) {
    struct bft_core *core = step->core;
    CHECK(core->is_executing && bft_hash_equal(&core->executing, &executed->block_id));
    core->is_executing = false;
    step->again = true;
    struct bft_block *block = bft_table_find(core, &executed->block_id);
    if (!block || block->execution != BFT_EXECUTING) return; /* forgotten since: the next EXECUTE has it undone */
    if (!bft_hash_equal(&block->header.parent_id, &core->executed_tip)) {
        block->execution = BFT_NOT_EXECUTED;
        return;
    }
    bool same = executed->valid && bft_hash_equal(&executed->outbox_root, &block->header.outbox_root) &&
                bft_hash_equal(&executed->state_root, &block->header.state_root);
    if (!same) {
        block->execution = BFT_WRONG;
        bft_step_note(step, BFT_NOTE_WRONG_RESULT, bft_leader(&core->members, block->header.view), 0, &block->id);
        if (block->final) bft_step_halt(step, BFT_NOTE_DIVERGED, &block->id);
        return;
    }
    block->execution = BFT_EXECUTED;
    block->weight = executed->weight;
    core->executed_tip = block->id;
    if (executed->config.kind != BFT_CONFIG_NONE) {
        core->config = executed->config;
        core->config_block = block->id;
    }
}

/* ---- final blocks are applied in order; a CONFIG among them ends the epoch ---- */

/* B-24: the first final header after the start may lift the estimate at once; after that it moves by at most 1 ms a second, and not at all while
 * the header is at most BFT_TIME_AHEAD_MS old. */
static void clock_follow(struct bft_core *core, uint64_t time) {
    int64_t ahead = (int64_t)(time - bft_core_time(core, core->now_ms));
    if (!core->clock_set) {
        core->clock_set = true;
        core->clock_slewed_ms = core->now_ms;
        if (ahead > 0) core->clock_offset_ms += ahead;
        return;
    }
    int64_t most = (int64_t)((core->now_ms - core->clock_slewed_ms) / 1000);
    if (most == 0) return;
    core->clock_slewed_ms += (uint64_t)most * 1000;
    if (ahead > 0) core->clock_offset_ms += ahead < most ? ahead : most;
    if (ahead < -BFT_TIME_AHEAD_MS) core->clock_offset_ms -= -ahead - BFT_TIME_AHEAD_MS < most ? -ahead - BFT_TIME_AHEAD_MS : most;
}

/* B-42: the epoch's start is CONFIG, whatever certificate I hold for it; suffix blocks are forgotten; nothing of the old epoch is signed any more. */
static void epoch_begin(struct step *step, const struct bft_block *config_block) {
    struct bft_core *core = step->core;
    struct bft_config_effect next = core->config;
    bool was_member = core->me != BFT_NOBODY;
    struct bft_place place = core->members.place;
    place.epoch = next.epoch;
    place.config_hash = next.config_hash;
    struct bft_point start = {config_block->header.height, config_block->id};
    CHECK(next.epoch == core->members.place.epoch + 1);
    CHECK(bft_members_init(&core->members, &place, &start, next.n, (const uint8_t(*)[SIGNER_PUBLIC_KEY_BYTES])next.keys));
    core->limits = next.limits;
    core->me = next.me;
    core->removed = was_member && next.me == BFT_NOBODY;
    core->voting = false;
    core->resend = false;
    core->resign = false;
    memset(&core->memory, 0, sizeof core->memory);
    core->memory.place = place;
    core->memory.start = start;
    core->final = start;
    core->final_view = 0;
    core->final_by_qc = false;
    core->pending_qc.count = 0;
    core->config.kind = BFT_CONFIG_NONE;
    bft_run_branch_at(core, &start.id);
    bft_view_base_from_memory(core);
    memset(core->votes, 0, sizeof core->votes);
    memset(core->has_timeout, 0, sizeof core->has_timeout);
    memset(core->timeouts, 0, sizeof core->timeouts);
    memset(core->lied, 0, sizeof core->lied);
    memset(core->wants, 0, sizeof core->wants);
    memset(core->peer_final, 0, sizeof core->peer_final);
    memset(core->peer_epoch, 0, sizeof core->peer_epoch);
    memset(core->noop_nonce, 0, sizeof core->noop_nonce);
    memset(core->noop_ms, 0, sizeof core->noop_ms);
    memset(core->repaired_ms, 0, sizeof core->repaired_ms);
    core->waiting.count = 0;
    core->noop_wanted = false;
    core->pending = false;
    core->doublings = 0;
    core->strain = 0;
    core->hasty_views = 0;
    core->calm = false;
    core->calm_since_ms = core->now_ms;
    core->longest_wait_ms = 0;
    core->fetch_last = 0;
    core->rate_best = 0;
    core->rate_low_periods = 0;
    core->view_entered_ms = core->now_ms;
    core->progress_ms = core->now_ms;
    step->update->memory_changed = true;
    bft_step_action(step, BFT_DO_EPOCH)->epoch = next.epoch;
    bft_step_note(step, BFT_NOTE_EPOCH, core->me, 0, &start.id);
    if (core->removed) bft_step_note(step, BFT_NOTE_REMOVED, BFT_NOBODY, 0, &start.id);
}

/* The final block above the applied one. */
static struct bft_block *next_final(struct bft_core *core) {
    if (core->final.height <= core->applied.height) return NULL;
    struct bft_block *block = bft_table_find(core, &core->final.id);
    while (block && block->header.height > core->applied.height + 1) block = bft_table_find(core, &block->header.parent_id);
    CHECK(block != NULL);
    return block;
}

void bft_run_apply(struct step *step) {
    struct bft_core *core = step->core;
    while (!core->halted && !core->sealed) {
        struct bft_block *block = next_final(core);
        if (!block || block->execution != BFT_EXECUTED) return;
        CHECK(!block->suffix); /* CONFIG comes first, and ends the epoch */
        core->applied.height = block->header.height;
        core->applied.id = block->id;
        clock_follow(core, block->header.time);
        bft_view_throughput_add(core, block->weight);
        struct bft_action *action = bft_step_action(step, BFT_DO_FINAL);
        action->block_id = block->id;
        action->header = block->header;
        step->again = true;
        if (!is_config(core, block)) continue;
        if (core->config.kind == BFT_CONFIG_SEAL) {
            core->sealed = true;
            core->members.height_last = block->header.height;
            core->final = core->applied;
            bft_step_note(step, BFT_NOTE_SEALED, core->me, 0, &block->id);
        } else {
            epoch_begin(step, block);
        }
        return;
    }
}

/* ---- proposing ---- */

/* On which block do I build now? NULL: on none. *first: it will be the first of the view. */
static struct bft_block *proposal_parent(struct bft_core *core, bool *first) {
    const struct bft_memory *memory = &core->memory;
    if (!bft_step_may_sign(core) || memory->timed_out || core->resign || core->is_executing) return NULL;
    if (bft_leader(&core->members, memory->view) != core->me || core->first_height == 0) return NULL;
    *first = !(memory->has_prepared && memory->prepared.view == memory->view);
    struct bft_block *parent = bft_table_find(core, *first ? &core->base.id : &memory->prepared.block_id);
    if (!parent || parent->execution != BFT_EXECUTED || core->final.height > core->applied.height) return NULL;
    if (parent->header.height < core->final.height || (parent->header.height == core->final.height && !parent->final)) return NULL; /* it lost */
    /* What earlier views left above it is undone: the offer names the parent, and the role undoes down to it. */
    if (!bft_hash_equal(&core->executed_tip, &parent->id)) bft_run_branch_at(core, &parent->id);
    uint64_t height = parent->header.height + 1;
    if (!*first && height > core->final.height + core->limits.window_blocks) return NULL;
    if (height > core->first_height + core->limits.rotation_blocks) return NULL;
    return parent;
}

static bool after_config(const struct bft_core *core, const struct bft_block *parent) {
    return is_config(core, parent) || parent->suffix;
}

void bft_run_offer(struct step *step) {
    struct bft_core *core = step->core;
    struct bft_offer *offer = &step->update->offer;
    memset(offer, 0, sizeof *offer);
    offer->view = core->memory.view;
    bool first = false;
    struct bft_block *parent = proposal_parent(core, &first);
    if (!parent || after_config(core, parent)) return;
    offer->may_propose = true;
    offer->height = parent->header.height + 1;
    offer->parent_id = parent->id;
    offer->empty_only = offer->height > core->final.height + core->limits.window_blocks;
    bool idle = parent->header.height <= core->final.height;
    offer->at_once = (first && core->memory.view > 0 && !idle) || (core->noop_wanted && idle);
    offer->time = bft_core_time(core, core->now_ms);
    if (offer->time < parent->header.time) offer->time = parent->header.time;
}

/* The leader's own block: prepared by proposing it. */
static void propose(struct step *step, const struct bft_header *header, bool first, bool suffix, uint64_t weight,
                    const struct bft_config_effect *config) {
    struct bft_core *core = step->core;
    struct bft_hash id = bft_header_id(header);
    struct bft_block *block = bft_table_take(step, header, &id, false);
    if (!block || block->stored) { /* no room: a later offer comes when there is */
        bft_step_note(step, BFT_NOTE_PROPOSAL_STALE, core->me, 0, &id);
        return;
    }
    block->holding = true;
    block->held = true;
    block->execution = BFT_EXECUTED;
    block->suffix = suffix;
    block->first = first;
    block->weight = weight;
    core->executed_tip = id;
    if (config && config->kind != BFT_CONFIG_NONE) {
        core->config = *config;
        core->config_block = id;
    }
    if (first) core->first_height = header->height;
    core->memory.has_prepared = true;
    bft_header_ballot(header, &id, &core->memory.prepared);
    step->update->memory_changed = true;
    step->again = true;
    bft_step_store(step, block);
    struct bft_message *message = &bft_step_send(step, BFT_TO_ALL, BFT_MESSAGE_PROPOSE, true)->message;
    message->block_id = id;
    struct bft_propose *out = &message->propose;
    memset(out, 0, sizeof *out);
    out->header = *header;
    out->vote.ballot = core->memory.prepared;
    out->vote.kind = BFT_PREPARE;
    out->vote.signer = core->me;
    out->has_tc = first && core->memory.view > 0;
    if (out->has_tc) out->tc = core->memory.tc;
}

void bft_run_proposal(struct step *step, const struct bft_proposal *proposal) {
    struct bft_core *core = step->core;
    bool first = false;
    struct bft_block *parent = proposal_parent(core, &first);
    struct bft_hash empty = bft_body_hash_empty();
    bool stands = parent && !after_config(core, parent) && proposal->view == core->memory.view &&
                  bft_hash_equal(&proposal->parent_id, &parent->id) && proposal->time >= parent->header.time &&
                  (proposal->time <= bft_core_time(core, core->now_ms) + BFT_TIME_AHEAD_MS || proposal->time == parent->header.time);
    if (stands && parent->header.height + 1 > core->final.height + core->limits.window_blocks)
        stands = bft_hash_equal(&proposal->body_hash, &empty);
    if (!stands) {
        bft_step_note(step, BFT_NOTE_PROPOSAL_STALE, core->me, 0, &proposal->parent_id);
        return;
    }
    struct bft_header header;
    memset(&header, 0, sizeof header);
    header.place = core->members.place;
    header.view = core->memory.view;
    header.height = parent->header.height + 1;
    header.outbox_root = proposal->outbox_root;
    header.parent_id = parent->id;
    header.body_hash = proposal->body_hash;
    header.state_root = proposal->state_root;
    header.cursors_hash = proposal->cursors_hash;
    header.time = proposal->time;
    propose(step, &header, first, false, proposal->weight, &proposal->config);
}

/* B-41: a new leader whose Q* is CONFIG or a suffix block makes the suffix block that lets it become final. Inside a view none is needed. */
void bft_run_suffix(struct step *step) {
    struct bft_core *core = step->core;
    bool first = false;
    struct bft_block *parent = proposal_parent(core, &first);
    if (!parent || !first || !after_config(core, parent) || parent->header.height <= core->final.height) return;
    struct bft_header header = parent->header;
    header.view = core->memory.view;
    header.height = parent->header.height + 1;
    header.parent_id = parent->id;
    header.body_hash = bft_body_hash_empty();
    header.outbox_root = bft_outbox_root_empty();
    header.state_root = core->config.state_root_after;
    propose(step, &header, true, true, 0, NULL);
}
