#include "appliance/node/node_hash.h"

#include "appliance/node/node_worker.h"

/* To wake a helper costs some 34 us; so many changes are some 250 us of hashing, so many subtries 100 and more. */
enum { CHANGES_MIN = 512, SUBTRIES_MIN = TRIE_REHASH_SUBTRIES, LANE_SLOTS = 4 };

/* What a helper is given: shares first, first + step ... below `shares`. Execution's, until the helper gives it back. */
struct errand {
    void (*share)(void *work, uint32_t i);
    void *work;
    uint32_t first, step, shares;
};

struct helper {
    struct node_worker worker;
    struct errand errand;
};

struct node_hash {
    struct node *node;
    uint32_t count;
    struct sleeper execution; /* execution's, while it waits for helpers */
    struct helper helpers[THREAD_HASHERS_MAX];
};

static void errand_do(const struct errand *errand) {
    for (uint32_t i = errand->first; i < errand->shares; i += errand->step) errand->share(errand->work, i);
}

static void helper_work(void *context, void *errand) {
    (void)context;
    errand_do(errand);
}

/* On execution's thread. */
static void run(void *context, void (*share)(void *work, uint32_t i), void *work, uint32_t shares) {
    struct node_hash *own = context;
    const uint32_t step = own->count + 1;
    atomic_fetch_add_explicit(&own->node->hash_shared, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < own->count; i++) {
        struct helper *helper = &own->helpers[i];
        helper->errand = (struct errand){.share = share, .work = work, .first = i + 1, .step = step, .shares = shares};
        node_worker_give(&helper->worker, &helper->errand);
    }
    errand_do(&(struct errand){.share = share, .work = work, .first = 0, .step = step, .shares = shares});
    for (uint32_t i = 0; i < own->count; i++) {
        struct helper *helper = &own->helpers[i];
        struct errand *back;
        while ((back = node_worker_take(&helper->worker)) == NULL)
            sleeper_wait(&own->execution, node_worker_is_done, &helper->worker, NODE_STATUS_MS, NULL);
        CHECK(back == &helper->errand);
    }
}

struct node_hash *node_hash_start(struct node *node) {
    struct node_hash *own = calloc(1, sizeof *own);
    CHECK(own != NULL);
    own->node = node;
    own->count = node->plan.hashers;
    sleeper_init(&own->execution);
    for (uint32_t i = 0; i < own->count; i++) {
        struct node_worker *worker = &own->helpers[i].worker;
        worker->node = node;
        worker->thread = (enum node_thread)(NODE_THREAD_HASH + i);
        worker->taker = &own->execution;
        worker->work = helper_work;
        node_worker_start(worker, LANE_SLOTS, LANE_SLOTS);
    }
    executor_helpers(node->executor, &(struct exec_helpers){.changes_min = CHANGES_MIN, .subtries_min = SUBTRIES_MIN, .context = own, .run = run});
    return own;
}

void node_hash_stop(struct node_hash *own) {
    if (own == NULL) return;
    executor_helpers(own->node->executor, &(struct exec_helpers){.run = NULL});
    for (uint32_t i = 0; i < own->count; i++) node_worker_stop(&own->helpers[i].worker);
    sleeper_end(&own->execution);
    free(own);
}
