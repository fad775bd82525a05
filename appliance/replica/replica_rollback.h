/* Private to replica*.c: what replica_rollback.c offers the others (P-70). */
#ifndef APPLIANCE_REPLICA_ROLLBACK_H
#define APPLIANCE_REPLICA_ROLLBACK_H

#include "appliance/replica/replica.h"
#include "protocol/decision.h"

struct pair;
struct rblock;

enum { NOOPS_KEPT = 16 }; /* newest NOOPs of mine that count when a block names them */

/* P-70, of one pair. */
struct rollback {
    bool done;               /* f+1 nodes said what they hold of mine */
    uint32_t answered, hints; /* who did; whose word is a hint that waits for a proof: by bit */
    uint32_t liars;          /* whose slices are not taken: they sent one that proved nothing */
    uint64_t hint_ms;
    struct blob_piece slice; /* one that acknowledges more than was sent, NULL: none; its certificate is checked once that lasts */
    uint64_t ack, since_ms;
    uint32_t from;
    bool epoch_known; /* when it came */
    bool proved;
    uint64_t noop; /* first nonce asked for with the proof at hand, 0: none yet */
};

uint64_t rollback_noop_first(uint64_t wall_ms, const uint8_t nonce[16]);
/* The nonce of my next NOOP: larger than all before, restarts included, and not to be guessed. */
uint64_t rollback_noop_nonce(struct replica *r);
/* A node of the pair answered NEWEST_QUERY. */
void rollback_newest(struct replica *r, struct pair *pair, uint32_t member, uint64_t acked, uint64_t consumed);
/* A compact decision from the pair that decodes; nothing else of it is checked. */
void rollback_slice(struct replica *r, struct pair *pair, const struct decision *decision, struct blob_piece bytes, struct replica_peer from);
void rollback_tick(struct replica *r, struct pair *pair);
/* This block is final, and the cursors are those after it. */
void rollback_final(struct replica *r, const struct rblock *block);
void rollback_free(struct pair *pair);

#endif
