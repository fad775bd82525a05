/*
 * How it works. Every version of a key is one record in the arena (table_arena.c). The index is an open-addressed array with linear probing of
 * (tag, reference) pairs, eight to a cache line; the tag is the low half of the hash and its high bits are the home slot. It leads to the key's
 * newest record.
 *
 * The index begins small and doubles, between two areas that are reserved for it: the one of the largest size and one of half of that. Since homes
 * are high bits, all slots keep their order: doubling is one pass over the old array and one over the new, both in order, and looks at no record.
 * So the put that doubles takes some 5 ms at a million keys and 40 ms at five million, where the largest of the default limits (2^24 slots) comes to
 * be: measured with pages that were touched before (index_warm), without which it takes eight times as long.
 *
 * Each open block has a region of the journal; entry {new, old} says which record the block made of a key and which it replaced (0: none). A record
 * knows the entry that made it (`own`, until its block is final) and the entry that replaced it (`next`, as long as it is not the newest): these
 * back references are what lets the arena move records. A removal leaves a record without a value, marked DELETED, until the block is final.
 *
 *   newest record        index slot -> record, next = NONE
 *   replaced record      journal[next].old_ref -> record
 *   not final            journal[own].new_ref -> record, else own = NONE
 *
 * A deleted record that is final and not replaced does not exist: the slot is freed with it. One that is final and replaced goes when its
 * replacement becomes final, or is rolled back.
 */
#include "store/table_inside.h"
#include "merkle/check.h"
#include "merkle/trie.h"
#include "store/reserve.h"

enum {
    TOUCH_SLOTS = 4096,
    SLOTS_FIRST = 1024,
    PAGE_SLOTS = 512,
    HUGE_PAGES_FROM_KEYS = 1 << 13,
};

const char *table_status_name(enum table_status status) {
    switch (status) {
    case TABLE_OK: return "ok";
    case TABLE_ABSENT: return "absent";
    case TABLE_KEYS_FULL: return "keys_full";
    case TABLE_BYTES_FULL: return "bytes_full";
    case TABLE_BLOCK_FULL: return "block_full";
    case TABLE_CORRUPT: return "corrupt";
    case TABLE_NO_MEMORY: return "no_memory";
    case TABLE_BAD_LIMITS: return "bad_limits";
    }
    return "unknown";
}

/* Records. */

static size_t record_bytes(const struct record *record) {
    return RECORD_HEAD_BYTES + record_content_bytes(record);
}

static uint64_t record_declared(const struct record *record) {
    return table_entry_declared(record_key_bytes(record), record_value_bytes(record));
}

static bool record_has_key(const struct record *record, uint8_t space, const uint8_t *key, size_t key_bytes) {
    return record_key_bytes(record) == key_bytes && record_space(record) == space && memcmp(record->bytes, key, key_bytes) == 0;
}

/* The index. */

static void index_put(struct table *table, uint32_t at, struct slot slot) {
    table->slots[at] = slot;
    table->touched[at / TOUCH_SLOTS] = 1;
}

static uint32_t index_find(const struct table *table, uint32_t tag, uint8_t space, const uint8_t *key, size_t key_bytes) {
    uint32_t at = index_home(table, tag);
    for (; table->slots[at].ref; at = (at + 1) & table->slot_mask) {
        const struct slot *slot = &table->slots[at];
        if (slot->tag == tag && record_has_key(record_at(table, slot->ref), space, key, key_bytes)) return at;
    }
    return at; /* empty: where it would go */
}

static uint32_t index_find_ref(const struct table *table, uint32_t tag, uint32_t ref) {
    uint32_t at = index_home(table, tag);
    while (table->slots[at].ref != ref) {
        CHECK(table->slots[at].ref != 0);
        at = (at + 1) & table->slot_mask;
    }
    return at;
}

/* Backward shift: what follows without a gap moves up unless it stands between its home and the hole already. */
static void index_remove(struct table *table, uint32_t hole) {
    uint32_t mask = table->slot_mask;
    uint32_t at = hole;
    for (;;) {
        at = (at + 1) & mask;
        struct slot slot = table->slots[at];
        if (!slot.ref) break;
        uint32_t from_home = (at - index_home(table, slot.tag)) & mask;
        uint32_t from_hole = (at - hole) & mask;
        if (from_home < from_hole) continue;
        table->slots[hole] = slot;
        hole = at;
    }
    table->slots[hole] = (struct slot){0, 0};
    table->slots_used--;
}

