/*
 * The body of a block: references to inputs (spec/decisions.md D-1, D-2).
 */
#ifndef PROTOCOL_BODY_H
#define PROTOCOL_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "merkle/bytes.h"

enum { BODY_HEAD_BYTES = 4, BODY_REFERENCE_BYTES = 48 };

enum body_kind { BODY_SLICE = 1, BODY_BATCH = 2, BODY_ADMIN = 3, BODY_NOOP = 4 };

struct body_reference {
    uint8_t kind;
    uint8_t relay;   /* BODY_BATCH, BODY_ADMIN, BODY_NOOP */
    uint32_t source; /* BODY_SLICE */
    uint64_t dseq;   /* BODY_SLICE; BODY_NOOP: the nonce */
    uint8_t hash[32];
};

/* Shape only (D-1, D-2); whether the references fit the state is execution's to say (D-4). */
bool body_reference_decode(const uint8_t bytes[BODY_REFERENCE_BYTES], struct body_reference *reference) __attribute__((warn_unused_result));
void body_reference_encode(const struct body_reference *reference, uint8_t out[BODY_REFERENCE_BYTES]);

/* Number of references of a body whose length and count fit each other and references_max, all references well formed; -1 otherwise.
 * Reference i is then at body + BODY_HEAD_BYTES + i * BODY_REFERENCE_BYTES. */
long body_reference_count(const uint8_t *body, size_t body_bytes, uint32_t references_max);

#endif
