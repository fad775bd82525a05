/*
 * The step: start, dispatch of events, the loop that carries every rule to its end, and the questions (spec/consensus.md).
 *
 * Each event changes a little; then the rules are tried round by round until none has anything more to do. Every rule is written so that
 * trying it twice does nothing the second time, which is what makes the order of rules a matter of taste.
 */
#include "bft/core_internal.h"

enum { ROUNDS_MAX = 4096 }; /* each round that goes on takes in, executes, prepares or applies something; far below this */

/* ---- filling in the update ---- */

void bft_step_note(struct step *step, enum bft_note_type type, uint8_t member, uint8_t detail, const struct bft_hash *id) {
    struct bft_update *update = step->update;
    if (update->note_count == BFT_NOTES_MAX) return;
    struct bft_note *note = &update->notes[update->note_count++];
    memset(note, 0, sizeof *note);
    note->type = type;
    note->member = member;
    note->detail = detail;
    note->view = step->core->memory.view;
    note->height = step->core->final.height;
    note->epoch = step->core->members.place.epoch;
    if (id) note->block_id = *id;
}

struct bft_send *bft_step_send(struct step *step, uint8_t to, uint16_t type, bool sign) {
    struct bft_update *update = step->update;
    CHECK(update->send_count < BFT_SENDS_MAX);
    struct bft_send *send = &update->sends[update->send_count++];
    send->to = to;
    send->sign = sign;
    send->message.type = type;
    send->message.body = NULL;
    send->message.body_bytes = 0;
    return send;
}

struct bft_action *bft_step_action(struct step *step, enum bft_action_type type) {
    struct bft_update *update = step->update;
    CHECK(update->action_count < BFT_ACTIONS_MAX);
    struct bft_action *action = &update->actions[update->action_count++];
    memset(action, 0, sizeof *action);
    action->type = type;
    return action;
}

void bft_step_store(struct step *step, struct bft_block *block) {
    if (block->stored) return;
    CHECK(step->update->store_count < BFT_STORES_MAX);
    block->stored = true;
    step->update->store_ids[step->update->store_count++] = block->id;
}

void bft_step_halt(struct step *step, enum bft_note_type type, const struct bft_hash *id) {
    if (step->core->halted) return;
    step->core->halted = true;
    bft_step_note(step, type, BFT_NOBODY, 0, id);
}

bool bft_step_may_sign(const struct bft_core *core) {
    return core->me != BFT_NOBODY && core->voting && !core->retired && !core->sealed && !core->halted;
}

/* ---- start ---- */

static void start_common(struct bft_core *core, const struct bft_start *start) {
    memset(core, 0, sizeof *core);
    CHECK(start->members.n >= BFT_MEMBERS_MIN && start->members.n <= BFT_MEMBERS_MAX);
    CHECK(start->limits.window_blocks >= 1 && start->limits.window_blocks <= BFT_WINDOW_MAX);
    CHECK(start->limits.rotation_blocks >= 1 && start->limits.view_base_ms >= 1);
    CHECK(start->me < start->members.n || start->me == BFT_NOBODY);
    CHECK(start->tip.height >= start->members.start.height);
    core->members = start->members;
    core->limits = start->limits;
    core->me = start->me;
    core->removed = start->removed;
    core->sealed = start->sealed;
    core->now_ms = start->now_ms;
    core->memory.place = start->members.place;
    core->memory.start = start->members.start;
    struct bft_hash id = bft_header_id(&start->tip);
    struct bft_block *tip = &core->blocks[0];
    tip->used = true;
    tip->held = true;
    tip->final = true;
    tip->stored = true;
    tip->execution = BFT_EXECUTED;
    tip->id = id;
    tip->header = start->tip;
    memcpy(&core->block_keys[0], id.bytes, sizeof core->block_keys[0]);
    core->block_keys[0] |= 1;
    core->applied.height = start->tip.height;
    core->applied.id = id;
    core->final = core->applied;
    core->executed_tip = id;
    if (start->tip_has_qc) {
        CHECK(start->tip_qc.kind == BFT_COMMIT && bft_hash_equal(&start->tip_qc.ballot.block_id, &id));
        tip->commit_qc = start->tip_qc;
        core->final_view = start->tip_qc.ballot.view;
        core->final_by_qc = start->tip_qc.ballot.place.epoch == start->members.place.epoch;
    }
    uint64_t time = start->wall_ms > start->tip.time ? start->wall_ms : start->tip.time;
    core->clock_offset_ms = (int64_t)(time - start->now_ms);
    core->clock_slewed_ms = start->now_ms;
    core->view_entered_ms = start->now_ms;
    core->calm_since_ms = start->now_ms;
    core->progress_ms = start->now_ms;
    core->rate_period_ms = start->now_ms;
    core->rate_sample_ms = start->now_ms;
    core->status_ms = start->now_ms;
    bft_view_base_from_memory(core);
}