static void index_size(struct table *table, uint64_t slots) {
    unsigned doublings = (unsigned)__builtin_ctzll(table->slots_max) - (unsigned)__builtin_ctzll(slots);
    table->slot_count = slots;
    table->slot_mask = (uint32_t)(slots - 1);
    table->slot_shift = 32 - (unsigned)__builtin_ctzll(slots);
    table->slots = table->areas[doublings % 2];
}

/* Used slots with which the next key doubles the index. */
static uint64_t slots_full(const struct table *table) {
    return table->slot_count / 8 * 5;
}

/* The kernel zeroes pages when they are touched: those of the next area one with each of the last puts before it is needed, not all in one. */
static void index_warm(struct table *table) {
    uint64_t pages = 2 * table->slot_count / PAGE_SLOTS, left = slots_full(table) - table->slots_used;
    volatile struct slot *next = table->slots == table->areas[0] ? table->areas[1] : table->areas[0];
    if (left <= pages) next[(left - 1) * PAGE_SLOTS].ref = 0;
}

/* Room for one key more. The first slots may hold what belongs at the end of the old array and went round: it comes last, to its place. */
static void index_grow(struct table *table) {
    if (table->slot_count == table->slots_max) return;
    if (table->slots_used < slots_full(table)) {
        index_warm(table);
        return;
    }
    struct slot *old = table->slots;
    uint64_t count = table->slot_count;
    uint32_t first = 0;
    while (old[first].ref) first++; /* it is not full: there is one */
    index_size(table, 2 * count);
    memset(table->touched, 0, (size_t)(table->slots_max / TOUCH_SLOTS + 1));
    for (uint64_t i = 0; i < count; i++) {
        struct slot slot = old[(first + i) & (count - 1)];
        if (!slot.ref) continue;
        uint32_t at = index_home(table, slot.tag);
        while (table->slots[at].ref) at = (at + 1) & table->slot_mask;
        index_put(table, at, slot);
    }
    store_forget(old, count * sizeof *old);
}

/* Frees a record that nothing refers to any more, and mends what refers to the one that moved into its place. */
static void record_free(struct table *table, uint32_t ref) {
    struct arena_move move = arena_give(&table->arena, ref, record_bytes(record_at(table, ref)));
    if (!move.to) return;
    struct record *moved = record_at(table, move.to);
    if (moved->own != none) table->journal[moved->own].new_ref = move.to;
    if (moved->next != none) {
        table->journal[moved->next].old_ref = move.to;
    } else {
        table->slots[index_find_ref(table, moved->tag, move.from)].ref = move.to;
    }
}

/* Makes a record. `value` may lie in the arena: taking a cell moves nothing. */
static uint32_t record_make(struct table *table, uint32_t tag, uint32_t meta, struct table_version version, const uint8_t *key,
                            const uint8_t *value) {
    size_t key_bytes = ((meta >> KEY_SHIFT) & 0xFF) + 1;
    size_t value_bytes = meta & ((UINT32_C(1) << VALUE_BITS) - 1);
    uint32_t ref = arena_take(&table->arena, RECORD_HEAD_BYTES + key_bytes + value_bytes + hash_bytes_of(value_bytes));
    struct record *record = record_at(table, ref);
    record->height = version.height;
    record->index = version.index;
    record->tag = tag;
    record->meta = meta;
    record->own = none;
    record->next = none;
    memcpy(record->bytes, key, key_bytes);
    if (value_bytes) memcpy(record->bytes + key_bytes, value, value_bytes);
    if (hash_bytes_of(value_bytes) > 0) trie_value_hash(value, value_bytes, record->bytes + key_bytes + value_bytes);
    record->checksum = record_checksum(record);
    return ref;
}

/* Set-up. */

static bool config_valid(const struct table_config *config) {
    if (config->open_max < 1 || config->open_max > TABLE_OPEN_MAX) return false;
    if (config->block_writes_max < 1 || config->block_writes_max > 1 << 20) return false;
    if (config->changed_max > 0 && (config->changed_max < config->block_writes_max || config->changed_max > 1 << 30)) return false;
    uint64_t keys = 0;
    uint64_t bytes = 0;
    uint64_t most = (uint64_t)ARENA_SLABS_MAX * ARENA_SLAB_BYTES;
    for (unsigned space = 0; space < TABLE_SPACES; space++) {
        if (config->keys_max[space] < 1 || config->keys_max[space] > UINT32_C(1) << 30) return false;
        if (config->bytes_max[space] < 1 || config->bytes_max[space] > most) return false;
        keys += config->keys_max[space];
        bytes += config->bytes_max[space];
    }
    if (keys > UINT32_C(1) << 30 || config->block_bytes_max < 1 || config->block_bytes_max > most) return false;
    return arena_slabs_for(bytes + config->open_max * config->block_bytes_max) <= ARENA_SLABS_MAX;
}

