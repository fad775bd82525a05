/*
 * What serving may use (P-49), and what askers may have waiting for the thread of state transfer (node_transfer.h). Each has a share of
 * slots and of bytes, so that nobody fills the ring or the memory, and all shares together leave half of the ring to the node's own news, which are
 * few and must not be lost.
 *
 * Contract: transfer_share_take() on the thread that hands over, transfer_share_give() on the one that takes.
 */
#ifndef APPLIANCE_TRANSFER_SHARE_H
#define APPLIANCE_TRANSFER_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "appliance/transfer/transfer.h"
#include "protocol/checkpoint.h"

enum {
    TRANSFER_RING_SLOTS = 4096,
    TRANSFER_SHARE_SLOTS = 24, /* four questions and four answers are under way (P-48), and CHECKPOINT_QUERY */
    TRANSFER_SHARE_BYTES = 10 << 20, /* a CHECKPOINT and four PIECEs, twice; then no more until they are done */
};
_Static_assert((TRANSFER_ASKERS + TRANSFER_CLIENTS) * TRANSFER_SHARE_SLOTS <= TRANSFER_RING_SLOTS / 2, "half of the ring is the node's own");

/* All that may wait: who is no member may ask, and a question has its one length (replica_transfer.c). */
#define TRANSFER_WAITING_BYTES_MAX                                                                                                                   \
    ((uint64_t)BFT_MEMBERS_MAX * TRANSFER_SHARE_BYTES +                                                                                              \
     (uint64_t)(TRANSFER_ASKERS - BFT_MEMBERS_MAX + TRANSFER_CLIENTS) * TRANSFER_SHARE_SLOTS * CHECKPOINT_PIECE_QUERY_BYTES)

struct transfer_share {
    struct {
        atomic_uint_fast32_t slots;
        atomic_uint_fast64_t bytes;
    } waiting[UINT8_MAX + 1]; /* by replica_transfer_asker() */
};

/* False: its share is full, and the frame is to be dropped. */
static inline bool transfer_share_take(struct transfer_share *share, uint8_t asker, size_t bytes) {
    if (atomic_load(&share->waiting[asker].slots) >= TRANSFER_SHARE_SLOTS) return false;
    if (atomic_load(&share->waiting[asker].bytes) + bytes > TRANSFER_SHARE_BYTES) return false;
    atomic_fetch_add(&share->waiting[asker].slots, 1);
    atomic_fetch_add(&share->waiting[asker].bytes, bytes);
    return true;
}

static inline void transfer_share_give(struct transfer_share *share, uint8_t asker, size_t bytes) {
    atomic_fetch_sub(&share->waiting[asker].slots, 1);
    atomic_fetch_sub(&share->waiting[asker].bytes, bytes);
}

/* What serving may use: grows with time, a fifth of it, and shrinks by what it used. What is refused costs nothing: else whoever asks much would have
 * everybody refused. And no debt is deeper than a pause makes good. */
enum {
    TRANSFER_CREDIT_SHARE = 5,       /* transfer_share: one in so many */
    TRANSFER_CREDIT_US_MAX = 100000, /* what may be used at once after a pause */
    TRANSFER_SENT_BYTES_PER_US = 1024, /* what is sent costs the loop's thread so much: encrypted, and copied by the kernel */
};
struct transfer_credit {
    uint64_t at_us;
    int64_t us;
};

static inline void transfer_credit_grow(struct transfer_credit *credit, uint64_t now_us) {
    credit->us += (int64_t)((now_us - credit->at_us) / TRANSFER_CREDIT_SHARE);
    credit->at_us = now_us;
    if (credit->us > TRANSFER_CREDIT_US_MAX) credit->us = TRANSFER_CREDIT_US_MAX;
}

static inline void transfer_credit_pay(struct transfer_credit *credit, uint64_t us) {
    credit->us -= us > 2 * TRANSFER_CREDIT_US_MAX ? 2 * TRANSFER_CREDIT_US_MAX : (int64_t)us;
    if (credit->us < -TRANSFER_CREDIT_US_MAX) credit->us = -TRANSFER_CREDIT_US_MAX;
}

/* What was served: on the thread of state transfer, and then on the loop's, which sends it. */
static inline void transfer_credit_served(struct transfer_credit *credit, uint64_t us, uint64_t bytes_sent) {
    transfer_credit_pay(credit, us + bytes_sent / TRANSFER_SENT_BYTES_PER_US);
}

#endif
