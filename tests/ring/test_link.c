/* ring/link.h: two ends in memory, honest and hostile. Rules L-n of spec/links.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ring/support.h"

static struct support_pair *pair_up(enum ring_suite suite, uint64_t seed) {
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_sodium(), seed);
    support_pair_begin(pair, suite, 0, seed + 1);
    support_settle(pair, 0);
    assert_true(link_is_up(&pair->initiator.link) && link_is_up(&pair->responder.link));
    return pair;
}

static enum link_cause cause_of(const struct support_end *end) {
    return link_closed_cause(&end->link);
}

/* --- Honest --- */

static void test_comes_up_with_both_suites_and_all_back_ends(void **state) {
    (void)state;
    const struct ring_primitives *ends[2] = {ring_primitives_default(), ring_primitives_sodium()};
    for (unsigned i = 0; i < 8; i++) {
        enum ring_suite suite = i < 4 ? RING_SUITE_CHACHAPOLY : RING_SUITE_AESGCM;
        if (!ends[0]->suite_available(suite) || !ends[1]->suite_available(suite)) {
            continue;
        }
        struct support_pair *pair = support_pair_new(ends[i & 1], ends[i >> 1 & 1], i);
        for (size_t piece = 0; piece < 120; piece += 17) { /* whole, and in pieces of any size */
            support_pair_begin(pair, suite, 0, i + 100);
            support_settle(pair, piece);
            assert_int_equal(pair->initiator.ups, 1);
            assert_int_equal(pair->responder.ups, 1);
            assert_int_equal(pair->responder.lookups, 1);
            assert_int_equal(link_peer_of(&pair->responder.link)->tag, 7);
        }
        support_pair_free(pair);
    }
}

static void test_frames_of_all_sizes_arrive_whole(void **state) {
    (void)state;
    uint64_t seed = support_seed("sizes");
    struct support_pair *pair = pair_up(RING_SUITE_CHACHAPOLY, 1);
    static uint8_t content[400000];
    static const size_t rooms[] = {LINK_SEND_ROOM_MIN, 40000, 135168};
    uint32_t sum = 0;
    support_random_fill(&seed, content, sizeof content);
    for (unsigned i = 0; i < 600; i++) {
        size_t bytes = i < 40 ? i : i < 80 ? LINK_RECORD_PLAIN_MAX - 60 + i : support_random(&seed) % (i % 10 == 0 ? sizeof content : 20000);
        struct iovec pieces[7];
        size_t left = bytes;
        uint8_t *from = content;
        for (size_t p = 0; p < 7; p++) {
            size_t take = p == 6 ? left : support_random(&seed) % 3 == 0 ? support_random(&seed) % 300 : support_random(&seed) % 50000;
            take = take < left ? take : left;
            pieces[p] = (struct iovec){from, take};
            from += take;
            left -= take;
        }
        pair->responder.detach = support_random(&seed) % 2 == 0;
        size_t before = pair->initiator.wire_bytes;
        assert_int_equal(support_send(&pair->initiator, 0x100, pieces, 7, rooms[i % 3]), LINK_SEND_OK);
        assert_true(pair->initiator.wire_bytes - before <= link_send_wire_bytes_max(bytes, 7));
        sum = support_sum(sum, 0x100, content, bytes);
        if (i % 4 == 3) {
            support_settle(pair, support_random(&seed) % 3 == 0 ? 0 : 1 + support_random(&seed) % 30000);
            assert_int_equal(pair->responder.frames, i + 1);
            assert_int_equal(pair->responder.payload_sum, sum);
        }
    }
    assert_true(pair->responder.detached > 10);
    assert_int_equal(pair->responder.blocks_taken, pair->responder.blocks_given);
    support_pair_free(pair);
}

static void test_a_long_frame_is_not_copied(void **state) {
    (void)state;
    struct support_pair *pair = pair_up(RING_SUITE_CHACHAPOLY, 1);
    static uint8_t content[3u << 20];
    struct iovec pieces[3] = {{content, 40}, {content, 1u << 20}, {content, 2u << 20}};
    uint64_t before[2] = {link_copied_bytes(&pair->initiator.link), link_copied_bytes(&pair->responder.link)};
    assert_int_equal(support_send(&pair->initiator, 0x200, pieces, 3, 135168), LINK_SEND_OK);
    support_settle(pair, 0);
    assert_int_equal(pair->responder.payload_bytes, (3u << 20) + 40);
    assert_int_equal(link_copied_bytes(&pair->initiator.link) - before[0], 40); /* the short piece */
    assert_int_equal(link_copied_bytes(&pair->responder.link) - before[1], 0);
    support_pair_free(pair);
}

