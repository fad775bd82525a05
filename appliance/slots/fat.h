/*
 * The boot partition (FAT32), read and changed so that a power cut at any moment leaves what was there before, or what was meant, and never less.
 * No mount: the kernel's FAT promises no order of its writes, and its rename() can leave both names or none.
 *
 * What makes it safe
 *   1. Space is taken only from clusters that no file reaches: the tree is walked, the allocation table is not believed. So what a cut leaves behind
 *      is taken again, and nothing that a file has is ever written over.
 *   2. Data, sync; the table's chain, sync; then the file appears by one write of one sector. A name is put where all its entries lie in one sector;
 *      a name that has as many entries is replaced in place, by one such write. Otherwise the new name comes first, then the old one goes: between
 *      the two both lead to the same clusters, which a reader bears (and see 4).
 *   3. Erasing makes a name vanish and frees nothing; fat_tidy() frees what no name reaches.
 *   4. Two names with the same first cluster are one file with two names. One of them may be erased.
 *   A sector is taken to be written whole or not at all, and what was written before a sync is there after it.
 *
 * Limits: 512-byte sectors, FAT32, a table of FAT_TABLE_BYTES_MAX, FAT_FOLDERS_MAX folders; names of our own are ASCII. Bytes from the disk are
 * hostile: each number is checked, each chain is bounded. Damage (`damaged`: what two files share, what leads out of the partition, what goes round)
 * refuses every change but those that write nothing but entries which are there: a name replaced in place, or erased.
 */
#ifndef APPLIANCE_FAT_H
#define APPLIANCE_FAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAT_SECTOR = 512, FAT_ENTRY = 32, FAT_NAME_BYTES = 64, FAT_ENTRIES_MAX = 21, FAT_FOLDERS_MAX = 64, FAT_TABLE_BYTES_MAX = 16 << 20 };

struct fat_device {
    void *context;
    bool (*read)(void *context, uint64_t at, void *out, size_t count);
    bool (*write)(void *context, uint64_t at, const void *bytes, size_t count);
    bool (*sync)(void *context);
};

struct fat {
    struct fat_device device;
    uint32_t cluster_sectors, tables, table_sectors, clusters, root; /* clusters: one past the highest number */
    uint64_t table_at, data_at, info_at;                             /* bytes; info_at 0: none */
    uint32_t *table;                                                 /* little-endian, as on disk */
    uint8_t *dirty;                                                  /* one for each sector of it */
    uint8_t *used;                                                   /* one for each cluster: 0, FAT_REACHED, FAT_FIRST of a file */
    bool damaged;
};

struct fat_file {
    char name[FAT_NAME_BYTES]; /* "": longer, or not ASCII */
    uint8_t short_name[11];
    bool folder;
    uint32_t first, bytes;
    uint32_t entries;             /* the last one is the short one */
    uint64_t at[FAT_ENTRIES_MAX]; /* where each lies */
};

/* NULL, or why not. On NULL fat_close() is due. */
const char *fat_open(struct fat *fat, const struct fat_device *device, uint64_t bytes) __attribute__((warn_unused_result));
void fat_close(struct fat *fat);

/* Each entry of a folder (its first cluster), until the function says false. False: the folder cannot be read. */
typedef bool fat_each_function(void *context, const struct fat_file *file);
bool fat_each(struct fat *fat, uint32_t folder, fat_each_function *function, void *context) __attribute__((warn_unused_result));
/* NULL, or that it is damaged; and that it would be without the files of a folder of which the function says true. */
const char *fat_fault(const struct fat *fat) __attribute__((warn_unused_result));
const char *fat_fault_without(struct fat *fat, uint32_t folder, fat_each_function *function, void *context) __attribute__((warn_unused_result));
/* By name in a folder; letters' case does not count. */
bool fat_find(struct fat *fat, uint32_t folder, const char *name, struct fat_file *file) __attribute__((warn_unused_result));
bool fat_read(struct fat *fat, const struct fat_file *file, uint64_t at, void *out, size_t count) __attribute__((warn_unused_result));

/* A new file; there must be none of that name. `source` gives its bytes in order. NULL, or why not; then there is none. */
typedef bool fat_source(void *context, uint8_t *out, size_t count);
const char *fat_put(struct fat *fat, uint32_t folder, const char *name, uint32_t bytes, fat_source *source, void *context)
    __attribute__((warn_unused_result));
const char *fat_rename(struct fat *fat, uint32_t folder, const struct fat_file *file, const char *name) __attribute__((warn_unused_result));
const char *fat_erase(struct fat *fat, const struct fat_file *file) __attribute__((warn_unused_result));
/* Frees what no name reaches. Nothing depends on it. */
const char *fat_tidy(struct fat *fat) __attribute__((warn_unused_result));
/* Bytes that a new file may have. */
uint64_t fat_room(const struct fat *fat);

#endif
