/*
 * The journal beside a client's key: next numbers, and signed writes that are not settled. Private to this library.
 *
 *   offset 0   8 bytes `HRCJRNL1`, system_id (16), client_id (32)
 *   then records: u32 bytes of the payload, u8 type, payload, 8 bytes: the first of SHA-256(type, payload)
 *     1 NEXT     shard u32, next u64: numbers below it are taken
 *     2 SENT     a signed write batch; durable before it leaves
 *     3 SETTLED  shard u32, number u64: without effect
 *     4 DONE     shard u32, number u64, height u64, index u32 there: it took effect
 *
 * What the end of the file cuts short was never acted upon, since nothing leaves before its record is synced; it is dropped. A bad record with
 * an intact one behind it is damage: the file is refused, and removing it is safe (numbers.c asks the shards). Rewritten whole when it is opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/client.h"
#include "merkle/check.h"
#include "merkle/sha256.h"

enum {
    HEAD_BYTES = 56,
    RECORD_NEXT = 1,
    RECORD_SENT = 2,
    RECORD_SETTLED = 3,
    RECORD_DONE = 4,
    RECORD_EXTRA_BYTES = 13,
    PAIR_BYTES = 12, /* NEXT, SETTLED */
    BATCH_BYTES_EVER = 8 << 20, /* the highest that S-40 allows */
    BATCH_PARTS_EVER = 4096,
    BATCH_OPS_EVER = 262144,
    DONE_BYTES = 24,
    JOURNAL_BYTES_MAX = 1 << 30,
    REWRITE_BYTES = 16 << 20
};

static const char magic[8] = {'H', 'R', 'C', 'J', 'R', 'N', 'L', '1'};

static void checksum(uint8_t type, const uint8_t *payload, size_t count, uint8_t out[8]) {
    uint8_t hash[SHA256_BYTES];
    struct sha256_state state;
    sha256_init(&state);
    sha256_update(&state, &type, 1);
    sha256_update(&state, payload, count);
    sha256_final(&state, hash);
    memcpy(out, hash, 8);
}

static bool record_add(struct journal *journal, uint8_t type, const uint8_t *payload, size_t count) {
    uint8_t *at = client_buffer_space(&journal->pending, count + RECORD_EXTRA_BYTES);
    if (!at) return false;
    bytes_put_le32(at, (uint32_t)count);
    at[4] = type;
    memcpy(at + 5, payload, count);
    checksum(type, payload, count, at + 5 + count);
    return true;
}

static bool write_add(struct journal *journal, const uint8_t *bytes, size_t count, bool earlier) {
    if (journal->writes_count == journal->writes_room) {
        size_t room = journal->writes_room ? 2 * journal->writes_room : 16;
        struct journal_write *writes = realloc(journal->writes, room * sizeof *writes);
        if (!writes) return false;
        journal->writes = writes;
        journal->writes_room = room;
    }
    uint16_t parts = bytes_get_le16(bytes + 2);
    struct journal_write write = {.bytes = malloc(count), .bytes_count = count, .part_count = parts, .open = parts, .earlier = earlier};
    write.settled = calloc(parts, sizeof *write.settled);
    write.effects = calloc(parts, sizeof *write.effects);
    if (!write.bytes || !write.settled || !write.effects) {
        free(write.bytes);
        free(write.settled);
        free(write.effects);
        return false;
    }
    memcpy(write.bytes, bytes, count);
    journal->unordered = journal->unordered || earlier;
    journal->writes[journal->writes_count++] = write;
    return true;
}

bool client_journal_reopen(struct journal *journal, const struct journal_kept *kept) {
    if (!write_add(journal, kept->bytes, kept->bytes_count, true)) return false;
    struct journal_write *write = &journal->writes[journal->writes_count - 1];
    for (uint16_t k = 0; k < write->part_count; k++) {
        if (kept->settled[k] != JOURNAL_ENDED) continue;
        write->settled[k] = JOURNAL_ENDED;
        write->open--;
    }
    return true;
}

static void write_drop(struct journal *journal, size_t index) {
    struct journal_write *write = &journal->writes[index];
    bool done = false;
    for (uint16_t k = 0; k < write->part_count; k++) done |= write->settled[k] == JOURNAL_DONE;
    if (done && write->open == 0) {
        client_kept_add(journal, write);
    } else {
        free(write->bytes);
        free(write->settled);
        free(write->effects);
    }
    memmove(write, write + 1, (--journal->writes_count - index) * sizeof *write);
    if (journal->writes_count == 0) journal->unordered = false;
}

