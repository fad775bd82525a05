/* One thread for network, consensus and execution; storage has its own two. Best on a host with few cores. */
#include "appliance/node/node.h"
#include "ring/clock.h"

enum { KEEP_FROM_BYTES = 16384, FRAMES_AT_ONCE = 256 };

/* The network's block goes back to it; this thread is the net's. */
static void frame_release(struct blob *blob) {
    struct node *node = blob->context;
    net_frame_release(node->net, blob->bytes);
    blob_wrapper_free(blob);
}

/* A frame becomes a blob: without a copy when it has a block of its own. */
static void frame_take(struct node *node, const struct net_event *event) {
    struct blob *blob = NULL;
    if (event->payload_bytes >= KEEP_FROM_BYTES) {
        const uint8_t *kept = net_frame_keep(node->net, event);
        if (kept != NULL) blob = blob_wrap((uint8_t *)(uintptr_t)kept, event->payload_bytes, frame_release, node);
    }
    if (blob == NULL) blob = blob_copy(event->payload, event->payload_bytes);
    enum cost_component before = cost_enter(node_meter(node, NODE_THREAD_CONSENSUS), node_cost_of(event->type));
    replica_frame(node->replica, replica_peer_unpack(event->tag), event->type, (struct blob_piece){.blob = blob, .count = blob->count});
    cost_leave(node_meter(node, NODE_THREAD_CONSENSUS), before, event->payload_bytes);
    blob_drop(blob);
}

static void output_send(struct node *node, const struct replica_output *output) {
    enum cost_component before = cost_enter(node_meter(node, NODE_THREAD_NETWORK), COST_NETWORK);
    enum net_status status = node_send(node, output->peer, output->type, output->pieces, output->piece_count);
    cost_leave(node_meter(node, NODE_THREAD_NETWORK), before, 0);
    if (status == NET_OK) return;
    replica_send_dropped(node->replica, status == NET_FULL);
    log_event(LOG_LEVEL_DEBUG, "send_dropped", "type=0x%04x cause=%s", output->type, net_status_name(status));
}

static void output_do(struct node *node, const struct replica_output *output) {
    switch (output->kind) {
    case REPLICA_SEND: output_send(node, output); break;
    case REPLICA_JOB:
        if (execution_begin(node->execution, output->job)) replica_job_done(node->replica, output->job);
        break;
    case REPLICA_PEER_ADD: node_peer_let_in(node, output->peer, output->key, output->text); break;
    case REPLICA_PEER_REMOVE: node_peer_shut_out(node, output->peer); break;
    default: node_output(node, output); break;
    }
}

static void outputs_do(struct node *node) {
    struct replica_output output;
    enum cost_component before = cost_enter(node_meter(node, NODE_THREAD_CONSENSUS), COST_REPLICA);
    while (!node->stop && replica_next(node->replica, &output)) output_do(node, &output);
    cost_leave(node_meter(node, NODE_THREAD_CONSENSUS), before, 0);
}

static void events_take(struct node *node) {
    struct net_event event;
    unsigned frames = 0;
    enum cost_component before = cost_enter(node_meter(node, NODE_THREAD_NETWORK), COST_NETWORK);
    replica_clock(node->replica, ring_clock_us());
    while (net_next(node->net, &event)) {
        struct replica_peer peer = replica_peer_unpack(event.tag);
        switch (event.kind) {
        case NET_UP: replica_link_up(node->replica, peer); break;
        case NET_DOWN:
            replica_link_down(node->replica, peer);
            log_event(LOG_LEVEL_DEBUG, "link_down", "kind=%u member=%u cause=%s", peer.kind, peer.member, link_cause_name(event.cause));
            break;
        case NET_FRAME:
            frame_take(node, &event);
            if (++frames % FRAMES_AT_ONCE == 0) outputs_do(node);
            break;
        case NET_WOKEN: break;
        }
    }
    cost_leave(node_meter(node, NODE_THREAD_NETWORK), before, 0);
}

/* A part of what takes longer, once in a turn: what came from outside has had its own. */
static void execution_step(struct node *node) {
    struct execution_job *job = execution_go_on(node->execution);
    if (job != NULL) replica_job_done(node->replica, job);
}

static void step(struct node *node) {
    node_load_look(node, ring_clock_ms());
    node_successors_look(node, ring_clock_ms());
    enum cost_component before = cost_enter(node_meter(node, NODE_THREAD_CONSENSUS), COST_REPLICA);
    replica_tick(node->replica, ring_clock_ms(), ring_clock_us());
    cost_leave(node_meter(node, NODE_THREAD_CONSENSUS), before, 0);
    outputs_do(node);
    node_checkpointed(node, execution_reap(node->execution));
    struct store_error error;
    if (execution_error(node->execution, &error) != STORE_OK) node_checkpoints_failed(node, &error);
}

static void wake(struct node *node) {
    net_wake(node->net);
}

int node_run_fused(struct node *node) {
    if (!node_net_start(node, "node")) return NODE_EXIT_NETWORK;
    node->wake = wake;
    atomic_store(&node->net_running, true);
    node_meter_start(node, NODE_THREAD_NETWORK);
    replica_tick(node->replica, ring_clock_ms(), ring_clock_us());
    replica_start(node->replica);
    node_budget_log(node);
    log_event(LOG_LEVEL_INFO, "started", "threads=fused port=%u", net_listen_port(node->net, 0));
    bool more = true;
    while (!node->stop) {
        uint64_t now = ring_clock_ms(), deadline = replica_deadline_ms(node->replica);
        node_addresses_apply(node);
        node_net_poll(node, more || deadline <= now ? 0 : (uint32_t)(deadline - now));
        events_take(node);
        enum cost_component before = cost_enter(node_meter(node, NODE_THREAD_CONSENSUS), COST_REPLICA);
        if (!node_store_poll(node)) break;
        cost_leave(node_meter(node, NODE_THREAD_CONSENSUS), before, 0);
        node_transfer_poll(node);
        node_scrub_poll(node);
        outputs_do(node);
        execution_step(node);
        step(node);
        more = execution_is_under_way(node->execution);
        now = ring_clock_ms();
        before = cost_enter(node_meter(node, NODE_THREAD_CONSENSUS), COST_STATUS);
        node_status_net(node, now);
        node_status_update(node, now);
        cost_leave(node_meter(node, NODE_THREAD_CONSENSUS), before, 0);
        if (node_drain_step(node, now)) break;
    }
    node_goodbye(node);
    log_event(LOG_LEVEL_INFO, "stopped", "code=%d", node->exit_code);
    return node->exit_code;
}
