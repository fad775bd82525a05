/*
 * A disk that fails at any one call, and from any call on: each write, sync, and change of a name during a commit, a checkpoint, a creation and a
 * replacement fails in its turn. The store says so at once, takes nothing more (P-2), and what it had completed is there afterwards, whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "merkle/check.h"
#include "store/state.h"
#include "store/wal.h"
#include "tests/store/scratch.h"

enum { SHORT = -1, CALLS_MAX = 400, KEYS = 6, ENTRIES = 30 };

/* Armed: the call with this number fails, and all after it if `always`. */
static _Atomic long calls, fail_at;
static _Atomic int fault;
static _Atomic bool always;

static int fails(void) {
    if (atomic_load(&fail_at) == 0) return 0;
    long number = atomic_fetch_add(&calls, 1) + 1;
    bool hit = number == atomic_load(&fail_at) || (atomic_load(&always) && number > atomic_load(&fail_at));
    return hit ? atomic_load(&fault) : 0;
}

static void arm(int error, long at, bool from_then_on) {
    atomic_store(&calls, 0);
    atomic_store(&fault, error);
    atomic_store(&always, from_then_on);
    atomic_store(&fail_at, at);
}

/* True: the call that was to fail was made. */
static bool disarm(void) {
    bool made = atomic_load(&calls) >= atomic_load(&fail_at);
    atomic_store(&fail_at, 0);
    return made;
}

/* Interposed before the C library's, so that liblmdb and the store call these. A call that cannot be cut short fails with EIO. */
static bool refused(int error) {
    if (error != 0) errno = error == SHORT ? EIO : error;
    return error != 0;
}

