/*
 * Tables (ed25519_table.h) of the public keys that sign most, for whoever verifies: of the members of clusters, of busy clients.
 *
 * Contract
 *   ed25519_keys_bytes() of zeroed memory, which the caller owns, and ed25519_keys_init(). It belongs to one thread. A key gets its table, which
 *   costs about one verification, when it is asked for the ED25519_KEYS_AFTERth time, and keeps it until ED25519_KEYS_WAYS others of the same set
 *   were used since: more keys than there is room for cost a quarter of a verification at the most.
 *
 * Limits
 *   Some 4 KiB a key, in sets of ED25519_KEYS_WAYS; memory of sets that no key came to is not touched.
 */
#ifndef BFT_ED25519_KEYS_H
#define BFT_ED25519_KEYS_H

#include "bft/ed25519_table.h"

enum { ED25519_KEYS_WAYS = 8, ED25519_KEYS_AFTER = 4 };

struct ed25519_keys_set {
    struct {
        uint8_t public_key[32];
        uint64_t turn;  /* when it was asked for last; 0: the place is free */
        uint32_t asked; /* so often, up to ED25519_KEYS_AFTER: then it has a table, or is no point's */
        bool has_table;
    } heads[ED25519_KEYS_WAYS];
    struct ed25519_table tables[ED25519_KEYS_WAYS];
};

struct ed25519_keys {
    uint64_t turn;
    uint32_t sets;
    struct ed25519_keys_set set[];
};

size_t ed25519_keys_bytes(uint32_t sets);
void ed25519_keys_init(struct ed25519_keys *keys, uint32_t sets);

/* The table of a key, which is canonical (E-2a); NULL: it has none yet, or names no point. Good until ED25519_KEYS_WAYS - 1
 * further calls have returned: a set gives up what was asked for longest ago. */
const struct ed25519_table *ed25519_keys_table(struct ed25519_keys *keys, const uint8_t public_key[32]);

#endif
