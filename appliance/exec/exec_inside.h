/*
 * Private to the executor's files (executor.c, exec_*.c): its state and what the files offer one another. See executor.h for the contract.
 *
 * State that rolls back lies in three places: the table (and the trie, which follows it at executor_settle()), the queues (plain structs; a block
 * copies each before it changes it, exec_changed.c), and the newest ends of the logs (cut back by the copies' sizes).
 */
#ifndef APPLIANCE_EXEC_INSIDE_H
#define APPLIANCE_EXEC_INSIDE_H

#include "appliance/exec/exec_log.h"
#include "appliance/exec/exec_turn.h"
#include "appliance/exec/executor.h"
#include "merkle/bytes.h"
#include "merkle/check.h"
#include "protocol/batch.h"
#include "protocol/body.h"
#include "protocol/leaf.h"
#include "protocol/operation.h"
#include "protocol/partition.h"
#include "protocol/pending.h"
#include "protocol/slice.h"

enum {
    EXEC_INPUT_BYTES_MAX = LEAF_SLICE_BYTES_MAX, /* of one input */
    EXEC_PART_WRITES_MAX = 4096,                 /* O-20: operations of a part of a write batch */
    EXEC_ANSWER_HEADS = SLICE_ITEM_HEAD_BYTES + SLICE_ANSWER_HEAD_BYTES + SLICE_PART_HEAD_BYTES,
    EXEC_RECORD_BYTES = 52,                      /* O-40, without codes and numbers */
    EXEC_CHUNK_BYTES_MAX = 65536,                /* O-40 */
    EXEC_VALUES_MAX = 8192,                      /* long values of one ANSWER item whose hashes are taken from the table; of more they are made */
    EXEC_CHUNK_NUMBERS = 16,
    EXEC_BLOCK_WRITES = 131072,                  /* O-18 */
    EXEC_BLOCK_BYTES = 536870912,
    EXEC_CHANGED_MAX = 1 << 21,                  /* keys that wait for a checkpoint; where more do, the store has them before it */
    EXEC_BLOCK_WRITES_TABLE = 262144,            /* and 256 'u' records of each pair, four records of each ADMIN, 'c', 'q', 'm' */
    EXEC_WRITE_OVERHEAD = 96,                    /* O-18: key head, entry and number of a write */
    EXEC_SETTLE_CHANGES = 4096,                  /* of a block, given to the trie at once */
    EXEC_SETTLE_ALONE = 64,                      /* likewise, without helpers: what was looked at is in the cache still */
    EXEC_SHARES = 16,                            /* of work that helpers may do: a few for each of them */
    EXEC_SYSTEM_KEY_MAX = 48,
    EXEC_CLIENT_RECORD_MAX = 8192,               /* D-31: 144 + quota and 16 rules, rounded up */
    EXEC_CLIENT_RECORD_HEAD = 144,
    EXEC_QUEUE_RECORD_BYTES = 192,               /* D-7 */
    EXEC_CONSUMED_RECORD_BYTES = 56,             /* D-6 */
    EXEC_CURSOR_ENTRY_BYTES = 96,                /* D-20 */
};

/* The state of one pair: 'c' and 'q' records and the view of its logs. */
struct exec_queue {
    uint32_t cluster;
    /* D-6 */
    uint64_t consumed_dseq;
    uint8_t consumed_leaf[32];
    uint64_t epoch;
    /* D-7 */
    struct exec_turn turn;
    uint8_t sent_leaf[32];
    uint8_t pending_hash[32];
    uint32_t open_ops;
    uint64_t open_bytes;
    uint32_t relay_ops[EXEC_MEMBERS_MAX];
    /* Logs. A slice's segment has its dseq as number; pending groups follow sent_dseq. */
    uint64_t log_next;
    struct exec_segment tail;       /* of the newest segment, iff it is pending */
    uint32_t routing_tail_bytes;    /* of the newest routing segment, iff pending */
    /* Unfinished work (coordinator), turn.unfinished_count request slices: the oldest of them, how many bytes of its routing list are answered. */
    uint64_t unfinished_first;
    uint32_t unfinished_at;
    /* Hash of the newest pending group, as far as it has come (D-7): hashed once, whether as pending or as slice (D-36). */
    uint64_t hash_segment;
    uint32_t hash_bytes;
    uint32_t hash_routing_bytes;
    struct slice_items_hash hash_items;
    struct sha256_state hash_routing_state;
};

