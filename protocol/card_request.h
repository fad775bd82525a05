/*
 * Card requests (spec/appliance.md 9.3, rules ): what a node that made its own keys hands to its owner, who makes a card of it.
 *
 * Binary form: the node card's (S-11) with the owner's key that the node was told, then signing_proof and noise_proof. Without owner_proof it is no
 * card, and nobody but that owner can make it one. As text it is one armored block (protocol/bundle.h).
 */
#ifndef PROTOCOL_CARD_REQUEST_H
#define PROTOCOL_CARD_REQUEST_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/card.h"
#include "protocol/system_error.h"

enum { CARD_REQUEST_BYTES = CARD_NODE_BYTES + 128, CARD_REQUEST_TEXT_BYTES_MAX = 1024 };

void card_request_encode(const struct card *card, uint8_t out[CARD_REQUEST_BYTES]);
/* Strict; keys and the two proofs are verified. owner_proof is zero. */
enum system_error card_request_decode(struct card *card, const uint8_t *bytes, size_t count, struct system_fault *fault)
    __attribute__((warn_unused_result));

/* The armored text; returns its size. */
size_t card_request_print(const struct card *card, char out[CARD_REQUEST_TEXT_BYTES_MAX]);
/* `text` is overwritten. */
enum system_error card_request_parse(struct card *card, uint8_t *text, size_t count, struct system_fault *fault) __attribute__((warn_unused_result));

#endif
