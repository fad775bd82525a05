/*
 * Private: values that are laid down in the value log before the transaction that puts them comes to them (wal.h, wal_prepare), by a thread and in a
 * lane of their own. A value's place is held from when it is begun; the wal's thread takes it over with its record, or it is forgotten.
 *
 * Who calls what: `submit` and `forget` the producer; `take` and `has` the wal's thread; `done` any.
 */
#ifndef STORE_WAL_PREPARE_H
#define STORE_WAL_PREPARE_H

#include "store/vlog.h"
#include "store/wal.h"
#include "store/writer.h"

enum prepared_state {
    PREPARED_FREE,
    PREPARED_QUEUED,
    PREPARED_WRITTEN,   /* durable, and its place held */
    PREPARED_REFUSED,   /* there was no room: nothing was laid down */
    PREPARED_FORGOTTEN, /* while it was queued: the thread lets it go */
};

struct prepared {
    enum prepared_state state;
    uint64_t ticket, sequence; /* the latter: of the thread's queue */
    uint64_t seed; /* of its database, key and length */
    struct iovec parts[WAL_PREPARE_PARTS_MAX];
    uint32_t part_count;
    struct vlog_place place;
};

struct wal_prepare {
    struct writer writer;
    struct vlog *vlog;
    uint64_t (*other_bytes)(void *context); /* as vlog_append(); by the thread */
    void *context;
    _Atomic uint64_t done; /* tickets up to this one are not read any more */
    pthread_mutex_t lock;  /* of `slots` */
    struct prepared slots[WAL_PREPARED_MAX];
};

/* cpu, wake: as wal_config has them. */
enum store_status wal_prepare_start(struct wal_prepare *prepare, const struct wal_config *config, struct store_error *error)
    __attribute__((warn_unused_result));
/* What is queued is laid down still. The sticky status. */
enum store_status wal_prepare_stop(struct wal_prepare *prepare);
enum store_status wal_prepare_submit(struct wal_prepare *prepare, uint64_t seed, const struct wal_value *value) __attribute__((warn_unused_result));
void wal_prepare_forget(struct wal_prepare *prepare, uint64_t ticket);
/* Is it laid down? A ticket that was refused never is, nor one that found no room, whatever `done` says. */
bool wal_prepare_has(struct wal_prepare *prepare, uint64_t ticket);
/* Waits until it is laid down, and gives its place away. 0; MDB_NOTFOUND: no such ticket with this seed, or no room for it was found; EIO: the thread
 * has failed. */
int wal_prepare_take(struct wal_prepare *prepare, uint64_t ticket, uint64_t seed, struct vlog_place *place) __attribute__((warn_unused_result));

static inline uint64_t wal_prepare_done(const struct wal_prepare *prepare) {
    return atomic_load_explicit(&prepare->done, memory_order_acquire);
}

#endif
