/* The write-ahead store: values in chunks, order, the bounded queue, kills at random points, full disks, failing syncs, damaged files. */
#include "store/wal.h"
#include "merkle/check.h"
#include "tests/store/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Interposed before the C library's, so that liblmdb calls these: a sync, or a write by a descriptor that is synchronous, fails once
 * `sync_calls_left` says so. */
static _Atomic int sync_calls_left = -1;

static bool sync_fails(void) {
    if (atomic_load(&sync_calls_left) <= 0 || atomic_fetch_sub(&sync_calls_left, 1) != 1) return false;
    errno = EIO;
    return true;
}

int fdatasync(int fd) {
    return sync_fails() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    bool synchronous = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
    return synchronous && sync_fails() ? -1 : (ssize_t)syscall(SYS_pwrite64, fd, bytes, count, at);
}

struct fixture {
    char root[SCRATCH_PATH_BYTES];
    char path[SCRATCH_PATH_BYTES + 16];
    char file[SCRATCH_PATH_BYTES + 32];
    struct store_identity identity;
    struct store_directory *directory;
    struct store_error error;
    struct wal *wal;
};

static void names_of(struct fixture *at) {
    (void)snprintf(at->path, sizeof at->path, "%s/data", at->root);
    (void)snprintf(at->file, sizeof at->file, "%s/wal/data.mdb", at->path);
    at->identity = scratch_identity(0xA1);
}

static enum store_status open_with(struct fixture *at, uint64_t map_bytes, uint32_t slots, void (*wake)(void *), void *context) {
    enum store_status status = store_directory_open(at->path, &at->directory, &at->error);
    if (status != STORE_OK) return status;
    struct wal_config config = {.directory = at->directory,
                                .identity = at->identity,
                                .map_bytes = map_bytes,
                                .queue_slots = slots,
                                .cpu = -1,
                                .wake = wake,
                                .wake_context = context};
    status = wal_open(&config, &at->wal, &at->error);
    if (status != STORE_OK) {
        store_directory_close(at->directory);
        at->directory = NULL;
    }
    return status;
}

static enum store_status close_all(struct fixture *at) {
    enum store_status status = wal_close(at->wal);
    store_directory_close(at->directory);
    at->wal = NULL;
    at->directory = NULL;
    return status;
}

static int set_up(void **state) {
    struct fixture *at = calloc(1, sizeof *at);
    scratch_make(at->root);
    names_of(at);
    CHECK(store_directory_create(at->path, &at->identity, &at->error) == STORE_OK);
    *state = at;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *at = *state;
    if (at->wal) (void)wal_close(at->wal);
    store_directory_close(at->directory);
    scratch_remove(at->root);
    free(at);
    return 0;
}

static struct wal_record put_input(uint64_t number, const struct iovec *part) {
    struct wal_record record = {.operation = WAL_PUT, .db = WAL_INPUTS, .parts = part, .part_count = 1};
    for (unsigned i = 0; i < 8; i++) record.key[i] = (uint8_t)(number >> (56 - 8 * i));
    return record;
}

static enum store_status commit(struct wal *wal, const struct wal_record *records, uint32_t count) {
    struct wal_batch batch = {.records = records, .record_count = count};
    uint64_t sequence = 0;
    enum store_status status;
    while ((status = wal_submit(wal, &batch, &sequence)) == STORE_BUSY) (void)usleep(100);
    return status == STORE_OK ? wal_wait(wal, sequence) : status;
}

static void fill(uint8_t *bytes, size_t count, uint64_t number) {
    for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)(number * 131 + i * 7 + (i >> 9));
}

