/*
 * The write-ahead store: what must be on disk before a message leaves (spec/durability.md P-1): a journal, an LMDB environment behind it, and a
 * thread of its own.
 *
 * Contract
 *   ONE thread, the producer, submits batches; they are applied in order, many in one transaction, and are durable when wal_completed() reaches
 *   their number: written to the journal and synced (journal.h), or, where that is not for them, committed by LMDB (data, then meta page, both
 *   synced; neither NOSYNC nor WRITEMAP), which takes over what the journal has some times a second. Then the storage thread calls wake(). A batch,
 *   its records and all bytes that they point to belong to the submitter and must stay unchanged until that. Within a batch and over batches later
 *   records win.
 *
 *   Any error of a write, sync or commit is sticky (P-2): nothing of the failed transaction counts, nothing more is taken, wal_error() tells,
 *   wake() is called once more. The node stops. What was completed before is safe.
 *
 *   Any thread reads, through a reader of its own (a read transaction: a consistent cut that does not see later commits). A reader must be
 *   short-lived: while it is open, freed pages are not used again and the file grows. It sees all that was durable when it was opened, and for that
 *   may wait until LMDB has taken over what the journal has, milliseconds mostly.
 *
 *   A second thread lays long values down ahead of their records (wal_prepare).
 *
 *   Values of any length are cut into chunks of at most WAL_CHUNK_BYTES, so that no record needs more than four contiguous pages. Where a commit
 *   brings many bytes of long values (blocks, inputs), these go to a file of their own, past the page cache, and LMDB keeps their places
 *   (vlog.h); they are synced before LMDB commits. Every chunk and every such value has a checksum over its place and content; a mismatch is
 *   STORE_DAMAGED, never an answer. Votes, blocks and certificates are proved by their
 *   signatures and hashes besides, which is the caller's part.
 *
 * Keys have one fixed length per database; integers in keys are BIG-endian, so that order of bytes is order of numbers (the wal_key_* helpers do it).
 *
 * Limits: WAL_* below. Errors: enum store_status.
 */
#ifndef STORE_WAL_H
#define STORE_WAL_H

#include "store/store.h"
#include <sys/uio.h>

enum {
    WAL_CHUNK_BYTES = 16360,         /* 4 pages less LMDB's page header and our record header */
    WAL_VALUE_BYTES_MAX = 1 << 28,
    WAL_RECORDS_MAX = 1 << 17,       /* of one batch */
    WAL_QUEUE_SLOTS_MAX = 4096,      /* batches between producer and storage thread */
    WAL_COMMIT_BATCHES_MAX = 256,    /* batches in one transaction */
    WAL_KEY_BYTES_MAX = 49,
    WAL_PREPARED_MAX = 16,           /* values that are prepared and neither put nor forgotten, or still being read */
    WAL_PREPARE_PARTS_MAX = 2,
};

/* Databases. The key lengths are fixed. `value` is whatever the caller stores, opaque here. */
enum wal_db {
    WAL_VOTES,  /* 16: kind u8, member u8, zero u16, slot u32, height u64: own voting memory and the newest items of others for LAST-SIGNED */
    WAL_BLOCKS, /* 49: epoch u64, height u64, block_id, part u8 */
    WAL_INPUTS, /* 32: id of the input (leaf hash, batch_id, hash of an administrative operation) */
    WAL_CHAIN,  /* 8: epoch u64: CONFIG's certificate, never pruned (P-6) */
    WAL_MISC,   /* 32: whatever else, by name or hash */
    WAL_DB_COUNT
};

/* Kinds in WAL_VOTES. `slot` is 0 unless stated; what the value holds is the owner's matter (appliance, bft). */
enum wal_vote_kind {
    WAL_VOTE_CORE = 1,        /* own voting memory as bft gives it: view, high QC, what was prepared */
    WAL_VOTE_OWN_PREPARE = 2, /* exact bytes, by height; slot = low 32 bits of the view */
    WAL_VOTE_OWN_COMMIT = 3,
    WAL_VOTE_OWN_TIMEOUT = 4,
    WAL_VOTE_TC = 5,          /* newest TC, or the f+1 TIMEOUTs on which the node joined its view */
    WAL_VOTE_HIGH_QC = 6,
    WAL_VOTE_PEER_PREPARE = 7, /* newest of member: for LAST-SIGNED */
    WAL_VOTE_PEER_COMMIT = 8,
    WAL_VOTE_PEER_TIMEOUT = 9,
    WAL_VOTE_RETIRED = 10,    /* present: this key never signs again (P-15); one byte, why */
    WAL_VOTE_EPOCH_ASKED = 11 /* height = epoch: LAST-SIGNED was asked and answered for it */
};

