/*
 * The executor: the replicated state machine of one cluster, coordinator or shard (spec/decisions.md D-1 to D-34, spec/operations.md O-1 to O-45).
 *
 * Purpose
 *   Executes blocks on the state after their parent, with undo; says what the header must carry (outbox_root, state_root after the parent,
 *   cursors_hash)
 *   and makes the slices. It knows nothing of views, votes, links or disks.
 *
 * Contract
 *   Pure: no I/O, clock, lock, thread; all memory is reserved by executor_create() (address space; resident as far as used). One thread owns an
 *   executor. A
 *   request goes in, a result comes out; pointers in a result lead into memory of the executor that is not written again until the release named
 *   below, so
 *   a result may be handed to another thread as long as the release comes back through a queue.
 *
 *   Blocks are named by tickets, numbers >= 1 of the caller's choosing that never come twice (the leader executes before it knows the block's id).
 *   The state that
 *   executor_genesis() or executor_load() makes has ticket 0. Executed blocks that are not final form one branch. executor_execute() of a block
 *   whose parent
 *   is not the newest executed one first rolls back to that parent; a parent that is neither open nor the final state is EXEC_UNKNOWN_PARENT. A
 *   block that is
 *   not EXEC_VALID leaves the state after its parent.
 *
 *   Life of a block, in the replica:
 *
 *       executor_execute(ex, &block, &result);          // leader: fills the header from result; voter: compares
 *       executor_settle(ex);                            // optional, when idle: the hashing that the next execute would do first
 *       ... final, oldest first:
 *       while (executor_finalize(ex, ticket, &buffer) == EXEC_BUFFER_FULL) { submit buffer, take another }
 *       if (height % K == 0) {
 *           while (executor_changes(ex, &buffer, NULL) == EXEC_BUFFER_FULL) { submit buffer, take another }
 *           executor_save(ex, ...)                      // the bytes behind the hashes, as of the newest final block
 *       }
 *       ... its answers need not be re-sent any more, in order of tickets:
 *       executor_release_block(ex, ticket);             // leaves, leaf hashes and client items of it are gone
 *       ... a final block has acked_dseq >= dseq, or the slice has been copied:
 *       executor_release_slices(ex, destination, dseq); // cluster slices up to dseq are gone (only final ones)
 *
 *   What a reference's bytes must be: verified as D-3 says by the caller (certificate, proof, slice hash; batch encoding and signature; operation
 *   signatures),
 *   and valid until executor_execute() returns. Of the input, only the bytes of SLICE references (kind 1) are referred to afterwards: the results of
 *   clients' items point into them, so who lays such an item out (executor_client_slice()) keeps them until then.
 *
 * Limits
 *   EXEC_OPEN_MAX open blocks; the rest follows from struct system_limits, see executor_regions().
 */
#ifndef APPLIANCE_EXECUTOR_H
#define APPLIANCE_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/base/cost.h"
#include "merkle/tree.h"
#include "merkle/trie.h"
#include "protocol/config.h"
#include "protocol/slice.h"
#include "protocol/system.h"
#include "store/state.h"
#include "store/table.h"

enum {
    EXEC_OPEN_MAX = 32,    /* blocks executed and not final: W <= 16, their suffix, and as many again for a leader that runs ahead */
    EXEC_KEPT_MAX = 4096,  /* final blocks not yet released */
    EXEC_LEAF_BYTES = 112, /* D-9, D-10 */
    EXEC_MEMBERS_MAX = 16,
    EXEC_BLOB_NAME_BYTES = 32,
};

