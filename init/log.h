/*
 * A log: its newest LOG_BYTES in memory, and on the data disk /data/log/NAME and NAME.1, at most LOG_FILE_BYTES each, in turn.
 *
 * What comes in is text of a program, hence hostile: bytes other than printable ASCII, tabs and ends of lines become '?'. Each line gets the time
 * since boot in front; in the file a line of its own says where the machine was started anew. Nothing waits for the disk but log_save(); what it
 * could not write in time (more than LOG_BYTES since the last call, or a disk that is full) is missing there and is said in the file.
 */
#ifndef INIT_LOG_H
#define INIT_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum { LOG_BYTES = 65536, LOG_FILE_BYTES = 1 << 20, LOG_CRASHES_MAX = 64, LOG_NAME_BYTES = 256 };
struct log {
    char ring[LOG_BYTES]; /* byte number n lies at n % LOG_BYTES */
    unsigned long written, saved;
    long before;    /* bytes of the file when this start began to write into it */
    unsigned turns; /* of the files since */
    bool begun;     /* it has written */
    bool in_line;   /* the newest line has not ended */
};
void log_take(struct log *log, const char *bytes, size_t count);
/* The newest bytes, as many as fit; returns their count. */
size_t log_newest(const struct log *log, char *out, size_t size);
/* Appends what is new to folder/name; false: it could not, and tries again when it is called next. A folder that is not there is no fault. */
bool log_save(struct log *log, const char *folder, const char *name);
/* The newest bytes that earlier starts of the machine wrote, as many as fit; returns their count. */
size_t log_before(const struct log *log, const char *folder, const char *name, char *out, size_t size);
/* Records of crashes (pstore, a folder) go into a log of their own, folder/crash, and are gone from there once they are durable: at most
 * LOG_CRASHES_MAX of them, by name, the last one first, as the kernel numbers the pieces of its log from the end. Returns how many. */
unsigned log_crashes(const char *from, const char *folder);
struct log *log_crash(void);

#endif
