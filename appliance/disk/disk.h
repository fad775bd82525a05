/*
 * What the machine's block devices carry, which of them is to be the data disk, and the making of one on a blank disk: heraclius-disk, jobs of
 * init's, as a user that may read block devices and nothing else. Whatever a disk holds, and if it does not answer, that alone is lost which would
 * have been said of it.
 *
 *   survey       all devices, each looked at by a process of its own ("look"), all at once, for DISK_SURVEY_MS at most; says what disk_choose() says
 *   look NAME    "KIND BYTES MEDIUM whole|part GUID" of /dev/NAME, in the words of disk_kind_name() and disk_medium_name(); GUID: of a boot partition
 *                on a disk with GPT, else "-"
 *   blank        nothing, if disk_blank(); it reads for a while. This and the next two: of the device that init opened, descriptor 4
 *   format       disk_format()
 *   end          disk_format_end()
 *   grow BYTES   "grown", or nothing: the file system mounted at the folder on descriptor 4, to the size of its disk
 *
 * Which one (disk_choose()): a disk or partition with the label, if there is one alone, since a second may be a copy, and a node must not choose its
 * memory by chance. Else one blank disk, if there is one alone, and none that cannot be read, since that may be the data disk.
 *
 * A data disk has ext4 with the label HERACLIUS-DATA. Formatting writes the blocks that mke2fs made at build time (/etc/heraclius/ext4:
 * image/steps/disk.py), with a UUID of its own, each step durable before the next: DISK_BEGUN into the first bytes of the disk, which ext4 leaves
 * alone; all blocks, the first with the mark in it; init mounts the file system, grows and unmounts it; the mark is
 * cleared; init mounts it again, and init's and the node's first bytes come onto it. A disk with the mark, and without another's file system above
 * it, is begun anew, whatever else is on it, so power may be lost at any point: before the mark is cleared there is nothing to lose, after that the
 * file system is whole and at rest. What this needs of the disk is that a sector of 512 bytes is written or not, and that what it was told to make
 * durable is; once the disk is in use, ext4 needs the first of its superblock, 1024 bytes. Who knows that a used disk is not needed may write the
 * mark himself (docs/operating.md).
 *
 * A disk that was used is never taken for one that was begun: (1) nobody but init writes to /data before disk_start() (init/disk.h) is true, and init
 * does not before the mark is cleared durably; (2) the mark is written to disks without a file system alone, and to begun ones; (3) ext4 writes the
 * first bytes of the disk only as it has read them, with its superblock. Its journal has them too, mark and all, since growing: so the file system is
 * unmounted before the mark is cleared, which leaves nothing in the journal to be played back, and (4) init has the disk looked at once more after
 * each mount, and does not use one that has the mark then.
 *
 * Without the mark a disk is blank if all that is read of it is zeros: DISK_ENDS_BYTES at both ends, wholly, and from each MiB between the first
 * DISK_HEAD_BYTES. So a file system, volume or container that begins at any MiB, or in the first ones, is seen: each of MBR, GPT, ext, XFS, NTFS,
 * FAT, LVM, LUKS, swap, md 1.x, bcache, ISO 9660, JFS, Btrfs, UFS and ZFS has something that is not zero in the first 68 KiB, whether or not a
 * partition table still says where it is; md 0.90, 1.0, DRBD and the second copy of GPT stand at the end; whatever was encrypted is not zero
 * anywhere.
 *
 * Offsets of ext4's superblock, which begins at byte 1024 (kernel documentation, filesystems/ext4/super.rst):
 *
 *   56   2   magic 0xEF53, little-endian
 *   120  16  volume label
 *
 * and of its journal's, a block that begins with C0 3B 39 98 00 00 00 04 (filesystems/ext4/journal.rst):
 *
 *   24   4   number of the first transaction, big-endian: by chance. One that was begun before, and mounted, has left transactions in the journal; by
 *            the same numbers they would be played back, in their old places, behind the last one of the new file system
 *
 * Of several boot partitions (an installation stick beside the disk that it was put on) one is the machine's: that one alone whose GUID the loader
 * says that it started from, in the EFI variable LoaderDevicePartUUID (systemd.io/BOOT_LOADER_INTERFACE: 4 bytes of attributes, 36 characters in
 * UTF-16). If it does not say so, or none has that GUID, or several have (written from the same image), all are told, and init uses none.
 *
 * The table (UEFI 2.10, 5.3), numbers little-endian; its head is in the second sector, and its check covers it with 0 in its own place:
 *
 *   0   8   "EFI PART"              24  8   the number of this sector, 1        84  4   bytes of an entry
 *   12  4   bytes of the head       72  8   sector of the first entry           88  4   CRC-32 of all entries
 *   16  4   CRC-32 of the head      80  4   count of entries
 *   entry:  16  16  GUID of the partition;  32  8  its first sector;  40  8  its last one
 *
 * Labels: vfat at byte 71 (FAT32) or 43 (FAT12, FAT16) of the boot sector, 11 bytes, filled up with spaces; ISO 9660 at byte 40 of the descriptor at
 * byte 32768, 32 bytes.
 */
