/*
 * The field of edwards25519: integers modulo p = 2^255 - 19. Private to bft/ed25519_point.c and ed25519_table.c; public data only, variable time.
 *
 * A field element is five limbs of 51 bits. Two sizes of limb:
 *   reduced  below 2^51 + 2^13: what field_multiply, field_square, field_add, field_subtract and field_read give
 *   loose    below 2^53.6: what field_sum and field_difference give, within their bounds; fit for field_multiply and field_square alone
 * Products of loose limbs: of five terms four come times 19, so a column is below 77 * 2^107.2 < 2^113.5 and its carry below 2^62.5. The topmost
 * column has no term times 19: its carry is below 2^58.6, and 19 of it fit 64 bits. A value is reduced fully only where it is written or compared.
 */
#ifndef BFT_ED25519_FIELD_H
#define BFT_ED25519_FIELD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 ed25519_wide;
/* A call costs a tenth of a product. */
#define FIELD_INLINE static inline __attribute__((always_inline))

struct field {
    uint64_t limb[5];
};

static const uint64_t field_limb_mask = ((uint64_t)1 << 51) - 1;
static const struct field field_one = {{1, 0, 0, 0, 0}};
static const struct field field_zero = {{0, 0, 0, 0, 0}};

/* One pass of carries; the carry out of the top comes back times 19, since 2^255 = 19. */
FIELD_INLINE struct field field_carry(const uint64_t in[5]) {
    struct field out;
    uint64_t carry = 0;
#pragma GCC unroll 5
    for (unsigned i = 0; i < 5; i++) {
        uint64_t sum = in[i] + carry;
        out.limb[i] = sum & field_limb_mask;
        carry = sum >> 51;
    }
    out.limb[0] += 19 * carry;
    return out;
}

/* a + b, loose. */
FIELD_INLINE struct field field_sum(const struct field *a, const struct field *b) {
    struct field out;
#pragma GCC unroll 5
    for (unsigned i = 0; i < 5; i++) out.limb[i] = a->limb[i] + b->limb[i];
    return out;
}

/* a - b, loose; b below 2^53 - 76, a below 2^52 + 2^14 (two reduced ones added, at the most). 4p is added first, limb by limb no less than any b and
 * below 2^53: what comes is below 1.5 * 2^53 + 2^14 < 2^53.6. */
FIELD_INLINE struct field field_difference(const struct field *a, const struct field *b) {
    struct field out;
#pragma GCC unroll 5
    for (unsigned i = 0; i < 5; i++) out.limb[i] = a->limb[i] + 4 * (field_limb_mask - (i == 0 ? 18 : 0)) - b->limb[i];
    return out;
}

static inline struct field field_add(const struct field *a, const struct field *b) {
    return field_carry(field_sum(a, b).limb);
}

static inline struct field field_subtract(const struct field *a, const struct field *b) {
    return field_carry(field_difference(a, b).limb);
}

/* The columns of a product, carried. */
FIELD_INLINE struct field field_columns(ed25519_wide c0, ed25519_wide c1, ed25519_wide c2, ed25519_wide c3, ed25519_wide c4) {
    struct field out;
    out.limb[0] = (uint64_t)c0 & field_limb_mask;
    c1 += (uint64_t)(c0 >> 51);
    out.limb[1] = (uint64_t)c1 & field_limb_mask;
    c2 += (uint64_t)(c1 >> 51);
    out.limb[2] = (uint64_t)c2 & field_limb_mask;
    c3 += (uint64_t)(c2 >> 51);
    out.limb[3] = (uint64_t)c3 & field_limb_mask;
    c4 += (uint64_t)(c3 >> 51);
    out.limb[4] = (uint64_t)c4 & field_limb_mask;
    out.limb[0] += 19 * (uint64_t)(c4 >> 51);
    out.limb[1] += out.limb[0] >> 51; /* below 2^12 */
    out.limb[0] &= field_limb_mask;
    return out;
}

FIELD_INLINE struct field field_multiply(const struct field *a, const struct field *b) {
    const uint64_t a0 = a->limb[0], a1 = a->limb[1], a2 = a->limb[2], a3 = a->limb[3], a4 = a->limb[4];
    const uint64_t b0 = b->limb[0], b1 = b->limb[1], b2 = b->limb[2], b3 = b->limb[3], b4 = b->limb[4];
    const uint64_t t1 = 19 * b1, t2 = 19 * b2, t3 = 19 * b3, t4 = 19 * b4;
    typedef ed25519_wide w;
    return field_columns((w)a0 * b0 + (w)a1 * t4 + (w)a2 * t3 + (w)a3 * t2 + (w)a4 * t1,
                         (w)a0 * b1 + (w)a1 * b0 + (w)a2 * t4 + (w)a3 * t3 + (w)a4 * t2,
                         (w)a0 * b2 + (w)a1 * b1 + (w)a2 * b0 + (w)a3 * t4 + (w)a4 * t3,
                         (w)a0 * b3 + (w)a1 * b2 + (w)a2 * b1 + (w)a3 * b0 + (w)a4 * t4,
                         (w)a0 * b4 + (w)a1 * b3 + (w)a2 * b2 + (w)a3 * b1 + (w)a4 * b0);
}

