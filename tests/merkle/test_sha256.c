/* SHA-256 against NIST's byte-oriented vectors and libsodium's, whole and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "merkle/sha256.h"
#include "merkle/sha256_inside.h"
#include "merkle/sha256_wide.h"
#include "tests/merkle/vectors.h"

enum { MESSAGE_MAX = 8192 };

static unsigned rsp_check(const char *path) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    static char line[2 * MESSAGE_MAX + 64];
    static uint8_t message[MESSAGE_MAX];
    uint8_t expected[32], out[32];
    size_t bits = 0, count = 0;
    unsigned cases = 0;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = 0;
        if (strncmp(line, "Len = ", 6) == 0) bits = strtoul(line + 6, NULL, 10);
        if (strncmp(line, "Msg = ", 6) == 0) count = vectors_hex(line + 6, message, sizeof message);
        if (strncmp(line, "MD = ", 5) != 0) continue;
        if (bits == 0) count = 0; /* NIST writes one byte 00 for the empty message */
        assert_int_equal(count * 8, bits);
        assert_int_equal(vectors_hex(line + 5, expected, sizeof expected), 32);
        sha256_hash(message, count, out);
        assert_memory_equal(out, expected, 32);
        cases++;
    }
    fclose(file);
    return cases;
}

static void nist_vectors_pass(void **state) {
    (void)state;
    assert_int_equal(rsp_check("tests/vectors/sha2/SHA256ShortMsg.rsp"), 65);
    assert_int_equal(rsp_check("tests/vectors/sha2/SHA256LongMsg.rsp"), 64);
}

static void any_cut_of_a_message_gives_the_same_hash(void **state) {
    (void)state;
    uint64_t random = vectors_seed(1);
    uint8_t message[300], expected[32], out[32];
    for (size_t i = 0; i < sizeof message; i++) message[i] = (uint8_t)vectors_random(&random);
    for (size_t count = 0; count <= sizeof message; count++) {
        crypto_hash_sha256(expected, message, count);
        struct sha256_state sha;
        sha256_init(&sha);
        for (size_t at = 0; at < count;) {
            size_t piece = vectors_random(&random) % 100;
            if (piece > count - at) piece = count - at;
            sha256_update(&sha, message + at, piece);
            at += piece;
        }
        sha256_final(&sha, out);
        assert_memory_equal(out, expected, 32);
    }
}

static void prefix_and_parts_are_joined_without_separators(void **state) {
    (void)state;
    uint8_t whole[10] = {0x0C, 1, 2, 3, 4, 5, 6, 7, 8, 9}, expected[32], out[32];
    crypto_hash_sha256(expected, whole, sizeof whole);
    SHA256_PREFIXED(out, HASH_BATCH, {whole + 1, 4}, {NULL, 0}, {whole + 5, 5});
    assert_memory_equal(out, expected, 32);
    crypto_hash_sha256(expected, whole, 1);
    sha256_prefixed(HASH_BATCH, NULL, 0, out);
    assert_memory_equal(out, expected, 32);
}

static void one_part_of_any_length_follows_its_prefix(void **state) {
    (void)state;
    uint64_t random = vectors_seed(2);
    uint8_t message[300] = {HASH_VALUE}, expected[32], out[32];
    for (size_t i = 1; i < sizeof message; i++) message[i] = (uint8_t)vectors_random(&random);
    for (size_t count = 1; count <= sizeof message; count++) {
        crypto_hash_sha256(expected, message, count);
        SHA256_PREFIXED(out, HASH_VALUE, {message + 1, count - 1});
        assert_memory_equal(out, expected, 32);
    }
}

/* What several messages can be told to go by, if the processor can: sixteen at a time from so many messages on, or never. First the product's own
 * choice. */
enum { WAYS = 5, OWN_WAY = 0 };
static const unsigned ways[WAYS] = {OWN_WAY, SHA256_WIDE_NEVER, 1, 2, 13};

static bool way_present(unsigned way) {
    return way == OWN_WAY || way == SHA256_WIDE_NEVER || sha256_wide_can();
}

struct together {
    unsigned count;
    uint8_t *messages[SHA256_EACH_MAX]; /* with the prefix */
    struct sha256_part parts[SHA256_EACH_MAX];
};

static void message_add(struct together *together, size_t bytes, uint64_t *random) {
    uint8_t *message = malloc(1 + bytes); /* ends with the message: the sanitizer sees what lies behind */
    assert_non_null(message);
    message[0] = HASH_RESULTS;
    for (size_t at = 1; at <= bytes; at++) message[at] = (uint8_t)vectors_random(random);
    together->messages[together->count] = message;
    together->parts[together->count++] = (struct sha256_part){.bytes = message + 1, .count = bytes};
}

static void together_check(struct together *together) {
    uint8_t out[SHA256_EACH_MAX][32], expected[SHA256_EACH_MAX][32];
    for (unsigned i = 0; i < together->count; i++) crypto_hash_sha256(expected[i], together->messages[i], 1 + together->parts[i].count);
    for (unsigned way = 0; way < WAYS; way++) {
        if (!way_present(ways[way])) continue;
        memset(out, 0, sizeof out);
        if (ways[way] == OWN_WAY)
            sha256_prefixed_each(HASH_RESULTS, together->parts, together->count, out);
        else
            sha256_prefixed_each_by(HASH_RESULTS, together->parts, together->count, out, ways[way]);
        assert_memory_equal(out, expected, 32 * together->count);
    }
    for (unsigned i = 0; i < together->count; i++) free(together->messages[i]);
    together->count = 0;
}