struct exec_point {
    uint64_t ticket;
    uint64_t height;
    uint64_t time;
    uint8_t cursors_hash[32];
};

/* A block that is open, or final and not released. */
struct exec_entry {
    struct exec_point point;
    uint8_t root_before[32];  /* the state root after its parent */
    bool settled;
    bool config_changed;
    bool clients_changed;     /* it wrote a record that executor_is_client_record() means */
    bool removed;             /* it removed a key */
};

/* One item for a client, as it comes to be (O-33). */
struct exec_item {
    uint8_t digest[32];
    uint64_t height;
    const uint8_t *results;
    const uint8_t *results_hash; /* D-36; NULL: not known */
    uint32_t results_bytes;
    uint32_t index;
    uint32_t first_op;
    uint32_t op_count;
    uint32_t shard;
    uint32_t next;            /* of the same client; UINT32_MAX: none */
    uint8_t kind;
    uint8_t code;
};

/* One client that has items in this block. */
struct exec_target {
    uint8_t client_id[32];
    uint32_t first, last;
    uint32_t count;
    uint64_t bytes;           /* of its slice */
};

/* One operation of a request slice at a shard. */
struct exec_operation {
    const uint8_t *at;        /* its first byte */
    uint64_t hash;            /* of the key in the user space of the table */
    uint32_t a, b;
    uint16_t key_bytes;
    uint8_t opcode;
    uint8_t flags;
    uint8_t early;            /* a code that its own bytes decide (O-13), or CODE_OK */
};

struct exec_part {
    const uint8_t *body;
    uint32_t body_bytes;
    uint32_t first;           /* in operations */
    uint32_t op_count;
    uint8_t kind;             /* SLICE_READ, SLICE_WRITE */
    bool malformed;
};

/* An ANSWER item that is being written at the end of a queue's log. */
struct exec_answer {
    uint32_t pair;
    uint64_t request_dseq;
    uint8_t *item;            /* head of the item; NULL: none begun */
    uint32_t bytes;           /* with both heads */
    uint32_t parts;
    uint32_t ops;
    uint32_t values;          /* hashes of long values that were noted before the newest part */
};

/* One record of O-40. */
struct exec_record {
    const uint8_t *digest;
    uint64_t height;
    uint32_t index;
    uint32_t op_count;
    uint8_t form;
    uint16_t number_count;
    const uint8_t *codes;     /* form 1 */
    const uint8_t *numbers;
    const uint8_t *whole;
    uint32_t bytes;
};

struct exec_scratch {
    struct exec_operation *operations; /* shard */
    struct exec_part *parts;
    uint8_t *part_bytes;      /* one part answer, while its item is closed */
    struct slice_longs values; /* the table's hashes of long values in the ANSWER item that is written now; `at`: from its first byte */
    const uint8_t *values_from; /* that byte; NULL: none is noted */
    struct exec_item *items;  /* coordinator */
    struct exec_target *targets;
    uint32_t *order;
    struct { uint32_t stamp; uint32_t target; } *map;
    uint32_t item_max, target_max, map_mask, operation_max, part_max;
    uint32_t item_count, target_count, map_stamp, operation_count, number_count;
    uint8_t *chunk;           /* EXEC_CHUNK_BYTES_MAX */
    uint8_t *codes;           /* EXEC_PART_WRITES_MAX */
    int64_t *numbers;
    uint8_t *client;          /* EXEC_CLIENT_RECORD_MAX */
    struct exec_output *outputs; /* of clusters, before they are laid out */
    struct trie_change *changes;
    struct { struct table_write write; struct table_writes shown; } *settled; /* beside them; shown: the iterator that has just shown it */
    uint8_t (*change_hashes)[32];
    uint8_t *encoded;         /* CONFIG_BYTES_MAX */
    struct admin_op *op;
    struct config *config;    /* a remote cluster's */
    void *memory;             /* all of the above */
    size_t memory_bytes;
};

