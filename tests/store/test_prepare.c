/* Values that are laid down before their records: who waits for them and who does not, what comes of those that are never put, errors. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "merkle/check.h"
#include "store/wal.h"
#include "store/wal_prepare.h"
#include "tests/store/scratch.h"

enum { BYTES = 3 << 20, MAP_BYTES = 96 << 20, HEAD_BYTES = 4, KEYS = 24, WAIT_MS = 20000 };

/* Interposed: a disk on which long writes stand still, or fail. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_moved = PTHREAD_COND_INITIALIZER;
static bool stands, fails;
static uint32_t standing;

static void gate_set(bool value) {
    CHECK(pthread_mutex_lock(&gate) == 0);
    stands = value;
    CHECK(pthread_cond_broadcast(&gate_moved) == 0);
    CHECK(pthread_mutex_unlock(&gate) == 0);
}

static void gate_await(void) {
    CHECK(pthread_mutex_lock(&gate) == 0);
    while (standing == 0) CHECK(pthread_cond_wait(&gate_moved, &gate) == 0);
    CHECK(pthread_mutex_unlock(&gate) == 0);
}

static ssize_t pwrite_some(int fd, const void *bytes, size_t count, off_t offset) {
    bool failed = false;
    if (count >= BYTES / 2) {
        CHECK(pthread_mutex_lock(&gate) == 0);
        standing++;
        CHECK(pthread_cond_broadcast(&gate_moved) == 0);
        while (stands) CHECK(pthread_cond_wait(&gate_moved, &gate) == 0);
        standing--;
        failed = fails;
        CHECK(pthread_mutex_unlock(&gate) == 0);
    }
    if (!failed) return syscall(SYS_pwrite64, fd, bytes, count, offset);
    errno = EIO;
    return -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite_some(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite_some(fd, bytes, count, offset);
}

static uint8_t heads[256][HEAD_BYTES];

struct fixture {
    char root[SCRATCH_PATH_BYTES], path[SCRATCH_PATH_BYTES + 16], file[SCRATCH_PATH_BYTES + 32];
    struct store_identity identity;
    struct store_directory *directory;
    struct store_error error;
    struct wal *wal;
    uint8_t *memory; /* of all values: a value is a head and some of it */
    uint64_t ticket; /* the newest */
};

static void wal_begin(struct fixture *at) {
    struct wal_config config = {.directory = at->directory, .identity = at->identity, .map_bytes = MAP_BYTES, .queue_slots = 64, .cpu = -1};
    CHECK(wal_open(&config, &at->wal, &at->error) == STORE_OK);
    at->ticket = 0;
}

static void again(struct fixture *at) {
    assert_int_equal(wal_close(at->wal), STORE_OK);
    wal_begin(at);
}

static int set_up(void **state) {
    struct fixture *at = calloc(1, sizeof *at);
    CHECK(at != NULL);
    stands = fails = false;
    for (int i = 0; i < 256; i++) memset(heads[i], i, HEAD_BYTES);
    scratch_make(at->root);
    (void)snprintf(at->path, sizeof at->path, "%s/data", at->root);
    (void)snprintf(at->file, sizeof at->file, "%s/wal/values", at->path);
    at->identity = scratch_identity(0xA1);
    at->memory = malloc(2 * BYTES);
    CHECK(at->memory != NULL);
    uint32_t word = 1;
    for (size_t i = 0; i < 2 * BYTES; i++) at->memory[i] = (uint8_t)((word = word * 1664525u + 1013904223u) >> 24);
    at->directory = scratch_directory(at->root, &at->identity);
    wal_begin(at);
    *state = at;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *at = *state;
    (void)wal_close(at->wal);
    store_directory_close(at->directory);
    scratch_remove(at->root);
    free(at->memory);
    free(at);
    return 0;
}

/* Head `turn`, and `bytes` from there on in the memory. */
static void parts_of(struct fixture *at, uint32_t turn, size_t bytes, struct iovec parts[2]) {
    parts[0] = (struct iovec){heads[turn % 256], HEAD_BYTES};
    parts[1] = (struct iovec){at->memory + turn % 100000, bytes};
}