static void values_of_every_length_come_back_and_shorter_ones_replace_longer(void **state) {
    struct fixture *at = *state;
    static const size_t lengths[] = {1 << 20, 0, 1, WAL_CHUNK_BYTES - 1, WAL_CHUNK_BYTES, WAL_CHUNK_BYTES + 1, 3 * WAL_CHUNK_BYTES, 100, 70000, 0};
    uint8_t *bytes = malloc(1 << 20);
    uint8_t *back = malloc(1 << 20);
    assert_int_equal(open_with(at, 64 << 20, 16, NULL, NULL), STORE_OK);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        fill(bytes, lengths[i], i);
        size_t third = lengths[i] / 3;
        struct iovec parts[] = {{bytes, third}, {bytes + third, 0}, {bytes + third, lengths[i] - third}};
        struct wal_record record = put_input(7, parts);
        record.part_count = 3;
        assert_int_equal(commit(at->wal, &record, 1), STORE_OK);
        size_t count = 0;
        if (lengths[i] > 0) assert_int_equal(wal_get(at->wal, WAL_INPUTS, record.key, back, lengths[i] - 1, &count), STORE_TOO_LONG);
        assert_int_equal(wal_get(at->wal, WAL_INPUTS, record.key, back, 1 << 20, &count), STORE_OK);
        assert_int_equal(count, lengths[i]);
        assert_memory_equal(back, bytes, count);
    }
    struct wal_record gone = put_input(7, NULL);
    gone.operation = WAL_DELETE;
    gone.part_count = 0;
    size_t count = 0;
    assert_int_equal(commit(at->wal, &gone, 1), STORE_OK);
    assert_int_equal(commit(at->wal, &gone, 1), STORE_OK); /* absent is no error */
    assert_int_equal(wal_get(at->wal, WAL_INPUTS, gone.key, back, 1 << 20, &count), STORE_ABSENT);
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    struct wal_reader *reader = NULL;
    assert_int_equal(wal_reader_open(at->wal, &reader), STORE_OK);
    assert_int_equal(wal_read_next(reader, WAL_INPUTS, key, false), STORE_ABSENT); /* no chunk was left behind */
    wal_reader_close(reader);
    free(bytes);
    free(back);
    assert_int_equal(close_all(at), STORE_OK);
}

static void blocks_are_walked_in_order_of_epoch_and_height_and_pruned_by_range(void **state) {
    struct fixture *at = *state;
    assert_int_equal(open_with(at, 64 << 20, 16, NULL, NULL), STORE_OK);
    uint8_t id[32] = {9};
    uint8_t big[40000];
    fill(big, sizeof big, 1);
    struct iovec part = {big, sizeof big};
    for (uint64_t i = 0; i < 600; i++) {
        uint64_t height = (i * 7) % 600; /* out of order */
        struct wal_record record = {.operation = WAL_PUT, .db = WAL_BLOCKS, .parts = &part, .part_count = 1};
        (void)wal_key_block(record.key, height < 300 ? 1 : 256, height, id, WAL_PART_BODY);
        part.iov_len = height % 3 ? 100 : sizeof big;
        assert_int_equal(commit(at->wal, &record, 1), STORE_OK);
    }
    struct wal_record prune = {.operation = WAL_DELETE_RANGE, .db = WAL_BLOCKS};
    memset(id, 0, sizeof id);
    (void)wal_key_block(prune.key, 0, 0, id, 0);
    (void)wal_key_block(prune.key_end, 1, 250, id, 0);
    assert_int_equal(commit(at->wal, &prune, 1), STORE_OK);
    struct wal_reader *reader = NULL;
    assert_int_equal(wal_reader_open(at->wal, &reader), STORE_OK);
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    uint64_t expected = 250;
    uint64_t epoch = 0;
    uint64_t height = 0;
    const uint8_t *block_id = NULL;
    uint8_t kind = 0;
    bool after = false;
    size_t count = 0;
    while (wal_read_next(reader, WAL_BLOCKS, key, after) == STORE_OK) {
        wal_key_block_read(key, &epoch, &height, &block_id, &kind);
        assert_int_equal(height, expected);
        assert_int_equal(epoch, height < 300 ? 1 : 256);
        assert_int_equal(block_id[0], 9);
        assert_int_equal(wal_read(reader, WAL_BLOCKS, key, NULL, 0, &count), STORE_TOO_LONG);
        assert_int_equal(count, height % 3 ? 100 : sizeof big);
        expected++;
        after = true;
    }
    assert_int_equal(expected, 600);
    memset(id, 0xFF, sizeof id);
    (void)wal_key_block(key, 1, UINT64_MAX, id, 0xFF);
    assert_int_equal(wal_read_last(reader, WAL_BLOCKS, key), STORE_OK);
    wal_key_block_read(key, &epoch, &height, &block_id, &kind);
    assert_int_equal(height, 299);
    memset(key, 0, sizeof key);
    assert_int_equal(wal_read_last(reader, WAL_BLOCKS, key), STORE_ABSENT);
    wal_reader_close(reader);
    assert_int_equal(close_all(at), STORE_OK);
}

