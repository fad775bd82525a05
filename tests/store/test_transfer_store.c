/* The stores that may be made anew, since what they held comes back from peers: the checkpoint, and the one on its way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "merkle/bytes.h"
#include "store/state.h"
#include "store/wal.h"
#include "tests/store/scratch.h"

struct fixture {
    char root[SCRATCH_PATH_BYTES], path[SCRATCH_PATH_BYTES + 16];
    struct store_identity identity;
    struct store_directory *directory;
    struct store_error error;
};

static struct fixture at;

static int set_up(void **state) {
    (void)state;
    memset(&at, 0, sizeof at);
    scratch_make(at.root);
    (void)snprintf(at.path, sizeof at.path, "%s/data", at.root);
    at.identity = scratch_identity(7);
    assert_int_equal(store_directory_create(at.path, &at.identity, &at.error), STORE_OK);
    assert_int_equal(store_directory_open(at.path, &at.directory, &at.error), STORE_OK);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    store_directory_close(at.directory);
    scratch_remove(at.root);
    return 0;
}

static enum store_status state_of(bool transfer, struct state **state) {
    struct state_config config = {
        .directory = at.directory, .transfer = transfer, .identity = at.identity, .map_bytes = 64 << 20, .queue_slots = 4, .cpu = -1};
    return state_open(&config, state, &at.error);
}

static void checkpoint_write(struct state *state, uint64_t height) {
    struct state_write write = {.key = (const uint8_t *)"k", .value = (const uint8_t *)"v", .version = {.height = height}, .value_bytes = 1,
                                .key_bytes = 1};
    struct state_checkpoint about = {.height = height};
    struct state_batch batch = {.writes = &write, .write_count = 1, .checkpoint = &about};
    uint64_t sequence;
    assert_int_equal(state_submit(state, &batch, &sequence), STORE_OK);
    assert_int_equal(state_wait(state, sequence), STORE_OK);
}

/* A checkpoint that gives each of 512 entries another value of 1 KiB. */
static void checkpoint_write_all(struct state *state, uint64_t height) {
    static uint8_t keys[512][2], values[512][1024];
    static struct state_write writes[512];
    for (uint32_t i = 0; i < 512; i++) {
        memset(values[i], (int)(height + i), sizeof values[i]);
        bytes_put_le16(keys[i], (uint16_t)i);
        writes[i] = (struct state_write){.key = keys[i], .key_bytes = 2, .value = values[i], .value_bytes = sizeof values[i],
                                         .version = {.height = height, .index = i}};
    }
    struct state_checkpoint about = {.height = height};
    struct state_batch batch = {.writes = writes, .write_count = 512, .checkpoint = &about};
    uint64_t sequence;
    assert_int_equal(state_submit(state, &batch, &sequence), STORE_OK);
    assert_int_equal(state_wait(state, sequence), STORE_OK);
}

static uint64_t height_of(struct state *state) {
    struct state_reader *reader;
    if (state_reader_open(state, &reader) != STORE_OK) return 0;
    uint64_t height = state_reader_checkpoint(reader)->height;
    state_reader_close(reader);
    return height;
}

static void what_is_on_its_way_lies_beside_the_own_checkpoint(void **unused) {
    (void)unused;
    struct state *own, *coming;
    assert_false(store_transfer_exists(at.directory));
    assert_int_equal(state_of(true, &coming), STORE_MISSING);
    assert_int_equal(store_transfer_create(at.directory, &at.identity, &at.error), STORE_OK);
    assert_true(store_transfer_exists(at.directory));
    assert_int_equal(state_of(false, &own), STORE_OK);
    assert_int_equal(state_of(true, &coming), STORE_OK);
    checkpoint_write(own, 16);
    checkpoint_write(coming, 48);
    assert_int_equal(height_of(own), 16);
    assert_int_equal(state_close(coming), STORE_OK);
    assert_int_equal(state_of(true, &coming), STORE_OK);
    assert_int_equal(height_of(coming), 48);
    assert_int_equal(state_close(coming), STORE_OK);
    assert_int_equal(state_close(own), STORE_OK);
    /* A data directory with it is a node's as before. */
    store_directory_close(at.directory);
    assert_int_equal(store_directory_open(at.path, &at.directory, &at.error), STORE_OK);
    assert_int_equal(store_transfer_remove(at.directory, &at.error), STORE_OK);
    assert_false(store_transfer_exists(at.directory));
    assert_int_equal(store_transfer_remove(at.directory, &at.error), STORE_OK);
    assert_int_equal(state_of(false, &own), STORE_OK);
    assert_int_equal(height_of(own), 16);
    assert_int_equal(state_close(own), STORE_OK);
}

