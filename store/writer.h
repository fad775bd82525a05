/*
 * Private: a storage thread and the bounded single-producer queue to it. Items are pointers, applied in order, several at a time; their numbers 1,
 * 2, 3 … are published when they are done; an error is sticky and ends the thread.
 *
 * Who writes what: `submitted` the producer; `completed`, `status` and `error` the storage thread, `error` before `status` and never again;
 * `asleep` both, and who asks; `asked` any thread; `closing` the one who closes.
 */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "store/store.h"
#include <ck_ring.h>
#include <pthread.h>
#include <stdatomic.h>

enum { WRITER_SLOTS_MAX = 4096 };

enum writer_idle { WRITER_IDLE, WRITER_GOES_ON, WRITER_FAILED };

struct writer_config {
    const char *name;                 /* of the thread, at most 15 bytes */
    uint32_t slots;                   /* power of two; one fewer items fit */
    uint32_t items_max;               /* applied at a time */
    int cpu;                          /* -1: any */
    void (*wake)(void *context);
    void *wake_context;
    /* On the storage thread: does all of it, or fills `error` and returns its status. */
    enum store_status (*apply)(void *context, void *const *items, uint32_t count, struct store_error *error);
    /* On the storage thread: what was queued before it is not to wait for it, so that it begins what is applied at a time, unless another such one is
     * just before it; NULL: none is. */
    bool (*is_slow)(void *context, const void *item);
    /* On the storage thread, after what was applied is published: what nobody waits for; NULL: nothing to do. As apply. */
    enum store_status (*after)(void *context, struct store_error *error);
    /* On the storage thread when nothing is queued, and when somebody asked; NULL: nothing to do. Does a part of what has time: none is left, or more
     * is, for which it is asked again a little later, or it failed and filled `error`. paused: nothing has come since it was asked before. */
    enum writer_idle (*idle)(void *context, bool paused, struct store_error *error);
    /* On the storage thread, last of all; NULL: nothing to do. */
    void (*finish)(void *context);
    void *apply_context;
};

struct writer {
    struct writer_config config;
    struct ck_ring ring;
    struct ck_ring_buffer slots[WRITER_SLOTS_MAX];
    _Atomic uint64_t submitted;
    _Atomic uint64_t completed;
    _Atomic uint64_t asked;
    _Atomic int status;
    _Atomic bool asleep;
    _Atomic bool closing;
    _Atomic int cpu;
    struct store_error error;
    int work;                         /* an eventfd that wakes the thread */
    pthread_mutex_t done_lock;        /* for writer_wait() only */
    pthread_cond_t done;
    pthread_t thread;
};

enum store_status writer_start(struct writer *writer, const struct writer_config *config, struct store_error *error)
    __attribute__((warn_unused_result));
/* Does what is queued, ends the thread; the sticky status. */
enum store_status writer_stop(struct writer *writer);
enum store_status writer_submit(struct writer *writer, const void *item, uint64_t *sequence) __attribute__((warn_unused_result));
uint64_t writer_completed(const struct writer *writer);
enum store_status writer_error(const struct writer *writer, struct store_error *error);
enum store_status writer_wait(struct writer *writer, uint64_t sequence) __attribute__((warn_unused_result));
/* Any thread: the storage thread is to look at `idle` soon, also while much is queued. */
void writer_ask(struct writer *writer);
/* Any thread but the storage thread: until `reached`, or the sticky status. On the storage thread, writer_tell() makes them look. */
enum store_status writer_await(struct writer *writer, bool (*reached)(const void *context), const void *context);
void writer_tell(struct writer *writer);
int writer_cpu(const struct writer *writer);

#endif
