/* The journal of the write-ahead store: what it had and LMDB had not comes back after a crash, and nothing else; damage; older data. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "store/env.h"
#include "store/journal.h"
#include "store/wal.h"
#include "store/wal_entry.h"
#include "tests/store/scratch.h"

enum { MAP_BYTES = 128 << 20, BLOCK = JOURNAL_BLOCK_BYTES, FILES = 3 };

/* Interposed: pauses of the storage thread that never end by themselves, so that LMDB takes over nothing for its age; a failing write. */
static _Atomic bool stands;
static _Atomic bool refuses_journal;

int poll(struct pollfd *files, nfds_t count, int timeout_ms) {
    const struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    return (int)syscall(SYS_ppoll, files, count, timeout_ms < 0 || atomic_load(&stands) ? NULL : &timeout, NULL, 0);
}

static ssize_t pwrite_some(int fd, const void *bytes, size_t count, off_t offset) {
    if (atomic_load(&refuses_journal) && (fcntl(fd, F_GETFL) & O_DSYNC) != 0 && count >= 4 && memcmp(bytes, "HJNL", 4) == 0) {
        errno = EIO;
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
    char root[SCRATCH_PATH_BYTES], path[SCRATCH_PATH_BYTES + 16], journal[SCRATCH_PATH_BYTES + 32];
    char live[FILES][SCRATCH_PATH_BYTES + 32], kept[FILES][SCRATCH_PATH_BYTES + 32];
    struct store_identity identity;
    struct store_directory *directory;
    struct store_error error;
    struct wal *wal;
};

static enum store_status wal_begin(struct fixture *at) {
    struct wal_config config = {.directory = at->directory, .identity = at->identity, .map_bytes = MAP_BYTES, .queue_slots = 64, .cpu = -1};
    enum store_status status = wal_open(&config, &at->wal, &at->error);
    if (status != STORE_OK) at->wal = NULL;
    return status;
}

static void end(struct fixture *at) {
    assert_int_equal(wal_close(at->wal), STORE_OK);
    at->wal = NULL;
}

static void again(struct fixture *at) {
    end(at);
    assert_int_equal(wal_begin(at), STORE_OK);
}

static void directory_begin(struct fixture *at) {
    static const char *const names[FILES] = {"data.mdb", "journal", "values"};
    for (int i = 0; i < FILES; i++) {
        (void)snprintf(at->live[i], sizeof at->live[i], "%s/wal/%s", at->path, names[i]);
        (void)snprintf(at->kept[i], sizeof at->kept[i], "%s/%s", at->root, names[i]);
    }
    (void)snprintf(at->journal, sizeof at->journal, "%s/wal/journal", at->path);
    at->directory = scratch_directory(at->root, &at->identity);
    CHECK(wal_begin(at) == STORE_OK);
}

static int set_up(void **state) {
    struct fixture *at = calloc(1, sizeof *at);
    CHECK(at != NULL);
    scratch_make(at->root);
    (void)snprintf(at->path, sizeof at->path, "%s/data", at->root);
    at->identity = scratch_identity(0xA1);
    atomic_store(&stands, true);
    directory_begin(at);
    *state = at;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *at = *state;
    (void)wal_close(at->wal);
    store_directory_close(at->directory);
    scratch_remove(at->root);
    atomic_store(&stands, false);
    atomic_store(&refuses_journal, false);
    free(at);
    return 0;
}

/* What a crash here and now would leave. */
static void files_keep(struct fixture *at) {
    for (int i = 0; i < FILES; i++) scratch_copy(at->live[i], at->kept[i]);
}

static void files_put_back(struct fixture *at) {
    for (int i = 0; i < FILES; i++) scratch_copy(at->kept[i], at->live[i]);
}

static void crash(struct fixture *at) {
    files_keep(at);
    end(at);
    files_put_back(at);
}

static void crash_and_begin(struct fixture *at) {
    crash(at);
    assert_int_equal(wal_begin(at), STORE_OK);
}

static uint64_t folds_of(const struct fixture *at) {
    struct wal_figures figures;
    wal_figures(at->wal, &figures);
    return figures.folds;
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

static struct wal_record record_of(enum wal_operation operation, enum wal_db db, unsigned key, unsigned key_end) {
    return (struct wal_record){
        .operation = operation, .db = db, .key = {(uint8_t)(key >> 8), (uint8_t)key}, .key_end = {(uint8_t)(key_end >> 8), (uint8_t)key_end}};
}

static enum store_status submit(struct fixture *at, const struct wal_record *records, uint32_t count) {
    struct wal_batch batch = {.records = records, .record_count = count};
    uint64_t sequence = 0;
    enum store_status status = wal_submit(at->wal, &batch, &sequence);
    return status == STORE_OK ? wal_wait(at->wal, sequence) : status;
}

static enum store_status put_bytes(struct fixture *at, enum wal_db db, unsigned key, uint8_t *value, size_t bytes) {
    struct iovec parts[2] = {{value, bytes / 3}, {value + bytes / 3, bytes - bytes / 3}};
    struct wal_record record = record_of(WAL_PUT, db, key, 0);
    record.parts = parts;
    record.part_count = 2;
    return submit(at, &record, 1);
}

static void put(struct fixture *at, enum wal_db db, unsigned key, unsigned turn, size_t bytes) {
    uint8_t *value = value_of(key, turn, bytes);
    assert_int_equal(put_bytes(at, db, key, value, bytes), STORE_OK);
    free(value);
}

static void erase(struct fixture *at, enum wal_operation operation, enum wal_db db, unsigned key, unsigned key_end) {
    struct wal_record record = record_of(operation, db, key, key_end);
    assert_int_equal(submit(at, &record, 1), STORE_OK);
}

/* Is it what put() put in that turn? STORE_FOREIGN: other bytes. */
static enum store_status read_by(struct wal_reader *reader, enum wal_db db, unsigned key, unsigned turn, size_t bytes) {
    struct wal_record record = record_of(WAL_PUT, db, key, 0);
    uint8_t *found = NULL;
    size_t count = 0;
    enum store_status status = wal_read_whole(reader, db, record.key, &found, &count);
    if (status != STORE_OK) return status;
    uint8_t *value = value_of(key, turn, bytes);
    if (count != bytes || memcmp(value, found, bytes) != 0) status = STORE_FOREIGN;
    free(value);
    free(found);
    return status;
}

static enum store_status look_by(struct fixture *at, enum store_status (*open)(struct wal *, struct wal_reader **), enum wal_db db, unsigned key,
                                 unsigned turn, size_t bytes) {
    struct wal_reader *reader;
    assert_int_equal(open(at->wal, &reader), STORE_OK);
    enum store_status status = read_by(reader, db, key, turn, bytes);
    wal_reader_close(reader);
    return status;
}

static enum store_status look(struct fixture *at, enum wal_db db, unsigned key, unsigned turn, size_t bytes) {
    return look_by(at, wal_reader_open, db, key, turn, bytes);
}

static enum store_status look_behind(struct fixture *at, enum wal_db db, unsigned key, unsigned turn, size_t bytes) {
    return look_by(at, wal_reader_open_behind, db, key, turn, bytes);
}

static uint8_t *file_read(const char *path, size_t *bytes) {
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0 && fstat(fd, &about) == 0);
    *bytes = (size_t)about.st_size;
    uint8_t *all = malloc(*bytes + 1);
    CHECK(all != NULL && read(fd, all, *bytes) == (ssize_t)*bytes && close(fd) == 0);
    return all;
}

static void file_write(const char *path, const uint8_t *bytes, size_t count) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0 && write(fd, bytes, count) == (ssize_t)count && close(fd) == 0);
}