/* Marks (shard, number) settled in memory; true if it was known and open. */
static bool settle_in_memory(struct journal *journal, uint32_t shard, uint64_t number, uint64_t height, uint32_t index) {
    for (size_t i = 0; i < journal->writes_count; i++) {
        struct journal_write *write = &journal->writes[i];
        struct batch batch = {.kind = BATCH_WRITE, .bytes = write->bytes, .bytes_count = (uint32_t)write->bytes_count};
        struct batch_part part;
        size_t at = 0;
        for (uint16_t k = 0; batch_part_next(&batch, &at, &part); k++) {
            if (part.shard - SHARD_CLUSTER_BASE != shard || part.number != number || write->settled[k]) continue;
            write->settled[k] = height > 0 ? JOURNAL_DONE : JOURNAL_ENDED;
            write->effects[k] = (struct journal_effect){.height = height, .index = index};
            if (--write->open == 0) write_drop(journal, i);
            return true;
        }
    }
    return false;
}

static void next_raise(struct heraclius *db, uint32_t shard, uint64_t next) {
    struct numbering *numbering = &db->numbers[shard];
    if (!numbering->known || next > numbering->next) numbering->next = next;
    numbering->known = true;
}

/* One intact record of an earlier run; false: it says what cannot be. */
static bool record_replay(struct heraclius *db, uint8_t type, const uint8_t *payload, size_t count) {
    uint32_t shards = db->system->shards_count;
    if (type == RECORD_SENT) {
        struct batch_limits batch_limits = {shards, BATCH_BYTES_EVER, BATCH_PARTS_EVER, BATCH_OPS_EVER}; /* a successor's limits may be lower */
        struct batch batch;
        if (batch_decode(payload, count, &batch_limits, &batch) != BATCH_OK || batch.kind != BATCH_WRITE) return false;
        struct batch_part part;
        size_t at = 0;
        while (batch_part_next(&batch, &at, &part)) next_raise(db, part.shard - SHARD_CLUSTER_BASE, part.number + 1);
        return write_add(&db->journal, payload, count, true);
    }
    if (count != (type == RECORD_DONE ? DONE_BYTES : PAIR_BYTES) || bytes_get_le32(payload) >= shards) return false;
    uint32_t shard = bytes_get_le32(payload);
    uint64_t number = bytes_get_le64(payload + 4);
    if (type == RECORD_NEXT) next_raise(db, shard, number);
    else if (type == RECORD_SETTLED) (void)settle_in_memory(&db->journal, shard, number, 0, 0);
    else (void)settle_in_memory(&db->journal, shard, number, bytes_get_le64(payload + 12), bytes_get_le32(payload + 20));
    return true;
}

struct record {
    uint8_t type;
    const uint8_t *payload;
    uint32_t payload_bytes;
    size_t end;
};

/* Is there an intact record at this offset? */
static bool record_get(const uint8_t *bytes, size_t count, size_t at, struct record *record) {
    struct bytes_cursor cursor = bytes_cursor_of(bytes + at, count - at);
    record->payload_bytes = bytes_get_u32(&cursor);
    record->type = bytes_get_u8(&cursor);
    record->payload = bytes_get_raw(&cursor, record->payload_bytes);
    const uint8_t *sum = bytes_get_raw(&cursor, 8);
    if (cursor.failed || record->type < RECORD_NEXT || record->type > RECORD_DONE) return false;
    uint8_t expected[8];
    checksum(record->type, record->payload, record->payload_bytes, expected);
    record->end = count - cursor.left;
    return memcmp(sum, expected, sizeof expected) == 0;
}

/* Replays a whole file; false: damaged before its end. What no intact record follows was cut short by a crash, and never acted upon. */
static bool replay(struct heraclius *db, const uint8_t *bytes, size_t count) {
    struct record record;
    size_t at = HEAD_BYTES;
    for (; at < count && record_get(bytes, count, at, &record); at = record.end) {
        if (!record_replay(db, record.type, record.payload, record.payload_bytes)) return false;
    }
    for (at++; at < count; at++) {
        if (record_get(bytes, count, at, &record)) return false;
    }
    return true;
}

static void head_put(const struct heraclius *db, uint8_t out[HEAD_BYTES]) {
    memcpy(out, magic, sizeof magic);
    memcpy(out + 8, db->system->system_id, 16);
    memcpy(out + 24, db->key.card_id, 32);
}

