/*
 * Network, consensus and execution in a thread each, for hosts with CPUs to spare.
 *
 *   network   owns the net          -> inbound ring  -> consensus
 *             (the main thread)     <- outbound ring <-
 *   consensus owns the replica      -> jobs ring     -> execution
 *                                   <- done ring     <-
 *   execution owns executor and checkpoint store's submissions
 *
 * The rings are lanes (node_lane.h). The network never waits for one (it takes no further events while inbound is full, so the kernel and the peers
 * wait); consensus may wait for outbound, since the network always empties it; jobs under way are fewer than a ring holds. With verifiers, a frame
 * may be at one of them while it lies in inbound (node_verify.h).
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "appliance/node/node.h"
#include "appliance/node/node_hash.h"
#include "appliance/node/node_verify.h"
#include "merkle/check.h"
#include "ring/clock.h"

enum { RING_SLOTS = 16384, TAKE_AT_ONCE = 256 };

/* One thing from the network to consensus. */
struct inbound {
    enum net_event_kind kind; /* 0: a send was dropped */
    bool full;
    struct replica_peer peer;
    struct verify_frame frame;
};

struct outbound {
    enum replica_output_kind kind; /* SEND, PEER_ADD, PEER_REMOVE */
    uint8_t key[32];               /* PEER_ADD */
    char name[CARD_NAME_BYTES_MAX + 1];
    struct replica_peer peer;
    uint16_t type;
    unsigned piece_count;
    struct blob_piece pieces[REPLICA_PIECES_MAX];
};

struct split {
    struct node *node;
    struct lane inbound, outbound, jobs, done;
    struct sleeper consensus, execution;
    atomic_bool network_asleep, end_consensus, end_execution, consensus_ended;
    atomic_uint_fast64_t checkpoint_height; /* written by execution */
    atomic_bool state_failed;               /* written by execution, after state_error */
    struct store_error state_error;
    uint64_t job_count;    /* consensus': jobs under way */
    struct inbound *stuck;   /* the network's: did not fit */
    struct inbound *pending; /* consensus': taken, and not back from a verifier yet */
    struct node_verify *verify;
    pthread_t consensus_thread, execution_thread;
};

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
const char *__tsan_default_suppressions(void) {
    return "race:_ck_ring_enqueue_sp\nrace:_ck_ring_dequeue_sc\nrace:ck_ring_size\n";
}
#endif
#endif

static void network_wake(struct split *split) {
    if (atomic_exchange(&split->network_asleep, false)) net_wake(split->node->net);
}

/* ---- execution ---- */

static bool execution_has_work(const void *context) {
    return lane_count(&((const struct split *)context)->jobs) > 0;
}

static void *execution_main(void *context) {
    struct split *split = context;
    struct node *node = split->node;
    node_pin(node, NODE_THREAD_EXECUTION, "execution");
    node_meter_start(node, NODE_THREAD_EXECUTION);
    uint64_t sampled = 0;
    while (!atomic_load(&split->end_execution)) {
        struct execution_job *job = NULL;
        unsigned done = 0;
        while (done < TAKE_AT_ONCE && (job = lane_take(&split->jobs)) != NULL) {
            done++;
            bool urgent = job->kind == EXECUTION_BLOCK;
            if (!execution_begin(node->execution, job)) continue;
            CHECK(lane_put(&split->done, job)); /* from here on it is consensus' */
            if (urgent) sleeper_wake(&split->consensus);
        }
        if ((job = execution_go_on(node->execution)) != NULL) CHECK(lane_put(&split->done, job));
        if (done > 0 || job != NULL) sleeper_wake(&split->consensus);
        atomic_store(&split->checkpoint_height, execution_reap(node->execution));
        struct store_error error;
        if (!atomic_load(&split->state_failed) && execution_error(node->execution, &error) != STORE_OK) {
            split->state_error = error;
            atomic_store(&split->state_failed, true);
            sleeper_wake(&split->consensus);
        }
        uint64_t now = ring_clock_ms();
        if (now - sampled >= NODE_STATUS_MS) node_cpu_sample(node, NODE_THREAD_EXECUTION), sampled = now;
        if (done == 0 && !execution_is_under_way(node->execution))
            sleeper_wait(&split->execution, execution_has_work, split, NODE_STATUS_MS, node_meter(node, NODE_THREAD_EXECUTION));
    }
    return NULL;
}

