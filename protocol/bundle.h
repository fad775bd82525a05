/*
 * Armored blocks, and the bundle of them that configures an appliance (spec/appliance.md 9.1, rules ).
 *
 *     -----BEGIN HERACLIUS NODE CONFIG-----
 *     base64, 64 columns a line
 *     -----END HERACLIUS NODE CONFIG-----
 *
 * A bundle goes through terminals and people's hands, so its text may have carriage returns and empty lines; what is in a block is exact, comes in
 * the order of the kinds, each once. Nothing here is trusted: the record in the first block is signed and names the hash of all others (bundle_hash).
 *
 * Memory: a text is decoded where it lies. Blocks point into it.
 */
#ifndef PROTOCOL_BUNDLE_H
#define PROTOCOL_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/system_error.h"

enum { BUNDLE_TEXT_BYTES_MAX = 8 * 1024 * 1024, BUNDLE_COLUMNS = 64, BUNDLE_CHAIN_BYTES_MAX = 2 * 1024 * 1024, BUNDLE_PEM_BYTES_MAX = 65536 };

/* In the order in which they stand. Those before BUNDLE_BLOCKS make a configuration; a card request is a text of its own. */
enum bundle_kind {
    BUNDLE_NODE_CONFIG,       /* the owner's record, S-111 */
    BUNDLE_SYSTEM,            /* system.json */
    BUNDLE_ADDRESSES,         /* addresses.json */
    BUNDLE_CHAIN,             /* CONFIG_CHAIN payload of the cluster that the node joins (S-100) */
    BUNDLE_ADMIN_CERTIFICATE, /* PEM: the console's certificate and those above it */
    BUNDLE_SYSLOG_CA,         /* PEM: who vouches for the collector */
    BUNDLE_PREDECESSOR,       /* of a successor's node: the system file of the system before */
    BUNDLE_STATEMENT,         /* and what the administrators of that one signed (S-141) */
    BUNDLE_BLOCKS,
    BUNDLE_CARD_REQUEST = BUNDLE_BLOCKS,
    BUNDLE_KINDS
};

struct bundle_block {
    const uint8_t *bytes; /* NULL: not there */
    size_t count;         /* 1 to bundle_bytes_max() */
};
struct bundle {
    struct bundle_block blocks[BUNDLE_KINDS];
};

const char *bundle_label(enum bundle_kind kind); /* "NODE CONFIG", ... */
size_t bundle_bytes_max(enum bundle_kind kind);

/* Reads what is there, in its place: `text` is overwritten. Errors: too-large, truncated, not-canonical, format-unknown, order. */
enum system_error bundle_decode(struct bundle *bundle, uint8_t *text, size_t count, struct system_fault *fault) __attribute__((warn_unused_result));
/* It is a configuration: A-4. It is a card request and nothing else. */
enum system_error bundle_check(const struct bundle *bundle, struct system_fault *fault) __attribute__((warn_unused_result));
enum system_error bundle_check_request(const struct bundle *bundle, struct system_fault *fault) __attribute__((warn_unused_result));

/* What bundle_encode() writes, without an end. */
size_t bundle_text_bytes(const struct bundle *bundle);
/* The one text without carriage returns and empty lines; returns its size. Sizes of blocks are CHECKed. */
size_t bundle_encode(const struct bundle *bundle, char *out);

/* What the setting bundle.sha256 has: all blocks of a configuration but the first. */
void bundle_hash(const struct bundle *bundle, uint8_t out[32]);

#endif
