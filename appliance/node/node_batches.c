#include "appliance/node/node_batches.h"

#include <stdlib.h>

#include "merkle/check.h"

enum { ROOM_MIN = 64 };

static void grow(struct node_batches *batches) {
    uint32_t room = batches->room == 0 ? ROOM_MIN : batches->room * 2;
    const struct wal_batch **grown = malloc(room * sizeof *grown);
    CHECK(grown != NULL);
    for (uint32_t i = 0; i < batches->count; i++) grown[i] = batches->waiting[(batches->first + i) % batches->room];
    free(batches->waiting);
    batches->waiting = grown;
    batches->first = 0;
    batches->room = room;
}

void node_batches_add(struct node_batches *batches, const struct wal_batch *batch) {
    if (batches->count == batches->room) grow(batches);
    batches->waiting[(batches->first + batches->count++) % batches->room] = batch;
}

enum store_status node_batches_submit(struct node_batches *batches, struct wal *wal, uint64_t *sequence) {
    if (batches->count == 0) return STORE_ABSENT;
    enum store_status status = wal_submit(wal, batches->waiting[batches->first], sequence);
    if (status != STORE_OK) return status;
    batches->first = (batches->first + 1) % batches->room;
    batches->count--;
    return STORE_OK;
}

void node_batches_free(struct node_batches *batches) {
    free(batches->waiting);
    *batches = (struct node_batches){.room = 0};
}