/* What came of a call. The first group are verdicts about a block: the same on every correct node. The others are this node's own matter. */
enum exec_status {
    EXEC_VALID = 0,
    EXEC_BAD_KIND,       /* D-2: kind unknown, or a kind that this cluster does not take (a BATCH at a shard) */
    EXEC_BAD_RELAY,      /* D-4: relay >= n */
    EXEC_BAD_SOURCE,     /* D-4.1: not the other half of a pair with this cluster, or the leaf names another system, source or destination */
    EXEC_BAD_DSEQ,       /* D-4.1: not consumed + 1 */
    EXEC_BAD_PREVIOUS,   /* D-4.1: the leaf's previous is not the consumed leaf */
    EXEC_BAD_ORDER,      /* D-4.3: something follows a CONFIG */
    EXEC_TOO_MANY,       /* D-1: more than block_refs_max references */
    EXEC_TOO_LARGE,      /* D-4.5: more than block_input_bytes_max bytes behind more than one reference */
    EXEC_BAD_HEIGHT,     /* not the parent's + 1 */
    EXEC_BAD_TIME,       /* before the parent's */
    EXEC_BAD_INPUT,      /* the bytes are not what D-3 promises: lengths, hash, encoding. A correct caller never gets this */
    EXEC_UNKNOWN_PARENT, /* caller: neither an open block nor the newest final one */
    EXEC_OPEN_FULL,      /* caller: EXEC_OPEN_MAX blocks are open; finalize or roll back first */
    /* this node: a ring or arena is full since blocks or slices were not released; nothing was executed, try again after a release */
    EXEC_NO_ROOM,
    EXEC_CORRUPT,        /* this node: a checksum or root does not match, memory failed: neither vote nor answer from here on (sticky) */
    EXEC_BUFFER_FULL,    /* finalize: submit the buffer and call again with another; save: the room given is too small */
    EXEC_GOES_ON,        /* changes: that was a part; call again when there is time */
    EXEC_STORE_FAILED,   /* execution: the checkpoint store failed, and says why; the block is not final here */
    EXEC_NOT_FOUND,      /* finalize, release: no such open block (or not the oldest); lookups: no such client, key or slice */
    EXEC_BAD_CHECKPOINT, /* load: entries or blobs do not fit each other or the root */
    EXEC_NOT_FINAL,      /* prove: open blocks are executed, the proof would not be of final state */
    EXEC_NO_MEMORY,      /* create: address space refused, or limits that cannot be held */
};

/* A word for logs and metrics: "valid", "bad_dseq", ... Never NULL. */
const char *exec_status_name(enum exec_status status);

struct executor; /* opaque; one heap block and some private mappings */

struct executor_config {
    const struct system *system;            /* lives as long as the executor */
    uint32_t cluster;                       /* this cluster: coordinator or shard */
    uint32_t blocks_kept_max;               /* final blocks whose answers may stay unreleased, 1 to EXEC_KEPT_MAX */
    uint32_t open_max;                      /* open blocks, 1 to EXEC_OPEN_MAX; 0: EXEC_OPEN_MAX. Memory for undo is reserved for as many */
    uint8_t hash_key[TABLE_HASH_KEY_BYTES]; /* random, of this process; no result depends on it */
    struct cost_meter *meter;               /* of the thread that executes; NULL: nothing is measured */
};

enum exec_status executor_create(const struct executor_config *config, struct executor **out) __attribute__((warn_unused_result));
void executor_destroy(struct executor *ex); /* NULL will do */

/* Address space by purpose, for the printed budget. Resident under load: the table and trie for what is in them; rings for what is in flight. */
enum exec_memory {
    EXEC_MEMORY_TABLE = 0,
    EXEC_MEMORY_TRIE,
    EXEC_MEMORY_SLICES,  /* rings of slices to other clusters */
    EXEC_MEMORY_ROUTING, /* rings of unfinished work (coordinator) */
    EXEC_MEMORY_BLOCKS,  /* arenas of leaves and heads of clients' items */
    EXEC_MEMORY_SCRATCH,
    EXEC_MEMORIES
};
const char *exec_memory_name(enum exec_memory part);
struct exec_region {
    enum exec_memory part;
    const void *base; /* a mapping of its own: store/reserve.h */
    uint64_t bytes;
};
/* All that executor_create() reserved, the same ever after (any thread may ask): how many regions, of which the first `room` are written. */
uint32_t executor_regions(const struct executor *ex, struct exec_region *regions, uint32_t room);

/* Fills an empty executor with genesis (D-30, D-31): ticket 0, height = genesis height, time 0, cursors_hash zeros. `state_root` gets the root. */
void executor_genesis(struct executor *ex, uint8_t state_root[32]);

