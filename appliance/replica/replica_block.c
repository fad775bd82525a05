/* Blocks: held with all their inputs, executed, final, published, dropped. */
#include <stdlib.h>
#include <string.h>

#include "appliance/base/pool.h"
#include "appliance/replica/replica_private.h"

static uint32_t bucket_of(const struct bft_hash *id) {
    return bytes_get_le32(id->bytes) & (BLOCK_BUCKETS - 1);
}

uint32_t block_find(const struct replica *r, const struct bft_hash *id) {
    uint32_t index = r->block_buckets[bucket_of(id)];
    while (index != NONE && !bft_hash_equal(&r->blocks[index].id, id)) index = r->blocks[index].bucket_next;
    return index;
}

/* What only a block had a use for: a slice that no window has would be found for ever and never proposed; batches that their relay did not bring, or
 * beyond its limit, would let a leader fill the pool by naming them. */
static bool input_is_stray(struct replica *r, uint32_t index) {
    const struct input *input = &r->inputs[index];
    if (input->state != INPUT_HELD) return input->state == INPUT_WANTED;
    if (input->kind == BODY_SLICE) return !source_window_has(r, index);
    if (input->kind == BODY_ADMIN && !input->is_signed) return true;
    if (input->relay >= r->members.n) return true; /* it was removed */
    return !input->mine && (input->named || r->waiting[input->relay].count > relay_inputs_max(r));
}

/* The block needs this input no more. */
static void input_let_go(struct replica *r, uint32_t index) {
    struct input *input = &r->inputs[index];
    CHECK(input->in_blocks > 0);
    if (--input->in_blocks > 0) return;
    if (input->state == INPUT_DONE && input->persisted && input->decided_height <= r->pruned_height) { /* the pruning passed it over for this block */
        input_drop(r, index, input->decided_height);
        return;
    }
    if (input_is_stray(r, index)) input_drop(r, index, r->tip_height);
}

/* The block needs its inputs no more. */
static void inputs_let_go(struct replica *r, struct rblock *block) {
    for (uint32_t i = 0; block->inputs != NULL && i < block->ref_count; i++) {
        if (block->inputs[i] != NONE) input_let_go(r, block->inputs[i]);
    }
    pool_give(block->inputs);
    block->inputs = NULL;
    r->unplaced_count -= block->unplaced;
    block->missing = block->unplaced = 0;
}

/* D-4: it can never be valid, whatever comes; nothing is waited for, and it is told to be invalid when it is to be executed. */
static void block_condemn(struct replica *r, struct rblock *block) {
    inputs_let_go(r, block);
    block->ref_count = 0;
    block->weight = 0;
    block->body_bad = true;
}

/* The input that a reference names, made WANTED when it is not there or its bytes are gone. */
static uint32_t reference_input(struct replica *r, const struct body_reference *reference) {
    uint32_t index = input_find(r, reference->hash);
    if (index != NONE && r->inputs[index].state == INPUT_DONE && r->inputs[index].blob == NULL && r->inputs[index].in_blocks == 0) {
        input_free(r, index);
        index = NONE;
    }
    if (index != NONE) return index;
    index = input_make(r, reference->kind, reference->hash);
    if (index == NONE) return NONE;
    struct input *input = &r->inputs[index];
    input->relay = reference->relay;
    input->source = reference->source;
    input->dseq = reference->dseq;
    input->asked_ms = r->now_ms + FETCH_GRACE_MS - r->config.timeouts.fetch_ms;
    return index;
}

static uint8_t reference_kind(const struct rblock *block, uint32_t ref) {
    return block->body->bytes[block->body_offset + BODY_HEAD_BYTES + (size_t)ref * BODY_REFERENCE_BYTES];
}

/* Finds this reference's input a place in the pool, if there is one. False: the block is invalid. */
static bool reference_take(struct replica *r, struct rblock *block, uint32_t ref) {
    struct body_reference reference;
    CHECK(body_reference_decode(block->body->bytes + block->body_offset + BODY_HEAD_BYTES + (size_t)ref * BODY_REFERENCE_BYTES, &reference));
    if (reference.relay >= r->members.n) return false;
    if (reference.kind == BODY_NOOP) return true;
    uint32_t index = input_find(r, reference.hash);
    /* D-4.6: no input of another kind has this hash. What is only WANTED has its kind from some block's word, and is judged when it comes. */
    if (index != NONE && r->inputs[index].state != INPUT_WANTED && r->inputs[index].kind != reference.kind) return false;
    index = reference_input(r, &reference);
    if (index == NONE) return true;
    block->inputs[ref] = index;
    block->unplaced--;
    r->unplaced_count--;
    r->inputs[index].in_blocks++;
    block->missing -= r->inputs[index].blob != NULL;
    block->weight += r->inputs[index].weight;
    return true;
}

