/*
 * The scrub of what is in memory.
 *
 * Why this finds what failed memory did: the root that this executor states is compared with the certified one at every block. The walk shows that
 * this root is the hash of the leaves (trie_scrub.c), each leaf that of an entry which a read of its key finds, and that there are as many entries as
 * leaves: so the table is the certified state, entry by entry, or something is named. What happens to a part after it was looked at, the next round
 * finds. Nothing is mended here: where one bit changed others may have. The node opens anew, from what it can prove (replica_scrub.c).
 *
 * Open blocks are no exception: the trie is brought up to the newest executed block first, which is what the table shows.
 */
#include "appliance/exec/exec_inside.h"

#include <string.h>

const char *exec_damage_name(enum exec_damage damage) {
    switch (damage) {
    case EXEC_DAMAGE_NONE: return "none";
    case EXEC_DAMAGE_TRIE: return "trie";
    case EXEC_DAMAGE_ENTRY: return "entry";
    case EXEC_DAMAGE_COUNT: return "count";
    }
    return "unknown";
}

/* The entry of this leaf is there, a read of its key finds it, and it hashes to the leaf. */
static bool entry_is_intact(const struct executor *ex, const struct trie_scrubbed *leaf) {
    uint64_t cursor = 0;
    struct table_entry entry, read;
    while (table_ref_next(ex->table, leaf->ref, &cursor, &entry)) {
        uint8_t path[32], hash[32];
        trie_path((enum trie_space)entry.space, entry.key, entry.key_bytes, path);
        if (memcmp(path, leaf->path, 32) != 0) continue;
        uint64_t key_hash = table_hash(ex->table, entry.space, entry.key, entry.key_bytes);
        if (table_get(ex->table, key_hash, entry.space, entry.key, entry.key_bytes, &read) != TABLE_OK || read.value != entry.value) return false;
        exec_leaf_of(&entry, path, hash);
        return memcmp(hash, leaf->leaf_hash, 32) == 0;
    }
    return false;
}

static enum exec_damage scrub_one(struct executor *ex, const struct trie_scrubbed *leaf) {
    if (!leaf->intact) return EXEC_DAMAGE_TRIE;
    return entry_is_intact(ex, leaf) ? EXEC_DAMAGE_NONE : EXEC_DAMAGE_ENTRY;
}

enum exec_status executor_scrub(struct executor *ex, uint32_t records, struct exec_scrubbed *out) {
    memset(out, 0, sizeof *out);
    if (ex->corrupt) return EXEC_CORRUPT;
    uint8_t root[32];
    executor_state_root(ex, root);
    struct trie_usage usage;
    trie_usage(ex->trie, &usage);
    out->of = usage.leaves;
    if (usage.leaves != table_keys(ex->table, TRIE_SPACE_USER) + table_keys(ex->table, TRIE_SPACE_SYSTEM)) out->damage = EXEC_DAMAGE_COUNT;
    while (out->damage == EXEC_DAMAGE_NONE && out->records < records) {
        struct trie_scrubbed leaf;
        bool more = trie_scrub_next(ex->trie, ex->scrub_at, &leaf) == TRIE_OK;
        if (more) {
            out->records++;
            out->damage = scrub_one(ex, &leaf);
            memcpy(out->path, leaf.path, 32);
            memcpy(ex->scrub_at, leaf.path, 32);
            more = trie_path_next(ex->scrub_at);
        }
        if (more) continue;
        out->round = true;
        memset(ex->scrub_at, 0, sizeof ex->scrub_at);
        break;
    }
    if (out->damage == EXEC_DAMAGE_NONE) return EXEC_VALID;
    exec_fail(ex, EXEC_CORRUPT);
    return EXEC_CORRUPT;
}
