/* Clusters that decide at one's word: members with real keys, certificates over any outbox, answers for clients, slices for clusters. */
#ifndef TESTS_PROTOCOL_DECIDED_H
#define TESTS_PROTOCOL_DECIDED_H

#include "bft/certificate.h"
#include "protocol/batch.h"
#include "protocol/decision.h"
#include "protocol/slice.h"

/* n members of one cluster. `secrets` are the members' own or pointers to somebody else's keys. */
struct decider {
    struct bft_members members;
    struct ed25519_secret own[BFT_MEMBERS_MAX];
    const struct ed25519_secret *secrets[BFT_MEMBERS_MAX];
    uint64_t height, view, time;
};

/* Keys, system id and config hash follow from `seed`. */
void decider_init(struct decider *decider, uint64_t seed, uint32_t cluster, uint32_t n);

/* How a certificate is made, or spoilt. All zero: a commit QC by members 0 to q-1 on the block itself. */
struct decided_how {
    uint32_t signers;             /* 0: exactly q */
    uint32_t first_signer;        /* members first_signer, ... sign */
    bool prepare;                 /* a prepare QC in place of the commit QC */
    const struct decider *forger; /* its secrets sign, in the members' names */
    uint32_t headers;             /* 0, or 2 to 8: the QC is on a descendant, with the headers between */
};

/* A certificate for a block at decider->height with this outbox root; `headers` is room for how->headers * BFT_HEADER_BYTES and must outlive it. */
void decided_certificate(const struct decider *decider, const struct decided_how *how, const uint8_t outbox_root[32],
                         struct bft_certificate *certificate, uint8_t *headers);

/* One compact decision; malloc'd. The leaf's height, source and system are set here, its slice_bytes and slice_hash too (items_root and item_count
 * for a client leaf). It is leaf `index` of an outbox of `count` leaves, the others being of no account. */
uint8_t *decided_make(const struct decider *decider, const struct decided_how *how, struct leaf *leaf, uint32_t index, uint32_t count,
                      const uint8_t *slice, size_t slice_bytes, size_t *bytes_count);

/* A client slice from items (whole encoded items); malloc'd. */
struct decided_item {
    const uint8_t *bytes;
    size_t count;
};
uint8_t *decided_client_slice(const struct decided_item *items, uint32_t count, size_t *bytes_count);

/* A client slice of two items of kind 1, of which one has long results (D-36); malloc'd. */
uint8_t *decided_two_items(size_t *bytes_count);

/* An item of O-25; malloc'd. `head` gives everything but the lengths. */
uint8_t *decided_item(struct client_item head, const uint8_t *results, size_t results_bytes, size_t *bytes_count);

#endif