/* Any number of messages of any lengths, at any place in memory, the same bytes as one by one; none is read beyond its end. */
static void messages_hashed_together_have_the_hashes_they_have_alone(void **state) {
    (void)state;
    static const size_t edges[] = {0, 1, 54, 55, 62, 63, 64, 65, 118, 119, 126, 127, 128, 191, 192, 1032};
    enum { EDGES = sizeof edges / sizeof edges[0], LONGEST = 3000 };
    uint64_t random = vectors_seed(3);
    struct together together = {0};
    for (unsigned round = 0; round < 300; round++) {
        for (unsigned count = round % (SHA256_EACH_MAX + 1); count > 0; count--)
            message_add(&together, vectors_random(&random) % 2 ? edges[vectors_random(&random) % EDGES] : vectors_random(&random) % LONGEST, &random);
        together_check(&together);
    }
}

/* All end together, which is what sixteen at a time are for: each number of them, and each length about the blocks' edges. */
static void messages_of_one_length_hashed_together_too(void **state) {
    (void)state;
    uint64_t random = vectors_seed(5);
    struct together together = {0};
    for (unsigned count = 1; count <= SHA256_EACH_MAX; count++) {
        while (together.count < count) message_add(&together, 1000 + count, &random);
        together_check(&together);
    }
    for (size_t bytes = 0; bytes <= 1100; bytes += bytes == 300 ? 660 : 1) {
        unsigned count = SHA256_WIDE - 4 + (unsigned)(bytes % 8);
        while (together.count < count) message_add(&together, bytes, &random);
        together_check(&together);
    }
}

/* One long message, or a few, among short ones: most are done while it goes on. */
static void one_long_message_among_short_ones_has_its_hash(void **state) {
    (void)state;
    uint64_t random = vectors_seed(6);
    struct together together = {0};
    for (unsigned longs = 1; longs < 20; longs += 3) {
        while (together.count < SHA256_EACH_MAX) message_add(&together, together.count % 31 < longs ? 20000 + 70 * together.count : 600, &random);
        together_check(&together);
    }
}

static void padded_blocks_hashed_together_have_the_hashes_they_have_alone(void **state) {
    (void)state;
    enum { MESSAGES = 2 * SHA256_WIDE + 7, BLOCKS = 3 };
    uint8_t blocks[MESSAGES][BLOCKS * 64], out[MESSAGES][32], expected[32], *outs[MESSAGES];
    const uint8_t *messages[MESSAGES];
    uint64_t random = vectors_seed(4);
    for (unsigned round = 0; round < 300; round++) {
        unsigned count = round % (MESSAGES + 1), each = 1 + round % BLOCKS, bytes = each * 64 - 9 - round % 40, way = ways[round / 7 % WAYS];
        if (!way_present(way)) continue;
        for (unsigned i = 0; i < count; i++) {
            memset(blocks[i], 0, sizeof blocks[i]);
            for (unsigned k = 0; k < bytes; k++) blocks[i][k] = (uint8_t)vectors_random(&random);
            blocks[i][bytes] = 0x80;
            blocks[i][each * 64 - 2] = (uint8_t)(bytes * 8 >> 8);
            blocks[i][each * 64 - 1] = (uint8_t)(bytes * 8);
            messages[i] = blocks[i];
            outs[i] = out[MESSAGES - 1 - i];
        }
        if (way == OWN_WAY)
            sha256_padded_blocks_each(messages, count, each, outs);
        else
            sha256_padded_blocks_each_by(messages, count, each, outs, way);
        for (unsigned i = 0; i < count; i++) {
            crypto_hash_sha256(expected, blocks[i], bytes);
            assert_memory_equal(outs[i], expected, 32);
        }
    }
}

static void a_copied_state_forks_the_hash(void **state) {
    (void)state;
    struct sha256_state a, b;
    uint8_t out_a[32], out_b[32], expected[32];
    sha256_init(&a);
    sha256_update(&a, "abc", 3);
    b = a;
    sha256_update(&b, "def", 3);
    sha256_final(&a, out_a);
    sha256_final(&b, out_b);
    crypto_hash_sha256(expected, (const uint8_t *)"abc", 3);
    assert_memory_equal(out_a, expected, 32);
    crypto_hash_sha256(expected, (const uint8_t *)"abcdef", 6);
    assert_memory_equal(out_b, expected, 32);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nist_vectors_pass),
        cmocka_unit_test(any_cut_of_a_message_gives_the_same_hash),
        cmocka_unit_test(prefix_and_parts_are_joined_without_separators),
        cmocka_unit_test(one_part_of_any_length_follows_its_prefix),
        cmocka_unit_test(a_copied_state_forks_the_hash),
        cmocka_unit_test(messages_hashed_together_have_the_hashes_they_have_alone),
        cmocka_unit_test(messages_of_one_length_hashed_together_too),
        cmocka_unit_test(one_long_message_among_short_ones_has_its_hash),
        cmocka_unit_test(padded_blocks_hashed_together_have_the_hashes_they_have_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
