/*
 * A scalar is written in non-adjacent form: sum of d_i 2^i with few odd digits d_i. Bit i = 32 k + row stands in piece k, whose table has the odd
 * multiples of [2^(32k)] of the point, so that one row of all pieces shares its doublings: 31 in all. Digits of h are odd and below 8 (four multiples
 * a piece), those of s below 64 (32 multiples a piece of B's own table, which is made once).
 */
#include "bft/ed25519_table.h"

#include <sodium.h>

#include "bft/ed25519_lanes.h"
#include "bft/ed25519_point.h"
#include "merkle/check.h"

enum { PIECES = ED25519_TABLE_PIECES, ROWS = ED25519_TABLE_ROWS, BASE_ODD = 32, KEY_WINDOW = 4, BASE_WINDOW = 7 };
_Static_assert(ROWS * PIECES == 256, "a row and a piece for each bit");
_Static_assert(256 / KEY_WINDOW + 256 / BASE_WINDOW + 1 <= ED25519_TERMS_MAX, "of `window` neighbours one is a digit");
_Static_assert((1 << (KEY_WINDOW - 2)) == ED25519_TABLE_ODD && (1 << (BASE_WINDOW - 2)) == BASE_ODD, "the odd multiples that a digit names");

static struct ed25519_affine base[PIECES][BASE_ODD]; /* of B itself; written by ed25519_table_start() alone */

static const uint8_t base_encoding[32] = {0x58, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
                                          0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66};
static const struct field curve_2d = {{0x69b9426b2f159u, 0x35050762add7au, 0x3cf44c0038052u, 0x6738cc7407977u, 0x2406d9dc56dffu}};

/* ---- points ---- */

/* What an operation gives before its last products: x = X/Z, y = Y/T. Fit for field_multiply. */
struct completed {
    struct field x, y, z, t;
};

static struct ed25519_extended extended_of(const struct completed *c) {
    return (struct ed25519_extended){field_multiply(&c->x, &c->t), field_multiply(&c->y, &c->z), field_multiply(&c->z, &c->t),
                                     field_multiply(&c->x, &c->y)};
}

/* T, which doubling does not want, is left out. */
static struct completed twice(const struct field *x, const struct field *y, const struct field *z) {
    struct completed out;
    struct field xx = field_square(x), yy = field_square(y), zz = field_square(z), zz2 = field_sum(&zz, &zz);
    struct field xy = field_sum(x, y), square = field_square(&xy);
    out.y = field_sum(&yy, &xx);
    out.z = field_subtract(&yy, &xx);
    out.x = field_difference(&square, &out.y);
    out.t = field_difference(&zz2, &out.z);
    return out;
}

static struct completed doubled(const struct completed *c) {
    struct field x = field_multiply(&c->x, &c->t), y = field_multiply(&c->y, &c->z), z = field_multiply(&c->z, &c->t);
    return twice(&x, &y, &z);
}

/* c + q, or c - q: -(x, y) is (-x, y). */
static struct completed added(const struct completed *c, const struct ed25519_affine *q, bool minus) {
    struct completed out;
    struct ed25519_extended p = extended_of(c);
    struct field sum = field_sum(&p.y, &p.x), difference = field_difference(&p.y, &p.x), z2 = field_sum(&p.z, &p.z);
    struct field a = field_multiply(&sum, minus ? &q->difference : &q->sum), b = field_multiply(&difference, minus ? &q->sum : &q->difference);
    struct field t = field_multiply(&q->product, &p.t);
    out.x = field_difference(&a, &b);
    out.y = field_sum(&a, &b);
    out.z = minus ? field_difference(&z2, &t) : field_sum(&z2, &t);
    out.t = minus ? field_sum(&z2, &t) : field_difference(&z2, &t);
    return out;
}

/* ---- tables ---- */

