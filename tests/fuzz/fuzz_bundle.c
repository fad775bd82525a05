/*
 * Bundles, card requests and settings on hostile bytes.
 *
 *   byte 0   what: 1 a text of blocks, 2 a card request's text, 3 a node configuration whose settings are read, 4 a bundle judged as by check-config
 *   rest     the bytes
 *
 * Whatever decodes must encode to one text that decodes to the same blocks, and to itself.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/candidate.h"
#include "protocol/card_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *copy_of(const void *bytes, size_t count) {
    uint8_t *copy = malloc(count + 1);
    CHECK(copy);
    memcpy(copy, bytes, count);
    return copy;
}

static void text_try(const uint8_t *bytes, size_t count) {
    struct bundle bundle, again;
    uint8_t *text = copy_of(bytes, count), hash[32], hash_again[32];
    if (bundle_decode(&bundle, text, count, NULL) == SYSTEM_OK) {
        size_t one_bytes = bundle_text_bytes(&bundle);
        char *one = malloc(one_bytes);
        CHECK(one && one_bytes <= count + 1 && bundle_encode(&bundle, one) == one_bytes); /* the last line's end may be wanting */
        uint8_t *two = copy_of(one, one_bytes);
        CHECK(bundle_decode(&again, two, one_bytes, NULL) == SYSTEM_OK);
        for (int kind = 0; kind < BUNDLE_KINDS; kind++) {
            CHECK((bundle.blocks[kind].bytes != NULL) == (again.blocks[kind].bytes != NULL) && bundle.blocks[kind].count == again.blocks[kind].count);
            if (bundle.blocks[kind].bytes) CHECK(memcmp(bundle.blocks[kind].bytes, again.blocks[kind].bytes, bundle.blocks[kind].count) == 0);
        }
        bundle_hash(&bundle, hash);
        bundle_hash(&again, hash_again);
        CHECK(memcmp(hash, hash_again, 32) == 0 && bundle_text_bytes(&again) == one_bytes);
        free(two);
        free(one);
    }
    free(text);
}

static void request_try(const uint8_t *bytes, size_t count) {
    struct card card, again;
    char text[CARD_REQUEST_TEXT_BYTES_MAX];
    uint8_t *copy = copy_of(bytes, count);
    if (card_request_parse(&card, copy, count, NULL) == SYSTEM_OK) {
        size_t printed = card_request_print(&card, text);
        CHECK(card_request_parse(&again, (uint8_t *)text, printed, NULL) == SYSTEM_OK && memcmp(card.id, again.id, 32) == 0);
    }
    free(copy);
}

static void settings_try(const uint8_t *bytes, size_t count) {
    static struct claim_node_config record;
    static struct node_settings settings;
    if (claim_node_config_decode(&record, bytes, count, NULL) == SYSTEM_OK) (void)!node_settings_read(&settings, &record, NULL);
}

static void candidate_try(const uint8_t *bytes, size_t count) {
    static struct candidate candidate;
    const struct candidate_node node = {.own = NULL};
    (void)!candidate_judge(&candidate, copy_of(bytes, count), count, &node, NULL);
    candidate_free(&candidate);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    if (!started) CHECK(ed25519_start(NULL));
    started = true;
    if (size < 1) return 0;
    if (data[0] == 1)
        text_try(data + 1, size - 1);
    else if (data[0] == 2)
        request_try(data + 1, size - 1);
    else if (data[0] == 3)
        settings_try(data + 1, size - 1);
    else if (data[0] == 4)
        candidate_try(data + 1, size - 1);
    return 0;
}
