/*
 * Administrative operations: CONFIG, SEAL, and the enrolment of clients (spec/system.md 7.6, rules S-70 to S-80).
 *
 * Signed offline by k of the m administrators of the CONFIG in force, decided as inputs like any other. CONFIG and SEAL are of one cluster and follow
 * its CONFIG by serial and config_hash; ENROL, CHANGE, REVOKE are of the whole system, numbered from 1, each naming its predecessor's hash (the first
 * one names the file_hash of the system file), and decided by each coordinator cluster for itself.
 *
 * An operation is bytes; its hash (0x11) covers all but the signatures, so two sets of signatures under one text are one operation. As an input of a
 * block they are two (0x19): whether it has an effect, and what it puts into queues, hangs on the signatures, and all nodes must hold the same.
 *
 * Layers: admin_op_decode() checks form, ranges, cards with their proofs; admin_op_verify() what needs the CONFIG in force, signatures first;
 * admin_op_follows() the place in the chain of enrolments. A node needs all three before it votes.
 *
 * The struct is flat and large (about 30 KiB): keep it off small stacks.
 */
#ifndef PROTOCOL_ADMIN_OP_H
#define PROTOCOL_ADMIN_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bft/ed25519.h"
#include "protocol/card.h"
#include "protocol/config.h"
#include "protocol/system.h"
#include "protocol/system_error.h"

enum admin_op_kind { ADMIN_OP_CONFIG = 1, ADMIN_OP_SEAL = 2, ADMIN_OP_ENROL = 3, ADMIN_OP_CHANGE = 4, ADMIN_OP_REVOKE = 5 };

enum {
    ADMIN_OP_FORMAT = 1,
    ADMIN_OP_HEAD_BYTES = 64,
    ADMIN_OP_SERIAL_AT = 24, /* in the head */
    ADMIN_OP_PREDECESSOR_AT = 32,
    ADMIN_OP_SIGNATURE_BYTES = 96, /* key, signature */
    ADMIN_OP_RIGHTS_BYTES_MAX = 4 + SYSTEM_RIGHTS_MAX * (4 + SYSTEM_RIGHT_PREFIX_MAX),
    ADMIN_OP_CONFIG_BODY_MAX = 4 + CONFIG_BYTES_MAX + 4 + CONFIG_MEMBERS_MAX * CARD_NODE_PROVEN_BYTES + CONFIG_ADMINS_MAX * CARD_ADMIN_PROVEN_BYTES,
    ADMIN_OP_BYTES_MAX = ADMIN_OP_HEAD_BYTES + ADMIN_OP_CONFIG_BODY_MAX + 4 + CONFIG_ADMINS_MAX * ADMIN_OP_SIGNATURE_BYTES
};

struct admin_op_signature {
    uint8_t key[32];
    uint8_t signature[64];
};

struct admin_op {
    enum admin_op_kind kind;
    uint32_t cluster; /* CONFIG, SEAL; else 0 */
    uint8_t system_id[16];
    uint64_t serial; /* CONFIG, SEAL: of the CONFIG that it makes; else the number of the enrolment, from 1 */
    uint8_t predecessor[32]; /* CONFIG, SEAL: config_hash in force; else hash of enrolment serial - 1, or the system's file_hash */
    /* CONFIG: the next one, whole, and the cards of the members and administrators that were not there before, in its order */
    struct config config;
    uint32_t nodes_count;
    struct card nodes[CONFIG_MEMBERS_MAX];
    uint32_t admins_count;
    struct card admins[CONFIG_ADMINS_MAX];
    /* ENROL, CHANGE, REVOKE */
    uint8_t client_id[32];
    struct card client; /* ENROL only */
    uint32_t quota_per_second, quota_burst; /* ENROL, CHANGE */
    uint32_t rights_count;
    struct system_right rights[SYSTEM_RIGHTS_MAX];
    /* Ascending by key, none twice */
    uint32_t signatures_count;
    struct admin_op_signature signatures[CONFIG_ADMINS_MAX];
    uint8_t hash[32];       /* SHA-256(0x11 | all but the signatures): derived */
    uint8_t input_hash[32]; /* SHA-256(0x19 | all, the signatures too): derived; under it a body names it (D-2) */
};

/* Strict. The whole input is one operation. */
enum system_error admin_op_decode(struct admin_op *op, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* `out` has ADMIN_OP_BYTES_MAX bytes. Returns the size and sets op->hash and op->input_hash. The fields must be in range (CHECK). */
size_t admin_op_encode(struct admin_op *op, uint8_t *out);

/* Adds one administrator's signature (in order, replacing his own). False: there are already CONFIG_ADMINS_MAX. */
bool admin_op_sign(struct admin_op *op, const struct ed25519_secret *admin);

/* The same with a signature that another made. */
bool admin_op_signature_add(struct admin_op *op, const struct admin_op_signature *signature);

/* Against the CONFIG in force (of the deciding cluster; for REVOKE at a shard, the shard's own): system, each signature good and of one of its
 * administrators, at least k (S-75); CONFIG, SEAL: cluster, serial, config_hash (S-76), what may change (S-60 to S-62), and that exactly the new
 * members and administrators have cards (S-77). `changed` (may be NULL) is how many members a CONFIG changes. */
enum system_error admin_op_verify(const struct admin_op *op, const struct config *in_force, uint32_t *changed, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* ENROL, CHANGE, REVOKE: is it the one after enrolment number `last` with hash `last_hash` (0 and file_hash at first)? */
enum system_error admin_op_follows(const struct admin_op *op, uint64_t last, const uint8_t last_hash[32], struct system_fault *fault)
    __attribute__((warn_unused_result));

/* input_hash of an operation's bytes as they came; false when they do not have the form of one (only heads and lengths are looked at). */
bool admin_op_input_hash(const uint8_t *bytes, size_t count, uint8_t out[32]);

/* The encoding of quota and rights, which client records in the state tree share: quota_per_second u32, quota_burst u32, count u16, zero u16, then
 * each rule: flags u8, zero u8, prefix_bytes u16, prefix. `out` has 8 + ADMIN_OP_RIGHTS_BYTES_MAX bytes. */
size_t admin_op_rights_encode(uint32_t quota_per_second, uint32_t quota_burst, const struct system_right *rights, uint32_t rights_count,
                              uint8_t *out);
/* Reads it at a cursor; the cursor has failed when the result is not SYSTEM_OK. `rights` has SYSTEM_RIGHTS_MAX entries. */
struct bytes_cursor;
enum system_error admin_op_rights_decode(struct bytes_cursor *cursor, uint32_t *quota_per_second, uint32_t *quota_burst,
                                         struct system_right *rights, uint32_t *rights_count) __attribute__((warn_unused_result));

#endif
