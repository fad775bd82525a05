#include "tests/appliance/replica_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "merkle/check.h"
#include "protocol/body.h"
#include "protocol/decision.h"
#include "tests/appliance/replica_world_inside.h"

struct rw_batch {
    uint64_t sequence, due_us;
    struct wal_batch batch;
    struct rw_batch *next;
};

enum {
    DISK_US = 700,
    STEP_US = 500,
    MESSAGE_PIECE = 0x0110,
    MESSAGE_CONFIG_QUERY = 0x0113,
    MESSAGE_CONFIG_CHAIN = 0x0114,
    MESSAGE_BATCH = 0x0301,
    MESSAGE_ANSWER = 0x0302,
    MESSAGE_REFUSED = 0x0303,
    MESSAGE_ADMIN = 0x0306,
    MESSAGE_ADMIN_STATE = 0x0307
};

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

/* RW_NODES: the client; RW_NOWHERE: nobody. */
static uint32_t node_of(const struct rw_node *from, struct replica_peer peer) {
    if (peer.kind == REPLICA_CLIENT) return RW_NODES;
    bool coordinator = peer.kind == REPLICA_MEMBER ? from->cluster >> 16 == 1 : peer.index >> 16 == 1;
    uint32_t first = coordinator ? 0u : (uint32_t)RW_CLUSTER;
    for (uint32_t node = first; node < first + RW_CLUSTER; node++) {
        if (from->place_of[node] == peer.member) return node;
    }
    return RW_NOWHERE;
}

static struct replica_peer peer_of(const struct replica_world *rw, uint32_t from, uint32_t to) {
    if (from == RW_NODES) return (struct replica_peer){.kind = REPLICA_CLIENT, .index = rw->client_index};
    const struct rw_node *sender = &rw->nodes[from];
    uint8_t place = rw->nodes[to].place_of[from];
    if (sender->cluster == rw->nodes[to].cluster) return (struct replica_peer){.kind = REPLICA_MEMBER, .member = place};
    return (struct replica_peer){.kind = REPLICA_FOREIGN, .member = place, .index = sender->cluster};
}

static void mail_put(struct replica_world *rw, uint32_t from, uint32_t to, uint16_t type, uint8_t *bytes, size_t count) {
    CHECK(rw->mail_count < RW_MAIL_MAX);
    rw->mail[rw->mail_count++] = (struct rw_mail){
        .due_us = rw->now_us + 100 + dice(rw, rw->delay_us_max), .from = from, .to = to, .type = type, .bytes = bytes, .count = count};
}

static void chain_query(struct replica_world *rw) {
    uint8_t *query = malloc(CONFIG_QUERY_BYTES);
    CHECK(query != NULL);
    config_query_encode(COORDINATOR_CLUSTER_BASE, rw->epoch_count, query);
    mail_put(rw, RW_NODES, rw->chain_next++ % RW_CLUSTER, MESSAGE_CONFIG_QUERY, query, CONFIG_QUERY_BYTES);
}

static void chain_take(struct replica_world *rw, const struct rw_mail *mail) {
    struct config_chain_reader reader;
    const uint8_t *entry;
    size_t bytes;
    struct signer signer = keyed_signer_of(NULL);
    CHECK(config_chain_read(&reader, COORDINATOR_CLUSTER_BASE, mail->bytes, mail->count, NULL) == SYSTEM_OK);
    while (config_chain_next(&reader, &entry, &bytes)) {
        if (reader.serial < rw->epoch_count) continue;
        CHECK(reader.serial == rw->epoch_count && rw->epoch_count < RW_EPOCHS_MAX);
        CHECK(config_chain_step(rw->chain, entry, bytes, &signer, NULL) == SYSTEM_OK);
        rw->epochs[rw->epoch_count - 1] = rw->chain->before;
        rw->epochs[rw->epoch_count++] = rw->chain->members;
    }
    CHECK(config_chain_read_end(&reader, NULL) == SYSTEM_OK);
}

