#include "tests/appliance/replica_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "merkle/check.h"
#include "protocol/body.h"
#include "protocol/decision.h"

struct rw_batch {
    uint64_t sequence, due_us;
    struct wal_batch batch;
    struct rw_batch *next;
};

enum { DISK_US = 700, STEP_US = 500, MESSAGE_BATCH = 0x0301, MESSAGE_ANSWER = 0x0302, MESSAGE_REFUSED = 0x0303, MESSAGE_ADMIN_STATE = 0x0307 };
enum { MESSAGE_PIECE = 0x0110 };

static uint32_t dice(struct replica_world *rw, uint32_t sides) {
    return (uint32_t)(world_random(&rw->seed) % sides);
}

/* ---- the disk ---- */

static struct rw_record *record_find(struct rw_node *node, uint8_t db, const uint8_t *key) {
    for (size_t i = 0; i < node->record_count; i++) {
        struct rw_record *record = &node->records[i];
        if (record->used && record->db == db && memcmp(record->key, key, wal_key_bytes((enum wal_db)db)) == 0) return record;
    }
    return NULL;
}

static void record_drop(struct rw_record *record) {
    free(record->bytes);
    memset(record, 0, sizeof *record);
}

static void record_put(struct rw_node *node, const struct wal_record *put) {
    struct rw_record *record = record_find(node, (uint8_t)put->db, put->key);
    for (size_t i = 0; record == NULL && i < node->record_count; i++) {
        if (!node->records[i].used) record = &node->records[i];
    }
    if (record == NULL) {
        if (node->record_count == node->record_room) {
            node->record_room = node->record_room == 0 ? 1024 : node->record_room * 2;
            node->records = realloc(node->records, node->record_room * sizeof *node->records);
            CHECK(node->records != NULL);
        }
        record = &node->records[node->record_count++];
        memset(record, 0, sizeof *record);
    }
    free(record->bytes);
    record->used = true;
    record->db = (uint8_t)put->db;
    memcpy(record->key, put->key, sizeof record->key);
    record->count = 0;
    for (uint32_t i = 0; i < put->part_count; i++) record->count += put->parts[i].iov_len;
    record->bytes = malloc(record->count + 1);
    CHECK(record->bytes != NULL);
    size_t at = 0;
    for (uint32_t i = 0; i < put->part_count; i++) {
        memcpy(record->bytes + at, put->parts[i].iov_base, put->parts[i].iov_len);
        at += put->parts[i].iov_len;
    }
}

static void batch_apply(struct rw_node *node, const struct wal_batch *batch) {
    for (uint32_t i = 0; i < batch->record_count; i++) {
        const struct wal_record *record = &batch->records[i];
        size_t key_bytes = wal_key_bytes(record->db);
        if (record->operation == WAL_PUT) record_put(node, record);
        for (size_t k = 0; k < node->record_count && record->operation != WAL_PUT; k++) {
            struct rw_record *at = &node->records[k];
            if (!at->used || at->db != record->db) continue;
            bool hit = record->operation == WAL_DELETE
                           ? memcmp(at->key, record->key, key_bytes) == 0
                           : memcmp(at->key, record->key, key_bytes) >= 0 && memcmp(at->key, record->key_end, key_bytes) < 0;
            if (hit) record_drop(at);
        }
    }
}

static void disk_run(struct replica_world *rw, struct rw_node *node) {
    while (!node->disk_stalled && node->flying != NULL && node->flying->due_us <= rw->now_us) {
        struct rw_batch *done = node->flying;
        batch_apply(node, &done->batch);
        node->flying = done->next;
        replica_durable(node->replica, done->sequence);
        free(done);
    }
}

/* ---- the network ---- */

static uint32_t node_of(const struct rw_node *from, struct replica_peer peer) {
    if (peer.kind == REPLICA_CLIENT) return RW_NODES;
    bool coordinator = peer.kind == REPLICA_MEMBER ? from->cluster >> 16 == 1 : peer.index >> 16 == 1;
    return (coordinator ? 0u : (uint32_t)RW_CLUSTER) + peer.member;
}

static struct replica_peer peer_of(const struct replica_world *rw, uint32_t from, uint32_t to) {
    if (from == RW_NODES) return (struct replica_peer){.kind = REPLICA_CLIENT, .index = rw->client_index};
    const struct rw_node *sender = &rw->nodes[from];
    if (sender->cluster == rw->nodes[to].cluster) return (struct replica_peer){.kind = REPLICA_MEMBER, .member = (uint8_t)sender->member};
    return (struct replica_peer){.kind = REPLICA_FOREIGN, .member = (uint8_t)sender->member, .index = sender->cluster};
}

