/*
 * store_run DIR STEPS SEED: a data directory's whole life under record.so: it is made, written to, gets checkpoints, takes one from peers, is made
 * anew. Between the calls stand notes, so that tests/sweep/sweep_main.c knows what may be missing when (STORE_NOTE_*).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "tests/sweep/reopen.h"
#include "tests/sweep/store_run.h"
#include "tests/sweep/image.h"

enum { MAP_BYTES = 256 << 20, SLOTS = 16, VALUE_BYTES_MAX = 40000, RECORDS = 6, KEYS = 60, ENTRIES = 40, FIRST_BYTES = 200 };

static uint64_t seed;
static struct store_directory *directory;
static struct store_error error;

static uint64_t draw(uint64_t below) {
    return image_random(&seed) % below;
}

static void note(uint64_t number) {
    CHECK(record_note != NULL);
    record_note(number, NULL, 0);
}

static void good(enum store_status status) {
    if (status == STORE_OK) return;
    fprintf(stderr, "store_run: %s: %s\n", store_status_name(status), error.text);
    exit(1);
}

static void fill(uint8_t *bytes, size_t count) {
    uint64_t word = draw(UINT64_MAX);
    for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)(word >> (i % 8 * 8)) ^ (uint8_t)i;
}

static void wal_step(struct wal *wal) {
    static uint8_t values[RECORDS][VALUE_BYTES_MAX];
    struct wal_record records[RECORDS];
    struct iovec parts[RECORDS];
    uint32_t count = 1 + (uint32_t)draw(RECORDS);
    bool far = draw(4) == 0; /* mostly enough for the value log */
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = far ? VALUE_BYTES_MAX - (size_t)draw(VALUE_BYTES_MAX / 2) : draw(4) == 0 ? (size_t)draw(VALUE_BYTES_MAX) : (size_t)draw(600);
        fill(values[i], bytes);
        parts[i] = (struct iovec){.iov_base = values[i], .iov_len = bytes};
        records[i] = (struct wal_record){.operation = WAL_PUT, .db = WAL_INPUTS, .parts = &parts[i], .part_count = 1};
        records[i].key[0] = (uint8_t)draw(KEYS);
        if (draw(8) == 0) records[i].operation = WAL_DELETE;
        if (draw(40) != 0) continue;
        records[i].operation = WAL_DELETE_RANGE;
        records[i].key_end[0] = (uint8_t)(records[i].key[0] + draw(20));
    }
    if (far && draw(3) == 0) { /* all goes, and what comes in the same transaction must not take its place before that is committed */
        records[0] = (struct wal_record){.operation = WAL_DELETE_RANGE, .db = WAL_INPUTS};
        records[0].key_end[0] = 0xFF;
    }
    struct wal_batch batch = {.records = records, .record_count = count};
    uint64_t sequence;
    good(wal_submit(wal, &batch, &sequence));
    good(wal_wait(wal, sequence));
}

/* What the newest checkpoint has: a store that is told how many leaves changes beside the entries for a while (store/runs.h). */
static bool there[FIRST_BYTES][ENTRIES];

static uint64_t there_count(void) {
    uint64_t count = 0;
    for (unsigned i = 0; i < FIRST_BYTES; i++)
        for (unsigned k = 0; k < ENTRIES; k++) count += there[i][k];
    return count;
}

/* A checkpoint of random writes, in one or two batches. */
static void state_step(struct state *state, uint64_t height) {
    static uint8_t values[ENTRIES][2000], blob[5000];
    struct state_write writes[ENTRIES];
    uint8_t keys[ENTRIES][2];
    uint64_t sequence;
    uint32_t count = 1 + (uint32_t)draw(ENTRIES);
    for (uint32_t i = 0; i < count; i++) {
        keys[i][0] = (uint8_t)draw(FIRST_BYTES);
        keys[i][1] = (uint8_t)i; /* each key once */
        fill(values[i], sizeof values[i]);
        writes[i] = (struct state_write){.key = keys[i], .key_bytes = 2, .value = values[i], .value_bytes = (uint32_t)draw(sizeof values[i]),
                                         .version = {.height = height, .index = i}, .deleted = draw(6) == 0};
        there[keys[i][0]][i] = !writes[i].deleted;
    }
    fill(blob, sizeof blob);
    struct state_checkpoint description = {.height = height, .epoch = 1, .entries = draw(5) ? there_count() : 0};
    fill(description.state_root, 32);
    struct state_blob blobs[1] = {{.name = "blob", .bytes = blob, .byte_count = (size_t)draw(sizeof blob)}};
    struct state_batch first = {.writes = writes, .write_count = count / 2};
    struct state_batch last = {.writes = writes + count / 2, .write_count = count - count / 2, .checkpoint = &description, .blobs = blobs,
                               .blob_count = 1};
    good(state_submit(state, &first, &sequence));
    good(state_submit(state, &last, &sequence));
    good(state_wait(state, sequence));
}

static struct state *state_of(bool transfer) {
    struct state_config config = {
        .directory = directory, .transfer = transfer, .identity = reopen_store_identity(), .map_bytes = MAP_BYTES, .queue_slots = SLOTS, .cpu = -1};
    struct state *state;
    good(state_open(&config, &state, &error));
    return state;
}

/* A checkpoint comes from peers and takes the place of the own one; or the own one is made anew, as if it had been lost. */
static struct state *state_replace(struct state *state, uint64_t height) {
    struct store_identity identity = reopen_store_identity();
    good(state_close(state));
    memset(there, 0, sizeof there);
    if (draw(3) == 0) {
        note(STORE_NOTE_STATE_BEGIN);
        good(store_state_remake(directory, &identity, &error));
        note(STORE_NOTE_STATE_END);
        return state_of(false);
    }
    good(store_transfer_create(directory, &identity, &error));
    struct state *transfer = state_of(true);
    state_step(transfer, height);
    good(state_close(transfer));
    note(STORE_NOTE_PROMOTE_BEGIN);
    good(store_transfer_promote(directory, &error));
    note(STORE_NOTE_STATE_END);
    return state_of(false);
}

int main(int count, char **words) {
    if (count != 4 || record_note == NULL) return 2;
    unsigned long steps = strtoul(words[2], NULL, 10);
    seed = strtoull(words[3], NULL, 10);
    struct store_identity identity = reopen_store_identity();
    good(store_directory_create(words[1], &identity, &error));
    note(STORE_NOTE_CREATED);
    good(store_directory_open(words[1], &directory, &error));
    struct wal_config config = {.directory = directory, .identity = identity, .map_bytes = MAP_BYTES, .queue_slots = SLOTS, .cpu = -1};
    struct wal *wal;
    good(wal_open(&config, &wal, &error));
    struct state *state = state_of(false);
    for (unsigned long step = 1; step <= steps; step++) {
        uint64_t choice = draw(20);
        if (choice < 16)
            wal_step(wal);
        else if (choice < 19)
            state_step(state, step);
        else
            state = state_replace(state, step);
    }
    good(wal_close(wal));
    good(state_close(state));
    store_directory_close(directory);
    return 0;
}
