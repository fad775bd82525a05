/*
 * A page of the console: lines of printable ASCII that fit the window. Pure; bounded: what does not fit is left out and the page says so.
 *
 * A line has a label and a text; what is longer than the window goes on below, under the text, broken between words where that can be.
 */
#ifndef APPLIANCE_CONSOLE_PAGE_H
#define APPLIANCE_CONSOLE_PAGE_H

#include <stdbool.h>
#include <stddef.h>

enum {
    PAGE_BYTES = 16384,
    PAGE_LINE_BYTES = 512,  /* of one text, before it is broken */
    PAGE_WIDTH_MIN = 20,    /* a narrower window is written to as if it were so wide */
    PAGE_WIDTH_MAX = 132,
    PAGE_LABEL_COLUMNS = 11 /* of a label (cut to that) with at least a blank */
};

struct console_page {
    unsigned width, rows; /* rows: 0, as many as there are */
    unsigned lines;
    bool cut; /* lines were left out */
    size_t used, last; /* where the last line begins */
    char text[PAGE_BYTES]; /* lines, each with '\n'; a NUL after them */
};

void console_page_begin(struct console_page *page, unsigned width, unsigned rows);
/* `label` may be "": then the text stands where a label would. */
void console_page_put(struct console_page *page, const char *label, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The last line of a page from which lines were left out says so. */
void console_page_end(struct console_page *page, const char *how_to_see_all);

/* "1.5 GiB", "17 KiB". */
void console_page_bytes(char out[32], unsigned long long bytes);
/* "3 d 04:05", "04:05:06". */
void console_page_time(char out[32], unsigned long long ms);

#endif
