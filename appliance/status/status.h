/*
 * What a node tells about itself: counters of dropped input and of attacks by name, and a flat snapshot that the node copies out several times a
 * second
 * for the control socket. Nothing here is a secret, a key or a value.
 */
#ifndef APPLIANCE_STATUS_H
#define APPLIANCE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "appliance/status/histogram.h"

/* Input that was dropped, by cause. X(identifier, stable name) */
#define STATUS_DROPS(X)                                                                                                                              \
    X(DROP_MALFORMED, "malformed") /* a message that does not decode */                                                                              \
    X(DROP_ROLE, "role")           /* a type that this peer may not send */                                                                          \
    X(DROP_BATCH_MALFORMED, "batch_malformed")                                                                                                       \
    X(DROP_BATCH_SIGNATURE, "batch_signature")                                                                                                       \
    X(DROP_BATCH_FOREIGN_CLIENT, "batch_foreign_client") /* client_id is not that of the link's key */                                               \
    X(DROP_BATCH_UNKNOWN_CLIENT, "batch_unknown_client")                                                                                             \
    X(DROP_BATCH_REVOKED, "batch_revoked")                                                                                                           \
    X(DROP_BATCH_RIGHTS, "batch_rights")                                                                                                             \
    X(DROP_BATCH_QUOTA, "batch_quota") /* of reads */                                                                                                \
    X(DROP_BATCH_BUSY, "batch_busy")                                                                                                                 \
    X(DROP_BATCH_DRAINING, "batch_draining")                                                                                                         \
    X(DROP_INPUT_RELAY, "input_relay") /* INPUT whose relay is not its sender */                                                                     \
    X(DROP_INPUT_LIMIT, "input_limit") /* beyond relay_input_bytes of its relay */                                                                   \
    X(DROP_INPUT_UNASKED, "input_unasked")                                                                                                           \
    X(DROP_INPUT_DUPLICATE, "input_duplicate")                                                                                                       \
    X(DROP_INPUT_MALFORMED, "input_malformed")                                                                                                       \
    X(DROP_ADMIN_INVALID, "admin_invalid")                                                                                                           \
    X(DROP_ADMIN_REFUSED, "admin_refused") /* handed in by a client */                                                                               \
    X(DROP_ADMIN_LATE, "admin_late")       /* final state has left it behind */                                                                      \
    X(DROP_SLICE_MALFORMED, "slice_malformed")                                                                                                       \
    X(DROP_SLICE_CERTIFICATE, "slice_certificate")                                                                                                   \
    X(DROP_SLICE_PROOF, "slice_proof")                                                                                                               \
    X(DROP_SLICE_LEAF, "slice_leaf")     /* leaf of another system, source, destination, height */                                                   \
    X(DROP_SLICE_STALE, "slice_stale")   /* consumed long ago */                                                                                     \
    X(DROP_SLICE_EPOCH, "slice_epoch")   /* certified in an epoch that is not known here yet: its chain is asked for */                              \
    X(DROP_CHAIN, "config_chain")        /* CONFIG_CHAIN with a step that does not follow */                                                         \
    X(DROP_SLICE_WINDOW, "slice_window") /* beyond what was asked for */                                                                             \
    X(DROP_BLOCK_INVALID, "block_invalid")                                                                                                           \
    X(DROP_BLOCK_CERTIFICATE, "block_certificate")                                                                                                   \
    X(DROP_CONSENSUS_STALE, "consensus_stale") /* votes, proposals of an old view or height */                                                       \
    X(DROP_CONSENSUS_SIGNATURE, "consensus_signature")                                                                                               \
    X(DROP_CONSENSUS_INVALID, "consensus_invalid")                                                                                                   \
    X(DROP_SEND_LINK, "send_link")   /* link down */                                                                                                 \
    X(DROP_SEND_QUEUE, "send_queue") /* peer's queue full */                                                                                         \
    X(DROP_LAST_SIGNED, "last_signed_invalid")                                                                                                       \
    X(DROP_DISK_BEHIND, "disk_behind") /* consensus messages that come while the disk is far behind; fetched later */                                \
    X(DROP_ROLLBACK_HINT, "rollback_hint") /* that nobody could prove (P-70) */ \
    X(DROP_STATUS, "status_invalid")                                                                                                                 \
    X(DROP_TRANSFER_RIGHTS, "transfer_rights") /* a client that may not read every key asks for the state */                                         \
    X(DROP_RATE, "rate") /* more queries than a peer may ask */

