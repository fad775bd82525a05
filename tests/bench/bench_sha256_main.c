/* bench_sha256 [MIB]: GB/s of sha256_prefixed_each() for so many messages of one length, and of mixed ones, that lie in the cache (the best of many
 * short runs, so that what else the machine does hardly counts), or one after the other in so many MiB of memory (256; the mean of all runs); and
 * nanoseconds for an inner node of the trie, by how many are hashed together. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "merkle/check.h"
#include "merkle/sha256.h"

enum { MESSAGE_MAX = 65536, RUNS = 400, INNER_MAX = 16 };

static uint8_t *memory;
static size_t memory_bytes;

static double now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Lengths from `least` to `most`, evenly. */
static void measure(unsigned count, size_t least, size_t most, bool cached) {
    struct sha256_part messages[SHA256_EACH_MAX];
    uint8_t out[SHA256_EACH_MAX][SHA256_BYTES];
    double best = 1e30, all = 0;
    size_t total = 0, at = 0;
    for (unsigned run = 0; run < RUNS; run++) {
        total = 0;
        if (cached) at = 0;
        for (unsigned i = 0; i < count; i++) {
            size_t bytes = least + (most - least) * (7 * i % count) / count;
            if (at + bytes > memory_bytes) at = 0;
            messages[i] = (struct sha256_part){.bytes = memory + at, .count = bytes};
            at += bytes;
            total += bytes;
        }
        double start = now_ns();
        sha256_prefixed_each(HASH_RESULTS, messages, count, out);
        double took = now_ns() - start;
        all += took;
        if (took < best) best = took;
    }
    if (!cached) best = all / RUNS;
    printf("%2u messages of %5zu to %5zu bytes, %s: %.2f GB/s\n", count, least, most, cached ? "cached    " : "not cached", (double)total / best);
}

static void inner_measure(unsigned count) {
    const uint8_t *messages[INNER_MAX];
    uint8_t out[INNER_MAX][SHA256_BYTES], *outs[INNER_MAX];
    double best = 1e30;
    for (unsigned i = 0; i < count; i++) {
        messages[i] = memory + 128u * i;
        outs[i] = out[i];
    }
    for (unsigned run = 0; run < RUNS; run++) {
        double start = now_ns();
        for (unsigned i = 0; i < 10; i++) sha256_padded_blocks_each(messages, count, 2, outs);
        double took = (now_ns() - start) / 10;
        if (took < best) best = took;
    }
    printf("%2u inner nodes: %.1f ns each\n", count, best / count);
}

int main(int argc, char **argv) {
    static const unsigned counts[] = {1, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 24, 32};
    memory_bytes = (argc > 1 ? strtoul(argv[1], NULL, 10) : 256) << 20;
    CHECK(memory_bytes >= (size_t)SHA256_EACH_MAX * MESSAGE_MAX);
    memory = malloc(memory_bytes);
    CHECK(memory != NULL);
    for (size_t i = 0; i < memory_bytes; i++) memory[i] = (uint8_t)(i * 167 >> 3);
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (counts[i] <= SHA256_EACH_MAX) measure(counts[i], 1024, 1024, true);
    }
    static const size_t lengths[][2] = {{512, 512}, {1024, 1024}, {4096, 4096}, {512, 1536}, {64, 4096}, {512, 65536}, {65536, 65536}};
    for (unsigned i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        measure(SHA256_EACH_MAX, lengths[i][0], lengths[i][1], true);
        measure(SHA256_EACH_MAX, lengths[i][0], lengths[i][1], false);
    }
    for (unsigned count = 1; count <= INNER_MAX; count++) inner_measure(count);
    free(memory);
    return 0;
}
