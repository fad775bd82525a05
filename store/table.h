/*
 * The live table: (space, key) -> (version, value), in memory, with undo of blocks that are not final.
 *
 * Contract
 *   One thread owns a table. All memory is reserved at table_create() by mmap and touched only when used: an empty table costs a few pages. Nothing
 *   is allocated afterwards. The index is touched as far as the entries need: it is five eighths full at the most until it has the size that the
 *   limits need, and the put that would fill it further moves it to one of twice the size (table.c says what that costs). "Full" is computed from
 *   declared bytes alone (P-20: key + value + TABLE_ENTRY_BYTES per entry), so that every node says it at the same operation; the arena is sized so
 *   that what the declared limits admit always fits (the bound is derived in table_arena.c).
 *
 *   Writes belong to blocks. table_block_begin(h) opens block h on top of the ones that are open (at most open_max); put and remove write to the
 *   newest; reads see the newest state. table_rollback_newest() undoes the newest block, table_finalize_oldest() makes the oldest one permanent.
 *   Before that, table_writes_of_oldest() lists what it wrote, with the values as of that block whatever later open blocks did to the same keys.
 *   table_writes_of_newest() lists what the trie has to rehash. Each key occurs once per block, in the order of its first write, which is the same on
 *   every node.
 *
 *   For checkpoints the table remembers which keys final blocks wrote, eight bytes each however often that was, and not the values:
 *   table_changes_begin() shows them when a checkpoint is due, in the order of the caller's choosing, as final state has them then.
 *
 *   A savepoint inside the newest block undoes part of it: an atomic list that fails.
 *
 *   Keys are hashed with SipHash-2-4 under a key of this process (hash_key, random): hostile keys do not collide on purpose, and no result depends on
 *   the order of the index. table_next() alone shows that order; nothing that leaves the node may depend on it.
 *
 *   Reading a slice fast: for all keys table_hash() and table_prefetch(); then for all table_prefetch_entry(); then table_get().
 *
 *   Each entry carries a 32-bit checksum over key, version and value, which table_get() checks: TABLE_CORRUPT means that this machine's memory
 *   failed.
 *
 * Limits: TABLE_* below and struct table_config.
 */
#ifndef STORE_TABLE_H
#define STORE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "merkle/siphash.h"

enum {
    TABLE_KEY_BYTES_MAX = 256, /* and at least 1 */
    TABLE_VALUE_BYTES_MAX = 65536,
    TABLE_LONG_BYTES = 512, /* values from here on lie with their hash */
    TABLE_HASH_BYTES = 32,
    TABLE_ENTRY_BYTES = 64, /* declared bytes of an entry beside key and value (P-20) */
    TABLE_SPACES = 2,       /* 0 users, 1 system: limits are kept apart, so that full users never block the system's own records */
    TABLE_OPEN_MAX = 64,    /* open blocks */
    TABLE_HASH_KEY_BYTES = 16,
};

enum table_status {
    TABLE_OK = 0,
    TABLE_ABSENT,     /* get, remove: no such key */
    TABLE_KEYS_FULL,  /* put of a new key: keys_max of its space is reached. Deterministic; nothing was changed */
    TABLE_BYTES_FULL, /* put that enlarges: bytes_max of its space would be passed. Deterministic; nothing was changed */
    TABLE_BLOCK_FULL, /* put, remove: block_writes_max or block_bytes_max would be passed. Deterministic; nothing was changed */
    TABLE_CORRUPT,    /* get: the entry's checksum does not match: bad memory. The node must not answer or vote from this table */
    TABLE_NO_MEMORY,  /* create: the address space was refused */
    TABLE_BAD_LIMITS, /* create: a limit is 0, too large for 32-bit references, or open_max > TABLE_OPEN_MAX */
};

const char *table_status_name(enum table_status status);

struct table_config {
    uint64_t keys_max[TABLE_SPACES];        /* entries per space, each >= 1, sum <= 2^30 */
    uint64_t bytes_max[TABLE_SPACES];       /* declared bytes per space */
    uint64_t block_bytes_max;               /* declared bytes that one block may write; a removed key counts key + TABLE_ENTRY_BYTES */
    uint32_t block_writes_max;              /* distinct keys that one block may write, 1 to 2^20 */
    uint32_t open_max;                      /* open blocks, 1 to TABLE_OPEN_MAX */
    uint32_t changed_max;                   /* keys that may wait for a checkpoint, at least block_writes_max, at most 2^30; 0: none is remembered */
    uint8_t hash_key[TABLE_HASH_KEY_BYTES]; /* random, of this process */
};

