/*
 * Decoding and multiplication by L on edwards25519, -x^2 + y^2 = 1 + d x^2 y^2 over p = 2^255 - 19 (RFC 8032, 5.1).
 */
#include "bft/ed25519_point.h"

static const struct field curve_d = {{0x34dca135978a3u, 0x1a8283b156ebdu, 0x5e7a26001c029u, 0x739c663a03cbbu, 0x52036cee2b6ffu}};
static const struct field curve_2d = {{0x69b9426b2f159u, 0x35050762add7au, 0x3cf44c0038052u, 0x6738cc7407977u, 0x2406d9dc56dffu}};
static const struct field root_of_minus_1 = {{0x61b274a0ea0b0u, 0x0d5a5fc8f189du, 0x7ef5e9cbd0c60u, 0x78595a6804c9eu, 0x2b8324804fc1du}};
/* L = 2^252 + 27742317777372353535851937790883648493, little-endian */
static const uint8_t group_order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                        0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

bool ed25519_point_read(const uint8_t encoding[32], struct ed25519_extended *point) {
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
        x = field_subtract(&field_zero, &x);
    }
    point->x = x;
    point->y = y;
    point->z = field_one;
    point->t = field_multiply(&x, &y);
    return true;
}

struct ed25519_extended ed25519_point_add(const struct ed25519_extended *p, const struct ed25519_extended *q) {
    struct field a1 = field_subtract(&p->y, &p->x), a2 = field_subtract(&q->y, &q->x), a = field_multiply(&a1, &a2);
    struct field b1 = field_add(&p->y, &p->x), b2 = field_add(&q->y, &q->x), b = field_multiply(&b1, &b2);
    struct field c1 = field_multiply(&p->t, &curve_2d), c = field_multiply(&c1, &q->t);
    struct field d1 = field_add(&p->z, &p->z), d = field_multiply(&d1, &q->z);
    struct field e = field_subtract(&b, &a), f = field_subtract(&d, &c), g = field_add(&d, &c), h = field_add(&b, &a);
    struct ed25519_extended out = {field_multiply(&e, &f), field_multiply(&g, &h), field_multiply(&f, &g), field_multiply(&e, &h)};
    return out;
}

enum ed25519_point ed25519_point_classify(const uint8_t encoding[32]) {
    struct ed25519_extended point;
    if (!ed25519_point_read(encoding, &point)) return ED25519_POINT_NONE;
    struct ed25519_extended product = point; /* bit 252, the highest of L */
    for (int bit = 251; bit >= 0; bit--) {
        product = ed25519_point_add(&product, &product);
        if ((group_order[bit / 8] >> (bit % 8)) & 1u) product = ed25519_point_add(&product, &point);
    }
    return field_is_zero(&product.x) && field_equal(&product.y, &product.z) ? ED25519_POINT_PRIME_ORDER : ED25519_POINT_OTHER;
}

void ed25519_point_write(const struct field *x, const struct field *y, uint8_t out[32]) {
    uint8_t x_bytes[32];
    field_write(x, x_bytes);
    field_write(y, out);
    out[31] = (uint8_t)(out[31] | (x_bytes[0] & 1u) << 7);
}
