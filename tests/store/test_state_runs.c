/* Checkpoints of few changes: runs over the entries, merged when read, folded when there is time; against a model, over kills, and damaged. */
#include "merkle/check.h"
#include "merkle/trie.h"
#include "store/env.h"
#include "store/runs.h"
#include "store/state.h"
#include "tests/store/scratch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 3000, MEMORY = 4 << 20, READERS = 3, VALUE_MAX = 3000, TOGETHER_MAX = 3, RUN_WRITES = 62 /* of 2,000 bytes */ };
enum { DB_ENTRIES = 0, DB_RUNS = 2 }; /* of env_layout_state */

/* What is there at a height. */
struct cell {
    uint64_t height;
    uint32_t index, value_bytes;
    bool present;
};

struct content {
    uint64_t height, entries;
    struct cell cells[KEYS];
};

struct fixture {
    char root[SCRATCH_PATH_BYTES];
    char path[SCRATCH_PATH_BYTES + 16];
    struct store_identity identity;
    struct store_directory *directory;
    struct store_error error;
    struct state *state;
    uint8_t *memory;
    uint64_t seed, height;
    struct content now, kept[READERS];
    struct state_reader *readers[READERS];
};

static uint8_t paths[KEYS][32];
static unsigned by_path[KEYS];

static uint64_t below(struct fixture *at, uint64_t bound) {
    return scratch_draw(&at->seed) % bound;
}

static size_t key_of(unsigned number, uint8_t key[8]) {
    (void)snprintf((char *)key, 8, "%u", number);
    return strlen((char *)key);
}

static uint8_t space_of(unsigned number) {
    return number % 7 == 0;
}

static void value_of(unsigned number, const struct cell *cell, uint8_t value[VALUE_MAX]) {
    for (uint32_t i = 0; i < cell->value_bytes; i++) value[i] = (uint8_t)(number * 7 + cell->height * 3 + cell->index + i);
}

static int path_compare(const void *a, const void *b) {
    return memcmp(paths[*(const unsigned *)a], paths[*(const unsigned *)b], 32);
}

static int set_up(void **state) {
    struct fixture *at = calloc(1, sizeof *at);
    CHECK(at);
    scratch_make(at->root);
    (void)snprintf(at->path, sizeof at->path, "%s/data", at->root);
    at->identity = scratch_identity(0xA1);
    at->memory = malloc((size_t)TOGETHER_MAX * MEMORY);
    CHECK(at->memory && store_directory_create(at->path, &at->identity, &at->error) == STORE_OK);
    for (unsigned number = 0; number < KEYS; number++) {
        uint8_t key[8];
        size_t bytes = key_of(number, key);
        trie_path((enum trie_space)space_of(number), key, bytes, paths[number]);
        by_path[number] = number;
    }
    qsort(by_path, KEYS, sizeof by_path[0], path_compare);
    *state = at;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *at = *state;
    for (unsigned i = 0; i < READERS; i++) state_reader_close(at->readers[i]);
    (void)state_close(at->state);
    store_directory_close(at->directory);
    scratch_remove(at->root);
    free(at->memory);
    free(at);
    return 0;
}

static void open_state(struct fixture *at) {
    struct state_config config = {.identity = at->identity, .map_bytes = 256 << 20, .queue_slots = 16, .run_bytes = 1 << 17, .cpu = -1};
    CHECK(store_directory_open(at->path, &at->directory, &at->error) == STORE_OK);
    config.directory = at->directory;
    if (state_open(&config, &at->state, &at->error) != STORE_OK) fail_msg("%s", at->error.text);
}

static enum store_status close_state(struct fixture *at) {
    enum store_status status = state_close(at->state);
    store_directory_close(at->directory);
    at->state = NULL;
    at->directory = NULL;
    return status;
}

/* Without a store the model alone goes on. */
static void submit_wait(struct fixture *at, const struct state_batch *batch) {
    uint64_t sequence = 0;
    if (!at->state) return;
    CHECK(state_submit(at->state, batch, &sequence) == STORE_OK && state_wait(at->state, sequence) == STORE_OK);
}

