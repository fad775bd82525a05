/*
 * What a bad disk may give back as a chunk of a run (store/runs.h): nothing is read out of bounds, and what is accepted is as it would be written.
 * Since no fuzzer finds a checksum by chance, each input is tried as it is and once more with its checksum made right.
 *
 * Input: key (36 bytes), then the stored value.
 */
#include "merkle/check.h"
#include "store/runs.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TAG = 0x23 };

static void try_chunk(const uint8_t *key, const uint8_t *stored, size_t stored_bytes) {
    struct bytes_cursor items;
    struct run_item item;
    uint32_t count, at = 0;
    const uint8_t *before = NULL;
    if (!run_chunk_decode(TAG, key, RUN_KEY_BYTES, stored, stored_bytes, &items, &count)) return;
    CHECK(count >= 1 && !run_chunk_decode(TAG, key, RUN_KEY_BYTES - 1, stored, stored_bytes, &items, &count));
    CHECK(run_chunk_decode(TAG, key, RUN_KEY_BYTES, stored, stored_bytes, &items, &count));
    size_t bytes = RUN_CHUNK_HEAD_BYTES;
    for (; at < count && run_item_decode(&items, before, &item); at++) {
        CHECK(item.path >= stored + RUN_CHUNK_HEAD_BYTES && item.stored + item.stored_bytes <= stored + stored_bytes);
        CHECK(item.stored == item.path + RUN_ITEM_HEAD_BYTES && (!before || memcmp(before, item.path, RECORD_PATH_BYTES) < 0));
        before = item.path;
        bytes += RUN_ITEM_HEAD_BYTES + (size_t)item.stored_bytes;
    }
    CHECK(at < count || bytes + items.left == stored_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < RUN_KEY_BYTES) return 0;
    size_t stored_bytes = size - RUN_KEY_BYTES;
    uint8_t *stored = malloc(stored_bytes ? stored_bytes : 1); /* its own piece, so that the sanitizer sees its ends */
    CHECK(stored);
    memcpy(stored, data + RUN_KEY_BYTES, stored_bytes);
    try_chunk(data, stored, stored_bytes);
    if (stored_bytes >= 4) {
        run_chunk_seal(TAG, data, stored, stored_bytes);
        try_chunk(data, stored, stored_bytes);
    }
    free(stored);
    return 0;
}
