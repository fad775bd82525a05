/*
 * Blobs: immutable bytes with a count of holders, which is how payloads go from link to replica to store to link without a copy.
 *
 * Contract
 *   A blob is made by one thread, filled in, and not written after it was handed on. Every holder has a reference: blob_hold() takes one more,
 *   blob_drop() gives one back; the last one frees it (or calls `release` when the bytes belong to somebody else). Both may be called by any thread.
 *   bytes live as long as any reference does.
 *
 * Limits
 *   Who makes blobs accounts for them (the input pool's limits, the links' keep limits); blob_live_bytes() is the sum over the process.
 */
#ifndef APPLIANCE_BLOB_H
#define APPLIANCE_BLOB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct blob {
    atomic_uint holders;
    size_t count;
    uint8_t *bytes;
    void (*release)(struct blob *blob); /* NULL: bytes lie behind this struct; frees blob and bytes otherwise */
    void *context;                      /* of release */
};

/* A blob of `count` bytes, not initialised, one holder. Never NULL: without memory the node stops (CHECK). */
struct blob *blob_make(size_t count);
/* The same with a copy of the bytes. */
struct blob *blob_copy(const void *bytes, size_t count);
/* Wraps bytes of somebody else's; release(blob) is called at the last drop, gives the bytes back and then calls blob_wrapper_free. */
struct blob *blob_wrap(uint8_t *bytes, size_t count, void (*release)(struct blob *blob), void *context);
void blob_wrapper_free(struct blob *blob);

/* Returns its argument, for use in an assignment. */
struct blob *blob_hold(struct blob *blob);
void blob_drop(struct blob *blob); /* NULL will do */

/* Bytes of all blobs that live now (wrapped ones not counted). */
uint64_t blob_live_bytes(void);

/* A part of a blob. Does not hold it by itself. */
struct blob_piece {
    struct blob *blob;
    size_t offset;
    size_t count;
};

static inline const uint8_t *blob_piece_bytes(const struct blob_piece *piece) {
    return piece->blob->bytes + piece->offset;
}

#endif
