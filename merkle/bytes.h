/*
 * Little-endian bytes: fixed-width put and get, a reader and a writer that cannot leave their bounds (spec/conventions.md C-1, C-2).
 *
 * Contract
 *   Both are plain values on the caller's stack, own nothing and allocate nothing; the bytes that they walk must outlive them.
 *   Failure is sticky: after a read beyond the end (or a write beyond the room) every later call is harmless, reads give 0 (or NULL), and the one
 *   test at the end tells. A decoder reads all its fields into locals, asks bytes_finished() (the whole item read, nothing left over), and only
 *   then believes them. bytes_get_raw() returns a pointer into the source, not a copy.
 *
 *       struct bytes_cursor cursor = bytes_cursor_of(frame, frame_bytes);
 *       uint64_t height = bytes_get_u64(&cursor);
 *       const uint8_t *id = bytes_get_raw(&cursor, 32);
 *       if (!bytes_finished(&cursor)) return BAD;       // id is not NULL from here on
 */
#ifndef MERKLE_BYTES_H
#define MERKLE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BYTES_HASH = 32 };

/* Fixed width, any alignment. */

static inline void bytes_put_le16(uint8_t *at, uint16_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static inline void bytes_put_le32(uint8_t *at, uint32_t value) {
    bytes_put_le16(at, (uint16_t)value);
    bytes_put_le16(at + 2, (uint16_t)(value >> 16));
}

static inline void bytes_put_le64(uint8_t *at, uint64_t value) {
    bytes_put_le32(at, (uint32_t)value);
    bytes_put_le32(at + 4, (uint32_t)(value >> 32));
}

static inline uint16_t bytes_get_le16(const uint8_t *at) {
    return (uint16_t)(at[0] | (unsigned)at[1] << 8);
}

static inline uint32_t bytes_get_le32(const uint8_t *at) {
    return (uint32_t)bytes_get_le16(at) | (uint32_t)bytes_get_le16(at + 2) << 16;
}

static inline uint64_t bytes_get_le64(const uint8_t *at) {
    return (uint64_t)bytes_get_le32(at) | (uint64_t)bytes_get_le32(at + 4) << 32;
}

/* Reader. `at` is the next byte, `left` how many there are from it on. */

struct bytes_cursor {
    const uint8_t *at;
    size_t left;
    bool failed;
};

static inline struct bytes_cursor bytes_cursor_of(const void *bytes, size_t count) {
    struct bytes_cursor cursor = {.at = (const uint8_t *)bytes, .left = count, .failed = false};
    return cursor;
}

/* A pointer to the next `count` bytes, which are then behind the cursor; NULL if there are fewer (count 0 never fails by itself, but may give NULL
 * when the source is NULL). */
static inline const uint8_t *bytes_get_raw(struct bytes_cursor *cursor, size_t count) {
    if (cursor->failed || count > cursor->left) {
        cursor->failed = true;
        return NULL;
    }
    const uint8_t *at = cursor->at;
    if (count > 0) {
        cursor->at += count;
        cursor->left -= count;
    }
    return at;
}

static inline uint8_t bytes_get_u8(struct bytes_cursor *cursor) {
    const uint8_t *at = bytes_get_raw(cursor, 1);
    return at ? at[0] : 0;
}

static inline uint16_t bytes_get_u16(struct bytes_cursor *cursor) {
    const uint8_t *at = bytes_get_raw(cursor, 2);
    return at ? bytes_get_le16(at) : 0;
}

static inline uint32_t bytes_get_u32(struct bytes_cursor *cursor) {
    const uint8_t *at = bytes_get_raw(cursor, 4);
    return at ? bytes_get_le32(at) : 0;
}

static inline uint64_t bytes_get_u64(struct bytes_cursor *cursor) {
    const uint8_t *at = bytes_get_raw(cursor, 8);
    return at ? bytes_get_le64(at) : 0;
}

static inline int64_t bytes_get_i64(struct bytes_cursor *cursor) {
    uint64_t bits = bytes_get_u64(cursor);
    int64_t value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Copies `count` bytes to `out`; on failure `out` is all zero and the result false. */
static inline bool bytes_get_copy(struct bytes_cursor *cursor, void *out, size_t count) {
    const uint8_t *at = bytes_get_raw(cursor, count);
    if (count == 0) return !cursor->failed;
    if (!at) {
        memset(out, 0, count);
        return false;
    }
    memcpy(out, at, count);
    return true;
}

/* Copies 32 bytes to `out`; on failure `out` is all zero and the result false. */
static inline bool bytes_get_hash(struct bytes_cursor *cursor, uint8_t out[BYTES_HASH]) {
    return bytes_get_copy(cursor, out, BYTES_HASH);
}

/* For a check of the decoder's own (a value out of range): fails the cursor unless `valid`. */
static inline void bytes_require(struct bytes_cursor *cursor, bool valid) {
    if (!valid) cursor->failed = true;
}

/* True iff nothing failed and every byte was read. */
static inline bool bytes_finished(const struct bytes_cursor *cursor) {
    return !cursor->failed && cursor->left == 0;
}

/* Writer. `used` counts the bytes written so far, never more than `room`; after an overflow nothing more is written and `failed` stays true. */

struct bytes_writer {
    uint8_t *base;
    size_t room;
    size_t used;
    bool failed;
};

static inline struct bytes_writer bytes_writer_of(void *base, size_t room) {
    struct bytes_writer writer = {.base = (uint8_t *)base, .room = room, .used = 0, .failed = false};
    return writer;
}

/* Room for `count` bytes that the caller fills in itself; NULL when they do not fit. */
static inline uint8_t *bytes_put_space(struct bytes_writer *writer, size_t count) {
    if (writer->failed || count > writer->room - writer->used) {
        writer->failed = true;
        return NULL;
    }
    uint8_t *at = writer->base + writer->used;
    writer->used += count;
    return at;
}

static inline void bytes_put_u8(struct bytes_writer *writer, uint8_t value) {
    uint8_t *at = bytes_put_space(writer, 1);
    if (at) at[0] = value;
}

static inline void bytes_put_u16(struct bytes_writer *writer, uint16_t value) {
    uint8_t *at = bytes_put_space(writer, 2);
    if (at) bytes_put_le16(at, value);
}

static inline void bytes_put_u32(struct bytes_writer *writer, uint32_t value) {
    uint8_t *at = bytes_put_space(writer, 4);
    if (at) bytes_put_le32(at, value);
}

static inline void bytes_put_u64(struct bytes_writer *writer, uint64_t value) {
    uint8_t *at = bytes_put_space(writer, 8);
    if (at) bytes_put_le64(at, value);
}

static inline void bytes_put_i64(struct bytes_writer *writer, int64_t value) {
    bytes_put_u64(writer, (uint64_t)value);
}

static inline void bytes_put_raw(struct bytes_writer *writer, const void *bytes, size_t count) {
    if (count == 0) return;
    uint8_t *at = bytes_put_space(writer, count);
    if (at) memcpy(at, bytes, count);
}

static inline void bytes_put_hash(struct bytes_writer *writer, const uint8_t hash[BYTES_HASH]) {
    bytes_put_raw(writer, hash, BYTES_HASH);
}

#endif