static void mail_put(struct replica_world *rw, uint32_t from, uint32_t to, uint16_t type, uint8_t *bytes, size_t count) {
    CHECK(rw->mail_count < RW_MAIL_MAX);
    rw->mail[rw->mail_count++] = (struct rw_mail){
        .due_us = rw->now_us + 100 + dice(rw, rw->delay_us_max), .from = from, .to = to, .type = type, .bytes = bytes, .count = count};
}

static void client_take(struct replica_world *rw, const struct rw_mail *mail) {
    struct decision decision;
    struct bft_members members;
    if (mail->type == MESSAGE_ADMIN_STATE) {
        CHECK(mail->count == sizeof rw->admin_state);
        memcpy(rw->admin_state, mail->bytes, mail->count);
        rw->admin_states++;
    }
    if (mail->type == MESSAGE_REFUSED) rw->refused_code = mail->bytes[32];
    if (mail->type != MESSAGE_ANSWER) return;
    struct bft_place place = {.cluster = COORDINATOR_CLUSTER_BASE};
    memcpy(place.system_id, rw->world->system.system_id, 16);
    CHECK(system_config_hash(&rw->world->system, place.cluster, place.config_hash.bytes));
    uint8_t keys[RW_CLUSTER][32];
    for (uint32_t i = 0; i < RW_CLUSTER; i++) memcpy(keys[i], rw->nodes[i].key.public_key, 32);
    struct bft_point start = {.height = 0};
    CHECK(bft_members_init(&members, &place, &start, RW_CLUSTER, (const uint8_t(*)[32])keys));
    struct signer signer = keyed_signer_of(NULL);
    tree_hash root;
    bool good = decision_decode(mail->bytes, mail->count, &decision) == DECISION_OK &&
                decision_verify(&decision, &members, &signer, NULL) == DECISION_OK && decision.leaf.kind == LEAF_KIND_CLIENT &&
                memcmp(decision.leaf.client_id, rw->client_id, 32) == 0 &&
                slice_client_root(decision.slice, decision.leaf.slice_bytes, decision.leaf.item_count, root);
    if (!good) {
        rw->answers_bad++;
        return;
    }
    size_t at = 0, item_bytes;
    const uint8_t *item;
    while (slice_client_next(decision.slice, decision.leaf.slice_bytes, &at, &item, &item_bytes)) {
        CHECK(rw->answer_count < 4096);
        struct world_answer *answer = &rw->answers[rw->answer_count++];
        answer->bytes = malloc(item_bytes);
        CHECK(answer->bytes != NULL);
        memcpy(answer->bytes, item, item_bytes);
        answer->height = decision.leaf.height;
        CHECK(slice_client_item_decode(answer->bytes, item_bytes, &answer->item));
    }
}

static void mail_deliver(struct replica_world *rw) {
    size_t kept = 0, count = rw->mail_count;
    for (size_t i = 0; i < count; i++) {
        struct rw_mail mail = rw->mail[i];
        if (mail.due_us > rw->now_us) {
            rw->mail[kept++] = mail;
            continue;
        }
        bool lost = dice(rw, 100) < rw->drop_percent;
        if (mail.to == RW_NODES) {
            client_take(rw, &mail);
        } else if (rw->nodes[mail.to].up && !lost) {
            struct blob *blob = blob_copy(mail.bytes, mail.count);
            replica_frame(rw->nodes[mail.to].replica, peer_of(rw, mail.from, mail.to), mail.type,
                          (struct blob_piece){.blob = blob, .count = blob->count});
            blob_drop(blob);
            rw->delivered++;
            rw->pieces_delivered += mail.type == MESSAGE_PIECE;
            if (mail.type == rw->crash_type && mail.to == rw->crash_node && rw->crash_after > 0) rw->crash_after--;
        }
        free(mail.bytes);
    }
    /* What came while delivering lies behind `count`. */
    for (size_t i = count; i < rw->mail_count; i++) rw->mail[kept++] = rw->mail[i];
    rw->mail_count = kept;
}

/* ---- outputs ---- */

static void output_send(struct replica_world *rw, uint32_t from, const struct replica_output *output) {
    size_t count = 0, at = 0;
    for (unsigned i = 0; i < output->piece_count; i++) count += output->pieces[i].count;
    uint8_t *bytes = malloc(count + 1);
    CHECK(bytes != NULL);
    for (unsigned i = 0; i < output->piece_count; i++) {
        memcpy(bytes + at, blob_piece_bytes(&output->pieces[i]), output->pieces[i].count);
        at += output->pieces[i].count;
    }
    mail_put(rw, from, node_of(&rw->nodes[from], output->peer), output->type, bytes, count);
}