/* L-14: other implementations may cut records as they like. */
static void seal(struct support_end *end, const uint8_t *plain, size_t bytes) {
    uint8_t *out = end->wire + end->wire_bytes;
    assert_int_equal(noise_cipher_seal(&end->link.sending, plain, bytes, out + 2), NOISE_OK);
    out[0] = (uint8_t)(bytes + 16);
    out[1] = (uint8_t)((bytes + 16) >> 8);
    end->wire_bytes += bytes + 18;
}

static void test_any_cutting_into_records_is_read(void **state) {
    (void)state;
    uint64_t seed = support_seed("cutting");
    static uint8_t stream[300000];
    size_t bytes = 0;
    unsigned frames = 0;
    uint32_t sum = 0;
    while (bytes < 200000) {
        uint32_t length = (uint32_t)(support_random(&seed) % (frames % 7 == 0 ? 60000 : 200));
        uint8_t *at = stream + bytes;
        uint8_t header[8] = {(uint8_t)length, (uint8_t)(length >> 8), (uint8_t)(length >> 16), 0, 0, 1, 0, 0};
        memcpy(at, header, 8);
        support_random_fill(&seed, at + 8, length);
        sum = support_sum(sum, 0x100, at + 8, length);
        bytes += 8 + length;
        frames++;
    }
    for (unsigned round = 0; round < 30; round++) {
        struct support_pair *pair = pair_up(RING_SUITE_CHACHAPOLY, round);
        size_t record_max = round == 0 ? LINK_RECORD_PLAIN_MAX : 1 + support_random(&seed) % (round % 2 == 0 ? 300 : LINK_RECORD_PLAIN_MAX);
        pair->responder.detach = round % 3 == 0;
        for (size_t at = 0; at < bytes;) {
            size_t take = round == 0 ? record_max : 1 + support_random(&seed) % record_max;
            take = take < bytes - at ? take : bytes - at;
            seal(&pair->initiator, stream + at, take);
            at += take;
        }
        support_settle(pair, round % 4 == 0 ? 0 : 1 + support_random(&seed) % 20000);
        assert_int_equal(pair->responder.frames, frames);
        assert_int_equal(pair->responder.payload_sum, sum);
        support_pair_free(pair);
    }
}

/* --- Handshake, hostile --- */

static void capture(struct support_end *end, uint8_t *to, size_t *bytes) {
    support_output(end);
    memcpy(to, end->wire, end->wire_bytes);
    *bytes = end->wire_bytes;
    end->wire_bytes = 0;
}

static void test_no_flipped_bit_of_the_first_flight_gets_a_reply(void **state) {
    (void)state;
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
    uint8_t flight[256];
    size_t bytes;
    unsigned causes[LINK_CAUSE_COUNT] = {0};
    for (unsigned bit = 0; bit < LINK_FIRST_FLIGHT_BYTES * 8; bit++) {
        support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
        capture(&pair->initiator, flight, &bytes);
        assert_int_equal(bytes, LINK_FIRST_FLIGHT_BYTES);
        flight[bit / 8] ^= (uint8_t)(1u << bit % 8);
        support_feed(pair, &pair->responder, flight, bytes, 0);
        assert_int_equal(pair->responder.closes, 1);
        causes[cause_of(&pair->responder)]++;
        support_output(&pair->responder);
        assert_int_equal(pair->responder.wire_bytes, 0); /* L-13: silence */
        /* Before the key is proved nobody is looked up but for flips behind it: there the payload's tag fails. */
        assert_int_equal(pair->responder.lookups, bit / 8 >= 8 + 32 + 48);
    }
    assert_int_equal(causes[LINK_CAUSE_PREAMBLE], 4 * 8 + 8); /* magic, zero */
    assert_int_equal(causes[LINK_CAUSE_VERSION_UNKNOWN], 16);
    assert_int_equal(causes[LINK_CAUSE_SUITE], 8); /* 1 to 0, 3, 5, ...: none of them is a suite */
    assert_int_equal(causes[LINK_CAUSE_HANDSHAKE], 96 * 8);
    support_pair_free(pair);
}