static void block_storage_thread(void *context) {
    while (sem_wait(context) != 0) {}
}

static void a_full_queue_pushes_back_at_its_limit_and_loses_nothing(void **state) {
    struct fixture *at = *state;
    sem_t gate;
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    assert_int_equal(open_with(at, 64 << 20, 8, block_storage_thread, &gate), STORE_OK);
    uint64_t numbers[20];
    struct iovec parts[20];
    struct wal_record records[20];
    struct wal_batch batches[20];
    for (uint64_t i = 0; i < 20; i++) {
        numbers[i] = i;
        parts[i] = (struct iovec){&numbers[i], sizeof numbers[i]};
        records[i] = put_input(i, &parts[i]);
        batches[i] = (struct wal_batch){.records = &records[i], .record_count = 1};
    }
    uint64_t sequence = 0;
    assert_int_equal(wal_submit(at->wal, &batches[0], &sequence), STORE_OK);
    assert_int_equal(wal_wait(at->wal, 1), STORE_OK); /* the storage thread stands in wake() now */
    uint64_t next = 1;
    while (wal_submit(at->wal, &batches[next], &sequence) == STORE_OK) next++;
    assert_int_equal(next, 1 + 7);
    assert_int_equal(wal_submit(at->wal, &batches[next], &sequence), STORE_BUSY);
    for (unsigned i = 0; i < 40; i++) assert_int_equal(sem_post(&gate), 0);
    while (next < 20) {
        enum store_status status = wal_submit(at->wal, &batches[next], &sequence);
        if (status == STORE_OK) next++;
        else assert_int_equal(status, STORE_BUSY);
    }
    assert_int_equal(sequence, 20);
    assert_int_equal(close_all(at), STORE_OK); /* which commits what is queued */
    assert_int_equal(open_with(at, 64 << 20, 8, NULL, NULL), STORE_OK);
    for (uint64_t i = 0; i < 20; i++) {
        uint64_t back = 0;
        size_t count = 0;
        assert_int_equal(wal_get(at->wal, WAL_INPUTS, records[i].key, &back, sizeof back, &count), STORE_OK);
        assert_int_equal(back, i);
    }
    assert_int_equal(close_all(at), STORE_OK);
    (void)sem_destroy(&gate);
}

/* Kills. The child writes batches of several records, always all of one number, and publishes how far it got; the parent kills it. */

enum { CRASH_RECORDS = 5, CRASH_VALUE_MAX = 60000 };

struct crash {
    struct fixture *at;
    _Atomic uint64_t *completed;
};

static int crash_child(void *context) {
    struct crash *crash = context;
    struct fixture *at = crash->at;
    if (open_with(at, 256 << 20, 16, NULL, NULL) != STORE_OK) return 3;
    static uint8_t values[8][CRASH_VALUE_MAX];
    static struct iovec parts[8][CRASH_RECORDS];
    static struct wal_record records[8][CRASH_RECORDS];
    static struct wal_batch batches[8];
    uint64_t from = atomic_load(crash->completed);
    uint64_t base = from;
    for (uint64_t number = from + 1;; number++) {
        unsigned slot = number % 8;
        while (number - base > 7 && wal_completed(at->wal) < number - base - 7) (void)usleep(50);
        for (unsigned r = 0; r < CRASH_RECORDS; r++) {
            size_t count = (number * 977 + r * 7919) % (r == 0 ? CRASH_VALUE_MAX : 400);
            fill(values[slot], CRASH_VALUE_MAX, number);
            parts[slot][r] = (struct iovec){values[slot], count};
            records[slot][r] = put_input(r, &parts[slot][r]);
        }
        batches[slot] = (struct wal_batch){.records = records[slot], .record_count = CRASH_RECORDS};
        uint64_t sequence = 0;
        while (wal_submit(at->wal, &batches[slot], &sequence) == STORE_BUSY) (void)usleep(50);
        atomic_store(crash->completed, base + wal_completed(at->wal));
    }
    return 0;
}

