/*
 * What comes in on the console's line, byte by byte. Pure. A serial line is noisy, and anybody's terminal is at its other end, so a line editor
 * gets to see only what it needs: printable ASCII, line ends, and a handful of keys as one control byte each, arrow keys among them. Everything
 * else is dropped and counted, so no byte sequence reaches the editor's rarer commands.
 *
 * And what is pasted as a configuration (console_paste): armored blocks, one after another.
 *
 *   -----BEGIN HERACLIUS X-----
 *   base64, at most PASTE_COLUMNS_MAX characters a line
 *   -----END HERACLIUS X-----
 *
 * Between blocks: blank lines; "." ends the paste, and so does silence after a block, which is for the caller to measure.
 */
#ifndef APPLIANCE_CONSOLE_INPUT_H
#define APPLIANCE_CONSOLE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KEY_NONE = -1,
    KEY_HOME = 1,
    KEY_LEFT = 2,
    KEY_CANCEL = 3,
    KEY_DELETE = 4,
    KEY_END = 5,
    KEY_RIGHT = 6,
    KEY_BACKSPACE = 8,
    KEY_COMPLETE = 9,
    KEY_ENTER = 10,
    KEY_CUT_END = 11,
    KEY_REDRAW = 12,
    KEY_DOWN = 14,
    KEY_UP = 16,
    KEY_CUT_ALL = 21,
    KEY_CUT_WORD = 23
};

enum { INPUT_SEQUENCE_MAX = 16 };

struct console_input {
    enum { INPUT_PLAIN, INPUT_RETURN, INPUT_ESCAPE, INPUT_SEQUENCE, INPUT_ONE_MORE } state; /* RETURN: a line feed behind it is the same line end */
    unsigned parameter, count; /* of a sequence ESC [ ... */
    uint64_t dropped;
};

/* The key that this byte makes, printable ASCII as itself; KEY_NONE: none, or not yet. */
int console_input_byte(struct console_input *input, uint8_t byte);

enum { PASTE_COLUMNS_MAX = 76, PASTE_LINE_BYTES = 96, PASTE_KIND_BYTES = 48, PASTE_FAULT_BYTES = 160 };

enum console_paste_event {
    PASTE_MORE, /* nothing yet */
    PASTE_LINE, /* paste->line is a line of a block, to be kept */
    PASTE_DONE, /* "." */
    PASTE_FAULT /* paste->fault says what and where; everything that follows is refused too */
};

struct console_paste {
    char line[PASTE_LINE_BYTES], kind[PASTE_KIND_BYTES], fault[PASTE_FAULT_BYTES];
    size_t used, bytes; /* bytes: of all lines to be kept */
    unsigned lines, blocks;
    bool inside; /* a block that has begun and not ended */
    bool taken;  /* the line in `line` was handed out */
    uint64_t dropped;
};

enum console_paste_event console_paste_byte(struct console_paste *paste, uint8_t byte);

#endif
