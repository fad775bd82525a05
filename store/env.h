/*
 * Private: one LMDB environment of a data directory, its identity record, and LMDB's errors as ours.
 *
 * The identity record lies in the database `meta` under the key "identity" (8 bytes), as a chunk of record.h:
 *
 *   | 0  | 8  | magic     | "HRCSTORE"                          |
 *   | 8  | 4  | format    | 1; of the wal 2 with a journal      |
 *   | 12 | 4  | kind      | 1 wal, 2 state                      |
 *   | 16 | 16 | system_id |                                     |
 *   | 32 | 32 | node_id   |                                     |
 *   | 64 | 4  | cluster   |                                     |
 *   | 68 | 4  | member    | at creation; informs only           |
 */
#ifndef STORE_ENV_H
#define STORE_ENV_H

#include "store/record.h"

enum {
    ENV_KIND_WAL = 1,
    ENV_KIND_STATE = 2,
    ENV_DBS_MAX = 8,
    ENV_META_KEY_BYTES = 8,
    ENV_IDENTITY_BYTES = 72,
};

struct env_db_layout {
    const char *name;
    uint8_t key_bytes;
    bool raw;           /* keys without chunk number, values not as chunks: the entries of a checkpoint, and its runs */
    bool added;         /* older releases made none: it is made when the environment is opened */
};

struct env_layout {
    const char *name;   /* of the folder */
    uint32_t kind;
    uint32_t format;    /* that it is written in; older ones are read */
    uint32_t db_count;
    struct env_db_layout dbs[ENV_DBS_MAX];
};

extern const struct env_layout env_layout_wal;
extern const struct env_layout env_layout_state;
extern const struct env_layout env_layout_transfer; /* as state: a checkpoint on its way from peers */

struct env {
    MDB_env *mdb;
    const struct env_layout *layout;
    struct record_db meta;
    struct record_db dbs[ENV_DBS_MAX];
    uint32_t page_bytes;
    bool lacks;                           /* an added database */
    uint64_t map_bytes;
    uint64_t set_aside;                   /* of the disk, up to that byte of the file */
    char file[STORE_PATH_BYTES_MAX + 32]; /* of data.mdb, for messages */
};

/* Makes <directory>/<name>/ with an empty environment and the identity in it, synced. */
enum store_status env_create(const char *directory, const struct env_layout *layout, const struct store_identity *identity, struct store_error *error)
    __attribute__((warn_unused_result));
/* Opens it, never creating anything, and compares the identity. */
enum store_status env_open(struct env *env, const char *directory, const struct env_layout *layout, const struct store_identity *identity,
                           uint64_t map_bytes, struct store_error *error) __attribute__((warn_unused_result));
void env_close(struct env *env);
/* The identity anew, in the layout's format, in `txn`: whoever makes what an older release would overlook does that. 0 or LMDB's code. */
int env_identity_put(const struct env *env, MDB_txn *txn, const struct store_identity *identity) __attribute__((warn_unused_result));
uint64_t env_file_bytes(const struct env *env);
/* Has LMDB's file room to grow by so many bytes, under its map, the limit of the process and on the disk, where they are set aside for it? `others`:
 * what else counts under the map. */
bool env_room_make(struct env *env, uint64_t bytes, uint64_t others);
/* Pages that transactions after number `since` gave up, as `txn` sees it, and that were not written again. 0 or LMDB's code. */
int env_pages_freed(MDB_txn *txn, size_t since, uint64_t *pages);

/* Why a commit failed with `code`: LMDB says EIO for a write that was cut short, which mostly is a full disk. Asks the file system. */
enum store_status env_write_status(const struct env *env, int code);
/* The same of a write to another file. */
enum store_status env_file_status(int fd, int code);

/* LMDB's or errno's code as ours. */
enum store_status env_status_of(int code);
/* Fills `error` with status, code and one line: "<file>: <what>: <cause>; <advice>". Returns the status. */
enum store_status env_fail(struct store_error *error, enum store_status status, int code, const char *file, const char *what);

#endif