/* At most three quarters full with keys alone; the removed keys of open blocks, which keep their slots until these are final, may fill it to 8/9. */
static uint64_t slots_for(const struct table_config *config) {
    uint64_t keys = config->keys_max[0] + config->keys_max[1];
    uint64_t slots = keys / 3 * 4 + 4;
    uint64_t with_removed = (keys + (uint64_t)config->open_max * config->block_writes_max) / 8 * 9 + 9;
    if (with_removed > slots) slots = with_removed;
    uint64_t power = SLOTS_FIRST;
    while (power < slots) power *= 2;
    return power;
}

static bool changed_create(struct table *table) {
    uint64_t bytes = table->config.changed_max * sizeof *table->changed;
    if (bytes == 0) return true;
    table->changed = store_reserve(bytes);
    table->changed_sorting = store_reserve(bytes);
    return table->changed && table->changed_sorting;
}

enum table_status table_create(const struct table_config *config, struct table **out) {
    if (!config_valid(config)) return TABLE_BAD_LIMITS;
    uint64_t bytes = config->bytes_max[0] + config->bytes_max[1] + config->open_max * config->block_bytes_max;
    uint64_t slots = slots_for(config);
    if (slots > UINT64_C(1) << 32) return TABLE_BAD_LIMITS;
    struct table *table = calloc(1, sizeof *table);
    if (!table) return TABLE_NO_MEMORY;
    table->config = *config;
    table->slots_max = slots;
    memcpy(table->keys_max, config->keys_max, sizeof table->keys_max);
    memcpy(table->bytes_max, config->bytes_max, sizeof table->bytes_max);
    for (unsigned space = 0; space < TABLE_SPACES; space++) {
        memcpy(table->hash_keys[space], config->hash_key, TABLE_HASH_KEY_BYTES);
        table->hash_keys[space][0] ^= (uint8_t)space;
    }
    table->areas[0] = store_reserve(slots * sizeof *table->slots);
    table->areas[1] = store_reserve(slots / 2 * sizeof *table->slots);
    table->touched = calloc((size_t)(slots / TOUCH_SLOTS + 1), 1);
    table->journal = store_reserve((uint64_t)REGIONS * config->block_writes_max * sizeof *table->journal);
    bool arena = arena_create(&table->arena, arena_slabs_for(bytes));
    bool changed = changed_create(table);
    if (!changed || !table->areas[0] || !table->areas[1] || !table->touched || !table->journal || !arena) {
        table_destroy(table);
        return TABLE_NO_MEMORY;
    }
    index_size(table, SLOTS_FIRST);
    *out = table;
    return TABLE_OK;
}

void table_destroy(struct table *table) {
    if (!table) return;
    store_unreserve(table->areas[0], table->slots_max * sizeof *table->slots);
    store_unreserve(table->areas[1], table->slots_max / 2 * sizeof *table->slots);
    store_unreserve(table->journal, (uint64_t)REGIONS * table->config.block_writes_max * sizeof *table->journal);
    store_unreserve(table->changed, table->config.changed_max * sizeof *table->changed);
    store_unreserve(table->changed_sorting, table->config.changed_max * sizeof *table->changed);
    arena_destroy(&table->arena);
    free(table->touched);
    free(table);
}

void table_clear(struct table *table) {
    store_forget(table->slots, table->slot_count * sizeof *table->slots);
    memset(table->touched, 0, (size_t)(table->slots_max / TOUCH_SLOTS + 1));
    table->slots_used = 0;
    index_size(table, SLOTS_FIRST);
    arena_clear(&table->arena);
    memset(table->keys, 0, sizeof table->keys);
    memset(table->bytes, 0, sizeof table->bytes);
    memset(table->region_taken, 0, sizeof table->region_taken);
    table->open_count = 0;
    table->savepoint_open = false;
    table->changed_count = 0;
    table->sort.shown = false;
    table->clean_height = table->final_height = 0;
}

