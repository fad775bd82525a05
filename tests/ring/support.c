/* See support.h. */
#include "tests/ring/support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ring/entropy.h"

json_t *support_json(const char *path) {
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL) {
        fail_msg("%s: %s", path, error.text);
    }
    return root;
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t support_hex(const char *text, uint8_t *out, size_t room) {
    size_t bytes = text == NULL ? 0 : strlen(text) / 2;
    assert_true(text == NULL || strlen(text) % 2 == 0);
    assert_true(bytes <= room);
    for (size_t i = 0; i < bytes; i++) {
        int high = digit(text[2 * i]);
        int low = digit(text[2 * i + 1]);
        assert_true(high >= 0 && low >= 0);
        out[i] = (uint8_t)(high * 16 + low);
    }
    return bytes;
}

size_t support_hex_of(const json_t *object, const char *name, uint8_t *out, size_t room) {
    return support_hex(json_string_value(json_object_get(object, name)), out, room);
}

uint64_t support_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void support_random_fill(uint64_t *state, void *out, size_t bytes) {
    uint8_t *to = out;
    for (size_t i = 0; i < bytes; i++) {
        to[i] = (uint8_t)support_random(state);
    }
}

uint64_t support_seed(const char *test) {
    const char *given = getenv("HERACLIUS_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : ring_entropy_u64();
    printf("%s: HERACLIUS_TEST_SEED=0x%llx\n", test, (unsigned long long)seed);
    return seed;
}

static void *take(void *context, size_t bytes) {
    struct support_end *end = context;
    if (end->blocks_max != 0 && end->blocks_taken - end->blocks_given >= end->blocks_max) {
        return NULL;
    }
    end->blocks_taken++;
    return malloc(bytes);
}

static void give(void *context, void *block, size_t bytes) {
    struct support_end *end = context;
    (void)bytes;
    end->blocks_given++;
    free(block);
}

static bool lookup(void *context, const uint8_t remote_static[RING_KEY_BYTES], struct link_peer *peer) {
    struct support_end *end = context;
    end->lookups++;
    if (memcmp(remote_static, end->expected, RING_KEY_BYTES) != 0) {
        return false;
    }
    *peer = end->peer;
    return true;
}

static void end_init(struct support_end *end, const struct ring_primitives *primitives, uint64_t *seed) {
    support_random_fill(seed, end->identity.private_key, RING_KEY_BYTES);
    primitives->x25519_base(end->identity.public_key, end->identity.private_key);
    end->config = (struct link_config){
        .primitives = primitives,
        .identity = &end->identity,
        .system_id = "system-of-tests",
        .version_min = LINK_VERSION_CURRENT,
        .version_max = LINK_VERSION_CURRENT,
        .suites_allowed = 1u << RING_SUITE_CHACHAPOLY | 1u << RING_SUITE_AESGCM,
        .memory = {.context = end, .take = take, .give = give},
    };
    end->peer = (struct link_peer){.tag = 7, .roles = 1, .frame_bytes_max = LINK_FRAME_BYTES_MAX};
    end->wire = malloc(SUPPORT_WIRE_ROOM);
    assert_non_null(end->wire);
}

struct support_pair *support_pair_new(const struct ring_primitives *a, const struct ring_primitives *b, uint64_t seed) {
    struct support_pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    pair->now_ms = 1000;
    end_init(&pair->initiator, a, &seed);
    end_init(&pair->responder, b, &seed);
    memcpy(pair->initiator.expected, pair->responder.identity.public_key, RING_KEY_BYTES);
    memcpy(pair->responder.expected, pair->initiator.identity.public_key, RING_KEY_BYTES);
    return pair;
}

static void end_reset(struct support_end *end) {
    link_wipe(&end->link);
    end->wire_bytes = 0;
    end->lookups = end->ups = end->frames = end->closes = end->detached = 0;
    end->payload_bytes = 0;
    end->payload_sum = 0;
}

void support_pair_begin(struct support_pair *pair, enum ring_suite suite, uint16_t version, uint64_t seed) {
    uint8_t ephemeral[RING_KEY_BYTES];
    end_reset(&pair->initiator);
    end_reset(&pair->responder);
    support_random_fill(&seed, ephemeral, sizeof ephemeral);
    link_init_initiator(&pair->initiator.link, &pair->initiator.config, &pair->initiator.peer, pair->initiator.expected,
                        version == 0 ? LINK_VERSION_CURRENT : version, suite, ephemeral, pair->now_ms);
    support_random_fill(&seed, ephemeral, sizeof ephemeral);
    link_init_responder(&pair->responder.link, &pair->responder.config, lookup, &pair->responder, ephemeral, pair->now_ms);
}

void support_pair_free(struct support_pair *pair) {
    struct support_end *ends[2] = {&pair->initiator, &pair->responder};
    for (size_t i = 0; i < 2; i++) {
        link_wipe(&ends[i]->link);
        assert_int_equal(ends[i]->blocks_taken, ends[i]->blocks_given);
        free(ends[i]->wire);
    }
    free(pair);
}

void support_output(struct support_end *end) {
    assert_true(SUPPORT_WIRE_ROOM - end->wire_bytes >= LINK_OUTPUT_BYTES_MAX);
    end->wire_bytes += link_output(&end->link, end->wire + end->wire_bytes, LINK_OUTPUT_BYTES_MAX);
}

uint32_t support_sum(uint32_t sum, uint16_t type, const uint8_t *payload, size_t bytes) {
    sum = sum * 31 + type;
    for (size_t i = 0; i < bytes; i++) {
        sum = sum * 31 + payload[i];
    }
    return sum;
}

static void take_frame(struct support_end *end, const struct link_frame *frame) {
    size_t block_bytes = 0;
    void *block = end->detach ? link_frame_detach(&end->link, frame, &block_bytes) : NULL;
    end->frames++;
    end->payload_bytes += frame->payload_bytes;
    end->payload_sum = support_sum(end->payload_sum, frame->type, frame->payload, frame->payload_bytes);
    if (block != NULL) {
        assert_ptr_equal(block, frame->payload);
        end->detached++;
        give(end, block, block_bytes);
    }
}

void support_feed(struct support_pair *pair, struct support_end *end, const uint8_t *bytes, size_t count, size_t piece) {
    while (count > 0) {
        size_t now = piece == 0 || piece > count ? count : piece;
        uint8_t *copy = malloc(now); /* of exactly this size, so that a sanitizer sees every byte read beyond it */
        assert_non_null(copy);
        memcpy(copy, bytes, now);
        link_receive(&end->link, copy, now, pair->now_ms);
        struct link_frame frame;
        enum link_next next;
        while ((next = link_next(&end->link, &frame)) != LINK_MORE && next != LINK_CLOSED) {
            if (next == LINK_UP) {
                assert_int_equal(end->frames, 0);
                end->ups++;
            } else {
                assert_int_equal(end->ups, 1);
                take_frame(end, &frame);
            }
        }
        end->closes += next == LINK_CLOSED;
        free(copy);
        bytes += now;
        count -= now;
    }
}

static bool move(struct support_pair *pair, struct support_end *from, struct support_end *to, size_t piece) {
    support_output(from);
    size_t bytes = from->wire_bytes;
    if (bytes == 0) {
        return false;
    }
    from->wire_bytes = 0;
    support_feed(pair, to, from->wire, bytes, piece);
    return true;
}

void support_settle(struct support_pair *pair, size_t piece) {
    bool moved = true;
    while (moved) {
        moved = move(pair, &pair->initiator, &pair->responder, piece);
        moved = move(pair, &pair->responder, &pair->initiator, piece) || moved;
    }
}

enum link_send_result support_send(struct support_end *end, uint16_t type, const struct iovec *pieces, size_t count, size_t room) {
    struct link_send sending;
    support_output(end);
    enum link_send_result result = link_send_begin(&end->link, &sending, type, pieces, count);
    if (result != LINK_SEND_OK) {
        return result;
    }
    bool done = false;
    while (!done) {
        size_t give_room = SUPPORT_WIRE_ROOM - end->wire_bytes < room ? SUPPORT_WIRE_ROOM - end->wire_bytes : room;
        size_t wrote = link_send_some(&end->link, &sending, end->wire + end->wire_bytes, give_room, &done);
        assert_true(wrote > 0 && wrote <= give_room);
        end->wire_bytes += wrote;
    }
    return result;
}