/* Which number the store holds; all records must be of the same one. */
static uint64_t crash_number_found(struct fixture *at, uint64_t least) {
    static uint8_t bytes[CRASH_VALUE_MAX];
    static uint8_t expected[CRASH_VALUE_MAX];
    size_t counts[CRASH_RECORDS] = {0};
    for (unsigned r = 0; r < CRASH_RECORDS; r++) {
        struct wal_record record = put_input(r, NULL);
        enum store_status status = wal_get(at->wal, WAL_INPUTS, record.key, bytes, sizeof bytes, &counts[r]);
        if (status == STORE_ABSENT && least == 0) return 0;
        assert_int_equal(status, STORE_OK);
    }
    for (uint64_t number = least; number < least + 1000; number++) {
        unsigned right = 0;
        for (unsigned r = 0; r < CRASH_RECORDS; r++) {
            if (counts[r] != (number * 977 + r * 7919) % (r == 0 ? CRASH_VALUE_MAX : 400)) continue;
            struct wal_record record = put_input(r, NULL);
            assert_int_equal(wal_get(at->wal, WAL_INPUTS, record.key, bytes, sizeof bytes, &counts[r]), STORE_OK);
            fill(expected, CRASH_VALUE_MAX, number);
            right += memcmp(bytes, expected, counts[r]) == 0;
        }
        if (right == CRASH_RECORDS) return number;
    }
    fail_msg("a completed batch is lost or torn (at least number %llu was completed)", (unsigned long long)least);
    return 0;
}