static void assert_journal_damaged(struct fixture *at) {
    assert_int_equal(wal_begin(at), STORE_DAMAGED);
    assert_non_null(strstr(at->error.text, "wal/journal"));
    assert_null(strchr(at->error.text, '\n'));
}

/* ---- what comes back ---- */

static void what_was_acknowledged_comes_back(void **state) {
    struct fixture *at = *state;
    for (unsigned i = 0; i < 20; i++) put(at, WAL_VOTES, i, 1, 100 + i);
    for (unsigned i = 0; i < 8; i++) put(at, WAL_INPUTS, i, 1, 70000);
    assert_int_equal(look(at, WAL_VOTES, 3, 1, 103), STORE_OK); /* by a reader, for whom LMDB commits */
    uint64_t folds = folds_of(at);
    put(at, WAL_VOTES, 3, 2, 0);              /* replaced by nothing, by more than a chunk, by more than a block */
    put(at, WAL_VOTES, 4, 2, 40000);
    put(at, WAL_CHAIN, 9, 1, BLOCK);
    erase(at, WAL_DELETE, WAL_VOTES, 5, 0);
    erase(at, WAL_DELETE_RANGE, WAL_VOTES, 10, 15);
    put(at, WAL_VOTES, 12, 2, 12);            /* after the range had it */
    put(at, WAL_INPUTS, 1, 2, 80000);         /* far by far, far by near, near by far, and new */
    put(at, WAL_INPUTS, 2, 2, 10);
    put(at, WAL_BLOCKS, 1, 1, 10);
    put(at, WAL_BLOCKS, 1, 2, 90000);
    erase(at, WAL_DELETE, WAL_INPUTS, 3, 0);
    erase(at, WAL_DELETE_RANGE, WAL_INPUTS, 5, 7);
    put(at, WAL_MISC, 7, 1, 1);
    assert_int_equal(folds_of(at), folds);    /* the journal alone has all that */
    assert_int_equal(look_behind(at, WAL_MISC, 7, 1, 1), STORE_ABSENT);
    for (int round = 0; round < 3; round++) {
        if (round < 2) crash_and_begin(at); /* the second time nothing is in it */
        else again(at);
        assert_int_equal(look_behind(at, WAL_VOTES, 3, 2, 0), STORE_OK);
        assert_int_equal(look(at, WAL_VOTES, 4, 2, 40000), STORE_OK);
        assert_int_equal(look(at, WAL_CHAIN, 9, 1, BLOCK), STORE_OK);
        assert_int_equal(look(at, WAL_VOTES, 5, 1, 105), STORE_ABSENT);
        for (unsigned i = 10; i < 15; i++) assert_int_equal(look(at, WAL_VOTES, i, 2, 12), i == 12 ? STORE_OK : STORE_ABSENT);
        assert_int_equal(look(at, WAL_VOTES, 15, 1, 115), STORE_OK);
        assert_int_equal(look(at, WAL_INPUTS, 0, 1, 70000), STORE_OK);
        assert_int_equal(look(at, WAL_INPUTS, 1, 2, 80000), STORE_OK);
        assert_int_equal(look(at, WAL_INPUTS, 2, 2, 10), STORE_OK);
        assert_int_equal(look(at, WAL_BLOCKS, 1, 2, 90000), STORE_OK);
        for (unsigned i = 3; i < 8; i++) assert_int_equal(look(at, WAL_INPUTS, i, 1, 70000), i == 4 || i == 7 ? STORE_OK : STORE_ABSENT);
        assert_int_equal(look(at, WAL_MISC, 7, 1, 1), STORE_OK);
    }
}

