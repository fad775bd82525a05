/*
 * Checkpoints: the final state at a height divisible by K and the bytes behind its hashes (spec/durability.md P-30 ff.), in one LMDB environment
 * with a thread of its own.
 *
 * Contract
 *   ONE thread submits batches, whose writes count in their order. The batch with a `checkpoint` also replaces all blobs and the description, and
 *   commits: data and description appear together or not at all. A crash before that leaves the checkpoint before, and the blocks after it are
 *   replayed.
 *
 *   What a checkpoint changed is written beside the entries, sorted, as it is (runs.h), and brought to its place among them later, a part at a time,
 *   many changes of a page at once (state_write.c): a checkpoint costs what it changed, and not a page for each of its keys. state_close() ends with
 *   that, so that a release which knows entries alone finds them.
 *   Completion as in wal.h: a batch without a checkpoint is completed when its memory may be used again, one with a checkpoint when that is
 *   durable. Errors are sticky as in wal.h.
 *
 *   Entries are kept in the order of their trie path (T-rules), so that a piece of state transfer (P-40 ff.), which is a prefix of the trie, is one
 *   range.
 *
 *   Which cuts there are: the newest is on disk. A reader is a copy-on-write cut of the checkpoint that was newest when it was opened, and keeps it
 *   readable whatever is committed later, at the cost of the pages that have changed since. A node that serves the last two (P-34) opens a reader
 *   after each checkpoint and closes the last but one: the older of the two costs no copy, and is gone after a restart, when only the newest is
 *   served.
 *
 *   Loading: every entry has a checksum that covers its path, paths ascend, and as many come as the description says: anything else is STORE_DAMAGED.
 *   LMDB's own pages have no checksum: a bit that flips in one of them can lead to a page that an older checkpoint left, where everything is whole
 *   but old. So the caller fills table and trie and must compare the root with the certified one; only then is what was read the state. Likewise a
 *   flip may bring back the whole checkpoint before: a correct one, with its own height and root. LMDB holds the pages that a transaction changed
 *   in memory until commit: at most 512 MiB, then it spills.
 */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "store/store.h"
#include "store/table.h"

enum {
    STATE_PATH_BYTES = 32,
    STATE_BLOBS_MAX = 64,             /* per checkpoint */
    STATE_BLOB_NAME_BYTES = 32,       /* ASCII, filled up with zeros */
    STATE_BLOB_BYTES_MAX = 1 << 30,
    STATE_WRITES_MAX = 1 << 22,       /* per batch */
    STATE_QUEUE_SLOTS_MAX = 4096,
};

/* Blobs of a node's own checkpoint (appliance/): "work", "tip", "queues", "child", and sometimes "chain". One that was written before there was
 * "child" lacks it: such a one is started from, and not shown to anybody (P-34); the next one has it. So the form of the file is still version 1: an
 * older release passes over what it does not ask for.
 *
 * Describes a checkpoint. What `state_root` certifies is P-31's matter. */
struct state_checkpoint {
    uint64_t epoch;
    uint64_t height;
    uint64_t entries;                 /* how many there are then, if that is known; 0: the store counts them, which costs it a fold of all runs */
    uint8_t block_id[32];
    uint8_t state_root[32];           /* after this block */
};

struct state_blob {
    char name[STATE_BLOB_NAME_BYTES];
    const uint8_t *bytes;
    size_t byte_count;
};

/* One write as it is handed over. */
struct state_write {
    const uint8_t *key;
    const uint8_t *value;
    struct table_version version;
    uint32_t value_bytes;
    uint16_t key_bytes;
    uint8_t space;
    bool deleted;
};

struct state_batch {
    const struct state_write *writes;
    uint32_t write_count;
    bool clear_first;                 /* drop every entry before the writes: a checkpoint that came whole from peers, or a first one */
    const struct state_checkpoint *checkpoint; /* NULL: more batches follow before the commit */
    const struct state_blob *blobs;   /* with a checkpoint: all that it has */
    uint32_t blob_count;
};