void table_regions(const struct table *table, struct table_region regions[TABLE_REGIONS]) {
    regions[0] = (struct table_region){table->arena.base, table->arena.slabs * ARENA_SLAB_BYTES};
    regions[1] = (struct table_region){table->arena.slab_previous, table->arena.slabs * sizeof *table->arena.slab_previous};
    regions[2] = (struct table_region){table->areas[0], table->slots_max * sizeof *table->slots};
    regions[3] = (struct table_region){table->areas[1], table->slots_max / 2 * sizeof *table->slots};
    regions[4] = (struct table_region){table->journal, (uint64_t)REGIONS * table->config.block_writes_max * sizeof *table->journal};
    regions[5] = (struct table_region){table->changed, table->config.changed_max * sizeof *table->changed};
    regions[6] = (struct table_region){table->changed_sorting, table->config.changed_max * sizeof *table->changed};
}

uint64_t table_keys(const struct table *table, uint8_t space) {
    CHECK(space < TABLE_SPACES);
    return table->keys[space];
}

uint64_t table_final_keys(const struct table *table, uint8_t space) {
    CHECK(space < TABLE_SPACES);
    return table->open_count > 0 ? table->open[0].keys_before[space] : table->keys[space];
}

uint64_t table_declared_bytes(const struct table *table, uint8_t space) {
    CHECK(space < TABLE_SPACES);
    return table->bytes[space];
}

void table_limits_set(struct table *table, uint8_t space, uint64_t keys_max, uint64_t bytes_max) {
    CHECK(space < TABLE_SPACES && keys_max <= table->config.keys_max[space] && bytes_max <= table->config.bytes_max[space]);
    table->keys_max[space] = keys_max;
    table->bytes_max[space] = bytes_max;
}

/* Reading. */

uint64_t table_hash(const struct table *table, uint8_t space, const uint8_t *key, size_t key_bytes) {
    CHECK(space < TABLE_SPACES && key_bytes >= 1 && key_bytes <= TABLE_KEY_BYTES_MAX);
    return siphash_one(table->hash_keys[space], key, key_bytes);
}

void table_hash_each(const struct table *table, uint8_t space, const uint8_t *const keys[SIPHASH_LANES], size_t key_bytes,
                     uint64_t hashes[SIPHASH_LANES]) {
    CHECK(space < TABLE_SPACES && key_bytes >= 1 && key_bytes <= TABLE_KEY_BYTES_MAX);
    siphash_each(table->hash_keys[space], keys, key_bytes, hashes);
}

void table_prefetch(const struct table *table, uint64_t hash) {
    __builtin_prefetch(&table->slots[index_home(table, (uint32_t)hash)]);
}

void table_prefetch_entry(const struct table *table, uint64_t hash, uint32_t bytes) {
    uint32_t tag = (uint32_t)hash;
    for (uint32_t at = index_home(table, tag); table->slots[at].ref; at = (at + 1) & table->slot_mask) {
        if (table->slots[at].tag != tag) continue;
        record_prefetch(table, table->slots[at].ref, RECORD_HEAD_BYTES + bytes);
        return;
    }
}

enum table_status table_get(const struct table *table, uint64_t hash, uint8_t space, const uint8_t *key, size_t key_bytes,
                            struct table_entry *entry) {
    CHECK(space < TABLE_SPACES && key_bytes >= 1 && key_bytes <= TABLE_KEY_BYTES_MAX);
    uint32_t ref = table->slots[index_find(table, (uint32_t)hash, space, key, key_bytes)].ref;
    if (!ref) return TABLE_ABSENT;
    const struct record *record = record_at(table, ref);
    if (record->checksum != record_checksum(record)) return TABLE_CORRUPT;
    if (record_deleted(record)) return TABLE_ABSENT;
    record_show(record, entry);
    return TABLE_OK;
}

bool table_ref_next(const struct table *table, uint32_t ref, uint64_t *cursor, struct table_entry *entry) {
    for (;;) {
        const struct slot *slot = &table->slots[(index_home(table, ref) + *cursor) & table->slot_mask];
        if (!slot->ref || *cursor >= table->slot_count) return false;
        ++*cursor;
        if (slot->tag != ref) continue;
        const struct record *record = record_at(table, slot->ref);
        if (record_deleted(record)) continue;
        record_show(record, entry);
        return true;
    }
}