struct executor {
    const struct system *system;
    uint32_t cluster;
    bool shard;
    uint32_t shard_number;
    uint32_t shards;
    struct cost_meter *meter;
    struct config config;          /* in force, as the record 'g' has it */
    struct table *table;
    struct trie *trie;
    void *trie_memory;
    size_t trie_memory_bytes;
    bool trie_huge; /* asked for huge pages */
    struct trie_limits trie_limits;
    uint64_t system_keys_soft;     /* O-18 */
    uint64_t system_bytes_soft;

    uint32_t pairs;
    const struct exec_queue *queues; /* ascending by cluster; changed through exec_queue_change() alone */
    struct exec_queue *snapshots;  /* EXEC_OPEN_MAX x pairs: before block with ordinal o, if it changed the pair: o % EXEC_OPEN_MAX */
    uint64_t *changed;             /* EXEC_OPEN_MAX sets of pairs, likewise: what the block changed */
    uint64_t *busy;                /* a set of pairs: all that may have something to cut, now or when they are old enough */
    uint32_t set_words;            /* of a set: a bit for each pair */
    bool in_block;                 /* what is changed now is undone with the block */
    struct exec_log *slices;       /* per pair */
    struct exec_log *routings;     /* per pair, coordinator; numbered as slices */
    void *queues_memory;
    size_t queues_memory_bytes;

    struct exec_log blocks;        /* leaves and heads of clients' items; number = ordinal */
    struct exec_entry *entries;    /* ordinal & entries_mask */
    size_t entries_bytes;
    uint32_t entries_mask;
    uint32_t kept_max;
    uint32_t open_max;         /* executor_config.open_max */
    uint64_t released;             /* ordinal of the oldest block that is not released */
    uint64_t open;                 /* ordinal of the oldest open block */
    uint64_t next;
    struct exec_point final;
    struct exec_point now;
    uint32_t finalized_writes;     /* of the oldest open block, looked at for keys that it removed */
    bool changes_begun;            /* `changes` goes on */
    struct table_changes changes;

    enum exec_status fault;        /* of this block: EXEC_NO_ROOM, EXEC_CORRUPT; EXEC_VALID: none */
    bool corrupt;                  /* sticky */
    bool config_changed;           /* in this block */
    bool clients_changed;          /* in this block */
    bool removed;                  /* in this block */
    uint8_t config_kind;           /* of this block: enum exec_config_kind */
    uint64_t height, time;         /* of the block in execution */
    uint32_t op_index;             /* O-8 */
    uint64_t block_writes;         /* O-18 */
    uint64_t block_bytes;
    struct exec_counts counts;
    uint64_t load_lists;           /* 'u' records seen by executor_load_entry() */
    uint8_t scrub_at[32];          /* the path from which exec_scrub.c goes on */
    struct exec_scratch scratch;
    struct exec_helpers helpers; /* run NULL: none */
};

