#include "appliance/exec/exec_inside.h"

#include <string.h>

#include "merkle/sha256.h"
#include "store/reserve.h"

enum { TRIE_HUGE_FROM_LEAVES = 1 << 13 };

size_t exec_key_cluster(uint8_t letter, uint32_t cluster, uint8_t key[EXEC_SYSTEM_KEY_MAX]) {
    key[0] = letter;
    bytes_put_le32(key + 1, cluster);
    return 5;
}

size_t exec_key_client(uint8_t letter, const uint8_t client_id[32], uint8_t key[EXEC_SYSTEM_KEY_MAX]) {
    key[0] = letter;
    memcpy(key + 1, client_id, 32);
    return 33;
}

static enum table_status lookup(const struct executor *ex, const uint8_t *key, size_t key_bytes, struct table_entry *entry) {
    return table_get(ex->table, table_hash(ex->table, TRIE_SPACE_SYSTEM, key, key_bytes), TRIE_SPACE_SYSTEM, key, key_bytes, entry);
}

bool exec_state_get(struct executor *ex, const uint8_t *key, size_t key_bytes, struct table_entry *entry) {
    enum table_status status = lookup(ex, key, key_bytes, entry);
    if (status == TABLE_CORRUPT) exec_fail(ex, EXEC_CORRUPT);
    return status == TABLE_OK;
}

bool exec_state_peek(const struct executor *ex, const uint8_t *key, size_t key_bytes, struct table_entry *entry) {
    return lookup(ex, key, key_bytes, entry) == TABLE_OK;
}

/* D-34: a system record's version is (height, 0). The budgets of O-18 keep the table from ever being full here. */
void exec_state_put(struct executor *ex, const uint8_t *key, size_t key_bytes, const uint8_t *value, size_t value_bytes) {
    uint64_t hash = table_hash(ex->table, TRIE_SPACE_SYSTEM, key, key_bytes);
    enum table_status status = table_put(ex->table, hash, TRIE_SPACE_SYSTEM, key, key_bytes, 0, value, value_bytes);
    if (status == TABLE_CORRUPT) {
        exec_fail(ex, EXEC_CORRUPT);
        return;
    }
    CHECK(status == TABLE_OK);
}

void exec_state_remove(struct executor *ex, const uint8_t *key, size_t key_bytes) {
    uint64_t hash = table_hash(ex->table, TRIE_SPACE_SYSTEM, key, key_bytes);
    enum table_status status = table_remove(ex->table, hash, TRIE_SPACE_SYSTEM, key, key_bytes, 0);
    if (status == TABLE_CORRUPT) {
        exec_fail(ex, EXEC_CORRUPT);
        return;
    }
    CHECK(status == TABLE_OK || status == TABLE_ABSENT);
    ex->removed = ex->removed || status == TABLE_OK;
}

/* value_hash NULL: it is made from the value. */
static void leaf_of(const struct table_entry *entry, const uint8_t *value_hash, uint8_t path[32], uint8_t leaf_hash[32]) {
    struct trie_value value = {.version_height = entry->version.height, .version_index = entry->version.index};
    if (value_hash != NULL) memcpy(value.value_hash, value_hash, sizeof value.value_hash);
    else trie_value_hash(entry->value, entry->value_bytes, value.value_hash);
    trie_path((enum trie_space)entry->space, entry->key, entry->key_bytes, path);
    trie_leaf_hash((enum trie_space)entry->space, entry->key, entry->key_bytes, &value, leaf_hash);
}

void exec_leaf_of(const struct table_entry *entry, uint8_t path[32], uint8_t leaf_hash[32]) {
    leaf_of(entry, NULL, path, leaf_hash);
}

/* As the table's (store/table.c): only a trie that is large already, so that a small one stays small. */
static void trie_huge_pages_want(struct executor *ex) {
    struct trie_usage usage;
    if (ex->trie_huge) return;
    trie_usage(ex->trie, &usage);
    if (usage.leaves < TRIE_HUGE_FROM_LEAVES) return;
    store_huge_pages(ex->trie_memory, ex->trie_memory_bytes);
    ex->trie_huge = true;
}