static void output_persist(struct replica_world *rw, struct rw_node *node, const struct replica_output *output) {
    struct rw_batch *batch = calloc(1, sizeof *batch), **end = &node->flying;
    CHECK(batch != NULL);
    CHECK(output->batch.record_count >= 1 && output->batch.record_count <= WAL_RECORDS_MAX); /* as the store does */
    if (output->batch.record_count > node->largest_write) node->largest_write = output->batch.record_count;
    batch->sequence = output->sequence;
    batch->batch = output->batch;
    batch->due_us = rw->now_us + DISK_US;
    while (*end != NULL) end = &(*end)->next;
    *end = batch;
}

static struct blob *disk_read(struct rw_node *node, const struct replica_output *output) {
    const struct rw_record *record = record_find(node, (uint8_t)output->db, output->key);
    return record != NULL ? blob_copy(record->bytes, record->count) : NULL;
}

static void evidence_keep(struct rw_node *node, const struct replica_output *output) {
    CHECK(node->evidence_count < RW_EVIDENCE_MAX);
    struct rw_evidence *evidence = &node->evidence[node->evidence_count++];
    snprintf(evidence->name, sizeof evidence->name, "%s", output->text);
    evidence->count = output->pieces[0].count;
    evidence->bytes = malloc(evidence->count);
    CHECK(evidence->bytes != NULL);
    memcpy(evidence->bytes, blob_piece_bytes(&output->pieces[0]), evidence->count);
}

/* As a shell would keep it: whom the net lets in. */
static void peer_told(struct rw_node *node, const struct replica_output *output) {
    bool add = output->kind == REPLICA_PEER_ADD;
    CHECK(output->peer.kind == REPLICA_CLIENT && output->peer.index < RW_PEERS_MAX && node->let_in[output->peer.index] != add);
    node->let_in[output->peer.index] = add;
    memcpy(node->let_in_key[output->peer.index], output->key, 32);
}

/* The store's own thread is waited for: what is durable when does not hang on this machine's disk. */
static void job_run(struct rw_node *node, struct execution_job *job) {
    bool checkpoint = job->checkpoint && job->kind == EXECUTION_FINAL;
    execution_run(node->execution, job);
    uint64_t sequence = job->checkpoint_sequence;
    replica_job_done(node->replica, job);
    if (node->state == NULL) return;
    if (checkpoint && sequence > 0) CHECK(state_wait(node->state, sequence) == STORE_OK);
    uint64_t height = execution_reap(node->execution);
    if (height <= node->checkpoint_told) return;
    node->checkpoint_told = height;
    replica_checkpointed(node->replica, height);
    if (node->transfer != NULL) transfer_checkpointed(node->transfer);
}

static void outputs_do(struct replica_world *rw, uint32_t index) {
    struct rw_node *node = &rw->nodes[index];
    struct replica_output output;
    while (replica_next(node->replica, &output)) {
        switch (output.kind) {
        case REPLICA_SEND: output_send(rw, index, &output); break;
        case REPLICA_PERSIST: output_persist(rw, node, &output); break;
        case REPLICA_JOB:
            job_run(node, output.job);
            break;
        case REPLICA_READ: replica_read_done(node->replica, output.cookie, disk_read(node, &output)); break;
        case REPLICA_NOTE: break;
        case REPLICA_EVIDENCE: evidence_keep(node, &output); break;
        case REPLICA_PEER_ADD:
        case REPLICA_PEER_REMOVE: peer_told(node, &output); break;
        case REPLICA_TRANSFER:
            if (node->transfer != NULL)
                transfer_frame(node->transfer, output.peer.member, output.type, blob_piece_bytes(&output.pieces[0]), output.pieces[0].count,
                               !node->never_serves);
            break;
        case REPLICA_CHILD:
            if (node->transfer != NULL) transfer_child(node->transfer, blob_piece_bytes(&output.pieces[0]), output.pieces[0].count);
            break;
        case REPLICA_LACKING:
            if (node->transfer != NULL && output.lacking) transfer_lacking(node->transfer, output.sequence);
            if (node->transfer != NULL && !output.lacking) transfer_height(node->transfer, output.sequence);
            break;
        case REPLICA_STOP:
            node->stopped++;
            memcpy(node->stop_text, output.text, sizeof node->stop_text);
            break;
        }
    }
}

/* ---- checkpoints ---- */

