/*
 * Observers before they are members (S-81): a CONFIG that the administrators signed, and that nobody is to decide yet, names cards; whoever holds the
 * keys of its new members is let in as an observer, hears what members send to all, and takes blocks and checkpoints, so that it has caught up when
 * it counts for quorums.
 *
 * Who may look is what k administrators vouch for by the CONFIG itself. All that are kept have one serial, and administrators may sign several: the
 * first one's node was not ready, or they chose another. None of them takes another's place, since whoever has two could show one after the other
 * for ever, and end what is under way of their nodes each time. So each is kept beside those before, up to a number, until the epoch ends. An
 * observer is no one's peer in consensus: nothing that it sends is believed or counted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica_private.h"
#include "protocol/admin_op.h"

enum { NEW_MEMBERS_MAX = (BFT_MEMBERS_MAX - 1) / 3 }; /* of one CONFIG: f (S-61) */
_Static_assert(REPLICA_ANNOUNCED_MAX * NEW_MEMBERS_MAX + 2 * BFT_MEMBERS_MAX <= OBSERVERS_MAX, "there is a number for each that may observe");

void replica_announced_key(uint32_t number, uint8_t key[WAL_KEY_BYTES_MAX]) {
    char name[16];
    CHECK(number < REPLICA_ANNOUNCED_MAX);
    (void)snprintf(name, sizeof name, number == 0 ? "announced" : "announced-%u", number);
    (void)wal_key_misc(key, name);
}

static void observers_end(struct replica *r) {
    for (uint32_t i = 0; i < OBSERVERS_MAX; i++) {
        if (r->observers[i].announced) epoch_observer_drop(r, i);
    }
}

static void observers_begin(struct replica *r, const struct admin_op *operation) {
    for (uint32_t i = 0; i < operation->nodes_count; i++) epoch_observer_add(r, operation->nodes[i].noise_key, operation->nodes[i].name, true);
}

static void announced_forget(struct replica *r, uint32_t number) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    if (r->announced[number].bytes == NULL) return;
    blob_drop(r->announced[number].bytes);
    r->announced[number].bytes = NULL;
    replica_announced_key(number, key);
    persist_delete(r, WAL_MISC, key, wal_key_bytes(WAL_MISC));
}

static void announced_keep(struct replica *r, uint32_t number, struct blob_piece bytes, const struct admin_op *operation) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    r->announced[number].bytes = blob_copy(blob_piece_bytes(&bytes), bytes.count);
    memcpy(r->announced[number].hash, operation->hash, sizeof r->announced[number].hash);
    replica_announced_key(number, key);
    persist_put_blob(r, WAL_MISC, key, wal_key_bytes(WAL_MISC), blob_hold(r->announced[number].bytes));
    observers_begin(r, operation);
    replica_note(r, LOG_LEVEL_INFO, "observers_admitted", "serial=%llu nodes=%u", (unsigned long long)operation->serial, operation->nodes_count);
}

enum admin_code observe_take(struct replica *r, struct blob_piece bytes, enum system_error *error) {
    struct admin_op *operation = malloc(sizeof *operation);
    CHECK(operation != NULL);
    enum admin_code code = ADMIN_CODE_INVALID;
    *error = admin_op_decode(operation, blob_piece_bytes(&bytes), bytes.count, NULL);
    if (*error == SYSTEM_OK && operation->kind != ADMIN_OP_CONFIG) *error = SYSTEM_FIELD_RANGE;
    if (*error == SYSTEM_OK) code = admin_config_judge(r, operation, error);
    bool known = false;
    uint32_t free_one = REPLICA_ANNOUNCED_MAX;
    for (uint32_t i = REPLICA_ANNOUNCED_MAX; i-- > 0;) {
        if (r->announced[i].bytes == NULL) free_one = i;
        else known |= memcmp(operation->hash, r->announced[i].hash, sizeof operation->hash) == 0; /* whoever signed it now */
    }
    if (code == ADMIN_CODE_WAITS && !known && free_one == REPLICA_ANNOUNCED_MAX) code = ADMIN_CODE_BUSY;
    if (code == ADMIN_CODE_WAITS && !known) announced_keep(r, free_one, bytes, operation);
    free(operation);
    return code;
}

void observe_epoch(struct replica *r) {
    observers_end(r);
    for (uint32_t i = 0; i < REPLICA_ANNOUNCED_MAX; i++) announced_forget(r, i);
}

void replica_restore_announced(struct replica *r, uint32_t number, const uint8_t *bytes, size_t count) {
    CHECK(number < REPLICA_ANNOUNCED_MAX);
    blob_drop(r->announced[number].bytes);
    r->announced[number].bytes = blob_copy(bytes, count);
}

void observe_start(struct replica *r) {
    struct admin_op *operation = malloc(sizeof *operation);
    CHECK(operation != NULL);
    for (uint32_t i = 0; i < REPLICA_ANNOUNCED_MAX; i++) {
        if (r->announced[i].bytes == NULL) continue;
        enum system_error error = admin_op_decode(operation, r->announced[i].bytes->bytes, r->announced[i].bytes->count, NULL);
        bool good = error == SYSTEM_OK && operation->kind == ADMIN_OP_CONFIG && admin_config_judge(r, operation, &error) == ADMIN_CODE_WAITS;
        memcpy(r->announced[i].hash, operation->hash, sizeof r->announced[i].hash);
        if (good) observers_begin(r, operation);
        else announced_forget(r, i);
    }
    free(operation);
}