static void a_kill_at_any_point_loses_nothing_that_was_completed(void **state) {
    struct fixture *at = *state;
    uint64_t seed = scratch_seed();
    _Atomic uint64_t *completed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(completed != MAP_FAILED);
    struct crash crash = {.at = at, .completed = completed};
    uint64_t found = 0;
    for (unsigned round = 0; round < 15; round++) {
        (void)fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) _exit(crash_child(&crash));
        (void)usleep((unsigned)(5000 + scratch_draw(&seed) % 60000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(open_with(at, 256 << 20, 16, NULL, NULL), STORE_OK);
        found = crash_number_found(at, atomic_load(completed));
        assert_true(found >= atomic_load(completed));
        atomic_store(completed, found);
        assert_int_equal(close_all(at), STORE_OK);
    }
    print_message("%llu batches over 15 kills\n", (unsigned long long)found);
    assert_true(found > 15);
    (void)munmap(completed, 4096);
}

/* Full disks and failing syncs: the status is sticky, and what was completed is there afterwards. */

static uint64_t write_until_it_stops(struct wal *wal, enum store_status *status) {
    static uint8_t bytes[50000];
    for (uint64_t number = 1;; number++) {
        fill(bytes, sizeof bytes, number);
        struct iovec part = {bytes, sizeof bytes};
        struct wal_record record = put_input(number, &part);
        *status = commit(wal, &record, 1);
        if (*status != STORE_OK) return number - 1;
        if (number > 4000) return number;
    }
}

static bool numbers_are_there(struct wal *wal, uint64_t last) {
    static uint8_t bytes[50000];
    static uint8_t expected[50000];
    size_t count = 0;
    for (uint64_t number = 1; number <= last; number++) {
        struct wal_record record = put_input(number, NULL);
        if (wal_get(wal, WAL_INPUTS, record.key, bytes, sizeof bytes, &count) != STORE_OK || count != sizeof bytes) return false;
        fill(expected, sizeof expected, number);
        if (memcmp(bytes, expected, count) != 0) return false;
    }
    return true;
}

static void assert_stopped(struct fixture *at, enum store_status expected) {
    struct store_error error;
    assert_int_equal(wal_error(at->wal, &error), expected);
    print_message("%s\n", error.text);
    assert_true(strstr(error.text, "wal/data.mdb") != NULL || strstr(error.text, "wal/journal") != NULL);
    assert_null(strchr(error.text, '\n'));
    uint8_t byte = 1;
    struct iovec part = {&byte, 1};
    struct wal_record record = put_input(1, &part);
    struct wal_batch batch = {.records = &record, .record_count = 1};
    uint64_t sequence = 0;
    assert_int_equal(wal_submit(at->wal, &batch, &sequence), STORE_STOPPED);
}

static void a_full_map_stops_the_store_as_a_full_disk_and_loses_nothing(void **state) {
    struct fixture *at = *state;
    enum store_status status;
    assert_int_equal(open_with(at, 4 << 20, 16, NULL, NULL), STORE_OK);
    uint64_t last = write_until_it_stops(at->wal, &status);
    assert_int_equal(status, STORE_DISK_FULL);
    assert_true(last > 10);
    assert_stopped(at, STORE_DISK_FULL);
    assert_true(numbers_are_there(at->wal, last)); /* what is proved can still be served */
    assert_int_equal(close_all(at), STORE_DISK_FULL);
    assert_int_equal(open_with(at, 8 << 20, 16, NULL, NULL), STORE_OK); /* the operator raised the limit */
    assert_true(numbers_are_there(at->wal, last));
    uint64_t more = write_until_it_stops(at->wal, &status);
    assert_true(more > last);
    assert_int_equal(close_all(at), STORE_DISK_FULL);
}

static void one_commit(struct wal *wal, struct wal_record *record) {
    struct wal_batch batch = {.records = record, .record_count = 1};
    uint64_t sequence = 0;
    assert_int_equal(wal_submit(wal, &batch, &sequence), STORE_OK);
    assert_int_equal(wal_wait(wal, sequence), STORE_OK);
}

/* From half of the map on: what was given up can be written again, and is not in use. */
static void what_is_in_use_falls_with_what_is_deleted(void **state) {
    struct fixture *at = *state;
    enum { VALUES = 40, VALUE_BYTES = 64 << 10, LATER = 40 };
    static uint8_t value[VALUE_BYTES];
    struct iovec part = {value, sizeof value}, small = {value, 8};
    struct wal_figures full, after;
    assert_int_equal(open_with(at, 4 << 20, 16, NULL, NULL), STORE_OK);
    for (uint64_t i = 0; i < VALUES + LATER; i++) { /* the last again and again, until that is looked at */
        struct wal_record record = put_input(i < VALUES ? i : VALUES, i < VALUES ? &part : &small);
        one_commit(at->wal, &record);
    }
    wal_figures(at->wal, &full);
    assert_true(full.file_bytes > full.map_bytes / 2);
    assert_in_range(full.used_bytes, (uint64_t)VALUES * VALUE_BYTES * 9 / 10, full.file_bytes);
    for (uint64_t i = 0; i < VALUES; i++) {
        struct wal_record record = put_input(i, &part);
        record.operation = WAL_DELETE;
        record.part_count = 0;
        one_commit(at->wal, &record);
    }
    for (uint64_t i = 0; i < LATER; i++) {
        struct wal_record record = put_input(VALUES, &small);
        one_commit(at->wal, &record);
    }
    wal_figures(at->wal, &after);
    print_message("in use: %llu, then %llu of %llu\n", (unsigned long long)full.used_bytes, (unsigned long long)after.used_bytes,
                  (unsigned long long)after.file_bytes);
    assert_true(after.file_bytes >= full.file_bytes && after.used_bytes < full.used_bytes / 4);
    assert_int_equal(close_all(at), STORE_OK);
}

static int limited_child(void *context) {
    struct fixture *at = context;
    struct rlimit limit = {.rlim_cur = 17 << 18, .rlim_max = 17 << 18}; /* the journal takes 4 MiB */
    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || open_with(at, 64 << 20, 16, NULL, NULL) != STORE_OK) return 90;
    enum store_status status;
    uint64_t last = write_until_it_stops(at->wal, &status);
    if (status != STORE_DISK_FULL) return 91;
    if (!numbers_are_there(at->wal, last)) return 92;
    if (close_all(at) != STORE_DISK_FULL) return 94;
    return last < 90 ? (int)last : 93;
}

