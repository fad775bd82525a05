/*
 * Decoding and multiplication by L on edwards25519, -x^2 + y^2 = 1 + d x^2 y^2 over p = 2^255 - 19 (RFC 8032, 5.1).
 *
 * A field element is five limbs of 51 bits. Every operation gives limbs below 2^51 + 2^13 and takes such; the value is reduced fully only where it
 * is compared.
 */
#include "bft/ed25519_point.h"

#include <stdbool.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

struct field {
    uint64_t limb[5];
};

struct point { /* extended coordinates: x = X/Z, y = Y/Z, T = XY/Z */
    struct field x, y, z, t;
};

static const uint64_t limb_mask = ((uint64_t)1 << 51) - 1;
static const struct field field_one = {{1, 0, 0, 0, 0}};
static const struct field curve_d = {{0x34dca135978a3u, 0x1a8283b156ebdu, 0x5e7a26001c029u, 0x739c663a03cbbu, 0x52036cee2b6ffu}};
static const struct field curve_2d = {{0x69b9426b2f159u, 0x35050762add7au, 0x3cf44c0038052u, 0x6738cc7407977u, 0x2406d9dc56dffu}};
static const struct field root_of_minus_1 = {{0x61b274a0ea0b0u, 0x0d5a5fc8f189du, 0x7ef5e9cbd0c60u, 0x78595a6804c9eu, 0x2b8324804fc1du}};
/* L = 2^252 + 27742317777372353535851937790883648493, little-endian */
static const uint8_t group_order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                        0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

/* One pass of carries; the carry out of the top comes back times 19, since 2^255 = 19. */
static struct field field_carry(const uint64_t in[5]) {
    struct field out;
    uint64_t carry = 0;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t sum = in[i] + carry;
        out.limb[i] = sum & limb_mask;
        carry = sum >> 51;
    }
    out.limb[0] += 19 * carry;
    return out;
}

static struct field field_add(const struct field *a, const struct field *b) {
    uint64_t sum[5];
    for (unsigned i = 0; i < 5; i++) sum[i] = a->limb[i] + b->limb[i];
    return field_carry(sum);
}

static struct field field_subtract(const struct field *a, const struct field *b) {
    /* 4p is added first, limb by limb more than any b. */
    uint64_t difference[5];
    for (unsigned i = 0; i < 5; i++) difference[i] = a->limb[i] + 4 * (limb_mask - (i == 0 ? 18 : 0)) - b->limb[i];
    return field_carry(difference);
}

static struct field field_multiply(const struct field *a, const struct field *b) {
    /* Limbs below 2^52: a product below 2^104, times 19 and five of them below 2^111. */
    u128 wide[5] = {0};
    for (unsigned i = 0; i < 5; i++) {
        for (unsigned j = 0; j < 5; j++) {
            u128 product = (u128)a->limb[i] * b->limb[j];
            if (i + j < 5) {
                wide[i + j] += product;
            } else {
                wide[i + j - 5] += 19 * product;
            }
        }
    }
    struct field out;
    u128 carry = 0;
    for (unsigned i = 0; i < 5; i++) {
        u128 sum = wide[i] + carry;
        out.limb[i] = (uint64_t)sum & limb_mask;
        carry = sum >> 51; /* below 2^60 */
    }
    u128 low = out.limb[0] + 19 * carry;
    out.limb[0] = (uint64_t)low & limb_mask;
    out.limb[1] += (uint64_t)(low >> 51); /* below 2^14 */
    return out;
}

static struct field field_square(const struct field *a) {
    return field_multiply(a, a);
}

/* a^((p - 5) / 8) = a^(2^252 - 3): bits 251 to 2 are one, bit 1 is zero, bit 0 is one. */
static struct field field_power_p58(const struct field *a) {
    struct field out = *a;
    for (int bit = 250; bit >= 0; bit--) {
        out = field_square(&out);
        if (bit != 1) out = field_multiply(&out, a);
    }
    return out;
}

