/* Encodings of B-3 to B-15: sizes and offsets of the chapter, round trips, and every byte shortened, added or flipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/bft/script.h"

enum { ROOM = BFT_WIRE_HEAD_BYTES_MAX + 64 };

static uint8_t bytes[ROOM], again[ROOM];

/* One of each message, n = 7, with all optional parts. */
static size_t example(struct script *s, uint16_t type, struct bft_message *message, const uint8_t **body, uint8_t *chain) {
    static const uint8_t empty[4];
    memset(message, 0, sizeof *message);
    message->type = type;
    struct bft_header one = script_block(s, &s->genesis, 3, 0);
    struct bft_header two = script_block(s, &one, 3, 0);
    struct bft_qc prepare = script_qc(s, &one, BFT_PREPARE, 0x1F);
    struct bft_hash id = bft_header_id(&two);
    message->body_bytes = type == BFT_MESSAGE_PROPOSE || type == BFT_MESSAGE_BLOCK ? 4 : 0;
    *body = empty;
    switch (type) {
    case BFT_MESSAGE_PROPOSE:
        message->block_id = id;
        message->propose.header = two;
        message->propose.vote.signer = 3;
        message->propose.has_tc = true;
        message->propose.tc = script_tc(s, 2, 0x1F, &prepare, NULL);
        break;
    case BFT_MESSAGE_PREPARE:
    case BFT_MESSAGE_COMMIT:
        bft_header_ballot(&two, &id, &message->vote.ballot);
        message->vote.kind = type == BFT_MESSAGE_PREPARE ? BFT_PREPARE : BFT_COMMIT;
        message->vote.signer = 6;
        break;
    case BFT_MESSAGE_QC:
        message->qc = prepare;
        break;
    case BFT_MESSAGE_TIMEOUT:
        message->timeout = script_timeout(s, 3, &prepare, 2);
        break;
    case BFT_MESSAGE_TC:
        message->tc = script_tc(s, 3, 0x1F, &prepare, NULL);
        break;
    case BFT_MESSAGE_FETCH:
        message->fetch.kind = BFT_FETCH_HEIGHTS;
        message->fetch.height_first = 77;
        message->fetch.height_count = 64;
        break;
    case BFT_MESSAGE_BLOCK: {
        message->block_id = bft_header_id(&one);
        message->block.header = one;
        message->block.has_certificate = true;
        struct bytes_writer writer = bytes_writer_of(chain, 2 * BFT_HEADER_BYTES);
        bft_header_put(&writer, &one);
        bft_header_put(&writer, &two);
        message->block.certificate.qc = script_qc(s, &two, BFT_COMMIT, 0x1F);
        message->block.certificate.header_count = 2;
        message->block.certificate.headers = chain;
        break;
    }
    case BFT_MESSAGE_STATUS:
        message->status.place = s->members.place;
        message->status.flags = BFT_STATUS_FLAGS;
        message->status.signer = 5;
        break;
    default:
        message->noop.epoch = 4;
        message->noop.nonce = 9;
        message->noop.signer = 1;
    }
    size_t count = bft_wire_encode(message, bytes, ROOM);
    memcpy(bytes + count, *body, message->body_bytes);
    return count + message->body_bytes;
}

static void sizes_are_those_of_the_chapter(void **state) {
    (void)state;
    struct script *s = script_new(7, BFT_NOBODY, 4);
    static const struct {
        uint16_t type;
        size_t bytes;
    } expected[] = {
        {BFT_MESSAGE_PREPARE, 208}, {BFT_MESSAGE_COMMIT, 208}, {BFT_MESSAGE_QC, 144 + 5 * 65}, {BFT_MESSAGE_TIMEOUT, 184 + 144 + 5 * 65},
        {BFT_MESSAGE_TC, 72 + 5 * 113 + 144 + 5 * 65}, {BFT_MESSAGE_FETCH, 36}, {BFT_MESSAGE_STATUS, 248}, {BFT_MESSAGE_NOOP, 104},
        {BFT_MESSAGE_PROPOSE, 312 + 72 + 5 * 113 + 144 + 5 * 65 + 4 + 4}, {BFT_MESSAGE_BLOCK, 248 + 144 + 5 * 65 + 4 + 488 + 4 + 4},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct bft_message message;
        const uint8_t *body;
        uint8_t chain[2 * BFT_HEADER_BYTES];
        assert_int_equal(example(s, expected[i].type, &message, &body, chain), expected[i].bytes);
    }
    script_free(s);
}

