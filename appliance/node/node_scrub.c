/*
 * The thread that reads both stores again, as slowly as the configuration says, and tells the loop what is not as it was written. It never writes.
 *
 *   wal     record after record, a few at a time, each time through a reader of its own (a long one would keep freed pages from being used again).
 *           Every chunk's checksum is computed again; a block's header and body also give the id that their key states.
 *   state   the newest checkpoint as a whole, through one reader: every checksum, every leaf hash, and at the end the root, which must be the one
 *           that the checkpoint states and that was compared with the certified one when it was made. At the configured rate as long as it is the
 *           newest: its reader then keeps nothing that could be used again. Once there is a newer one it is in a hurry, at most a fifth of a CPU, and
 *           there is a pause afterwards, so that on the average it is the configured rate.
 *
 * A small store has as long for a round as one of a certain size (scrub_pace.h).
 *
 * A page that the disk cannot give ends the process with one line (store.h).
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "appliance/base/scrub_pace.h"
#include "appliance/node/node.h"
#include "bft/wire.h"
#include "merkle/check.h"
#include "merkle/trie.h"
#include "ring/clock.h"

enum {
    STEP_MS = 500,
    PASS_SHARE = 5,       /* one in so many of the time of a CPU, while a pass over the checkpoint is in a hurry */
    PASS_STEP_US = 4000,
    PASS_CHECK = 64,      /* entries between two looks at the clock */
    PASS_PAUSE_MS = 2000, /* between two passes at least */
    FINDINGS_MAX = 16,    /* what does not fit is found again in the next round */
    RECORD_UNIT_BYTES = 4096, /* a record counts once more for each of these */
};

enum where { WHERE_RECORD, WHERE_TREE, WHERE_STATE };

struct finding {
    enum where where;
    enum wal_db db;
    uint8_t key[WAL_KEY_BYTES_MAX];
    const char *what;
};

struct node_scrub {
    struct node *node;
    pthread_t thread;
    int ending; /* eventfd */
    pthread_mutex_t lock;
    struct finding findings[FINDINGS_MAX]; /* under the lock */
    uint32_t finding_count;
    atomic_bool found;
    atomic_uint_fast64_t wal_records, wal_rounds, state_records, state_rounds; /* written by the thread */
    /* the thread's: */
    enum wal_db db;
    uint8_t key[WAL_KEY_BYTES_MAX];
    bool after; /* the record at `key` was read */
    uint8_t *value;
    size_t room;
    uint64_t wal_ms, wal_units; /* so far it was read; what a whole round takes */
    struct state_reader *pass; /* NULL: between two */
    struct trie_stream *stream;
    uint64_t pass_ms, pass_entries, pass_size, next_pass_ms;
};

static void report(struct node_scrub *scrub, const struct finding *finding) {
    pthread_mutex_lock(&scrub->lock);
    if (scrub->finding_count < FINDINGS_MAX) scrub->findings[scrub->finding_count++] = *finding;
    pthread_mutex_unlock(&scrub->lock);
    atomic_store(&scrub->found, true);
    void (*loop_wake)(struct node *) = scrub->node->wake;
    if (loop_wake != NULL) loop_wake(scrub->node);
}

/* ---- the write-ahead store ---- */

static enum store_status value_read(struct node_scrub *scrub, struct wal_reader *reader, enum wal_db db, const uint8_t *key, size_t *count) {
    enum store_status status = wal_read(reader, db, key, scrub->value, scrub->room, count);
    if (status != STORE_TOO_LONG) return status;
    free(scrub->value);
    scrub->room = *count;
    scrub->value = malloc(scrub->room);
    CHECK(scrub->value != NULL);
    return wal_read(reader, db, key, scrub->value, scrub->room, count);
}

/* The header under the key gives the id in it; `header` is filled in. */
static bool header_is_good(const uint8_t *bytes, size_t count, const uint8_t *id, struct bft_header *header) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes, count);
    if (!bft_header_get(&cursor, header) || !bytes_finished(&cursor)) return false;
    struct bft_hash hash = bft_header_id(header);
    return memcmp(hash.bytes, id, sizeof hash.bytes) == 0;
}