static void state_prepare(struct rw_node *node) {
    struct store_error error;
    struct state_config config = {
        .directory = node->directory, .identity = node->identity, .map_bytes = UINT64_C(1) << 30, .queue_slots = 128, .cpu = -1};
    if (state_open(&config, &node->state, &error) != STORE_OK) {
        CHECK(store_state_remake(node->directory, &node->identity, &error) == STORE_OK);
        CHECK(state_open(&config, &node->state, &error) == STORE_OK);
    }
    node->disk = (struct transfer_disk){
        .directory = node->directory, .identity = node->identity, .map_bytes = UINT64_C(1) << 30, .own = node->state};
    uint64_t height;
    CHECK(transfer_disk_install(&node->disk, &config, &height) == STORE_OK && node->disk.own != NULL);
    node->state = node->disk.own;
    node->checkpoint_told = 0;
}

static uint8_t *state_blob(struct state_reader *reader, const char *name, size_t *count) {
    enum store_status status = state_read_blob(reader, name, NULL, 0, count);
    CHECK(status == STORE_OK || status == STORE_TOO_LONG);
    uint8_t *bytes = malloc(*count + 1);
    CHECK(bytes != NULL && (*count == 0 || state_read_blob(reader, name, bytes, *count, count) == STORE_OK));
    return bytes;
}

/* As node_restore.c does. */
static void checkpoint_restore(struct rw_node *node) {
    struct state_reader *reader;
    if (state_reader_open(node->state, &reader) != STORE_OK) {
        CHECK(execution_genesis(node->execution));
        return;
    }
    size_t tip_bytes, queues_bytes, work_bytes;
    uint8_t *tip = state_blob(reader, "tip", &tip_bytes), *queues = state_blob(reader, "queues", &queues_bytes);
    uint8_t *work = state_blob(reader, EXECUTOR_WORK_BLOB, &work_bytes);
    const struct state_checkpoint *checkpoint = state_reader_checkpoint(reader);
    const char *text = NULL;
    CHECK(replica_restore_checkpoint(node->replica, checkpoint, tip, tip_bytes, queues, queues_bytes, &text));
    struct table_entry entry;
    enum store_status status;
    executor_load_begin(node->executor);
    while ((status = state_read_entry(reader, &entry, NULL)) == STORE_OK)
        CHECK(executor_load_entry(node->executor, &entry) == EXEC_VALID && replica_restore_client(node->replica, &entry));
    CHECK(status == STORE_ABSENT);
    struct bytes_cursor cursor = bytes_cursor_of(tip, tip_bytes);
    struct bft_header header;
    CHECK(bft_header_get(&cursor, &header));
    struct exec_position position = {.height = header.height, .time = header.time};
    memcpy(position.cursors_hash, header.cursors_hash.bytes, 32);
    CHECK(executor_load_end(node->executor, &position, checkpoint->state_root, work, work_bytes) == EXEC_VALID);
    state_reader_close(reader);
    free(tip);
    free(queues);
    free(work);
}

static void pairs_restore(struct rw_node *node) {
    for (uint32_t i = 0; i < executor_pairs(node->executor); i++) {
        struct exec_pair pair;
        executor_pair_at(node->executor, i, true, &pair);
        struct execution_pair cursors = {
            .cluster = pair.cluster, .consumed_dseq = pair.consumed_dseq, .sent_dseq = pair.sent_dseq, .acked_dseq = pair.acked_dseq};
        replica_restore_pair(node->replica, &cursors);
    }
}

static void transfer_start(struct replica_world *rw, struct rw_node *node) {
    const struct config *config = replica_config_in_force(node->replica);
    struct transfer_config about = {.system = &rw->world->system,
                                    .members = replica_members(node->replica),
                                    .limits = &config->limits,
                                    .timeouts = &config->timeouts,
                                    .cluster = node->cluster,
                                    .member = (uint8_t)node->member,
                                    .signer = keyed_signer_of(&node->key),
                                    .store = transfer_disk_store(&node->disk),
                                    .nonce = world_random(&rw->seed),
                                    .now_ms = rw->now_us / 1000};
    node->transfer = transfer_create(&about);
    CHECK(node->transfer != NULL);
}