/* executor.c */
static inline struct exec_entry *exec_entry_at(const struct executor *ex, uint64_t ordinal) {
    return &ex->entries[ordinal & ex->entries_mask];
}
static inline struct exec_queue *exec_snapshot(const struct executor *ex, uint64_t ordinal) {
    return ex->snapshots + (ordinal % EXEC_OPEN_MAX) * ex->pairs;
}
static inline uint64_t *exec_changed(const struct executor *ex, uint64_t ordinal) {
    return ex->changed + (ordinal % EXEC_OPEN_MAX) * ex->set_words;
}
static inline bool exec_pair_in(const uint64_t *set, uint32_t pair) {
    return (set[pair / 64] >> pair % 64 & 1) != 0;
}
/* True iff the newest segment is a group that is still pending. */
static inline bool exec_group_open(const struct exec_queue *queue) {
    return queue->log_next > queue->turn.sent_dseq + 1;
}
/* The pair's index, or -1. */
int exec_pair_find(const struct executor *ex, uint32_t cluster);
/* Names why this block cannot be executed here; the first one stays. */
static inline void exec_fail(struct executor *ex, enum exec_status fault) {
    if (ex->fault == EXEC_VALID) ex->fault = fault;
    if (fault == EXEC_CORRUPT) ex->corrupt = true;
}

/* exec_state.c: system records and the trie. */
bool exec_state_get(struct executor *ex, const uint8_t *key, size_t key_bytes, struct table_entry *entry);
bool exec_state_peek(const struct executor *ex, const uint8_t *key, size_t key_bytes, struct table_entry *entry); /* no fault is noted */
void exec_state_put(struct executor *ex, const uint8_t *key, size_t key_bytes, const uint8_t *value, size_t value_bytes);
void exec_state_remove(struct executor *ex, const uint8_t *key, size_t key_bytes);
/* An entry as it is, outside of any block (genesis, checkpoint). False: twice, outside of the limits. */
bool exec_state_load(struct executor *ex, const struct table_entry *entry);
size_t exec_key_cluster(uint8_t letter, uint32_t cluster, uint8_t key[EXEC_SYSTEM_KEY_MAX]);
size_t exec_key_client(uint8_t letter, const uint8_t client_id[32], uint8_t key[EXEC_SYSTEM_KEY_MAX]);
void exec_leaf_of(const struct table_entry *entry, uint8_t path[32], uint8_t leaf_hash[32]);
void exec_state_settle(struct executor *ex);
void exec_records_write(struct executor *ex); /* 'c' and 'q' records that the block changed */
void exec_queue_encode(const struct exec_queue *queue, uint8_t consumed[EXEC_CONSUMED_RECORD_BYTES], uint8_t sent[EXEC_QUEUE_RECORD_BYTES]);
bool exec_queue_decode(struct exec_queue *queue, const uint8_t *consumed, size_t consumed_bytes, const uint8_t *sent, size_t sent_bytes);
void exec_cursors_hash(const struct executor *ex, uint8_t hash[32]);
/* O-18: declared bytes that the parts of one block may write. */
static inline uint64_t exec_block_bytes_max(const struct system_limits *limits) {
    uint64_t bytes = 8 * limits->block_input_bytes_max;
    return bytes < EXEC_BLOCK_BYTES ? bytes : EXEC_BLOCK_BYTES;
}
/* O-18: false: the part would pass the block's or the records' budget. */
bool exec_budget_take(struct executor *ex, uint64_t writes, uint64_t bytes);
bool exec_records_room(const struct executor *ex);

/* exec_queue.c: pending items, dispatch. */
/* Room for an item (head included) of so many operations, at the end of the queue; NULL: no room (a fault is noted). The caller fills it whole. */
uint8_t *exec_queue_space(struct executor *ex, uint32_t pair, uint32_t item_bytes, uint32_t ops);
/* Coordinator: the routing entry of the item just put. */
void exec_queue_route(struct executor *ex, uint32_t pair, const struct routing *routing);
void exec_queue_dispatch(struct executor *ex, uint32_t *output_count);
void exec_queue_due(const struct executor *ex, struct exec_due *due);
void exec_queue_hash(struct executor *ex, uint32_t pair);

