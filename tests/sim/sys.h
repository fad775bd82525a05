/*
 * The simulator of the whole system: clusters of whole nodes, clients, links, disks and clocks in one process, all decided by one seed.
 *
 * What is the product's own (the same object files as in heracliusd and libheraclius, see tests/sim/test_same_objects): consensus core, replica,
 * executor, table and trie, execution with its checkpoints, recovery (node_restore), state transfer (transfer*.c), and the client library (engine,
 * requests, numbers, answers, journal). What the simulator puts in the place of a machine, by defining the same functions:
 *
 *   sys_clock.c       ring/clock.c, ring/entropy.c: time and random words
 *   sys_disk.c        store/wal.c: the write-ahead store, by its contract (wal.h), with what was not synced lost, stalls and damaged records
 *   sys_checkpoint.c  store/state.c: the same for checkpoints, and for one that is on its way from peers
 *   sys_transport.c   client/connection.c: a client's links
 *   sys_node.c        the loop of node_fused.c
 *   sys_transfer.c    the thread of node_transfer.c
 *
 * And what decides and watches:
 *
 *   sys_setup.c       the system file and all keys
 *   sys_admin.c       the administrators: CONFIGs signed and handed in, who is a member of what
 *   sys_world.c       events in order of time; the two phases of a walk
 *   sys_enrol.c       clients enrolled, changed and revoked
 *   sys_place.c       who is at which place of a cluster's list: CONFIGs that change it, and what nodes hold it to be
 *   sys_address.c     where nodes are reached: they move, and operators' files follow
 *   sys_seal.c        clusters ended by SEAL
 *   sys_backup.c      backups taken by honest clients
 *   sys_succession.c  the successor of a system, begun from backups, and who goes over to it
 *   sys_network.c     links: delay, loss, duplication, order, cuts
 *   sys_peers.c       whom each node's net lets in
 *   sys_fault.c       what goes wrong, and when
 *   sys_liar.c        Byzantine nodes: the scripted ones of tests/liar and random ones that hold their node's key
 *   sys_liar_piece.c  what random ones show and give to those who take a checkpoint from them
 *   sys_client.c      honest clients, on the library; sys_model.c what they may see
 *   sys_hostile.c     clients that break the rules
 *   sys_check.c       safety, after each step
 *   sys_report.c      the trace that people read, and figures
 *   sys_walk.c        walks in processes of their own, and how a failure is made smaller
 *
 * A violation is told by sys_fail(): one line, then the process ends with SYS_EXIT_VIOLATION. One walk runs in one process (sys_walk.c).
 */
#ifndef TESTS_SIM_SYS_H
#define TESTS_SIM_SYS_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "appliance/replica/replica.h"
#include "bft/wire.h"
#include "merkle/check.h"
#include "store/state.h"
#include "store/wal.h"
#include "tests/appliance/prepared_check.h"
#include "tests/keyed/keyed_signer.h"

enum {
    SYS_SIDE_MAX = 4, /* clusters of a side */
    SYS_CLUSTERS_MAX = 2 * SYS_SIDE_MAX,
    SYS_MEMBERS_MAX = 10,
    SYS_SPARES_MAX = 16, /* nodes that a CONFIG may bring in */
    SYS_NODES_MAX = SYS_CLUSTERS_MAX * SYS_MEMBERS_MAX + SYS_SPARES_MAX,
    SYS_CLIENTS_MAX = 8, /* honest ones, then hostile ones, then the administrators' */
    SYS_ADMINS = 3,
    SYS_ADMINS_NEEDED = 2,
    SYS_ENDS_MAX = SYS_NODES_MAX + SYS_CLIENTS_MAX,
    SYS_TEXT_BYTES = 256,
    SYS_PATH_BYTES = 96,
    SYS_SYSTEMS_MAX = 2, /* a walk's: a first one, and its successor */
    SYS_EXIT_VIOLATION = 3,
};

