/*
 * Private to replica*.c: the state of a replica and the functions that its files offer one another.
 *
 *   replica.c           create, dispatch of events and frames, outputs, notes, counters, status
 *   replica_persist.c   what becomes durable, and the sends that wait for it
 *   replica_input.c     the pool of inputs: batches, slices, administrative operations
 *   replica_batch.c     BATCH, INPUT, INPUT_FETCH: taking in, verifying, relaying, fetching, the censorship clock
 *   replica_config.c    CONFIG and SEAL as inputs: taken in, judged by the CONFIG in force
 *   replica_observe.c   who may look on before a CONFIG makes it a member
 *   replica_core.c      the consensus core's events and updates
 *   replica_epoch.c     epochs of this cluster and of others: the chain of CONFIGs, entering an epoch, CONFIG_QUERY and CONFIG_CHAIN
 *   replica_block.c     blocks: hold, execute, final, publish, drop; FETCH served
 *   replica_propose.c   what to propose, and when
 *   replica_source.c    decision queues from other clusters: subscribe, receive, switch
 *   replica_queue.c     decision queues to other clusters: serve; when they ask and serve, and what a block takes: replica_flow.h
 *   replica_client.c    client sessions: answers, their cache, status
 *   replica_admin.c     enrolments: handed in, held, and what final state says of clients
 *   replica_last.c      LAST-SIGNED
 *   replica_rollback.c  was the whole cluster rolled back (P-70)?
 *   replica_evidence.c  what convicts a member or a cluster is kept
 *   replica_later.c     a node whose cluster went through CONFIGs without it
 *   replica_successor.c a successor was shown: the system is left; replica_members.c: who votes, and how far; replica_measure.c: histograms
 *   replica_restore.c   from the store
 *   replica_transfer.c  what state transfer needs; pruning
 *   replica_scrub.c     what a scrub finds, and what becomes of it; replica_scrub.h. ahead.c: see ahead.h
 *
 * All tables are indexed by u32; NONE is no entry.
 */
#ifndef APPLIANCE_REPLICA_PRIVATE_H
#define APPLIANCE_REPLICA_PRIVATE_H

#include "appliance/base/message_type.h"
#include "appliance/replica/replica.h"
#include "appliance/replica/replica_flow.h"
#include "appliance/replica/replica_later.h"
#include "appliance/replica/replica_measure.h"
#include "appliance/replica/replica_pace.h"
#include "appliance/replica/replica_persist.h"
#include "appliance/replica/replica_rollback.h"
#include "appliance/replica/replica_scrub.h"
#include "appliance/status/log.h"
#include "bft/core.h"
#include "merkle/check.h"
#include "protocol/batch.h"
#include "protocol/body.h"
#include "protocol/config_chain.h"
#include "protocol/decision.h"
#include "protocol/slice.h"

#define NONE UINT32_MAX

/* A node that is no member of the epoch has a place of its own behind those of the members, which nobody else sees: `me` is NOBODY then. */
enum { NOBODY = BFT_MEMBERS_MAX, PLACES = BFT_MEMBERS_MAX + 1, OBSERVERS_MAX = 64 };

enum {
    INPUTS_MAX = 1 << 16, /* held, wanted and done together */
    INPUT_BUCKETS = 1 << 16,
    BLOCKS_MAX = 1024, /* open blocks (<= BFT_BLOCKS_MAX) and final ones whose answers are kept */
    BLOCK_BUCKETS = 2048,
    ADMIT_FLOOR_OPS = 1 << 16, /* B-51: a relay that has decided nothing yet admits so many operations */
    UNPUBLISHED_MAX = 128, /* final blocks that wait for the disk; beyond it nothing more is executed */
    KEPT_BYTES_MAX = 64 << 20, /* O-50: answers kept in memory to be sent again; besides answer_blocks_kept, and BLOCKS_MAX / 2 */
    CERTIFICATE_LAZY_MS = 500, /* certificates ride in batches that go anyway, or go alone after this */
    FETCH_GRACE_MS = 10,       /* an input that a proposal names may still be under way from its relay */
    DONE_BYTES_MAX = 16 << 20, /* consumed inputs kept in memory for members that fetch them; older ones are read from the store */
    /* The disk is behind when more than one of these waits for it; the core then gets nothing from others until half of it is done. */
    FLYING_BATCHES_MAX = 4096,
    FLYING_BYTES_MAX = 256 << 20,
    HELD_SENDS_MAX = 8192,
    CATCH_UP_PATIENCE_MS = 30000, /* so long after such a stall what waited meanwhile is held against nobody, while this node is behind its peers */
    EVENTS_MAX = 1024,         /* internal events under way */
    ANSWERS_AGAIN_MAX = 16,    /* answers sent again for one repeated batch */
    QUERIES_PER_SECOND = 64,   /* of one peer, for each kind of question that costs reading or signing */
    INPUT_FETCHES_PER_SECOND = 1 << 14, /* a member that catches up asks for all inputs of many blocks */
    INPUT_FETCH_BYTES_PER_SECOND = 64 << 20,
    INPUT_FETCH_STORED_BYTES = 4096,
    BEHIND_TOLD_MS = 5000,     /* `catching_up` is logged so often */
    TICK_MS = 20,              /* the replica wants to be called so often while anything waits */
    FETCH_BLOCKS_AT_ONCE = BFT_FETCH_BLOCKS_MAX,
    UNSPREAD_WINDOW_MS = 2000, /* f+1 members that ask me within it for reads of one relay: it did not hand them on */
    UNSPREAD_MS_MIN = 1000,    /* its reads are left out of my blocks so long, doubled each time */
    UNSPREAD_MS_MAX = 32000, UNSPREAD_FORGET_MS = 60000,
    UNSPREAD_PLACES = 32,      /* until it is forgotten, a block of mine has at most so many of its reads */
    PRUNE_BLOCKS_AT_ONCE = 64,
    PRUNE_INPUTS_AT_ONCE = 4096, /* so many of their inputs are deleted in one write */
    EARLY_PER_RELAY = 4, /* batches of clients that are not known here yet */
    EARLY_MAX = EARLY_PER_RELAY * BFT_MEMBERS_MAX,
    EARLY_BYTES_MAX = 1 << 18, /* of each */
};
_Static_assert(INPUTS_MAX + 4 * BLOCKS_MAX + PRUNE_INPUTS_AT_ONCE + 1024 <= WAL_RECORDS_MAX,
               "a write can hold every input of the pool, blocks, certificates, deletions, votes and the newest items of all members");
