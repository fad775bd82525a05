#include "appliance/node/node_values.h"

#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

enum { ROOM_MIN = 16 };

struct node_value {
    uint64_t ticket;
    struct blob *blobs[WAL_PREPARE_PARTS_MAX];
    uint32_t blob_count;
};

static void grow(struct node_values *values) {
    uint32_t room = values->room == 0 ? ROOM_MIN : values->room * 2;
    struct node_value *grown = malloc(room * sizeof *grown);
    CHECK(grown != NULL);
    for (uint32_t i = 0; i < values->count; i++) grown[i] = values->held[(values->first + i) % values->room];
    free(values->held);
    values->held = grown;
    values->first = 0;
    values->room = room;
}

void node_values_prepare(struct node_values *values, struct wal *wal, const struct replica_output *output) {
    struct wal_value value = {.ticket = output->cookie, .db = output->db, .part_count = output->piece_count};
    CHECK(output->piece_count <= WAL_PREPARE_PARTS_MAX);
    memcpy(value.key, output->key, sizeof value.key);
    for (uint32_t i = 0; i < output->piece_count; i++) {
        const struct blob_piece *piece = &output->pieces[i];
        value.parts[i] = (struct iovec){.iov_base = (void *)(uintptr_t)blob_piece_bytes(piece), .iov_len = piece->count};
    }
    if (wal_prepare(wal, &value) != STORE_OK) return;
    if (values->count == values->room) grow(values);
    struct node_value *held = &values->held[(values->first + values->count++) % values->room];
    *held = (struct node_value){.ticket = value.ticket, .blob_count = value.part_count};
    for (uint32_t i = 0; i < held->blob_count; i++) held->blobs[i] = blob_hold(output->pieces[i].blob);
}

static void first_drop(struct node_values *values) {
    struct node_value *held = &values->held[values->first];
    for (uint32_t i = 0; i < held->blob_count; i++) blob_drop(held->blobs[i]);
    values->first = (values->first + 1) % values->room;
    values->count--;
}

void node_values_poll(struct node_values *values, const struct wal *wal) {
    uint64_t done = wal_prepared(wal);
    while (values->count > 0 && values->held[values->first].ticket <= done) first_drop(values);
}

void node_values_free(struct node_values *values) {
    while (values->count > 0) first_drop(values);
    free(values->held);
    *values = (struct node_values){.room = 0};
}
