#include "appliance/node/node_verify.h"

#include "appliance/node/node_worker.h"

struct verifier {
    struct node_worker worker;
    struct ahead_scratch *scratch; /* the worker's, and so is: */
    struct signer_often often;
};

struct node_verify {
    struct node *node;
    struct sleeper *consensus;
    uint32_t count;
    _Atomic(struct ahead_keys *) fresh; /* from consensus to the network, which takes it away */
    struct ahead_keys *keys;            /* the network's */
    uint64_t stamp;                     /* consensus': of the keys that it handed over last */
    struct verifier verifiers[THREAD_VERIFIERS_MAX];
};

/* ---- a verifier ---- */

static void frame_verify(void *context, void *entry) {
    struct verifier *verifier = context;
    struct verify_frame *frame = entry;
    struct verdict_list *list = calloc(1, sizeof *list);
    CHECK(list != NULL);
    struct verdict_recorder recorder = {.inner = signer_ed25519_often(&verifier->often), .list = list};
    const struct signer signer = verdict_recorder_signer(&recorder);
    ahead_verify(frame->keys, verifier->scratch, &signer, frame->type, frame->blob->bytes, frame->blob->count);
    if (list->count > 0) frame->verdicts = list;
    else free(list);
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
        struct node_worker *worker = &verifier->worker;
        verifier->scratch = ahead_scratch_make();
        verifier->often.keys = calloc(1, ed25519_keys_bytes(NODE_KEY_SETS));
        CHECK(verifier->often.keys != NULL);
        ed25519_keys_init(verifier->often.keys, NODE_KEY_SETS);
        worker->node = node;
        worker->thread = (enum node_thread)(NODE_THREAD_VERIFY + i);
        worker->taker = consensus;
        worker->work = frame_verify;
        worker->context = verifier;
        node_worker_start(worker, VERIFY_LANE_SLOTS, back);
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
    for (uint32_t i = 0; i < own->count; i++) {
        node_worker_stop(&own->verifiers[i].worker);
        ahead_scratch_free(own->verifiers[i].scratch);
        free(own->verifiers[i].often.keys);
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
        if (best == NULL || lane_count(&verifier->worker.todo) < lane_count(&best->worker.todo)) best = verifier;
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
    if (lane_count(&verifier->worker.todo) >= VERIFY_LANE_SLOTS - 1) return; /* its owner verifies */
    frame->keys = ahead_keys_hold(own->keys);
    frame->verifier = (uint32_t)(verifier - own->verifiers);
    node_worker_give(&verifier->worker, frame);
}

bool node_verify_is_back(const struct node_verify *own, const struct verify_frame *frame) {
    return frame->verifier == VERIFY_NOBODY || node_worker_is_done(&own->verifiers[frame->verifier].worker);
}

bool node_verify_take(struct node_verify *own, struct verify_frame *frame) {
    if (frame->verifier == VERIFY_NOBODY) return true;
    struct verify_frame *back = node_worker_take(&own->verifiers[frame->verifier].worker);
    if (back == NULL) return false;
    CHECK(back == frame);
    if (frame->verdicts != NULL) verdict_table_put(own->node->verdicts, frame->verdicts);
    node_verify_forget(frame);
    return true;
}
