/*
 * A boot partition in memory that remembers each write, so that a power cut after any of them can be tried: what was written before the last sync is
 * there, of what came after it any part is. Nobody reads or writes outside of it. And a reader of FAT32 that shares nothing with the product's.
 */
#ifndef TESTS_APPLIANCE_BOOT_DISK_H
#define TESTS_APPLIANCE_BOOT_DISK_H

#include "appliance/slots/fat.h"

enum { BOOT_DISK_BYTES = 1 << 20, BOOT_WRITES_MAX = 4096, BOOT_FILES_MAX = 128 };

struct boot_write {
    uint64_t at;
    size_t count;
    uint8_t *bytes;
    unsigned synced; /* how many syncs came before it */
};

struct boot_disk {
    uint8_t *bytes;
    uint8_t *start; /* as it was when recording began */
    struct boot_write writes[BOOT_WRITES_MAX];
    unsigned count, syncs, reads;
    unsigned writes_left; /* then each write fails */
};

/* Made by hand: one sector a cluster, two tables, EFI/Linux; `spread` entries that are in use before what comes, so that names straddle sectors. */
void boot_disk_make(struct boot_disk *disk, unsigned spread);
void boot_disk_free(struct boot_disk *disk);
struct fat_device boot_disk_device(struct boot_disk *disk);
/* From here on what is written is remembered. */
void boot_disk_record(struct boot_disk *disk);
/* A power cut after `writes` of the remembered ones (that many were begun): of those since the sync before, sectors are there as `seed` says; 0: none
 * of them, 1: all, 2: all but the last. A new disk. */
void boot_disk_cut(const struct boot_disk *disk, unsigned writes, uint64_t seed, struct boot_disk *out);

/* What a plain reader finds in EFI/Linux. */
struct boot_file {
    char name[64];
    uint32_t bytes, first;
    uint8_t *content; /* NULL: its chain is broken */
};
struct boot_folder {
    unsigned count;
    struct boot_file files[BOOT_FILES_MAX];
};
void boot_disk_look(const struct boot_disk *disk, struct boot_folder *folder);
void boot_folder_free(struct boot_folder *folder);
const struct boot_file *boot_folder_find(const struct boot_folder *folder, const char *name);

#endif
