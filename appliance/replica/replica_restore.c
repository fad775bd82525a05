/* From the store: checkpoint, inputs, blocks, voting memory; final blocks are executed again, then the core begins (P-20 ff.). */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"
#include "protocol/checkpoint.h"

enum { RESTORED_MAX = BFT_BLOCKS_MAX };

struct restore {
    bool has_memory, has_tip, sorted;
    struct bft_memory memory;
    struct bft_header tip;
    struct blob *tip_certificate;
    struct blob *child_certificate; /* of the block above the checkpoint, which the checkpoint brings; NULL: none */
    struct bft_hash child_id;
    uint32_t blocks[RESTORED_MAX]; /* not final */
    uint32_t count;
    uint32_t known; /* orphans before the first stray, sorted by hash then */
    uint64_t replayed;
};

static struct restore *restore_of(struct replica *r) {
    if (r->restore == NULL) r->restore = calloc(1, sizeof *r->restore);
    CHECK(r->restore != NULL);
    return r->restore;
}

void restore_free(struct replica *r) {
    if (r->restore != NULL) blob_drop(r->restore->tip_certificate);
    if (r->restore != NULL) blob_drop(r->restore->child_certificate);
    free(r->restore);
    r->restore = NULL;
}

/* Does this certificate prove this header as a block of ours? */
static bool certificate_proves(const struct replica *r, const uint8_t *bytes, size_t count, const struct bft_hash *id) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    struct bft_certificate certificate;
    if (!bft_certificate_get(&cursor, &certificate, NULL) || !bytes_finished(&cursor)) return false;
    const struct bft_members *members = epoch_members(r, certificate.qc.ballot.place.epoch);
    return members != NULL && bft_certificate_verify(members, &r->signer, &certificate, id, NULL) == BFT_VERIFY_OK;
}

/* What shows the checkpoint shows that its child is final, too: the child's own record may have been written later than the checkpoint. */
static void child_keep(struct restore *restore, const struct checkpoint_shown *shown) {
    if (shown->sealed) return;
    struct blob *blob = blob_make(BFT_CERTIFICATE_BYTES_MAX);
    struct bytes_writer writer = bytes_writer_of(blob->bytes, blob->count);
    bft_certificate_put(&writer, &shown->certificate);
    CHECK(!writer.failed);
    blob_drop(restore->child_certificate);
    restore->child_certificate = blob_copy(blob->bytes, writer.used);
    restore->child_id = bft_header_id(&shown->child);
    blob_drop(blob);
}

/* P-31: is this root the certified one? What one without "child" gives, only the next block shows. */
static bool root_is_certified(struct replica *r, const struct state_checkpoint *checkpoint, const struct replica_checkpoint *blobs) {
    struct checkpoint_shown shown = {.manifest = {.cluster = r->cluster, .epoch = checkpoint->epoch, .height = checkpoint->height}};
    memcpy(shown.manifest.system_id, r->members.place.system_id, sizeof shown.manifest.system_id);
    memcpy(shown.manifest.block_id, checkpoint->block_id, 32);
    memcpy(shown.manifest.state_root, checkpoint->state_root, 32);
    if (blobs->child == NULL) return true;
    if (checkpoint_proof_decode(blobs->child, blobs->child_bytes, &shown) != CHECKPOINT_OK || checkpoint->epoch >= r->epoch_count) return false;
    const struct bft_members *members = epoch_members(r, shown.child.place.epoch);
    uint32_t blocks = (uint32_t)r->epochs[checkpoint->epoch].config->limits.checkpoint_blocks;
    if (members == NULL || checkpoint_shown_verify(members, &r->signer, blocks, &shown) != CHECKPOINT_OK) return false;
    child_keep(r->restore, &shown);
    return true;
}

