/* The only place of the network side that reads entropy: getrandom(2).
 * A kernel that refuses it leaves nothing safe to do: the process stops with a message. */
#ifndef RING_ENTROPY_H
#define RING_ENTROPY_H

#include <stddef.h>
#include <stdint.h>

/* Fills out with `bytes` random bytes fit for keys. bytes: any. */
void ring_entropy_fill(void *out, size_t bytes);

/* A uniformly random word, for jitter and hash keys. */
uint64_t ring_entropy_u64(void);

#endif
