/*
 * Private: how the table lies in memory (table.c says how it works), for the two files that carry it out.
 */
#ifndef STORE_TABLE_INSIDE_H
#define STORE_TABLE_INSIDE_H

#include "store/checksum.h"
#include "store/table.h"
#include "store/table_arena.h"

enum {
    RECORD_HEAD_BYTES = 32,
    NONE = -1,
    VALUE_BITS = 17, /* of `meta`: value length, then key length - 1, space, deleted */
    KEY_SHIFT = VALUE_BITS,
    SPACE_SHIFT = KEY_SHIFT + 8,
    DELETED_SHIFT = SPACE_SHIFT + 1,
    REGIONS = TABLE_OPEN_MAX + 1, /* one for the savepoint */
    JOURNAL_AHEAD = 8,
    CHANGED_DIGIT_BITS = 8,
};

struct record {
    uint64_t height;
    uint32_t index;
    uint32_t checksum;
    uint32_t tag;
    uint32_t meta;
    uint32_t own;
    uint32_t next;
    uint8_t bytes[]; /* key, value, of a long value its hash */
};
_Static_assert(sizeof(struct record) == RECORD_HEAD_BYTES, "the arena's bound counts 32 bytes");
_Static_assert(RECORD_HEAD_BYTES + TABLE_KEY_BYTES_MAX + TABLE_VALUE_BYTES_MAX + TABLE_HASH_BYTES == ARENA_CELL_BYTES_MAX,
               "the largest record is the largest cell");

struct slot {
    uint32_t tag;
    uint32_t ref; /* 0: empty */
};

struct journal_entry {
    uint32_t new_ref;
    uint32_t old_ref;
    uint32_t place; /* table_writes_place() */
};

struct open_block {
    uint64_t height;
    uint64_t bytes; /* declared bytes written, against block_bytes_max */
    uint64_t keys_before[TABLE_SPACES];
    uint64_t bytes_before[TABLE_SPACES];
    uint32_t region;
    uint32_t count; /* journal entries */
};

struct table {
    struct table_config config;
    struct arena arena;
    struct slot *slots; /* in one of the areas */
    uint64_t slot_count;
    uint64_t slots_used;
    uint64_t slots_max; /* slot_count in the end */
    uint32_t slot_mask;
    unsigned slot_shift;
    struct slot *areas[2]; /* of slots_max and of half as many */
    uint8_t *touched; /* one for each TOUCH_SLOTS slots: nothing was ever written there iff 0, so that a walk leaves it alone */
    struct journal_entry *journal; /* REGIONS times block_writes_max */
    uint64_t keys[TABLE_SPACES];
    uint64_t bytes[TABLE_SPACES];
    uint64_t keys_max[TABLE_SPACES]; /* as table_limits_set() says */
    uint64_t bytes_max[TABLE_SPACES];
    struct open_block open[TABLE_OPEN_MAX]; /* oldest first */
    uint32_t open_count;
    bool savepoint_open;
    struct open_block savepoint;
    bool region_taken[REGIONS];
    bool huge_pages;
    /* What checkpoints lack, place << 32 | tag of each key (table_writes.c), and as much again to sort it; NULL with changed_max 0. Whatever has a
     * final record that is newer than clean_height is in it. */
    uint64_t *changed;
    uint64_t *changed_sorting;
    uint32_t changed_count;
    struct {
        bool shown;       /* since table_changes_sort() or _begin(), until table_changes_end() */
        bool placing;     /* what has been counted goes to its place; else it is counted */
        unsigned shift;   /* of the digit that comes next, from 32 on; 64: sorted */
        uint32_t at;      /* of the changes */
        uint32_t starts[1 << CHANGED_DIGIT_BITS];
    } sort;
    uint64_t clean_height;
    uint64_t final_height;
    uint8_t hash_keys[TABLE_SPACES][TABLE_HASH_KEY_BYTES];
};

static const uint32_t none = (uint32_t)NONE;

static inline struct record *record_at(const struct table *table, uint32_t ref) {
    return arena_at(&table->arena, ref);
}

static inline uint32_t record_value_bytes(const struct record *record) {
    return record->meta & ((UINT32_C(1) << VALUE_BITS) - 1);
}

static inline uint32_t record_key_bytes(const struct record *record) {
    return ((record->meta >> KEY_SHIFT) & 0xFF) + 1;
}

static inline uint8_t record_space(const struct record *record) {
    return (uint8_t)((record->meta >> SPACE_SHIFT) & 1);
}

static inline bool record_deleted(const struct record *record) {
    return ((record->meta >> DELETED_SHIFT) & 1) != 0;
}

/* Of what lies behind key and value. */
static inline uint32_t hash_bytes_of(size_t value_bytes) {
    return value_bytes >= TABLE_LONG_BYTES ? TABLE_HASH_BYTES : 0;
}

/* Of everything behind the head. */
static inline size_t record_content_bytes(const struct record *record) {
    uint32_t value_bytes = record_value_bytes(record);
    return (size_t)record_key_bytes(record) + value_bytes + hash_bytes_of(value_bytes);
}

static inline uint32_t record_checksum(const struct record *record) {
    uint64_t state = checksum_mix(record->height, record->index);
    state = checksum_mix(state, record->meta);
    return checksum_end(checksum_add_lanes(state, record->bytes, record_content_bytes(record)));
}

static inline void record_show(const struct record *record, struct table_entry *entry) {
    entry->key = record->bytes;
    entry->key_bytes = record_key_bytes(record);
    entry->value = record->bytes + entry->key_bytes;
    entry->value_bytes = record_value_bytes(record);
    entry->version.height = record->height;
    entry->version.index = record->index;
    entry->space = record_space(record);
}

/* Always inline, this and the next: gcc 12 takes a function that only prefetches for one without effect and leaves the call out. Two cache lines:
 * head, key, and the value of most; more of a record that is expected to have more than these. */
static inline __attribute__((always_inline)) void record_prefetch(const struct table *table, uint32_t ref, uint32_t bytes) {
    const uint8_t *record = arena_at(&table->arena, ref);
    __builtin_prefetch(record);
    __builtin_prefetch(record + 64);
    for (uint32_t at = 128; at < bytes; at += 64) __builtin_prefetch(record + at);
}

/* The records of a block lie anywhere: a little ahead of whoever goes through it, they are on their way from memory. `left`: entries from this on. */
static inline __attribute__((always_inline)) void journal_prefetch(const struct table *table, const struct journal_entry *entry, uint32_t left) {
    if (left <= JOURNAL_AHEAD) return;
    entry += JOURNAL_AHEAD;
    record_prefetch(table, entry->new_ref, 0);
    if (entry->old_ref) __builtin_prefetch(arena_at(&table->arena, entry->old_ref));
}

static inline uint32_t index_home(const struct table *table, uint32_t tag) {
    return tag >> table->slot_shift;
}

#endif