enum wal_block_part { WAL_PART_HEADER = 0, WAL_PART_BODY = 1, WAL_PART_CERTIFICATE = 2, WAL_PART_PAYLOAD = 3 };

/* Keys, written to `key`; each returns the length. */
size_t wal_key_vote(uint8_t key[WAL_KEY_BYTES_MAX], uint8_t kind, uint8_t member, uint32_t slot, uint64_t height);
size_t wal_key_block(uint8_t key[WAL_KEY_BYTES_MAX], uint64_t epoch, uint64_t height, const uint8_t block_id[32], uint8_t part);
size_t wal_key_chain(uint8_t key[WAL_KEY_BYTES_MAX], uint64_t epoch);
/* Name as ASCII, at most 32 bytes, filled up with zeros. */
size_t wal_key_misc(uint8_t key[WAL_KEY_BYTES_MAX], const char *name);
/* The fixed key length of a database. */
size_t wal_key_bytes(enum wal_db db);
/* The two numbers at the front of a WAL_BLOCKS key. */
void wal_key_block_read(const uint8_t *key, uint64_t *epoch, uint64_t *height, const uint8_t **block_id, uint8_t *part);

enum wal_operation {
    WAL_PUT,          /* key, value: as many parts as you like, written straight into the database's page */
    WAL_DELETE,       /* key; absent is no error */
    WAL_DELETE_RANGE  /* every key from `key` up to but without `key_end` (same length). Prune in steps of a few thousand */
};

struct wal_record {
    enum wal_operation operation;
    enum wal_db db;
    uint8_t key[WAL_KEY_BYTES_MAX];
    uint8_t key_end[WAL_KEY_BYTES_MAX];
    const struct iovec *parts;        /* of the value */
    uint32_t part_count;              /* 0 is the empty value */
    uint64_t ticket;                  /* PUT: with which the value was given to wal_prepare(); 0: it was not */
};

struct wal_batch {
    const struct wal_record *records;
    uint32_t record_count;            /* 1 to WAL_RECORDS_MAX */
};

struct wal_config {
    const struct store_directory *directory;
    struct store_identity identity;   /* must match what the directory holds */
    uint64_t map_bytes;               /* most that LMDB's file may grow to, and it and the value log together; a multiple of 1 MiB; only address
                                       * space until used */
    uint32_t queue_slots;             /* power of two, 2 to WAL_QUEUE_SLOTS_MAX; one batch fewer fits */
    int cpu;                          /* pin the storage thread, -1: no */
    void (*wake)(void *context);      /* on a storage thread after each commit, prepared value, and error; must not block; NULL: none */
    void *wake_context;
    uint64_t (*clock_ns)(void);       /* CPU time of the calling thread, for wal_figures; NULL: not measured */
};

struct wal; /* opaque */

/* Opens the environment and starts its thread. STORE_MISSING, STORE_OTHER_SYSTEM, STORE_OTHER_NODE, STORE_NEWER_FORMAT, STORE_FOREIGN, STORE_DAMAGED,
 * STORE_IO, STORE_NO_MEMORY; `error` has the line. */
enum store_status wal_open(const struct wal_config *config, struct wal **wal, struct store_error *error) __attribute__((warn_unused_result));
/* Commits what is queued, ends the thread. All readers must be closed. NULL will do. The status is the sticky one: STORE_OK means all was made
 * durable. */
enum store_status wal_close(struct wal *wal);

/* Producer thread only. STORE_OK: *sequence is the batch's number (1, 2, 3 …). STORE_BUSY: queue full. STORE_STOPPED: see wal_error(). Malformed
 * records (unknown database, value too long) are a CHECK. */
enum store_status wal_submit(struct wal *wal, const struct wal_batch *batch, uint64_t *sequence) __attribute__((warn_unused_result));
/*
 * A long value that a record will put later is laid down meanwhile, by another thread, so that batches before that record do not wait for what the
 * disk needs to take it. It is a hint: nothing of it is durable, or there to be read, before a batch with its record is; that batch, and so all after
 * it, waits until the value is laid down; a record whose ticket is not known any more, or whose value found no room, is put from its parts.
 */