bool exec_state_load(struct executor *ex, const struct table_entry *entry) {
    if (entry->space > TRIE_SPACE_SYSTEM || entry->key_bytes < 1 || entry->key_bytes > TABLE_KEY_BYTES_MAX ||
            entry->value_bytes > TABLE_VALUE_BYTES_MAX)
        return false;
    if (table_load(ex->table, entry->space, entry->key, entry->key_bytes, entry->version, entry->value, entry->value_bytes) != TABLE_OK) return false;
    uint64_t table_place = table_hash(ex->table, entry->space, entry->key, entry->key_bytes);
    uint8_t path[32], hash[32];
    struct table_entry loaded = *entry;
    /* A long value was hashed when it was stored. */
    bool hashed = entry->value_bytes >= TABLE_LONG_BYTES &&
                  table_get(ex->table, table_place, entry->space, entry->key, entry->key_bytes, &loaded) == TABLE_OK;
    leaf_of(&loaded, hashed ? table_value_hash(&loaded) : NULL, path, hash);
    trie_huge_pages_want(ex);
    return trie_put(ex->trie, path, hash, table_ref(table_place)) == TRIE_OK;
}

static void changes_apply(struct executor *ex, size_t count) {
    enum cost_component before = cost_enter(ex->meter, COST_TRIE);
    CHECK(trie_apply(ex->trie, ex->scratch.changes, count) == TRIE_OK);
    cost_leave(ex->meter, before, 0);
}

/* Changes for a checkpoint are to come in the order of their paths: the store keeps them so. */
static uint32_t path_place(const uint8_t path[32]) {
    return (uint32_t)path[0] << 24 | (uint32_t)path[1] << 16 | (uint32_t)path[2] << 8 | path[3];
}

/* ---- the newest block's writes into the trie ---- */

/* Does share i of `shares` for each i, where they are of use by the executor's helpers too. Nothing of it depends on who does what. */
static void shares_do(const struct executor *ex, void (*share)(void *work, uint32_t i), void *work, bool worth) {
    if (worth && ex->helpers.run != NULL) {
        ex->helpers.run(ex->helpers.context, share, work, EXEC_SHARES);
        return;
    }
    for (uint32_t i = 0; i < EXEC_SHARES; i++) share(work, i);
}

struct settling {
    struct executor *ex;
    uint32_t count;
};

/* Hashes the changes of its share: reads the table, writes what is the share's own. */
static void settle_share(void *context, uint32_t share) {
    const struct settling *settling = context;
    struct exec_scratch *scratch = &settling->ex->scratch;
    uint32_t end = settling->count * (share + 1) / EXEC_SHARES;
    for (uint32_t i = settling->count * share / EXEC_SHARES; i < end; i++) {
        const struct table_write *write = &scratch->settled[i].write;
        struct trie_change *change = &scratch->changes[i];
        change->ref = write->ref; /* for the scrub */
        change->leaf_hash = write->deleted ? NULL : scratch->change_hashes[i];
        if (write->deleted) trie_path((enum trie_space)write->entry.space, write->entry.key, write->entry.key_bytes, change->path);
        else leaf_of(&write->entry, table_value_hash(&write->entry), change->path, scratch->change_hashes[i]);
    }
}

/* In their order, whoever hashed them. */
static void settle_apply(struct executor *ex, uint32_t count) {
    struct settling settling = {.ex = ex, .count = count};
    shares_do(ex, settle_share, &settling, count >= ex->helpers.changes_min);
    for (uint32_t i = 0; i < count; i++) table_writes_place(&ex->scratch.settled[i].shown, path_place(ex->scratch.changes[i].path));
    changes_apply(ex, count);
}

/* The newest block's writes go into the trie under a mark of their own. */
void exec_state_settle(struct executor *ex) {
    if (ex->next == ex->open) return;
    struct exec_entry *newest = exec_entry_at(ex, ex->next - 1);
    if (newest->settled) return;
    CHECK(trie_mark_begin(ex->trie, newest->point.height) == TRIE_OK);
    struct table_writes writes = table_writes_of_newest(ex->table);
    uint32_t count = 0, most = ex->helpers.run != NULL ? EXEC_SETTLE_CHANGES : EXEC_SETTLE_ALONE;
    uint64_t all = 0;
    enum cost_component before = cost_enter(ex->meter, COST_LEAVES);
    while (table_writes_next(&writes, &ex->scratch.settled[count].write)) {
        const struct table_write *write = &ex->scratch.settled[count].write;
        if (write->deleted && !write->existed) continue;
        ex->scratch.settled[count].shown = writes;
        if (++count == most) {
            all += count;
            settle_apply(ex, count);
            count = 0;
        }
    }
    settle_apply(ex, count);
    cost_count(ex->meter, COST_TRIE, all + count, 0);
    cost_leave(ex->meter, before, 0);
    newest->settled = true;
    trie_huge_pages_want(ex);
}

