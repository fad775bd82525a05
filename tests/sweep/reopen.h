/* Opens what a power cut left with the product's own store and recovery, and tells what is there. */
#ifndef TESTS_SWEEP_REOPEN_H
#define TESTS_SWEEP_REOPEN_H

#include "appliance/node/node.h"
#include "bft/memory.h"

enum reopen_state { REOPEN_STATE_WHOLE, REOPEN_STATE_NONE, REOPEN_STATE_LOST };

struct reopened {
    bool opened; /* the directory and its write-ahead store */
    char text[NODE_TEXT_BYTES];
    uint64_t wal_hash;   /* of every key and value */
    enum reopen_state state;
    uint64_t state_hash; /* of the description, all entries and all blobs */
    bool transfer;       /* a checkpoint that came from peers lies there, whole */
    uint64_t transfer_hash;
    /* of a node */
    bool has_memory;
    struct bft_memory memory;
    uint64_t tip_height, checkpoint_height;
    /* bodies in the store */
    uint64_t *bodies;
    uint32_t body_count, body_room;
};

/* A node's files, read once. False: `text` says why. */
bool reopen_node_load(struct node *node, const char *config_path, char text[NODE_TEXT_BYTES]);
void reopen_node_unload(struct node *node);
/* Of a data directory that store_run_main.c made. */
struct store_identity reopen_store_identity(void);

/* `node` NULL: only the stores. */
void reopen(const char *directory, struct node *node, struct reopened *out);
bool reopened_has_body(const struct reopened *reopened, uint64_t height);
void reopened_free(struct reopened *reopened);

#endif