void bft_init(struct bft_core *core, const struct bft_start *start) {
    start_common(core, start);
}

/* Stored headers above the tip come back into the table without their bodies' presence being assumed: HOLD asks the shell for it. */
static void restore_blocks(struct bft_core *core, const struct bft_header *headers, size_t headers_count) {
    uint32_t slot = 1;
    for (size_t i = 0; i < headers_count && slot < BFT_BLOCKS_MAX - BFT_WINDOW_MAX; i++) {
        const struct bft_header *header = &headers[i];
        if (header->height <= core->applied.height || !bft_place_equal(&header->place, &core->members.place)) continue;
        struct bft_hash id = bft_header_id(header);
        if (bft_table_find(core, &id)) continue;
        struct bft_block *block = &core->blocks[slot];
        block->used = true;
        block->stored = true;
        block->id = id;
        block->header = *header;
        memcpy(&core->block_keys[slot], id.bytes, sizeof core->block_keys[slot]);
        core->block_keys[slot++] |= 1;
    }
}

bool bft_restore(struct bft_core *core, const struct bft_start *start, const struct bft_memory *memory, const struct bft_header *headers,
                 size_t headers_count) {
    start_common(core, start);
    const struct bft_place *place = &start->members.place;
    bool ours = memcmp(memory->place.system_id, place->system_id, BFT_SYSTEM_BYTES) == 0 && memory->place.cluster == place->cluster;
    if (!ours || memory->place.epoch > place->epoch) return false;
    core->restored = true;
    if (memory->place.epoch < place->epoch) {
        restore_blocks(core, headers, headers_count);
        return true;
    }
    if (!bft_place_equal(&memory->place, place) || !bft_point_equal(&memory->start, &start->members.start)) return false;
    core->memory = *memory;
    core->resend = true;
    bft_view_base_from_memory(core);
    restore_blocks(core, headers, headers_count);
    /* B-37: a leader that was restarted does not know what it proposed beyond what it prepared. */
    core->resign = bft_leader(&core->members, core->memory.view) == core->me && !core->memory.timed_out;
    return true;
}

/* ---- messages ---- */

static void on_vote(struct step *step, uint8_t from, const struct bft_vote *vote) {
    struct bft_core *core = step->core;
    const struct bft_ballot *ballot = &vote->ballot;
    if (ballot->view < core->memory.view) bft_repair_lower_view(step, from, ballot->view);
    if (ballot->height <= core->final.height) return;
    if (vote->kind == BFT_PREPARE && ballot->view < core->memory.view) return;
    bft_vote_record(step, vote);
}

static void on_propose(struct step *step, uint8_t from, const struct bft_message *message) {
    struct bft_core *core = step->core;
    const struct bft_propose *propose = &message->propose;
    const struct bft_header *header = &propose->header;
    if (propose->has_tc) bft_view_tc(step, &propose->tc);
    if (header->view != core->memory.view) {
        if (header->view < core->memory.view) bft_repair_lower_view(step, from, header->view);
        return;
    }
    if (header->height <= core->final.height) return;
    if (!propose->has_tc && header->height > core->final.height + 2 * BFT_WINDOW_MAX) return; /* B-28: I am far behind, or it is nonsense */
    bft_vote_record(step, &propose->vote);
    struct bft_block probe = {.id = message->block_id, .header = *header};
    if (!bft_vote_leader_voted(core, &probe)) return; /* its PREPARE of this place is for another block */
    struct bft_block *block = bft_table_take(step, header, &message->block_id, true);
    if (block && propose->has_tc && !block->first) {
        block->first = true;
        step->again = true;
    }
}

