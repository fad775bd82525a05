/*
 * The write-ahead store of a simulated machine, in the place of store/wal.c: the contract of wal.h without a file.
 *
 * A commit takes all batches that wait when it begins; what was not committed when power fails is lost, but for as many of the oldest batches as the
 * world says had reached the disk without anybody being told. Batches are never torn: that is what LMDB's transactions give, and tests/system
 * power-loss tests and tests/store try it on the real store. A flipped bit makes a record one whose checksum does not fit.
 */
#include "tests/sim/sys.h"

enum { BUCKETS_FIRST = 1024 };

static uint64_t record_hash(enum wal_db db, const uint8_t *key) {
    return keyed_siphash(17, (uint64_t)db, key, wal_key_bytes(db));
}

void sys_disk_init(struct sys_world *world, struct wal *wal) {
    *wal = (struct wal){.world = world, .bucket_count = BUCKETS_FIRST, .latency_us = 300};
    wal->buckets = calloc(BUCKETS_FIRST, sizeof *wal->buckets);
    CHECK(wal->buckets != NULL);
}

static void record_free(struct wal *wal, struct sys_record *record) {
    wal->records--;
    wal->bytes -= record->count;
    free(record->bytes);
    free(record);
}

void sys_disk_clear(struct wal *wal) {
    for (uint32_t i = 0; i < wal->bucket_count; i++) {
        while (wal->buckets[i] != NULL) {
            struct sys_record *record = wal->buckets[i];
            wal->buckets[i] = record->next;
            record_free(wal, record);
        }
    }
    wal->memory_version++;
}

void sys_disk_free(struct wal *wal) {
    sys_disk_clear(wal);
    free(wal->buckets);
    free(wal->flying);
}

static struct sys_record **record_place(const struct wal *wal, enum wal_db db, const uint8_t *key, uint64_t hash) {
    struct sys_record **at = &wal->buckets[hash & (wal->bucket_count - 1)];
    while (*at != NULL && ((*at)->hash != hash || (*at)->db != db || memcmp((*at)->key, key, wal_key_bytes(db)) != 0)) at = &(*at)->next;
    return at;
}

const struct sys_record *sys_disk_find(const struct wal *wal, enum wal_db db, const uint8_t *key) {
    return *record_place(wal, db, key, record_hash(db, key));
}

static void grow(struct wal *wal) {
    uint32_t count = wal->bucket_count * 2;
    struct sys_record **buckets = calloc(count, sizeof *buckets);
    CHECK(buckets != NULL);
    for (uint32_t i = 0; i < wal->bucket_count; i++) {
        while (wal->buckets[i] != NULL) {
            struct sys_record *record = wal->buckets[i];
            wal->buckets[i] = record->next;
            record->next = buckets[record->hash & (count - 1)];
            buckets[record->hash & (count - 1)] = record;
        }
    }
    free(wal->buckets);
    wal->buckets = buckets;
    wal->bucket_count = count;
}

/* Room for `count` bytes under a key; what was there is gone. */
static struct sys_record *record_make(struct wal *wal, enum wal_db db, const uint8_t *key, size_t count) {
    uint64_t hash = record_hash(db, key);
    struct sys_record **place = record_place(wal, db, key, hash), *record = *place;
    if (record == NULL) {
        if (wal->records >= 2 * (uint64_t)wal->bucket_count) {
            grow(wal);
            place = record_place(wal, db, key, hash);
        }
        record = calloc(1, sizeof *record);
        CHECK(record != NULL);
        record->db = (uint8_t)db;
        record->hash = hash;
        memcpy(record->key, key, wal_key_bytes(db));
        *place = record;
        wal->records++;
    }
    if (record->bytes == NULL || record->count != count) {
        free(record->bytes);
        record->bytes = malloc(count + 1);
        CHECK(record->bytes != NULL);
    }
    wal->bytes += count - record->count;
    record->count = count;
    record->damaged = false;
    return record;
}

void sys_disk_put(struct wal *wal, const struct wal_record *from) {
    size_t count = 0, at = 0;
    for (uint32_t i = 0; i < from->part_count; i++) count += from->parts[i].iov_len;
    struct sys_record *record = record_make(wal, from->db, from->key, count);
    for (uint32_t i = 0; i < from->part_count; i++) {
        if (from->parts[i].iov_len > 0) memcpy(record->bytes + at, from->parts[i].iov_base, from->parts[i].iov_len);
        at += from->parts[i].iov_len;
    }
    if (from->db == WAL_VOTES && from->key[0] == WAL_VOTE_CORE) wal->memory_version++;
}