static void header_and_preimages_have_their_fields_in_their_places(void **state) {
    (void)state;
    struct bft_header header;
    memset(&header, 0, sizeof header);
    memset(header.place.system_id, 0xA1, 16);
    memset(header.place.config_hash.bytes, 0xA2, 32);
    header.place.cluster = 0x00020003;
    header.place.epoch = 0x1112131415161718;
    header.view = 0x2122232425262728;
    header.height = 0x3132333435363738;
    memset(header.outbox_root.bytes, 0xA3, 32);
    memset(header.parent_id.bytes, 0xA4, 32);
    memset(header.body_hash.bytes, 0xA5, 32);
    memset(header.state_root.bytes, 0xA6, 32);
    memset(header.cursors_hash.bytes, 0xA7, 32);
    header.time = 0x4142434445464748;
    struct bytes_writer writer = bytes_writer_of(bytes, ROOM);
    bft_header_put(&writer, &header);
    assert_int_equal(writer.used, 244);
    static const struct {
        size_t at;
        uint8_t value;
    } fields[] = {{0, 0xA1},  {16, 0xA2},  {48, 0x03},  {50, 0x02},  {52, 0x18},  {60, 0x28},  {68, 0x38}, {75, 0x31},
                  {76, 0xA3}, {108, 0xA4}, {140, 0xA5}, {172, 0xA6}, {204, 0xA7}, {236, 0x48}, {243, 0x41}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) assert_int_equal(bytes[fields[i].at], fields[i].value);
    struct bft_hash id = {{0}};
    id.bytes[0] = 0xB1;
    struct bft_ballot ballot;
    bft_header_ballot(&header, &id, &ballot);
    uint8_t preimage[BFT_VOTE_PREIMAGE_BYTES];
    bft_vote_preimage(&ballot, BFT_COMMIT, preimage);
    assert_memory_equal(preimage, "HRC commit\0\0\0\0\0\0", 16);
    assert_memory_equal(preimage + 16, bytes, 76); /* system to height */
    assert_int_equal(preimage[92], 0xB1);
    assert_int_equal(preimage[124], 0xA3);
    bft_vote_preimage(&ballot, BFT_PREPARE, preimage);
    assert_memory_equal(preimage, "HRC prepare\0\0\0\0\0", 16);
}

static void the_empty_hashes_are_those_of_the_chapter(void **state) {
    (void)state;
    static const uint8_t sha256_of_nothing[32] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
                                                  0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
    struct bft_hash root = bft_outbox_root_empty();
    assert_memory_equal(root.bytes, sha256_of_nothing, 32);
    /* SHA-256 of 07 00000000, by another program */
    static const uint8_t sha256_of_body[32] = {0xe1, 0x6a, 0xb6, 0x0a, 0xa1, 0xee, 0xb7, 0x07, 0x4c, 0xa5, 0x90, 0xe8, 0xa9, 0x5b, 0xc4, 0xce,
                                                 0x62, 0x64, 0xaa, 0x74, 0xf4, 0xf7, 0x93, 0x59, 0xe5, 0x80, 0xed, 0xe6, 0x0b, 0x89, 0x2b, 0xbe};
    struct bft_hash body = bft_body_hash_empty();
    assert_memory_equal(body.bytes, sha256_of_body, 32);
}

static void each_message_comes_back_as_it_was(void **state) {
    (void)state;
    struct script *s = script_new(7, BFT_NOBODY, 4);
    for (uint16_t type = BFT_MESSAGE_PROPOSE; type <= BFT_MESSAGE_NOOP; type++) {
        struct bft_message message, decoded;
        const uint8_t *body;
        uint8_t chain[2 * BFT_HEADER_BYTES];
        size_t count = example(s, type, &message, &body, chain);
        assert_int_equal(bft_wire_decode(type, bytes, count, &decoded), BFT_WIRE_OK);
        size_t head = bft_wire_encode(&decoded, again, ROOM);
        assert_int_equal(head + decoded.body_bytes, count);
        assert_memory_equal(bytes, again, head);
        assert_true(bft_hash_equal(&decoded.block_id, &message.block_id));
    }
    script_free(s);
}

static void every_shorter_and_longer_message_is_refused(void **state) {
    (void)state;
    struct script *s = script_new(7, BFT_NOBODY, 4);
    for (uint16_t type = BFT_MESSAGE_PROPOSE; type <= BFT_MESSAGE_NOOP; type++) {
        struct bft_message message, decoded;
        const uint8_t *body;
        uint8_t chain[2 * BFT_HEADER_BYTES];
        size_t count = example(s, type, &message, &body, chain);
        for (size_t shorter = 0; shorter < count; shorter++) {
            uint8_t *exact = malloc(shorter + 1); /* so that a read beyond is seen */
            memcpy(exact, bytes, shorter);
            assert_int_not_equal(bft_wire_decode(type, exact, shorter, &decoded), BFT_WIRE_OK);
            free(exact);
        }
        bytes[count] = 0;
        assert_int_equal(bft_wire_decode(type, bytes, count + 1, &decoded), BFT_WIRE_TRAILING);
    }
    struct bft_message none;
    assert_int_equal(bft_wire_decode(0x010B, bytes, 10, &none), BFT_WIRE_TYPE);
    script_free(s);
}