/* A body is looked at beside its header, and is none of our business while that is not there. */
static bool body_is_good(struct node_scrub *scrub, struct wal_reader *reader, const uint8_t *body_key, size_t count) {
    struct bft_hash hash = bft_body_hash(scrub->value, count);
    uint8_t key[WAL_KEY_BYTES_MAX];
    size_t header_bytes = 0;
    struct bft_header header;
    memcpy(key, body_key, sizeof key);
    key[wal_key_bytes(WAL_BLOCKS) - 1] = WAL_PART_HEADER;
    if (value_read(scrub, reader, WAL_BLOCKS, key, &header_bytes) != STORE_OK) return true;
    struct bytes_cursor cursor = bytes_cursor_of(scrub->value, header_bytes);
    return !bft_header_get(&cursor, &header) || memcmp(header.body_hash.bytes, hash.bytes, sizeof hash.bytes) == 0;
}

static bool block_is_good(struct node_scrub *scrub, struct wal_reader *reader, const uint8_t *key, size_t count) {
    uint64_t epoch, height;
    const uint8_t *id;
    uint8_t part;
    struct bft_header header;
    wal_key_block_read(key, &epoch, &height, &id, &part);
    if (part == WAL_PART_HEADER) return header_is_good(scrub->value, count, id, &header);
    if (part == WAL_PART_BODY) return body_is_good(scrub, reader, key, count);
    return true;
}

/* The next record. False: the tree led nowhere, and this is told. */
static bool record_scrub(struct node_scrub *scrub, struct wal_reader *reader, uint64_t *cost) {
    enum store_status status = wal_read_next(reader, scrub->db, scrub->key, scrub->after);
    *cost = 1;
    if (status == STORE_ABSENT) {
        scrub->after = false;
        memset(scrub->key, 0, sizeof scrub->key);
        scrub->db = (enum wal_db)((scrub->db + 1) % WAL_DB_COUNT);
        if (scrub->db == 0) atomic_fetch_add(&scrub->wal_rounds, 1);
        return true;
    }
    struct finding finding = {.where = WHERE_TREE, .db = scrub->db, .what = "its tree"};
    if (status == STORE_OK) {
        size_t count = 0;
        scrub->after = true;
        status = value_read(scrub, reader, scrub->db, scrub->key, &count);
        bool good = status == STORE_OK && (scrub->db != WAL_BLOCKS || block_is_good(scrub, reader, scrub->key, count));
        atomic_fetch_add(&scrub->wal_records, 1);
        *cost += count / RECORD_UNIT_BYTES;
        if (good) return true;
        finding.where = WHERE_RECORD;
        memcpy(finding.key, scrub->key, sizeof finding.key);
        report(scrub, &finding);
        return true;
    }
    report(scrub, &finding);
    return false;
}

/* What a whole round takes now; as before where no reader is to be had. */
static uint64_t wal_units(const struct node_scrub *scrub) {
    struct wal_reader *reader;
    if (wal_reader_open_behind(scrub->node->wal, &reader) != STORE_OK) return scrub->wal_units;
    uint64_t units = wal_reader_units(reader);
    wal_reader_close(reader);
    return units;
}

/* False: there is no use in going on. */
static bool wal_scrub(struct node_scrub *scrub, uint64_t records) {
    struct wal_reader *reader;
    if (wal_reader_open_behind(scrub->node->wal, &reader) != STORE_OK) return true; /* no memory for it now */
    bool good = true;
    while (good && records > 0) {
        uint64_t cost;
        good = record_scrub(scrub, reader, &cost);
        records -= cost < records ? cost : records;
        if (scrub->db == 0 && !scrub->after) break; /* a round is over: a small store is not read twice in a step */
    }
    wal_reader_close(reader);
    return good;
}

/* ---- the checkpoint ---- */

static void pass_end(struct node_scrub *scrub, uint64_t now_ms) {
    state_reader_close(scrub->pass);
    scrub->pass = NULL;
    uint64_t least = scrub->pass_entries > SCRUB_ROUND_RECORDS_MIN ? scrub->pass_entries : SCRUB_ROUND_RECORDS_MIN;
    uint64_t due = least * 1000 / scrub->node->config.scrub_records_s;
    scrub->next_pass_ms = scrub->pass_ms + due;
    if (scrub->next_pass_ms < now_ms + PASS_PAUSE_MS) scrub->next_pass_ms = now_ms + PASS_PAUSE_MS;
}

