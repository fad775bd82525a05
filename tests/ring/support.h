/* What the tests of ring/ share: vectors from JSON files, and two links tied together by two byte queues in memory. */
#ifndef TESTS_RING_SUPPORT_H
#define TESTS_RING_SUPPORT_H

#include <jansson.h>

#include "ring/link.h"

/* Loads a file below tests/vectors/; the program runs in the repository's root. Ends the program if it cannot. */
json_t *support_json(const char *path);

/* Decodes lower-case hex into out, at most room bytes; the test ends if it is no hex or too long. NULL text: 0 bytes. */
size_t support_hex(const char *text, uint8_t *out, size_t room);
size_t support_hex_of(const json_t *object, const char *name, uint8_t *out, size_t room);

/* A seeded generator (splitmix64), so that a failure can be repeated. */
uint64_t support_random(uint64_t *state);
void support_random_fill(uint64_t *state, void *out, size_t bytes);
/* From HERACLIUS_TEST_SEED or the entropy of the machine; printed. */
uint64_t support_seed(const char *test);

#define SUPPORT_WIRE_ROOM (8u << 20)

/* One end: link, config, key pair, and the bytes it has written that the other has not read. */
struct support_end {
    struct link link;
    struct link_config config;
    struct link_identity identity;
    struct link_peer peer;            /* what the look-up grants */
    uint8_t expected[RING_KEY_BYTES]; /* the key that the look-up knows */
    unsigned lookups;
    uint8_t *wire;
    size_t wire_bytes;
    uint64_t blocks_taken, blocks_given;
    uint64_t blocks_max; /* take refuses beyond so many at a time; 0: no limit */
    unsigned ups, frames, closes;
    uint64_t payload_bytes;
    uint32_t payload_sum; /* of type and payload of all frames, order-dependent */
    bool detach;          /* detach every frame that can be */
    unsigned detached;
};

struct support_pair {
    struct support_end initiator, responder;
    uint64_t now_ms;
};

/* Two ends with keys from the seed, the same system id, that know one another. primitives may differ. */
struct support_pair *support_pair_new(const struct ring_primitives *a, const struct ring_primitives *b, uint64_t seed);
/* Begins both links, whatever was before. Version 0: current. */
void support_pair_begin(struct support_pair *pair, enum ring_suite suite, uint16_t version, uint64_t seed);
void support_pair_free(struct support_pair *pair);

/* Writes what the link has to say to its wire. */
void support_output(struct support_end *end);
/* Feeds bytes to the end in pieces of at most `piece` bytes (0: at once), taking frames. They are copied first: the original stays. */
void support_feed(struct support_pair *pair, struct support_end *end, const uint8_t *bytes, size_t count, size_t piece);
/* Moves all bytes of both wires until nothing moves. */
void support_settle(struct support_pair *pair, size_t piece);
/* Seals a frame to the wire. */
enum link_send_result support_send(struct support_end *end, uint16_t type, const struct iovec *pieces, size_t count, size_t room);
/* The running sum that the receiver of this frame keeps. */
uint32_t support_sum(uint32_t sum, uint16_t type, const uint8_t *payload, size_t bytes);

#endif
