/*
 * A world for tests of the replica: one coordinator and one shard cluster of four whole nodes each (replica, executor, a disk that can lose what
 * was not
 * synced), a network that delays, drops and cuts, and one client that trusts nobody. Everything comes from one seed. The replicas are the
 * product's object
 * files, unchanged.
 */
#ifndef TESTS_APPLIANCE_REPLICA_WORLD_H
#define TESTS_APPLIANCE_REPLICA_WORLD_H

#include "appliance/node/transfer_disk.h"
#include "appliance/replica/replica.h"
#include "protocol/config_chain.h"
#include "tests/appliance/prepared_check.h"
#include "tests/appliance/exec_world.h"
#include "tests/keyed/keyed_signer.h"

enum { RW_NODES = 8, RW_CLUSTER = 4, RW_DRAWER_MAX = 1 << 14, RW_MAIL_MAX = 1 << 16, RW_EVIDENCE_MAX = 16 };
enum { RW_NOWHERE = 0xFF, RW_PEERS_MAX = 64, RW_ADMIN_STATE_BYTES = 76, RW_EPOCHS_MAX = 16 };

/* One record of a disk. */
struct rw_record {
    uint8_t db;
    uint8_t key[WAL_KEY_BYTES_MAX];
    uint8_t *bytes;
    size_t count;
    bool used;
};

struct rw_batch; /* on its way to the disk */

struct rw_node {
    struct replica *replica;
    struct executor *executor;
    struct execution *execution;
    struct keyed_signer key;
    uint32_t cluster, member; /* in epoch 0 */
    uint8_t place_of[RW_NODES]; /* at which it knows the others, by what it told its net; RW_NOWHERE: it lets that one in no more */
    bool up;
    struct rw_record *records; /* durable */
    size_t record_count, record_room;
    struct rw_batch *flying; /* oldest first */
    struct prepared_check prepared;
    bool disk_stalled;       /* what flies stays so */
    uint32_t largest_write;  /* records in one batch */
    bool let_in[RW_PEERS_MAX]; /* clients, by the replica's index */
    uint8_t let_in_key[RW_PEERS_MAX][32];
    bool observer_in[RW_PEERS_MAX]; /* observers, by the replica's number */
    uint8_t observer_key[RW_PEERS_MAX][32];
    uint16_t observer_got[RW_PEERS_MAX]; /* type of the newest frame that it was sent */
    uint64_t stopped;        /* how often it said REPLICA_STOP */
    char stop_text[REPLICA_NOTE_BYTES];
    struct rw_evidence { /* files of evidence that it kept */
        char name[REPLICA_NOTE_BYTES];
        uint8_t *bytes;
        size_t count;
    } evidence[RW_EVIDENCE_MAX];
    uint32_t evidence_count;
    struct replica_hooks hooks; /* to make it lie */
    /* In a stored world: checkpoints on a real disk, and state transfer. What they write is durable when the call returns. */
    char path[64];
    struct store_directory *directory;
    struct store_identity identity;
    struct state *state;
    struct transfer_disk disk;
    struct transfer *transfer;
    uint64_t checkpoint_told;
    bool never_serves;       /* BUSY to every question for a piece */
    bool again;              /* it wants to be opened anew */
    uint32_t agains;
    uint32_t transfers;      /* that ended with a new start */
    uint32_t bad_pieces;     /* that it named */
    uint16_t bad_members;    /* whose */
};

struct rw_mail {
    uint64_t due_us;
    uint32_t from, to; /* node, or RW_NODES: the client */
    uint16_t type;
    uint8_t *bytes;
    size_t count;
};

struct replica_world {
    struct world *world;
    /* who the client is: client 0 of the system unless a test says otherwise */
    uint8_t client_id[32];
    struct keyed_signer client_key;
    uint32_t client_index; /* the replicas' */
    struct rw_node nodes[RW_NODES]; /* coordinators 0 to 3, shard 4 to 7 */
    struct rw_mail *mail;
    size_t mail_count;
    uint64_t seed, now_us;
    uint64_t restoring_ms; /* so long ago a node that starts was opened */
    uint32_t drop_percent, delay_us_max;
    uint64_t delivered, answers_bad;
    uint64_t pieces_delivered; /* PIECE frames */
    uint16_t crash_type;       /* a node that gets a frame of this type crashes just after; 0: none */
    uint32_t crash_after, crash_node;
    bool stored;
    uint32_t ahead_bytes;      /* of the replicas' configuration */
    struct ed25519_secret admin; /* the only administrator's */
    /* the client: the coordinators' epochs as their chain shows them */
    struct config_chain *chain;
    struct bft_members epochs[RW_EPOCHS_MAX];
    uint32_t epoch_count, chain_next;
    uint64_t answer_epoch; /* of the newest answer */
    /* answers by digest, newest */
    struct world_answer answers[4096];
    uint32_t answer_count;
    uint8_t admin_state[RW_ADMIN_STATE_BYTES]; /* the newest ADMIN_STATE, and how many came */
    uint64_t admin_states;
    uint8_t refused_code; /* of the newest REFUSED */
    uint32_t nonce;
    uint64_t number; /* of the newest put of rw_puts() */
    void (*frame)(void *context, uint16_t type, const uint8_t *bytes, size_t count); /* of each that comes to the client; may be NULL */
    void *frame_context;
    const struct table_entry *kept; /* of the predecessor's state: the shard begins with it */
    size_t kept_count;
};

