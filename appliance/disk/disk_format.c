#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "appliance/disk/disk.h"

#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

enum { SECTOR_BYTES = 512, SUPER_AT = 1024, JOURNAL_NUMBER_AT = 24 };
enum { MAGIC_AT = 56, UUID_AT = 104, UUID_BYTES = 16, LABEL_AT = 120, CHECKSUM_AT = 1020 }; /* of a superblock */

static bool zeros(const uint8_t *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i]) return false;
    }
    return true;
}

static bool write_at(int fd, uint64_t at, const uint8_t *bytes, size_t count) {
    while (count > 0) {
        ssize_t done = pwrite(fd, bytes, count, (off_t)at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        bytes += done;
        at += (uint64_t)done;
        count -= (size_t)done;
    }
    return true;
}

static uint32_t u32_at(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* What another file system left where the journal is has other numbers: none of it is played back as if it were of this one. */
static bool journal_number(uint8_t super[DISK_BLOCK_BYTES]) {
    return getrandom(super + JOURNAL_NUMBER_AT, 4, GRND_INSECURE) == 4;
}

/* Each superblock's: a group or other has a copy. What else is checked in this file system does not hang on its UUID (metadata_csum_seed). */
static void uuid_put(uint8_t *super, const uint8_t uuid[UUID_BYTES]) {
    if (super[MAGIC_AT] != 0x53 || super[MAGIC_AT + 1] != 0xEF || memcmp(super + LABEL_AT, DISK_LABEL "\0", sizeof DISK_LABEL) != 0) return;
    (void)memcpy(super + UUID_AT, uuid, UUID_BYTES);
    uint32_t sum = UINT32_MAX; /* CRC32C, as ext4 has it */
    for (size_t i = 0; i < CHECKSUM_AT; i++) {
        sum ^= super[i];
        for (int bit = 0; bit < 8; bit++) sum = sum >> 1 ^ (sum & 1 ? 0x82F63B78 : 0);
    }
    for (int i = 0; i < 4; i++) super[CHECKSUM_AT + i] = (uint8_t)(sum >> 8 * i);
}

static const char *blocks_write(int from, int fd, uint64_t bytes) {
    uint8_t head[12], entry[4 + DISK_BLOCK_BYTES], uuid[UUID_BYTES];
    if (getrandom(uuid, sizeof uuid, GRND_INSECURE) != sizeof uuid) return "no random numbers";
    uuid[6] = (uint8_t)((uuid[6] & 0x0F) | 0x40); /* RFC 4122: by chance */
    uuid[8] = (uint8_t)((uuid[8] & 0x3F) | 0x80);
    if (!disk_read(from, 0, head, sizeof head) || memcmp(head, "HRCEXT4\1", 8) != 0) return "the image's file system is damaged";
    uint32_t count = u32_at(head + 8);
    if (count < 2 || count > DISK_BLOCKS_MAX) return "the image's file system is damaged";
    for (uint32_t i = 0; i < count; i++) {
        if (!disk_read(from, sizeof head + (uint64_t)i * sizeof entry, entry, sizeof entry)) return "the image's file system is cut off";
        uint64_t at = (uint64_t)u32_at(entry) * DISK_BLOCK_BYTES;
        if (at + DISK_BLOCK_BYTES > bytes) return "the disk is smaller than the smallest file system";
        if ((i == 0) != (at == 0) || (i == 0 && !zeros(entry + 4, SUPER_AT))) return "the image's file system is damaged";
        uuid_put(entry + 4 + (i == 0 ? SUPER_AT : 0), uuid);
        if (i == 0) (void)memcpy(entry + 4, DISK_BEGUN, sizeof DISK_BEGUN - 1);
        if (memcmp(entry + 4, "\xC0\x3B\x39\x98\0\0\0\4", 8) == 0 && !journal_number(entry + 4)) return "no random numbers";
        if (!write_at(fd, at, entry + 4, DISK_BLOCK_BYTES)) return strerror(errno);
    }
    return fsync(fd) == 0 ? NULL : strerror(errno);
}

const char *disk_format(int fd, uint64_t bytes, const char *blocks_path) {
    enum disk_kind kind = disk_look(fd, bytes);
    if (kind != DISK_SEEMS_BLANK && kind != DISK_BEGAN) return "it is not blank";
    int from = open(blocks_path, O_RDONLY | O_CLOEXEC);
    if (from < 0) return "the image has no file system for a blank disk";
    const char *fault = NULL;
    if (!write_at(fd, 0, (const uint8_t *)DISK_BEGUN, sizeof DISK_BEGUN - 1) || fsync(fd) < 0) fault = strerror(errno);
    if (!fault) fault = blocks_write(from, fd, bytes);
    (void)close(from);
    return fault;
}

const char *disk_format_end(int fd) {
    static const uint8_t sector[SECTOR_BYTES];
    return fsync(fd) == 0 && write_at(fd, 0, sector, sizeof sector) && fsync(fd) == 0 ? NULL : strerror(errno);
}

const char *disk_grow(int folder, uint64_t bytes, bool *grown) {
    struct statfs status;
    uint64_t blocks = bytes / DISK_BLOCK_BYTES, before;
    *grown = false;
    if (fstatfs(folder, &status) < 0) return strerror(errno);
    before = (uint64_t)status.f_blocks;
    /* The kernel does nothing if it has that size; the count leaves its own blocks out, and tells by no more than that whether there are more now. */
    int fault = ioctl(folder, EXT4_IOC_RESIZE_FS, &blocks) < 0 ? errno : 0;
    /* One with errors it refuses in any case: there is something to say if an eighth of it or more could have been gained. */
    if (fault) return before + before / 8 < blocks ? strerror(fault) : NULL;
    if (fstatfs(folder, &status) < 0) return strerror(errno);
    *grown = (uint64_t)status.f_blocks != before;
    return NULL;
}
