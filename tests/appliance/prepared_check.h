/* What a replica prepared (REPLICA_PREPARE) and has neither put nor forgotten, and that it keeps to what it said: tickets ascend from 1, a record
 * with a ticket has the key and the bytes that were prepared under it, and each is put or forgotten once. */
#ifndef TESTS_APPLIANCE_PREPARED_CHECK_H
#define TESTS_APPLIANCE_PREPARED_CHECK_H

#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica.h"
#include "merkle/check.h"
#include "merkle/sha256.h"

struct prepared_entry {
    uint64_t ticket;
    enum wal_db db;
    uint8_t key[WAL_KEY_BYTES_MAX], hash[32];
};

/* All zero: a replica that begins. */
struct prepared_check {
    struct prepared_entry *entries;
    size_t count, room;
    uint64_t newest;
};

static inline void prepared_add(struct prepared_check *check, const struct replica_output *output) {
    CHECK(output->cookie == ++check->newest);
    if (check->count == check->room) {
        check->room = check->room == 0 ? 8 : check->room * 2;
        check->entries = realloc(check->entries, check->room * sizeof *check->entries);
        CHECK(check->entries != NULL);
    }
    struct prepared_entry *entry = &check->entries[check->count++];
    *entry = (struct prepared_entry){.ticket = output->cookie, .db = output->db};
    memcpy(entry->key, output->key, 32);
    struct sha256_state hash;
    sha256_init(&hash);
    for (unsigned i = 0; i < output->piece_count; i++) sha256_update(&hash, blob_piece_bytes(&output->pieces[i]), output->pieces[i].count);
    sha256_final(&hash, entry->hash);
}

static inline struct prepared_entry prepared_take(struct prepared_check *check, uint64_t ticket) {
    size_t at = 0;
    while (at < check->count && check->entries[at].ticket != ticket) at++;
    CHECK(at < check->count);
    struct prepared_entry entry = check->entries[at];
    check->entries[at] = check->entries[--check->count];
    return entry;
}

static inline void prepared_put(struct prepared_check *check, const struct wal_batch *batch) {
    for (uint32_t r = 0; r < batch->record_count; r++) {
        const struct wal_record *record = &batch->records[r];
        if (record->ticket == 0) continue;
        struct prepared_entry entry = prepared_take(check, record->ticket);
        CHECK(record->operation == WAL_PUT && record->db == entry.db && memcmp(record->key, entry.key, 32) == 0);
        struct sha256_state hash;
        uint8_t digest[32];
        sha256_init(&hash);
        for (uint32_t i = 0; i < record->part_count; i++) sha256_update(&hash, record->parts[i].iov_base, record->parts[i].iov_len);
        sha256_final(&hash, digest);
        CHECK(memcmp(digest, entry.hash, 32) == 0);
    }
}

/* The replica is gone. */
static inline void prepared_end(struct prepared_check *check) {
    free(check->entries);
    *check = (struct prepared_check){0};
}

#endif