/* True: a whole checkpoint has come; the node is to start anew. */
static bool transfer_run(struct replica_world *rw, struct rw_node *node) {
    struct transfer_output output;
    bool again = false;
    transfer_tick(node->transfer, rw->now_us / 1000);
    (void)transfer_work(node->transfer);
    while (transfer_next(node->transfer, &output)) {
        CHECK(output.kind != TRANSFER_FAILED);
        if (output.kind == TRANSFER_SEND) replica_transfer_send(node->replica, output.member, output.type, output.blob);
        if (output.kind == TRANSFER_BAD) {
            replica_transfer_bad(node->replica, output.member);
            node->bad_pieces++;
            node->bad_members |= (uint16_t)(1u << output.member);
        }
        again |= output.kind == TRANSFER_DONE;
    }
    struct transfer_status status;
    transfer_status(node->transfer, &status);
    if (status.hold_height > 0) replica_transfer_hold(node->replica, status.hold_height);
    return again;
}

static void state_make(struct replica_world *rw, struct rw_node *node) {
    struct store_error error;
    const char *top = getenv("TMPDIR");
    snprintf(node->path, sizeof node->path, "%.40s/rw-XXXXXX", top != NULL && strlen(top) < 40 ? top : "/tmp");
    CHECK(mkdtemp(node->path) != NULL && rmdir(node->path) == 0);
    node->identity = (struct store_identity){.cluster = node->cluster, .member = node->member};
    memcpy(node->identity.system_id, rw->world->system.system_id, sizeof node->identity.system_id);
    node->identity.node_id[0] = (uint8_t)node->member;
    CHECK(store_directory_create(node->path, &node->identity, &error) == STORE_OK);
    CHECK(store_directory_open(node->path, &node->directory, &error) == STORE_OK);
}

static void state_unmake(struct rw_node *node) {
    static const char *const files[] = {"wal/data.mdb",      "wal/lock.mdb",      "wal",      "state/data.mdb", "state/lock.mdb", "state",
                                        "transfer/data.mdb", "transfer/lock.mdb", "transfer", "lock",           ""};
    if (node->directory == NULL) return;
    store_directory_close(node->directory);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", node->path, files[i]);
        if (unlink(path) != 0) (void)rmdir(path);
    }
}

/* ---- nodes ---- */

static void node_open(struct replica_world *rw, uint32_t index) {
    struct rw_node *node = &rw->nodes[index];
    uint8_t root[32];
    if (rw->stored) state_prepare(node);
    node->executor = world_executor(rw->world, node->cluster, root);
    node->execution = execution_create(node->executor, node->state);
    struct replica_config config = {.system = &rw->world->system,
                                    .cluster = node->cluster,
                                    .member = node->member,
                                    .signer = keyed_signer_of(&node->key),
                                    .now_ms = rw->now_us / 1000 - rw->restoring_ms,
                                    .wall_ms = UINT64_C(1700000000000) + rw->now_us / 1000 - rw->restoring_ms,
                                    .hooks = &node->hooks};
    for (size_t i = 0; i < sizeof config.nonce; i++) config.nonce[i] = (uint8_t)dice(rw, 256);
    memcpy(config.genesis_root, root, 32);
    node->replica = replica_create(&config);
    CHECK(node->execution != NULL && node->replica != NULL);
    node->up = true;
}

static int record_compare(const void *a, const void *b) {
    return memcmp(((const struct rw_record *)a)->key, ((const struct rw_record *)b)->key, WAL_KEY_BYTES_MAX);
}

static void inputs_restore(struct rw_node *node, const struct rw_record *body) {
    static uint8_t hashes[4096][32];
    long count = replica_body_inputs(node->replica, body->bytes, body->count, hashes, 4096);
    for (long i = 0; i < count; i++) {
        const struct rw_record *input = record_find(node, WAL_INPUTS, hashes[i]);
        if (input != NULL) CHECK(replica_restore_input(node->replica, hashes[i], input->bytes, input->count));
    }
}

