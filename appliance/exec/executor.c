/* Memory, genesis, lookups of the executor. */
#include "appliance/exec/executor.h"

#include <stdlib.h>
#include <string.h>

#include "appliance/exec/exec_inside.h"
#include "protocol/admin_op.h"
#include "store/reserve.h"

enum {
    TARGETS_MAX = 1 << 20,      /* clients_max at most */
    SEGMENT_SLOTS = 1 << 16,    /* slices of a pair that are sent and not released, or pending */
    BLOCKS_LOG_BYTES = 1 << 30, /* client items of EXEC_OPEN_MAX open blocks; kept ones share two blocks' part; twice that is reserved */
    SCRATCH_ALIGN = 64,
};

const char *exec_status_name(enum exec_status status) {
    switch (status) {
    case EXEC_VALID: return "valid";
    case EXEC_BAD_KIND: return "bad_kind";
    case EXEC_BAD_RELAY: return "bad_relay";
    case EXEC_BAD_SOURCE: return "bad_source";
    case EXEC_BAD_DSEQ: return "bad_dseq";
    case EXEC_BAD_PREVIOUS: return "bad_previous";
    case EXEC_BAD_ORDER: return "bad_order";
    case EXEC_TOO_MANY: return "too_many";
    case EXEC_TOO_LARGE: return "too_large";
    case EXEC_BAD_HEIGHT: return "bad_height";
    case EXEC_BAD_TIME: return "bad_time";
    case EXEC_BAD_INPUT: return "bad_input";
    case EXEC_UNKNOWN_PARENT: return "unknown_parent";
    case EXEC_OPEN_FULL: return "open_full";
    case EXEC_NO_ROOM: return "no_room";
    case EXEC_CORRUPT: return "corrupt";
    case EXEC_BUFFER_FULL: return "buffer_full";
    case EXEC_GOES_ON: return "goes_on";
    case EXEC_STORE_FAILED: return "store_failed";
    case EXEC_NOT_FOUND: return "not_found";
    case EXEC_BAD_CHECKPOINT: return "bad_checkpoint";
    case EXEC_NOT_FINAL: return "not_final";
    case EXEC_NO_MEMORY: return "no_memory";
    }
    return "unknown";
}

int exec_pair_find(const struct executor *ex, uint32_t cluster) {
    uint32_t base = ex->shard ? (uint32_t)COORDINATOR_CLUSTER_BASE : (uint32_t)SHARD_CLUSTER_BASE;
    return cluster >= base && cluster - base < ex->pairs ? (int)(cluster - base) : -1;
}

/* Reserving. */

struct sizes {
    struct table_config table;
    struct trie_limits trie;
    size_t slices_bytes;  /* of one pair */
    size_t routing_bytes; /* of one pair */
};

static uint64_t max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* O-17, O-18: what the declared limits admit, and beside it what is written whatever the budgets say (D-6 to D-8, D-30 to D-33, one part too many).
 * */
static bool sizes_derive(struct executor *ex, const struct executor_config *config, struct sizes *sizes) {
    const struct system_limits *limits = &config->system->limits;
    uint64_t clients = limits->clients_max, pairs = ex->pairs;
    ex->system_keys_soft = max_u64(limits->table_keys_max / 4, UINT64_C(1) << 20);
    ex->system_bytes_soft = max_u64(limits->table_bytes_max / 2, UINT64_C(1) << 28);
    struct table_config *table = &sizes->table;
    *table = (struct table_config){.open_max = ex->open_max, .block_writes_max = EXEC_BLOCK_WRITES_TABLE,
                                   .changed_max = EXEC_CHANGED_MAX};
    table->keys_max[TRIE_SPACE_USER] = ex->shard ? limits->table_keys_max : 1;
    table->bytes_max[TRIE_SPACE_USER] = ex->shard ? limits->table_bytes_max : 1024;
    table->keys_max[TRIE_SPACE_SYSTEM] = ex->system_keys_soft + 3 * clients + pairs * (EXEC_UNFINISHED_MAX + 4) + 65536;
    table->bytes_max[TRIE_SPACE_SYSTEM] = ex->system_bytes_soft + clients * (EXEC_CLIENT_RECORD_MAX + 512) + pairs * 65536 + (UINT64_C(1) << 26);
    table->block_bytes_max = exec_block_bytes_max(limits) + (UINT64_C(1) << 27);
    memcpy(table->hash_key, config->hash_key, sizeof table->hash_key);
    uint64_t leaves = table->keys_max[0] + table->keys_max[1] + EXEC_BLOCK_WRITES_TABLE;
    if (leaves >= UINT64_C(1) << 31) return false;
    sizes->trie = (struct trie_limits){.leaves_max = (uint32_t)leaves, .journal_max = (ex->open_max + 1) * EXEC_BLOCK_WRITES_TABLE};
    uint64_t in_flight = limits->credit_bytes < UINT64_C(1) << 32 ? limits->credit_bytes : UINT64_C(1) << 32;
    sizes->slices_bytes = in_flight + (uint64_t)(2 * ex->open_max + 8) * 3 * limits->slice_bytes_max;
    sizes->routing_bytes = (size_t)ROUTING_BYTES * (limits->slice_ops_max * (size_t)8 + limits->credit_ops * (size_t)4);
    return true;
}

