/* bench_store: what the live table and the write-ahead store cost here. Figures, no verdict. */
#include "merkle/check.h"
#include "store/table.h"
#include "store/wal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 1000000, PER_BLOCK = 10000, SLICE = 1024, COMMITS = 300 };

static double now(void) {
    struct timespec at;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &at) == 0);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static uint64_t mix(uint64_t number) {
    number *= UINT64_C(0x9E3779B97F4A7C15);
    return number ^ (number >> 29);
}

static void key_of(uint64_t number, uint8_t key[32]) {
    for (unsigned i = 0; i < 4; i++) {
        uint64_t word = mix(number + i);
        memcpy(key + 8 * i, &word, 8);
    }
}

static void put_all(struct table *table, uint64_t *height, const char *what) {
    uint8_t key[32];
    uint8_t value[32] = {1};
    double start = now();
    for (uint64_t number = 0; number < KEYS;) {
        table_block_begin(table, ++*height);
        for (uint32_t i = 0; i < PER_BLOCK; i++, number++) {
            key_of(mix(number) % KEYS, key);
            CHECK(table_put(table, table_hash(table, 0, key, 32), 0, key, 32, i, value, 32) == TABLE_OK);
        }
        if (table_blocks_open(table) > 4) table_finalize_oldest(table);
    }
    while (table_blocks_open(table) > 0) table_finalize_oldest(table);
    printf("%-28s %6.0f ns each\n", what, (now() - start) * 1e9 / KEYS);
}

static void get_all(const struct table *table) {
    static uint8_t keys[SLICE][32];
    static uint64_t hashes[SLICE];
    struct table_entry entry;
    uint64_t found = 0;
    double start = now();
    for (uint64_t slice = 0; slice < KEYS / SLICE; slice++) {
        for (unsigned i = 0; i < SLICE; i++) {
            key_of(mix(slice * SLICE + i) % KEYS, keys[i]);
            hashes[i] = table_hash(table, 0, keys[i], 32);
            table_prefetch(table, hashes[i]);
        }
        for (unsigned i = 0; i < SLICE; i++) table_prefetch_entry(table, hashes[i], 64);
        for (unsigned i = 0; i < SLICE; i++) found += table_get(table, hashes[i], 0, keys[i], 32, &entry) == TABLE_OK;
    }
    printf("%-28s %6.0f ns each\n", "get, a slice prefetched", (now() - start) * 1e9 / (double)found);
}

static void commits(struct wal *wal, size_t bytes) {
    uint8_t *value = calloc(1, bytes);
    CHECK(value);
    struct iovec part = {value, bytes};
    double start = now();
    for (uint64_t number = 0; number < COMMITS; number++) {
        struct wal_record record = {.operation = WAL_PUT, .db = WAL_INPUTS, .parts = &part, .part_count = 1};
        record.key[0] = (uint8_t)(number % 16);
        struct wal_batch batch = {.records = &record, .record_count = 1};
        uint64_t sequence;
        CHECK(wal_submit(wal, &batch, &sequence) == STORE_OK && wal_wait(wal, sequence) == STORE_OK);
    }
    printf("durable commit of %7zu B   %6.0f us each\n", bytes, (now() - start) * 1e6 / COMMITS);
    free(value);
}

int main(void) {
    struct table_config config = {.keys_max = {KEYS, 1000}, .bytes_max = {UINT64_C(160) << 20, 1 << 20}, .block_bytes_max = 64 << 20,
                                  .block_writes_max = 32768, .open_max = 16, .hash_key = "bench"};
    struct table *table = NULL;
    uint64_t height = 0;
    CHECK(table_create(&config, &table) == TABLE_OK);
    put_all(table, &height, "put, mostly new keys");
    put_all(table, &height, "put, overwriting");
    get_all(table);
    table_destroy(table);

    char root[] = "/tmp/hrc-bench-XXXXXX";
    char path[64];
    struct store_identity identity = {.cluster = 0x00020000};
    struct store_directory *directory = NULL;
    struct store_error error;
    struct wal *wal = NULL;
    CHECK(mkdtemp(root));
    (void)snprintf(path, sizeof path, "%s/data", root);
    CHECK(store_directory_create(path, &identity, &error) == STORE_OK && store_directory_open(path, &directory, &error) == STORE_OK);
    struct wal_config wal_config = {.directory = directory, .identity = identity, .map_bytes = UINT64_C(1) << 30, .queue_slots = 64, .cpu = -1};
    CHECK(wal_open(&wal_config, &wal, &error) == STORE_OK);
    commits(wal, 500);
    commits(wal, 32 << 10);
    commits(wal, 256 << 10);
    CHECK(wal_close(wal) == STORE_OK);
    store_directory_close(directory);
    (void)snprintf(path, sizeof path, "rm -r %s", root);
    return system(path) == 0 ? 0 : 1;
}