/* Of groups that LMDB has not, and of what they replaced: at any moment a crash finds the one or the other. */
static void long_values_of_the_journal_are_not_written_over(void **state) {
    enum { KEYS = 4, TURNS = 24, BYTES = 900000 };
    struct fixture *at = *state;
    put(at, WAL_INPUTS, 0, 0, BYTES);
    assert_int_equal(look(at, WAL_INPUTS, 0, 0, BYTES), STORE_OK);
    for (unsigned turn = 1; turn < 4; turn++) put(at, WAL_INPUTS, 0, turn, BYTES);
    assert_int_equal(look_behind(at, WAL_INPUTS, 0, 0, BYTES), STORE_OK); /* LMDB has it yet */
    for (unsigned turn = 1; turn <= TURNS; turn++) {
        put(at, WAL_INPUTS, turn % KEYS, turn, BYTES);
        files_keep(at);
        if (turn % 6 == 0) again(at);
        if (turn % 5 != 0) continue;
        end(at);
        files_put_back(at);
        assert_int_equal(wal_begin(at), STORE_OK);
        for (unsigned i = turn < KEYS ? 1 : turn - KEYS + 1; i <= turn; i++) assert_int_equal(look(at, WAL_INPUTS, i % KEYS, i, BYTES), STORE_OK);
    }
    struct wal_figures figures;
    erase(at, WAL_DELETE_RANGE, WAL_INPUTS, 0, KEYS);
    crash_and_begin(at);
    wal_figures(at->wal, &figures);
    assert_true(figures.used_bytes < 1 << 20 && scratch_file_bytes(at->live[2]) == 0); /* each place is free, none was lost */
    for (unsigned i = 0; i < KEYS; i++) assert_int_equal(look(at, WAL_INPUTS, i, 1, BYTES), STORE_ABSENT);
}

/* What a group deletes is free for others when LMDB has committed that, which a store near its end does not wait for. */
static void a_store_near_its_end_uses_what_was_deleted(void **state) {
    struct fixture *at = *state;
    for (unsigned turn = 0; turn < 12; turn++) {
        for (unsigned i = 0; i < 28; i++) put(at, WAL_INPUTS, i, turn, 4000000);
        erase(at, WAL_DELETE_RANGE, WAL_INPUTS, 0, 28);
    }
    assert_true(scratch_file_bytes(at->live[0]) < 4 << 20); /* none of them went to LMDB for want of room */
}

static void what_is_too_long_goes_to_lmdb_in_its_turn(void **state) {
    struct fixture *at = *state;
    for (unsigned round = 0; round < 3; round++) {
        unsigned turn = 10 * round;
        put(at, WAL_VOTES, 1, turn, 50);
        put(at, WAL_VOTES, 2, turn, 50);
        uint64_t folds = folds_of(at);
        put(at, WAL_VOTES, 1, turn + 1, JOURNAL_ENTRY_BYTES_MAX); /* longer than an entry with its head */
        assert_int_equal(folds_of(at), folds + 1);
        assert_int_equal(look_behind(at, WAL_VOTES, 2, turn, 50), STORE_OK);
        if (round == 0) crash_and_begin(at); /* right behind it */
        put(at, WAL_VOTES, 2, turn + 1, 60);
        if (round == 1) crash_and_begin(at);
        put(at, WAL_VOTES, 1, turn + 2, 70);
        crash_and_begin(at);
        assert_int_equal(look(at, WAL_VOTES, 1, turn + 2, 70), STORE_OK);
        assert_int_equal(look(at, WAL_VOTES, 2, turn + 1, 60), STORE_OK);
    }
}