static void answer_take(struct replica_world *rw, const struct rw_mail *mail) {
    struct decision decision;
    struct signer signer = keyed_signer_of(NULL);
    tree_hash root;
    bool decoded = decision_decode(mail->bytes, mail->count, &decision) == DECISION_OK;
    uint64_t epoch = decoded ? decision.certificate.qc.ballot.place.epoch : 0;
    if (decoded && epoch >= rw->epoch_count) { /* asked again when the chain is there */
        chain_query(rw);
        return;
    }
    bool good = decoded && decision_verify(&decision, &rw->epochs[epoch], &signer, NULL) == DECISION_OK && decision.leaf.kind == LEAF_KIND_CLIENT &&
                memcmp(decision.leaf.client_id, rw->client_id, 32) == 0 &&
                slice_client_root(decision.slice, decision.leaf.slice_bytes, decision.leaf.item_count, root);
    if (!good) {
        rw->answers_bad++;
        return;
    }
    rw->answer_epoch = epoch;
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

static void client_take(struct replica_world *rw, const struct rw_mail *mail) {
    if (rw->frame != NULL) rw->frame(rw->frame_context, mail->type, mail->bytes, mail->count);
    if (mail->type == MESSAGE_ANSWER) answer_take(rw, mail);
    if (mail->type == MESSAGE_CONFIG_CHAIN) chain_take(rw, mail);
    if (mail->type == MESSAGE_REFUSED) rw->refused_code = mail->bytes[32];
    if (mail->type != MESSAGE_ADMIN_STATE) return;
    CHECK(mail->count == sizeof rw->admin_state);
    memcpy(rw->admin_state, mail->bytes, mail->count);
    rw->admin_states++;
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
        } else if (rw->nodes[mail.to].up && !lost && (mail.from == RW_NODES || rw->nodes[mail.to].place_of[mail.from] != RW_NOWHERE)) {
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
    if (output->peer.kind == REPLICA_OBSERVER) { /* the test's own */
        rw->nodes[from].observer_got[output->peer.index % RW_PEERS_MAX] = output->type;
        return;
    }
    for (unsigned i = 0; i < output->piece_count; i++) count += output->pieces[i].count;
    uint8_t *bytes = malloc(count + 1);
    CHECK(bytes != NULL);
    for (unsigned i = 0; i < output->piece_count; i++) {
        memcpy(bytes + at, blob_piece_bytes(&output->pieces[i]), output->pieces[i].count);
        at += output->pieces[i].count;
    }
    uint32_t to = node_of(&rw->nodes[from], output->peer);
    if (to != RW_NOWHERE) mail_put(rw, from, to, output->type, bytes, count);
    else free(bytes);
}

static void output_persist(struct replica_world *rw, struct rw_node *node, const struct replica_output *output) {
    struct rw_batch *batch = calloc(1, sizeof *batch), **end = &node->flying;
    CHECK(batch != NULL);
    CHECK(output->batch->record_count >= 1 && output->batch->record_count <= WAL_RECORDS_MAX); /* as the store does */
    if (output->batch->record_count > node->largest_write) node->largest_write = output->batch->record_count;
    prepared_put(&node->prepared, output->batch);
    batch->sequence = output->sequence;
    batch->batch = *output->batch;
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
static void node_told(struct replica_world *rw, struct rw_node *node, const struct replica_output *output) {
    uint32_t other = 0;
    while (other < RW_NODES && memcmp(rw->world->nodes[other / RW_CLUSTER][other % RW_CLUSTER].noise_key, output->key, 32) != 0) other++;
    if (other == RW_NODES) return;
    node->place_of[other] = output->kind == REPLICA_PEER_ADD ? output->peer.member : RW_NOWHERE;
    if (output->kind == REPLICA_PEER_ADD && rw->nodes[other].up) replica_link_up(node->replica, output->peer);
}

static void peer_told(struct replica_world *rw, struct rw_node *node, const struct replica_output *output) {
    bool add = output->kind == REPLICA_PEER_ADD;
    if (output->peer.kind == REPLICA_OBSERVER) {
        CHECK(output->peer.index < RW_PEERS_MAX && node->observer_in[output->peer.index] != add);
        node->observer_in[output->peer.index] = add;
        memcpy(node->observer_key[output->peer.index], output->key, 32);
    }
    if (output->peer.kind == REPLICA_MEMBER || output->peer.kind == REPLICA_FOREIGN) node_told(rw, node, output);
    if (output->peer.kind != REPLICA_CLIENT) return;
    CHECK(output->peer.index < RW_PEERS_MAX && node->let_in[output->peer.index] != add);
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
        case REPLICA_PREPARE: prepared_add(&node->prepared, &output); break;
        case REPLICA_FORGET: (void)prepared_take(&node->prepared, output.cookie); break;
        case REPLICA_JOB:
            job_run(node, output.job);
            break;
        case REPLICA_READ: replica_read_done(node->replica, output.cookie, disk_read(node, &output)); break;
        case REPLICA_NOTE: break;
        case REPLICA_EVIDENCE: evidence_keep(node, &output); break;
        case REPLICA_PEER_ADD:
        case REPLICA_PEER_REMOVE: peer_told(rw, node, &output); break;
        case REPLICA_TRANSFER:
            if (node->transfer != NULL)
                transfer_frame(node->transfer, replica_transfer_asker(output.peer), output.type, blob_piece_bytes(&output.pieces[0]),
                               output.pieces[0].count, !node->never_serves);
            break;
        case REPLICA_LACKING:
            if (node->transfer != NULL && output.lacking) transfer_lacking(node->transfer, output.sequence);
            if (node->transfer != NULL && !output.lacking) transfer_height(node->transfer, output.sequence);
            break;
        case REPLICA_EPOCH:
            if (node->transfer != NULL) rw_epochs_tell(node);
            break;
        case REPLICA_AGAIN:
            node->again = true;
            node->agains++;
            break;
        case REPLICA_STOP:
            node->stopped++;
            memcpy(node->stop_text, output.text, sizeof node->stop_text);
            break;
        }
    }
}

