/*
 * The node's log: one line per event on stderr, `time level event key=value ...`, with a stable event name (appliance/README.md lists them).
 *
 *   2026-01-31T12:00:00.123Z info view_entered view=3 leader=c0-n3
 *
 * Contract
 *   Any thread. A line is written by one write(2). Each event name may write LOG_BURST lines and then LOG_PER_SECOND a second; what was left out
 * is told
 *   with the next line of that name (`suppressed=N`). Values with spaces, quotes or control bytes are quoted and escaped. Callers never pass a
 * key, a value or a
 *   secret of a client; ids are shortened to 8 bytes.
 */
#ifndef APPLIANCE_LOG_H
#define APPLIANCE_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };
enum { LOG_LINE_BYTES_MAX = 1024, LOG_BURST = 40, LOG_PER_SECOND = 5, LOG_EVENTS_MAX = 256 };

/* Lines below this level are not written. Default: info. */
void log_level_set(enum log_level level);
/* Fields of all lines of this process, such as "node=c0-n1"; NULL: none. */
void log_context_set(const char *fields);
/* event: a string literal. format gives `key=value` pairs; string values go through log_quote() unless they are known to be plain words. */
void log_event(enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Text as a quoted value, in `out`; returns out. */
const char *log_quote(const char *text, char *out, size_t room);
/* The first 8 bytes of an id as hex, in `out` (17 bytes); returns out. */
const char *log_id(const uint8_t *id, char out[17]);
/* Lines suppressed so far. */
uint64_t log_suppressed(void);

#endif
