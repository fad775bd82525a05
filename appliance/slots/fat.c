/* FAT32: its geometry, its table, reading. Changing is in fat_change.c. */
#include "appliance/slots/fat.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "appliance/slots/fat_inside.h"
#include "merkle/bytes.h"

/* ---- geometry ---- */

static bool power_of_two(uint32_t value) {
    return value != 0 && (value & (value - 1)) == 0;
}

static const char *geometry(struct fat *fat, const uint8_t *boot, uint64_t bytes) {
    uint32_t reserved = bytes_get_le16(boot + 14), sectors = bytes_get_le32(boot + 32), info = bytes_get_le16(boot + 48);
    if (boot[510] != 0x55 || boot[511] != 0xAA || bytes_get_le16(boot + 11) != FAT_SECTOR) return "is no FAT file system with sectors of 512 bytes";
    fat->cluster_sectors = boot[13];
    fat->tables = boot[16];
    fat->table_sectors = bytes_get_le32(boot + 36);
    fat->root = bytes_get_le32(boot + 44);
    if (bytes_get_le16(boot + 17) != 0 || bytes_get_le16(boot + 22) != 0 || fat->table_sectors == 0) return "is not FAT32";
    if (!power_of_two(fat->cluster_sectors) || reserved == 0 || fat->tables < 1 || fat->tables > 2 || (boot[40] & 0x80) != 0)
        return "is a FAT file system of a kind that is not understood";
    if (fat->table_sectors > FAT_TABLE_BYTES_MAX / FAT_SECTOR) return "is too large";
    uint64_t before = reserved + (uint64_t)fat->tables * fat->table_sectors;
    if (sectors > bytes / FAT_SECTOR || before >= sectors) return "is larger than its partition";
    uint64_t clusters = (sectors - before) / fat->cluster_sectors + CLUSTER_FIRST, most = (uint64_t)fat->table_sectors * (FAT_SECTOR / 4);
    fat->clusters = (uint32_t)(clusters < most ? clusters : most);
    fat->table_at = (uint64_t)reserved * FAT_SECTOR;
    fat->data_at = before * FAT_SECTOR;
    fat->info_at = info > 0 && info < reserved ? (uint64_t)info * FAT_SECTOR : 0;
    return fat_is_cluster(fat, fat->root) ? NULL : "has no root folder";
}

bool fat_is_cluster(const struct fat *fat, uint32_t cluster) {
    return cluster >= CLUSTER_FIRST && cluster < fat->clusters;
}

uint32_t fat_next(const struct fat *fat, uint32_t cluster) {
    return bytes_get_le32((const uint8_t *)&fat->table[cluster]) & CLUSTER_MASK;
}

uint32_t fat_cluster_bytes(const struct fat *fat) {
    return fat->cluster_sectors * FAT_SECTOR;
}

uint64_t fat_cluster_at(const struct fat *fat, uint32_t cluster) {
    return fat->data_at + (uint64_t)(cluster - CLUSTER_FIRST) * fat_cluster_bytes(fat);
}

/* ---- folders ---- */

struct long_name {
    uint8_t check;
    uint32_t next; /* the number of the entry that must follow; 0: whole */
    char name[FAT_NAME_BYTES];
    bool there, odd;
    uint32_t entries;
    uint64_t at[FAT_ENTRIES_MAX];
};

static const uint8_t letters_at[LONG_LETTERS] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};

const uint8_t *fat_letters_at(void) {
    return letters_at;
}

uint8_t fat_short_check(const uint8_t name[11]) {
    uint8_t sum = 0;
    for (int i = 0; i < 11; i++) sum = (uint8_t)((uint8_t)((sum & 1) << 7) + (sum >> 1) + name[i]);
    return sum;
}

static void long_take(struct long_name *self, const uint8_t *entry, uint64_t at) {
    uint32_t number = entry[0] & 0x3F;
    if (entry[0] & LONG_LAST) {
        memset(self, 0, sizeof *self);
        self->there = number >= 1 && number < FAT_ENTRIES_MAX;
        self->check = entry[13];
        self->next = number;
    }
    if (!self->there || number == 0 || number != self->next || entry[13] != self->check) {
        self->there = false;
        return;
    }
    self->next--;
    self->at[self->entries++] = at;
    for (uint32_t i = 0; i < LONG_LETTERS; i++) {
        uint16_t letter = bytes_get_le16(entry + letters_at[i]);
        uint32_t place = (number - 1) * LONG_LETTERS + i;
        if (letter == 0 || letter == 0xFFFF) continue;
        if (letter < 0x20 || letter > 0x7E || place >= FAT_NAME_BYTES - 1)
            self->odd = true;
        else
            self->name[place] = (char)letter;
    }
}

