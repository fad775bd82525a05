#include "init/disk.h"
#include "init/say.h"
#include "init/text.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <unistd.h>

#define BLOCKS "/etc/heraclius/ext4"
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t)

/* linux/ext4.h of 6.1; userspace has no header for it. */
struct fsuuid {
    uint32_t len, flags;
    uint8_t uuid[16];
};
#define EXT4_IOC_SETFSUUID _IOW('f', 44, uint64_t) /* the kernel's own structure ends before the UUID, whose length is not fixed there */

enum { NAME_BYTES = 32, IDENTITY_BYTES = 96, SECTOR_BYTES = 512 };
enum { SUPER_AT = 1024, MAGIC_AT = SUPER_AT + 56, LABEL_AT = SUPER_AT + 120, JOURNAL_NUMBER_AT = 24 };

static struct {
    char name[NAME_BYTES];
    uint64_t bytes;
    /* of one search */
    unsigned data, blank, disks;
    char data_name[NAME_BYTES], data_second[NAME_BYTES], blank_name[NAME_BYTES], blank_second[NAME_BYTES];
    uint64_t data_bytes, blank_bytes;
    bool foreign; /* another machine's */
} self;

const char *disk_name(void) {
    return self.name;
}

uint64_t disk_bytes(void) {
    return self.bytes;
}

