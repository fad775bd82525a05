/*
 * The replica: everything that a node decides, as one pure state machine. No I/O, no clock, no entropy, no threads: bytes, time, random words and
 * completions are handed in, what is to be done is pulled out. The node's shell (node.c, node_fused.c, node_split.c) and the simulator run the
 * same object
 * files.
 *
 *   replica_create, then replica_restore_* (what the store holds), then replica_start
 *   loop:
 *     world -> replica:  replica_link_up, replica_link_down, replica_frame, replica_job_done, replica_read_done, replica_durable,
 * replica_checkpointed
 *     then               replica_tick (also: builds proposals, gathers what is to be persisted)
 *     replica -> world:  while (replica_next(replica, &output)) do it
 *
 * Contract
 *   One thread. Outputs are to be carried out in the order in which they come; the replica itself holds back whatever must wait for the disk
 *   (persist -> send -> apply, DESIGN section 7), so a SEND that comes out may be sent at once. A SEND that cannot be sent (link down, queue full) is
 *   dropped: the peer fetches (replica_send_dropped counts it).
 *   Bytes from peers and clients are hostile: each message is decoded whole, validated, then committed; what is bad is counted by cause and has no
 *   effect. Signatures and hashes of an input are checked once, by digest, whichever way it came.
 *   Frames come as pieces of blobs, which the replica may hold on to without a copy. Pieces of a SEND are held by the replica until the next call of
 *   replica_next(); a shell that sends later holds them itself.
 *
 * Limits: the system file's, and the constants of replica_private.h. Tables are taken at create; payloads are blobs.
 */
#ifndef APPLIANCE_REPLICA_H
#define APPLIANCE_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/base/blob.h"
#include "appliance/exec/execution.h"
#include "appliance/status/status.h"
#include "appliance/transfer/transfer.h"
#include "bft/signer.h"
#include "protocol/claim.h"
#include "protocol/system.h"
#include "store/wal.h"

enum replica_peer_kind { REPLICA_MEMBER = 1, REPLICA_OBSERVER, REPLICA_FOREIGN, REPLICA_CLIENT };

/* Why a key signs nothing any more: as it is kept under WAL_VOTE_RETIRED, one byte. */
enum replica_retired {
    REPLICA_IN_OFFICE = 0,
    REPLICA_RETIRED,         /* P-15: a mark of before there were causes, or one that this release does not know */
    REPLICA_ROLLED_BACK,     /* P-70: its whole cluster was put back to an older state */
    REPLICA_SUCCEEDED,       /* S-143: it was shown a valid successor, and left this system */
    REPLICA_NEWER_SIGNATURE, /* P-14, clauses 1 and 3: it was shown a signature of its key that is newer than its disk */
    REPLICA_OTHER_SIGNATURE, /* P-14, clauses 2 and 4: one for the same place with other content */
    REPLICA_MEMORY_DAMAGED,  /* P-15: its disk has lost what the key signed */
    REPLICA_GIVEN_UP,        /* its operator gave the key up */
    REPLICA_FROM_BACKUP,     /* P-80: its data was made of a backup, and the key may have signed since */
    REPLICA_RETIRED_COUNT
};
/* the word of `retired_by`; NULL: it is in office. */
const char *replica_retired_name(enum replica_retired retired);

/* Who is at the other end of a link. Packs into the tag that the network layer carries. */
struct replica_peer {
    uint8_t kind;   /* enum replica_peer_kind */
    uint8_t member; /* MEMBER, FOREIGN: index in its cluster */
    uint32_t index; /* FOREIGN: cluster; CLIENT: the replica's index of it (replica_client_key); OBSERVER: number of the caller's */
};
static inline uint64_t replica_peer_pack(struct replica_peer peer) {
    return (uint64_t)peer.kind << 56 | (uint64_t)peer.member << 48 | peer.index;
}
static inline struct replica_peer replica_peer_unpack(uint64_t tag) {
    return (struct replica_peer){.kind = (uint8_t)(tag >> 56), .member = (uint8_t)(tag >> 48), .index = (uint32_t)tag};
}

/* The number that transfer.h has for the peer of a REPLICA_TRANSFER. */
static inline uint8_t replica_transfer_asker(struct replica_peer peer) {
    if (peer.kind == REPLICA_CLIENT) return (uint8_t)(TRANSFER_CLIENT + peer.member);
    return (uint8_t)(peer.kind == REPLICA_OBSERVER ? TRANSFER_OBSERVER + peer.index : peer.member);
}

enum { REPLICA_PIECES_MAX = 32, REPLICA_NOTE_BYTES = 320 };