struct table; /* opaque */

struct table_version {
    uint64_t height;
    uint32_t index;
};

/* What a read sees. Both pointers lead into the table and hold until the next call that changes it. `key` is the caller's own in table_get(). */
struct table_entry {
    const uint8_t *key;
    const uint8_t *value;
    uint32_t key_bytes;
    uint32_t value_bytes;
    struct table_version version;
    uint8_t space;
};

/* Of an entry that a table has shown: the hash of a long value (T-3, trie_value_hash()), which was made when it was stored and lies behind it; NULL:
 * the value is not long. Other entries have none: do not ask. */
static inline const uint8_t *table_value_hash(const struct table_entry *entry) {
    return entry->value_bytes >= TABLE_LONG_BYTES ? entry->value + entry->value_bytes : NULL;
}

/* One write of one block. For a deleted key value_bytes is 0 and version the one of the deletion. Pointers as in table_entry. */
struct table_write {
    struct table_entry entry;
    uint32_t ref; /* table_ref() */
    bool deleted;
    bool existed; /* the key was there before this block */
};

enum table_status table_create(const struct table_config *config, struct table **table) __attribute__((warn_unused_result));
void table_destroy(struct table *table); /* NULL will do */

/* The address space that a table reserved, resident as far as it is used: for the node's printed budget. The same from create on; any thread may
 * ask. */
enum { TABLE_REGIONS = 7 };
struct table_region {
    const void *base;
    uint64_t bytes;
};
void table_regions(const struct table *table, struct table_region regions[TABLE_REGIONS]);

/* Figures of the newest state, per space. */
uint64_t table_keys(const struct table *table, uint8_t space);
uint64_t table_declared_bytes(const struct table *table, uint8_t space);
uint64_t table_final_keys(const struct table *table, uint8_t space); /* of the final state */

/* Lower or raise a space's limits to at most those of the configuration (CONFIG, at the start of an epoch; O-17). What is there stays, even if it
 * is more. */
void table_limits_set(struct table *table, uint8_t space, uint64_t keys_max, uint64_t bytes_max);

/* Declared bytes of one entry (P-20). */
static inline uint64_t table_entry_declared(size_t key_bytes, size_t value_bytes) {
    return (uint64_t)key_bytes + value_bytes + TABLE_ENTRY_BYTES;
}

/* Reading. key: 1 to 256 bytes, space 0 or 1; anything else is a CHECK, the decoders have seen to it. */
uint64_t table_hash(const struct table *table, uint8_t space, const uint8_t *key, size_t key_bytes);
/* Of as many keys of one length. */
void table_hash_each(const struct table *table, uint8_t space, const uint8_t *const keys[SIPHASH_LANES], size_t key_bytes,
                     uint64_t hashes[SIPHASH_LANES]);
void table_prefetch(const struct table *table, uint64_t hash);
/* bytes: of key and value together, as they may be expected; what is longer comes late, what is shorter costs a little. */
void table_prefetch_entry(const struct table *table, uint64_t hash, uint32_t bytes);
enum table_status table_get(const struct table *table, uint64_t hash, uint8_t space, const uint8_t *key, size_t key_bytes, struct table_entry *entry)
    __attribute__((warn_unused_result));

/* Writing, only with a block open. The version becomes (height of the block, index). `value` may lie in the table itself. */
enum table_status table_put(struct table *table, uint64_t hash, uint8_t space, const uint8_t *key, size_t key_bytes, uint32_t index,
                            const uint8_t *value, size_t value_bytes) __attribute__((warn_unused_result));
enum table_status table_remove(struct table *table, uint64_t hash, uint8_t space, const uint8_t *key, size_t key_bytes, uint32_t index)
    __attribute__((warn_unused_result));

/* Filling from a checkpoint, only with no block open: an entry with the version it has, final at once. The key must not be there yet
 * (TABLE_CORRUPT). */