/* B-13, B-74. With a certificate it is final, by itself; without, it is taken only when it was asked for: then its id is the proof. */
static void on_block(struct step *step, const struct bft_message *message) {
    struct bft_core *core = step->core;
    const struct bft_block_message *in = &message->block;
    struct bft_block *known = bft_table_find(core, &message->block_id);
    if (in->header.height <= core->applied.height || core->sealed) return;
    if (!in->has_certificate) {
        if (known || bft_table_wanted(core, &message->block_id)) bft_table_take(step, &in->header, &message->block_id, true);
        return;
    }
    const struct bft_certificate *certificate = &in->certificate;
    if (certificate->qc.ballot.height > core->applied.height + BFT_FETCH_AHEAD + BFT_WINDOW_MAX) {
        /* Too far ahead to take in; but it proves how far behind I am. */
        bft_table_finalize(step, &certificate->qc);
        bft_repair_fetch(step);
        return;
    }
    if (!bft_table_take(step, &in->header, &message->block_id, true)) return;
    for (uint32_t i = 1; i < certificate->header_count; i++) {
        struct bytes_cursor cursor = bytes_cursor_of(certificate->headers + (size_t)i * BFT_HEADER_BYTES, BFT_HEADER_BYTES);
        struct bft_header header;
        if (!bft_header_get(&cursor, &header)) return;
        struct bft_hash id = bft_header_id(&header);
        if (!bft_table_take(step, &header, &id, false)) return;
    }
    bft_table_finalize(step, &certificate->qc);
}

/* Place of the messages that carry one; NULL for the others. */
static const struct bft_place *message_place(const struct bft_message *message) {
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE:
        return &message->propose.header.place;
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        return &message->vote.ballot.place;
    case BFT_MESSAGE_QC:
        return &message->qc.ballot.place;
    case BFT_MESSAGE_TIMEOUT:
        return &message->timeout.place;
    case BFT_MESSAGE_TC:
        return &message->tc.place;
    case BFT_MESSAGE_STATUS:
        return &message->status.place;
    case BFT_MESSAGE_BLOCK:
        return &message->block.header.place;
    default:
        return NULL;
    }
}

/* Of my system and cluster, of another epoch: only a hint that somebody is elsewhere (B-45). */
static bool of_other_epoch(const struct bft_core *core, const struct bft_message *message) {
    const struct bft_place *place = message_place(message);
    const struct bft_place *mine = &core->members.place;
    return place && memcmp(place->system_id, mine->system_id, BFT_SYSTEM_BYTES) == 0 && place->cluster == mine->cluster &&
           place->epoch != mine->epoch;
}

static void on_message(struct step *step, uint8_t from, const struct bft_message *message) {
    struct bft_core *core = step->core;
    if (of_other_epoch(core, message)) {
        if (message->type != BFT_MESSAGE_BLOCK) bft_repair_other_epoch(step, from, message_place(message)->epoch);
        return;
    }
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE:
        on_propose(step, from, message);
        break;
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        on_vote(step, from, &message->vote);
        break;
    case BFT_MESSAGE_QC:
        if (message->qc.kind == BFT_PREPARE) bft_vote_prepare_qc(step, &message->qc);
        else bft_table_finalize(step, &message->qc);
        break;
    case BFT_MESSAGE_TIMEOUT:
        if (message->timeout.view < core->memory.view) bft_repair_lower_view(step, from, message->timeout.view);
        else bft_view_timeout_record(step, &message->timeout);
        break;
    case BFT_MESSAGE_TC:
        if (message->tc.view + 1 < core->memory.view) bft_repair_lower_view(step, from, message->tc.view);
        else bft_view_tc(step, &message->tc);
        break;
    case BFT_MESSAGE_BLOCK:
        on_block(step, message);
        break;
    case BFT_MESSAGE_STATUS:
        bft_repair_status(step, from, &message->status);
        break;
    case BFT_MESSAGE_NOOP:
        bft_repair_noop(step, message);
        break;
    default:
        break;
    }
}

/* ---- the step ---- */

static void on_held(struct step *step, const struct bft_hash *id) {
    struct bft_block *block = bft_table_find(step->core, id);
    if (!block || !block->holding) return;
    block->held = true;
    step->again = true;
}

static void on_voting(struct step *step, uint64_t epoch) {
    struct bft_core *core = step->core;
    if (epoch != core->members.place.epoch || core->voting) return;
    core->voting = true;
    core->progress_ms = core->now_ms;
    core->view_entered_ms = core->now_ms;
    core->calm_since_ms = core->now_ms;
    core->longest_wait_ms = 0;
    step->again = true;
    bft_repair_resend(step);
    bft_vote_rescan(step);
}

static void hold_restored(struct step *step) {
    struct bft_core *core = step->core;
    if (!core->restored) return;
    core->restored = false;
    for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) {
        struct bft_block *block = &core->blocks[i];
        if (block->used && block->stored && !block->held) bft_table_hold(step, block);
    }
}

