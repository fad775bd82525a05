#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "appliance/disk/disk.h"
#include "ring/clock.h"

#define CLASS "/sys/class/block"
#define STARTED "/sys/firmware/efi/efivars/LoaderDevicePartUUID-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"

enum { PATH_BYTES = 512, ANSWER_BYTES = 128, TURN_MS = 200, FACT_BYTES = 32, KERNEL_SECTOR_BYTES = 512, ATTRIBUTES = 4 };

/* ---- one device ---- */

static bool fact(const char *root, const char *name, const char *file, char text[FACT_BYTES]) {
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s" CLASS "/%s/%s", root, name, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, FACT_BYTES - 1);
    if (fd >= 0) (void)close(fd);
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return got > 0;
}

static bool is_fact(const char *root, const char *name, const char *file, const char *wanted) {
    char text[FACT_BYTES];
    return fact(root, name, file, text) && strcmp(text, wanted) == 0;
}

/* 0: there is none, or it is too large to be counted in bytes. */
static uint64_t fact_number(const char *root, const char *name, const char *file) {
    char text[FACT_BYTES];
    uint64_t number = fact(root, name, file, text) && text[0] >= '0' && text[0] <= '9' ? strtoull(text, NULL, 10) : 0;
    return number <= INT64_MAX / KERNEL_SECTOR_BYTES ? number : 0;
}

static bool is_there(const char *root, const char *name, const char *between, const char *last) {
    char path[PATH_BYTES];
    struct stat status;
    (void)snprintf(path, sizeof path, "%s" CLASS "/%s/%s%s", root, name, between, last);
    return stat(path, &status) == 0;
}

/* What is nobody's disk: made by the kernel, one way of several to a disk that is there by its own name (NVMe), or a reader without a card. */
static bool is_none(const char *root, const char *name) {
    static const char *const never[] = {"loop", "ram", "zram", "fd", "mtd"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        if (strncmp(name, never[i], strlen(never[i])) == 0) return true;
    }
    return strlen(name) >= DISK_NAME_BYTES || is_fact(root, name, "size", "0") || is_fact(root, name, "hidden", "1");
}

/* What the table of its disk calls a partition. /sys/class/block/sda1 is a link to .../sda/sda1. */
static void guid_find(const char *root, const char *name, char out[DISK_GUID_BYTES]) {
    char path[PATH_BYTES], link[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s" CLASS "/%s", root, name);
    ssize_t length = readlink(path, link, sizeof link - 1);
    out[0] = '\0';
    if (length <= 0) return;
    link[length] = '\0';
    char *last = strrchr(link, '/'), *disk = NULL;
    if (last) *last = '\0';
    if (last) disk = strrchr(link, '/');
    if (!disk || !disk[1] || (size_t)snprintf(path, sizeof path, "%s/dev%s", root, disk) >= sizeof path) return;
    const struct disk_part part = {.number = fact_number(root, name, "partition"),
                                   .at = fact_number(root, name, "start") * KERNEL_SECTOR_BYTES,
                                   .bytes = fact_number(root, name, "size") * KERNEL_SECTOR_BYTES,
                                   .sector_bytes = fact_number(root, disk + 1, "queue/logical_block_size")};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 || !disk_guid(fd, &part, out)) out[0] = '\0';
    if (fd >= 0) (void)close(fd);
}

void disk_look_named(const char *root, const char *name, char *out, size_t size) {
    char path[PATH_BYTES], partition[DISK_NAME_BYTES + 8], guid[DISK_GUID_BYTES] = "";
    (void)snprintf(path, sizeof path, "%s/dev/%s", root, name);
    (void)snprintf(partition, sizeof partition, "%.*sp", DISK_NAME_BYTES, name);
    bool cd = strncmp(name, "sr", 2) == 0, whole = !cd && !is_there(root, name, "partition", "");
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    uint64_t bytes = end < 0 ? 0 : (uint64_t)end;
    enum disk_kind kind = end < 0 ? DISK_UNREADABLE : disk_look(fd, bytes);
    enum disk_medium medium = kind == DISK_UNREADABLE ? DISK_MEDIUM_NONE : disk_medium_look(fd, bytes);
    bool parted = is_there(root, name, name, "1") || is_there(root, name, partition, "1");
    bool blank = kind == DISK_SEEMS_BLANK || kind == DISK_BEGAN;
    /* What cannot be made a data disk is not blank, whatever is on it; a CD is none, readable or not. */
    if (cd || (blank && (!whole || parted || bytes < DISK_BYTES_MIN || is_fact(root, name, "ro", "1")))) kind = DISK_OTHER;
    if (medium == DISK_MEDIUM_BOOT && !whole) guid_find(root, name, guid);
    (void)snprintf(out, size, "%s %" PRIu64 " %s %s %s\n", disk_kind_name(kind), bytes, disk_medium_name(medium), whole ? "whole" : "part",
                   guid[0] ? guid : "-");
    if (fd >= 0) (void)close(fd);
}