/* Write `index` of the checkpoint. */
static void write_one(struct fixture *at, struct state_buffer *buffer, unsigned number, uint32_t index, bool deleted, uint32_t value_bytes) {
    static uint8_t value[VALUE_MAX];
    struct cell *cell = &at->now.cells[number];
    uint8_t key[8];
    struct table_write write = {.entry = {.key = key, .value = value, .version = {at->height, index}, .space = space_of(number)}, .deleted = deleted};
    write.entry.key_bytes = (uint32_t)key_of(number, key);
    write.entry.value_bytes = deleted ? 0 : value_bytes;
    at->now.entries -= cell->present;
    *cell = (struct cell){.height = at->height, .index = index, .value_bytes = write.entry.value_bytes, .present = !deleted};
    at->now.entries += cell->present;
    value_of(number, cell, value);
    CHECK(state_buffer_add(buffer, &write));
}

/* Writes in the order in which they come, or in that of their paths. */
static void random_writes(struct fixture *at, struct state_buffer *buffer, uint32_t count, bool ascending) {
    uint64_t from = below(at, KEYS);
    for (uint32_t i = 0; i < count; i++) {
        unsigned number = ascending ? by_path[(from + i) % KEYS] : (unsigned)below(at, KEYS);
        bool deleted = below(at, 4) == 0;
        write_one(at, buffer, number, i, deleted, deleted ? 0 : (uint32_t)below(at, below(at, 20) == 0 ? VALUE_MAX : 50));
    }
}

/* A checkpoint of random changes in one to three batches. `many`: more than a run takes, several times. */
static void checkpoint(struct fixture *at, bool many) {
    at->now.height = ++at->height;
    bool clear = at->height == 1 || below(at, 40) == 0; /* the first one goes into the entries at once */
    if (clear) {
        memset(at->now.cells, 0, sizeof at->now.cells);
        at->now.entries = 0;
    }
    uint64_t batches = many ? 12 : 1 + below(at, 3);
    for (uint64_t i = 1; i <= batches; i++) {
        struct state_buffer buffer;
        state_buffer_init(&buffer, at->memory, MEMORY);
        random_writes(at, &buffer, (uint32_t)below(at, many ? 6000 : below(at, 2) ? 30 : 900), below(at, 2));
        struct state_checkpoint description = {.epoch = 1, .height = at->height};
        description.entries = below(at, 8) ? at->now.entries : 0;
        struct state_blob blob = {.name = "blob", .bytes = (const uint8_t *)&at->height, .byte_count = sizeof at->height};
        struct state_batch batch = {.writes = state_buffer_writes(&buffer), .write_count = buffer.count, .clear_first = clear && i == 1};
        if (i == batches) {
            batch.checkpoint = &description;
            batch.blobs = &blob;
            batch.blob_count = 1;
        }
        submit_wait(at, &batch);
    }
}

static void assert_entry(const struct content *content, unsigned number, const struct table_entry *entry) {
    static uint8_t value[VALUE_MAX];
    uint8_t key[8];
    const struct cell *cell = &content->cells[number];
    assert_int_equal(entry->key_bytes, key_of(number, key));
    assert_memory_equal(entry->key, key, entry->key_bytes);
    assert_true(entry->version.height == cell->height && entry->version.index == cell->index && entry->space == space_of(number));
    assert_int_equal(entry->value_bytes, cell->value_bytes);
    value_of(number, cell, value);
    assert_memory_equal(entry->value, value, cell->value_bytes);
}

/* From the given place in the order of paths to the end. */
static void assert_rest(struct state_reader *reader, const struct content *content, unsigned from) {
    struct table_entry entry;
    uint8_t path[32];
    for (unsigned i = from; i < KEYS; i++) {
        if (!content->cells[by_path[i]].present) continue;
        assert_int_equal(state_read_entry(reader, &entry, path), STORE_OK);
        assert_memory_equal(path, paths[by_path[i]], 32);
        assert_entry(content, by_path[i], &entry);
    }
    assert_int_equal(state_read_entry(reader, &entry, path), STORE_ABSENT);
    assert_int_equal(state_read_entry(reader, &entry, path), STORE_ABSENT);
}