_Static_assert(BLOCKS_MAX / 2 + UNPUBLISHED_MAX + BFT_BLOCKS_MAX < BLOCKS_MAX, "blocks kept, blocks that wait for the disk and open ones fit");

enum input_state {
    INPUT_FREE = 0,
    INPUT_WANTED, /* a block refers to it; asked for */
    INPUT_HELD,   /* verified, not in a final block */
    INPUT_DONE,   /* in a final block; kept for fetches and against repetition */
};

struct input {
    uint8_t hash[32];
    enum input_state state;
    uint8_t kind;       /* enum body_kind */
    uint8_t relay;      /* BATCH, ADMIN */
    bool mine, named;   /* BATCH: came on its client's own link to me; named: a block named it, and its relay did not bring it */
    bool is_signed;     /* BATCH: a write; ADMIN */
    uint8_t asked_peer; /* WANTED */
    bool leader_asked;  /* WANTED */
    uint32_t source;    /* SLICE */
    uint64_t dseq;
    uint64_t serial;   /* ADMIN: number of an enrolment; 0: it is none */
    union {
        uint64_t operation; /* ADMIN: the first bytes of its hash (S-71), the same under each set of signatures */
        uint64_t ticket;    /* SLICE: the store lays it down already, under this number, until a record takes it; 0: it does not */
    };
    struct blob *blob; /* whole bytes as INPUT carries them after its head; NULL: WANTED, or DONE and dropped from memory */
    size_t offset, count;
    uint32_t leaf_offset, slice_offset, slice_bytes; /* SLICE: within the bytes */
    uint32_t weight;                                 /* operations */
    struct slice_longs longs; /* SLICE: long results that were hashed when it was verified; the blob holds the list */
    uint32_t client;                                 /* BATCH: index of the client, NONE */
    uint32_t in_blocks;                              /* open blocks that refer to it */
    uint64_t arrived_ms, arrived_us, relayed_ms, relayed_view, asked_ms; /* arrived_us: for measuring */
    uint64_t decided_height, stored_at; /* stored_at: persisted, sequence at which that is durable; 0: it was at the start */
    uint64_t prune_turn; /* of the newest pruning that found it in an open block */
    uint64_t branch_turn, waiting_turn; /* of the newest look at a branch to propose on, and at what waits, that found it there */
    bool persisted;  /* in a batch given to the store */
    uint8_t repeats; /* how often its relay sent it again after it was decided */
    uint32_t bucket_next;
    uint32_t list_prev, list_next; /* waiting list of its relay, list of the done */
};

/* An input that is in the store and no longer in the pool: to be deleted when the block at this height is pruned. */
struct orphan {
    uint8_t hash[32];
    uint64_t height;
};

struct list {
    uint32_t first, last, count;
};

struct rblock {
    bool used;
    bool held_told;  /* INPUTS_HELD was given, or the core does not wait for it */
    bool own, voted; /* my proposal; I signed a vote for it since I was started */
    bool core_holds; /* between HOLD (or own PROPOSE) and DROP */
    bool executed, final, published, persisted;
    bool body_bad;
    bool finalized; /* the FINAL job is done */
    bool certificate_saved;
    bool dying;    /* free it when the job that looks at it is done */
    uint32_t jobs; /* under way that look at it */
    struct bft_hash id;
    struct bft_header header;
    struct blob *body;
    size_t body_offset, body_count;
    uint32_t ref_count, missing;
    uint32_t unplaced; /* of the missing, those for which the pool had no room: tried again (block_place) */
    uint32_t *inputs; /* per reference; NONE for NOOP */
    uint64_t ticket;  /* of its newest execution */
    uint64_t weight;
    uint64_t seen_us, prepared_us, final_us; /* 0: not known */
    uint64_t durable_at;       /* sequence at which body and inputs are durable; 0: not given to the store yet */
    struct exec_result result; /* iff executed */
    struct config *config_next;   /* iff executed and it holds a CONFIG that had an effect */
    struct bft_hash root_after;   /* iff executed and it holds a CONFIG or SEAL that had an effect */
    struct tree_levels levels; /* over the outbox; storage NULL but between final and published */
    struct blob *certificate;  /* iff final */
    struct blob **slices;      /* once published, at a coordinator that answers: where the results in its answers lie */
    uint32_t slice_count, bucket_next;
    uint32_t order_next; /* final blocks, oldest first */
};

