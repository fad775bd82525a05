/* The index over leaves says of every piece what the trie over the same leaves says, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "merkle/check.h"
#include "merkle/trie_index.h"
#include "tests/merkle/vectors.h"

enum { KEYS_MAX = 30000 };

struct key {
    uint8_t path[32];
    uint8_t hash[32];
    uint32_t number;
};

static struct key keys[KEYS_MAX];
static struct trie_index_leaf leaves[KEYS_MAX];
static struct trie_index idx;
static struct trie *trie;
static uint32_t key_count;
static uint64_t dice_state;

static uint64_t dice(void) {
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return dice_state;
}

static struct trie_value value_of(uint32_t number) {
    return (struct trie_value){.version_height = number, .version_index = number * 3, .value_hash = {1, (uint8_t)number}};
}

static int by_path(const void *a, const void *b) {
    return memcmp(((const struct key *)a)->path, ((const struct key *)b)->path, 32);
}

static void fill(uint32_t count, uint32_t first) {
    struct trie_limits limits = {.leaves_max = count + 1, .journal_max = 1};
    size_t bytes = trie_memory_bytes(&limits);
    void *memory = aligned_alloc(64, bytes);
    CHECK(memory);
    memset(memory, 0, bytes);
    trie = trie_init(memory, bytes, &limits);
    key_count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = first + i;
        struct trie_value value = value_of(number);
        trie_path(TRIE_SPACE_USER, &number, sizeof number, keys[i].path);
        trie_leaf_hash(TRIE_SPACE_USER, &number, sizeof number, &value, keys[i].hash);
        keys[i].number = number;
        CHECK(trie_put(trie, keys[i].path, keys[i].hash, number) == TRIE_OK);
    }
    qsort(keys, count, sizeof *keys, by_path);
    trie_index_begin(&idx);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(trie_index_add(&idx, keys[i].path, keys[i].hash, 1 + keys[i].number % 7));
        memcpy(leaves[i].path, keys[i].path, 32);
        memcpy(leaves[i].hash, keys[i].hash, 32);
    }
    trie_index_end(&idx);
}

static struct trie_index_part part_at(uint32_t part) {
    struct trie_index_part out = {0};
    for (uint32_t i = 0; i < key_count; i++) {
        if (((uint32_t)keys[i].path[0] << 8 | keys[i].path[1]) != part) continue;
        if (out.count++ == 0) out.leaves = &leaves[i];
    }
    return out;
}

static size_t proof_of_trie(const uint8_t *prefix, unsigned bits, uint8_t *proof) {
    struct trie_proof_leaf leaf;
    struct trie_proof_other other = {0};
    uint32_t number = 0;
    if (trie_prefix_proof_find(trie, prefix, bits, &leaf) == TRIE_PROOF_OTHER) {
        number = leaf.ref;
        other = (struct trie_proof_other){TRIE_SPACE_USER, &number, sizeof number, value_of(number)};
    }
    struct bytes_writer writer = bytes_writer_of(proof, TRIE_PROOF_BYTES_MAX);
    trie_prefix_proof_write(trie, prefix, bits, &other, &writer);
    CHECK(!writer.failed);
    return writer.used;
}

static size_t proof_of_index(const uint8_t *prefix, unsigned bits, uint8_t *proof) {
    static struct trie_index_way way;
    struct trie_proof_other other = {0};
    uint32_t number = 0;
    trie_index_way(&idx, prefix, bits, NULL, &way);
    if (way.needs_leaves) {
        struct trie_index_part part = part_at(way.part);
        trie_index_way(&idx, prefix, bits, &part, &way);
        if (way.kind == TRIE_PROOF_OTHER) {
            number = keys[part.leaves - leaves + way.leaf].number;
            other = (struct trie_proof_other){TRIE_SPACE_USER, &number, sizeof number, value_of(number)};
        }
    }
    struct bytes_writer writer = bytes_writer_of(proof, TRIE_PROOF_BYTES_MAX);
    trie_index_proof_write(&way, &other, &writer);
    CHECK(!writer.failed);
    return writer.used;
}

static void piece_compare(const uint8_t *prefix, unsigned bits) {
    static uint8_t a[TRIE_PROOF_BYTES_MAX], b[TRIE_PROOF_BYTES_MAX];
    size_t a_bytes = proof_of_trie(prefix, bits, a), b_bytes = proof_of_index(prefix, bits, b);
    assert_int_equal(a_bytes, b_bytes);
    assert_memory_equal(a, b, a_bytes);
    if (bits > TRIE_INDEX_BITS) return;
    uint8_t expected[32], found[32];
    trie_prefix_hash(trie, prefix, bits, expected);
    trie_index_hash(&idx, prefix, bits, found);
    assert_memory_equal(expected, found, 32);
    uint64_t count = 0, sum = 0;
    for (uint32_t i = 0; i < key_count; i++) {
        if (!trie_prefix_equal(keys[i].path, prefix, bits)) continue;
        count++;
        sum += 1 + keys[i].number % 7;
    }
    assert_int_equal(trie_index_leaves(&idx, prefix, bits), count);
    assert_int_equal(trie_index_bytes(&idx, prefix, bits), sum);
}

static void set_compare(uint32_t count, unsigned pieces) {
    fill(count, (uint32_t)(dice() & 0xFFFFFF));
    uint8_t root[32], found[32], prefix[32];
    trie_root(trie, root);
    trie_index_hash(&idx, trie_empty_root, 0, found);
    assert_memory_equal(root, found, 32);
    for (unsigned i = 0; i < pieces; i++) {
        for (unsigned k = 0; k < 32; k++) prefix[k] = (uint8_t)dice();
        /* Near a leaf: its own piece, and one that leaves its way at some bit. */
        if (count > 0 && i % 2) memcpy(prefix, keys[dice() % count].path, 32);
        if (i % 4 == 1) prefix[dice() % 4] ^= (uint8_t)(1u << (dice() & 7));
        static const unsigned lengths[] = {0, 1, 7, 8, 15, 16, 17, 18, 20, 24, 30, 64, 255, 256};
        piece_compare(prefix, lengths[dice() % (sizeof lengths / sizeof lengths[0])]);
    }
    free(trie);
}

static void empty_trie(void **state) {
    (void)state;
    set_compare(0, 40);
}

static void one_leaf(void **state) {
    (void)state;
    set_compare(1, 200);
}

static void few_leaves(void **state) {
    (void)state;
    for (uint32_t count = 2; count < 40; count++) set_compare(count, 100);
}

/* So many that parts of 16 bits hold several leaves. */
static void many_leaves(void **state) {
    (void)state;
    set_compare(KEYS_MAX, 1500);
}

static void leaves_that_do_not_ascend_are_refused(void **state) {
    (void)state;
    fill(2, 7);
    free(trie);
    trie_index_begin(&idx);
    assert_true(trie_index_add(&idx, keys[1].path, keys[1].hash, 1));
    assert_false(trie_index_add(&idx, keys[1].path, keys[1].hash, 1));
    assert_false(trie_index_add(&idx, keys[0].path, keys[0].hash, 1));
    trie_index_end(&idx);
    assert_int_equal(trie_index_leaves(&idx, trie_empty_root, 0), 1);
}

int main(void) {
    const char *seed = getenv("SEED");
    dice_state = seed ? strtoull(seed, NULL, 0) | 1 : 0x5EED1;
    printf("SEED=%llu\n", (unsigned long long)dice_state);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_trie),
        cmocka_unit_test(one_leaf),
        cmocka_unit_test(few_leaves),
        cmocka_unit_test(many_leaves),
        cmocka_unit_test(leaves_that_do_not_ascend_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