struct rooting {
    struct trie *trie;
    struct trie_rehash rehash;
};

static void root_share(void *context, uint32_t share) {
    struct rooting *rooting = context;
    uint32_t first = rooting->rehash.count * share / EXEC_SHARES, end = rooting->rehash.count * (share + 1) / EXEC_SHARES;
    trie_rehash_part(rooting->trie, &rooting->rehash, first, end - first);
}

void executor_state_root(struct executor *ex, uint8_t root[32]) {
    struct rooting rooting = {.trie = ex->trie};
    exec_state_settle(ex);
    enum cost_component before = cost_enter(ex->meter, COST_TRIE);
    trie_rehash_begin(ex->trie, &rooting.rehash);
    if (ex->helpers.run != NULL && rooting.rehash.count >= ex->helpers.subtries_min) shares_do(ex, root_share, &rooting, true);
    else trie_rehash_part(ex->trie, &rooting.rehash, 0, rooting.rehash.count); /* interleaved: all of it is one share */
    trie_rehash_end(ex->trie, &rooting.rehash, root);
    cost_leave(ex->meter, before, 0);
}

void executor_helpers(struct executor *ex, const struct exec_helpers *helpers) {
    ex->helpers = *helpers;
}

void exec_queue_encode(const struct exec_queue *queue, uint8_t consumed[EXEC_CONSUMED_RECORD_BYTES], uint8_t sent[EXEC_QUEUE_RECORD_BYTES]) {
    struct bytes_writer writer = bytes_writer_of(consumed, EXEC_CONSUMED_RECORD_BYTES);
    bytes_put_u64(&writer, queue->consumed_dseq);
    bytes_put_hash(&writer, queue->consumed_leaf);
    bytes_put_u64(&writer, queue->turn.consumed_bytes);
    bytes_put_u64(&writer, queue->epoch);
    CHECK(!writer.failed && writer.used == EXEC_CONSUMED_RECORD_BYTES);
    writer = bytes_writer_of(sent, EXEC_QUEUE_RECORD_BYTES);
    bytes_put_u64(&writer, queue->turn.sent_dseq);
    bytes_put_hash(&writer, queue->sent_leaf);
    bytes_put_u64(&writer, queue->turn.acked_dseq);
    bytes_put_u32(&writer, queue->turn.pending_items);
    bytes_put_u32(&writer, queue->turn.pending_ops);
    bytes_put_u64(&writer, queue->turn.pending_bytes);
    bytes_put_u64(&writer, queue->turn.oldest_time);
    bytes_put_u64(&writer, queue->turn.oldest_height);
    bytes_put_hash(&writer, queue->pending_hash);
    bytes_put_u32(&writer, queue->open_ops);
    bytes_put_u32(&writer, 0);
    bytes_put_u64(&writer, queue->open_bytes);
    for (unsigned i = 0; i < EXEC_MEMBERS_MAX; i++) bytes_put_u32(&writer, queue->relay_ops[i]);
    CHECK(!writer.failed && writer.used == EXEC_QUEUE_RECORD_BYTES);
}

/* Both may be absent (no bytes): the initial values. */
bool exec_queue_decode(struct exec_queue *queue, const uint8_t *consumed, size_t consumed_bytes, const uint8_t *sent, size_t sent_bytes) {
    struct bytes_cursor cursor = bytes_cursor_of(consumed, consumed_bytes);
    if (consumed_bytes > 0) {
        queue->consumed_dseq = bytes_get_u64(&cursor);
        bytes_get_hash(&cursor, queue->consumed_leaf);
        queue->turn.consumed_bytes = bytes_get_u64(&cursor);
        queue->epoch = bytes_get_u64(&cursor);
    }
    if (!bytes_finished(&cursor)) return false;
    cursor = bytes_cursor_of(sent, sent_bytes);
    if (sent_bytes > 0) {
        queue->turn.sent_dseq = bytes_get_u64(&cursor);
        bytes_get_hash(&cursor, queue->sent_leaf);
        queue->turn.acked_dseq = bytes_get_u64(&cursor);
        queue->turn.pending_items = bytes_get_u32(&cursor);
        queue->turn.pending_ops = bytes_get_u32(&cursor);
        queue->turn.pending_bytes = bytes_get_u64(&cursor);
        queue->turn.oldest_time = bytes_get_u64(&cursor);
        queue->turn.oldest_height = bytes_get_u64(&cursor);
        bytes_get_hash(&cursor, queue->pending_hash);
        queue->open_ops = bytes_get_u32(&cursor);
        bytes_require(&cursor, bytes_get_u32(&cursor) == 0);
        queue->open_bytes = bytes_get_u64(&cursor);
        for (unsigned i = 0; i < EXEC_MEMBERS_MAX; i++) queue->relay_ops[i] = bytes_get_u32(&cursor);
    }
    return bytes_finished(&cursor);
}