/* A send that waits for the disk. */
struct held_send {
    uint64_t sequence;
    uint8_t to;
    uint16_t type;
    struct blob_piece pieces[2];
    unsigned piece_count;
    struct bft_message *own; /* to be given back to the core, or NULL */
};

struct persist {
    uint64_t sequence, bytes;
    struct wal_record *records;
    struct iovec *parts;
    uint32_t *part_first; /* of each record */
    struct blob **held;
    uint32_t record_count, record_room, part_count, part_room, held_count, held_room;
    struct wal_batch batch; /* as the store has it */
    struct persist *next;
};

/* One internal event for the core. */
struct queued_event {
    struct bft_event event;
    struct bft_message *message; /* owned, or NULL */
};

/* Rate of questions of one peer. */
struct question_rate { uint64_t window_ms; uint32_t count; };

struct transfer_rate {
    struct question_rate pieces;
    uint64_t checkpoint_ms; /* when CHECKPOINT_QUERY was last heard; 0: never */
};

/* The same of INPUT_FETCH, whose answers are long. */
struct input_rate {
    uint64_t window_ms, bytes;
    uint32_t count;
};

/* A relay whose reads other members had to fetch from me, the leader, or that brought more than is kept (replica_batch.c). */
struct unspread {
    uint32_t asked; /* members, by bit */
    uint64_t window_ms, until_ms;
    uint32_t pause_ms;
    uint64_t forgot_ms; /* when what it had waiting was last gone through; 0: it did not flood */
};

/* A client of final state. Places are never given back, as records of clients never go: so an index means the same for ever (of this run). */
struct client {
    uint8_t id[32];
    uint8_t signing_key[32];
    uint8_t noise_key[32];
    uint8_t *rights; /* as executor_right() reads them; NULL: none */
    uint32_t rights_bytes;
    bool revoked; /* then never up, and nothing of it is taken any more */
    bool up, may_read_all;
    uint32_t quota_per_second, quota_burst; /* operations; 0: no quota */
    uint64_t read_tokens, read_ms;          /* thousandths of an operation that it may still read, as of then (O-50) */
    uint32_t bucket_next;
    uint64_t again_ms;
    struct question_rate rate;
};

/* A batch that came from a relay before its client's enrolment was final here. */
struct early {
    struct blob_piece bytes;
    uint64_t order;
};

/* O-53 */
enum admin_code {
    ADMIN_CODE_STATE = 0,
    ADMIN_CODE_WAITS = 1,
    ADMIN_CODE_DONE = 2,
    ADMIN_CODE_NUMBER = 3,
    ADMIN_CODE_INVALID = 4,
    ADMIN_CODE_CLIENT = 5,
    ADMIN_CODE_BUSY = 6,
    ADMIN_CODE_ELSEWHERE = 7,
};

/* A record asked of the store, for a peer. */
enum read_purpose { READ_FREE = 0, READ_INPUT, READ_BLOCK_CERTIFICATE, READ_BLOCK_BODY };
struct pending_read {
    enum read_purpose purpose;
    struct replica_peer peer;
    struct blob *certified; /* READ_BLOCK_BODY: header and certificate */
};
enum { READS_MAX = 1024, READS_OF_PEER_MAX = 128 };

/* The pair as destination of my outbox: items not yet acknowledged. */
struct queue_item {
    uint64_t dseq, height;
    struct blob *head; /* all before the slice */
    struct blob *slice;
    bool copied; /* the slice is a copy of ours, not the executor's memory */
};

struct subscriber {
    uint64_t from, next; /* from 0: none; next: first dseq not sent on this link */
    uint32_t window;
};

struct pair {
    uint32_t cluster;
    struct bft_members members; /* of the other cluster in the newest epoch that its chain shows here */
    struct bft_members *epochs; /* all of them, by number */
    uint32_t epoch_count;
    struct config_chain *chain; /* as far as that; NULL until it is needed */
    uint8_t noise_keys[BFT_MEMBERS_MAX][32]; /* of the newest epoch, as are */
    char names[BFT_MEMBERS_MAX][CARD_NAME_BYTES_MAX + 1];
    uint64_t epoch_needed;      /* one that certificates or the state speak of */
    uint64_t epoch_state;       /* the newest that the final state knows */
    uint32_t chain_asks;        /* nodes still to be asked, whether there is more */
    uint64_t chain_asked_ms, chain_own_ms;
    uint8_t chain_next, chain_own_next; /* of that cluster, of this one: asked last */
    uint16_t chain_own_asked;   /* members of this one whose answer is due, by bit */
    struct blob **entries;      /* its chain, by serial: what members of this cluster are told (S-103) */
    uint32_t entry_count;
    /* to it */
    struct queue_item *items; /* ring by dseq */
    uint32_t items_room;
    uint64_t items_first, items_end; /* dseq of the oldest kept, and one after the newest */
    uint64_t acked, sent_final;
    struct subscriber subscribers[BFT_MEMBERS_MAX];
    /* from it */
    uint64_t consumed_final;
    uint32_t window[SOURCE_WINDOW]; /* inputs by dseq mod SOURCE_WINDOW, NONE */
    uint8_t source;                 /* member subscribed to */
    uint64_t subscribed_from;       /* 0: not subscribed on the current link */
    bool subscribed_once;           /* in this run */
    uint64_t received_max;          /* highest dseq held */
    uint64_t heard_ms;              /* something new came, or the source was changed */
    uint64_t passed_dseq;           /* the first slice that came by another way than the source and that the source has not served yet; 0: none */
    uint64_t passed_ms;             /* when it came */
    uint64_t asked_ms;              /* NEWEST_QUERY */
    uint64_t asked_nonce;
    uint64_t hint; /* highest sent_dseq that any node claimed */
    uint8_t ask_next;
    bool up[BFT_MEMBERS_MAX];
    struct question_rate rates[BFT_MEMBERS_MAX];
    uint8_t evidence; /* kinds of it that were kept, by bit */
    struct rollback rollback;
};