static void references_take(struct replica *r, struct rblock *block) {
    long count = body_reference_count(block->body->bytes + block->body_offset, block->body_count, r->config.limits.block_refs_max);
    block->body_bad = count < 0;
    block->ref_count = count < 0 ? 0 : (uint32_t)count;
    if (block->ref_count == 0) return;
    block->inputs = pool_take(block->ref_count * sizeof *block->inputs);
    for (uint32_t i = 0; i < block->ref_count; i++) {
        block->inputs[i] = NONE;
        block->unplaced += reference_kind(block, i) != BODY_NOOP;
    }
    block->missing = block->unplaced;
    r->unplaced_count += block->unplaced;
    for (uint32_t i = 0; i < block->ref_count && !block->body_bad; i++) {
        if (!reference_take(r, block, i)) block_condemn(r, block);
    }
}

uint32_t block_make(struct replica *r, const struct bft_header *header, const struct bft_hash *id, struct blob_piece body) {
    uint32_t index = r->block_free;
    if (index == NONE && r->blocks_used_max == BLOCKS_MAX) return NONE;
    if (index != NONE)
        r->block_free = r->blocks[index].bucket_next;
    else
        index = r->blocks_used_max++;
    struct rblock *block = &r->blocks[index];
    memset(block, 0, sizeof *block);
    block->used = true;
    block->id = *id;
    block->header = *header;
    block->body = blob_hold(body.blob);
    block->body_offset = body.offset;
    block->body_count = body.count;
    block->seen_us = r->now_us;
    block->order_next = NONE;
    block->bucket_next = r->block_buckets[bucket_of(id)];
    r->block_buckets[bucket_of(id)] = index;
    r->blocks_open++;
    references_take(r, block);
    return index;
}

void block_free(struct replica *r, uint32_t index) {
    struct rblock *block = &r->blocks[index];
    if (block->jobs > 0) {
        block->dying = true;
        return;
    }
    inputs_let_go(r, block);
    for (uint32_t i = 0; i < block->slice_count; i++) {
        r->kept_bytes -= block->slices[i]->count;
        blob_drop(block->slices[i]);
    }
    pool_give(block->slices);
    pool_give(block->levels.storage);
    free(block->config_next);
    blob_drop(block->body);
    blob_drop(block->certificate);
    uint32_t *at = &r->block_buckets[bucket_of(&block->id)];
    while (*at != index) at = &r->blocks[*at].bucket_next;
    *at = block->bucket_next;
    if (block->final)
        r->blocks_final--;
    else
        r->blocks_open--;
    if (block->final && r->final_at[block->header.height % BLOCKS_MAX] == index) r->final_at[block->header.height % BLOCKS_MAX] = NONE;
    block->used = false;
    block->bucket_next = r->block_free;
    r->block_free = index;
}

static void block_tell_held(struct replica *r, struct rblock *block) {
    if (block->held_told || !block->core_holds || block->missing > 0) return;
    block->held_told = true;
    struct bft_event event = {.type = BFT_EVENT_INPUTS_HELD, .block_id = block->id};
    replica_event(r, &event);
}

void block_hold(struct replica *r, const struct bft_action *action) {
    uint32_t index = block_find(r, &action->block_id);
    if (index == NONE) {
        struct blob_piece body = r->current;
        if (body.blob == NULL || !bft_hash_equal(&r->message->block_id, &action->block_id)) {
            replica_note(r, LOG_LEVEL_WARN, "body_missing", "height=%llu", (unsigned long long)action->header.height);
            return;
        }
        index = block_make(r, &action->header, &action->block_id, body);
        if (index == NONE) {
            drop_count(r, DROP_DISK_BEHIND);
            return;
        }
    }
    struct rblock *block = &r->blocks[index];
    block->core_holds = true;
    block->held_told = false;
    block->dying = false;
    block_tell_held(r, block);
}