void exec_records_write(struct executor *ex) {
    const struct exec_queue *before = exec_snapshot(ex, ex->next);
    const uint64_t *pairs = exec_changed(ex, ex->next);
    for (uint32_t i = exec_pair_next(ex, pairs, 0); i < ex->pairs; i = exec_pair_next(ex, pairs, i + 1)) {
        uint8_t was_c[EXEC_CONSUMED_RECORD_BYTES], is_c[EXEC_CONSUMED_RECORD_BYTES], was_q[EXEC_QUEUE_RECORD_BYTES], is_q[EXEC_QUEUE_RECORD_BYTES];
        exec_queue_encode(&before[i], was_c, was_q);
        exec_queue_encode(&ex->queues[i], is_c, is_q);
        uint8_t key[EXEC_SYSTEM_KEY_MAX];
        if (memcmp(was_c, is_c, sizeof is_c) != 0) exec_state_put(ex, key, exec_key_cluster('c', ex->queues[i].cluster, key), is_c, sizeof is_c);
        if (memcmp(was_q, is_q, sizeof is_q) != 0) exec_state_put(ex, key, exec_key_cluster('q', ex->queues[i].cluster, key), is_q, sizeof is_q);
    }
}

static bool cursor_changed(const struct exec_queue *a, const struct exec_queue *b) {
    return a->consumed_dseq != b->consumed_dseq || !sha256_equal(a->consumed_leaf, b->consumed_leaf) || a->turn.sent_dseq != b->turn.sent_dseq ||
           !sha256_equal(a->sent_leaf, b->sent_leaf) || a->turn.acked_dseq != b->turn.acked_dseq;
}

/* D-20. ex->now is the parent. */
void exec_cursors_hash(const struct executor *ex, uint8_t hash[32]) {
    const struct exec_queue *before = exec_snapshot(ex, ex->next);
    const uint64_t *pairs = exec_changed(ex, ex->next);
    struct sha256_state state;
    sha256_init_prefixed(&state, HASH_CURSORS);
    sha256_update(&state, ex->now.cursors_hash, 32);
    bool changed = false;
    for (uint32_t i = exec_pair_next(ex, pairs, 0); i < ex->pairs; i = exec_pair_next(ex, pairs, i + 1)) {
        const struct exec_queue *queue = &ex->queues[i];
        if (!cursor_changed(&before[i], queue)) continue;
        changed = true;
        uint8_t entry[EXEC_CURSOR_ENTRY_BYTES];
        bytes_put_le32(entry, queue->cluster);
        bytes_put_le32(entry + 4, 0);
        bytes_put_le64(entry + 8, queue->consumed_dseq);
        memcpy(entry + 16, queue->consumed_leaf, 32);
        bytes_put_le64(entry + 48, queue->turn.sent_dseq);
        memcpy(entry + 56, queue->sent_leaf, 32);
        bytes_put_le64(entry + 88, queue->turn.acked_dseq);
        sha256_update(&state, entry, sizeof entry);
    }
    if (changed) sha256_final(&state, hash);
    else memcpy(hash, ex->now.cursors_hash, 32);
}

bool exec_budget_take(struct executor *ex, uint64_t writes, uint64_t bytes) {
    if (ex->block_writes + writes > EXEC_BLOCK_WRITES || ex->block_bytes + bytes > exec_block_bytes_max(&ex->config.limits)) return false;
    ex->block_writes += writes;
    ex->block_bytes += bytes;
    return true;
}

bool exec_records_room(const struct executor *ex) {
    return table_keys(ex->table, TRIE_SPACE_SYSTEM) < ex->system_keys_soft &&
           table_declared_bytes(ex->table, TRIE_SPACE_SYSTEM) < ex->system_bytes_soft;
}
