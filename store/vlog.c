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
static int lane_open(const char *file, struct vlog_lane *lane) {
    lane->direct = true;
    lane->fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_DIRECT, 0600);
    if (lane->fd < 0 && errno == EINVAL) {
        lane->direct = false;
        lane->fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    return lane->fd < 0 ? errno : 0;
}

static enum store_status files_open(struct vlog *vlog, const char *directory, struct store_error *error) {
    struct stat about;
    int code = 0;
    for (int i = 0; code == 0 && i < VLOG_LANES; i++) code = lane_open(vlog->file, &vlog->lanes[i]);
    if (code == ELOOP || code == EISDIR) return env_fail(error, STORE_FOREIGN, code, vlog->file, "no regular file");
    if (code) return env_fail(error, env_status_of(code), code, vlog->file, "open");
    if (fstat(vlog->lanes[VLOG_MAIN].fd, &about) != 0) return env_fail(error, STORE_IO, errno, vlog->file, "open");
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

static bool memory_make(struct vlog *vlog) {
    static const size_t stages[VLOG_LANES] = {[VLOG_MAIN] = VLOG_STAGE_BYTES, [VLOG_BESIDE] = VLOG_BESIDE_STAGE_BYTES};
    vlog->segments = calloc((size_t)vlog->segments_max + 1, sizeof *vlog->segments);
    bool made = vlog->segments != NULL;
    for (int i = 0; i < VLOG_LANES; i++) {
        struct vlog_lane *lane = &vlog->lanes[i];
        lane->stage_bytes = stages[i];
        if (posix_memalign((void **)&lane->stage, VLOG_BLOCK_BYTES, lane->stage_bytes) != 0) lane->stage = NULL;
        made = made && lane->stage != NULL;
    }
    return made;
}

enum store_status vlog_open(struct vlog *vlog, const char *directory, uint64_t limit_bytes, struct store_error *error) {
    memset(vlog, 0, sizeof *vlog);
    vlog->read_fd = -1;
    for (int i = 0; i < VLOG_LANES; i++) vlog->lanes[i].fd = -1;
    uint64_t limit = limit_bytes / VLOG_SEGMENT_BYTES;
    vlog->limit = limit < VLOG_SEGMENTS_MAX ? (uint32_t)limit : VLOG_SEGMENTS_MAX;
    CHECK(pthread_mutex_init(&vlog->lock, NULL) == 0);
    CHECK(pthread_mutex_init(&vlog->space, NULL) == 0);
    int length = snprintf(vlog->file, sizeof vlog->file, "%s/wal/values", directory);
    bool fits = length >= 0 && length < (int)sizeof vlog->file;
    enum store_status status = fits ? files_open(vlog, directory, error) : env_fail(error, STORE_TOO_LONG, 0, directory, "path");
    if (status == STORE_OK && !memory_make(vlog)) status = env_fail(error, STORE_NO_MEMORY, 0, vlog->file, "open");
    if (status != STORE_OK) vlog_close(vlog);
    return status;
}

void vlog_close(struct vlog *vlog) {
    CHECK(vlog->readers == NULL);
    for (int i = 0; i < VLOG_LANES; i++) {
        if (vlog->lanes[i].fd >= 0) (void)close(vlog->lanes[i].fd);
        free(vlog->lanes[i].stage);
    }
    if (vlog->read_fd >= 0) (void)close(vlog->read_fd);
    free(vlog->segments);
    (void)pthread_mutex_destroy(&vlog->lock);
    (void)pthread_mutex_destroy(&vlog->space);
}

static void space_enter(struct vlog *vlog) {
    CHECK(pthread_mutex_lock(&vlog->space) == 0);
}

static void space_leave(struct vlog *vlog) {
    CHECK(pthread_mutex_unlock(&vlog->space) == 0);
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

/* In `space`. */
static void place_hold(struct vlog *vlog, const struct vlog_place *place) {
    uint32_t first, last;
    bool known = segments_of(vlog, place, &first, &last);
    if (!vlog->opened && (!known || place->offset + place->bytes > vlog->found_bytes)) vlog->lost++;
    if (!known) return;
    for (uint32_t i = first; i <= last; i++) vlog->used += vlog->segments[i].held++ == 0;
    if (last >= vlog->segment_count) vlog->segment_count = last + 1;
    figures_tell(vlog);
}

void vlog_hold(struct vlog *vlog, const struct vlog_place *place) {
    space_enter(vlog);
    place_hold(vlog, place);
    space_leave(vlog);
}

void vlog_held(struct vlog *vlog) {
    uint64_t end = (uint64_t)vlog->segment_count * VLOG_SEGMENT_BYTES, on_disk = vlog->found_bytes < end ? vlog->found_bytes : end;
    /* A file that stays long takes more than it should, no more. */
    if (vlog->found_bytes > end && ftruncate(vlog->lanes[VLOG_MAIN].fd, (off_t)end) != 0) {
        vlog->segment_count = (uint32_t)((vlog->found_bytes + VLOG_SEGMENT_BYTES - 1) / VLOG_SEGMENT_BYTES);
        on_disk = vlog->found_bytes;
    }
    for (uint64_t at = 0; at < on_disk; at += VLOG_SEGMENT_BYTES, vlog->on_disk++) vlog->segments[at / VLOG_SEGMENT_BYTES].on_disk = true;
    vlog->opened = true;
    vlog_shrink(vlog);
}

/* Records that a disk changed may name a place twice: none is free too early. */
static void place_leave(struct vlog *vlog, const struct vlog_place *place, bool had_record) {
    uint32_t first, last;
    if (!segments_of(vlog, place, &first, &last)) return;
    space_enter(vlog);
    for (uint32_t i = first; i <= last; i++) {
        struct vlog_segment *segment = &vlog->segments[i];
        if (segment->held == 0) continue;
        if (had_record) segment->freed = vlog->txn;
        vlog->used -= --segment->held == 0;
    }
    figures_tell(vlog);
    space_leave(vlog);
}

void vlog_release(struct vlog *vlog, const struct vlog_place *place) {
    place_leave(vlog, place, true);
}

void vlog_forget(struct vlog *vlog, const struct vlog_place *place) {
    place_leave(vlog, place, false);
}

void vlog_begin(struct vlog *vlog, uint64_t txn) {
    space_enter(vlog);
    CHECK(txn >= vlog->txn && vlog->lanes[VLOG_MAIN].staged == 0); /* LMDB counts none that changed nothing */
    vlog->txn = txn;
    space_leave(vlog);
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

static bool segment_is_filled(const struct vlog *vlog, uint32_t segment) {
    bool filled = false;
    for (int i = 0; i < VLOG_LANES; i++) {
        const struct vlog_lane *lane = &vlog->lanes[i];
        filled = filled || ((uint64_t)(segment + 1) * VLOG_SEGMENT_BYTES > lane->next && (uint64_t)segment * VLOG_SEGMENT_BYTES < lane->end);
    }
    return filled;
}

/*
 * May it be written? Nothing in it is in a record of the transaction that is being written, or will be in one; the one that deleted the last of it is
 * committed, so that no crash brings that record back; no reader began before it, who would find other bytes; and no lane fills it, the searching one
 * having let go of its run.
 */
static bool segment_is_free(const struct vlog *vlog, uint32_t at, uint64_t oldest) {
    const struct vlog_segment *segment = &vlog->segments[at];
    return segment->held == 0 && (segment->freed == 0 || (segment->freed < vlog->txn && segment->freed <= oldest)) && !segment_is_filled(vlog, at);
}

/* So many free segments side by side that are on the disk, from the cursor on, and once around. */
static bool run_again(const struct vlog *vlog, uint32_t count, uint64_t oldest, uint32_t *first) {
    uint32_t run = 0, at = vlog->cursor;
    for (uint32_t looked = 0; vlog->segment_count > 0 && looked < vlog->segment_count + count; looked++, at++) {
        if (at >= vlog->segment_count) at = run = 0; /* the last and the first are not side by side */
        run = vlog->segments[at].on_disk && segment_is_free(vlog, at, oldest) ? run + 1 : 0;
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
        bool free = segment_is_free(vlog, at, oldest);
        run = free ? run + 1 : 0;
        more = free ? more + !vlog->segments[at].on_disk : 0;
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

void vlog_shrink(struct vlog *vlog) {
    const struct vlog_lane *lane = &vlog->lanes[VLOG_MAIN];
    CHECK(lane->staged == 0);
    space_enter(vlog);
    uint64_t oldest = oldest_txn(vlog);
    for (uint32_t i = 0; i < vlog->segment_count; i++) {
        if (!vlog->segments[i].on_disk || !segment_is_free(vlog, i, oldest)) continue;
        off_t at = (off_t)i * VLOG_SEGMENT_BYTES;
        if (fallocate(lane->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, VLOG_SEGMENT_BYTES) != 0) break;
        vlog->segments[i].on_disk = false;
        vlog->on_disk--;
    }
    figures_tell(vlog);
    space_leave(vlog);
}

/* Writing. */

static int failed(struct vlog_lane *lane, int code) {
    lane->failed = true;
    return code;
}

static ssize_t write_once(const struct vlog_lane *lane, const uint8_t *bytes, size_t count) {
    ssize_t wrote;
    do wrote = pwrite(lane->fd, bytes, count, (off_t)lane->stage_at);
    while (wrote < 0 && errno == EINTR);
    return wrote;
}

/* The disk wants its writes aligned otherwise: it gets them through the page cache. */
static bool direct_leave(struct vlog_lane *lane) {
    int flags = fcntl(lane->fd, F_GETFL);
    lane->direct = flags < 0 || fcntl(lane->fd, F_SETFL, flags & ~O_DIRECT) != 0;
    return !lane->direct;
}

/* Whole blocks, at stage_at, which goes on behind them; nothing is staged but they. */
static int blocks_write(struct vlog_lane *lane, const uint8_t *bytes, size_t count) {
    ssize_t wrote = write_once(lane, bytes, count);
    if (wrote < 0 && errno == EINVAL && lane->direct && direct_leave(lane)) wrote = write_once(lane, bytes, count);
    if (wrote != (ssize_t)count) return failed(lane, wrote < 0 ? errno : EIO); /* cut short: env_file_status() asks whether the disk is full */
    if (lane->written_to == 0 || lane->stage_at < lane->written_from) lane->written_from = lane->stage_at;
    if (lane->stage_at + count > lane->written_to) lane->written_to = lane->stage_at + count;
    lane->stage_at += count;
    lane->unsynced = true;
    return 0;
}

static int stage_write(struct vlog_lane *lane) {
    if (lane->staged == 0) return 0;
    size_t count = (lane->staged + VLOG_BLOCK_BYTES - 1) / VLOG_BLOCK_BYTES * VLOG_BLOCK_BYTES;
    memset(lane->stage + lane->staged, 0, count - lane->staged);
    int code = blocks_write(lane, lane->stage, count);
    if (code == 0) lane->staged = 0;
    return code;
}

static size_t in_block(uint64_t at) {
    return (size_t)(at % VLOG_BLOCK_BYTES);
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

/* In `space`: room for `bytes` in one piece at lane->next; nothing is staged where another run is begun. No block has values of two transactions:
 * what is committed is not written again. */
static int room_make(struct vlog *vlog, struct vlog_lane *lane, uint32_t bytes, uint64_t other_bytes) {
    if (lane->end - lane->next >= bytes) return 0;
    uint32_t first, count = (bytes + VLOG_SEGMENT_BYTES - 1) / VLOG_SEGMENT_BYTES;
    lane->next = lane->end = lane->stage_at = 0; /* the rest of that run comes back when all in it is gone */
    if (!run_find(vlog, count, other_bytes, &first)) return MDB_MAP_FULL;
    vlog->cursor = first + count;
    lane->next = lane->stage_at = (uint64_t)first * VLOG_SEGMENT_BYTES;
    lane->end = lane->next + (uint64_t)count * VLOG_SEGMENT_BYTES;
    return 0;
}

/* The place of the next value, held from now on, and the bytes of nothing before it. */
static int place_take(struct vlog *vlog, struct vlog_lane *lane, const struct iovec *parts, uint32_t part_count, uint64_t other_bytes,
                      struct vlog_place *place, size_t *padding) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < part_count; i++) total += parts[i].iov_len;
    CHECK(total > 0 && total <= UINT32_MAX / 4);
    size_t at = 0;
    bool aligned = aligns(parts, part_count, &at);
    uint32_t bytes = (uint32_t)total + (aligned ? VLOG_BLOCK_BYTES : 0);
    int code = lane->end - lane->next < bytes ? stage_write(lane) : 0;
    if (code) return code;
    space_enter(vlog);
    code = room_make(vlog, lane, bytes, other_bytes);
    if (code == 0) {
        *padding = aligned ? in_block(at - lane->next) : 0;
        *place = (struct vlog_place){.offset = lane->next + *padding, .bytes = (uint32_t)total};
        lane->next += *padding + total;
        place_hold(vlog, place);
    }
    space_leave(vlog);
    return code;
}

static int stage_add(struct vlog_lane *lane, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        size_t step = lane->stage_bytes - lane->staged;
        if (step > count) step = count;
        if (bytes != NULL) {
            memcpy(lane->stage + lane->staged, bytes, step);
            bytes += step;
        } else {
            memset(lane->stage + lane->staged, 0, step);
        }
        lane->staged += step;
        count -= step;
        int code = lane->staged == lane->stage_bytes ? stage_write(lane) : 0;
        if (code) return code;
    }
    return 0;
}

/* Long, and in its block where the next staged byte is in its own: its whole blocks go from where they lie; what is before and behind them, and
 * whatever else, by way of the stage. */
static int part_add(struct vlog_lane *lane, const uint8_t *bytes, size_t count) {
    bool alike = in_block(lane->staged) == in_block((uintptr_t)bytes);
    if (count < VLOG_DIRECT_BYTES || !alike) return stage_add(lane, bytes, count);
    size_t before = in_block(0 - lane->staged), blocks = (count - before) / VLOG_BLOCK_BYTES * VLOG_BLOCK_BYTES;
    int code = stage_add(lane, bytes, before);
    if (code == 0) code = stage_write(lane);
    if (code == 0) code = blocks_write(lane, bytes + before, blocks);
    return code ? code : stage_add(lane, bytes + before + blocks, count - before - blocks);
}

int vlog_append(struct vlog *vlog, enum vlog_lane_name name, uint64_t seed, const struct iovec *parts, uint32_t part_count, uint64_t other_bytes,
                struct vlog_place *place) {
    struct vlog_lane *lane = &vlog->lanes[name];
    size_t padding = 0;
    int code = place_take(vlog, lane, parts, part_count, other_bytes, place, &padding);
    if (code) return code;
    code = stage_add(lane, NULL, padding);
    struct checksum_stream digest = checksum_stream_begin(seed);
    for (uint32_t i = 0; code == 0 && i < part_count; i++) {
        checksum_stream_add(&digest, parts[i].iov_base, parts[i].iov_len);
        code = part_add(lane, parts[i].iov_base, parts[i].iov_len);
    }
    place->digest = checksum_stream_end(&digest);
    return code;
}

int vlog_sync(struct vlog *vlog, enum vlog_lane_name name) {
    struct vlog_lane *lane = &vlog->lanes[name];
    int code = stage_write(lane);
    if (code) return code;
    if (lane->next < lane->end) { /* the next transaction begins a block */
        space_enter(vlog);
        lane->next = lane->stage_at;
        space_leave(vlog);
    }
    if (!lane->unsynced) return 0;
    if (fdatasync(lane->fd) != 0) return failed(lane, errno);
    off_t from = (off_t)lane->written_from, count = (off_t)(lane->written_to - lane->written_from);
    if (!lane->direct) (void)posix_fadvise(lane->fd, from, count, POSIX_FADV_DONTNEED);
    lane->written_from = lane->written_to = 0;
    lane->unsynced = false;
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