/* As node_restore.c does. */
static void node_restore_from_disk(struct replica_world *rw, uint32_t index) {
    struct rw_node *node = &rw->nodes[index];
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    if (rw->stored) {
        checkpoint_restore(node);
        pairs_restore(node);
    }
    uint64_t final = rw_status(rw, index)->final_height, first = UINT64_MAX, last = 0;
    (void)wal_key_vote(key, WAL_VOTE_CORE, 0, 0, 0);
    const struct rw_record *memory = record_find(node, WAL_VOTES, key);
    CHECK(replica_restore_memory(node->replica, memory != NULL ? memory->bytes : NULL, memory != NULL ? memory->count : 0, false));
    for (uint8_t kind = WAL_VOTE_PEER_PREPARE; kind <= WAL_VOTE_PEER_TIMEOUT; kind++) {
        for (uint8_t member = 0; member < RW_CLUSTER; member++) {
            (void)wal_key_vote(key, kind, member, 0, 0);
            const struct rw_record *item = record_find(node, WAL_VOTES, key);
            if (item != NULL) CHECK(replica_restore_peer_item(node->replica, kind, member, item->bytes, item->count));
        }
    }
    qsort(node->records, node->record_count, sizeof *node->records, record_compare);
    const struct rw_record *certified = NULL;
    uint64_t epoch, height;
    const uint8_t *id;
    uint8_t part;
    for (size_t i = 0; i < node->record_count; i++) {
        const struct rw_record *record = &node->records[i];
        if (!record->used || record->db != WAL_BLOCKS) continue;
        wal_key_block_read(record->key, &epoch, &height, &id, &part);
        if (height < first) first = height;
        if (height > last) last = height;
    }
    uint64_t from = first > final + 1 && last > final + 32 ? last - 32 : final + 1;
    for (size_t i = 0; i < node->record_count; i++) {
        const struct rw_record *record = &node->records[i];
        if (!record->used || record->db != WAL_BLOCKS) continue;
        wal_key_block_read(record->key, &epoch, &height, &id, &part);
        if (height <= final && part == WAL_PART_BODY) replica_restore_pruned(node->replica, height, record->bytes, record->count);
        if (height < from) continue;
        if (part == WAL_PART_CERTIFICATE) certified = record;
        if (part != WAL_PART_HEADER) continue;
        (void)wal_key_block(key, epoch, height, id, WAL_PART_BODY);
        const struct rw_record *body = record_find(node, WAL_BLOCKS, key);
        if (body == NULL) continue;
        inputs_restore(node, body);
        bool mine = certified != NULL && memcmp(certified->bytes, record->bytes, BFT_HEADER_BYTES) == 0;
        CHECK(replica_restore_block(node->replica, record->bytes, record->count, body->bytes, body->count,
                                    mine ? certified->bytes + BFT_HEADER_BYTES : NULL, mine ? certified->count - BFT_HEADER_BYTES : 0));
        outputs_do(rw, index);
    }
}

static bool linked(const struct replica_world *rw, uint32_t a, uint32_t b) {
    return rw->nodes[a].up && rw->nodes[b].up && a != b;
}

static void links_up(struct replica_world *rw, uint32_t index) {
    for (uint32_t other = 0; other < RW_NODES; other++) {
        if (!linked(rw, index, other)) continue;
        replica_link_up(rw->nodes[index].replica, peer_of(rw, other, index));
        replica_link_up(rw->nodes[other].replica, peer_of(rw, index, other));
    }
    if (index < RW_CLUSTER) replica_link_up(rw->nodes[index].replica, (struct replica_peer){.kind = REPLICA_CLIENT, .index = rw->client_index});
}

static void node_start(struct replica_world *rw, uint32_t index) {
    struct rw_node *node = &rw->nodes[index];
    if (rw->stored) transfer_start(rw, node);
    replica_tick(node->replica, rw->now_us / 1000, rw->now_us);
    links_up(rw, index);
    memset(node->let_in, 0, sizeof node->let_in);
    for (uint32_t i = 0; i < replica_clients(node->replica); i++)
        node->let_in[i] = replica_client_key(node->replica, i, node->let_in_key[i]);
    replica_start(node->replica);
    outputs_do(rw, index);
}

void rw_crash(struct replica_world *rw, uint32_t index) {
    struct rw_node *node = &rw->nodes[index];
    CHECK(node->up);
    while (node->flying != NULL) { /* not synced: lost */
        struct rw_batch *next = node->flying->next;
        free(node->flying);
        node->flying = next;
    }
    transfer_destroy(node->transfer);
    node->transfer = NULL;
    transfer_disk_close(&node->disk);
    if (node->state != NULL) CHECK(state_close(node->state) == STORE_OK);
    node->state = NULL;
    replica_destroy(node->replica);
    execution_destroy(node->execution);
    executor_destroy(node->executor);
    node->up = false;
    for (uint32_t other = 0; other < RW_NODES; other++) {
        if (rw->nodes[other].up) replica_link_down(rw->nodes[other].replica, peer_of(rw, index, other));
    }
}

void rw_restart(struct replica_world *rw, uint32_t index) {
    node_open(rw, index);
    node_restore_from_disk(rw, index);
    node_start(rw, index);
}

void rw_lose_state(struct replica_world *rw, uint32_t index) {
    struct store_error error;
    CHECK(!rw->nodes[index].up);
    CHECK(store_state_remake(rw->nodes[index].directory, &rw->nodes[index].identity, &error) == STORE_OK);
}