static void test_no_flipped_bit_of_the_reply_is_taken(void **state) {
    (void)state;
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
    uint8_t flight[256];
    uint8_t reply[256];
    size_t bytes;
    size_t reply_bytes;
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
    capture(&pair->initiator, flight, &bytes);
    support_feed(pair, &pair->responder, flight, bytes, 0);
    capture(&pair->responder, reply, &reply_bytes);
    assert_int_equal(reply_bytes, NOISE_IK_SECOND_BYTES + 2 + 8 + 16 + 16); /* with HELLO behind it */
    for (unsigned bit = 0; bit < reply_bytes * 8; bit++) {
        support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
        capture(&pair->initiator, flight, &bytes);
        reply[bit / 8] ^= (uint8_t)(1u << bit % 8);
        support_feed(pair, &pair->initiator, reply, reply_bytes, 0);
        reply[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(link_is_up(&pair->initiator.link));
        if (bit / 8 < NOISE_IK_SECOND_BYTES) {
            assert_int_equal(cause_of(&pair->initiator), LINK_CAUSE_HANDSHAKE);
        } else {
            /* A longer length merely waits for the rest. */
            assert_true(cause_of(&pair->initiator) == LINK_CAUSE_RECORD || (bit / 8 < NOISE_IK_SECOND_BYTES + 2 && pair->initiator.closes == 0));
        }
    }
    support_pair_free(pair);
}

static void test_stranger_gets_silence_after_one_look_up(void **state) {
    (void)state;
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
    pair->responder.expected[5] ^= 1;
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
    support_settle(pair, 0);
    assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_KEY_UNKNOWN);
    assert_int_equal(pair->responder.lookups, 1);
    support_output(&pair->responder);
    assert_int_equal(pair->responder.wire_bytes, 0);
    assert_null(link_peer_of(&pair->responder.link));
    support_pair_free(pair);
}

static void test_other_system_version_suite_or_responder_key_fails(void **state) {
    (void)state;
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
    pair->responder.config.system_id[15] ^= 1;
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
    support_settle(pair, 0);
    assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_HANDSHAKE);
    pair->responder.config.system_id[15] ^= 1;

    pair->responder.config.suites_allowed = 1u << RING_SUITE_CHACHAPOLY;
    support_pair_begin(pair, RING_SUITE_AESGCM, 0, 4);
    support_settle(pair, 0);
    assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_SUITE);

    pair->initiator.config.version_max = 2;
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 2, 4);
    support_settle(pair, 0);
    assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_VERSION_UNKNOWN);

    pair->initiator.expected[0] ^= 1;
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 1, 4);
    support_settle(pair, 0);
    assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_HANDSHAKE);
    support_output(&pair->responder);
    assert_int_equal(pair->responder.wire_bytes, 0);
    support_pair_free(pair);
}

/* L-19, L-21: releases mix, but nobody is talked down. */
static void test_versions_meet_at_the_highest_common(void **state) {
    (void)state;
    static const struct {
        uint16_t a_min, a_max, b_min, b_max, offered;
        enum link_cause a, b;
    } cases[] = {
        {1, 2, 1, 1, 1, LINK_CAUSE_NONE, LINK_CAUSE_NONE},
        {1, 1, 1, 2, 1, LINK_CAUSE_NONE, LINK_CAUSE_NONE},
        {1, 2, 1, 2, 2, LINK_CAUSE_NONE, LINK_CAUSE_NONE},
        {1, 3, 2, 5, 3, LINK_CAUSE_NONE, LINK_CAUSE_NONE},
        {1, 2, 1, 2, 1, LINK_CAUSE_VERSION_LOW, LINK_CAUSE_VERSION_LOW},
        {1, 3, 1, 5, 2, LINK_CAUSE_VERSION_LOW, LINK_CAUSE_VERSION_LOW},
    };
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pair->initiator.config.version_min = cases[i].a_min;
        pair->initiator.config.version_max = cases[i].a_max;
        pair->responder.config.version_min = cases[i].b_min;
        pair->responder.config.version_max = cases[i].b_max;
        support_pair_begin(pair, RING_SUITE_CHACHAPOLY, cases[i].offered, 4);
        support_settle(pair, 0);
        assert_int_equal(cause_of(&pair->initiator), cases[i].a);
        assert_int_equal(cause_of(&pair->responder), cases[i].b);
        if (cases[i].a == LINK_CAUSE_VERSION_LOW) { /* what was learnt leads to the right offer next time */
            uint16_t low;
            uint16_t high;
            link_peer_versions(&pair->initiator.link, &low, &high);
            assert_int_equal(low, cases[i].b_min);
            assert_int_equal(high, cases[i].b_max);
        }
    }
    support_pair_free(pair);
}

