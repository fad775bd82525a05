/* The live table: against a plain model under random blocks, rollbacks and savepoints, at its limits and one past them, and in its memory. */
#include "merkle/trie.h"
#include "store/table.h"
#include "merkle/check.h"
#include "tests/store/scratch.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { MODEL_KEYS = 300, MODEL_LEVELS = 12, MODEL_VALUE_MAX = 3000 };

static uint64_t seed_state;

static uint64_t draw(void) {
    seed_state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = seed_state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t below(uint64_t end) {
    return draw() % end;
}

/* The model: for each level (0 is final state, 1.. open blocks, the last possibly a savepoint) the whole state by value seed. */
struct cell {
    bool present;
    uint32_t value_bytes;
    uint64_t height;
    uint32_t index;
    uint32_t fill;
};

struct level {
    uint64_t height;
    struct cell cells[MODEL_KEYS];
    bool written[MODEL_KEYS];
};

static struct level model[MODEL_LEVELS + 2];

static size_t key_make(unsigned number, uint8_t key[TABLE_KEY_BYTES_MAX]) {
    size_t bytes = 1 + (number * 37) % TABLE_KEY_BYTES_MAX;
    if (bytes < 4) bytes = 4;
    for (size_t i = 0; i < bytes; i++) key[i] = (uint8_t)(number >> (i % 2 * 8));
    return bytes;
}

static uint8_t space_of(unsigned number) {
    return (uint8_t)(number % 5 == 0);
}

static void value_make(uint32_t fill, uint32_t bytes, uint8_t *value) {
    for (uint32_t i = 0; i < bytes; i++) value[i] = (uint8_t)(fill * 31 + i * 7 + (i >> 8));
}

static uint32_t value_length(void) {
    switch (below(5)) {
    case 0: return 0;
    case 1: return (uint32_t)below(MODEL_VALUE_MAX);
    default: return (uint32_t)below(64);
    }
}

static struct table_config config_small(void) {
    struct table_config config = {.keys_max = {1000, 1000}, .bytes_max = {1 << 22, 1 << 22}, .block_bytes_max = 1 << 22, .block_writes_max = 400,
                                  .open_max = MODEL_LEVELS, .hash_key = "0123456789abcde"};
    return config;
}

static struct table *table_of(const struct table_config *config) {
    struct table *table = NULL;
    assert_int_equal(table_create(config, &table), TABLE_OK);
    return table;
}

static void assert_entry(const struct table_entry *entry, unsigned number, const struct cell *cell) {
    uint8_t key[TABLE_KEY_BYTES_MAX];
    uint8_t value[MODEL_VALUE_MAX];
    size_t key_bytes = key_make(number, key);
    assert_int_equal(entry->key_bytes, key_bytes);
    assert_memory_equal(entry->key, key, key_bytes);
    assert_int_equal(entry->space, space_of(number));
    assert_int_equal(entry->value_bytes, cell->value_bytes);
    value_make(cell->fill, cell->value_bytes, value);
    assert_memory_equal(entry->value, value, cell->value_bytes);
    assert_true(entry->version.height == cell->height && entry->version.index == cell->index);
}

static unsigned number_of(const struct table_entry *entry) {
    return entry->key[0] | (unsigned)entry->key[1] << 8;
}

static void assert_state(const struct table *table, const struct level *level) {
    uint64_t keys[2] = {0, 0};
    uint64_t bytes[2] = {0, 0};
    for (unsigned number = 0; number < MODEL_KEYS; number++) {
        const struct cell *cell = &level->cells[number];
        uint8_t key[TABLE_KEY_BYTES_MAX];
        size_t key_bytes = key_make(number, key);
        uint64_t hash = table_hash(table, space_of(number), key, key_bytes);
        struct table_entry entry;
        table_prefetch(table, hash);
        table_prefetch_entry(table, hash, 200);
        assert_int_equal(table_get(table, hash, space_of(number), key, key_bytes, &entry), cell->present ? TABLE_OK : TABLE_ABSENT);
        if (!cell->present) continue;
        assert_entry(&entry, number, cell);
        keys[space_of(number)]++;
        bytes[space_of(number)] += table_entry_declared(key_bytes, cell->value_bytes);
        uint64_t cursor = 0;
        bool found = false;
        while (!found && table_ref_next(table, table_ref(hash), &cursor, &entry)) found = number_of(&entry) == number;
        assert_true(found);
    }
    uint64_t walked = 0;
    uint64_t cursor = 0;
    struct table_entry entry;
    bool intact;
    while (table_next(table, &cursor, &entry, &intact)) {
        assert_true(intact);
        assert_entry(&entry, number_of(&entry), &level->cells[number_of(&entry)]);
        walked++;
    }
    assert_int_equal(walked, keys[0] + keys[1]);
    for (uint8_t space = 0; space < 2; space++) {
        assert_int_equal(table_keys(table, space), keys[space]);
        assert_int_equal(table_declared_bytes(table, space), bytes[space]);
        uint64_t final = 0;
        for (unsigned number = 0; number < MODEL_KEYS; number++) final += space_of(number) == space && model[0].cells[number].present;
        assert_int_equal(table_final_keys(table, space), final);
    }
}

static void assert_writes(struct table_writes writes, const struct level *level, const struct level *before) {
    struct table_write write;
    bool seen[MODEL_KEYS] = {false};
    while (table_writes_next(&writes, &write)) {
        unsigned number = number_of(&write.entry);
        assert_true(number < MODEL_KEYS && !seen[number] && level->written[number]);
        seen[number] = true;
        assert_int_equal(write.deleted, !level->cells[number].present);
        assert_int_equal(write.existed, before->cells[number].present);
        if (!write.deleted) assert_entry(&write.entry, number, &level->cells[number]);
    }
    assert_memory_equal(seen, level->written, sizeof seen);
}

static void random_write(struct table *table, struct level *level, uint32_t index) {
    unsigned number = (unsigned)below(MODEL_KEYS);
    struct cell *cell = &level->cells[number];
    uint8_t key[TABLE_KEY_BYTES_MAX];
    size_t key_bytes = key_make(number, key);
    uint64_t hash = table_hash(table, space_of(number), key, key_bytes);
    if (below(3) == 0) {
        assert_int_equal(table_remove(table, hash, space_of(number), key, key_bytes, index), cell->present ? TABLE_OK : TABLE_ABSENT);
        if (cell->present) level->written[number] = true;
        memset(cell, 0, sizeof *cell);
        return;
    }
    uint8_t value[MODEL_VALUE_MAX];
    struct cell fresh = {.present = true, .value_bytes = value_length(), .height = level->height, .index = index, .fill = (uint32_t)draw()};
    value_make(fresh.fill, fresh.value_bytes, value);
    assert_int_equal(table_put(table, hash, space_of(number), key, key_bytes, index, value, fresh.value_bytes), TABLE_OK);
    *cell = fresh;
    level->written[number] = true;
}

static void level_copy(unsigned from, uint64_t height) {
    model[from + 1] = model[from];
    memset(model[from + 1].written, 0, sizeof model[from + 1].written);
    model[from + 1].height = height;
}

static void random_savepoint(struct table *table, unsigned top, uint32_t *index) {
    level_copy(top, model[top].height);
    table_savepoint_begin(table);
    uint64_t writes = below(20);
    for (uint64_t i = 0; i < writes; i++) random_write(table, &model[top + 1], (*index)++);
    if (below(2)) {
        table_savepoint_rollback(table);
        return;
    }
    table_savepoint_keep(table);
    for (unsigned i = 0; i < MODEL_KEYS; i++) model[top + 1].written[i] = model[top + 1].written[i] || model[top].written[i];
    model[top] = model[top + 1];
}

/* What a store knows that is told removed keys as they go, and changes now and then. */
static struct cell disk[MODEL_KEYS];
static unsigned changes_taken, changes_forced, changes_parts;

/* Few places, so that keys share them. */
static uint32_t place_of(unsigned number) {
    return (uint32_t)(number % 90) * UINT32_C(0x2D00001);
}

/* Blocks above what is final come, stay for a while and go: the index grows, entries move. */
static void blocks_between(struct table *table, unsigned *top, uint64_t *height) {
    if (*top > 0 && below(3) == 0) {
        table_rollback_newest(table);
        --*top;
    }
    if (*top == MODEL_LEVELS) return;
    level_copy((*top)++, ++*height);
    table_block_begin(table, *height);
    for (uint64_t i = below(60); i > 0; i--) random_write(table, &model[*top], (uint32_t)i);
}

/* In parts, with blocks in between. */
static void changes_take(struct table *table, unsigned *top, uint64_t *height) {
    while (below(4) > 0 && !table_changes_sort(table, 1 + below(400))) blocks_between(table, top, height);
    struct table_changes changes = table_changes_begin(table);
    struct table_entry entry;
    uint32_t place = 0, at = 0;
    bool intact;
    while (table_changes_next(&changes, &entry, &intact)) {
        if (changes.at > at && below(30) == 0) {
            blocks_between(table, top, height);
            changes.probe = 0; /* this one again */
            at = changes.at;
            changes_parts++;
            continue;
        }
        at = changes.at;
        unsigned number = number_of(&entry);
        assert_true(intact && number < MODEL_KEYS && place_of(number) >= place);
        place = place_of(number);
        assert_entry(&entry, number, &model[0].cells[number]);
        disk[number] = model[0].cells[number];
    }
    table_changes_end(table);
    assert_int_equal(table_changes_count(table), 0);
    for (unsigned number = 0; number < MODEL_KEYS; number++) {
        const struct cell *has = &disk[number], *is = &model[0].cells[number];
        assert_int_equal(has->present, is->present);
        if (is->present) assert_true(has->height == is->height && has->index == is->index && has->fill == is->fill);
    }
    changes_taken++;
}

static void finalize_oldest(struct table *table, unsigned *top, uint64_t *height) {
    assert_writes(table_writes_of_oldest(table), &model[1], &model[0]);
    if (table_changes_full(table)) {
        changes_take(table, top, height);
        changes_forced++;
    }
    struct table_writes writes = table_writes_of_oldest(table);
    struct table_write write;
    while (table_writes_next(&writes, &write)) {
        unsigned number = number_of(&write.entry);
        uint8_t key[TABLE_KEY_BYTES_MAX];
        size_t key_bytes = key_make(number, key);
        assert_int_equal(write.ref, table_ref(table_hash(table, space_of(number), key, key_bytes)));
        table_writes_place(&writes, place_of(number));
        if (write.deleted) disk[number].present = false;
    }
    assert_int_equal(table_height_of_oldest(table), model[1].height);
    table_finalize_oldest(table);
    memmove(&model[0], &model[1], *top * sizeof model[0]);
    --*top;
}

static void behaves_like_a_model_under_random_blocks(void **state) {
    (void)state;
    seed_state = scratch_seed();
    struct table_config config = config_small();
    config.changed_max = config.block_writes_max;
    struct table *table = table_of(&config);
    memset(model, 0, sizeof model);
    memset(disk, 0, sizeof disk);
    unsigned top = 0; /* open blocks */
    uint64_t height = 1;
    uint32_t index = 0;
    for (unsigned step = 0; step < 6000; step++) {
        uint64_t choice = below(10);
        if (choice < 2 && top < MODEL_LEVELS) {
            level_copy(top++, ++height);
            table_block_begin(table, height);
            index = 0;
        } else if (choice == 2 && top > 0) {
            assert_writes(table_writes_of_newest(table), &model[top], &model[top - 1]);
            table_rollback_newest(table);
            top--;
        } else if (choice == 3 && top > 0) {
            finalize_oldest(table, &top, &height);
        } else if (choice < 6 && top > 0) {
            random_savepoint(table, top, &index);
        } else if (top > 0) {
            uint64_t writes = below(40);
            for (uint64_t i = 0; i < writes; i++) random_write(table, &model[top], index++);
        }
        assert_int_equal(table_blocks_open(table), top);
        if (step % 20 == 0) assert_state(table, &model[top]);
        if (below(120) == 0) changes_take(table, &top, &height);
    }
    while (top > 0) finalize_oldest(table, &top, &height);
    assert_state(table, &model[0]);
    changes_take(table, &top, &height);
    print_message("changes were taken %u times, %u of them for want of room, with blocks in between %u times\n", changes_taken, changes_forced,
                  changes_parts);
    assert_true(changes_taken > 20 && changes_forced > 2 && changes_parts > 40);
    table_clear(table);
    memset(model, 0, sizeof model);
    assert_state(table, &model[0]);
    table_destroy(table);
}

/* Limits. */

static enum table_status put_number(struct table *table, uint64_t number, uint32_t value_bytes) {
    static uint8_t value[TABLE_VALUE_BYTES_MAX];
    uint8_t key[8];
    memcpy(key, &number, sizeof key);
    return table_put(table, table_hash(table, 0, key, sizeof key), 0, key, sizeof key, 0, value, value_bytes);
}

static enum table_status remove_number(struct table *table, uint64_t number) {
    uint8_t key[8];
    memcpy(key, &number, sizeof key);
    return table_remove(table, table_hash(table, 0, key, sizeof key), 0, key, sizeof key, 0);
}

static void keys_are_full_at_keys_max_and_not_before(void **state) {
    (void)state;
    struct table_config config = config_small();
    config.keys_max[0] = 100;
    struct table *table = table_of(&config);
    table_block_begin(table, 1);
    for (uint64_t i = 0; i < 100; i++) assert_int_equal(put_number(table, i, 8), TABLE_OK);
    assert_int_equal(put_number(table, 100, 0), TABLE_KEYS_FULL);
    assert_int_equal(put_number(table, 99, 9), TABLE_OK);
    assert_int_equal(remove_number(table, 5), TABLE_OK);
    assert_int_equal(put_number(table, 100, 0), TABLE_OK);
    assert_int_equal(put_number(table, 101, 0), TABLE_KEYS_FULL);
    table_rollback_newest(table);
    assert_int_equal(table_keys(table, 0), 0);
    table_destroy(table);
}

static void bytes_are_full_at_bytes_max_and_a_write_that_does_not_enlarge_never_is(void **state) {
    (void)state;
    struct table_config config = config_small();
    config.bytes_max[0] = 3 * (8 + 64) + 10;
    struct table *table = table_of(&config);
    table_block_begin(table, 1);
    assert_int_equal(put_number(table, 1, 5), TABLE_OK);
    assert_int_equal(put_number(table, 2, 5), TABLE_OK);
    assert_int_equal(put_number(table, 3, 1), TABLE_BYTES_FULL);
    assert_int_equal(put_number(table, 3, 0), TABLE_OK); /* exactly full */
    assert_int_equal(put_number(table, 3, 1), TABLE_BYTES_FULL);
    assert_int_equal(put_number(table, 2, 4), TABLE_OK);
    assert_int_equal(put_number(table, 3, 1), TABLE_OK);
    table_limits_set(table, 0, 2, 100); /* lowered below present use (O-17) */
    assert_int_equal(put_number(table, 1, 5), TABLE_OK);
    assert_int_equal(put_number(table, 1, 4), TABLE_OK);
    assert_int_equal(put_number(table, 1, 5), TABLE_BYTES_FULL);
    assert_int_equal(put_number(table, 4, 0), TABLE_KEYS_FULL);
    table_destroy(table);
}

static void a_full_user_space_does_not_block_the_systems_own_records(void **state) {
    (void)state;
    struct table_config config = config_small();
    config.keys_max[0] = 1;
    struct table *table = table_of(&config);
    table_block_begin(table, 1);
    assert_int_equal(put_number(table, 1, 5), TABLE_OK);
    assert_int_equal(put_number(table, 2, 5), TABLE_KEYS_FULL);
    const uint8_t key[] = "q";
    assert_int_equal(table_put(table, table_hash(table, 1, key, 1), 1, key, 1, 0, key, 1), TABLE_OK);
    table_destroy(table);
}

static void a_block_is_full_by_writes_and_by_bytes(void **state) {
    (void)state;
    struct table_config config = config_small();
    config.block_writes_max = 3;
    config.block_bytes_max = 3 * (8 + 64) + 100;
    struct table *table = table_of(&config);
    table_block_begin(table, 1);
    assert_int_equal(put_number(table, 1, 50), TABLE_OK);
    assert_int_equal(put_number(table, 2, 50), TABLE_OK);
    assert_int_equal(put_number(table, 3, 1), TABLE_BLOCK_FULL);
    assert_int_equal(put_number(table, 3, 0), TABLE_OK);
    assert_int_equal(put_number(table, 4, 0), TABLE_BLOCK_FULL);
    assert_int_equal(put_number(table, 2, 50), TABLE_OK); /* again the same key is no further write */
    table_block_begin(table, 2);
    assert_int_equal(put_number(table, 4, 0), TABLE_OK);
    table_savepoint_begin(table);
    assert_int_equal(put_number(table, 5, 0), TABLE_OK);
    assert_int_equal(put_number(table, 6, 0), TABLE_OK);
    assert_int_equal(put_number(table, 7, 0), TABLE_BLOCK_FULL);
    table_savepoint_rollback(table);
    assert_int_equal(put_number(table, 7, 0), TABLE_OK);
    table_destroy(table);
}

/* Of a table that was loaded from a checkpoint nothing is told but what blocks changed since, once each, however often. */
static void a_key_that_is_written_often_is_told_once(void **state) {
    (void)state;
    struct table_config config = config_small();
    config.changed_max = config.block_writes_max;
    struct table *table = table_of(&config);
    struct table_entry entry;
    bool intact;
    for (uint64_t number = 0; number < 100; number++) {
        struct table_version version = {.height = 50 + number % 7};
        assert_int_equal(table_load(table, 0, (const uint8_t *)&number, sizeof number, version, (const uint8_t *)"old", 3), TABLE_OK);
    }
    for (uint64_t height = 60; height < 160; height++) {
        table_block_begin(table, height);
        for (uint64_t number = 0; number < 10; number++) assert_int_equal(put_number(table, number, 8), TABLE_OK);
        table_block_begin(table, height + 1000); /* which does not stay */
        assert_int_equal(put_number(table, 11, 8), TABLE_OK);
        table_rollback_newest(table);
        table_finalize_oldest(table);
    }
    assert_int_equal(table_changes_count(table), 10);
    table_block_begin(table, 2000); /* open blocks change nothing of what is final */
    assert_int_equal(put_number(table, 3, 100), TABLE_OK);
    assert_int_equal(remove_number(table, 4), TABLE_OK);
    assert_int_equal(put_number(table, 500, 1), TABLE_OK);
    struct table_changes changes = table_changes_begin(table);
    unsigned told = 0;
    for (; table_changes_next(&changes, &entry, &intact); told++) {
        assert_true(intact && entry.version.height == 159 && entry.value_bytes == 8);
        ((uint8_t *)(uintptr_t)entry.value)[2] ^= 4;
    }
    assert_int_equal(told, 10);
    changes = table_changes_begin(table);
    for (told = 0; table_changes_next(&changes, &entry, &intact); told++) assert_false(intact);
    assert_int_equal(told, 10);
    table_changes_end(table);
    changes = table_changes_begin(table);
    assert_false(table_changes_next(&changes, &entry, &intact));
    table_destroy(table);
}

static void limits_out_of_range_are_refused(void **state) {
    (void)state;
    struct table *table = NULL;
    struct table_config config = config_small();
    config.open_max = TABLE_OPEN_MAX;
    assert_int_equal(table_create(&config, &table), TABLE_OK);
    table_destroy(table);
    config.open_max = TABLE_OPEN_MAX + 1;
    assert_int_equal(table_create(&config, &table), TABLE_BAD_LIMITS);
    config = config_small();
    config.keys_max[0] = 0;
    assert_int_equal(table_create(&config, &table), TABLE_BAD_LIMITS);
    config.keys_max[0] = UINT32_C(1) << 30;
    assert_int_equal(table_create(&config, &table), TABLE_BAD_LIMITS);
    config = config_small();
    config.bytes_max[1] = UINT64_C(64) << 30;
    assert_int_equal(table_create(&config, &table), TABLE_BAD_LIMITS);
    config = config_small();
    config.block_writes_max = (1 << 20) + 1;
    assert_int_equal(table_create(&config, &table), TABLE_BAD_LIMITS);
    config = config_small();
    config.changed_max = config.block_writes_max;
    assert_int_equal(table_create(&config, &table), TABLE_OK);
    table_destroy(table);
    config.changed_max--;
    assert_int_equal(table_create(&config, &table), TABLE_BAD_LIMITS);
    config.changed_max = (1 << 30) + 1;
    assert_int_equal(table_create(&config, &table), TABLE_BAD_LIMITS);
}

/* The arena's bound: fill to the limit with one size, change every entry to another size within the limit, with all blocks open; the worst sizes
 * are those just above a class border. A CHECK in the arena would end the program. */
static void what_the_declared_limit_admits_always_fits(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1,   185,   217,   473,   505,   512,   569,   953,   985, 1977, 2009,
                                     8121, 8153, 32697, 32729, 65464, 65496, 65536, 16345, 33000, 50000, 200, 0};
    struct table_config config = {.keys_max = {1 << 16, 10}, .bytes_max = {8 << 20, 1 << 20}, .block_bytes_max = 8 << 20, .block_writes_max = 1 << 16,
                                  .open_max = 4, .hash_key = "fit"};
    struct table *table = table_of(&config);
    uint64_t height = 0;
    uint64_t count = 0;
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        /* All but one of each 100 keys go, the holes lie everywhere; then as many of the new size as are admitted. */
        table_block_begin(table, ++height);
        for (uint64_t number = 0; number < count; number++) {
            if (number % 100) (void)!remove_number(table, number + (uint64_t)(i - 1) * 1000000);
        }
        table_block_begin(table, ++height);
        enum table_status status;
        for (count = 0; (status = put_number(table, count + (uint64_t)i * 1000000, sizes[i])) == TABLE_OK; count++) {}
        assert_true(status == TABLE_BYTES_FULL || status == TABLE_KEYS_FULL || status == TABLE_BLOCK_FULL);
        assert_true(count > 10);
        while (table_blocks_open(table) > 2) table_finalize_oldest(table);
    }
    while (table_blocks_open(table) > 0) table_rollback_newest(table);
    table_destroy(table);
}

