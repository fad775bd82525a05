#include "appliance/node/node_verify.h"

#include "appliance/node/node.h"
#include "ring/clock.h"

enum { WAIT_MS = NODE_STATUS_MS };

struct verifier {
    struct node_verify *own;
    enum node_thread thread;
    struct lane todo, done;
    struct sleeper sleeper; /* the verifier's */
    struct ahead_scratch *scratch;
    struct signer_often often; /* the verifier's */
    pthread_t id;
};

struct node_verify {
    struct node *node;
    struct sleeper *consensus;
    uint32_t count;
    atomic_bool end;
    _Atomic(struct ahead_keys *) fresh; /* from consensus to the network, which takes it away */
    struct ahead_keys *keys;            /* the network's */
    uint64_t stamp;                     /* consensus': of the keys that it handed over last */
    struct verifier verifiers[THREAD_VERIFIERS_MAX];
};

/* ---- a verifier ---- */

static void frame_verify(struct verifier *verifier, struct verify_frame *frame) {
    struct verdict_list *list = calloc(1, sizeof *list);
    CHECK(list != NULL);
    struct verdict_recorder recorder = {.inner = signer_ed25519_often(&verifier->often), .list = list};
    const struct signer signer = verdict_recorder_signer(&recorder);
    ahead_verify(frame->keys, verifier->scratch, &signer, frame->type, frame->blob->bytes, frame->blob->count);
    if (list->count > 0) frame->verdicts = list;
    else free(list);
}

static bool has_work(const void *context) {
    const struct verifier *verifier = context;
    return lane_count(&verifier->todo) > 0 || atomic_load(&verifier->own->end);
}

static void *verifier_main(void *context) {
    struct verifier *verifier = context;
    struct node_verify *own = verifier->own;
    node_pin(own->node, verifier->thread, node_thread_name(verifier->thread));
    uint64_t sampled = 0;
    while (!atomic_load(&own->end)) {
        struct verify_frame *frame;
        while ((frame = lane_take(&verifier->todo)) != NULL) {
            frame_verify(verifier, frame);
            CHECK(lane_put(&verifier->done, frame)); /* from here on it is consensus' */
            sleeper_wake(own->consensus);
        }
        uint64_t now = ring_clock_ms();
        if (now - sampled >= NODE_STATUS_MS) node_cpu_sample(own->node, verifier->thread), sampled = now;
        sleeper_wait(&verifier->sleeper, has_work, verifier, WAIT_MS, NULL);
    }
    return NULL;
}

struct node_verify *node_verify_start(struct node *node, struct sleeper *consensus, unsigned frames_max) {
    struct node_verify *own = calloc(1, sizeof *own);
    CHECK(own != NULL);
    own->node = node;
    own->consensus = consensus;
    own->count = node->plan.verifiers;
    unsigned back = VERIFY_LANE_SLOTS;
    while (back <= frames_max) back *= 2; /* what is given back always finds room */
    for (uint32_t i = 0; i < own->count; i++) {
        struct verifier *verifier = &own->verifiers[i];
        verifier->own = own;
        verifier->thread = (enum node_thread)(NODE_THREAD_VERIFY + i);
        verifier->scratch = ahead_scratch_make();
        verifier->often.keys = calloc(1, ed25519_keys_bytes(NODE_KEY_SETS));
        CHECK(verifier->often.keys != NULL);
        ed25519_keys_init(verifier->often.keys, NODE_KEY_SETS);
        lane_init(&verifier->todo, VERIFY_LANE_SLOTS);
        lane_init(&verifier->done, back);
        sleeper_init(&verifier->sleeper);
        CHECK(pthread_create(&verifier->id, NULL, verifier_main, verifier) == 0);
    }
    return own;
}

void node_verify_forget(struct verify_frame *frame) {
    ahead_keys_drop(frame->keys);
    free(frame->verdicts);
    frame->keys = NULL;
    frame->verdicts = NULL;
    frame->verifier = VERIFY_NOBODY;
}

void node_verify_stop(struct node_verify *own) {
    if (own == NULL) return;
    atomic_store(&own->end, true);
    for (uint32_t i = 0; i < own->count; i++) {
        struct verifier *verifier = &own->verifiers[i];
        atomic_store(&verifier->sleeper.asleep, true);
        sleeper_wake(&verifier->sleeper);
        pthread_join(verifier->id, NULL);
        lane_end(&verifier->todo);
        lane_end(&verifier->done);
        sleeper_end(&verifier->sleeper);
        ahead_scratch_free(verifier->scratch);
        free(verifier->often.keys);
    }
    ahead_keys_drop(atomic_load(&own->fresh));
    ahead_keys_drop(own->keys);
    free(own);
}

/* ---- consensus and network ---- */

void node_verify_keys(struct node_verify *own, const struct replica *replica) {
    if (own == NULL || own->stamp == ahead_stamp(replica)) return;
    own->stamp = ahead_stamp(replica);
    ahead_keys_drop(atomic_exchange(&own->fresh, ahead_keys_take(replica)));
}

static struct verifier *least_busy(struct node_verify *own) {
    struct verifier *best = NULL;
    for (uint32_t i = 0; i < own->count; i++) {
        struct verifier *verifier = &own->verifiers[i];
        if (best == NULL || lane_count(&verifier->todo) < lane_count(&best->todo)) best = verifier;
    }
    return best;
}

void node_verify_give(struct node_verify *own, struct verify_frame *frame) {
    frame->verifier = VERIFY_NOBODY;
    if (own == NULL) return;
    struct ahead_keys *fresh = atomic_exchange(&own->fresh, NULL);
    if (fresh != NULL) {
        ahead_keys_drop(own->keys);
        own->keys = fresh;
    }
    struct verifier *verifier = least_busy(own);
    if (verifier == NULL || own->keys == NULL || !ahead_wants(frame->type) || atomic_load(&own->consensus->asleep)) return;
    if (lane_count(&verifier->todo) >= VERIFY_LANE_SLOTS - 1) return; /* its owner verifies */
    frame->keys = ahead_keys_hold(own->keys);
    frame->verifier = (uint32_t)(verifier - own->verifiers);
    CHECK(lane_put(&verifier->todo, frame));
    sleeper_wake(&verifier->sleeper);
}

bool node_verify_is_back(const struct node_verify *own, const struct verify_frame *frame) {
    return frame->verifier == VERIFY_NOBODY || lane_count(&own->verifiers[frame->verifier].done) > 0;
}

bool node_verify_take(struct node_verify *own, struct verify_frame *frame) {
    if (frame->verifier == VERIFY_NOBODY) return true;
    struct verify_frame *back = lane_take(&own->verifiers[frame->verifier].done);
    if (back == NULL) return false;
    CHECK(back == frame);
    if (frame->verdicts != NULL) verdict_table_put(own->node->verdicts, frame->verdicts);
    node_verify_forget(frame);
    return true;
}
