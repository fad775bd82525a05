/* What to propose, and when: as soon as the previous block is prepared and something waits, so that batches grow with load (D-1, D-4, D-21). */
#include <string.h>

#include "appliance/replica/replica_private.h"

/* Next dseq of a pair in the state after the block on which we build: consumed, plus what open blocks on the branch refer to. */
static uint64_t pair_next_dseq(const struct replica *r, const struct pair *pair, const struct bft_hash *parent) {
    uint64_t next = pair->consumed_final + 1;
    struct bft_hash id = *parent;
    while (!bft_hash_equal(&id, &r->tip_id)) {
        uint32_t index = block_find(r, &id);
        if (index == NONE || r->blocks[index].final) break;
        const struct rblock *block = &r->blocks[index];
        for (uint32_t i = 0; i < block->ref_count; i++) {
            const struct input *input = block->inputs[i] == NONE ? NULL : &r->inputs[block->inputs[i]];
            if (input != NULL && input->kind == BODY_SLICE && input->source == pair->cluster && input->dseq >= next) next = input->dseq + 1;
        }
        id = block->header.parent_id;
    }
    return next;
}

struct selection {
    uint32_t count, noops, ops;
    uint64_t bytes;
};

/* The newest NOOP of a member that I know of. */
static uint64_t noop_wanted(const struct replica *r, uint8_t member) {
    return member == r->me ? r->noop_own : r->core->noop_nonce[member];
}

static bool selection_add(struct replica *r, struct selection *selection, uint32_t index) {
    const struct input *input = &r->inputs[index];
    uint64_t bytes = input->kind == BODY_SLICE ? input->slice_bytes : input->count;
    if (!flow_block_takes(&r->config.limits, selection->count, selection->noops, selection->bytes, bytes)) return false;
    r->selected[selection->count++] = index;
    selection->bytes += bytes;
    selection->ops += input->weight;
    return true;
}

static void select_slices(struct replica *r, struct selection *selection, const struct bft_hash *parent) {
    for (uint32_t i = 0; i < r->pair_count; i++) {
        const struct pair *pair = &r->pairs[i];
        if (pair->received_max <= pair->consumed_final) continue;
        for (uint64_t dseq = pair_next_dseq(r, pair, parent);; dseq++) {
            uint32_t index = pair->window[dseq % SOURCE_WINDOW];
            if (index == NONE || r->inputs[index].dseq != dseq || r->inputs[index].state != INPUT_HELD) break;
            if (!selection_add(r, selection, index)) return;
        }
    }
}

/* Marks what open blocks from this one down to the tip refer to. Other open blocks do not count: a block that was prepared in an earlier view and
 * did not make it stays open for as long as nothing else is prepared, and its inputs would wait as long. */
static void branch_mark(struct replica *r, const struct bft_hash *parent) {
    struct bft_hash id = *parent;
    r->branch_turn++;
    while (!bft_hash_equal(&id, &r->tip_id)) {
        uint32_t index = block_find(r, &id);
        if (index == NONE || r->blocks[index].final) break;
        const struct rblock *block = &r->blocks[index];
        for (uint32_t i = 0; i < block->ref_count; i++) {
            if (block->inputs[i] != NONE) r->inputs[block->inputs[i]].branch_turn = r->branch_turn;
        }
        id = block->header.parent_id;
    }
}

/* Where a relay's waiting list is looked at, how many more of its reads may be taken, and what of it is in the block. */
struct relay_turn {
    uint32_t at, places;
    uint64_t cost;
    bool over;
};

/* The next one of its list that may be taken; NONE: there is none. */
static uint32_t relay_next(const struct replica *r, struct relay_turn *turn) {
    while (turn->at != NONE) {
        const struct input *input = &r->inputs[turn->at];
        uint32_t index = turn->at;
        turn->at = input->list_next;
        if (input->branch_turn == r->branch_turn) continue;
        if (input->is_signed || input->mine) return index; /* mine: it came on its client's own link to me, whoever relayed it before */
        if (turn->places == 0) continue;
        turn->places--;
        return index;
    }
    return NONE;
}

