#include "appliance/node/node_init_backup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/base/checkpoint_blobs.h"
#include "appliance/exec/executor.h"
#include "appliance/replica/replica.h"
#include "merkle/check.h"
#include "store/state.h"
#include "store/wal.h"

enum { BUFFER_BYTES = 16 << 20, SLOTS = 4, PATH_BYTES = 4096 };

struct filling {
    struct state *state;
    void *memory;
    struct state_buffer buffer;
    bool first; /* nothing was submitted yet */
    enum store_status status;
    struct checkpoint_part *parts;
    uint32_t part_count, part_room;
};

static bool refuse(char text[NODE_INIT_TEXT_BYTES], const char *where, const char *what) {
    (void)snprintf(text, NODE_INIT_TEXT_BYTES, "%.400s: %.500s", where, what);
    return false;
}

static bool refuse_fault(char text[NODE_INIT_TEXT_BYTES], const char *path, const struct backup_fault *fault) {
    (void)snprintf(text, NODE_INIT_TEXT_BYTES, "%.400s%s%s: no valid backup: %s: %s", path, fault->file[0] != '\0' ? "/" : "", fault->file,
                   backup_error_name(fault->error), fault->text);
    return false;
}

/* `from`, or the folder of this cluster in it. */
static void folder_find(const char *from, uint32_t cluster, char out[PATH_BYTES]) {
    (void)snprintf(out, PATH_BYTES, "%s", from);
    if (backup_folder_is(from)) return;
    (void)snprintf(out, PATH_BYTES, "%.4000s/%c%u", from, config_cluster_is_shard(cluster) ? 's' : 'c', config_cluster_index(cluster));
}

static struct backup_folder *folder_open(const char *path, const struct system *system, uint32_t cluster, char text[NODE_INIT_TEXT_BYTES]) {
    const struct signer signer = signer_ed25519(NULL);
    struct backup_folder *folder = NULL;
    struct backup_fault fault;
    if (backup_folder_open(&folder, path, system, &signer, &fault) != BACKUP_OK) {
        (void)refuse_fault(text, path, &fault);
        return NULL;
    }
    if (backup_shown(folder->backup)->manifest.cluster == cluster) return folder;
    backup_folder_close(folder);
    (void)refuse(text, path, "this is a backup of another cluster than this node's");
    return NULL;
}

struct backup_folder *node_init_backup_open(const char *from, const struct system *system, uint32_t cluster, char text[NODE_INIT_TEXT_BYTES]) {
    char path[PATH_BYTES];
    struct backup_fault fault;
    folder_find(from, cluster, path);
    struct backup_folder *folder = folder_open(path, system, cluster, text);
    if (folder == NULL || backup_folder_read(folder, NULL, &fault) == BACKUP_OK) return folder;
    (void)refuse_fault(text, path, &fault);
    backup_folder_close(folder);
    return NULL;
}

/* ---- the mark ---- */

static bool key_retire(const struct store_directory *directory, const struct node_config *config, const struct store_identity *identity,
                       char text[NODE_INIT_TEXT_BYTES]) {
    struct wal_config about = {
        .directory = directory, .identity = *identity, .map_bytes = config->wal_map_bytes, .queue_slots = SLOTS, .cpu = -1};
    struct wal *wal;
    struct store_error error;
    if (wal_open(&about, &wal, &error) != STORE_OK) return refuse(text, config->data, error.text);
    uint8_t mark = REPLICA_FROM_BACKUP;
    struct iovec part = {.iov_base = &mark, .iov_len = sizeof mark};
    struct wal_record record = {.operation = WAL_PUT, .db = WAL_VOTES, .parts = &part, .part_count = 1};
    struct wal_batch batch = {.records = &record, .record_count = 1};
    uint64_t sequence;
    (void)wal_key_vote(record.key, WAL_VOTE_RETIRED, 0, 0, 0);
    enum store_status status = wal_submit(wal, &batch, &sequence);
    if (status == STORE_OK) status = wal_wait(wal, sequence);
    enum store_status closed = wal_close(wal);
    if (status == STORE_OK) status = closed;
    return status == STORE_OK || refuse(text, config->data, store_status_name(status));
}

/* ---- the checkpoint ---- */

/* Hands over what was collected, and waits: then the memory is free again. */
static bool submit(struct filling *f, const struct state_checkpoint *about, const struct state_blob *blobs, uint32_t blob_count) {
    struct state_batch batch = {.writes = state_buffer_writes(&f->buffer),
                                .write_count = f->buffer.count,
                                .clear_first = f->first,
                                .checkpoint = about,
                                .blobs = blobs,
                                .blob_count = blob_count};
    uint64_t sequence;
    f->status = state_submit(f->state, &batch, &sequence);
    if (f->status == STORE_OK) f->status = state_wait(f->state, sequence);
    f->first = false;
    state_buffer_init(&f->buffer, f->memory, BUFFER_BYTES);
    return f->status == STORE_OK;
}