/* One entry more, which a successor keeps of its predecessor (S-144), just after executor_genesis(); executor_state_root() gives the root then.
 * EXEC_NO_ROOM: it is more than the limits of the system file hold. */
enum exec_status executor_genesis_add(struct executor *ex, const struct table_entry *entry) __attribute__((warn_unused_result));

/* Writes genesis' entries for the first checkpoint or dump: walks all entries of the newest state (order means nothing). *cursor 0 at first. */
bool executor_entry_next(const struct executor *ex, uint64_t *cursor, struct table_entry *entry);

/*
 * From a checkpoint: begin (forgets everything), each entry, the work blob, end. The blob is what executor_save() wrote (D-26).
 * executor_load_end() checks every rule that binds blob and entries and compares the trie's root with `state_root`: EXEC_BAD_CHECKPOINT names a
 * mismatch and
 * leaves the executor empty (begin again). On success the state has ticket 0.
 */
void executor_load_begin(struct executor *ex);
enum exec_status executor_load_entry(struct executor *ex, const struct table_entry *entry) __attribute__((warn_unused_result));
struct exec_position {
    uint64_t height;
    uint64_t time;
    uint8_t cursors_hash[32];
};
enum exec_status executor_load_end(struct executor *ex, const struct exec_position *position, const uint8_t state_root[32], const uint8_t *work,
                                   size_t work_bytes) __attribute__((warn_unused_result));

/* The work blob as of the newest final block: all pending items and routing lists (D-26). Call before another one is finalized. *bytes is the
 * size needed, also on EXEC_BUFFER_FULL. `state_root` (may be NULL) gets the root after that block: what the next header carries. */
enum exec_status executor_save(struct executor *ex, uint8_t *work, size_t room, size_t *bytes, uint8_t state_root[32])
    __attribute__((warn_unused_result));
#define EXECUTOR_WORK_BLOB "work" /* its name in store/state.h */

/* A block to execute. */

struct exec_ref {
    uint8_t kind; /* D-2: 1 SLICE, 2 BATCH, 3 ADMIN, 4 NOOP */
    uint8_t relay;
    uint32_t source;      /* SLICE */
    uint64_t dseq;        /* SLICE, NOOP */
    const uint8_t *hash;  /* 32 bytes, as in the body */
    const uint8_t *leaf;  /* SLICE: the 112 bytes of the cluster leaf */
    const uint8_t *bytes; /* SLICE: the slice; BATCH: the batch with its signature; ADMIN: the operation with its signatures; NOOP: NULL */
    uint32_t byte_count;
    /* SLICE at a coordinator: hashes of long results in it, as this node found them when it verified the slice (D-36): nobody else's word. None: the
     * executor hashes them itself. */
    const struct slice_long *longs;
    uint32_t long_count;
};

struct exec_block {
    uint64_t ticket; /* new, >= 1 */
    uint64_t parent; /* ticket of the parent; 0: genesis or the loaded state. A final parent is named by its ticket as well */
    uint64_t height;
    uint64_t time;
    bool suffix; /* a block after CONFIG in its epoch: nothing is executed or dispatched (D-19) */
    const struct exec_ref *refs;
    uint32_t ref_count;
};

/* One item of a client's slice: head as it lies there, length included (D-16, O-25), and results, which are not copied: they lie where the slice of
 * the shard lies, and live as long as that. */
enum { EXEC_CLIENT_ITEM_HEAD_BYTES = 4 + CLIENT_ITEM_HEAD_BYTES };
struct exec_client_item {
    uint8_t head[EXEC_CLIENT_ITEM_HEAD_BYTES];
    uint32_t results_bytes;
    const uint8_t *results;
};

/* One leaf of the outbox with its slice. */
struct exec_output {
    uint8_t leaf[EXEC_LEAF_BYTES];
    uint8_t kind;             /* 1 cluster (D-9), 2 client (D-10); 3, only of SEAL's block and last: the state root after it (D-35) */
    uint32_t destination;     /* kind 1: cluster */
    uint64_t dseq;            /* kind 1 */
    const uint8_t *client_id; /* kind 2: 32 bytes, within leaf */
    uint32_t item_count;
    uint32_t slice_bytes;
    const uint8_t *slice; /* kind 1: until executor_release_slices() */
    const struct exec_client_item *items; /* kind 2: item_count of them, until executor_release_block(); their results until the block's inputs go */
};