/* ---- all ---- */

static struct one {
    struct disk_found found;
    int from; /* -1: it has said what it has to say */
    size_t count;
    char said[ANSWER_BYTES];
} ones[DISK_DEVICES_MAX];

/* The words of a look; anything else, and nothing, is a device that cannot be read. */
static void said_take(struct one *one) {
    char kind[16], medium[16], whole[16], guid[DISK_GUID_BYTES];
    struct disk_found *found = &one->found;
    found->kind = DISK_UNREADABLE;
    found->medium = DISK_MEDIUM_NONE;
    found->whole = true;
    one->said[one->count] = '\0';
    if (sscanf(one->said, "%15s %" SCNu64 " %15s %15s %36s", kind, &found->bytes, medium, whole, guid) != 5) return;
    (void)snprintf(found->guid, sizeof found->guid, "%s", strcmp(guid, "-") == 0 ? "" : guid);
    for (enum disk_kind k = DISK_DATA; k <= DISK_OTHER; k++) {
        if (strcmp(kind, disk_kind_name(k)) == 0) found->kind = k;
    }
    for (enum disk_medium m = DISK_MEDIUM_NONE; m <= DISK_MEDIUM_ISO9660; m++) {
        if (strcmp(medium, disk_medium_name(m)) == 0) found->medium = m;
    }
    found->whole = strcmp(whole, "whole") == 0;
}

static void look_begin(const char *program, const char *root, struct one *one) {
    extern char **environ;
    const char *const words[] = {program, "--root", root, "look", one->found.name, NULL};
    posix_spawn_file_actions_t actions;
    int ends[2];
    pid_t child;
    one->from = -1;
    if (pipe2(ends, O_CLOEXEC) < 0) return;
    bool good = posix_spawn_file_actions_init(&actions) == 0 && posix_spawn_file_actions_adddup2(&actions, ends[1], 1) == 0 &&
                posix_spawn_file_actions_adddup2(&actions, 0, 2) == 0 && /* who hangs holds nothing of what init waits for */
                posix_spawn(&child, program, &actions, NULL, (char *const *)(uintptr_t)words, environ) == 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    if (good) one->from = ends[0];
    else (void)close(ends[0]);
}

static void look_hear(struct one *one) {
    ssize_t got = read(one->from, one->said + one->count, sizeof one->said - 1 - one->count);
    if (got > 0) one->count += (size_t)got;
    if (got > 0 && one->count + 1 < sizeof one->said) return;
    (void)close(one->from);
    one->from = -1;
}

/* Until all have answered or the time is over: a disk that does not answer keeps who asked it, and nobody else. */
static void looks_hear(size_t count) {
    struct pollfd polls[DISK_DEVICES_MAX];
    uint64_t end_ms = ring_clock_ms() + DISK_SURVEY_MS;
    for (;;) {
        size_t waiting = 0;
        for (size_t i = 0; i < count; i++) {
            polls[i] = (struct pollfd){.fd = ones[i].from, .events = POLLIN};
            waiting += ones[i].from >= 0;
        }
        uint64_t now_ms = ring_clock_ms();
        if (waiting == 0 || now_ms >= end_ms) return;
        if (poll(polls, count, TURN_MS) <= 0) continue;
        for (size_t i = 0; i < count; i++) {
            if (polls[i].fd >= 0 && polls[i].revents) look_hear(&ones[i]);
        }
    }
}

