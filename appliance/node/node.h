/*
 * Private to the node's shell: heracliusd_main.c, node*.c. What it opens, and the two ways to run it.
 *
 *   node.c          opening and closing: configuration, keys, stores, links; errors of the world, each as one line
 *   node_peers.c    the net's peers: nodes and clients
 *   node_addresses.c  addresses.json, read again when it changes
 *   node_restore.c  from the store into executor and replica
 *   node_transfer.c the thread of state transfer
 *   node_scrub.c    the thread that reads the stores again and again
 *   node_fused.c    one thread for network, consensus and execution
 *   node_split.c    a thread each, joined by single-producer single-consumer rings (node_lane.h)
 *   node_verify.c   threads that verify ahead of consensus
 *   node_hash.c     threads that help execution to hash
 *   node_status.c   the snapshot for the control socket
 *   node_explain.c  which threads and how much memory, without running
 *   node_cost.c     what the work costs: meters of the threads, the signer that is measured
 */
#ifndef APPLIANCE_NODE_H
#define APPLIANCE_NODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "appliance/config/node_config.h"
#include "appliance/node/node_batches.h"
#include "appliance/node/node_values.h"
#include "appliance/node/node_transfer.h"
#include "appliance/replica/replica.h"
#include "appliance/status/control.h"
#include "appliance/status/load.h"
#include "appliance/status/watch.h"
#include "bft/ed25519_keys.h"
#include "bft/verdict.h"
#include "protocol/addresses.h"
#include "protocol/keyfile.h"
#include "ring/net.h"

enum { NODE_TEXT_BYTES = 700, NODE_DRAIN_MS = 5000, NODE_GOODBYE_MS = 500, NODE_STATUS_MS = 200, NODE_NOTES_MAX = 64, NODE_OBSERVERS_MAX = 64 };
/* Room for the tables of 2,048 keys that verify often (bft/ed25519_keys.h), 8 MiB, touched as they come. */
enum { NODE_KEY_SETS = 256 };
enum { NODE_LOAD_MS = 100, NODE_LOAD_STALE_MS = 1000 };
enum { NODE_METERS = NODE_THREAD_EXECUTION + 1, NODE_FLIGHTS = 256 };
enum { NODE_DAMAGES_MAX = 3 }; /* damages of memory or checkpoint at which the process ends instead of opening the node anew */

/* Must be HERACLIUS_VERSION of the client library, which this folder may not include. */
#ifndef NODE_RELEASE /* a test builds one that plays the next release */
#define NODE_RELEASE "1.0.0"
#endif

/* Exit codes of heracliusd. */
enum node_exit { NODE_EXIT_OK = 0, NODE_EXIT_STOPPED = 1, NODE_EXIT_CONFIG = 2, NODE_EXIT_DATA = 3, NODE_EXIT_NETWORK = 4 };

/* node_successor.c; the consensus loop's. */
struct successors {
    uint64_t look_ms;
    uint32_t count; /* looked at in this life */
    struct successor_looked {
        char id[32];
        bool refused;      /* looked at again after a while, and when another CONFIG is in force */
        uint64_t epoch;    /* of the CONFIG by which it was refused */
        uint64_t again_ms;
    } looked[16];
};

struct node {
    struct node_config config;
    struct thread_plan plan;
    struct system *system;
    struct addresses *addresses, *addresses_before;
    struct keyfile key;
    bool key_open;
    char name[CARD_NAME_BYTES_MAX + 1];
    uint32_t cluster, member;
    struct store_directory *directory;
    struct store_identity identity;
    struct wal *wal;
    struct state *state;
    bool state_remade; /* in this start: once is enough */
    struct executor *executor;
    struct exec_region *regions; /* what it reserved; constant while it lives */
    uint32_t region_count;
    struct execution *execution;
    struct replica *replica;
    struct signer_often often; /* of the replica's signer and thread */
    struct verdict_table *verdicts; /* of the replica's signer, where there are verifiers; the replica's thread */
    struct node_transfer *transfer;
    struct net *net;
    struct loop *ring; /* of the life before, until the net has it; then of this one, for the next, once it is closed */
    atomic_bool decision_wanted;   /* set by the control thread, taken by the replica's */
    atomic_bool net_running;       /* net_wake() may be called */
    uint32_t *node_handles;        /* of the net, by cluster of the system file and place in it; NET_PEER_NONE: nobody. The net's thread */
    uint32_t observer_handles[NODE_OBSERVERS_MAX]; /* likewise, by the replica's index */
    uint32_t *client_handles;      /* of the net, by the replica's index of a client; NET_PEER_NONE: not let in. The net's thread */
    struct node_addresses *watch;  /* node_addresses.c */
    struct timespec addresses_time; /* of the file, just before it was read first */
    struct control *control;
    const struct replica_hooks *hooks; /* a test build's liars; NULL in the product */
    uint8_t genesis_root[32];
    struct successors successors;
    bool inherits; /* genesis is made from a backup (node_genesis.h) */
    uint64_t checkpoint_told;

