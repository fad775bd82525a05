/* FAT32: changing it, in an order that bears a power cut anywhere (fat.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "appliance/slots/fat_inside.h"
#include "merkle/bytes.h"

enum { DAY_ZERO = 0x21 /* 1 January 1980: clocks are not asked */, BUFFER_BYTES = 1 << 16, INFO_FREE = 488, INFO_NEXT = 492, OWN_ENTRIES_MAX = 6,
       SHORT_NUMBERS = 1000 };

static const char no_write[] = "cannot be written", no_room[] = "has no room";

static bool put(struct fat *fat, uint64_t at, const void *bytes, size_t count) {
    return fat->device.write(fat->device.context, at, bytes, count);
}

static bool sync_all(struct fat *fat) {
    return fat->device.sync(fat->device.context);
}

/* ---- the table ---- */

static void table_set(struct fat *fat, uint32_t cluster, uint32_t next) {
    uint8_t *entry = (uint8_t *)&fat->table[cluster];
    bytes_put_le32(entry, (bytes_get_le32(entry) & ~(uint32_t)CLUSTER_MASK) | next);
    fat->dirty[cluster / (FAT_SECTOR / 4)] = 1;
}

/* The changed sectors of all copies; durable. */
static bool table_flush(struct fat *fat) {
    for (uint32_t copy = 0; copy < fat->tables; copy++) {
        for (uint32_t i = 0; i < fat->table_sectors; i++) {
            uint64_t at = fat->table_at + ((uint64_t)copy * fat->table_sectors + i) * FAT_SECTOR;
            if (fat->dirty[i] && !put(fat, at, (const uint8_t *)fat->table + (size_t)i * FAT_SECTOR, FAT_SECTOR)) return false;
        }
    }
    memset(fat->dirty, 0, fat->table_sectors);
    return sync_all(fat);
}

static bool is_free(const struct fat *fat, uint32_t cluster) {
    return fat->used[cluster] == 0 && fat_next(fat, cluster) != CLUSTER_BAD;
}

uint64_t fat_room(const struct fat *fat) {
    uint64_t count = 0;
    for (uint32_t c = CLUSTER_FIRST; c < fat->clusters; c++) count += is_free(fat, c);
    return fat->damaged ? 0 : count * fat_cluster_bytes(fat);
}

/* So many free clusters, in one run if there is one; false: there are not that many. */
static bool allocate(const struct fat *fat, uint32_t *chain, uint32_t count) {
    uint32_t run = 0, found = 0;
    for (uint32_t c = CLUSTER_FIRST; c < fat->clusters && run < count; c++) {
        run = is_free(fat, c) ? run + 1 : 0;
        for (uint32_t i = 0; run == count && i < count; i++) chain[i] = c + 1 - count + i;
    }
    if (run == count) return true;
    for (uint32_t c = CLUSTER_FIRST; c < fat->clusters && found < count; c++) {
        if (is_free(fat, c)) chain[found++] = c;
    }
    return found == count;
}

const char *fat_tidy(struct fat *fat) {
    uint8_t info[FAT_SECTOR];
    uint32_t free_count = 0;
    if (fat->damaged) return fat_fault(fat);
    for (uint32_t c = CLUSTER_FIRST; c < fat->clusters; c++) {
        if (is_free(fat, c) && fat_next(fat, c) != 0) table_set(fat, c, 0);
        free_count += is_free(fat, c);
    }
    if (!table_flush(fat)) return no_write;
    if (fat->info_at == 0 || !fat->device.read(fat->device.context, fat->info_at, info, sizeof info)) return NULL;
    if (bytes_get_le32(info) != 0x41615252 || bytes_get_le32(info + 484) != 0x61417272) return NULL;
    bytes_put_le32(info + INFO_FREE, free_count);
    bytes_put_le32(info + INFO_NEXT, CLUSTER_FIRST);
    return put(fat, fat->info_at, info, sizeof info) && sync_all(fat) ? NULL : no_write;
}

/* ---- names as entries ---- */