struct wal_value {
    uint64_t ticket; /* ascending from 1 */
    enum wal_db db;  /* WAL_BLOCKS, WAL_INPUTS */
    uint8_t key[WAL_KEY_BYTES_MAX];
    struct iovec parts[WAL_PREPARE_PARTS_MAX]; /* as the record's, together the same bytes */
    uint32_t part_count;
};
/* Producer thread only. STORE_OK: the parts' bytes stay unchanged until wal_prepared() reaches the ticket. STORE_BUSY: too many were prepared and
 * neither put nor forgotten. STORE_STOPPED: see wal_error(). */
enum store_status wal_prepare(struct wal *wal, const struct wal_value *value) __attribute__((warn_unused_result));
/* Any thread: values that were taken with tickets up to this one are not read any more. wake() is called when it grows. */
uint64_t wal_prepared(const struct wal *wal);
/* Producer thread only: no record will put it. Not known: nothing to do. */
void wal_forget(struct wal *wal, uint64_t ticket);
/* Any thread: all batches up to this number are durable. */
uint64_t wal_completed(const struct wal *wal);
/* Any thread. STORE_OK, or the sticky error, then with its line in *error (may be NULL). */
enum store_status wal_error(const struct wal *wal, struct store_error *error);
/* Blocks the caller until `sequence` is durable (STORE_OK) or the store has stopped (the sticky error). For start-up, tools and tests. */
enum store_status wal_wait(struct wal *wal, uint64_t sequence) __attribute__((warn_unused_result));

/* Reading: any thread, a reader each. STORE_STOPPED: the store has stopped and something durable is in the journal alone, for the next opening. */
struct wal_reader; /* opaque */
enum store_status wal_reader_open(struct wal *wal, struct wal_reader **reader) __attribute__((warn_unused_result));
/* The same without a wait: what was durable two seconds ago, and mostly later things. */
enum store_status wal_reader_open_behind(struct wal *wal, struct wal_reader **reader) __attribute__((warn_unused_result));
void wal_reader_close(struct wal_reader *reader);
/* *bytes becomes the value's length; STORE_TOO_LONG if that is more than room (nothing is written then; room 0 asks for the length). STORE_ABSENT,
 * STORE_DAMAGED, STORE_IO. */
enum store_status wal_read(struct wal_reader *reader, enum wal_db db, const uint8_t *key, void *value, size_t room, size_t *bytes)
    __attribute__((warn_unused_result));
/* The value, malloc'd, the caller's to free; NULL unless STORE_OK. STORE_ABSENT: there is none, which what cannot be read never is. */
enum store_status wal_read_whole(struct wal_reader *reader, enum wal_db db, const uint8_t *key, uint8_t **value, size_t *bytes)
    __attribute__((warn_unused_result));
/* The first key >= `key` (or > key, if after) goes to `key`; then wal_read() it. STORE_ABSENT at the end. To start at the beginning: key all zero. */
enum store_status wal_read_next(struct wal_reader *reader, enum wal_db db, uint8_t key[WAL_KEY_BYTES_MAX], bool after)
    __attribute__((warn_unused_result));
/* The last key <= `key` goes to `key`. STORE_ABSENT if there is none. */
enum store_status wal_read_last(struct wal_reader *reader, enum wal_db db, uint8_t key[WAL_KEY_BYTES_MAX]) __attribute__((warn_unused_result));
/* How much there is: its records' chunks, and the pages of those that are longer than a page. */
uint64_t wal_reader_units(struct wal_reader *reader);
/* One value by a reader of its own: wal_read() between open and close. */
enum store_status wal_get(struct wal *wal, enum wal_db db, const uint8_t *key, void *value, size_t room, size_t *bytes)
    __attribute__((warn_unused_result));

/* Figures for metrics; any thread, each figure by itself. */
struct wal_figures {
    uint64_t commits;       /* of batches: syncs of the journal, or, where that was not for them, LMDB's */
    uint64_t folds;         /* LMDB's commits */
    uint64_t batches;
    uint64_t bytes;         /* of values put */
    uint64_t file_bytes;    /* pages ever used, times page size, and the value log */
    uint64_t used_bytes;    /* of these, what is in use; LMDB's pages from half of the map on, each few commits (before that all that were used) */
    uint64_t map_bytes;
    uint64_t values_lost;   /* long values that the file of them was too short for when it was opened: it was lost, or cut */
    uint64_t apply_ns;      /* CPU time that it took to put batches into pages; what else the thread used went into commits */
    int cpu;                /* on which the thread last ran, -1 before the first commit */
};
void wal_figures(const struct wal *wal, struct wal_figures *figures);

#endif