/* What the loader started from; "": it does not say. */
static void started_read(const char *root, char out[DISK_GUID_BYTES]) {
    char path[PATH_BYTES];
    uint8_t bytes[ATTRIBUTES + 2 * DISK_GUID_BYTES + 1];
    (void)snprintf(path, sizeof path, "%s" STARTED, root);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? 0 : read(fd, bytes, sizeof bytes);
    if (fd >= 0) (void)close(fd);
    const size_t plain = ATTRIBUTES + 2 * (DISK_GUID_BYTES - 1), ended = plain + 2;
    bool whole = got == (ssize_t)plain || (got == (ssize_t)ended && bytes[plain] == 0 && bytes[plain + 1] == 0);
    for (size_t i = 0; whole && i < DISK_GUID_BYTES - 1; i++) {
        const uint8_t *at = bytes + ATTRIBUTES + 2 * i;
        out[i] = (char)(at[0] >= 'a' && at[0] <= 'f' ? at[0] - 'a' + 'A' : at[0]);
        whole = at[1] == 0 && at[0] != 0;
    }
    out[whole ? DISK_GUID_BYTES - 1 : 0] = '\0';
}

bool disk_survey(const char *root, const char *program, char out[DISK_TEXT_BYTES]) {
    static struct disk_found found[DISK_DEVICES_MAX];
    char path[PATH_BYTES], started[DISK_GUID_BYTES];
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s" CLASS, root);
    DIR *folder = opendir(path);
    if (!folder) return snprintf(out, DISK_TEXT_BYTES, "%s: %s\n", path, strerror(errno)) < 0;
    for (struct dirent *entry; count < DISK_DEVICES_MAX && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.' || is_none(root, entry->d_name)) continue;
        ones[count] = (struct one){.from = -1};
        (void)snprintf(ones[count].found.name, DISK_NAME_BYTES, "%s", entry->d_name);
        look_begin(program, root, &ones[count++]);
    }
    (void)closedir(folder);
    looks_hear(count);
    for (size_t i = 0; i < count; i++) {
        said_take(&ones[i]);
        found[i] = ones[i].found;
    }
    started_read(root, started);
    disk_started(found, count, started);
    disk_choose(found, count, out);
    return true;
}

/* ---- which one ---- */

static void put(char out[DISK_TEXT_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(char out[DISK_TEXT_BYTES], const char *format, ...) {
    size_t used = strlen(out);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(out + used, DISK_TEXT_BYTES - used, format, arguments);
    va_end(arguments);
}

void disk_started(struct disk_found *found, size_t count, const char *guid) {
    bool known = false;
    for (size_t i = 0; guid[0] && i < count; i++) known = known || (found[i].medium == DISK_MEDIUM_BOOT && strcmp(found[i].guid, guid) == 0);
    for (size_t i = 0; known && i < count; i++) {
        if (found[i].medium == DISK_MEDIUM_BOOT && strcmp(found[i].guid, guid) != 0) found[i].medium = DISK_MEDIUM_NONE;
    }
}

void disk_choose(const struct disk_found *found, size_t count, char out[DISK_TEXT_BYTES]) {
    const struct disk_found *data[2] = {NULL, NULL}, *blank[2] = {NULL, NULL}, *lost = NULL;
    unsigned disks = 0, datas = 0, blanks = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        const struct disk_found *one = &found[i];
        disks += one->whole;
        if (one->kind == DISK_UNREADABLE) {
            put(out, "lost %s\n", one->name);
            lost = one;
        }
        if (one->medium == DISK_MEDIUM_BOOT) put(out, "boot %s\n", one->name);
        else if (one->medium != DISK_MEDIUM_NONE) put(out, "config %s %s\n", one->name, disk_medium_name(one->medium));
        if (one->kind == DISK_DATA && datas++ < 2) data[datas - 1] = one;
        if ((one->kind == DISK_SEEMS_BLANK || one->kind == DISK_BEGAN) && blanks++ < 2) blank[blanks - 1] = one;
    }
    const struct disk_found *chosen = datas > 0 ? data[0] : blank[0];
    if (datas > 1) {
        put(out, "cannot two data disks, %s and %s: one may be a copy; take one away, then reboot\n", data[0]->name, data[1]->name);
    } else if (datas == 0 && lost) {
        put(out, "cannot %s cannot be read, and may be the data disk: take it away or mend it, then reboot\n", lost->name);
    } else if (datas == 0 && blanks > 1) {
        put(out, "cannot two blank disks, %s and %s: give one of them alone for the first boot\n", blank[0]->name, blank[1]->name);
    } else if (!chosen) {
        put(out, "cannot %u disks, none labelled " DISK_LABEL " and none blank (at least 512 MiB, all zeros)\n", disks);
    } else {
        put(out, "%s %s %" PRIu64 "\n", disk_kind_name(chosen->kind), chosen->name, chosen->bytes);
    }
}