/* The pool was full when the block came, and maybe no longer is. */
void block_place(struct replica *r, struct rblock *block) {
    for (uint32_t i = 0; i < block->ref_count && block->unplaced > 0; i++) {
        if (block->inputs[i] == NONE && !reference_take(r, block, i)) block_condemn(r, block);
    }
    block_tell_held(r, block);
}

void block_input_arrived(struct replica *r, uint32_t input) {
    r->inputs[input].in_blocks++; /* it stays until all are told, though the last block that has it may be condemned */
    for (uint32_t i = 0; i < r->blocks_used_max; i++) {
        struct rblock *block = &r->blocks[i];
        if (!block->used || block->missing == 0) continue;
        for (uint32_t ref = 0; ref < block->ref_count; ref++) {
            if (block->inputs[ref] != input) continue;
            if (reference_kind(block, ref) != r->inputs[input].kind) {
                block_condemn(r, block);
                break;
            }
            block->missing--;
            block->weight += r->inputs[input].weight;
        }
        block_tell_held(r, block);
    }
    input_let_go(r, input);
}

void block_drop(struct replica *r, const struct bft_action *action) {
    uint32_t index = block_find(r, &action->block_id);
    if (index == NONE) return;
    struct rblock *block = &r->blocks[index];
    block->core_holds = false;
    if (block->final) return; /* its answers may still be wanted: block_release_old */
    if (block->persisted) {
        uint8_t key[WAL_KEY_BYTES_MAX];
        size_t bytes = wal_key_block(key, block->header.place.epoch, block->header.height, block->id.bytes, WAL_PART_HEADER);
        persist_delete(r, WAL_BLOCKS, key, bytes);
        bytes = wal_key_block(key, block->header.place.epoch, block->header.height, block->id.bytes, WAL_PART_BODY);
        persist_delete(r, WAL_BLOCKS, key, bytes);
    }
    block_free(r, index);
}

/* ---- durable ---- */

void input_pieces(const struct input *input, struct blob_piece pieces[2]) {
    struct blob *head = blob_make(4);
    head->bytes[0] = input->kind;
    head->bytes[1] = input->relay;
    head->bytes[2] = head->bytes[3] = 0;
    pieces[0] = (struct blob_piece){.blob = head, .count = 4};
    pieces[1] = (struct blob_piece){.blob = input->blob, .offset = input->offset, .count = input->count};
}

void input_persist(struct replica *r, struct input *input) {
    struct blob_piece pieces[2];
    input->persisted = true;
    input_pieces(input, pieces);
    persist_put_prepared(r, WAL_INPUTS, input->hash, 32, pieces, 2, input->kind == BODY_SLICE ? input->ticket : 0);
    blob_drop(pieces[0].blob);
    if (input->kind == BODY_SLICE) input->ticket = 0;
    input->stored_at = persist_sequence(r);
}

/* The sequence at which all of them are durable. */
static uint64_t block_inputs_store(struct replica *r, const struct rblock *block) {
    uint64_t durable_at = 0;
    for (uint32_t i = 0; i < block->ref_count; i++) {
        if (block->inputs == NULL || block->inputs[i] == NONE) continue;
        struct input *input = &r->inputs[block->inputs[i]];
        if (!input->persisted && input->blob != NULL) input_persist(r, input);
        if (input->persisted && input->stored_at > durable_at) durable_at = input->stored_at;
    }
    return durable_at;
}

/* A block that came from the store may lack inputs there, which a flip has spoilt: what was fetched in their place is stored, or each start would end
 * below it again. */
void block_store(struct replica *r, uint32_t index) {
    struct rblock *block = &r->blocks[index];
    uint64_t inputs_at = block_inputs_store(r, block);
    if (inputs_at > block->durable_at) block->durable_at = inputs_at;
    if (block->persisted) return;
    uint8_t key[WAL_KEY_BYTES_MAX];
    struct blob *header = blob_make(BFT_HEADER_BYTES);
    struct bytes_writer writer = bytes_writer_of(header->bytes, BFT_HEADER_BYTES);
    bft_header_put(&writer, &block->header);
    size_t bytes = wal_key_block(key, block->header.place.epoch, block->header.height, block->id.bytes, WAL_PART_HEADER);
    persist_put_blob(r, WAL_BLOCKS, key, bytes, header);
    struct blob_piece body = {.blob = block->body, .offset = block->body_offset, .count = block->body_count};
    bytes = wal_key_block(key, block->header.place.epoch, block->header.height, block->id.bytes, WAL_PART_BODY);
    persist_put(r, WAL_BLOCKS, key, bytes, &body, 1);
    block->persisted = true;
    block->durable_at = persist_sequence(r);
}

