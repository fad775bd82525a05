#include "store/vlog.h"
#include "merkle/check.h"
#include "store/checksum.h"
#include "store/env.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Opening. */

static int directory_sync(const char *directory) {
    char path[STORE_PATH_BYTES_MAX + 32];
    (void)snprintf(path, sizeof path, "%s/wal", directory);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    int code = fsync(fd) != 0 ? errno : 0;
    (void)close(fd);
    return code;
}

/* Past the page cache, where the file system lets us. */
static int write_open(struct vlog *vlog) {
    vlog->direct = true;
    vlog->write_fd = open(vlog->file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_DIRECT, 0600);
    if (vlog->write_fd < 0 && errno == EINVAL) {
        vlog->direct = false;
        vlog->write_fd = open(vlog->file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    return vlog->write_fd < 0 ? errno : 0;
}

static enum store_status files_open(struct vlog *vlog, const char *directory, struct store_error *error) {
    struct stat about;
    int code = write_open(vlog);
    if (code == ELOOP || code == EISDIR) return env_fail(error, STORE_FOREIGN, code, vlog->file, "no regular file");
    if (code) return env_fail(error, env_status_of(code), code, vlog->file, "open");
    if (fstat(vlog->write_fd, &about) != 0) return env_fail(error, STORE_IO, errno, vlog->file, "open");
    if (!S_ISREG(about.st_mode)) return env_fail(error, STORE_FOREIGN, 0, vlog->file, "no regular file");
    code = directory_sync(directory);
    if (code) return env_fail(error, env_status_of(code), code, vlog->file, "sync its directory");
    vlog->read_fd = open(vlog->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (vlog->read_fd < 0) return env_fail(error, env_status_of(errno), errno, vlog->file, "open");
    (void)posix_fadvise(vlog->read_fd, 0, 0, POSIX_FADV_RANDOM); /* values lie alone: what is beside one is not read next */
    vlog->found_bytes = (uint64_t)about.st_size;
    uint64_t segments = (vlog->found_bytes + VLOG_SEGMENT_BYTES - 1) / VLOG_SEGMENT_BYTES;
    if (segments > VLOG_SEGMENTS_MAX) return env_fail(error, STORE_DAMAGED, 0, vlog->file, "longer than any that a node makes");
    vlog->segments_max = (uint32_t)segments > vlog->limit ? (uint32_t)segments : vlog->limit; /* the limit may have been higher before */
    return STORE_OK;
}

enum store_status vlog_open(struct vlog *vlog, const char *directory, uint64_t limit_bytes, struct store_error *error) {
    memset(vlog, 0, sizeof *vlog);
    vlog->write_fd = vlog->read_fd = -1;
    uint64_t limit = limit_bytes / VLOG_SEGMENT_BYTES;
    vlog->limit = limit < VLOG_SEGMENTS_MAX ? (uint32_t)limit : VLOG_SEGMENTS_MAX;
    CHECK(pthread_mutex_init(&vlog->lock, NULL) == 0);
    int length = snprintf(vlog->file, sizeof vlog->file, "%s/wal/values", directory);
    bool fits = length >= 0 && length < (int)sizeof vlog->file;
    enum store_status status = fits ? files_open(vlog, directory, error) : env_fail(error, STORE_TOO_LONG, 0, directory, "path");
    if (status == STORE_OK) {
        vlog->segments = calloc((size_t)vlog->segments_max + 1, sizeof *vlog->segments);
        if (posix_memalign((void **)&vlog->stage, VLOG_BLOCK_BYTES, VLOG_STAGE_BYTES) != 0) vlog->stage = NULL;
        if (vlog->segments == NULL || vlog->stage == NULL) status = env_fail(error, STORE_NO_MEMORY, 0, vlog->file, "open");
    }
    if (status != STORE_OK) vlog_close(vlog);
    return status;
}

void vlog_close(struct vlog *vlog) {
    CHECK(vlog->readers == NULL);
    if (vlog->write_fd >= 0) (void)close(vlog->write_fd);
    if (vlog->read_fd >= 0) (void)close(vlog->read_fd);
    free(vlog->stage);
    free(vlog->segments);
    (void)pthread_mutex_destroy(&vlog->lock);
}

/* Segments. */

/* The segments that it lies in; false: it lies where no node lays one, or where none was laid under any limit that this file knew. Who is not held is
 * not released either. */
static bool segments_of(const struct vlog *vlog, const struct vlog_place *place, uint32_t *first, uint32_t *last) {
    uint64_t bound = (uint64_t)vlog->segments_max * VLOG_SEGMENT_BYTES;
    if (place->bytes == 0 || place->bytes > bound || place->offset > bound - place->bytes) return false;
    *first = (uint32_t)(place->offset / VLOG_SEGMENT_BYTES);
    *last = (uint32_t)((place->offset + place->bytes - 1) / VLOG_SEGMENT_BYTES);
    return true;
}

static void figures_tell(struct vlog *vlog) {
    atomic_store_explicit(&vlog->used_bytes, (uint64_t)vlog->used * VLOG_SEGMENT_BYTES, memory_order_relaxed);
    atomic_store_explicit(&vlog->file_bytes, (uint64_t)vlog->on_disk * VLOG_SEGMENT_BYTES, memory_order_relaxed);
}

void vlog_hold(struct vlog *vlog, const struct vlog_place *place) {
    uint32_t first, last;
    bool known = segments_of(vlog, place, &first, &last);
    if (vlog->txn == 0 && (!known || place->offset + place->bytes > vlog->found_bytes)) vlog->lost++;
    if (!known) return;
    for (uint32_t i = first; i <= last; i++) vlog->used += vlog->segments[i].held++ == 0;
    if (last >= vlog->segment_count) vlog->segment_count = last + 1;
    figures_tell(vlog);
}

void vlog_held(struct vlog *vlog) {
    uint64_t end = (uint64_t)vlog->segment_count * VLOG_SEGMENT_BYTES, on_disk = vlog->found_bytes < end ? vlog->found_bytes : end;
    if (vlog->found_bytes > end && ftruncate(vlog->write_fd, (off_t)end) != 0) { /* a file that stays long takes more than it should, no more */
        vlog->segment_count = (uint32_t)((vlog->found_bytes + VLOG_SEGMENT_BYTES - 1) / VLOG_SEGMENT_BYTES);
        on_disk = vlog->found_bytes;
    }
    for (uint64_t at = 0; at < on_disk; at += VLOG_SEGMENT_BYTES, vlog->on_disk++) vlog->segments[at / VLOG_SEGMENT_BYTES].on_disk = true;
    vlog_shrink(vlog);
}

void vlog_release(struct vlog *vlog, const struct vlog_place *place) {
    uint32_t first, last;
    if (!segments_of(vlog, place, &first, &last)) return;
    for (uint32_t i = first; i <= last; i++) {
        struct vlog_segment *segment = &vlog->segments[i];
        if (segment->held == 0 || --segment->held > 0) continue; /* records that a disk changed may name a place twice: none is free too early */
        segment->freed = vlog->txn;
        vlog->used--;
    }
    figures_tell(vlog);
}

void vlog_begin(struct vlog *vlog, uint64_t txn) {
    CHECK(txn >= vlog->txn && vlog->staged == 0); /* LMDB counts none that changed nothing */
    vlog->txn = txn;
}

/* The oldest transaction that anybody reads by, or the one that is being written. */
static uint64_t oldest_txn(struct vlog *vlog) {
    uint64_t oldest = vlog->txn;
    CHECK(pthread_mutex_lock(&vlog->lock) == 0);
    for (const struct vlog_reader *reader = vlog->readers; reader != NULL; reader = reader->next) {
        if (reader->txn < oldest) oldest = reader->txn;
    }
    CHECK(pthread_mutex_unlock(&vlog->lock) == 0);
    return oldest;
}

/*
 * May it be written? Nothing in it is in a record of the transaction that is being written; the one that deleted the last of it is committed, so that
 * no crash brings that record back; and no reader began before it, who would find other bytes. The caller has let go of the run that was filled.
 */
static bool segment_is_free(const struct vlog *vlog, const struct vlog_segment *segment, uint64_t oldest) {
    return segment->held == 0 && (segment->freed == 0 || (segment->freed < vlog->txn && segment->freed <= oldest));
}

/* So many free segments side by side that are on the disk, from the cursor on, and once around. */
static bool run_again(const struct vlog *vlog, uint32_t count, uint64_t oldest, uint32_t *first) {
    uint32_t run = 0, at = vlog->cursor;
    for (uint32_t looked = 0; vlog->segment_count > 0 && looked < vlog->segment_count + count; looked++, at++) {
        if (at >= vlog->segment_count) at = run = 0; /* the last and the first are not side by side */
        const struct vlog_segment *segment = &vlog->segments[at];
        run = segment->on_disk && segment_is_free(vlog, segment, oldest) ? run + 1 : 0;
        if (run < count) continue;
        *first = at + 1 - count;
        return true;
    }
    return false;
}

/* The same of segments that may be holes, or behind all others. */
static bool run_more(const struct vlog *vlog, uint32_t count, uint64_t oldest, uint64_t other_bytes, uint32_t *first) {
    uint64_t others = (other_bytes + VLOG_SEGMENT_BYTES - 1) / VLOG_SEGMENT_BYTES;
    uint32_t run = 0, more = 0; /* of the run, what is not on the disk */
    for (uint32_t at = 0; at < vlog->segments_max && run < count; at++) {
        const struct vlog_segment *segment = &vlog->segments[at];
        bool free = segment_is_free(vlog, segment, oldest);
        run = free ? run + 1 : 0;
        more = free ? more + !segment->on_disk : 0;
        *first = at + 1 - run;
    }
    return run == count && vlog->on_disk + more + others <= vlog->limit;
}

static bool run_find(struct vlog *vlog, uint32_t count, uint64_t other_bytes, uint32_t *first) {
    uint64_t oldest = oldest_txn(vlog);
    if (!run_again(vlog, count, oldest, first) && !run_more(vlog, count, oldest, other_bytes, first)) return false;
    for (uint32_t i = *first; i < *first + count; i++) {
        vlog->on_disk += !vlog->segments[i].on_disk;
        vlog->segments[i].on_disk = true;
    }
    if (*first + count > vlog->segment_count) vlog->segment_count = *first + count;
    figures_tell(vlog);
    return true;
}

static bool segment_is_filled(const struct vlog *vlog, uint32_t segment) {
    return (uint64_t)(segment + 1) * VLOG_SEGMENT_BYTES > vlog->next && (uint64_t)segment * VLOG_SEGMENT_BYTES < vlog->end;
}

void vlog_shrink(struct vlog *vlog) {
    uint64_t oldest = oldest_txn(vlog);
    CHECK(vlog->staged == 0);
    for (uint32_t i = 0; i < vlog->segment_count; i++) {
        struct vlog_segment *segment = &vlog->segments[i];
        if (!segment->on_disk || segment_is_filled(vlog, i) || !segment_is_free(vlog, segment, oldest)) continue;
        off_t at = (off_t)i * VLOG_SEGMENT_BYTES;
        if (fallocate(vlog->write_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, VLOG_SEGMENT_BYTES) != 0) break;
        segment->on_disk = false;
        vlog->on_disk--;
    }
    figures_tell(vlog);
}

/* Writing. */

static int failed(struct vlog *vlog, int code) {
    vlog->failed = true;
    return code;
}

static ssize_t write_once(const struct vlog *vlog, const uint8_t *bytes, size_t count) {
    ssize_t wrote;
    do wrote = pwrite(vlog->write_fd, bytes, count, (off_t)vlog->stage_at);
    while (wrote < 0 && errno == EINTR);
    return wrote;
}

/* The disk wants its writes aligned otherwise: it gets them through the page cache. */
static bool direct_leave(struct vlog *vlog) {
    int flags = fcntl(vlog->write_fd, F_GETFL);
    vlog->direct = flags < 0 || fcntl(vlog->write_fd, F_SETFL, flags & ~O_DIRECT) != 0;
    return !vlog->direct;
}

/* Whole blocks, at stage_at, which goes on behind them; nothing is staged. */
static int blocks_write(struct vlog *vlog, const uint8_t *bytes, size_t count) {
    ssize_t wrote = write_once(vlog, bytes, count);
    if (wrote < 0 && errno == EINVAL && vlog->direct && direct_leave(vlog)) wrote = write_once(vlog, bytes, count);
    if (wrote != (ssize_t)count) return failed(vlog, wrote < 0 ? errno : EIO); /* cut short: env_file_status() asks whether the disk is full */
    if (vlog->written_to == 0 || vlog->stage_at < vlog->written_from) vlog->written_from = vlog->stage_at;
    if (vlog->stage_at + count > vlog->written_to) vlog->written_to = vlog->stage_at + count;
    vlog->stage_at += count;
    vlog->unsynced = true;
    return 0;
}

static int stage_write(struct vlog *vlog) {
    if (vlog->staged == 0) return 0;
    size_t count = (vlog->staged + VLOG_BLOCK_BYTES - 1) / VLOG_BLOCK_BYTES * VLOG_BLOCK_BYTES;
    memset(vlog->stage + vlog->staged, 0, count - vlog->staged);
    int code = blocks_write(vlog, vlog->stage, count);
    if (code == 0) vlog->staged = 0;
    return code;
}

/* Room for `bytes` in one piece at vlog->next. No block has values of two transactions: what is committed is not written again. */
static int room_make(struct vlog *vlog, uint32_t bytes, uint64_t other_bytes) {
    if (vlog->end - vlog->next >= bytes) return 0;
    int code = stage_write(vlog);
    if (code) return code;
    uint32_t first, count = (bytes + VLOG_SEGMENT_BYTES - 1) / VLOG_SEGMENT_BYTES;
    vlog->next = vlog->end = vlog->stage_at = 0; /* the rest of that run comes back when all in it is gone */
    if (!run_find(vlog, count, other_bytes, &first)) return MDB_MAP_FULL;
    vlog->cursor = first + count;
    vlog->next = vlog->stage_at = (uint64_t)first * VLOG_SEGMENT_BYTES;
    vlog->end = vlog->next + (uint64_t)count * VLOG_SEGMENT_BYTES;
    return 0;
}

static size_t in_block(uint64_t at) {
    return (size_t)(at % VLOG_BLOCK_BYTES);
}

/* What is staged lies in its block as it does in the caller's memory. */
static bool lies_alike(const struct vlog *vlog, const uint8_t *bytes) {
    return in_block(vlog->staged) == in_block((uintptr_t)bytes);
}

/* Where in a block a value begins of which the first long part is to begin where it begins in the caller's memory; false: it has no such part. */
static bool aligns(const struct iovec *parts, uint32_t part_count, size_t *at) {
    size_t before = 0;
    for (uint32_t i = 0; i < part_count; before += parts[i++].iov_len) {
        if (parts[i].iov_len < VLOG_DIRECT_BYTES) continue;
        *at = in_block((uintptr_t)parts[i].iov_base - before);
        return true;
    }
    return false;
}

static int stage_add(struct vlog *vlog, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        size_t step = VLOG_STAGE_BYTES - vlog->staged;
        if (step > count) step = count;
        if (bytes != NULL) {
            memcpy(vlog->stage + vlog->staged, bytes, step);
            bytes += step;
        } else {
            memset(vlog->stage + vlog->staged, 0, step);
        }
        vlog->staged += step;
        count -= step;
        int code = vlog->staged == VLOG_STAGE_BYTES ? stage_write(vlog) : 0;
        if (code) return code;
    }
    return 0;
}

/* Long and alike, its whole blocks go from where they lie; what is before and behind them, and whatever else, by way of the stage. */
static int part_add(struct vlog *vlog, const uint8_t *bytes, size_t count) {
    if (count < VLOG_DIRECT_BYTES || !lies_alike(vlog, bytes)) return stage_add(vlog, bytes, count);
    size_t before = in_block(0 - vlog->staged), blocks = (count - before) / VLOG_BLOCK_BYTES * VLOG_BLOCK_BYTES;
    int code = stage_add(vlog, bytes, before);
    if (code == 0) code = stage_write(vlog);
    if (code == 0) code = blocks_write(vlog, bytes + before, blocks);
    return code ? code : stage_add(vlog, bytes + before + blocks, count - before - blocks);
}

int vlog_append(struct vlog *vlog, uint64_t seed, const struct iovec *parts, uint32_t part_count, uint64_t other_bytes, struct vlog_place *place) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < part_count; i++) total += parts[i].iov_len;
    CHECK(total > 0 && total <= UINT32_MAX / 4 && vlog->txn > 0);
    size_t at = 0;
    bool long_part = aligns(parts, part_count, &at);
    int code = room_make(vlog, (uint32_t)total + (long_part ? VLOG_BLOCK_BYTES : 0), other_bytes);
    if (code) return code;
    size_t padding = long_part ? in_block(at - vlog->next) : 0;
    code = stage_add(vlog, NULL, padding);
    *place = (struct vlog_place){.offset = vlog->next + padding, .bytes = (uint32_t)total};
    struct checksum_stream digest = checksum_stream_begin(seed);
    for (uint32_t i = 0; code == 0 && i < part_count; i++) {
        checksum_stream_add(&digest, parts[i].iov_base, parts[i].iov_len);
        code = part_add(vlog, parts[i].iov_base, parts[i].iov_len);
    }
    if (code) return code;
    vlog->next += padding + total;
    place->digest = checksum_stream_end(&digest);
    vlog_hold(vlog, place);
    return 0;
}