/* Who has least in the block so far; NONE: no relay has more. */
static uint32_t relay_choose(const struct relay_turn *turns, uint32_t n) {
    uint32_t least = NONE;
    for (uint32_t relay = 0; relay < n; relay++) {
        if (!turns[relay].over && (least == NONE || turns[relay].cost < turns[least].cost)) least = relay;
    }
    return least;
}

/* Batches of all relays, each time of the one with least in the block, by operations and bytes: who relays larger or longer ones, or more of them,
 * does not crowd the others out. Where others have nothing that waits, one may have all. */
static void select_batches(struct replica *r, struct selection *selection, const struct bft_hash *parent) {
    struct relay_turn turns[BFT_MEMBERS_MAX];
    uint32_t admin = NONE, turn;
    branch_mark(r, parent);
    for (uint32_t relay = 0; relay < r->members.n; relay++)
        turns[relay] = (struct relay_turn){.at = r->waiting[relay].first, .places = relay_places(r, relay)};
    while (flow_block_hungry(selection->ops) && (turn = relay_choose(turns, r->members.n)) != NONE) {
        uint32_t index = relay_next(r, &turns[turn]);
        turns[turn].over = index == NONE;
        if (index == NONE) continue;
        turns[turn].cost += flow_batch_cost(&r->config.limits, r->inputs[index].weight, r->inputs[index].count);
        if (r->inputs[index].kind == BODY_ADMIN && (!r->inputs[index].is_signed || !admin_is_next(r, &r->inputs[index]))) continue;
        bool enrolment = r->inputs[index].kind == BODY_ADMIN && r->inputs[index].serial > 0;
        if (enrolment && !selection_add(r, selection, index)) return;
        if (!enrolment && r->inputs[index].kind == BODY_ADMIN && admin == NONE)
            admin = index;
        else if (r->inputs[index].kind == BODY_BATCH && !selection_add(r, selection, index))
            return;
    }
    if (admin != NONE) (void)selection_add(r, selection, admin); /* a CONFIG must come last */
}

/* Is the block on which we would build prepared (or final)? */
static bool parent_is_settled(const struct replica *r) {
    const struct bft_hash *parent = &r->offer.parent_id;
    if (bft_hash_equal(parent, &r->tip_id) || bft_hash_equal(parent, &r->core->final.id)) return true;
    const struct bft_memory *memory = &r->core->memory;
    return memory->has_high && bft_hash_equal(&memory->high_qc.ballot.block_id, parent);
}

/*
 * What is due in the state on which I would build (D-21). Not in that of the newest executed block: one that an earlier view left behind may have cut
 * the very slice that is due, and is never final. Then nobody would propose the slice again, and who asked would wait until something else comes.
 */
static struct exec_due offer_due(const struct replica *r) {
    static const struct exec_due nothing = {.time = UINT64_MAX};
    if (bft_hash_equal(&r->offer.parent_id, &r->tip_id)) return r->tip_due;
    uint32_t parent = block_find(r, &r->offer.parent_id);
    return parent != NONE && r->blocks[parent].executed ? r->blocks[parent].result.due : nothing;
}

static bool propose_is_due(const struct replica *r) {
    struct exec_due due = offer_due(r);
    return due.now || due.time <= bft_core_time(r->core, r->now_ms);
}

uint64_t propose_deadline_ms(const struct replica *r) {
    struct exec_due due = offer_due(r);
    if (!r->offer.may_propose || due.time == UINT64_MAX) return UINT64_MAX;
    uint64_t time = bft_core_time(r->core, r->now_ms);
    return due.time <= time ? r->now_ms + 1 : r->now_ms + (due.time - time);
}

