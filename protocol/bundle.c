/* Armored blocks and bundles of them. */
#include "protocol/bundle.h"

#include <stdbool.h>
#include <string.h>

#include "merkle/bytes.h"
#include "merkle/check.h"
#include "merkle/sha256.h"
#include "protocol/addresses.h"
#include "protocol/card_request.h"
#include "protocol/claim.h"

static const struct {
    const char *label;
    size_t bytes_max;
} kinds[BUNDLE_KINDS] = {
    [BUNDLE_NODE_CONFIG] = {"NODE CONFIG", CLAIM_NODE_CONFIG_BYTES_MAX},
    [BUNDLE_SYSTEM] = {"SYSTEM", BUNDLE_TEXT_BYTES_MAX},
    [BUNDLE_ADDRESSES] = {"ADDRESSES", ADDRESSES_FILE_BYTES_MAX},
    [BUNDLE_CHAIN] = {"CHAIN", BUNDLE_CHAIN_BYTES_MAX},
    [BUNDLE_ADMIN_CERTIFICATE] = {"ADMIN CERTIFICATE", BUNDLE_PEM_BYTES_MAX},
    [BUNDLE_SYSLOG_CA] = {"SYSLOG CA", BUNDLE_PEM_BYTES_MAX},
    [BUNDLE_PREDECESSOR] = {"PREDECESSOR", BUNDLE_TEXT_BYTES_MAX},
    [BUNDLE_STATEMENT] = {"STATEMENT", CLAIM_SUCCESSOR_BYTES_MAX},
    [BUNDLE_CARD_REQUEST] = {"CARD REQUEST", CARD_REQUEST_BYTES},
};

static const char begin_words[] = "-----BEGIN HERACLIUS ", end_words[] = "-----END HERACLIUS ", dashes[] = "-----";
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { DIGITS_OF_BLOCK = 4, BYTES_OF_BLOCK = 3 };

const char *bundle_label(enum bundle_kind kind) {
    CHECK((unsigned)kind < BUNDLE_KINDS);
    return kinds[kind].label;
}

size_t bundle_bytes_max(enum bundle_kind kind) {
    CHECK((unsigned)kind < BUNDLE_KINDS);
    return kinds[kind].bytes_max;
}

/* ---- lines ---- */

struct lines {
    const uint8_t *text;
    size_t count, at;
    unsigned number;
    bool whole; /* the last line that was read has its end */
};

/* The next line without its end (LF, or CR LF; the last may have none). False: there is none. */
static bool line_next(struct lines *lines, const char **line, size_t *count) {
    if (lines->at == lines->count) return false;
    const uint8_t *from = lines->text + lines->at, *newline = memchr(from, '\n', lines->count - lines->at);
    *line = (const char *)from;
    *count = newline ? (size_t)(newline - from) : lines->count - lines->at;
    lines->at += *count + (newline ? 1 : 0);
    lines->whole = newline != NULL;
    lines->number++;
    if (*count > 0 && from[*count - 1] == '\r') (*count)--;
    return true;
}

/* The line is `words`, a label, five dashes. */
static bool line_frames(const char *line, size_t count, const char *words, const char **label, size_t *label_bytes) {
    size_t words_bytes = strlen(words);
    if (count < words_bytes + sizeof dashes - 1 || memcmp(line, words, words_bytes) != 0) return false;
    if (memcmp(line + count - (sizeof dashes - 1), dashes, sizeof dashes - 1) != 0) return false;
    *label = line + words_bytes;
    *label_bytes = count - words_bytes - (sizeof dashes - 1);
    return true;
}

static int kind_of(const char *label, size_t count) {
    for (int kind = 0; kind < BUNDLE_KINDS; kind++) {
        if (strlen(kinds[kind].label) == count && memcmp(kinds[kind].label, label, count) == 0) return kind;
    }
    return -1;
}

/* ---- base64 of one line, in place: each four digits are read before their three bytes are written at or before them ---- */

