/* Vectors of spec/links.md: a handshake with fixed keys, HELLOs, control frames, a short and a long frame for both suites, the first key change,
 * and negative cases. Each negative case names the error that spec/links.md gives it, written here by hand; the code under test is then checked to
 * give it. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ring/link.h"
#include "tests/vectors_gen/gen.h"
#include "tests/vectors_gen/gen_json.h"

#define WIRE_ROOM 65536u
#define CHECK(cond) ((cond) ? (void)0 : die(#cond, __LINE__))

_Noreturn static void die(const char *what, int line) {
    fprintf(stderr, "gen_links.c:%d: %s\n", line, what);
    exit(1);
}

static const char system_id[LINK_SYSTEM_ID_BYTES + 1] = "heraclius-links!";

struct end {
    struct link link;
    struct link_config config;
    struct link_identity identity;
    uint8_t ephemeral[32];
    const struct end *other;
    uint8_t wire[WIRE_ROOM];
    size_t wire_bytes;
    unsigned frames;
};

struct session {
    struct end initiator, responder;
};

static void set_text(json_t *object, const char *name, const char *text) {
    CHECK(json_object_set_new(object, name, json_string(text)) == 0);
}

static void set_number(json_t *object, const char *name, uint64_t number) {
    CHECK(json_object_set_new(object, name, json_integer((json_int_t)number)) == 0);
}

static json_t *object_in(json_t *object, const char *name) {
    json_t *inner = json_object();
    CHECK(json_object_set_new(object, name, inner) == 0);
    return inner;
}

static json_t *item_in(json_t *object, const char *name) {
    json_t *list = json_object_get(object, name);
    if (list == NULL) {
        list = json_array();
        CHECK(json_object_set_new(object, name, list) == 0);
    }
    json_t *item = json_object();
    CHECK(json_array_append_new(list, item) == 0);
    return item;
}

static void *take(void *context, size_t bytes) {
    (void)context;
    return malloc(bytes);
}

static void give(void *context, void *block, size_t bytes) {
    (void)context;
    (void)bytes;
    free(block);
}

static bool lookup(void *context, const uint8_t remote_static[RING_KEY_BYTES], struct link_peer *peer) {
    const struct end *end = context;
    *peer = (struct link_peer){.roles = 1, .frame_bytes_max = 1u << 20};
    return memcmp(remote_static, end->other->identity.public_key, RING_KEY_BYTES) == 0;
}

/* Keys: SHA-256 of a name. */
static void end_init(struct end *end, const struct end *other, const char *name) {
    char text[64];
    memset(end, 0, sizeof *end);
    snprintf(text, sizeof text, "heraclius links vectors %s static", name);
    crypto_hash_sha256(end->identity.private_key, (const uint8_t *)text, strlen(text));
    snprintf(text, sizeof text, "heraclius links vectors %s ephemeral", name);
    crypto_hash_sha256(end->ephemeral, (const uint8_t *)text, strlen(text));
    ring_primitives_sodium()->x25519_base(end->identity.public_key, end->identity.private_key);
    end->other = other;
    end->config = (struct link_config){
        .primitives = ring_primitives_default(),
        .identity = &end->identity,
        .version_min = 1,
        .version_max = 1,
        .suites_allowed = 1u << RING_SUITE_CHACHAPOLY | 1u << RING_SUITE_AESGCM,
        .memory = {.take = take, .give = give},
    };
    memcpy(end->config.system_id, system_id, LINK_SYSTEM_ID_BYTES);
}

static void begin(struct session *session, enum ring_suite suite) {
    struct link_peer peer = {.roles = 1, .frame_bytes_max = 1u << 20};
    end_init(&session->initiator, &session->responder, "initiator");
    end_init(&session->responder, &session->initiator, "responder");
    link_init_initiator(&session->initiator.link, &session->initiator.config, &peer, session->responder.identity.public_key, 1, suite,
                        session->initiator.ephemeral, 1000);
    link_init_responder(&session->responder.link, &session->responder.config, lookup, &session->responder, session->responder.ephemeral, 1000);
}

static void end_session(struct session *session) {
    link_wipe(&session->initiator.link);
    link_wipe(&session->responder.link);
}

