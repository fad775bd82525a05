#include "appliance/exec/execution.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/bytes.h"
#include "merkle/check.h"

enum { BUFFERS_MAX = 64, BUFFER_BYTES = 4 << 20, WORK_ROOM_FIRST = 1 << 20, CLIENT_HEAD_BYTES = 8, PART_UNITS = 3 << 12, OPEN_LEFT_MIN = 2 };

/* Memory of one batch on its way to the checkpoint store. */
struct buffer {
    uint8_t *memory;
    uint64_t sequence; /* of the store; 0: not submitted */
    struct state_buffer writes;
    struct state_batch batch; /* the store's thread reads it until it is completed */
    /* Blobs of the checkpoint in this batch. */
    struct state_blob blobs[EXECUTION_BLOBS_MAX + 1];
    struct blob *held[EXECUTION_BLOBS_MAX];
    uint32_t blob_count, held_count;
    uint8_t *work;
    struct state_checkpoint description;
};

struct job_queue {
    struct execution_job *first, *last;
};

/* Where the oldest FINAL job is: what changed before its block; its block; what changed with it. */
enum final_stage { FINAL_BEFORE, FINAL_BLOCK, FINAL_WITH };

struct execution {
    struct executor *executor;
    struct state *state;
    struct cost_meter *meter;
    struct buffer ring[BUFFERS_MAX];
    uint32_t first, count; /* submitted and not reaped, oldest first; the one at first + count is open if is_open */
    bool is_open;
    bool clear_next; /* the next batch begins from nothing */
    uint64_t durable_height;
    struct store_error error;
    struct job_queue finals; /* not done: in their order, the oldest maybe in part */
    struct job_queue done;   /* and not given back */
    enum final_stage stage;
    uint64_t part_units;
};

static void queue_put(struct job_queue *queue, struct execution_job *job) {
    job->next = NULL;
    if (queue->first == NULL) queue->first = job;
    else queue->last->next = job;
    queue->last = job;
}

static struct execution_job *queue_take(struct job_queue *queue) {
    struct execution_job *job = queue->first;
    if (job != NULL) queue->first = job->next;
    return job;
}

struct execution *execution_create(struct executor *executor, struct state *state) {
    struct execution *execution = calloc(1, sizeof *execution);
    if (execution == NULL) return NULL;
    execution->executor = executor;
    execution->state = state;
    execution->part_units = PART_UNITS;
    return execution;
}

void execution_part(struct execution *execution, uint64_t units) {
    execution->part_units = units;
}

static void buffer_empty(struct buffer *buffer) {
    for (uint32_t i = 0; i < buffer->held_count; i++) blob_drop(buffer->held[i]);
    free(buffer->work);
    free(buffer->memory);
    memset(buffer, 0, sizeof *buffer);
}

void execution_job_free(struct execution_job *job) {
    for (uint32_t i = 0; i < job->blob_count; i++) blob_drop(job->blobs[i].blob);
    blob_drop(job->clients);
    free(job->refs);
    free(job);
}

void execution_destroy(struct execution *execution) {
    if (execution == NULL) return;
    struct execution_job *job;
    while ((job = queue_take(&execution->finals)) != NULL) execution_job_free(job);
    while ((job = queue_take(&execution->done)) != NULL) execution_job_free(job);
    for (uint32_t i = 0; i < BUFFERS_MAX; i++) buffer_empty(&execution->ring[i]);
    free(execution);
}

uint64_t execution_budget(void) {
    return (uint64_t)BUFFERS_MAX * BUFFER_BYTES;
}

uint64_t execution_reap(struct execution *execution) {
    if (execution->state == NULL) return execution->durable_height;
    uint64_t completed = state_completed(execution->state);
    while (execution->count > 0 && execution->ring[execution->first].sequence <= completed) {
        struct buffer *buffer = &execution->ring[execution->first];
        if (buffer->blob_count > 0) execution->durable_height = buffer->description.height;
        buffer_empty(buffer);
        execution->first = (execution->first + 1) % BUFFERS_MAX;
        execution->count--;
    }
    return execution->durable_height;
}

enum store_status execution_error(const struct execution *execution, struct store_error *error) {
    if (execution->error.status != STORE_OK) {
        *error = execution->error;
        return error->status;
    }
    return execution->state != NULL ? state_error(execution->state, error) : STORE_OK;
}

