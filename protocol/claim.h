/*
 * Records that a team signs about its own node, outside of the system's id: node claim, node configuration, addresses record; and the successor
 * statement, which administrators sign (spec/system.md 7.9 and 7.12, rules S-110 to S-112 and S-140 to S-144).
 *
 * All three of an owner are numbered: a receiver keeps the highest number that verifies and refuses lower ones. All are signed by the owner key of
 * the node's card. A claim proves who says it, not that it is so.
 *
 * Encoders CHECK their ranges; decoders are strict and verify nothing but form. Verification is apart, against the card.
 */
#ifndef PROTOCOL_CLAIM_H
#define PROTOCOL_CLAIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bft/ed25519.h"
#include "protocol/card.h"
#include "protocol/config.h"
#include "protocol/system.h"
#include "protocol/system_error.h"

enum {
    CLAIM_TEXT_BYTES_MAX = 128, /* printable ASCII */
    CLAIM_BYTES_MAX = 48 + 8 * (1 + CLAIM_TEXT_BYTES_MAX) + 64,
    CLAIM_SETTINGS_MAX = 64,
    CLAIM_SETTING_NAME_MAX = 32,
    CLAIM_SETTING_VALUE_MAX = 256,
    CLAIM_NODE_CONFIG_BYTES_MAX = 64 + CLAIM_SETTINGS_MAX * (3 + CLAIM_SETTING_NAME_MAX + CLAIM_SETTING_VALUE_MAX) + 64,
    CLAIM_HOST_BYTES_MAX = 253,
    CLAIM_ADDRESSES_BYTES_MAX = 64 + 2 * (3 + CLAIM_HOST_BYTES_MAX) + 64,
    CLAIM_SUCCESSOR_BYTES_MAX = 72 + CONFIG_ADMINS_MAX * 96
};

enum claim_field {
    CLAIM_ARCHITECTURE,
    CLAIM_KERNEL,
    CLAIM_COMPILER,
    CLAIM_CODE,
    CLAIM_IMAGE,
    CLAIM_OPERATOR,
    CLAIM_SITE,
    CLAIM_POWER,
    CLAIM_FIELDS
};

/* Node claim (0x12, tag `HRC claim`). It has all eight texts: one of fewer does not decode. */
struct claim {
    uint8_t node_id[32];
    uint64_t number; /* from 1 */
    char texts[CLAIM_FIELDS][CLAIM_TEXT_BYTES_MAX + 1];
    uint8_t signature[64];
};
size_t claim_encode(const struct claim *claim, uint8_t *out); /* CLAIM_BYTES_MAX */
enum system_error claim_decode(struct claim *claim, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));
void claim_sign(struct claim *claim, const struct ed25519_secret *owner);
enum system_error claim_verify(const struct claim *claim, const struct card *node, struct system_fault *fault) __attribute__((warn_unused_result));
const char *claim_field_name(enum claim_field field); /* "architecture", ... */

/* Node configuration (0x15, tag `HRC node-config`): names ascending, none twice. */
struct claim_setting {
    char name[CLAIM_SETTING_NAME_MAX + 1];   /* [a-z0-9._-] */
    char value[CLAIM_SETTING_VALUE_MAX + 1]; /* printable ASCII */
};
struct claim_node_config {
    uint8_t system_id[16];
    uint8_t node_id[32];
    uint64_t number;
    uint32_t settings_count;
    struct claim_setting settings[CLAIM_SETTINGS_MAX];
    uint8_t signature[64];
};
size_t claim_node_config_encode(const struct claim_node_config *record, uint8_t *out);
enum system_error claim_node_config_decode(struct claim_node_config *record, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));
void claim_node_config_sign(struct claim_node_config *record, const struct ed25519_secret *owner);
enum system_error claim_node_config_verify(const struct claim_node_config *record, const uint8_t system_id[16], const struct card *node,
                                           struct system_fault *fault) __attribute__((warn_unused_result));

/* Addresses record (0x14, tag `HRC addresses`): where one node is, now. */
struct claim_addresses {
    uint8_t system_id[16];
    uint8_t node_id[32];
    uint64_t number;
    char link_host[CLAIM_HOST_BYTES_MAX + 1];
    uint16_t link_port; /* not 0 */
    char admin_host[CLAIM_HOST_BYTES_MAX + 1]; /* may be empty, then port 0 */
    uint16_t admin_port;
    uint8_t signature[64];
};
size_t claim_addresses_encode(const struct claim_addresses *record, uint8_t *out);
enum system_error claim_addresses_decode(struct claim_addresses *record, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));
void claim_addresses_sign(struct claim_addresses *record, const struct ed25519_secret *owner);
enum system_error claim_addresses_verify(const struct claim_addresses *record, const uint8_t system_id[16], const struct card *node,
                                         struct system_fault *fault) __attribute__((warn_unused_result));

/* Successor statement (tag `HRC successor`): k of m administrators of the old system name its one successor. */
struct claim_successor {
    uint8_t predecessor_id[16];
    uint8_t successor_id[16];
    uint8_t successor_hash[32]; /* file_hash of the successor's system file */
    uint32_t signatures_count;  /* ascending by key */
    struct claim_signature {
        uint8_t key[32];
        uint8_t signature[64];
    } signatures[CONFIG_ADMINS_MAX];
};
size_t claim_successor_encode(const struct claim_successor *statement, uint8_t *out);
enum system_error claim_successor_decode(struct claim_successor *statement, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* Adds one administrator's signature (in order, replacing his own). False: there are already CONFIG_ADMINS_MAX. */
bool claim_successor_sign(struct claim_successor *statement, const struct ed25519_secret *admin);
/* The same with a signature that another made. */
bool claim_successor_signature_add(struct claim_successor *statement, const struct claim_signature *signature);
/* Administrators of this CONFIG who signed it, by bit. False: a signature is of nobody among them, or not valid. */
bool claim_successor_signers(const struct claim_successor *statement, const struct config *config, uint32_t *signers);
/* Against the administrators of the old system's newest known CONFIG, the old system file and the new one: ids, succession + 1, partition key, as
 * many shards and coordinators as S-140 wants, origins, signatures. */
enum system_error claim_successor_verify(const struct claim_successor *statement, const struct config *old_config, const struct system *successor,
                                         struct system_fault *fault) __attribute__((warn_unused_result));

#endif
