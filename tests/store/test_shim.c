/* Power loss: the shim of tests/shim drops what was not synced. With it the store loses nothing that it called durable; and a store that forgets to
 * sync is found out by it. The child is this program again, with the shim preloaded. */
#include "merkle/check.h"
#include "store/wal.h"
#include "tests/store/scratch.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { VALUE_BYTES = 9000, KEYS = 40 };

static const char *program;
static char shim_dir[SCRATCH_PATH_BYTES];
static uint64_t seed;

static struct store_directory *directory;

static enum store_status open_wal(const char *path, struct wal **wal) {
    struct store_error error;
    enum store_status status = store_directory_open(path, &directory, &error);
    struct wal_config config = {.directory = directory, .identity = scratch_identity(0xA1), .map_bytes = 64 << 20, .queue_slots = 16, .cpu = -1};
    if (status == STORE_OK) status = wal_open(&config, wal, &error);
    if (status != STORE_OK) fprintf(stderr, "%s\n", error.text);
    return status;
}

static void fill(uint8_t *bytes, uint64_t number) {
    for (size_t i = 0; i < VALUE_BYTES; i++) bytes[i] = (uint8_t)(number * 131 + i * 7);
    memcpy(bytes, &number, sizeof number);
}

/* Writes number after number, each to key number % KEYS, and says on stdout which are durable. Ends when killed. */
static int child_main(const char *path, uint64_t from) {
    struct wal *wal = NULL;
    if (open_wal(path, &wal) != STORE_OK) return 3;
    static uint8_t value[VALUE_BYTES];
    for (uint64_t number = from;; number++) {
        fill(value, number);
        struct iovec part = {value, sizeof value};
        struct wal_record record = {.operation = WAL_PUT, .db = WAL_INPUTS, .parts = &part, .part_count = 1};
        record.key[0] = (uint8_t)(number % KEYS);
        struct wal_batch batch = {.records = &record, .record_count = 1};
        uint64_t sequence = 0;
        if (wal_submit(wal, &batch, &sequence) != STORE_OK || wal_wait(wal, sequence) != STORE_OK) return 4;
        if (write(STDOUT_FILENO, &number, sizeof number) != sizeof number) return 5;
    }
}

static void run_tool(const char *format, ...) {
    char command[4 * SCRATCH_PATH_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    CHECK(system(command) == 0);
}

struct place {
    char root[SCRATCH_PATH_BYTES];
    char path[SCRATCH_PATH_BYTES + 16];
    char undo[SCRATCH_PATH_BYTES + 16];
};

static void place_make(struct place *place) {
    scratch_make(place->root);
    (void)snprintf(place->path, sizeof place->path, "%s/data", place->root);
    (void)snprintf(place->undo, sizeof place->undo, "%s/undo", place->root);
    struct store_identity identity = scratch_identity(0xA1);
    struct store_error error;
    CHECK(store_directory_create(place->path, &identity, &error) == STORE_OK && mkdir(place->undo, 0700) == 0);
}

/* Starts the child under the shim, kills it somewhere, cuts the power. The highest number that it had called durable. */
static uint64_t run_and_cut(const struct place *place, uint64_t from, bool lie, bool torn) {
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        char preload[SCRATCH_PATH_BYTES + 32];
        char start[32];
        (void)snprintf(preload, sizeof preload, "%s/unsynced.so", shim_dir);
        (void)snprintf(start, sizeof start, "%llu", (unsigned long long)from);
        CHECK(dup2(pipes[1], STDOUT_FILENO) >= 0);
        CHECK(setenv("LD_PRELOAD", preload, 1) == 0 && setenv("UNSYNCED_DIR", place->undo, 1) == 0 && setenv("UNSYNCED_ROOT", place->root, 1) == 0);
        CHECK(setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1) == 0); /* the shim comes first, and may */
        if (lie) CHECK(setenv("UNSYNCED_LIE", "1", 1) == 0);
        (void)execl(program, program, "child", place->path, start, (char *)NULL);
        _exit(9);
    }
    CHECK(close(pipes[1]) == 0);
    uint64_t durable = from - 1;
    uint64_t wanted = 20 + scratch_draw(&seed) % 100;
    uint64_t number = 0;
    for (uint64_t i = 0; i < wanted && read(pipes[0], &number, sizeof number) == sizeof number; i++) durable = number;
    (void)usleep((unsigned)(scratch_draw(&seed) % 2000));
    CHECK(kill(pid, SIGKILL) == 0);
    while (read(pipes[0], &number, sizeof number) == sizeof number) durable = number;
    CHECK(close(pipes[0]) == 0);
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    if (torn) {
        run_tool("%s/powerloss %s %llu >/dev/null", shim_dir, place->undo, (unsigned long long)scratch_draw(&seed));
    } else {
        run_tool("%s/powerloss %s >/dev/null", shim_dir, place->undo);
    }
    return durable;
}