/* Affine forms of `count` points, all by one inversion: 1/z_i is the inverse of the product of all, times the products of the others. */
static void affine_all(const struct ed25519_extended *points, struct field *products, unsigned count, struct ed25519_affine *out) {
    products[0] = points[0].z;
    for (unsigned i = 1; i < count; i++) products[i] = field_multiply(&products[i - 1], &points[i].z);
    struct field inverse = field_invert(&products[count - 1]);
    for (unsigned i = count; i-- > 0;) {
        struct field z = i > 0 ? field_multiply(&inverse, &products[i - 1]) : inverse;
        inverse = field_multiply(&inverse, &points[i].z);
        struct field x = field_multiply(&points[i].x, &z), y = field_multiply(&points[i].y, &z), xy = field_multiply(&x, &y);
        out[i] = (struct ed25519_affine){field_add(&y, &x), field_subtract(&y, &x), field_multiply(&xy, &curve_2d)};
    }
}

/* points[k * odd + i] = [(2i + 1) 2^(32k)]point */
static void odd_multiples(struct ed25519_extended point, unsigned odd, struct ed25519_extended *points) {
    for (unsigned piece = 0; piece < PIECES; piece++) {
        struct ed25519_extended *at = points + piece * odd, double_point = ed25519_point_add(&point, &point);
        at[0] = point;
        for (unsigned i = 1; i < odd; i++) at[i] = ed25519_point_add(&at[i - 1], &double_point);
        for (unsigned row = 0; row < ROWS; row++) {
            struct completed next = twice(&point.x, &point.y, &point.z);
            point = extended_of(&next);
        }
    }
}

void ed25519_table_start(void) {
    struct ed25519_extended points[PIECES * BASE_ODD], point;
    struct field products[PIECES * BASE_ODD];
    CHECK(ed25519_point_read(base_encoding, &point));
    odd_multiples(point, BASE_ODD, points);
    affine_all(points, products, PIECES * BASE_ODD, &base[0][0]);
}

bool ed25519_table_make(const uint8_t public_key[32], struct ed25519_table *table) {
    struct ed25519_extended points[PIECES * ED25519_TABLE_ODD], point;
    struct field products[PIECES * ED25519_TABLE_ODD];
    if (!ed25519_point_read(public_key, &point)) return false;
    point.x = field_subtract(&field_zero, &point.x);
    point.t = field_subtract(&field_zero, &point.t);
    odd_multiples(point, ED25519_TABLE_ODD, points);
    affine_all(points, products, PIECES * ED25519_TABLE_ODD, &table->points[0][0]);
    return true;
}

/* ---- sums ---- */

/* The digits of a scalar, by bit: 0, or odd and within 2^(window - 1); of `window` neighbours at most one is not 0. rows[i]: the pieces that have a
 * digit in row i. */
static void digits_of(const uint8_t scalar[32], unsigned window, int8_t digits[256], uint8_t rows[ROWS]) {
    uint64_t words[5] = {0};
    for (unsigned i = 0; i < 32; i++) words[i / 8] |= (uint64_t)scalar[i] << (8 * (i % 8));
    unsigned carry = 0;
    memset(rows, 0, ROWS);
    for (unsigned bit = 0; bit < 256;) {
        unsigned word = bit / 64, shift = bit % 64;
        uint64_t bits = words[word] >> shift;
        if (shift > 64 - window) bits |= words[word + 1] << (64 - shift);
        unsigned value = carry + ((unsigned)bits & ((1u << window) - 1));
        if ((value & 1u) == 0) {
            bit++;
            continue;
        }
        carry = value >> (window - 1);
        digits[bit] = (int8_t)((int)value - (int)(carry << window));
        rows[bit % ROWS] = (uint8_t)(rows[bit % ROWS] | 1u << (bit / ROWS));
        bit += window;
    }
    CHECK(carry == 0); /* below 2^255: the highest digit is no negative one */
}

static unsigned row_list(struct ed25519_term *terms, unsigned pieces, const int8_t *digits, const struct ed25519_affine *table, unsigned odd) {
    unsigned count = 0;
    for (; pieces != 0; pieces &= pieces - 1) {
        unsigned piece = (unsigned)__builtin_ctz(pieces);
        int digit = digits[piece * ROWS];
        unsigned size = (unsigned)(digit < 0 ? -digit : digit);
        terms[count++] = (struct ed25519_term){.point = &table[piece * odd + size / 2], .minus = digit < 0};
    }
    return count;
}

