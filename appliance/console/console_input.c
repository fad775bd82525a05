#include "appliance/console/console_input.h"

#include <stdio.h>
#include <string.h>

static int dropped(struct console_input *input) {
    input->dropped++;
    return KEY_NONE;
}

/* The end of ESC [ parameter. */
static int sequence_key(const struct console_input *input, uint8_t final) {
    switch (final) {
    case 'A': return KEY_UP;
    case 'B': return KEY_DOWN;
    case 'C': return KEY_RIGHT;
    case 'D': return KEY_LEFT;
    case 'H': return KEY_HOME;
    case 'F': return KEY_END;
    case '~': break;
    default: return KEY_NONE;
    }
    if (input->parameter == 1 || input->parameter == 7) return KEY_HOME;
    if (input->parameter == 4 || input->parameter == 8) return KEY_END;
    return input->parameter == 3 ? KEY_DELETE : KEY_NONE;
}

static int sequence_byte(struct console_input *input, uint8_t byte) {
    if (byte >= '0' && byte <= '9' && input->parameter < 100) input->parameter = 10 * input->parameter + (byte - '0');
    if (byte >= 0x20 && byte < 0x40 && ++input->count < INPUT_SEQUENCE_MAX) return KEY_NONE;
    input->state = INPUT_PLAIN;
    int key = byte >= 0x40 && byte <= 0x7e ? sequence_key(input, byte) : KEY_NONE;
    if (key == KEY_NONE) input->dropped++;
    return key;
}

static int plain_byte(struct console_input *input, uint8_t byte) {
    if (byte >= ' ' && byte <= '~') return byte;
    switch (byte) {
    case '\r': input->state = INPUT_RETURN; return KEY_ENTER;
    case 0x1b: input->state = INPUT_ESCAPE; return KEY_NONE;
    case 0x7f: return KEY_BACKSPACE;
    case KEY_HOME:
    case KEY_LEFT:
    case KEY_CANCEL:
    case KEY_DELETE:
    case KEY_END:
    case KEY_RIGHT:
    case KEY_BACKSPACE:
    case KEY_COMPLETE:
    case KEY_ENTER:
    case KEY_CUT_END:
    case KEY_REDRAW:
    case KEY_DOWN:
    case KEY_UP:
    case KEY_CUT_ALL:
    case KEY_CUT_WORD: return byte;
    default: return dropped(input);
    }
}

int console_input_byte(struct console_input *input, uint8_t byte) {
    switch (input->state) {
    case INPUT_RETURN:
        input->state = INPUT_PLAIN;
        return byte == '\n' ? KEY_NONE : plain_byte(input, byte);
    case INPUT_ESCAPE:
        input->state = byte == '[' ? INPUT_SEQUENCE : byte == 'O' ? INPUT_ONE_MORE : INPUT_PLAIN;
        input->parameter = input->count = 0;
        if (input->state != INPUT_PLAIN) return KEY_NONE;
        input->dropped++;
        return plain_byte(input, byte);
    case INPUT_SEQUENCE: return sequence_byte(input, byte);
    case INPUT_ONE_MORE: {
        input->state = INPUT_PLAIN;
        int key = byte == '~' ? KEY_NONE : sequence_key(input, byte);
        return key == KEY_NONE ? dropped(input) : key;
    }
    default: return plain_byte(input, byte);
    }
}

/* ---------------------------------------------------------------- a pasted configuration */

/* "-----WORD HERACLIUS X-----": copies X. */
static bool frame_of(const char *line, const char *word, char kind[PASTE_KIND_BYTES]) {
    char head[32];
    int head_bytes = snprintf(head, sizeof head, "-----%s HERACLIUS ", word);
    size_t length = strlen(line);
    if (strncmp(line, head, (size_t)head_bytes) != 0 || length < (size_t)head_bytes + 6 || strcmp(line + length - 5, "-----") != 0) return false;
    size_t bytes = length - (size_t)head_bytes - 5;
    if (bytes >= PASTE_KIND_BYTES) return false;
    for (size_t i = 0; i < bytes; i++) {
        char c = line[head_bytes + (int)i];
        if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') && c != ' ') return false;
    }
    memcpy(kind, line + head_bytes, bytes);
    kind[bytes] = '\0';
    return true;
}

static bool is_base64(const char *line) {
    size_t length = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
    size_t padding = strspn(line + length, "=");
    return length > 0 && padding <= 2 && line[length + padding] == '\0' && length + padding <= PASTE_COLUMNS_MAX;
}

static enum console_paste_event fault(struct console_paste *paste, const char *text) {
    snprintf(paste->fault, sizeof paste->fault, "line %u of the paste (blank ones apart): %s", paste->lines, text);
    return PASTE_FAULT;
}

static enum console_paste_event kept(struct console_paste *paste) {
    paste->bytes += strlen(paste->line) + 1;
    return PASTE_LINE;
}

static enum console_paste_event line_take(struct console_paste *paste) {
    char kind[PASTE_KIND_BYTES];
    paste->lines++;
    if (!paste->inside) {
        if (strcmp(paste->line, ".") == 0) return PASTE_DONE;
        if (!frame_of(paste->line, "BEGIN", paste->kind)) return fault(paste, "it begins no block (-----BEGIN HERACLIUS ...-----)");
        paste->inside = true;
        return kept(paste);
    }
    if (frame_of(paste->line, "END", kind)) {
        if (strcmp(kind, paste->kind) != 0) return fault(paste, "it ends another block than the one that began");
        paste->inside = false;
        paste->blocks++;
        return kept(paste);
    }
    return is_base64(paste->line) ? kept(paste) : fault(paste, "it is neither base64 nor the end of the block; a byte may have been lost");
}

enum console_paste_event console_paste_byte(struct console_paste *paste, uint8_t byte) {
    if (paste->fault[0]) return PASTE_FAULT;
    if (paste->taken) paste->used = 0;
    paste->taken = false;
    if (byte == '\r' || byte == '\n') { /* CR LF is a line end and an empty line, which means nothing anywhere */
        while (paste->used > 0 && paste->line[paste->used - 1] == ' ') paste->used--;
        paste->line[paste->used] = '\0';
        paste->taken = true;
        return paste->used == 0 ? PASTE_MORE : line_take(paste);
    }
    if (byte < ' ' || byte > '~') {
        paste->dropped++;
        return PASTE_MORE;
    }
    if (paste->used == 0 && byte == ' ') return PASTE_MORE;
    if (paste->used + 1 >= sizeof paste->line) {
        paste->lines++;
        return fault(paste, "it is too long");
    }
    paste->line[paste->used++] = (char)byte;
    return PASTE_MORE;
}