static void output(struct end *end) {
    end->wire_bytes = link_output(&end->link, end->wire, sizeof end->wire);
}

static enum link_next feed(struct end *end, const uint8_t *bytes, size_t count) {
    static uint8_t copy[WIRE_ROOM];
    struct link_frame frame;
    enum link_next next;
    CHECK(count <= sizeof copy);
    memcpy(copy, bytes, count);
    link_receive(&end->link, copy, count, 1000);
    do {
        next = link_next(&end->link, &frame);
        end->frames += next == LINK_FRAME;
    } while (next == LINK_UP || next == LINK_FRAME);
    return next;
}

/* A record of the test's own making. */
static size_t seal(struct end *end, const uint8_t *plain, size_t bytes, uint8_t *out) {
    CHECK(noise_cipher_seal(&end->link.sending, plain, bytes, out + 2) == NOISE_OK);
    out[0] = (uint8_t)(bytes + RING_TAG_BYTES);
    out[1] = (uint8_t)((bytes + RING_TAG_BYTES) >> 8);
    return bytes + RING_TAG_BYTES + 2;
}

static void frame_plain(uint8_t *out, uint32_t length, uint16_t type) {
    const uint8_t header[8] = {(uint8_t)length,         (uint8_t)(length >> 8), (uint8_t)(length >> 16),
                               (uint8_t)(length >> 24), (uint8_t)type,          (uint8_t)(type >> 8)};
    memcpy(out, header, 8);
}

/* Seals a frame by hand, checks that the other end takes it, and writes plaintext and wire bytes down. */
static void record_case(json_t *out, const char *name, struct end *from, struct end *to, uint16_t type, const uint8_t *payload, uint32_t bytes) {
    uint8_t plain[256];
    uint8_t wire[300];
    CHECK(bytes + 8 <= sizeof plain);
    frame_plain(plain, bytes, type);
    memcpy(plain + 8, payload, bytes);
    json_t *item = item_in(out, "records");
    set_text(item, "name", name);
    set_text(item, "from", from->link.initiator ? "initiator" : "responder");
    set_number(item, "number", from->link.sending.number);
    gen_set_hex(item, "plain", plain, bytes + 8);
    size_t wire_bytes = seal(from, plain, bytes + 8, wire);
    gen_set_hex(item, "wire", wire, wire_bytes);
    enum link_next next = feed(to, wire, wire_bytes);
    CHECK(next == (type == LINK_TYPE_GOODBYE ? LINK_CLOSED : LINK_MORE));
}

/* A frame of 20000 bytes, cut as ring/link_send.c cuts it: header, 16384, 3616. Any other cutting is as valid (L-14). */
static void long_frame(json_t *out, struct end *from, struct end *to) {
    static uint8_t payload[20000];
    uint8_t hash[32];
    struct link_send sending;
    struct iovec piece = {payload, sizeof payload};
    bool done = false;
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t)(i % 251);
    }
    json_t *item = object_in(out, "long_frame");
    set_text(item, "payload", "byte i is i mod 251");
    set_number(item, "payload_bytes", sizeof payload);
    set_number(item, "type", 0x0203);
    set_number(item, "first_number", from->link.sending.number);
    CHECK(link_send_begin(&from->link, &sending, 0x0203, &piece, 1) == LINK_SEND_OK);
    from->wire_bytes = link_send_some(&from->link, &sending, from->wire, sizeof from->wire, &done);
    CHECK(done);
    crypto_hash_sha256(hash, from->wire, from->wire_bytes);
    set_number(item, "wire_bytes", from->wire_bytes);
    gen_set_hex(item, "wire_sha256", hash, 32);
    unsigned before = to->frames;
    CHECK(feed(to, from->wire, from->wire_bytes) == LINK_MORE && to->frames == before + 1);
}