/* Up to eight letters, a dot, up to three: all of them lower case or digits. One entry has it. */
static bool short_name(const char *name, uint8_t out[11]) {
    const char *dot = strchr(name, '.');
    size_t before = dot ? (size_t)(dot - name) : strlen(name), after = dot ? strlen(dot + 1) : 0;
    if (before < 1 || before > 8 || after > 3 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.") != strlen(name)) return false;
    if (dot && strchr(dot + 1, '.')) return false;
    memset(out, ' ', 11);
    for (size_t i = 0; i < before; i++) out[i] = (uint8_t)(name[i] >= 'a' ? name[i] - 32 : name[i]);
    for (size_t i = 0; i < after; i++) out[8 + i] = (uint8_t)(dot[1 + i] >= 'a' ? dot[1 + i] - 32 : dot[1 + i]);
    return true;
}

struct taken {
    bool numbers[SHORT_NUMBERS];
};

static void short_name_make(unsigned number, char out[12]) {
    (void)snprintf(out, 12, "HRC%05uEFI", number % SHORT_NUMBERS);
}

static bool taken_look(void *context, const struct fat_file *file) {
    struct taken *taken = context;
    char text[12];
    unsigned number = 0;
    for (int i = 3; i < 8 && file->short_name[i] >= '0' && file->short_name[i] <= '9'; i++) number = number * 10 + (file->short_name[i] - '0');
    short_name_make(number, text);
    if (memcmp(file->short_name, text, 11) == 0) taken->numbers[number] = true;
    return true;
}

/* A short name that this folder lacks, found by one walk through it. */
static bool short_name_new(struct fat *fat, uint32_t folder, uint8_t out[11]) {
    struct taken taken = {{false}};
    char text[12];
    unsigned number = 1;
    if (!fat_each(fat, folder, taken_look, &taken)) return false;
    while (number < SHORT_NUMBERS && taken.numbers[number]) number++;
    if (number == SHORT_NUMBERS) return false;
    short_name_make(number, text);
    memcpy(out, text, 11);
    return true;
}

/* The long part of a name, in the order on disk; returns how many entries that is. */
static uint32_t long_put(const char *name, const uint8_t short_form[11], uint8_t *out) {
    uint32_t letters = (uint32_t)strlen(name), count = (letters + LONG_LETTERS - 1) / LONG_LETTERS;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = count - i;
        uint8_t *entry = out + (size_t)i * FAT_ENTRY;
        memset(entry, 0, FAT_ENTRY);
        entry[0] = (uint8_t)(number | (i == 0 ? LONG_LAST : 0));
        entry[11] = ATTRIBUTE_LONG;
        entry[13] = fat_short_check(short_form);
        for (uint32_t j = 0; j < LONG_LETTERS; j++) {
            uint32_t place = (number - 1) * LONG_LETTERS + j;
            bytes_put_le16(entry + fat_letters_at()[j], place < letters ? (uint8_t)name[place] : place == letters ? 0 : 0xFFFF);
        }
    }
    return count;
}

static bool name_valid(const char *name) {
    size_t count = strlen(name);
    if (count < 1 || count > (OWN_ENTRIES_MAX - 1) * LONG_LETTERS || count >= FAT_NAME_BYTES) return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_") == count && name[0] != '.';
}

/* All entries of a file; their count, 0: no name could be made. */
static uint32_t entries_make(struct fat *fat, uint32_t folder, const char *name, uint32_t first, uint32_t bytes, uint8_t *out) {
    uint8_t form[11];
    uint32_t before = 0;
    bool is_short = short_name(name, form);
    if (!is_short && !short_name_new(fat, folder, form)) return 0;
    if (!is_short) before = long_put(name, form, out);
    uint8_t *entry = out + (size_t)before * FAT_ENTRY;
    memset(entry, 0, FAT_ENTRY);
    memcpy(entry, form, 11);
    entry[11] = ATTRIBUTE_ARCHIVE;
    if (is_short) entry[12] = SHORT_LOWER_NAME | SHORT_LOWER_END;
    bytes_put_le16(entry + 16, DAY_ZERO);
    bytes_put_le16(entry + 18, DAY_ZERO);
    bytes_put_le16(entry + 20, (uint16_t)(first >> 16));
    bytes_put_le16(entry + 24, DAY_ZERO);
    bytes_put_le16(entry + 26, (uint16_t)first);
    bytes_put_le32(entry + 28, bytes);
    return before + 1;
}

/* ---- a place for them ---- */