static void field_write(const struct field *a, uint8_t out[32]) {
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
        sum[i] &= limb_mask;
    }
    sum[4] &= limb_mask;
    for (unsigned bit = 0; bit < 256; bit += 8) {
        unsigned limb = bit / 51, shift = bit % 51;
        uint64_t byte = limb < 5 ? sum[limb] >> shift : 0;
        if (limb < 4 && shift > 43) byte |= sum[limb + 1] << (51 - shift);
        out[bit / 8] = (uint8_t)byte;
    }
}

static struct field field_read(const uint8_t in[32]) {
    struct field out = {{0}};
    for (unsigned bit = 0; bit < 255; bit++) {
        uint64_t value = (in[bit / 8] >> (bit % 8)) & 1u;
        out.limb[bit / 51] |= value << (bit % 51);
    }
    return out;
}

static bool field_equal(const struct field *a, const struct field *b) {
    uint8_t a_bytes[32], b_bytes[32];
    field_write(a, a_bytes);
    field_write(b, b_bytes);
    return memcmp(a_bytes, b_bytes, 32) == 0;
}

static bool field_is_zero(const struct field *a) {
    static const struct field zero = {{0}};
    return field_equal(a, &zero);
}

/* RFC 8032, 5.1.3. */
static bool point_read(const uint8_t encoding[32], struct point *point) {
    struct field y = field_read(encoding);
    struct field yy = field_square(&y), u = field_subtract(&yy, &field_one);
    struct field v = field_multiply(&yy, &curve_d);
    v = field_add(&v, &field_one);
    struct field v2 = field_square(&v), v3 = field_multiply(&v2, &v), v6 = field_square(&v3), v7 = field_multiply(&v6, &v);
    struct field uv3 = field_multiply(&u, &v3), uv7 = field_multiply(&u, &v7), power = field_power_p58(&uv7);
    struct field x = field_multiply(&uv3, &power);
    struct field xx = field_square(&x), vxx = field_multiply(&v, &xx);
    if (!field_equal(&vxx, &u)) {
        struct field sum = field_add(&vxx, &u);
        if (!field_is_zero(&sum)) return false;
        x = field_multiply(&x, &root_of_minus_1);
    }
    uint8_t x_bytes[32];
    field_write(&x, x_bytes);
    if ((x_bytes[0] & 1u) != encoding[31] >> 7) {
        static const struct field zero = {{0}};
        x = field_subtract(&zero, &x);
    }
    point->x = x;
    point->y = y;
    point->z = field_one;
    point->t = field_multiply(&x, &y);
    return true;
}

/* The complete addition of RFC 8032, 5.1.4: right for any two points, equal ones too. */
static struct point point_add(const struct point *p, const struct point *q) {
    struct field a1 = field_subtract(&p->y, &p->x), a2 = field_subtract(&q->y, &q->x), a = field_multiply(&a1, &a2);
    struct field b1 = field_add(&p->y, &p->x), b2 = field_add(&q->y, &q->x), b = field_multiply(&b1, &b2);
    struct field c1 = field_multiply(&p->t, &curve_2d), c = field_multiply(&c1, &q->t);
    struct field d1 = field_add(&p->z, &p->z), d = field_multiply(&d1, &q->z);
    struct field e = field_subtract(&b, &a), f = field_subtract(&d, &c), g = field_add(&d, &c), h = field_add(&b, &a);
    struct point out = {field_multiply(&e, &f), field_multiply(&g, &h), field_multiply(&f, &g), field_multiply(&e, &h)};
    return out;
}

enum ed25519_point ed25519_point_classify(const uint8_t encoding[32]) {
    struct point point;
    if (!point_read(encoding, &point)) return ED25519_POINT_NONE;
    struct point product = point; /* bit 252, the highest of L */
    for (int bit = 251; bit >= 0; bit--) {
        product = point_add(&product, &product);
        if ((group_order[bit / 8] >> (bit % 8)) & 1u) product = point_add(&product, &point);
    }
    return field_is_zero(&product.x) && field_equal(&product.y, &product.z) ? ED25519_POINT_PRIME_ORDER : ED25519_POINT_OTHER;
}