static uint64_t resident_bytes(void) {
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size = 0;
    unsigned long resident = 0;
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &resident), 2);
    (void)fclose(file);
    return (uint64_t)resident * 4096;
}

static bool sanitized(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return true;
#endif
#endif
    return false;
}

static void a_million_small_keys_take_at_most_150_mb_and_an_empty_table_next_to_nothing(void **state) {
    (void)state;
    if (sanitized()) skip();
    struct table_config config = {.keys_max = {1000000, 1000}, .bytes_max = {UINT64_C(128) << 20, 1 << 20}, .block_bytes_max = 16 << 20,
                                  .block_writes_max = 32768, .open_max = 16, .hash_key = "size"};
    uint64_t before = resident_bytes();
    struct table *table = table_of(&config);
    assert_true(resident_bytes() - before < 256 * 1024);
    uint8_t key[32] = {0};
    uint8_t value[32] = {1};
    for (uint64_t number = 0; number < 1000000;) {
        table_block_begin(table, number + 1);
        for (unsigned i = 0; i < 20000; i++, number++) {
            memcpy(key, &number, sizeof number);
            assert_int_equal(table_put(table, table_hash(table, 0, key, 32), 0, key, 32, i, value, 32), TABLE_OK);
        }
        if (table_blocks_open(table) > 8) table_finalize_oldest(table);
    }
    while (table_blocks_open(table) > 0) table_finalize_oldest(table);
    uint64_t used = resident_bytes() - before;
    print_message("1,000,000 keys of 32 + 32 bytes: %llu MB resident\n", (unsigned long long)(used / 1000000));
    assert_true(used <= 150000000);
    table_destroy(table);
}