FIELD_INLINE struct field field_square(const struct field *a) {
    const uint64_t a0 = a->limb[0], a1 = a->limb[1], a2 = a->limb[2], a3 = a->limb[3], a4 = a->limb[4];
    const uint64_t d0 = 2 * a0, d1 = 2 * a1, d2 = 2 * a2, t3 = 19 * a3, t4 = 19 * a4;
    typedef ed25519_wide w;
    return field_columns((w)a0 * a0 + (w)d1 * t4 + (w)d2 * t3, (w)d0 * a1 + (w)d2 * t4 + (w)a3 * t3, (w)d0 * a2 + (w)a1 * a1 + (w)(2 * a3) * t4,
                         (w)d0 * a3 + (w)d1 * a2 + (w)a4 * t4, (w)d0 * a4 + (w)d1 * a3 + (w)a2 * a2);
}

static inline struct field field_squares(struct field a, unsigned times) {
    while (times-- > 0) a = field_square(&a);
    return a;
}

/* a^(2^250 - 1), and a^11. */
static inline struct field field_power_250(const struct field *a, struct field *power_11) {
    struct field two = field_square(a), eight = field_squares(two, 2), nine = field_multiply(&eight, a);
    *power_11 = field_multiply(&nine, &two);
    struct field t = field_square(power_11), ones5 = field_multiply(&t, &nine); /* 2^5 - 1 */
    t = field_squares(ones5, 5);
    struct field ones10 = field_multiply(&t, &ones5);
    t = field_squares(ones10, 10);
    struct field ones20 = field_multiply(&t, &ones10);
    t = field_squares(ones20, 20);
    struct field ones40 = field_multiply(&t, &ones20);
    t = field_squares(ones40, 10);
    struct field ones50 = field_multiply(&t, &ones10);
    t = field_squares(ones50, 50);
    struct field ones100 = field_multiply(&t, &ones50);
    t = field_squares(ones100, 100);
    struct field ones200 = field_multiply(&t, &ones100);
    t = field_squares(ones200, 50);
    return field_multiply(&t, &ones50);
}

/* a^((p - 5) / 8) = a^(2^252 - 3) */
static inline struct field field_power_p58(const struct field *a) {
    struct field power_11, t = field_squares(field_power_250(a, &power_11), 2);
    return field_multiply(&t, a);
}

/* a^(p - 2) = a^(2^255 - 21): 1/a, and 0 for 0. */
static inline struct field field_invert(const struct field *a) {
    struct field power_11, t = field_squares(field_power_250(a, &power_11), 5);
    return field_multiply(&t, &power_11);
}

/* 32 bytes, little-endian, fully reduced; `a` is reduced. */
static inline void field_write(const struct field *a, uint8_t out[32]) {
    struct field b = field_carry(a->limb);
    b = field_carry(b.limb);
    /* b < 2^255 + small: subtract p if b >= p, found by adding 19 and looking at bit 255. */
    uint64_t carry = 19;
    for (unsigned i = 0; i < 5; i++) carry = (b.limb[i] + carry) >> 51;
    uint64_t sum[5];
    memcpy(sum, b.limb, sizeof sum);
    sum[0] += 19 * carry;
    for (unsigned i = 0; i < 4; i++) {
        sum[i + 1] += sum[i] >> 51;
        sum[i] &= field_limb_mask;
    }
    sum[4] &= field_limb_mask;
    for (unsigned bit = 0; bit < 256; bit += 8) {
        unsigned limb = bit / 51, shift = bit % 51;
        uint64_t byte = limb < 5 ? sum[limb] >> shift : 0;
        if (limb < 4 && shift > 43) byte |= sum[limb + 1] << (51 - shift);
        out[bit / 8] = (uint8_t)byte;
    }
}

/* The lower 255 bits, modulo p. */
static inline struct field field_read(const uint8_t in[32]) {
    struct field out = {{0}};
    for (unsigned bit = 0; bit < 255; bit++) {
        uint64_t value = (in[bit / 8] >> (bit % 8)) & 1u;
        out.limb[bit / 51] |= value << (bit % 51);
    }
    return out;
}

static inline bool field_equal(const struct field *a, const struct field *b) {
    uint8_t a_bytes[32], b_bytes[32];
    field_write(a, a_bytes);
    field_write(b, b_bytes);
    return memcmp(a_bytes, b_bytes, 32) == 0;
}

static inline bool field_is_zero(const struct field *a) {
    return field_equal(a, &field_zero);
}

#endif