/* Seams at which a test build puts liars (tests/liar/); NULL in the product. They see what leaves or comes in and may change it. */
struct replica_hooks {
    void *context;
    /* A frame about to leave. False: withhold it. May replace the pieces by blobs of its own, which it drops at its next call. */
    bool (*send)(void *context, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *piece_count);
    /* A result that came from execution, before it is voted for. */
    void (*result)(void *context, struct execution_job *job);
    /* A frame that came, before anything looked at it. False: ignore it. */
    bool (*frame)(void *context, struct replica_peer from, uint16_t type, struct blob_piece payload);
    /* At every replica_tick(): may send. */
    void (*tick)(void *context, uint64_t now_ms);
};

struct replica_config {
    const struct system *system; /* outlives the replica */
    uint32_t cluster;
    uint32_t member;         /* in epoch 0; BFT_MEMBERS_MAX: none, a CONFIG is to make it one */
    uint8_t signing_key[32]; /* its own: by them it finds itself in each CONFIG */
    uint8_t noise_key[32];
    struct signer signer;
    uint8_t nonce[16];        /* random, of this start: for LAST-SIGNED and queries */
    uint64_t now_ms;          /* monotonic */
    uint64_t wall_ms;         /* the calendar at now_ms: only a first estimate of cluster time */
    uint8_t genesis_root[32]; /* state root of genesis, from executor_genesis() */
    uint32_t scrub_records_s; /* entries of the table that are hashed again each second; 0: none */
    uint32_t ahead_bytes;     /* a slice at least so long is prepared as it comes, before a block names it; 0: 1 MiB */
    struct cost_meter *meter; /* of the replica's thread; NULL: nothing is measured */
    const struct replica_hooks *hooks;
};

struct replica; /* opaque */

/* The key of WAL_MISC under which the genesis_root of a cluster with an origin is kept (S-144): nothing else has it. */
void replica_genesis_key(uint8_t key[WAL_KEY_BYTES_MAX]);

/* NULL only without memory. */
struct replica *replica_create(const struct replica_config *config) __attribute__((warn_unused_result));
void replica_destroy(struct replica *replica);

/* ---- restoring: after create, before start; in this order ---- */

/* The chain of CONFIGs (S-100): each stored entry, by its serial, ascending; then the checkpoint's blob "chain" if it has one. False: it does not
 * follow. */
bool replica_restore_chain(struct replica *replica, uint64_t serial, const uint8_t *bytes, size_t count) __attribute__((warn_unused_result));
bool replica_restore_chain_payload(struct replica *replica, const uint8_t *bytes, size_t count) __attribute__((warn_unused_result));
/* The chain of another cluster, as far as it was kept: each entry under this key of WAL_MISC, by its serial from 1 on. False: it does not follow. */
void replica_pair_chain_key(uint8_t key[WAL_KEY_BYTES_MAX], uint32_t cluster, uint64_t serial);
bool replica_restore_pair_chain(struct replica *replica, uint32_t cluster, const uint8_t *entry, size_t bytes) __attribute__((warn_unused_result));
/* The CONFIGs whose new members observe (S-81), those that were kept under these keys of WAL_MISC; judged at the start. */
enum { REPLICA_ANNOUNCED_MAX = 4 };
void replica_announced_key(uint32_t number, uint8_t key[WAL_KEY_BYTES_MAX]);
void replica_restore_announced(struct replica *replica, uint32_t number, const uint8_t *bytes, size_t count);
/* The checkpoint from which the executor was loaded, and its blobs as FINAL jobs once carried them ("tip": header and certificate; "queues":
 * unacknowledged compact decisions; "child": what certifies its root; child NULL: one that was written before there was this blob). False: they do
 * not fit each other or this cluster; `text` says which. */
struct replica_checkpoint {
    const uint8_t *tip, *queues, *child;
    size_t tip_bytes, queues_bytes, child_bytes;
};
bool replica_restore_checkpoint(struct replica *replica, const struct state_checkpoint *checkpoint, const struct replica_checkpoint *blobs,
                                const char **text) __attribute__((warn_unused_result));
/* The cursors of one pair as the executor loaded them, each, after the checkpoint (or genesis). */
void replica_restore_pair(struct replica *replica, const struct execution_pair *cursors);
/* Each entry of the checkpoint: of those that tell who is a client, the replica takes note. False: such a record does not decode. */
bool replica_restore_client(struct replica *replica, const struct table_entry *entry) __attribute__((warn_unused_result));
/* An input that blocks in the store refer to, as it was persisted. */
bool replica_restore_input(struct replica *replica, const uint8_t hash[32], const uint8_t *bytes, size_t count) __attribute__((warn_unused_result));
/* A block of the store above the checkpoint, in order of height, inputs first. certificate: NULL unless it was stored. A certified block is
 * executed again
 * at once: carry out the outputs (jobs) before the next one. */