/* What a block overwrites is freed when it is final, and taken again by the next: such pages do not go to the system and come back zeroed. */
static void a_table_that_is_overwritten_block_by_block_faults_no_page_in(void **state) {
    (void)state;
    enum { KEYS = 60000, WARM_UP = 6, BLOCKS = 24 };
    struct table_config config = {.keys_max = {KEYS, 1000}, .bytes_max = {UINT64_C(16) << 20, 1 << 20}, .block_bytes_max = 16 << 20,
                                  .block_writes_max = KEYS, .open_max = 4, .hash_key = "warm"};
    struct table *table = table_of(&config);
    uint8_t key[32] = {0};
    uint8_t value[32] = {1};
    struct rusage before = {0}, after;
    for (uint64_t height = 1; height <= WARM_UP + BLOCKS; height++) {
        if (height == WARM_UP + 1) assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
        table_block_begin(table, height);
        for (uint32_t i = 0; i < KEYS; i++) {
            memcpy(key, &i, sizeof i);
            assert_int_equal(table_put(table, table_hash(table, 0, key, 32), 0, key, 32, i, value, 32), TABLE_OK);
        }
        table_finalize_oldest(table);
    }
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    print_message("%ld page faults in %d blocks of %d writes\n", after.ru_minflt - before.ru_minflt, BLOCKS, KEYS);
    if (!sanitized()) assert_true(after.ru_minflt - before.ru_minflt < 10 * BLOCKS);
    table_destroy(table);
}

