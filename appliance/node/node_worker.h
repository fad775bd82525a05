/*
 * Private to the node's shell: a thread that does one kind of work for another one, in the split map (node_verify.c, node_hash.c).
 *
 *   owner of `todo` -> worker -> owner of `done`, in the same order
 *
 * Whoever takes an entry owns what it points to: the worker from todo to done.
 */
#ifndef APPLIANCE_NODE_WORKER_H
#define APPLIANCE_NODE_WORKER_H

#include "appliance/node/node.h"
#include "appliance/node/node_lane.h"

struct node_worker {
    /* The owner's, before node_worker_start(). */
    struct node *node;
    enum node_thread thread;
    struct sleeper *taker; /* is woken when something is done */
    void (*work)(void *context, void *entry);
    void *context;
    /* Its own. */
    struct lane todo, done;
    struct sleeper sleeper;
    atomic_bool end;
    pthread_t id;
};

/* Slots: powers of two; `done` has room for all that can be under way (CHECK). */
void node_worker_start(struct node_worker *worker, unsigned todo_slots, unsigned done_slots);
/* When nobody gives or takes any more; what is under way then stays its owner's. */
void node_worker_stop(struct node_worker *worker);
/* There is room (CHECK). */
void node_worker_give(struct node_worker *worker, void *entry);
/* What was given first of all that is not back yet; NULL: it is not done. */
void *node_worker_take(struct node_worker *worker);
/* Would node_worker_take() give something? For sleeper_wait(). */
bool node_worker_is_done(const void *worker);

#endif
