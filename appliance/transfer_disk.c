#include "appliance/transfer_disk.h"

#include <stdlib.h>
#include <string.h>

#include "appliance/executor.h"
#include "merkle/check.h"

enum { QUEUE_SLOTS = 4, BUFFER_BYTES = 8 << 20, INSTALL_BLOBS = 3 };

/* ---- cuts ---- */

static void cut_seek(void *context, const uint8_t path[32]) {
    state_read_seek(context, path);
}

static enum store_status cut_next(void *context, struct table_entry *entry, uint8_t path[32]) {
    return state_read_entry(context, entry, path);
}

static enum store_status cut_blob(void *context, const char *name, void *bytes, size_t room, size_t *count) {
    return state_read_blob(context, name, bytes, room, count);
}

static void cut_close(void *context) {
    state_reader_close(context);
}

static enum store_status cut_open(struct state *state, struct transfer_cut *cut) {
    struct state_reader *reader;
    enum store_status status = state_reader_open(state, &reader);
    if (status != STORE_OK) return status;
    *cut = (struct transfer_cut){.context = reader,
                                 .about = *state_reader_checkpoint(reader),
                                 .seek = cut_seek,
                                 .next = cut_next,
                                 .blob = cut_blob,
                                 .close = cut_close};
    return STORE_OK;
}

static bool disk_own(void *context, struct transfer_cut *cut) {
    struct transfer_disk *disk = context;
    return cut_open(disk->own, cut) == STORE_OK;
}

/* ---- what is taken ---- */

static enum store_status taken_open(struct transfer_disk *disk) {
    if (disk->taken != NULL) return STORE_OK;
    struct state_config config = {.directory = disk->directory,
                                  .transfer = true,
                                  .identity = disk->identity,
                                  .map_bytes = disk->map_bytes,
                                  .queue_slots = QUEUE_SLOTS,
                                  .cpu = -1};
    return state_open(&config, &disk->taken, &disk->error);
}

static bool disk_taken(void *context, struct transfer_cut *cut) {
    struct transfer_disk *disk = context;
    if (disk->taken == NULL && !store_transfer_exists(disk->directory)) return false;
    return taken_open(disk) == STORE_OK && cut_open(disk->taken, cut) == STORE_OK;
}

static bool batch_do(struct transfer_disk *disk, struct state *state, const struct state_batch *batch) {
    uint64_t sequence;
    enum store_status status = state_submit(state, batch, &sequence);
    if (status == STORE_OK) status = state_wait(state, sequence);
    if (status == STORE_OK) return true;
    if (state_error(state, &disk->error) == STORE_OK) disk->error = (struct store_error){.status = status};
    return false;
}

/* What cannot be opened is what a crash cut off while it was made, or damaged: nothing is lost with it but time. */
static bool disk_take(void *context, const struct state_batch *batch) {
    struct transfer_disk *disk = context;
    if (taken_open(disk) != STORE_OK) {
        if (store_transfer_create(disk->directory, &disk->identity, &disk->error) != STORE_OK || taken_open(disk) != STORE_OK) return false;
    }
    return batch_do(disk, disk->taken, batch);
}

static bool disk_forget(void *context) {
    struct transfer_disk *disk = context;
    transfer_disk_close(disk);
    return store_transfer_remove(disk->directory, &disk->error) == STORE_OK;
}

struct transfer_store transfer_disk_store(struct transfer_disk *disk) {
    return (struct transfer_store){.context = disk, .own = disk_own, .taken = disk_taken, .take = disk_take, .forget = disk_forget};
}

void transfer_disk_close(struct transfer_disk *disk) {
    if (disk->taken != NULL) (void)state_close(disk->taken); /* what it had to keep was waited for */
    disk->taken = NULL;
}

/* ---- becoming the own checkpoint ---- */

static const char *const blob_names[INSTALL_BLOBS] = {"tip", "queues", EXECUTOR_WORK_BLOB};

static bool blobs_read(const struct transfer_cut *cut, struct state_blob blobs[INSTALL_BLOBS]) {
    for (unsigned i = 0; i < INSTALL_BLOBS; i++) {
        size_t count = 0;
        enum store_status status = cut->blob(cut->context, blob_names[i], NULL, 0, &count);
        if (status != STORE_OK && status != STORE_TOO_LONG) return false;
        uint8_t *bytes = malloc(count + 1);
        CHECK(bytes != NULL);
        blobs[i].bytes = bytes;
        blobs[i].byte_count = count;
        memcpy(blobs[i].name, blob_names[i], strlen(blob_names[i]));
        if (count > 0 && cut->blob(cut->context, blob_names[i], bytes, count, &count) != STORE_OK) return false;
    }
    return true;
}

/* All in one transaction of `own`: a crash before its end leaves the checkpoint that was there, and this one to be installed again. */
static bool entries_copy(struct transfer_disk *disk, const struct transfer_cut *cut, const struct state_blob blobs[INSTALL_BLOBS]) {
    void *memory = malloc(BUFFER_BYTES);
    CHECK(memory != NULL);
    struct state_buffer buffer;
    struct table_write write = {.deleted = false};
    struct state_batch batch = {.clear_first = true};
    enum store_status status;
    uint8_t path[32];
    bool good = true;
    state_buffer_init(&buffer, memory, BUFFER_BYTES);
    while (good && (status = cut->next(cut->context, &write.entry, path)) == STORE_OK) {
        if (state_buffer_add(&buffer, &write)) continue;
        batch.writes = state_buffer_writes(&buffer);
        batch.write_count = buffer.count;
        good = batch_do(disk, disk->own, &batch);
        batch.clear_first = false;
        state_buffer_init(&buffer, memory, BUFFER_BYTES);
        CHECK(state_buffer_add(&buffer, &write));
    }
    batch.writes = state_buffer_writes(&buffer);
    batch.write_count = buffer.count;
    batch.checkpoint = &cut->about;
    batch.blobs = blobs;
    batch.blob_count = INSTALL_BLOBS;
    if (good && status != STORE_ABSENT)
        disk->error = (struct store_error){.status = status, .text = "the checkpoint that came from peers is damaged: remove data/transfer"};
    good = good && status == STORE_ABSENT && batch_do(disk, disk->own, &batch);
    free(memory);
    return good;
}

enum store_status transfer_disk_install(struct transfer_disk *disk, uint64_t *height) {
    struct transfer_cut cut, own;
    struct state_blob blobs[INSTALL_BLOBS] = {0};
    *height = 0;
    if (!disk_taken(disk, &cut)) {
        transfer_disk_close(disk);
        return STORE_OK;
    }
    bool whole = blobs_read(&cut, blobs), newer = true, good = true;
    if (disk_own(disk, &own)) {
        newer = cut.about.height > own.about.height;
        own.close(own.context);
    }
    if (whole && newer) good = entries_copy(disk, &cut, blobs);
    if (whole && newer && good) *height = cut.about.height;
    for (unsigned i = 0; i < INSTALL_BLOBS; i++) free((void *)(uintptr_t)blobs[i].bytes);
    cut.close(cut.context);
    transfer_disk_close(disk);
    if (!good) return disk->error.status;
    if (!whole && newer) return STORE_OK; /* to be gone on with */
    return store_transfer_remove(disk->directory, &disk->error);
}