static void a_full_journal_begins_anew(void **state) {
    enum { BYTES = 200000, TURNS = 60 };
    struct fixture *at = *state;
    for (unsigned turn = 0; turn < TURNS; turn++) put(at, WAL_VOTES, turn, turn, BYTES);
    assert_true(folds_of(at) >= 2);
    assert_int_equal(scratch_file_bytes(at->journal), JOURNAL_BYTES);
    crash_and_begin(at);
    for (unsigned turn = 0; turn < TURNS; turn++) assert_int_equal(look(at, WAL_VOTES, turn, turn, BYTES), STORE_OK);
}

static uint64_t first_number(const struct fixture *at) {
    size_t bytes;
    uint8_t *file = file_read(at->journal, &bytes);
    uint64_t number = bytes_get_le64(file + 8);
    free(file);
    return number;
}

static void numbers_go_on(void **state) {
    struct fixture *at = *state;
    for (uint64_t i = 1; i <= 9; i++) {
        put(at, WAL_VOTES, 1, (unsigned)i, 10);
        assert_int_equal(first_number(at), 2 * i - 1);
        put(at, WAL_VOTES, 2, (unsigned)i, 10);
        assert_int_equal(first_number(at), 2 * i - 1); /* it is the second */
        if (i % 3 == 0) again(at);
        else if (i % 3 == 1) crash_and_begin(at);
        else assert_int_equal(look(at, WAL_VOTES, 2, (unsigned)i, 10), STORE_OK);
    }
}

/* ---- ends and damage ---- */

/* An older, longer generation lies behind all that is written now. */
static void old_entries_make(struct fixture *at) {
    for (unsigned i = 0; i < 12; i++) put(at, WAL_VOTES, 100 + i, 1, 2500 + 700 * i);
    again(at);
}

static void a_torn_entry_is_none(void **state) {
    enum { LAST_BYTES = 9000 };
    struct fixture *at = *state;
    size_t bytes;
    old_entries_make(at);
    put(at, WAL_VOTES, 1, 1, 5000);
    put(at, WAL_VOTES, 2, 1, 50);
    uint8_t *torn = file_read(at->journal, &bytes);
    put(at, WAL_VOTES, 2, 2, LAST_BYTES);
    files_keep(at);
    uint8_t *whole = file_read(at->journal, &bytes);
    end(at);
    size_t from = 0, cut;
    while (memcmp(torn + from, whole + from, BLOCK) == 0) from += BLOCK;
    size_t to = from + bytes_get_le32(whole + from + 4);
    assert_true(from == 3 * BLOCK && to - from > LAST_BYTES);
    for (size_t length = 0; (cut = from + length) <= to; length += length < 26 || cut + 3 > to ? 1 : to - 2 - cut < 700 ? to - 2 - cut : 700) {
        files_put_back(at);
        memcpy(torn + from, whole + from, length);
        file_write(at->journal, torn, bytes);
        assert_int_equal(wal_begin(at), STORE_OK);
        assert_int_equal(look(at, WAL_VOTES, 1, 1, 5000), STORE_OK);
        bool is_whole = memcmp(torn + from, whole + from, to - from) == 0;
        assert_int_equal(look(at, WAL_VOTES, 2, is_whole ? 2 : 1, is_whole ? LAST_BYTES : 50), STORE_OK);
        assert_true(is_whole || cut < to);
        assert_int_equal(look(at, WAL_VOTES, 111, 1, 2500 + 700 * 11), STORE_OK);
        put(at, WAL_VOTES, 3, 3, 20); /* in its place, with its number */
        again(at);
        assert_int_equal(look(at, WAL_VOTES, 3, 3, 20), STORE_OK);
        end(at);
    }
    free(torn);
    free(whole);
}