static bool state_reserve(struct executor *ex, const struct sizes *sizes) {
    if (table_create(&sizes->table, &ex->table) != TABLE_OK) return false;
    ex->trie_memory_bytes = trie_memory_bytes(&sizes->trie);
    ex->trie_memory = store_reserve(ex->trie_memory_bytes);
    return ex->trie_memory != NULL;
}

static bool logs_reserve(struct executor *ex, const struct sizes *sizes) {
    size_t queue_bytes = ex->pairs * sizeof *ex->queues, log_bytes = ex->pairs * sizeof *ex->slices;
    ex->set_words = (ex->pairs + 63) / 64;
    size_t set_bytes = ex->set_words * sizeof *ex->changed;
    ex->queues_memory_bytes = (queue_bytes + set_bytes) * (EXEC_OPEN_MAX + 1) + 2 * log_bytes;
    ex->queues_memory = store_reserve(ex->queues_memory_bytes);
    if (!ex->queues_memory) return false;
    ex->queues = ex->queues_memory;
    ex->snapshots = (struct exec_queue *)ex->queues_memory + ex->pairs;
    ex->slices = (struct exec_log *)(void *)(ex->snapshots + (size_t)EXEC_OPEN_MAX * ex->pairs);
    ex->routings = ex->slices + ex->pairs;
    ex->changed = (uint64_t *)(void *)(ex->routings + ex->pairs);
    ex->busy = ex->changed + (size_t)EXEC_OPEN_MAX * ex->set_words;
    for (uint32_t i = 0; i < ex->pairs; i++) {
        if (!exec_log_create(&ex->slices[i], sizes->slices_bytes, SEGMENT_SLOTS)) return false;
        if (!ex->shard && !exec_log_create(&ex->routings[i], sizes->routing_bytes, SEGMENT_SLOTS)) return false;
    }
    uint32_t slots = 1;
    while (slots < ex->kept_max + EXEC_OPEN_MAX + 2) slots *= 2;
    ex->entries_mask = slots - 1;
    ex->entries_bytes = slots * sizeof *ex->entries;
    ex->entries = store_reserve(ex->entries_bytes);
    return ex->entries && exec_log_create(&ex->blocks, 2 * (BLOCKS_LOG_BYTES / EXEC_OPEN_MAX * ((size_t)ex->open_max + 2)), slots);
}

/* Cuts `bytes` off the scratch memory; with memory NULL it only adds up. */
static void *scratch_take(uint8_t *memory, size_t *used, size_t bytes) {
    void *at = memory ? memory + *used : NULL;
    *used += (bytes + SCRATCH_ALIGN - 1) / SCRATCH_ALIGN * SCRATCH_ALIGN;
    return at;
}