static ssize_t pwrite_some(int fd, const void *bytes, size_t count, off_t offset) {
    int error = fails();
    if (error != SHORT && refused(error)) return -1;
    return syscall(SYS_pwrite64, fd, bytes, error == SHORT ? count / 2 : count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite_some(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite_some(fd, bytes, count, offset);
}

static ssize_t pwritev_some(int fd, const struct iovec *parts, int count, off_t offset) {
    int error = fails();
    if (error != SHORT && refused(error)) return -1;
    if (error == SHORT) return syscall(SYS_pwrite64, fd, parts[0].iov_base, parts[0].iov_len / 2, offset);
    return syscall(SYS_pwritev, fd, parts, count, offset, 0);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev_some(fd, parts, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t offset) {
    return pwritev_some(fd, parts, count, offset);
}

int fdatasync(int fd) {
    return refused(fails()) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    return refused(fails()) ? -1 : (int)syscall(SYS_fsync, fd);
}

int mkdir(const char *path, mode_t mode) {
    return refused(fails()) ? -1 : (int)syscall(SYS_mkdir, path, mode);
}

int rename(const char *from, const char *to) {
    return refused(fails()) ? -1 : (int)syscall(SYS_rename, from, to);
}

int unlink(const char *path) {
    return refused(fails()) ? -1 : (int)syscall(SYS_unlink, path);
}

int rmdir(const char *path) {
    return refused(fails()) ? -1 : (int)syscall(SYS_rmdir, path);
}

static const int faults[] = {EIO, ENOSPC, EROFS, EDQUOT, SHORT};

struct fixture {
    char root[SCRATCH_PATH_BYTES], path[SCRATCH_PATH_BYTES + 16];
    struct store_identity identity;
    struct store_directory *directory;
    struct store_error error;
};

static int set_up(void **state) {
    struct fixture *at = calloc(1, sizeof *at);
    CHECK(at != NULL);
    scratch_make(at->root);
    (void)snprintf(at->path, sizeof at->path, "%s/data", at->root);
    at->identity = scratch_identity(0xA1);
    CHECK(store_directory_create(at->path, &at->identity, &at->error) == STORE_OK);
    CHECK(store_directory_open(at->path, &at->directory, &at->error) == STORE_OK);
    *state = at;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *at = *state;
    (void)disarm();
    store_directory_close(at->directory);
    scratch_remove(at->root);
    free(at);
    return 0;
}

static bool is_stop(enum store_status status) {
    return status == STORE_IO || status == STORE_DISK_FULL || status == STORE_DAMAGED;
}

/* ---- the write-ahead store ---- */

static struct wal *wal_of(struct fixture *at) {
    struct wal_config config = {.directory = at->directory, .identity = at->identity, .map_bytes = 256 << 20, .queue_slots = 16, .cpu = -1};
    struct wal *wal = NULL;
    assert_int_equal(wal_open(&config, &wal, &at->error), STORE_OK);
    return wal;
}

/* All keys get the value `number`, of lengths from a few bytes to several chunks. */
static enum store_status wal_put_all(struct wal *wal, uint8_t number, uint64_t *sequence) {
    static uint8_t value[40000];
    struct wal_record records[KEYS];
    struct iovec parts[KEYS];
    memset(value, number, sizeof value);
    for (uint32_t i = 0; i < KEYS; i++) {
        parts[i] = (struct iovec){.iov_base = value, .iov_len = 10 + (size_t)i * 7000};
        records[i] = (struct wal_record){.operation = WAL_PUT, .db = WAL_INPUTS, .key = {(uint8_t)i}, .parts = &parts[i], .part_count = 1};
    }
    struct wal_batch batch = {.records = records, .record_count = KEYS};
    enum store_status status = wal_submit(wal, &batch, sequence);
    return status == STORE_OK ? wal_wait(wal, *sequence) : status;
}

/* The one number that all keys have. */
static uint8_t wal_number(struct wal *wal) {
    static uint8_t value[40000];
    uint8_t number = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        uint8_t key[WAL_KEY_BYTES_MAX] = {(uint8_t)i};
        size_t count = 0;
        assert_int_equal(wal_get(wal, WAL_INPUTS, key, value, sizeof value, &count), STORE_OK);
        assert_int_equal(count, 10 + (size_t)i * 7000);
        if (i == 0) number = value[0];
        for (size_t k = 0; k < count; k++) assert_int_equal(value[k], number);
    }
    return number;
}

static void any_call_of_a_commit_may_fail(void **state) {
    struct fixture *at = *state;
    uint8_t number = 1;
    uint64_t sequence, failures = 0, value_log_failures = 0, journal_failures = 0;
    struct wal *wal = wal_of(at);
    assert_int_equal(wal_put_all(wal, number, &sequence), STORE_OK);
    assert_int_equal(wal_close(wal), STORE_OK);
    for (size_t i = 0; i < 2 * sizeof faults / sizeof faults[0]; i++) {
        bool made = true;
        for (long call = 1; made; call++) {
            assert_true(call < CALLS_MAX);
            wal = wal_of(at);
            uint64_t completed = wal_completed(wal);
            arm(faults[i / 2], call, i % 2 == 0);
            enum store_status status = wal_put_all(wal, (uint8_t)(number + 1), &sequence);
            made = disarm();
            assert_true(made ? is_stop(status) : status == STORE_OK);
            if (made) {
                failures++;
                assert_int_equal(wal_error(wal, &at->error), status);
                bool value_log = strstr(at->error.text, "wal/values") != NULL;
                value_log_failures += value_log;
                bool journal = strstr(at->error.text, "wal/journal") != NULL;
                journal_failures += journal;
                assert_true(value_log || journal || strstr(at->error.text, "wal/data.mdb") != NULL);
                assert_int_equal(wal_put_all(wal, 99, &sequence), STORE_STOPPED); /* though the disk would take it now */
                assert_int_equal(wal_completed(wal), completed);
            }
            assert_int_equal(wal_close(wal), status);
            wal = wal_of(at);
            uint8_t is = wal_number(wal);
            assert_true(is == number + 1 || (made && is == number)); /* what was not completed may be there, but whole */
            number = is;
            assert_int_equal(wal_close(wal), STORE_OK);
        }
    }
    print_message("%llu failing calls\n", (unsigned long long)failures);
    assert_true(value_log_failures >= 2 * sizeof faults / sizeof faults[0]); /* its write, its sync */
    assert_true(journal_failures >= 2 * sizeof faults / sizeof faults[0] && failures >= value_log_failures + journal_failures);
}

/* The transaction is acknowledged, and LMDB's commit of it fails: because a reader wants to see it, or at the end. */
static void any_call_of_a_fold_may_fail(void **state) {
    struct fixture *at = *state;
    uint8_t number = 1, byte;
    uint64_t sequence, failures = 0;
    size_t count;
    struct wal *wal = wal_of(at);
    assert_int_equal(wal_put_all(wal, number, &sequence), STORE_OK);
    assert_int_equal(wal_close(wal), STORE_OK);
    for (size_t i = 0; i < 4 * sizeof faults / sizeof faults[0]; i++) {
        bool made = true;
        for (long call = 1; made; call++) {
            assert_true(call < CALLS_MAX);
            wal = wal_of(at);
            assert_int_equal(wal_put_all(wal, ++number, &sequence), STORE_OK);
            arm(faults[i / 4], call, i % 2 == 0);
            bool by_reader = i / 2 % 2 == 0;
            const uint8_t first[WAL_KEY_BYTES_MAX] = {0};
            enum store_status got = by_reader ? wal_get(wal, WAL_INPUTS, first, &byte, 1, &count) : STORE_OK;
            enum store_status status = by_reader ? wal_error(wal, &at->error) : wal_close(wal);
            made = disarm();
            if (by_reader) {
                assert_int_equal(got, made ? STORE_STOPPED : STORE_TOO_LONG);
                assert_true(made ? is_stop(status) && strstr(at->error.text, "wal/data.mdb") != NULL : status == STORE_OK);
                assert_int_equal(wal_close(wal), status);
            } else {
                assert_int_equal(status, STORE_OK); /* all is durable: the journal has it */
            }
            failures += made;
            wal = wal_of(at);
            assert_int_equal(wal_number(wal), number);
            assert_int_equal(wal_close(wal), STORE_OK);
        }
    }
    print_message("%llu failing calls\n", (unsigned long long)failures);
    assert_true(failures >= 4 * sizeof faults / sizeof faults[0]);
}

/* ---- room: many little records in pages of their own each. When all are changed, LMDB's file grows by as many pages, when it commits. ---- */

enum { RECORDS = 26000, DELETED = RECORDS / 2, ROOM_ACKNOWLEDGED = 256 + SIGKILL, ROOM_FULL = 256 + SIGTERM, ROOM_OPENED = 3 };

static struct wal_record vote_of(enum wal_operation operation, unsigned key) {
    return (struct wal_record){.operation = operation, .db = WAL_VOTES, .key = {(uint8_t)(key >> 8), (uint8_t)key}};
}

static enum store_status records_submit(struct wal *wal, const struct wal_record *records, uint32_t count) {
    struct wal_batch batch = {.records = records, .record_count = count};
    uint64_t sequence = 0;
    enum store_status status = wal_submit(wal, &batch, &sequence);
    return status == STORE_OK ? wal_wait(wal, sequence) : status;
}

static void limit_set(const struct fixture *at) {
    char file[SCRATCH_PATH_BYTES + 32];
    (void)snprintf(file, sizeof file, "%s/wal/data.mdb", at->path);
    struct rlimit limit = {.rlim_cur = scratch_file_bytes(file) + (40 << 20), .rlim_max = RLIM_INFINITY};
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static int acknowledged_child(void *context) {
    static struct wal_record records[DELETED];
    struct fixture *at = context;
    uint64_t sequence;
    limit_set(at);
    struct wal *wal = wal_of(at);
    CHECK(wal_put_all(wal, 1, &sequence) == STORE_OK);
    for (unsigned i = 0; i < DELETED; i++) records[i] = vote_of(WAL_DELETE, 2 * i);
    enum store_status status = records_submit(wal, records, DELETED);
    CHECK(status == STORE_OK || status == STORE_DISK_FULL);
    (void)kill(getpid(), status == STORE_OK ? SIGKILL : SIGTERM); /* a crash: nothing is closed */
    return 0;
}

static int opened_child(void *context) {
    struct fixture *at = context;
    limit_set(at);
    CHECK(wal_close(wal_of(at)) == STORE_OK);
    return ROOM_OPENED;
}

static void what_was_acknowledged_has_room_in_lmdb(void **state) {
    enum { BYTES = 1500, GROUP = 1000 };
    static struct wal_record records[GROUP];
    static uint8_t value[BYTES];
    struct fixture *at = *state;
    struct iovec part = {value, sizeof value};
    struct wal *wal = wal_of(at);
    for (unsigned from = 0; from < RECORDS; from += GROUP) {
        for (unsigned i = 0; i < GROUP; i++) {
            records[i] = vote_of(WAL_PUT, from + i);
            records[i].parts = &part;
            records[i].part_count = 1;
        }
        assert_int_equal(records_submit(wal, records, GROUP), STORE_OK);
    }
    assert_int_equal(wal_close(wal), STORE_OK);
    int outcome = scratch_child(acknowledged_child, at, 60);
    assert_true(outcome == ROOM_ACKNOWLEDGED || outcome == ROOM_FULL);
    assert_int_equal(scratch_child(opened_child, at, 60), ROOM_OPENED);
    wal = wal_of(at);
    assert_int_equal(wal_number(wal), 1);
    bool there = wal_get(wal, WAL_VOTES, records[0].key, NULL, 0, &(size_t){0}) == STORE_TOO_LONG;
    assert_true(there == (outcome == ROOM_FULL));
    assert_int_equal(wal_close(wal), STORE_OK);
}

/* ---- checkpoints ---- */

static struct state *state_of(struct fixture *at, bool transfer) {
    struct state_config config = {
        .directory = at->directory, .transfer = transfer, .identity = at->identity, .map_bytes = 64 << 20, .queue_slots = 16, .cpu = -1};
    struct state *out = NULL;
    assert_int_equal(state_open(&config, &out, &at->error), STORE_OK);
    return out;
}

static enum store_status checkpoint_make(struct state *store, uint64_t height) {
    static uint8_t value[3000];
    static uint8_t keys[ENTRIES];
    struct state_write writes[ENTRIES];
    memset(value, (int)height, sizeof value);
    for (uint32_t i = 0; i < ENTRIES; i++) {
        keys[i] = (uint8_t)i;
        writes[i] = (struct state_write){.key = &keys[i], .key_bytes = 1, .value = value, .value_bytes = sizeof value, .version = {.height = height}};
    }
    struct state_checkpoint description = {.height = height};
    struct state_blob blob = {.name = "blob", .bytes = value, .byte_count = sizeof value};
    struct state_batch batch = {.writes = writes, .write_count = ENTRIES, .checkpoint = &description, .blobs = &blob, .blob_count = 1};
    uint64_t sequence;
    enum store_status status = state_submit(store, &batch, &sequence);
    return status == STORE_OK ? state_wait(store, sequence) : status;
}

/* Of which height the checkpoint is, all of it. 0: there is none. */
static uint64_t checkpoint_height(struct state *store) {
    struct state_reader *reader;
    struct table_entry entry;
    enum store_status status = state_reader_open(store, &reader);
    if (status == STORE_ABSENT) return 0;
    assert_int_equal(status, STORE_OK);
    uint64_t height = state_reader_checkpoint(reader)->height;
    uint32_t count = 0;
    while ((status = state_read_entry(reader, &entry, NULL)) == STORE_OK) {
        assert_int_equal(entry.version.height, height);
        assert_int_equal(entry.value[entry.value_bytes - 1], (uint8_t)height);
        count++;
    }
    assert_int_equal(status, STORE_ABSENT);
    assert_int_equal(count, ENTRIES);
    state_reader_close(reader);
    return height;
}

static void any_call_of_a_checkpoint_may_fail(void **state) {
    struct fixture *at = *state;
    uint64_t height = 1;
    struct state *store = state_of(at, false);
    assert_int_equal(checkpoint_make(store, height), STORE_OK);
    assert_int_equal(state_close(store), STORE_OK);
    for (size_t i = 0; i < 2 * sizeof faults / sizeof faults[0]; i++) {
        bool made = true;
        for (long call = 1; made; call++) {
            assert_true(call < CALLS_MAX);
            store = state_of(at, false);
            arm(faults[i / 2], call, i % 2 == 0);
            enum store_status status = checkpoint_make(store, height + 1);
            made = disarm();
            assert_true(made ? is_stop(status) : status == STORE_OK);
            if (made) assert_int_equal(checkpoint_make(store, 99), STORE_STOPPED);
            assert_int_equal(state_close(store), status);
            store = state_of(at, false);
            uint64_t is = checkpoint_height(store);
            assert_true(is == height + 1 || (made && is == height));
            height = is;
            assert_int_equal(state_close(store), STORE_OK);
        }
    }
}

/* ---- names ---- */

static void any_call_of_a_creation_may_fail_and_it_is_done_again(void **state) {
    struct fixture *at = *state;
    char path[SCRATCH_PATH_BYTES + 32];
    bool made = true;
    for (long call = 1; made; call++) {
        assert_true(call < CALLS_MAX);
        (void)snprintf(path, sizeof path, "%s/fresh-%ld", at->root, call);
        arm(EIO, call, false);
        enum store_status status = store_directory_create(path, &at->identity, &at->error);
        made = disarm();
        if (status == STORE_OK) continue; /* what was left of an earlier creation could not be removed, and there was none */
        assert_true(made && at->error.text[0] != '\0');
        struct stat about;
        bool there = stat(path, &about) == 0; /* only the last sync, of the name itself, failed */
        assert_int_equal(store_directory_create(path, &at->identity, &at->error), there ? STORE_EXISTS : STORE_OK);
        struct store_directory *directory;
        assert_int_equal(store_directory_open(path, &directory, &at->error), STORE_OK);
        store_directory_close(directory);
    }
}

static void any_call_of_a_replacement_may_fail_and_it_is_done_again(void **state) {
    struct fixture *at = *state;
    struct state *store = state_of(at, false);
    assert_int_equal(checkpoint_make(store, 1), STORE_OK);
    assert_int_equal(state_close(store), STORE_OK);
    bool made = true;
    for (long call = 1; made; call++) {
        assert_true(call < CALLS_MAX);
        assert_int_equal(store_transfer_create(at->directory, &at->identity, &at->error), STORE_OK);
        store = state_of(at, true);
        assert_int_equal(checkpoint_make(store, (uint64_t)call + 1), STORE_OK);
        assert_int_equal(state_close(store), STORE_OK);
        arm(EIO, call, false);
        enum store_status status = store_transfer_promote(at->directory, &at->error);
        made = disarm();
        assert_true(made ? is_stop(status) : status == STORE_OK);
        if (store_transfer_exists(at->directory)) assert_int_equal(store_transfer_promote(at->directory, &at->error), STORE_OK);
        store = state_of(at, false);
        assert_int_equal(checkpoint_height(store), (uint64_t)call + 1);
        assert_int_equal(state_close(store), STORE_OK);
    }
}

static void a_folder_of_evidence_is_part_of_the_data(void **state) {
    struct fixture *at = *state;
    char path[SCRATCH_PATH_BYTES + 32];
    store_directory_close(at->directory);
    at->directory = NULL;
    (void)snprintf(path, sizeof path, "%s/evidence", at->path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(store_directory_open(at->path, &at->directory, &at->error), STORE_OK);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(any_call_of_a_commit_may_fail),
        CASE(any_call_of_a_fold_may_fail),
        CASE(what_was_acknowledged_has_room_in_lmdb),
        CASE(any_call_of_a_checkpoint_may_fail),
        CASE(any_call_of_a_creation_may_fail_and_it_is_done_again),
        CASE(any_call_of_a_replacement_may_fail_and_it_is_done_again),
        CASE(a_folder_of_evidence_is_part_of_the_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
