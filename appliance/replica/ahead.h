/*
 * Verifying ahead: the signatures of a frame, before the replica asks for them, on another thread (bft/verdict.h says why that is the same).
 *
 *   ahead_keys_take()   on the replica's thread: a copy of the public keys by which it would verify now; made anew when ahead_stamp() changed
 *   ahead_verify()      on any thread, a scratch each: finds what a frame carries that the replica may verify (client batches, certificates of
 *   slices,
 *                       consensus messages) and has `recorder` verify it
 *
 * Nothing here decides anything: a frame that is not understood here, or is of keys that are not in the copy, is verified by the replica itself.
 * Pure but for memory.
 */
#ifndef APPLIANCE_AHEAD_H
#define APPLIANCE_AHEAD_H

#include "appliance/replica/replica.h"
#include "bft/verdict.h"

struct ahead_keys; /* opaque, immutable, counted as blobs are */

/* Changes whenever the keys did. */
uint64_t ahead_stamp(const struct replica *replica);
struct ahead_keys *ahead_keys_take(const struct replica *replica); /* one holder */
struct ahead_keys *ahead_keys_hold(struct ahead_keys *keys);
void ahead_keys_drop(struct ahead_keys *keys); /* NULL will do */

/* May a frame of this type have anything to verify? */
bool ahead_wants(uint16_t type);

struct ahead_scratch; /* opaque: a thread's */
struct ahead_scratch *ahead_scratch_make(void);
void ahead_scratch_free(struct ahead_scratch *scratch);
void ahead_verify(const struct ahead_keys *keys, struct ahead_scratch *scratch, const struct signer *recorder, uint16_t type, const uint8_t *bytes,
                  size_t count);

#endif
