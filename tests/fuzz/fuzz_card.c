/*
 * Cards and owner records on hostile bytes.
 *
 *   byte 0   what: 1 to 3 a proven card of that kind, 4 a card file, 5 claim, 6 node configuration, 7 addresses record, 8 successor statement
 *   rest     the bytes
 *
 * Whatever is accepted must encode to the very bytes that were read.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/canonical.h"
#include "protocol/claim.h"
#include "tests/protocol/identity_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[65536];

static void proven_try(enum card_kind kind, const uint8_t *bytes, size_t count) {
    struct card card;
    if (card_decode_proven(&card, kind, bytes, count, NULL)) return;
    CHECK(card_encode_proven(&card, out) == count && memcmp(out, bytes, count) == 0);
}

static void file_try(const uint8_t *bytes, size_t count) {
    struct card card;
    size_t again_bytes = 0;
    if (card_parse(&card, 0, (const char *)bytes, count, NULL)) return;
    json_t *object = card_to_json(&card);
    char *again = canonical_print(object, &again_bytes);
    CHECK(again && again_bytes == count && memcmp(again, bytes, count) == 0);
    json_decref(object);
    free(again);
}

static void records_try(int what, const uint8_t *bytes, size_t count) {
    static struct claim claim;
    static struct claim_node_config node_config;
    static struct claim_addresses addresses;
    static struct claim_successor successor;
    size_t again = 0;
    if (what == 5 && !claim_decode(&claim, bytes, count, NULL)) again = claim_encode(&claim, out);
    else if (what == 6 && !claim_node_config_decode(&node_config, bytes, count, NULL)) again = claim_node_config_encode(&node_config, out);
    else if (what == 7 && !claim_addresses_decode(&addresses, bytes, count, NULL)) again = claim_addresses_encode(&addresses, out);
    else if (what == 8 && !claim_successor_decode(&successor, bytes, count, NULL)) again = claim_successor_encode(&successor, out);
    if (again > 0) CHECK(again == count && memcmp(out, bytes, count) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    if (!started) CHECK(ed25519_start(NULL));
    started = true;
    if (size < 1) return 0;
    if (data[0] >= CARD_NODE && data[0] <= CARD_ADMIN) proven_try((enum card_kind)data[0], data + 1, size - 1);
    else if (data[0] == 4) file_try(data + 1, size - 1);
    else records_try(data[0], data + 1, size - 1);
    return 0;
}
