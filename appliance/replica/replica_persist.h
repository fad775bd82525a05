/* Private to replica*.c: what becomes durable, and what may leave when it is (P-1; replica_persist.c). */
#ifndef APPLIANCE_REPLICA_PERSIST_H
#define APPLIANCE_REPLICA_PERSIST_H

#include "appliance/replica/replica.h"
#include "store/wal.h"

void persist_put(struct replica *r, enum wal_db db, const uint8_t *key, size_t key_bytes, const struct blob_piece *pieces, unsigned count);
/* The same of what the store may lay down already, under this ticket (REPLICA_PREPARE); 0: it does not. */
void persist_put_prepared(struct replica *r, enum wal_db db, const uint8_t *key, size_t key_bytes, const struct blob_piece *pieces, unsigned count,
                          uint64_t ticket);
void persist_put_blob(struct replica *r, enum wal_db db, const uint8_t *key, size_t key_bytes, struct blob *blob); /* takes the reference over */
void persist_delete(struct replica *r, enum wal_db db, const uint8_t *key, size_t key_bytes);
void persist_delete_range(struct replica *r, enum wal_db db, const uint8_t *key, const uint8_t *key_end, size_t key_bytes);
/* The sequence that what is put now will have. */
uint64_t persist_sequence(const struct replica *r);
void persist_flush(struct replica *r);
/* Is so much on its way to the disk, or are so many blocks kept, that others may add nothing? */
bool persist_behind(struct replica *r);
/* A frame that may leave when all that was put so far is durable. `own` (or NULL) is taken over. Pieces are held. */
void held_send_add(struct replica *r, uint8_t to, uint16_t type, const struct blob_piece *pieces, unsigned count, struct bft_message *own);
void held_send_release(struct replica *r);
void persist_free_all(struct replica *r);

struct input;
/* An input as the store has it, its bytes being in memory: a head of its own, the caller's to drop, and those bytes, as long as the input has them
 * (replica_block.c). */
void input_pieces(const struct input *input, struct blob_piece pieces[2]);

#endif