static void what_came_takes_the_place_of_the_checkpoint(void **unused) {
    (void)unused;
    struct state *state;
    for (int lost = 0; lost < 2; lost++) { /* the second time as after a power cut in the middle: the state is gone already */
        assert_int_equal(state_of(false, &state), STORE_OK);
        checkpoint_write(state, 16 + (uint64_t)lost);
        assert_int_equal(state_close(state), STORE_OK);
        assert_int_equal(store_transfer_create(at.directory, &at.identity, &at.error), STORE_OK);
        assert_int_equal(state_of(true, &state), STORE_OK);
        checkpoint_write(state, 48 + (uint64_t)lost);
        assert_int_equal(state_close(state), STORE_OK);
        if (lost) assert_int_equal(store_state_remake(at.directory, &at.identity, &at.error), STORE_OK);
        assert_int_equal(store_transfer_promote(at.directory, &at.error), STORE_OK);
        assert_false(store_transfer_exists(at.directory));
        assert_int_equal(state_of(false, &state), STORE_OK);
        assert_int_equal(height_of(state), 48 + (uint64_t)lost);
        assert_int_equal(state_close(state), STORE_OK);
    }
}

static void a_creation_that_was_cut_off_is_made_again(void **unused) {
    (void)unused;
    char path[SCRATCH_PATH_BYTES + 64];
    struct state *coming;
    (void)snprintf(path, sizeof path, "%s/transfer", at.path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_not_equal(state_of(true, &coming), STORE_OK);
    assert_int_equal(store_transfer_create(at.directory, &at.identity, &at.error), STORE_OK);
    assert_int_equal(state_of(true, &coming), STORE_OK);
    assert_int_equal(state_close(coming), STORE_OK);
}

static void a_lost_state_is_made_anew_and_votes_stay(void **unused) {
    (void)unused;
    char path[SCRATCH_PATH_BYTES + 64];
    struct state *own;
    struct wal *wal;
    struct wal_config config = {.directory = at.directory, .identity = at.identity, .map_bytes = 64 << 20, .queue_slots = 4, .cpu = -1};
    assert_int_equal(state_of(false, &own), STORE_OK);
    checkpoint_write(own, 16);
    assert_int_equal(state_close(own), STORE_OK);
    assert_int_equal(wal_open(&config, &wal, &at.error), STORE_OK);
    struct wal_record vote = {.operation = WAL_PUT, .db = WAL_VOTES};
    (void)wal_key_vote(vote.key, WAL_VOTE_CORE, 0, 0, 0);
    struct wal_batch batch = {.records = &vote, .record_count = 1};
    uint64_t sequence;
    assert_int_equal(wal_submit(wal, &batch, &sequence), STORE_OK);
    assert_int_equal(wal_wait(wal, sequence), STORE_OK);
    (void)snprintf(path, sizeof path, "%s/state/data.mdb", at.path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(state_of(false, &own), STORE_MISSING);
    assert_int_equal(store_state_remake(at.directory, &at.identity, &at.error), STORE_OK);
    assert_int_equal(state_of(false, &own), STORE_OK);
    assert_int_equal(height_of(own), 0);
    assert_int_equal(state_close(own), STORE_OK);
    size_t bytes = 1;
    assert_int_equal(wal_get(wal, WAL_VOTES, vote.key, NULL, 0, &bytes), STORE_OK);
    assert_int_equal(bytes, 0);
    assert_int_equal(wal_close(wal), STORE_OK);
}

static void a_reader_knows_what_it_keeps_from_being_written_again(void **unused) {
    (void)unused;
    struct state *own;
    struct state_reader *reader = NULL;
    struct state_figures figures;
    uint64_t kept = 1, bytes = 0, before = 0;
    assert_int_equal(state_of(false, &own), STORE_OK);
    for (uint64_t height = 1; height <= 3; height++) checkpoint_write_all(own, height);
    assert_int_equal(state_reader_open(own, &reader), STORE_OK);
    assert_int_equal(state_reader_cost(reader, &kept, &bytes), STORE_OK);
    assert_int_equal(kept, 0);
    state_figures(own, &figures);
    assert_true(bytes > 512 * 1024 && bytes <= figures.file_bytes);
    for (uint64_t height = 4; height <= 12; height++) {
        checkpoint_write_all(own, height);
        assert_int_equal(state_reader_cost(reader, &kept, &bytes), STORE_OK);
        assert_true(kept >= before + bytes / 2 && kept <= before + 2 * bytes);
        before = kept;
    }
    state_figures(own, &figures);
    uint64_t grown = figures.file_bytes;
    assert_true(grown >= kept);
    state_reader_close(reader);
    for (uint64_t height = 13; height <= 21; height++) checkpoint_write_all(own, height);
    state_figures(own, &figures);
    assert_true(figures.file_bytes <= grown + bytes); /* written again */
    assert_int_equal(state_close(own), STORE_OK);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(what_is_on_its_way_lies_beside_the_own_checkpoint),
        CASE(what_came_takes_the_place_of_the_checkpoint),
        CASE(a_creation_that_was_cut_off_is_made_again),
        CASE(a_reader_knows_what_it_keeps_from_being_written_again),
        CASE(a_lost_state_is_made_anew_and_votes_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
