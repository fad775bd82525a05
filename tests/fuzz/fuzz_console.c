/*
 * The console on hostile answers (appliance/console/console_facts.c, console_look.c, console_views.c), and on a hostile line (console_input.c).
 *
 *   byte 0   columns of the window
 *   byte 1   its rows; odd: the line, even: the answers
 *   byte 2   answers: which part of the rest, in 256ths, the node says; init says what remains
 *
 * Whatever is answered, every page is printable ASCII, fits the window and its place, and a verdict has a reason unless both answers are whole.
 * Whatever comes by the line, only the keys of console_input.h reach the editor, and every line that a paste keeps is short and has no noise in it.
 */
#include <stdlib.h>
#include <string.h>

#include "appliance/console/console_input.h"
#include "appliance/console/console_look.h"
#include "merkle/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct console_facts facts;
static struct console_page page;
static struct console_verdict verdict;

static void page_check(unsigned width, unsigned rows) {
    unsigned columns = 0, lines = 0;
    CHECK(page.used < sizeof page.text && strlen(page.text) == page.used);
    for (size_t i = 0; i < page.used; i++) {
        char c = page.text[i];
        CHECK(c == '\n' || (c >= ' ' && c <= '~'));
        columns = c == '\n' ? 0 : columns + 1;
        lines += c == '\n';
        CHECK(columns < (width < PAGE_WIDTH_MIN ? PAGE_WIDTH_MIN : width));
    }
    CHECK(columns == 0 && lines == page.lines && (rows == 0 || lines <= rows));
}

static void answers(const uint8_t *data, size_t size, unsigned width, unsigned rows) {
    static void (*const views[])(const struct console_facts *, struct console_page *) = {
        console_look_status, console_look_links, console_look_disk, console_look_votes, console_look_evidence, console_look_config};
    size_t cut = (size - 1) * data[0] / 255;
    bool node = console_facts_node(&facts.node, (const char *)data + 1, cut);
    bool init = console_facts_init(&facts.init, (const char *)data + 1 + cut, size - 1 - cut);
    CHECK(node == !facts.node.fault[0] && init == !facts.init.fault[0]);
    console_look_judge(&facts, &verdict);
    CHECK(verdict.count <= LOOK_REASONS_MAX && (verdict.count > 0 || (node && init)));
    int more = 0;
    CHECK(console_look_may_fail(&facts.node, &more) == node && more <= FACT_MEMBERS_MAX && more >= -FACT_MEMBERS_MAX);
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) {
        console_page_begin(&page, width, rows);
        views[i](&facts, &page);
        console_page_end(&page, "(more)");
        page_check(width, rows);
    }
    console_page_begin(&page, width, rows);
    console_look_cost(&facts, true, &page);
    page_check(width, rows);
}

static void line(const uint8_t *data, size_t size) {
    struct console_input input;
    struct console_paste paste;
    size_t bytes = 0;
    memset(&input, 0, sizeof input);
    memset(&paste, 0, sizeof paste);
    for (size_t i = 0; i < size; i++) {
        int key = console_input_byte(&input, data[i]);
        CHECK(key == KEY_NONE || (key >= ' ' && key <= '~') || (key > 0 && key < ' ' && key != 0x1b && key != '\r'));
        if (console_paste_byte(&paste, data[i]) != PASTE_LINE) continue;
        size_t length = strlen(paste.line);
        CHECK(length > 0 && length < PASTE_LINE_BYTES);
        for (size_t c = 0; c < length; c++) CHECK(paste.line[c] >= ' ' && paste.line[c] <= '~');
        bytes += length + 1;
    }
    CHECK(bytes == paste.bytes && input.dropped <= size && paste.dropped <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    if (data[1] & 1)
        line(data + 2, size - 2);
    else
        answers(data + 2, size - 2, data[0], data[1] / 2);
    return 0;
}