static size_t scratch_lay(struct executor *ex, uint8_t *memory) {
    struct exec_scratch *s = &ex->scratch;
    size_t used = 0;
    if (ex->shard) {
        s->operation_max = EXEC_INPUT_BYTES_MAX / OPERATION_HEAD_BYTES + 1;
        s->part_max = EXEC_INPUT_BYTES_MAX / SLICE_ITEM_HEAD_BYTES + 1;
        s->operations = scratch_take(memory, &used, s->operation_max * sizeof *s->operations);
        s->parts = scratch_take(memory, &used, s->part_max * sizeof *s->parts);
        s->part_bytes = scratch_take(memory, &used, ex->system->limits.slice_bytes_max);
        s->values.room = EXEC_VALUES_MAX;
        s->values.list = scratch_take(memory, &used, EXEC_VALUES_MAX * sizeof *s->values.list);
    } else {
        uint64_t input = max_u64(ex->system->limits.block_input_bytes_max, EXEC_INPUT_BYTES_MAX);
        s->item_max = (uint32_t)(input / RESULT_HEAD_BYTES) + 1;
        s->items = scratch_take(memory, &used, s->item_max * sizeof *s->items);
    }
    s->target_max = TARGETS_MAX;
    s->targets = scratch_take(memory, &used, s->target_max * sizeof *s->targets);
    s->order = scratch_take(memory, &used, s->target_max * sizeof *s->order);
    s->map_mask = 2 * TARGETS_MAX - 1;
    s->map = scratch_take(memory, &used, ((size_t)s->map_mask + 1) * sizeof *s->map);
    s->chunk = scratch_take(memory, &used, EXEC_CHUNK_BYTES_MAX);
    s->codes = scratch_take(memory, &used, EXEC_PART_WRITES_MAX);
    s->numbers = scratch_take(memory, &used, EXEC_PART_WRITES_MAX * sizeof *s->numbers);
    s->client = scratch_take(memory, &used, EXEC_CLIENT_RECORD_MAX);
    s->outputs = scratch_take(memory, &used, ex->pairs * sizeof *s->outputs);
    s->changes = scratch_take(memory, &used, EXEC_SETTLE_CHANGES * sizeof *s->changes);
    s->settled = scratch_take(memory, &used, EXEC_SETTLE_CHANGES * sizeof *s->settled);
    s->change_hashes = scratch_take(memory, &used, EXEC_SETTLE_CHANGES * sizeof *s->change_hashes);
    s->encoded = scratch_take(memory, &used, CONFIG_BYTES_MAX);
    s->op = scratch_take(memory, &used, sizeof *s->op);
    s->config = scratch_take(memory, &used, sizeof *s->config);
    return used;
}

static bool scratch_reserve(struct executor *ex) {
    ex->scratch.memory_bytes = scratch_lay(ex, NULL);
    ex->scratch.memory = store_reserve(ex->scratch.memory_bytes);
    if (!ex->scratch.memory) return false;
    scratch_lay(ex, ex->scratch.memory);
    return true;
}

enum exec_status executor_create(const struct executor_config *config, struct executor **out) {
    *out = NULL;
    const struct system_cluster *cluster = system_cluster_by_id(config->system, config->cluster);
    CHECK(cluster && config->blocks_kept_max >= 1 && config->blocks_kept_max <= EXEC_KEPT_MAX && config->open_max <= EXEC_OPEN_MAX);
    struct executor *ex = calloc(1, sizeof *ex);
    if (!ex) return EXEC_NO_MEMORY;
    ex->system = config->system;
    ex->cluster = config->cluster;
    ex->meter = config->meter;
    ex->shard = config_cluster_is_shard(config->cluster);
    ex->shard_number = config_cluster_index(config->cluster);
    ex->shards = config->system->shards_count;
    ex->pairs = ex->shard ? config->system->coordinators_count : config->system->shards_count;
    ex->kept_max = config->blocks_kept_max;
    ex->open_max = config->open_max > 0 ? config->open_max : EXEC_OPEN_MAX;
    struct sizes sizes;
    if (!sizes_derive(ex, config, &sizes) || !state_reserve(ex, &sizes) || !logs_reserve(ex, &sizes) || !scratch_reserve(ex)) {
        executor_destroy(ex);
        return EXEC_NO_MEMORY;
    }
    ex->trie = trie_init(ex->trie_memory, ex->trie_memory_bytes, &sizes.trie);
    ex->trie_limits = sizes.trie;
    executor_load_begin(ex);
    *out = ex;
    return EXEC_VALID;
}