/* One cluster more at the end of a folder, with these entries in it: they appear by the write that links it. */
static const char *folder_grow(struct fat *fat, uint32_t last, const uint8_t *entries, uint32_t count) {
    uint32_t cluster;
    if (fat->damaged) return fat_fault(fat);
    if (!allocate(fat, &cluster, 1)) return no_room;
    uint8_t *content = calloc(1, fat_cluster_bytes(fat));
    if (!content) return "no memory";
    memcpy(content, entries, (size_t)count * FAT_ENTRY);
    bool good = put(fat, fat_cluster_at(fat, cluster), content, fat_cluster_bytes(fat)) && sync_all(fat);
    free(content);
    table_set(fat, cluster, CLUSTER_LAST);
    good = good && table_flush(fat);
    table_set(fat, last, cluster);
    return good && table_flush(fat) ? NULL : no_write;
}

/* Where so many free entries lie side by side before `end`; FAT_SECTOR / FAT_ENTRY: nowhere. */
static uint32_t gap(const uint8_t *sector, uint32_t end, uint32_t count) {
    for (uint32_t i = 0, run = 0; i < end; i++) {
        run = sector[(size_t)i * FAT_ENTRY] == ENTRY_FREE ? run + 1 : 0;
        if (run == count) return i + 1 - count;
    }
    return FAT_SECTOR / FAT_ENTRY;
}

/* At the end mark, which lies at entry `end` of the sector at `at`; `walk` is behind that sector. What follows the mark need not be zero: it is made
 * so before it comes to be read. */
static const char *place_at_end(struct fat *fat, struct fat_walk *walk, uint64_t at, uint8_t *sector, uint32_t end, const uint8_t *entries,
                                uint32_t count) {
    enum { EACH = FAT_SECTOR / FAT_ENTRY };
    uint8_t next[FAT_SECTOR] = {0};
    uint64_t next_at;
    uint32_t last = walk->cluster;
    bool fits = end + count <= EACH, more = fat_walk_sector(fat, walk, &next_at);
    if (walk->broken) return "cannot be read";
    if (!fits) memcpy(next, entries, (size_t)count * FAT_ENTRY);
    if (more && (!fits || end + count == EACH) && !(put(fat, next_at, next, sizeof next) && sync_all(fat))) return no_write;
    if (!more && !fits) {
        const char *fault = folder_grow(fat, last, entries, count);
        if (fault) return fault;
    }
    memset(sector + (size_t)end * FAT_ENTRY, 0, FAT_SECTOR - (size_t)end * FAT_ENTRY);
    if (fits) memcpy(sector + (size_t)end * FAT_ENTRY, entries, (size_t)count * FAT_ENTRY);
    for (uint32_t i = end; !fits && i < EACH; i++) sector[(size_t)i * FAT_ENTRY] = ENTRY_FREE;
    return put(fat, at, sector, FAT_SECTOR) && sync_all(fat) ? NULL : no_write;
}

/* Entries appear in a folder, by one write. */
static const char *place(struct fat *fat, uint32_t folder, const uint8_t *entries, uint32_t count) {
    enum { EACH = FAT_SECTOR / FAT_ENTRY };
    uint8_t sector[FAT_SECTOR];
    struct fat_walk walk = fat_walk_of(folder);
    uint64_t at;
    while (fat_walk_sector(fat, &walk, &at)) {
        if (!fat->device.read(fat->device.context, at, sector, sizeof sector)) return "cannot be read";
        uint32_t end = 0;
        while (end < EACH && sector[(size_t)end * FAT_ENTRY] != ENTRY_END) end++;
        uint32_t hole = gap(sector, end, count);
        if (hole < EACH) {
            memcpy(sector + (size_t)hole * FAT_ENTRY, entries, (size_t)count * FAT_ENTRY);
            return put(fat, at, sector, sizeof sector) && sync_all(fat) ? NULL : no_write;
        }
        if (end < EACH) return place_at_end(fat, &walk, at, sector, end, entries, count);
    }
    return walk.broken ? "cannot be read" : folder_grow(fat, walk.cluster, entries, count);
}

/* ---- files ---- */

static const char *data_put(struct fat *fat, const uint32_t *chain, uint32_t clusters, uint32_t bytes, fat_source *source, void *context) {
    uint32_t each = fat_cluster_bytes(fat), most = BUFFER_BYTES / each > 0 ? BUFFER_BYTES / each : 1;
    uint8_t *buffer = malloc((size_t)most * each);
    const char *fault = buffer ? NULL : "no memory";
    for (uint32_t i = 0, run; i < clusters && !fault; i += run) {
        run = 1;
        while (run < most && i + run < clusters && chain[i + run] == chain[i] + run) run++;
        uint32_t count = run * each < bytes ? run * each : bytes;
        memset(buffer, 0, (size_t)run * each);
        if (!source(context, buffer, count))
            fault = "what is to be written cannot be read, or ends early";
        else if (!put(fat, fat_cluster_at(fat, chain[i]), buffer, (size_t)run * each))
            fault = no_write;
        bytes -= count;
    }
    free(buffer);
    return fault || sync_all(fat) ? fault : no_write;
}

