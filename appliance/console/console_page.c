#include "appliance/console/console_page.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "appliance/console/console_facts.h"

void console_page_begin(struct console_page *page, unsigned width, unsigned rows) {
    page->width = width < PAGE_WIDTH_MIN ? PAGE_WIDTH_MIN : width > PAGE_WIDTH_MAX ? PAGE_WIDTH_MAX : width;
    page->rows = rows;
    page->lines = 0;
    page->cut = false;
    page->used = page->last = 0;
    page->text[0] = '\0';
}

/* One line of the window. */
static void row_put(struct console_page *page, const char *label, const char *text, int count) {
    size_t room = sizeof page->text - page->used;
    int columns = label ? PAGE_LABEL_COLUMNS : 0;
    if ((page->rows && page->lines == page->rows) || room < (size_t)PAGE_WIDTH_MAX + 2) {
        page->cut = true;
        return;
    }
    page->last = page->used;
    int wrote = snprintf(page->text + page->used, room, "%-*.*s%.*s", columns, columns ? columns - 1 : 0, label ? label : "", count, text);
    if (wrote < 0) return;
    page->used += (size_t)wrote;
    while (page->used > 0 && page->text[page->used - 1] == ' ') page->used--;
    page->text[page->used++] = '\n';
    page->text[page->used] = '\0';
    page->lines++;
}

void console_page_put(struct console_page *page, const char *label, const char *format, ...) {
    char raw[PAGE_LINE_BYTES], text[PAGE_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int wrote = vsnprintf(raw, sizeof raw, format, arguments);
    va_end(arguments);
    if (wrote < 0) return;
    console_facts_text(text, sizeof text, raw, strlen(raw));
    bool labelled = label[0] != '\0';
    size_t columns = page->width - 1 - (labelled ? PAGE_LABEL_COLUMNS : 0); /* the last column stays free: some terminals break the line there */
    const char *at = text;
    for (bool first = true; first || *at; first = false) {
        size_t count = strlen(at), next;
        if (count > columns) {
            for (count = columns; count > columns / 2 && at[count] != ' '; count--) continue;
            if (at[count] != ' ') count = columns;
        }
        for (next = count; at[next] == ' '; next++) continue;
        row_put(page, !labelled ? NULL : first ? label : " ", at, (int)count);
        at += next;
    }
}

void console_page_end(struct console_page *page, const char *how_to_see_all) {
    if (!page->cut || page->lines == 0) return;
    page->used = page->last;
    page->lines--;
    row_put(page, NULL, how_to_see_all, (int)strnlen(how_to_see_all, page->width - 1));
}

void console_page_bytes(char out[32], unsigned long long bytes) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    if (bytes < 1024) {
        snprintf(out, 32, "%llu B", bytes);
        return;
    }
    while (bytes >= 1024 * 1024 && unit + 1 < sizeof units / sizeof *units) bytes /= 1024, unit++;
    if (bytes < 10240)
        snprintf(out, 32, "%llu.%llu %s", bytes / 1024, bytes % 1024 * 10 / 1024, units[unit]);
    else
        snprintf(out, 32, "%llu %s", bytes / 1024, units[unit]);
}

void console_page_time(char out[32], unsigned long long ms) {
    unsigned long long s = ms / 1000, days = s / 86400;
    if (days > 0)
        snprintf(out, 32, "%llu d %02llu:%02llu", days, s / 3600 % 24, s / 60 % 60);
    else
        snprintf(out, 32, "%02llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
}