    struct node_batches batches; /* PERSISTs that the store had no room for yet */
    struct node_values values;   /* PREPAREs that the store reads */
    uint64_t submitted, durable_told;

    /* Wakes the consensus loop from the storage thread. */
    void (*_Atomic wake)(struct node *node); /* written by the loop's thread before and after it runs */
    struct split *split;                     /* node_split.c */

    /* ending */
    int exit_code;
    bool stop;  /* a sticky error was logged, or `again`: leave the loop */
    bool again; /* what came from peers has to be opened anew, or something here was damaged */
    uint32_t damages; /* lives of this process that ended by damage, the last included */
    struct node_scrub *scrub; /* node_scrub.c */
    bool draining;
    uint64_t drain_until_ms;

    /* the snapshot: written by the loop, read by the control thread */
    pthread_mutex_t status_lock;
    struct status_node status;
    uint64_t status_ms, status_net_ms, started_ms, load_ms;
    struct load load; /* the consensus thread's */
    atomic_bool opened;                           /* the control thread may look at more than the snapshot */
    uint64_t progress;                            /* node_progress.c: of this process, whatever its lives */
    uint64_t progress_height, progress_pieces;    /* that were counted */
    struct watch_clock clock_watch; /* by the loop */
    unsigned wal_told;
    uint64_t asking_since_ms;
    atomic_int running_cpu[NODE_THREADS]; /* each written by its own thread */
    atomic_uint_fast64_t hash_shared;     /* times that execution shared its hashing out (node_hash.c); written by it */

    /* node_cost.c */
    struct cost_meter meters[NODE_METERS]; /* of the threads of the same numbers; fused: the first has all */
    struct signer signing;                 /* what the measured one calls */
    struct histogram wal_us;               /* batches of the wal; the replica's thread */
    struct net_cost net_cost;              /* that was told already; the net's thread */
    struct node_flight { uint64_t sequence, begun_us; } flights[NODE_FLIGHTS]; /* batches given to the storage thread, by sequence */
};

/* Set by the signal handler: SIGTERM or SIGINT came; SIGHUP: read addresses.json again. */
extern atomic_bool node_ending, node_rereading;

/* Opens everything. NODE_EXIT_OK, or an exit code after one line in `text`. */
/* `before` (taken over; NULL in the first life of the process): the addresses of the life before, in force as long as the file is not good.
 * `progress`: of the life before, 0 in the first. */
enum node_exit node_open(struct node *node, const char *config_path, struct addresses *before, uint64_t progress, char text[NODE_TEXT_BYTES]);
void node_close(struct node *node);
/* Runs until it is to end; the exit code. */
int node_run_fused(struct node *node);
int node_run_split(struct node *node);
/* After the stores are closed: their wake-ups may still come until then. */
void node_split_free(struct node *node);
/* Read by the race detector's runtime in its own build: the rings' fences are not its language. */
const char *__tsan_default_suppressions(void);

/* Parts of opening, for node_explain.c too. `lock`: its key file is this process' alone. */
enum node_exit node_files_open(struct node *node, const char *config_path, bool lock, char text[NODE_TEXT_BYTES]);
enum node_exit node_executor_open(struct node *node, char text[NODE_TEXT_BYTES]);
bool node_replica_make(struct node *node); /* false: no memory */
enum node_exit node_net_open(struct node *node, char text[NODE_TEXT_BYTES]);

/* node_explain.c: prints which thread map a node has on this machine, by which thresholds, and what memory it may use; touches nothing of it, and may
 * be asked beside one that runs. `config_path` NULL: a node of which nothing is known. The exit code. */
int node_explain(const char *config_path);

/* node_restore.c: fills executor and replica. Otherwise `text` says why. NODE_STATE_LOST: the checkpoint is damaged, the rest was not looked at;
 * executor and replica are spoilt. */
enum node_restored { NODE_RESTORED, NODE_RESTORE_FAILED, NODE_STATE_LOST };
enum node_restored node_restore(struct node *node, char text[NODE_TEXT_BYTES]);
/* node.c: the store of checkpoints; made anew, empty, when what is there is lost. */
enum node_exit node_state_open(struct node *node, char text[NODE_TEXT_BYTES]);
enum node_exit node_state_remake(struct node *node, const char *why, char text[NODE_TEXT_BYTES]);

/* node_cost.c. The meter of a thread; by the thread itself, when it begins. */
struct cost_meter *node_meter(struct node *node, enum node_thread thread);
void node_meter_start(struct node *node, enum node_thread thread);
/* The signer for the replica: what it verifies and signs is measured. On the replica's thread alone. */
struct signer node_signer(struct node *node, struct signer inner);
/* Which component a frame of this type is work for. */
enum cost_component node_cost_of(uint16_t type);
/* net_poll, measured; on the net's thread. */
void node_net_poll(struct node *node, uint32_t timeout_ms);
/* A batch goes to the storage thread, and what it did up to `sequence` is durable. */
void node_flight_begin(struct node *node, uint64_t sequence);
void node_flight_end(struct node *node, uint64_t sequence);
/* Into the snapshot: the components; on the thread that asks: threads, page faults. */
void node_cost_put(struct node *node, struct status_node *status);
void node_cpu_put(struct status_node *status);