static bool write_all(int fd, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(fd, bytes, count);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        bytes += written;
        count -= (size_t)written;
    }
    return true;
}

static bool pair_add(struct journal *journal, uint8_t type, uint32_t shard, uint64_t value) {
    uint8_t payload[PAIR_BYTES];
    bytes_put_le32(payload, shard);
    bytes_put_le64(payload + 4, value);
    return record_add(journal, type, payload, sizeof payload);
}

static bool settled_add(struct journal *journal, uint32_t shard, uint64_t number, uint64_t height, uint32_t index) {
    uint8_t payload[DONE_BYTES];
    if (height == 0) return pair_add(journal, RECORD_SETTLED, shard, number);
    bytes_put_le32(payload, shard);
    bytes_put_le64(payload + 4, number);
    bytes_put_le64(payload + 12, height);
    bytes_put_le32(payload + 20, index);
    return record_add(journal, RECORD_DONE, payload, sizeof payload);
}

/* A write that took effect: as it was sent, and all its parts settled. */
static bool kept_record_add(struct journal *journal, const struct journal_kept *kept) {
    struct batch batch = {.kind = BATCH_WRITE, .bytes = kept->bytes, .bytes_count = (uint32_t)kept->bytes_count};
    struct batch_part part;
    size_t at = 0;
    bool good = record_add(journal, RECORD_SENT, kept->bytes, kept->bytes_count);
    for (uint16_t k = 0; good && batch_part_next(&batch, &at, &part); k++) {
        good = settled_add(journal, part.shard - SHARD_CLUSTER_BASE, part.number, kept->effects[k].height, kept->effects[k].index);
    }
    return good;
}

/* Everything known, as fresh records. */
static bool snapshot(struct heraclius *db) {
    struct journal *journal = &db->journal;
    uint8_t *head = client_buffer_space(&journal->pending, HEAD_BYTES);
    if (!head) return false;
    head_put(db, head);
    for (uint32_t shard = 0; shard < db->system->shards_count; shard++) {
        if (db->numbers[shard].known && !client_journal_next(db, shard, db->numbers[shard].next)) return false;
    }
    for (size_t i = 0; i < journal->kept_count; i++) {
        if (!kept_record_add(journal, &journal->kept[i])) return false;
    }
    for (size_t i = 0; i < journal->writes_count; i++) {
        const struct journal_write *write = &journal->writes[i];
        if (!record_add(journal, RECORD_SENT, write->bytes, write->bytes_count)) return false;
        struct batch batch = {.kind = BATCH_WRITE, .bytes = write->bytes, .bytes_count = (uint32_t)write->bytes_count};
        struct batch_part part;
        size_t at = 0;
        for (uint16_t k = 0; batch_part_next(&batch, &at, &part); k++) {
            const struct journal_effect *effect = &write->effects[k];
            if (write->settled[k] == JOURNAL_OPEN) continue;
            if (!settled_add(journal, part.shard - SHARD_CLUSTER_BASE, part.number, effect->height, effect->index)) return false;
        }
    }
    return true;
}

static bool folder_sync(const char *path) {
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    int fd = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    bool good = fsync(fd) == 0;
    close(fd);
    return good;
}

static bool file_write(struct heraclius *db, int fd, const char *path) {
    struct journal *journal = &db->journal;
    return snapshot(db) && write_all(fd, journal->pending.bytes, journal->pending.used) && fdatasync(fd) == 0 && rename(path, journal->path) == 0 &&
           folder_sync(journal->path);
}

/* Writes a new file with all that is known and puts it in the old one's place. What was pending is known too. */
static bool rewrite(struct heraclius *db) {
    struct journal *journal = &db->journal;
    char temporary[4096];
    journal->broken = true;
    client_buffer_free(&journal->pending);
    journal->sync_wanted = false;
    if ((size_t)snprintf(temporary, sizeof temporary, "%s.new", journal->path) >= sizeof temporary) return errno = ENAMETOOLONG, false;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
    if (fd < 0) return false;
    errno = ENOMEM; /* if snapshot() fails */
    bool good = file_write(db, fd, temporary);
    int error = errno;
    if (good) {
        if (journal->fd >= 0) close(journal->fd);
        journal->fd = fd;
        journal->file_bytes = journal->pending.used;
        journal->rewrite_at = 2 * journal->file_bytes > REWRITE_BYTES ? 2 * journal->file_bytes : REWRITE_BYTES;
        journal->broken = false;
    } else {
        close(fd);
        (void)unlink(temporary);
    }
    client_buffer_free(&journal->pending);
    errno = error;
    return good;
}