bool table_next(const struct table *table, uint64_t *cursor, struct table_entry *entry, bool *intact) {
    while (*cursor < table->slot_count) {
        if (!table->touched[*cursor / TOUCH_SLOTS]) {
            *cursor = (*cursor / TOUCH_SLOTS + 1) * TOUCH_SLOTS;
            continue;
        }
        const struct slot *slot = &table->slots[(*cursor)++];
        if (!slot->ref) continue;
        const struct record *record = record_at(table, slot->ref);
        if (record_deleted(record)) continue;
        record_show(record, entry);
        *intact = record->checksum == record_checksum(record);
        return true;
    }
    return false;
}

/* Writing. */

static struct open_block *newest(struct table *table) {
    CHECK(table->open_count > 0);
    return &table->open[table->open_count - 1];
}

/* Where writes go: the savepoint if there is one, else the newest block. */
static struct open_block *layer(struct table *table) {
    struct open_block *block = newest(table);
    return table->savepoint_open ? &table->savepoint : block;
}

static bool made_by(const struct table *table, const struct record *record, const struct open_block *block) {
    return record->own != none && record->own / table->config.block_writes_max == block->region;
}

static void huge_pages_want(struct table *table) {
    if (table->huge_pages || table->keys[0] + table->keys[1] < HUGE_PAGES_FROM_KEYS) return;
    table->huge_pages = true;
    store_huge_pages(table->areas[0], table->slots_max * sizeof *table->slots);
    store_huge_pages(table->areas[1], table->slots_max / 2 * sizeof *table->slots);
    store_huge_pages(table->arena.base, table->arena.slabs * ARENA_SLAB_BYTES);
}

static void slot_set(struct table *table, uint32_t at, uint32_t tag, uint32_t ref) {
    table->slots_used += table->slots[at].ref == 0;
    index_put(table, at, (struct slot){.tag = tag, .ref = ref});
}

/* Puts the new record `meta` says in place of what slot `at` leads to. TABLE_BLOCK_FULL or TABLE_OK. */
static enum table_status write_record(struct table *table, uint32_t at, uint32_t tag, uint32_t meta, uint32_t index, const uint8_t *key,
                                      const uint8_t *value) {
    struct open_block *block = layer(table);
    uint32_t old_ref = table->slots[at].ref;
    struct record *old = old_ref ? record_at(table, old_ref) : NULL;
    bool again = old && made_by(table, old, block);
    uint64_t declared = table_entry_declared(((meta >> KEY_SHIFT) & 0xFF) + 1, meta & ((UINT32_C(1) << VALUE_BITS) - 1));
    uint64_t bytes = block->bytes + declared - (again ? record_declared(old) : 0);
    uint64_t bytes_all = bytes + (table->savepoint_open ? newest(table)->bytes : 0);
    uint32_t count_all = block->count + !again + (table->savepoint_open ? newest(table)->count : 0);
    if (bytes_all > table->config.block_bytes_max || count_all > table->config.block_writes_max) return TABLE_BLOCK_FULL;

    struct table_version version = {.height = block->height, .index = index};
    uint32_t ref = record_make(table, tag, meta, version, key, value);
    uint32_t entry = again ? old->own : block->region * table->config.block_writes_max + block->count++;
    block->bytes = bytes;
    record_at(table, ref)->own = entry;
    slot_set(table, at, tag, ref);
    if (again) {
        table->journal[entry].new_ref = ref;
        record_free(table, old_ref);
    } else {
        table->journal[entry] = (struct journal_entry){.new_ref = ref, .old_ref = old_ref, .place = 0};
        if (old) old->next = entry;
    }
    return TABLE_OK;
}

static uint32_t meta_of(uint8_t space, size_t key_bytes, size_t value_bytes, bool deleted) {
    return (uint32_t)value_bytes | (uint32_t)(key_bytes - 1) << KEY_SHIFT | (uint32_t)space << SPACE_SHIFT | (uint32_t)deleted << DELETED_SHIFT;
}

/* O-17: whether an entry of `declared` bytes may take the place of one of `before` (0: a new key). */
static enum table_status admits(const struct table *table, uint8_t space, uint64_t before, uint64_t declared) {
    if (before == 0 && table->keys[space] >= table->keys_max[space]) return TABLE_KEYS_FULL;
    if (declared > before && table->bytes[space] - before + declared > table->bytes_max[space]) return TABLE_BYTES_FULL;
    return TABLE_OK;
}