static void test_replayed_first_flight_never_comes_up(void **state) {
    (void)state;
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
    uint8_t flight[256];
    size_t bytes;
    uint8_t session[4096];
    size_t session_bytes;
    struct iovec piece = {flight, 100};
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
    capture(&pair->initiator, flight, &bytes);
    support_feed(pair, &pair->responder, flight, bytes, 0);
    support_output(&pair->responder);
    support_feed(pair, &pair->initiator, pair->responder.wire, pair->responder.wire_bytes, 0);
    assert_int_equal(support_send(&pair->initiator, 0x200, &piece, 1, 20000), LINK_SEND_OK);
    capture(&pair->initiator, session, &session_bytes); /* HELLO and a frame */
    support_feed(pair, &pair->responder, session, session_bytes, 0);
    assert_int_equal(pair->responder.frames, 1);

    /* The whole recorded session against a responder with fresh randomness. */
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 5);
    support_feed(pair, &pair->responder, flight, bytes, 0);
    assert_int_equal(pair->responder.closes, 0);
    support_feed(pair, &pair->responder, session, session_bytes, 0);
    assert_int_equal(pair->responder.ups, 0);
    assert_int_equal(pair->responder.frames, 0);
    assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_RECORD);
    support_pair_free(pair);
}

static void test_reflection_is_refused(void **state) {
    (void)state;
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
    uint8_t flight[4096];
    size_t bytes;
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
    capture(&pair->initiator, flight, &bytes);
    support_feed(pair, &pair->initiator, flight, bytes, 0);
    assert_int_equal(cause_of(&pair->initiator), LINK_CAUSE_HANDSHAKE);
    support_pair_free(pair);

    pair = pair_up(RING_SUITE_CHACHAPOLY, 9);
    struct iovec piece = {flight, 100};
    assert_int_equal(support_send(&pair->initiator, 0x200, &piece, 1, 20000), LINK_SEND_OK);
    support_feed(pair, &pair->initiator, pair->initiator.wire, pair->initiator.wire_bytes, 0);
    assert_int_equal(cause_of(&pair->initiator), LINK_CAUSE_RECORD);
    assert_int_equal(pair->initiator.frames, 0);
    support_pair_free(pair);
}

/* --- Records, hostile --- */

static void test_no_flipped_bit_of_a_record_is_taken(void **state) {
    (void)state;
    static const uint8_t content[40] = "forty bytes of a payment order ........";
    struct iovec piece = {(void *)(uintptr_t)content, sizeof content};
    for (int suite = RING_SUITE_CHACHAPOLY; suite <= RING_SUITE_AESGCM; suite++) {
        struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
        uint8_t wire[256];
        size_t bytes = 1;
        for (unsigned bit = 0; bit < bytes * 8; bit++) {
            support_pair_begin(pair, (enum ring_suite)suite, 0, 4);
            support_settle(pair, 0);
            assert_int_equal(support_send(&pair->initiator, 0x200, &piece, 1, 20000), LINK_SEND_OK);
            capture(&pair->initiator, wire, &bytes);
            assert_int_equal(bytes, 2 + 8 + 40 + 16);
            wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
            support_feed(pair, &pair->responder, wire, bytes, 0);
            assert_int_equal(pair->responder.frames, 0);
            assert_true(cause_of(&pair->responder) == LINK_CAUSE_RECORD || (bit / 8 < 2 && pair->responder.closes == 0));
        }
        support_pair_free(pair);
    }
}

