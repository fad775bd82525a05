/* What fat.c and fat_change.c share: numbers of the format (Microsoft's FAT specification 1.03), clusters, folders as sectors. */
#ifndef APPLIANCE_FAT_INSIDE_H
#define APPLIANCE_FAT_INSIDE_H

#include "appliance/slots/fat.h"

enum { CLUSTER_FIRST = 2, CLUSTER_MASK = 0x0FFFFFFF, CLUSTER_BAD = 0x0FFFFFF7, CLUSTER_END = 0x0FFFFFF8, CLUSTER_LAST = 0x0FFFFFFF };
enum { ENTRY_END = 0, ENTRY_FREE = 0xE5, ATTRIBUTE_LABEL = 8, ATTRIBUTE_FOLDER = 16, ATTRIBUTE_LONG = 15, ATTRIBUTE_ARCHIVE = 32 };
enum { LONG_LAST = 0x40, LONG_LETTERS = 13, SHORT_LOWER_NAME = 8, SHORT_LOWER_END = 16, FOLDER_SECTORS_MAX = 4096 };
enum { FAT_REACHED = 1, FAT_FIRST = 2 };

bool fat_is_cluster(const struct fat *fat, uint32_t cluster);
uint32_t fat_next(const struct fat *fat, uint32_t cluster);
uint32_t fat_cluster_bytes(const struct fat *fat);
uint64_t fat_cluster_at(const struct fat *fat, uint32_t cluster);
uint8_t fat_short_check(const uint8_t name[11]);
const uint8_t *fat_letters_at(void); /* LONG_LETTERS offsets in an entry */
/* Walks the tree anew: `used`, `damaged`. */
void fat_scan(struct fat *fat);

/* The sectors of a folder, in order. */
struct fat_walk {
    uint32_t cluster, sector, sectors;
    bool broken;
};
struct fat_walk fat_walk_of(uint32_t folder);
bool fat_walk_sector(const struct fat *fat, struct fat_walk *walk, uint64_t *at); /* false: no more, or broken */

#endif