/* Collects writes in memory of the caller's: the array grows from the front of `memory`, the bytes from its end. */
struct state_buffer {
    uint8_t *memory;
    size_t front;
    size_t back;
    uint32_t count;
};
/* memory: aligned as by malloc, lives as long as the buffer and until the batch made of it is completed. */
void state_buffer_init(struct state_buffer *buffer, void *memory, size_t memory_bytes);
/* Copies key and value; false if there is no room (submit this buffer, take another). */
bool state_buffer_add(struct state_buffer *buffer, const struct table_write *write) __attribute__((warn_unused_result));
const struct state_write *state_buffer_writes(const struct state_buffer *buffer);

struct state_config {
    const struct store_directory *directory;
    bool transfer;                    /* not the node's own checkpoint but one on its way from peers: store_transfer_create() */
    struct store_identity identity;
    uint64_t map_bytes;
    uint32_t queue_slots;             /* power of two, 2 to STATE_QUEUE_SLOTS_MAX; one batch fewer fits */
    /* Of writes are collected, of a first checkpoint or of runs that are merged, before they go to the disk: 2^17 to 2^21; 0: 2^21. Of others at most
     * 2^20. */
    uint32_t run_bytes;
    int cpu;
    void (*wake)(void *context);
    void *wake_context;
};

struct state; /* opaque */

/* As wal_open(). */
enum store_status state_open(const struct state_config *config, struct state **state, struct store_error *error) __attribute__((warn_unused_result));
/* Applies what is queued; writes after the last checkpoint are dropped (they are replayed). Ends the thread. */
enum store_status state_close(struct state *state);
/* Producer thread only; as wal_submit(). Everything that the batch points to stays the submitter's until completion. */
enum store_status state_submit(struct state *state, const struct state_batch *batch, uint64_t *sequence) __attribute__((warn_unused_result));
uint64_t state_completed(const struct state *state);
enum store_status state_error(const struct state *state, struct store_error *error);
enum store_status state_wait(struct state *state, uint64_t sequence) __attribute__((warn_unused_result));

/* Reading a checkpoint: any thread, a reader each (one thread at a time may use it). */
struct state_reader; /* opaque */
/* STORE_ABSENT: there is no checkpoint yet (genesis). */
enum store_status state_reader_open(struct state *state, struct state_reader **reader) __attribute__((warn_unused_result));
void state_reader_close(struct state_reader *reader);
const struct state_checkpoint *state_reader_checkpoint(const struct state_reader *reader);
/* What it costs to keep it open: bytes of the pages that checkpoints after it gave up and that cannot be written again while it is there
 * (`kept_bytes`); and, to compare, the bytes of all pages of its own checkpoint. STORE_OK, or what reading the list of free pages gave. */
enum store_status state_reader_cost(const struct state_reader *reader, uint64_t *kept_bytes, uint64_t *own_bytes) __attribute__((warn_unused_result));
/* The next entry in order of path; STORE_ABSENT at the end (read from the first entry on: all have come); STORE_DAMAGED. Pointers hold until the
 * reader is closed. `path` (may be NULL) gets the path. */
enum store_status state_read_entry(struct state_reader *reader, struct table_entry *entry, uint8_t path[STATE_PATH_BYTES])
    __attribute__((warn_unused_result));
/* Goes to the first entry whose path is >= `path`. */
void state_read_seek(struct state_reader *reader, const uint8_t path[STATE_PATH_BYTES]);
/* As wal_read(). */
enum store_status state_read_blob(struct state_reader *reader, const char *name, void *bytes, size_t room, size_t *byte_count)
    __attribute__((warn_unused_result));

struct state_figures {
    uint64_t checkpoints;   /* committed since the start */
    uint64_t height;        /* of the newest, 0 if none */
    uint64_t file_bytes;
    uint64_t map_bytes;
    uint64_t fold_parts;    /* transactions since the start that brought changes of checkpoints to their place */
    uint64_t compactions;   /* how often a checkpoint was so large that what was written of it was merged before it was whole */
    int cpu;
};
void state_figures(const struct state *state, struct state_figures *figures);
/* Bytes in which writes may come to be collected and sorted, beside LMDB's pages. */
uint64_t state_budget(void);

#endif
