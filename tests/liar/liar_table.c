/* A table that goes bad in memory: some user's value changes, with and without its checksum. */
#include <string.h>

#include "appliance/exec/exec_inside.h"
#include "tests/liar/liar.h"

/* Some stored value of a user; another one each time. */
static bool find_value(struct liar *liar, struct table_entry *entry) {
    uint64_t cursor = 0, skip = liar->turn++ % 16;
    bool found = false;
    struct table_entry at;
    while (executor_entry_next(liar->executor, &cursor, &at)) {
        if (at.space != 0 || at.value_bytes == 0) continue;
        *entry = at;
        found = true;
        if (skip-- == 0) break;
    }
    return found;
}

/* After a block was executed, before anybody knows of it: its results are right, the table is not. */
void liar_table_result(struct liar *liar, struct execution_job *job) {
    struct table_entry entry;
    struct table *table = liar->executor->table;
    if (liar->r->is_coordinator || job->status != EXEC_VALID || liar->count >= 1 || !find_value(liar, &entry)) return;
    if (liar_option_is(liar, "flip")) {
        /* Every value that lies there, so that a read soon meets one. */
        uint64_t cursor = 0;
        while (executor_entry_next(liar->executor, &cursor, &entry)) {
            if (entry.space == 0 && entry.value_bytes > 0) ((uint8_t *)(uintptr_t)entry.value)[0] ^= 1;
        }
        liar_counted(liar);
        return;
    }
    CHECK(liar_option_is(liar, "write"));
    uint8_t key[256], value[1 << 16];
    memcpy(key, entry.key, entry.key_bytes);
    memcpy(value, entry.value, entry.value_bytes);
    value[0] ^= 1;
    uint64_t hash = table_hash(table, 0, key, entry.key_bytes);
    if (table_put(table, hash, 0, key, entry.key_bytes, entry.version.index, value, entry.value_bytes) == TABLE_OK) liar_counted(liar);
}
