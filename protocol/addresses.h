/*
 * addresses.json: where the nodes of a system are reached (spec/system.md 7.7, rules S-90 to S-91). It lies beside the system file, is no part of the
 * system's id, is not signed, and may change while the system runs: a wrong address costs a connection, never safety, since links prove keys.
 *
 * Canonical JSON: {"format": 1, "nodes": {"<node name>": {"admin": "host:port" or "", "link": "host:port"}, ...}, "system_id": "<hex>"}; nodes that
 * it leaves out have no known address. Hosts are IPv4, IPv6 in brackets, or names.
 */
#ifndef PROTOCOL_ADDRESSES_H
#define PROTOCOL_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/card.h"
#include "protocol/system.h"
#include "protocol/system_error.h"

enum { ADDRESSES_HOST_BYTES_MAX = 253, ADDRESSES_FILE_BYTES_MAX = 4 * 1024 * 1024 };

struct address_endpoint {
    char host[ADDRESSES_HOST_BYTES_MAX + 1]; /* without brackets; empty: unknown */
    uint16_t port;                           /* 0 iff the host is empty */
};

struct address {
    char node[CARD_NAME_BYTES_MAX + 1];
    struct address_endpoint link;
    struct address_endpoint admin;
};

/* One heap block, ascending by node name. */
struct addresses {
    uint8_t system_id[16];
    uint32_t count;
    struct address entries[];
};

/* Reads, checks form, that it is of this system, and that each name could be a node's: CONFIGs bring in nodes that the system file does not name. */
enum system_error addresses_load(struct addresses **out, const char *path, const struct system *system, struct system_fault *fault)
    __attribute__((warn_unused_result));
enum system_error addresses_parse(struct addresses **out, const char *text, size_t text_bytes, const struct system *system,
                                  struct system_fault *fault) __attribute__((warn_unused_result));
void addresses_free(struct addresses *addresses);

/* NULL: not listed. */
const struct address *addresses_find(const struct addresses *addresses, const char *node);
/* Canonical text; malloc'd. Entries must ascend by name. */
char *addresses_encode_json(const struct addresses *addresses, size_t *text_bytes);
/* "host:port", "[v6]:port"; strict. An empty text is an empty endpoint. */
bool address_endpoint_parse(struct address_endpoint *endpoint, const char *text);
/* `out` has ADDRESSES_HOST_BYTES_MAX + 9 bytes. */
void address_endpoint_print(const struct address_endpoint *endpoint, char *out);

#endif
