#include "appliance/node/node_values.h"

#include <string.h>

#include "merkle/check.h"

static void first_drop(struct node_values *values) {
    struct node_value *held = &values->held[values->first];
    for (uint32_t i = 0; i < held->blob_count; i++) blob_drop(held->blobs[i]);
    values->first = (values->first + 1) % WAL_PREPARED_MAX;
    values->count--;
}

void node_values_poll(struct node_values *values, const struct wal *wal) {
    uint64_t done = wal_prepared(wal);
    while (values->count > 0 && values->held[values->first].ticket <= done) first_drop(values);
}

void node_values_prepare(struct node_values *values, struct wal *wal, const struct replica_output *output) {
    struct wal_value value = {.ticket = output->cookie, .db = output->db, .part_count = output->piece_count};
    CHECK(output->piece_count <= WAL_PREPARE_PARTS_MAX);
    memcpy(value.key, output->key, sizeof value.key);
    for (uint32_t i = 0; i < output->piece_count; i++) {
        const struct blob_piece *piece = &output->pieces[i];
        value.parts[i] = (struct iovec){.iov_base = (void *)(uintptr_t)blob_piece_bytes(piece), .iov_len = piece->count};
    }
    node_values_poll(values, wal); /* the store takes another one when it has read one of these */
    if (values->count == WAL_PREPARED_MAX || wal_prepare(wal, &value) != STORE_OK) return;
    struct node_value *held = &values->held[(values->first + values->count++) % WAL_PREPARED_MAX];
    *held = (struct node_value){.ticket = value.ticket, .blob_count = value.part_count};
    for (uint32_t i = 0; i < held->blob_count; i++) held->blobs[i] = blob_hold(output->pieces[i].blob);
}

void node_values_free(struct node_values *values) {
    while (values->count > 0) first_drop(values);
}