/* ---- nodes ---- */

static void node_open(struct replica_world *rw, uint32_t index) {
    struct rw_node *node = &rw->nodes[index];
    uint8_t root[32];
    bool inherits = rw->kept_count > 0 && node->cluster == SHARD_CLUSTER_BASE;
    if (rw->stored) rw_state_prepare(node);
    node->executor = world_executor(rw->world, node->cluster, root);
    for (size_t i = 0; inherits && i < rw->kept_count; i++) CHECK(executor_genesis_add(node->executor, &rw->kept[i]) == EXEC_VALID);
    if (inherits) executor_state_root(node->executor, root);
    node->execution = execution_create(node->executor, node->state);
    struct replica_config config = {.system = &rw->world->system,
                                    .cluster = node->cluster,
                                    .member = node->member,
                                    .signer = keyed_signer_of(&node->key),
                                    .now_ms = rw->now_us / 1000 - rw->restoring_ms,
                                    .wall_ms = UINT64_C(1700000000000) + rw->now_us / 1000 - rw->restoring_ms,
                                    .ahead_bytes = rw->ahead_bytes,
                                    .hooks = &node->hooks};
    for (size_t i = 0; i < sizeof config.nonce; i++) config.nonce[i] = (uint8_t)dice(rw, 256);
    memcpy(config.genesis_root, root, 32);
    memcpy(config.signing_key, node->key.public_key, 32);
    memcpy(config.noise_key, rw->world->nodes[index / RW_CLUSTER][node->member].noise_key, 32);
    node->replica = replica_create(&config);
    CHECK(node->execution != NULL && node->replica != NULL);
    for (size_t i = 0; inherits && i < rw->kept_count; i++) CHECK(replica_restore_client(node->replica, &rw->kept[i]));
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
    for (uint64_t serial = 1;; serial++) {
        (void)wal_key_chain(key, serial);
        const struct rw_record *entry = record_find(node, WAL_CHAIN, key);
        if (entry == NULL) break;
        CHECK(replica_restore_chain(node->replica, serial, entry->bytes, entry->count));
    }
    uint32_t other = node->cluster == COORDINATOR_CLUSTER_BASE ? SHARD_CLUSTER_BASE : COORDINATOR_CLUSTER_BASE;
    for (uint64_t serial = 1;; serial++) {
        replica_pair_chain_key(key, other, serial);
        const struct rw_record *entry = record_find(node, WAL_MISC, key);
        if (entry == NULL) break;
        CHECK(replica_restore_pair_chain(node->replica, other, entry->bytes, entry->count));
    }
    if (rw->stored) {
        rw_checkpoint_restore(node);
        rw_pairs_restore(node);
    }
    for (uint32_t i = 0; i < REPLICA_ANNOUNCED_MAX; i++) {
        replica_announced_key(i, key);
        const struct rw_record *announced = record_find(node, WAL_MISC, key);
        if (announced != NULL) replica_restore_announced(node->replica, i, announced->bytes, announced->count);
    }
    uint64_t final = rw_status(rw, index)->final_height, first = UINT64_MAX, last = 0;
    (void)wal_key_vote(key, WAL_VOTE_CORE, 0, 0, 0);
    const struct rw_record *memory = record_find(node, WAL_VOTES, key);
    const uint8_t *memory_bytes = memory != NULL ? memory->bytes : NULL;
    size_t memory_count = memory != NULL ? memory->count : 0;
    (void)wal_key_vote(key, WAL_VOTE_RETIRED, 0, 0, 0);
    const struct rw_record *retired = record_find(node, WAL_VOTES, key);
    CHECK(replica_restore_memory(node->replica, memory_bytes, memory_count,
                                 retired != NULL ? (enum replica_retired)retired->bytes[0] : REPLICA_IN_OFFICE));
    replica_successor_key(key);
    const struct rw_record *successor = record_find(node, WAL_MISC, key);
    CHECK(successor == NULL || replica_restore_successor(node->replica, successor->bytes, successor->count));
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
    for (size_t i = 0; i < node->record_count; i++) {
        if (node->records[i].used && node->records[i].db == WAL_INPUTS) replica_restore_stray(node->replica, node->records[i].key, last);
    }
}