/* The buffer that takes writes now. */
static struct buffer *buffer_open(struct execution *execution) {
    struct buffer *buffer = &execution->ring[(execution->first + execution->count) % BUFFERS_MAX];
    if (execution->is_open) return buffer;
    buffer->memory = malloc(BUFFER_BYTES);
    CHECK(buffer->memory != NULL);
    state_buffer_init(&buffer->writes, buffer->memory, BUFFER_BYTES);
    execution->is_open = true;
    return buffer;
}

/* Waits until a slot of the ring is free; the store's thread empties it, or fails. False: it failed. */
static bool ring_wait(struct execution *execution) {
    (void)execution_reap(execution);
    while (execution->count >= BUFFERS_MAX - 1) {
        if (state_wait(execution->state, execution->ring[execution->first].sequence) != STORE_OK) return false;
        (void)execution_reap(execution);
    }
    return true;
}

/* Hands the open buffer to the store. `job`: it carries a checkpoint, and the buffer its blobs. */
static bool buffer_submit(struct execution *execution, struct execution_job *job) {
    struct buffer *buffer = buffer_open(execution);
    struct state_batch *batch = &buffer->batch;
    *batch = (struct state_batch){
        .writes = state_buffer_writes(&buffer->writes), .write_count = buffer->writes.count, .clear_first = execution->clear_next};
    if (job != NULL) {
        batch->checkpoint = &buffer->description;
        batch->blobs = buffer->blobs;
        batch->blob_count = buffer->blob_count;
    }
    enum store_status status = state_submit(execution->state, batch, &buffer->sequence);
    while (status == STORE_BUSY && execution->count > 0) {
        if (state_wait(execution->state, execution->ring[execution->first].sequence) != STORE_OK) break;
        (void)execution_reap(execution);
        status = state_submit(execution->state, batch, &buffer->sequence);
    }
    if (status != STORE_OK) {
        execution->error.status = status;
        (void)state_error(execution->state, &execution->error);
        return false;
    }
    if (job != NULL) job->checkpoint_sequence = buffer->sequence;
    execution->is_open = false;
    execution->clear_next = false;
    execution->count++;
    if (ring_wait(execution)) return true;
    (void)state_error(execution->state, &execution->error); /* no FINAL behind this one is run */
    return false;
}

bool execution_genesis(struct execution *execution) {
    uint64_t cursor = 0;
    struct table_write write = {.deleted = false};
    execution->clear_next = true;
    if (execution->state == NULL) return true;
    while (executor_entry_next(execution->executor, &cursor, &write.entry)) {
        if (state_buffer_add(&buffer_open(execution)->writes, &write)) continue;
        if (!buffer_submit(execution, NULL)) return false;
        CHECK(state_buffer_add(&buffer_open(execution)->writes, &write));
    }
    return true;
}

/* What changed since the last checkpoint, into as many buffers as it takes, or a part of it: EXEC_GOES_ON. */
static enum exec_status changes_submit(struct execution *execution, uint64_t *units) {
    enum exec_status status;
    while ((status = executor_changes(execution->executor, &buffer_open(execution)->writes, units)) == EXEC_BUFFER_FULL) {
        CHECK(buffer_open(execution)->writes.count > 0); /* an empty buffer takes one */
        if (!buffer_submit(execution, NULL)) return EXEC_STORE_FAILED;
    }
    return status;
}

/* All that changed is submitted. */
static void run_checkpoint(struct execution *execution, struct execution_job *job) {
    struct buffer *buffer = buffer_open(execution);
    size_t room = WORK_ROOM_FIRST, bytes = 0;
    buffer->work = malloc(room);
    CHECK(buffer->work != NULL);
    job->status = executor_save(execution->executor, buffer->work, room, &bytes, job->description.state_root);
    if (job->status == EXEC_BUFFER_FULL) {
        free(buffer->work);
        buffer->work = malloc(bytes);
        CHECK(buffer->work != NULL);
        room = bytes;
        job->status = executor_save(execution->executor, buffer->work, room, &bytes, job->description.state_root);
    }
    if (job->status != EXEC_VALID) return;
    buffer->description = job->description;
    buffer->description.entries = executor_final_entries(execution->executor);
    buffer->blobs[0] = (struct state_blob){.name = EXECUTOR_WORK_BLOB, .bytes = buffer->work, .byte_count = bytes};
    for (uint32_t i = 0; i < job->blob_count; i++) {
        struct state_blob *blob = &buffer->blobs[1 + i];
        memcpy(blob->name, job->blobs[i].name, sizeof blob->name);
        blob->bytes = job->blobs[i].blob->bytes;
        blob->byte_count = job->blobs[i].blob->count;
        buffer->held[i] = blob_hold(job->blobs[i].blob);
    }
    buffer->held_count = job->blob_count;
    buffer->blob_count = 1 + job->blob_count;
    if (!buffer_submit(execution, job)) job->status = EXEC_STORE_FAILED;
}