static void short_take(struct fat_file *file, const uint8_t *entry) {
    char *out = file->name;
    for (int i = 0; i < 11; i++) {
        if (i == 8 && entry[8] != ' ') *out++ = '.';
        if (entry[i] == ' ') continue;
        bool lower = (entry[12] & (i < 8 ? SHORT_LOWER_NAME : SHORT_LOWER_END)) != 0 && entry[i] >= 'A' && entry[i] <= 'Z';
        *out++ = (char)(lower ? entry[i] + 32 : entry[i]);
    }
    *out = '\0';
}

static void file_take(struct fat_file *file, const uint8_t *entry, uint64_t at, const struct long_name *name) {
    memset(file, 0, sizeof *file);
    memcpy(file->short_name, entry, 11);
    file->folder = (entry[11] & ATTRIBUTE_FOLDER) != 0;
    file->first = (uint32_t)bytes_get_le16(entry + 20) << 16 | bytes_get_le16(entry + 26);
    file->bytes = file->folder ? 0 : bytes_get_le32(entry + 28);
    if (name->there && name->next == 0 && name->check == fat_short_check(entry)) {
        memcpy(file->at, name->at, sizeof name->at);
        file->entries = name->entries;
        if (!name->odd) memcpy(file->name, name->name, FAT_NAME_BYTES);
    } else {
        short_take(file, entry);
    }
    file->at[file->entries++] = at;
}

bool fat_each(struct fat *fat, uint32_t folder, fat_each_function *function, void *context) {
    uint8_t sector[FAT_SECTOR];
    struct long_name name = {0};
    struct fat_file file;
    struct fat_walk walk = fat_walk_of(folder);
    for (uint64_t at; fat_walk_sector(fat, &walk, &at);) {
        if (!fat->device.read(fat->device.context, at, sector, FAT_SECTOR)) return false;
        for (uint32_t i = 0; i < FAT_SECTOR; i += FAT_ENTRY) {
            const uint8_t *entry = sector + i;
            if (entry[0] == ENTRY_END) return true;
            if (entry[0] != ENTRY_FREE && (entry[11] & ATTRIBUTE_LONG) == ATTRIBUTE_LONG) {
                long_take(&name, entry, at + i);
                continue;
            }
            bool is_file = entry[0] != ENTRY_FREE && entry[0] != '.' && (entry[11] & ATTRIBUTE_LABEL) == 0;
            if (is_file) file_take(&file, entry, at + i, &name);
            name.there = false;
            if (is_file && !function(context, &file)) return true;
        }
    }
    return !walk.broken;
}

struct fat_walk fat_walk_of(uint32_t folder) {
    return (struct fat_walk){.cluster = folder};
}

bool fat_walk_sector(const struct fat *fat, struct fat_walk *walk, uint64_t *at) {
    if (walk->sector == fat->cluster_sectors) {
        uint32_t next = fat_next(fat, walk->cluster);
        walk->sector = 0;
        if (next >= CLUSTER_END) return false;
        walk->cluster = next;
    }
    if (!fat_is_cluster(fat, walk->cluster) || walk->sectors++ >= FOLDER_SECTORS_MAX) {
        walk->broken = true;
        return false;
    }
    *at = fat_cluster_at(fat, walk->cluster) + (uint64_t)walk->sector++ * FAT_SECTOR;
    return true;
}

struct looking {
    const char *name;
    struct fat_file *file;
    bool found;
};

static bool look(void *context, const struct fat_file *file) {
    struct looking *looking = context;
    if (strcasecmp(file->name, looking->name) != 0) return true;
    *looking->file = *file;
    looking->found = true;
    return false;
}

bool fat_find(struct fat *fat, uint32_t folder, const char *name, struct fat_file *file) {
    struct looking looking = {.name = name, .file = file};
    return fat_each(fat, folder, look, &looking) && looking.found;
}

bool fat_read(struct fat *fat, const struct fat_file *file, uint64_t at, void *out, size_t count) {
    uint32_t cluster = file->first, bytes = fat_cluster_bytes(fat);
    if (at > file->bytes || count > file->bytes - at || at / bytes >= fat->clusters) return false;
    for (uint64_t skip = at / bytes; skip > 0; skip--) {
        if (!fat_is_cluster(fat, cluster)) return false;
        cluster = fat_next(fat, cluster);
    }
    for (uint32_t within = (uint32_t)(at % bytes); count > 0; within = 0) {
        if (!fat_is_cluster(fat, cluster)) return false;
        uint32_t run = bytes, last = cluster;
        while (run - within < count && fat_next(fat, last) == last + 1 && fat_is_cluster(fat, last + 1)) run += bytes, last++;
        size_t part = run - within < count ? run - within : count;
        if (!fat->device.read(fat->device.context, fat_cluster_at(fat, cluster) + within, out, part)) return false;
        out = (uint8_t *)out + part;
        count -= part;
        cluster = fat_next(fat, last);
    }
    return true;
}

/* ---- what is reached ---- */

