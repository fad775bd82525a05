#include "appliance/node/transfer_disk.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

enum { QUEUE_SLOTS = 4 };

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

static enum store_status cut_cost(const void *context, uint64_t *kept_bytes, uint64_t *own_bytes) {
    return state_reader_cost(context, kept_bytes, own_bytes);
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
                                 .cost = cut_cost,
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

static enum store_status promote(struct transfer_disk *disk, const struct state_config *config) {
    transfer_disk_close(disk);
    enum store_status status = state_close(disk->own);
    disk->own = NULL;
    if (status == STORE_OK) status = store_transfer_promote(disk->directory, &disk->error);
    if (status == STORE_OK) status = state_open(config, &disk->own, &disk->error);
    if (status != STORE_OK) disk->own = NULL;
    return status;
}

enum store_status transfer_disk_install(struct transfer_disk *disk, const struct state_config *config, uint64_t *height) {
    struct transfer_cut cut, own;
    size_t count = 0;
    *height = 0;
    if (!disk_taken(disk, &cut)) {
        transfer_disk_close(disk);
        return STORE_OK;
    }
    enum store_status tip = cut.blob(cut.context, "tip", NULL, 0, &count);
    bool whole = tip == STORE_OK || tip == STORE_TOO_LONG, newer = true;
    uint64_t comes = cut.about.height;
    cut.close(cut.context);
    if (disk_own(disk, &own)) {
        newer = comes > own.about.height;
        own.close(own.context);
    }
    if (whole && newer) {
        *height = comes;
        return promote(disk, config);
    }
    transfer_disk_close(disk);
    return newer ? STORE_OK /* to be gone on with */ : store_transfer_remove(disk->directory, &disk->error);
}