static void dispatch(struct step *step, const struct bft_event *event) {
    struct bft_core *core = step->core;
    switch (event->type) {
    case BFT_EVENT_TICK:
        break;
    case BFT_EVENT_MESSAGE:
        on_message(step, event->from, event->message);
        break;
    case BFT_EVENT_INPUTS_HELD:
        on_held(step, &event->block_id);
        break;
    case BFT_EVENT_EXECUTED:
        bft_run_executed(step, &event->executed);
        break;
    case BFT_EVENT_PROPOSAL:
        bft_run_proposal(step, &event->proposal);
        break;
    case BFT_EVENT_WAITING:
        bft_view_waited(core); /* what waited did so up to now */
        if (event->waiting.view == core->memory.view) core->waiting = event->waiting;
        break;
    case BFT_EVENT_NOOP:
        bft_repair_noop_own(step, event->nonce);
        break;
    case BFT_EVENT_VOTING:
        on_voting(step, event->epoch);
        break;
    case BFT_EVENT_RETIRE:
        core->retired = true;
        break;
    }
}

static void rules(struct step *step) {
    bft_table_pending_retry(step);
    bft_view_check_joins(step);
    bft_run_execute(step);
    bft_run_apply(step);
    bft_vote_try_prepare(step);
    bft_run_suffix(step);
}

static void deadline(struct step *step) {
    struct bft_core *core = step->core;
    uint64_t next = bft_view_deadline(core);
    uint64_t status = core->status_ms + (bft_repair_stuck(core) ? bft_repair_interval(core) : core->limits.view_base_ms);
    if (core->pending || core->memory.timed_out) {
        uint64_t stuck = core->progress_ms + bft_repair_interval(core);
        if (stuck > core->now_ms && stuck < status) status = stuck;
    }
    if (status < next) next = status;
    for (uint32_t i = 0; i < BFT_WANTS_MAX; i++) {
        uint64_t ask = core->wants[i].asked_ms + bft_repair_interval(core);
        if (core->wants[i].used && ask < next) next = ask;
    }
    if (step->retry_ms < next) next = step->retry_ms;
    step->update->deadline_ms = next > core->now_ms ? next : core->now_ms + 1;
}

void bft_step(struct bft_core *core, const struct bft_event *event, struct bft_update *update) {
    struct step step = {.core = core, .update = update, .again = false, .retry_ms = UINT64_MAX};
    update->memory_changed = false;
    update->store_count = 0;
    update->send_count = 0;
    update->action_count = 0;
    update->note_count = 0;
    if (event->now_ms > core->now_ms) core->now_ms = event->now_ms;
    hold_restored(&step);
    dispatch(&step, event);
    uint32_t rounds = 0;
    do {
        step.again = false;
        rules(&step);
        bft_view_timers(&step);
        CHECK(++rounds < ROUNDS_MAX);
    } while (step.again);
    bft_table_wants_tick(&step);
    bft_repair_fetch(&step);
    bft_repair_tick(&step);
    bft_run_offer(&step);
    update->halted = core->halted;
    deadline(&step);
}

/* ---- questions ---- */

static bool vote_wanted(const struct bft_core *core, const struct bft_vote *vote, uint8_t from) {
    const struct bft_ballot *ballot = &vote->ballot;
    if (ballot->view < core->memory.view && (vote->kind == BFT_PREPARE || ballot->height <= core->final.height)) return bft_repair_due(core, from);
    if (ballot->height <= core->final.height) return false;
    const struct bft_vote_slot *slot = &core->votes[vote->kind][ballot->height % BFT_SLOTS][vote->signer];
    if (slot->height == 0) return true;
    int order = bft_rank_compare(ballot->view, ballot->height, slot->view, slot->height);
    if (order != 0) return order > 0;
    return !bft_hash_equal(&slot->block_id, &ballot->block_id) || !bft_hash_equal(&slot->outbox_root, &ballot->outbox_root);
}

static bool qc_wanted(const struct bft_core *core, const struct bft_qc *qc) {
    const struct bft_memory *memory = &core->memory;
    const struct bft_ballot *ballot = &qc->ballot;
    if (qc->kind == BFT_COMMIT) return ballot->height > core->final.height;
    if (ballot->view > memory->view) return false;
    const struct bft_ballot *high = &memory->high_qc.ballot;
    if (!memory->has_high || bft_rank_compare(ballot->view, ballot->height, high->view, high->height) > 0) return true;
    const struct bft_ballot *last = &memory->committed;
    return ballot->view == memory->view && !memory->timed_out &&
           (!memory->has_committed || bft_rank_compare(ballot->view, ballot->height, last->view, last->height) > 0);
}