/* A record of a client in a blob: key_bytes u32, value_bytes u32, key, value. */

bool execution_client_next(const struct blob *clients, size_t *at, struct table_entry *entry) {
    if (clients->count == *at) return false;
    const uint8_t *head = clients->bytes + *at;
    *entry = (struct table_entry){.key = head + CLIENT_HEAD_BYTES,
                                  .key_bytes = bytes_get_le32(head),
                                  .value_bytes = bytes_get_le32(head + 4),
                                  .space = TRIE_SPACE_SYSTEM};
    entry->value = entry->key + entry->key_bytes;
    *at += CLIENT_HEAD_BYTES + entry->key_bytes + entry->value_bytes;
    return true;
}

static struct blob *clients_collect(const struct executor *executor) {
    struct exec_client_writes walk;
    struct table_entry entry;
    size_t bytes = 0, at = 0;
    executor_client_writes(executor, &walk);
    while (executor_client_writes_next(&walk, &entry)) bytes += CLIENT_HEAD_BYTES + entry.key_bytes + entry.value_bytes;
    if (bytes == 0) return NULL;
    struct blob *blob = blob_make(bytes);
    executor_client_writes(executor, &walk);
    while (executor_client_writes_next(&walk, &entry)) {
        bytes_put_le32(blob->bytes + at, entry.key_bytes);
        bytes_put_le32(blob->bytes + at + 4, entry.value_bytes);
        memcpy(blob->bytes + at + CLIENT_HEAD_BYTES, entry.key, entry.key_bytes);
        memcpy(blob->bytes + at + CLIENT_HEAD_BYTES + entry.key_bytes, entry.value, entry.value_bytes);
        at += CLIENT_HEAD_BYTES + entry.key_bytes + entry.value_bytes;
    }
    return blob;
}

/* Of the pairs that the block changed, whatever they are in those above it. */
static void cursors_fill(const struct executor *executor, struct execution_job *job) {
    for (uint32_t i = 0; i < job->pair_count; i++) {
        struct exec_pair pair;
        executor_pair_at(executor, job->pairs[i].index, true, &pair);
        job->pairs[i] = (struct execution_pair){.index = job->pairs[i].index, .cluster = pair.cluster, .consumed_dseq = pair.consumed_dseq,
                                                .sent_dseq = pair.sent_dseq, .acked_dseq = pair.acked_dseq, .epoch = pair.epoch};
    }
}

static void run_final(struct execution *execution, struct execution_job *job) {
    uint32_t pairs = executor_pairs(execution->executor);
    CHECK(pairs <= EXECUTION_PAIRS_MAX);
    job->pair_count = 0;
    for (uint32_t i = 0; (i = executor_pair_changed(execution->executor, i)) < pairs; i++) job->pairs[job->pair_count++].index = i;
    job->clients = clients_collect(execution->executor);
    if (execution->state == NULL) {
        job->status = executor_finalize(execution->executor, job->ticket, NULL);
        if (job->status == EXEC_VALID && job->checkpoint) execution->durable_height = job->description.height;
    } else {
        struct buffer *buffer = buffer_open(execution);
        job->status = executor_finalize(execution->executor, job->ticket, &buffer->writes);
        while (job->status == EXEC_BUFFER_FULL) {
            CHECK(buffer->writes.count > 0); /* a key and a value are at most 65 KiB: an empty buffer takes one */
            if (!buffer_submit(execution, NULL)) {
                job->status = EXEC_STORE_FAILED;
                return;
            }
            buffer = buffer_open(execution);
            job->status = executor_finalize(execution->executor, job->ticket, &buffer->writes);
        }
    }
    if (job->status == EXEC_VALID) cursors_fill(execution->executor, job);
}

