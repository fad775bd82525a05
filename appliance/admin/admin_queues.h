/*
 * The decision queues between clusters, as the nodes of this admin tell of them ("pairs" of their status), and whether one is stuck. Pure: the caller
 * says what time it is, and calls admin_queues_add() for each node with each sample.
 *
 * Stuck is, of a queue:
 *   grows   what was sent to the other cluster and is not acknowledged was more at each of ADMIN_QUEUE_STEPS looks, ADMIN_QUEUE_STEP_MS apart,
 *           than at the one before; until the other one acknowledges something and it has not grown since the look before. That something waits is no
 *           fault: an idle cluster acknowledges the last slices with its next ones. A queue that has grown to its limit stays red.
 *   stands  slices of the other cluster lie here, proved, and none was taken in for ADMIN_QUEUE_STEPS * ADMIN_QUEUE_STEP_MS.
 * What a node of the other cluster says that it sent ("hint") is shown, and judged by nothing: it is not proved, and one liar may say any number.
 *
 * Limits: ADMIN_QUEUES_MAX queues a node.
 */
#ifndef APPLIANCE_ADMIN_QUEUES_H
#define APPLIANCE_ADMIN_QUEUES_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "appliance/admin/admin.h"

enum { ADMIN_QUEUES_MAX = 256, ADMIN_QUEUE_CLUSTER_BYTES = 12, ADMIN_QUEUE_STEP_MS = 15000, ADMIN_QUEUE_STEPS = 4 };

struct admin_queue {
    char with[ADMIN_QUEUE_CLUSTER_BYTES]; /* the other cluster */
    uint64_t sent, acknowledged, consumed, hint, held;
    bool grows, stands;
    uint64_t grows_since_ms, stands_since_ms; /* stands: since when nothing was taken in, or nothing lay here */
    /* At the look before */
    uint64_t step_ms, step_waiting, step_acknowledged; /* step_ms 0: there was none */
    unsigned steps;                                    /* in how many looks on end it grew */
};

struct admin_queues {
    const struct admin_nodes *nodes;
    struct admin_queues_node {
        char cluster[ADMIN_QUEUE_CLUSTER_BYTES]; /* its own */
        size_t count;
        struct admin_queue of[ADMIN_QUEUES_MAX];
    } * of; /* one a node */
    uint64_t now_ms; /* of the newest sample */
};

/* False: no memory. */
bool admin_queues_start(struct admin_queues *queues, const struct admin_nodes *nodes);
void admin_queues_end(struct admin_queues *queues);
/* One sample from a node's status; NULL: it did not answer, and nothing is known of its queues. */
void admin_queues_add(struct admin_queues *queues, size_t node, const json_t *status, uint64_t now_ms);
/* One row for each cluster and each that it deals with, by name, of the node that is worst off: "cluster", "with", "node", "sent", "acknowledged",
 * "waiting" (sent and not acknowledged), "consumed", "hint", "held", "good", "text" (a sentence for people). A new reference. */
json_t *admin_queues_json(const struct admin_queues *queues);
/* Prometheus text: heraclius_pair_waiting{node,with} and heraclius_pair_stuck{node,with}. */
void admin_queues_metrics(const struct admin_queues *queues, FILE *out);

#endif