static void state_bad(struct node_scrub *scrub, const char *what) {
    report(scrub, &(struct finding){.where = WHERE_STATE, .what = what});
    pass_end(scrub, ring_clock_ms());
}

static bool entry_take(struct node_scrub *scrub, const struct table_entry *entry, const uint8_t path[32]) {
    struct trie_value value = {.version_height = entry->version.height, .version_index = entry->version.index};
    uint8_t leaf[32], is[32];
    trie_path((enum trie_space)entry->space, entry->key, entry->key_bytes, is);
    trie_value_hash(entry->value, entry->value_bytes, value.value_hash);
    trie_leaf_hash((enum trie_space)entry->space, entry->key, entry->key_bytes, &value, leaf);
    return memcmp(is, path, sizeof is) == 0 && trie_stream_add(scrub->stream, path, leaf);
}

static bool blobs_are_good(struct node_scrub *scrub) {
    static const char *const names[] = {EXECUTOR_WORK_BLOB, "tip", "child", "queues", "chain"};
    bool good = true;
    for (size_t i = 0; good && i < sizeof names / sizeof names[0]; i++) {
        size_t count = 0;
        enum store_status status = state_read_blob(scrub->pass, names[i], NULL, 0, &count);
        if (status == STORE_ABSENT) continue;
        uint8_t *bytes = malloc(count + 1);
        CHECK(bytes != NULL);
        if (status == STORE_TOO_LONG) status = state_read_blob(scrub->pass, names[i], bytes, count, &count);
        good = status == STORE_OK;
        free(bytes);
    }
    return good;
}

static void pass_finish(struct node_scrub *scrub) {
    uint8_t root[32];
    trie_stream_root(scrub->stream, root);
    if (memcmp(root, state_reader_checkpoint(scrub->pass)->state_root, sizeof root) != 0) {
        state_bad(scrub, "its entries do not give its state root");
    } else if (!blobs_are_good(scrub)) {
        state_bad(scrub, "the bytes behind its hashes");
    } else {
        atomic_fetch_add(&scrub->state_rounds, 1);
        pass_end(scrub, ring_clock_ms());
    }
}

/* A newer checkpoint is there: what this one's reader keeps cannot be written again until the pass is over. */
static bool pass_hurries(const struct node_scrub *scrub) {
    struct state_figures figures;
    state_figures(scrub->node->state, &figures);
    return figures.height > state_reader_checkpoint(scrub->pass)->height;
}

/* So many entries should have been read by now. */
static uint64_t pass_due(const struct node_scrub *scrub, uint64_t now_ms) {
    if (pass_hurries(scrub)) return UINT64_MAX;
    return scrub_pace_due(scrub->node->config.scrub_records_s, scrub->pass_size, now_ms - scrub->pass_ms);
}

static void pass_step(struct node_scrub *scrub, uint64_t now_ms) {
    uint64_t until = ring_clock_us() + PASS_STEP_US, due = pass_due(scrub, now_ms);
    do {
        for (unsigned i = 0; i < PASS_CHECK; i++) {
            if (scrub->pass_entries >= due) return;
            struct table_entry entry;
            uint8_t path[STATE_PATH_BYTES];
            enum store_status status = state_read_entry(scrub->pass, &entry, path);
            if (status == STORE_ABSENT) {
                pass_finish(scrub);
                return;
            }
            if (status != STORE_OK || !entry_take(scrub, &entry, path)) {
                state_bad(scrub, "an entry");
                return;
            }
            scrub->pass_entries++;
            atomic_fetch_add_explicit(&scrub->state_records, 1, memory_order_relaxed);
        }
    } while (ring_clock_us() < until);
}

static void pass_begin(struct node_scrub *scrub, uint64_t now_ms) {
    scrub->pass_ms = now_ms;
    scrub->pass_entries = 0;
    enum store_status status = state_reader_open(scrub->node->state, &scrub->pass);
    if (status == STORE_OK) {
        trie_stream_init(scrub->stream);
        scrub->pass_size = state_reader_checkpoint(scrub->pass)->entries;
        return;
    }
    scrub->pass = NULL;
    scrub->next_pass_ms = now_ms + PASS_PAUSE_MS;
    if (status == STORE_DAMAGED) report(scrub, &(struct finding){.where = WHERE_STATE, .what = "its description"});
}