static enum store_status prepare(struct fixture *at, uint8_t key, uint32_t turn, size_t bytes, uint64_t *ticket) {
    struct wal_value value = {.ticket = ++at->ticket, .db = WAL_INPUTS, .key = {key}, .part_count = 2};
    parts_of(at, turn, bytes, value.parts);
    *ticket = at->ticket;
    return wal_prepare(at->wal, &value);
}

static void prepared_await(struct fixture *at, uint64_t ticket) {
    for (int ms = 0; wal_prepared(at->wal) < ticket; ms++) {
        assert_true(ms < WAIT_MS && wal_error(at->wal, NULL) == STORE_OK);
        assert_int_equal(nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL), 0);
    }
}

/* What is submitted stays until it is durable: one batch at a time of each kind. */
struct batch {
    struct wal_record record;
    struct iovec parts[2];
    struct wal_batch batch;
    uint64_t sequence;
};

static enum store_status put_submit(struct fixture *at, struct batch *batch, enum wal_db db, uint8_t key, uint32_t turn, size_t bytes,
                                    uint64_t ticket) {
    parts_of(at, turn, bytes, batch->parts);
    batch->record = (struct wal_record){.operation = WAL_PUT, .db = db, .key = {key}, .parts = batch->parts, .part_count = 2, .ticket = ticket};
    batch->batch = (struct wal_batch){.records = &batch->record, .record_count = 1};
    return wal_submit(at->wal, &batch->batch, &batch->sequence);
}

static void put_done(struct fixture *at, uint8_t key, uint32_t turn, size_t bytes, uint64_t ticket) {
    struct batch batch;
    assert_int_equal(put_submit(at, &batch, WAL_INPUTS, key, turn, bytes, ticket), STORE_OK);
    assert_int_equal(wal_wait(at->wal, batch.sequence), STORE_OK);
}

static void erase_done(struct fixture *at, uint8_t key) {
    struct wal_record record = {.operation = WAL_DELETE, .db = WAL_INPUTS, .key = {key}};
    struct wal_batch batch = {.records = &record, .record_count = 1};
    uint64_t sequence = 0;
    assert_int_equal(wal_submit(at->wal, &batch, &sequence), STORE_OK);
    assert_int_equal(wal_wait(at->wal, sequence), STORE_OK);
}

static void is_there(struct fixture *at, uint8_t key, uint32_t turn, size_t bytes) {
    struct wal_reader *reader;
    uint8_t name[WAL_KEY_BYTES_MAX] = {key}, *found = NULL;
    size_t count = 0;
    struct iovec parts[2];
    assert_int_equal(wal_reader_open(at->wal, &reader), STORE_OK);
    assert_int_equal(wal_read_whole(reader, WAL_INPUTS, name, &found, &count), STORE_OK);
    parts_of(at, turn, bytes, parts);
    assert_int_equal(count, HEAD_BYTES + bytes);
    assert_memory_equal(found, parts[0].iov_base, HEAD_BYTES);
    assert_memory_equal(found + HEAD_BYTES, parts[1].iov_base, bytes);
    wal_reader_close(reader);
    free(found);
}

static void is_absent(struct fixture *at, uint8_t key) {
    uint8_t name[WAL_KEY_BYTES_MAX] = {key};
    size_t bytes = 0;
    assert_int_equal(wal_get(at->wal, WAL_INPUTS, name, NULL, 0, &bytes), STORE_ABSENT);
}

static uint64_t file_bytes(const struct fixture *at) {
    struct stat about;
    assert_int_equal(stat(at->file, &about), 0);
    return (uint64_t)about.st_blocks * 512;
}

static void what_is_prepared_is_there_once_it_is_put(void **state) {
    struct fixture *at = *state;
    uint64_t ticket;
    for (uint8_t key = 0; key < 8; key++) {
        assert_int_equal(prepare(at, key, 1000u * key + 7, BYTES - 77u * key, &ticket), STORE_OK);
        if (key % 2 == 0) prepared_await(at, ticket);
        is_absent(at, key);
        put_done(at, key, 1000u * key + 7, BYTES - 77u * key, ticket);
    }
    for (int round = 0; round < 2; round++) {
        for (uint8_t key = 0; key < 8; key++) is_there(at, key, 1000u * key + 7, BYTES - 77u * key);
        again(at);
    }
    assert_true(file_bytes(at) < 9 * (BYTES + 2 * VLOG_SEGMENT_BYTES)); /* each was laid down once */
}