/* Parts of both loops. */
/* The net is up, on the calling thread, which is named; false: a line on standard error says why not. */
bool node_net_start(struct node *node, const char *thread);
/* On the replica's thread: what it asks of its node, but for jobs and the net's part (REPLICA_SEND, _PEER_ADD, _PEER_REMOVE). */
void node_output(struct node *node, const struct replica_output *output);
void node_note(const struct replica_output *output);
/* What became durable is given back to the replica, what waits goes to the store. False: the store stopped, logged. */
bool node_store_poll(struct node *node);
/* So far the state is checkpointed. */
void node_checkpointed(struct node *node, uint64_t height);
/* Writes a file of evidence into the data directory, unless it is there. */
void node_evidence(const struct node *node, const struct replica_output *output);
/* Draining after SIGTERM; true: time to leave. */
bool node_drain_step(struct node *node, uint64_t now_ms);
void node_pin(struct node *node, enum node_thread thread, const char *name);
void node_cpu_sample(struct node *node, enum node_thread thread);

/* node_successor.c: by the consensus loop, now and then. */
void node_successors_look(struct node *node, uint64_t now_ms);

/* node_peers.c */
/* All addresses of an endpoint, as far as there is room; none, and a line in the log, where its name is not known. */
void node_address_resolve(const struct address_endpoint *endpoint, struct net_peer_config *peer);
/* Everybody whom the system file lets this node talk to. False: one was refused, logged. */
bool node_peers_add(struct node *node);
/* So many at the most: nodes, and clients enrolled later. */
uint32_t node_peers_max(const struct node *node);
/* On the net's thread: lets a client in or shuts it out, as a REPLICA_PEER_ADD or _REMOVE says; sends a frame. */
void node_peer_let_in(struct node *node, struct replica_peer peer, const uint8_t noise_key[32], const char *name);
void node_peer_shut_out(struct node *node, struct replica_peer peer);
enum net_status node_send(struct node *node, struct replica_peer to, uint16_t type, const struct blob_piece *pieces, unsigned count);
/* node_addresses.c. False: no thread. */
bool node_addresses_start(struct node *node);
void node_addresses_stop(struct node *node);
/* On the net's thread: the file's address of this name is that of this key too, whom no system file names; and is no more. */
void node_addresses_follow(struct node *node, const uint8_t noise_key[32], const char *name);
void node_addresses_leave(struct node *node, const uint8_t noise_key[32]);
/* One line in the log: the file is not good, and what was in force stays so. */
void node_addresses_refused(const char *why);
/* On the net's thread, now and then: what was read since is dialled from now on. */
void node_addresses_apply(struct node *node);
/* Says goodbye on all links and waits a little. */
void node_goodbye(struct node *node);
/* A store failed: logs, sets stop. */
void node_state_failed(struct node *node, const struct store_error *error);
/* The store of checkpoints failed: as above, but where it read back what it had not written, as after a scrub: the node opens itself anew. */
void node_checkpoints_failed(struct node *node, const struct store_error *error);

/* node_scrub.c: the thread reads what lies in both stores again, at the configured rate; what it finds goes to the replica by node_scrub_poll(), on
 * the loop's thread. False: no thread. */
bool node_scrub_start(struct node *node);
void node_scrub_stop(struct node *node);
void node_scrub_poll(struct node *node);
struct node_scrub_figures {
    uint64_t wal_records, wal_rounds, state_records, state_rounds;
};
void node_scrub_figures(const struct node *node, struct node_scrub_figures *figures);

/* node_progress.c: what is told while the node is opened, and how far it is with what it has to do before it may vote. */
/* Opening begins: its stores are its own. */
void node_opening(struct node *node);
/* So much more of that work is done, entries and blocks, by the thread that opens it: now and then the snapshot is brought up to date. */
void node_progress(struct node *node, uint32_t pieces);
/* By the loop, which holds status_lock. */
void node_progress_look(struct node *node);

/* node_status.c: by the consensus loop, and by the net's thread. */
void node_status_update(struct node *node, uint64_t now_ms);
void node_load_look(struct node *node, uint64_t now_ms); /* tells the replica how busy the CPUs are, ten times a second while it proposes */
/* What stays the same while it lives; status_lock is held. */
void node_status_head(struct node *node);
void node_status_net(struct node *node, uint64_t now_ms);
void node_status_copy(void *context, struct status_node *status);
void node_decide(void *context);
void node_budget_log(struct node *node);
/* The parts of the budget into `status`: what is open of executor, replica and net counts. */
void node_budget_put(struct node *node, struct status_node *status);

#endif