/* Header and certificate of a final block lie under its height, with an id of zeros. */
void block_certificates_save(struct replica *r) {
    static const uint8_t no_id[32];
    if (r->certificates_unsaved == 0) return;
    for (uint32_t index = r->final_first; index != NONE; index = r->blocks[index].order_next) {
        struct rblock *block = &r->blocks[index];
        if (block->certificate_saved || block->certificate == NULL) continue;
        struct blob *header = blob_make(BFT_HEADER_BYTES);
        struct bytes_writer writer = bytes_writer_of(header->bytes, BFT_HEADER_BYTES);
        bft_header_put(&writer, &block->header);
        uint8_t key[WAL_KEY_BYTES_MAX];
        size_t bytes = wal_key_block(key, block->header.place.epoch, block->header.height, no_id, WAL_PART_CERTIFICATE);
        struct blob_piece pieces[2] = {{.blob = header, .count = BFT_HEADER_BYTES}, {.blob = block->certificate, .count = block->certificate->count}};
        persist_put(r, WAL_BLOCKS, key, bytes, pieces, 2);
        blob_drop(header);
        block->certificate_saved = true;
    }
    r->certificates_unsaved = 0;
}

/* ---- jobs ---- */

struct execution_job *job_take(struct replica *r, enum execution_kind kind) {
    struct execution_job *job = r->jobs_free;
    if (job != NULL)
        r->jobs_free = job->next;
    else
        job = calloc(1, sizeof *job);
    CHECK(job != NULL);
    job->kind = kind;
    job->next = NULL;
    job->owner = NONE;
    job->cancelled = job->checkpoint = job->checkpoint_own = false;
    job->blob_count = 0;
    job->checkpoint_sequence = 0;
    job->clients = NULL;
    return job;
}

void job_submit(struct replica *r, struct execution_job *job) {
    output_add(r, REPLICA_JOB)->job = job;
    r->jobs_out++;
}

void job_give(struct replica *r, struct execution_job *job) {
    for (uint32_t i = 0; i < job->blob_count; i++) blob_drop(job->blobs[i].blob);
    job->blob_count = 0;
    blob_drop(job->clients);
    job->clients = NULL;
    job->next = r->jobs_free;
    r->jobs_free = job;
}

void job_fill_refs(struct replica *r, struct execution_job *job, const uint8_t *body, uint32_t ref_count, const uint32_t *inputs) {
    if (job->refs_room < ref_count) {
        job->refs = realloc(job->refs, ref_count * sizeof *job->refs);
        CHECK(job->refs != NULL);
        job->refs_room = ref_count;
    }
    for (uint32_t i = 0; i < ref_count; i++) {
        const uint8_t *at = body + BODY_HEAD_BYTES + (size_t)i * BODY_REFERENCE_BYTES;
        struct body_reference reference;
        CHECK(body_reference_decode(at, &reference));
        struct exec_ref *ref = &job->refs[i];
        *ref =
            (struct exec_ref){.kind = reference.kind, .relay = reference.relay, .source = reference.source, .dseq = reference.dseq, .hash = at + 16};
        if (inputs[i] == NONE) continue;
        const struct input *input = &r->inputs[inputs[i]];
        const uint8_t *bytes = input->blob->bytes + input->offset;
        CHECK(input->kind == reference.kind); /* block_condemn */
        bool slice = input->kind == BODY_SLICE;
        ref->leaf = slice ? bytes + input->leaf_offset : NULL;
        ref->bytes = slice ? bytes + input->slice_offset : bytes;
        ref->byte_count = slice ? input->slice_bytes : (uint32_t)input->count;
        ref->longs = input->longs.list;
        ref->long_count = input->longs.count;
    }
    job->block.refs = job->refs;
    job->block.ref_count = ref_count;
}

static uint64_t ticket_of(const struct replica *r, const struct bft_hash *id) {
    if (bft_hash_equal(id, &r->tip_id)) return r->tip_ticket;
    uint32_t index = block_find(r, id);
    CHECK(index != NONE && r->blocks[index].executed);
    return r->blocks[index].ticket;
}