static void a_file_that_may_not_grow_stops_the_store_as_a_full_disk_and_loses_nothing(void **state) {
    struct fixture *at = *state;
    int last = scratch_child(limited_child, at, 60);
    assert_in_range(last, 5, 89);
    assert_int_equal(open_with(at, 64 << 20, 16, NULL, NULL), STORE_OK);
    assert_true(numbers_are_there(at->wal, (uint64_t)last));
    assert_int_equal(close_all(at), STORE_OK);
}

static void a_full_file_system_stops_the_store_and_loses_nothing(void **state) {
    struct fixture *at = *state;
    char mount_point[SCRATCH_PATH_BYTES + 16];
    (void)snprintf(mount_point, sizeof mount_point, "%s", at->path);
    scratch_remove(mount_point);
    (void)snprintf(mount_point, sizeof mount_point, "%s/small", at->root);
    assert_int_equal(mkdir(mount_point, 0700), 0);
    if (mount("none", mount_point, "tmpfs", 0, "size=7m") != 0) skip(); /* not root, or not allowed */
    (void)snprintf(at->path, sizeof at->path, "%.*s/data", SCRATCH_PATH_BYTES, mount_point);
    enum store_status created = store_directory_create(at->path, &at->identity, &at->error);
    enum store_status opened = created == STORE_OK ? open_with(at, 64 << 20, 16, NULL, NULL) : created;
    enum store_status status = STORE_OK;
    uint64_t last = 0;
    bool there = false;
    if (opened == STORE_OK) {
        last = write_until_it_stops(at->wal, &status);
        (void)close_all(at);
        /* Nothing fits any more, but what was acknowledged can be read after a restart. */
        if (open_with(at, 64 << 20, 16, NULL, NULL) == STORE_OK) {
            there = numbers_are_there(at->wal, last);
            (void)close_all(at);
        }
    }
    assert_int_equal(umount(mount_point), 0);
    assert_int_equal(opened, STORE_OK);
    assert_int_equal(status, STORE_DISK_FULL);
    assert_true(last > 5 && there);
}

static void a_failed_sync_stops_the_store_and_completes_nothing(void **state) {
    struct fixture *at = *state;
    for (int calls = 1; calls <= 3; calls++) {
        assert_int_equal(open_with(at, 64 << 20, 16, NULL, NULL), STORE_OK);
        uint64_t before = wal_completed(at->wal);
        enum store_status status;
        atomic_store(&sync_calls_left, calls);
        uint64_t last = write_until_it_stops(at->wal, &status);
        atomic_store(&sync_calls_left, -1);
        assert_int_equal(status, STORE_IO);
        assert_int_equal(wal_completed(at->wal) - before, last);
        assert_true(last <= (uint64_t)calls - 1 && (last > 0) == (calls > 1)); /* fewer when LMDB committed in between */
        assert_stopped(at, STORE_IO);
        assert_int_equal(close_all(at), STORE_IO);
        assert_int_equal(open_with(at, 64 << 20, 16, NULL, NULL), STORE_OK);
        assert_true(numbers_are_there(at->wal, last));
        assert_int_equal(close_all(at), STORE_OK);
    }
}

/* Damage: one flipped bit anywhere in the file. LMDB's own pages carry no checksum, so a flip there may end the process or hide a record (which
 * LAST-SIGNED is for); never may a value come back that was not written. */

