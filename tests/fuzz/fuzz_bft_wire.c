/* Consensus messages, certificates and the voting memory from any bytes: what is accepted encodes to the same bytes again (C-3).
 * First two bytes: the message type, little-endian; 0 the voting memory, 1 a certificate. */
#include <stdlib.h>

#include "bft/memory.h"
#include "bft/wire.h"
#include "merkle/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void message(uint16_t type, const uint8_t *data, size_t size) {
    static uint8_t out[BFT_WIRE_HEAD_BYTES_MAX];
    struct bft_message decoded;
    if (bft_wire_decode(type, data, size, &decoded) != BFT_WIRE_OK) return;
    size_t head = bft_wire_encode(&decoded, out, sizeof out);
    CHECK(head + decoded.body_bytes == size && memcmp(out, data, head) == 0);
    if (decoded.body_bytes > 0) CHECK(decoded.body + decoded.body_bytes == data + size);
}

static void memory(const uint8_t *data, size_t size) {
    static uint8_t out[BFT_MEMORY_BYTES_MAX];
    struct bft_memory decoded;
    if (!bft_memory_decode(data, size, &decoded)) return;
    CHECK(bft_memory_encode(&decoded, out) == size && memcmp(out, data, size) == 0);
}

static void certificate(const uint8_t *data, size_t size) {
    static uint8_t out[BFT_CERTIFICATE_BYTES_MAX];
    struct bytes_cursor cursor = bytes_cursor_of(data, size);
    struct bft_certificate decoded;
    enum bft_wire_error error = BFT_WIRE_OK;
    if (!bft_certificate_get(&cursor, &decoded, &error)) {
        CHECK(error != BFT_WIRE_OK);
        return;
    }
    struct bytes_writer writer = bytes_writer_of(out, sizeof out);
    bft_certificate_put(&writer, &decoded);
    CHECK(!writer.failed && writer.used == size - cursor.left && memcmp(out, data, writer.used) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    uint16_t type = bytes_get_le16(data);
    if (type == 0) memory(data + 2, size - 2);
    else if (type == 1) certificate(data + 2, size - 2);
    else message(type, data + 2, size - 2);
    return 0;
}