static struct state_reader *reader_of(struct fixture *at, const struct content *content) {
    struct state_reader *reader = NULL;
    assert_int_equal(state_reader_open(at->state, &reader), STORE_OK);
    assert_int_equal(state_reader_checkpoint(reader)->height, content->height);
    assert_int_equal(state_reader_checkpoint(reader)->entries, content->entries);
    return reader;
}

static void assert_newest(struct fixture *at) {
    struct state_reader *reader = reader_of(at, &at->now);
    assert_rest(reader, &at->now, 0);
    state_reader_close(reader);
}

static void reader_turn(struct fixture *at) {
    unsigned i = (unsigned)below(at, READERS);
    if (at->readers[i]) {
        for (unsigned turn = 0; turn < 3; turn++) {
            unsigned from = (unsigned)below(at, KEYS);
            state_read_seek(at->readers[i], paths[by_path[from]]);
            assert_rest(at->readers[i], &at->kept[i], from);
        }
        uint64_t height = 0;
        size_t bytes = 0;
        assert_int_equal(state_read_blob(at->readers[i], "blob", &height, sizeof height, &bytes), STORE_OK);
        assert_int_equal(height, at->kept[i].height);
        state_reader_close(at->readers[i]);
    }
    at->kept[i] = at->now;
    at->readers[i] = reader_of(at, &at->now);
}

static uint64_t fold_parts, compactions;

static void figures_add(const struct fixture *at) {
    struct state_figures figures;
    state_figures(at->state, &figures);
    fold_parts += figures.fold_parts;
    compactions += figures.compactions;
}

static void behaves_like_a_model_over_runs_folds_and_restarts(void **state) {
    struct fixture *at = *state;
    at->seed = scratch_seed();
    open_state(at);
    for (unsigned step = 0; step < 160; step++) {
        checkpoint(at, step % 40 == 39);
        if (below(at, 2)) reader_turn(at);
        if (below(at, 6) == 0) assert_newest(at);
        if (below(at, 20) == 0) (void)usleep(100000); /* to fold */
        if (below(at, 30) > 0) continue;
        for (unsigned i = 0; i < READERS; i++) {
            state_reader_close(at->readers[i]);
            at->readers[i] = NULL;
        }
        figures_add(at);
        assert_int_equal(close_state(at), STORE_OK);
        open_state(at);
        assert_newest(at);
    }
    assert_newest(at);
    figures_add(at);
    print_message("%llu parts folded, %llu compactions\n", (unsigned long long)fold_parts, (unsigned long long)compactions);
    assert_true(fold_parts > 10 && compactions > 1); /* of 30 seeds the least was 28 and 4 */
}

static _Noreturn void crash_child(struct fixture *at, _Atomic uint64_t *done) {
    open_state(at);
    for (;;) {
        checkpoint(at, at->height % 9 == 8);
        atomic_store(done, at->height);
        if (at->height % 5 == 0) (void)usleep(35000);
    }
}

/* The model goes the same way as the child, by the same seed, to the height that is found. */
static void a_kill_leaves_a_checkpoint_whole_whatever_was_folded(void **state) {
    struct fixture *at = *state;
    uint64_t seed = scratch_seed();
    uint64_t kills = seed, seen = 0;
    _Atomic uint64_t *done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(done != MAP_FAILED);
    at->seed = seed;
    for (unsigned round = 0; round < 10; round++) {
        (void)fflush(NULL);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) crash_child(at, done);
        uint64_t until = atomic_load(done) + 2 + scratch_draw(&kills) % 12;
        for (unsigned wait = 0; wait < 4000 && atomic_load(done) < until; wait++) (void)usleep(5000);
        (void)usleep((unsigned)(scratch_draw(&kills) % 20000));
        assert_int_equal(kill(pid, SIGKILL), 0);
        int status = 0;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        struct state_figures figures;
        open_state(at);
        state_figures(at->state, &figures);
        struct state *store = at->state;
        seen = figures.height;
        assert_true(seen == atomic_load(done) || seen == atomic_load(done) + 1);
        at->state = NULL;
        while (at->height < seen) checkpoint(at, at->height % 9 == 8);
        at->state = store;
        assert_newest(at);
        atomic_store(done, seen);
        assert_int_equal(close_state(at), STORE_OK);
    }
    print_message("%llu checkpoints over 10 kills\n", (unsigned long long)seen);
    assert_true(seen > 20);
    (void)munmap(done, 4096);
}