/* The disk takes a long value as slowly as it likes: what does not name it is durable meanwhile, what does is not, nor what comes after that. */
static void only_the_record_waits_for_its_value(void **state) {
    struct fixture *at = *state;
    struct batch before, with, after;
    uint64_t ticket;
    gate_set(true);
    assert_int_equal(prepare(at, 1, 5, BYTES, &ticket), STORE_OK);
    gate_await();
    for (uint8_t i = 0; i < 20; i++) {
        assert_int_equal(put_submit(at, &before, WAL_MISC, i, i, 100, 0), STORE_OK);
        assert_int_equal(wal_wait(at->wal, before.sequence), STORE_OK);
    }
    assert_int_equal(put_submit(at, &before, WAL_MISC, 30, 1, 100, 0), STORE_OK);
    assert_int_equal(put_submit(at, &with, WAL_INPUTS, 1, 5, BYTES, ticket), STORE_OK);
    assert_int_equal(put_submit(at, &after, WAL_MISC, 31, 1, 100, 0), STORE_OK);
    assert_int_equal(wal_wait(at->wal, before.sequence), STORE_OK); /* also when all three were seen at once */
    assert_int_equal(nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL), 0);
    assert_int_equal(wal_completed(at->wal), before.sequence);
    assert_int_equal(wal_prepared(at->wal), 0);
    gate_set(false);
    assert_int_equal(wal_wait(at->wal, after.sequence), STORE_OK);
    assert_int_equal(wal_prepared(at->wal), ticket);
    is_there(at, 1, 5, BYTES);
}

static void what_is_forgotten_leaves_nothing(void **state) {
    enum { TURNS = 120 };
    struct fixture *at = *state;
    uint64_t ticket;
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        assert_int_equal(prepare(at, 1, turn, BYTES, &ticket), STORE_OK);
        if (turn % 2 == 0) prepared_await(at, ticket);
        wal_forget(at->wal, ticket);
        wal_forget(at->wal, ticket); /* not known any more */
        if (turn % 2 == 1) prepared_await(at, ticket);
        if (turn % 10 != 0) continue;
        put_done(at, 2, turn, BYTES, 0);
        is_there(at, 2, turn, BYTES); /* a reader has it folded: what was there before is room from the next transaction on */
    }
    assert_true(file_bytes(at) < 10 * BYTES);
    is_absent(at, 1);
    is_there(at, 2, TURNS - 10, BYTES);
}

static void what_was_prepared_before_a_start_is_room_again(void **state) {
    struct fixture *at = *state;
    uint64_t ticket;
    for (uint32_t turn = 0; turn < 30; turn++) {
        for (uint8_t i = 0; i < 4; i++) assert_int_equal(prepare(at, i, turn, BYTES, &ticket), STORE_OK);
        again(at);
    }
    assert_true(file_bytes(at) < 10 * BYTES);
    for (uint8_t i = 0; i < 4; i++) is_absent(at, i);
}

static void a_ticket_that_is_not_known_is_no_loss(void **state) {
    struct fixture *at = *state;
    uint64_t ticket;
    put_done(at, 1, 9, BYTES, 77);
    is_there(at, 1, 9, BYTES);
    assert_int_equal(prepare(at, 2, 9, BYTES, &ticket), STORE_OK);
    put_done(at, 2, 9, BYTES, ticket);
    put_done(at, 2, 9, BYTES, ticket); /* it was taken by the first */
    is_there(at, 2, 9, BYTES);
}

