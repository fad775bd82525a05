/*
 * The data disk, mounted at /data; where configurations and the boot partition are. init reads no block device: heraclius-disk
 * (appliance/disk/disk.h) looks at all of them, says which is to be the data disk, and makes one of a blank disk; mounting and growing are work of a
 * process apart (job.h). So a disk that does not answer is said, and gone on without. A disk that came late is used if it is a data disk, and never
 * formatted.
 *
 * A data disk belongs to a machine: the file DISK_MARK on it has that machine's identity (SMBIOS's UUID, a device tree's serial number;
 * DISK_NAMELESS: one that has none and adopted it) from its first start there. On another machine it is named and not used until somebody says that
 * the first one is off for good (disk_adopt()): a disk that was copied or put into a second machine must not make its node vote twice. After the
 * mainboard was changed that is to be said, too. A machine without an identity makes no mark, and takes a disk that has none.
 */
#ifndef INIT_DISK_H
#define INIT_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define DISK_MARK "/data/disk"
#define DISK_NAMELESS "none"

enum { DISK_USER = 109, DISK_NAME_BYTES = 32, DISK_FREE_MIN = 4 << 20 }; /* with less left it is full */
enum { DISK_BLANK_MS = 150000, DISK_WORK_MS = 120000 }; /* for what is read of one that seems blank; for mounting (a journal), growing, formatting */

/* The stage. */
void disk_start(void);
/* Looks at what has appeared since, and whether /data can still be written. What may be there now and was not: */
enum { DISK_CAME = 1, DISK_CAME_DATA = 2 };
unsigned disk_again(void);
/* NULL: it is this machine's at its next start; else why not. */
const char *disk_adopt(void);
/* "vdb", "" if there is none. */
const char *disk_name(void);
uint64_t disk_bytes(void);

/* Calls `each` for every device with a configuration on it; `file_system`: what to mount it as. */
typedef void disk_config(const char *name, const char *file_system);
void disk_configs(disk_config *each);
/* How many boot partitions there are, of which it is not known that they are not this machine's; and the name of one. */
unsigned disk_boots(char name[DISK_NAME_BYTES]);

#endif