/* NOOPs that members asked for and no proposal of mine has named yet (B-25): whoever asked sees a block that was made after. */
static void select_noops(struct replica *r, struct selection *selection) {
    for (uint8_t member = 0; member < r->members.n; member++) selection->noops += noop_wanted(r, member) > r->noop_named[member];
    selection->count = selection->noops;
    for (uint32_t i = 0; i < selection->noops; i++) r->selected[i] = NONE;
}

/* Those that select_noops() counted: a body that must be empty has none. */
static uint8_t *noops_put(struct replica *r, const struct selection *selection, uint8_t *at) {
    for (uint8_t member = 0; selection->noops > 0 && member < r->members.n; member++) {
        uint64_t nonce = noop_wanted(r, member);
        if (nonce <= r->noop_named[member]) continue;
        r->noop_named[member] = nonce;
        struct body_reference reference = {.kind = BODY_NOOP, .relay = member, .dseq = nonce};
        body_reference_encode(&reference, at);
        at += BODY_REFERENCE_BYTES;
    }
    return at;
}

static void body_build(struct replica *r, const struct selection *selection) {
    size_t bytes = BODY_HEAD_BYTES + (size_t)selection->count * BODY_REFERENCE_BYTES;
    struct blob *body = blob_make(bytes);
    bytes_put_le32(body->bytes, selection->count);
    uint8_t *at = noops_put(r, selection, body->bytes + BODY_HEAD_BYTES);
    for (uint32_t i = selection->noops; i < selection->count; i++, at += BODY_REFERENCE_BYTES) {
        const struct input *input = &r->inputs[r->selected[i]];
        struct body_reference reference = {
            .kind = input->kind, .relay = input->kind == BODY_SLICE ? 0 : input->relay, .source = input->source, .dseq = input->dseq};
        memcpy(reference.hash, input->hash, 32);
        body_reference_encode(&reference, at);
    }
    CHECK(at == body->bytes + bytes);
    blob_drop(r->proposing_body);
    r->proposing_body = body;
}

static void propose_start(struct replica *r, const struct selection *selection) {
    body_build(r, selection);
    struct execution_job *job = job_take(r, EXECUTION_BLOCK);
    uint32_t parent = block_find(r, &r->offer.parent_id);
    job->ticket = r->next_ticket++;
    job->view = r->offer.view;
    job->block = (struct exec_block){.ticket = job->ticket, .height = r->offer.height, .time = r->offer.time};
    job->block.parent = bft_hash_equal(&r->offer.parent_id, &r->tip_id) || parent == NONE ? r->tip_ticket : r->blocks[parent].ticket;
    job_fill_refs(r, job, r->proposing_body->bytes, selection->count, r->selected);
    r->proposing = job;
    r->proposing_parent = r->offer.parent_id;
    r->proposing_count = selection->count;
    r->proposing_weight = selection->ops;
    for (uint32_t i = selection->noops; i < selection->count; i++) {
        r->inputs[r->selected[i]].in_blocks++;
        histogram_between(&r->status.input_us, r->inputs[r->selected[i]].arrived_us, r->now_us);
    }
    r->proposed_us = r->now_us;
    job_submit(r, job);
}

static void offer_take(struct replica *r) {
    if (r->proposing != NULL || r->retry != NULL || r->unpublished > UNPUBLISHED_MAX || r->stopping) return;
    if (!bft_hash_equal(&r->offer.parent_id, &r->tip_id) && block_find(r, &r->offer.parent_id) == NONE) return;
    if (!r->offer.at_once && !parent_is_settled(r)) return;
    if (pace_holds(r)) return;
    struct selection selection = {0};
    if (!r->offer.empty_only) {
        select_noops(r, &selection);
        select_slices(r, &selection, &r->offer.parent_id);
        select_batches(r, &selection, &r->offer.parent_id);
    }
    if (selection.count == selection.noops && !r->offer.at_once && !propose_is_due(r)) return;
    propose_start(r, &selection);
}

