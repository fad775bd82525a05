/*
 * State transfer (spec/durability.md P-40 to P-49): serves this node's checkpoints to the other members piece by piece, and takes one from them when
 * this node is behind what they still have. One pure state machine: no I/O, clock, entropy or thread; disks are behind struct transfer_store.
 *
 * Contract
 *   One thread. Frames of members, time and news of the replica go in; sends, notes and news for the shell are pulled out by transfer_next().
 *   Members are named by their places in the newest epoch that was told; whoever only asks may also be an observer: TRANSFER_OBSERVER + its number.
 *   Clients that may read every key may ask too (P-50): each is TRANSFER_CLIENT + a number below TRANSFER_CLIENTS; they get what members leave over.
 *   Bytes from members are hostile: decoded whole, checked, then kept. What fails a check names its sender (TRANSFER_ATTACK), who is asked no more.
 *   Serving costs time: transfer_work() does one bounded part of what was asked for, and the shell says whether there is time for more now
 *   (`may_serve`); without it a question is answered BUSY. So the shell sets the share (P-49).
 *   A piece counts when transfer_store.take() made it durable. When all is there and proved, what was taken becomes a whole checkpoint (blobs "tip",
 *   "queues", "work" and "child") and TRANSFER_DONE comes: the shell starts the node anew from it (node_transfer.c: the same path as any start).
 *
 * Limits: TRANSFER_*.
 */
#ifndef APPLIANCE_TRANSFER_H
#define APPLIANCE_TRANSFER_H

#include "appliance/base/blob.h"
#include "bft/certificate.h"
#include "protocol/system.h"
#include "store/state.h"

enum {
    TRANSFER_OUTSTANDING_MAX = 4,       /* pieces asked of one member (P-48) */
    TRANSFER_PIECES_MAX = 1 << 18,      /* that the entries may be cut into */
    TRANSFER_ITEMS_BYTES_MAX = 1 << 30, /* of the bytes behind the hashes, all together */
    TRANSFER_NOTE_BYTES = 200,
    TRANSFER_BUSY_MS = 100,
    TRANSFER_CLIENT = 240,
    TRANSFER_CLIENTS = 4,
    TRANSFER_MEMBERS_FIRST_MS = 500,    /* so long after a member's question clients are told BUSY */
    TRANSFER_HOLD_MS = 60000,           /* so long after the last piece of a checkpoint whoever took it may need to start from it */
    TRANSFER_OBSERVER = BFT_MEMBERS_MAX,
    TRANSFER_ASKERS = TRANSFER_OBSERVER + 64,
};

/* A checkpoint to read from, which stays as it is while it is open. As state_reader_*(), state_read_*(). */
struct transfer_cut {
    void *context;
    struct state_checkpoint about;
    void (*seek)(void *context, const uint8_t path[32]);
    enum store_status (*next)(void *context, struct table_entry *entry, uint8_t path[32]);
    enum store_status (*blob)(void *context, const char *name, void *bytes, size_t room, size_t *count);
    enum store_status (*cost)(const void *context, uint64_t *kept_bytes, uint64_t *own_bytes); /* state_reader_cost() */
    void (*close)(void *context);
};

/* All calls return when they are done. */
struct transfer_store {
    void *context;
    /* This node's newest checkpoint; false: it has none (or cannot be read). */
    bool (*own)(void *context, struct transfer_cut *cut);
    /* What was taken so far, as of the last take(); false: nothing. */
    bool (*taken)(void *context, struct transfer_cut *cut);
    /* Makes it durable, blobs replaced. False: the disk failed; the transfer ends. */
    bool (*take)(void *context, const struct state_batch *batch);
    /* Nothing was taken. */
    bool (*forget)(void *context);
};

struct transfer_config {
    const struct system *system; /* outlives it */
    /* One epoch, as transfer_epoch() tells the others; copied. */
    const struct bft_members *members;
    const struct system_limits *limits;
    const struct system_timeouts *timeouts;
    uint32_t cluster;
    uint8_t member; /* this node's place in it; BFT_MEMBERS_MAX: none */
    struct signer signer;
    struct transfer_store store;
    uint64_t nonce; /* random */
    uint64_t now_ms;
};

