/*
 * System files, addresses and canonical JSON on hostile bytes.
 *
 *   byte 0   what: 0 a system file, 1 addresses of the seed's system, 2 the seed's own file with a few bytes changed, 3 one endpoint
 *   rest     the text; for 2: pairs of (u24 place, new byte)
 *
 * Whatever is accepted must print to the very bytes that were read.
 */
#include <stdlib.h>
#include <string.h>

#include "merkle/check.h"
#include "protocol/addresses.h"
#include "tests/protocol/identity_fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fixture *fixture;
static char *own_text;
static size_t own_bytes;

static void system_try(const char *text, size_t count) {
    struct system *system = NULL;
    struct system_fault fault = {.text = ""};
    size_t again_bytes = 0;
    enum system_error error = system_parse(&system, text, count, &fault);
    if (error) {
        CHECK(!system && fault.text[0]);
        return;
    }
    char *again = system_encode_json(system, &again_bytes);
    CHECK(again && again_bytes == count && memcmp(again, text, count) == 0);
    free(again);
    system_free(system);
}

static void addresses_try(const char *text, size_t count) {
    struct addresses *addresses = NULL;
    size_t again_bytes = 0;
    if (addresses_parse(&addresses, text, count, &fixture->assembly->system, NULL)) return;
    char *again = addresses_encode_json(addresses, &again_bytes);
    CHECK(again && again_bytes == count && memcmp(again, text, count) == 0);
    free(again);
    addresses_free(addresses);
}

static void changed_try(const uint8_t *changes, size_t count) {
    char *text = malloc(own_bytes);
    CHECK(text);
    memcpy(text, own_text, own_bytes);
    for (size_t i = 0; i + 4 <= count; i += 4) {
        size_t place = (size_t)(changes[i] | changes[i + 1] << 8 | changes[i + 2] << 16) % own_bytes;
        text[place] = (char)changes[i + 3];
    }
    struct system *system = NULL;
    enum system_error error = system_parse(&system, text, own_bytes, NULL);
    CHECK((error == SYSTEM_OK) == (memcmp(text, own_text, own_bytes) == 0)); /* no other file has this system's proofs */
    system_free(system);
    free(text);
}

static void endpoint_try(const uint8_t *data, size_t size) {
    char text[300], out[ADDRESSES_HOST_BYTES_MAX + 9];
    struct address_endpoint endpoint;
    size_t count = size < sizeof text - 1 ? size : sizeof text - 1;
    memcpy(text, data, count);
    text[count] = 0;
    if (!address_endpoint_parse(&endpoint, text)) return;
    address_endpoint_print(&endpoint, out);
    CHECK(strcmp(out, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!fixture) {
        fixture = fixture_new(70, 1, 1, 4);
        own_text = system_encode_json(&fixture->assembly->system, &own_bytes);
        CHECK(own_text);
    }
    if (size < 1) return 0;
    switch (data[0] % 4) {
    case 0: system_try((const char *)data + 1, size - 1); break;
    case 1: addresses_try((const char *)data + 1, size - 1); break;
    case 2: changed_try(data + 1, size - 1); break;
    default: endpoint_try(data + 1, size - 1); break;
    }
    return 0;
}
