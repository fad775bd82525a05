/* The live table: what blocks wrote, and what a checkpoint lacks. */
#include "merkle/check.h"
#include "store/reserve.h"
#include "store/table_inside.h"

enum { DIGITS = 1 << CHANGED_DIGIT_BITS, CHANGES_SLOT_AHEAD = 24, CHANGES_RECORD_AHEAD = 12 };

/* Write-sets. */

static struct table_writes writes_of(const struct table *table, const struct open_block *block) {
    uint32_t from = block->region * table->config.block_writes_max;
    return (struct table_writes){.table = table, .at = from, .end = from + block->count};
}

struct table_writes table_writes_of_oldest(const struct table *table) {
    CHECK(table->open_count > 0);
    return writes_of(table, &table->open[0]);
}

struct table_writes table_writes_of_newest(const struct table *table) {
    CHECK(table->open_count > 0 && !table->savepoint_open);
    return writes_of(table, &table->open[table->open_count - 1]);
}

bool table_writes_next(struct table_writes *writes, struct table_write *write) {
    if (writes->at >= writes->end) return false;
    const struct table *table = writes->table;
    const struct journal_entry *entry = &table->journal[writes->at];
    journal_prefetch(table, entry, writes->end - writes->at++);
    const struct record *record = record_at(table, entry->new_ref);
    record_show(record, &write->entry);
    write->ref = record->tag;
    write->deleted = record_deleted(record);
    write->existed = entry->old_ref && !record_deleted(record_at(table, entry->old_ref));
    return true;
}

void table_writes_place(const struct table_writes *writes, uint32_t place) {
    writes->table->journal[writes->at - 1].place = place;
}

/* What changed. */

uint32_t table_changes_count(const struct table *table) {
    return table->changed_count;
}

bool table_changes_full(const struct table *table) {
    CHECK(table->open_count > 0);
    return table->config.changed_max > 0 && table->changed_count + table->open[0].count > table->config.changed_max;
}

/* The sums of what was counted. */
static void sort_places(uint32_t starts[DIGITS]) {
    uint32_t start = 0;
    for (unsigned digit = 0; digit < DIGITS; digit++) {
        uint32_t count = starts[digit];
        starts[digit] = start;
        start += count;
    }
}

/* By place, a digit at a time from the lowest on; what is equal keeps its order. */
bool table_changes_sort(struct table *table, uint64_t steps) {
    CHECK(!table->savepoint_open);
    if (!table->sort.shown) {
        memset(&table->sort, 0, sizeof table->sort);
        table->sort.shift = 32;
        table->sort.shown = true;
    }
    uint32_t *starts = table->sort.starts;
    while (table->sort.shift < 64) {
        unsigned shift = table->sort.shift;
        bool back = shift / CHANGED_DIGIT_BITS % 2 != 0;
        const uint64_t *from = back ? table->changed_sorting : table->changed;
        uint64_t *to = back ? table->changed : table->changed_sorting;
        uint32_t at = table->sort.at, left = table->changed_count - at, end = at + (left < steps ? left : (uint32_t)steps);
        steps -= end - at;
        if (table->sort.placing) for (; at < end; at++) to[starts[from[at] >> shift & (DIGITS - 1)]++] = from[at];
        else for (; at < end; at++) starts[from[at] >> shift & (DIGITS - 1)]++;
        table->sort.at = end;
        if (end < table->changed_count) return false;
        table->sort.at = 0;
        if (table->sort.placing) {
            memset(starts, 0, sizeof table->sort.starts);
            table->sort.shift += CHANGED_DIGIT_BITS;
        } else {
            sort_places(starts);
        }
        table->sort.placing = !table->sort.placing;
        _Static_assert(32 / CHANGED_DIGIT_BITS % 2 == 0, "it ends where it began");
        if (table->sort.shift == 64 && table->changed_count > 0)
            store_forget(table->changed_sorting, table->changed_count * sizeof *table->changed_sorting);
    }
    return true;
}

struct table_changes table_changes_begin(struct table *table) {
    CHECK(table_changes_sort(table, UINT64_MAX));
    return (struct table_changes){.table = table};
}

/* The next entry of this ref in final state; NULL: no more. */
static const struct record *final_next(const struct table *table, uint32_t ref, uint64_t *probe) {
    for (;;) {
        const struct slot *slot = &table->slots[(index_home(table, ref) + *probe) & table->slot_mask];
        if (!slot->ref || *probe >= table->slot_count) return NULL;
        ++*probe;
        if (slot->tag != ref) continue;
        const struct record *record = record_at(table, slot->ref);
        while (record && record->own != none) {
            uint32_t old_ref = table->journal[record->own].old_ref;
            record = old_ref ? record_at(table, old_ref) : NULL;
        }
        if (record && !record_deleted(record)) return record;
    }
}

static inline __attribute__((always_inline)) void changes_prefetch(const struct table_changes *changes) {
    const struct table *table = changes->table;
    uint32_t left = table->changed_count - changes->at;
    if (left > CHANGES_SLOT_AHEAD) table_prefetch(table, table->changed[changes->at + CHANGES_SLOT_AHEAD]);
    if (left > CHANGES_RECORD_AHEAD) table_prefetch_entry(table, table->changed[changes->at + CHANGES_RECORD_AHEAD], 0);
}

bool table_changes_next(struct table_changes *changes, struct table_entry *entry, bool *intact) {
    const struct table *table = changes->table;
    for (; changes->at < table->changed_count; changes->at++, changes->probe = 0) {
        uint64_t item = table->changed[changes->at];
        if (changes->probe == 0) {
            changes_prefetch(changes);
            if (changes->at > 0 && table->changed[changes->at - 1] == item) continue;
        }
        const struct record *record = final_next(table, (uint32_t)item, &changes->probe);
        if (!record) continue;
        record_show(record, entry);
        *intact = record->checksum == record_checksum(record);
        return true;
    }
    return false;
}

void table_changes_end(struct table *table) {
    table->changed_count = 0;
    table->sort.shown = false;
    table->clean_height = table->final_height;
}