/* Another world than usual; zeros: as usual. */
struct rw_wishes {
    uint32_t checkpoint_blocks;             /* checkpoints every so many blocks, pruning, and state transfer */
    void (*prepare)(struct world *world);   /* may change the system before anybody starts */
    const struct table_entry *kept;         /* of a successor: what its shard keeps (S-144); the caller's, as long as the world lives */
    size_t kept_count;
    uint32_t ahead_bytes;                   /* slices so long are prepared as they come; 0: as by default */
};

struct replica_world *rw_create(uint64_t seed);
/* The same; `prepare` may change the system before anybody starts. */
struct replica_world *rw_create_prepared(uint64_t seed, void (*prepare)(struct world *world));
/* The same with checkpoints every so many blocks, pruning, and state transfer. */
struct replica_world *rw_create_stored(uint64_t seed, uint32_t checkpoint_blocks);
struct replica_world *rw_create_wished(uint64_t seed, const struct rw_wishes *wishes);
void rw_destroy(struct replica_world *rw);
/* The disk of a node as it is now, and that disk put back, once, while the node is down (not its checkpoints). */
struct rw_disk {
    struct rw_record *records;
    size_t count;
};
struct rw_disk rw_disk_copy(const struct rw_node *node);
void rw_disk_put_back(struct rw_node *node, struct rw_disk *disk);
/* The checkpoints of a node that is down are lost. */
void rw_lose_state(struct replica_world *rw, uint32_t node);
/* Of a node that is down, no certificate of a block from this height on had reached the disk. */
void rw_certificates_lose(struct replica_world *rw, uint32_t node, uint64_t height);
/* Blocks that lie in a node's write-ahead store. */
size_t rw_blocks_stored(const struct replica_world *rw, uint32_t node);
void rw_crash(struct replica_world *rw, uint32_t node);
/* Starts again from what was durable. */
void rw_restart(struct replica_world *rw, uint32_t node);
/* Lets so much time pass. */
void rw_run(struct replica_world *rw, uint64_t ms);
/* A signed (or read) batch of one part of the client; malloc'd. */
uint8_t *rw_batch(struct replica_world *rw, uint8_t kind, uint64_t number, const struct operation *ops, uint32_t op_count, uint32_t *bytes,
                  uint8_t digest[32]);
void rw_send(struct replica_world *rw, uint32_t node, uint16_t type, const uint8_t *bytes, size_t count);
/* The CONFIG after this one, as it is: to be changed, and signed by rw_admin_send. */
void rw_config_next(const struct config *before, struct admin_op *op);
/* Signs (so many times: 0 or 1) and gives it to a node as the client would; the bytes stay in *out, ADMIN_OP_BYTES_MAX of room. Returns the size. */
size_t rw_admin_send(struct replica_world *rw, uint32_t node, struct admin_op *op, uint32_t signatures, uint8_t *out);
void rw_admin_bytes(struct replica_world *rw, uint32_t node, const uint8_t *bytes, size_t count);
/* Until all nodes of the cluster that are up are in this epoch and vote; false: not within `ms`. */
bool rw_epoch_wait(struct replica_world *rw, uint32_t cluster, uint64_t epoch, uint64_t ms);
/* Any frame from any node or the client, as hostile as you like. */
void rw_inject(struct replica_world *rw, struct replica_peer from, uint32_t to, uint16_t type, const uint8_t *bytes, size_t count);
const struct world_answer *rw_answer(const struct replica_world *rw, const uint8_t digest[32]);
/* Sends, again to the next node after each 400 ms, until answered or `ms` are over. NULL: no answer. */
const struct client_item *rw_ask(struct replica_world *rw, uint8_t kind, uint64_t number, const struct operation *ops, uint32_t op_count,
                                 uint64_t ms);
/* Equal state roots at equal heights within each cluster, among nodes that are up and equally far; the count of pairs compared. CHECKs equality. */
uint32_t rw_compare(struct replica_world *rw);
struct status_replica *rw_status(struct replica_world *rw, uint32_t node); /* static storage */

/* replica_world_ask.c: a script of writes and CONFIGs. */
struct rw_script {
    struct replica_world *rw;
    uint64_t number;                    /* of the newest write: each adds 1 to "sum" */
    struct config coordinator, shard;   /* the newest that was sent */
    uint8_t config[ADMIN_OP_BYTES_MAX]; /* its bytes */
    size_t config_bytes;
};
/* Lets everybody begin. */
void rw_script_begin(struct rw_script *script, struct replica_world *rw);
/* The next CONFIGs are again the first after genesis. */
void rw_script_genesis(struct rw_script *script);
/* So many writes one after the other: all were answered. */
bool rw_adds(struct rw_script *script, uint32_t count);
/* Each write of the script counted once. */
bool rw_sum_is_right(struct rw_script *script);
bool rw_nobody_stopped(const struct replica_world *rw); /* prints who did */
/* The next CONFIG of this cluster, with another time-out and window, is given to a node. */
void rw_config_send(struct rw_script *script, uint32_t node, uint32_t cluster);

enum { RW_KEYS = 60 };
/* So many puts, one after the other, so that each is blocks of its own; all were answered. They go round RW_KEYS keys, under numbers of their own. */
bool rw_puts(struct replica_world *rw, uint32_t count);
/* Another node of its cluster that is up; RW_NODES: none. */
uint32_t rw_other(const struct replica_world *rw, uint32_t node);
/* This node votes: with another member down, nothing is decided without it. And all states agree, nobody stopped, every answer was proved. */
bool rw_votes(struct replica_world *rw, uint32_t node);

#endif