/* exec_changed.c: which pairs a block changed, what they were before; which have something. A block's work grows with those, not with all. */
/* The first pair of the set from `from` on; ex->pairs: none. */
uint32_t exec_pair_next(const struct executor *ex, const uint64_t *set, uint32_t from);
void exec_changed_begin(struct executor *ex); /* block ex->next begins; none is changed by it */
void exec_changed_undo(struct executor *ex, uint64_t ordinal); /* the newest block's changes */
void exec_queue_keep(struct executor *ex, uint32_t pair); /* what it was before the block */
/* The pair as of the newest final block, its tail included. */
void exec_queue_final(const struct executor *ex, uint32_t pair, struct exec_queue *view);
/* To be written to. What it was before this block is kept. */
static inline struct exec_queue *exec_queue_change(struct executor *ex, uint32_t pair) {
    if (ex->in_block && !exec_pair_in(exec_changed(ex, ex->next), pair)) exec_queue_keep(ex, pair);
    ex->busy[pair / 64] |= UINT64_C(1) << pair % 64;
    return (struct exec_queue *)ex->queues_memory + pair;
}
/* Shard: an ANSWER item that grows; exec_answer.c. */
void exec_answer_begin(struct executor *ex, struct exec_answer *answer);
uint8_t *exec_answer_part(struct executor *ex, struct exec_answer *answer); /* where the next part's head goes; NULL: no room */
void exec_answer_part_done(struct executor *ex, struct exec_answer *answer, const struct slice_part *part);
void exec_answer_end(struct executor *ex, struct exec_answer *answer);
uint32_t exec_answer_bytes_max(const struct executor *ex);

/* exec_shard.c, exec_operation.c, exec_record.c */
void exec_shard_slice(struct executor *ex, uint32_t pair, uint64_t dseq, const struct slice *slice);
/* Executes one operation, writes its result (at most 40 bytes but for GET's value) and returns its bytes. room: bytes that the result may take
 * (O-24). */
uint32_t exec_operation_run(struct executor *ex, const struct exec_operation *op, uint32_t index, uint32_t room, uint8_t *out);
/* Result without version and value. */
uint32_t exec_result_put(uint8_t *out, uint8_t code, uint8_t flags, uint32_t value_bytes);
/* A WRITE item: fills in *answer and writes its results behind `out`. */
void exec_record_part(struct executor *ex, const struct exec_part *part, struct slice_part *answer, uint8_t *out);
uint32_t exec_record_client_state(struct executor *ex, const uint8_t client_id[32], uint32_t room, uint8_t *out);
void exec_record_close(struct executor *ex, const uint8_t client_id[32]);
/* The operations of a part in order; writes results, returns their bytes; of a WRITE item codes and numbers too. */
uint32_t exec_part_run(struct executor *ex, const struct exec_part *part, bool atomic, uint8_t *out);

/* exec_coordinator.c, exec_client_slice.c */
enum exec_status exec_coordinator_batch(struct executor *ex, const struct exec_ref *ref);
void exec_coordinator_slice(struct executor *ex, uint32_t pair, const struct exec_ref *ref, const struct slice *slice);
bool exec_client_fits(struct executor *ex, const uint8_t client_id[32], uint64_t item_count, uint64_t results_bytes);
void exec_client_item(struct executor *ex, const uint8_t client_id[32], const struct exec_item *item);
/* Lays out the block's outputs: cluster outputs (scratch.outputs) first, then client leaves and slices. False: no room. */
bool exec_outputs_lay(struct executor *ex, uint32_t cluster_count, struct exec_result *result);
/* SEAL's block, once it is the newest: one more leaf behind those, for which there is room. */
void exec_state_leaf_lay(struct executor *ex, struct exec_result *result);

/* exec_save.c */
void exec_logs_reset(struct executor *ex);

/* exec_admin.c */
void exec_admin_genesis(struct executor *ex);
enum exec_status exec_admin_operation(struct executor *ex, const struct exec_ref *ref, bool *is_config);
void exec_admin_item(struct executor *ex, uint32_t pair, const struct slice_item *item); /* CONFIG and REVOKE items */
void exec_admin_limits_apply(struct executor *ex);
bool exec_admin_config_reload(struct executor *ex);

#endif
