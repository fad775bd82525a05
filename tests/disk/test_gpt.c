/*
 * The GUID of a partition in a partition table: one that is good, what changes it by a byte, and what nobody should have written. Tables are made
 * here, by the offsets of disk.h and a CRC of the test's own.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance/disk/disk.h"
#include "tests/init/files.h"

enum { TABLE_BYTES = 64 << 10, HEAD_BYTES = 92, ENTRY_BYTES = 128, COUNT = 128, FIRST = 2048, LAST = 4095, NUMBER = 3 };

#define GUID "03020100-0504-0706-0809-0A0B0C0D0E0F"

static struct table {
    uint8_t bytes[TABLE_BYTES];
    unsigned sector;
} table;

/* By a table of remainders; the program's goes bit by bit. */
static uint32_t crc(const uint8_t *bytes, size_t count) {
    uint32_t rest[256], sum = 0xFFFFFFFFu;
    for (uint32_t i = 0; i < 256; i++) {
        rest[i] = i;
        for (int bit = 0; bit < 8; bit++) rest[i] = rest[i] % 2 ? 0xEDB88320u ^ rest[i] / 2 : rest[i] / 2;
    }
    while (count-- > 0) sum = rest[(sum ^ *bytes++) % 256] ^ sum / 256;
    return sum ^ 0xFFFFFFFFu;
}

static void put(size_t at, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++, value = i < sizeof value ? value >> 8 : 0) table.bytes[at + i] = (uint8_t)value;
}

static uint8_t *head(void) {
    return table.bytes + table.sector;
}

/* The head's own check, of so many bytes. */
static void seal(size_t bytes) {
    put(table.sector + 16, 0, 4);
    put(table.sector + 16, crc(head(), bytes), 4);
}

static void make(unsigned sector) {
    memset(&table, 0, sizeof table);
    table.sector = sector;
    const size_t entry = 2 * (size_t)sector + (NUMBER - 1) * ENTRY_BYTES;
    put(entry, 1, 16);
    for (unsigned i = 0; i < 16; i++) table.bytes[entry + 16 + i] = (uint8_t)i;
    put(entry + 32, FIRST, 8);
    put(entry + 40, LAST, 8);
    memcpy(head(), "EFI PART\0\0\1", 12);
    put(sector + 12, HEAD_BYTES, 4);
    put(sector + 24, 1, 8);
    put(sector + 72, 2, 8);
    put(sector + 80, COUNT, 4);
    put(sector + 84, ENTRY_BYTES, 4);
    put(sector + 88, crc(table.bytes + 2 * sector, COUNT * ENTRY_BYTES), 4);
    seal(HEAD_BYTES);
}

static struct disk_part part(void) {
    const uint64_t sector = table.sector;
    return (struct disk_part){.number = NUMBER, .at = FIRST * sector, .bytes = (LAST + 1 - FIRST) * sector, .sector_bytes = sector};
}

