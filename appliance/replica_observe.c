/*
 * Observers before they are members (S-81): a CONFIG that the administrators signed, and that nobody is to decide yet, names cards; whoever holds the
 * keys of its new members is let in as an observer, hears what members send to all, and takes blocks and checkpoints, so that it has caught up when
 * it counts for quorums.
 *
 * Who may look is what k administrators vouch for by the CONFIG itself; no more observers come of it than a CONFIG may bring members, one such CONFIG
 * is kept, and it ends with the epoch. An observer is no one's peer in consensus: nothing that it sends is believed or counted.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/replica_private.h"
#include "protocol/admin_op.h"

enum { CHANGES_MAX = 4, CHANGES_WINDOW_MS = 60000 };

static size_t announced_key(uint8_t key[WAL_KEY_BYTES_MAX]) {
    replica_announced_key(key);
    return wal_key_bytes(WAL_MISC);
}

void replica_announced_key(uint8_t key[WAL_KEY_BYTES_MAX]) {
    (void)wal_key_misc(key, "announced");
}

/* Those that an earlier one let in, and this one (or NULL) does not name. */
static void observers_end(struct replica *r, const struct admin_op *operation) {
    for (uint32_t i = 0; i < OBSERVERS_MAX; i++) {
        struct observer *observer = &r->observers[i];
        bool named = false;
        for (uint32_t k = 0; operation != NULL && k < operation->nodes_count; k++)
            named = named || memcmp(operation->nodes[k].noise_key, observer->noise_key, 32) == 0;
        if (observer->announced && !named) epoch_observer_drop(r, i);
    }
}

static void observers_begin(struct replica *r, const struct admin_op *operation) {
    observers_end(r, operation);
    for (uint32_t i = 0; i < operation->nodes_count; i++) epoch_observer_add(r, operation->nodes[i].noise_key, operation->nodes[i].name, true);
}

static void announced_forget(struct replica *r) {
    uint8_t key[WAL_KEY_BYTES_MAX];
    if (r->announced == NULL) return;
    blob_drop(r->announced);
    r->announced = NULL;
    size_t bytes = announced_key(key);
    persist_delete(r, WAL_MISC, key, bytes);
}

/* Each costs a write to the disk and links, and ends what is under way of those that the one before let in: whoever has two that the administrators
 * signed may not go from one to the other for ever. */
static bool change_allowed(struct replica *r) {
    struct question_rate *rate = &r->announced_rate;
    if (r->now_ms - rate->window_ms >= CHANGES_WINDOW_MS) *rate = (struct question_rate){.window_ms = r->now_ms};
    if (rate->count >= CHANGES_MAX) return false;
    rate->count++;
    return true;
}

enum admin_code observe_take(struct replica *r, struct blob_piece bytes, enum system_error *error) {
    struct admin_op *operation = malloc(sizeof *operation);
    CHECK(operation != NULL);
    enum admin_code code = ADMIN_CODE_INVALID;
    *error = admin_op_decode(operation, blob_piece_bytes(&bytes), bytes.count, NULL);
    if (*error == SYSTEM_OK && operation->kind != ADMIN_OP_CONFIG) *error = SYSTEM_FIELD_RANGE;
    if (*error == SYSTEM_OK) code = admin_config_judge(r, operation, error);
    bool known = r->announced != NULL && memcmp(operation->hash, r->announced_hash, 32) == 0; /* whoever signed it now */
    if (code == ADMIN_CODE_WAITS && !known && !change_allowed(r)) code = ADMIN_CODE_BUSY;
    if (code == ADMIN_CODE_WAITS && !known) {
        uint8_t key[WAL_KEY_BYTES_MAX];
        size_t key_bytes = announced_key(key);
        blob_drop(r->announced);
        memcpy(r->announced_hash, operation->hash, 32);
        r->announced = blob_copy(blob_piece_bytes(&bytes), bytes.count);
        persist_put_blob(r, WAL_MISC, key, key_bytes, blob_hold(r->announced));
        observers_begin(r, operation);
        replica_note(r, LOG_LEVEL_INFO, "observers_admitted", "serial=%llu nodes=%u", (unsigned long long)operation->serial, operation->nodes_count);
    }
    free(operation);
    return code;
}

void observe_epoch(struct replica *r) {
    observers_end(r, NULL);
    announced_forget(r);
    r->announced_rate = (struct question_rate){.window_ms = r->now_ms};
}

void replica_restore_announced(struct replica *r, const uint8_t *bytes, size_t count) {
    blob_drop(r->announced);
    r->announced = blob_copy(bytes, count);
}

void observe_start(struct replica *r) {
    if (r->announced == NULL) return;
    struct admin_op *operation = malloc(sizeof *operation);
    CHECK(operation != NULL);
    enum system_error error = admin_op_decode(operation, r->announced->bytes, r->announced->count, NULL);
    bool good = error == SYSTEM_OK && operation->kind == ADMIN_OP_CONFIG && admin_config_judge(r, operation, &error) == ADMIN_CODE_WAITS;
    memcpy(r->announced_hash, operation->hash, 32);
    if (good) observers_begin(r, operation);
    else announced_forget(r);
    free(operation);
}