#ifndef APPLIANCE_DISK_H
#define APPLIANCE_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_LABEL "HERACLIUS-DATA"
#define DISK_BEGUN "HERACLIUS-FORMATTING\n"

enum { DISK_NAME_BYTES = 32, DISK_GUID_BYTES = 37, DISK_DEVICES_MAX = 128, DISK_SURVEY_MS = 10000, DISK_TEXT_BYTES = 16384 };
enum {
    DISK_BYTES_MIN = 512 << 20, /* smaller blank disks are not taken */
    DISK_LOOK_BYTES = 1 << 20, /* so much at both ends is zeros, where a look takes a disk for blank */
    DISK_ENDS_BYTES = 16 << 20,
    DISK_STRIDE_BYTES = 1 << 20,
    DISK_HEAD_BYTES = 68 << 10,
    DISK_BLOCK_BYTES = 4096,
    DISK_BLOCKS_MAX = 4096, /* of the shipped file system */
};

/* SEEMS_BLANK: its ends are; disk_blank() says whether it is. */
enum disk_kind { DISK_UNREADABLE, DISK_DATA, DISK_BEGAN, DISK_SEEMS_BLANK, DISK_OTHER };
enum disk_medium { DISK_MEDIUM_NONE, DISK_MEDIUM_BOOT, DISK_MEDIUM_VFAT, DISK_MEDIUM_ISO9660 }; /* vfat, iso9660: a configuration on it */
const char *disk_kind_name(enum disk_kind kind);
const char *disk_medium_name(enum disk_medium medium);

enum disk_kind disk_look(int fd, uint64_t bytes);
enum disk_medium disk_medium_look(int fd, uint64_t bytes);
/* Every place of the list above is zeros; else `at`: the first byte of a place that is not, or cannot be read. */
bool disk_blank(int fd, uint64_t bytes, bool *readable, uint64_t *at);

/* On a disk that seems blank or was begun, nothing else. Blocks file: 8 bytes "HRCEXT4\1", u32 count, then count times u32 block number, 4096 bytes;
 * little-endian, ascending. NULL: done; else why not. */
const char *disk_format(int fd, uint64_t bytes, const char *blocks_path);
/* The mark that disk_format() left is cleared: the last step, when the file system is as it shall be, and not mounted. NULL: done; else why not. */
const char *disk_format_end(int fd);

struct disk_found {
    char name[DISK_NAME_BYTES];
    enum disk_kind kind;
    enum disk_medium medium;
    uint64_t bytes;
    bool whole; /* no partition */
    char guid[DISK_GUID_BYTES]; /* of a boot partition; "": not known */
};

/* Boot partitions other than the ones with the GUID that the loader named, if one has it, are none of this machine's any more. */
void disk_started(struct disk_found *found, size_t count, const char *guid);
/* Lines for init: "lost NAME" of each that cannot be read, "config NAME vfat|iso9660", "boot NAME"; the last one "data NAME BYTES", "blank NAME
 * BYTES", "begun NAME BYTES" or "cannot TEXT". */
void disk_choose(const struct disk_found *found, size_t count, char out[DISK_TEXT_BYTES]);
/* The job. `root`: the folder with sys and dev; `program`: what "look" is. False: it cannot be said what there is; `out` says why. */
bool disk_survey(const char *root, const char *program, char out[DISK_TEXT_BYTES]);
/* The job "look"; what it prints. */
void disk_look_named(const char *root, const char *name, char *out, size_t size);

/* `folder`: an open folder of the mounted file system. NULL: done; else why not. By the right to use resources (CAP_SYS_RESOURCE). */
const char *disk_grow(int folder, uint64_t bytes, bool *grown);

/* Where the kernel has a partition: its number on the disk, first byte and length; and the disk's sectors. */
struct disk_part {
    uint64_t number, at, bytes, sector_bytes;
};
/* `fd`: the whole disk. False, and "": its table does not say so. */
bool disk_guid(int fd, const struct disk_part *part, char out[DISK_GUID_BYTES]) __attribute__((warn_unused_result));

/* All of it, or false. */
bool disk_read(int fd, uint64_t at, uint8_t *out, size_t count);

#endif
