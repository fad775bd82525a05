#include "tests/appliance/boot_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"

/* Sectors: 0 boot, 1 info, 8 to 23 and 24 to 39 the tables, 40 on clusters 2, 3, ... */
enum {
    SECTOR = 512,
    TABLE = 8,
    TABLE_SECTORS = 16,
    DATA = TABLE + 2 * TABLE_SECTORS,
    SECTORS = BOOT_DISK_BYTES / SECTOR,
    ROOT = 2,
    EFI = 3,
    LINUX = 4
};

static void put16(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value) {
    put16(at, value & 0xFFFF);
    put16(at + 2, value >> 16);
}

static uint32_t get(const uint8_t *at, int bytes) {
    uint32_t value = 0;
    while (bytes-- > 0) value = value << 8 | at[bytes];
    return value;
}

static uint8_t *sector_of(uint8_t *bytes, uint32_t cluster) {
    return bytes + (size_t)(DATA + cluster - 2) * SECTOR;
}

static void folder_entry(uint8_t *at, const char *name, uint32_t first) {
    memcpy(at, name, 11);
    at[11] = 0x10;
    put16(at + 26, first);
}

void boot_disk_make(struct boot_disk *disk, unsigned spread) {
    memset(disk, 0, sizeof *disk);
    uint8_t *b = disk->bytes = calloc(1, BOOT_DISK_BYTES);
    CHECK(b);
    disk->writes_left = UINT32_MAX;
    memcpy(b, "\xEB\x58\x90MSDOS5.0", 11);
    put16(b + 11, SECTOR);
    b[13] = 1;
    put16(b + 14, TABLE);
    b[16] = 2;
    put32(b + 32, SECTORS);
    put32(b + 36, TABLE_SECTORS);
    put32(b + 44, ROOT);
    put16(b + 48, 1);
    put16(b + 510, 0xAA55);
    put32(b + SECTOR, 0x41615252);
    put32(b + SECTOR + 484, 0x61417272);
    const uint32_t first[] = {0x0FFFFFF8, 0x0FFFFFFF, 0x0FFFFFFF, 0x0FFFFFFF, 0x0FFFFFFF};
    for (unsigned table = 0; table < 2; table++) {
        for (unsigned i = 0; i < 5; i++) put32(b + (size_t)(TABLE + table * TABLE_SECTORS) * SECTOR + (size_t)i * 4, first[i]);
    }
    folder_entry(sector_of(b, ROOT), "EFI        ", EFI);
    folder_entry(sector_of(b, EFI), ".          ", EFI);
    folder_entry(sector_of(b, EFI) + 32, "LINUX      ", LINUX);
    folder_entry(sector_of(b, LINUX), ".          ", LINUX);
    folder_entry(sector_of(b, LINUX) + 32, "..         ", EFI);
    for (unsigned i = 0; i < spread; i++) { /* empty files */
        char name[32];
        (void)snprintf(name, sizeof name, "EMPTY%03uTXT", i);
        memcpy(sector_of(b, LINUX) + (size_t)(2 + i) * 32, name, 11);
    }
}

void boot_disk_free(struct boot_disk *disk) {
    for (unsigned i = 0; i < disk->count; i++) free(disk->writes[i].bytes);
    free(disk->bytes);
    free(disk->start);
    memset(disk, 0, sizeof *disk);
}

static bool disk_read(void *context, uint64_t at, void *out, size_t count) {
    struct boot_disk *disk = context;
    CHECK(at <= BOOT_DISK_BYTES && count <= BOOT_DISK_BYTES - at);
    disk->reads++;
    memcpy(out, disk->bytes + at, count);
    return true;
}

static bool disk_write(void *context, uint64_t at, const void *bytes, size_t count) {
    struct boot_disk *disk = context;
    CHECK(at <= BOOT_DISK_BYTES && count <= BOOT_DISK_BYTES - at && at % SECTOR == 0 && count % SECTOR == 0);
    if (disk->writes_left == 0) return false;
    disk->writes_left--;
    memcpy(disk->bytes + at, bytes, count);
    if (disk->start == NULL) return true;
    CHECK(disk->count < BOOT_WRITES_MAX);
    struct boot_write *write = &disk->writes[disk->count++];
    *write = (struct boot_write){at, count, malloc(count), disk->syncs};
    CHECK(write->bytes);
    memcpy(write->bytes, bytes, count);
    return true;
}

static bool disk_sync(void *context) {
    struct boot_disk *disk = context;
    disk->syncs++;
    return true;
}

struct fat_device boot_disk_device(struct boot_disk *disk) {
    return (struct fat_device){disk, disk_read, disk_write, disk_sync};
}

