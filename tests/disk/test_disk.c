/*
 * What a disk is taken for, and formatting one with the power cut at every point.
 *
 * pread(), pwrite() and fsync() of this program are below: what the code under test writes is recorded, with how often it had been made durable
 * before. A cut leaves everything that was durable and any sectors of 512 bytes of what was not.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance/disk/disk.h"
#include "tests/init/files.h"

enum { SECTOR = 512, MIB = 1 << 20, DISK_MIB = 16, WRITES_MAX = 64, WRITE_SECTORS = DISK_BLOCK_BYTES / SECTOR, CUTS_EACH = 24 };
static const uint64_t disk_size = (uint64_t)DISK_MIB * MIB;

static struct {
    bool on;
    int epoch;
    unsigned count;
    struct {
        int epoch;
        uint64_t at;
        size_t bytes;
        uint8_t content[DISK_BLOCK_BYTES];
    } writes[WRITES_MAX];
} record;

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    if (record.on) {
        assert_true(record.count < WRITES_MAX && count <= DISK_BLOCK_BYTES);
        record.writes[record.count].epoch = record.epoch;
        record.writes[record.count].at = (uint64_t)at;
        record.writes[record.count].bytes = count;
        memcpy(record.writes[record.count++].content, bytes, count);
    }
    return syscall(SYS_pwrite64, fd, bytes, count, at);
}

static size_t read_bytes;

ssize_t pread(int fd, void *out, size_t count, off_t at) {
    read_bytes += count;
    return syscall(SYS_pread64, fd, out, count, at);
}

int fsync(int fd) {
    record.epoch += record.on;
    return (int)syscall(SYS_fsync, fd);
}

/* The same each time: disks are compared. */
ssize_t getrandom(void *out, size_t count, unsigned flags) {
    (void)flags;
    memset(out, 7, count);
    return (ssize_t)count;
}

static uint64_t seed = 20261126;