static void test_replayed_dropped_swapped_and_cut_records_close_the_link(void **state) {
    (void)state;
    static uint8_t content[1000];
    struct iovec piece = {content, sizeof content};
    const size_t record = 2 + 8 + sizeof content + 16;
    for (unsigned mischief = 0; mischief < 4; mischief++) {
        struct support_pair *pair = pair_up(RING_SUITE_CHACHAPOLY, mischief);
        uint8_t *wire = pair->initiator.wire;
        for (unsigned i = 0; i < 3; i++) {
            assert_int_equal(support_send(&pair->initiator, 0x200, &piece, 1, 20000), LINK_SEND_OK);
        }
        assert_int_equal(pair->initiator.wire_bytes, 3 * record);
        support_feed(pair, &pair->responder, wire, record, 0);
        if (mischief == 0) {
            support_feed(pair, &pair->responder, wire, record, 0);
        } else if (mischief == 1) {
            support_feed(pair, &pair->responder, wire + 2 * record, record, 0);
        } else if (mischief == 2) {
            support_feed(pair, &pair->responder, wire + 2 * record, record, 0);
            support_feed(pair, &pair->responder, wire + record, record, 0);
        } else {
            support_feed(pair, &pair->responder, wire + record, record - 1, 0); /* one byte is missing, the next record follows */
            support_feed(pair, &pair->responder, wire + 2 * record, record, 0);
        }
        assert_int_equal(pair->responder.frames, 1);
        assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_RECORD);
        pair->initiator.wire_bytes = 0;
        support_pair_free(pair);
    }
}

static void test_record_lengths_out_of_range_close_at_once(void **state) {
    (void)state;
    static const size_t lengths[] = {0, 1, 15, 16, LINK_RECORD_PLAIN_MAX + 17, 65535};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (size_t piece = 0; piece < 2; piece++) {
            struct support_pair *pair = pair_up(RING_SUITE_CHACHAPOLY, 1);
            uint8_t header[2] = {(uint8_t)lengths[i], (uint8_t)(lengths[i] >> 8)};
            support_feed(pair, &pair->responder, header, 2, piece);
            assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_RECORD);
            support_pair_free(pair);
        }
    }
}

/* --- Frames, hostile: the peer holds its key and seals what it likes --- */

static void frame_case(const uint8_t *plain, size_t bytes, enum link_cause expected, const struct link_type_rule *rules, size_t rule_count) {
    struct support_pair *pair = pair_up(RING_SUITE_CHACHAPOLY, 1);
    pair->responder.config.rules = rules;
    pair->responder.config.rule_count = rule_count;
    pair->responder.link.peer.frame_bytes_max = 1000;
    seal(&pair->initiator, plain, bytes);
    support_feed(pair, &pair->responder, pair->initiator.wire, pair->initiator.wire_bytes, 0);
    pair->initiator.wire_bytes = 0;
    assert_int_equal(cause_of(&pair->responder), expected);
    if (expected != LINK_CAUSE_NONE && expected != LINK_CAUSE_GOODBYE) { /* the offender is told */
        support_settle(pair, 0);
        assert_int_equal(cause_of(&pair->initiator), LINK_CAUSE_GOODBYE);
        assert_int_equal(link_goodbye_code(&pair->initiator.link), LINK_GOODBYE_PROTOCOL);
        struct iovec none = {NULL, 0};
        assert_int_equal(support_send(&pair->initiator, 0x200, &none, 1, 20000), LINK_SEND_NOT_UP);
    }
    support_pair_free(pair);
}

#define CASE(expected, ...)                                                                                                                          \
    do {                                                                                                                                             \
        const uint8_t case_plain[] = {__VA_ARGS__};                                                                                                  \
        frame_case(case_plain, sizeof case_plain, expected, NULL, 0);                                                                                \
        frame_case(case_plain, sizeof case_plain, expected, case_rules, 3);                                                                          \
    } while (0)