/* What may go wrong in a walk; each is a bit of sys_config.faults. X(identifier, name) */
#define SYS_FAULTS(X)                                                                                                                                \
    X(SYS_LOSS, "loss")                                                                                                                              \
    X(SYS_DUPLICATE, "duplicate")                                                                                                                    \
    X(SYS_DELAY, "delay")                                                                                                                            \
    X(SYS_CUT, "cut")                                                                                                                                \
    X(SYS_CUT_ONE_WAY, "one_way_cut")                                                                                                                \
    X(SYS_FLAP, "flap")                                                                                                                              \
    X(SYS_CRASH, "crash")                                                                                                                            \
    X(SYS_POWER, "power_loss")                                                                                                                       \
    X(SYS_LOST, "unsynced_lost")                                                                                                                     \
    X(SYS_REACHED, "unacknowledged_kept")                                                                                                            \
    X(SYS_FLIP, "bit_flip")                                                                                                                          \
    X(SYS_ROLLBACK, "rolled_back_disk")                                                                                                              \
    X(SYS_SLOW_NODE, "slow_node")                                                                                                                    \
    X(SYS_SLOW_DISK, "slow_disk")                                                                                                                    \
    X(SYS_STALL, "disk_stall")                                                                                                                       \
    X(SYS_JUMP, "clock_jump")                                                                                                                        \
    X(SYS_DRIFT, "clock_drift")                                                                                                                      \
    X(SYS_SCRIPTED, "scripted_liar")                                                                                                                 \
    X(SYS_RANDOM, "random_liar")                                                                                                                     \
    X(SYS_HOSTILE, "hostile_client")                                                                                                                 \
    X(SYS_CLIENT_CRASH, "client_crash")                                                                                                              \
    X(SYS_CONFIG, "config")                                                                                                                          \
    X(SYS_ENROL, "enrolment")                                                                                                                        \
    X(SYS_MOVE, "node_moved")                                                                                                                        \
    X(SYS_BACKUP, "backup")                                                                                                                          \
    X(SYS_SEAL, "seal")                                                                                                                              \
    X(SYS_BURN, "cluster_lost")
#define SYS_IDENTIFIER(identifier, name) identifier,
enum sys_fault { SYS_FAULTS(SYS_IDENTIFIER) SYS_FAULT_COUNT };
#undef SYS_IDENTIFIER
const char *sys_fault_name(enum sys_fault fault);

/* What the checkers watch; sys_plant makes one of them fire. X(identifier, name) */
#define SYS_CHECKS(X)                                                                                                                                \
    X(SYS_CHECK_NONE, "none")                                                                                                                        \
    X(SYS_CHECK_AGREEMENT, "agreement")                                                                                                              \
    X(SYS_CHECK_VOTES, "votes")                                                                                                                      \
    X(SYS_CHECK_EQUIVOCATION, "equivocation")                                                                                                        \
    X(SYS_CHECK_DURABLE, "durable")                                                                                                                  \
    X(SYS_CHECK_ROOT, "root")                                                                                                                        \
    X(SYS_CHECK_QUEUE, "queue")                                                                                                                      \
    X(SYS_CHECK_ONCE, "once")                                                                                                                        \
    X(SYS_CHECK_ORDER, "order")                                                                                                                      \
    X(SYS_CHECK_LOST, "lost")                                                                                                                        \
    X(SYS_CHECK_SUM, "sum")                                                                                                                          \
    X(SYS_CHECK_BOUND, "bound")                                                                                                                      \
    X(SYS_CHECK_ANSWERED, "answered")                                                                                                                \
    X(SYS_CHECK_STOPPED, "stopped")                                                                                                                  \
    X(SYS_CHECK_PLACE, "place")                                                                                                                      \
    X(SYS_CHECK_ADDRESS, "address")                                                                                                                  \
    X(SYS_CHECK_CUT, "cut")
#define SYS_IDENTIFIER(identifier, name) identifier,
enum sys_check { SYS_CHECKS(SYS_IDENTIFIER) SYS_CHECK_COUNT };
#undef SYS_IDENTIFIER
const char *sys_check_name(enum sys_check check);

struct sys_config {
    uint64_t seed, events;
    uint32_t coordinators, shards, n, clients, hostile;
    uint32_t liars;    /* per cluster at most, <= f */
    uint32_t faults;   /* bits of enum sys_fault */
    bool real_keys;    /* Ed25519 instead of the keyed signer */
    bool quiet_faults; /* scenarios: nothing goes wrong by itself */
    uint32_t checkpoint_blocks, view_base_ms, rotation_blocks; /* the last: 0: by chance */
    enum sys_check plant;
    const char *trace; /* path of the readable trace, NULL: none */
};

enum { SYS_EVENT_NAMES_MAX = 128, SYS_NAME_BYTES = 32 };

