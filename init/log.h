/*
 * A log: its newest LOG_BYTES in memory, handed on to heraclius-logs, which has it on the data disk (appliance/logs/logs.h).
 *
 * What comes in is text of a program, hence hostile: bytes other than printable ASCII, tabs and ends of lines become '?'. Each line gets the time
 * since boot in front. Nothing waits for heraclius-logs: what it did not take before LOG_BYTES more had come is missing on the disk, and said there.
 */
#ifndef INIT_LOG_H
#define INIT_LOG_H

#include <stdbool.h>
#include <stddef.h>

#define LOG_FOLDER "/run/log" /* what heraclius-logs has found of earlier starts: NAME.before; of a kernel that crashed: crash, crash.before */

enum { LOG_BYTES = 65536, LOG_PACKET_BYTES = 16384, LOG_USER = 110 };
struct log {
    char ring[LOG_BYTES];         /* byte number n lies at n % LOG_BYTES */
    unsigned long written, saved; /* saved: handed on */
    bool in_line;                 /* the newest line has not ended */
};
void log_take(struct log *log, const char *bytes, size_t count);
/* The newest bytes, as many as fit; returns their count. */
size_t log_newest(const struct log *log, char *out, size_t size);
/* Sends what is new to heraclius-logs, as much as it has room for; the rest when it is called next. */
void log_hand_on(struct log *log, const char *name, int to);
/* The newest bytes of a file in LOG_FOLDER, NAME and what is behind it; returns their count. */
size_t log_tail(const char *name, const char *more, char *out, size_t size);

#endif