static void test_malformed_frames_close_the_link(void **state) {
    (void)state;
    static const struct link_type_rule case_rules[] = {{0x100, 1, 1000}, {0x101, 2, 1000}, {0x102, 1, 4}};
    CASE(LINK_CAUSE_NONE, 0, 0, 0, 0, 0x00, 1, 0, 0);
    CASE(LINK_CAUSE_NONE, 0xe8, 3, 0, 0, 0x00, 1, 0, 0);         /* exactly the limit; the payload may still come */
    CASE(LINK_CAUSE_FRAME_LENGTH, 0xe9, 3, 0, 0, 0x00, 1, 0, 0); /* one past it: before the payload comes */
    CASE(LINK_CAUSE_FRAME_LENGTH, 0, 0, 0, 0x80, 0x00, 1, 0, 0);
    CASE(LINK_CAUSE_FRAME_HEADER, 0, 0, 0, 0, 0x00, 1, 1, 0);
    CASE(LINK_CAUSE_FRAME_HEADER, 0, 0, 0, 0, 0x00, 1, 0, 1);
    CASE(LINK_CAUSE_FRAME_TYPE, 0, 0, 0, 0, 0, 0, 0, 0);
    CASE(LINK_CAUSE_FRAME_TYPE, 0, 0, 0, 0, 5, 0, 0, 0);
    CASE(LINK_CAUSE_FRAME_TYPE, 0, 0, 0, 0, 0xff, 0, 0, 0);
    CASE(LINK_CAUSE_HELLO, 16, 0, 0, 0, 1, 0, 0, 0); /* a second HELLO */
    CASE(LINK_CAUSE_CONTROL, 7, 0, 0, 0, 2, 0, 0, 0);
    CASE(LINK_CAUSE_CONTROL, 9, 0, 0, 0, 3, 0, 0, 0);
    CASE(LINK_CAUSE_CONTROL, 5, 0, 0, 0, 4, 0, 0, 0);
    CASE(LINK_CAUSE_NONE, 8, 0, 0, 0, 2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8);
    CASE(LINK_CAUSE_NONE, 8, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8); /* a PONG that nobody asked for */
    CASE(LINK_CAUSE_GOODBYE, 4, 0, 0, 0, 4, 0, 0, 0, 77, 0, 0, 0);

    static const uint8_t other_role[] = {0, 0, 0, 0, 0x01, 1, 0, 0};
    static const uint8_t unknown[] = {0, 0, 0, 0, 0x03, 1, 0, 0};
    static const uint8_t too_long[] = {5, 0, 0, 0, 0x02, 1, 0, 0};
    static const uint8_t longest[] = {4, 0, 0, 0, 0x02, 1, 0, 0, 1, 2, 3, 4};
    frame_case(other_role, 8, LINK_CAUSE_FRAME_TYPE, case_rules, 3);
    frame_case(unknown, 8, LINK_CAUSE_FRAME_TYPE, case_rules, 3);
    frame_case(too_long, 8, LINK_CAUSE_FRAME_LENGTH, case_rules, 3);
    frame_case(longest, 12, LINK_CAUSE_NONE, case_rules, 3);
}

/* L-18: HELLO is the first frame, once, and well formed. */
static void test_bad_hello_closes_the_link(void **state) {
    (void)state;
    static const uint8_t hellos[][24] = {
        {0, 0, 0, 0, 0x00, 1, 0, 0},                                               /* another frame first */
        {8, 0, 0, 0, 2, 0, 0, 0},                                                  /* PING first */
        {16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 1, 0, 0, 0, 1, 0},                         /* range turned round */
        {16, 0, 0, 0, 1, 0, 0, 0, 2, 0, 3, 0, 0, 0, 1, 0},                         /* this link's version is not in it */
        {16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0},                         /* nor here */
        {16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1}, /* zero is not zero */
        {15, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0},                         /* too short */
    };
    for (size_t i = 0; i < sizeof hellos / sizeof hellos[0]; i++) {
        struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
        support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
        support_output(&pair->initiator);
        support_feed(pair, &pair->responder, pair->initiator.wire, pair->initiator.wire_bytes, 0);
        pair->initiator.wire_bytes = 0;
        support_output(&pair->responder);
        support_feed(pair, &pair->initiator, pair->responder.wire, pair->responder.wire_bytes, 0);
        pair->responder.wire_bytes = 0;
        pair->initiator.link.hello_to_send = false;
        seal(&pair->initiator, hellos[i], 24);
        support_feed(pair, &pair->responder, pair->initiator.wire, pair->initiator.wire_bytes, 0);
        assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_HELLO);
        assert_int_equal(pair->responder.ups, 0);
        support_pair_free(pair);
    }
}

static void *no_memory(void *context, size_t bytes) {
    (void)context;
    (void)bytes;
    return NULL;
}

static void test_without_memory_the_link_closes_and_says_overload(void **state) {
    (void)state;
    struct support_pair *pair = pair_up(RING_SUITE_CHACHAPOLY, 1);
    static uint8_t content[20000];
    struct iovec piece = {content, sizeof content};
    pair->responder.config.memory.take = no_memory;
    assert_int_equal(support_send(&pair->initiator, 0x200, &piece, 1, 20000), LINK_SEND_OK);
    support_settle(pair, 0);
    assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_MEMORY);
    assert_int_equal(link_goodbye_code(&pair->initiator.link), LINK_GOODBYE_OVERLOAD);
    support_pair_free(pair);
}

