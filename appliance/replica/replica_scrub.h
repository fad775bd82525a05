/*
 * Private to replica*.c: scrubbing (replica_scrub.c), and what it needs of the other files.
 */
#ifndef APPLIANCE_REPLICA_SCRUB_H
#define APPLIANCE_REPLICA_SCRUB_H

#include "appliance/replica/replica.h"
#include "bft/wire.h"

enum { REPAIRS_MAX = 64 }; /* what does not fit is left to the next checkpoint */

/* A final block that the store has lost, fetched again. */
struct repair {
    uint64_t height, asked_ms;
    uint32_t tries;
};

struct scrub {
    uint32_t records_s;
    uint64_t up_to_ms; /* so far the table has had its share */
    uint64_t leaves;   /* that it had when it was looked at last */
    bool under_way;    /* a job is */
    struct repair repairs[REPAIRS_MAX];
    uint32_t repair_count;
};

struct input;

void scrub_tick(struct replica *r);
void scrub_done(struct replica *r, struct execution_job *job);
/* A BLOCK that a repair asked for. False: it was none of these. */
bool scrub_block_take(struct replica *r, struct replica_peer from, const struct bft_message *message, struct blob_piece payload);
/* `path`: where, of the trie; NULL: a read of the table found it. */
void scrub_memory_failed(struct replica *r, const char *what, const uint8_t path[32]);

/* replica.c: the node is to open itself anew, from what it can prove. */
void replica_again(struct replica *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* replica_block.c: its bytes are in memory. */
void input_persist(struct replica *r, struct input *input);
/* replica_last.c: what is held of this member goes into the next write once more. False: there is nothing of this kind. */
bool last_again(struct replica *r, uint8_t kind, uint8_t member);
/* P-15: the voting memory on the disk is damaged. */
void last_memory_damaged(struct replica *r);
/* replica_epoch.c: the chain's entry of this serial goes into the next write once more. False: there is none. */
bool epoch_again(struct replica *r, uint64_t serial);

#endif