static void what_is_damaged_before_the_last_is_told(void **state) {
    static const uint32_t places[] = {0, 3, 4, 7, 8, 15, 16, 23, 24, 87, 88, 100, BLOCK - 1, BLOCK, BLOCK + 200};
    struct fixture *at = *state;
    size_t bytes;
    old_entries_make(at);
    for (unsigned i = 0; i < 4; i++) put(at, WAL_VOTES, i, 1, 5000); /* two blocks each */
    files_keep(at);
    uint8_t *file = file_read(at->journal, &bytes);
    end(at);
    for (uint32_t entry = 0; entry < 4; entry++) {
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            uint8_t *place = file + (size_t)entry * 2 * BLOCK + places[i];
            files_put_back(at);
            *place ^= 0x40;
            file_write(at->journal, file, bytes);
            *place ^= 0x40;
            if (entry < 3) {
                assert_journal_damaged(at);
                continue;
            }
            assert_int_equal(wal_begin(at), STORE_OK); /* nobody can tell it from one that never was whole */
            assert_int_equal(look(at, WAL_VOTES, 2, 1, 5000), STORE_OK);
            assert_int_equal(look(at, WAL_VOTES, 3, 1, 5000), STORE_ABSENT);
            end(at);
        }
    }
    files_put_back(at);
    assert_int_equal(wal_begin(at), STORE_OK);
    assert_int_equal(look(at, WAL_VOTES, 3, 1, 5000), STORE_OK);
    free(file);
}

static void a_journal_that_is_lost_or_cut_is_damage(void **state) {
    static const off_t lengths[] = {0, 1, BLOCK, JOURNAL_BYTES - BLOCK, JOURNAL_BYTES - 1};
    struct fixture *at = *state;
    put(at, WAL_VOTES, 1, 1, 10);
    end(at);
    files_keep(at);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        files_put_back(at);
        assert_int_equal(truncate(at->journal, lengths[i]), 0);
        assert_journal_damaged(at);
        assert_int_equal(scratch_file_bytes(at->journal), lengths[i]); /* and nothing was mended */
    }
    assert_int_equal(unlink(at->journal), 0);
    assert_journal_damaged(at);
    assert_int_equal(access(at->journal, F_OK), -1);
    assert_int_equal(symlink(at->kept[1], at->journal), 0);
    assert_int_equal(wal_begin(at), STORE_FOREIGN);
    assert_int_equal(unlink(at->journal), 0);
    assert_int_equal(mkdir(at->journal, 0700), 0);
    assert_int_equal(wal_begin(at), STORE_FOREIGN);
    assert_int_equal(rmdir(at->journal), 0);
    files_put_back(at);
    assert_int_equal(wal_begin(at), STORE_OK);
    assert_int_equal(look(at, WAL_VOTES, 1, 1, 10), STORE_OK);
}

/* ---- entries that are made by hand ---- */

/* One entry with a right checksum, with that number, at the beginning of a file. */
static void entry_write(const char *path, const struct store_identity *identity, uint64_t number, const uint8_t *records, size_t bytes) {
    struct journal journal;
    struct store_error error;
    assert_int_equal(journal_open(&journal, path, identity, true, number - 1, &error), STORE_OK);
    journal_begin(&journal);
    (void)bytes_put_raw(&journal.entry, records, bytes);
    assert_int_equal(journal_write(&journal), 0);
    journal_close(&journal);
}