size_t rw_blocks_stored(const struct replica_world *rw, uint32_t index) {
    const struct rw_node *node = &rw->nodes[index];
    size_t count = 0;
    for (size_t i = 0; i < node->record_count; i++) {
        uint64_t epoch, height;
        const uint8_t *id;
        uint8_t part;
        if (!node->records[i].used || node->records[i].db != WAL_BLOCKS) continue;
        wal_key_block_read(node->records[i].key, &epoch, &height, &id, &part);
        count += part == WAL_PART_HEADER;
    }
    return count;
}

static struct replica_world *world_make(uint64_t seed, uint32_t checkpoint_blocks, void (*prepare)(struct world *world)) {
    struct replica_world *rw = calloc(1, sizeof *rw);
    CHECK(rw != NULL);
    rw->world = malloc(sizeof *rw->world);
    rw->mail = calloc(RW_MAIL_MAX, sizeof *rw->mail);
    CHECK(rw->world != NULL && rw->mail != NULL);
    rw->seed = seed;
    rw->delay_us_max = 2000;
    rw->now_us = 1000000;
    world_system(rw->world, 1, 1);
    rw->stored = checkpoint_blocks > 0;
    if (rw->stored) rw->world->system.limits.checkpoint_blocks = checkpoint_blocks;
    for (uint32_t i = 0; i < RW_NODES; i++) {
        struct rw_node *node = &rw->nodes[i];
        node->cluster = i < RW_CLUSTER ? COORDINATOR_CLUSTER_BASE : SHARD_CLUSTER_BASE;
        node->member = i % RW_CLUSTER;
        keyed_signer_init(&node->key, 1 + i);
        struct card *card = &rw->world->nodes[i / RW_CLUSTER][node->member];
        memcpy(card->signing_key, node->key.public_key, 32);
        card_identify(card);
    }
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++) {
        struct keyed_signer key;
        keyed_signer_init(&key, 100 + i);
        memcpy(rw->world->clients[i].card.signing_key, key.public_key, 32);
        if (i == 0) rw->client_key = key;
    }
    memcpy(rw->client_id, rw->world->clients[0].card.id, 32);
    if (prepare != NULL) prepare(rw->world);
    for (uint32_t i = 0; i < RW_NODES; i++) {
        if (rw->stored) state_make(rw, &rw->nodes[i]);
        node_open(rw, i);
        if (rw->stored) checkpoint_restore(&rw->nodes[i]);
    }
    for (uint32_t i = 0; i < RW_NODES; i++) {
        CHECK(replica_restore_memory(rw->nodes[i].replica, NULL, 0, false));
        node_start(rw, i);
    }
    return rw;
}

struct replica_world *rw_create(uint64_t seed) {
    return world_make(seed, 0, NULL);
}

struct replica_world *rw_create_prepared(uint64_t seed, void (*prepare)(struct world *world)) {
    return world_make(seed, 0, prepare);
}

struct replica_world *rw_create_stored(uint64_t seed, uint32_t checkpoint_blocks) {
    return world_make(seed, checkpoint_blocks, NULL);
}

void rw_destroy(struct replica_world *rw) {
    for (uint32_t i = 0; i < RW_NODES; i++) {
        if (rw->nodes[i].up) rw_crash(rw, i);
        for (size_t k = 0; k < rw->nodes[i].record_count; k++) free(rw->nodes[i].records[k].bytes);
        free(rw->nodes[i].records);
        for (uint32_t k = 0; k < rw->nodes[i].evidence_count; k++) free(rw->nodes[i].evidence[k].bytes);
        state_unmake(&rw->nodes[i]);
    }
    for (size_t i = 0; i < rw->mail_count; i++) free(rw->mail[i].bytes);
    for (uint32_t i = 0; i < rw->answer_count; i++) free(rw->answers[i].bytes);
    free(rw->mail);
    world_destroy(rw->world);
    free(rw);
}

static void transfers_run(struct replica_world *rw, uint32_t index) {
    struct rw_node *node = &rw->nodes[index];
    bool again = transfer_run(rw, node);
    outputs_do(rw, index);
    node->transfers += again;
    if (again) {
        rw_crash(rw, index);
        rw_restart(rw, index);
    } else if (rw->crash_type != 0 && rw->crash_node == index && rw->crash_after == 0) {
        rw->crash_type = 0;
        rw_crash(rw, index);
    }
}

