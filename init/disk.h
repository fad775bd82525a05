/*
 * The data disk: found by its label, made only on a disk that is wholly blank, grown to the size of its disk, mounted at /data.
 *
 * A disk is a data disk iff it (or a partition of it) has ext4 with the label HERACLIUS-DATA. Two of them: neither is used, since one may be a
 * copy of the other, and a node must not choose its memory by chance. None, and exactly one wholly blank disk: that one is formatted. A disk with
 * anything on it is never formatted, nor one whose mount fails.
 *
 * A data disk belongs to a machine, if that has an identity (SMBIOS's UUID, a device tree's serial number): the file DISK_MARK on it has it from its
 * first start there. On another machine it is named and not used until somebody says that the first one is off for good (disk_adopt()): a disk that
 * was copied or put into a second machine must not make its node vote twice. After the mainboard was changed that is to be said, too.
 *
 * Formatting writes the blocks that mke2fs made at build time (/etc/heraclius/ext4: image/steps/disk.py), each step durable before the next:
 * DISK_BEGUN into the first bytes of the disk, which ext4 leaves alone; all blocks, the first with the mark in it; the file system is mounted, given
 * a UUID of its own, grown and unmounted; the mark is cleared; it is mounted again, and init's and the node's first bytes come onto it. A disk with
 * the mark, and without another's file system above it, is begun anew, whatever else is on it, so power may be lost at any point: before the mark is
 * cleared there is nothing to lose, after that the file system is whole and at rest. What this needs of the disk is that a sector of 512 bytes is
 * written or not, and that what it was told to make durable is; once the disk is in use, ext4 needs the first of its superblock, 1024 bytes.
 *
 * A disk that was used is never taken for one that was begun: (1) nobody but init writes to /data before disk_start() is true, and init does not
 * before the mark is cleared durably; (2) the mark is written to disks without a file system alone, and to begun ones; (3) ext4 writes the first
 * bytes of the disk only as it has read them, with its superblock. Its journal has them too, mark and all, since growing: so the file system is
 * unmounted before the mark is cleared, which leaves nothing in the journal to be played back, and (4) disk_start() looks once more after each mount,
 * and does not use a disk that has the mark then.
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
 */
#ifndef INIT_DISK_H
#define INIT_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define DISK_LABEL "HERACLIUS-DATA"
#define DISK_MARK "/data/disk"
#define DISK_BEGUN "HERACLIUS-FORMATTING\n"

enum {
    DISK_BLANK_BYTES = 1 << 20, /* so much at both ends, and DISK_SAMPLES blocks between, must be zeros */
    DISK_SAMPLES = 64,
    DISK_BLOCK_BYTES = 4096,
    DISK_BYTES_MIN = 512 << 20, /* smaller blank disks are not taken */
    DISK_FREE_MIN = 4 << 20,    /* with less left it is full */
    DISK_BLOCKS_MAX = 4096,     /* of the shipped file system */
};

/* The stage; true: /data is there and writable. */
bool disk_start(void);
/* NULL: it is this machine's at its next start; else why not. */
const char *disk_adopt(void);
/* "vdb", "" if there is none. */
const char *disk_name(void);
uint64_t disk_bytes(void);

/* The parts that tests drive on files: what a disk is, and formatting it. */
enum disk_kind { DISK_UNREADABLE, DISK_DATA, DISK_BLANK, DISK_OTHER };
enum disk_kind disk_look(int fd, uint64_t bytes);
/* Blocks file: 8 bytes "HRCEXT4\1", u32 count, then count times u32 block number, 4096 bytes; little-endian, ascending. NULL: done; else why not. */
const char *disk_format(int fd, uint64_t bytes, const char *blocks_path);
/* The mark that disk_format() left is cleared: the last step, when the file system is as it shall be, and not mounted. NULL: done; else why not. */
const char *disk_format_end(int fd);

#endif
