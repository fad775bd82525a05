/* P-1 between replica and store: each batch that the store calls durable is there, however many wait. */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/node/node_batches.h"
#include "merkle/check.h"
#include "tests/store/scratch.h"

enum { BATCHES = 1200, SLOTS = 256 };

static struct {
    struct wal_batch batch;
    struct wal_record record;
    struct iovec part;
    uint64_t value;
} given[BATCHES];

static sem_t held;
static bool stands; /* the storage thread alone */

/* A disk that takes its time for the first commit. */
static void wake(void *context) {
    (void)context;
    if (stands) assert_int_equal(sem_wait(&held), 0);
    stands = false;
}

static void batch_make(unsigned i) {
    given[i].value = i;
    given[i].part = (struct iovec){&given[i].value, sizeof given[i].value};
    given[i].record = (struct wal_record){.operation = WAL_PUT, .db = WAL_VOTES, .parts = &given[i].part, .part_count = 1};
    (void)wal_key_vote(given[i].record.key, WAL_VOTE_OWN_COMMIT, 0, 0, i);
    given[i].batch = (struct wal_batch){.records = &given[i].record, .record_count = 1};
}

/* As many as the store takes; returns the number of the last one. */
static uint64_t submit(struct node_batches *batches, struct wal *wal, uint64_t before) {
    uint64_t sequence;
    enum store_status status;
    while ((status = node_batches_submit(batches, wal, &sequence)) == STORE_OK) assert_int_equal(sequence, ++before);
    assert_true(status == STORE_ABSENT || status == STORE_BUSY);
    return before;
}

static void all_that_was_given_is_there(void **state) {
    (void)state;
    char root[SCRATCH_PATH_BYTES], path[SCRATCH_PATH_BYTES + 16];
    struct store_directory *directory;
    struct store_error error;
    struct store_identity identity = scratch_identity(0xA1);
    struct node_batches batches = {.room = 0};
    struct wal *wal;
    scratch_make(root);
    (void)snprintf(path, sizeof path, "%s/data", root);
    CHECK(store_directory_create(path, &identity, &error) == STORE_OK);
    CHECK(store_directory_open(path, &directory, &error) == STORE_OK);
    assert_int_equal(sem_init(&held, 0, 0), 0);
    stands = true;
    struct wal_config config = {.directory = directory, .identity = identity, .map_bytes = 64 << 20, .queue_slots = SLOTS, .cpu = -1, .wake = wake};
    CHECK(wal_open(&config, &wal, &error) == STORE_OK);
    uint64_t submitted = 0, absent;
    assert_int_equal(node_batches_submit(&batches, wal, &absent), STORE_ABSENT);
    for (unsigned i = 0; i < BATCHES; i++) {
        batch_make(i);
        node_batches_add(&batches, &given[i].batch);
        submitted = submit(&batches, wal, submitted);
    }
    assert_true(submitted < BATCHES && batches.count == BATCHES - submitted); /* the store's queue is full, and more waits than there was room for */
    assert_int_equal(sem_post(&held), 0);
    while (submitted < BATCHES) {
        assert_int_equal(wal_wait(wal, submitted), STORE_OK);
        submitted = submit(&batches, wal, submitted);
    }
    assert_int_equal(wal_wait(wal, BATCHES), STORE_OK);
    for (unsigned i = 0; i < BATCHES; i++) {
        uint64_t value = UINT64_MAX;
        size_t bytes;
        assert_int_equal(wal_get(wal, WAL_VOTES, given[i].record.key, &value, sizeof value, &bytes), STORE_OK);
        assert_int_equal(value, i);
    }
    assert_int_equal(wal_close(wal), STORE_OK);
    node_batches_free(&batches);
    store_directory_close(directory);
    scratch_remove(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_that_was_given_is_there)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