static const char marker[] = "a value that nothing else looks like";

/* A checkpoint of one key; `counted`: what it changed stays beside the entries for a while. */
static void checkpoint_of_one(struct fixture *at, const char *key, const char *value, uint64_t entries) {
    struct state_write write = {.key = (const uint8_t *)key, .key_bytes = (uint16_t)strlen(key), .value = (const uint8_t *)value,
                                .value_bytes = (uint32_t)strlen(value), .version = {++at->height, 0}};
    struct state_checkpoint description = {.epoch = 1, .height = at->height, .entries = entries};
    struct state_batch batch = {.writes = &write, .write_count = 1, .checkpoint = &description};
    submit_wait(at, &batch);
}

static void assert_newest_count(struct fixture *at, uint64_t entries) {
    struct state_reader *reader = NULL;
    struct table_entry entry;
    assert_int_equal(state_reader_open(at->state, &reader), STORE_OK);
    for (uint64_t i = 0; i < entries; i++) assert_int_equal(state_read_entry(reader, &entry, NULL), STORE_OK);
    assert_int_equal(state_read_entry(reader, &entry, NULL), STORE_ABSENT);
    state_reader_close(reader);
}

static unsigned flip_marker(const struct fixture *at) {
    char path[SCRATCH_PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/state/data.mdb", at->path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    static char bytes[8 << 20];
    size_t count = fread(bytes, 1, sizeof bytes, file);
    unsigned found = 0;
    for (size_t i = 0; i + sizeof marker <= count; i++) {
        if (memcmp(bytes + i, marker, sizeof marker - 1) != 0) continue;
        assert_int_equal(fseek(file, (long)i, SEEK_SET), 0);
        assert_int_equal(fputc(marker[0] ^ 4, file), marker[0] ^ 4);
        found++;
    }
    assert_int_equal(fclose(file), 0);
    return found;
}

static void a_run_that_was_changed_is_damage_for_who_reads_folds_and_opens_it(void **state) {
    struct fixture *at = *state;
    struct state_buffer buffer;
    struct state_checkpoint description = {.epoch = 1, .height = ++at->height};
    at->seed = scratch_seed();
    open_state(at);
    state_buffer_init(&buffer, at->memory, MEMORY);
    random_writes(at, &buffer, KEYS, false); /* many, so that what comes after is not folded at once */
    struct state_batch batch = {.writes = state_buffer_writes(&buffer), .write_count = buffer.count, .checkpoint = &description};
    submit_wait(at, &batch);
    checkpoint_of_one(at, "marked", marker, at->now.entries + 1);
    assert_newest_count(at, at->now.entries + 1);
    assert_int_equal(flip_marker(at), 1);
    struct state_reader *reader = NULL;
    struct table_entry entry;
    enum store_status read = state_reader_open(at->state, &reader);
    while (read == STORE_OK) read = state_read_entry(reader, &entry, NULL);
    assert_int_equal(read, STORE_DAMAGED);
    state_reader_close(reader);
    for (unsigned i = 0; i < 15; i++) checkpoint_of_one(at, "next", "with it 16: they are folded", at->now.entries + 2);
    for (unsigned i = 0; state_error(at->state, NULL) == STORE_OK && i < 400; i++) (void)usleep(10000);
    assert_int_equal(state_error(at->state, &at->error), STORE_DAMAGED);
    assert_non_null(strstr(at->error.text, "state/data.mdb"));
    assert_int_equal(close_state(at), STORE_DAMAGED);
    struct state_config config = {.identity = at->identity, .map_bytes = 256 << 20, .queue_slots = 16, .cpu = -1};
    assert_int_equal(store_directory_open(at->path, &at->directory, &at->error), STORE_OK);
    config.directory = at->directory;
    assert_int_equal(state_open(&config, &at->state, &at->error), STORE_DAMAGED);
    at->state = NULL;
}

/* More than twenty times what is collected, so that as many runs would be merged. */
static void what_comes_in_the_order_of_paths_is_one_run(void **state) {
    struct fixture *at = *state;
    struct state_buffer buffer;
    at->seed = scratch_seed();
    open_state(at);
    checkpoint(at, false);
    at->now.height = ++at->height;
    state_buffer_init(&buffer, at->memory, MEMORY);
    for (uint32_t i = 0; i < KEYS; i++) write_one(at, &buffer, by_path[i], i, false, 1000);
    struct state_checkpoint description = {.epoch = 1, .height = at->height, .entries = KEYS};
    struct state_batch batch = {.writes = state_buffer_writes(&buffer), .write_count = buffer.count, .checkpoint = &description};
    submit_wait(at, &batch);
    struct state_figures figures;
    state_figures(at->state, &figures);
    assert_int_equal(figures.compactions, 0);
    assert_newest(at);
}

/* LMDB syncs by this one, and not by the C library's. While `held` it waits; it fails in the fold after `fails_after` checkpoints of `watched`, once
 * a part of it is done. */
static _Atomic bool held;
static _Atomic uint64_t fails_after;
static struct state *_Atomic watched;

int fdatasync(int fd) {
    while (atomic_load(&held)) (void)usleep(1000);
    struct state_figures figures = {.checkpoints = 0};
    if (atomic_load(&fails_after) > 0) state_figures(atomic_load(&watched), &figures);
    if (figures.fold_parts == 0 || figures.checkpoints < atomic_load(&fails_after)) return (int)syscall(SYS_fdatasync, fd);
    errno = EIO;
    return -1;
}

/* Checkpoints of so many runs each, handed over together, so that nothing is folded between them. What became of the last one. */
static enum store_status checkpoints_of_runs(struct fixture *at, const unsigned *runs, unsigned count, uint64_t fails_at) {
    static struct state_checkpoint descriptions[TOGETHER_MAX];
    static struct state_batch batches[TOGETHER_MAX];
    uint64_t sequence = 0;
    CHECK(count <= TOGETHER_MAX);
    for (unsigned i = 0; i < count; i++) {
        struct state_buffer buffer;
        state_buffer_init(&buffer, at->memory + (size_t)i * MEMORY, MEMORY);
        at->now.height = ++at->height;
        for (uint32_t index = 0; index < runs[i] * RUN_WRITES - RUN_WRITES / 2; index++) {
            write_one(at, &buffer, (unsigned)below(at, KEYS), index, false, 2000);
        }
        descriptions[i] = (struct state_checkpoint){.epoch = 1, .height = at->height, .entries = at->now.entries};
        batches[i] = (struct state_batch){
            .writes = state_buffer_writes(&buffer), .write_count = buffer.count, .checkpoint = &descriptions[i]};
    }
    atomic_store(&held, true);
    for (unsigned i = 0; i < count; i++) CHECK(state_submit(at->state, &batches[i], &sequence) == STORE_OK);
    atomic_store(&watched, at->state);
    atomic_store(&fails_after, fails_at);
    atomic_store(&held, false);
    return state_wait(at->state, sequence);
}

static void open_env(struct fixture *at, struct env *env) {
    if (env_open(env, at->path, &env_layout_state, &at->identity, 256 << 20, &at->error) != STORE_OK) fail_msg("%s", at->error.text);
}

/* In a store that is closed. */
static unsigned runs_there(struct fixture *at) {
    struct env env;
    MDB_txn *txn = NULL;
    unsigned count = 0;
    open_env(at, &env);
    assert_int_equal(mdb_txn_begin(env.mdb, NULL, MDB_RDONLY, &txn), 0);
    for (uint32_t number = 0; runs_next(txn, &env.dbs[DB_RUNS], &number) == 0; number++) count++;
    mdb_txn_abort(txn);
    env_close(&env);
    return count;
}

/* A store with runs of the given numbers, closed by a fold that failed at its second part. */
static void cut_off(struct fixture *at, const unsigned *runs, unsigned count) {
    unsigned all = 0;
    open_state(at);
    checkpoint(at, false);
    (void)checkpoints_of_runs(at, runs, count, 1 + count);
    for (unsigned i = 0; state_error(at->state, NULL) == STORE_OK && i < 400; i++) (void)usleep(10000);
    assert_int_equal(close_state(at), STORE_IO);
    atomic_store(&fails_after, 0);
    for (unsigned i = 0; i < count; i++) all += runs[i];
    assert_int_equal(runs_there(at), all);
}

/* 59 runs, and 20 more, are more than a merge takes. */
static void a_fold_that_must_be_and_was_cut_off_is_done_at_the_start(void **state) {
    struct fixture *at = *state;
    at->seed = scratch_seed();
    cut_off(at, (const unsigned[]){20, 19, 20}, 3);
    open_state(at);
    assert_newest(at);
    assert_int_equal(checkpoints_of_runs(at, (const unsigned[]){20}, 1, 0), STORE_OK);
    assert_newest(at);
    assert_int_equal(close_state(at), STORE_OK);
    assert_int_equal(runs_there(at), 0);
    open_state(at);
    assert_newest(at);
}

static void a_fold_that_was_cut_off_goes_on_without_a_commit(void **state) {
    struct fixture *at = *state;
    struct state_figures figures = {.fold_parts = 0};
    at->seed = scratch_seed();
    cut_off(at, (const unsigned[]){20}, 1);
    open_state(at);
    for (unsigned i = 0; figures.fold_parts == 0 && i < 400; i++) {
        (void)usleep(10000);
        state_figures(at->state, &figures);
    }
    assert_true(figures.fold_parts > 0);
    assert_newest(at);
}

/* As a release writes one that knows no runs: in the place of all entries, with the runs left as they were. */
static void checkpoint_of_older_release(struct fixture *at) {
    static const uint8_t name[ENV_META_KEY_BYTES] = {'c', 'h', 'e', 'c', 'k', 'p', 'n', 't'};
    struct env env;
    MDB_txn *txn = NULL;
    uint8_t bytes[88];
    size_t count = 0;
    open_env(at, &env);
    assert_int_equal(mdb_txn_begin(env.mdb, NULL, 0, &txn), 0);
    assert_int_equal(mdb_drop(txn, env.dbs[DB_ENTRIES].dbi, 0), 0);
    assert_int_equal(record_get(txn, &env.meta, name, bytes, sizeof bytes, &count), 0);
    bytes_put_le64(bytes + 8, ++at->height);
    bytes_put_le64(bytes + 16, 0);
    struct iovec part = {.iov_base = bytes, .iov_len = sizeof bytes};
    assert_int_equal(record_put(txn, &env.meta, name, &part, 1), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    env_close(&env);
}

static void runs_of_another_checkpoint_are_none(void **state) {
    struct fixture *at = *state;
    at->seed = scratch_seed();
    cut_off(at, (const unsigned[]){20}, 1);
    checkpoint_of_older_release(at);
    open_state(at);
    assert_newest_count(at, 0);
    checkpoint_of_one(at, "one", "and no other", 1);
    assert_newest_count(at, 1);
    assert_int_equal(close_state(at), STORE_OK);
    open_state(at);
    assert_newest_count(at, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(behaves_like_a_model_over_runs_folds_and_restarts),
        CASE(a_run_that_was_changed_is_damage_for_who_reads_folds_and_opens_it),
        CASE(what_comes_in_the_order_of_paths_is_one_run),
        CASE(a_fold_that_must_be_and_was_cut_off_is_done_at_the_start),
        CASE(a_fold_that_was_cut_off_goes_on_without_a_commit),
        CASE(runs_of_another_checkpoint_are_none),
        CASE(a_kill_leaves_a_checkpoint_whole_whatever_was_folded),
    };
    return cmocka_run_group_tests_name("state_runs", tests, NULL, NULL);
}