static const char *asked(struct disk_part of) {
    static char guid[DISK_GUID_BYTES];
    int fd = open(files_put("table", table.bytes, sizeof table.bytes), O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    bool good = disk_guid(fd, &of, guid);
    (void)close(fd);
    assert_int_equal(good, guid[0] != '\0');
    return guid;
}

static void a_partition_has_the_guid_of_its_entry(void **unused) {
    (void)unused;
    assert_int_equal(crc((const uint8_t *)"123456789", 9), 0xCBF43926u); /* the check value that this CRC is known by */
    for (unsigned sector = 512; sector <= 4096; sector *= 2) {
        make(sector);
        assert_string_equal(asked(part()), GUID);
    }
}

static void one_that_the_kernel_has_elsewhere_has_none(void **unused) {
    (void)unused;
    make(512);
    struct disk_part of = part();
    for (unsigned i = 0; i < 4; i++) {
        for (int by = -1; by <= 1; by += 2) {
            struct disk_part other = of;
            uint64_t *const numbers[] = {&other.number, &other.at, &other.bytes, &other.sector_bytes};
            *numbers[i] += (uint64_t)by;
            assert_string_equal(asked(other), "");
        }
    }
    of.number = 0;
    assert_string_equal(asked(of), "");
    of = part();
    of.sector_bytes = 0;
    assert_string_equal(asked(of), "");
    of.sector_bytes = 8192;
    assert_string_equal(asked(of), "");
}

/* All of the head and of the entries is under a check. */
static void a_byte_that_was_changed_is_seen(void **unused) {
    (void)unused;
    make(512);
    for (size_t at = 512; at < 1024 + COUNT * ENTRY_BYTES; at += at < 2048 ? 1 : 61) {
        if (at >= 512 + HEAD_BYTES && at < 1024) continue;
        table.bytes[at] ^= 0x20;
        assert_string_equal(asked(part()), "");
        table.bytes[at] ^= 0x20;
    }
    assert_string_equal(asked(part()), GUID);
}

/* With a check that is right: a stranger can compute one. */
static void what_nobody_should_have_written_is_refused(void **unused) {
    (void)unused;
    const struct {
        unsigned at, bytes;
        uint64_t value;
    } cases[] = {
        {12, 4, 0}, {12, 4, HEAD_BYTES - 1}, {12, 4, 513}, {12, 4, UINT32_MAX},           /* bytes of the head */
        {24, 8, 0}, {24, 8, 2}, {24, 8, UINT64_MAX},                                      /* its own sector */
        {72, 8, 0}, {72, 8, 3}, {72, 8, 1 << 20}, {72, 8, INT64_MAX}, {72, 8, UINT64_MAX}, /* where entries are */
        {80, 4, 0}, {80, 4, NUMBER - 1}, {80, 4, COUNT + 1}, {80, 4, UINT32_MAX},         /* how many */
        {84, 4, 0}, {84, 4, 1}, {84, 4, 127}, {84, 4, 256}, {84, 4, UINT32_MAX},          /* of how many bytes */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make(512);
        put(512 + cases[i].at, cases[i].value, cases[i].bytes);
        seal(cases[i].at == 12 && cases[i].value < TABLE_BYTES ? (size_t)cases[i].value : HEAD_BYTES);
        if (asked(part())[0]) fail_msg("case %zu is taken", i);
    }
    make(512); /* the last sector of the partition before its first, and sums that wrap around */
    for (unsigned i = 0; i < 3; i++) {
        const uint64_t lasts[] = {FIRST - 1, UINT64_MAX, INT64_MAX / 512};
        put(1024 + (NUMBER - 1) * ENTRY_BYTES + 40, lasts[i], 8);
        put(512 + 88, crc(table.bytes + 1024, COUNT * ENTRY_BYTES), 4);
        seal(HEAD_BYTES);
        struct disk_part of = part();
        of.bytes = (lasts[i] - FIRST + 1) * 512;
        assert_string_equal(asked(of), "");
    }
}

/* ---- by its name, as /sys and /dev have it ---- */

static void a_look_says_it_of_a_boot_partition(void **unused) {
    (void)unused;
    static uint8_t boot[4096];
    char said[256], root[256], link[256];
    (void)snprintf(root, sizeof root, "%s", files_path("root"));
    make(512);
    (void)files_put("root/dev/sda", table.bytes, sizeof table.bytes);
    memcpy(boot + 71, "HERACLIUS  FAT32", 16);
    (void)files_put("root/dev/sda3", boot, sizeof boot);
    (void)files_text("root/sys/devices/sda/queue/logical_block_size", "512\n");
    (void)files_text("root/sys/devices/sda/sda3/partition", "3\n");
    (void)files_text("root/sys/devices/sda/sda3/start", "2048\n");
    (void)files_text("root/sys/devices/sda/sda3/size", "2048\n");
    (void)files_text("root/sys/class/block/made", "");
    for (unsigned i = 0; i < 2; i++) {
        (void)snprintf(link, sizeof link, "%s", files_path(i ? "root/sys/class/block/sda3" : "root/sys/class/block/sda"));
        assert_int_equal(symlink(i ? "../../devices/sda/sda3" : "../../devices/sda", link), 0);
    }
    disk_look_named(root, "sda3", said, sizeof said);
    assert_string_equal(said, "other 4096 boot part " GUID "\n");
    (void)files_text("root/sys/devices/sda/sda3/size", "2047\n");
    disk_look_named(root, "sda3", said, sizeof said);
    assert_string_equal(said, "other 4096 boot part -\n");
    (void)files_text("root/sys/devices/sda/sda3/size", "99999999999999999999\n");
    disk_look_named(root, "sda3", said, sizeof said);
    assert_string_equal(said, "other 4096 boot part -\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_partition_has_the_guid_of_its_entry),
        cmocka_unit_test(one_that_the_kernel_has_elsewhere_has_none),
        cmocka_unit_test(a_byte_that_was_changed_is_seen),
        cmocka_unit_test(what_nobody_should_have_written_is_refused),
        cmocka_unit_test(a_look_says_it_of_a_boot_partition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