/* ---- consensus ---- */

static void hand_over(struct split *split, const struct replica_output *output) {
    struct outbound *out = malloc(sizeof *out);
    CHECK(out != NULL);
    out->kind = output->kind;
    memcpy(out->key, output->key, sizeof out->key);
    if (output->kind == REPLICA_PEER_ADD) snprintf(out->name, sizeof out->name, "%.*s", CARD_NAME_BYTES_MAX, output->text);
    out->peer = output->peer;
    out->type = output->type;
    out->piece_count = output->kind == REPLICA_SEND ? output->piece_count : 0;
    for (unsigned i = 0; i < out->piece_count; i++) {
        out->pieces[i] = output->pieces[i];
        (void)blob_hold(out->pieces[i].blob);
    }
    while (!lane_put(&split->outbound, out)) {
        network_wake(split);
        (void)poll(NULL, 0, 1);
    }
}

static void consensus_output(struct split *split, const struct replica_output *output) {
    struct node *node = split->node;
    switch (output->kind) {
    case REPLICA_SEND:
    case REPLICA_PEER_ADD:
    case REPLICA_PEER_REMOVE: hand_over(split, output); break;
    case REPLICA_JOB: CHECK(++split->job_count < RING_SLOTS - 1 && lane_put(&split->jobs, output->job)); break;
    default: node_output(node, output); break;
    }
}

static void consensus_outputs(struct split *split) {
    struct replica_output output;
    unsigned sends = 0;
    while (!split->node->stop && replica_next(split->node->replica, &output)) {
        consensus_output(split, &output);
        sends += output.kind == REPLICA_SEND || output.kind == REPLICA_PEER_ADD || output.kind == REPLICA_PEER_REMOVE;
    }
    if (sends > 0) network_wake(split);
    if (lane_count(&split->jobs) > 0) sleeper_wake(&split->execution);
}

static void consensus_frame_take(struct node *node, const struct inbound *in) {
    struct cost_meter *meter = node_meter(node, NODE_THREAD_CONSENSUS);
    enum cost_component before = cost_enter(meter, node_cost_of(in->frame.type));
    replica_frame(node->replica, in->peer, in->frame.type, (struct blob_piece){.blob = in->frame.blob, .count = in->frame.blob->count});
    cost_leave(meter, before, in->frame.blob->count);
}

static void consensus_inbound(struct split *split, struct inbound *in) {
    struct replica *replica = split->node->replica;
    if (in->kind == NET_UP)
        replica_link_up(replica, in->peer);
    else if (in->kind == NET_DOWN)
        replica_link_down(replica, in->peer);
    else if (in->kind == NET_FRAME)
        consensus_frame_take(split->node, in);
    else
        replica_send_dropped(replica, in->full);
    blob_drop(in->frame.blob);
    free(in);
}

/* In the order in which they came: one that a verifier still has is waited for. */
static struct inbound *inbound_next(struct split *split) {
    struct inbound *in = split->pending != NULL ? split->pending : lane_take(&split->inbound);
    bool back = in == NULL || node_verify_take(split->verify, &in->frame);
    split->pending = back ? NULL : in;
    return back ? in : NULL;
}

static bool consensus_has_work(const void *context) {
    const struct split *split = context;
    if (lane_count(&split->done) > 0) return true;
    return split->pending != NULL ? node_verify_is_back(split->verify, &split->pending->frame) : lane_count(&split->inbound) > 0;
}

static unsigned consensus_take(struct split *split) {
    struct inbound *in;
    struct execution_job *job;
    unsigned taken = 0;
    while ((job = lane_take(&split->done)) != NULL) {
        split->job_count--;
        replica_job_done(split->node->replica, job);
        taken++;
    }
    while (taken < TAKE_AT_ONCE && (in = inbound_next(split)) != NULL) {
        consensus_inbound(split, in);
        taken++;
    }
    return taken;
}