bool replica_restore_block(struct replica *replica, const uint8_t *header, size_t header_bytes, const uint8_t *body, size_t body_bytes,
                           const uint8_t *certificate, size_t certificate_bytes) __attribute__((warn_unused_result));
/* The hashes of the inputs that this body refers to: `out` has room for `room`; returns how many, or -1: no body. */
long replica_body_inputs(const struct replica *replica, const uint8_t *body, size_t body_bytes, uint8_t (*out)[32], size_t room);
/* A block of the store at or below the checkpoint: kept for members that lack it, pruned later with its inputs. */
void replica_restore_pruned(struct replica *replica, uint64_t height, const uint8_t *body, size_t body_bytes);
/* Each input of the store after all blocks: one that none of them names is deleted when the block at this height is pruned, unless a later one
 * names it. height: of the highest block of the store. */
void replica_restore_stray(struct replica *replica, const uint8_t hash[32], uint64_t height);
/* S-143: the statement by which this node left, under this key of WAL_MISC. False: it does not decode. */
void replica_successor_key(uint8_t key[WAL_KEY_BYTES_MAX]);
bool replica_restore_successor(struct replica *replica, const uint8_t *bytes, size_t count) __attribute__((warn_unused_result));
/* The newest items of a member for LAST-SIGNED, and the own voting memory (NULL: a fresh store). False: not ours, sign nothing. */
bool replica_restore_peer_item(struct replica *replica, uint8_t kind, uint8_t member, const uint8_t *bytes, size_t count)
    __attribute__((warn_unused_result));
bool replica_restore_memory(struct replica *replica, const uint8_t *memory, size_t memory_bytes, enum replica_retired retired)
    __attribute__((warn_unused_result));
/* Begins. Blocks with certificates are replayed by jobs; voting begins when LAST-SIGNED is answered. */
void replica_start(struct replica *replica);

/* ---- world -> replica ---- */

void replica_link_up(struct replica *replica, struct replica_peer peer);
void replica_link_down(struct replica *replica, struct replica_peer peer);
/* One frame of an authenticated link. The caller holds the blob during the call; the replica holds what it keeps. */
void replica_frame(struct replica *replica, struct replica_peer from, uint16_t type, struct blob_piece payload);
/* A REPLICA_JOB is done. */
void replica_job_done(struct replica *replica, struct execution_job *job);
/* A REPLICA_READ is done; blob NULL: not there. The replica takes over the reference. */
void replica_read_done(struct replica *replica, uint64_t cookie, struct blob *blob);
/* Every REPLICA_PERSIST up to this sequence is on disk. */
void replica_durable(struct replica *replica, uint64_t sequence);
/* The checkpoint at this height is on disk. */
void replica_checkpointed(struct replica *replica, uint64_t height);
/* What struct transfer wants done: its TRANSFER_SEND (the blob is taken over) and TRANSFER_BAD; `member` as in transfer.h. */
void replica_transfer_send(struct replica *replica, uint8_t member, uint16_t type, struct blob *blob);
void replica_transfer_bad(struct replica *replica, uint8_t member);
/* A wrong piece that this member of that epoch signed (TRANSFER_EVIDENCE): kept as evidence, with the chain before it. The blob is taken over. */
void replica_transfer_evidence(struct replica *replica, uint8_t member, uint64_t epoch, struct blob *items);
/* Its hold_height, again and again while there is one: blocks above it are kept for whoever takes that checkpoint. */
void replica_transfer_hold(struct replica *replica, uint64_t height);
/* A scrub found that this record of the write-ahead store is not as it was written (replica_scrub.c). */
void replica_scrub_wal(struct replica *replica, enum wal_db db, const uint8_t *key);
/* It found that of the checkpoint, or that the tree of the write-ahead store leads nowhere: `what` says what. */
void replica_scrub_state(struct replica *replica, const char *what);
void replica_scrub_wal_tree(struct replica *replica, const char *what);
/* A SEND was dropped; full: its queue was full (else the link was down). */
void replica_send_dropped(struct replica *replica, bool full);
/* A successor's statement that is valid by the CONFIG in force (claim_successor_verify): leaves the system for good, or, shown another one before,
 * keeps both as evidence. */
void replica_successor(struct replica *replica, const struct claim_successor *statement);
/* What time it is, for measuring only: to be called before a bunch of what came. */
void replica_clock(struct replica *replica, uint64_t now_us);
/* Time only grows. To be called after every bunch of the above, and at replica_deadline_ms() at the latest. now_us: for measuring, and for the hold
 * between proposals. */
void replica_tick(struct replica *replica, uint64_t now_ms, uint64_t now_us);
uint64_t replica_deadline_ms(const struct replica *replica);
/* How much this node lacks CPU since the call before, in thousandths (1000: all CPUs are busy, and it waits for them): whoever proposes lets more
 * gather then (replica_pace.c). Wanted ten times a second while proposals are made; without it no proposal waits. */
