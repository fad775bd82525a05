#include "store/writer.h"
#include "merkle/check.h"
#include "store/env.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ITEMS_MAX = 256, IDLE_PAUSE_MS = 30 };

void writer_tell(struct writer *writer) {
    CHECK(pthread_mutex_lock(&writer->done_lock) == 0);
    CHECK(pthread_cond_broadcast(&writer->done) == 0);
    CHECK(pthread_mutex_unlock(&writer->done_lock) == 0);
}

static void publish(struct writer *writer) {
    writer_tell(writer);
    if (writer->config.wake) writer->config.wake(writer->config.wake_context);
}

static void fail(struct writer *writer, enum store_status status) {
    atomic_store_explicit(&writer->status, (int)status, memory_order_release);
    publish(writer);
}

static enum writer_idle idle_step(struct writer *writer, bool paused) {
    enum writer_idle idle = writer->config.idle ? writer->config.idle(writer->config.apply_context, paused, &writer->error) : WRITER_IDLE;
    if (idle == WRITER_FAILED) fail(writer, writer->error.status);
    return idle;
}

static void wake(struct writer *writer) {
    const uint64_t one = 1;
    if (atomic_exchange(&writer->asleep, false)) CHECK(write(writer->work, &one, sizeof one) == sizeof one);
}

/* Until it is woken, at most for a pause where more is to do. True: for all of that. It may come back for nothing. */
static bool doze(struct writer *writer, bool pause) {
    struct pollfd work = {.fd = writer->work, .events = POLLIN};
    uint64_t posts;
    int count = poll(&work, 1, pause ? IDLE_PAUSE_MS : -1);
    CHECK(count >= 0 || errno == EINTR);
    if (count == 1) CHECK(read(writer->work, &posts, sizeof posts) == sizeof posts);
    atomic_store(&writer->asleep, false); /* who cleared it first has posted: the next doze ends at once */
    return count == 0;
}

/* Waits until something is queued; false when closing and nothing is left, or what has time failed. `asleep` is set before the last look at
 * `submitted` and `asked`, and who raises those looks at it afterwards: one of the two sees the other. */
static bool await_work(struct writer *writer, uint64_t taken) {
    for (bool paused = false;;) {
        if (atomic_load(&writer->submitted) > taken) return true;
        if (atomic_load(&writer->closing)) return atomic_load(&writer->submitted) > taken;
        uint64_t asked = atomic_load(&writer->asked);
        enum writer_idle idle = idle_step(writer, paused);
        if (idle == WRITER_FAILED) return false;
        atomic_store(&writer->asleep, true);
        if (atomic_load(&writer->submitted) > taken || atomic_load(&writer->closing) || atomic_load(&writer->asked) != asked) {
            atomic_store(&writer->asleep, false);
            continue;
        }
        paused = doze(writer, idle == WRITER_GOES_ON);
    }
}

static enum store_status after_step(struct writer *writer) {
    return writer->config.after ? writer->config.after(writer->config.apply_context, &writer->error) : STORE_OK;
}

/* What is applied together; *next has, from one time to the next, what was seen and begins the next group. */
static uint32_t group_take(struct writer *writer, uint64_t queued, void *items[ITEMS_MAX], void **next) {
    uint32_t count = 0;
    bool slow_before = false;
    while (count < queued && count < writer->config.items_max) {
        void *item = *next;
        if (item == NULL) CHECK(ck_ring_dequeue_spsc(&writer->ring, writer->slots, &item));
        bool slow = writer->config.is_slow != NULL && writer->config.is_slow(writer->config.apply_context, item);
        *next = count > 0 && slow && !slow_before ? item : NULL;
        if (*next != NULL) break;
        slow_before = slow;
        items[count++] = item;
    }
    return count;
}

static void *writer_run(void *context) {
    struct writer *writer = context;
    void *items[ITEMS_MAX], *next = NULL;
    uint64_t taken = 0;
    /* By the thread itself: another one's name is a file below /proc, which a confined node does not write. */
    CHECK(pthread_setname_np(pthread_self(), writer->config.name) == 0);
    atomic_store_explicit(&writer->cpu, sched_getcpu(), memory_order_relaxed);
    while (await_work(writer, taken)) {
        uint64_t queued = atomic_load_explicit(&writer->submitted, memory_order_acquire) - taken;
        uint32_t count = group_take(writer, queued, items, &next);
        taken += count;
        atomic_store_explicit(&writer->cpu, sched_getcpu(), memory_order_relaxed);
        enum store_status status = writer->config.apply(writer->config.apply_context, items, count, &writer->error);
        if (status != STORE_OK) {
            fail(writer, status);
            break;
        }
        atomic_store_explicit(&writer->completed, taken, memory_order_release);
        publish(writer);
        status = after_step(writer);
        if (status != STORE_OK) {
            fail(writer, status);
            break;
        }
    }
    if (writer->config.finish) writer->config.finish(writer->config.apply_context);
    return NULL;
}