/* A part of the result of a walk, in memory shared with the parent. */
struct sys_stats {
    uint64_t events, delivered, ticks, disk, polls, finals, blocks_empty, views, answers, refused, unsettled, restarts, retired, simulated_ms, checks;
    uint64_t transfers;
    uint64_t agreed, evidence, certificates, votes, roots, linear, sums, places, names; /* how often each checker looked */
    uint64_t faults[SYS_FAULT_COUNT];
    uint64_t drops[STATUS_DROP_COUNT], attacks[STATUS_ATTACK_COUNT], phases[8];
    struct {
        char name[SYS_NAME_BYTES];
        uint64_t count;
    } reached[SYS_EVENT_NAMES_MAX]; /* events of the nodes' logs: states and transitions */
    uint32_t reached_count;
};

enum sys_event_kind {
    SYS_DELIVER = 1,
    SYS_TICK,
    SYS_DISK,
    SYS_CHECKPOINT,
    SYS_START,
    SYS_POLL,
    SYS_LINK,
    SYS_FAULT,
    SYS_ACT,
    SYS_TRANSFER,
    SYS_ADMIN,
    SYS_ADDRESS
};

struct sys_event {
    uint64_t at_us, sequence;
    struct blob *blob; /* DELIVER */
    uint32_t generation;
    uint16_t link; /* DELIVER: how often it had gone up and down when this was sent */
    uint16_t type; /* of the frame; LINK: 1: it goes down */
    uint8_t kind, to, from;
};

/* One record of a disk. */
struct sys_record {
    struct sys_record *next; /* in its bucket */
    uint64_t hash;
    uint8_t *bytes;
    size_t count;
    uint8_t db;
    bool damaged; /* its checksum does not fit any more */
    uint8_t key[WAL_KEY_BYTES_MAX];
};

/* A batch that was given to the disk. */
struct sys_flight {
    uint64_t sequence;
    struct wal_batch batch;
};

/* The write-ahead store of one node: wal.h's `struct wal`. What flies belongs to the replica. */
struct wal {
    struct sys_world *world;
    struct sys_record **buckets;
    uint32_t bucket_count;
    uint64_t records, bytes;
    struct sys_flight *flying; /* ring */
    uint32_t flying_first, flying_count, flying_room, committing;
    uint64_t latency_us, stalled_until_us, memory_version; /* the last grows with each write of the voting memory */
};

struct sys_place;
struct sys_blobs;
struct sys_pending;

/* A checkpoint store of one node: state.h's `struct state`. */
struct state {
    struct sys_world *world;
    uint8_t node;
    bool transfer; /* not its own checkpoint but one on its way from peers */
    bool has, busy;
    struct sys_place **buckets;
    uint32_t bucket_count;
    uint64_t entries;
    struct state_checkpoint checkpoint;
    struct sys_blobs *blobs;
    struct sys_pending *pending, **pending_end; /* submitted, in order */
    uint64_t submitted, completed, latency_us;
    uint64_t commits; /* with a checkpoint */
    struct state_reader *before; /* transfer: what a power cut finds until writing_until_us */
    uint64_t writing_until_us;
};

/* store.h's. */
struct store_directory {
    struct sys_world *world;
    uint32_t node;
    struct state *own, *taken;
    bool has_taken;
};

struct sys_key {
    struct keyed_signer keyed;
    struct ed25519_secret secret;
    struct sys_world *world;
    uint8_t node; /* SYS_NODES_MAX and more: no node's */
    uint8_t public_key[32];
};

/* What an honest node signed: digests of the signed strings. */
struct sys_signed {
    uint64_t *slots;
    uint32_t count, room;
};

struct sys_node {
    struct node *shell; /* appliance/node/node.h */
    const struct card *card;
    bool spare, ordered; /* spare: not of the system file; ordered: the administrators had it started */
    bool faulty;         /* counts among the f of each CONFIG that it is in */
    /* Whom its net lets in, and under which names its replica knows them; kind 0: not at all. */
    struct replica_peer peers[SYS_ENDS_MAX];
    bool dropped[SYS_ENDS_MAX]; /* its replica forgot this peer: it is not told that the link went down */
    uint8_t member_ends[BFT_MEMBERS_MAX], foreign_ends[SYS_CLUSTERS_MAX][BFT_MEMBERS_MAX];
    struct replica_hooks hooks;
    struct sys_key key;
    uint32_t cluster_index, cluster, member;
    bool up, liar;
    bool doubtful; /* its disk was damaged or rolled back: it may stop, retire, or stay behind; one of the f */
    bool broken;   /* stays down for good */
    uint32_t generation;
    void *lie; /* of sys_liar.c */
    struct wal wal;
    struct state state, taken;
    struct store_directory directory;
    struct sys_transfer *transfer; /* of sys_transfer.c; while it is up */
    uint64_t tick_us, busy_until_us, slow_us;
    /* clock: local = base + (now - at) * (1e6 + drift) / 1e6 */
    uint64_t clock_base_us, clock_at_us;
    int64_t drift_ppm, wall_offset_ms;
    uint64_t checkpoint_told;
    /* checks */
    struct sys_signed votes;
    uint64_t checked_height, checked_signature, memory_version, enrolled, places_checked;
    uint64_t sent_dseq[SYS_CLUSTERS_MAX];
    uint64_t consumed[SYS_CLUSTERS_MAX];
    struct bft_memory *memory; /* as it stands on the disk */
    bool has_memory;
    struct prepared_check prepared; /* of the running one */
};