struct flip {
    struct fixture *at;
    uint64_t last;
};

/* Exit codes that nothing else has: cmocka's handlers, which would go on with the next test, are put away in the child. */
enum { READ_WHOLE = 40, READ_WRONG, READ_REFUSED };

static int flip_child(void *context) {
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) (void)signal(numbers[i], SIG_DFL);
    struct flip *flip = context;
    struct fixture *at = flip->at;
    static uint8_t bytes[50000];
    static uint8_t expected[50000];
    int null = open("/dev/null", O_WRONLY);
    if (null >= 0) (void)dup2(null, STDERR_FILENO);
    if (open_with(at, 64 << 20, 16, NULL, NULL) != STORE_OK) return READ_REFUSED;
    int result = READ_WHOLE;
    for (uint64_t number = 1; number <= flip->last; number++) {
        struct wal_record record = put_input(number, NULL);
        size_t count = 0;
        enum store_status status = wal_get(at->wal, WAL_INPUTS, record.key, bytes, sizeof bytes, &count);
        if (status != STORE_OK) {
            result = READ_REFUSED;
            continue;
        }
        fill(expected, sizeof expected, number);
        if (count != sizeof bytes || memcmp(bytes, expected, count) != 0) return READ_WRONG;
    }
    return result;
}

static void a_flipped_bit_on_disk_never_comes_back_as_a_value(void **state) {
    struct fixture *at = *state;
    uint64_t seed = scratch_seed();
    assert_int_equal(open_with(at, 4 << 20, 16, NULL, NULL), STORE_OK);
    enum store_status status;
    uint64_t last = write_until_it_stops(at->wal, &status);
    assert_int_equal(close_all(at), STORE_DISK_FULL);
    unsigned unharmed = 0;
    unsigned found = 0;
    unsigned ended = 0;
    uint64_t size = scratch_file_bytes(at->file);
    for (unsigned round = 0; round < 60; round++) {
        uint64_t offset = round % 3 ? scratch_draw(&seed) % size : scratch_draw(&seed) % (4096 * 12);
        int fd = open(at->file, O_RDWR);
        uint8_t byte = 0;
        assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
        byte ^= (uint8_t)(1 << (round % 8));
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
        struct flip flip = {.at = at, .last = last};
        int code = scratch_child(flip_child, &flip, 10);
        byte ^= (uint8_t)(1 << (round % 8));
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
        assert_int_equal(close(fd), 0);
        if (code == READ_WRONG) fail_msg("a flip of bit %u at %llu came back as a value", round % 8, (unsigned long long)offset);
        unharmed += code == READ_WHOLE;
        found += code == READ_REFUSED;
        ended += code == 256 + SIGSEGV || code == 256 + SIGBUS || code == 256 + SIGABRT; /* in LMDB */
        assert_int_equal(unharmed + found + ended, round + 1);
    }
    print_message("60 flips: %u without effect, %u refused, %u ended the process\n", unharmed, found, ended);
    assert_true(found > 10); /* most of the file is values: fewer would take a chance of 10^-30 */
    assert_int_equal(open_with(at, 4 << 20, 16, NULL, NULL), STORE_OK);
    assert_true(numbers_are_there(at->wal, last));
    assert_int_equal(close_all(at), STORE_OK);
}

