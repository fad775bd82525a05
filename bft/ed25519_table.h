/*
 * Multiples of a public key, kept: with them [S]B - [h]A takes 31 doublings and some 85 additions instead of 253 and some 75, and A is decoded
 * once. The sum is the same point and its encoding the same bytes, so E-3d is carried out as it stands. Public data only, variable time.
 *
 * Contract
 *   ed25519_table_start() once before the others (ed25519_start() calls it). A table is plain memory of its owner; several threads may read it.
 */
#ifndef BFT_ED25519_TABLE_H
#define BFT_ED25519_TABLE_H

#include <stddef.h>

#include "bft/ed25519.h"
#include "bft/ed25519_field.h"

enum { ED25519_TABLE_PIECES = 8, ED25519_TABLE_ODD = 4, ED25519_TABLE_ROWS = 32, ED25519_TERMS_MAX = 104 };

/* An affine point (x, y), as additions want it: y + x, y - x, 2 d x y. */
struct ed25519_affine {
    struct field sum, difference, product;
};

struct ed25519_table {
    struct ed25519_affine points[ED25519_TABLE_PIECES][ED25519_TABLE_ODD]; /* [k][i]: [(2i + 1) 2^(32k)](-A) */
};

/* [s]B - [h]A as a sum of points of tables: from the highest row to row 0, double what there is and add the next row_terms[row] terms. */
struct ed25519_sum {
    struct ed25519_term {
        const struct ed25519_affine *point;
        bool minus;
    } terms[ED25519_TERMS_MAX];
    uint8_t row_terms[ED25519_TABLE_ROWS];
};

void ed25519_table_start(void);

/* Of a canonical encoding (E-2a). False: it names no point. About the time of one verification. */
bool ed25519_table_make(const uint8_t public_key[32], struct ed25519_table *table) __attribute__((warn_unused_result));

/* s and h are below 2^255. */
void ed25519_table_sum(const struct ed25519_table *table, const uint8_t s[32], const uint8_t h[32], struct ed25519_sum *sum);

/* encode([s]B - [h]A). */
void ed25519_table_combine(const struct ed25519_table *table, const uint8_t s[32], const uint8_t h[32], uint8_t out[32]);

/* E-3d; E-3a to E-3c are the caller's. */
bool ed25519_table_verify(const struct ed25519_table *table, const uint8_t public_key[32], const uint8_t *message, size_t message_bytes,
                          const uint8_t signature[64]) __attribute__((warn_unused_result));

/* The same of `count` signatures, each by its own table: good[i] is what ed25519_table_verify() says of it. Several at once where the processor can
 * (ed25519_lanes.h). */
void ed25519_table_verify_each(const struct ed25519_table *const *tables, const struct ed25519_signed *list, unsigned count, bool *good);

#endif