/* A checkpoint of the parent has the writes before this block's (P-34). False: so much of it for now. */
static bool final_part(struct execution *execution, struct execution_job *job, uint64_t *units) {
    bool save = job->checkpoint && execution->state != NULL, before = save && !job->checkpoint_own;
    job->status = execution->error.status == STORE_OK ? EXEC_VALID : EXEC_STORE_FAILED;
    if (job->status == EXEC_VALID && execution->stage == FINAL_BEFORE) {
        bool changes = before || (execution->state != NULL && executor_changes_full(execution->executor));
        if (changes) job->status = changes_submit(execution, units);
        if (job->status == EXEC_GOES_ON) return false;
        if (job->status == EXEC_VALID && before) run_checkpoint(execution, job);
        execution->stage = FINAL_BLOCK;
    }
    if (job->status == EXEC_VALID && execution->stage == FINAL_BLOCK) {
        run_final(execution, job);
        execution->stage = FINAL_WITH;
    }
    if (job->status == EXEC_VALID && save && job->checkpoint_own) {
        job->status = changes_submit(execution, units);
        if (job->status == EXEC_GOES_ON) return false;
        if (job->status == EXEC_VALID) run_checkpoint(execution, job);
    }
    execution->stage = FINAL_BEFORE;
    return true;
}

/* Of the oldest FINAL job that is not done. */
static void finals_part(struct execution *execution, uint64_t units) {
    enum cost_component before = cost_enter(execution->meter, COST_FINAL);
    if (final_part(execution, execution->finals.first, &units)) queue_put(&execution->done, queue_take(&execution->finals));
    cost_leave(execution->meter, before, 0);
}

static void finals_all(struct execution *execution) {
    while (execution->finals.first != NULL) finals_part(execution, UINT64_MAX);
}

static void run_block(struct execution *execution, struct execution_job *job) {
    job->status = executor_execute(execution->executor, &job->block, &job->result);
    if (job->status != EXEC_VALID || job->result.config_kind == EXEC_CONFIG_NONE) return;
    job->config = *executor_cluster_config(execution->executor);
    executor_state_root(execution->executor, job->root_after); /* what suffix blocks state (B-41) */
}

void execution_measure(struct execution *execution, struct cost_meter *meter) {
    execution->meter = meter;
}

static void measured_block(struct execution *execution, struct execution_job *job) {
    uint64_t begun_us = cost_now_us(execution->meter);
    enum cost_component before = cost_enter(execution->meter, COST_EXECUTE);
    run_block(execution, job);
    cost_leave(execution->meter, before, job->result.counts.slice_bytes_in);
    job->took_us = cost_now_us(execution->meter) - begun_us;
}

/* Blocks that wait to be final are open: before there is no room for one more, what is left of the checkpoint is done in as many parts as may still
 * be opened. */
static void block_ahead(struct execution *execution, struct execution_job *job) {
    uint32_t left = executor_open_left(execution->executor);
    if (execution->finals.first != NULL && left <= OPEN_LEFT_MIN) {
        uint64_t share = executor_changes_left(execution->executor) / (left + 1);
        finals_part(execution, share > execution->part_units ? share : execution->part_units);
    }
    if (left == 0) finals_all(execution);
    measured_block(execution, job);
    if (execution->finals.first == NULL || (job->status != EXEC_NO_ROOM && job->status != EXEC_OPEN_FULL)) return;
    finals_all(execution);
    measured_block(execution, job);
}

bool execution_begin(struct execution *execution, struct execution_job *job) {
    switch (job->kind) {
    case EXECUTION_BLOCK: block_ahead(execution, job); break;
    case EXECUTION_FINAL:
        queue_put(&execution->finals, job);
        if (execution->finals.first != job || execution->done.first != NULL) return false;
        finals_part(execution, execution->part_units);
        return queue_take(&execution->done) != NULL;
    case EXECUTION_RELEASE_BLOCK: job->status = executor_release_block(execution->executor, job->ticket); break;
    case EXECUTION_RELEASE_SLICES:
        executor_release_slices(execution->executor, job->destination, job->dseq);
        job->status = EXEC_VALID;
        break;
    case EXECUTION_SETTLE:
        executor_settle(execution->executor);
        job->status = EXEC_VALID;
        break;
    case EXECUTION_SCRUB: job->status = executor_scrub(execution->executor, job->scrub_records, &job->scrubbed); break;
    }
    return true;
}

bool execution_is_under_way(const struct execution *execution) {
    return execution->finals.first != NULL || execution->done.first != NULL;
}

struct execution_job *execution_go_on(struct execution *execution) {
    if (execution->done.first == NULL && execution->finals.first != NULL) finals_part(execution, execution->part_units);
    return queue_take(&execution->done);
}

void execution_run(struct execution *execution, struct execution_job *job) {
    CHECK(!execution_is_under_way(execution));
    bool done = execution_begin(execution, job);
    while (!done) done = execution_go_on(execution) == job;
}