/* An epoch of this cluster. */
struct epoch {
    struct bft_members members; /* height_last is known once it ended */
    struct config *config;
    char names[BFT_MEMBERS_MAX][CARD_NAME_BYTES_MAX + 1];
    struct blob *entry; /* of the chain (S-100): the CONFIG or SEAL that ended it; NULL: it is in force */
    uint64_t sequence;  /* of the batch with the entry; 0: it came from the store */
};

/* A member that a CONFIG removed: it may still have to hear of it (B-45); or one that is to become a member (S-81). */
struct observer {
    uint8_t noise_key[32];
    bool used, up, announced;
    uint64_t link_epoch; /* of when it was let in */
    struct question_rate rate;
    struct input_rate input_rate;
    uint64_t served_ms;
};

/* Of epochs after the current one (replica_later.c). */
struct later {
    uint64_t claimed_ms[BFT_MEMBERS_MAX]; /* when the member at this place last spoke of an epoch that is not known here; 0: never */
    bool stated[BFT_MEMBERS_MAX];         /* by signer in the epoch of the links: it showed by STATUS that it is final up to ... */
    uint64_t height[BFT_MEMBERS_MAX];
    uint64_t tip, since_ms; /* final height as it was, and since when it is so although there seems to be more; 0: not looked yet */
    uint32_t asked; /* places that owe a CONFIG_CHAIN, by bit */
    uint64_t asked_ms;
    uint8_t next;
};

struct replica {
    /* constant */
    const struct system *system;
    const struct replica_hooks *hooks;
    struct signer signer;
    struct config config;       /* of the current epoch, as are the members */
    struct bft_members members;
    struct epoch *epochs; /* by number, from genesis on; while blocks of the store are executed again there may be later ones than the current */
    uint32_t epoch_count;
    struct config_chain *chain; /* through the last of them */
    uint64_t link_epoch;   /* whose places the links to members have, once started: the current epoch, or a later one that the chain proves */
    uint64_t memory_epoch; /* of a voting memory that is later than the state: until it comes there this key signs nothing; 0: it is not */
    struct later later;
    struct bft_header genesis;
    uint32_t cluster;
    uint8_t me; /* my index in the current epoch, or NOBODY */
    uint8_t signing_key[32], noise_key[32]; /* mine */
    bool removed; /* was a member of an earlier epoch, and is none now */
    bool is_coordinator;
    uint64_t genesis_height;
    struct observer observers[OBSERVERS_MAX];
    uint32_t observer_next; /* the number after the one that was given last */
    struct { /* CONFIGs not to be decided yet, whose new members observe (S-81) */
        struct blob *bytes; /* NULL: none */
        uint8_t hash[32];   /* of the operation, signatures apart */
    } announced[REPLICA_ANNOUNCED_MAX];

    /* time */
    uint64_t now_ms, now_us, wall_ms;
    struct cost_meter *meter; uint64_t checkpoint_begun_us; /* for measuring: of the newest that is not durable; 0: none */

    /* consensus */
    struct bft_core *core;
    struct bft_update *update;
    struct bft_offer offer;
    uint64_t core_deadline_ms;
    struct queued_event *events;
    uint32_t event_first, event_count;
    struct blob_piece current; /* body of the message being stepped, or blob NULL */
    bool started, stopping, draining, halted_told;
    enum replica_retired retired;
    bool replaying; /* blocks of the store are executed again before the core begins */
    uint8_t start_nonce[16];
    uint64_t noop_nonce, noop_ms;
    uint64_t voted_before; bool decision_wanted; /* voted for before it was started, the highest; a NOOP is to be asked for (control.h) */
    uint64_t behind_told_ms, noop_own;       /* `catching_up` was logged; 0: never. The newest that I asked for; 0: none */
    uint64_t noops_asked[NOOPS_KEPT], noop_asked_ms; uint32_t noops_asked_count; /* and those before it, in turn; when it was */
    uint64_t noop_named[BFT_MEMBERS_MAX];    /* newest of each member that a proposal of mine named */
    uint64_t decided_ms; /* when a block last became final here */
    struct bft_status peer_status[PLACES];
    bool has_peer_status[PLACES];
    uint64_t peer_status_ms[PLACES], peer_heard_ms[PLACES]; /* heard: on its signer's own link, which was not down since; 0: never */
    struct blob *peer_status_bytes[PLACES];
    bool member_up[PLACES];
    struct question_rate member_rates[PLACES], status_rates[PLACES];
    struct input_rate input_rates[PLACES];
    uint8_t *scratch;            /* BFT_WIRE_HEAD_BYTES_MAX */
    struct slice_longs longs;    /* of the slice that is verified now; a shard has no use for them (list NULL) */
    struct bft_message *message; /* the frame being decoded */