void rw_run(struct replica_world *rw, uint64_t ms) {
    uint64_t end = rw->now_us + ms * 1000;
    while (rw->now_us < end) {
        rw->now_us += STEP_US;
        mail_deliver(rw);
        for (uint32_t i = 0; i < RW_NODES; i++) {
            if (!rw->nodes[i].up) continue;
            disk_run(rw, &rw->nodes[i]);
            replica_tick(rw->nodes[i].replica, rw->now_us / 1000, rw->now_us);
            outputs_do(rw, i);
            if (rw->stored) transfers_run(rw, i);
        }
    }
}

/* ---- the client ---- */

uint8_t *rw_batch(struct replica_world *rw, uint8_t kind, uint64_t number, const struct operation *ops, uint32_t op_count, uint32_t *bytes,
                  uint8_t digest[32]) {
    uint8_t *out = malloc(65536), nonce[BATCH_NONCE_BYTES] = {0};
    CHECK(out != NULL);
    struct bytes_writer writer = bytes_writer_of(out, 65536);
    struct batch_builder builder;
    bytes_put_le32(nonce, ++rw->nonce);
    const uint8_t *client = rw->client_id;
    struct signer signer = keyed_signer_of(&rw->client_key);
    batch_build_begin(&builder, &writer, kind, client, nonce, 0);
    batch_build_part_begin(&builder, SHARD_CLUSTER_BASE, 0, number, number > 0 ? 1 : 0);
    for (uint32_t i = 0; i < op_count; i++) operation_encode(&writer, &ops[i]);
    batch_build_part_end(&builder, op_count);
    CHECK(batch_build_end(&builder, rw->world->system.system_id, &signer));
    struct batch batch;
    struct batch_limits limits = {.shards = 1, .batch_bytes_max = 65536, .batch_parts_max = 1, .batch_ops_max = 1024};
    struct batch_part part;
    size_t at = 0;
    CHECK(batch_decode(out, writer.used, &limits, &batch) == BATCH_OK && batch_part_next(&batch, &at, &part));
    batch_part_digest(client, nonce, &part, digest);
    *bytes = (uint32_t)writer.used;
    return out;
}

void rw_inject(struct replica_world *rw, struct replica_peer from, uint32_t to, uint16_t type, const uint8_t *bytes, size_t count) {
    if (!rw->nodes[to].up) return;
    struct blob *blob = blob_copy(bytes, count);
    replica_frame(rw->nodes[to].replica, from, type, (struct blob_piece){.blob = blob, .count = count});
    blob_drop(blob);
    outputs_do(rw, to);
}

void rw_send(struct replica_world *rw, uint32_t node, uint16_t type, const uint8_t *bytes, size_t count) {
    uint8_t *copy = malloc(count + 1);
    CHECK(copy != NULL);
    memcpy(copy, bytes, count);
    mail_put(rw, RW_NODES, node, type, copy, count);
}

const struct world_answer *rw_answer(const struct replica_world *rw, const uint8_t digest[32]) {
    for (uint32_t i = rw->answer_count; i-- > 0;) {
        if (memcmp(rw->answers[i].item.part_digest, digest, 32) == 0) return &rw->answers[i];
    }
    return NULL;
}

const struct client_item *rw_ask(struct replica_world *rw, uint8_t kind, uint64_t number, const struct operation *ops, uint32_t op_count,
                                 uint64_t ms) {
    uint32_t bytes, node = dice(rw, RW_CLUSTER);
    uint8_t digest[32], *batch = rw_batch(rw, kind, number, ops, op_count, &bytes, digest);
    const struct world_answer *answer = NULL;
    for (uint64_t passed = 0; passed < ms && answer == NULL; passed += 5) {
        if (passed % 400 == 0) rw_send(rw, node++ % RW_CLUSTER, MESSAGE_BATCH, batch, bytes);
        rw_run(rw, 5);
        answer = rw_answer(rw, digest);
    }
    free(batch);
    return answer != NULL ? &answer->item : NULL;
}

struct status_replica *rw_status(struct replica_world *rw, uint32_t node) {
    static struct status_replica status;
    replica_status(rw->nodes[node].replica, &status);
    return &status;
}

uint32_t rw_compare(struct replica_world *rw) {
    uint32_t compared = 0;
    for (uint32_t a = 0; a < RW_NODES; a++) {
        for (uint32_t b = a + 1; b < RW_NODES; b++) {
            if (!linked(rw, a, b) || rw->nodes[a].cluster != rw->nodes[b].cluster) continue;
            struct status_replica first = *rw_status(rw, a), *second = rw_status(rw, b);
            if (first.state_root_height != second->state_root_height) continue;
            CHECK(memcmp(first.state_root, second->state_root, 32) == 0);
            compared++;
        }
    }
    return compared;
}