/* For a chain the difference is where it ends. */
static void a_damaged_record_read_whole_is_damaged_and_not_absent(void **state) {
    struct fixture *at = *state;
    static uint8_t value[3000];
    assert_int_equal(open_with(at, 4 << 20, 16, NULL, NULL), STORE_OK);
    memset(value, 0x5C, sizeof value);
    struct iovec part = {value, sizeof value};
    struct wal_record record = {.operation = WAL_PUT, .db = WAL_CHAIN, .parts = &part, .part_count = 1};
    (void)wal_key_chain(record.key, 1);
    assert_int_equal(commit(at->wal, &record, 1), STORE_OK);
    struct wal_reader *reader = NULL;
    uint8_t *whole, absent[WAL_KEY_BYTES_MAX];
    size_t bytes = 0;
    (void)wal_key_chain(absent, 2);
    assert_int_equal(wal_reader_open(at->wal, &reader), STORE_OK);
    assert_int_equal(wal_read_whole(reader, WAL_CHAIN, record.key, &whole, &bytes), STORE_OK);
    assert_int_equal(bytes, sizeof value);
    assert_memory_equal(whole, value, sizeof value);
    free(whole);
    assert_int_equal(wal_read_whole(reader, WAL_CHAIN, absent, &whole, &bytes), STORE_ABSENT);
    assert_null(whole);
    wal_reader_close(reader);
    assert_int_equal(close_all(at), STORE_OK);
    static uint8_t file[4 << 20];
    int fd = open(at->file, O_RDWR);
    ssize_t size = pread(fd, file, sizeof file, 0);
    assert_true(size > 0);
    uint8_t *found = memmem(file, (size_t)size, value, sizeof value);
    assert_non_null(found);
    uint8_t other = 0x5D;
    assert_int_equal(pwrite(fd, &other, 1, found - file + 1500), 1);
    assert_int_equal(close(fd), 0);
    assert_int_equal(open_with(at, 4 << 20, 16, NULL, NULL), STORE_OK);
    assert_int_equal(wal_reader_open(at->wal, &reader), STORE_OK);
    assert_int_equal(wal_read_whole(reader, WAL_CHAIN, record.key, &whole, &bytes), STORE_DAMAGED);
    assert_null(whole);
    wal_reader_close(reader);
    assert_int_equal(close_all(at), STORE_OK);
}

static void a_reader_keeps_its_cut_while_others_write(void **state) {
    struct fixture *at = *state;
    assert_int_equal(open_with(at, 64 << 20, 16, NULL, NULL), STORE_OK);
    uint64_t value = 1;
    struct iovec part = {&value, sizeof value};
    struct wal_record record = put_input(1, &part);
    assert_int_equal(commit(at->wal, &record, 1), STORE_OK);
    struct wal_reader *reader = NULL;
    assert_int_equal(wal_reader_open(at->wal, &reader), STORE_OK);
    for (value = 2; value < 50; value++) assert_int_equal(commit(at->wal, &record, 1), STORE_OK);
    uint64_t back = 0;
    size_t count = 0;
    assert_int_equal(wal_read(reader, WAL_INPUTS, record.key, &back, sizeof back, &count), STORE_OK);
    assert_int_equal(back, 1);
    wal_reader_close(reader);
    assert_int_equal(wal_get(at->wal, WAL_INPUTS, record.key, &back, sizeof back, &count), STORE_OK);
    assert_int_equal(back, 49);
    struct wal_figures figures;
    wal_figures(at->wal, &figures);
    assert_true(figures.commits == 49 && figures.batches == 49 && figures.bytes == 49 * 8 && figures.cpu >= 0);
    assert_int_equal(close_all(at), STORE_OK);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(values_of_every_length_come_back_and_shorter_ones_replace_longer),
        CASE(blocks_are_walked_in_order_of_epoch_and_height_and_pruned_by_range),
        CASE(a_full_queue_pushes_back_at_its_limit_and_loses_nothing),
        CASE(a_kill_at_any_point_loses_nothing_that_was_completed),
        CASE(a_full_map_stops_the_store_as_a_full_disk_and_loses_nothing),
        CASE(what_is_in_use_falls_with_what_is_deleted),
        CASE(a_file_that_may_not_grow_stops_the_store_as_a_full_disk_and_loses_nothing),
        CASE(a_full_file_system_stops_the_store_and_loses_nothing),
        CASE(a_failed_sync_stops_the_store_and_completes_nothing),
        CASE(a_flipped_bit_on_disk_never_comes_back_as_a_value),
        CASE(a_damaged_record_read_whole_is_damaged_and_not_absent),
        CASE(a_reader_keeps_its_cut_while_others_write),
    };
    return cmocka_run_group_tests_name("wal", tests, NULL, NULL);
}
