/* appliance/exec/exec_log.h: where segments come to lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/exec/exec_log.h"

enum { CAPACITY = 1 << 30, SLOTS = 1024, SEEDS = 20, ROUNDS = 4000, PAGE = 4096, ROOM = 12 << 20 };

static uint64_t random_state;

static uint32_t random_below(uint32_t bound) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state % bound);
}

static void open_for(struct exec_log *log, uint32_t bytes, size_t need) {
    assert_true(exec_log_open(log, need));
    exec_log_segment(log, log->next - 1)->bytes = bytes;
}

static void open_of(struct exec_log *log, uint32_t bytes) {
    open_for(log, bytes, bytes);
}

/* No two segments that are held share a byte. */
static void check_apart(const struct exec_log *log) {
    for (uint64_t a = log->first; a < log->next; a++) {
        const struct exec_segment *one = exec_log_segment(log, a);
        assert_true(one->at + one->bytes <= log->capacity);
        const struct exec_segment *other = exec_log_segment(log, log->next - 1);
        if (a + 1 < log->next) assert_true(one->at + one->bytes <= other->at || other->at + other->bytes <= one->at);
    }
}

/* Pages of the newest segment that no segment had before it. */
static size_t touch(const struct exec_log *log, uint8_t *touched) {
    const struct exec_segment *newest = exec_log_segment(log, log->next - 1);
    size_t new_pages = 0;
    for (size_t page = newest->at / PAGE; page <= (newest->at + newest->bytes - 1) / PAGE; page++) {
        new_pages += touched[page] == 0;
        touched[page] = 1;
    }
    return new_pages;
}

/* Pages that were once written stay in memory: a log that wandered through all that is reserved would have all of it resident. Each segment may ask
 * for more than it takes. */
static void what_is_touched_stays_near_what_is_held(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct exec_log log;
        uint8_t *pages = calloc(CAPACITY / PAGE, 1);
        assert_non_null(pages);
        assert_true(exec_log_create(&log, CAPACITY, SLOTS));
        exec_log_reset(&log, 1);
        random_state = seed * 0x9e3779b97f4a7c15u;
        size_t touched = 0, held = 0, held_max = 0;
        uint32_t bound = 1 + random_below(3 << 20);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            uint32_t bytes = 1 + random_below(bound);
            open_for(&log, bytes, seed % 2 == 0 ? bytes : ROOM);
            touched += PAGE * touch(&log, pages);
            held += bytes;
            if (held > held_max) held_max = held;
            check_apart(&log);
            while (held > (40u << 20) || log.next - log.first == SLOTS || (log.next - log.first > 2 && random_below(3) == 0)) {
                held -= exec_log_segment(&log, log.first)->bytes;
                exec_log_release(&log, log.first + 1);
            }
        }
        if (touched > 3 * held_max + 8 * (size_t)bound) {
            printf("seed %llu: %zu bytes touched, at most %zu held, segments below %u\n", (unsigned long long)seed, touched, held_max, bound);
            fail();
        }
        exec_log_destroy(&log);
        free(pages);
    }
}

/* Most slices are far shorter than what they might have been. */
static void short_segments_with_much_room_touch_little(void **state) {
    (void)state;
    struct exec_log log;
    uint8_t *pages = calloc(CAPACITY / PAGE, 1);
    assert_non_null(pages);
    assert_true(exec_log_create(&log, CAPACITY, SLOTS));
    exec_log_reset(&log, 1);
    size_t touched = 0;
    for (uint32_t round = 0; round < 2000; round++) {
        open_for(&log, 100000, ROOM);
        touched += PAGE * touch(&log, pages);
        check_apart(&log);
        if (log.next - log.first > 3) exec_log_release(&log, log.first + 1);
    }
    assert_true(touched <= 3 * 3 * 100000);
    exec_log_destroy(&log);
    free(pages);
}

/* What is held grows and shrinks: with the memory that executor.c gives a log there is always room. The most that is held here is what may be in
 * flight by default (credit_bytes). */
static void there_is_room_whatever_came_before(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct exec_log log;
        assert_true(exec_log_create(&log, 640u << 20, SLOTS));
        exec_log_reset(&log, 1);
        random_state = seed * 0x9e3779b97f4a7c15u;
        size_t held = 0, limit = 0, bound = 1;
        for (uint32_t round = 0; round < 4 * ROUNDS; round++) {
            if (round % 200 == 0) limit = 1 + random_below((random_below(2) ? 256u : 4u) << 20);
            if (round % 100 == 0) bound = 1 + random_below((random_below(2) ? 8u : 1u) << 20);
            uint32_t bytes = 1 + random_below((uint32_t)bound);
            open_for(&log, bytes, ROOM);
            held += bytes;
            check_apart(&log);
            while (held > limit || log.next - log.first == SLOTS) {
                held -= exec_log_segment(&log, log.first)->bytes;
                exec_log_release(&log, log.first + 1);
            }
        }
        exec_log_destroy(&log);
    }
}

static void what_was_undone_is_placed_again(void **state) {
    (void)state;
    struct exec_log log;
    assert_true(exec_log_create(&log, 1 << 20, 16));
    exec_log_reset(&log, 7);
    for (unsigned i = 0; i < 10; i++) open_of(&log, 100000);
    assert_false(exec_log_open(&log, 100000));
    size_t at = exec_log_segment(&log, 12)->at;
    exec_log_truncate(&log, 12);
    assert_int_equal(log.next, 12);
    open_of(&log, 100000);
    assert_int_equal(exec_log_segment(&log, 12)->at, at);
    exec_log_release(&log, 12);
    assert_false(exec_log_has(&log, 11));
    open_of(&log, 500000);
    check_apart(&log);
    exec_log_destroy(&log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_touched_stays_near_what_is_held),
        cmocka_unit_test(short_segments_with_much_room_touch_little),
        cmocka_unit_test(there_is_room_whatever_came_before),
        cmocka_unit_test(what_was_undone_is_placed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
