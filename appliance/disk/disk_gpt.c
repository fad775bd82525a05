/* The GUID of a partition, by the GUID partition table at the head of its disk (disk.h). What is read there may be a stranger's. */
#include <string.h>

#include "appliance/disk/disk.h"

enum { HEAD_BYTES_MIN = 92, SECTOR_BYTES_MIN = 512, ENTRY_BYTES_MIN = 128, ENTRY_BYTES_MAX = 4096, ENTRIES_BYTES_MAX = 128 << 10 };
enum { HEAD_SIZE_AT = 12, HEAD_CHECK_AT = 16, OWN_AT = 24, ENTRIES_AT = 72, COUNT_AT = 80, ENTRY_SIZE_AT = 84, ENTRIES_CHECK_AT = 88 };
enum { GUID_AT = 16, FIRST_AT = 32, LAST_AT = 40 };

static uint64_t number_at(const uint8_t *bytes, unsigned count) {
    uint64_t number = 0;
    while (count-- > 0) number = number << 8 | bytes[count];
    return number;
}

/* CRC-32 of IEEE 802.3, bit by bit: a few KiB once. */
static uint32_t check_of(const uint8_t *bytes, size_t count) {
    uint32_t check = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        check ^= bytes[i];
        for (unsigned bit = 0; bit < 8; bit++) check = check >> 1 ^ (check & 1 ? 0xEDB88320u : 0);
    }
    return ~check;
}

/* In the order in which it is written: the first three numbers have their lowest byte first. */
static void guid_print(const uint8_t guid[16], char out[DISK_GUID_BYTES]) {
    static const uint8_t order[] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < sizeof order; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *out++ = '-';
        *out++ = digits[guid[order[i]] >> 4];
        *out++ = digits[guid[order[i]] & 15];
    }
    *out = '\0';
}

bool disk_guid(int fd, const struct disk_part *part, char out[DISK_GUID_BYTES]) {
    static uint8_t head[DISK_BLOCK_BYTES], entries[ENTRIES_BYTES_MAX];
    const uint64_t sector = part->sector_bytes;
    out[0] = '\0';
    if (sector < SECTOR_BYTES_MIN || sector > sizeof head || !disk_read(fd, sector, head, sector) || memcmp(head, "EFI PART", 8) != 0) return false;
    uint64_t head_bytes = number_at(head + HEAD_SIZE_AT, 4), check = number_at(head + HEAD_CHECK_AT, 4), at = number_at(head + ENTRIES_AT, 8);
    uint64_t count = number_at(head + COUNT_AT, 4), bytes = number_at(head + ENTRY_SIZE_AT, 4);
    memset(head + HEAD_CHECK_AT, 0, 4);
    if (head_bytes < HEAD_BYTES_MIN || head_bytes > sector || check_of(head, head_bytes) != check || number_at(head + OWN_AT, 8) != 1) return false;
    if (bytes < ENTRY_BYTES_MIN || bytes > ENTRY_BYTES_MAX || count * bytes > sizeof entries || at > INT64_MAX / sector - 1) return false;
    if (part->number < 1 || part->number > count || !disk_read(fd, at * sector, entries, count * bytes)) return false;
    const uint8_t *entry = entries + (part->number - 1) * bytes;
    uint64_t first = number_at(entry + FIRST_AT, 8), last = number_at(entry + LAST_AT, 8);
    bool is_it = check_of(entries, count * bytes) == number_at(head + ENTRIES_CHECK_AT, 4) && last >= first && last < INT64_MAX / sector;
    /* The kernel goes by something else (an MBR, say, or a table that was changed since) if it has the partition elsewhere. */
    is_it = is_it && first * sector == part->at && (last - first + 1) * sector == part->bytes;
    if (is_it) guid_print(entry + GUID_AT, out);
    return is_it;
}