enum table_status table_put(struct table *table, uint64_t hash, uint8_t space, const uint8_t *key, size_t key_bytes, uint32_t index,
                            const uint8_t *value, size_t value_bytes) {
    CHECK(space < TABLE_SPACES && key_bytes >= 1 && key_bytes <= TABLE_KEY_BYTES_MAX && value_bytes <= TABLE_VALUE_BYTES_MAX);
    uint32_t tag = (uint32_t)hash;
    index_grow(table);
    uint32_t at = index_find(table, tag, space, key, key_bytes);
    const struct record *old = table->slots[at].ref ? record_at(table, table->slots[at].ref) : NULL;
    uint64_t before = old && !record_deleted(old) ? record_declared(old) : 0;
    uint64_t declared = table_entry_declared(key_bytes, value_bytes);
    enum table_status status = admits(table, space, before, declared);
    if (status != TABLE_OK) return status;
    status = write_record(table, at, tag, meta_of(space, key_bytes, value_bytes, false), index, key, value);
    if (status != TABLE_OK) return status;
    table->keys[space] += before == 0;
    table->bytes[space] += declared - before;
    huge_pages_want(table);
    return TABLE_OK;
}

enum table_status table_remove(struct table *table, uint64_t hash, uint8_t space, const uint8_t *key, size_t key_bytes, uint32_t index) {
    CHECK(space < TABLE_SPACES && key_bytes >= 1 && key_bytes <= TABLE_KEY_BYTES_MAX);
    uint32_t tag = (uint32_t)hash;
    uint32_t at = index_find(table, tag, space, key, key_bytes);
    const struct record *old = table->slots[at].ref ? record_at(table, table->slots[at].ref) : NULL;
    if (!old || record_deleted(old)) return TABLE_ABSENT;
    uint64_t before = record_declared(old);
    enum table_status status = write_record(table, at, tag, meta_of(space, key_bytes, 0, true), index, key, NULL);
    if (status != TABLE_OK) return status;
    table->keys[space]--;
    table->bytes[space] -= before;
    return TABLE_OK;
}

enum table_status table_load(struct table *table, uint8_t space, const uint8_t *key, size_t key_bytes, struct table_version version,
                             const uint8_t *value, size_t value_bytes) {
    CHECK(table->open_count == 0 && value_bytes <= TABLE_VALUE_BYTES_MAX);
    uint32_t tag = (uint32_t)table_hash(table, space, key, key_bytes);
    index_grow(table);
    uint32_t at = index_find(table, tag, space, key, key_bytes);
    if (table->slots[at].ref) return TABLE_CORRUPT;
    uint64_t declared = table_entry_declared(key_bytes, value_bytes);
    /* By the limits of the configuration, not by the ones in force: those may have been lowered below what is there (O-17). */
    if (table->keys[space] >= table->config.keys_max[space]) return TABLE_KEYS_FULL;
    if (table->bytes[space] + declared > table->config.bytes_max[space]) return TABLE_BYTES_FULL;
    uint32_t ref = record_make(table, tag, meta_of(space, key_bytes, value_bytes, false), version, key, value);
    slot_set(table, at, tag, ref);
    table->keys[space]++;
    table->bytes[space] += declared;
    if (version.height > table->final_height) table->clean_height = table->final_height = version.height; /* it is in the checkpoint */
    huge_pages_want(table);
    return TABLE_OK;
}

/* Blocks. */

static uint32_t region_take(struct table *table) {
    uint32_t region = 0;
    while (table->region_taken[region]) region++; /* one more than blocks and savepoint can take */
    CHECK(region < REGIONS);
    table->region_taken[region] = true;
    return region;
}

static void block_init(struct table *table, struct open_block *block, uint64_t height) {
    memset(block, 0, sizeof *block);
    block->height = height;
    block->region = region_take(table);
    memcpy(block->keys_before, table->keys, sizeof table->keys);
    memcpy(block->bytes_before, table->bytes, sizeof table->bytes);
}

void table_block_begin(struct table *table, uint64_t height) {
    CHECK(!table->savepoint_open && table->open_count < table->config.open_max);
    CHECK(table->open_count == 0 || height > newest(table)->height);
    block_init(table, &table->open[table->open_count], height);
    table->open_count++;
}

uint32_t table_blocks_open(const struct table *table) {
    return table->open_count;
}

