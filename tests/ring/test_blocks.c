/* ring/blocks.h: what a rush needed again and again is not given to the system and fetched back; what it needs no more goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "ring/blocks.h"

enum { FRAME = 300 * 1000, FRAME_CLASS = 512 << 10, MANY = 96, KEEP_MS = 100 };

/* Pages of a block of FRAME bytes that are in memory. */
static unsigned pages_there(void *block) {
    unsigned char there[FRAME_CLASS / 4096];
    unsigned count = 0;
    uint8_t *start = (uint8_t *)blocks_header_of(block);
    assert_int_equal(mincore(start, FRAME_CLASS, there), 0);
    for (size_t i = 0; i < sizeof there; i++) {
        count += there[i] & 1;
    }
    return count;
}

static void take_many(struct blocks *blocks, void *held[MANY], unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        held[i] = blocks_take(blocks, FRAME);
        assert_non_null(held[i]);
        memset(held[i], 1, FRAME);
    }
}

static void give_many(struct blocks *blocks, void *held[MANY], unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        blocks_give(blocks, held[i]);
    }
}

static void what_a_rush_takes_again_has_its_pages(void **state) {
    struct blocks blocks = {0};
    void *held[MANY];
    (void)state;
    take_many(&blocks, held, MANY);
    assert_true(blocks.used_bytes > 2 * (uint64_t)BLOCKS_CACHE_BYTES_MAX);
    give_many(&blocks, held, MANY);
    assert_int_equal(blocks.used_bytes, 0);
    assert_int_equal(blocks.cached_bytes, (uint64_t)MANY * FRAME_CLASS);
    for (unsigned i = 0; i < MANY; i++) {
        held[i] = blocks_take(&blocks, FRAME);
        assert_true(pages_there(held[i]) >= FRAME / 4096);
    }
    assert_int_equal(blocks.cached_bytes, 0);
    give_many(&blocks, held, MANY);
    blocks_free_cache(&blocks);
    assert_int_equal(blocks.cached_bytes, 0);
}

/* Never more in all than was in use at once, but for the fixed part: whatever sizes follow each other. */
static void what_is_kept_stays_below_the_most_that_was_in_use(void **state) {
    struct blocks blocks = {0};
    void *held[MANY];
    uint64_t most = 0;
    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        size_t bytes = (size_t)2000 << round % 10;
        unsigned count = round % 3 == 0 ? MANY / 4 : 3;
        for (unsigned i = 0; i < count; i++) {
            held[i] = blocks_take(&blocks, bytes);
            assert_non_null(held[i]);
            most = blocks.used_bytes > most ? blocks.used_bytes : most;
        }
        for (unsigned i = 0; i < count; i++) {
            blocks_give(&blocks, held[i]);
            uint64_t room = most > blocks.used_bytes + BLOCKS_CACHE_BYTES_MAX ? most : blocks.used_bytes + BLOCKS_CACHE_BYTES_MAX;
            assert_true(blocks.used_bytes + blocks.cached_bytes <= room);
        }
    }
    assert_true(most > BLOCKS_CACHE_BYTES_MAX);
    blocks_free_cache(&blocks);
}

/* Blocks of a size that nobody asks for any more make room for those that are asked for. */
static void what_nobody_asks_for_goes_first(void **state) {
    struct blocks blocks = {0};
    void *held[MANY];
    (void)state;
    for (unsigned i = 0; i < BLOCKS_CACHE_BYTES_MAX / (128 << 10); i++) { /* the fixed part, full of another size */
        if (i < MANY) {
            held[i] = blocks_take(&blocks, 100 * 1000);
        }
    }
    give_many(&blocks, held, MANY);
    uint64_t others = blocks.cached_bytes;
    assert_int_equal(others, MANY * (128 << 10));
    for (unsigned round = 0; round < 4; round++) {
        take_many(&blocks, held, 16);
        give_many(&blocks, held, 16);
    }
    take_many(&blocks, held, 16);
    assert_true(blocks.cached_bytes < others); /* so the 16 of now were kept, and came from there */
    assert_int_equal(blocks.used_bytes, 16 * FRAME_CLASS);
    give_many(&blocks, held, 16);
    void *again = blocks_take(&blocks, FRAME);
    assert_true(pages_there(again) >= FRAME / 4096);
    blocks_give(&blocks, again);
    blocks_free_cache(&blocks);
}

static void after_a_rush_its_memory_goes_in_two_periods_and_all_when_it_is_quiet(void **state) {
    struct blocks blocks = {0};
    void *held[MANY];
    (void)state;
    uint64_t now = 1000;
    blocks_trim(&blocks, now, KEEP_MS);
    take_many(&blocks, held, MANY);
    give_many(&blocks, held, MANY);
    for (unsigned i = 0; i < 25; i++) { /* one frame at a time from now on: never quiet */
        void *one = blocks_take(&blocks, FRAME);
        blocks_give(&blocks, one);
        now += KEEP_MS / 10;
        blocks_trim(&blocks, now, KEEP_MS);
        if (i < 9) {
            assert_int_equal(blocks.cached_bytes, (uint64_t)MANY * FRAME_CLASS);
        }
    }
    assert_true(blocks.cached_bytes <= BLOCKS_CACHE_BYTES_MAX);
    assert_true(blocks.cached_bytes > 0);
    for (unsigned i = 0; i < 11; i++) {
        now += KEEP_MS / 10;
        blocks_trim(&blocks, now, KEEP_MS);
    }
    assert_int_equal(blocks.cached_bytes, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_rush_takes_again_has_its_pages),
        cmocka_unit_test(what_is_kept_stays_below_the_most_that_was_in_use),
        cmocka_unit_test(what_nobody_asks_for_goes_first),
        cmocka_unit_test(after_a_rush_its_memory_goes_in_two_periods_and_all_when_it_is_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
