/*
 * The fast signer of simulator, explorer and tests: SipHash-2-4 under a secret that is derived from the public key. Whoever knows the public key can
 * forge, so honesty about keys is the simulator's own: a liar's code signs with its own index only. Same interface as the real one.
 */
#ifndef TESTS_KEYED_KEYED_SIGNER_H
#define TESTS_KEYED_KEYED_SIGNER_H

#include "bft/signer.h"

struct keyed_signer {
    uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES];
};

/* Key number `number`, the same in every run. */
void keyed_signer_init(struct keyed_signer *keyed, uint64_t number);
/* `keyed` may be NULL for one that only verifies. */
struct signer keyed_signer_of(struct keyed_signer *keyed);
uint64_t keyed_siphash(uint64_t key0, uint64_t key1, const void *bytes, size_t bytes_count);

#endif
