/*
 * A bundle that is offered to a node as its configuration, judged (spec/appliance.md 9.4, rules ): the one place where it is decided
 * whether a node goes by it, for heraclius-setup on the node itself and for `heraclius node check-config` anywhere.
 *
 * What comes from outside is hostile until the owner's signature is verified; on a node, which knows its own keys and its owner, that comes before
 * settings, system file and addresses are looked at. A refusal has one word of 7.14 and a line that says what to do.
 */
#ifndef PROTOCOL_CANDIDATE_H
#define PROTOCOL_CANDIDATE_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/addresses.h"
#include "protocol/bundle.h"
#include "protocol/card.h"
#include "protocol/claim.h"
#include "protocol/node_settings.h"
#include "protocol/system.h"
#include "protocol/system_error.h"

/* What is known where it is judged. */
struct candidate_node {
    const struct card *own; /* this node's card, its owner's proof not needed; NULL: not known, the system file's is taken by the record's node_id */
    const uint8_t *owner_key; /* 32 bytes, pinned; NULL: that of the card */
};

struct candidate {
    uint8_t *text; /* malloc'd; blocks point into it */
    struct bundle bundle;
    struct claim_node_config record;
    struct node_settings settings;
    struct system *system;
    struct addresses *addresses;
    struct card card;                                                    /* the node's */
    uint32_t cluster, member;                                            /* member is 0 of a node that joins */
    const struct address *address;                                       /* its own among the addresses; NULL: not listed */
    char listen[NODE_SETTINGS_LISTEN_MAX][NODE_SETTINGS_ENDPOINT_BYTES]; /* */
    uint32_t listen_count;
    struct claim_successor statement; /* of a successor's node, who signed it not yet judged */
};

/* Takes `text`, malloc'd, which is the candidate's from then on. All of A-13 but the number; candidate_free() is due in any case. */
enum system_error candidate_judge(struct candidate *candidate, uint8_t *text, size_t count, const struct candidate_node *node,
                                  struct system_fault *fault) __attribute__((warn_unused_result));
/* Against what is in force, itself judged: a higher number, or the very same record; the same system. */
enum system_error candidate_follows(const struct candidate *candidate, const struct candidate *kept, struct system_fault *fault)
    __attribute__((warn_unused_result));
/* A zeroed one will do. */
void candidate_free(struct candidate *candidate);

#endif
