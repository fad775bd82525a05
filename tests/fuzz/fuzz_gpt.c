/*
 * The partition table of a disk that anybody may have made, where heraclius-disk looks for a partition's GUID.
 *
 *   byte 0    bits 0-1: the disk's sectors, 512 to 4096 bytes; bit 2: both checks are made right, as a stranger can; bits 3-7: the partition's number
 *   byte 1-8  the first sector and the count of sectors (u32 each) that the kernel has it at
 *   rest      the disk from its second sector on; what is behind is not there
 *
 * Nothing outside is read. Where there is a GUID it is 36 characters of that form, of an entry that is where the kernel has the partition.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "appliance/disk/disk.h"
#include "merkle/check.h"

enum { ASKED_BYTES = 9, DISK_MAX = 256 << 10, CHECKED_MAX = 128 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t number(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void crc_put(uint8_t *to, const uint8_t *bytes, size_t count) {
    uint32_t sum = UINT32_MAX;
    for (size_t i = 0; i < 8 * count; i++) {
        uint32_t odd = (sum ^ bytes[i / 8] >> i % 8) & 1;
        sum = sum >> 1 ^ odd * 0xEDB88320u;
    }
    for (unsigned i = 0; i < 4; i++) to[i] = (uint8_t)(~sum >> 8 * i);
}

/* Where the head says that they are, as far as they are on the disk. */
static void checks_put(uint8_t *disk, size_t bytes, size_t sector) {
    uint8_t *head = disk + sector;
    if (bytes < 2 * sector) return;
    uint64_t at = (number(head + 72) | (uint64_t)number(head + 76) << 32) % (DISK_MAX / sector) * sector;
    uint64_t count = (uint64_t)number(head + 80) * number(head + 84), head_bytes = number(head + 12);
    if (at + count <= bytes && count <= CHECKED_MAX) crc_put(head + 88, disk + at, count);
    memset(head + 16, 0, 4);
    if (head_bytes <= sector) crc_put(head + 16, head, head_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t disk[DISK_MAX];
    char guid[DISK_GUID_BYTES];
    if (size < ASKED_BYTES) return 0;
    const size_t sector = 512u << (data[0] & 3), bytes = sector + size - ASKED_BYTES;
    if (bytes > sizeof disk) return 0;
    memset(disk, 0, sector);
    memcpy(disk + sector, data + ASKED_BYTES, size - ASKED_BYTES);
    if (data[0] & 4) checks_put(disk, bytes, sector);
    const struct disk_part part = {
        .number = data[0] >> 3, .at = (uint64_t)number(data + 1) * sector, .bytes = (uint64_t)number(data + 5) * sector, .sector_bytes = sector};
    int fd = memfd_create("disk", MFD_CLOEXEC);
    CHECK(fd >= 0 && write(fd, disk, bytes) == (ssize_t)bytes);
    bool good = disk_guid(fd, &part, guid);
    (void)close(fd);
    CHECK(good || guid[0] == '\0');
    if (!good) return 0;
    CHECK(strlen(guid) == DISK_GUID_BYTES - 1 && strspn(guid, "0123456789ABCDEF-") == DISK_GUID_BYTES - 1);
    CHECK(guid[8] == '-' && guid[13] == '-' && guid[18] == '-' && guid[23] == '-');
    CHECK(part.number >= 1 && part.bytes > 0);
    return 0;
}
