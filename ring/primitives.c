/* What both back ends share: HMAC and HKDF on the back end's SHA-256, wiping, comparing. */
#include "ring/primitives.h"

#include <string.h>

#include "ring/check.h"

#define BLOCK_BYTES 64

void ring_wipe(void *bytes, size_t count) {
    explicit_bzero(bytes, count);
}

bool ring_equal(const uint8_t *a, const uint8_t *b, size_t count) {
    uint8_t difference = 0;
    for (size_t i = 0; i < count; i++) {
        difference = (uint8_t)(difference | (a[i] ^ b[i]));
    }
    return difference == 0;
}

void ring_hmac_sha256(const struct ring_primitives *primitives, const uint8_t *key, size_t key_bytes, const struct iovec *pieces, size_t count,
                      uint8_t out[RING_HASH_BYTES]) {
    RING_CHECK(count <= RING_HMAC_PIECES_MAX);
    uint8_t block[BLOCK_BYTES] = {0};
    uint8_t inner[RING_HASH_BYTES];
    struct iovec all[RING_HMAC_PIECES_MAX + 1];

    if (key_bytes > BLOCK_BYTES) {
        struct iovec long_key = {(void *)(uintptr_t)key, key_bytes};
        primitives->sha256(block, &long_key, 1);
    } else if (key_bytes > 0) {
        memcpy(block, key, key_bytes);
    }
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        block[i] ^= 0x36;
    }
    all[0] = (struct iovec){block, BLOCK_BYTES};
    for (size_t i = 0; i < count; i++) {
        all[i + 1] = pieces[i];
    }
    primitives->sha256(inner, all, count + 1);
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    all[1] = (struct iovec){inner, sizeof inner};
    primitives->sha256(out, all, 2);
    ring_wipe(block, sizeof block);
    ring_wipe(inner, sizeof inner);
}

void ring_hkdf_sha256(const struct ring_primitives *primitives, const uint8_t *salt, size_t salt_bytes, const uint8_t *input, size_t input_bytes,
                      const uint8_t *info, size_t info_bytes, uint8_t *out, size_t out_bytes) {
    RING_CHECK(out_bytes >= 1 && out_bytes <= 255 * RING_HASH_BYTES);
    uint8_t extracted[RING_HASH_BYTES];
    uint8_t block[RING_HASH_BYTES];
    uint8_t counter = 0;
    struct iovec piece = {(void *)(uintptr_t)input, input_bytes};
    ring_hmac_sha256(primitives, salt, salt_bytes, &piece, 1, extracted);

    while (out_bytes > 0) {
        struct iovec pieces[3] = {
            {block, counter == 0 ? 0 : sizeof block},
            {(void *)(uintptr_t)info, info_bytes},
            {&counter, 1},
        };
        counter++;
        ring_hmac_sha256(primitives, extracted, sizeof extracted, pieces, 3, block);
        size_t take = out_bytes < sizeof block ? out_bytes : sizeof block;
        memcpy(out, block, take);
        out += take;
        out_bytes -= take;
    }
    ring_wipe(extracted, sizeof extracted);
    ring_wipe(block, sizeof block);
}