void ed25519_table_sum(const struct ed25519_table *table, const uint8_t s[32], const uint8_t h[32], struct ed25519_sum *sum) {
    int8_t s_digits[256], h_digits[256]; /* read where rows say that there is one */
    uint8_t s_rows[ROWS], h_rows[ROWS];
    digits_of(s, BASE_WINDOW, s_digits, s_rows);
    digits_of(h, KEY_WINDOW, h_digits, h_rows);
    struct ed25519_term *next = sum->terms;
    for (unsigned row = ROWS; row-- > 0;) {
        unsigned count = row_list(next, h_rows[row], h_digits + row, &table->points[0][0], ED25519_TABLE_ODD);
        count += row_list(next + count, s_rows[row], s_digits + row, &base[0][0], BASE_ODD);
        sum->row_terms[row] = (uint8_t)count;
        next += count;
    }
}

void ed25519_table_combine(const struct ed25519_table *table, const uint8_t s[32], const uint8_t h[32], uint8_t out[32]) {
    struct ed25519_sum terms;
    ed25519_table_sum(table, s, h, &terms);
    const struct ed25519_term *next = terms.terms;
    struct completed sum = {field_zero, field_one, field_one, field_one};
    for (unsigned row = ROWS; row-- > 0;) {
        if (row + 1 < ROWS) sum = doubled(&sum);
        for (unsigned i = 0; i < terms.row_terms[row]; i++, next++) sum = added(&sum, next->point, next->minus);
    }
    struct field z = field_multiply(&sum.z, &sum.t), inverse = field_invert(&z);
    struct field x = field_multiply(&sum.x, &sum.t), y = field_multiply(&sum.y, &sum.z);
    x = field_multiply(&x, &inverse);
    y = field_multiply(&y, &inverse);
    ed25519_point_write(&x, &y, out);
}

/* E-3d: SHA-512(R, A, message) modulo L. */
static void challenge(const struct ed25519_signed *from, uint8_t h[32]) {
    crypto_hash_sha512_state state;
    uint8_t hash[64];
    (void)crypto_hash_sha512_init(&state);
    (void)crypto_hash_sha512_update(&state, from->signature, 32);
    (void)crypto_hash_sha512_update(&state, from->public_key, 32);
    (void)crypto_hash_sha512_update(&state, from->message, from->message_bytes);
    (void)crypto_hash_sha512_final(&state, hash);
    crypto_core_ed25519_scalar_reduce(h, hash);
}

static void table_prefetch(const struct ed25519_table *table) {
    for (size_t at = 0; at < sizeof *table; at += 64) __builtin_prefetch((const uint8_t *)table + at);
}

bool ed25519_table_verify(const struct ed25519_table *table, const uint8_t public_key[32], const uint8_t *message, size_t message_bytes,
                          const uint8_t signature[64]) {
    struct ed25519_signed one = {.public_key = public_key, .message = message, .message_bytes = message_bytes, .signature = signature};
    uint8_t h[32], encoding[32];
    table_prefetch(table);
    challenge(&one, h);
    ed25519_table_combine(table, signature + 32, h, encoding);
    return memcmp(encoding, signature, 32) == 0;
}

static void lanes_verify(const struct ed25519_table *const *tables, const struct ed25519_signed *list, unsigned count, bool *good) {
    struct ed25519_sum sums[ED25519_LANES];
    uint8_t h[32], encodings[ED25519_LANES][32];
    for (unsigned i = 0; i < count; i++) table_prefetch(tables[i]);
    for (unsigned i = 0; i < count; i++) {
        challenge(&list[i], h);
        ed25519_table_sum(tables[i], list[i].signature + 32, h, &sums[i]);
    }
    ed25519_lanes_combine(sums, count, encodings);
    for (unsigned i = 0; i < count; i++) good[i] = memcmp(encodings[i], list[i].signature, 32) == 0;
}

void ed25519_table_verify_each(const struct ed25519_table *const *tables, const struct ed25519_signed *list, unsigned count, bool *good) {
    unsigned at = 0;
    while (ed25519_lanes_present() && count - at > 1) {
        unsigned some = count - at < ED25519_LANES ? count - at : ED25519_LANES;
        lanes_verify(tables + at, list + at, some, good + at);
        at += some;
    }
    for (; at < count; at++)
        good[at] = ed25519_table_verify(tables[at], list[at].public_key, list[at].message, list[at].message_bytes, list[at].signature);
}