static void too_many_are_not_taken(void **state) {
    struct fixture *at = *state;
    uint64_t ticket, taken = 0;
    gate_set(true);
    while (prepare(at, 1, 3, BYTES, &ticket) == STORE_OK) taken++;
    assert_int_equal(taken, WAL_PREPARED_MAX);
    gate_set(false);
    put_done(at, 2, 4, BYTES, ticket);
    is_there(at, 2, 4, BYTES);
    for (uint64_t i = 1; i <= taken; i++) wal_forget(at->wal, i);
    prepared_await(at, taken); /* some found no room, which is nobody's fault */
    assert_int_equal(prepare(at, 3, 5, BYTES, &ticket), STORE_OK);
    put_done(at, 3, 5, BYTES, ticket);
    is_there(at, 3, 5, BYTES);
}

/* What was refused is as long as it was: it goes where long values go, though values with higher tickets are laid down. */
static void what_was_refused_is_laid_down_with_its_record(void **state) {
    struct fixture *at = *state;
    char pages[SCRATCH_PATH_BYTES + 32];
    struct stat before, after;
    uint64_t first, refused, last;
    (void)snprintf(pages, sizeof pages, "%s/wal/data.mdb", at->path);
    gate_set(true);
    assert_int_equal(prepare(at, 0, 3, BYTES, &first), STORE_OK);
    for (uint8_t i = 1; i < WAL_PREPARED_MAX; i++) assert_int_equal(prepare(at, i, 3, BYTES, &last), STORE_OK);
    assert_int_equal(prepare(at, 100, 3, BYTES, &refused), STORE_BUSY);
    gate_set(false);
    prepared_await(at, last);
    for (uint64_t ticket = first; ticket <= last; ticket++) wal_forget(at->wal, ticket);
    assert_int_equal(prepare(at, 101, 3, BYTES, &last), STORE_OK);
    prepared_await(at, last);
    assert_int_equal(stat(pages, &before), 0);
    put_done(at, 100, 3, BYTES, refused);
    is_there(at, 100, 3, BYTES);
    assert_int_equal(stat(pages, &after), 0);
    assert_true(after.st_size - before.st_size < BYTES / 2);
}

/* What nobody put has no share in what fills the store. */
static void what_is_prepared_leaves_room_for_what_is_put(void **state) {
    enum { PUTS = 12 };
    struct fixture *at = *state;
    uint64_t ticket = 0;
    for (uint32_t i = 0; i < WAL_PREPARED_MAX; i++) assert_int_equal(prepare(at, 1, i, 2 * BYTES - 100000, &ticket), STORE_OK);
    prepared_await(at, ticket);
    for (uint8_t i = 0; i < PUTS; i++) put_done(at, (uint8_t)(10 + i), i, BYTES, 0);
    for (uint8_t i = 0; i < PUTS; i++) is_there(at, (uint8_t)(10 + i), i, BYTES);
}

static void a_disk_that_fails_stops_the_store(void **state) {
    struct fixture *at = *state;
    struct batch batch;
    uint64_t ticket;
    gate_set(true);
    fails = true;
    assert_int_equal(prepare(at, 1, 5, BYTES, &ticket), STORE_OK);
    gate_await();
    assert_int_equal(put_submit(at, &batch, WAL_INPUTS, 1, 5, BYTES, ticket), STORE_OK);
    gate_set(false);
    assert_int_equal(wal_wait(at->wal, batch.sequence), STORE_IO);
    assert_int_equal(wal_error(at->wal, &at->error), STORE_IO);
    assert_non_null(strstr(at->error.text, "wal/values: write"));
    assert_int_equal(wal_completed(at->wal), 0);
    assert_int_equal(put_submit(at, &batch, WAL_MISC, 1, 5, 10, 0), STORE_STOPPED);
    assert_int_equal(prepare(at, 1, 5, BYTES, &ticket), STORE_STOPPED);
    assert_int_equal(wal_close(at->wal), STORE_IO);
    fails = false;
    wal_begin(at);
    is_absent(at, 1);
}

/* Also where nothing waits for it. */
static void a_disk_that_fails_is_told_of(void **state) {
    struct fixture *at = *state;
    uint64_t ticket;
    fails = true;
    assert_int_equal(prepare(at, 1, 5, BYTES, &ticket), STORE_OK);
    for (int ms = 0; wal_error(at->wal, NULL) == STORE_OK; ms++) {
        assert_true(ms < WAIT_MS);
        assert_int_equal(nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL), 0);
    }
    assert_int_equal(wal_prepared(at->wal), 0);
    assert_int_equal(wal_close(at->wal), STORE_IO);
    fails = false;
    wal_begin(at);
}

