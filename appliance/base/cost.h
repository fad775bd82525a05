/*
 * What a node's work costs: CPU time, events and bytes by component, told in its metrics (heraclius_cost_*), from which tests/bench/cost_model makes
 * its table.
 *
 * Contract
 *   A meter belongs to one thread. At each moment that thread works for one component; cost_enter() says that another one begins and cost_leave()
 *   that the one before goes on, so each component has what no other one within it has, and together they have all that the thread used. Probes
 *   stand where components meet, some tens in a decision and never at a single operation: a probe is two readings of a clock.
 *   The clock is the world's, by which a thread that was put aside seems to work on. So the CPU time of the thread, which costs a system call to
 *   ask for, is asked for now and then (cost_wait_begin), and what the components had by the clock is brought to that sum. Of the waits for the
 *   network, which sleep and work in one call, each COST_WAITS_LOOK-th is looked at by CPU time; the others count as the last ones did.
 *   A pointer to a meter may be NULL, and its clock as well: then nothing is measured. Nothing but measuring depends on any of this.
 *
 *   Whoever wants the sums may read them from any thread, each by itself (cost_read).
 */
#ifndef APPLIANCE_COST_H
#define APPLIANCE_COST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(identifier, stable name) */
#define COST_COMPONENTS(X)                                                                                                                           \
    X(COST_LOOP, "loop")                     /* the thread's own turns, and what stands nowhere else */                                              \
    X(COST_SYSTEM_CALLS, "system_calls")     /* the network's, its timers, and waking up */                                                          \
    X(COST_NETWORK, "network")               /* links and their queues, frames into memory of their own */                                           \
    X(COST_OPEN, "aead_open")                /* records decrypted, with the finding of frames in them */                                             \
    X(COST_SEAL, "aead_seal")                /* frames encrypted, with the gathering of their pieces */                                              \
    X(COST_VERIFY_VOTE, "verify_vote")       /* Ed25519: votes and certificates of the own cluster, STATUS */                                        \
    X(COST_VERIFY_CLIENT, "verify_client")   /* batches of clients */                                                                                \
    X(COST_VERIFY_SLICE, "verify_slice")     /* certificates of other clusters */                                                                    \
    X(COST_SIGN, "sign")                                                                                                                             \
    X(COST_CONSENSUS, "consensus")           /* frames of the agreement: decoding, body hash, step */                                                \
    X(COST_INPUT, "input")                   /* batches and relayed inputs: decoding, hash, the pool */                                              \
    X(COST_SLICE, "slice")                   /* slices of other clusters: decoding, hash, proof */                                                   \
    X(COST_REPLICA, "replica")               /* timers, jobs, queues; what of the replica stands nowhere else */                                     \
    X(COST_PROPOSE, "propose")               /* choosing inputs, the body */                                                                         \
    X(COST_PERSIST, "persist")               /* what is to be durable, made ready for the storage thread */                                          \
    X(COST_QUEUE, "queue")                   /* slices served to other clusters */                                                                   \
    X(COST_ANSWERS, "answers")               /* answers to clients: proofs and heads */                                                              \
    X(COST_EXECUTE, "execute")               /* operations decoded, admitted, routed, executed; the table */                                         \
    X(COST_CUT, "slice_cut")                 /* slices to other clusters: cut, hashed */                                                             \
    X(COST_OUTBOX, "outbox")                 /* client slices laid and hashed, the tree over the outbox */                                           \
    X(COST_LEAVES, "leaf_hash")              /* of what a block wrote: paths, values, leaves of the trie */                                          \
    X(COST_TRIE, "trie")                     /* its paths hashed anew */                                                                             \
    X(COST_FINAL, "finalize")                /* a block final in the executor, its writes and blobs to the checkpoint */                             \
    X(COST_WAL_APPLY, "wal_apply")           /* storage thread: batches into LMDB's pages */                                                         \
    X(COST_STATUS, "status")                 /* the snapshot for the control socket */

#define COST_IDENTIFIER(identifier, name) identifier,
enum cost_component { COST_COMPONENTS(COST_IDENTIFIER) COST_COUNT };
#undef COST_IDENTIFIER

const char *cost_name(enum cost_component component);

enum {
    COST_WAITS_LOOK = 16,         /* of so many waits one is looked at by CPU time */
    COST_SETTLE_NS = 50 * 1000000 /* a thread that never waits asks for its CPU time so often */
};

struct cost_meter {
    uint64_t (*now)(void); /* nanoseconds of a clock that only grows; NULL: nothing is measured */
    uint64_t (*cpu)(void); /* nanoseconds that the calling thread has used */
    enum cost_component current;
    uint64_t since;               /* by now(), when it began */
    uint64_t pending[COST_COUNT]; /* by now(), since the last settling */
    uint64_t settled_at;          /* by now() */
    uint64_t cpu_at;              /* by cpu(), up to where all is settled */
    uint64_t wait_ns;             /* what a wait costs, by those that were looked at */
    uint32_t waits, turn;         /* not looked at since the last settling; counts all */
    bool looks, sleeps;           /* this wait */
    struct cost_sum {
        _Atomic uint64_t ns, events, bytes; /* written by the owner */
    } sums[COST_COUNT];
};

/* What one component has come to. */
struct cost_figures {
    uint64_t ns, events, bytes;
};

/* By the thread itself, before anything else. */
void cost_start(struct cost_meter *meter, uint64_t (*now)(void), uint64_t (*cpu)(void));

/* `component` begins; what was before is returned, for cost_leave. */
enum cost_component cost_enter(struct cost_meter *meter, enum cost_component component);
/* `before` goes on; the component that ends had one event more, of so many bytes. */
void cost_leave(struct cost_meter *meter, enum cost_component before, uint64_t bytes);
/* Events and bytes of a component that are counted elsewhere. */
void cost_count(struct cost_meter *meter, enum cost_component component, uint64_t events, uint64_t bytes);
/* So much of what `from` has had since the last settling, by now(), was `to`'s. Before cost_wait_begin. */
void cost_move(struct cost_meter *meter, enum cost_component from, enum cost_component to, uint64_t ns);

/* Around a call that waits for the network: `sleeps` if it may sleep. */
void cost_wait_begin(struct cost_meter *meter, bool sleeps);
void cost_wait_end(struct cost_meter *meter);

/* now() of the meter in microseconds, 0 without one: for histograms. */
uint64_t cost_now_us(const struct cost_meter *meter);

void cost_read(const struct cost_meter *meter, enum cost_component component, struct cost_figures *figures);

#endif