void executor_destroy(struct executor *ex) {
    if (!ex) return;
    table_destroy(ex->table);
    store_unreserve(ex->trie_memory, ex->trie_memory_bytes);
    for (uint32_t i = 0; ex->queues_memory && i < ex->pairs; i++) {
        exec_log_destroy(&ex->slices[i]);
        exec_log_destroy(&ex->routings[i]);
    }
    store_unreserve(ex->queues_memory, ex->queues_memory_bytes);
    exec_log_destroy(&ex->blocks);
    store_unreserve(ex->entries, ex->entries_bytes);
    store_unreserve(ex->scratch.memory, ex->scratch.memory_bytes);
    free(ex);
}

const char *exec_memory_name(enum exec_memory part) {
    static const char *const names[EXEC_MEMORIES] = {"table", "trie", "slices", "routing", "blocks", "scratch"};
    CHECK(part < EXEC_MEMORIES);
    return names[part];
}

struct region_list {
    struct exec_region *regions;
    uint32_t room, count;
};

static void region_add(struct region_list *list, enum exec_memory part, const void *base, uint64_t bytes) {
    if (list->count < list->room) list->regions[list->count] = (struct exec_region){part, base, bytes};
    list->count++;
}

static void region_add_log(struct region_list *list, enum exec_memory part, const struct exec_log *log) {
    region_add(list, part, log->memory, log->capacity);
    region_add(list, part, log->segments, ((uint64_t)log->mask + 1) * sizeof *log->segments);
}

uint32_t executor_regions(const struct executor *ex, struct exec_region *regions, uint32_t room) {
    struct region_list list = {.regions = regions, .room = room};
    struct table_region table[TABLE_REGIONS];
    table_regions(ex->table, table);
    for (unsigned i = 0; i < TABLE_REGIONS; i++) region_add(&list, EXEC_MEMORY_TABLE, table[i].base, table[i].bytes);
    region_add(&list, EXEC_MEMORY_TRIE, ex->trie_memory, ex->trie_memory_bytes);
    for (uint32_t i = 0; i < ex->pairs; i++) {
        region_add_log(&list, EXEC_MEMORY_SLICES, &ex->slices[i]);
        if (!ex->shard) region_add_log(&list, EXEC_MEMORY_ROUTING, &ex->routings[i]);
    }
    region_add_log(&list, EXEC_MEMORY_BLOCKS, &ex->blocks);
    region_add(&list, EXEC_MEMORY_BLOCKS, ex->entries, ex->entries_bytes);
    region_add(&list, EXEC_MEMORY_SCRATCH, ex->scratch.memory, ex->scratch.memory_bytes);
    region_add(&list, EXEC_MEMORY_SCRATCH, ex->queues_memory, ex->queues_memory_bytes);
    return list.count;
}

/* Beginnings. */

void executor_load_begin(struct executor *ex) {
    table_clear(ex->table);
    store_forget(ex->trie_memory, ex->trie_memory_bytes);
    ex->trie = trie_init(ex->trie_memory, ex->trie_memory_bytes, &ex->trie_limits);
    memset(ex->queues_memory, 0, ex->pairs * sizeof *ex->queues);
    ex->in_block = false;
    uint32_t base = ex->shard ? (uint32_t)COORDINATOR_CLUSTER_BASE : (uint32_t)SHARD_CLUSTER_BASE;
    for (uint32_t i = 0; i < ex->pairs; i++) exec_queue_change(ex, i)->cluster = base + i;
    ex->released = ex->open = ex->next = 1;
    memset(&ex->final, 0, sizeof ex->final);
    ex->final.height = system_genesis_height(ex->system);
    ex->now = ex->final;
    ex->finalized_writes = 0;
    ex->changes_begun = false;
    ex->fault = EXEC_VALID;
    ex->corrupt = false;
    ex->load_lists = 0;
    CHECK(system_config(ex->system, ex->cluster, &ex->config));
    exec_admin_limits_apply(ex);
    exec_logs_reset(ex);
}

