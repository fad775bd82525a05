/*
 * Verdicts on signatures, so that one thread can verify ahead what another one will ask for.
 *
 * Why a look-up is as good as a verification
 *   Whether a signature verifies is a function of three things and of nothing else: public key, signed bytes, signature. A verdict is kept under the
 *   SHA-256 of exactly these (verdict_digest()), and is given only for the same three again: never for a sender, a link, a message type, a frame or a
 *   place. Key and signature have fixed lengths and stand before the bytes, so two different triples give two different strings; whoever finds two
 *   with one digest has broken SHA-256, on which blocks and certificates rest as well. Who chose the key is not asked here either: the replica asks
 *   for the key that its own configuration has, so one that verified ahead by an older set of keys left verdicts that nobody asks for. A verdict is
 *   made by verdict_recorder alone, in this process, by the signer that would be asked otherwise. What is not found is verified there and then. So
 *   nothing is skipped, and nothing that a peer sends can place a verdict.
 *
 * Contract
 *   A recorder and its list belong to the thread that verifies ahead; a table and its signer to the thread that asks. Lists go from the one to the
 *   other as plain memory. Pure: no allocation, lock or clock.
 *
 * Limits
 *   VERDICT_LIST_MAX of a frame; further ones are not recorded. VERDICT_SLOTS in a table; a newer one takes the place of an older one.
 */
#ifndef BFT_VERDICT_H
#define BFT_VERDICT_H

#include "bft/signer.h"

enum { VERDICT_LIST_MAX = 32, VERDICT_SLOTS = 16384, VERDICT_DIGEST_BYTES = 32 };

struct verdict {
    uint8_t digest[VERDICT_DIGEST_BYTES];
    bool known, good;
};

struct verdict_list {
    uint32_t count;
    struct verdict verdicts[VERDICT_LIST_MAX];
};

void verdict_digest(const uint8_t public_key[SIGNER_PUBLIC_KEY_BYTES], const uint8_t *bytes, size_t bytes_count,
                    const uint8_t signature[SIGNER_SIGNATURE_BYTES], uint8_t digest[VERDICT_DIGEST_BYTES]);

/* Verifies by `inner` and appends what it said to `list`. Signs by `inner`. */
struct verdict_recorder {
    struct signer inner;
    struct verdict_list *list;
};
struct signer verdict_recorder_signer(struct verdict_recorder *recorder);

/* Zeroed: empty. `found` and `asked` count for metrics. */
struct verdict_table {
    struct signer inner;
    uint64_t asked, found;
    struct verdict slots[VERDICT_SLOTS];
};
void verdict_table_put(struct verdict_table *table, const struct verdict_list *list);
/* Verifies by what the table knows, by `inner` otherwise. */
struct signer verdict_table_signer(struct verdict_table *table);

#endif