bool bft_core_wants(const struct bft_core *core, const struct bft_message *message, uint8_t from) {
    if (of_other_epoch(core, message)) {
        bool hint = message->type != BFT_MESSAGE_BLOCK && from != core->me;
        return hint && bft_repair_due(core, from);
    }
    const struct bft_memory *memory = &core->memory;
    switch (message->type) {
    case BFT_MESSAGE_PROPOSE:
        if (message->propose.header.view < memory->view) return bft_repair_due(core, from);
        return message->propose.has_tc || (message->propose.header.view == memory->view && message->propose.header.height > core->final.height);
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        return vote_wanted(core, &message->vote, from);
    case BFT_MESSAGE_QC:
        return qc_wanted(core, &message->qc);
    case BFT_MESSAGE_TIMEOUT: {
        const struct bft_timeout *timeout = &message->timeout;
        if (timeout->view < memory->view) return bft_repair_due(core, from);
        return !core->has_timeout[timeout->signer] || core->timeouts[timeout->signer].view < timeout->view;
    }
    case BFT_MESSAGE_TC:
        if (message->tc.view < memory->view) return (message->tc.view + 1 == memory->view && memory->tc.count == 0) || bft_repair_due(core, from);
        return true;
    case BFT_MESSAGE_BLOCK:
        if (message->block.header.height <= core->applied.height || core->sealed) return false;
        return message->block.has_certificate || bft_table_wanted(core, &message->block_id) || bft_core_header(core, &message->block_id) != NULL;
    case BFT_MESSAGE_STATUS:
    case BFT_MESSAGE_NOOP:
        return true;
    default:
        return false;
    }
}

enum bft_verify_error bft_core_verify(const struct bft_core *core, const struct signer *signer, const struct bft_message *message) {
    if (of_other_epoch(core, message)) return BFT_VERIFY_OK; /* nothing in it is believed */
    const struct bft_qc *known[2];
    size_t count = 0;
    if (core->memory.has_high) known[count++] = &core->memory.high_qc;
    if (core->memory.tc.count > 0 && core->memory.tc.qc.count > 0) known[count++] = &core->memory.tc.qc;
    return bft_message_verify(&core->members, signer, message, known, count);
}

uint64_t bft_core_time(const struct bft_core *core, uint64_t now_ms) {
    return (uint64_t)((int64_t)now_ms + core->clock_offset_ms);
}

const struct bft_header *bft_core_header(const struct bft_core *core, const struct bft_hash *block_id) {
    for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) {
        if (core->block_keys[i] != 0 && bft_hash_equal(&core->blocks[i].id, block_id)) return &core->blocks[i].header;
    }
    return NULL;
}

/* The final child of a final block; NULL at the end. */
static const struct bft_block *final_child(const struct bft_core *core, const struct bft_block *block) {
    for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) {
        const struct bft_block *child = &core->blocks[i];
        if (core->block_keys[i] != 0 && child->final && bft_hash_equal(&child->header.parent_id, &block->id)) return child;
    }
    return NULL;
}

size_t bft_core_certificate(const struct bft_core *core, const struct bft_hash *block_id, uint8_t out[BFT_CERTIFICATE_BYTES_MAX]) {
    const struct bft_block *block = NULL;
    for (uint32_t i = 0; i < BFT_BLOCKS_MAX; i++) {
        if (core->block_keys[i] != 0 && bft_hash_equal(&core->blocks[i].id, block_id)) block = &core->blocks[i];
    }
    if (!block || !block->final) return 0;
    const struct bft_block *top = block;
    uint32_t headers = 1;
    while (top && top->commit_qc.count == 0) {
        top = final_child(core, top);
        headers++;
        if (top && !bft_place_equal(&top->header.place, &block->header.place)) return 0;
    }
    if (!top || headers > BFT_CERTIFICATE_HEADERS_MAX) return 0;
    struct bytes_writer writer = bytes_writer_of(out, BFT_CERTIFICATE_BYTES_MAX);
    bft_qc_put(&writer, &top->commit_qc);
    bytes_put_u16(&writer, (uint16_t)(top == block ? 0 : headers));
    bytes_put_u16(&writer, 0);
    for (const struct bft_block *at = block; top != block && at; at = at == top ? NULL : final_child(core, at)) bft_header_put(&writer, &at->header);
    CHECK(!writer.failed);
    return writer.used;
}