static bool linked(const struct replica_world *rw, uint32_t a, uint32_t b) {
    return rw->nodes[a].up && rw->nodes[b].up && a != b;
}

static void links_up(struct replica_world *rw, uint32_t index) {
    for (uint32_t other = 0; other < RW_NODES; other++) {
        if (!linked(rw, index, other)) continue;
        replica_link_up(rw->nodes[index].replica, peer_of(rw, other, index));
        if (rw->nodes[other].place_of[index] != RW_NOWHERE) replica_link_up(rw->nodes[other].replica, peer_of(rw, index, other));
    }
    replica_link_up(rw->nodes[index].replica, (struct replica_peer){.kind = REPLICA_CLIENT, .index = index < RW_CLUSTER ? rw->client_index : 0});
}

static void node_start(struct replica_world *rw, uint32_t index) {
    struct rw_node *node = &rw->nodes[index];
    if (rw->stored) rw_transfer_start(rw, node);
    for (uint32_t other = 0; other < RW_NODES; other++) node->place_of[other] = (uint8_t)rw->nodes[other].member;
    node->place_of[index] = RW_NOWHERE;
    replica_tick(node->replica, rw->now_us / 1000, rw->now_us);
    links_up(rw, index);
    memset(node->let_in, 0, sizeof node->let_in);
    memset(node->observer_in, 0, sizeof node->observer_in);
    for (uint32_t i = 0; i < replica_clients(node->replica); i++)
        node->let_in[i] = replica_client_key(node->replica, i, node->let_in_key[i]);
    replica_start(node->replica);
    outputs_do(rw, index);
}