/* Lays out a client's slice (D-16) into `out`, which has slice_bytes. Any thread. */
void executor_client_slice(const struct exec_output *output, uint8_t *out);

/* When the executor wants a block although no input waits (D-21). */
struct exec_due {
    bool now;      /* the next block would dispatch whatever its time: by due_blocks, enough, idle, policy, or an acknowledgement alone */
    uint64_t time; /* header time from which a block would dispatch; UINT64_MAX: nothing pends */
};

struct exec_counts {   /* of this block */
    uint32_t ops_read; /* shard: executed; coordinator: admitted */
    uint32_t ops_written;
    uint32_t parts_refused;  /* answered with a refusal of any class */
    uint32_t parts_recorded; /* shard: RECORDED */
    uint32_t parts_busy;
    uint32_t answers; /* coordinator: items to clients */
    uint32_t values_known; /* shard: long values in answers whose hash was the table's (D-36) */
    uint32_t garbage; /* slices, items, answers without effect (D-15, O-32) */
    uint64_t slice_bytes_in;
    uint64_t slice_bytes_out;
};

/* Did the block end its epoch (B-40, B-43)? Only a CONFIG or SEAL that had an effect counts. */
enum exec_config_kind { EXEC_CONFIG_NONE = 0, EXEC_CONFIG_NEXT = 1, EXEC_CONFIG_SEAL = 2 };

struct exec_result {
    enum exec_status status;
    uint8_t config_kind;               /* enum exec_config_kind; NEXT: executor_cluster_config() is the new one */
    uint32_t bad_ref;                  /* index of the reference at fault */
    uint8_t state_root[32];            /* after the parent: as the header carries it. Valid whenever the parent was found */
    uint8_t outbox_root[32];           /* D-11 */
    uint8_t cursors_hash[32];          /* D-20, after this block */
    const struct exec_output *outputs; /* in the order of D-11; until executor_release_block() */
    const tree_hash *leaf_hashes;      /* output_count of them: tree_inclusion_prove() makes the proofs; until executor_release_block() */
    uint32_t output_count;
    struct exec_due due; /* in the state after this block */
    struct exec_counts counts;
};

/* Executes a block; result->status as returned. */
enum exec_status executor_execute(struct executor *ex, const struct exec_block *block, struct exec_result *result)
    __attribute__((warn_unused_result));

/* Does the trie work of the newest block now. Idempotent; executor_execute() does it otherwise. */
void executor_settle(struct executor *ex);

/*
 * Others may help with hashing: what a large block wrote, and the subtries of the state trie above it. `run` calls share(work, i) once for each i
 * below `shares`, in any order and on any threads, and returns when all have returned. Shares write nothing in common and none reads what another
 * writes, so the result is the same bytes whoever does them. Without helpers (run NULL) the executor does all.
 */
struct exec_helpers {
    uint32_t changes_min;  /* a block that wrote fewer is not worth their while, */
    uint32_t subtries_min; /* nor are fewer subtries, at most TRIE_REHASH_SUBTRIES */
    void *context;
    void (*run)(void *context, void (*share)(void *work, uint32_t i), void *work, uint32_t shares);
};
void executor_helpers(struct executor *ex, const struct exec_helpers *helpers);

/* The root after the newest executed block (settles). */
void executor_state_root(struct executor *ex, uint8_t root[32]);

/* Undoes every open block above `ticket` (an open block, or the newest final one). EXEC_NOT_FOUND. */
enum exec_status executor_rollback(struct executor *ex, uint64_t ticket) __attribute__((warn_unused_result));

/* The oldest open block becomes final. The keys that it removed are appended to `writes`; what it wrote executor_changes() tells, unless so many
 * keys have changed that it is told here (NULL: nothing of all that is wanted, now or later). EXEC_VALID; EXEC_BUFFER_FULL: nothing is final yet,
 * call again with an empty buffer, it goes on where it stopped; EXEC_NOT_FOUND: not the oldest open block; EXEC_CORRUPT. */
