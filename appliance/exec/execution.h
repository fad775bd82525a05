/*
 * Jobs for the executor, and the worker that does them: between the replica, which decides, and the executor and the checkpoint store, which lie
 * on the execution thread (or on the one thread of a fused node).
 *
 * Contract
 *   The replica makes jobs; each comes back to it exactly once (replica_job_done). A job and what it points to is the worker's in between and the
 *   replica's before and after. Pointers in a result lead into the executor's memory and hold until the release job named in executor.h is done;
 *   those to results in clients' items lead into the block's inputs.
 *
 *   They are done in the order in which it made them, but that FINAL jobs, in order among themselves, may come later than the others. One with a
 *   checkpoint tells the store of every key that changed since the one before, up to two million; that is done in parts, with other jobs in between,
 *   so that the thread is never away for long. All parts are of one state, since what is final changes by FINAL jobs alone, and those behind wait
 *   (the table CHECKs it); blocks that are executed meanwhile are open above it. When as many are open as may be, the rest is done at once.
 *
 *   It never blocks but where the checkpoint store's queue is full.
 */
#ifndef APPLIANCE_EXECUTION_H
#define APPLIANCE_EXECUTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/base/blob.h"
#include "appliance/exec/executor.h"
#include "store/state.h"

enum execution_kind {
    EXECUTION_BLOCK = 1,      /* execute */
    EXECUTION_FINAL,          /* finalize; with `checkpoint` save what is final before it, or (`checkpoint_own`) with it */
    EXECUTION_RELEASE_BLOCK,  /* ticket */
    EXECUTION_RELEASE_SLICES, /* destination, dseq */
    EXECUTION_SETTLE,         /* hash what the next execute would hash first */
    EXECUTION_SCRUB,          /* scrub_records of the table and its trie */
};

enum { EXECUTION_BLOBS_MAX = 8, EXECUTION_PAIRS_MAX = 256 };

struct execution_pair {
    uint32_t index; /* the executor's */
    uint32_t cluster;
    uint64_t consumed_dseq, sent_dseq, acked_dseq;
    uint64_t epoch; /* the newest of that cluster that the state knows */
};

/* What checkpoint blobs the replica adds beside the executor's own "work". */
struct execution_blob {
    char name[STATE_BLOB_NAME_BYTES];
    struct blob *blob;
};

struct execution_job {
    enum execution_kind kind;
    uint64_t ticket;
    struct execution_job *next; /* whose the job is */
    uint32_t owner;             /* the replica's: index of its block */
    bool cancelled;             /* the replica's: the result is not wanted any more */
    uint64_t view;              /* the replica's */
    /* EXECUTION_BLOCK */
    struct exec_block block; /* refs lie in this job's own array */
    struct exec_ref *refs;
    uint32_t refs_room;
    struct exec_result result;
    struct config config; /* out, with result.config_kind NEXT: what the block brings into force */
    /* EXECUTION_FINAL */
    bool checkpoint, checkpoint_own; /* of the block's parent, whose child is final with this one (P-34); own: of the block itself (SEAL's) */
    struct state_checkpoint description; /* epoch, height, block_id: the replica's; the root is filled in */
    struct execution_blob blobs[EXECUTION_BLOBS_MAX];
    uint32_t blob_count;
    uint64_t checkpoint_sequence; /* out: of the state store; 0 without one */
    uint32_t pair_count;          /* out: final cursors of the pairs that the block changed */
    struct execution_pair pairs[EXECUTION_PAIRS_MAX];
    uint8_t root_after[32]; /* out, of a BLOCK with a CONFIG or SEAL: the state root after the block */
    struct blob *clients;   /* out: the records of clients that the block wrote (execution_client_next), NULL: none. The replica's from then on */
    /* EXECUTION_SCRUB */
    uint32_t scrub_records;
    struct exec_scrubbed scrubbed; /* out */
    /* EXECUTION_RELEASE_SLICES */
    uint32_t destination;
    uint64_t dseq;
    enum exec_status status; /* out, all kinds */
    uint64_t took_us;        /* out, of a BLOCK, by the meter's clock; 0 without one */
};

/* The next record in such a blob; *at 0 at first. False: no more. Space, key and value are filled in; they point into it. */
bool execution_client_next(const struct blob *clients, size_t *at, struct table_entry *entry);

struct execution; /* opaque: the worker */

/* `state` may be NULL (the simulator): checkpoints are then described but not stored. Takes over neither. NULL only without memory. */
struct execution *execution_create(struct executor *executor, struct state *state) __attribute__((warn_unused_result));
/* What its jobs cost goes there; without it nothing is measured. */
void execution_measure(struct execution *execution, struct cost_meter *meter);
void execution_destroy(struct execution *execution);

/* After executor_genesis(), when the checkpoint store has no checkpoint: genesis' entries go into the first one. */
bool execution_genesis(struct execution *execution) __attribute__((warn_unused_result));

/* Does a job; or, false, a part of it, or nothing yet: execution_go_on() gives it back. */
bool execution_begin(struct execution *execution, struct execution_job *job) __attribute__((warn_unused_result));
/* To be called again and again while something is under way, when other work has had its turn: does a part. A job that is done, or NULL. */
struct execution_job *execution_go_on(struct execution *execution) __attribute__((warn_unused_result));
bool execution_is_under_way(const struct execution *execution);
/* Does all of a job. CHECK: nothing is under way. */
void execution_run(struct execution *execution, struct execution_job *job);
/* How much a part is, in units of executor_changes(): about 2 ms of it, unless this is called. */
void execution_part(struct execution *execution, uint64_t units);
/* For whoever ends with jobs of a replica that is no more. */
void execution_job_free(struct execution_job *job);
/* Gives submitted buffers of the checkpoint store back; call now and then. Height of the newest durable checkpoint of this run, 0 if none. */
uint64_t execution_reap(struct execution *execution);
/* STORE_OK, or why the checkpoint store stopped. */
enum store_status execution_error(const struct execution *execution, struct store_error *error);
/* Bytes that buffers for checkpoints may come to hold. */
uint64_t execution_budget(void);

#endif
