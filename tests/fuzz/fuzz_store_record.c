/*
 * What a bad disk may give back as a record (store/record.h): nothing is read out of bounds, what is accepted is in range and encodes to the same
 * bytes. Since no fuzzer finds a checksum by chance, each input is tried as it is and once more with its checksum made right.
 *
 * Input: u8 form (0 chunk, 1 entry), then the stored key (36 or 32 bytes), then the stored value.
 */
#include "merkle/check.h"
#include "merkle/bytes.h"
#include "store/record.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TAG = 0x13, CHUNK_KEY = 32 };

static void try_chunk(const uint8_t *key, size_t key_bytes, uint8_t *stored, size_t stored_bytes) {
    struct record_chunk chunk;
    if (!record_chunk_decode(TAG, CHUNK_KEY, key, key_bytes, stored, stored_bytes, &chunk)) return;
    CHECK(key_bytes == CHUNK_KEY + 4 && chunk.byte_count <= RECORD_CHUNK_BYTES && chunk.total <= RECORD_VALUE_BYTES_MAX);
    CHECK(chunk.bytes == stored + RECORD_CHUNK_HEAD_BYTES && chunk.byte_count + RECORD_CHUNK_HEAD_BYTES == stored_bytes);
    CHECK((uint64_t)chunk.number * RECORD_CHUNK_BYTES + chunk.byte_count <= chunk.total);
    uint8_t before[RECORD_CHUNK_HEAD_BYTES];
    memcpy(before, stored, sizeof before);
    record_chunk_seal(TAG, key, key_bytes, stored, chunk.byte_count, chunk.total);
    CHECK(memcmp(before, stored, sizeof before) == 0);
}

static void try_entry(const uint8_t *key, size_t key_bytes, uint8_t *stored, size_t stored_bytes) {
    struct table_entry entry;
    if (!record_entry_decode(key, key_bytes, stored, stored_bytes, &entry)) return;
    CHECK(entry.space < TABLE_SPACES && entry.key_bytes >= 1 && entry.key_bytes <= TABLE_KEY_BYTES_MAX && entry.value_bytes <= TABLE_VALUE_BYTES_MAX);
    CHECK(record_entry_bytes(&entry) == stored_bytes);
    uint8_t *again = malloc(stored_bytes);
    CHECK(again);
    record_entry_encode(key, &entry, again);
    CHECK(memcmp(again, stored, stored_bytes) == 0);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    bool is_entry = data[0] & 1;
    size_t key_bytes = is_entry ? RECORD_PATH_BYTES : CHUNK_KEY + 4;
    if (data[0] & 2) key_bytes = (size_t)(data[0] >> 2); /* a key of a wrong length */
    if (size - 1 < key_bytes) return 0;
    const uint8_t *key = data + 1;
    size_t stored_bytes = size - 1 - key_bytes;
    uint8_t *stored = malloc(stored_bytes + 1); /* its own piece, so that the sanitizer sees its ends */
    CHECK(stored);
    memcpy(stored, key + key_bytes, stored_bytes);
    uint8_t *exact = realloc(stored, stored_bytes ? stored_bytes : 1);
    CHECK(exact);
    if (is_entry) {
        try_entry(key, key_bytes, exact, stored_bytes);
        if (stored_bytes >= 4 && key_bytes == RECORD_PATH_BYTES) {
            record_entry_seal(key, exact, stored_bytes);
            try_entry(key, key_bytes, exact, stored_bytes);
        }
    } else {
        try_chunk(key, key_bytes, exact, stored_bytes);
        if (stored_bytes >= RECORD_CHUNK_HEAD_BYTES) {
            record_chunk_seal(TAG, key, key_bytes, exact, (uint32_t)(stored_bytes - RECORD_CHUNK_HEAD_BYTES), bytes_get_le32(exact + 4));
            try_chunk(key, key_bytes, exact, stored_bytes);
        }
    }
    free(exact);
    return 0;
}