/* A flipped bit is refused by form, or changes what is verified: no two encodings mean the same (C-3). */
static void every_flipped_bit_is_refused_or_stays_in_the_encoding(void **state) {
    (void)state;
    struct script *s = script_new(7, BFT_NOBODY, 4);
    for (uint16_t type = BFT_MESSAGE_PROPOSE; type <= BFT_MESSAGE_NOOP; type++) {
        struct bft_message message, decoded;
        const uint8_t *body;
        uint8_t chain[2 * BFT_HEADER_BYTES];
        size_t count = example(s, type, &message, &body, chain);
        for (size_t bit = 0; bit < count * 8; bit++) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            if (bft_wire_decode(type, bytes, count, &decoded) == BFT_WIRE_OK) {
                size_t head = bft_wire_encode(&decoded, again, ROOM);
                assert_int_equal(head + decoded.body_bytes, count);
                assert_memory_equal(bytes, again, head);
            }
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    script_free(s);
}

static void a_body_must_be_what_the_header_names(void **state) {
    (void)state;
    struct script *s = script_new(7, BFT_NOBODY, 4);
    struct bft_message message, decoded;
    const uint8_t *body;
    uint8_t chain[2 * BFT_HEADER_BYTES];
    size_t count = example(s, BFT_MESSAGE_PROPOSE, &message, &body, chain);
    bytes[count - 1] = 1;
    assert_int_equal(bft_wire_decode(BFT_MESSAGE_PROPOSE, bytes, count, &decoded), BFT_WIRE_BODY);
    bytes[count - 1] = 0;
    memset(bytes + count - 8, 0xFF, 4);
    assert_int_equal(bft_wire_decode(BFT_MESSAGE_PROPOSE, bytes, count, &decoded), BFT_WIRE_BODY);
    script_free(s);
}

/* The limit and one past it. */
static void a_body_of_the_largest_size_passes_and_one_more_byte_does_not(void **state) {
    (void)state;
    struct script *s = script_new(4, BFT_NOBODY, 4);
    for (uint32_t extra = 0; extra < 2; extra++) {
        uint32_t body_bytes = BFT_BODY_BYTES_MAX + extra;
        uint8_t *body = calloc(1, body_bytes);
        struct bft_message message = {.type = BFT_MESSAGE_BLOCK}, decoded;
        message.block.header = script_block(s, &s->genesis, 0, 0);
        message.block.header.body_hash = bft_body_hash(body, body_bytes);
        message.body_bytes = body_bytes;
        uint8_t *frame = malloc(1024 + body_bytes);
        size_t head = bft_wire_encode(&message, frame, 1024);
        memcpy(frame + head, body, body_bytes);
        assert_int_equal(bft_wire_decode(BFT_MESSAGE_BLOCK, frame, head + body_bytes, &decoded), extra == 0 ? BFT_WIRE_OK : BFT_WIRE_BODY);
        free(frame);
        free(body);
    }
    script_free(s);
}

static void counts_and_indexes_out_of_range_are_refused(void **state) {
    (void)state;
    struct script *s = script_new(7, BFT_NOBODY, 4);
    struct bft_message message, decoded;
    const uint8_t *body;
    uint8_t chain[2 * BFT_HEADER_BYTES];
    size_t count = example(s, BFT_MESSAGE_QC, &message, &body, chain);
    static const struct {
        size_t at;
        uint8_t value;
        enum bft_wire_error error;
    } cases[] = {{0, 0, BFT_WIRE_RANGE},   {0, 3, BFT_WIRE_RANGE},    {1, 0, BFT_WIRE_RANGE},        {1, 12, BFT_WIRE_RANGE},
                 {2, 1, BFT_WIRE_ZERO},    {144, 16, BFT_WIRE_RANGE}, {144 + 65, 0, BFT_WIRE_RANGE}, {144 + 65, 2, BFT_WIRE_RANGE},
                 {1, 6, BFT_WIRE_TRUNCATED}, {1, 4, BFT_WIRE_TRAILING}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t kept = bytes[cases[i].at];
        bytes[cases[i].at] = cases[i].value;
        assert_int_equal(bft_wire_decode(BFT_MESSAGE_QC, bytes, count, &decoded), cases[i].error);
        bytes[cases[i].at] = kept;
    }
    count = example(s, BFT_MESSAGE_FETCH, &message, &body, chain);
    static const uint8_t wrong_counts[] = {0, 65};
    for (size_t i = 0; i < 2; i++) {
        bytes[32] = wrong_counts[i];
        assert_int_equal(bft_wire_decode(BFT_MESSAGE_FETCH, bytes, count, &decoded), BFT_WIRE_RANGE);
    }
    count = example(s, BFT_MESSAGE_STATUS, &message, &body, chain);
    bytes[180] = 16;
    assert_int_equal(bft_wire_decode(BFT_MESSAGE_STATUS, bytes, count, &decoded), BFT_WIRE_RANGE);
    script_free(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_those_of_the_chapter),
        cmocka_unit_test(header_and_preimages_have_their_fields_in_their_places),
        cmocka_unit_test(the_empty_hashes_are_those_of_the_chapter),
        cmocka_unit_test(each_message_comes_back_as_it_was),
        cmocka_unit_test(every_shorter_and_longer_message_is_refused),
        cmocka_unit_test(every_flipped_bit_is_refused_or_stays_in_the_encoding),
        cmocka_unit_test(a_body_must_be_what_the_header_names),
        cmocka_unit_test(a_body_of_the_largest_size_passes_and_one_more_byte_does_not),
        cmocka_unit_test(counts_and_indexes_out_of_range_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