static bool entry_take(void *context, const struct checkpoint_entry *entry) {
    struct filling *f = context;
    const struct table_write write = {.entry = {.key = entry->key,
                                                .value = entry->value,
                                                .key_bytes = entry->key_bytes,
                                                .value_bytes = entry->value_bytes,
                                                .version = {.height = entry->version_height, .index = entry->version_index},
                                                .space = entry->space}};
    if (state_buffer_add(&f->buffer, &write)) return true;
    return submit(f, NULL, NULL, 0) && state_buffer_add(&f->buffer, &write);
}

static bool item_take(void *context, const struct checkpoint_item *item, const uint8_t *bytes, size_t count) {
    struct filling *f = context;
    if (f->part_count == f->part_room) {
        f->part_room = f->part_room == 0 ? 64 : f->part_room * 2;
        f->parts = realloc(f->parts, f->part_room * sizeof *f->parts);
        CHECK(f->parts != NULL);
    }
    uint8_t *copy = malloc(count + 1);
    CHECK(copy != NULL);
    memcpy(copy, bytes, count);
    f->parts[f->part_count++] = (struct checkpoint_part){.about = *item, .bytes = copy, .count = count};
    return true;
}

static bool checkpoint_end(struct filling *f, const struct backup *backup) {
    const struct checkpoint_shown *shown = backup_shown(backup);
    const struct checkpoint_manifest *manifest = &shown->manifest;
    struct state_checkpoint about = {.epoch = manifest->epoch, .height = manifest->height};
    size_t ended_bytes, chain_bytes;
    const uint8_t *ended = backup_ended(backup, &ended_bytes), *chain = backup_chain(backup, &chain_bytes);
    memcpy(about.block_id, manifest->block_id, 32);
    memcpy(about.state_root, manifest->state_root, 32);
    struct blob *tip = checkpoint_blob_tip(shown, ended, ended_bytes), *child = checkpoint_blob_child(shown),
                *queues = checkpoint_blob_queues(f->parts, f->part_count),
                *work = checkpoint_blob_work(backup_records(backup), f->parts, f->part_count);
    struct state_blob blobs[5] = {{.name = "tip", .bytes = tip->bytes, .byte_count = tip->count},
                                  {.name = "queues", .bytes = queues->bytes, .byte_count = queues->count},
                                  {.name = EXECUTOR_WORK_BLOB, .bytes = work->bytes, .byte_count = work->count},
                                  {.name = "child", .bytes = child->bytes, .byte_count = child->count},
                                  {.name = "chain", .bytes = chain, .byte_count = chain_bytes}};
    bool good = submit(f, &about, blobs, 5);
    blob_drop(tip);
    blob_drop(child);
    blob_drop(queues);
    blob_drop(work);
    return good;
}

static bool state_fill(const struct store_directory *directory, const struct node_config *config, const struct store_identity *identity,
                       struct backup_folder *folder, char text[NODE_INIT_TEXT_BYTES]) {
    struct state_config about = {
        .directory = directory, .identity = *identity, .map_bytes = config->state_map_bytes, .queue_slots = SLOTS, .cpu = -1};
    struct filling f = {.first = true, .memory = malloc(BUFFER_BYTES), .status = STORE_OK};
    struct store_error error;
    struct backup_fault fault;
    CHECK(f.memory != NULL);
    bool good = state_open(&about, &f.state, &error) == STORE_OK;
    if (!good) (void)refuse(text, config->data, error.text);
    if (good) {
        const struct backup_visit visit = {.context = &f, .entry = entry_take, .item = item_take};
        state_buffer_init(&f.buffer, f.memory, BUFFER_BYTES);
        good = backup_folder_read(folder, &visit, &fault) == BACKUP_OK;
        if (!good && f.status == STORE_OK) (void)refuse_fault(text, folder->path, &fault);
        good = good && checkpoint_end(&f, folder->backup);
        if (!good && f.status != STORE_OK) (void)refuse(text, config->data, store_status_name(f.status));
        enum store_status closed = state_close(f.state);
        if (good && closed != STORE_OK) good = refuse(text, config->data, store_status_name(closed));
    }
    for (uint32_t i = 0; i < f.part_count; i++) free((void *)(uintptr_t)f.parts[i].bytes);
    free(f.parts);
    free(f.memory);
    return good;
}

/* A CONFIG brought this node in before the backup was made: it may have signed. (What came after, LAST-SIGNED finds: P-14.) */
static bool was_member(const struct backup *backup, const struct store_identity *identity) {
    const struct config *config = backup_config(backup);
    for (uint32_t i = 0; i < config->members.count; i++) {
        if (memcmp(config->members.members[i].node_id, identity->node_id, sizeof identity->node_id) == 0) return true;
    }
    return false;
}

bool node_init_backup_fill(const struct store_directory *directory, const struct node_config *config, const struct store_identity *identity,
                           const char *from, const struct system *system, bool retire, char text[NODE_INIT_TEXT_BYTES]) {
    char path[PATH_BYTES];
    folder_find(from, identity->cluster, path);
    struct backup_folder *folder = folder_open(path, system, identity->cluster, text);
    if (folder == NULL) return false;
    retire = retire || was_member(folder->backup, identity);
    bool good = (!retire || key_retire(directory, config, identity, text)) && state_fill(directory, config, identity, folder, text);
    backup_folder_close(folder);
    return good;
}