static void consensus_checkpoints(struct split *split) {
    struct node *node = split->node;
    node_checkpointed(node, atomic_load(&split->checkpoint_height));
    if (atomic_load(&split->state_failed)) node_checkpoints_failed(node, &split->state_error);
}

static void *consensus_main(void *context) {
    struct split *split = context;
    struct node *node = split->node;
    node_pin(node, NODE_THREAD_CONSENSUS, "consensus");
    replica_tick(node->replica, ring_clock_ms(), ring_clock_us());
    replica_start(node->replica);
    node_meter_start(node, NODE_THREAD_CONSENSUS);
    while (!node->stop) {
        node_verify_keys(split->verify, node->replica);
        enum cost_component before = cost_enter(node_meter(node, NODE_THREAD_CONSENSUS), COST_REPLICA);
        replica_clock(node->replica, ring_clock_us());
        unsigned taken = consensus_take(split);
        if (!node_store_poll(node)) break;
        node_transfer_poll(node);
        node_successors_look(node, ring_clock_ms());
        node_scrub_poll(node);
        node_load_look(node, ring_clock_ms());
        replica_tick(node->replica, ring_clock_ms(), ring_clock_us());
        consensus_outputs(split);
        consensus_checkpoints(split);
        uint64_t now = ring_clock_ms();
        cost_leave(node_meter(node, NODE_THREAD_CONSENSUS), before, 0);
        node_status_update(node, now);
        if (node_drain_step(node, now)) break;
        uint64_t deadline = replica_deadline_ms(node->replica);
        if (taken == 0 && deadline > now)
            sleeper_wait(&split->consensus, consensus_has_work, split, (int)(deadline - now < 200 ? deadline - now : 200),
                         node_meter(node, NODE_THREAD_CONSENSUS));
    }
    atomic_store(&split->consensus_ended, true);
    net_wake(node->net);
    return NULL;
}

/* ---- network: the calling thread ---- */

static void inbound_put(struct split *split, struct inbound in) {
    struct inbound *entry = malloc(sizeof *entry);
    CHECK(entry != NULL);
    *entry = in;
    node_verify_give(in.kind == NET_FRAME ? split->verify : NULL, &entry->frame);
    if (!lane_put(&split->inbound, entry)) split->stuck = entry;
}

static void network_send(struct split *split, struct outbound *out) {
    struct node *node = split->node;
    enum cost_component before = cost_enter(node_meter(node, NODE_THREAD_NETWORK), COST_NETWORK);
    enum net_status status = node_send(node, out->peer, out->type, out->pieces, out->piece_count);
    cost_leave(node_meter(node, NODE_THREAD_NETWORK), before, 0);
    for (unsigned i = 0; i < out->piece_count; i++) blob_drop(out->pieces[i].blob);
    free(out);
    if (status != NET_OK && split->stuck == NULL) inbound_put(split, (struct inbound){.full = status == NET_FULL});
}

static void network_do(struct split *split, struct outbound *out) {
    if (out->kind == REPLICA_SEND) {
        network_send(split, out);
        return;
    }
    if (out->kind == REPLICA_PEER_ADD) node_peer_let_in(split->node, out->peer, out->key, out->name);
    else node_peer_shut_out(split->node, out->peer);
    free(out);
}

static void network_events(struct split *split) {
    struct node *node = split->node;
    struct net_event event;
    if (split->stuck != NULL && lane_put(&split->inbound, split->stuck)) split->stuck = NULL;
    while (split->stuck == NULL && net_next(node->net, &event)) {
        if (event.kind == NET_WOKEN) continue;
        struct inbound in = {.kind = event.kind, .peer = replica_peer_unpack(event.tag), .frame.type = event.type};
        if (event.kind == NET_FRAME) in.frame.blob = blob_copy(event.payload, event.payload_bytes);
        inbound_put(split, in);
    }
    if (lane_count(&split->inbound) > 0) sleeper_wake(&split->consensus);
}

