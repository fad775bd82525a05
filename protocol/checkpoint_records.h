/*
 * Which items a state has (spec/durability.md P-33), by its 'q' and 'u' records (spec/decisions.md D-7, D-8), and what its entries sum up to: what a
 * manifest must say, for whoever makes one, takes one from peers, or checks a backup.
 *
 * Contract: pure but for the heap, which grows with the number of those records (CHECK). Any entries may be added, in any order.
 */
#ifndef PROTOCOL_CHECKPOINT_RECORDS_H
#define PROTOCOL_CHECKPOINT_RECORDS_H

#include "protocol/checkpoint.h"

enum { CHECKPOINT_DECLARED_BYTES = 64 }; /* of an entry, beside key and value (P-20) */

struct checkpoint_queue { /* of a 'q' record */
    uint32_t cluster, pending_items;
    uint64_t sent_dseq, acked_dseq, pending_bytes;
    uint8_t sent_leaf[32], pending_hash[32];
};
struct checkpoint_list { /* of a 'u' record */
    uint32_t cluster;
    uint64_t dseq;
    uint8_t hash[32];
};
struct checkpoint_records { /* all zero: nothing added yet */
    struct checkpoint_queue *queues;
    struct checkpoint_list *lists;
    size_t queue_count, queue_room, list_count, list_room;
    uint64_t entries, bytes; /* of the state */
    bool bad;                /* a record that no executor writes */
};

void checkpoint_records_free(struct checkpoint_records *records);
/* Every entry of the state. */
void checkpoint_records_add(struct checkpoint_records *records, const struct checkpoint_entry *entry);
/* All items that the state has, ascending, malloc'd; hashes of SLICE items but the newest of a queue, and all lengths, are 0. Sorts the queues by
 * cluster. False: too many, or a bad record. */
bool checkpoint_records_items(struct checkpoint_records *records, struct checkpoint_item **items, uint32_t *count)
    __attribute__((warn_unused_result));
/* NULL: there is none. */
const struct checkpoint_queue *checkpoint_records_queue(const struct checkpoint_records *records, uint32_t cluster);

#endif