/* ---- the thread ---- */

/* Until when it may sleep. */
static int sleep_ms(const struct node_scrub *scrub) {
    return scrub->pass != NULL && pass_hurries(scrub) ? PASS_STEP_US * (PASS_SHARE - 1) / 1000 : STEP_MS;
}

static void *scrub_main(void *context) {
    struct node_scrub *scrub = context;
    struct pollfd polled = {.fd = scrub->ending, .events = POLLIN};
    uint64_t rate = scrub->node->config.scrub_records_s;
    bool wal_good = true;
    pthread_setname_np(pthread_self(), "scrub");
    scrub->wal_ms = ring_clock_ms();
    scrub->next_pass_ms = scrub->wal_ms + PASS_PAUSE_MS;
    while (poll(&polled, 1, sleep_ms(scrub)) <= 0) {
        uint64_t now = ring_clock_ms();
        scrub->wal_units = wal_units(scrub);
        uint64_t records = scrub_pace_due(rate, scrub->wal_units, now - scrub->wal_ms);
        if (records > 0 && now - scrub->wal_ms >= STEP_MS) {
            scrub->wal_ms = now;
            wal_good = wal_good && wal_scrub(scrub, records < rate ? records : rate);
        }
        if (scrub->pass != NULL)
            pass_step(scrub, now);
        else if (now >= scrub->next_pass_ms)
            pass_begin(scrub, now);
    }
    return NULL;
}

bool node_scrub_start(struct node *node) {
    if (node->config.scrub_records_s == 0) return true;
    struct node_scrub *scrub = calloc(1, sizeof *scrub);
    if (scrub == NULL) return false;
    scrub->node = node;
    pthread_mutex_init(&scrub->lock, NULL);
    scrub->stream = malloc(sizeof *scrub->stream);
    scrub->ending = eventfd(0, EFD_CLOEXEC);
    if (scrub->stream != NULL && scrub->ending >= 0 && pthread_create(&scrub->thread, NULL, scrub_main, scrub) == 0) {
        node->scrub = scrub;
        return true;
    }
    if (scrub->ending >= 0) close(scrub->ending);
    pthread_mutex_destroy(&scrub->lock);
    free(scrub->stream);
    free(scrub);
    return false;
}

void node_scrub_stop(struct node *node) {
    struct node_scrub *scrub = node->scrub;
    uint64_t one = 1;
    if (scrub == NULL) return;
    ssize_t wrote = write(scrub->ending, &one, sizeof one);
    (void)wrote; /* an eventfd takes it */
    pthread_join(scrub->thread, NULL);
    state_reader_close(scrub->pass);
    close(scrub->ending);
    pthread_mutex_destroy(&scrub->lock);
    free(scrub->stream);
    free(scrub->value);
    free(scrub);
    node->scrub = NULL;
}

void node_scrub_poll(struct node *node) {
    struct node_scrub *scrub = node->scrub;
    if (scrub == NULL || !atomic_exchange(&scrub->found, false)) return;
    struct finding findings[FINDINGS_MAX];
    pthread_mutex_lock(&scrub->lock);
    uint32_t count = scrub->finding_count;
    memcpy(findings, scrub->findings, count * sizeof findings[0]);
    scrub->finding_count = 0;
    pthread_mutex_unlock(&scrub->lock);
    for (uint32_t i = 0; i < count; i++) {
        if (findings[i].where == WHERE_RECORD) replica_scrub_wal(node->replica, findings[i].db, findings[i].key);
        if (findings[i].where == WHERE_TREE) replica_scrub_wal_tree(node->replica, findings[i].what);
        if (findings[i].where == WHERE_STATE) replica_scrub_state(node->replica, findings[i].what);
    }
}

void node_scrub_figures(const struct node *node, struct node_scrub_figures *figures) {
    const struct node_scrub *scrub = node->scrub;
    *figures = (struct node_scrub_figures){0};
    if (scrub == NULL) return;
    figures->wal_records = atomic_load(&scrub->wal_records);
    figures->wal_rounds = atomic_load(&scrub->wal_rounds);
    figures->state_records = atomic_load(&scrub->state_records);
    figures->state_rounds = atomic_load(&scrub->state_rounds);
}
