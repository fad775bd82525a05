#include "appliance/base/blob.h"

#include <string.h>

#include "appliance/base/pool.h"
#include "merkle/check.h"

static atomic_uint_fast64_t live_bytes; /* written by whoever makes or frees a blob */

struct blob *blob_make(size_t count) {
    CHECK(count <= SIZE_MAX - sizeof(struct blob));
    struct blob *blob = pool_take(sizeof *blob + count);
    atomic_init(&blob->holders, 1);
    blob->count = count;
    blob->bytes = (uint8_t *)(blob + 1);
    blob->release = NULL;
    blob->context = NULL;
    atomic_fetch_add_explicit(&live_bytes, count, memory_order_relaxed);
    return blob;
}

struct blob *blob_copy(const void *bytes, size_t count) {
    struct blob *blob = blob_make(count);
    if (count > 0) memcpy(blob->bytes, bytes, count);
    return blob;
}

struct blob *blob_wrap(uint8_t *bytes, size_t count, void (*release)(struct blob *blob), void *context) {
    CHECK(release != NULL);
    struct blob *blob = pool_take(sizeof *blob);
    atomic_init(&blob->holders, 1);
    blob->count = count;
    blob->bytes = bytes;
    blob->release = release;
    blob->context = context;
    return blob;
}

void blob_wrapper_free(struct blob *blob) {
    pool_give(blob);
}

struct blob *blob_hold(struct blob *blob) {
    unsigned before = atomic_fetch_add_explicit(&blob->holders, 1, memory_order_relaxed);
    CHECK(before > 0);
    return blob;
}

void blob_drop(struct blob *blob) {
    if (blob == NULL) return;
    unsigned before = atomic_fetch_sub_explicit(&blob->holders, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before > 1) return;
    if (blob->release != NULL) {
        blob->release(blob);
        return;
    }
    atomic_fetch_sub_explicit(&live_bytes, blob->count, memory_order_relaxed);
    pool_give(blob);
}

uint64_t blob_live_bytes(void) {
    return atomic_load_explicit(&live_bytes, memory_order_relaxed);
}
