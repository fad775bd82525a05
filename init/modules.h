/*
 * Kernel modules, from the table that the image carries (/etc/heraclius/modules, made by image/steps/kernel.py), one line each:
 *
 *   module NAME PATH [NEED ...]    a file, and what must be loaded before it, in order
 *   load NAME [WHEN]               at each boot; WHEN: /PATH: if that is there by then; !/PATH: if not; late: see modules_listed()
 *   alias PATTERN NAME             when a device's modalias fits the pattern
 *
 * Loading a bus's driver makes devices appear, so devices are asked again until nothing new comes. The files of the modules that nothing wanted are
 * removed from memory afterwards, but those below a folder `late`: the root is a RAM disk. Where there is a USB controller its devices are waited
 * for, until nothing new has come for MODULES_USB_QUIET turns, and all files stay: a stick may come later. Below a folder `disk` are the drivers at
 * whose loading the kernel reads disks. They come after all others that devices want, each in a process apart, and a disk that does not answer is
 * waited for no longer than MODULES_DISK_MS, and MODULES_SILENT_MS at each that comes after.
 */
#ifndef INIT_MODULES_H
#define INIT_MODULES_H

#include <stdbool.h>

enum { MODULES_MAX = 192, MODULES_TABLE_BYTES_MAX = 512 * 1024, MODULES_ROUNDS_MAX = 8, MODULES_NEEDS_MAX = 24 };
enum { MODULES_USB_PAUSE_US = 100000, MODULES_USB_QUIET = 15, MODULES_USB_TURNS = 80, MODULES_DISK_MS = 20000, MODULES_SILENT_MS = 3000 };

/* The stage. In the machine: "/etc/heraclius/modules", "/sys/bus". */
void modules_load(const char *table, const char *buses);
/* Those with `load`: `late` alone (file systems of disks that few machines have), or the others alone, which modules_load() does by itself. */
void modules_listed(bool late);
/* Devices that have come since, where there is USB. */
void modules_again(void);

#endif