/* A store that has stopped takes nothing more, whichever of its threads found the fault. */
static void a_store_that_has_stopped_takes_no_value(void **state) {
    struct fixture *at = *state;
    struct batch batch;
    uint64_t ticket;
    fails = true;
    assert_int_equal(put_submit(at, &batch, WAL_INPUTS, 1, 5, BYTES, 0), STORE_OK);
    assert_int_equal(wal_wait(at->wal, batch.sequence), STORE_IO);
    fails = false;
    assert_int_equal(prepare(at, 2, 5, BYTES, &ticket), STORE_STOPPED);
    assert_int_equal(wal_close(at->wal), STORE_IO);
    wal_begin(at);
    is_absent(at, 1);
}

/* The store's thread looks for tickets, known ones and others, while more values are given: ThreadSanitizer sees whether either reads what the other
 * writes. */
static void values_are_given_while_others_are_taken(void **state) {
    enum { TURNS = 20, RECORDS = 1000, FEW_BYTES = 70000 };
    struct fixture *at = *state;
    struct wal_record *records = calloc(RECORDS, sizeof *records);
    assert_non_null(records);
    uint64_t newest = 0;
    struct wal_batch batch = {.records = records, .record_count = RECORDS};
    struct iovec part = {heads[1], HEAD_BYTES}, parts[2];
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        uint64_t ticket, sequence = 0;
        prepared_await(at, newest);
        assert_int_equal(prepare(at, 1, turn, FEW_BYTES, &ticket), STORE_OK);
        parts_of(at, turn, FEW_BYTES, parts);
        for (uint32_t i = 0; i < RECORDS; i++) {
            records[i] = (struct wal_record){.operation = WAL_PUT, .db = WAL_INPUTS, .key = {2, (uint8_t)i}, .parts = &part, .part_count = 1};
            records[i].ticket = UINT64_MAX;
        }
        records[RECORDS - 1] =
            (struct wal_record){.operation = WAL_PUT, .db = WAL_INPUTS, .key = {1}, .parts = parts, .part_count = 2, .ticket = ticket};
        assert_int_equal(wal_submit(at->wal, &batch, &sequence), STORE_OK);
        while (wal_completed(at->wal) < sequence) {
            assert_int_equal(wal_error(at->wal, NULL), STORE_OK);
            if (prepare(at, 3, turn, FEW_BYTES, &ticket) != STORE_OK) continue;
            wal_forget(at->wal, ticket);
            newest = ticket;
        }
        is_there(at, 1, turn, FEW_BYTES);
    }
    free(records);
}

struct model {
    bool there;
    uint64_t ticket; /* prepared and not put; 0: none */
    uint32_t turn, next;
    size_t bytes, next_bytes;
};

static void any_order_of_calls_is_right(void **state) {
    enum { TURNS = 1500 };
    const char *given = getenv("SEED");
    uint32_t word = given != NULL ? (uint32_t)strtoul(given, NULL, 10) : 4711;
    print_message("SEED=%u\n", word);
    struct fixture *at = *state;
    struct model model[KEYS] = {0};
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        uint8_t key = (uint8_t)((word = word * 1664525u + 1013904223u) >> 16) % KEYS;
        struct model *of = &model[key];
        switch ((word = word * 1664525u + 1013904223u) >> 16 & 7) {
        case 0:
        case 1:
        case 2:
            if (of->ticket != 0) break;
            of->next = turn;
            of->next_bytes = 200000 + (word >> 5) % 1000000;
            if (prepare(at, key, of->next, of->next_bytes, &of->ticket) != STORE_OK) of->ticket = 0;
            break;
        case 3:
        case 4:
            if (of->ticket == 0) of->next = turn, of->next_bytes = 4000 + (word >> 5) % 900000;
            put_done(at, key, of->next, of->next_bytes, of->ticket);
            of->there = true;
            of->turn = of->next;
            of->bytes = of->next_bytes;
            of->ticket = 0;
            break;
        case 5:
            if (of->ticket != 0) wal_forget(at->wal, of->ticket);
            of->ticket = 0;
            break;
        case 6:
            erase_done(at, key);
            of->there = false;
            break;
        default:
            if (of->there) is_there(at, key, of->turn, of->bytes);
            else is_absent(at, key);
        }
        if (turn % 300 != 299) continue;
        again(at);
        for (uint8_t i = 0; i < KEYS; i++) {
            model[i].ticket = 0;
            if (model[i].there) is_there(at, i, model[i].turn, model[i].bytes);
            else is_absent(at, i);
        }
    }
    assert_true(file_bytes(at) <= MAP_BYTES);
}

