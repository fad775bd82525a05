/* The root of a genesis that was made from a backup: found when a data directory is made, and kept there. Apart from node_genesis.c, which the
 * simulator links, and which opens no store. */
#include <stdio.h>
#include <string.h>

#include "appliance/node/node_genesis.h"
#include "appliance/replica/replica.h"

static bool refuse(char text[NODE_GENESIS_TEXT_BYTES], const char *what) {
    snprintf(text, NODE_GENESIS_TEXT_BYTES, "%s", what);
    return false;
}

bool node_genesis_root(const struct node_config *config, const struct system *system, uint32_t cluster, uint8_t root[32],
                       char text[NODE_GENESIS_TEXT_BYTES]) {
    struct executor_config make = {.system = system, .cluster = cluster, .blocks_kept_max = 1, .open_max = 1}; /* ends before any hostile key */
    struct executor *executor;
    enum exec_status status = executor_create(&make, &executor);
    if (status != EXEC_VALID) return refuse(text, "no address space for the table that the limits of the system file allow");
    bool good = node_genesis_inherit(config, system, cluster, executor, NULL, NULL, root, text);
    executor_destroy(executor);
    return good;
}

bool node_genesis_keep(const struct store_directory *directory, const struct node_config *config, const struct store_identity *identity,
                       const uint8_t root[32], char text[NODE_GENESIS_TEXT_BYTES]) {
    struct store_error error = {.text = "the write-ahead store takes no record"};
    struct wal *wal = NULL;
    uint8_t key[WAL_KEY_BYTES_MAX] = {0};
    replica_genesis_key(key);
    struct wal_config about = {.directory = directory, .identity = *identity, .map_bytes = config->wal_map_bytes, .queue_slots = 4, .cpu = -1};
    bool good = wal_open(&about, &wal, &error) == STORE_OK;
    if (good) {
        struct iovec part = {.iov_base = (void *)(uintptr_t)root, .iov_len = 32};
        struct wal_record record = {.db = WAL_MISC, .operation = WAL_PUT, .parts = &part, .part_count = 1};
        memcpy(record.key, key, sizeof key);
        struct wal_batch batch = {.records = &record, .record_count = 1};
        uint64_t sequence = 0;
        good = wal_submit(wal, &batch, &sequence) == STORE_OK && wal_wait(wal, sequence) == STORE_OK;
        if (!good) (void)wal_error(wal, &error);
        good = wal_close(wal) == STORE_OK && good;
    }
    return good ? true : refuse(text, error.text);
}
