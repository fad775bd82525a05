/*
 * Network, consensus and execution in a thread each, for hosts with CPUs to spare.
 *
 *   network   owns the net          -> inbound ring  -> consensus
 *             (the main thread)     <- outbound ring <-
 *   consensus owns the replica      -> jobs ring     -> execution
 *                                   <- done ring     <-
 *   execution owns executor and checkpoint store's submissions
 *
 * Each ring has one producer and one consumer and carries pointers; whoever takes one owns what it points to. A consumer that is about to sleep
 * says so in
 * its `asleep` word, and a producer wakes it only then: under load nobody makes a system call to hand over. The network never waits for a ring (it
 * takes no
 * further events while inbound is full, so the kernel and the peers wait); consensus may wait for outbound, since the network always empties it;
 * jobs under
 * way are fewer than a ring holds.
 */
#include <ck_ring.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "appliance/node/node.h"
#include "merkle/check.h"
#include "ring/clock.h"

enum { RING_SLOTS = 16384, TAKE_AT_ONCE = 256 };

/* The ring orders its accesses by fences of its own; `handed` says the same in terms that a race detector follows. */
struct lane {
    ck_ring_t ring;
    ck_ring_buffer_t *slots;
    atomic_uint_fast64_t handed; /* written by the producer before it enqueues */
};