static bool zeros(const uint8_t *bytes, size_t count) {
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

static bool read_at(int fd, uint64_t at, uint8_t *out, size_t count) {
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

static bool range_blank(int fd, uint64_t from, uint64_t count, bool *readable) {
    uint8_t block[DISK_BLOCK_BYTES];
    for (uint64_t at = from; at < from + count; at += sizeof block) {
        *readable = read_at(fd, at, block, sizeof block);
        if (!*readable || !zeros(block, sizeof block)) return false;
    }
    return true;
}

enum disk_kind disk_look(int fd, uint64_t bytes) {
    uint8_t head[DISK_BLOCK_BYTES];
    bool readable = true;
    if (bytes < 2 * DISK_BLANK_BYTES) return DISK_OTHER;
    if (!read_at(fd, 0, head, sizeof head)) return DISK_UNREADABLE;
    bool begun = memcmp(head, DISK_BEGUN, sizeof DISK_BEGUN - 1) == 0, ext4 = head[MAGIC_AT] == 0x53 && head[MAGIC_AT + 1] == 0xEF;
    if (ext4 && memcmp(head + LABEL_AT, DISK_LABEL "\0", sizeof DISK_LABEL) != 0) return DISK_OTHER;
    if (begun || ext4) return begun ? DISK_BLANK : DISK_DATA;
    bytes -= bytes % DISK_BLOCK_BYTES;
    bool blank = range_blank(fd, 0, DISK_BLANK_BYTES, &readable) && range_blank(fd, bytes - DISK_BLANK_BYTES, DISK_BLANK_BYTES, &readable);
    for (uint64_t i = 1; blank && i < DISK_SAMPLES; i++) {
        uint64_t at = bytes / DISK_SAMPLES * i;
        blank = range_blank(fd, at - at % DISK_BLOCK_BYTES, DISK_BLOCK_BYTES, &readable);
    }
    return !readable ? DISK_UNREADABLE : blank ? DISK_BLANK : DISK_OTHER;
}

static uint32_t u32_at(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* What another file system left where the journal is has other numbers: none of it is played back as if it were of this one. */
static bool journal_number(uint8_t super[DISK_BLOCK_BYTES]) {
    return getrandom(super + JOURNAL_NUMBER_AT, 4, GRND_INSECURE) == 4;
}

static const char *blocks_write(int from, int fd, uint64_t bytes) {
    uint8_t head[12], entry[4 + DISK_BLOCK_BYTES];
    if (!read_at(from, 0, head, sizeof head) || memcmp(head, "HRCEXT4\1", 8) != 0) return "the image's file system is damaged";
    uint32_t count = u32_at(head + 8);
    if (count < 2 || count > DISK_BLOCKS_MAX) return "the image's file system is damaged";
    for (uint32_t i = 0; i < count; i++) {
        if (!read_at(from, sizeof head + (uint64_t)i * sizeof entry, entry, sizeof entry)) return "the image's file system is cut off";
        uint64_t at = (uint64_t)u32_at(entry) * DISK_BLOCK_BYTES;
        if (at + DISK_BLOCK_BYTES > bytes) return "the disk is smaller than the smallest file system";
        if ((i == 0) != (at == 0) || (i == 0 && !zeros(entry + 4, SUPER_AT))) return "the image's file system is damaged";
        if (i == 0) (void)memcpy(entry + 4, DISK_BEGUN, sizeof DISK_BEGUN - 1);
        if (memcmp(entry + 4, "\xC0\x3B\x39\x98\0\0\0\4", 8) == 0 && !journal_number(entry + 4)) return "no random numbers";
        if (!write_at(fd, at, entry + 4, DISK_BLOCK_BYTES)) return strerror(errno);
    }
    return fsync(fd) == 0 ? NULL : strerror(errno);
}

const char *disk_format(int fd, uint64_t bytes, const char *blocks_path) {
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

static bool device_open(const char *name, int flags, int *fd, uint64_t *bytes) {
    char path[64];
    if (!text_form(path, sizeof path, "/dev/%s", name)) return false;
    *fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0) return false;
    if (ioctl(*fd, BLKGETSIZE64, bytes) == 0) return true;
    (void)close(*fd);
    return false;
}

static bool is_partition_or_has_some(const char *name, bool *partition) {
    char path[96];
    struct stat status;
    *partition = text_form(path, sizeof path, "/sys/class/block/%s/partition", name) && stat(path, &status) == 0;
    return *partition || (text_form(path, sizeof path, "/sys/class/block/%s/%s1", name, name) && stat(path, &status) == 0) ||
           (text_form(path, sizeof path, "/sys/class/block/%s/%sp1", name, name) && stat(path, &status) == 0);
}

static bool device(void *context, const char *name) {
    (void)context;
    static const char *const never[] = {"loop", "ram", "zram", "sr", "fd", "mtd"};
    char path[96], text[8];
    int fd;
    uint64_t bytes;
    bool partition;
    if (strlen(name) >= NAME_BYTES) return true;
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        if (strncmp(name, never[i], strlen(never[i])) == 0) return true;
    }
    if (!device_open(name, O_RDONLY, &fd, &bytes)) return true;
    enum disk_kind kind = disk_look(fd, bytes);
    (void)close(fd);
    bool parted = is_partition_or_has_some(name, &partition);
    self.disks += !partition;
    bool read_only = text_form(path, sizeof path, "/sys/class/block/%s/ro", name) && text_read(path, text, sizeof text) == 1 && text[0] == '1';
    if (kind == DISK_UNREADABLE) say("disk: %s cannot be read", name);
    if (kind == DISK_DATA) {
        (void)text_form(self.data++ ? self.data_second : self.data_name, NAME_BYTES, "%s", name);
        self.data_bytes = bytes;
    }
    if (kind == DISK_BLANK && !parted && !read_only && bytes >= DISK_BYTES_MIN) {
        (void)text_form(self.blank++ ? self.blank_second : self.blank_name, NAME_BYTES, "%s", name);
        self.blank_bytes = bytes;
    }
    return true;
}

/* True: it has grown. */
static bool grow(bool fresh) {
    int fd = open("/data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return false;
    if (fresh) {
        struct fsuuid fs = {.len = sizeof fs.uuid};
        if (getrandom(fs.uuid, sizeof fs.uuid, 0) != sizeof fs.uuid || ioctl(fd, EXT4_IOC_SETFSUUID, &fs) < 0) {
            say("disk: it keeps the image's UUID: %s", strerror(errno));
        }
    }
    struct statfs status;
    uint64_t blocks = self.data_bytes / DISK_BLOCK_BYTES;
    bool smaller = fstatfs(fd, &status) == 0 && (uint64_t)status.f_blocks + status.f_blocks / 8 < blocks;
    bool grown = smaller && ioctl(fd, EXT4_IOC_RESIZE_FS, &blocks) == 0;
    if (smaller && !grown) say("disk: it could not be grown to the disk's size: %s", strerror(errno));
    (void)close(fd);
    return grown;
}

/* ---- whose it is ---- */

static bool machine_identity(char out[IDENTITY_BYTES]) {
    static const char *const files[] = {"/sys/class/dmi/id/product_uuid", "/proc/device-tree/serial-number"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        /* All zeros or all F: firmware that was never told. */
        if (text_read(files[i], out, IDENTITY_BYTES) > 0 && out[strspn(out, "0-")] && out[strspn(out, "fF-")]) {
            text_clean(out);
            return true;
        }
    }
    return false;
}

static bool mark_write(const char *identity) {
    int fd = open(DISK_MARK ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool good = fd >= 0 && write(fd, identity, strlen(identity)) == (ssize_t)strlen(identity) && fsync(fd) == 0;
    if (fd >= 0) (void)close(fd);
    if (!good || rename(DISK_MARK ".new", DISK_MARK) < 0) return false;
    sync();
    return true;
}

/* Of this machine, or of none so far; else its mark. */
static bool is_ours(char there[IDENTITY_BYTES]) {
    char here[IDENTITY_BYTES];
    if (!machine_identity(here)) return true;
    if (text_read(DISK_MARK, there, IDENTITY_BYTES) >= 0) return strcmp(here, there) == 0;
    if (!mark_write(here)) say("disk: it keeps no mark of this machine: %s", strerror(errno));
    return true;
}

static bool data_mount(void) {
    char path[64];
    (void)text_form(path, sizeof path, "/dev/%s", self.data_name);
    return mount(path, "/data", "ext4", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, "errors=remount-ro") == 0;
}

/* Unmounted in between, since the journal has the first block, mark and all: played back later, it would bring the mark back onto a disk in use. */
static const char *make(void) {
    int fd;
    const char *fault = "cannot be opened";
    if (!device_open(self.blank_name, O_RDWR | O_EXCL, &fd, &self.data_bytes)) return fault;
    fault = disk_format(fd, self.data_bytes, BLOCKS);
    (void)close(fd);
    if (fault) return fault;
    (void)memcpy(self.data_name, self.blank_name, NAME_BYTES);
    if (!data_mount()) return strerror(errno);
    (void)grow(true);
    if (umount2("/data", 0) < 0 || !device_open(self.data_name, O_RDWR | O_EXCL, &fd, &self.data_bytes)) return strerror(errno);
    fault = disk_format_end(fd);
    (void)close(fd);
    return fault;
}

/* Still, when the journal has been played back. */
static bool is_data(void) {
    int fd;
    uint64_t bytes;
    if (!device_open(self.data_name, O_RDONLY, &fd, &bytes)) return false;
    bool good = disk_look(fd, bytes) == DISK_DATA;
    (void)close(fd);
    return good;
}

const char *disk_adopt(void) {
    char here[IDENTITY_BYTES];
    if (!self.foreign || !machine_identity(here)) return "there is no disk of another machine";
    const char *fault = data_mount() && mark_write(here) ? NULL : strerror(errno);
    (void)umount2("/data", 0);
    return fault;
}

#define CANNOT(...) (stage_set(STAGE_DISK, STAGE_CANNOT, __VA_ARGS__), false)

bool disk_start(void) {
    char other[IDENTITY_BYTES];
    stage_set(STAGE_DISK, STAGE_RUNNING, "%s", "");
    self.data = self.blank = self.disks = 0;
    int result = text_folder("/sys/class/block", device, NULL);
    if (result < 0) return CANNOT("/sys/class/block: %s", strerror(-result));
    bool fresh = self.data == 0;
    if (self.data > 1) return CANNOT("two data disks, %s and %s: one may be a copy; take one away, then reboot", self.data_name, self.data_second);
    if (fresh && self.blank > 1) {
        return CANNOT("two blank disks, %s and %s: give one of them alone for the first boot", self.blank_name, self.blank_second);
    }
    if (fresh && self.blank == 0) return CANNOT("%u disks, none labelled " DISK_LABEL " and none blank (at least 512 MiB, all zeros)", self.disks);
    const char *fault = fresh ? make() : NULL;
    if (fault) return CANNOT("%s is blank, but could not be made a data disk: %s", self.blank_name, fault);
    if (fresh) say("disk: %s was blank and is the data disk now", self.data_name);
    if (!data_mount()) return CANNOT("%s does not mount: %s; it was not touched", self.data_name, strerror(errno));
    if (!is_data()) {
        (void)umount2("/data", 0);
        return CANNOT("%s is not used: mounted, it is under the mark of a formatting that was begun", self.data_name);
    }
    if (!is_ours(other)) {
        (void)umount2("/data", 0);
        self.foreign = true;
        text_clean(other);
        return CANNOT("%s is the disk of another machine, %s; if that one is off for good: adopt (console)", self.data_name, other);
    }
    /* Brought to rest at once: as long as it is only in the journal in part, a loss of power can leave what the kernel does not mount. */
    if (grow(false) && (umount2("/data", 0) < 0 || !data_mount())) {
        return CANNOT("%s was grown, and does not mount: %s", self.data_name, strerror(errno));
    }
    (void)memcpy(self.name, self.data_name, NAME_BYTES);
    self.bytes = self.data_bytes;
    struct statfs left;
    bool full = statfs("/data", &left) == 0 && (uint64_t)left.f_bavail * (uint64_t)left.f_bsize < DISK_FREE_MIN;
    stage_set(STAGE_DISK, STAGE_GOOD, "%s, %llu MiB%s%s", self.name, (unsigned long long)(self.bytes >> 20), fresh ? ", new" : "",
              full ? ", and is full: give it more room, then reboot" : "");
    return true;
}