/* Attacks seen: what no honest node does. X(identifier, stable name) */
#define STATUS_ATTACKS(X)                                                                                                                            \
    X(ATTACK_EQUIVOCATION, "equivocation")     /* two proposals or votes of one member for one place */                                              \
    X(ATTACK_WRONG_RESULT, "wrong_result")     /* a proposal or vote whose outbox or state root is not what execution gives */                       \
    X(ATTACK_BAD_SIGNATURE, "bad_signature")   /* on a consensus message of a member's own link */                                                   \
    X(ATTACK_BAD_PROPOSAL, "bad_proposal")     /* invalid references, oversized body, wrong parent */                                                \
    X(ATTACK_BAD_SLICE, "bad_slice")           /* a compact decision that does not verify */                                                         \
    X(ATTACK_STALE_SLICE, "stale_slice")       /* a compact decision that was not asked for any more */                                              \
    X(ATTACK_WITHHELD_SLICE, "withheld_slice") /* a source node that serves nothing although another has more */                                     \
    X(ATTACK_REPLAY, "replay")                 /* the same input or vote again and again */                                                          \
    X(ATTACK_FLOOD, "flood")                   /* a relay beyond its limit */                                                                        \
    X(ATTACK_BAD_INPUT, "bad_input")           /* a relay's batch that does not verify */                                                            \
    X(ATTACK_BAD_BLOCK, "bad_block")                                                                                                                 \
    X(ATTACK_BAD_ANSWER, "bad_answer")       /* LAST-SIGNED, NEWEST or STATUS that cannot be true */                                                 \
    X(ATTACK_BAD_PIECE, "bad_piece")         /* state transfer: a piece or checkpoint that is not what was certified */                              \
    X(ATTACK_SILENT_LEADER, "silent_leader") /* a view change away from a leader that let inputs wait */

#define STATUS_IDENTIFIER(identifier, name) identifier,
enum status_drop { STATUS_DROPS(STATUS_IDENTIFIER) STATUS_DROP_COUNT };
enum status_attack { STATUS_ATTACKS(STATUS_IDENTIFIER) STATUS_ATTACK_COUNT };
#undef STATUS_IDENTIFIER

const char *status_drop_name(enum status_drop drop);
const char *status_attack_name(enum status_attack attack);

enum {
    STATUS_MEMBERS_MAX = 16,
    STATUS_PAIRS_MAX = 256,
    STATUS_THREADS_MAX = 16,
    STATUS_ATTACKERS_MAX = 16,
    STATUS_COUNTERS_MAX = 32,
    STATUS_NET_COUNTERS_MAX = 96,
    STATUS_RESIDENT_MAX = 16,
    STATUS_NAME_BYTES = 48,
    STATUS_COSTS_MAX = 32
};

/* What phase the replica is in. */
enum status_phase {
    PHASE_RESTORING,
    PHASE_ASKING,
    PHASE_CATCHING_UP,
    PHASE_VOTING,
    PHASE_DRAINING,
    PHASE_RETIRED,
    PHASE_ROLLED_BACK,
    PHASE_SUCCEEDED,
    PHASE_OBSERVING,
    PHASE_REMOVED,
    PHASE_SEALED
};
const char *status_phase_name(enum status_phase phase);

/* Is it a vote that its cluster can count on? By what the member signed last. */
enum status_vote { VOTE_UNKNOWN, VOTE_NO, VOTE_YES };

struct status_member {
    uint8_t node_id[32];
    char name[STATUS_NAME_BYTES]; /* by the system file, or the CONFIG by which it came */
    bool up;                      /* link */
    enum status_vote votes;
    uint64_t final_height; /* by its last STATUS */
    uint64_t view;
    uint64_t time_ms;   /* the cluster time that it stated then */
    uint64_t status_ms; /* age base: when it came, node clock; 0 never */
};

struct status_pair {
    uint32_t cluster;
    uint64_t consumed_dseq, sent_dseq, acked_dseq, hint_dseq;
    uint32_t held_slices;
    uint32_t source_member; /* subscribed to */
    uint32_t links_up;
};

/* One named attack by one peer: "member 2", "0x00010000/1", "client <id>". */
struct status_attacker {
    enum status_attack attack;
    char peer[STATUS_NAME_BYTES];
    uint64_t count;
};

