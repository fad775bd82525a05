/*
 * Private to the node's shell: the thread that state transfer runs on (appliance/transfer/transfer.h), beside the loop that runs the replica.
 *
 * The loop hands over frames and news, and takes what is to be sent, by two bounded single-producer single-consumer rings. A frame whose sender has
 * its share of the ring waiting (transfer_share.h) is dropped, as is an answer while nothing is being taken: it is asked again. Serving takes at most
 * a fifth of one CPU (P-49): the thread measures what its work costs, and without credit questions are answered BUSY.
 */
#ifndef APPLIANCE_NODE_TRANSFER_H
#define APPLIANCE_NODE_TRANSFER_H

#include "appliance/replica/replica.h"
#include "appliance/transfer/transfer.h"

struct node;
struct node_transfer;

/* After the replica is restored and before it runs. False: no memory. */
bool node_transfer_start(struct node *node);
/* Ends the thread; NULL will do. */
void node_transfer_stop(struct node_transfer *transfer);
/* A REPLICA_TRANSFER, REPLICA_LACKING or REPLICA_EPOCH. */
void node_transfer_output(struct node *node, const struct replica_output *output);
/* A checkpoint of the own became durable. */
void node_transfer_checkpointed(struct node *node);
/* Does what the thread wants done. When a whole checkpoint has come, or its disk failed, node->stop is set. */
void node_transfer_poll(struct node *node);
/* Figures as of the last poll. */
void node_transfer_status(const struct node *node, struct transfer_status *status);
/* The most that it may come to hold, frames that wait for its thread included; and what it held when its thread last told. Any thread. */
void node_transfer_memory_max(const struct node *node, struct transfer_memory *most);
void node_transfer_memory(const struct node *node, struct transfer_memory *held);

#endif