/* Pinned before it runs, so that the CPU that it shows is never another one. */
static enum store_status thread_start(struct writer *writer, struct store_error *error) {
    sigset_t all;
    sigset_t before;
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    int code = 0;
    if (writer->config.cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        if (writer->config.cpu < CPU_SETSIZE) CPU_SET((unsigned)writer->config.cpu, &set);
        code = pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
    }
    /* Signals are for the threads that wait for them, but a fault is its own thread's: blocked, it would end the process unexplained. */
    CHECK(sigfillset(&all) == 0 && sigdelset(&all, SIGBUS) == 0 && sigdelset(&all, SIGSEGV) == 0);
    CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    if (code == 0) code = pthread_create(&writer->thread, &attributes, writer_run, writer);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    CHECK(pthread_attr_destroy(&attributes) == 0);
    const char *what = code == EINVAL ? "this machine has no such CPU for the storage thread" : "storage thread";
    if (code) return env_fail(error, code == EAGAIN || code == ENOMEM ? STORE_NO_MEMORY : STORE_IO, code, writer->config.name, what);
    return STORE_OK;
}

static void resources_free(struct writer *writer) {
    (void)close(writer->work);
    (void)pthread_mutex_destroy(&writer->done_lock);
    (void)pthread_cond_destroy(&writer->done);
}

enum store_status writer_start(struct writer *writer, const struct writer_config *config, struct store_error *error) {
    CHECK(config->slots >= 2 && config->slots <= WRITER_SLOTS_MAX && (config->slots & (config->slots - 1)) == 0);
    CHECK(config->items_max >= 1 && config->items_max <= ITEMS_MAX && config->apply);
    writer->config = *config;
    ck_ring_init(&writer->ring, config->slots);
    atomic_store(&writer->cpu, -1);
    writer->work = eventfd(0, EFD_CLOEXEC);
    if (writer->work < 0) return env_fail(error, env_status_of(errno), errno, writer->config.name, "a descriptor for the storage thread");
    CHECK(pthread_mutex_init(&writer->done_lock, NULL) == 0);
    CHECK(pthread_cond_init(&writer->done, NULL) == 0);
    enum store_status status = thread_start(writer, error);
    if (status != STORE_OK) resources_free(writer);
    return status;
}

enum store_status writer_stop(struct writer *writer) {
    atomic_store(&writer->closing, true);
    wake(writer);
    CHECK(pthread_join(writer->thread, NULL) == 0);
    resources_free(writer);
    return (enum store_status)atomic_load(&writer->status);
}

enum store_status writer_submit(struct writer *writer, const void *item, uint64_t *sequence) {
    if (atomic_load(&writer->status) != STORE_OK || atomic_load(&writer->closing)) return STORE_STOPPED;
    uint64_t submitted = atomic_load_explicit(&writer->submitted, memory_order_relaxed);
    /* Acquire: the slot that is used again now was read before its item was completed. */
    uint64_t in_flight = submitted - atomic_load_explicit(&writer->completed, memory_order_acquire);
    if (in_flight >= writer->config.slots - 1) return STORE_BUSY;
    CHECK(ck_ring_enqueue_spsc(&writer->ring, writer->slots, item));
    *sequence = submitted + 1;
    atomic_store(&writer->submitted, submitted + 1);
    wake(writer);
    return STORE_OK;
}

uint64_t writer_completed(const struct writer *writer) {
    return atomic_load_explicit(&writer->completed, memory_order_acquire);
}

enum store_status writer_error(const struct writer *writer, struct store_error *error) {
    enum store_status status = (enum store_status)atomic_load_explicit(&writer->status, memory_order_acquire);
    if (status != STORE_OK && error) *error = writer->error;
    return status;
}

void writer_ask(struct writer *writer) {
    atomic_fetch_add(&writer->asked, 1);
    wake(writer);
}

enum store_status writer_await(struct writer *writer, bool (*reached)(const void *context), const void *context) {
    enum store_status status = STORE_OK;
    CHECK(pthread_mutex_lock(&writer->done_lock) == 0);
    while (!reached(context) && (status = writer_error(writer, NULL)) == STORE_OK) CHECK(pthread_cond_wait(&writer->done, &writer->done_lock) == 0);
    CHECK(pthread_mutex_unlock(&writer->done_lock) == 0);
    return status;
}

struct number_wanted {
    const struct writer *writer;
    uint64_t sequence;
};

static bool number_reached(const void *context) {
    const struct number_wanted *wanted = context;
    return writer_completed(wanted->writer) >= wanted->sequence;
}

enum store_status writer_wait(struct writer *writer, uint64_t sequence) {
    return writer_await(writer, number_reached, &(struct number_wanted){writer, sequence});
}

int writer_cpu(const struct writer *writer) {
    return atomic_load_explicit(&writer->cpu, memory_order_relaxed);
}