struct status_replica {
    enum status_phase phase;
    const char *retired_by; /* why it signs nothing any more, a word of A-28 that lives as long as the program; NULL: it may */
    bool voted; /* a block became final that this node voted for since it was started */
    uint32_t cluster, member, members, faults, leader;
    uint64_t epoch, view, final_height, prepared_height, executed_height, checkpoint_height, genesis_height, pruned_height;
    uint8_t state_root[32];
    uint64_t state_root_height; /* the root is the one after this height */
    uint64_t time_ms;           /* of the newest final header */
    uint64_t inputs_waiting, inputs_held, input_bytes, blocks_open, sends_held, clients_connected, answers_kept;
    uint64_t hold_us;   /* from one proposal of this node to the next, at least, since its CPUs have nothing to spare; 0: at once */
    uint32_t load_permille; /* of the CPUs, while this node proposes */
    uint32_t strain;    /* B-55: time-outs are 2^strain times as long as configured; 0 but on a slow machine or network */
    uint64_t enrolment; /* number of the newest that is final; 0 at a shard */
    uint64_t clients_enrolled; /* records of them, revoked ones too; 0 at a shard */
    uint64_t decisions, empty_decisions, inputs_decided, view_changes, proposals, fetches, signatures_verified, waiting_oldest_ms, evidence;
    uint64_t scrub_records, scrub_rounds;  /* of the table in memory */
    uint64_t scrub_found, scrub_repaired; /* of any store; repaired while running */
    uint64_t drops[STATUS_DROP_COUNT];
    uint64_t attacks[STATUS_ATTACK_COUNT];
    uint32_t attacker_count, pair_count;
    struct status_attacker attackers[STATUS_ATTACKERS_MAX];
    struct status_member peers[STATUS_MEMBERS_MAX];
    struct status_pair pairs[STATUS_PAIRS_MAX];
    struct histogram commit_us; /* proposal seen or made until final and durable */
    /* Its parts, and what comes before. */
    struct histogram input_us;      /* at a leader: an input held until it is in a proposal */
    struct histogram prepare_us;    /* proposal seen or made until prepared here */
    struct histogram finalize_us;   /* from there until final */
    struct histogram publish_us;    /* from there until durable and told */
    struct histogram execute_us;    /* a block executed, whoever else ran meanwhile */
    struct histogram checkpoint_us; /* a checkpoint begun until it is durable */
    struct histogram block_ops;     /* operations in a block with any */
};

/* A part of the node's work (appliance/base/cost.h; threads of storage and helpers by themselves). */
struct status_cost {
    char name[STATUS_NAME_BYTES];
    uint64_t ns, events, bytes;
};

struct status_counter {
    char name[STATUS_NAME_BYTES];
    uint64_t value;
};

struct status_thread {
    char name[16];
    int pinned;  /* CPU asked for, -1 none */
    int running; /* CPU on which it last ran */
};

/* The whole node. */
struct status_node {
    char name[STATUS_NAME_BYTES];
    char system_name[STATUS_NAME_BYTES];
    uint8_t system_id[16];
    uint64_t started_ms, now_ms;
    bool ready;
    uint64_t progress; /* of the work before it may vote */
    const char *data; /* the node's data folder, or NULL */
    char threads_map[8];
    uint32_t thread_count, counter_count, budget_count, links_up, links_known;
    struct status_thread threads[STATUS_THREADS_MAX];
    uint32_t net_counter_count;
    struct status_counter net_counters[STATUS_NET_COUNTERS_MAX]; /* of the links */
    struct status_counter counters[STATUS_COUNTERS_MAX];         /* of the store */
    struct status_counter budget[32];                            /* the most that each part may come to use */
    struct status_counter resident[STATUS_RESIDENT_MAX];         /* what is resident of it now, when somebody asks */
    uint32_t resident_count;
    uint64_t resident_bytes;
    uint64_t resident_file_bytes; /* of these, pages of files: the program and the stores' maps */
    uint64_t heap_bytes;
    uint64_t memory_limit_bytes; /* that this process can have; 0: not known */
    uint64_t wal_bytes, wal_map_bytes; /* the file and the most that it may grow to */
    uint32_t prune_holder;             /* whom pruning waits for; replica.members: nobody */
    int64_t clock_difference_ms;       /* this machine's calendar less the cluster's time */
    uint64_t clock_differs;            /* how often that was told */
    uint64_t scrub_wal_records, scrub_wal_rounds, scrub_state_records, scrub_state_rounds;
    uint64_t opened_anew; /* how often this process did that, since something was damaged */
    struct status_cost costs[STATUS_COSTS_MAX]; /* by component, those below included that are known */
    uint32_t cost_count;
    struct status_cost cpu[STATUS_COSTS_MAX]; /* by thread, when somebody asks: CPU time */
    uint32_t cpu_count;
    uint64_t page_faults, switches_voluntary, switches_forced; /* of the process, when somebody asks */
    struct histogram wal_us; /* given to the storage thread until durable */
    struct status_replica replica;
};

#endif