bool replica_load_wanted(const struct replica *replica);
void replica_load(struct replica *replica, uint32_t permille);

/* ---- replica -> world ---- */

enum replica_output_kind {
    REPLICA_SEND = 1,
    REPLICA_PERSIST, /* sequences ascend by one; batch and bytes hold until replica_durable(sequence) */
    REPLICA_PREPARE, /* a hint: the record under db and key will be put from these pieces, with `cookie` as its ticket (wal_prepare) */
    REPLICA_FORGET,  /* what was prepared under `cookie` will not be put */
    REPLICA_JOB,     /* to be given back by replica_job_done() */
    REPLICA_READ,    /* read a record of the write-ahead store, answer with replica_read_done() */
    REPLICA_NOTE,    /* a line for the log */
    REPLICA_EVIDENCE, /* a file to keep (spec/consensus.md 3.11): piece 0, under the name `text`; once for each name */
    REPLICA_PEER_ADD,    /* let this peer in: its static key is `key` (32 bytes). Those of replica_client_key() before replica_start() are not told */
    REPLICA_PEER_REMOVE, /* its link is closed and its key not known any more; no replica_link_down() is due */
    REPLICA_TRANSFER, /* a frame for transfer_frame(): peer (replica_transfer_asker), type, pieces[0] */
    REPLICA_LACKING,  /* `lacking` ? transfer_lacking() : transfer_height(), at height `sequence` */
    REPLICA_EPOCH,    /* replica_epoch() of all up to `sequence` for transfer_epoch(), and of that one anew; of none before replica_start() */
    REPLICA_AGAIN,    /* the node is to be opened anew from its store, where all is that this replica gave it */
    REPLICA_STOP     /* the node must stop now and say why: `text`; with `again` it opens itself anew instead, from what it can prove */
};

struct replica_output {
    enum replica_output_kind kind;
    struct replica_peer peer; /* SEND, PEER_ADD, PEER_REMOVE, TRANSFER (replica_transfer_asker) */
    uint16_t type;
    uint64_t sequence; /* PERSIST, LACKING, EPOCH */
    const struct wal_batch *batch;
    struct execution_job *job; /* JOB */
    bool lacking;              /* LACKING */
    bool again;                /* STOP */
    uint64_t cookie;           /* READ, PREPARE, FORGET */
    enum wal_db db;
    uint8_t key[WAL_KEY_BYTES_MAX]; /* READ, PREPARE; PEER_ADD, PEER_REMOVE */
    uint8_t level; /* NOTE: enum log_level */
    const char *event;
    char text[REPLICA_NOTE_BYTES]; /* NOTE, EVIDENCE, STOP; PEER_ADD of a node: its name */
    unsigned piece_count;
    struct blob_piece pieces[REPLICA_PIECES_MAX]; /* the last: those beyond piece_count are not filled in */
};

/* The next thing to do; false: nothing more. */
bool replica_next(struct replica *replica, struct replica_output *output) __attribute__((warn_unused_result));

/* ---- questions ---- */

/* Of the epoch in force; live as long as the replica. */
const struct bft_members *replica_members(const struct replica *replica);
const struct config *replica_config_in_force(const struct replica *replica);
/* Epochs of this cluster whose CONFIG is known here: 0 to this less one; the last may be later than the one in force. */
uint32_t replica_epochs(const struct replica *replica);
/* One of them; the certificate lives as long as the replica. */
void replica_epoch(const struct replica *replica, uint64_t epoch, struct transfer_epoch *out);

/* Takes no new client batches from now on (REFUSED BUSY). */
void replica_drain(struct replica *replica);
/* True: nothing of clients linked to this node waits for a decision any more. */
bool replica_is_drained(const struct replica *replica);
/* The most that inputs and fixed tables may come to use, for the printed budget. What lies in frames that the network keeps is counted here too. */
struct replica_budget {
    uint64_t inputs_bytes;
    uint64_t tables_bytes;
};
void replica_budget(const struct replica *replica, struct replica_budget *budget);

/* The clients of final state have indices below this. */
uint32_t replica_clients(const struct replica *replica);
/* The static key of one; false: it was revoked. */
bool replica_client_key(const struct replica *replica, uint32_t index, uint8_t noise_key[32]);

void replica_status(const struct replica *replica, struct status_replica *status);
/* Votes, and is not known to be behind. */
bool replica_is_ready(const struct replica *replica);
/* Has it ask for one decision (B-15) when it may vote, unless it has voted since it was started. Once for each call, and not more often than
 * anybody may. */
void replica_decision_want(struct replica *replica);

#endif