static void delete_range(struct wal *wal, const struct wal_record *range) {
    size_t bytes = wal_key_bytes(range->db);
    for (uint32_t i = 0; i < wal->bucket_count; i++) {
        for (struct sys_record **at = &wal->buckets[i]; *at != NULL;) {
            struct sys_record *record = *at;
            bool hit = record->db == range->db && memcmp(record->key, range->key, bytes) >= 0 && memcmp(record->key, range->key_end, bytes) < 0;
            if (!hit) {
                at = &record->next;
                continue;
            }
            *at = record->next;
            record_free(wal, record);
        }
    }
}

static void apply(struct wal *wal, const struct wal_batch *batch) {
    for (uint32_t i = 0; i < batch->record_count; i++) {
        const struct wal_record *record = &batch->records[i];
        if (record->operation == WAL_PUT) sys_disk_put(wal, record);
        if (record->operation == WAL_DELETE_RANGE) delete_range(wal, record);
        if (record->operation != WAL_DELETE) continue;
        struct sys_record **place = record_place(wal, record->db, record->key, record_hash(record->db, record->key)), *old = *place;
        if (old == NULL) continue;
        *place = old->next;
        record_free(wal, old);
    }
}

/* ---- time ---- */

void sys_disk_begin(struct sys_world *world, uint32_t node) {
    struct wal *wal = &world->nodes[node].wal;
    if (wal->committing > 0 || wal->flying_count == 0) return;
    wal->committing = wal->flying_count;
    uint64_t from = wal->stalled_until_us > world->now_us ? wal->stalled_until_us : world->now_us;
    sys_schedule(world, (struct sys_event){.at_us = from + wal->latency_us + sys_random(world, wal->latency_us),
                                           .kind = SYS_DISK,
                                           .to = (uint8_t)node,
                                           .generation = world->nodes[node].generation});
}

void sys_disk_submit(struct sys_world *world, uint32_t node, uint64_t sequence, const struct wal_batch *batch) {
    struct wal *wal = &world->nodes[node].wal;
    if (wal->flying_count == wal->flying_room) {
        uint32_t room = wal->flying_room == 0 ? 64 : wal->flying_room * 2;
        struct sys_flight *grown = malloc(room * sizeof *grown);
        CHECK(grown != NULL);
        for (uint32_t i = 0; i < wal->flying_count; i++) grown[i] = wal->flying[(wal->flying_first + i) % wal->flying_room];
        free(wal->flying);
        wal->flying = grown;
        wal->flying_first = 0;
        wal->flying_room = room;
    }
    wal->flying[(wal->flying_first + wal->flying_count++) % wal->flying_room] = (struct sys_flight){.sequence = sequence, .batch = *batch};
    sys_disk_begin(world, node);
}

static uint64_t take(struct wal *wal, uint32_t count) {
    uint64_t sequence = 0;
    for (; count > 0 && wal->flying_count > 0; count--) {
        struct sys_flight *flight = &wal->flying[wal->flying_first];
        apply(wal, &flight->batch);
        sequence = flight->sequence;
        wal->flying_first = (wal->flying_first + 1) % wal->flying_room;
        wal->flying_count--;
    }
    return sequence;
}

uint64_t sys_disk_commit(struct sys_world *world, uint32_t node) {
    struct wal *wal = &world->nodes[node].wal;
    uint64_t sequence;
    if (world->config.plant == SYS_CHECK_DURABLE && sys_chance(world, 100000)) { /* a disk that says it has written what it has not */
        sequence = wal->flying[(wal->flying_first + wal->committing - 1) % wal->flying_room].sequence;
        wal->flying_first = (wal->flying_first + wal->committing) % wal->flying_room;
        wal->flying_count -= wal->committing;
    } else {
        sequence = take(wal, wal->committing);
    }
    wal->committing = 0;
    return sequence;
}

void sys_disk_crash(struct wal *wal, uint32_t kept) {
    (void)take(wal, kept);
    wal->flying_count = wal->flying_first = wal->committing = 0;
}

/* ---- faults ---- */

