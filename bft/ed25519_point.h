/*
 * What neither library offers rightly: does a canonical encoding name a point, and does that point lie in the prime-order subgroup? (BoringSSL has
 * no such function; libsodium 1.0.18's takes [L]A = (0, -1) for the neutral element and so lets keys with a component of order 2 pass.) Public
 * data only, variable time.
 */
#ifndef BFT_ED25519_POINT_H
#define BFT_ED25519_POINT_H

#include "bft/ed25519_field.h"

enum ed25519_point {
    ED25519_POINT_PRIME_ORDER, /* [L]A is the neutral element; so is A itself, which the caller has excluded */
    ED25519_POINT_OTHER,       /* on the curve, [L]A is not neutral */
    ED25519_POINT_NONE,        /* not on the curve */
};

/* `encoding` must be canonical (E-2a); what is not, is read modulo p. */
enum ed25519_point ed25519_point_classify(const uint8_t encoding[32]);

/* Extended coordinates: x = X/Z, y = Y/Z, T = XY/Z. All reduced (ed25519_field.h). */
struct ed25519_extended {
    struct field x, y, z, t;
};

/* RFC 8032, 5.1.3. False: not on the curve. */
bool ed25519_point_read(const uint8_t encoding[32], struct ed25519_extended *point);
/* RFC 8032, 5.1.2, of affine coordinates, which are reduced. */
void ed25519_point_write(const struct field *x, const struct field *y, uint8_t out[32]);
/* The complete addition of RFC 8032, 5.1.4: right for any two points, equal ones too. */
struct ed25519_extended ed25519_point_add(const struct ed25519_extended *p, const struct ed25519_extended *q);

#endif