static void executed_tell(struct replica *r, const struct rblock *block, bool valid) {
    struct bft_event event = {.type = BFT_EVENT_EXECUTED};
    event.executed = (struct bft_executed){.block_id = block->id, .valid = valid, .weight = block->weight};
    if (valid) memcpy(event.executed.outbox_root.bytes, block->result.outbox_root, 32);
    if (valid) memcpy(event.executed.state_root.bytes, block->result.state_root, 32);
    if (valid) epoch_effect(r, block, &event.executed.config);
    replica_event(r, &event);
}

void block_execute(struct replica *r, const struct bft_action *action) {
    propose_cancel(r);
    uint32_t index = block_find(r, &action->block_id);
    CHECK(index != NONE);
    struct rblock *block = &r->blocks[index];
    block->executed = false;
    if (block->body_bad) {
        executed_tell(r, block, false);
        return;
    }
    struct execution_job *job = job_take(r, EXECUTION_BLOCK);
    job->owner = index;
    job->ticket = r->next_ticket++;
    job->block = (struct exec_block){
        .ticket = job->ticket, .parent = ticket_of(r, &block->header.parent_id), .height = block->header.height, .time = block->header.time};
    job_fill_refs(r, job, block->body->bytes + block->body_offset, block->ref_count, block->inputs);
    block->jobs++;
    /* A disk that is slower than the others': what is final waits for it, and so does what comes after. */
    if (r->unpublished > UNPUBLISHED_MAX) r->retry = job;
    else job_submit(r, job);
}

/* This node's own trouble; true: the job is dealt with. */
static bool execution_trouble(struct replica *r, struct execution_job *job) {
    switch (job->status) {
    case EXEC_NO_ROOM:
    case EXEC_OPEN_FULL: r->retry = job; return true;
    case EXEC_CORRUPT: scrub_memory_failed(r, "checksum", NULL); return true;
    case EXEC_UNKNOWN_PARENT:
        replica_stop(r, "the executor does not know the parent of block %llu (ticket %llu): a fault of this program",
                     (unsigned long long)job->block.height, (unsigned long long)job->block.parent);
        return true;
    default: return false;
    }
}

void block_result_take(struct rblock *block, const struct execution_job *job) {
    block->result = job->result;
    block->ticket = job->ticket;
    if (job->status != EXEC_VALID || job->result.config_kind == EXEC_CONFIG_NONE) return;
    memcpy(block->root_after.bytes, job->root_after, 32);
    if (block->config_next == NULL) block->config_next = malloc(sizeof *block->config_next);
    CHECK(block->config_next != NULL);
    *block->config_next = job->config;
}

void block_executed(struct replica *r, struct execution_job *job) {
    if (execution_trouble(r, job)) return;
    struct rblock *block = &r->blocks[job->owner];
    block->jobs--;
    if (block->dying) {
        executed_tell(r, block, false);
        block_free(r, job->owner);
        job_give(r, job);
        return;
    }
    bool valid = job->status == EXEC_VALID && memcmp(job->result.cursors_hash, block->header.cursors_hash.bytes, 32) == 0;
    if (job->status != EXEC_VALID)
        replica_note(r, LOG_LEVEL_WARN, "block_invalid", "height=%llu cause=%s reference=%u", (unsigned long long)block->header.height,
                     exec_status_name(job->status), job->result.bad_ref);
    block_result_take(block, job);
    measure_executed(r, job);
    block->executed = job->status == EXEC_VALID;
    if (block->executed) r->executed_height = block->header.height;
    executed_tell(r, block, valid);
    job_give(r, job);
}

/* ---- final ---- */

static void final_inputs(struct replica *r, struct rblock *block) {
    for (uint32_t i = 0; i < block->ref_count; i++) {
        uint32_t index = block->inputs[i];
        if (index == NONE) continue;
        struct input *input = &r->inputs[index];
        r->status.inputs_decided++;
        r->rate_weight += input->weight;
        if (input->kind == BODY_SLICE) {
            struct pair *pair = pair_find(r, input->source);
            if (!r->replaying && input->state == INPUT_HELD) waiting_slice_consumed(r, r->now_ms - input->arrived_ms);
            if (pair != NULL) source_consumed(r, pair, input->dseq);
        }
        if (input->state == INPUT_HELD) input_done(r, index, block->header.height);
        else if (input->state == INPUT_DONE) input_done_again(r, index, block->header.height);
    }
}