void executor_genesis(struct executor *ex, uint8_t state_root[32]) {
    executor_load_begin(ex);
    exec_admin_genesis(ex);
    trie_root(ex->trie, state_root);
}

enum exec_status executor_genesis_add(struct executor *ex, const struct table_entry *entry) {
    CHECK(ex->next == ex->open && ex->open == 1);
    return exec_state_load(ex, entry) ? EXEC_VALID : EXEC_NO_ROOM;
}

bool executor_entry_next(const struct executor *ex, uint64_t *cursor, struct table_entry *entry) {
    bool intact;
    return table_next(ex->table, cursor, entry, &intact);
}

/* Lookups. */

enum exec_status executor_client(const struct executor *ex, const uint8_t client_id[32], struct exec_client *client) {
    uint8_t key[EXEC_SYSTEM_KEY_MAX];
    struct table_entry entry;
    memset(client, 0, sizeof *client);
    if (!exec_state_peek(ex, key, exec_key_client('k', client_id, key), &entry)) return EXEC_NOT_FOUND;
    if (!executor_client_read(entry.value, entry.value_bytes, client)) return EXEC_CORRUPT;
    return EXEC_VALID;
}

static bool batch_read(const struct executor *ex, const uint8_t *bytes, size_t count, struct batch *batch) {
    const struct system_limits *limits = &ex->config.limits;
    struct batch_limits batch_limits = {.shards = ex->shards,
                                        .batch_bytes_max = limits->batch_bytes_max,
                                        .batch_parts_max = limits->batch_parts_max,
                                        .batch_ops_max = limits->batch_ops_max};
    return batch_decode(bytes, count, &batch_limits, batch) == BATCH_OK;
}

bool executor_read_allowed(const struct executor *ex, const uint8_t *batch, size_t batch_bytes) {
    struct batch decoded;
    struct exec_client client;
    if (!batch_read(ex, batch, batch_bytes, &decoded) || executor_client(ex, decoded.client_id, &client) != EXEC_VALID || client.revoked)
        return false;
    size_t at = 0;
    struct batch_part part;
    while (batch_part_next(&decoded, &at, &part)) {
        struct bytes_cursor cursor = bytes_cursor_of(part.ops, part.ops_bytes);
        for (uint32_t i = 0; i < part.op_count; i++) {
            struct operation operation;
            if (!operation_decode(&cursor, &operation)) return false;
            if (operation.opcode == OPERATION_CLIENT_STATE) {
                if (!executor_right_state(client.rights, client.rights_bytes, decoded.client_id, operation.argument_a)) return false;
                continue;
            }
            if (!executor_right(client.rights, client.rights_bytes, SYSTEM_RIGHT_READ, operation.key, operation.key_bytes)) return false;
        }
    }
    return true;
}

bool executor_write_stale(const struct executor *ex, const uint8_t *batch, size_t batch_bytes) {
    struct batch decoded;
    if (!batch_read(ex, batch, batch_bytes, &decoded) || decoded.kind != BATCH_WRITE) return false;
    size_t at = 0;
    struct batch_part part;
    while (batch_part_next(&decoded, &at, &part)) {
        uint8_t key[EXEC_SYSTEM_KEY_MAX];
        size_t key_bytes = exec_key_client('f', decoded.client_id, key);
        bytes_put_le32(key + key_bytes, part.shard);
        struct table_entry entry;
        if (!exec_state_peek(ex, key, key_bytes + 4, &entry) || part.number >= bytes_get_le64(entry.value)) return false;
    }
    return true;
}

const struct config *executor_cluster_config(const struct executor *ex) {
    return &ex->config;
}

uint32_t executor_pairs(const struct executor *ex) {
    return ex->pairs;
}