/* The old file's bytes; malloc'd. *count 0 and NULL: there is none. */
static bool read_old(const char *path, uint8_t **bytes, size_t *count) {
    *bytes = NULL;
    *count = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT;
    struct stat stat;
    bool good = fstat(fd, &stat) == 0 && stat.st_size <= JOURNAL_BYTES_MAX;
    if (good && stat.st_size > 0) {
        *bytes = malloc((size_t)stat.st_size);
        good = *bytes != NULL;
        while (good && *count < (size_t)stat.st_size) {
            ssize_t got = read(fd, *bytes + *count, (size_t)stat.st_size - *count);
            good = got > 0;
            if (good) *count += (size_t)got;
        }
    }
    close(fd);
    return good;
}

bool client_journal_is_own(const struct heraclius *db, const char *key_path) {
    char path[4096];
    uint8_t head[HEAD_BYTES], found[HEAD_BYTES];
    if ((size_t)snprintf(path, sizeof path, "%s.journal", key_path) >= sizeof path) return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    head_put(db, head);
    bool own = read(fd, found, HEAD_BYTES) == HEAD_BYTES && memcmp(found, head, HEAD_BYTES) == 0;
    close(fd);
    return own;
}

enum heraclius_status client_journal_open(struct heraclius *db, const char *key_path, char *why) {
    struct journal *journal = &db->journal;
    size_t path_bytes = strlen(key_path) + sizeof ".journal";
    journal->path = malloc(path_bytes);
    if (!journal->path) return HERACLIUS_NO_RESOURCES;
    snprintf(journal->path, path_bytes, "%s.journal", key_path);
    uint8_t *bytes;
    size_t count;
    uint8_t head[HEAD_BYTES], followed[HEAD_BYTES];
    head_put(db, head);
    memcpy(followed, head, HEAD_BYTES);
    memcpy(followed + 8, db->followed_id, sizeof db->followed_id);
    enum heraclius_status status = HERACLIUS_OK;
    if (!read_old(journal->path, &bytes, &count)) {
        snprintf(why, HERACLIUS_TEXT_BYTES, "%s: cannot be read: %s", journal->path, strerror(errno));
        status = HERACLIUS_BAD_FILE;
    }
    bool mine = count >= HEAD_BYTES && memcmp(bytes, db->follows ? followed : head, HEAD_BYTES) == 0;
    if (status != HERACLIUS_OK) {
        free(bytes);
        return status;
    }
    if (count > 0 && !mine && db->follows) {
        snprintf(why, HERACLIUS_TEXT_BYTES,
                 "%s: this journal is of another system or key than this successor and its predecessor. A client follows one successor and no second "
                 "one: if it follows another of the same predecessor, show both statements to all owners; together they convict who signed both",
                 journal->path);
        status = HERACLIUS_BAD_FILE;
    } else if (count > 0 && !mine) {
        snprintf(why, HERACLIUS_TEXT_BYTES,
                 "%s: this journal is of another system or key; after a succession show the statement (--predecessor, --statement); move it away if "
                 "the key was changed on purpose",
                 journal->path);
        status = HERACLIUS_BAD_FILE;
    } else if (count > 0 && !replay(db, bytes, count)) {
        snprintf(why, HERACLIUS_TEXT_BYTES,
                 "%s: damaged in the middle; move it away: the next write asks the shards where this client stands, and unsettled writes of earlier "
                 "runs are given up as too old",
                 journal->path);
        status = HERACLIUS_BAD_FILE;
    } else if ((db->follows && !client_kept_reopen(db)) || !rewrite(db)) {
        snprintf(why, HERACLIUS_TEXT_BYTES, "%s: cannot be written: %s", journal->path, strerror(errno));
        status = HERACLIUS_NO_RESOURCES;
    }
    free(bytes);
    return status;
}

void client_journal_close(struct heraclius *db) {
    struct journal *journal = &db->journal;
    if (journal->sync_under_way) (void)client_syncer_ended(db->shared->syncer, &journal->sync, true);
    if (journal->sync.event >= 0) close(journal->sync.event);
    if (journal->fd >= 0) {
        (void)client_journal_sync(db); /* SETTLED records only save work later: a failure here loses nothing */
        close(journal->fd);
    }
    while (journal->writes_count > 0) write_drop(journal, 0);
    client_kept_free(journal);
    free(journal->writes);
    free(journal->path);
    client_buffer_free(&journal->pending);
    journal->fd = -1;
}

