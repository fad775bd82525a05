/* appliance/base/pool.h: what is given is taken again; bounds; any thread. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "appliance/base/pool.h"

enum { MANY = 4000, THREADS = 4, ROUNDS = 20000, HELD = 16 };

/* Under a sanitizer nothing is kept. */
static bool keeps(void) {
    pool_give(pool_take(100));
    return pool_kept_bytes() > 0;
}

static void what_was_given_is_taken_again(void **state) {
    (void)state;
    if (!keeps()) skip();
    for (size_t bytes = 0; bytes <= POOL_BYTES_MAX; bytes = bytes * 5 / 4 + 1) {
        uint8_t *one = pool_take(bytes);
        assert_int_equal((uintptr_t)one % 16, 0);
        memset(one, 0xA5, bytes);
        uint64_t kept = pool_kept_bytes();
        pool_give(one);
        uint64_t room = pool_kept_bytes() - kept;
        assert_true(room >= bytes + 16 && room <= (bytes + 16) * 5 / 4 + 64);
        assert_ptr_equal(pool_take(bytes), one);
        assert_int_equal(pool_kept_bytes(), kept);
        pool_give(one);
    }
}

static void pieces_that_are_taken_do_not_touch(void **state) {
    (void)state;
    static uint8_t *held[MANY];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < MANY; i++) {
            held[i] = pool_take(1 + i % 700);
            memset(held[i], (int)(i % 251), 1 + i % 700);
        }
        for (unsigned i = 0; i < MANY; i++) {
            for (unsigned at = 0; at < 1 + i % 700; at++) assert_int_equal(held[i][at], i % 251);
            pool_give(held[i]);
        }
    }
    pool_give(NULL);
}

static void no_more_is_kept_than_the_limit_and_large_ones_not_at_all(void **state) {
    (void)state;
    static uint8_t *held[MANY];
    for (unsigned i = 0; i < 400; i++) held[i] = pool_take(40000);
    for (unsigned i = 0; i < 400; i++) {
        pool_give(held[i]);
        assert_true(pool_kept_bytes() <= POOL_KEPT_BYTES_MAX);
    }
    uint64_t kept = pool_kept_bytes();
    if (keeps()) assert_true(kept > POOL_KEPT_BYTES_MAX - 50000);
    uint8_t *large = pool_take(POOL_BYTES_MAX + 1);
    memset(large, 1, POOL_BYTES_MAX + 1);
    kept = pool_kept_bytes();
    pool_give(large);
    assert_int_equal(pool_kept_bytes(), kept);
}

static void more_begins_with_what_was_there(void **state) {
    (void)state;
    uint8_t *bytes = pool_more(NULL, 0, 10);
    for (unsigned i = 0; i < 10; i++) bytes[i] = (uint8_t)i;
    bytes = pool_more(bytes, 10, 5000);
    for (unsigned i = 0; i < 10; i++) assert_int_equal(bytes[i], i);
    memset(bytes, 7, 5000);
    pool_give(bytes);
}

/* Each thread hands its pieces to the next one, which gives them. */
static uint8_t *_Atomic shelf[HELD];

static void *worker(void *context) {
    uint64_t random = (uintptr_t)context * 0x9e3779b97f4a7c15u + 1;
    for (unsigned i = 0; i < ROUNDS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t bytes = 8 + (random >> 33) % 3000;
        uint8_t *mine = pool_take(bytes);
        memset(mine, (int)(uintptr_t)context, bytes);
        for (size_t at = 0; at < bytes; at += 97) {
            if (mine[at] != (uint8_t)(uintptr_t)context) return (void *)1;
        }
        pool_give(atomic_exchange(&shelf[(random >> 20) % HELD], mine));
    }
    return NULL;
}

static void threads_may_give_what_others_took(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, worker, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    for (unsigned i = 0; i < HELD; i++) pool_give(shelf[i]);
    assert_true(pool_kept_bytes() <= POOL_KEPT_BYTES_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_given_is_taken_again),
        cmocka_unit_test(pieces_that_are_taken_do_not_touch),
        cmocka_unit_test(more_begins_with_what_was_there),
        cmocka_unit_test(threads_may_give_what_others_took),
        cmocka_unit_test(no_more_is_kept_than_the_limit_and_large_ones_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