bool replica_restore_checkpoint(struct replica *r, const struct state_checkpoint *checkpoint, const struct replica_checkpoint *blobs,
                                const char **text) {
    struct restore *restore = restore_of(r);
    struct bytes_cursor cursor = bytes_cursor_of(blobs->tip, blobs->tip_bytes);
    if (!bft_header_get(&cursor, &restore->tip)) {
        *text = "the header of the checkpoint's block does not decode";
        return false;
    }
    struct bft_hash id = bft_header_id(&restore->tip);
    if (restore->tip.height != checkpoint->height || memcmp(id.bytes, checkpoint->block_id, 32) != 0) {
        *text = "the checkpoint's header is not that of its block";
        return false;
    }
    if (!certificate_proves(r, cursor.at, cursor.left, &id)) {
        *text = "the checkpoint's certificate does not prove its block";
        return false;
    }
    if (!root_is_certified(r, checkpoint, blobs)) {
        *text = "the checkpoint's state root is not the one that its child certifies";
        return false;
    }
    restore->tip_certificate = blob_copy(cursor.at, cursor.left);
    restore->has_tip = true;
    r->tip_id = id;
    r->tip_height = r->published_height = r->checkpoint_height = r->executed_height = checkpoint->height;
    r->tip_time = restore->tip.time;
    r->tip_ticket = 0;
    memcpy(r->status.state_root, restore->tip.state_root.bytes, 32);
    r->status.state_root_height = checkpoint->height - 1;
    epoch_restore_at(r, checkpoint->height);
    r->pruned_height = checkpoint->height; /* until replica_restore_pruned shows older blocks */
    if (!queue_load(r, blobs->queues, blobs->queues_bytes)) {
        *text = "the queues of the checkpoint do not decode";
        return false;
    }
    return true;
}

void replica_restore_pair(struct replica *r, const struct execution_pair *cursors) {
    struct pair *pair = pair_find(r, cursors->cluster);
    if (pair == NULL) return;
    pair->consumed_final = pair->received_max = cursors->consumed_dseq;
    pair->sent_final = cursors->sent_dseq;
    pair->acked = cursors->acked_dseq;
    pair->epoch_state = cursors->epoch;
    if (pair->items_first == pair->items_end) pair->items_first = pair->items_end = cursors->sent_dseq + 1;
    queue_release(r, pair);
}

bool replica_restore_input(struct replica *r, const uint8_t hash[32], const uint8_t *bytes, size_t count) {
    if (input_find(r, hash) != NONE) return true;
    if (count <= 4 || bytes[0] < BODY_SLICE || bytes[0] > BODY_ADMIN || bytes[1] >= BFT_MEMBERS_MAX) return false;
    struct blob *blob = blob_copy(bytes + 4, count - 4);
    struct blob_piece piece = {.blob = blob, .count = blob->count};
    uint32_t index = input_make(r, bytes[0], hash);
    if (index == NONE) { /* the store names more than any node of this release holds */
        blob_drop(blob);
        return false;
    }
    struct input *input = &r->inputs[index];
    input->relay = bytes[1];
    uint8_t is[32];
    bool good = false;
    if (bytes[0] == BODY_SLICE) {
        struct decision decision;
        good = decision_decode(blob->bytes, blob->count, &decision) == DECISION_OK && decision.leaf.kind == LEAF_KIND_CLUSTER;
        if (good) {
            leaf_hash(decision.leaf_bytes, is);
            input->source = decision.leaf.source;
            input->dseq = decision.leaf.dseq;
            input->leaf_offset = (uint32_t)(decision.leaf_bytes - blob->bytes);
            input->slice_offset = (uint32_t)(decision.slice - blob->bytes);
            input->slice_bytes = decision.leaf.slice_bytes;
            input->weight = 1 + decision.leaf.slice_bytes / 64;
            good = decision_slice_valid(&decision.leaf, decision.slice, decision.leaf.slice_bytes);
        }
    } else if (bytes[0] == BODY_BATCH) {
        const struct system_limits *limits = &r->config.limits;
        struct batch_limits batch_limits = {.shards = r->system->shards_count,
                                            .batch_bytes_max = limits->batch_bytes_max,
                                            .batch_parts_max = limits->batch_parts_max,
                                            .batch_ops_max = limits->batch_ops_max};
        struct batch batch;
        good = batch_decode(blob->bytes, blob->count, &batch_limits, &batch) == BATCH_OK;
        if (good) {
            batch_id(&batch, is);
            input->weight = batch.op_count;
            input->client = client_find(r, batch.client_id);
            input->is_signed = batch.kind == BATCH_WRITE;
        }
    } else {
        good = admin_op_input_hash(blob->bytes, blob->count, is) && admin_take(r, input, piece, true);
    }
    good = good && memcmp(is, hash, 32) == 0;
    if (good) {
        input_hold(r, index, piece);
        input->persisted = true;
    } else {
        input_free(r, index);
    }
    blob_drop(blob);
    return good;
}