static void few_keys_touch_little_of_an_index_for_many(void **state) {
    (void)state;
    if (sanitized()) skip();
    struct table_config config = {.keys_max = {12000000, 4000000}, .bytes_max = {UINT64_C(1) << 31, UINT64_C(1) << 31}, .block_bytes_max = 64 << 20,
                                  .block_writes_max = 65536, .open_max = 4, .hash_key = "few"};
    uint64_t before = resident_bytes();
    struct table *table = table_of(&config);
    uint8_t key[32] = {0}, value[32] = {1};
    for (uint64_t number = 0; number < 100000; number++) {
        memcpy(key, &number, sizeof number);
        assert_int_equal(table_load(table, 0, key, 32, (struct table_version){.height = 1}, value, 32), TABLE_OK);
    }
    uint64_t used = resident_bytes() - before;
    print_message("100,000 keys, room for 16,000,000: %llu MB resident\n", (unsigned long long)(used / 1000000));
    assert_true(used <= 20000000); /* 11 of records, 2 to 4 of index */
    table_destroy(table);
}

enum { GROWN_KEYS = 40000 };

/* Each key's newest value, if it is there; 0: it is not. */
static void assert_grown(const struct table *table, const uint32_t *values) {
    static bool seen[GROWN_KEYS];
    memset(seen, 0, sizeof seen);
    uint64_t count = 0, cursor = 0;
    struct table_entry entry;
    bool intact;
    for (uint32_t number = 0; number < GROWN_KEYS; number++) {
        uint64_t hash = table_hash(table, 0, (const uint8_t *)&number, 4);
        enum table_status status = table_get(table, hash, 0, (const uint8_t *)&number, 4, &entry);
        assert_int_equal(status, values[number] ? TABLE_OK : TABLE_ABSENT);
        if (status == TABLE_OK) assert_memory_equal(entry.value, &values[number], 4);
        bool found = false;
        for (uint64_t at = 0; table_ref_next(table, table_ref(hash), &at, &entry);) found |= memcmp(entry.key, &number, 4) == 0;
        assert_int_equal(found, values[number] != 0);
        count += values[number] != 0;
    }
    assert_int_equal(table_keys(table, 0), count);
    while (table_next(table, &cursor, &entry, &intact)) {
        uint32_t number;
        memcpy(&number, entry.key, 4);
        assert_true(intact && number < GROWN_KEYS && values[number] != 0 && !seen[number]);
        seen[number] = true;
        count--;
    }
    assert_int_equal(count, 0);
}

