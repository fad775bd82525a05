/* Private to replica*.c: what replica_later.c offers the others (a node whose cluster went through CONFIGs without it). */
#ifndef APPLIANCE_REPLICA_LATER_H
#define APPLIANCE_REPLICA_LATER_H

#include "appliance/replica/replica.h"
#include "bft/memory.h"
#include "bft/wire.h"

/* Are the links those of a later epoch than the current one? */
bool later_is(const struct replica *r);
/* My place in the epoch of the links, -1: none. */
int later_me(const struct replica *r);
/* Another key is at this place of the links. */
void later_place_clear(struct replica *r, uint32_t place);
/* A STATUS of any epoch; false: it is of the links' epoch, and its signature is bad. */
bool later_status(struct replica *r, struct replica_peer from, const struct bft_message *message);
bool later_others_ahead(const struct replica *r, uint64_t by);
/* Asks for the chain when there is more of it and no block came for so long. */
void later_look(struct replica *r, uint64_t patience);
void later_chain_frame(struct replica *r, struct replica_peer from, struct blob_piece payload);
bool later_memory(struct replica *r, const struct bft_memory *memory);
void later_tick(struct replica *r);

#endif