long replica_body_inputs(const struct replica *r, const uint8_t *body, size_t body_bytes, uint8_t (*out)[32], size_t room) {
    long count = body_reference_count(body, body_bytes, r->config.limits.block_refs_max);
    size_t used = 0;
    for (long i = 0; i < count && used < room; i++) {
        struct body_reference reference;
        CHECK(body_reference_decode(body + BODY_HEAD_BYTES + (size_t)i * BODY_REFERENCE_BYTES, &reference));
        if (reference.kind != BODY_NOOP) memcpy(out[used++], reference.hash, 32);
    }
    return count < 0 ? -1 : (long)used;
}

static void replay(struct replica *r, uint32_t index) {
    struct rblock *block = &r->blocks[index];
    struct execution_job *job = job_take(r, EXECUTION_BLOCK);
    job->owner = index;
    job->ticket = r->next_ticket++;
    job->block = (struct exec_block){.ticket = job->ticket, .parent = r->tip_ticket, .height = block->header.height, .time = block->header.time};
    job_fill_refs(r, job, block->body->bytes + block->body_offset, block->ref_count, block->inputs);
    block->jobs++;
    r->replaying = true;
    job_submit(r, job);
}

/* The block that ended an epoch has its certificate in the chain as well (S-100), which is durable when a vote of the next epoch is: its own record
 * may not be. After a power loss of all nobody else could show it, and nobody whose memory is of the next epoch could come there. */
static const uint8_t *certificate_in_chain(const struct replica *r, uint64_t epoch, const uint8_t *header, size_t *bytes) {
    const struct blob *entry = r->epochs[epoch].entry;
    if (entry == NULL || memcmp(entry->bytes, header, BFT_HEADER_BYTES) != 0) return NULL;
    return config_chain_entry_certificate(entry->bytes, entry->count, bytes);
}

static const uint8_t *certificate_elsewhere(const struct replica *r, uint64_t epoch, const uint8_t *header, const struct bft_hash *id,
                                            size_t *bytes) {
    const struct blob *child = r->restore->child_certificate;
    if (child == NULL || !bft_hash_equal(&r->restore->child_id, id)) return certificate_in_chain(r, epoch, header, bytes);
    *bytes = child->count;
    return child->bytes;
}

bool replica_restore_block(struct replica *r, const uint8_t *header, size_t header_bytes, const uint8_t *body, size_t body_bytes,
                           const uint8_t *certificate, size_t certificate_bytes) {
    struct restore *restore = restore_of(r);
    struct bytes_cursor cursor = bytes_cursor_of(header, header_bytes);
    struct bft_header decoded;
    if (!bft_header_get(&cursor, &decoded) || !bytes_finished(&cursor)) return false;
    struct bft_hash id = bft_header_id(&decoded), body_hash = bft_body_hash(body, body_bytes);
    const struct bft_members *members = epoch_members(r, decoded.place.epoch);
    if (members == NULL || !bft_place_equal(&decoded.place, &members->place) || !bft_hash_equal(&body_hash, &decoded.body_hash)) return false;
    if (decoded.place.epoch != r->members.place.epoch) return true; /* a suffix block of an epoch that ended (B-42), or after what must be fetched */
    if (decoded.height <= r->tip_height || block_find(r, &id) != NONE) return true; /* below the checkpoint: not needed */
    bool own = certificate != NULL;
    if (!own) certificate = certificate_elsewhere(r, decoded.place.epoch, header, &id, &certificate_bytes);
    bool certified =
        certificate != NULL && bft_hash_equal(&decoded.parent_id, &r->tip_id) && certificate_proves(r, certificate, certificate_bytes, &id);
    if (!certified && restore->count == RESTORED_MAX) return true; /* losers of a long fight over one height; what matters is fetched */
    struct blob *blob = blob_copy(body, body_bytes);
    uint32_t index = block_make(r, &decoded, &id, (struct blob_piece){.blob = blob, .count = body_bytes});
    blob_drop(blob);
    if (index == NONE) return true; /* fetched later */
    struct rblock *block = &r->blocks[index];
    block->persisted = true;
    if (certified && block->missing == 0 && !block->body_bad) {
        block->certificate = blob_copy(certificate, certificate_bytes);
        block->certificate_saved = own;
        if (!own && r->certificates_unsaved++ == 0) r->unsaved_since_ms = r->now_ms;
        replay(r, index);
    } else if (restore->count < RESTORED_MAX) {
        restore->blocks[restore->count++] = index;
    }
    return true;
}

