/*
 * Which disk is to be the data disk, and what is heard of devices that answer, answer something else, or do not answer. This program is what "look"
 * is (main()): what it says, the device's name says.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "appliance/disk/disk.h"
#include "ring/clock.h"
#include "tests/init/files.h"

enum { MIB = 1 << 20, FASTER = 10 };

/* The survey's clock: so many times faster, for those that do not answer. */
uint64_t ring_clock_ms(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return 1 + FASTER * ((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

#define ONE(name, kind, medium, whole) {name, kind, medium, 1000, whole, ""}
#define DISK(name, kind) ONE(name, kind, DISK_MEDIUM_NONE, true)

static void the_data_disk_is_chosen_by_one_table(void **unused) {
    (void)unused;
    static const struct {
        struct disk_found found[4];
        size_t count;
        const char *said;
    } cases[] = {
        {{DISK("", DISK_OTHER)}, 0, "cannot 0 disks, none labelled HERACLIUS-DATA and none blank (at least 512 MiB, all zeros)\n"},
        {{DISK("vda", DISK_DATA)}, 1, "data vda 1000\n"},
        {{DISK("vda", DISK_SEEMS_BLANK)}, 1, "blank vda 1000\n"},
        {{DISK("vda", DISK_BEGAN)}, 1, "begun vda 1000\n"},
        {{DISK("vda", DISK_SEEMS_BLANK), DISK("vdb", DISK_DATA)}, 2, "data vdb 1000\n"},
        {{DISK("vda", DISK_DATA), DISK("vdb", DISK_OTHER), DISK("vdc", DISK_DATA)}, 3,
         "cannot two data disks, vda and vdc: one may be a copy; take one away, then reboot\n"},
        {{DISK("vda", DISK_BEGAN), DISK("vdb", DISK_SEEMS_BLANK)}, 2,
         "cannot two blank disks, vda and vdb: give one of them alone for the first boot\n"},
        {{DISK("vda", DISK_OTHER), ONE("vda1", DISK_OTHER, DISK_MEDIUM_NONE, false)}, 2,
         "cannot 1 disks, none labelled HERACLIUS-DATA and none blank (at least 512 MiB, all zeros)\n"},
        /* What cannot be read may be the data disk: nothing is formatted beside it, and it keeps nobody who has one. */
        {{DISK("vda", DISK_UNREADABLE), DISK("vdb", DISK_SEEMS_BLANK)}, 2,
         "lost vda\ncannot vda cannot be read, and may be the data disk: take it away or mend it, then reboot\n"},
        {{DISK("vda", DISK_UNREADABLE)}, 1, "lost vda\ncannot vda cannot be read, and may be the data disk: take it away or mend it, then reboot\n"},
        {{DISK("vda", DISK_DATA), DISK("vdb", DISK_UNREADABLE)}, 2, "lost vdb\ndata vda 1000\n"},
        {{DISK("vda", DISK_DATA), ONE("vdb1", DISK_OTHER, DISK_MEDIUM_BOOT, false), ONE("sr0", DISK_OTHER, DISK_MEDIUM_ISO9660, false),
          ONE("sda", DISK_OTHER, DISK_MEDIUM_VFAT, true)}, 4, "boot vdb1\nconfig sr0 iso9660\nconfig sda vfat\ndata vda 1000\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char said[DISK_TEXT_BYTES];
        disk_choose(cases[i].found, cases[i].count, said);
        assert_string_equal(said, cases[i].said);
    }
}

static void as_many_as_there_may_be_fit(void **unused) {
    (void)unused;
    static struct disk_found found[DISK_DEVICES_MAX];
    char said[DISK_TEXT_BYTES];
    for (size_t i = 0; i < DISK_DEVICES_MAX; i++) {
        found[i] = (struct disk_found){"", DISK_UNREADABLE, DISK_MEDIUM_ISO9660, 1, true, ""};
        memset(found[i].name, 'x', DISK_NAME_BYTES - 1);
    }
    found[0].kind = DISK_DATA;
    disk_choose(found, DISK_DEVICES_MAX, said);
    assert_non_null(strstr(said, "\ndata xxx"));
    assert_int_equal(said[strlen(said) - 1], '\n');
}

static const char *root(void) {
    static char folder[256];
    (void)snprintf(folder, sizeof folder, "%s", files_path("root"));
    return folder;
}

static void device_put(const char *name, const char *size) {
    char path[256];
    (void)snprintf(path, sizeof path, "root/sys/class/block/%s/size", name);
    (void)files_text(path, size);
}

static void what_does_not_answer_loses_its_own_answer_alone(void **unused) {
    (void)unused;
    char said[DISK_TEXT_BYTES];
    const char *const names[] = {"vda", "hangs", "mute", "noise", "much", "half", "noguid"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) device_put(names[i], "2048\n");
    device_put("loop0", "2048\n");
    device_put("sdx", "0\n");
    device_put("nvme0c0n1", "2048\n"); /* a way to nvme0n1, without a file in /dev */
    (void)files_text("root/sys/class/block/nvme0c0n1/hidden", "1\n");
    assert_true(disk_survey(root(), "/proc/self/exe", said));
    assert_non_null(strstr(said, "data vda 4096\n"));
    for (size_t i = 1; i < sizeof names / sizeof *names; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "lost %s\n", names[i]);
        assert_non_null(strstr(said, line));
    }
    assert_null(strstr(said, "loop0"));
    assert_null(strstr(said, "sdx"));
    assert_null(strstr(said, "nvme0c0n1"));
    assert_false(disk_survey(files_path("nowhere"), "/proc/self/exe", said));
    assert_non_null(strstr(said, "No such file"));
}

static const char *looked(const char *name, uint64_t bytes) {
    static char said[256];
    char path[256];
    (void)snprintf(path, sizeof path, "root/dev/%s", name);
    assert_int_equal(truncate(files_text(path, ""), (off_t)bytes), 0);
    disk_look_named(root(), name, said, sizeof said);
    return said;
}

static void a_disk_that_may_not_be_made_is_not_blank(void **unused) {
    (void)unused;
    device_put("vdb", "1\n");
    assert_string_equal(looked("vdb", 600ull * MIB), "blank 629145600 - whole -\n");
    assert_string_equal(looked("vdb", 500ull * MIB), "other 524288000 - whole -\n");
    (void)files_text("root/sys/class/block/vdb/ro", "1\n");
    assert_string_equal(looked("vdb", 600ull * MIB), "other 629145600 - whole -\n");
    (void)files_text("root/sys/class/block/vdb/ro", "0\n");
    assert_string_equal(looked("vdb", 600ull * MIB), "blank 629145600 - whole -\n");
    (void)files_text("root/sys/class/block/vdb/vdb1/partition", "1\n");
    assert_string_equal(looked("vdb", 600ull * MIB), "other 629145600 - whole -\n");
    (void)files_text("root/sys/class/block/nvme0n1/nvme0n1p1/partition", "1\n");
    assert_string_equal(looked("nvme0n1", 600ull * MIB), "other 629145600 - whole -\n");
    (void)files_text("root/sys/class/block/vdb1/partition", "1\n");
    assert_string_equal(looked("vdb1", 600ull * MIB), "other 629145600 - part -\n");
    assert_string_equal(looked("sr0", 600ull * MIB), "other 629145600 - part -\n");
    char said[128];
    disk_look_named(root(), "gone", said, sizeof said);
    assert_string_equal(said, "unreadable 0 - whole -\n");
    disk_look_named(root(), "sr1", said, sizeof said); /* no CD in it: nothing is lost */
    assert_string_equal(said, "other 0 - part -\n");
}

#define OURS "0A0B0C0D-0001-0203-0405-060708090A0B"
#define STICK "1A0B0C0D-0001-0203-0405-060708090A0B"
#define STARTED "sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

/* The lines `boot` of a survey, where the loader said `guid` (so many characters of it, and a \0 behind if `ended`). */
static const char *boots(const char *const *names, const char *guid, size_t characters, bool ended) {
    static char lines[256];
    static uint8_t variable[4 + 2 * 64];
    static unsigned turn;
    char said[DISK_TEXT_BYTES], path[256], folder[256];
    turn++;
    for (size_t i = 0; names[i]; i++) {
        (void)snprintf(path, sizeof path, "machine%u/sys/class/block/%s/size", turn, names[i]);
        (void)files_text(path, "2048\n");
    }
    memset(variable, 0, sizeof variable);
    variable[0] = 6;
    for (size_t i = 0; guid && i < characters; i++) variable[4 + 2 * i] = (uint8_t)guid[i];
    (void)snprintf(path, sizeof path, "machine%u/" STARTED, turn);
    if (guid) (void)files_put(path, variable, 4 + 2 * (characters + ended));
    (void)snprintf(path, sizeof path, "machine%u", turn);
    (void)snprintf(folder, sizeof folder, "%s", files_path(path));
    assert_true(disk_survey(folder, "/proc/self/exe", said));
    lines[0] = '\0';
    for (char *rest = said, *line; (line = strsep(&rest, "\n"));) {
        if (strncmp(line, "boot ", 5) == 0) (void)snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s ", line + 5);
    }
    return lines;
}

static void of_several_boot_partitions_the_one_that_was_started_from_counts(void **unused) {
    (void)unused;
    const char *const both[] = {"disk1", "stick1", NULL}, *const one[] = {"stick1", NULL}, *const copies[] = {"copy1", "disk1", NULL},
               *const all[] = {"copy1", "disk1", "stick1", NULL}, *const mbr[] = {"disk1", "mbr1", NULL};
    assert_string_equal(boots(both, OURS, 36, true), "disk1 ");
    assert_string_equal(boots(both, OURS, 36, false), "disk1 ");
    assert_string_equal(boots(both, "0a0b0c0d-0001-0203-0405-060708090a0b", 36, true), "disk1 ");
    assert_string_equal(boots(both, STICK, 36, true), "stick1 ");
    assert_string_equal(boots(mbr, OURS, 36, true), "disk1 ");
    /* Nobody says, or of another one, or there are two of it: whoever asks hears of all. */
    assert_int_equal(strlen(boots(both, NULL, 0, false)), strlen("disk1 stick1 "));
    assert_int_equal(strlen(boots(both, "2A0B0C0D-0001-0203-0405-060708090A0B", 36, true)), strlen("disk1 stick1 "));
    assert_int_equal(strlen(boots(copies, OURS, 36, true)), strlen("copy1 disk1 "));
    assert_int_equal(strlen(boots(all, OURS, 36, true)), strlen("copy1 disk1 "));
    assert_string_equal(boots(one, OURS, 36, true), "stick1 ");
    /* What is no such variable says nothing. */
    assert_int_equal(strlen(boots(both, OURS, 35, true)), strlen("disk1 stick1 "));
    assert_int_equal(strlen(boots(both, OURS "0", 37, true)), strlen("disk1 stick1 "));
    assert_int_equal(strlen(boots(both, "", 0, false)), strlen("disk1 stick1 "));
}

static int stand_in(const char *name) {
    if (strcmp(name, "vda") == 0) return printf("data 4096 - whole -\n") < 0;
    if (strcmp(name, "noguid") == 0) return printf("other 4096 boot part\n") < 0;
    if (strcmp(name, "stick1") == 0) return printf("other 4096 boot part " STICK "\n") < 0;
    if (strcmp(name, "disk1") == 0 || strcmp(name, "copy1") == 0) return printf("other 4096 boot part " OURS "\n") < 0;
    if (strcmp(name, "mbr1") == 0) return printf("other 4096 boot part -\n") < 0;
    if (strcmp(name, "noise") == 0) return printf("\x1b[2J data 4096\n") < 0;
    if (strcmp(name, "half") == 0) return printf("data 4096 -") < 0;
    for (int i = 0; i < 1000 && strcmp(name, "much") == 0; i++) (void)printf("data data data data ");
    if (strcmp(name, "hangs") == 0) (void)sleep(5);
    return 0;
}

int main(int count, char **words) {
    if (count == 5 && strcmp(words[3], "look") == 0) return stand_in(words[4]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_data_disk_is_chosen_by_one_table),
        cmocka_unit_test(as_many_as_there_may_be_fit),
        cmocka_unit_test(what_does_not_answer_loses_its_own_answer_alone),
        cmocka_unit_test(a_disk_that_may_not_be_made_is_not_blank),
        cmocka_unit_test(of_several_boot_partitions_the_one_that_was_started_from_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
