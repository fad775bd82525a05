/* Fuzzes ring/link.h from the stream: byte 0 chooses the mode, the rest is what the other end sends.
 *
 *   0  responder, nothing said yet              1  initiator, its first flight sent
 *   2  up; a peer with keys: plaintext, sealed here in records whose lengths the input chooses; compared with a plain parser
 *   3  up; raw records                           4  as 2, before the HELLO
 *
 * Pieces handed over are of the length that byte 1 states (0: all at once), each in a block of its own, so that reading beyond is seen. */
#include <stdlib.h>
#include <string.h>

#include "ring/check.h"
#include "ring/link.h"

#define FRAME_MAX 70000u

static const struct link_type_rule rules[] = {{0x0101, 1, 50000}, {0x0102, 1, FRAME_MAX}, {0x0103, 2, FRAME_MAX}};
static struct link_identity identity;
static struct link link_under_test;
static uint64_t blocks;

struct seen {
    uint64_t frames, bytes;
    uint32_t sum;
    enum link_cause cause;
    bool up;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void *take(void *context, size_t bytes) {
    (void)context;
    blocks++;
    return malloc(bytes);
}

static void give(void *context, void *block, size_t bytes) {
    (void)context;
    (void)bytes;
    blocks--;
    free(block);
}

static bool lookup(void *context, const uint8_t remote_static[RING_KEY_BYTES], struct link_peer *peer) {
    (void)context;
    *peer = (struct link_peer){.roles = 1, .frame_bytes_max = FRAME_MAX};
    return (remote_static[0] & 1) == 0;
}

static struct link_config config = {
    .identity = &identity,
    .system_id = "fuzz",
    .version_min = 1,
    .version_max = 1,
    .suites_allowed = 1u << RING_SUITE_CHACHAPOLY | 1u << RING_SUITE_AESGCM,
    .memory = {.take = take, .give = give},
    .rules = rules,
    .rule_count = 3,
};

static void add(struct seen *seen, uint16_t type, const uint8_t *payload, size_t bytes) {
    seen->frames++;
    seen->bytes += bytes;
    seen->sum = seen->sum * 31 + type;
    for (size_t i = 0; i < bytes; i++) {
        seen->sum = seen->sum * 31 + payload[i];
    }
}

static void feed(struct seen *seen, const uint8_t *bytes, size_t count, size_t piece) {
    while (count > 0) {
        size_t now = piece == 0 || piece > count ? count : piece;
        uint8_t *copy = malloc(now);
        struct link_frame frame;
        enum link_next next;
        RING_CHECK(copy != NULL);
        memcpy(copy, bytes, now);
        link_receive(&link_under_test, copy, now, 2);
        while ((next = link_next(&link_under_test, &frame)) == LINK_FRAME || next == LINK_UP) {
            if (next == LINK_FRAME) {
                size_t block_bytes;
                add(seen, frame.type, frame.payload, frame.payload_bytes);
                void *block = frame.payload_bytes % 2 == 0 ? link_frame_detach(&link_under_test, &frame, &block_bytes) : NULL;
                if (block != NULL) {
                    give(NULL, block, block_bytes);
                }
            } else {
                RING_CHECK(!seen->up);
                seen->up = true;
            }
        }
        uint8_t out[LINK_OUTPUT_BYTES_MAX];
        (void)link_output(&link_under_test, out, sizeof out);
        free(copy);
        bytes += now;
        count -= now;
    }
    seen->cause = link_closed_cause(&link_under_test);
}

static void cipher_key(struct noise_cipher *cipher) {
    static const uint8_t key[32] = "a key that the fuzzer knows ....";
    cipher->primitives = config.primitives;
    config.primitives->aead_init(&cipher->aead, RING_SUITE_CHACHAPOLY, key);
    memcpy(cipher->key, key, sizeof key);
    cipher->number = 0;
    cipher->keyed = true;
}

/* As after a handshake, without its cost. */
static void up(bool hello_taken) {
    static const uint8_t ephemeral[32] = {1};
    link_init_responder(&link_under_test, &config, lookup, NULL, ephemeral, 1);
    (void)lookup(NULL, ephemeral + 1, &link_under_test.peer);
    link_under_test.version = 1;
    link_under_test.suite = RING_SUITE_CHACHAPOLY;
    link_under_test.state = hello_taken ? LINK_STATE_READY : LINK_STATE_HELLO;
    link_under_test.peer_frame_bytes_max = FRAME_MAX;
    cipher_key(&link_under_test.receiving);
    cipher_key(&link_under_test.sending);
}

/* The plainest possible reading of a stream of frames after the HELLO. */
static void reference(struct seen *seen, const uint8_t *stream, size_t bytes) {
    while (bytes >= LINK_FRAME_HEADER_BYTES) {
        uint32_t length = ring_load_u32(stream);
        uint16_t type = ring_load_u16(stream + 4);
        if (ring_load_u16(stream + 6) != 0) {
            seen->cause = LINK_CAUSE_FRAME_HEADER;
        } else if (type == LINK_TYPE_HELLO) {
            seen->cause = LINK_CAUSE_HELLO;
        } else if (type == LINK_TYPE_PING || type == LINK_TYPE_PONG) {
            seen->cause = length == 8 ? LINK_CAUSE_NONE : LINK_CAUSE_CONTROL;
        } else if (type == LINK_TYPE_GOODBYE) {
            seen->cause = length == 4 ? LINK_CAUSE_NONE : LINK_CAUSE_CONTROL;
        } else if (type != 0x0101 && type != 0x0102) {
            seen->cause = LINK_CAUSE_FRAME_TYPE;
        } else if (length > (type == 0x0101 ? 50000 : FRAME_MAX)) {
            seen->cause = LINK_CAUSE_FRAME_LENGTH;
        }
        if (seen->cause != LINK_CAUSE_NONE || bytes - LINK_FRAME_HEADER_BYTES < length) {
            return;
        }
        if (type == LINK_TYPE_GOODBYE) {
            seen->cause = LINK_CAUSE_GOODBYE;
            return;
        }
        if (type >= LINK_TYPE_FIRST_FREE) {
            add(seen, type, stream + LINK_FRAME_HEADER_BYTES, length);
        }
        stream += LINK_FRAME_HEADER_BYTES + length;
        bytes -= LINK_FRAME_HEADER_BYTES + length;
    }
}

/* Repeats the input until it is long enough to span records, if its second byte says so. */
static size_t stretch(const uint8_t *data, size_t size, uint8_t times, uint8_t **stream) {
    size_t copies = 1 + (size_t)times % 64;
    *stream = malloc(size * copies + 1);
    RING_CHECK(*stream != NULL);
    for (size_t i = 0; i < copies; i++) {
        memcpy(*stream + i * size, data, size);
    }
    return size * copies;
}

static void sealed(const uint8_t *data, size_t size, size_t piece, bool hello_taken) {
    struct noise_cipher sending = {0};
    struct seen got = {0};
    struct seen expected = {0};
    uint8_t record[LINK_RECORD_WIRE_MAX];
    uint8_t *stream;
    up(hello_taken);
    if (size < 4) {
        return;
    }
    size_t cut = 1 + ring_load_u16(data) % LINK_RECORD_PLAIN_MAX;
    size_t bytes = stretch(data + 3, size - 3, data[2], &stream);
    cipher_key(&sending);
    for (size_t at = 0; at < bytes;) {
        size_t take_bytes = cut < bytes - at ? cut : bytes - at;
        RING_CHECK(noise_cipher_seal(&sending, stream + at, take_bytes, record + 2) == NOISE_OK);
        ring_store_u16(record, (uint16_t)(take_bytes + RING_TAG_BYTES));
        feed(&got, record, take_bytes + RING_TAG_BYTES + 2, piece);
        at += take_bytes;
    }
    if (hello_taken) {
        reference(&expected, stream, bytes);
        RING_CHECK(got.frames == expected.frames && got.bytes == expected.bytes && got.sum == expected.sum && got.cause == expected.cause);
    }
    free(stream);
    noise_cipher_wipe(&sending);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t ephemeral[32] = {3, 1, 4};
    struct seen seen = {0};
    uint8_t out[LINK_OUTPUT_BYTES_MAX];
    if (config.primitives == NULL) {
        config.primitives = ring_primitives_default();
        memset(identity.private_key, 7, RING_KEY_BYTES);
        config.primitives->x25519_base(identity.public_key, identity.private_key);
    }
    if (size < 2) {
        return 0;
    }
    size_t piece = data[1];
    uint8_t mode = data[0] % 5;
    data += 2;
    size -= 2;
    if (mode == 0) {
        link_init_responder(&link_under_test, &config, lookup, NULL, ephemeral, 1);
        feed(&seen, data, size, piece);
        RING_CHECK(!seen.up && seen.frames == 0);
    } else if (mode == 1) {
        struct link_peer peer = {.roles = 1, .frame_bytes_max = FRAME_MAX};
        link_init_initiator(&link_under_test, &config, &peer, identity.public_key, 1, RING_SUITE_CHACHAPOLY, ephemeral, 1);
        (void)link_output(&link_under_test, out, sizeof out);
        feed(&seen, data, size, piece);
        RING_CHECK(!seen.up && seen.frames == 0);
    } else if (mode == 3) {
        up(true);
        feed(&seen, data, size, piece);
    } else {
        sealed(data, size, piece, mode == 2);
    }
    link_tick(&link_under_test, 1000000);
    RING_CHECK(link_closed_cause(&link_under_test) != LINK_CAUSE_NONE);
    link_wipe(&link_under_test);
    RING_CHECK(blocks == 0);
    return 0;
}