struct sys_block {
    bool known, has_root;
    struct bft_hash id, state_root /* after the parent */, root_after;
};

/* A CONFIG that k administrators signed. */
struct sys_epoch {
    struct config config;
    struct bft_members members;         /* once it is in force; place.epoch is its number */
    uint8_t node_of[BFT_MEMBERS_MAX];
    uint8_t *bytes;                     /* the operation; NULL: genesis */
    size_t count;
};

/* SEAL of a cluster; sealed: an honest member shows it as final. */
struct sys_seal {
    uint8_t *bytes; /* the operation; NULL: none was signed */
    size_t count;
    uint64_t serial, height;
    bool sealed;
};

struct sys_cluster {
    uint32_t cluster, first, n, f; /* of the system file: nodes first ... first + n - 1 */
    uint32_t broken;               /* so many of it ever lied or broke */
    struct sys_epoch *epochs;      /* in force, by number, as honest nodes entered them */
    uint32_t epoch_count;
    struct sys_epoch proposed[2];  /* signed, for the epoch after; two of them are rivals */
    uint32_t proposed_count;
    struct sys_seal seal;
    bool burnt;              /* more than f members are gone for good */
    uint64_t base;           /* height of genesis */
    struct sys_block *chain; /* by height above it */
    uint64_t chain_room, height;
    uint64_t sent_max[SYS_CLUSTERS_MAX], consumed_max[SYS_CLUSTERS_MAX];
    uint8_t (*leaves[SYS_CLUSTERS_MAX])[32]; /* leaf hash by dseq, to each cluster */
    uint64_t leaves_room[SYS_CLUSTERS_MAX];
};

struct sys_link {
    uint16_t changes; /* how often it went up or down */
    bool up, cut_to, cut_from; /* cut_to: what the lower end sends is lost */
};

struct sys_world {
    struct sys_config config;
    struct sys_stats *stats;
    struct system *system;
    uint64_t random[4];
    uint64_t now_us, sequence, trace_hash;
    struct sys_event *heap;
    size_t heap_count, heap_room;
    struct sys_cluster clusters[SYS_CLUSTERS_MAX];
    uint32_t cluster_count, genesis_count, node_count, end_count; /* nodes of the system file come first, then the spare ones */
    struct sys_admins *admins; /* of sys_admin.c; NULL: nothing is to be signed */
    struct sys_enrolments *enrolments; /* of sys_enrol.c; NULL: none is made */
    struct sys_addresses *addresses;   /* of sys_address.c; NULL: nobody moves, and all find all */
    struct sys_backups *backups; /* of sys_backup.c; NULL: none is taken */
    struct sys_origin *origin;   /* of sys_succession.c: this world is a successor's; NULL: a first system's */
    struct card spare_cards[SYS_SPARES_MAX];
    struct sys_node nodes[SYS_NODES_MAX];
    struct sys_client *clients[SYS_CLIENTS_MAX];
    struct sys_key client_keys[SYS_CLIENTS_MAX];
    struct sys_link links[SYS_ENDS_MAX][SYS_ENDS_MAX]; /* [lower][higher] */
    struct sys_model *model;
    struct signer verifier;
    /* network */
    uint32_t loss_ppm, duplicate_ppm, spike_ppm;
    uint64_t delay_min_us, delay_max_us, spike_us;
    uint32_t sites; /* scenarios: member m of each cluster is at site m mod so many, clients at the first; who is at one site is near. 0: nobody is */
    /* phases */
    uint32_t journals_full; /* clients that may not hold all that took effect above a cut */
    bool healed, closing; /* closing: all clusters are ended by SEAL, and clients go on meanwhile */
    uint64_t healed_us, heal_end_us;
    struct blob *captured[64]; /* signed batches that went by, for those who replay them */
    uint32_t captured_count;
    FILE *trace;
    uint8_t current; /* whose step this is */
    bool stop;       /* scenarios: leave the loop */
};