struct scan {
    struct fat *fat;
    uint32_t folders[FAT_FOLDERS_MAX], count;
    uint64_t again; /* clusters that may be walked for second names yet */
    /* what is left out; NULL: nothing */
    uint32_t now, without;
    fat_each_function *function;
    void *context;
};

/* A second name is of the whole file: its chain has as many clusters. */
static void chain_again(struct scan *scan, uint32_t first, uint64_t clusters) {
    struct fat *fat = scan->fat;
    uint32_t cluster = first;
    uint64_t count = 0;
    for (; count < clusters && fat_is_cluster(fat, cluster) && scan->again > 0; count++, scan->again--) cluster = fat_next(fat, cluster);
    if (clusters == 0 || count < clusters || cluster < CLUSTER_END) fat->damaged = true;
}

static void chain_reach(struct scan *scan, uint32_t first, uint64_t clusters) {
    struct fat *fat = scan->fat;
    if (first == 0 && clusters == 0) return;
    if (!fat_is_cluster(fat, first) || fat->used[first] == FAT_REACHED) {
        fat->damaged = true;
        return;
    }
    if (fat->used[first] == FAT_FIRST) {
        chain_again(scan, first, clusters);
        return;
    }
    uint32_t cluster = first;
    for (uint64_t i = 0; i < clusters; i++) {
        if (!fat_is_cluster(fat, cluster) || fat->used[cluster]) {
            fat->damaged = true;
            return;
        }
        fat->used[cluster] = i == 0 ? FAT_FIRST : FAT_REACHED;
        cluster = fat_next(fat, cluster);
    }
    if (cluster < CLUSTER_END) fat->damaged = true;
}

static bool scan_file(void *context, const struct fat_file *file) {
    struct scan *scan = context;
    struct fat *fat = scan->fat;
    if (scan->function && scan->now == scan->without && scan->function(scan->context, file)) return true;
    if (!file->folder) {
        chain_reach(scan, file->first, ((uint64_t)file->bytes + fat_cluster_bytes(fat) - 1) / fat_cluster_bytes(fat));
        return true;
    }
    if (scan->count == FAT_FOLDERS_MAX)
        fat->damaged = true;
    else
        scan->folders[scan->count++] = file->first;
    return true;
}

static void folder_reach(struct fat *fat, uint32_t first) {
    uint32_t cluster = first;
    for (uint32_t i = 0; i <= FOLDER_SECTORS_MAX; i++) {
        if (!fat_is_cluster(fat, cluster) || fat->used[cluster]) break;
        fat->used[cluster] = FAT_REACHED;
        cluster = fat_next(fat, cluster);
        if (cluster >= CLUSTER_END) return;
    }
    fat->damaged = true;
}

static void scan_all(struct scan *scan) {
    struct fat *fat = scan->fat;
    memset(fat->used, 0, fat->clusters);
    fat->damaged = false;
    scan->folders[0] = fat->root;
    scan->count = 1;
    scan->again = 4 * (uint64_t)fat->clusters;
    for (uint32_t i = 0; i < scan->count && !fat->damaged; i++) {
        scan->now = scan->folders[i];
        folder_reach(fat, scan->now);
        if (!fat->damaged && !fat_each(fat, scan->now, scan_file, scan)) fat->damaged = true;
    }
}

void fat_scan(struct fat *fat) {
    struct scan scan = {.fat = fat};
    scan_all(&scan);
}

const char *fat_fault(const struct fat *fat) {
    return fat->damaged ? "is damaged: check it with fsck.vfat on another machine" : NULL;
}

const char *fat_fault_without(struct fat *fat, uint32_t folder, fat_each_function *function, void *context) {
    struct scan scan = {.fat = fat, .without = folder, .function = function, .context = context};
    scan_all(&scan);
    const char *fault = fat_fault(fat);
    fat_scan(fat);
    return fault;
}

/* ---- open ---- */

const char *fat_open(struct fat *fat, const struct fat_device *device, uint64_t bytes) {
    uint8_t boot[FAT_SECTOR];
    memset(fat, 0, sizeof *fat);
    fat->device = *device;
    if (!device->read(device->context, 0, boot, sizeof boot)) return "cannot be read";
    const char *fault = geometry(fat, boot, bytes);
    if (fault) return fault;
    size_t table_bytes = (size_t)fat->table_sectors * FAT_SECTOR;
    fat->table = malloc(table_bytes);
    fat->dirty = calloc(fat->table_sectors, 1);
    fat->used = malloc(fat->clusters);
    if (!fat->table || !fat->dirty || !fat->used)
        fault = "no memory";
    else if (!device->read(device->context, fat->table_at, fat->table, table_bytes))
        fault = "cannot be read";
    if (fault)
        fat_close(fat);
    else
        fat_scan(fat);
    return fault;
}

void fat_close(struct fat *fat) {
    free(fat->table);
    free(fat->dirty);
    free(fat->used);
    memset(fat, 0, sizeof *fat);
}