static int digit_value(uint8_t c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Bytes that the four digits give, 1 to 3; 0: none that base64 has. */
static size_t quartet(const uint8_t in[DIGITS_OF_BLOCK], uint8_t out[BYTES_OF_BLOCK]) {
    size_t bytes = in[3] != '=' ? 3 : in[2] != '=' ? 2 : 1;
    uint32_t bits = 0;
    for (size_t i = 0; i < DIGITS_OF_BLOCK; i++) {
        int value = i <= bytes ? digit_value(in[i]) : 0;
        if (value < 0) return 0;
        bits = bits << 6 | (uint32_t)value;
    }
    if ((bytes < 3 && (bits & 0xFF) != 0) || (bytes < 2 && (bits & 0xFFFF) != 0)) return 0; /* one text for each content */
    out[0] = (uint8_t)(bits >> 16);
    out[1] = (uint8_t)(bits >> 8);
    out[2] = (uint8_t)bits;
    return bytes;
}

/* Decodes a line to `out`, which is not beyond it. SIZE_MAX: it is no base64. *last: it ends the block's content. */
static size_t line_decode(const uint8_t *line, size_t count, uint8_t *out, bool *last) {
    size_t used = 0;
    if (count == 0 || count > BUNDLE_COLUMNS || count % DIGITS_OF_BLOCK != 0) return SIZE_MAX;
    *last = count < BUNDLE_COLUMNS;
    for (size_t i = 0; i < count; i += DIGITS_OF_BLOCK) {
        uint8_t bytes[BYTES_OF_BLOCK];
        size_t got = quartet(line + i, bytes);
        if (got == 0 || (got < BYTES_OF_BLOCK && i + DIGITS_OF_BLOCK != count)) return SIZE_MAX;
        if (got < BYTES_OF_BLOCK) *last = true;
        memcpy(out + used, bytes, got);
        used += got;
    }
    return used;
}

/* ---- blocks ---- */

static enum system_error body_decode(struct bundle_block *block, enum bundle_kind kind, struct lines *lines, struct system_fault *fault) {
    const char *line, *label, *what = kinds[kind].label;
    size_t count, label_bytes, used = 0;
    uint8_t *out = NULL;
    bool last = false;
    while (line_next(lines, &line, &count)) {
        if (line_frames(line, count, end_words, &label, &label_bytes)) {
            if (kind_of(label, label_bytes) != (int)kind) break;
            if (used == 0) return system_fault_set(fault, SYSTEM_TRUNCATED, "line %u: %s is empty", lines->number, what);
            *block = (struct bundle_block){.bytes = out, .count = used};
            return SYSTEM_OK;
        }
        if (!lines->whole) break;
        if (out == NULL) out = (uint8_t *)(uintptr_t)line; /* the text is the caller's to be written on */
        size_t got = last ? SIZE_MAX : line_decode((const uint8_t *)line, count, out + used, &last);
        if (got == SIZE_MAX && line_frames(line, count, begin_words, &label, &label_bytes)) break;
        if (got == SIZE_MAX) {
            return system_fault_set(fault, SYSTEM_NOT_CANONICAL, "line %u: is not base64 in lines of %d: a part of %s was lost or changed on the way",
                                    lines->number, BUNDLE_COLUMNS, what);
        }
        used += got;
        if (used > kinds[kind].bytes_max) {
            return system_fault_set(fault, SYSTEM_TOO_LARGE, "line %u: %s has more than %zu bytes", lines->number, what, kinds[kind].bytes_max);
        }
    }
    return system_fault_set(fault, SYSTEM_TRUNCATED, "line %u: %s has no end: the text was cut off, copy all of it", lines->number, what);
}

enum system_error bundle_decode(struct bundle *bundle, uint8_t *text, size_t count, struct system_fault *fault) {
    struct lines lines = {.text = text, .count = count};
    const char *line, *label;
    size_t line_bytes, label_bytes;
    int before = -1;
    memset(bundle, 0, sizeof *bundle);
    if (count > BUNDLE_TEXT_BYTES_MAX) {
        return system_fault_set(fault, SYSTEM_TOO_LARGE, "%zu bytes, at most %d are allowed", count, BUNDLE_TEXT_BYTES_MAX);
    }
    while (line_next(&lines, &line, &line_bytes)) {
        if (line_bytes == 0) continue;
        if (!line_frames(line, line_bytes, begin_words, &label, &label_bytes)) {
            return system_fault_set(fault, SYSTEM_NOT_CANONICAL, "line %u: is outside of a block: -----BEGIN HERACLIUS ...----- opens one",
                                    lines.number);
        }
        int kind = kind_of(label, label_bytes);
        if (kind < 0) return system_fault_set(fault, SYSTEM_FORMAT_UNKNOWN, "line %u: a block that this program does not know", lines.number);
        if (kind <= before) {
            return system_fault_set(fault, SYSTEM_ORDER, "line %u: %s stands twice, or before what it has to follow", lines.number,
                                    kinds[kind].label);
        }
        enum system_error error = body_decode(&bundle->blocks[kind], (enum bundle_kind)kind, &lines, fault);
        if (error) return error;
        before = kind;
    }
    return before >= 0 ? SYSTEM_OK : system_fault_set(fault, SYSTEM_TRUNCATED, "there is nothing in it");
}

enum system_error bundle_check(const struct bundle *bundle, struct system_fault *fault) {
    for (int kind = BUNDLE_NODE_CONFIG; kind <= BUNDLE_ADDRESSES; kind++) {
        if (!bundle->blocks[kind].bytes) return system_fault_set(fault, SYSTEM_FIELD_MISSING, "the block %s is missing", kinds[kind].label);
    }
    if (!bundle->blocks[BUNDLE_CARD_REQUEST].bytes) return SYSTEM_OK;
    return system_fault_set(fault, SYSTEM_FIELD_UNKNOWN, "a card request is no part of a configuration");
}

enum system_error bundle_check_request(const struct bundle *bundle, struct system_fault *fault) {
    for (int kind = 0; kind < BUNDLE_BLOCKS; kind++) {
        if (bundle->blocks[kind].bytes) return system_fault_set(fault, SYSTEM_FIELD_UNKNOWN, "%s is no part of a card request", kinds[kind].label);
    }
    return SYSTEM_OK; /* then it is there: a text without blocks does not decode */
}

/* ---- writing ---- */

static size_t frame_bytes(enum bundle_kind kind) {
    return sizeof begin_words - 1 + sizeof end_words - 1 + 2 * (strlen(kinds[kind].label) + sizeof dashes - 1 + 1);
}

size_t bundle_text_bytes(const struct bundle *bundle) {
    size_t all = 0;
    for (int kind = 0; kind < BUNDLE_KINDS; kind++) {
        const struct bundle_block *block = &bundle->blocks[kind];
        if (!block->bytes) continue;
        CHECK(block->count > 0 && block->count <= kinds[kind].bytes_max);
        size_t base64 = (block->count + BYTES_OF_BLOCK - 1) / BYTES_OF_BLOCK * DIGITS_OF_BLOCK;
        all += frame_bytes((enum bundle_kind)kind) + base64 + (base64 + BUNDLE_COLUMNS - 1) / BUNDLE_COLUMNS;
    }
    return all;
}

static void frame_put(struct bytes_writer *writer, const char *words, enum bundle_kind kind) {
    bytes_put_raw(writer, words, strlen(words));
    bytes_put_raw(writer, kinds[kind].label, strlen(kinds[kind].label));
    bytes_put_raw(writer, dashes, sizeof dashes - 1);
    bytes_put_u8(writer, '\n');
}

static void body_put(struct bytes_writer *writer, const struct bundle_block *block) {
    for (size_t i = 0, column = 0; i < block->count; i += BYTES_OF_BLOCK) {
        size_t left = block->count - i;
        uint32_t bits = (uint32_t)block->bytes[i] << 16 | (left > 1 ? (uint32_t)block->bytes[i + 1] << 8 : 0) | (left > 2 ? block->bytes[i + 2] : 0u);
        for (size_t j = 0; j < DIGITS_OF_BLOCK; j++) {
            bytes_put_u8(writer, j <= left ? (uint8_t)digits[bits >> (18 - 6 * j) & 63] : (uint8_t)'=');
        }
        column += DIGITS_OF_BLOCK;
        if (column < BUNDLE_COLUMNS && left > BYTES_OF_BLOCK) continue;
        bytes_put_u8(writer, '\n');
        column = 0;
    }
}

size_t bundle_encode(const struct bundle *bundle, char *out) {
    size_t room = bundle_text_bytes(bundle);
    struct bytes_writer writer = bytes_writer_of((uint8_t *)out, room);
    for (int kind = 0; kind < BUNDLE_KINDS; kind++) {
        if (!bundle->blocks[kind].bytes) continue;
        frame_put(&writer, begin_words, (enum bundle_kind)kind);
        body_put(&writer, &bundle->blocks[kind]);
        frame_put(&writer, end_words, (enum bundle_kind)kind);
    }
    CHECK(!writer.failed && writer.used == room);
    return room;
}

/* ---- hash ---- */

enum { HASHED_HEAD_BYTES = 8 };

void bundle_hash(const struct bundle *bundle, uint8_t out[32]) {
    struct sha256_state state;
    sha256_init_prefixed(&state, HASH_BUNDLE);
    for (int kind = BUNDLE_SYSTEM; kind < BUNDLE_BLOCKS; kind++) {
        const struct bundle_block *block = &bundle->blocks[kind];
        uint8_t head[HASHED_HEAD_BYTES];
        if (!block->bytes) continue;
        struct bytes_writer writer = bytes_writer_of(head, sizeof head);
        bytes_put_u32(&writer, (uint32_t)kind);
        bytes_put_u32(&writer, (uint32_t)block->count);
        sha256_update(&state, head, sizeof head);
        sha256_update(&state, block->bytes, block->count);
    }
    sha256_final(&state, out);
}
