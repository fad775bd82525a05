/*
 * What neither library offers rightly: does a canonical encoding name a point, and does that point lie in the prime-order subgroup? (BoringSSL has
 * no such function; libsodium 1.0.18's takes [L]A = (0, -1) for the neutral element and so lets keys with a component of order 2 pass.) Public
 * data only, variable time.
 */
#ifndef BFT_ED25519_POINT_H
#define BFT_ED25519_POINT_H

#include <stdint.h>

enum ed25519_point {
    ED25519_POINT_PRIME_ORDER, /* [L]A is the neutral element; so is A itself, which the caller has excluded */
    ED25519_POINT_OTHER,       /* on the curve, [L]A is not neutral */
    ED25519_POINT_NONE,        /* not on the curve */
};

/* `encoding` must be canonical (E-2a); what is not, is read modulo p. */
enum ed25519_point ed25519_point_classify(const uint8_t encoding[32]);

#endif