static void final_append(struct replica *r, uint32_t index) {
    struct rblock *block = &r->blocks[index];
    block->final = true;
    if (r->final_last != NONE)
        r->blocks[r->final_last].order_next = index;
    else
        r->final_first = index;
    r->final_last = index;
    if (r->publish_next == NONE) r->publish_next = index;
    r->final_at[block->header.height % BLOCKS_MAX] = index;
    r->blocks_final++;
    r->blocks_open--;
    r->unpublished++;
}

/* The tree over the outbox, and what goes to other clusters into the queues (served when the block is durable). */
static void final_outbox(struct replica *r, struct rblock *block) {
    const struct exec_result *result = &block->result;
    if (result->output_count == 0) return;
    tree_hash *storage = pool_take(tree_levels_hashes(result->output_count) * sizeof *storage);
    memcpy(storage, result->leaf_hashes, result->output_count * sizeof *storage);
    tree_levels_build(&block->levels, storage, result->output_count);
    for (uint32_t i = 0; i < result->output_count; i++) {
        const struct exec_output *output = &result->outputs[i];
        struct pair *pair = output->kind == LEAF_KIND_CLUSTER ? pair_find(r, output->destination) : NULL;
        if (pair == NULL) continue;
        struct blob *slice = blob_wrap((uint8_t *)(uintptr_t)output->slice, output->slice_bytes, blob_wrapper_free, NULL);
        queue_add(r, pair, output->dseq, block->header.height, client_decision_head(r, block, i), slice, false);
    }
}

void block_finalize_job(struct replica *r, uint32_t index) {
    struct rblock *block = &r->blocks[index];
    struct execution_job *job = job_take(r, EXECUTION_FINAL);
    job->owner = index;
    job->ticket = block->ticket;
    recovery_checkpoint(r, block, job);
    final_append(r, index);
    r->decided_ms = r->now_ms;
    r->tip_id = block->id;
    r->tip_height = block->header.height;
    r->tip_time = block->header.time;
    r->tip_ticket = block->ticket;
    r->tip_due = block->result.due;
    memcpy(r->status.state_root, block->header.state_root.bytes, 32);
    r->status.state_root_height = block->header.height - 1;
    final_inputs(r, block);
    enum cost_component before = cost_enter(r->meter, COST_OUTBOX);
    final_outbox(r, block);
    cost_leave(r->meter, before, 0);
    recovery_checkpoint_sealed(r, block, job);
    block->jobs++;
    job_submit(r, job);
}

void block_final(struct replica *r, const struct bft_action *action) {
    uint32_t index = block_find(r, &action->block_id);
    CHECK(index != NONE && r->blocks[index].executed);
    struct rblock *block = &r->blocks[index];
    block_store(r, index);
    uint8_t *certificate = r->scratch;
    size_t bytes = bft_core_certificate(r->core, &action->block_id, certificate);
    CHECK(bytes > 0);
    block->certificate = blob_copy(certificate, bytes);
    r->status.voted = r->status.voted || block->voted;
    block->final_us = r->now_us;
    if (!r->replaying) histogram_between(&r->status.finalize_us, block->prepared_us, block->final_us);
    if (r->certificates_unsaved++ == 0) r->unsaved_since_ms = r->now_ms;
    epoch_ended(r, block);
    block_finalize_job(r, index);
    block_publish(r);
}

void block_finalized(struct replica *r, struct execution_job *job) {
    struct rblock *block = &r->blocks[job->owner];
    block->jobs--;
    if (job->status == EXEC_CORRUPT) {
        scrub_memory_failed(r, "checksum", NULL);
        return;
    }
    if (job->status == EXEC_STORE_FAILED) return; /* whoever has the store says why, and ends this or opens it anew */
    if (job->status != EXEC_VALID) {
        replica_stop(r, "block %llu could not be made final: %s", (unsigned long long)block->header.height, exec_status_name(job->status));
        return;
    }
    block->finalized = true;
    for (uint32_t i = 0; i < job->pair_count; i++) {
        struct pair *pair = pair_find(r, job->pairs[i].cluster);
        if (pair == NULL) continue;
        pair->sent_final = job->pairs[i].sent_dseq;
        pair->epoch_state = job->pairs[i].epoch;
        if (job->pairs[i].consumed_dseq > pair->consumed_final) source_consumed(r, pair, job->pairs[i].consumed_dseq);
        if (job->pairs[i].acked_dseq > pair->acked) pair->acked = job->pairs[i].acked_dseq;
        queue_release(r, pair);
    }
    if (job->clients != NULL) admin_follow(r, job->clients);
    rollback_final(r, block);
    job_give(r, job);
}

