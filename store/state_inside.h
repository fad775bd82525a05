/*
 * Private: a checkpoint store from inside, for the file that opens and reads it (state.c) and the one of its thread (state_write.c).
 *
 * A checkpoint is what lies in `entries`, and over it the runs from `runs_first` up to, without, `runs_end`, as `meta` says under "runslist" (absent:
 * none):
 *
 *   | 0 | 4 | runs_first                 |
 *   | 4 | 4 | runs_end                   |
 *   | 8 | 8 | height, of this checkpoint |
 *
 * Of another height it says nothing: a release that knows no runs has written a checkpoint since. Runs of higher numbers belong to a checkpoint that
 * is being made; like those that nothing names, they are removed at the next start. A release that knows no runs finds the root wrong when there are
 * some, and takes the checkpoint from its peers; it finds none where the store was closed, which folds them.
 */
#ifndef STORE_STATE_INSIDE_H
#define STORE_STATE_INSIDE_H

#include "store/env.h"
#include "store/runs.h"
#include "store/state.h"
#include "store/writer.h"

enum { STATE_DB_ENTRIES = 0, STATE_DB_BLOBS = 1, STATE_DB_RUNS = 2, STATE_DESCRIPTION_BYTES = 88, STATE_RUNS_BYTES = 16 };
enum { RUN_BYTES_MIN = 1 << 17, RUN_BYTES_MAX = 1 << 21 };

extern const uint8_t state_description_key[ENV_META_KEY_BYTES];
extern const uint8_t state_runs_key[ENV_META_KEY_BYTES];

/* Writes that are in no run yet, each as an item of one; where of each is in `order`. */
struct state_pending {
    uint8_t *memory;
    struct state_place *places;
    size_t used;
    uint32_t count;
};

struct state {
    struct env env;
    struct writer writer;
    uint64_t map_bytes;
    uint32_t run_bytes;
    _Atomic uint64_t checkpoints;
    _Atomic uint64_t height;
    _Atomic uint64_t file_bytes;
    _Atomic uint64_t fold_parts;
    _Atomic uint64_t compactions;
    /* The storage thread's: */
    struct state_pending pending;
    struct run_item *items;        /* pending ones, sorted */
    uint32_t item_count;
    bool run_open;                 /* the newest run, which no checkpoint names yet, goes on with paths above run_last */
    uint8_t run_last[RECORD_PATH_BYTES];
    struct runs_merge merge;
    uint32_t runs_first, runs_end; /* of the newest checkpoint */
    uint32_t runs_next;            /* the next run's number */
    bool clear;                    /* the checkpoint that is being made begins from nothing: with the run `clear_from` */
    uint32_t clear_from;
    bool direct;                   /* it is the first one: no reader finds any yet, and what is pending goes into the entries at once */
    uint32_t fold_end;             /* runs up to here are being folded; 0: none */
    uint8_t fold_path[RECORD_PATH_BYTES]; /* from here on */
};

/* state_write.c. For the thread, and before it is there and after it has ended. */
enum store_status state_apply(void *context, void *const *items, uint32_t count, struct store_error *error);
enum writer_idle state_idle(void *context, bool paused, struct store_error *error);
void state_finish(void *context);
bool state_pending_create(struct state *state);
void state_pending_destroy(struct state *state);
/* Reads which runs there are, removes what a crash left, and goes on with a fold that it cut off: all of it, if there are many. LMDB's code. */
int state_runs_begin(struct state *state);

/* state.c: of the checkpoint of this height. */
int state_runs_read(const struct state *state, MDB_txn *txn, uint64_t height, uint32_t *first, uint32_t *end);

#endif