bool sys_disk_damage(struct sys_world *world, struct wal *wal) {
    if (wal->records == 0) return false;
    uint64_t skip = sys_random(world, wal->records);
    for (uint32_t i = 0; i < wal->bucket_count; i++) {
        for (struct sys_record *record = wal->buckets[i]; record != NULL; record = record->next) {
            if (skip-- > 0) continue;
            record->damaged = true;
            return true;
        }
    }
    return false;
}

void sys_disk_copy(struct wal *to, const struct wal *from) {
    sys_disk_clear(to);
    for (uint32_t i = 0; i < from->bucket_count; i++) {
        for (const struct sys_record *record = from->buckets[i]; record != NULL; record = record->next) {
            struct sys_record *copy = record_make(to, (enum wal_db)record->db, record->key, record->count);
            if (record->count > 0) memcpy(copy->bytes, record->bytes, record->count);
            copy->damaged = record->damaged;
        }
    }
}

/* ---- wal.h ---- */

struct wal_reader {
    const struct wal *wal;
    const struct sys_record **sorted[WAL_DB_COUNT]; /* by key; made when asked for */
    size_t sorted_count[WAL_DB_COUNT];
};

enum store_status wal_reader_open(struct wal *wal, struct wal_reader **reader) {
    *reader = calloc(1, sizeof **reader);
    CHECK(*reader != NULL);
    (*reader)->wal = wal;
    return STORE_OK;
}

void wal_reader_close(struct wal_reader *reader) {
    for (int db = 0; db < WAL_DB_COUNT; db++) free((void *)(uintptr_t)reader->sorted[db]);
    free(reader);
}

static enum store_status record_give(const struct sys_record *record, void *value, size_t room, size_t *bytes) {
    if (record == NULL) return STORE_ABSENT;
    *bytes = record->count;
    if (record->count > room) return STORE_TOO_LONG;
    if (record->damaged) return STORE_DAMAGED;
    if (record->count > 0) memcpy(value, record->bytes, record->count);
    return STORE_OK;
}

enum store_status wal_read(struct wal_reader *reader, enum wal_db db, const uint8_t *key, void *value, size_t room, size_t *bytes) {
    return record_give(sys_disk_find(reader->wal, db, key), value, room, bytes);
}

enum store_status wal_get(struct wal *wal, enum wal_db db, const uint8_t *key, void *value, size_t room, size_t *bytes) {
    return record_give(sys_disk_find(wal, db, key), value, room, bytes);
}

static int record_compare(const void *a, const void *b) {
    const struct sys_record *const *left = a, *const *right = b;
    return memcmp((*left)->key, (*right)->key, WAL_KEY_BYTES_MAX);
}

static void sort(struct wal_reader *reader, enum wal_db db) {
    const struct sys_record **sorted = malloc((reader->wal->records + 1) * sizeof *sorted);
    size_t count = 0;
    CHECK(sorted != NULL);
    for (uint32_t i = 0; i < reader->wal->bucket_count; i++) {
        for (const struct sys_record *record = reader->wal->buckets[i]; record != NULL; record = record->next) {
            if (record->db == db) sorted[count++] = record;
        }
    }
    qsort(sorted, count, sizeof *sorted, record_compare);
    reader->sorted[db] = sorted;
    reader->sorted_count[db] = count;
}

/* How many keys are below this one, or, with `after`, not above it. */
static size_t keys_below(struct wal_reader *reader, enum wal_db db, const uint8_t *key, bool after) {
    if (reader->sorted[db] == NULL) sort(reader, db);
    size_t low = 0, high = reader->sorted_count[db];
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(reader->sorted[db][middle]->key, key, wal_key_bytes(db));
        if (order < 0 || (order == 0 && after))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum store_status wal_read_next(struct wal_reader *reader, enum wal_db db, uint8_t key[WAL_KEY_BYTES_MAX], bool after) {
    size_t at = keys_below(reader, db, key, after);
    if (at == reader->sorted_count[db]) return STORE_ABSENT;
    memcpy(key, reader->sorted[db][at]->key, wal_key_bytes(db));
    return STORE_OK;
}

enum store_status wal_read_last(struct wal_reader *reader, enum wal_db db, uint8_t key[WAL_KEY_BYTES_MAX]) {
    size_t at = keys_below(reader, db, key, true);
    if (at == 0) return STORE_ABSENT;
    memcpy(key, reader->sorted[db][at - 1]->key, wal_key_bytes(db));
    return STORE_OK;
}