/* ---- publish: what a final, durable block says to the world ---- */

/* The results in its answers lie in the slices that it consumed: these stay as long as an answer may be sent (O-50). */
static void slices_hold(struct replica *r, struct rblock *block) {
    bool answers = false;
    for (uint32_t i = 0; i < block->result.output_count && !answers; i++) answers = block->result.outputs[i].kind == LEAF_KIND_CLIENT;
    if (!answers || block->slices != NULL) return;
    block->slices = pool_take(block->ref_count * sizeof(struct blob *));
    for (uint32_t i = 0; i < block->ref_count; i++) {
        const struct input *input = block->inputs[i] != NONE ? &r->inputs[block->inputs[i]] : NULL;
        if (input == NULL || input->kind != BODY_SLICE) continue;
        CHECK(input->blob != NULL); /* in_blocks keeps it */
        block->slices[block->slice_count++] = blob_hold(input->blob);
        r->kept_bytes += input->blob->count;
    }
}

void block_publish(struct replica *r) {
    while (r->publish_next != NONE) {
        struct rblock *block = &r->blocks[r->publish_next];
        if (block->certificate == NULL || block->durable_at > r->durable) break;
        slices_hold(r, block);
        if (block->result.output_count > 0) {
            enum cost_component before = cost_enter(r->meter, COST_ANSWERS);
            client_publish(r, block);
            cost_leave(r->meter, before, 0);
        }
        pool_give(block->levels.storage);
        block->levels.storage = NULL;
        block->published = true;
        r->unpublished--;
        r->published_height = block->header.height;
        r->status.decisions++;
        r->status.empty_decisions += block->ref_count == 0;
        if (!r->replaying) histogram_between(&r->status.commit_us, block->seen_us, r->now_us);
        if (!r->replaying) histogram_between(&r->status.publish_us, block->final_us, r->now_us);
        if (!r->replaying && block->seen_us > 0 && r->now_us > block->seen_us) pace_committed(r, r->now_us - block->seen_us);
        inputs_let_go(r, block);
        r->publish_next = block->order_next;
    }
    enum cost_component before = cost_enter(r->meter, COST_QUEUE);
    for (uint32_t i = 0; i < r->pair_count; i++) {
        if (r->pairs[i].items_first == r->pairs[i].items_end) continue; /* of hundreds of pairs most are idle */
        queue_release(r, &r->pairs[i]);
        for (uint32_t member = 0; member < r->pairs[i].members.n; member++) queue_serve(r, &r->pairs[i], member);
    }
    cost_leave(r->meter, before, 0);
}

/* Gives the oldest final blocks back when more are kept than the limits say. */
void block_release_old(struct replica *r) {
    uint32_t kept_max =
        r->is_coordinator && r->config.limits.answer_blocks_kept < BLOCKS_MAX / 2 ? r->config.limits.answer_blocks_kept : BLOCKS_MAX / 2;
    while (r->final_first != NONE && (r->blocks_final > kept_max || r->kept_bytes > KEPT_BYTES_MAX || r->retry != NULL || r->pressed)) {
        uint32_t index = r->final_first;
        struct rblock *block = &r->blocks[index];
        if (!block->published || !block->finalized || block->jobs > 0 || index == r->final_last || !block->certificate_saved) break;
        struct execution_job *job = job_take(r, EXECUTION_RELEASE_BLOCK);
        job->ticket = block->ticket;
        job_submit(r, job);
        r->final_first = block->order_next;
        block_free(r, index);
    }
    r->pressed = false;
    if (r->retry != NULL && r->unpublished <= UNPUBLISHED_MAX) {
        struct execution_job *job = r->retry;
        r->retry = NULL;
        job_submit(r, job);
    }
}

/* ---- FETCH served ---- */