static void key_change(json_t *out, struct end *from, struct end *to) {
    static const uint8_t plain[8] = {0, 0, 0, 0, 3, 2, 0, 0};
    uint8_t wire[64];
    size_t bytes;
    while (from->link.sending.number < NOISE_REKEY_RECORDS) {
        bytes = seal(from, plain, sizeof plain, wire);
        CHECK(feed(to, wire, bytes) == LINK_MORE);
    }
    json_t *item = object_in(out, "key_change");
    set_number(item, "number", from->link.sending.number);
    gen_set_hex(item, "key_before", from->link.sending.key, 32);
    bytes = seal(from, plain, sizeof plain, wire);
    gen_set_hex(item, "key_after", from->link.sending.key, 32);
    gen_set_hex(item, "plain", plain, sizeof plain);
    gen_set_hex(item, "wire", wire, bytes);
    CHECK(feed(to, wire, bytes) == LINK_MORE);
}

static void transcript(json_t *out, enum ring_suite suite) {
    static struct session session;
    struct end *a = &session.initiator;
    struct end *b = &session.responder;
    static const uint8_t token[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const uint8_t goodbye[4] = {LINK_GOODBYE_SHUTDOWN};
    begin(&session, suite);
    set_text(out, "protocol", suite == RING_SUITE_AESGCM ? "Noise_IK_25519_AESGCM_SHA256" : "Noise_IK_25519_ChaChaPoly_SHA256");
    set_number(out, "suite", suite);
    uint8_t prologue[LINK_PREAMBLE_BYTES + LINK_SYSTEM_ID_BYTES];
    memcpy(prologue, a->link.flight, LINK_PREAMBLE_BYTES);
    memcpy(prologue + LINK_PREAMBLE_BYTES, system_id, LINK_SYSTEM_ID_BYTES);
    gen_set_hex(out, "prologue", prologue, sizeof prologue);
    output(a);
    CHECK(a->wire_bytes == LINK_FIRST_FLIGHT_BYTES);
    gen_set_hex(out, "first_flight", a->wire, a->wire_bytes);
    CHECK(feed(b, a->wire, a->wire_bytes) == LINK_MORE);
    output(b);
    gen_set_hex(out, "second_message", b->wire, NOISE_IK_SECOND_BYTES);
    gen_set_hex(out, "responder_hello_wire", b->wire + NOISE_IK_SECOND_BYTES, b->wire_bytes - NOISE_IK_SECOND_BYTES);
    gen_set_hex(out, "key_responder_to_initiator", b->link.sending.key, 32);
    CHECK(feed(a, b->wire, b->wire_bytes) == LINK_MORE);
    output(a);
    gen_set_hex(out, "initiator_hello_wire", a->wire, a->wire_bytes);
    gen_set_hex(out, "key_initiator_to_responder", a->link.sending.key, 32);
    CHECK(feed(b, a->wire, a->wire_bytes) == LINK_MORE);
    CHECK(link_is_up(&a->link) && link_is_up(&b->link));
    gen_set_hex(out, "hello_payload", (const uint8_t[16]){1, 0, 1, 0, 0, 0, 16, 0}, 16);

    record_case(out, "ping", a, b, LINK_TYPE_PING, token, 8);
    output(b);
    json_t *item = item_in(out, "records");
    set_text(item, "name", "pong");
    set_text(item, "from", "responder");
    set_number(item, "number", 1);
    gen_set_hex(item, "wire", b->wire, b->wire_bytes);
    CHECK(feed(a, b->wire, b->wire_bytes) == LINK_MORE);
    record_case(out, "frame", a, b, 0x0203, (const uint8_t *)"a frame of forty bytes, this one exactly", 40);
    record_case(out, "empty_frame", b, a, 0x0203, token, 0);
    CHECK(a->frames == 1 && b->frames == 1);
    long_frame(out, a, b);
    key_change(out, a, b);
    record_case(out, "goodbye", b, a, LINK_TYPE_GOODBYE, goodbye, 4);
    CHECK(link_closed_cause(&a->link) == LINK_CAUSE_GOODBYE);
    end_session(&session);
}

struct negative {
    const char *name;
    enum link_cause error;
    unsigned offset; /* of the byte to change */
    uint8_t change;  /* xor */
};

/* The first flight as in the transcript of suite 1, one byte changed: no reply, whatever it is. */
static void negative_flights(json_t *out) {
    static struct session session;
    static const struct negative cases[] = {
        {"magic", LINK_CAUSE_PREAMBLE, 0, 0x20},
        {"zero_byte_set", LINK_CAUSE_PREAMBLE, 7, 0x01},
        {"version_0", LINK_CAUSE_VERSION_UNKNOWN, 4, 0x01},
        {"version_257", LINK_CAUSE_VERSION_UNKNOWN, 5, 0x01},
        {"suite_0", LINK_CAUSE_SUITE, 6, 0x01},
        {"suite_3", LINK_CAUSE_SUITE, 6, 0x02},
        {"suite_2_over_message_of_suite_1", LINK_CAUSE_HANDSHAKE, 6, 0x03},
        {"ephemeral", LINK_CAUSE_HANDSHAKE, 8, 0x01},
        {"ephemeral_top_bit", LINK_CAUSE_HANDSHAKE, 39, 0x80},
        {"static", LINK_CAUSE_HANDSHAKE, 40, 0x01},
        {"static_tag", LINK_CAUSE_HANDSHAKE, 87, 0x80},
        {"payload_tag", LINK_CAUSE_HANDSHAKE, 103, 0x80},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin(&session, RING_SUITE_CHACHAPOLY);
        output(&session.initiator);
        session.initiator.wire[cases[i].offset] ^= cases[i].change;
        CHECK(feed(&session.responder, session.initiator.wire, session.initiator.wire_bytes) == LINK_CLOSED);
        CHECK(link_closed_cause(&session.responder.link) == cases[i].error && !link_output_wanted(&session.responder.link));
        json_t *item = item_in(out, "negative_first_flights");
        set_text(item, "name", cases[i].name);
        gen_set_hex(item, "bytes", session.initiator.wire, session.initiator.wire_bytes);
        set_text(item, "error", link_cause_name(cases[i].error));
        end_session(&session);
    }
}

/* Plaintext that the initiator of the transcript sends after (or instead of) its HELLO; the responder accepts 1 MiB and every role. */
static void negative_frames(json_t *out) {
    static struct session session;
    static const struct {
        const char *name;
        enum link_cause error;
        bool before_hello;
        size_t bytes;
        uint8_t plain[24];
    } cases[] = {
        {"frame_before_hello", LINK_CAUSE_HELLO, true, 8, {0, 0, 0, 0, 3, 2, 0, 0}},
        {"ping_before_hello", LINK_CAUSE_HELLO, true, 16, {8, 0, 0, 0, 2, 0, 0, 0}},
        {"hello_too_short", LINK_CAUSE_HELLO, true, 23, {15, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 16, 0}},
        {"hello_range_reversed", LINK_CAUSE_HELLO, true, 24, {16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0, 0, 16, 0}},
        {"hello_without_this_version", LINK_CAUSE_HELLO, true, 24, {16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 3, 0, 0, 0, 16, 0}},
        {"hello_zero_set", LINK_CAUSE_HELLO, true, 24, {16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 16, 0, 1}},
        {"hello_twice", LINK_CAUSE_HELLO, false, 24, {16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 16, 0}},
        {"zero_set", LINK_CAUSE_FRAME_HEADER, false, 8, {0, 0, 0, 0, 3, 2, 1, 0}},
        {"type_0", LINK_CAUSE_FRAME_TYPE, false, 8, {0}},
        {"type_5", LINK_CAUSE_FRAME_TYPE, false, 8, {0, 0, 0, 0, 5, 0, 0, 0}},
        {"one_past_the_limit", LINK_CAUSE_FRAME_LENGTH, false, 8, {1, 0, 16, 0, 3, 2, 0, 0}},
        {"ping_of_7", LINK_CAUSE_CONTROL, false, 15, {7, 0, 0, 0, 2, 0, 0, 0}},
        {"pong_of_9", LINK_CAUSE_CONTROL, false, 17, {9, 0, 0, 0, 3, 0, 0, 0}},
        {"goodbye_of_5", LINK_CAUSE_CONTROL, false, 13, {5, 0, 0, 0, 4, 0, 0, 0, 1}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t wire[64];
        struct end *a = &session.initiator;
        struct end *b = &session.responder;
        begin(&session, RING_SUITE_CHACHAPOLY);
        output(a);
        CHECK(feed(b, a->wire, a->wire_bytes) == LINK_MORE);
        output(b);
        CHECK(feed(a, b->wire, b->wire_bytes) == LINK_MORE);
        if (!cases[i].before_hello) {
            output(a);
            CHECK(feed(b, a->wire, a->wire_bytes) == LINK_MORE);
        }
        size_t bytes = seal(a, cases[i].plain, cases[i].bytes, wire);
        CHECK(feed(b, wire, bytes) == LINK_CLOSED && link_closed_cause(&b->link) == cases[i].error && b->frames == 0);
        json_t *item = item_in(out, "negative_frames");
        set_text(item, "name", cases[i].name);
        CHECK(json_object_set_new(item, "before_hello", json_boolean(cases[i].before_hello)) == 0);
        gen_set_hex(item, "plain", cases[i].plain, cases[i].bytes);
        gen_set_hex(item, "wire", wire, bytes);
        set_text(item, "error", link_cause_name(cases[i].error));
        end_session(&session);
    }
}

/* Bytes on the wire after both HELLOs of the transcript of suite 1, to the responder. */
static void negative_records(json_t *out) {
    static struct session session;
    static const char *const names[] = {"length_0", "length_16", "length_16401", "flipped_tag", "own_record_reflected", "hello_record_replayed"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct end *a = &session.initiator;
        struct end *b = &session.responder;
        uint8_t wire[64] = {0};
        size_t bytes = 2;
        begin(&session, RING_SUITE_CHACHAPOLY);
        output(a);
        CHECK(feed(b, a->wire, a->wire_bytes) == LINK_MORE);
        output(b);
        CHECK(feed(a, b->wire, b->wire_bytes) == LINK_MORE);
        output(a);
        CHECK(feed(b, a->wire, a->wire_bytes) == LINK_MORE);
        if (i == 1 || i == 2) {
            wire[0] = i == 1 ? 16 : 0x11;
            wire[1] = i == 1 ? 0 : 0x40;
        } else if (i == 3) {
            bytes = seal(a, (const uint8_t[8]){0, 0, 0, 0, 3, 2, 0, 0}, 8, wire);
            wire[bytes - 1] ^= 0x80;
        } else if (i == 4) {
            bytes = b->wire_bytes - NOISE_IK_SECOND_BYTES;
            memcpy(wire, b->wire + NOISE_IK_SECOND_BYTES, bytes);
        } else if (i == 5) {
            bytes = a->wire_bytes;
            memcpy(wire, a->wire, bytes);
        }
        CHECK(feed(b, wire, bytes) == LINK_CLOSED && link_closed_cause(&b->link) == LINK_CAUSE_RECORD);
        json_t *item = item_in(out, "negative_records");
        set_text(item, "name", names[i]);
        gen_set_hex(item, "wire", wire, bytes);
        set_text(item, "error", "record");
        end_session(&session);
    }
}

void gen_links(json_t *out) {
    struct session *session = calloc(1, sizeof *session);
    CHECK(sodium_init() >= 0 && session != NULL);
    begin(session, RING_SUITE_CHACHAPOLY);
    gen_set_hex(out, "system_id", system_id, LINK_SYSTEM_ID_BYTES);
    set_number(out, "link_version", LINK_VERSION_CURRENT);
    set_number(out, "rekey_records", NOISE_REKEY_RECORDS);
    const struct end *ends[2] = {&session->initiator, &session->responder};
    for (size_t i = 0; i < 2; i++) {
        json_t *item = object_in(out, i == 0 ? "initiator" : "responder");
        uint8_t ephemeral_public[32];
        ring_primitives_sodium()->x25519_base(ephemeral_public, ends[i]->ephemeral);
        gen_set_hex(item, "static_private", ends[i]->identity.private_key, 32);
        gen_set_hex(item, "static_public", ends[i]->identity.public_key, 32);
        gen_set_hex(item, "ephemeral_private", ends[i]->ephemeral, 32);
        gen_set_hex(item, "ephemeral_public", ephemeral_public, 32);
    }
    end_session(session);
    free(session);
    transcript(object_in(out, "chachapoly"), RING_SUITE_CHACHAPOLY);
    transcript(object_in(out, "aesgcm"), RING_SUITE_AESGCM);
    negative_flights(out);
    negative_frames(out);
    negative_records(out);
}
