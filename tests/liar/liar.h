/*
 * A node that lies: what the files of this folder share.
 *
 *   heracliusd-liar_main.c  the program: opens a node as heracliusd does and hangs the hooks in
 *   liar.c                  which lie, when, counted; sends that are put off
 *   liar_votes.c            lies to the members of the own cluster: proposals and votes
 *   liar_slices.c           lies to other clusters and to clients: compact decisions and answers
 *   liar_inputs.c           lies as a relay: kept back, flooded, censored
 *   liar_table.c            a table that goes bad in memory
 *
 *   kind        option                                what it does
 *   equivocate                                        a second proposal for some members, second votes for all; both signed
 *   result                                            as leader proposes, as member votes for, roots that execution did not give
 *   slices      wrong, stale, quorum                  compact decisions with another slice, the oldest one again, or q - 1 signatures
 *   withhold    proposals, votes, decisions, answers  sends none of these
 *   replay                                            sends old messages of its own again and again
 *   corrupt     flip, write                           a stored value changes: as bad memory does, or with a good checksum
 *   forge       value, old, quorum                    answers with another value, old ones, or q - 1 signatures
 *   keep                                              keeps clients' batches, hands them on when the file of HERACLIUS_LIE_WHILE is gone
 *   flood                                             batches beyond its limit as a relay, garbage, bad signatures
 *   tiny                                              made-up reads of one operation as a relay, others to each member, 1,500 at a time
 *   references                                        as leader names inputs as another kind, or of a relay that is no member
 *   pieces                                            sends pieces of its checkpoints with a flipped bit
 *   slow                                              as leader lets so many percent of its operations through, by HERACLIUS_LIE_WHILE's file
 *   censor      number of a client                    ignores one client's inputs, and never proposes them
 *
 * One thread: the hooks are called by the replica's.
 */
#ifndef TESTS_LIAR_LIAR_H
#define TESTS_LIAR_LIAR_H

#include <stdatomic.h>

#include "appliance/replica/replica_private.h"

enum liar_kind {
    LIAR_EQUIVOCATE,
    LIAR_RESULT,
    LIAR_SLICES,
    LIAR_WITHHOLD,
    LIAR_REPLAY,
    LIAR_CORRUPT,
    LIAR_FORGE,
    LIAR_KEEP,
    LIAR_FLOOD,
    LIAR_SLOW,
    LIAR_CENSOR,
    LIAR_TINY,
    LIAR_REFERENCES,
    LIAR_PIECES,
    LIAR_KINDS
};

enum { LIAR_KEPT_MAX = 256, LIAR_LATER_MAX = 4096, LIAR_OPTION_BYTES = 32, LIAR_PATH_BYTES = 4096 };

/* A frame that goes later, or again. */
struct liar_frame {
    struct replica_peer to;
    uint16_t type;
    uint64_t due_ms;
    struct blob *blob;
};

struct liar {
    struct executor *executor;
    struct replica *r;
    bool quiet; /* the simulator's: nothing on stderr */
    enum liar_kind kind;
    char option[LIAR_OPTION_BYTES];
    char path[LIAR_PATH_BYTES]; /* HERACLIUS_LIE_WHILE; empty: none */
    atomic_bool runs;           /* the node's loop has begun: set by its thread, read by the one that wakes it */
    bool lies;                  /* now */
    bool plain;                 /* what is sent now is the liar's own: let it pass */
    uint64_t now_ms, looked_ms, acted_ms;
    uint64_t count, count_told;
    uint64_t pace;                            /* SLOW: operations a second */
    uint64_t paced_height, paced_ms, free_ms; /* SLOW: the newest proposal, when it goes, and when the next one may */
    uint64_t turn;                            /* grows with each act, to vary them */
    uint64_t replayed_ms, flooded_ms, burst_ms, tiny_ms; /* when it last did that */
    struct liar_frame later[LIAR_LATER_MAX];  /* ring, in order of time */
    uint32_t later_first, later_count;
    struct liar_frame kept[LIAR_KEPT_MAX]; /* old messages; or a client's batches (blob alone) */
    uint32_t kept_count;
    struct blob *given; /* bytes that the last hook put into a frame */
};

/* liar.c. False: no such kind. */
bool liar_parse(struct liar *liar, const char *text);
bool liar_option_is(const struct liar *liar, const char *option);
void liar_hooks(struct liar *liar, struct replica_hooks *hooks);
/* One lie more. */
void liar_counted(struct liar *liar);
struct blob *liar_join(const struct blob_piece *pieces, unsigned count);
/* The frame's bytes become these (reference taken over). */
void liar_replace(struct liar *liar, struct blob_piece *pieces, unsigned *count, struct blob *blob);
/* Sends without lying about it; takes the reference over. */
void liar_send(struct liar *liar, struct replica_peer to, uint16_t type, struct blob *blob);

/* The hooks of each kind; false: the frame does not leave, or is ignored. */
bool liar_send_votes(struct liar *liar, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count);
void liar_result(struct liar *liar, struct execution_job *job);
void liar_replay_tick(struct liar *liar);
bool liar_send_slices(struct liar *liar, struct replica_peer to, uint16_t type, struct blob_piece *pieces, unsigned *count);
bool liar_send_pieces(struct liar *liar, uint16_t type, struct blob_piece *pieces, unsigned *count);
bool liar_frame_inputs(struct liar *liar, struct replica_peer from, uint16_t type, struct blob_piece payload);
void liar_keep_tick(struct liar *liar);
void liar_flood_tick(struct liar *liar);
void liar_tiny_tick(struct liar *liar);
void liar_references(struct liar *liar, struct execution_job *job);
void liar_table_result(struct liar *liar, struct execution_job *job);

#endif