static void network_main(struct split *split) {
    struct node *node = split->node;
    node_meter_start(node, NODE_THREAD_NETWORK);
    while (!atomic_load(&split->consensus_ended)) {
        struct outbound *out;
        while ((out = lane_take(&split->outbound)) != NULL) network_do(split, out);
        node_addresses_apply(node);
        atomic_store(&split->network_asleep, true);
        bool more = lane_count(&split->outbound) > 0 || split->stuck != NULL;
        node_net_poll(node, more ? 0 : 200);
        atomic_store(&split->network_asleep, false);
        enum cost_component before = cost_enter(node_meter(node, NODE_THREAD_NETWORK), COST_NETWORK);
        network_events(split);
        cost_leave(node_meter(node, NODE_THREAD_NETWORK), before, 0);
        node_status_net(node, ring_clock_ms());
    }
}

static void wake(struct node *node) {
    sleeper_wake(&node->split->consensus);
}

static void inbound_free(struct inbound *in) {
    if (in == NULL) return;
    node_verify_forget(&in->frame);
    blob_drop(in->frame.blob);
    free(in);
}

static void split_free(struct split *split) {
    void *entry;
    while ((entry = lane_take(&split->inbound)) != NULL) {
        inbound_free(entry);
    }
    while ((entry = lane_take(&split->outbound)) != NULL) {
        struct outbound *out = entry;
        for (unsigned i = 0; i < out->piece_count; i++) blob_drop(out->pieces[i].blob);
        free(out);
    }
    struct lane *jobs[] = {&split->jobs, &split->done};
    for (size_t i = 0; i < 2; i++) {
        while ((entry = lane_take(jobs[i])) != NULL) {
            execution_job_free(entry);
        }
    }
    inbound_free(split->stuck);
    inbound_free(split->pending);
    struct lane *lanes[] = {&split->inbound, &split->outbound, &split->jobs, &split->done};
    for (size_t i = 0; i < 4; i++) lane_end(lanes[i]);
    sleeper_end(&split->consensus);
    sleeper_end(&split->execution);
    free(split);
}

int node_run_split(struct node *node) {
    if (!node_net_start(node, "network")) return NODE_EXIT_NETWORK;
    struct split *split = calloc(1, sizeof *split);
    CHECK(split != NULL);
    split->node = node;
    node->split = split;
    struct lane *lanes[] = {&split->inbound, &split->outbound, &split->jobs, &split->done};
    for (size_t i = 0; i < 4; i++) lane_init(lanes[i], RING_SLOTS);
    sleeper_init(&split->consensus);
    sleeper_init(&split->execution);
    if (node->plan.verifiers > 0) split->verify = node_verify_start(node, &split->consensus, RING_SLOTS + 2);
    node->wake = wake;
    atomic_store(&node->net_running, true);
    struct node_hash *hash = node->plan.hashers > 0 ? node_hash_start(node) : NULL;
    CHECK(pthread_create(&split->execution_thread, NULL, execution_main, split) == 0);
    CHECK(pthread_create(&split->consensus_thread, NULL, consensus_main, split) == 0);
    node_budget_log(node);
    log_event(LOG_LEVEL_INFO, "started", "threads=split verifiers=%u hashers=%u port=%u", node->plan.verifiers, node->plan.hashers,
              net_listen_port(node->net, 0));
    network_main(split);
    pthread_join(split->consensus_thread, NULL);
    atomic_store(&split->end_execution, true);
    atomic_store(&split->execution.asleep, true);
    sleeper_wake(&split->execution);
    pthread_join(split->execution_thread, NULL);
    node_hash_stop(hash);
    node_verify_stop(split->verify);
    struct outbound *out;
    while ((out = lane_take(&split->outbound)) != NULL) network_do(split, out);
    node_goodbye(node);
    log_event(LOG_LEVEL_INFO, "stopped", "code=%d", node->exit_code);
    return node->exit_code;
}

void node_split_free(struct node *node) {
    if (node->split != NULL) split_free(node->split);
    node->split = NULL;
}