    /* blocks */
    struct rblock *blocks;
    uint32_t block_buckets[BLOCK_BUCKETS];
    uint32_t block_free; /* list through bucket_next */
    uint32_t blocks_used_max, blocks_open, blocks_final;
    uint32_t final_first, final_last; /* final blocks in memory, oldest first */
    uint32_t final_at[BLOCKS_MAX];    /* by height mod BLOCKS_MAX */
    uint64_t kept_bytes;              /* slices that published blocks hold, for answers to be sent again */
    uint32_t certificates_unsaved;
    uint64_t unsaved_since_ms;
    uint32_t publish_next; /* oldest final block not yet published */
    uint32_t unpublished;
    uint64_t published_height;
    uint64_t tip_ticket; /* of the newest final block */
    struct bft_hash tip_id;
    uint64_t tip_height, tip_time;
    uint64_t next_ticket;
    uint64_t executed_height;
    struct exec_due tip_due; /* in the state after the newest final block */
    struct execution_job *jobs_free;
    uint32_t jobs_out;
    struct execution_job *retry; /* an EXECUTE that found no room */
    bool pressed;                /* my own proposal found no room: give old blocks back */

    /* proposing */
    struct execution_job *proposing; /* under way, or NULL */
    struct blob *proposing_body;
    struct bft_hash proposing_parent;
    uint64_t branch_turn; /* of the newest marking of a branch's inputs */
    uint32_t proposing_count, proposing_weight;
    struct exec_result proposing_result;
    struct config *proposing_config; /* iff it holds a CONFIG that has an effect */
    struct bft_hash proposing_root_after;
    uint64_t proposing_ticket, proposed_us;
    struct pace pace;

    /* inputs */
    struct input *inputs;
    uint32_t *input_buckets;
    uint32_t input_free, inputs_used_max, inputs_held;
    struct list waiting[PLACES]; /* BATCH and ADMIN held, per relay, in order of arrival */
    struct list done;
    uint32_t done_oldest; /* of the done whose bytes are in memory */
    uint64_t relay_bytes[PLACES], named_bytes[PLACES], named_count[PLACES]; /* named: of relay_bytes and waiting, what is `named` */
    uint64_t relay_weight[PLACES];
    struct unspread unspread[PLACES];
    uint64_t rate_weight, rate_since_ms, rate_per_s; /* operations that became final: B-51 */
    uint64_t input_bytes, done_bytes;
    uint32_t wanted_count, unplaced_count, waiting_left; /* waiting_left: of the inputs that the core was told of last */
    uint32_t *selected; /* block_refs_max, for the proposal being built */
    struct bft_waiting waiting_told; /* what the core was told last */
    uint64_t relay_checked_ms, waiting_turn;
    uint64_t slice_wait_us; /* long-run mean from a slice's coming to its block's being final */

    /* pairs */
    struct pair *pairs;
    uint32_t pair_count;

    /* clients */
    struct client *clients;
    uint32_t client_count, client_room, *client_buckets, client_bucket_count, clients_up;
    struct exec_enrolment enrolment; /* the newest that is final */
    struct early early[EARLY_MAX];
    uint64_t early_order;

    /* persistence */
    struct persist *open, *flying_first, *flying_last;
    uint64_t sequence_next, durable, ticket; /* the newest ticket */
    uint64_t flying_bytes;
    uint32_t flying_count;
    bool behind;                      /* the disk is: persist_behind */
    uint64_t stall_end_ms, patient_ms; /* when it last was; what waited before patient_ms is not the leader's fault or a source's */
    uint64_t young_until_ms;           /* reads that came before are held against no leader; 0: this start has not voted yet */
    bool memory_dirty;
    struct held_send *held; /* ring */
    uint32_t held_first, held_count, held_room;

    /* checkpoints */
    uint64_t checkpoint_height, checkpoint_before, pruned_height, prune_turn;
    uint64_t tip_moved, tip_moved_ms;    /* final height as it was, and since when no better one came although others have it; 0: not looked yet */
    struct { uint32_t client; uint64_t asked_ms; struct transfer_rate rate; } transfer_clients[TRANSFER_CLIENTS]; /* P-50; asked_ms 0: nobody */
    struct transfer_rate transfer_rates[TRANSFER_ASKERS];
    uint64_t hold_height, hold_ms;       /* a member takes the checkpoint at this height; told last then */
    bool lacking_told;
    uint64_t lacking_told_ms;
    struct orphan *orphans;
    uint32_t orphan_count, orphan_room, ahead_bytes; /* the latter: a slice so long is prepared as it comes */
    struct pending_read reads[READS_MAX];
    uint64_t due_since_ms; /* a dispatch became due by my own clock; 0: none is */
    struct exec_due due_seen; /* what that is said of, and the tip at which it was last looked at */
    uint64_t due_seen_height;
    uint64_t input_tick_ms;

    struct scrub scrub;
    /* LAST-SIGNED */
    struct last_signed *last;
    uint8_t evidence[BFT_MEMBERS_MAX]; /* kinds that were kept of each member in evidence_epoch, by bit */
    uint64_t evidence_epoch;

    /* succession */
    struct blob *successor; /* the statement by which this node left; NULL: none */
    bool successors_two;    /* evidence of a second one was kept in this run */

    /* restoring */
    struct restore *restore;

