/* Whole systems from a seed, for the tests of chapter 7 and for whoever needs members with keys. */
#ifndef TESTS_PROTOCOL_IDENTITY_FIXTURE_H
#define TESTS_PROTOCOL_IDENTITY_FIXTURE_H

#include "bft/types.h"
#include "protocol/admin_op.h"
#include "protocol/assembly.h"
#include "protocol/keyfile.h"

/* Deterministic bytes: SHA-256(seed, counter). The `context` of keyfile_generate(). */
struct fixture_entropy {
    uint64_t seed, counter;
};
bool fixture_entropy_fill(void *context, uint8_t *out, size_t count);

enum { FIXTURE_CLUSTERS_MAX = 8, FIXTURE_ADMINS = 3, FIXTURE_CLIENTS = 3, FIXTURE_SPARE_NODES = 3 };

/* Keys of everybody; nodes[cluster][member], coordinators first. */
struct fixture {
    struct fixture_entropy entropy;
    struct assembly *assembly; /* finished: assembly->system is whole */
    uint32_t coordinators, shards, nodes_count;
    struct keyfile nodes[FIXTURE_CLUSTERS_MAX][CONFIG_MEMBERS_MAX];
    struct keyfile owners[FIXTURE_CLUSTERS_MAX][CONFIG_MEMBERS_MAX];
    struct keyfile admins[FIXTURE_ADMINS]; /* 2 of 3 must sign */
    struct card admin_cards[FIXTURE_ADMINS];
    struct keyfile clients[FIXTURE_CLIENTS]; /* all keys; "a/" only; reads everything, writes "b/", 100 a second */
    struct card client_cards[FIXTURE_CLIENTS];
    struct keyfile spares[FIXTURE_SPARE_NODES]; /* nodes that are in no cluster yet */
    struct card spare_cards[FIXTURE_SPARE_NODES];
};

/* A heap block; fixture_free(). Starts Ed25519. CHECKs everything. coordinators + shards <= FIXTURE_CLUSTERS_MAX. */
struct fixture *fixture_new(uint64_t seed, uint32_t coordinators, uint32_t shards, uint32_t nodes);
void fixture_free(struct fixture *fixture);

/* A new key and its card (owner: for a node its own, made on the way; may be NULL). */
void fixture_enroll(struct fixture *fixture, enum keyfile_kind kind, const char *name, struct keyfile *key, struct keyfile *owner, struct card *card);

/* Signs by the first `count` administrators of the fixture, in whatever order. */
void fixture_sign(const struct fixture *fixture, struct admin_op *op, uint32_t count);

/* The CONFIG after `before`, unsigned: the last member becomes a spare; with spare < 0 only window_blocks changes. */
void fixture_config_op(const struct fixture *fixture, const struct config *before, int spare, struct admin_op *op);

/* An entry of the CONFIG chain (S-100): a block at `height` with a NOOP and this operation, certified by the first `signers` nodes of fixture cluster
 * `cluster` (its keys; `members` says which epoch). Returns its size. */
size_t fixture_chain_entry(const struct fixture *fixture, uint32_t cluster, const struct bft_members *members, struct admin_op *op, uint64_t height,
                           uint32_t signers, uint8_t *out, size_t room);

#endif
