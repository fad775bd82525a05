#include "protocol/body.h"

#include <string.h>

static const uint8_t zeros[32];

bool body_reference_decode(const uint8_t bytes[BODY_REFERENCE_BYTES], struct body_reference *reference) {
    struct body_reference out = {
        .kind = bytes[0], .relay = bytes[1], .source = bytes_get_le32(bytes + 4), .dseq = bytes_get_le64(bytes + 8)};
    memcpy(out.hash, bytes + 16, sizeof out.hash);
    if (bytes_get_le16(bytes + 2) != 0) return false;
    switch (out.kind) {
    case BODY_SLICE:
        if (out.relay != 0 || out.source == 0 || out.dseq == 0) return false;
        break;
    case BODY_BATCH:
    case BODY_ADMIN:
        if (out.source != 0 || out.dseq != 0) return false;
        break;
    case BODY_NOOP:
        if (out.source != 0 || memcmp(out.hash, zeros, sizeof zeros) != 0) return false;
        break;
    default: return false;
    }
    *reference = out;
    return true;
}

void body_reference_encode(const struct body_reference *reference, uint8_t out[BODY_REFERENCE_BYTES]) {
    out[0] = reference->kind;
    out[1] = reference->relay;
    bytes_put_le16(out + 2, 0);
    bytes_put_le32(out + 4, reference->source);
    bytes_put_le64(out + 8, reference->dseq);
    memcpy(out + 16, reference->hash, sizeof reference->hash);
}

long body_reference_count(const uint8_t *body, size_t body_bytes, uint32_t references_max) {
    if (body_bytes < BODY_HEAD_BYTES) return -1;
    uint32_t count = bytes_get_le32(body);
    if (count > references_max || (body_bytes - BODY_HEAD_BYTES) / BODY_REFERENCE_BYTES != count) return -1;
    if ((body_bytes - BODY_HEAD_BYTES) % BODY_REFERENCE_BYTES != 0) return -1;
    for (uint32_t i = 0; i < count; i++) {
        struct body_reference reference;
        if (!body_reference_decode(body + BODY_HEAD_BYTES + (size_t)i * BODY_REFERENCE_BYTES, &reference)) return -1;
    }
    return (long)count;
}
