/*
 * A log: its newest LOG_BYTES in memory, and on the data disk /data/log/NAME and NAME.1, at most LOG_FILE_BYTES each, in turn.
 *
 * What comes in is text of a program, hence hostile: bytes other than printable ASCII, tabs and ends of lines become '?'. Each line gets the time
 * since boot in front. Nothing waits for the disk but log_save(); what it could not write in time (more than LOG_BYTES since the last call, or a disk
 * that is full) is missing there and is said in the file.
 */
#ifndef INIT_LOG_H
#define INIT_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum { LOG_BYTES = 65536, LOG_FILE_BYTES = 1 << 20, LOG_CRASHES_MAX = 64, LOG_CRASH_BYTES_MAX = 1 << 20 };

struct log {
    char ring[LOG_BYTES]; /* byte number n lies at n % LOG_BYTES */
    unsigned long written, saved;
    bool in_line; /* the newest line has not ended */
};

void log_take(struct log *log, const char *bytes, size_t count);
/* The newest bytes, as many as fit; returns their count. */
size_t log_newest(const struct log *log, char *out, size_t size);
/* Appends what is new to folder/name; false: it could not, and tries again when it is called next. A folder that is not there is no fault. */
bool log_save(struct log *log, const char *folder, const char *name);

/* Records of crashes (pstore) are moved from one folder to another, where LOG_CRASHES_MAX are kept: the first ones, since they tell how it began;
 * those beyond are dropped. Returns how many there were. */
unsigned log_crashes(const char *from, const char *to);

#endif