enum table_status table_load(struct table *table, uint8_t space, const uint8_t *key, size_t key_bytes, struct table_version version,
                             const uint8_t *value, size_t value_bytes) __attribute__((warn_unused_result));
/* Forgets everything, open blocks too: before loading another checkpoint. */
void table_clear(struct table *table);

/* Blocks. Heights grow by whatever the caller says but must grow. Opening more than open_max, or rolling back or finalizing with none open, is a
 * CHECK. */
void table_block_begin(struct table *table, uint64_t height);
uint32_t table_blocks_open(const struct table *table);
uint64_t table_height_of_oldest(const struct table *table); /* CHECK: a block is open */
uint64_t table_height_of_newest(const struct table *table); /* CHECK: a block is open */
void table_rollback_newest(struct table *table);            /* CHECK: no savepoint is open */
void table_finalize_oldest(struct table *table);            /* CHECK: no savepoint is open */

/* Savepoint: at most one at a time, inside the newest block. Rolled back it leaves no trace, in the write-set neither. */
void table_savepoint_begin(struct table *table);
void table_savepoint_keep(struct table *table);
void table_savepoint_rollback(struct table *table);

/* Write-sets. The iterator holds until the next call that changes the table. */
struct table_writes {
    const struct table *table;
    uint32_t at;
    uint32_t end;
};
struct table_writes table_writes_of_oldest(const struct table *table);
struct table_writes table_writes_of_newest(const struct table *table); /* CHECK: no savepoint is open */
static inline uint32_t table_writes_count(const struct table_writes *writes) {
    return writes->end - writes->at;
}
bool table_writes_next(struct table_writes *writes, struct table_write *write);
/* Where the key of the write that was shown last belongs in the order in which changes are to come: the smaller first. Without it, 0. */
void table_writes_place(const struct table_writes *writes, uint32_t place);

/*
 * What changed: for each key that a final block wrote since table_changes_end(), and that is there, its entry as final state has it, whatever open
 * blocks have done to it. In order of place; keys of one place in any order. A key may come more than once, and one may come that did not change but
 * has the ref of one that did. Keys that are no longer there do not come: who needs to know looks at what each block removes before it is final.
 *
 * When table_changes_full(), the oldest block does not become final (CHECK) before the changes have been shown and ended.
 */
struct table_changes {
    const struct table *table;
    uint32_t at;
    uint64_t probe;
};
uint32_t table_changes_count(const struct table *table);
bool table_changes_full(const struct table *table); /* CHECK: a block is open */
/*
 * Both, and showing, may take their time, with other calls in between: from the first of them until table_changes_end() no block becomes final
 * (CHECK), so that what is shown is the final state of one height; blocks may be opened, written and rolled back, which changes nothing of it.
 * _sort() brings some of them into order, 0 to 8 times as many steps as there are changes: true when all are; _begin() sorts what is left of that.
 */
bool table_changes_sort(struct table *table, uint64_t steps);
/* A copy goes on from where it was made. When the table has changed since, `probe` must be 0: `at` begins with all of its entries again. */
struct table_changes table_changes_begin(struct table *table);
/* *intact is whether the entry's checksum matches. */
bool table_changes_next(struct table_changes *changes, struct table_entry *entry, bool *intact);
/* All that is final now has been shown, or is not wanted. */
void table_changes_end(struct table *table);

/*
 * A number that names a key, or few keys, and stays the same whatever happens to the entry: the low half of its hash. The trie keeps it as its
 * `ref`; an absence proof leads from the other leaf's path back to its key by trying the entries of its ref: start with *cursor 0, until false;
 * compare paths.
 */
static inline uint32_t table_ref(uint64_t hash) {
    return (uint32_t)hash;
}
bool table_ref_next(const struct table *table, uint32_t ref, uint64_t *cursor, struct table_entry *entry);

/* Walks the entries of the newest state in an order that means nothing: start with *cursor 0, until false. For scrubs, dumps and tests. *intact is
 * whether the entry's checksum matches. A change of the table between two calls may show an entry twice or not at all. */
bool table_next(const struct table *table, uint64_t *cursor, struct table_entry *entry, bool *intact);

#endif
