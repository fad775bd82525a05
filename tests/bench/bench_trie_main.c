/* bench_trie [LEAVES]: microseconds per write to a state trie of a million leaves, by size of the block: hashing of key and leaf, trie_apply,
 * trie_root. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "merkle/check.h"
#include "merkle/trie.h"

enum { BLOCKS = 20, WRITES_MAX = 32768 };

static double now_us(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec * 1e-3;
}

static struct trie_change changes[WRITES_MAX];
static uint8_t hashes[WRITES_MAX][32];
static uint64_t random_state = 88172645463325252u, height;

static void change_make(uint32_t i, uint32_t key) {
    struct trie_value value = {.version_height = height, .version_index = i, .value_hash = {1}};
    trie_path(TRIE_SPACE_USER, &key, sizeof key, changes[i].path);
    trie_leaf_hash(TRIE_SPACE_USER, &key, sizeof key, &value, hashes[i]);
    changes[i].leaf_hash = hashes[i];
    changes[i].ref = key;
}

static void measure(struct trie *trie, uint32_t leaves, uint32_t writes) {
    double hash_us = 0, apply_us = 0, root_us = 0;
    uint8_t root[32];
    for (unsigned block = 0; block < BLOCKS; block++) {
        height++;
        CHECK(trie_mark_begin(trie, height) == TRIE_OK);
        double start = now_us();
        for (uint32_t i = 0; i < writes; i++) {
            random_state ^= random_state << 13;
            random_state ^= random_state >> 7;
            random_state ^= random_state << 17;
            change_make(i, (uint32_t)(random_state % leaves));
        }
        double hashed = now_us();
        CHECK(trie_apply(trie, changes, writes) == TRIE_OK);
        double applied = now_us();
        trie_root(trie, root);
        double rooted = now_us();
        CHECK(trie_mark_release(trie, height) == TRIE_OK);
        hash_us += hashed - start;
        apply_us += applied - hashed;
        root_us += rooted - applied;
    }
    double each = (double)writes * BLOCKS;
    printf("block of %5u writes: %.3f us per write (hash %.3f, apply %.3f, root %.3f)\n", writes, (hash_us + apply_us + root_us) / each,
           hash_us / each, apply_us / each, root_us / each);
}

int main(int argc, char **argv) {
    uint32_t leaves = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    struct trie_limits limits = {.leaves_max = leaves + WRITES_MAX, .journal_max = WRITES_MAX};
    size_t bytes = trie_memory_bytes(&limits);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && leaves > 0);
    struct trie *trie = trie_init(memory, bytes, &limits);
    uint8_t root[32];
    double start = now_us();
    for (uint32_t key = 0; key < leaves;) {
        uint32_t count = leaves - key < WRITES_MAX ? leaves - key : WRITES_MAX;
        for (uint32_t i = 0; i < count; i++) change_make(i, key + i);
        CHECK(trie_apply(trie, changes, count) == TRIE_OK);
        key += count;
    }
    trie_root(trie, root);
    printf("%u leaves in %.2f s, %zu MiB\n", leaves, (now_us() - start) * 1e-6, bytes >> 20);
    const uint32_t sizes[] = {64, 600, 6000, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) measure(trie, leaves, sizes[i]);
    munmap(memory, bytes);
    return 0;
}