/* Blocks of some 1,500 writes, one in three rolled back, so that the index doubles in blocks that stay and in such that do not. */
static void the_index_doubles_under_open_blocks_and_loses_nothing(void **state) {
    (void)state;
    static uint32_t values[GROWN_KEYS], before[GROWN_KEYS];
    memset(values, 0, sizeof values);
    struct table_config config = {.keys_max = {GROWN_KEYS, 1}, .bytes_max = {UINT64_C(1) << 27, 1 << 20}, .block_bytes_max = 1 << 24,
                                  .block_writes_max = 4096, .open_max = 4, .hash_key = "grown"};
    struct table *table = table_of(&config);
    for (uint32_t height = 1; height <= 120; height++) {
        memcpy(before, values, sizeof values);
        table_block_begin(table, height);
        for (uint32_t i = 0; i < 1500; i++) {
            uint32_t number = (uint32_t)below(GROWN_KEYS), value = height << 16 | (i + 1);
            uint64_t hash = table_hash(table, 0, (const uint8_t *)&number, 4);
            bool removes = below(8) == 0;
            enum table_status status = removes ? table_remove(table, hash, 0, (const uint8_t *)&number, 4, i)
                                               : table_put(table, hash, 0, (const uint8_t *)&number, 4, i, (const uint8_t *)&value, 4);
            assert_int_equal(status, removes && !values[number] ? TABLE_ABSENT : TABLE_OK);
            values[number] = removes ? 0 : value;
        }
        if (below(3) == 0) {
            table_rollback_newest(table);
            memcpy(values, before, sizeof values);
        }
        if (table_blocks_open(table) > 2) table_finalize_oldest(table);
        if (height % 8 == 0) assert_grown(table, values);
    }
    while (table_blocks_open(table) > 0) table_finalize_oldest(table);
    assert_grown(table, values);
    table_clear(table);
    memset(values, 0, sizeof values);
    assert_grown(table, values);
    table_destroy(table);
}