void rw_crash(struct replica_world *rw, uint32_t index) {
    struct rw_node *node = &rw->nodes[index];
    CHECK(node->up);
    node->again = false;
    prepared_end(&node->prepared);
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
        bool known = rw->nodes[other].up && rw->nodes[other].place_of[index] != RW_NOWHERE;
        if (known) replica_link_down(rw->nodes[other].replica, peer_of(rw, index, other));
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

static bool is_block_part(const struct rw_record *record, uint8_t wanted, uint64_t *height) {
    uint64_t epoch;
    const uint8_t *id;
    uint8_t part;
    if (!record->used || record->db != WAL_BLOCKS) return false;
    wal_key_block_read(record->key, &epoch, height, &id, &part);
    return part == wanted;
}

size_t rw_blocks_stored(const struct replica_world *rw, uint32_t index) {
    const struct rw_node *node = &rw->nodes[index];
    size_t count = 0;
    for (size_t i = 0; i < node->record_count; i++) {
        uint64_t height;
        count += is_block_part(&node->records[i], WAL_PART_HEADER, &height);
    }
    return count;
}

void rw_certificates_lose(struct replica_world *rw, uint32_t index, uint64_t from) {
    struct rw_node *node = &rw->nodes[index];
    CHECK(!node->up);
    for (size_t i = 0; i < node->record_count; i++) {
        uint64_t height;
        if (is_block_part(&node->records[i], WAL_PART_CERTIFICATE, &height) && height >= from) record_drop(&node->records[i]);
    }
}

struct replica_world *rw_create_wished(uint64_t seed, const struct rw_wishes *wishes) {
    struct replica_world *rw = calloc(1, sizeof *rw);
    CHECK(rw != NULL);
    rw->world = malloc(sizeof *rw->world);
    rw->mail = calloc(RW_MAIL_MAX, sizeof *rw->mail);
    CHECK(rw->world != NULL && rw->mail != NULL);
    rw->seed = seed;
    rw->delay_us_max = 2000;
    rw->now_us = 1000000;
    world_system(rw->world, 1, 1);
    rw->kept = wishes->kept;
    rw->kept_count = wishes->kept_count;
    rw->ahead_bytes = wishes->ahead_bytes;
    rw->stored = wishes->checkpoint_blocks > 0;
    if (rw->stored) rw->world->system.limits.checkpoint_blocks = wishes->checkpoint_blocks;
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
    static const uint8_t seed_of_admin[32] = {42};
    CHECK(ed25519_start(NULL) && ed25519_secret_init(&rw->admin, seed_of_admin));
    ed25519_public_key(&rw->admin, rw->world->admin.signing_key);
    card_identify(&rw->world->admin);
    if (wishes->prepare != NULL) wishes->prepare(rw->world);
    rw->chain = malloc(sizeof *rw->chain);
    CHECK(rw->chain != NULL && config_chain_genesis(rw->chain, &rw->world->system, COORDINATOR_CLUSTER_BASE));
    rw->epochs[rw->epoch_count++] = rw->chain->members;
    for (uint32_t i = 0; i < RW_NODES; i++) {
        if (rw->stored) rw_state_make(rw, &rw->nodes[i]);
        node_open(rw, i);
        if (rw->stored) rw_checkpoint_restore(&rw->nodes[i]);
    }
    for (uint32_t i = 0; i < RW_NODES; i++) {
        CHECK(replica_restore_memory(rw->nodes[i].replica, NULL, 0, false));
        node_start(rw, i);
    }
    return rw;
}

struct replica_world *rw_create(uint64_t seed) {
    return rw_create_wished(seed, &(struct rw_wishes){.prepare = NULL});
}

struct replica_world *rw_create_prepared(uint64_t seed, void (*prepare)(struct world *world)) {
    return rw_create_wished(seed, &(struct rw_wishes){.prepare = prepare});
}

struct replica_world *rw_create_stored(uint64_t seed, uint32_t checkpoint_blocks) {
    return rw_create_wished(seed, &(struct rw_wishes){.checkpoint_blocks = checkpoint_blocks});
}

void rw_destroy(struct replica_world *rw) {
    for (uint32_t i = 0; i < RW_NODES; i++) {
        if (rw->nodes[i].up) rw_crash(rw, i);
        for (size_t k = 0; k < rw->nodes[i].record_count; k++) free(rw->nodes[i].records[k].bytes);
        free(rw->nodes[i].records);
        for (uint32_t k = 0; k < rw->nodes[i].evidence_count; k++) free(rw->nodes[i].evidence[k].bytes);
        rw_state_unmake(&rw->nodes[i]);
    }
    for (size_t i = 0; i < rw->mail_count; i++) free(rw->mail[i].bytes);
    for (uint32_t i = 0; i < rw->answer_count; i++) free(rw->answers[i].bytes);
    free(rw->mail);
    free(rw->chain);
    world_destroy(rw->world);
    free(rw);
}

static void transfers_run(struct replica_world *rw, uint32_t index) {
    struct rw_node *node = &rw->nodes[index];
    bool again = rw_transfer_run(rw, node);
    outputs_do(rw, index);
    node->transfers += again;
    if (again || node->again) {
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

void rw_config_next(const struct config *before, struct admin_op *op) {
    memset(op, 0, sizeof *op);
    op->kind = ADMIN_OP_CONFIG;
    op->cluster = before->members.cluster;
    memcpy(op->system_id, before->system_id, 16);
    op->serial = before->members.serial + 1;
    config_hash(before, op->predecessor);
    op->config = *before;
    op->config.members.serial++;
}

void rw_admin_bytes(struct replica_world *rw, uint32_t node, const uint8_t *bytes, size_t count) {
    uint8_t frame[8 + ADMIN_OP_BYTES_MAX] = {1};
    memcpy(frame + 8, bytes, count);
    rw_send(rw, node, MESSAGE_ADMIN, frame, 8 + count);
}

size_t rw_admin_send(struct replica_world *rw, uint32_t node, struct admin_op *op, uint32_t signatures, uint8_t *out) {
    op->signatures_count = 0;
    if (signatures > 0) CHECK(admin_op_sign(op, &rw->admin));
    size_t bytes = admin_op_encode(op, out);
    rw_admin_bytes(rw, node, out, bytes);
    return bytes;
}

bool rw_epoch_wait(struct replica_world *rw, uint32_t cluster, uint64_t epoch, uint64_t ms) {
    for (uint64_t passed = 0; passed < ms; passed += 20) {
        bool there = true;
        for (uint32_t i = 0; i < RW_NODES; i++) {
            if (!rw->nodes[i].up || rw->nodes[i].cluster != cluster) continue;
            const struct status_replica *status = rw_status(rw, i);
            there = there && status->epoch == epoch && status->phase == PHASE_VOTING;
        }
        if (there) return true;
        rw_run(rw, 20);
    }
    return false;
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