int vlog_sync(struct vlog *vlog) {
    int code = stage_write(vlog);
    if (code) return code;
    if (vlog->next < vlog->end) vlog->next = vlog->stage_at; /* the next transaction begins a block */
    if (!vlog->unsynced) return 0;
    if (fdatasync(vlog->write_fd) != 0) return failed(vlog, errno);
    off_t from = (off_t)vlog->written_from, count = (off_t)(vlog->written_to - vlog->written_from);
    if (!vlog->direct) (void)posix_fadvise(vlog->write_fd, from, count, POSIX_FADV_DONTNEED);
    vlog->written_from = vlog->written_to = 0;
    vlog->unsynced = false;
    return 0;
}

/* Reading. */

void vlog_reader_open(struct vlog *vlog, struct vlog_reader *reader, uint64_t (*begin)(void *context), void *context) {
    CHECK(pthread_mutex_lock(&vlog->lock) == 0);
    reader->txn = begin(context);
    reader->next = vlog->readers;
    reader->link = &vlog->readers;
    if (reader->next != NULL) reader->next->link = &reader->next;
    vlog->readers = reader;
    CHECK(pthread_mutex_unlock(&vlog->lock) == 0);
}

void vlog_reader_close(struct vlog *vlog, struct vlog_reader *reader) {
    CHECK(pthread_mutex_lock(&vlog->lock) == 0);
    *reader->link = reader->next;
    if (reader->next != NULL) reader->next->link = reader->link;
    CHECK(pthread_mutex_unlock(&vlog->lock) == 0);
}

int vlog_read(const struct vlog *vlog, uint64_t seed, const struct vlog_place *place, uint8_t *value) {
    if (place->offset > (uint64_t)INT64_MAX - place->bytes) return MDB_CORRUPTED;
    for (size_t done = 0; done < place->bytes;) {
        ssize_t got = pread(vlog->read_fd, value + done, place->bytes - done, (off_t)(place->offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno;
        if (got == 0) return MDB_CORRUPTED; /* it ends before */
        done += (size_t)got;
    }
    struct checksum_stream digest = checksum_stream_begin(seed);
    checksum_stream_add(&digest, value, place->bytes);
    return checksum_stream_end(&digest) == place->digest ? 0 : MDB_CORRUPTED;
}