uint64_t table_height_of_oldest(const struct table *table) {
    CHECK(table->open_count > 0);
    return table->open[0].height;
}

uint64_t table_height_of_newest(const struct table *table) {
    CHECK(table->open_count > 0);
    return table->open[table->open_count - 1].height;
}

/* A removed key that is final and has no newer record any more: record and slot go. */
static void drop_deleted(struct table *table, uint32_t ref) {
    index_remove(table, index_find_ref(table, record_at(table, ref)->tag, ref));
    record_free(table, ref);
}

static void undo(struct table *table, const struct open_block *block) {
    for (uint32_t i = block->count; i-- > 0;) {
        struct journal_entry *entry = &table->journal[block->region * table->config.block_writes_max + i];
        uint32_t at = index_find_ref(table, record_at(table, entry->new_ref)->tag, entry->new_ref);
        if (!entry->old_ref) {
            index_remove(table, at);
            record_free(table, entry->new_ref);
            continue;
        }
        table->slots[at].ref = entry->old_ref;
        record_at(table, entry->old_ref)->next = none;
        record_free(table, entry->new_ref);
        uint32_t old_ref = table->slots[at].ref; /* which may just have moved */
        const struct record *old = record_at(table, old_ref);
        if (old->own == none && record_deleted(old)) drop_deleted(table, old_ref);
    }
    memcpy(table->keys, block->keys_before, sizeof table->keys);
    memcpy(table->bytes, block->bytes_before, sizeof table->bytes);
    table->region_taken[block->region] = false;
}

void table_rollback_newest(struct table *table) {
    CHECK(!table->savepoint_open);
    undo(table, newest(table));
    table->open_count--;
}

/* Before the entry's old record goes. A final one that is newer than the last table_changes_end() is on the list, and so its key. */
static void changed_note(struct table *table, const struct journal_entry *entry) {
    if (table->config.changed_max == 0) return;
    if (entry->old_ref && record_at(table, entry->old_ref)->height > table->clean_height) return;
    table->changed[table->changed_count++] = (uint64_t)entry->place << 32 | record_at(table, entry->new_ref)->tag;
}

void table_finalize_oldest(struct table *table) {
    CHECK(!table->savepoint_open && table->open_count > 0 && !table->sort.shown);
    struct open_block block = table->open[0];
    uint32_t at = block.region * table->config.block_writes_max, end = at + block.count;
    CHECK(table->config.changed_max == 0 || table->changed_count + block.count <= table->config.changed_max);
    for (; at < end; at++) {
        struct journal_entry *entry = &table->journal[at];
        journal_prefetch(table, entry, end - at);
        changed_note(table, entry);
        if (entry->old_ref) record_free(table, entry->old_ref); /* may move the new one, which mends entry->new_ref */
        struct record *record = record_at(table, entry->new_ref);
        record->own = none;
        if (record_deleted(record) && record->next == none) drop_deleted(table, entry->new_ref);
    }
    table->final_height = block.height;
    table->region_taken[block.region] = false;
    table->open_count--;
    memmove(&table->open[0], &table->open[1], table->open_count * sizeof table->open[0]);
}

void table_savepoint_begin(struct table *table) {
    CHECK(!table->savepoint_open);
    block_init(table, &table->savepoint, newest(table)->height);
    table->savepoint_open = true;
}

void table_savepoint_keep(struct table *table) {
    CHECK(table->savepoint_open);
    struct open_block *block = newest(table);
    struct open_block *save = &table->savepoint;
    uint32_t stride = table->config.block_writes_max;
    for (uint32_t i = 0; i < save->count; i++) {
        struct journal_entry entry = table->journal[save->region * stride + i];
        struct record *record = record_at(table, entry.new_ref);
        struct record *old = entry.old_ref ? record_at(table, entry.old_ref) : NULL;
        block->bytes += record_declared(record);
        if (old && made_by(table, old, block)) {
            block->bytes -= record_declared(old);
            record->own = old->own;
            table->journal[old->own].new_ref = entry.new_ref;
            record_free(table, entry.old_ref);
            continue;
        }
        uint32_t at = block->region * stride + block->count++;
        table->journal[at] = entry;
        record->own = at;
        if (old) old->next = at;
    }
    table->region_taken[save->region] = false;
    table->savepoint_open = false;
}

void table_savepoint_rollback(struct table *table) {
    CHECK(table->savepoint_open);
    undo(table, &table->savepoint);
    table->savepoint_open = false;
}