static void test_sender_keeps_to_what_the_peer_accepts(void **state) {
    (void)state;
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
    static uint8_t content[5001];
    struct iovec pieces[2] = {{content, 5000}, {content, 1}};
    pair->responder.peer.frame_bytes_max = 5000;
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
    assert_int_equal(support_send(&pair->initiator, 0x200, pieces, 1, 20000), LINK_SEND_NOT_UP);
    support_settle(pair, 0);
    assert_int_equal(support_send(&pair->initiator, 0x200, pieces, 2, 20000), LINK_SEND_TOO_LONG);
    assert_int_equal(support_send(&pair->initiator, 0x200, pieces, 1, 20000), LINK_SEND_OK);
    pieces[1].iov_len = SIZE_MAX; /* no overflow */
    assert_int_equal(support_send(&pair->initiator, 0x200, pieces, 2, 20000), LINK_SEND_TOO_LONG);
    support_settle(pair, 0);
    assert_int_equal(pair->responder.frames, 1);
    support_pair_free(pair);
}

/* --- Time --- */

static void tick_both(struct support_pair *pair, uint64_t by_ms) {
    pair->now_ms += by_ms;
    link_tick(&pair->initiator.link, pair->now_ms);
    link_tick(&pair->responder.link, pair->now_ms);
}

static void test_handshake_that_stalls_times_out(void **state) {
    (void)state;
    struct support_pair *pair = support_pair_new(ring_primitives_default(), ring_primitives_default(), 3);
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
    tick_both(pair, LINK_HANDSHAKE_MS - 1);
    assert_int_equal(cause_of(&pair->initiator), LINK_CAUSE_NONE);
    assert_int_equal(link_deadline_ms(&pair->responder.link), pair->now_ms + 1);
    tick_both(pair, 1);
    assert_int_equal(cause_of(&pair->initiator), LINK_CAUSE_HANDSHAKE_TIMEOUT);
    assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_HANDSHAKE_TIMEOUT);

    /* A replayed first flight is answered, and the link goes when its HELLO does not come. */
    support_pair_begin(pair, RING_SUITE_CHACHAPOLY, 0, 4);
    support_output(&pair->initiator);
    support_feed(pair, &pair->responder, pair->initiator.wire, pair->initiator.wire_bytes, 0);
    tick_both(pair, LINK_HANDSHAKE_MS);
    assert_int_equal(cause_of(&pair->responder), LINK_CAUSE_HANDSHAKE_TIMEOUT);
    support_pair_free(pair);
}

static void test_ping_keeps_a_quiet_link_and_silence_ends_it(void **state) {
    (void)state;
    struct support_pair *pair = pair_up(RING_SUITE_CHACHAPOLY, 1);
    for (unsigned i = 0; i < 20; i++) {
        tick_both(pair, LINK_PING_MS);
        assert_true(link_output_wanted(&pair->initiator.link));
        support_settle(pair, 0);
    }
    assert_true(link_is_up(&pair->initiator.link) && link_is_up(&pair->responder.link));
    unsigned pings = 0;
    for (uint64_t waited = 0; waited < LINK_IDLE_MS; waited += 100) {
        assert_true(link_is_up(&pair->initiator.link));
        tick_both(pair, 100);
        pings += link_output_wanted(&pair->initiator.link);
        support_output(&pair->initiator);
        pair->initiator.wire_bytes = 0; /* lost */
    }
    assert_int_equal(pings, 5); /* four PINGs and the GOODBYE */
    assert_int_equal(cause_of(&pair->initiator), LINK_CAUSE_IDLE);
    support_pair_free(pair);
}

/* A flood of PINGs is answered once per turn, not once each: the answer's size is bounded. */
static void test_ping_flood_gets_one_pong(void **state) {
    (void)state;
    struct support_pair *pair = pair_up(RING_SUITE_CHACHAPOLY, 1);
    uint8_t pings[16 * 500];
    for (size_t i = 0; i < 500; i++) {
        const uint8_t ping[16] = {8, 0, 0, 0, 2, 0, 0, 0, (uint8_t)i, (uint8_t)(i >> 8)};
        memcpy(pings + 16 * i, ping, 16);
    }
    seal(&pair->initiator, pings, sizeof pings);
    support_feed(pair, &pair->responder, pair->initiator.wire, pair->initiator.wire_bytes, 0);
    pair->initiator.wire_bytes = 0;
    support_output(&pair->responder);
    assert_int_equal(pair->responder.wire_bytes, 2 + 16 + 16);
    support_pair_free(pair);
}