static unsigned chance(unsigned below) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static int disk_new(const char *name, uint64_t bytes) {
    int fd = open(files_path(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    return fd;
}

static void put(int fd, uint64_t at, const void *bytes, size_t count) {
    assert_int_equal(pwrite(fd, bytes, count, (off_t)at), count);
}

static void super_put(int fd, const char *label) {
    char text[16] = "";
    memcpy(text, label, strlen(label));
    put(fd, 1024 + 56, "\x53\xEF", 2);
    put(fd, 1024 + 120, text, sizeof text);
}

/* A blocks file of `count` blocks: the first has magic and label, the others lie where mke2fs might put them. */
static const char *blocks_put(const char *name, unsigned count, size_t cut, void (*spoil)(uint8_t *)) {
    static const uint32_t numbers[] = {0, 1, 2, 9, 300, 301, 2000, 4095};
    static uint8_t file[12 + 8 * (4 + DISK_BLOCK_BYTES)];
    memcpy(file, "HRCEXT4\1", 8);
    for (int i = 0; i < 4; i++) file[8 + i] = (uint8_t)(count >> 8 * i);
    for (unsigned b = 0; b < count; b++) {
        uint8_t *entry = file + 12 + b * (4 + DISK_BLOCK_BYTES);
        for (int i = 0; i < 4; i++) entry[i] = (uint8_t)(numbers[b] >> 8 * i);
        for (unsigned i = 0; i < DISK_BLOCK_BYTES; i++) entry[4 + i] = (uint8_t)(b == 0 && i < 1024 ? 0 : 1 + (i * 7 + b * 31 + i / 512) % 250);
        if (b > 0) continue;
        memcpy(entry + 4 + 1024 + 56, "\x53\xEF", 2);
        memcpy(entry + 4 + 1024 + 120, "HERACLIUS-DATA\0", 16);
    }
    if (spoil) spoil(file);
    return files_put(name, file, 12 + count * (4 + DISK_BLOCK_BYTES) - cut);
}

static void a_disk_is_what_it_carries(void **unused) {
    (void)unused;
    int fd = disk_new("disk", disk_size);
    assert_int_equal(disk_look(fd, disk_size), DISK_SEEMS_BLANK);
    assert_int_equal(disk_look(fd, 2 * MIB - 1), DISK_OTHER); /* too small to be judged */
    super_put(fd, "HERACLIUS-DATA");
    assert_int_equal(disk_look(fd, disk_size), DISK_DATA);
    super_put(fd, "HERACLIUS-DATAX");
    assert_int_equal(disk_look(fd, disk_size), DISK_OTHER);
    super_put(fd, "heraclius-data");
    assert_int_equal(disk_look(fd, disk_size), DISK_OTHER);
    super_put(fd, "");
    assert_int_equal(disk_look(fd, disk_size), DISK_OTHER);
    (void)close(fd);
}

static void one_byte_anywhere_at_its_ends_makes_it_foreign(void **unused) {
    (void)unused;
    const uint64_t places[] = {
        0, 1, 510, 4095, 4096, MIB / 2, MIB - 1, disk_size - MIB, disk_size - 4097, disk_size - 1};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int fd = disk_new("disk", disk_size);
        put(fd, places[i], "\1", 1);
        assert_int_equal(disk_look(fd, disk_size), DISK_OTHER);
        (void)close(fd);
    }
}

static void of_a_disk_whose_head_is_not_blank_no_more_is_read(void **unused) {
    (void)unused;
    int fd = disk_new("disk", disk_size);
    put(fd, DISK_BLOCK_BYTES - 1, "x", 1);
    read_bytes = 0;
    assert_int_equal(disk_look(fd, disk_size), DISK_OTHER);
    assert_int_equal(read_bytes, 2 * DISK_BLOCK_BYTES);
    (void)close(fd);
}

static void a_disk_that_ends_early_cannot_be_read(void **unused) {
    (void)unused;
    int fd = disk_new("disk", disk_size / 2);
    assert_int_equal(disk_look(fd, disk_size), DISK_UNREADABLE);
    (void)close(fd);
    fd = disk_new("disk", 0);
    assert_int_equal(disk_look(fd, disk_size), DISK_UNREADABLE);
    (void)close(fd);
    fd = open(files_path("disk"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(disk_look(fd, disk_size), DISK_UNREADABLE);
    (void)close(fd);
}

static bool blank(int fd, uint64_t bytes, uint64_t wanted) {
    bool readable = false;
    uint64_t at = 0;
    bool is = disk_blank(fd, bytes, &readable, &at);
    assert_true(readable);
    if (!is) assert_int_equal(at, wanted);
    return is;
}

/* The partition table is gone, what was in the partitions is not: each kind's first byte that is not zero, from where it begins. */
static void what_begins_at_any_mib_is_seen(void **unused) {
    (void)unused;
    const uint64_t large = 300ull * MIB;
    const uint64_t heads[] = {
        0 /* XFS, LUKS, NTFS, FAT */, 510 /* MBR */, 512 /* GPT, LVM */, 1024 + 56 /* ext */, 4086 /* swap */, 4096 /* md, bcache */,
        8192 + 1372 /* UFS1 */, 16384 /* ZFS, LUKS2 */, 32769 /* ISO 9660 */, 32768 /* JFS */, 65536 + 64 /* Btrfs */, 65536 + 1372 /* UFS2 */};
    const uint64_t begins[] = {16, 101, 283};
    for (size_t b = 0; b < sizeof begins / sizeof *begins; b++) {
        for (size_t h = 0; h < sizeof heads / sizeof *heads; h++) {
            int fd = disk_new("large", large);
            put(fd, begins[b] * MIB + heads[h], "\1", 1);
            assert_int_equal(disk_look(fd, large), DISK_SEEMS_BLANK);
            assert_false(blank(fd, large, begins[b] * MIB));
            (void)close(fd);
        }
    }
}

static void the_ends_are_read_wholly_and_between_them_the_heads(void **unused) {
    (void)unused;
    const uint64_t large = 300ull * MIB + 512;
    const uint64_t seen[] = {0, 1, MIB - 1, 8ull * MIB + 70000, 16ull * MIB - 1, large - 1, large - 512, large - 8ull * MIB - 3};
    for (size_t i = 0; i < sizeof seen / sizeof *seen; i++) {
        int fd = disk_new("large", large);
        put(fd, seen[i], "\x80", 1);
        assert_false(blank(fd, large, seen[i] - seen[i] % MIB));
        (void)close(fd);
    }
    int fd = disk_new("large", large);
    assert_true(blank(fd, large, 0));
    put(fd, 100ull * MIB + DISK_HEAD_BYTES, "\1", 1); /* nothing begins here */
    assert_true(blank(fd, large, 0));
    bool readable;
    uint64_t at;
    assert_false(disk_blank(fd, large + MIB, &readable, &at)); /* it ends early */
    assert_false(readable);
    assert_false(disk_blank(fd, 0, &readable, &at));
    (void)close(fd);
}

static void what_is_not_blank_is_not_formatted(void **unused) {
    (void)unused;
    char before[4096], after[4096];
    int fd = disk_new("disk", disk_size);
    put(fd, 100, "x", 1);
    assert_int_equal(pread(fd, before, sizeof before, 0), sizeof before);
    assert_string_equal(disk_format(fd, disk_size, blocks_put("blocks-not", 8, 0, NULL)), "it is not blank");
    assert_int_equal(pread(fd, after, sizeof after, 0), sizeof after);
    assert_memory_equal(before, after, sizeof before);
    (void)close(fd);
}

static void a_medium_is_known_by_its_label(void **unused) {
    (void)unused;
    static const struct {
        uint64_t at;
        const char *label;
        enum disk_medium medium;
    } media[] = {{71, "HERACLIUS  FAT32", DISK_MEDIUM_BOOT}, {71, "HERACLIUS-CFAT32", DISK_MEDIUM_VFAT}, {43, "HERACLIUS-C", DISK_MEDIUM_VFAT},
                 {71, "HERACLIUS-DFAT32", DISK_MEDIUM_NONE}, {44, "HERACLIUS-C", DISK_MEDIUM_NONE}, {32768 + 40, "HERACLIUS-CFG ", DISK_MEDIUM_NONE}};
    for (size_t i = 0; i < sizeof media / sizeof *media; i++) {
        int fd = disk_new("medium", MIB);
        put(fd, media[i].at, media[i].label, strlen(media[i].label));
        assert_int_equal(disk_medium_look(fd, MIB), media[i].medium);
        (void)close(fd);
    }
    int fd = disk_new("medium", MIB);
    put(fd, 32769, "CD001", 5);
    put(fd, 32768 + 40, "HERACLIUS-CFGX", 14);
    assert_int_equal(disk_medium_look(fd, MIB), DISK_MEDIUM_NONE);
    put(fd, 32768 + 40, "HERACLIUS-CFG ", 14);
    assert_int_equal(disk_medium_look(fd, MIB), DISK_MEDIUM_ISO9660);
    assert_int_equal(disk_medium_look(fd, 4096), DISK_MEDIUM_NONE);
    (void)close(fd);
}

static void our_mark_means_begin_anew_with_or_without_our_file_system(void **unused) {
    (void)unused;
    int fd = disk_new("disk", disk_size);
    put(fd, 0, DISK_BEGUN, sizeof DISK_BEGUN - 1);
    put(fd, 5 * MIB, "x", 1);
    assert_int_equal(disk_look(fd, disk_size), DISK_BEGAN);
    super_put(fd, "HERACLIUS-DATA"); /* mounted perhaps, growing perhaps, never used */
    assert_int_equal(disk_look(fd, disk_size), DISK_BEGAN);
    assert_null(disk_format_end(fd));
    assert_int_equal(disk_look(fd, disk_size), DISK_DATA);
    (void)close(fd);
}

static void anothers_file_system_above_our_mark_is_left_alone(void **unused) {
    (void)unused;
    int fd = disk_new("disk", disk_size);
    put(fd, 0, DISK_BEGUN, sizeof DISK_BEGUN - 1);
    super_put(fd, "OTHER");
    assert_int_equal(disk_look(fd, disk_size), DISK_OTHER);
    (void)close(fd);
}

static void what_is_not_quite_our_mark_is_none(void **unused) {
    (void)unused;
    int fd = disk_new("disk", disk_size);
    put(fd, 0, DISK_BEGUN, sizeof DISK_BEGUN - 2);
    assert_int_equal(disk_look(fd, disk_size), DISK_OTHER);
    super_put(fd, "HERACLIUS-DATA");
    assert_int_equal(disk_look(fd, disk_size), DISK_DATA);
    (void)close(fd);
}

static void the_mark_of_a_disk_that_cannot_be_written_is_not_said_to_be_cleared(void **unused) {
    (void)unused;
    (void)close(disk_new("disk", disk_size));
    int fd = open(files_path("disk"), O_RDONLY | O_CLOEXEC);
    assert_non_null(disk_format_end(fd));
    (void)close(fd);
}

static void spoil_magic(uint8_t *file) {
    file[3]++;
}
static void spoil_first(uint8_t *file) {
    file[12] = 5;
}
static void spoil_zeros(uint8_t *file) {
    file[12 + 4 + 100] = 1;
}
static void spoil_second(uint8_t *file) {
    memset(file + 12 + 4 + DISK_BLOCK_BYTES, 0, 4);
}
static void spoil_far(uint8_t *file) {
    memset(file + 12 + 4 + DISK_BLOCK_BYTES, 0xFF, 4);
}
static void spoil_count(uint8_t *file) {
    file[10] = 0xFF;
}

static void a_damaged_image_formats_nothing_that_is_taken_for_whole(void **unused) {
    (void)unused;
    const char *const bad[] = {
        blocks_put("b0", 8, 0, spoil_magic),  blocks_put("b1", 8, 0, spoil_first), blocks_put("b2", 8, 0, spoil_zeros),
        blocks_put("b3", 8, 0, spoil_second), blocks_put("b4", 8, 0, spoil_far),   blocks_put("b5", 8, 0, spoil_count),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = disk_new("disk", disk_size);
        assert_non_null(disk_format(fd, disk_size, bad[i]));
        assert_int_equal(disk_look(fd, disk_size), DISK_BEGAN);
        (void)close(fd);
    }
    for (size_t cut = 1; cut < 12 + 8 * (4 + DISK_BLOCK_BYTES); cut += 997) {
        int fd = disk_new("disk", disk_size);
        assert_non_null(disk_format(fd, disk_size, blocks_put("cut", 8, cut, NULL)));
        assert_int_equal(disk_look(fd, disk_size), DISK_BEGAN);
        (void)close(fd);
    }
    int fd = disk_new("disk", 8 * MIB);
    assert_non_null(disk_format(fd, 8 * MIB, blocks_put("whole", 8, 0, NULL))); /* its last block lies beyond */
    assert_int_equal(disk_look(fd, 8 * MIB), DISK_BEGAN);
    assert_non_null(disk_format(fd, 8 * MIB, files_path("no-blocks")));
    (void)close(fd);
}

/* The disk after a cut in front of write `count`: durable writes, and by chance sectors of the others. */
static void cut_make(int fd, unsigned count, int epoch) {
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(ftruncate(fd, (off_t)disk_size), 0);
    unsigned mood = chance(4); /* all, none, or some sectors */
    for (unsigned w = 0; w < count; w++) {
        bool durable = record.writes[w].epoch < epoch;
        uint64_t from = record.writes[w].at / SECTOR, to = (record.writes[w].at + record.writes[w].bytes + SECTOR - 1) / SECTOR;
        for (uint64_t s = from; s < to; s++) {
            if (!durable && (mood == 0 || (mood > 1 && chance(2)))) continue;
            uint64_t begin = s * SECTOR < record.writes[w].at ? record.writes[w].at : s * SECTOR;
            uint64_t end =
                (s + 1) * SECTOR < record.writes[w].at + record.writes[w].bytes ? (s + 1) * SECTOR : record.writes[w].at + record.writes[w].bytes;
            put(fd, begin, record.writes[w].content + (begin - record.writes[w].at), end - begin);
        }
    }
}

static bool equal_from(int a, int b, uint64_t from) {
    static uint8_t one[65536], two[65536];
    for (uint64_t at = 0; at < disk_size; at += sizeof one) {
        assert_int_equal(pread(a, one, sizeof one, (off_t)at), sizeof one);
        assert_int_equal(pread(b, two, sizeof two, (off_t)at), sizeof two);
        uint64_t skip = at == 0 ? from : 0;
        if (memcmp(one + skip, two + skip, sizeof one - skip) != 0) return false;
    }
    return true;
}

static void a_cut_at_any_point_leaves_a_disk_to_begin_anew_or_a_whole_one(void **unused) {
    (void)unused;
    char blocks[256];
    (void)snprintf(blocks, sizeof blocks, "%s", blocks_put("blocks", 8, 0, NULL));
    int whole = disk_new("whole-disk", disk_size), fd = disk_new("cut-disk", disk_size);
    unsigned begun = 0, data = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    record.on = true;
    assert_null(disk_format(whole, disk_size, blocks));
    assert_int_equal(disk_look(whole, disk_size), DISK_BEGAN);
    assert_null(disk_format_end(whole));
    record.on = false;
    assert_int_equal(disk_look(whole, disk_size), DISK_DATA);
    assert_true(record.count == 1 + 8 + 1 && record.epoch == 4);
    for (unsigned count = 0; count <= record.count; count++) {
        int epoch = count == record.count ? record.epoch : record.writes[count].epoch;
        bool at_barrier = count > 0 && record.writes[count - 1].epoch < epoch; /* it may not have come to its end */
        for (unsigned turn = 0; turn < CUTS_EACH; turn++) {
            cut_make(fd, count, epoch - (at_barrier && chance(2)));
            enum disk_kind kind = disk_look(fd, disk_size);
            if (kind == DISK_DATA) {
                assert_true(equal_from(fd, whole, 0));
                data++;
                continue;
            }
            assert_true(kind == DISK_SEEMS_BLANK || kind == DISK_BEGAN);
            begun++;
            assert_null(disk_format(fd, disk_size, blocks));
            assert_null(disk_format_end(fd));
            assert_int_equal(disk_look(fd, disk_size), DISK_DATA);
            assert_true(equal_from(fd, whole, 0));
        }
    }
    assert_true(begun > 200 && data > 10);
    (void)close(whole);
    (void)close(fd);
}

static int program(const char *const *words) {
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int nothing = open("/dev/null", O_RDWR);
        (void)dup2(nothing, 1);
        (void)dup2(nothing, 2);
        (void)execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static uint32_t blocks_pick(int from, const char *path) {
    static const uint8_t zero[DISK_BLOCK_BYTES];
    uint8_t block[DISK_BLOCK_BYTES];
    uint32_t count = 0;
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite("HRCEXT4\1\0\0\0\0", 12, 1, out), 1);
    for (uint32_t number = 0; number < disk_size / DISK_BLOCK_BYTES; number++) {
        assert_int_equal(pread(from, block, sizeof block, (off_t)number * DISK_BLOCK_BYTES), sizeof block);
        if (memcmp(block, zero, sizeof block) == 0) continue;
        assert_true(fwrite(&number, 4, 1, out) == 1 && fwrite(block, sizeof block, 1, out) == 1);
        count++;
    }
    assert_true(fseek(out, 8, SEEK_SET) == 0 && fwrite(&count, 4, 1, out) == 1 && fclose(out) == 0);
    return count;
}

/* mke2fs's own blocks, as image/steps/disk.py picks them, on a disk that was cut off once. */
static void what_mke2fs_made_is_clean_after_a_cut_and_a_new_beginning(void **unused) {
    (void)unused;
    char made[256], blocks[256];
    (void)snprintf(made, sizeof made, "%s", files_path("made"));
    (void)snprintf(blocks, sizeof blocks, "%s", files_path("made-blocks"));
    (void)setenv("PATH", "/usr/sbin:/sbin:/usr/bin:/bin", 1);
    (void)close(disk_new("made", disk_size));
    const char *const make[] = {
        "mke2fs", "-q",       "-t", "ext4", "-b", "4096",   "-O", "64bit,meta_bg,^resize_inode,metadata_csum,metadata_csum_seed",
        "-L",     DISK_LABEL, "-m", "0",    "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard",
        made,     NULL};
    int result = program(make);
    if (result == 127) {
        print_message("mke2fs is not here\n");
        skip();
    }
    assert_int_equal(result, 0);
    int from = open(made, O_RDONLY | O_CLOEXEC), fd = disk_new("made-disk", disk_size);
    assert_true(from >= 0);
    uint32_t count = blocks_pick(from, blocks);
    assert_int_equal(truncate(blocks, (off_t)12 + (off_t)(count / 2) * (4 + DISK_BLOCK_BYTES)), 0);
    assert_non_null(disk_format(fd, disk_size, blocks));
    assert_int_equal(disk_look(fd, disk_size), DISK_BEGAN);
    (void)blocks_pick(from, blocks);
    assert_null(disk_format(fd, disk_size, blocks));
    assert_null(disk_format_end(fd));
    assert_int_equal(disk_look(fd, disk_size), DISK_DATA);
    (void)close(from);
    uint8_t uuid[16];
    assert_int_equal(pread(fd, uuid, sizeof uuid, 1024 + 104), sizeof uuid);
    assert_memory_equal(uuid, "\7\7\7\7\7\7\x47\7\x87\7\7\7\7\7\7\7", sizeof uuid);
    (void)close(fd);
    char disk[256];
    (void)snprintf(disk, sizeof disk, "%s", files_path("made-disk"));
    const char *const check[] = {"e2fsck", "-f", "-n", disk, NULL};
    assert_int_equal(program(check), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_is_what_it_carries),
        cmocka_unit_test(one_byte_anywhere_at_its_ends_makes_it_foreign),
        cmocka_unit_test(of_a_disk_whose_head_is_not_blank_no_more_is_read),
        cmocka_unit_test(a_disk_that_ends_early_cannot_be_read),
        cmocka_unit_test(what_begins_at_any_mib_is_seen),
        cmocka_unit_test(the_ends_are_read_wholly_and_between_them_the_heads),
        cmocka_unit_test(what_is_not_blank_is_not_formatted),
        cmocka_unit_test(a_medium_is_known_by_its_label),
        cmocka_unit_test(our_mark_means_begin_anew_with_or_without_our_file_system),
        cmocka_unit_test(anothers_file_system_above_our_mark_is_left_alone),
        cmocka_unit_test(what_is_not_quite_our_mark_is_none),
        cmocka_unit_test(the_mark_of_a_disk_that_cannot_be_written_is_not_said_to_be_cleared),
        cmocka_unit_test(a_damaged_image_formats_nothing_that_is_taken_for_whole),
        cmocka_unit_test(a_cut_at_any_point_leaves_a_disk_to_begin_anew_or_a_whole_one),
        cmocka_unit_test(what_mke2fs_made_is_clean_after_a_cut_and_a_new_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