    /* outputs: a ring */
    struct replica_output *outputs;
    uint32_t output_first, output_count, output_room;
    struct blob_piece given[REPLICA_PIECES_MAX]; /* pieces of the output given last, held until the next */
    unsigned given_count;

    struct status_replica status;
};

/* replica.c */
struct replica_output *output_add(struct replica *r, enum replica_output_kind kind);
/* One frame to one peer; pieces are held by the output. Nothing if the peer's link is down. */
void output_send(struct replica *r, struct replica_peer to, uint16_t type, const struct blob_piece *pieces, unsigned count);
/* The same of one blob, whose reference is taken over. */
void output_send_blob(struct replica *r, struct replica_peer to, uint16_t type, struct blob *blob);
void replica_note(struct replica *r, enum log_level level, const char *event, const char *format, ...) __attribute__((format(printf, 4, 5)));
void replica_stop(struct replica *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
void drop_count(struct replica *r, enum status_drop drop);
/* Counts an attack by this peer and names it in the status and, rate-limited, in the log. */
void attack_seen(struct replica *r, enum status_attack attack, struct replica_peer by);
const char *peer_name(struct replica_peer peer, char out[STATUS_NAME_BYTES]);
bool question_allowed(struct replica *r, struct question_rate *rate);
struct replica_peer peer_member(uint32_t member);
struct replica_peer peer_observer(uint32_t index);

/* replica_input.c */
uint32_t input_find(const struct replica *r, const uint8_t hash[32]);
/* A free entry under this hash, WANTED; NONE: the pool is full. */
uint32_t input_make(struct replica *r, uint8_t kind, const uint8_t hash[32]);
/* So many inputs of one relay are held that no final block has (D-5): half of the pool together. The other half is for what blocks name, slices,
 * and the done, which make way. */
uint32_t relay_inputs_max(const struct replica *r);
/* WANTED -> HELD with these bytes (held by reference). Enters the waiting list of its relay. */
void input_hold(struct replica *r, uint32_t index, struct blob_piece bytes);
void input_done(struct replica *r, uint32_t index, uint64_t height);
/* A final block refers to an input that was decided before: it stays as long as this block. */
void input_done_again(struct replica *r, uint32_t index, uint64_t height);
void input_orphan(struct replica *r, const uint8_t hash[32], uint64_t height);
void input_free(struct replica *r, uint32_t index);
void input_drop(struct replica *r, uint32_t index, uint64_t height); /* orphaned, if it is stored, and freed */
void list_append(struct replica *r, struct list *list, uint32_t index);
void list_remove(struct replica *r, struct list *list, uint32_t index);

/* replica_batch.c */
void client_batch_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
void input_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
void input_fetch_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
/* Checks and takes in an input of any kind whose hash a block or peer named; false: invalid. *index is where it lies. */
bool input_take(struct replica *r, uint8_t kind, uint8_t relay, struct blob_piece bytes, struct replica_peer from, uint32_t *index);
void input_fetch_send(struct replica *r, uint32_t index);
/* So many reads of this relay, at most, go into my next block: few or none of one that does not hand on what it relays. */
uint32_t relay_places(const struct replica *r, uint32_t relay);
/* What came is no slice, whatever the block that named it says of it. */
void input_is(struct input *input, uint8_t kind);
/* Hands an input that came on a client's own link to all members that are up. */
void input_relay(struct replica *r, struct input *input);
void input_tick(struct replica *r);
/* A slot for a question to the store, NONE: too many are open. The cookie is the slot's index. */
uint32_t read_begin(struct replica *r, enum read_purpose purpose, struct replica_peer peer, enum wal_db db, const uint8_t *key, size_t key_bytes);
/* A slice was consumed so long after it came. */
void waiting_slice_consumed(struct replica *r, uint64_t waited_ms);
/* Recomputes what the core must know of waiting inputs (B-50), and relays again. */
void waiting_tick(struct replica *r);
void waiting_link_up(struct replica *r, uint8_t member);
void waiting_epoch(struct replica *r); /* another one begins, and its leaders have been handed nothing yet */

/* replica_core.c */
void replica_event(struct replica *r, const struct bft_event *event); /* queued; message is copied */
void replica_run(struct replica *r);                                  /* steps until the queue is empty */
void consensus_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload);

/* replica_block.c */
uint32_t block_find(const struct replica *r, const struct bft_hash *id);
/* NONE: no room, which persist_behind keeps from coming. */
uint32_t block_make(struct replica *r, const struct bft_header *header, const struct bft_hash *id, struct blob_piece body);
void block_free(struct replica *r, uint32_t index);
void block_hold(struct replica *r, const struct bft_action *action);
/* Tries again to find places for the references of a block that has unplaced ones. */
void block_place(struct replica *r, struct rblock *block);
void block_execute(struct replica *r, const struct bft_action *action);
void block_final(struct replica *r, const struct bft_action *action);
void block_drop(struct replica *r, const struct bft_action *action);
void block_store(struct replica *r, uint32_t index);
void block_input_arrived(struct replica *r, uint32_t input);
void block_executed(struct replica *r, struct execution_job *job);
void block_result_take(struct rblock *block, const struct execution_job *job);
void block_finalized(struct replica *r, struct execution_job *job);
void block_publish(struct replica *r);
void block_fetch_frame(struct replica *r, struct replica_peer from, const struct bft_fetch *fetch);
void block_read_done(struct replica *r, uint64_t cookie, struct blob *blob);
void block_release_old(struct replica *r);
/* Puts the certificates not yet stored into the open batch. */
void block_certificates_save(struct replica *r);
/* Submits the finalization of a block that is executed as `ticket`. */
void block_finalize_job(struct replica *r, uint32_t index);
struct execution_job *job_take(struct replica *r, enum execution_kind kind);
void job_submit(struct replica *r, struct execution_job *job);
void job_give(struct replica *r, struct execution_job *job);
/* Fills job->block.refs from the block's references. */
void job_fill_refs(struct replica *r, struct execution_job *job, const uint8_t *body, uint32_t ref_count, const uint32_t *inputs);

