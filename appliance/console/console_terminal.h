/*
 * The console's line: standard input and output, a serial line or anything else. Lines are edited by libedit, which sees only what
 * console_input.h lets through. One of it a process; one thread.
 *
 *   - A reader that takes nothing never holds the process up: what could not be written for OUTPUT_MS is thrown away, and how much is said later.
 *   - A line of input is at most INPUT_LINE_MAX characters; more is dropped and counted.
 *   - No flow control by characters and no signals by keys: noise shall not stop the line.
 *   - The terminal's description is compiled in (TERM is not looked at): the few sequences that every terminal since the VT100 has.
 */
#ifndef APPLIANCE_CONSOLE_TERMINAL_H
#define APPLIANCE_CONSOLE_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INPUT_LINE_MAX = 200, HISTORY_LINES = 100, OUTPUT_MS = 2000, SETTLE_MS = 5000, TERMINAL_WIDTH = 80, TERMINAL_ROWS = 24 };

enum terminal_event {
    TERMINAL_LINE,
    TERMINAL_CANCELLED, /* ctrl-C */
    TERMINAL_SILENT,    /* not in time */
    TERMINAL_ENDED      /* hung up, or this process was asked to end */
};

/* The candidate number `i` that may stand where `word_index` words stand before it in `line`; NULL: no more. */
typedef const char *terminal_candidate(const char *line, unsigned word_index, unsigned i);

/* False: no memory, or libedit cannot. */
bool console_terminal_start(terminal_candidate *candidate) __attribute__((warn_unused_result));
/* The line as it was found. */
void console_terminal_end(void);

/* One line, without its end, until the next call; `wait_ms` without a key: SILENT, 0: for ever. `kept`: it goes into the history. */
enum terminal_event console_terminal_line(const char *prompt, int wait_ms, bool kept, const char **line) __attribute__((warn_unused_result));
/* Bytes as they come; 0: none within the time; below 0: ended. */
int console_terminal_bytes(uint8_t *bytes, size_t size, int wait_ms) __attribute__((warn_unused_result));
/* What was typed ahead is forgotten. */
void console_terminal_forget(void);

/* Text for people: '\n' ends a line, what else is not printable ASCII is shown as '?'. */
void console_terminal_write(const char *text, size_t count);
void console_terminal_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Of the window; 80 x 24 when it does not say. */
void console_terminal_size(unsigned *width, unsigned *rows);
/* How many bytes were dropped since this was last asked: of input that no terminal sends, of output that nobody took. */
uint64_t console_terminal_noise(void);
uint64_t console_terminal_lost(void);

#endif