void replica_restore_pruned(struct replica *r, uint64_t height, const uint8_t *body, size_t body_bytes) {
    long count = body_reference_count(body, body_bytes, r->config.limits.block_refs_max);
    if (height <= r->pruned_height) r->pruned_height = height - 1;
    for (long i = 0; i < count; i++) {
        struct body_reference reference;
        CHECK(body_reference_decode(body + BODY_HEAD_BYTES + (size_t)i * BODY_REFERENCE_BYTES, &reference));
        if (reference.kind != BODY_NOOP) input_orphan(r, reference.hash, height);
    }
}

static int orphan_compare(const void *a, const void *b) {
    return memcmp(((const struct orphan *)a)->hash, ((const struct orphan *)b)->hash, 32);
}

void replica_restore_stray(struct replica *r, const uint8_t hash[32], uint64_t height) {
    struct restore *restore = restore_of(r);
    if (!restore->sorted && r->orphan_count > 0) qsort(r->orphans, r->orphan_count, sizeof *r->orphans, orphan_compare);
    if (!restore->sorted) restore->known = r->orphan_count;
    restore->sorted = true;
    struct orphan key;
    memcpy(key.hash, hash, 32);
    bool known = restore->known > 0 && bsearch(&key, r->orphans, restore->known, sizeof key, orphan_compare) != NULL;
    if (!known && input_find(r, hash) == NONE) input_orphan(r, hash, height);
}

bool replica_restore_peer_item(struct replica *r, uint8_t kind, uint8_t member, const uint8_t *bytes, size_t count) {
    return last_restore(r, kind, member, bytes, count);
}

bool replica_restore_memory(struct replica *r, const uint8_t *memory, size_t memory_bytes, enum replica_retired retired) {
    struct restore *restore = restore_of(r);
    r->retired = retired;
    if (memory == NULL) return true;
    restore->has_memory = bft_memory_decode(memory, memory_bytes, &restore->memory);
    /* What it says again of these it had said before: `voted` is of later ones alone. */
    if (restore->has_memory && restore->memory.has_prepared) r->voted_before = restore->memory.prepared.height;
    if (restore->has_memory && restore->memory.has_committed && restore->memory.committed.height > r->voted_before)
        r->voted_before = restore->memory.committed.height;
    return restore->has_memory;
}

/* ---- replay ---- */

void restore_executed(struct replica *r, struct execution_job *job) {
    struct restore *restore = r->restore;
    struct rblock *block = &r->blocks[job->owner];
    block->jobs--;
    r->replaying = false;
    bool same = job->status == EXEC_VALID && memcmp(job->result.outbox_root, block->header.outbox_root.bytes, 32) == 0 &&
                memcmp(job->result.state_root, block->header.state_root.bytes, 32) == 0 &&
                memcmp(job->result.cursors_hash, block->header.cursors_hash.bytes, 32) == 0;
    if (!same) {
        replica_stop(r,
                     "block %llu of the store is final but executes to something else here (%s): the data directory or this machine is damaged; "
                     "check the hardware, then restore this node's state from its peers",
                     (unsigned long long)block->header.height, exec_status_name(job->status));
        job_give(r, job);
        return;
    }
    block_result_take(block, job);
    block->executed = true;
    r->executed_height = block->header.height;
    restore->replayed++;
    uint32_t index = job->owner;
    job_give(r, job);
    r->replaying = true; /* no checkpoint, no latency of it */
    epoch_ended(r, block);
    block_finalize_job(r, index);
    if (block->result.config_kind == EXEC_CONFIG_NEXT && !r->stopping) epoch_begin(r);
    block_publish(r);
    block_release_old(r);
    r->replaying = false;
}

/* ---- the core begins ---- */

static void core_start_fill(struct replica *r, struct bft_start *start) {
    const struct system_limits *limits = &r->config.limits;
    const struct system_timeouts *timeouts = &r->config.timeouts;
    start->members = r->members;
    start->limits = (struct bft_limits){.window_blocks = limits->window_blocks,
                                        .rotation_blocks = limits->rotation_blocks,
                                        .view_base_ms = timeouts->view_base_ms,
                                        .view_max_ms = timeouts->view_max_ms,
                                        .input_relay_ms = timeouts->input_relay_ms,
                                        .throughput_window_ms = timeouts->throughput_window_ms,
                                        .throughput_half_life_ms = timeouts->throughput_half_life_ms,
                                        .throughput_percent = limits->throughput_percent};
    start->me = r->me == NOBODY ? BFT_NOBODY : r->me;
    start->removed = r->removed;
    start->sealed = epoch_is_sealed(r);
    start->now_ms = r->now_ms;
    start->wall_ms = r->wall_ms;
    start->tip = r->genesis;
    const struct blob *certificate = NULL;
    if (r->final_last != NONE) {
        start->tip = r->blocks[r->final_last].header;
        certificate = r->blocks[r->final_last].certificate;
    } else if (r->restore != NULL && r->restore->has_tip) {
        start->tip = r->restore->tip;
        certificate = r->restore->tip_certificate;
    }
    if (certificate == NULL) return;
    struct bytes_cursor cursor = bytes_cursor_of(certificate->bytes, certificate->count);
    struct bft_certificate decoded;
    start->tip_has_qc = bft_certificate_get(&cursor, &decoded, NULL) && decoded.header_count == 0;
    if (start->tip_has_qc) start->tip_qc = decoded.qc;
}

