/*
 * Journals that are made durable at once: by a few threads, for handles that were opened beside one another (heraclius_options.beside).
 *
 * fdatasync() waits for the disk, and a program's one thread with it, for each key anew. Here it hands a journal over, goes on, and finds out when
 * that is durable; what the disk is asked for at the same time it does together (a journal commit and a flush for many files). What may leave, and
 * when, is as ever: a write leaves after its own journal's fdatasync() returned 0 (engine.c, journal_go()), and until then nothing else of that
 * journal is synced.
 *
 * A job belongs to the handle; while it is SYNC_UNDER_WAY its descriptor stays open and its state is the syncer's, under the lock.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/client.h"
#include "merkle/check.h"

enum { THREADS = 8, STACK_BYTES = 131072 };

struct syncer {
    pthread_mutex_t lock;
    pthread_cond_t todo, done;
    struct sync_job *first, **end; /* jobs that nobody runs yet */
    bool over;
    unsigned count;
    pthread_t threads[THREADS];
};

static void *syncer_main(void *argument) {
    struct syncer *syncer = argument;
    pthread_mutex_lock(&syncer->lock);
    for (;;) {
        while (!syncer->first && !syncer->over) pthread_cond_wait(&syncer->todo, &syncer->lock);
        struct sync_job *job = syncer->first;
        if (!job) break;
        syncer->first = job->next;
        if (!syncer->first) syncer->end = &syncer->first;
        pthread_mutex_unlock(&syncer->lock);
        int error = fdatasync(job->fd) == 0 ? 0 : errno;
        pthread_mutex_lock(&syncer->lock);
        job->error = error;
        job->state = SYNC_ENDED;
        const uint64_t one = 1;
        CHECK(write(job->event, &one, sizeof one) == (ssize_t)sizeof one); /* read back before the next one: no room is no case */
        pthread_cond_broadcast(&syncer->done);
    }
    pthread_mutex_unlock(&syncer->lock);
    return NULL;
}

/* Its threads get no signals: those are the program's. But a fault is its own thread's: blocked, it would end the program unexplained. */
static void threads_start(struct syncer *syncer) {
    pthread_attr_t attributes;
    sigset_t all, before;
    CHECK(sigfillset(&all) == 0 && sigdelset(&all, SIGBUS) == 0 && sigdelset(&all, SIGSEGV) == 0);
    if (pthread_attr_init(&attributes) != 0) return;
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    while (syncer->count < THREADS && pthread_create(&syncer->threads[syncer->count], &attributes, syncer_main, syncer) == 0) syncer->count++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
}

struct syncer *client_syncer_make(void) {
    struct syncer *syncer = calloc(1, sizeof *syncer);
    if (!syncer) return NULL;
    syncer->end = &syncer->first;
    CHECK(pthread_mutex_init(&syncer->lock, NULL) == 0 && pthread_cond_init(&syncer->todo, NULL) == 0 && pthread_cond_init(&syncer->done, NULL) == 0);
    return syncer;
}

void client_syncer_free(struct syncer *syncer) {
    if (!syncer) return;
    pthread_mutex_lock(&syncer->lock);
    syncer->over = true;
    pthread_cond_broadcast(&syncer->todo);
    pthread_mutex_unlock(&syncer->lock);
    for (unsigned i = 0; i < syncer->count; i++) CHECK(pthread_join(syncer->threads[i], NULL) == 0);
    (void)pthread_cond_destroy(&syncer->done);
    (void)pthread_cond_destroy(&syncer->todo);
    (void)pthread_mutex_destroy(&syncer->lock);
    free(syncer);
}

bool client_syncer_put(struct syncer *syncer, struct sync_job *job) {
    CHECK(job->state == SYNC_NONE);
    if (syncer->count == 0) threads_start(syncer);
    if (syncer->count == 0) return false;
    pthread_mutex_lock(&syncer->lock);
    job->state = SYNC_UNDER_WAY;
    job->next = NULL;
    *syncer->end = job;
    syncer->end = &job->next;
    pthread_cond_signal(&syncer->todo);
    pthread_mutex_unlock(&syncer->lock);
    return true;
}

bool client_syncer_ended(struct syncer *syncer, struct sync_job *job, bool wait) {
    pthread_mutex_lock(&syncer->lock);
    while (wait && job->state == SYNC_UNDER_WAY) pthread_cond_wait(&syncer->done, &syncer->lock);
    bool ended = job->state == SYNC_ENDED;
    pthread_mutex_unlock(&syncer->lock);
    if (!ended) return false;
    uint64_t count;
    (void)!read(job->event, &count, sizeof count);
    job->state = SYNC_NONE;
    return true;
}
