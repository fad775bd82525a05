#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "appliance/disk/disk.h"

enum { SUPER_AT = 1024, MAGIC_AT = SUPER_AT + 56, LABEL_AT = SUPER_AT + 120 };
enum { SECTOR_BYTES = 512, VFAT_LABEL_AT = 71, FAT16_LABEL_AT = 43, ISO_AT = 32768, ISO_LABEL_AT = 40 };
enum { AHEAD = 32 }; /* places that are asked for before they are read: a disk that can do several at once does */

const char *disk_kind_name(enum disk_kind kind) {
    static const char *const names[] = {"unreadable", "data", "begun", "blank", "other"};
    return names[kind];
}

const char *disk_medium_name(enum disk_medium medium) {
    static const char *const names[] = {"-", "boot", "vfat", "iso9660"};
    return names[medium];
}

bool disk_read(int fd, uint64_t at, uint8_t *out, size_t count) {
    while (count > 0) {
        ssize_t got = pread(fd, out, count, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        out += got;
        at += (uint64_t)got;
        count -= (size_t)got;
    }
    return true;
}

static bool range_blank(int fd, uint64_t from, uint64_t count, bool *readable) {
    static uint64_t words[DISK_STRIDE_BYTES / sizeof(uint64_t)];
    uint8_t *bytes = (uint8_t *)words;
    uint64_t all = 0;
    words[(count - 1) / sizeof *words] = 0;
    *readable = disk_read(fd, from, bytes, count);
    for (uint64_t i = 0; *readable && i <= (count - 1) / sizeof *words; i++) all |= words[i];
    return *readable && all == 0;
}

enum disk_kind disk_look(int fd, uint64_t bytes) {
    uint8_t head[DISK_BLOCK_BYTES];
    bool readable = true;
    if (bytes < sizeof head) return DISK_OTHER;
    if (!disk_read(fd, 0, head, sizeof head)) return DISK_UNREADABLE;
    if (bytes < 2 * DISK_LOOK_BYTES) return DISK_OTHER;
    bool begun = memcmp(head, DISK_BEGUN, sizeof DISK_BEGUN - 1) == 0, ext4 = head[MAGIC_AT] == 0x53 && head[MAGIC_AT + 1] == 0xEF;
    if (ext4 && memcmp(head + LABEL_AT, DISK_LABEL "\0", sizeof DISK_LABEL) != 0) return DISK_OTHER;
    if (begun || ext4) return begun ? DISK_BEGAN : DISK_DATA;
    /* The head first: with something in it no more is read, of a slow disk that would take its time, and the memory of all that are looked at. */
    bool blank = range_blank(fd, 0, sizeof head, &readable) && range_blank(fd, 0, DISK_LOOK_BYTES, &readable) &&
                 range_blank(fd, bytes - DISK_LOOK_BYTES, DISK_LOOK_BYTES, &readable);
    return !readable ? DISK_UNREADABLE : blank ? DISK_SEEMS_BLANK : DISK_OTHER;
}

enum disk_medium disk_medium_look(int fd, uint64_t bytes) {
    uint8_t head[SECTOR_BYTES];
    if (bytes >= sizeof head && disk_read(fd, 0, head, sizeof head)) {
        if (memcmp(head + VFAT_LABEL_AT, "HERACLIUS  FAT32", 16) == 0) return DISK_MEDIUM_BOOT;
        bool vfat = memcmp(head + VFAT_LABEL_AT, "HERACLIUS-C", 11) == 0 || memcmp(head + FAT16_LABEL_AT, "HERACLIUS-C", 11) == 0;
        if (vfat) return DISK_MEDIUM_VFAT;
    }
    bool iso = bytes >= ISO_AT + sizeof head && disk_read(fd, ISO_AT, head, sizeof head) && memcmp(head + 1, "CD001", 5) == 0;
    return iso && memcmp(head + ISO_LABEL_AT, "HERACLIUS-CFG ", 14) == 0 ? DISK_MEDIUM_ISO9660 : DISK_MEDIUM_NONE;
}

bool disk_blank(int fd, uint64_t bytes, bool *readable, uint64_t *at) {
    *readable = true;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* what lies between is not read */
    for (*at = 0; *at < bytes; *at += DISK_STRIDE_BYTES) {
        bool whole = *at < DISK_ENDS_BYTES || *at + DISK_STRIDE_BYTES + DISK_ENDS_BYTES > bytes;
        uint64_t count = whole ? DISK_STRIDE_BYTES : DISK_HEAD_BYTES;
        if (count > bytes - *at) count = bytes - *at;
        (void)posix_fadvise(fd, (off_t)(*at + (uint64_t)AHEAD * DISK_STRIDE_BYTES), DISK_HEAD_BYTES, POSIX_FADV_WILLNEED);
        if (!range_blank(fd, *at, count, readable)) return false;
    }
    return bytes > 0;
}