/* Of the newest KEYS numbers up to `durable`, how many are lost; *newest becomes the highest number found. */
static unsigned lost(const struct place *place, uint64_t durable, uint64_t *newest) {
    struct wal *wal = NULL;
    static uint8_t value[VALUE_BYTES];
    static uint8_t expected[VALUE_BYTES];
    unsigned count = 0;
    *newest = durable;
    assert_int_equal(open_wal(place->path, &wal), STORE_OK);
    for (uint64_t key = 0; key < KEYS; key++) {
        if (durable < KEYS) break;
        uint64_t least = durable - (durable - key) % KEYS; /* the highest number up to durable that went to this key */
        uint8_t name[32] = {(uint8_t)key};
        size_t bytes = 0;
        uint64_t number = 0;
        enum store_status status = wal_get(wal, WAL_INPUTS, name, value, sizeof value, &bytes);
        if (status == STORE_OK) memcpy(&number, value, sizeof number);
        fill(expected, number);
        if (status != STORE_OK || number < least || bytes != VALUE_BYTES || memcmp(value, expected, VALUE_BYTES) != 0) count++;
        if (number > *newest) *newest = number;
    }
    assert_int_equal(wal_close(wal), STORE_OK);
    store_directory_close(directory);
    return count;
}

static void power_loss_takes_nothing_that_was_called_durable(void **state) {
    (void)state;
    struct place place;
    place_make(&place);
    uint64_t from = 1;
    for (unsigned round = 0; round < 10; round++) {
        uint64_t durable = run_and_cut(&place, from, false, round % 2 == 1);
        uint64_t newest = 0;
        assert_true(durable >= from);
        assert_int_equal(lost(&place, durable, &newest), 0);
        from = newest + 1;
    }
    assert_true(from > 10 * 20);
    scratch_remove(place.root);
}

/* The check on the check: with every sync ignored the power cut takes what the store believed to be durable. */
static void a_sync_that_is_not_one_is_found_out(void **state) {
    (void)state;
    struct place place;
    place_make(&place);
    uint64_t durable = run_and_cut(&place, 1, true, false);
    uint64_t newest = 0;
    assert_true(durable >= 20);
    if (durable < KEYS) durable = KEYS;
    assert_true(lost(&place, durable, &newest) > KEYS / 2);
    scratch_remove(place.root);
}

int main(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "child") == 0) return child_main(argv[2], strtoull(argv[3], NULL, 10));
    static char self[SCRATCH_PATH_BYTES];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    CHECK(length > 0);
    program = self;
    seed = scratch_seed();
    scratch_make(shim_dir);
    /* Built here, since preloading wants a library and our tests are programs; from the top of the tree or from anywhere with TOP set. */
    const char *top = getenv("TOP");
    run_tool("%s/tests/shim/build %s", top ? top : ".", shim_dir);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_loss_takes_nothing_that_was_called_durable),
        cmocka_unit_test(a_sync_that_is_not_one_is_found_out),
    };
    int failed = cmocka_run_group_tests_name("shim", tests, NULL, NULL);
    scratch_remove(shim_dir);
    return failed;
}
