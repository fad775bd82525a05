/* What askers may have waiting for the thread of state transfer: a share each, of slots and of bytes, and never more than half of the ring. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "appliance/node/transfer_share.h"
#include "protocol/checkpoint.h"

static struct transfer_share share;

static int set_up(void **state) {
    (void)state;
    memset(&share, 0, sizeof share);
    return 0;
}

static void one_that_fills_its_share_takes_nobody_elses(void **state) {
    (void)state;
    for (unsigned i = 0; i < TRANSFER_SHARE_SLOTS; i++) assert_true(transfer_share_take(&share, 2, 96));
    assert_false(transfer_share_take(&share, 2, 96));
    assert_true(transfer_share_take(&share, 3, 96));
    transfer_share_give(&share, 2, 96);
    assert_true(transfer_share_take(&share, 2, 96));
    assert_false(transfer_share_take(&share, 2, 96));
}

static void bytes_are_bounded_and_the_largest_answers_fit(void **state) {
    (void)state;
    const size_t checkpoint = CHECKPOINT_MESSAGE_BYTES_MAX, piece = (1 << 20) + (1 << 16);
    size_t bytes = checkpoint;
    assert_true(transfer_share_take(&share, 1, checkpoint));
    for (unsigned i = 0; i < TRANSFER_OUTSTANDING_MAX; i++) {
        assert_true(transfer_share_take(&share, 1, piece));
        bytes += piece;
    }
    while (transfer_share_take(&share, 1, piece)) bytes += piece;
    assert_true(bytes <= TRANSFER_SHARE_BYTES);
    transfer_share_give(&share, 1, piece);
    assert_true(transfer_share_take(&share, 1, piece));
}

static void all_together_leave_half_of_the_ring(void **state) {
    (void)state;
    unsigned slots = 0;
    for (unsigned asker = 0; asker < TRANSFER_CLIENT + TRANSFER_CLIENTS; asker++) {
        if (asker >= TRANSFER_ASKERS && asker < TRANSFER_CLIENT) continue;
        while (transfer_share_take(&share, (uint8_t)asker, 16)) slots++;
    }
    assert_true(slots > 0 && slots <= TRANSFER_RING_SLOTS / 2);
}

static void no_debt_is_deeper_than_a_pause_makes_good(void **state) {
    (void)state;
    struct transfer_credit credit = {.at_us = 1000};
    transfer_credit_grow(&credit, 1000 + 50 * TRANSFER_CREDIT_SHARE);
    assert_int_equal(credit.us, 50);
    transfer_credit_grow(&credit, UINT32_MAX);
    assert_int_equal(credit.us, TRANSFER_CREDIT_US_MAX);
    transfer_credit_pay(&credit, 30);
    assert_int_equal(credit.us, TRANSFER_CREDIT_US_MAX - 30);
    for (unsigned i = 0; i < 100; i++) transfer_credit_pay(&credit, i % 2 == 0 ? TRANSFER_CREDIT_US_MAX : UINT64_MAX);
    assert_int_equal(credit.us, -TRANSFER_CREDIT_US_MAX);
    transfer_credit_grow(&credit, credit.at_us + (uint64_t)TRANSFER_CREDIT_SHARE * (TRANSFER_CREDIT_US_MAX + 1));
    assert_int_equal(credit.us, 1);
}

/* A helper whose own part of it is cheap still spends the loop's time on what it sends: both together are a fifth. */
static void what_is_sent_is_paid_for_too(void **state) {
    (void)state;
    enum { SECONDS = 20, PIECE_US = 100, PIECE_BYTES = 768 << 10 };
    struct transfer_credit credit = {.at_us = 0};
    uint64_t spent_us = 0, now_us = 0;
    while (now_us < UINT64_C(1000000) * SECONDS) {
        now_us += 200;
        transfer_credit_grow(&credit, now_us);
        if (credit.us <= 0) continue;
        transfer_credit_served(&credit, PIECE_US, PIECE_BYTES);
        spent_us += PIECE_US + PIECE_BYTES / TRANSFER_SENT_BYTES_PER_US;
    }
    assert_true(spent_us <= UINT64_C(1000000) * SECONDS / TRANSFER_CREDIT_SHARE + 1000);
    assert_true(spent_us >= UINT64_C(900000) * SECONDS / TRANSFER_CREDIT_SHARE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(one_that_fills_its_share_takes_nobody_elses, set_up),
        cmocka_unit_test_setup(bytes_are_bounded_and_the_largest_answers_fit, set_up),
        cmocka_unit_test_setup(all_together_leave_half_of_the_ring, set_up),
        cmocka_unit_test(no_debt_is_deeper_than_a_pause_makes_good),
        cmocka_unit_test(what_is_sent_is_paid_for_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