static void assert_flips_are_found(struct table *table, const uint8_t *key, size_t value_bytes) {
    uint8_t value[1000];
    for (size_t i = 0; i < sizeof value; i++) value[i] = (uint8_t)(i * 7 + 49);
    struct table_version version = {.height = 7, .index = 3};
    assert_int_equal(table_load(table, 0, key, 7, version, value, value_bytes), TABLE_OK);
    assert_int_equal(table_load(table, 0, key, 7, version, value, value_bytes), TABLE_CORRUPT); /* twice the same key */
    uint64_t hash = table_hash(table, 0, key, 7);
    struct table_entry entry;
    size_t bytes = value_bytes + (value_bytes >= TABLE_LONG_BYTES ? TABLE_HASH_BYTES : 0); /* the hash behind a long value, too */
    for (unsigned bit = 0; bit < 8 * bytes; bit++) {
        assert_int_equal(table_get(table, hash, 0, key, 7, &entry), TABLE_OK);
        uint8_t *byte = (uint8_t *)(uintptr_t)entry.value + bit / 8;
        *byte ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(table_get(table, hash, 0, key, 7, &entry), TABLE_CORRUPT);
        uint64_t cursor = 0;
        bool intact = true;
        assert_true(table_next(table, &cursor, &entry, &intact));
        assert_false(intact);
        *byte ^= (uint8_t)(1 << bit % 8);
    }
}