enum exec_status executor_finalize(struct executor *ex, uint64_t ticket, struct state_buffer *writes) __attribute__((warn_unused_result));

/* For a checkpoint: every entry of final state that is not as the writes told so far say is appended to `writes`, once each but for a few, in order
 * of path. EXEC_VALID: that is all; EXEC_BUFFER_FULL: call again with an empty buffer, before anything else; EXEC_CORRUPT: an entry's checksum does
 * not match.
 *
 * `units` (NULL: all at once) is what may be done now, about a tenth of a microsecond each, and what is left of that afterwards; EXEC_GOES_ON: they
 * are used up, and there is more. Until it says EXEC_VALID nothing may be finalized (CHECK), which is why all parts are of one height: what lies
 * open above, is executed or rolled back meanwhile, is not in them. */
enum exec_status executor_changes(struct executor *ex, struct state_buffer *writes, uint64_t *units) __attribute__((warn_unused_result));
/* How many have changed that executor_changes() has not told yet. */
uint32_t executor_changes_left(const struct executor *ex);
/* So many that executor_finalize() would tell them all. */
bool executor_changes_full(const struct executor *ex);
/* How many more blocks may be open. */
uint32_t executor_open_left(const struct executor *ex);

/* Entries of the final state, both spaces. */
uint64_t executor_final_entries(const struct executor *ex);

/* Who is a client: the records from which a node makes its table of them. 'k' and 'e' at a coordinator (D-31, D-32), at a shard the 'w' records that
 * are closed (O-45). */
bool executor_is_client_record(const struct table_entry *entry);
/* Those that the oldest open block wrote, in the order of its writes: ask before it is finalized. Pointers hold until then. */
struct exec_client_writes {
    struct table_writes writes;
    bool left;
};
void executor_client_writes(const struct executor *ex, struct exec_client_writes *walk);
bool executor_client_writes_next(struct exec_client_writes *walk, struct table_entry *entry);
struct exec_enrolment { /* D-32, 'e' */
    uint64_t serial;
    uint8_t hash[32];
    uint32_t clients;
};
bool executor_enrolment_read(const uint8_t *value, size_t value_bytes, struct exec_enrolment *enrolment);

/* Ends the lifetimes named above. Blocks: final ones, ascending; EXEC_NOT_FOUND otherwise. Slices: those of final blocks only, others are kept. */
enum exec_status executor_release_block(struct executor *ex, uint64_t ticket) __attribute__((warn_unused_result));
void executor_release_slices(struct executor *ex, uint32_t destination, uint64_t dseq);

/* A slice that was sent and not released (e.g. to be sent again). EXEC_NOT_FOUND. */
enum exec_status executor_slice(const struct executor *ex, uint32_t destination, uint64_t dseq, const uint8_t **slice, uint32_t *slice_bytes)
    __attribute__((warn_unused_result));

/* Lookups, in the newest executed state, for the node's own first look at an input; no verdict hangs on them. */

/* What the state knows of a client (D-31). Pointers hold until the next call that changes the executor. */
struct exec_client {
    bool revoked;
    uint32_t quota_per_second; /* operations; 0: no quota */
    uint32_t quota_burst;
    uint64_t serial;     /* of the enrolment operation that changed it last; 0: the system file */
    const uint8_t *card; /* its binary form, CARD_CLIENT_BYTES bytes */
    uint8_t signing_key[32];
    uint8_t noise_key[32];
    uint32_t rights_count;
    const uint8_t *rights; /* encoded as in D-31 */
    uint32_t rights_bytes;
};
enum exec_status executor_client(const struct executor *ex, const uint8_t client_id[32], struct exec_client *client)
    __attribute__((warn_unused_result));