/* sys_world.c */
uint64_t sys_random(struct sys_world *world, uint64_t below);
bool sys_chance(struct sys_world *world, uint32_t ppm);
void sys_schedule(struct sys_world *world, struct sys_event event);
struct sys_world *sys_world_create(const struct sys_config *config, struct sys_stats *stats);
/* The same in two steps, for a successor (`origin`; else NULL): keys and disks, then nodes and clients. */
struct sys_world *sys_world_make(const struct sys_config *config, struct sys_stats *stats, struct sys_origin *origin, uint64_t now_us);
void sys_world_begin(struct sys_world *world);
void sys_world_destroy(struct sys_world *world);
/* The next event; false: there is none. */
bool sys_world_step(struct sys_world *world);
void sys_world_run_ms(struct sys_world *world, uint64_t ms);
/* Both phases: config.events events in which things go wrong, then all heals and everything must get its answer. The world of the system that there
 * is in the end: this one, or its successor's, which owns it. */
struct sys_world *sys_world_walk(struct sys_world *world);
void sys_world_heal(struct sys_world *world);
/* The bound of the liveness phase, in simulated ms after the heal. */
uint64_t sys_world_bound_ms(const struct sys_world *world);
void sys_fail(struct sys_world *world, enum sys_check check, const char *format, ...) __attribute__((format(printf, 3, 4), noreturn));
/* Folds a word into the hash of everything that happened. */
static inline void sys_mix(struct sys_world *world, uint64_t word) {
    uint64_t x = (world->trace_hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    world->trace_hash = x ^ x >> 29;
}

/* sys_setup.c */
void sys_setup(struct sys_world *world);
void sys_setup_free(struct sys_world *world);
struct signer sys_signer(struct sys_world *world, struct sys_key *key);
/* "c0-n1", "s1-n3", "client2" */
const char *sys_end_name(const struct sys_world *world, uint32_t end, char out[SYS_NAME_BYTES]);
uint32_t sys_cluster_index(const struct sys_world *world, uint32_t cluster);

/* sys_clock.c */
void sys_clock_set(uint64_t now_us);
void sys_entropy_seed(uint64_t seed);

/* sys_disk.c, sys_checkpoint.c */
void sys_disk_init(struct sys_world *world, struct wal *wal);
void sys_disk_free(struct wal *wal);
void sys_disk_submit(struct sys_world *world, uint32_t node, uint64_t sequence, const struct wal_batch *batch);
/* A commit is done: applies it; the sequence that is durable now. */
uint64_t sys_disk_commit(struct sys_world *world, uint32_t node);
/* Power is gone: of what flies, the first `kept` batches had reached the disk. */
void sys_disk_crash(struct wal *wal, uint32_t kept);
void sys_disk_begin(struct sys_world *world, uint32_t node);
const struct sys_record *sys_disk_find(const struct wal *wal, enum wal_db db, const uint8_t *key);
void sys_disk_put(struct wal *wal, const struct wal_record *record); /* at once */
/* Flips a bit of some record: false if there is none. */
bool sys_disk_damage(struct sys_world *world, struct wal *wal);
void sys_disk_copy(struct wal *to, const struct wal *from);
void sys_disk_clear(struct wal *wal);
void sys_state_init(struct sys_world *world, uint32_t node, struct state *state);
void sys_state_free(struct state *state);
void sys_state_commit(struct sys_world *world, uint32_t node);
void sys_state_crash(struct sys_world *world, struct state *state, bool reached);
bool sys_state_damage(struct sys_world *world, struct state *state);
bool sys_state_flip(struct state *state); /* a bit of a user's value, which no checksum of the disk tells; cuts have it too */
void sys_state_clear(struct state *state);
void sys_state_copy(struct state *to, const struct state *from);

/* sys_network.c */
struct sys_link *sys_link_of(struct sys_world *world, uint32_t a, uint32_t b);
bool sys_link_known(const struct sys_world *world, uint32_t a, uint32_t b); /* do these two ever talk? */
bool sys_link_is_cut(const struct sys_world *world, uint32_t from, uint32_t to);
void sys_link_cut(struct sys_world *world, uint32_t from, uint32_t to, bool cut);
/* Both ends learn of it. */
void sys_link_set(struct sys_world *world, uint32_t a, uint32_t b, bool up);
/* Takes the reference over. */
void sys_transmit(struct sys_world *world, uint32_t from, uint32_t to, uint16_t type, struct blob *blob);
void sys_deliver(struct sys_world *world, const struct sys_event *event);
/* An attempt to connect, in so long. */
void sys_link_later(struct sys_world *world, uint32_t a, uint32_t b, uint64_t us);

/* sys_node.c */
void sys_node_start(struct sys_world *world, uint32_t node);
void sys_node_crash(struct sys_world *world, uint32_t node);
void sys_node_event(struct sys_world *world, const struct sys_event *event);
/* Ends by itself, all that it wrote being kept, and starts anew a moment later. */
void sys_node_again(struct sys_world *world, uint32_t node);
/* Outputs, tick, checks: after anything was handed in. */
void sys_node_step(struct sys_world *world, uint32_t node);
uint64_t sys_node_local_us(const struct sys_world *world, const struct sys_node *node);
void sys_node_clock(struct sys_world *world, uint32_t node, int64_t drift_ppm, uint64_t jump_us);
struct replica_peer sys_node_peer(const struct sys_world *world, uint32_t of, uint32_t other); /* how `of` names `other` */
struct replica *sys_replica(const struct sys_node *node);
void sys_node_status(const struct sys_world *world, uint32_t node, struct status_replica *status);

/* sys_peers.c */
/* At a start: those of the system file, and the clients that final state knows. */
void sys_peers_begin(struct sys_world *world, uint32_t node);
void sys_peer_add(struct sys_world *world, uint32_t of, const struct replica_output *output);
void sys_peer_remove(struct sys_world *world, uint32_t of, const struct replica_output *output);
uint32_t sys_peer_end(const struct sys_world *world, uint32_t of, struct replica_peer peer); /* SYS_ENDS_MAX: nobody */
uint32_t sys_end_by_noise_key(const struct sys_world *world, const uint8_t key[32]);

/* sys_admin.c */
void sys_admin_setup(struct sys_world *world); /* before the system file is used: its administrators */
void sys_admin_spares(struct sys_world *world);
void sys_admin_begin(struct sys_world *world);
void sys_admin_event(struct sys_world *world);
/* By a script: the CONFIG after what is in force, to be changed; signed, but by those whose bit is in `absent`, and its new members started; to a
 * few. */
struct admin_op;
void sys_admin_next(const struct sys_world *world, uint32_t cluster_index, struct admin_op *op);
void sys_admin_propose(struct sys_world *world, uint32_t cluster_index, struct admin_op *op, uint32_t absent);
void sys_admin_hand_in(struct sys_world *world, uint32_t cluster_index);
uint32_t sys_admin_spare(const struct sys_world *world, uint32_t cluster_index); /* a node that is in no CONFIG yet; SYS_NODES_MAX: none */
void sys_admin_put(const struct sys_world *world, struct admin_op *op, uint32_t spare, uint32_t place);
/* A new node's data before its first start. False: nobody can tell it the chain now. */
bool sys_admin_chain(struct sys_world *world, uint32_t spare);
void sys_admin_free(struct sys_world *world);
/* Of two of them, on a successor of this system; one: not enough. */
struct claim_successor;
void sys_admin_statement(struct sys_world *world, struct claim_successor *statement, uint32_t signers);
bool sys_entropy(void *world, uint8_t *out, size_t count); /* as keyfile_entropy */
struct admin_op;
void sys_admin_sign(struct sys_world *world, struct admin_op *op); /* by k of them, or all */
/* An operation's bytes to a node, over a link of the administrators' own. */
void sys_admin_tell(struct sys_world *world, uint32_t node, uint16_t type, const uint8_t *bytes, size_t count);
/* Nothing that was signed waits to be in force. */
bool sys_admin_settled(const struct sys_world *world);
/* The epochs that this node has entered are those that were signed. */
void sys_epoch_follow(struct sys_world *world, uint32_t node);
/* Who was at this place; SYS_NODES_MAX: nobody. */
uint32_t sys_epoch_node(const struct sys_world *world, uint32_t cluster_index, uint64_t epoch, uint32_t place);
/* Is it a member of the newest epoch of its cluster? */
bool sys_is_member(const struct sys_world *world, uint32_t node);
/* May it become one of the f faulty ones, in each CONFIG that it is in? */
bool sys_may_break(const struct sys_world *world, uint32_t node);
void sys_broke(struct sys_world *world, uint32_t node);

/* sys_enrol.c */
void sys_enrol_begin(struct sys_world *world);
void sys_enrol_event(struct sys_world *world);
void sys_enrol_check(struct sys_world *world, uint32_t node);
bool sys_enrol_settled(const struct sys_world *world);
void sys_enrol_free(struct sys_world *world);

/* sys_place.c */
void sys_place_insert(struct sys_world *world, struct admin_op *op, uint32_t spare); /* at any place */
void sys_place_cut(struct sys_world *world, struct admin_op *op);                    /* whoever it hits */
void sys_place_shuffle(struct sys_world *world, struct admin_op *op);
void sys_place_check(struct sys_world *world, uint32_t node);

/* sys_address.c */
void sys_address_begin(struct sys_world *world);
void sys_address_free(struct sys_world *world);
void sys_address_event(struct sys_world *world);
/* An end starts, or comes to know this node: it reads its file. */
void sys_address_start(struct sys_world *world, uint32_t end);
void sys_address_follow(struct sys_world *world, uint32_t end, uint32_t node);
/* Does one of the two dial the other where it is now? */
bool sys_address_reaches(struct sys_world *world, uint32_t a, uint32_t b);
/* After the heal: all who let each other in are linked. */
bool sys_address_settled(const struct sys_world *world);
/* sys_seal.c */
void sys_seal_event(struct sys_world *world);
bool sys_seal_all(const struct sys_world *world); /* all clusters are sealed but those that are burnt */
/* More than f members of a shard that was backed up are lost for good. */
void sys_burn_event(struct sys_world *world);
bool sys_burnt_any(const struct sys_world *world);
void sys_seal_free(struct sys_world *world);

/* sys_backup.c */
void sys_backup_begin(struct sys_world *world);
void sys_backup_free(struct sys_world *world);
/* An honest client takes one of this cluster, unless another is being taken. */
void sys_backup_take(struct sys_world *world, uint32_t cluster_index);
void sys_backup_poll(struct sys_world *world, uint32_t client);
void sys_backup_stop(struct sys_world *world);
bool sys_backup_busy(const struct sys_world *world);
void sys_backup_client_gone(struct sys_world *world, uint32_t client);
/* The newest whole one of a cluster, which is there as long as the world; NULL: none. */
struct sys_backup {
    char folder[SYS_PATH_BYTES];
    uint64_t height;
    uint8_t root[32];
    bool sealed;
};
const struct sys_backup *sys_backup_of(const struct sys_world *world, uint32_t cluster_index);
void sys_backups_forget(const char *files, int process); /* removes the folders of a process */
const char *sys_files_folder(void);

/* sys_succession.c */
bool sys_succession_due(const struct sys_world *world);
/* Ends all clusters and goes over. The successor's world, which owns this one. */
struct sys_world *sys_succession(struct sys_world *world);
void sys_succession_identity(struct sys_world *world); /* sys_setup(): what its file inherits */
void sys_succession_cluster(const struct sys_world *world, uint32_t index, struct system_cluster *cluster); /* ... and where it goes on from */
void sys_succession_open(const struct sys_world *world, struct node *shell); /* as `system init` leaves a node's data, and node.conf */
const uint8_t *sys_succession_followed(const struct sys_world *world);       /* system_id of the system before; NULL: none */
void sys_succession_free(struct sys_world *world);

/* sys_transfer.c */
/* At a start, before anything is read: a checkpoint that came whole becomes the node's own. */
void sys_transfer_install(struct sys_world *world, uint32_t node);
void sys_transfer_start(struct sys_world *world, uint32_t node);
void sys_transfer_stop(struct sys_world *world, uint32_t node);
void sys_transfer_output(struct sys_world *world, uint32_t node, const struct replica_output *output);
void sys_transfer_checkpointed(struct sys_world *world, uint32_t node);
void sys_transfer_event(struct sys_world *world, const struct sys_event *event);

/* sys_liar.c, sys_liar_piece.c */
/* Another CHECKPOINT or PIECE than this one; NULL: it cannot be made another. */
struct blob *sys_liar_piece(struct sys_world *world, uint16_t type, const uint8_t *bytes, size_t count);
void sys_liar_make(struct sys_world *world, uint32_t node, const char *script); /* NULL: a random one */
void sys_liar_started(struct sys_world *world, uint32_t node);
void sys_liar_free(struct sys_world *world, uint32_t node);
uint64_t sys_liar_count(const struct sys_world *world, uint32_t node);

/* sys_fault.c */
void sys_fault_begin(struct sys_world *world);
void sys_fault_event(struct sys_world *world);
void sys_fault_end(struct sys_world *world); /* all heals */
void sys_fault_count(struct sys_world *world, enum sys_fault fault, const char *what);

/* sys_client.c, sys_transport.c, sys_hostile.c */
void sys_client_create(struct sys_world *world, uint32_t index);
void sys_client_destroy(struct sys_world *world, uint32_t index);
void sys_clients_forget(int process); /* removes the files of all clients of a process: one that ends by a violation, or ended */
void sys_client_crash(struct sys_world *world, uint32_t index);
void sys_client_poll(struct sys_world *world, uint32_t index);
void sys_client_frame(struct sys_world *world, uint32_t index, uint32_t from, uint16_t type, const struct blob *blob);
void sys_client_link(struct sys_world *world, uint32_t index, uint32_t node, bool up);
bool sys_client_settled(const struct sys_world *world, uint32_t index, uint64_t *oldest_us); /* nothing is pending that was asked after the heal */
void sys_client_ask_again(struct sys_world *world); /* the liveness phase: each client asks for everything once */
void sys_hostile_act(struct sys_world *world, uint32_t index);
void sys_hostile_create(struct sys_world *world, uint32_t index);

/* From a world to that of its successor: as one who ends and begins again with its journal. */
void sys_client_move(struct sys_world *from, struct sys_world *to, uint32_t index);

/* sys_model.c */
void sys_model_create(struct sys_world *world);
/* A succession: each entry that a shard goes on from; then, that what was acknowledged is there, of a shard that was lost what lies not above its cut
 * (`cuts` by shard; UINT64_MAX: it lost nothing); each ADD that clients hold to send it again, and that nothing acknowledged is missing there. */
struct checkpoint_entry;
void sys_model_cut_entry(struct sys_world *world, const struct checkpoint_entry *entry);
void sys_model_cut_end(struct sys_world *world, const uint64_t cuts[SYS_SIDE_MAX]);
void sys_model_again(struct sys_world *world, const uint8_t *key, size_t key_bytes);
void sys_model_again_end(struct sys_world *world);
void sys_model_destroy(struct sys_world *world);

/* sys_check.c */
void sys_check_signed(struct sys_world *world, uint32_t node, const uint8_t *bytes, size_t count);
void sys_check_send(struct sys_world *world, uint32_t node, const struct replica_output *output);
void sys_check_evidence(struct sys_world *world, uint32_t node, const struct blob_piece *evidence);
void sys_check_step(struct sys_world *world, uint32_t node);
/* A whole backup is of a block that is final, and of the state after it. */
void sys_check_backup(struct sys_world *world, uint32_t cluster_index, uint64_t height, const uint8_t block_id[32], const uint8_t root[32]);
void sys_check_checkpoint(struct sys_world *world, uint32_t node, const struct state_checkpoint *checkpoint);
/* Where a node stands, into the trace. */
void sys_check_describe(struct sys_world *world, uint32_t node);
void sys_check_end(struct sys_world *world);
/* False: this one is behind its cluster, or down. */
bool sys_check_caught_up(struct sys_world *world, uint32_t *who);
void sys_check_free(struct sys_world *world);

/* sys_report.c */
void sys_trace(struct sys_world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sys_reached(struct sys_stats *stats, const char *event, uint64_t count);
uint64_t sys_reached_count(const struct sys_stats *stats, const char *event);
void sys_stats_add(struct sys_stats *to, const struct sys_stats *from);
void sys_stats_print(const struct sys_stats *stats);
const char *sys_type_name(uint16_t type);
void sys_config_print(FILE *out, const struct sys_config *config);

/* sys_walk.c */
struct sys_result {
    struct sys_stats stats;
    uint64_t trace_hash;
    bool done;
    int process; /* it ran in */
    enum sys_check check; /* that fired; 0: none of them, the process ended otherwise */
    uint64_t failed_event;
    char text[SYS_TEXT_BYTES];
};
/* What a seed's walk is, `events` of it in the safety phase; `plant`: this checker shall fire. */
void sys_walk_config(uint64_t seed, uint64_t events, enum sys_check plant, struct sys_config *config);
/* In a child. 0: held; else violated. */
int sys_walk(const struct sys_config *config, struct sys_result *result);
/* The smallest that still fails in the same way; writes its trace to `path`. */
void sys_walk_shrink(const struct sys_config *config, const struct sys_result *failed, const char *path);
extern struct sys_result *sys_walk_result; /* of the walk that this process is; NULL: none */

#endif