static uint64_t next_number(const struct fixture *at) {
    struct env env;
    struct store_error error;
    MDB_txn *txn = NULL;
    uint8_t number[8];
    size_t bytes = 0;
    assert_int_equal(env_open(&env, at->path, &env_layout_wal, &at->identity, MAP_BYTES, &error), STORE_OK);
    assert_int_equal(mdb_txn_begin(env.mdb, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(record_get(txn, &env.meta, (const uint8_t *)"journal", number, sizeof number, &bytes), 0);
    mdb_txn_abort(txn);
    env_close(&env);
    return bytes_get_le64(number) + 1;
}

static size_t vote_encode(uint8_t *out, size_t room, unsigned key, unsigned turn, size_t bytes) {
    struct bytes_writer writer = bytes_writer_of(out, room);
    struct wal_record record = record_of(WAL_PUT, WAL_VOTES, key, 0);
    uint8_t *value = value_of(key, turn, bytes);
    struct iovec part = {value, bytes};
    record.parts = &part;
    record.part_count = 1;
    wal_entry_add(&writer, &record, &(struct vlog_place){0});
    CHECK(!writer.failed);
    free(value);
    return writer.used;
}

static void an_entry_of_another_nodes_is_none(void **state) {
    struct fixture *at = *state;
    uint8_t records[200];
    put(at, WAL_VOTES, 1, 1, 10);
    end(at);
    uint64_t number = next_number(at);
    size_t bytes = vote_encode(records, sizeof records, 1, 2, 10);
    struct store_identity other = scratch_identity(0xA2), cluster = at->identity;
    cluster.cluster++;
    entry_write(at->path, &other, number, records, bytes);
    assert_int_equal(wal_begin(at), STORE_OK);
    assert_int_equal(look(at, WAL_VOTES, 1, 1, 10), STORE_OK);
    end(at);
    entry_write(at->path, &cluster, number, records, bytes);
    assert_int_equal(wal_begin(at), STORE_OK);
    assert_int_equal(look(at, WAL_VOTES, 1, 1, 10), STORE_OK);
    end(at);
    entry_write(at->path, &at->identity, number - 1, records, bytes); /* folded long ago */
    assert_int_equal(wal_begin(at), STORE_OK);
    assert_int_equal(look(at, WAL_VOTES, 1, 1, 10), STORE_OK);
    end(at);
    entry_write(at->path, &at->identity, number + 1, records, bytes); /* one is missing before it */
    assert_journal_damaged(at);
    entry_write(at->path, &at->identity, number, records, bytes);
    assert_int_equal(wal_begin(at), STORE_OK);
    assert_int_equal(look(at, WAL_VOTES, 1, 2, 10), STORE_OK);
}

static void assert_refused(struct fixture *at, uint64_t number, const uint8_t *records, size_t bytes) {
    entry_write(at->path, &at->identity, number, records, bytes);
    assert_journal_damaged(at);
}

static void what_no_node_writes_is_refused(void **state) {
    struct fixture *at = *state;
    uint8_t good[200], bytes[1000] = {0};
    end(at);
    uint64_t number = next_number(at);
    size_t count = vote_encode(good, sizeof good, 1, 2, 10);
    for (size_t cut = 1; cut < count; cut++) assert_refused(at, number, good, cut);
    memcpy(bytes, good, count);
    bytes[count] = 1; /* begins another */
    assert_refused(at, number, bytes, count + 1);
    bytes[0] = 4;
    assert_refused(at, number, bytes, count);
    bytes[0] = 0;
    bytes[1] = WAL_DB_COUNT;
    assert_refused(at, number, bytes, count);
    for (uint8_t db = 0; db < WAL_DB_COUNT; db++) { /* a place: too long, of no bytes, and where no long values are */
        struct bytes_writer writer = bytes_writer_of(bytes, sizeof bytes);
        (void)bytes_put_u8(&writer, 3);
        (void)bytes_put_u8(&writer, db);
        (void)bytes_put_space(&writer, wal_key_bytes(db) + 16);
        size_t at_bytes = writer.used;
        (void)bytes_put_u32(&writer, WAL_VALUE_BYTES_MAX + 1);
        assert_refused(at, number, bytes, writer.used);
        bytes_put_le32(bytes + at_bytes, 0);
        assert_refused(at, number, bytes, writer.used);
        bytes_put_le32(bytes + at_bytes, 5000);
        if (db != WAL_BLOCKS && db != WAL_INPUTS) assert_refused(at, number, bytes, writer.used);
    }
    uint64_t seed = scratch_seed();
    unsigned refused = 0;
    enum { ROUNDS = 300 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t length = 1 + scratch_draw(&seed) % sizeof bytes;
        for (size_t i = 0; i < length; i++) bytes[i] = (uint8_t)scratch_draw(&seed);
        bytes[0] &= 3;
        bytes[1] = (uint8_t)(bytes[1] % WAL_DB_COUNT);
        entry_write(at->path, &at->identity, number, bytes, length);
        enum store_status status = wal_begin(at);
        assert_true(status == STORE_OK || status == STORE_DAMAGED);
        refused += status == STORE_DAMAGED;
        if (status != STORE_OK) continue;
        end(at);
        number = next_number(at);
    }
    assert_true(refused > ROUNDS / 2);
}

/* A client's value, kept whole in the journal, with what looks like an entry where a block begins, for whichever head before it. */
static void forged_put(struct fixture *at, uint64_t number, unsigned turn) {
    enum { BEFORE = JOURNAL_HEAD_BYTES + 2 + 32 + 4 };
    struct store_directory *directory;
    char path[SCRATCH_PATH_BYTES + 32], file[SCRATCH_PATH_BYTES + 64];
    uint8_t records[200], value[2 * BLOCK - BEFORE] = {0};
    size_t bytes;
    (void)snprintf(path, sizeof path, "%s/forger", at->root);
    (void)snprintf(file, sizeof file, "%s/wal/journal", path);
    scratch_remove(path);
    CHECK(store_directory_create(path, &at->identity, &at->error) == STORE_OK);
    CHECK(store_directory_open(path, &directory, &at->error) == STORE_OK);
    file_write(file, value, 0);
    CHECK(truncate(file, JOURNAL_BYTES) == 0);
    entry_write(path, &at->identity, number, records, vote_encode(records, sizeof records, 1, turn, 10));
    store_directory_close(directory);
    uint8_t *forged = file_read(file, &bytes);
    memcpy(value + BLOCK - BEFORE, forged, BLOCK);
    assert_int_equal(put_bytes(at, WAL_INPUTS, 7, value, sizeof value), STORE_OK);
    free(forged);
}

static void bytes_of_a_value_are_never_an_entry(void **state) {
    struct fixture *at = *state;
    put(at, WAL_VOTES, 1, 1, 10);
    again(at);
    end(at);
    uint64_t number = next_number(at);
    assert_int_equal(wal_begin(at), STORE_OK);
    forged_put(at, number + 2, 66);                                 /* the entry `number`: two blocks */
    assert_int_equal(look(at, WAL_VOTES, 1, 1, 10), STORE_OK);      /* folded */
    put(at, WAL_VOTES, 2, 1, 10);                                   /* number + 1, of one block, before what the value has */
    crash_and_begin(at);
    assert_int_equal(look(at, WAL_VOTES, 1, 1, 10), STORE_OK);
    assert_int_equal(look(at, WAL_VOTES, 2, 1, 10), STORE_OK);
    forged_put(at, UINT64_C(1) << 60, 67); /* nor is it damage that one so high is there */
    again(at);
    assert_int_equal(look(at, WAL_VOTES, 1, 1, 10), STORE_OK);
    put(at, WAL_VOTES, 2, 2, 10);
    crash_and_begin(at);
    assert_int_equal(look(at, WAL_VOTES, 2, 2, 10), STORE_OK);
}

/* ---- data of older releases ---- */

static void format_1_make(const struct fixture *at) {
    struct env env;
    struct env_layout old = env_layout_wal;
    struct store_error error;
    MDB_txn *txn = NULL;
    old.format = 1;
    assert_int_equal(env_open(&env, at->path, &env_layout_wal, &at->identity, MAP_BYTES, &error), STORE_OK);
    assert_int_equal(mdb_txn_begin(env.mdb, NULL, 0, &txn), 0);
    assert_int_equal(record_delete(txn, &env.meta, (const uint8_t *)"journal"), 0);
    env.layout = &old;
    assert_int_equal(env_identity_put(&env, txn, &at->identity), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    env_close(&env);
}

static enum store_status format_1_open(const struct fixture *at) {
    struct env env;
    struct env_layout old = env_layout_wal;
    struct store_error error;
    old.format = 1;
    enum store_status status = env_open(&env, at->path, &old, &at->identity, MAP_BYTES, &error);
    if (status == STORE_OK) env_close(&env);
    return status;
}

static void older_data_get_a_journal(void **state) {
    struct fixture *at = *state;
    uint8_t records[200];
    for (int left = 0; left < 4; left++) { /* nothing; what a making that was cut off may have left: a part, a whole one, one with an entry */
        put(at, WAL_VOTES, 1, 1, 10);
        put(at, WAL_INPUTS, 1, 1, 70000);
        end(at);
        format_1_make(at);
        assert_int_equal(format_1_open(at), STORE_OK);
        if (left == 3) entry_write(at->path, &at->identity, 1, records, vote_encode(records, sizeof records, 1, 2, 10));
        else if (left != 2) assert_int_equal(unlink(at->journal), 0);
        if (left == 1) file_write(at->journal, records, sizeof records);
        assert_int_equal(wal_begin(at), STORE_OK);
        assert_int_equal(scratch_file_bytes(at->journal), JOURNAL_BYTES);
        assert_int_equal(format_1_open(at), STORE_NEWER_FORMAT);
        assert_int_equal(look(at, WAL_VOTES, 1, 1, 10), STORE_OK);
        assert_int_equal(look(at, WAL_INPUTS, 1, 1, 70000), STORE_OK);
        put(at, WAL_VOTES, 1, 3, 10);
        crash_and_begin(at);
        assert_int_equal(look(at, WAL_VOTES, 1, 3, 10), STORE_OK);
    }
}

/* ---- readers ---- */

static void a_reader_sees_all_that_was_completed(void **state) {
    struct fixture *at = *state;
    for (unsigned turn = 1; turn < 20; turn++) {
        put(at, WAL_VOTES, 1, turn, 10);
        assert_int_equal(look_behind(at, WAL_VOTES, 1, turn, 10), turn == 1 ? STORE_ABSENT : STORE_FOREIGN);
        assert_int_equal(look(at, WAL_VOTES, 1, turn, 10), STORE_OK);
        assert_int_equal(look_behind(at, WAL_VOTES, 1, turn, 10), STORE_OK);
    }
}

/* Nothing is queued any more, and nobody asks. */
static void what_rests_is_taken_over(void **state) {
    struct fixture *at = *state;
    atomic_store(&stands, false);
    put(at, WAL_VOTES, 1, 1, 10);
    for (int tries = 0; tries < 500 && look_behind(at, WAL_VOTES, 1, 1, 10) == STORE_ABSENT; tries++) (void)poll(NULL, 0, 10);
    assert_int_equal(look_behind(at, WAL_VOTES, 1, 1, 10), STORE_OK);
}

struct looker {
    struct wal *wal;
    _Atomic bool ends;
    _Atomic uint64_t looks, wrong;
};

/* Both records of a batch hold its number. */
static void *looker_run(void *context) {
    struct looker *looker = context;
    while (!atomic_load(&looker->ends)) {
        struct wal_reader *reader;
        uint64_t completed = wal_completed(looker->wal), found[2] = {0};
        size_t bytes = 0;
        CHECK(wal_reader_open(looker->wal, &reader) == STORE_OK);
        for (unsigned i = 0; i < 2; i++) {
            struct wal_record record = record_of(WAL_PUT, i == 0 ? WAL_VOTES : WAL_MISC, 5, 0);
            enum store_status status = wal_read(reader, record.db, record.key, &found[i], sizeof found[i], &bytes);
            CHECK(status == STORE_OK || (status == STORE_ABSENT && completed == 0));
        }
        wal_reader_close(reader);
        atomic_fetch_add(&looker->wrong, found[0] != found[1] || found[0] < completed);
        atomic_fetch_add(&looker->looks, 1);
    }
    return NULL;
}

static void readers_see_whole_batches_while_much_is_queued(void **state) {
    enum { THREADS = 4, SLOTS = 64, LOOKS = 400 };
    static uint64_t numbers[SLOTS];
    static struct iovec parts[SLOTS];
    static struct wal_record records[SLOTS][2];
    static struct wal_batch batches[SLOTS];
    struct fixture *at = *state;
    struct looker looker = {.wal = at->wal};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, looker_run, &looker), 0);
    for (uint64_t number = 1, sequence; atomic_load(&looker.looks) < LOOKS; number++) {
        unsigned slot = number % SLOTS; /* the queue holds one fewer: the slot's batch is done */
        while (number >= SLOTS && wal_completed(at->wal) < number - SLOTS + 1) (void)usleep(100);
        numbers[slot] = number;
        parts[slot] = (struct iovec){&numbers[slot], sizeof numbers[slot]};
        for (unsigned i = 0; i < 2; i++) {
            records[slot][i] = record_of(WAL_PUT, i == 0 ? WAL_VOTES : WAL_MISC, 5, 0);
            records[slot][i].parts = &parts[slot];
            records[slot][i].part_count = 1;
        }
        batches[slot] = (struct wal_batch){.records = records[slot], .record_count = 2};
        assert_int_equal(wal_submit(at->wal, &batches[slot], &sequence), STORE_OK);
        assert_int_equal(sequence, number);
    }
    atomic_store(&looker.ends, true);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(looker.wrong, 0);
}

static void a_reader_of_a_store_that_stopped_does_not_wait(void **state) {
    struct fixture *at = *state;
    put(at, WAL_VOTES, 1, 1, 10);
    atomic_store(&refuses_journal, true);
    uint8_t byte = 1;
    struct iovec part = {&byte, 1};
    struct wal_record record = record_of(WAL_PUT, WAL_VOTES, 1, 0);
    record.parts = &part;
    record.part_count = 1;
    assert_int_equal(submit(at, &record, 1), STORE_IO);
    assert_int_equal(wal_error(at->wal, &at->error), STORE_IO);
    assert_non_null(strstr(at->error.text, "wal/journal"));
    struct wal_reader *reader;
    assert_int_equal(wal_reader_open(at->wal, &reader), STORE_STOPPED); /* LMDB never had the first one: it is not to be told absent */
    assert_int_equal(look_behind(at, WAL_VOTES, 1, 1, 10), STORE_ABSENT);
    assert_int_equal(wal_close(at->wal), STORE_IO);
    atomic_store(&refuses_journal, false);
    assert_int_equal(wal_begin(at), STORE_OK);
    assert_int_equal(look(at, WAL_VOTES, 1, 1, 10), STORE_OK); /* the journal did */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(what_was_acknowledged_comes_back),
        CASE(long_values_of_the_journal_are_not_written_over),
        CASE(a_store_near_its_end_uses_what_was_deleted),
        CASE(what_is_too_long_goes_to_lmdb_in_its_turn),
        CASE(a_full_journal_begins_anew),
        CASE(numbers_go_on),
        CASE(a_torn_entry_is_none),
        CASE(what_is_damaged_before_the_last_is_told),
        CASE(a_journal_that_is_lost_or_cut_is_damage),
        CASE(an_entry_of_another_nodes_is_none),
        CASE(what_no_node_writes_is_refused),
        CASE(bytes_of_a_value_are_never_an_entry),
        CASE(older_data_get_a_journal),
        CASE(a_reader_sees_all_that_was_completed),
        CASE(what_rests_is_taken_over),
        CASE(readers_see_whole_batches_while_much_is_queued),
        CASE(a_reader_of_a_store_that_stopped_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