/* Kills: what was put is there, whether LMDB or the journal alone had its place; what was only prepared is room again. */

enum { KILLS = 12, KILL_KEYS = 8 };

static size_t killed_bytes(uint64_t number) {
    return 200000 + number * 7919 % 600000;
}

static _Noreturn void until_killed(struct fixture *at, _Atomic uint64_t *completed) {
    wal_begin(at);
    for (uint64_t number = atomic_load(completed) + 1;; number++) {
        uint64_t ticket, other;
        CHECK(prepare(at, (uint8_t)(number % KILL_KEYS), (uint32_t)number, killed_bytes(number), &ticket) == STORE_OK);
        if (prepare(at, 100, (uint32_t)number, killed_bytes(number), &other) == STORE_OK && number % 4 != 0) wal_forget(at->wal, other);
        struct batch batch;
        CHECK(put_submit(at, &batch, WAL_INPUTS, (uint8_t)(number % KILL_KEYS), (uint32_t)number, killed_bytes(number), ticket) == STORE_OK);
        CHECK(wal_wait(at->wal, batch.sequence) == STORE_OK);
        if (number % 4 == 0) wal_forget(at->wal, other);
        atomic_store(completed, number);
    }
}

/* The one that was under way may have become durable. */
static uint64_t killed_look(struct fixture *at, uint64_t completed) {
    uint8_t name[WAL_KEY_BYTES_MAX] = {(uint8_t)((completed + 1) % KILL_KEYS)};
    size_t bytes = 0;
    enum store_status status = wal_get(at->wal, WAL_INPUTS, name, NULL, 0, &bytes);
    if (status == STORE_TOO_LONG && bytes == HEAD_BYTES + killed_bytes(completed + 1)) completed++;
    for (uint64_t back = 0; back < KILL_KEYS && back < completed; back++)
        is_there(at, (uint8_t)((completed - back) % KILL_KEYS), (uint32_t)(completed - back), killed_bytes(completed - back));
    is_absent(at, 100);
    return completed;
}

static void a_kill_at_any_point_loses_nothing_that_was_put(void **state) {
    struct fixture *at = *state;
    uint64_t seed = scratch_seed();
    _Atomic uint64_t *completed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(completed != MAP_FAILED);
    assert_int_equal(wal_close(at->wal), STORE_OK);
    for (uint32_t round = 0; round < KILLS; round++) {
        (void)fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) until_killed(at, completed);
        uint64_t before = atomic_load(completed);
        for (int ms = 0; atomic_load(completed) == before && ms < WAIT_MS; ms++) (void)usleep(1000);
        (void)usleep((unsigned)(scratch_draw(&seed) % 60000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        wal_begin(at);
        atomic_store(completed, killed_look(at, atomic_load(completed)));
        assert_true(atomic_load(completed) > before);
        assert_true(file_bytes(at) <= MAP_BYTES);
        assert_int_equal(wal_close(at->wal), STORE_OK);
    }
    (void)munmap(completed, 4096);
    wal_begin(at);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_prepared_is_there_once_it_is_put, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_the_record_waits_for_its_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_forgotten_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_prepared_before_a_start_is_room_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ticket_that_is_not_known_is_no_loss, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_are_not_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_refused_is_laid_down_with_its_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_prepared_leaves_room_for_what_is_put, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_fails_stops_the_store, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_fails_is_told_of, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_store_that_has_stopped_takes_no_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_are_given_while_others_are_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_order_of_calls_is_right, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_kill_at_any_point_loses_nothing_that_was_put, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
