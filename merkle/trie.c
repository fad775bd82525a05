/*
 * The state trie: puts, removes, undo, root. Its data structure is described in trie_inside.h, its contract in trie.h, its hashes in spec/trees.md
 * (T-rules).
 */
#include "merkle/trie_inside.h"

/* Memory. */

static size_t aligned(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

static void limits_check(const struct trie_limits *limits) {
    CHECK(limits->leaves_max >= 1 && limits->leaves_max < TRIE_NODE_LEAF);
    CHECK(limits->journal_max >= 1);
}

/* journal_max entries in a row, wherever they begin, lie in so many parts at the most. */
static uint32_t parts_for(const struct trie_limits *limits) {
    return limits->journal_max / TRIE_PART_ENTRIES + 2;
}

size_t trie_memory_bytes(const struct trie_limits *limits) {
    limits_check(limits);
    size_t leaves = limits->leaves_max, parts = parts_for(limits);
    return aligned(sizeof(struct trie)) + aligned(leaves * sizeof(struct trie_hash_pair)) + aligned(leaves * SHA256_BYTES) +
           aligned(leaves * sizeof(struct trie_link)) + aligned(leaves * sizeof(uint32_t)) +
           aligned(parts * TRIE_PART_ENTRIES * sizeof(struct trie_journal_entry)) + 2 * aligned(parts * sizeof(uint32_t));
}

struct trie *trie_init(void *memory, size_t memory_bytes, const struct trie_limits *limits) {
    CHECK(((uintptr_t)memory & 63) == 0 && memory_bytes >= trie_memory_bytes(limits));
    size_t leaves = limits->leaves_max;
    uint8_t *at = memory;
    struct trie *trie = memory;
    trie->limits = *limits;
    at += aligned(sizeof(struct trie));
    trie->pairs = (struct trie_hash_pair *)(void *)at;
    at += aligned(leaves * sizeof(struct trie_hash_pair));
    trie->paths = (uint8_t(*)[SHA256_BYTES])(void *)at;
    at += aligned(leaves * SHA256_BYTES);
    trie->links = (struct trie_link *)(void *)at;
    at += aligned(leaves * sizeof(struct trie_link));
    trie->refs = (uint32_t *)(void *)at;
    at += aligned(leaves * sizeof(uint32_t));
    trie->journal = (struct trie_journal_entry *)(void *)at;
    trie->parts = parts_for(limits);
    at += aligned((size_t)trie->parts * TRIE_PART_ENTRIES * sizeof(struct trie_journal_entry));
    trie->part_at = (uint32_t *)(void *)at;
    at += aligned(trie->parts * sizeof(uint32_t));
    trie->part_next = (uint32_t *)(void *)at;
    return trie;
}

static uint32_t leaf_new(struct trie *trie) {
    uint32_t leaf;
    if (trie->leaf_free) {
        leaf = trie->leaf_free - 1;
        trie->leaf_free = trie->refs[leaf];
    } else {
        CHECK(trie->leaves_fresh < trie->limits.leaves_max);
        leaf = trie->leaves_fresh++;
    }
    trie->leaves++;
    return leaf;
}

static void leaf_drop(struct trie *trie, uint32_t leaf) {
    trie->refs[leaf] = trie->leaf_free;
    trie->leaf_free = leaf + 1;
    trie->leaves--;
}

static uint32_t inner_new(struct trie *trie) {
    if (trie->inner_free) {
        uint32_t inner = trie->inner_free - 1;
        trie->inner_free = trie->links[inner].child[0];
        return inner;
    }
    CHECK(trie->inner_fresh < trie->limits.leaves_max);
    return trie->inner_fresh++;
}

static void inner_drop(struct trie *trie, uint32_t inner) {
    trie->links[inner].child[0] = trie->inner_free;
    trie->inner_free = inner + 1;
}

/* Changes without journal. */

/* The first `count` inner nodes of the way have changed below: their hashes, kept by their parents, are stale. */
static void way_soil(struct trie *trie, const uint8_t path[SHA256_BYTES], const struct trie_way *way, unsigned count) {
    if (count == 0) return;
    trie->root_stale = true;
    for (unsigned i = 0; i + 1 < count; i++) {
        struct trie_link *link = &trie->links[way->inner[i]];
        link->stale = (uint8_t)(link->stale | 1u << trie_path_bit(path, link->bit));
    }
}

/* Makes `node` with `hash` what hangs in the slot that the first `depth` nodes of the way lead to: a side of the last of them, or the root. */
static void slot_set(struct trie *trie, const uint8_t path[SHA256_BYTES], const struct trie_way *way, unsigned depth, uint32_t node, bool stale,
                     const uint8_t *hash) {
    if (depth == 0) {
        trie->root = node;
        trie->root_stale = stale;
        if (hash) memcpy(trie->root_hash, hash, SHA256_BYTES);
        return;
    }
    uint32_t parent = way->inner[depth - 1];
    struct trie_link *link = &trie->links[parent];
    unsigned side = trie_path_bit(path, link->bit);
    link->child[side] = node;
    link->stale = (uint8_t)((link->stale & ~(1u << side)) | (unsigned)stale << side);
    if (hash) memcpy(trie->pairs[parent].of[side], hash, SHA256_BYTES);
}

static bool slot_stale(const struct trie *trie, const uint8_t path[SHA256_BYTES], const struct trie_way *way, unsigned depth) {
    if (depth == 0) return trie->root_stale;
    const struct trie_link *link = &trie->links[way->inner[depth - 1]];
    return (link->stale >> trie_path_bit(path, link->bit)) & 1u;
}

/* A new leaf beside the one at the end of the way, from which it first differs in `bit`. */
static void leaf_insert(struct trie *trie, struct trie_way *way, unsigned bit, const uint8_t path[SHA256_BYTES],
                        const uint8_t leaf_hash[SHA256_BYTES], uint32_t ref) {
    unsigned above = way->depth;
    while (above > 0 && trie->links[way->inner[above - 1]].bit > bit) above--;
    uint32_t below = above < way->depth ? way->inner[above] + 1 : way->end;

    uint32_t leaf = leaf_new(trie);
    memcpy(trie->paths[leaf], path, SHA256_BYTES);
    trie->refs[leaf] = ref;
    uint32_t inner = inner_new(trie);
    unsigned side = trie_path_bit(path, bit);
    struct trie_link *link = &trie->links[inner];
    link->bit = (uint8_t)bit;
    link->child[side] = leaf | TRIE_NODE_LEAF;
    link->child[1 - side] = below;
    link->stale = (uint8_t)((unsigned)slot_stale(trie, path, way, above) << (1 - side));
    memcpy(trie->pairs[inner].of[side], leaf_hash, SHA256_BYTES);
    memcpy(trie->pairs[inner].of[1 - side], trie_way_hash(trie, path, way, above), SHA256_BYTES);

    slot_set(trie, path, way, above, inner + 1, true, NULL);
    way_soil(trie, path, way, above);
}

/* The way must be the whole one of `path`. */
static void put_raw(struct trie *trie, struct trie_way *way, const uint8_t path[SHA256_BYTES], const uint8_t leaf_hash[SHA256_BYTES], uint32_t ref) {
    if (way->end == TRIE_NODE_NONE) {
        uint32_t leaf = leaf_new(trie);
        memcpy(trie->paths[leaf], path, SHA256_BYTES);
        trie->refs[leaf] = ref;
        slot_set(trie, path, way, 0, leaf | TRIE_NODE_LEAF, false, leaf_hash);
        return;
    }
    uint32_t leaf = way->end & ~TRIE_NODE_LEAF;
    unsigned bit = trie_path_difference(path, trie->paths[leaf]);
    if (bit < TRIE_BITS) {
        leaf_insert(trie, way, bit, path, leaf_hash, ref);
        return;
    }
    trie->refs[leaf] = ref;
    slot_set(trie, path, way, way->depth, way->end, false, leaf_hash);
    way_soil(trie, path, way, way->depth);
}

/* The way must be the whole one of `path` and end at its leaf. */
static void remove_raw(struct trie *trie, struct trie_way *way, const uint8_t path[SHA256_BYTES]) {
    leaf_drop(trie, way->end & ~TRIE_NODE_LEAF);
    if (way->depth == 0) {
        slot_set(trie, path, way, 0, TRIE_NODE_NONE, false, trie_empty_root);
        return;
    }
    /* The parent goes; the sibling takes its place, with whatever is known of its hash. */
    uint32_t parent = way->inner[way->depth - 1];
    const struct trie_link *link = &trie->links[parent];
    unsigned other = 1 - trie_path_bit(path, link->bit);
    slot_set(trie, path, way, way->depth - 1, link->child[other], (link->stale >> other) & 1u, trie->pairs[parent].of[other]);
    way_soil(trie, path, way, way->depth - 1);
    inner_drop(trie, parent);
}

static bool way_found(const struct trie *trie, const struct trie_way *way, const uint8_t path[SHA256_BYTES]) {
    return way->end != TRIE_NODE_NONE && memcmp(trie->paths[way->end & ~TRIE_NODE_LEAF], path, SHA256_BYTES) == 0;
}

/* Journal. */

static bool journal_has_room(const struct trie *trie, uint64_t entries) {
    return trie->marks_open == 0 || entries <= trie->limits.journal_max - (trie->journal_end - trie->journal_begin);
}

static void part_take(struct trie *trie, uint64_t number) {
    uint32_t part = trie->part_free;
    if (part) {
        trie->part_free = trie->part_next[part - 1];
    } else {
        CHECK(trie->part_fresh < trie->parts);
        part = ++trie->part_fresh;
    }
    trie->part_at[number % trie->parts] = part - 1;
}

static void part_give(struct trie *trie, uint64_t number) {
    uint32_t part = trie->part_at[number % trie->parts];
    trie->part_next[part] = trie->part_free;
    trie->part_free = part + 1;
}

static struct trie_journal_entry *journal_at(const struct trie *trie, uint64_t number) {
    uint32_t part = trie->part_at[number / TRIE_PART_ENTRIES % trie->parts];
    return &trie->journal[(size_t)part * TRIE_PART_ENTRIES + number % TRIE_PART_ENTRIES];
}

/* What is older than `begin` is not needed any more. */
static void journal_begin_set(struct trie *trie, uint64_t begin) {
    for (uint64_t number = trie->journal_begin / TRIE_PART_ENTRIES; number < begin / TRIE_PART_ENTRIES; number++) part_give(trie, number);
    trie->journal_begin = begin;
}

/* No mark is open any more: numbers begin anew. */
static void journal_empty(struct trie *trie) {
    journal_begin_set(trie, trie->journal_end);
    if (trie->journal_end % TRIE_PART_ENTRIES != 0) part_give(trie, trie->journal_end / TRIE_PART_ENTRIES);
    trie->journal_begin = trie->journal_end = 0;
}

/* Notes what is at `path` now. The caller has made sure of the room. */
static void journal_note(struct trie *trie, const struct trie_way *way, const uint8_t path[SHA256_BYTES], bool present) {
    if (trie->marks_open == 0) return;
    if (trie->journal_end % TRIE_PART_ENTRIES == 0) part_take(trie, trie->journal_end / TRIE_PART_ENTRIES);
    struct trie_journal_entry *entry = journal_at(trie, trie->journal_end);
    memcpy(entry->path, path, SHA256_BYTES);
    entry->was_present = present;
    entry->ref = 0;
    if (present) {
        entry->ref = trie->refs[way->end & ~TRIE_NODE_LEAF];
        memcpy(entry->hash, trie_way_hash(trie, path, way, way->depth), SHA256_BYTES);
    }
    trie->journal_end++;
}

static void journal_undo_last(struct trie *trie) {
    trie->journal_end--;
    const struct trie_journal_entry *entry = journal_at(trie, trie->journal_end);
    struct trie_way way;
    trie_way_walk(trie, entry->path, TRIE_BITS, &way);
    if (entry->was_present) {
        put_raw(trie, &way, entry->path, entry->hash, entry->ref);
    } else {
        CHECK(way_found(trie, &way, entry->path));
        remove_raw(trie, &way, entry->path);
    }
    if (trie->journal_end % TRIE_PART_ENTRIES == 0) part_give(trie, trie->journal_end / TRIE_PART_ENTRIES);
}

/* Public changes. */

enum trie_status trie_put(struct trie *trie, const uint8_t path[SHA256_BYTES], const uint8_t leaf_hash[SHA256_BYTES], uint32_t ref) {
    struct trie_way way;
    trie_way_walk(trie, path, TRIE_BITS, &way);
    bool present = way_found(trie, &way, path);
    if (!present && trie->leaves >= trie->limits.leaves_max) return TRIE_FULL;
    if (!journal_has_room(trie, 1)) return TRIE_JOURNAL_FULL;
    journal_note(trie, &way, path, present);
    put_raw(trie, &way, path, leaf_hash, ref);
    return TRIE_OK;
}

enum trie_status trie_remove(struct trie *trie, const uint8_t path[SHA256_BYTES]) {
    struct trie_way way;
    trie_way_walk(trie, path, TRIE_BITS, &way);
    if (!way_found(trie, &way, path)) return TRIE_ABSENT;
    if (!journal_has_room(trie, 1)) return TRIE_JOURNAL_FULL;
    journal_note(trie, &way, path, true);
    remove_raw(trie, &way, path);
    return TRIE_OK;
}

/* Walks the ways of several changes at once, so that their cache misses overlap. Touches memory only; decides nothing. */
static void changes_warm(const struct trie *trie, const struct trie_change *changes, size_t count) {
    enum { LANES = 16 };
    uint32_t nodes[LANES];
    CHECK(count <= LANES);
    for (size_t lane = 0; lane < count; lane++) nodes[lane] = trie->root;
    for (size_t walking = count; walking > 0;) {
        walking = 0;
        for (size_t lane = 0; lane < count; lane++) {
            uint32_t node = nodes[lane];
            if (!trie_node_is_inner(node)) continue;
            const struct trie_link *link = &trie->links[node - 1];
            node = link->child[trie_path_bit(changes[lane].path, link->bit)];
            nodes[lane] = node;
            if (trie_node_is_inner(node)) {
                __builtin_prefetch(&trie->links[node - 1], 1);
                __builtin_prefetch(&trie->pairs[node - 1], 1);
                walking++;
            } else if (node != TRIE_NODE_NONE) {
                __builtin_prefetch(trie->paths[node & ~TRIE_NODE_LEAF], 0);
                __builtin_prefetch(&trie->refs[node & ~TRIE_NODE_LEAF], 1);
            }
        }
    }
}

/* How many of the puts go to a path that has no leaf before the first change. */
static uint64_t changes_new(const struct trie *trie, const struct trie_change *changes, size_t count) {
    uint64_t new_leaves = 0;
    struct trie_way way;
    for (size_t i = 0; i < count; i++) {
        if (!changes[i].leaf_hash) continue;
        trie_way_walk(trie, changes[i].path, TRIE_BITS, &way);
        new_leaves += !way_found(trie, &way, changes[i].path);
    }
    return new_leaves;
}

enum trie_status trie_apply(struct trie *trie, const struct trie_change *changes, size_t changes_count) {
    uint32_t room = trie->limits.leaves_max - trie->leaves;
    if (changes_count > room && changes_new(trie, changes, changes_count) > room) return TRIE_FULL;
    if (!journal_has_room(trie, changes_count)) return TRIE_JOURNAL_FULL;
    for (size_t first = 0; first < changes_count; first += 16) {
        size_t count = changes_count - first < 16 ? changes_count - first : 16;
        changes_warm(trie, changes + first, count);
        for (size_t i = first; i < first + count; i++) {
            const struct trie_change *change = &changes[i];
            enum trie_status status =
                change->leaf_hash ? trie_put(trie, change->path, change->leaf_hash, change->ref) : trie_remove(trie, change->path);
            CHECK(status == TRIE_OK || (status == TRIE_ABSENT && !change->leaf_hash));
        }
    }
    return TRIE_OK;
}

enum trie_status trie_get(const struct trie *trie, const uint8_t path[SHA256_BYTES], uint8_t leaf_hash[SHA256_BYTES], uint32_t *ref) {
    struct trie_way way;
    trie_way_walk(trie, path, TRIE_BITS, &way);
    if (!way_found(trie, &way, path)) return TRIE_ABSENT;
    if (leaf_hash) memcpy(leaf_hash, trie_way_hash(trie, path, &way, way.depth), SHA256_BYTES);
    if (ref) *ref = trie->refs[way.end & ~TRIE_NODE_LEAF];
    return TRIE_OK;
}

enum trie_status trie_ref_set(struct trie *trie, const uint8_t path[SHA256_BYTES], uint32_t ref) {
    struct trie_way way;
    trie_way_walk(trie, path, TRIE_BITS, &way);
    if (!way_found(trie, &way, path)) return TRIE_ABSENT;
    trie->refs[way.end & ~TRIE_NODE_LEAF] = ref;
    return TRIE_OK;
}

/* Root. */

/*
 * One depth-first walk over the stale nodes of a subtrie. A node is hashed when nothing below it is stale any more; its hash goes into its parent's
 * pair and clears the parent's bit, but for the subtrie's root: what is above it is not the walk's, and several walks may go on at once.
 */
struct rehash_walk {
    uint32_t stack[TRIE_BITS]; /* inner nodes (indices), the subtrie's root first */
    unsigned depth;            /* 0: done */
    uint32_t parent;           /* index + 1 of the inner node above the subtrie, 0: none, it is the trie's root */
    bool waits;                /* its next step may read what the batch with this number hashes */
    uint32_t batch;
};

static void rehash_walk_begin(struct rehash_walk *walk, uint32_t inner, uint32_t parent) {
    walk->stack[0] = inner;
    walk->depth = 1;
    walk->parent = parent;
    walk->waits = false;
}

static unsigned side_of(const struct trie *trie, uint32_t parent, uint32_t inner) {
    return trie->links[parent - 1].child[0] == inner + 1 ? 0 : 1;
}

static void stale_clear(struct trie *trie, uint32_t parent, uint32_t inner) {
    struct trie_link *above = &trie->links[parent - 1];
    above->stale = (uint8_t)(above->stale & ~(1u << side_of(trie, parent, inner)));
}

static void rehash_node(struct trie *trie, const struct rehash_walk *walk, uint32_t inner, struct trie_inner_batch *batch) {
    uint32_t parent = walk->depth > 1 ? walk->stack[walk->depth - 2] + 1 : walk->parent;
    uint8_t *slot = parent ? trie->pairs[parent - 1].of[side_of(trie, parent, inner)] : trie->root_hash;
    if (walk->depth > 1) stale_clear(trie, parent, inner);
    trie_inner_add(batch, trie->links[inner].bit, trie->pairs[inner].of[0], trie->pairs[inner].of[1], slot);
}

/* One node down, which is asked for from memory, or the topmost of the walk into the batch: several walks in turn wait for their cache misses
 * together, and what they hash goes side by side. The batch must be ended before this walk's next step, which may read what was hashed. */
static void rehash_step(struct trie *trie, struct rehash_walk *walk, struct trie_inner_batch *batch) {
    uint32_t inner = walk->stack[walk->depth - 1];
    const struct trie_link *link = &trie->links[inner];
    if (!link->stale) {
        walk->waits = true;
        walk->batch = batch->ended;
        rehash_node(trie, walk, inner, batch);
        walk->depth--;
        return;
    }
    uint32_t child = link->child[(link->stale & 1u) ? 0 : 1];
    CHECK(walk->depth < TRIE_BITS && trie_node_is_inner(child));
    __builtin_prefetch(&trie->links[child - 1], 1);
    __builtin_prefetch(&trie->pairs[child - 1], 1);
    walk->stack[walk->depth++] = child - 1;
}

static bool walk_waits(const struct rehash_walk *walk, const struct trie_inner_batch *batch) {
    return walk->waits && walk->batch == batch->ended;
}

/* As many as wait for a full batch, and as many again that go down meanwhile. */
enum { REHASH_LANES = 2 * TRIE_INNER_BATCH };

/* Breadth first from the top: each subtrie is replaced by its stale children as long as there is room. */
void trie_rehash_begin(const struct trie *trie, struct trie_rehash *rehash) {
    rehash->count = trie->root_stale ? 1 : 0;
    if (!trie->root_stale) return;
    CHECK(trie_node_is_inner(trie->root));
    uint32_t *nodes = rehash->nodes, *parents = rehash->parents;
    unsigned count = 1;
    nodes[0] = trie->root - 1;
    parents[0] = 0;
    for (bool grown = true; grown;) {
        grown = false;
        for (unsigned i = 0, before = count; i < before && count < TRIE_REHASH_SUBTRIES; i++) {
            const struct trie_link *link = &trie->links[nodes[i]];
            if (!link->stale) continue;
            uint32_t parent = nodes[i] + 1;
            unsigned side = (link->stale & 1u) ? 0 : 1;
            nodes[i] = link->child[side] - 1;
            parents[i] = parent;
            grown = true;
            if (link->stale == 3) {
                nodes[count] = link->child[1] - 1;
                parents[count++] = parent;
            }
        }
        grown = grown && count < TRIE_REHASH_SUBTRIES;
    }
    rehash->count = count;
}

void trie_rehash_part(struct trie *trie, const struct trie_rehash *rehash, uint32_t first, uint32_t count) {
    struct rehash_walk lanes[REHASH_LANES];
    struct trie_inner_batch batch;
    uint32_t taken = first, end = first + count;
    unsigned busy = 0;
    batch.count = 0;
    batch.ended = 0;
    CHECK(first <= rehash->count && count <= rehash->count - first);
    for (; busy < REHASH_LANES && taken < end; taken++) rehash_walk_begin(&lanes[busy++], rehash->nodes[taken], rehash->parents[taken]);
    while (busy > 0) {
        bool stepped = false;
        for (unsigned lane = 0; lane < busy; lane++) {
            if (walk_waits(&lanes[lane], &batch)) continue;
            stepped = true;
            rehash_step(trie, &lanes[lane], &batch);
            if (lanes[lane].depth > 0) continue;
            if (taken < end) {
                rehash_walk_begin(&lanes[lane], rehash->nodes[taken], rehash->parents[taken]);
                taken++;
            } else {
                lanes[lane] = lanes[--busy];
                lane--;
            }
        }
        if (!stepped) trie_inner_end(&batch);
    }
    trie_inner_end(&batch);
}

void trie_rehash_end(struct trie *trie, const struct trie_rehash *rehash, uint8_t out[SHA256_BYTES]) {
    for (uint32_t i = 0; i < rehash->count; i++) {
        if (rehash->parents[i]) stale_clear(trie, rehash->parents[i], rehash->nodes[i]);
    }
    if (rehash->count > 0 && rehash->parents[0] != 0) { /* what is left is the top above the subtries, if that is not all */
        struct rehash_walk walk;
        struct trie_inner_batch batch;
        batch.count = 0;
        batch.ended = 0;
        rehash_walk_begin(&walk, trie->root - 1, 0);
        while (walk.depth > 0) {
            rehash_step(trie, &walk, &batch);
            trie_inner_end(&batch);
        }
    }
    trie->root_stale = false;
    memcpy(out, trie->root_hash, SHA256_BYTES);
}

void trie_root(struct trie *trie, uint8_t out[SHA256_BYTES]) {
    struct trie_rehash rehash;
    trie_rehash_begin(trie, &rehash);
    trie_rehash_part(trie, &rehash, 0, rehash.count);
    trie_rehash_end(trie, &rehash, out);
}

/* Marks. */

static struct trie_mark *mark_at(struct trie *trie, uint32_t position) {
    return &trie->marks[(trie->marks_first + position) % TRIE_MARKS_MAX];
}

enum trie_status trie_mark_begin(struct trie *trie, uint64_t block) {
    if (trie->marks_open > 0 && block <= mark_at(trie, trie->marks_open - 1)->block) return TRIE_NO_MARK;
    if (trie->marks_open == TRIE_MARKS_MAX) return TRIE_MARKS_FULL;
    struct trie_mark *mark = mark_at(trie, trie->marks_open++);
    mark->block = block;
    mark->journal_start = trie->journal_end;
    return TRIE_OK;
}

enum trie_status trie_mark_rollback(struct trie *trie, uint64_t block) {
    uint32_t position = 0;
    while (position < trie->marks_open && mark_at(trie, position)->block != block) position++;
    if (position == trie->marks_open) return TRIE_NO_MARK;
    uint64_t start = mark_at(trie, position)->journal_start;
    while (trie->journal_end > start) journal_undo_last(trie);
    trie->marks_open = position;
    if (position == 0) journal_empty(trie);
    return TRIE_OK;
}

enum trie_status trie_mark_release(struct trie *trie, uint64_t block) {
    if (trie->marks_open == 0 || mark_at(trie, 0)->block != block) return TRIE_NO_MARK;
    trie->marks_first = (trie->marks_first + 1) % TRIE_MARKS_MAX;
    trie->marks_open--;
    if (trie->marks_open > 0) journal_begin_set(trie, mark_at(trie, 0)->journal_start);
    else journal_empty(trie);
    return TRIE_OK;
}

uint32_t trie_marks_open(const struct trie *trie) {
    return trie->marks_open;
}

void trie_usage(const struct trie *trie, struct trie_usage *usage) {
    usage->leaves = trie->leaves;
    usage->leaves_max = trie->limits.leaves_max;
    usage->journal_entries = (uint32_t)(trie->journal_end - trie->journal_begin);
    usage->journal_max = trie->limits.journal_max;
    usage->memory_bytes = trie_memory_bytes(&trie->limits);
    /* Each of the seven arrays may share its last page with nothing: at most a page more than its bytes. */
    usage->touched_bytes = sizeof(struct trie) + (size_t)trie->leaves_fresh * (SHA256_BYTES + sizeof(uint32_t)) +
                           (size_t)trie->inner_fresh * (sizeof(struct trie_hash_pair) + sizeof(struct trie_link)) +
                           (size_t)trie->part_fresh * (TRIE_PART_ENTRIES * sizeof(struct trie_journal_entry) + 2 * sizeof(uint32_t)) +
                           8 * (size_t)4096;
}

/* Order. */

bool trie_seek_leaf(const struct trie *trie, const uint8_t from[SHA256_BYTES], uint32_t *leaf) {
    struct trie_way way;
    trie_way_walk(trie, from, TRIE_BITS, &way);
    if (way.end == TRIE_NODE_NONE) return false;
    uint32_t found = way.end;
    unsigned bit = trie_path_difference(from, trie->paths[way.end & ~TRIE_NODE_LEAF]);
    if (bit < TRIE_BITS) {
        /* All that hangs where `from` would branch off lies on one side of it: above, or (its bit being 1) below; then the next branch to the
         * right. */
        unsigned above = way.depth;
        while (above > 0 && trie->links[way.inner[above - 1]].bit > bit) above--;
        if (trie_path_bit(from, bit) == 0) {
            found = above < way.depth ? way.inner[above] + 1 : way.end;
        } else {
            while (above > 0 && trie_path_bit(from, trie->links[way.inner[above - 1]].bit) == 1) above--;
            if (above == 0) return false;
            found = trie->links[way.inner[above - 1]].child[1];
        }
    }
    *leaf = trie_leaf_first(trie, found);
    return true;
}

enum trie_status trie_seek(const struct trie *trie, const uint8_t from[SHA256_BYTES], uint8_t path_out[SHA256_BYTES], uint8_t leaf_hash[SHA256_BYTES],
                           uint32_t *ref) {
    uint32_t leaf;
    if (!trie_seek_leaf(trie, from, &leaf)) return TRIE_ABSENT;
    uint8_t path[SHA256_BYTES];
    memcpy(path, trie->paths[leaf], SHA256_BYTES);
    enum trie_status status = trie_get(trie, path, leaf_hash, ref);
    CHECK(status == TRIE_OK);
    memcpy(path_out, path, SHA256_BYTES);
    return TRIE_OK;
}