const char *fat_put(struct fat *fat, uint32_t folder, const char *name, uint32_t bytes, fat_source *source, void *context) {
    uint8_t entries[OWN_ENTRIES_MAX * FAT_ENTRY];
    uint32_t each = fat_cluster_bytes(fat), clusters = (uint32_t)(((uint64_t)bytes + each - 1) / each);
    struct fat_file file;
    if (fat->damaged) return fat_fault(fat);
    if (!name_valid(name) || bytes == 0 || fat_find(fat, folder, name, &file)) return "has that name already";
    uint32_t *chain = malloc(clusters * sizeof *chain);
    const char *fault = chain ? NULL : "no memory";
    if (!fault && !allocate(fat, chain, clusters)) fault = no_room;
    if (!fault) fault = data_put(fat, chain, clusters, bytes, source, context);
    for (uint32_t i = 0; i < clusters && !fault; i++) {
        table_set(fat, chain[i], i + 1 < clusters ? chain[i + 1] : CLUSTER_LAST);
        fat->used[chain[i]] = i == 0 ? FAT_FIRST : FAT_REACHED;
    }
    if (!fault && !table_flush(fat)) fault = no_write;
    uint32_t count = fault ? 0 : entries_make(fat, folder, name, chain[0], bytes, entries);
    if (!fault) fault = count ? place(fat, folder, entries, count) : no_room;
    free(chain);
    fat_scan(fat);
    return fault;
}

const char *fat_erase(struct fat *fat, const struct fat_file *file) {
    uint8_t sector[FAT_SECTOR];
    /* The short entry's sector first: without it the long ones mean nothing. */
    for (uint32_t i = file->entries; i > 0;) {
        uint64_t at = file->at[i - 1] / FAT_SECTOR * FAT_SECTOR;
        if (!fat->device.read(fat->device.context, at, sector, sizeof sector)) return "cannot be read";
        for (; i > 0 && file->at[i - 1] / FAT_SECTOR * FAT_SECTOR == at; i--) sector[file->at[i - 1] - at] = ENTRY_FREE;
        if (!put(fat, at, sector, sizeof sector) || !sync_all(fat)) return no_write;
    }
    fat_scan(fat);
    return NULL;
}

/* As many entries, all in one sector: one write. */
static bool in_place(const struct fat_file *file, const char *name) {
    uint8_t form[11];
    uint64_t sector = file->at[0] / FAT_SECTOR;
    if (short_name(name, form) || (strlen(name) + LONG_LETTERS - 1) / LONG_LETTERS + 1 != file->entries) return false;
    for (uint32_t i = 0; i < file->entries; i++) {
        if (file->at[i] != file->at[0] + (uint64_t)i * FAT_ENTRY || file->at[i] / FAT_SECTOR != sector) return false;
    }
    return true;
}

const char *fat_rename(struct fat *fat, uint32_t folder, const struct fat_file *file, const char *name) {
    uint8_t sector[FAT_SECTOR], entries[OWN_ENTRIES_MAX * FAT_ENTRY];
    struct fat_file other;
    if (!name_valid(name) || file->folder || fat_find(fat, folder, name, &other)) return "has that name already";
    if (in_place(file, name)) {
        uint64_t at = file->at[0] / FAT_SECTOR * FAT_SECTOR;
        if (!fat->device.read(fat->device.context, at, sector, sizeof sector)) return "cannot be read";
        (void)long_put(name, file->short_name, sector + (file->at[0] - at));
        return put(fat, at, sector, sizeof sector) && sync_all(fat) ? NULL : no_write;
    }
    /* What looks unused in this folder may be another file's. */
    if (fat->damaged) return fat_fault(fat);
    uint32_t count = entries_make(fat, folder, name, file->first, file->bytes, entries);
    const char *fault = count ? place(fat, folder, entries, count) : no_room;
    return fault ? fault : fat_erase(fat, file);
}