/* replica_propose.c */
void propose_try(struct replica *r);
void propose_executed(struct replica *r, struct execution_job *job);
void propose_cancel(struct replica *r);
uint64_t propose_deadline_ms(const struct replica *r);

/* replica_source.c */
/* Is this slice the one that its pair's window has under its number? */
bool source_window_has(struct replica *r, uint32_t index);
void source_init(struct replica *r);
struct pair *pair_find(struct replica *r, uint32_t cluster);
void source_link(struct replica *r, struct replica_peer peer, bool up);
void source_decision_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
void source_newest_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
/* Verifies a compact decision and puts it into the pool; false: invalid (counted). */
bool source_take(struct replica *r, struct blob_piece bytes, struct replica_peer from, uint32_t *index);
void source_consumed(struct replica *r, struct pair *pair, uint64_t consumed);
void source_tick(struct replica *r);
void source_newest_ask(struct replica *r, struct pair *pair); /* NEWEST_QUERY to f+1 nodes */

/* replica_queue.c */
void queue_subscribe_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
void queue_newest_query_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
void queue_add(struct replica *r, struct pair *pair, uint64_t dseq, uint64_t height, struct blob *head, struct blob *slice, bool copied);
void queue_release(struct replica *r, struct pair *pair); /* slices that are acknowledged, and that nobody reads any more */
void queue_serve(struct replica *r, struct pair *pair, uint32_t member);
/* All unacknowledged items, as a checkpoint keeps them. */
struct blob *queue_save(struct replica *r);
bool queue_load(struct replica *r, const uint8_t *bytes, size_t count);

/* replica_client.c */
bool client_init(struct replica *r);
void client_free(struct replica *r);
/* Adds a client or changes it to what final state says; its index. NONE: its card does not fit the id. */
uint32_t client_put(struct replica *r, const uint8_t id[32], const struct exec_client *client);
void client_close(struct replica *r, uint32_t index); /* for good */
uint32_t client_find(const struct replica *r, const uint8_t id[32]);
void client_publish(struct replica *r, struct rblock *block);
void client_answer_again(struct replica *r, uint32_t client, uint64_t height_from);
void client_refuse(struct replica *r, uint32_t client, const uint8_t batch_id_bytes[32], uint8_t code, uint32_t retry_ms);
void client_status_query_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
bool client_may_read(const struct replica *r, uint32_t client, const struct batch *batch);
bool client_may_read_now(struct client *client, uint64_t now_ms, uint32_t op_count, uint32_t *retry_ms); /* its quota; false: after so long */
/* The bytes before the slice of one output of a final block. */
struct blob *client_decision_head(struct replica *r, const struct rblock *block, uint32_t output);

/* replica_admin.c */
/* ADMIN, ANNOUNCE */
void admin_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload);
/* A block's records of clients are final. */
void admin_follow(struct replica *r, const struct blob *clients);
/* May a block take it up now? */
bool admin_is_next(const struct replica *r, const struct input *input);
/* Of an enrolment, its signatures apart: may it have an effect in this final state, or in one to come? */
struct admin_op;
bool admin_enrolment_fits(const struct replica *r, const struct admin_op *op);
void early_keep(struct replica *r, uint8_t relay, struct blob_piece bytes);
void early_free(struct replica *r);

/* replica_last.c */
bool last_init(struct replica *r, const uint8_t nonce[16]);
void last_free(struct replica *r);
void last_begin(struct replica *r);
/* An epoch begins: items go with their keys, and those of keys that are gone go. */
void last_move(struct replica *r);
void last_tick(struct replica *r);
void last_seen(struct replica *r, const struct bft_message *message);
/* P-7: a vote or TIMEOUT of the member at the other end of the link, of which the core has no use any more (others were faster, or my disk is
 * behind), is kept if it is the newest of its kind: what is forgotten here, its signer could sign again after a roll-back. The error of a bad one. */
enum bft_verify_error last_late(struct replica *r, uint8_t from, const struct bft_message *message);
void last_query_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
void last_answer_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
bool last_is_answered(const struct replica *r);
/* My key signs no more, durably (P-15). */
void last_retire(struct replica *r, enum replica_retired why);
void last_persist(struct replica *r);
bool last_restore(struct replica *r, uint8_t kind, uint8_t member, const uint8_t *bytes, size_t count);

/* replica_evidence.c: each does nothing unless its arguments, which were verified, contradict each other; one file for each kind and culprit */
void replica_evidence_votes(struct replica *r, const struct bft_vote *a, const struct bft_vote *b);
void replica_evidence_timeouts(struct replica *r, const struct bft_timeout *a, const struct bft_timeout *b);
void replica_evidence_commit(struct replica *r, const struct bft_vote *commit, const struct bft_timeout *timeout);
void replica_evidence_slice(struct replica *r, struct pair *pair, const struct decision *decision, struct blob_piece bytes);
void replica_evidence_slices(struct replica *r, struct pair *pair, const struct decision *decision, uint32_t other);

