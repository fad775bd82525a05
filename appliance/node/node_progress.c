/*
 * What is told of a node while it is opened, and how far it is (spec/appliance.md A-24, `progress`).
 *
 * Opening may take minutes: the state is read and proved, blocks are executed again. The thread that does it is then the one that owns the replica,
 * so it is the one that brings the snapshot up to date, now and then. The same number goes on in the loop, with checkpoints that are taken from
 * peers and blocks that the node missed, and from one life of the process to the next: an image on trial is given time as long as it grows.
 */
#include <string.h>

#include "appliance/node/node.h"
#include "appliance/node/node_transfer.h"
#include "ring/clock.h"

/* Of the system file, before the chain of CONFIGs is read. */
static void members_of_file(struct node *node, struct status_replica *replica) {
    const struct system_cluster *cluster = system_cluster_by_id(node->system, node->cluster);
    *replica = (struct status_replica){.phase = PHASE_RESTORING,
                                       .cluster = node->cluster,
                                       .member = node->member,
                                       .members = cluster->nodes_count,
                                       .faults = bft_faults(cluster->nodes_count)};
}

static void snapshot(struct node *node, uint64_t now_ms) {
    node->status_ms = now_ms;
    pthread_mutex_lock(&node->status_lock);
    struct status_node *status = &node->status;
    node_status_head(node);
    status->now_ms = now_ms;
    status->progress = node->progress;
    if (node->replica != NULL)
        replica_status(node->replica, &status->replica);
    else
        members_of_file(node, &status->replica);
    status->links_known = status->replica.members - 1;
    pthread_mutex_unlock(&node->status_lock);
}

void node_opening(struct node *node) {
    snapshot(node, ring_clock_ms());
}

void node_progress(struct node *node, uint32_t pieces) {
    node->progress += pieces;
    uint64_t now_ms = ring_clock_ms();
    if (now_ms - node->status_ms >= NODE_STATUS_MS) snapshot(node, now_ms);
}

static uint64_t grown(uint64_t *counted, uint64_t now) {
    uint64_t more = now > *counted ? now - *counted : 0;
    *counted = now;
    return more;
}

void node_progress_look(struct node *node) {
    struct status_node *status = &node->status;
    enum status_phase phase = status->replica.phase;
    struct transfer_status transfer;
    node_transfer_status(node, &transfer);
    /* What was there already when it was opened is no work. */
    bool works = atomic_load(&node->opened) && (phase == PHASE_RESTORING || phase == PHASE_ASKING || phase == PHASE_CATCHING_UP);
    uint64_t more = grown(&node->progress_pieces, transfer.pieces_done) + grown(&node->progress_height, status->replica.final_height);
    if (works) node->progress += more;
    status->progress = node->progress;
}