void executor_pair_at(const struct executor *ex, uint32_t index, bool final, struct exec_pair *pair) {
    CHECK(index < ex->pairs);
    struct exec_queue view;
    const struct exec_queue *queue = final ? &view : &ex->queues[index];
    if (final) exec_queue_final(ex, index, &view);
    *pair = (struct exec_pair){.cluster = queue->cluster,
                               .consumed_dseq = queue->consumed_dseq,
                               .consumed_bytes = queue->turn.consumed_bytes,
                               .epoch = queue->epoch,
                               .sent_dseq = queue->turn.sent_dseq,
                               .acked_dseq = queue->turn.acked_dseq,
                               .pending_items = queue->turn.pending_items,
                               .pending_ops = queue->turn.pending_ops,
                               .pending_bytes = queue->turn.pending_bytes,
                               .open_ops = queue->open_ops,
                               .open_bytes = queue->open_bytes};
    memcpy(pair->consumed_leaf, queue->consumed_leaf, 32);
    memcpy(pair->sent_leaf, queue->sent_leaf, 32);
}

enum exec_status executor_pair(const struct executor *ex, uint32_t cluster, bool final, struct exec_pair *pair) {
    int index = exec_pair_find(ex, cluster);
    if (index < 0) return EXEC_NOT_FOUND;
    executor_pair_at(ex, (uint32_t)index, final, pair);
    return EXEC_VALID;
}

void executor_due(const struct executor *ex, struct exec_due *due) {
    exec_queue_due(ex, due);
}

void executor_figures(const struct executor *ex, struct exec_figures *figures) {
    *figures = (struct exec_figures){.height = ex->now.height,
                                     .height_final = ex->final.height,
                                     .blocks_open = (uint32_t)(ex->next - ex->open),
                                     .blocks_kept = (uint32_t)(ex->open - ex->released),
                                     .user_keys = table_keys(ex->table, TRIE_SPACE_USER),
                                     .user_bytes = table_declared_bytes(ex->table, TRIE_SPACE_USER),
                                     .system_keys = table_keys(ex->table, TRIE_SPACE_SYSTEM),
                                     .system_bytes = table_declared_bytes(ex->table, TRIE_SPACE_SYSTEM)};
}

/* The entry whose path this is, by walking the table. */
static bool entry_by_path(const struct executor *ex, const uint8_t path[32], struct table_entry *entry) {
    uint64_t cursor = 0;
    bool intact;
    while (table_next(ex->table, &cursor, entry, &intact)) {
        uint8_t at[32];
        trie_path((enum trie_space)entry->space, entry->key, entry->key_bytes, at);
        if (intact && sha256_equal(at, path)) return true;
    }
    return false;
}

enum exec_status executor_prove(struct executor *ex, enum trie_space space, const uint8_t *key, size_t key_bytes, bool *present,
                                struct table_entry *value, struct bytes_writer *proof, uint64_t *height, uint8_t root[32]) {
    if (ex->corrupt) return EXEC_CORRUPT;
    if (ex->next > ex->open) return EXEC_NOT_FINAL;
    CHECK(key_bytes >= 1 && key_bytes <= TRIE_KEY_BYTES_MAX);
    *height = ex->final.height;
    trie_root(ex->trie, root);
    uint8_t path[32];
    trie_path(space, key, key_bytes, path);
    struct trie_proof_leaf other;
    enum trie_proof_kind kind = trie_proof_find(ex->trie, path, &other);
    struct trie_proof_other content = {.space = space};
    struct table_entry entry = {0};
    enum table_status status = table_get(ex->table, table_hash(ex->table, (uint8_t)space, key, key_bytes), (uint8_t)space, key, key_bytes, &entry);
    *present = kind == TRIE_PROOF_PRESENT;
    bool consistent = *present == (status == TABLE_OK);
    if (kind == TRIE_PROOF_OTHER) {
        consistent = consistent && entry_by_path(ex, other.path, &entry);
        content = (struct trie_proof_other){.space = (enum trie_space)entry.space, .key = entry.key, .key_bytes = entry.key_bytes};
        content.value = (struct trie_value){.version_height = entry.version.height, .version_index = entry.version.index};
        trie_value_hash(entry.value, entry.value_bytes, content.value.value_hash);
    }
    if (!consistent) {
        exec_fail(ex, EXEC_CORRUPT);
        return EXEC_CORRUPT;
    }
    if (value) *value = entry;
    trie_proof_write(ex->trie, path, &content, proof);
    return EXEC_VALID;
}