struct transfer; /* opaque */

struct transfer *transfer_create(const struct transfer_config *config) __attribute__((warn_unused_result)); /* NULL: no memory */
void transfer_destroy(struct transfer *transfer);

/* ---- news ---- */

/* An epoch of this cluster that the chain of CONFIGs proves (P-40). */
struct transfer_epoch {
    struct bft_members members;
    uint8_t member; /* this node's place in it; BFT_MEMBERS_MAX: none */
    struct system_limits limits;
    struct system_timeouts timeouts;
    const uint8_t *certificate; /* B-11, of the block at members.start; NULL: genesis has none. Copied */
    size_t certificate_bytes;
};
/* Each that is known, in any order, and again when more is known of it. Checkpoints and what lies behind their hashes are judged by the epoch in
 * which they were made; who is asked are the members of the newest. One that becomes the newest while a checkpoint is being taken costs the
 * questions under way, and no piece that was kept. */
void transfer_epoch(struct transfer *transfer, const struct transfer_epoch *epoch);
/* A CHECKPOINT_QUERY, CHECKPOINT, PIECE_QUERY or PIECE of a member; a query of an observer or a client. True: a query that was served, by work that
 * the share pays for; a refusal (BUSY, no such checkpoint) is none. */
bool transfer_frame(struct transfer *transfer, uint8_t from, uint16_t type, const uint8_t *bytes, size_t count, bool may_serve);
/* The newest own checkpoint is another one now. It brings what it is shown by (P-31): its blob "child". */
void transfer_checkpointed(struct transfer *transfer);
/* This node is final up to `height` and lacks blocks that its peers do not give. To be said again while it is so. */
void transfer_lacking(struct transfer *transfer, uint64_t height);
/* This node is final up to `height`, whatever it lacks. */
void transfer_height(struct transfer *transfer, uint64_t height);
void transfer_tick(struct transfer *transfer, uint64_t now_ms);
/* Does a bounded part of what serving needs beforehand (the index of a checkpoint that somebody asked for). False: nothing is to be done. */
bool transfer_work(struct transfer *transfer);

/* ---- what is to be done ---- */

enum transfer_output_kind {
    TRANSFER_SEND = 1, /* to `member` (or TRANSFER_OBSERVER, TRANSFER_CLIENT + ...); the caller takes the blob over */
    TRANSFER_BAD,      /* `member` sent what no honest node sends: a bad piece or checkpoint */
    TRANSFER_EVIDENCE, /* a wrong piece that this member of that epoch signed: the items of a file (evidence_put_piece_items); as SEND */
    TRANSFER_NOTE,     /* a line for the log */
    TRANSFER_DONE,     /* what was taken is whole: start anew from it */
    TRANSFER_FAILED    /* the store failed: the node stops */
};
struct transfer_output {
    enum transfer_output_kind kind;
    uint8_t member;
    uint16_t type;
    uint64_t epoch; /* EVIDENCE */
    struct blob *blob;
    const char *event;
    char text[TRANSFER_NOTE_BYTES];
};
bool transfer_next(struct transfer *transfer, struct transfer_output *output) __attribute__((warn_unused_result));

/* ---- questions ---- */

struct transfer_status {
    bool taking;
    uint64_t height;        /* of the checkpoint that is being taken; 0: not chosen yet */
    uint64_t pieces, pieces_done;
    uint64_t hold_height; /* somebody takes the checkpoint at this height, or has just done so: blocks above it will be asked for; 0: nobody */
    uint64_t served_pieces, served_bytes, busy_answers, refetched_pieces, bad_pieces;
};
void transfer_status(const struct transfer *transfer, struct transfer_status *status);
/* Memory: what checkpoints that are served, and one that is taken, may come to hold by these limits, with so many paired clusters; and hold now. */
struct transfer_memory {
    uint64_t serving, taking;
};
void transfer_memory_max(const struct system_limits *limits, uint32_t pairs, bool coordinator, struct transfer_memory *most);
void transfer_memory(const struct transfer *transfer, struct transfer_memory *held);
/* A checkpoint is being looked for or taken: answers are waited for. */
bool transfer_taking(const struct transfer *transfer);

#endif