static void test_rekeying_goes_unnoticed(void **state) {
    (void)state;
    struct support_pair *pair = pair_up(RING_SUITE_AESGCM, 1);
    uint8_t key[32];
    uint8_t content[3] = "abc";
    struct iovec piece = {content, 3};
    memcpy(key, pair->initiator.link.sending.key, 32);
    for (uint32_t i = 0; i < NOISE_REKEY_RECORDS + 10; i++) {
        assert_int_equal(support_send(&pair->initiator, 0x200, &piece, 1, 20000), LINK_SEND_OK);
        if (i % 1000 == 0) {
            support_settle(pair, 0);
        }
    }
    support_settle(pair, 0);
    assert_int_equal(pair->responder.frames, NOISE_REKEY_RECORDS + 10);
    assert_memory_not_equal(key, pair->initiator.link.sending.key, 32);
    support_pair_free(pair);
}

static bool holds(const void *memory, size_t bytes, const uint8_t key[32]) {
    return memmem(memory, bytes, key, 32) != NULL;
}

static void test_wiped_link_holds_no_key(void **state) {
    (void)state;
    struct support_pair *pair = pair_up(RING_SUITE_CHACHAPOLY, 1);
    uint8_t keys[2][32];
    memcpy(keys[0], pair->initiator.link.sending.key, 32);
    memcpy(keys[1], pair->initiator.link.receiving.key, 32);
    assert_true(holds(&pair->initiator.link, sizeof(struct link), keys[0]));
    assert_false(holds(&pair->initiator.link, sizeof(struct link), pair->initiator.identity.private_key)); /* gone with the handshake */
    link_wipe(&pair->initiator.link);
    assert_false(holds(&pair->initiator.link, sizeof(struct link), keys[0]));
    assert_false(holds(&pair->initiator.link, sizeof(struct link), keys[1]));
    link_wipe(&pair->initiator.link);
    support_pair_free(pair);
}

static void test_causes_have_distinct_names(void **state) {
    (void)state;
    for (int i = 0; i < LINK_CAUSE_COUNT; i++) {
        assert_non_null(link_cause_name((enum link_cause)i));
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(link_cause_name((enum link_cause)i), link_cause_name((enum link_cause)j));
        }
    }
    assert_string_equal(link_cause_name((enum link_cause)999), "invalid");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_up_with_both_suites_and_all_back_ends),
        cmocka_unit_test(test_frames_of_all_sizes_arrive_whole),
        cmocka_unit_test(test_a_long_frame_is_not_copied),
        cmocka_unit_test(test_any_cutting_into_records_is_read),
        cmocka_unit_test(test_no_flipped_bit_of_the_first_flight_gets_a_reply),
        cmocka_unit_test(test_no_flipped_bit_of_the_reply_is_taken),
        cmocka_unit_test(test_stranger_gets_silence_after_one_look_up),
        cmocka_unit_test(test_other_system_version_suite_or_responder_key_fails),
        cmocka_unit_test(test_versions_meet_at_the_highest_common),
        cmocka_unit_test(test_replayed_first_flight_never_comes_up),
        cmocka_unit_test(test_reflection_is_refused),
        cmocka_unit_test(test_no_flipped_bit_of_a_record_is_taken),
        cmocka_unit_test(test_replayed_dropped_swapped_and_cut_records_close_the_link),
        cmocka_unit_test(test_record_lengths_out_of_range_close_at_once),
        cmocka_unit_test(test_malformed_frames_close_the_link),
        cmocka_unit_test(test_bad_hello_closes_the_link),
        cmocka_unit_test(test_without_memory_the_link_closes_and_says_overload),
        cmocka_unit_test(test_sender_keeps_to_what_the_peer_accepts),
        cmocka_unit_test(test_handshake_that_stalls_times_out),
        cmocka_unit_test(test_ping_keeps_a_quiet_link_and_silence_ends_it),
        cmocka_unit_test(test_ping_flood_gets_one_pong),
        cmocka_unit_test(test_rekeying_goes_unnoticed),
        cmocka_unit_test(test_wiped_link_holds_no_key),
        cmocka_unit_test(test_causes_have_distinct_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
