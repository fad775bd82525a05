#include "appliance/node/node_hash.h"

#include "appliance/node/node.h"
#include "ring/clock.h"

/* To wake a helper costs some 34 us; so many changes are some 250 us of hashing, so many subtries 100 and more. */
enum { CHANGES_MIN = 512, SUBTRIES_MIN = TRIE_REHASH_SUBTRIES, LANE_SLOTS = 4, WAIT_MS = NODE_STATUS_MS };

/* What a helper is given: shares first, first + step ... below `shares`. Execution's, until the helper gives it back. */
struct errand {
    void (*share)(void *work, uint32_t i);
    void *work;
    uint32_t first, step, shares;
};

struct helper {
    struct node_hash *own;
    enum node_thread thread;
    struct lane todo, done;
    struct sleeper sleeper; /* the helper's */
    struct errand errand;
    pthread_t id;
};

struct node_hash {
    struct node *node;
    uint32_t count;
    atomic_bool end;
    struct sleeper execution; /* execution's, while it waits for helpers */
    struct helper helpers[THREAD_HASHERS_MAX];
};

static void errand_do(const struct errand *errand) {
    for (uint32_t i = errand->first; i < errand->shares; i += errand->step) errand->share(errand->work, i);
}

static bool helper_has_work(const void *context) {
    const struct helper *helper = context;
    return lane_count(&helper->todo) > 0 || atomic_load(&helper->own->end);
}

static void *helper_main(void *context) {
    struct helper *helper = context;
    struct node_hash *own = helper->own;
    node_pin(own->node, helper->thread, node_thread_name(helper->thread));
    uint64_t sampled = 0;
    while (!atomic_load(&own->end)) {
        struct errand *errand = lane_take(&helper->todo);
        if (errand != NULL) {
            errand_do(errand);
            CHECK(lane_put(&helper->done, errand)); /* from here on it is execution's */
            sleeper_wake(&own->execution);
        }
        uint64_t now = ring_clock_ms();
        if (now - sampled >= NODE_STATUS_MS) node_cpu_sample(own->node, helper->thread), sampled = now;
        sleeper_wait(&helper->sleeper, helper_has_work, helper, WAIT_MS, NULL);
    }
    return NULL;
}

static bool is_back(const void *context) {
    return lane_count(&((const struct helper *)context)->done) > 0;
}

/* On execution's thread. */
static void run(void *context, void (*share)(void *work, uint32_t i), void *work, uint32_t shares) {
    struct node_hash *own = context;
    const uint32_t step = own->count + 1;
    atomic_fetch_add_explicit(&own->node->hash_shared, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < own->count; i++) {
        struct helper *helper = &own->helpers[i];
        helper->errand = (struct errand){.share = share, .work = work, .first = i + 1, .step = step, .shares = shares};
        CHECK(lane_put(&helper->todo, &helper->errand));
        sleeper_wake(&helper->sleeper);
    }
    errand_do(&(struct errand){.share = share, .work = work, .first = 0, .step = step, .shares = shares});
    for (uint32_t i = 0; i < own->count; i++) {
        struct helper *helper = &own->helpers[i];
        struct errand *back;
        while ((back = lane_take(&helper->done)) == NULL) sleeper_wait(&own->execution, is_back, helper, WAIT_MS, NULL);
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
        struct helper *helper = &own->helpers[i];
        helper->own = own;
        helper->thread = (enum node_thread)(NODE_THREAD_HASH + i);
        lane_init(&helper->todo, LANE_SLOTS);
        lane_init(&helper->done, LANE_SLOTS);
        sleeper_init(&helper->sleeper);
        CHECK(pthread_create(&helper->id, NULL, helper_main, helper) == 0);
    }
    executor_helpers(node->executor, &(struct exec_helpers){.changes_min = CHANGES_MIN, .subtries_min = SUBTRIES_MIN, .context = own, .run = run});
    return own;
}

void node_hash_stop(struct node_hash *own) {
    if (own == NULL) return;
    executor_helpers(own->node->executor, &(struct exec_helpers){.run = NULL});
    atomic_store(&own->end, true);
    for (uint32_t i = 0; i < own->count; i++) {
        struct helper *helper = &own->helpers[i];
        atomic_store(&helper->sleeper.asleep, true);
        sleeper_wake(&helper->sleeper);
        pthread_join(helper->id, NULL);
        lane_end(&helper->todo);
        lane_end(&helper->done);
        sleeper_end(&helper->sleeper);
    }
    sleeper_end(&own->execution);
    free(own);
}