void propose_try(struct replica *r) {
    if (!r->offer.may_propose) return;
    enum cost_component before = cost_enter(r->meter, COST_PROPOSE);
    offer_take(r);
    cost_leave(r->meter, before, 0);
}

static void selection_let_go(struct replica *r) {
    for (uint32_t i = 0; i < r->proposing_count; i++) {
        if (r->selected[i] != NONE) r->inputs[r->selected[i]].in_blocks--;
    }
    r->proposing_count = 0;
}

void propose_cancel(struct replica *r) {
    if (r->proposing != NULL) r->proposing->cancelled = true;
}

void propose_executed(struct replica *r, struct execution_job *job) {
    r->proposing = NULL;
    if (job->status == EXEC_CORRUPT)
        replica_stop(
            r, "a checksum of the table in memory does not match: this machine's memory failed at height %llu; check it (memtest), then start again",
            (unsigned long long)job->block.height);
    bool good = job->status == EXEC_VALID && !job->cancelled;
    if (!good) {
        if (job->status != EXEC_VALID && job->status != EXEC_NO_ROOM && job->status != EXEC_OPEN_FULL)
            replica_note(r, LOG_LEVEL_WARN, "own_block_invalid", "height=%llu cause=%s reference=%u", (unsigned long long)job->block.height,
                         exec_status_name(job->status), job->result.bad_ref);
        r->pressed = job->status == EXEC_NO_ROOM || job->status == EXEC_OPEN_FULL;
        /* An input that is held but not valid in this state would be chosen for ever. */
        bool blame = job->status > EXEC_VALID && job->status <= EXEC_BAD_INPUT && job->result.bad_ref < r->proposing_count;
        uint32_t bad = blame ? r->selected[job->result.bad_ref] : NONE;
        selection_let_go(r);
        if (bad != NONE && r->inputs[bad].in_blocks == 0 && r->inputs[bad].state == INPUT_HELD) {
            struct pair *pair = r->inputs[bad].kind == BODY_SLICE ? pair_find(r, r->inputs[bad].source) : NULL;
            if (pair != NULL && pair->window[r->inputs[bad].dseq % SOURCE_WINDOW] == bad) pair->window[r->inputs[bad].dseq % SOURCE_WINDOW] = NONE;
            input_drop(r, bad, r->tip_height);
        }
        job_give(r, job);
        return;
    }
    r->status.proposals++;
    r->pace.ops += r->proposing_weight;
    measure_executed(r, job);
    r->proposing_result = job->result;
    r->proposing_ticket = job->ticket;
    struct rblock made = {.result = job->result}; /* only to say what it does */
    block_result_take(&made, job);
    r->proposing_config = made.config_next;
    r->proposing_root_after = made.root_after;
    struct bft_event event = {.type = BFT_EVENT_PROPOSAL};
    event.proposal =
        (struct bft_proposal){.view = job->view, .parent_id = r->proposing_parent, .time = job->block.time, .weight = r->proposing_weight};
    event.proposal.body_hash = bft_body_hash(r->proposing_body->bytes, r->proposing_body->count);
    memcpy(event.proposal.outbox_root.bytes, job->result.outbox_root, 32);
    memcpy(event.proposal.state_root.bytes, job->result.state_root, 32);
    memcpy(event.proposal.cursors_hash.bytes, job->result.cursors_hash, 32);
    epoch_effect(r, &made, &event.proposal.config);
    replica_run(r); /* what is queued comes first: it may make this proposal stale */
    replica_event(r, &event);
    replica_run(r);
    selection_let_go(r); /* the block that was made of it holds its inputs itself */
    blob_drop(r->proposing_body);
    r->proposing_body = NULL;
    free(r->proposing_config); /* it came too late */
    r->proposing_config = NULL;
    job_give(r, job);
}
