#include "appliance/node/node_worker.h"

#include "ring/clock.h"

static bool has_work(const void *context) {
    const struct node_worker *worker = context;
    return lane_count(&worker->todo) > 0 || atomic_load(&worker->end);
}

static void *worker_main(void *context) {
    struct node_worker *worker = context;
    node_pin(worker->node, worker->thread, node_thread_name(worker->thread));
    uint64_t sampled = 0;
    while (!atomic_load(&worker->end)) {
        void *entry;
        while ((entry = lane_take(&worker->todo)) != NULL) {
            worker->work(worker->context, entry);
            CHECK(lane_put(&worker->done, entry)); /* from here on it is the taker's */
            sleeper_wake(worker->taker);
        }
        uint64_t now = ring_clock_ms();
        if (now - sampled >= NODE_STATUS_MS) node_cpu_sample(worker->node, worker->thread), sampled = now;
        sleeper_wait(&worker->sleeper, has_work, worker, NODE_STATUS_MS, NULL);
    }
    return NULL;
}

void node_worker_start(struct node_worker *worker, unsigned todo_slots, unsigned done_slots) {
    lane_init(&worker->todo, todo_slots);
    lane_init(&worker->done, done_slots);
    sleeper_init(&worker->sleeper);
    atomic_init(&worker->end, false);
    CHECK(pthread_create(&worker->id, NULL, worker_main, worker) == 0);
}

void node_worker_stop(struct node_worker *worker) {
    atomic_store(&worker->end, true);
    atomic_store(&worker->sleeper.asleep, true);
    sleeper_wake(&worker->sleeper);
    pthread_join(worker->id, NULL);
    lane_end(&worker->todo);
    lane_end(&worker->done);
    sleeper_end(&worker->sleeper);
}

void node_worker_give(struct node_worker *worker, void *entry) {
    CHECK(lane_put(&worker->todo, entry));
    sleeper_wake(&worker->sleeper);
}

void *node_worker_take(struct node_worker *worker) {
    return lane_take(&worker->done);
}

bool node_worker_is_done(const void *worker) {
    return lane_count(&((const struct node_worker *)worker)->done) > 0;
}
