/* The scrub of the trie (merkle/trie_scrub.c): a sound one is found sound, leaf by leaf, and a bit that flips is found within a round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "merkle/trie_inside.h"

enum { LEAVES = 700, FLIPS = 2000 };

struct built {
    struct trie *trie;
    void *memory;
    size_t bytes;
    uint8_t hashes[LEAVES][32], paths[LEAVES][32]; /* by ref */
};

static uint64_t seed = 20261126;

static uint64_t draw(uint64_t below) {
    seed += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (z ^ (z >> 31)) % below;
}

static void build(struct built *built, uint32_t leaves) {
    struct trie_limits limits = {.leaves_max = LEAVES, .journal_max = 16};
    uint8_t root[32];
    built->bytes = trie_memory_bytes(&limits);
    built->memory = mmap(NULL, built->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(built->memory, MAP_FAILED);
    built->trie = trie_init(built->memory, built->bytes, &limits);
    for (uint32_t i = 0; i < leaves; i++) {
        trie_path(TRIE_SPACE_USER, &i, sizeof i, built->paths[i]);
        trie_value_hash(&i, sizeof i, built->hashes[i]);
        assert_int_equal(trie_put(built->trie, built->paths[i], built->hashes[i], i), TRIE_OK);
    }
    trie_root(built->trie, root);
}

static void unbuild(struct built *built) {
    assert_int_equal(munmap(built->memory, built->bytes), 0);
}

/* A whole round. False: something is not as it was; paths and leaf hashes are compared here, as the executor does with its entries. */
static bool round_is_good(const struct built *built, uint32_t leaves) {
    uint8_t at[32] = {0};
    uint32_t seen = 0;
    struct trie_scrubbed leaf;
    while (trie_scrub_next(built->trie, at, &leaf) == TRIE_OK) {
        if (!leaf.intact || leaf.ref >= leaves || ++seen > leaves) return false;
        if (memcmp(leaf.leaf_hash, built->hashes[leaf.ref], 32) != 0 || memcmp(leaf.path, built->paths[leaf.ref], 32) != 0) return false;
        memcpy(at, leaf.path, 32);
        if (!trie_path_next(at)) break;
    }
    return seen == leaves;
}

static void a_sound_trie_of_any_size_is_found_sound(void **state) {
    (void)state;
    static const uint32_t sizes[] = {0, 1, 2, 3, 50, LEAVES};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct built built;
        build(&built, sizes[i]);
        assert_true(round_is_good(&built, sizes[i]));
        unbuild(&built);
    }
}

static void what_is_still_to_be_hashed_is_no_fault(void **state) {
    (void)state;
    struct built built;
    build(&built, LEAVES - 1);
    uint32_t last = LEAVES - 1;
    trie_path(TRIE_SPACE_USER, &last, sizeof last, built.paths[last]);
    trie_value_hash(&last, sizeof last, built.hashes[last]);
    assert_int_equal(trie_put(built.trie, built.paths[last], built.hashes[last], last), TRIE_OK);
    assert_true(round_is_good(&built, LEAVES));
    unbuild(&built);
}

static void flip(uint8_t *bytes, size_t count) {
    bytes[draw(count)] ^= (uint8_t)(1u << draw(8));
}

/* Hashes of inner nodes and leaves, paths, and the root's hash. */
static void every_flip_of_a_hash_or_a_path_is_found(void **state) {
    (void)state;
    struct built built;
    build(&built, LEAVES);
    printf("seed %llu\n", (unsigned long long)seed);
    struct trie_hash_pair *pairs = malloc((LEAVES - 1) * sizeof *pairs);
    uint8_t(*paths)[32] = malloc(LEAVES * sizeof *paths), root[32];
    memcpy(pairs, built.trie->pairs, (LEAVES - 1) * sizeof *pairs);
    memcpy(paths, built.trie->paths, LEAVES * sizeof *paths);
    memcpy(root, built.trie->root_hash, 32);
    for (int i = 0; i < FLIPS; i++) {
        uint64_t which = draw(8);
        if (which == 0) flip(built.trie->root_hash, 32);
        else if (which < 5) flip((uint8_t *)built.trie->pairs, (LEAVES - 1) * sizeof *pairs);
        else flip((uint8_t *)built.trie->paths, LEAVES * sizeof *paths);
        assert_false(round_is_good(&built, LEAVES));
        memcpy(built.trie->pairs, pairs, (LEAVES - 1) * sizeof *pairs);
        memcpy(built.trie->paths, paths, LEAVES * sizeof *paths);
        memcpy(built.trie->root_hash, root, 32);
    }
    assert_true(round_is_good(&built, LEAVES));
    free(pairs);
    free(paths);
    unbuild(&built);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_trie_of_any_size_is_found_sound),
        cmocka_unit_test(what_is_still_to_be_hashed_is_no_fault),
        cmocka_unit_test(every_flip_of_a_hash_or_a_path_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
