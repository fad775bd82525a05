#include "bft/ed25519_keys.h"

#include "merkle/check.h"

size_t ed25519_keys_bytes(uint32_t sets) {
    return sizeof(struct ed25519_keys) + sets * sizeof(struct ed25519_keys_set);
}

void ed25519_keys_init(struct ed25519_keys *keys, uint32_t sets) {
    CHECK(sets > 0);
    keys->sets = sets;
    keys->turn = 0;
}

/* Where the key is, or the place of the one that was asked for longest ago. */
static unsigned place_of(const struct ed25519_keys_set *set, const uint8_t public_key[32]) {
    unsigned oldest = 0;
    for (unsigned i = 0; i < ED25519_KEYS_WAYS; i++) {
        if (set->heads[i].turn != 0 && memcmp(set->heads[i].public_key, public_key, 32) == 0) return i;
        if (set->heads[i].turn < set->heads[oldest].turn) oldest = i;
    }
    return oldest;
}

const struct ed25519_table *ed25519_keys_table(struct ed25519_keys *keys, const uint8_t public_key[32]) {
    uint32_t index;
    memcpy(&index, public_key, sizeof index); /* whichever way round: it names a set of this process alone */
    struct ed25519_keys_set *set = &keys->set[index % keys->sets];
    unsigned place = place_of(set, public_key);
    if (set->heads[place].turn == 0 || memcmp(set->heads[place].public_key, public_key, 32) != 0) {
        memcpy(set->heads[place].public_key, public_key, 32);
        set->heads[place].asked = 0;
        set->heads[place].has_table = false;
    }
    set->heads[place].turn = ++keys->turn;
    if (set->heads[place].asked < ED25519_KEYS_AFTER && ++set->heads[place].asked == ED25519_KEYS_AFTER)
        set->heads[place].has_table = ed25519_table_make(public_key, &set->tables[place]);
    return set->heads[place].has_table ? &set->tables[place] : NULL;
}