bool client_journal_sent(struct heraclius *db, const struct sending *sending) {
    struct journal *journal = &db->journal;
    journal->sync_wanted = true;
    return record_add(journal, RECORD_SENT, sending->batch.bytes, sending->batch.used) &&
           write_add(journal, sending->batch.bytes, sending->batch.used, false);
}

bool client_journal_next(struct heraclius *db, uint32_t shard, uint64_t next) {
    return pair_add(&db->journal, RECORD_NEXT, shard, next);
}

bool client_journal_settled(struct heraclius *db, uint32_t shard, uint64_t number, uint64_t height, uint32_t index) {
    (void)settle_in_memory(&db->journal, shard, number, height, index);
    return settled_add(&db->journal, shard, number, height, index);
}

void client_journal_unsent(struct heraclius *db, const struct sending *sending) {
    struct journal *journal = &db->journal;
    for (size_t i = journal->writes_count; i-- > 0;) {
        const struct journal_write *write = &journal->writes[i];
        if (write->bytes_count != sending->batch.used || memcmp(write->bytes, sending->batch.bytes, write->bytes_count) != 0) continue;
        write_drop(journal, i);
        return;
    }
}

/* The file's end is not known, nor what the kernel still holds: the next sync writes a new file. What never left need not be found by the next
 * run. */
static void sync_failed(struct journal *journal, uint64_t keep_bytes) {
    int error = errno;
    journal->broken = true;
    (void)!ftruncate(journal->fd, (off_t)keep_bytes);
    errno = error;
}

bool client_journal_sync(struct heraclius *db) {
    struct journal *journal = &db->journal;
    if (journal->pending.failed) {
        client_buffer_free(&journal->pending);
        journal->broken = true;
        journal->sync_wanted = false;
        return errno = ENOMEM, false;
    }
    if (journal->pending.used == 0 && !journal->broken) return true;
    if (journal->broken || (journal->file_bytes > journal->rewrite_at && journal->sync_wanted)) return rewrite(db);
    bool good = write_all(journal->fd, journal->pending.bytes, journal->pending.used) && (!journal->sync_wanted || fdatasync(journal->fd) == 0);
    if (good) journal->file_bytes += journal->pending.used;
    else sync_failed(journal, journal->file_bytes);
    journal->pending.used = 0;
    journal->sync_wanted = false;
    return good;
}

/* Its end makes the handle's descriptor readable, and ends heraclius_poll()'s wait. */
static bool event_make(struct heraclius *db) {
    struct sync_job *job = &db->journal.sync;
    if (job->event >= 0) return true;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = job};
    job->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (job->event >= 0 && epoll_ctl(db->epoll, EPOLL_CTL_ADD, job->event, &event) == 0) return true;
    if (job->event >= 0) close(job->event);
    job->event = -1;
    return false;
}

bool client_journal_sync_begin(struct heraclius *db, bool *synced) {
    struct journal *journal = &db->journal;
    CHECK(!journal->sync_under_way);
    bool plain = journal->sync_wanted && !journal->pending.failed && !journal->broken && journal->file_bytes <= journal->rewrite_at;
    bool apart = db->shared && db->shared->syncer; /* the simulator makes a handle without */
    if (!apart || !plain || !event_make(db)) {
        *synced = client_journal_sync(db);
        return false;
    }
    journal->sync_from = journal->file_bytes;
    *synced = write_all(journal->fd, journal->pending.bytes, journal->pending.used);
    if (*synced) {
        journal->file_bytes += journal->pending.used;
        journal->sync.fd = journal->fd;
        journal->sync_under_way = client_syncer_put(db->shared->syncer, &journal->sync);
        if (!journal->sync_under_way) *synced = fdatasync(journal->fd) == 0;
    }
    if (!*synced) sync_failed(journal, journal->sync_from);
    journal->pending.used = 0;
    journal->sync_wanted = false;
    return journal->sync_under_way;
}

bool client_journal_sync_ended(struct heraclius *db, bool *synced) {
    struct journal *journal = &db->journal;
    if (!client_syncer_ended(db->shared->syncer, &journal->sync, false)) return false;
    journal->sync_under_way = false;
    errno = journal->sync.error;
    *synced = journal->sync.error == 0;
    if (!*synced) sync_failed(journal, journal->sync_from); /* what was settled since goes too: it is in the new file */
    return true;
}
