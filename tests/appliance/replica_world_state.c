/*
 * Disks of the world's nodes, copied and put back; their checkpoints: real stores in folders of their own, restored as node_restore.c does, and state
 * transfer between them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "merkle/check.h"
#include "tests/appliance/replica_world_inside.h"

void rw_state_prepare(struct rw_node *node) {
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
void rw_checkpoint_restore(struct rw_node *node) {
    struct state_reader *reader;
    if (state_reader_open(node->state, &reader) != STORE_OK) {
        CHECK(execution_genesis(node->execution));
        return;
    }
    size_t tip_bytes, queues_bytes, child_bytes, work_bytes, chain_bytes;
    uint8_t *tip = state_blob(reader, "tip", &tip_bytes), *queues = state_blob(reader, "queues", &queues_bytes);
    bool has_child = state_read_blob(reader, "child", NULL, 0, &child_bytes) != STORE_ABSENT; /* an older release wrote none */
    uint8_t *child = has_child ? state_blob(reader, "child", &child_bytes) : NULL;
    const struct replica_checkpoint blobs = {.tip = tip, .queues = queues, .child = child,
                                             .tip_bytes = tip_bytes, .queues_bytes = queues_bytes, .child_bytes = child_bytes};
    uint8_t *work = state_blob(reader, EXECUTOR_WORK_BLOB, &work_bytes);
    if (state_read_blob(reader, "chain", NULL, 0, &chain_bytes) == STORE_TOO_LONG) {
        uint8_t *chain = state_blob(reader, "chain", &chain_bytes);
        CHECK(replica_restore_chain_payload(node->replica, chain, chain_bytes));
        free(chain);
    }
    const struct state_checkpoint *checkpoint = state_reader_checkpoint(reader);
    const char *text = NULL;
    CHECK(replica_restore_checkpoint(node->replica, checkpoint, &blobs, &text));
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
    free(child);
    free(work);
}

void rw_pairs_restore(struct rw_node *node) {
    for (uint32_t i = 0; i < executor_pairs(node->executor); i++) {
        struct exec_pair pair;
        executor_pair_at(node->executor, i, true, &pair);
        struct execution_pair cursors = {
            .cluster = pair.cluster, .consumed_dseq = pair.consumed_dseq, .sent_dseq = pair.sent_dseq, .acked_dseq = pair.acked_dseq,
            .epoch = pair.epoch};
        replica_restore_pair(node->replica, &cursors);
    }
}

void rw_epochs_tell(struct rw_node *node) {
    for (uint32_t i = 0; i < replica_epochs(node->replica); i++) {
        struct transfer_epoch epoch;
        replica_epoch(node->replica, i, &epoch);
        transfer_epoch(node->transfer, &epoch);
    }
}

void rw_transfer_start(struct replica_world *rw, struct rw_node *node) {
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
    rw_epochs_tell(node);
}

/* True: a whole checkpoint has come; the node is to start anew. */
bool rw_transfer_run(struct replica_world *rw, struct rw_node *node) {
    struct transfer_output output;
    bool again = false;
    transfer_tick(node->transfer, rw->now_us / 1000);
    (void)transfer_work(node->transfer);
    while (transfer_next(node->transfer, &output)) {
        CHECK(output.kind != TRANSFER_FAILED);
        if (output.kind == TRANSFER_SEND) replica_transfer_send(node->replica, output.member, output.type, output.blob);
        if (output.kind == TRANSFER_EVIDENCE) replica_transfer_evidence(node->replica, output.member, output.epoch, output.blob);
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

struct rw_disk rw_disk_copy(const struct rw_node *node) {
    struct rw_disk disk = {.records = calloc(node->record_count + 1, sizeof *disk.records), .count = node->record_count};
    CHECK(disk.records != NULL);
    for (size_t i = 0; i < node->record_count; i++) {
        struct rw_record *copy = &disk.records[i];
        *copy = node->records[i];
        if (!copy->used) continue;
        copy->bytes = malloc(copy->count + 1);
        CHECK(copy->bytes != NULL);
        memcpy(copy->bytes, node->records[i].bytes, copy->count);
    }
    return disk;
}

void rw_disk_put_back(struct rw_node *node, struct rw_disk *disk) {
    CHECK(!node->up && disk->count <= node->record_room);
    for (size_t i = 0; i < node->record_count; i++) free(node->records[i].bytes);
    memcpy(node->records, disk->records, disk->count * sizeof *disk->records);
    node->record_count = disk->count;
    free(disk->records);
    disk->records = NULL;
}

void rw_state_make(struct replica_world *rw, struct rw_node *node) {
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

void rw_state_unmake(struct rw_node *node) {
    static const char *const files[] = {"wal/values",     "wal/journal",       "wal/data.mdb",      "wal/lock.mdb", "wal",  "state/data.mdb",
                                        "state/lock.mdb", "state",             "transfer/data.mdb", "transfer/lock.mdb", "transfer", "lock", ""};
    if (node->directory == NULL) return;
    store_directory_close(node->directory);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", node->path, files[i]);
        if (unlink(path) != 0) (void)rmdir(path);
    }
}
