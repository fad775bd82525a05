/*
 * A fast signer for simulators and explorers: a keyed hash in place of Ed25519 (about 0.3 us against 20 and 56).
 *
 * A world has one secret. A node's public key is SHA-256(secret | 'k' | node number), its signature two hashes over secret, public key and bytes.
 * Whoever knows the world's secret can forge; the simulated liars do not use it for keys that are not theirs, which is the assumption that Ed25519
 * stands for. For tests only.
 */
#ifndef TESTS_SIM_KEYED_SIGNER_H
#define TESTS_SIM_KEYED_SIGNER_H

#include "bft/signer.h"

struct keyed_signer {
    uint8_t world[32];      /* the same for all nodes of a simulation, and for those who only verify */
    uint8_t public_key[32]; /* this node's */
};

/* Node `node` of the world that `seed` names. */
void keyed_signer_init(struct keyed_signer *keyed, uint64_t seed, uint64_t node);

/* The interface; `keyed` must outlive it. */
struct signer keyed_signer_interface(struct keyed_signer *keyed);

#endif