/* The checkpoint may have reached the disk before the certificate of its block: who is behind could never fetch that block (B-13). */
static void tip_certificate_save(struct replica *r) {
    static const uint8_t no_id[32];
    const struct restore *restore = r->restore;
    if (restore == NULL || !restore->has_tip) return;
    struct blob *header = blob_make(BFT_HEADER_BYTES);
    struct bytes_writer writer = bytes_writer_of(header->bytes, BFT_HEADER_BYTES);
    bft_header_put(&writer, &restore->tip);
    uint8_t key[WAL_KEY_BYTES_MAX];
    size_t bytes = wal_key_block(key, restore->tip.place.epoch, restore->tip.height, no_id, WAL_PART_CERTIFICATE);
    struct blob *certificate = restore->tip_certificate;
    struct blob_piece pieces[2] = {{.blob = header, .count = BFT_HEADER_BYTES}, {.blob = certificate, .count = certificate->count}};
    persist_put(r, WAL_BLOCKS, key, bytes, pieces, 2);
    blob_drop(header);
}

/* Said at every start: the line that said it first may lie far back, in a log that is gone. */
static void stays_retired(struct replica *r) {
    const char *what;
    switch (r->retired) {
    case REPLICA_ROLLED_BACK: what = "its cluster was put back to an older state: it signs no more; docs/operating.md, successor"; break;
    case REPLICA_SUCCEEDED: what = "it left for the successor of this system: stop it, when its members are all told"; break;
    default: what = "this key was retired: it signs no more, for good; make a new key, have the administrators replace the member";
    }
    replica_note(r, LOG_LEVEL_ERROR, "stays_retired", "cause=%s do=\"%s\"", replica_retired_name(r->retired), what);
}

void restore_core_begin(struct replica *r) {
    tip_certificate_save(r);
    struct bft_start *start = calloc(1, sizeof *start);
    CHECK(start != NULL);
    bool ahead = r->restore != NULL && r->restore->has_memory && later_memory(r, &r->restore->memory);
    core_start_fill(r, start);
    struct restore *restore = r->restore;
    if (restore != NULL && restore->has_memory && !ahead) {
        struct bft_header *headers = calloc(restore->count + 1, sizeof *headers);
        CHECK(headers != NULL);
        size_t count = 0;
        for (uint32_t i = 0; i < restore->count; i++) {
            const struct rblock *block = &r->blocks[restore->blocks[i]];
            if (block->used && !block->final) headers[count++] = block->header;
        }
        if (!bft_restore(r->core, start, &restore->memory, headers, count))
            replica_stop(r, "the voting memory in the data directory contradicts its blocks: the data directory is damaged or was rolled back; this "
                            "key must not sign again");
        free(headers);
        replica_note(r, LOG_LEVEL_INFO, "restored", "height=%llu replayed=%llu view=%llu", (unsigned long long)r->tip_height,
                     (unsigned long long)restore->replayed, (unsigned long long)restore->memory.view);
    } else {
        bft_init(r->core, start);
        replica_note(r, LOG_LEVEL_INFO, "initialised", "height=%llu", (unsigned long long)r->tip_height);
    }
    free(start);
    restore_free(r);
    struct bft_event tick = {.type = BFT_EVENT_TICK};
    replica_event(r, &tick);
    if (r->retired) {
        stays_retired(r);
        struct bft_event retire = {.type = BFT_EVENT_RETIRE};
        replica_event(r, &retire);
    } else {
        last_begin(r);
    }
    replica_run(r);
}

void replica_start(struct replica *r) {
    r->started = true;
    epoch_peers_tell(r);
    restore_core_begin(r);
}