static void a_flipped_bit_is_corrupt_and_not_an_answer(void **state) {
    (void)state;
    struct table_config config = config_small();
    static const size_t lengths[] = {8, 120, 121, TABLE_LONG_BYTES - 1, TABLE_LONG_BYTES, 1000}; /* in one lane, and in several */
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct table *table = table_of(&config);
        assert_flips_are_found(table, (const uint8_t *)"account", lengths[i]);
        table_destroy(table);
    }
}

/* Words that changed places are no bit's flip: of the same lane, and of two. */
static void words_that_changed_places_are_corrupt(void **state) {
    (void)state;
    struct table_config config = config_small();
    struct table *table = table_of(&config);
    const uint8_t key[] = "12345678"; /* whole words, so that the value's are, too */
    uint8_t value[256];
    for (size_t i = 0; i < sizeof value; i++) value[i] = (uint8_t)(i * 37);
    assert_int_equal(table_load(table, 0, key, 8, (struct table_version){.height = 7, .index = 3}, value, sizeof value), TABLE_OK);
    uint64_t hash = table_hash(table, 0, key, 8);
    struct table_entry entry;
    for (size_t word = 1; word < sizeof value / 8; word++) {
        assert_int_equal(table_get(table, hash, 0, key, 8, &entry), TABLE_OK);
        uint8_t *first = (uint8_t *)(uintptr_t)entry.value;
        memcpy(first, value + 8 * word, 8);
        memcpy(first + 8 * word, value, 8);
        assert_int_equal(table_get(table, hash, 0, key, 8, &entry), TABLE_CORRUPT);
        memcpy(first, value, sizeof value);
    }
    table_destroy(table);
}

