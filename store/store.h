/*
 * The store: everything of a node that outlives a power cut, and the live table beside it (spec/durability.md, rules P-n).
 *
 *   store.h      errors, identity, the data directory and its lock
 *   table.h      the live table in memory, with undo of blocks that are not final
 *   wal.h        write-ahead store: votes, certificates, blocks, inputs, the CONFIG chain (LMDB environment `wal`, thread of its own)
 *   state.h      checkpoints: final state at one height (LMDB environment `state`, thread of its own)
 *   record.h     private: the record form of both environments
 *   writer.h     private: the storage thread and its queue
 *   env.h        private: opening an LMDB environment
 *
 * The folder includes merkle/ and nothing else of ours; only it includes lmdb.h. It reads no clock and no entropy.
 *
 * A data directory is made once, by store_directory_begin() and _end() (`heraclius system init`), and is only ever opened afterwards: a node whose
 * directory or voting memory is missing does not get a fresh one by starting (P-3). Its content:
 *
 *   lock        flock()ed by the process that uses the directory
 *   wal/        data.mdb, lock.mdb, values (vlog.h; older programs read what lies there as damaged)
 *   state/      data.mdb, lock.mdb
 *   transfer/   a checkpoint on its way from peers
 *   evidence/, successors/   files of the node's own (appliance/node/node_evidence.c, node_successor.c), which the store never looks into
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    STORE_FORMAT_VERSION = 1,    /* of both environments when they were first made; a newer one than a release knows is refused */
    STORE_FORMAT_WAL = 2,        /* of the wal, since it has a journal: who does not know of that would open it without what the journal has */
    STORE_SYSTEM_ID_BYTES = 16,
    STORE_NODE_ID_BYTES = 32,
    STORE_PATH_BYTES_MAX = 3800, /* of a data directory, without the final zero */
    STORE_TEXT_BYTES = 512,
};

/* Every error of the store. Those marked (stop) are sticky: the environment takes nothing more and the node must stop (P-2). */
enum store_status {
    STORE_OK = 0,
    STORE_ABSENT,        /* no such record; the end of an iteration */
    STORE_BUSY,          /* the queue to the storage thread is full: try again after the next completion */
    STORE_TOO_LONG,      /* the value does not fit into the caller's room; its length is told */
    STORE_IN_USE,        /* another process holds the directory's lock */
    STORE_MISSING,       /* no data directory, or an environment or its identity record is not there */
    STORE_EXISTS,        /* create: the directory holds a node's data already */
    STORE_FOREIGN,       /* the directory or the file holds something that is not ours */
    STORE_OTHER_SYSTEM,  /* data of another system */
    STORE_OTHER_NODE,    /* data of another cluster or of another node key */
    STORE_NEWER_FORMAT,  /* written by a newer release */
    STORE_DAMAGED,       /* (stop) a record, page or file that cannot be as written */
    STORE_DISK_FULL,     /* (stop) no space on the device, or the configured map size is reached */
    STORE_IO,            /* (stop) a read, write or sync failed */
    STORE_NO_ACCESS,     /* permission */
    STORE_NO_MEMORY,     /* (stop) */
    STORE_STOPPED,       /* submitted after a sticky error or after close began */
    STORE_STATUS_COUNT
};

/* A stable name such as "disk_full", for logs and metrics. */
const char *store_status_name(enum store_status status);

/* What went wrong, as one line without a newline that names the file and what to do. */
struct store_error {
    enum store_status status;
    int os_error;                /* errno or LMDB's code, 0 if none */
    char text[STORE_TEXT_BYTES];
};

/* Whose data it is. `member` is the index at creation and only informs: CONFIG may move it. */
struct store_identity {
    uint8_t system_id[STORE_SYSTEM_ID_BYTES];
    uint8_t node_id[STORE_NODE_ID_BYTES]; /* hash of the node's card */
    uint32_t cluster;
    uint32_t member;
};

/* An open, locked data directory. Opaque; one per process and path. */
struct store_directory;

/*
 * Makes the data directory `path` (its parent must exist; an existing empty directory will do), with both environments empty and `identity` in each,
 * everything synced, also the directory entries. map_bytes as in store_directory_open. STORE_EXISTS, STORE_FOREIGN, STORE_NO_ACCESS, STORE_DISK_FULL,
 * STORE_IO; on failure `error` (never NULL) has the line.
 */
enum store_status store_directory_create(const char *path, const struct store_identity *identity, struct store_error *error)
    __attribute__((warn_unused_result));

/*
 * The same in two steps, for what has to be in a directory from its first moment on. _begin makes it beside its place under another name
 * (`path`.making), locked and open, to be filled; _end gives it its name. What was begun and not ended is no data directory: _abandon removes it, and
 * after a power cut the next _begin does. STORE_IN_USE: another process is at it. _end and _abandon close it (after wal and state), whatever they
 * return. Nothing but the two environments may be made in it.
 */
enum store_status store_directory_begin(const char *path, const struct store_identity *identity, struct store_directory **directory,
                                        struct store_error *error) __attribute__((warn_unused_result));
enum store_status store_directory_end(struct store_directory *directory, const char *path, struct store_error *error)
    __attribute__((warn_unused_result));
void store_directory_abandon(struct store_directory *directory);

/*
 * Locks the existing data directory `path` and checks that it is ours. Never creates or mends anything. On success *directory is to be closed with
 * store_directory_close(), after wal and state. Errors: STORE_MISSING, STORE_IN_USE, STORE_FOREIGN, STORE_NO_ACCESS, STORE_IO.
 */
enum store_status store_directory_open(const char *path, struct store_directory **directory, struct store_error *error)
    __attribute__((warn_unused_result));
/* The databases are read through memory maps, where a page that the disk cannot give, or a file that was cut, is a SIGBUS, and a page of LMDB's own
 * whose bits changed may be a SIGSEGV. Unless the program handles these signals itself, store_directory_open() installs a handler that writes one
 * line naming the directory to stderr and lets the signal end the process. */
void store_directory_close(struct store_directory *directory);
const char *store_directory_path(const struct store_directory *directory);

/* The two environments of a directory that may be made anew, since what they held comes back from peers (P-40): the checkpoint, when it is lost or
 * damaged, and the one that is on its way from peers. What lies there now is removed; the new one is empty and synced. The environment must not be
 * open. Errors as store_directory_create(). */
enum store_status store_state_remake(const struct store_directory *directory, const struct store_identity *identity, struct store_error *error)
    __attribute__((warn_unused_result));
enum store_status store_transfer_create(const struct store_directory *directory, const struct store_identity *identity, struct store_error *error)
    __attribute__((warn_unused_result));
enum store_status store_transfer_remove(const struct store_directory *directory, struct store_error *error) __attribute__((warn_unused_result));
/* What came takes the place of the checkpoint, which is removed first: a power cut in between leaves no checkpoint and what came, and this can be
 * done again when the state was made anew. Both closed. */
enum store_status store_transfer_promote(const struct store_directory *directory, struct store_error *error) __attribute__((warn_unused_result));
/* True iff something of that name is there. */
bool store_transfer_exists(const struct store_directory *directory);

#endif