static void block_send(struct replica *r, struct replica_peer to, const struct bft_header *header, const struct blob *certificate,
                       size_t certificate_offset, struct blob_piece body) {
    struct bft_message *message = malloc(sizeof *message);
    CHECK(message != NULL);
    message->type = BFT_MESSAGE_BLOCK;
    message->block.header = *header;
    message->block.has_certificate = false;
    if (certificate != NULL) {
        struct bytes_cursor cursor = bytes_cursor_of(certificate->bytes + certificate_offset, certificate->count - certificate_offset);
        message->block.has_certificate = bft_certificate_get(&cursor, &message->block.certificate, NULL);
    }
    message->body = blob_piece_bytes(&body);
    message->body_bytes = (uint32_t)body.count;
    size_t bytes = bft_wire_encode(message, r->scratch, BFT_WIRE_HEAD_BYTES_MAX);
    struct blob *head = blob_copy(r->scratch, bytes);
    struct blob_piece pieces[2] = {{.blob = head, .count = bytes}, body};
    output_send(r, to, BFT_MESSAGE_BLOCK, pieces, 2);
    blob_drop(head);
    free(message);
}

static void block_send_from_memory(struct replica *r, struct replica_peer to, const struct rblock *block) {
    struct blob_piece body = {.blob = block->body, .offset = block->body_offset, .count = block->body_count};
    block_send(r, to, &block->header, block->certificate, 0, body);
}

void block_fetch_frame(struct replica *r, struct replica_peer from, const struct bft_fetch *fetch) {
    static const uint8_t no_id[32];
    if (memcmp(fetch->system_id, r->members.place.system_id, BFT_SYSTEM_BYTES) != 0 || fetch->cluster != r->cluster) {
        drop_count(r, DROP_MALFORMED);
        return;
    }
    bool observer = from.kind == REPLICA_OBSERVER;
    if (!question_allowed(r, observer ? &r->observers[from.index].rate : &r->member_rates[from.member])) return;
    if (fetch->kind == BFT_FETCH_ID) {
        uint32_t index = block_find(r, &fetch->id);
        if (index != NONE) block_send_from_memory(r, from, &r->blocks[index]);
        return;
    }
    uint64_t end = fetch->height_first + (fetch->height_count < FETCH_BLOCKS_AT_ONCE ? fetch->height_count : FETCH_BLOCKS_AT_ONCE);
    for (uint64_t height = fetch->height_first; height < end && height <= r->tip_height && height > r->genesis_height; height++) {
        uint32_t index = r->final_at[height % BLOCKS_MAX];
        if (index != NONE && r->blocks[index].header.height == height) {
            block_send_from_memory(r, from, &r->blocks[index]);
            continue;
        }
        uint8_t key[WAL_KEY_BYTES_MAX];
        size_t bytes = wal_key_block(key, epoch_of_height(r, height), height, no_id, WAL_PART_CERTIFICATE);
        if (read_begin(r, READ_BLOCK_CERTIFICATE, from, WAL_BLOCKS, key, bytes) == NONE) return;
    }
}

void block_read_done(struct replica *r, uint64_t cookie, struct blob *blob) {
    struct pending_read pending = r->reads[cookie];
    r->reads[cookie].purpose = READ_FREE;
    struct bft_header header;
    const struct blob *certified = pending.purpose == READ_BLOCK_BODY ? pending.certified : blob;
    struct bytes_cursor cursor = certified != NULL ? bytes_cursor_of(certified->bytes, certified->count) : bytes_cursor_of(NULL, 0);
    bool good = blob != NULL && bft_header_get(&cursor, &header);
    if (good && pending.purpose == READ_BLOCK_CERTIFICATE) {
        struct bft_hash id = bft_header_id(&header);
        uint8_t key[WAL_KEY_BYTES_MAX];
        size_t bytes = wal_key_block(key, header.place.epoch, header.height, id.bytes, WAL_PART_BODY);
        uint32_t slot = read_begin(r, READ_BLOCK_BODY, pending.peer, WAL_BLOCKS, key, bytes);
        if (slot != NONE) r->reads[slot].certified = blob_hold(blob);
    } else if (good) {
        block_send(r, pending.peer, &header, pending.certified, BFT_HEADER_BYTES, (struct blob_piece){.blob = blob, .count = blob->count});
    }
    blob_drop(pending.certified);
    blob_drop(blob);
}