static void assert_has_value_hash(const struct table *table, const uint8_t *key, size_t value_bytes, uint8_t fill) {
    uint8_t value[1000], expected[32];
    struct table_entry entry;
    memset(value, fill, value_bytes);
    trie_value_hash(value, value_bytes, expected);
    assert_int_equal(table_get(table, table_hash(table, 0, key, 3), 0, key, 3, &entry), TABLE_OK);
    assert_int_equal(entry.value_bytes, value_bytes);
    assert_memory_equal(entry.value, value, value_bytes);
    if (value_bytes < TABLE_LONG_BYTES) {
        assert_null(table_value_hash(&entry));
    } else {
        assert_memory_equal(table_value_hash(&entry), expected, sizeof expected);
    }
}

/* T-3, D-36: loaded or put, put again with another length, undone, or moved when a cell before it is freed. */
static void a_long_value_lies_with_its_hash(void **state) {
    (void)state;
    struct table_config config = config_small();
    static const size_t lengths[] = {TABLE_LONG_BYTES, TABLE_LONG_BYTES - 1, 1000, TABLE_LONG_BYTES, 0, 600, 600, 0, 1000};
    enum { ROUNDS = sizeof lengths / sizeof lengths[0] };
    struct table *table = table_of(&config);
    const uint8_t *key = (const uint8_t *)"key", *other = (const uint8_t *)"oth";
    uint8_t value[1000];
    memset(value, 50, sizeof value);
    assert_int_equal(table_load(table, 0, key, 3, (struct table_version){.height = 1}, value, lengths[0]), TABLE_OK);
    assert_int_equal(table_load(table, 0, other, 3, (struct table_version){.height = 1}, value, 1000), TABLE_OK);
    for (size_t i = 1; i < ROUNDS; i++) {
        assert_has_value_hash(table, key, lengths[i - 1], (uint8_t)(50 + i - 1));
        assert_has_value_hash(table, other, 1000, 50);
        memset(value, (int)(50 + i), sizeof value);
        table_block_begin(table, i + 1);
        assert_int_equal(table_put(table, table_hash(table, 0, key, 3), 0, key, 3, 0, value, lengths[i]), TABLE_OK);
        assert_has_value_hash(table, key, lengths[i], (uint8_t)(50 + i));
        table_rollback_newest(table);
        assert_has_value_hash(table, key, lengths[i - 1], (uint8_t)(50 + i - 1));
        table_block_begin(table, i + 1);
        assert_int_equal(table_put(table, table_hash(table, 0, key, 3), 0, key, 3, 0, value, lengths[i]), TABLE_OK);
        table_finalize_oldest(table);
    }
    assert_has_value_hash(table, key, lengths[ROUNDS - 1], 50 + ROUNDS - 1);
    table_destroy(table);
}

static void a_value_may_be_put_from_the_table_itself(void **state) {
    (void)state;
    struct table_config config = config_small();
    struct table *table = table_of(&config);
    const uint8_t key[] = "k";
    uint8_t value[100];
    memset(value, 'v', sizeof value);
    uint64_t hash = table_hash(table, 0, key, 1);
    table_block_begin(table, 1);
    assert_int_equal(table_put(table, hash, 0, key, 1, 0, value, 100), TABLE_OK);
    struct table_entry entry;
    assert_int_equal(table_get(table, hash, 0, key, 1, &entry), TABLE_OK);
    assert_int_equal(table_put(table, hash, 0, key, 1, 1, entry.value + 1, 99), TABLE_OK);
    assert_int_equal(table_get(table, hash, 0, key, 1, &entry), TABLE_OK);
    assert_int_equal(entry.value_bytes, 99);
    assert_memory_equal(entry.value, value, 99);
    table_destroy(table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_like_a_model_under_random_blocks),
        cmocka_unit_test(keys_are_full_at_keys_max_and_not_before),
        cmocka_unit_test(bytes_are_full_at_bytes_max_and_a_write_that_does_not_enlarge_never_is),
        cmocka_unit_test(a_full_user_space_does_not_block_the_systems_own_records),
        cmocka_unit_test(a_block_is_full_by_writes_and_by_bytes),
        cmocka_unit_test(a_key_that_is_written_often_is_told_once),
        cmocka_unit_test(limits_out_of_range_are_refused),
        cmocka_unit_test(what_the_declared_limit_admits_always_fits),
        cmocka_unit_test(a_million_small_keys_take_at_most_150_mb_and_an_empty_table_next_to_nothing),
        cmocka_unit_test(a_table_that_is_overwritten_block_by_block_faults_no_page_in),
        cmocka_unit_test(few_keys_touch_little_of_an_index_for_many),
        cmocka_unit_test(the_index_doubles_under_open_blocks_and_loses_nothing),
        cmocka_unit_test(a_flipped_bit_is_corrupt_and_not_an_answer),
        cmocka_unit_test(a_long_value_lies_with_its_hash),
        cmocka_unit_test(words_that_changed_places_are_corrupt),
        cmocka_unit_test(a_value_may_be_put_from_the_table_itself),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