/* The same from a record's value; false: it does not decode. */
bool executor_client_read(const uint8_t *value, size_t value_bytes, struct exec_client *client);
/* Is the key under a rule with this flag (O-30.3)? rights as in exec_client. */
bool executor_right(const uint8_t *rights, size_t rights_bytes, uint8_t flag, const uint8_t *key, size_t key_bytes);
/* O-30.3: may `asker` know the numbers of client `of` (CLIENT-STATE)? */
bool executor_right_state(const uint8_t *rights, size_t rights_bytes, const uint8_t asker[32], const uint8_t of[32]);
/* True iff the client may read all keys of a read batch (O-30.3): the relay's check before it relays. The batch must have been decoded (O-20): any
 * other
 * bytes give false. */
bool executor_read_allowed(const struct executor *ex, const uint8_t *batch, size_t batch_bytes);
/* True iff no part of the write batch could be more than TOO-OLD now: a relay need not hand it on (O-30.2). */
bool executor_write_stale(const struct executor *ex, const uint8_t *batch, size_t batch_bytes);
/* The CONFIG in force in the newest executed state. */
const struct config *executor_cluster_config(const struct executor *ex);

/* Cursors of a pair. final: as of the newest final block, else of the newest executed one. EXEC_NOT_FOUND: no such pair. */
struct exec_pair {
    uint32_t cluster;
    uint64_t consumed_dseq;
    uint8_t consumed_leaf[32];
    uint64_t consumed_bytes;
    uint64_t epoch;
    uint64_t sent_dseq;
    uint8_t sent_leaf[32];
    uint64_t acked_dseq;
    uint32_t pending_items;
    uint32_t pending_ops;
    uint64_t pending_bytes;
    uint32_t open_ops;
    uint64_t open_bytes;
};
uint32_t executor_pairs(const struct executor *ex);
/* By index, the first pair from `from` on that the oldest open block changed; executor_pairs(): none. */
uint32_t executor_pair_changed(const struct executor *ex, uint32_t from);
void executor_pair_at(const struct executor *ex, uint32_t index, bool final, struct exec_pair *pair); /* CHECK: index < executor_pairs() */
enum exec_status executor_pair(const struct executor *ex, uint32_t cluster, bool final, struct exec_pair *pair) __attribute__((warn_unused_result));
/* Would the executor dispatch on its own, in the newest executed state (D-21)? */
void executor_due(const struct executor *ex, struct exec_due *due);

/*
 * Scrubbing: the next `records` leaves of the state trie, in order of path, each against its entry in the table, hashed anew, and the hashes above it
 * (exec_scrub.c). EXEC_VALID, or EXEC_CORRUPT: memory failed, and nothing of this executor may be believed any more.
 */
enum exec_damage { EXEC_DAMAGE_NONE, EXEC_DAMAGE_TRIE, EXEC_DAMAGE_ENTRY, EXEC_DAMAGE_COUNT };
const char *exec_damage_name(enum exec_damage damage);
struct exec_scrubbed {
    uint32_t records;
    uint64_t of; /* leaves that there are */
    bool round; /* the last leaf was among them: all were looked at since the last time */
    enum exec_damage damage;
    uint8_t path[32]; /* where */
};
enum exec_status executor_scrub(struct executor *ex, uint32_t records, struct exec_scrubbed *out) __attribute__((warn_unused_result));

struct exec_figures {
    uint64_t height; /* newest executed */
    uint64_t height_final;
    uint32_t blocks_open;
    uint32_t blocks_kept;
    uint64_t user_keys;
    uint64_t user_bytes; /* declared (O-17) */
    uint64_t system_keys;
    uint64_t system_bytes;
};
void executor_figures(const struct executor *ex, struct exec_figures *figures);

/* A proof of presence or absence in final state (T-12); `value` may be NULL, else gets the entry (key points to the caller's). Absence looks for
 * the leaf in
 * the way by walking the table: slow, an operator's question. EXEC_VALID, EXEC_NOT_FINAL, EXEC_CORRUPT; `present` tells which. `height` and `root`
 * name the
 * state that the proof is of. */
enum exec_status executor_prove(struct executor *ex, enum trie_space space, const uint8_t *key, size_t key_bytes, bool *present,
                                struct table_entry *value, struct bytes_writer *proof, uint64_t *height, uint8_t root[32])
    __attribute__((warn_unused_result));

#endif
