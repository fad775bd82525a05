/* The value log of the write-ahead store: what goes there and what does not, places that are used again and when they must not be, damage. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "store/record.h"
#include "store/wal.h"
#include "tests/store/scratch.h"

enum { LONG_BYTES = 100000, SEGMENT = VLOG_SEGMENT_BYTES, MAP_BYTES = 64 << 20 };

/* Interposed: a file system that knows no O_DIRECT. */
static bool refuses_direct, refused_direct, refuses_writes;

static int open_some(const char *path, int flags, mode_t mode) {
    if (refuses_direct && (flags & O_DIRECT) != 0) {
        refused_direct = true;
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list words) {
    return (flags & O_CREAT) != 0 ? (mode_t)va_arg(words, unsigned) : 0;
}

int open(const char *path, int flags, ...) {
    va_list words;
    va_start(words, flags);
    mode_t mode = mode_of(flags, words);
    va_end(words);
    return open_some(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list words;
    va_start(words, flags);
    mode_t mode = mode_of(flags, words);
    va_end(words);
    return open_some(path, flags, mode);
}

/* Of what was written, what lay in the submitter's own memory. */
static const uint8_t *own;
static size_t own_bytes, own_written;

static ssize_t pwrite_some(int fd, const void *bytes, size_t count, off_t offset) {
    if (own != NULL && (const uint8_t *)bytes >= own && (const uint8_t *)bytes < own + own_bytes) own_written += count;
    if (refuses_writes && (fcntl(fd, F_GETFL) & O_DIRECT) != 0) {
        refused_direct = true;
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, bytes, count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite_some(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite_some(fd, bytes, count, offset);
}

struct fixture {
    char root[SCRATCH_PATH_BYTES], path[SCRATCH_PATH_BYTES + 16], file[SCRATCH_PATH_BYTES + 32], data[SCRATCH_PATH_BYTES + 32];
    struct store_identity identity;
    struct store_directory *directory;
    struct store_error error;
    struct wal *wal;
};

static enum store_status wal_begin(struct fixture *at) {
    struct wal_config config = {.directory = at->directory, .identity = at->identity, .map_bytes = MAP_BYTES, .queue_slots = 16, .cpu = -1};
    return wal_open(&config, &at->wal, &at->error);
}

static void again(struct fixture *at) {
    assert_int_equal(wal_close(at->wal), STORE_OK);
    assert_int_equal(wal_begin(at), STORE_OK);
}

static int set_up(void **state) {
    struct fixture *at = calloc(1, sizeof *at);
    CHECK(at != NULL);
    scratch_make(at->root);
    (void)snprintf(at->path, sizeof at->path, "%s/data", at->root);
    (void)snprintf(at->file, sizeof at->file, "%s/wal/values", at->path);
    (void)snprintf(at->data, sizeof at->data, "%s/wal/data.mdb", at->path);
    at->identity = scratch_identity(0xA1);
    at->directory = scratch_directory(at->root, &at->identity);
    CHECK(wal_begin(at) == STORE_OK);
    *state = at;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *at = *state;
    (void)wal_close(at->wal);
    store_directory_close(at->directory);
    scratch_remove(at->root);
    free(at);
    return 0;
}

/* A value of its own for each key and turn. */
static uint8_t *value_of(unsigned key, unsigned turn, size_t bytes) {
    uint8_t *value = malloc(bytes + 1);
    CHECK(value != NULL);
    uint32_t word = key * 2654435761u + turn * 40503u + 1;
    for (size_t i = 0; i < bytes; i++) {
        word = word * 1664525u + 1013904223u;
        value[i] = (uint8_t)(word >> 24);
    }
    return value;
}

static enum store_status put(struct fixture *at, enum wal_db db, unsigned key, unsigned turn, size_t bytes) {
    uint8_t *value = value_of(key, turn, bytes);
    struct iovec parts[3] = {{value, bytes / 3}, {value + bytes / 3, 0}, {value + bytes / 3, bytes - bytes / 3}};
    struct wal_record record = {.operation = WAL_PUT, .db = db, .key = {(uint8_t)(key >> 8), (uint8_t)key}, .parts = parts, .part_count = 3};
    struct wal_batch batch = {.records = &record, .record_count = 1};
    uint64_t sequence = 0;
    enum store_status status = wal_submit(at->wal, &batch, &sequence);
    if (status == STORE_OK) status = wal_wait(at->wal, sequence);
    free(value);
    return status;
}

static void erase(struct fixture *at, enum wal_operation operation, unsigned key, unsigned end) {
    struct wal_record record = {
        .operation = operation, .db = WAL_INPUTS, .key = {(uint8_t)(key >> 8), (uint8_t)key}, .key_end = {(uint8_t)(end >> 8), (uint8_t)end}};
    struct wal_batch batch = {.records = &record, .record_count = 1};
    uint64_t sequence = 0;
    assert_int_equal(wal_submit(at->wal, &batch, &sequence), STORE_OK);
    assert_int_equal(wal_wait(at->wal, sequence), STORE_OK);
}

/* Is it what put() put in that turn? Any other status as it is; STORE_FOREIGN: other bytes. */
static enum store_status read_by(struct wal_reader *reader, enum wal_db db, unsigned key, unsigned turn, size_t bytes) {
    uint8_t at[WAL_KEY_BYTES_MAX] = {(uint8_t)(key >> 8), (uint8_t)key}, *found = NULL;
    size_t count = 0;
    enum store_status status = wal_read_whole(reader, db, at, &found, &count);
    if (status != STORE_OK) return status;
    uint8_t *value = value_of(key, turn, bytes);
    if (count != bytes || memcmp(value, found, bytes) != 0) status = STORE_FOREIGN;
    free(value);
    free(found);
    return status;
}

static enum store_status look(struct fixture *at, unsigned key, unsigned turn, size_t bytes) {
    struct wal_reader *reader;
    assert_int_equal(wal_reader_open(at->wal, &reader), STORE_OK);
    enum store_status status = read_by(reader, WAL_INPUTS, key, turn, bytes);
    wal_reader_close(reader);
    return status;
}

static uint64_t bytes_of(const char *file) {
    struct stat about;
    assert_int_equal(stat(file, &about), 0);
    return (uint64_t)about.st_size;
}

static void long_values_lie_there_and_come_back(void **state) {
    static const size_t lengths[] = {65536, 65537, LONG_BYTES, SEGMENT - 1, SEGMENT, SEGMENT + 1, 3 * SEGMENT + 5, (5 << 20) - 4096};
    enum { COUNT = sizeof lengths / sizeof lengths[0] };
    struct fixture *at = *state;
    uint64_t before = bytes_of(at->data);
    for (unsigned i = 0; i < COUNT; i++) assert_int_equal(put(at, WAL_INPUTS, i, 1, lengths[i]), STORE_OK);
    assert_true(bytes_of(at->file) > 5 << 20);
    assert_true(bytes_of(at->data) < before + LONG_BYTES); /* LMDB has their places alone */
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < COUNT; i++) assert_int_equal(look(at, i, 1, lengths[i]), STORE_OK);
        again(at);
    }
    struct wal_figures figures;
    wal_figures(at->wal, &figures);
    assert_true(figures.used_bytes > 5 << 20 && figures.file_bytes >= figures.used_bytes);
}

static void little_lies_in_lmdb(void **state) {
    struct fixture *at = *state;
    for (unsigned i = 0; i < 20; i++) assert_int_equal(put(at, WAL_INPUTS, i, 1, 65535), STORE_OK);
    assert_int_equal(put(at, WAL_VOTES, 1, 1, LONG_BYTES), STORE_OK); /* no such length there: by itself, in one place with all votes */
    assert_int_equal(bytes_of(at->file), 0);
    for (unsigned i = 0; i < 20; i++) assert_int_equal(look(at, i, 1, 65535), STORE_OK);
}

static void each_form_replaces_the_other(void **state) {
    static const size_t lengths[] = {LONG_BYTES, 10, LONG_BYTES + 1, 40000, 200000, 0, 65536, 40000};
    struct fixture *at = *state;
    for (unsigned turn = 0; turn < sizeof lengths / sizeof lengths[0]; turn++) {
        assert_int_equal(put(at, WAL_INPUTS, 7, turn, lengths[turn]), STORE_OK);
        assert_int_equal(look(at, 7, turn, lengths[turn]), STORE_OK);
        again(at);
        assert_int_equal(look(at, 7, turn, lengths[turn]), STORE_OK);
        assert_int_equal(look(at, 6, 0, 0), STORE_ABSENT);
    }
    erase(at, WAL_DELETE, 7, 0);
    assert_int_equal(look(at, 7, 0, 0), STORE_ABSENT);
}

/* What is deleted, in whichever way, and also in an earlier life, gives its place back. */
static void places_are_used_again(void **state) {
    enum { KEPT = 30 };
    struct fixture *at = *state;
    uint64_t grown = 0;
    for (unsigned turn = 0; turn < 1500; turn++) {
        assert_int_equal(put(at, WAL_INPUTS, turn, turn, LONG_BYTES), STORE_OK);
        if (turn >= KEPT && turn % 3 == 0) erase(at, WAL_DELETE, turn - KEPT, 0);
        if (turn >= KEPT && turn % 3 == 2) erase(at, WAL_DELETE_RANGE, turn - KEPT - 1, turn - KEPT + 1);
        if (turn % 100 == 50) assert_int_equal(put(at, WAL_INPUTS, turn, turn, LONG_BYTES), STORE_OK);
        if (turn % 400 == 399) again(at);
        if (turn == 200) grown = bytes_of(at->file);
    }
    assert_true(bytes_of(at->file) <= grown + 2 * SEGMENT && grown < 12 * SEGMENT);
    for (unsigned turn = 1500 - KEPT + 1; turn < 1500; turn++) assert_int_equal(look(at, turn, turn, LONG_BYTES), STORE_OK);
}

static void a_reader_keeps_what_it_sees(void **state) {
    struct fixture *at = *state;
    for (unsigned i = 0; i < 20; i++) assert_int_equal(put(at, WAL_INPUTS, i, 1, LONG_BYTES), STORE_OK);
    struct wal_reader *first, *second;
    assert_int_equal(wal_reader_open(at->wal, &first), STORE_OK);
    erase(at, WAL_DELETE_RANGE, 0, 10);
    assert_int_equal(wal_reader_open(at->wal, &second), STORE_OK);
    erase(at, WAL_DELETE_RANGE, 10, 20);
    for (unsigned turn = 0; turn < 60; turn++) {
        assert_int_equal(put(at, WAL_INPUTS, 100, turn, LONG_BYTES), STORE_OK);
        for (unsigned i = 0; i < 20; i++) {
            assert_int_equal(read_by(first, WAL_INPUTS, i, 1, LONG_BYTES), STORE_OK);
            assert_int_equal(read_by(second, WAL_INPUTS, i, 1, LONG_BYTES), i < 10 ? STORE_ABSENT : STORE_OK);
        }
    }
    wal_reader_close(first);
    wal_reader_close(second);
    for (unsigned turn = 0; turn < 30; turn++) assert_int_equal(put(at, WAL_INPUTS, 100, turn, LONG_BYTES), STORE_OK);
    uint64_t bytes = bytes_of(at->file);
    for (unsigned turn = 0; turn < 100; turn++) assert_int_equal(put(at, WAL_INPUTS, 100, turn, LONG_BYTES), STORE_OK);
    assert_int_equal(bytes_of(at->file), bytes); /* theirs are used now */
}

static void flip(const char *file, off_t offset) {
    int fd = open(file, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;
    assert_true(fd >= 0 && pread(fd, &byte, 1, offset) == 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    close(fd);
}

static void damage_is_told(void **state) {
    struct fixture *at = *state;
    for (unsigned i = 0; i < 3; i++) assert_int_equal(put(at, WAL_INPUTS, i, 1, LONG_BYTES), STORE_OK);
    enum { SECOND = (LONG_BYTES + VLOG_BLOCK_BYTES - 1) / VLOG_BLOCK_BYTES * VLOG_BLOCK_BYTES };
    static const off_t places[] = {SECOND, SECOND + 31, SECOND + LONG_BYTES / 2, SECOND + LONG_BYTES - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        flip(at->file, places[i]);
        assert_int_equal(look(at, 0, 1, LONG_BYTES), STORE_OK);
        assert_int_equal(look(at, 1, 1, LONG_BYTES), STORE_DAMAGED);
        assert_int_equal(look(at, 2, 1, LONG_BYTES), STORE_OK);
        flip(at->file, places[i]);
        assert_int_equal(look(at, 1, 1, LONG_BYTES), STORE_OK);
    }
    assert_int_equal(truncate(at->file, SECOND + 100), 0);
    assert_int_equal(look(at, 0, 1, LONG_BYTES), STORE_OK);
    assert_int_equal(look(at, 1, 1, LONG_BYTES), STORE_DAMAGED);
    assert_int_equal(wal_close(at->wal), STORE_OK);
    assert_int_equal(unlink(at->file), 0);
    assert_int_equal(wal_begin(at), STORE_OK); /* votes lie elsewhere: the node comes up, and gets the rest from others */
    for (unsigned i = 0; i < 3; i++) assert_int_equal(look(at, i, 1, LONG_BYTES), STORE_DAMAGED);
    struct wal_figures figures;
    wal_figures(at->wal, &figures);
    assert_int_equal(figures.values_lost, 3);
    /* What was lost is deleted later, and its places are not those of what came meanwhile. */
    for (unsigned i = 10; i < 30; i++) assert_int_equal(put(at, WAL_INPUTS, i, 2, LONG_BYTES), STORE_OK);
    assert_int_equal(put(at, WAL_INPUTS, 1, 2, LONG_BYTES), STORE_OK);
    erase(at, WAL_DELETE, 0, 0);
    erase(at, WAL_DELETE_RANGE, 2, 3);
    for (unsigned i = 30; i < 60; i++) assert_int_equal(put(at, WAL_INPUTS, i, 2, LONG_BYTES), STORE_OK);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(look(at, 1, 2, LONG_BYTES), STORE_OK);
        for (unsigned i = 10; i < 60; i++) assert_int_equal(look(at, i, 2, LONG_BYTES), STORE_OK);
        again(at);
    }
}

/* What a transaction deletes is not written over before it is committed: power may go before that. */
static void a_transaction_spares_what_it_deletes(void **state) {
    struct fixture *at = *state;
    assert_int_equal(put(at, WAL_INPUTS, 1, 1, 1000000), STORE_OK);
    uint8_t *value = value_of(2, 1, 1000000);
    struct iovec part = {value, 1000000};
    struct wal_record records[2] = {{.operation = WAL_DELETE, .db = WAL_INPUTS, .key = {0, 1}},
                                    {.operation = WAL_PUT, .db = WAL_INPUTS, .key = {0, 2}, .parts = &part, .part_count = 1}};
    struct wal_batch batch = {.records = records, .record_count = 2};
    uint64_t sequence = 0;
    assert_int_equal(wal_submit(at->wal, &batch, &sequence), STORE_OK);
    assert_int_equal(wal_wait(at->wal, sequence), STORE_OK);
    assert_true(bytes_of(at->file) > SEGMENT); /* beside it */
    assert_int_equal(look(at, 2, 1, 1000000), STORE_OK); /* by a reader, for whom LMDB commits */
    assert_int_equal(put(at, WAL_INPUTS, 3, 1, 1000000), STORE_OK);
    assert_true(bytes_of(at->file) <= 2 * SEGMENT); /* and in its place now */
    assert_int_equal(look(at, 2, 1, 1000000), STORE_OK);
    assert_int_equal(look(at, 3, 1, 1000000), STORE_OK);
    free(value);
}

/* Another's value at its place is none of it, even of the same length. */
static void a_value_that_was_changed_for_another_is_damaged(void **state) {
    struct fixture *at = *state;
    for (unsigned i = 0; i < 2; i++) assert_int_equal(put(at, WAL_INPUTS, i, 0, LONG_BYTES), STORE_OK);
    int fd = open(at->file, O_RDWR | O_CLOEXEC);
    uint8_t *first = value_of(0, 0, LONG_BYTES);
    assert_int_equal(pwrite(fd, first, LONG_BYTES, (LONG_BYTES + VLOG_BLOCK_BYTES - 1) / VLOG_BLOCK_BYTES * VLOG_BLOCK_BYTES), LONG_BYTES);
    assert_int_equal(look(at, 0, 0, LONG_BYTES), STORE_OK);
    assert_int_equal(look(at, 1, 0, LONG_BYTES), STORE_DAMAGED);
    close(fd);
    free(first);
}

static uint64_t room_of(const char *file) {
    struct stat about;
    assert_int_equal(stat(file, &about), 0);
    return (uint64_t)about.st_blocks * 512;
}

/* Puts such values until the store is full; how many. */
static unsigned fill_up(struct fixture *at, unsigned first, size_t bytes) {
    enum store_status status;
    unsigned count = 0;
    while ((status = put(at, WAL_INPUTS, first + count, 1, bytes)) == STORE_OK) assert_true(++count < 4000);
    assert_int_equal(status, STORE_DISK_FULL);
    assert_int_equal(wal_error(at->wal, &at->error), STORE_DISK_FULL);
    assert_non_null(strstr(at->error.text, "raise the limit"));
    assert_int_equal(wal_close(at->wal), STORE_DISK_FULL);
    assert_int_equal(wal_begin(at), STORE_OK);
    return count;
}

static void both_files_together_grow_to_the_limit(void **state) {
    struct fixture *at = *state;
    unsigned count = fill_up(at, 0, 900000);
    assert_true(count >= 50);
    for (unsigned i = 0; i < count; i++) assert_int_equal(look(at, i, 1, 900000), STORE_OK);
    erase(at, WAL_DELETE_RANGE, 0, 10);
    unsigned more = fill_up(at, 100, 30000); /* which LMDB takes, and the value log gives back what is free of it */
    assert_true(more > 50);
    assert_true(room_of(at->file) + room_of(at->data) <= MAP_BYTES + 2 * SEGMENT);
    for (unsigned i = 10; i < count; i++) assert_int_equal(look(at, i, 1, 900000), STORE_OK);
    for (unsigned i = 0; i < more; i++) assert_int_equal(look(at, 100 + i, 1, 30000), STORE_OK);
}

/* LMDB's file keeps its length when all in it is deleted; then it takes long values as well. */
static void what_lmdb_grew_to_is_room_too(void **state) {
    struct fixture *at = *state;
    for (unsigned i = 0; i < 1800; i++) assert_int_equal(put(at, WAL_INPUTS, i, 1, 30000), STORE_OK);
    erase(at, WAL_DELETE_RANGE, 0, 1800);
    assert_true(bytes_of(at->data) > MAP_BYTES / 4 * 3);
    for (unsigned i = 0; i < 40; i++) assert_int_equal(put(at, WAL_INPUTS, i, 2, 900000), STORE_OK);
    again(at);
    for (unsigned i = 0; i < 40; i++) assert_int_equal(look(at, i, 2, 900000), STORE_OK);
}

/* Room in pieces that are too short for a value, or that the end of the file parts, is no full store. */
static void free_segments_anywhere_are_room(void **state) {
    struct fixture *at = *state;
    for (unsigned i = 0; i < 56; i++) assert_int_equal(put(at, WAL_INPUTS, i, 1, 1000000), STORE_OK);
    for (unsigned i = 0; i < 56; i += 2) erase(at, WAL_DELETE, i, 0);
    for (unsigned i = 0; i < 5; i++) assert_int_equal(put(at, WAL_INPUTS, 100 + i, 1, 1100000), STORE_OK);
    for (unsigned i = 0; i < 5; i++) assert_int_equal(look(at, 100 + i, 1, 1100000), STORE_OK);
    for (unsigned i = 1; i < 56; i += 2) assert_int_equal(look(at, i, 1, 1000000), STORE_OK);
    erase(at, WAL_DELETE_RANGE, 20, 40);
    for (unsigned turn = 0; turn < 30; turn++) assert_int_equal(put(at, WAL_INPUTS, 200, turn, 3 << 20), STORE_OK);
    assert_int_equal(look(at, 200, 29, 3 << 20), STORE_OK);
    for (unsigned i = 1; i < 20; i += 2) assert_int_equal(look(at, i, 1, 1000000), STORE_OK);
    for (unsigned i = 41; i < 56; i += 2) assert_int_equal(look(at, i, 1, 1000000), STORE_OK);
}

static void a_file_that_is_longer_is_cut(void **state) {
    struct fixture *at = *state;
    assert_int_equal(put(at, WAL_INPUTS, 1, 1, LONG_BYTES), STORE_OK);
    assert_int_equal(wal_close(at->wal), STORE_OK);
    assert_int_equal(truncate(at->file, 4ll << 30), 0);
    assert_int_equal(wal_begin(at), STORE_OK);
    assert_true(bytes_of(at->file) <= SEGMENT);
    for (unsigned turn = 0; turn < 40; turn++) {
        assert_int_equal(put(at, WAL_INPUTS, 2, turn, 900000), STORE_OK);
        assert_int_equal(look(at, 2, turn, 900000), STORE_OK); /* LMDB commits, and the place before is free */
    }
    assert_true(bytes_of(at->file) <= 4 * SEGMENT);
    assert_int_equal(look(at, 1, 1, LONG_BYTES), STORE_OK);
}

static void what_is_no_file_is_refused(void **state) {
    struct fixture *at = *state;
    assert_int_equal(wal_close(at->wal), STORE_OK);
    for (int kind = 0; kind < 2; kind++) {
        (void)unlink(at->file);
        assert_int_equal(kind == 0 ? mkdir(at->file, 0700) : symlink(at->data, at->file), 0);
        assert_int_equal(wal_begin(at), STORE_FOREIGN);
        assert_non_null(strstr(at->error.text, "wal/values: no regular file"));
        assert_int_equal(kind == 0 ? rmdir(at->file) : unlink(at->file), 0);
    }
    assert_int_equal(wal_begin(at), STORE_OK);
}

enum { MANY = 4, OWN_BYTES = 8 << 20 };

struct spread {
    uint8_t *memory;
    uint32_t word;
    size_t at[MANY], bytes[MANY];
};

static uint32_t spread_below(struct spread *spread, uint32_t bound) {
    spread->word = spread->word * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(spread->word >> 1) * bound >> 31);
}

/* Several values in one batch, each in three parts that lie somewhere in one piece of memory, of lengths about where they begin to go directly. */
static void spread_put(struct fixture *at, struct spread *spread) {
    struct wal_record records[MANY];
    struct iovec parts[MANY][3];
    memset(records, 0, sizeof records);
    for (uint32_t i = 0; i < MANY; i++) {
        size_t lengths[3] = {spread_below(spread, 9000), VLOG_DIRECT_BYTES - 2 + spread_below(spread, 5), spread_below(spread, 2) * 300000};
        spread->bytes[i] = lengths[0] + lengths[1] + lengths[2];
        spread->at[i] = spread_below(spread, (uint32_t)(OWN_BYTES - spread->bytes[i]));
        uint8_t *part = spread->memory + spread->at[i];
        for (uint32_t k = 0; k < 3; part += lengths[k++]) parts[i][k] = (struct iovec){part, lengths[k]};
        records[i] = (struct wal_record){.operation = WAL_PUT, .db = WAL_INPUTS, .key = {0, (uint8_t)i}, .parts = parts[i], .part_count = 3};
    }
    struct wal_batch batch = {.records = records, .record_count = MANY};
    uint64_t sequence = 0;
    assert_int_equal(wal_submit(at->wal, &batch, &sequence), STORE_OK);
    assert_int_equal(wal_wait(at->wal, sequence), STORE_OK);
}

static void spread_look(struct fixture *at, const struct spread *spread) {
    struct wal_reader *reader;
    assert_int_equal(wal_reader_open(at->wal, &reader), STORE_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        uint8_t key[WAL_KEY_BYTES_MAX] = {0, (uint8_t)i}, *found = NULL;
        size_t count = 0;
        assert_int_equal(wal_read_whole(reader, WAL_INPUTS, key, &found, &count), STORE_OK);
        assert_int_equal(count, spread->bytes[i]);
        assert_memory_equal(found, spread->memory + spread->at[i], count);
        free(found);
    }
    wal_reader_close(reader);
}

static void long_parts_may_lie_anywhere(void **state) {
    struct fixture *at = *state;
    struct spread spread = {.memory = value_of(1, 1, OWN_BYTES), .word = 5};
    for (uint32_t turn = 0; turn < 60; turn++) {
        refuses_writes = turn == 30;
        spread_put(at, &spread);
        refuses_writes = false;
        spread_look(at, &spread);
        if (turn % 10 == 9) again(at);
        spread_look(at, &spread);
    }
    free(spread.memory);
}

static void a_long_part_goes_to_the_disk_from_where_it_lies(void **state) {
    enum { BYTES = 3 << 20, HEAD = 4 };
    struct fixture *at = *state;
    uint8_t head[HEAD] = {1, 2, 3, 4}, *value = value_of(9, 9, BYTES + 5000);
    for (uint32_t shift = 0; shift < 5000; shift += 977) {
        struct iovec parts[] = {{head, HEAD}, {value + shift, BYTES}};
        struct wal_record record = {.operation = WAL_PUT, .db = WAL_INPUTS, .parts = parts, .part_count = 2};
        struct wal_batch batch = {.records = &record, .record_count = 1};
        uint64_t sequence = 0;
        own = value + shift;
        own_bytes = BYTES;
        own_written = 0;
        assert_int_equal(wal_submit(at->wal, &batch, &sequence), STORE_OK);
        assert_int_equal(wal_wait(at->wal, sequence), STORE_OK);
        own = NULL;
        assert_true(own_written > BYTES - 2 * VLOG_BLOCK_BYTES);
        struct wal_reader *reader;
        uint8_t *found = NULL, key[WAL_KEY_BYTES_MAX] = {0};
        size_t count = 0;
        assert_int_equal(wal_reader_open(at->wal, &reader), STORE_OK);
        assert_int_equal(wal_read_whole(reader, WAL_INPUTS, key, &found, &count), STORE_OK);
        assert_true(count == BYTES + HEAD && memcmp(found, head, HEAD) == 0 && memcmp(found + HEAD, value + shift, BYTES) == 0);
        wal_reader_close(reader);
        free(found);
    }
    free(value);
}

static void works_without_o_direct(struct fixture *at) {
    for (unsigned turn = 0; turn < 60; turn++) assert_int_equal(put(at, WAL_INPUTS, turn % 7, turn, LONG_BYTES + turn), STORE_OK);
    for (unsigned turn = 53; turn < 60; turn++) assert_int_equal(look(at, turn % 7, turn, LONG_BYTES + turn), STORE_OK);
    again(at);
    for (unsigned turn = 53; turn < 60; turn++) assert_int_equal(look(at, turn % 7, turn, LONG_BYTES + turn), STORE_OK);
}

static void without_o_direct_it_works_the_same(void **state) {
    struct fixture *at = *state;
    assert_int_equal(wal_close(at->wal), STORE_OK);
    refused_direct = false;
    refuses_direct = true;
    assert_int_equal(wal_begin(at), STORE_OK);
    refuses_direct = false;
    assert_true(refused_direct);
    works_without_o_direct(at);
}

static void a_disk_that_wants_other_blocks_is_written_through_the_cache(void **state) {
    refused_direct = false;
    refuses_writes = true;
    works_without_o_direct(*state);
    refuses_writes = false;
    assert_true(refused_direct);
}

/* A disk may give back any bytes as a place. */
static void any_bytes_may_stand_for_a_place(void **state) {
    (void)state;
    uint8_t key[36] = {1}, stored[RECORD_PLACE_BYTES + 1] = {0};
    struct vlog_place place;
    uint32_t word = 7, accepted = 0;
    for (int i = 0; i < 200000; i++) {
        for (size_t k = 0; k < sizeof stored; k++) {
            word = word * 1664525u + 1013904223u;
            stored[k] = (uint8_t)(word >> 24);
        }
        size_t bytes = word >> 8 & 1 ? RECORD_PLACE_BYTES : word % (RECORD_PLACE_BYTES + 2);
        accepted += record_place_decode(0x13, 32, key, sizeof key, stored, bytes, &place);
    }
    assert_true(accepted < 3);
    bytes_put_le64(stored + 8, 4096);
    bytes_put_le64(stored + 16, 99);
    record_chunk_seal(0x13, key, sizeof key, stored, 16, UINT32_C(1) << 31 | 5000);
    assert_true(record_place_decode(0x13, 32, key, sizeof key, stored, RECORD_PLACE_BYTES, &place));
    assert_true(place.offset == 4096 && place.bytes == 5000 && place.digest == 99);
    assert_false(record_place_decode(0x14, 32, key, sizeof key, stored, RECORD_PLACE_BYTES, &place));
    for (size_t i = 0; i < RECORD_PLACE_BYTES; i++) {
        stored[i] ^= 0x40;
        assert_false(record_place_decode(0x13, 32, key, sizeof key, stored, RECORD_PLACE_BYTES, &place));
        stored[i] ^= 0x40;
    }
    key[35] = 1; /* a later chunk is none */
    record_chunk_seal(0x13, key, sizeof key, stored, 16, UINT32_C(1) << 31 | 5000);
    assert_false(record_place_decode(0x13, 32, key, sizeof key, stored, RECORD_PLACE_BYTES, &place));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(long_values_lie_there_and_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(little_lies_in_lmdb, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_form_replaces_the_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(places_are_used_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_keeps_what_it_sees, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_value_that_was_changed_for_another_is_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_spares_what_it_deletes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(both_files_together_grow_to_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_lmdb_grew_to_is_room_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(free_segments_anywhere_are_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_longer_is_cut, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_parts_may_lie_anywhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_part_goes_to_the_disk_from_where_it_lies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_o_direct_it_works_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_wants_other_blocks_is_written_through_the_cache, set_up, tear_down),
        cmocka_unit_test(any_bytes_may_stand_for_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
