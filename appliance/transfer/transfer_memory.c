/* What state transfer may come to hold in memory, and what it holds (transfer.h). */
#include "appliance/transfer/transfer_private.h"
#include "protocol/evidence.h"
#include "protocol/slice.h"

enum {
    SLICES_MAX = 256, /* of a pair, unanswered (D-18); each has a head before its slice when it is served */
    BLOB_PARTS = 2,   /* the items of what was taken, and the blobs that are made of them at the end */
};

/* The bytes behind the hashes of one state (P-33): what is pending and unacknowledged of each pair, and at a coordinator where answers go. */
static uint64_t behind_bytes_max(const struct system_limits *limits, uint32_t pairs, bool coordinator) {
    uint64_t slices = limits->credit_bytes + SLICES_MAX * (uint64_t)TRANSFER_HEAD_BYTES_MAX;
    uint64_t lists = coordinator ? ROUTING_BYTES * (limits->credit_ops + limits->slice_ops_max) : 0;
    return pairs * (slices + lists);
}

void transfer_memory_max(const struct system_limits *limits, uint32_t pairs, bool coordinator, struct transfer_memory *most) {
    uint64_t behind = behind_bytes_max(limits, pairs, coordinator);
    uint64_t items = pairs * (uint64_t)(2 * SLICES_MAX + 1) *
                     (sizeof(struct checkpoint_item) + sizeof(struct transfer_place) + (uint64_t)CHECKPOINT_ITEM_BYTES);
    most->serving = (uint64_t)TRANSFER_CUTS * (sizeof(struct trie_index) + CHECKPOINT_PROOF_BYTES_MAX + behind + items);
    /* What a manifest says that its items hold, be it false; or what they do hold, twice at the end. */
    uint64_t taken = behind > TRANSFER_ITEMS_BYTES_MAX ? TRANSFER_ITEMS_BYTES_MAX : behind;
    taken = BLOB_PARTS * taken > TRANSFER_ITEMS_BYTES_MAX ? BLOB_PARTS * taken : TRANSFER_ITEMS_BYTES_MAX;
    uint64_t stated = CHECKPOINT_ITEMS_MAX * (sizeof(struct transfer_item) + 2 * (uint64_t)CHECKPOINT_ITEM_BYTES);
    uint64_t evidence = 2 * ((uint64_t)EVIDENCE_PIECE_BYTES_MORE + EVIDENCE_CHECKPOINT_BYTES_MAX + CHECKPOINT_ENTRIES_PIECE_BYTES_MAX);
    most->taking = TRANSFER_BUFFER_BYTES + TRANSFER_PIECES_MAX * (uint64_t)(sizeof(struct transfer_piece) + sizeof(struct transfer_node)) +
                   TRANSFER_CANDIDATES_MAX * (uint64_t)CHECKPOINT_MESSAGE_BYTES_MAX + taken + stated + evidence;
}

static uint64_t served_bytes(const struct transfer_served *served) {
    uint64_t items = served->items != NULL ? served->item_count * (uint64_t)(sizeof *served->items + sizeof *served->places) : 0;
    return (served->index != NULL ? sizeof *served->index : 0) + served->work_bytes + served->queues_bytes + served->manifest_bytes +
           served->child_bytes + items;
}

void transfer_memory(const struct transfer *t, struct transfer_memory *held) {
    const struct transfer_take *take = &t->take;
    *held = (struct transfer_memory){.serving = 0};
    for (unsigned i = 0; i < TRANSFER_CUTS; i++) held->serving += t->served[i].used ? served_bytes(&t->served[i]) : 0;
    if (take->memory != NULL) held->taking += TRANSFER_BUFFER_BYTES;
    held->taking += take->piece_room * sizeof *take->pieces + take->node_room * sizeof *take->nodes + take->item_count * sizeof *take->items +
                    take->item_bytes + (take->shown_blob != NULL ? take->shown_blob->count : 0);
    for (uint32_t i = 0; i < take->candidate_count; i++) held->taking += take->candidates[i].shown->count;
}
