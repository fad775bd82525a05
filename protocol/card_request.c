/* Card requests. */
#include "protocol/card_request.h"

#include <string.h>

#include "merkle/check.h"
#include "protocol/bundle.h"

void card_request_encode(const struct card *card, uint8_t out[CARD_REQUEST_BYTES]) {
    CHECK(card->kind == CARD_NODE);
    size_t count = card_encode(card, out);
    memcpy(out + count, card->signing_proof, 64);
    memcpy(out + count + 64, card->noise_proof, 64);
}

enum system_error card_request_decode(struct card *card, const uint8_t *bytes, size_t count, struct system_fault *fault) {
    if (count != CARD_REQUEST_BYTES) return system_fault_set(fault, SYSTEM_TRUNCATED, "card request: %zu bytes, not %d", count, CARD_REQUEST_BYTES);
    return card_decode_unowned(card, bytes, count, fault);
}

size_t card_request_print(const struct card *card, char out[CARD_REQUEST_TEXT_BYTES_MAX]) {
    uint8_t bytes[CARD_REQUEST_BYTES];
    struct bundle bundle = {.blocks[BUNDLE_CARD_REQUEST] = {.bytes = bytes, .count = sizeof bytes}};
    card_request_encode(card, bytes);
    CHECK(bundle_text_bytes(&bundle) < CARD_REQUEST_TEXT_BYTES_MAX);
    return bundle_encode(&bundle, out);
}

enum system_error card_request_parse(struct card *card, uint8_t *text, size_t count, struct system_fault *fault) {
    struct bundle bundle;
    enum system_error error = bundle_decode(&bundle, text, count, fault);
    if (!error) error = bundle_check_request(&bundle, fault);
    if (error) return error;
    const struct bundle_block *block = &bundle.blocks[BUNDLE_CARD_REQUEST];
    return card_request_decode(card, block->bytes, block->count, fault);
}
