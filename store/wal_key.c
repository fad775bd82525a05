/* Keys of the write-ahead store: apart from wal.c, which needs a disk. */
#include "merkle/check.h"
#include "store/env.h"
#include "store/wal.h"
#include <string.h>

static void put_be64(uint8_t *at, uint64_t value) {
    for (unsigned i = 0; i < 8; i++) at[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_be64(const uint8_t *at) {
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++) value = value << 8 | at[i];
    return value;
}

size_t wal_key_vote(uint8_t key[WAL_KEY_BYTES_MAX], uint8_t kind, uint8_t member, uint32_t slot, uint64_t height) {
    key[0] = kind;
    key[1] = member;
    key[2] = 0;
    key[3] = 0;
    for (unsigned i = 0; i < 4; i++) key[4 + i] = (uint8_t)(slot >> (24 - 8 * i));
    put_be64(key + 8, height);
    return 16;
}

size_t wal_key_block(uint8_t key[WAL_KEY_BYTES_MAX], uint64_t epoch, uint64_t height, const uint8_t block_id[32], uint8_t part) {
    put_be64(key, epoch);
    put_be64(key + 8, height);
    memcpy(key + 16, block_id, 32);
    key[48] = part;
    return 49;
}

void wal_key_block_read(const uint8_t *key, uint64_t *epoch, uint64_t *height, const uint8_t **block_id, uint8_t *part) {
    *epoch = get_be64(key);
    *height = get_be64(key + 8);
    *block_id = key + 16;
    *part = key[48];
}

size_t wal_key_chain(uint8_t key[WAL_KEY_BYTES_MAX], uint64_t epoch) {
    put_be64(key, epoch);
    return 8;
}

size_t wal_key_misc(uint8_t key[WAL_KEY_BYTES_MAX], const char *name) {
    size_t bytes = strlen(name);
    CHECK(bytes >= 1 && bytes <= 32);
    memset(key, 0, 32);
    memcpy(key, name, bytes);
    return 32;
}

size_t wal_key_bytes(enum wal_db db) {
    CHECK(db < WAL_DB_COUNT);
    return env_layout_wal.dbs[db].key_bytes;
}