void boot_disk_record(struct boot_disk *disk) {
    CHECK(disk->start == NULL);
    disk->start = malloc(BOOT_DISK_BYTES);
    CHECK(disk->start);
    memcpy(disk->start, disk->bytes, BOOT_DISK_BYTES);
}

static uint64_t mix(uint64_t value) {
    value = (value ^ value >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ value >> 27) * UINT64_C(0x94D049BB133111EB);
    return value ^ value >> 31;
}

void boot_disk_cut(const struct boot_disk *disk, unsigned writes, uint64_t seed, struct boot_disk *out) {
    memset(out, 0, sizeof *out);
    out->bytes = malloc(BOOT_DISK_BYTES);
    out->writes_left = UINT32_MAX;
    CHECK(out->bytes);
    memcpy(out->bytes, disk->start, BOOT_DISK_BYTES);
    CHECK(writes <= disk->count);
    for (unsigned i = 0; i < writes; i++) {
        const struct boot_write *write = &disk->writes[i];
        bool durable = write->synced < disk->writes[writes - 1].synced;
        for (size_t at = 0; at < write->count; at += SECTOR) {
            bool there =
                durable || seed == 1 || (seed == 2 && i + 1 < writes) || (seed > 2 && (mix(seed * 1000003 + (uint64_t)i * 131 + at) & 1) != 0);
            if (there) memcpy(out->bytes + write->at + at, write->bytes + at, SECTOR);
        }
    }
}

/* ---- a plain reader ---- */

static uint32_t table_get(const struct boot_disk *disk, uint32_t cluster) {
    return get(disk->bytes + (size_t)TABLE * SECTOR + (size_t)cluster * 4, 4) & 0x0FFFFFFF;
}

static bool is_data(uint32_t cluster) {
    return cluster >= 2 && cluster - 2 < SECTORS - DATA;
}

static uint8_t *content_of(const struct boot_disk *disk, uint32_t first, uint32_t bytes) {
    uint8_t *content = malloc((size_t)bytes + SECTOR);
    CHECK(content);
    uint32_t cluster = first;
    for (uint32_t at = 0; at < bytes; at += SECTOR) {
        if (!is_data(cluster) || table_get(disk, cluster) == 0) {
            free(content);
            return NULL;
        }
        memcpy(content + at, sector_of(disk->bytes, cluster), SECTOR);
        cluster = table_get(disk, cluster);
    }
    return content;
}

void boot_disk_look(const struct boot_disk *disk, struct boot_folder *folder) {
    char name[300] = "";
    unsigned expected = 0;
    uint32_t cluster = LINUX, check = 0;
    memset(folder, 0, sizeof *folder);
    for (unsigned steps = 0; is_data(cluster) && steps < 100; steps++, cluster = table_get(disk, cluster)) {
        for (const uint8_t *e = sector_of(disk->bytes, cluster), *end = e + SECTOR; e < end; e += 32) {
            if (e[0] == 0) return;
            if (e[0] == 0xE5 || e[0] == '.') continue;
            if (e[11] == 0x0F) {
                unsigned number = e[0] & 0x1F;
                if (e[0] & 0x40) memset(name, 0, sizeof name), expected = number, check = e[13];
                if (number != expected || e[13] != check || number == 0) name[0] = '\0', expected = 99;
                for (unsigned i = 0; i < 13 && expected != 99; i++) {
                    uint32_t letter = get(e + (i < 5 ? 1 + 2 * i : i < 11 ? 14 + 2 * (i - 5) : 28 + 2 * (i - 11)), 2);
                    if (letter != 0 && letter != 0xFFFF) name[(number - 1) * 13 + i] = (char)letter;
                }
                expected -= expected != 99;
                continue;
            }
            uint32_t sum = 0;
            for (unsigned i = 0; i < 11; i++) sum = ((sum >> 1 | sum << 7) + e[i]) & 0xFF;
            CHECK(folder->count < BOOT_FILES_MAX);
            struct boot_file *file = &folder->files[folder->count++];
            if (name[0] && expected == 0 && sum == check)
                (void)snprintf(file->name, sizeof file->name, "%.63s", name);
            else
                (void)snprintf(file->name, sizeof file->name, "%.8s.%.3s", (const char *)e, (const char *)e + 8);
            file->first = get(e + 20, 2) << 16 | get(e + 26, 2);
            file->bytes = get(e + 28, 4);
            file->content = content_of(disk, file->first, file->bytes);
            name[0] = '\0';
        }
    }
}

void boot_folder_free(struct boot_folder *folder) {
    for (unsigned i = 0; i < folder->count; i++) free(folder->files[i].content);
    folder->count = 0;
}

const struct boot_file *boot_folder_find(const struct boot_folder *folder, const char *name) {
    for (unsigned i = 0; i < folder->count; i++) {
        if (strcmp(folder->files[i].name, name) == 0) return &folder->files[i];
    }
    return NULL;
}
