/*
 * The chain of CONFIGs: from the system file's genesis CONFIG to any later epoch of a cluster, one certified step each (spec/system.md 7.8, rules
 * S-100 to S-105). Sent as CONFIG_CHAIN, kept for ever by members, and carried by receipts.
 *
 * A step shows that the members of epoch e decided a block whose body ends with a CONFIG operation, and that this operation follows epoch e's CONFIG
 * (protocol/admin_op.h): then its CONFIG rules epoch e + 1. A SEAL ends the cluster. Any valid certificate and any sufficient set of signatures
 * will do.
 *
 * Usage
 *     struct config_chain *chain = ...;                          (60 KiB: not on a small stack)
 *     config_chain_genesis(chain, system, cluster)               serial 0
 *     config_chain_extend(chain, bytes, count, signer, &fault)   over each CONFIG_CHAIN payload; stops at the first bad step, keeps what was good
 *     config_chain_step(chain, entry, ...)                       one entry, for a node's own store
 *     chain->members, chain->config                              the newest epoch that is proved
 * For an older epoch: config_chain_members().
 *
 * `members.start.id` of epoch 0 is zero here, since genesis' id hangs on its state root, which only a node computes; certificates do not need it.
 */
#ifndef PROTOCOL_CONFIG_CHAIN_H
#define PROTOCOL_CONFIG_CHAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bft/certificate.h"
#include "bft/signer.h"
#include "merkle/bytes.h"
#include "protocol/admin_op.h"
#include "protocol/config.h"
#include "protocol/system.h"
#include "protocol/system_error.h"

enum {
    CONFIG_CHAIN_HEAD_BYTES = 16,
    CONFIG_CHAIN_ENTRIES_MAX = 4096, /* in one payload; ask again for more */
    CONFIG_CHAIN_ENTRY_BYTES_MAX = BFT_HEADER_BYTES + 12 + BFT_BODY_BYTES_MAX + ADMIN_OP_BYTES_MAX + BFT_CERTIFICATE_BYTES_MAX,
    CONFIG_QUERY_BYTES = 16
};

struct config_chain {
    struct config config;       /* in force in the newest proved epoch */
    struct bft_members members; /* of that epoch; height_last is UINT64_MAX unless sealed */
    bool sealed;                /* a SEAL was the last step: no certificate proves anything above members.height_last */
    struct bft_members before;  /* of the epoch before, with its height_last; n = 0 at genesis */
    struct admin_op operation;  /* of the last step */
    struct system_limits file;  /* of the system file: what D-32 allows of them */
};

/* False: no such cluster in the system. */
bool config_chain_genesis(struct config_chain *chain, const struct system *system, uint32_t cluster) __attribute__((warn_unused_result));

/* bft_members of an epoch from its CONFIG and the block that began it. */
void config_chain_members_of(const struct config *config, const struct bft_point *start, struct bft_members *members);

/* One step: an entry, whole. On failure the chain is unchanged but for `operation`. SYSTEM_CERTIFICATE: not proved; else what is wrong with the
 * operation. */
enum system_error config_chain_step(struct config_chain *chain, const uint8_t *entry, size_t entry_bytes, const struct signer *signer,
                                    struct system_fault *fault) __attribute__((warn_unused_result));

/* The entries of a CONFIG_CHAIN payload, one by one, not judged; `serial` is that of the entry given last. After config_chain_next() said no,
 * config_chain_read_end() tells whether the payload was whole. */
struct config_chain_reader {
    struct bytes_cursor cursor;
    uint32_t count, left;
    uint64_t serial;
};
enum system_error config_chain_read(struct config_chain_reader *reader, uint32_t cluster, const uint8_t *bytes, size_t count,
                                    struct system_fault *fault) __attribute__((warn_unused_result));
bool config_chain_next(struct config_chain_reader *reader, const uint8_t **entry, size_t *entry_bytes) __attribute__((warn_unused_result));
enum system_error config_chain_read_end(struct config_chain_reader *reader, struct system_fault *fault) __attribute__((warn_unused_result));

/* A CONFIG_CHAIN payload. Entries at or below the serial that the chain has are skipped; a gap is SYSTEM_SERIAL. Also takes the empty payload of a
 * receipt (0 bytes). */
enum system_error config_chain_extend(struct config_chain *chain, const uint8_t *bytes, size_t count, const struct signer *signer,
                                      struct system_fault *fault) __attribute__((warn_unused_result));

/* The members of one epoch, by a payload that starts at serial 1; height_last is set when the payload goes beyond it. `chain` is scratch. */
enum system_error config_chain_members(struct config_chain *chain, const struct system *system, uint32_t cluster, const uint8_t *bytes, size_t count,
                                       uint64_t epoch, const struct signer *signer, struct bft_members *members, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* Writes one entry: header (as in wire form), body, operation, certificate, all as they came. */
void config_chain_entry_encode(struct bytes_writer *writer, const uint8_t header[BFT_HEADER_BYTES], const uint8_t *body, size_t body_bytes,
                               const uint8_t *operation, size_t operation_bytes, const uint8_t *certificate, size_t certificate_bytes);
/* Where the certificate of an entry lies that a step took. */
const uint8_t *config_chain_entry_certificate(const uint8_t *entry, size_t entry_bytes, size_t *bytes);
/* Writes the head of a payload, which `entries_count` times u32 length and entry follow. */
void config_chain_head_encode(struct bytes_writer *writer, uint32_t cluster, uint32_t entries_count, uint64_t first_serial);

/* CONFIG_QUERY: send the chain of this cluster from this serial (>= 1) on. */
void config_query_encode(uint32_t cluster, uint64_t from_serial, uint8_t out[CONFIG_QUERY_BYTES]);
bool config_query_decode(const uint8_t *bytes, size_t count, uint32_t *cluster, uint64_t *from_serial) __attribute__((warn_unused_result));

#endif
