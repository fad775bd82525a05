/*
 * Private, for ed25519_table.c: sums of points (ed25519_table.h) of up to four signatures at once, one in each lane of a register, by the processor's
 * AVX-512 IFMA. Each lane's sum is its own: nothing is added up over signatures, no answer depends on what lies in another lane (E-4).
 */
#ifndef BFT_ED25519_LANES_H
#define BFT_ED25519_LANES_H

#include "bft/ed25519_table.h"

enum { ED25519_LANES = 4 };

/* Whether this processor can. */
bool ed25519_lanes_present(void);

/* out[i]: the encoding of sums[i], for each i below count, which is 1 to ED25519_LANES. */
void ed25519_lanes_combine(const struct ed25519_sum *sums, unsigned count, uint8_t (*out)[32]);

#endif
