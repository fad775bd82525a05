/*
 * The disk fills up under the write-ahead store (P-2): the first write for which there is no room is not said to be durable, nor is any later one,
 * however small, and the store names the cause, so that the node stops. What was durable before is there after a restart, and nothing else.
 */
#include <stdio.h>
#include <string.h>

#include "merkle/check.h"
#include "store/store.h"
#include "store/wal.h"
#include "tests/scenario_replica/replica_scenario.h"

enum { MAP_BYTES = 4 << 20, VALUE_BYTES = 200000, WRITES = 64 };

static struct wal *open_wal(const struct rw_node *node) {
    struct store_error error;
    struct wal *wal = NULL;
    struct wal_config config = {.directory = node->directory, .identity = node->identity, .map_bytes = MAP_BYTES, .queue_slots = 128, .cpu = -1};
    CHECK(wal_open(&config, &wal, &error) == STORE_OK);
    return wal;
}

/* One record under its number; its sequence, or 0 when the store takes nothing any more. */
static uint64_t write_one(struct wal *wal, uint32_t number, uint32_t bytes) {
    static uint8_t values[WRITES + 1][VALUE_BYTES]; /* until they are durable */
    static struct wal_record records[WRITES + 1];
    static struct iovec parts[WRITES + 1];
    uint64_t sequence = 0;
    memset(values[number], (int)number, bytes);
    parts[number] = (struct iovec){.iov_base = values[number], .iov_len = bytes};
    records[number] = (struct wal_record){.operation = WAL_PUT, .db = WAL_MISC, .parts = &parts[number], .part_count = 1};
    memcpy(records[number].key, &number, sizeof number);
    struct wal_batch batch = {.records = &records[number], .record_count = 1};
    enum store_status status = wal_submit(wal, &batch, &sequence);
    if (status != STORE_OK || wal_wait(wal, sequence) != STORE_OK) return 0;
    return sequence;
}

int main(int argc, char **argv) {
    struct replica_world *rw = rw_create_stored(rs_begin(argc, argv, "P-2"), RS_CHECKPOINT);
    const struct rw_node *node = &rw->nodes[0]; /* its data directory has a write-ahead store that nobody uses in this world */
    struct wal *wal = open_wal(node);
    struct store_error error;
    uint32_t written = 0;
    while (written < WRITES && write_one(wal, written, VALUE_BYTES) > 0) written++;
    rs_must(rw, written > 4 && written < WRITES, "the disk is full after some writes");
    rs_must(rw, wal_error(wal, &error) == STORE_DISK_FULL, "the cause is named");
    rs_must(rw, wal_completed(wal) == written, "what found no room is not said to be durable");
    rs_must(rw, write_one(wal, WRITES, 10) == 0 && wal_completed(wal) == written, "nor is a small one after it");
    rs_must(rw, wal_close(wal) == STORE_DISK_FULL, "the store does not end well");
    wal = open_wal(node);
    for (uint32_t number = 0; number <= WRITES; number++) {
        static uint8_t value[VALUE_BYTES];
        uint8_t key[WAL_KEY_BYTES_MAX] = {0};
        size_t bytes = 0;
        memcpy(key, &number, sizeof number);
        enum store_status status = wal_get(wal, WAL_MISC, key, value, sizeof value, &bytes);
        bool there = status == STORE_OK && bytes == VALUE_BYTES && value[VALUE_BYTES - 1] == (uint8_t)number;
        rs_must(rw, number < written ? there : status == STORE_ABSENT, "what was durable is there, and nothing else");
    }
    CHECK(wal_close(wal) == STORE_OK);
    return rs_end(rw);
}