/* One thing from the network to consensus. */
struct inbound {
    enum net_event_kind kind; /* 0: a send was dropped */
    bool full;
    struct replica_peer peer;
    uint16_t type;
    struct blob *blob;
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

struct sleeper {
    int event;          /* eventfd */
    atomic_bool asleep; /* written by the consumer; a producer that finds it set wakes it */
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
    struct inbound *stuck; /* the network's: did not fit */
    pthread_t consensus_thread, execution_thread;
};

static void lane_init(struct lane *lane) {
    lane->slots = calloc(RING_SLOTS, sizeof *lane->slots);
    CHECK(lane->slots != NULL);
    ck_ring_init(&lane->ring, RING_SLOTS);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
const char *__tsan_default_suppressions(void) {
    return "race:_ck_ring_enqueue_sp\nrace:_ck_ring_dequeue_sc\nrace:ck_ring_size\n";
}
#endif
#endif

static bool lane_put(struct lane *lane, void *entry) {
    atomic_fetch_add_explicit(&lane->handed, 1, memory_order_release);
    return ck_ring_enqueue_spsc(&lane->ring, lane->slots, entry);
}

static void *lane_take(struct lane *lane) {
    void *entry = NULL;
    if (!ck_ring_dequeue_spsc(&lane->ring, lane->slots, &entry)) return NULL;
    (void)atomic_load_explicit(&lane->handed, memory_order_acquire);
    return entry;
}

static void sleeper_wake(struct sleeper *sleeper) {
    uint64_t one = 1;
    if (!atomic_exchange(&sleeper->asleep, false)) return;
    ssize_t wrote = write(sleeper->event, &one, sizeof one);
    (void)wrote; /* an eventfd takes it */
}

/* Sleeps unless `ring` has something; at most `timeout_ms`. */
static void sleeper_wait(struct sleeper *sleeper, struct lane *first, struct lane *second, int timeout_ms, struct cost_meter *meter) {
    struct pollfd polled = {.fd = sleeper->event, .events = POLLIN};
    cost_wait_begin(meter, true);
    atomic_store(&sleeper->asleep, true);
    if (ck_ring_size(&first->ring) == 0 && (second == NULL || ck_ring_size(&second->ring) == 0)) (void)poll(&polled, 1, timeout_ms);
    atomic_store(&sleeper->asleep, false);
    uint64_t count;
    ssize_t got = read(sleeper->event, &count, sizeof count);
    (void)got; /* empty when nobody woke us */
    cost_wait_end(meter);
}

static void network_wake(struct split *split) {
    if (atomic_exchange(&split->network_asleep, false)) net_wake(split->node->net);
}

/* ---- execution ---- */

static void *execution_main(void *context) {
    struct split *split = context;
    struct node *node = split->node;
    node_pin(node, NODE_THREAD_EXECUTION, "execution");
    node_meter_start(node, NODE_THREAD_EXECUTION);
    uint64_t sampled = 0;
    while (!atomic_load(&split->end_execution)) {
        struct execution_job *job;
        unsigned done = 0;
        while (done < TAKE_AT_ONCE && (job = lane_take(&split->jobs)) != NULL) {
            execution_run(node->execution, job);
            bool urgent = job->kind == EXECUTION_BLOCK;
            CHECK(lane_put(&split->done, job)); /* from here on it is consensus' */
            done++;
            if (urgent) sleeper_wake(&split->consensus);
        }
        if (done > 0) sleeper_wake(&split->consensus);
        atomic_store(&split->checkpoint_height, execution_reap(node->execution));
        struct store_error error;
        if (!atomic_load(&split->state_failed) && execution_error(node->execution, &error) != STORE_OK) {
            split->state_error = error;
            atomic_store(&split->state_failed, true);
            sleeper_wake(&split->consensus);
        }
        uint64_t now = ring_clock_ms();
        if (now - sampled >= NODE_STATUS_MS) node_cpu_sample(node, NODE_THREAD_EXECUTION), sampled = now;
        if (done == 0) sleeper_wait(&split->execution, &split->jobs, NULL, NODE_STATUS_MS, node_meter(node, NODE_THREAD_EXECUTION));
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
    if (ck_ring_size(&split->jobs.ring) > 0) sleeper_wake(&split->execution);
}

static void consensus_frame_take(struct node *node, const struct inbound *in) {
    struct cost_meter *meter = node_meter(node, NODE_THREAD_CONSENSUS);
    enum cost_component before = cost_enter(meter, node_cost_of(in->type));
    replica_frame(node->replica, in->peer, in->type, (struct blob_piece){.blob = in->blob, .count = in->blob->count});
    cost_leave(meter, before, in->blob->count);
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
    blob_drop(in->blob);
    free(in);
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
    while (taken < TAKE_AT_ONCE && (in = lane_take(&split->inbound)) != NULL) {
        consensus_inbound(split, in);
        taken++;
    }
    return taken;
}

static void consensus_checkpoints(struct split *split) {
    struct node *node = split->node;
    node_checkpointed(node, atomic_load(&split->checkpoint_height));
    if (atomic_load(&split->state_failed)) node_state_failed(node, &split->state_error);
}

static void *consensus_main(void *context) {
    struct split *split = context;
    struct node *node = split->node;
    node_pin(node, NODE_THREAD_CONSENSUS, "consensus");
    replica_tick(node->replica, ring_clock_ms(), ring_clock_us());
    replica_start(node->replica);
    node_meter_start(node, NODE_THREAD_CONSENSUS);
    while (!node->stop) {
        enum cost_component before = cost_enter(node_meter(node, NODE_THREAD_CONSENSUS), COST_REPLICA);
        replica_clock(node->replica, ring_clock_us());
        unsigned taken = consensus_take(split);
        if (!node_store_poll(node)) break;
        node_transfer_poll(node);
        node_successors_look(node, ring_clock_ms());
        node_scrub_poll(node);
        replica_tick(node->replica, ring_clock_ms(), ring_clock_us());
        consensus_outputs(split);
        consensus_checkpoints(split);
        uint64_t now = ring_clock_ms();
        cost_leave(node_meter(node, NODE_THREAD_CONSENSUS), before, 0);
        node_status_update(node, now);
        if (node_drain_step(node, now)) break;
        uint64_t deadline = replica_deadline_ms(node->replica);
        if (taken == 0 && deadline > now)
            sleeper_wait(&split->consensus, &split->inbound, &split->done, (int)(deadline - now < 200 ? deadline - now : 200),
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
        struct inbound in = {.kind = event.kind, .peer = replica_peer_unpack(event.tag), .type = event.type};
        if (event.kind == NET_FRAME) in.blob = blob_copy(event.payload, event.payload_bytes);
        inbound_put(split, in);
    }
    if (ck_ring_size(&split->inbound.ring) > 0) sleeper_wake(&split->consensus);
}

static void network_main(struct split *split) {
    struct node *node = split->node;
    node_meter_start(node, NODE_THREAD_NETWORK);
    while (!atomic_load(&split->consensus_ended)) {
        struct outbound *out;
        while ((out = lane_take(&split->outbound)) != NULL) network_do(split, out);
        node_addresses_apply(node);
        atomic_store(&split->network_asleep, true);
        bool more = ck_ring_size(&split->outbound.ring) > 0 || split->stuck != NULL;
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

static void split_free(struct split *split) {
    void *entry;
    while ((entry = lane_take(&split->inbound)) != NULL) {
        blob_drop(((struct inbound *)entry)->blob);
        free(entry);
    }
    while ((entry = lane_take(&split->outbound)) != NULL) {
        struct outbound *out = entry;
        for (unsigned i = 0; i < out->piece_count; i++) blob_drop(out->pieces[i].blob);
        free(out);
    }
    struct lane *jobs[] = {&split->jobs, &split->done};
    for (size_t i = 0; i < 2; i++) {
        while ((entry = lane_take(jobs[i])) != NULL) {
            struct execution_job *job = entry;
            for (uint32_t blob = 0; blob < job->blob_count; blob++) blob_drop(job->blobs[blob].blob);
            blob_drop(job->clients);
            free(job->refs);
            free(job);
        }
    }
    if (split->stuck != NULL) blob_drop(split->stuck->blob);
    free(split->stuck);
    struct lane *lanes[] = {&split->inbound, &split->outbound, &split->jobs, &split->done};
    for (size_t i = 0; i < 4; i++) free(lanes[i]->slots);
    close(split->consensus.event);
    close(split->execution.event);
    free(split);
}

int node_run_split(struct node *node) {
    if (!node_net_start(node, "network")) return NODE_EXIT_NETWORK;
    struct split *split = calloc(1, sizeof *split);
    CHECK(split != NULL);
    split->node = node;
    node->split = split;
    struct lane *lanes[] = {&split->inbound, &split->outbound, &split->jobs, &split->done};
    for (size_t i = 0; i < 4; i++) lane_init(lanes[i]);
    split->consensus.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    split->execution.event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(split->consensus.event >= 0 && split->execution.event >= 0);
    node->wake = wake;
    atomic_store(&node->net_running, true);
    CHECK(pthread_create(&split->execution_thread, NULL, execution_main, split) == 0);
    CHECK(pthread_create(&split->consensus_thread, NULL, consensus_main, split) == 0);
    node_budget_log(node);
    log_event(LOG_LEVEL_INFO, "started", "threads=split port=%u", net_listen_port(node->net, 0));
    network_main(split);
    pthread_join(split->consensus_thread, NULL);
    atomic_store(&split->end_execution, true);
    atomic_store(&split->execution.asleep, true);
    sleeper_wake(&split->execution);
    pthread_join(split->execution_thread, NULL);
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