/* replica_config.c */
/* What becomes of a CONFIG or SEAL that is handed in now: WAITS, it would have an effect. */
enum admin_code admin_config_judge(const struct replica *r, const struct admin_op *operation, enum system_error *error);
/* Wait so many operations of this node's own clients that no CONFIG or SEAL may join them? */
bool admin_config_full(const struct replica *r);
/* Does this operation decode, and is it signed well enough by the CONFIG in force? What a block names is held if it only decodes (D-4.3). is_signed
 * says then whether it may have an effect: else it is proposed by nobody, and waits for nothing but the block that names it. */
bool admin_take(struct replica *r, struct input *input, struct blob_piece bytes, bool named);
/* Does this relay's operation wait already, under other signatures? */
bool admin_waits(const struct replica *r, uint32_t relay, uint64_t operation);
/* These are the bytes of an operation that lies in a final block: decided before its turn came, it is forgotten now, so that it may come again.
 * False: this is none such. */
bool admin_return(struct replica *r, uint32_t index, struct blob_piece bytes);
/* After a CONFIG: what waits and has no effect any more goes. */
void admin_judge_again(struct replica *r);

/* replica_observe.c */
/* An ANNOUNCE's operation: its new members are let in as observers if it would have an effect (WAITS). */
enum admin_code observe_take(struct replica *r, struct blob_piece bytes, enum system_error *error);
/* Another epoch has begun, or the cluster is sealed: nobody observes by what was announced before. */
void observe_epoch(struct replica *r);
void observe_start(struct replica *r);

/* replica_epoch.c */
bool epoch_init(struct replica *r);
void epoch_free(struct replica *r);
/* The epoch of our blocks at this height, suffix blocks apart. */
uint64_t epoch_of_height(const struct replica *r, uint64_t height);
/* The members of an epoch, NULL: not known. */
const struct bft_members *epoch_members(const struct replica *r, uint64_t epoch);
/* What the block's CONFIG or SEAL does, for the core. */
void epoch_effect(const struct replica *r, const struct rblock *block, struct bft_config_effect *effect);
/* This block is final and certified: if it ends the epoch, its entry joins the chain, durable before anything that is sent from now on. */
void epoch_ended(struct replica *r, const struct rblock *block);
/* The epoch after the current one begins. */
void epoch_begin(struct replica *r);
/* Its SEAL is final here: nothing is decided any more (B-43). */
bool epoch_is_sealed(const struct replica *r);
/* An entry that a member gave joins the chain if it is the next step; taken over. */
enum system_error epoch_learn(struct replica *r, struct blob *entry, struct system_fault *fault);
void epoch_observer_add(struct replica *r, const uint8_t noise_key[32], const char *name, bool announced);
void epoch_observer_drop(struct replica *r, uint32_t index);
/* The links are to the members of this epoch from now on. */
void epoch_links_set(struct replica *r, uint64_t epoch);
/* While restoring: the epoch in which the block after this height lies becomes the current one. */
void epoch_restore_at(struct replica *r, uint64_t height);
/* B-75: the CONFIG block that ended this epoch, with its certificate. */
void epoch_serve(struct replica *r, struct replica_peer to, uint64_t epoch);
/* A frame of an observer: what a removed member still says, and asks. */
void observer_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload);
/* The net knows the nodes of the system file: where CONFIGs put others, it is told at the start. */
void epoch_peers_tell(struct replica *r);
/* Entries that may not be durable yet, as a CONFIG_CHAIN payload for a checkpoint; NULL: none. */
struct blob *epoch_undurable(const struct replica *r);
/* The chain of my cluster from serial 1 on, as receipts and evidence carry it (O-70, B-82): empty in epoch 0. */
struct blob *epoch_chain(const struct replica *r);
/* All of it that is known here, later epochs than the current one too; empty in epoch 0. */
struct blob *epoch_chain_known(const struct replica *r);
void epoch_query_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
void epoch_chain_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
bool pair_epochs_init(struct replica *r, struct pair *pair);
/* The members by whom a certificate of this epoch of another cluster is judged; NULL: not known, and asked for from now on. */
const struct bft_members *pair_members(struct pair *pair, uint64_t epoch);
void pair_chain_tick(struct replica *r, struct pair *pair);

/* replica_transfer.c */
/* From a member or an observer. */
void recovery_member_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload);
void recovery_client_frame(struct replica *r, struct replica_peer from, uint16_t type, struct blob_piece payload);
/* This job makes the block final; if the newest final one, its parent, has a checkpoint, it keeps that first. */
void recovery_checkpoint(struct replica *r, const struct rblock *block, struct execution_job *job);
/* If it is SEAL's block, which is in the queues now, the job keeps the checkpoint after it. */
void recovery_checkpoint_sealed(struct replica *r, const struct rblock *block, struct execution_job *job);
/* f+1 members state that they are final by more than this beyond me. */
bool recovery_others_ahead(const struct replica *r, uint64_t by);
bool recovery_may_be_behind(const struct replica *r);
void recovery_tick(struct replica *r);
void recovery_prune(struct replica *r);

/* replica_restore.c */
void restore_executed(struct replica *r, struct execution_job *job);
void restore_free(struct replica *r);
void restore_core_begin(struct replica *r);

#endif
